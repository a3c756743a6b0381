package main

import (
	"net/http"
	"regexp"
	"time"

	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// summary is what the log says of a request.
type summary struct {
	Time       time.Time               `json:"time"`
	Method     string                  `json:"method"`
	Path       string                  `json:"path"`
	Status     int                     `json:"status"`
	Code       string                  `json:"code,omitempty"`
	Problem    string                  `json:"problem,omitempty"`
	RequestID  string                  `json:"request_id"`
	Fault      wechatpaytest.FaultKind `json:"fault,omitempty"`
	TookEffect bool                    `json:"took_effect"`
	DurationMS float64                 `json:"duration_ms"`
}

func summaryOf(r wechatpaytest.Request) summary {
	return summary{r.Time, r.Method, r.Path, r.StatusCode, r.Code, r.Problem, r.RequestID, r.Fault, r.TookEffect,
		float64(r.Duration.Microseconds()) / 1000}
}

func (c *control) requests(*http.Request) (int, any, error) {
	return http.StatusOK, listOf(c.server.Requests(), requestOf), nil
}

// request is one of the log: what was sent, apart from the signature, and what
// became of it.
type request struct {
	summary
	Header   http.Header `json:"header"`
	Body     string      `json:"body"`
	Response string      `json:"response"`
	// Authorization has the attributes of that header but the signature.
	Authorization map[string]string `json:"authorization,omitempty"`
	// Verified is the message that the server verifies and Signed the one that
	// was signed instead, as far as the server found it, each perhaps cut. They
	// are there with a signature that does not fit.
	Verified string `json:"verified_message,omitempty"`
	Signed   string `json:"signed_message,omitempty"`
}

func requestOf(r wechatpaytest.Request) request {
	header := r.Header.Clone()
	header.Del("Authorization")
	out := request{summary: summaryOf(r), Header: header, Body: string(r.Body), Response: string(r.Response),
		Authorization: attributesOf(r.Header.Get("Authorization"))}
	if p := r.Signature; p != nil && (p.Mistake != "" || p.SerialNo == "") { // by another key the right message was signed
		out.Verified, out.Signed = p.Verified, p.Signed
	}
	return out
}

// publicAttribute is one that without the signature is worth nothing.
var publicAttribute = regexp.MustCompile(`\b(mchid|nonce_str|timestamp|serial_no)="([^"]*)"`)

func attributesOf(authorization string) map[string]string {
	attributes := map[string]string{}
	for _, m := range publicAttribute.FindAllStringSubmatch(authorization, -1) {
		attributes[m[1]] = m[2]
	}
	return attributes
}
