package wechatpaytest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// diagnose looks for the message that the signature does fit, among the usual
// mistakes.
func (c *call) diagnose(a *authorization, merchant *merchant) *SignatureProblem {
	p := &SignatureProblem{Verified: shortMessage(c.message)}
	for _, other := range c.s.merchantList() {
		if other != merchant && verify(&other.key.PublicKey, c.message, a.signature) {
			p.SerialNo = other.serial
			return p
		}
	}
	for _, v := range c.mistakes(a) {
		if v.message != c.message && verify(&merchant.key.PublicKey, v.message, a.signature) {
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
		m := stringToSign(method, target, timestamp, a.nonce, body)
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

// SignatureProblem is a signature that does not fit its request. The messages
// are cut where they are long.
type SignatureProblem struct {
	Verified string // the message that the server verifies
	Signed   string // the message that was signed in its place; "": it is none of the usual mistakes
	Mistake  string // how the two differ; "" with Signed
	SerialNo string // the certificate whose key signed; "": none of the merchant's that the server could tell
}
