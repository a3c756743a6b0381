package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

var doctorHelp = words{`每项检查输出一行：✓ 通过；✗ 有问题，并说明处理办法；– 无法判断或无需处理。doctor 会
调用微信支付的自检接口（不影响任何数据），其余均为只读操作；不作任何改动，不显示密钥。

加上 --notify-url 时，doctor 向该 URL 发送一条未签名的通知，接收方必须拒绝；再请微信支付
发送一条，是否送达请查看接收方的日志。与 --mock 一起使用时，发送的是由内置服务签名的通知，
接收方没有对应的密钥，也必须拒绝。
`, `Each check prints one line: ✓ passed, ✗ a problem and how to fix it, – cannot be
checked or needs no action. doctor calls WeChat Pay's self-test, which changes
nothing, and otherwise only reads. It shows no secrets.

With --notify-url it sends an unsigned notification to the URL, which the receiver
must reject, and asks WeChat Pay to send one: check the receiver's log for it. With
--mock it sends one signed by the embedded server, whose key the receiver does not
have; the receiver must reject it too.
`}

// examination is one run of doctor.
type examination struct {
	language
	out         io.Writer
	outErr      error  // first error of out
	secret      string // removed from all lines
	now         func() time.Time
	interrupted func() bool
	cfg         wechatpay.Config
	client      *wechatpay.Client
	transport   *http.Transport
	invalidURLs map[string]bool // by field of Config
	clockKnown  bool            // a response had a Date header
	clockWrong  bool
	failed      bool
}

func (d *examination) line(sign string, name, text words, args []any) {
	line := d.of(name) + d.of(words{"：", ": "}) + clean(d.of(text, args...))
	if len(d.secret) >= 8 {
		line = strings.ReplaceAll(line, d.secret, "…")
	}
	_, err := fmt.Fprintln(d.out, sign, line)
	d.outErr = cmp.Or(d.outErr, err)
}

func (d *examination) ok(name, text words, args ...any)   { d.line("✓", name, text, args) }
func (d *examination) note(name, text words, args ...any) { d.line("–", name, text, args) }

// wrong reports a problem. It does nothing after an interrupt, which makes calls
// fail.
func (d *examination) wrong(name, text words, args ...any) {
	if d.interrupted() {
		return
	}
	d.failed = true
	d.line("✗", name, text, args)
}

func doctor(a *app, flags *flag.FlagSet) func(context.Context) error {
	notifyURL := flags.String("notify-url", "", a.of(words{
		"同时检查该通知接收 `URL`",
		"also check this `URL` as a receiver of notifications"}))
	return func(ctx context.Context) error {
		d := &examination{
			language:    a.language,
			out:         a.stdout,
			now:         time.Now,
			interrupted: func() bool { return ctx.Err() != nil },
			transport:   wechatpay.NewTransport(),
			invalidURLs: map[string]bool{},
		}
		defer d.transport.CloseIdleConnections()
		var server *wechatpaytest.Server
		var unreadable map[string]string
		if a.mock {
			server = newMock()
			defer server.Close()
			d.cfg = server.Config()
		} else {
			cfg, err := wechatpay.ConfigFromEnv()
			d.cfg, unreadable = cfg, faultsByField(err)
		}
		d.cfg.Transport, d.cfg.Logger = d.transport, a.logger()
		// Calls may well fail here: retry only once.
		d.cfg.Retry = wechatpay.RetryPolicy{MaxAttempts: 2, AttemptTimeout: 10 * time.Second}
		d.client = d.checkSettings(d.cfg, unreadable)
		d.checkService(ctx, server, *notifyURL)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return d.conclude()
	}
}

// checkService runs the checks that send requests.
func (d *examination) checkService(ctx context.Context, server *wechatpaytest.Server, notifyURL string) {
	reachable := d.checkHosts(ctx, d.cfg)
	name := words{"签名自检和投诉接口", "self-test and complaint API"}
	switch {
	case ctx.Err() != nil:
		return
	case d.client == nil:
		d.note(name, words{"未检查：请先修正以上配置", "not checked: fix the settings above first"})
	case !reachable:
		d.note(name, words{"未检查：服务无法连接", "not checked: no host can be reached"})
	default:
		d.checkEcho(ctx)
		if d.checkRead(ctx) {
			d.checkCertificates(ctx, d.cfg)
		}
	}
	if ctx.Err() == nil {
		d.checkNotifications(ctx, server, notifyURL, reachable)
	}
}

// conclude prints the result.
func (d *examination) conclude() error {
	result := words{"未发现问题。", "No problems found."}
	if d.failed {
		result = words{"发现问题：见标有 ✗ 的行。", "Problems found: see the lines marked ✗."}
	}
	_, err := fmt.Fprintln(d.out, d.of(result))
	switch err = cmp.Or(d.outErr, err); {
	case err != nil:
		return err
	case d.failed:
		return errProblemsFound
	}
	return nil
}

// checkHosts sends an unsigned request to both hosts. Any response shows that a
// host is reachable, and its Date header is compared with the clock. It reports
// whether a host is reachable.
func (d *examination) checkHosts(ctx context.Context, cfg wechatpay.Config) (reachable bool) {
	main := cmp.Or(strings.TrimSuffix(cfg.BaseURL, "/"), wechatpay.DefaultBaseURL)
	backup := strings.TrimSuffix(cfg.BackupURL, "/")
	if main == wechatpay.DefaultBaseURL {
		backup = cmp.Or(backup, wechatpay.DefaultBackupURL)
	}
	for _, host := range []struct {
		name  words
		field string
		url   string
	}{{words{"主域名", "main host"}, "BaseURL", main}, {words{"备用域名", "backup host"}, "BackupURL", backup}} {
		switch {
		case d.invalidURLs[host.field]: // do not print it, it may contain a password
			d.note(host.name, words{"未检查：地址无效", "not checked: its URL is invalid"})
			continue
		case host.url == "":
			d.note(host.name, words{"未设置", "not set"})
			continue
		}
		took, date, err := d.probe(ctx, host.url)
		switch {
		case ctx.Err() != nil:
			return false
		case err != nil:
			why := d.of(whyUnreachable(err))
			d.wrong(host.name, words{"%s 无法连接：%s（%v）", "%s cannot be reached: %s (%v)"}, host.url, why, err)
			continue
		}
		reachable = true
		d.ok(host.name, words{"%s 可连通，%d 毫秒", "%s is reachable, %d ms"}, host.url, took.Milliseconds())
		if !date.IsZero() && !d.clockKnown {
			d.clockKnown = true
			d.checkClock(d.now().Add(-took / 2).Sub(date.Add(500 * time.Millisecond)))
		}
	}
	if !d.clockKnown {
		d.note(words{"本机时钟", "clock"}, words{"未检查：应答没有 Date 头", "not checked: no response had a Date header"})
	}
	return reachable
}

func (d *examination) probe(ctx context.Context, url string) (took time.Duration, date time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/", nil)
	if err != nil {
		return 0, date, errors.New("not a URL")
	}
	req.Header.Set("User-Agent", "wechatpay-complaints/"+wechatpay.Version)
	start := time.Now()
	resp, err := d.transport.RoundTrip(req) // does not follow redirects
	if err != nil {
		return 0, date, err
	}
	resp.Body.Close()
	date, _ = http.ParseTime(resp.Header.Get("Date"))
	return time.Since(start), date, nil
}

func whyUnreachable(err error) words {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.As(err, &dns):
		return words{"域名解析失败，请检查 DNS", "its name cannot be resolved, check the DNS"}
	case errors.As(err, &certificate):
		return words{"TLS 证书不受信任，请检查系统根证书和代理", "its TLS certificate is not trusted, check the system's root certificates and proxies"}
	case errors.As(err, &timeout) && timeout.Timeout():
		return words{"连接超时，请检查防火墙和代理（HTTPS_PROXY）", "timed out, check firewall and proxy (HTTPS_PROXY)"}
	}
	return words{"请检查网络、防火墙和代理（HTTPS_PROXY）", "check network, firewall and proxy (HTTPS_PROXY)"}
}

// checkClock checks skew, the local clock minus the server's.
func (d *examination) checkClock(skew time.Duration) {
	name := words{"本机时钟", "clock"}
	direction := words{"快", "ahead of"}
	if skew < 0 {
		direction = words{"慢", "behind"}
	}
	off := max(skew.Abs().Round(time.Second), time.Second) // the header has whole seconds
	switch {
	case off >= 300*time.Second:
		d.clockWrong = true
		d.wrong(name, words{
			"比服务器%s %v，达到 5 分钟时请求会被拒绝，应答无法验签：请用 NTP 校时",
			"%s the server by %v: from 5 minutes on, requests are rejected and responses cannot be verified; use NTP"}, d.of(direction), off)
	case off > 60*time.Second:
		d.note(name, words{
			"比服务器%s %v，达到 5 分钟时请求会被拒绝：请用 NTP 校时",
			"%s the server by %v: from 5 minutes on, requests are rejected; use NTP"}, d.of(direction), off)
	default:
		d.ok(name, words{"与服务器相差不到 %v", "within %v of the server"}, off+time.Second)
	}
}

const echoMessage = "wechatpay-complaints doctor"

// checkEcho calls the self-test, without encryption first, so that a problem with
// signatures and one with encryption are distinguished.
func (d *examination) checkEcho(ctx context.Context) {
	name := words{"签名自检", "signature self-test"}
	resp, err := d.client.Echo(ctx, &wechatpay.EchoRequest{EchoMessage: echoMessage})
	switch {
	case selfTestUnavailable(err):
		d.note(name, words{
			"该商户可能未开通自检接口，不代表密钥有问题，以下方的查询结果为准（%v）",
			"this merchant may not have the self-test; the next check shows whether the keys are right (%v)"}, err)
		return
	case err != nil:
		d.wrongCall(name, err)
		return
	case resp.EchoMessage != echoMessage:
		d.wrong(name, words{"应答验签通过，但内容与发送的不一致", "the response is signed but does not repeat the message"})
		return
	}
	d.ok(name, words{"请求签名被接受，应答验签通过", "the request was accepted and the response verified"})

	name = words{"加密自检", "encryption self-test"}
	resp, err = d.client.Echo(ctx, &wechatpay.EchoRequest{EchoMessage: echoMessage, EncryptedEchoMessage: "doctor"})
	switch {
	case err != nil:
		d.wrongCall(name, err)
	case resp.EncryptedEchoMessage == "":
		d.note(name, words{
			"微信支付解密成功，但应答中没有密文，未验证本机解密",
			"WeChat Pay decrypted the message; its response is not encrypted, so decryption was not checked"})
	case resp.EncryptedEchoMessage != "doctor":
		d.wrong(name, words{"解密后的内容与发送的不一致", "the decrypted response does not repeat the message"})
	default:
		d.ok(name, words{"加密和解密成功", "encryption and decryption succeeded"})
	}
}

// selfTestUnavailable reports whether err means that the merchant does not have
// the self-test.
func selfTestUnavailable(err error) bool {
	var apiError *wechatpay.APIError
	return errors.As(err, &apiError) &&
		(apiError.StatusCode == http.StatusForbidden || apiError.StatusCode == http.StatusNotFound)
}

// checkRead lists the complaints of today. It reports whether that succeeded.
func (d *examination) checkRead(ctx context.Context) bool {
	name := words{"查询投诉单列表", "list of complaints"}
	today := d.now()
	page, err := d.client.ComplaintsV2.List(ctx, &wechatpay.ListComplaintsRequest{BeginDate: today, EndDate: today, Limit: 1})
	if err != nil {
		d.wrongCall(name, err)
		return false
	}
	d.ok(name, words{"今天有 %d 笔投诉单", "%d filed today"}, page.TotalCount)
	return true
}

// checkCertificates checks that the APIv3 key decrypts the platform certificates.
func (d *examination) checkCertificates(ctx context.Context, cfg wechatpay.Config) {
	if cfg.APIv3Key == "" {
		return
	}
	name := words{"APIv3密钥解密验证", "APIv3 key decryption"}
	var resp struct {
		Data []struct {
			EncryptCertificate encrypted `json:"encrypt_certificate"`
		}
	}
	err := d.client.Do(ctx, http.MethodGet, "/v3/certificates", nil, &resp)
	var apiError *wechatpay.APIError
	switch {
	case errors.As(err, &apiError) && apiError.StatusCode == http.StatusNotFound, err == nil && len(resp.Data) == 0:
		d.note(name, words{
			"未检查：该商户没有平台证书，以能否解密第一条回调通知为准",
			"not checked: this merchant has no platform certificate; the first notification will show"})
	case err != nil:
		d.wrongCall(name, err)
	case resp.Data[0].EncryptCertificate.decrypt(cfg.APIv3Key) != nil:
		d.wrong(name, words{
			"平台证书解密失败：WECHATPAY_APIV3_KEY 与 " + whereSecurity + " 中当前的密钥不一致，回调通知也无法解密；如已遗忘，请重新设置",
			"cannot decrypt the platform certificates: WECHATPAY_APIV3_KEY is not the key set in the merchant platform under API安全, and notifications cannot be decrypted either; if it is lost, set a new one"})
	default:
		d.ok(name, words{"平台证书解密成功", "decrypted the platform certificates"})
	}
}

// encrypted is AES-256-GCM ciphertext in the form of WeChat Pay.
type encrypted struct {
	Nonce          string
	AssociatedData string `json:"associated_data"`
	Ciphertext     []byte
}

func (e *encrypted) decrypt(key string) error {
	block, err := aes.NewCipher([]byte(key))
	if err != nil {
		return err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return err
	}
	if len(e.Nonce) != aead.NonceSize() {
		return fmt.Errorf("nonce of %d bytes", len(e.Nonce))
	}
	_, err = aead.Open(nil, []byte(e.Nonce), e.Ciphertext, []byte(e.AssociatedData))
	return err
}

// wrongCall reports the error of a call, with its meaning and the remedy.
func (d *examination) wrongCall(name words, err error) {
	var apiError *wechatpay.APIError
	var unverified *wechatpay.VerificationError
	meaning := words{"请求失败", "failed"}
	switch {
	case errors.As(err, &unverified) && unverified.Reason == wechatpay.VerificationReasonProbe:
		d.note(name, words{
			"微信支付以错误的签名测试验签，SDK 已正确拒绝：请再次运行 doctor",
			"WeChat Pay sent a wrong signature as a test, and it was rejected as it should be: run doctor again"})
		return
	case errors.As(err, &unverified):
		meaning = d.whyNotVerified(unverified)
	case errors.As(err, &apiError):
		meaning = d.whyRejected(apiError)
	}
	d.wrong(name, words{"%s（%v）", "%s (%v)"}, d.of(meaning), err)
}

func (d *examination) whyRejected(err *wechatpay.APIError) words {
	switch {
	case err.StatusCode == http.StatusUnauthorized && d.clockWrong:
		return words{"请求签名被拒绝：请先校正本机时钟", "the request signature was rejected: set the clock first"}
	case err.StatusCode == http.StatusUnauthorized && isAboutTime(err):
		return words{
			"请求签名因时间被拒绝：请用 NTP 校正本机时钟",
			"the request signature was rejected because of its time: set this machine's clock with NTP"}
	case err.StatusCode == http.StatusUnauthorized && !d.clockKnown:
		return words{
			"请求签名被拒绝：商户号、证书序列号与私钥不匹配，或证书已作废，或本机时钟（未能检查）偏差超过 5 分钟；请到 " + whereSecurity + " → 商户API证书 核对序列号，并用 NTP 校时",
			"the request signature was rejected: merchant number, serial number and private key do not match, or the certificate is revoked, or this machine's clock (not checked) is off by more than 5 minutes; compare the serial number in the merchant platform under API安全 → 商户API证书, and set the clock with NTP"}
	case err.StatusCode == http.StatusUnauthorized:
		return words{
			"请求签名被拒绝：商户号、证书序列号与私钥不匹配，或证书已作废；请到 " + whereSecurity + " → 商户API证书 核对序列号",
			"the request signature was rejected: merchant number, serial number and private key do not match, or the certificate is revoked; compare the serial number in the merchant platform under API安全 → 商户API证书"}
	case err.StatusCode == http.StatusForbidden:
		return words{"没有权限：请在商户平台确认已开通", "no permission: check in the merchant platform that it is granted"}
	case err.StatusCode == http.StatusTooManyRequests:
		return words{"请求过于频繁：请一分钟后重试", "too many requests: try again in a minute"}
	case err.StatusCode >= 500:
		return words{"服务异常：请稍后重试", "the service failed: try again later"}
	case strings.Contains(string(err.Detail), "Wechatpay-Serial"):
		return words{
			"微信支付无法识别该公钥ID：请按 " + wherePublic + " 填写 WECHATPAY_PUBLIC_KEY_ID",
			"WeChat Pay does not know the public key id: set WECHATPAY_PUBLIC_KEY_ID as in the merchant platform under API安全 → 微信支付公钥"}
	case strings.Contains(string(err.Detail), "encrypted_echo_message"):
		return words{
			"微信支付解密失败：WECHATPAY_PUBLIC_KEY 与公钥ID不匹配，请到 " + wherePublic + " 重新下载 pub_key.pem",
			"WeChat Pay cannot decrypt the message: WECHATPAY_PUBLIC_KEY does not match its id; download pub_key.pem again"}
	}
	return words{"请求被拒绝", "rejected"}
}

// isAboutTime reports whether the detail of a rejected signature names the
// timestamp. It ignores the string to sign in the detail, which may contain any
// word.
func isAboutTime(err *wechatpay.APIError) bool {
	var detail struct {
		Field string
		Issue any
	}
	_ = json.Unmarshal(err.Detail, &detail) // it may have any form
	for _, word := range []string{"timestamp", "时间"} {
		if strings.Contains(strings.ToLower(fmt.Sprint(detail.Field, " ", detail.Issue)), word) {
			return true
		}
	}
	return false
}

func (d *examination) whyNotVerified(err *wechatpay.VerificationError) words {
	isPublicKey := strings.HasPrefix(err.SerialNo, "PUB_KEY_ID_")
	switch err.Reason {
	case wechatpay.VerificationReasonTimestamp:
		return words{
			"应答时间与本机时钟相差 5 分钟以上：请用 NTP 校时",
			"the response's time differs from this machine's clock by more than 5 minutes: set the clock with NTP"}
	case wechatpay.VerificationReasonUnknownSerial:
		return d.whyUnknownSerial(err, isPublicKey)
	case wechatpay.VerificationReasonCertificateNotValid:
		return words{
			"按本机时钟，平台证书不在有效期内：请核对本机日期并用 NTP 校时",
			"the platform certificate is not valid by this machine's clock: check the date, and set the clock with NTP"}
	case wechatpay.VerificationReasonSignatureMismatch:
		if d.cfg.PublicKey != nil && isPublicKey {
			return words{
				"应答验签失败：WECHATPAY_PUBLIC_KEY 与公钥ID不匹配（请到 " + wherePublic + " 重新下载 pub_key.pem），或应答被代理修改",
				"signature verification failed: WECHATPAY_PUBLIC_KEY does not match its id (download pub_key.pem again), or a proxy changed the response"}
		}
		return words{
			"应答验签失败：应答被代理修改，或并非来自微信支付；请检查代理和 WECHATPAY_BASE_URL",
			"signature verification failed: a proxy changed the response, or it is not from WeChat Pay; check proxies and WECHATPAY_BASE_URL"}
	case wechatpay.VerificationReasonUnsigned:
		return words{
			"应答没有签名，并非来自微信支付：请检查代理和 WECHATPAY_BASE_URL",
			"the response is not signed, so it is not from WeChat Pay: check proxies and WECHATPAY_BASE_URL"}
	}
	return words{"应答验签失败", "signature verification failed"}
}

func (d *examination) whyUnknownSerial(err *wechatpay.VerificationError, isPublicKey bool) words {
	switch {
	case isPublicKey && d.cfg.PublicKeyID == "":
		return words{
			"微信支付使用公钥签名，但未设置公钥：请到 " + wherePublic + " 下载 pub_key.pem，并设置 WECHATPAY_PUBLIC_KEY_FILE 和 WECHATPAY_PUBLIC_KEY_ID",
			"WeChat Pay signs with its public key, which is not set: download pub_key.pem in the merchant platform under API安全 → 微信支付公钥, and set WECHATPAY_PUBLIC_KEY_FILE and WECHATPAY_PUBLIC_KEY_ID"}
	case isPublicKey:
		return words{
			"微信支付使用的公钥ID与 WECHATPAY_PUBLIC_KEY_ID 不一致：请到 " + wherePublic + " 核对公钥ID和 pub_key.pem",
			"WeChat Pay signs with another public key id than WECHATPAY_PUBLIC_KEY_ID: compare the id and pub_key.pem with the merchant platform under API安全 → 微信支付公钥"}
	case d.cfg.APIv3Key == "":
		return words{
			"微信支付使用平台证书签名：请设置 WECHATPAY_APIV3_KEY，SDK 将下载平台证书",
			"WeChat Pay signs with a platform certificate: set WECHATPAY_APIV3_KEY, and the SDK downloads it"}
	case err.Err != nil:
		return words{
			"微信支付使用平台证书签名，但平台证书下载失败，原因见括号；若为解密失败，则 WECHATPAY_APIV3_KEY 不正确",
			"WeChat Pay signs with a platform certificate, but the download failed for the reason in parentheses; if that is decryption, WECHATPAY_APIV3_KEY is wrong"}
	}
	return words{
		"已下载的平台证书中没有该序列号：请稍后重试；如仍失败，请检查代理和 WECHATPAY_BASE_URL",
		"no downloaded platform certificate has this serial number: try again later; if it persists, check proxies and WECHATPAY_BASE_URL"}
}

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
	default:
		_, err := d.client.Echo(ctx, &wechatpay.EchoRequest{EchoMessage: echoMessage, NotifyURL: url})
		switch {
		case selfTestUnavailable(err):
			d.note(name, words{
				"未检查：该商户可能未开通自检接口，无法请微信支付发送通知",
				"not checked: this merchant may not have the self-test, which sends the notification"})
		case err != nil:
			d.wrongCall(name, err)
		default:
			d.note(name, words{
				"已请微信支付向 %s 发送一条通知：请查看接收方的日志，几分钟内应有一条验签通过的请求",
				"WeChat Pay was asked to send a notification to %s: within minutes, the receiver's log should show one with a valid signature"}, url)
		}
	}
}

// checkRejectsUnknownKey sends a notification signed by the embedded server,
// whose key a receiver does not have.
func (d *examination) checkRejectsUnknownKey(ctx context.Context, server *wechatpaytest.Server, name words, url string) {
	resp, err := server.Notify(ctx, url, sampleNotification)
	if err != nil {
		d.wrong(name, words{"%s 未收到通知：%v", "%s did not receive the notification: %v"}, url, err)
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
		d.wrong(name, words{"%v", "%v"}, err)
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
	resp, err := d.transport.RoundTrip(req)
	if err != nil {
		d.wrong(name, words{"%s 从本机无法连接：%s（%v）", "%s cannot be reached from here: %s (%v)"}, url, d.of(whyUnreachable(err)), err)
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
