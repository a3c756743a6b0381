package wechatpay_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

func newSigner(t testing.TB) *wechatpay.Signer {
	t.Helper()
	signer, err := wechatpay.NewSigner(testMchID, testSerialNo, privateKey(t, "merchant_key.pem"))
	require.NoError(t, err)
	return signer
}

// The vectors are made by openssl dgst -sha256 -sign: testdata/make.sh.
func TestSignerKnownAnswers(t *testing.T) {
	for _, name := range []string{"request_approve", "request_reject", "request_list"} {
		t.Run(name, func(t *testing.T) {
			signature, err := newSigner(t).Sign(string(testdata(t, name+".txt")))
			require.NoError(t, err)
			require.Equal(t, string(testdata(t, name+".sig")), signature)
		})
	}
}

// hsm is a signer that is no *rsa.PrivateKey, as an HSM's or a KMS's is.
type hsm struct {
	key *rsa.PrivateKey
	err error
}

func (h hsm) Public() crypto.PublicKey { return h.key.Public() }

func (h hsm) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if h.err != nil {
		return nil, h.err
	}
	if opts.HashFunc() != crypto.SHA256 || len(digest) != sha256.Size {
		return nil, errors.New("not a SHA-256 digest")
	}
	return rsa.SignPKCS1v15(random, h.key, crypto.SHA256, digest)
}

func TestSignerOverAnHSM(t *testing.T) {
	signer, err := wechatpay.NewSigner(testMchID, testSerialNo, hsm{key: privateKey(t, "merchant_key.pem")})
	require.NoError(t, err)
	signature, err := signer.Sign(string(testdata(t, "request_reject.txt")))
	require.NoError(t, err)
	require.Equal(t, string(testdata(t, "request_reject.sig")), signature)

	locked := errors.New("the token is locked")
	signer, err = wechatpay.NewSigner(testMchID, testSerialNo, hsm{key: privateKey(t, "merchant_key.pem"), err: locked})
	require.NoError(t, err)
	_, err = signer.Sign("message")
	require.ErrorIs(t, err, locked)
}

// A key that answers with something else is found before anything is sent.
func TestSignerOverAKeyThatGivesJunk(t *testing.T) {
	for _, signature := range [][]byte{nil, {1}, make([]byte, 257)} {
		signer, err := wechatpay.NewSigner(testMchID, testSerialNo, junkKey{privateKey(t, "merchant_key.pem"), signature})
		require.NoError(t, err)
		_, err = signer.Sign("message")
		require.ErrorContains(t, err, fmt.Sprintf("a signature of %d bytes, and a PKCS #1 v1.5 signature of its size has 256", len(signature)))
	}
}

type junkKey struct {
	*rsa.PrivateKey
	signature []byte
}

func (k junkKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return k.signature, nil }

func TestNewSignerRefuses(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	key := privateKey(t, "merchant_key.pem")
	broken := *key
	broken.Primes = nil
	broken.Precomputed = rsa.PrecomputedValues{}
	for _, tt := range []struct {
		name            string
		mchID, serialNo string
		key             crypto.Signer
		field, problem  string
	}{
		{"no mchid", "", testSerialNo, key, "MchID", "is required"},
		{"quoted mchid", `19"00`, testSerialNo, key, "MchID", "not a merchant number"},
		{"no serial number", testMchID, "", key, "SerialNo", "openssl x509"},
		{"serial number with colons", testMchID, "37:75:B6", key, "SerialNo", "without colons"},
		{"what openssl prints", testMchID, "serial=3775B6", key, "SerialNo", `"serial="`},
		{"public key id", testMchID, testPublicKeyID, key, "SerialNo", "the id of a WeChat Pay public key (PublicKeyID)"},
		{"no key", testMchID, testSerialNo, nil, "PrivateKey", "is required"},
		{"nil *rsa.PrivateKey", testMchID, testSerialNo, (*rsa.PrivateKey)(nil), "PrivateKey", "is required"},
		{"empty *rsa.PrivateKey", testMchID, testSerialNo, &rsa.PrivateKey{}, "PrivateKey", "empty key"},
		{"inconsistent key", testMchID, testSerialNo, &broken, "PrivateKey", "not a valid RSA key"},
		{"elliptic curve", testMchID, testSerialNo, ec, "PrivateKey", "*ecdsa.PublicKey, but RSA is required"},
		{"1024 bits", testMchID, testSerialNo, privateKey(t, "short_key.pem"), "PrivateKey", "1024 bits"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := wechatpay.NewSigner(tt.mchID, tt.serialNo, tt.key)
			var refused *wechatpay.ArgumentError
			require.ErrorAs(t, err, &refused)
			require.Len(t, refused.Faults, 1)
			require.Equal(t, tt.field, refused.Faults[0].Field)
			require.Contains(t, refused.Faults[0].Problem, tt.problem)
		})
	}
}

var authorizationForm = regexp.MustCompile(`^WECHATPAY2-SHA256-RSA2048 mchid="([^"]*)",serial_no="([^"]*)",nonce_str="([^"]*)",timestamp="([^"]*)",signature="([^"]*)"$`)

// requireSigned checks a request's Authorization header for a body, with
// crypto/rsa alone, and gives the nonce.
func requireSigned(t testing.TB, req *http.Request, body string) (nonce string) {
	t.Helper()
	parts := authorizationForm.FindStringSubmatch(req.Header.Get("Authorization"))
	require.NotNil(t, parts, "Authorization: %s", req.Header.Get("Authorization"))
	require.Equal(t, testMchID, parts[1])
	require.Equal(t, testSerialNo, parts[2])
	require.Regexp(t, `^[0-9A-Za-z]{16,32}$`, parts[3])
	require.Equal(t, "1700000000", parts[4])
	uri := req.RequestURI
	if uri == "" {
		uri = req.URL.RequestURI()
	}
	digest := sha256.Sum256([]byte(req.Method + "\n" + uri + "\n" + parts[4] + "\n" + parts[3] + "\n" + body + "\n"))
	signature, err := base64.StdEncoding.DecodeString(parts[5])
	require.NoError(t, err)
	require.NoError(t, rsa.VerifyPKCS1v15(&privateKey(t, "merchant_key.pem").PublicKey, crypto.SHA256, digest[:], signature))
	return parts[3]
}

// countingBody counts how often it is closed.
type countingBody struct {
	io.Reader
	closed int
}

func (b *countingBody) Close() error {
	b.closed++
	return nil
}

func TestSigningTransportContract(t *testing.T) {
	const text = `{"action":"APPROVE","launch_refund_day":0}`
	for _, tt := range []struct {
		name    string
		getBody bool
	}{{"with GetBody", true}, {"without GetBody", false}} {
		t.Run(tt.name, func(t *testing.T) {
			var sent []*http.Request
			var bodies []string
			transport := &wechatpay.SigningTransport{Signer: newSigner(t), Time: testClock, Base: roundTripper(func(req *http.Request) (*http.Response, error) {
				body, err := io.ReadAll(req.Body)
				require.NoError(t, err)
				require.NoError(t, req.Body.Close())
				sent, bodies = append(sent, req), append(bodies, string(body))
				return &http.Response{StatusCode: 204, Body: http.NoBody, Request: req}, nil
			})}
			nonces := map[string]bool{}
			for range 3 {
				body := &countingBody{Reader: strings.NewReader(text)}
				req, err := http.NewRequest(http.MethodPost, "https://api.mch.weixin.qq.com/v3/a%2Fb?x=1&y=%E4%B8%AD", body)
				require.NoError(t, err)
				if tt.getBody {
					req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
					req.ContentLength = int64(len(text))
				}
				req.Header.Set("X-Mine", "1")
				before := fmt.Sprintf("%v %v %v", req.Header, req.ContentLength, req.GetBody == nil)
				resp, err := transport.RoundTrip(req)
				require.NoError(t, err)
				require.Equal(t, 204, resp.StatusCode)

				require.Equal(t, before, fmt.Sprintf("%v %v %v", req.Header, req.ContentLength, req.GetBody == nil), "the caller's request is changed")
				require.Same(t, body, req.Body)
				require.Equal(t, 1, body.closed)

				last := sent[len(sent)-1]
				require.NotSame(t, req, last)
				require.Equal(t, text, bodies[len(bodies)-1])
				require.Equal(t, int64(len(text)), last.ContentLength)
				require.NotNil(t, last.GetBody, "a connection that closes early could not be replaced")
				require.Equal(t, "1", last.Header.Get("X-Mine"))
				nonces[requireSigned(t, last, text)] = true
			}
			require.Len(t, nonces, 3, "each attempt has its own nonce")
		})
	}
}

func TestSigningTransportSignsWhatIsSent(t *testing.T) {
	for _, tt := range []struct{ name, method, url, uri string }{
		{"no method is GET", "", "https://api.mch.weixin.qq.com/v3/x", "/v3/x"},
		{"no path", "GET", "https://api2.mch.weixin.qq.com", "/"},
		{"escaped once", "GET", "https://api.wechatpay.cn/v3/images/a%2Fb%3D%3D", "/v3/images/a%2Fb%3D%3D"},
		{"bare", "GET", "https://api2.wechatpay.cn/v3/images/a+b==", "/v3/images/a+b=="},
		{"mixed", "GET", "https://api.wechatpay.cn/v3/images/a%2Bb+c%3d==", "/v3/images/a%2Bb+c%3d=="},
		{"query in its order", "DELETE", "https://API.mch.weixin.qq.com:443/v3/x?b=2&a=%20&c", "/v3/x?b=2&a=%20&c"},
		{"empty query", "GET", "https://api.mch.weixin.qq.com/v3/x?", "/v3/x?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequest(tt.method, tt.url, nil)
			require.NoError(t, err)
			req.Method = tt.method
			called := false
			transport := &wechatpay.SigningTransport{Signer: newSigner(t), Time: testClock, Base: roundTripper(func(req *http.Request) (*http.Response, error) {
				called = true
				require.Equal(t, tt.uri, req.URL.RequestURI())
				if req.Method == "" {
					req.Method = "GET"
				}
				requireSigned(t, req, "")
				return &http.Response{StatusCode: 204, Body: http.NoBody}, nil
			})}
			_, err = transport.RoundTrip(req)
			require.NoError(t, err)
			require.True(t, called)
		})
	}
}

func TestSigningTransportRefusesBeforeItSigns(t *testing.T) {
	request := func(url string) *http.Request {
		req, err := http.NewRequest(http.MethodPost, url, nil)
		require.NoError(t, err)
		return req
	}
	redirect := request("https://api.mch.weixin.qq.com/v3/x")
	redirect.Response = &http.Response{StatusCode: 307}
	otherHostHeader := request("https://api.mch.weixin.qq.com/v3/x")
	otherHostHeader.Host = "evil.example"
	opaque := request("https://api.mch.weixin.qq.com/v3/x")
	opaque.URL.Opaque = "//evil.example/v3/x"
	multipart := request("https://api.mch.weixin.qq.com/v3/x")
	multipart.Header.Set("Content-Type", "Multipart/form-data; boundary=x")
	endless := request("https://api.mch.weixin.qq.com/v3/x")
	failing := request("https://api.mch.weixin.qq.com/v3/x")
	failing.GetBody = func() (io.ReadCloser, error) { return nil, io.ErrUnexpectedEOF }
	broken := request("https://api.mch.weixin.qq.com/v3/x")

	for _, tt := range []struct {
		name  string
		req   *http.Request
		body  io.Reader
		hosts []string
		field string
	}{
		{"foreign host", request("https://evil.example/v3/x"), nil, nil, "URL"},
		{"host that begins alike", request("https://api.mch.weixin.qq.com.evil.example/v3/x"), nil, nil, "URL"},
		{"host in the user part", request("https://api.mch.weixin.qq.com@evil.example/v3/x"), nil, nil, "URL"},
		{"other port", request("https://api.mch.weixin.qq.com:8443/v3/x"), nil, nil, "URL"},
		{"other port of an allowed host", request("http://127.0.0.1:81/v3/x"), nil, []string{"127.0.0.1:80"}, "URL"},
		{"no host allowed", request("https://api.mch.weixin.qq.com/v3/x"), nil, []string{}, "URL"},
		{"foreign Host header", otherHostHeader, nil, nil, "Host"},
		{"redirect", redirect, nil, nil, "URL"},
		{"plain http", request("http://api.mch.weixin.qq.com/v3/x"), nil, nil, "URL"},
		{"plain http off loopback", request("http://10.0.0.1/v3/x"), nil, []string{"10.0.0.1"}, "URL"},
		{"other scheme", request("ftp://127.0.0.1/v3/x"), nil, []string{"127.0.0.1"}, "URL"},
		{"absolute opaque URL", opaque, nil, nil, "URL"},
		{"multipart", multipart, strings.NewReader("--x"), nil, "Body"},
		{"endless body without GetBody", endless, zeros{}, nil, "GetBody"},
		{"failing GetBody", failing, strings.NewReader("x"), nil, ""},
		{"failing body", broken, io.MultiReader(strings.NewReader("x"), errorReader{io.ErrUnexpectedEOF}), nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			signer, err := wechatpay.NewSigner(testMchID, testSerialNo, hsm{privateKey(t, "merchant_key.pem"), errors.New("signed")})
			require.NoError(t, err)
			transport := &wechatpay.SigningTransport{Signer: signer, Hosts: tt.hosts, Base: roundTripper(func(*http.Request) (*http.Response, error) {
				require.Fail(t, "sent")
				return nil, nil
			})}
			body := &countingBody{Reader: tt.body}
			if tt.body != nil {
				tt.req.Body = body
			}
			_, err = transport.RoundTrip(tt.req)
			require.Error(t, err)
			if tt.field != "" {
				var refused *wechatpay.ArgumentError
				require.ErrorAs(t, err, &refused)
				require.Equal(t, tt.field, refused.Faults[0].Field)
			} else {
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			}
			if tt.body != nil {
				require.Equal(t, 1, body.closed)
			}
		})
	}

	t.Run("no Signer", func(t *testing.T) {
		_, err := (&wechatpay.SigningTransport{}).RoundTrip(request("https://api.mch.weixin.qq.com/v3/x"))
		require.ErrorContains(t, err, "Signer")
	})
	t.Run("HSM fails", func(t *testing.T) {
		locked := errors.New("the token is locked")
		signer, err := wechatpay.NewSigner(testMchID, testSerialNo, hsm{privateKey(t, "merchant_key.pem"), locked})
		require.NoError(t, err)
		req := request("https://api.mch.weixin.qq.com/v3/x")
		body := &countingBody{Reader: strings.NewReader("x")}
		req.Body = body
		_, err = (&wechatpay.SigningTransport{Signer: signer}).RoundTrip(req)
		require.ErrorIs(t, err, locked)
		require.Equal(t, 1, body.closed)
	})
}

func TestSigningTransportHosts(t *testing.T) {
	for _, tt := range []struct{ url, host string }{
		{"http://127.0.0.1:8080/v3/x", "127.0.0.1:8080"},
		{"http://[::1]:8080/v3/x", "[::1]:8080"},
		{"http://localhost/v3/x", "localhost"},
		{"http://localhost:80/v3/x", "LOCALHOST"},
		{"https://pay.example/v3/x", "pay.example:443"},
	} {
		req, err := http.NewRequest(http.MethodGet, tt.url, nil)
		require.NoError(t, err)
		sent := false
		transport := &wechatpay.SigningTransport{Signer: newSigner(t), Hosts: []string{tt.host}, Base: roundTripper(func(*http.Request) (*http.Response, error) {
			sent = true
			return &http.Response{StatusCode: 204, Body: http.NoBody}, nil
		})}
		_, err = transport.RoundTrip(req)
		require.NoError(t, err)
		require.True(t, sent, tt.url)
	}
}

func TestWithSignedBody(t *testing.T) {
	const meta = `{"filename":"a.png","sha256":"00"}`
	req, err := http.NewRequestWithContext(wechatpay.WithSignedBody(context.Background(), []byte(meta)),
		http.MethodPost, "https://api.mch.weixin.qq.com/v3/merchant-service/images/upload", io.NopCloser(strings.NewReader("--x")))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	transport := &wechatpay.SigningTransport{Signer: newSigner(t), Time: testClock, Base: roundTripper(func(req *http.Request) (*http.Response, error) {
		requireSigned(t, req, meta)
		body, err := io.ReadAll(req.Body)
		require.NoError(t, err)
		require.Equal(t, "--x", string(body))
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	})}
	_, err = transport.RoundTrip(req)
	require.NoError(t, err)
}

func TestSigningStreamsTheBody(t *testing.T) {
	const size = 256 << 20
	req, err := http.NewRequest(http.MethodPost, "https://api.mch.weixin.qq.com/v3/x", io.LimitReader(zeros{}, size))
	require.NoError(t, err)
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(io.LimitReader(zeros{}, size)), nil }
	transport := &wechatpay.SigningTransport{Signer: newSigner(t), Base: roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 204, Body: http.NoBody}, nil
	})}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = transport.RoundTrip(req)
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

func TestTransportsForwardCloseIdleConnections(t *testing.T) {
	base := &closer{}
	client := http.Client{Transport: &wechatpay.SigningTransport{Base: &wechatpay.VerifyingTransport{Base: base}}}
	client.CloseIdleConnections()
	require.Equal(t, 1, base.closed)
}

type closer struct {
	http.RoundTripper
	closed int
}

func (c *closer) CloseIdleConnections() { c.closed++ }

func TestSignerIsPrintedWithoutItsKey(t *testing.T) {
	signer := newSigner(t)
	d := privateKey(t, "merchant_key.pem").D
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		for _, value := range []any{signer, wechatpay.SigningTransport{Signer: signer}, &wechatpay.SigningTransport{Signer: signer}} {
			text := fmt.Sprintf(verb, value)
			require.NotContains(t, text, d.String(), verb)
			require.NotContains(t, text, fmt.Sprintf("%x", d), verb)
		}
	}
	require.Contains(t, fmt.Sprint(signer), testMchID)
	require.Equal(t, "<nil>", fmt.Sprint((*wechatpay.Signer)(nil)))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

func TestSigningTransportAddsToNoHeaders(t *testing.T) {
	req, err := http.NewRequest(http.MethodPost, "https://api.mch.weixin.qq.com/v3/x", bytes.NewReader([]byte("{}")))
	require.NoError(t, err)
	req.Header = nil
	transport := &wechatpay.SigningTransport{Signer: newSigner(t), Time: testClock, Base: roundTripper(func(req *http.Request) (*http.Response, error) {
		requireSigned(t, req, "{}")
		return &http.Response{StatusCode: 204, Body: http.NoBody}, nil
	})}
	_, err = transport.RoundTrip(req)
	require.NoError(t, err)
	require.Nil(t, req.Header)
}

// A Signer that was not made by NewSigner is an error, and one whose key is a
// struct is printed without it.
func TestZeroSigner(t *testing.T) {
	_, err := new(wechatpay.Signer).Sign("message")
	require.ErrorContains(t, err, "NewSigner makes a Signer")
	req, err := http.NewRequest(http.MethodPost, "https://api.mch.weixin.qq.com/v3/x", strings.NewReader("{}"))
	require.NoError(t, err)
	_, err = (&wechatpay.SigningTransport{Signer: new(wechatpay.Signer)}).RoundTrip(req)
	require.ErrorContains(t, err, "NewSigner makes a Signer")

	signer, err := wechatpay.NewSigner(testMchID, testSerialNo, hsm{privateKey(t, "merchant_key.pem"), errors.New("PIN: hunter2")})
	require.NoError(t, err)
	require.NotContains(t, fmt.Sprintf("%+v %#v", *signer, *signer), "hunter2")
}
