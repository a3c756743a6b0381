package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

func TestControl_complaints(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	complaint := ok[wechatpay.Complaint](t, m, 201, "POST", "/_mock/complaints", `{"complaint_detail":"<没有> & \"收到\""}`)
	require.NotEmpty(t, complaint.ComplaintID)
	require.Equal(t, `<没有> & "收到"`, complaint.ComplaintDetail)
	require.Equal(t, wechatpay.ComplaintStatePending, complaint.ComplaintState)
	require.Equal(t, wechatpay.ProblemTypeRefund, complaint.ProblemType)
	require.Len(t, complaint.ComplaintOrderInfo, 1)
	path := "/_mock/complaints/" + complaint.ComplaintID
	require.Equal(t, complaint, ok[wechatpay.Complaint](t, m, 200, "GET", path, ""))

	mediaURL := ok[map[string]string](t, m, 201, "POST", "/_mock/images", "\x89PNG\r\n\x1a\nnot much")["media_url"]
	require.True(t, strings.HasPrefix(mediaURL, m.url+"/v3/merchant-service/images/"), mediaURL)
	require.True(t, ok[wechatpay.Complaint](t, m, 200, "POST", path+"/user-reply", `{"text":"还没有","media_urls":["`+mediaURL+`"]}`).IncomingUserResponse)
	ok[wechatpay.Complaint](t, m, 201, "POST", path+"/records", `{"operate_type":"PLATFORM_HELP_APPLICATION","operator":"平台客服"}`)
	refunded := ok[wechatpay.Complaint](t, m, 200, "POST", path+"/platform-refund", "")
	require.Equal(t, wechatpay.ComplaintStateProcessed, refunded.ComplaintState)
	require.True(t, refunded.ComplaintFullRefunded)
	require.Equal(t, 2, ok[wechatpay.Complaint](t, m, 200, "POST", path+"/user-continue", "{}").UserComplaintTimes)

	records := data[wechatpay.NegotiationRecord](t, m, path+"/history")
	require.Equal(t, []string{"USER_CREATE_COMPLAINT", "USER_RESPONSE", "PLATFORM_HELP_APPLICATION",
		"COMPLAINT_ENTRUSTED_REFUND_SYSTEM_MESSAGE", "USER_CONTINUE_COMPLAINT"}, operateTypes(records))
	require.Equal(t, []string{mediaURL}, records[1].ComplaintMediaList[0].MediaURL)
}

func TestControl_complaints_list(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	require.Equal(t, `{"data":[]}`, m.raw(t, "GET", "/_mock/complaints", ""))
	first := ok[wechatpay.Complaint](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1"}`)
	second := ok[wechatpay.Complaint](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"2"}`)
	require.Equal(t, []wechatpay.Complaint{first, second}, data[wechatpay.Complaint](t, m, "/_mock/complaints"))
}

// Users, WeChat Pay's staff and the merchant platform.
func TestControl_complaintSteps(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1"}`)
	const path = "/_mock/complaints/1"
	do := func(step, body string) wechatpay.Complaint {
		return ok[wechatpay.Complaint](t, m, 200, "POST", path+"/"+step, body)
	}
	require.True(t, do("user-ask-platform", `{"reason":"商家不处理"}`).InPlatformService)
	do("platform-reply", `{"text":"请尽快处理"}`)
	require.False(t, do("user-cancel-platform", "").InPlatformService)
	do("user-ask-platform", `{}`)
	require.False(t, do("platform-finish", "").InPlatformService)
	require.True(t, do("user-click", `{"message_content":"退款进度","action_id":"a"}`).IncomingUserResponse)
	require.Equal(t, wechatpay.ComplaintStateProcessed, do("merchant-decision", `{"action":"REJECT","reason":"已使用"}`).ComplaintState)
	require.Equal(t, []string{"USER_CREATE_COMPLAINT", "USER_APPLY_PLATFORM_SERVICE", "PLATFORM_RESPONSE", "USER_CANCEL_PLATFORM_SERVICE",
		"USER_APPLY_PLATFORM_SERVICE", "PLATFORM_SERVICE_FINISHED", "USER_CLICK_RESPONSE", "MERCHANT_REFUSE_RERUND"},
		operateTypes(data[wechatpay.NegotiationRecord](t, m, path+"/history")))
}

// PATCH replaces the given fields as a whole and keeps the others.
func TestControl_changeComplaint(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	before := ok[wechatpay.Complaint](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1","incoming_user_response":true,
		"complaint_order_info":[{"transaction_id":"4200","out_trade_no":"shop-1","amount":2500}],
		"complaint_media_list":[{"media_type":"USER_COMPLAINT_IMAGE","media_url":["http://127.0.0.1/1","http://127.0.0.1/2"]}]}`)
	const path = "/_mock/complaints/1"
	changed := ok[wechatpay.Complaint](t, m, 200, "PATCH", path, `{"complaint_state":"PROCESSED","need_immediate_service":true}`)
	want := before
	want.ComplaintState, want.NeedImmediateService = wechatpay.ComplaintStateProcessed, true
	require.Equal(t, want, changed)

	changed = ok[wechatpay.Complaint](t, m, 200, "PATCH", path, `{"need_immediate_service":false,
		"complaint_order_info":[{"transaction_id":"4201","out_trade_no":"shop-2","amount":1},{"transaction_id":"4202","out_trade_no":"shop-3","amount":2}],
		"complaint_media_list":[{"media_type":"USER_COMPLAINT_IMAGE","media_url":["http://127.0.0.1/3"]}]}`)
	want.NeedImmediateService = false
	want.ComplaintOrderInfo = []wechatpay.ComplaintOrderInfo{
		{TransactionID: "4201", OutTradeNo: "shop-2", Amount: 1},
		{TransactionID: "4202", OutTradeNo: "shop-3", Amount: 2},
	}
	want.ComplaintMediaList = []wechatpay.ComplaintMedia{
		{MediaType: wechatpay.MediaTypeUserComplaintImage, MediaURL: []string{"http://127.0.0.1/3"}},
	}
	require.Equal(t, want, changed)

	status, response := m.do(t, "PATCH", path, `{"complaint_order_info":[{"amount":3}]}`)
	require.Equal(t, 400, status, response)
	require.Contains(t, response, "transaction_id", "an order is replaced as a whole")
	require.Equal(t, want, ok[wechatpay.Complaint](t, m, 200, "GET", path, ""))
	require.Len(t, data[wechatpay.NegotiationRecord](t, m, path+"/history"), 1, "a change adds no record")
}
