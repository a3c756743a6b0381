package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func TestDoctor_notifyURL_http(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	s := setup{server, server.Config(), settings(t, server.Config())}
	new(live).startPlain(t, s)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }))
	t.Cleanup(receiver.Close)
	en, zh := runDoctor(t, s.env, "-notify-url", receiver.URL)
	require.Equal(t, exitFailed, en.status)
	require.Equal(t, []string{"notification round trip: not checked: WeChat Pay sends notifications to https URLs only"}, lines(en.stdout, "✗"))
	require.Equal(t, []string{"通知收发：未检查：微信支付只向 https URL 发送通知"}, lines(zh.stdout, "✗"))
}

// wechatpay-mock sends a notification on request.
func TestDoctor_notifyURL_localMock(t *testing.T) {
	server := newServer(t)
	client, err := wechatpay.NewClient(server.Config())
	require.NoError(t, err)
	other := server.Config()
	other.APIv3Key = strings.Repeat("x", 32)
	otherClient, err := wechatpay.NewClient(other)
	require.NoError(t, err)
	handle := func(context.Context, *wechatpay.Notification) error { return nil }
	mux := http.NewServeMux()
	mux.Handle("/", server)
	mux.HandleFunc("POST /_mock/notify", func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			URL         string `json:"url"`
			EventType   string `json:"event_type"`
			ComplaintID string `json:"complaint_id"`
			ActionType  string `json:"action_type"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		resp, err := server.Notify(r.Context(), body.URL, wechatpaytest.Notification{
			EventType: body.EventType, ComplaintID: body.ComplaintID, ActionType: body.ActionType,
		})
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": err.Error()})
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"status": resp.StatusCode, "body": ""})
	})
	mock := httptest.NewServer(mux)
	t.Cleanup(mock.Close)
	unknownKey := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }
	broken := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(map[bool]int{true: 500, false: 401}[r.Header.Get("Wechatpay-Signature") != ""])
	}
	for name, test := range map[string]struct {
		receiver http.Handler
		status   int
		en, zh   string
	}{
		"accepts": {client.NotificationHandler(handle), exitDone,
			"✓ notification round trip: * accepted a correctly signed sample (200)",
			"✓ 通知收发：* 接受了签名正确的示例通知（200）"},
		"another key": {http.HandlerFunc(unknownKey), exitFailed,
			"✗ notification round trip: * rejected a correctly signed sample (401): compare its public key and id with the mock's",
			"✗ 通知收发：* 拒绝了签名正确的示例通知（401）：请核对接收方的公钥和公钥ID"},
		"another APIv3 key": {otherClient.NotificationHandler(handle), exitFailed,
			"✗ notification round trip: * could not read a correctly signed sample (400): compare its APIv3 key with the mock's",
			"✗ 通知收发：* 无法解密签名正确的示例通知（400）：请核对接收方的 APIv3密钥"},
		"fails": {http.HandlerFunc(broken), exitFailed,
			"✗ notification round trip: * returned 500 for a correctly signed sample: check its log",
			"✗ 通知收发：* 对签名正确的示例通知应答 500：请查看其日志"},
	} {
		t.Run(name, func(t *testing.T) {
			receiver := httptest.NewServer(test.receiver)
			t.Cleanup(receiver.Close)
			env := settings(t, server.Config())
			env["WECHATPAY_BASE_URL"] = mock.URL
			url := receiver.URL + "/notify"
			en, zh := runDoctor(t, env, "-notify-url", url)
			require.Equal(t, test.status, en.status, en.stdout)
			require.Contains(t, en.stdout, strings.Replace(test.en, "*", url, 1))
			require.Contains(t, zh.stdout, strings.Replace(test.zh, "*", url, 1))
		})
	}

	env := settings(t, server.Config())
	env["WECHATPAY_BASE_URL"] = mock.URL
	closed := closedAddress(t)
	en, _ := runDoctor(t, env, "-notify-url", closed)
	require.Contains(t, en.stdout, "✗ notification URL: "+closed+" cannot be reached from here: connection refused")
	require.Contains(t, en.stdout, "✗ notification round trip: "+closed+" did not receive the notification: ")

	// Without wechatpay-mock, nothing sends it.
	env["WECHATPAY_BASE_URL"] = server.URL
	en, _ = runDoctor(t, env, "-notify-url", closed)
	require.Contains(t, en.stdout, "– notification round trip: not checked: "+server.URL+" is not wechatpay-mock")
}
