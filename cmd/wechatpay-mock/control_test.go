package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// badRequests are tried with complaint 1, which refund refund-1 has refunded in
// full. {closed} is the URL of a closed port.
var badRequests = []struct {
	name, method, path, body string
	status                   int
	want                     string // part of the error
}{
	{"unknown path", "GET", "/_mock/complaint", "", 404, "unknown path /_mock/complaint: "},
	{"empty path", "GET", "/_mock/", "", 404, "unknown path /_mock/: "},
	{"unsupported method", "PUT", "/_mock/complaints", "{}", 405, "/_mock/complaints does not support PUT: use GET, POST"},
	{"unsupported method, three supported", "PUT", "/_mock/faults", "{}", 405, "use GET, POST, DELETE"},
	{"unsupported method of a complaint", "DELETE", "/_mock/complaints/1", "", 405, "use GET, PATCH"},
	{"query parameters", "GET", "/_mock/requests?limit=5", "", 400, `takes no query parameters, got "limit=5"`},

	{"complaint: empty", "POST", "/_mock/complaints", "", 400, "must not be empty"},
	{"complaint: not JSON", "POST", "/_mock/complaints", "complaint_id=1", 400, "is not valid JSON"},
	{"complaint: a list", "POST", "/_mock/complaints", "[{}]", 400, "must be a JSON object, got an array"},
	{"complaint: trailing data", "POST", "/_mock/complaints", "{}{}", 400, "has data after the JSON object"},
	{"complaint: unknown field", "POST", "/_mock/complaints", `{"complainted_mch_id":"1"}`, 400, "/complainted_mch_id: is not a parameter"},
	{"complaint: nested unknown field", "POST", "/_mock/complaints", `{"complaint_order_info":[{"total":1}]}`, 400, "/complaint_order_info/0/total: is not a parameter"},
	{"complaint: wrong type", "POST", "/_mock/complaints", `{"user_complaint_times":"1"}`, 400, "/user_complaint_times: must be an integer, got a string"},
	{"complaint: null", "POST", "/_mock/complaints", `{"payer_phone":null}`, 400, "/payer_phone: must not be null"},
	{"complaint: invalid time", "POST", "/_mock/complaints", `{"complaint_time":"yesterday"}`, 400, "/complaint_time: must be an RFC 3339 time"},
	{"complaint: emoji", "POST", "/_mock/complaints", `{"complaint_detail":"😡"}`, 400, "/complaint_detail: contains U+1F621"},
	{"complaint: too large", "POST", "/_mock/complaints", `{"complaint_detail":"` + strings.Repeat("x", maxBody) + `"}`, 413, "the body exceeds 8388608 bytes"},

	{"unknown complaint", "GET", "/_mock/complaints/9", "", 404, "complaint 9 not found"},
	{"history of an unknown complaint", "GET", "/_mock/complaints/9/history", "", 404, "complaint 9 not found"},
	{"record of an unknown complaint", "POST", "/_mock/complaints/9/records", `{"operate_type":"USER_RESPONSE"}`, 404, "complaint 9 not found"},
	{"reply to an unknown complaint", "POST", "/_mock/complaints/9/user-reply", `{"text":"?"}`, 404, "complaint 9 not found"},
	{"continue an unknown complaint", "POST", "/_mock/complaints/9/user-continue", "", 404, "complaint 9 not found"},
	{"refund an unknown complaint", "POST", "/_mock/complaints/9/platform-refund", "", 404, "complaint 9 not found"},
	{"record without a type", "POST", "/_mock/complaints/1/records", `{"operate_details":"?"}`, 400, "/operate_type: is required"},
	{"record with an unknown field", "POST", "/_mock/complaints/1/records", `{"operate_typ":"USER_RESPONSE"}`, 400, `unknown field "operate_typ"`},
	{"user reply: empty", "POST", "/_mock/complaints/1/user-reply", `{"text":""}`, 400, "text or media_urls is required"},
	{"user reply: too long", "POST", "/_mock/complaints/1/user-reply", `{"text":"` + strings.Repeat("a", 501) + `"}`, 400, "must have at most 500 characters, got 501"},
	{"platform reply: empty", "POST", "/_mock/complaints/1/platform-reply", `{}`, 400, "text or media_urls is required"},
	{"platform reply: unknown image", "POST", "/_mock/complaints/1/platform-reply", `{"media_urls":["x"]}`, 400, "unknown media_url"},
	{"user click: unknown field", "POST", "/_mock/complaints/1/user-click", `{"-":1}`, 400, `unknown field "-"`},
	{"cancel platform help that was not requested", "POST", "/_mock/complaints/1/user-cancel-platform", "", 409, "is already false"},
	{"finish platform help that was not requested", "POST", "/_mock/complaints/1/platform-finish", "", 409, "is already false"},
	{"decision: unknown action", "POST", "/_mock/complaints/1/merchant-decision", `{"action":"WAIT"}`, 400, `action must be APPROVE or REJECT, got "WAIT"`},
	{"decision: refunded complaint", "POST", "/_mock/complaints/1/merchant-decision", `{"action":"APPROVE"}`, 409, "refunded in full"},
	{"decision: unknown complaint", "POST", "/_mock/complaints/9/merchant-decision", `{"action":"APPROVE"}`, 404, "complaint 9 not found"},
	{"change of an unknown complaint", "PATCH", "/_mock/complaints/9", `{}`, 404, "complaint 9 not found"},
	{"change: unknown field", "PATCH", "/_mock/complaints/1", `{"state":"PENDING"}`, 400, `unknown field "state": expected a JSON object with complaint_id, complaint_time`},
	{"change: id", "PATCH", "/_mock/complaints/1", `{"complaint_id":"2"}`, 400, "complaint_id cannot change"},
	{"change: null", "PATCH", "/_mock/complaints/1", `{"complaint_state":null}`, 400, "complaint_state must not be null"},
	{"change: wrong type", "PATCH", "/_mock/complaints/1", `{"user_complaint_times":"1"}`, 400, "user_complaint_times must be an integer, got a string"},
	{"change: nested unknown field", "PATCH", "/_mock/complaints/1", `{"complaint_order_info":[{"total":1}]}`, 400, `unknown field "total"`},
	{"change: too long", "PATCH", "/_mock/complaints/1", `{"complaint_detail":"` + strings.Repeat("长", 301) + `"}`, 400, "/complaint_detail"},
	{"user reply: wrong type", "POST", "/_mock/complaints/1/user-reply", `{"media_urls":"x"}`, 400, "media_urls must be an array, got a string"},
	{"continue an open complaint", "POST", "/_mock/complaints/1/user-continue", "", 409, "complaint 1 must be PROCESSED to be filed again, got PENDING"},
	{"refund a refunded complaint", "POST", "/_mock/complaints/1/platform-refund", "", 409, "complaint 1 is already refunded in full"},
	{"continue with a body", "POST", "/_mock/complaints/1/user-continue", `{"text":"again"}`, 400, `unknown field "text": expected no body`},

	{"unknown refund", "POST", "/_mock/refunds/refund-9/arrive", "", 404, "refund refund-9 not found"},
	{"final refund", "POST", "/_mock/refunds/refund-1/close", "", 409, "refund refund-1 is already SUCCESS"},
	{"refund with a body", "POST", "/_mock/refunds/refund-1/abnormal", "[]", 400, "the body is an array: expected no body"},

	{"image: empty", "POST", "/_mock/images", "", 400, "the body is empty: expected the bytes of an image"},

	{"fault: empty", "POST", "/_mock/faults", " \n", 400, "the body is empty: expected a JSON object with path, kind, times"},
	{"fault: not JSON", "POST", "/_mock/faults", `{"kind":`, 400, "the body is not JSON"},
	{"fault: trailing data", "POST", "/_mock/faults", `{"kind":"drop"} {}`, 400, "the body is not JSON"},
	{"fault: a list", "POST", "/_mock/faults", `[{"kind":"drop"}]`, 400, "the body is an array"},
	{"fault: a string", "POST", "/_mock/faults", `"drop"`, 400, "the body is a string"},
	{"fault: null", "POST", "/_mock/faults", "null", 400, "the body is null"},
	{"fault: null field", "POST", "/_mock/faults", `{"kind":"drop","times":null}`, 400, "times must not be null: omit it instead"},
	{"fault: unknown field", "POST", "/_mock/faults", `{"kind":"drop","count":2}`, 400, `unknown field "count": expected a JSON object with path`},
	{"fault: field in upper case", "POST", "/_mock/faults", `{"Kind":"drop"}`, 400, `unknown field "Kind"`},
	{"fault: no kind", "POST", "/_mock/faults", `{"path":"complete"}`, 400, `unknown Kind "", must be one of drop, lost_response`},
	{"fault: unknown kind", "POST", "/_mock/faults", `{"kind":"lost"}`, 400, `unknown Kind "lost"`},
	{"fault: kind is a number", "POST", "/_mock/faults", `{"kind":500}`, 400, "kind must be a string, got a number"},
	{"fault: fractional times", "POST", "/_mock/faults", `{"kind":"drop","times":1.5}`, 400, "times must be an integer, got the number 1.5"},
	{"fault: negative times", "POST", "/_mock/faults", `{"kind":"drop","times":-1}`, 400, "Times must not be negative, got -1"},
	{"fault: probability above 1", "POST", "/_mock/faults", `{"kind":"drop","probability":50}`, 400, "Probability must be from 0 to 1, got 50"},
	{"fault: probability is a string", "POST", "/_mock/faults", `{"kind":"drop","probability":"0.5"}`, 400, "probability must be a number, got a string"},
	{"fault: negative seed", "POST", "/_mock/faults", `{"kind":"drop","seed":-1}`, 400, "seed must be a non-negative integer"},
	{"fault: negative delay", "POST", "/_mock/faults", `{"kind":"slow","delay_ms":-1}`, 400, "delay_ms must be from 0 to 3600000, got -1"},
	{"fault: huge delay", "POST", "/_mock/faults", `{"kind":"slow","delay_ms":9223372036854775807}`, 400, "delay_ms must be from 0 to 3600000, got 9223372036854775807"},
	{"fault: takes_effect not supported by the kind", "POST", "/_mock/faults", `{"kind":"drop","takes_effect":true}`, 400, "TakesEffect does not apply to drop"},
	{"fault: refuse without delay", "POST", "/_mock/faults", `{"kind":"refuse"}`, 400, "the fault refuse requires delay_ms"},
	{"clear faults with a body", "DELETE", "/_mock/faults", `{"path":"complete"}`, 400, `unknown field "path"`},

	{"notify: empty", "POST", "/_mock/notify", "", 400, "the body is empty: expected a JSON object with url"},
	{"notify: no url", "POST", "/_mock/notify", `{"event_type":"COMPLAINT.CREATE","complaint_id":"1","action_type":"CREATE_COMPLAINT"}`, 400, "url is required: no notification URL is set"},
	{"notify: unknown merchant", "POST", "/_mock/notify", `{"mchid":"1900000009","event_type":"COMPLAINT.CREATE","complaint_id":"1","action_type":"CREATE_COMPLAINT"}`, 404, "merchant 1900000009 not found"},
	{"notify: url without a host", "POST", "/_mock/notify", `{"url":"/notify","event_type":"COMPLAINT.CREATE","complaint_id":"1","action_type":"CREATE_COMPLAINT"}`, 400, `url must be an absolute http or https URL, got "/notify"`},
	{"notify: unsupported scheme", "POST", "/_mock/notify", `{"url":"file:///etc/passwd","event_type":"COMPLAINT.CREATE","complaint_id":"1","action_type":"CREATE_COMPLAINT"}`, 400, "url must be an absolute http or https URL"},
	{"notify: no event_type", "POST", "/_mock/notify", `{"url":"http://127.0.0.1:1/","complaint_id":"1","action_type":"CREATE_COMPLAINT"}`, 400, "event_type is required"},
	{"notify: no complaint_id", "POST", "/_mock/notify", `{"url":"http://127.0.0.1:1/","event_type":"COMPLAINT.CREATE","action_type":"CREATE_COMPLAINT"}`, 400, "complaint_id is required"},
	{"notify: no action_type", "POST", "/_mock/notify", `{"url":"http://127.0.0.1:1/","event_type":"COMPLAINT.CREATE","complaint_id":"1"}`, 400, "action_type is required"},
	{"notify: complaint and refund", "POST", "/_mock/notify", `{"url":"http://127.0.0.1:1/","event_type":"REFUND.SUCCESS","complaint_id":"1","out_refund_no":"refund-1"}`, 400, "out_refund_no cannot be combined with complaint_id or action_type"},
	{"notify: unknown refund", "POST", "/_mock/notify", `{"url":"http://127.0.0.1:1/","event_type":"REFUND.SUCCESS","out_refund_no":"refund-9"}`, 400, `unknown refund "refund-9"`},
	{"notify: unknown field", "POST", "/_mock/notify", `{"URL":"http://127.0.0.1:1/"}`, 400, `unknown field "URL"`},
	{"notify: invalid create_time", "POST", "/_mock/notify", `{"url":"http://127.0.0.1:1/","create_time":"today"}`, 400, "invalid body: "},
	{"notify: unknown key", "POST", "/_mock/notify", `{"url":"http://127.0.0.1:1/","event_type":"COMPLAINT.CREATE","complaint_id":"1","action_type":"X","serial":"ABC"}`, 400, `unknown key "ABC"`},
	{"notify: fault of responses", "POST", "/_mock/notify", `{"url":"http://127.0.0.1:1/","event_type":"COMPLAINT.CREATE","complaint_id":"1","action_type":"X","fault":"drop"}`, 400, `fault "drop" does not apply to notifications`},
	{"notify: connection refused", "POST", "/_mock/notify", `{"url":"{closed}","event_type":"COMPLAINT.CREATE","complaint_id":"1","action_type":"X"}`, 502, "connection refused"},

	{"notification URL: missing", "PUT", "/_mock/notification-url", `{}`, 400, "url is required"},
	{"notification URL: invalid", "PUT", "/_mock/notification-url", `{"url":"localhost:80"}`, 400, `url must be an absolute http or https URL, got "localhost:80"`},
	{"notification URL: unknown merchant", "PUT", "/_mock/notification-url", `{"mchid":"1900000009","url":""}`, 404, "merchant 1900000009 not found"},
	{"merchant: no mchid", "POST", "/_mock/merchants", `{}`, 400, `mchid must have 1 to 32 digits, got ""`},
	{"merchant: a path", "POST", "/_mock/merchants", `{"mchid":"../1"}`, 400, `mchid must have 1 to 32 digits, got "../1"`},
	{"merchant: the first", "POST", "/_mock/merchants", `{"mchid":"1900000001"}`, 409, "merchant 1900000001 already exists"},
	{"merchant: unknown field", "POST", "/_mock/merchants", `{"mchid":"1900000002","key":""}`, 400, `unknown field "key": expected a JSON object with mchid, sub_mchids`},
	{"deliver with a body", "POST", "/_mock/notifications/deliver", `{"id":"1"}`, 400, `unknown field "id"`},

	{"clock: empty", "POST", "/_mock/clock", "", 400, "the body is empty"},
	{"clock: zero", "POST", "/_mock/clock", `{"advance_ms":0}`, 400, "advance_ms must be from 1 to 3153600000000, got 0"},
	{"clock: negative", "POST", "/_mock/clock", `{"advance_ms":-1}`, 400, "advance_ms must be from 1 to 3153600000000, got -1"},
	{"clock: out of range", "POST", "/_mock/clock", `{"advance_ms":9223372036854775807}`, 400, "advance_ms must be from 1 to 3153600000000, got 9223372036854775807"},
	{"clock: not a number", "POST", "/_mock/clock", `{"advance_ms":"5m"}`, 400, "advance_ms must be an integer, got a string"},
	{"announce a certificate with a body", "POST", "/_mock/certificates/announce", `{"serial_no":"1"}`, 400, "expected no body"},
	{"rotate certificates with a body", "POST", "/_mock/certificates/rotate", `1`, 400, "the body is a number"},

	{"behavior: empty", "PATCH", "/_mock/behavior", "", 400, "the body is empty: expected a JSON object with seed, key_mode"},
	{"behavior: unknown field", "PATCH", "/_mock/behavior", `{"trusted":true}`, 400, `unknown field "trusted"`},
	{"behavior: nested unknown field", "PATCH", "/_mock/behavior", `{"wrong_state":{"http":400}}`, 400, `unknown field "http"`},
	{"behavior: unknown key mode", "PATCH", "/_mock/behavior", `{"key_mode":"public"}`, 400, `key_mode must be switching, public_key or certificate, got "public"`},
	{"behavior: refusal with status 200", "PATCH", "/_mock/behavior", `{"trusted_only":true,"wrong_state":{"status":200}}`, 400, "wrong_state must have a status from 400 to 599 and a code, got status 200"},
	{"behavior: refusal without a code", "PATCH", "/_mock/behavior", `{"refund_refusal":{"status":403}}`, 400, `refund_refusal must have a status from 400 to 599 and a code, got status 403 and code ""`},
	{"behavior: refusal is a string", "PATCH", "/_mock/behavior", `{"wrong_state":"PARAM_ERROR"}`, 400, "wrong_state must be an object, got a string"},
	{"behavior: response_content_max 0", "PATCH", "/_mock/behavior", `{"response_content_max":0}`, 400, "response_content_max must be at least 1, got 0"},
	{"behavior: huge history lag", "PATCH", "/_mock/behavior", `{"history_lag_ms":9223372036854775807}`, 400, "history_lag_ms must be from 0 to 3600000, got"},
	{"behavior: negative max_page", "PATCH", "/_mock/behavior", `{"max_page":-1}`, 400, "max_page must be 0 or more, got -1"},
	{"behavior: negative rate limit", "PATCH", "/_mock/behavior", `{"rate_limits":{"reply":-1}}`, 400, "rate_limits.reply must be 0 (none) or more, got -1"},
	{"behavior: unknown rate limit", "PATCH", "/_mock/behavior", `{"rate_limits":{"detail":1}}`, 400, `unknown field "detail"`},
	{"behavior: notification loss in percent", "PATCH", "/_mock/behavior", `{"notification_loss":50}`, 400, "notification_loss must be from 0 to 1, got 50"},
}

func TestControl_ServeHTTP_badRequests(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir)
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1","complaint_order_info":[{"transaction_id":"4200","amount":100}]}`)
	client := newClient(t, dir)
	createRefund(t, client, "4200", "refund-1")
	ok[any](t, m, 200, "POST", "/_mock/refunds/refund-1/arrive", "")
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()

	state := func() string {
		var b strings.Builder
		for _, path := range []string{"/_mock/complaints/1", "/_mock/complaints/1/history", "/_mock/refunds",
			"/_mock/notifications", "/_mock/behavior", "/_mock/requests", "/_mock/faults"} {
			b.WriteString(m.raw(t, "GET", path, ""))
		}
		return b.String()
	}
	before := state()
	for _, test := range badRequests {
		t.Run(test.name, func(t *testing.T) {
			status, response := m.do(t, test.method, test.path, strings.ReplaceAll(test.body, "{closed}", closed.URL))
			require.Equal(t, test.status, status, response)
			var body map[string]string
			require.NoError(t, json.Unmarshal([]byte(response), &body), response)
			require.Len(t, body, 1)
			require.Contains(t, body["error"], test.want)
			require.NotContains(t, body["error"], "wechatpaytest")
		})
	}
	require.Equal(t, before, state(), "bad requests change nothing")
	_, err := client.ComplaintsV2.Get(context.Background(), "1")
	require.NoError(t, err)
}

func TestControl_ServeHTTP_allowHeader(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	resp, err := http.Post(m.url+"/_mock/behavior", "", nil)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, 405, resp.StatusCode)
	require.Equal(t, "GET, PATCH", resp.Header.Get("Allow"))
	require.Equal(t, "application/json; charset=utf-8", resp.Header.Get("Content-Type"))
}

func TestControl_checkOrigin(t *testing.T) {
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

// Web pages reach no path of the server, not even the API. Clients may send WeChat
// Pay's host names to the API, as they do through a proxy.
func TestControl_ServeHTTP_foreignHostAndOrigin(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1"}`)
	send := func(path, host, origin string) (int, string) {
		req, err := http.NewRequest("GET", m.url+path, nil)
		require.NoError(t, err)
		req.Host = host
		if origin != "" {
			req.Header.Set("Origin", origin)
		}
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		return resp.StatusCode, string(readBody(t, resp))
	}
	before := m.raw(t, "GET", "/_mock/requests", "")
	const detail = "/v3/merchant-service/complaints-v2/1"
	for _, path := range []string{"/", "/_mock/complaints", "/_mock/page", "/_mock/nothing", detail, "/storage/1/eA", "/nothing"} {
		for _, from := range [][2]string{
			{"shop.example", ""}, {"shop.example", "http://shop.example"},
			{"", "https://shop.example"}, {"", "null"}, {"api.mch.weixin.qq.com", "https://shop.example"},
		} {
			status, body := send(path, from[0], from[1])
			require.Equal(t, 403, status, "%s %q: %s", path, from, body)
		}
	}
	require.Equal(t, before, m.raw(t, "GET", "/_mock/requests", ""), "nothing reached the server")
	_, body := send(detail, "shop.example:80", "")
	require.JSONEq(t, `{"code":"NO_AUTH","message":"host \"shop.example:80\" is not loopback: set -allow-remote to allow it"}`, body)
	require.Contains(t, m.stderr.String(), "GET "+detail+` → 403 NO_AUTH: host "shop.example:80" is not loopback`)

	for _, host := range []string{"api.mch.weixin.qq.com", "api2.wechatpay.cn:443", "localhost"} {
		status, body := send(detail, host, "")
		require.Equal(t, 400, status, body)
		require.Contains(t, body, "Accept: is required")
	}
	status, _ := send("/_mock/complaints", "api.mch.weixin.qq.com", "")
	require.Equal(t, 403, status)
}

// API requests are passed on unchanged: ServeMux would clean the path of an image
// id with two slashes.
func TestControl_ServeHTTP_apiRequests(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	for i, path := range []string{"/v3/merchant-service/images/a//b==", "/index.html", "/favicon.ico", "/_mock2/"} {
		status, response := m.do(t, "GET", path, "")
		require.Equal(t, 400, status, "no Accept header, and no redirect")
		require.Contains(t, response, "INVALID_REQUEST")
		require.Equal(t, path, data[summary](t, m, "/_mock/requests")[i].Path)
	}
}

// A request whose body never ends does not delay the exit.
func TestControl_ServeHTTP_stopsWithHalfBody(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	conn, err := net.Dial("tcp", strings.TrimPrefix(m.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "POST /_mock/faults HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n")
	require.NoError(t, err)
	line := make([]byte, len("HTTP/1.1 100 Continue"))
	_, err = io.ReadFull(conn, line)
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 100 Continue", string(line), "the body is being read")
	require.Equal(t, 0, m.stop())
	require.NotContains(t, m.stderr.String(), "still in progress")
}

func TestRoutes_documented(t *testing.T) {
	source, err := os.ReadFile("main.go")
	require.NoError(t, err)
	comment, _, _ := strings.Cut(string(source), "\npackage main")
	fields := strings.Join(strings.Fields(comment), " ")
	for _, route := range routes {
		require.Contains(t, fields, "// "+route.pattern+" ", route.pattern)
	}
}
