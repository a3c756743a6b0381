package wechatpaytest_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func TestBehavior_completeNeedsReply(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	s.Configure(func(b *wechatpaytest.Behavior) {
		b.CompleteNeedsReply = true
		b.WrongState.Code = "PARAM_ERROR"
	})
	r := do(t, s, 400, "POST", path+"/complete", completion)
	require.Equal(t, "PARAM_ERROR", r.code(t), "WrongState")
	require.Contains(t, r.json(t)["message"], "has no reply yet")
	do(t, s, 204, "POST", path+"/response", reply)
	do(t, s, 204, "POST", path+"/complete", completion)

	require.NoError(t, s.UserContinues(id))
	do(t, s, 400, "POST", path+"/complete", completion)
	do(t, s, 204, "POST", path+"/response", reply)
	do(t, s, 204, "POST", path+"/complete", completion)
}

func TestBehavior_noEmptyLists(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	s.AddComplaint(wechatpay.Complaint{ComplaintID: immediateID, NeedImmediateService: true})
	const withLists = `{` + replyTo + `,"response_content":"好","response_images":[]}`
	do(t, s, 204, "POST", response4, withLists)
	s.Configure(func(b *wechatpaytest.Behavior) { b.NoEmptyLists = true })
	for target, bodies := range map[string]map[string]string{
		response4: {withLists: "/response_images"},
		decide:    {`{"action":"REJECT","reject_media_list":[]}`: "/reject_media_list"},
		immediate: {blocks(""): "/message/blocks", blocks(`{"type":"FAQ_LIST","faq_list":{"faqs":[]}}`): "/message/blocks/0/faq_list/faqs"},
	} {
		for body, field := range bodies {
			r := do(t, s, 400, "POST", target, body)
			require.Equal(t, "PARAM_ERROR", r.code(t))
			require.Equal(t, field, r.json(t)["detail"].(map[string]any)["field"])
		}
	}
	do(t, s, 204, "POST", response4, reply)
}

func TestBehavior_rateLimits(t *testing.T) {
	const (
		replies   = 2
		immediate = complaints + "/" + immediateID + "/response-immediate-service"
	)
	s := newServer(t)
	addComplaint(s)
	s.AddComplaint(wechatpay.Complaint{ComplaintID: immediateID, NeedImmediateService: true})
	s.Configure(func(b *wechatpaytest.Behavior) {
		b.RateLimits = wechatpaytest.RateLimits{List: 1, History: 1, Reply: replies, Complete: 1, Upload: 1}
	})
	limited := func(method, target, body string) {
		t.Helper()
		r := do(t, s, 429, method, target, body)
		require.Equal(t, "FREQUENCY_LIMITED", r.code(t))
		require.Contains(t, r.json(t)["message"], "requests per minute")
		require.True(t, strings.HasSuffix(r.Header.Get("Request-ID"), "-268447840"))
	}
	do(t, s, 200, "GET", march, "")
	limited("GET", march, "")
	do(t, s, 200, "GET", historyOf(id), "")
	limited("GET", historyOf(othersID), "")
	do(t, s, 204, "POST", response4, reply)
	do(t, s, 200, "POST", immediate, replyI1+`,"message":{}}`)
	limited("POST", response4, reply)
	do(t, s, 204, "POST", path+"/complete", completion)
	limited("POST", path+"/complete", completion)
	do(t, s, 200, "GET", path, "") // the limit of the detail is not known
	uploadImage(t, s)
	req := newRequest(s, "POST", images+"upload", "")
	req.upload = &upload{meta: meta1, file: png(1)}
	require.Equal(t, 429, req.send(t, s).StatusCode)

	// The limit is for any 60 s. Rejected requests do not count.
	s.Advance(30 * time.Second)
	limited("GET", march, "")
	s.Advance(30 * time.Second)
	do(t, s, 200, "GET", march, "")
	s.Reset()
	do(t, s, 200, "GET", march, "")
	limited("GET", march, "")
}

// listed returns the ids in the list of some days.
func listed(t *testing.T, s *wechatpaytest.Server, begin, end string) (ids []string) {
	target := complaints + "?limit=50&begin_date=" + begin + "&end_date=" + end
	data, _ := do(t, s, 200, "GET", target, "").json(t)["data"].([]any)
	for _, c := range data {
		ids = append(ids, c.(map[string]any)["complaint_id"].(string))
	}
	return ids
}

func TestBehavior_listByChange(t *testing.T) {
	s := newServer(t)
	for i := range 3 {
		filed := noon.Add(time.Duration(i-3) * time.Hour)
		s.AddComplaint(wechatpay.Complaint{ComplaintID: fmt.Sprint(i), ComplaintTime: filed})
	}
	today := func() []string { return listed(t, s, "2026-03-04", "2026-03-04") }
	require.NoError(t, s.UserReplies("0", "?"))
	require.Equal(t, []string{"2", "1", "0"}, today())
	s.Configure(func(b *wechatpaytest.Behavior) { b.ListByChange = true })
	require.Equal(t, []string{"0", "2", "1"}, today())
	require.NoError(t, s.ChangeComplaint("1", func(c *wechatpay.Complaint) { c.InPlatformService = true }))
	require.Equal(t, []string{"1", "0", "2"}, today())
	s.Configure(func(b *wechatpaytest.Behavior) { b.ListOldestFirst = true })
	require.Equal(t, []string{"2", "0", "1"}, today())
}

func TestBehavior_listByLastFiling(t *testing.T) {
	s := newServer(t)
	s.AddComplaint(wechatpay.Complaint{ComplaintID: "1", ComplaintTime: noon.AddDate(0, 0, -40), ComplaintState: "PROCESSED"})
	s.AddComplaint(wechatpay.Complaint{ComplaintID: "2", ComplaintTime: noon.AddDate(0, 0, -1)})
	before, _ := s.Complaint("1")
	require.NoError(t, s.UserContinues("1"))
	january := func() []string { return listed(t, s, "2026-01-20", "2026-01-30") }
	march := func() []string { return listed(t, s, "2026-03-01", "2026-03-04") }
	require.Equal(t, []string{"1"}, january())
	require.Equal(t, []string{"2"}, march())
	s.Configure(func(b *wechatpaytest.Behavior) { b.ListByLastFiling = true })
	require.Empty(t, january())
	require.Equal(t, []string{"1", "2"}, march())
	after, _ := s.Complaint("1")
	require.Equal(t, before.ComplaintTime, after.ComplaintTime)
	require.Equal(t, 2, after.UserComplaintTimes)
}

func TestBehavior_refiledProcessing(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	do(t, s, 204, "POST", decide, reject)
	s.Configure(func(b *wechatpaytest.Behavior) { b.RefiledProcessing = true })
	require.NoError(t, s.UserContinues(id))
	require.Equal(t, "PROCESSING", complaintState(t, s))
	do(t, s, 204, "POST", decide, approve)
}

// Seed determines which notifications are lost.
func TestBehavior_notificationLoss(t *testing.T) {
	const total = 200
	sent := func(seed uint64, loss float64) (ids []string) {
		s := newServer(t)
		s.Configure(func(b *wechatpaytest.Behavior) { b.Seed, b.NotificationLoss = seed, loss })
		s.SetNotificationURL("http://127.0.0.1:1/n")
		for i := range total {
			s.AddComplaint(wechatpay.Complaint{ComplaintID: fmt.Sprint(i), ComplaintOrderInfo: orderInfo("4200001", "trade-1", 1)})
		}
		for _, p := range s.PendingNotifications() {
			ids = append(ids, p.Notification.ComplaintID)
		}
		return ids
	}
	half := sent(1, 0.5)
	require.InDelta(t, total/2, len(half), 30)
	require.Equal(t, half, sent(1, 0.5))
	require.NotEqual(t, half, sent(2, 0.5))
	require.Len(t, sent(1, 0), total)
	require.Empty(t, sent(1, 1))

	s := newServer(t)
	for _, loss := range []float64{-0.1, 1.1, math.NaN()} {
		require.Panics(t, func() { s.Configure(func(b *wechatpaytest.Behavior) { b.NotificationLoss = loss }) }, loss)
	}
}

// A captured complaint can have null and fields that are newer than the server.
func TestBehavior_lenientComplaints(t *testing.T) {
	const captured = `{"complaint_id":"1","complaint_time":"2026-03-01T10:00:00+08:00","payer_phone":null,
		"complaint_detail":"<商品>","complaint_full_refunded":null,"user_tag_list":null,"new_flag":true,"new_null":null,
		"new_info":{"a":[1,null],"b":"<x>"},
		"complaint_order_info":[{"transaction_id":"4200001","out_trade_no":"trade-1","amount":100,"currency":null,"more":1}],
		"complaint_media_list":[],"service_order_info":null}`
	s := newServer(t)
	_, err := s.AddComplaintJSON([]byte(captured))
	require.ErrorContains(t, err, "is not a parameter")
	s.Configure(func(b *wechatpaytest.Behavior) { b.LenientComplaints = true })
	filed, err := s.AddComplaintJSON([]byte(captured))
	require.NoError(t, err)
	require.Equal(t, "1", filed.ComplaintID)
	require.Equal(t, orderInfo("4200001", "trade-1", 100), filed.ComplaintOrderInfo)

	check := func(got map[string]any) {
		t.Helper()
		require.Equal(t, "<商品>", got["complaint_detail"])
		require.Equal(t, true, got["new_flag"])
		require.Equal(t, map[string]any{"a": []any{1.0, nil}, "b": "<x>"}, got["new_info"])
		require.NotContains(t, got, "new_null")
		require.NotContains(t, got["complaint_order_info"].([]any)[0], "more")
	}
	check(do(t, s, 200, "GET", complaints+"/1", "").json(t))
	require.NoError(t, s.ChangeComplaint("1", func(c *wechatpay.Complaint) { c.InPlatformService = true }))
	check(do(t, s, 200, "GET", march, "").json(t)["data"].([]any)[0].(map[string]any))

	for invalid, want := range map[string]string{
		`{"complaint_id":1}`:      "/complaint_id: must be a string",
		`{"complaint_id":"1"`:     "is not valid JSON",
		`[{"complaint_id":null}]`: "must be a JSON object",
		`{"complaint_order_info":[{"amount":null,"transaction_id":1}]}`: "/complaint_order_info/0/transaction_id: must be a string",
	} {
		_, err := s.AddComplaintJSON([]byte(invalid))
		require.ErrorContains(t, err, want)
	}
	require.True(t, json.Valid([]byte(captured)))
}
