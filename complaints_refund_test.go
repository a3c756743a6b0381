package wechatpay_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
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

const (
	testOrder       = "4200000000000000000000000001" // of 1000 fen
	testSecondOrder = "4200000000000000000000000002"
	testOtherOrder  = "4200000000000000000000000009" // of another complaint
)

// complaintPattern is the pattern of the complaint for Server.Handle.
const complaintPattern = "GET /v3/merchant-service/complaints-v2/{complaint_id}"

// refundPattern is the pattern of a refund for Server.Handle.
const refundPattern = "GET /v3/refund/domestic/refunds/{out_refund_no}"

// newFakeRefund starts a fake with a complaint that asks for 600 of 1000 fen, and
// returns a Client for it.
func newFakeRefund(
	t testing.TB, change ...func(*wechatpay.Complaint),
) (*wechatpaytest.Server, *wechatpay.Client) {
	t.Helper()
	server := wechatpaytest.NewServer()
	t.Cleanup(server.Close)
	complaint := wechatpay.Complaint{
		ComplaintID:       testComplaintID,
		ProblemType:       wechatpay.ProblemTypeRefund,
		ApplyRefundAmount: 600,
		ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{
			{TransactionID: testOrder, OutTradeNo: "20150806125346", Amount: 1000},
		},
	}
	for _, change := range change {
		change(&complaint)
	}
	server.AddComplaint(complaint)
	return server, fakeClient(t, server)
}

// withSecondOrder adds an order of 1000 fen to a complaint.
func withSecondOrder(c *wechatpay.Complaint) {
	c.ComplaintOrderInfo = append(c.ComplaintOrderInfo, wechatpay.ComplaintOrderInfo{
		TransactionID: testSecondOrder,
		OutTradeNo:    "20150806125347",
		Amount:        1000,
	})
}

// addOtherComplaint adds a complaint about testOtherOrder.
func addOtherComplaint(server *wechatpaytest.Server, amount int64) {
	server.AddComplaint(wechatpay.Complaint{
		ComplaintID: "other",
		ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{
			{TransactionID: testOtherOrder, OutTradeNo: "20150806125399", Amount: amount},
		},
	})
}

// refundComplaint refunds the complaint.
func refundComplaint(client *wechatpay.Client, req *wechatpay.RefundComplaintRequest) (*wechatpay.Refund, error) {
	return client.ComplaintsV2.Refund(context.Background(), testComplaintID, req)
}

// addRecords adds records to the history of the complaint, with the current time.
func addRecords(t *testing.T, server *wechatpaytest.Server, operations ...wechatpay.OperateType) {
	t.Helper()
	for _, operation := range operations {
		require.NoError(t, server.AddRecord(testComplaintID, wechatpay.NegotiationRecord{
			OperateType: operation,
			OperateTime: server.Now(),
		}))
	}
}

// fileAgain completes the complaint, and files it again a minute later.
func fileAgain(t *testing.T, server *wechatpaytest.Server) {
	t.Helper()
	require.NoError(t, server.ChangeComplaint(testComplaintID, func(c *wechatpay.Complaint) {
		c.ComplaintState = wechatpay.ComplaintStateProcessed
	}))
	server.Advance(time.Minute)
	require.NoError(t, server.UserContinues(testComplaintID))
}

// requireRefused checks that a refund was refused.
func requireRefused(t *testing.T, err error, reason wechatpay.RefundRefusedReason) {
	t.Helper()
	var refused *wechatpay.RefundRefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, reason, refused.Reason, "%v", err)
}

// refundNo returns the documented refund number.
func refundNo(round, attempt int) string {
	digest := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%d\n%d", testComplaintID, testOrder, round, attempt))
	return fmt.Sprintf("cr%s-%d-%d", hex.EncodeToString(digest[:])[:40], round, attempt)
}

func TestComplaintsV2_Refund_paysOnce(t *testing.T) {
	server, client := newFakeRefund(t)
	require.NoError(t, approve(context.Background(), client))
	var refundID string
	for i := range 3 {
		refund, err := refundComplaint(client, &wechatpay.RefundComplaintRequest{
			Reason:    "投诉退款",
			NotifyURL: "https://www.example.com/refund",
		})
		require.NoError(t, err)
		require.Equal(t, refundNo(1, 1), refund.OutRefundNo)
		require.LessOrEqual(t, len(refund.OutRefundNo), 64)
		require.Equal(t, int64(600), refund.Amount.Refund)
		require.Equal(t, int64(1000), refund.Amount.Total)
		require.Equal(t, testOrder, refund.TransactionID)
		if i == 0 {
			refundID = refund.RefundID
		}
		require.Equal(t, refundID, refund.RefundID)
	}
	require.Equal(t, 1, count(server, postRefund))

	// Also after the refund arrived and the complaint is processed.
	require.NoError(t, server.SettleRefund(refundNo(1, 1), "SUCCESS"))
	refund, err := refundComplaint(client, nil)
	require.NoError(t, err)
	require.Equal(t, wechatpay.RefundStatusSuccess, refund.Status)
	require.Len(t, server.Refunds(), 1)
}

type refundRefusal struct {
	name    string
	change  func(*wechatpay.Complaint)
	prepare func(*testing.T, *wechatpaytest.Server, *wechatpay.Client)
	req     *wechatpay.RefundComplaintRequest
	reason  wechatpay.RefundRefusedReason // empty: any
	text    string
}

var refundRefusals = []refundRefusal{
	{
		name: "refunded by WeChat Pay",
		prepare: func(t *testing.T, server *wechatpaytest.Server, client *wechatpay.Client) {
			require.NoError(t, approve(context.Background(), client))
			require.NoError(t, server.PlatformRefunds(testComplaintID))
		},
	},
	{
		name: "being refunded by WeChat Pay",
		prepare: func(t *testing.T, server *wechatpaytest.Server, _ *wechatpay.Client) {
			addRecords(t, server, wechatpay.OperateTypeComplaintEntrustedRefundSystemMessage)
		},
		reason: wechatpay.RefundRefusedReasonElsewhere,
		text:   "on the merchant's behalf",
	},
	{
		name:   "fully refunded",
		change: func(c *wechatpay.Complaint) { c.ComplaintFullRefunded = true },
		reason: wechatpay.RefundRefusedReasonFullyRefunded,
		text:   "refunded in full",
	},
	{
		name: "refunded with another number",
		prepare: func(t *testing.T, _ *wechatpaytest.Server, client *wechatpay.Client) {
			_, err := createRefund(client, testOrder, "own-1", 100, 1000)
			require.NoError(t, err)
		},
		reason: wechatpay.RefundRefusedReasonElsewhere,
		text:   "1 refunds of this round that are not known",
	},
	{
		name: "withdrawn",
		prepare: func(t *testing.T, server *wechatpaytest.Server, _ *wechatpay.Client) {
			addRecords(t, server, wechatpay.OperateTypeUserRevokeComplaint)
		},
		reason: wechatpay.RefundRefusedReasonWithdrawn,
		text:   "withdrew",
	},
	{
		name:   "two orders, none named",
		change: withSecondOrder,
		reason: wechatpay.RefundRefusedReasonNoSuchOrder,
		text:   "it has 2 orders",
	},
	{
		name:   "unknown order",
		change: withSecondOrder,
		req:    &wechatpay.RefundComplaintRequest{TransactionID: "1"},
		reason: wechatpay.RefundRefusedReasonNoSuchOrder,
		text:   "order 1 is not among its 2",
	},
	{
		name:   "unknown order, by the merchant's number",
		req:    &wechatpay.RefundComplaintRequest{OutTradeNo: "20150806"},
		reason: wechatpay.RefundRefusedReasonNoSuchOrder,
		text:   "order 20150806 is not among its 1",
	},
	{
		name:   "numbers of two orders",
		change: withSecondOrder,
		req:    &wechatpay.RefundComplaintRequest{TransactionID: testOrder, OutTradeNo: "20150806125347"},
		reason: wechatpay.RefundRefusedReasonNoSuchOrder,
		text:   "order " + testOrder + " is not among its 2",
	},
	{
		name: "order without transaction_id",
		prepare: func(t *testing.T, server *wechatpaytest.Server, _ *wechatpay.Client) {
			respond(server, complaintPattern, refundDoc(t, `"complaint_order_info":[{"out_trade_no":"1","amount":1000}]`))
		},
		reason: wechatpay.RefundRefusedReasonNoSuchOrder,
		text:   "its order has no transaction_id; refund it by its out_trade_no with Refunds.Create",
	},
	{
		name: "order without amount",
		prepare: func(t *testing.T, server *wechatpaytest.Server, _ *wechatpay.Client) {
			respond(server, complaintPattern,
				refundDoc(t, `"complaint_order_info":[{"transaction_id":"`+testOrder+`"}]`))
		},
		reason: wechatpay.RefundRefusedReasonNoAmount,
		text:   "the complaint does not say the amount of the order; refund it with Refunds.Create",
	},
	{
		name: "amount of all orders",
		change: func(c *wechatpay.Complaint) {
			withSecondOrder(c)
			c.ApplyRefundAmount = 1500
		},
		req:    &wechatpay.RefundComplaintRequest{TransactionID: testOrder},
		reason: wechatpay.RefundRefusedReasonMoreThanOrder,
		text:   "the 1500 fen applied for are for 2 orders; set Amount for each of them",
	},
	{
		name: "no amount",
		prepare: func(t *testing.T, server *wechatpaytest.Server, _ *wechatpay.Client) {
			require.NoError(t, server.ChangeComplaint(testComplaintID, func(c *wechatpay.Complaint) {
				c.ApplyRefundAmount = 0
			}))
		},
		reason: wechatpay.RefundRefusedReasonNoAmount,
		text:   "set Amount",
	},
	{
		name:   "more than the order",
		req:    &wechatpay.RefundComplaintRequest{Amount: 1001, AllowMoreThanApplied: true},
		reason: wechatpay.RefundRefusedReasonMoreThanOrder,
		text:   "1001 fen exceeds the order amount (1000 fen)",
	},
	{
		name:   "more than applied for",
		req:    &wechatpay.RefundComplaintRequest{Amount: 601},
		reason: wechatpay.RefundRefusedReasonMoreThanApplied,
		text:   "exceeds the 600 fen applied for",
	},
	{
		name:   "second attempt without a first",
		req:    &wechatpay.RefundComplaintRequest{Attempt: 2},
		reason: wechatpay.RefundRefusedReasonEarlierAttempt,
		text:   "refund " + refundNo(1, 1) + " of attempt 1 does not exist",
	},
	{
		name: "second attempt while the first is on its way",
		prepare: func(t *testing.T, _ *wechatpaytest.Server, client *wechatpay.Client) {
			_, err := refundComplaint(client, nil)
			require.NoError(t, err)
		},
		req:    &wechatpay.RefundComplaintRequest{Attempt: 2},
		reason: wechatpay.RefundRefusedReasonEarlierAttempt,
		text:   "refund " + refundNo(1, 1) + " of attempt 1 is PROCESSING, not CLOSED",
	},
}

func TestComplaintsV2_Refund_refused(t *testing.T) {
	for _, tt := range refundRefusals {
		t.Run(tt.name, func(t *testing.T) {
			var change []func(*wechatpay.Complaint)
			if tt.change != nil {
				change = append(change, tt.change)
			}
			server, client := newFakeRefund(t, change...)
			if tt.prepare != nil {
				tt.prepare(t, server, client)
			}
			refunds, posts := len(server.Refunds()), count(server, postRefund)
			refund, err := refundComplaint(client, tt.req)
			require.Nil(t, refund)
			var refused *wechatpay.RefundRefusedError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, testComplaintID, refused.ComplaintID)
			if tt.reason != "" {
				require.Equal(t, tt.reason, refused.Reason)
			}
			require.ErrorContains(t, err, tt.text)
			requireShort(t, err, testComplaintID, testOrder, refundNo(1, 1))
			require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			require.Len(t, server.Refunds(), refunds)
			require.Equal(t, posts, count(server, postRefund))
		})
	}
}

func TestComplaintsV2_Refund_ownNumber(t *testing.T) {
	server, client := newFakeRefund(t)
	for range 2 {
		refund, err := refundComplaint(client, &wechatpay.RefundComplaintRequest{
			OutRefundNo:   "own-1",
			TransactionID: testOrder,
		})
		require.NoError(t, err)
		require.Equal(t, "own-1", refund.OutRefundNo)
	}
	require.Len(t, server.Refunds(), 1)
}

func TestComplaintsV2_Refund_twoOrders(t *testing.T) {
	t.Parallel()
	server, client := newFakeRefund(t, withSecondOrder)
	for order, amount := range map[string]int64{testOrder: 400, testSecondOrder: 200} {
		_, err := refundComplaint(client, &wechatpay.RefundComplaintRequest{TransactionID: order, Amount: amount})
		require.NoError(t, err)
	}
	require.Len(t, server.Refunds(), 2)
}

// The amount applied for is for all orders together.
func TestComplaintsV2_Refund_moreThanApplied(t *testing.T) {
	t.Parallel()
	t.Run("two orders", func(t *testing.T) {
		server, client := newFakeRefund(t, withSecondOrder)
		_, err := refundComplaint(client, &wechatpay.RefundComplaintRequest{TransactionID: testOrder})
		require.NoError(t, err)
		second := &wechatpay.RefundComplaintRequest{TransactionID: testSecondOrder}
		_, err = refundComplaint(client, second)
		require.ErrorContains(t, err, "600 fen, with 600 fen refunded in this round, exceeds the 600")
		require.Len(t, server.Refunds(), 1)
		second.AllowMoreThanApplied = true
		_, err = refundComplaint(client, second)
		require.NoError(t, err)
	})
	t.Run("allowed", func(t *testing.T) {
		_, client := newFakeRefund(t)
		refund, err := refundComplaint(client, &wechatpay.RefundComplaintRequest{
			Amount:               1000,
			AllowMoreThanApplied: true,
		})
		require.NoError(t, err)
		require.Equal(t, int64(1000), refund.Amount.Refund)
	})
}

// A CLOSED refund is refused, with the attempt to set. That attempt pays.
func TestComplaintsV2_Refund_closed(t *testing.T) {
	server, client := newFakeRefund(t)
	_, err := refundComplaint(client, nil)
	require.NoError(t, err)
	require.NoError(t, server.SettleRefund(refundNo(1, 1), "CLOSED"))

	refund, err := refundComplaint(client, nil)
	require.Nil(t, refund)
	requireRefused(t, err, wechatpay.RefundRefusedReasonClosed)
	require.ErrorContains(t, err, "refund "+refundNo(1, 1)+" is CLOSED; to try again set Attempt: 2")
	require.Len(t, server.Refunds(), 1)

	server.Advance(time.Minute) // the least time between two refunds of an order
	for range 2 {
		refund, err = refundComplaint(client, &wechatpay.RefundComplaintRequest{Attempt: 2})
		require.NoError(t, err)
		require.Equal(t, refundNo(1, 2), refund.OutRefundNo)
		require.Equal(t, wechatpay.RefundStatusProcessing, refund.Status)
	}
	require.Len(t, server.Refunds(), 2)
}

// After NOT_ENOUGH the same number is used.
func TestComplaintsV2_Refund_notEnough(t *testing.T) {
	server, client := newFakeRefund(t)
	server.Configure(func(b *wechatpaytest.Behavior) {
		b.RefundRefusal = wechatpaytest.Refusal{StatusCode: 403, Code: "NOT_ENOUGH"}
	})
	_, err := refundComplaint(client, nil)
	var rejected *wechatpay.APIError
	require.ErrorAs(t, err, &rejected)
	require.Equal(t, wechatpay.ErrorCodeNotEnough, rejected.Code)
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	server.Configure(func(b *wechatpaytest.Behavior) { b.RefundRefusal = wechatpaytest.Refusal{} })
	refund, err := refundComplaint(client, nil)
	require.NoError(t, err)
	require.Equal(t, refundNo(1, 1), refund.OutRefundNo)
}

// A new round has its own number. It is not paid while the refund of an earlier
// round is on its way.
func TestComplaintsV2_Refund_newRound(t *testing.T) {
	for name, arrived := range map[string]time.Duration{
		"arrived before the user filed again": -30 * time.Second,
		"arrived after the user filed again":  time.Minute,
	} {
		t.Run(name, func(t *testing.T) {
			server, client := newFakeRefund(t)
			req := &wechatpay.RefundComplaintRequest{Amount: 300}
			_, err := refundComplaint(client, req)
			require.NoError(t, err)
			fileAgain(t, server)

			_, err = refundComplaint(client, req)
			requireRefused(t, err, wechatpay.RefundRefusedReasonEarlierRound)
			require.ErrorContains(t, err, refundNo(1, 1)+" of round 1 is PROCESSING")

			server.Advance(arrived)
			require.NoError(t, server.SettleRefund(refundNo(1, 1), "SUCCESS"))
			server.Advance(time.Minute)
			fileAgain(t, server)
			refund, err := refundComplaint(client, req)
			require.NoError(t, err)
			require.Equal(t, refundNo(3, 1), refund.OutRefundNo)
			require.Len(t, server.Refunds(), 2)
		})
	}
}

// The refund names the merchant of the complaint.
func TestComplaintsV2_Refund_subMerchant(t *testing.T) {
	server, client := newFakeRefund(t, func(c *wechatpay.Complaint) { c.ComplaintedMchID = "1900000109" })
	server.Configure(func(b *wechatpaytest.Behavior) { b.SubMchIDs = []string{"1900000109"} })
	_, err := refundComplaint(client, nil)
	require.NoError(t, err)
	require.Len(t, server.Refunds(), 1)
}

// Concurrent callers on several machines, with faults, pay once. Each of them
// receives the refund or an error that does not deny it.
func TestComplaintsV2_Refund_concurrentCallers(t *testing.T) {
	t.Parallel()
	server, _ := newFakeRefund(t)
	for i, fault := range []wechatpaytest.Fault{
		{Kind: wechatpaytest.FaultLostResponse},
		{Kind: wechatpaytest.FaultDrop},
		{Kind: wechatpaytest.FaultBusy429, Delay: time.Millisecond},
		{Kind: wechatpaytest.FaultBusy429, Delay: time.Millisecond, TakesEffect: true},
		{Kind: wechatpaytest.FaultError500},
		{Kind: wechatpaytest.FaultError500, TakesEffect: true},
		{Kind: wechatpaytest.FaultError502},
		{Kind: wechatpaytest.FaultHTML502, TakesEffect: true},
	} {
		fault.Probability, fault.Seed = 0.05, uint64(i)
		server.AddFault(fault)
	}
	const callers = 50
	refunds, errs := make([]*wechatpay.Refund, callers), make([]error, callers)
	machines := make([]*wechatpay.Client, 5)
	for i := range machines {
		machines[i] = fakeClient(t, server)
	}
	var wg sync.WaitGroup
	for i := range callers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			refunds[i], errs[i] = refundComplaint(machines[i%len(machines)], nil)
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
		var refused *wechatpay.RefundRefusedError
		require.False(t, errors.As(err, &refused), "%v", err)
	}
	t.Logf("%d of %d callers received the refund, with %d requests", paid, callers, len(server.Requests()))
	require.Greater(t, paid, callers/2)
	server.ClearFaults()
	refund, err := refundComplaint(machines[0], nil)
	require.NoError(t, err)
	require.Equal(t, refundNo(1, 1), refund.OutRefundNo)
	require.Len(t, server.Refunds(), 1)
}

// killedMachine is a machine that is killed at its n-th request, before or after
// it is sent.
type killedMachine struct {
	base  http.RoundTripper
	at    int
	after bool
	n     int
}

var errKilled = errors.New("killed")

func (k *killedMachine) RoundTrip(req *http.Request) (*http.Response, error) {
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

// refundWorkflow replies to the complaint, approves the refund and pays it. It
// skips the steps that are done.
func refundWorkflow(client *wechatpay.Client) error {
	ctx := context.Background()
	complaint, err := client.ComplaintsV2.Get(ctx, testComplaintID)
	if err != nil {
		return err
	}
	if complaint.ComplaintState == wechatpay.ComplaintStatePending {
		reply := &wechatpay.RespondRequest{ResponseContent: "为您退款"}
		if err := client.ComplaintsV2.Respond(ctx, testComplaintID, reply); err != nil {
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
	_, err = refundComplaint(client, nil)
	return err
}

// The workflow is killed at each of its requests and started again.
func TestComplaintsV2_Refund_killedWorkflow(t *testing.T) {
	t.Parallel()
	for at := 1; ; at++ {
		for _, after := range []bool{false, true} {
			server, _ := newFakeRefund(t)
			killed := &killedMachine{at: at, after: after}
			err := refundWorkflow(fakeClient(t, server, func(cfg *wechatpay.Config) {
				killed.base, cfg.Transport = cfg.Transport, killed
				cfg.Retry.MaxAttempts = 1
			}))
			if err == nil {
				require.Less(t, killed.n, at, "the workflow survived")
				require.Greater(t, at, 6)
				return
			}
			require.ErrorIs(t, err, errKilled)
			server.Advance(time.Minute)
			client := fakeClient(t, server)
			require.NoError(t, refundWorkflow(client))
			require.Len(t, server.Refunds(), 1)
			require.Equal(t, refundNo(1, 1), server.Refunds()[0].OutRefundNo)
			refund, err := client.Refunds.Get(context.Background(), &wechatpay.GetRefundRequest{
				OutRefundNo: refundNo(1, 1),
			})
			require.NoError(t, err)
			require.Equal(t, int64(600), refund.Amount.Refund)
		}
	}
}

func TestComplaintsV2_Refund_failedRead(t *testing.T) {
	for _, path := range []string{complaintPattern, historyPattern, refundPattern} {
		t.Run(path, func(t *testing.T) {
			server, client := newFakeRefund(t)
			server.AddFault(wechatpaytest.Fault{Path: path, Kind: wechatpaytest.FaultError500, Times: 99})
			_, err := refundComplaint(client, nil)
			require.Error(t, err)
			require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			require.Zero(t, count(server, postRefund))
		})
	}
}

// The rules refuse, and it cannot be read whether this refund exists by now.
func TestComplaintsV2_Refund_failedReadAfterRefusal(t *testing.T) {
	server, client := newFakeRefund(t)
	addRecords(t, server, wechatpay.OperateTypeComplaintEntrustedRefundSystemMessage)
	reads := 0
	server.Handle(refundPattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if reads++; reads > 2 { // before the rules, and in the rules
			respondUnsigned(403, `{"code":"NO_AUTH"}`)(w, r)
			return
		}
		respondUnsigned(404, `{"code":"RESOURCE_NOT_EXISTS"}`)(w, r)
	}))
	_, err := refundComplaint(client, nil)
	var rejected *wechatpay.APIError
	require.ErrorAs(t, err, &rejected)
	require.Equal(t, wechatpay.ErrorCodeNoAuth, rejected.Code)
	var refused *wechatpay.RefundRefusedError
	require.False(t, errors.As(err, &refused))
	require.Zero(t, count(server, postRefund))
}

// afterFirst returns a Client that calls f after its first request with a method
// and a part of a path.
func afterFirst(t *testing.T, server *wechatpaytest.Server, method, part string, f func()) *wechatpay.Client {
	return fakeClient(t, server, func(cfg *wechatpay.Config) {
		base, done := cfg.Transport, false
		cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
			resp, err := base.RoundTrip(req)
			if !done && req.Method == method && strings.Contains(req.URL.Path, part) {
				done = true
				f()
			}
			return resp, err
		})
	})
}

// Before a retry the rules are checked again.
func TestComplaintsV2_Refund_refundedDuringCall(t *testing.T) {
	for _, kind := range []wechatpaytest.FaultKind{
		wechatpaytest.FaultError500,
		wechatpaytest.FaultBusy429,
		wechatpaytest.FaultDrop,
	} {
		t.Run(string(kind), func(t *testing.T) {
			server, _ := newFakeRefund(t)
			server.AddFault(wechatpaytest.Fault{Path: postRefund, Kind: kind, Delay: time.Millisecond})
			client := afterFirst(t, server, http.MethodPost, "/v3/refund", func() {
				require.NoError(t, server.PlatformRefunds(testComplaintID))
			})
			_, err := refundComplaint(client, nil)
			var refused *wechatpay.RefundRefusedError
			require.ErrorAs(t, err, &refused)
			require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown, "the first attempt may have been applied")
			require.ErrorContains(t, err, "call Refund again with the same request")
			require.Empty(t, server.Refunds())
			require.Equal(t, 1, count(server, postRefund))
		})
	}
}

// If the complaint cannot be read again, there is no retry. Its error is not the
// response to the refund.
func TestComplaintsV2_Refund_failedReadDuringCall(t *testing.T) {
	server, _ := newFakeRefund(t)
	server.AddFault(wechatpaytest.Fault{Path: postRefund, Kind: wechatpaytest.FaultDrop})
	client := afterFirst(t, server, http.MethodPost, "/v3/refund", func() {
		server.Handle(complaintPattern, respondUnsigned(403, `{"code":"NO_AUTH"}`))
	})
	_, err := refundComplaint(client, nil)
	var unknown *wechatpay.OutcomeUnknownError
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, "ComplaintsV2.Refund", unknown.Op)
	require.Equal(t, refundNo(1, 1), unknown.IdempotencyKey)
	require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	require.ErrorContains(t, err, "NO_AUTH")
	require.ErrorContains(t, err, "; earlier: POST /v3/refund/domestic/refunds at "+hostOf(server.URL)+": ")
	var rejected *wechatpay.APIError
	require.False(t, errors.As(err, &rejected))
	require.Equal(t, 1, count(server, postRefund))
}

func TestComplaintsV2_Refund_amountChangedDuringCall(t *testing.T) {
	server, _ := newFakeRefund(t)
	server.AddFault(wechatpaytest.Fault{Path: postRefund, Kind: wechatpaytest.FaultError500})
	client := afterFirst(t, server, http.MethodPost, "/v3/refund", func() {
		require.NoError(t, server.ChangeComplaint(testComplaintID, func(c *wechatpay.Complaint) {
			c.ApplyRefundAmount = 700
		}))
	})
	_, err := refundComplaint(client, nil)
	require.ErrorContains(t, err, "the amount changed from 600 to 700 fen during the call")
	require.Empty(t, server.Refunds())
}

// The number belongs to another refund.
func TestComplaintsV2_Refund_usedNumber(t *testing.T) {
	t.Run("another order", func(t *testing.T) {
		server, client := newFakeRefund(t)
		addOtherComplaint(server, 80)
		_, err := createRefund(client, testOtherOrder, "R-77", 50, 80)
		require.NoError(t, err)
		_, err = refundComplaint(client, &wechatpay.RefundComplaintRequest{OutRefundNo: "R-77"})
		requireRefused(t, err, wechatpay.RefundRefusedReasonOtherRefund)
		require.ErrorContains(t, err, "is of 50 fen of order "+testOtherOrder)
		require.Len(t, server.Refunds(), 1)
	})
	t.Run("another amount", func(t *testing.T) {
		server, client := newFakeRefund(t)
		_, err := createRefund(client, testOrder, refundNo(1, 1), 100, 1000)
		require.NoError(t, err)
		_, err = refundComplaint(client, &wechatpay.RefundComplaintRequest{Amount: 600})
		requireRefused(t, err, wechatpay.RefundRefusedReasonOtherRefund)
		require.ErrorContains(t, err, "is of 100 fen")
		require.Len(t, server.Refunds(), 1)
	})
}

// The amount applied for is valid only if the complaint asks for a refund.
func TestComplaintsV2_Refund_notARefundComplaint(t *testing.T) {
	server, client := newFakeRefund(t, func(c *wechatpay.Complaint) { c.ProblemType = wechatpay.ProblemTypeOthers })
	_, err := refundComplaint(client, nil)
	requireRefused(t, err, wechatpay.RefundRefusedReasonNoAmount)
	refund, err := refundComplaint(client, &wechatpay.RefundComplaintRequest{Amount: 900})
	require.NoError(t, err)
	require.Equal(t, int64(900), refund.Amount.Refund)
	require.Len(t, server.Refunds(), 1)
}

// A late call with Round set refunds that round only.
func TestComplaintsV2_Refund_round(t *testing.T) {
	server, client := newFakeRefund(t, func(c *wechatpay.Complaint) { c.ApplyRefundAmount = 300 })
	first, err := refundComplaint(client, &wechatpay.RefundComplaintRequest{Round: 1})
	require.NoError(t, err)
	require.NoError(t, server.SettleRefund(refundNo(1, 1), "SUCCESS"))
	fileAgain(t, server)

	again, err := refundComplaint(client, &wechatpay.RefundComplaintRequest{Round: 1})
	require.NoError(t, err)
	require.Equal(t, first.RefundID, again.RefundID)
	require.Equal(t, wechatpay.RefundStatusSuccess, again.Status)

	_, err = refundComplaint(client, &wechatpay.RefundComplaintRequest{Round: 1, Attempt: 2})
	requireRefused(t, err, wechatpay.RefundRefusedReasonEarlierRound)
	require.ErrorContains(t, err, "the request is for round 1, the current round is 2")
	require.Len(t, server.Refunds(), 1)

	second, err := refundComplaint(client, &wechatpay.RefundComplaintRequest{Round: 2})
	require.NoError(t, err)
	require.Equal(t, refundNo(2, 1), second.OutRefundNo)
}

// A refund of an earlier round blocks this round until it has arrived.
func TestComplaintsV2_Refund_refundsOfEarlierRounds(t *testing.T) {
	const (
		entrusted = wechatpay.OperateTypeComplaintEntrustedRefundSystemMessage
		partial   = wechatpay.OperateTypeComplaintPartialRefundedSystemMessage
		received  = wechatpay.OperateTypeComplaintRefundReceivedSystemMessage

		elsewhere    = wechatpay.RefundRefusedReasonElsewhere
		earlierRound = wechatpay.RefundRefusedReasonEarlierRound
	)
	type records []wechatpay.OperateType
	for _, tt := range []struct {
		name   string
		first  records                       // in the first round
		second records                       // in the second round
		reason wechatpay.RefundRefusedReason // empty: not refused
	}{
		{"WeChat Pay's refund is on its way", records{entrusted}, nil, earlierRound},
		{"WeChat Pay's refund arrived", records{entrusted, partial, received}, nil, ""},
		{"foreign refund is on its way", records{partial}, nil, earlierRound},
		{"foreign refund arrived in the second round", records{partial}, records{received}, ""},
		{"one of two foreign refunds arrived", records{partial, partial, received}, nil, earlierRound},
		{"refund arrived that was not launched", nil, records{received}, elsewhere},
		{"foreign refund in the second round", nil, records{partial}, elsewhere},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, client := newFakeRefund(t)
			addRecords(t, server, tt.first...)
			fileAgain(t, server)
			server.Advance(time.Minute)
			addRecords(t, server, tt.second...)
			_, err := refundComplaint(client, nil)
			if tt.reason == "" {
				require.NoError(t, err)
				require.Len(t, server.Refunds(), 1)
				return
			}
			requireRefused(t, err, tt.reason)
			require.Empty(t, server.Refunds())
		})
	}
}

// An arrival belongs to a refund that was launched before it.
func TestComplaintsV2_Refund_arrivalBeforeLaunch(t *testing.T) {
	for _, first := range []wechatpay.OperateType{
		wechatpay.OperateTypeComplaintEntrustedRefundSystemMessage,
		wechatpay.OperateTypeComplaintPartialRefundedSystemMessage,
	} {
		server, client := newFakeRefund(t)
		addRecords(t, server, first)
		server.Advance(time.Minute)
		addRecords(t, server, wechatpay.OperateTypeComplaintRefundReceivedSystemMessage)
		server.Advance(time.Hour)
		addRecords(t, server, wechatpay.OperateTypeComplaintPartialRefundedSystemMessage)
		fileAgain(t, server)
		server.Advance(time.Minute)
		_, err := refundComplaint(client, nil)
		requireRefused(t, err, wechatpay.RefundRefusedReasonEarlierRound)
		require.Empty(t, server.Refunds())
	}
}

// The history shows that the complaint is of an older round than it is.
func TestComplaintsV2_Refund_complaintLagsBehindHistory(t *testing.T) {
	server, client := newFakeRefund(t)
	fileAgain(t, server)
	require.NoError(t, server.ChangeComplaint(testComplaintID, func(c *wechatpay.Complaint) { c.UserComplaintTimes = 1 }))
	for _, round := range []int{0, 1} {
		_, err := refundComplaint(client, &wechatpay.RefundComplaintRequest{Round: round})
		requireRefused(t, err, wechatpay.RefundRefusedReasonEarlierRound)
		require.ErrorContains(t, err, "the complaint shows round 1, its history round 2")
	}
	require.Empty(t, server.Refunds())
}

// Only a short first page with a total says that the history goes on.
func TestComplaintsV2_Refund_unreadableTotal(t *testing.T) {
	server, client := newFakeRefund(t)
	server.Handle(historyPattern, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"offset":0,"total_count":"2 records","data":[{"log_id":"1","operate_type":"USER_CREATE_COMPLAINT"}]}`)
	}))
	_, err := refundComplaint(client, nil)
	require.ErrorContains(t, err, "total_count")
	require.Empty(t, server.Refunds())
}

// WeChat Pay refunds the complaint and the user files it again, after it is read
// the first time.
func TestComplaintsV2_Refund_filedAgainDuringCall(t *testing.T) {
	server, _ := newFakeRefund(t)
	client := afterFirst(t, server, http.MethodGet, testComplaintID, func() {
		require.NoError(t, server.PlatformRefunds(testComplaintID))
		fileAgain(t, server)
	})
	_, err := refundComplaint(client, nil)
	var refused *wechatpay.RefundRefusedError
	require.ErrorAs(t, err, &refused)
	require.Empty(t, server.Refunds())
}

// A record without a time, or in the second of the filing, counts for this round.
func TestComplaintsV2_Refund_inexactTimes(t *testing.T) {
	for name, at := range map[string]string{
		"second of the filing": "2020-01-01T00:00:35+08:00",
		"no time":              "",
	} {
		t.Run(name, func(t *testing.T) {
			server, client := newFakeRefund(t, func(c *wechatpay.Complaint) { c.UserComplaintTimes = 2 })
			server.Handle(historyPattern, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				io.WriteString(w, historyJSON(
					`{"log_id":"1","operate_type":"USER_CONTINUE_COMPLAINT",`+
						`"operate_time":"2020-01-01T00:00:35.120+08:00"}`,
					`{"log_id":"2","operate_type":"COMPLAINT_ENTRUSTED_REFUND_SYSTEM_MESSAGE","operate_time":"`+at+`"}`,
				))
			}))
			_, err := refundComplaint(client, nil)
			requireRefused(t, err, wechatpay.RefundRefusedReasonElsewhere)
			require.Empty(t, server.Refunds())
		})
	}
}

// Another caller used the number first, with another Reason. This request is
// rejected, and both callers receive the refund.
func TestComplaintsV2_Refund_concurrentReason(t *testing.T) {
	server, other := newFakeRefund(t)
	client := fakeClient(t, server, beforeFirstPost(func() {
		_, err := refundComplaint(other, &wechatpay.RefundComplaintRequest{Reason: "a"})
		require.NoError(t, err)
	}))
	refund, err := refundComplaint(client, &wechatpay.RefundComplaintRequest{Reason: "b"})
	require.NoError(t, err)
	require.Equal(t, refundNo(1, 1), refund.OutRefundNo)
	require.Len(t, server.Refunds(), 1)
}

// Another caller used the number first, with another amount. Its refund is
// returned, however this request fails, unless this one names an amount.
func TestComplaintsV2_Refund_concurrentAmount(t *testing.T) {
	for _, kind := range []wechatpaytest.FaultKind{"", wechatpaytest.FaultDrop, wechatpaytest.FaultError500} {
		for _, amount := range []int64{0, 600} {
			t.Run(fmt.Sprint(kind, amount), func(t *testing.T) {
				server, other := newFakeRefund(t)
				client := fakeClient(t, server, beforeFirstPost(func() {
					_, err := refundComplaint(other, &wechatpay.RefundComplaintRequest{Amount: 300})
					require.NoError(t, err)
					if kind != "" {
						server.AddFault(wechatpaytest.Fault{Path: postRefund, Kind: kind})
					}
				}))
				refund, err := refundComplaint(client, &wechatpay.RefundComplaintRequest{Amount: amount})
				require.Len(t, server.Refunds(), 1)
				if amount == 0 {
					require.NoError(t, err)
					require.Equal(t, int64(300), refund.Amount.Refund)
					return
				}
				require.Nil(t, refund)
				requireRefused(t, err, wechatpay.RefundRefusedReasonOtherRefund)
			})
		}
	}
}

// The refund of the other caller is not visible at the first lookup.
func TestComplaintsV2_Refund_concurrentRefundVisibleLate(t *testing.T) {
	server, other := newFakeRefund(t)
	hidden := false
	client := fakeClient(t, server, func(cfg *wechatpay.Config) {
		base := cfg.Transport
		cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodPost {
				_, err := refundComplaint(other, &wechatpay.RefundComplaintRequest{Reason: "a"})
				require.NoError(t, err)
				hidden = true
			} else if hidden {
				hidden = false
				return fakeResponse(req, 404, `{"code":"RESOURCE_NOT_EXISTS"}`), nil
			}
			return base.RoundTrip(req)
		})
	})
	refund, err := refundComplaint(client, &wechatpay.RefundComplaintRequest{Reason: "b"})
	require.NoError(t, err)
	require.Equal(t, refundNo(1, 1), refund.OutRefundNo)
}

// A refund that arrived, and whose arrival the history does not show yet, is not
// a foreign refund.
func TestComplaintsV2_Refund_arrivalNotRecorded(t *testing.T) {
	t.Parallel()
	server, client := newFakeRefund(t, withSecondOrder)
	_, err := refundComplaint(client, &wechatpay.RefundComplaintRequest{TransactionID: testOrder, Amount: 300})
	require.NoError(t, err)
	require.NoError(t, server.SettleRefund(refundNo(1, 1), "SUCCESS"))
	launch := recordJSON("1", wechatpay.OperateTypeComplaintPartialRefundedSystemMessage, server.Now())
	server.Handle(historyPattern, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, historyJSON(launch))
	}))
	_, err = refundComplaint(client, &wechatpay.RefundComplaintRequest{TransactionID: testSecondOrder, Amount: 300})
	require.NoError(t, err)
	require.Len(t, server.Refunds(), 2)
}

func TestComplaintsV2_Refund_bounded(t *testing.T) {
	t.Run("round that does not exist", func(t *testing.T) {
		server, client := newFakeRefund(t)
		_, err := refundComplaint(client, &wechatpay.RefundComplaintRequest{Round: 1_700_000_000})
		require.ErrorContains(t, err, "round 1700000000 does not exist yet, the current round is 1")
		require.Len(t, server.Requests(), 1)
	})
	t.Run("every number of the first round exists", func(t *testing.T) {
		server, client := newFakeRefund(t, func(c *wechatpay.Complaint) { c.UserComplaintTimes = 2 })
		server.Handle(refundPattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "-2-1") {
				respondUnsigned(404, `{"code":"RESOURCE_NOT_EXISTS"}`)(w, r)
				return
			}
			fmt.Fprintf(w, `{"out_refund_no":%q,"status":"CLOSED"}`, r.PathValue("out_refund_no"))
		}))
		_, err := refundComplaint(client, nil)
		require.NoError(t, err)
		require.LessOrEqual(t, count(server, getRefund), 60)
	})
}

// An order that is listed twice counts once, and does not hide a foreign refund.
func TestComplaintsV2_Refund_orderListedTwice(t *testing.T) {
	t.Parallel()
	_, client := newFakeRefund(t, func(c *wechatpay.Complaint) {
		c.ComplaintOrderInfo = append(c.ComplaintOrderInfo, c.ComplaintOrderInfo[0])
	}, withSecondOrder)
	_, err := refundComplaint(client, &wechatpay.RefundComplaintRequest{TransactionID: testOrder, Amount: 300})
	require.NoError(t, err)
	_, err = createRefund(client, testSecondOrder, "own-1", 300, 1000)
	require.NoError(t, err)
	_, err = refundComplaint(client, &wechatpay.RefundComplaintRequest{TransactionID: testSecondOrder, Amount: 300})
	requireRefused(t, err, wechatpay.RefundRefusedReasonElsewhere)
}

// The merchant's own order number selects the order too. The refund number is
// derived from transaction_id in any case.
func TestComplaintsV2_Refund_outTradeNo(t *testing.T) {
	server, client := newFakeRefund(t, withSecondOrder)
	byMerchant := &wechatpay.RefundComplaintRequest{OutTradeNo: "20150806125346", Amount: 100}
	refund, err := refundComplaint(client, byMerchant)
	require.NoError(t, err)
	require.Equal(t, testOrder, refund.TransactionID)
	require.Equal(t, refundNo(1, 1), refund.OutRefundNo)
	for _, again := range []*wechatpay.RefundComplaintRequest{
		byMerchant,
		{TransactionID: testOrder, Amount: 100},
		{TransactionID: testOrder, OutTradeNo: "20150806125346", Amount: 100},
	} {
		same, err := refundComplaint(client, again)
		require.NoError(t, err)
		require.Equal(t, refund.RefundID, same.RefundID)
	}
	require.Equal(t, 1, count(server, postRefund))
}

// A second part of an order in the same round is refused, and the error says how
// to pay it.
func TestComplaintsV2_Refund_secondPart(t *testing.T) {
	server, client := newFakeRefund(t)
	_, err := refundComplaint(client, &wechatpay.RefundComplaintRequest{Amount: 300})
	require.NoError(t, err)
	_, err = refundComplaint(client, &wechatpay.RefundComplaintRequest{Amount: 200})
	requireRefused(t, err, wechatpay.RefundRefusedReasonOtherRefund)
	require.EqualError(t, err, "wechatpay: ComplaintsV2.Refund: complaint "+testComplaintID+": refund refused: refund "+
		refundNo(1, 1)+" is of 300 fen of order "+testOrder+"; for a second refund in this round use Refunds.Create")
	requireShort(t, err, testComplaintID, refundNo(1, 1), testOrder)

	server.Advance(time.Minute)
	_, err = createRefund(client, testOrder, "own-1", 200, 1000)
	require.NoError(t, err)
	require.Equal(t, int64(500), paidFen(server))
}

// refundDoc is a complaint that asks for 600 of the 1000 fen of testOrder, with
// the members given, which may replace those.
func refundDoc(t *testing.T, members string) string {
	doc := map[string]json.RawMessage{}
	for _, part := range []string{
		`{"complaint_id":"` + testComplaintID + `","complainted_mchid":"` + testMchID + `",` +
			`"problem_type":"REFUND","apply_refund_amount":600,"user_complaint_times":1,` +
			`"complaint_order_info":[{"transaction_id":"` + testOrder + `","out_trade_no":"20150806125346","amount":1000}]}`,
		"{" + members + "}",
	} {
		require.NoError(t, json.Unmarshal([]byte(part), &doc))
	}
	out, err := json.Marshal(doc)
	require.NoError(t, err)
	return string(out)
}

// respond makes the fake respond with a body of its own.
func respond(server *wechatpaytest.Server, pattern, body string) {
	server.Handle(pattern, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }))
}
