package wechatpaytest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// All are there, by the time of their filing, each as Complaint gives it.
func TestComplaints(t *testing.T) {
	s := wechatpaytest.NewServer()
	defer s.Close()
	require.Empty(t, s.Complaints())
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
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
