package wechatpaytest

import (
	"encoding/base64"
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// window is how far a timestamp may be from the server's clock. WeChat Pay does
// not say; its own SDKs judge answers by 300 s.
const maxSkew = 300 * time.Second

// protocol checks the headers that every request must have.
func (c *call) protocol() *apiError {
	accept := c.r.Header.Values("Accept")
	if len(accept) == 0 {
		return protocolError("Accept", nil, "is missing")
	}
	wanted := []string{"application/json"}
	if c.endpoint != nil && c.endpoint.pattern == imagePattern {
		wanted = append(wanted, "image/*")
	}
	if !accepts(strings.Join(accept, ","), wanted) {
		return protocolError("Accept", strings.Join(accept, ", "), "must admit %s", wanted[0])
	}
	if strings.TrimSpace(c.r.UserAgent()) == "" {
		return protocolError("User-Agent", nil, "is missing")
	}
	if values := c.r.Header.Values("Wechatpay-Serial"); len(values) > 1 {
		return protocolError("Wechatpay-Serial", values, "is there %d times, and one call is about one key", len(values))
	}
	if encoding := c.r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return protocolError("Content-Encoding", encoding, "must be absent")
	}
	if c.tooLarge {
		return protocolError("Content-Length", c.r.ContentLength, "says more than this server reads: %d bytes", maxBody)
	}
	return nil
}

// accepts says whether an Accept header admits one of the types.
func accepts(header string, types []string) bool {
	for _, part := range strings.Split(header, ",") {
		given, _, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		for _, wanted := range types {
			group, _, _ := strings.Cut(wanted, "/")
			if given == "*/*" || given == wanted || given == group+"/*" || wanted == group+"/*" && strings.HasPrefix(given, group+"/") {
				return true
			}
		}
	}
	return false
}

// authorization is a parsed Authorization header.
type authorization struct {
	mchid, nonce, timestamp, serial string
	signature                       []byte
}

const scheme = "WECHATPAY2-SHA256-RSA2048"

var (
	attribute  = regexp.MustCompile(`^([a-z_]+)="([^"]*)"$`)
	tenDigits  = regexp.MustCompile(`^[0-9]{10}$`)
	attributes = []string{"mchid", "nonce_str", "timestamp", "serial_no", "signature"}
)

// signError refuses a signature in the shape that WeChat Pay's own 401 has.
func (c *call) signError(field, issue, message string) *apiError {
	detail := map[string]any{
		"detail":   map[string]any{"issue": issue},
		"field":    field,
		"location": inAuthorization,
	}
	if c.message != "" {
		shown := c.message
		if body := []rune(string(c.signedBody())); len(body) > 8 {
			shown = strings.TrimSuffix(shown, string(c.signedBody())+"\n") + string(body[:8]) + "\n"
		}
		detail["sign_information"] = map[string]any{
			"method":                 c.r.Method,
			"url":                    c.target,
			"truncated_sign_message": shown,
			"sign_message_length":    len(c.message),
		}
	}
	return &apiError{status: 401, code: "SIGN_ERROR", message: message, detail: detail, internal: internalSignature}
}

// authenticate checks the signature of a request and remembers its nonce.
func (c *call) authenticate() *apiError {
	headers := c.r.Header.Values("Authorization")
	if len(headers) == 0 {
		return c.signError("Authorization", "missing", "the Authorization header is missing")
	}
	if len(headers) > 1 {
		return c.signError("Authorization", "repeated", "there are several Authorization headers")
	}
	a, apiErr := c.parseAuthorization(headers[0])
	if apiErr != nil {
		return apiErr
	}
	// From here on the message is known that WeChat Pay verifies.
	c.message = stringToSign(c.r.Method, c.target, a.timestamp, a.nonce, c.signedBody())

	c.s.mu.Lock()
	merchant := c.s.merchants[strings.ToUpper(a.serial)]
	c.s.mu.Unlock()
	if a.mchid != c.s.mchid {
		return c.signError("mchid", "mchid not exists", fmt.Sprintf("this server knows no merchant %q, only %s", a.mchid, c.s.mchid))
	}
	if merchant == nil {
		return c.signError("serial_no", "serial not exists", fmt.Sprintf("merchant %s has no API certificate with the serial number %q", a.mchid, a.serial))
	}
	if !verify(&merchant.key.PublicKey, c.message, a.signature) {
		problem := c.diagnose(a, merchant)
		apiErr := c.signError("signature", "sign not match", problem.sentence(a.serial))
		apiErr.signature = problem
		return apiErr
	}
	seconds, _ := strconv.ParseInt(a.timestamp, 10, 64)
	now := c.s.wireNow()
	if skew := now.Sub(time.Unix(seconds, 0)); skew.Abs() > maxSkew {
		direction := "behind"
		if skew < 0 {
			direction = "ahead of"
		}
		return c.signError("timestamp", "timestamp expired",
			fmt.Sprintf("the timestamp %s is %s %s the server's clock, and at most %s are allowed", a.timestamp, skew.Abs().Round(time.Second), direction, maxSkew))
	}
	if !c.s.nonces.take(now, a.nonce, c.r.Method, c.message) {
		return c.signError("nonce_str", "nonce_str repeated",
			fmt.Sprintf("the nonce %s was used before: each attempt needs its own timestamp and nonce (only an identical GET may come again)", a.nonce))
	}
	c.merchant = merchant
	return nil
}

func (c *call) parseAuthorization(header string) (*authorization, *apiError) {
	bad := func(field, format string, args ...any) (*authorization, *apiError) {
		message := fmt.Sprintf(format, args...)
		return nil, c.signError(field, message, "Authorization: "+message)
	}
	given, rest, _ := strings.Cut(header, " ")
	if given != scheme {
		return bad("Authorization", "the scheme must be %s, and one blank after it", scheme)
	}
	values := map[string]string{}
	for i, part := range strings.Split(rest, ",") {
		if i > 0 {
			part = strings.TrimLeft(part, " ")
		}
		m := attribute.FindStringSubmatch(part)
		if m == nil {
			return bad("Authorization", `%q is not an attribute of the form name="value"`, cut(part, 80))
		}
		if _, twice := values[m[1]]; twice {
			return bad(m[1], "%s is there twice", m[1])
		}
		values[m[1]] = m[2]
	}
	for _, name := range attributes {
		if values[name] == "" {
			return bad(name, "%s is missing or empty", name)
		}
	}
	if len(values) > len(attributes) {
		return bad("Authorization", "there are attributes beside %s", strings.Join(attributes, ", "))
	}
	a := &authorization{mchid: values["mchid"], nonce: values["nonce_str"], timestamp: values["timestamp"], serial: values["serial_no"]}
	if utf8.RuneCountInString(a.nonce) > 32 {
		return bad("nonce_str", "nonce_str is longer than 32 characters")
	}
	if !tenDigits.MatchString(a.timestamp) {
		return bad("timestamp", "timestamp must be Unix seconds, 10 digits, and is %q", cut(a.timestamp, 40))
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(values["signature"])
	if err != nil {
		return bad("signature", "signature is not standard base64 with padding")
	}
	a.signature = signature
	return a, nil
}

// signMessage is what a request is signed over: five lines, each ended.
func stringToSign(method, target, timestamp, nonce string, body []byte) string {
	return method + "\n" + target + "\n" + timestamp + "\n" + nonce + "\n" + string(body) + "\n"
}

// signedBody is the last line: the body as sent, nothing with GET, the meta
// part of an upload.
func (c *call) signedBody() []byte {
	switch {
	case c.r.Method == http.MethodGet || c.r.Method == http.MethodHead:
		return nil
	case c.parts != nil:
		return c.parts.meta
	}
	return c.body
}
