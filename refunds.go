package wechatpay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// RefundsService creates and reads refunds. Get it from a Client; it is safe for
// concurrent use.
type RefundsService struct {
	client *Client
}

const refundsPath = "/v3/refund/domestic/refunds"

// CreateRefundRequest is a refund of an order, or of a part of it.
type CreateRefundRequest struct {
	// SubMchID is the merchant whose order it is, at most 32 characters: only
	// for service providers, and required of them.
	SubMchID string `json:"sub_mchid,omitempty"`
	// TransactionID (WeChat Pay's order number, at most 32 characters) or
	// OutTradeNo (the merchant's, 6 to 32) names the order: one of the two.
	// Prefer TransactionID.
	TransactionID string `json:"transaction_id,omitempty"`
	OutTradeNo    string `json:"out_trade_no,omitempty"`
	// OutRefundNo is the merchant's number of the refund: 1 to 64 of the
	// characters 0-9 A-Z a-z _ - | * @, unique for the merchant. Whatever is
	// sent under one number is one refund.
	OutRefundNo string `json:"out_refund_no"`
	// Reason, at most 80 bytes, is shown to the user (not for a part of 1 yuan
	// or less).
	Reason string `json:"reason,omitempty"`
	// NotifyURL, 8 to 256 characters without a query, receives the refund's
	// notifications in place of the configured one.
	NotifyURL string `json:"notify_url,omitempty"`
	// FundsAccount is FundsAccountAvailable or FundsAccountUnsettled, for the
	// merchants who need to say it.
	FundsAccount FundsAccount        `json:"funds_account,omitempty"`
	Amount       CreateRefundAmount  `json:"amount"`
	GoodsDetail  []RefundGoodsDetail `json:"goods_detail,omitempty"`
}

// CreateRefundAmount is how much is refunded.
type CreateRefundAmount struct {
	Refund   int64        `json:"refund"`         // fen, 1 to Total
	Total    int64        `json:"total"`          // fen, of the whole order
	Currency string       `json:"currency"`       // "": CNY
	From     []RefundFrom `json:"from,omitempty"` // the accounts that pay, each once, in sum Refund; WeChat Pay refuses it for an order under complaint
}

// RefundFrom is what one of the merchant's accounts pays.
type RefundFrom struct {
	Account FundsAccount `json:"account,omitempty"` // FundsAccountAvailable or FundsAccountUnavailable
	Amount  int64        `json:"amount"`            // fen
}

// RefundGoodsDetail is what of the goods is refunded.
type RefundGoodsDetail struct {
	MerchantGoodsID  string `json:"merchant_goods_id,omitempty"`  // the merchant's number of the goods; required
	WechatpayGoodsID string `json:"wechatpay_goods_id,omitempty"` // WeChat Pay's
	GoodsName        string `json:"goods_name,omitempty"`
	UnitPrice        int64  `json:"unit_price"`      // fen
	RefundAmount     int64  `json:"refund_amount"`   // fen
	RefundQuantity   int64  `json:"refund_quantity"` // pieces
}

// Refund is a refund as WeChat Pay tells it. That it was accepted moves no money
// yet: Status says how far it is.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012556587
type Refund struct {
	RefundID            string                  `json:"refund_id,omitempty"`             // WeChat Pay's number of the refund
	OutRefundNo         string                  `json:"out_refund_no,omitempty"`         // the merchant's number of the refund
	TransactionID       string                  `json:"transaction_id,omitempty"`        // WeChat Pay's number of the order
	OutTradeNo          string                  `json:"out_trade_no,omitempty"`          // the merchant's number of the order
	Channel             RefundChannel           `json:"channel,omitempty"`               // the way it takes
	UserReceivedAccount string                  `json:"user_received_account,omitempty"` // Chinese text, such as a bank and last digits
	SuccessTime         time.Time               `json:"success_time,omitzero"`           // only with RefundStatusSuccess
	CreateTime          time.Time               `json:"create_time,omitzero"`            // when it was accepted
	Status              RefundStatus            `json:"status,omitempty"`
	FundsAccount        FundsAccount            `json:"funds_account,omitempty"` // what paid
	Amount              RefundAmount            `json:"amount"`
	PromotionDetail     []RefundPromotionDetail `json:"promotion_detail,omitempty"`
}

// UnmarshalJSON decodes the wire form.
func (r *Refund) UnmarshalJSON(data []byte) error {
	type plain Refund
	return json.Unmarshal(data, &struct {
		*plain
		SuccessTime *emptyOrTime `json:"success_time"`
		CreateTime  *emptyOrTime `json:"create_time"`
	}{(*plain)(r), (*emptyOrTime)(&r.SuccessTime), (*emptyOrTime)(&r.CreateTime)})
}

// RefundAmount is what a refund comes to, in fen.
type RefundAmount struct {
	Total            int64        `json:"total"`              // of the order
	Refund           int64        `json:"refund"`             // refunded
	From             []RefundFrom `json:"from,omitempty"`     // the accounts that pay
	PayerTotal       int64        `json:"payer_total"`        // what the user paid of Total
	PayerRefund      int64        `json:"payer_refund"`       // what the user gets of Refund
	SettlementRefund int64        `json:"settlement_refund"`  // Refund less coupons that are not settled
	SettlementTotal  int64        `json:"settlement_total"`   // Total less coupons that are not settled
	DiscountRefund   int64        `json:"discount_refund"`    // coupons refunded
	Currency         string       `json:"currency,omitempty"` // CNY
	RefundFee        int64        `json:"refund_fee"`         // fee refunded
}

// UnmarshalJSON decodes the wire form. The page calls refund_fee a number, where
// its neighbours are integers: so 10.0 is taken, and what is no whole number of
// fen does not keep the rest from being read.
func (a *RefundAmount) UnmarshalJSON(data []byte) error {
	type plain RefundAmount
	var fee float64
	err := json.Unmarshal(data, &struct {
		*plain
		RefundFee *float64 `json:"refund_fee"`
	}{(*plain)(a), &fee})
	a.RefundFee = int64(fee)
	return err
}

// RefundPromotionDetail is a coupon that goes back with a refund.
type RefundPromotionDetail struct {
	PromotionID  string              `json:"promotion_id,omitempty"`
	Scope        string              `json:"scope,omitempty"` // GLOBAL (the order) or SINGLE (some goods)
	Type         string              `json:"type,omitempty"`  // CASH or NOCASH; older: COUPON or DISCOUNT
	Amount       int64               `json:"amount"`          // fen, of the coupon
	RefundAmount int64               `json:"refund_amount"`   // fen, of it refunded
	GoodsDetail  []RefundGoodsDetail `json:"goods_detail,omitempty"`
}

// RefundStatus says how far a refund is.
type RefundStatus string

// The four states of a refund.
const (
	RefundStatusSuccess    RefundStatus = "SUCCESS"    // it reached the user
	RefundStatusProcessing RefundStatus = "PROCESSING" // accepted, and on its way: a wallet takes minutes, a card 1 to 3 working days
	RefundStatusClosed     RefundStatus = "CLOSED"     // failed for good; a new attempt needs a new number
	RefundStatusAbnormal   RefundStatus = "ABNORMAL"   // the bank refused it; not final, the merchant must act in the merchant platform
)

// RefundChannel is the way that a refund takes.
type RefundChannel string

// The ways that a refund takes.
const (
	RefundChannelOriginal      RefundChannel = "ORIGINAL"       // back the way it came
	RefundChannelBalance       RefundChannel = "BALANCE"        // to the user's balance
	RefundChannelOtherBalance  RefundChannel = "OTHER_BALANCE"  // to another balance, as the way back failed
	RefundChannelOtherBankcard RefundChannel = "OTHER_BANKCARD" // to another card, as the way back failed
)

// FundsAccount is an account of the merchant.
type FundsAccount string

// The accounts that answers name; a request takes few of them.
const (
	FundsAccountUnsettled   FundsAccount = "UNSETTLED"
	FundsAccountAvailable   FundsAccount = "AVAILABLE"
	FundsAccountUnavailable FundsAccount = "UNAVAILABLE"
	FundsAccountOperation   FundsAccount = "OPERATION"
	FundsAccountBasic       FundsAccount = "BASIC"
	FundsAccountECNYBasic   FundsAccount = "ECNY_BASIC"
)

// Create asks for a refund. nil means that WeChat Pay accepted it under its
// number, not that the money has moved: see Refund.Status, or wait for the
// notification.
//
// A number is refunded once, however often it is sent. So after a failure that
// leaves it open, the number is looked up; it is sent again, with the same
// content, if WeChat Pay does not know it. That holds for a 429 too, which may
// mean that the refund is being accepted. An error of unknown outcome carries
// the number as its IdempotencyKey: call Create or Get with the same one. After
// ErrorCodeNotEnough top up and send the same number. After RefundStatusClosed a
// further attempt needs a new one.
//
// For the refund that follows a complaint use ComplaintsV2.Refund, which
// makes sure that it is paid once.
//
// Limits of WeChat Pay: within 365 days of the payment; at most 50 refunds of
// an order, at least a minute apart; 150 a second.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012556524
// (https://pay.weixin.qq.com/doc/v3/merchant/4014959631 is WeChat Pay's advice)
func (s *RefundsService) Create(ctx context.Context, req *CreateRefundRequest) (*Refund, error) {
	const remedy = "read the refund by this number with Refunds.Get, or create it again with the same number"
	return s.create(ctx, "Refunds.Create", remedy, req, nil)
}

// create asks mayRepeat, if there is one, before it sends the refund again. What
// that gives is there already.
func (s *RefundsService) create(ctx context.Context, op, remedy string, req *CreateRefundRequest, mayRepeat func(context.Context) (*Refund, error)) (*Refund, error) {
	var f faults
	if req == nil {
		f.add("req", "nil")
		return nil, f.err(op)
	}
	body := *req
	if body.Amount.Currency == "" {
		body.Amount.Currency = "CNY"
	}
	body.check(&f)
	if err := f.err(op); err != nil {
		return nil, err
	}
	refund := new(Refund)
	request := &call{
		op: op, method: http.MethodPost, path: refundsPath, body: &body, success: http.StatusOK, out: refund,
		repeat:   onlyUnsent, // anything else is looked up first
		key:      body.OutRefundNo,
		remedy:   remedy,
		complete: func() bool { return refund.Status != "" && body.asksFor(refund) },
		lookUp: func(ctx context.Context, _, ended time.Time) (verdict, error) {
			found, err := s.find(ctx, body.OutRefundNo, body.SubMchID)
			if found == nil && err == nil { // yet
				if err = s.client.settle(ctx, ended); err == nil {
					found, err = s.find(ctx, body.OutRefundNo, body.SubMchID)
				}
			}
			switch {
			case err != nil:
				return unproved, err
			case found == nil:
				return absent, nil
			case !body.asksFor(found):
				return overruled, &usedNumberError{found}
			}
			*refund = *found
			return stands, nil
		},
	}
	if mayRepeat != nil {
		request.mayRepeat = func(ctx context.Context) (verdict, error) {
			found, err := mayRepeat(ctx)
			switch {
			case err != nil:
				return unproved, err
			case found == nil:
				return absent, nil
			}
			*refund = *found
			return stands, nil
		}
	}
	if err := s.client.call(ctx, request); err != nil {
		return nil, err
	}
	return refund, nil
}

// usedNumberError is that another refund bears the number.
type usedNumberError struct{ refund *Refund }

func (e *usedNumberError) Error() string {
	return fmt.Sprintf("the number was used before, for %d fen of order %s: take another", e.refund.Amount.Refund, oneLine(e.refund.TransactionID))
}

// asksFor tells whether a refund under the same number may be the one asked for:
// whether nothing that both say differs.
func (req *CreateRefundRequest) asksFor(r *Refund) bool {
	differ := func(a, b string) bool { return a != "" && b != "" && a != b }
	return !differ(req.TransactionID, r.TransactionID) && !differ(req.OutTradeNo, r.OutTradeNo) && (r.Amount.Refund == 0 || r.Amount.Refund == req.Amount.Refund)
}

// find reads a refund by its number, and gives nil if WeChat Pay does not know
// the number.
func (s *RefundsService) find(ctx context.Context, outRefundNo, subMchID string) (*Refund, error) {
	refund, err := s.Get(ctx, &GetRefundRequest{OutRefundNo: outRefundNo, SubMchID: subMchID})
	var refusal *APIError
	if errors.As(err, &refusal) && refusal.Code == ErrorCodeResourceNotExists {
		return nil, nil
	}
	return refund, err
}

// GetRefundRequest names a refund.
type GetRefundRequest struct {
	OutRefundNo string // the merchant's number of the refund
	SubMchID    string // the merchant whose order it is: only for service providers, and required of them
}

// Get reads a refund by the merchant's number. WeChat Pay asks to begin a minute
// after creation, to poll once a minute, and less after 5 minutes. A number that
// it does not know is an *APIError with ErrorCodeResourceNotExists.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012556587
func (s *RefundsService) Get(ctx context.Context, req *GetRefundRequest) (*Refund, error) {
	const op = "Refunds.Get"
	var f faults
	if req == nil {
		f.add("req", "nil")
		return nil, f.err(op)
	}
	f.refundNo("OutRefundNo", req.OutRefundNo)
	f.text("SubMchID", req.SubMchID, 32)
	if err := f.err(op); err != nil {
		return nil, err
	}
	// QueryEscape, because @ is to be escaped in this path too.
	path := refundsPath + "/" + url.QueryEscape(req.OutRefundNo)
	if req.SubMchID != "" {
		path += "?sub_mchid=" + url.QueryEscape(req.SubMchID)
	}
	refund := new(Refund)
	if err := s.client.call(ctx, &call{op: op, method: http.MethodGet, path: path, success: http.StatusOK, out: refund}); err != nil {
		return nil, err
	}
	return refund, nil
}
