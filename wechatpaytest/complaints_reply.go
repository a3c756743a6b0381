package wechatpaytest

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// POST /v3/merchant-service/complaints-v2/{complaint_id}/response

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

func (b *responseBody) check(c *call) *apiError {
	n, limit := utf8.RuneCountInString(b.ResponseContent), c.b.ResponseContentMax
	switch {
	case n > limit:
		return bodyError("/response_content", b.ResponseContent, "must have at most %d characters, got %d", limit, n)
	case b.JumpURL != nil && b.JumpURLText == nil:
		return bodyError("/jump_url_text", nil, "is required with jump_url")
	case b.JumpURL == nil && b.JumpURLText != nil:
		return bodyError("/jump_url", nil, "is required with jump_url_text")
	case b.JumpURLText != nil && *b.JumpURLText == "" && *b.JumpURL != "":
		return bodyError("/jump_url_text", "", "must not be empty")
	}
	return nil
}

func (c *call) respond(b *responseBody) (any, *apiError) {
	images := deref(b.ResponseImages)
	if apiErr := c.checkMediaIDs("/response_images", images); apiErr != nil {
		return nil, apiErr
	}
	cm, apiErr := c.findComplaintOf(b.ComplaintedMchID)
	if apiErr != nil {
		return nil, apiErr
	}
	if b.JumpURL != nil && *b.JumpURL == "" {
		return nil, noAuth.errorf("jump_url must not be empty; omit it instead")
	}
	if !c.b.JumpLinks && (b.JumpURL != nil || b.MiniProgramJumpInfo != nil) {
		return nil, noAuth.errorf("merchant %s has no permission for jump links", c.merchant.mchid)
	}
	cm.markReplied()
	r := wireRecord{Operator: operatorMerchant, OperateType: "MERCHANT_RESPONSE", OperateDetails: b.ResponseContent}
	c.s.addRecord(cm, c.now, r, images...)
	c.s.notifyComplaint(cm, c.now, "MERCHANT_RESPONSE", true)
	return nil, nil
}

// markReplied updates the complaint after a reply of the merchant.
func (cm *complaint) markReplied() {
	if cm.wire.ComplaintState == "PENDING" {
		cm.wire.ComplaintState = "PROCESSING"
	}
	cm.wire.IncomingUserResponse = false
}

func deref[T any](p *[]T) []T {
	if p == nil {
		return nil
	}
	return *p
}

// POST /v3/merchant-service/complaints-v2/{complaint_id}/response-immediate-service

type immediateBody struct {
	ComplaintedMchID string      `json:"complainted_mchid" check:"required,max=64"`
	Message          wireMessage `json:"message" check:"required"`
	IdempotentID     string      `json:"idempotent_id" check:"required,max=128"`
}

func (b *immediateBody) check(*call) *apiError {
	for i, block := range b.Message.Blocks {
		if apiErr := block.check(fmt.Sprintf("/message/blocks/%d", i)); apiErr != nil {
			return apiErr
		}
	}
	return nil
}

// check checks that the block has exactly the payload of its type, and that its
// actions have theirs.
func (b *wireBlock) check(at string) *apiError {
	payloads := []struct {
		kind, key string
		present   bool
	}{
		{"TEXT", "text", b.Text != nil},
		{"IMAGE", "image", b.Image != nil},
		{"LINK", "link", b.Link != nil},
		{"FAQ_LIST", "faq_list", b.FAQList != nil},
		{"BUTTON", "button", b.Button != nil},
		{"BUTTON_GROUP", "button_group", b.ButtonGroup != nil},
	}
	for _, p := range payloads {
		if p.kind == b.Type && !p.present {
			return bodyError(at+"/"+p.key, nil, "is required in a block of type %s", b.Type)
		}
		if p.kind != b.Type && p.present {
			return bodyError(at+"/"+p.key, nil, "is not allowed in a block of type %s", b.Type)
		}
	}
	switch b.Type {
	case "LINK":
		return b.Link.Action.check(at + "/link/action")
	case "BUTTON":
		return b.Button.Action.check(at + "/button/action")
	case "FAQ_LIST":
		for i, f := range b.FAQList.FAQs {
			if apiErr := f.Action.check(fmt.Sprintf("%s/faq_list/faqs/%d/action", at, i)); apiErr != nil {
				return apiErr
			}
		}
	case "BUTTON_GROUP":
		for i, button := range b.ButtonGroup.Buttons {
			if apiErr := button.Action.check(fmt.Sprintf("%s/button_group/buttons/%d/action", at, i)); apiErr != nil {
				return apiErr
			}
		}
	}
	return nil
}

func (a *wireAction) check(at string) *apiError {
	if a == nil {
		return nil
	}
	missing := ""
	switch {
	case a.ActionType == "ACTION_TYPE_SEND_MESSAGE" && a.MessageInfo == nil:
		missing = "message_info"
	case a.ActionType == "ACTION_TYPE_JUMP_URL" && a.JumpURL == "":
		missing = "jump_url"
	case a.ActionType == "ACTION_TYPE_JUMP_MINI_PROGRAM" && a.MiniProgramJumpInfo == nil:
		missing = "mini_program_jump_info"
	default:
		return nil
	}
	return bodyError(at+"/"+missing, nil, "is required in an action of type %s", a.ActionType)
}

func (c *call) respondImmediateService(b *immediateBody) (any, *apiError) {
	for i, block := range b.Message.Blocks {
		if block.Image == nil {
			continue
		}
		pointer := fmt.Sprintf("/message/blocks/%d/image/media_id", i)
		if apiErr := c.checkMediaID(pointer, block.Image.MediaID); apiErr != nil {
			return nil, apiErr
		}
	}
	cm, apiErr := c.findComplaintOf(b.ComplaintedMchID)
	if apiErr != nil {
		return nil, apiErr
	}
	if cm.wire.NeedImmediateService == nil || !*cm.wire.NeedImmediateService {
		return nil, invalidRequest.errorf("complaint %s does not need immediate service", c.id)
	}
	logID, repeated := cm.replies[b.IdempotentID]
	c.noEffect = repeated
	if !repeated {
		cm.markReplied()
		r := wireRecord{Operator: operatorMerchant, OperateType: "MERCHANT_RESPONSE", NormalMessage: &b.Message}
		logID = c.s.addRecord(cm, c.now, r)
		if cm.replies == nil {
			cm.replies = map[string]string{}
		}
		cm.replies[b.IdempotentID] = logID
		c.s.notifyComplaint(cm, c.now, "MERCHANT_RESPONSE", true)
	}
	return struct {
		LogID string `json:"log_id"`
	}{logID}, nil
}

// POST /v3/merchant-service/complaints-v2/{complaint_id}/complete

type completeBody struct {
	ComplaintedMchID string `json:"complainted_mchid" check:"required,max=64"`
}

func (c *call) complete(b *completeBody) (any, *apiError) {
	cm, apiErr := c.findComplaintOf(b.ComplaintedMchID)
	if apiErr != nil {
		return nil, apiErr
	}
	if cm.wire.ComplaintState == "PROCESSED" {
		return nil, c.b.WrongState.errorf("complaint %s is already finished", c.id)
	}
	if c.b.CompleteNeedsReply && !cm.replied() {
		return nil, c.b.WrongState.errorf("complaint %s has no reply yet; reply before completing it", c.id)
	}
	cm.wire.ComplaintState = "PROCESSED"
	c.s.addRecord(cm, c.now, wireRecord{Operator: operatorMerchant, OperateType: "MERCHANT_CONFIRM_COMPLETE"})
	c.s.notifyComplaint(cm, c.now, "MERCHANT_CONFIRM_COMPLETE", true)
	return nil, nil
}

// replied reports whether the merchant replied in this round.
func (cm *complaint) replied() bool {
	for _, r := range slices.Backward(cm.records) {
		switch r.OperateType {
		case "MERCHANT_RESPONSE":
			return true
		case "USER_CONTINUE_COMPLAINT":
			return false
		}
	}
	return false
}

// findComplaint returns the complaint of the path. It is an error if it does not
// belong to the caller.
func (c *call) findComplaint() (*complaint, *apiError) {
	cm := c.s.complaints[c.id]
	if cm == nil {
		return nil, c.b.UnknownComplaint.errorf("unknown complaint %s", c.id)
	}
	if mchID := cm.wire.ComplaintedMchID; !c.owns(mchID) {
		const against = "complaint %s is against merchant %s, not the caller %s"
		return nil, noAuth.errorf(against, c.id, mchID, c.merchant.mchid)
	}
	return cm, nil
}

// findComplaintOf is findComplaint for a request with a complainted_mchid.
func (c *call) findComplaintOf(complaintedMchID string) (*complaint, *apiError) {
	cm, apiErr := c.findComplaint()
	if apiErr == nil && complaintedMchID != cm.wire.ComplaintedMchID {
		return nil, bodyError("/complainted_mchid", complaintedMchID,
			"does not match complaint %s, which is against %s", c.id, cm.wire.ComplaintedMchID)
	}
	return cm, apiErr
}

// owns reports whether complaints against a merchant belong to the caller.
func (c *call) owns(mchID string) bool { return c.merchant.owns(c.b, mchID) }
