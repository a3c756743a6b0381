package wechatpay_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

func TestNewTransport_settings(t *testing.T) {
	transport := wechatpay.NewTransport()
	require.NotSame(t, transport, wechatpay.NewTransport(), "two calls return the same transport")
	require.Less(t, transport.IdleConnTimeout, 8*time.Second, "WeChat Pay closes idle connections after 8 s")
	require.Positive(t, transport.IdleConnTimeout)
	require.Positive(t, transport.TLSHandshakeTimeout)
	require.Equal(t, 15*time.Second, transport.ResponseHeaderTimeout)
	require.Equal(t, transport.MaxIdleConnsPerHost, transport.MaxConnsPerHost)
	require.Positive(t, transport.HTTP2.SendPingTimeout)
	require.Positive(t, transport.HTTP2.PingTimeout)
	require.NotNil(t, transport.Proxy)
	require.Equal(t, uint16(tls.VersionTLS12), transport.TLSClientConfig.MinVersion)
}

func TestNewTransport_http2AndSessionResumption(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		var proto []int
		var resumed []bool
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			require.Empty(t, r.Header["Accept-Encoding"], "compression is requested")
			proto, resumed = append(proto, r.ProtoMajor), append(resumed, r.TLS.DidResume)
			reply(t, 204, "")(w, r)
		}))
		server.EnableHTTP2 = h2
		server.StartTLS()
		t.Cleanup(server.Close)

		// Two transports with one session cache, so that the second one dials.
		first, second := wechatpay.NewTransport(), wechatpay.NewTransport()
		first.TLSClientConfig.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
		second.TLSClientConfig = first.TLSClientConfig.Clone()
		for _, transport := range []*http.Transport{first, second} {
			t.Cleanup(transport.CloseIdleConnections)
			cfg := testConfig(t, server.URL)
			cfg.Transport = transport
			client, err := wechatpay.NewClient(cfg)
			require.NoError(t, err)
			require.NoError(t, approve(context.Background(), client))
		}
		require.Equal(t, []bool{false, true}, resumed)
		if h2 {
			require.Equal(t, []int{2, 2}, proto)
		} else {
			require.Equal(t, []int{1, 1}, proto)
		}
	}
}

// Without a valid server certificate nothing is sent.
func TestClient_serverCertificateNotTrusted(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("sent")
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	client, err := wechatpay.NewClient(testConfig(t, server.URL))
	require.NoError(t, err)
	err = approve(context.Background(), client)
	var failed *tls.CertificateVerificationError
	require.ErrorAs(t, err, &failed)
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	require.ErrorContains(t, err,
		`: x509: unknown authority "O=Acme Co": use SSL_CERT_FILE, RootCAs or ca-certificates`)
	requireShort(t, err, testComplaintID, "O=Acme Co", strings.TrimPrefix(server.URL, "https://"))
}

// proxied returns a Client whose requests to https://pay.example go through a
// proxy.
func proxied(t *testing.T, proxyURL string, change ...func(*http.Transport)) *wechatpay.Client {
	t.Helper()
	proxy, err := url.Parse(proxyURL)
	require.NoError(t, err)
	cfg := testConfig(t, "https://pay.example")
	transport := cfg.Transport.(*http.Transport)
	transport.Proxy = http.ProxyURL(proxy)
	for _, f := range change {
		f(transport)
	}
	client, err := wechatpay.NewClient(cfg)
	require.NoError(t, err)
	return client
}

func TestNewTransport_proxyRefusesConnect(t *testing.T) {
	for _, status := range []int{400, 403, 407, 502} {
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			require.Equal(t, http.MethodConnect, r.Method)
			w.WriteHeader(status)
		}))
		t.Cleanup(proxy.Close)
		client := proxied(t, strings.Replace(proxy.URL, "http://", "http://user:hunter2@", 1))
		err := approve(context.Background(), client)
		require.ErrorContains(t, err, fmt.Sprintf("at pay.example: proxy %s refused CONNECT: %d %s",
			strings.TrimPrefix(proxy.URL, "http://"), status, http.StatusText(status)))
		require.NotContains(t, err.Error(), "hunter2")
		requireShort(t, err, testComplaintID, "O=Acme Co", "pay.example")
		require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	}
}

func TestNewTransport_tlsToPlainProxy(t *testing.T) {
	proxy := httptest.NewServer(http.NotFoundHandler())
	proxy.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(proxy.Close)
	err := approve(context.Background(), proxied(t, strings.Replace(proxy.URL, "http:", "https:", 1)))
	require.ErrorContains(t, err, "the proxy speaks plain HTTP: its URL must begin with http:// (HTTPS_PROXY)")
	requireShort(t, err, testComplaintID, "O=Acme Co", "pay.example")
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
}

// Some firewalls drop a ClientHello of more than one packet.
func TestNewTransport_handshakeTimeout(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // accepts, and never responds
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	cfg := testConfig(t, "https://"+listener.Addr().String())
	cfg.Transport.(*http.Transport).TLSHandshakeTimeout = time.Millisecond
	client, err := wechatpay.NewClient(cfg)
	require.NoError(t, err)
	err = approve(context.Background(), client)
	require.ErrorContains(t, err, ": TLS handshake timeout: GODEBUG=tlsmlkem=0 helps with some firewalls")
	requireShort(t, err, testComplaintID, "O=Acme Co", listener.Addr().String())
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
}

// compressing returns a transport that compresses responses although the request
// did not ask for it.
func compressing(t *testing.T, base http.RoundTripper, encoding string) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		require.Empty(t, req.Header["Accept-Encoding"])
		resp, err := base.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		if encoding != "" {
			body = []byte(gzipped(t, string(body)))
			resp.Header.Set("Content-Encoding", encoding)
		}
		resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		return resp, nil
	})
}

func TestClient_compressedResponses(t *testing.T) {
	image := "\xff\xd8\xff" + strings.Repeat("x", 1000)
	mux := http.NewServeMux()
	mux.HandleFunc("/v3/ok", reply(t, 200, `{"a":1}`))
	mux.HandleFunc("/v3/empty", reply(t, 204, ""))
	mux.HandleFunc("/v3/rejected", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(400)
		io.WriteString(w, `{"code":"PARAM_ERROR","message":"m"}`)
	})
	mux.HandleFunc("/v3/merchant-service/images/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/jpeg")
		io.WriteString(w, image)
	})
	for _, encoding := range []string{"gzip", "GZIP", "x-gzip"} {
		for _, insecure := range []bool{false, true} {
			server := httptest.NewServer(mux)
			t.Cleanup(server.Close)
			cfg := testConfig(t, server.URL)
			cfg.InsecureSkipVerify = insecure
			cfg.Transport = compressing(t, cfg.Transport, encoding)
			client, err := wechatpay.NewClient(cfg)
			require.NoError(t, err)
			var out struct{ A int }
			require.NoError(t, client.Do(context.Background(), "GET", "/v3/ok", nil, &out))
			require.Equal(t, 1, out.A)
			require.NoError(t, client.Do(context.Background(), "POST", "/v3/empty", nil, nil))
			err = client.Do(context.Background(), "POST", "/v3/rejected", nil, nil)
			var rejected *wechatpay.APIError
			require.ErrorAs(t, err, &rejected)
			require.Equal(t, wechatpay.ErrorCodeParamError, rejected.Code)
			require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)

			got, err := client.ComplaintsV2.DownloadImage(context.Background(), server.URL+"/v3/merchant-service/images/id")
			require.NoError(t, err)
			content, err := io.ReadAll(got)
			require.NoError(t, err)
			require.NoError(t, got.Close())
			require.Equal(t, image, string(content))
		}
	}
}

func TestVerifyingTransport_RoundTrip_gzip(t *testing.T) {
	const body = `{"a":1}`
	big := strings.Repeat("0", 16<<20+1)
	for _, tt := range []struct {
		name, signed, sent, encoding string
		err                          string // part of the error; empty: none
	}{
		{"gzip", body, gzipped(t, body), "gzip", ""},
		{"empty", "", "", "gzip", ""},
		{"not compressed, despite the header", body, body, "gzip", ""},
		{"one byte, not compressed", "0", "0", "gzip", ""},
		{"no header", body, gzipped(t, body), "", "the signature matches it after gzip decompression"},
		{"truncated", body, gzipped(t, body)[:20], "gzip", "reading the 200 response: unexpected EOF"},
		{"damaged", body, gzipped(t, body)[:20] + "00000000", "gzip", "reading the 200 response: flate: corrupt input"},
		{"header cut", body, gzipped(t, body)[:5], "gzip", "reading the 200 response: unexpected EOF"},
		{"16 MiB + 1 byte", big, gzipped(t, big), "gzip", "the body exceeds the size limit"},
		{"brotli", body, "\x8b\x03\x80", "br", `the body was modified: its Content-Encoding is "br"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			signed(t, tt.signed).set(t, h)
			if tt.encoding != "" {
				h.Set("Content-Encoding", tt.encoding)
			}
			sent := &countingBody{Reader: strings.NewReader(tt.sent)}
			transport := &wechatpay.VerifyingTransport{
				Verifier: newVerifier(t),
				Base: roundTripper(func(*http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 200, Header: h, Body: sent, ContentLength: int64(len(tt.sent))}, nil
				}),
			}
			resp, err := transport.RoundTrip(newRequest(t, http.MethodGet, nil))
			require.Equal(t, 1, sent.closed)
			if tt.err != "" {
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			got, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, tt.signed, string(got))
			require.Equal(t, int64(len(got)), resp.ContentLength)
			require.Empty(t, resp.Header["Content-Encoding"])
		})
	}
}
