package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

func TestComplaints(t *testing.T) {
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

	var types []string
	records := ok[list[wechatpay.NegotiationRecord]](t, m, 200, "GET", path+"/history", "").Data
	for _, record := range records {
		types = append(types, string(record.OperateType))
	}
	require.Equal(t, []string{"USER_CREATE_COMPLAINT", "USER_RESPONSE", "PLATFORM_HELP_APPLICATION", "COMPLAINT_ENTRUSTED_REFUND_SYSTEM_MESSAGE", "USER_CONTINUE_COMPLAINT"}, types)
	require.Equal(t, []string{mediaURL}, records[1].ComplaintMediaList[0].MediaURL)
}

// What users, staff and colleagues do beside replying.
func TestSteps(t *testing.T) {
	m := start(t)
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
	var types []string
	for _, r := range ok[list[wechatpay.NegotiationRecord]](t, m, 200, "GET", path+"/history", "").Data {
		types = append(types, string(r.OperateType))
	}
	require.Equal(t, []string{"USER_CREATE_COMPLAINT", "USER_APPLY_PLATFORM_SERVICE", "PLATFORM_RESPONSE", "USER_CANCEL_PLATFORM_SERVICE",
		"USER_APPLY_PLATFORM_SERVICE", "PLATFORM_SERVICE_FINISHED", "USER_CLICK_RESPONSE", "MERCHANT_REFUSE_RERUND"}, types)
	changed := ok[wechatpay.Complaint](t, m, 200, "PATCH", path, `{"complaint_state":"PENDING","need_immediate_service":true}`)
	require.Equal(t, wechatpay.ComplaintStatePending, changed.ComplaintState)
	require.True(t, changed.NeedImmediateService)
	require.True(t, changed.IncomingUserResponse, "what is not named stays")
}

func TestListOfComplaints(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	require.Equal(t, `{"data":[]}`, second(m.do(t, "GET", "/_mock/complaints", "")))
	first := ok[wechatpay.Complaint](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1"}`)
	second := ok[wechatpay.Complaint](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"2"}`)
	require.Equal(t, []wechatpay.Complaint{first, second}, ok[list[wechatpay.Complaint]](t, m, 200, "GET", "/_mock/complaints", "").Data)
}
