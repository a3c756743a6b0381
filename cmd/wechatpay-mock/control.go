package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"unicode"

	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// control is the control plane of a server.
type control struct {
	server      *wechatpaytest.Server
	allowRemote bool
	begin       func() error // makes the server what it is at the start
	mux         *http.ServeMux
	images      sync.Map // the user's, bytes by media id
}

const controlPath = "/_mock/"

// An operation returns the status and the body of its answer. An error is a
// refusal: 400, or what a *problem says.
type operation func(c *control, r *http.Request) (status int, body any, err error)

type problem struct {
	status int
	text   string
}

func (p *problem) Error() string { return p.text }

func refuse(status int, format string, args ...any) error {
	return &problem{status, fmt.Sprintf(format, args...)}
}

// newControl returns the handler of all that begins with controlPath, and of the page.
func newControl(server *wechatpaytest.Server, allowRemote bool, begin func() error) http.Handler {
	c := &control{server: server, allowRemote: allowRemote, begin: begin, mux: http.NewServeMux()}
	for _, route := range routes {
		c.mux.Handle(route.pattern, c.handler(route.do))
	}
	c.mux.Handle(controlPath, c.handler((*control).nothingThere))
	c.mux.Handle(pagePath, c.handler((*control).page))
	return c.mux
}

func (c *control) handler(do operation) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range pageHeaders {
			w.Header().Set(name, value)
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		status, body, err := c.answer(do, r)
		if err != nil {
			status = http.StatusBadRequest
			var p *problem
			var tooLarge *http.MaxBytesError
			switch {
			case errors.As(err, &tooLarge):
				status = http.StatusRequestEntityTooLarge
				err = fmt.Errorf("the body is larger than %d bytes", tooLarge.Limit)
			case errors.As(err, &p):
				status = p.status
			}
			if status == http.StatusMethodNotAllowed {
				w.Header().Set("Allow", strings.Join(c.methods(r), ", "))
			}
			body = map[string]string{"error": sentence(err)}
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

func (c *control) answer(do operation, r *http.Request) (int, any, error) {
	if err := c.fromElsewhere(r); err != nil {
		return 0, nil, err
	}
	if r.URL.RawQuery != "" && r.Pattern != pagePath {
		return 0, nil, fmt.Errorf("%s takes no query, and has %q", r.URL.Path, r.URL.RawQuery)
	}
	return do(c, r)
}

// fromElsewhere refuses what a web page of another origin sends, directly or by
// a name that leads to loopback: no page that a developer opens may rule the
// server.
func (c *control) fromElsewhere(r *http.Request) error {
	if origin := r.Header.Get("Origin"); origin != "" {
		if u, err := url.Parse(origin); err != nil || u.Host != r.Host {
			return refuse(http.StatusForbidden, "a web page of another origin, %q, may not rule this server", origin)
		}
	}
	host := (&url.URL{Host: r.Host}).Hostname()
	if ip := net.ParseIP(host); c.allowRemote || host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return refuse(http.StatusForbidden, "the request is for the host %q, and this server is loopback's alone: start it with -allow-remote if that is meant", r.Host)
}

// nothingThere answers for paths and methods that the control plane has not.
func (c *control) nothingThere(r *http.Request) (int, any, error) {
	if methods := c.methods(r); len(methods) > 0 {
		return 0, nil, refuse(http.StatusMethodNotAllowed, "%s does not take %s: it takes %s", r.URL.Path, r.Method, strings.Join(methods, ", "))
	}
	return 0, nil, refuse(http.StatusNotFound, "the control plane has no %s: wechatpay-mock -h lists what it has", r.URL.Path)
}

// methods are those that the path of a request has.
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

// maxBody is how large a body may be: enough for an image too large for WeChat Pay.
const maxBody = 8 << 20

// sentence is an error without the names of packages.
func sentence(err error) string {
	text := strings.TrimPrefix(err.Error(), "wechatpaytest: ")
	return strings.TrimPrefix(text, "notification: ")
}

// printable keeps a line one line, whatever a request had in it.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '�'
		}
		return r
	}, line)
}
