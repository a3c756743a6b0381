package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

var doctorHelp = words{`每项检查输出一行：✓ 已验证；✗ 有问题，并说明处理办法；– 尚未验证或无需处理。加 -v 显示
详细错误。doctor 会调用微信支付的自检接口（不影响任何数据），其余均为只读操作；不作任何
改动，不显示密钥。

加上 --notify-url 时，doctor 向该 URL 发送一条未签名的通知，接收方必须拒绝；再请微信支付
发送一条，是否送达请查看接收方的日志。WECHATPAY_BASE_URL 为本机的 wechatpay-mock 时，由它
发送一条签名正确的示例通知，接收方应接受。与 --mock 一起使用时，发送的是由内置服务签名的
通知，接收方没有对应的密钥，也必须拒绝。
`, `Each check prints one line: ✓ verified, ✗ a problem and how to fix it, – not verified
or needs no action. -v adds the errors in full. doctor calls WeChat Pay's self-test,
which changes nothing, and otherwise only reads. It shows no secrets.

With --notify-url it sends an unsigned notification to the URL, which the receiver
must reject, and asks WeChat Pay to send one: check the receiver's log for it. If
WECHATPAY_BASE_URL is a local wechatpay-mock, that sends a correctly signed sample,
which the receiver must accept. With --mock it sends one signed by the embedded
server, whose key the receiver does not have; the receiver must reject it too.
`}

// examination is one run of doctor.
type examination struct {
	language
	out         io.Writer
	outErr      error // first error of out
	verbose     bool
	secret      string // removed from all lines
	now         func() time.Time
	interrupted func() bool

	cfg         wechatpay.Config
	client      *wechatpay.Client // nil if the settings are invalid
	transport   http.RoundTripper
	relay       *url.URL        // nil without a relay
	invalidURLs map[string]bool // by field of Config

	proxyVariable string // the variable with the proxy, such as HTTPS_PROXY
	proxy         string // the host of the proxy in use; "": none
	host          string // URL of the first host that responds
	clockKnown    bool   // a response had a Date header
	clockWrong    bool
	compressed    atomic.Bool // a response was compressed with gzip

	failed bool
	last   string // the last problem with a call
}

// A finding is a text with its arguments.
type finding struct {
	words
	args []any
}

func found(text words, args ...any) finding { return finding{text, args} }

func (d *examination) print(sign string, name words, text string) {
	line := d.of(name) + d.of(words{"：", ": "}) + clean(text)
	d.printLine(sign + " " + line)
}

func (d *examination) printLine(line string) {
	if len(d.secret) >= 8 {
		line = strings.ReplaceAll(line, d.secret, "…")
	}
	_, err := fmt.Fprintln(d.out, line)
	d.outErr = cmp.Or(d.outErr, err)
}

func (d *examination) ok(name, text words, args ...any)   { d.print("✓", name, d.of(text, args...)) }
func (d *examination) note(name, text words, args ...any) { d.print("–", name, d.of(text, args...)) }

// wrong reports a problem. It does nothing after an interrupt, which makes calls
// fail.
func (d *examination) wrong(name, text words, args ...any) {
	if d.interrupted() {
		return
	}
	d.failed = true
	d.print("✗", name, d.of(text, args...))
}

// wrongBecause reports a problem, and with -v the error it was found by.
func (d *examination) wrongBecause(name words, why finding, err error) {
	d.wrong(name, why.words, why.args...)
	d.details(err)
}

// details prints an error in full, with -v.
func (d *examination) details(err error) {
	if err != nil && d.verbose && !d.interrupted() {
		d.printLine("  " + clean(err.Error()))
	}
}

// brief returns the start of an error whose cause is not known.
func brief(err error) string {
	text := []rune(clean(fmt.Sprint(err)))
	if len(text) > 90 {
		return string(text[:89]) + "…"
	}
	return string(text)
}

func doctor(a *app, flags *flag.FlagSet) func(context.Context) error {
	notifyURL := flags.String("notify-url", "", a.of(words{
		"同时检查该通知接收 `URL`",
		"also check this `URL` as a receiver of notifications"}))
	return func(ctx context.Context) error {
		base := wechatpay.NewTransport()
		defer base.CloseIdleConnections()
		d := &examination{
			language:    a.language,
			out:         a.stdout,
			verbose:     a.verbose,
			now:         time.Now,
			interrupted: func() bool { return ctx.Err() != nil },
			invalidURLs: map[string]bool{},
		}
		d.transport = &observer{base: base, d: d}
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
		relayErr := d.useRelay(a.mock)
		d.cfg.Transport, d.cfg.Logger = d.transport, a.logger()
		// Calls may well fail here: retry only once.
		d.cfg.Retry = wechatpay.RetryPolicy{MaxAttempts: 2, AttemptTimeout: 10 * time.Second}
		d.client = d.checkSettings(d.cfg, unreadable)
		if relayErr == nil {
			d.checkService(ctx, server, *notifyURL)
		} else {
			d.wrong(words{"内部网关", "relay"}, words{"%v", "%v"}, relayErr)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return d.conclude()
	}
}

// observer is an http.RoundTripper that notices compressed responses.
type observer struct {
	base http.RoundTripper
	d    *examination
}

func (o *observer) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := o.base.RoundTrip(req)
	if err == nil && strings.HasSuffix(strings.ToLower(resp.Header.Get("Content-Encoding")), "gzip") {
		o.d.compressed.Store(true)
	}
	return resp, err
}

// useRelay makes requests use WECHATPAY_RELAY_URL, if it is set.
func (d *examination) useRelay(mock bool) error {
	if mock {
		return nil
	}
	gateway, err := d.relayURL()
	if gateway != nil && err == nil {
		d.relay = gateway
		d.transport = &relay{d.transport, gateway}
	}
	return err
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
		d.note(name, words{"未检查：无法连接微信支付", "not checked: WeChat Pay cannot be reached"})
	default:
		d.checkCalls(ctx)
	}
	if ctx.Err() == nil {
		d.checkNotifications(ctx, server, notifyURL, reachable)
	}
}

// checkCalls calls the API.
func (d *examination) checkCalls(ctx context.Context) {
	name := words{"签名自检和投诉接口", "self-test and complaint API"}
	var certificates certificateState
	certificateMode := d.cfg.PublicKey == nil
	if certificateMode && d.cfg.APIv3Key != "" {
		if certificates = d.checkCertificates(ctx); certificates != certificatesDecrypted {
			d.note(name, words{
				"未检查：没有平台证书，无法验签",
				"not checked: without a platform certificate, responses cannot be verified"})
			return
		}
	}
	verified := d.checkEcho(ctx)
	verified = d.checkRead(ctx) || verified
	if verified && !certificateMode && d.cfg.APIv3Key != "" {
		certificates = d.checkCertificates(ctx)
	}
	if d.compressed.Load() {
		d.note(words{"压缩", "compression"}, words{
			"有代理压缩了应答（gzip），SDK 会自动解压，无需处理",
			"a proxy compresses responses (gzip); the SDK decompresses them, no action is needed"})
	}
	if verified && !certificateMode && ctx.Err() == nil {
		d.printPublicKeyOnly(certificates)
	}
}

// printPublicKeyOnly recommends WECHATPAY_PUBLIC_KEY_ONLY where it fits.
func (d *examination) printPublicKeyOnly(certificates certificateState) {
	name := words{"仅使用公钥", "public key only"}
	switch {
	case d.cfg.PublicKeyOnly:
		d.note(name, words{"已启用，不使用平台证书", "set: platform certificates are not used"})
	case certificates == certificatesNone:
		d.note(name, words{
			"建议设置 WECHATPAY_PUBLIC_KEY_ONLY=true：该商户没有平台证书，无需信任它们",
			"set WECHATPAY_PUBLIC_KEY_ONLY=true: this merchant has no platform certificates, so trust none"})
	case certificates == certificatesDecrypted:
		d.note(name, words{
			"完成切换后（回调通知也由公钥签名），建议设置 WECHATPAY_PUBLIC_KEY_ONLY=true，停用平台证书",
			"once notifications are signed with the public key too, set WECHATPAY_PUBLIC_KEY_ONLY=true: it turns certificates off"})
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
