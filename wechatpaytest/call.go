package wechatpaytest

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A call is a request to the API while it is served.
type call struct {
	s     *Server
	b     *Behavior
	r     *http.Request
	now   time.Time // on the server's clock
	start time.Time

	target   string // path and query as sent
	path     string // as sent
	rawQuery string

	endpoint     *endpoint // nil if there is none
	id           string    // the path parameter
	otherMethods []string  // the methods of the path, if it does not have this one

	fault    *Fault
	count    uint64    // of earlier requests for the same endpoint and parameter
	earlier  successes // of the endpoint
	replayed *response // by FaultReplay
	body     []byte
	readErr  error
	tooLarge bool
	parts    *uploadParts // of a multipart body

	toSign   string        // the string to sign; "" until the Authorization is parsed
	merchant *Merchant     // the caller; nil until the signature is verified
	cert     *merchantCert // the certificate that signed
	noEffect bool          // set if a successful write changes nothing, as a retry or the self-test
}

// A response is the response to a call. It is signed when it is sent.
type response struct {
	status     int
	header     http.Header
	body       []byte
	unsigned   bool
	replayed   bool // it was sent before, and is complete
	tookEffect bool
	code       string
	problem    string
	signature  *SignatureProblem
	internal   int // the internal code of Request-ID; 0: none, or other
}

// ServeHTTP serves the API as WeChat Pay does. It checks for a fault first,
// then headers, signature, parameters, permission and state.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Close must not wait for a body that the client never finishes.
	defer context.AfterFunc(s.ctx, func() { _ = http.NewResponseController(w).SetReadDeadline(time.Now()) })()
	if strings.HasPrefix(r.URL.Path, storagePath) {
		s.serveStorage(w, r)
		return
	}
	c := s.newCall(r)
	defer c.abort()
	c.fault = s.pickFault(c, nil)
	c.readBody()

	resp := c.serve()
	if !resp.replayed {
		s.setHeaders(w, resp)
	}
	s.record(c, resp)
	c.send(w, resp)
}

// setHeaders sets the headers that every response has.
func (s *Server) setHeaders(w http.ResponseWriter, resp *response) {
	if resp.header == nil {
		resp.header = http.Header{}
	}
	resp.header.Set("Request-ID", s.newRequestID(resp))
	// Keep a Date that a handler, or the server in front of this one, has set.
	_, ownDate := resp.header["Date"]
	if _, outerDate := w.Header()["Date"]; !ownDate && !outerDate {
		resp.header.Set("Date", s.wireNow().UTC().Format(http.TimeFormat))
	}
}

// abort is deferred. If the call panics, it chooses the error code of the
// HTTP/2 stream reset that follows.
func (c *call) abort() {
	p := recover()
	if p == nil {
		return
	}
	ctx := c.r.Context()
	if conn, ok := ctx.Value(connKey{}).(*conn); ok && c.r.ProtoMajor == 2 && ctx.Err() == nil {
		var code uint32 = codeInternalError
		if c.fault.kind() == FaultReset {
			code = codeProtocolError
		}
		conn.abortStream(code)
	}
	panic(p)
}

func (s *Server) newCall(r *http.Request) *call {
	c := &call{
		s:      s,
		b:      s.behavior.Load(),
		r:      r,
		start:  time.Now(),
		now:    s.Now(),
		target: r.RequestURI,
	}
	if c.target == "" { // a request from http.NewRequest
		c.target = r.URL.RequestURI()
	}
	if u, err := url.Parse(c.target); err == nil && u.IsAbs() { // from httptest.NewRequest, or through a proxy
		c.target = u.RequestURI()
	}
	c.path, c.rawQuery, _ = strings.Cut(c.target, "?")
	c.endpoint, c.id, c.otherMethods = route(r.Method, c.path)
	return c
}

// newRequestID returns a new Request-ID. As in WeChat Pay's, the digits after
// the hyphen are an internal error code: 0 for none, 1 for one that is not known.
func (s *Server) newRequestID(resp *response) string {
	s.mu.Lock()
	n := s.number("request")
	s.mu.Unlock()
	code := resp.internal
	if code == 0 && resp.status >= 400 {
		code = 1
	}
	return fmt.Sprintf("08F7%08X-%d", n, code)
}

// maxBody is how many bytes of a body are read. It is large enough for uploads
// over the limit to be rejected for their size.
const maxBody = 8 << 20

func (c *call) readBody() {
	if c.r.Body == nil { // a request from http.NewRequest
		return
	}
	data, err := io.ReadAll(io.LimitReader(c.r.Body, maxBody+1))
	c.readErr = err
	if len(data) > maxBody {
		c.tooLarge = true
		data = nil
	}
	c.body = data
	mediaType, params, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err == nil && mediaType == "multipart/form-data" && params["boundary"] != "" {
		c.parts = parseMultipart(data, params["boundary"])
	}
}

// serve returns the response, which is a gateway's if the fault says so.
func (c *call) serve() *response {
	gateway := c.gatewayResponse()
	if gateway != nil && !c.fault.TakesEffect {
		return gateway
	}
	resp := c.serveAPI()
	if gateway != nil {
		gateway.tookEffect, gateway.problem, gateway.signature = resp.tookEffect, resp.problem, resp.signature
		return gateway
	}
	if c.fault == nil {
		c.fault = c.s.pickFault(c, resp)
	}
	return resp
}

func (c *call) serveAPI() *response {
	if c.readErr != nil {
		return errorResponse(bodyError("", nil, "cannot be read: %v", c.readErr))
	}
	if apiErr := c.checkHeaders(); apiErr != nil {
		return errorResponse(apiErr)
	}
	if apiErr := c.authenticate(); apiErr != nil {
		return errorResponse(apiErr)
	}
	if handler := c.s.customHandler(c.r); handler != nil {
		return c.serveCustom(handler)
	}
	if c.endpoint == nil {
		problem := "unknown endpoint " + c.r.Method + " " + truncate(c.path, 200)
		if len(c.otherMethods) > 0 {
			problem += " (allowed methods: " + strings.Join(c.otherMethods, ", ") + ")"
		}
		return errorResponse(notExists.errorf("%s", problem))
	}
	if apiErr := c.checkRate(); apiErr != nil {
		return errorResponse(apiErr)
	}
	return c.endpoint.serve(c)
}

func errorResponse(e *apiError) *response {
	resp := &response{
		status:    e.status,
		header:    http.Header{},
		unsigned:  e.status == http.StatusUnauthorized,
		code:      e.code,
		problem:   e.message,
		signature: e.signature,
		internal:  e.internal,
	}
	resp.header.Set("Content-Type", jsonType)
	resp.body = encode(struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Detail  any    `json:"detail,omitempty"`
	}{e.code, e.message, e.detail})
	return resp
}

// send signs and writes the response, except for what the fault prevents.
func (c *call) send(w http.ResponseWriter, resp *response) {
	kind := c.fault.kind()
	switch kind {
	case FaultDrop, FaultLostResponse, FaultReset:
		panic(http.ErrAbortHandler) // closes the connection, or resets the stream
	case FaultSwitching:
		c.switchProtocols(w)
		return
	case FaultMixedUp:
		resp = c.mixUp(resp)
	}
	if !resp.unsigned && kind != FaultUnsigned {
		c.sign(resp)
	}
	if kind == FaultSlow {
		c.wait(c.fault.delay())
	}
	if kind == FaultCut {
		sendHalf(w, resp)
		panic(http.ErrAbortHandler)
	}
	status := resp.status
	if kind == FaultStatus200 {
		status = http.StatusOK
	}
	for name, values := range resp.header {
		w.Header()[name] = values
	}
	if status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(resp.body)))
	}
	w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		_, _ = w.Write(resp.body)
	}
	c.keep(resp)
}

// sign adds WeChat Pay's signature headers to the response.
func (c *call) sign(resp *response) {
	serial, key := c.s.signingKey(c.b.KeyMode, c.r.Header.Get("Wechatpay-Serial"))
	c.s.signHeaders(resp.header, serial, key, resp.body, c.fault.kind())
}
