package wechatpay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unicode"

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
	// Refunds creates and reads refunds; RefundComplaint makes sure that the
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

// discard is resty's logger: its messages may hold URLs and bodies.
type discard struct{}

func (discard) Errorf(string, ...any) {}
func (discard) Warnf(string, ...any)  {}
func (discard) Debugf(string, ...any) {}

// dropEmptyBody takes back what resty makes of a DELETE or POST without a body:
// a body of unknown length, which is sent chunked, and a type for it. A body of
// this package has a length.
func dropEmptyBody(_ *resty.Client, req *http.Request) error {
	if req.ContentLength <= 0 {
		req.Body, req.GetBody, req.ContentLength = nil, nil, 0
		req.Header.Del("Content-Type")
	}
	return nil
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

// A call is one request as its endpoint describes it.
type call struct {
	op      string // the method's name, for errors
	method  string
	path    string // escaped, with the query: sent as it is
	body    any    // encoded as JSON, or an *encoded; nil: no body
	accept  string // the Accept header; empty: application/json
	success int    // the documented status; 0: 200 or 204
	out     any    // what the answer is decoded into, or a *stream; nil: nothing is expected
	// complete tells whether out has what every success of this write has; nil:
	// there is nothing of that kind.
	complete func() bool
	serial   string // the Wechatpay-Serial header; empty: as the Client's keys say
	// prove verifies an answer that the transport does not; nil: there is nothing
	// left to verify.
	prove func(h http.Header, body []byte) *failure

	repeat repetition
	// mayRepeat is asked before the request is sent again: it is if it is absent.
	// nil: it may be sent.
	mayRepeat func(ctx context.Context) (verdict, error)
	key       string // what makes a repeated call the same to the service; empty: nothing
	remedy    string // what to look at when the outcome is unknown
	// lookUp finds out what became of a write of unknown outcome; nil: nothing
	// can. started is when the call began, ended when its last attempt did.
	lookUp func(ctx context.Context, started, ended time.Time) (verdict, error)

	signedAt time.Time // set to the Wechatpay-Timestamp of the success
}

// A repetition says which class of failure lets a call be sent again.
type repetition int

const (
	unlessProcessed repetition = iota // notSent; busy too, as the service says that it did nothing
	onlyUnsent                        // notSent
	always                            // all but definite: it does no harm twice
)

// again decides whether a request is sent again after a failure of the class.
func (cl *call) again(failed class) bool {
	switch failed {
	case notSent:
		return true
	case busy:
		return cl.repeat != onlyUnsent || cl.method == http.MethodGet
	case unknown:
		return cl.repeat == always || cl.method == http.MethodGet
	}
	return false
}

// mayStand decides whether a request may have taken effect in spite of a failure
// of the class. Of an API that this package does not know, even a 429 may mean
// that the request is being accepted: so it is with refunds.
func (cl *call) mayStand(failed class) bool {
	return cl.method != http.MethodGet && (failed == unknown || failed == busy && cl.repeat == onlyUnsent)
}

// An encoded body is sent as it is, under its own Content-Type.
type encoded struct {
	contentType string
	content     []byte
}

// A stream takes an answer that is not read, nor signed: an image.
type stream struct{ resp *http.Response }

// call encodes, sends and decodes, and repeats within the policy. Every error of
// a write that may stand wraps ErrOutcomeUnknown here, and nowhere else.
func (c *Client) call(ctx context.Context, cl *call) error {
	var body *encoded
	switch content := cl.body.(type) {
	case nil:
	case *encoded:
		body = content
	default:
		text, err := json.Marshal(content)
		if err != nil {
			return fmt.Errorf("wechatpay: %s: encoding the body: %w", cl.op, err)
		}
		body = &encoded{"application/json", text}
	}
	// The download of certificates cannot wait for itself.
	if c.certificates != nil && cl.serial == "" && cl.prove == nil {
		newest, err := c.certificates.newest(ctx)
		if err != nil {
			return fmt.Errorf("wechatpay: %s: %w", cl.op, err)
		}
		cl.serial = newest.serialNo
	}
	var (
		started = time.Now()
		before  error // the last failure that left a doubt, or that was another host's
		doubt   bool  // whether an attempt may have taken effect
	)
	for n := 1; ; n++ {
		h := c.pickHost()
		failed := c.attempt(ctx, cl, body, h, n)
		if failed == nil {
			return nil
		}
		ended := time.Now()
		doubt = doubt || cl.mayStand(failed.class)

		// look ends the call unless the request is absent.
		look := func() (settled bool, err error) {
			c.warn(ctx, cl, "looking whether it stands", n, failed.err)
			found, err := cl.lookUp(ctx, started, ended)
			switch found {
			case stands:
				return true, nil
			case absent:
				return false, nil
			case overruled:
				return true, fmt.Errorf("wechatpay: %s: %w: %w", cl.op, err, failed.err)
			}
			return true, cl.fail(n, doubt, failed.err, asOther(err), before)
		}
		again, last := cl.again(failed.class), n >= c.retry.MaxAttempts
		if doubt && cl.lookUp != nil && (!again || last) && c.retry.MaxAttempts > 1 && ctx.Err() == nil {
			if settled, err := look(); settled {
				return err
			}
			if failed.class == definite {
				return cl.fail(n, !refused(failed.err), failed.err, before)
			}
			again = true
		}
		elsewhere := ctx.Err() == nil && c.failedOver(h, failed)
		if last || !again {
			return cl.fail(n, doubt, failed.err, before)
		}
		if !c.pause(ctx, n, failed, elsewhere) {
			if err := ctx.Err(); err != nil && !errors.Is(failed.err, err) {
				before = err
			}
			return cl.fail(n, doubt, failed.err, before)
		}
		// While the service made us wait, the request may have taken effect after
		// all, and what it was about may have changed since.
		if doubt && cl.lookUp != nil && cl.repeat != always && !elsewhere && failed.retryAfter > c.retry.MaxDelay {
			if settled, err := look(); settled {
				return err
			}
		}
		if cl.mayRepeat != nil {
			switch found, err := cl.mayRepeat(ctx); found {
			case stands:
				return nil
			case absent:
			default:
				return cl.fail(n, doubt, err, failed.err, before)
			}
		}
		c.warn(ctx, cl, "sending it again", n, failed.err)
		if cl.mayStand(failed.class) || c.pickHost() != h {
			before = failed.err
		}
	}
}

// refused tells whether the service itself said that it did nothing: not this
// machine, and not a gateway, which do not know what became of an earlier
// attempt.
func refused(err error) bool {
	var api *APIError
	return errors.As(err, &api) && api.Code != "" && api.StatusCode >= 400 && api.StatusCode < 500
}

// fail makes the error of a call, with what is worth telling beside the last
// failure.
func (cl *call) fail(attempts int, doubt bool, err error, besides ...error) error {
	for _, beside := range besides {
		if beside != nil {
			err = fmt.Errorf("%w; besides: %w", err, beside)
		}
	}
	if attempts > 1 {
		err = fmt.Errorf("%d attempts: %w", attempts, err)
	}
	if !doubt {
		return fmt.Errorf("wechatpay: %s: %w", cl.op, err)
	}
	remedy := cl.remedy
	if remedy == "" {
		remedy = "look at what became of it before repeating the call"
	}
	return &OutcomeUnknownError{Op: cl.op, IdempotencyKey: cl.key, Remedy: remedy, Err: err}
}

// attempt sends one request to one host and reads the answer.
func (c *Client) attempt(ctx context.Context, cl *call, body *encoded, h *host, n int) *failure {
	if err := ctx.Err(); err != nil {
		return &failure{class: definite, err: err}
	}
	if answer, ok := cl.out.(*stream); ok {
		return c.attemptStream(ctx, cl, h, n, answer)
	}
	began := time.Now()
	within, cancel := context.WithTimeout(ctx, c.retry.AttemptTimeout)
	defer cancel()
	resp, failed := c.send(within, cl, body, h)
	if failed == nil {
		failed = c.read(cl, resp)
	}
	c.done(ctx, within, cl, h, n, resp, failed, time.Since(began))
	return failed
}

// attemptStream sends one request, and gives its answer unread if it is the
// documented success. An image takes as long as it takes: the policy's timeout is
// for the beginning of the answer, and then for each read.
func (c *Client) attemptStream(ctx context.Context, cl *call, h *host, n int, answer *stream) *failure {
	began := time.Now()
	within, cancel := context.WithCancelCause(context.WithValue(ctx, unsignedAnswerKey{}, true))
	timer := time.AfterFunc(c.retry.AttemptTimeout, func() { cancel(context.DeadlineExceeded) })
	resp, failed := c.send(within, cl, nil, h)
	switch success := failed == nil && resp.StatusCode == cl.success; {
	case success && timer.Stop():
		answer.resp = resp
		resp.Body = &streamedBody{resp.Body, cancel, timer, c.retry.AttemptTimeout}
	case success: // too late
		resp.Body.Close()
		failed = &failure{class: unknown, err: context.Cause(within)}
	default:
		defer cancel(nil)
		defer timer.Stop() // it bounds the body of an error, too
		if failed == nil {
			failed = c.read(cl, resp)
		}
	}
	c.done(ctx, within, cl, h, n, resp, failed, time.Since(began))
	return failed
}

// streamedBody ends the attempt's context with the body, or when nothing comes
// for as long as an attempt may take.
type streamedBody struct {
	io.ReadCloser
	cancel   context.CancelCauseFunc
	timer    *time.Timer
	patience time.Duration
}

func (b *streamedBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.patience)
	defer b.timer.Stop()
	return b.ReadCloser.Read(p)
}

func (b *streamedBody) Close() error {
	defer b.cancel(nil)
	return b.ReadCloser.Close()
}

// send gives the answer with its body unread.
func (c *Client) send(ctx context.Context, cl *call, body *encoded, h *host) (*http.Response, *failure) {
	var conn connection
	req := c.resty.R().SetContext(conn.trace(ctx)).SetDoNotParseResponse(true)
	if cl.accept != "" {
		req.SetHeader("Accept", cl.accept)
	}
	if cl.serial != "" {
		req.SetHeader(headerSerial, cl.serial)
	}
	if body != nil {
		req.SetHeader("Content-Type", body.contentType).SetBody(bytes.NewReader(body.content))
	}
	resp, err := req.Execute(cl.method, h.url+cl.path)
	if err == nil {
		return resp.RawResponse, nil
	}
	// The URL and the method, which url.Error repeats, are the caller's.
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	err = fmt.Errorf("%s %s: %w", cl.method, h.url, &foreignError{err})
	return nil, &failure{class: classify(err, &conn), err: err}
}

// foreignError bounds the text of an error that may quote what came from the
// network.
type foreignError struct{ error }

func (e *foreignError) Error() string {
	text := e.error.Error()
	if len(text) > 1000 || strings.ContainsFunc(text, unicode.IsControl) {
		return oneLine(text)
	}
	return text
}

func (e *foreignError) Unwrap() error { return e.error }

// maxErrorBody bounds what is read of an answer that is an error anyway.
const maxErrorBody = 64 << 10

// read decodes the documented success, and makes any other answer a failure.
func (c *Client) read(cl *call, resp *http.Response) *failure {
	defer resp.Body.Close()
	status, requestID := resp.StatusCode, resp.Header.Get(headerRequestID)
	if status < 200 || status > 299 {
		// The status decides, however much of the body can be read.
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
		err := newAPIError(status, requestID, cl.method, cl.path, body)
		return &failure{class: classify(err, nil), err: err, retryAfter: c.retryAfter(resp.Header)}
	}
	body, err := readBody(resp, maxBody)
	if err != nil {
		return &failure{class: unknown, err: err}
	}
	if status != cl.success && (cl.success != 0 || status != http.StatusOK && status != http.StatusNoContent) {
		err := newAPIError(status, requestID, cl.method, cl.path, body)
		err.Message = strings.TrimSuffix("not the documented success: "+err.Message, ": ")
		return &failure{class: classify(err, nil), err: err}
	}
	if cl.prove != nil {
		if failed := cl.prove(resp.Header, body); failed != nil {
			return failed
		}
	}
	cl.signedAt = now(c.time)
	if seconds, err := strconv.ParseInt(resp.Header.Get(headerTimestamp), 10, 64); err == nil {
		cl.signedAt = time.Unix(seconds, 0)
	}
	if cl.out == nil || len(body) == 0 && cl.success == 0 {
		return nil
	}
	if err := json.Unmarshal(body, cl.out); err != nil {
		failed := &failure{class: unknown, err: fmt.Errorf("%s %s: the %d answer cannot be decoded [request id %s]: %w", cl.method, cl.path, status, oneLine(requestID), err)}
		if cl.method == http.MethodGet {
			failed.class = definite // it would come again, and out holds a part of it
		}
		return failed
	}
	if cl.complete != nil && !cl.complete() {
		return &failure{class: unknown, err: fmt.Errorf("%s %s: the %d answer lacks what a success has [request id %s]", cl.method, cl.path, status, oneLine(requestID))}
	}
	return nil
}

// done tells a failure that its time had run out, and logs the attempt: neither
// headers nor bodies, so that nothing secret can be in it.
func (c *Client) done(ctx, within context.Context, cl *call, h *host, attempt int, resp *http.Response, failed *failure, took time.Duration) {
	if failed != nil && within.Err() != nil && ctx.Err() == nil {
		failed.err = fmt.Errorf("no answer within %v: %w", c.retry.AttemptTimeout, failed.err)
	}
	if c.logger == nil || !c.logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	path, _, _ := strings.Cut(cl.path, "?")
	attrs := []slog.Attr{
		slog.String("op", cl.op), slog.String("method", cl.method), slog.String("path", path), slog.String("host", h.url),
		slog.Int("attempt", attempt), slog.Duration("duration", took),
	}
	if resp != nil {
		attrs = append(attrs, slog.Int("status", resp.StatusCode), slog.String("request_id", resp.Header.Get(headerRequestID)))
	}
	if failed != nil {
		var api *APIError
		if errors.As(failed.err, &api) && api.Code != "" {
			attrs = append(attrs, slog.String("code", string(api.Code)))
		}
		attrs = append(attrs, slog.String("error", failed.err.Error()))
	}
	c.logger.LogAttrs(ctx, slog.LevelDebug, "wechatpay: attempt", attrs...)
}

// warn logs what the Client does about a failure.
func (c *Client) warn(ctx context.Context, cl *call, what string, attempt int, err error) {
	if c.logger != nil {
		c.logger.LogAttrs(ctx, slog.LevelWarn, "wechatpay: "+what, slog.String("op", cl.op), slog.Int("attempt", attempt), slog.String("error", err.Error()))
	}
}
