package wechatpaytest

import (
	"slices"
	"time"
)

// POST /v3/merchant-service/complaints-v2/{complaint_id}/update-refund-progress

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
		return bodyError("/launch_refund_day", *b.LaunchRefundDay, "is only allowed with APPROVE")
	case b.Action == "APPROVE" && b.RejectReason != nil:
		return bodyError("/reject_reason", *b.RejectReason, "is only allowed with REJECT")
	case b.Action == "APPROVE" && b.RejectMediaList != nil:
		return bodyError("/reject_media_list", nil, "is only allowed with REJECT")
	}
	return nil
}

func (c *call) updateRefundProgress(b *decisionBody) (any, *apiError) {
	images := deref(b.RejectMediaList)
	if apiErr := c.checkMediaIDs("/reject_media_list", images); apiErr != nil {
		return nil, apiErr
	}
	cm, apiErr := c.findComplaint()
	if apiErr != nil {
		return nil, apiErr
	}
	if kind := cm.wire.ProblemType; kind != "REFUND" {
		return nil, notEligible("complaint %s is not a fast-refund complaint: problem_type is %q", c.id, kind)
	}
	if c.b.TrustedOnly && !slices.Contains(cm.wire.UserTagList, "TRUSTED") {
		return nil, notEligible("complaint %s is not a fast-refund complaint: the user has no tag TRUSTED", c.id)
	}
	if reason := cm.decisionBlocker(); reason != "" {
		apiErr := c.b.WrongState.errorf("complaint %s cannot be decided: %s", c.id, reason)
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

func notEligible(format string, args ...any) *apiError {
	return Refusal{400, "PARAM_ERROR"}.errorf(format, args...)
}

// decisionBlocker returns why the state of the complaint allows no decision, or
// "" if it does.
func (cm *complaint) decisionBlocker() string {
	switch {
	case cm.decided:
		return "the refund request is already decided"
	case cm.wire.ComplaintFullRefunded:
		return "the order is already refunded in full"
	case cm.wire.ComplaintState == "PROCESSED":
		return "the complaint is finished"
	}
	return ""
}

// decide applies the merchant's decision. The caller holds mu.
func (s *Server) decide(cm *complaint, now time.Time, approve bool, reason string, images ...string) {
	cm.decided = true
	if approve {
		// An approval moves no money. The complaint is finished when the refund
		// arrives.
		cm.approved = true
		cm.wire.ComplaintState = "PROCESSING"
		s.addRecord(cm, now, wireRecord{Operator: operatorMerchant, OperateType: "MERCHANT_APPROVE_REFUND"})
		s.notifyComplaint(cm, now, "MERCHANT_APPROVE_REFUND", true)
		return
	}
	cm.wire.ComplaintState = "PROCESSED"
	r := wireRecord{Operator: operatorMerchant, OperateType: "MERCHANT_REFUSE_RERUND", OperateDetails: reason}
	s.addRecord(cm, now, r, images...)
	s.notifyComplaint(cm, now, "MERCHANT_REJECT_REFUND", true)
}
