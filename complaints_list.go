package wechatpay

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// ListComplaintsRequest asks for the complaints that were filed on some days.
type ListComplaintsRequest struct {
	// BeginDate and EndDate are the first and the last day of filing: the day
	// in Beijing on which the instant falls, whatever its own zone. List takes
	// 30 days apart at most, All any span.
	BeginDate, EndDate time.Time
	// ComplaintedMchID narrows a service provider's list to one merchant;
	// empty: all of theirs.
	ComplaintedMchID string
	Limit            int // complaints on the page, 1 to 50; 0: 50
	Offset           int // complaints to leave out before it; All takes 0 alone
}

// beijing is the zone of the API's days. It has had no summer time since 1991.
var beijing = time.FixedZone("UTC+8", 8*60*60)

// beijingDay is the beginning of the day in Beijing on which t falls.
func beijingDay(t time.Time) time.Time {
	year, month, day := t.In(beijing).Date()
	return time.Date(year, month, day, 0, 0, 0, 0, beijing)
}

const (
	maxListLimit = 50

	// The API takes 30 days at most. Whether the last one counts is not
	// documented: 30 days with both ends, 29 apart, are safe.
	windowDays = 30
)

// List gives one page of the complaints that were filed from BeginDate to
// EndDate. WeChat Pay does not document in which order they come. If it refuses
// a page as too large, ask with a lower limit; All does.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012533431 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4012691285)
func (s *ComplaintsV2Service) List(ctx context.Context, req *ListComplaintsRequest) (*ComplaintList, error) {
	const op = "ComplaintsV2.List"
	f := req.check()
	if len(f) == 0 {
		if apart := int(beijingDay(req.EndDate).Sub(beijingDay(req.BeginDate)) / (24 * time.Hour)); apart > windowDays {
			f.add("EndDate", "%d days after BeginDate, at most %d are allowed: All takes any span", apart, windowDays)
		}
	}
	if err := f.err(op); err != nil {
		return nil, err
	}
	limit := req.Limit
	if limit == 0 {
		limit = maxListLimit
	}
	query := "?begin_date=" + beijingDay(req.BeginDate).Format(time.DateOnly) + "&end_date=" + beijingDay(req.EndDate).Format(time.DateOnly) +
		"&limit=" + strconv.Itoa(limit) + "&offset=" + strconv.Itoa(req.Offset)
	if req.ComplaintedMchID != "" {
		query += "&complainted_mchid=" + url.QueryEscape(req.ComplaintedMchID)
	}
	list := new(ComplaintList)
	err := s.client.call(ctx, &call{op: op, method: http.MethodGet, path: complaintsPath + query, success: http.StatusOK, out: list})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// All gives the complaints that were filed from BeginDate to EndDate, however
// many days that is, page by page, as the caller reads on: the earliest 30 days
// first, and in an order that is not documented within them. Limit is the page's
// size; Offset must be 0. An error comes last, and nothing is fetched after a
// break.
//
//	for complaint, err := range client.ComplaintsV2.All(ctx, req) {
//		if err != nil {
//			return err
//		}
//		…
//	}
//
// A complaint that is filed while the pages are read moves those behind it, if
// the newest come first, and a page then repeats what an earlier one had. That
// can only happen on the day of reading. Days past are therefore read by
// themselves; of the day of reading, All remembers the ids that it gave, and
// gives none twice. None that was there at the beginning is skipped, since pages
// only ever move back; one that is filed meanwhile may be missing, and is found
// by the next reading of that day.
//
// All this rests on an order that does not change. Should WeChat Pay order by the
// latest change, a complaint that is handled while the pages are read would move
// others: read first, and handle then, and remember what was handled.
func (s *ComplaintsV2Service) All(ctx context.Context, req *ListComplaintsRequest) iter.Seq2[*Complaint, error] {
	return func(yield func(*Complaint, error) bool) {
		f := req.check()
		if len(f) == 0 && req.Offset != 0 {
			f.add("Offset", "%d: All begins at 0", req.Offset)
		}
		if err := f.err("ComplaintsV2.All"); err != nil {
			yield(nil, err)
			return
		}
		p := pager[Complaint]{limit: req.Limit, id: func(c *Complaint) string { return c.ComplaintID }}
		if p.limit == 0 {
			p.limit = maxListLimit
		}
		last := beijingDay(req.EndDate)
		for begin := beijingDay(req.BeginDate); !begin.After(last); {
			end := begin.AddDate(0, 0, windowDays-1)
			// The service's clock may be behind ours, or slow to list: the day
			// past is still being filed on for a while.
			live := beijingDay(now(s.client.time).Add(-10 * time.Minute))
			if begin.Before(live) && !end.Before(live) {
				end = live.AddDate(0, 0, -1)
			}
			if end.After(last) {
				end = last
			}
			p.seen = nil
			if !end.Before(live) {
				p.seen = make(map[string]struct{})
			}
			p.fetch = func(limit, offset int) ([]Complaint, int, int, error) {
				page, err := s.List(ctx, &ListComplaintsRequest{BeginDate: begin, EndDate: end, ComplaintedMchID: req.ComplaintedMchID, Limit: limit, Offset: offset})
				if err != nil {
					return nil, 0, 0, err
				}
				return page.Data, page.Limit, page.TotalCount, nil
			}
			if !p.walk(ctx, yield) {
				return
			}
			begin = end.AddDate(0, 0, 1)
		}
	}
}

// Get reads one complaint, with PayerOpenID.
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

// get reads a complaint as a part of any operation. Its error does not name one.
func (s *ComplaintsV2Service) get(ctx context.Context, op, complaintID string) (*Complaint, error) {
	complaint := new(Complaint)
	err := s.client.exchange(ctx, &call{
		op:      op,
		method:  http.MethodGet,
		path:    complaintsPath + "/" + url.PathEscape(complaintID),
		success: http.StatusOK,
		out:     complaint,
	})
	if err != nil {
		return nil, err
	}
	return complaint, nil
}
