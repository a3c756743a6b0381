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
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/go-resty/resty/v2"
)

// sender sends requests through resty.
type sender struct{ resty *resty.Client }

// newSender returns a sender over an http.Client. It names serial in each
// request, unless it is empty.
func newSender(client http.Client, serial string) *sender {
	// resty changes its http.Client, so it has a copy. Its own retry stays off:
	// it repeats POSTs.
	r := resty.NewWithClient(&client).SetLogger(discard{}).SetPreRequestHook(setBody).
		SetHeader("Accept", "application/json").SetHeader("User-Agent", userAgent).
		SetHeader("Content-Type", "application/json")
	if serial != "" {
		r.SetHeader(headerSerial, serial)
	}
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

// A responseReader reads a success that VerifyingTransport does not verify.
type responseReader func(x *exchange, h http.Header, body []byte) *failure

// timestamped is implemented by an out that wants to know when WeChat Pay
// signed the response.
type timestamped interface{ setSignedAt(t time.Time) }

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
	within, cancel := context.WithCancelCause(context.WithValue(ctx, unsignedAnswerKey{}, true))
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
	var conn connection
	ctx = conn.trace(ctx)
	body, isPayload := x.body.(*payload)
	if isPayload {
		ctx = context.WithValue(ctx, payloadKey{}, body)
	}
	req := c.sender.resty.R().SetContext(ctx).SetDoNotParseResponse(true)
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
		return resp.RawResponse, nil
	}
	// url.Error repeats the URL and the method.
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	err = fmt.Errorf("%s: %w", target(x.method, x.host.url, x.path), &foreignError{err})
	failed := classify(err, &conn)
	failed.err = err
	return nil, failed
}

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

// maxErrorBody bounds what is read of an error response.
const maxErrorBody = 64 << 10

// read decodes the documented success. Any other response is a failure.
func (c *Client) read(x *exchange, resp *http.Response) *failure {
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		// The status decides, however much of the body can be read.
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
		failed := x.apiFailure(resp, body)
		failed.retryAfter = c.retryAfter(resp.Header)
		return failed
	}
	body, err := readBody(resp, maxBody)
	if err != nil {
		return &failure{class: inDoubt, err: err}
	}
	if !x.isSuccess(resp.StatusCode) {
		return x.apiFailure(resp, body)
	}
	if reader, ok := x.out.(responseReader); ok {
		return reader(x, resp.Header, body)
	}
	if out, ok := x.out.(timestamped); ok {
		out.setSignedAt(c.signedAt(resp.Header))
	}
	return x.decode(resp, body)
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
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 {
		err.Message = strings.TrimSuffix("not the documented success: "+err.Message, ": ")
	}
	failed := classify(err, nil)
	failed.err = err
	return failed
}

// signedAt returns the time at which WeChat Pay signed a response.
func (c *Client) signedAt(h http.Header) time.Time {
	if seconds, err := strconv.ParseInt(h.Get(headerTimestamp), 10, 64); err == nil {
		return time.Unix(seconds, 0)
	}
	return now(c.time)
}

// decode decodes the body of a success.
func (x *exchange) decode(resp *http.Response, body []byte) *failure {
	if x.out == nil || len(body) == 0 && x.success == 0 {
		return nil
	}
	problem := func(text string, err error) *failure {
		err = fmt.Errorf("%s: the %d response %s%s: %w", target(x.method, x.host.url, x.path),
			resp.StatusCode, text, requestIDSuffix(resp.Header.Get(headerRequestID)), err)
		// A read would get the same response again, and out holds a part of it.
		return &failure{class: inDoubt, final: x.method == http.MethodGet, err: err}
	}
	if err := json.Unmarshal(body, x.out); err != nil {
		return problem("cannot be decoded", err)
	}
	if x.complete != nil && !x.complete() {
		return problem("is incomplete", errIncomplete)
	}
	return nil
}

var errIncomplete = errors.New("a field that every success has is missing")

// finish adds to a failure that its time ran out, and logs the attempt without
// headers and bodies, so that the log has no secrets.
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
		id := resp.Header.Get(headerRequestID)
		attrs = append(attrs, slog.Int("status", resp.StatusCode), slog.String("request_id", id))
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

// warn logs what the call loop does about a failure.
func (c *Client) warn(ctx context.Context, x *exchange, what string) {
	if c.logger != nil {
		c.logger.LogAttrs(ctx, slog.LevelWarn, "wechatpay: "+what,
			slog.String("op", x.call.op), slog.Int("attempt", x.n), slog.String("error", x.failed.err.Error()))
	}
}

// A connection records whether net/http asked for a connection and got one.
type connection struct {
	asked, got atomic.Bool
	hooks      httptrace.ClientTrace
}

func (c *connection) trace(ctx context.Context) context.Context {
	c.hooks.GetConn = func(string) { c.asked.Store(true) }
	c.hooks.GotConn = func(httptrace.GotConnInfo) { c.got.Store(true) }
	return httptrace.WithClientTrace(ctx, &c.hooks)
}
