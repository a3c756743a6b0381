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
	"os"
	"strings"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

var doctorHelp = words{`每项检查一行：✓ 没问题；✗ 有问题，并说明怎么办；– 无法判断，或不需要。会调用
微信支付的自检接口（不影响任何数据），其余只读；不改动任何东西，也不显示密钥。

加上 -notify-url，会向这个 URL 发一条没有签名的通知，接收方必须拒绝；再请微信支付
发一条，到没到只有接收方知道。和 -mock 一起用时，发的是用内置服务的密钥签名的通知，
接收方不可能认识这个密钥，也必须拒绝。
`, `One line for each check: ✓ it holds, ✗ it does not, and what to do, – what cannot
be told or need not be. It calls WeChat Pay's self-test, which touches nothing,
and reads; it changes nothing, and shows no secret.

With -notify-url it sends the URL a notification that nobody signed, which the
receiver must refuse, and asks WeChat Pay to send one. Whether that arrived only
the receiver can tell. With -mock it sends one that is signed by the embedded
server's keys, which no receiver can know: it must be refused too.
`}

// examination is one run of the doctor.
type examination struct {
	language
	out         io.Writer
	outErr      error             // the first of writing to it
	environment map[string]string // as it was at the beginning
	secret      string            // what no line may show, wherever it was put by mistake
	now         func() time.Time
	interrupted func() bool
	cfg         wechatpay.Config
	client      *wechatpay.Client
	transport   *http.Transport
	addresses   map[string]bool // BaseURL and BackupURL, where one is wrong
	clockKnown  bool            // the service's Date was seen
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

// wrong says nothing once the doctor is interrupted: what fails then, fails for
// that.
func (d *examination) wrong(name, text words, args ...any) {
	if d.interrupted() {
		return
	}
	d.failed = true
	d.line("✗", name, text, args)
}

func doctor(a *app, flags *flag.FlagSet) func(context.Context) error {
	notifyURL := flags.String("notify-url", "", a.of(words{
		"另外把这个 `URL` 当作通知接收方来检查",
		"also check this `URL` as a receiver of notifications"}))
	return func(ctx context.Context) error {
		d := &examination{
			language: a.language, out: a.stdout, environment: environment(), now: time.Now,
			interrupted: func() bool { return ctx.Err() != nil },
			transport:   wechatpay.NewTransport(), addresses: map[string]bool{},
		}
		defer d.transport.CloseIdleConnections()
		var server *wechatpaytest.Server
		var unreadable map[string]string
		if a.mock {
			server = newMock()
			defer server.Close()
			d.cfg = server.Config()
		} else {
			var err error
			if d.cfg, unreadable, err = readSettings(); err != nil {
				return err
			}
		}
		d.cfg.Transport, d.cfg.Logger = d.transport, a.logger()
		// A doctor is asked because calls fail: one repetition is enough.
		d.cfg.Retry = wechatpay.RetryPolicy{MaxAttempts: 2, AttemptTimeout: 10 * time.Second}
		d.client = d.checkSettings(d.cfg, unreadable)
		reachable := d.checkHosts(ctx, d.cfg)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case d.client == nil:
			d.note(words{"签名自检和投诉接口", "self-test and complaint API"}, words{"没有检查：先改正上面的设置", "not checked: mend the settings above first"})
		case !reachable:
			d.note(words{"签名自检和投诉接口", "self-test and complaint API"}, words{"没有检查：连不上服务", "not checked: no host can be reached"})
		default:
			d.checkEcho(ctx)
			if d.checkRead(ctx) {
				d.checkCertificates(ctx, d.cfg)
			}
		}
		if ctx.Err() == nil {
			d.checkNotifications(ctx, server, *notifyURL, reachable)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		result := words{"没有发现问题。", "Nothing is wrong."}
		if d.failed {
			result = words{"有问题：见 ✗ 各行。", "Something is wrong: see the lines with ✗."}
		}
		_, err := fmt.Fprintln(a.stdout, a.of(result))
		switch err = cmp.Or(d.outErr, err); {
		case err != nil:
			return err
		case d.failed:
			return errFound
		}
		return nil
	}
}

func environment() map[string]string {
	all := map[string]string{}
	for _, setting := range os.Environ() {
		if name, value, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "WECHATPAY_") {
			all[name] = strings.TrimSpace(value)
		}
	}
	return all
}

// checkHosts asks both hosts for anything, unsigned: an answer of any status
// proves that it can be reached, and tells its time. It says whether one can be
// reached.
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
		case d.addresses[host.field]: // which may hold a password: it is not shown
			d.note(host.name, words{"没有检查：地址写得不对", "not checked: its address is wrong"})
			continue
		case host.url == "":
			d.note(host.name, words{"没有设置", "none is set"})
			continue
		}
		took, date, err := d.probe(ctx, host.url)
		switch {
		case ctx.Err() != nil: // interrupted, which says nothing about the host
			return false
		case err != nil:
			why := d.of(whyUnreachable(err))
			d.wrong(host.name, words{"%s 连不上，%s（%v）", "%s cannot be reached: %s (%v)"}, host.url, why, err)
			continue
		}
		reachable = true
		d.ok(host.name, words{"%s 连得上，%d 毫秒", "%s answers, in %d ms"}, host.url, took.Milliseconds())
		if !date.IsZero() && !d.clockKnown {
			d.clockKnown = true
			d.checkClock(d.now().Add(-took / 2).Sub(date.Add(500 * time.Millisecond)))
		}
	}
	if !d.clockKnown {
		d.note(words{"本机时钟", "clock"}, words{"没有检查：没有应答带 Date 头", "not checked: no answer had a Date header"})
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
	began := time.Now()
	resp, err := d.transport.RoundTrip(req) // which follows no redirect
	if err != nil {
		return 0, date, err
	}
	resp.Body.Close()
	date, _ = http.ParseTime(resp.Header.Get("Date"))
	return time.Since(began), date, nil
}

func whyUnreachable(err error) words {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var timeout net.Error
	switch {
	case errors.As(err, &dns):
		return words{"域名解析失败：检查 DNS", "its name is not resolved: look at the DNS"}
	case errors.As(err, &certificate):
		return words{"TLS 证书不可信：检查系统根证书，以及中间有没有代理", "its TLS certificate is not trusted: look at the system's root certificates, and whether a proxy is on the way"}
	case errors.As(err, &timeout) && timeout.Timeout():
		return words{"超时：检查防火墙和代理（HTTPS_PROXY）", "time ran out: look at firewall and proxy (HTTPS_PROXY)"}
	}
	return words{"检查网络、防火墙和代理（HTTPS_PROXY）", "look at network, firewall and proxy (HTTPS_PROXY)"}
}

// checkClock takes this machine's clock less the service's.
func (d *examination) checkClock(skew time.Duration) {
	name := words{"本机时钟", "clock"}
	direction := words{"快", "ahead of"}
	if skew < 0 {
		direction = words{"慢", "behind"}
	}
	way, off := d.of(direction), skew.Abs().Round(time.Second)
	if off < time.Second {
		off = time.Second // the header has whole seconds
	}
	switch {
	case off >= 300*time.Second:
		d.clockWrong = true
		d.wrong(name, words{
			"比服务%s %v，超过 5 分钟，签名会被拒绝，应答也验不过：用 NTP 校时",
			"%s the service's by %v: over 5 minutes signatures are refused, and answers not accepted; set it by NTP"}, way, off)
	case off > 60*time.Second:
		d.note(name, words{"比服务%s %v，到 5 分钟签名就会被拒绝：用 NTP 校时", "%s the service's by %v, and at 5 minutes signatures are refused: set it by NTP"}, way, off)
	default:
		d.ok(name, words{"和服务相差不到 %v", "within %v of the service's"}, off+time.Second)
	}
}

// checkEcho lets WeChat Pay repeat a message: signatures first, encryption then,
// so that each has its own answer.
func (d *examination) checkEcho(ctx context.Context) {
	name := words{"签名自检", "self-test of signatures"}
	resp, err := d.client.Echo(ctx, &wechatpay.EchoRequest{EchoMessage: "wechatpay-complaints doctor"})
	var refusal *wechatpay.APIError
	switch {
	case errors.As(err, &refusal) && (refusal.StatusCode == http.StatusForbidden || refusal.StatusCode == http.StatusNotFound):
		d.note(name, words{
			"这个商户可能没有开通自检接口，不说明密钥有问题，以下面读投诉为准（%v）",
			"this call may not be open to this merchant, which says nothing about the keys: the reading below tells (%v)"}, refusal)
		return
	case err != nil:
		d.wrongCall(name, err)
		return
	case resp.EchoMessage != "wechatpay-complaints doctor":
		d.wrong(name, words{"应答的签名是对的，内容却不是发出去的那句", "the answer is signed, and does not repeat the message"})
		return
	}
	d.ok(name, words{"请求的签名被接受，应答的签名验过了", "the request's signature is accepted, and the answer's verified"})

	name = words{"加密自检", "self-test of encryption"}
	resp, err = d.client.Echo(ctx, &wechatpay.EchoRequest{EchoMessage: "wechatpay-complaints doctor", EncryptedEchoMessage: "doctor"})
	switch {
	case err != nil:
		d.wrongCall(name, err)
	case resp.EncryptedEchoMessage == "":
		d.note(name, words{"微信支付解开了，应答里没有密文，反方向没有验证", "WeChat Pay took it; its answer has none, so that the way back is not proved"})
	case resp.EncryptedEchoMessage != "doctor":
		d.wrong(name, words{"解密出来的不是发出去的那句", "the decrypted answer does not repeat the message"})
	default:
		d.ok(name, words{"双向加解密都通过", "both ways hold"})
	}
}

// checkRead reads the complaints of today, and says whether it could.
func (d *examination) checkRead(ctx context.Context) bool {
	name := words{"查询投诉单列表", "reading complaints"}
	today := d.now()
	page, err := d.client.ComplaintsV2.List(ctx, &wechatpay.ListComplaintsRequest{BeginDate: today, EndDate: today, Limit: 1})
	if err != nil {
		d.wrongCall(name, err)
		return false
	}
	d.ok(name, words{"今天有 %d 张投诉单", "%d were filed today"}, page.TotalCount)
	return true
}

// checkCertificates reads the platform certificates, which the APIv3 key opens:
// nothing else proves that key but a notification.
func (d *examination) checkCertificates(ctx context.Context, cfg wechatpay.Config) {
	if cfg.APIv3Key == "" {
		return
	}
	name := words{"APIv3密钥能否解密", "APIv3 key, tried"}
	var answer struct {
		Data []struct {
			EncryptCertificate struct {
				Nonce          string
				AssociatedData string `json:"associated_data"`
				Ciphertext     []byte
			} `json:"encrypt_certificate"`
		}
	}
	err := d.client.Do(ctx, http.MethodGet, "/v3/certificates", nil, &answer)
	var refusal *wechatpay.APIError
	switch {
	case errors.As(err, &refusal) && refusal.StatusCode == http.StatusNotFound, err == nil && len(answer.Data) == 0:
		d.note(name, words{
			"这个商户没有平台证书，试不了：收到第一条通知才知道对不对",
			"this merchant has no platform certificate to try it on: the first notification will tell"})
		return
	case err != nil:
		d.wrongCall(name, err)
		return
	}
	block, err := aes.NewCipher([]byte(cfg.APIv3Key))
	if err == nil {
		var aead cipher.AEAD
		if aead, err = cipher.NewGCM(block); err == nil {
			c := answer.Data[0].EncryptCertificate
			if len(c.Nonce) != aead.NonceSize() {
				err = errors.New("the nonce has another length")
			} else {
				_, err = aead.Open(nil, []byte(c.Nonce), c.Ciphertext, []byte(c.AssociatedData))
			}
		}
	}
	if err != nil {
		d.wrong(name, words{
			"解不开平台证书：WECHATPAY_APIV3_KEY 不是 " + whereSecurity + " 里现在的那个，通知也会解不开；忘了只能重设",
			"it does not open the platform certificates: WECHATPAY_APIV3_KEY is not the one that is set in the merchant platform under API安全, and notifications cannot be read either; if it is lost, set a new one there"})
		return
	}
	d.ok(name, words{"解开了平台证书", "it opens the platform certificates"})
}

// wrongCall says what the error of a call means, and what to do.
func (d *examination) wrongCall(name words, err error) {
	var refusal *wechatpay.APIError
	var forged *wechatpay.VerificationError
	var meaning words
	switch {
	case errors.As(err, &forged) && forged.Reason == wechatpay.VerificationReasonProbe:
		d.note(name, words{
			"微信支付这次故意用错误的签名来测试验签，SDK 拒绝了，这是对的：再执行一次 doctor",
			"WeChat Pay tested with a wrong signature, which was refused, as it should be: run the doctor again"})
		return
	case errors.As(err, &forged):
		meaning = d.whyNotVerified(forged)
	case errors.As(err, &refusal) && refusal.StatusCode == http.StatusUnauthorized && d.clockWrong:
		meaning = words{"请求的签名被拒绝：先校正时钟", "the request's signature is refused: set the clock first"}
	case errors.As(err, &refusal) && refusal.StatusCode == http.StatusUnauthorized && speaksOfTime(refusal):
		meaning = words{"请求的签名被拒绝，原因是时间：用 NTP 校正本机时钟", "the request's signature is refused for its time: set this machine's clock by NTP"}
	case errors.As(err, &refusal) && refusal.StatusCode == http.StatusUnauthorized && !d.clockKnown:
		meaning = words{
			"请求的签名被拒绝：商户号、证书序列号、私钥不是一套，或者证书已作废，或者本机时钟差了 5 分钟以上（没能检查）；到 " + whereSecurity + " → 商户API证书 核对序列号，并用 NTP 校时",
			"the request's signature is refused: merchant number, serial number and private key do not belong together, or the certificate is revoked, or this machine's clock, which could not be checked, is over 5 minutes off; compare the serial number in the merchant platform under API安全 → 商户API证书, and set the clock by NTP"}
	case errors.As(err, &refusal) && refusal.StatusCode == http.StatusUnauthorized:
		meaning = words{
			"请求的签名被拒绝：商户号、证书序列号、私钥不是一套，或者证书已作废；到 " + whereSecurity + " → 商户API证书 核对序列号",
			"the request's signature is refused: merchant number, serial number and private key do not belong together, or the certificate is revoked; compare the serial number in the merchant platform under API安全 → 商户API证书"}
	case errors.As(err, &refusal) && refusal.StatusCode == http.StatusForbidden:
		meaning = words{"没有权限：到商户平台确认已开通", "no permission: see in the merchant platform that it is granted"}
	case errors.As(err, &refusal) && refusal.StatusCode == http.StatusTooManyRequests:
		meaning = words{"太频繁，过一分钟再试", "too often: try again in a minute"}
	case errors.As(err, &refusal) && refusal.StatusCode >= 500:
		meaning = words{"服务出错，过一会再试", "the service failed: try again later"}
	case errors.As(err, &refusal) && strings.Contains(string(refusal.Detail), "Wechatpay-Serial"):
		meaning = words{
			"微信支付不认识这个公钥ID：WECHATPAY_PUBLIC_KEY_ID 照 " + wherePublic + " 填写",
			"WeChat Pay does not know the public key id: take WECHATPAY_PUBLIC_KEY_ID from the merchant platform under API安全 → 微信支付公钥"}
	case errors.As(err, &refusal) && strings.Contains(string(refusal.Detail), "encrypted_echo_message"):
		meaning = words{
			"微信支付解不开：WECHATPAY_PUBLIC_KEY 不是这个公钥ID的，到 " + wherePublic + " 重新下载 pub_key.pem",
			"WeChat Pay cannot decrypt it: WECHATPAY_PUBLIC_KEY is not the key of its id; download pub_key.pem again"}
	case errors.As(err, &refusal):
		meaning = words{"被拒绝", "refused"}
	default:
		meaning = words{"没有成功", "it failed"}
	}
	d.wrong(name, words{"%s（%v）", "%s (%v)"}, d.of(meaning), err)
}

// speaksOfTime looks into the detail of a refused signature. It echoes the
// message that was signed too, which may hold any word.
func speaksOfTime(refusal *wechatpay.APIError) bool {
	var detail struct {
		Field string
		Issue any
	}
	_ = json.Unmarshal(refusal.Detail, &detail) // which is free-form
	for _, word := range []string{"timestamp", "时间"} {
		if strings.Contains(strings.ToLower(fmt.Sprint(detail.Field, " ", detail.Issue)), word) {
			return true
		}
	}
	return false
}

func (d *examination) whyNotVerified(err *wechatpay.VerificationError) words {
	ofPublicKey := strings.HasPrefix(err.SerialNo, "PUB_KEY_ID_")
	switch {
	case err.Reason == wechatpay.VerificationReasonTimestamp:
		return words{"应答的时间和本机差 5 分钟以上：用 NTP 校时", "the answer's time is over 5 minutes from this machine's clock: set it by NTP"}
	case err.Reason == wechatpay.VerificationReasonUnknownSerial && ofPublicKey && d.cfg.PublicKeyID == "":
		return words{
			"微信支付用公钥签名，这里却没有设置：到 " + wherePublic + " 下载 pub_key.pem，填 WECHATPAY_PUBLIC_KEY_FILE 和 WECHATPAY_PUBLIC_KEY_ID",
			"WeChat Pay signs with its public key, and none is set: download pub_key.pem in the merchant platform under API安全 → 微信支付公钥, and set WECHATPAY_PUBLIC_KEY_FILE and WECHATPAY_PUBLIC_KEY_ID"}
	case err.Reason == wechatpay.VerificationReasonUnknownSerial && ofPublicKey:
		return words{
			"微信支付用的公钥ID和 WECHATPAY_PUBLIC_KEY_ID 不同：到 " + wherePublic + " 核对公钥ID和 pub_key.pem",
			"WeChat Pay signs with another public key id than WECHATPAY_PUBLIC_KEY_ID: compare id and pub_key.pem with the merchant platform under API安全 → 微信支付公钥"}
	case err.Reason == wechatpay.VerificationReasonUnknownSerial && d.cfg.APIv3Key == "":
		return words{"微信支付用平台证书签名：设置 WECHATPAY_APIV3_KEY，SDK 会下载平台证书", "WeChat Pay signs with a platform certificate: set WECHATPAY_APIV3_KEY, and certificates are downloaded"}
	case err.Reason == wechatpay.VerificationReasonUnknownSerial && err.Err != nil:
		return words{
			"微信支付用平台证书签名，而平台证书没有下载成功：按括号里的原因处理；解不开就是 WECHATPAY_APIV3_KEY 不对",
			"WeChat Pay signs with a platform certificate, and they could not be downloaded, for the reason in brackets; if they cannot be decrypted, WECHATPAY_APIV3_KEY is not the one that is set in the merchant platform"}
	case err.Reason == wechatpay.VerificationReasonUnknownSerial:
		return words{
			"下载的平台证书里没有这个序列号：过一会再试，还是这样就检查代理和 WECHATPAY_BASE_URL",
			"the platform certificates that were downloaded have no such serial number: try again later; if it stays, look at proxies and WECHATPAY_BASE_URL"}
	case err.Reason == wechatpay.VerificationReasonCertificateNotValid:
		return words{
			"按本机时钟，平台证书不在有效期内：核对本机的日期，用 NTP 校时",
			"the platform certificate is not valid by this machine's clock: look at the date, and set the clock by NTP"}
	case err.Reason == wechatpay.VerificationReasonSignatureMismatch && d.cfg.PublicKey != nil && ofPublicKey:
		return words{
			"应答验签不通过：WECHATPAY_PUBLIC_KEY 不是这个公钥ID的（到 " + wherePublic + " 重新下载 pub_key.pem），或者代理改动了应答",
			"the answer's signature does not hold: WECHATPAY_PUBLIC_KEY is not the key of its id (download pub_key.pem again), or a proxy changes answers"}
	case err.Reason == wechatpay.VerificationReasonSignatureMismatch:
		return words{
			"应答验签不通过：代理改动了应答，或者不是微信支付在应答；检查代理和 WECHATPAY_BASE_URL",
			"the answer's signature does not hold: a proxy changes answers, or it is not WeChat Pay who answers; look at proxies and WECHATPAY_BASE_URL"}
	case err.Reason == wechatpay.VerificationReasonUnsigned:
		return words{"应答没有签名：不是微信支付在应答，检查代理和 WECHATPAY_BASE_URL", "the answer is not signed: it is not WeChat Pay who answers; look at proxies and WECHATPAY_BASE_URL"}
	}
	return words{"应答不能证明来自微信支付", "the answer does not prove to be WeChat Pay's"}
}

// checkNotifications checks a receiver, as far as can be told from here.
func (d *examination) checkNotifications(ctx context.Context, server *wechatpaytest.Server, url string, reachable bool) {
	if server != nil && d.client != nil {
		d.checkOwnReceiver(ctx, server)
	}
	if url == "" {
		return
	}
	d.checkRefusesUnsigned(ctx, url)
	name := words{"通知往返", "notification round trip"}
	switch {
	case server != nil:
		resp, err := server.Notify(ctx, url, sampleNotification)
		if err != nil {
			d.wrong(name, words{"%s 收不到：%v", "%s does not receive it: %v"}, url, err)
			return
		}
		switch judge(resp.StatusCode) {
		case accepted:
			d.wrong(name, words{
				"%s 接受了用别人的密钥签名的通知：它没有验签，谁都能伪造",
				"%s takes a notification that is signed by a stranger's key: it does not verify, and anybody can forge one"}, url)
		case refused:
			d.ok(name, words{"%s 收到了，并且拒绝了别人的密钥（%d），这是对的", "%s receives it, and refuses a stranger's key, as it should (%d)"}, url, resp.StatusCode)
		default:
			d.note(name, words{"%s 应答 %d，看不出它是否验签", "%s answers %d, which does not tell whether it verifies"}, url, resp.StatusCode)
		}
	case d.client == nil || !reachable:
		d.note(name, words{"没有检查：先改正上面的问题", "not checked: mend what is wrong above first"})
	default:
		_, err := d.client.Echo(ctx, &wechatpay.EchoRequest{EchoMessage: "wechatpay-complaints doctor", NotifyURL: url})
		var refusal *wechatpay.APIError
		switch {
		case errors.As(err, &refusal) && (refusal.StatusCode == http.StatusForbidden || refusal.StatusCode == http.StatusNotFound):
			d.note(name, words{"这个商户可能没有开通自检接口，无法请微信支付发一条", "this merchant may not have the self-test, so that WeChat Pay cannot be asked for one"})
		case err != nil:
			d.wrongCall(name, err)
		default:
			d.note(name, words{
				"已请微信支付向 %s 发一条，到没到只有接收方知道：看它的日志，几分钟内应有一条验签通过的请求",
				"WeChat Pay was asked to send one to %s. Only the receiver knows whether it came: its log should have one that verifies, within some minutes"}, url)
		}
	}
}

// verdict is what a receiver's answer says of a notification that WeChat Pay
// did not sign.
type verdict int

const (
	unclear  verdict = iota // whether it verifies
	accepted                // it does not verify
	refused                 // as it should
)

func judge(status int) verdict {
	switch {
	case status >= 200 && status < 300:
		return accepted
	case status == http.StatusBadRequest || status == http.StatusUnauthorized || status == http.StatusForbidden:
		return refused
	}
	return unclear
}

var sampleNotification = wechatpaytest.Notification{
	EventType:   string(wechatpay.EventComplaintCreate),
	ComplaintID: "200201820200101080076610000",
	ActionType:  string(wechatpay.NotificationActionTypeCreateComplaint),
}

// checkOwnReceiver lets the embedded server send a notification to the SDK's
// own handler.
func (d *examination) checkOwnReceiver(ctx context.Context, server *wechatpaytest.Server) {
	name := words{"通知往返（内置服务）", "notification round trip (embedded)"}
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
	d.ok(name, words{"验签和解密都通过，投诉 %s", "verified and decrypted, complaint %s"}, <-received)
}

// checkRefusesUnsigned sends what nobody signed, which a receiver must refuse.
func (d *examination) checkRefusesUnsigned(ctx context.Context, url string) {
	name := words{"通知地址", "notification URL"}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second) // as long as WeChat Pay waits
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader([]byte("{}")))
	if err != nil || req.URL.Host == "" {
		d.wrong(name, words{"不是网址", "it is no URL"})
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "wechatpay-complaints/"+wechatpay.Version)
	resp, err := d.transport.RoundTrip(req)
	if err != nil {
		d.wrong(name, words{"%s 从这里连不上，%s（%v）", "%s cannot be reached from here: %s (%v)"}, url, d.of(whyUnreachable(err)), err)
		return
	}
	resp.Body.Close()
	switch code, verdict := resp.StatusCode, judge(resp.StatusCode); {
	case verdict == accepted:
		d.wrong(name, words{
			"%s 接受了没有签名的请求（%d）：它没有验签，谁都能伪造",
			"%s takes a request that nobody signed (%d): it does not verify, and anybody can forge a notification"}, url, code)
	case verdict == refused:
		d.ok(name, words{"%s 从这里连得上，拒绝了没有签名的请求（%d）", "%s can be reached from here, and refuses what nobody signed (%d)"}, url, code)
	case code < 400:
		d.wrong(name, words{"%s 应答了跳转（%d），微信支付不会跟随", "%s answers with a redirect (%d), which WeChat Pay does not follow"}, url, code)
	case code < 500:
		d.wrong(name, words{"%s 应答 %d：路径或方法不对，它要接受 POST", "%s answers %d: path or method is wrong, it must take POST"}, url, code)
	default:
		d.wrong(name, words{"%s 应答 %d：看它的日志", "%s answers %d: look at its log"}, url, code)
	}
}
