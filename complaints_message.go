package wechatpay

import (
	"encoding/json"
	"time"
)

// Message is a rich message: what [ComplaintsV2Service.RespondImmediateService]
// sends and the negotiation history gives back as normal_message. WeChat Pay
// does not document how many blocks it may have, nor how long their texts may
// be.
//
// Pages: https://pay.weixin.qq.com/doc/v3/merchant/4017151596 (to send), https://pay.weixin.qq.com/doc/v3/merchant/4012533439 (in the
// history); service providers: https://pay.weixin.qq.com/doc/v3/partner/4017151726, https://pay.weixin.qq.com/doc/v3/partner/4012691802.
type Message struct {
	Blocks         []MessageBlock `json:"blocks,omitempty"`          // in the order shown
	SenderIdentity SenderIdentity `json:"sender_identity,omitempty"` // whether a person or a bot speaks
	CustomData     string         `json:"custom_data,omitempty"`     // the merchant's own, passed through, at most 4096 characters
}

// IsZero reports whether there is no message. An empty list of blocks is none,
// so that it encodes as none.
func (m Message) IsZero() bool {
	return len(m.Blocks) == 0 && m.SenderIdentity == "" && m.CustomData == ""
}

// NewMessage returns a message of the blocks. It does not say who speaks: that
// is SenderIdentity.
func NewMessage(blocks ...MessageBlock) Message {
	return Message{Blocks: blocks}
}

// SenderIdentity says whether a person or a bot speaks for the merchant.
type SenderIdentity string

const (
	SenderIdentityUnknown SenderIdentity = "UNKNOWN" // not said
	SenderIdentityManual  SenderIdentity = "MANUAL"  // a person
	SenderIdentityMachine SenderIdentity = "MACHINE" // a bot
)

// MessageBlock is one block of a [Message]. Type selects the one payload that
// is filled; the others are nil, and an answer may lack even the selected one,
// so look before reading. [TextBlock], [ImageBlock], [LinkBlock],
// [FAQListBlock], [ButtonBlock] and [ButtonGroupBlock] make one.
type MessageBlock struct {
	Type MessageBlockType `json:"type,omitempty"`

	Text        *MessageText        `json:"text,omitzero"`         // with MessageBlockTypeText
	Image       *MessageImage       `json:"image,omitzero"`        // with MessageBlockTypeImage
	Link        *MessageLink        `json:"link,omitzero"`         // with MessageBlockTypeLink
	FAQList     *MessageFAQList     `json:"faq_list,omitzero"`     // with MessageBlockTypeFAQList
	Button      *MessageButton      `json:"button,omitzero"`       // with MessageBlockTypeButton
	ButtonGroup *MessageButtonGroup `json:"button_group,omitzero"` // with MessageBlockTypeButtonGroup
}

// MessageBlockType says which payload a [MessageBlock] has.
type MessageBlockType string

const (
	MessageBlockTypeText        MessageBlockType = "TEXT"         // Text
	MessageBlockTypeImage       MessageBlockType = "IMAGE"        // Image
	MessageBlockTypeLink        MessageBlockType = "LINK"         // Link
	MessageBlockTypeFAQList     MessageBlockType = "FAQ_LIST"     // FAQList
	MessageBlockTypeButton      MessageBlockType = "BUTTON"       // Button
	MessageBlockTypeButtonGroup MessageBlockType = "BUTTON_GROUP" // ButtonGroup
)

// TextBlock is a block of plain text.
func TextBlock(text string) MessageBlock {
	return MessageBlock{Type: MessageBlockTypeText, Text: &MessageText{Text: text}}
}

// ImageBlock is a block with an image, by the media_id that
// [ComplaintsV2Service.UploadImage] returned.
func ImageBlock(mediaID string) MessageBlock {
	return MessageBlock{Type: MessageBlockTypeImage, Image: &MessageImage{MediaID: mediaID}}
}

// LinkBlock is a block with a text that opens the URL.
func LinkBlock(text, url string) MessageBlock {
	return MessageBlock{Type: MessageBlockTypeLink, Link: &MessageLink{Text: text, Action: JumpURLAction(url)}}
}

// FAQListBlock is a block with a list of questions to tap.
func FAQListBlock(faqs ...MessageFAQ) MessageBlock {
	return MessageBlock{Type: MessageBlockTypeFAQList, FAQList: &MessageFAQList{FAQs: faqs}}
}

// ButtonBlock is a block with one button.
func ButtonBlock(text string, action MessageAction) MessageBlock {
	return MessageBlock{Type: MessageBlockTypeButton, Button: &MessageButton{Text: text, Action: action}}
}

// ButtonGroupBlock is a block with several buttons. It says nothing about their
// layout: that is ButtonGroup.ButtonLayout.
func ButtonGroupBlock(buttons ...MessageButton) MessageBlock {
	return MessageBlock{Type: MessageBlockTypeButtonGroup, ButtonGroup: &MessageButtonGroup{Buttons: buttons}}
}

// MessageText is the payload of a TEXT block.
type MessageText struct {
	Text   string    `json:"text,omitempty"`
	Color  TextColor `json:"color,omitempty"`
	IsBold bool      `json:"is_bold"`
}

// TextColor is the colour of a [MessageText].
type TextColor string

const (
	TextColorDefault   TextColor = "DEFAULT"   // of ordinary text
	TextColorSecondary TextColor = "SECONDARY" // of text that matters less
)

// MessageImage is the payload of an IMAGE block.
type MessageImage struct {
	MediaID        string         `json:"media_id,omitempty"` // as [ComplaintsV2Service.UploadImage] returned it
	ImageStyleType ImageStyleType `json:"image_style_type,omitempty"`
}

// ImageStyleType says how wide a [MessageImage] is shown.
type ImageStyleType string

const (
	ImageStyleTypeNarrow ImageStyleType = "IMAGE_STYLE_TYPE_NARROW" // narrow
	ImageStyleTypeWide   ImageStyleType = "IMAGE_STYLE_TYPE_WIDE"   // wide
)

// MessageLink is the payload of a LINK block.
type MessageLink struct {
	Text        string              `json:"text,omitempty"`
	Action      MessageAction       `json:"action,omitzero"`       // what a tap does
	InvalidInfo *MessageInvalidInfo `json:"invalid_info,omitzero"` // when a tap does nothing any more; nil: not said
}

// MessageFAQList is the payload of a FAQ_LIST block.
type MessageFAQList struct {
	FAQs []MessageFAQ `json:"faqs,omitempty"`
}

// MessageFAQ is one question of a [MessageFAQList].
type MessageFAQ struct {
	FAQID    string        `json:"faq_id,omitempty"`
	FAQTitle string        `json:"faq_title,omitempty"`
	Action   MessageAction `json:"action,omitzero"` // what a tap does
}

// MessageButton is the payload of a BUTTON block, and one button of a BUTTON_GROUP.
type MessageButton struct {
	Text        string              `json:"text,omitempty"`
	Action      MessageAction       `json:"action,omitzero"`       // what a tap does
	InvalidInfo *MessageInvalidInfo `json:"invalid_info,omitzero"` // when a tap does nothing any more; nil: not said
}

// MessageButtonGroup is the payload of a BUTTON_GROUP block.
type MessageButtonGroup struct {
	Buttons      []MessageButton     `json:"buttons,omitempty"`
	ButtonLayout ButtonLayout        `json:"button_layout,omitempty"`
	InvalidInfo  *MessageInvalidInfo `json:"invalid_info,omitzero"` // for the group as a whole; nil: not said
}

// ButtonLayout says how the buttons of a group are laid out.
type ButtonLayout string

const (
	ButtonLayoutUnknown    ButtonLayout = "LAYOUT_UNKNOWN"    // not said
	ButtonLayoutHorizontal ButtonLayout = "LAYOUT_HORIZONTAL" // side by side
	ButtonLayoutVertical   ButtonLayout = "LAYOUT_VERTICAL"   // one below the other
)

// MessageAction is what a tap on a link, a question or a button does.
// [SendMessageAction], [JumpURLAction] and [JumpMiniProgramAction] make one.
type MessageAction struct {
	ActionType          MessageActionType   `json:"action_type,omitempty"`
	JumpURL             string              `json:"jump_url,omitempty"`              // with MessageActionTypeJumpURL
	MiniProgramJumpInfo MiniProgramJumpInfo `json:"mini_program_jump_info,omitzero"` // with MessageActionTypeJumpMiniProgram
	MessageInfo         MessageInfo         `json:"message_info,omitzero"`           // with MessageActionTypeSendMessage
	ActionID            string              `json:"action_id,omitempty"`             // a name for the action; a ClickMessage has one of the same name
}

// MessageActionType says what a [MessageAction] does.
type MessageActionType string

const (
	MessageActionTypeSendMessage     MessageActionType = "ACTION_TYPE_SEND_MESSAGE"      // sends MessageInfo as the user's message
	MessageActionTypeJumpURL         MessageActionType = "ACTION_TYPE_JUMP_URL"          // opens JumpURL
	MessageActionTypeJumpMiniProgram MessageActionType = "ACTION_TYPE_JUMP_MINI_PROGRAM" // opens the mini program of MiniProgramJumpInfo
)

// SendMessageAction lets a tap send the content as a message of the user. It
// arrives in the negotiation history as a [ClickMessage].
func SendMessageAction(content string) MessageAction {
	return MessageAction{ActionType: MessageActionTypeSendMessage, MessageInfo: MessageInfo{Content: content}}
}

// JumpURLAction lets a tap open the URL.
func JumpURLAction(url string) MessageAction {
	return MessageAction{ActionType: MessageActionTypeJumpURL, JumpURL: url}
}

// JumpMiniProgramAction lets a tap open a mini program.
func JumpMiniProgramAction(info MiniProgramJumpInfo) MessageAction {
	return MessageAction{ActionType: MessageActionTypeJumpMiniProgram, MiniProgramJumpInfo: info}
}

// MessageInfo is the message that a tap sends.
type MessageInfo struct {
	Content    string `json:"content,omitempty"`
	CustomData string `json:"custom_data,omitempty"` // the merchant's own, passed through
}

// MiniProgramJumpInfo says which page of which mini program opens. In a reply
// ([ComplaintsV2Service.Respond]) all three are required; in a message WeChat
// Pay's descriptions agree only on AppID.
type MiniProgramJumpInfo struct {
	AppID string `json:"appid,omitempty"` // of the mini program
	Path  string `json:"path,omitempty"`  // of the page in it
	Text  string `json:"text,omitempty"`  // what the user sees
}

// MessageInvalidInfo says when a tap on a link or a button does nothing any
// more. It is used by pointer, because its false says something only when it is
// there.
type MessageInvalidInfo struct {
	ExpiredTime    time.Time `json:"expired_time,omitzero"` // from when on; zero: not said
	MultiClickable bool      `json:"multi_clickable"`       // whether it may be tapped more than once
}

// UnmarshalJSON decodes the wire form.
func (i *MessageInvalidInfo) UnmarshalJSON(data []byte) error {
	type plain MessageInvalidInfo
	return json.Unmarshal(data, &struct {
		*plain
		ExpiredTime *emptyOrTime `json:"expired_time"`
	}{(*plain)(i), (*emptyOrTime)(&i.ExpiredTime)})
}
