package wechatpay_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// The tests in this file pay the refunds of a complaint in ways that went wrong
// in production: more than once, or against a decision.

const (
	orderX = paidOrder // 1000 fen
	orderY = "4200000000000000000000000098"
)

// withOrderY adds a second order of 500 fen.
func withOrderY(c *wechatpay.Complaint) {
	c.ComplaintOrderInfo = append(c.ComplaintOrderInfo, wechatpay.ComplaintOrderInfo{
		TransactionID: orderY,
		OutTradeNo:    "20150806125398",
		Amount:        500,
	})
}

// refundOf pays a refund of the complaint.
func refundOf(client *wechatpay.Client, req *wechatpay.RefundComplaintRequest) (*wechatpay.Refund, error) {
	return client.ComplaintsV2.Refund(context.Background(), testComplaintID, req)
}

func requireRefundRefused(t *testing.T, err error, reason wechatpay.RefundRefusedReason) {
	t.Helper()
	var refused *wechatpay.RefundRefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, reason, refused.Reason, err)
}

// paidFen adds up what the fake paid, without refunds that failed.
func paidFen(server *wechatpaytest.Server) (sum int64) {
	for _, refund := range server.Refunds() {
		if refund.Status != "CLOSED" {
			sum += refund.Amount
		}
	}
	return sum
}

// One order is refunded twice in a round under two numbers.
func TestComplaintsV2_Refund_twoNumbers(t *testing.T) {
	t.Parallel()
	derived := &wechatpay.RefundComplaintRequest{Amount: 300}
	own := &wechatpay.RefundComplaintRequest{Amount: 300, OutRefundNo: "SHOP-1"}
	tests := []struct {
		name          string
		first, second *wechatpay.RefundComplaintRequest
		historyLag    time.Duration
	}{
		{"derived, then own", derived, own, 0},
		{"derived, then own, before the history shows it", derived, own, time.Hour},
		{"derived, then own for less", derived, &wechatpay.RefundComplaintRequest{
			Amount:      100,
			OutRefundNo: "SHOP-1",
		}, 0},
		{"derived, then own above what was applied for", derived, &wechatpay.RefundComplaintRequest{
			Amount:               700,
			AllowMoreThanApplied: true,
			OutRefundNo:          "SHOP-1",
		}, 0},
		{"own, then derived", own, derived, 0},
		{"own, then another own", own, &wechatpay.RefundComplaintRequest{Amount: 300, OutRefundNo: "SHOP-2"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := startFake(t)
			server.Configure(func(b *wechatpaytest.Behavior) { b.HistoryLag = tt.historyLag })
			client := gatewayClient(t, server)
			first, err := refundOf(client, tt.first)
			require.NoError(t, err)
			server.Advance(2 * time.Minute) // WeChat Pay takes partial refunds a minute apart

			_, err = refundOf(client, tt.second)
			requireRefundRefused(t, err, wechatpay.RefundRefusedReasonElsewhere)
			require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			require.Equal(t, int64(300), paidFen(server))

			// The first call may be repeated at any time.
			again, err := refundOf(client, tt.first)
			require.NoError(t, err)
			require.Equal(t, first.RefundID, again.RefundID)
		})
	}
}

// What is still paid under the merchant's own number.
func TestComplaintsV2_Refund_ownNumberAllowed(t *testing.T) {
	t.Run("after the derived refund was closed", func(t *testing.T) {
		server := startFake(t)
		client := gatewayClient(t, server)
		first, err := refundOf(client, nil)
		require.NoError(t, err)
		require.NoError(t, server.SettleRefund(first.OutRefundNo, "CLOSED"))
		server.Advance(time.Minute)
		_, err = refundOf(client, &wechatpay.RefundComplaintRequest{OutRefundNo: "SHOP-1"})
		require.NoError(t, err)
		require.Equal(t, int64(600), paidFen(server))
	})
	t.Run("of another order", func(t *testing.T) {
		server := startFake(t, withOrderY)
		client := gatewayClient(t, server)
		_, err := refundOf(client, &wechatpay.RefundComplaintRequest{TransactionID: orderX, Amount: 300})
		require.NoError(t, err)
		server.Advance(time.Minute) // the history shows it
		_, err = refundOf(client, &wechatpay.RefundComplaintRequest{
			TransactionID: orderY,
			Amount:        300,
			OutRefundNo:   "SHOP-1",
		})
		require.NoError(t, err)
		require.Equal(t, int64(600), paidFen(server))
	})
	t.Run("in the next round", func(t *testing.T) {
		server := startFake(t)
		client := gatewayClient(t, server)
		first, err := refundOf(client, &wechatpay.RefundComplaintRequest{Amount: 300})
		require.NoError(t, err)
		require.NoError(t, server.SettleRefund(first.OutRefundNo, "SUCCESS"))
		continueComplaint(t, server)
		_, err = refundOf(client, &wechatpay.RefundComplaintRequest{Amount: 300, OutRefundNo: "SHOP-1"})
		require.NoError(t, err)
		require.Equal(t, int64(600), paidFen(server))
	})
}

// addHistoryRecord adds a record of now, as WeChat Pay's own refund leaves it.
func addHistoryRecord(t *testing.T, server *wechatpaytest.Server, operation wechatpay.OperateType) {
	t.Helper()
	require.NoError(t, server.AddRecord(testComplaintID, wechatpay.NegotiationRecord{
		OperateType: operation,
		OperateTime: server.Now(),
	}))
}

// WeChat Pay or a colleague refunds order Y, and a minute later the SDK refunds
// order X. The history shows the first refund, and not the second yet: the
// record of the one must not pass for the other.
func TestComplaintsV2_Refund_foreignRefundVisibleFirst(t *testing.T) {
	t.Parallel()
	const launched, arrived, byPlatform = wechatpay.OperateTypeComplaintPartialRefundedSystemMessage,
		wechatpay.OperateTypeComplaintRefundReceivedSystemMessage,
		wechatpay.OperateTypeComplaintEntrustedRefundSystemMessage
	for _, tt := range []struct {
		name    string
		records []wechatpay.OperateType // of the foreign refund
		success bool                    // whether the refund of X has arrived
	}{
		{"launched", []wechatpay.OperateType{launched}, false},
		{"launched, own arrived", []wechatpay.OperateType{launched}, true},
		{"full refund launched", []wechatpay.OperateType{
			wechatpay.OperateTypeComplaintFullRefundedSystemMessage,
		}, false},
		{"launched and arrived", []wechatpay.OperateType{launched, arrived}, true},
		{"only arrived, own arrived", []wechatpay.OperateType{arrived}, true},
		{"only arrived", []wechatpay.OperateType{arrived}, false},
		{"on the merchant's behalf", []wechatpay.OperateType{byPlatform}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := startFake(t, withOrderY)
			server.Configure(func(b *wechatpaytest.Behavior) { b.HistoryLag = 10 * time.Minute })
			server.Advance(time.Hour) // the history shows the filing
			client := gatewayClient(t, server)
			for _, record := range tt.records {
				addHistoryRecord(t, server, record)
			}
			server.Advance(time.Minute)
			refund, err := refundOf(client, &wechatpay.RefundComplaintRequest{TransactionID: orderX, Amount: 300})
			require.NoError(t, err, "nothing is visible yet")
			if tt.success {
				require.NoError(t, server.SettleRefund(refund.OutRefundNo, "SUCCESS"))
			}
			server.Advance(9*time.Minute + 30*time.Second)

			_, err = refundOf(client, &wechatpay.RefundComplaintRequest{TransactionID: orderY, Amount: 300})
			requireRefundRefused(t, err, wechatpay.RefundRefusedReasonElsewhere)
			require.Equal(t, int64(300), paidFen(server))

			// Nor once the history shows both.
			server.Advance(time.Hour)
			_, err = refundOf(client, &wechatpay.RefundComplaintRequest{TransactionID: orderY, Amount: 300})
			requireRefundRefused(t, err, wechatpay.RefundRefusedReasonElsewhere)
			require.Equal(t, int64(300), paidFen(server))
		})
	}
}

// Without a foreign refund both orders are paid, whether or not the history
// shows the first refund yet.
func TestComplaintsV2_Refund_bothOrders(t *testing.T) {
	for _, lag := range []time.Duration{0, time.Hour} {
		t.Run(lag.String(), func(t *testing.T) {
			server := startFake(t, withOrderY)
			server.Configure(func(b *wechatpaytest.Behavior) { b.HistoryLag = lag })
			client := gatewayClient(t, server)
			_, err := refundOf(client, &wechatpay.RefundComplaintRequest{TransactionID: orderX, Amount: 300})
			require.NoError(t, err)
			server.Advance(10 * time.Minute)
			_, err = refundOf(client, &wechatpay.RefundComplaintRequest{TransactionID: orderY, Amount: 300})
			require.NoError(t, err)
			require.Equal(t, int64(600), paidFen(server))
		})
	}
}

// A complaint with absurdly many rounds is a case for a person.
func TestComplaintsV2_Refund_manyRounds(t *testing.T) {
	for _, times := range []int{1_000, 2_000_000_000} {
		for name, req := range map[string]*wechatpay.RefundComplaintRequest{
			"no request":     nil,
			"last round":     {Round: times},
			"first round":    {Round: 1},
			"own number":     {OutRefundNo: "SHOP-1"},
			"second attempt": {Attempt: 2},
		} {
			t.Run(fmt.Sprintf("%d/%s", times, name), func(t *testing.T) {
				server := startFake(t, func(c *wechatpay.Complaint) { c.UserComplaintTimes = times })
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				_, err := gatewayClient(t, server).ComplaintsV2.Refund(ctx, testComplaintID, req)
				requireRefundRefused(t, err, wechatpay.RefundRefusedReasonEarlierRound)
				require.LessOrEqual(t, len(server.Requests()), 10)
				require.Empty(t, server.Refunds())
			})
		}
	}
}

// The merchant rejected the refund in this round: a call that runs later, from a
// queue or a cron job, does not pay.
func TestComplaintsV2_Refund_rejected(t *testing.T) {
	reject := func(t *testing.T, s *wechatpaytest.Server) {
		require.NoError(t, s.MerchantDecides(testComplaintID, wechatpay.RefundReject, "已使用"))
	}
	for _, tt := range []struct {
		name    string
		req     *wechatpay.RefundComplaintRequest
		prepare func(t *testing.T, s *wechatpaytest.Server, c *wechatpay.Client)
		reason  wechatpay.RefundRefusedReason // empty: paid
	}{
		{"by a colleague", nil, func(t *testing.T, s *wechatpaytest.Server, _ *wechatpay.Client) {
			reject(t, s)
		}, wechatpay.RefundRefusedReasonRejected},
		{"by the program", nil, func(t *testing.T, _ *wechatpaytest.Server, c *wechatpay.Client) {
			require.NoError(t, sendDecision(wechatpay.RejectRefund("已使用"))(context.Background(), c))
		}, wechatpay.RefundRefusedReasonRejected},
		{"with the round", &wechatpay.RefundComplaintRequest{Round: 1},
			func(t *testing.T, s *wechatpaytest.Server, _ *wechatpay.Client) {
				reject(t, s)
			}, wechatpay.RefundRefusedReasonRejected},
		{"with an own number", &wechatpay.RefundComplaintRequest{OutRefundNo: "SHOP-1"},
			func(t *testing.T, s *wechatpaytest.Server, _ *wechatpay.Client) {
				reject(t, s)
			}, wechatpay.RefundRefusedReasonRejected},
		{"in the second round", nil, func(t *testing.T, s *wechatpaytest.Server, _ *wechatpay.Client) {
			continueComplaint(t, s)
			s.Advance(time.Minute)
			reject(t, s)
		}, wechatpay.RefundRefusedReasonRejected},
		{"allowed", &wechatpay.RefundComplaintRequest{AllowRejected: true},
			func(t *testing.T, s *wechatpaytest.Server, _ *wechatpay.Client) {
				reject(t, s)
			}, ""},
		{"in an earlier round", nil, func(t *testing.T, s *wechatpaytest.Server, _ *wechatpay.Client) {
			reject(t, s)
			s.Advance(time.Minute)
			continueComplaint(t, s)
		}, ""},
		{"approved", nil, func(t *testing.T, s *wechatpaytest.Server, _ *wechatpay.Client) {
			require.NoError(t, s.MerchantDecides(testComplaintID, wechatpay.RefundApprove, ""))
		}, ""},
		{"not decided", nil, func(*testing.T, *wechatpaytest.Server, *wechatpay.Client) {}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := startFake(t)
			client := gatewayClient(t, server)
			tt.prepare(t, server, client)
			server.Advance(time.Minute)
			_, err := refundOf(client, tt.req)
			if tt.reason == "" {
				require.NoError(t, err)
				require.Equal(t, int64(600), paidFen(server))
				return
			}
			requireRefundRefused(t, err, tt.reason)
			require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			require.Empty(t, server.Refunds())
		})
	}
}

// A refund that exists is returned although the merchant rejected it later.
func TestComplaintsV2_Refund_rejectedAfterRefund(t *testing.T) {
	server := startFake(t)
	client := gatewayClient(t, server)
	first, err := refundOf(client, nil)
	require.NoError(t, err)
	require.NoError(t, server.MerchantDecides(testComplaintID, wechatpay.RefundReject, "已使用"))
	again, err := refundOf(client, nil)
	require.NoError(t, err)
	require.Equal(t, first.RefundID, again.RefundID)
	require.Len(t, server.Refunds(), 1)
}

// A colleague rejects the refund while an attempt fails: it is not sent again.
func TestComplaintsV2_Refund_rejectedDuringCall(t *testing.T) {
	for _, kind := range []wechatpaytest.FaultKind{
		wechatpaytest.FaultDrop, wechatpaytest.FaultError500, wechatpaytest.FaultHTML502, wechatpaytest.FaultBusy429,
	} {
		t.Run(string(kind), func(t *testing.T) {
			server, sent := startFake(t), 0
			server.AddFault(wechatpaytest.Fault{Path: "POST /v3/refund", Kind: kind, Delay: time.Millisecond})
			relay := func(req *http.Request, pay http.RoundTripper) (*http.Response, error) {
				resp, err := pay.RoundTrip(req)
				if req.Method == http.MethodPost {
					if sent++; sent == 1 {
						require.NoError(t, server.MerchantDecides(testComplaintID, wechatpay.RefundReject, "已使用"))
					}
				}
				return resp, err
			}
			client := gatewayClient(t, server, behind(relay))
			_, err := refundOf(client, nil)
			requireRefundRefused(t, err, wechatpay.RefundRefusedReasonRejected)
			require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			require.Equal(t, 1, sent)
			require.Empty(t, server.Refunds())
		})
	}
}
