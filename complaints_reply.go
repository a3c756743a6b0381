package wechatpay

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"reflect"
)

// RespondRequest is a reply to the user.
type RespondRequest struct {
	ComplaintedMchID string   `json:"complainted_mchid"`         // the merchant complained of; "": Config.MchID
	ResponseContent  string   `json:"response_content"`          // 1 to 500 characters; older pages of WeChat Pay say 200
	ResponseImages   []string `json:"response_images,omitempty"` // at most 4 media ids of UploadImage

	// JumpURL (https, at most 512 characters) and JumpURLText (at most 10)
	// show a link; both or neither. Only for merchants whom WeChat Pay enabled.
	JumpURL     string `json:"jump_url,omitempty"`
	JumpURLText string `json:"jump_url_text,omitempty"`
	// MiniProgramJumpInfo shows a link to a mini program: all three fields, or
	// none. Only for merchants whom WeChat Pay enabled.
	MiniProgramJumpInfo MiniProgramJumpInfo `json:"mini_program_jump_info,omitzero"`
}

// Respond sends a reply to the user. The first one makes a PENDING complaint
// PROCESSING. An older FAQ of WeChat Pay allows
// 60 replies a minute.
//
// A reply is not idempotent: after ErrOutcomeUnknown look in the negotiation
// history for MERCHANT_RESPONSE before you send it again.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012467254 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4012467213)
func (s *ComplaintsV2Service) Respond(ctx context.Context, complaintID string, req *RespondRequest) error {
	const op = "ComplaintsV2.Respond"
	f := checkComplaintID(complaintID)
	if req == nil {
		f.add("req", "nil")
		return f.err(op)
	}
	body := *req
	body.ComplaintedMchID = s.orOwn(body.ComplaintedMchID)
	f.required("ComplaintedMchID", body.ComplaintedMchID, 64)
	f.required("ResponseContent", body.ResponseContent, 500)
	f.list("ResponseImages", body.ResponseImages, 4, 512)
	f.text("JumpURL", body.JumpURL, 512)
	f.text("JumpURLText", body.JumpURLText, 10)
	if (body.JumpURL == "") != (body.JumpURLText == "") {
		f.add("JumpURL", "JumpURL and JumpURLText go together: set both or neither")
	}
	if body.JumpURL != "" {
		f.https("JumpURL", body.JumpURL)
	}
	if jump := body.MiniProgramJumpInfo; jump != (MiniProgramJumpInfo{}) && (jump.AppID == "" || jump.Path == "" || jump.Text == "") {
		f.add("MiniProgramJumpInfo", "AppID, Path and Text are all required here")
	}
	f.allStorable("MiniProgramJumpInfo", reflect.ValueOf(body.MiniProgramJumpInfo))
	if err := f.err(op); err != nil {
		return err
	}
	return s.client.call(ctx, &call{
		op:      op,
		method:  http.MethodPost,
		path:    complaintsPath + "/" + url.PathEscape(complaintID) + "/response",
		body:    &body,
		success: http.StatusNoContent,
		remedy:  "look for MERCHANT_RESPONSE in the complaint's negotiation history before replying again",
	})
}

// ImmediateServiceRequest is a reply to a complaint that needs immediate
// service.
type ImmediateServiceRequest struct {
	ComplaintedMchID string  `json:"complainted_mchid"` // the merchant complained of; "": Config.MchID
	Message          Message `json:"message"`           // at least one block
	// IdempotentID, at most 128 characters, makes a repeated call the same
	// reply. Empty: one is made, and an error of unknown outcome carries it.
	IdempotentID string `json:"idempotent_id"`
}

// ImmediateServiceResponse tells what became of the reply.
type ImmediateServiceResponse struct {
	LogID string `json:"log_id,omitempty"` // of its negotiation record, at most 64 characters
}

// RespondImmediateService replies to a complaint whose NeedImmediateService is
// true, with rich text, links and buttons. The first reply makes a PENDING
// complaint PROCESSING.
//
// WeChat Pay processes one IdempotentID once. After ErrOutcomeUnknown repeat
// the same call with the id that the error carries:
//
//	var unknown *wechatpay.OutcomeUnknownError
//	if errors.As(err, &unknown) {
//		req.IdempotentID = unknown.IdempotencyKey
//	}
//
// https://pay.weixin.qq.com/doc/v3/merchant/4017151596 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4017151726)
func (s *ComplaintsV2Service) RespondImmediateService(ctx context.Context, complaintID string, req *ImmediateServiceRequest) (*ImmediateServiceResponse, error) {
	const op = "ComplaintsV2.RespondImmediateService"
	f := checkComplaintID(complaintID)
	if req == nil {
		f.add("req", "nil")
		return nil, f.err(op)
	}
	body := *req
	body.ComplaintedMchID = s.orOwn(body.ComplaintedMchID)
	if body.IdempotentID == "" {
		body.IdempotentID = rand.Text()
	}
	f.required("ComplaintedMchID", body.ComplaintedMchID, 64)
	f.required("IdempotentID", body.IdempotentID, 128)
	body.Message.check(&f)
	if err := f.err(op); err != nil {
		return nil, err
	}
	resp := new(ImmediateServiceResponse)
	err := s.client.call(ctx, &call{
		op:      op,
		method:  http.MethodPost,
		path:    complaintsPath + "/" + url.PathEscape(complaintID) + "/response-immediate-service",
		body:    &body,
		success: http.StatusOK,
		out:     resp,
		retry:   retryAlways,
		remedy:  "repeat the call with the same IdempotentID",
		key:     body.IdempotentID,
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// CompleteRequest completes a complaint.
type CompleteRequest struct {
	// ComplaintedMchID is the merchant of the complaint (Complaint.ComplaintedMchID).
	// Empty means Config.MchID. Service providers must set it.
	ComplaintedMchID string `json:"complainted_mchid"`
}

// Complete declares a complaint solved. It becomes PROCESSED, and the user is
// asked for a rating. A nil request completes it for Config.MchID. Call it only
// after the matter is solved: repeated complaints count against the merchant.
//
// A complaint whose refund was approved needs no call. It becomes PROCESSED when
// the refund arrives.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012467255 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4012467217)
func (s *ComplaintsV2Service) Complete(ctx context.Context, complaintID string, req *CompleteRequest) error {
	const op = "ComplaintsV2.Complete"
	var body CompleteRequest
	if req != nil {
		body = *req
	}
	body.ComplaintedMchID = s.orOwn(body.ComplaintedMchID)
	f := checkComplaintID(complaintID)
	f.required("ComplaintedMchID", body.ComplaintedMchID, 64)
	if err := f.err(op); err != nil {
		return err
	}
	return s.client.call(ctx, &call{
		op:      op,
		method:  http.MethodPost,
		path:    complaintsPath + "/" + url.PathEscape(complaintID) + "/complete",
		body:    &body,
		success: http.StatusNoContent,
		remedy:  "look for MERCHANT_CONFIRM_COMPLETE in the complaint's negotiation history before completing it again",
		lookUp: func(ctx context.Context, sent *attempts) (lookupResult, error) {
			return s.lookUpCompletion(ctx, complaintID, sent)
		},
	})
}

func (s *ComplaintsV2Service) orOwn(mchID string) string {
	if mchID == "" {
		return s.client.signer.mchID
	}
	return mchID
}
