package wechatpaytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// endpoints are the endpoints of the server, in the order of the documents.
var endpoints []*endpoint

func init() {
	// Set here because the handlers refer to this list.
	const complaintPath = "/v3/merchant-service/complaints-v2/{complaint_id}"
	const notificationURL = "/v3/merchant-service/complaint-notifications"
	endpoints = []*endpoint{
		queryEndpoint("GET", "/v3/merchant-service/complaints-v2", (*call).listComplaints).
			mixedUp((*call).otherPage).limited(rateList),
		queryEndpoint("GET", complaintPath, (*call).getComplaint).mixedUp((*call).otherComplaint),
		queryEndpoint("GET", complaintPath+"/negotiation-historys", (*call).negotiationHistory).
			mixedUp((*call).otherPage).limited(rateHistory),
		bodyEndpoint("POST", complaintPath+"/response", (*call).respond).limited(rateReply),
		bodyEndpoint("POST", complaintPath+"/response-immediate-service", (*call).respondImmediateService).
			limited(rateReply),
		bodyEndpoint("POST", complaintPath+"/complete", (*call).complete).limited(rateComplete),
		bodyEndpoint("POST", complaintPath+"/update-refund-progress", (*call).updateRefundProgress),
		bodyEndpoint("POST", notificationURL, (*call).createNotificationURL).mixedUp((*call).otherNotificationURL),
		queryEndpoint("GET", notificationURL, (*call).getNotificationURL),
		bodyEndpoint("PUT", notificationURL, (*call).updateNotificationURL).mixedUp((*call).otherNotificationURL),
		queryEndpoint("DELETE", notificationURL, (*call).deleteNotificationURL),
		{method: "POST", pattern: uploadPattern, serve: uploadImage, rate: rateUpload},
		queryEndpoint("GET", imagePattern, (*call).downloadImage),
		queryEndpoint("GET", "/v3/certificates", (*call).listCertificates),
		bodyEndpoint("POST", "/v3/refund/domestic/refunds", (*call).createRefund).mixedUp((*call).otherRefund),
		queryEndpoint("GET", "/v3/refund/domestic/refunds/{out_refund_no}", (*call).getRefund).
			mixedUp((*call).otherRefund),
		bodyEndpoint("POST", "/v3/security/echo", (*call).echo),
	}
}

// An endpoint is one method and path of the API.
type endpoint struct {
	method  string
	pattern string // with at most one {parameter}
	serve   func(*call) *response
	// other returns the response of another object, for FaultMixedUp, or nil if
	// there is none. nil: a response does not say what it is about.
	other func(*call) *response
	rate  rateKind
}

func (e *endpoint) limited(kind rateKind) *endpoint {
	e.rate = kind
	return e
}

func (e *endpoint) mixedUp(other func(*call) *response) *endpoint {
	e.other = other
	return e
}

// noParams is the schema of a request without parameters.
type noParams struct{}

// A validator has rules that its schema cannot express.
type validator interface{ check(*call) *apiError }

// queryEndpoint returns an endpoint that takes its parameters from the query.
func queryEndpoint[In any](method, pattern string, do func(*call, *In) (any, *apiError)) *endpoint {
	schema := schemaOf[In]()
	return &endpoint{method: method, pattern: pattern, serve: func(c *call) *response {
		in := new(In)
		if apiErr := c.decodeQuery(schema, in); apiErr != nil {
			return errorResponse(apiErr)
		}
		if len(c.body) > 0 {
			body := truncate(string(c.body), 40)
			return errorResponse(bodyError("", nil, "must be empty for %s, got %s", method, body))
		}
		return serve(c, in, do)
	}}
}

// bodyEndpoint returns an endpoint that takes its parameters from a JSON body.
func bodyEndpoint[In any](method, pattern string, do func(*call, *In) (any, *apiError)) *endpoint {
	schema := schemaOf[In]()
	return &endpoint{method: method, pattern: pattern, serve: func(c *call) *response {
		in := new(In)
		if apiErr := c.decodeQuery(schemaOf[noParams](), nil); apiErr != nil {
			return errorResponse(apiErr)
		}
		if apiErr := c.decodeBody(schema, in); apiErr != nil {
			return errorResponse(apiErr)
		}
		return serve(c, in, do)
	}}
}

// serve checks the rules beyond the schema and calls do under the lock, so that
// the request takes effect atomically. do changes nothing if it returns an error.
func serve[In any](c *call, in *In, do func(*call, *In) (any, *apiError)) *response {
	if apiErr := c.checkPath(); apiErr != nil {
		return errorResponse(apiErr)
	}
	if v, ok := any(in).(validator); ok {
		if apiErr := v.check(c); apiErr != nil {
			return errorResponse(apiErr)
		}
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	out, apiErr := do(c, in)
	if apiErr != nil {
		return errorResponse(apiErr)
	}
	resp := &response{
		status:     http.StatusNoContent,
		header:     http.Header{},
		tookEffect: c.r.Method != http.MethodGet && !c.noEffect,
	}
	switch out := out.(type) {
	case nil:
	case *image:
		resp.status, resp.body, resp.unsigned = http.StatusOK, out.data, true
		resp.header.Set("Content-Type", out.contentType)
	default:
		resp.status, resp.body = http.StatusOK, encode(out)
		resp.header.Set("Content-Type", jsonType)
	}
	return resp
}

const jsonType = "application/json; charset=utf-8"

// encode returns v as JSON, without HTML escapes.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("wechatpaytest: encode: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// route returns the endpoint of a method and an escaped path, and the path
// parameter. If there is none, it returns the methods that the path does have.
func route(method, path string) (found *endpoint, param string, otherMethods []string) {
	for _, e := range endpoints {
		param, ok := e.match(path)
		if ok && e.method == method {
			return e, param, nil
		}
		if ok {
			otherMethods = append(otherMethods, e.method)
		}
	}
	return nil, "", otherMethods
}

// match reports whether the escaped path matches the pattern, and returns the
// unescaped path parameter.
func (e *endpoint) match(path string) (param string, ok bool) {
	before, rest, hasParam := strings.Cut(e.pattern, "{")
	if !hasParam {
		return "", path == e.pattern
	}
	_, after, _ := strings.Cut(rest, "}")
	param, ok = strings.CutPrefix(path, before)
	if !ok {
		return "", false
	}
	param, ok = strings.CutSuffix(param, after)
	// Image ids may contain unescaped slashes.
	if !ok || param == "" || strings.Contains(param, "/") && e.pattern != imagePattern {
		return "", false
	}
	param, err := url.PathUnescape(param)
	return param, err == nil
}

// paramName returns the name of the path parameter, or "".
func (e *endpoint) paramName() string {
	_, rest, _ := strings.Cut(e.pattern, "{")
	name, _, _ := strings.Cut(rest, "}")
	return name
}

func (c *call) decodeQuery(s *schema, into any) *apiError {
	object, invalid := s.parseQuery(c.rawQuery)
	if invalid != nil {
		return paramError(inQuery, invalid)
	}
	for _, name := range object.names {
		if s.field(name) == nil {
			invalid := &invalidParam{field: name, value: detailValue(object.values[name]), issue: unknownParam}
			return paramError(inQuery, invalid)
		}
	}
	if invalid := s.check(object, ""); invalid != nil {
		invalid.field = strings.TrimPrefix(invalid.field, "/")
		return paramError(inQuery, invalid)
	}
	if into != nil {
		if err := object.decode(into); err != nil {
			return paramError(inQuery, &invalidParam{issue: err.Error()})
		}
	}
	return nil
}

func (c *call) decodeBody(s *schema, into any) *apiError {
	contentType := c.r.Header.Get("Content-Type")
	mediaType, params, err := mime.ParseMediaType(contentType)
	switch charset := params["charset"]; {
	case err != nil || mediaType != "application/json":
		return headerError("Content-Type", contentType, "must be application/json")
	case charset != "" && !strings.EqualFold(charset, "utf-8"):
		return headerError("Content-Type", contentType, "charset must be utf-8, got %s", charset)
	}
	if apiErr := decodeJSON(c.withPathParam(s), c.body, into); apiErr != nil {
		return apiErr
	}
	return c.checkEmptyLists()
}

// checkEmptyLists applies [Behavior.NoEmptyLists] to a body that is valid
// otherwise.
func (c *call) checkEmptyLists() *apiError {
	if !c.b.NoEmptyLists {
		return nil
	}
	object, _ := parseJSON(c.body)
	if pointer, found := emptyList(object, ""); found {
		return bodyError(pointer, nil, "must not be an empty array; omit it instead")
	}
	return nil
}

// withPathParam returns the schema of the body. With [Behavior.PathInBody], it
// also allows the path parameter, with the same value as in the path.
func (c *call) withPathParam(s *schema) *schema {
	name := c.endpoint.paramName()
	if !c.b.PathInBody || name == "" {
		return s
	}
	extended := *s
	param := schemaField{name, &schema{kind: kindString, enum: []string{c.id}}}
	extended.fields = append(slices.Clone(s.fields), param)
	return &extended
}

// decodeJSON checks a JSON object against a schema and stores it in a struct.
func decodeJSON(s *schema, data []byte, into any) *apiError {
	if len(data) == 0 {
		return bodyError("", nil, "must not be empty")
	}
	object, invalid := parseJSON(data)
	if invalid != nil {
		return paramError(inBody, invalid)
	}
	if unknown := s.unknown(object, ""); len(unknown) > 0 {
		return unknownError(unknown)
	}
	if invalid := s.check(object, ""); invalid != nil {
		return paramError(inBody, invalid)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return bodyError("", nil, "%v", err)
	}
	return nil
}

// maxParamLength is the maximum length of each path parameter, in characters.
var maxParamLength = map[string]int{"complaint_id": 64, "media_id": 256, "out_refund_no": 64}

func (c *call) checkPath() *apiError {
	name := c.endpoint.paramName()
	if name == "" {
		return nil
	}
	invalid := invalidParam{field: name, value: detailValue(c.id)}
	if n, limit := utf8.RuneCountInString(c.id), maxParamLength[name]; n > limit {
		invalid.issue = fmt.Sprintf("must have at most %d characters, got %d", limit, n)
	} else if !utf8.ValidString(c.id) {
		invalid.issue, invalid.value = "must be UTF-8", nil
	} else if issue := textIssue(c.id); issue != "" {
		invalid.issue = issue
	} else if name == "out_refund_no" {
		invalid.issue = refundNumberIssue(c.id)
	}
	if invalid.issue != "" {
		return paramError(inPath, &invalid)
	}
	return nil
}
