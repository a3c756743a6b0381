package wechatpay_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

// wireField is a documented field: its path in JSON ("[]" follows the name of a
// list) and sample values in JSON.
type wireField struct {
	path    string
	samples []string
}

// The documented fields, taken from the official pages and not from the models.

var (
	str     = []string{`"值 <&> 1"`}
	strs    = []string{`["a","b"]`, `["a"]`}
	boolean = []string{`true`, `false`}
	number  = []string{`7`, `0`}
	instant = []string{`"2021-05-20T13:29:35+08:00"`, `"2021-05-20T13:29:35.123+08:00"`}
)

var actionFields = []wireField{
	{"action_type", str},
	{"jump_url", str},
	{"mini_program_jump_info.appid", str},
	{"mini_program_jump_info.path", str},
	{"mini_program_jump_info.text", str},
	{"message_info.content", str},
	{"message_info.custom_data", str},
	{"action_id", str},
}

var invalidFields = []wireField{
	{"expired_time", instant},
	{"multi_clickable", boolean},
}

var messageFields = slices.Concat(
	[]wireField{
		{"blocks[].type", str},
		{"blocks[].text.text", str},
		{"blocks[].text.color", str},
		{"blocks[].text.is_bold", boolean},
		{"blocks[].image.media_id", str},
		{"blocks[].image.image_style_type", str},
		{"blocks[].link.text", str},
		{"blocks[].faq_list.faqs[].faq_id", str},
		{"blocks[].faq_list.faqs[].faq_title", str},
		{"blocks[].button.text", str},
		{"blocks[].button_group.buttons[].text", str},
		{"blocks[].button_group.button_layout", str},
		{"sender_identity", str},
		{"custom_data", str},
	},
	under("blocks[].link.action.", actionFields),
	under("blocks[].link.invalid_info.", invalidFields),
	under("blocks[].faq_list.faqs[].action.", actionFields),
	under("blocks[].button.action.", actionFields),
	under("blocks[].button.invalid_info.", invalidFields),
	under("blocks[].button_group.buttons[].action.", actionFields),
	under("blocks[].button_group.buttons[].invalid_info.", invalidFields),
	under("blocks[].button_group.invalid_info.", invalidFields),
)

var complaintFields = []wireField{
	{"complaint_id", str},
	{"complaint_time", instant},
	{"complaint_detail", str},
	{"complaint_state", str},
	{"complainted_mchid", str},
	{"payer_phone", str},
	{"payer_openid", str},
	{"complaint_order_info[].transaction_id", str},
	{"complaint_order_info[].out_trade_no", str},
	{"complaint_order_info[].amount", []string{`7`, `0`, `9007199254740993`}},
	{"service_order_info[].order_id", str},
	{"service_order_info[].out_order_no", str},
	{"service_order_info[].state", str},
	{"complaint_media_list[].media_type", str},
	{"complaint_media_list[].media_url", strs},
	{"complaint_full_refunded", boolean},
	{"incoming_user_response", boolean},
	{"user_complaint_times", number},
	{"problem_description", str},
	{"problem_type", str},
	{"apply_refund_amount", []string{`7`, `0`, `9007199254740993`}},
	{"user_tag_list", strs},
	{"additional_info.type", str},
	{"additional_info.share_power_info.return_time", instant},
	{"additional_info.share_power_info.return_address_info.return_address", str},
	{"additional_info.share_power_info.return_address_info.longitude", []string{`"113.930"`}},
	{"additional_info.share_power_info.return_address_info.latitude", []string{`"22.540"`}},
	{"additional_info.share_power_info.is_returned_to_same_machine", boolean},
	{"in_platform_service", boolean},
	{"need_immediate_service", boolean},
	{"is_agent_mode", boolean},
}

var recordFields = slices.Concat(
	[]wireField{
		{"log_id", str},
		{"operator", str},
		{"operate_time", instant},
		{"operate_type", str},
		{"operate_details", str},
		{"image_list", strs},
		{"complaint_media_list.media_type", str}, // not a list here
		{"complaint_media_list.media_url", strs},
		{"user_appy_platform_service_reason", str},
		{"user_appy_platform_service_reason_description", str},
		{"click_message.message_content", []string{`"text"`, `{"text":"x","big":12345678901234567890}`}},
		{"click_message.action_id", str},
		{"click_message.clicked_log_id", str},
	},
	under("normal_message.", messageFields),
)

var pageFields = []wireField{
	{"limit", number},
	{"offset", number},
	{"total_count", number},
}

var models = []struct {
	name   string
	new    func() any
	fields []wireField
}{
	{"Complaint", func() any { return new(wechatpay.Complaint) }, complaintFields},
	{"ComplaintList", func() any { return new(wechatpay.ComplaintList) },
		slices.Concat(pageFields, under("data[].", complaintFields))},
	{"NegotiationRecord", func() any { return new(wechatpay.NegotiationRecord) }, recordFields},
	{"NegotiationHistory", func() any { return new(wechatpay.NegotiationHistory) },
		slices.Concat(pageFields, under("data[].", recordFields))},
	{"Message", func() any { return new(wechatpay.Message) }, messageFields},
}

func under(prefix string, fields []wireField) []wireField {
	var out []wireField
	for _, f := range fields {
		out = append(out, wireField{prefix + f.path, f.samples})
	}
	return out
}

// Every documented field keeps its value, false and 0 included.
func TestModels_JSON_eachField(t *testing.T) {
	for _, m := range models {
		for _, f := range m.fields {
			for _, sample := range f.samples {
				t.Run(m.name+"/"+f.path+"="+sample, func(t *testing.T) {
					v := m.new()
					require.NoError(t, json.Unmarshal(document(f.path, sample), v))
					out, err := json.Marshal(v)
					require.NoError(t, err)
					got, ok := valueAt(t, out, f.path)
					require.True(t, ok, "lost: %s", out)
					require.Equal(t, canonical(t, f.path, sample), canonical(t, f.path, got))
				})
			}
		}
	}
}

// A document with all documented fields is the same after a round trip.
func TestModels_JSON_allFields(t *testing.T) {
	for _, m := range models {
		t.Run(m.name, func(t *testing.T) {
			var whole any
			for _, f := range m.fields {
				whole = merge(whole, decoded(t, document(f.path, f.samples[0])))
			}
			in, err := json.Marshal(whole)
			require.NoError(t, err)
			v := m.new()
			require.NoError(t, json.Unmarshal(in, v))
			out, err := json.Marshal(v)
			require.NoError(t, err)
			require.JSONEq(t, string(in), string(out))
		})
	}
}

// The models have the documented fields and no others.
func TestModels_JSON_noOtherFields(t *testing.T) {
	for _, m := range models {
		t.Run(m.name, func(t *testing.T) {
			var documented []string
			for _, f := range m.fields {
				documented = append(documented, strings.ReplaceAll(f.path, "[]", ""))
			}
			require.ElementsMatch(t, documented, wirePaths(reflect.TypeOf(m.new()).Elem(), ""))
		})
	}
}

// wirePaths returns the JSON paths of the fields of a model, without "[]".
func wirePaths(t reflect.Type, prefix string) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() {
		return []string{strings.TrimSuffix(prefix, ".")}
	}
	var paths []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Name == "MessageContentObject": // also message_content
		case name == "":
			paths = append(paths, prefix+f.Name+" has no JSON name")
		default:
			paths = append(paths, wirePaths(f.Type, prefix+name+".")...)
		}
	}
	return paths
}

func TestModels_UnmarshalJSON_lenient(t *testing.T) {
	for _, m := range models {
		decode := func(t *testing.T, in []byte) any {
			v := m.new()
			require.NoError(t, json.Unmarshal(in, v), "%s", in)
			return v
		}
		t.Run(m.name+"/empty", func(t *testing.T) { require.Equal(t, m.new(), decode(t, []byte(`{}`))) })
		t.Run(m.name+"/unknown field", func(t *testing.T) {
			require.Equal(t, m.new(), decode(t, []byte(`{"added_tomorrow":{"a":[1]}}`)))
		})
		for _, prefix := range prefixes(m.fields) {
			t.Run(m.name+"/null/"+prefix, func(t *testing.T) { decode(t, document(prefix, `null`)) })
		}
	}
}

// prefixes returns the path of every field, and of every object and list that
// contains one.
func prefixes(fields []wireField) []string {
	var out []string
	for _, f := range fields {
		parts := strings.Split(f.path, ".")
		for i := range parts {
			out = append(out, strings.TrimSuffix(strings.Join(parts[:i+1], "."), "[]"))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func TestModels_UnmarshalJSON_emptyList(t *testing.T) {
	for _, m := range models {
		empty, err := json.Marshal(m.new())
		require.NoError(t, err)
		for _, f := range m.fields {
			list, _, ok := strings.Cut(f.path, "[]")
			if !ok && slices.Equal(f.samples, strs) {
				list = f.path
			} else if !ok {
				continue
			}
			t.Run(m.name+"/"+list, func(t *testing.T) {
				v := m.new()
				require.NoError(t, json.Unmarshal(document(list, `[]`), v))
				if !ok {
					return
				}
				out, err := json.Marshal(v)
				require.NoError(t, err)
				if list == "data" { // of a page
					got, _ := valueAt(t, out, list)
					require.Equal(t, `[]`, got)
					return
				}
				require.JSONEq(t, string(empty), string(out), "an empty list must be omitted")
			})
		}
	}
}

func TestModels_UnmarshalJSON_time(t *testing.T) {
	for _, m := range models {
		for _, f := range m.fields {
			// A Message is odd only in a NegotiationRecord.
			if !slices.Equal(f.samples, instant) || m.name == "Message" {
				continue
			}
			t.Run(m.name+"/"+f.path, func(t *testing.T) {
				for _, unreadable := range []string{`""`, `"yesterday"`} {
					v := m.new()
					require.NoError(t, json.Unmarshal(document(f.path, unreadable), v))
					out, err := json.Marshal(v)
					require.NoError(t, err)
					_, ok := valueAt(t, out, f.path)
					require.False(t, ok, "a time that cannot be read must be omitted: %s", out)
				}
			})
		}
	}
}

// One unusual field does not affect the rest of the page.
func TestComplaintList_UnmarshalJSON_unusualFields(t *testing.T) {
	var page wechatpay.ComplaintList
	require.NoError(t, json.Unmarshal([]byte(`{
		"data": [
			{"complaint_id":"1","complaint_time":"","complaint_state":"ESCALATED","user_tag_list":["NEW_TAG"],
				"service_order_info":[{"state":"CREATED"}]},
			{"complaint_id":"2","complaint_time":"2021-05-20T13:29:35.120+08:00","complaint_media_list":null,
				"user_tag_list":[],"apply_refund_amount":null}
		],
		"limit": 50, "offset": 100
	}`), &page))
	require.Equal(t, 50, page.Limit)
	require.Equal(t, 100, page.Offset)
	require.Zero(t, page.TotalCount)
	require.Len(t, page.Data, 2)
	require.Equal(t, wechatpay.Complaint{
		ComplaintID:      "1",
		ComplaintState:   "ESCALATED",
		UserTagList:      []wechatpay.UserTag{"NEW_TAG"},
		ServiceOrderInfo: []wechatpay.ServiceOrderInfo{{State: wechatpay.ServiceOrderStateCreated}},
	}, page.Data[0])
	require.Equal(t, "2", page.Data[1].ComplaintID)
	require.True(t, page.Data[1].ComplaintTime.Equal(time.Date(2021, 5, 20, 5, 29, 35, 120e6, time.UTC)))
}

func TestComplaint_UnmarshalJSON_mediaURL(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string
		out      string
	}{
		{"list", `{"media_url":["a","b"]}`, []string{"a", "b"}, `{"media_url":["a","b"]}`},
		{"string", `{"media_url":"a"}`, []string{"a"}, `{"media_url":["a"]}`},
		{"escaped string", `{"media_url":"a\u002fb"}`, []string{"a/b"}, `{"media_url":["a/b"]}`},
		{"empty string", `{"media_url":""}`, nil, `{}`},
		{"empty list", `{"media_url":[]}`, []string{}, `{}`},
		{"null", `{"media_url":null}`, nil, `{}`},
		{"number", `{"media_url":1}`, []string{"1"}, `{"media_url":["1"]}`},
		{"object", `{"media_url":{}}`, nil, `{}`},
		{"list with an object", `{"media_url":[{},"a"]}`, []string{"a"}, `{"media_url":["a"]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c wechatpay.Complaint
			require.NoError(t, json.Unmarshal(document("complaint_media_list[]", tt.in), &c))
			m := c.ComplaintMediaList[0]
			require.Equal(t, tt.want, m.MediaURL)
			out, err := json.Marshal(m)
			require.NoError(t, err)
			require.JSONEq(t, tt.out, string(out))
		})
	}
}

func TestNegotiationRecord_JSON_complaintMediaList(t *testing.T) {
	type media = []wechatpay.ComplaintMedia
	one := wechatpay.ComplaintMedia{MediaType: wechatpay.MediaTypeOperationImage, MediaURL: []string{"a"}}
	two := wechatpay.ComplaintMedia{MediaType: wechatpay.MediaTypeUserComplaintImage, MediaURL: []string{"b", "c"}}
	const oneJSON = `{"media_type":"OPERATION_IMAGE","media_url":["a"]}`
	const twoJSON = `{"media_type":"USER_COMPLAINT_IMAGE","media_url":["b","c"]}`
	tests := []struct {
		name, in string
		want     []wechatpay.ComplaintMedia
		out      string // "": omitted
	}{
		{"object", oneJSON, media{one}, oneJSON},
		{"object with a string", `{"media_type":"OPERATION_IMAGE","media_url":"a"}`, media{one}, oneJSON},
		{"list of one", `[` + oneJSON + `]`, media{one}, oneJSON},
		{"list of two", `[` + oneJSON + `,` + twoJSON + `]`, media{one, two}, `[` + oneJSON + `,` + twoJSON + `]`},
		{"empty list", `[]`, media{}, ""},
		{"null", `null`, nil, ""},
		{"string", `"a"`, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r wechatpay.NegotiationRecord
			require.NoError(t, json.Unmarshal(document("complaint_media_list", tt.in), &r))
			require.Equal(t, tt.want, r.ComplaintMediaList)
			for _, v := range []any{r, &r} {
				out, err := json.Marshal(v)
				require.NoError(t, err)
				got, ok := valueAt(t, out, "complaint_media_list")
				require.Equal(t, tt.out != "", ok)
				if ok {
					require.JSONEq(t, tt.out, got)
				}
			}
		})
	}
}

// Unlike in a NegotiationRecord, a single entry is encoded as a list.
func TestComplaint_MarshalJSON_complaintMediaList(t *testing.T) {
	media := []wechatpay.ComplaintMedia{{MediaType: wechatpay.MediaTypeUserComplaintImage}}
	out, err := json.Marshal(wechatpay.Complaint{ComplaintMediaList: media})
	require.NoError(t, err)
	got, _ := valueAt(t, out, "complaint_media_list")
	require.JSONEq(t, `[{"media_type":"USER_COMPLAINT_IMAGE"}]`, got)
}

func TestClickMessage_JSON_messageContent(t *testing.T) {
	tests := []struct {
		name, in string
		text     string
		object   string
	}{
		{"string", `"yes, please"`, "yes, please", ""},
		{"string that looks like an object", `"{\"text\":\"yes\"}"`, `{"text":"yes"}`, ""},
		{"object", `{"text":"yes"}`, "", `{"text":"yes"}`},
		{"list", `["yes"]`, "", `["yes"]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := document("message_content", tt.in)
			// Decoding replaces both.
			m := wechatpay.ClickMessage{MessageContent: "old", MessageContentObject: json.RawMessage(`{"old":1}`)}
			require.NoError(t, json.Unmarshal(in, &m))
			require.Equal(t, tt.text, m.MessageContent)
			require.Equal(t, tt.object, string(m.MessageContentObject))
			for _, v := range []any{m, &m} {
				out, err := json.Marshal(v)
				require.NoError(t, err)
				require.JSONEq(t, string(in), string(out))
			}
		})
	}

	var m wechatpay.ClickMessage
	require.NoError(t, json.Unmarshal([]byte(`{"message_content":null,"action_id":"a"}`), &m))
	require.Equal(t, wechatpay.ClickMessage{ActionID: "a"}, m)
}

func TestComplaint_UnmarshalJSON_replacesTime(t *testing.T) {
	complaint := wechatpay.Complaint{ComplaintTime: time.Unix(1, 0)}
	require.NoError(t, json.Unmarshal([]byte(`{"complaint_time":""}`), &complaint))
	require.Zero(t, complaint.ComplaintTime)
}

func TestComplaint_UnmarshalJSON_replacesList(t *testing.T) {
	complaint := wechatpay.Complaint{UserTagList: []wechatpay.UserTag{"old"}}
	require.NoError(t, json.Unmarshal([]byte(`{"user_tag_list":""}`), &complaint))
	require.Empty(t, complaint.UserTagList)
}

// Zero values are omitted, except booleans and numbers.
func TestModels_MarshalJSON_zero(t *testing.T) {
	tests := []struct {
		name string
		in   any
		want string
	}{
		{"complaint", wechatpay.Complaint{}, `{"complaint_full_refunded":false,"incoming_user_response":false,
			"user_complaint_times":0,"apply_refund_amount":0,"in_platform_service":false,
			"need_immediate_service":false,"is_agent_mode":false}`},
		{"order", wechatpay.ComplaintOrderInfo{}, `{"amount":0}`},
		{"share power", wechatpay.SharePowerInfo{}, `{"is_returned_to_same_machine":false}`},
		{"record", wechatpay.NegotiationRecord{}, `{}`},
		{"message", wechatpay.Message{}, `{}`},
		{"empty blocks", wechatpay.NegotiationRecord{
			NormalMessage: wechatpay.Message{Blocks: []wechatpay.MessageBlock{}},
		}, `{}`},
		{"action", wechatpay.MessageAction{}, `{}`},
		{"page of complaints", wechatpay.ComplaintList{},
			`{"data":null,"limit":0,"offset":0,"total_count":0}`},
		{"page of records", wechatpay.NegotiationHistory{},
			`{"data":null,"limit":0,"offset":0,"total_count":0}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := json.Marshal(tt.in)
			require.NoError(t, err)
			require.JSONEq(t, tt.want, string(out))
		})
	}
}

func TestMessage_IsZero(t *testing.T) {
	require.True(t, wechatpay.Message{}.IsZero())
	require.True(t, wechatpay.NewMessage().IsZero())
	require.False(t, wechatpay.NewMessage(wechatpay.TextBlock("hello")).IsZero())
	require.False(t, wechatpay.Message{SenderIdentity: wechatpay.SenderIdentityManual}.IsZero())
	require.False(t, wechatpay.Message{CustomData: "x"}.IsZero())
}

func TestNewMessage_blocks(t *testing.T) {
	tests := []struct {
		name  string
		block wechatpay.MessageBlock
		want  string
	}{
		{"text", wechatpay.TextBlock("hello"), `{"type":"TEXT","text":{"text":"hello","is_bold":false}}`},
		{"image", wechatpay.ImageBlock("file1"), `{"type":"IMAGE","image":{"media_id":"file1"}}`},
		{"link", wechatpay.LinkBlock("help", "https://example.com/"),
			`{"type":"LINK","link":{"text":"help",
				"action":{"action_type":"ACTION_TYPE_JUMP_URL","jump_url":"https://example.com/"}}}`},
		{"questions", wechatpay.FAQListBlock(
			wechatpay.MessageFAQ{FAQID: "1", FAQTitle: "Where?", Action: wechatpay.SendMessageAction("Where?")},
		), `{"type":"FAQ_LIST","faq_list":{"faqs":[{"faq_id":"1","faq_title":"Where?",
				"action":{"action_type":"ACTION_TYPE_SEND_MESSAGE","message_info":{"content":"Where?"}}}]}}`},
		{"button", wechatpay.ButtonBlock(
			"open", wechatpay.JumpMiniProgramAction(wechatpay.MiniProgramJumpInfo{AppID: "wx1", Path: "pages/a"}),
		), `{"type":"BUTTON","button":{"text":"open","action":{"action_type":"ACTION_TYPE_JUMP_MINI_PROGRAM",
				"mini_program_jump_info":{"appid":"wx1","path":"pages/a"}}}}`},
		{"buttons", wechatpay.ButtonGroupBlock(
			wechatpay.MessageButton{Text: "yes", Action: wechatpay.SendMessageAction("yes")},
			wechatpay.MessageButton{
				Text:        "no",
				Action:      wechatpay.SendMessageAction("no"),
				InvalidInfo: &wechatpay.MessageInvalidInfo{},
			},
		), `{"type":"BUTTON_GROUP","button_group":{"buttons":[
			{"text":"yes","action":{"action_type":"ACTION_TYPE_SEND_MESSAGE","message_info":{"content":"yes"}}},
			{"text":"no","action":{"action_type":"ACTION_TYPE_SEND_MESSAGE","message_info":{"content":"no"}},
				"invalid_info":{"multi_clickable":false}}]}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := json.Marshal(wechatpay.NewMessage(tt.block))
			require.NoError(t, err)
			require.JSONEq(t, `{"blocks":[`+tt.want+`]}`, string(out))
		})
	}
}

// enumeration returns the values of constants.
func enumeration[T ~string](constants ...T) []string {
	var out []string
	for _, constant := range constants {
		out = append(out, string(constant))
	}
	return out
}

// The documented values, taken from the official pages.
func TestConstants_wireValues(t *testing.T) {
	for want, constants := range map[string][]string{
		"PENDING PROCESSING PROCESSED": enumeration(
			wechatpay.ComplaintStatePending, wechatpay.ComplaintStateProcessing, wechatpay.ComplaintStateProcessed),
		"REFUND SERVICE_NOT_WORK OTHERS": enumeration(
			wechatpay.ProblemTypeRefund, wechatpay.ProblemTypeServiceNotWork, wechatpay.ProblemTypeOthers),
		"TRUSTED HIGH_RISK": enumeration(wechatpay.UserTagTrusted, wechatpay.UserTagHighRisk),
		"DOING REVOKED WAITPAY DONE CREATED EXPIRED": enumeration(
			wechatpay.ServiceOrderStateDoing, wechatpay.ServiceOrderStateRevoked, wechatpay.ServiceOrderStateWaitPay,
			wechatpay.ServiceOrderStateDone, wechatpay.ServiceOrderStateCreated, wechatpay.ServiceOrderStateExpired),
		"USER_COMPLAINT_IMAGE OPERATION_IMAGE": enumeration(
			wechatpay.MediaTypeUserComplaintImage, wechatpay.MediaTypeOperationImage),
		"SHARE_POWER_TYPE": enumeration(wechatpay.AdditionalInfoTypeSharePowerType),
		"UNKNOWN MANUAL MACHINE": enumeration(
			wechatpay.SenderIdentityUnknown, wechatpay.SenderIdentityManual, wechatpay.SenderIdentityMachine),
		"TEXT IMAGE LINK FAQ_LIST BUTTON BUTTON_GROUP": enumeration(
			wechatpay.MessageBlockTypeText, wechatpay.MessageBlockTypeImage, wechatpay.MessageBlockTypeLink,
			wechatpay.MessageBlockTypeFAQList, wechatpay.MessageBlockTypeButton, wechatpay.MessageBlockTypeButtonGroup),
		"DEFAULT SECONDARY": enumeration(wechatpay.TextColorDefault, wechatpay.TextColorSecondary),
		"IMAGE_STYLE_TYPE_NARROW IMAGE_STYLE_TYPE_WIDE": enumeration(
			wechatpay.ImageStyleTypeNarrow, wechatpay.ImageStyleTypeWide),
		"LAYOUT_UNKNOWN LAYOUT_HORIZONTAL LAYOUT_VERTICAL": enumeration(
			wechatpay.ButtonLayoutUnknown, wechatpay.ButtonLayoutHorizontal, wechatpay.ButtonLayoutVertical),
		"ACTION_TYPE_SEND_MESSAGE ACTION_TYPE_JUMP_URL ACTION_TYPE_JUMP_MINI_PROGRAM": enumeration(
			wechatpay.MessageActionTypeSendMessage, wechatpay.MessageActionTypeJumpURL,
			wechatpay.MessageActionTypeJumpMiniProgram),
		"USER_CREATE_COMPLAINT USER_CONTINUE_COMPLAINT": enumeration(
			wechatpay.OperateTypeUserCreateComplaint, wechatpay.OperateTypeUserContinueComplaint),
		"USER_RESPONSE PLATFORM_RESPONSE MERCHANT_RESPONSE USER_CLICK_RESPONSE": enumeration(
			wechatpay.OperateTypeUserResponse, wechatpay.OperateTypePlatformResponse,
			wechatpay.OperateTypeMerchantResponse, wechatpay.OperateTypeUserClickResponse),
		"MERCHANT_CONFIRM_COMPLETE MERCHANT_APPROVE_REFUND MERCHANT_REFUSE_RERUND": enumeration(
			wechatpay.OperateTypeMerchantConfirmComplete, wechatpay.OperateTypeMerchantApproveRefund,
			wechatpay.OperateTypeMerchantRefuseRefund),
		"COMPLAINT_FULL_REFUNDED_SYSTEM_MESSAGE COMPLAINT_PARTIAL_REFUNDED_SYSTEM_MESSAGE " +
			"COMPLAINT_ENTRUSTED_REFUND_SYSTEM_MESSAGE COMPLAINT_REFUND_RECEIVED_SYSTEM_MESSAGE": enumeration(
			wechatpay.OperateTypeComplaintFullRefundedSystemMessage,
			wechatpay.OperateTypeComplaintPartialRefundedSystemMessage,
			wechatpay.OperateTypeComplaintEntrustedRefundSystemMessage,
			wechatpay.OperateTypeComplaintRefundReceivedSystemMessage),
		"USER_CREATE_COMPLAINT_SYSTEM_MESSAGE USER_CONTINUE_COMPLAINT_SYSTEM_MESSAGE": enumeration(
			wechatpay.OperateTypeUserCreateComplaintSystemMessage,
			wechatpay.OperateTypeUserContinueComplaintSystemMessage),
		"PLATFORM_HELP_APPLICATION USER_APPLY_PLATFORM_HELP USER_APPLY_PLATFORM_SERVICE " +
			"USER_CANCEL_PLATFORM_SERVICE PLATFORM_SERVICE_FINISHED": enumeration(
			wechatpay.OperateTypePlatformHelpApplication, wechatpay.OperateTypeUserApplyPlatformHelp,
			wechatpay.OperateTypeUserApplyPlatformService, wechatpay.OperateTypeUserCancelPlatformService,
			wechatpay.OperateTypePlatformServiceFinished),
		"USER_SUBMIT_SATISFACTION SERVICE_ORDER_CANCEL SERVICE_ORDER_COMPLETE": enumeration(
			wechatpay.OperateTypeUserSubmitSatisfaction, wechatpay.OperateTypeServiceOrderCancel,
			wechatpay.OperateTypeServiceOrderComplete),
		"USER_REVOKE_COMPLAINT USER_COMFIRM_COMPLAINT": enumeration(
			wechatpay.OperateTypeUserRevokeComplaint, wechatpay.OperateTypeUserConfirmComplaint),
		"COMPLAINT_FULL_REFUNDED MERCHANT_CONFIRM_COMPLETE_SYSTEM_MESSAGE SERVICE_ORDER_WAIT_USER_PAY": enumeration(
			wechatpay.OperateTypeComplaintFullRefunded, wechatpay.OperateTypeMerchantConfirmCompleteSystemMessage,
			wechatpay.OperateTypeServiceOrderWaitUserPay),
	} {
		require.Equal(t, strings.Fields(want), constants)
	}
}

// A record that can be decoded can be encoded, and further round trips do not
// change it.
func FuzzNegotiationRecord(f *testing.F) {
	var whole any
	for _, field := range recordFields {
		for _, sample := range field.samples {
			f.Add(document(field.path, sample))
		}
		whole = merge(whole, decoded(f, document(field.path, field.samples[0])))
	}
	seed, err := json.Marshal(whole)
	require.NoError(f, err)
	f.Add(seed)
	f.Add([]byte(`{"complaint_media_list":[{"media_url":"a"},{"media_url":["b"]}],"operate_time":""}`))
	f.Add([]byte(`{"normal_message":{"blocks":[]},"click_message":{"message_content":[null, "\u2028<"]}}`))
	f.Add([]byte(`{"normal_message":{"blocks":[null,{"link":{}},{"text":{}}]}}`))

	f.Fuzz(func(t *testing.T, data []byte) {
		var first, second wechatpay.NegotiationRecord
		if json.Unmarshal(data, &first) != nil {
			return
		}
		once, err := json.Marshal(first)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(once, &second), "%s", once)
		again, err := json.Marshal(second)
		require.NoError(t, err)
		require.Equal(t, string(once), string(again))
		require.True(t, first.OperateTime.Equal(second.OperateTime))
	})
}

// document returns the smallest JSON document with value at path.
func document(path, value string) []byte {
	parts := strings.Split(path, ".")
	for _, part := range slices.Backward(parts) {
		if name, isList := strings.CutSuffix(part, "[]"); isList {
			value = fmt.Sprintf(`{%q:[%s]}`, name, value)
		} else {
			value = fmt.Sprintf(`{%q:%s}`, name, value)
		}
	}
	return []byte(value)
}

// valueAt returns the JSON at path, in the first entry of each list, and whether
// there is any.
func valueAt(t testing.TB, doc []byte, path string) (string, bool) {
	for _, part := range strings.Split(path, ".") {
		name, isList := strings.CutSuffix(part, "[]")
		var object map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(doc, &object), "%s in %s", path, doc)
		value, ok := object[name]
		if !ok {
			return "", false
		}
		doc = value
		if isList {
			var list []json.RawMessage
			require.NoError(t, json.Unmarshal(doc, &list), "%s in %s", path, doc)
			if len(list) == 0 {
				return "", false
			}
			doc = list[0]
		}
	}
	return string(doc), true
}

// canonical returns the decoded value. Times in fields named *_time are equal if
// their instant and offset are.
func canonical(t testing.TB, path, value string) any {
	v := decoded(t, []byte(value))
	if strings.HasSuffix(path, "_time") {
		instant, err := time.Parse(time.RFC3339, v.(string))
		require.NoError(t, err)
		_, offset := instant.Zone()
		return fmt.Sprint(instant.UnixNano(), " ", offset)
	}
	return v
}

// decoded decodes JSON and keeps every digit of numbers.
func decoded(t testing.TB, data []byte) any {
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.UseNumber()
	var v any
	require.NoError(t, d.Decode(&v))
	return v
}

// merge merges two documents; lists are merged entry by entry.
func merge(a, b any) any {
	switch b := b.(type) {
	case map[string]any:
		a, _ := a.(map[string]any)
		out := maps.Clone(a)
		if out == nil {
			out = map[string]any{}
		}
		for name, value := range b {
			out[name] = merge(out[name], value)
		}
		return out
	case []any:
		a, _ := a.([]any)
		out := slices.Clone(a)
		for i, value := range b {
			if i < len(out) {
				out[i] = merge(out[i], value)
			} else {
				out = append(out, value)
			}
		}
		return out
	default:
		return b
	}
}

// The page documents a number, not an integer.
func TestRefundAmount_UnmarshalJSON_refundFee(t *testing.T) {
	for number, want := range map[string]int64{"10": 10, "10.0": 10, "1e2": 100, "0.6": 0, "null": 0} {
		var refund wechatpay.Refund
		in := `{"status":"SUCCESS","amount":{"refund":7,"refund_fee":` + number + `}}`
		require.NoError(t, json.Unmarshal([]byte(in), &refund))
		require.Equal(t, want, refund.Amount.RefundFee, number)
		require.Equal(t, int64(7), refund.Amount.Refund)
	}
}
