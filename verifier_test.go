package wechatpay_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func newVerifier(t testing.TB) *wechatpay.Verifier {
	t.Helper()
	key, err := wechatpay.ParsePublicKey(testdata(t, "platform_pub.pem"))
	require.NoError(t, err)
	return &wechatpay.Verifier{Keys: map[string]*rsa.PublicKey{testPublicKeyID: key}, Time: testClock}
}

// The signatures are made by OpenSSL: testdata/make.sh.
func TestVerifier_Verify_knownVectors(t *testing.T) {
	for name, body := range map[string]string{"response_204": "", "response_200": `{"media_id":"文件"}`} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			h.Set("Wechatpay-Timestamp", "1700000000")
			h.Set("Wechatpay-Nonce", "EqYtEtmd8XJ1Q2ZFVkAAM3pNSDWg5KYF")
			h.Set("Wechatpay-Serial", testPublicKeyID)
			h.Set("Wechatpay-Signature", string(testdata(t, name+".sig")))
			require.NoError(t, newVerifier(t).Verify(context.Background(), h, []byte(body)))

			err := newVerifier(t).Verify(context.Background(), h, []byte(body+" "))
			requireVerificationError(t, err, wechatpay.VerificationReasonSignatureMismatch)
		})
	}
}

// forgeries are responses that must not verify.
var forgeries = []struct {
	name   string
	change func(t testing.TB, s *signature, h http.Header)
	after  bool // change h after signing; otherwise change s before
	reason wechatpay.VerificationReason
}{
	{"merchant signature", func(t testing.TB, s *signature, _ http.Header) {
		s.key = privateKey(t, "merchant_key.pem")
	}, false, wechatpay.VerificationReasonSignatureMismatch},
	{"signature of another body", func(_ testing.TB, s *signature, _ http.Header) {
		s.body = []byte("another")
	}, false, wechatpay.VerificationReasonSignatureMismatch},
	{"unknown public key ID", func(_ testing.TB, s *signature, _ http.Header) {
		s.serial = "PUB_KEY_ID_2"
	}, false, wechatpay.VerificationReasonUnknownSerial},
	{"unknown certificate", func(_ testing.TB, s *signature, _ http.Header) {
		s.serial = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"
	}, false, wechatpay.VerificationReasonUnknownSerial},
	{"15 minutes old", func(_ testing.TB, s *signature, _ http.Header) {
		s.at = testTime.Add(-15 * time.Minute)
	}, false, wechatpay.VerificationReasonTimestamp},
	{"15 minutes in the future", func(_ testing.TB, s *signature, _ http.Header) {
		s.at = testTime.Add(15 * time.Minute)
	}, false, wechatpay.VerificationReasonTimestamp},
	{"300 s old", func(_ testing.TB, s *signature, _ http.Header) {
		s.at = testTime.Add(-300 * time.Second)
	}, false, wechatpay.VerificationReasonTimestamp},
	{"300 s in the future", func(_ testing.TB, s *signature, _ http.Header) {
		s.at = testTime.Add(300 * time.Second)
	}, false, wechatpay.VerificationReasonTimestamp},
	{"no headers", func(_ testing.TB, _ *signature, h http.Header) {
		clear(h)
	}, true, wechatpay.VerificationReasonUnsigned},
	{"no signature", func(_ testing.TB, _ *signature, h http.Header) {
		h.Del("Wechatpay-Signature")
	}, true, wechatpay.VerificationReasonMalformedHeader},
	{"no serial number", func(_ testing.TB, _ *signature, h http.Header) {
		h.Del("Wechatpay-Serial")
	}, true, wechatpay.VerificationReasonMalformedHeader},
	{"two timestamps", func(_ testing.TB, _ *signature, h http.Header) {
		h.Add("Wechatpay-Timestamp", h.Get("Wechatpay-Timestamp"))
	}, true, wechatpay.VerificationReasonMalformedHeader},
	{"two nonces", func(_ testing.TB, _ *signature, h http.Header) {
		h.Add("Wechatpay-Nonce", h.Get("Wechatpay-Nonce"))
	}, true, wechatpay.VerificationReasonMalformedHeader},
	{"two signatures", func(_ testing.TB, _ *signature, h http.Header) {
		h.Add("Wechatpay-Signature", h.Get("Wechatpay-Signature"))
	}, true, wechatpay.VerificationReasonMalformedHeader},
	{"two serial numbers", func(_ testing.TB, _ *signature, h http.Header) {
		h.Add("Wechatpay-Serial", "PUB_KEY_ID_2")
	}, true, wechatpay.VerificationReasonMalformedHeader},
	{"signature not base64", func(_ testing.TB, _ *signature, h http.Header) {
		h.Set("Wechatpay-Signature", "*")
	}, true, wechatpay.VerificationReasonMalformedHeader},
	{"timestamp not a number", func(_ testing.TB, _ *signature, h http.Header) {
		h.Set("Wechatpay-Timestamp", "now")
	}, true, wechatpay.VerificationReasonMalformedHeader},
	{"smallest timestamp", func(_ testing.TB, _ *signature, h http.Header) {
		h.Set("Wechatpay-Timestamp", "-9223372036854775808")
	}, true, wechatpay.VerificationReasonTimestamp},
	{"other timestamp", func(_ testing.TB, _ *signature, h http.Header) {
		h.Set("Wechatpay-Timestamp", "1700000001")
	}, true, wechatpay.VerificationReasonSignatureMismatch},
	{"other nonce", func(_ testing.TB, _ *signature, h http.Header) {
		h.Set("Wechatpay-Nonce", "x")
	}, true, wechatpay.VerificationReasonSignatureMismatch},
	{"other algorithm", func(_ testing.TB, _ *signature, h http.Header) {
		h.Set("Wechatpay-Signature-Type", "WECHATPAY2-SM2-WITH-SM3")
	}, true, wechatpay.VerificationReasonMalformedHeader},
	{"two algorithms", func(_ testing.TB, _ *signature, h http.Header) {
		h.Add("Wechatpay-Signature-Type", "WECHATPAY2-SHA256-RSA2048")
	}, true, wechatpay.VerificationReasonMalformedHeader},
	{"probe", func(_ testing.TB, _ *signature, h http.Header) {
		h.Set("Wechatpay-Signature", "WECHATPAY/SIGNTEST/"+h.Get("Wechatpay-Signature"))
	}, true, wechatpay.VerificationReasonProbe},
	{"malformed probe", func(_ testing.TB, _ *signature, h http.Header) {
		h.Set("Wechatpay-Signature", "WECHATPAY/SIGNTEST/")
		h.Del("Wechatpay-Serial")
	}, true, wechatpay.VerificationReasonProbe},
}

// forge returns the headers of one of the forgeries.
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

func TestVerifier_Verify_forgeries(t *testing.T) {
	for i, tt := range forgeries {
		t.Run(tt.name, func(t *testing.T) {
			err := newVerifier(t).Verify(context.Background(), forge(t, i, "body"), []byte("body"))
			requireVerificationError(t, err, tt.reason)
		})
	}
}

func TestVerifier_Verify_timestamp(t *testing.T) {
	verify := func(age time.Duration) error {
		s := signed(t, "body")
		s.at = testTime.Add(-age)
		h := http.Header{}
		s.set(t, h)
		return newVerifier(t).Verify(context.Background(), h, []byte("body"))
	}
	for _, age := range []time.Duration{-299 * time.Second, 0, 299 * time.Second} {
		require.NoError(t, verify(age))
	}
	for _, age := range []time.Duration{-300 * time.Second, 300 * time.Second, 10 * time.Minute} {
		failed := requireVerificationError(t, verify(age), wechatpay.VerificationReasonTimestamp)
		require.Equal(t, age, failed.Skew)
	}
}

func TestVerifier_Verify_noKeys(t *testing.T) {
	h := http.Header{}
	signed(t, "body").set(t, h)
	verifier := wechatpay.Verifier{Time: testClock}
	failed := requireVerificationError(t, verifier.Verify(context.Background(), h, []byte("body")),
		wechatpay.VerificationReasonUnknownSerial)
	require.Equal(t, testPublicKeyID, failed.SerialNo)
	require.Equal(t, "08F7A1B2C30610-0", failed.RequestID)
	require.Zero(t, failed.StatusCode)
}

func TestVerifyingTransport_RoundTrip(t *testing.T) {
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
	require.Equal(t, int64(len(body)), resp.ContentLength)

	_, err = client.Get(server.URL + "/unsigned")
	failed := requireVerificationError(t, err, wechatpay.VerificationReasonUnsigned)
	require.Equal(t, 200, failed.StatusCode)

	resp, err = client.Get(server.URL + "/missing")
	require.NoError(t, err, "an error response needs a signature")
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

// Every 2xx response is verified, and no other.
func TestVerifyingTransport_RoundTrip_status(t *testing.T) {
	for status, verified := range map[int]bool{
		199: false, 200: true, 204: true, 299: true, 300: false, 404: false, 500: false,
	} {
		transport := &wechatpay.VerifyingTransport{
			Verifier: newVerifier(t),
			Base: roundTripper(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody}, nil
			}),
		}
		resp, err := transport.RoundTrip(newRequest(t, http.MethodGet, nil))
		if verified {
			failed := requireVerificationError(t, err, wechatpay.VerificationReasonUnsigned)
			require.Equal(t, status, failed.StatusCode)
		} else {
			require.NoError(t, err)
			require.Equal(t, status, resp.StatusCode)
		}
	}
}

func TestVerifyingTransport_RoundTrip_bodySize(t *testing.T) {
	const limit = 16 << 20
	for _, tt := range []struct {
		name         string
		size, length int64
		tooLarge     bool
		wantRead     int64
	}{
		{"at the limit", limit, -1, false, limit},
		{"over the limit", limit + 100, -1, true, limit + 1},
		{"announced over the limit", limit + 1, limit + 1, true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			content := make([]byte, tt.size)
			h := http.Header{}
			signed(t, string(content)).set(t, h)
			read := bytes.NewReader(content)
			body := &countingBody{Reader: read}
			transport := &wechatpay.VerifyingTransport{
				Verifier: newVerifier(t),
				Base: roundTripper(func(*http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 200, Header: h, Body: body, ContentLength: tt.length}, nil
				}),
			}
			resp, err := transport.RoundTrip(newRequest(t, http.MethodGet, nil))
			if tt.tooLarge {
				failed := requireVerificationError(t, err, wechatpay.VerificationReasonBodyTooLarge)
				require.Equal(t, 200, failed.StatusCode)
				require.Equal(t, testPublicKeyID, failed.SerialNo)
				require.Equal(t, "08F7A1B2C30610-0", failed.RequestID)
			} else {
				require.NoError(t, err)
				require.Equal(t, tt.size, resp.ContentLength)
			}
			require.Equal(t, tt.wantRead, tt.size-int64(read.Len()))
			require.Equal(t, 1, body.closed)
		})
	}
}

func TestVerifyingTransport_RoundTrip_contract(t *testing.T) {
	body := &countingBody{Reader: strings.NewReader("x")}
	req := newRequest(t, http.MethodPost, body)
	_, err := (&wechatpay.VerifyingTransport{}).RoundTrip(req)
	require.EqualError(t, err, "wechatpay: VerifyingTransport: invalid argument: Verifier: is required")
	require.Equal(t, 1, body.closed)

	down := io.ErrClosedPipe
	_, err = (&wechatpay.VerifyingTransport{
		Verifier: newVerifier(t),
		Base: roundTripper(func(req *http.Request) (*http.Response, error) {
			require.Equal(t, testPublicKeyID, req.Header.Get("Wechatpay-Serial"))
			return nil, down
		}),
	}).RoundTrip(req)
	require.ErrorIs(t, err, down)
	require.Empty(t, req.Header, "the caller's request was modified")

	response := &countingBody{Reader: strings.NewReader("{}")}
	_, err = (&wechatpay.VerifyingTransport{
		Verifier: newVerifier(t),
		Base: roundTripper(func(req *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: response}, nil
		}),
	}).RoundTrip(req)
	require.Error(t, err)
	require.Equal(t, 1, response.closed)
}

// Without a certificate nothing is sent, and the request body is closed.
func TestVerifyingTransport_RoundTrip_noCertificate(t *testing.T) {
	server, client := newCertificateMode(t)
	server.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModePublicKey })
	body := &countingBody{Reader: strings.NewReader("x")}
	transport := &wechatpay.VerifyingTransport{
		Verifier: verifierOf(client),
		Base: roundTripper(func(*http.Request) (*http.Response, error) {
			t.Error("sent")
			return nil, io.EOF
		}),
	}
	_, err := transport.RoundTrip(newRequest(t, http.MethodPost, body))
	require.Regexp(t, "^nothing was sent: no valid platform certificate: "+downloadNotFound, err.Error())
	require.Equal(t, 1, body.closed)
}

// Public keys are preferred to certificates.
func TestVerifyingTransport_RoundTrip_serial(t *testing.T) {
	key := &privateKey(t, "platform_key.pem").PublicKey
	for _, tt := range []struct {
		keys []string
		want []string
	}{
		{nil, nil},
		{[]string{"5157F09E"}, []string{"5157F09E"}},
		{[]string{"5157F09E", "0AAA"}, []string{"0AAA"}},
		{[]string{"5157F09E", "PUB_KEY_ID_2", "PUB_KEY_ID_1", "0AAA"}, []string{"PUB_KEY_ID_1"}},
	} {
		v := &wechatpay.Verifier{Keys: map[string]*rsa.PublicKey{}}
		for _, name := range tt.keys {
			v.Keys[name] = key
		}
		var got []string
		req := newRequest(t, http.MethodGet, nil)
		req.Header = nil
		_, err := (&wechatpay.VerifyingTransport{
			Verifier: v,
			Base: roundTripper(func(req *http.Request) (*http.Response, error) {
				got = req.Header.Values("Wechatpay-Serial")
				return &http.Response{StatusCode: 404, Body: http.NoBody}, nil
			}),
		}).RoundTrip(req)
		require.NoError(t, err)
		require.Equal(t, tt.want, got)
		require.Nil(t, req.Header, "the caller's request was modified")
	}
}

func TestVerifyingTransport_RoundTrip_carelessBase(t *testing.T) {
	req := newRequest(t, http.MethodGet, nil)
	_, err := (&wechatpay.VerifyingTransport{
		Verifier: newVerifier(t),
		Base:     roundTripper(func(*http.Request) (*http.Response, error) { return nil, nil }),
	}).RoundTrip(req)
	require.ErrorContains(t, err, "the base RoundTripper returned no response and no error")

	h := http.Header{}
	signed(t, "").set(t, h)
	resp, err := (&wechatpay.VerifyingTransport{
		Verifier: newVerifier(t),
		Base: roundTripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 204, Header: h}, nil
		}),
	}).RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
}

func FuzzVerifier_Verify(f *testing.F) {
	h := http.Header{}
	signed(f, "body").set(f, h)
	f.Add(h.Get("Wechatpay-Timestamp"), h.Get("Wechatpay-Nonce"), h.Get("Wechatpay-Serial"),
		h.Get("Wechatpay-Signature"), "body")
	f.Add("", "", "", "", "")
	f.Add("-9223372036854775808", "\n", "PUB_KEY_ID_", "WECHATPAY/SIGNTEST/", "")
	verifier := newVerifier(f)
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
		raw, err := base64.StdEncoding.DecodeString(signature)
		require.NoError(t, err)
		digest := sha256.Sum256([]byte(timestamp + "\n" + nonce + "\n" + body + "\n"))
		require.NoError(t, rsa.VerifyPKCS1v15(verifier.Keys[testPublicKeyID], crypto.SHA256, digest[:], raw))
	})
}
