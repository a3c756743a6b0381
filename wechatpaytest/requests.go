package wechatpaytest

import (
	"bytes"
	"fmt"
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
	// Signature says what was wrong with the signature, nil if nothing was.
	Signature *SignatureProblem
	// TookEffect says whether it wrote something: a POST, PUT or DELETE that was
	// carried out, and that was no repetition and no self-test.
	TookEffect bool
	// Answer is the body of the answer before any fault, cut after 64 KiB.
	Response []byte
}

// clone is what leaves the server: nobody outside holds what it keeps, or what
// it is about to send.
func (r Request) clone() Request {
	r.Header, r.Body, r.Response = r.Header.Clone(), bytes.Clone(r.Body), bytes.Clone(r.Response)
	if r.Signature != nil {
		problem := *r.Signature
		r.Signature = &problem
	}
	return r
}

// size is about how much memory a request of the log takes.
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
	maxLoggedBody     = 64 << 10
	maxLoggedBytes    = 64 << 20
	maxLoggedRequests = 1 << 16
)

// requestLog holds the latest requests. Server.mu guards it.
type requestLog struct {
	requests []Request
	bytes    int
}

func (l *requestLog) add(r Request) {
	l.requests = append(l.requests, r)
	l.bytes += r.size()
	for len(l.requests) > maxLoggedRequests || l.bytes > maxLoggedBytes {
		l.bytes -= l.requests[0].size()
		l.requests[0] = Request{} // lets go what it holds
		l.requests = l.requests[1:]
	}
}

// Requests returns the requests that came, refused ones too, in the order in
// which their answers were ready: the latest 65,536, or as many of them as fit
// into 64 MiB.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.log.requests)
	for i := range all {
		all[i] = all[i].clone()
	}
	return all
}

func (s *Server) record(c *call, a *response) {
	r := Request{
		Time:       c.now,
		Duration:   time.Since(c.start),
		Method:     c.r.Method,
		Path:       c.target,
		Header:     c.r.Header.Clone(),
		Body:       c.body[:min(len(c.body), maxLoggedBody)],
		StatusCode: a.status,
		Code:       a.code,
		RequestID:  a.header.Get("Request-ID"),
		Problem:    a.problem,
		Fault:      c.fault.kind(),
		Signature:  a.signature,
		TookEffect: a.tookEffect,
		Response:   a.body[:min(len(a.body), maxLoggedBody)],
	}
	if len(c.body) > maxLoggedBody {
		r.Body = bytes.Clone(r.Body) // lets the rest go
	}
	if len(a.body) > maxLoggedBody {
		r.Response = bytes.Clone(r.Response)
	}
	s.mu.Lock()
	s.log.add(r)
	s.mu.Unlock()
	if c.b.Log != nil {
		c.b.Log(r.clone())
	}
}
