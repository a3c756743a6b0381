package wechatpaytest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// doAs is do for another merchant.
func doAs(
	t *testing.T, m *wechatpaytest.Merchant, s *wechatpaytest.Server, status int, method, target, body string,
) response {
	t.Helper()
	req := newRequest(s, method, target, body)
	req.cfg = m.Config()
	r := req.send(t, s)
	require.Equal(t, status, r.StatusCode, "%s %s: %s", method, target, r.body)
	return r
}

func TestServer_AddMerchant(t *testing.T) {
	s := newServer(t)
	other := s.AddMerchant("1900000002")
	first, second := s.Config(), other.Config()
	require.Equal(t, "1900000002", second.MchID)
	require.NotEqual(t, first.APIv3Key, second.APIv3Key)
	require.NotEqual(t, first.SerialNo, second.SerialNo)
	require.Equal(t, first.PublicKeyID, second.PublicKeyID)

	addComplaint(s)
	s.AddComplaint(wechatpay.Complaint{
		ComplaintID:        othersID,
		ComplaintedMchID:   "1900000002",
		PayerPhone:         "13800138000",
		ComplaintOrderInfo: orderInfo("4200002", "trade-1", 100),
	})
	doAs(t, other, s, 403, "POST", decide, approve)
	do(t, s, 403, "POST", decisionOf(othersID), approve)
	require.Equal(t, []string{id}, listed(t, s, "2026-03-04", "2026-03-04"))
	detail := doAs(t, other, s, 200, "GET", complaints+"/"+othersID, "").json(t)
	require.Equal(t, "13800138000", decrypt(t, second, detail["payer_phone"].(string)))
	doAs(t, other, s, 204, "POST", decisionOf(othersID), approve)

	// Refund numbers are unique per merchant.
	refund := `{"transaction_id":%q,"out_refund_no":"r-1",` + amount + `}`
	do(t, s, 200, "POST", refunds, fmt.Sprintf(refund, "4200001"))
	doAs(t, other, s, 403, "POST", refunds, fmt.Sprintf(refund, "4200001"))
	doAs(t, other, s, 200, "POST", refunds, fmt.Sprintf(refund, "4200002"))
	require.Equal(t, "4200002", doAs(t, other, s, 200, "GET", refunds+"/r-1", "").json(t)["transaction_id"])
	all := s.Refunds()
	require.Equal(t, []string{"1900000001", "1900000002"}, []string{all[0].MchID, all[1].MchID})
	require.NotEqual(t, all[0].RefundID, all[1].RefundID)
	require.ErrorContains(t, s.SettleRefund("r-1", "SUCCESS"), `refund "r-1" exists for several merchants`)

	// A certificate belongs to one merchant.
	mixed := newRequest(s, "GET", path, "")
	mixed.cfg.SerialNo, mixed.cfg.PrivateKey = second.SerialNo, second.PrivateKey
	require.Contains(t, mixed.send(t, s).json(t)["message"], "unknown serial_no")
	mixed.cfg.MchID = "1900000003"
	require.Contains(t, mixed.send(t, s).json(t)["message"], `unknown mchid "1900000003", the server has 1900000001, 1900000002`)

	require.Panics(t, func() { s.AddMerchant("1900000002") })
	require.Panics(t, func() { s.AddMerchant("") })
	s.Reset()
	doAs(t, other, s, 404, "GET", complaints+"/"+othersID, "")
}

// Each merchant has its own notification URL, and the provider's gets the events
// of its sub-merchants.
func TestServer_AddMerchant_notifications(t *testing.T) {
	s := newServer(t)
	got := map[string][]string{}
	urlFor := func(name string, cfg wechatpay.Config) string {
		client, err := wechatpay.NewClient(cfg)
		require.NoError(t, err)
		handler := client.NotificationHandler(func(_ context.Context, n *wechatpay.Notification) error {
			got[name] = append(got[name], n.ComplaintID)
			return nil
		})
		receiver := httptest.NewServer(handler)
		t.Cleanup(receiver.Close)
		return receiver.URL
	}
	direct, provider := s.AddMerchant("1900000002"), s.AddMerchant("1900000003", "1900000109", "1900000002")
	s.SetNotificationURL(urlFor("first", s.Config()))
	direct.SetNotificationURL(urlFor("direct", direct.Config()))
	provider.SetNotificationURL(urlFor("provider", provider.Config()))
	require.NotEmpty(t, direct.NotificationURL())
	for _, mchID := range []string{"1900000001", "1900000002", "1900000109", "1900000009"} {
		s.AddComplaint(wechatpay.Complaint{ComplaintID: mchID, ComplaintedMchID: mchID})
	}
	for _, d := range s.DeliverDue(context.Background()) {
		require.Equal(t, http.StatusOK, d.StatusCode, d.Body)
	}
	require.Equal(t, map[string][]string{
		"first":    {"1900000001"},
		"direct":   {"1900000002"},
		"provider": {"1900000002", "1900000109"},
	}, got)
	n := wechatpaytest.Notification{EventType: "COMPLAINT.CREATE", ComplaintID: "1", ActionType: "X", MchID: "1900000002"}
	resp, err := s.Notify(context.Background(), direct.NotificationURL(), n)
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode)
	n.MchID = "1900000009"
	_, err = s.Notify(context.Background(), direct.NotificationURL(), n)
	require.ErrorContains(t, err, `unknown merchant "1900000009"`)

	doAs(t, direct, s, 204, "DELETE", notificationURL, "")
	require.Empty(t, direct.NotificationURL())
	do(t, s, 200, "GET", notificationURL, "")
}

// A refund notification of a service provider has sp_mchid and sub_mchid in place
// of mchid.
func TestServer_NewNotification_providerRefund(t *testing.T) {
	s := newServer(t)
	other := s.AddMerchant("1900000100", "1900000109")
	s.AddComplaint(wechatpay.Complaint{
		ComplaintID:        id,
		ComplaintedMchID:   "1900000109",
		ComplaintOrderInfo: orderInfo("4200001", "trade-1", 100),
	})
	doAs(t, other, s, 200, "POST", refunds, `{"sub_mchid":"1900000109",`+refundOf("r-1", 100)[1:])
	require.NoError(t, s.SettleRefund("r-1", "ABNORMAL"))
	for _, mchID := range []string{"", "1900000100"} {
		n := wechatpaytest.Notification{EventType: "REFUND.ABNORMAL", OutRefundNo: "r-1", MchID: mchID}
		req, err := s.NewNotification(context.Background(), "http://127.0.0.1:1/refund", n)
		require.NoError(t, err)
		var e envelope
		require.NoError(t, json.NewDecoder(req.Body).Decode(&e))
		var got map[string]any
		require.NoError(t, json.Unmarshal(e.Resource.open(t, other.Config().APIv3Key), &got))
		require.Equal(t, "1900000100", got["sp_mchid"])
		require.Equal(t, "1900000109", got["sub_mchid"])
		require.Equal(t, "ABNORMAL", got["refund_status"])
		require.NotContains(t, got, "mchid")
	}
	n := wechatpaytest.Notification{EventType: "REFUND.ABNORMAL", OutRefundNo: "r-1", MchID: "1900000001"}
	_, err := s.NewNotification(context.Background(), "http://127.0.0.1:1/refund", n)
	require.ErrorContains(t, err, `unknown refund "r-1" of merchant 1900000001`)
}
