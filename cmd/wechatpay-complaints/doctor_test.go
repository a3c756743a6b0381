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
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// closedAddress is an address of loopback where nobody listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return "http://" + listener.Addr().String()
}

// ownCertificate is a certificate of the merchant's key that ends on a day.
func ownCertificate(t *testing.T, cfg wechatpay.Config, until time.Time) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: cfg.Certificate.SerialNumber, NotBefore: until.AddDate(-5, 0, 0), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, cfg.PrivateKey.Public(), cfg.PrivateKey)
	require.NoError(t, err)
	return pemFile(t, "CERTIFICATE", der)
}

// bothLanguages runs the doctor in both, and gives what he says in English and
// in Chinese.
func bothLanguages(t *testing.T, env environ, args ...string) (en, zh result) {
	t.Helper()
	env["LC_ALL"] = "en_US.UTF-8"
	en = run(t, env, append([]string{"doctor"}, args...)...)
	env["LC_ALL"] = "zh_CN.UTF-8"
	zh = run(t, env, append([]string{"doctor"}, args...)...)
	require.Equal(t, en.status, zh.status)
	require.Equal(t, strings.Count(en.stdout, "✗"), strings.Count(zh.stdout, "✗"), "%s\n%s", en.stdout, zh.stdout)
	return en, zh
}

// lines are those of an output that begin with a sign.
func lines(output, sign string) (found []string) {
	for line := range strings.Lines(output) {
		if rest, ok := strings.CutPrefix(line, sign+" "); ok {
			found = append(found, strings.TrimSpace(rest))
		}
	}
	return found
}

// secrets are what no output may show.
func secrets(t *testing.T, cfg wechatpay.Config, env environ) []string {
	t.Helper()
	key, err := os.ReadFile(privateKeyFile(t, cfg))
	require.NoError(t, err)
	all := []string{cfg.APIv3Key, "Authorization", "WECHATPAY2", "hunter2"}
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

func TestDoctorFindsNothing(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	env := settings(t, server.Config())
	en, zh := bothLanguages(t, env)
	require.Equal(t, exitDone, en.status, en.stdout)
	require.Empty(t, en.stderr)
	require.Len(t, lines(en.stdout, "✓"), 13, en.stdout)
	require.Equal(t, []string{"backup host: none is set"}, lines(en.stdout, "–"))
	require.Contains(t, en.stdout, "Nothing is wrong.")
	require.Contains(t, en.stdout, "✓ self-test of signatures: ")
	require.Contains(t, en.stdout, "✓ self-test of encryption: ")
	require.Contains(t, zh.stdout, "✓ 查询投诉单列表：")
	for _, r := range server.Requests() {
		require.False(t, r.TookEffect, r)
	}

	delete(env, "LC_ALL")
	env["LANG"] = "zh_TW.UTF-8"
	require.Contains(t, run(t, env, "doctor").stdout, "没有发现问题")
	require.Contains(t, run(t, env, "doctor", "-lang", "en").stdout, "Nothing is wrong")
	env["LC_MESSAGES"] = "C"
	require.Contains(t, run(t, env, "doctor").stdout, "Nothing is wrong")
}

func TestDoctorOnMock(t *testing.T) {
	t.Parallel()
	got := run(t, nil, "doctor", "-mock")
	require.Equal(t, exitDone, got.status, got.stdout)
	require.Contains(t, got.stdout, "✓ notification round trip (embedded): verified and decrypted")
}

func TestDoctorFindsWrongSettings(t *testing.T) {
	type setting struct {
		server *wechatpaytest.Server
		cfg    wechatpay.Config
		env    environ
	}
	remove := func(names ...string) func(*testing.T, setting) {
		return func(_ *testing.T, s setting) {
			for _, name := range names {
				delete(s.env, "WECHATPAY_"+name)
			}
		}
	}
	set := func(name, value string) func(*testing.T, setting) {
		return func(_ *testing.T, s setting) { s.env["WECHATPAY_"+name] = value }
	}
	for name, test := range map[string]struct {
		spoil  func(*testing.T, setting)
		en, zh []string // beginnings of the ✗ lines, all of them
	}{
		"APIv3 key of 31 bytes": {
			func(_ *testing.T, s setting) { s.env["WECHATPAY_APIV3_KEY"] = s.cfg.APIv3Key[1:] },
			[]string{"APIv3 key: 31 bytes, and it has 32: "}, []string{"APIv3密钥：31 字节，应为 32 字节："},
		},
		"APIv3 key of somebody else": {
			set("APIV3_KEY", "0123456789abcdefghijABCDEFGHIJ__"),
			[]string{"APIv3 key, tried: it does not open the platform certificates"}, []string{"APIv3密钥能否解密：解不开平台证书"},
		},
		"public key for private key": {
			func(t *testing.T, s setting) { s.env["WECHATPAY_PRIVATE_KEY_FILE"] = publicKeyFile(t, s.cfg.PublicKey) },
			[]string{"private key: WECHATPAY_PRIVATE_KEY_FILE cannot be read: "}, []string{"商户私钥：WECHATPAY_PRIVATE_KEY_FILE 读不出来：里面是公钥"},
		},
		"private key for public key": {
			func(_ *testing.T, s setting) {
				s.env["WECHATPAY_PUBLIC_KEY_FILE"] = s.env["WECHATPAY_PRIVATE_KEY_FILE"]
			},
			[]string{"WeChat Pay public key: WECHATPAY_PUBLIC_KEY_FILE cannot be read: "}, []string{"微信支付公钥：WECHATPAY_PUBLIC_KEY_FILE 读不出来：里面是私钥"},
		},
		"certificate for public key": {
			func(_ *testing.T, s setting) {
				s.env["WECHATPAY_PUBLIC_KEY_FILE"] = s.env["WECHATPAY_CERTIFICATE_FILE"]
			},
			[]string{"WeChat Pay public key: WECHATPAY_PUBLIC_KEY_FILE cannot be read: "}, []string{"微信支付公钥：WECHATPAY_PUBLIC_KEY_FILE 读不出来：里面是证书"},
		},
		"a file that is not there": {
			set("PRIVATE_KEY_FILE", "/none/apiclient_key.pem"),
			[]string{"private key: WECHATPAY_PRIVATE_KEY_FILE cannot be read: the file"}, []string{"商户私钥：WECHATPAY_PRIVATE_KEY_FILE 读不出来：文件打不开"},
		},
		"the key where its file's name belongs": {
			func(t *testing.T, s setting) {
				content, err := os.ReadFile(s.env["WECHATPAY_PRIVATE_KEY_FILE"])
				require.NoError(t, err)
				s.env["WECHATPAY_PRIVATE_KEY_FILE"] = string(content)
			},
			[]string{"private key: WECHATPAY_PRIVATE_KEY_FILE cannot be read: holds the PEM itself"}, []string{"商户私钥：WECHATPAY_PRIVATE_KEY_FILE 读不出来：这里要文件路径"},
		},
		"a key and a file": {
			set("PUBLIC_KEY", "x"),
			[]string{"WeChat Pay public key: WECHATPAY_PUBLIC_KEY cannot be read: set together"}, []string{"微信支付公钥：WECHATPAY_PUBLIC_KEY 读不出来：和 WECHATPAY_PUBLIC_KEY_FILE 同时设置了"},
		},
		"two wrong at once": {
			func(_ *testing.T, s setting) {
				s.env["WECHATPAY_PRIVATE_KEY_FILE"] = "/none"
				s.env["WECHATPAY_APIV3_KEY"] = "short"
				delete(s.env, "WECHATPAY_MCHID")
			},
			[]string{"merchant number: WECHATPAY_MCHID is not set", "private key: WECHATPAY_PRIVATE_KEY_FILE", "APIv3 key: 5 bytes"},
			[]string{"商户号：没有设置", "商户私钥：WECHATPAY_PRIVATE_KEY_FILE", "APIv3密钥：5 字节"},
		},
		"nothing set": {
			remove("MCHID", "PRIVATE_KEY_FILE", "SERIAL_NO", "CERTIFICATE_FILE", "APIV3_KEY", "PUBLIC_KEY_FILE", "PUBLIC_KEY_ID"),
			[]string{"merchant number: WECHATPAY_MCHID is not set", "private key: not set", "serial number: neither", "WeChat Pay public key: not set"},
			[]string{"商户号：没有设置", "商户私钥：没有设置", "证书序列号：没有设置", "微信支付公钥：没有设置"},
		},
		"merchant number with blanks": {
			set("MCHID", "1900 0001"),
			[]string{"merchant number: WECHATPAY_MCHID is no merchant number"}, []string{"商户号：WECHATPAY_MCHID 不是商户号"},
		},
		"merchant number of somebody else": {
			set("MCHID", "1900000009"),
			[]string{"self-test of signatures: the request's signature is refused: merchant number", "reading complaints: the request's signature is refused"},
			[]string{"签名自检：请求的签名被拒绝：商户号", "查询投诉单列表：请求的签名被拒绝"},
		},
		"certificate of another key": {
			func(t *testing.T, s setting) {
				other := s.server.RenewMerchantCertificate()
				s.env["WECHATPAY_CERTIFICATE_FILE"] = pemFile(t, "CERTIFICATE", other.Certificate.Raw)
				delete(s.env, "WECHATPAY_SERIAL_NO")
			},
			[]string{"merchant certificate: it does not fit the private key"}, []string{"商户API证书：和商户私钥不是一对"},
		},
		"certificate that expired": {
			func(t *testing.T, s setting) {
				s.env["WECHATPAY_CERTIFICATE_FILE"] = ownCertificate(t, s.cfg, time.Date(2020, 5, 6, 0, 0, 0, 0, beijing))
			},
			[]string{"merchant certificate: it expired on 2020-05-06"}, []string{"商户API证书：2020-05-06 已过期"},
		},
		"private key of another certificate": {
			func(t *testing.T, s setting) {
				s.env["WECHATPAY_PRIVATE_KEY_FILE"] = privateKeyFile(t, s.server.RenewMerchantCertificate())
				delete(s.env, "WECHATPAY_CERTIFICATE_FILE")
			},
			[]string{"self-test of signatures: the request's signature is refused", "reading complaints: the request's signature is refused"},
			[]string{"签名自检：请求的签名被拒绝", "查询投诉单列表：请求的签名被拒绝"},
		},
		"serial number not the certificate's": {
			set("SERIAL_NO", "0123456789ABCDEF"),
			[]string{"serial number: WECHATPAY_SERIAL_NO is not that of the merchant certificate, which is "}, []string{"证书序列号：WECHATPAY_SERIAL_NO 不是这张商户API证书的，证书的是 "},
		},
		"serial number wrong, and no certificate": {
			func(_ *testing.T, s setting) {
				s.env["WECHATPAY_SERIAL_NO"] = "0123456789ABCDEF"
				delete(s.env, "WECHATPAY_CERTIFICATE_FILE")
			},
			[]string{"self-test of signatures: the request's signature is refused: merchant number, serial number", "reading complaints: "},
			[]string{"签名自检：请求的签名被拒绝：商户号、证书序列号", "查询投诉单列表："},
		},
		"serial number as openssl prints it": {
			func(_ *testing.T, s setting) {
				s.env["WECHATPAY_SERIAL_NO"] = "serial=0123456789ABCDEF"
				delete(s.env, "WECHATPAY_CERTIFICATE_FILE")
			},
			[]string{"serial number: WECHATPAY_SERIAL_NO is no serial number"}, []string{"证书序列号：WECHATPAY_SERIAL_NO 不是序列号"},
		},
		"public key id for serial number": {
			func(_ *testing.T, s setting) {
				s.env["WECHATPAY_SERIAL_NO"] = s.cfg.PublicKeyID
				delete(s.env, "WECHATPAY_CERTIFICATE_FILE")
			},
			[]string{"serial number: WECHATPAY_SERIAL_NO holds the id of the WeChat Pay public key"}, []string{"证书序列号：WECHATPAY_SERIAL_NO 填成了微信支付公钥ID"},
		},
		"certificate revoked": {
			func(_ *testing.T, s setting) { s.server.RevokeMerchantCertificate(s.cfg.SerialNo) },
			[]string{"self-test of signatures: the request's signature is refused", "reading complaints: "},
			[]string{"签名自检：请求的签名被拒绝", "查询投诉单列表："},
		},
		"the merchant's own public key": {
			func(t *testing.T, s setting) {
				s.env["WECHATPAY_PUBLIC_KEY_FILE"] = publicKeyFile(t, s.cfg.PrivateKey.Public().(*rsa.PublicKey))
			},
			[]string{"WeChat Pay public key: it is the merchant's own public key", "self-test of signatures: the answer's signature does not hold", "reading complaints: the answer's signature does not hold"},
			[]string{"微信支付公钥：这是商户自己的公钥", "签名自检：应答验签不通过", "查询投诉单列表：应答验签不通过"},
		},
		"public key id wrong": {
			set("PUBLIC_KEY_ID", "PUB_KEY_ID_0100000000000000000000000000"),
			[]string{"self-test of signatures: WeChat Pay does not know the public key id", "reading complaints: WeChat Pay signs with another public key id"},
			[]string{"签名自检：微信支付不认识这个公钥ID", "查询投诉单列表：微信支付用的公钥ID和"},
		},
		"public key id without its beginning": {
			set("PUBLIC_KEY_ID", "0100000000"),
			[]string{"WeChat Pay public key id: WECHATPAY_PUBLIC_KEY_ID is wrong"}, []string{"微信支付公钥ID：WECHATPAY_PUBLIC_KEY_ID 不对"},
		},
		"public key without its id": {
			remove("PUBLIC_KEY_ID"),
			[]string{"WeChat Pay public key id: WECHATPAY_PUBLIC_KEY_ID is not set"}, []string{"微信支付公钥ID：没有设置"},
		},
		"public key id without the key": {
			remove("PUBLIC_KEY_FILE"),
			[]string{"WeChat Pay public key: its id is set, and it is not"}, []string{"微信支付公钥：设置了公钥ID，却没有公钥"},
		},
		"no keys to verify with": {
			remove("PUBLIC_KEY_FILE", "PUBLIC_KEY_ID", "APIV3_KEY"),
			[]string{"WeChat Pay public key: not set"}, []string{"微信支付公钥：没有设置"},
		},
		"clock 10 minutes behind": {
			func(t *testing.T, s setting) {
				s.server.Advance(10*time.Minute + 30*time.Second)
				s.env["WECHATPAY_BASE_URL"] = withDate(t, s.server)
			},
			[]string{"clock: behind the service's by 10m", "self-test of signatures: the request's signature is refused: set the clock first", "reading complaints: "},
			[]string{"本机时钟：比服务慢 10m", "签名自检：请求的签名被拒绝：先校正时钟", "查询投诉单列表："},
		},
		"clock 10 minutes ahead": {
			func(t *testing.T, s setting) {
				s.server.Configure(func(b *wechatpaytest.Behavior) {
					b.Time = func() time.Time { return time.Now().Add(-10*time.Minute - 30*time.Second) }
				})
				s.env["WECHATPAY_BASE_URL"] = withDate(t, s.server)
			},
			[]string{"clock: ahead of the service's by 10m", "self-test of signatures: the request's signature is refused: set the clock first", "reading complaints: "},
			[]string{"本机时钟：比服务快 10m", "签名自检：请求的签名被拒绝：先校正时钟", "查询投诉单列表："},
		},
		"clock 10 minutes behind, and no Date": {
			func(t *testing.T, s setting) {
				s.server.Advance(10*time.Minute + 30*time.Second)
				s.env["WECHATPAY_BASE_URL"] = withoutDate(t, s.server)
			},
			[]string{"self-test of signatures: the request's signature is refused for its time: set", "reading complaints: the request's signature is refused for its time"},
			[]string{"签名自检：请求的签名被拒绝，原因是时间：用 NTP", "查询投诉单列表：请求的签名被拒绝，原因是时间"},
		},
		"private key of another certificate, and no Date": {
			func(t *testing.T, s setting) {
				s.env["WECHATPAY_PRIVATE_KEY_FILE"] = privateKeyFile(t, s.server.RenewMerchantCertificate())
				delete(s.env, "WECHATPAY_CERTIFICATE_FILE")
				s.env["WECHATPAY_BASE_URL"] = withoutDate(t, s.server)
			},
			[]string{
				"self-test of signatures: the request's signature is refused: merchant number, serial number and private key do not belong together, or the certificate is revoked, or this machine's clock, which could not be checked",
				"reading complaints: the request's signature is refused: merchant number"},
			[]string{"签名自检：请求的签名被拒绝：商户号、证书序列号、私钥不是一套，或者证书已作废，或者本机时钟差了 5 分钟以上", "查询投诉单列表："},
		},
		"serial number and APIv3 key swapped": {
			func(_ *testing.T, s setting) {
				s.env["WECHATPAY_SERIAL_NO"], s.env["WECHATPAY_APIV3_KEY"] = s.cfg.APIv3Key, s.cfg.SerialNo
				delete(s.env, "WECHATPAY_CERTIFICATE_FILE")
			},
			[]string{"serial number: WECHATPAY_SERIAL_NO looks like the APIv3 key: the two may be swapped", "APIv3 key: 40 bytes"},
			[]string{"证书序列号：WECHATPAY_SERIAL_NO 看起来是 APIv3密钥：它和 WECHATPAY_APIV3_KEY 可能填反了", "APIv3密钥：40 字节"},
		},
		"APIv3 key for serial number, and a certificate": {
			func(_ *testing.T, s setting) {
				s.env["WECHATPAY_SERIAL_NO"] = s.cfg.APIv3Key
				delete(s.env, "WECHATPAY_APIV3_KEY")
			},
			[]string{"serial number: WECHATPAY_SERIAL_NO looks like the APIv3 key"},
			[]string{"证书序列号：WECHATPAY_SERIAL_NO 看起来是 APIv3密钥"},
		},
		"private key with a password": {
			func(t *testing.T, s setting) {
				s.env["WECHATPAY_PRIVATE_KEY_FILE"] = pemFile(t, "ENCRYPTED PRIVATE KEY", []byte("x"))
			},
			[]string{"private key: WECHATPAY_PRIVATE_KEY_FILE cannot be read: the private key is encrypted: decrypt it first with openssl pkcs8"},
			[]string{"商户私钥：WECHATPAY_PRIVATE_KEY_FILE 读不出来：这是带密码的私钥"},
		},
		"private key with a password, in the traditional form": {
			func(t *testing.T, s setting) {
				delete(s.env, "WECHATPAY_PRIVATE_KEY_FILE")
				s.env["WECHATPAY_PRIVATE_KEY"] = string(pem.EncodeToMemory(&pem.Block{
					Type:    "RSA PRIVATE KEY",
					Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00112233445566778899AABBCCDDEEFF"},
					Bytes:   []byte("not DER at all"),
				}))
			},
			[]string{"private key: WECHATPAY_PRIVATE_KEY cannot be read: the private key is encrypted"},
			[]string{"商户私钥：WECHATPAY_PRIVATE_KEY 读不出来：这是带密码的私钥"},
		},
		"a host that cannot be reached": {
			func(t *testing.T, s setting) { s.env["WECHATPAY_BASE_URL"] = closedAddress(t) },
			[]string{"main host: http://127.0.0.1:"}, []string{"主域名：http://127.0.0.1:"},
		},
		"a backup that cannot be reached": {
			func(t *testing.T, s setting) { s.env["WECHATPAY_BACKUP_URL"] = closedAddress(t) },
			[]string{"backup host: http://127.0.0.1:"}, []string{"备用域名：http://127.0.0.1:"},
		},
		"a URL with a path": {
			func(_ *testing.T, s setting) { s.env["WECHATPAY_BASE_URL"] += "/v3" },
			[]string{"address: WECHATPAY_BASE_URL is wrong"}, []string{"服务地址：WECHATPAY_BASE_URL 写得不对"},
		},
		"a URL with a password": {
			set("BASE_URL", "http://user:hunter2@127.0.0.1"),
			[]string{"address: WECHATPAY_BASE_URL is wrong"}, []string{"服务地址：WECHATPAY_BASE_URL 写得不对"},
		},
		"APIv3 key for merchant number": {
			func(_ *testing.T, s setting) { s.env["WECHATPAY_MCHID"] = s.cfg.APIv3Key },
			[]string{"merchant number: WECHATPAY_MCHID holds the APIv3 key"},
			[]string{"商户号：WECHATPAY_MCHID 填成了 APIv3密钥"},
		},
		"APIv3 key for serial number": {
			func(_ *testing.T, s setting) {
				s.env["WECHATPAY_SERIAL_NO"] = s.cfg.APIv3Key
				delete(s.env, "WECHATPAY_CERTIFICATE")
				delete(s.env, "WECHATPAY_CERTIFICATE_FILE")
			},
			[]string{"serial number: WECHATPAY_SERIAL_NO holds the APIv3 key"},
			[]string{"证书序列号：WECHATPAY_SERIAL_NO 填成了 APIv3密钥"},
		},
		"a proxy that answers by itself": {
			func(t *testing.T, s setting) {
				proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }))
				t.Cleanup(proxy.Close)
				s.env["WECHATPAY_BASE_URL"] = proxy.URL
			},
			[]string{"self-test of signatures: the answer is not signed", "reading complaints: the answer is not signed"},
			[]string{"签名自检：应答没有签名", "查询投诉单列表：应答没有签名"},
		},
		"no permission for complaints": {
			func(_ *testing.T, s setting) { s.server.Handle("GET /v3/merchant-service/", status(403, "NO_AUTH")) },
			[]string{"reading complaints: no permission"}, []string{"查询投诉单列表：没有权限"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newServer(t)
			s := setting{server, server.Config(), settings(t, server.Config())}
			test.spoil(t, s)
			en, zh := bothLanguages(t, s.env)
			require.Equal(t, exitFailed, en.status)
			for _, said := range []struct {
				want []string
				got  result
			}{{test.en, en}, {test.zh, zh}} {
				found := lines(said.got.stdout, "✗")
				require.Len(t, found, len(said.want), said.got.stdout)
				for i, beginning := range said.want {
					require.Truef(t, strings.HasPrefix(found[i], beginning), "%s\ndoes not begin with\n%s", found[i], beginning)
				}
				require.Empty(t, said.got.stderr)
				require.NotContains(t, said.got.stdout, "wechatpay: Parse")
				for _, secret := range secrets(t, s.cfg, s.env) {
					require.NotContains(t, said.got.stdout, secret)
				}
			}
		})
	}
}

// withoutDate is the server behind one that tells no time.
func withoutDate(t *testing.T, server *wechatpaytest.Server) (url string) {
	t.Helper()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return front.URL
}

// withDate is the server behind one that tells the server's time in Date.
func withDate(t *testing.T, server *wechatpaytest.Server) (url string) {
	t.Helper()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", server.Now().UTC().Format(http.TimeFormat))
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	return front.URL
}

func status(code int, name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = w.Write([]byte(`{"code":"` + name + `","message":"-"}`))
	})
}

func TestDoctorTakesNeutralAnswersAsSuch(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*wechatpaytest.Server)
		note    string
	}{
		"no self-test, 403": {func(s *wechatpaytest.Server) { s.Handle("POST /v3/security/echo", status(403, "NO_AUTH")) }, "self-test of signatures: this call may not be open"},
		"no self-test, 404": {func(s *wechatpaytest.Server) { s.Handle("POST /v3/security/echo", status(404, "RESOURCE_NOT_EXISTS")) }, "self-test of signatures: this call may not be open"},
		"no certificates": {func(s *wechatpaytest.Server) {
			s.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModePublicKey })
		}, "APIv3 key, tried: this merchant has no platform certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newServer(t)
			test.prepare(server)
			en, _ := bothLanguages(t, settings(t, server.Config()))
			require.Equal(t, exitDone, en.status, en.stdout)
			require.Contains(t, en.stdout, "– "+test.note)
			require.Contains(t, en.stdout, "✓ reading complaints")
		})
	}

	t.Run("platform certificates alone", func(t *testing.T) {
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
		en, _ := bothLanguages(t, env)
		require.Equal(t, exitDone, en.status, en.stdout)
		require.Contains(t, en.stdout, "✓ self-test of encryption")
	})
}

func TestDoctorOnNotifications(t *testing.T) {
	receiver := func(t *testing.T, h http.Handler) string {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		return server.URL + "/notify"
	}
	client, err := wechatpay.NewClient(newServer(t).Config())
	require.NoError(t, err)
	good := client.NotificationHandler(func(context.Context, *wechatpay.Notification) error { return nil })
	answering := func(code int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
	}
	signedGets := func(code int) http.Handler { // and what nobody signed, 401
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Wechatpay-Signature") == "" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.WriteHeader(code)
		})
	}
	for name, test := range map[string]struct {
		handler http.Handler
		status  int
		says    []string
	}{
		"takes anything":        {answering(200), exitFailed, []string{"✗ notification URL: ", "nobody signed (200)", "✗ notification round trip: ", "stranger's key"}},
		"takes a stranger's":    {signedGets(202), exitFailed, []string{"✓ notification URL: ", "✗ notification round trip: ", "stranger's key"}},
		"refuses a stranger's":  {signedGets(403), exitDone, []string{"✓ notification URL: ", "✓ notification round trip: "}},
		"fails on a stranger's": {signedGets(500), exitDone, []string{"✓ notification URL: ", "– notification round trip: ", "answers 500, which does not tell whether it verifies"}},
		"no such path":          {http.NotFoundHandler(), exitFailed, []string{"✗ notification URL: ", "answers 404"}},
		"redirects":             {http.RedirectHandler("/", http.StatusFound), exitFailed, []string{"✗ notification URL: ", "redirect (302)"}},
		"broken":                {answering(500), exitFailed, []string{"✗ notification URL: ", "answers 500"}},
		"verifies":              {good, exitDone, []string{"✓ notification URL: ", "refuses what nobody signed (401)", "✓ notification round trip (embedded)", "✓ notification round trip: "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run(t, nil, "doctor", "-mock", "-notify-url", receiver(t, test.handler))
			require.Equal(t, test.status, got.status, got.stdout)
			for _, text := range test.says {
				require.Contains(t, got.stdout, text)
			}
		})
	}

	t.Run("WeChat Pay is asked for one", func(t *testing.T) {
		t.Parallel()
		server := newServer(t)
		url := closedAddress(t) + "/notify"
		got := run(t, settings(t, server.Config()), "doctor", "-notify-url", strings.Replace(url, "http:", "https:", 1))
		require.Equal(t, exitFailed, got.status, got.stdout)
		require.Contains(t, got.stdout, "✗ notification URL: https://127.0.0.1:")
		require.Contains(t, got.stdout, "– notification round trip: WeChat Pay was asked to send one")
	})
}

// The advice fits the keys that are set.
func TestDoctorOnAnswersThatDoNotVerify(t *testing.T) {
	const certificate, publicKeyID = "7EF22AEFF6D44DF0169DF2A0994023264C68566A", "PUB_KEY_ID_0100000000"
	public := newServer(t).Config()
	certificates := wechatpay.Config{APIv3Key: "0123456789abcdefghijABCDEFGHIJ__"}
	for name, test := range map[string]struct {
		cfg  wechatpay.Config
		err  wechatpay.VerificationError
		says string
		not  string
	}{
		"certificate, and no APIv3 key": {wechatpay.Config{}, wechatpay.VerificationError{Reason: wechatpay.VerificationReasonUnknownSerial, SerialNo: certificate},
			"✗ name: WeChat Pay signs with a platform certificate: set WECHATPAY_APIV3_KEY", "download failed"},
		"certificate, and the download failed": {certificates, wechatpay.VerificationError{Reason: wechatpay.VerificationReasonUnknownSerial, SerialNo: certificate, Err: errors.New("the reason")},
			"they could not be downloaded, for the reason in brackets", "set WECHATPAY_APIV3_KEY"},
		"certificate that is not listed": {certificates, wechatpay.VerificationError{Reason: wechatpay.VerificationReasonUnknownSerial, SerialNo: certificate},
			"have no such serial number", "set WECHATPAY_APIV3_KEY"},
		"public key, and none is set": {certificates, wechatpay.VerificationError{Reason: wechatpay.VerificationReasonUnknownSerial, SerialNo: publicKeyID},
			"signs with its public key, and none is set", "another public key id"},
		"another public key": {public, wechatpay.VerificationError{Reason: wechatpay.VerificationReasonUnknownSerial, SerialNo: publicKeyID},
			"another public key id", "none is set"},
		"mismatch of the public key": {public, wechatpay.VerificationError{Reason: wechatpay.VerificationReasonSignatureMismatch, SerialNo: publicKeyID},
			"WECHATPAY_PUBLIC_KEY is not the key of its id", ""},
		"mismatch of a certificate": {certificates, wechatpay.VerificationError{Reason: wechatpay.VerificationReasonSignatureMismatch, SerialNo: certificate},
			"a proxy changes answers, or it is not WeChat Pay", "WECHATPAY_PUBLIC_KEY"},
		"certificate not valid": {certificates, wechatpay.VerificationError{Reason: wechatpay.VerificationReasonCertificateNotValid, SerialNo: certificate},
			"set the clock by NTP", ""},
		"probe": {public, wechatpay.VerificationError{Reason: wechatpay.VerificationReasonProbe},
			"– name: WeChat Pay tested with a wrong signature", "✗"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			d := &examination{language: english, out: &out, cfg: test.cfg, interrupted: func() bool { return false }}
			d.wrongCall(words{"名", "name"}, &test.err)
			require.Contains(t, out.String(), test.says)
			if test.not != "" {
				require.NotContains(t, out.String(), test.not)
			}
			require.Equal(t, name != "probe", d.failed)
		})
	}
}

func TestDoctorSendsNoKeyAsASerialNumber(t *testing.T) {
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
