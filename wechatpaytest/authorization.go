package wechatpaytest

import (
	"encoding/base64"
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxSkew is how far a timestamp may be from the server's clock. WeChat Pay
// does not document its limit; its own SDKs use 300 s for responses.
const maxSkew = 300 * time.Second

// checkHeaders checks the headers that every request must have.
func (c *call) checkHeaders() *apiError {
	accept := c.r.Header.Values("Accept")
	if len(accept) == 0 {
		return headerError("Accept", nil, "is required")
	}
	types := []string{"application/json"}
	if c.endpoint != nil && c.endpoint.pattern == imagePattern {
		types = append(types, "image/*")
	}
	if !accepts(strings.Join(accept, ","), types) {
		return headerError("Accept", strings.Join(accept, ", "), "must allow %s", types[0])
	}
	if strings.TrimSpace(c.r.UserAgent()) == "" {
		return headerError("User-Agent", nil, "is required")
	}
	if values := c.r.Header.Values("Wechatpay-Serial"); len(values) > 1 {
		return headerError("Wechatpay-Serial", values, "must appear once, got %d values", len(values))
	}
	if encoding := c.r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return headerError("Content-Encoding", encoding, "is not supported")
	}
	if c.isUpload() {
		if apiErr := c.checkMultipart(); apiErr != nil {
			return apiErr
		}
	}
	if c.tooLarge {
		return headerError("Content-Length", c.r.ContentLength, "must be at most %d", maxBody)
	}
	return nil
}

// accepts reports whether an Accept header allows one of the types.
func accepts(header string, types []string) bool {
	for _, part := range strings.Split(header, ",") {
		got, _, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		for _, want := range types {
			group, _, _ := strings.Cut(want, "/")
			if got == "*/*" || got == want || got == group+"/*" ||
				want == group+"/*" && strings.HasPrefix(got, group+"/") {
				return true
			}
		}
	}
	return false
}

// An authorization is a parsed Authorization header.
type authorization struct {
	mchID, nonce, timestamp, serialNo string
	signature                         []byte
}

const scheme = "WECHATPAY2-SHA256-RSA2048"

var (
	attribute  = regexp.MustCompile(`^([a-z_]+)="([^"]*)"$`)
	plainID    = regexp.MustCompile(`^[0-9A-Za-z]{1,64}$`)
	tenDigits  = regexp.MustCompile(`^[0-9]{10}$`)
	attributes = []string{"mchid", "nonce_str", "timestamp", "serial_no", "signature"}
)

// signError returns a 401 SIGN_ERROR with the detail that WeChat Pay returns.
func (c *call) signError(field, issue, message string) *apiError {
	detail := map[string]any{
		"detail":   map[string]any{"issue": issue},
		"field":    field,
		"location": inAuthorization,
	}
	if c.toSign != "" {
		shown := c.toSign
		if body := []rune(string(c.signedBody())); len(body) > 8 {
			shown = strings.TrimSuffix(shown, string(c.signedBody())+"\n") + string(body[:8]) + "\n"
		}
		detail["sign_information"] = map[string]any{
			"method":                 c.r.Method,
			"url":                    c.target,
			"truncated_sign_message": shown,
			"sign_message_length":    len(c.toSign),
		}
	}
	return &apiError{status: 401, code: "SIGN_ERROR", message: message, detail: detail, internal: internalSignature}
}

// authenticate verifies the signature of the request and records its nonce.
func (c *call) authenticate() *apiError {
	headers := c.r.Header.Values("Authorization")
	if len(headers) == 0 {
		return c.signError("Authorization", "missing", "Authorization header is required")
	}
	if len(headers) > 1 {
		return c.signError("Authorization", "repeated", "Authorization header must appear once")
	}
	a, apiErr := c.parseAuthorization(headers[0])
	if apiErr != nil {
		return apiErr
	}
	toSign := c.stringsToSign(a)
	c.toSign = toSign[0]

	c.s.mu.Lock()
	merchant, cert := c.s.findMerchant(a.mchID), c.s.certs[strings.ToUpper(a.serialNo)]
	mchIDs := c.s.mchIDs()
	c.s.mu.Unlock()
	if merchant == nil {
		return c.signError("mchid", "mchid not exists",
			fmt.Sprintf("unknown mchid %s, the server has %s", quoteID(a.mchID), mchIDs))
	}
	if cert == nil || cert.merchant != merchant {
		return c.signError("serial_no", "serial not exists",
			fmt.Sprintf("unknown serial_no %s for merchant %s", quoteID(a.serialNo), a.mchID))
	}
	signed := slices.IndexFunc(toSign, func(s string) bool { return verify(&cert.key.PublicKey, s, a.signature) })
	if signed < 0 {
		problem := c.diagnoseSignature(a, cert)
		message := problem.message(a.serialNo)
		if c.parts != nil && c.parts.invalid != nil {
			message += "; " + c.parts.invalid.text(inBody)
		}
		apiErr := c.signError("signature", "sign not match", message)
		apiErr.signature = problem
		return apiErr
	}
	c.toSign = toSign[signed]
	if apiErr := c.checkFresh(a); apiErr != nil {
		return apiErr
	}
	c.merchant, c.cert = merchant, cert
	return nil
}

// quoteID quotes an id for a message, unless it may be a secret in the wrong place.
func quoteID(id string) string {
	if !plainID.MatchString(id) {
		return fmt.Sprintf("of %d characters", utf8.RuneCountInString(id))
	}
	return strconv.Quote(id)
}

// mchIDs returns the ids of the merchants, for a message. The caller holds mu.
func (s *Server) mchIDs() string {
	var ids []string
	for _, m := range s.merchants {
		ids = append(ids, m.mchid)
	}
	return strings.Join(ids, ", ")
}

// checkFresh checks the timestamp and the nonce.
func (c *call) checkFresh(a *authorization) *apiError {
	seconds, _ := strconv.ParseInt(a.timestamp, 10, 64)
	now := c.s.wireNow()
	if skew := now.Sub(time.Unix(seconds, 0)); skew.Abs() > maxSkew {
		direction := "behind"
		if skew < 0 {
			direction = "ahead of"
		}
		return c.signError("timestamp", "timestamp expired",
			fmt.Sprintf("timestamp %s is %s %s the server's clock, at most %s is allowed",
				a.timestamp, skew.Abs().Round(time.Second), direction, maxSkew))
	}
	if !c.s.nonces.use(now, a.nonce, c.r.Method, c.toSign) {
		return c.signError("nonce_str", "nonce_str repeated",
			fmt.Sprintf("nonce_str %s was used before, each attempt needs a new timestamp and nonce", a.nonce))
	}
	return nil
}

func (c *call) parseAuthorization(header string) (*authorization, *apiError) {
	invalid := func(field, format string, args ...any) (*authorization, *apiError) {
		issue := fmt.Sprintf(format, args...)
		return nil, c.signError(field, issue, "Authorization: "+issue)
	}
	got, rest, _ := strings.Cut(header, " ")
	if got != scheme {
		return invalid("Authorization", "must start with %s and one space", scheme)
	}
	values := map[string]string{}
	for i, part := range strings.Split(rest, ",") {
		if i > 0 {
			part = strings.TrimLeft(part, " ")
		}
		m := attribute.FindStringSubmatch(part)
		if m == nil {
			return invalid("Authorization", `attribute %d is not of the form name="value"`, i+1)
		}
		if _, duplicate := values[m[1]]; duplicate {
			return invalid(m[1], "%s appears twice", m[1])
		}
		values[m[1]] = m[2]
	}
	for _, name := range attributes {
		if values[name] == "" {
			return invalid(name, "%s is missing or empty", name)
		}
	}
	if len(values) > len(attributes) {
		return invalid("Authorization", "must have no attributes other than %s", strings.Join(attributes, ", "))
	}
	a := &authorization{
		mchID:     values["mchid"],
		nonce:     values["nonce_str"],
		timestamp: values["timestamp"],
		serialNo:  values["serial_no"],
	}
	if n := utf8.RuneCountInString(a.nonce); n > 32 {
		return invalid("nonce_str", "nonce_str must have at most 32 characters, got %d", n)
	}
	if !tenDigits.MatchString(a.timestamp) {
		return invalid("timestamp", "timestamp must be Unix seconds (10 digits), got %d characters", len(a.timestamp))
	}
	var err error
	if a.signature, err = base64.StdEncoding.Strict().DecodeString(values["signature"]); err != nil {
		return invalid("signature", "signature must be standard base64 with padding")
	}
	return a, nil
}

// stringsToSign returns the strings to sign that are accepted. The first is the
// documented one.
func (c *call) stringsToSign(a *authorization) []string {
	target, body := c.target, c.signedBody()
	if c.rawQuery == "" { // without a question mark
		target = c.path
	}
	all := []string{stringToSign(c.r.Method, target, a.timestamp, a.nonce, body)}
	if target != c.target {
		all = append(all, stringToSign(c.r.Method, c.target, a.timestamp, a.nonce, body))
	}
	// The body of a DELETE is rejected later, with an error that says so.
	if c.r.Method == http.MethodDelete && c.endpoint != nil && len(body) > 0 {
		all = append(all, stringToSign(c.r.Method, target, a.timestamp, a.nonce, nil))
	}
	return all
}

// stringToSign returns the string to sign of a request: five lines, each with a
// trailing newline.
func stringToSign(method, target, timestamp, nonce string, body []byte) string {
	return method + "\n" + target + "\n" + timestamp + "\n" + nonce + "\n" + string(body) + "\n"
}

// signedBody returns the body in the string to sign: nothing for GET, the meta
// part of an upload, and otherwise the body as sent.
func (c *call) signedBody() []byte {
	switch {
	case c.r.Method == http.MethodGet || c.r.Method == http.MethodHead:
		return nil
	case c.parts != nil:
		return c.parts.meta
	}
	return c.body
}
