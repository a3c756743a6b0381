package wechatpaytest

import (
	"fmt"
	"unicode/utf8"
)

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

func (b *responseBody) check(c *call) *apiError {
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

func (c *call) respond(b *responseBody) (any, *apiError) {
	images := deref(b.ResponseImages)
	if apiErr := c.checkMediaIDs("/response_images", images); apiErr != nil {
		return nil, apiErr
	}
	cm, apiErr := c.complaintOf(b.ComplaintedMchID)
	if apiErr != nil {
		return nil, apiErr
	}
	if b.JumpURL != nil && *b.JumpURL == "" {
		return nil, noAuth.errorf("jump_url is an empty string: leave it out")
	}
	if !c.b.JumpLinks && (b.JumpURL != nil || b.MiniProgramJumpInfo != nil) {
		return nil, noAuth.errorf("merchant %s may not put jump links into replies", c.s.mchid)
	}
	cm.markReplied()
	c.append(cm, wireRecord{Operator: operatorMerchant, OperateType: "MERCHANT_RESPONSE", OperateDetails: b.ResponseContent}, images...)
	c.s.enqueueComplaint(cm, c.now, "COMPLAINT.STATE_CHANGE", "MERCHANT_RESPONSE", true)
	return nil, nil
}

func deref[T any](p *[]T) []T {
	if p == nil {
		return nil
	}
	return *p
}

// append writes a record of what the request did.
func (c *call) append(cm *complaint, r wireRecord, images ...string) string {
	return c.s.append(cm, c.now, r, images...)
}

// findFor is find for a request that names the merchant complained of.
func (c *call) complaintOf(complaintedMchID string) (*complaint, *apiError) {
	cm, apiErr := c.find()
	if apiErr == nil && complaintedMchID != cm.wire.ComplaintedMchID {
		return nil, bodyError("/complainted_mchid", complaintedMchID, "is not the merchant that complaint %s is against: %s", c.id, cm.wire.ComplaintedMchID)
	}
	return cm, apiErr
}

// Endpoint 5: immediate-service reply.

type immediateBody struct {
	ComplaintedMchID string      `json:"complainted_mchid" check:"required,max=64"`
	Message          wireMessage `json:"message" check:"required"`
	IdempotentID     string      `json:"idempotent_id" check:"required,max=128"`
}

func (b *immediateBody) check(*call) *apiError {
	for i, block := range b.Message.Blocks {
		at := fmt.Sprintf("/message/blocks/%d", i)
		if apiErr := block.check(at); apiErr != nil {
			return apiErr
		}
	}
	return nil
}

// check wants the one payload that the type selects, and in each action the
// payload of its own type.
func (b *wireBlock) check(at string) *apiError {
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
	buttons := func(at string, all ...*wireButton) *apiError {
		for _, b := range all {
			if apiErr := b.Action.check(at); apiErr != nil {
				return apiErr
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
			if apiErr := f.Action.check(fmt.Sprintf("%s/faq_list/faqs/%d/action", at, i)); apiErr != nil {
				return apiErr
			}
		}
	case "BUTTON_GROUP":
		for i := range b.ButtonGroup.Buttons {
			if apiErr := buttons(fmt.Sprintf("%s/button_group/buttons/%d/action", at, i), &b.ButtonGroup.Buttons[i]); apiErr != nil {
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

func (c *call) respondImmediateService(b *immediateBody) (any, *apiError) {
	for i, block := range b.Message.Blocks {
		if block.Image != nil {
			if apiErr := c.checkMediaID(fmt.Sprintf("/message/blocks/%d/image/media_id", i), block.Image.MediaID); apiErr != nil {
				return nil, apiErr
			}
		}
	}
	cm, apiErr := c.complaintOf(b.ComplaintedMchID)
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
		logID = c.append(cm, wireRecord{Operator: operatorMerchant, OperateType: "MERCHANT_RESPONSE", NormalMessage: &b.Message})
		if cm.replies == nil {
			cm.replies = map[string]string{}
		}
		cm.replies[b.IdempotentID] = logID
		c.s.enqueueComplaint(cm, c.now, "COMPLAINT.STATE_CHANGE", "MERCHANT_RESPONSE", true)
	}
	return struct {
		LogID string `json:"log_id"`
	}{logID}, nil
}

// Endpoint 6: complete.

type completeBody struct {
	ComplaintedMchID string `json:"complainted_mchid" check:"required,max=64"`
}

func (c *call) complete(b *completeBody) (any, *apiError) {
	cm, apiErr := c.complaintOf(b.ComplaintedMchID)
	if apiErr != nil {
		return nil, apiErr
	}
	if cm.wire.ComplaintState == "PROCESSED" {
		return nil, c.b.WrongState.errorf("complaint %s is finished already", c.id)
	}
	cm.wire.ComplaintState = "PROCESSED"
	c.append(cm, wireRecord{Operator: operatorMerchant, OperateType: "MERCHANT_CONFIRM_COMPLETE"})
	c.s.enqueueComplaint(cm, c.now, "COMPLAINT.STATE_CHANGE", "MERCHANT_CONFIRM_COMPLETE", true)
	return nil, nil
}
