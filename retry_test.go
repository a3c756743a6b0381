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

// fastRetry is the default policy without its patience.
var fastRetry = wechatpay.RetryPolicy{MinDelay: time.Millisecond, MaxDelay: time.Millisecond, AttemptTimeout: 10 * time.Second, HistoryLag: time.Millisecond}

// retryClient repeats against a service at baseURL.
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

// failures are the ways in which a first attempt fails, and what is known of a
// write then.
var failures = []struct {
	name    string
	class   string // notSent, busy, unknown, definite
	handler http.HandlerFunc
}{
	{"no connection", "notSent", nil},
	{"429", "busy", answer(429, `{"code":"FREQUENCY_LIMITED"}`)},
	{"429 by the other code", "busy", answer(429, `{"code":"RATELIMIT_EXCEEDED"}`)},
	{"500", "unknown", answer(500, `{"code":"SYSTEM_ERROR"}`)},
	{"502 of a gateway", "unknown", answer(502, `<html>`)},
	{"503", "unknown", answer(503, `{"code":"SERVICE_UNAVAILABLE"}`)},
	{"lost answer", "unknown", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	{"unsigned answer", "unknown", answer(200, `{}`)},
	{"400", "definite", answer(400, `{"code":"PARAM_ERROR"}`)},
	{"401", "definite", answer(401, `{"code":"SIGN_ERROR"}`)},
	{"403", "definite", answer(403, `{"code":"NO_AUTH"}`)},
	{"404", "definite", answer(404, `{"code":"RESOURCE_NOT_EXISTS"}`)},
	{"302", "definite", answer(302, ``)},
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// What is sent again after which failure: reads and idempotent calls after all
// but definite ones, other writes only if the first attempt certainly had no
// effect. (What a decision and a completion do beyond that is tested elsewhere.)
func TestWhatIsRepeated(t *testing.T) {
	for _, endpoint := range endpoints {
		idempotent := endpoint.method != http.MethodPost || strings.HasPrefix(endpoint.name, "RespondImmediateService")
		looksUp := strings.HasPrefix(endpoint.name, "UpdateRefundProgress") || strings.HasPrefix(endpoint.name, "Complete")
		for _, failure := range failures {
			if looksUp && failure.class == "unknown" {
				continue
			}
			t.Run(endpoint.name+", "+failure.name, func(t *testing.T) {
				var requests atomic.Int32
				nonces := make(chan string, 10)
				_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					require.Equal(t, endpoint.body, string(body), "the body of a repeated request")
					nonces <- requireSigned(t, r, string(body))
					if requests.Add(1) == 1 && failure.handler != nil {
						failure.handler(w, r)
						return
					}
					reply(t, endpoint.status, endpoint.answer)(w, r)
				})
				var dials atomic.Int32
				client := retryClient(t, server.URL, func(cfg *wechatpay.Config) {
					transport := wechatpay.NewTransport()
					t.Cleanup(transport.CloseIdleConnections)
					transport.DisableKeepAlives = true // Go's own repetition of a GET would count
					transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
						if dials.Add(1) == 1 && failure.handler == nil {
							return nil, &net.OpError{Op: "dial", Err: errors.New("nobody listens")}
						}
						return new(net.Dialer).DialContext(ctx, network, address)
					}
					cfg.Transport = transport
				})
				got, err := endpoint.call(context.Background(), client.ComplaintsV2)

				switch repeated := failure.class == "notSent" || failure.class == "busy" || failure.class == "unknown" && idempotent; {
				case repeated:
					require.NoError(t, err)
					requireSameJSON(t, endpoint.want, got)
					if failure.handler == nil {
						require.Equal(t, int32(1), requests.Load())
						return
					}
					require.Equal(t, int32(2), requests.Load())
					require.NotEqual(t, <-nonces, <-nonces, "a repeated request is signed anew")
				default:
					require.Error(t, err)
					require.Equal(t, int32(1), requests.Load())
					require.Equal(t, failure.class == "unknown" && endpoint.method != http.MethodGet, errors.Is(err, wechatpay.ErrOutcomeUnknown))
				}
			})
		}
	}
}

func TestDoRepeatsOnlyGET(t *testing.T) {
	for _, failure := range failures[1:] {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			var requests atomic.Int32
			_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
				if requests.Add(1) == 1 {
					failure.handler(w, r)
					return
				}
				reply(t, 200, `{}`)(w, r)
			})
			err := retryClient(t, server.URL).Do(context.Background(), method, "/v3/x", nil, nil)
			if method == http.MethodGet && failure.class != "definite" {
				require.NoError(t, err, failure.name)
			} else {
				require.Error(t, err)
				require.Equal(t, int32(1), requests.Load(), "%s after %s", method, failure.name)
				// A 429 of an API that is not known may mean that the request is being accepted.
				require.Equal(t, method != http.MethodGet && failure.class != "definite", errors.Is(err, wechatpay.ErrOutcomeUnknown), "%s after %s", method, failure.name)
			}
		}
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	for _, attempts := range []int{0, 1, 2, 7} {
		var requests atomic.Int32
		_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			answer(500, `{"code":"SYSTEM_ERROR"}`)(w, r)
		})
		client := retryClient(t, server.URL, func(cfg *wechatpay.Config) { cfg.Retry.MaxAttempts = attempts })
		_, err := client.ComplaintsV2.Get(context.Background(), testComplaintID)
		var refusal *wechatpay.APIError
		require.ErrorAs(t, err, &refusal)
		want := int32(attempts)
		if attempts == 0 {
			want = 4
		}
		require.Equal(t, want, requests.Load())
	}
}

// After a doubt, a later refusal does not make the outcome known: the first
// attempt may be what it is refused for.
func TestDoubtStays(t *testing.T) {
	var requests atomic.Int32
	_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 1 {
			panic(http.ErrAbortHandler)
		}
		answer(403, `{"code":"NO_AUTH"}`)(w, r)
	})
	_, err := retryClient(t, server.URL).ComplaintsV2.UpdateNotificationURL(context.Background(), "https://www.example.com/")
	require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	require.ErrorIs(t, err, io.EOF)
	var refusal *wechatpay.APIError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, wechatpay.ErrorCodeNoAuth, refusal.Code)
	require.NotContains(t, err.Error(), "\n")
}

// A second DELETE that is refused because the first took effect is a success.
func TestDeleteNotificationURLAfterALostAnswer(t *testing.T) {
	server, client := newFake(t)
	_, err := client.ComplaintsV2.CreateNotificationURL(context.Background(), "https://www.example.com/notify")
	require.NoError(t, err)
	server.AddFault(wechatpaytest.Fault{Path: "DELETE ", Kind: wechatpaytest.FaultLostResponse})
	require.NoError(t, client.ComplaintsV2.DeleteNotificationURL(context.Background()))

	// Though all answers are lost.
	_, err = client.ComplaintsV2.CreateNotificationURL(context.Background(), "https://www.example.com/notify")
	require.NoError(t, err)
	server.AddFault(wechatpaytest.Fault{Path: "DELETE ", Kind: wechatpaytest.FaultError500, TakesEffect: true, Times: 4})
	require.NoError(t, client.ComplaintsV2.DeleteNotificationURL(context.Background()))

	// Without a doubt it is the error that it is.
	err = client.ComplaintsV2.DeleteNotificationURL(context.Background())
	var refusal *wechatpay.APIError
	require.ErrorAs(t, err, &refusal)
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
}

func TestUploadIsRepeated(t *testing.T) {
	server, client := newFake(t)
	server.AddFault(wechatpaytest.Fault{Path: "upload", Kind: wechatpaytest.FaultLostResponse})
	mediaID, err := client.ComplaintsV2.UploadImage(context.Background(), "a.png", bytes.NewReader(picture("png", 100)))
	require.NoError(t, err)
	require.NotEmpty(t, mediaID)
	require.Equal(t, 2, count(server, "POST upload"))
}

func TestRetryAfter(t *testing.T) {
	get := func(ctx context.Context, retryAfter string, now time.Time) (requests int32, err error) {
		var count atomic.Int32
		_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
			if count.Add(1) == 1 {
				w.Header().Set("Retry-After", retryAfter)
				answer(429, `{"code":"FREQUENCY_LIMITED"}`)(w, r)
				return
			}
			reply(t, 200, `{}`)(w, r)
		})
		_, err = retryClient(t, server.URL).ComplaintsV2.NotificationURL(ctx)
		return count.Load(), err
	}

	began := time.Now()
	requests, err := get(context.Background(), "1", testTime)
	require.NoError(t, err)
	require.Equal(t, int32(2), requests)
	require.GreaterOrEqual(t, time.Since(began), time.Second)

	for _, unusable := range []string{"", "soon", "-1", "0", testTime.Add(-time.Hour).UTC().Format(http.TimeFormat)} {
		requests, err = get(context.Background(), unusable, testTime)
		require.NoError(t, err)
		require.Equal(t, int32(2), requests)
	}

	// More patience than there is: without a deadline, and with one.
	soon, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	for _, tt := range []struct {
		ctx        context.Context
		retryAfter string
	}{
		{context.Background(), "31"}, {context.Background(), "99999999999999999999"}, {context.Background(), testTime.Add(time.Hour).UTC().Format(http.TimeFormat)}, {soon, "3601"},
	} {
		requests, err = get(tt.ctx, tt.retryAfter, testTime)
		var refusal *wechatpay.APIError
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, 429, refusal.StatusCode)
		require.Equal(t, int32(1), requests)
		require.NoError(t, tt.ctx.Err())
	}
}

// Contexts end a call in every phase; which of them leave a write in doubt is
// rule 5.
func TestContextsEndEveryPhase(t *testing.T) {
	t.Run("backing off", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "20")
			answer(429, `{}`)(w, r)
			w.(http.Flusher).Flush()
			time.AfterFunc(10*time.Millisecond, cancel)
		})
		err := approve(ctx, retryClient(t, server.URL))
		var refusal *wechatpay.APIError
		require.ErrorAs(t, err, &refusal)
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	})
	t.Run("reading the answer", func(t *testing.T) {
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
	t.Run("looking up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		release := make(chan struct{})
		defer close(release)
		_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				answer(500, `{}`)(w, r)
				return
			}
			cancel()
			<-release
		})
		err := approve(ctx, retryClient(t, server.URL))
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	})
	t.Run("a server that never answers", func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		var requests atomic.Int32
		_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
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
	})
}

// A service that is down is given up for its backup after one failed dial, for
// a while.
func TestFailOver(t *testing.T) {
	var requests atomic.Int32
	_, backup := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		reply(t, 204, "")(w, r)
	})
	_, down := newMock(t, nil)
	down.Close()
	var dials atomic.Int32
	clock := testTime
	client := retryClient(t, down.URL, func(cfg *wechatpay.Config) {
		cfg.BackupURL = backup.URL
		cfg.Retry.MinDelay, cfg.Retry.MaxDelay = time.Hour, time.Hour // the backup needs no pause
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
	require.Equal(t, int32(1), dials.Load(), "later calls go straight to the backup")
	require.Equal(t, int32(3), requests.Load())

	clock = clock.Add(31 * time.Second)
	require.NoError(t, approve(context.Background(), client))
	require.Equal(t, int32(2), dials.Load(), "the main host is tried again after its rest")

	backup.Close()
	var ticks atomic.Int64
	client = retryClient(t, down.URL, func(cfg *wechatpay.Config) {
		cfg.BackupURL = backup.URL
		cfg.Time = func() time.Time { return testTime.Add(time.Duration(ticks.Add(1)) * time.Millisecond) }
	})
	err := approve(context.Background(), client)
	require.Regexp(t, `^wechatpay: ComplaintsV2\.UpdateRefundProgress: 4 attempts: .* at `+strings.TrimPrefix(backup.URL, "http://")+
		`: .*; earlier: .* at `+strings.TrimPrefix(down.URL, "http://")+`: `, err.Error())
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
}

func TestFailOverFromAGateway(t *testing.T) {
	for _, status := range []int{502, 503} {
		var main, spare atomic.Int32
		_, gateway := newMock(t, func(w http.ResponseWriter, r *http.Request) {
			main.Add(1)
			answer(status, "<html>")(w, r)
		})
		_, backup := newMock(t, func(w http.ResponseWriter, r *http.Request) {
			spare.Add(1)
			reply(t, 200, `{}`)(w, r)
		})
		client := retryClient(t, gateway.URL, func(cfg *wechatpay.Config) { cfg.BackupURL = backup.URL })
		for range 2 {
			_, err := client.ComplaintsV2.Get(context.Background(), testComplaintID)
			require.NoError(t, err)
		}
		require.Equal(t, int32(1), main.Load())
		require.Equal(t, int32(2), spare.Load())
	}
}

// A certificate that does not verify is no host that is down: what answers
// there is not WeChat Pay, and nothing is tried elsewhere.
func TestNoFailOverFromAWrongCertificate(t *testing.T) {
	stranger := httptest.NewUnstartedServer(nil)
	stranger.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(io.Discard, nil), slog.LevelError)
	stranger.StartTLS()
	t.Cleanup(stranger.Close)
	_, backup := newMock(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
	err := approve(context.Background(), retryClient(t, stranger.URL, func(cfg *wechatpay.Config) { cfg.BackupURL = backup.URL }))
	var failed *tls.CertificateVerificationError
	require.ErrorAs(t, err, &failed)
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
}

// An image of WeChat Pay's own hosts is fetched from BaseURL, so that a test
// never leaves its machine, and from the backup if that is down.
func TestDownloadImageFailsOver(t *testing.T) {
	_, down := newMock(t, nil)
	down.Close()
	_, backup := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		w.Write(picture("png", 64))
	})
	client := retryClient(t, down.URL, func(cfg *wechatpay.Config) { cfg.BackupURL = backup.URL })
	image, err := client.ComplaintsV2.DownloadImage(context.Background(), "https://api2.mch.weixin.qq.com/v3/merchant-service/images/a")
	require.NoError(t, err)
	content, err := io.ReadAll(image)
	require.NoError(t, err)
	require.NoError(t, image.Close())
	require.Equal(t, picture("png", 64), content)
}

// An HTTP/2 connection that goes silent without closing is noticed by pings.
func TestSilentHTTP2Connection(t *testing.T) {
	server := httptest.NewUnstartedServer(reply(t, 200, "{}"))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)

	// A proxy that stops to pass anything on.
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var silent atomic.Bool
	var connections sync.WaitGroup
	t.Cleanup(connections.Wait)
	t.Cleanup(func() { proxy.Close() })
	pipe := func(to, from net.Conn) {
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
			out, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				in.Close()
				return
			}
			connections.Add(2)
			go pipe(out, in)
			go pipe(in, out)
		}
	}()

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
	_, err = client.ComplaintsV2.Get(context.Background(), testComplaintID)
	require.NoError(t, err)
	silent.Store(true)
	err = approve(context.Background(), client)
	require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
}

func TestRetryPolicyIsChecked(t *testing.T) {
	cfg := testConfig(t, "http://127.0.0.1:1")
	cfg.Retry = wechatpay.RetryPolicy{MaxAttempts: -1, MinDelay: -1, MaxDelay: -1, AttemptTimeout: -1, HistoryLag: -1}
	_, err := wechatpay.NewClient(cfg)
	var refused *wechatpay.ArgumentError
	require.ErrorAs(t, err, &refused)
	var fields []string
	for _, fault := range refused.Faults {
		fields = append(fields, fault.Field)
	}
	require.Equal(t, []string{"Retry.MaxAttempts", "Retry.MinDelay", "Retry.MaxDelay", "Retry.AttemptTimeout", "Retry.HistoryLag"}, fields)

	cfg.Retry = wechatpay.RetryPolicy{MinDelay: 25 * time.Hour, AttemptTimeout: math.MaxInt64}
	_, err = wechatpay.NewClient(cfg)
	require.ErrorAs(t, err, &refused)
	require.Len(t, refused.Faults, 2)
}

// One debug record an attempt, one warning a repetition, and no secret.
func TestLogger(t *testing.T) {
	var requests atomic.Int32
	_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 1 {
			w.Header().Set("Request-ID", "08F7-1")
			answer(429, `{"code":"FREQUENCY_LIMITED"}`)(w, r)
			return
		}
		reply(t, 200, `{"data":[`+complaintJSON+`],"limit":50,"offset":0}`)(w, r)
	})
	var out bytes.Buffer
	client := retryClient(t, server.URL, func(cfg *wechatpay.Config) {
		cfg.Logger = slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	_, err := client.ComplaintsV2.List(context.Background(), &wechatpay.ListComplaintsRequest{BeginDate: day(2026, 1, 1), EndDate: day(2026, 1, 1), ComplaintedMchID: "1900000002"})
	require.NoError(t, err)

	var records []map[string]any
	for line := range strings.Lines(out.String()) {
		record := map[string]any{}
		require.NoError(t, json.Unmarshal([]byte(line), &record))
		delete(record, "time")
		if record["level"] == "DEBUG" {
			require.Positive(t, record["duration"])
			delete(record, "duration")
		}
		records = append(records, record)
	}
	failed := "GET /v3/merchant-service/complaints-v2 at " + strings.TrimPrefix(server.URL, "http://") + ": 429 FREQUENCY_LIMITED [request id 08F7-1]"
	require.Equal(t, []map[string]any{
		{"level": "DEBUG", "msg": "wechatpay: attempt", "op": "ComplaintsV2.List", "method": "GET", "path": "/v3/merchant-service/complaints-v2", "host": server.URL,
			"attempt": 1.0, "status": 429.0, "code": "FREQUENCY_LIMITED", "request_id": "08F7-1", "error": failed},
		{"level": "WARN", "msg": "wechatpay: retrying", "op": "ComplaintsV2.List", "attempt": 1.0, "error": failed},
		{"level": "DEBUG", "msg": "wechatpay: attempt", "op": "ComplaintsV2.List", "method": "GET", "path": "/v3/merchant-service/complaints-v2", "host": server.URL,
			"attempt": 2.0, "status": 200.0, "request_id": "08F7A1B2C30610-0"},
	}, records)
	for _, secret := range []string{"signature", "WECHATPAY2", "1900000002", "反馈", testAPIv3Key} {
		require.NotContains(t, out.String(), secret)
	}
}

// A busy gateway is given the time that it asks for by a decision, too.
func TestDecisionHonoursRetryAfter(t *testing.T) {
	server, client := newFake(t)
	server.Handle("POST /v3/merchant-service/complaints-v2/{id}/update-refund-progress", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "31")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	err := approve(context.Background(), client)
	requireOutcome(t, err, true)
	require.Equal(t, 1, count(server, decision), "sent again before its time")
}

// The clock that is put back does not keep a host at rest.
func TestRestOfAHostWhenTheClockIsPutBack(t *testing.T) {
	var main, spare atomic.Int32
	_, gateway := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		if main.Add(1) == 1 {
			answer(503, "")(w, r)
			return
		}
		reply(t, 200, `{}`)(w, r)
	})
	_, backup := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		spare.Add(1)
		reply(t, 200, `{}`)(w, r)
	})
	clock := testTime
	client := retryClient(t, gateway.URL, func(cfg *wechatpay.Config) {
		cfg.BackupURL, cfg.Time = backup.URL, func() time.Time { return clock }
	})
	_, err := client.ComplaintsV2.Get(context.Background(), testComplaintID)
	require.NoError(t, err)
	clock = clock.Add(-200 * time.Second)
	_, err = client.ComplaintsV2.Get(context.Background(), testComplaintID)
	require.NoError(t, err)
	require.Equal(t, int32(2), main.Load())
	require.Equal(t, int32(1), spare.Load())
}

// A key that takes all of an attempt's time is asked again, and no host is blamed.
func TestAKeyThatTakesAnAttempt(t *testing.T) {
	server, client := newFake(t, func(cfg *wechatpay.Config) {
		cfg.Retry.AttemptTimeout = 100 * time.Millisecond
		cfg.BackupURL = "http://127.0.0.1:1"
		cfg.PrivateKey = &failingKey{Signer: cfg.PrivateKey, fails: func(n int) error {
			if n == 1 {
				return context.DeadlineExceeded // as an HSM's client would say it
			}
			return nil
		}}
	})
	require.NoError(t, approve(context.Background(), client))
	require.Len(t, server.Requests(), 1)
}
