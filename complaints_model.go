package wechatpay

import "time"

// Complaint is a user's complaint against a merchant, as returned by
// [ComplaintsV2Service.List], [ComplaintsV2Service.All] and
// [ComplaintsV2Service.Get]. Only Get returns PayerOpenID.
//
// Fields that WeChat Pay omits or sends as null stay zero, and so do fields that
// cannot be read, except those tagged wire:"strict", which are an error.
// Enumeration values unknown to this version are kept as they are. To read a
// field that this version does not have, pass a *json.RawMessage to [Client.Do].
//
// Pages:
//   - https://pay.weixin.qq.com/doc/v3/merchant/4012533431 (list)
//   - https://pay.weixin.qq.com/doc/v3/merchant/4012533436 (detail)
//   - https://pay.weixin.qq.com/doc/v3/partner/4012691285 (list, service providers)
//   - https://pay.weixin.qq.com/doc/v3/partner/4012691648 (detail, service providers)
type Complaint struct {
	// ComplaintID has at most 64 characters.
	ComplaintID string `json:"complaint_id,omitempty" wire:"strict"`
	// ComplaintTime is when the user filed the complaint. WeChat Pay sends
	// Beijing time, often with milliseconds. Zero if it cannot be read.
	ComplaintTime time.Time `json:"complaint_time,omitzero"`
	// ComplaintDetail is the user's own text, at most 300 characters.
	ComplaintDetail string `json:"complaint_detail,omitempty"`
	// ComplaintState is the state of the complaint.
	ComplaintState ComplaintState `json:"complaint_state,omitempty"`
	// ComplaintedMchID is the merchant the complaint is about, at most 64
	// characters. Some samples of the detail omit it.
	ComplaintedMchID string `json:"complainted_mchid,omitempty"`

	// PayerPhone is the user's encrypted phone number, in base64, at most 512
	// characters. It is empty if the user gave none. [Client.Decrypt] decrypts
	// it with the private key of the merchant API certificate.
	PayerPhone string `json:"payer_phone,omitempty"`
	// PayerOpenID is the user's openid under the merchant's appid, at most 128
	// characters. Complaints about pay-score service orders have none.
	PayerOpenID string `json:"payer_openid,omitempty"`

	// ComplaintOrderInfo lists the payments the complaint is about.
	ComplaintOrderInfo []ComplaintOrderInfo `json:"complaint_order_info,omitempty" wire:"strict"`
	// ServiceOrderInfo lists the pay-score service orders the complaint is about.
	ServiceOrderInfo []ServiceOrderInfo `json:"service_order_info,omitempty"`
	// ComplaintMediaList lists the images the user submitted.
	ComplaintMediaList []ComplaintMedia `json:"complaint_media_list,omitempty"`

	// ComplaintFullRefunded reports whether all orders of the complaint are
	// refunded in full.
	ComplaintFullRefunded bool `json:"complaint_full_refunded" wire:"strict"`
	// IncomingUserResponse reports whether a message from the user awaits a
	// reply.
	IncomingUserResponse bool `json:"incoming_user_response"`
	// UserComplaintTimes is how many times the user filed the complaint: the
	// current round, starting at 1.
	UserComplaintTimes int `json:"user_complaint_times" wire:"strict"`
	// ProblemDescription is the title of the question the user chose, at most
	// 256 characters. Complaints filed since 2021-07-15 have it.
	ProblemDescription string `json:"problem_description,omitempty"`

	// ProblemType is what the user asks for.
	ProblemType ProblemType `json:"problem_type,omitempty"`
	// ApplyRefundAmount is the refund the user asks for, in fen. It is
	// meaningful only with ProblemTypeRefund.
	ApplyRefundAmount int64 `json:"apply_refund_amount" wire:"strict"`
	// UserTagList lists WeChat Pay's tags for the user.
	UserTagList []UserTag `json:"user_tag_list,omitempty"`

	// AdditionalInfo has details that only some businesses have.
	AdditionalInfo AdditionalInfo `json:"additional_info,omitzero"`

	// InPlatformService reports whether WeChat Pay's staff are assisting.
	InPlatformService bool `json:"in_platform_service"`
	// NeedImmediateService reports whether the complaint needs a fast reply
	// with [ComplaintsV2Service.RespondImmediateService].
	NeedImmediateService bool `json:"need_immediate_service"`
	// IsAgentMode reports whether the complaint was filed in AI-agent mode.
	IsAgentMode bool `json:"is_agent_mode"`
}

// UnmarshalJSON implements [json.Unmarshaler]. It accepts what List and Get
// accept.
func (c *Complaint) UnmarshalJSON(data []byte) error {
	type plain Complaint
	return unmarshal(data, (*plain)(c))
}

// ComplaintList is one page of complaints. WeChat Pay does not document their
// order.
//
// Page: https://pay.weixin.qq.com/doc/v3/merchant/4012533431 (for service
// providers: https://pay.weixin.qq.com/doc/v3/partner/4012691285)
type ComplaintList struct {
	// Data is empty after the last complaint. List never returns a nil Data, so
	// that it is encoded as [].
	Data       []Complaint `json:"data" wire:"strict"`
	Limit      int         `json:"limit"`       // the page size that applied
	Offset     int         `json:"offset"`      // the number of complaints before this page
	TotalCount int         `json:"total_count"` // the number of all complaints; set only if Offset is 0
}

// UnmarshalJSON implements [json.Unmarshaler]. It accepts what List accepts.
func (l *ComplaintList) UnmarshalJSON(data []byte) error {
	type plain ComplaintList
	return unmarshal(data, (*plain)(l))
}

// ComplaintState is the state of a complaint.
type ComplaintState string

const (
	ComplaintStatePending    ComplaintState = "PENDING"    // not yet handled
	ComplaintStateProcessing ComplaintState = "PROCESSING" // being handled
	ComplaintStateProcessed  ComplaintState = "PROCESSED"  // finished
)

// ProblemType is what the user asks for.
type ProblemType string

const (
	// ProblemTypeRefund asks for a refund:
	// [ComplaintsV2Service.UpdateRefundProgress] approves or rejects it.
	ProblemTypeRefund ProblemType = "REFUND"
	// ProblemTypeServiceNotWork reports a paid service or benefit that did not
	// take effect.
	ProblemTypeServiceNotWork ProblemType = "SERVICE_NOT_WORK"
	// ProblemTypeOthers is anything else.
	ProblemTypeOthers ProblemType = "OTHERS"
)

// UserTag is a tag that WeChat Pay gives the user of a complaint.
type UserTag string

const (
	UserTagTrusted  UserTag = "TRUSTED"   // qualifies for a fast refund
	UserTagHighRisk UserTag = "HIGH_RISK" // handle with priority
)

// ComplaintOrderInfo is a payment the complaint is about.
type ComplaintOrderInfo struct {
	// TransactionID is WeChat Pay's order number, at most 64 characters.
	TransactionID string `json:"transaction_id,omitempty" wire:"strict"`
	// OutTradeNo is the merchant's order number, at most 64 characters.
	OutTradeNo string `json:"out_trade_no,omitempty" wire:"strict"`
	// Amount is the order amount in fen.
	Amount int64 `json:"amount" wire:"strict"`
}

// ServiceOrderInfo is a pay-score service order the complaint is about.
type ServiceOrderInfo struct {
	// OrderID is WeChat Pay's service order number, at most 128 characters.
	OrderID string `json:"order_id,omitempty"`
	// OutOrderNo is the merchant's service order number, at most 128
	// characters.
	OutOrderNo string `json:"out_order_no,omitempty"`
	// State is the state of the service order.
	State ServiceOrderState `json:"state,omitempty"`
}

// ServiceOrderState is the state of a pay-score service order.
type ServiceOrderState string

const (
	ServiceOrderStateDoing   ServiceOrderState = "DOING"   // in service
	ServiceOrderStateRevoked ServiceOrderState = "REVOKED" // canceled
	ServiceOrderStateWaitPay ServiceOrderState = "WAITPAY" // awaiting payment
	ServiceOrderStateDone    ServiceOrderState = "DONE"    // completed
	ServiceOrderStateCreated ServiceOrderState = "CREATED" // the name of WAITPAY until June 2022
	ServiceOrderStateExpired ServiceOrderState = "EXPIRED" // removed in June 2022
)

// ComplaintMedia is a set of images from one source.
type ComplaintMedia struct {
	// MediaType is the source of the images.
	MediaType MediaType `json:"media_type,omitempty"`
	// MediaURL lists the image URLs, at most 512 characters each.
	// [ComplaintsV2Service.DownloadImage] downloads them.
	MediaURL []string `json:"media_url,omitempty"`
}

// MediaType is the source of the images of a complaint.
type MediaType string

const (
	MediaTypeUserComplaintImage MediaType = "USER_COMPLAINT_IMAGE" // submitted by the user with the complaint
	MediaTypeOperationImage     MediaType = "OPERATION_IMAGE"      // from the negotiation
)

// AdditionalInfo has details that only complaints about some businesses have.
type AdditionalInfo struct {
	// Type says which of the details are set.
	Type AdditionalInfoType `json:"type,omitempty"`
	// SharePowerInfo is set with AdditionalInfoTypeSharePowerType, else nil.
	SharePowerInfo *SharePowerInfo `json:"share_power_info,omitzero"`
}

// AdditionalInfoType is the business that an [AdditionalInfo] is about.
type AdditionalInfoType string

// AdditionalInfoTypeSharePowerType is the rental of shared power banks.
const AdditionalInfoTypeSharePowerType AdditionalInfoType = "SHARE_POWER_TYPE"

// SharePowerInfo describes the return of a rented power bank.
type SharePowerInfo struct {
	// ReturnTime is when it was returned. It is zero if WeChat Pay omits it, or if
	// it cannot be read.
	ReturnTime time.Time `json:"return_time,omitzero"`
	// ReturnAddressInfo is where it was returned.
	ReturnAddressInfo ReturnAddressInfo `json:"return_address_info,omitzero"`
	// IsReturnedToSameMachine reports whether it was returned to the machine it
	// was taken from.
	IsReturnedToSameMachine bool `json:"is_returned_to_same_machine"`
}

// ReturnAddressInfo is where a rented power bank was returned. WeChat Pay sends
// the coordinates as strings.
type ReturnAddressInfo struct {
	ReturnAddress string `json:"return_address,omitempty"` // at most 256 characters
	Longitude     string `json:"longitude,omitempty"`      // at most 32 characters
	Latitude      string `json:"latitude,omitempty"`       // at most 32 characters
}
