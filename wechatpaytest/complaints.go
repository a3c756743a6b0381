package wechatpaytest

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"
)

// GET /v3/merchant-service/complaints-v2

type listQuery struct {
	BeginDate        string `json:"begin_date" check:"required,form=date"`
	EndDate          string `json:"end_date" check:"required,form=date"`
	Limit            *int   `json:"limit" check:"min=1,max=50"`
	Offset           int    `json:"offset" check:"min=0"`
	ComplaintedMchID string `json:"complainted_mchid" check:"max=64"`
}

// maxDays is how many days a list may span, including both ends. The documents
// do not say how to count them.
const maxDays = 30

func (q *listQuery) check(*call) *apiError {
	begin, _ := time.Parse(time.DateOnly, q.BeginDate) // valid by the schema
	end, _ := time.Parse(time.DateOnly, q.EndDate)
	if end.Before(begin) {
		return queryError("begin_date", q.BeginDate, "must not be after end_date")
	}
	if days := int(end.Sub(begin).Hours()/24) + 1; days > maxDays {
		return queryError("end_date", q.EndDate, "is too late: the list may span %d days, got %d", maxDays, days)
	}
	return nil
}

// page is the response of the list and of the history.
type page[T any] struct {
	Data       []T  `json:"data,omitempty"`
	Limit      int  `json:"limit"`
	Offset     int  `json:"offset"`
	TotalCount *int `json:"total_count,omitempty"` // only with offset 0
}

// paginate returns a page of all entries, which are sorted oldest first.
func paginate[From, To any](
	c *call, all []From, limit, offset int, oldestFirst bool, convert func(From) To,
) (any, *apiError) {
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
		p.Data = append(p.Data, convert(all[at]))
	}
	if c.b.MaxPage > 0 && len(p.Data) > c.b.MaxPage {
		return nil, c.b.ResultTooLarge.errorf("result too large: %d entries; use a smaller limit", len(p.Data))
	}
	return p, nil
}

func (c *call) listComplaints(q *listQuery) (any, *apiError) {
	if q.ComplaintedMchID != "" && !c.owns(q.ComplaintedMchID) {
		return nil, noAuth.errorf("merchant %s is neither the caller nor one of its sub-merchants", q.ComplaintedMchID)
	}
	begin, _ := time.ParseInLocation(time.DateOnly, q.BeginDate, beijing)
	end, _ := time.ParseInLocation(time.DateOnly, q.EndDate, beijing)
	end = end.AddDate(0, 0, 1)
	var found []*complaint
	for _, cm := range c.s.filed {
		mchID, filed := cm.wire.ComplaintedMchID, c.filingTime(cm)
		if filed.Before(begin) || !filed.Before(end) || !c.owns(mchID) ||
			q.ComplaintedMchID != "" && q.ComplaintedMchID != mchID ||
			!c.visible(cm.added, c.b.ListLag, cm.wire.ComplaintID) {
			continue
		}
		found = append(found, cm)
	}
	c.sortList(found)
	return paginate(c, found, orDefault(q.Limit, 10), q.Offset, c.b.ListOldestFirst, func(cm *complaint) wireComplaint {
		t := c.s.detail(cm, c.cert)
		t.PayerOpenID = "" // only in the detail
		return t
	})
}

// filingTime returns the time under which the list has a complaint.
func (c *call) filingTime(cm *complaint) time.Time {
	if c.b.ListByLastFiling {
		return cm.lastFiled
	}
	return cm.filed
}

// sortList sorts the complaints of a list, which are sorted by their first
// filing, oldest first.
func (c *call) sortList(list []*complaint) {
	switch {
	case c.b.ListByChange:
		slices.SortFunc(list, func(a, b *complaint) int { return cmp.Compare(a.changed, b.changed) })
	case c.b.ListByLastFiling:
		slices.SortStableFunc(list, func(a, b *complaint) int { return a.lastFiled.Compare(b.lastFiled) })
	}
}

// visible reports whether something with an id, which was added at a time, is
// visible despite the lag.
func (c *call) visible(added time.Time, lag time.Duration, id string) bool {
	if c.b.VaryLag && lag > 0 {
		sum := c.s.hash("lag", id)
		lag = time.Duration(binary.BigEndian.Uint64(sum[:]) % uint64(lag+1))
	}
	return !added.Add(lag).After(c.now)
}

func orDefault(n *int, def int) int {
	if n == nil {
		return def
	}
	return *n
}

// GET /v3/merchant-service/complaints-v2/{complaint_id}

func (c *call) getComplaint(*noParams) (any, *apiError) {
	cm, apiErr := c.findComplaint()
	if apiErr != nil {
		return nil, apiErr
	}
	return c.s.detail(cm, c.cert), nil
}

// GET /v3/merchant-service/complaints-v2/{complaint_id}/negotiation-historys

type historyQuery struct {
	Limit  *int `json:"limit" check:"min=1,max=300"`
	Offset int  `json:"offset" check:"min=0"`
}

func (c *call) negotiationHistory(q *historyQuery) (any, *apiError) {
	cm, apiErr := c.findComplaint()
	if apiErr != nil {
		return nil, apiErr
	}
	shown := make([]*record, 0, len(cm.records))
	for i := range cm.records {
		if r := &cm.records[i]; c.visible(r.at, c.b.HistoryLag, r.LogID) {
			shown = append(shown, r)
		}
	}
	return paginate(c, shown, orDefault(q.Limit, 100), q.Offset, c.b.HistoryOldestFirst, func(r *record) wireRecord {
		return r.wire(c.s, c.now)
	})
}
