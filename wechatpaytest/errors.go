package wechatpaytest

import (
	"fmt"
	"strings"
)

// An apiError is an error response before it is encoded.
type apiError struct {
	status   int
	code     string
	message  string // for the developer who reads the client's error
	detail   any
	internal int // the internal code of Request-ID; 0: other

	signature *SignatureProblem
}

// The internal codes of Request-ID that are known.
const (
	internalSignature    = 268443699
	internalUnknownField = 270924358
	internalFrequency    = 268447840
	internalRepeated     = 268498688
)

// errorDetail is the detail member of an error response.
type errorDetail struct {
	Field    string  `json:"field"`
	Value    any     `json:"value"`
	Issue    string  `json:"issue"`
	Location *string `json:"location"`
}

const unknownParam = "is not a parameter of this endpoint"

// unknownDetail is the detail of an error about unknown members of a body.
type unknownDetail struct {
	Location *string  `json:"location"` // null
	Value    []string `json:"value"`    // their pointers, below /body
}

// unknownError returns the 400 PARAM_ERROR for unknown members, with the detail
// that WeChat Pay returns.
func unknownError(pointers []string) *apiError {
	detail := unknownDetail{Value: make([]string, len(pointers))}
	for i, pointer := range pointers {
		detail.Value[i] = "/body" + pointer
	}
	return &apiError{
		status:   400,
		code:     "PARAM_ERROR",
		internal: internalUnknownField,
		message:  strings.Join(pointers, ", ") + ": " + unknownParam,
		detail:   detail,
	}
}

// The location of an invalid parameter. The documents name only body and
// authorization.
const (
	inBody          = "body"
	inQuery         = "query"
	inPath          = "path"
	inHeader        = "header"
	inAuthorization = "authorization"
)

// An invalidParam is a parameter that breaks a rule.
type invalidParam struct {
	field string // a JSON pointer in a body, otherwise a name; "": the whole body or query
	value any
	issue string // a predicate, such as "is required"
}

// text returns the issue with the name of the parameter.
func (p *invalidParam) text(location string) string {
	if p.field == "" {
		return location + ": " + p.issue
	}
	return p.field + ": " + p.issue
}

// paramError returns the 400 PARAM_ERROR for an invalid parameter.
func paramError(location string, p *invalidParam) *apiError {
	return &apiError{
		status:  400,
		code:    "PARAM_ERROR",
		message: p.text(location),
		detail:  errorDetail{Field: p.field, Value: p.value, Issue: p.issue, Location: &location},
	}
}

// bodyError returns the error for a parameter of a JSON body.
func bodyError(field string, value any, format string, args ...any) *apiError {
	return paramError(inBody, &invalidParam{field, detailValue(value), fmt.Sprintf(format, args...)})
}

// queryError returns the error for a parameter of the query.
func queryError(field string, value any, format string, args ...any) *apiError {
	return paramError(inQuery, &invalidParam{field, detailValue(value), fmt.Sprintf(format, args...)})
}

// headerError returns the 400 INVALID_REQUEST for an invalid header.
func headerError(header string, value any, format string, args ...any) *apiError {
	location := inHeader
	issue := fmt.Sprintf(format, args...)
	return &apiError{
		status:  400,
		code:    "INVALID_REQUEST",
		message: "HTTP header " + header + ": " + issue,
		detail:  errorDetail{Field: header, Value: value, Issue: issue, Location: &location},
	}
}

// errorf returns an error with the status and code of r and without a detail.
func (r Refusal) errorf(format string, args ...any) *apiError {
	return &apiError{status: r.StatusCode, code: r.Code, message: fmt.Sprintf(format, args...)}
}

var (
	invalidRequest = Refusal{400, "INVALID_REQUEST"}
	noAuth         = Refusal{403, "NO_AUTH"}
	notExists      = Refusal{404, "RESOURCE_NOT_EXISTS"}
	rateLimited    = Refusal{429, "FREQUENCY_LIMITED"}
)
