package wechatpay_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// switchProtocols starts a server that answers every request with 101 Switching
// Protocols and then sends nothing, on a connection that stays open.
func switchProtocols(t *testing.T) (baseURL string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		conns   []net.Conn
	)
	serve := func(conn net.Conn) {
		defer running.Done()
		defer conn.Close()
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		io.Copy(io.Discard, req.Body)
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n")
		io.Copy(io.Discard, conn) // until the other side closes it
	}
	running.Add(1)
	go func() {
		defer running.Done()
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			running.Add(1)
			go serve(conn)
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, conn := range conns {
			conn.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return "http://" + listener.Addr().String()
}

// soon returns the result of f, which must not wait for any timeout.
func soon[T any](t *testing.T, f func() T) T {
	t.Helper()
	result := make(chan T, 1)
	go func() { result <- f() }()
	select {
	case v := <-result:
		return v
	case <-time.After(3 * time.Second):
		require.FailNow(t, "hangs")
		panic("unreachable")
	}
}

func TestClient_switchingProtocols(t *testing.T) {
	for _, call := range slices.Concat(writeCalls, readCalls, []apiCall{downloadImageCall}) {
		t.Run(call.name, func(t *testing.T) {
			client := quickClient(t, testConfig(t, switchProtocols(t)))
			err := soon(t, func() error { return call.do(context.Background(), client) })
			require.ErrorContains(t, err, "101")
			unknown := call.request != "" && call.name != "ComplaintsV2.Refund" // which reads first
			require.Equal(t, unknown, errors.Is(err, wechatpay.ErrOutcomeUnknown), err)
		})
	}
	t.Run("refund that is sent", func(t *testing.T) {
		server, sent := startFake(t), 0
		relay := func(req *http.Request, pay http.RoundTripper) (*http.Response, error) {
			if req.Method != http.MethodPost {
				return pay.RoundTrip(req)
			}
			if sent++; sent > 1 {
				return pay.RoundTrip(req)
			}
			discardResponse(t, req, pay)
			resp := (&gatewayPage{status: 101}).response(req)
			resp.Body = hangingBody{closed: make(chan struct{})}
			return resp, nil
		}
		client := gatewayClient(t, server, behind(relay))
		err := soon(t, func() error {
			_, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, nil)
			return err
		})
		require.NoError(t, err, "the lookup finds it")
		require.Equal(t, 1, sent)
	})
	t.Run("HTTPClient", func(t *testing.T) {
		baseURL := switchProtocols(t)
		client := quickClient(t, testConfig(t, baseURL))
		req, err := http.NewRequest(http.MethodGet, baseURL+complaintURLPath+testComplaintID, nil)
		require.NoError(t, err)
		err = soon(t, func() error {
			resp, err := client.HTTPClient().Do(req)
			if err == nil {
				resp.Body.Close()
			}
			return err
		})
		require.Error(t, err)
	})
}

// hangingBody is the body of a 101: the connection itself, which is silent and
// writable.
type hangingBody struct{ closed chan struct{} }

func (b hangingBody) Read([]byte) (int, error) {
	<-b.closed
	return 0, io.EOF
}

func (b hangingBody) Write(p []byte) (int, error) { return len(p), nil }

func (b hangingBody) Close() error {
	close(b.closed)
	return nil
}

// The certificates are downloaded through the same gateway.
func TestClient_switchingProtocols_certificates(t *testing.T) {
	server := newCertificateFake(t)
	cfg := server.Config()
	cfg.BaseURL = switchProtocols(t)
	t.Run("call", func(t *testing.T) {
		err := soon(t, func() error {
			return sendDecision(wechatpay.ApproveRefund(0))(context.Background(), quickClient(t, cfg))
		})
		require.ErrorContains(t, err, "101")
		require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown, "nothing was sent")
	})
	t.Run("NotificationHandler", func(t *testing.T) {
		client := quickClient(t, cfg)
		status := soon(t, func() int { return deliverNotification(t, server, client) })
		require.GreaterOrEqual(t, status, 400)
	})
}

// A certificate list is read up to 1 MiB.
func TestClient_certificateList_size(t *testing.T) {
	t.Run("15 MiB", func(t *testing.T) {
		list := `{"data":[{}` + strings.Repeat(",{}", 5<<20) + `]}`
		for _, length := range []string{strconv.Itoa(len(list)), ""} {
			server := newCertificateFake(t)
			large := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if length != "" {
					w.Header().Set("Content-Length", length)
				}
				io.WriteString(w, list)
			}))
			t.Cleanup(large.Close)
			useLarge := func(cfg *wechatpay.Config) { cfg.BaseURL = large.URL }
			calling, notified := gatewayClient(t, server, useLarge), gatewayClient(t, server, useLarge)
			requireLittleMemory(t, func() {
				require.Error(t, readComplaint(context.Background(), calling))
			})
			requireLittleMemory(t, func() {
				require.GreaterOrEqual(t, deliverNotification(t, server, notified), 400)
			})
		}
	})
	for _, tt := range []struct {
		name string
		size int
		err  bool
	}{
		{"1 MiB", 1 << 20, false},
		{"1 MiB and 1 byte", 1<<20 + 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := newCertificateFake(t)
			require.NoError(t, readComplaint(context.Background(), gatewayClient(t, server)))
			list := server.Requests()[0]
			require.True(t, strings.HasPrefix(list.Path, "/v3/certificates"))
			server.Handle(certificateList, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.Write(list.Response)
				io.WriteString(w, strings.Repeat(" ", tt.size-len(list.Response)))
			}))
			err := readComplaint(context.Background(), gatewayClient(t, server))
			require.Equal(t, tt.err, err != nil, err)
		})
	}
}

// requireLittleMemory checks that f allocates less than 64 MiB.
func requireLittleMemory(t *testing.T, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20))
}

// replayer is a gateway that records the response to the first request that
// record matches. Once replaying is set, it sends that response, headers
// included, to all requests for which replaying returns true.
type replayer struct {
	t         *testing.T
	record    apiCall
	replaying func(*http.Request) bool
	response  *http.Response
	body      []byte
	replays   int // how often it was sent
}

func (r *replayer) handle(req *http.Request, pay http.RoundTripper) (*http.Response, error) {
	if r.replaying != nil && r.replaying(req) {
		r.replays++
		resp := *r.response
		resp.Header, resp.Body, resp.Request = r.response.Header.Clone(), io.NopCloser(bytes.NewReader(r.body)), req
		return &resp, nil
	}
	resp, err := pay.RoundTrip(req)
	if err != nil || r.response != nil || !r.record.matches(req) {
		return resp, err
	}
	recorded := *resp
	r.body, err = io.ReadAll(resp.Body)
	require.NoError(r.t, err)
	resp.Body.Close()
	resp.Body, recorded.Header = io.NopCloser(bytes.NewReader(r.body)), resp.Header.Clone()
	r.response = &recorded
	return resp, nil
}

func everyRequest(*http.Request) bool { return true }

// The verified 204 of a reply is replayed for a decision that is never sent.
func TestComplaintsV2_UpdateRefundProgress_replayedResponse(t *testing.T) {
	for _, lookup := range []bool{true, false} {
		t.Run(fmt.Sprintf("lookup %t", lookup), func(t *testing.T) {
			server, call := startFake(t), callsNamed("approve")[0]
			r := &replayer{t: t, record: apiCall{request: "POST /response"}}
			client := gatewayClient(t, server, behind(r.handle))
			require.NoError(t, replyToUser(context.Background(), client))
			require.Equal(t, 204, r.response.StatusCode)
			r.replaying = func(req *http.Request) bool { return call.matches(req) || !lookup }

			err := call.do(context.Background(), client)
			requireReason(t, err, wechatpay.VerificationReasonReplayed)
			require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			require.Zero(t, call.applied(server))
		})
	}
}

// The same call is made twice. The second time, a gateway replays the response
// to the first.
func TestClient_replayedResponse(t *testing.T) {
	requests := map[string]string{
		"List":               "GET /complaints-v2",
		"Get":                "GET /" + testComplaintID,
		"NegotiationHistory": "GET /negotiation-historys",
		"NotificationURL":    "GET /complaint-notifications",
		"Refunds.Get":        "GET /shop-refund-1",
		"Do GET":             "GET /other",
	}
	for _, call := range slices.Concat(writeCalls, readCalls) {
		if call.name == "ComplaintsV2.Refund" {
			continue // the second call reads the refund and creates none
		}
		t.Run(call.name, func(t *testing.T) {
			server, record := startFake(t), call
			if call.prepare != nil {
				call.prepare(server)
			}
			if call.request == "" {
				record.request = requests[call.name]
			}
			r := &replayer{t: t, record: record}
			client := gatewayClient(t, server, behind(r.handle))
			require.NoError(t, call.do(context.Background(), client))
			require.NotNil(t, r.response)
			r.replaying = everyRequest

			err := call.do(context.Background(), client)
			requireReason(t, err, wechatpay.VerificationReasonReplayed)
			require.Equal(t, call.request != "", errors.Is(err, wechatpay.ErrOutcomeUnknown), err)
			require.LessOrEqual(t, r.replays, 8)
		})
	}
}

func TestClient_HTTPClient_replayedResponse(t *testing.T) {
	server := startFake(t)
	r := &replayer{t: t, record: apiCall{request: "GET /" + testComplaintID}}
	client := gatewayClient(t, server, behind(r.handle)).HTTPClient()
	get := func() error {
		req, err := http.NewRequest(http.MethodGet, server.URL+complaintURLPath+testComplaintID, nil)
		require.NoError(t, err)
		req.Header.Set("Accept", "application/json")
		req.Header.Set("User-Agent", "test")
		resp, err := client.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	require.NoError(t, get())
	r.replaying = everyRequest
	requireReason(t, get(), wechatpay.VerificationReasonReplayed)
}

// An old certificate list is replayed after WeChat Pay has begun to sign with a
// new certificate: it does not pass for a new download.
func TestClient_certificates_replayedResponse(t *testing.T) {
	server := newCertificateFake(t)
	r := &replayer{t: t, record: apiCall{request: certificateList}}
	client := gatewayClient(t, server, behind(r.handle))
	require.NoError(t, readComplaint(context.Background(), client))
	require.NotNil(t, r.response)
	r.replaying = func(req *http.Request) bool { return req.URL.Path == "/v3/certificates" }
	server.RotateCertificate()

	err := readComplaint(context.Background(), client)
	var failed *wechatpay.VerificationError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, wechatpay.VerificationReasonUnknownSerial, failed.Reason)
	require.Error(t, failed.Err, "the download failed")
	require.Positive(t, r.replays)

	// The genuine list is accepted.
	r.replaying = nil
	server.Advance(time.Minute)
	require.NoError(t, readComplaint(context.Background(), client))
}

// The same signed notification is accepted twice: WeChat Pay redelivers.
func TestClient_ParseNotification_redelivery(t *testing.T) {
	server := startFake(t)
	client := gatewayClient(t, server)
	req, err := server.NewNotification(context.Background(), "http://127.0.0.1/", wechatpaytest.Notification{
		EventType:   "COMPLAINT.CREATE",
		ComplaintID: testComplaintID,
		ActionType:  "CREATE_COMPLAINT",
	})
	require.NoError(t, err)
	body, err := io.ReadAll(req.Body)
	require.NoError(t, err)
	for range 2 {
		req.Body = io.NopCloser(bytes.NewReader(body))
		_, err = client.ParseNotification(req)
		require.NoError(t, err)
	}
}
