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

const complaintJSON = `{"complaint_id":"200201820200101080076610000",` +
	`"complaint_time":"2026-01-02T03:04:05.678+08:00","complaint_detail":"反馈一个重复扣费的问题",` +
	`"complaint_state":"PENDING","complainted_mchid":"1900000001",` +
	`"complaint_full_refunded":false,"incoming_user_response":true,"user_complaint_times":1,` +
	`"problem_description":"不满意商家服务","problem_type":"REFUND","apply_refund_amount":10,` +
	`"in_platform_service":false,"need_immediate_service":false,"is_agent_mode":false}`

var complaint = wechatpay.Complaint{
	ComplaintID:          testComplaintID,
	ComplaintTime:        time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.FixedZone("", 8*3600)),
	ComplaintDetail:      "反馈一个重复扣费的问题",
	ComplaintState:       wechatpay.ComplaintStatePending,
	ComplaintedMchID:     testMchID,
	IncomingUserResponse: true,
	UserComplaintTimes:   1,
	ProblemDescription:   "不满意商家服务",
	ProblemType:          wechatpay.ProblemTypeRefund,
	ApplyRefundAmount:    10,
}

// day returns noon of a day in Beijing.
func day(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 12, 0, 0, 0, time.FixedZone("", 8*3600))
}

// An endpoint is a call, the request it sends, and its response.
type endpoint struct {
	name string
	call func(context.Context, *wechatpay.ComplaintsV2Service) (any, error)

	method, uri, body string // request
	status            int    // of a success
	response          string
	want              any // what call returns

	errors []wechatpay.APIError // in addition to the common ones
}

const (
	complaintsURI      = "/v3/merchant-service/complaints-v2"
	complaintURI       = complaintsURI + "/" + testComplaintID
	notificationURI    = "/v3/merchant-service/complaint-notifications"
	notificationURL    = "https://www.example.com/notify"
	notificationURLDoc = `{"mchid":"1900000001","url":"https://www.example.com/notify"}`
)

var endpoints = []endpoint{
	{
		name: "List",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return s.List(ctx, &wechatpay.ListComplaintsRequest{
				BeginDate:        day(2026, 1, 1),
				EndDate:          day(2026, 1, 30),
				ComplaintedMchID: "1900000002",
				Limit:            5,
				Offset:           10,
			})
		},
		method: http.MethodGet,
		uri: complaintsURI +
			"?begin_date=2026-01-01&end_date=2026-01-30&limit=5&offset=10&complainted_mchid=1900000002",
		status:   200,
		response: `{"data":[` + complaintJSON + `],"limit":5,"offset":10}`,
		want:     &wechatpay.ComplaintList{Data: []wechatpay.Complaint{complaint}, Limit: 5, Offset: 10},
	},
	{
		name: "List with defaults, empty page",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return s.List(ctx, &wechatpay.ListComplaintsRequest{
				BeginDate: time.Date(2026, 1, 1, 15, 59, 59, 0, time.UTC),
				EndDate:   time.Date(2026, 1, 1, 16, 0, 0, 0, time.UTC), // midnight in Beijing
			})
		},
		method:   http.MethodGet,
		uri:      complaintsURI + "?begin_date=2026-01-01&end_date=2026-01-02&limit=50&offset=0",
		status:   200,
		response: `{"limit":50,"offset":0,"total_count":0}`,
		want:     &wechatpay.ComplaintList{Data: []wechatpay.Complaint{}, Limit: 50},
	},
	{
		name: "List with the longest range, escaped merchant",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return s.List(ctx, &wechatpay.ListComplaintsRequest{
				BeginDate:        day(2026, 1, 1),
				EndDate:          day(2026, 1, 31),
				ComplaintedMchID: "a&b=c d",
				Limit:            50,
			})
		},
		method: http.MethodGet,
		uri: complaintsURI +
			"?begin_date=2026-01-01&end_date=2026-01-31&limit=50&offset=0&complainted_mchid=a%26b%3Dc+d",
		status:   200,
		response: `{"data":[],"limit":50,"offset":0,"total_count":0}`,
		want:     &wechatpay.ComplaintList{Data: []wechatpay.Complaint{}, Limit: 50},
	},
	{
		name: "Get",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return s.Get(ctx, testComplaintID)
		},
		method:   http.MethodGet,
		uri:      complaintURI,
		status:   200,
		response: complaintJSON,
		want:     &complaint,
	},
	{
		name: "NegotiationHistory",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			req := &wechatpay.NegotiationHistoryRequest{Limit: 300, Offset: 7}
			return s.NegotiationHistory(ctx, testComplaintID, req)
		},
		method: http.MethodGet,
		uri:    complaintURI + "/negotiation-historys?limit=300&offset=7",
		status: 200,
		response: `{"data":[{"log_id":"300","operator":"商家","operate_time":"2026-01-02T03:04:05+08:00",` +
			`"operate_type":"MERCHANT_REFUSE_RERUND","operate_details":"已使用"}],"limit":300,"offset":7}`,
		want: &wechatpay.NegotiationHistory{
			Data: []wechatpay.NegotiationRecord{{
				LogID:          "300",
				Operator:       "商家",
				OperateTime:    time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 8*3600)),
				OperateType:    wechatpay.OperateTypeMerchantRefuseRefund,
				OperateDetails: "已使用",
			}},
			Limit:  300,
			Offset: 7,
		},
	},
	{
		name: "NegotiationHistory, nil request",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return s.NegotiationHistory(ctx, testComplaintID, nil)
		},
		method:   http.MethodGet,
		uri:      complaintURI + "/negotiation-historys?limit=100&offset=0",
		status:   200,
		response: `{"data":null,"limit":100,"offset":0,"total_count":0}`,
		want:     &wechatpay.NegotiationHistory{Data: []wechatpay.NegotiationRecord{}, Limit: 100},
	},
	{
		name: "Respond",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return nil, s.Respond(ctx, testComplaintID, &wechatpay.RespondRequest{
				ResponseContent: "已与用户沟通解决",
				ResponseImages:  []string{"file23578_21798531.jpg"},
			})
		},
		method: http.MethodPost,
		uri:    complaintURI + "/response",
		body: `{"complainted_mchid":"1900000001","response_content":"已与用户沟通解决",` +
			`"response_images":["file23578_21798531.jpg"]}`,
		status: 204,
		errors: []wechatpay.APIError{
			{StatusCode: 400, Code: wechatpay.ErrorCodeInvalidRequest, Message: "提交失败，请稍后重试"},
		},
	},
	{
		name: "Respond with links",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return nil, s.Respond(ctx, testComplaintID, &wechatpay.RespondRequest{
				ComplaintedMchID: "1900000002",
				ResponseContent:  "a",
				JumpURL:          "https://www.example.com/a?b=c",
				JumpURLText:      "查看详情",
				MiniProgramJumpInfo: wechatpay.MiniProgramJumpInfo{
					AppID: "wx8888888888888888",
					Path:  "pages/index",
					Text:  "打开",
				},
			})
		},
		method: http.MethodPost,
		uri:    complaintURI + "/response",
		body: `{"complainted_mchid":"1900000002","response_content":"a",` +
			`"jump_url":"https://www.example.com/a?b=c","jump_url_text":"查看详情",` +
			`"mini_program_jump_info":{"appid":"wx8888888888888888","path":"pages/index","text":"打开"}}`,
		status: 204,
	},
	{
		name: "RespondImmediateService",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return s.RespondImmediateService(ctx, testComplaintID, &wechatpay.ImmediateServiceRequest{
				Message: wechatpay.Message{
					Blocks: []wechatpay.MessageBlock{
						wechatpay.TextBlock("您好"),
						wechatpay.ImageBlock("file1"),
						wechatpay.LinkBlock("详情", "https://www.example.com/"),
						wechatpay.ButtonBlock("已解决", wechatpay.SendMessageAction("已解决")),
					},
					SenderIdentity: wechatpay.SenderIdentityManual,
				},
				IdempotentID: "id-1",
			})
		},
		method: http.MethodPost,
		uri:    complaintURI + "/response-immediate-service",
		body: `{"complainted_mchid":"1900000001","message":{"blocks":[` +
			`{"type":"TEXT","text":{"text":"您好","is_bold":false}},` +
			`{"type":"IMAGE","image":{"media_id":"file1"}},` +
			`{"type":"LINK","link":{"text":"详情",` +
			`"action":{"action_type":"ACTION_TYPE_JUMP_URL","jump_url":"https://www.example.com/"}}},` +
			`{"type":"BUTTON","button":{"text":"已解决",` +
			`"action":{"action_type":"ACTION_TYPE_SEND_MESSAGE","message_info":{"content":"已解决"}}}}],` +
			`"sender_identity":"MANUAL"},"idempotent_id":"id-1"}`,
		status:   200,
		response: `{"log_id":"300"}`,
		want:     &wechatpay.ImmediateServiceResponse{LogID: "300"},
	},
	{
		name: "Complete",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return nil, s.Complete(ctx, testComplaintID, &wechatpay.CompleteRequest{ComplaintedMchID: "1900000002"})
		},
		method: http.MethodPost,
		uri:    complaintURI + "/complete",
		body:   `{"complainted_mchid":"1900000002"}`,
		status: 204,
	},
	{
		name: "Complete, nil request",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return nil, s.Complete(ctx, testComplaintID, nil)
		},
		method: http.MethodPost,
		uri:    complaintURI + "/complete",
		body:   `{"complainted_mchid":"1900000001"}`,
		status: 204,
	},
	{
		name: "UpdateRefundProgress",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return nil, s.UpdateRefundProgress(ctx, testComplaintID, wechatpay.ApproveRefund(0))
		},
		method: http.MethodPost,
		uri:    complaintURI + "/update-refund-progress",
		body:   `{"action":"APPROVE","launch_refund_day":0}`,
		status: 204,
	},
	{
		name: "CreateNotificationURL",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return s.CreateNotificationURL(ctx, notificationURL)
		},
		method:   http.MethodPost,
		uri:      notificationURI,
		body:     `{"url":"https://www.example.com/notify"}`,
		status:   200,
		response: notificationURLDoc,
		want:     &wechatpay.NotificationURL{MchID: testMchID, URL: notificationURL},
	},
	{
		name: "NotificationURL",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return s.NotificationURL(ctx)
		},
		method:   http.MethodGet,
		uri:      notificationURI,
		status:   200,
		response: notificationURLDoc,
		want:     &wechatpay.NotificationURL{MchID: testMchID, URL: notificationURL},
		errors: []wechatpay.APIError{
			{StatusCode: 400, Code: wechatpay.ErrorCodeResourceNotExists, Message: "未设置"},
		},
	},
	{
		name: "UpdateNotificationURL",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return s.UpdateNotificationURL(ctx, notificationURL)
		},
		method:   http.MethodPut,
		uri:      notificationURI,
		body:     `{"url":"https://www.example.com/notify"}`,
		status:   200,
		response: notificationURLDoc,
		want:     &wechatpay.NotificationURL{MchID: testMchID, URL: notificationURL},
	},
	{
		name: "DeleteNotificationURL",
		call: func(ctx context.Context, s *wechatpay.ComplaintsV2Service) (any, error) {
			return nil, s.DeleteNotificationURL(ctx)
		},
		method: http.MethodDelete,
		uri:    notificationURI,
		status: 204,
	},
}

func TestComplaintsV2_requests(t *testing.T) {
	for _, tt := range endpoints {
		t.Run(tt.name, func(t *testing.T) {
			calls := 0
			client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
				calls++
				requireRequest(t, r, tt.method, tt.uri, tt.body)
				reply(t, tt.status, tt.response)(w, r)
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

// requireRequest checks the whole of a signed request. Without a body it must
// have no Content-Type.
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

// requireSameJSON compares the JSON of two values, so that the location of a time
// does not matter.
func requireSameJSON(t *testing.T, want, got any) {
	t.Helper()
	require.IsType(t, want, got)
	wantJSON, err := json.Marshal(want)
	require.NoError(t, err)
	gotJSON, err := json.Marshal(got)
	require.NoError(t, err)
	require.JSONEq(t, string(wantJSON), string(gotJSON))
}

func TestComplaintsV2_errorResponses(t *testing.T) {
	t.Parallel()
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
				require.True(t, got == nil || isNilPointer(got), "a result and an error")
				var rejection *wechatpay.APIError
				require.ErrorAs(t, err, &rejection)
				want.Method, want.RequestID = tt.method, "08F7A1B2C30610-0"
				want.Path, _, _ = strings.Cut(tt.uri, "?")
				require.True(t, strings.HasPrefix(rejection.Host, "127.0.0.1:"), rejection.Host)
				want.Host = rejection.Host
				require.Equal(t, want, *rejection)
				name, _, _ := strings.Cut(tt.name, ",")
				name, _, _ = strings.Cut(name, " ")
				require.True(t, strings.HasPrefix(err.Error(), "wechatpay: ComplaintsV2."+name+": "), err)
				// A 429 to a decision or completion may mean that it was applied.
				lookedUp := strings.HasPrefix(tt.name, "UpdateRefundProgress") || strings.HasPrefix(tt.name, "Complete")
				if want.StatusCode == 500 && tt.method != http.MethodGet || want.StatusCode == 429 && lookedUp {
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

// A complaint id is one path element, whatever characters it has.
func TestComplaintsV2_requests_escapedID(t *testing.T) {
	const id, escaped = "a/b?c#d%2F", "/v3/merchant-service/complaints-v2/a%2Fb%3Fc%23d%252F"
	immediate := &wechatpay.ImmediateServiceRequest{Message: wechatpay.NewMessage(wechatpay.TextBlock("a"))}
	const logID = `{"log_id":"1"}`
	for _, tt := range []struct {
		suffix, response string
		call             serviceCall
	}{
		{"", `{"complaint_id":"a/b?c#d%2F"}`, func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			_, err := s.Get(ctx, id)
			return err
		}},
		{"/negotiation-historys", `{"data":[]}`, func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			_, err := s.NegotiationHistory(ctx, id, nil)
			return err
		}},
		{"/response", "", func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			return s.Respond(ctx, id, &wechatpay.RespondRequest{ResponseContent: "a"})
		}},
		{"/response-immediate-service", logID, func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			_, err := s.RespondImmediateService(ctx, id, immediate)
			return err
		}},
		{"/complete", "", func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			return s.Complete(ctx, id, nil)
		}},
	} {
		t.Run(tt.suffix, func(t *testing.T) {
			client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
				uri, _, _ := strings.Cut(r.RequestURI, "?")
				require.Equal(t, escaped+tt.suffix, uri)
				status := 200
				if tt.response == "" {
					status = 204
				}
				reply(t, status, tt.response)(w, r)
			})
			require.NoError(t, tt.call(context.Background(), client.ComplaintsV2))
		})
	}
}

// The caller's request is not changed when empty fields are filled in.
func TestComplaintsV2_RespondImmediateService_keepsRequest(t *testing.T) {
	client, _ := newMock(t, reply(t, 200, `{"log_id":"1"}`))
	req := &wechatpay.ImmediateServiceRequest{Message: wechatpay.NewMessage(wechatpay.TextBlock("a"))}
	_, err := client.ComplaintsV2.RespondImmediateService(context.Background(), testComplaintID, req)
	require.NoError(t, err)
	require.Empty(t, req.IdempotentID)
	require.Empty(t, req.ComplaintedMchID)
}

// The error of an unknown outcome has the id to repeat the call with.
func TestComplaintsV2_RespondImmediateService_unknownOutcome(t *testing.T) {
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
