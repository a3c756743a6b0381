package wechatpay_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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

const testOrder = "4200000000000000000000000001"

// newFakeRefund starts a WeChat Pay with a complaint that asks for 600 of 1000 fen.
func newFakeRefund(t testing.TB, change ...func(*wechatpay.Complaint)) (*wechatpaytest.Server, *wechatpay.Client) {
	t.Helper()
	server := wechatpaytest.NewServer()
	t.Cleanup(server.Close)
	complaint := wechatpay.Complaint{
		ComplaintID: testComplaintID, ProblemType: wechatpay.ProblemTypeRefund, ApplyRefundAmount: 600,
		ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{{TransactionID: testOrder, OutTradeNo: "20150806125346", Amount: 1000}},
	}
	for _, change := range change {
		change(&complaint)
	}
	server.AddComplaint(complaint)
	return server, fakeClient(t, server)
}

// refundNo is the documented formula, written again.
func refundNo(round, attempt int) string {
	digest := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d\n%d", testComplaintID, testOrder, round, attempt))
	return fmt.Sprintf("cr%s-%d-%d", hex.EncodeToString(digest[:])[:40], round, attempt)
}

func TestRefundComplaintPaysOnce(t *testing.T) {
	server, client := newFakeRefund(t)
	require.NoError(t, approve(context.Background(), client))
	var first *wechatpay.Refund
	for range 3 {
		refund, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Reason: "投诉退款", NotifyURL: "https://www.example.com/refund"})
		require.NoError(t, err)
		require.Equal(t, refundNo(1, 1), refund.OutRefundNo)
		require.LessOrEqual(t, len(refund.OutRefundNo), 64)
		require.Equal(t, int64(600), refund.Amount.Refund)
		require.Equal(t, int64(1000), refund.Amount.Total)
		require.Equal(t, testOrder, refund.TransactionID)
		if first == nil {
			first = refund
		}
		require.Equal(t, first.RefundID, refund.RefundID)
	}
	require.Equal(t, 1, count(server, "POST /v3/refund"))

	// The answer stays when it has arrived and the complaint is finished.
	require.NoError(t, server.SettleRefund(refundNo(1, 1), "SUCCESS"))
	refund, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, nil)
	require.NoError(t, err)
	require.Equal(t, wechatpay.RefundStatusSuccess, refund.Status)
	require.Len(t, server.Refunds(), 1)
}

func TestRefundComplaintRefuses(t *testing.T) {
	two := func(c *wechatpay.Complaint) {
		c.ComplaintOrderInfo = append(c.ComplaintOrderInfo, wechatpay.ComplaintOrderInfo{TransactionID: "4200000000000000000000000002", OutTradeNo: "20150806125347", Amount: 500})
	}
	for _, tt := range []struct {
		name    string
		change  func(*wechatpay.Complaint)
		prepare func(t *testing.T, s *wechatpaytest.Server, c *wechatpay.Client)
		req     *wechatpay.RefundComplaintRequest
		reason  wechatpay.RefundRefusedReason
		text    string
	}{
		{"the platform refunded it", nil, func(t *testing.T, s *wechatpaytest.Server, c *wechatpay.Client) {
			require.NoError(t, approve(context.Background(), c))
			require.NoError(t, s.PlatformRefunds(testComplaintID))
		}, nil, "", ""},
		{"the platform is refunding it", nil, func(t *testing.T, s *wechatpaytest.Server, c *wechatpay.Client) {
			require.NoError(t, s.AddRecord(testComplaintID, wechatpay.NegotiationRecord{OperateType: wechatpay.OperateTypeComplaintEntrustedRefundSystemMessage, OperateTime: s.Now()}))
		}, nil, wechatpay.RefundRefusedReasonElsewhere, "on the merchant's behalf"},
		{"refunded in full", func(c *wechatpay.Complaint) { c.ComplaintFullRefunded = true }, nil, nil, wechatpay.RefundRefusedReasonFullyRefunded, "refunded in full"},
		{"a refund under another number", nil, func(t *testing.T, s *wechatpaytest.Server, c *wechatpay.Client) {
			_, err := c.Refunds.Create(context.Background(), &wechatpay.CreateRefundRequest{TransactionID: testOrder, OutRefundNo: "by-hand", Amount: wechatpay.CreateRefundAmount{Refund: 100, Total: 1000}})
			require.NoError(t, err)
		}, nil, wechatpay.RefundRefusedReasonElsewhere, "1 launched in this round and 0 arrived"},
		{"withdrawn", nil, func(t *testing.T, s *wechatpaytest.Server, c *wechatpay.Client) {
			require.NoError(t, s.AddRecord(testComplaintID, wechatpay.NegotiationRecord{OperateType: wechatpay.OperateTypeUserRevokeComplaint, OperateTime: s.Now()}))
		}, nil, wechatpay.RefundRefusedReasonWithdrawn, "withdrew"},
		{"several orders and none is named", two, nil, nil, wechatpay.RefundRefusedReasonNoSuchOrder, "it has 2 orders"},
		{"another order is named", two, nil, &wechatpay.RefundComplaintRequest{TransactionID: "1"}, wechatpay.RefundRefusedReasonNoSuchOrder, "order 1 is not among its 2"},
		{"no amount", nil, func(t *testing.T, s *wechatpaytest.Server, c *wechatpay.Client) {
			require.NoError(t, s.ChangeComplaint(testComplaintID, func(c *wechatpay.Complaint) { c.ApplyRefundAmount = 0 }))
		}, nil, wechatpay.RefundRefusedReasonNoAmount, "set Amount"},
		{"more than the order", nil, nil, &wechatpay.RefundComplaintRequest{Amount: 1001, AllowMoreThanApplied: true}, wechatpay.RefundRefusedReasonMoreThanOrder, "1001 fen exceeds the order amount (1000 fen)"},
		{"more than was applied for", nil, nil, &wechatpay.RefundComplaintRequest{Amount: 601}, wechatpay.RefundRefusedReasonMoreThanApplied, "exceeds the 600 fen applied for"},
		{"an attempt after none", nil, nil, &wechatpay.RefundComplaintRequest{Attempt: 2}, wechatpay.RefundRefusedReasonEarlierAttempt, "refund " + refundNo(1, 1) + " of attempt 1 does not exist"},
		{"an attempt after one that is under way", nil, func(t *testing.T, s *wechatpaytest.Server, c *wechatpay.Client) {
			_, err := c.ComplaintsV2.Refund(context.Background(), testComplaintID, nil)
			require.NoError(t, err)
		}, &wechatpay.RefundComplaintRequest{Attempt: 2}, wechatpay.RefundRefusedReasonEarlierAttempt, "is PROCESSING, not CLOSED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var change []func(*wechatpay.Complaint)
			if tt.change != nil {
				change = append(change, tt.change)
			}
			server, client := newFakeRefund(t, change...)
			if tt.prepare != nil {
				tt.prepare(t, server, client)
			}
			before := len(server.Refunds())
			sent := count(server, "POST /v3/refund")
			refund, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, tt.req)
			require.Nil(t, refund)
			var refused *wechatpay.RefundRefusedError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, testComplaintID, refused.ComplaintID)
			if tt.reason != "" {
				require.Equal(t, tt.reason, refused.Reason)
			}
			require.ErrorContains(t, err, tt.text)
			require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			require.Len(t, server.Refunds(), before)
			require.Equal(t, sent, count(server, "POST /v3/refund"), "nothing that moves money is sent")
		})
	}
}

func TestRefundComplaintMoreThanApplied(t *testing.T) {
	_, client := newFakeRefund(t)
	refund, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Amount: 1000, AllowMoreThanApplied: true})
	require.NoError(t, err)
	require.Equal(t, int64(1000), refund.Amount.Refund)
}

func TestRefundComplaintWithAnOwnNumber(t *testing.T) {
	server, client := newFakeRefund(t)
	for range 2 {
		refund, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{OutRefundNo: "mine-1", TransactionID: testOrder})
		require.NoError(t, err)
		require.Equal(t, "mine-1", refund.OutRefundNo)
	}
	require.Len(t, server.Refunds(), 1)
}

// A second order of the same complaint is refunded too, though the history shows
// the first.
func TestRefundComplaintOfTwoOrders(t *testing.T) {
	server, client := newFakeRefund(t, func(c *wechatpay.Complaint) {
		c.ComplaintOrderInfo = append(c.ComplaintOrderInfo, wechatpay.ComplaintOrderInfo{TransactionID: "4200000000000000000000000002", OutTradeNo: "20150806125347", Amount: 500})
	})
	const second = "4200000000000000000000000002"
	for order, amount := range map[string]int64{testOrder: 400, second: 200} {
		_, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{TransactionID: order, Amount: amount})
		require.NoError(t, err)
	}
	require.Len(t, server.Refunds(), 2)
}

// A CLOSED refund is returned as what it is, and a further attempt is asked for.
func TestRefundComplaintAfterAClosedRefund(t *testing.T) {
	server, client := newFakeRefund(t)
	_, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, nil)
	require.NoError(t, err)
	require.NoError(t, server.SettleRefund(refundNo(1, 1), "CLOSED"))

	refund, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, nil)
	require.NoError(t, err)
	require.Equal(t, wechatpay.RefundStatusClosed, refund.Status)
	require.Len(t, server.Refunds(), 1)

	server.Advance(time.Minute) // refunds of an order are taken a minute apart
	for range 2 {
		refund, err = client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Attempt: 2})
		require.NoError(t, err)
		require.Equal(t, refundNo(1, 2), refund.OutRefundNo)
		require.Equal(t, wechatpay.RefundStatusProcessing, refund.Status)
	}
	require.Len(t, server.Refunds(), 2)
}

// A balance that is too low keeps the number.
func TestRefundComplaintAfterNotEnough(t *testing.T) {
	server, client := newFakeRefund(t)
	server.Configure(func(b *wechatpaytest.Behavior) {
		b.RefundRefusal = wechatpaytest.Refusal{StatusCode: 403, Code: "NOT_ENOUGH"}
	})
	_, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, nil)
	var refusal *wechatpay.APIError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, wechatpay.ErrorCodeNotEnough, refusal.Code)
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	server.Configure(func(b *wechatpaytest.Behavior) { b.RefundRefusal = wechatpaytest.Refusal{} })
	refund, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, nil)
	require.NoError(t, err)
	require.Equal(t, refundNo(1, 1), refund.OutRefundNo)
}

// The user files again: the new round has a new number. While the refund of the
// old one is on its way, nothing is paid.
func TestRefundComplaintInANewRound(t *testing.T) {
	server, client := newFakeRefund(t)
	_, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Amount: 300})
	require.NoError(t, err)
	require.NoError(t, client.ComplaintsV2.Complete(context.Background(), testComplaintID, nil))
	server.Advance(time.Minute)
	require.NoError(t, server.UserContinues(testComplaintID))

	_, err = client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Amount: 300})
	var refused *wechatpay.RefundRefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, wechatpay.RefundRefusedReasonEarlierRound, refused.Reason)
	require.ErrorContains(t, err, refundNo(1, 1)+" of round 1 is PROCESSING")

	server.Advance(-time.Second * 30) // it arrived before the user filed again
	require.NoError(t, server.SettleRefund(refundNo(1, 1), "SUCCESS"))
	server.Advance(time.Minute)
	complaint, _ := server.Complaint(testComplaintID)
	if complaint.ComplaintState == wechatpay.ComplaintStateProcessed {
		require.NoError(t, server.UserContinues(testComplaintID))
	}
	complaint, _ = server.Complaint(testComplaintID)
	refund, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Amount: 300})
	require.NoError(t, err)
	require.Equal(t, refundNo(complaint.UserComplaintTimes, 1), refund.OutRefundNo)
	require.Len(t, server.Refunds(), 2)
}

// A service provider's refund names the merchant complained of.
func TestRefundComplaintOfASubMerchant(t *testing.T) {
	server, client := newFakeRefund(t, func(c *wechatpay.Complaint) { c.ComplaintedMchID = "1900000109" })
	server.Configure(func(b *wechatpaytest.Behavior) { b.SubMchIDs = []string{"1900000109"} })
	_, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, nil)
	require.NoError(t, err)
	require.Len(t, server.Refunds(), 1)
}

// Many callers at once, through lost answers, 429, 500 and 502: one refund, and
// each gets it, or an honest unknown that a later call resolves.
func TestRefundComplaintByManyCallers(t *testing.T) {
	server, _ := newFakeRefund(t)
	for i, fault := range []wechatpaytest.Fault{
		{Kind: wechatpaytest.FaultLostResponse}, {Kind: wechatpaytest.FaultDrop}, {Kind: wechatpaytest.FaultBusy429, Delay: time.Millisecond}, {Kind: wechatpaytest.FaultBusy429, Delay: time.Millisecond, TakesEffect: true},
		{Kind: wechatpaytest.FaultError500}, {Kind: wechatpaytest.FaultError500, TakesEffect: true}, {Kind: wechatpaytest.FaultError502}, {Kind: wechatpaytest.FaultHTML502, TakesEffect: true},
	} {
		fault.Probability, fault.Seed = 0.05, uint64(i)
		server.AddFault(fault)
	}
	const callers = 50
	refunds, errs := make([]*wechatpay.Refund, callers), make([]error, callers)
	clients := make([]*wechatpay.Client, 5) // from several machines
	for i := range clients {
		clients[i] = fakeClient(t, server)
	}
	var wg sync.WaitGroup
	for i := range callers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			refunds[i], errs[i] = clients[i%len(clients)].ComplaintsV2.Refund(context.Background(), testComplaintID, nil)
		}()
	}
	wg.Wait()
	require.Len(t, server.Refunds(), 1)
	paid := 0
	for i, err := range errs {
		if err == nil {
			paid++
			require.Equal(t, refundNo(1, 1), refunds[i].OutRefundNo)
			continue
		}
		// A read may fail for good, too; what is not said is that it was paid, or was not, against the truth.
		var refused *wechatpay.RefundRefusedError
		require.False(t, errors.As(err, &refused), "%v", err)
	}
	t.Logf("%d of %d callers got the refund, over %d requests", paid, callers, len(server.Requests()))
	require.Greater(t, paid, callers/2)
	server.ClearFaults()
	refund, err := clients[0].ComplaintsV2.Refund(context.Background(), testComplaintID, nil)
	require.NoError(t, err)
	require.Equal(t, refundNo(1, 1), refund.OutRefundNo)
	require.Len(t, server.Refunds(), 1)
}

// killed is a machine that dies at a request: before it is sent, or after.
type killed struct {
	base  http.RoundTripper
	at    int
	after bool
	n     int
}

var errKilled = errors.New("killed")

func (k *killed) RoundTrip(req *http.Request) (*http.Response, error) {
	k.n++
	switch {
	case k.n > k.at || k.n == k.at && !k.after:
		return nil, errKilled
	case k.n < k.at:
		return k.base.RoundTrip(req)
	}
	if resp, err := k.base.RoundTrip(req); err == nil {
		resp.Body.Close()
	}
	return nil, errKilled
}

// The workflow is killed at each of its requests, sent and unsent, and begun
// anew: there is one refund, of the right amount.
func TestRefundWorkflowKilledAtEveryStep(t *testing.T) {
	workflow := func(client *wechatpay.Client) error {
		ctx := context.Background()
		complaint, err := client.ComplaintsV2.Get(ctx, testComplaintID)
		if err != nil {
			return err
		}
		if complaint.ComplaintState == wechatpay.ComplaintStatePending {
			if err := client.ComplaintsV2.Respond(ctx, testComplaintID, &wechatpay.RespondRequest{ResponseContent: "为您退款"}); err != nil {
				return err
			}
		}
		approved := false
		for record, err := range client.ComplaintsV2.AllNegotiationHistory(ctx, testComplaintID) {
			if err != nil {
				return err
			}
			approved = approved || record.OperateType == wechatpay.OperateTypeMerchantApproveRefund
		}
		if !approved {
			if err := approve(ctx, client); err != nil {
				return err
			}
		}
		_, err = client.ComplaintsV2.Refund(ctx, testComplaintID, nil)
		return err
	}
	steps := 0
	for at := 1; ; at++ {
		for _, after := range []bool{false, true} {
			server, _ := newFakeRefund(t)
			dying := &killed{at: at, after: after}
			err := workflow(fakeClient(t, server, func(cfg *wechatpay.Config) {
				dying.base, cfg.Transport = cfg.Transport, dying
				cfg.Retry.MaxAttempts = 1
			}))
			if err == nil {
				require.Less(t, dying.n, at, "it lived on")
				require.Greater(t, at, 6)
				t.Logf("killed at each of %d requests, unsent and sent", steps)
				return
			}
			require.ErrorIs(t, err, errKilled)
			server.Advance(time.Minute)
			require.NoError(t, workflow(fakeClient(t, server)))
			require.Len(t, server.Refunds(), 1)
			require.Equal(t, refundNo(1, 1), server.Refunds()[0].OutRefundNo)
			refund, err := fakeClient(t, server).Refunds.Get(context.Background(), &wechatpay.GetRefundRequest{OutRefundNo: refundNo(1, 1)})
			require.NoError(t, err)
			require.Equal(t, int64(600), refund.Amount.Refund)
		}
		steps = at
	}
}

// What cannot be read leaves nothing paid.
func TestRefundComplaintThatCannotRead(t *testing.T) {
	for _, path := range []string{"GET /v3/merchant-service/complaints-v2/{complaint_id}", "GET /v3/merchant-service/complaints-v2/{complaint_id}/negotiation-historys", "GET /v3/refund/domestic/refunds/{out_refund_no}"} {
		server, client := newFakeRefund(t)
		server.AddFault(wechatpaytest.Fault{Path: path, Kind: wechatpaytest.FaultError500, Times: 99})
		_, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, nil)
		require.Error(t, err)
		require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
		require.Zero(t, count(server, "POST /v3/refund"))
	}
}

// afterFirst runs do once, after the first request of a kind.
func afterFirst(t *testing.T, server *wechatpaytest.Server, method, part string, do func()) *wechatpay.Client {
	return fakeClient(t, server, func(cfg *wechatpay.Config) {
		base, done := cfg.Transport, false
		cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
			resp, err := base.RoundTrip(req)
			if !done && req.Method == method && strings.Contains(req.URL.Path, part) {
				done = true
				do()
			}
			return resp, err
		})
	})
}

// filesAgain ends the present round, and the user files again.
func filesAgain(t *testing.T, server *wechatpaytest.Server) {
	t.Helper()
	require.NoError(t, server.ChangeComplaint(testComplaintID, func(c *wechatpay.Complaint) { c.ComplaintState = wechatpay.ComplaintStateProcessed }))
	server.Advance(time.Minute)
	require.NoError(t, server.UserContinues(testComplaintID))
}

// While an attempt fails, WeChat Pay refunds: it is not made again.
func TestRefundComplaintLooksBeforeEachAttempt(t *testing.T) {
	for _, kind := range []wechatpaytest.FaultKind{wechatpaytest.FaultError500, wechatpaytest.FaultBusy429, wechatpaytest.FaultDrop} {
		t.Run(string(kind), func(t *testing.T) {
			server, _ := newFakeRefund(t)
			server.AddFault(wechatpaytest.Fault{Path: "POST /v3/refund", Kind: kind, Delay: time.Millisecond})
			client := afterFirst(t, server, http.MethodPost, "/v3/refund", func() { require.NoError(t, server.PlatformRefunds(testComplaintID)) })
			_, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, nil)
			var refused *wechatpay.RefundRefusedError
			require.ErrorAs(t, err, &refused)
			require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown, "the first attempt may stand")
			require.ErrorContains(t, err, "call Refund again with the same request")
			require.Empty(t, server.Refunds())
			require.Equal(t, 1, count(server, "POST /v3/refund"))
		})
	}
}

// What cannot be read again is not sent again, and its error is not the refund's.
func TestRefundComplaintThatCannotBeReadAgain(t *testing.T) {
	server, _ := newFakeRefund(t)
	server.AddFault(wechatpaytest.Fault{Path: "POST /v3/refund", Kind: wechatpaytest.FaultDrop})
	client := afterFirst(t, server, http.MethodPost, "/v3/refund", func() {
		server.Handle("GET /v3/merchant-service/complaints-v2/{complaint_id}", answer(403, `{"code":"NO_AUTH"}`))
	})
	_, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, nil)
	require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	require.ErrorContains(t, err, "NO_AUTH")
	var refusal *wechatpay.APIError
	require.False(t, errors.As(err, &refusal), "the refund was not refused")
	require.Equal(t, 1, count(server, "POST /v3/refund"))
}

// So too while what is to be paid changes.
func TestRefundComplaintOfAnotherAmountMeanwhile(t *testing.T) {
	server, _ := newFakeRefund(t)
	server.AddFault(wechatpaytest.Fault{Path: "POST /v3/refund", Kind: wechatpaytest.FaultError500})
	client := afterFirst(t, server, http.MethodPost, "/v3/refund", func() {
		require.NoError(t, server.ChangeComplaint(testComplaintID, func(c *wechatpay.Complaint) { c.ApplyRefundAmount = 700 }))
	})
	_, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, nil)
	require.ErrorContains(t, err, "the amount changed from 600 to 700 fen during the call")
	require.Empty(t, server.Refunds())
}

// A refund that is there, and is another than the one asked for, is no answer.
func TestRefundComplaintUnderAUsedNumber(t *testing.T) {
	for _, tt := range []struct {
		name  string
		first *wechatpay.CreateRefundRequest
		req   *wechatpay.RefundComplaintRequest
		text  string
	}{
		{"of another order", &wechatpay.CreateRefundRequest{TransactionID: "4200000000000000000000000009", OutRefundNo: "R-77", Amount: wechatpay.CreateRefundAmount{Refund: 50, Total: 50}},
			&wechatpay.RefundComplaintRequest{OutRefundNo: "R-77"}, "is of 50 fen of order 4200000000000000000000000009"},
		{"of another amount", &wechatpay.CreateRefundRequest{TransactionID: testOrder, OutRefundNo: refundNo(1, 1), Amount: wechatpay.CreateRefundAmount{Refund: 100, Total: 1000}},
			&wechatpay.RefundComplaintRequest{Amount: 600}, "is of 100 fen"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, client := newFakeRefund(t)
			server.AddComplaint(wechatpay.Complaint{ComplaintID: "other", ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{{TransactionID: "4200000000000000000000000009", OutTradeNo: "20150806125399", Amount: 50}}})
			_, err := client.Refunds.Create(context.Background(), tt.first)
			require.NoError(t, err)
			_, err = client.ComplaintsV2.Refund(context.Background(), testComplaintID, tt.req)
			var refused *wechatpay.RefundRefusedError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, wechatpay.RefundRefusedReasonOtherRefund, refused.Reason)
			require.ErrorContains(t, err, tt.text)
			require.Len(t, server.Refunds(), 1)
		})
	}
}

// What was applied for is for all orders together.
func TestRefundComplaintPaysWhatWasAppliedForOnce(t *testing.T) {
	const second = "4200000000000000000000000002"
	server, client := newFakeRefund(t, func(c *wechatpay.Complaint) {
		c.ComplaintOrderInfo = append(c.ComplaintOrderInfo, wechatpay.ComplaintOrderInfo{TransactionID: second, OutTradeNo: "20150806125347", Amount: 1000})
	})
	_, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{TransactionID: testOrder})
	require.NoError(t, err)
	_, err = client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{TransactionID: second})
	require.ErrorContains(t, err, "600 fen, with 600 fen refunded in this round, exceeds the 600")
	require.Len(t, server.Refunds(), 1)
	_, err = client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{TransactionID: second, AllowMoreThanApplied: true})
	require.NoError(t, err)
}

// Where no refund is asked for, the amount that a complaint may show means nothing.
func TestRefundComplaintThatAsksForNoRefund(t *testing.T) {
	server, client := newFakeRefund(t, func(c *wechatpay.Complaint) { c.ProblemType = wechatpay.ProblemTypeOthers })
	_, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, nil)
	var refused *wechatpay.RefundRefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, wechatpay.RefundRefusedReasonNoAmount, refused.Reason)
	refund, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Amount: 900})
	require.NoError(t, err)
	require.Equal(t, int64(900), refund.Amount.Refund)
	require.Len(t, server.Refunds(), 1)
}

// A call that is repeated late is for the round that was decided on.
func TestRefundComplaintOfARound(t *testing.T) {
	server, client := newFakeRefund(t, func(c *wechatpay.Complaint) { c.ApplyRefundAmount = 300 })
	first, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Round: 1})
	require.NoError(t, err)
	require.NoError(t, server.SettleRefund(refundNo(1, 1), "SUCCESS"))
	filesAgain(t, server)

	again, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Round: 1})
	require.NoError(t, err)
	require.Equal(t, first.RefundID, again.RefundID)
	require.Equal(t, wechatpay.RefundStatusSuccess, again.Status)

	_, err = client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Round: 1, Attempt: 2})
	var refused *wechatpay.RefundRefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, wechatpay.RefundRefusedReasonEarlierRound, refused.Reason)
	require.ErrorContains(t, err, "the request is for round 1, the current round is 2")
	require.Len(t, server.Refunds(), 1)

	second, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Round: 2})
	require.NoError(t, err)
	require.Equal(t, refundNo(2, 1), second.OutRefundNo)
}

// Whatever an earlier round left on its way is waited for; what arrived is done.
func TestRefundComplaintAfterEarlierRounds(t *testing.T) {
	record := func(t *testing.T, server *wechatpaytest.Server, operations ...wechatpay.OperateType) {
		for _, operation := range operations {
			require.NoError(t, server.AddRecord(testComplaintID, wechatpay.NegotiationRecord{OperateType: operation, OperateTime: server.Now()}))
		}
	}
	const (
		entrusted = wechatpay.OperateTypeComplaintEntrustedRefundSystemMessage
		partial   = wechatpay.OperateTypeComplaintPartialRefundedSystemMessage
		received  = wechatpay.OperateTypeComplaintRefundReceivedSystemMessage
	)
	for _, tt := range []struct {
		name          string
		before, after []wechatpay.OperateType // the user files again
		reason        wechatpay.RefundRefusedReason
	}{
		{"WeChat Pay's is on its way", []wechatpay.OperateType{entrusted}, nil, wechatpay.RefundRefusedReasonEarlierRound},
		{"WeChat Pay's arrived", []wechatpay.OperateType{entrusted, partial, received}, nil, ""},
		{"one by hand is on its way", []wechatpay.OperateType{partial}, nil, wechatpay.RefundRefusedReasonEarlierRound},
		{"one by hand arrived in the new round", []wechatpay.OperateType{partial}, []wechatpay.OperateType{received}, ""},
		{"of two by hand one arrived", []wechatpay.OperateType{partial, partial, received}, nil, wechatpay.RefundRefusedReasonEarlierRound},
		{"one arrived that was never launched", nil, []wechatpay.OperateType{received}, wechatpay.RefundRefusedReasonElsewhere},
		{"one by hand in the new round", nil, []wechatpay.OperateType{partial}, wechatpay.RefundRefusedReasonElsewhere},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, client := newFakeRefund(t)
			record(t, server, tt.before...)
			filesAgain(t, server)
			server.Advance(time.Minute)
			record(t, server, tt.after...)
			_, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, nil)
			if tt.reason == "" {
				require.NoError(t, err)
				require.Len(t, server.Refunds(), 1)
				return
			}
			var refused *wechatpay.RefundRefusedError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, tt.reason, refused.Reason, "%v", err)
			require.Empty(t, server.Refunds())
		})
	}
	t.Run("ours arrived in the new round", func(t *testing.T) {
		server, client := newFakeRefund(t)
		_, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Amount: 300})
		require.NoError(t, err)
		filesAgain(t, server)
		server.Advance(time.Minute)
		require.NoError(t, server.SettleRefund(refundNo(1, 1), "SUCCESS"))
		filesAgain(t, server)
		refund, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Amount: 300})
		require.NoError(t, err)
		require.Equal(t, refundNo(3, 1), refund.OutRefundNo)
	})
	t.Run("it is refunded and filed again between the readings", func(t *testing.T) {
		server, _ := newFakeRefund(t)
		client := afterFirst(t, server, http.MethodGet, testComplaintID, func() {
			require.NoError(t, server.PlatformRefunds(testComplaintID))
			filesAgain(t, server)
		})
		_, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, nil)
		var refused *wechatpay.RefundRefusedError
		require.ErrorAs(t, err, &refused)
		require.Empty(t, server.Refunds())
	})
}

// Times may be whole seconds, or missing: what may be of this round counts.
func TestRefundComplaintReadsCoarseTimes(t *testing.T) {
	for name, at := range map[string]string{"the same second": "2020-01-01T00:00:35+08:00", "no time": ""} {
		t.Run(name, func(t *testing.T) {
			server, client := newFakeRefund(t, func(c *wechatpay.Complaint) { c.UserComplaintTimes = 2 })
			server.Handle("GET /v3/merchant-service/complaints-v2/{complaint_id}/negotiation-historys", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprintf(w, `{"limit":100,"offset":0,"total_count":2,"data":[{"log_id":"1","operate_type":"USER_CONTINUE_COMPLAINT","operate_time":"2020-01-01T00:00:35.120+08:00"},`+
					`{"log_id":"2","operate_type":"COMPLAINT_ENTRUSTED_REFUND_SYSTEM_MESSAGE","operate_time":%q}]}`, at)
			}))
			_, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, nil)
			var refused *wechatpay.RefundRefusedError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, wechatpay.RefundRefusedReasonElsewhere, refused.Reason)
			require.Empty(t, server.Refunds())
		})
	}
}

// Of two callers with different reasons one is refused: the refund stands, and is
// the answer to both.
func TestRefundComplaintBesideAnotherReason(t *testing.T) {
	server, other := newFakeRefund(t)
	client := fakeClient(t, server, func(cfg *wechatpay.Config) {
		base := cfg.Transport
		cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodPost {
				_, err := other.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Reason: "a"})
				require.NoError(t, err)
			}
			return base.RoundTrip(req)
		})
	})
	refund, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Reason: "b"})
	require.NoError(t, err)
	require.Equal(t, refundNo(1, 1), refund.OutRefundNo)
	require.Len(t, server.Refunds(), 1)
}

// Of a number that another caller uses meanwhile, for another amount, the answer
// is the refund, in whatever way this request fails; an amount that is asked for
// is another matter.
func TestRefundComplaintBesideAnotherAmount(t *testing.T) {
	for _, kind := range []wechatpaytest.FaultKind{"", wechatpaytest.FaultDrop, wechatpaytest.FaultError500} {
		for _, amount := range []int64{0, 600} {
			t.Run(fmt.Sprint(kind, amount), func(t *testing.T) {
				server, other := newFakeRefund(t)
				first := true
				client := fakeClient(t, server, func(cfg *wechatpay.Config) {
					base := cfg.Transport
					cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
						if req.Method == http.MethodPost && first {
							first = false
							_, err := other.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Amount: 300})
							require.NoError(t, err)
							if kind != "" {
								server.AddFault(wechatpaytest.Fault{Path: "POST /v3/refund", Kind: kind})
							}
						}
						return base.RoundTrip(req)
					})
				})
				refund, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Amount: amount})
				require.Len(t, server.Refunds(), 1)
				if amount == 0 {
					require.NoError(t, err)
					require.Equal(t, int64(300), refund.Amount.Refund)
					return
				}
				var refused *wechatpay.RefundRefusedError
				require.ErrorAs(t, err, &refused)
				require.Equal(t, wechatpay.RefundRefusedReasonOtherRefund, refused.Reason)
			})
		}
	}
}

// A refusal is not the last word while a refund may show late.
func TestRefundComplaintBesideARefundThatShowsLate(t *testing.T) {
	server, other := newFakeRefund(t)
	late := false
	client := fakeClient(t, server, func(cfg *wechatpay.Config) {
		base := cfg.Transport
		cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodPost {
				_, err := other.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Reason: "a"})
				require.NoError(t, err)
				late = true
			} else if late {
				late = false
				return &http.Response{StatusCode: 404, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"code":"RESOURCE_NOT_EXISTS"}`)), Request: req}, nil
			}
			return base.RoundTrip(req)
		})
	})
	refund, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Reason: "b"})
	require.NoError(t, err)
	require.Equal(t, refundNo(1, 1), refund.OutRefundNo)
}

// An arrival that the history does not show yet is nobody else's refund.
func TestRefundComplaintWhoseArrivalIsNotRecorded(t *testing.T) {
	const second = "4200000000000000000000000002"
	server, client := newFakeRefund(t, func(c *wechatpay.Complaint) {
		c.ComplaintOrderInfo = append(c.ComplaintOrderInfo, wechatpay.ComplaintOrderInfo{TransactionID: second, OutTradeNo: "20150806125347", Amount: 1000})
	})
	_, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{TransactionID: testOrder, Amount: 300})
	require.NoError(t, err)
	require.NoError(t, server.SettleRefund(refundNo(1, 1), "SUCCESS"))
	server.Handle("GET /v3/merchant-service/complaints-v2/{complaint_id}/negotiation-historys", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"limit":100,"offset":0,"total_count":1,"data":[{"log_id":"1","operate_type":"COMPLAINT_PARTIAL_REFUNDED_SYSTEM_MESSAGE","operate_time":"2020-01-01T00:00:35+08:00"}]}`)
	}))
	_, err = client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{TransactionID: second, Amount: 300})
	require.NoError(t, err)
	require.Len(t, server.Refunds(), 2)
}

// A number in the wrong field, and a service that knows every number, end at once.
func TestRefundComplaintIsBounded(t *testing.T) {
	server, client := newFakeRefund(t)
	_, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Round: 1_700_000_000})
	require.ErrorContains(t, err, "round 1700000000 does not exist yet, the current round is 1")
	require.Len(t, server.Requests(), 1)

	server, client = newFakeRefund(t, func(c *wechatpay.Complaint) { c.UserComplaintTimes = 2 })
	server.Handle("GET /v3/refund/domestic/refunds/{out_refund_no}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "-2-1") {
			answer(404, `{"code":"RESOURCE_NOT_EXISTS"}`)(w, r)
			return
		}
		io.WriteString(w, `{"status":"CLOSED"}`)
	}))
	_, err = client.ComplaintsV2.Refund(context.Background(), testComplaintID, nil)
	require.NoError(t, err)
	require.LessOrEqual(t, count(server, "GET /v3/refund"), 60)
}

// An order that is listed twice is one order, and hides no refund of another.
func TestRefundComplaintOfAnOrderListedTwice(t *testing.T) {
	const second = "4200000000000000000000000002"
	_, client := newFakeRefund(t, func(c *wechatpay.Complaint) {
		order := c.ComplaintOrderInfo[0]
		c.ComplaintOrderInfo = append(c.ComplaintOrderInfo, order, wechatpay.ComplaintOrderInfo{TransactionID: second, OutTradeNo: "20150806125347", Amount: 1000})
	})
	_, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{TransactionID: testOrder, Amount: 300})
	require.NoError(t, err)
	_, err = client.Refunds.Create(context.Background(), &wechatpay.CreateRefundRequest{TransactionID: second, OutRefundNo: "by-hand", Amount: wechatpay.CreateRefundAmount{Refund: 300, Total: 1000}})
	require.NoError(t, err)
	_, err = client.ComplaintsV2.Refund(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{TransactionID: second, Amount: 300})
	var refused *wechatpay.RefundRefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, wechatpay.RefundRefusedReasonElsewhere, refused.Reason)
}
