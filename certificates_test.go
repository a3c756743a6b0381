package wechatpay_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

const downloads = "GET /v3/certificates"

// newCertificateMode is a merchant that has platform certificates and no public
// key, on a clock that stands still.
func newCertificateMode(t testing.TB, change ...func(*wechatpay.Config)) (*wechatpaytest.Server, *wechatpay.Client) {
	t.Helper()
	server := wechatpaytest.NewServer()
	t.Cleanup(server.Close)
	server.Configure(func(b *wechatpaytest.Behavior) {
		b.KeyMode, b.Time = wechatpaytest.KeyModeCertificate, testClock
	})
	server.AddComplaint(wechatpay.Complaint{ComplaintID: testComplaintID, ProblemType: wechatpay.ProblemTypeRefund})
	return server, fakeClient(t, server, change...)
}

func get(ctx context.Context, client *wechatpay.Client) error {
	_, err := client.ComplaintsV2.Get(ctx, testComplaintID)
	return err
}

// serialOf is the serial number of a certificate as the double writes it.
func serialOf(certificate *x509.Certificate) string {
	return fmt.Sprintf("%X", certificate.SerialNumber)
}

// verifierOf gives the Verifier of a Client, which notifications are verified
// with too.
func verifierOf(t testing.TB, client *wechatpay.Client) *wechatpay.Verifier {
	t.Helper()
	return client.HTTPClient().Transport.(*wechatpay.SigningTransport).Base.(*wechatpay.VerifyingTransport).Verifier
}

// forged is a message that names a key, with a signature that is none.
func forged(at time.Time, serial string) http.Header {
	return http.Header{"Wechatpay-Timestamp": {fmt.Sprint(at.Unix())}, "Wechatpay-Nonce": {"nonce"}, "Wechatpay-Serial": {serial}, "Wechatpay-Signature": {"AAAA"}}
}

func requireUnproved(t testing.TB, err error, reason wechatpay.VerificationReason) *wechatpay.VerificationError {
	t.Helper()
	var failed *wechatpay.VerificationError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, reason, failed.Reason)
	require.NotContains(t, err.Error(), "\n")
	return failed
}

// The answer is made by Python's cryptography package: testdata/certificates/make.py.
func TestCertificatesOfAnotherMaker(t *testing.T) {
	var sent []*http.Request
	answer := reply(t, 204, "")
	cfg := testConfig(t, "")
	cfg.PublicKey, cfg.PublicKeyID = nil, ""
	cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
		sent = append(sent, req)
		recorder := &recorder{header: http.Header{}}
		if req.URL.Path == "/v3/certificates" {
			recorder.header.Set("Wechatpay-Timestamp", "1700000000")
			recorder.header.Set("Wechatpay-Nonce", "EqYtEtmd8XJ1Q2ZFVkAAM3pNSDWg5KYF")
			recorder.header.Set("Wechatpay-Serial", "5157F09EFDC096DE15EBE81A47057A7232F1B8E1")
			recorder.header.Set("Wechatpay-Signature", string(testdata(t, "certificates/answer.sig")))
			recorder.status, recorder.body = 200, testdata(t, "certificates/answer.body")
		} else {
			answer(recorder, req)
			// Lower case is as good.
			s := signed(t, "")
			s.serial = "5157f09efdc096de15ebe81a47057a7232f1b8e1"
			s.set(t, recorder.header)
		}
		return &http.Response{StatusCode: recorder.status, Header: recorder.header, Body: io.NopCloser(bytes.NewReader(recorder.body)), ContentLength: int64(len(recorder.body))}, nil
	})
	client, err := wechatpay.NewClient(cfg)
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, approve(context.Background(), client))
	}
	require.Len(t, sent, 3)
	require.Equal(t, "https://api.mch.weixin.qq.com/v3/certificates", sent[0].URL.String())
	require.Empty(t, sent[0].Header.Values("Wechatpay-Serial"), "the first download names no key")
	requireSigned(t, sent[0], "")
	require.Equal(t, []string{"00B8E15157F09EFDC096DE15EBE81A47057A7232"}, sent[1].Header.Values("Wechatpay-Serial"), "the newest that is valid, as WeChat Pay writes it")

	// Leading zeros are as good, too.
	requireUnproved(t, verifierOf(t, client).Verify(context.Background(), forged(testTime, "b8e15157f09efdc096de15ebe81a47057a7232"), []byte("body")), wechatpay.VerificationReasonSignatureMismatch)
	require.Len(t, sent, 3)
}

type recorder struct {
	header http.Header
	status int
	body   []byte
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { r.body = append(r.body, b...); return len(b), nil }

// The certificates come before the first call, so that no answer comes that
// cannot be verified.
func TestCertificatesComeFirst(t *testing.T) {
	server, client := newCertificateMode(t)
	require.Empty(t, server.Requests(), "NewClient sends nothing")
	require.NoError(t, approve(context.Background(), client))
	require.NoError(t, get(context.Background(), client))
	requests := server.Requests()
	require.Len(t, requests, 3)
	require.Equal(t, "/v3/certificates", requests[0].Path)
	require.Empty(t, requests[0].Header.Values("Wechatpay-Serial"))
	for _, request := range requests[1:] {
		require.Equal(t, []string{serialOf(server.PlatformCertificate())}, request.Header.Values("Wechatpay-Serial"))
	}

	// Of HTTPClient too, which repeats nothing.
	client = fakeClient(t, server)
	req, err := http.NewRequest(http.MethodGet, server.URL+"/v3/merchant-service/complaints-v2/"+testComplaintID, nil)
	require.NoError(t, err)
	req.Header.Set("Accept", "application/json")
	resp, err := client.HTTPClient().Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, 2, count(server, downloads))
}

// Uploads sign other bytes than their body, and downloads of images are not
// verified: the certificates are read as always.
func TestCertificatesBeforeAnImage(t *testing.T) {
	server, client := newCertificateMode(t)
	_, err := client.ComplaintsV2.UploadImage(context.Background(), "a.png", bytes.NewReader(append([]byte("\x89PNG\r\n\x1a\n"), make([]byte, 64)...)))
	require.NoError(t, err)
	require.Equal(t, 1, count(server, downloads))

	client = fakeClient(t, server)
	media := server.AddImage("1", []byte("\x89PNG\r\n\x1a\n"))
	image, err := client.ComplaintsV2.DownloadImage(context.Background(), media)
	require.NoError(t, err)
	require.NoError(t, image.Close())
	require.Equal(t, 2, count(server, downloads))
}

func TestEchoIsEncryptedForTheCertificate(t *testing.T) {
	server, client := newCertificateMode(t)
	resp, err := client.Echo(context.Background(), &wechatpay.EchoRequest{EchoMessage: "你好", EncryptedEchoMessage: "秘密"})
	require.NoError(t, err)
	require.Equal(t, &wechatpay.EchoResponse{EchoMessage: "你好", EncryptedEchoMessage: "秘密"}, resp)
	require.Equal(t, 1, count(server, downloads))

	_, client = newCertificateMode(t)
	_, err = client.Echo(context.Background(), &wechatpay.EchoRequest{EncryptedEchoMessage: "秘密"})
	var refused *wechatpay.ArgumentError
	require.ErrorAs(t, err, &refused)
	require.Len(t, refused.Faults, 1)

	server, client = newCertificateMode(t)
	server.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModePublicKey })
	_, err = client.Echo(context.Background(), &wechatpay.EchoRequest{EchoMessage: "a", EncryptedEchoMessage: "b"})
	require.ErrorContains(t, err, "wechatpay: Echo: nothing was sent")
}

func TestThousandCallersMakeOneCertificateDownload(t *testing.T) {
	server, client := newCertificateMode(t)
	server.AddFault(wechatpaytest.Fault{Path: downloads, Kind: wechatpaytest.FaultSlow, Delay: 50 * time.Millisecond})
	errs := make(chan error, 1000)
	for range cap(errs) {
		go func() { errs <- get(context.Background(), client) }()
	}
	for range cap(errs) {
		require.NoError(t, <-errs)
	}
	require.Equal(t, 1, count(server, downloads))
	require.Len(t, server.Requests(), 1001)
}

func TestCertificateRotatesMidRun(t *testing.T) {
	for _, announced := range []bool{false, true} {
		t.Run(fmt.Sprintf("announced: %v", announced), func(t *testing.T) {
			server, client := newCertificateMode(t)
			require.NoError(t, get(context.Background(), client))
			const callers, calls = 16, 30
			var done atomic.Int32
			var wg sync.WaitGroup
			for range callers {
				wg.Add(1)
				go func() {
					defer wg.Done()
					for range calls {
						if err := get(context.Background(), client); err != nil {
							t.Error(err)
						}
						if done.Add(1) == callers*calls/3 {
							if announced {
								server.AnnounceCertificate()
							}
							server.RotateCertificate()
						}
					}
				}()
			}
			wg.Wait()
			require.Equal(t, 2, count(server, downloads), "one to begin with, one for the new serial number")

			// And again, a minute later.
			server.Advance(time.Minute)
			server.RotateCertificate()
			require.NoError(t, get(context.Background(), client))
			require.Equal(t, 3, count(server, downloads))
			requests := server.Requests()
			last := requests[len(requests)-1]
			require.Equal(t, "/v3/certificates", last.Path)
			require.NotEmpty(t, last.Header.Get("Wechatpay-Serial"), "a later download names the newest that is known")
			require.NoError(t, get(context.Background(), client))
			requests = server.Requests()
			require.Equal(t, serialOf(server.PlatformCertificate()), requests[len(requests)-1].Header.Get("Wechatpay-Serial"))
		})
	}
}

// Anybody can make up serial numbers.
func TestForgedSerialNumbersHammerNobody(t *testing.T) {
	server, client := newCertificateMode(t)
	verifier := verifierOf(t, client)
	at := testTime
	flood := func() (last error) {
		errs := make(chan error, 1000)
		for i := range cap(errs) {
			go func() {
				errs <- verifier.Verify(context.Background(), forged(at, fmt.Sprintf("%040X", i+1)), []byte("body"))
			}()
		}
		for range cap(errs) {
			last = <-errs
			requireUnproved(t, last, wechatpay.VerificationReasonUnknownSerial)
		}
		return last
	}
	flood()
	require.Equal(t, 1, count(server, downloads), "of a cold client")
	require.ErrorContains(t, flood(), "it is not among this merchant's platform certificates, which were downloaded less than 1m0s ago")
	require.Equal(t, 1, count(server, downloads))
	require.NoError(t, get(context.Background(), client), "a call has what it needs")
	require.Equal(t, 1, count(server, downloads))

	advance := func(d time.Duration) {
		server.Advance(d)
		at = at.Add(d)
	}
	advance(59 * time.Second)
	flood()
	require.Equal(t, 1, count(server, downloads))
	advance(time.Second)
	require.ErrorContains(t, verifier.Verify(context.Background(), forged(at, "AB"), []byte("body")), "which were downloaded just now")
	flood()
	require.Equal(t, 2, count(server, downloads))

	// One that failed is repeated sooner.
	advance(time.Minute)
	server.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModePublicKey })
	err := flood()
	require.Equal(t, 3, count(server, downloads))
	require.ErrorContains(t, err, "could not be downloaded")
	require.ErrorContains(t, err, "404 RESOURCE_NOT_EXISTS")
	advance(9 * time.Second)
	require.ErrorContains(t, flood(), "it is tried again 10s after the last time: GET /v3/certificates at 127.0.0.1:")
	require.Equal(t, 3, count(server, downloads))
	advance(time.Second)
	flood()
	require.Equal(t, 4, count(server, downloads))

	// What is no serial number is not even looked for.
	advance(time.Hour)
	for _, name := range []string{"PUB_KEY_ID_0119999999999999999999999999999999", "", "xyz", strings.Repeat("A", 65)} {
		requireUnproved(t, verifier.Verify(context.Background(), forged(at, name), []byte("body")), wechatpay.VerificationReasonUnknownSerial)
	}
	require.Equal(t, 4, count(server, downloads))

	// A clock that was set back a day holds nothing up.
	advance(-24 * time.Hour)
	flood()
	require.Equal(t, 5, count(server, downloads))
}

// gate lets the downloads through when it is told to.
type gate struct {
	base    http.RoundTripper
	entered chan *http.Request // each download that came
	open    chan error         // what to do with it: nil lets it through
}

func newGate(base http.RoundTripper) *gate {
	return &gate{base: base, entered: make(chan *http.Request, 10), open: make(chan error)}
}

func (g *gate) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Path == "/v3/certificates" {
		g.entered <- req
		select {
		case err := <-g.open:
			if err != nil {
				return nil, err
			}
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	return g.base.RoundTrip(req)
}

func gated(t *testing.T, change ...func(*wechatpay.Config)) (*gate, *wechatpaytest.Server, *wechatpay.Client) {
	var g *gate
	server, client := newCertificateMode(t, append(change, func(cfg *wechatpay.Config) {
		g = newGate(cfg.Transport)
		cfg.Transport = g
	})...)
	return g, server, client
}

// A waiter whose context ends fails no other, the first one included.
func TestCertificateWaiters(t *testing.T) {
	type key struct{}
	g, server, client := gated(t)
	first, cancelFirst := context.WithCancel(context.WithValue(context.Background(), key{}, "the first caller's"))
	second, cancelSecond := context.WithCancel(context.Background())
	defer cancelSecond()
	errs := [3]chan error{make(chan error, 1), make(chan error, 1), make(chan error, 1)}
	go func() { errs[0] <- get(first, client) }()
	download := <-g.entered
	require.Nil(t, download.Context().Value(key{}), "the download is nobody's own")
	go func() { errs[1] <- get(second, client) }()
	go func() { errs[2] <- get(context.Background(), client) }()
	cancelFirst()
	err := <-errs[0]
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "wechatpay: ComplaintsV2.Get: nothing was sent, as there is no platform certificate to verify the answer with: waiting for the platform certificates: context canceled")
	cancelSecond()
	require.ErrorIs(t, <-errs[1], context.Canceled)
	select {
	case g.open <- nil:
	case <-download.Context().Done():
		// The third had not begun to wait yet: it makes a download of its own.
		<-g.entered
		g.open <- nil
	}
	require.NoError(t, <-errs[2])
	require.Equal(t, 1, count(server, downloads))
}

// The last one who leaves ends the download, and the next call makes another.
func TestCertificateDownloadEndsWithTheLastWaiter(t *testing.T) {
	g, server, client := gated(t)
	ctx, cancel := context.WithCancel(context.Background())
	errs := make(chan error, 1)
	go func() { errs <- get(ctx, client) }()
	download := <-g.entered
	cancel()
	require.ErrorIs(t, <-errs, context.Canceled)
	require.Error(t, download.Context().Err(), "it goes on without anybody")
	require.Zero(t, count(server, downloads))

	go func() { errs <- get(context.Background(), client) }()
	<-g.entered
	g.open <- nil
	require.NoError(t, <-errs)
	require.Equal(t, 1, count(server, downloads))

	// A context that has ended already downloads nothing, and uses up no floor.
	client = fakeClient(t, server)
	require.ErrorIs(t, get(ctx, client), context.Canceled)
	err := verifierOf(t, client).Verify(ctx, forged(testTime, "AB"), []byte("body"))
	requireUnproved(t, err, wechatpay.VerificationReasonUnknownSerial)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, count(server, downloads))
	require.ErrorContains(t, verifierOf(t, client).Verify(context.Background(), forged(testTime, "AB"), []byte("body")), "downloaded just now")
	require.Equal(t, 2, count(server, downloads))
}

// A download for a made-up serial number that was given up is repeated as soon
// as one that failed.
func TestCertificateDownloadGivenUp(t *testing.T) {
	g, server, client := gated(t)
	verify := func(ctx context.Context, at time.Time) chan error {
		done := make(chan error, 1)
		go func() { done <- verifierOf(t, client).Verify(ctx, forged(at, "AB"), []byte("body")) }()
		return done
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := verify(ctx, testTime)
	<-g.entered
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	require.ErrorContains(t, <-verify(context.Background(), testTime), "it is tried again 10s after the last time: the download was given up, as nobody waited for it any more")
	server.Advance(10 * time.Second)
	done = verify(context.Background(), server.Now())
	<-g.entered
	g.open <- nil
	require.ErrorContains(t, <-done, "downloaded just now")
}

// All who wait share a failure; a decision that waits is not sent.
func TestCertificateDownloadFails(t *testing.T) {
	g, server, client := gated(t, func(cfg *wechatpay.Config) { cfg.Retry.MaxAttempts = 1 })
	down := errors.New("line down")
	errs := make(chan error, 20)
	for range cap(errs) {
		go func() { errs <- approve(context.Background(), client) }()
	}
	<-g.entered
	g.open <- down
	// Whoever came after that makes another: let all of them fail.
	for failures := 0; failures < cap(errs); {
		select {
		case <-g.entered:
			g.open <- down
		case err := <-errs:
			failures++
			require.ErrorIs(t, err, down)
			require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown, "nothing was sent")
			require.ErrorContains(t, err, "wechatpay: ComplaintsV2.UpdateRefundProgress: nothing was sent, as there is no platform certificate to verify the answer with: GET /v3/certificates at 127.0.0.1:")
		}
	}
	require.Empty(t, server.Requests())

	// A call does not wait for any floor.
	go func() { errs <- approve(context.Background(), client) }()
	<-g.entered
	g.open <- nil
	require.NoError(t, <-errs)
}

// What the transport does in the download's goroutine is an error like others.
func TestCertificateDownloadBreaksOff(t *testing.T) {
	for name, breakOff := range map[string]func(){"panic: boom": func() { panic("boom") }, "broken off by the transport": runtime.Goexit} {
		_, client := newCertificateMode(t, func(cfg *wechatpay.Config) {
			cfg.Transport = roundTripper(func(*http.Request) (*http.Response, error) { breakOff(); return nil, nil })
		})
		require.ErrorContains(t, get(context.Background(), client), name)
	}
}

// The download is a read: repeated within the policy, on the backup host too.
func TestCertificateDownloadIsRepeated(t *testing.T) {
	for _, kind := range []wechatpaytest.FaultKind{wechatpaytest.FaultDrop, wechatpaytest.FaultError502, wechatpaytest.FaultBusy429, wechatpaytest.FaultCut, wechatpaytest.FaultHTML502,
		wechatpaytest.FaultProbe, wechatpaytest.FaultForged, wechatpaytest.FaultUnsigned, wechatpaytest.FaultOld} {
		t.Run(string(kind), func(t *testing.T) {
			server, client := newCertificateMode(t)
			server.AddFault(wechatpaytest.Fault{Path: downloads, Kind: kind, Times: 2, Delay: time.Millisecond})
			require.NoError(t, get(context.Background(), client))
			require.Equal(t, 3, count(server, downloads))

			client = fakeClient(t, server, func(cfg *wechatpay.Config) { cfg.Retry.MaxAttempts = 2 })
			server.AddFault(wechatpaytest.Fault{Path: downloads, Kind: kind, Times: 2, Delay: time.Millisecond})
			require.ErrorContains(t, get(context.Background(), client), "wechatpay: ComplaintsV2.Get: nothing was sent, as there is no platform certificate to verify the answer with: 2 attempts: ")
		})
	}
	t.Run("on the backup host", func(t *testing.T) {
		_, client := newCertificateMode(t, func(cfg *wechatpay.Config) { cfg.BaseURL, cfg.BackupURL = "http://127.0.0.1:1", cfg.BaseURL })
		require.NoError(t, approve(context.Background(), client))
	})
}

// An own answer names an unknown key, and the certificates cannot be had: the
// decision may stand, whatever the other request was answered.
func TestDecisionAnsweredUnderAnUnknownSerialNumber(t *testing.T) {
	server, client := newCertificateMode(t, func(cfg *wechatpay.Config) { cfg.Retry.MaxAttempts = 1 })
	require.NoError(t, get(context.Background(), client))
	server.RotateCertificate()
	server.Handle(downloads, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(404)
		io.WriteString(w, `{"code":"RESOURCE_NOT_EXISTS","message":"none"}`)
	}))
	err := approve(context.Background(), client)
	require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	failed := requireUnproved(t, err, wechatpay.VerificationReasonUnknownSerial)
	require.Equal(t, 204, failed.StatusCode)
	require.Regexp(t, `^GET /v3/certificates at 127\.0\.0\.1:\d+: 404 RESOURCE_NOT_EXISTS`, failed.Err.Error())
	var refusal *wechatpay.APIError
	require.False(t, errors.As(err, &refusal), "the error of another request passes for this one's")
	require.Len(t, server.History(testComplaintID), 2, "it stands")
}

func TestCertificates404IsExplained(t *testing.T) {
	server, client := newCertificateMode(t)
	server.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModePublicKey })
	err := get(context.Background(), client)
	require.Regexp(t, `: GET /v3/certificates at 127\.0\.0\.1:\d+: 404 RESOURCE_NOT_EXISTS`, err.Error())
	require.ErrorContains(t, err, "a merchant that has only the WeChat Pay public key has no platform certificates: set PublicKey and PublicKeyID")
	var refusal *wechatpay.APIError
	require.False(t, errors.As(err, &refusal), "it would pass for a complaint that does not exist")
	require.Equal(t, 1, count(server, downloads), "repeated, which cannot help")
	require.Len(t, server.Requests(), 1)
}

func TestCertificatesWithAnotherAPIv3Key(t *testing.T) {
	server, client := newCertificateMode(t, func(cfg *wechatpay.Config) { cfg.APIv3Key = testAPIv3Key })
	err := approve(context.Background(), client)
	require.ErrorContains(t, err, fmt.Sprintf("the platform certificate %q: cannot be decrypted with APIv3Key: that is not the merchant's APIv3 key, or the text was changed", serialOf(server.PlatformCertificate())))
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	require.NotContains(t, err.Error(), testAPIv3Key)
	require.NotContains(t, err.Error(), "\n")
	require.Len(t, server.Requests(), 1, "repeated, which cannot help, or sent something else")
}

// certificateAnswer gives the answer of the download, to be changed.
func certificateAnswer(t testing.TB, server *wechatpaytest.Server) (all map[string][]map[string]any) {
	t.Helper()
	require.NoError(t, get(context.Background(), fakeClient(t, server)))
	for _, request := range server.Requests() {
		if strings.HasPrefix(request.Path, "/v3/certificates") {
			require.NoError(t, json.Unmarshal(request.Response, &all))
			return all
		}
	}
	t.Fatal("no download")
	return nil
}

// Each field is changed once on the way, which the signature tells, and once by
// a service that signs it so.
func TestCertificateAnswerTamperedWith(t *testing.T) {
	flip := func(field string) func(map[string]any) {
		return func(m map[string]any) {
			text, other := m[field].(string), "A"
			if text[2:3] == other {
				other = "B"
			}
			m[field] = text[:2] + other + text[3:]
		}
	}
	set := func(field string, value any) func(map[string]any) { return func(m map[string]any) { m[field] = value } }
	inner := func(change func(map[string]any)) func(map[string]any) {
		return func(m map[string]any) { change(m["encrypt_certificate"].(map[string]any)) }
	}
	const wrongKey, fine = "cannot be decrypted with APIv3Key", ""
	for _, tt := range []struct {
		name           string
		change         func(map[string]any)
		onTheWay, sure string // what is said of it; signed as it is
	}{
		{"serial_no", flip("serial_no"), "has the serial number", "has the serial number"},
		{"serial_no in lower case", func(m map[string]any) { m["serial_no"] = strings.ToLower(m["serial_no"].(string)) }, "does not hold", fine},
		{"effective_time", set("effective_time", "2020-01-01T00:00:00+08:00"), "the signature is over something else", fine},
		{"expire_time", set("expire_time", "2099-01-01T00:00:00+08:00"), "the signature is over something else", fine},
		{"unknown member", set("new", 1), "does not hold", fine},
		{"no certificate", set("encrypt_certificate", nil), `encrypted with ""`, `encrypted with ""`},
		{"algorithm", inner(set("algorithm", "AEAD_SM4_GCM")), `encrypted with "AEAD_SM4_GCM"`, `encrypted with "AEAD_SM4_GCM"`},
		{"nonce", inner(flip("nonce")), wrongKey, wrongKey},
		{"nonce too long", inner(set("nonce", strings.Repeat("n", 16))), "a nonce of 16 bytes", "a nonce of 16 bytes"},
		{"associated_data", inner(set("associated_data", "complaint")), wrongKey, wrongKey},
		{"no associated_data", inner(set("associated_data", "")), wrongKey, wrongKey},
		{"ciphertext", inner(flip("ciphertext")), wrongKey, wrongKey},
		{"ciphertext cut", inner(set("ciphertext", "AAAA")), wrongKey, wrongKey},
		{"no ciphertext", inner(set("ciphertext", "")), wrongKey, wrongKey},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, _ := newCertificateMode(t)
			answer := certificateAnswer(t, server)
			tt.change(answer["data"][0])
			body, err := json.Marshal(answer)
			require.NoError(t, err)

			client := fakeClient(t, server, func(cfg *wechatpay.Config) {
				base := cfg.Transport
				cfg.Retry.MaxAttempts = 1
				cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
					resp, err := base.RoundTrip(req)
					if err == nil && req.URL.Path == "/v3/certificates" {
						resp.Body.Close()
						resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
					}
					return resp, err
				})
			})
			before := len(server.Requests())
			require.ErrorContains(t, approve(context.Background(), client), tt.onTheWay)
			require.Len(t, server.Requests(), before+1, "something else was sent")

			server.Handle(downloads, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(body) }))
			err = get(context.Background(), fakeClient(t, server))
			if tt.sure == fine {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.sure)
				require.NotContains(t, err.Error(), "\n")
			}
		})
	}
}

// Answers that WeChat Pay signs, and that have nothing to verify with.
func TestCertificateAnswersOfNoUse(t *testing.T) {
	for body, problem := range map[string]string{
		`{"data":[]}`: "has no certificate that can be used: it lists none",
		`{}`:          "it lists none",
		`null`:        "it lists none",
		`[]`:          "the answer of GET /v3/certificates cannot be decoded",
		`<html>`:      "the answer of GET /v3/certificates cannot be decoded",
		``:            "the answer of GET /v3/certificates cannot be decoded",
	} {
		server, client := newCertificateMode(t)
		server.Handle(downloads, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(200)
			io.WriteString(w, body)
		}))
		require.ErrorContains(t, get(context.Background(), client), problem, body)
		require.Equal(t, 1, count(server, downloads))

		// One that is known stays, whatever a later download says.
		server.Handle(downloads, nil)
		require.NoError(t, get(context.Background(), client))
	}
}

// encryptedEntry is an entry of the answer with any text in it.
func encryptedEntry(t testing.TB, apiv3Key, plain string) map[string]any {
	t.Helper()
	block, err := aes.NewCipher([]byte(apiv3Key))
	require.NoError(t, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(t, err)
	return map[string]any{"serial_no": "1", "encrypt_certificate": map[string]any{
		"algorithm": "AEAD_AES_256_GCM", "nonce": "fdasflkja484", "ciphertext": base64.StdEncoding.EncodeToString(aead.Seal(nil, []byte("fdasflkja484"), []byte(plain), nil)),
	}}
}

// What is of a kind that nothing can be done with is left out, as long as there
// is one certificate that can be used.
func TestCertificatesOfAnotherKindAreLeftOut(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	elliptical, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	apiv3Key := func(server *wechatpaytest.Server) string { return server.Config().APIv3Key }
	for name, tt := range map[string]struct {
		entry   func(*wechatpaytest.Server) map[string]any
		problem string
	}{
		"other algorithm": {func(*wechatpaytest.Server) map[string]any {
			return map[string]any{"serial_no": "1", "encrypt_certificate": map[string]any{"algorithm": "AEAD_SM4_GCM", "nonce": "n"}}
		}, `"1" is encrypted with "AEAD_SM4_GCM"`},
		"a notification's text": {func(server *wechatpaytest.Server) map[string]any {
			return encryptedEntry(t, apiv3Key(server), `{"complaint_id":"\n-----BEGIN CERTIFICATE-----"}`)
		}, `"1" is no certificate`},
		"damaged": {func(server *wechatpaytest.Server) map[string]any {
			return encryptedEntry(t, apiv3Key(server), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
		}, `"1": wechatpay: ParseCertificate: the certificate is damaged`},
		"elliptic curve": {func(server *wechatpaytest.Server) map[string]any {
			return encryptedEntry(t, apiv3Key(server), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: elliptical})))
		}, `the key of "1" is of type *ecdsa.PublicKey, but RSA is required`},
	} {
		t.Run(name, func(t *testing.T) {
			server, _ := newCertificateMode(t)
			list := certificateAnswer(t, server)
			genuine, other := list["data"][0], tt.entry(server)
			answer := func(entries ...map[string]any) {
				body, err := json.Marshal(map[string]any{"data": entries})
				require.NoError(t, err)
				server.Handle(downloads, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(body) }))
			}
			answer(other, genuine)
			require.NoError(t, get(context.Background(), fakeClient(t, server)))
			answer(other)
			require.ErrorContains(t, get(context.Background(), fakeClient(t, server)), tt.problem)
		})
	}
}

func TestCertificateNearItsEnd(t *testing.T) {
	g, server, client := gated(t, func(cfg *wechatpay.Config) { cfg.Retry.MaxAttempts = 1 })
	open := func(err error) {
		<-g.entered
		g.open <- err
	}
	call := func() chan error {
		done := make(chan error, 1)
		go func() { done <- get(context.Background(), client) }()
		return done
	}
	done := call()
	open(nil)
	require.NoError(t, <-done)
	first := server.PlatformCertificate()

	// A day before its end a successor is looked for: one caller waits for it.
	server.Advance(first.NotAfter.Add(-24*time.Hour + time.Second).Sub(server.Now()))
	done = call()
	<-g.entered
	require.NoError(t, get(context.Background(), client), "the others have one that is good")
	g.open <- nil
	require.NoError(t, <-done)
	require.NoError(t, get(context.Background(), client), "again only after an hour")
	require.Equal(t, 2, count(server, downloads))

	// It fails, and the call does not.
	server.Advance(time.Hour)
	done = call()
	open(io.ErrUnexpectedEOF)
	require.NoError(t, <-done)
	require.Equal(t, 2, count(server, downloads))

	// A successor is named as soon as it is known.
	second := server.AnnounceCertificate()
	server.Advance(time.Hour)
	done = call()
	open(nil)
	require.NoError(t, <-done)
	requests := server.Requests()
	require.Equal(t, serialOf(second), requests[len(requests)-1].Header.Get("Wechatpay-Serial"))
	server.Advance(24 * time.Hour)
	server.RotateCertificate()
	require.NoError(t, get(context.Background(), client))
	require.Equal(t, 3, count(server, downloads))
}

// The validity of a certificate goes by Config.Time.
func TestExpiredCertificate(t *testing.T) {
	server, client := newCertificateMode(t)
	require.NoError(t, get(context.Background(), client))
	old := server.PlatformCertificate()
	server.Advance(old.NotAfter.Sub(server.Now()) + time.Second)

	// The service signs with it all the same.
	h := http.Header{}
	s := signed(t, "body")
	s.serial, s.at = serialOf(old), server.Now()
	s.set(t, h)
	err := verifierOf(t, client).Verify(context.Background(), h, []byte("body"))
	requireUnproved(t, err, wechatpay.VerificationReasonCertificateNotValid)
	require.ErrorContains(t, err, "is not valid by this machine's clock; it is valid from 2023-11-14T22:13:20Z to 2028-11-14T22:13:20Z")
	require.Equal(t, 1, count(server, downloads), "a download would not help")

	// A call downloads; the double still signs with the one that has expired.
	require.ErrorContains(t, get(context.Background(), client), "is not valid by this machine's clock")
	server.RotateCertificate()
	require.NoError(t, get(context.Background(), client))

	// One that is not valid yet, on a clock that is a second behind.
	cold := fakeClient(t, server, func(cfg *wechatpay.Config) {
		at := server.PlatformCertificate().NotBefore.Add(-time.Second)
		cfg.Time = func() time.Time { return at }
	})
	require.ErrorContains(t, get(context.Background(), cold), "is not valid by this machine's clock")
}

func TestPlatformCertificatesByHand(t *testing.T) {
	var byHand []*x509.Certificate
	server := wechatpaytest.NewServer()
	t.Cleanup(server.Close)
	server.Configure(func(b *wechatpaytest.Behavior) {
		b.KeyMode, b.Time = wechatpaytest.KeyModeCertificate, testClock
	})
	server.AddComplaint(wechatpay.Complaint{ComplaintID: testComplaintID})
	first := server.PlatformCertificate()
	byHand = append(byHand, first)
	noKey := fakeClient(t, server, func(cfg *wechatpay.Config) { cfg.PlatformCertificates, cfg.APIv3Key = byHand, "" })
	withKey := fakeClient(t, server, func(cfg *wechatpay.Config) { cfg.PlatformCertificates = byHand })
	for _, client := range []*wechatpay.Client{noKey, withKey} {
		require.NoError(t, get(context.Background(), client))
	}
	for _, request := range server.Requests() {
		require.Equal(t, []string{serialOf(first)}, request.Header.Values("Wechatpay-Serial"))
	}
	require.Zero(t, count(server, downloads))

	server.RotateCertificate()
	err := get(context.Background(), noKey)
	requireUnproved(t, err, wechatpay.VerificationReasonUnknownSerial)
	require.ErrorContains(t, err, "it is not among PlatformCertificates: give the newest, or set APIv3Key")
	require.Zero(t, count(server, downloads))
	require.NoError(t, get(context.Background(), withKey))
	require.Equal(t, 1, count(server, downloads))

	// Nothing is sent once they have expired.
	server.Advance(first.NotAfter.Sub(server.Now()) + time.Second)
	before := len(server.Requests())
	err = get(context.Background(), noKey)
	require.ErrorContains(t, err, "nothing was sent")
	require.ErrorContains(t, err, "by this machine's clock it is 2028-11-14T22:13:21Z, and those that are known are not valid ("+serialOf(first)+" is valid from 2023-11-14T22:13:20Z to 2028-11-14T22:13:20Z)")
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	_, err = noKey.HTTPClient().Post(server.URL+"/v3/x", "application/json", strings.NewReader("{}"))
	require.ErrorContains(t, err, "nothing was sent")
	require.Len(t, server.Requests(), before)
}

// A merchant that switches holds both: answers and notifications are verified by
// the key that they name.
func TestSwitchingToThePublicKey(t *testing.T) {
	server, client := newFake(t)
	require.NoError(t, get(context.Background(), client))
	cfg := server.Config()
	for _, request := range server.Requests() {
		require.Equal(t, []string{cfg.PublicKeyID}, request.Header.Values("Wechatpay-Serial"))
	}
	require.Zero(t, count(server, downloads), "never needed with the public key")

	notify := func(serial string) error {
		req, err := server.NewNotification(context.Background(), "http://127.0.0.1:1/", wechatpaytest.Notification{EventType: "COMPLAINT.CREATE", ComplaintID: testComplaintID, ActionType: "CREATE_COMPLAINT", Serial: serial})
		require.NoError(t, err)
		body, err := io.ReadAll(req.Body)
		require.NoError(t, err)
		return verifierOf(t, client).Verify(context.Background(), req.Header, body)
	}
	require.NoError(t, notify(cfg.PublicKeyID))
	require.Zero(t, count(server, downloads))
	require.NoError(t, notify(serialOf(server.PlatformCertificate())), "a notification is still signed with the certificate")
	require.Equal(t, 1, count(server, downloads))

	// Before the switch is enabled the public key id in a request is ignored.
	server.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModeCertificate })
	require.NoError(t, approve(context.Background(), client))
	require.Equal(t, 1, count(server, downloads))

	// A merchant that only ever had the public key, and somebody who makes up a
	// certificate.
	server.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModePublicKey })
	require.NoError(t, get(context.Background(), client))
	cold := fakeClient(t, server)
	require.NoError(t, get(context.Background(), cold))
	require.Equal(t, 1, count(server, downloads))
	err := verifierOf(t, cold).Verify(context.Background(), forged(server.Now(), "AB"), []byte("body"))
	require.ErrorContains(t, err, "404 RESOURCE_NOT_EXISTS")
	require.NoError(t, get(context.Background(), cold))
}

// A merchant that switches and has not set the public key yet: the answer to a
// request that names no key is signed with it.
func TestSwitchingWithTheCertificateAlone(t *testing.T) {
	server, client := newFake(t, func(cfg *wechatpay.Config) { cfg.PublicKey, cfg.PublicKeyID = nil, "" })
	require.NoError(t, approve(context.Background(), client))
	requests := server.Requests()
	require.Len(t, requests, 3)
	require.Empty(t, requests[0].Header.Values("Wechatpay-Serial"))
	for _, request := range requests[1:] {
		require.Equal(t, []string{serialOf(server.PlatformCertificate())}, request.Header.Values("Wechatpay-Serial"))
	}

	client = fakeClient(t, server, func(cfg *wechatpay.Config) {
		cfg.PublicKey, cfg.PublicKeyID = nil, ""
		cfg.Retry.MaxAttempts = 1
	})
	require.ErrorContains(t, approve(context.Background(), client), "the message is signed with the WeChat Pay public key, and none is set: set PublicKeyID and PublicKey")
}

// With InsecureSkipVerify a plain mock is enough: nothing is downloaded.
func TestInsecureSkipVerifyDownloadsNoCertificates(t *testing.T) {
	server, _ := newCertificateMode(t)
	client := fakeClient(t, server, func(cfg *wechatpay.Config) { cfg.InsecureSkipVerify = true })
	require.NoError(t, get(context.Background(), client))
	require.Len(t, server.Requests(), 1)
	require.Empty(t, server.Requests()[0].Header.Values("Wechatpay-Serial"))
}

// A Client in certificate mode shows no secret either.
func TestCertificateModeShowsNoSecret(t *testing.T) {
	server, client := newCertificateMode(t)
	require.NoError(t, get(context.Background(), client))
	key := server.Config().APIv3Key
	for _, verb := range []string{"%v", "%+v", "%#v", "%x"} {
		text := fmt.Sprintf(verb, client) + fmt.Sprintf(verb, *client) + fmt.Sprintf(verb, verifierOf(t, client)) + fmt.Sprintf(verb, *verifierOf(t, client)) + fmt.Sprintf(verb, struct{ c wechatpay.Client }{*client})
		require.NotContains(t, text, key)
		require.NotContains(t, text, fmt.Sprintf("%x", key))
	}
}

// Whatever the answer is, certificates come only from one that WeChat Pay made.
// Several goroutines take part, so that the fuzzer would spend its time on
// minimizing: run it with -fuzzminimizetime 1x.
func FuzzCertificateAnswer(f *testing.F) {
	genuine := string(testdata(f, "certificates/answer.body"))
	f.Add(genuine, "5157F09EFDC096DE15EBE81A47057A7232F1B8E1", true)
	f.Add(genuine, "00B8E15157F09EFDC096DE15EBE81A47057A7232", true)
	f.Add(genuine, "5157F09EFDC096DE15EBE81A47057A7232F1B8E1", false)
	f.Add(`{"data":[{"serial_no":"1","encrypt_certificate":{"algorithm":"AEAD_AES_256_GCM","nonce":"d215b0511e9c","ciphertext":"AAAA"}}]}`, "1", true)
	f.Add(`{"data":null}`, "", true)
	f.Add("\xff", "\n", false)
	keys := map[bool]*rsa.PrivateKey{true: privateKey(f, "platform_key.pem"), false: privateKey(f, "merchant_key.pem")}
	cfg := testConfig(f, "")
	cfg.PublicKey, cfg.PublicKeyID = nil, ""
	f.Fuzz(func(t *testing.T, body, serial string, byPlatform bool) {
		cfg := cfg
		cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
			if req.URL.Path != "/v3/certificates" {
				return &http.Response{StatusCode: 404, Header: http.Header{}, Body: http.NoBody}, nil
			}
			h := http.Header{}
			signature{key: keys[byPlatform], serial: serial, at: testTime, body: []byte(body)}.set(t, h)
			return &http.Response{StatusCode: 200, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}, nil
		})
		client, err := wechatpay.NewClient(cfg)
		require.NoError(t, err)
		err = get(context.Background(), client)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "\n")
		var refusal *wechatpay.APIError
		if !errors.As(err, &refusal) {
			return // no certificate, and so nothing else was sent
		}
		require.True(t, byPlatform)
		require.True(t, strings.EqualFold(strings.TrimLeft(serial, "0"), "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"))
		require.Contains(t, body, "AEAD_AES_256_GCM")
	})
}

// A caller whose context has ended looks for no successor, and keeps nobody from it.
func TestASuccessorIsLookedForByTheLiving(t *testing.T) {
	server, client := newCertificateMode(t)
	require.NoError(t, get(context.Background(), client))
	server.Advance(server.PlatformCertificate().NotAfter.Add(-23 * time.Hour).Sub(server.Now()))
	dead, cancel := context.WithCancel(context.Background())
	cancel()
	require.Error(t, get(dead, client))
	require.Equal(t, 1, count(server, downloads))
	require.NoError(t, get(context.Background(), client))
	require.Equal(t, 2, count(server, downloads))
}
