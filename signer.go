package wechatpay

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// algorithm is the only signature algorithm supported: RSA PKCS #1 v1.5 with
// SHA-256.
const algorithm = "WECHATPAY2-SHA256-RSA2048"

// Signer signs requests with the private key of a merchant API certificate.
// It is safe for concurrent use if its key is. Formatting it prints no secret.
type Signer struct {
	key           crypto.Signer
	signatureSize int // in bytes
	mchID         string
	serialNo      string
	prefix        string // the constant start of the Authorization header
}

// NewSigner returns a Signer for a merchant number, the serial number of its
// API certificate, and the private key of that certificate. The key is an
// *rsa.PrivateKey of at least 2048 bits, or a crypto.Signer for such a key in
// an HSM or a KMS.
//
// The key's Sign method is called with a SHA-256 digest and crypto.SHA256. It
// must return a PKCS #1 v1.5 signature.
//
// The error is an *ArgumentError.
func NewSigner(mchID, serialNo string, key crypto.Signer) (*Signer, error) {
	var f faults
	checkMchID(&f, mchID)
	checkSerialNo(&f, serialNo)
	public := checkPrivateKey(&f, key)
	if err := f.err("NewSigner"); err != nil {
		return nil, err
	}
	return &Signer{
		key:           key,
		signatureSize: public.Size(),
		mchID:         mchID,
		serialNo:      serialNo,
		prefix:        algorithm + ` mchid="` + mchID + `",serial_no="` + serialNo + `",nonce_str="`,
	}, nil
}

// Sign returns the base64 signature of a string. For requests use
// SigningTransport, which builds the string to sign.
func (s *Signer) Sign(stringToSign string) (string, error) {
	digest := sha256.Sum256([]byte(stringToSign))
	signature, err := s.signDigest(digest[:])
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(signature), nil
}

func (s *Signer) signDigest(digest []byte) ([]byte, error) {
	if s.key == nil {
		return nil, &signingError{errors.New("the Signer has no key: use NewSigner")}
	}
	signature, err := s.key.Sign(rand.Reader, digest, crypto.SHA256)
	if err != nil {
		return nil, &signingError{err}
	}
	if len(signature) != s.signatureSize {
		return nil, &signingError{fmt.Errorf("the key returned %d bytes, a PKCS #1 v1.5 signature has %d",
			len(signature), s.signatureSize)}
	}
	return signature, nil
}

// Format implements fmt.Formatter. For every verb it prints the merchant number
// and the serial number only.
func (s Signer) Format(w fmt.State, _ rune) {
	fmt.Fprintf(w, "wechatpay.Signer{MchID:%q SerialNo:%q}", s.mchID, s.serialNo)
}

// authorization returns the Authorization header of a request. The string to
// sign has five lines, each ending in \n: method, path with query, timestamp,
// nonce and body. The body is hashed as it is read.
func (s *Signer) authorization(method, uri string, now time.Time, body io.Reader) (string, error) {
	var buf [1024]byte // avoids allocations: holds the first four lines, then the header
	nonce := rand.Text()
	lines := append(append(append(append(buf[:0], method...), '\n'), uri...), '\n')
	lines = append(strconv.AppendInt(lines, now.Unix(), 10), '\n')
	lines = append(append(lines, nonce...), '\n')
	hash := sha256.New()
	hash.Write(lines)
	if body != nil {
		if _, err := io.Copy(hash, body); err != nil {
			return "", &signingError{fmt.Errorf("reading the request body: %w", err)}
		}
	}
	hash.Write([]byte{'\n'})
	var digest [sha256.Size]byte
	signature, err := s.signDigest(hash.Sum(digest[:0]))
	if err != nil {
		return "", err
	}
	header := append(append(buf[:0], s.prefix...), nonce...)
	header = strconv.AppendInt(append(header, `",timestamp="`...), now.Unix(), 10)
	header = base64.StdEncoding.AppendEncode(append(header, `",signature="`...), signature)
	return string(append(header, '"')), nil
}

// signingError reports that a request was not sent because signing it failed.
type signingError struct{ err error }

func (e *signingError) Error() string { return "signing: " + e.err.Error() }

func (e *signingError) Unwrap() error { return e.err }

type signedBodyKey struct{}

// WithSignedBody returns a context that makes SigningTransport sign body instead
// of the request body. Image uploads need it: WeChat Pay verifies the JSON of
// the meta part, not the multipart body.
func WithSignedBody(ctx context.Context, body []byte) context.Context {
	return context.WithValue(ctx, signedBodyKey{}, body)
}

// SigningTransport is an http.RoundTripper that adds the
// WECHATPAY2-SHA256-RSA2048 Authorization header. It works in any http.Client.
// A retry by the http.Client is signed again, with a new timestamp and nonce.
//
// The signature covers the method, the path and query as sent, and the body.
// The body is read from Request.GetBody, which http.NewRequest sets for the
// usual readers. Without GetBody, a body of up to 1 MiB is read into memory. A
// multipart body requires WithSignedBody.
//
// Requests to other hosts than Hosts, redirects, and plain http except on
// loopback are rejected with an *ArgumentError and not signed. To stop redirects
// earlier, set CheckRedirect to return http.ErrUseLastResponse.
//
// The caller's request is not modified. A SigningTransport is safe for
// concurrent use. Its fields must not be changed after the first request.
type SigningTransport struct {
	Signer *Signer
	Hosts  []string          // allowed hosts, as host or host:port; nil means WeChat Pay's hosts
	Time   func() time.Time  // nil means time.Now
	Base   http.RoundTripper // nil means http.DefaultTransport
}

// weChatPayHosts are the main and backup hosts, under the old and the new domain.
var weChatPayHosts = []string{
	"api.mch.weixin.qq.com",
	"api2.mch.weixin.qq.com",
	"api.wechatpay.cn",
	"api2.wechatpay.cn",
}

// RoundTrip signs a copy of the request and sends it through Base.
func (t *SigningTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	signed, err := t.sign(req)
	// Signing in an HSM or a KMS may outlast the context. Return a signingError
	// then, because Base's error would leave open whether the request was sent.
	if ctxErr := req.Context().Err(); err == nil && ctxErr != nil {
		err = &signingError{fmt.Errorf("context ended before the request was sent: %w", ctxErr)}
	}
	if err != nil {
		closeBody(req)
		return nil, err
	}
	if req.GetBody == nil && signed.GetBody != nil {
		closeBody(req) // Base closes the copy
	}
	return base(t.Base).RoundTrip(signed)
}

// closeBody closes the body of a request that is not passed to Base.
func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

// CloseIdleConnections closes the idle connections of Base.
func (t *SigningTransport) CloseIdleConnections() { closeIdleConnections(t.Base) }

// sign returns a signed copy of the request.
func (t *SigningTransport) sign(req *http.Request) (*http.Request, error) {
	if err := t.check(req); err != nil {
		return nil, err
	}
	signed := req.WithContext(req.Context()) // a shallow copy
	body, err := signedBody(req, signed)
	if err != nil {
		return nil, err
	}
	if body != nil {
		defer body.Close()
	}
	method := req.Method
	if method == "" {
		method = http.MethodGet
	}
	authorization, err := t.Signer.authorization(method, req.URL.RequestURI(), now(t.Time), body)
	if err != nil {
		return nil, err
	}
	signed.Header = req.Header.Clone()
	if signed.Header == nil {
		signed.Header = make(http.Header, 1)
	}
	signed.Header.Set("Authorization", authorization)
	return signed, nil
}

// check rejects requests that must not be signed. A signature authorizes the
// request in the merchant's name, so only the allowed hosts may receive one.
func (t *SigningTransport) check(req *http.Request) error {
	var f faults
	switch {
	case t.Signer == nil:
		f.add("Signer", "is required")
	case req.URL == nil:
		f.add("URL", "is required")
	case req.Response != nil:
		f.add("URL", "is a redirect to %q, which is not signed (CheckRedirect: http.ErrUseLastResponse)", req.URL.Host)
	case !t.allowed(req.URL.Host, req.URL.Scheme):
		f.add("URL", "must be an allowed host, got %q", req.URL.Host)
	case req.Host != "" && !t.allowed(req.Host, req.URL.Scheme):
		f.add("Host", "must be an allowed host, got %q", req.Host)
	case req.URL.Scheme != "https" && (req.URL.Scheme != "http" || !isLoopback(req.URL.Hostname())):
		f.add("URL", "must be https, or http on loopback, got %q", req.URL.Scheme)
	case !strings.HasPrefix(req.URL.RequestURI(), "/"):
		f.add("URL", "must have a path that begins with /")
	}
	return f.err("SigningTransport")
}

// allowed reports whether requests to the host may be signed.
func (t *SigningTransport) allowed(host, scheme string) bool {
	hosts := t.Hosts
	if hosts == nil {
		hosts = weChatPayHosts
	}
	for _, allowed := range hosts {
		if strings.EqualFold(host, allowed) || strings.EqualFold(withPort(host, scheme), withPort(allowed, scheme)) {
			return true
		}
	}
	return false
}

// withPort adds the default port of the scheme if the host has no port.
func withPort(host, scheme string) string {
	if (&url.URL{Host: host}).Port() != "" {
		return host
	}
	if scheme == "http" {
		return host + ":80"
	}
	return host + ":443"
}

// maxBufferedBody is the size limit of a body without GetBody, in bytes. Such a
// body is buffered, because it is read once to sign and once to send.
const maxBufferedBody = 1 << 20

// signedBody returns the body to sign, or nil if there is none: the bytes set by
// WithSignedBody, or else a copy of the request body. If the request has no
// GetBody, signedBody buffers its body and sets the body of signed.
func signedBody(req, signed *http.Request) (io.ReadCloser, error) {
	if body, ok := req.Context().Value(signedBodyKey{}).([]byte); ok {
		return io.NopCloser(bytes.NewReader(body)), nil
	}
	if req.Body == nil || req.Body == http.NoBody {
		return nil, nil
	}
	if strings.HasPrefix(strings.ToLower(req.Header.Get("Content-Type")), "multipart/") {
		return nil, faults{{"Body", "is multipart: use WithSignedBody"}}.err("SigningTransport")
	}
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, &signingError{fmt.Errorf("GetBody: %w", err)}
		}
		if body == nil {
			return nil, &signingError{errors.New("GetBody returned no body and no error")}
		}
		return body, nil
	}
	content, err := io.ReadAll(io.LimitReader(req.Body, maxBufferedBody+1))
	if err != nil {
		return nil, &signingError{fmt.Errorf("reading the request body: %w", err)}
	}
	if len(content) > maxBufferedBody {
		var f faults
		f.add("GetBody", "is required for a body over %d bytes", maxBufferedBody)
		return nil, f.err("SigningTransport")
	}
	signed.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	signed.Body, _ = signed.GetBody()
	signed.ContentLength = int64(len(content))
	return signed.GetBody()
}

// isLoopback reports whether a host is localhost or a loopback address.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func base(rt http.RoundTripper) http.RoundTripper {
	if rt == nil {
		return http.DefaultTransport
	}
	return rt
}

func closeIdleConnections(rt http.RoundTripper) {
	if c, ok := base(rt).(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func now(clock func() time.Time) time.Time {
	if clock == nil {
		return time.Now()
	}
	return clock()
}
