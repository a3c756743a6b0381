package wechatpaytest

import (
	"fmt"
	"reflect"
	"slices"
	"time"
)

// Refund is a refund that the server accepted.
type Refund struct {
	OutRefundNo   string
	RefundID      string
	TransactionID string
	OutTradeNo    string
	SubMchID      string
	Amount        int64  // fen
	Status        string // PROCESSING, SUCCESS, CLOSED or ABNORMAL
}

type refund struct {
	wire      wireRefund
	subMchID  string
	request   refundBody
	notifyURL string
	order     *order
}

// The wire form of a refund.
type wireRefund struct {
	RefundID            string           `json:"refund_id"`
	OutRefundNo         string           `json:"out_refund_no"`
	TransactionID       string           `json:"transaction_id"`
	OutTradeNo          string           `json:"out_trade_no"`
	Channel             string           `json:"channel"`
	UserReceivedAccount string           `json:"user_received_account"`
	SuccessTime         string           `json:"success_time,omitempty"`
	CreateTime          string           `json:"create_time"`
	Status              string           `json:"status"`
	FundsAccount        string           `json:"funds_account,omitempty"`
	Amount              wireRefundAmount `json:"amount"`
}

type wireRefundAmount struct {
	Total            int64            `json:"total"`
	Refund           int64            `json:"refund"`
	PayerTotal       int64            `json:"payer_total"`
	PayerRefund      int64            `json:"payer_refund"`
	SettlementRefund int64            `json:"settlement_refund"`
	SettlementTotal  int64            `json:"settlement_total"`
	DiscountRefund   int64            `json:"discount_refund"`
	Currency         string           `json:"currency"`
	From             []refundFromBody `json:"from,omitempty"`
}

// Endpoint 15: create refund.

type refundBody struct {
	SubMchID      string            `json:"sub_mchid" check:"max=32"`
	TransactionID string            `json:"transaction_id" check:"max=32"`
	OutTradeNo    string            `json:"out_trade_no" check:"min=6,max=32"`
	OutRefundNo   string            `json:"out_refund_no" check:"required,bytes,max=64,form=refundnumber"`
	Reason        string            `json:"reason" check:"bytes,max=80"`
	NotifyURL     string            `json:"notify_url" check:"min=8,max=256,form=noquery"`
	FundsAccount  string            `json:"funds_account" check:"enum=AVAILABLE|UNSETTLED"`
	Amount        refundAmountBody  `json:"amount" check:"required"`
	GoodsDetail   []refundGoodsBody `json:"goods_detail"`
}

type refundAmountBody struct {
	Refund   int64            `json:"refund" check:"required,min=1"`
	Total    int64            `json:"total" check:"required,min=1"`
	Currency string           `json:"currency" check:"required,max=16,enum=CNY"`
	From     []refundFromBody `json:"from"`
}

type refundFromBody struct {
	Account string `json:"account" check:"required,enum=AVAILABLE|UNAVAILABLE"`
	Amount  int64  `json:"amount" check:"required,min=1"`
}

type refundGoodsBody struct {
	MerchantGoodsID  string `json:"merchant_goods_id" check:"required"`
	WechatpayGoodsID string `json:"wechatpay_goods_id"`
	GoodsName        string `json:"goods_name"`
	UnitPrice        int64  `json:"unit_price" check:"required,min=0"`
	RefundAmount     int64  `json:"refund_amount" check:"required,min=0"`
	RefundQuantity   int64  `json:"refund_quantity" check:"required,min=1"`
}

func (b *refundBody) check(c *call) *apiError {
	if apiErr := c.checkSubMchID(inBody, "/sub_mchid", b.SubMchID); apiErr != nil {
		return apiErr
	}
	switch {
	case b.TransactionID == "" && b.OutTradeNo == "":
		return bodyError("/transaction_id", nil, "is missing, and so is out_trade_no: one of the two names the order")
	case b.TransactionID != "" && b.OutTradeNo != "":
		return bodyError("/out_trade_no", b.OutTradeNo, "is there beside transaction_id: one of the two names the order")
	case b.Amount.Refund > b.Amount.Total:
		return bodyError("/amount/refund", b.Amount.Refund, "is more than amount.total, %d", b.Amount.Total)
	}
	var sum int64
	accounts := map[string]bool{}
	for i, f := range b.Amount.From {
		if accounts[f.Account] {
			return bodyError(fmt.Sprintf("/amount/from/%d/account", i), f.Account, "is there twice")
		}
		accounts[f.Account] = true
		sum += f.Amount
	}
	if len(b.Amount.From) > 0 && sum != b.Amount.Refund {
		return bodyError("/amount/from", nil, "has %d fen in all, and amount.refund is %d", sum, b.Amount.Refund)
	}
	return nil
}

// checkSubMchID wants sub_mchid of a service provider, and of nobody else.
func (c *call) checkSubMchID(location, field, subMchID string) *apiError {
	provider := len(c.b.SubMchIDs) > 0
	switch {
	case provider && subMchID == "":
		return paramError(location, &invalidParam{field: field, issue: "is missing, and the caller is a service provider"})
	case !provider && subMchID != "":
		return paramError(location, &invalidParam{field: field, value: subMchID, issue: "must be absent: the caller is an ordinary merchant"})
	}
	return nil
}

func (c *call) createRefund(b *refundBody) (any, *apiError) {
	if earlier := c.s.refunds[b.OutRefundNo]; earlier != nil {
		if !reflect.DeepEqual(earlier.request, *b) {
			apiErr := invalidRequest.errorf("out_refund_no %s was used with other parameters", b.OutRefundNo)
			apiErr.internal = internalRepeated
			return nil, apiErr
		}
		c.noEffect = true
		return earlier.wire, nil
	}
	if apiError := c.b.RefundRefusal; apiError.StatusCode != 0 {
		return nil, apiError.errorf("the test refuses refunds")
	}
	o, apiErr := c.refundableOrder(b)
	if apiErr != nil {
		return nil, apiErr
	}
	r := &refund{subMchID: b.SubMchID, request: *b, notifyURL: b.NotifyURL, order: o, wire: wireRefund{
		RefundID:            "50" + c.s.digits(26, "refund", b.OutRefundNo),
		OutRefundNo:         b.OutRefundNo,
		TransactionID:       o.TransactionID,
		OutTradeNo:          o.OutTradeNo,
		Channel:             "ORIGINAL",
		UserReceivedAccount: "支付用户零钱",
		CreateTime:          wholeSeconds(c.now),
		Status:              "PROCESSING",
		FundsAccount:        b.FundsAccount,
		Amount: wireRefundAmount{
			Total: o.Amount, PayerTotal: o.Amount, SettlementTotal: o.Amount,
			Refund: b.Amount.Refund, PayerRefund: b.Amount.Refund, SettlementRefund: b.Amount.Refund,
			Currency: "CNY", From: b.Amount.From,
		},
	}}
	c.s.refunds[b.OutRefundNo] = r
	c.s.refundOrder = append(c.s.refundOrder, r)
	o.accepted += b.Amount.Refund
	if b.Amount.Refund < o.Amount {
		o.partials++
		o.lastPartial = c.now
	}
	for _, cm := range o.complaints {
		kind := "COMPLAINT_FULL_REFUNDED_SYSTEM_MESSAGE"
		if slices.ContainsFunc(cm.orders, func(o *order) bool { return o.accepted < o.Amount }) {
			kind = "COMPLAINT_PARTIAL_REFUNDED_SYSTEM_MESSAGE"
		}
		c.append(cm, wireRecord{Operator: operatorSystem, OperateType: kind})
		if kind == "COMPLAINT_FULL_REFUNDED_SYSTEM_MESSAGE" { // of a partial one no notification is documented
			c.s.enqueueComplaint(cm, c.now, "COMPLAINT.STATE_CHANGE", "SELLER_REFUND", true)
		}
	}
	accepted := r.wire
	if c.b.RefundsArrive {
		c.s.settle(r, "SUCCESS", c.now)
	}
	return accepted, nil
}

// refundable finds the order, and refuses what cannot be refunded of it.
func (c *call) refundableOrder(b *refundBody) (*order, *apiError) {
	seller := c.s.mchid
	if b.SubMchID != "" {
		seller = b.SubMchID
	}
	o := c.s.orders.find(seller, b.TransactionID, b.OutTradeNo)
	if o == nil && c.owns(seller) {
		return nil, notExists.errorf("there is no order %s%s", b.TransactionID, b.OutTradeNo)
	}
	if !c.owns(seller) || o.mchid != seller {
		return nil, noAuth.errorf("merchant %s has no permission to refund this order", seller)
	}
	switch {
	case b.Amount.Total != o.Amount:
		return nil, invalidRequest.errorf("amount.total is %d, and the order's amount %d", b.Amount.Total, o.Amount)
	case o.accepted+b.Amount.Refund > o.Amount:
		return nil, invalidRequest.errorf("amount.refund is %d, and %d of the order are still refundable", b.Amount.Refund, o.Amount-o.accepted)
	case len(b.Amount.From) > 0 && slices.ContainsFunc(o.complaints, func(cm *complaint) bool { return cm.wire.ComplaintState != "PROCESSED" }):
		return nil, invalidRequest.errorf("amount.from is refused for an order under complaint")
	}
	if b.Amount.Refund < o.Amount {
		if o.partials >= 50 {
			return nil, invalidRequest.errorf("the order had 50 partial refunds, and no more are taken")
		}
		if o.partials > 0 && c.now.Sub(o.lastPartial) < time.Minute {
			apiErr := rateLimited.errorf("partial refunds of an order are taken a minute apart")
			apiErr.internal = internalFrequency
			return nil, apiErr
		}
	}
	return o, nil
}

// Endpoint 16: query refund.

type refundQuery struct {
	SubMchID string `json:"sub_mchid" check:"max=32"`
}

func (q *refundQuery) check(c *call) *apiError {
	return c.checkSubMchID(inQuery, "sub_mchid", q.SubMchID)
}

func (c *call) getRefund(q *refundQuery) (any, *apiError) {
	r := c.s.refunds[c.id]
	if r == nil || r.subMchID != q.SubMchID {
		return nil, notExists.errorf("there is no refund %s", c.id)
	}
	return r.wire, nil
}

// Refunds returns the refunds that the server accepted, in order.
func (s *Server) Refunds() []Refund {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Refund, len(s.refundOrder))
	for i, r := range s.refundOrder {
		all[i] = Refund{r.wire.OutRefundNo, r.wire.RefundID, r.wire.TransactionID, r.wire.OutTradeNo, r.subMchID, r.wire.Amount.Refund, r.wire.Status}
	}
	return all
}

// SettleRefund brings a refund that is PROCESSING or ABNORMAL to a status:
// SUCCESS, it reached the user, and complaints that were approved are
// PROCESSED; CLOSED, it failed, and what it was to refund can be refunded
// again, under another number; ABNORMAL, the bank refused it. If the refund has
// a notify_url, its notification is due.
func (s *Server) SettleRefund(outRefundNo, status string) error {
	if !slices.Contains([]string{"SUCCESS", "CLOSED", "ABNORMAL"}, status) {
		return fmt.Errorf("wechatpaytest: a refund cannot be settled as %q: there are SUCCESS, CLOSED and ABNORMAL", status)
	}
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.refunds[outRefundNo]
	if r == nil {
		return fmt.Errorf("wechatpaytest: there is no refund %q", outRefundNo)
	}
	if was := r.wire.Status; was == "SUCCESS" || was == "CLOSED" {
		return fmt.Errorf("wechatpaytest: refund %s is %s, which is final", outRefundNo, was)
	}
	s.settle(r, status, now)
	return nil
}

// settle ends a refund. The caller holds mu.
func (s *Server) settle(r *refund, status string, now time.Time) {
	r.wire.Status = status
	switch status {
	case "CLOSED":
		r.order.accepted -= r.wire.Amount.Refund
	case "SUCCESS":
		r.wire.SuccessTime = wholeSeconds(now)
		r.order.received += r.wire.Amount.Refund
		s.refundArrived(r.order.complaints, now, "COMPLAINT_REFUND_RECEIVED_SYSTEM_MESSAGE")
	}
	if r.notifyURL != "" {
		s.post(now, r.notifyURL, Notification{
			ID:          s.eventID("refund", r.wire.OutRefundNo, s.number("notification about refund "+r.wire.OutRefundNo)),
			EventType:   "REFUND." + status,
			OutRefundNo: r.wire.OutRefundNo,
		})
	}
}
