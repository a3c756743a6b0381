package wechatpay

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// NegotiationHistoryRequest asks for one page of a negotiation history.
type NegotiationHistoryRequest struct {
	Limit  int // records on the page, 1 to 300; 0: 100. More than 130 are said to fail in practice
	Offset int // records to leave out before it
}

// NegotiationHistory gives one page of what the user, the merchant and WeChat
// Pay did about a complaint; nil asks for the first. WeChat Pay does not
// document in which order records come. If it refuses a page as too large, ask
// with a lower limit; AllNegotiationHistory does.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012533439 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4012691802)
func (s *ComplaintsV2Service) NegotiationHistory(ctx context.Context, complaintID string, req *NegotiationHistoryRequest) (*NegotiationHistory, error) {
	const op = "ComplaintsV2.NegotiationHistory"
	if req == nil {
		req = &NegotiationHistoryRequest{}
	}
	f := checkComplaintID(complaintID)
	limit := req.Limit
	if limit == 0 {
		limit = 100
	}
	f.between("Limit", limit, 1, 300)
	f.atLeast("Offset", req.Offset, 0)
	if err := f.err(op); err != nil {
		return nil, err
	}
	page, err := readHistory[NegotiationRecord](ctx, s.client, op, complaintID, limit, req.Offset)
	if err != nil {
		return nil, opError(op, err)
	}
	return &NegotiationHistory{Data: page.Data, Limit: page.Limit, Offset: page.Offset, TotalCount: page.TotalCount}, nil
}

// historyPage is a page of the history with as much of each record as R has.
type historyPage[R any] struct {
	Data       []R `json:"data"`
	Limit      int `json:"limit"`
	Offset     int `json:"offset"`
	TotalCount int `json:"total_count"`

	signedAt time.Time // by WeChat Pay's clock
}

func (p *historyPage[R]) setSignedAt(t time.Time) { p.signedAt = t }

// readHistory reads one page.
func readHistory[R any](ctx context.Context, c *Client, op, complaintID string, limit, offset int) (*historyPage[R], error) {
	page := new(historyPage[R])
	path := complaintsPath + "/" + url.PathEscape(complaintID) + "/negotiation-historys"
	err := c.exchange(ctx, &call{
		op:      op,
		method:  http.MethodGet,
		path:    path + "?limit=" + strconv.Itoa(limit) + "&offset=" + strconv.Itoa(offset),
		success: http.StatusOK,
		out:     page,
	})
	return page, err
}

// AllNegotiationHistory gives the whole negotiation history, page by page, as
// the caller reads on; in which order is not documented. Each record is given
// once, even if others are added meanwhile; those may be missing. An error comes
// last. It remembers the ids of the records of this one complaint.
func (s *ComplaintsV2Service) AllNegotiationHistory(ctx context.Context, complaintID string) iter.Seq2[*NegotiationRecord, error] {
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

// historyRecords reads the whole history. Its errors do not name the operation.
func historyRecords(ctx context.Context, c *Client, op, complaintID string) iter.Seq2[*NegotiationRecord, error] {
	read := func(limit, offset int) (*historyPage[NegotiationRecord], error) {
		return readHistory[NegotiationRecord](ctx, c, op, complaintID, limit, offset)
	}
	return func(yield func(*NegotiationRecord, error) bool) {
		historyPager(func(r *NegotiationRecord) string { return r.LogID }, read).walk(ctx, yield)
	}
}

// historyPager reads a negotiation history. Records may be added meanwhile, and
// a history is short, so it remembers the ids of the records.
func historyPager[R any](id func(*R) string, read func(limit, offset int) (*historyPage[R], error)) *pager[R] {
	return &pager[R]{
		limit: 100,
		fetch: func(limit, offset int) ([]R, int, int, error) {
			page, err := read(limit, offset)
			if err != nil {
				return nil, 0, 0, err
			}
			return page.Data, page.Limit, page.TotalCount, nil
		},
		id:   id,
		seen: make(map[string]struct{}),
	}
}

// NegotiationHistory is one page of the negotiation history of a complaint.
//
// Page: https://pay.weixin.qq.com/doc/v3/merchant/4012533439, service providers: https://pay.weixin.qq.com/doc/v3/partner/4012691802.
type NegotiationHistory struct {
	Data       []NegotiationRecord `json:"data,omitempty"` // empty past the last record
	Limit      int                 `json:"limit"`          // the largest number of records on the page, as asked
	Offset     int                 `json:"offset"`         // how many records come before this page
	TotalCount int                 `json:"total_count"`    // records in all; given only with Offset 0
}

// NegotiationRecord is one entry of the negotiation history of a complaint:
// something that the user, the merchant or WeChat Pay did.
//
// Page: https://pay.weixin.qq.com/doc/v3/merchant/4012533439, service providers: https://pay.weixin.qq.com/doc/v3/partner/4012691802.
type NegotiationRecord struct {
	LogID       string      `json:"log_id,omitempty"`       // at most 64 characters
	Operator    string      `json:"operator,omitempty"`     // who did it: free Chinese text, at most 64 characters, not to be branched on
	OperateTime time.Time   `json:"operate_time,omitzero"`  // when it was done; WeChat Pay gives Beijing time
	OperateType OperateType `json:"operate_type,omitempty"` // what was done

	// OperateDetails is text, at most 500 characters: the merchant's reason
	// with OperateTypeMerchantRefuseRefund, the score with
	// OperateTypeUserSubmitSatisfaction.
	OperateDetails string `json:"operate_details,omitempty"`
	// ImageList has the merchant's and the platform's images, at most 4. They
	// are plain links to storage on other hosts, valid for 1 hour by older
	// pages: fetch them with a plain http.Client. Neither Authorization nor
	// [Client.HTTPClient] belongs there.
	ImageList []string `json:"image_list,omitempty"`
	// ComplaintMediaList has images for [ComplaintsV2Service.DownloadImage].
	// WeChat Pay documents one object here, unlike in a [Complaint], and a list
	// has been seen too: either fills this list. One entry is encoded as the
	// object, several as a list.
	ComplaintMediaList []ComplaintMedia `json:"complaint_media_list,omitempty"`

	UserApplyPlatformServiceReason            string `json:"user_appy_platform_service_reason,omitempty"`             // why the user asked WeChat Pay for help; "appy" is the wire's spelling
	UserApplyPlatformServiceReasonDescription string `json:"user_appy_platform_service_reason_description,omitempty"` // the same in more words

	NormalMessage Message      `json:"normal_message,omitzero"` // a rich message
	ClickMessage  ClickMessage `json:"click_message,omitzero"`  // what the user tapped, with OperateTypeUserClickResponse
}

// UnmarshalJSON decodes the wire form.
func (r *NegotiationRecord) UnmarshalJSON(data []byte) error {
	type plain NegotiationRecord
	return json.Unmarshal(data, &struct {
		*plain
		OperateTime        *emptyOrTime  `json:"operate_time"`
		ComplaintMediaList *objectOrList `json:"complaint_media_list"`
	}{(*plain)(r), (*emptyOrTime)(&r.OperateTime), (*objectOrList)(&r.ComplaintMediaList)})
}

// MarshalJSON encodes the wire form.
func (r NegotiationRecord) MarshalJSON() ([]byte, error) {
	type plain NegotiationRecord
	return json.Marshal(struct {
		plain
		ComplaintMediaList objectOrList `json:"complaint_media_list,omitempty"`
	}{plain(r), r.ComplaintMediaList})
}

// ClickMessage says which button, link or question of an earlier message the
// user tapped.
type ClickMessage struct {
	// MessageContent is the text that the tap sent, at most 1024 characters.
	MessageContent string `json:"message_content,omitempty"`
	// MessageContentObject is the message_content where WeChat Pay sends
	// something else than a string, which one of its descriptions allows: the
	// JSON as it came, and MessageContent is empty then. It wins when a
	// ClickMessage is encoded.
	MessageContentObject json.RawMessage `json:"-"`

	ActionID     string `json:"action_id,omitempty"`      // of the action that was tapped, at most 4096 characters
	ClickedLogID string `json:"clicked_log_id,omitempty"` // the record with the message that was tapped, at most 128 characters
}

// UnmarshalJSON decodes the wire form.
func (m *ClickMessage) UnmarshalJSON(data []byte) error {
	type plain ClickMessage
	var content json.RawMessage // a string, or an object
	err := json.Unmarshal(data, &struct {
		*plain
		MessageContent *json.RawMessage `json:"message_content"`
	}{(*plain)(m), &content})
	if err != nil || content == nil {
		return err
	}
	m.MessageContent, m.MessageContentObject = "", nil
	if content[0] == '"' {
		return json.Unmarshal(content, &m.MessageContent)
	}
	m.MessageContentObject = content
	return nil
}

// MarshalJSON encodes the wire form.
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

// OperateType says what a [NegotiationRecord] records. Two values are misspelt
// on the wire; their constants are spelt right.
type OperateType string

const (
	OperateTypeUserCreateComplaint   OperateType = "USER_CREATE_COMPLAINT"   // the user files the complaint
	OperateTypeUserContinueComplaint OperateType = "USER_CONTINUE_COMPLAINT" // the user files it again: a new round, in which older decisions prove nothing

	OperateTypeUserResponse      OperateType = "USER_RESPONSE"       // a message of the user
	OperateTypePlatformResponse  OperateType = "PLATFORM_RESPONSE"   // a message of WeChat Pay
	OperateTypeMerchantResponse  OperateType = "MERCHANT_RESPONSE"   // a message of the merchant
	OperateTypeUserClickResponse OperateType = "USER_CLICK_RESPONSE" // a message that the user sent with a tap: see ClickMessage

	OperateTypeMerchantConfirmComplete OperateType = "MERCHANT_CONFIRM_COMPLETE" // the merchant declares the complaint solved
	OperateTypeMerchantApproveRefund   OperateType = "MERCHANT_APPROVE_REFUND"   // the merchant approves the refund request
	OperateTypeMerchantRefuseRefund    OperateType = "MERCHANT_REFUSE_RERUND"    // the merchant refuses it, with the reason in OperateDetails; "RERUND" is the wire's spelling

	OperateTypeComplaintFullRefundedSystemMessage    OperateType = "COMPLAINT_FULL_REFUNDED_SYSTEM_MESSAGE"    // a full refund is launched
	OperateTypeComplaintPartialRefundedSystemMessage OperateType = "COMPLAINT_PARTIAL_REFUNDED_SYSTEM_MESSAGE" // a partial refund is launched
	OperateTypeComplaintEntrustedRefundSystemMessage OperateType = "COMPLAINT_ENTRUSTED_REFUND_SYSTEM_MESSAGE" // WeChat Pay refunds in the merchant's stead
	OperateTypeComplaintRefundReceivedSystemMessage  OperateType = "COMPLAINT_REFUND_RECEIVED_SYSTEM_MESSAGE"  // a refund reached the user
	OperateTypeUserCreateComplaintSystemMessage      OperateType = "USER_CREATE_COMPLAINT_SYSTEM_MESSAGE"      // a system notice of the filing
	OperateTypeUserContinueComplaintSystemMessage    OperateType = "USER_CONTINUE_COMPLAINT_SYSTEM_MESSAGE"    // a system notice of filing again

	OperateTypePlatformHelpApplication   OperateType = "PLATFORM_HELP_APPLICATION"    // WeChat Pay urges the merchant
	OperateTypeUserApplyPlatformHelp     OperateType = "USER_APPLY_PLATFORM_HELP"     // the user asks WeChat Pay for help (the old name)
	OperateTypeUserApplyPlatformService  OperateType = "USER_APPLY_PLATFORM_SERVICE"  // the user asks WeChat Pay for help
	OperateTypeUserCancelPlatformService OperateType = "USER_CANCEL_PLATFORM_SERVICE" // the user cancels that request
	OperateTypePlatformServiceFinished   OperateType = "PLATFORM_SERVICE_FINISHED"    // WeChat Pay's staff end their help

	OperateTypeUserSubmitSatisfaction OperateType = "USER_SUBMIT_SATISFACTION" // the user rates the handling, with the score in OperateDetails
	OperateTypeServiceOrderCancel     OperateType = "SERVICE_ORDER_CANCEL"     // the linked service order is cancelled
	OperateTypeServiceOrderComplete   OperateType = "SERVICE_ORDER_COMPLETE"   // the linked service order is complete

	// In old records only.

	OperateTypeUserRevokeComplaint                  OperateType = "USER_REVOKE_COMPLAINT"                    // the user withdrew the complaint
	OperateTypeUserConfirmComplaint                 OperateType = "USER_COMFIRM_COMPLAINT"                   // the user confirmed it solved; "COMFIRM" is the wire's spelling
	OperateTypeComplaintFullRefunded                OperateType = "COMPLAINT_FULL_REFUNDED"                  // removed in 2022
	OperateTypeMerchantConfirmCompleteSystemMessage OperateType = "MERCHANT_CONFIRM_COMPLETE_SYSTEM_MESSAGE" // removed in 2022
	OperateTypeServiceOrderWaitUserPay              OperateType = "SERVICE_ORDER_WAIT_USER_PAY"              // removed in 2022
)
