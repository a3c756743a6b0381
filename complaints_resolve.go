package wechatpay

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ResolveRequest is how the merchant resolves a complaint.
type ResolveRequest struct {
	// Decision is ApproveRefund(…) or RejectRefund(…). Required.
	Decision *UpdateRefundProgressRequest
	// Reply is sent to the user, once per round: at most 500 characters. If empty,
	// none is sent, with one exception: a complaint cannot be completed without a
	// reply. Then a rejection sends its reason, and an approval fails before it pays.
	Reply string
	// Round is the Complaint.UserComplaintTimes that the merchant decided on. 0
	// means the current round. Set it if the call may run later, for example
	// from a queue: a newer round is then not touched.
	Round int
	// Refund selects what an approval pays. nil means the amount that the user
	// applied for. Its Round must be 0 or Round.
	Refund *RefundComplaintRequest
}

// Resolution is the result of Resolve.
type Resolution struct {
	Done bool // nothing is left to do
	// Next is what the resolution waits for if it is not done. Call Resolve again
	// later, for example after the notification REFUND_SUCCESS.
	Next      ResolveStep
	Refund    *Refund       // of an approval; nil: not created yet
	Complaint *Complaint    // as last read
	Steps     []ResolveStep // what this call did
}

// ResolveStep is a step of a resolution.
type ResolveStep string

// Values of ResolveStep.
const (
	ResolveStepDecide        ResolveStep = "DECIDE"         // UpdateRefundProgress
	ResolveStepRefund        ResolveStep = "REFUND"         // Refund
	ResolveStepReply         ResolveStep = "REPLY"          // Respond or RespondImmediateService
	ResolveStepComplete      ResolveStep = "COMPLETE"       // Complete
	ResolveStepRefundArrival ResolveStep = "REFUND_ARRIVAL" // WeChat Pay: the money reaches the user
)

// ResolveConflictReason says why Resolve did not go on.
type ResolveConflictReason string

// Values of ResolveConflictReason.
const (
	// The opposite decision was made in this round.
	ResolveConflictReasonOppositeDecision ResolveConflictReason = "OPPOSITE_DECISION"
	// The user filed the complaint again after ResolveRequest.Round, or during
	// the call.
	ResolveConflictReasonNewerRound ResolveConflictReason = "NEWER_ROUND"
	// The user withdrew the complaint in this round.
	ResolveConflictReasonWithdrawn ResolveConflictReason = "WITHDRAWN"
	// The complaint is PROCESSED, but not by this resolution: for example, a
	// colleague completed it.
	ResolveConflictReasonProcessed ResolveConflictReason = "PROCESSED"
	// The complaint was refunded in this round: although it is to be rejected, or,
	// if it is PROCESSED, not by this resolution.
	ResolveConflictReasonRefunded ResolveConflictReason = "REFUNDED"
	// The history or the complaint does not show the round yet. Call again later.
	ResolveConflictReasonHistoryLags ResolveConflictReason = "HISTORY_LAGS"
)

// ResolveConflictError reports a fact that contradicts the request. The step that
// it concerns, and those after it, were not taken.
type ResolveConflictError struct {
	ComplaintID string
	Reason      ResolveConflictReason
	Detail      string // what was found

	mayLag bool // the history may not show everything yet
}

// Error returns one line with the complaint and what was found.
func (e *ResolveConflictError) Error() string {
	return fmt.Sprintf("wechatpay: %s: complaint %s: %s", resolveOp, oneLine(e.ComplaintID), e.Detail)
}

const resolveOp = "ComplaintsV2.Resolve"

// Resolve takes a complaint to its end: decision, refund, reply, completion. It
// keeps no state. Each call reads the history and the complaint, and takes the
// steps that are missing. So it may be killed at any point, repeated, and run on
// several machines at once: it decides, refunds and completes once per round. Each
// machine that runs at the same time may send the reply. In parentheses is the
// number of requests for a complaint of one order, in round 1, PENDING at first.
//
//	in this round             approve                             reject
//	undecided                 DECIDE, REFUND, REPLY (8)           DECIDE, REPLY, done (4)
//	decided the same way      REFUND, REPLY (7), none (3)         REPLY, done (4)
//	decision not taken        REFUND, REPLY, COMPLETE, done (11)  REPLY, COMPLETE, done (8)
//	PROCESSED by these steps  done (3)                            done (2)
//	PROCESSED otherwise       PROCESSED, REFUNDED                 PROCESSED, REFUNDED
//	refunded otherwise        *RefundRefusedError                 REFUNDED
//	the opposite decision     OPPOSITE_DECISION                   OPPOSITE_DECISION
//	withdrawn                 WITHDRAWN                           WITHDRAWN
//	another round             NEWER_ROUND, HISTORY_LAGS           NEWER_ROUND, HISTORY_LAGS
//
// The last five lines are reasons of a *ResolveConflictError. Because the history
// may lag, Resolve waits for RetryPolicy.HistoryLag and reads again before it
// returns PROCESSED or HISTORY_LAGS, takes a decision as not taken, or sends a reply
// that an earlier call may have sent.
//
// An approval then waits for REFUND_ARRIVAL, which makes the complaint PROCESSED.
// If Refund.Status is ABNORMAL, act in the merchant platform. The refund is
// launched at once, whatever LaunchRefundDay says. Resolve pays one order: pay
// others with Refund first.
//
// A decision is not taken if WeChat Pay rejects it with a 400 that names none of
// its fields, the complaint is undecided, and it is not a REFUND complaint (10 and
// 6 requests), lacks UserTagTrusted, or was refunded in full by these steps.
//
// After ErrOutcomeUnknown call Resolve again with the same request and Round.
func (s *ComplaintsV2Service) Resolve(
	ctx context.Context, complaintID string, req *ResolveRequest,
) (*Resolution, error) {
	if req == nil {
		req = &ResolveRequest{}
	}
	f := checkComplaintID(complaintID)
	req.check(&f)
	if err := f.err(resolveOp); err != nil {
		return nil, err
	}
	r := &resolver{service: s, complaintID: complaintID, req: req}
	if err := r.run(ctx); err != nil {
		return nil, r.failed(err)
	}
	return &r.Resolution, nil
}

func (req *ResolveRequest) check(f *faults) {
	if req.Decision == nil {
		f.add("Decision", "is required: ApproveRefund or RejectRefund")
	} else {
		req.Decision.check(f)
		if req.Decision.Action == RefundReject && req.Refund != nil {
			f.add("Refund", "is only allowed with %s", RefundApprove)
		}
	}
	f.text("Reply", req.Reply, 500)
	f.atLeast("Round", req.Round, 0)
	if req.Refund != nil {
		req.Refund.check(f)
		if req.Refund.Round != 0 && req.Refund.Round != req.Round {
			f.add("Refund.Round", "must be 0 or Round (%d), got %d", req.Round, req.Refund.Round)
		}
	}
}

// resolver is one call of Resolve.
type resolver struct {
	Resolution
	service     *ComplaintsV2Service
	complaintID string
	req         *ResolveRequest
	step        ResolveStep // under way
	round       int
	facts       *roundFacts
	amount      int64 // to refund, as checked before the decision; 0: not checked
	sent        bool  // whether a decision was sent since the last read
	waited      bool  // whether what earlier calls did must be visible
}

// failed names the step in the error.
func (r *resolver) failed(err error) error {
	var (
		conflict *ResolveConflictError
		refused  *RefundRefusedError
		invalid  *ArgumentError
		unknown  *OutcomeUnknownError
	)
	op := resolveOp
	if r.step != "" {
		op += ": " + string(r.step)
	}
	switch {
	case errors.As(err, &unknown):
		return &OutcomeUnknownError{
			Op:             op,
			IdempotencyKey: unknown.IdempotencyKey,
			Remedy:         fmt.Sprintf("call Resolve again with Round %d", r.round),
			Err:            unknown.Err,
		}
	case errors.As(err, &conflict), errors.As(err, &refused), errors.As(err, &invalid) && invalid.Op == resolveOp:
		return err
	}
	return fmt.Errorf("wechatpay: %s: %w", op, err)
}

// run takes the missing steps. It starts again once if it took none because of
// something that the history or a refund may not show yet.
func (r *resolver) run(ctx context.Context) error {
	for again := false; ; again = true {
		err := r.once(ctx)
		if again || len(r.Steps) > 0 || !mayLag(err) {
			return err
		}
		if err := r.wait(ctx); err != nil {
			return err
		}
	}
}

// wait waits until what was done before must be visible.
func (r *resolver) wait(ctx context.Context) error {
	r.waited = true
	return r.service.client.waitHistoryLag(ctx, time.Now())
}

// mayLag reports whether an error may be due to what is not visible yet.
func mayLag(err error) bool {
	var (
		conflict *ResolveConflictError
		refused  *RefundRefusedError
	)
	switch {
	case errors.Is(err, ErrOutcomeUnknown):
		return false
	case errors.As(err, &conflict):
		return conflict.mayLag
	case errors.As(err, &refused): // the unknown refund may be the own one
		return refused.Reason == RefundRefusedReasonElsewhere || refused.Reason == RefundRefusedReasonFullyRefunded
	}
	return false
}

func (r *resolver) once(ctx context.Context) error {
	r.step, r.Refund = "", nil
	if err := r.read(ctx); err != nil {
		return err
	}
	if r.isProcessed() {
		return r.processed(ctx)
	}
	if r.approves() {
		return r.approve(ctx)
	}
	return r.reject(ctx)
}

func (r *resolver) approves() bool { return r.req.Decision.Action == RefundApprove }

func (r *resolver) isProcessed() bool { return r.Complaint.ComplaintState == ComplaintStateProcessed }

func (r *resolver) conflict(reason ResolveConflictReason, format string, args ...any) *ResolveConflictError {
	return &ResolveConflictError{ComplaintID: r.complaintID, Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// read reads the history, and then the complaint, which may show what the history
// does not show yet. It returns the fact that contradicts the request, if any.
func (r *resolver) read(ctx context.Context) error {
	facts, err := r.service.readRound(ctx, r.complaintID)
	if err != nil {
		return err
	}
	complaint, err := r.readComplaint(ctx)
	if err != nil {
		return err
	}
	r.facts, r.Complaint, r.sent = facts, complaint, false
	return r.check()
}

// check returns the fact of complaint and history that contradicts the request.
func (r *resolver) check() error {
	if err := r.checkRound(); err != nil {
		return err
	}
	return r.checkConflicts()
}

// checkRound checks that complaint and history show the round of the request.
func (r *resolver) checkRound() error {
	current, filings := currentRound(r.Complaint), r.facts.refunds.filings
	if r.round == 0 {
		r.round = cmp.Or(r.req.Round, max(current, filings))
	}
	switch {
	case max(current, filings) > r.round:
		return r.conflict(ResolveConflictReasonNewerRound,
			"the request is for round %d, the current round is %d", r.round, max(current, filings))
	case min(current, filings) < r.round:
		err := r.conflict(ResolveConflictReasonHistoryLags,
			"round %d is not visible yet: the complaint shows %d, the history %d; call again later",
			r.round, current, filings)
		err.mayLag = true
		return err
	}
	return nil
}

// checkConflicts returns the fact that contradicts the request, if there is one.
func (r *resolver) checkConflicts() error {
	switch facts := r.facts; {
	case facts.refunds.withdrawn:
		return r.conflict(ResolveConflictReasonWithdrawn, "the user withdrew the complaint")
	case r.approves() && facts.rejected:
		return r.conflict(ResolveConflictReasonOppositeDecision, "the refund was rejected in this round")
	case !r.approves() && facts.approved:
		return r.conflict(ResolveConflictReasonOppositeDecision, "the refund was approved in this round")
	case !r.approves() && (facts.refunded() || r.Complaint.ComplaintFullRefunded):
		return r.conflict(ResolveConflictReasonRefunded, "the complaint was refunded")
	}
	return nil
}

// approve continues an approval.
func (r *resolver) approve(ctx context.Context) error {
	taken := r.facts.approved
	if !taken {
		err := r.checkRefund(ctx)
		if err == nil {
			taken, err = r.decide(ctx)
		}
		if err != nil {
			return err
		}
		if r.isProcessed() {
			return r.processed(ctx)
		}
	}
	if !taken && r.req.Reply == "" && !r.facts.replied {
		var f faults
		f.add("Reply", "is required: WeChat Pay does not take the decision, and completing needs a reply")
		return f.err(resolveOp)
	}
	if err := r.refund(ctx); err != nil {
		return err
	}
	if err := r.reply(ctx, r.req.Reply); err != nil {
		return err
	}
	if !taken {
		return r.complete(ctx)
	}
	r.Next = ResolveStepRefundArrival
	return nil
}

// reject continues a rejection.
func (r *resolver) reject(ctx context.Context) error {
	taken := r.facts.rejected
	if !taken {
		var err error
		if taken, err = r.decide(ctx); err != nil {
			return err
		}
		if r.isProcessed() {
			return r.processed(ctx)
		}
	}
	text := r.req.Reply
	if !taken {
		text = r.rejectReply()
	}
	if err := r.reply(ctx, text); err != nil {
		return err
	}
	if !taken {
		return r.complete(ctx)
	}
	r.Done = true
	return nil
}

// processed handles a complaint that is PROCESSED, by this resolution or
// otherwise.
func (r *resolver) processed(ctx context.Context) error {
	// It would not be PROCESSED by something in the round before.
	r.facts.settle()
	if err := r.checkConflicts(); err != nil {
		return err
	}
	own := r.facts.rejected || r.facts.completed && r.facts.hasReply(r.rejectReply())
	if r.approves() {
		p, err := r.newRefund()
		if err != nil {
			return err
		}
		if r.Refund, err = r.findRefund(ctx, p); err != nil {
			return err
		}
		own = r.Refund != nil && (r.facts.approved || r.facts.completed)
	}
	if !own {
		return r.processedOtherwise()
	}
	if err := r.reply(ctx, r.req.Reply); err != nil {
		return err
	}
	r.Done = true
	return nil
}

func (r *resolver) processedOtherwise() error {
	err := r.conflict(ResolveConflictReasonProcessed, "it is PROCESSED, but not by this resolution")
	if r.Refund == nil && (r.facts.refunded() || r.Complaint.ComplaintFullRefunded) {
		err = r.conflict(ResolveConflictReasonRefunded, "it is PROCESSED, and was not refunded by this resolution")
	}
	err.mayLag = true
	return err
}

// rejectReply is the reply to a complaint that is completed instead of rejected.
func (r *resolver) rejectReply() string { return cmp.Or(r.req.Reply, r.req.Decision.RejectReason) }

// decide sends the decision. It reports false if WeChat Pay does not take one for
// this complaint, or if the complaint is PROCESSED by now.
func (r *resolver) decide(ctx context.Context) (taken bool, err error) {
	r.step, r.sent = ResolveStepDecide, true
	err = r.service.decide(ctx, resolveOp, r.complaintID, r.req.Decision)
	if err == nil {
		r.Steps = append(r.Steps, r.step)
		r.waited = true // no earlier call came this far
		return true, nil
	}
	if rejected := badRequest(err); rejected == nil || namesDecision(rejected) {
		return false, err
	}
	if kind := r.Complaint.ProblemType; kind != ProblemTypeRefund && kind != "" {
		return false, nil // it cannot be decided, by other machines either
	}
	// Another machine may have decided meanwhile.
	if again := r.readAgain(ctx); again != nil {
		return false, withSecond(err, again)
	}
	switch {
	case r.facts.approved, r.facts.rejected:
		return true, nil
	case r.isProcessed():
		return false, nil
	case r.facts.maybeApproved, r.facts.maybeRejected, !r.mayFallBack():
		return false, err
	}
	return false, nil
}

// withSecond returns the error of a rejected write after which the complaint was
// read: a conflict is the reason of the rejection.
func withSecond(err, again error) error {
	var conflict *ResolveConflictError
	switch {
	case again == nil:
		return err
	case errors.As(again, &conflict):
		return again
	}
	return fmt.Errorf("%w; reading it again: %w", err, asOther(again))
}

// readAgain reads complaint and history when everything that was done before must
// be visible.
func (r *resolver) readAgain(ctx context.Context) error {
	if err := r.wait(ctx); err != nil {
		return err
	}
	if err := r.read(ctx); err != nil {
		return err
	}
	// A decision that may be of this round is of this round, because WeChat Pay
	// rejected another one.
	r.facts.settle()
	return r.checkConflicts()
}

// badRequest returns the 400 with which WeChat Pay rejected a write, or nil.
func badRequest(err error) *APIError {
	var rejected *APIError
	if errors.Is(err, ErrOutcomeUnknown) || !errors.As(err, &rejected) || rejected.StatusCode != http.StatusBadRequest {
		return nil
	}
	return rejected
}

// namesDecision reports whether the detail of an error names a field of the
// decision, by JSON pointers or by a name.
func namesDecision(rejected *APIError) bool {
	field, _ := rejected.fieldAndIssue()
	names := strings.FieldsFunc(field, func(c rune) bool { return c != '_' && (c < 'a' || c > 'z') })
	return slices.ContainsFunc(names, func(name string) bool {
		switch name {
		case "action", "launch_refund_day", "reject_reason", "reject_media_list", "remark":
			return true
		}
		return false
	})
}

// mayFallBack reports whether WeChat Pay may have rejected the decision because the
// complaint cannot be decided.
func (r *resolver) mayFallBack() bool {
	return !slices.Contains(r.Complaint.UserTagList, UserTagTrusted) ||
		r.Refund != nil && r.Complaint.ComplaintFullRefunded
}

// reply sends a text to the user, unless the history of this round shows it.
func (r *resolver) reply(ctx context.Context, text string) error {
	if text == "" || r.facts.hasReply(text) {
		return nil
	}
	r.step = ResolveStepReply
	if err := r.awaitReply(ctx); err != nil || r.facts.hasReply(text) {
		return err
	}
	var err error
	if r.Complaint.NeedImmediateService {
		_, err = r.service.respondImmediateService(ctx, resolveOp, r.complaintID, &ImmediateServiceRequest{
			ComplaintedMchID: r.Complaint.ComplaintedMchID,
			Message:          NewMessage(TextBlock(text)),
			IdempotentID:     r.idempotentID(text),
		})
	} else {
		err = r.service.respond(ctx, resolveOp, r.complaintID, &RespondRequest{
			ComplaintedMchID: r.Complaint.ComplaintedMchID,
			ResponseContent:  text,
		})
	}
	if err != nil {
		return err
	}
	r.Steps = append(r.Steps, r.step)
	return nil
}

// awaitReply reads the history again if an earlier call may have sent a reply that
// it did not show yet.
func (r *resolver) awaitReply(ctx context.Context) error {
	if r.waited || r.Complaint.NeedImmediateService || r.Complaint.ComplaintState == ComplaintStatePending {
		return nil
	}
	if err := r.wait(ctx); err != nil {
		return err
	}
	facts, err := r.service.readRound(ctx, r.complaintID)
	if err != nil {
		return err
	}
	r.facts = facts
	return r.check()
}

// idempotentID is the same for each try to send a text in a round.
func (r *resolver) idempotentID(text string) string {
	digest := sha256.Sum256([]byte(r.complaintID + "\n" + strconv.Itoa(r.round) + "\n" + text))
	return "rs" + hex.EncodeToString(digest[:20])
}

// complete completes the complaint, unless it changed meanwhile.
func (r *resolver) complete(ctx context.Context) error {
	r.step = ResolveStepComplete
	done, err := r.isCompleted(ctx)
	if err != nil {
		return err
	}
	if !done {
		req := &CompleteRequest{ComplaintedMchID: r.Complaint.ComplaintedMchID}
		err := r.service.complete(ctx, resolveOp, r.complaintID, req)
		switch {
		case err == nil:
			r.Steps = append(r.Steps, r.step)
		case badRequest(err) == nil:
			return err
		default: // another machine may have completed it meanwhile
			if done, again := r.isCompleted(ctx); !done || again != nil {
				return withSecond(err, again)
			}
		}
	}
	r.Done = true
	return nil
}

// isCompleted reads the complaint, and reports whether it is PROCESSED.
func (r *resolver) isCompleted(ctx context.Context) (bool, error) {
	complaint, err := r.readComplaint(ctx)
	if err != nil {
		return false, err
	}
	r.Complaint = complaint
	return r.isProcessed(), r.check()
}
