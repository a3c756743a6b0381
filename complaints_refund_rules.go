package wechatpay

import (
	"context"
	"errors"
	"slices"
	"time"
)

// findOrder selects the order to refund.
func (p *complaintRefund) findOrder() error {
	orders := p.complaint.ComplaintOrderInfo
	i := 0
	switch {
	case len(orders) == 0:
		return p.refuse(RefundRefusedReasonNoSuchOrder,
			"the complaint has no order; refund by the order's number with Refunds.Create")
	case p.req.TransactionID != "":
		i = slices.IndexFunc(orders, func(o ComplaintOrderInfo) bool { return o.TransactionID == p.req.TransactionID })
		if i < 0 {
			return p.refuse(RefundRefusedReasonNoSuchOrder,
				"order %s is not among its %d orders", oneLine(p.req.TransactionID), len(orders))
		}
	case len(orders) > 1 || orders[0].TransactionID == "":
		return p.refuse(RefundRefusedReasonNoSuchOrder, "it has %d orders; set TransactionID", len(orders))
	}
	p.order = &orders[i]
	return nil
}

// mayPay returns the amount to pay, or the refund if it exists by now, or an
// error if the user was or may be paid some other way. It runs before each
// attempt and reads everything again. The history comes first: the complaint
// may show what the history does not show yet.
func (p *complaintRefund) mayPay(ctx context.Context) (amount int64, found *Refund, err error) {
	history, err := p.readHistory(ctx)
	if err != nil {
		return 0, nil, err
	}
	if err := p.read(ctx); err != nil {
		return 0, nil, err
	}
	if amount, err = p.checkRules(ctx, history); err == nil {
		return amount, nil, nil
	}
	// Another caller may have created this very refund meanwhile.
	var refused *RefundRefusedError
	if errors.As(err, &refused) {
		if found, findErr := p.find(ctx, p.outRefundNo); found != nil || findErr != nil {
			return 0, found, findErr
		}
	}
	return 0, nil, err
}

// checkRules returns the amount to pay, or the first reason not to.
func (p *complaintRefund) checkRules(ctx context.Context, history *refundHistory) (int64, error) {
	if n := currentRound(p.complaint); n != p.round {
		return 0, p.refuse(RefundRefusedReasonEarlierRound,
			"the request is for round %d, the current round is %d", p.round, n)
	}
	if p.complaint.ComplaintFullRefunded {
		return 0, p.refuse(RefundRefusedReasonFullyRefunded, "all its orders are refunded in full")
	}
	if history.withdrawn {
		return 0, p.refuse(RefundRefusedReasonWithdrawn,
			"the user withdrew the complaint; to pay anyway use Refunds.Create")
	}
	own, err := p.ownRefunds(ctx)
	if err != nil {
		return 0, err
	}
	if err := p.checkEarlierAttempt(own); err != nil {
		return 0, err
	}
	if err := p.checkForeign(history, own); err != nil {
		return 0, err
	}
	return p.amount(own)
}

// refundHistory is what the negotiation history shows about refunds.
type refundHistory struct {
	now, before launchRecords // in this round, and in earlier ones
	arrived     int           // in all rounds
	withdrawn   bool          // in this round
}

// launchRecords counts the records of launched refunds.
type launchRecords struct {
	byPlatform int // by WeChat Pay on the merchant's behalf
	any        int // all; may include those
}

// readHistory reads the whole history. Its order is not documented, and times
// may be whole seconds or missing. A record that may belong to this round counts
// as if it did.
func (p *complaintRefund) readHistory(ctx context.Context) (*refundHistory, error) {
	var filed time.Time // the last time
	var records []*NegotiationRecord
	for record, err := range historyRecords(ctx, p.client, refundOp, p.complaintID) {
		if err != nil {
			return nil, err
		}
		records = append(records, record)
		at := record.OperateTime.Truncate(time.Second)
		if record.OperateType == OperateTypeUserContinueComplaint && at.After(filed) {
			filed = at
		}
	}
	history := new(refundHistory)
	for _, record := range records {
		round := &history.now
		if !record.OperateTime.IsZero() && record.OperateTime.Before(filed) {
			round = &history.before
		}
		switch record.OperateType {
		case OperateTypeComplaintEntrustedRefundSystemMessage:
			round.byPlatform++
		case OperateTypeComplaintFullRefundedSystemMessage, OperateTypeComplaintPartialRefundedSystemMessage,
			OperateTypeComplaintFullRefunded:
			round.any++
		case OperateTypeComplaintRefundReceivedSystemMessage:
			history.arrived++
		case OperateTypeUserRevokeComplaint:
			history.withdrawn = history.withdrawn || round == &history.now
		}
	}
	return history, nil
}

// ownRefund is a refund with a derived number.
type ownRefund struct {
	*Refund
	number string
	round  int
}

// ownRefunds reads the refunds with derived numbers of all orders and rounds.
// The attempts of an order and round are consecutive.
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

// checkEarlierAttempt checks that the refund of the attempt before is CLOSED.
func (p *complaintRefund) checkEarlierAttempt(own []ownRefund) error {
	if p.attempt == 1 {
		return nil
	}
	number := p.number(p.order.TransactionID, p.round, p.attempt-1)
	i := slices.IndexFunc(own, func(r ownRefund) bool { return r.number == number })
	switch {
	case i < 0:
		return p.refuse(RefundRefusedReasonEarlierAttempt, "attempt %d: refund %s of attempt %d does not exist",
			p.attempt, number, p.attempt-1)
	case own[i].Status != RefundStatusClosed:
		return p.refuse(RefundRefusedReasonEarlierAttempt, "attempt %d: refund %s of attempt %d is %s, not CLOSED",
			p.attempt, number, p.attempt-1, own[i].Status)
	}
	return nil
}

// checkForeign refuses if the history shows a refund of this round without a
// derived number, or if a refund of an earlier round may be on its way: its
// money is not visible yet, and would be paid twice.
//
// Records name neither order nor number, so they are counted.
func (p *complaintRefund) checkForeign(history *refundHistory, own []ownRefund) error {
	var ownNow, ownBefore, ownArrived int
	for _, refund := range own {
		if refund.round == p.round {
			ownNow++
		} else if err := p.checkArrived(refund); err != nil {
			return err
		} else {
			ownBefore++
		}
		if refund.Status == RefundStatusSuccess {
			ownArrived++
		}
	}
	if history.now.byPlatform > 0 {
		return p.refuse(RefundRefusedReasonElsewhere,
			"WeChat Pay refunds it on the merchant's behalf; "+foreignRemedy)
	}
	// A refund by WeChat Pay in an earlier round may be in both counts.
	foreignBefore := max(history.before.any-ownBefore, history.before.byPlatform)
	foreignArrived := max(0, history.arrived-ownArrived)
	if history.now.any > ownNow || foreignArrived > foreignBefore {
		return p.refuse(RefundRefusedReasonElsewhere,
			"the history shows %d launched in this round and %d arrived, of which %d and %d are known; "+
				foreignRemedy, history.now.any, history.arrived, ownNow, ownArrived)
	}
	if foreignBefore > foreignArrived {
		return p.refuse(RefundRefusedReasonEarlierRound,
			"the history shows %d unknown refunds of earlier rounds, of which %d arrived; "+
				foreignRemedy, foreignBefore, foreignArrived)
	}
	return nil
}

const foreignRemedy = "check the merchant platform"

// checkArrived refuses while a refund of an earlier round is on its way.
func (p *complaintRefund) checkArrived(refund ownRefund) error {
	switch refund.Status {
	case RefundStatusSuccess, RefundStatusClosed:
		return nil
	case RefundStatusAbnormal:
		return p.refuse(RefundRefusedReasonEarlierRound,
			"refund %s of round %d is ABNORMAL; resolve it in the merchant platform",
			refund.number, refund.round)
	}
	return p.refuse(RefundRefusedReasonEarlierRound, "refund %s of round %d is %s; wait until it has arrived",
		refund.number, refund.round, refund.Status)
}

// amount returns what to pay. The amount applied for is for all orders of the
// complaint together, and is valid only if the complaint asks for a refund.
func (p *complaintRefund) amount(own []ownRefund) (int64, error) {
	amount, appliedFor := p.req.Amount, int64(0)
	if kind := p.complaint.ProblemType; kind == ProblemTypeRefund || kind == "" {
		appliedFor = p.complaint.ApplyRefundAmount
	}
	if amount == 0 {
		amount = appliedFor
	}
	paid := int64(0)
	for _, refund := range own {
		if refund.round == p.round && refund.Status != RefundStatusClosed {
			paid += refund.Amount.Refund
		}
	}
	switch {
	case amount <= 0:
		return 0, p.refuse(RefundRefusedReasonNoAmount,
			"the complaint does not say how much the user applied for; set Amount")
	case amount > p.order.Amount:
		return 0, p.refuse(RefundRefusedReasonMoreThanOrder,
			"%d fen exceeds the order amount (%d fen)", amount, p.order.Amount)
	case appliedFor > 0 && paid > appliedFor-amount && !p.req.AllowMoreThanApplied:
		return 0, p.refuse(RefundRefusedReasonMoreThanApplied,
			"%d fen, with %d fen refunded in this round, exceeds the %d fen applied for",
			amount, paid, appliedFor)
	}
	return amount, nil
}
