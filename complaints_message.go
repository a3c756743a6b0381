package wechatpay

import "time"

// Message is a rich message. [ComplaintsV2Service.RespondImmediateService] sends
// one, and a [NegotiationRecord] may have one. WeChat Pay does not document
// limits for the number of blocks or the length of their texts.
//
// Pages:
//   - https://pay.weixin.qq.com/doc/v3/merchant/4017151596 (send)
//   - https://pay.weixin.qq.com/doc/v3/merchant/4012533439 (negotiation history)
//   - https://pay.weixin.qq.com/doc/v3/partner/4017151726 (send, service providers)
//   - https://pay.weixin.qq.com/doc/v3/partner/4012691802 (negotiation history, service providers)
type Message struct {
	// Blocks lists the blocks of the message, in display order.
	Blocks []MessageBlock `json:"blocks,omitempty"`
	// SenderIdentity says whether a person or a bot sends the message.
	SenderIdentity SenderIdentity `json:"sender_identity,omitempty"`
	// CustomData is the merchant's own data, at most 4096 characters. WeChat
	// Pay passes it through.
	CustomData string `json:"custom_data,omitempty"`
}

// IsZero reports whether m is empty. An empty non-nil Blocks counts as empty.
func (m Message) IsZero() bool {
	return len(m.Blocks) == 0 && m.SenderIdentity == "" && m.CustomData == ""
}

// NewMessage returns a Message with the given blocks. SenderIdentity stays
// unset.
func NewMessage(blocks ...MessageBlock) Message {
	return Message{Blocks: blocks}
}

// SenderIdentity says whether a person or a bot sends a message.
type SenderIdentity string

const (
	SenderIdentityUnknown SenderIdentity = "UNKNOWN" // unspecified
	SenderIdentityManual  SenderIdentity = "MANUAL"  // a person
	SenderIdentityMachine SenderIdentity = "MACHINE" // a bot
)

// MessageBlock is one block of a [Message]. Type selects the payload; the other
// payloads are nil. In a response even the selected payload may be nil.
//
// [TextBlock], [ImageBlock], [LinkBlock], [FAQListBlock], [ButtonBlock] and
// [ButtonGroupBlock] return blocks to send.
type MessageBlock struct {
	Type MessageBlockType `json:"type,omitempty"`

	Text        *MessageText        `json:"text,omitzero"`         // with MessageBlockTypeText
	Image       *MessageImage       `json:"image,omitzero"`        // with MessageBlockTypeImage
	Link        *MessageLink        `json:"link,omitzero"`         // with MessageBlockTypeLink
	FAQList     *MessageFAQList     `json:"faq_list,omitzero"`     // with MessageBlockTypeFAQList
	Button      *MessageButton      `json:"button,omitzero"`       // with MessageBlockTypeButton
	ButtonGroup *MessageButtonGroup `json:"button_group,omitzero"` // with MessageBlockTypeButtonGroup
}

// MessageBlockType is the type of a [MessageBlock].
type MessageBlockType string

const (
	MessageBlockTypeText        MessageBlockType = "TEXT"         // Text
	MessageBlockTypeImage       MessageBlockType = "IMAGE"        // Image
	MessageBlockTypeLink        MessageBlockType = "LINK"         // Link
	MessageBlockTypeFAQList     MessageBlockType = "FAQ_LIST"     // FAQList
	MessageBlockTypeButton      MessageBlockType = "BUTTON"       // Button
	MessageBlockTypeButtonGroup MessageBlockType = "BUTTON_GROUP" // ButtonGroup
)

// TextBlock returns a block with plain text.
func TextBlock(text string) MessageBlock {
	return MessageBlock{Type: MessageBlockTypeText, Text: &MessageText{Text: text}}
}

// ImageBlock returns a block with an image. mediaID comes from
// [ComplaintsV2Service.UploadImage].
func ImageBlock(mediaID string) MessageBlock {
	return MessageBlock{Type: MessageBlockTypeImage, Image: &MessageImage{MediaID: mediaID}}
}

// LinkBlock returns a block with a text that opens the URL.
func LinkBlock(text, url string) MessageBlock {
	return MessageBlock{Type: MessageBlockTypeLink, Link: &MessageLink{Text: text, Action: JumpURLAction(url)}}
}

// FAQListBlock returns a block with a list of questions to tap.
func FAQListBlock(faqs ...MessageFAQ) MessageBlock {
	return MessageBlock{Type: MessageBlockTypeFAQList, FAQList: &MessageFAQList{FAQs: faqs}}
}

// ButtonBlock returns a block with one button.
func ButtonBlock(text string, action MessageAction) MessageBlock {
	return MessageBlock{Type: MessageBlockTypeButton, Button: &MessageButton{Text: text, Action: action}}
}

// ButtonGroupBlock returns a block with several buttons. To set their layout,
// set ButtonGroup.ButtonLayout.
func ButtonGroupBlock(buttons ...MessageButton) MessageBlock {
	return MessageBlock{Type: MessageBlockTypeButtonGroup, ButtonGroup: &MessageButtonGroup{Buttons: buttons}}
}

// MessageText is the payload of a TEXT block.
type MessageText struct {
	Text   string    `json:"text,omitempty"`
	Color  TextColor `json:"color,omitempty"`
	IsBold bool      `json:"is_bold"`
}

// TextColor is the color of a [MessageText].
type TextColor string

const (
	TextColorDefault   TextColor = "DEFAULT"   // ordinary text
	TextColorSecondary TextColor = "SECONDARY" // less prominent text
)

// MessageImage is the payload of an IMAGE block.
type MessageImage struct {
	MediaID        string         `json:"media_id,omitempty"` // from [ComplaintsV2Service.UploadImage]
	ImageStyleType ImageStyleType `json:"image_style_type,omitempty"`
}

// ImageStyleType is the display width of a [MessageImage].
type ImageStyleType string

const (
	ImageStyleTypeNarrow ImageStyleType = "IMAGE_STYLE_TYPE_NARROW"
	ImageStyleTypeWide   ImageStyleType = "IMAGE_STYLE_TYPE_WIDE"
)

// MessageLink is the payload of a LINK block.
type MessageLink struct {
	Text        string              `json:"text,omitempty"`
	Action      MessageAction       `json:"action,omitzero"`       // what a tap does
	InvalidInfo *MessageInvalidInfo `json:"invalid_info,omitzero"` // when it stops working; nil: unspecified
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

// MessageButton is the payload of a BUTTON block, or one button of a
// BUTTON_GROUP block.
type MessageButton struct {
	Text        string              `json:"text,omitempty"`
	Action      MessageAction       `json:"action,omitzero"`       // what a tap does
	InvalidInfo *MessageInvalidInfo `json:"invalid_info,omitzero"` // when it stops working; nil: unspecified
}

// MessageButtonGroup is the payload of a BUTTON_GROUP block.
type MessageButtonGroup struct {
	Buttons      []MessageButton     `json:"buttons,omitempty"`
	ButtonLayout ButtonLayout        `json:"button_layout,omitempty"`
	InvalidInfo  *MessageInvalidInfo `json:"invalid_info,omitzero"` // for the whole group; nil: unspecified
}

// ButtonLayout is the layout of a group of buttons.
type ButtonLayout string

const (
	ButtonLayoutUnknown    ButtonLayout = "LAYOUT_UNKNOWN"    // unspecified
	ButtonLayoutHorizontal ButtonLayout = "LAYOUT_HORIZONTAL" // side by side
	ButtonLayoutVertical   ButtonLayout = "LAYOUT_VERTICAL"   // one below the other
)

// MessageAction is what a tap on a link, a question or a button does.
// [SendMessageAction], [JumpURLAction] and [JumpMiniProgramAction] return one.
type MessageAction struct {
	ActionType MessageActionType `json:"action_type,omitempty"`
	// JumpURL is the URL to open, with MessageActionTypeJumpURL.
	JumpURL string `json:"jump_url,omitempty"`
	// MiniProgramJumpInfo is the page to open, with
	// MessageActionTypeJumpMiniProgram.
	MiniProgramJumpInfo MiniProgramJumpInfo `json:"mini_program_jump_info,omitzero"`
	// MessageInfo is the message to send, with MessageActionTypeSendMessage.
	MessageInfo MessageInfo `json:"message_info,omitzero"`
	// ActionID identifies the action: ClickMessage.ActionID has the same value.
	ActionID string `json:"action_id,omitempty"`
}

// MessageActionType is the type of a [MessageAction].
type MessageActionType string

const (
	// MessageActionTypeSendMessage sends MessageInfo as the user's message.
	MessageActionTypeSendMessage MessageActionType = "ACTION_TYPE_SEND_MESSAGE"
	// MessageActionTypeJumpURL opens JumpURL.
	MessageActionTypeJumpURL MessageActionType = "ACTION_TYPE_JUMP_URL"
	// MessageActionTypeJumpMiniProgram opens the page in MiniProgramJumpInfo.
	MessageActionTypeJumpMiniProgram MessageActionType = "ACTION_TYPE_JUMP_MINI_PROGRAM"
)

// SendMessageAction returns an action that sends content as the user's message.
// The negotiation history records it as a [ClickMessage].
func SendMessageAction(content string) MessageAction {
	return MessageAction{ActionType: MessageActionTypeSendMessage, MessageInfo: MessageInfo{Content: content}}
}

// JumpURLAction returns an action that opens the URL.
func JumpURLAction(url string) MessageAction {
	return MessageAction{ActionType: MessageActionTypeJumpURL, JumpURL: url}
}

// JumpMiniProgramAction returns an action that opens a page of a mini program.
func JumpMiniProgramAction(info MiniProgramJumpInfo) MessageAction {
	return MessageAction{ActionType: MessageActionTypeJumpMiniProgram, MiniProgramJumpInfo: info}
}

// MessageInfo is the message that a tap sends.
type MessageInfo struct {
	Content    string `json:"content,omitempty"`
	CustomData string `json:"custom_data,omitempty"` // the merchant's own data, passed through
}

// MiniProgramJumpInfo is a link to a page of a mini program. A reply with
// [ComplaintsV2Service.Respond] requires all three fields. In a [Message] only
// AppID is certainly required: WeChat Pay's pages differ.
type MiniProgramJumpInfo struct {
	AppID string `json:"appid,omitempty"` // the appid of the mini program
	Path  string `json:"path,omitempty"`  // the path of the page
	Text  string `json:"text,omitempty"`  // the text of the link
}

// MessageInvalidInfo says when a link or a button stops working.
type MessageInvalidInfo struct {
	ExpiredTime    time.Time `json:"expired_time,omitzero"` // when it expires; zero: unspecified
	MultiClickable bool      `json:"multi_clickable"`       // whether it can be tapped more than once
}
