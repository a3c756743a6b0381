package wechatpaytest

import "encoding/json"

// The wire types are written from WeChat Pay's documents and not from the SDK's
// models. A test compares the two to find misspelled names. [schemaOf] reads the
// check tags.

// enums are enumerations that are too long for a check tag.
var enums = map[string][]string{
	"action_type":   {"ACTION_TYPE_SEND_MESSAGE", "ACTION_TYPE_JUMP_URL", "ACTION_TYPE_JUMP_MINI_PROGRAM"},
	"button_layout": {"LAYOUT_UNKNOWN", "LAYOUT_HORIZONTAL", "LAYOUT_VERTICAL"},
}

// wireComplaint is a complaint in the list and the detail. Pointers are fields
// that may be absent.
type wireComplaint struct {
	ComplaintID           string              `json:"complaint_id" check:"max=64"`
	ComplaintTime         string              `json:"complaint_time" check:"form=time"`
	ComplaintDetail       string              `json:"complaint_detail" check:"max=300"`
	ComplaintState        string              `json:"complaint_state" check:"max=30"`
	ComplaintedMchID      string              `json:"complainted_mchid" check:"max=64"`
	PayerPhone            string              `json:"payer_phone,omitempty" check:"max=512"`
	PayerOpenID           string              `json:"payer_openid,omitempty" check:"max=128"`
	ComplaintOrderInfo    []wireOrder         `json:"complaint_order_info,omitempty"`
	ServiceOrderInfo      []wireServiceOrder  `json:"service_order_info,omitempty"`
	ComplaintMediaList    []wireMedia         `json:"complaint_media_list,omitempty"`
	ComplaintFullRefunded bool                `json:"complaint_full_refunded"`
	IncomingUserResponse  bool                `json:"incoming_user_response"`
	UserComplaintTimes    int                 `json:"user_complaint_times" check:"min=0"`
	ProblemDescription    string              `json:"problem_description" check:"max=256"`
	ProblemType           string              `json:"problem_type,omitempty"`
	ApplyRefundAmount     *int64              `json:"apply_refund_amount,omitempty" check:"min=0"`
	UserTagList           []string            `json:"user_tag_list,omitempty"`
	AdditionalInfo        *wireAdditionalInfo `json:"additional_info,omitempty"`
	InPlatformService     *bool               `json:"in_platform_service,omitempty"`
	NeedImmediateService  *bool               `json:"need_immediate_service,omitempty"`
	IsAgentMode           *bool               `json:"is_agent_mode,omitempty"`

	unknown map[string]any // other members, of a captured complaint
}

// MarshalJSON encodes the complaint with its unknown members.
func (t wireComplaint) MarshalJSON() ([]byte, error) {
	type plain wireComplaint
	data := encode(plain(t))
	if len(t.unknown) > 0 {
		data = append(data[:len(data)-1], ',')
		data = append(data, encode(t.unknown)[1:]...)
	}
	return data, nil
}

type wireOrder struct {
	TransactionID string `json:"transaction_id" check:"max=64"`
	OutTradeNo    string `json:"out_trade_no" check:"max=64"`
	Amount        int64  `json:"amount" check:"min=0"`
}

type wireServiceOrder struct {
	OrderID    string `json:"order_id,omitempty" check:"max=128"`
	OutOrderNo string `json:"out_order_no,omitempty" check:"max=128"`
	State      string `json:"state,omitempty"`
}

type wireMedia struct {
	MediaType string   `json:"media_type" check:"required"`
	MediaURL  []string `json:"media_url" check:"required,max=512"`
}

type wireAdditionalInfo struct {
	Type           string `json:"type,omitempty"`
	SharePowerInfo *struct {
		ReturnTime        string `json:"return_time,omitempty" check:"form=time"`
		ReturnAddressInfo *struct {
			ReturnAddress string `json:"return_address,omitempty" check:"max=256"`
			Longitude     string `json:"longitude,omitempty" check:"max=32"`
			Latitude      string `json:"latitude,omitempty" check:"max=32"`
		} `json:"return_address_info,omitempty"`
		IsReturnedToSameMachine *bool `json:"is_returned_to_same_machine,omitempty"`
	} `json:"share_power_info,omitempty"`
}

// wireRecord is an entry of the negotiation history.
type wireRecord struct {
	LogID          string   `json:"log_id" check:"max=64"`
	Operator       string   `json:"operator" check:"max=64"`
	OperateTime    string   `json:"operate_time" check:"form=time"`
	OperateType    string   `json:"operate_type" check:"required"`
	OperateDetails string   `json:"operate_details,omitempty" check:"max=500"`
	ImageList      []string `json:"image_list,omitempty" check:"items=4"`
	// ComplaintMediaList is an object here, despite its name. It is raw because
	// an array has been seen too, which AddRecord allows.
	ComplaintMediaList json.RawMessage `json:"complaint_media_list,omitempty"`
	HelpReason         string          `json:"user_appy_platform_service_reason,omitempty"`
	HelpDescription    string          `json:"user_appy_platform_service_reason_description,omitempty"`
	NormalMessage      *wireMessage    `json:"normal_message,omitempty"`
	ClickMessage       *struct {
		MessageContent json.RawMessage `json:"message_content,omitempty"`
		ActionID       string          `json:"action_id,omitempty" check:"max=4096"`
		ClickedLogID   string          `json:"clicked_log_id,omitempty" check:"max=128"`
	} `json:"click_message,omitempty"`
}

// wireMessage is a rich message of an immediate-service reply or the history.
type wireMessage struct {
	Blocks         []wireBlock `json:"blocks,omitempty"`
	SenderIdentity string      `json:"sender_identity,omitempty" check:"enum=UNKNOWN|MANUAL|MACHINE"`
	CustomData     string      `json:"custom_data,omitempty" check:"max=4096"`
}

type wireBlock struct {
	Type string `json:"type" check:"required,enum=TEXT|IMAGE|LINK|FAQ_LIST|BUTTON|BUTTON_GROUP"`
	Text *struct {
		Text   string `json:"text,omitempty"`
		Color  string `json:"color,omitempty" check:"enum=DEFAULT|SECONDARY"`
		IsBold *bool  `json:"is_bold,omitempty"`
	} `json:"text,omitempty"`
	Image   *wireImage  `json:"image,omitempty"`
	Link    *wireButton `json:"link,omitempty"`
	FAQList *struct {
		FAQs []struct {
			FAQID    string      `json:"faq_id,omitempty"`
			FAQTitle string      `json:"faq_title,omitempty"`
			Action   *wireAction `json:"action,omitempty"`
		} `json:"faqs,omitempty"`
	} `json:"faq_list,omitempty"`
	Button      *wireButton `json:"button,omitempty"`
	ButtonGroup *struct {
		Buttons      []wireButton     `json:"buttons,omitempty"`
		ButtonLayout string           `json:"button_layout,omitempty" check:"enum=button_layout"`
		InvalidInfo  *wireInvalidInfo `json:"invalid_info,omitempty"`
	} `json:"button_group,omitempty"`
}

type wireImage struct {
	MediaID        string `json:"media_id,omitempty" check:"max=512"`
	ImageStyleType string `json:"image_style_type,omitempty" check:"enum=IMAGE_STYLE_TYPE_NARROW|IMAGE_STYLE_TYPE_WIDE"`
}

// wireButton is the payload of LINK and BUTTON, and a button of a BUTTON_GROUP.
type wireButton struct {
	Text        string           `json:"text,omitempty"`
	Action      *wireAction      `json:"action,omitempty"`
	InvalidInfo *wireInvalidInfo `json:"invalid_info,omitempty"`
}

type wireAction struct {
	ActionType          string `json:"action_type" check:"required,enum=action_type"`
	JumpURL             string `json:"jump_url,omitempty"`
	MiniProgramJumpInfo *struct {
		AppID string `json:"appid" check:"required"`
		Path  string `json:"path,omitempty"`
		Text  string `json:"text,omitempty"`
	} `json:"mini_program_jump_info,omitempty"`
	MessageInfo *struct {
		Content    string `json:"content" check:"required"`
		CustomData string `json:"custom_data,omitempty"`
	} `json:"message_info,omitempty"`
	ActionID string `json:"action_id,omitempty"`
}

type wireInvalidInfo struct {
	ExpiredTime    string `json:"expired_time,omitempty" check:"form=time"`
	MultiClickable *bool  `json:"multi_clickable,omitempty"`
}
