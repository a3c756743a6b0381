package wechatpaytest

import (
	"slices"
	"time"
)

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
