package wechatpaytest

import (
	"fmt"
)

// A refusal is an answer that is an error.
type apiError struct {
	status   int
	code     string
	message  string
	detail   any
	internal int // the digits at the end of Request-ID

	signature *SignatureProblem
}

// The internal codes that are known. Any other refusal ends in 1, a success in 0.
const (
	internalSignature    = 268443699
	internalUnknownField = 270924358
	internalFrequency    = 268447840
	internalRepeated     = 268498688
	internalOther        = 1
)

// errorDetail is the detail of an error.
type errorDetail struct {
	Field    string  `json:"field"`
	Value    any     `json:"value"`
	Issue    string  `json:"issue"`
	Location *string `json:"location"`
}

// Where a parameter stands. Only body and authorization are documented names.
const (
	inBody          = "body"
	inQuery         = "query"
	inPath          = "path"
	inHeader        = "header"
	inAuthorization = "authorization"
)

func paramError(location string, f *invalidParam) *apiError {
	name := f.field
	if name == "" {
		name = "the " + location
	}
	return &apiError{
		status: 400, code: "PARAM_ERROR", internal: internalOther,
		message: name + ": " + f.issue,
		detail:  errorDetail{Field: f.field, Value: f.value, Issue: f.issue, Location: &location},
	}
}

func bodyError(field string, value any, format string, args ...any) *apiError {
	return paramError(inBody, &invalidParam{field: field, value: detailValue(value), issue: fmt.Sprintf(format, args...)})
}

// protocolError refuses what breaks the rules of the v3 protocol.
func protocolError(header string, value any, format string, args ...any) *apiError {
	location := inHeader
	issue := fmt.Sprintf(format, args...)
	return &apiError{
		status: 400, code: "INVALID_REQUEST", internal: internalOther,
		message: "the HTTP headers are incomplete or wrong: " + header + " " + issue,
		detail:  errorDetail{Field: header, Value: value, Issue: issue, Location: &location},
	}
}

func (r Refusal) errorf(format string, args ...any) *apiError {
	return &apiError{status: r.StatusCode, code: r.Code, internal: internalOther, message: fmt.Sprintf(format, args...)}
}

var (
	invalidRequest = Refusal{400, "INVALID_REQUEST"}
	noAuth         = Refusal{403, "NO_AUTH"}
	notExists      = Refusal{404, "RESOURCE_NOT_EXISTS"}
	rateLimited    = Refusal{429, "FREQUENCY_LIMITED"}
)

// A paramFault is one parameter that is refused.
type invalidParam struct {
	field string // a JSON pointer
	value any
	issue string
}
