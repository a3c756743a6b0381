package wechatpay_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

// answering makes a Client whose service answers one error body.
func answering(t testing.TB, status int, body *string) *wechatpay.Client {
	t.Helper()
	client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Request-ID", "08F7-268447840")
		w.WriteHeader(status)
		w.Write([]byte(*body))
	})
	return client
}

func TestAPIErrorReadsWhatIsReadable(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		code       wechatpay.ErrorCode
		message    string
		detail     string
		text       string // of the error, after the status
	}{
		{"code and message", `{"code":"NO_AUTH","message":"无权限"}`, "NO_AUTH", "无权限", "", " NO_AUTH: 无权限"},
		{"unknown code", `{"code":"NEW_CODE"}`, "NEW_CODE", "", "", " NEW_CODE"},
		{"value of any type", `{"code":"PARAM_ERROR","message":"m","detail":{"field":"offset","value":-1,"issue":"too small","location":"query"}}`,
			"PARAM_ERROR", "m", `{"field":"offset","value":-1,"issue":"too small","location":"query"}`, " PARAM_ERROR: m (offset: too small)"},
		{"location null, value a list", `{"code":"PARAM_ERROR","message":"m","detail":{"value":["/a","/b"],"location":null}}`,
			"PARAM_ERROR", "m", `{"value":["/a","/b"],"location":null}`, " PARAM_ERROR: m"},
		{"detail is text", `{"code":"PARAM_ERROR","message":"m","detail":"why"}`, "PARAM_ERROR", "m", `"why"`, " PARAM_ERROR: m"},
		{"field of another type", `{"code":"PARAM_ERROR","message":"m","detail":{"field":["a"],"issue":"i"}}`, "PARAM_ERROR", "m", `{"field":["a"],"issue":"i"}`, " PARAM_ERROR: m (i)"},
		{"detail null", `{"code":"PARAM_ERROR","message":"m","detail":null}`, "PARAM_ERROR", "m", "", " PARAM_ERROR: m"},
		{"code a number", `{"code":1,"message":"m"}`, "", "m", "", ": m"},
		{"lines in the message", `{"code":"A","message":"one\ntwo"}`, "A", "one\ntwo", "", " A: one two"},
		{"not JSON", "<html>\n503\n</html>", "", "not WeChat Pay's error format: <html> 503 </html>", "", ": not WeChat Pay's error format: <html> 503 </html>"},
		{"JSON, but no object", `[]`, "", "not WeChat Pay's error format: []", "", ": not WeChat Pay's error format: []"},
		{"nothing", "", "", "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client := answering(t, 403, &tt.body)
			err := client.Do(context.Background(), http.MethodGet, "/v3/x?y=1", nil, nil)
			var got *wechatpay.APIError
			require.ErrorAs(t, err, &got)
			require.Equal(t, tt.code, got.Code)
			require.Equal(t, tt.message, got.Message)
			require.Equal(t, tt.detail, string(got.Detail))
			require.Equal(t, "08F7-268447840", got.RequestID)
			require.Equal(t, "GET /v3/x at "+got.Host+": 403"+tt.text+" [request id 08F7-268447840]", got.Error())
			require.Equal(t, "wechatpay: Do: "+got.Error(), err.Error())
		})
	}
}

func TestVerificationErrorWithoutAnAnswer(t *testing.T) {
	for _, tt := range []struct {
		err  wechatpay.VerificationError
		text string
	}{
		{wechatpay.VerificationError{Reason: wechatpay.VerificationReasonProbe}, "not proved to be WeChat Pay's: it carries a WECHATPAY/SIGNTEST/ signature"},
		{wechatpay.VerificationError{Reason: wechatpay.VerificationReasonUnknownSerial, SerialNo: "12\nAB"}, `there is no key for serial number "12 AB"`},
		{wechatpay.VerificationError{Reason: "NEW"}, "not proved to be WeChat Pay's: NEW"},
		{wechatpay.VerificationError{Reason: "NEW", StatusCode: 204, RequestID: "1"}, "the 204 answer is not proved to be WeChat Pay's: NEW [request id 1]"},
	} {
		require.Contains(t, tt.err.Error(), tt.text)
	}
}

func FuzzErrorBody(f *testing.F) {
	for _, body := range []string{``, `{}`, `null`, `{"code":"A","message":"m","detail":{"field":"/a","issue":"i"}}`, `{"detail":{"detail":{"issue":1}}}`, "<html>\r\n", "\xff\xfe", strings.Repeat("退", 1000)} {
		f.Add(400, body)
		f.Add(502, body)
	}
	var answer string
	clients := map[int]*wechatpay.Client{400: answering(f, 400, &answer), 502: answering(f, 502, &answer)}
	f.Fuzz(func(t *testing.T, status int, body string) {
		client, ok := clients[status]
		if !ok {
			client, status = clients[502], 502
		}
		answer = body
		err := client.Do(context.Background(), http.MethodGet, "/v3/x", nil, nil)
		var got *wechatpay.APIError
		require.ErrorAs(t, err, &got)
		require.Equal(t, status, got.StatusCode)
		require.NotContains(t, err.Error(), "\n")
		require.True(t, utf8.ValidString(err.Error()))
	})
}
