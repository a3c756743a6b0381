package wechatpaytest

import (
	"slices"
	"time"
)

// order is an order that complaints are about, and what was refunded of it.
type order struct {
	orderTable
	mchid       string
	dossiers    []*dossier
	accepted    int64 // fen, refunds that were closed apart
	received    int64 // fen that reached the user
	partials    int
	lastPartial time.Time
}

// orderBook finds an order by either of its numbers. Server.mu guards it.
type orderBook struct {
	byTransactionID map[string]*order
	byTradeNo       map[tradeNo]*order
}

// tradeNo is an out_trade_no, which only its merchant makes unique.
type tradeNo struct{ mchid, number string }

// find returns the order with the transaction_id, or, if that is empty, with
// the out_trade_no; nil if there is none.
func (b *orderBook) find(mchid, transactionID, outTradeNo string) *order {
	if transactionID != "" {
		return b.byTransactionID[transactionID]
	}
	return b.byTradeNo[tradeNo{mchid, outTradeNo}]
}

// put makes the order if it is new. What the test said last about an order
// holds.
func (b *orderBook) put(mchid string, t orderTable) *order {
	o := b.byTransactionID[t.TransactionID]
	if o == nil {
		o = &order{}
		b.byTransactionID[t.TransactionID] = o
	} else if was := (tradeNo{o.mchid, o.OutTradeNo}); b.byTradeNo[was] == o {
		delete(b.byTradeNo, was)
	}
	o.orderTable, o.mchid = t, mchid
	b.byTradeNo[tradeNo{mchid, t.OutTradeNo}] = o
	return o
}

// link finds or makes the orders of a complaint. The caller holds mu.
func (d *dossier) link(s *Server) {
	d.unlink()
	for _, t := range d.table.ComplaintOrderInfo {
		o := s.orders.put(d.table.ComplaintedMchID, t)
		if !slices.Contains(o.dossiers, d) {
			o.dossiers = append(o.dossiers, d)
			d.orders = append(d.orders, o)
		}
	}
}

// unlink takes a complaint off its orders. The caller holds mu.
func (d *dossier) unlink() {
	for _, o := range d.orders {
		o.dossiers = slices.DeleteFunc(o.dossiers, func(other *dossier) bool { return other == d })
	}
	d.orders = nil
}

// paidBack says whether the money of all orders reached the user.
func (d *dossier) paidBack() bool {
	return len(d.orders) > 0 && !slices.ContainsFunc(d.orders, func(o *order) bool { return o.received < o.Amount })
}

// arrived is what money that reached the user does to the complaints that it is
// about. The caller holds mu.
func (s *Server) arrived(dossiers []*dossier, now time.Time, operateType string) {
	for _, d := range dossiers {
		if d.paidBack() {
			d.table.ComplaintFullRefunded = true
		}
		if d.approved {
			d.table.ComplaintState = "PROCESSED"
		}
		s.append(d, now, recordTable{Operator: operatorSystem, OperateType: operateType})
		s.announce(d, now, "COMPLAINT.STATE_CHANGE", "REFUND_SUCCESS", false)
	}
}
