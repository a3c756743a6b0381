package wechatpaytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// SignatureProblem describes why a request signature failed verification. Long
// strings are truncated.
type SignatureProblem struct {
	Verified string // the string to sign that the server expects
	Signed   string // the string that was signed instead; "": not a known mistake
	Mistake  string // how Signed differs, such as "without the body"; "" if Signed is ""
	SerialNo string // the certificate whose key signed; "": unknown
}

// message returns the problem as an error message. serialNo is the serial_no of
// the request.
func (p *SignatureProblem) message(serialNo string) string {
	const failed = "signature verification failed: "
	switch {
	case p.Mistake != "":
		return failed + fmt.Sprintf("string to sign was built %s: got %q, want %q", p.Mistake, p.Signed, p.Verified)
	case p.SerialNo != "":
		return failed + fmt.Sprintf("signed with the key of certificate %s, but serial_no is %s", p.SerialNo, serialNo)
	}
	return failed + fmt.Sprintf("wrong key for serial_no %s or wrong string to sign, want %q", serialNo, p.Verified)
}

// diagnoseSignature looks for the key or the string to sign that the signature
// was made with.
func (c *call) diagnoseSignature(a *authorization, cert *merchantCert) *SignatureProblem {
	p := &SignatureProblem{Verified: truncateToSign(c.toSign)}
	for _, other := range c.s.certList() {
		if other != cert && verify(&other.key.PublicKey, c.toSign, a.signature) {
			p.SerialNo = other.serial
			return p
		}
	}
	for _, m := range c.mistakes(a) {
		if m.toSign != c.toSign && verify(&cert.key.PublicKey, m.toSign, a.signature) {
			p.Signed, p.Mistake, p.SerialNo = truncateToSign(m.toSign), m.name, cert.serial
			return p
		}
	}
	return p
}

// A mistake is a wrong string to sign, as clients are known to build it.
type mistake struct{ name, toSign string }

const noNewline = "without the trailing newline"

// mistakes returns the wrong strings to sign to try.
func (c *call) mistakes(a *authorization) []mistake {
	method, target, body := c.r.Method, c.target, c.signedBody()
	path, query, hasQuery := strings.Cut(target, "?")
	querySuffix := strings.TrimPrefix(target, path)

	right := stringToSign(method, target, a.timestamp, a.nonce, body)
	all := []mistake{{noNewline, strings.TrimSuffix(right, "\n")}}
	add := func(name, method, target string, body []byte) {
		s := stringToSign(method, target, a.timestamp, a.nonce, body)
		all = append(all, mistake{name, s}, mistake{name + " and " + noNewline, strings.TrimSuffix(s, "\n")})
	}
	addTarget := func(name, target string) { add(name, method, target, body) }
	addBody := func(name string, body []byte) { add(name, method, target, body) }

	if hasQuery {
		addTarget("without the query", path)
		if values, err := url.ParseQuery(query); err == nil {
			addTarget("with the query reordered or escaped differently", path+"?"+values.Encode())
		}
		if plain, err := url.QueryUnescape(query); err == nil {
			addTarget("with the query unescaped", path+"?"+plain)
		}
	}
	if plain, err := url.PathUnescape(path); err == nil {
		addTarget("with the path unescaped", plain+querySuffix)
		addTarget("with the path escaped differently", (&url.URL{Path: plain}).EscapedPath()+querySuffix)
		addTarget("with the path escaped differently", escapeLast(plain)+querySuffix)
	}
	addTarget("with the path escaped twice", strings.ReplaceAll(path, "%", "%25")+querySuffix)
	addTarget("without the leading slash", strings.TrimPrefix(target, "/"))
	addTarget("with the host in the URL", "http://"+c.r.Host+target)
	addTarget("with the host in the URL", "https://"+c.r.Host+target)
	add("with the method in lower case", strings.ToLower(method), target, body)
	for _, other := range []string{"GET", "POST", "PUT", "DELETE"} {
		add("with another method", other, target, body)
	}
	addBody("without the body", nil)
	addBody("with the body", c.body) // of a GET, or the whole multipart body
	addBody("with a newline after the body", append(bytes.Clone(body), '\n'))
	addBody("without the newline at the end of the body", bytes.TrimSuffix(body, []byte("\n")))
	for _, other := range reencoded(body) {
		addBody("with the JSON body encoded differently", other)
	}
	addBody("with {} instead of an empty body", []byte("{}"))
	if c.parts != nil {
		addBody("with a meta part that has a filename", c.parts.unsigned)
		addBody("with the file instead of the meta part", c.parts.file)
	}
	return all
}

// reencoded returns other encodings of a JSON body.
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

// escapeLast escapes the last element of a path like a query value.
func escapeLast(path string) string {
	const images = "/v3/merchant-service/images/"
	if id, ok := strings.CutPrefix(path, images); ok { // may contain slashes
		return images + url.QueryEscape(id)
	}
	i := strings.LastIndexByte(path, '/') + 1
	return path[:i] + url.QueryEscape(path[i:])
}

func truncateToSign(s string) string {
	if len(s) <= 600 {
		return s
	}
	return fmt.Sprintf("%s (%d bytes)", truncate(s, 500), len(s))
}

// truncate cuts s after n bytes, at a whole character.
func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
