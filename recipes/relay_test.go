package recipes_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// relay is an http.RoundTripper that sends requests for WeChat Pay to an internal
// gateway, such as https://gateway.internal/wechatpay or http://10.0.0.5:8080. The
// gateway removes the path prefix, and forwards the request to
// https://api.mch.weixin.qq.com without other changes: the escaped path, the query,
// the headers and the body are signed.
//
// The Client signs and verifies as without a gateway, which therefore needs no keys.
// The gateway sees personal data, and with http, so does the network in between.
type relay struct {
	base http.RoundTripper
	url  *url.URL
}

// newRelay returns a relay for the URL of a gateway.
func newRelay(base http.RoundTripper, gateway string) (*relay, error) {
	u, err := url.Parse(gateway)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("relay: must be a URL such as https://gateway/wechatpay")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("relay: only scheme, host and path are allowed")
	}
	return &relay{base, u}, nil
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

// Requests reach WeChat Pay through a gateway with a path.
func Example_relay() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
	upstream, err := url.Parse(server.URL)
	if err != nil {
		log.Fatal(err)
	}
	gateway := httptest.NewServer(http.StripPrefix("/wechatpay", httputil.NewSingleHostReverseProxy(upstream)))
	defer gateway.Close()

	cfg := server.Config()
	cfg.BaseURL = "" // WeChat Pay's
	if cfg.Transport, err = newRelay(wechatpay.NewTransport(), gateway.URL+"/wechatpay"); err != nil {
		log.Fatal(err)
	}
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		log.Fatal(err)
	}
	complaint, err := client.ComplaintsV2.Get(context.Background(), "200201820200101080076610000")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(complaint.ComplaintID)
	// Output: 200201820200101080076610000
}
