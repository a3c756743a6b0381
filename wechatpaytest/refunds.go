package wechatpaytest

import (
	"cmp"
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
	MchID         string // the merchant that sent it
	SubMchID      string
	Amount        int64  // fen
	Status        string // PROCESSING, SUCCESS, CLOSED or ABNORMAL
}

type refund struct {
	caller    *Merchant
	wire      wireRefund
	subMchID  string
	request   refundBody
	notifyURL string
	order     *order
	accepted  time.Time
	notified  int // notifications
}

// refundKey identifies a refund: numbers are unique per merchant.
type refundKey struct{ mchid, number string }

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

// POST /v3/refund/domestic/refunds

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
		return bodyError("/transaction_id", nil, "is required unless out_trade_no is set")
	case b.Amount.Refund > b.Amount.Total:
		return bodyError("/amount/refund", b.Amount.Refund, "must be at most amount.total (%d)", b.Amount.Total)
	}
	var sum int64
	accounts := map[string]bool{}
	for i, f := range b.Amount.From {
		if accounts[f.Account] {
			return bodyError(fmt.Sprintf("/amount/from/%d/account", i), f.Account, "appears twice")
		}
		accounts[f.Account] = true
		sum += f.Amount
	}
	if len(b.Amount.From) > 0 && sum != b.Amount.Refund {
		return bodyError("/amount/from", nil, "must add up to amount.refund (%d), got %d", b.Amount.Refund, sum)
	}
	return nil
}

// checkSubMchID checks that a service provider sends a sub_mchid, and that an
// ordinary merchant does not.
func (c *call) checkSubMchID(location, field, subMchID string) *apiError {
	provider := len(c.merchant.subMerchants(c.b)) > 0
	switch {
	case provider && subMchID == "":
		return paramError(location, &invalidParam{field: field, issue: "is required for a service provider"})
	case !provider && subMchID != "":
		return paramError(location, &invalidParam{field, subMchID, "is not allowed for an ordinary merchant"})
	}
	return nil
}

func (c *call) createRefund(b *refundBody) (any, *apiError) {
	key := refundKey{c.merchant.mchid, b.OutRefundNo}
	if earlier := c.s.refunds[key]; earlier != nil {
		if !reflect.DeepEqual(earlier.request, *b) {
			apiErr := invalidRequest.errorf("out_refund_no %s was already used with other parameters", b.OutRefundNo)
			apiErr.internal = internalRepeated
			return nil, apiErr
		}
		c.noEffect = true
		return earlier.wire, nil
	}
	if r := c.b.RefundRefusal; r.StatusCode != 0 {
		return nil, r.errorf("refund refused by Behavior.RefundRefusal")
	}
	o, apiErr := c.refundableOrder(b)
	if apiErr != nil {
		return nil, apiErr
	}
	r := c.newRefund(b, o)
	c.s.refunds[key] = r
	c.s.refundOrder = append(c.s.refundOrder, r)
	o.accepted += b.Amount.Refund
	if b.Amount.Refund < o.Amount {
		o.partials++
		o.lastPartial = c.now
	}
	for _, cm := range o.complaints {
		c.s.refundAccepted(cm, c.now)
	}
	accepted := r.wire
	if c.b.RefundsArrive {
		c.s.settleRefund(r, "SUCCESS", c.now)
	}
	return accepted, nil
}

func (c *call) newRefund(b *refundBody, o *order) *refund {
	return &refund{
		caller:    c.merchant,
		subMchID:  b.SubMchID,
		request:   *b,
		notifyURL: b.NotifyURL,
		order:     o,
		accepted:  c.now,
		wire: wireRefund{
			RefundID:            "50" + c.s.digits(26, "refund", c.merchant.mchid, b.OutRefundNo),
			OutRefundNo:         b.OutRefundNo,
			TransactionID:       o.TransactionID,
			OutTradeNo:          o.OutTradeNo,
			Channel:             "ORIGINAL",
			UserReceivedAccount: "支付用户零钱",
			CreateTime:          wholeSeconds(c.now),
			Status:              "PROCESSING",
			FundsAccount:        b.FundsAccount,
			Amount: wireRefundAmount{
				Total:            o.Amount,
				PayerTotal:       o.Amount,
				SettlementTotal:  o.Amount,
				Refund:           b.Amount.Refund,
				PayerRefund:      b.Amount.Refund,
				SettlementRefund: b.Amount.Refund,
				Currency:         "CNY",
				From:             b.Amount.From,
			},
		},
	}
}

// refundAccepted records in a complaint that a refund of one of its orders was
// accepted. A notification is only documented for full refunds. The caller holds
// mu.
func (s *Server) refundAccepted(cm *complaint, now time.Time) {
	partial := slices.ContainsFunc(cm.orders, func(o *order) bool { return o.accepted < o.Amount })
	r := wireRecord{Operator: operatorSystem, OperateType: "COMPLAINT_FULL_REFUNDED_SYSTEM_MESSAGE"}
	if partial {
		r.OperateType = "COMPLAINT_PARTIAL_REFUNDED_SYSTEM_MESSAGE"
	}
	s.addRecord(cm, now, r)
	if !partial {
		s.notifyComplaint(cm, now, "SELLER_REFUND", true)
	}
}

// refundableOrder returns the order of a refund, or an error if it cannot be
// refunded.
func (c *call) refundableOrder(b *refundBody) (*order, *apiError) {
	seller := c.merchant.mchid
	if b.SubMchID != "" {
		seller = b.SubMchID
	}
	o := c.s.orders.find(seller, b.TransactionID, b.OutTradeNo)
	if o == nil && c.owns(seller) {
		return nil, notExists.errorf("unknown order %s", cmp.Or(b.TransactionID, b.OutTradeNo))
	}
	if !c.owns(seller) || o.mchid != seller {
		return nil, noAuth.errorf("merchant %s has no permission to refund this order", seller)
	}
	if b.OutTradeNo != "" && b.OutTradeNo != o.OutTradeNo {
		return nil, bodyError("/out_trade_no", b.OutTradeNo, "is not the number of order %s", o.TransactionID)
	}
	total, refund, left := b.Amount.Total, b.Amount.Refund, o.Amount-o.accepted
	open := func(cm *complaint) bool { return cm.wire.ComplaintState != "PROCESSED" }
	switch {
	case total != o.Amount:
		return nil, invalidRequest.errorf("amount.total must equal the order amount (%d), got %d", o.Amount, total)
	case refund > left:
		return nil, invalidRequest.errorf("amount.refund (%d) exceeds the refundable amount (%d)", refund, left)
	case len(b.Amount.From) > 0 && slices.ContainsFunc(o.complaints, open):
		return nil, invalidRequest.errorf("amount.from is not allowed for an order with an open complaint")
	case refund == o.Amount || o.partials == 0:
		return o, nil
	case o.partials >= 50:
		return nil, invalidRequest.errorf("the order already has 50 partial refunds, the maximum")
	case c.now.Sub(o.lastPartial) < time.Minute:
		apiErr := rateLimited.errorf("partial refunds of an order must be at least a minute apart")
		apiErr.internal = internalFrequency
		return nil, apiErr
	}
	return o, nil
}

// GET /v3/refund/domestic/refunds/{out_refund_no}

type refundQuery struct {
	SubMchID string `json:"sub_mchid" check:"max=32"`
}

func (q *refundQuery) check(c *call) *apiError {
	return c.checkSubMchID(inQuery, "sub_mchid", q.SubMchID)
}

func (c *call) getRefund(q *refundQuery) (any, *apiError) {
	r := c.s.refunds[refundKey{c.merchant.mchid, c.id}]
	if r == nil || r.subMchID != q.SubMchID || !c.visible(r.accepted, c.b.RefundLag, c.id) {
		return nil, notExists.errorf("unknown refund %s", c.id)
	}
	return r.wire, nil
}

// Refunds returns the refunds that the server accepted, in that order.
func (s *Server) Refunds() []Refund {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Refund, len(s.refundOrder))
	for i, r := range s.refundOrder {
		all[i] = Refund{
			OutRefundNo:   r.wire.OutRefundNo,
			RefundID:      r.wire.RefundID,
			TransactionID: r.wire.TransactionID,
			OutTradeNo:    r.wire.OutTradeNo,
			MchID:         r.caller.mchid,
			SubMchID:      r.subMchID,
			Amount:        r.wire.Amount.Refund,
			Status:        r.wire.Status,
		}
	}
	return all
}

// SettleRefund sets the status of a refund that is PROCESSING or ABNORMAL. If
// the refund has a notify_url, a notification becomes due.
//
//   - SUCCESS: the refund reached the user. Approved complaints about the order
//     become PROCESSED.
//   - CLOSED: the refund failed. Its amount can be refunded again under another
//     number.
//   - ABNORMAL: the bank rejected the refund.
func (s *Server) SettleRefund(outRefundNo, status string) error {
	if !slices.Contains([]string{"SUCCESS", "CLOSED", "ABNORMAL"}, status) {
		return fmt.Errorf("wechatpaytest: SettleRefund: status must be SUCCESS, CLOSED or ABNORMAL, got %q", status)
	}
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.findRefund(outRefundNo)
	if err != nil {
		return fmt.Errorf("wechatpaytest: SettleRefund: %w", err)
	}
	if old := r.wire.Status; old == "SUCCESS" || old == "CLOSED" {
		return fmt.Errorf("wechatpaytest: SettleRefund: refund %s is already %s", outRefundNo, old)
	}
	s.settleRefund(r, status, now)
	return nil
}

// findRefund returns the refund with a number. The caller holds mu.
func (s *Server) findRefund(number string) (*refund, error) {
	var found *refund
	for _, m := range s.merchants {
		switch r := s.refunds[refundKey{m.mchid, number}]; {
		case r != nil && found != nil:
			return nil, fmt.Errorf("refund %q exists for several merchants", number)
		case r != nil:
			found = r
		}
	}
	if found == nil {
		return nil, fmt.Errorf("unknown refund %q", number)
	}
	return found, nil
}

// settleRefund sets the status of a refund. The caller holds mu.
func (s *Server) settleRefund(r *refund, status string, now time.Time) {
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
		no := r.wire.OutRefundNo
		r.notified++
		s.enqueue(now, r.notifyURL, Notification{
			MchID:       r.caller.mchid,
			ID:          s.eventID("refund", s.resets, r.caller.mchid, no, r.notified),
			EventType:   "REFUND." + status,
			OutRefundNo: no,
		})
	}
}
