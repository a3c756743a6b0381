package wechatpay_test

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

func newVerifier(t testing.TB) *wechatpay.Verifier {
	t.Helper()
	key, err := wechatpay.ParsePublicKey(testdata(t, "platform_pub.pem"))
	require.NoError(t, err)
	return &wechatpay.Verifier{Keys: map[string]*rsa.PublicKey{testPublicKeyID: key}, Time: testClock}
}

// The signatures are made by openssl dgst -sha256 -sign: testdata/make.sh.
func TestVerifierKnownAnswers(t *testing.T) {
	for name, body := range map[string]string{"answer_204": "", "answer_200": `{"media_id":"文件"}`} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			h.Set("Wechatpay-Timestamp", "1700000000")
			h.Set("Wechatpay-Nonce", "EqYtEtmd8XJ1Q2ZFVkAAM3pNSDWg5KYF")
			h.Set("Wechatpay-Serial", testPublicKeyID)
			h.Set("Wechatpay-Signature", string(testdata(t, name+".sig")))
			require.NoError(t, newVerifier(t).Verify(context.Background(), h, []byte(body)))

			err := newVerifier(t).Verify(context.Background(), h, []byte(body+" "))
			var failed *wechatpay.VerificationError
			require.ErrorAs(t, err, &failed)
			require.Equal(t, wechatpay.VerificationReasonSignatureMismatch, failed.Reason)
		})
	}
}

// forgeries are the ways in which an answer does not prove to be WeChat Pay's.
var forgeries = []struct {
	name   string
	change func(t testing.TB, s *signature, h http.Header) // before signing, or of the signed headers
	after  bool
	reason wechatpay.VerificationReason
}{
	{"stranger's signature", func(t testing.TB, s *signature, _ http.Header) { s.key = privateKey(t, "merchant_key.pem") }, false, wechatpay.VerificationReasonSignatureMismatch},
	{"signature of another body", func(_ testing.TB, s *signature, _ http.Header) { s.body = []byte("another") }, false, wechatpay.VerificationReasonSignatureMismatch},
	{"unknown public key id", func(_ testing.TB, s *signature, _ http.Header) { s.serial = "PUB_KEY_ID_2" }, false, wechatpay.VerificationReasonUnknownSerial},
	{"unknown certificate", func(_ testing.TB, s *signature, _ http.Header) { s.serial = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1" }, false, wechatpay.VerificationReasonUnknownSerial},
	{"15 minutes old", func(_ testing.TB, s *signature, _ http.Header) { s.at = testTime.Add(-15 * time.Minute) }, false, wechatpay.VerificationReasonTimestamp},
	{"15 minutes ahead", func(_ testing.TB, s *signature, _ http.Header) { s.at = testTime.Add(15 * time.Minute) }, false, wechatpay.VerificationReasonTimestamp},
	{"300 s old", func(_ testing.TB, s *signature, _ http.Header) { s.at = testTime.Add(-300 * time.Second) }, false, wechatpay.VerificationReasonTimestamp},
	{"no headers at all", func(_ testing.TB, _ *signature, h http.Header) { clear(h) }, true, wechatpay.VerificationReasonUnsigned},
	{"no signature", func(_ testing.TB, _ *signature, h http.Header) { h.Del("Wechatpay-Signature") }, true, wechatpay.VerificationReasonMalformedHeader},
	{"no serial number", func(_ testing.TB, _ *signature, h http.Header) { h.Del("Wechatpay-Serial") }, true, wechatpay.VerificationReasonMalformedHeader},
	{"two serial numbers", func(_ testing.TB, _ *signature, h http.Header) { h.Add("Wechatpay-Serial", "PUB_KEY_ID_2") }, true, wechatpay.VerificationReasonMalformedHeader},
	{"signature not in base64", func(_ testing.TB, _ *signature, h http.Header) { h.Set("Wechatpay-Signature", "*") }, true, wechatpay.VerificationReasonMalformedHeader},
	{"timestamp in words", func(_ testing.TB, _ *signature, h http.Header) { h.Set("Wechatpay-Timestamp", "now") }, true, wechatpay.VerificationReasonMalformedHeader},
	{"timestamp beyond all time", func(_ testing.TB, _ *signature, h http.Header) { h.Set("Wechatpay-Timestamp", "-9223372036854775808") }, true, wechatpay.VerificationReasonTimestamp},
	{"other timestamp", func(_ testing.TB, _ *signature, h http.Header) { h.Set("Wechatpay-Timestamp", "1700000001") }, true, wechatpay.VerificationReasonSignatureMismatch},
	{"other nonce", func(_ testing.TB, _ *signature, h http.Header) { h.Set("Wechatpay-Nonce", "x") }, true, wechatpay.VerificationReasonSignatureMismatch},
	{"other algorithm", func(_ testing.TB, _ *signature, h http.Header) {
		h.Set("Wechatpay-Signature-Type", "WECHATPAY2-SM2-WITH-SM3")
	}, true, wechatpay.VerificationReasonMalformedHeader},
	{"probe", func(_ testing.TB, _ *signature, h http.Header) {
		h.Set("Wechatpay-Signature", "WECHATPAY/SIGNTEST/"+h.Get("Wechatpay-Signature"))
	}, true, wechatpay.VerificationReasonProbe},
}

// forge makes the headers of one of the forgeries.
func forge(t testing.TB, i int, body string) http.Header {
	t.Helper()
	h := http.Header{}
	s := signed(t, body)
	if !forgeries[i].after {
		forgeries[i].change(t, &s, h)
	}
	s.set(t, h)
	if forgeries[i].after {
		forgeries[i].change(t, &s, h)
	}
	return h
}

func TestVerifierRefuses(t *testing.T) {
	for i, tt := range forgeries {
		t.Run(tt.name, func(t *testing.T) {
			err := newVerifier(t).Verify(context.Background(), forge(t, i, "body"), []byte("body"))
			var failed *wechatpay.VerificationError
			require.ErrorAs(t, err, &failed)
			require.Equal(t, tt.reason, failed.Reason)
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestVerifierTimeWindow(t *testing.T) {
	for _, skew := range []time.Duration{-299 * time.Second, 0, 299 * time.Second} {
		s := signed(t, "body")
		s.at = testTime.Add(-skew)
		h := http.Header{}
		s.set(t, h)
		require.NoError(t, newVerifier(t).Verify(context.Background(), h, []byte("body")))
	}
	s := signed(t, "body")
	s.at = testTime.Add(-10 * time.Minute)
	h := http.Header{}
	s.set(t, h)
	err := newVerifier(t).Verify(context.Background(), h, []byte("body"))
	var failed *wechatpay.VerificationError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, 10*time.Minute, failed.Skew)
	require.Contains(t, err.Error(), "10m0s away from this machine's clock")

	noKeys := wechatpay.Verifier{Time: testClock}
	signed(t, "body").set(t, h)
	require.ErrorAs(t, noKeys.Verify(context.Background(), h, []byte("body")), &failed)
	require.Equal(t, wechatpay.VerificationReasonUnknownSerial, failed.Reason)
}

func TestVerifyingTransport(t *testing.T) {
	var serials []string
	mux := http.NewServeMux()
	mux.HandleFunc("/signed", reply(t, 200, `{"a":1}`))
	mux.HandleFunc("/unsigned", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") })
	mux.HandleFunc("/missing", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", 404) })
	mux.HandleFunc("/cut", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "{}")
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serials = append(serials, r.Header.Get("Wechatpay-Serial"))
		mux.ServeHTTP(w, r)
	}))
	defer server.Close()
	client := http.Client{Transport: &wechatpay.VerifyingTransport{Verifier: newVerifier(t)}}

	resp, err := client.Get(server.URL + "/signed")
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, `{"a":1}`, string(body))

	_, err = client.Get(server.URL + "/unsigned")
	var failed *wechatpay.VerificationError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, 200, failed.StatusCode)

	resp, err = client.Get(server.URL + "/missing")
	require.NoError(t, err, "an error answer needs no signature")
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 404, resp.StatusCode)

	_, err = client.Get(server.URL + "/cut")
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)

	req, err := http.NewRequest(http.MethodGet, server.URL+"/signed", nil)
	require.NoError(t, err)
	req.Header.Set("Wechatpay-Serial", "mine")
	resp, err = client.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())

	require.Equal(t, []string{testPublicKeyID, testPublicKeyID, testPublicKeyID, testPublicKeyID, "mine"}, serials)
}

func TestVerifyingTransportContract(t *testing.T) {
	body := &countingBody{Reader: strings.NewReader("x")}
	req, err := http.NewRequest(http.MethodPost, "https://api.mch.weixin.qq.com/v3/x", body)
	require.NoError(t, err)
	_, err = (&wechatpay.VerifyingTransport{}).RoundTrip(req)
	require.ErrorContains(t, err, "Verifier")
	require.Equal(t, 1, body.closed)

	down := io.ErrClosedPipe
	_, err = (&wechatpay.VerifyingTransport{Verifier: newVerifier(t), Base: roundTripper(func(req *http.Request) (*http.Response, error) {
		require.Equal(t, testPublicKeyID, req.Header.Get("Wechatpay-Serial"))
		return nil, down
	})}).RoundTrip(req)
	require.ErrorIs(t, err, down)
	require.Empty(t, req.Header, "the caller's request is changed")

	answer := &countingBody{Reader: strings.NewReader("{}")}
	_, err = (&wechatpay.VerifyingTransport{Verifier: newVerifier(t), Base: roundTripper(func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: answer}, nil
	})}).RoundTrip(req)
	require.Error(t, err)
	require.Equal(t, 1, answer.closed)
}

// With keys of both kinds, answers are asked for under the public key; without
// one, under a certificate.
func TestVerifyingTransportChoosesTheKey(t *testing.T) {
	key := &privateKey(t, "platform_key.pem").PublicKey
	for _, tt := range []struct {
		keys []string
		want string
	}{
		{nil, ""},
		{[]string{"5157F09E"}, "5157F09E"},
		{[]string{"5157F09E", "PUB_KEY_ID_2", "PUB_KEY_ID_1", "0AAA"}, "PUB_KEY_ID_1"},
	} {
		v := &wechatpay.Verifier{Keys: map[string]*rsa.PublicKey{}}
		for _, k := range tt.keys {
			v.Keys[k] = key
		}
		var got string
		req, err := http.NewRequest(http.MethodGet, "https://api.mch.weixin.qq.com/v3/x", nil)
		require.NoError(t, err)
		req.Header = nil
		_, err = (&wechatpay.VerifyingTransport{Verifier: v, Base: roundTripper(func(req *http.Request) (*http.Response, error) {
			got = req.Header.Get("Wechatpay-Serial")
			return &http.Response{StatusCode: 404, Body: http.NoBody}, nil
		})}).RoundTrip(req)
		require.NoError(t, err)
		require.Equal(t, tt.want, got)
	}
}

func FuzzVerifierHeaders(f *testing.F) {
	h := http.Header{}
	signed(f, "body").set(f, h)
	f.Add(h.Get("Wechatpay-Timestamp"), h.Get("Wechatpay-Nonce"), h.Get("Wechatpay-Serial"), h.Get("Wechatpay-Signature"), "body")
	f.Add("", "", "", "", "")
	f.Add("-9223372036854775808", "\n", "PUB_KEY_ID_", "WECHATPAY/SIGNTEST/", "")
	verifier := newVerifier(f)
	genuine, err := base64.StdEncoding.DecodeString(h.Get("Wechatpay-Signature"))
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, timestamp, nonce, serial, signature, body string) {
		err := verifier.Verify(context.Background(), http.Header{
			"Wechatpay-Timestamp": {timestamp}, "Wechatpay-Nonce": {nonce},
			"Wechatpay-Serial": {serial}, "Wechatpay-Signature": {signature},
		}, []byte(body))
		if err != nil {
			var failed *wechatpay.VerificationError
			require.ErrorAs(t, err, &failed)
			require.NotContains(t, err.Error(), "\n")
			return
		}
		// Only the one signature that was made can hold.
		raw, err := base64.StdEncoding.DecodeString(signature)
		require.NoError(t, err)
		require.Equal(t, genuine, raw)
		require.Equal(t, h.Get("Wechatpay-Timestamp")+"\n"+h.Get("Wechatpay-Nonce")+"\nbody", timestamp+"\n"+nonce+"\n"+body)
	})
}

// A hand-written Base may give no body, or nothing at all.
func TestVerifyingTransportOverACarelessBase(t *testing.T) {
	req, err := http.NewRequest(http.MethodGet, "https://api.mch.weixin.qq.com/v3/x", nil)
	require.NoError(t, err)
	_, err = (&wechatpay.VerifyingTransport{Verifier: newVerifier(t), Base: roundTripper(func(*http.Request) (*http.Response, error) { return nil, nil })}).RoundTrip(req)
	require.ErrorContains(t, err, "neither an answer nor an error")
	h := http.Header{}
	signed(t, "").set(t, h)
	resp, err := (&wechatpay.VerifyingTransport{Verifier: newVerifier(t), Base: roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 204, Header: h}, nil
	})}).RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
}
