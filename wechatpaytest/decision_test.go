package wechatpaytest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

const (
	id      = "200201820200101080076610000"
	path    = complaints + "/" + id
	decide  = path + "/update-refund-progress"
	approve = `{"action":"APPROVE","launch_refund_day":0}`
	reject  = `{"action":"REJECT","reject_reason":"商品已使用，不符合退款条件"}`
	done    = `{"complainted_mchid":"1900000001"}`
	reply4  = `{"complainted_mchid":"1900000001","response_content":"您好"}`
	refunds = "/v3/refund/domestic/refunds"
)

func state(t testing.TB, s *wechatpaytest.Server) string {
	c, ok := s.Complaint(id)
	require.True(t, ok)
	return string(c.ComplaintState)
}

func refundOf(number string, fen int) string {
	return fmt.Sprintf(`{"transaction_id":"4200001","out_refund_no":%q,"amount":{"refund":%d,"total":100,"currency":"CNY"}}`, number, fen)
}

// file files the complaint that these tests are about, with an order of 100 fen.
func file(s *wechatpaytest.Server) {
	s.AddComplaint(wechatpay.Complaint{ComplaintID: id, ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{
		{TransactionID: "4200001", OutTradeNo: "trade-1", Amount: 100}}})
}

func TestDecisionIsSignedAndRecorded(t *testing.T) {
	s := start(t)
	file(s)
	r := call(t, s, 204, "POST", decide, approve)
	require.Empty(t, r.body)
	require.True(t, r.signedBy(s.Config().PublicKey))
	require.Equal(t, s.Config().PublicKeyID, r.Header.Get("Wechatpay-Serial"))
	require.Equal(t, "WECHATPAY2-SHA256-RSA2048", r.Header.Get("Wechatpay-Signature-Type"))
	require.Regexp(t, `^08F7[0-9A-F]+-0$`, r.Header.Get("Request-ID"))
	require.Equal(t, []string{"USER_CREATE_COMPLAINT", "MERCHANT_APPROVE_REFUND"}, operateTypes(s, id))
	require.True(t, s.Requests()[0].TookEffect)
	call(t, s, 200, "GET", path, "")
	require.False(t, s.Requests()[1].TookEffect)
}

func TestStates(t *testing.T) {
	type step struct {
		target, body string
		status       int
		state        string
	}
	post := func(target, body string, status int, state string) step { return step{target, body, status, state} }
	tests := map[string]struct {
		steps   []step
		records []string
	}{
		"the first reply": {
			[]step{post("/response", reply4, 204, "PROCESSING"), post("/response", reply4, 204, "PROCESSING")},
			[]string{"MERCHANT_RESPONSE", "MERCHANT_RESPONSE"},
		},
		"complete": {
			[]step{post("/complete", done, 204, "PROCESSED"), post("/complete", done, 400, "PROCESSED")},
			[]string{"MERCHANT_CONFIRM_COMPLETE"},
		},
		"a reply to a finished complaint": {
			[]step{post("/complete", done, 204, "PROCESSED"), post("/response", reply4, 204, "PROCESSED")},
			[]string{"MERCHANT_CONFIRM_COMPLETE", "MERCHANT_RESPONSE"},
		},
		"approved once": {
			[]step{post("/update-refund-progress", approve, 204, "PROCESSING"), post("/update-refund-progress", approve, 400, "PROCESSING"),
				post("/update-refund-progress", reject, 400, "PROCESSING")},
			[]string{"MERCHANT_APPROVE_REFUND"},
		},
		"rejected once": {
			[]step{post("/update-refund-progress", reject, 204, "PROCESSED"), post("/update-refund-progress", approve, 400, "PROCESSED"),
				post("/complete", done, 400, "PROCESSED")},
			[]string{"MERCHANT_REFUSE_RERUND"},
		},
		"rejected without a reason": {
			[]step{post("/update-refund-progress", `{"action":"REJECT"}`, 204, "PROCESSED")},
			[]string{"MERCHANT_REFUSE_RERUND"},
		},
		"approved without a day": {
			[]step{post("/update-refund-progress", `{"action":"APPROVE","remark":"好"}`, 204, "PROCESSING")},
			[]string{"MERCHANT_APPROVE_REFUND"},
		},
		"completed instead of decided": {
			[]step{post("/complete", done, 204, "PROCESSED"), post("/update-refund-progress", approve, 400, "PROCESSED")},
			[]string{"MERCHANT_CONFIRM_COMPLETE"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			file(s)
			require.Equal(t, "PENDING", state(t, s))
			for _, step := range test.steps {
				r := call(t, s, step.status, "POST", path+step.target, step.body)
				require.Equal(t, step.state, state(t, s))
				if step.status == 400 {
					require.Equal(t, "INVALID_REQUEST", r.json(t)["code"])
				}
			}
			require.Equal(t, append([]string{"USER_CREATE_COMPLAINT"}, test.records...), operateTypes(s, id))
		})
	}
}

func TestRejectionSaysWhy(t *testing.T) {
	s := start(t)
	file(s)
	media := uploadImage(t, s)
	call(t, s, 204, "POST", decide, `{"action":"REJECT","reject_reason":"商品已使用","reject_media_list":["`+media+`"],"remark":"x"}`)
	last := s.History(id)[1]
	require.Equal(t, "商品已使用", last.OperateDetails)
	require.Len(t, last.ImageList, 1)

	// The image is a plain link on another host, for an hour, and no place for
	// an Authorization.
	link, err := url.Parse(last.ImageList[0])
	require.NoError(t, err)
	require.NotEqual(t, strings.TrimPrefix(s.URL, "http://"), link.Host)
	get := func(authorization string) int {
		req, err := http.NewRequest("GET", strings.Replace(last.ImageList[0], "localhost", "127.0.0.1", 1), nil)
		require.NoError(t, err)
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		resp, err := httpClient.Do(req)
		require.NoError(t, err)
		resp.Body.Close()
		return resp.StatusCode
	}
	require.Equal(t, 200, get(""))
	require.Equal(t, 400, get("WECHATPAY2-SHA256-RSA2048 x"))
	s.Advance(time.Hour + time.Second)
	require.Equal(t, 403, get(""))
}

func TestKnobsOfTheDecision(t *testing.T) {
	s := start(t)
	file(s)
	s.Configure(func(b *wechatpaytest.Behavior) {
		b.TrustedOnly = true
		b.WrongState = wechatpaytest.Refusal{StatusCode: 400, Code: "PARAM_ERROR"}
		b.UnknownComplaint = wechatpaytest.Refusal{StatusCode: 400, Code: "PARAM_ERROR"}
	})
	require.Contains(t, call(t, s, 400, "POST", decide, approve).json(t)["message"], "TRUSTED")
	require.NoError(t, s.ChangeComplaint(id, func(c *wechatpay.Complaint) { c.UserTagList = []wechatpay.UserTag{wechatpay.UserTagTrusted} }))
	call(t, s, 204, "POST", decide, approve)
	require.Equal(t, "PARAM_ERROR", call(t, s, 400, "POST", decide, approve).json(t)["code"])
	require.Equal(t, "PARAM_ERROR", call(t, s, 400, "GET", complaints+"/1", "").json(t)["code"])
	s.Configure(func(b *wechatpaytest.Behavior) { b.AnyMediaID = true; b.JumpLinks = true; b.ResponseContentMax = 200 })
	call(t, s, 204, "POST", path+"/response", `{"complainted_mchid":"1900000001","response_content":"好","response_images":["x"],"jump_url":"https://example.com/?a=1","jump_url_text":"看"}`)
	call(t, s, 400, "POST", path+"/response", `{"complainted_mchid":"1900000001","response_content":"`+strings.Repeat("字", 201)+`"}`)
}

func TestPathInBody(t *testing.T) {
	s := start(t)
	file(s)
	body := `{"complaint_id":"` + id + `","action":"APPROVE","launch_refund_day":0}`
	call(t, s, 400, "POST", decide, body)
	s.Configure(func(b *wechatpaytest.Behavior) { b.PathInBody = true })
	other := call(t, s, 400, "POST", decide, strings.Replace(body, id, "1", 1)).json(t)
	require.Equal(t, "/complaint_id", other["detail"].(map[string]any)["field"])
	require.Len(t, s.History(id), 1)
	call(t, s, 204, "POST", decide, body)
	require.Len(t, s.History(id), 2)
}

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

func TestUserFilesAgain(t *testing.T) {
	s := start(t)
	file(s)
	require.Error(t, s.UserContinues(id), "it is not finished")
	call(t, s, 204, "POST", decide, reject)
	require.NoError(t, s.UserContinues(id))
	require.Equal(t, "PENDING", state(t, s))
	c, _ := s.Complaint(id)
	require.Equal(t, 2, c.UserComplaintTimes)
	call(t, s, 204, "POST", decide, approve)
	call(t, s, 400, "POST", decide, approve)
	require.Equal(t, []string{"USER_CREATE_COMPLAINT", "MERCHANT_REFUSE_RERUND", "USER_CONTINUE_COMPLAINT", "MERCHANT_APPROVE_REFUND"}, operateTypes(s, id))
	require.Error(t, s.UserContinues("1"))
}

func TestPlatformRefunds(t *testing.T) {
	s := start(t)
	file(s)
	call(t, s, 204, "POST", decide, approve)
	require.NoError(t, s.PlatformRefunds(id))
	require.Error(t, s.PlatformRefunds(id))
	require.Equal(t, "PROCESSED", state(t, s))
	c, _ := s.Complaint(id)
	require.True(t, c.ComplaintFullRefunded)
	require.Equal(t, "COMPLAINT_ENTRUSTED_REFUND_SYSTEM_MESSAGE", operateTypes(s, id)[2])
	call(t, s, 200, "POST", refunds, refundOf("r-1", 100)) // a merchant who does not look pays the user twice
}

func TestUserReplies(t *testing.T) {
	s := start(t)
	file(s)
	url := s.AddImage("", png(3))
	require.NoError(t, s.UserReplies(id, "请尽快", url))
	c, _ := s.Complaint(id)
	require.True(t, c.IncomingUserResponse)
	record := s.History(id)[1]
	require.Equal(t, "请尽快", record.OperateDetails)
	require.Equal(t, []wechatpay.ComplaintMedia{{MediaType: "OPERATION_IMAGE", MediaURL: []string{url}}}, record.ComplaintMediaList)
	call(t, s, 204, "POST", path+"/response", reply4)
	c, _ = s.Complaint(id)
	require.False(t, c.IncomingUserResponse)
}

func TestImmediateService(t *testing.T) {
	s := start(t)
	s.AddComplaint(wechatpay.Complaint{ComplaintID: id, NeedImmediateService: true})
	media := uploadImage(t, s)
	body := `{"complainted_mchid":"1900000001","idempotent_id":"i-1","message":{"sender_identity":"MANUAL","custom_data":"x","blocks":[
		{"type":"TEXT","text":{"text":"您好","color":"SECONDARY","is_bold":false}},
		{"type":"IMAGE","image":{"media_id":"` + media + `","image_style_type":"IMAGE_STYLE_TYPE_WIDE"}},
		{"type":"LINK","link":{"text":"看","action":{"action_type":"ACTION_TYPE_JUMP_URL","jump_url":"https://example.com/"},"invalid_info":{"expired_time":"2026-03-05T00:00:00+08:00","multi_clickable":true}}},
		{"type":"FAQ_LIST","faq_list":{"faqs":[{"faq_id":"1","faq_title":"问","action":{"action_type":"ACTION_TYPE_SEND_MESSAGE","message_info":{"content":"问","custom_data":"y"},"action_id":"a"}}]}},
		{"type":"BUTTON","button":{"text":"去","action":{"action_type":"ACTION_TYPE_JUMP_MINI_PROGRAM","mini_program_jump_info":{"appid":"wx1","path":"p","text":"t"}}}},
		{"type":"BUTTON_GROUP","button_group":{"buttons":[{"text":"是"}],"button_layout":"LAYOUT_VERTICAL","invalid_info":{}}}]}}`
	target := path + "/response-immediate-service"
	first := call(t, s, 200, "POST", target, body).json(t)["log_id"]
	again := call(t, s, 200, "POST", target, body).json(t)["log_id"]
	require.Equal(t, first, again)
	require.Equal(t, []string{"USER_CREATE_COMPLAINT", "MERCHANT_RESPONSE"}, operateTypes(s, id), "an equal idempotent_id is processed once")
	require.Equal(t, first, s.History(id)[1].LogID)
	require.Len(t, s.History(id)[1].NormalMessage.Blocks, 6)
	require.Equal(t, "PROCESSING", state(t, s))

	// The history gives the message back as it came.
	page := call(t, s, 200, "GET", path+"/negotiation-historys?limit=1", "").json(t)
	sent := map[string]any{}
	require.NoError(t, json.Unmarshal([]byte(body), &sent))
	require.Equal(t, sent["message"], page["data"].([]any)[0].(map[string]any)["normal_message"])
}

func TestHistoryLag(t *testing.T) {
	s := start(t)
	file(s)
	s.Configure(func(b *wechatpaytest.Behavior) { b.HistoryLag = time.Minute })
	call(t, s, 204, "POST", decide, approve)
	count := func() any { return call(t, s, 200, "GET", path+"/negotiation-historys", "").json(t)["total_count"] }
	require.EqualValues(t, 0, count())
	require.Len(t, s.History(id), 2, "the ledger does not lag")
	require.Equal(t, "PROCESSING", state(t, s))
	s.Advance(time.Minute)
	require.EqualValues(t, 2, count())
	s.AddComplaint(wechatpay.Complaint{ComplaintID: id, ComplaintTime: noon.AddDate(0, 0, -3)})
	require.EqualValues(t, 1, count(), "filed long ago")
}

func TestHistoryPages(t *testing.T) {
	s := start(t)
	file(s)
	for range 4 {
		call(t, s, 204, "POST", path+"/response", reply4)
	}
	all := s.History(id)
	ids := func(query string) (ids []string, page map[string]any) {
		page = call(t, s, 200, "GET", path+"/negotiation-historys"+query, "").json(t)
		data, _ := page["data"].([]any)
		for _, r := range data {
			ids = append(ids, r.(map[string]any)["log_id"].(string))
		}
		return ids, page
	}
	newest, page := ids("?limit=2")
	require.Equal(t, []string{all[4].LogID, all[3].LogID}, newest)
	require.EqualValues(t, 5, page["total_count"])
	next, page := ids("?limit=2&offset=4")
	require.Equal(t, []string{all[0].LogID}, next)
	require.NotContains(t, page, "total_count")
	require.EqualValues(t, 4, page["offset"])
	none, page := ids("?offset=5")
	require.Empty(t, none)
	require.NotContains(t, page, "data")
	require.EqualValues(t, 100, page["limit"])
	s.Configure(func(b *wechatpaytest.Behavior) { b.HistoryOldestFirst = true; b.MaxPage = 2 })
	oldest, _ := ids("?limit=2")
	require.Equal(t, []string{all[0].LogID, all[1].LogID}, oldest)
	require.Contains(t, call(t, s, 400, "GET", path+"/negotiation-historys?limit=3", "").json(t)["message"], "too large")
}

func TestList(t *testing.T) {
	s := start(t)
	beijing := time.FixedZone("", 8*3600)
	for i, at := range []time.Time{
		time.Date(2026, 2, 28, 23, 59, 59, 0, beijing),
		time.Date(2026, 3, 1, 0, 0, 0, 0, beijing),
		time.Date(2026, 3, 2, 23, 59, 59, 999e6, beijing),
		time.Date(2026, 3, 3, 0, 0, 0, 0, beijing),
	} {
		s.AddComplaint(wechatpay.Complaint{ComplaintID: fmt.Sprint(i), ComplaintTime: at, PayerOpenID: "o1"})
	}
	s.AddComplaint(wechatpay.Complaint{ComplaintID: "foreign", ComplaintedMchID: "1900000009", ComplaintTime: time.Date(2026, 3, 1, 12, 0, 0, 0, beijing)})
	ids := func(query string) (ids []string) {
		data, _ := call(t, s, 200, "GET", complaints+"?"+query, "").json(t)["data"].([]any)
		for _, c := range data {
			ids = append(ids, c.(map[string]any)["complaint_id"].(string))
			require.NotContains(t, c, "payer_openid", "only the detail has it")
		}
		return ids
	}
	require.Equal(t, []string{"2", "1"}, ids("begin_date=2026-03-01&end_date=2026-03-02"), "days of Beijing")
	require.Equal(t, []string{"3", "2", "1", "0"}, ids("begin_date=2026-02-28&end_date=2026-03-29"), "30 days")
	require.Equal(t, []string{"2"}, ids("begin_date=2026-02-28&end_date=2026-03-29&limit=1&offset=1"))
	require.Empty(t, ids("begin_date=2026-01-01&end_date=2026-01-02"))
	s.Configure(func(b *wechatpaytest.Behavior) { b.ListOldestFirst = true })
	require.Equal(t, []string{"0", "1", "2", "3"}, ids("begin_date=2026-02-28&end_date=2026-03-29&complainted_mchid=1900000001"))
	require.Equal(t, "o1", call(t, s, 200, "GET", complaints+"/0", "").json(t)["payer_openid"])
	require.Equal(t, "2026-02-28T23:59:59.000+08:00", call(t, s, 200, "GET", complaints+"/0", "").json(t)["complaint_time"])
}

func TestListGivesTenByDefault(t *testing.T) {
	s := start(t)
	for range 12 {
		s.AddComplaint(wechatpay.Complaint{})
	}
	page := call(t, s, 200, "GET", complaints+"?begin_date=2026-03-04&end_date=2026-03-04", "").json(t)
	require.Len(t, page["data"], 10)
	require.EqualValues(t, 12, page["total_count"])
	s.Configure(func(b *wechatpaytest.Behavior) { b.MaxPage = 5 })
	call(t, s, 400, "GET", complaints+"?begin_date=2026-03-04&end_date=2026-03-04&limit=6", "")
	call(t, s, 200, "GET", complaints+"?begin_date=2026-03-04&end_date=2026-03-04&limit=5", "")
}

func TestAddComplaint(t *testing.T) {
	s := start(t)
	filed, err := s.AddComplaintJSON([]byte(`{}`))
	require.NoError(t, err)
	got, ok := s.Complaint(filed.ComplaintID)
	require.True(t, ok)
	require.Equal(t, filed, got)
	require.Regexp(t, `^[0-9]{27}$`, got.ComplaintID)
	require.Equal(t, wechatpay.ProblemTypeRefund, got.ProblemType)
	require.Equal(t, wechatpay.ComplaintStatePending, got.ComplaintState)
	require.Len(t, got.ComplaintOrderInfo, 1)
	require.Equal(t, got.ComplaintOrderInfo[0].Amount, got.ApplyRefundAmount)
	require.Equal(t, "1900000001", got.ComplaintedMchID)
	require.Equal(t, 1, got.UserComplaintTimes)
	require.WithinDuration(t, noon, got.ComplaintTime, 0)

	none, err := s.AddComplaintJSON([]byte(`{"complaint_order_info":[]}`))
	require.NoError(t, err)
	require.Empty(t, none.ComplaintOrderInfo)
	s.AddComplaint(wechatpay.Complaint{ComplaintID: "none", ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{}})
	got, _ = s.Complaint("none")
	require.Empty(t, got.ComplaintOrderInfo)

	for body, want := range map[string]string{
		`{"complaint_idd":"1"}`:                                   "/complaint_idd",
		`{"complaint_id":1}`:                                      "/complaint_id",
		`{"complaint_time":"yesterday"}`:                          "RFC 3339",
		`{"complaint_detail":"` + strings.Repeat("字", 301) + `"}`: "300",
		`{"user_tag_list":null}`:                                  "null",
		`[]`:                                                      "object",
		`{"complaint_id":"1","payer_phone":"` + strings.Repeat("1", 215) + `"}`: "/payer_phone has 215 bytes in clear",
	} {
		_, err := s.AddComplaintJSON([]byte(body))
		require.ErrorContains(t, err, want)
	}
	require.PanicsWithValue(t, "wechatpaytest: AddComplaint: /complaint_id: has 65 characters, and may have 64", func() {
		s.AddComplaint(wechatpay.Complaint{ComplaintID: strings.Repeat("1", 65)})
	})
	_, ok = s.Complaint("1")
	require.False(t, ok)
	require.Nil(t, s.History("1"))
}

func TestComplaintIsReplaced(t *testing.T) {
	s := start(t)
	file(s)
	call(t, s, 204, "POST", decide, reject)
	file(s)
	require.Equal(t, "PENDING", state(t, s))
	require.Len(t, s.History(id), 1)
	require.EqualValues(t, 1, call(t, s, 200, "GET", complaints+"?begin_date=2026-03-04&end_date=2026-03-04", "").json(t)["total_count"])
}

func TestPayerPhone(t *testing.T) {
	s := start(t)
	s.AddComplaint(wechatpay.Complaint{ComplaintID: id, PayerPhone: "13800138000"})
	first := call(t, s, 200, "GET", path, "").json(t)["payer_phone"].(string)
	require.Len(t, first, 344)
	require.Equal(t, "13800138000", decryptWith(t, s.Config(), first))
	old := s.Config()
	renewed := s.RenewMerchantCertificate()
	require.NotEqual(t, old.SerialNo, renewed.SerialNo)
	second := call(t, s, 200, "GET", path, "").json(t)["payer_phone"].(string)
	require.Equal(t, "13800138000", decryptWith(t, renewed, second), "encrypted for the certificate that signed the request")

	m := newMessage(s, "GET", path, "")
	m.cfg = old
	require.Equal(t, 200, m.send(t, s).StatusCode, "the old certificate is valid still")
	s.RevokeMerchantCertificate(old.SerialNo)
	m = newMessage(s, "GET", path, "")
	m.cfg = old
	require.Equal(t, 401, m.send(t, s).StatusCode)

	s.AddComplaint(wechatpay.Complaint{ComplaintID: id, PayerPhone: first})
	require.Equal(t, first, call(t, s, 200, "GET", path, "").json(t)["payer_phone"], "a ciphertext passes as it is")
	require.NoError(t, s.ChangeComplaint(id, func(c *wechatpay.Complaint) { c.PayerPhone = "13700137000" }))
	require.Equal(t, "13700137000", decryptWith(t, s.Config(), call(t, s, 200, "GET", path, "").json(t)["payer_phone"].(string)))
	require.NoError(t, s.ChangeComplaint(id, func(c *wechatpay.Complaint) { c.PayerPhone = "13900139000" }))
	got, _ := s.Complaint(id)
	require.Equal(t, "13900139000", decryptWith(t, s.Config(), got.PayerPhone))
}

func TestAddRecord(t *testing.T) {
	s := start(t)
	file(s)
	media := []wechatpay.ComplaintMedia{{MediaType: "OPERATION_IMAGE", MediaURL: []string{"a"}}, {MediaType: "NEW", MediaURL: []string{"b"}}}
	require.NoError(t, s.AddRecord(id, wechatpay.NegotiationRecord{
		OperateType: "SOMETHING_NEW", OperateDetails: "5", ComplaintMediaList: media,
		ClickMessage: wechatpay.ClickMessage{MessageContent: "问", ActionID: "a", ClickedLogID: "l"},
	}))
	got := s.History(id)[1]
	require.NotEmpty(t, got.LogID)
	require.Equal(t, media, got.ComplaintMediaList)
	require.Equal(t, "问", got.ClickMessage.MessageContent)
	require.Error(t, s.AddRecord(id, wechatpay.NegotiationRecord{}))
	require.Error(t, s.AddRecord("1", wechatpay.NegotiationRecord{OperateType: "USER_RESPONSE"}))
}

// What the test lets users and staff say, WeChat Pay could send.
func TestUnsendableRecords(t *testing.T) {
	s := start(t)
	file(s)
	s.SetNotificationURL("http://127.0.0.1:1/n")
	add := func(r wechatpay.NegotiationRecord) error { return s.AddRecord(id, r) }
	long := strings.Repeat("长", 501)
	five := []string{s.AddImage("1", png(1)), s.AddImage("2", png(1)), s.AddImage("3", png(1)), s.AddImage("4", png(1)), s.AddImage("5", png(1))}
	for want, err := range map[string]error{
		"/operate_details: has 501": s.UserReplies(id, long),
		"U+1F600":                   s.UserReplies(id, "😀"),
		"/media_url/0: has 513":     s.UserReplies(id, "", strings.Repeat("u", 513)),
		"/operate_details":          s.PlatformReplies(id, long),
		"no media_url":              s.PlatformReplies(id, "", "https://example.com/a.png"),
		"5 images":                  s.PlatformReplies(id, "", five...),
		"/log_id: has 65":           add(wechatpay.NegotiationRecord{OperateType: "USER_RESPONSE", LogID: strings.Repeat("x", 65)}),
		"/operate_type":             add(wechatpay.NegotiationRecord{}),
		"json":                      add(wechatpay.NegotiationRecord{OperateType: "USER_CLICK_RESPONSE", ClickMessage: wechatpay.ClickMessage{MessageContentObject: json.RawMessage("{")}}),
		"/click_message/action_id":  s.UserClicks(id, wechatpay.ClickMessage{ActionID: strings.Repeat("x", 4097)}),
		"UserClicks: json":          s.UserClicks(id, wechatpay.ClickMessage{MessageContentObject: json.RawMessage("{")}),
		"U+1F601":                   s.UserAsksPlatform(id, "😁", ""),
		"REJECT only":               s.MerchantDecides(id, wechatpay.RefundApprove, "不"),
		"/reject_reason: has 201":   s.MerchantDecides(id, wechatpay.RefundReject, strings.Repeat("不", 201)),
		"one of APPROVE, REJECT":    s.MerchantDecides(id, "LATER", ""),
	} {
		require.ErrorContains(t, err, want)
	}
	require.Len(t, s.History(id), 1)
	require.Empty(t, s.PendingNotifications())
	c, _ := s.Complaint(id)
	require.False(t, c.IncomingUserResponse || c.InPlatformService)
	require.Equal(t, "PENDING", state(t, s))
}

// Each step of the user, the staff and a colleague leaves its record, its flags
// and its notification.
func TestSteps(t *testing.T) {
	s := start(t)
	file(s)
	s.SetNotificationURL("http://127.0.0.1:1/n")
	s.Configure(func(b *wechatpaytest.Behavior) { b.NotifyOwnActions = true })
	last := func() wechatpay.NegotiationRecord {
		all := s.History(id)
		return all[len(all)-1]
	}
	image := s.AddImage("a/b+c==", png(10))
	for _, step := range []struct {
		do               func() error
		record, action   string
		service, waiting bool
		state            string
		check            func()
	}{
		{func() error { return s.UserAsksPlatform(id, "商家不处理", "已经三天") }, "USER_APPLY_PLATFORM_SERVICE", "USER_APPLY_PLATFORM_SERVICE", true, false, "PENDING", func() {
			require.Equal(t, "商家不处理", last().UserApplyPlatformServiceReason)
			require.Equal(t, "已经三天", last().UserApplyPlatformServiceReasonDescription)
			require.Error(t, s.UserAsksPlatform(id, "", ""), "they assist already")
		}},
		{func() error { return s.PlatformReplies(id, "请商家尽快处理", image) }, "PLATFORM_RESPONSE", "RESPONSE_BY_PLATFORM", true, false, "PENDING", func() {
			require.Equal(t, "请商家尽快处理", last().OperateDetails)
			require.Empty(t, last().ComplaintMediaList)
			resp, err := httpClient.Get(last().ImageList[0])
			require.NoError(t, err)
			resp.Body.Close()
			require.Equal(t, 200, resp.StatusCode)
		}},
		{func() error { return s.UserCancelsPlatform(id) }, "USER_CANCEL_PLATFORM_SERVICE", "USER_CANCEL_PLATFORM_SERVICE", false, false, "PENDING", func() {
			require.Error(t, s.UserCancelsPlatform(id))
			require.Error(t, s.PlatformFinishes(id))
		}},
		{func() error { return s.UserAsksPlatform(id, "商家不处理", "") }, "USER_APPLY_PLATFORM_SERVICE", "USER_APPLY_PLATFORM_SERVICE", true, false, "PENDING", nil},
		{func() error { return s.PlatformFinishes(id) }, "PLATFORM_SERVICE_FINISHED", "PLATFORM_SERVICE_FINISHED", false, false, "PENDING", nil},
		{func() error {
			return s.UserClicks(id, wechatpay.ClickMessage{MessageContent: "退款进度", ActionID: "a-1", ClickedLogID: "l-1"})
		}, "USER_CLICK_RESPONSE", "USER_RESPONSE", false, true, "PENDING", func() {
			require.Equal(t, wechatpay.ClickMessage{MessageContent: "退款进度", ActionID: "a-1", ClickedLogID: "l-1"}, last().ClickMessage)
		}},
		{func() error { return s.MerchantDecides(id, wechatpay.RefundReject, "已使用") }, "MERCHANT_REFUSE_RERUND", "MERCHANT_REJECT_REFUND", false, true, "PROCESSED", func() {
			require.Equal(t, "已使用", last().OperateDetails)
			require.Error(t, s.MerchantDecides(id, wechatpay.RefundApprove, ""))
			call(t, s, 400, "POST", decide, approve)
		}},
		{func() error { return s.UserContinues(id) }, "USER_CONTINUE_COMPLAINT", "CONTINUE_COMPLAINT", false, true, "PENDING", nil},
		{func() error { return s.MerchantDecides(id, wechatpay.RefundApprove, "") }, "MERCHANT_APPROVE_REFUND", "MERCHANT_APPROVE_REFUND", false, true, "PROCESSING", nil},
	} {
		before := len(s.PendingNotifications())
		require.NoError(t, step.do(), step.record)
		c, _ := s.Complaint(id)
		require.Equal(t, step.record, string(last().OperateType))
		require.Equal(t, step.service, c.InPlatformService, step.record)
		require.Equal(t, step.waiting, c.IncomingUserResponse, step.record)
		require.Equal(t, step.state, string(c.ComplaintState), step.record)
		pending := s.PendingNotifications()
		require.Len(t, pending, before+1)
		require.Equal(t, step.action, pending[before].Notification.ActionType)
		if step.check != nil {
			step.check()
		}
		require.Len(t, s.PendingNotifications(), before+1, "what is refused is not told")
	}
	call(t, s, 200, "POST", refunds, refundOf("r-1", 100))
	require.NoError(t, s.SettleRefund("r-1", "SUCCESS"))
	require.Equal(t, "PROCESSED", state(t, s), "an approval on the website is one")
	s.AddComplaint(wechatpay.Complaint{ComplaintID: "other", ProblemType: wechatpay.ProblemTypeOthers})
	require.ErrorContains(t, s.MerchantDecides("other", wechatpay.RefundApprove, ""), "no refund request")
	for _, err := range []error{s.PlatformReplies("1", "x"), s.UserAsksPlatform("1", "", ""), s.UserCancelsPlatform("1"), s.PlatformFinishes("1"),
		s.UserClicks("1", wechatpay.ClickMessage{}), s.MerchantDecides("1", wechatpay.RefundApprove, "")} {
		require.ErrorContains(t, err, "no complaint")
	}
}

func TestChangeComplaint(t *testing.T) {
	s := start(t)
	file(s)
	require.NoError(t, s.ChangeComplaint(id, func(c *wechatpay.Complaint) { c.ComplaintDetail = "x" }))
	require.ErrorContains(t, s.ChangeComplaint(id, func(c *wechatpay.Complaint) { c.ComplaintTime = noon.Add(time.Hour) }), "complaint_time")
	require.ErrorContains(t, s.ChangeComplaint(id, func(c *wechatpay.Complaint) { c.ComplaintID = "2" }), "complaint_id")
	require.NoError(t, s.ChangeComplaintJSON(id, []byte(`{"complaint_full_refunded":true,"complaint_order_info":[{"transaction_id":"4200001","out_trade_no":"trade-1","amount":300}]}`)))
	for body, want := range map[string]string{
		`{"complaint_state":"DONE","complaint_detial":"x"}`:           "/complaint_detial",
		`{"complaint_state":"DONE","complaint_order_info":[{"a":1}]}`: "/complaint_order_info/0/a",
		`{"complaint_state":"DONE","complaint_id":"2"}`:               "complaint_id",
		`{"complaint_state":"DONE","complaint_time":""}`:              "complaint_time",
		`{"complaint_state":null}`:                                    "null",
		`[]`:                                                          "object",
	} {
		require.ErrorContains(t, s.ChangeComplaintJSON(id, []byte(body)), want)
	}
	require.ErrorContains(t, s.ChangeComplaintJSON("1", []byte(`{}`)), "no complaint")
	c, _ := s.Complaint(id)
	require.Equal(t, "x", c.ComplaintDetail)
	require.True(t, c.ComplaintFullRefunded)
	require.Equal(t, wechatpay.ComplaintStatePending, c.ComplaintState)
	require.EqualValues(t, 300, c.ComplaintOrderInfo[0].Amount)
	require.WithinDuration(t, noon, c.ComplaintTime, 0)
}

// What happened is forgotten, and what comes then is not taken for a duplicate.
func TestReset(t *testing.T) {
	s := start(t)
	seen := map[string]bool{}
	for range 2 {
		s.SetNotificationURL("http://127.0.0.1:1/n")
		file(s)
		call(t, s, 200, "POST", refunds, strings.Replace(refundOf("r-1", 100), "{", `{"notify_url":"http://127.0.0.1:1/refund",`, 1))
		require.NoError(t, s.SettleRefund("r-1", "SUCCESS"))
		media := uploadImage(t, s)
		for _, r := range s.History(id) {
			require.False(t, seen[r.LogID], r.OperateType)
			seen[r.LogID] = true
		}
		require.Len(t, s.PendingNotifications(), 3)
		for _, p := range s.PendingNotifications() {
			require.False(t, seen[p.Notification.ID], p.Notification.EventType)
			seen[p.Notification.ID] = true
		}
		s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultDrop, Times: 2})
		s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultRefuse})

		s.Reset()
		require.Empty(t, s.Requests())
		require.Empty(t, s.Complaints())
		require.Empty(t, s.Refunds())
		require.Empty(t, s.Faults())
		require.Empty(t, s.PendingNotifications())
		call(t, s, 404, "GET", path, "")
		call(t, s, 404, "GET", refunds+"/r-1", "")
		call(t, s, 400, "GET", "/v3/merchant-service/complaint-notifications", "")
		file(s)
		call(t, s, 400, "POST", decide, `{"action":"REJECT","reject_media_list":["`+media+`"]}`)
		require.Empty(t, s.PendingNotifications(), "there is no URL")
	}
}

// What a fault's chance comes to does not depend on what was before.
func TestResetBeginsFaultsAnew(t *testing.T) {
	s := start(t)
	draw := func() (struck []bool) {
		s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultError500, Probability: 0.3, Seed: 7})
		for range 20 {
			r := newMessage(s, "GET", path, "").send(t, s)
			struck = append(struck, r.StatusCode == 500)
		}
		s.Reset()
		return struck
	}
	first := draw()
	require.Contains(t, first, true)
	require.Equal(t, first, draw())
}

// Notifications that were due when it was reset are not delivered any more.
func TestResetStopsDeliveries(t *testing.T) {
	s := start(t)
	arrived := 0
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if arrived++; arrived == 1 {
			s.Reset()
		}
	}))
	defer receiver.Close()
	s.SetNotificationURL(receiver.URL)
	for i := range 3 {
		s.AddComplaint(wechatpay.Complaint{ComplaintID: strconv.Itoa(i)})
	}
	require.Len(t, s.DeliverDue(context.Background()), 1)
	require.Equal(t, 1, arrived)
	require.Empty(t, s.PendingNotifications())
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

// A complaint is changed to what WeChat Pay could send, and to nothing else.
func TestChangeComplaintRefuses(t *testing.T) {
	s := start(t)
	file(s)
	before, _ := s.Complaint(id)
	for name, change := range map[string]func(*wechatpay.Complaint){
		"no state":    func(c *wechatpay.Complaint) { c.ComplaintState = "" },
		"no merchant": func(c *wechatpay.Complaint) { c.ComplaintedMchID = "" },
		"never filed": func(c *wechatpay.Complaint) { c.UserComplaintTimes = 0 },
		"empty order": func(c *wechatpay.Complaint) { c.ComplaintOrderInfo = []wechatpay.ComplaintOrderInfo{{}} },
	} {
		require.ErrorContains(t, s.ChangeComplaint(id, change), "required", name)
	}
	after, _ := s.Complaint(id)
	require.Equal(t, before, after)
}

func TestNotificationURL(t *testing.T) {
	s := start(t)
	const callback = "/v3/merchant-service/complaint-notifications"
	one, two := `{"mchid":"1900000001","url":"https://example.com/1"}`, `{"mchid":"1900000001","url":"https://example.com/2"}`
	require.JSONEq(t, one, string(call(t, s, 200, "POST", callback, `{"url":"https://example.com/1"}`).body))
	require.Equal(t, "INVALID_REQUEST", call(t, s, 400, "POST", callback, `{"url":"https://example.com/2"}`).json(t)["code"])
	require.JSONEq(t, one, string(call(t, s, 200, "GET", callback, "").body))
	require.JSONEq(t, two, string(call(t, s, 200, "PUT", callback, `{"url":"https://example.com/2"}`).body))
	require.Empty(t, call(t, s, 204, "DELETE", callback, "").body)
	call(t, s, 400, "DELETE", callback, "")
}

func TestEqualSeedsGiveEqualIDs(t *testing.T) {
	run := func() any {
		s := start(t)
		c, err := s.AddComplaintJSON([]byte(`{}`))
		require.NoError(t, err)
		r := call(t, s, 204, "POST", complaints+"/"+c.ComplaintID+"/update-refund-progress", approve)
		return []any{c, s.History(c.ComplaintID), uploadImage(t, s), r.Header.Get("Request-ID")}
	}
	require.Equal(t, run(), run())
}

func TestManyCallersAtOnce(t *testing.T) {
	s := wechatpaytest.NewServer()
	defer s.Close()
	const callers = 200
	for i := range callers {
		s.AddComplaint(wechatpay.Complaint{ComplaintID: fmt.Sprint("own-", i)})
	}
	s.AddComplaint(wechatpay.Complaint{ComplaintID: id})
	var accepted atomic.Int64
	var wg sync.WaitGroup
	for i := range callers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for _, target := range []string{complaints + fmt.Sprint("/own-", i), path} {
				r, err := newMessage(s, "POST", target+"/update-refund-progress", approve).try(t, s)
				if err != nil {
					t.Error(err)
					return
				}
				if target == path && r.StatusCode == 204 {
					accepted.Add(1)
				} else if target != path && r.StatusCode != 204 {
					t.Error(r.StatusCode, string(r.body))
				}
			}
			_, _ = s.Complaint(id)
			_ = s.Requests()
			s.Configure(func(b *wechatpaytest.Behavior) { b.MaxPage = i })
		}()
	}
	wg.Wait()
	require.EqualValues(t, 1, accepted.Load(), "a decision is taken once")
	require.Len(t, s.History(id), 2)
	require.Len(t, s.Requests(), 2*callers)
}
