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

func TestNewTransport(t *testing.T) {
	transport := wechatpay.NewTransport()
	require.NotSame(t, transport, wechatpay.NewTransport(), "changing one would change the other")
	require.Less(t, transport.IdleConnTimeout, 8*time.Second, "WeChat Pay closes idle connections after 8 s")
	require.Positive(t, transport.IdleConnTimeout)
	require.Positive(t, transport.TLSHandshakeTimeout)
	require.Positive(t, transport.ResponseHeaderTimeout)
	require.NotNil(t, transport.Proxy)
	require.Equal(t, uint16(tls.VersionTLS12), transport.TLSClientConfig.MinVersion)
}

// HTTP/2 is spoken where the server offers it, and a later connection resumes
// the TLS session.
func TestNewTransportSpeaksHTTP2AndResumes(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		var proto []int
		var resumed []bool
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			require.Empty(t, r.Header["Accept-Encoding"], "the signed bytes are asked for as they are")
			proto, resumed = append(proto, r.ProtoMajor), append(resumed, r.TLS.DidResume)
			reply(t, 204, "")(w, r)
		}))
		server.EnableHTTP2 = h2
		server.StartTLS()
		t.Cleanup(server.Close)

		// Two pools with one session cache: the second has to dial.
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

// A certificate that nobody vouches for ends the call before anything is sent.
func TestServerCertificateThatDoesNotVerify(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("sent") }))
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
