package recipes_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"golang.org/x/time/rate"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

const complaintID = "200201820200101080076610000"

// newServer starts a server with one complaint.
func newServer(t *testing.T) *wechatpaytest.Server {
	t.Helper()
	server := wechatpaytest.NewServer()
	t.Cleanup(server.Close)
	server.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID, PayerPhone: "13900000000"})
	return server
}

func newClient(t *testing.T, cfg wechatpay.Config) *wechatpay.Client {
	t.Helper()
	client, err := wechatpay.NewClient(cfg)
	require.NoError(t, err)
	return client
}

func reply(ctx context.Context, client *wechatpay.Client) error {
	return client.ComplaintsV2.Respond(ctx, complaintID, &wechatpay.RespondRequest{ResponseContent: "您好，已收到您的反馈。"})
}

func tracer(t *testing.T) (*trace.TracerProvider, *tracetest.SpanRecorder) {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	return trace.NewTracerProvider(trace.WithSpanProcessor(recorder)), recorder
}

// The Client uses httptrace to classify failures. That works through otelhttp too.
func TestTraced_failureClass(t *testing.T) {
	broken := errors.New("the connector is broken") // does not say whether the request was sent
	transports := map[string]func(*testing.T, http.RoundTripper) http.RoundTripper{
		"bare": func(_ *testing.T, base http.RoundTripper) http.RoundTripper { return base },
		"otelhttp": func(t *testing.T, base http.RoundTripper) http.RoundTripper {
			provider, _ := tracer(t)
			return traced(base, provider)
		},
	}
	for name, wrap := range transports {
		t.Run(name, func(t *testing.T) {
			t.Run("no connection", func(t *testing.T) {
				server := newServer(t)
				base := wechatpay.NewTransport()
				base.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, broken }
				cfg := server.Config()
				cfg.Transport = wrap(t, base)
				cfg.Retry.MaxAttempts = 1
				err := reply(t.Context(), newClient(t, cfg))
				require.ErrorIs(t, err, broken)
				require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			})
			t.Run("connection lost", func(t *testing.T) {
				server := newServer(t)
				server.AddFault(wechatpaytest.Fault{Path: "response", Kind: wechatpaytest.FaultLostResponse})
				cfg := server.Config()
				cfg.Transport = wrap(t, wechatpay.NewTransport())
				require.ErrorIs(t, reply(t.Context(), newClient(t, cfg)), wechatpay.ErrOutcomeUnknown)
				require.Len(t, server.Requests(), 1)
			})
			t.Run("unknown failure", func(t *testing.T) {
				server := newServer(t)
				cfg := server.Config()
				cfg.Transport = wrap(t, roundTripper(func(*http.Request) (*http.Response, error) { return nil, broken }))
				require.ErrorIs(t, reply(t.Context(), newClient(t, cfg)), wechatpay.ErrOutcomeUnknown)
			})
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// Spans contain no request headers or bodies, and requests no tracing headers.
func TestTraced_noSecrets(t *testing.T) {
	global := otel.GetTextMapPropagator()
	t.Cleanup(func() { otel.SetTextMapPropagator(global) })
	otel.SetTextMapPropagator(propagation.TraceContext{}) // as programs that trace their own services do
	server := newServer(t)
	server.AddFault(wechatpaytest.Fault{Path: "response", Kind: wechatpaytest.FaultBusy429, Delay: time.Nanosecond})
	server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultLostResponse})
	provider, recorder := tracer(t)
	cfg := server.Config()
	cfg.Transport = traced(wechatpay.NewTransport(), provider)
	client := newClient(t, cfg)
	ctx, parent := provider.Tracer("test").Start(t.Context(), "parent")
	require.NoError(t, reply(ctx, client))
	require.NoError(t, client.ComplaintsV2.UpdateRefundProgress(ctx, complaintID, wechatpay.ApproveRefund(0)))
	parent.End()

	requests := server.Requests()
	require.Len(t, requests, 4) // 429, retry; lost response, lookup
	spans := recorder.Ended()
	require.Len(t, spans, len(requests)+1)
	recorded := ""
	for _, span := range spans {
		recorded += span.Name() + "\n" + span.Status().Description + "\n"
		attributes := span.Attributes()
		for _, event := range span.Events() {
			recorded += event.Name + "\n"
			attributes = append(attributes, event.Attributes...)
		}
		for _, attribute := range attributes {
			recorded += string(attribute.Key) + "=" + attribute.Value.Emit() + "\n"
		}
	}
	require.Contains(t, recorded, complaintID)
	for _, secret := range []string{"authorization", "wechatpay2-", "signature=", "nonce_str", "您好"} {
		require.NotContains(t, strings.ToLower(recorded), secret)
	}
	for _, request := range requests {
		_, signature, found := strings.Cut(request.Header.Get("Authorization"), `signature="`)
		require.True(t, found)
		require.NotContains(t, recorded, signature[:40])
		require.NotContains(t, request.Header, "Traceparent")
	}
}

// exhausted returns a limiter whose next token comes after the given time.
func exhausted(next time.Duration) *rate.Limiter {
	limiter := rate.NewLimiter(rate.Every(next), 1)
	limiter.Allow()
	return limiter
}

// limitedWrites are writes by the last segment of their path.
var limitedWrites = map[string]func(context.Context, *wechatpay.Client) error{
	"response": reply,
	"update-refund-progress": func(ctx context.Context, client *wechatpay.Client) error {
		return client.ComplaintsV2.UpdateRefundProgress(ctx, complaintID, wechatpay.ApproveRefund(0))
	},
	"profitsharing": func(ctx context.Context, client *wechatpay.Client) error {
		return client.Do(ctx, http.MethodPost, "/v3/profitsharing", map[string]string{}, nil)
	},
}

// A request that the limiter rejects is not sent and not in doubt, and the Client
// does not switch to the backup host.
func TestLimited_notSent(t *testing.T) {
	ends := map[string]struct {
		next  time.Duration                           // until the limiter's next token
		end   func(*rate.Limiter, context.CancelFunc) // runs concurrently with the call
		cause error
	}{
		"its turn is after the attempt's timeout": {next: time.Hour},
		"canceled while it waits": {
			next: 10 * time.Second, // less than the attempt's timeout of 20 s
			end: func(limiter *rate.Limiter, cancel context.CancelFunc) {
				for limiter.Tokens() > -0.5 { // until the request waits
					runtime.Gosched()
				}
				cancel()
			},
			cause: context.Canceled,
		},
	}
	for name, end := range ends {
		for segment, write := range limitedWrites {
			t.Run(name+"/"+segment, func(t *testing.T) {
				main, backup := newServer(t), newServer(t)
				limiter := exhausted(end.next)
				cfg := main.Config()
				cfg.BackupURL = backup.URL
				cfg.Transport = limited{wechatpay.NewTransport(), map[string]*rate.Limiter{segment: limiter}}
				client := newClient(t, cfg)

				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if end.end != nil {
					go end.end(limiter, cancel)
				}
				err := write(ctx, client)
				require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
				var argumentError *wechatpay.ArgumentError
				require.ErrorAs(t, err, &argumentError)
				require.Equal(t, "rate limit", argumentError.Op)
				require.NotContains(t, err.Error(), "attempts", "no retry")
				if end.cause != nil {
					require.ErrorIs(t, err, end.cause)
				}
				require.Empty(t, main.Requests())

				_, err = client.ComplaintsV2.Get(t.Context(), complaintID)
				require.NoError(t, err)
				require.Len(t, main.Requests(), 1)
				require.Empty(t, backup.Requests())
			})
		}
	}
}

// TestNotSent_otherErrors checks what the comment of notSent says about other
// errors.
func TestNotSent_otherErrors(t *testing.T) {
	tests := map[string]struct {
		err                  error
		unknown              bool
		sent                 int // number of attempts
		readMain, readBackup int // host of the next read
	}{
		"other error":    {err: context.Canceled, unknown: true, sent: 1, readMain: 1},
		"argument error": {err: &wechatpay.ArgumentError{Op: "rate limit"}, sent: 1, readMain: 1},
		"dial error":     {err: &net.OpError{Op: "dial", Err: context.Canceled}, sent: 3, readBackup: 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			main, backup := newServer(t), newServer(t)
			base, sent := wechatpay.NewTransport(), 0
			cfg := main.Config()
			cfg.BackupURL = backup.URL
			// The third attempt uses the main host again, so that the backup host is next.
			cfg.Retry = wechatpay.RetryPolicy{MaxAttempts: 3, MinDelay: time.Nanosecond, MaxDelay: time.Nanosecond}
			cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
				if req.Method == http.MethodPost {
					sent++
					return nil, test.err
				}
				return base.RoundTrip(req)
			})
			client := newClient(t, cfg)
			err := reply(t.Context(), client)
			require.ErrorIs(t, err, test.err)
			require.Equal(t, test.unknown, errors.Is(err, wechatpay.ErrOutcomeUnknown))
			require.Equal(t, test.sent, sent)

			_, err = client.ComplaintsV2.Get(t.Context(), complaintID)
			require.NoError(t, err)
			require.Len(t, main.Requests(), test.readMain)
			require.Len(t, backup.Requests(), test.readBackup)
		})
	}
}

// If the rate limit prevents the lookup, the outcome is unknown.
func TestLimited_lookup(t *testing.T) {
	server := newServer(t)
	server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultLostResponse})
	cfg := server.Config()
	cfg.Transport = limited{wechatpay.NewTransport(), map[string]*rate.Limiter{"negotiation-historys": exhausted(time.Hour)}}
	err := newClient(t, cfg).ComplaintsV2.UpdateRefundProgress(t.Context(), complaintID, wechatpay.ApproveRefund(0))
	require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	require.Len(t, server.Requests(), 1)
}

// Each key of limits matches an endpoint.
func TestLimits_endpoints(t *testing.T) {
	calls := map[string]func(context.Context, *wechatpay.Client) error{
		"response": reply,
		"upload": func(ctx context.Context, client *wechatpay.Client) error {
			_, err := client.ComplaintsV2.UploadImage(ctx, "receipt.png", strings.NewReader("\x89PNG\r\n\x1a\n"))
			return err
		},
		"complaints-v2": func(ctx context.Context, client *wechatpay.Client) error {
			day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			_, err := client.ComplaintsV2.List(ctx, &wechatpay.ListComplaintsRequest{BeginDate: day, EndDate: day})
			return err
		},
		"negotiation-historys": func(ctx context.Context, client *wechatpay.Client) error {
			_, err := client.ComplaintsV2.NegotiationHistory(ctx, complaintID, nil)
			return err
		},
		"complete": func(ctx context.Context, client *wechatpay.Client) error {
			return client.ComplaintsV2.Complete(ctx, complaintID, nil)
		},
	}
	for segment := range limits() {
		t.Run(segment, func(t *testing.T) {
			require.Contains(t, calls, segment)
			server := newServer(t)
			cfg := server.Config()
			cfg.Transport = limited{wechatpay.NewTransport(), map[string]*rate.Limiter{segment: exhausted(time.Hour)}}
			client := newClient(t, cfg)
			var argumentError *wechatpay.ArgumentError
			require.ErrorAs(t, calls[segment](t.Context(), client), &argumentError)
			require.Equal(t, "rate limit", argumentError.Op)

			_, err := client.ComplaintsV2.Get(t.Context(), complaintID) // not limited
			require.NoError(t, err)
		})
	}
}

func TestPerMinute_anyMinute(t *testing.T) {
	for _, n := range []int{1, 7, 10, 60, 200, 1500} {
		limiter := perMinute(n)
		begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		var gone []time.Time
		for at := begin; at.Before(begin.Add(3 * time.Minute)); at = at.Add(5 * time.Millisecond) {
			if !limiter.AllowN(at, 1) {
				continue
			}
			gone = append(gone, at)
			if before := len(gone) - 1 - n; before >= 0 {
				require.GreaterOrEqual(t, at.Sub(gone[before]), time.Minute, "more than %d in a minute", n)
			}
		}
		require.Greater(t, len(gone), 3*n*85/100, "much less than the limit")
	}
}

// A mounted handler uses the new APIv3 key.
func TestRotating_ServeHTTP_newAPIv3Key(t *testing.T) {
	server := newServer(t)
	var handled []string
	merchant := &rotating{transport: wechatpay.NewTransport(), handle: func(_ context.Context, n *wechatpay.Notification) error {
		handled = append(handled, n.ComplaintID)
		return nil
	}}
	var mounted http.Handler = merchant
	notify := func() int {
		req, err := server.NewNotification(t.Context(), "/", wechatpaytest.Notification{
			EventType:   "COMPLAINT.CREATE",
			ComplaintID: complaintID,
			ActionType:  "CREATE_COMPLAINT",
		})
		require.NoError(t, err)
		w := httptest.NewRecorder()
		mounted.ServeHTTP(w, req)
		return w.Code
	}
	old := server.Config()
	old.APIv3Key = strings.Repeat("o", 32) // the previous key
	require.NoError(t, merchant.rotate(old))
	require.Equal(t, http.StatusBadRequest, notify())
	require.NoError(t, merchant.rotate(server.Config()))
	require.Equal(t, http.StatusOK, notify())
	require.Equal(t, []string{complaintID}, handled)
}

// While the keys change, no call fails, each is signed with the old or the new key,
// and no connection is opened.
func TestRotating_rotate_underLoad(t *testing.T) {
	server := newServer(t)
	const callers, calls = 8, 10
	var dials atomic.Int64
	merchant := &rotating{transport: countingTransport(callers, &dials)}
	oldConfig := server.Config()
	require.NoError(t, merchant.rotate(oldConfig))

	var warm, done sync.WaitGroup
	rotated := make(chan struct{})
	failures := make(chan error, callers)
	for range callers {
		warm.Add(1)
		done.Add(1)
		go func() {
			defer done.Done()
			first := sync.OnceFunc(warm.Done)
			defer first()
			for left := calls; left > 0; {
				if err := getPhone(t.Context(), merchant); err != nil {
					failures <- err
					return
				}
				first()
				select {
				case <-rotated:
					left--
				default: // not rotated yet
				}
			}
		}()
	}
	warm.Wait()
	newConfig := server.RenewMerchantCertificate()
	err := merchant.rotate(newConfig)
	close(rotated)
	done.Wait()
	close(failures)
	require.NoError(t, err)
	require.NoError(t, <-failures)

	signedBy := func(serialNo string) (n int) {
		for _, request := range server.Requests() {
			if strings.Contains(request.Header.Get("Authorization"), `serial_no="`+serialNo+`"`) {
				n++
			}
		}
		return n
	}
	require.NotEqual(t, oldConfig.SerialNo, newConfig.SerialNo)
	require.GreaterOrEqual(t, signedBy(oldConfig.SerialNo), callers)
	require.GreaterOrEqual(t, signedBy(newConfig.SerialNo), callers*(calls-1), "the first call may have begun earlier")
	require.Equal(t, len(server.Requests()), signedBy(oldConfig.SerialNo)+signedBy(newConfig.SerialNo))
	require.Positive(t, dials.Load())
	require.LessOrEqual(t, dials.Load(), int64(callers))
}

// countingTransport returns a transport that counts its connections.
func countingTransport(maxConns int, dials *atomic.Int64) *http.Transport {
	transport := wechatpay.NewTransport()
	transport.MaxConnsPerHost = maxConns
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		return dial(ctx, network, addr)
	}
	return transport
}

// getPhone reads the complaint and checks its phone number.
func getPhone(ctx context.Context, merchant *rotating) error {
	complaint, err := merchant.client().ComplaintsV2.Get(ctx, complaintID)
	if err != nil {
		return err
	}
	phone, err := merchant.decrypt(complaint.PayerPhone)
	if err == nil && phone != "13900000000" {
		err = errors.New("phone: " + phone)
	}
	return err
}

func TestRotating_rotate_invalidKeys(t *testing.T) {
	server := newServer(t)
	merchant := &rotating{transport: wechatpay.NewTransport()}
	require.NoError(t, merchant.rotate(server.Config()))
	client := merchant.client()

	wrong := server.Config()
	wrong.PrivateKey = server.RenewMerchantCertificate().PrivateKey
	require.ErrorContains(t, merchant.rotate(wrong), "does not match PrivateKey")
	require.Same(t, client, merchant.client())
	require.Nil(t, merchant.previous.Load())
}

func TestRotating_decrypt_twoRotations(t *testing.T) {
	server := newServer(t)
	merchant := &rotating{transport: wechatpay.NewTransport()}
	require.NoError(t, merchant.rotate(server.Config()))
	complaint, err := merchant.client().ComplaintsV2.Get(t.Context(), complaintID)
	require.NoError(t, err)

	// Only the previous key is kept.
	require.NoError(t, merchant.rotate(server.RenewMerchantCertificate()))
	require.NoError(t, merchant.rotate(server.RenewMerchantCertificate()))
	_, err = merchant.decrypt(complaint.PayerPhone)
	require.ErrorIs(t, err, rsa.ErrDecryption)
}

func TestNewHSMKey_mismatch(t *testing.T) {
	server := newServer(t)
	certificate := server.Config().Certificate
	other := server.RenewMerchantCertificate().PrivateKey.(*rsa.PrivateKey)
	_, err := newHSMKey(softwareHSM{"key": other}, "key", certificate)
	require.ErrorIs(t, err, rsa.ErrVerification)
	_, err = newHSMKey(softwareHSM{}, "key", certificate)
	require.ErrorContains(t, err, `no key "key"`)
}

// If the HSM fails, the request is not sent.
func TestHSMKey_Sign_fails(t *testing.T) {
	server := newServer(t)
	cfg := server.Config()
	service := softwareHSM{"key": cfg.PrivateKey.(*rsa.PrivateKey)}
	key, err := newHSMKey(service, "key", cfg.Certificate)
	require.NoError(t, err)
	cfg.PrivateKey = key
	client := newClient(t, cfg)
	require.NoError(t, reply(t.Context(), client))

	delete(service, "key")
	err = client.ComplaintsV2.UpdateRefundProgress(t.Context(), complaintID, wechatpay.ApproveRefund(0))
	require.ErrorContains(t, err, `no key "key"`)
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	require.Len(t, server.Requests(), 1)
}

// A key that can only sign works for everything except Decrypt.
func TestHSMKey_signOnly(t *testing.T) {
	server := newServer(t)
	cfg := server.Config()
	cfg.PrivateKey = struct{ crypto.Signer }{cfg.PrivateKey}
	client := newClient(t, cfg)
	complaint, err := client.ComplaintsV2.Get(t.Context(), complaintID)
	require.NoError(t, err)
	_, err = client.Decrypt(complaint.PayerPhone)
	var argumentError *wechatpay.ArgumentError
	require.ErrorAs(t, err, &argumentError)
	require.Equal(t, "PrivateKey", argumentError.Faults[0].Field)
}

func TestHSMKey_otherAlgorithms(t *testing.T) {
	server := newServer(t)
	cfg := server.Config()
	key, err := newHSMKey(softwareHSM{"key": cfg.PrivateKey.(*rsa.PrivateKey)}, "key", cfg.Certificate)
	require.NoError(t, err)
	digest := make([]byte, 32)
	_, err = key.Sign(rand.Reader, digest, &rsa.PSSOptions{Hash: crypto.SHA256})
	require.Error(t, err)
	_, err = key.Sign(rand.Reader, digest, crypto.SHA384)
	require.Error(t, err)
	_, err = key.Decrypt(rand.Reader, digest, &rsa.OAEPOptions{Hash: crypto.SHA256})
	require.ErrorContains(t, err, "SHA-1")
	_, err = key.Decrypt(rand.Reader, digest, &rsa.PKCS1v15DecryptOptions{})
	require.ErrorContains(t, err, "SHA-1")
}

func TestNewRelay_invalid(t *testing.T) {
	for _, gateway := range []string{
		"", "gateway", "gateway:8080", "ftp://gateway", "https://", "https:///path", "https://%",
		"https://user:password@gateway", "https://gateway?a=b", "https://gateway/#a",
	} {
		_, err := newRelay(http.DefaultTransport, gateway)
		require.Error(t, err, gateway)
		require.NotContains(t, err.Error(), "password")
	}
}

func TestRelay_RoundTrip(t *testing.T) {
	for gateway, want := range map[string]string{
		"https://gateway/wechatpay":    "https://gateway/wechatpay/v3/a%2Fb%20c?d=%2F",
		"https://gateway/wechatpay/":   "https://gateway/wechatpay/v3/a%2Fb%20c?d=%2F",
		"https://gateway/w%2Fp":        "https://gateway/w%2Fp/v3/a%2Fb%20c?d=%2F",
		"http://10.0.0.5:8080":         "http://10.0.0.5:8080/v3/a%2Fb%20c?d=%2F",
		"http://[fd00::1]:8080/a/b/c/": "http://[fd00::1]:8080/a/b/c/v3/a%2Fb%20c?d=%2F",
	} {
		var sent *http.Request
		r, err := newRelay(roundTripper(func(req *http.Request) (*http.Response, error) {
			sent = req
			return nil, errors.New("not sent")
		}), gateway)
		require.NoError(t, err)
		req, err := http.NewRequest(http.MethodGet, "https://api.mch.weixin.qq.com/v3/a%2Fb%20c?d=%2F", nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "x")
		_, err = r.RoundTrip(req)
		require.Error(t, err)
		require.Equal(t, want, sent.URL.String())
		require.Equal(t, sent.URL.Host, sent.Host)
		require.Equal(t, req.Header, sent.Header)
		require.Equal(t, "https://api.mch.weixin.qq.com/v3/a%2Fb%20c?d=%2F", req.URL.String(), "the caller's request was modified")
		require.Equal(t, "api.mch.weixin.qq.com", req.Host)
	}
}

// Through a relay, an image is downloaded, and failures are classified as without.
func TestRelay_outcomes(t *testing.T) {
	server := newServer(t)
	upstream, err := url.Parse(server.URL)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/wechatpay/", http.StripPrefix("/wechatpay", httputil.NewSingleHostReverseProxy(upstream)))
	gateway := httptest.NewServer(mux)
	t.Cleanup(gateway.Close)
	clientFor := func(path string) *wechatpay.Client {
		cfg := server.Config()
		cfg.BaseURL, cfg.Retry.MaxAttempts = "", 1
		cfg.Transport, err = newRelay(wechatpay.NewTransport(), gateway.URL+path)
		require.NoError(t, err)
		return newClient(t, cfg)
	}

	png := "\x89PNG\r\n\x1a\n"
	media := strings.Replace(server.AddImage("a/b=", []byte(png)), server.URL, wechatpay.DefaultBaseURL, 1)
	image, err := clientFor("/wechatpay").ComplaintsV2.DownloadImage(t.Context(), media)
	require.NoError(t, err)
	content, err := io.ReadAll(image)
	require.NoError(t, err)
	require.NoError(t, image.Close())
	require.Equal(t, png, string(content))

	err = reply(t.Context(), clientFor("/other"))
	require.ErrorContains(t, err, "at api.mch.weixin.qq.com: 404: not a WeChat Pay response")
	require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)

	client := clientFor("/wechatpay")
	gateway.Close()
	err = reply(t.Context(), client)
	require.ErrorContains(t, err, "connection refused")
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
}
