package wechatpay

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// ComplaintsV2Service is the complaint API ("消费者投诉2.0"). It is a field of
// Client, and safe for concurrent use.
type ComplaintsV2Service struct {
	client *Client
}

const complaintsPath = "/v3/merchant-service/complaints-v2"

// RefundAction is a merchant's decision on a refund request.
type RefundAction string

// Values of RefundAction.
const (
	RefundApprove RefundAction = "APPROVE" // the merchant will refund; Refund does it
	RefundReject  RefundAction = "REJECT"  // the merchant will not refund; closes the complaint
)

// UpdateRefundProgressRequest is a decision. Use ApproveRefund or RejectRefund to
// create one.
type UpdateRefundProgressRequest struct {
	Action RefundAction `json:"action"`
	// LaunchRefundDay is the number of working days until the refund is
	// launched, 0 for today. It is not the day of arrival. Only with
	// RefundApprove. nil omits it.
	LaunchRefundDay *int `json:"launch_refund_day,omitempty"`
	// RejectReason is shown to the user: at most 200 characters. Required with
	// RefundReject, and only allowed there.
	RejectReason string `json:"reject_reason,omitempty"`
	// RejectMediaList has at most 4 media ids of UploadImage. Only with
	// RefundReject.
	RejectMediaList []string `json:"reject_media_list,omitempty"`
	// Remark is for WeChat Pay's staff: at most 200 characters.
	Remark string `json:"remark,omitempty"`
}

// GobEncode implements gob.GobEncoder. By itself, gob would lose a LaunchRefundDay
// of 0.
func (req UpdateRefundProgressRequest) GobEncode() ([]byte, error) { return json.Marshal(req) }

// GobDecode implements gob.GobDecoder.
func (req *UpdateRefundProgressRequest) GobDecode(data []byte) error {
	return json.Unmarshal(data, req)
}

// ApproveRefund returns the decision to refund. The refund is launched in
// launchRefundDay working days, 0 for today.
func ApproveRefund(launchRefundDay int) *UpdateRefundProgressRequest {
	return &UpdateRefundProgressRequest{Action: RefundApprove, LaunchRefundDay: &launchRefundDay}
}

// RejectRefund returns the decision not to refund, with the reason (at most 200
// characters) and up to 4 media ids of UploadImage as evidence.
func RejectRefund(reason string, mediaIDs ...string) *UpdateRefundProgressRequest {
	return &UpdateRefundProgressRequest{Action: RefundReject, RejectReason: reason, RejectMediaList: mediaIDs}
}

// UpdateRefundProgress sends the merchant's decision on a refund request: a
// complaint whose ProblemType is REFUND. WeChat Pay accepts one decision per
// round. A round begins each time the user files the complaint.
//
// RefundApprove moves no money: call Refund next. The complaint becomes
// PROCESSED when the refund arrives. RefundReject makes it PROCESSED at once.
//
// nil means that the decision was applied. An error that wraps ErrOutcomeUnknown
// means that it may have been applied: read the negotiation history for
// OperateTypeMerchantApproveRefund or OperateTypeMerchantRefuseRefund. After any
// other error it was not applied. After a 400, read the complaint: it may already
// be decided or refunded. If not, it is not eligible for fast refund: call Resolve,
// which refunds, replies and completes instead.
//
// A lost response is looked up in the history. A decision that is not there after
// RetryPolicy.HistoryLag is retried, unless the complaint is PROCESSED or the user
// may have filed it again. Use a context of at least 30 s: a shorter one leaves no
// time for this. After a lookup, nil can also mean that a colleague made the same
// decision at the same time.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012467256 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4012467218)
func (s *ComplaintsV2Service) UpdateRefundProgress(
	ctx context.Context, complaintID string, req *UpdateRefundProgressRequest,
) error {
	const op = "ComplaintsV2.UpdateRefundProgress"
	if req == nil {
		req = &UpdateRefundProgressRequest{}
	}
	f := checkComplaintID(complaintID)
	req.check(&f)
	if err := f.err(op); err != nil {
		return err
	}
	return opError(op, s.decide(ctx, op, complaintID, req))
}

// decide sends a decision as part of any operation.
func (s *ComplaintsV2Service) decide(
	ctx context.Context, op, complaintID string, req *UpdateRefundProgressRequest,
) error {
	return s.client.exchange(ctx, &call{
		op:       op,
		method:   http.MethodPost,
		path:     complaintsPath + "/" + url.PathEscape(complaintID) + "/update-refund-progress",
		body:     req,
		success:  http.StatusNoContent,
		recovery: &decisionRecovery{s, complaintID, req.Action},
		remedy:   "read the negotiation history before deciding again",
	})
}
