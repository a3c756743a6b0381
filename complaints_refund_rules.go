package wechatpay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// findOrder selects the order to refund.
func (p *complaintRefund) findOrder() error {
	orders := p.complaint.ComplaintOrderInfo
	i := 0
	switch transactionID, outTradeNo := p.req.TransactionID, p.req.OutTradeNo; {
	case len(orders) == 0:
		return p.refuse(RefundRefusedReasonNoSuchOrder,
			"the complaint has no order; refund by the order's number with Refunds.Create")
	case transactionID != "" || outTradeNo != "":
		i = slices.IndexFunc(orders, func(o ComplaintOrderInfo) bool {
			return (transactionID == "" || o.TransactionID == transactionID) &&
				(outTradeNo == "" || o.OutTradeNo == outTradeNo)
		})
		if i < 0 {
			return p.refuse(RefundRefusedReasonNoSuchOrder, "order %s is not among its %d orders",
				oneLine(cmp.Or(transactionID, outTradeNo)), len(orders))
		}
	case len(orders) > 1:
		return p.refuse(RefundRefusedReasonNoSuchOrder,
			"it has %d orders; set TransactionID or OutTradeNo", len(orders))
	}
	p.order = &orders[i]
	if p.order.TransactionID == "" {
		return p.refuse(RefundRefusedReasonNoSuchOrder,
			"its order has no transaction_id; refund it by its out_trade_no with Refunds.Create")
	}
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
	if err := p.checkComplaint(history); err != nil {
		return 0, err
	}
	own, err := p.ownRefunds(ctx)
	if err != nil {
		return 0, err
	}
	if err := p.checkEarlierAttempt(own); err != nil {
		return 0, err
	}
	if err := p.checkOtherNumber(own); err != nil {
		return 0, err
	}
	if history, err = p.awaitLaunches(ctx, history, own); err != nil {
		return 0, err
	}
	if err := p.checkUnknownRefunds(history, own); err != nil {
		return 0, err
	}
	return p.amount(own)
}

// checkComplaint checks the complaint and its decisions.
func (p *complaintRefund) checkComplaint(history *refundHistory) error {
	switch n := currentRound(p.complaint); {
	case n != p.round:
		return p.refuse(RefundRefusedReasonEarlierRound,
			"the request is for round %d, the current round is %d", p.round, n)
	case history.filings > n:
		return p.refuse(RefundRefusedReasonEarlierRound,
			"the complaint shows round %d, its history round %d; call again", n, history.filings)
	case n > maxRounds:
		return p.refuse(RefundRefusedReasonEarlierRound,
			"it has %d rounds, too many to check; "+foreignRemedy, n)
	case p.complaint.ComplaintFullRefunded:
		return p.refuse(RefundRefusedReasonFullyRefunded, "all its orders are refunded in full")
	case history.withdrawn:
		return p.refuse(RefundRefusedReasonWithdrawn,
			"the user withdrew the complaint; to pay anyway use Refunds.Create")
	case history.rejected && !p.req.AllowRejected:
		return p.refuse(RefundRefusedReasonRejected,
			"the refund was rejected in this round; to pay anyway set AllowRejected")
	}
	return nil
}

// maxRounds bounds the rounds whose refunds are read before paying. A complaint
// with more needs manual review.
const maxRounds = 20

// refundHistory is what the negotiation history shows about refunds.
type refundHistory struct {
	filings   int            // how often the user filed the complaint
	filed     time.Time      // when the user filed it again last, in whole seconds
	launched  []launchRecord // of all rounds
	entrusted []launchRecord // by WeChat Pay on the merchant's behalf
	arrived   []time.Time    // of all rounds
	signedAt  time.Time      // when WeChat Pay signed the first page
	withdrawn bool           // in this round
	rejected  bool           // in this round
}

// launchRecord is the record of a launched refund.
type launchRecord struct {
	at  time.Time // zero: unknown
	now bool      // in this round
}

// readHistory reads the whole history. Its order is not documented, and times
// may be whole seconds or missing. A record that may belong to this round counts
// as if it did.
func (p *complaintRefund) readHistory(ctx context.Context) (*refundHistory, error) {
	records, signedAt, err := readOperations(ctx, p.client, p.op, p.complaintID)
	if err != nil {
		return nil, err
	}
	history := &refundHistory{signedAt: signedAt, filings: 1}
	for _, r := range records {
		if r.OperateType == OperateTypeUserContinueComplaint {
			history.addFiling(r.OperateTime)
		}
	}
	for _, r := range records {
		history.add(&r)
	}
	return history, nil
}

// addFiling adds that the user filed the complaint again.
func (h *refundHistory) addFiling(at time.Time) {
	h.filings++
	if at = at.Truncate(time.Second); at.After(h.filed) {
		h.filed = at
	}
}

// add adds another record, after all filings.
func (h *refundHistory) add(r *operationRecord) {
	at := r.OperateTime
	now := at.IsZero() || !at.Before(h.filed)
	switch r.OperateType {
	case OperateTypeComplaintEntrustedRefundSystemMessage:
		h.entrusted = append(h.entrusted, launchRecord{at, now})
	case OperateTypeComplaintFullRefundedSystemMessage, OperateTypeComplaintPartialRefundedSystemMessage,
		OperateTypeComplaintFullRefunded:
		h.launched = append(h.launched, launchRecord{at, now})
	case OperateTypeComplaintRefundReceivedSystemMessage:
		h.arrived = append(h.arrived, at)
	case OperateTypeUserRevokeComplaint:
		h.withdrawn = h.withdrawn || now
	case OperateTypeMerchantRefuseRefund:
		h.rejected = h.rejected || now
	}
}

// ownRefund is a refund with a derived number.
type ownRefund struct {
	*refundState
	number        string
	transactionID string // of the order
	round         int
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
			for attempt := 1; attempt <= maxRefundAttempts; attempt++ {
				number := p.number(order.TransactionID, round, attempt)
				refund, err := p.client.Refunds.findState(ctx, p.op, number, p.subMchID)
				if err != nil {
					return nil, err
				}
				if refund == nil {
					break
				}
				own = append(own, ownRefund{refund, number, order.TransactionID, round})
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

// checkOtherNumber refuses the merchant's own number if the order was refunded in
// this round with a derived number.
func (p *complaintRefund) checkOtherNumber(own []ownRefund) error {
	for _, refund := range own {
		if p.req.OutRefundNo != "" && refund.transactionID == p.order.TransactionID && refund.round == p.round &&
			refund.Status != RefundStatusClosed {
			return p.refuse(RefundRefusedReasonElsewhere, "refund %s of this order and round exists (%s)",
				refund.number, refund.Status)
		}
	}
	return nil
}

// awaitLaunches reads the history again if it may not show the launch of the
// youngest own refund yet: until then, the launch of another refund would pass
// for it.
func (p *complaintRefund) awaitLaunches(
	ctx context.Context, history *refundHistory, own []ownRefund,
) (*refundHistory, error) {
	var youngest time.Time
	for _, refund := range own {
		if refund.round == p.round && refund.CreateTime.After(youngest) {
			youngest = refund.CreateTime
		}
	}
	lag := p.client.retry.HistoryLag + time.Second // create_time is in whole seconds
	visible := youngest.Add(lag)
	if youngest.IsZero() || history.signedAt.After(visible) {
		return history, nil
	}
	if !sleep(ctx, min(visible.Sub(history.signedAt), lag)) {
		err := cmp.Or(ctx.Err(), context.DeadlineExceeded)
		return nil, fmt.Errorf("no time to see whether the user was refunded: %w", err)
	}
	return p.readHistory(ctx)
}

const (
	// launchTolerance is how much earlier than a refund's create_time its record
	// may be: both may be whole seconds.
	launchTolerance = 2 * time.Second
	// launchWindow is how much later it may be.
	launchWindow = 10 * time.Minute
)

// checkUnknownRefunds refuses if the history shows a refund of this round without a
// derived number, or if a refund of an earlier round may be on its way: its
// money is not visible yet, and would be paid twice.
//
// Records name neither order nor number. So each own refund explains at most one
// launch at its time, and at most one arrival after it.
func (p *complaintRefund) checkUnknownRefunds(history *refundHistory, own []ownRefund) error {
	for _, refund := range own {
		if err := p.checkArrived(refund); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(history.entrusted, func(l launchRecord) bool { return l.now }) {
		return p.refuse(RefundRefusedReasonElsewhere,
			"WeChat Pay refunds it on the merchant's behalf; "+foreignRemedy)
	}
	now, before := history.unexplainedLaunches(own)
	if now > 0 {
		return p.refuse(RefundRefusedReasonElsewhere, "the history shows %d refunds of this round that are not known; "+
			foreignRemedy, now)
	}
	switch onTheirWay, unknown := matchArrivals(before, history.unexplainedArrivals(own)); {
	case unknown > 0:
		return p.refuse(RefundRefusedReasonElsewhere, "the history shows %d arrived refunds that are not known; "+
			foreignRemedy, unknown)
	case onTheirWay > 0:
		return p.refuse(RefundRefusedReasonEarlierRound,
			"the history shows %d refunds of earlier rounds on their way; "+foreignRemedy, onTheirWay)
	}
	return nil
}

const foreignRemedy = "check the merchant platform"

// unexplainedLaunches returns the launches that no own refund explains: how many
// in this round, and when in earlier ones, oldest first.
func (h *refundHistory) unexplainedLaunches(own []ownRefund) (now int, before []time.Time) {
	used := make([]bool, len(own))
	slices.SortFunc(h.launched, func(a, b launchRecord) int { return compareTimes(a.at, b.at) })
	for _, launch := range h.launched {
		switch {
		case explain(own, used, func(r *ownRefund) bool { return r.explainsLaunch(launch.at) }):
		case launch.now:
			now++
		default:
			before = append(before, launch.at)
		}
	}
	// A refund by WeChat Pay may have a launch record too, at the same time.
	launched := slices.Clone(before)
	for _, refund := range h.entrusted {
		i := slices.IndexFunc(launched, func(at time.Time) bool {
			return at.Sub(refund.at).Abs() <= launchTolerance
		})
		switch {
		case refund.now:
		case i >= 0:
			launched = slices.Delete(launched, i, i+1)
		default:
			before = append(before, refund.at)
		}
	}
	slices.SortFunc(before, compareTimes)
	return now, before
}

// unexplainedArrivals returns when the refunds arrived that no own refund
// explains, oldest first.
func (h *refundHistory) unexplainedArrivals(own []ownRefund) (times []time.Time) {
	used := make([]bool, len(own))
	slices.SortFunc(h.arrived, compareTimes)
	for _, at := range h.arrived {
		if !explain(own, used, func(r *ownRefund) bool { return r.explainsArrival(at) }) {
			times = append(times, at)
		}
	}
	return times
}

// matchArrivals matches each arrival to a launch before it. It returns how many
// launches and how many arrivals are left.
func matchArrivals(launched, arrived []time.Time) (onTheirWay, unknown int) {
	launched = slices.Clone(launched)
	for _, at := range arrived {
		i := slices.IndexFunc(launched, func(launch time.Time) bool {
			return at.IsZero() || launch.IsZero() || !at.Before(launch.Add(-launchTolerance))
		})
		if i < 0 {
			unknown++
			continue
		}
		launched = slices.Delete(launched, i, i+1)
	}
	return len(launched), unknown
}

// compareTimes sorts unknown times last: they fit any refund.
func compareTimes(a, b time.Time) int {
	if a.IsZero() != b.IsZero() {
		return -a.Compare(b)
	}
	return a.Compare(b)
}

// explain marks the oldest unused own refund that fits, and reports whether there
// is one.
func explain(own []ownRefund, used []bool, fits func(*ownRefund) bool) bool {
	best := -1
	for i := range own {
		if !used[i] && fits(&own[i]) && (best < 0 || own[i].CreateTime.Before(own[best].CreateTime)) {
			best = i
		}
	}
	if best >= 0 {
		used[best] = true
	}
	return best >= 0
}

// explainsLaunch reports whether a record may be the launch of the refund.
func (r *ownRefund) explainsLaunch(at time.Time) bool {
	if at.IsZero() || r.CreateTime.IsZero() {
		return true
	}
	return !at.Before(r.CreateTime.Add(-launchTolerance)) && !at.After(r.CreateTime.Add(launchWindow))
}

// explainsArrival reports whether a record may be the arrival of the refund.
func (r *ownRefund) explainsArrival(at time.Time) bool {
	if r.Status != RefundStatusSuccess {
		return false
	}
	return at.IsZero() || !at.Before(r.CreateTime.Add(-launchTolerance))
}

// checkArrived refuses while a refund of an earlier round is on its way.
func (p *complaintRefund) checkArrived(refund ownRefund) error {
	switch {
	case refund.round == p.round, refund.Status == RefundStatusSuccess, refund.Status == RefundStatusClosed:
		return nil
	case refund.Status == RefundStatusAbnormal:
		return p.refuse(RefundRefusedReasonEarlierRound,
			"refund %s of round %d is ABNORMAL; resolve it in the merchant platform",
			refund.number, refund.round)
	}
	return p.refuse(RefundRefusedReasonEarlierRound, "refund %s of round %d is %s; wait until it has arrived",
		refund.number, refund.round, refund.Status)
}

// amount returns what to pay. ApplyRefundAmount covers all orders together. It
// counts only if the complaint asks for a refund.
func (p *complaintRefund) amount(own []ownRefund) (int64, error) {
	amount, appliedFor := p.req.Amount, int64(0)
	if kind := p.complaint.ProblemType; kind == ProblemTypeRefund || kind == "" {
		appliedFor = p.complaint.ApplyRefundAmount
	}
	amount = cmp.Or(amount, appliedFor)
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
	case p.order.Amount == 0:
		return 0, p.refuse(RefundRefusedReasonNoAmount,
			"the complaint does not say the amount of the order; refund it with Refunds.Create")
	case amount > p.order.Amount && p.req.Amount == 0 && len(p.complaint.ComplaintOrderInfo) > 1:
		return 0, p.refuse(RefundRefusedReasonMoreThanOrder,
			"the %d fen applied for are for %d orders; set Amount for each of them",
			amount, len(p.complaint.ComplaintOrderInfo))
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
