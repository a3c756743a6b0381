package wechatpay_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

const (
	downloads        = "GET /v3/certificates"
	downloadNotFound = `GET /v3/certificates at 127\.0\.0\.1:\d+: 404 RESOURCE_NOT_EXISTS` // a pattern
)

// newCertificateMode returns a fake server for a merchant with platform
// certificates and without a public key, and a Client for it. Their clock stands
// at testTime.
func newCertificateMode(
	t testing.TB, change ...func(*wechatpay.Config),
) (*wechatpaytest.Server, *wechatpay.Client) {
	t.Helper()
	server := wechatpaytest.NewServer()
	t.Cleanup(server.Close)
	server.Configure(func(b *wechatpaytest.Behavior) {
		b.KeyMode, b.Time = wechatpaytest.KeyModeCertificate, testClock
	})
	server.AddComplaint(wechatpay.Complaint{
		ComplaintID: testComplaintID,
		ProblemType: wechatpay.ProblemTypeRefund,
	})
	return server, fakeClient(t, server, change...)
}

func get(ctx context.Context, client *wechatpay.Client) error {
	_, err := client.ComplaintsV2.Get(ctx, testComplaintID)
	return err
}

// serialOf returns a serial number in the form that the fake uses.
func serialOf(certificate *x509.Certificate) string {
	return fmt.Sprintf("%X", certificate.SerialNumber)
}

// verifyingTransportOf returns the VerifyingTransport of a Client.
func verifyingTransportOf(client *wechatpay.Client) *wechatpay.VerifyingTransport {
	signing := client.HTTPClient().Transport.(*wechatpay.SigningTransport)
	return signing.Base.(*wechatpay.VerifyingTransport)
}

// verifierOf returns the Verifier of a Client, which also verifies notifications.
func verifierOf(client *wechatpay.Client) *wechatpay.Verifier {
	return verifyingTransportOf(client).Verifier
}

// forged returns signature headers that name a key, with an invalid signature.
func forged(at time.Time, serial string) http.Header {
	return http.Header{
		"Wechatpay-Timestamp": {fmt.Sprint(at.Unix())},
		"Wechatpay-Nonce":     {"nonce"},
		"Wechatpay-Serial":    {serial},
		"Wechatpay-Signature": {"AAAA"},
	}
}

// verifyForged verifies headers made by forged.
func verifyForged(ctx context.Context, client *wechatpay.Client, at time.Time, serial string) error {
	return verifierOf(client).Verify(ctx, forged(at, serial), []byte("body"))
}

func requireVerificationError(
	t testing.TB, err error, reason wechatpay.VerificationReason,
) *wechatpay.VerificationError {
	t.Helper()
	var failed *wechatpay.VerificationError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, reason, failed.Reason)
	require.NotContains(t, err.Error(), "\n")
	return failed
}

func TestClient_platformCertificates_firstCall(t *testing.T) {
	server, client := newCertificateMode(t)
	require.Empty(t, server.Requests(), "NewClient sends a request")
	require.NoError(t, approve(context.Background(), client))
	require.NoError(t, get(context.Background(), client))
	requests := server.Requests()
	require.Len(t, requests, 3)
	require.Equal(t, "/v3/certificates", requests[0].Path)
	require.Empty(t, requests[0].Header.Values("Wechatpay-Serial"))
	for _, request := range requests[1:] {
		require.Equal(t, []string{serialOf(server.PlatformCertificate())}, request.Header.Values("Wechatpay-Serial"))
	}
}

func TestClient_platformCertificates_httpClient(t *testing.T) {
	server, client := newCertificateMode(t)
	req, err := http.NewRequest(http.MethodGet, server.URL+"/v3/merchant-service/complaints-v2/"+testComplaintID, nil)
	require.NoError(t, err)
	req.Header.Set("Accept", "application/json")
	resp, err := client.HTTPClient().Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 200, resp.StatusCode)
	requests := server.Requests()
	require.Len(t, requests, 2)
	require.Equal(t, "/v3/certificates", requests[0].Path)
	require.Equal(t, []string{serialOf(server.PlatformCertificate())}, requests[1].Header.Values("Wechatpay-Serial"))
}

// Images name a key like any other request, although their signature differs.
func TestClient_platformCertificates_images(t *testing.T) {
	png := append([]byte("\x89PNG\r\n\x1a\n"), make([]byte, 64)...)
	server, client := newCertificateMode(t)
	_, err := client.ComplaintsV2.UploadImage(context.Background(), "a.png", bytes.NewReader(png))
	require.NoError(t, err)
	require.Equal(t, 1, count(server, downloads))

	client = fakeClient(t, server)
	image, err := client.ComplaintsV2.DownloadImage(context.Background(), server.AddImage("1", png))
	require.NoError(t, err)
	require.NoError(t, image.Close())
	require.Equal(t, 2, count(server, downloads))
	requests := server.Requests()
	last := requests[len(requests)-1]
	require.Equal(t, []string{serialOf(server.PlatformCertificate())}, last.Header.Values("Wechatpay-Serial"))
}

func TestClient_Echo_platformCertificate(t *testing.T) {
	server, client := newCertificateMode(t)
	req := &wechatpay.EchoRequest{EchoMessage: "你好", EncryptedEchoMessage: "秘密"}
	resp, err := client.Echo(context.Background(), req)
	require.NoError(t, err)
	require.Equal(t, &wechatpay.EchoResponse{EchoMessage: "你好", EncryptedEchoMessage: "秘密"}, resp)
	require.Equal(t, 1, count(server, downloads))
}

func TestClient_Echo_invalidArgumentDownloadsNothing(t *testing.T) {
	server, client := newCertificateMode(t)
	_, err := client.Echo(context.Background(), &wechatpay.EchoRequest{EncryptedEchoMessage: "秘密"})
	var invalid *wechatpay.ArgumentError
	require.ErrorAs(t, err, &invalid)
	require.Len(t, invalid.Faults, 1)
	require.Empty(t, server.Requests())
}

func TestClient_Echo_noPlatformCertificate(t *testing.T) {
	server, client := newCertificateMode(t)
	server.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModePublicKey })
	_, err := client.Echo(context.Background(), &wechatpay.EchoRequest{EchoMessage: "a", EncryptedEchoMessage: "b"})
	require.ErrorContains(t, err, "wechatpay: Echo: nothing was sent: no valid platform certificate: ")
}

// gate holds certificate downloads until the test lets them continue.
type gate struct {
	base    http.RoundTripper
	entered chan *http.Request // each download
	open    chan error         // the result of a download; nil sends it
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

func newGated(
	t *testing.T, change ...func(*wechatpay.Config),
) (*gate, *wechatpaytest.Server, *wechatpay.Client) {
	g := &gate{entered: make(chan *http.Request, 10), open: make(chan error)}
	server, client := newCertificateMode(t, append(change, func(cfg *wechatpay.Config) {
		g.base, cfg.Transport = cfg.Transport, g
	})...)
	return g, server, client
}

func TestClient_platformCertificates_concurrentCalls(t *testing.T) {
	g, server, client := newGated(t)
	errs := make(chan error, 50)
	for range cap(errs) {
		go func() { errs <- get(context.Background(), client) }()
	}
	<-g.entered
	g.open <- nil
	for range cap(errs) {
		require.NoError(t, <-errs)
	}
	require.Equal(t, 1, count(server, downloads))
	require.Len(t, server.Requests(), cap(errs)+1)
}

func TestClient_platformCertificates_canceledCall(t *testing.T) {
	type key struct{}
	g, server, client := newGated(t)
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), key{}, "value"))
	errs := make(chan error, 1)
	go func() { errs <- get(ctx, client) }()
	download := <-g.entered
	require.Nil(t, download.Context().Value(key{}), "the download inherits the values of a call")
	cancel()
	err := <-errs
	require.ErrorIs(t, err, context.Canceled)
	require.EqualError(t, err, "wechatpay: ComplaintsV2.Get: nothing was sent: no valid platform certificate: "+
		"waiting for the certificate download: context canceled")
	require.Error(t, download.Context().Err(), "the download continues without a caller")
	require.Zero(t, count(server, downloads))

	go func() { errs <- get(context.Background(), client) }()
	<-g.entered
	g.open <- nil
	require.NoError(t, <-errs)
	require.Equal(t, 1, count(server, downloads))
}

func TestClient_platformCertificates_contextEndedBefore(t *testing.T) {
	server, client := newCertificateMode(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, get(ctx, client), context.Canceled)
	err := verifyForged(ctx, client, testTime, "AB")
	requireVerificationError(t, err, wechatpay.VerificationReasonUnknownSerial)
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, server.Requests())

	// It does not delay the next download.
	require.ErrorContains(t, verifyForged(context.Background(), client, testTime, "AB"), "just downloaded")
	require.Equal(t, 1, count(server, downloads))
}

func TestVerifier_Verify_canceledDownload(t *testing.T) {
	g, server, client := newGated(t)
	errs := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { errs <- verifyForged(ctx, client, testTime, "AB") }()
	<-g.entered
	cancel()
	require.ErrorIs(t, <-errs, context.Canceled)
	require.ErrorContains(t, verifyForged(context.Background(), client, testTime, "AB"),
		"the certificate download failed less than 10s ago: canceled, because no caller was waiting")
	server.Advance(10 * time.Second)
	go func() { errs <- verifyForged(context.Background(), client, server.Now(), "AB") }()
	<-g.entered
	g.open <- nil
	require.ErrorContains(t, <-errs, "just downloaded")
}

// All waiting calls share a failure, and a waiting decision is not sent.
func TestClient_platformCertificates_failedDownload(t *testing.T) {
	g, server, client := newGated(t, func(cfg *wechatpay.Config) { cfg.Retry.MaxAttempts = 1 })
	down := errors.New("line down")
	errs := make(chan error, 20)
	for range cap(errs) {
		go func() { errs <- approve(context.Background(), client) }()
	}
	<-g.entered
	g.open <- down
	// A call that starts after the failure makes a new download, which fails too.
	for failures := 0; failures < cap(errs); {
		select {
		case <-g.entered:
			g.open <- down
		case err := <-errs:
			failures++
			require.ErrorIs(t, err, down)
			require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			require.ErrorContains(t, err, "wechatpay: ComplaintsV2.UpdateRefundProgress: nothing was sent: "+
				"no valid platform certificate: GET /v3/certificates at 127.0.0.1:")
		}
	}
	require.Empty(t, server.Requests())

	// The next call does not wait for minRetryInterval.
	go func() { errs <- approve(context.Background(), client) }()
	<-g.entered
	g.open <- nil
	require.NoError(t, <-errs)
}

func TestClient_platformCertificates_rotation(t *testing.T) {
	for _, announced := range []bool{false, true} {
		t.Run(fmt.Sprintf("announced=%v", announced), func(t *testing.T) {
			server, client := newCertificateMode(t)
			require.NoError(t, get(context.Background(), client))
			const callers, calls = 8, 9
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
			require.Equal(t, 2, count(server, downloads), "want one at the start, one for the new serial number")

			server.Advance(time.Minute)
			server.RotateCertificate()
			require.NoError(t, get(context.Background(), client))
			require.Equal(t, 3, count(server, downloads))
			requests := server.Requests()
			last := requests[len(requests)-1]
			require.Equal(t, "/v3/certificates", last.Path)
			require.NotEmpty(t, last.Header.Get("Wechatpay-Serial"), "a later download names no known certificate")
			require.NoError(t, get(context.Background(), client))
			requests = server.Requests()
			last = requests[len(requests)-1]
			require.Equal(t, serialOf(server.PlatformCertificate()), last.Header.Get("Wechatpay-Serial"))
		})
	}
}

// Anyone can send notifications with made-up serial numbers.
func TestVerifier_Verify_manyUnknownSerials(t *testing.T) {
	server, client := newCertificateMode(t)
	at := testTime
	flood := func() (last error) {
		errs := make(chan error, 1000)
		for i := range cap(errs) {
			go func() {
				errs <- verifyForged(context.Background(), client, at, fmt.Sprintf("%040X", i+1))
			}()
		}
		for range cap(errs) {
			last = <-errs
			requireVerificationError(t, last, wechatpay.VerificationReasonUnknownSerial)
		}
		return last
	}
	flood()
	require.Equal(t, 1, count(server, downloads))
	require.ErrorContains(t, flood(), "it is not among the certificates downloaded less than 1m0s ago")
	require.Equal(t, 1, count(server, downloads))
	require.NoError(t, get(context.Background(), client))
	require.Equal(t, 1, count(server, downloads), "a call needs another download")

	advance := func(d time.Duration) {
		server.Advance(d)
		at = at.Add(d)
	}
	advance(59 * time.Second)
	flood()
	require.Equal(t, 1, count(server, downloads))
	advance(time.Second)
	require.ErrorContains(t, verifyForged(context.Background(), client, at, "AB"), "just downloaded")
	flood()
	require.Equal(t, 2, count(server, downloads))

	// A failed download is retried earlier.
	advance(time.Minute)
	server.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModePublicKey })
	err := flood()
	require.Equal(t, 3, count(server, downloads))
	require.ErrorContains(t, err, "the certificate download failed")
	require.ErrorContains(t, err, "404 RESOURCE_NOT_EXISTS")
	advance(9 * time.Second)
	require.Regexp(t, "the certificate download failed less than 10s ago: "+downloadNotFound, flood().Error())
	require.Equal(t, 3, count(server, downloads))
	advance(time.Second)
	flood()
	require.Equal(t, 4, count(server, downloads))

	// The clock was set back.
	advance(-24 * time.Hour)
	flood()
	require.Equal(t, 5, count(server, downloads))
}

// A serial number that is known after the download does not make the signature
// valid.
func TestVerifier_Verify_forgedAfterDownload(t *testing.T) {
	server, client := newCertificateMode(t)
	err := verifyForged(context.Background(), client, testTime, serialOf(server.PlatformCertificate()))
	requireVerificationError(t, err, wechatpay.VerificationReasonSignatureMismatch)
	require.Equal(t, 1, count(server, downloads))
}

func TestVerifier_Verify_notASerialNumber(t *testing.T) {
	server, client := newCertificateMode(t)
	for _, name := range []string{"PUB_KEY_ID_0119999999999999999999999999999999", "", "xyz", strings.Repeat("A", 65)} {
		err := verifyForged(context.Background(), client, testTime, name)
		requireVerificationError(t, err, wechatpay.VerificationReasonUnknownSerial)
	}
	require.Zero(t, count(server, downloads))
	err := verifyForged(context.Background(), client, testTime, strings.Repeat("A", 64))
	requireVerificationError(t, err, wechatpay.VerificationReasonUnknownSerial)
	require.Equal(t, 1, count(server, downloads))
}

// The response names an unknown key and the download fails: the decision may have
// been applied, whatever the response of the download was.
func TestClient_platformCertificates_unknownOutcome(t *testing.T) {
	server, client := newCertificateMode(t, func(cfg *wechatpay.Config) { cfg.Retry.MaxAttempts = 1 })
	require.NoError(t, get(context.Background(), client))
	server.RotateCertificate()
	server.Handle(downloads, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(404)
		io.WriteString(w, `{"code":"RESOURCE_NOT_EXISTS","message":"none"}`)
	}))
	err := approve(context.Background(), client)
	require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	failed := requireVerificationError(t, err, wechatpay.VerificationReasonUnknownSerial)
	require.Equal(t, 204, failed.StatusCode)
	require.Regexp(t, "^"+downloadNotFound, failed.Err.Error())
	var api *wechatpay.APIError
	require.False(t, errors.As(err, &api), "errors.As finds the error of another request")
	require.Len(t, server.History(testComplaintID), 2, "the decision was not applied")
}

func TestClient_platformCertificates_renewal(t *testing.T) {
	g, server, client := newGated(t, func(cfg *wechatpay.Config) { cfg.Retry.MaxAttempts = 1 })
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

	// One caller waits for the renewal, others use the old certificate.
	server.Advance(first.NotAfter.Add(-24*time.Hour + time.Second).Sub(server.Now()))
	done = call()
	<-g.entered
	require.NoError(t, get(context.Background(), client))
	g.open <- nil
	require.NoError(t, <-done)
	require.NoError(t, get(context.Background(), client), "a second renewal within an hour")
	require.Equal(t, 2, count(server, downloads))

	// A failed renewal does not fail the call.
	server.Advance(time.Hour)
	done = call()
	open(io.ErrUnexpectedEOF)
	require.NoError(t, <-done)
	require.Equal(t, 2, count(server, downloads))

	// Requests name a successor as soon as it is listed.
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

// A call whose context has ended neither renews a certificate nor delays the
// renewal.
func TestClient_platformCertificates_renewalAfterContextEnded(t *testing.T) {
	server, client := newCertificateMode(t)
	require.NoError(t, get(context.Background(), client))
	server.Advance(server.PlatformCertificate().NotAfter.Add(-23 * time.Hour).Sub(server.Now()))
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	require.Error(t, get(ended, client))
	require.Equal(t, 1, count(server, downloads))
	require.NoError(t, get(context.Background(), client))
	require.Equal(t, 2, count(server, downloads))
}

// Certificates are valid by the clock of Config.Time.
func TestClient_platformCertificates_expired(t *testing.T) {
	server, client := newCertificateMode(t)
	require.NoError(t, get(context.Background(), client))
	old := server.PlatformCertificate()
	server.Advance(old.NotAfter.Sub(server.Now()) + time.Second)

	// A message that is still signed with it.
	h := http.Header{}
	s := signed(t, "body")
	s.serial, s.at = serialOf(old), server.Now()
	s.set(t, h)
	err := verifierOf(client).Verify(context.Background(), h, []byte("body"))
	requireVerificationError(t, err, wechatpay.VerificationReasonCertificateNotValid)
	require.ErrorContains(t, err, "is not valid now: valid from 2023-11-14T22:13:20Z to 2028-11-14T22:13:20Z")
	require.Equal(t, 1, count(server, downloads))

	// A call downloads the certificates, but the fake has no new one yet.
	require.ErrorContains(t, get(context.Background(), client), "is not valid now")
	server.RotateCertificate()
	require.NoError(t, get(context.Background(), client))

	// A clock that is a second behind.
	cold := fakeClient(t, server, func(cfg *wechatpay.Config) {
		at := server.PlatformCertificate().NotBefore.Add(-time.Second)
		cfg.Time = func() time.Time { return at }
	})
	require.ErrorContains(t, get(context.Background(), cold), "is not valid now")
}

func TestConfig_PlatformCertificates(t *testing.T) {
	server := wechatpaytest.NewServer()
	t.Cleanup(server.Close)
	server.Configure(func(b *wechatpaytest.Behavior) {
		b.KeyMode, b.Time = wechatpaytest.KeyModeCertificate, testClock
	})
	server.AddComplaint(wechatpay.Complaint{ComplaintID: testComplaintID})
	first := server.PlatformCertificate()
	configured := []*x509.Certificate{first}
	noKey := fakeClient(t, server, func(cfg *wechatpay.Config) {
		cfg.PlatformCertificates, cfg.APIv3Key = configured, ""
	})
	withKey := fakeClient(t, server, func(cfg *wechatpay.Config) { cfg.PlatformCertificates = configured })
	for _, client := range []*wechatpay.Client{noKey, withKey} {
		require.NoError(t, get(context.Background(), client))
	}
	for _, request := range server.Requests() {
		require.Equal(t, []string{serialOf(first)}, request.Header.Values("Wechatpay-Serial"))
	}
	require.Zero(t, count(server, downloads))

	server.RotateCertificate()
	err := get(context.Background(), noKey)
	requireVerificationError(t, err, wechatpay.VerificationReasonUnknownSerial)
	require.ErrorContains(t, err, "add it to PlatformCertificates, or set APIv3Key to download it")
	require.Zero(t, count(server, downloads))
	require.NoError(t, get(context.Background(), withKey))
	require.Equal(t, 1, count(server, downloads))

	// After their expiry nothing is sent.
	server.Advance(first.NotAfter.Sub(server.Now()) + time.Second)
	before := len(server.Requests())
	err = get(context.Background(), noKey)
	require.EqualError(t, err, "wechatpay: ComplaintsV2.Get: nothing was sent: "+
		"no valid platform certificate at 2028-11-14T22:13:21Z: "+
		serialOf(first)+" is valid from 2023-11-14T22:13:20Z to 2028-11-14T22:13:20Z")
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	_, err = noKey.HTTPClient().Post(server.URL+"/v3/x", "application/json", strings.NewReader("{}"))
	require.ErrorContains(t, err, "nothing was sent")
	require.Len(t, server.Requests(), before)
}

// During the switch to the public key the message names the key to verify with.
func TestClient_platformCertificates_switchToPublicKey(t *testing.T) {
	server, client := newFake(t)
	require.NoError(t, get(context.Background(), client))
	cfg := server.Config()
	for _, request := range server.Requests() {
		require.Equal(t, []string{cfg.PublicKeyID}, request.Header.Values("Wechatpay-Serial"))
	}
	require.Zero(t, count(server, downloads))

	verifyNotification := func(serial string) error {
		req, err := server.NewNotification(context.Background(), "http://127.0.0.1:1/", wechatpaytest.Notification{
			EventType:   "COMPLAINT.CREATE",
			ComplaintID: testComplaintID,
			ActionType:  "CREATE_COMPLAINT",
			Serial:      serial,
		})
		require.NoError(t, err)
		body, err := io.ReadAll(req.Body)
		require.NoError(t, err)
		return verifierOf(client).Verify(context.Background(), req.Header, body)
	}
	require.NoError(t, verifyNotification(cfg.PublicKeyID))
	require.Zero(t, count(server, downloads))
	require.NoError(t, verifyNotification(serialOf(server.PlatformCertificate())))
	require.Equal(t, 1, count(server, downloads))

	// Before the switch starts, WeChat Pay ignores the public key ID of a request.
	server.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModeCertificate })
	require.NoError(t, approve(context.Background(), client))
	require.Equal(t, 1, count(server, downloads))
}

// A merchant that only ever had the public key has no certificates.
func TestClient_platformCertificates_publicKeyOnly(t *testing.T) {
	server, client := newFake(t)
	server.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModePublicKey })
	require.NoError(t, get(context.Background(), client))
	require.Zero(t, count(server, downloads))
	require.ErrorContains(t, verifyForged(context.Background(), client, server.Now(), "AB"), "404 RESOURCE_NOT_EXISTS")
	require.NoError(t, get(context.Background(), client))
}

// The response to a request without Wechatpay-Serial is signed with the public
// key, which is not configured yet.
func TestClient_platformCertificates_switchWithoutPublicKey(t *testing.T) {
	noPublicKey := func(cfg *wechatpay.Config) { cfg.PublicKey, cfg.PublicKeyID = nil, "" }
	server, client := newFake(t, noPublicKey)
	require.NoError(t, approve(context.Background(), client))
	requests := server.Requests()
	require.Len(t, requests, 3)
	require.Empty(t, requests[0].Header.Values("Wechatpay-Serial"))
	for _, request := range requests[1:] {
		require.Equal(t, []string{serialOf(server.PlatformCertificate())}, request.Header.Values("Wechatpay-Serial"))
	}

	client = fakeClient(t, server, noPublicKey, func(cfg *wechatpay.Config) { cfg.Retry.MaxAttempts = 1 })
	require.ErrorContains(t, approve(context.Background(), client), "set PublicKeyID and PublicKey")
}

func TestClient_platformCertificates_insecureSkipVerify(t *testing.T) {
	server, _ := newCertificateMode(t)
	client := fakeClient(t, server, func(cfg *wechatpay.Config) { cfg.InsecureSkipVerify = true })
	require.NoError(t, get(context.Background(), client))
	require.Len(t, server.Requests(), 1)
	require.Empty(t, server.Requests()[0].Header.Values("Wechatpay-Serial"))
}

func TestClient_Format_platformCertificates(t *testing.T) {
	server, client := newCertificateMode(t)
	require.NoError(t, get(context.Background(), client))
	key := server.Config().APIv3Key
	verifier := verifierOf(client)
	for _, verb := range []string{"%v", "%+v", "%#v", "%x"} {
		text := fmt.Sprintf(verb, client) + fmt.Sprintf(verb, *client) +
			fmt.Sprintf(verb, verifier) + fmt.Sprintf(verb, *verifier) +
			fmt.Sprintf(verb, struct{ c wechatpay.Client }{*client})
		require.NotContains(t, text, key)
		require.NotContains(t, text, fmt.Sprintf("%x", key))
	}
}
