package wechatpaytest

import (
	"slices"
	"time"
)

// An order is an order that complaints are about, with its refunds.
type order struct {
	wireOrder
	mchid       string
	complaints  []*complaint
	accepted    int64 // fen, without closed refunds
	received    int64 // fen that reached the user
	partials    int   // partial refunds
	lastPartial time.Time
}

// orderBook finds orders by their numbers. Server.mu guards it.
type orderBook struct {
	byTransactionID map[string]*order
	byTradeNo       map[tradeNo]*order
}

// A tradeNo is an out_trade_no, which is unique per merchant.
type tradeNo struct{ mchid, number string }

// find returns the order with the transaction_id or, if that is empty, with the
// out_trade_no. It returns nil if there is none.
func (b *orderBook) find(mchid, transactionID, outTradeNo string) *order {
	if transactionID != "" {
		return b.byTransactionID[transactionID]
	}
	return b.byTradeNo[tradeNo{mchid, outTradeNo}]
}

// put adds an order, or updates the one with the same transaction_id.
func (b *orderBook) put(mchid string, t wireOrder) *order {
	o := b.byTransactionID[t.TransactionID]
	if o == nil {
		o = &order{}
		b.byTransactionID[t.TransactionID] = o
	} else if old := (tradeNo{o.mchid, o.OutTradeNo}); b.byTradeNo[old] == o {
		delete(b.byTradeNo, old)
	}
	o.wireOrder, o.mchid = t, mchid
	b.byTradeNo[tradeNo{mchid, t.OutTradeNo}] = o
	return o
}

// linkOrders connects the complaint with its orders. The caller holds mu.
func (cm *complaint) linkOrders(s *Server) {
	cm.unlinkOrders()
	for _, t := range cm.wire.ComplaintOrderInfo {
		o := s.orders.put(cm.wire.ComplaintedMchID, t)
		if !slices.Contains(o.complaints, cm) {
			o.complaints = append(o.complaints, cm)
			cm.orders = append(cm.orders, o)
		}
	}
}

// unlinkOrders reverses linkOrders. The caller holds mu.
func (cm *complaint) unlinkOrders() {
	for _, o := range cm.orders {
		o.complaints = slices.DeleteFunc(o.complaints, func(other *complaint) bool { return other == cm })
	}
	cm.orders = nil
}

// fullyReceived reports whether the user received the full amount of all orders.
func (cm *complaint) fullyReceived() bool {
	return len(cm.orders) > 0 && !slices.ContainsFunc(cm.orders, func(o *order) bool { return o.received < o.Amount })
}

// refundArrived updates complaints after a refund of one of their orders has
// reached the user. The caller holds mu.
func (s *Server) refundArrived(complaints []*complaint, now time.Time, operateType string) {
	for _, cm := range complaints {
		if cm.fullyReceived() {
			cm.wire.ComplaintFullRefunded = true
		}
		if cm.approved {
			cm.wire.ComplaintState = "PROCESSED"
		}
		s.addRecord(cm, now, wireRecord{Operator: operatorSystem, OperateType: operateType})
		s.notifyComplaint(cm, now, "REFUND_SUCCESS", false)
	}
}
