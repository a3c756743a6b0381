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

func (b *decisionBody) check(*call) *apiError {
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

func (c *call) updateRefundProgress(b *decisionBody) (any, *apiError) {
	images := deref(b.RejectMediaList)
	if apiErr := c.checkMediaIDs("/reject_media_list", images); apiErr != nil {
		return nil, apiErr
	}
	cm, apiErr := c.find()
	if apiErr != nil {
		return nil, apiErr
	}
	if cm.wire.ProblemType != "REFUND" {
		return nil, notEligible("not a fast-refund complaint: problem_type of complaint %s is %q", c.id, cm.wire.ProblemType)
	}
	if c.b.TrustedOnly && !slices.Contains(cm.wire.UserTagList, "TRUSTED") {
		return nil, notEligible("not a fast-refund complaint: the user of complaint %s has no tag TRUSTED", c.id)
	}
	if why := cm.decisionBlocker(); why != "" {
		apiErr := c.b.WrongState.errorf("the state of complaint %s does not support this operation, check for a duplicate call: %s", c.id, why)
		apiErr.internal = internalRepeated
		return nil, apiErr
	}
	reason := ""
	if b.RejectReason != nil {
		reason = *b.RejectReason
	}
	c.s.decide(cm, c.now, b.Action == "APPROVE", reason, images...)
	return nil, nil
}

// decide records the merchant's decision, in whichever way it came. The caller
// holds mu.
func (s *Server) decide(cm *complaint, now time.Time, approve bool, reason string, images ...string) {
	cm.decided = true
	if approve {
		// Only the promise is recorded. The complaint stays open until the
		// refund arrives.
		cm.approved = true
		cm.wire.ComplaintState = "PROCESSING"
		s.append(cm, now, wireRecord{Operator: operatorMerchant, OperateType: "MERCHANT_APPROVE_REFUND"})
		s.enqueueComplaint(cm, now, "COMPLAINT.STATE_CHANGE", "MERCHANT_APPROVE_REFUND", true)
		return
	}
	cm.wire.ComplaintState = "PROCESSED"
	s.append(cm, now, wireRecord{Operator: operatorMerchant, OperateType: "MERCHANT_REFUSE_RERUND", OperateDetails: reason}, images...)
	s.enqueueComplaint(cm, now, "COMPLAINT.STATE_CHANGE", "MERCHANT_REJECT_REFUND", true)
}

func notEligible(format string, args ...any) *apiError {
	return Refusal{400, "PARAM_ERROR"}.errorf(format, args...)
}
