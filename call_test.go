package wechatpay_test

import (
	"context"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

// scriptedClient returns a Client whose attempts get the given responses, one
// after the other. A nil response is a lost connection.
func scriptedClient(
	t *testing.T, responses []*http.Response, change ...func(*wechatpay.Config),
) *wechatpay.Client {
	t.Helper()
	n := 0
	t.Cleanup(func() { require.Len(t, responses, n, "requests") })
	changes := append(change, func(cfg *wechatpay.Config) {
		cfg.InsecureSkipVerify = true
		cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
			require.Less(t, n, len(responses), "too many requests")
			resp := responses[n]
			n++
			if resp == nil {
				return nil, errLostConnection
			}
			resp.Request = req
			return resp, nil
		})
	})
	return retryClient(t, "http://127.0.0.1:1", changes...)
}

// scripted returns a response with a request id.
func scripted(status int, body, requestID string) *http.Response {
	resp := fakeResponse(nil, status, body)
	resp.Header.Set("Request-ID", requestID)
	return resp
}

func getComplaint(client *wechatpay.Client) error {
	_, err := client.ComplaintsV2.Get(context.Background(), testComplaintID)
	return err
}

func updateURL(client *wechatpay.Client) error {
	_, err := client.ComplaintsV2.UpdateNotificationURL(context.Background(), "https://www.example.com/")
	return err
}

// The error of a call names the last failure, an earlier one that may have been
// applied, and the request ids.
func TestClient_call_errorText(t *testing.T) {
	const (
		host     = "127.0.0.1:1"
		readPath = "complaint " + testComplaintID + " at " + host
		urlPath  = "PUT /v3/merchant-service/complaint-notifications at " + host
		remedy   = "; read it with NotificationURL"
	)
	for _, tt := range []struct {
		name      string
		call      func(*wechatpay.Client) error
		responses []*http.Response
		text      string
	}{
		{
			name:      "one attempt",
			call:      getComplaint,
			responses: []*http.Response{scripted(403, `{"code":"NO_AUTH","message":"无权限"}`, "A")},
			text:      "wechatpay: ComplaintsV2.Get: " + readPath + ": 403 NO_AUTH: 无权限 [request id A]",
		},
		{
			name: "read, two attempts",
			call: getComplaint,
			responses: []*http.Response{
				scripted(500, `{"code":"SYSTEM_ERROR"}`, "A"),
				scripted(403, `{"code":"NO_AUTH"}`, "B"),
			},
			text: "wechatpay: ComplaintsV2.Get: 2 attempts: " + readPath + ": 403 NO_AUTH [request id B]",
		},
		{
			name:      "response that cannot be decoded",
			call:      getComplaint,
			responses: []*http.Response{scripted(200, `{`, "A")},
			text: "wechatpay: ComplaintsV2.Get: " + readPath +
				": the 200 response cannot be decoded [request id A]: unexpected end of JSON input",
		},
		{
			name: "write, earlier attempt in doubt",
			call: updateURL,
			responses: []*http.Response{
				scripted(500, `{"code":"SYSTEM_ERROR"}`, "A"),
				nil,
				scripted(403, `{"code":"NO_AUTH"}`, "C"),
			},
			text: "wechatpay: ComplaintsV2.UpdateNotificationURL: outcome unknown: 3 attempts: " +
				urlPath + ": 403 NO_AUTH [request id C]; earlier: " + urlPath + ": 500 SYSTEM_ERROR [request id A]" + remedy,
		},
		{
			name: "write, earlier attempt in doubt with a request id",
			call: updateURL,
			responses: []*http.Response{
				scripted(500, `{"code":"SYSTEM_ERROR"}`, "A"),
				scripted(403, `{"code":"NO_AUTH"}`, "B"),
			},
			text: "wechatpay: ComplaintsV2.UpdateNotificationURL: outcome unknown: 2 attempts: " +
				urlPath + ": 403 NO_AUTH [request id B]; earlier: " +
				urlPath + ": 500 SYSTEM_ERROR [request id A]" + remedy,
		},
		{
			name: "Do, in doubt",
			call: func(client *wechatpay.Client) error {
				return client.Do(context.Background(), http.MethodPost, "/v3/x?a=b", nil, nil)
			},
			responses: []*http.Response{scripted(429, `{"code":"FREQUENCY_LIMITED"}`, "A")},
			text: "wechatpay: Do: outcome unknown: POST /v3/x at " + host +
				": 429 FREQUENCY_LIMITED [request id A]; check whether it was applied before repeating the call",
		},
		{
			name: "write, earlier attempt busy",
			call: updateURL,
			responses: []*http.Response{
				scripted(429, `{"code":"FREQUENCY_LIMITED"}`, "A"),
				scripted(403, `{"code":"NO_AUTH"}`, "B"),
			},
			text: "wechatpay: ComplaintsV2.UpdateNotificationURL: outcome unknown: 2 attempts: " +
				urlPath + ": 403 NO_AUTH [request id B]; earlier: " +
				urlPath + ": 429 FREQUENCY_LIMITED [request id A]" + remedy,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.EqualError(t, tt.call(scriptedClient(t, tt.responses)), tt.text)
		})
	}
}

// downloadImage opens and closes an image.
func downloadImage(client *wechatpay.Client) error {
	image, err := client.ComplaintsV2.DownloadImage(context.Background(), "a")
	if err != nil {
		return err
	}
	return image.Close()
}

// closeCounter counts how often a body is closed.
type closeCounter struct {
	io.Reader
	closed int
}

func (c *closeCounter) Close() error {
	c.closed++
	return nil
}

func TestClient_call_closesBody(t *testing.T) {
	png := string(picture("png", 64))
	for _, tt := range []struct {
		name   string
		call   func(*wechatpay.Client) error
		status int
		body   string
	}{
		{"success", getComplaint, 200, `{"complaint_id":"` + testComplaintID + `"}`},
		{"undecodable success", getComplaint, 200, `{`},
		{"other success", getComplaint, 202, `{}`},
		{"redirect", getComplaint, 302, ``},
		{"error", getComplaint, 400, `{"code":"PARAM_ERROR"}`},
		{"429", getComplaint, 429, `{"code":"FREQUENCY_LIMITED"}`},
		{"gateway error", getComplaint, 502, `<html>`},
		{"image", downloadImage, 200, png},
		{"image, other success", downloadImage, 202, png},
		{"image, error", downloadImage, 404, `{"code":"RESOURCE_NOT_EXISTS"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := &closeCounter{Reader: strings.NewReader(tt.body)}
			resp := fakeResponse(nil, tt.status, "")
			resp.Header.Set("Content-Type", "image/png")
			resp.Body = body
			err := tt.call(scriptedClient(t, []*http.Response{resp}, func(cfg *wechatpay.Config) {
				cfg.Retry.MaxAttempts = 1
			}))
			require.Equal(t, tt.status == 200 && tt.body != "{", err == nil, "%v", err)
			require.Equal(t, 1, body.closed)
		})
	}
}

// Without Config.Transport a Client uses NewTransport. Retry.AttemptTimeout
// replaces its ResponseHeaderTimeout.
func TestConfig_Transport_default(t *testing.T) {
	cfg := testConfig(t, "http://127.0.0.1:1")
	cfg.Transport = nil
	client, err := wechatpay.NewClient(cfg)
	require.NoError(t, err)
	signing, ok := client.HTTPClient().Transport.(*wechatpay.SigningTransport)
	require.True(t, ok)
	verifying, ok := signing.Base.(*wechatpay.VerifyingTransport)
	require.True(t, ok)
	got, ok := verifying.Base.(*http.Transport)
	require.True(t, ok)
	require.Zero(t, got.ResponseHeaderTimeout)

	want := wechatpay.NewTransport()
	want.ResponseHeaderTimeout = 0
	for i, field := range reflect.VisibleFields(reflect.TypeOf(want).Elem()) {
		if field.IsExported() && field.Type.Kind() != reflect.Func {
			require.Equal(t, reflect.ValueOf(want).Elem().Field(i).Interface(),
				reflect.ValueOf(got).Elem().Field(i).Interface(), field.Name)
		}
	}
}
