package wechatpay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
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
	// MoreThanApplied must be set for an Amount over what the user applied for.
	// More than the order is refused in any case.
	MoreThanApplied bool
	Reason          string // at most 80 bytes, shown to the user
	NotifyURL       string // for the refund's notifications, in place of the configured one
	// SubMchID is the merchant whose order it is; "": the merchant complained
	// of, if that is another than Config.MchID.
	SubMchID string
	// OutRefundNo is a refund number of the merchant's own; "": derived, see
	// RefundComplaint.
	OutRefundNo string
	// Attempt is 2 for a further attempt after the first refund was CLOSED, 3
	// after the second, and so on; 0 and 1 are the first.
	Attempt int
}

// RefundRefusedReason says why a complaint is not refunded.
type RefundRefusedReason string

// Reasons of a RefundRefusedError.
const (
	RefundRefusedFullyRefunded  RefundRefusedReason = "FULLY_REFUNDED"    // all orders of the complaint are refunded
	RefundRefusedElsewhere      RefundRefusedReason = "ELSEWHERE"         // a refund of this round that is not this one: by WeChat Pay, in the merchant platform, or under another number
	RefundRefusedWithdrawn      RefundRefusedReason = "WITHDRAWN"         // the user withdrew the complaint in this round
	RefundRefusedEarlierRound   RefundRefusedReason = "EARLIER_ROUND"     // the refund of an earlier round is still on its way
	RefundRefusedEarlierAttempt RefundRefusedReason = "EARLIER_ATTEMPT"   // a further attempt is asked for, and the one before it is not CLOSED
	RefundRefusedNoSuchOrder    RefundRefusedReason = "NO_SUCH_ORDER"     // the order is not named, or not one of the complaint's
	RefundRefusedNoAmount       RefundRefusedReason = "NO_AMOUNT"         // neither the request nor the complaint says how much
	RefundRefusedMoreThanOrder  RefundRefusedReason = "MORE_THAN_ORDER"   // the amount is more than the order's
	RefundRefusedMoreThanApply  RefundRefusedReason = "MORE_THAN_APPLIED" // the amount is more than the user applied for, and MoreThanApplied is not set
)

// RefundRefusedError is what RefundComplaint gives where a refund would, or
// might, pay the wrong amount or pay twice. Nothing was sent that moves money.
type RefundRefusedError struct {
	ComplaintID string
	Reason      RefundRefusedReason
	Detail      string // what was found, and the remedy
}

// Error tells what was found, and the remedy, in one line.
func (e *RefundRefusedError) Error() string {
	return fmt.Sprintf("wechatpay: RefundComplaint: complaint %s is not refunded: %s", oneLine(e.ComplaintID), e.Detail)
}

// RefundComplaint pays the refund that a complaint asks for, once: however often
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
// A refund that is there under that number is the answer, whatever else holds.
// Otherwise the complaint and its whole negotiation history are read, and the
// refund is refused with a *RefundRefusedError if the complaint is refunded in
// full or withdrawn; if, in this round, a refund was launched that is none of
// ours, be it by WeChat Pay, which refunds overdue complaints at the merchant's
// cost, or from the merchant platform; if the refund of an earlier round is
// still on its way; if the order or the amount is not clear; or if it is more
// than the order, or than was applied for. Between the reading and the refund
// lie some milliseconds, in which no SDK can keep WeChat Pay from refunding.
//
// An error that wraps ErrOutcomeUnknown carries the number as IdempotencyKey:
// call again with the same request. After ErrorCodeNotEnough top up, and call
// again. After a CLOSED refund set Attempt to 2. A second refund of the same
// order in the same round needs an OutRefundNo of its own, and refuses to be
// made here as soon as the history shows the first: use Refunds.Create.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4014959631 is WeChat Pay's advice.
func (c *Client) RefundComplaint(ctx context.Context, complaintID string, req *RefundComplaintRequest) (*Refund, error) {
	const op = "RefundComplaint"
	if req == nil {
		req = &RefundComplaintRequest{}
	}
	f := checkComplaintID(complaintID)
	req.check(&f)
	if err := f.err(op); err != nil {
		return nil, err
	}
	p := &complaintRefund{client: c, req: req, attempt: max(1, req.Attempt)}
	return p.pay(ctx, complaintID)
}

func (req *RefundComplaintRequest) check(f *faults) {
	f.text("TransactionID", req.TransactionID, 32)
	if req.Amount < 0 {
		f.add("Amount", "%d fen, and 0 (what was applied for) is the least", req.Amount)
	}
	f.reason(req.Reason)
	f.refundNotifyURL(req.NotifyURL)
	f.text("SubMchID", req.SubMchID, 32)
	if req.OutRefundNo != "" {
		f.refundNo("OutRefundNo", req.OutRefundNo)
		if req.Attempt > 1 {
			f.add("Attempt", "%d, and OutRefundNo is set: a further attempt is another number of yours", req.Attempt)
		}
	}
	if req.Attempt < 0 || req.Attempt > 50 {
		f.add("Attempt", "%d, and 0 to 50 are allowed", req.Attempt)
	}
}

// complaintRefund is one call of RefundComplaint.
type complaintRefund struct {
	client    *Client
	req       *RefundComplaintRequest
	attempt   int
	complaint *Complaint
	subMchID  string
}

func (p *complaintRefund) pay(ctx context.Context, complaintID string) (*Refund, error) {
	var err error
	if p.complaint, err = p.client.ComplaintsV2.Get(ctx, complaintID); err != nil {
		return nil, err
	}
	p.complaint.ComplaintID = complaintID
	p.subMchID = p.req.SubMchID
	if p.subMchID == "" && p.complaint.ComplaintedMchID != p.client.signer.mchID {
		p.subMchID = p.complaint.ComplaintedMchID
	}
	order, err := p.order()
	if err != nil {
		return nil, err
	}
	number := p.req.OutRefundNo
	if number == "" {
		number = p.number(order.TransactionID, p.round(), p.attempt)
	}
	if refund, err := p.find(ctx, number); refund != nil || err != nil {
		return refund, err
	}
	if err := p.mayPay(ctx, order); err != nil {
		// What was found may be this very refund, made by another caller since.
		if refund, findErr := p.find(ctx, number); refund != nil {
			return refund, findErr
		}
		return nil, err
	}
	amount, err := p.amount(order)
	if err != nil {
		return nil, err
	}
	return p.client.Refunds.Create(ctx, &CreateRefundRequest{
		SubMchID:      p.subMchID,
		TransactionID: order.TransactionID,
		OutRefundNo:   number,
		Reason:        p.req.Reason,
		NotifyURL:     p.req.NotifyURL,
		Amount:        CreateRefundAmount{Refund: amount, Total: order.Amount},
	})
}

func (p *complaintRefund) find(ctx context.Context, number string) (*Refund, error) {
	return p.client.Refunds.find(ctx, number, p.subMchID)
}

// round counts how often the user has filed the complaint, from 1.
func (p *complaintRefund) round() int { return max(1, p.complaint.UserComplaintTimes) }

// number is the refund number that RefundComplaint documents.
func (p *complaintRefund) number(transactionID string, round, attempt int) string {
	tail := strconv.Itoa(round) + "\n" + strconv.Itoa(attempt)
	digest := sha256.Sum256([]byte(p.complaint.ComplaintID + "\n" + transactionID + "\n" + tail))
	return fmt.Sprintf("cr%s-%d-%d", hex.EncodeToString(digest[:20]), round, attempt)
}

func (p *complaintRefund) refuse(reason RefundRefusedReason, format string, args ...any) error {
	return &RefundRefusedError{ComplaintID: p.complaint.ComplaintID, Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// order is the one that is refunded.
func (p *complaintRefund) order() (*ComplaintOrderInfo, error) {
	orders := p.complaint.ComplaintOrderInfo
	if p.req.TransactionID == "" {
		if len(orders) == 1 && orders[0].TransactionID != "" {
			return &orders[0], nil
		}
		return nil, p.refuse(RefundRefusedNoSuchOrder, "it has %d orders: name one in TransactionID", len(orders))
	}
	i := slices.IndexFunc(orders, func(o ComplaintOrderInfo) bool { return o.TransactionID == p.req.TransactionID })
	if i < 0 {
		return nil, p.refuse(RefundRefusedNoSuchOrder, "order %s is none of its %d orders", oneLine(p.req.TransactionID), len(orders))
	}
	return &orders[i], nil
}

func (p *complaintRefund) amount(order *ComplaintOrderInfo) (int64, error) {
	amount, applied := p.req.Amount, p.complaint.ApplyRefundAmount
	if amount == 0 {
		amount = applied
	}
	switch {
	case amount <= 0:
		return 0, p.refuse(RefundRefusedNoAmount, "it does not say how much the user applied for: say it in Amount")
	case amount > order.Amount:
		return 0, p.refuse(RefundRefusedMoreThanOrder, "%d fen are more than the order's %d", amount, order.Amount)
	case applied > 0 && amount > applied && !p.req.MoreThanApplied:
		return 0, p.refuse(RefundRefusedMoreThanApply, "%d fen are more than the %d that the user applied for: set MoreThanApplied if that is meant", amount, applied)
	}
	return amount, nil
}

// mayPay refuses where the user has been paid, or may have been. It is called
// when there is no refund under the number of this one.
func (p *complaintRefund) mayPay(ctx context.Context, order *ComplaintOrderInfo) error {
	if p.complaint.ComplaintFullRefunded {
		return p.refuse(RefundRefusedFullyRefunded, "all its orders are refunded in full")
	}
	if err := p.checkEarlierAttempt(ctx, order); err != nil {
		return err
	}
	if err := p.checkEarlierRounds(ctx, order); err != nil {
		return err
	}
	done, err := p.thisRound(ctx)
	if err != nil {
		return err
	}
	if n := done[OperateTypeUserRevokeComplaint]; n > 0 {
		return p.refuse(RefundRefusedWithdrawn, "the user withdrew it")
	}
	if n := done[OperateTypeComplaintEntrustedRefundSystemMessage]; n > 0 {
		return p.refuse(RefundRefusedElsewhere, "WeChat Pay refunds it in the merchant's stead")
	}
	launched := done[OperateTypeComplaintFullRefundedSystemMessage] + done[OperateTypeComplaintPartialRefundedSystemMessage] + done[OperateTypeComplaintFullRefunded]
	received := done[OperateTypeComplaintRefundReceivedSystemMessage]
	if launched == 0 && received == 0 {
		return nil
	}
	ownLaunched, ownReceived, err := p.ownRefunds(ctx)
	if err != nil {
		return err
	}
	if launched > ownLaunched || received > ownReceived {
		return p.refuse(RefundRefusedElsewhere, "its negotiation history shows %d refunds launched and %d arrived in this round, and of these %d and %d are known by their numbers here: "+
			"look in the merchant platform, and refund what is still due with Refunds.Create", launched, received, ownLaunched, ownReceived)
	}
	return nil
}

// checkEarlierAttempt makes sure that a further attempt follows a refund that
// failed for good.
func (p *complaintRefund) checkEarlierAttempt(ctx context.Context, order *ComplaintOrderInfo) error {
	if p.attempt == 1 {
		return nil
	}
	number := p.number(order.TransactionID, p.round(), p.attempt-1)
	earlier, err := p.find(ctx, number)
	switch {
	case err != nil:
		return err
	case earlier == nil:
		return p.refuse(RefundRefusedEarlierAttempt, "attempt %d is asked for, and there is no refund %s of attempt %d", p.attempt, number, p.attempt-1)
	case earlier.Status != RefundStatusClosed:
		return p.refuse(RefundRefusedEarlierAttempt, "attempt %d is asked for, and refund %s of attempt %d is %s, not CLOSED", p.attempt, number, p.attempt-1, earlier.Status)
	}
	return nil
}

// checkEarlierRounds makes sure that no refund of a round before is on its way:
// a caller who repeats its call after the user filed again would pay it twice.
func (p *complaintRefund) checkEarlierRounds(ctx context.Context, order *ComplaintOrderInfo) error {
	for round := 1; round < p.round(); round++ {
		err := p.eachAttempt(ctx, order.TransactionID, round, func(refund *Refund) error {
			if refund.Status == RefundStatusSuccess || refund.Status == RefundStatusClosed {
				return nil
			}
			return p.refuse(RefundRefusedEarlierRound, "refund %s of round %d is %s: the user has filed again since", refund.OutRefundNo, round, refund.Status)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachAttempt reads the refunds of an order in a round, until one is missing.
func (p *complaintRefund) eachAttempt(ctx context.Context, transactionID string, round int, do func(*Refund) error) error {
	for attempt := 1; ; attempt++ {
		refund, err := p.find(ctx, p.number(transactionID, round, attempt))
		if refund == nil || err != nil {
			return err
		}
		if err := do(refund); err != nil {
			return err
		}
	}
}

// thisRound counts what was done since the user filed the last time.
func (p *complaintRefund) thisRound(ctx context.Context) (map[OperateType]int, error) {
	var began time.Time
	var records []*NegotiationRecord
	for record, err := range p.client.ComplaintsV2.AllNegotiationHistory(ctx, p.complaint.ComplaintID) {
		if err != nil {
			return nil, err
		}
		records = append(records, record)
		if record.OperateType == OperateTypeUserContinueComplaint && record.OperateTime.After(began) {
			began = record.OperateTime
		}
	}
	done := make(map[OperateType]int)
	for _, record := range records {
		// A record of the same second counts: it is better to ask once too often.
		if !record.OperateTime.Before(began) {
			done[record.OperateType]++
		}
	}
	return done, nil
}

// ownRefunds counts the refunds of this round that bear numbers of this package:
// those launched, and of these the ones that arrived.
func (p *complaintRefund) ownRefunds(ctx context.Context) (launched, arrived int, err error) {
	for _, order := range p.complaint.ComplaintOrderInfo {
		err := p.eachAttempt(ctx, order.TransactionID, p.round(), func(refund *Refund) error {
			launched++
			if refund.Status == RefundStatusSuccess {
				arrived++
			}
			return nil
		})
		if err != nil {
			return 0, 0, err
		}
	}
	return launched, arrived, nil
}
