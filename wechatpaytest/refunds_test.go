package wechatpaytest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func TestServer_SettleRefund(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	do(t, s, 204, "POST", decide, approve)
	r := do(t, s, 200, "POST", refunds, refundOf("r-1", 100)).json(t)
	require.Equal(t, "PROCESSING", r["status"])
	require.NotContains(t, r, "success_time")
	require.Equal(t, "PROCESSING", complaintState(t, s))
	require.False(t, getComplaint(t, s).ComplaintFullRefunded)

	require.NoError(t, s.SettleRefund("r-1", "SUCCESS"))
	require.Equal(t, "PROCESSED", complaintState(t, s))
	require.True(t, getComplaint(t, s).ComplaintFullRefunded)
	r = do(t, s, 200, "GET", refunds+"/r-1", "").json(t)
	require.Equal(t, "SUCCESS", r["status"])
	require.Equal(t, "2026-03-04T12:00:00+08:00", r["success_time"])
	require.Equal(t, []string{
		"USER_CREATE_COMPLAINT",
		"MERCHANT_APPROVE_REFUND",
		"COMPLAINT_FULL_REFUNDED_SYSTEM_MESSAGE",
		"COMPLAINT_REFUND_RECEIVED_SYSTEM_MESSAGE",
	}, operateTypes(s, id))
	require.Error(t, s.SettleRefund("r-1", "CLOSED"), "SUCCESS is final")
	require.Error(t, s.SettleRefund("r-2", "SUCCESS"))
	require.Error(t, s.SettleRefund("r-1", "DONE"))
}

func TestServer_ServeHTTP_refundIdempotent(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	const number = "r|*@-_1"
	first := do(t, s, 200, "POST", refunds, refundOf(number, 100))
	again := do(t, s, 200, "POST", refunds, refundOf(number, 100))
	require.JSONEq(t, string(first.body), string(again.body))
	require.Len(t, s.Refunds(), 1)
	other := do(t, s, 400, "POST", refunds, refundOf(number, 99))
	require.Equal(t, "INVALID_REQUEST", other.code(t))
	require.True(t, strings.HasSuffix(other.Header.Get("Request-ID"), "-268498688"))
	tooMuch := do(t, s, 400, "POST", refunds, refundOf("r-2", 1))
	require.Equal(t, "INVALID_REQUEST", tooMuch.code(t), "already refunded in full")
	do(t, s, 200, "GET", refunds+"/r%7C%2A%40-_1", "")
	do(t, s, 200, "GET", refunds+"/r%7C*@-_1", "")

	// A closed refund stays closed under its number. Its amount can be refunded
	// under another.
	require.NoError(t, s.SettleRefund(number, "ABNORMAL"))
	require.NoError(t, s.SettleRefund(number, "CLOSED"))
	require.Equal(t, "CLOSED", do(t, s, 200, "POST", refunds, refundOf(number, 100)).json(t)["status"])
	do(t, s, 200, "POST", refunds, refundOf("r-2", 100))
	all := s.Refunds()
	require.Equal(t, []wechatpaytest.Refund{
		{
			OutRefundNo:   number,
			RefundID:      all[0].RefundID,
			TransactionID: "4200001",
			OutTradeNo:    "trade-1",
			MchID:         "1900000001",
			Amount:        100,
			Status:        "CLOSED",
		},
		{
			OutRefundNo:   "r-2",
			RefundID:      all[1].RefundID,
			TransactionID: "4200001",
			OutTradeNo:    "trade-1",
			MchID:         "1900000001",
			Amount:        100,
			Status:        "PROCESSING",
		},
	}, all)
}

func TestServer_ServeHTTP_partialRefunds(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	s.Configure(func(b *wechatpaytest.Behavior) { b.RefundsArrive = true })
	require.Equal(t, "PROCESSING", do(t, s, 200, "POST", refunds, refundOf("r-1", 40)).json(t)["status"])
	require.Equal(t, "SUCCESS", do(t, s, 200, "GET", refunds+"/r-1", "").json(t)["status"])
	require.Equal(t, "FREQUENCY_LIMITED", do(t, s, 429, "POST", refunds, refundOf("r-2", 40)).code(t))
	require.False(t, getComplaint(t, s).ComplaintFullRefunded)
	require.Equal(t, "PENDING", complaintState(t, s), "not approved")
	s.Advance(time.Minute)
	do(t, s, 400, "POST", refunds, refundOf("r-2", 61))
	do(t, s, 200, "POST", refunds, refundOf("r-2", 60))
	require.True(t, getComplaint(t, s).ComplaintFullRefunded)
	require.Equal(t, []string{
		"USER_CREATE_COMPLAINT",
		"COMPLAINT_PARTIAL_REFUNDED_SYSTEM_MESSAGE",
		"COMPLAINT_REFUND_RECEIVED_SYSTEM_MESSAGE",
		"COMPLAINT_FULL_REFUNDED_SYSTEM_MESSAGE",
		"COMPLAINT_REFUND_RECEIVED_SYSTEM_MESSAGE",
	}, operateTypes(s, id))
	require.Contains(t, do(t, s, 400, "POST", decide, approve).json(t)["message"], "refunded in full")
}

func TestServer_ServeHTTP_fiftyPartialRefunds(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	for i := range 50 {
		do(t, s, 200, "POST", refunds, refundOf(fmt.Sprint("r-", i), 1))
		s.Advance(time.Minute)
	}
	require.Equal(t, "INVALID_REQUEST", do(t, s, 400, "POST", refunds, refundOf("r-50", 1)).code(t))
}

func addWithOrder(s *wechatpaytest.Server, id string, order wechatpay.ComplaintOrderInfo) {
	s.AddComplaint(wechatpay.Complaint{ComplaintID: id, ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{order}})
}

func orderOf(s *wechatpaytest.Server, id string) wechatpay.ComplaintOrderInfo {
	c, _ := s.Complaint(id)
	return c.ComplaintOrderInfo[0]
}

func fullRefunded(s *wechatpaytest.Server, id string) bool {
	c, _ := s.Complaint(id)
	return c.ComplaintFullRefunded
}

// refundFully sends a full refund. order is the JSON that selects the order.
func refundFully(t *testing.T, s *wechatpaytest.Server, status int, order, number string, fen int64) {
	t.Helper()
	const format = `{%s,"out_refund_no":%q,"amount":{"refund":%d,"total":%[3]d,"currency":"CNY"}}`
	do(t, s, status, "POST", refunds, fmt.Sprintf(format, order, number, fen))
}

// byTransactionID returns the JSON that selects the order of a complaint.
func byTransactionID(s *wechatpaytest.Server, id string) string {
	return fmt.Sprintf(`"transaction_id":%q`, orderOf(s, id).TransactionID)
}

func TestServer_AddComplaint_sharedOrder(t *testing.T) {
	t.Run("by out_trade_no alone", func(t *testing.T) {
		s := newServer(t)
		addWithOrder(s, "A", wechatpay.ComplaintOrderInfo{OutTradeNo: "order-20260101", Amount: 300})
		addWithOrder(s, "B", wechatpay.ComplaintOrderInfo{OutTradeNo: "order-20260101"})
		require.Equal(t, orderOf(s, "A"), orderOf(s, "B"))
		refundFully(t, s, 200, byTransactionID(s, "A"), "r-1", 300)
		refundFully(t, s, 400, byTransactionID(s, "B"), "r-2", 300)
		refundFully(t, s, 400, `"out_trade_no":"order-20260101"`, "r-3", 300)
		require.NoError(t, s.SettleRefund("r-1", "SUCCESS"))
		require.True(t, fullRefunded(s, "A") && fullRefunded(s, "B"))
	})
	t.Run("by transaction_id alone", func(t *testing.T) {
		s := newServer(t)
		addWithOrder(s, "A", wechatpay.ComplaintOrderInfo{TransactionID: "42001", OutTradeNo: "trade-1", Amount: 5000})
		addWithOrder(s, "B", wechatpay.ComplaintOrderInfo{TransactionID: "42001"})
		require.Equal(t, orderOf(s, "A"), orderOf(s, "B"))
	})
	t.Run("refunded before the complaint", func(t *testing.T) {
		s := newServer(t)
		addComplaint(s)
		do(t, s, 200, "POST", refunds, refundOf("r-1", 100))
		require.NoError(t, s.SettleRefund("r-1", "SUCCESS"))
		addWithOrder(s, "later", wechatpay.ComplaintOrderInfo{TransactionID: "4200001"})
		require.True(t, fullRefunded(s, "later"))
		r := do(t, s, 400, "POST", complaints+"/later/update-refund-progress", approve)
		require.Equal(t, "INVALID_REQUEST", r.code(t))
	})
	t.Run("refunded by the platform", func(t *testing.T) {
		s := newServer(t)
		addComplaint(s)
		addWithOrder(s, "B", wechatpay.ComplaintOrderInfo{TransactionID: "4200001"})
		addWithOrder(s, "other", wechatpay.ComplaintOrderInfo{TransactionID: "4200002"})
		do(t, s, 204, "POST", complaints+"/B/update-refund-progress", approve)
		require.NoError(t, s.PlatformRefunds(id))
		require.True(t, fullRefunded(s, "B"))
		require.False(t, fullRefunded(s, "other"))
		b, _ := s.Complaint("B")
		require.Equal(t, wechatpay.ComplaintStateProcessed, b.ComplaintState, "approved, and the refund has arrived")
		require.Equal(t, []string{
			"USER_CREATE_COMPLAINT",
			"MERCHANT_APPROVE_REFUND",
			"COMPLAINT_ENTRUSTED_REFUND_SYSTEM_MESSAGE",
		}, operateTypes(s, "B"))
		require.Len(t, s.History(id), 2)
		require.Error(t, s.PlatformRefunds("B"))
	})
}

func TestServer_ChangeComplaint_order(t *testing.T) {
	t.Run("amount", func(t *testing.T) {
		s := newServer(t)
		addComplaint(s)
		require.NoError(t, s.ChangeComplaint(id, func(c *wechatpay.Complaint) { c.ComplaintOrderInfo[0].Amount = 300 }))
		refundFully(t, s, 200, byTransactionID(s, id), "r-1", 300)
	})
	t.Run("out_trade_no", func(t *testing.T) {
		s := newServer(t)
		addComplaint(s)
		require.NoError(t, s.ChangeComplaint(id, func(c *wechatpay.Complaint) {
			c.ComplaintOrderInfo[0].OutTradeNo = "trade-2"
		}))
		refundFully(t, s, 404, `"out_trade_no":"trade-1"`, "r-1", 100)
		refundFully(t, s, 200, `"out_trade_no":"trade-2"`, "r-1", 100)
	})
	t.Run("merchant", func(t *testing.T) {
		s := newServer(t)
		s.Configure(func(b *wechatpaytest.Behavior) { b.SubMchIDs = []string{"1900000109"} })
		addComplaint(s)
		require.NoError(t, s.ChangeComplaint(id, func(c *wechatpay.Complaint) { c.ComplaintedMchID = "1900000109" }))
		refundFully(t, s, 200, `"sub_mchid":"1900000109","transaction_id":"4200001"`, "r-1", 100)
	})
	t.Run("complaint replaced", func(t *testing.T) {
		s := newServer(t)
		s.AddComplaint(wechatpay.Complaint{ComplaintID: id})
		s.AddComplaint(wechatpay.Complaint{ComplaintID: id, ApplyRefundAmount: 5000})
		refundFully(t, s, 200, byTransactionID(s, id), "r-1", 5000)
		require.Len(t, s.History(id), 2, "one record per refund")
	})
}

func TestBehavior_refundLag(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	s.Configure(func(b *wechatpaytest.Behavior) { b.RefundLag = time.Minute })
	created := do(t, s, 200, "POST", refunds, refundOf("r1", 100))
	do(t, s, 404, "GET", refunds+"/r1", "")
	require.Len(t, s.Refunds(), 1, "Refunds does not lag")
	again := do(t, s, 200, "POST", refunds, refundOf("r1", 100))
	require.Equal(t, created.body, again.body, "the number is known nevertheless")
	s.Advance(time.Minute)
	do(t, s, 200, "GET", refunds+"/r1", "")
}

func TestBehavior_refundRefusal(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	s.Configure(func(b *wechatpaytest.Behavior) {
		b.RefundRefusal = wechatpaytest.Refusal{StatusCode: 403, Code: "NOT_ENOUGH"}
	})
	require.Equal(t, "NOT_ENOUGH", do(t, s, 403, "POST", refunds, refundOf("r-1", 100)).code(t))
	s.Configure(func(b *wechatpaytest.Behavior) { b.RefundRefusal = wechatpaytest.Refusal{} })
	do(t, s, 200, "POST", refunds, refundOf("r-1", 100))
}

func TestBehavior_subMchIDs(t *testing.T) {
	s := newServer(t)
	s.Configure(func(b *wechatpaytest.Behavior) { b.SubMchIDs = []string{"1900000009"} })
	s.AddComplaint(wechatpay.Complaint{
		ComplaintID:        id,
		ComplaintedMchID:   "1900000009",
		ComplaintOrderInfo: orderInfo("4200001", "trade-1", 100),
	})
	do(t, s, 204, "POST", decide, approve)
	do(t, s, 400, "POST", refunds, refundOf("r-1", 100))
	const order = `"sub_mchid":%q,"transaction_id":"4200001"`
	refundFully(t, s, 403, fmt.Sprintf(order, "1900000008"), "r-1", 100)
	refundFully(t, s, 200, fmt.Sprintf(order, "1900000009"), "r-1", 100)
	do(t, s, 400, "GET", refunds+"/r-1", "")
	do(t, s, 404, "GET", refunds+"/r-1?sub_mchid=1900000008", "")
	do(t, s, 200, "GET", refunds+"/r-1?sub_mchid=1900000009", "")
	const list = complaints + "?begin_date=2026-03-04&end_date=2026-03-04&complainted_mchid="
	require.EqualValues(t, 1, do(t, s, 200, "GET", list+"1900000009", "").json(t)["total_count"])
	require.EqualValues(t, 0, do(t, s, 200, "GET", list+"1900000001", "").json(t)["total_count"])
}

func TestBehavior_subMchIDs_sameTradeNo(t *testing.T) {
	s := newServer(t)
	s.Configure(func(b *wechatpaytest.Behavior) { b.SubMchIDs = []string{"1900000109", "1900000209"} })
	const order = `"sub_mchid":%q,"out_trade_no":"order-1"`
	for _, mchID := range []string{"1900000109", "1900000209"} {
		s.AddComplaint(wechatpay.Complaint{
			ComplaintID:        mchID,
			ComplaintedMchID:   mchID,
			ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{{OutTradeNo: "order-1"}},
		})
		refundFully(t, s, 200, fmt.Sprintf(order, mchID), mchID, 100)
	}
	refundFully(t, s, 403, fmt.Sprintf(order, "1900000309"), "r-1", 100)
}

// SELLER_REFUND is only documented for full refunds.
func TestServer_ServeHTTP_refundNotification(t *testing.T) {
	for fen, want := range map[int]bool{40: false, 100: true} {
		s := newServer(t)
		s.Configure(func(b *wechatpaytest.Behavior) { b.NotifyOwnActions = true })
		s.SetNotificationURL("http://127.0.0.1:1/n")
		addComplaint(s)
		do(t, s, 200, "POST", refunds, refundOf("r-1", fen))
		got := slices.ContainsFunc(s.PendingNotifications(), func(p wechatpaytest.PendingNotification) bool {
			return p.Notification.ActionType == "SELLER_REFUND"
		})
		require.Equal(t, want, got, fen)
	}
}
