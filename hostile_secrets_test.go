package wechatpay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

// repetitions are error pages that repeat the Authorization header of the
// request, or its signature, as it is or escaped.
var repetitions = []struct {
	name        string
	contentType string
	body        func(authorization, signature string) string
}{
	{"plain text", "text/plain", func(a, _ string) string {
		return "bad request\r\nAuthorization: " + a + "\r\n"
	}},
	{"HTML", "text/html", func(a, _ string) string {
		return "<pre>Authorization: " + html.EscapeString(a) + "</pre>"
	}},
	{"HTML, all signs escaped", "text/html", func(a, _ string) string {
		return "<pre>" + htmlSigns.Replace(a) + "</pre>"
	}},
	{"JSON message", "application/json", func(a, _ string) string { return `{"message":` + jsonString(a) + `}` }},
	{"JSON message with a code", "application/json", func(a, _ string) string {
		return `{"code":"INVALID_REQUEST","message":` + jsonString("header "+a) + `}`
	}},
	{"JSON detail", "application/json", func(a, _ string) string {
		return `{"code":"SIGN_ERROR","message":"no","detail":{"field":"Authorization","value":` + jsonString(a) +
			`,"issue":` + jsonString(a) + `}}`
	}},
	{"JSON code", "application/json", func(a, _ string) string {
		return `{"code":` + jsonString(a) + `,"message":"no"}`
	}},
	{"JSON, all signs escaped", "application/json", func(a, _ string) string {
		return `{"message":"` + jsonSigns.Replace(a) + `"}`
	}},
	{"JSON, all characters escaped", "application/json", func(a, _ string) string {
		var b strings.Builder
		for _, c := range a {
			fmt.Fprintf(&b, `\u%04x`, c)
		}
		return `{"code":"SIGN_ERROR","message":"` + b.String() + `"}`
	}},
	{"signature", "text/plain", func(_, s string) string { return "bad signature " + s }},
	{"signature, HTML", "text/html", func(_, s string) string { return "<b>" + htmlSigns.Replace(s) + "</b>" }},
	{"signature, JSON", "application/json", func(_, s string) string {
		return `{"code":"SIGN_ERROR","message":"bad signature ` + jsonSigns.Replace(s) + `"}`
	}},
	{"signature, JSON detail", "application/json", func(_, s string) string {
		return `{"code":"SIGN_ERROR","message":"no","detail":{"value":"` + jsonSigns.Replace(s) + `"}}`
	}},
	{"signature, URL", "text/plain", func(_, s string) string { return "see /log?signature=" + url.QueryEscape(s) }},
}

var (
	htmlSigns = strings.NewReplacer(`"`, "&quot;", "+", "&#43;", "/", "&#x2F;", "=", "&#61;")
	jsonSigns = strings.NewReplacer(`"`, `\u0022`, "+", `\u002b`, "/", `\/`, "=", `\u003d`)
	// unescapeSigns undoes them, and the escapes of a URL.
	unescapeSigns = strings.NewReplacer(
		`\u0022`, `"`, `\u002b`, "+", `\u002f`, "/", `\u003d`, "=",
		"%2B", "+", "%2F", "/", "%3D", "=", `\`, "")
)

func jsonString(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// repeater answers every request with an error page that repeats the
// Authorization header.
type repeater struct {
	status     int
	repetition int // index in repetitions
	signatures []string
	log        bytes.Buffer // of the Client, at debug level
}

func (r *repeater) handle(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
	authorization := req.Header.Get("Authorization")
	_, signature, _ := strings.Cut(authorization, `signature="`)
	signature = strings.TrimSuffix(signature, `"`)
	r.signatures = append(r.signatures, signature)
	repetition := repetitions[r.repetition]
	page := gatewayPage{
		status:      r.status,
		contentType: repetition.contentType,
		body:        repetition.body(authorization, signature),
	}
	if r.status == http.StatusFound {
		page.location = "https://login.example.com/?header=" + url.QueryEscape(authorization)
	}
	return page.response(req), nil
}

func (r *repeater) configure(cfg *wechatpay.Config) {
	behind(r.handle)(cfg)
	cfg.Logger = slog.New(slog.NewJSONHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// requireNoSignature checks that a text has neither a signature nor a whole
// Authorization header, escaped or not.
func (r *repeater) requireNoSignature(t *testing.T, what, text string) {
	t.Helper()
	require.NotEmpty(t, r.signatures)
	text = unescapeSigns.Replace(html.UnescapeString(text))
	for _, signature := range r.signatures {
		require.NotContains(t, text, signature[:16], what)
		require.NotContains(t, text, signature[100:116], what)
	}
	require.NotContains(t, text, "nonce_str=", what)
}

// An error does not repeat the Authorization header: neither its text, nor the
// debug log, nor the JSON of an *APIError.
func TestAPIError_repeatedAuthorization(t *testing.T) {
	t.Parallel()
	for _, call := range sample(callsNamed("approve", "Do POST", "Get", "DownloadImage"), 1) {
		for i, repetition := range repetitions {
			for _, status := range []int{302, 400, 502} {
				t.Run(fmt.Sprintf("%s/%s/%d", call.name, repetition.name, status), func(t *testing.T) {
					r := &repeater{status: status, repetition: i}
					err := call.do(context.Background(), gatewayClient(t, startFake(t), r.configure))
					var rejected *wechatpay.APIError
					require.ErrorAs(t, err, &rejected)
					encoded, jsonErr := json.Marshal(rejected)
					require.NoError(t, jsonErr)
					r.requireNoSignature(t, "error", err.Error())
					r.requireNoSignature(t, "log", r.log.String())
					r.requireNoSignature(t, "JSON", string(encoded))
				})
			}
		}
	}
}

// No error or log line repeats the signature from a response header, and the
// request id is short and one line.
func TestAPIError_authorizationInHeaders(t *testing.T) {
	copies := map[string]func(authorization, signature string) string{
		"header":            func(a, _ string) string { return a },
		"header, escaped":   func(a, _ string) string { return url.PathEscape(a) },
		"signature":         func(_, s string) string { return s },
		"signature escaped": func(_, s string) string { return url.QueryEscape(s) },
		"signature start":   func(_, s string) string { return s[:90] },
		"signature middle":  func(_, s string) string { return s[90:180] },
	}
	names := []string{
		"Location", "Request-Id", "Wechatpay-Serial", "Wechatpay-Timestamp", "Wechatpay-Nonce",
		"Wechatpay-Signature-Type", "Content-Type", "Retry-After", "Date", "Content-Encoding",
	}
	for _, call := range sample(callsNamed("Get", "approve", "DownloadImage"), 1) {
		for copied, text := range copies {
			for _, name := range names {
				for _, status := range []int{200, 302, 403, 502} {
					t.Run(fmt.Sprintf("%s/%s/%s/%d", call.name, copied, name, status), func(t *testing.T) {
						testHeaderCopy(t, call, name, status, text)
					})
				}
			}
		}
	}
}

func testHeaderCopy(t *testing.T, call apiCall, name string, status int, text func(a, s string) string) {
	r := &repeater{}
	gateway := func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
		authorization := req.Header.Get("Authorization")
		_, signature, _ := strings.Cut(authorization, `signature="`)
		signature = strings.TrimSuffix(signature, `"`)
		r.signatures = append(r.signatures, signature)
		page := gatewayPage{status: status, body: "no"}
		resp := page.response(req)
		for _, signed := range []string{"Timestamp", "Nonce", "Serial", "Signature"} {
			resp.Header.Set("Wechatpay-"+signed, "1")
		}
		value := text(authorization, signature)
		if name == "Location" {
			value = "https://login.example.com/" + value
		}
		resp.Header.Set(name, value)
		return resp, nil
	}
	client := gatewayClient(t, startFake(t), func(cfg *wechatpay.Config) {
		behind(gateway)(cfg)
		cfg.Logger = slog.New(slog.NewJSONHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	err := call.do(context.Background(), client)
	require.Error(t, err)
	r.requireNoSignature(t, "error", err.Error())
	r.requireNoSignature(t, "log", r.log.String())
	var rejected *wechatpay.APIError
	var unverified *wechatpay.VerificationError
	for _, target := range []any{&rejected, &unverified} {
		if errors.As(err, target) {
			encoded, jsonErr := json.Marshal(target)
			require.NoError(t, jsonErr)
			r.requireNoSignature(t, "fields", string(encoded))
		}
	}
}

// A long Request-Id is not shown.
func TestAPIError_RequestID_bounded(t *testing.T) {
	var log bytes.Buffer
	gateway := func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
		page := gatewayPage{status: 403, body: `{"code":"NO_AUTH","message":"no"}`}
		resp := page.response(req)
		resp.Header.Set("Request-Id", strings.Repeat("7 ", 500))
		return resp, nil
	}
	err := readComplaint(context.Background(), gatewayClient(t, startFake(t), func(cfg *wechatpay.Config) {
		behind(gateway)(cfg)
		cfg.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}))
	var rejected *wechatpay.APIError
	require.ErrorAs(t, err, &rejected)
	require.LessOrEqual(t, len(rejected.RequestID), 100)
	require.NotContains(t, log.String(), strings.Repeat("7 ", 60))
}

// The same holds for the error of a certificate download.
func TestClient_certificates_repeatedAuthorization(t *testing.T) {
	for i, repetition := range repetitions {
		t.Run(repetition.name, func(t *testing.T) {
			r := &repeater{status: 403, repetition: i}
			server := newCertificateFake(t)
			client := gatewayClient(t, server, r.configure)
			err := readComplaint(context.Background(), client)
			require.Error(t, err)
			require.GreaterOrEqual(t, deliverNotification(t, server, client), 400)
			r.requireNoSignature(t, "error", err.Error())
			r.requireNoSignature(t, "log", r.log.String())
		})
	}
}

// A media_url names an image and nothing else. Its path has no dot segments,
// which a server or gateway would resolve.
func TestComplaintsV2_DownloadImage_dotSegments(t *testing.T) {
	const images = "https://api.mch.weixin.qq.com/v3/merchant-service/images/"
	var requests atomic.Int32
	client := signingClient(t, func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.WriteHeader(http.StatusNotFound)
	})
	for _, media := range []string{
		images + "..", images + ".", images + "../complaints-v2", images + "../../refund/domestic/refunds/1",
		images + "a/../b", images + "a/./b", images + "./a", images + "a/..", images + "a/.",
		images + "%2e%2e", images + "%2E%2E/complaints-v2", images + "%2e", images + ".%2e/a", images + "%2e./a",
		images + "a/%2E/b", images + "..%2fcomplaints-v2", images + "..%2F..%2Frefund",
		images + "%2e%2e%2Fcomplaints-v2", images + "a%2f..%2fb", images + "../complaints-v2?limit=1",
		"..", ".", "%2e%2e", "%2E", ".%2e", "../complaints-v2", "..%2fcomplaints-v2", "a/../b", "a%2F..%2Fb",
	} {
		t.Run(media, func(t *testing.T) {
			sent := requests.Load()
			_, err := client.ComplaintsV2.DownloadImage(context.Background(), media)
			var invalid *wechatpay.ArgumentError
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, sent, requests.Load())
		})
	}
	for _, media := range []string{
		images + "a.b..c", images + "..a", images + "a..", images + "a%2Fb%3D%3D", "..a", "a.bmp",
	} {
		t.Run(media, func(t *testing.T) {
			_, err := client.ComplaintsV2.DownloadImage(context.Background(), media)
			var rejected *wechatpay.APIError
			require.ErrorAs(t, err, &rejected)
		})
	}
}
