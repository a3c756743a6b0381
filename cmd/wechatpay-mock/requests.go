package main

import (
	"net/http"
	"regexp"
	"time"

	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// summary is a request as the log shows it.
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
	return summary{
		Time:       r.Time,
		Method:     r.Method,
		Path:       r.Path,
		Status:     r.StatusCode,
		Code:       r.Code,
		Problem:    r.Problem,
		RequestID:  r.RequestID,
		Fault:      r.Fault,
		TookEffect: r.TookEffect,
		DurationMS: float64(r.Duration.Microseconds()) / 1000,
	}
}

func (c *control) requests(*http.Request) (int, any, error) {
	return http.StatusOK, listOf(c.server.Requests(), requestOf), nil
}

// request is a request with its headers, its body and the response.
type request struct {
	summary
	Header   http.Header `json:"header"` // without Authorization
	Body     string      `json:"body"`
	Response string      `json:"response"`
	// Authorization has the attributes of that header except the signature.
	Authorization map[string]string `json:"authorization,omitempty"`
	// If the signature is wrong, Verified is the string to sign that the server
	// verifies, and Signed the one that was signed, if the server recognized it.
	// Long ones are cut.
	Verified string `json:"verified_message,omitempty"`
	Signed   string `json:"signed_message,omitempty"`
}

func requestOf(r wechatpaytest.Request) request {
	header := r.Header.Clone()
	header.Del("Authorization")
	out := request{
		summary:       summaryOf(r),
		Header:        header,
		Body:          string(r.Body),
		Response:      string(r.Response),
		Authorization: attributesOf(r.Header.Get("Authorization")),
	}
	// If only the key is wrong, the two strings are equal.
	if p := r.Signature; p != nil && (p.Mistake != "" || p.SerialNo == "") {
		out.Verified, out.Signed = p.Verified, p.Signed
	}
	return out
}

// publicAttribute matches the attributes of Authorization that are useless
// without the signature.
var publicAttribute = regexp.MustCompile(`\b(mchid|nonce_str|timestamp|serial_no)="([^"]*)"`)

func attributesOf(authorization string) map[string]string {
	attributes := map[string]string{}
	for _, m := range publicAttribute.FindAllStringSubmatch(authorization, -1) {
		attributes[m[1]] = m[2]
	}
	return attributes
}
