package wechatpaytest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// window is how far a timestamp may be from the server's clock. WeChat Pay does
// not say; its own SDKs judge answers by 300 s.
const window = 300 * time.Second

// A refusal is an answer that is an error.
type refusal struct {
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

func paramError(location string, f *paramFault) *refusal {
	name := f.field
	if name == "" {
		name = "the " + location
	}
	return &refusal{
		status: 400, code: "PARAM_ERROR", internal: internalOther,
		message: name + ": " + f.issue,
		detail:  errorDetail{Field: f.field, Value: f.value, Issue: f.issue, Location: &location},
	}
}

func bodyError(field string, value any, format string, args ...any) *refusal {
	return paramError(inBody, &paramFault{field: field, value: plainValue(value), issue: fmt.Sprintf(format, args...)})
}

// protocolError refuses what breaks the rules of the v3 protocol.
func protocolError(header string, value any, format string, args ...any) *refusal {
	location := inHeader
	issue := fmt.Sprintf(format, args...)
	return &refusal{
		status: 400, code: "INVALID_REQUEST", internal: internalOther,
		message: "the HTTP headers are incomplete or wrong: " + header + " " + issue,
		detail:  errorDetail{Field: header, Value: value, Issue: issue, Location: &location},
	}
}

func (r Refusal) refuse(format string, args ...any) *refusal {
	return &refusal{status: r.StatusCode, code: r.Code, internal: internalOther, message: fmt.Sprintf(format, args...)}
}

var (
	invalidRequest = Refusal{400, "INVALID_REQUEST"}
	noAuth         = Refusal{403, "NO_AUTH"}
	notExists      = Refusal{404, "RESOURCE_NOT_EXISTS"}
	rateLimited    = Refusal{429, "FREQUENCY_LIMITED"}
)

// protocol checks the headers that every request must have.
func (c *call) protocol() *refusal {
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
func (c *call) signError(field, issue, message string) *refusal {
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
	return &refusal{status: 401, code: "SIGN_ERROR", message: message, detail: detail, internal: internalSignature}
}

// authenticate checks the signature of a request and remembers its nonce.
func (c *call) authenticate() *refusal {
	headers := c.r.Header.Values("Authorization")
	if len(headers) == 0 {
		return c.signError("Authorization", "missing", "the Authorization header is missing")
	}
	if len(headers) > 1 {
		return c.signError("Authorization", "repeated", "there are several Authorization headers")
	}
	a, refused := c.parseAuthorization(headers[0])
	if refused != nil {
		return refused
	}
	// From here on the message is known that WeChat Pay verifies.
	c.message = signMessage(c.r.Method, c.target, a.timestamp, a.nonce, c.signedBody())

	c.s.mu.Lock()
	merchant := c.s.merchants[strings.ToUpper(a.serial)]
	c.s.mu.Unlock()
	if a.mchid != c.s.mchid {
		return c.signError("mchid", "mchid not exists", fmt.Sprintf("this server knows no merchant %q, only %s", a.mchid, c.s.mchid))
	}
	if merchant == nil {
		return c.signError("serial_no", "serial not exists", fmt.Sprintf("merchant %s has no API certificate with the serial number %q", a.mchid, a.serial))
	}
	if !verifies(&merchant.key.PublicKey, c.message, a.signature) {
		problem := c.diagnose(a, merchant)
		refused := c.signError("signature", "sign not match", problem.sentence(a.serial))
		refused.signature = problem
		return refused
	}
	seconds, _ := strconv.ParseInt(a.timestamp, 10, 64)
	now := c.s.wireNow()
	if skew := now.Sub(time.Unix(seconds, 0)); skew.Abs() > window {
		direction := "behind"
		if skew < 0 {
			direction = "ahead of"
		}
		return c.signError("timestamp", "timestamp expired",
			fmt.Sprintf("the timestamp %s is %s %s the server's clock, and at most %s are allowed", a.timestamp, skew.Abs().Round(time.Second), direction, window))
	}
	if !c.s.nonces.take(now, a.nonce, c.r.Method, c.message) {
		return c.signError("nonce_str", "nonce_str repeated",
			fmt.Sprintf("the nonce %s was used before: each attempt needs its own timestamp and nonce (only an identical GET may come again)", a.nonce))
	}
	c.merchant = merchant
	return nil
}

func (c *call) parseAuthorization(header string) (*authorization, *refusal) {
	bad := func(field, format string, args ...any) (*authorization, *refusal) {
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
func signMessage(method, target, timestamp, nonce string, body []byte) string {
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

// diagnose looks for the message that the signature does fit, among the usual
// mistakes.
func (c *call) diagnose(a *authorization, merchant *merchant) *SignatureProblem {
	p := &SignatureProblem{Verified: shortMessage(c.message)}
	for _, other := range c.s.allMerchants() {
		if other != merchant && verifies(&other.key.PublicKey, c.message, a.signature) {
			p.SerialNo = other.serial
			return p
		}
	}
	for _, v := range c.mistakes(a) {
		if v.message != c.message && verifies(&merchant.key.PublicKey, v.message, a.signature) {
			p.Signed, p.Mistake, p.SerialNo = shortMessage(v.message), v.what, merchant.serial
			return p
		}
	}
	return p
}

// sentence shows both messages, side by side. serialNo is that of the request.
func (p *SignatureProblem) sentence(serialNo string) string {
	right := fmt.Sprintf("WeChat Pay verifies %q", p.Verified)
	switch {
	case p.Mistake != "":
		return fmt.Sprintf("the signature is over another message, %s: signed was %q, and %s", p.Mistake, p.Signed, right)
	case p.SerialNo != "":
		return fmt.Sprintf("the signature is by the key of certificate %s, and serial_no says %s", p.SerialNo, serialNo)
	}
	return fmt.Sprintf("the signature does not verify with the key of certificate %s: either another key signed, or another message than the one that %s", serialNo, right)
}

type mistake struct{ what, message string }

// mistakes are the messages that people have signed instead of the right one.
func (c *call) mistakes(a *authorization) []mistake {
	var all []mistake
	path, query, hasQuery := strings.Cut(c.target, "?")
	body := c.signedBody()
	add := func(what, method, target, timestamp string, body []byte) {
		m := signMessage(method, target, timestamp, a.nonce, body)
		all = append(all, mistake{what, m}, mistake{what + ", and its last line is not ended", strings.TrimSuffix(m, "\n")})
	}
	add("its last line is not ended", c.r.Method, c.target, a.timestamp, body)
	all = all[1:]
	if hasQuery {
		add("without the query", c.r.Method, path, a.timestamp, body)
		if values, err := url.ParseQuery(query); err == nil {
			add("with the query in another order or escaping", c.r.Method, path+"?"+values.Encode(), a.timestamp, body)
		}
		if plain, err := url.QueryUnescape(query); err == nil {
			add("with the query unescaped", c.r.Method, path+"?"+plain, a.timestamp, body)
		}
	}
	if plain, err := url.PathUnescape(path); err == nil {
		tail := strings.TrimPrefix(c.target, path)
		add("with the path unescaped", c.r.Method, plain+tail, a.timestamp, body)
		add("with the path escaped another way", c.r.Method, (&url.URL{Path: plain}).EscapedPath()+tail, a.timestamp, body)
		add("with the path escaped another way", c.r.Method, escapeLast(plain)+tail, a.timestamp, body)
	}
	add("with the path escaped twice", c.r.Method, strings.ReplaceAll(path, "%", "%25")+strings.TrimPrefix(c.target, path), a.timestamp, body)
	add("with the path without its leading slash", c.r.Method, strings.TrimPrefix(c.target, "/"), a.timestamp, body)
	for _, host := range []string{"http://" + c.r.Host, "https://" + c.r.Host} {
		add("with the host in the URL", c.r.Method, host+c.target, a.timestamp, body)
	}
	add("with the method in lower case", strings.ToLower(c.r.Method), c.target, a.timestamp, body)
	for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
		add("with another method", method, c.target, a.timestamp, body)
	}
	add("without the body", c.r.Method, c.target, a.timestamp, nil)
	add("with the body that came", c.r.Method, c.target, a.timestamp, c.body)
	add("with a line end after the body", c.r.Method, c.target, a.timestamp, append(bytes.Clone(body), '\n'))
	add("without the line end that the body has", c.r.Method, c.target, a.timestamp, bytes.TrimSuffix(body, []byte("\n")))
	for _, rewritten := range reencoded(body) {
		add("with the JSON body encoded another way than sent", c.r.Method, c.target, a.timestamp, rewritten)
	}
	add("with {} for an empty body", c.r.Method, c.target, a.timestamp, []byte("{}"))
	if c.parts != nil {
		add("with the file instead of the meta part", c.r.Method, c.target, a.timestamp, c.parts.file)
	}
	return all
}

// reencoded are other ways to write a JSON body.
func reencoded(body []byte) [][]byte {
	var all [][]byte
	var b bytes.Buffer
	if json.Compact(&b, body) != nil {
		return nil
	}
	all = append(all, bytes.Clone(b.Bytes()))
	for _, indent := range []string{"  ", "    ", "\t"} {
		b.Reset()
		_ = json.Indent(&b, body, "", indent)
		all = append(all, bytes.Clone(b.Bytes()))
	}
	b.Reset()
	json.HTMLEscape(&b, body)
	all = append(all, bytes.Clone(b.Bytes()))
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return all
	}
	for _, escape := range []bool{true, false} {
		b.Reset()
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(escape)
		if enc.Encode(v) == nil {
			all = append(all, bytes.Clone(b.Bytes()), bytes.TrimSuffix(bytes.Clone(b.Bytes()), []byte("\n")))
		}
	}
	return all
}

// escapeLast escapes all that can be escaped in the last element of a path.
func escapeLast(path string) string {
	const images = "/v3/merchant-service/images/"
	if rest, ok := strings.CutPrefix(path, images); ok {
		return images + url.QueryEscape(rest)
	}
	i := strings.LastIndexByte(path, '/') + 1
	return path[:i] + url.QueryEscape(path[i:])
}

func shortMessage(message string) string {
	if len(message) <= 600 {
		return message
	}
	return strings.ToValidUTF8(message[:500], "") + fmt.Sprintf("… (%d bytes)", len(message))
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// nonces remembers the nonces of the time window, so that no message passes
// twice. Two generations, so that forgetting is cheap.
type nonces struct {
	sync.Mutex
	since            time.Time
	current, earlier map[string]nonceUse
}

type nonceUse struct {
	method  string
	message [sha256.Size]byte
}

// take says whether the nonce may be used for the message. An identical GET may
// come again: Go's transport repeats it by itself when a connection breaks.
func (n *nonces) take(now time.Time, nonce, method, message string) bool {
	use := nonceUse{method, sha256.Sum256([]byte(message))}
	n.Lock()
	defer n.Unlock()
	if n.current == nil || now.Sub(n.since).Abs() > 2*window {
		n.since, n.earlier, n.current = now, n.current, map[string]nonceUse{}
	}
	for _, generation := range []map[string]nonceUse{n.current, n.earlier} {
		if earlier, used := generation[nonce]; used {
			return method == http.MethodGet && earlier == use
		}
	}
	n.current[nonce] = use
	return true
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

// uploadParts are the parts of a multipart body. problem says why they are not
// one meta and one file.
type uploadParts struct {
	meta, file []byte
	problem    *paramFault
}

func parseMultipart(body []byte, boundary string) *uploadParts {
	p := &uploadParts{}
	bad := func(field, format string, args ...any) *uploadParts {
		if p.problem == nil {
			p.problem = &paramFault{field: field, issue: fmt.Sprintf(format, args...)}
		}
		return p
	}
	if boundary == "" {
		return bad("", "Content-Type names no boundary")
	}
	seen := map[string]bool{}
	reader := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := reader.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return bad("", "the multipart body is malformed: %v", err)
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return bad("", "the multipart body is malformed: %v", err)
		}
		name := part.FormName()
		if seen[name] {
			return bad("/"+name, "is there twice")
		}
		seen[name] = true
		switch name {
		case "meta":
			p.meta = data
		case "file":
			p.file = data
		default:
			bad("/"+name, "is no part of an upload: there are meta and file")
		}
	}
	for _, name := range []string{"meta", "file"} {
		if !seen[name] {
			bad("/"+name, "is required, and is missing")
		}
	}
	return p
}
