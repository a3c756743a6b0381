package wechatpay

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// RespondRequest is a reply to the user.
type RespondRequest struct {
	// ComplaintedMchID is the merchant the complaint is about, at most 64
	// characters. Service providers must set it to Complaint.ComplaintedMchID:
	// empty means Config.MchID, their own number.
	ComplaintedMchID string `json:"complainted_mchid"`
	// ResponseContent is the text, 1 to 500 characters. Older pages say 200.
	ResponseContent string `json:"response_content"`
	// ResponseImages lists media ids from UploadImage, at most 4.
	ResponseImages []string `json:"response_images,omitempty"`

	// JumpURL and JumpURLText add a link: an https URL of at most 512 characters
	// and a text of at most 10. Set both or neither. WeChat Pay must have enabled
	// links for the merchant.
	JumpURL     string `json:"jump_url,omitempty"`
	JumpURLText string `json:"jump_url_text,omitempty"`
	// MiniProgramJumpInfo adds a link to a mini program. Set all of its fields or
	// none. WeChat Pay must have enabled links for the merchant.
	MiniProgramJumpInfo MiniProgramJumpInfo `json:"mini_program_jump_info,omitzero"`
}

// Respond sends a reply to the user. The first reply changes a PENDING complaint
// to PROCESSING. According to an older FAQ, WeChat Pay allows 60 replies a
// minute.
//
// A reply is not idempotent. After ErrOutcomeUnknown, look for
// OperateTypeMerchantResponse in the negotiation history before sending it again.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012467254 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4012467213)
func (s *ComplaintsV2Service) Respond(ctx context.Context, complaintID string, req *RespondRequest) error {
	const op = "ComplaintsV2.Respond"
	if req == nil {
		req = &RespondRequest{}
	}
	return opError(op, s.respond(ctx, op, complaintID, req))
}

// respond sends a reply as part of any operation.
func (s *ComplaintsV2Service) respond(ctx context.Context, op, complaintID string, req *RespondRequest) error {
	body := *req
	body.ComplaintedMchID = s.ownMchID(body.ComplaintedMchID)
	f := checkComplaintID(complaintID)
	body.check(&f)
	if err := f.err(op); err != nil {
		return err
	}
	err := s.client.exchange(ctx, &call{
		op:      op,
		method:  http.MethodPost,
		path:    complaintsPath + "/" + url.PathEscape(complaintID) + "/response",
		body:    &body,
		success: http.StatusNoContent,
		remedy:  "look for MERCHANT_RESPONSE in the negotiation history before replying again",
	})
	return explainMchID(err, req.ComplaintedMchID)
}

// ImmediateServiceRequest is a reply to a complaint that needs immediate
// service.
type ImmediateServiceRequest struct {
	// ComplaintedMchID is the merchant the complaint is about, at most 64
	// characters. Service providers must set it to Complaint.ComplaintedMchID:
	// empty means Config.MchID, their own number.
	ComplaintedMchID string `json:"complainted_mchid"`
	// Message is the reply. It needs at least one block.
	Message Message `json:"message"`
	// IdempotentID identifies the reply, at most 128 characters: WeChat Pay
	// processes each id once. If empty, a random one is used.
	IdempotentID string `json:"idempotent_id"`
}

// ImmediateServiceResponse is the result of
// [ComplaintsV2Service.RespondImmediateService].
type ImmediateServiceResponse struct {
	LogID string `json:"log_id,omitempty"` // the LogID of the reply's NegotiationRecord, at most 64 characters
}

// RespondImmediateService replies to a complaint whose NeedImmediateService is
// true, with text, images, links and buttons. The first reply changes a PENDING
// complaint to PROCESSING.
//
// WeChat Pay processes each IdempotentID once. After ErrOutcomeUnknown, repeat
// the call with the id in the error:
//
//	var unknown *wechatpay.OutcomeUnknownError
//	if errors.As(err, &unknown) {
//		req.IdempotentID = unknown.IdempotencyKey
//	}
//
// https://pay.weixin.qq.com/doc/v3/merchant/4017151596 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4017151726)
func (s *ComplaintsV2Service) RespondImmediateService(
	ctx context.Context, complaintID string, req *ImmediateServiceRequest,
) (*ImmediateServiceResponse, error) {
	const op = "ComplaintsV2.RespondImmediateService"
	if req == nil {
		req = &ImmediateServiceRequest{}
	}
	resp, err := s.respondImmediateService(ctx, op, complaintID, req)
	return resp, opError(op, err)
}

// respondImmediateService sends a reply as part of any operation.
func (s *ComplaintsV2Service) respondImmediateService(
	ctx context.Context, op, complaintID string, req *ImmediateServiceRequest,
) (*ImmediateServiceResponse, error) {
	body := *req
	body.ComplaintedMchID = s.ownMchID(body.ComplaintedMchID)
	if body.IdempotentID == "" {
		body.IdempotentID = rand.Text()
	}
	f := checkComplaintID(complaintID)
	body.check(&f)
	if err := f.err(op); err != nil {
		return nil, err
	}
	resp := new(ImmediateServiceResponse)
	err := s.client.exchange(ctx, &call{
		op:      op,
		method:  http.MethodPost,
		path:    complaintsPath + "/" + url.PathEscape(complaintID) + "/response-immediate-service",
		body:    &body,
		success: http.StatusOK,
		out:     decoded(resp, func() error { return mustHave("log_id", resp.LogID) }),
		retry:   retryAlways,
		remedy:  "repeat the call with the same IdempotentID",
		key:     body.IdempotentID,
	})
	if err != nil {
		return nil, explainMchID(err, req.ComplaintedMchID)
	}
	return resp, nil
}

// CompleteRequest is the completion of a complaint.
type CompleteRequest struct {
	// ComplaintedMchID is the merchant the complaint is about, at most 64
	// characters. Service providers must set it to Complaint.ComplaintedMchID:
	// empty means Config.MchID, their own number.
	ComplaintedMchID string `json:"complainted_mchid"`
}

// Complete marks a complaint as resolved: it becomes PROCESSED, and WeChat Pay
// asks the user for a rating. A nil request completes it for Config.MchID. Call
// it only once the problem is resolved: complaints filed again count against the
// merchant.
//
// A complaint whose refund was approved becomes PROCESSED by itself when the
// refund arrives.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012467255 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4012467217)
func (s *ComplaintsV2Service) Complete(ctx context.Context, complaintID string, req *CompleteRequest) error {
	const op = "ComplaintsV2.Complete"
	if req == nil {
		req = &CompleteRequest{}
	}
	return opError(op, s.complete(ctx, op, complaintID, req))
}

// complete completes a complaint as part of any operation.
func (s *ComplaintsV2Service) complete(ctx context.Context, op, complaintID string, req *CompleteRequest) error {
	body := *req
	body.ComplaintedMchID = s.ownMchID(body.ComplaintedMchID)
	f := checkComplaintID(complaintID)
	body.check(&f)
	if err := f.err(op); err != nil {
		return err
	}
	err := s.client.exchange(ctx, &call{
		op:       op,
		method:   http.MethodPost,
		path:     complaintsPath + "/" + url.PathEscape(complaintID) + "/complete",
		body:     &body,
		success:  http.StatusNoContent,
		remedy:   "look for MERCHANT_CONFIRM_COMPLETE in the negotiation history before completing it again",
		recovery: &completionRecovery{s, complaintID},
	})
	return explainMchID(err, req.ComplaintedMchID)
}

// ownMchID returns mchID, or Config.MchID if it is empty.
func (s *ComplaintsV2Service) ownMchID(mchID string) string {
	return cmp.Or(mchID, s.client.signer.mchID)
}

// explainMchID adds the remedy to a rejection that a service provider gets if the
// request has no mchID.
func explainMchID(err error, mchID string) error {
	var rejection *APIError
	if mchID != "" || errors.Is(err, ErrOutcomeUnknown) || !errors.As(err, &rejection) {
		return err
	}
	field, _ := rejection.fieldAndIssue()
	if rejection.Code != ErrorCodeNoAuth && !strings.Contains(field, "complainted_mchid") {
		return err
	}
	return fmt.Errorf("%w; service providers must send Complaint.ComplaintedMchID", err)
}
