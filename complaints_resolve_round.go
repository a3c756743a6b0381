package wechatpay

import (
	"context"
	"encoding/json"
	"html"
	"slices"
	"strings"
	"time"
	"unicode"
)

// The complaint, the history and the refund of a resolution.

// resolveState is what a resolution depends on and Complaint need not be able to
// read.
type resolveState struct {
	ComplaintState       ComplaintState `json:"complaint_state" wire:"strict"`
	ComplaintedMchID     string         `json:"complainted_mchid" wire:"strict"`
	ProblemType          ProblemType    `json:"problem_type" wire:"strict"`
	UserTagList          []UserTag      `json:"user_tag_list" wire:"strict"`
	NeedImmediateService bool           `json:"need_immediate_service" wire:"strict"`
}

// readComplaint reads the complaint.
func (r *resolver) readComplaint(ctx context.Context) (*Complaint, error) {
	complaint, state := new(Complaint), new(resolveState)
	err := r.service.read(ctx, resolveOp, r.complaintID, complaint, &complaint.ComplaintID,
		decoded(state, func() error { return mustHave("complaint_state", string(state.ComplaintState)) }))
	if err != nil {
		return nil, err
	}
	return complaint, nil
}

// newRefund returns the refund of the resolution, with its order and number.
func (r *resolver) newRefund() (*complaintRefund, error) {
	req := new(RefundComplaintRequest)
	if r.req.Refund != nil {
		*req = *r.req.Refund
	}
	req.Round = r.round
	p := newComplaintRefund(r.service.client, resolveOp, r.complaintID, req)
	p.complaint = r.Complaint
	return p, p.prepare()
}

// findRefund returns the refund if it exists, or nil.
func (r *resolver) findRefund(ctx context.Context, p *complaintRefund) (*Refund, error) {
	found, err := p.find(ctx, p.outRefundNo)
	if found == nil || err != nil {
		return nil, err
	}
	return p.checkFound(found)
}

// checkRefund checks before the decision that the refund exists or may be paid,
// so that nothing is approved that will not be paid.
func (r *resolver) checkRefund(ctx context.Context) error {
	p, err := r.newRefund()
	if err != nil {
		return err
	}
	if history := &r.facts.refunds; p.attempt == 1 && !history.hasRefunds() {
		// Without records of refunds, the rules need no further requests.
		if err = p.checkComplaint(history); err == nil {
			r.amount, err = p.amount(nil)
		}
		if err == nil {
			return nil
		}
	}
	if r.Refund, err = r.findRefund(ctx, p); r.Refund != nil || err != nil {
		return err
	}
	r.amount, err = p.checkRules(ctx, &r.facts.refunds)
	return err
}

// refund pays the refund, unless it exists.
func (r *resolver) refund(ctx context.Context) error {
	if r.Refund != nil {
		return nil
	}
	r.step = ResolveStepRefund
	p, err := r.newRefund()
	if err != nil {
		return err
	}
	amount, refund, err := r.mayPay(ctx, p)
	created := false
	if refund == nil && err == nil {
		refund, created, err = p.create(ctx, amount)
	}
	if err == nil {
		refund, err = p.checkFound(refund)
	}
	if err != nil {
		return err
	}
	r.Refund = refund
	if created {
		r.Steps = append(r.Steps, r.step)
	}
	return nil
}

// mayPay returns the amount to pay, or the refund if it exists. If a decision was
// sent since the last read, it reads everything again.
func (r *resolver) mayPay(ctx context.Context, p *complaintRefund) (amount int64, found *Refund, err error) {
	if r.sent {
		amount, found, err = p.mayPay(ctx)
	} else if found, err = p.find(ctx, p.outRefundNo); found == nil && err == nil {
		amount, err = p.checkRules(ctx, &r.facts.refunds)
	}
	if err == nil && found == nil && r.amount != 0 && amount != r.amount {
		err = p.refuse(RefundRefusedReasonOtherRefund,
			"the amount changed from %d to %d fen during the call; call again", r.amount, amount)
	}
	return amount, found, err
}

// hasRefunds reports whether the history shows any refund.
func (h *refundHistory) hasRefunds() bool {
	return len(h.launched)+len(h.arrived)+len(h.entrusted) > 0
}

// roundFacts is what the history shows about the current round. A record that may
// belong to it counts as if it did, except for decisions.
type roundFacts struct {
	vague bool // when the user last filed again is not certain

	approved, rejected bool
	// Decisions of this round or an earlier one: in the second in which the user
	// filed again, or at an unknown time.
	maybeApproved, maybeRejected bool

	completed bool
	replied   bool // by anyone for the merchant
	replies   []string
	refunds   refundHistory
}

// settle counts the decision that may be of this round, unless it may be either.
func (f *roundFacts) settle() {
	if f.maybeApproved != f.maybeRejected {
		f.approved, f.rejected = f.maybeApproved, f.maybeRejected
	}
}

// refunded reports whether anyone refunded the complaint in this round.
func (f *roundFacts) refunded() bool {
	launched := slices.Concat(f.refunds.launched, f.refunds.entrusted)
	return slices.ContainsFunc(launched, func(l launchRecord) bool { return l.now })
}

// hasReply reports whether the merchant sent a text in this round.
func (f *roundFacts) hasReply(text string) bool {
	return slices.ContainsFunc(f.replies, func(reply string) bool { return plainText(reply) == plainText(text) })
}

// plainText returns the letters and digits of a text. WeChat Pay may change the
// white space and escape the rest, and a reply must not be sent again because of
// that.
func plainText(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, html.UnescapeString(text))
}

// roundRecord is the part of a NegotiationRecord that roundFacts uses. Its texts
// are decoded only where they matter.
type roundRecord struct {
	LogID          string          `json:"log_id"`
	OperateType    OperateType     `json:"operate_type" wire:"strict"`
	OperateTime    time.Time       `json:"operate_time"`
	OperateDetails json.RawMessage `json:"operate_details"`
	NormalMessage  json.RawMessage `json:"normal_message"`
}

// texts returns the texts of a reply.
func (r *roundRecord) texts() []string {
	var (
		details string
		message struct {
			Blocks []struct {
				Text struct {
					Text string `json:"text"`
				} `json:"text"`
			} `json:"blocks"`
		}
	)
	// A text that cannot be read leaves the others readable.
	_ = json.Unmarshal(r.OperateDetails, &details)
	_ = json.Unmarshal(r.NormalMessage, &message)
	texts := []string{details}
	for _, block := range message.Blocks {
		texts = append(texts, block.Text.Text)
	}
	return slices.DeleteFunc(texts, func(text string) bool { return text == "" })
}

// readRound reads the history and returns the facts of the current round.
func (s *ComplaintsV2Service) readRound(ctx context.Context, complaintID string) (*roundFacts, error) {
	id := func(r *roundRecord) string { return r.LogID }
	records, signedAt, err := readRecords(ctx, s.client, resolveOp, complaintID, id)
	if err != nil {
		return nil, err
	}
	facts := &roundFacts{refunds: refundHistory{signedAt: signedAt, filings: 1}}
	for _, r := range records {
		if r.OperateType == OperateTypeUserContinueComplaint {
			facts.refunds.addFiling(r.OperateTime)
			facts.vague = facts.vague || r.OperateTime.IsZero()
		}
	}
	for _, r := range records {
		facts.add(&r)
	}
	return facts, nil
}

// add adds a record.
func (f *roundFacts) add(r *roundRecord) {
	f.refunds.add(&operationRecord{r.LogID, r.OperateType, r.OperateTime})
	at, filed := r.OperateTime, f.refunds.filed
	if !at.IsZero() && at.Before(filed) {
		return
	}
	certain := f.refunds.filings == 1 || !f.vague && !at.Before(filed.Add(time.Second))
	switch r.OperateType {
	case OperateTypeMerchantApproveRefund:
		f.approved = f.approved || certain
		f.maybeApproved = true
	case OperateTypeMerchantRefuseRefund:
		f.rejected = f.rejected || certain
		f.maybeRejected = true
	case OperateTypeMerchantConfirmComplete, OperateTypeMerchantConfirmCompleteSystemMessage:
		f.completed = true
	case OperateTypeMerchantResponse:
		f.replied = true
		f.replies = append(f.replies, r.texts()...)
	}
}
