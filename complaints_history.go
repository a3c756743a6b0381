package wechatpay

import (
	"cmp"
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// defaultHistoryLimit is the page size of a negotiation history. More than 130
// records on a page are reported to fail.
const defaultHistoryLimit = 100

// NegotiationHistoryRequest selects a page of a negotiation history.
type NegotiationHistoryRequest struct {
	// Limit is the page size, 1 to 300; 0 means 100. Pages of more than 130
	// records are reported to fail.
	Limit int
	// Offset is the number of records to skip.
	Offset int
}

// NegotiationHistory returns one page of the negotiation history of a
// complaint: what the user, the merchant and WeChat Pay did. A nil request
// returns the first page. WeChat Pay does not document the order of the records.
//
// If WeChat Pay rejects a page as too large, use a lower Limit.
// [ComplaintsV2Service.AllNegotiationHistory] does so itself.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012533439 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4012691802)
func (s *ComplaintsV2Service) NegotiationHistory(
	ctx context.Context, complaintID string, req *NegotiationHistoryRequest,
) (*NegotiationHistory, error) {
	const op = "ComplaintsV2.NegotiationHistory"
	if req == nil {
		req = &NegotiationHistoryRequest{}
	}
	f := checkComplaintID(complaintID)
	req.check(&f)
	if err := f.err(op); err != nil {
		return nil, err
	}
	limit := cmp.Or(req.Limit, defaultHistoryLimit)
	page, err := readHistory[NegotiationRecord](ctx, s.client, op, complaintID, limit, req.Offset)
	if err != nil {
		return nil, opError(op, err)
	}
	return &NegotiationHistory{
		Data:       page.entries(),
		Limit:      page.Limit,
		Offset:     req.Offset,
		TotalCount: value(page.TotalCount),
	}, nil
}

// readHistory returns one page. Its errors do not name the operation.
func readHistory[R any](
	ctx context.Context, c *Client, op, complaintID string, limit, offset int,
) (*page[R], error) {
	result := new(page[R])
	path := complaintsPath + "/" + url.PathEscape(complaintID) + "/negotiation-historys"
	err := c.exchange(ctx, &call{
		op:      op,
		method:  http.MethodGet,
		path:    path + "?limit=" + strconv.Itoa(limit) + "&offset=" + strconv.Itoa(offset),
		success: http.StatusOK,
		out:     decoded(result, func() error { return result.match(offset) }),
	})
	return result, err
}

// AllNegotiationHistory returns an iterator over the negotiation history of a
// complaint. It reads page by page, as the caller advances, and halves the page
// size when WeChat Pay rejects a page as too large. WeChat Pay does not document
// the order of the records.
//
// It yields each record once. Records added while it reads may be missing. An
// error is yielded last, with a nil record.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012533439 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4012691802)
func (s *ComplaintsV2Service) AllNegotiationHistory(
	ctx context.Context, complaintID string,
) iter.Seq2[*NegotiationRecord, error] {
	const op = "ComplaintsV2.AllNegotiationHistory"
	return func(yield func(*NegotiationRecord, error) bool) {
		if err := checkComplaintID(complaintID).err(op); err != nil {
			yield(nil, err)
			return
		}
		for record, err := range historyRecords(ctx, s.client, op, complaintID) {
			if !yield(record, opError(op, err)) {
				return
			}
		}
	}
}

// historyRecords returns an iterator over a negotiation history. Its errors do
// not name the operation.
func historyRecords(ctx context.Context, c *Client, op, complaintID string) iter.Seq2[*NegotiationRecord, error] {
	read := func(limit, offset int) (*page[NegotiationRecord], error) {
		return readHistory[NegotiationRecord](ctx, c, op, complaintID, limit, offset)
	}
	return func(yield func(*NegotiationRecord, error) bool) {
		historyPager(func(r *NegotiationRecord) string { return r.LogID }, read).walk(ctx, yield)
	}
}

// historyPager returns a pager over a negotiation history. It skips records it
// has already yielded, since records may be added while it reads.
func historyPager[R any](id func(*R) string, read func(limit, offset int) (*page[R], error)) *pager[R] {
	return &pager[R]{
		limit:        defaultHistoryLimit,
		fetch:        read,
		id:           id,
		skipRepeated: true,
	}
}

// NegotiationHistory is one page of the negotiation history of a complaint.
//
// Page: https://pay.weixin.qq.com/doc/v3/merchant/4012533439 (for service
// providers: https://pay.weixin.qq.com/doc/v3/partner/4012691802)
type NegotiationHistory struct {
	// Data is empty after the last record. NegotiationHistory never returns a nil
	// Data, so that it is encoded as [].
	Data       []NegotiationRecord `json:"data" wire:"strict"`
	Limit      int                 `json:"limit"`       // the page size that applied
	Offset     int                 `json:"offset"`      // the number of records before this page
	TotalCount int                 `json:"total_count"` // the number of all records; set only if Offset is 0
}

// UnmarshalJSON implements [json.Unmarshaler]. It accepts what
// [ComplaintsV2Service.NegotiationHistory] accepts.
func (h *NegotiationHistory) UnmarshalJSON(data []byte) error {
	type plain NegotiationHistory
	return unmarshal(data, (*plain)(h))
}

// NegotiationRecord is one record of the negotiation history of a complaint:
// something the user, the merchant or WeChat Pay did. As in a [Complaint], fields
// that cannot be read stay zero, except those tagged wire:"strict".
//
// Page: https://pay.weixin.qq.com/doc/v3/merchant/4012533439 (for service
// providers: https://pay.weixin.qq.com/doc/v3/partner/4012691802)
type NegotiationRecord struct {
	// LogID has at most 64 characters.
	LogID string `json:"log_id,omitempty"`
	// Operator is who did it, at most 64 characters. It is free Chinese text:
	// do not branch on it.
	Operator string `json:"operator,omitempty"`
	// OperateTime is when it was done. WeChat Pay sends Beijing time. Zero if it
	// cannot be read.
	OperateTime time.Time `json:"operate_time,omitzero"`
	// OperateType is what was done.
	OperateType OperateType `json:"operate_type,omitempty" wire:"strict"`

	// OperateDetails is a text of at most 500 characters: the merchant's reason
	// with OperateTypeMerchantRefuseRefund, the score with
	// OperateTypeUserSubmitSatisfaction.
	OperateDetails string `json:"operate_details,omitempty"`
	// ImageList lists URLs of images from the merchant and WeChat Pay, at most
	// 4. They point to storage on other hosts and, according to older pages,
	// are valid for 1 hour. Use an ordinary http.Client without Authorization,
	// not [Client.HTTPClient].
	ImageList []string `json:"image_list,omitempty"`
	// ComplaintMediaList lists images for [ComplaintsV2Service.DownloadImage].
	// WeChat Pay documents a single object here, unlike in [Complaint]; a list is
	// decoded too. A single entry is encoded as an object, several as a list.
	ComplaintMediaList []ComplaintMedia `json:"complaint_media_list,omitempty"`

	// UserApplyPlatformServiceReason is why the user asked WeChat Pay for help.
	// WeChat Pay spells the JSON name "appy".
	UserApplyPlatformServiceReason string `json:"user_appy_platform_service_reason,omitempty"`
	// UserApplyPlatformServiceReasonDescription describes that reason.
	UserApplyPlatformServiceReasonDescription string `json:"user_appy_platform_service_reason_description,omitempty"`

	// NormalMessage is a rich message.
	NormalMessage Message `json:"normal_message,omitzero"`
	// ClickMessage is what the user tapped, with OperateTypeUserClickResponse.
	ClickMessage ClickMessage `json:"click_message,omitzero"`
}

// UnmarshalJSON implements [json.Unmarshaler]. It accepts what
// [ComplaintsV2Service.NegotiationHistory] accepts.
func (r *NegotiationRecord) UnmarshalJSON(data []byte) error {
	type plain NegotiationRecord
	return unmarshal(data, (*plain)(r))
}

// MarshalJSON implements [json.Marshaler].
func (r NegotiationRecord) MarshalJSON() ([]byte, error) {
	type plain NegotiationRecord
	if len(r.ComplaintMediaList) != 1 {
		return json.Marshal(plain(r))
	}
	return json.Marshal(struct {
		plain
		ComplaintMediaList ComplaintMedia `json:"complaint_media_list"`
	}{plain(r), r.ComplaintMediaList[0]})
}

// ClickMessage is what the user sent by tapping a button, a link or a question
// of an earlier message.
type ClickMessage struct {
	// MessageContent is the text that was sent, at most 1024 characters.
	MessageContent string `json:"message_content,omitempty"`
	// MessageContentObject is the raw JSON of message_content if it is not a
	// string. MessageContent is then empty. If set, it is encoded in place of
	// MessageContent.
	MessageContentObject json.RawMessage `json:"-"`

	// ActionID is the MessageAction.ActionID that was tapped, at most 4096
	// characters.
	ActionID string `json:"action_id,omitempty"`
	// ClickedLogID is the LogID of the record with the tapped message, at most
	// 128 characters.
	ClickedLogID string `json:"clicked_log_id,omitempty"`
}

// UnmarshalJSON implements [json.Unmarshaler].
func (m *ClickMessage) UnmarshalJSON(data []byte) error {
	type plain ClickMessage
	if err := unmarshal(data, (*plain)(m)); err != nil {
		return err
	}
	var raw struct {
		MessageContent json.RawMessage `json:"message_content"`
	}
	if err := json.Unmarshal(data, &raw); err != nil || len(raw.MessageContent) == 0 {
		return err
	}
	switch raw.MessageContent[0] {
	case 'n': // null
	case '"':
		m.MessageContentObject = nil
	default:
		m.MessageContent, m.MessageContentObject = "", raw.MessageContent
	}
	return nil
}

// MarshalJSON implements [json.Marshaler].
func (m ClickMessage) MarshalJSON() ([]byte, error) {
	type plain ClickMessage
	if m.MessageContentObject == nil {
		return json.Marshal(plain(m))
	}
	return json.Marshal(struct {
		plain
		MessageContent json.RawMessage `json:"message_content"`
	}{plain(m), m.MessageContentObject})
}

// OperateType is what a [NegotiationRecord] records. WeChat Pay misspells two of
// the values; the constants are spelled correctly.
type OperateType string

const (
	// OperateTypeUserCreateComplaint is the user filing the complaint.
	OperateTypeUserCreateComplaint OperateType = "USER_CREATE_COMPLAINT"
	// OperateTypeUserContinueComplaint is the user filing the complaint again.
	// It starts a new round: earlier decisions do not apply to it.
	OperateTypeUserContinueComplaint OperateType = "USER_CONTINUE_COMPLAINT"

	// OperateTypeUserResponse is a message from the user.
	OperateTypeUserResponse OperateType = "USER_RESPONSE"
	// OperateTypePlatformResponse is a message from WeChat Pay.
	OperateTypePlatformResponse OperateType = "PLATFORM_RESPONSE"
	// OperateTypeMerchantResponse is a message from the merchant.
	OperateTypeMerchantResponse OperateType = "MERCHANT_RESPONSE"
	// OperateTypeUserClickResponse is a message the user sent with a tap: see
	// ClickMessage.
	OperateTypeUserClickResponse OperateType = "USER_CLICK_RESPONSE"

	// OperateTypeMerchantConfirmComplete is the merchant completing the
	// complaint.
	OperateTypeMerchantConfirmComplete OperateType = "MERCHANT_CONFIRM_COMPLETE"
	// OperateTypeMerchantApproveRefund is the merchant approving the refund.
	OperateTypeMerchantApproveRefund OperateType = "MERCHANT_APPROVE_REFUND"
	// OperateTypeMerchantRefuseRefund is the merchant rejecting the refund, for
	// the reason in OperateDetails. WeChat Pay spells it "RERUND".
	OperateTypeMerchantRefuseRefund OperateType = "MERCHANT_REFUSE_RERUND"

	// OperateTypeComplaintFullRefundedSystemMessage is the launch of a full
	// refund.
	OperateTypeComplaintFullRefundedSystemMessage OperateType = "COMPLAINT_FULL_REFUNDED_SYSTEM_MESSAGE"
	// OperateTypeComplaintPartialRefundedSystemMessage is the launch of a
	// partial refund.
	OperateTypeComplaintPartialRefundedSystemMessage OperateType = "COMPLAINT_PARTIAL_REFUNDED_SYSTEM_MESSAGE"
	// OperateTypeComplaintEntrustedRefundSystemMessage is a refund by WeChat Pay
	// on behalf of the merchant.
	OperateTypeComplaintEntrustedRefundSystemMessage OperateType = "COMPLAINT_ENTRUSTED_REFUND_SYSTEM_MESSAGE"
	// OperateTypeComplaintRefundReceivedSystemMessage is the arrival of a refund.
	OperateTypeComplaintRefundReceivedSystemMessage OperateType = "COMPLAINT_REFUND_RECEIVED_SYSTEM_MESSAGE"
	// OperateTypeUserCreateComplaintSystemMessage is a system notice that the
	// user filed the complaint.
	OperateTypeUserCreateComplaintSystemMessage OperateType = "USER_CREATE_COMPLAINT_SYSTEM_MESSAGE"
	// OperateTypeUserContinueComplaintSystemMessage is a system notice that the
	// user filed the complaint again.
	OperateTypeUserContinueComplaintSystemMessage OperateType = "USER_CONTINUE_COMPLAINT_SYSTEM_MESSAGE"

	// OperateTypePlatformHelpApplication is WeChat Pay urging the merchant to
	// act.
	OperateTypePlatformHelpApplication OperateType = "PLATFORM_HELP_APPLICATION"
	// OperateTypeUserApplyPlatformHelp is the user asking WeChat Pay for help
	// (the old name).
	OperateTypeUserApplyPlatformHelp OperateType = "USER_APPLY_PLATFORM_HELP"
	// OperateTypeUserApplyPlatformService is the user asking WeChat Pay for help.
	OperateTypeUserApplyPlatformService OperateType = "USER_APPLY_PLATFORM_SERVICE"
	// OperateTypeUserCancelPlatformService is the user canceling that request.
	OperateTypeUserCancelPlatformService OperateType = "USER_CANCEL_PLATFORM_SERVICE"
	// OperateTypePlatformServiceFinished is WeChat Pay's staff ending their help.
	OperateTypePlatformServiceFinished OperateType = "PLATFORM_SERVICE_FINISHED"

	// OperateTypeUserSubmitSatisfaction is the user rating the handling, with
	// the score in OperateDetails.
	OperateTypeUserSubmitSatisfaction OperateType = "USER_SUBMIT_SATISFACTION"
	// OperateTypeServiceOrderCancel is the cancellation of the service order.
	OperateTypeServiceOrderCancel OperateType = "SERVICE_ORDER_CANCEL"
	// OperateTypeServiceOrderComplete is the completion of the service order.
	OperateTypeServiceOrderComplete OperateType = "SERVICE_ORDER_COMPLETE"

	// Values found only in old records.

	// OperateTypeUserRevokeComplaint is the user withdrawing the complaint.
	OperateTypeUserRevokeComplaint OperateType = "USER_REVOKE_COMPLAINT"
	// OperateTypeUserConfirmComplaint is the user confirming that the complaint
	// is resolved. WeChat Pay spells it "COMFIRM".
	OperateTypeUserConfirmComplaint OperateType = "USER_COMFIRM_COMPLAINT"
	// OperateTypeComplaintFullRefunded was removed in 2022.
	OperateTypeComplaintFullRefunded OperateType = "COMPLAINT_FULL_REFUNDED"
	// OperateTypeMerchantConfirmCompleteSystemMessage was removed in 2022.
	OperateTypeMerchantConfirmCompleteSystemMessage OperateType = "MERCHANT_CONFIRM_COMPLETE_SYSTEM_MESSAGE"
	// OperateTypeServiceOrderWaitUserPay was removed in 2022.
	OperateTypeServiceOrderWaitUserPay OperateType = "SERVICE_ORDER_WAIT_USER_PAY"
)
