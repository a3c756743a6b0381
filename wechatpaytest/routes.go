package wechatpaytest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// endpoints is what the server answers, in the order of the documents.
var endpoints []*endpoint

func init() {
	// Not in the declaration: the methods lead back to this list.
	endpoints = []*endpoint{
		query("GET", "/v3/merchant-service/complaints-v2", (*call).listComplaints),
		query("GET", "/v3/merchant-service/complaints-v2/{complaint_id}", (*call).getComplaint),
		query("GET", "/v3/merchant-service/complaints-v2/{complaint_id}/negotiation-historys", (*call).negotiationHistory),
		body("POST", "/v3/merchant-service/complaints-v2/{complaint_id}/response", (*call).respond),
		body("POST", "/v3/merchant-service/complaints-v2/{complaint_id}/response-immediate-service", (*call).respondImmediateService),
		body("POST", "/v3/merchant-service/complaints-v2/{complaint_id}/complete", (*call).complete),
		body("POST", "/v3/merchant-service/complaints-v2/{complaint_id}/update-refund-progress", (*call).updateRefundProgress),
		body("POST", "/v3/merchant-service/complaint-notifications", (*call).createNotificationURL),
		query("GET", "/v3/merchant-service/complaint-notifications", (*call).getNotificationURL),
		body("PUT", "/v3/merchant-service/complaint-notifications", (*call).updateNotificationURL),
		query("DELETE", "/v3/merchant-service/complaint-notifications", (*call).deleteNotificationURL),
		{"POST", "/v3/merchant-service/images/upload", uploadImage},
		query("GET", imagePattern, (*call).downloadImage),
		query("GET", "/v3/certificates", (*call).listCertificates),
		body("POST", "/v3/refund/domestic/refunds", (*call).createRefund),
		query("GET", "/v3/refund/domestic/refunds/{out_refund_no}", (*call).getRefund),
		body("POST", "/v3/security/echo", (*call).echo),
	}
}

// An endpoint is one method and path of the API.
type endpoint struct {
	method  string
	pattern string // with {name} for the one element that varies
	serve   func(*call) *answer
}

// nothing is the schema of a request without parameters.
type nothing struct{}

// A checker has rules that its schema cannot express.
type checker interface{ check(*call) *refusal }

// query is an endpoint whose parameters come in the query.
func query[In any](method, pattern string, do func(*call, *In) (any, *refusal)) *endpoint {
	schema := schemaOf[In]()
	return &endpoint{method, pattern, func(c *call) *answer {
		in := new(In)
		if refused := c.decodeQuery(schema, in); refused != nil {
			return c.refuse(refused)
		}
		if len(c.body) > 0 {
			return c.refuse(bodyError("", nil, "%s takes no body", method))
		}
		return serve(c, in, do)
	}}
}

// body is an endpoint whose parameters come as JSON.
func body[In any](method, pattern string, do func(*call, *In) (any, *refusal)) *endpoint {
	schema := schemaOf[In]()
	return &endpoint{method, pattern, func(c *call) *answer {
		in := new(In)
		if refused := c.decodeQuery(schemaOf[nothing](), nil); refused != nil {
			return c.refuse(refused)
		}
		if refused := c.decodeBody(schema, in); refused != nil {
			return c.refuse(refused)
		}
		return serve(c, in, do)
	}}
}

// serve carries a request out whose parameters are as the schema says. do runs
// under the lock, so that a request takes effect at once and as a whole; it
// changes nothing when it refuses.
func serve[In any](c *call, in *In, do func(*call, *In) (any, *refusal)) *answer {
	if refused := c.checkPath(); refused != nil {
		return c.refuse(refused)
	}
	if checker, ok := any(in).(checker); ok {
		if refused := checker.check(c); refused != nil {
			return c.refuse(refused)
		}
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	out, refused := do(c, in)
	if refused != nil {
		return c.refuse(refused)
	}
	a := &answer{status: http.StatusNoContent, header: http.Header{}, tookEffect: c.r.Method != http.MethodGet && !c.idle}
	switch out := out.(type) {
	case nil:
	case *image:
		a.status, a.body, a.unsigned = http.StatusOK, out.data, true
		a.header.Set("Content-Type", out.contentType)
	default:
		a.status, a.body = http.StatusOK, encode(out)
		a.header.Set("Content-Type", jsonType)
	}
	return a
}

const jsonType = "application/json; charset=utf-8"

func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("wechatpaytest: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// route finds the endpoint for a path as it was sent, and the element of the
// path that varies, unescaped.
func route(method, path string) (found *endpoint, element string, others []string) {
	for _, e := range endpoints {
		element, ok := e.match(path)
		if ok && e.method == method {
			return e, element, nil
		}
		if ok {
			others = append(others, e.method)
		}
	}
	return nil, "", others
}

func (e *endpoint) match(path string) (string, bool) {
	before, rest, varies := strings.Cut(e.pattern, "{")
	if !varies {
		return "", path == e.pattern
	}
	_, after, _ := strings.Cut(rest, "}")
	element, ok := strings.CutPrefix(path, before)
	if !ok {
		return "", false
	}
	element, ok = strings.CutSuffix(element, after)
	// Image ids come with a bare slash too.
	if !ok || element == "" || strings.Contains(element, "/") && e.pattern != imagePattern {
		return "", false
	}
	plain, err := url.PathUnescape(element)
	return plain, err == nil
}

// elementName is the name of the element of the path that varies.
func (e *endpoint) elementName() string {
	_, rest, _ := strings.Cut(e.pattern, "{")
	name, _, _ := strings.Cut(rest, "}")
	return name
}

// A call is one request on its way through the server.
type call struct {
	s      *Server
	b      *Behavior
	r      *http.Request
	now    time.Time
	began  time.Time
	target string // path and query as sent
	path   string // as sent
	rawQuery,
	id string // the element of the path that varies

	endpoint *endpoint
	others   []string // the methods that the path has, where it has not this one
	fault    *Fault
	body     []byte
	readErr  error
	tooLarge bool
	parts    *uploadParts // of a multipart body
	message  string       // what the signature must be over
	merchant *merchant    // who signed; nil before that is known
	idle     bool         // carried out, and nothing changed by it: a repetition, or the self-test
}

// An answer is on its way back. It is signed when it is sent.
type answer struct {
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
	c := &call{s: s, b: s.behavior.Load(), r: r, began: time.Now(), now: s.Now(), target: r.RequestURI}
	if c.target == "" { // a request made with http.NewRequest
		c.target = r.URL.RequestURI()
	}
	if u, err := url.Parse(c.target); err == nil && u.IsAbs() { // a request made with httptest.NewRequest, or through a proxy
		c.target = u.RequestURI()
	}
	c.path, c.rawQuery, _ = strings.Cut(c.target, "?")
	c.endpoint, c.id, c.others = route(r.Method, c.path)
	c.fault = s.drawFault(c)
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
func (c *call) requestID(a *answer) string {
	c.s.mu.Lock()
	n := c.s.number("request")
	c.s.mu.Unlock()
	sum := c.s.hash("request", n)
	return fmt.Sprintf("08F7%X-%d", sum[:16], a.internal)
}

// exchange decides on the answer.
func (c *call) exchange() *answer {
	gateway := c.fault.gatewayAnswer()
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

func (c *call) handle() *answer {
	if c.readErr != nil {
		return c.refuse(bodyError("", nil, "the body cannot be read: %v", c.readErr))
	}
	if refused := c.protocol(); refused != nil {
		return c.refuse(refused)
	}
	if refused := c.authenticate(); refused != nil {
		return c.refuse(refused)
	}
	if handler := c.s.userHandler(c.r); handler != nil {
		return c.handOver(handler)
	}
	if c.endpoint == nil {
		problem := "this server has no endpoint " + c.r.Method + " " + c.path
		if len(c.others) > 0 {
			problem += "; the path takes " + strings.Join(c.others, ", ")
		}
		return c.refuse(notExists.refuse("%s", problem))
	}
	return c.endpoint.serve(c)
}

// refuse makes the answer of a refusal.
func (c *call) refuse(r *refusal) *answer {
	a := &answer{status: r.status, code: r.code, problem: r.message, signature: r.signature, internal: r.internal, header: http.Header{}}
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

func (c *call) decodeQuery(s *schema, into any) *refusal {
	object, fault := s.parseQuery(c.rawQuery)
	if fault != nil {
		return paramError(inQuery, fault)
	}
	for _, name := range object.names {
		if !slices.ContainsFunc(s.fields, func(f schemaField) bool { return f.name == name }) {
			return paramError(inQuery, &paramFault{field: name, value: plainValue(object.values[name]), issue: "is no parameter of this endpoint"})
		}
	}
	if fault := s.check(object, ""); fault != nil {
		fault.field = strings.TrimPrefix(fault.field, "/")
		return paramError(inQuery, fault)
	}
	if into != nil {
		if err := object.decode(into); err != nil {
			return paramError(inQuery, &paramFault{issue: err.Error()})
		}
	}
	return nil
}

func (c *call) decodeBody(s *schema, into any) *refusal {
	contentType := c.r.Header.Get("Content-Type")
	mediaType, params, err := mime.ParseMediaType(contentType)
	if err != nil || mediaType != "application/json" || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
		return protocolError("Content-Type", contentType, "must be application/json")
	}
	return decodeJSON(c.withPath(s), c.body, into)
}

// withPath is the schema, and with PathInBody the parameter of the path too,
// which then must be the same in both places.
func (c *call) withPath(s *schema) *schema {
	name := c.endpoint.elementName()
	if !c.b.PathInBody || name == "" {
		return s
	}
	wider := *s
	wider.fields = append(slices.Clone(s.fields), schemaField{name, &schema{kind: kindString, enum: []string{c.id}}})
	return &wider
}

func decodeJSON(s *schema, data []byte, into any) *refusal {
	if len(data) == 0 {
		return bodyError("", nil, "the body is empty")
	}
	object, fault := parseJSON(data)
	if fault != nil {
		return paramError(inBody, fault)
	}
	if unknown := s.unknown(object, ""); len(unknown) > 0 {
		// This is the shape that WeChat Pay's refusal has: the pointers as an
		// array, no location.
		return &refusal{
			status: 400, code: "PARAM_ERROR", internal: internalUnknownField,
			message: strings.Join(unknown, ", ") + ": no parameter of this endpoint",
			detail:  errorDetail{Field: unknown[0], Value: unknown, Issue: "is no parameter of this endpoint"},
		}
	}
	if fault := s.check(object, ""); fault != nil {
		return paramError(inBody, fault)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return bodyError("", nil, "%v", err)
	}
	return nil
}

// pathLimits are the lengths of the elements of a path that vary, in characters.
var pathLimits = map[string]int{"complaint_id": 64, "media_id": 256, "out_refund_no": 64}

func (c *call) checkPath() *refusal {
	name := c.endpoint.elementName()
	if name == "" {
		return nil
	}
	fault := paramFault{field: name, value: plainValue(c.id)}
	if n := utf8.RuneCountInString(c.id); n > pathLimits[name] {
		fault.issue = fmt.Sprintf("has %d characters, and may have %d", n, pathLimits[name])
	} else if !utf8.ValidString(c.id) {
		fault.issue, fault.value = "is not UTF-8", nil
	} else if issue := textProblem(c.id); issue != "" {
		fault.issue = issue
	} else if name == "out_refund_no" {
		fault.issue = refundNumberProblem(c.id)
	}
	if fault.issue != "" {
		return paramError(inPath, &fault)
	}
	return nil
}

// send signs the answer and writes it, as far as the fault lets it.
func (c *call) send(w http.ResponseWriter, a *answer) {
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
func (c *call) sign(a *answer) {
	serial, key := c.s.signingKey(c.b.KeyMode, c.r.Header.Get("Wechatpay-Serial"))
	at := c.s.wireNow()
	switch c.fault.kind() {
	case FaultForged:
		key = processKey(strangerRole)
	case FaultOld:
		at = at.Add(-15 * time.Minute)
	}
	signHeaders(a.header, serial, key, at, a.body)
	if c.fault.kind() == FaultProbe {
		probe(a.header)
	}
}

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
		s.handlers.Handle(pattern, userHandler{s, pattern})
	}
	s.custom[pattern] = h
}

// HandlePlain gives the requests that match pattern, as http.ServeMux
// understands it, to a handler that is no part of WeChat Pay's API: they are
// not checked, not logged, not signed, and no fault strikes them. It panics for
// a pattern that ServeMux does not take, or that is there already.
func (s *Server) HandlePlain(pattern string, h http.Handler) { s.plain.Handle(pattern, h) }

// userHandler stands in the mux for the handler that a pattern has at the moment.
type userHandler struct {
	s       *Server
	pattern string
}

func (u userHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) { u.handler().ServeHTTP(w, r) }

func (u userHandler) handler() http.Handler {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	if h := u.s.custom[u.pattern]; h != nil {
		return h
	}
	return http.NotFoundHandler()
}

// userHandler returns the mux if the user has a handler for the request. The
// mux itself serves it, because only that sets path values.
func (s *Server) userHandler(r *http.Request) http.Handler {
	_, pattern := s.handlers.Handler(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.custom[pattern] == nil {
		return nil
	}
	return s.handlers
}

// handOver lets the user's handler answer.
func (c *call) handOver(h http.Handler) *answer {
	r := c.r.Clone(c.r.Context())
	r.Body = http.NoBody
	if len(c.body) > 0 {
		r.Body = newBody(c.body)
	}
	rec := &recorder{answer: &answer{header: http.Header{}}}
	h.ServeHTTP(rec, r)
	a := rec.answer
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if len(a.body) > 0 && a.header.Get("Content-Type") == "" {
		a.header.Set("Content-Type", http.DetectContentType(a.body))
	}
	a.tookEffect = c.r.Method != http.MethodGet && a.status/100 == 2
	return a
}
