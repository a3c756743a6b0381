package wechatpay_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

const complaintJSON = `{"complaint_id":"200201820200101080076610000","complaint_time":"2026-01-02T03:04:05.678+08:00","complaint_detail":"反馈一个重复扣费的问题",` +
	`"complaint_state":"PENDING","complainted_mchid":"1900000001","complaint_full_refunded":false,"incoming_user_response":true,"user_complaint_times":1,` +
	`"problem_description":"不满意商家服务","problem_type":"REFUND","apply_refund_amount":10,"in_platform_service":false,"need_immediate_service":false,"is_agent_mode":false}`

var complaint = wechatpay.Complaint{
	ComplaintID: testComplaintID, ComplaintTime: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.FixedZone("", 8*3600)),
	ComplaintDetail: "反馈一个重复扣费的问题", ComplaintState: wechatpay.ComplaintStatePending, ComplaintedMchID: testMchID,
	IncomingUserResponse: true, UserComplaintTimes: 1, ProblemDescription: "不满意商家服务", ProblemType: wechatpay.ProblemTypeRefund, ApplyRefundAmount: 10,
}

func day(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 12, 0, 0, 0, time.FixedZone("", 8*3600))
}

// An endpoint is one call and what it looks like on the wire.
type endpoint struct {
	name string
	call func(context.Context, *wechatpay.ComplaintsV2Service) (any, error)

	method, uri, body string // of the request
	status            int    // of the success
	answer            string
	want              any // what call gives

	errors []wechatpay.APIError // besides those of every endpoint
}

var endpoints = []endpoint{
	{
		name: "List",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return s.List(ctx, &wechatpay.ListComplaintsRequest{BeginDate: day(2026, 1, 1), EndDate: day(2026, 1, 30), ComplaintedMchID: "1900000002", Limit: 5, Offset: 10})
		},
		method: http.MethodGet, uri: "/v3/merchant-service/complaints-v2?begin_date=2026-01-01&end_date=2026-01-30&limit=5&offset=10&complainted_mchid=1900000002",
		status: 200, answer: `{"data":[` + complaintJSON + `],"limit":5,"offset":10}`,
		want: &wechatpay.ComplaintList{Data: []wechatpay.Complaint{complaint}, Limit: 5, Offset: 10},
	},
	{
		name: "List, the defaults, nothing found",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			// 16:00 UTC is the next day in Beijing.
			return s.List(ctx, &wechatpay.ListComplaintsRequest{BeginDate: time.Date(2026, 1, 1, 15, 59, 59, 0, time.UTC), EndDate: time.Date(2026, 1, 1, 16, 0, 0, 0, time.UTC)})
		},
		method: http.MethodGet, uri: "/v3/merchant-service/complaints-v2?begin_date=2026-01-01&end_date=2026-01-02&limit=50&offset=0",
		status: 200, answer: `{"limit":50,"offset":0,"total_count":0}`,
		want: &wechatpay.ComplaintList{Limit: 50},
	},
	{
		name: "Get",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return s.Get(ctx, testComplaintID)
		},
		method: http.MethodGet, uri: "/v3/merchant-service/complaints-v2/200201820200101080076610000",
		status: 200, answer: complaintJSON, want: &complaint,
	},
	{
		name: "NegotiationHistory",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return s.NegotiationHistory(ctx, testComplaintID, &wechatpay.NegotiationHistoryRequest{Limit: 300, Offset: 7})
		},
		method: http.MethodGet, uri: "/v3/merchant-service/complaints-v2/200201820200101080076610000/negotiation-historys?limit=300&offset=7",
		status: 200, answer: `{"data":[{"log_id":"300","operator":"商家","operate_time":"2026-01-02T03:04:05+08:00","operate_type":"MERCHANT_REFUSE_RERUND","operate_details":"已使用"}],"limit":300,"offset":7}`,
		want: &wechatpay.NegotiationHistory{Data: []wechatpay.NegotiationRecord{{LogID: "300", Operator: "商家", OperateTime: time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 8*3600)),
			OperateType: wechatpay.OperateTypeMerchantRefuseRefund, OperateDetails: "已使用"}}, Limit: 300, Offset: 7},
	},
	{
		name: "NegotiationHistory, the defaults",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return s.NegotiationHistory(ctx, testComplaintID, nil)
		},
		method: http.MethodGet, uri: "/v3/merchant-service/complaints-v2/200201820200101080076610000/negotiation-historys?limit=100&offset=0",
		status: 200, answer: `{"data":null,"limit":100,"offset":0,"total_count":0}`, want: &wechatpay.NegotiationHistory{Limit: 100},
	},
	{
		name: "Respond",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return nil, s.Respond(ctx, testComplaintID, &wechatpay.RespondRequest{ResponseContent: "已与用户沟通解决", ResponseImages: []string{"file23578_21798531.jpg"}})
		},
		method: http.MethodPost, uri: "/v3/merchant-service/complaints-v2/200201820200101080076610000/response",
		body:   `{"complainted_mchid":"1900000001","response_content":"已与用户沟通解决","response_images":["file23578_21798531.jpg"]}`,
		status: 204, errors: []wechatpay.APIError{{StatusCode: 400, Code: wechatpay.ErrorCodeInvalidRequest, Message: "提交失败，请稍后重试"}},
	},
	{
		name: "Respond with links",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return nil, s.Respond(ctx, testComplaintID, &wechatpay.RespondRequest{
				ComplaintedMchID: "1900000002", ResponseContent: "a", JumpURL: "https://www.example.com/a?b=c", JumpURLText: "查看详情",
				MiniProgramJumpInfo: wechatpay.MiniProgramJumpInfo{AppID: "wx8888888888888888", Path: "pages/index", Text: "打开"},
			})
		},
		method: http.MethodPost, uri: "/v3/merchant-service/complaints-v2/200201820200101080076610000/response",
		body: `{"complainted_mchid":"1900000002","response_content":"a","jump_url":"https://www.example.com/a?b=c","jump_url_text":"查看详情",` +
			`"mini_program_jump_info":{"appid":"wx8888888888888888","path":"pages/index","text":"打开"}}`,
		status: 204,
	},
	{
		name: "RespondImmediateService",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return s.RespondImmediateService(ctx, testComplaintID, &wechatpay.ImmediateServiceRequest{
				Message: wechatpay.Message{
					Blocks: []wechatpay.MessageBlock{
						wechatpay.TextBlock("您好"), wechatpay.ImageBlock("file1"), wechatpay.LinkBlock("详情", "https://www.example.com/"),
						wechatpay.ButtonBlock("已解决", wechatpay.SendMessageAction("已解决")),
					},
					SenderIdentity: wechatpay.SenderIdentityManual,
				},
				IdempotentID: "id-1",
			})
		},
		method: http.MethodPost, uri: "/v3/merchant-service/complaints-v2/200201820200101080076610000/response-immediate-service",
		body: `{"complainted_mchid":"1900000001","message":{"blocks":[{"type":"TEXT","text":{"text":"您好","is_bold":false}},{"type":"IMAGE","image":{"media_id":"file1"}},` +
			`{"type":"LINK","link":{"text":"详情","action":{"action_type":"ACTION_TYPE_JUMP_URL","jump_url":"https://www.example.com/"}}},` +
			`{"type":"BUTTON","button":{"text":"已解决","action":{"action_type":"ACTION_TYPE_SEND_MESSAGE","message_info":{"content":"已解决"}}}}],"sender_identity":"MANUAL"},"idempotent_id":"id-1"}`,
		status: 200, answer: `{"log_id":"300"}`, want: &wechatpay.ImmediateServiceResponse{LogID: "300"},
	},
	{
		name: "Complete",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return nil, s.Complete(ctx, testComplaintID, &wechatpay.CompleteRequest{ComplaintedMchID: "1900000002"})
		},
		method: http.MethodPost, uri: "/v3/merchant-service/complaints-v2/200201820200101080076610000/complete", body: `{"complainted_mchid":"1900000002"}`, status: 204,
	},
	{
		name: "Complete for the caller",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return nil, s.Complete(ctx, testComplaintID, nil)
		},
		method: http.MethodPost, uri: "/v3/merchant-service/complaints-v2/200201820200101080076610000/complete", body: `{"complainted_mchid":"1900000001"}`, status: 204,
	},
	{
		name: "UpdateRefundProgress",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return nil, s.UpdateRefundProgress(ctx, testComplaintID, wechatpay.ApproveRefund(0))
		},
		method: http.MethodPost, uri: "/v3/merchant-service/complaints-v2/200201820200101080076610000/update-refund-progress", body: `{"action":"APPROVE","launch_refund_day":0}`, status: 204,
	},
	{
		name: "CreateNotificationURL",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return s.CreateNotificationURL(ctx, "https://www.example.com/notify")
		},
		method: http.MethodPost, uri: "/v3/merchant-service/complaint-notifications", body: `{"url":"https://www.example.com/notify"}`,
		status: 200, answer: `{"mchid":"1900000001","url":"https://www.example.com/notify"}`, want: &wechatpay.NotificationURL{MchID: testMchID, URL: "https://www.example.com/notify"},
	},
	{
		name: "NotificationURL",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return s.NotificationURL(ctx)
		},
		method: http.MethodGet, uri: "/v3/merchant-service/complaint-notifications",
		status: 200, answer: `{"mchid":"1900000001","url":"https://www.example.com/notify"}`, want: &wechatpay.NotificationURL{MchID: testMchID, URL: "https://www.example.com/notify"},
		errors: []wechatpay.APIError{{StatusCode: 400, Code: wechatpay.ErrorCodeResourceNotExists, Message: "未设置"}},
	},
	{
		name: "UpdateNotificationURL",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return s.UpdateNotificationURL(ctx, "https://www.example.com/new")
		},
		method: http.MethodPut, uri: "/v3/merchant-service/complaint-notifications", body: `{"url":"https://www.example.com/new"}`,
		status: 200, answer: `{"mchid":"1900000001","url":"https://www.example.com/new"}`, want: &wechatpay.NotificationURL{MchID: testMchID, URL: "https://www.example.com/new"},
	},
	{
		name: "DeleteNotificationURL",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return nil, s.DeleteNotificationURL(ctx)
		},
		method: http.MethodDelete, uri: "/v3/merchant-service/complaint-notifications", status: 204,
	},
}

// The images, whose bodies are no JSON, have tests of their own.
func TestEndpoints(t *testing.T) {
	for _, tt := range endpoints {
		t.Run(tt.name, func(t *testing.T) {
			calls := 0
			client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
				calls++
				requireRequest(t, r, tt.method, tt.uri, tt.body)
				reply(t, tt.status, tt.answer)(w, r)
			})
			got, err := tt.call(context.Background(), client.ComplaintsV2)
			require.NoError(t, err)
			require.Equal(t, 1, calls)
			if list, ok := got.(*wechatpay.ComplaintList); ok {
				for i := range list.Data {
					require.True(t, list.Data[i].ComplaintTime.Equal(complaint.ComplaintTime))
				}
			}
			requireSameJSON(t, tt.want, got)
		})
	}
}

// requireRequest checks all of a signed request for JSON. Without a body it has no
// Content-Type.
func requireRequest(t *testing.T, r *http.Request, method, uri, body string) {
	t.Helper()
	got, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, method, r.Method)
	require.Equal(t, uri, r.RequestURI)
	require.Equal(t, body, string(got))
	require.Equal(t, []string{"application/json"}, r.Header["Accept"])
	require.Equal(t, []string{testPublicKeyID}, r.Header["Wechatpay-Serial"])
	if body == "" {
		require.Empty(t, r.Header["Content-Type"])
	} else {
		require.Equal(t, []string{"application/json"}, r.Header["Content-Type"])
	}
	require.True(t, strings.HasPrefix(r.Header.Get("User-Agent"), "wechatpay-complaints-go/"))
	requireSigned(t, r, body)
}

// requireSameJSON compares two values as they encode: times are equal there
// whatever zone object they hold.
func requireSameJSON(t *testing.T, want, got any) {
	t.Helper()
	require.IsType(t, want, got)
	wantJSON, err := json.Marshal(want)
	require.NoError(t, err)
	gotJSON, err := json.Marshal(got)
	require.NoError(t, err)
	require.JSONEq(t, string(wantJSON), string(gotJSON))
}

// Every endpoint gives each documented error as an *APIError, and says of which
// a write may stand nevertheless.
func TestEndpointErrors(t *testing.T) {
	common := []wechatpay.APIError{
		{StatusCode: 400, Code: wechatpay.ErrorCodeParamError, Message: "参数错误"},
		{StatusCode: 400, Code: wechatpay.ErrorCodeInvalidRequest, Message: "请求不符合规则"},
		{StatusCode: 401, Code: wechatpay.ErrorCodeSignError, Message: "验证失败"},
		{StatusCode: 403, Code: wechatpay.ErrorCodeNoAuth, Message: "无权限"},
		{StatusCode: 429, Code: wechatpay.ErrorCodeFrequencyLimited, Message: "频率超限"},
		{StatusCode: 500, Code: wechatpay.ErrorCodeSystemError, Message: "系统异常"},
	}
	for _, tt := range endpoints {
		for _, want := range append(common, tt.errors...) {
			t.Run(tt.name+" "+string(want.Code), func(t *testing.T) {
				body, err := json.Marshal(map[string]any{"code": want.Code, "message": want.Message})
				require.NoError(t, err)
				client, _ := newMock(t, reply(t, want.StatusCode, string(body)))
				got, err := tt.call(context.Background(), client.ComplaintsV2)
				require.True(t, got == nil || isNilPointer(got), "a result beside an error")
				var refusal *wechatpay.APIError
				require.ErrorAs(t, err, &refusal)
				want.Method, want.RequestID = tt.method, "08F7A1B2C30610-0"
				want.Path, _, _ = strings.Cut(tt.uri, "?")
				require.True(t, strings.HasPrefix(refusal.Host, "127.0.0.1:"), refusal.Host)
				want.Host = refusal.Host
				require.Equal(t, want, *refusal)
				name, _, _ := strings.Cut(tt.name, ",")
				name, _, _ = strings.Cut(name, " ")
				require.True(t, strings.HasPrefix(err.Error(), "wechatpay: ComplaintsV2."+name+": "), err)
				if want.StatusCode == 500 && tt.method != http.MethodGet {
					require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
				} else {
					require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
				}
			})
		}
	}
}

func isNilPointer(v any) bool {
	switch v := v.(type) {
	case *wechatpay.ComplaintList:
		return v == nil
	case *wechatpay.Complaint:
		return v == nil
	case *wechatpay.NegotiationHistory:
		return v == nil
	case *wechatpay.ImmediateServiceResponse:
		return v == nil
	case *wechatpay.NotificationURL:
		return v == nil
	}
	return false
}

// What is wrong with a request is found before it is sent, all at once.
func TestEndpointsRefuseArguments(t *testing.T) {
	long := strings.Repeat("长", 513)
	button := wechatpay.MessageButton{Text: "好", Action: wechatpay.SendMessageAction("🙂")}
	for _, tt := range []struct {
		name   string
		call   func(context.Context, *wechatpay.ComplaintsV2Service) error
		op     string
		faults []string // field: problem
	}{
		{"List, nil", func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			_, err := s.List(ctx, nil)
			return err
		},
			"List", []string{"req: nil: BeginDate and EndDate are required"}},
		{"List, empty", func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			_, err := s.List(ctx, &wechatpay.ListComplaintsRequest{Limit: 51, Offset: -1, ComplaintedMchID: strings.Repeat("1", 65)})
			return err
		}, "List", []string{"BeginDate: zero: it is required", "EndDate: zero: it is required", "ComplaintedMchID: 65 characters, at most 64 are allowed",
			"Limit: 51, and 1 to 50 are allowed", "Offset: -1, and 0 is the least"}},
		{"List, the end first", func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			_, err := s.List(ctx, &wechatpay.ListComplaintsRequest{BeginDate: day(2026, 1, 2), EndDate: day(2026, 1, 1)})
			return err
		}, "List", []string{"EndDate: 2026-01-01, before BeginDate 2026-01-02 (days in Beijing)"}},
		{"List, a year of five digits", func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			_, err := s.List(ctx, &wechatpay.ListComplaintsRequest{BeginDate: day(10000, 1, 1), EndDate: day(10000, 1, 2)})
			return err
		}, "List", []string{"BeginDate.Year(): 10000, and 1 to 9999 are allowed", "EndDate.Year(): 10000, and 1 to 9999 are allowed"}},
		{"List, too many days", func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			_, err := s.List(ctx, &wechatpay.ListComplaintsRequest{BeginDate: day(2026, 1, 1), EndDate: day(2026, 2, 1)})
			return err
		}, "List", []string{"EndDate: 31 days after BeginDate, at most 30 are allowed: All takes any span"}},
		{"Get", func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			_, err := s.Get(ctx, "")
			return err
		},
			"Get", []string{"complaintID: empty, 1 to 64 characters are required"}},
		{"NegotiationHistory", func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			_, err := s.NegotiationHistory(ctx, strings.Repeat("1", 65), &wechatpay.NegotiationHistoryRequest{Limit: 301, Offset: -1})
			return err
		}, "NegotiationHistory", []string{"complaintID: 65 characters, at most 64 are allowed", "Limit: 301, and 1 to 300 are allowed", "Offset: -1, and 0 is the least"}},
		{"Respond, nil", func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error { return s.Respond(ctx, "1", nil) },
			"Respond", []string{"req: nil"}},
		{"Respond, everything", func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			return s.Respond(ctx, "1", &wechatpay.RespondRequest{
				ComplaintedMchID: strings.Repeat("1", 65), ResponseContent: long, ResponseImages: []string{"1", "2", "3", "4", ""},
				JumpURL: "http://www.example.com/", JumpURLText: strings.Repeat("长", 11), MiniProgramJumpInfo: wechatpay.MiniProgramJumpInfo{AppID: "🙂"},
			})
		}, "Respond", []string{"ComplaintedMchID: 65 characters, at most 64 are allowed", "ResponseContent: 513 characters, at most 500 are allowed",
			"ResponseImages: 5 entries, at most 4 are allowed", "ResponseImages[4]: empty, 1 to 512 characters are required",
			"JumpURLText: 11 characters, at most 10 are allowed", `JumpURL: "http://www.example.com/" is not an https URL`,
			"MiniProgramJumpInfo: AppID, Path and Text are all required here",
			"MiniProgramJumpInfo.AppID: holds '🙂' (U+1F642), and WeChat Pay takes no character beyond U+FFFF (emoji)"}},
		{"Respond, a link without its text", func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			return s.Respond(ctx, "1", &wechatpay.RespondRequest{JumpURL: "https://" + long})
		}, "Respond", []string{"ResponseContent: empty, 1 to 500 characters are required", "JumpURL: 521 characters, at most 512 are allowed",
			"JumpURL: JumpURL and JumpURLText go together: set both or neither"}},
		{"RespondImmediateService, nil", func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			_, err := s.RespondImmediateService(ctx, "1", nil)
			return err
		}, "RespondImmediateService", []string{"req: nil"}},
		{"RespondImmediateService, no block", func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			_, err := s.RespondImmediateService(ctx, "1", &wechatpay.ImmediateServiceRequest{IdempotentID: strings.Repeat("1", 129), Message: wechatpay.Message{CustomData: strings.Repeat("1", 4097)}})
			return err
		}, "RespondImmediateService", []string{"IdempotentID: 129 characters, at most 128 are allowed", "Message.Blocks: empty: at least one block is required",
			"Message.CustomData: 4097 characters, at most 4096 are allowed"}},
		{"RespondImmediateService, wrong blocks", func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			two := wechatpay.TextBlock("a")
			two.Image = &wechatpay.MessageImage{MediaID: "1"}
			_, err := s.RespondImmediateService(ctx, "1", &wechatpay.ImmediateServiceRequest{Message: wechatpay.NewMessage(
				two, wechatpay.MessageBlock{Type: wechatpay.MessageBlockTypeLink}, wechatpay.MessageBlock{Type: "VIDEO"}, wechatpay.ButtonGroupBlock(button),
			)})
			return err
		}, "RespondImmediateService", []string{
			`Message.Blocks[0]: its type is "TEXT": it has the payload of that type, and no other`,
			`Message.Blocks[1]: its type is "LINK": it has the payload of that type, and no other`,
			`Message.Blocks[2]: its type "VIDEO" is none that can be sent`,
			"Message.Blocks[3].ButtonGroup.Buttons[0].Action.MessageInfo.Content: holds '🙂' (U+1F642), and WeChat Pay takes no character beyond U+FFFF (emoji)",
		}},
		{"Complete", func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			return s.Complete(ctx, "..", &wechatpay.CompleteRequest{ComplaintedMchID: long[:65*3]})
		},
			"Complete", []string{`complaintID: ".." would be another path`, "ComplaintedMchID: 65 characters, at most 64 are allowed"}},
		{"CreateNotificationURL, empty", func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			_, err := s.CreateNotificationURL(ctx, "")
			return err
		}, "CreateNotificationURL", []string{"url: empty, 1 to 255 characters are required"}},
		{"UpdateNotificationURL", func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			_, err := s.UpdateNotificationURL(ctx, "http://www.example.com/"+strings.Repeat("a", 240)+"?b")
			return err
		}, "UpdateNotificationURL", []string{"url: 265 characters, at most 255 are allowed", `url: "http://www.example.com/` + strings.Repeat("a", 77) + `" is not an https URL`, "url: it may have no query and no fragment"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, _ := newMock(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
			err := tt.call(context.Background(), client.ComplaintsV2)
			var refused *wechatpay.ArgumentError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, "ComplaintsV2."+tt.op, refused.Op)
			var got []string
			for _, fault := range refused.Faults {
				got = append(got, fault.Field+": "+fault.Problem)
			}
			require.Equal(t, tt.faults, got)
		})
	}
}

// The caller's request stays as it was, though fields are filled in.
func TestRequestsAreNotChanged(t *testing.T) {
	client, _ := newMock(t, reply(t, 200, `{"log_id":"1"}`))
	req := &wechatpay.ImmediateServiceRequest{Message: wechatpay.NewMessage(wechatpay.TextBlock("a"))}
	_, err := client.ComplaintsV2.RespondImmediateService(context.Background(), testComplaintID, req)
	require.NoError(t, err)
	require.Empty(t, req.IdempotentID)
	require.Empty(t, req.ComplaintedMchID)
}

// An unknown outcome of an immediate-service reply carries the id to repeat it
// with.
func TestRespondImmediateServiceIsRepeatable(t *testing.T) {
	var sent []string
	client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			ID string `json:"idempotent_id"`
		}
		require.NoError(t, json.NewDecoder(r.Body).Decode(&body))
		if sent = append(sent, body.ID); len(sent) == 1 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		reply(t, 200, `{"log_id":"300"}`)(w, r)
	})
	req := &wechatpay.ImmediateServiceRequest{Message: wechatpay.NewMessage(wechatpay.TextBlock("您好"))}
	_, err := client.ComplaintsV2.RespondImmediateService(context.Background(), testComplaintID, req)
	require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	var unknown *wechatpay.OutcomeUnknownError
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, "ComplaintsV2.RespondImmediateService", unknown.Op)
	require.Contains(t, err.Error(), "[idempotency key "+unknown.IdempotencyKey+"]")

	req.IdempotentID = unknown.IdempotencyKey
	resp, err := client.ComplaintsV2.RespondImmediateService(context.Background(), testComplaintID, req)
	require.NoError(t, err)
	require.Equal(t, "300", resp.LogID)
	require.Len(t, sent, 2)
	require.Regexp(t, `^[0-9A-Z]{20,128}$`, sent[0])
	require.Equal(t, sent[0], sent[1])
}
