package wechatpaytest

import (
	"bytes"
	"io"
	"net/http"
)

// Handle gives the requests that match pattern, as http.ServeMux understands
// it, to the user's own handler, whether this server has the endpoint or not.
// Headers and signature of the request are checked first, and faults hold for
// it too; its parameters are the handler's to judge. The answer is held back
// until the handler returns, and is then signed. Calling it again for the same
// pattern replaces the handler; nil gives the endpoint back to the server. It
// panics for a pattern that ServeMux does not take.
func (s *Server) Handle(pattern string, h http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.custom[pattern]; !known {
		s.handlers.Handle(pattern, customHandler{s, pattern})
	}
	s.custom[pattern] = h
}

// HandlePlain gives the requests that match pattern, as http.ServeMux
// understands it, to a handler that is no part of WeChat Pay's API: they are
// not checked, not logged, not signed, and no fault strikes them. It panics for
// a pattern that ServeMux does not take, or that is there already.
func (s *Server) HandlePlain(pattern string, h http.Handler) { s.plain.Handle(pattern, h) }

// userHandler stands in the mux for the handler that a pattern has at the moment.
type customHandler struct {
	s       *Server
	pattern string
}

func (u customHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) { u.handler().ServeHTTP(w, r) }

func (u customHandler) handler() http.Handler {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	if h := u.s.custom[u.pattern]; h != nil {
		return h
	}
	return http.NotFoundHandler()
}

// userHandler returns the mux if the user has a handler for the request. The
// mux itself serves it, because only that sets path values.
func (s *Server) customHandler(r *http.Request) http.Handler {
	_, pattern := s.handlers.Handler(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.custom[pattern] == nil {
		return nil
	}
	return s.handlers
}

// handOver lets the user's handler answer.
func (c *call) serveCustom(h http.Handler) *response {
	r := c.r.Clone(c.r.Context())
	r.Body = http.NoBody
	if len(c.body) > 0 {
		r.Body = newBody(c.body)
	}
	rec := &recorder{response: &response{header: http.Header{}}}
	h.ServeHTTP(rec, r)
	a := rec.response
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if len(a.body) > 0 && a.header.Get("Content-Type") == "" {
		a.header.Set("Content-Type", http.DetectContentType(a.body))
	}
	a.tookEffect = c.r.Method != http.MethodGet && a.status/100 == 2
	return a
}

// recorder is a ResponseWriter that keeps the answer.
type recorder struct{ response *response }

func (r *recorder) Header() http.Header { return r.response.header }

func (r *recorder) WriteHeader(status int) {
	if r.response.status == 0 && status >= 200 {
		r.response.status = status
		r.response.header = r.response.header.Clone()
	}
}

func (r *recorder) Write(data []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	r.response.body = append(r.response.body, data...)
	return len(data), nil
}

func newBody(data []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(data)) }
