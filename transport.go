package wechatpay

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// NewTransport returns an http.Transport with settings for WeChat Pay. A Client
// uses one if Config.Transport is nil, without ResponseHeaderTimeout, because
// RetryPolicy.AttemptTimeout limits the wait. To change a setting, change it
// before the first call and set Config.Transport. Clients that use the same
// transport share its connections.
//
// It uses the proxies of HTTPS_PROXY, HTTP_PROXY and NO_PROXY. Go does not report
// a malformed HTTPS_PROXY; the command wechatpay-complaints doctor does.
//
// If a proxy inspects TLS, errors name its CA as the unknown authority. Set
// SSL_CERT_FILE to the CA's PEM file (Windows and macOS use their own store of
// certificates instead), or TLSClientConfig.RootCAs. If the authority is a public
// CA, the machine has no root certificates: install the package ca-certificates.
//
// Since Go 1.24 a ClientHello has about 1,500 bytes. If a firewall drops it, the
// TLS handshake times out: set the environment variable GODEBUG=tlsmlkem=0.
func NewTransport() *http.Transport {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,

		OnProxyConnectResponse: checkConnect,

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

		// The signature covers the uncompressed body. Responses are small. If a
		// proxy compresses them all the same, decompress undoes it.
		DisableCompression: true,

		// WeChat Pay sends about 1 KiB of headers.
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// checkConnect names the proxy that refuses CONNECT. The error of net/http is
// the status text alone.
func checkConnect(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return fmt.Errorf("proxy %s refused CONNECT: %.60s", proxy.Host, oneLine(resp.Status))
}

// connectError returns a text for an error of net/http whose own text does not
// help, or "".
func connectError(err error) string {
	var (
		unverified *tls.CertificateVerificationError
		unknown    x509.UnknownAuthorityError
		network    *net.OpError
	)
	text := err.Error()
	switch {
	case errors.As(err, &unknown) && errors.As(err, &unverified) && len(unverified.UnverifiedCertificates) > 0:
		issuer := unverified.UnverifiedCertificates[0].Issuer.String()
		return fmt.Sprintf("x509: unknown authority %.60q: use SSL_CERT_FILE, RootCAs or ca-certificates", issuer)
	case strings.HasSuffix(text, "TLS handshake timeout"):
		return "TLS handshake timeout: GODEBUG=tlsmlkem=0 helps with some firewalls"
	case errors.As(err, &network) && network.Op == "proxyconnect" && strings.Contains(text, "not look like a TLS"):
		return "the proxy speaks plain HTTP: its URL must begin with http:// (HTTPS_PROXY)"
	}
	return ""
}

// decompress replaces the body of a response that is compressed with gzip. The
// Client does not ask for compression, but some proxies compress all the same,
// and the signature covers the original body.
func decompress(resp *http.Response) {
	encoding := resp.Header.Get("Content-Encoding")
	if !strings.EqualFold(encoding, "gzip") && !strings.EqualFold(encoding, "x-gzip") || resp.Body == http.NoBody {
		return
	}
	resp.Body = &gzipBody{body: resp.Body}
	resp.Header.Del("Content-Encoding")
	resp.Header.Del("Content-Length")
	resp.ContentLength, resp.Uncompressed = -1, true
}

// gzipBody decompresses a body as it is read. A body that is not compressed,
// despite its header, is read as it is.
type gzipBody struct {
	body   io.ReadCloser
	reader io.Reader // nil before the first read
	err    error
}

func (b *gzipBody) Read(p []byte) (int, error) {
	if b.reader == nil && b.err == nil {
		buffered := bufio.NewReader(b.body)
		b.reader = buffered
		if magic, _ := buffered.Peek(2); string(magic) == "\x1f\x8b" {
			b.reader, b.err = gzip.NewReader(buffered)
		}
	}
	if b.err != nil {
		return 0, b.err
	}
	return b.reader.Read(p)
}

func (b *gzipBody) Close() error { return b.body.Close() }
