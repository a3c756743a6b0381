package wechatpaytest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

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
