package main

import (
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// inCertificates returns a setup in certificate mode whose problem is in the
// platform certificates. Nothing else can be checked then.
func inCertificates(name string, change func(*testing.T, setup), en, zh string, fix func(*testing.T, setup)) brokenSetup {
	return brokenSetup{
		name: name, change: change,
		en:   []string{"APIv3 key decryption: " + en},
		zh:   []string{"APIv3密钥解密验证：" + zh},
		note: "self-test and complaint API: not checked: without a platform certificate, responses cannot be verified",
		fix:  fix,
	}
}

// certificateMode makes the merchant one without a public key.
func certificateMode(t *testing.T, s setup) {
	s.server.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModeCertificate })
	remove("PUBLIC_KEY_FILE", "PUBLIC_KEY_ID")(t, s)
}

func publicKeyMode(_ *testing.T, s setup) {
	s.server.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModePublicKey })
}

// all returns a change that makes several.
func all(changes ...func(*testing.T, setup)) func(*testing.T, setup) {
	return func(t *testing.T, s setup) {
		for _, change := range changes {
			change(t, s)
		}
	}
}

// file writes a setting to a file.
func file(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "setting")
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	return name
}

// merchantKeyPEM returns the public key of the merchant, which is not WeChat Pay's.
func merchantKeyPEM(t *testing.T, s setup) string {
	t.Helper()
	other := s.server.RenewMerchantCertificate() // not the one in the settings
	content, err := os.ReadFile(publicKeyFile(t, other.PrivateKey.Public().(*rsa.PublicKey)))
	require.NoError(t, err)
	return string(content)
}

func TestDoctor_keys(t *testing.T) {
	const otherAPIv3Key = "0123456789abcdefghijABCDEFGHIJ__"
	rightAPIv3Key := func(_ *testing.T, s setup) {
		delete(s.env, "WECHATPAY_APIV3_KEY_FILE")
		s.env["WECHATPAY_APIV3_KEY"] = s.cfg.APIv3Key
	}
	rightPublicKey := func(t *testing.T, s setup) {
		delete(s.env, "WECHATPAY_PUBLIC_KEY")
		s.env["WECHATPAY_PUBLIC_KEY_FILE"] = publicKeyFile(t, s.cfg.PublicKey)
		s.env["WECHATPAY_PUBLIC_KEY_ID"] = s.cfg.PublicKeyID
	}
	const onlyIfSwitched = "public key only: once notifications are signed with the public key too, set WECHATPAY_PUBLIC_KEY_ONLY=true"
	testBrokenSetups(t, []brokenSetup{
		inCalls("another public key", func(t *testing.T, s setup) {
			s.env["WECHATPAY_PUBLIC_KEY_FILE"] = file(t, merchantKeyPEM(t, s))
		}, "WECHATPAY_PUBLIC_KEY_FILE does not match its id: download pub_key.pem again",
			"WECHATPAY_PUBLIC_KEY_FILE 与公钥ID不匹配：请到 API安全 → 微信支付公钥 重新下载 pub_key.pem", rightPublicKey),
		inCalls("another public key, not in a file", func(t *testing.T, s setup) {
			delete(s.env, "WECHATPAY_PUBLIC_KEY_FILE")
			s.env["WECHATPAY_PUBLIC_KEY"] = merchantKeyPEM(t, s)
		}, "WECHATPAY_PUBLIC_KEY does not match its id: download pub_key.pem again",
			"WECHATPAY_PUBLIC_KEY 与公钥ID不匹配：请到", rightPublicKey),
		{name: "certificate mode", change: certificateMode},
		{name: "switching", change: func(*testing.T, setup) {}, note: onlyIfSwitched,
			fix: set("PUBLIC_KEY_ONLY", "true")},
		{name: "public key mode", change: publicKeyMode,
			note: "public key only: set WECHATPAY_PUBLIC_KEY_ONLY=true: this merchant has no platform certificates, so trust none",
			fix:  set("PUBLIC_KEY_ONLY", "true")},
		{
			name:   "public key only, without one",
			change: all(remove("PUBLIC_KEY_FILE", "PUBLIC_KEY_ID"), set("PUBLIC_KEY_ONLY", "true")),
			en:     []string{"public key only: WECHATPAY_PUBLIC_KEY_ONLY=true requires WECHATPAY_PUBLIC_KEY_FILE and WECHATPAY_PUBLIC_KEY_ID"},
			zh:     []string{"仅使用公钥：WECHATPAY_PUBLIC_KEY_ONLY=true 需同时设置 WECHATPAY_PUBLIC_KEY_FILE 和 WECHATPAY_PUBLIC_KEY_ID"},
			fix:    rightPublicKey,
		},
		{name: "public key only", change: all(publicKeyMode, set("PUBLIC_KEY_ONLY", "true")),
			note: "public key only: set: platform certificates are not used"},
		inCertificates("another APIv3 key, certificate mode", all(certificateMode, set("APIV3_KEY", otherAPIv3Key)),
			"platform certificates cannot be decrypted: WECHATPAY_APIV3_KEY is not the key under API安全 → APIv3密钥; if it is lost, set a new one",
			"平台证书解密失败：WECHATPAY_APIV3_KEY 不是当前的 APIv3密钥", rightAPIv3Key),
		inCertificates("another APIv3 key in a file, certificate mode", all(certificateMode, func(t *testing.T, s setup) {
			delete(s.env, "WECHATPAY_APIV3_KEY")
			s.env["WECHATPAY_APIV3_KEY_FILE"] = file(t, otherAPIv3Key)
		}), "platform certificates cannot be decrypted: WECHATPAY_APIV3_KEY_FILE is not the key",
			"平台证书解密失败：WECHATPAY_APIV3_KEY_FILE 不是当前的 APIv3密钥", rightAPIv3Key),
		inCertificates("no platform certificates", all(publicKeyMode, remove("PUBLIC_KEY_FILE", "PUBLIC_KEY_ID")),
			"this merchant has no platform certificates: set WECHATPAY_PUBLIC_KEY_FILE and WECHATPAY_PUBLIC_KEY_ID",
			"该商户没有平台证书：请设置 WECHATPAY_PUBLIC_KEY_FILE 和 WECHATPAY_PUBLIC_KEY_ID", rightPublicKey),
		inCertificates("another merchant number, certificate mode", all(certificateMode, set("MCHID", "1900000009")),
			"merchant number 1900000009 is unknown", "商户号 1900000009 不存在", set("MCHID", "1900000001")),
		inCertificates("gateway repeats the request", all(certificateMode, front(func(server *wechatpaytest.Server) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") == "" {
					server.ServeHTTP(w, r)
					return
				}
				body, _ := json.Marshal(map[string]string{"message": "blocked: " + r.Header.Get("Authorization")})
				pageHandler(403, "Content-Type: application/json", string(body))(w, r)
			}
		})), "a gateway answered, not WeChat Pay (403): check", "应答来自网关，而非微信支付（403）：请检查", direct),
		inCalls("letters in the merchant number", set("MCHID", "abc"),
			"merchant number abc is unknown, or not that of the certificate: compare WECHATPAY_MCHID with 账户中心 → 商户信息",
			"商户号 abc 不存在或与证书不符：请按 账户中心 → 商户信息 核对 WECHATPAY_MCHID", set("MCHID", "1900000001")),
		inCalls("certificate of a revoked serial number", func(t *testing.T, s setup) {
			s.server.RevokeMerchantCertificate(s.cfg.SerialNo)
			remove("SERIAL_NO")(t, s)
		}, "the serial number is not a certificate of this merchant, or revoked: compare WECHATPAY_CERTIFICATE_FILE",
			"序列号不是该商户的证书，或证书已作废：请按 API安全 → 商户API证书 核对 WECHATPAY_CERTIFICATE_FILE", none),
		inCalls("platform certificate, no APIv3 key", func(t *testing.T, s setup) {
			s.server.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModeCertificate })
			remove("APIV3_KEY")(t, s)
		}, "WeChat Pay signs with a platform certificate: set WECHATPAY_APIV3_KEY, and the SDK downloads it",
			"微信支付使用平台证书签名：请设置 WECHATPAY_APIV3_KEY", rightAPIv3Key),
		inCalls("platform certificate, public key only", func(t *testing.T, s setup) {
			s.server.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModeCertificate })
			set("PUBLIC_KEY_ONLY", "true")(t, s)
		}, "WeChat Pay still signs with a platform certificate: do not set WECHATPAY_PUBLIC_KEY_ONLY yet",
			"微信支付仍使用平台证书签名：切换完成前，请勿设置 WECHATPAY_PUBLIC_KEY_ONLY", remove("PUBLIC_KEY_ONLY")),
		{
			name:   "FIPS 140-only mode",
			change: func(_ *testing.T, s setup) { s.env["GODEBUG"] = "fips140=only" },
			en:     []string{"encryption self-test: FIPS 140-only mode does not allow SHA-1, which phone numbers need: do not set GODEBUG"},
			zh:     []string{"加密自检：FIPS 140-only 模式不允许 SHA-1，无法加解密敏感字段：请勿设置 GODEBUG"},
			fix:    unset("GODEBUG"),
		},
	})
}

// rejecting makes the service reject the calls with a body of WeChat Pay.
func rejecting(status int, body string) func(*testing.T, setup) {
	return page(status, "Content-Type: application/json", body)
}

func TestDoctor_rejections(t *testing.T) {
	const signError = `{"code":"SIGN_ERROR","message":"错误的签名，验签失败"}`
	testBrokenSetups(t, []brokenSetup{
		inCalls("401 without a field", rejecting(401, signError),
			"the request signature was rejected: merchant number, serial number, private key, or a revoked certificate (API安全)",
			"请求签名被拒绝：商户号、序列号与私钥不匹配，或证书已作废；见 API安全 → 商户API证书", direct),
		inCalls("401 without a field and Date", front(func(*wechatpaytest.Server) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				w.Header()["Date"] = nil
				pageHandler(401, "Content-Type: application/json", signError)(w, r)
			}
		}), "the request signature was rejected: merchant number, serial number and private key, or the clock (not checked)",
			"请求签名被拒绝：商户号、序列号与私钥不匹配，或证书已作废，或本机时钟（未检查）偏差超过 5 分钟", direct),
		inCalls("429", rejecting(429, `{"code":"FREQUENCY_LIMITED","message":"-"}`),
			"too many requests (FREQUENCY_LIMITED): try again in a minute", "请求过于频繁（FREQUENCY_LIMITED）：请一分钟后重试", direct),
		inCalls("500", rejecting(500, `{"code":"SYSTEM_ERROR","message":"-"}`),
			"the service failed (500 SYSTEM_ERROR): try again later", "服务异常（500 SYSTEM_ERROR）：请稍后重试", direct),
		inCalls("400", rejecting(400, `{"code":"PARAM_ERROR","message":"参数错误`+strings.Repeat("很长", 200)+`"}`),
			"rejected: 400 PARAM_ERROR 参数错误", "请求被拒绝：400 PARAM_ERROR 参数错误", direct),
	})
}

// What doctor says about settings works.
func TestDoctor_settingRemedies(t *testing.T) {
	fromCertificate := func(t *testing.T, s setup) {
		output, err := exec.Command("openssl", "x509", "-in", s.env["WECHATPAY_CERTIFICATE_FILE"], "-noout", "-serial").Output()
		if err != nil {
			t.Skip("openssl: ", err)
		}
		s.env["WECHATPAY_SERIAL_NO"] = strings.TrimPrefix(strings.TrimSpace(string(output)), "serial=")
	}
	restore := func(name, value string) func(*testing.T, setup) { return set(name, value) }
	testBrokenSetups(t, []brokenSetup{
		{
			name: "serial number by openssl",
			change: func(_ *testing.T, s setup) {
				delete(s.env, "WECHATPAY_SERIAL_NO")
				s.env["UNUSED"] = s.env["WECHATPAY_CERTIFICATE_FILE"]
				delete(s.env, "WECHATPAY_CERTIFICATE_FILE")
			},
			en: []string{"serial number: set WECHATPAY_CERTIFICATE_FILE, or WECHATPAY_SERIAL_NO (openssl x509 -in apiclient_cert.pem -noout -serial prints it)"},
			zh: []string{"证书序列号：未设置 WECHATPAY_SERIAL_NO 或 WECHATPAY_CERTIFICATE_FILE：可运行 openssl x509 -in apiclient_cert.pem -noout -serial 查看"},
			fix: func(t *testing.T, s setup) {
				s.env["WECHATPAY_CERTIFICATE_FILE"] = s.env["UNUSED"]
				fromCertificate(t, s)
				delete(s.env, "WECHATPAY_CERTIFICATE_FILE")
			},
		},
		{
			name:   "serial number left out",
			change: set("SERIAL_NO", "0123456789ABCDEF"),
			en:     []string{"serial number: WECHATPAY_SERIAL_NO is not the serial number of the merchant certificate (*): correct it or leave it out"},
			zh:     []string{"证书序列号：WECHATPAY_SERIAL_NO 与商户API证书的序列号 * 不一致：请改为该值，或不设置"},
			fix:    remove("SERIAL_NO"),
		},
		{
			name: "swapped",
			change: func(_ *testing.T, s setup) {
				delete(s.env, "WECHATPAY_CERTIFICATE_FILE")
				s.env["WECHATPAY_SERIAL_NO"], s.env["WECHATPAY_APIV3_KEY"] = s.cfg.APIv3Key, s.cfg.SerialNo
			},
			en: []string{"serial number: WECHATPAY_SERIAL_NO looks like the APIv3 key: it may be swapped with WECHATPAY_APIV3_KEY", "APIv3 key: 40 bytes"},
			zh: []string{"证书序列号：WECHATPAY_SERIAL_NO 疑似为 APIv3密钥：可能与 WECHATPAY_APIV3_KEY 填反", "APIv3密钥：长度为 40 字节"},
			fix: func(_ *testing.T, s setup) {
				s.env["WECHATPAY_SERIAL_NO"], s.env["WECHATPAY_APIV3_KEY"] = s.env["WECHATPAY_APIV3_KEY"], s.env["WECHATPAY_SERIAL_NO"]
			},
		},
		{
			name: "public key id in the serial number",
			change: func(t *testing.T, s setup) {
				remove("CERTIFICATE_FILE")(t, s)
				set("SERIAL_NO", s.cfg.PublicKeyID)(t, s)
			},
			en:  []string{"serial number: WECHATPAY_SERIAL_NO contains a public key id (WECHATPAY_PUBLIC_KEY_ID): set the serial number of the certificate"},
			zh:  []string{"证书序列号：WECHATPAY_SERIAL_NO 误填为微信支付公钥ID"},
			fix: func(_ *testing.T, s setup) { s.env["WECHATPAY_SERIAL_NO"] = s.cfg.SerialNo },
		},
		{
			name:   "no keys of WeChat Pay",
			change: remove("PUBLIC_KEY_FILE", "PUBLIC_KEY_ID", "APIV3_KEY"),
			en:     []string{"WeChat Pay public key: not set: set WECHATPAY_PUBLIC_KEY_FILE and WECHATPAY_PUBLIC_KEY_ID (API安全 → 微信支付公钥), or WECHATPAY_APIV3_KEY for certificates"},
			zh:     []string{"微信支付公钥：未设置：请按 API安全 → 微信支付公钥 设置 WECHATPAY_PUBLIC_KEY_FILE 和 WECHATPAY_PUBLIC_KEY_ID；使用平台证书的请设置 WECHATPAY_APIV3_KEY"},
			fix:    func(_ *testing.T, s setup) { s.env["WECHATPAY_APIV3_KEY"] = s.cfg.APIv3Key }, // KeyModeSwitching has certificates
		},
		{
			name:   "merchant number",
			change: remove("MCHID"),
			en:     []string{"merchant number: WECHATPAY_MCHID is not set"},
			zh:     []string{"商户号：未设置 WECHATPAY_MCHID"},
			fix:    restore("MCHID", "1900000001"),
		},
	})
}

// With -v, the error follows the line about it.
func TestDoctor_verbose(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	env := settings(t, server.Config())
	env["WECHATPAY_MCHID"] = "1900000009"
	got := run(t, env, "doctor")
	require.NotContains(t, got.stdout, "request id")
	require.Empty(t, got.stderr)
	got = run(t, env, "doctor", "-v")
	require.Regexp(t, `(?m)^✗ signature self-test: merchant number 1900000009 .*\n  wechatpay: Echo: .* 401 SIGN_ERROR: .* \[request id 08F7[0-9A-F]+-268443699\]$`, got.stdout)
	require.Contains(t, got.stderr, "status=401")
	for _, secret := range secrets(t, server.Config(), env) {
		require.NotContains(t, got.stdout+got.stderr, secret)
	}
}
