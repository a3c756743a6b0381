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

func TestRefundArrivesAfterApproval(t *testing.T) {
	s := start(t)
	file(s)
	call(t, s, 204, "POST", decide, approve)
	r := call(t, s, 200, "POST", refunds, refundOf("r-1", 100)).json(t)
	require.Equal(t, "PROCESSING", r["status"])
	require.NotContains(t, r, "success_time")
	require.Equal(t, "PROCESSING", state(t, s))
	c, _ := s.Complaint(id)
	require.False(t, c.ComplaintFullRefunded)

	require.NoError(t, s.SettleRefund("r-1", "SUCCESS"))
	require.Equal(t, "PROCESSED", state(t, s))
	c, _ = s.Complaint(id)
	require.True(t, c.ComplaintFullRefunded)
	r = call(t, s, 200, "GET", refunds+"/r-1", "").json(t)
	require.Equal(t, "SUCCESS", r["status"])
	require.Equal(t, "2026-03-04T12:00:00+08:00", r["success_time"])
	require.Equal(t, []string{"USER_CREATE_COMPLAINT", "MERCHANT_APPROVE_REFUND", "COMPLAINT_FULL_REFUNDED_SYSTEM_MESSAGE",
		"COMPLAINT_REFUND_RECEIVED_SYSTEM_MESSAGE"}, operateTypes(s, id))
	require.Error(t, s.SettleRefund("r-1", "CLOSED"), "SUCCESS is final")
	require.Error(t, s.SettleRefund("r-2", "SUCCESS"))
	require.Error(t, s.SettleRefund("r-1", "DONE"))
}

func TestRefundsAreIdempotentByNumber(t *testing.T) {
	s := start(t)
	file(s)
	first := call(t, s, 200, "POST", refunds, refundOf("r|*@-_1", 100))
	again := call(t, s, 200, "POST", refunds, refundOf("r|*@-_1", 100))
	require.JSONEq(t, string(first.body), string(again.body))
	require.Len(t, s.Refunds(), 1)
	other := call(t, s, 400, "POST", refunds, refundOf("r|*@-_1", 99))
	require.Equal(t, "INVALID_REQUEST", other.json(t)["code"])
	require.True(t, strings.HasSuffix(other.Header.Get("Request-ID"), "-268498688"))
	require.Equal(t, "INVALID_REQUEST", call(t, s, 400, "POST", refunds, refundOf("r-2", 1)).json(t)["code"], "nothing is left to refund")
	call(t, s, 200, "GET", refunds+"/r%7C%2A%40-_1", "")
	call(t, s, 200, "GET", refunds+"/r%7C*@-_1", "")

	// A closed refund stays closed under its number, and gives the money free
	// for another.
	require.NoError(t, s.SettleRefund("r|*@-_1", "ABNORMAL"))
	require.NoError(t, s.SettleRefund("r|*@-_1", "CLOSED"))
	require.Equal(t, "CLOSED", call(t, s, 200, "POST", refunds, refundOf("r|*@-_1", 100)).json(t)["status"])
	call(t, s, 200, "POST", refunds, refundOf("r-2", 100))
	require.Equal(t, []wechatpaytest.Refund{
		{OutRefundNo: "r|*@-_1", RefundID: s.Refunds()[0].RefundID, TransactionID: "4200001", OutTradeNo: "trade-1", Amount: 100, Status: "CLOSED"},
		{OutRefundNo: "r-2", RefundID: s.Refunds()[1].RefundID, TransactionID: "4200001", OutTradeNo: "trade-1", Amount: 100, Status: "PROCESSING"},
	}, s.Refunds())
}

func TestPartialRefunds(t *testing.T) {
	s := start(t)
	file(s)
	s.Configure(func(b *wechatpaytest.Behavior) { b.RefundsArrive = true })
	require.Equal(t, "PROCESSING", call(t, s, 200, "POST", refunds, refundOf("r-1", 40)).json(t)["status"], "accepted is not refunded")
	require.Equal(t, "SUCCESS", call(t, s, 200, "GET", refunds+"/r-1", "").json(t)["status"])
	require.Equal(t, "FREQUENCY_LIMITED", call(t, s, 429, "POST", refunds, refundOf("r-2", 40)).json(t)["code"])
	c, _ := s.Complaint(id)
	require.False(t, c.ComplaintFullRefunded)
	require.Equal(t, "PENDING", state(t, s), "nobody approved")
	s.Advance(time.Minute)
	call(t, s, 400, "POST", refunds, refundOf("r-2", 61))
	call(t, s, 200, "POST", refunds, refundOf("r-2", 60))
	c, _ = s.Complaint(id)
	require.True(t, c.ComplaintFullRefunded)
	require.Equal(t, []string{"USER_CREATE_COMPLAINT", "COMPLAINT_PARTIAL_REFUNDED_SYSTEM_MESSAGE", "COMPLAINT_REFUND_RECEIVED_SYSTEM_MESSAGE",
		"COMPLAINT_FULL_REFUNDED_SYSTEM_MESSAGE", "COMPLAINT_REFUND_RECEIVED_SYSTEM_MESSAGE"}, operateTypes(s, id))
	require.Contains(t, call(t, s, 400, "POST", decide, approve).json(t)["message"], "refunded in full")
}

// Complaints that name the same order have it in common, by whichever number
// they name it, and what the test said last about it holds.
func TestOrders(t *testing.T) {
	amount := func(fen int) string {
		return fmt.Sprintf(`"amount":{"refund":%d,"total":%[1]d,"currency":"CNY"}}`, fen)
	}
	add := func(s *wechatpaytest.Server, id string, order wechatpay.ComplaintOrderInfo) {
		s.AddComplaint(wechatpay.Complaint{ComplaintID: id, ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{order}})
	}
	refund := func(t *testing.T, s *wechatpaytest.Server, status int, order wechatpay.ComplaintOrderInfo, number string, fen int) {
		call(t, s, status, "POST", refunds, fmt.Sprintf(`{"transaction_id":%q,"out_refund_no":%q,`, order.TransactionID, number)+amount(fen))
	}
	orderOf := func(s *wechatpaytest.Server, id string) wechatpay.ComplaintOrderInfo {
		c, _ := s.Complaint(id)
		return c.ComplaintOrderInfo[0]
	}
	full := func(s *wechatpaytest.Server, id string) bool {
		c, _ := s.Complaint(id)
		return c.ComplaintFullRefunded
	}
	t.Run("by out_trade_no alone", func(t *testing.T) {
		s := start(t)
		add(s, "A", wechatpay.ComplaintOrderInfo{OutTradeNo: "order-20260101", Amount: 300})
		add(s, "B", wechatpay.ComplaintOrderInfo{OutTradeNo: "order-20260101"})
		require.Equal(t, orderOf(s, "A"), orderOf(s, "B"))
		refund(t, s, 200, orderOf(s, "A"), "r-1", 300)
		refund(t, s, 400, orderOf(s, "B"), "r-2", 300)
		call(t, s, 400, "POST", refunds, `{"out_trade_no":"order-20260101","out_refund_no":"r-3",`+amount(300))
		require.NoError(t, s.SettleRefund("r-1", "SUCCESS"))
		require.True(t, full(s, "A") && full(s, "B"))
	})
	t.Run("what is left out is as it is known", func(t *testing.T) {
		s := start(t)
		add(s, "A", wechatpay.ComplaintOrderInfo{TransactionID: "42001", OutTradeNo: "trade-1", Amount: 5000})
		add(s, "B", wechatpay.ComplaintOrderInfo{TransactionID: "42001"})
		require.Equal(t, orderOf(s, "A"), orderOf(s, "B"))
	})
	t.Run("an amount that was changed", func(t *testing.T) {
		s := start(t)
		file(s)
		require.NoError(t, s.ChangeComplaint(id, func(c *wechatpay.Complaint) { c.ComplaintOrderInfo[0].Amount = 300 }))
		refund(t, s, 200, orderOf(s, id), "r-1", 300)
	})
	t.Run("an out_trade_no that was changed", func(t *testing.T) {
		s := start(t)
		file(s)
		require.NoError(t, s.ChangeComplaint(id, func(c *wechatpay.Complaint) { c.ComplaintOrderInfo[0].OutTradeNo = "trade-2" }))
		call(t, s, 404, "POST", refunds, `{"out_trade_no":"trade-1","out_refund_no":"r-1",`+amount(100))
		call(t, s, 200, "POST", refunds, `{"out_trade_no":"trade-2","out_refund_no":"r-1",`+amount(100))
	})
	t.Run("an amount of a complaint that was replaced", func(t *testing.T) {
		s := start(t)
		s.AddComplaint(wechatpay.Complaint{ComplaintID: id})
		s.AddComplaint(wechatpay.Complaint{ComplaintID: id, ApplyRefundAmount: 5000})
		refund(t, s, 200, orderOf(s, id), "r-1", 5000)
		require.Len(t, s.History(id), 2, "one refund is one record")
	})
	t.Run("a merchant that was changed", func(t *testing.T) {
		s := start(t)
		s.Configure(func(b *wechatpaytest.Behavior) { b.SubMchIDs = []string{"1900000109"} })
		file(s)
		require.NoError(t, s.ChangeComplaint(id, func(c *wechatpay.Complaint) { c.ComplaintedMchID = "1900000109" }))
		call(t, s, 200, "POST", refunds, `{"sub_mchid":"1900000109","transaction_id":"4200001","out_refund_no":"r-1",`+amount(100))
	})
	t.Run("two merchants with one out_trade_no", func(t *testing.T) {
		s := start(t)
		s.Configure(func(b *wechatpaytest.Behavior) { b.SubMchIDs = []string{"1900000109", "1900000209"} })
		for _, mchid := range []string{"1900000109", "1900000209"} {
			s.AddComplaint(wechatpay.Complaint{ComplaintID: mchid, ComplaintedMchID: mchid, ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{{OutTradeNo: "order-1"}}})
			call(t, s, 200, "POST", refunds, fmt.Sprintf(`{"sub_mchid":%q,"out_trade_no":"order-1","out_refund_no":%[1]q,`, mchid)+amount(100))
		}
		call(t, s, 403, "POST", refunds, `{"sub_mchid":"1900000309","out_trade_no":"order-1","out_refund_no":"r-1",`+amount(100))
	})
	t.Run("refunded before the complaint", func(t *testing.T) {
		s := start(t)
		file(s)
		call(t, s, 200, "POST", refunds, refundOf("r-1", 100))
		require.NoError(t, s.SettleRefund("r-1", "SUCCESS"))
		add(s, "later", wechatpay.ComplaintOrderInfo{TransactionID: "4200001"})
		require.True(t, full(s, "later"))
		require.Equal(t, "INVALID_REQUEST", call(t, s, 400, "POST", complaints+"/later/update-refund-progress", approve).json(t)["code"])
	})
	t.Run("refunded by the platform", func(t *testing.T) {
		s := start(t)
		file(s)
		add(s, "B", wechatpay.ComplaintOrderInfo{TransactionID: "4200001"})
		add(s, "other", wechatpay.ComplaintOrderInfo{TransactionID: "4200002"})
		call(t, s, 204, "POST", complaints+"/B/update-refund-progress", approve)
		require.NoError(t, s.PlatformRefunds(id))
		require.True(t, full(s, "B"))
		require.False(t, full(s, "other"))
		b, _ := s.Complaint("B")
		require.Equal(t, wechatpay.ComplaintStateProcessed, b.ComplaintState, "what it was approved for has arrived")
		require.Equal(t, []string{"USER_CREATE_COMPLAINT", "MERCHANT_APPROVE_REFUND", "COMPLAINT_ENTRUSTED_REFUND_SYSTEM_MESSAGE"}, operateTypes(s, "B"))
		require.Len(t, s.History(id), 2)
		require.Error(t, s.PlatformRefunds("B"))
	})
}

func TestFiftyPartialRefunds(t *testing.T) {
	s := start(t)
	file(s)
	for i := range 50 {
		call(t, s, 200, "POST", refunds, refundOf(fmt.Sprint("r-", i), 1))
		s.Advance(time.Minute)
	}
	require.Equal(t, "INVALID_REQUEST", call(t, s, 400, "POST", refunds, refundOf("r-50", 1)).json(t)["code"])
}

func TestRefundRefusedOnRequest(t *testing.T) {
	s := start(t)
	file(s)
	s.Configure(func(b *wechatpaytest.Behavior) {
		b.RefundRefusal = wechatpaytest.Refusal{StatusCode: 403, Code: "NOT_ENOUGH"}
	})
	require.Equal(t, "NOT_ENOUGH", call(t, s, 403, "POST", refunds, refundOf("r-1", 100)).json(t)["code"])
	s.Configure(func(b *wechatpaytest.Behavior) { b.RefundRefusal = wechatpaytest.Refusal{} })
	call(t, s, 200, "POST", refunds, refundOf("r-1", 100))
}

func TestServiceProvider(t *testing.T) {
	s := start(t)
	s.Configure(func(b *wechatpaytest.Behavior) { b.SubMchIDs = []string{"1900000009"} })
	s.AddComplaint(wechatpay.Complaint{ComplaintID: id, ComplaintedMchID: "1900000009", ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{
		{TransactionID: "4200001", OutTradeNo: "trade-1", Amount: 100}}})
	call(t, s, 204, "POST", decide, approve)
	call(t, s, 400, "POST", refunds, refundOf("r-1", 100))
	with := func(mchid string) string {
		return strings.Replace(refundOf("r-1", 100), "{", `{"sub_mchid":"`+mchid+`",`, 1)
	}
	call(t, s, 403, "POST", refunds, with("1900000008"))
	call(t, s, 200, "POST", refunds, with("1900000009"))
	call(t, s, 400, "GET", refunds+"/r-1", "")
	call(t, s, 404, "GET", refunds+"/r-1?sub_mchid=1900000008", "")
	call(t, s, 200, "GET", refunds+"/r-1?sub_mchid=1900000009", "")
	require.EqualValues(t, 1, call(t, s, 200, "GET", complaints+"?begin_date=2026-03-04&end_date=2026-03-04&complainted_mchid=1900000009", "").json(t)["total_count"])
	require.EqualValues(t, 0, call(t, s, 200, "GET", complaints+"?begin_date=2026-03-04&end_date=2026-03-04&complainted_mchid=1900000001", "").json(t)["total_count"])
}

// SELLER_REFUND is documented of a full refund alone.
func TestPartialRefundIsNotToldAsSellerRefund(t *testing.T) {
	for refund, told := range map[int64]bool{100: false, 300: true} {
		s := start(t)
		s.Configure(func(b *wechatpaytest.Behavior) { b.NotifyOwnActions = true })
		s.SetNotificationURL("http://127.0.0.1:1/n")
		s.AddComplaint(wechatpay.Complaint{ComplaintID: id, ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{{TransactionID: "4200000000000000000000000001", OutTradeNo: "20150806125346", Amount: 300}}})
		call(t, s, 200, "POST", refunds, fmt.Sprintf(`{"transaction_id":"4200000000000000000000000001","out_refund_no":"r-1","amount":{"refund":%d,"total":300,"currency":"CNY"}}`, refund))
		found := slices.ContainsFunc(s.PendingNotifications(), func(p wechatpaytest.PendingNotification) bool { return p.Notification.ActionType == "SELLER_REFUND" })
		require.Equal(t, told, found, refund)
	}
}
