package wechatpay_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// resetListener makes connections whose HTTP/2 stream resets have the error code
// PROTOCOL_ERROR. net/http sends a request again after such a reset, with the
// same nonce and signature (golang/go#47635).
type resetListener struct{ net.Listener }

func (l resetListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &resetConn{Conn: conn}, nil
}

// resetConn rewrites the frames that a server writes.
type resetConn struct {
	net.Conn
	header  []byte // of the current frame, as far as it is written
	payload int    // bytes of the payload still to be written
}

const (
	frameHeader   = 9 // length (3), type (1), flags (1), stream (4)
	frameReset    = 3 // RST_STREAM, whose payload is the error code
	protocolError = 1
)

func (c *resetConn) Write(p []byte) (int, error) {
	out := bytes.Clone(p)
	for i := range out {
		if len(c.header) < frameHeader {
			if c.header = append(c.header, out[i]); len(c.header) == frameHeader {
				c.payload = int(c.header[0])<<16 | int(binary.BigEndian.Uint16(c.header[1:3]))
			}
		} else {
			c.payload--
			if c.header[3] == frameReset {
				out[i] = 0
				if c.payload == 0 {
					out[i] = protocolError
				}
			}
		}
		if len(c.header) == frameHeader && c.payload == 0 {
			c.header = c.header[:0]
		}
	}
	return c.Conn.Write(out)
}

// http2Client serves a handler over unencrypted HTTP/2, and returns a Client for
// it with the keys of a fake.
func http2Client(t *testing.T, fake *wechatpaytest.Server, handler http.HandlerFunc) *wechatpay.Client {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = protocols
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Listener = resetListener{server.Listener}
	server.Start()
	t.Cleanup(server.Close)
	return gatewayClient(t, fake, func(cfg *wechatpay.Config) {
		cfg.BaseURL = server.URL
		cfg.Transport.(*http.Transport).Protocols = protocols
	})
}

// WeChat Pay applies the write and resets the stream. net/http sends the request
// again by itself, and WeChat Pay rejects that: the rejection is about the second
// request only.
func TestClient_http2Resend(t *testing.T) {
	t.Parallel()
	for _, call := range writeCalls {
		for _, rejection := range sample(append(rejections[:3:3], htmlPage(403)), 1) {
			for _, lookup := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/%s/lookup %t", call.name, rejection.name, lookup), func(t *testing.T) {
					testHTTP2Resend(t, &call, &rejection, lookup)
				})
			}
		}
	}
}

func testHTTP2Resend(t *testing.T, call *apiCall, rejection *gatewayPage, lookup bool) {
	fake := startFake(t)
	if call.prepare != nil {
		call.prepare(fake)
	}
	var sent []string // the Authorization headers of the call's own requests
	client := http2Client(t, fake, func(w http.ResponseWriter, r *http.Request) {
		switch own := call.matches(r); {
		case own && sent == nil:
			sent = append(sent, r.Header.Get("Authorization"))
			fake.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case own && len(sent) == 1, sent != nil && !lookup:
			sent = append(sent, r.Header.Get("Authorization"))
			w.Header().Set("Content-Type", rejection.contentType)
			w.WriteHeader(rejection.status)
			io.WriteString(w, rejection.body)
		default:
			fake.ServeHTTP(w, r)
		}
	})
	err := call.do(context.Background(), client)
	require.GreaterOrEqual(t, len(sent), 2)
	require.Equal(t, sent[0], sent[1], "net/http sent the request again")
	call.requireAppliedOnce(t, fake)
	if call.resolved && lookup {
		require.NoError(t, err)
	} else {
		require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	}
}

// The second request is the one that is applied, and its response is verified.
func TestClient_http2Resend_accepted(t *testing.T) {
	for _, call := range writeCalls {
		t.Run(call.name, func(t *testing.T) {
			fake, sent := startFake(t), 0
			if call.prepare != nil {
				call.prepare(fake)
			}
			client := http2Client(t, fake, func(w http.ResponseWriter, r *http.Request) {
				if call.matches(r) {
					if sent++; sent == 1 {
						panic(http.ErrAbortHandler)
					}
				}
				fake.ServeHTTP(w, r)
			})
			require.NoError(t, call.do(context.Background(), client))
			require.Equal(t, 2, sent)
		})
	}
}
