package wechatpaytest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Request is one request that the server got, and what became of it.
type Request struct {
	Time       time.Time // on the server's clock
	Duration   time.Duration
	Method     string
	Path       string // path and query as sent
	Header     http.Header
	Body       []byte // as sent; cut after 64 KiB
	StatusCode int    // of the answer, also where a fault kept it back
	Code       string // of an error answer, such as "PARAM_ERROR"
	RequestID  string // the answer's Request-ID
	Problem    string // why it was refused, in a sentence for the developer; "": it was not
	Fault      FaultKind
	TookEffect bool // whether it wrote something: a POST, PUT or DELETE that was carried out
	// Answer is the body of the answer before any fault, cut after 64 KiB.
	Answer []byte
}

// String is one line about the request, with the reason if it was refused.
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

const (
	loggedBody     = 64 << 10
	loggedRequests = 1 << 16
)

// requestLog holds the latest requests. Server.mu guards it.
type requestLog struct{ requests []Request }

// Requests returns the requests that came, refused ones too, in the order in which their answers were ready: the latest 65,536.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.log.requests
	return slices.Clone(all[max(0, len(all)-loggedRequests):])
}

func (s *Server) record(c *call, a *answer) {
	r := Request{
		Time:       c.now,
		Duration:   time.Since(c.began),
		Method:     c.r.Method,
		Path:       c.target,
		Header:     c.r.Header,
		Body:       c.body[:min(len(c.body), loggedBody)],
		StatusCode: a.status,
		Code:       a.code,
		RequestID:  a.header.Get("Request-ID"),
		Problem:    a.problem,
		Fault:      c.fault.kind(),
		TookEffect: a.tookEffect,
		Answer:     a.body[:min(len(a.body), loggedBody)],
	}
	if len(c.body) > loggedBody {
		r.Body = bytes.Clone(r.Body) // lets the rest go
	}
	if len(a.body) > loggedBody {
		r.Answer = bytes.Clone(r.Answer)
	}
	s.mu.Lock()
	if len(s.log.requests) >= 2*loggedRequests {
		s.log.requests = append([]Request(nil), s.log.requests[loggedRequests:]...)
	}
	s.log.requests = append(s.log.requests, r)
	s.mu.Unlock()
	if c.b.Log != nil {
		c.b.Log(r)
	}
}

// recorder is a ResponseWriter that keeps the answer.
type recorder struct{ answer *answer }

func (r *recorder) Header() http.Header { return r.answer.header }

func (r *recorder) WriteHeader(status int) {
	if r.answer.status == 0 && status >= 200 {
		r.answer.status = status
		r.answer.header = r.answer.header.Clone()
	}
}

func (r *recorder) Write(data []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	r.answer.body = append(r.answer.body, data...)
	return len(data), nil
}

func newBody(data []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(data)) }
