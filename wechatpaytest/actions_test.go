package wechatpaytest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func TestServer_UserContinues(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	require.Error(t, s.UserContinues(id), "not finished")
	do(t, s, 204, "POST", decide, reject)
	require.NoError(t, s.UserContinues(id))
	require.Equal(t, "PENDING", complaintState(t, s))
	require.Equal(t, 2, getComplaint(t, s).UserComplaintTimes)
	do(t, s, 204, "POST", decide, approve)
	do(t, s, 400, "POST", decide, approve)
	require.Equal(t, []string{
		"USER_CREATE_COMPLAINT",
		"MERCHANT_REFUSE_RERUND",
		"USER_CONTINUE_COMPLAINT",
		"MERCHANT_APPROVE_REFUND",
	}, operateTypes(s, id))
	require.Error(t, s.UserContinues("1"))
}

func TestServer_PlatformRefunds(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	do(t, s, 204, "POST", decide, approve)
	require.NoError(t, s.PlatformRefunds(id))
	require.Error(t, s.PlatformRefunds(id))
	require.Equal(t, "PROCESSED", complaintState(t, s))
	require.True(t, getComplaint(t, s).ComplaintFullRefunded)
	require.Equal(t, "COMPLAINT_ENTRUSTED_REFUND_SYSTEM_MESSAGE", operateTypes(s, id)[2])
	do(t, s, 200, "POST", refunds, refundOf("r-1", 100)) // pays the user twice
}

func TestServer_UserReplies(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	url := s.AddImage("", png(3))
	require.NoError(t, s.UserReplies(id, "请尽快", url))
	require.True(t, getComplaint(t, s).IncomingUserResponse)
	record := s.History(id)[1]
	require.Equal(t, "请尽快", record.OperateDetails)
	media := []wechatpay.ComplaintMedia{{MediaType: "OPERATION_IMAGE", MediaURL: []string{url}}}
	require.Equal(t, media, record.ComplaintMediaList)
	do(t, s, 204, "POST", path+"/response", reply)
	require.False(t, getComplaint(t, s).IncomingUserResponse)
}

func TestServer_actions_invalid(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	s.SetNotificationURL("http://127.0.0.1:1/n")
	add := func(r wechatpay.NegotiationRecord) error { return s.AddRecord(id, r) }
	badJSON := wechatpay.ClickMessage{MessageContentObject: json.RawMessage("{")}
	long := strings.Repeat("长", 501)
	one := s.AddImage("1", png(1))
	for _, tt := range []struct {
		want string
		err  error
	}{
		{"UserReplies: /operate_details: must have at most 500 characters, got 501", s.UserReplies(id, long)},
		{"UserReplies: /operate_details: contains U+1F600", s.UserReplies(id, "😀")},
		{
			"UserReplies: /media_url/0: must have at most 512 characters, got 513",
			s.UserReplies(id, "", strings.Repeat("u", 513)),
		},
		{"PlatformReplies: /operate_details: must have at most 500 characters, got 501", s.PlatformReplies(id, long)},
		{
			`PlatformReplies: unknown media_url "https://example.com/a.png"`,
			s.PlatformReplies(id, "", "https://example.com/a.png"),
		},
		{"PlatformReplies: at most 4 images are allowed, got 5", s.PlatformReplies(id, "", one, one, one, one, one)},
		{
			"AddRecord: /log_id: must have at most 64 characters, got 65",
			add(wechatpay.NegotiationRecord{OperateType: "USER_RESPONSE", LogID: strings.Repeat("x", 65)}),
		},
		{"AddRecord: /operate_type: is required", add(wechatpay.NegotiationRecord{})},
		{
			"AddRecord: json",
			add(wechatpay.NegotiationRecord{OperateType: "USER_CLICK_RESPONSE", ClickMessage: badJSON}),
		},
		{
			"UserClicks: /click_message/action_id: must have at most 4096 characters, got 4097",
			s.UserClicks(id, wechatpay.ClickMessage{ActionID: strings.Repeat("x", 4097)}),
		},
		{"UserClicks: json", s.UserClicks(id, badJSON)},
		{
			"UserAsksPlatform: /user_appy_platform_service_reason: contains U+1F601",
			s.UserAsksPlatform(id, "😁", ""),
		},
		{
			"MerchantDecides: /reject_reason: is only allowed with REJECT",
			s.MerchantDecides(id, wechatpay.RefundApprove, "不"),
		},
		{
			"MerchantDecides: /reject_reason: must have at most 200 characters, got 201",
			s.MerchantDecides(id, wechatpay.RefundReject, strings.Repeat("不", 201)),
		},
		{"MerchantDecides: /action: must be one of APPROVE, REJECT", s.MerchantDecides(id, "LATER", "")},
	} {
		require.ErrorContains(t, tt.err, "wechatpaytest: "+tt.want)
	}
	require.Len(t, s.History(id), 1)
	require.Empty(t, s.PendingNotifications())
	c := getComplaint(t, s)
	require.False(t, c.IncomingUserResponse || c.InPlatformService)
	require.Equal(t, "PENDING", complaintState(t, s))
}

func TestServer_actions_unknownComplaint(t *testing.T) {
	s := newServer(t)
	for _, err := range []error{
		s.UserReplies("1", "x"),
		s.UserClicks("1", wechatpay.ClickMessage{}),
		s.UserAsksPlatform("1", "", ""),
		s.UserCancelsPlatform("1"),
		s.PlatformReplies("1", "x"),
		s.PlatformFinishes("1"),
		s.MerchantDecides("1", wechatpay.RefundApprove, ""),
	} {
		require.ErrorContains(t, err, `unknown complaint "1"`)
	}
}

// An actionTest is an action with its record, notification, and effects on the
// complaint.
type actionTest struct {
	do               func(s *wechatpaytest.Server, image string) error
	operateType      string
	actionType       string
	platformService  bool
	incomingResponse bool
	state            string
	check            func(t *testing.T, s *wechatpaytest.Server, last wechatpay.NegotiationRecord)
}

var click = wechatpay.ClickMessage{MessageContent: "退款进度", ActionID: "a-1", ClickedLogID: "l-1"}

// actionTests run one after the other on the same complaint.
var actionTests = []actionTest{
	{
		do: func(s *wechatpaytest.Server, _ string) error {
			return s.UserAsksPlatform(id, "商家不处理", "已经三天")
		},
		operateType:     "USER_APPLY_PLATFORM_SERVICE",
		actionType:      "USER_APPLY_PLATFORM_SERVICE",
		platformService: true,
		state:           "PENDING",
		check: func(t *testing.T, s *wechatpaytest.Server, last wechatpay.NegotiationRecord) {
			require.Equal(t, "商家不处理", last.UserApplyPlatformServiceReason)
			require.Equal(t, "已经三天", last.UserApplyPlatformServiceReasonDescription)
			require.Error(t, s.UserAsksPlatform(id, "", ""), "already active")
		},
	},
	{
		do: func(s *wechatpaytest.Server, image string) error {
			return s.PlatformReplies(id, "请商家尽快处理", image)
		},
		operateType:     "PLATFORM_RESPONSE",
		actionType:      "RESPONSE_BY_PLATFORM",
		platformService: true,
		state:           "PENDING",
		check: func(t *testing.T, s *wechatpaytest.Server, last wechatpay.NegotiationRecord) {
			require.Equal(t, "请商家尽快处理", last.OperateDetails)
			require.Empty(t, last.ComplaintMediaList)
			resp, err := httpClient.Get(last.ImageList[0])
			require.NoError(t, err)
			resp.Body.Close()
			require.Equal(t, 200, resp.StatusCode)
		},
	},
	{
		do:          func(s *wechatpaytest.Server, _ string) error { return s.UserCancelsPlatform(id) },
		operateType: "USER_CANCEL_PLATFORM_SERVICE",
		actionType:  "USER_CANCEL_PLATFORM_SERVICE",
		state:       "PENDING",
		check: func(t *testing.T, s *wechatpaytest.Server, last wechatpay.NegotiationRecord) {
			require.Error(t, s.UserCancelsPlatform(id))
			require.Error(t, s.PlatformFinishes(id))
		},
	},
	{
		do:              func(s *wechatpaytest.Server, _ string) error { return s.UserAsksPlatform(id, "商家不处理", "") },
		operateType:     "USER_APPLY_PLATFORM_SERVICE",
		actionType:      "USER_APPLY_PLATFORM_SERVICE",
		platformService: true,
		state:           "PENDING",
	},
	{
		do:          func(s *wechatpaytest.Server, _ string) error { return s.PlatformFinishes(id) },
		operateType: "PLATFORM_SERVICE_FINISHED",
		actionType:  "PLATFORM_SERVICE_FINISHED",
		state:       "PENDING",
	},
	{
		do:               func(s *wechatpaytest.Server, _ string) error { return s.UserClicks(id, click) },
		operateType:      "USER_CLICK_RESPONSE",
		actionType:       "USER_RESPONSE",
		incomingResponse: true,
		state:            "PENDING",
		check: func(t *testing.T, s *wechatpaytest.Server, last wechatpay.NegotiationRecord) {
			require.Equal(t, click, last.ClickMessage)
		},
	},
	{
		do: func(s *wechatpaytest.Server, _ string) error {
			return s.MerchantDecides(id, wechatpay.RefundReject, "已使用")
		},
		operateType:      "MERCHANT_REFUSE_RERUND",
		actionType:       "MERCHANT_REJECT_REFUND",
		incomingResponse: true,
		state:            "PROCESSED",
		check: func(t *testing.T, s *wechatpaytest.Server, last wechatpay.NegotiationRecord) {
			require.Equal(t, "已使用", last.OperateDetails)
			require.Error(t, s.MerchantDecides(id, wechatpay.RefundApprove, ""))
			do(t, s, 400, "POST", decide, approve)
		},
	},
	{
		do:               func(s *wechatpaytest.Server, _ string) error { return s.UserContinues(id) },
		operateType:      "USER_CONTINUE_COMPLAINT",
		actionType:       "CONTINUE_COMPLAINT",
		incomingResponse: true,
		state:            "PENDING",
	},
	{
		do: func(s *wechatpaytest.Server, _ string) error {
			return s.MerchantDecides(id, wechatpay.RefundApprove, "")
		},
		operateType:      "MERCHANT_APPROVE_REFUND",
		actionType:       "MERCHANT_APPROVE_REFUND",
		incomingResponse: true,
		state:            "PROCESSING",
	},
}

func TestServer_actions(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	s.SetNotificationURL("http://127.0.0.1:1/n")
	s.Configure(func(b *wechatpaytest.Behavior) { b.NotifyOwnActions = true })
	image := s.AddImage("a/b+c==", png(10))
	for _, tt := range actionTests {
		before := len(s.PendingNotifications())
		require.NoError(t, tt.do(s, image), tt.operateType)
		c := getComplaint(t, s)
		history := s.History(id)
		last := history[len(history)-1]
		require.Equal(t, tt.operateType, string(last.OperateType))
		require.Equal(t, tt.platformService, c.InPlatformService, tt.operateType)
		require.Equal(t, tt.incomingResponse, c.IncomingUserResponse, tt.operateType)
		require.Equal(t, tt.state, string(c.ComplaintState), tt.operateType)
		pending := s.PendingNotifications()
		require.Len(t, pending, before+1)
		require.Equal(t, tt.actionType, pending[before].Notification.ActionType)
		if tt.check != nil {
			tt.check(t, s, last)
		}
		require.Len(t, s.PendingNotifications(), before+1, "failed actions send no notification")
	}
	do(t, s, 200, "POST", refunds, refundOf("r-1", 100))
	require.NoError(t, s.SettleRefund("r-1", "SUCCESS"))
	require.Equal(t, "PROCESSED", complaintState(t, s), "after MerchantDecides too")
	s.AddComplaint(wechatpay.Complaint{ComplaintID: "other", ProblemType: wechatpay.ProblemTypeOthers})
	require.ErrorContains(t, s.MerchantDecides("other", wechatpay.RefundApprove, ""), "not a refund request")
}
