package wechatpay_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// The tests in this file resolve a complaint on machines that are killed, run at
// the same time, or meet faults and changes, and check what was done to it.

// effects is what was done to a complaint.
type effects struct {
	approved, rejected, replies, completed int
	refunds                                int
	fen                                    int64 // of all refunds together
}

func effectsOf(server *wechatpaytest.Server) (e effects) {
	for _, record := range server.History(testComplaintID) {
		switch record.OperateType {
		case wechatpay.OperateTypeMerchantApproveRefund:
			e.approved++
		case wechatpay.OperateTypeMerchantRefuseRefund:
			e.rejected++
		case wechatpay.OperateTypeMerchantResponse:
			e.replies++
		case wechatpay.OperateTypeMerchantConfirmComplete:
			e.completed++
		}
	}
	e.refunds, e.fen = len(server.Refunds()), paidFen(server)
	return e
}

// A resolveCase is a complaint and the way to resolve it.
type resolveCase struct {
	name        string
	change      func(*wechatpay.Complaint)
	trustedOnly bool // Behavior.TrustedOnly
	replyFirst  bool // Behavior.CompleteNeedsReply
	req         wechatpay.ResolveRequest
	want        effects
}

func setOthers(c *wechatpay.Complaint) { c.ProblemType = wechatpay.ProblemTypeOthers }
func setTrusted(c *wechatpay.Complaint) {
	c.UserTagList = []wechatpay.UserTag{wechatpay.UserTagTrusted}
}
func setImmediate(c *wechatpay.Complaint) { c.NeedImmediateService = true }

var (
	approveAll  = wechatpay.ResolveRequest{Decision: wechatpay.ApproveRefund(0), Reply: "您好，退款已发起"}
	approvePart = wechatpay.ResolveRequest{
		Decision: wechatpay.ApproveRefund(0),
		Reply:    "您好，退款已发起",
		Refund:   &wechatpay.RefundComplaintRequest{Amount: 300},
	}
	rejectIt = wechatpay.ResolveRequest{Decision: wechatpay.RejectRefund("商品已使用"), Reply: "您好，无法退款"}

	resolveCases = []resolveCase{
		{name: "approve", req: approveAll, want: effects{approved: 1, replies: 1, refunds: 1, fen: 600}},
		{name: "approve a part", req: approvePart, want: effects{approved: 1, replies: 1, refunds: 1, fen: 300}},
		{name: "reject", req: rejectIt, want: effects{rejected: 1, replies: 1}},
		{
			name: "approve, not trusted", trustedOnly: true, req: approveAll,
			want: effects{replies: 1, completed: 1, refunds: 1, fen: 600},
		},
		{
			name: "reject, not trusted", trustedOnly: true, req: rejectIt,
			want: effects{replies: 1, completed: 1},
		},
		{
			name: "approve, not a refund request", change: setOthers, req: approvePart,
			want: effects{replies: 1, completed: 1, refunds: 1, fen: 300},
		},
		{
			name: "reject, not a refund request", change: setOthers, replyFirst: true,
			req:  wechatpay.ResolveRequest{Decision: wechatpay.RejectRefund("商品已使用")},
			want: effects{replies: 1, completed: 1},
		},
		{
			name: "approve, trusted", trustedOnly: true, change: setTrusted, req: approveAll,
			want: effects{approved: 1, replies: 1, refunds: 1, fen: 600},
		},
		{
			name: "approve, immediate service", change: setImmediate, req: approveAll,
			want: effects{approved: 1, replies: 1, refunds: 1, fen: 600},
		},
		{
			name: "reject, not trusted, immediate service", change: setImmediate, trustedOnly: true, replyFirst: true,
			req:  rejectIt,
			want: effects{replies: 1, completed: 1},
		},
	}
)

// A resolveMachine calls Resolve on a fake. It may be killed at a request.
type resolveMachine struct {
	server *wechatpaytest.Server
	client *wechatpay.Client
	req    wechatpay.ResolveRequest

	transport http.RoundTripper
	rejects   func(*http.Request) bool     // requests that WeChat Pay rejects:
	status    int                          // with this status; 0: 400
	rejection string                       // and this body
	before    func(n int, r *http.Request) // runs before each request
	killAt    int                          // the request, from 1; 0: none
	sent      bool                         // whether that request is sent
	kill      context.CancelFunc
	n         int           // requests so far
	lag       time.Duration // passes on the clock of WeChat Pay when Resolve waits
	ended     time.Time     // when the last request ended
}

// start adds the complaint to a fake.
func (c *resolveCase) start(t testing.TB) *wechatpaytest.Server {
	t.Helper()
	server := startFake(t, func(complaint *wechatpay.Complaint) {
		complaint.NeedImmediateService = false
		if c.change != nil {
			c.change(complaint)
		}
	})
	server.Configure(func(b *wechatpaytest.Behavior) {
		b.TrustedOnly, b.CompleteNeedsReply = c.trustedOnly, c.replyFirst
	})
	return server
}

func (c *resolveCase) machine(t testing.TB, server *wechatpaytest.Server, change ...func(*wechatpay.Config)) *resolveMachine {
	t.Helper()
	m := &resolveMachine{server: server, req: c.req}
	m.client = gatewayClient(t, server, append(change, func(cfg *wechatpay.Config) {
		m.transport, cfg.Transport = cfg.Transport, m
	})...)
	return m
}

func (m *resolveMachine) RoundTrip(r *http.Request) (*http.Response, error) {
	m.n++
	defer func() { m.ended = time.Now() }()
	if !m.ended.IsZero() && time.Since(m.ended) >= 20*time.Millisecond {
		m.server.Advance(m.lag)
	}
	if m.before != nil {
		m.before(m.n, r)
	}
	if m.n == m.killAt && !m.sent {
		m.kill()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if m.rejects != nil && m.rejects(r) {
		return m.reject(r), nil
	}
	resp, err := m.transport.RoundTrip(r)
	if m.n == m.killAt && err == nil {
		m.kill()
		resp.Body.Close()
		return nil, context.Canceled
	}
	return resp, err
}

// reject returns an error response of WeChat Pay.
func (m *resolveMachine) reject(r *http.Request) *http.Response {
	return &http.Response{
		StatusCode: cmp.Or(m.status, http.StatusBadRequest),
		Header:     http.Header{"Content-Type": {"application/json"}},
		Body:       io.NopCloser(strings.NewReader(cmp.Or(m.rejection, `{"code":"INVALID_REQUEST"}`))),
		Request:    r,
	}
}

// resolve calls Resolve once.
func (m *resolveMachine) resolve() (*wechatpay.Resolution, error) {
	ctx, kill := context.WithCancel(context.Background())
	defer kill()
	m.kill, m.n, m.ended = kill, 0, time.Time{}
	req := m.req
	return m.client.ComplaintsV2.Resolve(ctx, testComplaintID, &req)
}

// finish calls Resolve until the complaint is resolved, and lets the refund arrive
// when Resolve waits for it.
func (m *resolveMachine) finish() (*wechatpay.Resolution, error) {
	var errs []error
	for range 30 {
		got, err := m.resolve()
		var conflict *wechatpay.ResolveConflictError
		switch {
		case errors.As(err, &conflict):
			return nil, err
		case err != nil:
			errs = append(errs, err)
			continue
		case got.Done:
			return got, nil
		case got.Next != wechatpay.ResolveStepRefundArrival:
			return nil, fmt.Errorf("not done, and the next step is %q", got.Next)
		}
		if err := m.server.SettleRefund(got.Refund.OutRefundNo, "SUCCESS"); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("not done after 30 calls: %w", errors.Join(errs...))
}

// check returns how the effects differ from what was wanted.
func (c *resolveCase) check(server *wechatpaytest.Server, maxReplies int) error {
	got, want := effectsOf(server), c.want
	if got.replies > want.replies && got.replies <= maxReplies {
		want.replies = got.replies
	}
	complaint, _ := server.Complaint(testComplaintID)
	if got != want || complaint.ComplaintState != wechatpay.ComplaintStateProcessed {
		return fmt.Errorf("%s: %s after %+v, want PROCESSED after %+v", c.name, complaint.ComplaintState, got, want)
	}
	return nil
}

// killEverywhere kills Resolve at each request, before and after it is sent, and
// restarts it until it is done.
func (c *resolveCase) killEverywhere(t *testing.T, lag time.Duration) {
	_, err := c.lagging(t, lag).finish()
	require.NoError(t, err)
	m := c.lagging(t, lag)
	_, err = m.resolve()
	require.NoError(t, err)
	requests := m.n
	slots := make(chan struct{}, 16) // most of the time is spent waiting
	var wg sync.WaitGroup
	for n := 1; n <= requests; n++ {
		for _, sent := range []bool{false, true} {
			m := c.lagging(t, lag)
			m.killAt, m.sent = n, sent
			slots <- struct{}{}
			wg.Add(1)
			go func() {
				defer wg.Done()
				if _, err := m.resolve(); err == nil {
					t.Errorf("not killed at request %d", n)
				}
				m.killAt = 0
				_, err := m.finish()
				if err == nil {
					err = c.check(m.server, 1)
				}
				if err != nil {
					t.Errorf("killed at request %d, sent %t: %v", n, sent, err)
				}
				<-slots
			}()
		}
	}
	wg.Wait()
}

// lagging returns a machine for a new fake whose history lags.
func (c *resolveCase) lagging(t *testing.T, lag time.Duration) *resolveMachine {
	server := c.start(t)
	if lag == 0 {
		return c.machine(t, server)
	}
	now := time.Now()
	server.Configure(func(b *wechatpaytest.Behavior) {
		b.HistoryLag, b.RefundLag, b.VaryLag = lag, lag, true
		b.Time = func() time.Time { return now }
	})
	m := c.machine(t, server, func(cfg *wechatpay.Config) { cfg.Retry.HistoryLag = 20 * time.Millisecond })
	m.lag = lag
	return m
}

// A machine is killed at any request, before or after it takes effect. The next
// one finishes the work, and does nothing twice.
func TestComplaintsV2_Resolve_killedAtEveryRequest(t *testing.T) {
	t.Parallel()
	for _, c := range resolveCases {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.name != "reject, not a refund request" {
				t.Skip("slow")
			}
			c.killEverywhere(t, 0)
		})
	}
}

// The same while the history lags.
func TestComplaintsV2_Resolve_killedAtEveryRequest_historyLags(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	for _, c := range resolveCases {
		t.Run(c.name, func(t *testing.T) { c.killEverywhere(t, 10*time.Second) })
	}
}

// resolveAtOnce resolves the complaint on several machines at the same time. Each
// of them finishes it, or finds that another one did.
func (c *resolveCase) resolveAtOnce(t *testing.T, machines int, prepare func(*wechatpaytest.Server)) {
	t.Helper()
	server := c.start(t)
	if prepare != nil {
		prepare(server)
	}
	errs := make([]error, machines)
	var wg sync.WaitGroup
	for i := range machines {
		m := c.machine(t, server, func(cfg *wechatpay.Config) { cfg.Retry.HistoryLag = 20 * time.Millisecond })
		wg.Add(1)
		go func() {
			defer wg.Done()
			_, errs[i] = m.finishOrSettled()
		}()
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.NoError(t, c.check(server, machines))
}

// finishOrSettled is finish on one of several machines: another one may let the
// refund arrive first.
func (m *resolveMachine) finishOrSettled() (*wechatpay.Resolution, error) {
	for {
		got, err := m.finish()
		if err == nil || !strings.Contains(err.Error(), "is already SUCCESS") {
			return got, err
		}
	}
}

func TestComplaintsV2_Resolve_machinesAtOnce(t *testing.T) {
	t.Parallel()
	for _, c := range resolveCases {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.name != "approve" {
				t.Skip("slow")
			}
			c.resolveAtOnce(t, 4, nil)
		})
	}
}

// addResolveFaults makes 30 % of the requests fail.
func addResolveFaults(server *wechatpaytest.Server, seed uint64) {
	faults := []wechatpaytest.Fault{
		{Kind: wechatpaytest.FaultDrop},
		{Kind: wechatpaytest.FaultLostResponse},
		{Kind: wechatpaytest.FaultForged},
		{Kind: wechatpaytest.FaultError502},
		{Kind: wechatpaytest.FaultError500, TakesEffect: true},
		{Kind: wechatpaytest.FaultHTML502, TakesEffect: true},
	}
	for i, fault := range faults {
		fault.Probability, fault.Seed = 0.05, seed+uint64(i)
		server.AddFault(fault)
	}
}

func TestComplaintsV2_Resolve_faults(t *testing.T) {
	t.Parallel()
	for _, c := range resolveCases {
		t.Run(c.name, func(t *testing.T) {
			seeds := uint64(3)
			if testing.Short() {
				if seeds = 1; c.name != "approve, not trusted" {
					t.Skip("slow")
				}
			}
			for seed := range seeds {
				server := c.start(t)
				addResolveFaults(server, seed*100)
				_, err := c.machine(t, server).finish()
				require.NoError(t, err, "seed %d", seed)
				require.NoError(t, c.check(server, 1), "seed %d", seed)
			}
		})
	}
}

func TestComplaintsV2_Resolve_faultsOnMachinesAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	for i, c := range resolveCases {
		t.Run(c.name, func(t *testing.T) {
			c.resolveAtOnce(t, 4, func(server *wechatpaytest.Server) { addResolveFaults(server, uint64(i)*100) })
		})
	}
}

// inBetween resolves the complaint once for each request, and does something
// before that request. finished receives the methods and paths of the requests.
func (c *resolveCase) inBetween(
	t *testing.T, act func(*testing.T, *wechatpaytest.Server),
	finished func(t *testing.T, m *resolveMachine, n int, requests []string, err error),
) {
	for n := 1; ; n++ {
		server := c.start(t)
		m := c.machine(t, server)
		var requests []string
		m.before = func(i int, r *http.Request) {
			requests = append(requests, r.Method+" "+r.URL.Path)
			if i == n {
				act(t, server)
			}
		}
		_, err := m.resolve()
		if m.n < n {
			return
		}
		m.before = nil
		finished(t, m, n, requests, err)
	}
}

// The user writes at any time: that changes nothing.
func TestComplaintsV2_Resolve_userRepliesInBetween(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	for _, c := range resolveCases {
		t.Run(c.name, func(t *testing.T) {
			c.inBetween(t, func(t *testing.T, server *wechatpaytest.Server) {
				require.NoError(t, server.UserReplies(testComplaintID, "请尽快处理"))
			}, func(t *testing.T, m *resolveMachine, n int, _ []string, err error) {
				require.NoError(t, err, "before request %d", n)
				_, err = m.finish()
				require.NoError(t, err, "before request %d", n)
				require.NoError(t, c.check(m.server, 1), "before request %d", n)
			})
		})
	}
}

// The user files the complaint again at any time. Only a write that was already
// on its way reaches the new round, and a reply that follows it.
func TestComplaintsV2_Resolve_filedAgainInBetween(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	for _, c := range resolveCases {
		t.Run(c.name, func(t *testing.T) {
			c.req.Round = 1
			var before effects
			c.inBetween(t, func(t *testing.T, server *wechatpaytest.Server) {
				continueComplaint(t, server)
				before = effectsOf(server)
			}, func(t *testing.T, m *resolveMachine, n int, requests []string, err error) {
				t.Logf("before request %d, %s: %+v, %v", n, requests[n-1], effectsOf(m.server), err)
				var writes int
				for _, request := range requests[n-1:] {
					if strings.HasPrefix(request, "POST") {
						writes++
					}
				}
				require.LessOrEqual(t, writes, 2)
				if strings.HasPrefix(requests[n-1], "GET") && !strings.Contains(requests[n-1], "/v3/refund/") {
					require.Error(t, err)
					require.Equal(t, before, effectsOf(m.server))
				}

				// The next call refuses, because it is for round 1.
				sent := len(m.server.Requests())
				_, err = m.resolve()
				requireConflict(t, err, wechatpay.ResolveConflictReasonNewerRound)
				require.Len(t, m.server.Requests(), sent+2)

				// One for round 2 finishes round 2, unless the refund of round 1 is on
				// its way, or the completion of round 1 ended round 2.
				m.req.Round = 2
				if now := effectsOf(m.server); now.refunds == 0 && now.completed == before.completed {
					_, err = m.finish()
					require.NoError(t, err)
				}
			})
		})
	}
}

// WeChat Pay refunds the complaint at any time. Nothing is paid after Resolve can
// see that.
func TestComplaintsV2_Resolve_platformRefundsInBetween(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	for _, c := range resolveCases {
		t.Run(c.name, func(t *testing.T) {
			c.inBetween(t, func(t *testing.T, server *wechatpaytest.Server) {
				require.NoError(t, server.PlatformRefunds(testComplaintID))
			}, func(t *testing.T, m *resolveMachine, n int, requests []string, err error) {
				t.Logf("before request %d, %s: %v", n, requests[n-1], err)
				payment := -1 // the request that pays
				for i, request := range requests {
					if request == "POST /v3/refund/domestic/refunds" {
						payment = i + 1
					}
				}
				if payment >= n {
					// After the complaint was read, only the refunds are.
					for _, request := range requests[n-1 : payment] {
						require.Contains(t, request, "/v3/refund/")
					}
				}
				before := effectsOf(m.server)
				if _, err = m.finish(); err != nil {
					var conflict *wechatpay.ResolveConflictError
					require.ErrorAs(t, err, &conflict)
					require.Contains(t, []wechatpay.ResolveConflictReason{"REFUNDED", "PROCESSED"}, conflict.Reason)
					require.Equal(t, before, effectsOf(m.server))
				}
			})
		})
	}
}
