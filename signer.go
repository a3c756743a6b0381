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

// algorithm is the only one here: RSA PKCS #1 v1.5 over SHA-256.
const algorithm = "WECHATPAY2-SHA256-RSA2048"

// Signer signs as one merchant, with the private key of its API certificate.
// It is safe for concurrent use if its key is; printing it shows no secret.
type Signer struct {
	key    crypto.Signer
	size   int // of its signatures, in bytes
	mchID  string
	serial string
	prefix string // of the Authorization header: all that stays the same
}

// NewSigner makes a Signer for a merchant number, the serial number of its API
// certificate, and that certificate's private key: an *rsa.PrivateKey of at
// least 2048 bits, or any crypto.Signer over one, such as an HSM's or a KMS's.
//
// Its Sign is called with a SHA-256 digest and crypto.SHA256, and must answer
// with a PKCS #1 v1.5 signature.
func NewSigner(mchID, serialNo string, key crypto.Signer) (*Signer, error) {
	var f faults
	checkMchID(&f, mchID)
	checkSerialNo(&f, serialNo)
	public := checkPrivateKey(&f, key)
	if err := f.err("NewSigner"); err != nil {
		return nil, err
	}
	return &Signer{
		key:    key,
		size:   public.Size(),
		mchID:  mchID,
		serial: serialNo,
		prefix: algorithm + ` mchid="` + mchID + `",serial_no="` + serialNo + `",nonce_str="`,
	}, nil
}

// Sign signs any message and gives the signature in base64. For requests use
// SigningTransport, which builds the message.
func (s *Signer) Sign(message string) (string, error) {
	digest := sha256.Sum256([]byte(message))
	signature, err := s.signDigest(digest[:])
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(signature), nil
}

func (s *Signer) signDigest(digest []byte) ([]byte, error) {
	if s.key == nil {
		return nil, &signingError{errors.New("no key: NewSigner makes a Signer")}
	}
	signature, err := s.key.Sign(rand.Reader, digest, crypto.SHA256)
	if err != nil {
		return nil, &signingError{err}
	}
	if len(signature) != s.size {
		return nil, &signingError{fmt.Errorf("the key gave a signature of %d bytes, and a PKCS #1 v1.5 signature of its size has %d", len(signature), s.size)}
	}
	return signature, nil
}

// Format prints merchant number and serial number, whatever the verb.
func (s Signer) Format(w fmt.State, _ rune) {
	fmt.Fprintf(w, "wechatpay.Signer{MchID:%q SerialNo:%q}", s.mchID, s.serial)
}

// authorization builds the message of one request (method, path and query as
// sent, time, nonce, body; each line ended by \n), signs it, and gives the
// value of the Authorization header. The body is hashed as it streams by.
func (s *Signer) authorization(method, uri string, now time.Time, body io.Reader) (string, error) {
	var room [1024]byte // on the stack: first the message but for the body, then the header
	nonce := rand.Text()
	message := append(append(append(append(room[:0], method...), '\n'), uri...), '\n')
	message = append(strconv.AppendInt(message, now.Unix(), 10), '\n')
	message = append(append(message, nonce...), '\n')
	hash := sha256.New()
	hash.Write(message)
	if body != nil {
		if _, err := io.Copy(hash, body); err != nil {
			return "", &signingError{fmt.Errorf("reading the body: %w", err)}
		}
	}
	hash.Write([]byte{'\n'})
	var digest [sha256.Size]byte
	signature, err := s.signDigest(hash.Sum(digest[:0]))
	if err != nil {
		return "", err
	}
	header := append(append(room[:0], s.prefix...), nonce...)
	header = strconv.AppendInt(append(header, `",timestamp="`...), now.Unix(), 10)
	header = base64.StdEncoding.AppendEncode(append(header, `",signature="`...), signature)
	return string(append(header, '"')), nil
}

// signingError is a request that could not be signed, and so was not sent.
type signingError struct{ err error }

func (e *signingError) Error() string { return "signing: " + e.err.Error() }

func (e *signingError) Unwrap() error { return e.err }

type signedBodyKey struct{}

// WithSignedBody makes SigningTransport sign these bytes in place of the
// request's body. An image upload needs it: there the JSON of the meta part is
// signed, not the multipart body.
func WithSignedBody(ctx context.Context, body []byte) context.Context {
	return context.WithValue(ctx, signedBodyKey{}, body)
}

// SigningTransport is a RoundTripper that adds the WECHATPAY2-SHA256-RSA2048
// Authorization header. It fits any http.Client: retries above it are signed
// anew, each with its own timestamp and nonce.
//
// It signs the method, the path and query exactly as they are sent, and the
// body, which it streams from Request.GetBody. (http.NewRequest sets GetBody
// for the usual readers. A body without it is read into memory, 1 MiB at most.)
// A multipart body is refused unless WithSignedBody says what to sign.
//
// It refuses, before it signs, a request for another host than Hosts, a
// redirect, and plain http except on loopback: such an error is an
// *ArgumentError. Redirects are better stopped in the http.Client, by a
// CheckRedirect that returns http.ErrUseLastResponse.
//
// It never changes the caller's request. It is safe for concurrent use; its
// fields must not be changed after the first request.
type SigningTransport struct {
	Signer *Signer
	Hosts  []string          // host[:port] to sign for; nil: WeChat Pay's four
	Time   func() time.Time  // nil: time.Now
	Base   http.RoundTripper // nil: http.DefaultTransport
}

// Hosts of WeChat Pay: main and backup, and both under the newer domain.
var weChatPayHosts = []string{
	"api.mch.weixin.qq.com",
	"api2.mch.weixin.qq.com",
	"api.wechatpay.cn",
	"api2.wechatpay.cn",
}

// RoundTrip signs a copy of the request and hands it to Base.
func (t *SigningTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	signed, err := t.sign(req)
	// A key that is far away takes its time. What is not sent must not look as if
	// it might have been.
	if ended := req.Context().Err(); err == nil && ended != nil {
		err = &signingError{fmt.Errorf("the context ended before it was sent: %w", ended)}
	}
	if err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	if req.Body != nil && req.GetBody == nil && signed.GetBody != nil {
		req.Body.Close() // signed has a copy; Base closes that
	}
	return base(t.Base).RoundTrip(signed)
}

// CloseIdleConnections closes those of Base.
func (t *SigningTransport) CloseIdleConnections() { closeIdleConnections(t.Base) }

func (t *SigningTransport) sign(req *http.Request) (*http.Request, error) {
	if err := t.guard(req); err != nil {
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

// guard refuses what must not be signed: the signature is a proof of the
// merchant's will, and is given to WeChat Pay alone.
func (t *SigningTransport) guard(req *http.Request) error {
	var f faults
	switch {
	case t.Signer == nil:
		f.add("Signer", "nil")
	case req.URL == nil:
		f.add("URL", "nil")
	case req.Response != nil:
		f.add("URL", "a redirect to %s, which is never signed: set CheckRedirect to return http.ErrUseLastResponse", req.URL.Host)
	case !t.allowed(req.URL.Host, req.URL.Scheme):
		f.add("URL", "%q is none of the hosts that are signed for", req.URL.Host)
	case req.Host != "" && !t.allowed(req.Host, req.URL.Scheme):
		f.add("Host", "%q is none of the hosts that are signed for", req.Host)
	case req.URL.Scheme != "https" && (req.URL.Scheme != "http" || !isLoopback(req.URL.Hostname())):
		f.add("URL", "scheme %q: https is required, except for http on loopback", req.URL.Scheme)
	case !strings.HasPrefix(req.URL.RequestURI(), "/"):
		f.add("URL", "its path must begin with a slash")
	}
	return f.err("SigningTransport")
}

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

// withPort adds the scheme's port to a host that has none.
func withPort(host, scheme string) string {
	if (&url.URL{Host: host}).Port() != "" {
		return host
	}
	if scheme == "http" {
		return host + ":80"
	}
	return host + ":443"
}

// maxUnreplayableBody bounds what is held in memory of a body that cannot be
// read twice.
const maxUnreplayableBody = 1 << 20

// signedBody gives what stands in the last line of the message: what
// WithSignedBody said, or else the body. Where the body can be read only once,
// it is read here and signed gets a copy.
func signedBody(req, signed *http.Request) (io.ReadCloser, error) {
	if body, ok := req.Context().Value(signedBodyKey{}).([]byte); ok {
		return io.NopCloser(bytes.NewReader(body)), nil
	}
	if req.Body == nil || req.Body == http.NoBody {
		return nil, nil
	}
	if strings.HasPrefix(strings.ToLower(req.Header.Get("Content-Type")), "multipart/") {
		return nil, faults{{"Body", "a multipart body is not what WeChat Pay checks: say with WithSignedBody which bytes to sign"}}.err("SigningTransport")
	}
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, &signingError{fmt.Errorf("GetBody: %w", err)}
		}
		if body == nil {
			return nil, &signingError{errors.New("GetBody gave neither a body nor an error")}
		}
		return body, nil
	}
	content, err := io.ReadAll(io.LimitReader(req.Body, maxUnreplayableBody+1))
	if err != nil {
		return nil, &signingError{fmt.Errorf("reading the body: %w", err)}
	}
	if len(content) > maxUnreplayableBody {
		return nil, faults{{"GetBody", fmt.Sprintf("nil, and the body is over %d bytes: set it, so that the body can be read once to sign and once to send", maxUnreplayableBody)}}.err("SigningTransport")
	}
	signed.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	signed.Body, _ = signed.GetBody()
	signed.ContentLength = int64(len(content))
	return signed.GetBody()
}

// isLoopback reports whether a host name stands for this machine.
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
