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
	serve   func(*call) *response
}

// nothing is the schema of a request without parameters.
type noParams struct{}

// A checker has rules that its schema cannot express.
type validator interface{ check(*call) *apiError }

// query is an endpoint whose parameters come in the query.
func query[In any](method, pattern string, do func(*call, *In) (any, *apiError)) *endpoint {
	schema := schemaOf[In]()
	return &endpoint{method, pattern, func(c *call) *response {
		in := new(In)
		if apiErr := c.decodeQuery(schema, in); apiErr != nil {
			return c.errorResponse(apiErr)
		}
		if len(c.body) > 0 {
			return c.errorResponse(bodyError("", nil, "%s takes no body", method))
		}
		return serve(c, in, do)
	}}
}

// body is an endpoint whose parameters come as JSON.
func body[In any](method, pattern string, do func(*call, *In) (any, *apiError)) *endpoint {
	schema := schemaOf[In]()
	return &endpoint{method, pattern, func(c *call) *response {
		in := new(In)
		if apiErr := c.decodeQuery(schemaOf[noParams](), nil); apiErr != nil {
			return c.errorResponse(apiErr)
		}
		if apiErr := c.decodeBody(schema, in); apiErr != nil {
			return c.errorResponse(apiErr)
		}
		return serve(c, in, do)
	}}
}

// serve carries a request out whose parameters are as the schema says. do runs
// under the lock, so that a request takes effect at once and as a whole; it
// changes nothing when it refuses.
func serve[In any](c *call, in *In, do func(*call, *In) (any, *apiError)) *response {
	if apiErr := c.checkPath(); apiErr != nil {
		return c.errorResponse(apiErr)
	}
	if validator, ok := any(in).(validator); ok {
		if apiErr := validator.check(c); apiErr != nil {
			return c.errorResponse(apiErr)
		}
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	out, apiErr := do(c, in)
	if apiErr != nil {
		return c.errorResponse(apiErr)
	}
	a := &response{status: http.StatusNoContent, header: http.Header{}, tookEffect: c.r.Method != http.MethodGet && !c.noEffect}
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
func route(method, path string) (found *endpoint, element string, otherMethods []string) {
	for _, e := range endpoints {
		element, ok := e.match(path)
		if ok && e.method == method {
			return e, element, nil
		}
		if ok {
			otherMethods = append(otherMethods, e.method)
		}
	}
	return nil, "", otherMethods
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
func (e *endpoint) paramName() string {
	_, rest, _ := strings.Cut(e.pattern, "{")
	name, _, _ := strings.Cut(rest, "}")
	return name
}

func (c *call) decodeQuery(s *schema, into any) *apiError {
	object, fault := s.parseQuery(c.rawQuery)
	if fault != nil {
		return paramError(inQuery, fault)
	}
	for _, name := range object.names {
		if !slices.ContainsFunc(s.fields, func(f schemaField) bool { return f.name == name }) {
			return paramError(inQuery, &invalidParam{field: name, value: detailValue(object.values[name]), issue: "is no parameter of this endpoint"})
		}
	}
	if fault := s.check(object, ""); fault != nil {
		fault.field = strings.TrimPrefix(fault.field, "/")
		return paramError(inQuery, fault)
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
	if err != nil || mediaType != "application/json" || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
		return protocolError("Content-Type", contentType, "must be application/json")
	}
	return decodeJSON(c.withPath(s), c.body, into)
}

// withPath is the schema, and with PathInBody the parameter of the path too,
// which then must be the same in both places.
func (c *call) withPath(s *schema) *schema {
	name := c.endpoint.paramName()
	if !c.b.PathInBody || name == "" {
		return s
	}
	wider := *s
	wider.fields = append(slices.Clone(s.fields), schemaField{name, &schema{kind: kindString, enum: []string{c.id}}})
	return &wider
}

func decodeJSON(s *schema, data []byte, into any) *apiError {
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
		return &apiError{
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

func (c *call) checkPath() *apiError {
	name := c.endpoint.paramName()
	if name == "" {
		return nil
	}
	fault := invalidParam{field: name, value: detailValue(c.id)}
	if n := utf8.RuneCountInString(c.id); n > pathLimits[name] {
		fault.issue = fmt.Sprintf("has %d characters, and may have %d", n, pathLimits[name])
	} else if !utf8.ValidString(c.id) {
		fault.issue, fault.value = "is not UTF-8", nil
	} else if issue := textIssue(c.id); issue != "" {
		fault.issue = issue
	} else if name == "out_refund_no" {
		fault.issue = refundNumberIssue(c.id)
	}
	if fault.issue != "" {
		return paramError(inPath, &fault)
	}
	return nil
}
