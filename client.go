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

	"github.com/go-resty/resty/v2"
)

// Version of this package, which the User-Agent header carries.
const Version = "0.1.0"

var userAgent = "wechatpay-complaints-go/" + Version + " (" + runtime.GOOS + "/" + runtime.GOARCH + ") " + runtime.Version()

// Client calls WeChat Pay for one merchant. It never changes, holds nothing
// that needs closing, and is safe for concurrent use: make one, and keep it.
type Client struct {
	// ComplaintsV2 is the complaint API ("消费者投诉2.0").
	ComplaintsV2 *ComplaintsV2Service
	// Refunds creates and reads refunds; ComplaintsV2.Refund makes sure that the
	// one for a complaint is paid once.
	Refunds *RefundsService

	signer   *Signer
	verifier *Verifier
	apiv3Key *string // a pointer, of which fmt prints no more than the address
	// certificates are what calls ask to be answered with; nil: they ask for the
	// public key, or verify nothing.
	certificates *certificates
	time         func() time.Time
	retry        RetryPolicy
	logger       *slog.Logger // nil: silent
	hosts        []*host      // main, and backup if there is one
	signsFor     []string     // host[:port]
	http         *http.Client
	resty        *resty.Client
}

// NewClient checks the settings and makes a Client from them. It sends nothing.
// The error is an *ArgumentError that lists every fault with its remedy.
func NewClient(cfg Config) (*Client, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	signer, err := NewSigner(cfg.MchID, cfg.SerialNo, cfg.PrivateKey)
	if err != nil {
		return nil, err
	}
	verifier := cfg.verifier()
	transport := cfg.Transport
	if !cfg.InsecureSkipVerify {
		transport = &VerifyingTransport{Verifier: verifier, Base: transport}
	}
	c := &Client{
		signer:   signer,
		verifier: verifier,
		apiv3Key: &cfg.APIv3Key,
		time:     cfg.Time,
		retry:    cfg.Retry,
		logger:   cfg.Logger,
		hosts:    []*host{{url: cfg.BaseURL}},
		signsFor: cfg.signsFor(),
	}
	if cfg.BackupURL != "" {
		c.hosts = append(c.hosts, &host{url: cfg.BackupURL})
	}
	c.http = &http.Client{
		Transport: &SigningTransport{Signer: signer, Hosts: c.signsFor, Time: cfg.Time, Base: transport},
		// A signature is for one path; WeChat Pay documents no redirect.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	// resty would change an http.Client that it is given: it gets a copy. Its
	// own retry stays off, since it repeats POSTs.
	restyHTTP := *c.http
	c.resty = resty.NewWithClient(&restyHTTP).
		SetLogger(discard{}).
		SetHeader("Accept", "application/json").
		SetHeader("User-Agent", userAgent).
		SetPreRequestHook(dropEmptyBody)
	if serial := verifier.serial(); serial != "" {
		c.resty.SetHeader(headerSerial, serial)
	} else if !cfg.InsecureSkipVerify {
		c.certificates = verifier.certificates
	}
	if cfg.APIv3Key != "" {
		verifier.certificates.download = c.downloadCertificates
	}
	c.ComplaintsV2 = &ComplaintsV2Service{client: c}
	c.Refunds = &RefundsService{client: c}
	return c, nil
}

// Format prints the settings that are no secrets, whatever the verb.
func (c Client) Format(w fmt.State, _ rune) {
	fmt.Fprintf(w, "wechatpay.Client{MchID:%q BaseURL:%q}", c.signer.mchID, c.hosts[0].url)
}

// HTTPClient gives an http.Client over the same connections, for other
// libraries and for what Do does not cover. It signs each request, verifies
// each 2xx answer, follows no redirect, and repeats nothing. The caller sets
// Accept and User-Agent, without which WeChat Pay refuses a request. Where
// answers are verified, a Wechatpay-Serial header is added if there is none.
//
// It refuses other hosts than the Client's own, and whatever else
// SigningTransport and VerifyingTransport refuse. Its Timeout, over all of a
// request, is Retry.AttemptTimeout: set it as you like.
func (c *Client) HTTPClient() *http.Client {
	client := *c.http
	client.Timeout = c.retry.AttemptTimeout
	return &client
}

// Do calls any other endpoint of the v3 API, signed and verified. path begins
// with /v3/, is escaped, and may have a query. body is encoded as JSON, and nil
// sends none; a verified answer is decoded into out unless out is nil or the
// answer is empty.
//
// Success is a 200 or a 204. Any other answer is an *APIError. That of a write
// also wraps ErrOutcomeUnknown if the write may stand: 202 ("accepted, pending")
// and 5xx, and 429, which means of some endpoints that the request is being
// accepted. Only a GET is repeated, unless the
// request certainly did not reach the service.
func (c *Client) Do(ctx context.Context, method, path string, body, out any) error {
	const op = "Do"
	var f faults
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		f.add("method", "%.20q is none of GET, POST, PUT, PATCH, DELETE", method)
	}
	notEscaped := func(r rune) bool { return r <= ' ' || r > '~' || r == '#' }
	if u, err := url.ParseRequestURI(path); err != nil || !strings.HasPrefix(path, "/v3/") || strings.ContainsFunc(path, notEscaped) || u.RequestURI() != path {
		f.add("path", "%.100q is not the escaped path of a v3 endpoint, such as /v3/merchant-service/complaints-v2", path)
	}
	if isNil(body) {
		body = nil // encoded, it would be a JSON null, which WeChat Pay refuses
	}
	if method == http.MethodGet && body != nil {
		f.add("body", "a GET has none")
	}
	if out != nil && (reflect.TypeOf(out).Kind() != reflect.Pointer || reflect.ValueOf(out).IsNil()) {
		f.add("out", "%T, and a pointer that is not nil is required", out)
	}
	if err := f.err(op); err != nil {
		return err
	}
	return c.call(ctx, &call{op: op, method: method, path: path, body: body, out: out, repeat: onlyUnsent})
}
