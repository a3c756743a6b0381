package wechatpay

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"runtime"
	"strings"
	"time"
)

// Version is the version of this package. The User-Agent header carries it.
const Version = "0.1.0"

var userAgent = fmt.Sprintf("wechatpay-complaints-go/%s (%s/%s) %s",
	Version, runtime.GOOS, runtime.GOARCH, runtime.Version())

// Client calls WeChat Pay for one merchant. Create one and keep it: it is safe
// for concurrent use, never changes, and needs no Close.
type Client struct {
	// ComplaintsV2 is the complaint API ("消费者投诉2.0").
	ComplaintsV2 *ComplaintsV2Service
	// Refunds creates and reads refunds. For the refund of a complaint use
	// ComplaintsV2.Refund, which pays once.
	Refunds *RefundsService

	signer   *Signer
	verifier *Verifier
	apiv3Key *string // a pointer: fmt prints its address only
	time     func() time.Time
	retry    RetryPolicy
	logger   *slog.Logger // nil: silent
	hosts    []*host      // main host, then the backup host if there is one
	// signedHosts are the hosts, as host[:port], that requests are signed for.
	signedHosts []string
	http        *http.Client
	verified    *sender // over http
	// unverified is for images, which are not signed, and for platform
	// certificates, which verify their own list.
	unverified *sender
	replays    *replayGuard
}

// NewClient checks the settings and returns a Client. It sends nothing. The
// error is an *ArgumentError that lists everything that is wrong.
func NewClient(cfg Config) (*Client, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	signer, err := NewSigner(cfg.MchID, cfg.SerialNo, cfg.PrivateKey)
	if err != nil {
		return nil, err
	}
	verifier := cfg.verifier()
	c := &Client{
		signer:      signer,
		verifier:    verifier,
		apiv3Key:    &cfg.APIv3Key,
		time:        cfg.Time,
		retry:       cfg.Retry,
		logger:      cfg.Logger,
		hosts:       []*host{{url: cfg.BaseURL}},
		signedHosts: cfg.signedHosts(),
		replays:     &replayGuard{time: cfg.Time},
	}
	if cfg.BackupURL != "" {
		c.hosts = append(c.hosts, &host{url: cfg.BackupURL})
	}
	c.http = c.newHTTP(cfg.Transport)
	c.unverified = newSender(*c.http)
	if !cfg.InsecureSkipVerify {
		c.http = c.newHTTP(&VerifyingTransport{Verifier: verifier, Base: cfg.Transport, replays: c.replays})
	}
	c.verified = newSender(*c.http)
	if verifier.certificates != nil && cfg.APIv3Key != "" {
		verifier.certificates.download = c.downloadCertificates
	}
	c.ComplaintsV2 = &ComplaintsV2Service{client: c}
	c.Refunds = &RefundsService{client: c}
	return c, nil
}

// newHTTP returns an http.Client that signs requests and sends them through base.
func (c *Client) newHTTP(base http.RoundTripper) *http.Client {
	return &http.Client{
		Transport: &SigningTransport{Signer: c.signer, Hosts: c.signedHosts, Time: c.time, Base: base},
		// A signature is for one path, and WeChat Pay documents no redirect.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Format prints the settings that are not secret, whatever the verb.
func (c Client) Format(w fmt.State, _ rune) {
	fmt.Fprintf(w, "wechatpay.Client{MchID:%q BaseURL:%q}", c.signer.mchID, c.hosts[0].url)
}

// HTTPClient returns an http.Client over the same connections, for other
// libraries and for what Do does not cover. It signs each request, verifies
// each 2xx response, follows no redirect, and retries nothing. The caller sets
// Accept and User-Agent, which WeChat Pay requires. A missing Wechatpay-Serial
// header is added if responses are verified.
//
// It refuses hosts other than the Client's own. Its Timeout, which includes the
// response body, is Retry.AttemptTimeout; change it as needed.
func (c *Client) HTTPClient() *http.Client {
	client := *c.http
	client.Timeout = c.retry.AttemptTimeout
	return &client
}

// Do calls any other endpoint of the v3 API, signed and verified. path begins
// with /v3/, is escaped, and may have a query. body is encoded as JSON; nil
// sends none. The verified response is decoded into out, unless out is nil or
// the response is empty.
//
// 200 and 204 are success. Any other status is an *APIError. For a write it also
// wraps ErrOutcomeUnknown, except for a 4xx (not 429) with an error code. A GET
// is retried. Other methods are retried only if the request did not reach WeChat
// Pay.
func (c *Client) Do(ctx context.Context, method, path string, body, out any) error {
	const op = "Do"
	if isNil(body) {
		body = nil // encoded, it would be a JSON null, which WeChat Pay refuses
	}
	f := checkDo(method, path, body, out)
	if err := f.err(op); err != nil {
		return err
	}
	return c.call(ctx, &call{
		op:     op,
		method: method,
		path:   path,
		body:   body,
		out:    &anyOut{out},
		retry:  retryIfUnsent,
	})
}

func checkDo(method, path string, body, out any) (f faults) {
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		f.add("method", "must be GET, POST, PUT, PATCH or DELETE, got %.20q", method)
	}
	notEscaped := func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }
	u, err := url.ParseRequestURI(path)
	if err != nil || u.RequestURI() != path || !strings.HasPrefix(path, "/v3/") ||
		strings.ContainsFunc(path, notEscaped) {
		f.add("path", "must be an escaped path such as %s, got %.100q", complaintsPath, path)
	}
	if method == http.MethodGet && body != nil {
		f.add("body", "must be nil for a GET")
	}
	if out != nil && (reflect.TypeOf(out).Kind() != reflect.Pointer || reflect.ValueOf(out).IsNil()) {
		f.add("out", "must be a pointer that is not nil, got %T", out)
	}
	return f
}
