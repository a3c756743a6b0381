package wechatpay_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

const testOrder = "4200000000000000000000000001"

// newClaim starts a WeChat Pay with a complaint that asks for 600 of 1000 fen.
func newClaim(t testing.TB, change ...func(*wechatpay.Complaint)) (*wechatpaytest.Server, *wechatpay.Client) {
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
	return server, payClient(t, server)
}

// refundNo is the documented formula, written again.
func refundNo(round, attempt int) string {
	digest := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d\n%d", testComplaintID, testOrder, round, attempt))
	return fmt.Sprintf("cr%s-%d-%d", hex.EncodeToString(digest[:])[:40], round, attempt)
}

func TestRefundComplaintPaysOnce(t *testing.T) {
	server, client := newClaim(t)
	require.NoError(t, approve(context.Background(), client))
	var first *wechatpay.Refund
	for range 3 {
		refund, err := client.RefundComplaint(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Reason: "投诉退款", NotifyURL: "https://www.example.com/refund"})
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
	refund, err := client.RefundComplaint(context.Background(), testComplaintID, nil)
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
		}, nil, wechatpay.RefundRefusedElsewhere, "in the merchant's stead"},
		{"refunded in full", func(c *wechatpay.Complaint) { c.ComplaintFullRefunded = true }, nil, nil, wechatpay.RefundRefusedFullyRefunded, "refunded in full"},
		{"a refund under another number", nil, func(t *testing.T, s *wechatpaytest.Server, c *wechatpay.Client) {
			_, err := c.Refunds.Create(context.Background(), &wechatpay.CreateRefundRequest{TransactionID: testOrder, OutRefundNo: "by-hand", Amount: wechatpay.CreateRefundAmount{Refund: 100, Total: 1000}})
			require.NoError(t, err)
		}, nil, wechatpay.RefundRefusedElsewhere, "1 refunds launched in this round and 0 arrived"},
		{"withdrawn", nil, func(t *testing.T, s *wechatpaytest.Server, c *wechatpay.Client) {
			require.NoError(t, s.AddRecord(testComplaintID, wechatpay.NegotiationRecord{OperateType: wechatpay.OperateTypeUserRevokeComplaint, OperateTime: s.Now()}))
		}, nil, wechatpay.RefundRefusedWithdrawn, "withdrew"},
		{"several orders and none is named", two, nil, nil, wechatpay.RefundRefusedNoSuchOrder, "it has 2 orders"},
		{"another order is named", two, nil, &wechatpay.RefundComplaintRequest{TransactionID: "1"}, wechatpay.RefundRefusedNoSuchOrder, "order 1 is none of its 2"},
		{"no amount", nil, func(t *testing.T, s *wechatpaytest.Server, c *wechatpay.Client) {
			require.NoError(t, s.ChangeComplaint(testComplaintID, func(c *wechatpay.Complaint) { c.ApplyRefundAmount = 0 }))
		}, nil, wechatpay.RefundRefusedNoAmount, "say it in Amount"},
		{"more than the order", nil, nil, &wechatpay.RefundComplaintRequest{Amount: 1001, MoreThanApplied: true}, wechatpay.RefundRefusedMoreThanOrder, "1001 fen are more than the order's 1000"},
		{"more than was applied for", nil, nil, &wechatpay.RefundComplaintRequest{Amount: 601}, wechatpay.RefundRefusedMoreThanApplied, "set MoreThanApplied"},
		{"an attempt after none", nil, nil, &wechatpay.RefundComplaintRequest{Attempt: 2}, wechatpay.RefundRefusedEarlierAttempt, "there is no refund " + refundNo(1, 1)},
		{"an attempt after one that is under way", nil, func(t *testing.T, s *wechatpaytest.Server, c *wechatpay.Client) {
			_, err := c.RefundComplaint(context.Background(), testComplaintID, nil)
			require.NoError(t, err)
		}, &wechatpay.RefundComplaintRequest{Attempt: 2}, wechatpay.RefundRefusedEarlierAttempt, "is PROCESSING, not CLOSED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var change []func(*wechatpay.Complaint)
			if tt.change != nil {
				change = append(change, tt.change)
			}
			server, client := newClaim(t, change...)
			if tt.prepare != nil {
				tt.prepare(t, server, client)
			}
			before := len(server.Refunds())
			sent := count(server, "POST /v3/refund")
			refund, err := client.RefundComplaint(context.Background(), testComplaintID, tt.req)
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
	_, client := newClaim(t)
	refund, err := client.RefundComplaint(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Amount: 1000, MoreThanApplied: true})
	require.NoError(t, err)
	require.Equal(t, int64(1000), refund.Amount.Refund)
}

func TestRefundComplaintWithAnOwnNumber(t *testing.T) {
	server, client := newClaim(t)
	for range 2 {
		refund, err := client.RefundComplaint(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{OutRefundNo: "mine-1", TransactionID: testOrder})
		require.NoError(t, err)
		require.Equal(t, "mine-1", refund.OutRefundNo)
	}
	require.Len(t, server.Refunds(), 1)
}

// A second order of the same complaint is refunded too, though the history shows
// the first.
func TestRefundComplaintOfTwoOrders(t *testing.T) {
	server, client := newClaim(t, func(c *wechatpay.Complaint) {
		c.ComplaintOrderInfo = append(c.ComplaintOrderInfo, wechatpay.ComplaintOrderInfo{TransactionID: "4200000000000000000000000002", OutTradeNo: "20150806125347", Amount: 500})
	})
	const second = "4200000000000000000000000002"
	for order, amount := range map[string]int64{testOrder: 400, second: 200} {
		_, err := client.RefundComplaint(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{TransactionID: order, Amount: amount})
		require.NoError(t, err)
	}
	require.Len(t, server.Refunds(), 2)
}

// A CLOSED refund is returned as what it is, and a further attempt is asked for.
func TestRefundComplaintAfterAClosedRefund(t *testing.T) {
	server, client := newClaim(t)
	_, err := client.RefundComplaint(context.Background(), testComplaintID, nil)
	require.NoError(t, err)
	require.NoError(t, server.SettleRefund(refundNo(1, 1), "CLOSED"))

	refund, err := client.RefundComplaint(context.Background(), testComplaintID, nil)
	require.NoError(t, err)
	require.Equal(t, wechatpay.RefundStatusClosed, refund.Status)
	require.Len(t, server.Refunds(), 1)

	server.Advance(time.Minute) // refunds of an order are taken a minute apart
	for range 2 {
		refund, err = client.RefundComplaint(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Attempt: 2})
		require.NoError(t, err)
		require.Equal(t, refundNo(1, 2), refund.OutRefundNo)
		require.Equal(t, wechatpay.RefundStatusProcessing, refund.Status)
	}
	require.Len(t, server.Refunds(), 2)
}

// A balance that is too low keeps the number.
func TestRefundComplaintAfterNotEnough(t *testing.T) {
	server, client := newClaim(t)
	server.Set(func(b *wechatpaytest.Behaviour) {
		b.RefundRefusal = wechatpaytest.Refusal{StatusCode: 403, Code: "NOT_ENOUGH"}
	})
	_, err := client.RefundComplaint(context.Background(), testComplaintID, nil)
	var refusal *wechatpay.APIError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, wechatpay.ErrorCodeNotEnough, refusal.Code)
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	server.Set(func(b *wechatpaytest.Behaviour) { b.RefundRefusal = wechatpaytest.Refusal{} })
	refund, err := client.RefundComplaint(context.Background(), testComplaintID, nil)
	require.NoError(t, err)
	require.Equal(t, refundNo(1, 1), refund.OutRefundNo)
}

// The user files again: the new round has a new number. While the refund of the
// old one is on its way, nothing is paid.
func TestRefundComplaintInANewRound(t *testing.T) {
	server, client := newClaim(t)
	_, err := client.RefundComplaint(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Amount: 300})
	require.NoError(t, err)
	require.NoError(t, client.ComplaintsV2.Complete(context.Background(), testComplaintID, ""))
	server.Advance(time.Minute)
	require.NoError(t, server.UserContinues(testComplaintID))

	_, err = client.RefundComplaint(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Amount: 300})
	var refused *wechatpay.RefundRefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, wechatpay.RefundRefusedEarlierRound, refused.Reason)
	require.ErrorContains(t, err, refundNo(1, 1)+" of round 1 is PROCESSING")

	server.Advance(-time.Second * 30) // it arrived before the user filed again
	require.NoError(t, server.SettleRefund(refundNo(1, 1), "SUCCESS"))
	server.Advance(time.Minute)
	complaint, _ := server.Complaint(testComplaintID)
	if complaint.ComplaintState == wechatpay.ComplaintStateProcessed {
		require.NoError(t, server.UserContinues(testComplaintID))
	}
	complaint, _ = server.Complaint(testComplaintID)
	refund, err := client.RefundComplaint(context.Background(), testComplaintID, &wechatpay.RefundComplaintRequest{Amount: 300})
	require.NoError(t, err)
	require.Equal(t, refundNo(complaint.UserComplaintTimes, 1), refund.OutRefundNo)
	require.Len(t, server.Refunds(), 2)
}

// A service provider's refund names the merchant complained of.
func TestRefundComplaintOfASubMerchant(t *testing.T) {
	server, client := newClaim(t, func(c *wechatpay.Complaint) { c.ComplaintedMchID = "1900000109" })
	server.Set(func(b *wechatpaytest.Behaviour) { b.SubMchIDs = []string{"1900000109"} })
	_, err := client.RefundComplaint(context.Background(), testComplaintID, nil)
	require.NoError(t, err)
	require.Len(t, server.Refunds(), 1)
}

// Many callers at once, through lost answers, 429, 500 and 502: one refund, and
// each gets it, or an honest unknown that a later call resolves.
func TestRefundComplaintByManyCallers(t *testing.T) {
	server, _ := newClaim(t)
	for i, fault := range []wechatpaytest.Fault{
		{Kind: wechatpaytest.FaultLostAnswer}, {Kind: wechatpaytest.FaultDrop}, {Kind: wechatpaytest.FaultBusy429, Delay: time.Millisecond}, {Kind: wechatpaytest.FaultBusy429, Delay: time.Millisecond, TakesEffect: true},
		{Kind: wechatpaytest.FaultError500}, {Kind: wechatpaytest.FaultError500, TakesEffect: true}, {Kind: wechatpaytest.FaultError502}, {Kind: wechatpaytest.FaultHTML502, TakesEffect: true},
	} {
		fault.Probability, fault.Seed = 0.05, uint64(i)
		server.Fault(fault)
	}
	const callers = 50
	refunds, errs := make([]*wechatpay.Refund, callers), make([]error, callers)
	clients := make([]*wechatpay.Client, 5) // from several machines
	for i := range clients {
		clients[i] = payClient(t, server)
	}
	var wg sync.WaitGroup
	for i := range callers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			refunds[i], errs[i] = clients[i%len(clients)].RefundComplaint(context.Background(), testComplaintID, nil)
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
	refund, err := clients[0].RefundComplaint(context.Background(), testComplaintID, nil)
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
		_, err = client.RefundComplaint(ctx, testComplaintID, nil)
		return err
	}
	steps := 0
	for at := 1; ; at++ {
		for _, after := range []bool{false, true} {
			server, _ := newClaim(t)
			dying := &killed{at: at, after: after}
			err := workflow(payClient(t, server, func(cfg *wechatpay.Config) {
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
			require.NoError(t, workflow(payClient(t, server)))
			require.Len(t, server.Refunds(), 1)
			require.Equal(t, refundNo(1, 1), server.Refunds()[0].OutRefundNo)
			refund, err := payClient(t, server).Refunds.Get(context.Background(), &wechatpay.GetRefundRequest{OutRefundNo: refundNo(1, 1)})
			require.NoError(t, err)
			require.Equal(t, int64(600), refund.Amount.Refund)
		}
		steps = at
	}
}

// What cannot be read leaves nothing paid.
func TestRefundComplaintThatCannotRead(t *testing.T) {
	for _, path := range []string{"GET /v3/merchant-service/complaints-v2/{complaint_id}", "GET /v3/merchant-service/complaints-v2/{complaint_id}/negotiation-historys", "GET /v3/refund/domestic/refunds/{out_refund_no}"} {
		server, client := newClaim(t)
		server.Fault(wechatpaytest.Fault{Path: path, Kind: wechatpaytest.FaultError500, Times: 99})
		_, err := client.RefundComplaint(context.Background(), testComplaintID, nil)
		require.Error(t, err)
		require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
		require.Zero(t, count(server, "POST /v3/refund"))
	}
}
