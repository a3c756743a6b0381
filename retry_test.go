package wechatpay_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// fastRetry is the default policy with short pauses.
var fastRetry = wechatpay.RetryPolicy{
	MinDelay:       time.Millisecond,
	MaxDelay:       time.Millisecond,
	AttemptTimeout: 10 * time.Second,
	HistoryLag:     time.Millisecond,
}

// retryClient returns a Client for baseURL that retries.
func retryClient(t testing.TB, baseURL string, change ...func(*wechatpay.Config)) *wechatpay.Client {
	t.Helper()
	cfg := testConfig(t, baseURL)
	cfg.Retry = fastRetry
	for _, change := range change {
		change(&cfg)
	}
	client, err := wechatpay.NewClient(cfg)
	require.NoError(t, err)
	return client
}

// respondUnsigned returns a handler that sends an unsigned response.
func respondUnsigned(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// fakeResponse returns an unsigned response for a fake http.RoundTripper.
func fakeResponse(req *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status,
		Header:     http.Header{},
		Body:       io.NopCloser(strings.NewReader(body)),
		Request:    req,
	}
}

// hostOf returns the host[:port] of a URL.
func hostOf(url string) string {
	_, host, _ := strings.Cut(url, "://")
	return host
}

// A firstFailure is a way in which the first attempt of a call fails.
type firstFailure struct {
	name    string
	class   string           // as in call.go
	handler http.HandlerFunc // nil: no connection
}

var firstFailures = []firstFailure{
	{"no connection", "notSent", nil},
	{"429", "busy", respondUnsigned(429, `{"code":"FREQUENCY_LIMITED"}`)},
	{"429 with the other code", "busy", respondUnsigned(429, `{"code":"RATELIMIT_EXCEEDED"}`)},
	{"500", "inDoubt", respondUnsigned(500, `{"code":"SYSTEM_ERROR"}`)},
	{"502 from a gateway", "inDoubt", respondUnsigned(502, `<html>`)},
	{"503", "inDoubt", respondUnsigned(503, `{"code":"SERVICE_UNAVAILABLE"}`)},
	{"lost response", "inDoubt", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	{"unsigned response", "inDoubt", respondUnsigned(200, `{}`)},
	{"400", "rejected", respondUnsigned(400, `{"code":"PARAM_ERROR"}`)},
	{"401", "rejected", respondUnsigned(401, `{"code":"SIGN_ERROR"}`)},
	{"403", "rejected", respondUnsigned(403, `{"code":"NO_AUTH"}`)},
	{"404", "rejected", respondUnsigned(404, `{"code":"RESOURCE_NOT_EXISTS"}`)},
	{"302", "inDoubt", respondUnsigned(302, ``)},
	{"403 from a gateway", "inDoubt", respondUnsigned(403, `<html>`)},
	{"404 from a gateway", "inDoubt", respondUnsigned(404, `404 page not found`)},
	{"429 from a gateway", "inDoubt", respondUnsigned(429, ``)},
}

// Reads and idempotent writes are retried after notSent, busy and inDoubt, other
// writes after notSent and busy. Decisions and completions in doubt are looked
// up: they are tested in complaints_outcome_test.go.
func TestComplaintsV2_retry(t *testing.T) {
	t.Parallel()
	for _, endpoint := range endpoints {
		idempotent := endpoint.method != http.MethodPost || strings.HasPrefix(endpoint.name, "RespondImmediateService")
		lookedUp := strings.HasPrefix(endpoint.name, "UpdateRefundProgress") ||
			strings.HasPrefix(endpoint.name, "Complete")
		for _, failure := range firstFailures {
			if lookedUp && failure.class != "notSent" && failure.class != "rejected" {
				continue
			}
			t.Run(endpoint.name+", "+failure.name, func(t *testing.T) {
				retried := failure.class != "rejected" && (failure.class != "inDoubt" || idempotent)
				testRetry(t, &endpoint, &failure, retried)
			})
		}
	}
}

// testRetry calls an endpoint whose first attempt fails.
func testRetry(t *testing.T, endpoint *endpoint, failure *firstFailure, retried bool) {
	var requests, dials atomic.Int32
	nonces := make(chan string, 10)
	_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		require.Equal(t, endpoint.body, string(body))
		nonces <- requireSigned(t, r, string(body))
		if requests.Add(1) == 1 && failure.handler != nil {
			failure.handler(w, r)
			return
		}
		reply(t, endpoint.status, endpoint.response)(w, r)
	})
	client := retryClient(t, server.URL, func(cfg *wechatpay.Config) {
		transport := wechatpay.NewTransport()
		t.Cleanup(transport.CloseIdleConnections)
		transport.DisableKeepAlives = true // net/http would retry a GET by itself
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if dials.Add(1) == 1 && failure.handler == nil {
				return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		}
		cfg.Transport = transport
	})
	got, err := endpoint.call(context.Background(), client.ComplaintsV2)
	if !retried {
		require.Error(t, err)
		require.Equal(t, int32(1), requests.Load())
		unknown := failure.class == "inDoubt" && endpoint.method != http.MethodGet
		require.Equal(t, unknown, errors.Is(err, wechatpay.ErrOutcomeUnknown))
		return
	}
	require.NoError(t, err)
	requireSameJSON(t, endpoint.want, got)
	if failure.handler == nil {
		require.Equal(t, int32(1), requests.Load())
		return
	}
	require.Equal(t, int32(2), requests.Load())
	require.NotEqual(t, <-nonces, <-nonces, "the retry is not signed again")
}

func TestClient_Do_retry(t *testing.T) {
	t.Parallel()
	for _, failure := range firstFailures[1:] {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			t.Run(method+", "+failure.name, func(t *testing.T) {
				var requests atomic.Int32
				_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
					if requests.Add(1) == 1 {
						failure.handler(w, r)
						return
					}
					reply(t, 200, `{}`)(w, r)
				})
				err := retryClient(t, server.URL).Do(context.Background(), method, "/v3/x", nil, nil)
				if method == http.MethodGet && failure.class != "rejected" {
					require.NoError(t, err)
					require.Equal(t, int32(2), requests.Load())
					return
				}
				require.Error(t, err)
				require.Equal(t, int32(1), requests.Load())
				// An unknown endpoint may have applied the write before the 429.
				unknown := method != http.MethodGet && failure.class != "rejected"
				require.Equal(t, unknown, errors.Is(err, wechatpay.ErrOutcomeUnknown))
			})
		}
	}
}

func TestRetryPolicy_MaxAttempts(t *testing.T) {
	for maxAttempts, want := range map[int]int32{0: 4, 1: 1, 2: 2, 7: 7} {
		var requests atomic.Int32
		_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			respondUnsigned(500, `{"code":"SYSTEM_ERROR"}`)(w, r)
		})
		client := retryClient(t, server.URL, func(cfg *wechatpay.Config) { cfg.Retry.MaxAttempts = maxAttempts })
		_, err := client.ComplaintsV2.Get(context.Background(), testComplaintID)
		var rejected *wechatpay.APIError
		require.ErrorAs(t, err, &rejected)
		require.Equal(t, want, requests.Load())
	}
}

func TestRetryPolicy_invalid(t *testing.T) {
	for _, tt := range []struct {
		policy wechatpay.RetryPolicy
		fields []string
	}{
		{
			wechatpay.RetryPolicy{MaxAttempts: -1, MinDelay: -1, MaxDelay: -1, AttemptTimeout: -1, HistoryLag: -1},
			[]string{
				"Retry.MaxAttempts", "Retry.MinDelay", "Retry.MaxDelay", "Retry.AttemptTimeout", "Retry.HistoryLag",
			},
		},
		{
			wechatpay.RetryPolicy{MinDelay: 24*time.Hour + 1, MaxDelay: 24 * time.Hour, AttemptTimeout: math.MaxInt64},
			[]string{"Retry.MinDelay", "Retry.AttemptTimeout"},
		},
	} {
		cfg := testConfig(t, "http://127.0.0.1:1")
		cfg.Retry = tt.policy
		_, err := wechatpay.NewClient(cfg)
		var invalid *wechatpay.ArgumentError
		require.ErrorAs(t, err, &invalid)
		var fields []string
		for _, fault := range invalid.Faults {
			fields = append(fields, fault.Field)
		}
		require.Equal(t, tt.fields, fields)
	}
}

// getAfter429 reads from a server whose first response is a 429 with a
// Retry-After header. It returns the number of requests.
func getAfter429(
	ctx context.Context, t *testing.T, retryAfter string, change ...func(*wechatpay.Config),
) (requests int32, err error) {
	t.Helper()
	var count atomic.Int32
	_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		if count.Add(1) == 1 {
			w.Header().Set("Retry-After", retryAfter)
			respondUnsigned(429, `{"code":"FREQUENCY_LIMITED"}`)(w, r)
			return
		}
		reply(t, 200, `{"url":"https://www.example.com/"}`)(w, r)
	})
	_, err = retryClient(t, server.URL, change...).ComplaintsV2.NotificationURL(ctx)
	return count.Load(), err
}

// The pauses of a Retry-After in seconds are tested in retry_synctest_test.go.
func TestRetryPolicy_retryAfter(t *testing.T) {
	httpTime := func(at time.Time) string { return at.UTC().Format(http.TimeFormat) }
	t.Run("date", func(t *testing.T) {
		clock := testTime.Add(980 * time.Millisecond)
		start := time.Now()
		requests, err := getAfter429(context.Background(), t, httpTime(testTime.Add(time.Second)),
			func(cfg *wechatpay.Config) { cfg.Time = func() time.Time { return clock } })
		require.NoError(t, err)
		require.Equal(t, int32(2), requests)
		require.GreaterOrEqual(t, time.Since(start), 20*time.Millisecond)
	})
	for _, ignored := range []string{"", "soon", "-1", "0", httpTime(testTime.Add(-time.Hour))} {
		t.Run("ignored "+ignored, func(t *testing.T) {
			requests, err := getAfter429(context.Background(), t, ignored)
			require.NoError(t, err)
			require.Equal(t, int32(2), requests)
		})
	}
	hour, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	for _, tt := range []struct {
		name       string
		ctx        context.Context
		retryAfter string
	}{
		{"31 s without a deadline", context.Background(), "31"},
		{"too large a number", context.Background(), "99999999999999999999"},
		{"date in an hour", context.Background(), httpTime(testTime.Add(time.Hour))},
		{"after the deadline", hour, "3601"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			requests, err := getAfter429(tt.ctx, t, tt.retryAfter)
			var busy *wechatpay.APIError
			require.ErrorAs(t, err, &busy)
			require.Equal(t, 429, busy.StatusCode)
			require.Equal(t, int32(1), requests)
			require.NoError(t, tt.ctx.Err())
		})
	}
}

func TestRetryPolicy_AttemptTimeout(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	var requests atomic.Int32
	_, server := newMock(t, func(http.ResponseWriter, *http.Request) {
		requests.Add(1)
		<-release
	})
	client := retryClient(t, server.URL, func(cfg *wechatpay.Config) {
		cfg.Retry.AttemptTimeout, cfg.Retry.MaxAttempts = 50*time.Millisecond, 2
	})
	_, err := client.ComplaintsV2.Get(context.Background(), testComplaintID)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "no response within 50ms")
	require.Equal(t, int32(2), requests.Load())
	_, err = client.ComplaintsV2.DownloadImage(context.Background(), "a")
	require.ErrorContains(t, err, "no response within 50ms")
	err = approve(context.Background(), client)
	require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
}

// The first attempt may have been applied, whatever the second is rejected for.
func TestComplaintsV2_UpdateNotificationURL_rejectedRetry(t *testing.T) {
	var requests atomic.Int32
	_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 1 {
			panic(http.ErrAbortHandler)
		}
		respondUnsigned(403, `{"code":"NO_AUTH"}`)(w, r)
	})
	client := retryClient(t, server.URL)
	_, err := client.ComplaintsV2.UpdateNotificationURL(context.Background(), "https://www.example.com/")
	require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	require.ErrorIs(t, err, io.EOF)
	var rejected *wechatpay.APIError
	require.ErrorAs(t, err, &rejected)
	require.Equal(t, wechatpay.ErrorCodeNoAuth, rejected.Code)
	require.NotContains(t, err.Error(), "\n")
}

// A retry that finds nothing to delete leaves the outcome unknown: the rejection
// is not signed, and may come from anyone.
func TestComplaintsV2_DeleteNotificationURL_lostResponse(t *testing.T) {
	server, client := newFake(t)
	for name, fault := range map[string]wechatpaytest.Fault{
		"one response lost":  {Path: "DELETE ", Kind: wechatpaytest.FaultLostResponse},
		"all responses lost": {Path: "DELETE ", Kind: wechatpaytest.FaultError500, TakesEffect: true, Times: 4},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client.ComplaintsV2.CreateNotificationURL(context.Background(), "https://www.example.com/notify")
			require.NoError(t, err)
			server.AddFault(fault)
			require.ErrorIs(t, client.ComplaintsV2.DeleteNotificationURL(context.Background()), wechatpay.ErrOutcomeUnknown)
		})
	}
	t.Run("not set", func(t *testing.T) {
		err := client.ComplaintsV2.DeleteNotificationURL(context.Background())
		var rejected *wechatpay.APIError
		require.ErrorAs(t, err, &rejected)
		require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	})
}

func TestComplaintsV2_UploadImage_lostResponse(t *testing.T) {
	server, client := newFake(t)
	server.AddFault(wechatpaytest.Fault{Path: "upload", Kind: wechatpaytest.FaultLostResponse})
	image := bytes.NewReader(picture("png", 100))
	mediaID, err := client.ComplaintsV2.UploadImage(context.Background(), "a.png", image)
	require.NoError(t, err)
	require.NotEmpty(t, mediaID)
	require.Equal(t, 2, count(server, "POST upload"))
}

// onClose calls f after the response body is closed.
type onClose struct {
	io.ReadCloser
	f func()
}

func (b onClose) Close() error {
	err := b.ReadCloser.Close()
	b.f()
	return err
}

func TestComplaintsV2_UpdateRefundProgress_contextEnds(t *testing.T) {
	t.Run("before the pause", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		client := retryClient(t, "http://127.0.0.1:1", func(cfg *wechatpay.Config) {
			cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
				resp := fakeResponse(req, 429, `{"code":"FREQUENCY_LIMITED"}`)
				resp.Header.Set("Retry-After", "20")
				resp.Body = onClose{resp.Body, cancel}
				return resp, nil
			})
		})
		err := approve(ctx, client)
		var busy *wechatpay.APIError
		require.ErrorAs(t, err, &busy)
		require.ErrorIs(t, err, context.Canceled)
		requireOutcome(t, err, true)
	})
	t.Run("in the response body", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		release := make(chan struct{})
		defer close(release)
		_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "{")
			w.(http.Flusher).Flush()
			cancel()
			<-release
		})
		err := approve(ctx, retryClient(t, server.URL))
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	})
	t.Run("in the lookup", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		release := make(chan struct{})
		defer close(release)
		_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				respondUnsigned(500, `{}`)(w, r)
				return
			}
			cancel()
			<-release
		})
		err := approve(ctx, retryClient(t, server.URL))
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	})
}

// After one failed dial, calls go to the backup host for 30 s.
func TestClient_failover_unreachableHost(t *testing.T) {
	var requests, dials atomic.Int32
	_, backup := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		reply(t, 204, "")(w, r)
	})
	_, down := newMock(t, nil)
	down.Close()
	clock := testTime
	client := retryClient(t, down.URL, func(cfg *wechatpay.Config) {
		cfg.BackupURL = backup.URL
		cfg.Retry.MinDelay, cfg.Retry.MaxDelay = time.Hour, time.Hour // failover needs no pause
		cfg.Time = func() time.Time { return clock }
		transport := wechatpay.NewTransport()
		t.Cleanup(transport.CloseIdleConnections)
		transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if "http://"+address == down.URL {
				dials.Add(1)
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		}
		cfg.Transport = transport
	})
	for range 3 {
		require.NoError(t, approve(context.Background(), client))
	}
	require.Equal(t, int32(1), dials.Load(), "a later call does not skip the main host")
	require.Equal(t, int32(3), requests.Load())

	clock = testTime.Add(30*time.Second - 1)
	require.NoError(t, approve(context.Background(), client))
	require.Equal(t, int32(1), dials.Load(), "the main host is not skipped for 30 s")
	clock = testTime.Add(30 * time.Second)
	require.NoError(t, approve(context.Background(), client))
	require.Equal(t, int32(2), dials.Load(), "the main host is skipped for more than 30 s")
}

// If both hosts fail, the attempts alternate between them.
func TestClient_failover_bothHostsUnreachable(t *testing.T) {
	const main, backup = "127.0.0.1:1", "127.0.0.1:2"
	var hosts []string
	clock := testTime
	client := retryClient(t, "http://"+main, func(cfg *wechatpay.Config) {
		cfg.BackupURL = "http://" + backup
		cfg.Retry.MaxAttempts = 5
		cfg.Time = func() time.Time {
			clock = clock.Add(time.Millisecond)
			return clock
		}
		cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
			hosts = append(hosts, req.URL.Host)
			return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
		})
	})
	err := approve(context.Background(), client)
	require.Equal(t, []string{main, backup, main, backup, main}, hosts)
	require.EqualError(t, err, "wechatpay: ComplaintsV2.UpdateRefundProgress: 5 attempts: "+
		"complaint "+testComplaintID+" at "+main+": dial: connection refused; "+
		"earlier: complaint "+testComplaintID+" at "+backup+": dial: connection refused")
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
}

func TestClient_failover_gatewayStatus(t *testing.T) {
	for status, failover := range map[int]bool{500: false, 502: true, 503: true, 504: false} {
		var mainRequests, backupRequests atomic.Int32
		_, gateway := newMock(t, func(w http.ResponseWriter, r *http.Request) {
			mainRequests.Add(1)
			respondUnsigned(status, "<html>")(w, r)
		})
		_, backup := newMock(t, func(w http.ResponseWriter, r *http.Request) {
			backupRequests.Add(1)
			reply(t, 200, `{"complaint_id":"`+testComplaintID+`"}`)(w, r)
		})
		client := retryClient(t, gateway.URL, func(cfg *wechatpay.Config) { cfg.BackupURL = backup.URL })
		if !failover {
			_, err := client.ComplaintsV2.Get(context.Background(), testComplaintID)
			require.Error(t, err)
			require.Equal(t, int32(4), mainRequests.Load())
			require.Zero(t, backupRequests.Load())
			continue
		}
		for range 2 {
			_, err := client.ComplaintsV2.Get(context.Background(), testComplaintID)
			require.NoError(t, err)
		}
		require.Equal(t, int32(1), mainRequests.Load())
		require.Equal(t, int32(2), backupRequests.Load())
	}
}

// A wrong certificate means that the host is not WeChat Pay, not that it is down.
func TestClient_failover_notAfterCertificateError(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	server.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(io.Discard, nil), slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	_, backup := newMock(t, func(http.ResponseWriter, *http.Request) { t.Error("request to the backup host") })
	client := retryClient(t, server.URL, func(cfg *wechatpay.Config) { cfg.BackupURL = backup.URL })
	err := approve(context.Background(), client)
	var failed *tls.CertificateVerificationError
	require.ErrorAs(t, err, &failed)
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
}

// A host that was skipped is tried again if the clock is set back.
func TestClient_failover_clockSetBack(t *testing.T) {
	for _, setBack := range []time.Duration{1, 200 * time.Second} {
		var mainRequests, backupRequests atomic.Int32
		_, gateway := newMock(t, func(w http.ResponseWriter, r *http.Request) {
			if mainRequests.Add(1) == 1 {
				respondUnsigned(503, "")(w, r)
				return
			}
			reply(t, 200, `{"complaint_id":"`+testComplaintID+`"}`)(w, r)
		})
		_, backup := newMock(t, func(w http.ResponseWriter, r *http.Request) {
			backupRequests.Add(1)
			reply(t, 200, `{"complaint_id":"`+testComplaintID+`"}`)(w, r)
		})
		clock := testTime
		client := retryClient(t, gateway.URL, func(cfg *wechatpay.Config) {
			cfg.BackupURL, cfg.Time = backup.URL, func() time.Time { return clock }
		})
		_, err := client.ComplaintsV2.Get(context.Background(), testComplaintID)
		require.NoError(t, err)
		clock = clock.Add(-setBack)
		_, err = client.ComplaintsV2.Get(context.Background(), testComplaintID)
		require.NoError(t, err)
		require.Equal(t, int32(2), mainRequests.Load())
		require.Equal(t, int32(1), backupRequests.Load())
	}
}

// If signing takes the whole attempt, it is tried again, at the same host.
func TestClient_failover_notAfterSigningTimeout(t *testing.T) {
	_, backup := newMock(t, func(http.ResponseWriter, *http.Request) { t.Error("request to the backup host") })
	server, client := newFake(t, func(cfg *wechatpay.Config) {
		cfg.BackupURL = backup.URL
		cfg.PrivateKey = &failingKey{Signer: cfg.PrivateKey, fail: func(n int) error {
			if n == 1 {
				return context.DeadlineExceeded // as the client of an HSM returns it
			}
			return nil
		}}
	})
	require.NoError(t, approve(context.Background(), client))
	require.Len(t, server.Requests(), 1)
}

// Images of WeChat Pay's own hosts are read from BaseURL, or BackupURL if that
// is down.
func TestComplaintsV2_DownloadImage_failover(t *testing.T) {
	_, down := newMock(t, nil)
	down.Close()
	_, backup := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		w.Write(picture("png", 64))
	})
	client := retryClient(t, down.URL, func(cfg *wechatpay.Config) { cfg.BackupURL = backup.URL })
	image, err := client.ComplaintsV2.DownloadImage(context.Background(),
		"https://api2.mch.weixin.qq.com/v3/merchant-service/images/a")
	require.NoError(t, err)
	content, err := io.ReadAll(image)
	require.NoError(t, err)
	require.NoError(t, image.Close())
	require.Equal(t, picture("png", 64), content)
}

// silenceableProxy starts a TCP proxy to addr. It forwards nothing while silent
// is set, and keeps its connections open.
func silenceableProxy(t *testing.T, addr string, silent *atomic.Bool) net.Listener {
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var connections sync.WaitGroup
	t.Cleanup(connections.Wait)
	t.Cleanup(func() { proxy.Close() })
	forward := func(to, from net.Conn) {
		defer connections.Done()
		defer to.Close()
		buffer := make([]byte, 1<<16)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			if !silent.Load() {
				to.Write(buffer[:n])
			}
		}
	}
	connections.Add(1)
	go func() {
		defer connections.Done()
		for {
			in, err := proxy.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", addr)
			if err != nil {
				in.Close()
				return
			}
			connections.Add(2)
			go forward(out, in)
			go forward(in, out)
		}
	}()
	return proxy
}

// Pings detect an HTTP/2 connection that is silent but not closed.
func TestNewTransport_silentHTTP2Connection(t *testing.T) {
	server := httptest.NewUnstartedServer(reply(t, 200, `{"complaint_id":"`+testComplaintID+`"}`))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	var silent atomic.Bool
	proxy := silenceableProxy(t, server.Listener.Addr().String(), &silent)

	transport := wechatpay.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	require.NotZero(t, transport.HTTP2.SendPingTimeout)
	require.LessOrEqual(t, transport.HTTP2.SendPingTimeout+transport.HTTP2.PingTimeout, 10*time.Second)
	transport.HTTP2.SendPingTimeout, transport.HTTP2.PingTimeout = 50*time.Millisecond, 50*time.Millisecond
	transport.ResponseHeaderTimeout = 0
	transport.TLSClientConfig.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	client := retryClient(t, "https://"+proxy.Addr().String(), func(cfg *wechatpay.Config) {
		cfg.Transport, cfg.Retry.AttemptTimeout, cfg.Retry.MaxAttempts = transport, time.Hour, 1
	})
	_, err := client.ComplaintsV2.Get(context.Background(), testComplaintID)
	require.NoError(t, err)
	silent.Store(true)
	err = approve(context.Background(), client)
	require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
}

// readLog decodes the records of a slog.JSONHandler, without times and durations.
func readLog(t *testing.T, log string) (records []map[string]any) {
	t.Helper()
	for line := range strings.Lines(log) {
		record := map[string]any{}
		require.NoError(t, json.Unmarshal([]byte(line), &record))
		delete(record, "time")
		if record["level"] == "DEBUG" {
			require.Positive(t, record["duration"])
			delete(record, "duration")
		}
		records = append(records, record)
	}
	return records
}

// Each attempt is logged at DEBUG, each retry at WARN, and no secret at all.
func TestConfig_Logger_retry(t *testing.T) {
	var requests atomic.Int32
	_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 1 {
			w.Header().Set("Request-ID", "08F7-1")
			respondUnsigned(429, `{"code":"FREQUENCY_LIMITED"}`)(w, r)
			return
		}
		reply(t, 200, `{"data":[`+complaintJSON+`],"limit":50,"offset":0}`)(w, r)
	})
	var out bytes.Buffer
	client := retryClient(t, server.URL, func(cfg *wechatpay.Config) {
		cfg.Logger = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	_, err := client.ComplaintsV2.List(context.Background(), &wechatpay.ListComplaintsRequest{
		BeginDate:        day(2026, 1, 1),
		EndDate:          day(2026, 1, 1),
		ComplaintedMchID: "1900000002",
	})
	require.NoError(t, err)

	const op, path = "ComplaintsV2.List", "/v3/merchant-service/complaints-v2"
	failed := "GET " + path + " at " + hostOf(server.URL) + ": 429 FREQUENCY_LIMITED [request id 08F7-1]"
	require.Equal(t, []map[string]any{
		{
			"level": "DEBUG", "msg": "wechatpay: attempt", "op": op, "method": "GET", "path": path,
			"host": server.URL, "attempt": 1.0, "status": 429.0, "code": "FREQUENCY_LIMITED",
			"request_id": "08F7-1", "error": failed,
		},
		{"level": "WARN", "msg": "wechatpay: retrying", "op": op, "attempt": 1.0, "error": failed},
		{
			"level": "DEBUG", "msg": "wechatpay: attempt", "op": op, "method": "GET", "path": path,
			"host": server.URL, "attempt": 2.0, "status": 200.0, "request_id": "08F7A1B2C30610-0",
		},
	}, readLog(t, out.String()))
	for _, secret := range []string{"signature", "WECHATPAY2", "1900000002", "反馈", testAPIv3Key} {
		require.NotContains(t, out.String(), secret)
	}
}
