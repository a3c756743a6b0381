package main

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
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
	Header   http.Header `json:"header"` // without values that may be secret
	Body     string      `json:"body"`
	Response string      `json:"response"`
	// Authorization has the attributes of that header except the signature. It is
	// empty if the header is malformed.
	Authorization map[string]string `json:"authorization,omitempty"`
	// If the signature is wrong, Verified is the string to sign that the server
	// verifies, and Signed the one that was signed, if the server recognized it.
	// Long ones are cut.
	Verified string `json:"verified_message,omitempty"`
	Signed   string `json:"signed_message,omitempty"`
}

func requestOf(r wechatpaytest.Request) request {
	out := request{
		summary:       summaryOf(r),
		Header:        publicHeader(r.Header),
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

// publicName matches the headers whose values are not secret.
var publicName = regexp.MustCompile(
	`^(Accept|Connection|Date|Expect|Host|Origin|Request-Id|Te|Transfer-Encoding|Upgrade|User-Agent|Via` +
		`|(Accept|Content|Wechatpay)-.*)$`)

const hidden = "(hidden)"

// publicHeader returns a copy of a header with all values hidden that may be
// secret, and without Authorization.
func publicHeader(header http.Header) http.Header {
	public := http.Header{}
	for name, values := range header {
		switch {
		case name == "Authorization":
		case publicName.MatchString(name):
			public[name] = slices.Clone(values)
		default:
			public[name] = slices.Repeat([]string{hidden}, len(values))
		}
	}
	return public
}

var (
	// attribute matches an attribute of Authorization.
	attribute = regexp.MustCompile(`^([a-z_]+)="([^"]*)"$`)
	// publicValue matches the values of the attributes that are useless without
	// the signature. It matches no signature.
	publicValue = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)
)

func attributesOf(authorization string) map[string]string {
	attributes := map[string]string{}
	_, list, _ := strings.Cut(authorization, " ")
	for _, part := range strings.Split(list, ",") {
		m := attribute.FindStringSubmatch(strings.TrimLeft(part, " "))
		if m == nil {
			return nil
		}
		switch m[1] {
		case "mchid", "nonce_str", "timestamp", "serial_no":
			if attributes[m[1]] = m[2]; !publicValue.MatchString(m[2]) {
				attributes[m[1]] = hidden
			}
		}
	}
	return attributes
}
