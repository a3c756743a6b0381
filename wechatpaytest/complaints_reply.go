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
