package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
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
