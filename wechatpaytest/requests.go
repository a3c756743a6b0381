package wechatpaytest

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Request is a request that the server received, and its outcome.
type Request struct {
	Time       time.Time // on the server's clock
	Duration   time.Duration
	Method     string
	Path       string // path and query as sent
	Header     http.Header
	Body       []byte // the first 64 KiB
	StatusCode int    // of the response, even if a fault suppressed it
	Code       string // of an error response, such as "PARAM_ERROR"
	RequestID  string // the Request-ID of the response
	Problem    string // why the request was rejected; "": it was not
	Fault      FaultKind
	// Signature describes a signature that failed verification. It is nil
	// otherwise.
	Signature *SignatureProblem
	// TookEffect reports whether the request changed something. It is false for
	// a GET, a failed request, a retry with the same number or idempotent_id,
	// and the self-test.
	TookEffect bool
	// Response is the body of the response before any fault, cut to 64 KiB.
	Response []byte
}

// String returns one line about the request, with the reason if it was
// rejected.
func (r Request) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s → %d", r.Method, r.Path, r.StatusCode)
	if r.Code != "" {
		b.WriteString(" " + r.Code)
	}
	if r.Fault != "" {
		b.WriteString(" (fault " + string(r.Fault) + ")")
	}
	if r.Problem != "" {
		b.WriteString(": " + r.Problem)
	}
	return b.String()
}

// clone returns a deep copy, so that callers cannot change the log or a
// response that is not yet sent.
func (r Request) clone() Request {
	r.Header, r.Body, r.Response = r.Header.Clone(), bytes.Clone(r.Body), bytes.Clone(r.Response)
	if r.Signature != nil {
		problem := *r.Signature
		r.Signature = &problem
	}
	return r
}

// size returns roughly how much memory the request takes in the log.
func (r Request) size() int {
	n := 1000 + len(r.Path) + len(r.Problem) + len(r.Body) + len(r.Response)
	for name, values := range r.Header {
		n += len(name)
		for _, value := range values {
			n += len(value)
		}
	}
	return n
}

const (
	maxLoggedBody     = 64 << 10
	maxLoggedBytes    = 64 << 20
	maxLoggedRequests = 1 << 16
)

// requestLog has the latest requests. Server.mu guards it.
type requestLog struct {
	requests []Request
	bytes    int
}

func (l *requestLog) add(r Request) {
	l.requests = append(l.requests, r)
	l.bytes += r.size()
	for len(l.requests) > maxLoggedRequests || l.bytes > maxLoggedBytes {
		l.bytes -= l.requests[0].size()
		l.requests[0] = Request{} // frees its memory
		l.requests = l.requests[1:]
	}
}

// Requests returns the requests that the server received, including rejected
// ones, in the order in which they were completed. It keeps the latest 65,536,
// and at most 64 MiB of them.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.log.requests)
	for i := range all {
		all[i] = all[i].clone()
	}
	return all
}

// record logs a call.
func (s *Server) record(c *call, resp *response) {
	r := Request{
		Time:       c.now,
		Duration:   time.Since(c.start),
		Method:     c.r.Method,
		Path:       c.target,
		Header:     c.r.Header.Clone(),
		Body:       loggedBody(c.body),
		StatusCode: resp.status,
		Code:       resp.code,
		RequestID:  resp.header.Get("Request-ID"),
		Problem:    resp.problem,
		Fault:      c.fault.kind(),
		Signature:  resp.signature,
		TookEffect: resp.tookEffect,
		Response:   loggedBody(resp.body),
	}
	s.mu.Lock()
	s.log.add(r)
	s.mu.Unlock()
	if c.b.Log != nil {
		c.b.Log(r.clone())
	}
}

// loggedBody returns the part of a body that is logged. It does not keep the
// rest in memory.
func loggedBody(body []byte) []byte {
	if len(body) > maxLoggedBody {
		return bytes.Clone(body[:maxLoggedBody])
	}
	return body
}
