package wechatpay

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// NewTransport returns an http.Transport with settings for WeChat Pay. A Client
// uses one if Config.Transport is nil, without ResponseHeaderTimeout, because
// RetryPolicy.AttemptTimeout limits the wait. To change a setting, change it
// before the first call and set Config.Transport. Clients that use the same
// transport share its connections.
//
// It uses the proxies of HTTPS_PROXY, HTTP_PROXY and NO_PROXY.
func NewTransport() *http.Transport {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,

		// Connecting inside China takes tens of milliseconds. 5 s allows for two
		// retransmissions of a lost SYN, and leaves time for the backup host.
		DialContext: (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,

		// The handshake takes two round trips and some milliseconds of RSA.
		TLSHandshakeTimeout: 5 * time.Second,

		// A server that has not responded within 15 s will not respond. The
		// outcome of a write is then unknown.
		ResponseHeaderTimeout: 15 * time.Second,

		// WeChat Pay closes idle connections after about 8 s, and a POST sent at
		// that moment is lost. Close them earlier.
		IdleConnTimeout: 5 * time.Second,

		// By default Go keeps 2 idle connections per host, and most calls of a
		// busy service need a new handshake. Both limits are equal, because Go
		// otherwise dials more connections than it keeps.
		MaxIdleConnsPerHost: 100,
		MaxConnsPerHost:     100,

		// Later connections resume a TLS session, which saves the verification
		// of the certificate chain.
		TLSClientConfig: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			ClientSessionCache: tls.NewLRUClientSessionCache(16),
		},

		// HTTP/2 if the server supports it. A silent connection is pinged after
		// 5 s, and closed 5 s later.
		ForceAttemptHTTP2: true,
		HTTP2:             &http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: 5 * time.Second},

		// The signature covers the uncompressed body. Responses are small.
		DisableCompression: true,

		// WeChat Pay sends about 1 KiB of headers.
		MaxResponseHeaderBytes: 64 << 10,
	}
}
