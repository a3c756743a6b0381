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

// RefundComplaintRequest says what of a complaint is refunded. Every field is
// optional where the complaint says it.
type RefundComplaintRequest struct {
	// TransactionID names the order; "": the only one of the complaint.
	TransactionID string
	// Amount is in fen; 0: what the user applied for.
	Amount int64
	// AllowMoreThanApplied must be set for an Amount over what the user applied for.
	// More than the order is refused in any case.
	AllowMoreThanApplied bool
	Reason               string // at most 80 bytes, shown to the user
	NotifyURL            string // for the refund's notifications, in place of the configured one
	// SubMchID is the merchant whose order it is; "": the merchant complained
	// of, if that is another than Config.MchID.
	SubMchID string
	// OutRefundNo is a refund number of the merchant's own; "": derived, see
	// ComplaintsV2.Refund. Numbers of one's own are not known to later calls: once
	// the history shows such a refund, ComplaintsV2.Refund makes no other.
	OutRefundNo string
	// Attempt is 2 for a further attempt after the first refund was CLOSED, 3
	// after the second, and so on; 0 and 1 are the first.
	Attempt int
	// Round is the Complaint.UserComplaintTimes that the merchant decided on; 0:
	// the present one. Set it wherever the call may be repeated later, such as
	// by a queue: if the user has filed again meanwhile, the refund of that round
	// is still the answer, and none is made for the new one.
	Round int
}

// RefundRefusedReason says why a complaint is not refunded.
type RefundRefusedReason string

// Reasons of a RefundRefusedError.
const (
	RefundRefusedReasonFullyRefunded   RefundRefusedReason = "FULLY_REFUNDED"    // all orders of the complaint are refunded
	RefundRefusedReasonElsewhere       RefundRefusedReason = "ELSEWHERE"         // a refund of this round that is not this one: by WeChat Pay, in the merchant platform, or under another number
	RefundRefusedReasonOtherRefund     RefundRefusedReason = "OTHER_REFUND"      // the refund under this number is of another order or amount
	RefundRefusedReasonWithdrawn       RefundRefusedReason = "WITHDRAWN"         // the user withdrew the complaint in this round
	RefundRefusedReasonEarlierRound    RefundRefusedReason = "EARLIER_ROUND"     // the refund of an earlier round is, or may be, still on its way; or Round is not the present one
	RefundRefusedReasonEarlierAttempt  RefundRefusedReason = "EARLIER_ATTEMPT"   // a further attempt is asked for, and the one before it is not CLOSED
	RefundRefusedReasonNoSuchOrder     RefundRefusedReason = "NO_SUCH_ORDER"     // the order is not named, or not one of the complaint's
	RefundRefusedReasonNoAmount        RefundRefusedReason = "NO_AMOUNT"         // neither the request nor the complaint says how much
	RefundRefusedReasonMoreThanOrder   RefundRefusedReason = "MORE_THAN_ORDER"   // the amount is more than the order's
	RefundRefusedReasonMoreThanApplied RefundRefusedReason = "MORE_THAN_APPLIED" // the amount is more than the user applied for, and AllowMoreThanApplied is not set
)

// RefundRefusedError is what ComplaintsV2.Refund gives where a refund would, or
// might, pay the wrong amount or pay twice. Nothing was sent that moves money,
// unless the error wraps ErrOutcomeUnknown too: then an attempt had been made
// that may stand, and it is not made again.
type RefundRefusedError struct {
	ComplaintID string
	Reason      RefundRefusedReason
	Detail      string // what was found, and the remedy
}

// Error tells what was found, and the remedy, in one line.
func (e *RefundRefusedError) Error() string {
	return fmt.Sprintf("wechatpay: ComplaintsV2.Refund: complaint %s is not refunded by this: %s", oneLine(e.ComplaintID), e.Detail)
}

// ComplaintsV2.Refund pays the refund that a complaint asks for, once: however often
// it is called, from as many machines as one likes, before and after a crash. An
// approval (UpdateRefundProgress) moves no money; this does. nil means that
// WeChat Pay accepted the refund, now or before. See Refund.Status for how far
// it is; a CLOSED refund is returned as what it is.
//
// What makes it one refund is its number, under which WeChat Pay pays once. It
// is derived from the complaint, the order, the round (how often the user has
// filed: UserComplaintTimes) and the attempt:
//
//	"cr" + the first 40 hex digits of SHA-256(complaint_id "\n" transaction_id "\n" round "\n" attempt) + "-" + round + "-" + attempt
//
// A refund that is there under that number is the answer, whatever else holds,
// unless it is of another order, or of another amount than the request says.
// Otherwise the complaint and its whole negotiation history are read, and read
// again before an attempt is repeated. The refund is refused with a
// *RefundRefusedError if the complaint is refunded in full or withdrawn; if, in
// this round, a refund was launched that is none of ours, be it by WeChat Pay,
// which refunds overdue complaints at the merchant's cost, or from the merchant
// platform; if a refund of an earlier round is, or may be, still on its way; if
// the order or the amount is not clear; or if it is more than the order, or,
// with what was refunded in this round before, more than was applied for.
// Between the last reading and the refund lie at least some milliseconds, and as
// long as the history lags behind, in which no SDK can keep WeChat Pay, a refund
// of another order of the complaint, or the user who files again, from being
// first.
//
// An error that wraps ErrOutcomeUnknown carries the number as IdempotencyKey:
// call again with the same request, and the Round that was decided on. After
// ErrorCodeNotEnough top up, and call again. After a CLOSED refund set Attempt
// to 2. A second refund of the same order in the same round is not made here:
// use Refunds.Create.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4014959631 is WeChat Pay's advice.
func (s *ComplaintsV2Service) Refund(ctx context.Context, complaintID string, req *RefundComplaintRequest) (*Refund, error) {
	const op = "ComplaintsV2.Refund"
	if req == nil {
		req = &RefundComplaintRequest{}
	}
	f := checkComplaintID(complaintID)
	req.check(&f)
	if err := f.err(op); err != nil {
		return nil, err
	}
	p := &complaintRefund{client: s.client, req: req, attempt: max(1, req.Attempt)}
	return p.pay(ctx, complaintID)
}

// maxAttempts is how many refunds of one order WeChat Pay takes.
const maxAttempts = 50

// complaintRefund is one call of ComplaintsV2.Refund.
type complaintRefund struct {
	client    *Client
	req       *RefundComplaintRequest
	complaint *Complaint
	order     *ComplaintOrderInfo
	round     int // that is refunded
	attempt   int
	subMchID  string

	outRefundNo string
}

func (p *complaintRefund) pay(ctx context.Context, complaintID string) (*Refund, error) {
	if err := p.read(ctx, complaintID); err != nil {
		return nil, err
	}
	p.round = cmp.Or(p.req.Round, filings(p.complaint))
	if n := filings(p.complaint); p.round > n {
		return nil, p.refuse(RefundRefusedReasonEarlierRound, "round %d was to be refunded, and the user has filed it %d times", p.round, n)
	}
	if p.subMchID = p.req.SubMchID; p.subMchID == "" && p.complaint.ComplaintedMchID != p.client.signer.mchID {
		p.subMchID = p.complaint.ComplaintedMchID
	}
	if err := p.findOrder(); err != nil {
		return nil, err
	}
	if p.outRefundNo = p.req.OutRefundNo; p.outRefundNo == "" {
		p.outRefundNo = p.number(p.order.TransactionID, p.round, p.attempt)
	}
	if refund, err := p.find(ctx, p.outRefundNo); refund != nil || err != nil {
		return p.ours(refund, err)
	}
	amount, there, err := p.mayPay(ctx)
	if there != nil || err != nil {
		return p.ours(there, err)
	}
	req := &CreateRefundRequest{
		SubMchID:      p.subMchID,
		TransactionID: p.order.TransactionID,
		OutRefundNo:   p.outRefundNo,
		Reason:        p.req.Reason,
		NotifyURL:     p.req.NotifyURL,
		Amount:        CreateRefundAmount{Refund: amount, Total: p.order.Amount},
	}
	refund, err := p.client.Refunds.create(ctx, "ComplaintsV2.Refund", refundRemedy, req, func(ctx context.Context) (*Refund, error) {
		again, there, err := p.mayPay(ctx)
		var refused *RefundRefusedError
		switch {
		case there != nil:
			return p.ours(there, nil)
		case err == nil && again != amount:
			return nil, p.refuse(RefundRefusedReasonOtherRefund, "%d fen were to be refunded, and meanwhile it is %d: call again", amount, again)
		case errors.As(err, &refused):
			return nil, err
		}
		return nil, asOther(err)
	})
	// Another caller may have been first, with another Reason or amount: that
	// refund stands, though this request was refused.
	var used *usedNumberError
	var refusal *APIError
	switch {
	case errors.As(err, &used):
		return p.ours(used.refund, nil)
	case errors.As(err, &refusal) && refusal.Code == ErrorCodeInvalidRequest && !errors.Is(err, ErrOutcomeUnknown):
		there, findErr := p.find(ctx, p.outRefundNo)
		if there == nil && findErr == nil && p.client.settle(ctx, time.Now()) == nil {
			there, findErr = p.find(ctx, p.outRefundNo)
		}
		if there != nil {
			return p.ours(there, findErr)
		}
	}
	return refund, err
}

const refundRemedy = "call ComplaintsV2.Refund again with the same request, and the Round that was decided on; " +
	"not Refunds.Create, which does not look whether the user has been paid meanwhile"

// read reads the complaint.
func (p *complaintRefund) read(ctx context.Context, complaintID string) error {
	complaint, err := p.client.ComplaintsV2.Get(ctx, complaintID)
	if err != nil {
		return err
	}
	complaint.ComplaintID = complaintID
	p.complaint = complaint
	return nil
}

// filings counts how often the user has filed the complaint, from 1.
func filings(c *Complaint) int { return max(1, c.UserComplaintTimes) }

func (p *complaintRefund) find(ctx context.Context, number string) (*Refund, error) {
	return p.client.Refunds.find(ctx, number, p.subMchID)
}

// ours refuses a refund that bears the number and is not the one asked for.
func (p *complaintRefund) ours(refund *Refund, err error) (*Refund, error) {
	if err != nil {
		return nil, err
	}
	wanted := &CreateRefundRequest{TransactionID: p.order.TransactionID, Amount: CreateRefundAmount{Refund: cmp.Or(p.req.Amount, refund.Amount.Refund)}}
	if !wanted.asksFor(refund) {
		return nil, p.refuse(RefundRefusedReasonOtherRefund, "the refund under its number, %s, is of %d fen of order %s", oneLine(refund.OutRefundNo), refund.Amount.Refund, oneLine(refund.TransactionID))
	}
	return refund, nil
}

// number is the refund number that ComplaintsV2.Refund documents.
func (p *complaintRefund) number(transactionID string, round, attempt int) string {
	tail := strconv.Itoa(round) + "\n" + strconv.Itoa(attempt)
	digest := sha256.Sum256([]byte(p.complaint.ComplaintID + "\n" + transactionID + "\n" + tail))
	return fmt.Sprintf("cr%s-%d-%d", hex.EncodeToString(digest[:20]), round, attempt)
}

func (p *complaintRefund) refuse(reason RefundRefusedReason, format string, args ...any) error {
	return &RefundRefusedError{ComplaintID: p.complaint.ComplaintID, Reason: reason, Detail: fmt.Sprintf(format, args...)}
}
