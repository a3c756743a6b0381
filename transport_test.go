package wechatpay_test

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
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
}
