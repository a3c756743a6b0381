package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// closedAddress returns the URL of a loopback port without a listener.
func closedAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return "http://" + listener.Addr().String()
}

// ownCertificate returns the file of a certificate with the merchant's key that
// expires at until.
func ownCertificate(t *testing.T, cfg wechatpay.Config, until time.Time) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: cfg.Certificate.SerialNumber, NotBefore: until.AddDate(-5, 0, 0), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, cfg.PrivateKey.Public(), cfg.PrivateKey)
	require.NoError(t, err)
	return pemFile(t, "CERTIFICATE", der)
}

// runDoctor runs doctor in both languages.
func runDoctor(t *testing.T, env environ, args ...string) (en, zh result) {
	t.Helper()
	env["LC_ALL"] = "en_US.UTF-8"
	en = run(t, env, append([]string{"doctor"}, args...)...)
	env["LC_ALL"] = "zh_CN.UTF-8"
	zh = run(t, env, append([]string{"doctor"}, args...)...)
	require.Equal(t, en.status, zh.status)
	require.Equal(t, strings.Count(en.stdout, "✗"), strings.Count(zh.stdout, "✗"), "%s\n%s", en.stdout, zh.stdout)
	return en, zh
}

// lines returns the lines that begin with a sign, without it.
func lines(output, sign string) (found []string) {
	for line := range strings.Lines(output) {
		if rest, ok := strings.CutPrefix(line, sign+" "); ok {
			found = append(found, strings.TrimSpace(rest))
		}
	}
	return found
}

// secrets returns what no output may contain.
func secrets(t *testing.T, cfg wechatpay.Config, env environ) []string {
	t.Helper()
	key, err := os.ReadFile(privateKeyFile(t, cfg))
	require.NoError(t, err)
	all := []string{cfg.APIv3Key, "nonce_str=", "WECHATPAY2", "hunter2"}
	if value := env["WECHATPAY_APIV3_KEY"]; value != "" {
		all = append(all, value)
	}
	for line := range strings.Lines(string(key)) {
		if !strings.HasPrefix(line, "-----") {
			all = append(all, strings.TrimSpace(line))
		}
	}
	return all
}

func TestDoctor_noProblems(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	env := settings(t, server.Config())
	en, zh := runDoctor(t, env)
	require.Equal(t, exitDone, en.status, en.stdout)
	require.Empty(t, en.stderr)
	require.Len(t, lines(en.stdout, "✓"), 9, en.stdout)
	require.Equal(t, []string{
		"merchant number: 1900000001, not verified yet",
		"APIv3 key: 32 bytes, not verified yet",
		"WeChat Pay public key: RSA, 2048 bits, not verified yet",
		"WeChat Pay public key id: " + server.Config().PublicKeyID + ", not verified yet",
		"proxy: none (HTTP_PROXY is not set)",
		"backup host: not set",
		"public key only: once notifications are signed with the public key too, set WECHATPAY_PUBLIC_KEY_ONLY=true: it turns certificates off",
	}, lines(en.stdout, "–"))
	require.Contains(t, en.stdout, "No problems found.")
	require.Contains(t, en.stdout, "✓ signature self-test: ")
	require.Contains(t, en.stdout, "✓ encryption self-test: ")
	require.Contains(t, zh.stdout, "✓ 查询投诉单列表：")
	for _, r := range server.Requests() {
		require.False(t, r.TookEffect, r)
	}

	delete(env, "LC_ALL")
	env["LANG"] = "zh_TW.UTF-8"
	require.Contains(t, run(t, env, "doctor").stdout, "未发现问题")
	require.Contains(t, run(t, env, "doctor", "-lang", "en").stdout, "No problems found")
	env["LC_MESSAGES"] = "C"
	require.Contains(t, run(t, env, "doctor").stdout, "No problems found")
}

func TestDoctor_mock(t *testing.T) {
	t.Parallel()
	got := run(t, nil, "doctor", "-mock")
	require.Equal(t, exitDone, got.status, got.stdout)
	require.Contains(t, got.stdout, "✓ notification round trip (embedded): verified and decrypted")
}

// A setup is a server and the settings for it, before a test changes them.
type setup struct {
	server *wechatpaytest.Server
	cfg    wechatpay.Config
	env    environ
}

func remove(names ...string) func(*testing.T, setup) {
	return func(_ *testing.T, s setup) {
		for _, name := range names {
			delete(s.env, "WECHATPAY_"+name)
		}
	}
}

func set(name, value string) func(*testing.T, setup) {
	return func(_ *testing.T, s setup) { s.env["WECHATPAY_"+name] = value }
}

// doctorProblems are tests by their names.
type doctorProblems map[string]struct {
	change func(*testing.T, setup)
	en, zh []string // the beginnings of all ✗ lines; * matches any text
}

func (tests doctorProblems) run(t *testing.T) {
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newServer(t)
			s := setup{server, server.Config(), settings(t, server.Config())}
			test.change(t, s)
			en, zh := runDoctor(t, s.env)
			require.Equal(t, exitFailed, en.status)
			requireProblems(t, test.en, en, s)
			requireProblems(t, test.zh, zh, s)
		})
	}
}

func requireProblems(t *testing.T, want []string, got result, s setup) {
	t.Helper()
	found := lines(got.stdout, "✗")
	require.Len(t, found, len(want), got.stdout)
	for i, beginning := range want {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(beginning), `\*`, ".*?")
		require.Regexp(t, "^"+pattern, found[i])
	}
	for line := range strings.Lines(got.stdout) {
		require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSpace(line)), 160, line)
	}
	require.Empty(t, got.stderr)
	require.NotContains(t, got.stdout, "wechatpay: Parse")
	for _, secret := range secrets(t, s.cfg, s.env) {
		require.NotContains(t, got.stdout, secret)
	}
}

func TestDoctor_privateKey(t *testing.T) {
	doctorProblems{
		"public key": {
			func(t *testing.T, s setup) { s.env["WECHATPAY_PRIVATE_KEY_FILE"] = publicKeyFile(t, s.cfg.PublicKey) },
			[]string{"private key: WECHATPAY_PRIVATE_KEY_FILE: this is a public key"},
			[]string{"商户私钥：WECHATPAY_PRIVATE_KEY_FILE 无效：内容是公钥，应使用 apiclient_key.pem"},
		},
		"missing file": {
			set("PRIVATE_KEY_FILE", "/none/apiclient_key.pem"),
			[]string{"private key: WECHATPAY_PRIVATE_KEY_FILE: the file cannot be read: no such file"},
			[]string{"商户私钥：WECHATPAY_PRIVATE_KEY_FILE 无效：无法读取文件"},
		},
		"PEM instead of a file name": {
			func(t *testing.T, s setup) {
				content, err := os.ReadFile(s.env["WECHATPAY_PRIVATE_KEY_FILE"])
				require.NoError(t, err)
				s.env["WECHATPAY_PRIVATE_KEY_FILE"] = string(content)
			},
			[]string{"private key: WECHATPAY_PRIVATE_KEY_FILE: is the content, not a file name"},
			[]string{"商户私钥：WECHATPAY_PRIVATE_KEY_FILE 无效：应填写文件路径"},
		},
		"encrypted": {
			func(t *testing.T, s setup) {
				s.env["WECHATPAY_PRIVATE_KEY_FILE"] = pemFile(t, "ENCRYPTED PRIVATE KEY", []byte("x"))
			},
			[]string{"private key: WECHATPAY_PRIVATE_KEY_FILE: the private key is encrypted: use openssl pkey"},
			[]string{"商户私钥：WECHATPAY_PRIVATE_KEY_FILE 无效：私钥已加密，请先解密：openssl pkey"},
		},
		"encrypted traditional": {
			func(t *testing.T, s setup) {
				delete(s.env, "WECHATPAY_PRIVATE_KEY_FILE")
				s.env["WECHATPAY_PRIVATE_KEY"] = string(pem.EncodeToMemory(&pem.Block{
					Type:    "RSA PRIVATE KEY",
					Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00112233445566778899AABBCCDDEEFF"},
					Bytes:   []byte("not DER at all"),
				}))
			},
			[]string{"private key: WECHATPAY_PRIVATE_KEY: the private key is encrypted"},
			[]string{"商户私钥：WECHATPAY_PRIVATE_KEY 无效：私钥已加密"},
		},
		"of another certificate": {
			func(t *testing.T, s setup) {
				s.env["WECHATPAY_PRIVATE_KEY_FILE"] = privateKeyFile(t, s.server.RenewMerchantCertificate())
				delete(s.env, "WECHATPAY_CERTIFICATE_FILE")
			},
			[]string{"signature self-test: the private key (WECHATPAY_PRIVATE_KEY_FILE) does not belong to the serial number (WECHATPAY_SERIAL_NO): take both from one package", "list of complaints: the same problem"},
			[]string{"签名自检：商户私钥（WECHATPAY_PRIVATE_KEY_FILE）与序列号（WECHATPAY_SERIAL_NO）不匹配", "查询投诉单列表：原因同上"},
		},
	}.run(t)
}

func TestDoctor_merchant(t *testing.T) {
	doctorProblems{
		"nothing set": {
			remove("MCHID", "PRIVATE_KEY_FILE", "SERIAL_NO", "CERTIFICATE_FILE", "APIV3_KEY", "PUBLIC_KEY_FILE", "PUBLIC_KEY_ID"),
			[]string{"merchant number: WECHATPAY_MCHID is not set", "private key: not set", "serial number: set WECHATPAY_CERTIFICATE_FILE", "WeChat Pay public key: not set"},
			[]string{"商户号：未设置", "商户私钥：未设置", "证书序列号：未设置", "微信支付公钥：未设置"},
		},
		"merchant number with spaces": {
			set("MCHID", "1900 0001"),
			[]string{"merchant number: WECHATPAY_MCHID is not a merchant number"}, []string{"商户号：WECHATPAY_MCHID 不是有效的商户号"},
		},
		"another merchant number": {
			set("MCHID", "1900000009"),
			[]string{"signature self-test: merchant number 1900000009 is unknown, or not that of the certificate: compare WECHATPAY_MCHID", "list of complaints: the same problem"},
			[]string{"签名自检：商户号 1900000009 不存在或与证书不符：请按 账户中心 → 商户信息 核对 WECHATPAY_MCHID", "查询投诉单列表：原因同上"},
		},
		"APIv3 key in merchant number": {
			func(_ *testing.T, s setup) { s.env["WECHATPAY_MCHID"] = s.cfg.APIv3Key },
			[]string{"merchant number: WECHATPAY_MCHID contains the APIv3 key"},
			[]string{"商户号：WECHATPAY_MCHID 误填为 APIv3密钥"},
		},
		"certificate of another key": {
			func(t *testing.T, s setup) {
				other := s.server.RenewMerchantCertificate()
				s.env["WECHATPAY_CERTIFICATE_FILE"] = pemFile(t, "CERTIFICATE", other.Certificate.Raw)
				delete(s.env, "WECHATPAY_SERIAL_NO")
			},
			[]string{"merchant certificate: does not match the private key"}, []string{"商户API证书：与商户私钥不匹配"},
		},
		"expired certificate": {
			func(t *testing.T, s setup) {
				s.env["WECHATPAY_CERTIFICATE_FILE"] = ownCertificate(t, s.cfg, time.Date(2020, 5, 6, 0, 0, 0, 0, beijing))
			},
			[]string{"merchant certificate: expired on 2020-05-06"}, []string{"商户API证书：已于 2020-05-06 过期"},
		},
		"revoked certificate": {
			func(_ *testing.T, s setup) { s.server.RevokeMerchantCertificate(s.cfg.SerialNo) },
			[]string{"signature self-test: the serial number is not a certificate of this merchant, or revoked: compare WECHATPAY_SERIAL_NO", "list of complaints: the same problem"},
			[]string{"签名自检：序列号不是该商户的证书，或证书已作废：请按 API安全 → 商户API证书 核对 WECHATPAY_SERIAL_NO", "查询投诉单列表：原因同上"},
		},
	}.run(t)
}

func TestDoctor_serialNo(t *testing.T) {
	doctorProblems{
		"not the certificate's": {
			set("SERIAL_NO", "0123456789ABCDEF"),
			[]string{"serial number: WECHATPAY_SERIAL_NO is not the serial number of the merchant certificate ("}, []string{"证书序列号：WECHATPAY_SERIAL_NO 与商户API证书的序列号 "},
		},
		"wrong without a certificate": {
			func(t *testing.T, s setup) {
				remove("CERTIFICATE_FILE")(t, s)
				set("SERIAL_NO", "0123456789ABCDEF")(t, s)
			},
			[]string{"signature self-test: the serial number is not a certificate of this merchant", "list of complaints: the same problem"},
			[]string{"签名自检：序列号不是该商户的证书", "查询投诉单列表：原因同上"},
		},
		"as printed by openssl": {
			func(t *testing.T, s setup) {
				remove("CERTIFICATE_FILE")(t, s)
				set("SERIAL_NO", "serial=0123456789ABCDEF")(t, s)
			},
			[]string{"serial number: WECHATPAY_SERIAL_NO is not a serial number"}, []string{"证书序列号：WECHATPAY_SERIAL_NO 不是有效的序列号"},
		},
		"decimal": {
			func(t *testing.T, s setup) {
				remove("CERTIFICATE_FILE")(t, s)
				set("SERIAL_NO", "316619587213168283298146735634812312312312312312")(t, s)
			},
			[]string{"serial number: WECHATPAY_SERIAL_NO is in decimal: use the hexadecimal form 3775B69C5268AD27A83A0DB2B881B085E31531F8"}, []string{"证书序列号：WECHATPAY_SERIAL_NO 为十进制形式：请改为十六进制形式 3775B69C5268AD27A83A0DB2B881B085E31531F8"},
		},
		"decimal, and a certificate": {
			func(_ *testing.T, s setup) { s.env["WECHATPAY_SERIAL_NO"] = s.cfg.Certificate.SerialNumber.String() },
			[]string{"serial number: WECHATPAY_SERIAL_NO is in decimal: use the hexadecimal form "}, []string{"证书序列号：WECHATPAY_SERIAL_NO 为十进制形式：请改为十六进制形式 "},
		},
		"public key id": {
			func(t *testing.T, s setup) {
				remove("CERTIFICATE_FILE")(t, s)
				set("SERIAL_NO", s.cfg.PublicKeyID)(t, s)
			},
			[]string{"serial number: WECHATPAY_SERIAL_NO contains a public key id (WECHATPAY_PUBLIC_KEY_ID)"}, []string{"证书序列号：WECHATPAY_SERIAL_NO 误填为微信支付公钥ID"},
		},
		"swapped with APIv3 key": {
			func(t *testing.T, s setup) {
				remove("CERTIFICATE_FILE")(t, s)
				s.env["WECHATPAY_SERIAL_NO"], s.env["WECHATPAY_APIV3_KEY"] = s.cfg.APIv3Key, s.cfg.SerialNo
			},
			[]string{"serial number: WECHATPAY_SERIAL_NO looks like the APIv3 key: it may be swapped", "APIv3 key: 40 bytes"},
			[]string{"证书序列号：WECHATPAY_SERIAL_NO 疑似为 APIv3密钥：可能与 WECHATPAY_APIV3_KEY 填反", "APIv3密钥：长度为 40 字节"},
		},
		"APIv3 key, which is not set": {
			func(t *testing.T, s setup) {
				remove("APIV3_KEY")(t, s)
				set("SERIAL_NO", s.cfg.APIv3Key)(t, s)
			},
			[]string{"serial number: WECHATPAY_SERIAL_NO looks like the APIv3 key"},
			[]string{"证书序列号：WECHATPAY_SERIAL_NO 疑似为 APIv3密钥"},
		},
		"APIv3 key": {
			func(t *testing.T, s setup) {
				remove("CERTIFICATE", "CERTIFICATE_FILE")(t, s)
				set("SERIAL_NO", s.cfg.APIv3Key)(t, s)
			},
			[]string{"serial number: WECHATPAY_SERIAL_NO contains the APIv3 key"},
			[]string{"证书序列号：WECHATPAY_SERIAL_NO 误填为 APIv3密钥"},
		},
	}.run(t)
}

func TestDoctor_publicKey(t *testing.T) {
	doctorProblems{
		"private key": {
			func(_ *testing.T, s setup) {
				s.env["WECHATPAY_PUBLIC_KEY_FILE"] = s.env["WECHATPAY_PRIVATE_KEY_FILE"]
			},
			[]string{"WeChat Pay public key: WECHATPAY_PUBLIC_KEY_FILE: this is a private key"},
			[]string{"微信支付公钥：WECHATPAY_PUBLIC_KEY_FILE 无效：内容是私钥，应使用 pub_key.pem"},
		},
		"certificate": {
			func(_ *testing.T, s setup) {
				s.env["WECHATPAY_PUBLIC_KEY_FILE"] = s.env["WECHATPAY_CERTIFICATE_FILE"]
			},
			[]string{"WeChat Pay public key: WECHATPAY_PUBLIC_KEY_FILE: this is a certificate"},
			[]string{"微信支付公钥：WECHATPAY_PUBLIC_KEY_FILE 无效：内容是证书，应使用 pub_key.pem"},
		},
		"PEM and file": {
			set("PUBLIC_KEY", "x"),
			[]string{"WeChat Pay public key: WECHATPAY_PUBLIC_KEY: is set together with WECHATPAY_PUBLIC_KEY_FILE"},
			[]string{"微信支付公钥：WECHATPAY_PUBLIC_KEY 无效：不能与 WECHATPAY_PUBLIC_KEY_FILE 同时设置"},
		},
		"merchant's own": {
			func(t *testing.T, s setup) {
				s.env["WECHATPAY_PUBLIC_KEY_FILE"] = publicKeyFile(t, s.cfg.PrivateKey.Public().(*rsa.PublicKey))
			},
			[]string{"WeChat Pay public key: WECHATPAY_PUBLIC_KEY_FILE is the merchant's own public key", "signature self-test: WECHATPAY_PUBLIC_KEY_FILE does not match its id", "list of complaints: the same problem"},
			[]string{"微信支付公钥：WECHATPAY_PUBLIC_KEY_FILE 是商户自己的公钥", "签名自检：WECHATPAY_PUBLIC_KEY_FILE 与公钥ID不匹配", "查询投诉单列表：原因同上"},
		},
		"wrong id": {
			set("PUBLIC_KEY_ID", "PUB_KEY_ID_0100000000000000000000000000"),
			[]string{"signature self-test: WeChat Pay does not know the public key id", "list of complaints: WeChat Pay signs with another public key id"},
			[]string{"签名自检：微信支付无法识别该公钥ID", "查询投诉单列表：微信支付使用的公钥ID与"},
		},
		"id without prefix": {
			set("PUBLIC_KEY_ID", "0100000000"),
			[]string{"WeChat Pay public key id: WECHATPAY_PUBLIC_KEY_ID is invalid"}, []string{"微信支付公钥ID：WECHATPAY_PUBLIC_KEY_ID 无效"},
		},
		"no id": {
			remove("PUBLIC_KEY_ID"),
			[]string{"WeChat Pay public key id: WECHATPAY_PUBLIC_KEY_ID is not set"}, []string{"微信支付公钥ID：未设置"},
		},
		"id only": {
			remove("PUBLIC_KEY_FILE"),
			[]string{"WeChat Pay public key: not set, but its id is"}, []string{"微信支付公钥：已设置公钥ID，但未设置公钥"},
		},
		"not a value of public key only": {
			set("PUBLIC_KEY_ONLY", "yes"),
			[]string{`public key only: WECHATPAY_PUBLIC_KEY_ONLY: must be true or false, got "yes"`},
			[]string{`仅使用公钥：WECHATPAY_PUBLIC_KEY_ONLY 无效：应为 true 或 false，实际为 "yes"`},
		},
		"no keys": {
			remove("PUBLIC_KEY_FILE", "PUBLIC_KEY_ID", "APIV3_KEY"),
			[]string{"WeChat Pay public key: not set"}, []string{"微信支付公钥：未设置"},
		},
	}.run(t)
}

func TestDoctor_apiV3Key(t *testing.T) {
	doctorProblems{
		"31 bytes": {
			func(_ *testing.T, s setup) { s.env["WECHATPAY_APIV3_KEY"] = s.cfg.APIv3Key[1:] },
			[]string{"APIv3 key: 31 bytes, must be 32: "}, []string{"APIv3密钥：长度为 31 字节，应为 32 字节："},
		},
		"missing file": {
			func(t *testing.T, s setup) {
				remove("APIV3_KEY")(t, s)
				set("APIV3_KEY_FILE", "/none/apiv3_key")(t, s)
			},
			[]string{"APIv3 key: WECHATPAY_APIV3_KEY_FILE: the file cannot be read: no such file"},
			[]string{"APIv3密钥：WECHATPAY_APIV3_KEY_FILE 无效：无法读取文件"},
		},
		"file name": {
			set("APIV3_KEY", "/run/secrets/apiv3_key"),
			[]string{"APIv3 key: WECHATPAY_APIV3_KEY: is a file name, not the content: use WECHATPAY_APIV3_KEY_FILE"},
			[]string{"APIv3密钥：WECHATPAY_APIV3_KEY 无效：应填写文件内容，而不是文件路径（文件路径请填入 WECHATPAY_APIV3_KEY_FILE）"},
		},
		"key and file": {
			set("APIV3_KEY_FILE", "/none/apiv3_key"),
			[]string{"APIv3 key: WECHATPAY_APIV3_KEY: is set together with WECHATPAY_APIV3_KEY_FILE"},
			[]string{"APIv3密钥：WECHATPAY_APIV3_KEY 无效：不能与 WECHATPAY_APIV3_KEY_FILE 同时设置"},
		},
		"of another merchant": {
			set("APIV3_KEY", "0123456789abcdefghijABCDEFGHIJ__"),
			[]string{"APIv3 key decryption: platform certificates cannot be decrypted: WECHATPAY_APIV3_KEY is not the key"}, []string{"APIv3密钥解密验证：平台证书解密失败：WECHATPAY_APIV3_KEY 不是当前的"},
		},
		"several problems": {
			func(t *testing.T, s setup) {
				set("PRIVATE_KEY_FILE", "/none")(t, s)
				set("APIV3_KEY", "short")(t, s)
				remove("MCHID")(t, s)
			},
			[]string{"merchant number: WECHATPAY_MCHID is not set", "private key: WECHATPAY_PRIVATE_KEY_FILE", "APIv3 key: 5 bytes"},
			[]string{"商户号：未设置", "商户私钥：WECHATPAY_PRIVATE_KEY_FILE", "APIv3密钥：长度为 5 字节"},
		},
	}.run(t)
}

func TestDoctor_clock(t *testing.T) {
	const off = 10*time.Minute + 30*time.Second
	doctorProblems{
		"behind": {
			func(t *testing.T, s setup) {
				s.server.Advance(off)
				s.env["WECHATPAY_BASE_URL"] = withDate(t, s.server)
			},
			[]string{"clock: behind the server by 10m", "signature self-test: the request signature was rejected: set the clock first", "list of complaints: the same problem"},
			[]string{"本机时钟：比服务器慢 10m", "签名自检：请求签名被拒绝：请先校正本机时钟", "查询投诉单列表：原因同上"},
		},
		"ahead": {
			func(t *testing.T, s setup) {
				s.server.Configure(func(b *wechatpaytest.Behavior) { b.Time = func() time.Time { return time.Now().Add(-off) } })
				s.env["WECHATPAY_BASE_URL"] = withDate(t, s.server)
			},
			[]string{"clock: ahead of the server by 10m", "signature self-test: the request signature was rejected: set the clock first", "list of complaints: the same problem"},
			[]string{"本机时钟：比服务器快 10m", "签名自检：请求签名被拒绝：请先校正本机时钟", "查询投诉单列表：原因同上"},
		},
		"behind without Date": {
			func(t *testing.T, s setup) {
				s.server.Advance(off)
				s.env["WECHATPAY_BASE_URL"] = withoutDate(t, s.server)
			},
			[]string{"signature self-test: the request signature was rejected because of its time: set", "list of complaints: the same problem"},
			[]string{"签名自检：请求签名因时间被拒绝：请用 NTP", "查询投诉单列表：原因同上"},
		},
		"unknown, and another private key": {
			func(t *testing.T, s setup) {
				s.env["WECHATPAY_PRIVATE_KEY_FILE"] = privateKeyFile(t, s.server.RenewMerchantCertificate())
				delete(s.env, "WECHATPAY_CERTIFICATE_FILE")
				s.env["WECHATPAY_BASE_URL"] = withoutDate(t, s.server)
			},
			[]string{"signature self-test: the private key (WECHATPAY_PRIVATE_KEY_FILE) does not belong to", "list of complaints: the same problem"},
			[]string{"签名自检：商户私钥（WECHATPAY_PRIVATE_KEY_FILE）与序列号", "查询投诉单列表：原因同上"},
		},
	}.run(t)
}

func TestDoctor_hosts(t *testing.T) {
	doctorProblems{
		"unreachable": {
			func(t *testing.T, s setup) { s.env["WECHATPAY_BASE_URL"] = closedAddress(t) },
			[]string{"main host: http://127.0.0.1:"}, []string{"主域名：http://127.0.0.1:"},
		},
		"unreachable backup": {
			func(t *testing.T, s setup) { s.env["WECHATPAY_BACKUP_URL"] = closedAddress(t) },
			[]string{"backup host: http://127.0.0.1:"}, []string{"备用域名：http://127.0.0.1:"},
		},
		"URL with a path": {
			func(_ *testing.T, s setup) { s.env["WECHATPAY_BASE_URL"] += "/v3" },
			[]string{"URL: WECHATPAY_BASE_URL is invalid"}, []string{"服务地址：WECHATPAY_BASE_URL 无效"},
		},
		"URL with a password": {
			set("BASE_URL", "http://user:hunter2@127.0.0.1"),
			[]string{"URL: WECHATPAY_BASE_URL is invalid"}, []string{"服务地址：WECHATPAY_BASE_URL 无效"},
		},
		"proxy that responds by itself": {
			func(t *testing.T, s setup) {
				proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }))
				t.Cleanup(proxy.Close)
				s.env["WECHATPAY_BASE_URL"] = proxy.URL
			},
			[]string{"signature self-test: the response has no valid signature headers: a gateway answered", "list of complaints: the same problem"},
			[]string{"签名自检：应答没有有效的签名头：应答来自网关", "查询投诉单列表：原因同上"},
		},
		"no permission": {
			func(_ *testing.T, s setup) {
				s.server.Handle("GET /v3/merchant-service/", respondWith(403, "NO_AUTH"))
			},
			[]string{"list of complaints: no permission (NO_AUTH)"}, []string{"查询投诉单列表：没有权限（NO_AUTH）"},
		},
	}.run(t)
}

// withoutDate returns the URL of a proxy to server that removes the Date header.
func withoutDate(t *testing.T, server *wechatpaytest.Server) (url string) {
	t.Helper()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return front.URL
}

// withDate returns the URL of a proxy to server that sets the Date header to the
// server's time.
func withDate(t *testing.T, server *wechatpaytest.Server) (url string) {
	t.Helper()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", server.Now().UTC().Format(http.TimeFormat))
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return front.URL
}

// respondWith returns a handler that responds with an error of WeChat Pay's format.
func respondWith(status int, code string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"code":"` + code + `","message":"-"}`))
	})
}

func TestDoctor_unavailableChecks(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*wechatpaytest.Server)
		note    string
	}{
		"self-test, 403": {func(s *wechatpaytest.Server) {
			s.Handle("POST /v3/security/echo", respondWith(403, "NO_AUTH"))
		}, "signature self-test: this merchant may not have the self-test"},
		"self-test, 404": {func(s *wechatpaytest.Server) {
			s.Handle("POST /v3/security/echo", respondWith(404, "RESOURCE_NOT_EXISTS"))
		}, "signature self-test: this merchant may not have the self-test"},
		"certificates": {func(s *wechatpaytest.Server) {
			s.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModePublicKey })
		}, "APIv3 key decryption: not checked: this merchant has no platform certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newServer(t)
			test.prepare(server)
			en, _ := runDoctor(t, settings(t, server.Config()))
			require.Equal(t, exitDone, en.status, en.stdout)
			require.Contains(t, en.stdout, "– "+test.note)
			require.Contains(t, en.stdout, "✓ list of complaints")
		})
	}
}

func TestDoctor_platformCertificates(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	server.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModeCertificate })
	env := environ{}
	cfg := server.Config()
	cfg.PublicKey = cfg.PrivateKey.Public().(*rsa.PublicKey) // left out below
	for name, value := range settings(t, cfg) {
		if !strings.Contains(name, "PUBLIC_KEY") {
			env[name] = value
		}
	}
	en, _ := runDoctor(t, env)
	require.Equal(t, exitDone, en.status, en.stdout)
	require.Contains(t, en.stdout, "✓ encryption self-test")
}

func TestDoctor_notifyURL(t *testing.T) {
	client, err := wechatpay.NewClient(newServer(t).Config())
	require.NoError(t, err)
	verifying := client.NotificationHandler(func(context.Context, *wechatpay.Notification) error { return nil })
	always := func(status int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	ifSigned := func(status int) http.Handler { // otherwise 401
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Wechatpay-Signature") == "" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.WriteHeader(status)
		})
	}
	for name, test := range map[string]struct {
		handler http.Handler
		status  int
		outputs []string
	}{
		"accepts anything": {always(200), exitFailed,
			[]string{"✗ notification URL: ", "accepted an unsigned request (200)", "✗ notification round trip: ", "signed with an unknown key (200)"}},
		"accepts an unknown key": {ifSigned(202), exitFailed,
			[]string{"✓ notification URL: ", "✗ notification round trip: ", "signed with an unknown key (202)"}},
		"rejects an unknown key": {ifSigned(403), exitDone,
			[]string{"✓ notification URL: ", "✓ notification round trip: ", "rejected the unknown key, as it should (403)"}},
		"fails on an unknown key": {ifSigned(500), exitDone,
			[]string{"✓ notification URL: ", "– notification round trip: ", "returned 500, which does not show whether it verifies"}},
		"no such path": {http.NotFoundHandler(), exitFailed,
			[]string{"✗ notification URL: ", "returned 404"}},
		"redirect": {http.RedirectHandler("/", http.StatusFound), exitFailed,
			[]string{"✗ notification URL: ", "redirects (302)"}},
		"broken": {always(500), exitFailed,
			[]string{"✗ notification URL: ", "returned 500"}},
		"verifies": {verifying, exitDone,
			[]string{"✓ notification URL: ", "rejects unsigned requests, as it should (401)", "✓ notification round trip (embedded)", "✓ notification round trip: "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			receiver := httptest.NewServer(test.handler)
			t.Cleanup(receiver.Close)
			got := run(t, nil, "doctor", "-mock", "-notify-url", receiver.URL+"/notify")
			require.Equal(t, test.status, got.status, got.stdout)
			for _, text := range test.outputs {
				require.Contains(t, got.stdout, text)
			}
		})
	}
}

func TestDoctor_notifyURLFromWeChatPay(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	url := closedAddress(t) + "/notify"
	got := run(t, settings(t, server.Config()), "doctor", "-notify-url", strings.Replace(url, "http:", "https:", 1))
	require.Equal(t, exitFailed, got.status, got.stdout)
	require.Contains(t, got.stdout, "✗ notification URL: https://127.0.0.1:")
	require.Contains(t, got.stdout, "– notification round trip: WeChat Pay was asked to send a notification")
}

func TestExamination_wrongCall_verificationError(t *testing.T) {
	const certificate, publicKeyID = "7EF22AEFF6D44DF0169DF2A0994023264C68566A", "PUB_KEY_ID_0100000000"
	const unknownSerial, mismatch = wechatpay.VerificationReasonUnknownSerial, wechatpay.VerificationReasonSignatureMismatch
	public := newServer(t).Config()
	certificates := wechatpay.Config{APIv3Key: "0123456789abcdefghijABCDEFGHIJ__"}
	for name, test := range map[string]struct {
		cfg      wechatpay.Config
		err      wechatpay.VerificationError
		contains string
		not      string
	}{
		"certificate without APIv3 key": {wechatpay.Config{}, wechatpay.VerificationError{Reason: unknownSerial, SerialNo: certificate},
			"✗ name: WeChat Pay signs with a platform certificate: set WECHATPAY_APIV3_KEY", "download failed"},
		"failed download": {certificates, wechatpay.VerificationError{Reason: unknownSerial, SerialNo: certificate, Err: errors.New("the reason")},
			"its download failed (-v shows why); check WECHATPAY_APIV3_KEY", "set WECHATPAY_APIV3_KEY"},
		"unlisted certificate": {certificates, wechatpay.VerificationError{Reason: unknownSerial, SerialNo: certificate},
			"no downloaded platform certificate has this serial number", "set WECHATPAY_APIV3_KEY"},
		"public key not set": {certificates, wechatpay.VerificationError{Reason: unknownSerial, SerialNo: publicKeyID},
			"signs with its public key: set WECHATPAY_PUBLIC_KEY_FILE", "another public key id"},
		"another public key": {public, wechatpay.VerificationError{Reason: unknownSerial, SerialNo: publicKeyID},
			"another public key id", "not set"},
		"public key mismatch": {public, wechatpay.VerificationError{Reason: mismatch, SerialNo: publicKeyID},
			"WECHATPAY_PUBLIC_KEY_FILE does not match its id", ""},
		"certificate mismatch": {certificates, wechatpay.VerificationError{Reason: mismatch, SerialNo: certificate},
			"the response is not signed by WeChat Pay: check proxy", "WECHATPAY_PUBLIC_KEY"},
		"expired certificate": {certificates, wechatpay.VerificationError{Reason: wechatpay.VerificationReasonCertificateNotValid, SerialNo: certificate},
			"set the clock with NTP", ""},
		"probe": {public, wechatpay.VerificationError{Reason: wechatpay.VerificationReasonProbe},
			"– name: WeChat Pay sent a wrong signature as a test", "✗"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			d := &examination{language: english, out: &out, cfg: test.cfg, interrupted: func() bool { return false }}
			d.wrongCall(words{"名", "name"}, &test.err)
			require.Contains(t, out.String(), test.contains)
			if test.not != "" {
				require.NotContains(t, out.String(), test.not)
			}
			require.Equal(t, name != "probe", d.failed)
		})
	}
}

func TestDoctor_sendsNoKeyAsSerialNo(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	env := settings(t, server.Config())
	env["WECHATPAY_SERIAL_NO"] = server.Config().APIv3Key
	delete(env, "WECHATPAY_APIV3_KEY")
	delete(env, "WECHATPAY_CERTIFICATE_FILE")
	require.Equal(t, exitFailed, run(t, env, "doctor").status)
	for _, r := range server.Requests() {
		require.Empty(t, r.Header.Get("Authorization"))
	}
}
