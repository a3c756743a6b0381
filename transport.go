package wechatpay

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// NewTransport makes the connection pool that a Client uses when
// Config.Transport is nil (there without ResponseHeaderTimeout, since
// RetryPolicy.AttemptTimeout bounds the wait). Change what you like before the first call, and
// hand it to Config.Transport; one transport may serve many Clients, so that
// they share its connections.
//
// It honours HTTPS_PROXY, HTTP_PROXY and NO_PROXY.
func NewTransport() *http.Transport {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,

		// A connection inside China is made in tens of milliseconds. 5 s lets
		// one lost SYN be repeated twice, and leaves time for the backup host.
		DialContext: (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,

		// The handshake costs two round trips and some milliseconds of RSA.
		TLSHandshakeTimeout: 5 * time.Second,

		// A server that took the request and says nothing for 15 s is not
		// going to answer. The call then ends with its outcome unknown.
		ResponseHeaderTimeout: 15 * time.Second,

		// WeChat Pay's front closes idle connections after about 8 s, and a
		// POST that is sent just then is lost. Ours are given up well before.
		IdleConnTimeout: 5 * time.Second,

		// Go keeps 2 idle connections a host unless told otherwise, so that a
		// busy service would make a new handshake for most calls. The cap on
		// all connections of a host is the same number: without it Go dials
		// ahead of need, and throws the surplus away.
		MaxIdleConnsPerHost: 100,
		MaxConnsPerHost:     100,

		// The cache lets later connections resume a TLS session, which saves
		// the certificate chain and its checks. It serves few hosts.
		TLSClientConfig: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			ClientSessionCache: tls.NewLRUClientSessionCache(16),
		},

		// HTTP/2 where the server speaks it. A connection that goes silent
		// without closing is pinged after 5 s, and closed 5 s later.
		ForceAttemptHTTP2: true,
		HTTP2:             &http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: 5 * time.Second},

		// The signature covers the body's bytes, so they are asked for as
		// they are. Answers are small.
		DisableCompression: true,

		// WeChat Pay's headers take about 1 KiB.
		MaxResponseHeaderBytes: 64 << 10,
	}
}
