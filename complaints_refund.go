package wechatpay

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// RefundComplaintRequest selects what Refund pays. Every field is optional if
// the complaint has the value.
type RefundComplaintRequest struct {
	// TransactionID or OutTradeNo names the order, by WeChat Pay's number or by
	// the merchant's. If both are empty, it is the only order of the complaint.
	TransactionID, OutTradeNo string
	// Amount is in fen. 0 means the amount that the user applied for. That is for
	// all orders of the complaint together, so set Amount if it has several.
	Amount int64
	// AllowMoreThanApplied permits an Amount above what the user applied for. An
	// Amount above the order is refused in any case.
	AllowMoreThanApplied bool
	Reason               string // shown to the user; at most 80 bytes
	NotifyURL            string // receives the notifications of this refund instead of the configured URL
	// AllowRejected permits a refund although the merchant rejected it in this
	// round.
	AllowRejected bool
	// SubMchID is the merchant of the order. Empty means the merchant of the
	// complaint, if that is not Config.MchID.
	SubMchID string
	// OutRefundNo is the merchant's own refund number. Empty means a derived
	// number, see Refund. No endpoint lists refunds, so later calls with another
	// number cannot know this one until the history shows it: use the same
	// OutRefundNo in every call about a round, or none. Use a new one in each round:
	// Refund returns a refund that has the number, whichever round it was for.
	OutRefundNo string
	// Attempt is 2 after the first refund was CLOSED, 3 after the second, and so
	// on. 0 means 1. Check the merchant platform first: a refund that was created
	// elsewhere up to 10 minutes after the CLOSED one passes for it.
	Attempt int
	// Round is the Complaint.UserComplaintTimes that the merchant decided on. 0
	// means the current round. Set it if the call may run later, for example
	// from a queue: a round that the user filed meanwhile is then not paid.
	Round int
}

// RefundRefusedReason says why Refund did not pay.
type RefundRefusedReason string

// Values of RefundRefusedReason.
const (
	// All orders of the complaint are refunded.
	RefundRefusedReasonFullyRefunded RefundRefusedReason = "FULLY_REFUNDED"
	// Another refund of this round exists: by WeChat Pay, in the merchant
	// platform, or under another number.
	RefundRefusedReasonElsewhere RefundRefusedReason = "ELSEWHERE"
	// The refund with this number is of another order or amount, or the amount
	// changed during the call.
	RefundRefusedReasonOtherRefund RefundRefusedReason = "OTHER_REFUND"
	// The user withdrew the complaint in this round.
	RefundRefusedReasonWithdrawn RefundRefusedReason = "WITHDRAWN"
	// The merchant rejected the refund in this round, and AllowRejected is not
	// set.
	RefundRefusedReasonRejected RefundRefusedReason = "REJECTED"
	// The refund with this number failed permanently. Set Attempt to the next
	// number to try again.
	RefundRefusedReasonClosed RefundRefusedReason = "CLOSED"
	// A refund of an earlier round is or may be on its way, Round is not the
	// current round, or there are too many rounds to check (more than 20).
	RefundRefusedReasonEarlierRound RefundRefusedReason = "EARLIER_ROUND"
	// Attempt is above 1, and the refund of the attempt before is not CLOSED.
	RefundRefusedReasonEarlierAttempt RefundRefusedReason = "EARLIER_ATTEMPT"
	// The complaint has no order, or the request names none of its orders, or the
	// complaint has no transaction_id of the order.
	RefundRefusedReasonNoSuchOrder RefundRefusedReason = "NO_SUCH_ORDER"
	// Neither the request nor the complaint has an amount, or the complaint does
	// not have the amount of the order.
	RefundRefusedReasonNoAmount RefundRefusedReason = "NO_AMOUNT"
	// The amount is above the order's.
	RefundRefusedReasonMoreThanOrder RefundRefusedReason = "MORE_THAN_ORDER"
	// The amount is above what the user applied for, and AllowMoreThanApplied is
	// not set.
	RefundRefusedReasonMoreThanApplied RefundRefusedReason = "MORE_THAN_APPLIED"
)

// RefundRefusedError reports that Refund did not pay because it would, or might,
// pay twice or a wrong amount. If it also wraps ErrOutcomeUnknown, an earlier
// attempt of the same call may have been applied.
type RefundRefusedError struct {
	ComplaintID string
	Reason      RefundRefusedReason
	Detail      string // what was found

	op string
}

// Error returns one line with the complaint, the reason and what was found.
func (e *RefundRefusedError) Error() string {
	op := cmp.Or(e.op, refundOp)
	return fmt.Sprintf("wechatpay: %s: complaint %s: refund refused: %s", op, oneLine(e.ComplaintID), e.Detail)
}

// Refund pays the refund of a complaint once, however often and from however
// many machines it is called. nil means that WeChat Pay accepted the refund, now
// or before: see Refund.Status for its progress. An approval
// (UpdateRefundProgress) moves no money; this call does.
//
// WeChat Pay pays a refund number once. The number is derived from the
// complaint, the order, the round (UserComplaintTimes) and the attempt:
//
//	"cr" + HEX + "-" + round + "-" + attempt, where HEX is the first 40 hex digits of
//	SHA-256(complaint_id "\n" transaction_id "\n" round "\n" attempt)
//
// Before it creates the refund, and before each retry, Refund reads the complaint
// and its history. If the user was or may be paid in another way, it returns a
// *RefundRefusedError. It cannot see a refund that WeChat Pay launches after this.
//
// An error that wraps ErrOutcomeUnknown has the number as its IdempotencyKey:
// call again with the same request and Round. After ErrorCodeNotEnough, top up
// and call again. To refund a second part of an order in one round, use
// Refunds.Create; do so last, because Refund then pays nothing else in the round.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4014959631 (best practice)
func (s *ComplaintsV2Service) Refund(
	ctx context.Context, complaintID string, req *RefundComplaintRequest,
) (*Refund, error) {
	if req == nil {
		req = &RefundComplaintRequest{}
	}
	f := checkComplaintID(complaintID)
	req.check(&f)
	if err := f.err(refundOp); err != nil {
		return nil, err
	}
	p := newComplaintRefund(s.client, refundOp, complaintID, req)
	if err := p.read(ctx); err != nil {
		return nil, opError(refundOp, err)
	}
	refund, _, err := p.pay(ctx)
	return refund, opError(refundOp, err)
}

const refundOp = "ComplaintsV2.Refund"

// maxRefundAttempts is how many refunds of one order WeChat Pay accepts.
const maxRefundAttempts = 50

// complaintRefund is one call of Refund, or the refund of a resolution.
type complaintRefund struct {
	client      *Client
	op          string
	complaintID string
	req         *RefundComplaintRequest
	complaint   *Complaint // without the fields that refundComplaint does not have
	order       *ComplaintOrderInfo
	round       int // to be refunded
	attempt     int
	subMchID    string
	outRefundNo string
}

// refundComplaint is the part of a Complaint that Refund uses. All of it must be
// readable.
type refundComplaint struct {
	ComplaintID           string               `json:"complaint_id" wire:"strict"`
	ComplaintedMchID      string               `json:"complainted_mchid" wire:"strict"`
	ComplaintOrderInfo    []ComplaintOrderInfo `json:"complaint_order_info" wire:"strict"`
	ComplaintFullRefunded bool                 `json:"complaint_full_refunded" wire:"strict"`
	UserComplaintTimes    int                  `json:"user_complaint_times" wire:"strict"`
	ProblemType           ProblemType          `json:"problem_type" wire:"strict"`
	ApplyRefundAmount     int64                `json:"apply_refund_amount" wire:"strict"`
}

func (c *refundComplaint) complaint() *Complaint {
	return &Complaint{
		ComplaintID:           c.ComplaintID,
		ComplaintedMchID:      c.ComplaintedMchID,
		ComplaintOrderInfo:    c.ComplaintOrderInfo,
		ComplaintFullRefunded: c.ComplaintFullRefunded,
		UserComplaintTimes:    c.UserComplaintTimes,
		ProblemType:           c.ProblemType,
		ApplyRefundAmount:     c.ApplyRefundAmount,
	}
}

func newComplaintRefund(c *Client, op, complaintID string, req *RefundComplaintRequest) *complaintRefund {
	return &complaintRefund{client: c, op: op, complaintID: complaintID, req: req, attempt: max(1, req.Attempt)}
}

// pay returns the refund of the complaint if it exists, and else creates it if
// the rules allow. created reports whether this call did.
func (p *complaintRefund) pay(ctx context.Context) (refund *Refund, created bool, err error) {
	if err := p.prepare(); err != nil {
		return nil, false, err
	}
	if refund, err = p.find(ctx, p.outRefundNo); refund == nil && err == nil {
		var amount int64
		if amount, refund, err = p.mayPay(ctx); refund == nil && err == nil {
			refund, created, err = p.create(ctx, amount)
		}
	}
	if err != nil {
		return nil, false, err
	}
	refund, err = p.checkFound(refund)
	return refund, created, err
}

// prepare selects round, order and number.
func (p *complaintRefund) prepare() error {
	p.round = cmp.Or(p.req.Round, currentRound(p.complaint))
	if n := currentRound(p.complaint); p.round > n {
		return p.refuse(RefundRefusedReasonEarlierRound,
			"round %d does not exist yet, the current round is %d", p.round, n)
	}
	if p.subMchID = p.req.SubMchID; p.subMchID == "" && p.complaint.ComplaintedMchID != p.client.signer.mchID {
		p.subMchID = p.complaint.ComplaintedMchID
	}
	if err := p.findOrder(); err != nil {
		return err
	}
	if p.outRefundNo = p.req.OutRefundNo; p.outRefundNo == "" {
		p.outRefundNo = p.number(p.order.TransactionID, p.round, p.attempt)
	}
	return nil
}

// create creates the refund. Before a retry the rules are checked again.
func (p *complaintRefund) create(ctx context.Context, amount int64) (refund *Refund, created bool, err error) {
	refund, err = p.client.Refunds.create(ctx, &refundCreation{
		op: p.op,
		req: CreateRefundRequest{
			SubMchID:      p.subMchID,
			TransactionID: p.order.TransactionID,
			OutRefundNo:   p.outRefundNo,
			Reason:        p.req.Reason,
			NotifyURL:     p.req.NotifyURL,
			Amount:        CreateRefundAmount{Refund: amount, Total: p.order.Amount},
		},
		remedy: "call Refund again with the same request and Round",
		beforeRetry: func(ctx context.Context) (*Refund, error) {
			now, found, err := p.mayPay(ctx)
			var refused *RefundRefusedError
			switch {
			case found != nil:
				return p.checkFound(found)
			case err == nil && now != amount:
				return nil, p.refuse(RefundRefusedReasonOtherRefund,
					"the amount changed from %d to %d fen during the call; call again", amount, now)
			case errors.As(err, &refused):
				return nil, err
			}
			return nil, asOther(err)
		},
	})
	if err == nil {
		return refund, true, nil
	}
	refund, err = p.concurrent(ctx, err)
	return refund, false, err
}

// concurrent handles a number that another caller used first, with another
// Reason or amount: that refund counts, although this request was rejected.
func (p *complaintRefund) concurrent(ctx context.Context, err error) (*Refund, error) {
	var (
		used     *usedNumberError
		rejected *APIError
	)
	switch {
	case errors.As(err, &used):
		return used.refund, nil
	case errors.As(err, &rejected) && rejected.Code == ErrorCodeInvalidRequest && !errors.Is(err, ErrOutcomeUnknown):
		found, findErr := p.client.Refunds.findTwice(ctx, p.op, p.outRefundNo, p.subMchID, time.Now())
		if found != nil && findErr == nil {
			return found, nil
		}
	}
	return nil, err
}

// read reads the complaint.
func (p *complaintRefund) read(ctx context.Context) error {
	complaint := new(refundComplaint)
	err := p.client.ComplaintsV2.read(ctx, p.op, p.complaintID, complaint, &complaint.ComplaintID)
	if err != nil {
		return err
	}
	p.complaint = complaint.complaint()
	return nil
}

// currentRound is how often the user has filed the complaint, from 1.
func currentRound(c *Complaint) int { return max(1, c.UserComplaintTimes) }

func (p *complaintRefund) find(ctx context.Context, number string) (*Refund, error) {
	return p.client.Refunds.find(ctx, p.op, number, p.subMchID)
}

// checkFound refuses a refund that has the number and is not the requested one.
func (p *complaintRefund) checkFound(refund *Refund) (*Refund, error) {
	wanted := &CreateRefundRequest{
		TransactionID: p.order.TransactionID,
		Amount:        CreateRefundAmount{Refund: cmp.Or(p.req.Amount, refund.Amount.Refund)},
	}
	if !wanted.matches(refund) {
		remedy := ""
		if refund.TransactionID == p.order.TransactionID {
			remedy = "; for a second refund in this round use Refunds.Create"
		}
		return nil, p.refuse(RefundRefusedReasonOtherRefund, "refund %s is of %d fen of order %s%s",
			oneLine(refund.OutRefundNo), refund.Amount.Refund, oneLine(refund.TransactionID), remedy)
	}
	if refund.Status == RefundStatusClosed {
		remedy := fmt.Sprintf("set Attempt: %d", p.attempt+1)
		if p.req.OutRefundNo != "" {
			remedy = "use another OutRefundNo"
		}
		return nil, p.refuse(RefundRefusedReasonClosed, "refund %s is CLOSED; to try again %s",
			oneLine(refund.OutRefundNo), remedy)
	}
	return refund, nil
}

// number returns the refund number that Refund documents.
func (p *complaintRefund) number(transactionID string, round, attempt int) string {
	tail := strconv.Itoa(round) + "\n" + strconv.Itoa(attempt)
	digest := sha256.Sum256([]byte(p.complaintID + "\n" + transactionID + "\n" + tail))
	return fmt.Sprintf("cr%s-%d-%d", hex.EncodeToString(digest[:20]), round, attempt)
}

func (p *complaintRefund) refuse(reason RefundRefusedReason, format string, args ...any) error {
	detail := fmt.Sprintf(format, args...)
	return &RefundRefusedError{ComplaintID: p.complaintID, Reason: reason, Detail: detail, op: p.op}
}
