package wechatpaytest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

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

func TestNotify(t *testing.T) {
	s := start(t)
	var got *http.Request
	var body []byte
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte(`{"code":"FAIL"}`))
	}))
	defer receiver.Close()
	resp, err := s.Notify(context.Background(), receiver.URL+"/n", wechatpaytest.Notification{
		ID: "e-1", EventType: "COMPLAINT.CREATE", ComplaintID: id, ActionType: "CREATE_COMPLAINT"})
	require.NoError(t, err)
	require.Equal(t, http.StatusTeapot, resp.StatusCode)
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.JSONEq(t, `{"code":"FAIL"}`, string(answer))

	require.Equal(t, "POST", got.Method)
	require.True(t, verify(s.Config().PublicKey, got.Header, body))
	require.Equal(t, s.Config().PublicKeyID, got.Header.Get("Wechatpay-Serial"))
	require.Equal(t, fmt.Sprint(noon.Unix()), got.Header.Get("Wechatpay-Timestamp"))
	var envelope struct {
		ID           string
		CreateTime   time.Time `json:"create_time"`
		EventType    string    `json:"event_type"`
		ResourceType string    `json:"resource_type"`
		Resource     sealed
	}
	require.NoError(t, json.Unmarshal(body, &envelope))
	require.Equal(t, "e-1", envelope.ID)
	require.Equal(t, "COMPLAINT.CREATE", envelope.EventType)
	require.Equal(t, "encrypt-resource", envelope.ResourceType)
	require.WithinDuration(t, noon, envelope.CreateTime, time.Second)
	require.JSONEq(t, `{"complaint_id":"`+id+`","action_type":"CREATE_COMPLAINT"}`, string(envelope.Resource.open(t, s.Config().APIv3Key)))

	_, err = s.Notify(context.Background(), receiver.URL, wechatpaytest.Notification{})
	require.ErrorContains(t, err, "EventType")
	_, err = s.Notify(context.Background(), receiver.URL, wechatpaytest.Notification{EventType: "X", Fault: wechatpaytest.FaultDrop})
	require.ErrorContains(t, err, "drop")
	_, err = s.Notify(context.Background(), receiver.URL, wechatpaytest.Notification{EventType: "X", Serial: "ABC"})
	require.ErrorContains(t, err, "ABC")
	_, err = s.Notify(context.Background(), receiver.URL, wechatpaytest.Notification{EventType: "REFUND.SUCCESS", OutRefundNo: "r"})
	require.ErrorContains(t, err, "no refund")
}

func TestNotificationKeysAndFaults(t *testing.T) {
	s := start(t)
	public := s.Config().PublicKey
	build := func(n wechatpaytest.Notification) (http.Header, []byte) {
		n.EventType = "COMPLAINT.CREATE"
		req, err := s.NewNotification(context.Background(), "http://127.0.0.1/n", n)
		require.NoError(t, err)
		body, err := io.ReadAll(req.Body)
		require.NoError(t, err)
		return req.Header, body
	}
	h, body := build(wechatpaytest.Notification{})
	require.True(t, verify(public, h, body))
	certificate := s.PlatformCertificate()
	h, body = build(wechatpaytest.Notification{Serial: fmt.Sprintf("%X", certificate.SerialNumber)})
	require.True(t, verify(keyOf(certificate), h, body))
	h, body = build(wechatpaytest.Notification{Fault: wechatpaytest.FaultForged})
	require.False(t, verify(public, h, body))
	h, body = build(wechatpaytest.Notification{Fault: wechatpaytest.FaultProbe})
	require.False(t, verify(public, h, body))
	require.True(t, strings.HasPrefix(h.Get("Wechatpay-Signature"), "WECHATPAY/SIGNTEST/"))
	h, body = build(wechatpaytest.Notification{Fault: wechatpaytest.FaultOld})
	require.True(t, verify(public, h, body))
	require.Equal(t, fmt.Sprint(noon.Add(-15*time.Minute).Unix()), h.Get("Wechatpay-Timestamp"))
	h, _ = build(wechatpaytest.Notification{Fault: wechatpaytest.FaultUnsigned})
	require.Empty(t, h.Get("Wechatpay-Signature"))
	s.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModeCertificate })
	h, body = build(wechatpaytest.Notification{})
	require.True(t, verify(keyOf(certificate), h, body))
}

func TestNotificationsThatAreDue(t *testing.T) {
	s := start(t)
	status := http.StatusInternalServerError
	receiver := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	defer receiver.Close()
	deliver := func() []wechatpaytest.Delivery { return s.DeliverDue(context.Background()) }

	file(s)
	require.Empty(t, s.PendingNotifications(), "there was no URL")
	call(t, s, 200, "POST", "/v3/merchant-service/complaint-notifications", `{"url":"`+receiver.URL+`"}`)
	require.NoError(t, s.UserReplies(id, "请尽快"))
	call(t, s, 204, "POST", decide, approve) // the merchant's own action
	pending := s.PendingNotifications()
	require.Len(t, pending, 1)
	require.Equal(t, "USER_RESPONSE", pending[0].Notification.ActionType)
	require.Regexp(t, `^[0-9a-f-]{36}$`, pending[0].Notification.ID)

	// Ten times after 60 s, then every 300 s, until two hours.
	var attempts int
	var times []time.Duration
	for at := time.Duration(0); at <= 3*time.Hour; at += 30 * time.Second {
		for _, d := range deliver() {
			attempts++
			require.Equal(t, attempts, d.Attempt)
			require.Equal(t, 500, d.StatusCode)
			require.Equal(t, pending[0].Notification.ID, d.Notification.ID, "a duplicate keeps its id")
			times = append(times, at)
		}
		s.Advance(30 * time.Second)
	}
	require.Len(t, times, 1+10+22)
	require.Equal(t, time.Minute, times[1])
	require.Equal(t, 10*time.Minute, times[10])
	require.Equal(t, 15*time.Minute, times[11])
	require.Equal(t, 2*time.Hour, times[len(times)-1])
	require.Empty(t, s.PendingNotifications())

	s.Configure(func(b *wechatpaytest.Behavior) { b.NotifyOwnActions = true })
	call(t, s, 204, "POST", path+"/response", reply4)
	status = http.StatusNoContent
	require.Equal(t, "MERCHANT_RESPONSE", deliver()[0].Notification.ActionType)
	require.Empty(t, deliver())

	s.SetNotificationURL("https://example.com/n")
	require.NoError(t, s.UserReplies(id, "请尽快"))
	require.ErrorContains(t, deliver()[0].Err, "loopback", "a test does not leave its machine")
}

func TestNotificationsOfEveryEvent(t *testing.T) {
	s := start(t)
	s.SetNotificationURL("http://127.0.0.1:1/n")
	s.Configure(func(b *wechatpaytest.Behavior) { b.NotifyOwnActions = true })
	file(s)
	call(t, s, 204, "POST", path+"/response", reply4)
	call(t, s, 204, "POST", decide, reject)
	require.NoError(t, s.UserContinues(id))
	call(t, s, 204, "POST", decide, approve)
	call(t, s, 200, "POST", refunds, strings.Replace(refundOf("r-1", 100), "{", `{"notify_url":"http://127.0.0.1:1/refund",`, 1))
	require.NoError(t, s.SettleRefund("r-1", "SUCCESS"))
	require.NoError(t, s.UserContinues(id))
	call(t, s, 204, "POST", path+"/complete", done)
	var got []string
	for _, p := range s.PendingNotifications() {
		got = append(got, p.Notification.EventType+" "+p.Notification.ActionType)
	}
	require.Equal(t, []string{
		"COMPLAINT.CREATE CREATE_COMPLAINT",
		"COMPLAINT.STATE_CHANGE MERCHANT_RESPONSE",
		"COMPLAINT.STATE_CHANGE MERCHANT_REJECT_REFUND",
		"COMPLAINT.STATE_CHANGE CONTINUE_COMPLAINT",
		"COMPLAINT.STATE_CHANGE MERCHANT_APPROVE_REFUND",
		"COMPLAINT.STATE_CHANGE SELLER_REFUND",
		"COMPLAINT.STATE_CHANGE REFUND_SUCCESS",
		"REFUND.SUCCESS ",
		"COMPLAINT.STATE_CHANGE CONTINUE_COMPLAINT",
		"COMPLAINT.STATE_CHANGE MERCHANT_CONFIRM_COMPLETE",
	}, got)

	req, err := s.NewNotification(context.Background(), "http://127.0.0.1:1/refund", wechatpaytest.Notification{EventType: "REFUND.SUCCESS", OutRefundNo: "r-1"})
	require.NoError(t, err)
	var envelope struct{ Resource sealed }
	require.NoError(t, json.NewDecoder(req.Body).Decode(&envelope))
	require.JSONEq(t, fmt.Sprintf(`{"mchid":"1900000001","transaction_id":"4200001","out_trade_no":"trade-1","refund_id":%q,"out_refund_no":"r-1",
		"refund_status":"SUCCESS","success_time":"2026-03-04T12:00:00+08:00","user_received_account":"支付用户零钱",
		"amount":{"total":100,"refund":100,"payer_total":100,"payer_refund":100}}`, s.Refunds()[0].RefundID), string(envelope.Resource.open(t, s.Config().APIv3Key)))
}

func TestAutoNotify(t *testing.T) {
	s := start(t)
	var calls atomic.Int64
	got := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var envelope struct{ ID string }
		_ = json.NewDecoder(r.Body).Decode(&envelope)
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusBadGateway)
		}
		got <- envelope.ID
	}))
	defer receiver.Close()
	s.SetNotificationURL(receiver.URL)
	s.Configure(func(b *wechatpaytest.Behavior) { b.AutoNotify = true })
	file(s)
	first := <-got
	require.Eventually(t, func() bool { return s.PendingNotifications()[0].Attempts == 1 }, 5*time.Second, time.Millisecond)
	s.Advance(time.Minute)
	require.Equal(t, first, <-got)
	require.Eventually(t, func() bool { return len(s.PendingNotifications()) == 0 }, 5*time.Second, time.Millisecond)
	s.Close()
}

func TestCloseEndsADelivery(t *testing.T) {
	s := start(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(arrived); <-release }))
	defer receiver.Close()
	defer close(release)
	s.SetNotificationURL(receiver.URL)
	s.Configure(func(b *wechatpaytest.Behavior) { b.AutoNotify = true })
	file(s)
	<-arrived
	require.Len(t, s.PendingNotifications(), 1, "who waits for the last one waits for its answer too")
	require.Empty(t, s.DeliverDue(context.Background()), "it is on its way already")
	s.Close()
}
