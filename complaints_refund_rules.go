package wechatpay

import (
	"context"
	"errors"
	"slices"
	"time"
)

// findOrder finds the order that is refunded.
func (p *complaintRefund) findOrder() error {
	orders := p.complaint.ComplaintOrderInfo
	i := 0
	switch {
	case len(orders) == 0:
		return p.refuse(RefundRefusedReasonNoSuchOrder, "it names no order that was paid: refund it by the order's number, with Refunds.Create")
	case p.req.TransactionID != "":
		i = slices.IndexFunc(orders, func(o ComplaintOrderInfo) bool { return o.TransactionID == p.req.TransactionID })
		if i < 0 {
			return p.refuse(RefundRefusedReasonNoSuchOrder, "order %s is none of its %d orders", oneLine(p.req.TransactionID), len(orders))
		}
	case len(orders) > 1 || orders[0].TransactionID == "":
		return p.refuse(RefundRefusedReasonNoSuchOrder, "it has %d orders: name one in TransactionID", len(orders))
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
		return 0, p.refuse(RefundRefusedReasonEarlierRound, "round %d was to be refunded, and the user has filed it %d times: decide on that", p.round, n)
	}
	if p.complaint.ComplaintFullRefunded {
		return 0, p.refuse(RefundRefusedReasonFullyRefunded, "all its orders are refunded in full: nothing is left to pay")
	}
	if seen.withdrawn {
		return 0, p.refuse(RefundRefusedReasonWithdrawn, "the user withdrew it: if the money is owed all the same, use Refunds.Create")
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
		return p.refuse(RefundRefusedReasonEarlierAttempt, "attempt %d is asked for, and there is no refund %s of attempt %d", p.attempt, number, p.attempt-1)
	case own[i].Status != RefundStatusClosed:
		return p.refuse(RefundRefusedReasonEarlierAttempt, "attempt %d is asked for, and refund %s of attempt %d is %s, not CLOSED", p.attempt, number, p.attempt-1, own[i].Status)
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
			return p.refuse(RefundRefusedReasonEarlierRound, "refund %s of round %d is ABNORMAL, and the user has filed again since: act on it in the merchant platform", refund.number, refund.round)
		case refund.Status != RefundStatusSuccess && refund.Status != RefundStatusClosed:
			return p.refuse(RefundRefusedReasonEarlierRound, "refund %s of round %d is %s, and the user has filed again since: wait until it has arrived", refund.number, refund.round, refund.Status)
		default:
			ownBefore++
		}
		if refund.Status == RefundStatusSuccess {
			ownArrived++
		}
	}
	const remedy = "look in the merchant platform, and refund what is still due with Refunds.Create"
	if seen.now.byPlatform > 0 {
		return p.refuse(RefundRefusedReasonElsewhere, "WeChat Pay refunds it in the merchant's stead: "+remedy)
	}
	// Of an earlier round, one refund by WeChat Pay may stand in both counts.
	foreignBefore := max(seen.before.any-ownBefore, seen.before.byPlatform)
	foreignArrived := max(0, seen.arrived-ownArrived)
	if seen.now.any > ownNow || foreignArrived > foreignBefore {
		return p.refuse(RefundRefusedReasonElsewhere, "its negotiation history shows %d refunds launched in this round and %d arrived at all, and of these %d and %d are known by their numbers here: "+remedy,
			seen.now.any, seen.arrived, ownNow, ownArrived)
	}
	if foreignBefore > foreignArrived {
		return p.refuse(RefundRefusedReasonEarlierRound, "its negotiation history shows %d refunds of earlier rounds that were not made here, of which %d arrived: "+remedy, foreignBefore, foreignArrived)
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
		return 0, p.refuse(RefundRefusedReasonNoAmount, "it does not say how much the user applied for: say it in Amount")
	case amount > p.order.Amount:
		return 0, p.refuse(RefundRefusedReasonMoreThanOrder, "%d fen are more than the order's %d", amount, p.order.Amount)
	case applied > 0 && paid > applied-amount && !p.req.AllowMoreThanApplied:
		return 0, p.refuse(RefundRefusedReasonMoreThanApplied, "%d fen, with %d that are refunded in this round, are more than the %d that the user applied for: set AllowMoreThanApplied if that is meant", amount, paid, applied)
	}
	return amount, nil
}
