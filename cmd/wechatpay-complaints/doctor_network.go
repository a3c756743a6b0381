package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
)

// The doctor's checks of proxies, hosts and the clock.

// checkHosts sends an unsigned request to both hosts. It reports whether one
// responds that is not a gateway. Its Date header is compared with the clock.
func (d *examination) checkHosts(ctx context.Context, cfg wechatpay.Config) (reachable bool) {
	main := cmp.Or(strings.TrimSuffix(cfg.BaseURL, "/"), wechatpay.DefaultBaseURL)
	backup := strings.TrimSuffix(cfg.BackupURL, "/")
	if main == wechatpay.DefaultBaseURL {
		backup = cmp.Or(backup, wechatpay.DefaultBackupURL)
	}
	d.checkProxy(main)
	type host struct {
		name       words
		field, url string
	}
	hosts := []host{
		{words{"主域名", "main host"}, "BaseURL", main},
		{words{"备用域名", "backup host"}, "BackupURL", backup},
	}
	if d.relay != nil { // both hosts are reached through it
		hosts = []host{{words{"内部网关", "relay"}, "BaseURL", main}}
	}
	for _, host := range hosts {
		switch {
		case d.invalidURLs[host.field]: // do not print it, it may contain a password
			d.note(host.name, words{"未检查：地址无效", "not checked: its URL is invalid"})
			continue
		case host.url == "":
			d.note(host.name, words{"未设置", "not set"})
			continue
		}
		if d.checkHost(ctx, host.name, host.url) {
			d.host = cmp.Or(d.host, host.url)
		}
		if ctx.Err() != nil {
			return false
		}
	}
	if d.host != "" && !d.clockKnown {
		d.note(words{"本机时钟", "clock"}, words{"未检查：应答没有 Date 头", "not checked: no response had a Date header"})
	}
	return d.host != ""
}

// probePath is requested without a signature. WeChat Pay responds with a 401 in its
// JSON format, a gateway with something else.
const probePath = "/v3/certificates"

// checkHost checks one host.
func (d *examination) checkHost(ctx context.Context, name words, hostURL string) (reachable bool) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, hostURL+probePath, nil)
	if err != nil {
		d.wrong(name, words{"地址无效", "not a URL"})
		return false
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "wechatpay-complaints/"+wechatpay.Version)
	start := time.Now()
	resp, err := d.transport.RoundTrip(req) // does not follow redirects
	took := time.Since(start)
	shown := hostURL
	if d.relay != nil {
		shown = d.relay.String()
	}
	if err != nil {
		why := d.whyUnreachable(err, req.URL.Hostname())
		d.wrong(name, words{"%s：%s", "%s: %s"}, shown, d.of(why.words, why.args...))
		d.details(err)
		return false
	}
	defer resp.Body.Close()
	body, _ := readBody(resp)
	if text, gateway := gatewayText(resp, body); gateway {
		why := d.whoAnswered(resp.StatusCode, text)
		d.wrong(name, words{"%s：%s", "%s: %s"}, shown, d.of(why.words, why.args...))
		d.details(errors.New(resp.Status + ": " + string(body[:min(len(body), 500)])))
		return false
	}
	through := ""
	if d.proxy != "" {
		through = d.of(words{"，经由代理 %s", ", through proxy %s"}, d.proxy)
	}
	d.ok(name, words{"%s 可连通%s，%d 毫秒", "%s responds%s, %d ms"}, shown, through, took.Milliseconds())
	if date, _ := http.ParseTime(resp.Header.Get("Date")); !date.IsZero() && !d.clockKnown {
		d.clockKnown = true
		d.checkClock(d.now().Add(-took / 2).Sub(date.Add(500 * time.Millisecond)))
	}
	return true
}

var htmlTitle = regexp.MustCompile(`(?i)<title[^>]*>([^<]{1,60})`)

// gatewayText reports whether a response to the unsigned request is from a gateway
// instead of WeChat Pay: a redirect, an HTML page, or a demand of a proxy. The text
// describes it.
func gatewayText(resp *http.Response, body []byte) (text string, gateway bool) {
	var wire struct{ Code, Message any }
	isHTML := strings.Contains(resp.Header.Get("Content-Type"), "html") || strings.HasPrefix(strings.TrimSpace(string(body)), "<")
	switch location, err := resp.Location(); {
	case resp.StatusCode >= 300 && resp.StatusCode < 400 && err == nil:
		text = " → " + location.Scheme + "://" + location.Host
	case resp.StatusCode >= 300 && resp.StatusCode < 400, resp.StatusCode == http.StatusProxyAuthRequired:
	case json.Unmarshal(body, &wire) == nil && wire.Code != nil:
		return "", false
	case !isHTML:
		return "", false
	}
	if title := htmlTitle.FindSubmatch(body); title != nil && text == "" {
		text = ", " + strings.TrimSpace(string(title[1]))
	}
	return text, true
}

// whoAnswered returns the problem that a response is not from WeChat Pay.
func (d *examination) whoAnswered(status int, text string) finding {
	return found(words{
		"应答来自网关，而非微信支付（%d%s）：请检查代理、网关和 %s",
		"a gateway answered, not WeChat Pay (%d%s): check proxy, gateway and %s"}, status, text, d.urlVariable())
}

// urlVariable returns the variable that says where requests go.
func (d *examination) urlVariable() string {
	if d.relay != nil {
		return relayVariable
	}
	return "WECHATPAY_BASE_URL"
}

// checkProxy prints which proxy requests use, and what is wrong with the variable
// that sets it.
func (d *examination) checkProxy(main string) {
	target := main
	if d.relay != nil {
		target = d.relay.String()
	}
	req, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		return // the URL is invalid, and reported
	}
	name, value := proxyFromEnv(req.URL.Scheme)
	d.proxyVariable = name
	line := words{"代理", "proxy"}
	if value == "" {
		d.noteNoProxy(line, req.URL.Scheme)
		return
	}
	if problem, ok := proxyProblem(value); ok {
		d.wrong(line, problem.words, append([]any{name}, problem.args...)...)
		return
	}
	proxy, err := http.ProxyFromEnvironment(req)
	if err != nil || proxy == nil {
		d.note(line, words{
			"已设置 %s，但访问 %s 时不使用（NO_PROXY，或为本机地址）",
			"%s is set, but not used for %s (NO_PROXY, or loopback)"}, name, req.URL.Hostname())
		return
	}
	d.proxy = proxy.Host
	d.note(line, words{"%s：%s", "%s: %s"}, name, proxy.Scheme+"://"+proxy.Host)
}

// noteNoProxy prints that there is no proxy, and names a variable that Go does not
// use.
func (d *examination) noteNoProxy(line words, scheme string) {
	for _, other := range []string{"ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"} {
		if os.Getenv(other) != "" {
			d.note(line, words{
				"未使用：%s 对 %s 无效，如需代理请设置 %s",
				"none: %s does not apply to %s; if a proxy is needed, set %s"}, other, scheme, d.proxyVariable)
			return
		}
	}
	d.note(line, words{"未使用（未设置 %s）", "none (%s is not set)"}, d.proxyVariable)
}

// proxyFromEnv returns the variable that sets the proxy for a scheme, and its
// value.
func proxyFromEnv(scheme string) (name, value string) {
	upper := strings.ToUpper(scheme) + "_PROXY"
	for _, name := range []string{upper, strings.ToLower(upper)} {
		if value := os.Getenv(name); value != "" {
			return name, value
		}
	}
	return upper, ""
}

// proxyProblem returns what is wrong with the URL of a proxy. Go ignores an
// invalid one, or takes another part of it for the host. The text has the name of
// the variable as its first argument.
func proxyProblem(value string) (problem finding, wrong bool) {
	if !strings.Contains(value, "://") {
		value = "http://" + value
	}
	u, err := url.Parse(value)
	if err == nil && !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) {
		return found(words{
			"%s 的协议 %q 不受支持：应为 http://、https:// 或 socks5://",
			"%s: scheme %q is not supported: use http://, https:// or socks5://"}, u.Scheme), true
	}
	if err != nil || u.Hostname() == "" || u.Host != strings.TrimSpace(u.Host) || strings.HasSuffix(u.Host, ":") ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return found(words{
			"%s 不是有效的代理地址，Go 不会使用：应为 http://HOST:PORT，密码中的特殊字符须转义（# 写成 %%23）",
			"%s is not a proxy URL, so Go does not use it: use http://HOST:PORT, and escape special characters of a password (%%23 for #)"}), true
	}
	return finding{}, false
}

var refusedConnect = regexp.MustCompile(`proxy (\S+) refused CONNECT: (\d+.*)$`)

// whyUnreachable returns why there was no response from a host, and the remedy.
func (d *examination) whyUnreachable(err error, host string) finding {
	var (
		dns       *net.DNSError
		unknown   x509.UnknownAuthorityError
		wrongHost x509.HostnameError
		invalid   x509.CertificateInvalidError
		untrusted *tls.CertificateVerificationError
		timeout   net.Error
	)
	errors.As(err, &untrusted)
	if why, ok := d.whyProxyFailed(err, host); ok {
		return why
	}
	switch text := err.Error(); {
	case errors.As(err, &unknown) && untrusted != nil && len(untrusted.UnverifiedCertificates) > 0:
		issuer := untrusted.UnverifiedCertificates[0].Issuer.String()
		return found(words{
			"不信任 TLS 证书的签发者 %.40q：请将 SSL_CERT_FILE 设为其 CA 证书文件，或安装 ca-certificates",
			"TLS issuer %.40q is not trusted: set SSL_CERT_FILE to its CA file, or install ca-certificates"}, issuer)
	case errors.As(err, &wrongHost):
		return found(words{
			"TLS 证书属于 %.40s：请检查 DNS、代理和网关",
			"the TLS certificate is for %.40s: check the DNS, proxy and gateway"}, namesOf(wrongHost.Certificate))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return found(words{
			"TLS 证书的有效期为 %s 至 %s：请更换证书，或校正本机日期（%s）",
			"the TLS certificate is valid %s to %s: renew it, or set this machine's date (%s)"},
			invalid.Cert.NotBefore.Format(time.DateOnly), invalid.Cert.NotAfter.Format(time.DateOnly), d.now().Format(time.DateOnly))
	case strings.Contains(text, "TLS handshake timeout"):
		return found(words{
			"TLS 握手超时：部分防火墙会丢弃较大的握手包，可设置 GODEBUG=tlsmlkem=0 后重试",
			"TLS handshake timeout: some firewalls drop large handshakes, try GODEBUG=tlsmlkem=0"})
	case errors.Is(err, http.ErrSchemeMismatch), strings.Contains(text, "not look like a TLS"):
		return found(words{
			"该端口为 HTTP 而非 HTTPS：请检查地址和端口",
			"the port speaks HTTP, not HTTPS: check address and port"})
	case errors.As(err, &dns):
		return found(words{
			"域名 %s 解析失败：请检查 DNS，或设置代理（%s）",
			"name %s cannot be resolved: check the DNS, or set a proxy (%s)"}, dns.Name, d.proxyVariable)
	case errors.Is(err, syscall.ECONNREFUSED):
		return found(words{
			"连接被拒绝：请检查地址、端口和防火墙",
			"connection refused: check address, port and firewall"})
	case errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded):
		return found(words{
			"连接超时：请检查防火墙，或设置代理（%s）",
			"timed out: check the firewall, or set a proxy (%s)"}, d.proxyVariable)
	case isClosed(err):
		return found(words{
			"连接被断开：请检查防火墙、代理和网关",
			"the connection was closed: check firewall, proxy and gateway"})
	}
	return found(words{"%s", "%s"}, brief(err))
}

// isClosed reports whether the other side closed the connection.
func isClosed(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// namesOf returns the names that a certificate is for.
func namesOf(certificate *x509.Certificate) string {
	if names := certificate.DNSNames; len(names) > 0 {
		return strings.Join(names, ", ")
	}
	return certificate.Subject.String()
}

// whyProxyFailed returns why the proxy did not connect to the host.
func (d *examination) whyProxyFailed(err error, host string) (why finding, ok bool) {
	var network *net.OpError
	isConnect := errors.As(err, &network) && network.Op == "proxyconnect"
	refused := refusedConnect.FindStringSubmatch(err.Error())
	switch text := err.Error(); {
	case refused != nil && strings.HasPrefix(refused[2], "407"):
		return found(words{
			"代理 %s 拒绝 CONNECT（%s）：请在 %s 的主机名前加上 USER:PASSWORD@",
			"proxy %s refused CONNECT: %s: add USER:PASSWORD@ to %s"}, refused[1], refused[2], d.proxyVariable), true
	case refused != nil:
		return found(words{
			"代理 %s 拒绝 CONNECT（%s）：请在代理上放行 %s:443",
			"proxy %s refused CONNECT: %s: allow %s:443 in the proxy"}, refused[1], refused[2], host), true
	case isConnect && strings.Contains(text, "not look like a TLS"):
		return found(words{
			"代理 %s 不支持 TLS：%s 应以 http:// 开头",
			"proxy %s speaks plain HTTP: %s must begin with http://"}, d.proxy, d.proxyVariable), true
	case d.proxy != "" && (isClosed(err) || strings.Contains(text, "malformed HTTP response")):
		return found(words{
			"经由代理 %s 的连接被断开：请检查该代理；如代理使用 TLS，%s 应以 https:// 开头",
			"connection through proxy %s closed: check it; a TLS proxy needs https:// in %s"}, d.proxy, d.proxyVariable), true
	case isConnect, errors.As(err, &network) && strings.HasPrefix(network.Op, "socks"):
		return found(words{
			"无法连接代理 %s：请检查 %s",
			"proxy %s cannot be reached: check %s"}, d.proxy, d.proxyVariable), true
	}
	return finding{}, false
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
