package wechatpay_test

import (
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

// newSigningTransport returns a SigningTransport that passes the signed request to
// send and returns a 204.
func newSigningTransport(t testing.TB, send func(*http.Request)) *wechatpay.SigningTransport {
	t.Helper()
	return &wechatpay.SigningTransport{
		Signer: newSigner(t),
		Time:   testClock,
		Base: roundTripper(func(req *http.Request) (*http.Response, error) {
			send(req)
			return &http.Response{StatusCode: 204, Body: http.NoBody}, nil
		}),
	}
}

// newRequest returns a request to WeChat Pay.
func newRequest(t testing.TB, method string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequest(method, "https://api.mch.weixin.qq.com/v3/x", body)
	require.NoError(t, err)
	return req
}

// The signatures are made by OpenSSL: testdata/make.sh.
func TestSigner_Sign_knownVectors(t *testing.T) {
	for _, name := range []string{"request_approve", "request_reject", "request_list"} {
		t.Run(name, func(t *testing.T) {
			signature, err := newSigner(t).Sign(string(testdata(t, name+".txt")))
			require.NoError(t, err)
			require.Equal(t, string(testdata(t, name+".sig")), signature)
		})
	}
}

// hsm is a crypto.Signer like that of an HSM or a KMS.
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

func TestSigner_Sign_hsm(t *testing.T) {
	signer, err := wechatpay.NewSigner(testMchID, testSerialNo, hsm{key: privateKey(t, "merchant_key.pem")})
	require.NoError(t, err)
	signature, err := signer.Sign(string(testdata(t, "request_reject.txt")))
	require.NoError(t, err)
	require.Equal(t, string(testdata(t, "request_reject.sig")), signature)

	locked := errors.New("the token is locked")
	signer, err = wechatpay.NewSigner(testMchID, testSerialNo, hsm{key: privateKey(t, "merchant_key.pem"), err: locked})
	require.NoError(t, err)
	_, err = signer.Sign("text")
	require.ErrorIs(t, err, locked)
}

func TestSigner_Sign_wrongSignatureSize(t *testing.T) {
	for _, signature := range [][]byte{nil, {1}, make([]byte, 257)} {
		key := junkKey{privateKey(t, "merchant_key.pem"), signature}
		signer, err := wechatpay.NewSigner(testMchID, testSerialNo, key)
		require.NoError(t, err)
		_, err = signer.Sign("text")
		require.EqualError(t, err, fmt.Sprintf("signing: the key returned %d bytes, a PKCS #1 v1.5 signature has 256",
			len(signature)))
	}
}

type junkKey struct {
	*rsa.PrivateKey
	signature []byte
}

func (k junkKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return k.signature, nil }

func TestNewSigner_invalidArguments(t *testing.T) {
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
			var invalid *wechatpay.ArgumentError
			require.ErrorAs(t, err, &invalid)
			require.Len(t, invalid.Faults, 1)
			require.Equal(t, tt.field, invalid.Faults[0].Field)
			require.Contains(t, invalid.Faults[0].Problem, tt.problem)
		})
	}
}

var authorizationPattern = regexp.MustCompile(`^WECHATPAY2-SHA256-RSA2048 mchid="([^"]*)",serial_no="([^"]*)",` +
	`nonce_str="([^"]*)",timestamp="([^"]*)",signature="([^"]*)"$`)

// requireSigned checks the Authorization header of a request with the given
// body, and returns the nonce.
func requireSigned(t testing.TB, req *http.Request, body string) (nonce string) {
	t.Helper()
	parts := authorizationPattern.FindStringSubmatch(req.Header.Get("Authorization"))
	require.NotNil(t, parts, "Authorization: %s", req.Header.Get("Authorization"))
	require.Equal(t, testMchID, parts[1])
	require.Equal(t, testSerialNo, parts[2])
	require.Regexp(t, `^[0-9A-Za-z]{16,32}$`, parts[3])
	require.Equal(t, "1700000000", parts[4])
	uri := req.RequestURI
	if uri == "" {
		uri = req.URL.RequestURI()
	}
	stringToSign := req.Method + "\n" + uri + "\n" + parts[4] + "\n" + parts[3] + "\n" + body + "\n"
	digest := sha256.Sum256([]byte(stringToSign))
	signature, err := base64.StdEncoding.DecodeString(parts[5])
	require.NoError(t, err)
	key := &privateKey(t, "merchant_key.pem").PublicKey
	require.NoError(t, rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature))
	return parts[3]
}

// countingBody counts its Close calls.
type countingBody struct {
	io.Reader
	closed int
}

func (b *countingBody) Close() error {
	b.closed++
	return nil
}

func TestSigningTransport_RoundTrip_contract(t *testing.T) {
	const text = `{"action":"APPROVE","launch_refund_day":0}`
	for _, tt := range []struct {
		name    string
		getBody bool
	}{{"with GetBody", true}, {"without GetBody", false}} {
		t.Run(tt.name, func(t *testing.T) {
			var sent []*http.Request
			var bodies []string
			base := roundTripper(func(req *http.Request) (*http.Response, error) {
				body, err := io.ReadAll(req.Body)
				require.NoError(t, err)
				require.NoError(t, req.Body.Close())
				sent, bodies = append(sent, req), append(bodies, string(body))
				return &http.Response{StatusCode: 204, Body: http.NoBody, Request: req}, nil
			})
			transport := &wechatpay.SigningTransport{Signer: newSigner(t), Time: testClock, Base: base}
			nonces := map[string]bool{}
			for range 3 {
				body := &countingBody{Reader: strings.NewReader(text)}
				var copies []*countingBody
				req := newRequest(t, http.MethodPost, body)
				req.URL.RawPath, req.URL.Path, req.URL.RawQuery = "/v3/a%2Fb", "/v3/a/b", "x=1&y=%E4%B8%AD"
				if tt.getBody {
					req.GetBody = func() (io.ReadCloser, error) {
						copies = append(copies, &countingBody{Reader: strings.NewReader(text)})
						return copies[len(copies)-1], nil
					}
					req.ContentLength = int64(len(text))
				}
				req.Header.Set("X-Mine", "1")
				before := fmt.Sprintf("%v %v %v", req.Header, req.ContentLength, req.GetBody == nil)
				resp, err := transport.RoundTrip(req)
				require.NoError(t, err)
				require.Equal(t, 204, resp.StatusCode)

				after := fmt.Sprintf("%v %v %v", req.Header, req.ContentLength, req.GetBody == nil)
				require.Equal(t, before, after, "the caller's request was modified")
				require.Same(t, body, req.Body)
				require.Equal(t, 1, body.closed)
				for _, c := range copies {
					require.Equal(t, 1, c.closed, "Close calls of a copy from GetBody")
				}
				require.Equal(t, tt.getBody, len(copies) == 1)

				last := sent[len(sent)-1]
				require.NotSame(t, req, last)
				require.Equal(t, text, bodies[len(bodies)-1])
				require.Equal(t, int64(len(text)), last.ContentLength)
				require.NotNil(t, last.GetBody, "net/http cannot resend the body on a new connection")
				require.Equal(t, "1", last.Header.Get("X-Mine"))
				nonces[requireSigned(t, last, text)] = true
			}
			require.Len(t, nonces, 3, "want a new nonce for each request")
		})
	}
}

func TestSigningTransport_RoundTrip_stringToSign(t *testing.T) {
	for _, tt := range []struct{ name, method, url, uri string }{
		{"no method", "", "https://api.mch.weixin.qq.com/v3/x", "/v3/x"},
		{"no path", "GET", "https://api2.mch.weixin.qq.com", "/"},
		{"escaped once", "GET", "https://api.wechatpay.cn/v3/images/a%2Fb%3D%3D", "/v3/images/a%2Fb%3D%3D"},
		{"not escaped", "GET", "https://api2.wechatpay.cn/v3/images/a+b==", "/v3/images/a+b=="},
		{"mixed", "GET", "https://api.wechatpay.cn/v3/images/a%2Bb+c%3d==", "/v3/images/a%2Bb+c%3d=="},
		{"order of the query", "DELETE", "https://API.mch.weixin.qq.com:443/v3/x?b=2&a=%20&c", "/v3/x?b=2&a=%20&c"},
		{"empty query", "GET", "https://api.mch.weixin.qq.com/v3/x?", "/v3/x?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequest(tt.method, tt.url, nil)
			require.NoError(t, err)
			req.Method = tt.method
			called := false
			transport := newSigningTransport(t, func(req *http.Request) {
				called = true
				require.Equal(t, tt.uri, req.URL.RequestURI())
				if req.Method == "" {
					req.Method = "GET"
				}
				requireSigned(t, req, "")
			})
			_, err = transport.RoundTrip(req)
			require.NoError(t, err)
			require.True(t, called)
		})
	}
}

func TestSigningTransport_RoundTrip_rejected(t *testing.T) {
	request := func(url string) *http.Request {
		req, err := http.NewRequest(http.MethodPost, url, nil)
		require.NoError(t, err)
		return req
	}
	valid := func(change func(*http.Request)) *http.Request {
		req := newRequest(t, http.MethodPost, nil)
		change(req)
		return req
	}
	const notAllowed = `must be an allowed host, got %q`
	for _, tt := range []struct {
		name           string
		req            *http.Request
		body           io.Reader
		hosts          []string
		field, problem string // of the ArgumentError; if empty, the error is io.ErrUnexpectedEOF
	}{
		{"other host", request("https://evil.example/v3/x"), nil, nil,
			"URL", fmt.Sprintf(notAllowed, "evil.example")},
		{"host with an allowed prefix", request("https://api.mch.weixin.qq.com.evil.example/v3/x"), nil, nil,
			"URL", fmt.Sprintf(notAllowed, "api.mch.weixin.qq.com.evil.example")},
		{"allowed host as user", request("https://api.mch.weixin.qq.com@evil.example/v3/x"), nil, nil,
			"URL", fmt.Sprintf(notAllowed, "evil.example")},
		{"other port", request("https://api.mch.weixin.qq.com:8443/v3/x"), nil, nil,
			"URL", fmt.Sprintf(notAllowed, "api.mch.weixin.qq.com:8443")},
		{"other port of Hosts", request("http://127.0.0.1:81/v3/x"), nil, []string{"127.0.0.1:80"},
			"URL", fmt.Sprintf(notAllowed, "127.0.0.1:81")},
		{"empty Hosts", request("https://api.mch.weixin.qq.com/v3/x"), nil, []string{},
			"URL", fmt.Sprintf(notAllowed, "api.mch.weixin.qq.com")},
		{"other Host header", valid(func(r *http.Request) { r.Host = "evil.example" }), nil, nil,
			"Host", fmt.Sprintf(notAllowed, "evil.example")},
		{"no URL", valid(func(r *http.Request) { r.URL = nil }), nil, nil, "URL", "is required"},
		{"redirect", valid(func(r *http.Request) { r.Response = &http.Response{StatusCode: 307} }), nil, nil, "URL",
			`is a redirect to "api.mch.weixin.qq.com", which is not signed (CheckRedirect: http.ErrUseLastResponse)`},
		{"http", request("http://api.mch.weixin.qq.com/v3/x"), nil, nil,
			"URL", `must be https, or http on loopback, got "http"`},
		{"http to a private address", request("http://10.0.0.1/v3/x"), nil, []string{"10.0.0.1"},
			"URL", `must be https, or http on loopback, got "http"`},
		{"other scheme", request("ftp://127.0.0.1/v3/x"), nil, []string{"127.0.0.1"},
			"URL", `must be https, or http on loopback, got "ftp"`},
		{"opaque URL", valid(func(r *http.Request) { r.URL.Opaque = "//evil.example/v3/x" }), nil, nil,
			"URL", "must have a path that begins with /"},
		{"multipart", valid(func(r *http.Request) {
			r.Header.Set("Content-Type", "Multipart/form-data; boundary=x")
		}), strings.NewReader("--x"), nil, "Body", "is multipart: use WithSignedBody"},
		{"endless body without GetBody", valid(func(*http.Request) {}), zeros{}, nil,
			"GetBody", "is required for a body over 1048576 bytes"},
		{"failing GetBody", valid(func(r *http.Request) {
			r.GetBody = func() (io.ReadCloser, error) { return nil, io.ErrUnexpectedEOF }
		}), strings.NewReader("x"), nil, "", ""},
		{"failing body", valid(func(*http.Request) {}),
			io.MultiReader(strings.NewReader("x"), errorReader{io.ErrUnexpectedEOF}), nil, "", ""},
		{"failing copy of the body", valid(func(r *http.Request) {
			r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(errorReader{io.ErrUnexpectedEOF}), nil }
		}), strings.NewReader("x"), nil, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			key := hsm{privateKey(t, "merchant_key.pem"), errors.New("signed")}
			signer, err := wechatpay.NewSigner(testMchID, testSerialNo, key)
			require.NoError(t, err)
			transport := &wechatpay.SigningTransport{
				Signer: signer,
				Hosts:  tt.hosts,
				Base: roundTripper(func(*http.Request) (*http.Response, error) {
					require.Fail(t, "sent")
					return nil, nil
				}),
			}
			body := &countingBody{Reader: tt.body}
			if tt.body != nil {
				tt.req.Body = body
			}
			_, err = transport.RoundTrip(tt.req)
			require.Error(t, err)
			if tt.field != "" {
				var invalid *wechatpay.ArgumentError
				require.ErrorAs(t, err, &invalid)
				want := []wechatpay.ArgumentFault{{Field: tt.field, Problem: tt.problem}}
				require.Equal(t, want, invalid.Faults)
			} else {
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			}
			if tt.body != nil {
				require.Equal(t, 1, body.closed)
			}
		})
	}
}

func TestSigningTransport_RoundTrip_noSigner(t *testing.T) {
	_, err := (&wechatpay.SigningTransport{}).RoundTrip(newRequest(t, http.MethodPost, nil))
	require.EqualError(t, err, "wechatpay: SigningTransport: invalid argument: Signer: is required")
}

func TestSigningTransport_RoundTrip_hsmFails(t *testing.T) {
	locked := errors.New("the token is locked")
	signer, err := wechatpay.NewSigner(testMchID, testSerialNo, hsm{privateKey(t, "merchant_key.pem"), locked})
	require.NoError(t, err)
	body := &countingBody{Reader: strings.NewReader("x")}
	_, err = (&wechatpay.SigningTransport{Signer: signer}).RoundTrip(newRequest(t, http.MethodPost, body))
	require.ErrorIs(t, err, locked)
	require.Equal(t, 1, body.closed)
}

// A context that ends while the HSM signs means that nothing was sent.
func TestSigningTransport_RoundTrip_contextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	key := cancelingKey{privateKey(t, "merchant_key.pem"), cancel}
	signer, err := wechatpay.NewSigner(testMchID, testSerialNo, key)
	require.NoError(t, err)
	body := &countingBody{Reader: strings.NewReader("x")}
	transport := &wechatpay.SigningTransport{
		Signer: signer,
		Base: roundTripper(func(*http.Request) (*http.Response, error) {
			t.Error("sent")
			return nil, io.EOF
		}),
	}
	_, err = transport.RoundTrip(newRequest(t, http.MethodPost, body).WithContext(ctx))
	require.ErrorIs(t, err, context.Canceled)
	require.EqualError(t, err, "signing: context ended before the request was sent: context canceled")
	require.Equal(t, 1, body.closed)
}

// cancelingKey cancels a context when it signs.
type cancelingKey struct {
	*rsa.PrivateKey
	cancel context.CancelFunc
}

func (k cancelingKey) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	k.cancel()
	return k.PrivateKey.Sign(random, digest, opts)
}

func TestSigningTransport_RoundTrip_hosts(t *testing.T) {
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
		transport := newSigningTransport(t, func(*http.Request) { sent = true })
		transport.Hosts = []string{tt.host}
		_, err = transport.RoundTrip(req)
		require.NoError(t, err)
		require.True(t, sent, tt.url)
	}
}

func TestWithSignedBody_multipart(t *testing.T) {
	const meta = `{"filename":"a.png","sha256":"00"}`
	req, err := http.NewRequestWithContext(wechatpay.WithSignedBody(context.Background(), []byte(meta)),
		http.MethodPost, "https://api.mch.weixin.qq.com/v3/merchant-service/images/upload",
		io.NopCloser(strings.NewReader("--x")))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "multipart/form-data; boundary=x")
	transport := newSigningTransport(t, func(req *http.Request) {
		requireSigned(t, req, meta)
		body, err := io.ReadAll(req.Body)
		require.NoError(t, err)
		require.Equal(t, "--x", string(body))
	})
	_, err = transport.RoundTrip(req)
	require.NoError(t, err)
}

func TestSigningTransport_RoundTrip_bodyWithoutGetBody(t *testing.T) {
	const limit = 1 << 20
	for _, size := range []int64{limit, limit + 1} {
		var sent int64
		transport := newSigningTransport(t, func(req *http.Request) { sent, _ = io.Copy(io.Discard, req.Body) })
		body := &countingBody{Reader: io.LimitReader(zeros{}, size)}
		_, err := transport.RoundTrip(newRequest(t, http.MethodPost, body))
		if size == limit {
			require.NoError(t, err)
			require.Equal(t, size, sent)
		} else {
			require.ErrorContains(t, err, "GetBody: is required for a body over 1048576 bytes")
			require.Zero(t, sent)
		}
		require.Equal(t, 1, body.closed)
	}
}

// A body with GetBody is not buffered.
func TestSigningTransport_RoundTrip_largeBody(t *testing.T) {
	const size = 32 << 20
	req := newRequest(t, http.MethodPost, io.LimitReader(zeros{}, size))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(io.LimitReader(zeros{}, size)), nil }
	transport := newSigningTransport(t, func(*http.Request) {})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := transport.RoundTrip(req)
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

func TestSigningTransport_CloseIdleConnections(t *testing.T) {
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

func TestSigner_Format_noKey(t *testing.T) {
	signer := newSigner(t)
	d := privateKey(t, "merchant_key.pem").D
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		transport := wechatpay.SigningTransport{Signer: signer}
		for _, value := range []any{signer, transport, &transport} {
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

func TestSigningTransport_RoundTrip_nilHeader(t *testing.T) {
	req := newRequest(t, http.MethodPost, strings.NewReader("{}"))
	req.Header = nil
	transport := newSigningTransport(t, func(req *http.Request) { requireSigned(t, req, "{}") })
	_, err := transport.RoundTrip(req)
	require.NoError(t, err)
	require.Nil(t, req.Header)
}

func TestSigner_zeroValue(t *testing.T) {
	_, err := new(wechatpay.Signer).Sign("text")
	require.EqualError(t, err, "signing: the Signer has no key: use NewSigner")
	transport := &wechatpay.SigningTransport{Signer: new(wechatpay.Signer)}
	_, err = transport.RoundTrip(newRequest(t, http.MethodPost, strings.NewReader("{}")))
	require.EqualError(t, err, "signing: the Signer has no key: use NewSigner")
}

func TestSigner_Format_structKey(t *testing.T) {
	key := hsm{privateKey(t, "merchant_key.pem"), errors.New("PIN: hunter2")}
	signer, err := wechatpay.NewSigner(testMchID, testSerialNo, key)
	require.NoError(t, err)
	require.NotContains(t, fmt.Sprintf("%+v %#v", *signer, *signer), "hunter2")
}
