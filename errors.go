package wechatpay

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ErrOutcomeUnknown is wrapped by every error after which a write may or may not
// have been applied, for example because the connection broke, time ran out, or a
// gateway responded. The error also wraps the cause. Check what happened
// before you repeat the call.
//
//	if errors.Is(err, wechatpay.ErrOutcomeUnknown) { … }
var ErrOutcomeUnknown = errors.New("outcome unknown")

// OutcomeUnknownError is the error that wraps ErrOutcomeUnknown. Its fields help to
// find out what happened. To ask only whether the outcome is unknown, use errors.Is
// with ErrOutcomeUnknown.
type OutcomeUnknownError struct {
	Op string // the method that was called; of Resolve: and the step
	// IdempotencyKey identifies the call at WeChat Pay, if the endpoint has such
	// a key: the out_refund_no of a refund, the idempotent_id of an
	// immediate-service reply. Repeating the call with it has no second effect.
	IdempotencyKey string
	Remedy         string // how to find out
	Err            error  // the cause
}

// Error returns one line with the operation, the cause, the key and the remedy.
func (e *OutcomeUnknownError) Error() string {
	key := ""
	if e.IdempotencyKey != "" {
		key = fmt.Sprintf(" [idempotency key %s]", e.IdempotencyKey)
	}
	op, _, _ := strings.Cut(e.Op, ": ") // of Resolve: without the step
	cause := strings.ReplaceAll(fmt.Sprint(e.Err), "wechatpay: "+op+": ", "")
	return fmt.Sprintf("wechatpay: %s: %v: %s%s; %s", e.Op, ErrOutcomeUnknown, cause, key, e.Remedy)
}

// Unwrap returns ErrOutcomeUnknown and the cause.
func (e *OutcomeUnknownError) Unwrap() []error { return []error{ErrOutcomeUnknown, e.Err} }

// An otherError is the error of another request than the call's own: a lookup,
// or the download of certificates. errors.Is sees through it, errors.As does
// not: an *APIError inside must not pass for the response to the call.
type otherError struct{ err error }

func (e *otherError) Error() string        { return e.err.Error() }
func (e *otherError) Is(target error) bool { return errors.Is(e.err, target) }

func asOther(err error) error {
	if err == nil {
		return nil
	}
	return &otherError{err}
}

// ErrorCode is the code of an error response. Codes without a constant pass
// through unchanged.
type ErrorCode string

// Codes of the complaint endpoints, of refunds, and of the v3 API in general.
const (
	ErrorCodeParamError          ErrorCode = "PARAM_ERROR"           // 400: a parameter is missing or invalid
	ErrorCodeInvalidRequest      ErrorCode = "INVALID_REQUEST"       // 400: violates the protocol or a business rule
	ErrorCodeSignError           ErrorCode = "SIGN_ERROR"            // 401: Authorization is missing or wrong
	ErrorCodeNoAuth              ErrorCode = "NO_AUTH"               // 403: no permission, or not this merchant's
	ErrorCodeNotEnough           ErrorCode = "NOT_ENOUGH"            // 403: the merchant's balance is too low
	ErrorCodeUserAccountAbnormal ErrorCode = "USER_ACCOUNT_ABNORMAL" // 403: the user's account is unusable
	ErrorCodeMchNotExists        ErrorCode = "MCH_NOT_EXISTS"        // 404: unknown merchant
	ErrorCodeResourceNotExists   ErrorCode = "RESOURCE_NOT_EXISTS"   // 404; 400 for a notification URL that is not set
	ErrorCodeOrderNotExist       ErrorCode = "ORDER_NOT_EXIST"       // 404: unknown order
	ErrorCodeFrequencyLimited    ErrorCode = "FREQUENCY_LIMITED"     // 429: called too often
	ErrorCodeRateLimitExceeded   ErrorCode = "RATELIMIT_EXCEEDED"    // 429: called too often
	ErrorCodeSystemError         ErrorCode = "SYSTEM_ERROR"          // 500: the service failed
	ErrorCodeServiceUnavailable  ErrorCode = "SERVICE_UNAVAILABLE"   // 503: the service is overloaded or down
)

// APIError is any response other than the documented success: an error status,
// a redirect, or a success status that the endpoint does not have.
//
// Branch on Code, never on Message: messages are Chinese prose and change.
type APIError struct {
	StatusCode int
	Code       ErrorCode // empty if the body has none, as in a gateway's page
	Message    string
	// Detail is the free-form detail as it was received, or nil. In a SIGN_ERROR
	// it quotes the string that WeChat Pay checked, with the start of the body.
	Detail    json.RawMessage
	RequestID string // WeChat Pay's trace id; quote it to their support
	Method    string
	Host      string // host[:port]
	Path      string // escaped, without the query
}

// Error returns one line with the complaint or path, the host, the status, the
// code, the message, the field that Detail names, and the request id.
func (e *APIError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d", target(e.Method, "://"+e.Host, e.Path), e.StatusCode)
	if e.Code != "" {
		fmt.Fprintf(&b, " %s", oneLine(string(e.Code)))
	}
	if e.Message != "" {
		fmt.Fprintf(&b, ": %s", oneLine(e.Message))
	}
	if field, issue := e.fieldAndIssue(); field != "" || issue != "" {
		fmt.Fprintf(&b, " (%s)", oneLine(strings.Trim(field+": "+issue, ": ")))
	}
	return b.String() + requestIDSuffix(e.RequestID)
}

func requestIDSuffix(id string) string {
	if id == "" {
		return ""
	}
	return fmt.Sprintf(" [request id %s]", oneLine(id))
}

// fieldAndIssue reads what it can of Detail, which has several shapes. Instead of
// a field, value may list the JSON pointers of members that WeChat Pay does not
// know.
func (e *APIError) fieldAndIssue() (field, issue string) {
	var detail struct {
		Field, Issue, Value any
		Detail              struct{ Issue any }
	}
	// A field of another type leaves the others readable.
	_ = json.Unmarshal(e.Detail, &detail)
	field, _ = detail.Field.(string)
	if values, ok := detail.Value.([]any); ok && field == "" {
		var pointers []string
		for _, value := range values {
			if pointer, ok := value.(string); ok && strings.HasPrefix(pointer, "/") {
				pointers = append(pointers, pointer)
			}
		}
		field = strings.Join(pointers, ", ")
	}
	if issue, _ = detail.Issue.(string); issue == "" {
		issue, _ = detail.Detail.Issue.(string)
	}
	return field, issue
}

// newAPIError reads as much of an error body as it can.
func newAPIError(resp *http.Response, method, hostURL, path string, body []byte) *APIError {
	path, _, _ = strings.Cut(path, "?")
	_, hostname, _ := strings.Cut(hostURL, "://")
	e := &APIError{
		StatusCode: resp.StatusCode, RequestID: shownHeader(resp, headerRequestID),
		Method: method, Host: hostname, Path: path,
	}
	if quotesAuthorization(resp, body) || quotesAuthorization(resp, unescapeJSON(body)) {
		e.Message = notWeChatPay + ": it repeats the Authorization header, and is not shown"
		return e
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) == nil {
		// One by one: a field of another type leaves the others readable.
		_ = json.Unmarshal(fields["code"], &e.Code)
		_ = json.Unmarshal(fields["message"], &e.Message)
		if detail := fields["detail"]; string(detail) != "null" {
			e.Detail = detail
		}
	}
	switch {
	case e.StatusCode < 300:
		e.Message = cmp.Or(e.Message, oneLine(string(body)))
	case e.StatusCode < 500 && !e.fromWeChatPay(), e.Code == "" && e.Message == "":
		e.Message = joinTexts(notWeChatPay, gatewayText(resp, e.Message, body))
	}
	return e
}

const notWeChatPay = "not a WeChat Pay response"

// gatewayText describes a response that is not WeChat Pay's.
func gatewayText(resp *http.Response, message string, body []byte) string {
	if to, err := resp.Location(); err == nil && resp.StatusCode < 400 {
		place := to.Scheme + "://" + to.Host + to.EscapedPath()
		if len(place) > maxShownLocation || quotesAuthorizationEscaped(resp, place) {
			return "redirect"
		}
		return "redirect to " + place
	}
	if title := htmlTitle.FindSubmatch(body); title != nil {
		return "HTML page: " + oneLine(string(title[1]))
	}
	return cmp.Or(message, oneLine(string(body)))
}

var htmlTitle = regexp.MustCompile(`(?i)<title[^>]*>([^<]{1,80})`)

// joinTexts joins the texts that are not empty.
func joinTexts(texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(s string) bool { return s == "" }), ": ")
}

// errorCode is what codes of WeChat Pay look like.
var errorCode = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)

// fromWeChatPay reports whether WeChat Pay itself rejected the request, as far
// as an unsigned response can show it: a 4xx with an error code.
func (e *APIError) fromWeChatPay() bool {
	return e.StatusCode >= 400 && e.StatusCode < 500 && errorCode.MatchString(string(e.Code))
}

// Longer headers are not shown in errors and logs: a gateway may have copied the
// Authorization header into them. A Request-ID or a serial number is shorter.
const (
	maxShownHeader   = 100
	maxShownLocation = 200
)

// shownHeader returns a response header for an error or a log: one line, or "" if
// it is too long or repeats the Authorization header of the request.
func shownHeader(resp *http.Response, name string) string {
	value := boundedHeader(resp.Header, name)
	if quotesAuthorizationEscaped(resp, value) {
		return ""
	}
	return value
}

// boundedHeader is shownHeader if the request is not known.
func boundedHeader(h http.Header, name string) string {
	value := h.Get(name)
	if len(value) > maxShownHeader || strings.Contains(value, algorithm) || strings.Contains(value, "signature=") {
		return ""
	}
	return oneLine(value)
}

// quotesAuthorizationEscaped is quotesAuthorization for a header, which may be
// escaped as in a URL, and may contain any part of the signature.
func quotesAuthorizationEscaped(resp *http.Response, text string) bool {
	if plain, err := url.PathUnescape(text); err == nil {
		text = plain
	}
	if quotesAuthorization(resp, []byte(text)) {
		return true
	}
	signature := requestSignature(resp)
	for i := range len(text) - minQuotedPart + 1 {
		if strings.Contains(signature, text[i:i+minQuotedPart]) {
			return true
		}
	}
	return false
}

// quotesAuthorization reports whether a body repeats the Authorization header of
// the request, as the error pages of some gateways do.
func quotesAuthorization(resp *http.Response, body []byte) bool {
	if bytes.Contains(body, []byte(algorithm)) && bytes.Contains(body, []byte("signature=")) {
		return true
	}
	// Only a part without + / = is the same in JSON, in HTML and in a URL.
	isSpecial := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }
	for _, part := range strings.FieldsFunc(requestSignature(resp), isSpecial) {
		if len(part) >= minQuotedPart && bytes.Contains(body, []byte(part)) {
			return true
		}
	}
	return false
}

// minQuotedPart is how many equal characters are not a coincidence.
const minQuotedPart = 12

// requestSignature returns the signature of the request, or "".
func requestSignature(resp *http.Response) string {
	if resp.Request == nil {
		return ""
	}
	_, signature, _ := strings.Cut(resp.Request.Header.Get("Authorization"), `signature="`)
	return strings.TrimSuffix(signature, `"`)
}

// unescapeJSON returns a JSON body without escapes of characters, or nil if it is
// not JSON.
func unescapeJSON(body []byte) []byte {
	var value any
	if json.Unmarshal(body, &value) != nil {
		return nil
	}
	plain, _ := json.Marshal(value)
	return plain
}

// oneLine makes foreign text fit for an error message: valid UTF-8, no line
// breaks or other control characters, at most 200 characters.
func oneLine(s string) string {
	if len(s) > 4*300 {
		s = s[:4*300]
	}
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r == utf8.RuneError
	}), " ")
	if utf8.RuneCountInString(s) > 200 {
		s = string([]rune(s)[:200]) + "…"
	}
	return s
}

// VerificationReason is the reason of a VerificationError.
type VerificationReason string

// Reasons of a VerificationError.
const (
	// VerificationReasonUnsigned: there are no signature headers.
	VerificationReasonUnsigned VerificationReason = "UNSIGNED"
	// VerificationReasonMalformedHeader: a signature header is missing, repeated
	// or malformed.
	VerificationReasonMalformedHeader VerificationReason = "MALFORMED_HEADER"
	// VerificationReasonProbe: the signature begins with WECHATPAY/SIGNTEST/. With
	// such invalid signatures WeChat Pay checks that clients verify.
	VerificationReasonProbe VerificationReason = "PROBE"
	// VerificationReasonTimestamp: the timestamp is 300 s or more away from the
	// local clock.
	VerificationReasonTimestamp VerificationReason = "TIMESTAMP"
	// VerificationReasonUnknownSerial: there is no key for the serial number or
	// public key ID.
	VerificationReasonUnknownSerial VerificationReason = "UNKNOWN_SERIAL"
	// VerificationReasonCertificateNotValid: by the local clock the platform
	// certificate has expired, or is not valid yet.
	VerificationReasonCertificateNotValid VerificationReason = "CERTIFICATE_NOT_VALID"
	// VerificationReasonSignatureMismatch: the signature does not match the body
	// and the key.
	VerificationReasonSignatureMismatch VerificationReason = "SIGNATURE_MISMATCH"
	// VerificationReasonBodyTooLarge: the body exceeds the size limit and was not
	// read.
	VerificationReasonBodyTooLarge VerificationReason = "BODY_TOO_LARGE"
	// VerificationReasonMismatch: the signature is valid, but the response does
	// not answer the request. It is a mix-up, or an error whose status was
	// changed on the way.
	VerificationReasonMismatch VerificationReason = "RESPONSE_MISMATCH"
	// VerificationReasonReplayed: the Client received the same signed response
	// before.
	VerificationReasonReplayed VerificationReason = "REPLAYED"
)

// VerificationError reports that the signature of a response or a notification
// could not be verified: it may not come from WeChat Pay. After a write that may
// have been applied, the error of the call also wraps ErrOutcomeUnknown.
type VerificationError struct {
	Reason     VerificationReason
	SerialNo   string        // Wechatpay-Serial as received
	Skew       time.Duration // local clock minus Wechatpay-Timestamp; 0 if that is malformed
	StatusCode int           // HTTP status of the response; 0 for a notification
	RequestID  string
	// Err is the error of the certificate download if that is why the key is
	// missing, or nil. errors.As finds no *APIError in it, because it belongs to
	// another request.
	Err error

	hint string // the likely cause
}

// Unwrap returns Err.
func (e *VerificationError) Unwrap() error { return e.Err }

// Error returns the reason, the likely cause, and the request ID in one line.
func (e *VerificationError) Error() string {
	var b strings.Builder
	switch e.Reason {
	case VerificationReasonMismatch:
		b.WriteString("the response does not match the request: " + oneLine(e.hint))
	case VerificationReasonReplayed:
		b.WriteString("the response was received before")
	default:
		b.WriteString("signature verification failed: " + e.problem())
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.StatusCode != 0 {
		fmt.Fprintf(&b, " [status %d]", e.StatusCode)
	}
	return b.String() + requestIDSuffix(e.RequestID)
}

// problem returns the reason and the likely cause.
func (e *VerificationError) problem() string {
	serialNo := oneLine(e.SerialNo)
	switch e.Reason {
	case VerificationReasonUnsigned:
		if e.StatusCode == 0 {
			return cmp.Or(e.hint, "not signed: not from WeChat Pay, or a gateway removed the headers")
		}
		return "not signed: sent by a gateway, or by a test server (use wechatpaytest or InsecureSkipVerify)"
	case VerificationReasonMalformedHeader:
		return cmp.Or(e.hint, "a signature header is missing, repeated or malformed")
	case VerificationReasonProbe:
		return "WeChat Pay sent an invalid signature (WECHATPAY/SIGNTEST/) as a check; no action is needed"
	case VerificationReasonTimestamp:
		age := e.Skew.Abs().Round(time.Second)
		if e.Skew < 0 {
			return fmt.Sprintf("the timestamp is %v in the future (limit 300s): the local clock is behind", age)
		}
		return fmt.Sprintf("the timestamp is %v in the past (limit 300s): "+
			"the local clock is ahead, or the message was replayed", age)
	case VerificationReasonUnknownSerial:
		return fmt.Sprintf("no key for serial number %q: %s", serialNo, cmp.Or(e.hint, "compare it with PublicKeyID"))
	case VerificationReasonCertificateNotValid:
		return fmt.Sprintf("certificate %q is not valid now: %s", serialNo,
			cmp.Or(e.hint, "expired, or the clock is wrong"))
	case VerificationReasonSignatureMismatch:
		return fmt.Sprintf("the signature does not match key %q: %s", serialNo,
			cmp.Or(e.hint, "the key is wrong, or the body was modified"))
	case VerificationReasonBodyTooLarge:
		return "the body exceeds the size limit"
	}
	return string(e.Reason)
}

// ArgumentError reports invalid arguments: every fault that was found before
// anything was sent. NewClient and ConfigFromEnv return it for invalid settings.
type ArgumentError struct {
	Op     string // the function or method, such as ComplaintsV2.Get
	Faults []ArgumentFault
}

// ArgumentFault is an invalid field.
type ArgumentFault struct {
	Field   string // the Go name, such as RejectMediaList[2], or the environment variable
	Problem string // such as "has 201 characters, at most 200 allowed"; never contains a secret
}

// Error returns all faults in one line.
func (e *ArgumentError) Error() string {
	faults := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		faults[i] = f.Field + ": " + f.Problem
	}
	return fmt.Sprintf("wechatpay: %s: invalid argument: %s", e.Op, strings.Join(faults, "; "))
}
