package wechatpay

import (
	"cmp"
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	maxListLimit = 50

	// WeChat Pay allows a range of 30 days, but does not document whether both
	// ends count. Ranges of 30 days including both ends are safe.
	windowDays = 30

	// todayOverlap is how long yesterday may still receive complaints: WeChat
	// Pay's clock may be behind, or its list may lag.
	todayOverlap = 10 * time.Minute
)

// ListComplaintsRequest selects complaints by the day they were filed.
type ListComplaintsRequest struct {
	// BeginDate and EndDate are the first and the last day, inclusive. Only the
	// calendar day in Beijing counts. For [ComplaintsV2Service.List], EndDate is
	// at most 30 days after BeginDate. WeChat Pay does not document whether both
	// ends count: 29 days after BeginDate is always safe.
	// [ComplaintsV2Service.All] allows any range.
	BeginDate, EndDate time.Time
	// ComplaintedMchID limits a service provider's list to one merchant, at most
	// 64 characters. If empty, the list covers all its merchants.
	ComplaintedMchID string
	// Limit is the page size, 1 to 50; 0 means 50.
	Limit int
	// Offset is the number of complaints to skip. It must be 0 for All.
	Offset int
}

// beijing is China Standard Time. It has had no daylight saving time since 1991.
var beijing = time.FixedZone("UTC+8", 8*60*60)

// beijingDay returns the start of the day in Beijing that contains t.
func beijingDay(t time.Time) time.Time {
	year, month, day := t.In(beijing).Date()
	return time.Date(year, month, day, 0, 0, 0, 0, beijing)
}

// List returns one page of the complaints filed from BeginDate to EndDate.
// WeChat Pay does not document their order.
//
// If WeChat Pay rejects a page as too large, use a lower Limit.
// [ComplaintsV2Service.All] does so itself.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012533431 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4012691285)
func (s *ComplaintsV2Service) List(ctx context.Context, req *ListComplaintsRequest) (*ComplaintList, error) {
	const op = "ComplaintsV2.List"
	if req == nil {
		req = &ListComplaintsRequest{}
	}
	var f faults
	req.check(&f)
	req.checkRange(&f)
	if err := f.err(op); err != nil {
		return nil, err
	}
	page, err := s.listPage(ctx, op, req)
	if err != nil {
		return nil, opError(op, err)
	}
	return &ComplaintList{
		Data:       page.entries(),
		Limit:      page.Limit,
		Offset:     req.Offset,
		TotalCount: value(page.TotalCount),
	}, nil
}

// listPage reads one page. Its errors do not name the operation.
func (s *ComplaintsV2Service) listPage(
	ctx context.Context, op string, req *ListComplaintsRequest,
) (*page[Complaint], error) {
	query := "?begin_date=" + beijingDay(req.BeginDate).Format(time.DateOnly) +
		"&end_date=" + beijingDay(req.EndDate).Format(time.DateOnly) +
		"&limit=" + strconv.Itoa(cmp.Or(req.Limit, maxListLimit)) +
		"&offset=" + strconv.Itoa(req.Offset)
	if req.ComplaintedMchID != "" {
		query += "&complainted_mchid=" + url.QueryEscape(req.ComplaintedMchID)
	}
	result := new(page[Complaint])
	err := s.client.exchange(ctx, &call{
		op:      op,
		method:  http.MethodGet,
		path:    complaintsPath + query,
		success: http.StatusOK,
		out:     decoded(result, func() error { return result.match(req.Offset) }),
	})
	return result, err
}

// All returns an iterator over the complaints filed from BeginDate to EndDate,
// any number of days. It reads page by page, as the caller advances, and halves
// the page size when WeChat Pay rejects a page as too large. Complaints come
// grouped by ranges of at most 30 days, the earliest first. WeChat Pay does not
// document the order within a range. An error is yielded last, with a nil
// complaint.
//
//	for complaint, err := range client.ComplaintsV2.All(ctx, req) {
//		if err != nil {
//			return err
//		}
//		…
//	}
//
// New complaints may be filed today while All reads. All yields no complaint
// twice and skips none that was there when it started; newer ones may be missing.
// This assumes that handling a complaint does not change its position in the
// list. WeChat Pay does not document that, so collect the complaints first and
// handle them afterwards.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012533431 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4012691285)
func (s *ComplaintsV2Service) All(ctx context.Context, req *ListComplaintsRequest) iter.Seq2[*Complaint, error] {
	if req == nil {
		req = &ListComplaintsRequest{}
	}
	const op = "ComplaintsV2.All"
	return func(yield func(*Complaint, error) bool) {
		var f faults
		req.check(&f)
		if req.Offset > 0 {
			f.add("Offset", "must be 0, got %d", req.Offset)
		}
		if err := f.err(op); err != nil {
			yield(nil, err)
			return
		}
		p := pager[Complaint]{
			limit: cmp.Or(req.Limit, maxListLimit),
			id:    func(c *Complaint) string { return c.ComplaintID },
		}
		last := beijingDay(req.EndDate)
		for begin := beijingDay(req.BeginDate); !begin.After(last); {
			today := beijingDay(now(s.client.time).Add(-todayOverlap))
			end := windowEnd(begin, last, today)
			p.fetch = func(limit, offset int) (*page[Complaint], error) {
				window := *req
				window.BeginDate, window.EndDate, window.Limit, window.Offset = begin, end, limit, offset
				return s.listPage(ctx, op, &window)
			}
			p.skipRepeated = !end.Before(today)
			named := func(c *Complaint, err error) bool { return yield(c, opError(op, err)) }
			if !p.walk(ctx, named) {
				return
			}
			begin = end.AddDate(0, 0, 1)
		}
	}
}

// windowEnd returns the last day of the range to list from begin. Past days and
// today are listed separately: only today's list can shift while it is read.
func windowEnd(begin, last, today time.Time) time.Time {
	end := begin.AddDate(0, 0, windowDays-1)
	if begin.Before(today) && !end.Before(today) {
		end = today.AddDate(0, 0, -1)
	}
	if end.After(last) {
		end = last
	}
	return end
}

// Get returns one complaint, including its PayerOpenID.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012533436 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4012691648)
func (s *ComplaintsV2Service) Get(ctx context.Context, complaintID string) (*Complaint, error) {
	const op = "ComplaintsV2.Get"
	if err := checkComplaintID(complaintID).err(op); err != nil {
		return nil, err
	}
	complaint, err := s.get(ctx, op, complaintID)
	return complaint, opError(op, err)
}

// get reads a complaint as part of any operation. Its error does not name one.
func (s *ComplaintsV2Service) get(ctx context.Context, op, complaintID string) (*Complaint, error) {
	complaint := new(Complaint)
	if err := s.read(ctx, op, complaintID, complaint, &complaint.ComplaintID); err != nil {
		return nil, err
	}
	return complaint, nil
}

// read reads the fields of a complaint that the struct complaint points to has.
// id is its complaint_id. more receives the response too.
func (s *ComplaintsV2Service) read(
	ctx context.Context, op, complaintID string, complaint any, id *string, more ...out,
) error {
	match := func() error { return mustRepeat("complaint_id", *id, complaintID) }
	return s.client.exchange(ctx, &call{
		op:      op,
		method:  http.MethodGet,
		path:    complaintsPath + "/" + url.PathEscape(complaintID),
		success: http.StatusOK,
		out:     append(outs{decoded(complaint, match)}, more...),
	})
}
