package wechatpay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// RefundsService creates and reads refunds. It is a field of Client, and safe
// for concurrent use.
type RefundsService struct {
	client *Client
}

const refundsPath = "/v3/refund/domestic/refunds"

// CreateRefundRequest refunds an order, or a part of it.
type CreateRefundRequest struct {
	// SubMchID is the merchant of the order, at most 32 characters. Service
	// providers must set it, others must not.
	SubMchID string `json:"sub_mchid,omitempty"`
	// TransactionID (WeChat Pay's order number, at most 32 characters) or
	// OutTradeNo (the merchant's, 6 to 32) names the order. Set one of them,
	// preferably TransactionID.
	TransactionID string `json:"transaction_id,omitempty"`
	OutTradeNo    string `json:"out_trade_no,omitempty"`
	// OutRefundNo is the merchant's number of the refund: 1 to 64 of the
	// characters 0-9 A-Z a-z _ - | * @, unique per merchant. WeChat Pay refunds
	// a number once.
	OutRefundNo string `json:"out_refund_no"`
	// Reason, at most 80 bytes, is shown to the user, except for a partial
	// refund of 1 yuan or less.
	Reason string `json:"reason,omitempty"`
	// NotifyURL receives the notifications of this refund instead of the
	// configured URL: 8 to 256 characters, no query.
	NotifyURL string `json:"notify_url,omitempty"`
	// FundsAccount is FundsAccountAvailable or FundsAccountUnsettled, for
	// merchants who need it.
	FundsAccount FundsAccount        `json:"funds_account,omitempty"`
	Amount       CreateRefundAmount  `json:"amount"`
	GoodsDetail  []RefundGoodsDetail `json:"goods_detail,omitempty"`
}

// CreateRefundAmount is the amount of a refund.
type CreateRefundAmount struct {
	Refund   int64  `json:"refund"`   // fen, 1 to Total
	Total    int64  `json:"total"`    // fen, of the whole order
	Currency string `json:"currency"` // empty: CNY
	// From lists the accounts that pay, each once. Their sum is Refund. WeChat
	// Pay refuses it for an order under complaint.
	From []RefundFrom `json:"from,omitempty"`
}

// RefundFrom is the part that one of the merchant's accounts pays.
type RefundFrom struct {
	Account FundsAccount `json:"account,omitempty"` // FundsAccountAvailable or FundsAccountUnavailable
	Amount  int64        `json:"amount"`            // fen
}

// RefundGoodsDetail is an item of the order that is refunded.
type RefundGoodsDetail struct {
	MerchantGoodsID  string `json:"merchant_goods_id,omitempty"`  // the merchant's item number; required
	WechatpayGoodsID string `json:"wechatpay_goods_id,omitempty"` // WeChat Pay's item number
	GoodsName        string `json:"goods_name,omitempty"`
	UnitPrice        int64  `json:"unit_price"`      // fen
	RefundAmount     int64  `json:"refund_amount"`   // fen
	RefundQuantity   int64  `json:"refund_quantity"` // pieces
}

// Refund is the state of a refund. An accepted refund has not reached the user
// yet: see Status. As in a Complaint, fields that cannot be read stay zero, except
// those tagged wire:"strict".
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012556587
type Refund struct {
	RefundID      string        `json:"refund_id,omitempty"`                    // WeChat Pay's refund number
	OutRefundNo   string        `json:"out_refund_no,omitempty" wire:"strict"`  // the merchant's refund number
	TransactionID string        `json:"transaction_id,omitempty" wire:"strict"` // WeChat Pay's order number
	OutTradeNo    string        `json:"out_trade_no,omitempty" wire:"strict"`   // the merchant's order number
	Channel       RefundChannel `json:"channel,omitempty"`                      // how the money goes back

	UserReceivedAccount string `json:"user_received_account,omitempty"` // Chinese text, such as a bank's name

	SuccessTime     time.Time               `json:"success_time,omitzero"` // only with RefundStatusSuccess
	CreateTime      time.Time               `json:"create_time,omitzero"`  // when it was accepted
	Status          RefundStatus            `json:"status,omitempty" wire:"strict"`
	FundsAccount    FundsAccount            `json:"funds_account,omitempty"` // which account paid
	Amount          RefundAmount            `json:"amount" wire:"strict"`
	PromotionDetail []RefundPromotionDetail `json:"promotion_detail,omitempty"`
}

// UnmarshalJSON implements json.Unmarshaler. It accepts what Create and Get
// accept.
func (r *Refund) UnmarshalJSON(data []byte) error {
	type plain Refund
	return unmarshal(data, (*plain)(r))
}

// RefundAmount is the amount of a refund, in fen.
type RefundAmount struct {
	Total            int64        `json:"total" wire:"strict"`             // of the order
	Refund           int64        `json:"refund" wire:"strict"`            // refunded
	From             []RefundFrom `json:"from,omitempty"`                  // the accounts that pay
	PayerTotal       int64        `json:"payer_total" wire:"strict"`       // what the user paid of Total
	PayerRefund      int64        `json:"payer_refund" wire:"strict"`      // what the user receives of Refund
	SettlementRefund int64        `json:"settlement_refund" wire:"strict"` // Refund without coupons not settled
	SettlementTotal  int64        `json:"settlement_total" wire:"strict"`  // Total without coupons not settled
	DiscountRefund   int64        `json:"discount_refund" wire:"strict"`   // coupons refunded
	Currency         string       `json:"currency,omitempty"`              // CNY
	RefundFee        int64        `json:"refund_fee"`                      // fee refunded; 0 if it is not whole fen
}

// RefundPromotionDetail is a coupon that is returned with a refund.
type RefundPromotionDetail struct {
	PromotionID  string              `json:"promotion_id,omitempty"`
	Scope        string              `json:"scope,omitempty"` // GLOBAL (the order) or SINGLE (some goods)
	Type         string              `json:"type,omitempty"`  // CASH or NOCASH; older: COUPON or DISCOUNT
	Amount       int64               `json:"amount"`          // fen, of the coupon
	RefundAmount int64               `json:"refund_amount"`   // fen, refunded of it
	GoodsDetail  []RefundGoodsDetail `json:"goods_detail,omitempty"`
}

// RefundStatus is the progress of a refund.
type RefundStatus string

// Values of RefundStatus.
const (
	RefundStatusSuccess    RefundStatus = "SUCCESS"    // it reached the user
	RefundStatusProcessing RefundStatus = "PROCESSING" // accepted; a wallet takes minutes, a card 1 to 3 working days
	RefundStatusClosed     RefundStatus = "CLOSED"     // failed permanently; a new attempt needs a new number
	RefundStatusAbnormal   RefundStatus = "ABNORMAL"   // the bank refused it: act in the merchant platform
)

// RefundChannel is how the money of a refund goes back.
type RefundChannel string

// Values of RefundChannel.
const (
	RefundChannelOriginal      RefundChannel = "ORIGINAL"       // the way it was paid
	RefundChannelBalance       RefundChannel = "BALANCE"        // to the user's balance
	RefundChannelOtherBalance  RefundChannel = "OTHER_BALANCE"  // to another balance, because the original way failed
	RefundChannelOtherBankcard RefundChannel = "OTHER_BANKCARD" // to another card, because the original way failed
)

// FundsAccount is an account of the merchant.
type FundsAccount string

// Values of FundsAccount in responses. A request accepts some of them.
const (
	FundsAccountUnsettled   FundsAccount = "UNSETTLED"
	FundsAccountAvailable   FundsAccount = "AVAILABLE"
	FundsAccountUnavailable FundsAccount = "UNAVAILABLE"
	FundsAccountOperation   FundsAccount = "OPERATION"
	FundsAccountBasic       FundsAccount = "BASIC"
	FundsAccountECNYBasic   FundsAccount = "ECNY_BASIC"
)

// Create creates a refund. nil means that WeChat Pay accepted it, not that the
// money arrived: see Refund.Status, or wait for the notification.
//
// WeChat Pay refunds a number once, however often it is sent. After a failure in
// doubt, a 429 included, the number is looked up, and sent again if WeChat Pay
// does not know it. An error that wraps ErrOutcomeUnknown has the number as its
// IdempotencyKey: call Create or Get with it. After ErrorCodeNotEnough, top up
// and send the same number. After RefundStatusClosed, use a new number.
//
// For the refund of a complaint use ComplaintsV2.Refund, which pays once.
//
// Limits of WeChat Pay: within 365 days of the payment; at most 50 refunds of an
// order, at least a minute apart; 150 per second.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012556524 (best practice:
// https://pay.weixin.qq.com/doc/v3/merchant/4014959631)
func (s *RefundsService) Create(ctx context.Context, req *CreateRefundRequest) (*Refund, error) {
	if req == nil {
		req = &CreateRefundRequest{}
	}
	const op = "Refunds.Create"
	refund, err := s.create(ctx, &refundCreation{
		op:     op,
		req:    *req,
		remedy: "read it by this number with Refunds.Get, or create it again with the same number",
	})
	return refund, opError(op, err)
}

// refundCreation is one creation of a refund.
type refundCreation struct {
	op     string
	req    CreateRefundRequest
	remedy string
	// beforeRetry returns the refund if it exists by now, and an error if it
	// must not be sent again; nil: it may be.
	beforeRetry func(context.Context) (*Refund, error)
}

func (s *RefundsService) create(ctx context.Context, r *refundCreation) (*Refund, error) {
	if r.req.Amount.Currency == "" {
		r.req.Amount.Currency = "CNY"
	}
	var f faults
	r.req.check(&f)
	if err := f.err(r.op); err != nil {
		return nil, err
	}
	refund := new(Refund)
	err := s.client.exchange(ctx, &call{
		op:       r.op,
		method:   http.MethodPost,
		path:     refundsPath,
		body:     &r.req,
		success:  http.StatusOK,
		out:      decoded(refund, func() error { return refund.checkMatches(&r.req) }),
		retry:    retryIfUnsent, // anything else is looked up first
		recovery: &refundRecovery{s, r, refund},
		key:      r.req.OutRefundNo,
		remedy:   r.remedy,
	})
	if err != nil {
		return nil, err
	}
	return refund, nil
}

// refundRecovery is the recovery of a refund.
type refundRecovery struct {
	service  *RefundsService
	creation *refundCreation
	refund   *Refund // receives the refund if it is found
}

func (r *refundRecovery) lookUp(ctx context.Context, sent *attempts) (lookupResult, error) {
	req := &r.creation.req
	found, err := r.service.findTwice(ctx, sent.op, req.OutRefundNo, req.SubMchID, sent.ended)
	if found != nil && !req.matches(found) {
		return superseded, &usedNumberError{found}
	}
	return keepRefund(r.refund, found, err)
}

func (r *refundRecovery) beforeRetry(ctx context.Context, _ *attempts) (lookupResult, error) {
	if r.creation.beforeRetry == nil {
		return notApplied, nil
	}
	found, err := r.creation.beforeRetry(ctx)
	return keepRefund(r.refund, found, err)
}

// keepRefund copies a refund that was found to the one that is returned.
func keepRefund(refund, found *Refund, err error) (lookupResult, error) {
	switch {
	case err != nil:
		return undetermined, err
	case found == nil:
		return notApplied, nil
	}
	*refund = *found
	return applied, nil
}

// usedNumberError reports that the refund number belongs to another refund.
type usedNumberError struct{ refund *Refund }

func (e *usedNumberError) Error() string {
	return fmt.Sprintf("the number was used before, for %d fen of order %s: use another",
		e.refund.Amount.Refund, oneLine(e.refund.TransactionID))
}

// matches reports whether a refund with the same number may be the requested
// one: whether nothing that both name differs.
func (req *CreateRefundRequest) matches(r *Refund) bool {
	differ := func(a, b string) bool { return a != "" && b != "" && a != b }
	return !differ(req.TransactionID, r.TransactionID) && !differ(req.OutTradeNo, r.OutTradeNo) &&
		(r.Amount.Refund == 0 || r.Amount.Refund == req.Amount.Refund)
}

// checkMatches reports why a response is not about the requested refund.
func (r *Refund) checkMatches(req *CreateRefundRequest) error {
	if err := r.checkNumber(req.OutRefundNo); err != nil {
		return err
	}
	if !req.matches(r) {
		return errors.New("it is about another order or amount")
	}
	return nil
}

// checkNumber reports why a response is not about the refund with a number.
func (r *Refund) checkNumber(outRefundNo string) error {
	return matchRefund(r.OutRefundNo, r.Status, outRefundNo)
}

func matchRefund(got string, status RefundStatus, outRefundNo string) error {
	return cmp.Or(mustRepeat("out_refund_no", got, outRefundNo), mustHave("status", string(status)))
}

// find reads a refund by its number. It returns nil if WeChat Pay does not know
// the number. Its error does not name the operation.
func (s *RefundsService) find(ctx context.Context, op, outRefundNo, subMchID string) (*Refund, error) {
	refund, err := s.get(ctx, op, outRefundNo, subMchID)
	if isNotFound(err) {
		return nil, nil
	}
	return refund, err
}

// refundState is the part of a Refund that the rules of ComplaintsV2.Refund use.
type refundState struct {
	OutRefundNo string       `json:"out_refund_no" wire:"strict"`
	Status      RefundStatus `json:"status" wire:"strict"`
	CreateTime  time.Time    `json:"create_time" wire:"strict"`
	Amount      struct {
		Refund int64 `json:"refund" wire:"strict"`
	} `json:"amount" wire:"strict"`
}

// findState is find for a part of the refund.
func (s *RefundsService) findState(ctx context.Context, op, outRefundNo, subMchID string) (*refundState, error) {
	state := new(refundState)
	match := func() error { return matchRefund(state.OutRefundNo, state.Status, outRefundNo) }
	err := s.read(ctx, op, outRefundNo, subMchID, state, match)
	switch {
	case isNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return state, nil
}

// findTwice calls find again after RetryPolicy.HistoryLag if the number is unknown:
// an accepted refund may not be visible at once.
func (s *RefundsService) findTwice(
	ctx context.Context, op, outRefundNo, subMchID string, ended time.Time,
) (*Refund, error) {
	refund, err := s.find(ctx, op, outRefundNo, subMchID)
	if refund != nil || err != nil {
		return refund, err
	}
	if err := s.client.waitHistoryLag(ctx, ended); err != nil {
		return nil, err
	}
	return s.find(ctx, op, outRefundNo, subMchID)
}

// isNotFound reports whether WeChat Pay says that it does not know what was
// asked for.
func isNotFound(err error) bool {
	var api *APIError
	return errors.As(err, &api) && api.Code == ErrorCodeResourceNotExists && api.fromWeChatPay()
}

// GetRefundRequest names a refund.
type GetRefundRequest struct {
	OutRefundNo string // the merchant's number of the refund
	SubMchID    string // the merchant of the order; required for service providers only
}

// Get reads a refund by the merchant's number. WeChat Pay recommends to start a
// minute after the creation, to poll once a minute, and less often after 5
// minutes. An unknown number is an *APIError with ErrorCodeResourceNotExists.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012556587
func (s *RefundsService) Get(ctx context.Context, req *GetRefundRequest) (*Refund, error) {
	const op = "Refunds.Get"
	if req == nil {
		req = &GetRefundRequest{}
	}
	var f faults
	f.refundNo("OutRefundNo", req.OutRefundNo)
	f.text("SubMchID", req.SubMchID, 32)
	if err := f.err(op); err != nil {
		return nil, err
	}
	refund, err := s.get(ctx, op, req.OutRefundNo, req.SubMchID)
	return refund, opError(op, err)
}

// get reads a refund as a part of any operation. Its error does not name one.
func (s *RefundsService) get(ctx context.Context, op, outRefundNo, subMchID string) (*Refund, error) {
	refund := new(Refund)
	match := func() error { return refund.checkNumber(outRefundNo) }
	if err := s.read(ctx, op, outRefundNo, subMchID, refund, match); err != nil {
		return nil, err
	}
	return refund, nil
}

// read reads the fields of a refund that the struct refund points to has.
func (s *RefundsService) read(
	ctx context.Context, op, outRefundNo, subMchID string, refund any, match func() error,
) error {
	// QueryEscape escapes @ too, which this path requires.
	path := refundsPath + "/" + url.QueryEscape(outRefundNo)
	if subMchID != "" {
		path += "?sub_mchid=" + url.QueryEscape(subMchID)
	}
	return s.client.exchange(ctx, &call{
		op:      op,
		method:  http.MethodGet,
		path:    path,
		success: http.StatusOK,
		out:     decoded(refund, match),
	})
}
