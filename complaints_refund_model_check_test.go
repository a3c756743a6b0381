//go:build go1.25

package wechatpay_test

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// A payment is a refund that the server accepted, or WeChat Pay's own.
type payment struct {
	kind    string // "derived number", "own number", "merchant platform" or "WeChat Pay"
	number  string
	order   string // "": all orders
	amount  int64
	at      time.Time
	round   int
	call    *modelCall // that created it; nil: none
	since   time.Time  // when the call last had to check before it paid
	closed  time.Time  // zero: not
	arrived time.Time  // zero: not

	launchID, arrivalID string // of the records in the history
}

// open reports whether the payment was accepted and not closed at a time.
func (p *payment) open(at time.Time) bool {
	return !p.at.After(at) && (p.closed.IsZero() || p.closed.After(at))
}

// of reports whether the payment is of an order.
func (p *payment) of(order string) bool { return p.order == order || p.order == "" }

func (p *payment) String() string {
	return fmt.Sprintf("%s %s of %d fen of order %s in round %d at %s",
		p.kind, p.number, p.amount, p.order, p.round, p.at.Format("15:04:05.000"))
}

// A modelReport counts what happened in all runs, and lists the orders that were
// paid twice.
type modelReport struct {
	mu     sync.Mutex
	counts map[string]int
	twice  []string
}

func (r *modelReport) count(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[fmt.Sprintf(format, args...)]++
}

func (r *modelReport) table() string {
	var b strings.Builder
	b.WriteString("| what | count |\n|---|---|\n")
	for _, what := range slices.Sorted(maps.Keys(r.counts)) {
		fmt.Fprintf(&b, "| %s | %d |\n", what, r.counts[what])
	}
	slices.Sort(r.twice)
	return b.String() + "\nPaid twice:\n" + strings.Join(r.twice, "\n")
}

func (r *modelReport) list(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.twice = append(r.twice, fmt.Sprintf(format, args...))
}

// A modelCheck compares the calls of a model with what the server recorded.
type modelCheck struct {
	*refundModel
	t        *testing.T
	report   *modelReport
	payments []*payment
	reads    map[string][]modelRead // by call
}

// A modelRead is a record that a call read in the history.
type modelRead struct {
	logID string
	at    time.Time
}

func (m *refundModel) check(t *testing.T, report *modelReport) {
	c := &modelCheck{refundModel: m, t: t, report: report, reads: map[string][]modelRead{}}
	report.count("runs")
	c.readRequests()
	c.readEvents()
	c.readHistory()
	for _, call := range m.calls {
		c.checkResult(call)
	}
	for _, p := range c.payments {
		if p.call != nil {
			c.checkAmount(p)
			c.checkRound(p)
			c.checkTwice(p)
		}
	}
}

func (c *modelCheck) fail(call *modelCall, format string, args ...any) {
	c.report.count("violations")
	assert.Fail(c.t, fmt.Sprintf(format, args...), "call %d: %+v from %s to %s: %v\npayments: %v\nevents: %v", call.id,
		call.req, call.start.Format("15:04:05.000"), call.end.Format("15:04:05.000"), call.err, c.payments, c.events)
}

// roundAt returns the round at a time.
func (c *modelCheck) roundAt(at time.Time) (round int) {
	for _, r := range c.rounds {
		if !r.filed.After(at) {
			round++
		}
	}
	return round
}

// readRequests finds the payments, and what the calls read in the history.
func (c *modelCheck) readRequests() {
	calls := map[string]*modelCall{}
	for _, call := range c.calls {
		calls[fmt.Sprint(call.id)] = call
	}
	for _, request := range c.server.Requests() {
		id := request.Header.Get(callHeader)
		if strings.Contains(request.Path, "/negotiation-historys") && request.StatusCode == 200 {
			var page wechatpay.NegotiationHistory
			require.NoError(c.t, json.Unmarshal(request.Response, &page))
			for _, record := range page.Data {
				c.reads[id] = append(c.reads[id], modelRead{record.LogID, request.Time})
			}
		}
		if request.Method != http.MethodPost {
			continue
		}
		call := calls[id]
		if request.TookEffect {
			c.payments = append(c.payments, c.newPayment(&request, call))
		}
		if call != nil {
			call.posted = request.Time
		}
	}
}

func (c *modelCheck) newPayment(request *wechatpaytest.Request, call *modelCall) *payment {
	var body wechatpay.CreateRefundRequest
	require.NoError(c.t, json.Unmarshal(request.Body, &body))
	p := &payment{
		kind:   "merchant platform",
		number: body.OutRefundNo,
		order:  body.TransactionID,
		amount: body.Amount.Refund,
		at:     request.Time,
		round:  c.roundAt(request.Time),
		call:   call,
	}
	if call == nil {
		return p
	}
	p.kind = "own number"
	if p.since = call.start; !call.posted.IsZero() {
		p.since = call.posted.Add(c.policy) // it looks up the number, and checks everything again
	}
	if strings.HasPrefix(p.number, "cr") {
		p.kind = "derived number"
		// The user may have filed again before it took effect.
		p.round, _ = strconv.Atoi(strings.Split(p.number, "-")[1])
	}
	return p
}

// readEvents adds WeChat Pay's own refunds, and what became of the others.
func (c *modelCheck) readEvents() {
	for _, e := range c.events {
		switch e.kind {
		case "entrusted":
			p := &payment{kind: "WeChat Pay", order: e.order, at: e.at, round: c.roundAt(e.at)}
			c.payments = append(c.payments, p)
		case "CLOSED":
			c.payment(e.number).closed = e.at
		case "SUCCESS":
			c.payment(e.number).arrived = e.at
		}
	}
	slices.SortStableFunc(c.payments, func(a, b *payment) int { return a.at.Compare(b.at) })
}

func (c *modelCheck) payment(number string) *payment {
	i := slices.IndexFunc(c.payments, func(p *payment) bool { return p.number == number })
	if i < 0 {
		return nil
	}
	return c.payments[i]
}

// readHistory finds the records of each payment: they are in the order in which
// the payments took effect and arrived.
func (c *modelCheck) readHistory() {
	launched, entrusted, arrived := c.payments[:0:0], c.payments[:0:0], c.payments[:0:0]
	for _, p := range c.payments {
		if p.kind == "WeChat Pay" {
			entrusted = append(entrusted, p)
		} else {
			launched = append(launched, p)
		}
		if !p.arrived.IsZero() {
			arrived = append(arrived, p)
		}
	}
	slices.SortFunc(arrived, func(a, b *payment) int { return a.arrived.Compare(b.arrived) })
	for _, record := range c.server.History(testComplaintID) {
		switch record.OperateType {
		case wechatpay.OperateTypeComplaintFullRefundedSystemMessage,
			wechatpay.OperateTypeComplaintPartialRefundedSystemMessage:
			launched[0].launchID, launched = record.LogID, launched[1:]
		case wechatpay.OperateTypeComplaintEntrustedRefundSystemMessage:
			entrusted[0].launchID, entrusted = record.LogID, entrusted[1:]
		case wechatpay.OperateTypeComplaintRefundReceivedSystemMessage:
			arrived[0].arrivalID, arrived = record.LogID, arrived[1:]
		}
	}
	require.Empty(c.t, slices.Concat(launched, entrusted, arrived))
}

// checkResult checks that the error of a call agrees with what it did.
func (c *modelCheck) checkResult(call *modelCall) {
	var paid *payment // by this call
	for _, p := range c.payments {
		if p.call == call {
			if paid != nil {
				c.fail(call, "it paid twice: %v and %v", paid, p)
			}
			paid = p
		}
	}
	var (
		refused  *wechatpay.RefundRefusedError
		rejected *wechatpay.APIError
	)
	switch {
	case call.err == nil:
		c.checkSuccess(call)
		if paid != nil {
			c.report.count("paid, %s", paid.kind)
		} else {
			c.report.count("found")
		}
	case errors.Is(call.err, wechatpay.ErrOutcomeUnknown):
		c.report.count("unknown")
	case paid != nil && paid.open(call.end):
		c.fail(call, "a definite error, but it paid %v", paid)
	case errors.As(call.err, &refused):
		c.checkRefused(call, refused)
	case errors.As(call.err, &rejected):
		c.report.count("rejected: %s", cmp.Or(string(rejected.Code), "by a gateway"))
	default:
		c.report.count("failed")
	}
}

// checkSuccess checks that the refund of a successful call exists and is of the
// order and amount that were asked for.
func (c *modelCheck) checkSuccess(call *modelCall) {
	p := c.payment(call.refund.OutRefundNo)
	switch {
	case p == nil:
		c.fail(call, "nil, but refund %s does not exist", call.refund.OutRefundNo)
	case p.order != call.req.TransactionID, call.req.Amount != 0 && p.amount != call.req.Amount:
		c.fail(call, "it returned the refund of another order or amount: %v", p)
	case !p.during(call):
		c.fail(call, "it returned a closed refund: %v", p)
	}
}

// checkAmount checks that a payment is of the amount asked for, and that the
// refunds with derived numbers stay within the amount that the user applied for.
func (c *modelCheck) checkAmount(p *payment) {
	req, applied := p.call.req, int64(0) // at any time of the call
	first, last := c.roundsOf(p.call)
	for _, round := range c.rounds[first-1 : last] {
		applied = max(applied, round.applied)
		if req.Amount == 0 && p.amount == round.applied {
			req.Amount = p.amount
		}
	}
	if p.amount != req.Amount {
		c.fail(p.call, "it paid %d fen", p.amount)
	}
	if req.AllowMoreThanApplied {
		return
	}
	sum, concurrent := p.amount, false
	for _, q := range c.payments {
		if q != p && q.kind == "derived number" && q.round == p.round && q.at.Before(p.at) && q.open(p.at) {
			sum += q.amount
			concurrent = concurrent || !c.visible(q, p.since)
		}
	}
	switch {
	case sum <= applied:
	case concurrent:
		c.report.count("more than applied for: the refund of another order was not visible yet")
	default:
		c.fail(p.call, "%d fen exceed the %d fen applied for", sum, applied)
	}
}

// checkRound checks that a payment is for the round that was asked for.
func (c *modelCheck) checkRound(p *payment) {
	first, last := c.roundsOf(p.call)
	round := cmp.Or(p.call.req.Round, p.round)
	if round < first || round > last || p.kind == "derived number" && p.round != round {
		c.fail(p.call, "%v is not for round %d to %d", p, first, last)
	}
}

// checkTwice looks for other refunds of the order: in the same round, or on
// their way since an earlier round.
func (c *modelCheck) checkTwice(p *payment) {
	for _, q := range c.payments {
		switch {
		case q == p, !q.at.Before(p.at), !q.of(p.order), !q.open(p.at):
		case q.round == p.round:
			c.paidTwice(p, q, "order paid twice in a round")
		case q.kind != "WeChat Pay" && (q.arrived.IsZero() || q.arrived.After(p.at)):
			c.paidTwice(p, q, "order paid while a refund of an earlier round was on its way")
		}
	}
}

// paidTwice checks that no endpoint could have shown q before the call paid p.
func (c *modelCheck) paidTwice(p, q *payment, what string) {
	why := c.why(p, q)
	switch {
	case p.kind == "derived number" && q.kind == p.kind && q.round == p.round,
		why == "shown",
		why == "shown, but not distinguishable" && c.lag <= c.policy:
		c.fail(p.call, "%s: %v after %v, %s", what, p, q, why)
	}
	c.report.count("%s, lag %v, HistoryLag %v: %s after %s, %s", what, c.lag, c.policy, p.kind, q.kind, why)
	c.report.list("seed %4d, %s: %v after %v", c.seed, why, p, q)
}

// why says why a call could pay p although q existed.
func (c *modelCheck) why(p, q *payment) string {
	read := map[string]bool{"": false}
	for _, r := range c.reads[fmt.Sprint(p.call.id)] {
		if r.at.Before(p.at) {
			read[r.logID] = true
		}
	}
	launch, arrival := read[q.launchID], read[q.arrivalID]
	for _, other := range c.payments {
		if other == p || other == q || other.kind == "WeChat Pay" {
			continue
		}
		own := other.kind == "derived number"
		after := q.at.Sub(other.at)
		// The record of q may be the one of the other that is not shown.
		if own && !read[other.launchID] && after > -3*time.Second && after < 10*time.Minute+time.Second {
			launch = false
		}
		if own && !other.arrived.IsZero() && !read[other.arrivalID] {
			arrival = false
		}
		if !own && q.round < p.round && !read[other.launchID] && read[other.arrivalID] {
			launch = false // the arrival of the other may be its arrival
		}
	}
	switch {
	case launch, arrival, c.visible(q, p.since) && !read[q.launchID]:
		return "shown"
	case read[q.launchID], read[q.arrivalID]:
		return "shown, but not distinguishable"
	case q.at.After(p.since):
		return "during the call"
	}
	return "not visible yet"
}

// visible reports whether an endpoint showed a payment at a time: the history,
// the complaint, or, by its derived number, the query of a refund.
func (c *modelCheck) visible(p *payment, at time.Time) bool {
	lag := c.lag
	switch {
	case p.kind == "derived number":
		lag = min(lag, c.refundLag)
	case p.kind == "WeChat Pay" && p.order == "":
		lag = 0
	}
	return !p.at.Add(lag).After(at)
}

// checkRefused checks that a refusal is right, or that there is a known reason
// why it is not.
func (c *modelCheck) checkRefused(call *modelCall, refused *wechatpay.RefundRefusedError) {
	if c.isRight(call, refused.Reason) {
		c.report.count("refused, %s", refused.Reason)
		return
	}
	why := c.whyRefused(call, refused.Reason)
	if why == "" {
		c.fail(call, "refused without a reason")
	}
	c.report.count("refused wrongly, %s: %s", refused.Reason, why)
}

// roundsOf returns the rounds in which a call ran.
func (c *modelCheck) roundsOf(call *modelCall) (first, last int) {
	return c.roundAt(call.start), c.roundAt(call.end)
}

// derivedNumber is the documented formula.
func derivedNumber(order string, round, attempt int) string {
	digest := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d\n%d", testComplaintID, order, round, attempt))
	return fmt.Sprintf("cr%s-%d-%d", hex.EncodeToString(digest[:])[:40], round, attempt)
}

// ownNumbers returns the numbers that a call may have used: one for each round
// in which it ran.
func (c *modelCheck) ownNumbers(call *modelCall) (numbers []string) {
	if call.req.OutRefundNo != "" {
		return []string{call.req.OutRefundNo}
	}
	first, last := c.roundsOf(call)
	for round := first; round <= last; round++ {
		number := derivedNumber(call.req.TransactionID, cmp.Or(call.req.Round, round), max(1, call.req.Attempt))
		numbers = append(numbers, number)
	}
	return numbers
}

// find reports whether there is a payment under another number before the end of
// a call.
func (c *modelCheck) find(call *modelCall, match func(*payment) bool) bool {
	own := c.ownNumbers(call)
	return slices.ContainsFunc(c.payments, func(p *payment) bool {
		return !p.at.After(call.end) && !slices.Contains(own, p.number) && match(p)
	})
}

// during reports whether a payment was open at some time of a call.
func (p *payment) during(call *modelCall) bool {
	return p.open(call.start) || p.open(call.end) || p.open(p.at) && p.at.After(call.start) && p.at.Before(call.end)
}

// onItsWay reports whether a payment had not arrived when a call began.
func (p *payment) onItsWay(call *modelCall) bool {
	return p.during(call) && p.kind != "WeChat Pay" && (p.arrived.IsZero() || p.arrived.After(call.start))
}

// isRight reports whether a reason for a refusal is true.
func (c *modelCheck) isRight(call *modelCall, reason wechatpay.RefundRefusedReason) bool {
	first, last := c.roundsOf(call)
	inRound := func(p *payment) bool { return p.during(call) && p.round >= first && p.round <= last }
	happened := func(kind string) bool {
		return slices.ContainsFunc(c.events, func(e modelEvent) bool {
			return e.kind == kind && !e.at.After(call.end) && c.roundAt(e.at) >= first && c.roundAt(e.at) <= last
		})
	}
	own := func(match func(*payment) bool) bool {
		return slices.ContainsFunc(c.ownNumbers(call), func(number string) bool {
			p := c.payment(number)
			return p != nil && match(p)
		})
	}
	switch reason {
	case wechatpay.RefundRefusedReasonFullyRefunded:
		complaint, _ := c.server.Complaint(testComplaintID)
		return complaint.ComplaintFullRefunded
	case wechatpay.RefundRefusedReasonElsewhere:
		return c.find(call, func(p *payment) bool { return inRound(p) && p.of(call.req.TransactionID) })
	case wechatpay.RefundRefusedReasonOtherRefund:
		return own(func(p *payment) bool {
			return p.order != call.req.TransactionID || call.req.Amount != 0 && p.amount != call.req.Amount
		})
	case wechatpay.RefundRefusedReasonWithdrawn:
		return happened("withdrawn")
	case wechatpay.RefundRefusedReasonRejected:
		return happened("rejected")
	case wechatpay.RefundRefusedReasonClosed:
		return own(func(p *payment) bool { return !p.closed.IsZero() && !p.closed.After(call.end) })
	case wechatpay.RefundRefusedReasonEarlierRound:
		return first != last || call.req.Round != 0 && call.req.Round != last ||
			c.find(call, func(p *payment) bool {
				return p.onItsWay(call) && p.round < last && p.of(call.req.TransactionID)
			})
	case wechatpay.RefundRefusedReasonEarlierAttempt:
		number := derivedNumber(call.req.TransactionID, cmp.Or(call.req.Round, last), call.req.Attempt-1)
		earlier := c.payment(number)
		return earlier == nil || earlier.at.After(call.start) || earlier.during(call)
	}
	return c.isTooMuch(call, reason, inRound)
}

// isTooMuch is isRight for the reasons about the amount.
func (c *modelCheck) isTooMuch(
	call *modelCall, reason wechatpay.RefundRefusedReason, inRound func(*payment) bool,
) bool {
	first, last := c.roundsOf(call)
	for round := first; round <= last; round++ {
		applied := c.rounds[round-1].applied
		amount, sum := cmp.Or(call.req.Amount, applied), int64(0)
		i := slices.IndexFunc(c.orders, func(o wechatpay.ComplaintOrderInfo) bool {
			return o.TransactionID == call.req.TransactionID
		})
		for _, p := range c.payments {
			if p.kind == "derived number" && inRound(p) && p.round == round {
				sum += p.amount
			}
		}
		switch reason {
		case wechatpay.RefundRefusedReasonMoreThanOrder:
			if amount > c.orders[i].Amount {
				return true
			}
		case wechatpay.RefundRefusedReasonMoreThanApplied:
			if amount+sum > applied {
				return true
			}
		}
	}
	return false
}

// whyRefused returns why a refusal is wrong: what no endpoint shows. "" means
// that there is no reason.
func (c *modelCheck) whyRefused(call *modelCall, reason wechatpay.RefundRefusedReason) string {
	_, last := c.roundsOf(call)
	foreign := func(p *payment) bool { return p.kind != "derived number" }
	switch {
	case last > 1 && c.rounds[last-1].filed.Add(c.lag).After(call.start):
		return "the history does not show the new round yet"
	case slices.ContainsFunc(c.events, func(e modelEvent) bool { return c.sameSecond(e.at, last) }):
		return "something in the second in which the user filed again"
	case reason != wechatpay.RefundRefusedReasonElsewhere && reason != wechatpay.RefundRefusedReasonEarlierRound:
		return ""
	case c.find(call, func(p *payment) bool { return foreign(p) && p.round == last && p.during(call) }):
		return "a record of another order's refund, which does not name the order"
	case c.find(call, func(p *payment) bool { return p.round < last && p.onItsWay(call) }):
		return "another order's refund of an earlier round is on its way"
	case c.find(call, func(p *payment) bool { return foreign(p) && !p.closed.IsZero() }):
		return "a refund under another number was closed, which the history does not show"
	case c.find(call, func(p *payment) bool { return p.kind == "WeChat Pay" && p.round < last }):
		return "WeChat Pay's refund of an earlier round, whose arrival the history does not show"
	case c.find(call, func(p *payment) bool { return p.arrived.Add(c.lag).After(call.start) }):
		return "the history does not show an arrival yet"
	case slices.ContainsFunc(c.payments, func(p *payment) bool {
		return !p.at.After(call.end) && p.at.Add(c.refundLag).After(call.start)
	}):
		return "a refund cannot be read by its number yet"
	case c.find(call, func(p *payment) bool { return c.sameSecond(p.at, last) }):
		return "something in the second in which the user filed again"
	}
	return ""
}

// sameSecond reports whether something happened in the second in which a later
// round was filed: records have whole seconds.
func (c *modelCheck) sameSecond(at time.Time, round int) bool {
	return round > 1 && at.Truncate(time.Second).Equal(c.rounds[round-1].filed.Truncate(time.Second))
}
