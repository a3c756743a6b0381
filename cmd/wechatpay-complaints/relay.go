package main

import (
	"net/http"
	"net/url"
	"os"
	"strings"
)

const relayVariable = "WECHATPAY_RELAY_URL"

// relay is an http.RoundTripper that sends requests for WeChat Pay to an internal
// gateway. The gateway removes the path of the URL, and forwards the request to
// WeChat Pay without other changes. See recipes/relay_test.go.
type relay struct {
	base http.RoundTripper
	url  *url.URL
}

// RoundTrip sends a copy of the request to the gateway. The request is already
// signed, for the path without the prefix.
func (r *relay) RoundTrip(req *http.Request) (*http.Response, error) {
	relayed := req.Clone(req.Context())
	relayed.Host = r.url.Host
	relayed.URL.Scheme, relayed.URL.Host = r.url.Scheme, r.url.Host
	relayed.URL.Path = strings.TrimSuffix(r.url.Path, "/") + req.URL.Path
	relayed.URL.RawPath = strings.TrimSuffix(r.url.EscapedPath(), "/") + req.URL.EscapedPath()
	return r.base.RoundTrip(relayed)
}

// relayURL returns the URL in WECHATPAY_RELAY_URL, or nil if it is not set. The
// error does not quote it, because it may contain a password.
func (l language) relayURL() (*url.URL, error) {
	value := strings.TrimSpace(os.Getenv(relayVariable))
	if value == "" {
		return nil, nil
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" ||
		u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, l.usagef(words{
			relayVariable + " 无效：应为不含密码和参数的 URL，如 https://gateway/wechatpay",
			relayVariable + " is invalid: use a URL without a password or query, such as https://gateway/wechatpay"})
	}
	return u, nil
}
