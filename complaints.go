package wechatpay

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// ComplaintsV2Service is the complaint API ("消费者投诉2.0"). Get it from a
// Client; it is safe for concurrent use.
type ComplaintsV2Service struct {
	client *Client
}

const complaintsPath = "/v3/merchant-service/complaints-v2"

// RefundAction is a merchant's decision on a refund request.
type RefundAction string

// The two decisions.
const (
	RefundApprove RefundAction = "APPROVE" // the merchant will refund; the refund itself is another call
	RefundReject  RefundAction = "REJECT"  // the merchant will not refund; closes the complaint
)

// UpdateRefundProgressRequest is a decision. ApproveRefund and RejectRefund
// make the usual ones.
type UpdateRefundProgressRequest struct {
	Action RefundAction `json:"action"`
	// LaunchRefundDay is in how many working days the refund is launched, 0
	// being today; it is not the day of arrival. Only with RefundApprove. 0 is
	// sent, nil is not.
	LaunchRefundDay *int `json:"launch_refund_day,omitempty"`
	// RejectReason, at most 200 characters, is shown to the user. Only with
	// RefundReject.
	RejectReason string `json:"reject_reason,omitempty"`
	// RejectMediaList holds at most 4 media ids of uploaded images. Only with
	// RefundReject.
	RejectMediaList []string `json:"reject_media_list,omitempty"`
	// Remark, at most 200 characters, is for WeChat Pay's staff.
	Remark string `json:"remark,omitempty"`
}

// ApproveRefund makes the request that promises a refund, to be launched in so
// many working days; 0 is today.
func ApproveRefund(launchRefundDay int) *UpdateRefundProgressRequest {
	return &UpdateRefundProgressRequest{Action: RefundApprove, LaunchRefundDay: &launchRefundDay}
}

// RejectRefund makes the request that declines a refund, with the reason (at
// most 200 characters) and up to 4 media ids of images that support it.
func RejectRefund(reason string, mediaIDs ...string) *UpdateRefundProgressRequest {
	return &UpdateRefundProgressRequest{Action: RefundReject, RejectReason: reason, RejectMediaList: mediaIDs}
}

// UpdateRefundProgress sends the merchant's decision on a refund request, for a
// complaint whose ProblemType is REFUND.
//
// RefundApprove records a promise and moves no money: the merchant creates the
// refund, and the complaint becomes PROCESSED when it arrives. RefundReject
// makes the complaint PROCESSED at once; the user may file it again.
//
// The service takes one decision for each time that the user files, and refuses
// a second one. nil means that it took this one. An error that wraps
// ErrOutcomeUnknown means that the decision may or may not stand: read the
// complaint and its negotiation history (MERCHANT_APPROVE_REFUND,
// MERCHANT_REFUSE_RERUND) before deciding again. Any other error means that it
// does not stand: an *ArgumentError was not sent, an *APIError was refused.
//
// Where an answer is lost or proves nothing, the negotiation history is read for
// this decision, as of the time when the call began. Found: the result is nil.
// Not found in two looks, the second after RetryPolicy.HistoryLag: it is sent again,
// within RetryPolicy.MaxAttempts. The opposite decision found: an error that
// says so. Where the history cannot be read, or the user files again meanwhile,
// the outcome stays unknown.
//
// nil after such a look cannot tell this decision from an equal one that a
// colleague made at the same time, with another day, reason or remark. And a
// context that has run out leaves no time to look: give it half a minute, or
// none. How long a decision can take without one is told at RetryPolicy.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012467256 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4012467218)
func (s *ComplaintsV2Service) UpdateRefundProgress(ctx context.Context, complaintID string, req *UpdateRefundProgressRequest) error {
	const op = "ComplaintsV2.UpdateRefundProgress"
	f := checkComplaintID(complaintID)
	req.check(&f)
	if err := f.err(op); err != nil {
		return err
	}
	action := req.Action
	err := s.client.call(ctx, &call{
		op:      op,
		method:  http.MethodPost,
		path:    complaintsPath + "/" + url.PathEscape(complaintID) + "/update-refund-progress",
		body:    req,
		success: http.StatusNoContent,
		remedy:  "read the complaint's negotiation history before deciding again",
		lookUp: func(ctx context.Context, started, ended time.Time) (verdict, error) {
			return s.lookUpDecision(ctx, complaintID, action, started, ended)
		},
	})
	if err == nil || errors.Is(err, ErrOutcomeUnknown) {
		return err
	}
	var refusal *APIError
	if !errors.As(err, &refusal) || refusal.StatusCode != http.StatusBadRequest {
		return err
	}
	// Which 400 this is, the service says in prose alone. The hint must not lead
	// to a second refund.
	return fmt.Errorf("%w (read the complaint first: it may be decided or refunded already; if it is neither, and is no refund request or not open to this fast decision, "+
		"it is settled by refunding the order with POST /v3/refund/domestic/refunds and completing the complaint)", err)
}
