package wechatpaytest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

func TestServer_Complaints(t *testing.T) {
	s := newServer(t)
	require.Empty(t, s.Complaints())
	for _, c := range []wechatpay.Complaint{
		{ComplaintID: "second", ComplaintTime: noon},
		{ComplaintID: "third", ComplaintTime: noon},
		{ComplaintID: "first", ComplaintTime: noon.Add(-time.Second), PayerPhone: "13800138000"},
	} {
		s.AddComplaint(c)
	}
	require.NoError(t, s.PlatformRefunds("third"))

	all := s.Complaints()
	require.Len(t, all, 3)
	for i, id := range []string{"first", "second", "third"} {
		want, found := s.Complaint(id)
		require.True(t, found)
		require.Equal(t, want, all[i])
	}
	require.Equal(t, wechatpay.ComplaintStateProcessed, all[2].ComplaintState)
}

func TestServer_AddComplaint_defaults(t *testing.T) {
	s := newServer(t)
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
}

func TestServer_AddComplaintJSON_invalid(t *testing.T) {
	s := newServer(t)
	for _, tt := range []struct{ body, want string }{
		{`{"complaint_idd":"1"}`, "/complaint_idd"},
		{`{"complaint_id":1}`, "/complaint_id"},
		{`{"complaint_time":"yesterday"}`, "RFC 3339"},
		{`{"complaint_detail":"` + strings.Repeat("字", 301) + `"}`, "at most 300 characters"},
		{`{"user_tag_list":null}`, "null"},
		{`[]`, "must be a JSON object, got an array"},
		{
			`{"complaint_id":"1","payer_phone":"` + strings.Repeat("1", 215) + `"}`,
			"/payer_phone: must have at most 214 bytes to be encrypted, got 215",
		},
	} {
		_, err := s.AddComplaintJSON([]byte(tt.body))
		require.ErrorContains(t, err, tt.want)
		require.ErrorContains(t, err, "wechatpaytest: AddComplaintJSON: ")
	}
	const want = "wechatpaytest: AddComplaint: /complaint_id: must have at most 64 characters, got 65"
	require.PanicsWithValue(t, want, func() {
		s.AddComplaint(wechatpay.Complaint{ComplaintID: strings.Repeat("1", 65)})
	})
	_, ok := s.Complaint("1")
	require.False(t, ok)
	require.Nil(t, s.History("1"))
}

func TestServer_AddComplaint_replace(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	do(t, s, 204, "POST", decide, reject)
	addComplaint(s)
	require.Equal(t, "PENDING", complaintState(t, s))
	require.Len(t, s.History(id), 1)
	page := do(t, s, 200, "GET", complaints+"?begin_date=2026-03-04&end_date=2026-03-04", "").json(t)
	require.EqualValues(t, 1, page["total_count"])
}

func TestServer_AddComplaint_payerPhone(t *testing.T) {
	s := newServer(t)
	s.AddComplaint(wechatpay.Complaint{ComplaintID: id, PayerPhone: "13800138000"})
	phone := func() string { return do(t, s, 200, "GET", path, "").json(t)["payer_phone"].(string) }
	first := phone()
	require.Len(t, first, 344)
	require.Equal(t, "13800138000", decrypt(t, s.Config(), first))
	old := s.Config()
	renewed := s.RenewMerchantCertificate()
	require.NotEqual(t, old.SerialNo, renewed.SerialNo)
	require.Equal(t, "13800138000", decrypt(t, renewed, phone()), "for the certificate that signed")

	get := func() int {
		req := newRequest(s, "GET", path, "")
		req.cfg = old
		return req.send(t, s).StatusCode
	}
	require.Equal(t, 200, get(), "the old certificate is still valid")
	s.RevokeMerchantCertificate(old.SerialNo)
	require.Equal(t, 401, get())

	s.AddComplaint(wechatpay.Complaint{ComplaintID: id, PayerPhone: first})
	require.Equal(t, first, phone(), "a ciphertext stays as it is")
	require.NoError(t, s.ChangeComplaint(id, func(c *wechatpay.Complaint) { c.PayerPhone = "13700137000" }))
	require.Equal(t, "13700137000", decrypt(t, s.Config(), phone()))
	require.NoError(t, s.ChangeComplaint(id, func(c *wechatpay.Complaint) { c.PayerPhone = "13900139000" }))
	require.Equal(t, "13900139000", decrypt(t, s.Config(), getComplaint(t, s).PayerPhone))
}

func TestServer_AddRecord(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	media := []wechatpay.ComplaintMedia{
		{MediaType: "OPERATION_IMAGE", MediaURL: []string{"a"}},
		{MediaType: "NEW", MediaURL: []string{"b"}},
	}
	require.NoError(t, s.AddRecord(id, wechatpay.NegotiationRecord{
		OperateType:        "SOMETHING_NEW",
		OperateDetails:     "5",
		ComplaintMediaList: media,
		ClickMessage:       wechatpay.ClickMessage{MessageContent: "问", ActionID: "a", ClickedLogID: "l"},
	}))
	got := s.History(id)[1]
	require.NotEmpty(t, got.LogID)
	require.Equal(t, media, got.ComplaintMediaList)
	require.Equal(t, "问", got.ClickMessage.MessageContent)
	require.Error(t, s.AddRecord(id, wechatpay.NegotiationRecord{}))
	require.Error(t, s.AddRecord("1", wechatpay.NegotiationRecord{OperateType: "USER_RESPONSE"}))
}

func TestServer_ChangeComplaint(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	require.NoError(t, s.ChangeComplaint(id, func(c *wechatpay.Complaint) {
		c.ComplaintDetail = "x"
		c.ComplaintFullRefunded = true
		c.ComplaintOrderInfo[0].Amount = 300
	}))
	c := getComplaint(t, s)
	require.Equal(t, "x", c.ComplaintDetail)
	require.True(t, c.ComplaintFullRefunded)
	require.Equal(t, wechatpay.ComplaintStatePending, c.ComplaintState)
	require.EqualValues(t, 300, c.ComplaintOrderInfo[0].Amount)
	require.WithinDuration(t, noon, c.ComplaintTime, 0)
}

func TestServer_ChangeComplaint_invalid(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	before := getComplaint(t, s)
	for _, tt := range []struct {
		want   string
		change func(*wechatpay.Complaint)
	}{
		{"complaint_id cannot change", func(c *wechatpay.Complaint) { c.ComplaintID = "2" }},
		{"complaint_time cannot change", func(c *wechatpay.Complaint) { c.ComplaintTime = noon.Add(time.Hour) }},
		{"complaint_state", func(c *wechatpay.Complaint) { c.ComplaintState = "" }},
		{"complainted_mchid", func(c *wechatpay.Complaint) { c.ComplaintedMchID = "" }},
		{"user_complaint_times", func(c *wechatpay.Complaint) { c.UserComplaintTimes = 0 }},
		{"of an order are required", func(c *wechatpay.Complaint) {
			c.ComplaintOrderInfo = []wechatpay.ComplaintOrderInfo{{}}
		}},
		{"/complaint_detail: must have at most 300 characters", func(c *wechatpay.Complaint) {
			c.ComplaintDetail = strings.Repeat("字", 301)
		}},
	} {
		err := s.ChangeComplaint(id, tt.change)
		require.ErrorContains(t, err, "wechatpaytest: ChangeComplaint: ")
		require.ErrorContains(t, err, tt.want)
	}
	require.ErrorContains(t, s.ChangeComplaint("1", func(*wechatpay.Complaint) {}), `unknown complaint "1"`)
	require.Equal(t, before, getComplaint(t, s))
}
