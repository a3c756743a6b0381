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

func TestServer_ServeHTTP_notificationURL(t *testing.T) {
	s := newServer(t)
	body := func(url string) string { return `{"url":"` + url + `"}` }
	want := func(url string) string { return `{"mchid":"1900000001","url":"` + url + `"}` }
	const one, two = "https://example.com/1", "https://example.com/2"
	require.JSONEq(t, want(one), string(do(t, s, 200, "POST", notificationURL, body(one)).body))
	require.Equal(t, "INVALID_REQUEST", do(t, s, 400, "POST", notificationURL, body(two)).code(t))
	require.JSONEq(t, want(one), string(do(t, s, 200, "GET", notificationURL, "").body))
	require.JSONEq(t, want(two), string(do(t, s, 200, "PUT", notificationURL, body(two)).body))
	require.Empty(t, do(t, s, 204, "DELETE", notificationURL, "").body)
	do(t, s, 400, "DELETE", notificationURL, "")
}

// envelope is the body of a notification.
type envelope struct {
	ID           string    `json:"id"`
	CreateTime   time.Time `json:"create_time"`
	EventType    string    `json:"event_type"`
	ResourceType string    `json:"resource_type"`
	Resource     sealed    `json:"resource"`
}

func TestServer_Notify(t *testing.T) {
	s := newServer(t)
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
		ID:          "e-1",
		EventType:   "COMPLAINT.CREATE",
		ComplaintID: id,
		ActionType:  "CREATE_COMPLAINT",
	})
	require.NoError(t, err)
	require.Equal(t, http.StatusTeapot, resp.StatusCode)
	respBody, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.JSONEq(t, `{"code":"FAIL"}`, string(respBody))

	require.Equal(t, "POST", got.Method)
	require.True(t, verify(s.Config().PublicKey, got.Header, body))
	require.Equal(t, s.Config().PublicKeyID, got.Header.Get("Wechatpay-Serial"))
	require.Equal(t, fmt.Sprint(noon.Unix()), got.Header.Get("Wechatpay-Timestamp"))
	var e envelope
	require.NoError(t, json.Unmarshal(body, &e))
	require.Equal(t, "e-1", e.ID)
	require.Equal(t, "COMPLAINT.CREATE", e.EventType)
	require.Equal(t, "encrypt-resource", e.ResourceType)
	require.WithinDuration(t, noon, e.CreateTime, time.Second)
	resource := string(e.Resource.open(t, s.Config().APIv3Key))
	require.JSONEq(t, `{"complaint_id":"`+id+`","action_type":"CREATE_COMPLAINT"}`, resource)
}

func TestServer_Notify_invalid(t *testing.T) {
	s := newServer(t)
	for want, n := range map[string]wechatpaytest.Notification{
		"EventType is required":                        {},
		`fault "drop" does not apply to notifications`: {EventType: "X", Fault: wechatpaytest.FaultDrop},
		`unknown key "ABC"`:                            {EventType: "X", Serial: "ABC"},
		`unknown refund "r"`:                           {EventType: "REFUND.SUCCESS", OutRefundNo: "r"},
	} {
		_, err := s.Notify(context.Background(), "http://127.0.0.1:1/n", n)
		require.EqualError(t, err, "wechatpaytest: Notify: "+want)
		_, err = s.NewNotification(context.Background(), "http://127.0.0.1:1/n", n)
		require.EqualError(t, err, "wechatpaytest: NewNotification: "+want)
	}
}

func TestServer_NewNotification_keysAndFaults(t *testing.T) {
	s := newServer(t)
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
	h, body = build(wechatpaytest.Notification{Serial: serialNo(certificate)})
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

func TestServer_DeliverDue(t *testing.T) {
	s := newServer(t)
	status := http.StatusInternalServerError
	receiver := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
	}))
	defer receiver.Close()
	deliver := func() []wechatpaytest.Delivery { return s.DeliverDue(context.Background()) }

	addComplaint(s)
	require.Empty(t, s.PendingNotifications(), "no URL yet")
	do(t, s, 200, "POST", notificationURL, `{"url":"`+receiver.URL+`"}`)
	require.NoError(t, s.UserReplies(id, "请尽快"))
	do(t, s, 204, "POST", decide, approve) // the merchant's own action
	pending := s.PendingNotifications()
	require.Len(t, pending, 1)
	require.Equal(t, "USER_RESPONSE", pending[0].Notification.ActionType)
	require.Regexp(t, `^[0-9a-f-]{36}$`, pending[0].Notification.ID)

	// 10 times after 60 s, then every 300 s, for 2 hours.
	var attempts int
	var times []time.Duration
	for at := time.Duration(0); at <= 3*time.Hour; at += 30 * time.Second {
		for _, d := range deliver() {
			attempts++
			require.Equal(t, attempts, d.Attempt)
			require.Equal(t, 500, d.StatusCode)
			require.Equal(t, pending[0].Notification.ID, d.Notification.ID, "a redelivery keeps the id")
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
	do(t, s, 204, "POST", path+"/response", reply)
	status = http.StatusNoContent
	require.Equal(t, "MERCHANT_RESPONSE", deliver()[0].Notification.ActionType)
	require.Empty(t, deliver())

	s.SetNotificationURL("https://example.com/n")
	require.NoError(t, s.UserReplies(id, "请尽快"))
	require.ErrorContains(t, deliver()[0].Err, "wechatpaytest: DeliverDue: https://example.com/n is not on loopback")
}

func TestServer_PendingNotifications(t *testing.T) {
	s := newServer(t)
	s.SetNotificationURL("http://127.0.0.1:1/n")
	s.Configure(func(b *wechatpaytest.Behavior) { b.NotifyOwnActions = true })
	addComplaint(s)
	do(t, s, 204, "POST", path+"/response", reply)
	do(t, s, 204, "POST", decide, reject)
	require.NoError(t, s.UserContinues(id))
	do(t, s, 204, "POST", decide, approve)
	refund := strings.Replace(refundOf("r-1", 100), "{", `{"notify_url":"http://127.0.0.1:1/refund",`, 1)
	do(t, s, 200, "POST", refunds, refund)
	require.NoError(t, s.SettleRefund("r-1", "SUCCESS"))
	require.NoError(t, s.UserContinues(id))
	do(t, s, 204, "POST", path+"/complete", completion)
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

	n := wechatpaytest.Notification{EventType: "REFUND.SUCCESS", OutRefundNo: "r-1"}
	req, err := s.NewNotification(context.Background(), "http://127.0.0.1:1/refund", n)
	require.NoError(t, err)
	var e envelope
	require.NoError(t, json.NewDecoder(req.Body).Decode(&e))
	want := fmt.Sprintf(`{"mchid":"1900000001","transaction_id":"4200001","out_trade_no":"trade-1","refund_id":%q,
		"out_refund_no":"r-1","refund_status":"SUCCESS","success_time":"2026-03-04T12:00:00+08:00",
		"user_received_account":"支付用户零钱",
		"amount":{"total":100,"refund":100,"payer_total":100,"payer_refund":100}}`, s.Refunds()[0].RefundID)
	require.JSONEq(t, want, string(e.Resource.open(t, s.Config().APIv3Key)))
}

func TestBehavior_autoNotify(t *testing.T) {
	s := newServer(t)
	var calls atomic.Int64
	got := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var e envelope
		_ = json.NewDecoder(r.Body).Decode(&e)
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusBadGateway)
		}
		got <- e.ID
	}))
	defer receiver.Close()
	s.SetNotificationURL(receiver.URL)
	s.Configure(func(b *wechatpaytest.Behavior) { b.AutoNotify = true })
	addComplaint(s)
	first := <-got
	attempted := func() bool { return s.PendingNotifications()[0].Attempts == 1 }
	require.Eventually(t, attempted, 5*time.Second, time.Millisecond)
	s.Advance(time.Minute)
	require.Equal(t, first, <-got)
	delivered := func() bool { return len(s.PendingNotifications()) == 0 }
	require.Eventually(t, delivered, 5*time.Second, time.Millisecond)
	s.Close()
}

func TestServer_Close_duringDelivery(t *testing.T) {
	s := newServer(t)
	received, release := make(chan struct{}), make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(received)
		<-release
	}))
	defer receiver.Close()
	defer close(release)
	s.SetNotificationURL(receiver.URL)
	s.Configure(func(b *wechatpaytest.Behavior) { b.AutoNotify = true })
	addComplaint(s)
	<-received
	require.Len(t, s.PendingNotifications(), 1, "pending until the receiver responds")
	require.Empty(t, s.DeliverDue(context.Background()), "already in progress")
	s.Close()
}
