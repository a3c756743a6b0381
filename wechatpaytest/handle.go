package wechatpaytest

import (
	"bytes"
	"io"
	"net/http"
)

// Handle registers a handler for the requests that match pattern, an
// [http.ServeMux] pattern. It also replaces the server's own endpoints.
//
// The server checks headers and signature first, applies faults, and signs the
// response after the handler returns. The handler checks the parameters.
// A second call for the same pattern replaces the handler. A nil handler
// removes it. Handle panics if ServeMux rejects the pattern.
func (s *Server) Handle(pattern string, h http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.custom[pattern]; !known {
		s.handlers.Handle(pattern, customHandler{s, pattern})
	}
	s.custom[pattern] = h
}

// A customHandler calls the current handler of a pattern. The mux needs one
// that never changes.
type customHandler struct {
	s       *Server
	pattern string
}

func (h customHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.current().ServeHTTP(w, r) }

func (h customHandler) current() http.Handler {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if handler := h.s.custom[h.pattern]; handler != nil {
		return handler
	}
	return http.NotFoundHandler()
}

// customHandler returns the handler to serve r with, or nil. It is the mux
// itself, because only the mux sets path values.
func (s *Server) customHandler(r *http.Request) http.Handler {
	_, pattern := s.handlers.Handler(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.custom[pattern] == nil {
		return nil
	}
	return s.handlers
}

// serveCustom returns the response of a custom handler.
func (c *call) serveCustom(h http.Handler) *response {
	r := c.r.Clone(c.r.Context())
	r.Body = http.NoBody
	if len(c.body) > 0 {
		r.Body = newBody(c.body)
	}
	rec := &recorder{response: &response{header: http.Header{}}}
	h.ServeHTTP(rec, r)
	resp := rec.response
	if resp.status == 0 {
		resp.status = http.StatusOK
	}
	if len(resp.body) > 0 && resp.header.Get("Content-Type") == "" {
		resp.header.Set("Content-Type", http.DetectContentType(resp.body))
	}
	resp.tookEffect = c.r.Method != http.MethodGet && resp.status/100 == 2
	return resp
}

// A recorder is a ResponseWriter that buffers the response.
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
