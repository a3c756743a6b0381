package wechatpay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/go-resty/resty/v2"
)

// sender sends requests through resty.
type sender struct{ resty *resty.Client }

func newSender(client http.Client) *sender {
	// resty changes its http.Client, so it gets a copy. resty's own retry stays
	// off, because it retries POSTs.
	r := resty.NewWithClient(&client).SetLogger(discard{}).SetPreRequestHook(setBody).
		SetHeader("Accept", "application/json").SetHeader("User-Agent", userAgent).
		SetHeader("Content-Type", "application/json")
	return &sender{r}
}

// discard is resty's logger. Its messages may contain URLs and bodies.
type discard struct{}

func (discard) Errorf(string, ...any) {}
func (discard) Warnf(string, ...any)  {}
func (discard) Debugf(string, ...any) {}

// A payload is a request body other than JSON. It is opened once per attempt,
// and once more by the signer unless WithSignedBody says what to sign.
type payload struct {
	contentType string
	size        int64
	open        func() io.ReadCloser
}

type payloadKey struct{}

// setBody sets the body of a request if it is a payload, and removes it if there
// is none. resty would read a payload into memory, and send a request without a
// body chunked.
func setBody(_ *resty.Client, req *http.Request) error {
	if body, ok := req.Context().Value(payloadKey{}).(*payload); ok {
		req.Body, req.ContentLength = body.open(), body.size
		req.GetBody = func() (io.ReadCloser, error) { return body.open(), nil }
		req.Header.Set("Content-Type", body.contentType)
	} else if req.ContentLength <= 0 {
		req.Body, req.GetBody, req.ContentLength = nil, nil, 0
		req.Header.Del("Content-Type")
	}
	return nil
}

// A stream receives a response whose body is neither read nor signed: an image.
type stream struct{ resp *http.Response }

// accept is not used: a stream is not read.
func (*stream) accept(*exchange, *http.Response, []byte) *failure { return nil }

// A responseReader is an out that verifies the response itself.
type responseReader func(x *exchange, resp *http.Response, body []byte) *failure

func (r responseReader) accept(x *exchange, resp *http.Response, body []byte) *failure {
	return r(x, resp, body)
}

// attempt sends one request to one host and reads the response.
func (c *Client) attempt(ctx context.Context, x *exchange) *failure {
	if err := ctx.Err(); err != nil {
		return &failure{class: notSent, final: true, err: err}
	}
	if out, ok := x.out.(*stream); ok {
		return c.attemptStream(ctx, x, out)
	}
	began := time.Now()
	within, cancel := context.WithTimeout(ctx, c.retry.AttemptTimeout)
	defer cancel()
	resp, failed := c.send(within, x)
	if failed == nil {
		failed = c.read(x, resp)
	}
	c.finish(ctx, within, x, resp, failed, time.Since(began))
	return failed
}

// attemptStream sends one request, and returns a success with its body unread.
// AttemptTimeout applies to the start of the response, then to each read.
func (c *Client) attemptStream(ctx context.Context, x *exchange, out *stream) *failure {
	began := time.Now()
	within, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(c.retry.AttemptTimeout, func() { cancel(context.DeadlineExceeded) })
	resp, failed := c.send(within, x)
	switch success := failed == nil && resp.StatusCode == x.success; {
	case success && timer.Stop():
		out.resp = resp
		resp.Body = &streamedBody{resp.Body, cancel, timer, c.retry.AttemptTimeout}
	case success: // too late
		resp.Body.Close()
		failed = &failure{class: inDoubt, err: context.Cause(within)}
	default:
		defer cancel(nil)
		defer timer.Stop() // it bounds the body of an error too
		if failed == nil {
			failed = c.read(x, resp)
		}
	}
	c.finish(ctx, within, x, resp, failed, time.Since(began))
	return failed
}

// streamedBody cancels the attempt when it is closed, or when a read takes
// longer than AttemptTimeout.
type streamedBody struct {
	io.ReadCloser
	cancel  context.CancelCauseFunc
	timer   *time.Timer
	timeout time.Duration
}

func (b *streamedBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.timeout)
	defer b.timer.Stop()
	return b.ReadCloser.Read(p)
}

func (b *streamedBody) Close() error {
	defer b.cancel(nil)
	return b.ReadCloser.Close()
}

// send returns the response with its body unread.
func (c *Client) send(ctx context.Context, x *exchange) (*http.Response, *failure) {
	x.conn = new(connection)
	ctx = x.conn.trace(ctx)
	body, isPayload := x.body.(*payload)
	if isPayload {
		ctx = context.WithValue(ctx, payloadKey{}, body)
	}
	sender := c.verified
	switch x.out.(type) {
	case *stream, responseReader:
		sender = c.unverified
	}
	req := sender.resty.R().SetContext(ctx).SetDoNotParseResponse(true)
	if x.json != nil {
		req.SetBody(bytes.NewReader(x.json))
	}
	if _, ok := x.out.(*stream); ok {
		req.SetHeader("Accept", "*/*")
	}
	if x.serial != "" {
		req.SetHeader(headerSerial, x.serial)
	}
	resp, err := req.Execute(x.method, x.host.url+x.path)
	if err == nil {
		decompress(resp.RawResponse)
		return resp.RawResponse, nil
	}
	// url.Error repeats the URL and the method.
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	err = fmt.Errorf("%s: %w", x.target(), &boundedError{err})
	failed := classify(err, x.conn)
	failed.err = err
	return nil, failed
}

func (x *exchange) target() string { return target(x.method, x.host.url, x.path) }

// target names what a request was sent to, for errors: the complaint, or else
// method and path, and the host.
func target(method, hostURL, path string) string {
	_, hostname, _ := strings.Cut(hostURL, "://")
	path, _, _ = strings.Cut(path, "?")
	if rest, ok := strings.CutPrefix(path, complaintsPath+"/"); ok {
		id, _, _ := strings.Cut(rest, "/")
		return "complaint " + id + " at " + hostname
	}
	return method + " " + path + " at " + hostname
}

// boundedError bounds the text of an error that may quote what came from the
// network.
type boundedError struct{ error }

func (e *boundedError) Error() string {
	if text := connectError(e.error); text != "" {
		return text
	}
	text := e.error.Error()
	if signatureText.MatchString(text) {
		return "the server sent a malformed response that may repeat the Authorization header"
	}
	if len(text) > 1000 || strings.ContainsFunc(text, unicode.IsControl) {
		return oneLine(text)
	}
	return text
}

// signatureText is what net/http may quote of a response that repeats the
// Authorization header.
var signatureText = regexp.MustCompile(algorithm + `|signature=|[0-9A-Za-z+/%]{100,}`)

func (e *boundedError) Unwrap() error { return e.error }

// maxErrorBody is the most that is read of an error response.
const maxErrorBody = 64 << 10

// read decodes the documented success. Any other response is a failure.
func (c *Client) read(x *exchange, resp *http.Response) *failure {
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		// The status decides, however much of the body can be read.
		var body []byte
		if resp.StatusCode != http.StatusSwitchingProtocols { // there, the body is the connection
			body, _ = io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
		}
		failed := x.apiFailure(resp, body)
		failed.retryAfter = c.retryAfter(resp.Header)
		return failed
	}
	limit := int64(maxBody)
	if _, ok := x.out.(responseReader); ok {
		limit = maxCertificateList
	}
	body, err := readBody(resp, limit)
	if err != nil {
		return &failure{class: inDoubt, err: err}
	}
	if !x.isSuccess(resp.StatusCode) {
		return x.apiFailure(resp, body)
	}
	if x.out == nil {
		return nil
	}
	return x.out.accept(x, resp, body)
}

// isSuccess reports whether a 2xx status is the documented one.
func (cl *call) isSuccess(status int) bool {
	if cl.success == 0 {
		return status == http.StatusOK || status == http.StatusNoContent
	}
	return status == cl.success
}

// apiFailure returns the failure of a response that is not the documented
// success.
func (x *exchange) apiFailure(resp *http.Response, body []byte) *failure {
	err := newAPIError(resp, x.method, x.host.url, x.path, body)
	if resp.StatusCode < 300 {
		expected := "200 or 204"
		if x.success != 0 {
			expected = strconv.Itoa(x.success)
		}
		err.Message = joinTexts("expected "+expected, err.Message)
	}
	failed := classifyStatus(err)
	failed.err = err
	// net/http sent the request more than once: the response may be about the
	// second time, and the first may have been applied.
	if x.conn.connections.Load() > 1 && x.method != http.MethodGet {
		failed.class = inDoubt
	}
	return failed
}

// finish adds a timeout to the error, and logs the attempt without headers and
// bodies, so that the log has no secrets.
func (c *Client) finish(
	ctx, within context.Context, x *exchange, resp *http.Response, failed *failure, took time.Duration,
) {
	if failed != nil && within.Err() != nil && ctx.Err() == nil {
		failed.err = fmt.Errorf("no response within %v: %w", c.retry.AttemptTimeout, failed.err)
	}
	if c.logger == nil || !c.logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	path, _, _ := strings.Cut(x.path, "?")
	attrs := []slog.Attr{
		slog.String("op", x.call.op), slog.String("method", x.method), slog.String("path", path),
		slog.String("host", x.host.url), slog.Int("attempt", x.n), slog.Duration("duration", took),
	}
	if resp != nil {
		id := shownHeader(resp, headerRequestID)
		attrs = append(attrs, slog.Int("status", resp.StatusCode), slog.String("request_id", id))
	}
	if failed != nil {
		var api *APIError
		if errors.As(failed.err, &api) && api.Code != "" {
			attrs = append(attrs, slog.String("code", oneLine(string(api.Code))))
		}
		attrs = append(attrs, slog.String("error", failed.err.Error()))
	}
	c.logger.LogAttrs(ctx, slog.LevelDebug, "wechatpay: attempt", attrs...)
}

// warn logs what the call loop does about a failure.
func (c *Client) warn(ctx context.Context, x *exchange, what string) {
	if c.logger != nil {
		c.logger.LogAttrs(ctx, slog.LevelWarn, "wechatpay: "+what,
			slog.String("op", x.call.op), slog.Int("attempt", x.n), slog.String("error", x.failed.err.Error()))
	}
}

// A connection records whether net/http asked for a connection, and how many it
// got. More than one means that it sent the request again by itself.
type connection struct {
	asked       atomic.Bool
	connections atomic.Int32
	hooks       httptrace.ClientTrace
}

func (c *connection) trace(ctx context.Context) context.Context {
	c.hooks.GetConn = func(string) { c.asked.Store(true) }
	c.hooks.GotConn = func(httptrace.GotConnInfo) { c.connections.Add(1) }
	return httptrace.WithClientTrace(ctx, &c.hooks)
}
