package wechatpay

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
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
	// RefundComplaint. Numbers of one's own are not known to later calls: once
	// the history shows such a refund, RefundComplaint makes no other.
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
	RefundRefusedFullyRefunded   RefundRefusedReason = "FULLY_REFUNDED"    // all orders of the complaint are refunded
	RefundRefusedElsewhere       RefundRefusedReason = "ELSEWHERE"         // a refund of this round that is not this one: by WeChat Pay, in the merchant platform, or under another number
	RefundRefusedOtherRefund     RefundRefusedReason = "OTHER_REFUND"      // the refund under this number is of another order or amount
	RefundRefusedWithdrawn       RefundRefusedReason = "WITHDRAWN"         // the user withdrew the complaint in this round
	RefundRefusedEarlierRound    RefundRefusedReason = "EARLIER_ROUND"     // the refund of an earlier round is, or may be, still on its way; or Round is not the present one
	RefundRefusedEarlierAttempt  RefundRefusedReason = "EARLIER_ATTEMPT"   // a further attempt is asked for, and the one before it is not CLOSED
	RefundRefusedNoSuchOrder     RefundRefusedReason = "NO_SUCH_ORDER"     // the order is not named, or not one of the complaint's
	RefundRefusedNoAmount        RefundRefusedReason = "NO_AMOUNT"         // neither the request nor the complaint says how much
	RefundRefusedMoreThanOrder   RefundRefusedReason = "MORE_THAN_ORDER"   // the amount is more than the order's
	RefundRefusedMoreThanApplied RefundRefusedReason = "MORE_THAN_APPLIED" // the amount is more than the user applied for, and MoreThanApplied is not set
)

// RefundRefusedError is what RefundComplaint gives where a refund would, or
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
	return fmt.Sprintf("wechatpay: RefundComplaint: complaint %s is not refunded by this: %s", oneLine(e.ComplaintID), e.Detail)
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
			f.add("Attempt", "%d, and OutRefundNo is set: attempts are counted in derived numbers alone; make a further one with Refunds.Create", req.Attempt)
		}
	}
	f.between("Attempt", req.Attempt, 0, maxAttempts)
	f.atLeast("Round", req.Round, 0)
}

// maxAttempts is how many refunds of one order WeChat Pay takes.
const maxAttempts = 50

// complaintRefund is one call of RefundComplaint.
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
		return nil, p.refuse(RefundRefusedEarlierRound, "round %d was to be refunded, and the user has filed it %d times", p.round, n)
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
	refund, err := p.client.Refunds.create(ctx, "RefundComplaint", refundRemedy, req, func(ctx context.Context) (*Refund, error) {
		again, there, err := p.mayPay(ctx)
		var refused *RefundRefusedError
		switch {
		case there != nil:
			return p.ours(there, nil)
		case err == nil && again != amount:
			return nil, p.refuse(RefundRefusedOtherRefund, "%d fen were to be refunded, and meanwhile it is %d: call again", amount, again)
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

const refundRemedy = "call RefundComplaint again with the same request, and the Round that was decided on; " +
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
		return nil, p.refuse(RefundRefusedOtherRefund, "the refund under its number, %s, is of %d fen of order %s", oneLine(refund.OutRefundNo), refund.Amount.Refund, oneLine(refund.TransactionID))
	}
	return refund, nil
}

// number is the refund number that RefundComplaint documents.
func (p *complaintRefund) number(transactionID string, round, attempt int) string {
	tail := strconv.Itoa(round) + "\n" + strconv.Itoa(attempt)
	digest := sha256.Sum256([]byte(p.complaint.ComplaintID + "\n" + transactionID + "\n" + tail))
	return fmt.Sprintf("cr%s-%d-%d", hex.EncodeToString(digest[:20]), round, attempt)
}

func (p *complaintRefund) refuse(reason RefundRefusedReason, format string, args ...any) error {
	return &RefundRefusedError{ComplaintID: p.complaint.ComplaintID, Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// findOrder finds the order that is refunded.
func (p *complaintRefund) findOrder() error {
	orders := p.complaint.ComplaintOrderInfo
	i := 0
	switch {
	case len(orders) == 0:
		return p.refuse(RefundRefusedNoSuchOrder, "it names no order that was paid: refund it by the order's number, with Refunds.Create")
	case p.req.TransactionID != "":
		i = slices.IndexFunc(orders, func(o ComplaintOrderInfo) bool { return o.TransactionID == p.req.TransactionID })
		if i < 0 {
			return p.refuse(RefundRefusedNoSuchOrder, "order %s is none of its %d orders", oneLine(p.req.TransactionID), len(orders))
		}
	case len(orders) > 1 || orders[0].TransactionID == "":
		return p.refuse(RefundRefusedNoSuchOrder, "it has %d orders: name one in TransactionID", len(orders))
	}
	p.order = &orders[i]
	return nil
}

// mayPay refuses where the user has been paid, or may have been, and else gives
// the amount, or the refund if it is there by now. It reads all of it anew, and
// is asked before each attempt. The history is read first: what it does not show
// yet, the complaint may.
func (p *complaintRefund) mayPay(ctx context.Context) (amount int64, there *Refund, err error) {
	seen, err := p.readHistory(ctx)
	if err != nil {
		return 0, nil, err
	}
	if err := p.read(ctx, p.complaint.ComplaintID); err != nil {
		return 0, nil, err
	}
	if amount, err = p.judge(ctx, seen); err == nil {
		return amount, nil, nil
	}
	// What was found may be this very refund, made by another caller since.
	var refused *RefundRefusedError
	if errors.As(err, &refused) {
		if there, findErr := p.find(ctx, p.outRefundNo); there != nil || findErr != nil {
			return 0, there, findErr
		}
	}
	return 0, nil, err
}

// judge refuses for what was read, and else gives the amount.
func (p *complaintRefund) judge(ctx context.Context, seen *seenRefunds) (int64, error) {
	if n := filings(p.complaint); n != p.round {
		return 0, p.refuse(RefundRefusedEarlierRound, "round %d was to be refunded, and the user has filed it %d times: decide on that", p.round, n)
	}
	if p.complaint.ComplaintFullRefunded {
		return 0, p.refuse(RefundRefusedFullyRefunded, "all its orders are refunded in full: nothing is left to pay")
	}
	if seen.withdrawn {
		return 0, p.refuse(RefundRefusedWithdrawn, "the user withdrew it: if the money is owed all the same, use Refunds.Create")
	}
	own, err := p.ownRefunds(ctx)
	if err != nil {
		return 0, err
	}
	if err := p.checkEarlierAttempt(own); err != nil {
		return 0, err
	}
	if err := p.checkElsewhere(seen, own); err != nil {
		return 0, err
	}
	return p.amount(own)
}

// seenRefunds is what a negotiation history shows.
type seenRefunds struct {
	now, before launched // in this round, and before it
	arrived     int      // ever
	withdrawn   bool     // in this round
}

// launched counts the records of refunds that were launched.
type launched struct {
	byPlatform int // WeChat Pay's, in the merchant's stead
	any        int // all that were launched, those perhaps among them
}

// readHistory reads the whole history. Its order is not documented, and some of
// its times may be whole seconds or missing: what may be of this round, counts
// as such.
func (p *complaintRefund) readHistory(ctx context.Context) (*seenRefunds, error) {
	var filed time.Time // for the last time
	var records []*NegotiationRecord
	for record, err := range p.client.ComplaintsV2.AllNegotiationHistory(ctx, p.complaint.ComplaintID) {
		if err != nil {
			return nil, err
		}
		records = append(records, record)
		if at := record.OperateTime.Truncate(time.Second); record.OperateType == OperateTypeUserContinueComplaint && at.After(filed) {
			filed = at
		}
	}
	seen := new(seenRefunds)
	for _, record := range records {
		round := &seen.now
		if !record.OperateTime.IsZero() && record.OperateTime.Before(filed) {
			round = &seen.before
		}
		switch record.OperateType {
		case OperateTypeComplaintEntrustedRefundSystemMessage:
			round.byPlatform++
		case OperateTypeComplaintFullRefundedSystemMessage, OperateTypeComplaintPartialRefundedSystemMessage, OperateTypeComplaintFullRefunded:
			round.any++
		case OperateTypeComplaintRefundReceivedSystemMessage:
			seen.arrived++
		case OperateTypeUserRevokeComplaint:
			seen.withdrawn = seen.withdrawn || round == &seen.now
		}
	}
	return seen, nil
}

// ownRefund is one that bears a number of this package.
type ownRefund struct {
	*Refund
	number string // that was asked for
	round  int
}

// ownRefunds reads the refunds of all orders and rounds that bear numbers of this
// package. Of each order and round, attempts follow one another.
func (p *complaintRefund) ownRefunds(ctx context.Context) (own []ownRefund, err error) {
	read := make(map[string]bool) // orders
	for _, order := range p.complaint.ComplaintOrderInfo {
		if order.TransactionID == "" || read[order.TransactionID] {
			continue
		}
		read[order.TransactionID] = true
		for round := 1; round <= p.round; round++ {
			for attempt := 1; attempt <= maxAttempts; attempt++ {
				number := p.number(order.TransactionID, round, attempt)
				refund, err := p.find(ctx, number)
				if err != nil {
					return nil, err
				}
				if refund == nil {
					break
				}
				own = append(own, ownRefund{refund, number, round})
			}
		}
	}
	return own, nil
}

// checkEarlierAttempt makes sure that a further attempt follows a refund that
// failed for good.
func (p *complaintRefund) checkEarlierAttempt(own []ownRefund) error {
	if p.attempt == 1 {
		return nil
	}
	number := p.number(p.order.TransactionID, p.round, p.attempt-1)
	i := slices.IndexFunc(own, func(r ownRefund) bool { return r.number == number })
	switch {
	case i < 0:
		return p.refuse(RefundRefusedEarlierAttempt, "attempt %d is asked for, and there is no refund %s of attempt %d", p.attempt, number, p.attempt-1)
	case own[i].Status != RefundStatusClosed:
		return p.refuse(RefundRefusedEarlierAttempt, "attempt %d is asked for, and refund %s of attempt %d is %s, not CLOSED", p.attempt, number, p.attempt-1, own[i].Status)
	}
	return nil
}

// checkElsewhere refuses where the history shows a refund of this round that is
// none of ours, or where a refund of an earlier round may be on its way: its
// money is not counted yet, and a caller who repeats a call after the user filed
// again would pay it twice.
//
// Records name neither order nor number, so they are counted.
func (p *complaintRefund) checkElsewhere(seen *seenRefunds, own []ownRefund) error {
	var ownNow, ownBefore, ownArrived int
	for _, refund := range own {
		switch {
		case refund.round == p.round:
			ownNow++
		case refund.Status == RefundStatusAbnormal:
			return p.refuse(RefundRefusedEarlierRound, "refund %s of round %d is ABNORMAL, and the user has filed again since: act on it in the merchant platform", refund.number, refund.round)
		case refund.Status != RefundStatusSuccess && refund.Status != RefundStatusClosed:
			return p.refuse(RefundRefusedEarlierRound, "refund %s of round %d is %s, and the user has filed again since: wait until it has arrived", refund.number, refund.round, refund.Status)
		default:
			ownBefore++
		}
		if refund.Status == RefundStatusSuccess {
			ownArrived++
		}
	}
	const remedy = "look in the merchant platform, and refund what is still due with Refunds.Create"
	if seen.now.byPlatform > 0 {
		return p.refuse(RefundRefusedElsewhere, "WeChat Pay refunds it in the merchant's stead: "+remedy)
	}
	// Of an earlier round, one refund by WeChat Pay may stand in both counts.
	foreignBefore := max(seen.before.any-ownBefore, seen.before.byPlatform)
	foreignArrived := max(0, seen.arrived-ownArrived)
	if seen.now.any > ownNow || foreignArrived > foreignBefore {
		return p.refuse(RefundRefusedElsewhere, "its negotiation history shows %d refunds launched in this round and %d arrived at all, and of these %d and %d are known by their numbers here: "+remedy,
			seen.now.any, seen.arrived, ownNow, ownArrived)
	}
	if foreignBefore > foreignArrived {
		return p.refuse(RefundRefusedEarlierRound, "its negotiation history shows %d refunds of earlier rounds that were not made here, of which %d arrived: "+remedy, foreignBefore, foreignArrived)
	}
	return nil
}

// amount is what is paid. What the user applied for is for all orders of the
// complaint together, and means something only where a refund is asked for.
func (p *complaintRefund) amount(own []ownRefund) (int64, error) {
	amount, applied := p.req.Amount, int64(0)
	if kind := p.complaint.ProblemType; kind == ProblemTypeRefund || kind == "" {
		applied = p.complaint.ApplyRefundAmount
	}
	if amount == 0 {
		amount = applied
	}
	paid := int64(0)
	for _, refund := range own {
		if refund.round == p.round && refund.Status != RefundStatusClosed {
			paid += refund.Amount.Refund
		}
	}
	switch {
	case amount <= 0:
		return 0, p.refuse(RefundRefusedNoAmount, "it does not say how much the user applied for: say it in Amount")
	case amount > p.order.Amount:
		return 0, p.refuse(RefundRefusedMoreThanOrder, "%d fen are more than the order's %d", amount, p.order.Amount)
	case applied > 0 && paid > applied-amount && !p.req.MoreThanApplied:
		return 0, p.refuse(RefundRefusedMoreThanApplied, "%d fen, with %d that are refunded in this round, are more than the %d that the user applied for: set MoreThanApplied if that is meant", amount, paid, applied)
	}
	return amount, nil
}
