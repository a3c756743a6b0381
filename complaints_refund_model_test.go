//go:build go1.25

package wechatpay_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// A refundModel is a random history of one complaint: several machines refund it
// with ComplaintsV2.Refund, colleagues in the merchant platform and WeChat Pay
// refund it too, the user files it again, responses are lost, and the history
// lags. It runs in a synctest bubble. Afterwards every call is compared with what
// the server recorded.
type refundModel struct {
	seed    uint64
	rand    *rand.Rand
	server  *wechatpaytest.Server
	clients []*wechatpay.Client // the machines; the last one is the merchant platform
	orders  []wechatpay.ComplaintOrderInfo
	usual   []int64 // the amount to refund of each order
	calls   []*modelCall

	lag       time.Duration // of the history, at most
	policy    time.Duration // RetryPolicy.HistoryLag
	refundLag time.Duration // of refunds that are read by their number, at most

	mu      sync.Mutex // guards the following
	rounds  []modelRound
	events  []modelEvent
	numbers int // of refunds in the merchant platform
}

// A modelRound is a round of the complaint.
type modelRound struct {
	filed   time.Time
	applied int64 // the amount applied for
}

// A modelEvent is something that happened outside of ComplaintsV2.Refund.
type modelEvent struct {
	kind   string // "entrusted", "rejected", "withdrawn" or a refund status
	at     time.Time
	number string // of a refund
	order  string // of an entrusted refund; "": all orders
}

// A modelCall is one call of ComplaintsV2.Refund.
type modelCall struct {
	id         int
	client     *wechatpay.Client
	req        wechatpay.RefundComplaintRequest
	start, end time.Time
	posted     time.Time // when it last sent a refund, for the check
	refund     *wechatpay.Refund
	err        error
}

// No order is paid twice in a round if an endpoint could have shown the other
// refund, and no other amount is paid than was asked for.
func TestComplaintsV2_Refund_model(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	report := &modelReport{counts: map[string]int{}}
	t.Run("seeds", func(t *testing.T) {
		for seed := range *refundRuns {
			t.Run(strconv.Itoa(seed), func(t *testing.T) {
				t.Parallel()
				server := wechatpaytest.NewServer() // outside of the bubble, because it waits for connections
				t.Cleanup(server.Close)
				synctest.Test(t, func(t *testing.T) {
					m := newRefundModel(t, server, uint64(seed))
					m.run()
					m.check(t, report)
				})
			})
		}
	})
	t.Log("\n" + report.table())
}

func newRefundModel(t *testing.T, server *wechatpaytest.Server, seed uint64) *refundModel {
	time.Sleep(time.Until(time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC))) // a bubble begins in 2000
	const minute = time.Minute
	m := &refundModel{
		seed:      seed,
		rand:      rand.New(rand.NewPCG(seed, 1)),
		server:    server,
		lag:       []time.Duration{0, time.Second, 5 * minute, 5 * minute, 10 * time.Second, 10 * minute}[seed%6],
		policy:    []time.Duration{time.Second, time.Second, 5 * minute, 5 * minute, time.Second, time.Second}[seed%6],
		refundLag: []time.Duration{0, 0, 0, time.Second, 10 * time.Second, 0, 0}[seed%7],
	}
	server.Configure(func(b *wechatpaytest.Behavior) {
		b.Seed, b.HistoryLag, b.RefundLag, b.VaryLag = seed, m.lag, m.refundLag, seed%5 > 0
	})
	sum := int64(0)
	for i := range []int{1, 2, 2, 3}[m.rand.IntN(4)] {
		amount := int64(100 * (1 + m.rand.IntN(10)))
		m.orders = append(m.orders, wechatpay.ComplaintOrderInfo{
			TransactionID: fmt.Sprintf("42000000000000000000%08d", i),
			OutTradeNo:    fmt.Sprintf("order-%d", i),
			Amount:        amount,
		})
		if m.rand.IntN(2) == 0 {
			amount /= 2
		}
		m.usual = append(m.usual, amount)
		sum += amount
	}
	m.rounds = []modelRound{{time.Now(), sum}}
	server.AddComplaint(wechatpay.Complaint{
		ComplaintID:        testComplaintID,
		ProblemType:        wechatpay.ProblemTypeRefund,
		ApplyRefundAmount:  sum,
		ComplaintOrderInfo: m.orders,
	})
	// Without signatures of responses, the model is twice as fast.
	server.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultUnsigned, Probability: 1})
	for i := range 4 {
		m.clients = append(m.clients, m.client(t, uint64(i)))
	}
	return m
}

// client returns a Client that reaches the server without a network, because
// synctest cannot wait for one.
func (m *refundModel) client(t *testing.T, i uint64) *wechatpay.Client {
	cfg := m.server.Config()
	cfg.InsecureSkipVerify = true
	cfg.Retry.HistoryLag = m.policy
	cfg.Transport = &modelTransport{server: m.server, rand: rand.New(rand.NewPCG(m.seed, 100+i))}
	client, err := wechatpay.NewClient(cfg)
	require.NoError(t, err)
	return client
}

// A modelTransport calls the server directly. Requests and responses take a
// random time. A request arrives even if the client gives up.
type modelTransport struct {
	server *wechatpaytest.Server
	mu     sync.Mutex
	rand   *rand.Rand
}

// callHeader names the call that a request belongs to.
const callHeader = "X-Call"

type callKey struct{}

func (mt *modelTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	body := []byte(nil)
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	sent := req.Clone(context.WithoutCancel(req.Context()))
	sent.Body = io.NopCloser(bytes.NewReader(body))
	sent.Header.Set(callHeader, fmt.Sprint(req.Context().Value(callKey{})))
	there, back := mt.latency(5*time.Second), mt.latency(40*time.Second)
	response := make(chan *http.Response, 1)
	go func() {
		time.Sleep(there)
		resp := mt.serve(sent)
		time.Sleep(back)
		response <- resp
	}()
	select {
	case <-req.Context().Done():
		return nil, req.Context().Err()
	case resp := <-response:
		if resp == nil {
			return nil, errLostConnection
		}
		return resp, nil
	}
}

// latency returns mostly some milliseconds, and rarely up to most.
func (mt *modelTransport) latency(most time.Duration) time.Duration {
	mt.mu.Lock()
	defer mt.mu.Unlock()
	if mt.rand.IntN(40) > 0 {
		most = 50 * time.Millisecond
	}
	return time.Duration(mt.rand.Int64N(int64(most)))
}

// serve returns nil if a fault closed the connection.
func (mt *modelTransport) serve(req *http.Request) (resp *http.Response) {
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			panic(p)
		}
	}()
	w := httptest.NewRecorder()
	mt.server.ServeHTTP(w, req)
	return w.Result()
}

// run makes the random steps.
func (m *refundModel) run() {
	pauses := []time.Duration{
		10 * time.Millisecond, 300 * time.Millisecond, 900 * time.Millisecond, 3 * time.Second, 3 * time.Second,
		30 * time.Second, 2 * time.Minute, 2 * time.Minute, 15 * time.Minute, 3 * time.Hour,
	}
	for step := range 6 + m.rand.IntN(6) {
		pause := pauses[m.rand.IntN(len(pauses))]
		time.Sleep(time.Duration(1 + m.rand.Int64N(int64(pause))))
		var all sync.WaitGroup
		switch kind := m.rand.IntN(15); {
		case kind < 3, kind < 8 && step == 0:
			m.startBurst(&all)
		case kind < 8:
			m.event(m.rand.Uint64())
		default:
			m.addFaults()
			m.startStep(&all)
		}
		all.Wait()
	}
	time.Sleep(time.Minute) // for late responses
}

// after runs f after a random time.
func (m *refundModel) after(all *sync.WaitGroup, least, most time.Duration, f func()) {
	delay := least + time.Duration(m.rand.Int64N(int64(most-least)))
	all.Add(1)
	go func() {
		defer all.Done()
		time.Sleep(delay)
		f()
	}()
}

// startStep starts some calls and some events.
func (m *refundModel) startStep(all *sync.WaitGroup) {
	for range []int{1, 1, 2, 3}[m.rand.IntN(4)] {
		i := m.rand.IntN(len(m.orders))
		call := m.newCall(i)
		switch m.rand.IntN(20) {
		case 0, 1, 2:
			call.req.OutRefundNo = fmt.Sprint("SHOP-", 1+m.rand.IntN(4))
		case 3:
			call.req.Attempt = 2 + m.rand.IntN(2)
		case 4, 5:
			call.req.Amount = 1 + m.rand.Int64N(m.orders[i].Amount)
		case 6:
			call.req.Amount = 0
		}
		if m.rand.IntN(8) == 0 {
			call.req.Round = 1 + m.rand.IntN(len(m.rounds))
		}
		m.after(all, 0, time.Second, call.run)
	}
	for range []int{0, 0, 1, 1, 2}[m.rand.IntN(5)] {
		most := []time.Duration{600 * time.Millisecond, 4 * time.Second}[m.rand.IntN(2)]
		seed := m.rand.Uint64()
		m.after(all, 0, most, func() { m.event(seed) })
	}
}

// startBurst refunds an order, then another or the same one in the merchant
// platform, and then that one too. The history may show the second refund before
// the first, or its arrival before its launch. A request may be lost.
func (m *refundModel) startBurst(all *sync.WaitGroup) {
	i := m.rand.IntN(len(m.orders))
	j := (i + m.rand.IntN(2)) % len(m.orders)
	// No refund is above what the ones before leave.
	m.usual[i], m.usual[j] = m.orders[i].Amount/4, m.orders[j].Amount/4
	first, last := m.newCall(i), m.newCall(j)
	amount, arrives := m.orders[j].Amount/4, m.rand.IntN(2) == 0
	if m.rand.IntN(2) == 0 {
		m.server.AddFault(wechatpaytest.Fault{Path: "POST /v3/refund", Kind: wechatpaytest.FaultDrop})
	}
	m.after(all, 0, 100*time.Millisecond, first.run)
	m.after(all, 0, m.policy/2, func() {
		if number := m.merchantRefund(m.orders[j], amount); arrives {
			m.settle(number, "SUCCESS")
		}
	})
	m.after(all, m.policy/4, 5*m.policy/4, last.run)
}

// addFaults adds at most two faults for the next requests.
func (m *refundModel) addFaults() {
	kinds := []wechatpaytest.Fault{
		{Kind: wechatpaytest.FaultLostResponse},
		{Kind: wechatpaytest.FaultLostResponse},
		{Kind: wechatpaytest.FaultDrop},
		{Kind: wechatpaytest.FaultError500, TakesEffect: true},
		{Kind: wechatpaytest.FaultGatewayPage, TakesEffect: true},
		{Kind: wechatpaytest.FaultBusy429, Delay: time.Millisecond},
		{Kind: wechatpaytest.FaultBusy429, Delay: time.Millisecond, TakesEffect: true},
		{Kind: wechatpaytest.FaultError502},
	}
	for range []int{0, 0, 1, 2}[m.rand.IntN(4)] {
		fault := kinds[m.rand.IntN(len(kinds))]
		fault.Path = []string{"POST /v3/refund", "POST /v3/refund", "GET "}[m.rand.IntN(3)]
		m.server.AddFault(fault)
	}
}

// newCall returns a call for an order, by a random machine.
func (m *refundModel) newCall(i int) *modelCall {
	call := &modelCall{
		id:     len(m.calls),
		client: m.clients[m.rand.IntN(len(m.clients)-1)],
		req: wechatpay.RefundComplaintRequest{
			TransactionID:        m.orders[i].TransactionID,
			Amount:               m.usual[i],
			AllowRejected:        m.rand.IntN(4) == 0,
			AllowMoreThanApplied: m.rand.IntN(8) == 0,
		},
	}
	m.calls = append(m.calls, call)
	return call
}

func (call *modelCall) run() {
	ctx := context.WithValue(context.Background(), callKey{}, call.id)
	call.start = time.Now()
	call.refund, call.err = call.client.ComplaintsV2.Refund(ctx, testComplaintID, &call.req)
	call.end = time.Now()
}

// event makes a colleague, WeChat Pay or the user do something. It may run at the
// same time as others, so it has its own randomness.
func (m *refundModel) event(seed uint64) {
	rng := rand.New(rand.NewPCG(m.seed, seed))
	order := m.orders[rng.IntN(len(m.orders))]
	switch kind := rng.IntN(100); {
	case kind < 25:
		m.merchantRefund(order, 1+rng.Int64N(order.Amount))
	case kind < 27:
		if m.server.PlatformRefunds(testComplaintID) == nil {
			m.add(modelEvent{kind: "entrusted"})
		}
	case kind < 32:
		m.record(wechatpay.OperateTypeComplaintEntrustedRefundSystemMessage)
		m.add(modelEvent{kind: "entrusted", order: order.TransactionID})
	case kind < 70:
		m.settleAny(rng)
	case kind < 85:
		m.fileAgain(rng)
	case kind < 89:
		action := []wechatpay.RefundAction{wechatpay.RefundApprove, wechatpay.RefundReject}[rng.IntN(2)]
		if m.server.MerchantDecides(testComplaintID, action, "") == nil && action == wechatpay.RefundReject {
			m.add(modelEvent{kind: "rejected"})
		}
	case kind < 90:
		m.record(wechatpay.OperateTypeUserRevokeComplaint)
		m.add(modelEvent{kind: "withdrawn"})
	}
}

// add records an event of now.
func (m *refundModel) add(e modelEvent) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e.at = time.Now()
	m.events = append(m.events, e)
}

// record adds a record to the negotiation history.
func (m *refundModel) record(operation wechatpay.OperateType) {
	record := wechatpay.NegotiationRecord{OperateType: operation, OperateTime: time.Now()}
	if err := m.server.AddRecord(testComplaintID, record); err != nil {
		panic(err)
	}
}

// merchantRefund refunds an order in the merchant platform, and returns the
// number. WeChat Pay may refuse: too much, or too soon after another refund.
func (m *refundModel) merchantRefund(order wechatpay.ComplaintOrderInfo, amount int64) (number string) {
	m.mu.Lock()
	m.numbers++
	number = fmt.Sprint("MP-", m.numbers)
	m.mu.Unlock()
	client := m.clients[len(m.clients)-1]
	_, _ = client.Refunds.Create(context.Background(), &wechatpay.CreateRefundRequest{
		TransactionID: order.TransactionID,
		OutRefundNo:   number,
		Amount:        wechatpay.CreateRefundAmount{Refund: amount, Total: order.Amount},
	})
	return number
}

// settleAny sets the status of a refund: mostly, it arrives.
func (m *refundModel) settleAny(rng *rand.Rand) {
	refunds := slices.DeleteFunc(m.server.Refunds(), func(r wechatpaytest.Refund) bool {
		return r.Status == "SUCCESS" || r.Status == "CLOSED"
	})
	if len(refunds) > 0 {
		status := []string{"SUCCESS", "SUCCESS", "SUCCESS", "SUCCESS", "CLOSED", "ABNORMAL"}[rng.IntN(6)]
		m.settle(refunds[rng.IntN(len(refunds))].OutRefundNo, status)
	}
}

// settle sets the status of a refund, if it exists and has no final one.
func (m *refundModel) settle(number, status string) {
	if m.server.SettleRefund(number, status) == nil {
		m.add(modelEvent{kind: status, number: number})
	}
}

// fileAgain finishes the complaint, and makes the user file it again for the same
// or another amount.
func (m *refundModel) fileAgain(rng *rand.Rand) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.rounds) == 3 {
		return
	}
	applied := m.rounds[0].applied
	if rng.IntN(3) == 0 {
		applied = 1 + rng.Int64N(applied)
	}
	err := m.server.ChangeComplaint(testComplaintID, func(c *wechatpay.Complaint) {
		c.ComplaintState, c.ApplyRefundAmount = wechatpay.ComplaintStateProcessed, applied
	})
	if err == nil {
		err = m.server.UserContinues(testComplaintID)
	}
	if err != nil {
		panic(err)
	}
	m.rounds = append(m.rounds, modelRound{time.Now(), applied})
}
