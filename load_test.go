package wechatpay_test

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

var (
	decisions  = flag.Int("decisions", 200, "decisions of each run of TestComplaintsV2_UpdateRefundProgress_faults")
	refundRuns = flag.Int("refunds", 60, "number of runs in TestComplaintsV2_Refund_model")
	posts      = flag.Int("posts", 200, "number of decisions in TestNewTransport_idleClose")
)

// TestMain unsets WECHATPAY_*, so that no setting of the machine reaches the
// tests or the programs they run, and fails if a goroutine is left running.
func TestMain(m *testing.M) {
	flag.Parse()
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "WECHATPAY_") {
			os.Unsetenv(name)
		}
	}
	goleak.VerifyTestMain(m)
}

// loadContext ends a load test that would otherwise hang.
func loadContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// concurrently calls f with 0 to n-1 in many goroutines, and waits for them.
func concurrently(goroutines, n int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range goroutines {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		}()
	}
	wg.Wait()
}

// 64 concurrent callers make at most 128 TLS handshakes on a cold client, and
// none on a warm one. A new pool resumes the session.
func TestNewTransport_handshakes(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	const callers, calls = 64, 20
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP/2: %v", h2), func(t *testing.T) {
			server, handshakes, resumed := handshakeServer(t, h2)
			transport := wechatpay.NewTransport()
			t.Cleanup(transport.CloseIdleConnections)
			transport.IdleConnTimeout = time.Hour // no connection may close during the test
			transport.TLSClientConfig.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
			cfg := testConfig(t, server.URL)
			cfg.Transport = transport
			client, err := wechatpay.NewClient(cfg)
			require.NoError(t, err)

			ctx := loadContext(t)
			round := func() {
				concurrently(callers, callers*calls, func(int) {
					if err := approve(ctx, client); err != nil {
						t.Error(err)
					}
				})
			}
			round()
			cold := handshakes.Load()
			round()
			t.Logf("%d callers × %d calls: %d handshakes cold, %d warm", callers, calls, cold, handshakes.Load()-cold)
			require.LessOrEqual(t, cold, int32(128), "handshakes of a cold client")
			require.Equal(t, cold, handshakes.Load(), "handshakes of a warm client")

			// An empty pool with the same session cache.
			later := wechatpay.NewTransport()
			t.Cleanup(later.CloseIdleConnections)
			later.TLSClientConfig = transport.TLSClientConfig.Clone()
			cfg.Transport = later
			client, err = wechatpay.NewClient(cfg)
			require.NoError(t, err)
			before := resumed.Load()
			require.NoError(t, approve(ctx, client))
			require.Equal(t, before+1, resumed.Load())
		})
	}
}

// handshakeServer starts a TLS server that accepts decisions and counts its
// handshakes.
func handshakeServer(t *testing.T, h2 bool) (server *httptest.Server, handshakes, resumed *atomic.Int32) {
	t.Helper()
	handshakes, resumed = new(atomic.Int32), new(atomic.Int32)
	server = httptest.NewUnstartedServer(reply(t, 204, ""))
	server.EnableHTTP2 = h2
	server.TLS = &tls.Config{VerifyConnection: func(state tls.ConnectionState) error {
		handshakes.Add(1)
		if state.DidResume {
			resumed.Add(1)
		}
		return nil
	}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server, handshakes, resumed
}

// No decision fails if it is sent about when the server closes an idle
// connection. The times are 1/40 of the real ones: the server closes after
// 200 ms, the transport after 125 ms.
func TestNewTransport_idleClose(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	pay := wechatpaytest.NewServer()
	t.Cleanup(pay.Close)
	var opened, closed atomic.Int32
	server := httptest.NewUnstartedServer(pay)
	server.Config.IdleTimeout = 200 * time.Millisecond
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			opened.Add(1)
		case http.StateClosed:
			closed.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	client := fakeClient(t, pay, func(cfg *wechatpay.Config) {
		cfg.BaseURL = server.URL
		cfg.Transport.(*http.Transport).IdleConnTimeout = 125 * time.Millisecond
	})
	for i := range *posts {
		pay.AddComplaint(wechatpay.Complaint{ComplaintID: fmt.Sprint(i), ProblemType: wechatpay.ProblemTypeRefund})
	}
	ctx := loadContext(t)
	concurrently(50, *posts, func(i int) {
		err := client.ComplaintsV2.UpdateRefundProgress(ctx, fmt.Sprint(i), wechatpay.ApproveRefund(0))
		if err != nil {
			t.Error(err)
		}
		// Pause for about as long as the server keeps a connection. The test is
		// right without it, but easier to pass.
		timer := time.NewTimer(100*time.Millisecond + rand.N(150*time.Millisecond))
		<-timer.C
	})
	for i := range *posts {
		require.Len(t, pay.History(fmt.Sprint(i)), 2)
	}
	t.Logf("%d decisions over %d connections, %d of them closed while idle; none failed",
		*posts, opened.Load(), closed.Load())
	require.Positive(t, closed.Load(), "connections closed while idle")
}

// All keeps one page in memory, however many complaints there are.
func TestComplaintsV2_All_memory(t *testing.T) {
	var total atomic.Int64
	detail := strings.Repeat("长", 300)
	_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		var page []string
		for range 50 {
			page = append(page, fmt.Sprintf(`{"complaint_id":"%d","complaint_detail":%q}`, total.Add(1), detail))
		}
		fmt.Fprintf(w, `{"data":[%s],"limit":50,"offset":%s}`, strings.Join(page, ","), r.URL.Query().Get("offset"))
	})
	cfg := testConfig(t, server.URL)
	cfg.InsecureSkipVerify = true
	cfg.Time = func() time.Time { return day(2026, 6, 4) }
	client, err := wechatpay.NewClient(cfg)
	require.NoError(t, err)
	heap := func() int64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	var first int64
	n := 0
	req := &wechatpay.ListComplaintsRequest{BeginDate: day(2026, 1, 1), EndDate: day(2026, 1, 1)}
	for _, err := range client.ComplaintsV2.All(loadContext(t), req) {
		require.NoError(t, err)
		if n++; n == 1000 {
			first = heap()
		}
		if n == 10_000 {
			break
		}
	}
	require.Less(t, heap()-first, int64(256<<10), "bytes added between 1,000 and 10,000 complaints")
}
