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

// errorClient returns a Client whose requests all fail with a status and the
// body that *body has at the time.
func errorClient(t testing.TB, status int, body *string) *wechatpay.Client {
	t.Helper()
	client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Request-ID", "08F7-268447840")
		w.WriteHeader(status)
		w.Write([]byte(*body))
	})
	return client
}

func TestAPIError_bodies(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		want       wechatpay.APIError // Code, Message and Detail
		text       string             // of the error, after the status
	}{
		{
			"code and message", `{"code":"NO_AUTH","message":"无权限"}`,
			wechatpay.APIError{Code: "NO_AUTH", Message: "无权限"},
			" NO_AUTH: 无权限",
		},
		{
			"unknown code", `{"code":"NEW_CODE"}`,
			wechatpay.APIError{Code: "NEW_CODE"},
			" NEW_CODE",
		},
		{
			"value is a number",
			`{"code":"PARAM_ERROR","message":"m",` +
				`"detail":{"field":"offset","value":-1,"issue":"too small","location":"query"}}`,
			wechatpay.APIError{
				Code: "PARAM_ERROR", Message: "m",
				Detail: []byte(`{"field":"offset","value":-1,"issue":"too small","location":"query"}`),
			},
			" PARAM_ERROR: m (offset: too small)",
		},
		{
			"value is a list, location is null",
			`{"code":"PARAM_ERROR","message":"m","detail":{"value":["/a","/b"],"location":null}}`,
			wechatpay.APIError{
				Code: "PARAM_ERROR", Message: "m",
				Detail: []byte(`{"value":["/a","/b"],"location":null}`),
			},
			" PARAM_ERROR: m (/a, /b)",
		},
		{
			"value is a list of values",
			`{"code":"PARAM_ERROR","message":"m","detail":{"value":["13800000000",{"a":1}]}}`,
			wechatpay.APIError{
				Code: "PARAM_ERROR", Message: "m",
				Detail: []byte(`{"value":["13800000000",{"a":1}]}`),
			},
			" PARAM_ERROR: m",
		},
		{
			"field and a list of pointers",
			`{"code":"PARAM_ERROR","message":"m","detail":{"field":"/c","value":["/a"]}}`,
			wechatpay.APIError{
				Code: "PARAM_ERROR", Message: "m",
				Detail: []byte(`{"field":"/c","value":["/a"]}`),
			},
			" PARAM_ERROR: m (/c)",
		},
		{
			"detail is a string", `{"code":"PARAM_ERROR","message":"m","detail":"why"}`,
			wechatpay.APIError{Code: "PARAM_ERROR", Message: "m", Detail: []byte(`"why"`)},
			" PARAM_ERROR: m",
		},
		{
			"field is a list", `{"code":"PARAM_ERROR","message":"m","detail":{"field":["a"],"issue":"i"}}`,
			wechatpay.APIError{Code: "PARAM_ERROR", Message: "m", Detail: []byte(`{"field":["a"],"issue":"i"}`)},
			" PARAM_ERROR: m (i)",
		},
		{
			"detail is null", `{"code":"PARAM_ERROR","message":"m","detail":null}`,
			wechatpay.APIError{Code: "PARAM_ERROR", Message: "m"},
			" PARAM_ERROR: m",
		},
		{
			"code is a number", `{"code":1,"message":"m"}`,
			wechatpay.APIError{Message: "not a WeChat Pay response: m"},
			": not a WeChat Pay response: m",
		},
		{
			"newline in the message", `{"code":"A","message":"one\ntwo"}`,
			wechatpay.APIError{Code: "A", Message: "one\ntwo"},
			" A: one two",
		},
		{
			"not JSON", "<html>\n503\n</html>",
			wechatpay.APIError{Message: "not a WeChat Pay response: <html> 503 </html>"},
			": not a WeChat Pay response: <html> 503 </html>",
		},
		{
			"HTML page", "<!DOCTYPE html>\n<HTML><head><TITLE lang=en>\n403 Forbidden\n</TITLE></head><body>…</body></HTML>",
			wechatpay.APIError{Message: "not a WeChat Pay response: HTML page: 403 Forbidden"},
			": not a WeChat Pay response: HTML page: 403 Forbidden",
		},
		{
			"JSON list", `[]`,
			wechatpay.APIError{Message: "not a WeChat Pay response: []"},
			": not a WeChat Pay response: []",
		},
		{"empty", "", wechatpay.APIError{Message: "not a WeChat Pay response"}, ": not a WeChat Pay response"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client := errorClient(t, 403, &tt.body)
			err := client.Do(context.Background(), http.MethodGet, "/v3/x?y=1", nil, nil)
			var got *wechatpay.APIError
			require.ErrorAs(t, err, &got)
			require.Equal(t, tt.want.Code, got.Code)
			require.Equal(t, tt.want.Message, got.Message)
			require.Equal(t, string(tt.want.Detail), string(got.Detail))
			require.Equal(t, "08F7-268447840", got.RequestID)
			require.Equal(t, "GET /v3/x at "+got.Host+": 403"+tt.text+" [request id 08F7-268447840]", got.Error())
			require.Equal(t, "wechatpay: Do: "+got.Error(), err.Error())
		})
	}
}

func FuzzAPIError(f *testing.F) {
	for _, body := range []string{
		``,
		`{}`,
		`null`,
		`{"code":"A","message":"m","detail":{"field":"/a","issue":"i"}}`,
		`{"detail":{"detail":{"issue":1}}}`,
		"<html>\r\n",
		"\xff\xfe",
		strings.Repeat("退", 1000),
	} {
		f.Add(400, body)
		f.Add(502, body)
	}
	var response string
	clients := map[int]*wechatpay.Client{400: errorClient(f, 400, &response), 502: errorClient(f, 502, &response)}
	f.Fuzz(func(t *testing.T, status int, body string) {
		client, ok := clients[status]
		if !ok {
			client, status = clients[502], 502
		}
		response = body
		err := client.Do(context.Background(), http.MethodGet, "/v3/x", nil, nil)
		var got *wechatpay.APIError
		require.ErrorAs(t, err, &got)
		require.Equal(t, status, got.StatusCode)
		require.NotContains(t, err.Error(), "\n")
		require.True(t, utf8.ValidString(err.Error()))
	})
}
