package wechatpay

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// ResolveRequest is how the merchant resolves a complaint.
type ResolveRequest struct {
	// Decision is ApproveRefund(…) or RejectRefund(…). Required.
	Decision *UpdateRefundProgressRequest
	// Reply is sent to the user, once per round: at most 500 characters. If
	// empty, none is sent, unless the complaint cannot be completed without one.
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

// ResolveConflictReason says why Resolve changed nothing.
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
	// The complaint is PROCESSED, and not by a resolution like this one: a
	// colleague completed it, or it was refunded elsewhere.
	ResolveConflictReasonProcessed ResolveConflictReason = "PROCESSED"
	// A refund of this round exists, and the decision is to reject it.
	ResolveConflictReasonRefunded ResolveConflictReason = "REFUNDED"
	// The history does not show the current round yet. Call again later.
	ResolveConflictReasonHistoryLags ResolveConflictReason = "HISTORY_LAGS"
)

// ResolveConflictError reports a fact that contradicts the request. The step that
// it concerns, and those after it, were not taken.
type ResolveConflictError struct {
	ComplaintID string
	Reason      ResolveConflictReason
	Detail      string // what was found
}

// Error returns one line with the complaint and what was found.
func (e *ResolveConflictError) Error() string {
	return fmt.Sprintf("wechatpay: %s: complaint %s: %s", resolveOp, oneLine(e.ComplaintID), e.Detail)
}

const resolveOp = "ComplaintsV2.Resolve"

// Resolve takes a complaint to its end: decision, refund, reply, completion. It
// keeps no state. Each call reads the complaint and its history, and takes the
// steps that are missing, so it may be killed at any point, repeated, and run on
// several machines at once. It never decides twice in a round and refunds once;
// each machine that runs at the same time may send the reply.
//
//	in this round            approve                        reject
//	undecided                DECIDE, REFUND, REPLY          DECIDE, REPLY, done
//	decided the same way     what is missing of these       REPLY if missing, done
//	decision not taken       REFUND, REPLY, COMPLETE, done  REPLY, COMPLETE, done
//	PROCESSED                done, or a conflict            done, or a conflict
//	anything else            a conflict                     a conflict
//
// After DECIDE an approval waits for REFUND_ARRIVAL, which makes the complaint
// PROCESSED. The refund is launched at once, whatever LaunchRefundDay says. WeChat
// Pay does not take the decision for a complaint that is not a REFUND complaint or
// lacks UserTagTrusted; see docs for the exact condition. A *ResolveConflictError
// or *RefundRefusedError names the fact that contradicts the request. After
// ErrOutcomeUnknown call Resolve again.
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
			Remedy:         "call Resolve again",
			Err:            unknown.Err,
		}
	case errors.As(err, &conflict), errors.As(err, &refused), errors.As(err, &invalid):
		return err
	}
	return fmt.Errorf("wechatpay: %s: %w", op, err)
}

func (r *resolver) run(ctx context.Context) error {
	if err := r.read(ctx); err != nil {
		return err
	}
	if err := r.checkConflicts(); err != nil {
		return err
	}
	if r.req.Decision.Action == RefundApprove {
		return r.approve(ctx)
	}
	return r.reject(ctx)
}

func (r *resolver) conflict(reason ResolveConflictReason, format string, args ...any) error {
	return &ResolveConflictError{ComplaintID: r.complaintID, Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// read reads the complaint and what happened in the round.
func (r *resolver) read(ctx context.Context) error {
	complaint, err := r.service.get(ctx, resolveOp, r.complaintID)
	if err != nil {
		return err
	}
	r.Complaint = complaint
	if r.round == 0 {
		r.round = cmp.Or(r.req.Round, currentRound(complaint))
	}
	if n := currentRound(complaint); n != r.round {
		return r.conflict(ResolveConflictReasonNewerRound,
			"the request is for round %d, the current round is %d", r.round, n)
	}
	r.facts, err = r.service.readRound(ctx, r.complaintID)
	if err != nil {
		return err
	}
	if r.round > 1 && r.facts.filings < r.round {
		return r.conflict(ResolveConflictReasonHistoryLags,
			"the history shows %d of %d rounds; call again later", r.facts.filings, r.round)
	}
	return nil
}

// checkConflicts returns the fact that contradicts the request, if there is one.
func (r *resolver) checkConflicts() error {
	facts, approve := r.facts, r.req.Decision.Action == RefundApprove
	switch {
	case facts.withdrawn:
		return r.conflict(ResolveConflictReasonWithdrawn, "the user withdrew the complaint")
	case approve && facts.rejected:
		return r.conflict(ResolveConflictReasonOppositeDecision, "the refund was rejected in this round")
	case !approve && facts.approved:
		return r.conflict(ResolveConflictReasonOppositeDecision, "the refund was approved in this round")
	case !approve && (facts.refunded || r.Complaint.ComplaintFullRefunded):
		return r.conflict(ResolveConflictReasonRefunded, "the complaint was refunded")
	}
	return nil
}

// approve continues an approval.
func (r *resolver) approve(ctx context.Context) error {
	if r.isProcessed() {
		return r.approved(ctx)
	}
	taken := r.facts.approved
	if !taken {
		// A refund without a decision: an earlier call could not decide.
		found, err := r.findRefund(ctx)
		if err != nil {
			return err
		}
		if found == nil {
			if taken, err = r.decide(ctx); err != nil {
				return err
			}
		}
	}
	if !taken && r.replyText() == "" && !r.facts.replied {
		return r.required("Reply")
	}
	if err := r.refund(ctx); err != nil {
		return err
	}
	if err := r.reply(ctx, r.req.Reply); err != nil {
		return err
	}
	if taken {
		r.Next = ResolveStepRefundArrival
		return nil
	}
	return r.complete(ctx)
}

// approved handles an approval whose complaint is PROCESSED.
func (r *resolver) approved(ctx context.Context) error {
	refund, err := r.findRefund(ctx)
	if err != nil {
		return err
	}
	if refund == nil || !r.facts.approved && !r.facts.completed {
		return r.conflict(ResolveConflictReasonProcessed,
			"the complaint is PROCESSED, and not refunded by this resolution")
	}
	r.Refund = refund
	if err := r.reply(ctx, r.req.Reply); err != nil {
		return err
	}
	r.Done = true
	return nil
}

// reject continues a rejection.
func (r *resolver) reject(ctx context.Context) error {
	taken := r.facts.rejected
	if !taken && r.isProcessed() {
		if !r.facts.completed || !r.facts.hasReply(r.replyText()) {
			return r.conflict(ResolveConflictReasonProcessed,
				"the complaint is PROCESSED, and not rejected by this resolution")
		}
		r.Done = true
		return nil
	}
	if !taken {
		var err error
		if taken, err = r.decide(ctx); err != nil {
			return err
		}
	}
	if taken {
		if err := r.reply(ctx, r.req.Reply); err != nil {
			return err
		}
		r.Done = true
		return nil
	}
	if r.replyText() == "" && !r.facts.replied {
		return r.required("Reply")
	}
	if err := r.reply(ctx, r.replyText()); err != nil {
		return err
	}
	return r.complete(ctx)
}

func (r *resolver) isProcessed() bool { return r.Complaint.ComplaintState == ComplaintStateProcessed }

// replyText is the reply, or else the reason of a rejection.
func (r *resolver) replyText() string {
	return cmp.Or(r.req.Reply, r.req.Decision.RejectReason)
}

func (r *resolver) required(field string) error {
	var f faults
	f.add(field, "is required: WeChat Pay does not take the decision, and completing needs a reply")
	return f.err(resolveOp)
}

// decide sends the decision. It reports false if WeChat Pay does not take it for
// this complaint.
func (r *resolver) decide(ctx context.Context) (taken bool, err error) {
	r.step = ResolveStepDecide
	err = r.service.decide(ctx, resolveOp, r.complaintID, r.req.Decision)
	if err == nil {
		r.Steps = append(r.Steps, r.step)
		return true, nil
	}
	var rejected *APIError
	if !isBadRequest(err, &rejected) {
		return false, err
	}
	// Another machine may have decided meanwhile, and the history may lag.
	for again := false; ; again = true {
		if readErr := r.read(ctx); readErr != nil {
			return false, readErr
		}
		if conflict := r.checkConflicts(); conflict != nil {
			return false, conflict
		}
		if r.facts.approved || r.facts.rejected {
			return true, nil
		}
		if again {
			break
		}
		if waitErr := r.service.client.waitHistoryLag(ctx, time.Now()); waitErr != nil {
			return false, waitErr
		}
	}
	if r.isProcessed() || !r.mayFallBack(rejected) {
		return false, err
	}
	return false, nil
}

// isBadRequest reports whether WeChat Pay rejected a write with a 400.
func isBadRequest(err error, rejected **APIError) bool {
	return !errors.Is(err, ErrOutcomeUnknown) && errors.As(err, rejected) &&
		(*rejected).StatusCode == http.StatusBadRequest
}

// mayFallBack reports whether WeChat Pay rejected the decision because it does not
// take one for this complaint, as opposed to a fault in the request.
func (r *resolver) mayFallBack(rejected *APIError) bool {
	field, _ := rejected.fieldAndIssue()
	name := strings.Trim(field, "/")
	for _, own := range []string{"action", "launch_refund_day", "reject_reason", "reject_media_list", "remark"} {
		if name == own || strings.HasPrefix(name, own+"/") || strings.HasSuffix(name, "/"+own) {
			return false
		}
	}
	kind := r.Complaint.ProblemType
	trusted := false
	for _, tag := range r.Complaint.UserTagList {
		trusted = trusted || tag == UserTagTrusted
	}
	return kind != ProblemTypeRefund && kind != "" || !trusted
}

func (r *resolver) refundRequest() *RefundComplaintRequest {
	req := new(RefundComplaintRequest)
	if r.req.Refund != nil {
		*req = *r.req.Refund
	}
	req.Round = r.round
	return req
}

// findRefund returns the refund of this round, or nil.
func (r *resolver) findRefund(ctx context.Context) (*Refund, error) {
	p := newComplaintRefund(r.service.client, resolveOp, r.complaintID, r.refundRequest())
	p.complaint = r.Complaint
	if err := p.prepare(); err != nil {
		return nil, err
	}
	return p.find(ctx, p.outRefundNo)
}

// refund pays the refund, or returns the one that exists.
func (r *resolver) refund(ctx context.Context) error {
	r.step = ResolveStepRefund
	p := newComplaintRefund(r.service.client, resolveOp, r.complaintID, r.refundRequest())
	p.complaint = r.Complaint
	refund, created, err := p.pay(ctx)
	if err != nil {
		return err
	}
	r.Refund, r.Complaint = refund, p.complaint
	if created {
		r.Steps = append(r.Steps, r.step)
	}
	return nil
}

// reply sends a text to the user, unless the history of this round shows it.
func (r *resolver) reply(ctx context.Context, text string) error {
	if text == "" || r.facts.hasReply(text) {
		return nil
	}
	r.step = ResolveStepReply
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
	r.facts.replied = true
	r.Steps = append(r.Steps, r.step)
	return nil
}

// idempotentID is the same for each try to send a text in a round.
func (r *resolver) idempotentID(text string) string {
	digest := sha256.Sum256([]byte(r.complaintID + "\n" + strconv.Itoa(r.round) + "\n" + text))
	return "rs" + hex.EncodeToString(digest[:20])
}

// complete completes the complaint, unless the user filed it again meanwhile.
func (r *resolver) complete(ctx context.Context) error {
	r.step = ResolveStepComplete
	complaint, err := r.service.get(ctx, resolveOp, r.complaintID)
	if err != nil {
		return err
	}
	r.Complaint = complaint
	if n := currentRound(complaint); n != r.round {
		return r.conflict(ResolveConflictReasonNewerRound, "the user filed round %d during the call", n)
	}
	if !r.isProcessed() {
		req := &CompleteRequest{ComplaintedMchID: complaint.ComplaintedMchID}
		err = r.service.complete(ctx, resolveOp, r.complaintID, req)
		if err != nil && !r.completedMeanwhile(ctx, err) {
			return err
		}
		r.Steps = append(r.Steps, r.step)
	}
	r.Done = true
	return nil
}

// completedMeanwhile reports whether another machine completed the complaint, so
// that this completion was rejected.
func (r *resolver) completedMeanwhile(ctx context.Context, err error) bool {
	var rejected *APIError
	if !isBadRequest(err, &rejected) {
		return false
	}
	complaint, readErr := r.service.get(ctx, resolveOp, r.complaintID)
	return readErr == nil && currentRound(complaint) == r.round && complaint.ComplaintState == ComplaintStateProcessed
}

// roundFacts is what the history shows about the current round.
type roundFacts struct {
	filings            int // of all rounds
	approved, rejected bool
	refunded           bool // launched by anyone
	completed          bool
	withdrawn          bool
	replied            bool // by anyone for the merchant
	replies            []string
}

// hasReply reports whether the merchant sent a text in this round.
func (f *roundFacts) hasReply(text string) bool {
	for _, reply := range f.replies {
		if strings.TrimSpace(reply) == strings.TrimSpace(text) {
			return true
		}
	}
	return false
}

// roundRecord is the part of a NegotiationRecord that roundFacts uses.
type roundRecord struct {
	operationRecord
	OperateDetails string `json:"operate_details"`
	NormalMessage  struct {
		Blocks []struct {
			Text *struct {
				Text string `json:"text"`
			} `json:"text"`
		} `json:"blocks"`
	} `json:"normal_message"`
}

func (r *roundRecord) texts() []string {
	texts := []string{r.OperateDetails}
	for _, block := range r.NormalMessage.Blocks {
		if block.Text != nil {
			texts = append(texts, block.Text.Text)
		}
	}
	return texts
}

// readRound reads the history and returns the facts of the current round. A record
// that may belong to it counts as if it did.
func (s *ComplaintsV2Service) readRound(ctx context.Context, complaintID string) (*roundFacts, error) {
	read := func(limit, offset int) (*page[roundRecord], error) {
		return readHistory[roundRecord](ctx, s.client, resolveOp, complaintID, limit, offset)
	}
	var (
		records []roundRecord
		filed   time.Time // the last time
		err     error
		facts   roundFacts
	)
	p := historyPager(func(r *roundRecord) string { return r.LogID }, read)
	p.walk(ctx, func(r *roundRecord, failed error) bool {
		if err = failed; err == nil && len(records) == maxHistory {
			err = fmt.Errorf("the history has more than %d records", maxHistory)
		}
		if err != nil {
			return false
		}
		records = append(records, *r)
		switch r.OperateType {
		case OperateTypeUserCreateComplaint, OperateTypeUserContinueComplaint:
			facts.filings++
			if at := time.Time(r.OperateTime).Truncate(time.Second); at.After(filed) {
				filed = at
			}
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		if at := time.Time(r.OperateTime); at.IsZero() || !at.Before(filed) {
			facts.add(&r)
		}
	}
	return &facts, nil
}

func (f *roundFacts) add(r *roundRecord) {
	switch r.OperateType {
	case OperateTypeMerchantApproveRefund:
		f.approved = true
	case OperateTypeMerchantRefuseRefund:
		f.rejected = true
	case OperateTypeComplaintEntrustedRefundSystemMessage, OperateTypeComplaintFullRefundedSystemMessage,
		OperateTypeComplaintPartialRefundedSystemMessage, OperateTypeComplaintFullRefunded:
		f.refunded = true
	case OperateTypeMerchantConfirmComplete, OperateTypeMerchantConfirmCompleteSystemMessage:
		f.completed = true
	case OperateTypeUserRevokeComplaint:
		f.withdrawn = true
	case OperateTypeMerchantResponse:
		f.replied = true
		f.replies = append(f.replies, r.texts()...)
	}
}
