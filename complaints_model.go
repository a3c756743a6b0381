package wechatpay

import (
	"encoding/json"
	"time"
)

// Complaint is one complaint of a user against a merchant, as the list and the
// detail give it. The list leaves PayerOpenID out; all other fields are the
// same.
//
// Fields that WeChat Pay leaves out, or sends as null, stay zero. Enumerations
// are open: a value that this version does not know passes through untouched.
//
// Pages: https://pay.weixin.qq.com/doc/v3/merchant/4012533431 (list), https://pay.weixin.qq.com/doc/v3/merchant/4012533436 (detail);
// service providers: https://pay.weixin.qq.com/doc/v3/partner/4012691285, https://pay.weixin.qq.com/doc/v3/partner/4012691648.
type Complaint struct {
	ComplaintID      string         `json:"complaint_id,omitempty"`      // at most 64 characters
	ComplaintTime    time.Time      `json:"complaint_time,omitzero"`     // when the user filed it; WeChat Pay gives Beijing time, often with milliseconds
	ComplaintDetail  string         `json:"complaint_detail,omitempty"`  // the user's own words, at most 300 characters
	ComplaintState   ComplaintState `json:"complaint_state,omitempty"`   // how far its handling is
	ComplaintedMchID string         `json:"complainted_mchid,omitempty"` // the merchant complained of, at most 64 characters; some samples of the detail lack it

	// PayerPhone is the user's phone number in base64 ciphertext, at most 512
	// characters, empty when the user gave none. [Client.Decrypt] reads it. It
	// is encrypted for the merchant API certificate.
	PayerPhone string `json:"payer_phone,omitempty"`
	// PayerOpenID is the user's openid under the merchant's appid, at most 128
	// characters. Only the detail has it, and not for a complaint about a
	// pay-score service order.
	PayerOpenID string `json:"payer_openid,omitempty"`

	ComplaintOrderInfo []ComplaintOrderInfo `json:"complaint_order_info,omitempty"` // the payments complained about
	ServiceOrderInfo   []ServiceOrderInfo   `json:"service_order_info,omitempty"`   // the pay-score service orders complained about
	ComplaintMediaList []ComplaintMedia     `json:"complaint_media_list,omitempty"` // the user's evidence

	ComplaintFullRefunded bool   `json:"complaint_full_refunded"`       // whether all linked orders are refunded in full; read it again before paying a refund
	IncomingUserResponse  bool   `json:"incoming_user_response"`        // whether a message of the user waits for a reply
	UserComplaintTimes    int    `json:"user_complaint_times"`          // how often the user filed it; 1: once
	ProblemDescription    string `json:"problem_description,omitempty"` // title of the question that the user picked, at most 256 characters; complaints since 2021-07-15 have it

	ProblemType       ProblemType `json:"problem_type,omitempty"`  // what the user asks for
	ApplyRefundAmount int64       `json:"apply_refund_amount"`     // fen asked back; means something only with ProblemTypeRefund
	UserTagList       []UserTag   `json:"user_tag_list,omitempty"` // what WeChat Pay says about the user

	AdditionalInfo AdditionalInfo `json:"additional_info,omitzero"` // details of some trades

	InPlatformService    bool `json:"in_platform_service"`    // whether WeChat Pay's staff assist at present
	NeedImmediateService bool `json:"need_immediate_service"` // whether a fast answer is due: [ComplaintsV2Service.RespondImmediateService]
	IsAgentMode          bool `json:"is_agent_mode"`          // whether the complaint was raised in AI-agent mode
}

// UnmarshalJSON decodes the wire form.
func (c *Complaint) UnmarshalJSON(data []byte) error {
	type plain Complaint
	return json.Unmarshal(data, &struct {
		*plain
		ComplaintTime *emptyOrTime `json:"complaint_time"`
	}{(*plain)(c), (*emptyOrTime)(&c.ComplaintTime)})
}

// ComplaintList is one page of complaints. WeChat Pay does not say in which
// order they come.
//
// Page: https://pay.weixin.qq.com/doc/v3/merchant/4012533431, service providers: https://pay.weixin.qq.com/doc/v3/partner/4012691285.
type ComplaintList struct {
	Data       []Complaint `json:"data,omitempty"` // empty past the last complaint
	Limit      int         `json:"limit"`          // the largest number of complaints on the page, as asked
	Offset     int         `json:"offset"`         // how many complaints come before this page
	TotalCount int         `json:"total_count"`    // complaints in all; given only with Offset 0
}

// ComplaintState says how far the handling of a complaint is.
type ComplaintState string

const (
	ComplaintStatePending    ComplaintState = "PENDING"    // not yet handled
	ComplaintStateProcessing ComplaintState = "PROCESSING" // being handled
	ComplaintStateProcessed  ComplaintState = "PROCESSED"  // finished
)

// ProblemType says what the user asks for.
type ProblemType string

const (
	ProblemTypeRefund         ProblemType = "REFUND"           // money back; [ComplaintsV2Service.UpdateRefundProgress] decides
	ProblemTypeServiceNotWork ProblemType = "SERVICE_NOT_WORK" // a paid service or benefit that does not take effect
	ProblemTypeOthers         ProblemType = "OTHERS"           // anything else
)

// UserTag is what WeChat Pay says about the user who complains.
type UserTag string

const (
	UserTagTrusted  UserTag = "TRUSTED"   // qualifies for a fast refund
	UserTagHighRisk UserTag = "HIGH_RISK" // handle with priority
)

// ComplaintOrderInfo is a payment that the complaint is about.
type ComplaintOrderInfo struct {
	TransactionID string `json:"transaction_id,omitempty"` // WeChat Pay's order number, at most 64 characters
	OutTradeNo    string `json:"out_trade_no,omitempty"`   // the merchant's order number, at most 64 characters
	Amount        int64  `json:"amount"`                   // of the order, in fen
}

// ServiceOrderInfo is a pay-score service order that the complaint is about.
type ServiceOrderInfo struct {
	OrderID    string            `json:"order_id,omitempty"`     // WeChat Pay's number of the service order, at most 128 characters
	OutOrderNo string            `json:"out_order_no,omitempty"` // the merchant's number of the service order, at most 128 characters
	State      ServiceOrderState `json:"state,omitempty"`        // how far the service order is
}

// ServiceOrderState says how far a pay-score service order is.
type ServiceOrderState string

const (
	ServiceOrderStateDoing   ServiceOrderState = "DOING"   // running
	ServiceOrderStateRevoked ServiceOrderState = "REVOKED" // cancelled
	ServiceOrderStateWaitPay ServiceOrderState = "WAITPAY" // awaiting payment
	ServiceOrderStateDone    ServiceOrderState = "DONE"    // complete
	ServiceOrderStateCreated ServiceOrderState = "CREATED" // the name of WAITPAY until June 2022
	ServiceOrderStateExpired ServiceOrderState = "EXPIRED" // removed in June 2022
)

// ComplaintMedia is a set of images of one kind.
type ComplaintMedia struct {
	MediaType MediaType `json:"media_type,omitempty"` // where the images come from
	MediaURL  []string  `json:"media_url,omitempty"`  // addresses for [ComplaintsV2Service.DownloadImage], at most 512 characters each
}

// UnmarshalJSON decodes the wire form.
func (m *ComplaintMedia) UnmarshalJSON(data []byte) error {
	type plain ComplaintMedia
	return json.Unmarshal(data, &struct {
		*plain
		MediaURL *stringOrList `json:"media_url"`
	}{(*plain)(m), (*stringOrList)(&m.MediaURL)})
}

// MediaType says where the images of a complaint come from.
type MediaType string

const (
	MediaTypeUserComplaintImage MediaType = "USER_COMPLAINT_IMAGE" // the user's evidence, given at filing
	MediaTypeOperationImage     MediaType = "OPERATION_IMAGE"      // from the negotiation that followed
)

// AdditionalInfo holds details that only complaints about some trades have.
type AdditionalInfo struct {
	Type AdditionalInfoType `json:"type,omitempty"` // which of the details are given
	// SharePowerInfo is there with AdditionalInfoTypeSharePowerType. It is a
	// pointer because the false in it says something only when it is there.
	SharePowerInfo *SharePowerInfo `json:"share_power_info,omitzero"`
}

// AdditionalInfoType names the trade that an [AdditionalInfo] is about.
type AdditionalInfoType string

// AdditionalInfoTypeSharePowerType is the rental of shared power banks.
const AdditionalInfoTypeSharePowerType AdditionalInfoType = "SHARE_POWER_TYPE"

// SharePowerInfo says how a rented power bank was returned.
type SharePowerInfo struct {
	ReturnTime              time.Time         `json:"return_time,omitzero"`         // zero: not said
	ReturnAddressInfo       ReturnAddressInfo `json:"return_address_info,omitzero"` // where it was returned
	IsReturnedToSameMachine bool              `json:"is_returned_to_same_machine"`  // whether it went back into the machine that it came from
}

// UnmarshalJSON decodes the wire form.
func (i *SharePowerInfo) UnmarshalJSON(data []byte) error {
	type plain SharePowerInfo
	return json.Unmarshal(data, &struct {
		*plain
		ReturnTime *emptyOrTime `json:"return_time"`
	}{(*plain)(i), (*emptyOrTime)(&i.ReturnTime)})
}

// ReturnAddressInfo says where a rented power bank was returned. The
// coordinates are strings on the wire and stay so: no digit is lost.
type ReturnAddressInfo struct {
	ReturnAddress string `json:"return_address,omitempty"` // at most 256 characters
	Longitude     string `json:"longitude,omitempty"`      // at most 32 characters
	Latitude      string `json:"latitude,omitempty"`       // at most 32 characters
}
