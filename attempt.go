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

// discard is resty's logger: its messages may hold URLs and bodies.
type discard struct{}

func (discard) Errorf(string, ...any) {}

func (discard) Warnf(string, ...any) {}

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

// An encoded body is sent as it is, under its own Content-Type.
type encoded struct {
	contentType string
	content     []byte
}

// A stream takes an answer that is not read, nor signed: an image.
type stream struct{ resp *http.Response }

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
