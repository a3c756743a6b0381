package wechatpaytest

import (
	"fmt"
	"time"
)

// Endpoint 1: list.

type listQuery struct {
	BeginDate        string `json:"begin_date" check:"required,form=date"`
	EndDate          string `json:"end_date" check:"required,form=date"`
	Limit            *int   `json:"limit" check:"min=1,max=50"`
	Offset           int    `json:"offset" check:"min=0"`
	ComplaintedMchID string `json:"complainted_mchid" check:"max=64"`
}

// maxSpan is how many days the list may span, both ends counted. The documents
// say 30 and not how they count.
const maxDays = 30

func (q *listQuery) check(*call) *apiError {
	begin, _ := time.Parse(time.DateOnly, q.BeginDate) // the schema let them through
	end, _ := time.Parse(time.DateOnly, q.EndDate)
	if end.Before(begin) {
		return paramError(inQuery, &invalidParam{field: "begin_date", value: q.BeginDate, issue: "is after end_date"})
	}
	if days := int(end.Sub(begin).Hours()/24) + 1; days > maxDays {
		return paramError(inQuery, &invalidParam{field: "end_date", value: q.EndDate,
			issue: fmt.Sprintf("is too far from begin_date: the span is %d days, and may be %d", days, maxDays)})
	}
	return nil
}

// page is the answer of the list and of the history.
type page[T any] struct {
	Data       []T  `json:"data,omitempty"`
	Limit      int  `json:"limit"`
	Offset     int  `json:"offset"`
	TotalCount *int `json:"total_count,omitempty"` // only with offset 0
}

// cutPage cuts the page out of all entries, which stand oldest first.
func paginate[From, To any](c *call, all []From, limit, offset int, oldestFirst bool, take func(From) To) (*page[To], *apiError) {
	p := &page[To]{Limit: limit, Offset: offset}
	total := len(all)
	if offset == 0 {
		p.TotalCount = &total
	}
	for i := offset; i < total && i-offset < limit; i++ {
		at := i
		if !oldestFirst {
			at = total - 1 - i
		}
		p.Data = append(p.Data, take(all[at]))
	}
	if c.b.MaxPage > 0 && len(p.Data) > c.b.MaxPage {
		return nil, c.b.ResultTooLarge.errorf("the result is too large: %d entries; ask with a smaller limit", len(p.Data))
	}
	return p, nil
}

func (c *call) listComplaints(q *listQuery) (any, *apiError) {
	if q.ComplaintedMchID != "" && !c.owns(q.ComplaintedMchID) {
		return nil, noAuth.errorf("merchant %s is not the caller %s, nor one of its sub-merchants", q.ComplaintedMchID, c.s.mchid)
	}
	begin, _ := time.ParseInLocation(time.DateOnly, q.BeginDate, beijing)
	end, _ := time.ParseInLocation(time.DateOnly, q.EndDate, beijing)
	end = end.AddDate(0, 0, 1)
	var found []*complaint
	for _, cm := range c.s.filed {
		if cm.filed.Before(begin) || !cm.filed.Before(end) || !c.owns(cm.wire.ComplaintedMchID) ||
			q.ComplaintedMchID != "" && q.ComplaintedMchID != cm.wire.ComplaintedMchID {
			continue
		}
		found = append(found, cm)
	}
	p, apiErr := paginate(c, found, orDefault(q.Limit, 10), q.Offset, c.b.ListOldestFirst, func(cm *complaint) wireComplaint {
		t := c.s.detail(cm, c.merchant)
		t.PayerOpenID = "" // only the detail has it
		return t
	})
	if apiErr != nil {
		return nil, apiErr
	}
	return p, nil
}

func orDefault(n *int, otherwise int) int {
	if n == nil {
		return otherwise
	}
	return *n
}

// Endpoint 2: detail.

func (c *call) getComplaint(*noParams) (any, *apiError) {
	cm, apiErr := c.find()
	if apiErr != nil {
		return nil, apiErr
	}
	return c.s.detail(cm, c.merchant), nil
}

// Endpoint 3: negotiation history.

type historyQuery struct {
	Limit  *int `json:"limit" check:"min=1,max=300"`
	Offset int  `json:"offset" check:"min=0"`
}

func (c *call) negotiationHistory(q *historyQuery) (any, *apiError) {
	cm, apiErr := c.find()
	if apiErr != nil {
		return nil, apiErr
	}
	shown := make([]*record, 0, len(cm.records))
	for i := range cm.records {
		if r := &cm.records[i]; !r.at.Add(c.b.HistoryLag).After(c.now) {
			shown = append(shown, r)
		}
	}
	p, apiErr := paginate(c, shown, orDefault(q.Limit, 100), q.Offset, c.b.HistoryOldestFirst, func(r *record) wireRecord { return r.wire(c.s, c.now) })
	if apiErr != nil {
		return nil, apiErr
	}
	return p, nil
}
