package wechatpay_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

// decisionPath is the path of a decision about testComplaintID.
const decisionPath = "/v3/merchant-service/complaints-v2/" + testComplaintID + "/update-refund-progress"

func ptr[T any](v T) *T { return &v }

func TestComplaintsV2_UpdateRefundProgress_requests(t *testing.T) {
	for _, tt := range []struct {
		name string
		req  *wechatpay.UpdateRefundProgressRequest
		body string
	}{
		{"approve today", wechatpay.ApproveRefund(0), `{"action":"APPROVE","launch_refund_day":0}`},
		{"approve in 3 working days", wechatpay.ApproveRefund(3), `{"action":"APPROVE","launch_refund_day":3}`},
		{"approve without a day", &wechatpay.UpdateRefundProgressRequest{Action: wechatpay.RefundApprove}, `{"action":"APPROVE"}`},
		{"approve with a remark",
			&wechatpay.UpdateRefundProgressRequest{
				Action:          wechatpay.RefundApprove,
				LaunchRefundDay: ptr(1),
				Remark:          "已联系用户",
			},
			`{"action":"APPROVE","launch_refund_day":1,"remark":"已联系用户"}`},
		{"reject", wechatpay.RejectRefund("商品已使用，不符合退款条件"), `{"action":"REJECT","reject_reason":"商品已使用，不符合退款条件"}`},
		{"reject with images",
			wechatpay.RejectRefund("商品已使用，不符合退款条件", "file23578_21798531.jpg", "file23578_21798532.jpg"),
			`{"action":"REJECT","reject_reason":"商品已使用，不符合退款条件",` +
				`"reject_media_list":["file23578_21798531.jpg","file23578_21798532.jpg"]}`},
		{"at the limits",
			&wechatpay.UpdateRefundProgressRequest{
				Action:          wechatpay.RefundReject,
				RejectReason:    strings.Repeat("退", 200),
				RejectMediaList: []string{"1", "2", "3", "4"},
				Remark:          strings.Repeat("r", 200),
			},
			`{"action":"REJECT","reject_reason":"` + strings.Repeat("退", 200) +
				`","reject_media_list":["1","2","3","4"],"remark":"` + strings.Repeat("r", 200) + `"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			userAgent := "wechatpay-complaints-go/" + wechatpay.Version +
				" (" + runtime.GOOS + "/" + runtime.GOARCH + ") " + runtime.Version()
			calls := 0
			client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
				calls++
				body, _ := io.ReadAll(r.Body)
				require.Equal(t, http.MethodPost, r.Method)
				require.Equal(t, decisionPath, r.RequestURI)
				require.Equal(t, tt.body, string(body))
				require.Equal(t, int64(len(tt.body)), r.ContentLength)
				require.Equal(t, []string{"application/json"}, r.Header["Content-Type"])
				require.Equal(t, []string{"application/json"}, r.Header["Accept"])
				require.Equal(t, []string{testPublicKeyID}, r.Header["Wechatpay-Serial"])
				require.Equal(t, []string{userAgent}, r.Header["User-Agent"])
				requireSigned(t, r, string(body))
				reply(t, 204, "")(w, r)
			})
			err := client.ComplaintsV2.UpdateRefundProgress(context.Background(), testComplaintID, tt.req)
			require.NoError(t, err)
			require.Equal(t, 1, calls)
		})
	}
}

// The complaint id is escaped exactly once in the path.
func TestComplaintsV2_UpdateRefundProgress_escapedID(t *testing.T) {
	for id, escaped := range map[string]string{
		"a/b":   "a%2Fb",
		"a?b#c": "a%3Fb%23c",
		"a%2Fb": "a%252Fb",
		"a b":   "a%20b",
		"投诉":    "%E6%8A%95%E8%AF%89",
		"a+b=":  "a+b=",
	} {
		client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
			require.Equal(t, "/v3/merchant-service/complaints-v2/"+escaped+"/update-refund-progress", r.RequestURI)
			body, _ := io.ReadAll(r.Body)
			requireSigned(t, r, string(body))
			reply(t, 204, "")(w, r)
		})
		err := client.ComplaintsV2.UpdateRefundProgress(context.Background(), id, wechatpay.ApproveRefund(0))
		require.NoError(t, err, id)
	}
}

func TestComplaintsV2_UpdateRefundProgress_arguments(t *testing.T) {
	client, _ := newMock(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
	approve, reject := wechatpay.RefundApprove, wechatpay.RefundReject
	for _, tt := range []struct {
		name   string
		id     string
		req    *wechatpay.UpdateRefundProgressRequest
		faults []wechatpay.ArgumentFault
	}{
		{"no id", "", wechatpay.ApproveRefund(0), []wechatpay.ArgumentFault{{Field: "complaintID", Problem: "is required"}}},
		{"long id", strings.Repeat("1", 65), wechatpay.ApproveRefund(0), []wechatpay.ArgumentFault{{Field: "complaintID", Problem: "has 65 characters, at most 64 allowed"}}},
		{"path for an id", "..", wechatpay.ApproveRefund(0), []wechatpay.ArgumentFault{{Field: "complaintID", Problem: `must not be ".."`}}},
		{"no request", "1", nil, []wechatpay.ArgumentFault{{Field: "Action", Problem: "is required"}}},
		{"no action", "1", &wechatpay.UpdateRefundProgressRequest{}, []wechatpay.ArgumentFault{{Field: "Action", Problem: "is required"}}},
		{"negative day", "1", wechatpay.ApproveRefund(-1), []wechatpay.ArgumentFault{{Field: "LaunchRefundDay", Problem: "must be 0 (today) or more, got -1"}}},
		{"day with a rejection", "1", &wechatpay.UpdateRefundProgressRequest{Action: reject, RejectReason: "no", LaunchRefundDay: ptr(0)}, []wechatpay.ArgumentFault{{Field: "LaunchRefundDay", Problem: "is only allowed with APPROVE"}}},
		{"rejection without a reason", "1", wechatpay.RejectRefund(" "), []wechatpay.ArgumentFault{{Field: "RejectReason", Problem: "is required with REJECT: the user sees it"}}},
		{"rejection's fields with an approval", "1", &wechatpay.UpdateRefundProgressRequest{Action: approve, RejectReason: "no", RejectMediaList: []string{"1"}},
			[]wechatpay.ArgumentFault{{Field: "RejectReason", Problem: "is only allowed with REJECT"}, {Field: "RejectMediaList", Problem: "is only allowed with REJECT"}}},
		{"all that is too long", "1", &wechatpay.UpdateRefundProgressRequest{Action: reject, RejectReason: strings.Repeat("退", 201), RejectMediaList: []string{"1", "", "3", "4", "5"}, Remark: strings.Repeat("注", 300)},
			[]wechatpay.ArgumentFault{
				{Field: "RejectReason", Problem: "has 201 characters, at most 200 allowed"},
				{Field: "RejectMediaList", Problem: "has 5 entries, at most 4 allowed"},
				{Field: "RejectMediaList[1]", Problem: "is required"},
				{Field: "Remark", Problem: "has 300 characters, at most 200 allowed"},
			}},
		{"emoji", "1", &wechatpay.UpdateRefundProgressRequest{Action: reject, RejectReason: "no 🙂"},
			[]wechatpay.ArgumentFault{{Field: "RejectReason", Problem: "contains an emoji (U+1F642), which WeChat Pay does not accept"}}},
		{"not UTF-8", "1", &wechatpay.UpdateRefundProgressRequest{Action: approve, Remark: "\xff"}, []wechatpay.ArgumentFault{{Field: "Remark", Problem: "is not valid UTF-8"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := client.ComplaintsV2.UpdateRefundProgress(context.Background(), tt.id, tt.req)
			var refused *wechatpay.ArgumentError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, "ComplaintsV2.UpdateRefundProgress", refused.Op)
			require.Equal(t, tt.faults, refused.Faults)
			require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

// approve approves the refund of testComplaintID.
func approve(ctx context.Context, client *wechatpay.Client) error {
	return client.ComplaintsV2.UpdateRefundProgress(ctx, testComplaintID, wechatpay.ApproveRefund(0))
}

// requireDecisionError checks what every error of a decision has in common.
func requireDecisionError(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	require.True(t, strings.HasPrefix(err.Error(), "wechatpay: ComplaintsV2.UpdateRefundProgress: "), err)
	require.NotContains(t, err.Error(), "\n")
	require.NotContains(t, err.Error(), "signature=")
}

func TestComplaintsV2_UpdateRefundProgress_errorResponses(t *testing.T) {
	const requestID = "08F7A1B2C30610-0" // of reply
	redirected := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a redirect was followed")
	}))
	t.Cleanup(redirected.Close)
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		unknown bool
		want    wechatpay.APIError
		text    string // part of the error
	}{
		{"200 instead of 204", reply(t, 200, "{}"), true, wechatpay.APIError{
			StatusCode: 200,
			Message:    "expected 204: {}",
			RequestID:  requestID,
		}, ""},
		{"202 instead of 204", reply(t, 202, ""), true, wechatpay.APIError{
			StatusCode: 202,
			Message:    "expected 204",
			RequestID:  requestID,
		}, ""},
		{"400 with a detail", reply(t, 400, `{"code":"PARAM_ERROR","message":"非极速退款投诉单",`+
			`"detail":{"field":"/action","value":"APPROVE","issue":"state","location":"body"}}`), false, wechatpay.APIError{
			StatusCode: 400,
			Code:       wechatpay.ErrorCodeParamError,
			Message:    "非极速退款投诉单",
			Detail:     []byte(`{"field":"/action","value":"APPROVE","issue":"state","location":"body"}`),
			RequestID:  requestID,
		}, "400 PARAM_ERROR: 非极速退款投诉单 (/action: state) [request id 08F7A1B2C30610-0]"},
		{"401", reply(t, 401, `{"code":"SIGN_ERROR","message":"签名错误",`+
			`"detail":{"detail":{"issue":"sign not match"},"field":"signature","location":"authorization"}}`), false,
			wechatpay.APIError{
				StatusCode: 401,
				Code:       wechatpay.ErrorCodeSignError,
				Message:    "签名错误",
				Detail: []byte(`{"detail":{"issue":"sign not match"},` +
					`"field":"signature","location":"authorization"}`),
				RequestID: requestID,
			}, "401 SIGN_ERROR: 签名错误 (signature: sign not match)"},
		{"404", reply(t, 404, `{"code":"RESOURCE_NOT_EXISTS","message":"no"}`), false, wechatpay.APIError{
			StatusCode: 404,
			Code:       wechatpay.ErrorCodeResourceNotExists,
			Message:    "no",
			RequestID:  requestID,
		}, ""},
		{"404 without a body", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404) }, true,
			wechatpay.APIError{StatusCode: 404, Message: "not a WeChat Pay response"}, ""},
		{"429", reply(t, 429, `{"code":"FREQUENCY_LIMITED","message":"no"}`), true, wechatpay.APIError{
			StatusCode: 429,
			Code:       wechatpay.ErrorCodeFrequencyLimited,
			Message:    "no",
			RequestID:  requestID,
		}, ""},
		{"500", reply(t, 500, `{"code":"SYSTEM_ERROR","message":"no"}`), true, wechatpay.APIError{
			StatusCode: 500,
			Code:       wechatpay.ErrorCodeSystemError,
			Message:    "no",
			RequestID:  requestID,
		}, ""},
		{"502 of a gateway", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(502)
			io.WriteString(w, "<html>\r\n<h1>502 Bad Gateway</h1>\r\n</html>")
		}, true, wechatpay.APIError{
			StatusCode: 502,
			Message:    "not a WeChat Pay response: <html> <h1>502 Bad Gateway</h1> </html>",
		}, ""},
		{"307 to another host", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, redirected.URL+"/v3/x", http.StatusTemporaryRedirect)
		}, true, wechatpay.APIError{
			StatusCode: 307,
			Message:    "not a WeChat Pay response: redirect to " + redirected.URL + "/v3/x",
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, server := newMock(t, tt.handler)
			err := approve(context.Background(), client)
			requireDecisionError(t, err)
			requireOutcome(t, err, tt.unknown)
			var apiErr *wechatpay.APIError
			require.ErrorAs(t, err, &apiErr)
			tt.want.Method, tt.want.Path = http.MethodPost, decisionPath
			tt.want.Host = strings.TrimPrefix(server.URL, "http://")
			require.Equal(t, tt.want, *apiErr)
			require.ErrorContains(t, err, tt.text)
		})
	}
}

func TestComplaintsV2_UpdateRefundProgress_brokenResponses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		check   func(t *testing.T, err error)
	}{
		{"connection closed after the request", func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			panic(http.ErrAbortHandler)
		}, func(t *testing.T, err error) { require.ErrorIs(t, err, io.EOF) }},
		{"truncated body", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "{")
		}, func(t *testing.T, err error) { require.ErrorIs(t, err, io.ErrUnexpectedEOF) }},
		{"not HTTP", func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			require.NoError(t, err)
			io.WriteString(conn, "SSH-2.0\r\n")
			conn.Close()
		}, func(t *testing.T, err error) { require.ErrorContains(t, err, "malformed HTTP response") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, _ := newMock(t, tt.handler)
			err := approve(context.Background(), client)
			requireDecisionError(t, err)
			requireOutcome(t, err, true)
			tt.check(t, err)
		})
	}
}

func TestComplaintsV2_UpdateRefundProgress_forgedResponses(t *testing.T) {
	type test struct {
		name    string
		handler http.HandlerFunc
		reason  wechatpay.VerificationReason
	}
	tests := []test{{"body with the signature of an empty one", func(w http.ResponseWriter, r *http.Request) {
		signed(t, "").set(t, w.Header())
		w.WriteHeader(200)
		io.WriteString(w, "{}")
	}, wechatpay.VerificationReasonSignatureMismatch}}
	for i, forgery := range forgeries {
		tests = append(tests, test{forgery.name, func(w http.ResponseWriter, r *http.Request) {
			maps.Copy(w.Header(), forge(t, i, ""))
			w.WriteHeader(204)
		}, forgery.reason})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client, _ := newMock(t, tt.handler)
			err := approve(context.Background(), client)
			requireDecisionError(t, err)
			requireOutcome(t, err, true)
			var verErr *wechatpay.VerificationError
			require.ErrorAs(t, err, &verErr)
			require.Equal(t, tt.reason, verErr.Reason)
		})
	}
}

// requireOutcome checks whether an error says that the outcome is unknown.
func requireOutcome(t *testing.T, err error, unknown bool) {
	t.Helper()
	if unknown {
		require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
		require.ErrorContains(t, err, "read the negotiation history before deciding again")
	} else {
		require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	}
}

func TestComplaintsV2_UpdateRefundProgress_canceled(t *testing.T) {
	received, release := make(chan struct{}), make(chan struct{})
	client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		close(received)
		<-release
	})
	t.Cleanup(func() { close(release) })

	t.Run("before the call", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		err := approve(ctx, client)
		require.ErrorIs(t, err, context.Canceled)
		requireOutcome(t, err, false)
	})
	t.Run("while waiting for the response", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			<-received
			cancel()
		}()
		err := approve(ctx, client)
		require.ErrorIs(t, err, context.Canceled)
		requireOutcome(t, err, true)
	})
	t.Run("while dialing", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		transport := wechatpay.NewTransport()
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
			cancel()
			return nil, ctx.Err()
		}
		cfg := testConfig(t, "http://127.0.0.1:1")
		cfg.Transport = transport
		client, err := wechatpay.NewClient(cfg)
		require.NoError(t, err)
		err = approve(ctx, client)
		require.ErrorIs(t, err, context.Canceled)
		requireOutcome(t, err, false)
	})
}

func TestComplaintsV2_UpdateRefundProgress_noConnection(t *testing.T) {
	client, server := newMock(t, func(http.ResponseWriter, *http.Request) {})
	server.Close()
	err := approve(context.Background(), client)
	require.ErrorContains(t, err, "connection refused")
	require.ErrorContains(t, err, "complaint "+testComplaintID+" at "+strings.TrimPrefix(server.URL, "http://")+": ")
	requireOutcome(t, err, false)
}

// If a RoundTripper does not report to httptrace, a failed request counts as
// sent, unless the error says that it could not connect.
func TestComplaintsV2_UpdateRefundProgress_customTransport(t *testing.T) {
	for _, tt := range []struct {
		err     error
		unknown bool
	}{
		{io.ErrUnexpectedEOF, true},
		{&net.OpError{Op: "read", Err: io.EOF}, true},
		{&net.OpError{Op: "dial", Err: io.EOF}, false},
		{&net.DNSError{Err: "no such host"}, false},
	} {
		cfg := testConfig(t, "http://127.0.0.1:1")
		cfg.Transport = roundTripper(func(*http.Request) (*http.Response, error) { return nil, tt.err })
		client, err := wechatpay.NewClient(cfg)
		require.NoError(t, err)
		err = approve(context.Background(), client)
		require.ErrorIs(t, err, tt.err)
		requireOutcome(t, err, tt.unknown)
	}
}

func TestComplaintsV2_UpdateRefundProgress_signingFails(t *testing.T) {
	cfg := testConfig(t, "http://127.0.0.1:1")
	cfg.PrivateKey = hsm{privateKey(t, "merchant_key.pem"), io.ErrClosedPipe}
	client, err := wechatpay.NewClient(cfg)
	require.NoError(t, err)
	err = approve(context.Background(), client)
	require.ErrorIs(t, err, io.ErrClosedPipe)
	requireOutcome(t, err, false)
}

// A response of 512 MiB does not take 512 MiB of memory.
func TestComplaintsV2_UpdateRefundProgress_hugeResponse(t *testing.T) {
	for _, tt := range []struct {
		name    string
		status  int
		length  string
		unknown bool
	}{
		{"success with Content-Length", 200, "536870912", true},
		{"success without Content-Length", 200, "", true},
		{"client error with Content-Length", 400, "536870912", true},
		{"server error without Content-Length", 500, "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
				signed(t, "").set(t, w.Header())
				if tt.length != "" {
					w.Header().Set("Content-Length", tt.length)
				}
				w.WriteHeader(tt.status)
				chunk := make([]byte, 1<<20)
				for range 512 {
					if _, err := w.Write(chunk); err != nil {
						return
					}
				}
			})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := approve(context.Background(), client)
			runtime.ReadMemStats(&after)
			requireOutcome(t, err, tt.unknown)
			if tt.status == 200 {
				var verErr *wechatpay.VerificationError
				require.ErrorAs(t, err, &verErr)
				require.Equal(t, wechatpay.VerificationReasonBodyTooLarge, verErr.Reason)
			} else {
				var apiErr *wechatpay.APIError
				require.ErrorAs(t, err, &apiErr)
				require.Equal(t, tt.status, apiErr.StatusCode)
				require.Less(t, len(err.Error()), 1000)
			}
			// TotalAlloc includes what was freed.
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(128<<20), "bytes allocated")
		})
	}
}

// A decision survives a queue that uses encoding/gob, day 0 included.
func TestUpdateRefundProgressRequest_gob(t *testing.T) {
	for _, req := range []*wechatpay.UpdateRefundProgressRequest{
		wechatpay.ApproveRefund(0),
		wechatpay.ApproveRefund(3),
		wechatpay.RejectRefund("已使用", "file1", "file2"),
		{Action: wechatpay.RefundApprove, Remark: "x"},
	} {
		type job struct {
			ComplaintID string
			Decision    *wechatpay.UpdateRefundProgressRequest
		}
		var queue bytes.Buffer
		require.NoError(t, gob.NewEncoder(&queue).Encode(job{testComplaintID, req}))
		var got job
		require.NoError(t, gob.NewDecoder(&queue).Decode(&got))
		require.Equal(t, job{testComplaintID, req}, got)
	}
}

// The error of a rejected decision is short.
func TestComplaintsV2_UpdateRefundProgress_rejectionIsShort(t *testing.T) {
	client, _ := newMock(t, reply(t, 400, `{"code":"PARAM_ERROR","message":"非极速退款投诉单"}`))
	err := approve(context.Background(), client)
	var rejection *wechatpay.APIError
	require.ErrorAs(t, err, &rejection)
	requireShort(t, err, testComplaintID, requestID(err), rejection.Message, rejection.Host)
	require.NotContains(t, err.Error(), "POST")
}
