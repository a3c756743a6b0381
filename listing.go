package wechatpay

import (
	"context"
	"errors"
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

func (req *ListComplaintsRequest) check() faults {
	var f faults
	if req == nil {
		f.add("req", "nil: BeginDate and EndDate are required")
		return f
	}
	if req.BeginDate.IsZero() {
		f.add("BeginDate", "zero: it is required")
	}
	if req.EndDate.IsZero() {
		f.add("EndDate", "zero: it is required")
	}
	f.between("BeginDate.Year()", beijingDay(req.BeginDate).Year(), 1, 9999)
	f.between("EndDate.Year()", beijingDay(req.EndDate).Year(), 1, 9999)
	if len(f) == 0 && beijingDay(req.EndDate).Before(beijingDay(req.BeginDate)) {
		f.add("EndDate", "%s, before BeginDate %s (days in Beijing)", beijingDay(req.EndDate).Format(time.DateOnly), beijingDay(req.BeginDate).Format(time.DateOnly))
	}
	f.text("ComplaintedMchID", req.ComplaintedMchID, 64)
	if req.Limit != 0 {
		f.between("Limit", req.Limit, 1, maxListLimit)
	}
	f.atLeast("Offset", req.Offset, 0)
	return f
}

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

// A pager reads a list by offsets.
type pager[T any] struct {
	limit int // of the next page; it is halved for good when a page is too large
	fetch func(limit, offset int) (data []T, granted, total int, err error)
	id    func(*T) string
	seen  map[string]struct{} // ids given already; nil: nothing can come twice
}

// walk gives every item to yield, and an error last. It reports whether the
// caller wants more, which it does not after an error.
//
// The end is a page that is not full, by the limit that was asked for, or a lower
// one that the service says it granted. If it falls short of the total that the
// first page told, more is asked for nevertheless; an empty page is the end in
// any case.
func (p *pager[T]) walk(ctx context.Context, yield func(*T, error) bool) bool {
	total := 0
	for offset := 0; ; {
		data, granted, count, err := p.fetch(p.limit, offset)
		if err != nil && p.limit > 1 && tooLarge(err) {
			p.limit /= 2
			continue
		}
		if err != nil {
			yield(nil, err)
			return false
		}
		if offset == 0 {
			total = count
		}
		for i := range data {
			if id := p.id(&data[i]); p.seen != nil && id != "" {
				if _, ok := p.seen[id]; ok {
					continue
				}
				p.seen[id] = struct{}{}
			}
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return false
			}
			if !yield(&data[i], nil) {
				return false
			}
		}
		offset += len(data)
		full := p.limit
		if granted > 0 {
			full = min(full, granted)
		}
		if len(data) == 0 || len(data) < full && offset >= total {
			return true
		}
	}
}

// tooLarge decides what "the result is too large" looks like. WeChat Pay
// documents that it refuses such a page, and that a lower limit helps, but
// neither status nor code, and a message is not to be branched on. So any
// refusal of the parameters counts: where the page was not the cause, the same
// refusal comes back at limit 1, after a few cheap requests, and is returned. An
// answer over the limit of this package counts too.
func tooLarge(err error) bool {
	var refusal *APIError
	if errors.As(err, &refusal) {
		return refusal.StatusCode == http.StatusBadRequest || refusal.StatusCode == http.StatusRequestEntityTooLarge
	}
	var failed *VerificationError
	return errors.As(err, &failed) && failed.Reason == VerificationReasonBodyTooLarge
}
