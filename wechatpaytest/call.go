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

// A call is one request on its way through the server.
type call struct {
	s      *Server
	b      *Behavior
	r      *http.Request
	now    time.Time
	start  time.Time
	target string // path and query as sent
	path   string // as sent
	rawQuery,
	id string // the element of the path that varies

	endpoint     *endpoint
	otherMethods []string // the methods that the path has, where it has not this one
	fault        *Fault
	body         []byte
	readErr      error
	tooLarge     bool
	parts        *uploadParts // of a multipart body
	message      string       // what the signature must be over
	merchant     *merchant    // who signed; nil before that is known
	noEffect     bool         // carried out, and nothing changed by it: a repetition, or the self-test
}

// An answer is on its way back. It is signed when it is sent.
type response struct {
	status     int
	header     http.Header
	body       []byte
	unsigned   bool
	tookEffect bool
	code       string
	problem    string
	signature  *SignatureProblem
	internal   int
}

// ServeHTTP answers a request as WeChat Pay does: faults first, then headers,
// signature, parameters, permission and state.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Close does not wait for the rest of a body that never comes.
	defer context.AfterFunc(s.ctx, func() { _ = http.NewResponseController(w).SetReadDeadline(time.Now()) })()
	if _, pattern := s.plain.Handler(r); pattern != "" {
		s.plain.ServeHTTP(w, r)
		return
	}
	c := &call{s: s, b: s.behavior.Load(), r: r, start: time.Now(), now: s.Now(), target: r.RequestURI}
	if c.target == "" { // a request made with http.NewRequest
		c.target = r.URL.RequestURI()
	}
	if u, err := url.Parse(c.target); err == nil && u.IsAbs() { // a request made with httptest.NewRequest, or through a proxy
		c.target = u.RequestURI()
	}
	c.path, c.rawQuery, _ = strings.Cut(c.target, "?")
	c.endpoint, c.id, c.otherMethods = route(r.Method, c.path)
	c.fault = s.pickFault(c)
	c.readBody()

	a := c.exchange()
	if a.header == nil {
		a.header = http.Header{}
	}
	requestID := c.requestID(a)
	a.header.Set("Request-ID", requestID)
	// One that a handler set, or that whoever mounts the server set, is left.
	_, set := a.header["Date"]
	if _, outside := w.Header()["Date"]; !set && !outside {
		a.header.Set("Date", s.wireNow().UTC().Format(http.TimeFormat))
	}
	s.record(c, a)
	c.send(w, a)
}

// requestID has the form of WeChat Pay's own: 08F7, hexadecimal digits, a
// hyphen and the internal code in digits.
func (c *call) requestID(a *response) string {
	c.s.mu.Lock()
	n := c.s.number("request")
	c.s.mu.Unlock()
	sum := c.s.hash("request", n)
	return fmt.Sprintf("08F7%X-%d", sum[:16], a.internal)
}

// exchange decides on the answer.
func (c *call) exchange() *response {
	gateway := c.fault.gatewayResponse()
	if gateway != nil && !c.fault.TakesEffect {
		return gateway
	}
	a := c.handle()
	if gateway != nil {
		gateway.tookEffect, gateway.problem, gateway.signature = a.tookEffect, a.problem, a.signature
		return gateway
	}
	return a
}

func (c *call) handle() *response {
	if c.readErr != nil {
		return c.errorResponse(bodyError("", nil, "the body cannot be read: %v", c.readErr))
	}
	if apiErr := c.protocol(); apiErr != nil {
		return c.errorResponse(apiErr)
	}
	if apiErr := c.authenticate(); apiErr != nil {
		return c.errorResponse(apiErr)
	}
	if handler := c.s.customHandler(c.r); handler != nil {
		return c.serveCustom(handler)
	}
	if c.endpoint == nil {
		problem := "this server has no endpoint " + c.r.Method + " " + c.path
		if len(c.otherMethods) > 0 {
			problem += "; the path takes " + strings.Join(c.otherMethods, ", ")
		}
		return c.errorResponse(notExists.errorf("%s", problem))
	}
	return c.endpoint.serve(c)
}

// refuse makes the answer of a refusal.
func (c *call) errorResponse(r *apiError) *response {
	a := &response{status: r.status, code: r.code, problem: r.message, signature: r.signature, internal: r.internal, header: http.Header{}}
	a.header.Set("Content-Type", jsonType)
	a.body = encode(struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Detail  any    `json:"detail,omitempty"`
	}{r.code, r.message, r.detail})
	// A caller who has not proved who he is gets no signature.
	a.unsigned = r.status == http.StatusUnauthorized
	return a
}

// send signs the answer and writes it, as far as the fault lets it.
func (c *call) send(w http.ResponseWriter, a *response) {
	f := c.fault
	if f.kind() == FaultDrop || f.kind() == FaultLostResponse {
		panic(http.ErrAbortHandler) // closes the connection without a word
	}
	if !a.unsigned && f.kind() != FaultUnsigned {
		c.sign(a)
	}
	if f.kind() == FaultSlow {
		c.wait(f.Delay)
	}
	if f.kind() == FaultCut {
		sendHalf(w, a)
		panic(http.ErrAbortHandler)
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	if a.status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
	if c.r.Method != http.MethodHead {
		_, _ = w.Write(a.body) // a client that has gone is its own affair
	}
}

// sign puts WeChat Pay's headers on an answer.
func (c *call) sign(a *response) {
	serial, key := c.s.signingKey(c.b.KeyMode, c.r.Header.Get("Wechatpay-Serial"))
	at := c.s.wireNow()
	switch c.fault.kind() {
	case FaultForged:
		key = processKey(forgerRole)
	case FaultOld:
		at = at.Add(-15 * time.Minute)
	}
	signHeaders(a.header, serial, key, at, a.body)
	if c.fault.kind() == FaultProbe {
		probe(a.header)
	}
}

// maxBody is how much of a body is read. An upload of twice the limit is still
// refused for its size, not for this.
const maxBody = 8 << 20

func (c *call) readBody() {
	if c.r.Body == nil { // of a request made with http.NewRequest
		return
	}
	data, err := io.ReadAll(io.LimitReader(c.r.Body, maxBody+1))
	c.readErr = err
	if len(data) > maxBody {
		c.tooLarge = true
		data = nil
	}
	c.body = data
	if mediaType, params, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err == nil && mediaType == "multipart/form-data" {
		c.parts = parseMultipart(data, params["boundary"])
	}
}
