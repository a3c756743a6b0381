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
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// The response is made by Python's cryptography package: testdata/certificates/make.py.
func TestClient_downloadCertificates_knownVector(t *testing.T) {
	var sent []*http.Request
	noContent := reply(t, 204, "")
	cfg := testConfig(t, "")
	cfg.PublicKey, cfg.PublicKeyID = nil, ""
	cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
		sent = append(sent, req)
		recorder := &recorder{header: http.Header{}}
		if req.URL.Path == "/v3/certificates" {
			recorder.header.Set("Wechatpay-Timestamp", "1700000000")
			recorder.header.Set("Wechatpay-Nonce", "EqYtEtmd8XJ1Q2ZFVkAAM3pNSDWg5KYF")
			recorder.header.Set("Wechatpay-Serial", "5157F09EFDC096DE15EBE81A47057A7232F1B8E1")
			recorder.header.Set("Wechatpay-Signature", string(testdata(t, "certificates/response.sig")))
			recorder.status, recorder.body = 200, testdata(t, "certificates/response.body")
		} else {
			noContent(recorder, req)
			s := signed(t, "")
			s.serial = "5157f09efdc096de15ebe81a47057a7232f1b8e1" // lower case
			s.set(t, recorder.header)
		}
		return recorder.response(), nil
	})
	client, err := wechatpay.NewClient(cfg)
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, approve(context.Background(), client))
	}
	require.Len(t, sent, 3)
	require.Equal(t, "https://api.mch.weixin.qq.com/v3/certificates", sent[0].URL.String())
	require.Empty(t, sent[0].Header.Values("Wechatpay-Serial"), "the first download names a key")
	requireSigned(t, sent[0], "")
	const newest = "00B8E15157F09EFDC096DE15EBE81A47057A7232"
	require.Equal(t, []string{newest}, sent[1].Header.Values("Wechatpay-Serial"))

	// Without the leading zeros, in lower case.
	err = verifyForged(context.Background(), client, testTime, "b8e15157f09efdc096de15ebe81a47057a7232")
	requireVerificationError(t, err, wechatpay.VerificationReasonSignatureMismatch)
	require.Len(t, sent, 3)
}

// recorder is an http.ResponseWriter for a roundTripper.
type recorder struct {
	header http.Header
	status int
	body   []byte
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { r.body = append(r.body, b...); return len(b), nil }

func (r *recorder) response() *http.Response {
	return &http.Response{
		StatusCode:    r.status,
		Header:        r.header,
		Body:          io.NopCloser(bytes.NewReader(r.body)),
		ContentLength: int64(len(r.body)),
	}
}

func TestClient_downloadCertificates_transportPanics(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		want string
		fail func()
	}{
		{"panic: boom", func() { panic("boom") }},
		{"the transport called runtime.Goexit", runtime.Goexit},
	} {
		_, client := newCertificateMode(t, func(cfg *wechatpay.Config) {
			cfg.Transport = roundTripper(func(*http.Request) (*http.Response, error) { tt.fail(); return nil, nil })
		})
		require.ErrorContains(t, get(context.Background(), client), tt.want)
	}
}

func TestClient_downloadCertificates_retries(t *testing.T) {
	t.Parallel()
	for _, kind := range []wechatpaytest.FaultKind{
		wechatpaytest.FaultDrop, wechatpaytest.FaultError502, wechatpaytest.FaultBusy429, wechatpaytest.FaultCut,
		wechatpaytest.FaultHTML502, wechatpaytest.FaultProbe, wechatpaytest.FaultForged, wechatpaytest.FaultUnsigned,
		wechatpaytest.FaultOld,
	} {
		t.Run(string(kind), func(t *testing.T) {
			server, client := newCertificateMode(t)
			fault := wechatpaytest.Fault{Path: downloads, Kind: kind, Times: 2, Delay: time.Millisecond}
			server.AddFault(fault)
			require.NoError(t, get(context.Background(), client))
			require.Equal(t, 3, count(server, downloads))

			client = fakeClient(t, server, func(cfg *wechatpay.Config) { cfg.Retry.MaxAttempts = 2 })
			server.AddFault(fault)
			require.ErrorContains(t, get(context.Background(), client),
				"wechatpay: ComplaintsV2.Get: nothing was sent: no valid platform certificate: 2 attempts: ")
		})
	}
	t.Run("backup host", func(t *testing.T) {
		_, client := newCertificateMode(t, func(cfg *wechatpay.Config) {
			cfg.BaseURL, cfg.BackupURL = "http://127.0.0.1:1", cfg.BaseURL
		})
		require.NoError(t, approve(context.Background(), client))
	})
}

func TestClient_downloadCertificates_notFound(t *testing.T) {
	server, client := newCertificateMode(t)
	server.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModePublicKey })
	err := get(context.Background(), client)
	require.Regexp(t, ": "+downloadNotFound, err.Error())
	require.ErrorContains(t, err, "(no platform certificates: set PublicKey and PublicKeyID)")
	var api *wechatpay.APIError
	require.False(t, errors.As(err, &api), "the 404 looks like a missing complaint")
	require.Len(t, server.Requests(), 1, "a 404 is retried")
}

func TestClient_downloadCertificates_wrongAPIv3Key(t *testing.T) {
	server, client := newCertificateMode(t, func(cfg *wechatpay.Config) { cfg.APIv3Key = testAPIv3Key })
	err := approve(context.Background(), client)
	require.ErrorContains(t, err, fmt.Sprintf("platform certificate %q: decryption failed: wrong APIv3Key",
		serialOf(server.PlatformCertificate())))
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	require.NotContains(t, err.Error(), testAPIv3Key)
	require.NotContains(t, err.Error(), "\n")
	require.Len(t, server.Requests(), 1, "the download is retried, or the decision is sent")
}

// respondWith responds to every request with a 200 and the body.
func respondWith(body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(200)
		io.WriteString(w, body)
	})
}

// certificateResponse returns the decoded response of a download.
func certificateResponse(t testing.TB, server *wechatpaytest.Server) (response map[string][]map[string]any) {
	t.Helper()
	require.NoError(t, get(context.Background(), fakeClient(t, server)))
	for _, request := range server.Requests() {
		if strings.HasPrefix(request.Path, "/v3/certificates") {
			require.NoError(t, json.Unmarshal(request.Response, &response))
			return response
		}
	}
	t.Fatal("no download")
	return nil
}

// Each change is made once in transit, and once by a server that signs it.
func TestClient_downloadCertificates_modifiedResponse(t *testing.T) {
	flip := func(field string) func(map[string]any) {
		return func(m map[string]any) {
			text, other := m[field].(string), "A"
			if text[2:3] == other {
				other = "B"
			}
			m[field] = text[:2] + other + text[3:]
		}
	}
	set := func(field string, value any) func(map[string]any) {
		return func(m map[string]any) { m[field] = value }
	}
	inner := func(change func(map[string]any)) func(map[string]any) {
		return func(m map[string]any) { change(m["encrypt_certificate"].(map[string]any)) }
	}
	const (
		valid    = ""
		modified = "the body is not the signed one"
		wrongKey = "decryption failed: wrong APIv3Key"
	)
	for _, tt := range []struct {
		name               string
		change             func(map[string]any)
		unsigned, resigned string // the errors
	}{
		{"serial_no", flip("serial_no"), "its serial number is ", "its serial number is "},
		{"serial_no in lower case", func(m map[string]any) {
			m["serial_no"] = strings.ToLower(m["serial_no"].(string))
		}, modified, valid},
		{"effective_time", set("effective_time", "2020-01-01T00:00:00+08:00"), modified, valid},
		{"expire_time", set("expire_time", "2099-01-01T00:00:00+08:00"), modified, valid},
		{"unknown member", set("new", 1), modified, valid},
		{"no certificate", set("encrypt_certificate", nil),
			`algorithm "" is not supported`, `algorithm "" is not supported`},
		{"algorithm", inner(set("algorithm", "AEAD_SM4_GCM")),
			`algorithm "AEAD_SM4_GCM" is not supported`, `algorithm "AEAD_SM4_GCM" is not supported`},
		{"nonce", inner(flip("nonce")), wrongKey, wrongKey},
		{"nonce too long", inner(set("nonce", strings.Repeat("n", 16))),
			"nonce must be 12 bytes, got 16", "nonce must be 12 bytes, got 16"},
		{"associated_data", inner(set("associated_data", "complaint")), wrongKey, wrongKey},
		{"no associated_data", inner(set("associated_data", "")), wrongKey, wrongKey},
		{"ciphertext", inner(flip("ciphertext")), wrongKey, wrongKey},
		{"ciphertext cut", inner(set("ciphertext", "AAAA")), wrongKey, wrongKey},
		{"no ciphertext", inner(set("ciphertext", "")), wrongKey, wrongKey},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, _ := newCertificateMode(t)
			response := certificateResponse(t, server)
			tt.change(response["data"][0])
			body, err := json.Marshal(response)
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
			require.ErrorContains(t, approve(context.Background(), client), tt.unsigned)
			require.Len(t, server.Requests(), before+1, "the decision was sent")

			server.Handle(downloads, respondWith(string(body)))
			err = get(context.Background(), fakeClient(t, server))
			if tt.resigned == valid {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.resigned)
				require.NotContains(t, err.Error(), "\n")
			}
		})
	}
}

func TestClient_downloadCertificates_noCertificate(t *testing.T) {
	for body, problem := range map[string]string{
		`{"data":[]}`: "GET /v3/certificates: no usable certificate: the list is empty",
		`{}`:          "the list is empty",
		`null`:        "the list is empty",
		`[]`:          "GET /v3/certificates: decoding the response: ",
		`<html>`:      "GET /v3/certificates: decoding the response: ",
		``:            "GET /v3/certificates: decoding the response: ",
	} {
		server, client := newCertificateMode(t)
		server.Handle(downloads, respondWith(body))
		require.ErrorContains(t, get(context.Background(), client), problem, body)
		require.Equal(t, 1, count(server, downloads))

		server.Handle(downloads, nil)
		require.NoError(t, get(context.Background(), client))
	}
}

// A later response without a certificate does not remove a known one.
func TestClient_downloadCertificates_keepsKnown(t *testing.T) {
	server, client := newCertificateMode(t)
	require.NoError(t, get(context.Background(), client))
	server.Handle(downloads, respondWith(`{"data":[]}`))
	require.ErrorContains(t, verifyForged(context.Background(), client, testTime, "AB"), "the list is empty")
	require.Equal(t, 2, count(server, downloads))
	require.NoError(t, get(context.Background(), client))
	require.Equal(t, 2, count(server, downloads))
}

// encryptedEntry returns an entry of the response with any plain text.
func encryptedEntry(t testing.TB, apiv3Key, plain string) map[string]any {
	t.Helper()
	const nonce = "fdasflkja484"
	block, err := aes.NewCipher([]byte(apiv3Key))
	require.NoError(t, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(t, err)
	return map[string]any{"serial_no": "1", "encrypt_certificate": map[string]any{
		"algorithm":  "AEAD_AES_256_GCM",
		"nonce":      nonce,
		"ciphertext": base64.StdEncoding.EncodeToString(aead.Seal(nil, []byte(nonce), []byte(plain), nil)),
	}}
}

// ecCertificate returns a certificate with an elliptic curve key in PEM.
func ecCertificate(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestClient_downloadCertificates_skippedEntries(t *testing.T) {
	for name, tt := range map[string]struct{ algorithm, plain, problem string }{
		"other algorithm": {
			algorithm: "AEAD_SM4_GCM",
			problem:   `no usable certificate: "1": algorithm "AEAD_SM4_GCM" is not supported`,
		},
		"notification text": {
			plain:   `{"complaint_id":"\n-----BEGIN CERTIFICATE-----"}`,
			problem: `"1": not a certificate`,
		},
		"damaged": {
			plain:   "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
			problem: `"1": ParseCertificate: the certificate is damaged`,
		},
		"elliptic curve": {
			plain:   ecCertificate(t),
			problem: `"1": its key is of type *ecdsa.PublicKey, but RSA is required`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			server, _ := newCertificateMode(t)
			valid := certificateResponse(t, server)["data"][0]
			other := encryptedEntry(t, server.Config().APIv3Key, tt.plain)
			if tt.algorithm != "" {
				other["encrypt_certificate"].(map[string]any)["algorithm"] = tt.algorithm
			}
			list := func(entries ...map[string]any) {
				body, err := json.Marshal(map[string]any{"data": entries})
				require.NoError(t, err)
				server.Handle(downloads, respondWith(string(body)))
			}
			list(other, valid)
			require.NoError(t, get(context.Background(), fakeClient(t, server)))
			list(other)
			require.ErrorContains(t, get(context.Background(), fakeClient(t, server)), tt.problem)
		})
	}
}

// Only a response of WeChat Pay yields certificates. Minimizing an input takes
// long, because several goroutines take part: use -fuzzminimizetime 1x.
func FuzzClient_downloadCertificates(f *testing.F) {
	genuine := string(testdata(f, "certificates/response.body"))
	f.Add(genuine, "5157F09EFDC096DE15EBE81A47057A7232F1B8E1", true)
	f.Add(genuine, "00B8E15157F09EFDC096DE15EBE81A47057A7232", true)
	f.Add(genuine, "5157F09EFDC096DE15EBE81A47057A7232F1B8E1", false)
	f.Add(`{"data":[{"serial_no":"1","encrypt_certificate":{"algorithm":"AEAD_AES_256_GCM",`+
		`"nonce":"d215b0511e9c","ciphertext":"AAAA"}}]}`, "1", true)
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
			recorder := &recorder{header: http.Header{}, status: 200, body: []byte(body)}
			signature{key: keys[byPlatform], serial: serial, at: testTime, body: []byte(body)}.set(t, recorder.header)
			return recorder.response(), nil
		})
		client, err := wechatpay.NewClient(cfg)
		require.NoError(t, err)
		err = get(context.Background(), client)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "\n")
		var api *wechatpay.APIError
		if !errors.As(err, &api) {
			return // no certificate, so the call was not sent
		}
		require.True(t, byPlatform)
		require.True(t, strings.EqualFold(strings.TrimLeft(serial, "0"), "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"))
		require.Contains(t, body, "AEAD_AES_256_GCM")
	})
}
