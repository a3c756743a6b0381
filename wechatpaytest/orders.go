package wechatpaytest

import (
	"slices"
	"time"
)

// order is an order that complaints are about, and what was refunded of it.
type order struct {
	wireOrder
	mchid       string
	complaints  []*complaint
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
func (b *orderBook) put(mchid string, t wireOrder) *order {
	o := b.byTransactionID[t.TransactionID]
	if o == nil {
		o = &order{}
		b.byTransactionID[t.TransactionID] = o
	} else if was := (tradeNo{o.mchid, o.OutTradeNo}); b.byTradeNo[was] == o {
		delete(b.byTradeNo, was)
	}
	o.wireOrder, o.mchid = t, mchid
	b.byTradeNo[tradeNo{mchid, t.OutTradeNo}] = o
	return o
}

// link finds or makes the orders of a complaint. The caller holds mu.
func (cm *complaint) link(s *Server) {
	cm.unlink()
	for _, t := range cm.wire.ComplaintOrderInfo {
		o := s.orders.put(cm.wire.ComplaintedMchID, t)
		if !slices.Contains(o.complaints, cm) {
			o.complaints = append(o.complaints, cm)
			cm.orders = append(cm.orders, o)
		}
	}
}

// unlink takes a complaint off its orders. The caller holds mu.
func (cm *complaint) unlink() {
	for _, o := range cm.orders {
		o.complaints = slices.DeleteFunc(o.complaints, func(other *complaint) bool { return other == cm })
	}
	cm.orders = nil
}

// paidBack says whether the money of all orders reached the user.
func (cm *complaint) fullyReceived() bool {
	return len(cm.orders) > 0 && !slices.ContainsFunc(cm.orders, func(o *order) bool { return o.received < o.Amount })
}

// arrived is what money that reached the user does to the complaints that it is
// about. The caller holds mu.
func (s *Server) refundArrived(complaints []*complaint, now time.Time, operateType string) {
	for _, cm := range complaints {
		if cm.fullyReceived() {
			cm.wire.ComplaintFullRefunded = true
		}
		if cm.approved {
			cm.wire.ComplaintState = "PROCESSED"
		}
		s.append(cm, now, wireRecord{Operator: operatorSystem, OperateType: operateType})
		s.enqueueComplaint(cm, now, "COMPLAINT.STATE_CHANGE", "REFUND_SUCCESS", false)
	}
}
