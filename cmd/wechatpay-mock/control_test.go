package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// Every bad request is answered with a sentence and a status that fits, and
// changes nothing.
func TestBadRequests(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir)
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1","complaint_order_info":[{"transaction_id":"4200","amount":100}]}`)
	client := newClient(t, dir)
	createRefund(t, client, "4200", "refund-1")
	ok[any](t, m, 200, "POST", "/_mock/refunds/refund-1/arrive", "")

	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	tests := []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"no such path", "GET", "/_mock/complaint", "", 404, "the control plane has no /_mock/complaint: "},
		{"no path", "GET", "/_mock/", "", 404, "the control plane has no /_mock/: "},
		{"no such method", "PUT", "/_mock/complaints", "{}", 405, "/_mock/complaints does not take PUT: it takes GET, POST"},
		{"no such method of several", "PUT", "/_mock/faults", "{}", 405, "it takes GET, POST, DELETE"},
		{"no such method of a complaint", "DELETE", "/_mock/complaints/1", "", 405, "it takes GET, PATCH"},
		{"a query", "GET", "/_mock/requests?limit=5", "", 400, `takes no query, and has "limit=5"`},

		{"complaint: empty", "POST", "/_mock/complaints", "", 400, "the body is empty"},
		{"complaint: not JSON", "POST", "/_mock/complaints", "complaint_id=1", 400, "the body is not JSON"},
		{"complaint: a list", "POST", "/_mock/complaints", "[{}]", 400, "must be a JSON object, and is an array"},
		{"complaint: more follows", "POST", "/_mock/complaints", "{}{}", 400, "goes on after its JSON object"},
		{"complaint: unknown field", "POST", "/_mock/complaints", `{"complainted_mch_id":"1"}`, 400, "/complainted_mch_id: no parameter"},
		{"complaint: unknown field within", "POST", "/_mock/complaints", `{"complaint_order_info":[{"total":1}]}`, 400, "/complaint_order_info/0/total: no parameter"},
		{"complaint: wrong type", "POST", "/_mock/complaints", `{"user_complaint_times":"1"}`, 400, "/user_complaint_times: must be an integer, and is a string"},
		{"complaint: null", "POST", "/_mock/complaints", `{"payer_phone":null}`, 400, "/payer_phone: is null"},
		{"complaint: no time", "POST", "/_mock/complaints", `{"complaint_time":"yesterday"}`, 400, "/complaint_time: is not an RFC 3339 time"},
		{"complaint: emoji", "POST", "/_mock/complaints", `{"complaint_detail":"😡"}`, 400, "/complaint_detail: has the character U+1F621"},
		{"complaint: too large", "POST", "/_mock/complaints", `{"complaint_detail":"` + strings.Repeat("x", maxBody) + `"}`, 413, "the body is larger than 8388608 bytes"},

		{"unknown complaint", "GET", "/_mock/complaints/9", "", 404, "there is no complaint 9"},
		{"history of an unknown complaint", "GET", "/_mock/complaints/9/history", "", 404, "there is no complaint 9"},
		{"record of an unknown complaint", "POST", "/_mock/complaints/9/records", `{"operate_type":"USER_RESPONSE"}`, 404, "there is no complaint 9"},
		{"reply to an unknown complaint", "POST", "/_mock/complaints/9/user-reply", `{"text":"?"}`, 404, "there is no complaint 9"},
		{"an unknown complaint filed again", "POST", "/_mock/complaints/9/user-continue", "", 404, "there is no complaint 9"},
		{"an unknown complaint refunded", "POST", "/_mock/complaints/9/platform-refund", "", 404, "there is no complaint 9"},
		{"record without a type", "POST", "/_mock/complaints/1/records", `{"operate_details":"?"}`, 400, "/operate_type: is required, and is missing"},
		{"record with an unknown field", "POST", "/_mock/complaints/1/records", `{"operate_typ":"USER_RESPONSE"}`, 400, `unknown member "operate_typ"`},
		{"the user says nothing", "POST", "/_mock/complaints/1/user-reply", `{"text":""}`, 400, "nothing is said"},
		{"the user says too much", "POST", "/_mock/complaints/1/user-reply", `{"text":"` + strings.Repeat("a", 501) + `"}`, 400, "has 501 characters"},
		{"the staff say nothing", "POST", "/_mock/complaints/1/platform-reply", `{}`, 400, "nothing is said"},
		{"the staff show what is not there", "POST", "/_mock/complaints/1/platform-reply", `{"media_urls":["x"]}`, 400, "no media_url"},
		{"the user taps something unknown", "POST", "/_mock/complaints/1/user-click", `{"-":1}`, 400, "unknown member"},
		{"the user gives up what he did not ask for", "POST", "/_mock/complaints/1/user-cancel-platform", "", 409, "is false already"},
		{"the staff end what did not begin", "POST", "/_mock/complaints/1/platform-finish", "", 409, "is false already"},
		{"the merchant decides to wait", "POST", "/_mock/complaints/1/merchant-decision", `{"action":"WAIT"}`, 400, "there are APPROVE and REJECT"},
		{"the merchant decides on what is refunded", "POST", "/_mock/complaints/1/merchant-decision", `{"action":"APPROVE"}`, 409, "refunded in full"},
		{"the merchant decides on nothing", "POST", "/_mock/complaints/9/merchant-decision", `{"action":"APPROVE"}`, 404, "there is no complaint 9"},
		{"change of an unknown complaint", "PATCH", "/_mock/complaints/9", `{}`, 404, "there is no complaint 9"},
		{"change: unknown field", "PATCH", "/_mock/complaints/1", `{"state":"PENDING"}`, 400, "/state: no parameter"},
		{"change: id", "PATCH", "/_mock/complaints/1", `{"complaint_id":"2"}`, 400, "cannot change the complaint_id"},
		{"reply with a wrong type", "POST", "/_mock/complaints/1/user-reply", `{"media_urls":"x"}`, 400, "media_urls must be an array, and is a string"},
		{"an open complaint filed again", "POST", "/_mock/complaints/1/user-continue", "", 409, "complaint 1 is PENDING"},
		{"a refunded complaint refunded", "POST", "/_mock/complaints/1/platform-refund", "", 409, "complaint 1 is refunded in full already"},
		{"a body where there is none", "POST", "/_mock/complaints/1/user-continue", `{"text":"again"}`, 400, `unknown member "text": this path takes none`},

		{"unknown refund", "POST", "/_mock/refunds/refund-9/arrive", "", 404, "there is no refund refund-9"},
		{"refund that arrived", "POST", "/_mock/refunds/refund-1/close", "", 409, "refund refund-1 is SUCCESS, which is final"},
		{"refund with a body", "POST", "/_mock/refunds/refund-1/abnormal", "[]", 400, "the body is an array: this path takes none"},

		{"image: empty", "POST", "/_mock/images", "", 400, "the body is empty: it must be the bytes of an image"},

		{"fault: empty", "POST", "/_mock/faults", " \n", 400, "the body is empty: it must be a JSON object with path, kind, times"},
		{"fault: not JSON", "POST", "/_mock/faults", `{"kind":`, 400, "the body is not JSON"},
		{"fault: more follows", "POST", "/_mock/faults", `{"kind":"drop"} {}`, 400, "the body is not JSON"},
		{"fault: a list", "POST", "/_mock/faults", `[{"kind":"drop"}]`, 400, "the body is an array"},
		{"fault: a string", "POST", "/_mock/faults", `"drop"`, 400, "the body is a string"},
		{"fault: null", "POST", "/_mock/faults", "null", 400, "the body is null"},
		{"fault: null within", "POST", "/_mock/faults", `{"kind":"drop","times":null}`, 400, "times is null: leave it out instead"},
		{"fault: unknown member", "POST", "/_mock/faults", `{"kind":"drop","count":2}`, 400, `unknown member "count": it must be a JSON object with path`},
		{"fault: a member in upper case", "POST", "/_mock/faults", `{"Kind":"drop"}`, 400, `unknown member "Kind"`},
		{"fault: no kind", "POST", "/_mock/faults", `{"path":"complete"}`, 400, `no fault of the kind "": there are drop, lost_response`},
		{"fault: unknown kind", "POST", "/_mock/faults", `{"kind":"lost"}`, 400, `no fault of the kind "lost"`},
		{"fault: kind is a number", "POST", "/_mock/faults", `{"kind":500}`, 400, "kind must be a string, and is a number"},
		{"fault: times a fraction", "POST", "/_mock/faults", `{"kind":"drop","times":1.5}`, 400, "times must be an integer, and is the number 1.5"},
		{"fault: times negative", "POST", "/_mock/faults", `{"kind":"drop","times":-1}`, 400, "Times of a fault is -1"},
		{"fault: probability above 1", "POST", "/_mock/faults", `{"kind":"drop","probability":50}`, 400, "Probability of a fault is 50"},
		{"fault: probability a string", "POST", "/_mock/faults", `{"kind":"drop","probability":"0.5"}`, 400, "probability must be a number, and is a string"},
		{"fault: seed negative", "POST", "/_mock/faults", `{"kind":"drop","seed":-1}`, 400, "seed must be an integer from 0 on"},
		{"fault: delay negative", "POST", "/_mock/faults", `{"kind":"slow","delay_ms":-1}`, 400, "delay_ms is -1"},
		{"fault: delay of years", "POST", "/_mock/faults", `{"kind":"slow","delay_ms":9223372036854775807}`, 400, "must be from 0 to 3600000"},
		{"fault: takes_effect of a kind that has no choice", "POST", "/_mock/faults", `{"kind":"drop","takes_effect":true}`, 400, "no choice of the fault drop"},
		{"fault: refuse without an end", "POST", "/_mock/faults", `{"kind":"refuse"}`, 400, "needs delay_ms"},
		{"faults cleared with a body", "DELETE", "/_mock/faults", `{"path":"complete"}`, 400, `unknown member "path"`},

		{"notify: empty", "POST", "/_mock/notify", "", 400, "the body is empty: it must be a JSON object with url"},
		{"notify: no url", "POST", "/_mock/notify", `{"event_type":"COMPLAINT.CREATE","complaint_id":"1","action_type":"CREATE_COMPLAINT"}`, 400, "url is missing"},
		{"notify: url without a host", "POST", "/_mock/notify", `{"url":"/notify","event_type":"COMPLAINT.CREATE","complaint_id":"1","action_type":"CREATE_COMPLAINT"}`, 400, `url is "/notify", which is no URL`},
		{"notify: url of another scheme", "POST", "/_mock/notify", `{"url":"file:///etc/passwd","event_type":"COMPLAINT.CREATE","complaint_id":"1","action_type":"CREATE_COMPLAINT"}`, 400, "which is no URL"},
		{"notify: no event_type", "POST", "/_mock/notify", `{"url":"http://127.0.0.1:1/","complaint_id":"1","action_type":"CREATE_COMPLAINT"}`, 400, "event_type is missing"},
		{"notify: no complaint_id", "POST", "/_mock/notify", `{"url":"http://127.0.0.1:1/","event_type":"COMPLAINT.CREATE","action_type":"CREATE_COMPLAINT"}`, 400, "complaint_id is missing"},
		{"notify: no action_type", "POST", "/_mock/notify", `{"url":"http://127.0.0.1:1/","event_type":"COMPLAINT.CREATE","complaint_id":"1"}`, 400, "action_type is missing"},
		{"notify: complaint and refund", "POST", "/_mock/notify", `{"url":"http://127.0.0.1:1/","event_type":"REFUND.SUCCESS","complaint_id":"1","out_refund_no":"refund-1"}`, 400, "beside complaint_id"},
		{"notify: unknown refund", "POST", "/_mock/notify", `{"url":"http://127.0.0.1:1/","event_type":"REFUND.SUCCESS","out_refund_no":"refund-9"}`, 400, `there is no refund "refund-9"`},
		{"notify: unknown member", "POST", "/_mock/notify", `{"URL":"http://127.0.0.1:1/"}`, 400, `unknown member "URL"`},
		{"notify: create_time of another form", "POST", "/_mock/notify", `{"url":"http://127.0.0.1:1/","create_time":"today"}`, 400, "the body is wrong: "},
		{"notify: unknown key", "POST", "/_mock/notify", `{"url":"http://127.0.0.1:1/","event_type":"COMPLAINT.CREATE","complaint_id":"1","action_type":"X","serial":"ABC"}`, 400, `the server has no key "ABC"`},
		{"notify: fault of answers", "POST", "/_mock/notify", `{"url":"http://127.0.0.1:1/","event_type":"COMPLAINT.CREATE","complaint_id":"1","action_type":"X","fault":"drop"}`, 400, `"drop" is no fault of a notification`},
		{"notify: nobody listens", "POST", "/_mock/notify", `{"url":"` + gone.URL + `","event_type":"COMPLAINT.CREATE","complaint_id":"1","action_type":"X"}`, 502, "connection refused"},

		{"notification URL: missing", "PUT", "/_mock/notification-url", `{}`, 400, "url is missing"},
		{"notification URL: no URL", "PUT", "/_mock/notification-url", `{"url":"localhost:80"}`, 400, `url is "localhost:80", which is no URL`},
		{"deliver with a body", "POST", "/_mock/notifications/deliver", `{"id":"1"}`, 400, `unknown member "id"`},

		{"clock: empty", "POST", "/_mock/clock", "", 400, "the body is empty"},
		{"clock: stands still", "POST", "/_mock/clock", `{"advance_ms":0}`, 400, "the clock only moves on"},
		{"clock: back", "POST", "/_mock/clock", `{"advance_ms":-1}`, 400, "the clock only moves on"},
		{"clock: out of range", "POST", "/_mock/clock", `{"advance_ms":9223372036854775807}`, 400, "the clock only moves on"},
		{"clock: a duration", "POST", "/_mock/clock", `{"advance_ms":"5m"}`, 400, "advance_ms must be an integer, and is a string"},
		{"certificate announced with a body", "POST", "/_mock/certificates/announce", `{"serial_no":"1"}`, 400, "this path takes none"},
		{"certificate rotated with a body", "POST", "/_mock/certificates/rotate", `1`, 400, "the body is a number"},

		{"behavior: empty", "PATCH", "/_mock/behavior", "", 400, "the body is empty: it must be a JSON object with seed, key_mode"},
		{"behavior: unknown member", "PATCH", "/_mock/behavior", `{"trusted":true}`, 400, `unknown member "trusted"`},
		{"behavior: unknown member within", "PATCH", "/_mock/behavior", `{"wrong_state":{"http":400}}`, 400, `unknown field "http"`},
		{"behavior: unknown mode", "PATCH", "/_mock/behavior", `{"key_mode":"public"}`, 400, `key_mode is "public": there are switching, public_key and certificate`},
		{"behavior: no such status", "PATCH", "/_mock/behavior", `{"trusted_only":true,"wrong_state":{"status":200}}`, 400, "wrong_state is the status 200"},
		{"behavior: a refusal without a code", "PATCH", "/_mock/behavior", `{"refund_refusal":{"status":403}}`, 400, `refund_refusal is the status 403 with the code ""`},
		{"behavior: a refusal is a string", "PATCH", "/_mock/behavior", `{"wrong_state":"PARAM_ERROR"}`, 400, "wrong_state must be an object, and is a string"},
		{"behavior: no reply fits", "PATCH", "/_mock/behavior", `{"response_content_max":0}`, 400, "response_content_max is 0"},
		{"behavior: lag of years", "PATCH", "/_mock/behavior", `{"history_lag_ms":9223372036854775807}`, 400, "history_lag_ms is"},
		{"behavior: negative page", "PATCH", "/_mock/behavior", `{"max_page":-1}`, 400, "max_page is -1"},
	}
	state := func() string {
		var b strings.Builder
		for _, path := range []string{"/_mock/complaints/1", "/_mock/complaints/1/history", "/_mock/refunds", "/_mock/notifications", "/_mock/behavior", "/_mock/requests"} {
			_, answer := m.do(t, "GET", path, "")
			b.WriteString(answer)
		}
		return b.String()
	}
	before := state()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, answer := m.do(t, test.method, test.path, test.body)
			require.Equal(t, test.status, status, answer)
			var body map[string]string
			require.NoError(t, json.Unmarshal([]byte(answer), &body), answer)
			require.Len(t, body, 1)
			require.Contains(t, body["error"], test.want)
			require.NotContains(t, body["error"], "wechatpaytest")
		})
	}
	require.Equal(t, before, state())
	// None of the faults was taken.
	_, err := client.ComplaintsV2.Get(context.Background(), "1")
	require.NoError(t, err)
}

func createRefund(t *testing.T, client *wechatpay.Client, transactionID, number string) {
	body := map[string]any{
		"transaction_id": transactionID,
		"out_refund_no":  number,
		"amount":         map[string]any{"refund": 100, "total": 100, "currency": "CNY"},
	}
	require.NoError(t, client.Do(context.Background(), "POST", "/v3/refund/domestic/refunds", body, &struct{}{}))
}

func TestAllow(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	req, err := http.NewRequest("POST", m.url+"/_mock/behavior", nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, 405, resp.StatusCode)
	require.Equal(t, "GET, PATCH", resp.Header.Get("Allow"))
	require.Equal(t, "application/json; charset=utf-8", resp.Header.Get("Content-Type"))
}

// No web page rules the server, by its own name or by one that leads to loopback.
func TestFromElsewhere(t *testing.T) {
	tests := []struct {
		host, origin string
		allowRemote  bool
		status       int
	}{
		{"127.0.0.1:8080", "", false, 200},
		{"localhost:8080", "", false, 200},
		{"[::1]:8080", "", false, 200},
		{"127.0.0.1:8080", "http://127.0.0.1:8080", false, 200},
		{"127.0.0.1:8080", "http://127.0.0.1:9090", false, 403},
		{"127.0.0.1:8080", "https://shop.example", false, 403},
		{"127.0.0.1:8080", "null", false, 403},
		{"shop.example:8080", "", false, 403},
		{"shop.example:8080", "http://shop.example:8080", false, 403},
		{"192.0.2.1", "", false, 403},
		{"mock.internal:8080", "", true, 200},
		{"mock.internal:8080", "http://mock.internal:8080", true, 200},
		{"mock.internal:8080", "https://shop.example", true, 403},
	}
	for _, test := range tests {
		t.Run(test.host+" "+test.origin, func(t *testing.T) {
			c := &control{allowRemote: test.allowRemote, mux: http.NewServeMux()}
			r := httptest.NewRequest("POST", "/_mock/anything", nil)
			r.Host = test.host
			if test.origin != "" {
				r.Header.Set("Origin", test.origin)
			}
			w := httptest.NewRecorder()
			c.handler(func(*control, *http.Request) (int, any, error) { return 200, struct{}{}, nil }).ServeHTTP(w, r)
			require.Equal(t, test.status, w.Code, w.Body)
		})
	}
}

func TestComplaints(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	complaint := ok[wechatpay.Complaint](t, m, 201, "POST", "/_mock/complaints", `{"complaint_detail":"<没有> & \"收到\""}`)
	require.NotEmpty(t, complaint.ComplaintID)
	require.Equal(t, `<没有> & "收到"`, complaint.ComplaintDetail)
	require.Equal(t, wechatpay.ComplaintStatePending, complaint.ComplaintState)
	require.Equal(t, wechatpay.ProblemTypeRefund, complaint.ProblemType)
	require.Len(t, complaint.ComplaintOrderInfo, 1)
	path := "/_mock/complaints/" + complaint.ComplaintID
	require.Equal(t, complaint, ok[wechatpay.Complaint](t, m, 200, "GET", path, ""))

	mediaURL := ok[map[string]string](t, m, 201, "POST", "/_mock/images", "\x89PNG\r\n\x1a\nnot much")["media_url"]
	require.True(t, strings.HasPrefix(mediaURL, m.url+"/v3/merchant-service/images/"), mediaURL)
	require.True(t, ok[wechatpay.Complaint](t, m, 200, "POST", path+"/user-reply", `{"text":"还没有","media_urls":["`+mediaURL+`"]}`).IncomingUserResponse)
	ok[wechatpay.Complaint](t, m, 201, "POST", path+"/records", `{"operate_type":"PLATFORM_HELP_APPLICATION","operator":"平台客服"}`)
	refunded := ok[wechatpay.Complaint](t, m, 200, "POST", path+"/platform-refund", "")
	require.Equal(t, wechatpay.ComplaintStateProcessed, refunded.ComplaintState)
	require.True(t, refunded.ComplaintFullRefunded)
	require.Equal(t, 2, ok[wechatpay.Complaint](t, m, 200, "POST", path+"/user-continue", "{}").UserComplaintTimes)

	var types []string
	records := ok[list[wechatpay.NegotiationRecord]](t, m, 200, "GET", path+"/history", "").Data
	for _, record := range records {
		types = append(types, string(record.OperateType))
	}
	require.Equal(t, []string{"USER_CREATE_COMPLAINT", "USER_RESPONSE", "PLATFORM_HELP_APPLICATION", "COMPLAINT_ENTRUSTED_REFUND_SYSTEM_MESSAGE", "USER_CONTINUE_COMPLAINT"}, types)
	require.Equal(t, []string{mediaURL}, records[1].ComplaintMediaList[0].MediaURL)
}

// What users, staff and colleagues do beside replying.
func TestSteps(t *testing.T) {
	m := start(t)
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1"}`)
	const path = "/_mock/complaints/1"
	do := func(step, body string) wechatpay.Complaint {
		return ok[wechatpay.Complaint](t, m, 200, "POST", path+"/"+step, body)
	}
	require.True(t, do("user-ask-platform", `{"reason":"商家不处理"}`).InPlatformService)
	do("platform-reply", `{"text":"请尽快处理"}`)
	require.False(t, do("user-cancel-platform", "").InPlatformService)
	do("user-ask-platform", `{}`)
	require.False(t, do("platform-finish", "").InPlatformService)
	require.True(t, do("user-click", `{"message_content":"退款进度","action_id":"a"}`).IncomingUserResponse)
	require.Equal(t, wechatpay.ComplaintStateProcessed, do("merchant-decision", `{"action":"REJECT","reason":"已使用"}`).ComplaintState)
	var types []string
	for _, r := range ok[list[wechatpay.NegotiationRecord]](t, m, 200, "GET", path+"/history", "").Data {
		types = append(types, string(r.OperateType))
	}
	require.Equal(t, []string{"USER_CREATE_COMPLAINT", "USER_APPLY_PLATFORM_SERVICE", "PLATFORM_RESPONSE", "USER_CANCEL_PLATFORM_SERVICE",
		"USER_APPLY_PLATFORM_SERVICE", "PLATFORM_SERVICE_FINISHED", "USER_CLICK_RESPONSE", "MERCHANT_REFUSE_RERUND"}, types)
	changed := ok[wechatpay.Complaint](t, m, 200, "PATCH", path, `{"complaint_state":"PENDING","need_immediate_service":true}`)
	require.Equal(t, wechatpay.ComplaintStatePending, changed.ComplaintState)
	require.True(t, changed.NeedImmediateService)
	require.True(t, changed.IncomingUserResponse, "what is not named stays")
}

// After a reset all is as at the start, for the next test.
func TestReset(t *testing.T) {
	seed := filepath.Join(t.TempDir(), "seed.json")
	require.NoError(t, os.WriteFile(seed, []byte(`[{"complaint_id":"1"}]`), 0o600))
	dir := t.TempDir()
	m := start(t, "-dir", dir, "-seed", seed)
	_, before := m.do(t, "GET", "/_mock/behavior", "")
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"2"}`)
	ok[any](t, m, 200, "POST", "/_mock/complaints/1/merchant-decision", `{"action":"REJECT"}`)
	ok[any](t, m, 200, "PATCH", "/_mock/behavior", `{"path_in_body":false,"max_page":1,"sub_mchids":["1900000109"]}`)
	ok[any](t, m, 201, "POST", "/_mock/faults", `{"kind":"drop","times":3}`)
	require.Equal(t, []fault{{Kind: wechatpaytest.FaultDrop, Times: 3}}, ok[list[fault]](t, m, 200, "GET", "/_mock/faults", "").Data)

	status, _ := m.do(t, "POST", "/_mock/reset", "")
	require.Equal(t, 204, status)
	complaints := ok[list[wechatpay.Complaint]](t, m, 200, "GET", "/_mock/complaints", "").Data
	require.Len(t, complaints, 1)
	require.Equal(t, wechatpay.ComplaintStatePending, complaints[0].ComplaintState)
	require.Empty(t, ok[list[fault]](t, m, 200, "GET", "/_mock/faults", "").Data)
	_, after := m.do(t, "GET", "/_mock/behavior", "")
	require.Equal(t, before, after)
	_, err := newClient(t, dir).ComplaintsV2.Get(t.Context(), "1")
	require.NoError(t, err, "keys stay")
	require.Contains(t, m.stderr.String(), "GET /v3/merchant-service/complaints-v2/1", "requests are still shown")
}

func TestRefunds(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir)
	require.Equal(t, `{"data":[]}`, second(m.do(t, "GET", "/_mock/refunds", "")))
	client := newClient(t, dir)
	for _, test := range []struct{ number, step, status string }{
		{"refund-1", "arrive", "SUCCESS"},
		{"refund-2", "close", "CLOSED"},
		{"refund|*@3", "abnormal", "ABNORMAL"},
	} {
		complaint := ok[wechatpay.Complaint](t, m, 201, "POST", "/_mock/complaints", "{}")
		createRefund(t, client, complaint.ComplaintOrderInfo[0].TransactionID, test.number)
		settled := ok[refund](t, m, 200, "POST", "/_mock/refunds/"+strings.ReplaceAll(test.number, "|", "%7C")+"/"+test.step, "")
		require.Equal(t, test.number, settled.OutRefundNo)
		require.Equal(t, test.status, settled.Status)
		require.EqualValues(t, 100, settled.Amount)
	}
	require.Len(t, ok[list[refund]](t, m, 200, "GET", "/_mock/refunds", "").Data, 3)
}

func second(_ int, answer string) string { return answer }

func TestFaults(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir)
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1"}`)
	client, ctx := newClient(t, dir), context.Background()

	taken := ok[map[string]any](t, m, 201, "POST", "/_mock/faults", `{"path":"update-refund-progress","kind":"lost_response","times":2,"seed":7}`)
	require.Equal(t, map[string]any{"path": "update-refund-progress", "kind": "lost_response", "times": 2.0, "probability": 0.0, "seed": 7.0, "delay_ms": 0.0, "takes_effect": false}, taken)
	require.NoError(t, client.ComplaintsV2.UpdateRefundProgress(ctx, "1", wechatpay.ApproveRefund(0)), "the history tells")
	records := ok[list[wechatpay.NegotiationRecord]](t, m, 200, "GET", "/_mock/complaints/1/history", "").Data
	require.Equal(t, wechatpay.OperateTypeMerchantApproveRefund, records[len(records)-1].OperateType)

	ok[any](t, m, 201, "POST", "/_mock/faults", `{"kind":"error_503","probability":1}`)
	ok[any](t, m, 204, "DELETE", "/_mock/faults", "")
	_, err := client.ComplaintsV2.Get(ctx, "1")
	require.NoError(t, err)
	for _, r := range ok[list[summary]](t, m, 200, "GET", "/_mock/requests", "").Data {
		require.NotEqual(t, "error_503", string(r.Fault))
	}

	ok[any](t, m, 201, "POST", "/_mock/faults", `{"kind":"close_idle"}`)
	_, err = client.ComplaintsV2.Get(ctx, "1")
	require.NoError(t, err)
}

// New connections are refused for a while, and then are not.
func TestFaultRefuse(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	addr := strings.TrimPrefix(m.url, "http://")
	ok[any](t, m, 201, "POST", "/_mock/faults", `{"kind":"refuse","delay_ms":300}`)
	_, err := net.Dial("tcp", addr)
	require.ErrorContains(t, err, "connection refused")
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
}

// receiver is a merchant's endpoint.
type receiver struct {
	*httptest.Server
	bodies []string
	status int // that it answers with
}

func receive(t *testing.T) *receiver {
	r := &receiver{status: 200}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.bodies = append(r.bodies, string(body))
		w.WriteHeader(r.status)
		_, _ = w.Write([]byte(`{"code":"SUCCESS"}`))
	}))
	t.Cleanup(r.Close)
	return r
}

func TestNotify(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	r := receive(t)
	body := `{"url":"` + r.URL + `/notify","event_type":"COMPLAINT.CREATE","complaint_id":"1","action_type":"CREATE_COMPLAINT","id":"event-1","create_time":"2026-03-04T12:00:00+08:00"}`
	require.JSONEq(t, `{"status":200,"body":"{\"code\":\"SUCCESS\"}"}`, second(m.do(t, "POST", "/_mock/notify", body)))
	require.Contains(t, r.bodies[0], `"id":"event-1","create_time":"2026-03-04T12:00:00+08:00"`)
	r.status = 500
	require.JSONEq(t, `{"status":500,"body":"{\"code\":\"SUCCESS\"}"}`, second(m.do(t, "POST", "/_mock/notify", body)), "sent once, and not a failure of the control plane")
	require.Len(t, r.bodies, 2)
}

func TestNotifications(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	require.Equal(t, `{"data":[]}`, second(m.do(t, "GET", "/_mock/notifications", "")))
	r := receive(t)
	r.status = 503
	require.JSONEq(t, `{"url":"`+r.URL+`"}`, second(m.do(t, "PUT", "/_mock/notification-url", `{"url":"`+r.URL+`"}`)))
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1"}`)
	ok[any](t, m, 200, "POST", "/_mock/complaints/1/user-reply", `{"text":"?"}`)

	type entry struct {
		dueNotification
		Attempt  int
		Attempts int
		Status   int
		Body     string
		Error    string
		Due      time.Time
	}
	pending := ok[list[entry]](t, m, 200, "GET", "/_mock/notifications", "").Data
	require.Len(t, pending, 2)
	require.Equal(t, "COMPLAINT.CREATE", pending[0].EventType)
	require.Equal(t, "USER_RESPONSE", pending[1].ActionType)
	require.Equal(t, r.URL, pending[1].URL)

	done := ok[list[entry]](t, m, 200, "POST", "/_mock/notifications/deliver", "").Data
	require.Len(t, done, 2)
	require.Equal(t, 503, done[0].Status)
	require.Equal(t, pending[0].ID, done[0].ID)
	require.Equal(t, 1, ok[list[entry]](t, m, 200, "GET", "/_mock/notifications", "").Data[0].Attempts)
	require.Empty(t, ok[list[entry]](t, m, 200, "POST", "/_mock/notifications/deliver", "").Data, "not due yet")

	before := ok[map[string]time.Time](t, m, 200, "GET", "/_mock/clock", "")["now"]
	after := ok[map[string]time.Time](t, m, 200, "POST", "/_mock/clock", `{"advance_ms":61000}`)["now"]
	require.GreaterOrEqual(t, after.Sub(before), 61*time.Second)
	r.Close()
	done = ok[list[entry]](t, m, 200, "POST", "/_mock/notifications/deliver", "").Data
	require.Len(t, done, 2)
	require.Equal(t, 2, done[0].Attempt)
	require.Contains(t, done[0].Error, "connection refused")
	require.Zero(t, done[0].Status)

	ok[any](t, m, 200, "PUT", "/_mock/notification-url", `{"url":""}`)
	ok[any](t, m, 200, "POST", "/_mock/complaints/1/user-reply", `{"text":"?"}`)
	require.Len(t, ok[list[entry]](t, m, 200, "GET", "/_mock/notifications", "").Data, 2)
}

// Clients and receivers have the machine's clock, and go on when the server's
// moves.
func TestClock(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir)
	client := newClient(t, dir)
	receiver := httptest.NewServer(client.NotificationHandler(func(context.Context, *wechatpay.Notification) error { return nil }))
	defer receiver.Close()
	ok[any](t, m, 200, "PUT", "/_mock/notification-url", `{"url":"`+receiver.URL+`"}`)
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1"}`)
	before := ok[struct{ Now time.Time }](t, m, 200, "GET", "/_mock/clock", "").Now
	ok[any](t, m, 200, "POST", "/_mock/clock", `{"advance_ms":3600000}`)
	require.Greater(t, ok[struct{ Now time.Time }](t, m, 200, "GET", "/_mock/clock", "").Now.Sub(before), 59*time.Minute)
	_, err := client.ComplaintsV2.Get(context.Background(), "1")
	require.NoError(t, err)
	delivered := ok[list[struct {
		Status int    `json:"status"`
		Body   string `json:"body"`
	}]](t, m, 200, "POST", "/_mock/notifications/deliver", "").Data
	require.Len(t, delivered, 1)
	require.Equal(t, 200, delivered[0].Status, delivered[0].Body)
}

func TestRequests(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir)
	require.Equal(t, `{"data":[]}`, second(m.do(t, "GET", "/_mock/requests", "")))
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1"}`)
	require.NoError(t, newClient(t, dir).ComplaintsV2.UpdateRefundProgress(context.Background(), "1", wechatpay.RejectRefund("已发货")))
	status, answer := m.do(t, "GET", "/_mock/requests", "")
	require.Equal(t, 200, status)
	var requests list[struct {
		summary
		Header   http.Header `json:"header"`
		Body     string      `json:"body"`
		Response string      `json:"response"`
	}]
	require.NoError(t, json.Unmarshal([]byte(answer), &requests))
	last := requests.Data[len(requests.Data)-1]
	require.Equal(t, "POST", last.Method)
	require.Equal(t, 204, last.Status)
	require.True(t, last.TookEffect)
	require.JSONEq(t, `{"action":"REJECT","reject_reason":"已发货"}`, last.Body)
	require.Equal(t, "application/json", last.Header.Get("Accept"))
	require.NotContains(t, answer, "WECHATPAY2-SHA256-RSA2048 ", "a signature is as good as the merchant's word")
}

func TestBehaviour(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir)
	before := ok[behavior](t, m, 200, "GET", "/_mock/behavior", "")
	require.Equal(t, "switching", string(before.KeyMode))
	require.True(t, before.PathInBody)

	want := before
	want.SubMchIDs = []string{"1900000002", "1900000003"}
	want.WrongState.Code = "PARAM_ERROR"
	want.TrustedOnly, want.RefundsArrive, want.JumpLinks, want.AnyMediaID = true, true, true, true
	want.ListOldestFirst, want.HistoryOldestFirst, want.NotifyOwnActions = true, true, true
	want.UnknownComplaint = refusal{403, "NO_AUTH"}
	want.ResultTooLarge = refusal{400, "PARAM_ERROR"}
	want.RefundRefusal = refusal{403, "NOT_ENOUGH"}
	want.HistoryLagMS, want.MaxPage, want.ResponseContentMax, want.Seed = 1500, 20, 200, 9
	want.KeyMode, want.PathInBody = "public_key", false
	body, err := json.Marshal(want)
	require.NoError(t, err)
	require.Equal(t, want, ok[behavior](t, m, 200, "PATCH", "/_mock/behavior", string(body)), "every field goes in and comes out")
	require.Equal(t, want, ok[behavior](t, m, 200, "GET", "/_mock/behavior", ""))

	// What is left out stays, within an object too.
	want.TrustedOnly, want.SubMchIDs, want.WrongState.StatusCode = false, []string{}, 409
	require.Equal(t, want, ok[behavior](t, m, 200, "PATCH", "/_mock/behavior", `{"trusted_only":false,"sub_mchids":[],"wrong_state":{"status":409}}`))

	// It holds.
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1"}`)
	client, ctx := newClient(t, dir), context.Background()
	require.NoError(t, client.ComplaintsV2.Complete(ctx, "1", nil))
	var refused *wechatpay.APIError
	require.ErrorAs(t, client.ComplaintsV2.Complete(ctx, "1", nil), &refused)
	require.Equal(t, 409, refused.StatusCode)
	require.Equal(t, wechatpay.ErrorCodeParamError, refused.Code)
}

func TestCertificates(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir)
	client, ctx := newClient(t, dir), context.Background()
	serials := func() []string {
		var answer struct {
			Data []struct {
				SerialNo string `json:"serial_no"`
			}
		}
		require.NoError(t, client.Do(ctx, "GET", "/v3/certificates", nil, &answer))
		var all []string
		for _, entry := range answer.Data {
			all = append(all, entry.SerialNo)
		}
		return all
	}
	first := serials()
	require.Len(t, first, 1)
	announced := ok[map[string]string](t, m, 200, "POST", "/_mock/certificates/announce", "")["serial_no"]
	require.Equal(t, []string{first[0], announced}, serials())
	require.Equal(t, announced, ok[map[string]string](t, m, 200, "POST", "/_mock/certificates/rotate", "")["serial_no"])
	next := ok[map[string]string](t, m, 200, "POST", "/_mock/certificates/rotate", "{}")["serial_no"]
	require.Equal(t, []string{first[0], announced, next}, serials())
}

// The paths of the API are not the control plane's to change: an image id with
// two slashes reaches the server as it was sent.
func TestAPIPathsAreLeftAlone(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	status, answer := m.do(t, "GET", "/v3/merchant-service/images/a//b==", "")
	require.Equal(t, 400, status, "no Accept, and no redirect")
	require.Contains(t, answer, "INVALID_REQUEST")
	requests := ok[list[summary]](t, m, 200, "GET", "/_mock/requests", "").Data
	require.Equal(t, "/v3/merchant-service/images/a//b==", requests[0].Path)
}

// The help and the package comment name every path, so that neither lags behind.
func TestEveryPathIsDocumented(t *testing.T) {
	source, err := io.ReadAll(open(t, "main.go"))
	require.NoError(t, err)
	comment, _, _ := bytes.Cut(source, []byte("\npackage main"))
	fields := strings.Join(strings.Fields(string(comment)), " ")
	for _, route := range routes {
		require.Contains(t, fields, "// "+route.pattern+" ", route.pattern)
	}
}

func open(t *testing.T, name string) io.Reader {
	f, err := os.Open(name)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// A field that wechatpaytest.Behavior gets is in the control plane too, or is
// named here.
func TestEveryBehaviour(t *testing.T) {
	var names []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[behavior]()) {
		names = append(names, strings.TrimSuffix(field.Name, "MS"))
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[wechatpaytest.Behavior]()) {
		switch field.Name {
		case "Time", "WireTime", "NotifyTransport", "Log": // no JSON
		default:
			require.Contains(t, names, field.Name)
		}
	}
}
