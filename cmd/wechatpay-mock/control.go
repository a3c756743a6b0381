package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// control is the handler of all requests: it serves the control API and the
// page, and passes other requests to the server.
type control struct {
	server      *wechatpaytest.Server
	allowRemote bool
	dir         string // of the keys and env files
	lenient     bool   // accept captured complaints
	seedFile    string
	seed        []json.RawMessage // the complaints of seedFile
	log         func(wechatpaytest.Request)
	mux         *http.ServeMux // the control API and the page
	images      sync.Map       // bytes of the users' images by media id
	merchants   merchants
}

const controlPath = "/_mock/"

// An operation returns the status and the body of the response. The status of
// an error is 400, unless it is a *statusError.
type operation func(c *control, r *http.Request) (status int, body any, err error)

type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

func statusErrorf(status int, format string, args ...any) error {
	return &statusError{status, fmt.Sprintf(format, args...)}
}

func newControl(allowRemote bool) *control {
	c := &control{server: wechatpaytest.NewUnstartedServer(), allowRemote: allowRemote, mux: http.NewServeMux()}
	c.server.Handler = c
	for _, route := range routes {
		c.mux.Handle(route.pattern, c.handler(route.do))
	}
	c.mux.Handle(controlPath, c.handler((*control).notFound))
	c.mux.Handle(pagePath, c.handler((*control).page))
	return c
}

// setUp sets the initial behavior and complaints of the server.
func (c *control) setUp() error {
	c.server.Configure(func(b *wechatpaytest.Behavior) {
		*b = wechatpaytest.Behavior{
			Seed:       b.Seed,
			Log:        c.log,
			WireTime:   time.Now, // clients of other processes cannot follow Advance
			PathInBody: true,     // the documentation of some clients sends complaint_id twice

			LenientComplaints: c.lenient,
		}
	})
	for i, complaint := range c.seed {
		if _, err := c.server.AddComplaintJSON(complaint); err != nil {
			return fmt.Errorf("%s: complaint %d is invalid: %s", c.seedFile, i+1, errorText(err))
		}
	}
	return nil
}

func (c *control) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, pattern := c.mux.Handler(r); pattern == "" {
		c.serveAPI(w, r)
		return
	}
	// Closing the server ends the context. Do not wait for the rest of a body then.
	defer context.AfterFunc(r.Context(), func() {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now())
	})()
	c.mux.ServeHTTP(w, r)
}

// serveAPI passes a request to the server, unless a web page may have sent it.
func (c *control) serveAPI(w http.ResponseWriter, r *http.Request) {
	err := c.checkOrigin(r, apiHosts...)
	if err == nil {
		c.server.ServeHTTP(w, r)
		return
	}
	const code = "NO_AUTH"
	c.log(wechatpaytest.Request{
		Time:       c.server.Now(),
		Method:     r.Method,
		Path:       r.RequestURI,
		StatusCode: http.StatusForbidden,
		Code:       code,
		Problem:    err.Error(),
	})
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(http.StatusForbidden)
	_, _ = w.Write(encode(map[string]string{"code": code, "message": err.Error()}))
}

func (c *control) handler(do operation) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range pageHeaders {
			w.Header().Set(name, value)
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		status, body, err := c.serve(do, r)
		if err != nil {
			status, body = errorResponse(err)
		}
		if status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", strings.Join(c.methods(r), ", "))
		}
		if body == nil {
			w.WriteHeader(status)
			return
		}
		f, isFile := body.(file)
		if !isFile {
			f = file{"application/json; charset=utf-8", append(encode(body), '\n')}
		}
		w.Header().Set("Content-Type", f.contentType)
		w.WriteHeader(status)
		_, _ = w.Write(f.data)
	})
}

func (c *control) serve(do operation, r *http.Request) (int, any, error) {
	if err := c.checkOrigin(r); err != nil {
		return 0, nil, err
	}
	if r.URL.RawQuery != "" && r.Pattern != pagePath {
		return 0, nil, fmt.Errorf("%s takes no query parameters, got %q", r.URL.Path, r.URL.RawQuery)
	}
	return do(c, r)
}

func errorResponse(err error) (status int, body any) {
	status = http.StatusBadRequest
	var withStatus *statusError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		status = http.StatusRequestEntityTooLarge
		err = fmt.Errorf("the body exceeds %d bytes", tooLarge.Limit)
	case errors.As(err, &withStatus):
		status = withStatus.status
	}
	return status, map[string]string{"error": errorText(err)}
}

// apiHosts are WeChat Pay's own hosts, for clients that reach the mock through a
// proxy or their hosts file. No web page can have them.
var apiHosts = []string{"api.mch.weixin.qq.com", "api2.mch.weixin.qq.com", "api.wechatpay.cn", "api2.wechatpay.cn"}

// checkOrigin rejects requests that a web page of another origin sends, also
// through a host name that resolves to loopback (DNS rebinding), except the
// allowed ones.
func (c *control) checkOrigin(r *http.Request, allowed ...string) error {
	if origin := r.Header.Get("Origin"); origin != "" {
		if u, err := url.Parse(origin); err != nil || u.Host != r.Host {
			return statusErrorf(http.StatusForbidden, "requests from web pages of another origin (%s) are not allowed", origin)
		}
	}
	host := (&url.URL{Host: r.Host}).Hostname()
	ip := net.ParseIP(host)
	if c.allowRemote || host == "localhost" || ip != nil && ip.IsLoopback() || slices.Contains(allowed, host) {
		return nil
	}
	return statusErrorf(http.StatusForbidden, "host %q is not loopback: set -allow-remote to allow it", r.Host)
}

// notFound serves unknown paths, and known paths with a method they do not have.
func (c *control) notFound(r *http.Request) (int, any, error) {
	if methods := c.methods(r); len(methods) > 0 {
		return 0, nil, statusErrorf(http.StatusMethodNotAllowed, "%s does not support %s: use %s",
			r.URL.Path, r.Method, strings.Join(methods, ", "))
	}
	return 0, nil, statusErrorf(http.StatusNotFound, "unknown path %s: run 'wechatpay-mock -h' for a list", r.URL.Path)
}

// methods returns the methods that the request's path supports.
func (c *control) methods(r *http.Request) []string {
	var methods []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := *r
		probe.Method = method
		if _, pattern := c.mux.Handler(&probe); pattern != controlPath {
			methods = append(methods, method)
		}
	}
	return methods
}

// goPrefix matches the package and the method that errors of wechatpaytest name.
var goPrefix = regexp.MustCompile(`^wechatpaytest: (([A-Z]\w*|notification): )?`)

// errorText returns the error for a client, which does not know the Go methods.
func errorText(err error) string { return goPrefix.ReplaceAllString(err.Error(), "") }

// printable replaces control characters, so that a line stays one line.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '�'
		}
		return r
	}, line)
}
