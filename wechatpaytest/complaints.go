package wechatpaytest

import (
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

// Endpoint 1: list.

type listQuery struct {
	BeginDate        string `json:"begin_date" check:"required,form=date"`
	EndDate          string `json:"end_date" check:"required,form=date"`
	Limit            *int   `json:"limit" check:"min=1,max=50"`
	Offset           int    `json:"offset" check:"min=0"`
	ComplaintedMchID string `json:"complainted_mchid" check:"max=64"`
}

// maxSpan is how many days the list may span, both ends counted. The documents
// say 30 and not how they count.
const maxSpan = 30

func (q *listQuery) check(*call) *refusal {
	begin, _ := time.Parse(time.DateOnly, q.BeginDate) // the schema let them through
	end, _ := time.Parse(time.DateOnly, q.EndDate)
	if end.Before(begin) {
		return paramError(inQuery, &paramFault{field: "begin_date", value: q.BeginDate, issue: "is after end_date"})
	}
	if days := int(end.Sub(begin).Hours()/24) + 1; days > maxSpan {
		return paramError(inQuery, &paramFault{field: "end_date", value: q.EndDate,
			issue: fmt.Sprintf("is too far from begin_date: the span is %d days, and may be %d", days, maxSpan)})
	}
	return nil
}

// page is the answer of the list and of the history.
type page[T any] struct {
	Data       []T  `json:"data,omitempty"`
	Limit      int  `json:"limit"`
	Offset     int  `json:"offset"`
	TotalCount *int `json:"total_count,omitempty"` // only with offset 0
}

// cutPage cuts the page out of all entries, which stand oldest first.
func cutPage[From, To any](c *call, all []From, limit, offset int, oldestFirst bool, take func(From) To) (*page[To], *refusal) {
	p := &page[To]{Limit: limit, Offset: offset}
	total := len(all)
	if offset == 0 {
		p.TotalCount = &total
	}
	for i := offset; i < total && i-offset < limit; i++ {
		at := i
		if !oldestFirst {
			at = total - 1 - i
		}
		p.Data = append(p.Data, take(all[at]))
	}
	if c.b.MaxPage > 0 && len(p.Data) > c.b.MaxPage {
		return nil, c.b.ResultTooLarge.refuse("the result is too large: %d entries; ask with a smaller limit", len(p.Data))
	}
	return p, nil
}

func (c *call) listComplaints(q *listQuery) (any, *refusal) {
	if q.ComplaintedMchID != "" && !c.owns(q.ComplaintedMchID) {
		return nil, noAuth.refuse("merchant %s is not the caller %s, nor one of its sub-merchants", q.ComplaintedMchID, c.s.mchid)
	}
	begin, _ := time.ParseInLocation(time.DateOnly, q.BeginDate, beijing)
	end, _ := time.ParseInLocation(time.DateOnly, q.EndDate, beijing)
	end = end.AddDate(0, 0, 1)
	var found []*dossier
	for _, d := range c.s.filed {
		if d.filed.Before(begin) || !d.filed.Before(end) || !c.owns(d.table.ComplaintedMchID) ||
			q.ComplaintedMchID != "" && q.ComplaintedMchID != d.table.ComplaintedMchID {
			continue
		}
		found = append(found, d)
	}
	p, refused := cutPage(c, found, orDefault(q.Limit, 10), q.Offset, c.b.ListOldestFirst, func(d *dossier) complaintTable {
		t := c.s.answerTable(d, c.merchant)
		t.PayerOpenID = "" // only the detail has it
		return t
	})
	if refused != nil {
		return nil, refused
	}
	return p, nil
}

func orDefault(n *int, otherwise int) int {
	if n == nil {
		return otherwise
	}
	return *n
}

// Endpoint 2: detail.

func (c *call) getComplaint(*nothing) (any, *refusal) {
	d, refused := c.find()
	if refused != nil {
		return nil, refused
	}
	return c.s.answerTable(d, c.merchant), nil
}

// Endpoint 3: negotiation history.

type historyQuery struct {
	Limit  *int `json:"limit" check:"min=1,max=300"`
	Offset int  `json:"offset" check:"min=0"`
}

func (c *call) negotiationHistory(q *historyQuery) (any, *refusal) {
	d, refused := c.find()
	if refused != nil {
		return nil, refused
	}
	shown := make([]*record, 0, len(d.records))
	for i := range d.records {
		if r := &d.records[i]; !r.at.Add(c.b.HistoryLag).After(c.now) {
			shown = append(shown, r)
		}
	}
	p, refused := cutPage(c, shown, orDefault(q.Limit, 100), q.Offset, c.b.HistoryOldestFirst, func(r *record) recordTable { return r.table(c.s, c.now) })
	if refused != nil {
		return nil, refused
	}
	return p, nil
}

// Endpoint 4: reply.

type responseBody struct {
	ComplaintedMchID    string    `json:"complainted_mchid" check:"required,max=64"`
	ResponseContent     string    `json:"response_content" check:"required,max=500"`
	ResponseImages      *[]string `json:"response_images" check:"items=4,max=512"`
	JumpURL             *string   `json:"jump_url" check:"max=512,form=https"`
	JumpURLText         *string   `json:"jump_url_text" check:"max=10"`
	MiniProgramJumpInfo *struct {
		AppID string `json:"appid" check:"required"`
		Path  string `json:"path" check:"required"`
		Text  string `json:"text" check:"required"`
	} `json:"mini_program_jump_info"`
}

func (b *responseBody) check(c *call) *refusal {
	if n, limit := utf8.RuneCountInString(b.ResponseContent), c.b.ResponseContentMax; n > limit {
		return bodyError("/response_content", b.ResponseContent, "has %d characters, and may have %d", n, limit)
	}
	if b.JumpURL != nil && b.JumpURLText == nil {
		return bodyError("/jump_url_text", nil, "is missing: it goes together with jump_url")
	}
	if b.JumpURL == nil && b.JumpURLText != nil {
		return bodyError("/jump_url", nil, "is missing: it goes together with jump_url_text")
	}
	if b.JumpURLText != nil && *b.JumpURLText == "" && *b.JumpURL != "" {
		return bodyError("/jump_url_text", "", "is empty, and jump_url is not")
	}
	return nil
}

func (c *call) respond(b *responseBody) (any, *refusal) {
	images := deref(b.ResponseImages)
	if refused := c.mediaProblem("/response_images", images); refused != nil {
		return nil, refused
	}
	d, refused := c.findFor(b.ComplaintedMchID)
	if refused != nil {
		return nil, refused
	}
	if b.JumpURL != nil && *b.JumpURL == "" {
		return nil, noAuth.refuse("jump_url is an empty string: leave it out")
	}
	if !c.b.JumpLinks && (b.JumpURL != nil || b.MiniProgramJumpInfo != nil) {
		return nil, noAuth.refuse("merchant %s may not put jump links into replies", c.s.mchid)
	}
	d.replied()
	c.append(d, recordTable{Operator: operatorMerchant, OperateType: "MERCHANT_RESPONSE", OperateDetails: b.ResponseContent}, images...)
	c.s.announce(d, c.now, "COMPLAINT.STATE_CHANGE", "MERCHANT_RESPONSE", true)
	return nil, nil
}

func deref[T any](p *[]T) []T {
	if p == nil {
		return nil
	}
	return *p
}

// append writes a record of what the request did.
func (c *call) append(d *dossier, r recordTable, images ...string) string {
	return c.s.append(d, c.now, r, images...)
}

// findFor is find for a request that names the merchant complained of.
func (c *call) findFor(complaintedMchID string) (*dossier, *refusal) {
	d, refused := c.find()
	if refused == nil && complaintedMchID != d.table.ComplaintedMchID {
		return nil, bodyError("/complainted_mchid", complaintedMchID, "is not the merchant that complaint %s is against: %s", c.id, d.table.ComplaintedMchID)
	}
	return d, refused
}

// Endpoint 5: immediate-service reply.

type immediateBody struct {
	ComplaintedMchID string       `json:"complainted_mchid" check:"required,max=64"`
	Message          messageTable `json:"message" check:"required"`
	IdempotentID     string       `json:"idempotent_id" check:"required,max=128"`
}

func (b *immediateBody) check(*call) *refusal {
	for i, block := range b.Message.Blocks {
		at := fmt.Sprintf("/message/blocks/%d", i)
		if refused := block.check(at); refused != nil {
			return refused
		}
	}
	return nil
}

// check wants the one payload that the type selects, and in each action the
// payload of its own type.
func (b *blockTable) check(at string) *refusal {
	payloads := []struct {
		kind, key string
		there     bool
	}{
		{"TEXT", "text", b.Text != nil},
		{"IMAGE", "image", b.Image != nil},
		{"LINK", "link", b.Link != nil},
		{"FAQ_LIST", "faq_list", b.FAQList != nil},
		{"BUTTON", "button", b.Button != nil},
		{"BUTTON_GROUP", "button_group", b.ButtonGroup != nil},
	}
	for _, p := range payloads {
		if p.kind == b.Type && !p.there {
			return bodyError(at+"/"+p.key, nil, "is missing: a block of type %s has it", b.Type)
		}
		if p.kind != b.Type && p.there {
			return bodyError(at+"/"+p.key, nil, "does not belong to a block of type %s", b.Type)
		}
	}
	buttons := func(at string, all ...*buttonTable) *refusal {
		for _, b := range all {
			if refused := b.Action.check(at); refused != nil {
				return refused
			}
		}
		return nil
	}
	switch b.Type {
	case "LINK":
		return buttons(at+"/link/action", b.Link)
	case "BUTTON":
		return buttons(at+"/button/action", b.Button)
	case "FAQ_LIST":
		for i, f := range b.FAQList.FAQs {
			if refused := f.Action.check(fmt.Sprintf("%s/faq_list/faqs/%d/action", at, i)); refused != nil {
				return refused
			}
		}
	case "BUTTON_GROUP":
		for i := range b.ButtonGroup.Buttons {
			if refused := buttons(fmt.Sprintf("%s/button_group/buttons/%d/action", at, i), &b.ButtonGroup.Buttons[i]); refused != nil {
				return refused
			}
		}
	}
	return nil
}

func (a *actionTable) check(at string) *refusal {
	if a == nil {
		return nil
	}
	switch {
	case a.ActionType == "ACTION_TYPE_SEND_MESSAGE" && a.MessageInfo == nil:
		return bodyError(at+"/message_info", nil, "is missing: an action of type %s has it", a.ActionType)
	case a.ActionType == "ACTION_TYPE_JUMP_URL" && a.JumpURL == "":
		return bodyError(at+"/jump_url", nil, "is missing: an action of type %s has it", a.ActionType)
	case a.ActionType == "ACTION_TYPE_JUMP_MINI_PROGRAM" && a.MiniProgramJumpInfo == nil:
		return bodyError(at+"/mini_program_jump_info", nil, "is missing: an action of type %s has it", a.ActionType)
	}
	return nil
}

func (c *call) respondImmediateService(b *immediateBody) (any, *refusal) {
	for i, block := range b.Message.Blocks {
		if block.Image != nil {
			if refused := c.mediaIDProblem(fmt.Sprintf("/message/blocks/%d/image/media_id", i), block.Image.MediaID); refused != nil {
				return nil, refused
			}
		}
	}
	d, refused := c.findFor(b.ComplaintedMchID)
	if refused != nil {
		return nil, refused
	}
	if d.table.NeedImmediateService == nil || !*d.table.NeedImmediateService {
		return nil, invalidRequest.refuse("complaint %s does not need immediate service", c.id)
	}
	logID, repeated := d.replies[b.IdempotentID]
	c.idle = repeated
	if !repeated {
		d.replied()
		logID = c.append(d, recordTable{Operator: operatorMerchant, OperateType: "MERCHANT_RESPONSE", NormalMessage: &b.Message})
		if d.replies == nil {
			d.replies = map[string]string{}
		}
		d.replies[b.IdempotentID] = logID
		c.s.announce(d, c.now, "COMPLAINT.STATE_CHANGE", "MERCHANT_RESPONSE", true)
	}
	return struct {
		LogID string `json:"log_id"`
	}{logID}, nil
}

// Endpoint 6: complete.

type completeBody struct {
	ComplaintedMchID string `json:"complainted_mchid" check:"required,max=64"`
}

func (c *call) complete(b *completeBody) (any, *refusal) {
	d, refused := c.findFor(b.ComplaintedMchID)
	if refused != nil {
		return nil, refused
	}
	if d.table.ComplaintState == "PROCESSED" {
		return nil, c.b.WrongState.refuse("complaint %s is finished already", c.id)
	}
	d.table.ComplaintState = "PROCESSED"
	c.append(d, recordTable{Operator: operatorMerchant, OperateType: "MERCHANT_CONFIRM_COMPLETE"})
	c.s.announce(d, c.now, "COMPLAINT.STATE_CHANGE", "MERCHANT_CONFIRM_COMPLETE", true)
	return nil, nil
}

// Endpoint 7: refund decision.

type decisionBody struct {
	Action          string    `json:"action" check:"required,enum=APPROVE|REJECT"`
	LaunchRefundDay *int64    `json:"launch_refund_day" check:"min=0"`
	RejectReason    *string   `json:"reject_reason" check:"max=200"`
	RejectMediaList *[]string `json:"reject_media_list" check:"items=4,max=512"`
	Remark          *string   `json:"remark" check:"max=200"`
}

func (b *decisionBody) check(*call) *refusal {
	switch {
	case b.Action == "REJECT" && b.LaunchRefundDay != nil:
		return bodyError("/launch_refund_day", *b.LaunchRefundDay, "goes with APPROVE only, and action is REJECT")
	case b.Action == "APPROVE" && b.RejectReason != nil:
		return bodyError("/reject_reason", *b.RejectReason, "goes with REJECT only, and action is APPROVE")
	case b.Action == "APPROVE" && b.RejectMediaList != nil:
		return bodyError("/reject_media_list", nil, "goes with REJECT only, and action is APPROVE")
	}
	return nil
}

func (c *call) updateRefundProgress(b *decisionBody) (any, *refusal) {
	images := deref(b.RejectMediaList)
	if refused := c.mediaProblem("/reject_media_list", images); refused != nil {
		return nil, refused
	}
	d, refused := c.find()
	if refused != nil {
		return nil, refused
	}
	if d.table.ProblemType != "REFUND" {
		return nil, notFast("not a fast-refund complaint: problem_type of complaint %s is %q", c.id, d.table.ProblemType)
	}
	if c.b.TrustedOnly && !slices.Contains(d.table.UserTagList, "TRUSTED") {
		return nil, notFast("not a fast-refund complaint: the user of complaint %s has no tag TRUSTED", c.id)
	}
	if why := d.undecidable(); why != "" {
		refused := c.b.WrongState.refuse("the state of complaint %s does not support this operation, check for a duplicate call: %s", c.id, why)
		refused.internal = internalRepeated
		return nil, refused
	}
	reason := ""
	if b.RejectReason != nil {
		reason = *b.RejectReason
	}
	c.s.decide(d, c.now, b.Action == "APPROVE", reason, images...)
	return nil, nil
}

// decide records the merchant's decision, in whichever way it came. The caller
// holds mu.
func (s *Server) decide(d *dossier, now time.Time, approve bool, reason string, images ...string) {
	d.decided = true
	if approve {
		// Only the promise is recorded. The complaint stays open until the
		// refund arrives.
		d.approved = true
		d.table.ComplaintState = "PROCESSING"
		s.append(d, now, recordTable{Operator: operatorMerchant, OperateType: "MERCHANT_APPROVE_REFUND"})
		s.announce(d, now, "COMPLAINT.STATE_CHANGE", "MERCHANT_APPROVE_REFUND", true)
		return
	}
	d.table.ComplaintState = "PROCESSED"
	s.append(d, now, recordTable{Operator: operatorMerchant, OperateType: "MERCHANT_REFUSE_RERUND", OperateDetails: reason}, images...)
	s.announce(d, now, "COMPLAINT.STATE_CHANGE", "MERCHANT_REJECT_REFUND", true)
}

func notFast(format string, args ...any) *refusal {
	return Refusal{400, "PARAM_ERROR"}.refuse(format, args...)
}
