package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// The doctor's checks of a receiver of notifications.

// checkNotifications checks the receiver at url, if any. With the embedded server
// it checks the SDK's own handler too.
func (d *examination) checkNotifications(ctx context.Context, server *wechatpaytest.Server, url string, reachable bool) {
	if server != nil && d.client != nil {
		d.checkOwnReceiver(ctx, server)
	}
	if url == "" {
		return
	}
	d.checkRejectsUnsigned(ctx, url)
	name := words{"通知收发", "notification round trip"}
	switch {
	case server != nil:
		d.checkRejectsUnknownKey(ctx, server, name, url)
	case d.client == nil || !reachable:
		d.note(name, words{"未检查：请先解决以上问题", "not checked: fix the problems above first"})
	case d.isLocalMock() && d.checkMockNotification(ctx, name, url):
	case d.isLocalMock() && !strings.HasPrefix(url, "https://"):
		d.note(name, words{
			"未检查：%s 不是 wechatpay-mock，无法发送通知",
			"not checked: %s is not wechatpay-mock, which could send a notification"}, d.host)
	case !strings.HasPrefix(url, "https://"):
		d.wrong(name, words{
			"未检查：微信支付只向 https URL 发送通知",
			"not checked: WeChat Pay sends notifications to https URLs only"})
	default:
		d.requestNotification(ctx, name, url)
	}
}

// requestNotification asks WeChat Pay to send a notification to url.
func (d *examination) requestNotification(ctx context.Context, name words, url string) {
	_, err := d.client.Echo(ctx, &wechatpay.EchoRequest{EchoMessage: echoMessage, NotifyURL: url})
	var invalid *wechatpay.ArgumentError
	switch {
	case selfTestUnavailable(err):
		d.note(name, words{
			"未检查：该商户可能未开通自检接口，无法请微信支付发送通知",
			"not checked: this merchant may not have the self-test, which sends the notification"})
		d.details(err)
	case errors.As(err, &invalid):
		d.wrongBecause(name, found(words{"URL 不符合要求：%s", "the URL is not allowed: %s"}, invalid.Faults[0].Problem), err)
	case err != nil:
		d.wrongCall(name, err)
	default:
		d.note(name, words{
			"已请微信支付发送一条通知：请查看接收方的日志，几分钟内应有一条验签通过的请求",
			"WeChat Pay was asked to send a notification: within minutes, the receiver's log should show one that verifies"})
	}
}

// isLocalMock reports whether the service is a mock server on this machine.
func (d *examination) isLocalMock() bool {
	u, err := url.Parse(d.cfg.BaseURL)
	if err != nil || d.cfg.BaseURL == "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// checkMockNotification makes wechatpay-mock send a correctly signed notification,
// which the receiver must accept. It reports whether the service is wechatpay-mock.
func (d *examination) checkMockNotification(ctx context.Context, name words, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	status, isMock, err := d.mockNotify(ctx, url)
	switch {
	case !isMock:
		d.details(err)
		return false
	case err != nil:
		d.wrong(name, words{"%s 未收到通知：%s", "%s did not receive the notification: %s"}, url, brief(err))
		d.details(err)
	case status >= 200 && status < 300:
		d.ok(name, words{
			"%s 接受了签名正确的示例通知（%d）",
			"%s accepted a correctly signed sample (%d)"}, url, status)
	case status == http.StatusUnauthorized:
		d.wrong(name, words{
			"%s 拒绝了签名正确的示例通知（401）：请核对接收方的公钥和公钥ID",
			"%s rejected a correctly signed sample (401): compare its public key and id with the mock's"}, url)
	case status == http.StatusBadRequest:
		d.wrong(name, words{
			"%s 无法解密签名正确的示例通知（400）：请核对接收方的 APIv3密钥",
			"%s could not read a correctly signed sample (400): compare its APIv3 key with the mock's"}, url)
	default:
		d.wrong(name, words{
			"%s 对签名正确的示例通知应答 %d：请查看其日志",
			"%s returned %d for a correctly signed sample: check its log"}, url, status)
	}
	return true
}

// mockNotify calls POST /_mock/notify of wechatpay-mock. It returns the status of
// the receiver. isMock is false if the service is something else.
func (d *examination) mockNotify(ctx context.Context, url string) (status int, isMock bool, err error) {
	body, err := json.Marshal(map[string]string{
		"url":          url,
		"event_type":   sampleNotification.EventType,
		"complaint_id": sampleNotification.ComplaintID,
		"action_type":  sampleNotification.ActionType,
	})
	if err != nil {
		return 0, false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.host+"/_mock/notify", bytes.NewReader(body))
	if err != nil {
		return 0, false, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := d.transport.RoundTrip(req)
	if err != nil {
		return 0, false, err
	}
	defer resp.Body.Close()
	var result struct {
		Status int
		Error  string
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&result)
	switch {
	case err == nil && result.Error != "":
		return 0, true, errors.New(result.Error)
	case err == nil && resp.StatusCode == http.StatusOK:
		return result.Status, true, nil
	}
	return 0, false, errors.New("POST /_mock/notify: " + resp.Status)
}

// checkRejectsUnknownKey sends a notification signed by the embedded server,
// whose key a receiver does not have.
func (d *examination) checkRejectsUnknownKey(ctx context.Context, server *wechatpaytest.Server, name words, url string) {
	resp, err := server.Notify(ctx, url, sampleNotification)
	if err != nil {
		d.wrong(name, words{"%s 未收到通知：%s", "%s did not receive the notification: %s"}, url, brief(err))
		d.details(err)
		return
	}
	switch code := resp.StatusCode; reactionOf(code) {
	case accepted:
		d.wrong(name, words{
			"%s 接受了以未知密钥签名的通知（%d）：未验签，任何人都可伪造通知",
			"%s accepted a notification signed with an unknown key (%d): it does not verify, so anyone can forge one"}, url, code)
	case rejected:
		d.ok(name, words{
			"%s 已收到通知，并正确拒绝了未知密钥的签名（%d）",
			"%s received it and rejected the unknown key, as it should (%d)"}, url, code)
	default:
		d.note(name, words{
			"%s 应答 %d，无法判断是否验签",
			"%s returned %d, which does not show whether it verifies"}, url, code)
	}
}

// reaction is how a receiver responds to a notification that is not from WeChat
// Pay.
type reaction int

const (
	unclear  reaction = iota
	accepted          // it does not verify signatures
	rejected          // as it should
)

func reactionOf(status int) reaction {
	switch {
	case status >= 200 && status < 300:
		return accepted
	case status == http.StatusBadRequest || status == http.StatusUnauthorized || status == http.StatusForbidden:
		return rejected
	}
	return unclear
}

var sampleNotification = wechatpaytest.Notification{
	EventType:   string(wechatpay.EventComplaintCreate),
	ComplaintID: "200201820200101080076610000",
	ActionType:  string(wechatpay.NotificationActionTypeCreateComplaint),
}

// checkOwnReceiver sends a notification from the embedded server to the SDK's
// handler.
func (d *examination) checkOwnReceiver(ctx context.Context, server *wechatpaytest.Server) {
	name := words{"通知收发（内置服务）", "notification round trip (embedded)"}
	received := make(chan string, 1)
	receiver := httptest.NewServer(d.client.NotificationHandler(func(_ context.Context, n *wechatpay.Notification) error {
		received <- n.ComplaintID
		return nil
	}))
	defer receiver.Close()
	resp, err := server.Notify(ctx, receiver.URL, sampleNotification)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	if err != nil {
		d.wrong(name, words{"%s", "%s"}, brief(err))
		d.details(err)
		return
	}
	d.ok(name, words{"验签通过，解密成功，投诉单 %s", "verified and decrypted, complaint %s"}, <-received)
}

// checkRejectsUnsigned sends an unsigned notification, which a receiver must
// reject.
func (d *examination) checkRejectsUnsigned(ctx context.Context, url string) {
	name := words{"通知接收地址", "notification URL"}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second) // as long as WeChat Pay waits
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader([]byte("{}")))
	if err != nil || req.URL.Host == "" {
		d.wrong(name, words{"不是有效的 URL", "not a valid URL"})
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "wechatpay-complaints/"+wechatpay.Version)
	transport := wechatpay.NewTransport() // not through a relay
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		why := d.whyUnreachable(err, req.URL.Hostname())
		d.wrong(name, words{"%s 从本机无法连接：%s", "%s cannot be reached from here: %s"}, url, d.of(why.words, why.args...))
		d.details(err)
		return
	}
	resp.Body.Close()
	switch code, reaction := resp.StatusCode, reactionOf(resp.StatusCode); {
	case reaction == accepted:
		d.wrong(name, words{
			"%s 接受了未签名的请求（%d）：未验签，任何人都可伪造通知",
			"%s accepted an unsigned request (%d): it does not verify, so anyone can forge a notification"}, url, code)
	case reaction == rejected:
		d.ok(name, words{
			"%s 从本机可连通，并正确拒绝了未签名的请求（%d）",
			"%s can be reached from here and rejects unsigned requests, as it should (%d)"}, url, code)
	case code < 400:
		d.wrong(name, words{"%s 返回重定向（%d），微信支付不会跟随", "%s redirects (%d), which WeChat Pay does not follow"}, url, code)
	case code < 500:
		d.wrong(name, words{"%s 应答 %d：请检查路径，并确认接受 POST", "%s returned %d: check the path, and that it accepts POST"}, url, code)
	default:
		d.wrong(name, words{"%s 应答 %d：请查看其日志", "%s returned %d: check its log"}, url, code)
	}
}
