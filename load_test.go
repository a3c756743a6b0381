package wechatpay_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
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

// decisions is how many decisions TestDecisionsThroughFaults makes, and posts
// how many TestPostsAroundTheIdleClose.
var (
	decisions = flag.Int("decisions", 200, "decisions of TestDecisionsThroughFaults")
	posts     = flag.Int("posts", 200, "calls of TestPostsAroundTheIdleClose")
)

// No setting of the machine reaches the tests, nor the programs that they run.
func TestMain(m *testing.M) {
	flag.Parse()
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "WECHATPAY_") {
			os.Unsetenv(name)
		}
	}
	goleak.VerifyTestMain(m)
}

// everyFault are faults of all kinds that together strike three requests of ten.
func everyFault(server *wechatpaytest.Server) {
	kinds := []wechatpaytest.Fault{
		{Kind: wechatpaytest.FaultDrop}, {Kind: wechatpaytest.FaultLostResponse}, {Kind: wechatpaytest.FaultCut}, {Kind: wechatpaytest.FaultSlow, Delay: 20 * time.Millisecond},
		{Kind: wechatpaytest.FaultBusy429, Delay: time.Millisecond}, {Kind: wechatpaytest.FaultForged}, {Kind: wechatpaytest.FaultUnsigned}, {Kind: wechatpaytest.FaultProbe}, {Kind: wechatpaytest.FaultOld},
	}
	for _, gateway := range []wechatpaytest.FaultKind{wechatpaytest.FaultError500, wechatpaytest.FaultError502, wechatpaytest.FaultError503, wechatpaytest.FaultHTML502} {
		kinds = append(kinds, wechatpaytest.Fault{Kind: gateway}, wechatpaytest.Fault{Kind: gateway, TakesEffect: true})
	}
	for i, fault := range kinds {
		fault.Probability, fault.Seed = 0.0208, uint64(i) // 1 - (1-0.0208)^17 = 0.30
		server.AddFault(fault)
	}
}

// Decisions through faults of every kind, of three requests in ten, with a
// history that lags behind: what the client says is what the ledger holds.
func TestDecisionsThroughFaults(t *testing.T) {
	const callers = 32
	server := wechatpaytest.NewServer()
	t.Cleanup(server.Close)
	server.Configure(func(b *wechatpaytest.Behavior) { b.Seed, b.HistoryLag = 1, 20*time.Millisecond })
	id := func(i int) string { return fmt.Sprintf("2002018202001010800%08d", i) }
	for i := range *decisions {
		server.AddComplaint(wechatpay.Complaint{ComplaintID: id(i), ProblemType: wechatpay.ProblemTypeRefund})
	}
	everyFault(server)
	client := payClient(t, server, func(cfg *wechatpay.Config) {
		cfg.Retry.HistoryLag = 100 * time.Millisecond
		cfg.Retry.MinDelay, cfg.Retry.MaxDelay = 5*time.Millisecond, 50*time.Millisecond
	})

	results := make([]error, *decisions)
	var next atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for range callers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := int(next.Add(1)) - 1; i < *decisions; i = int(next.Add(1)) - 1 {
				req := wechatpay.ApproveRefund(i % 4)
				if i%2 == 1 {
					req = wechatpay.RejectRefund("已使用")
				}
				results[i] = client.ComplaintsV2.UpdateRefundProgress(context.Background(), id(i), req)
			}
		}()
	}
	wg.Wait()
	took := time.Since(began)

	var done, unknown, refused, falseSuccess, falseFailure, sentAgain int
	for i, err := range results {
		want := wechatpay.OperateTypeMerchantApproveRefund
		if i%2 == 1 {
			want = wechatpay.OperateTypeMerchantRefuseRefund
		}
		var decided []wechatpay.OperateType
		for _, record := range server.History(id(i)) {
			if record.OperateType == wechatpay.OperateTypeMerchantApproveRefund || record.OperateType == wechatpay.OperateTypeMerchantRefuseRefund {
				decided = append(decided, record.OperateType)
			}
		}
		require.LessOrEqual(t, len(decided), 1)
		stands := len(decided) == 1 && decided[0] == want
		switch {
		case err == nil:
			done++
			if !stands {
				falseSuccess++
			}
		case errors.Is(err, wechatpay.ErrOutcomeUnknown):
			unknown++
		default:
			refused++
			if stands {
				falseFailure++
			}
		}
	}
	shown := map[string]bool{}
	struck, requests := 0, server.Requests()
	for _, request := range requests {
		if request.Fault != "" {
			struck++
		}
		element := strings.Split(request.Path, "/")[4]
		if request.Method == http.MethodPost && shown[element] {
			sentAgain++
		}
		// A history that reached the client whole and genuine.
		if request.Method == http.MethodGet && request.StatusCode == 200 && (request.Fault == "" || request.Fault == wechatpaytest.FaultSlow) {
			var page wechatpay.NegotiationHistory
			require.NoError(t, json.Unmarshal(request.Response, &page))
			for _, record := range page.Data {
				if record.OperateType == wechatpay.OperateTypeMerchantApproveRefund || record.OperateType == wechatpay.OperateTypeMerchantRefuseRefund {
					shown[element] = true
				}
			}
		}
	}
	t.Logf("\n| decisions | callers | requests | struck by a fault | done | unknown | refused | false successes | false failures | sent again though shown | seconds |\n"+
		"|---|---|---|---|---|---|---|---|---|---|---|\n| %d | %d | %d | %d (%.0f %%) | %d | %d | %d | %d | %d | %d | %.1f |",
		*decisions, callers, len(requests), struck, 100*float64(struck)/float64(len(requests)), done, unknown, refused, falseSuccess, falseFailure, sentAgain, took.Seconds())
	require.Zero(t, falseSuccess, "nil, and the decision does not stand")
	require.Zero(t, falseFailure, "an error, not of unknown outcome, and the decision stands")
	require.Zero(t, sentAgain, "sent again though the history had shown it")
	require.Greater(t, struck, len(requests)/5, "the faults did not strike")
	require.GreaterOrEqual(t, done*100, *decisions*99, "less than 99 %% done: %d unknown, %d refused", unknown, refused)
}

// 64 callers at once make at most 128 handshakes on a cold client, however many
// calls; a warm one makes none; and a later connection resumes the session.
func TestHandshakesOfManyCallers(t *testing.T) {
	const callers, calls = 64, 20
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP/2: %v", h2), func(t *testing.T) {
			answer := reply(t, 204, "")
			var handshakes, resumed atomic.Int32
			server := httptest.NewUnstartedServer(answer)
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
			transport := wechatpay.NewTransport()
			t.Cleanup(transport.CloseIdleConnections)
			transport.IdleConnTimeout = time.Hour // the callers come again when they come
			transport.TLSClientConfig.RootCAs = server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
			cfg := testConfig(t, server.URL)
			cfg.Transport = transport
			client, err := wechatpay.NewClient(cfg)
			require.NoError(t, err)

			round := func() {
				var wg sync.WaitGroup
				for range callers {
					wg.Add(1)
					go func() {
						defer wg.Done()
						for range calls {
							if err := approve(context.Background(), client); err != nil {
								t.Error(err)
							}
						}
					}()
				}
				wg.Wait()
			}
			round()
			cold := handshakes.Load()
			round()
			t.Logf("%d callers × %d calls: %d handshakes cold, %d warm", callers, calls, cold, handshakes.Load()-cold)
			require.LessOrEqual(t, cold, int32(128))
			require.Equal(t, cold, handshakes.Load(), "a warm client makes no handshake")

			// A pool that has nothing left, with the same session cache.
			later := wechatpay.NewTransport()
			t.Cleanup(later.CloseIdleConnections)
			later.TLSClientConfig = transport.TLSClientConfig.Clone()
			cfg.Transport = later
			client, err = wechatpay.NewClient(cfg)
			require.NoError(t, err)
			before := resumed.Load()
			require.NoError(t, approve(context.Background(), client))
			require.Equal(t, before+1, resumed.Load())
		})
	}
}

// Decisions paused for about as long as the server keeps idle connections: none
// fails. The times are a fortieth of the real ones: the server closes after
// 200 ms, the transport gives up after 125 ms.
func TestPostsAroundTheIdleClose(t *testing.T) {
	pay := wechatpaytest.NewServer()
	t.Cleanup(pay.Close)
	var connections, closed atomic.Int32
	server := httptest.NewUnstartedServer(pay)
	server.Config.IdleTimeout = 200 * time.Millisecond
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			connections.Add(1)
		case http.StateClosed:
			closed.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	client := payClient(t, pay, func(cfg *wechatpay.Config) {
		cfg.BaseURL = server.URL
		cfg.Transport.(*http.Transport).IdleConnTimeout = 125 * time.Millisecond
	})
	for i := range *posts {
		pay.AddComplaint(wechatpay.Complaint{ComplaintID: fmt.Sprint(i), ProblemType: wechatpay.ProblemTypeRefund})
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := int(next.Add(1)) - 1; i < *posts; i = int(next.Add(1)) - 1 {
				if err := client.ComplaintsV2.UpdateRefundProgress(context.Background(), fmt.Sprint(i), wechatpay.ApproveRefund(0)); err != nil {
					t.Error(err)
				}
				// Not for the test to be right, but to be hard.
				timer := time.NewTimer(100*time.Millisecond + rand.N(150*time.Millisecond))
				<-timer.C
			}
		}()
	}
	wg.Wait()
	for i := range *posts {
		require.Len(t, pay.History(fmt.Sprint(i)), 2)
	}
	t.Logf("%d decisions over %d connections, of which %d were given up meanwhile; none failed", *posts, connections.Load(), closed.Load())
	require.Positive(t, closed.Load(), "no connection was given up")
}

// All holds one page at a time, however many complaints there are.
func TestAllHoldsOnePage(t *testing.T) {
	var total atomic.Int64
	detail := strings.Repeat("长", 300)
	_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		var page []string
		for range 50 {
			page = append(page, fmt.Sprintf(`{"complaint_id":"%d","complaint_detail":%q}`, total.Add(1), detail))
		}
		fmt.Fprintf(w, `{"data":[%s],"limit":50,"offset":1}`, strings.Join(page, ","))
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
	for _, err := range client.ComplaintsV2.All(context.Background(), &wechatpay.ListComplaintsRequest{BeginDate: day(2026, 1, 1), EndDate: day(2026, 1, 1)}) {
		require.NoError(t, err)
		if n++; n == 1000 {
			first = heap()
		}
		if n == 10_000 {
			break
		}
	}
	require.Less(t, heap()-first, int64(256<<10), "the memory grows with the complaints")
}
