package main

import (
	"bytes"
	"compress/gzip"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func TestDoctor_proxies(t *testing.T) {
	var allowed atomic.Bool
	refuse := func(status int) func(*testing.T, setup) {
		return func(t *testing.T, s setup) {
			l := &live{connect: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }}
			l.startPlain(t, s)
		}
	}
	tlsProxy := func(t *testing.T, s setup) {
		var l live
		l.start(t, s)
		l.proxy.StartTLS()
		s.env["HTTPS_PROXY"] = strings.Replace(l.proxy.URL, "https://", "http://", 1)
	}
	replaceInProxy := func(old, new string) func(*testing.T, setup) {
		return func(_ *testing.T, s setup) { s.env["HTTPS_PROXY"] = strings.Replace(s.env["HTTPS_PROXY"], old, new, 1) }
	}
	testBrokenSetups(t, []brokenSetup{
		{name: "works", change: func(t *testing.T, s setup) { new(live).startPlain(t, s) }, note: "proxy: HTTPS_PROXY: http://127.0.0.1:"},
		{name: "lower case", change: func(t *testing.T, s setup) {
			new(live).startPlain(t, s)
			s.env["https_proxy"] = s.env["HTTPS_PROXY"]
			delete(s.env, "HTTPS_PROXY")
		}, note: "proxy: https_proxy: http://127.0.0.1:"},
		onBoth("password missing", func(t *testing.T, s setup) {
			l := &live{connect: func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte("user:hunter2")) {
					w.WriteHeader(http.StatusProxyAuthRequired)
				}
			}}
			l.startPlain(t, s)
		}, "proxy 127.0.0.1:* refused CONNECT: 407 Proxy Authentication Required: add USER:PASSWORD@ to HTTPS_PROXY",
			"代理 127.0.0.1:* 拒绝 CONNECT（407 Proxy Authentication Required）：请在 HTTPS_PROXY 的主机名前加上 USER:PASSWORD@",
			replaceInProxy("://", "://user:hunter2@")),
		onBoth("host not allowed", func(t *testing.T, s setup) {
			l := &live{connect: func(w http.ResponseWriter, _ *http.Request) {
				if !allowed.Load() {
					w.WriteHeader(http.StatusForbidden)
				}
			}}
			l.startPlain(t, s)
		}, "proxy 127.0.0.1:* refused CONNECT: 403 Forbidden: allow api*.mch.weixin.qq.com:443 in the proxy",
			"代理 127.0.0.1:* 拒绝 CONNECT（403 Forbidden）：请在代理上放行 api*.mch.weixin.qq.com:443",
			func(*testing.T, setup) { allowed.Store(true) }),
		onBoth("bad request", refuse(400), "proxy 127.0.0.1:* refused CONNECT: 400 Bad Request: allow api",
			"代理 127.0.0.1:* 拒绝 CONNECT（400 Bad Request）：请在代理上放行 api", none),
		onBoth("bad gateway", refuse(502), "proxy 127.0.0.1:* refused CONNECT: 502 Bad Gateway: allow api",
			"代理 127.0.0.1:* 拒绝 CONNECT（502 Bad Gateway）：请在代理上放行 api", none),
		onBoth("https for a plain proxy", func(t *testing.T, s setup) {
			new(live).startPlain(t, s)
			replaceInProxy("http:", "https:")(t, s)
		}, "proxy 127.0.0.1:* speaks plain HTTP: HTTPS_PROXY must begin with http://",
			"代理 127.0.0.1:* 不支持 TLS：HTTPS_PROXY 应以 http:// 开头", replaceInProxy("https:", "http:")),
		onBoth("http for a TLS proxy", tlsProxy, "connection through proxy 127.0.0.1:* closed: check it; a TLS proxy needs https:// in HTTPS_PROXY",
			"经由代理 127.0.0.1:* 的连接被断开：请检查该代理；如代理使用 TLS，HTTPS_PROXY 应以 https:// 开头", replaceInProxy("http:", "https:")),
		onBoth("not running", func(t *testing.T, s setup) {
			new(live).startPlain(t, s)
			s.env["HTTPS_PROXY"] = closedAddress(t)
		}, "proxy 127.0.0.1:* cannot be reached: check HTTPS_PROXY", "无法连接代理 127.0.0.1:*：请检查 HTTPS_PROXY", none),
		onBoth("name not found", func(t *testing.T, s setup) {
			new(live).startPlain(t, s)
			s.env["HTTPS_PROXY"] = "http://proxy.invalid:3128"
		}, "proxy proxy.invalid:3128 cannot be reached: check HTTPS_PROXY", "无法连接代理 proxy.invalid:3128：请检查 HTTPS_PROXY", none),
		{name: "not used on loopback", change: func(t *testing.T, s setup) { s.env["HTTP_PROXY"] = closedAddress(t) },
			note: "proxy: HTTP_PROXY is set, but not used for 127.0.0.1 (NO_PROXY, or loopback)"},
		{name: "ALL_PROXY", change: func(t *testing.T, s setup) { s.env["ALL_PROXY"] = closedAddress(t) },
			note: "proxy: none: ALL_PROXY does not apply to http; if a proxy is needed, set HTTP_PROXY"},
	})
}

// Go ignores an invalid URL of a proxy, or takes another part of it for the host.
func TestDoctor_proxyURL(t *testing.T) {
	invalid := []string{"proxy: HTTP_PROXY is not a proxy URL, so Go does not use it: use http://HOST:PORT"}
	invalidZH := []string{"代理：HTTP_PROXY 不是有效的代理地址，Go 不会使用：应为 http://HOST:PORT"}
	fix := func(_ *testing.T, s setup) { s.env["HTTP_PROXY"] = "http://proxy:3128" }
	var setups []brokenSetup
	for _, value := range []string{
		"http://proxy:port", `"http://proxy:3128"`, "http//proxy:3128", "http:/proxy:3128", "http://proxy:", "http://",
		"http://user:hunter2#@proxy:3128", "http://user:hunter2/@proxy:3128", "http://proxy:3128/path", "proxy 3128",
	} {
		setups = append(setups, brokenSetup{
			name:   value,
			change: func(_ *testing.T, s setup) { s.env["HTTP_PROXY"] = value },
			en:     invalid, zh: invalidZH, fix: fix,
		})
	}
	setups = append(setups, brokenSetup{
		name:   "socks4",
		change: func(_ *testing.T, s setup) { s.env["HTTP_PROXY"] = "socks4://proxy:1080" },
		en:     []string{`proxy: HTTP_PROXY: scheme "socks4" is not supported: use http://, https:// or socks5://`},
		zh:     []string{`代理：HTTP_PROXY 的协议 "socks4" 不受支持：应为 http://、https:// 或 socks5://`},
		fix:    fix,
	})
	for _, value := range []string{
		"proxy:3128", "10.0.0.1:3128", "http://proxy", "http://proxy:3128/", "https://proxy", "socks5://proxy:1080",
		"SOCKS5H://proxy", "http://user:p%23w@proxy:3128", "http://[::1]:3128",
	} {
		setups = append(setups, brokenSetup{
			name:   value,
			change: func(_ *testing.T, s setup) { s.env["HTTP_PROXY"] = value },
			note:   "HTTP_PROXY is set, but not used for 127.0.0.1",
		})
	}
	testBrokenSetups(t, setups)
}

func TestDoctor_tls(t *testing.T) {
	certificate := func(change func(*x509.Certificate)) func(*testing.T, setup) {
		return func(t *testing.T, s setup) { new(live).startPlain(t, s, change) }
	}
	var caFile atomic.Value
	timeoutEN, timeoutZH := both("TLS handshake timeout: some firewalls drop large handshakes, try GODEBUG=tlsmlkem=0",
		"TLS 握手超时：部分防火墙会丢弃较大的握手包，可设置 GODEBUG=tlsmlkem=0 后重试")
	testBrokenSetups(t, []brokenSetup{
		onBoth("unknown issuer", func(t *testing.T, s setup) {
			var l live
			l.startPlain(t, s)
			caFile.Store(l.caFile)
			delete(s.env, "SSL_CERT_FILE")
		}, `TLS issuer "CN=Corp Inspection CA" is not trusted: set SSL_CERT_FILE to its CA file, or install ca-certificates`,
			`不信任 TLS 证书的签发者 "CN=Corp Inspection CA"：请将 SSL_CERT_FILE 设为其 CA 证书文件，或安装 ca-certificates`,
			func(_ *testing.T, s setup) { s.env["SSL_CERT_FILE"] = caFile.Load().(string) }),
		onBoth("another host", certificate(func(c *x509.Certificate) { c.DNSNames = []string{"portal.corp"} }),
			"the TLS certificate is for portal.corp: check the DNS", "TLS 证书属于 portal.corp：请检查 DNS", none),
		onBoth("expired", certificate(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().AddDate(-2, 0, 0), time.Now().AddDate(-1, 0, 0)
		}), "the TLS certificate is valid 20*: renew it, or set this machine's date (", "TLS 证书的有效期为 20*：请更换证书，或校正本机日期（", none),
		onBoth("not TLS", func(t *testing.T, s setup) {
			var l live
			l.start(t, s)
			l.service = httptest.NewServer(s.server)
			t.Cleanup(l.service.Close)
			l.startProxy(s)
		}, "the port speaks HTTP, not HTTPS", "该端口为 HTTP 而非 HTTPS", none),
		{
			name: "large ClientHello is dropped",
			change: func(t *testing.T, s setup) {
				l := &live{tunnel: dropLarge}
				l.startPlain(t, s)
			},
			en: timeoutEN, zh: timeoutZH,
			fix:  func(_ *testing.T, s setup) { s.env["GODEBUG"] = "tlsmlkem=0" },
			slow: true,
		},
	})
}

func TestDoctor_gateways(t *testing.T) {
	onMain := func(name string, change func(*testing.T, setup), en, zh string) brokenSetup {
		return brokenSetup{
			name: name, change: change,
			en:  []string{"main host: http://127.0.0.1:*: " + en},
			zh:  []string{"主域名：http://127.0.0.1:*：" + zh},
			fix: direct,
		}
	}
	forbidden := "<html><head><title>403 Forbidden</title></head></html>"
	testBrokenSetups(t, []brokenSetup{
		onMain("redirect to a login page", page(302, "Location: https://login.corp/sso?from=x", ""),
			"a gateway answered, not WeChat Pay (302 → https://login.corp): check proxy, gateway and WECHATPAY_BASE_URL",
			"应答来自网关，而非微信支付（302 → https://login.corp）：请检查代理、网关和 WECHATPAY_BASE_URL"),
		onMain("403 page", page(403, html, forbidden),
			"a gateway answered, not WeChat Pay (403, 403 Forbidden)", "应答来自网关，而非微信支付（403, 403 Forbidden）"),
		onMain("407", page(407, "Proxy-Authenticate: Basic", ""),
			"a gateway answered, not WeChat Pay (407)", "应答来自网关，而非微信支付（407）"),
		onMain("502 page", page(502, html, "<html>\r\n<h1>502</h1></html>"),
			"a gateway answered, not WeChat Pay (502)", "应答来自网关，而非微信支付（502）"),
		onMain("200 page", page(200, html, "<!DOCTYPE html><title>Welcome</title>"),
			"a gateway answered, not WeChat Pay (200, Welcome)", "应答来自网关，而非微信支付（200, Welcome）"),
		{
			name: "POST is redirected",
			change: requests(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPost {
					pageHandler(302, "Location: https://login.corp/sso", "")(w, r)
				}
				return r.Method == http.MethodPost
			}),
			en:  []string{"signature self-test: a gateway answered, not WeChat Pay (302, → https://login.corp/sso): check"},
			zh:  []string{"签名自检：应答来自网关，而非微信支付（302, → https://login.corp/sso）：请检查"},
			fix: direct,
		},
		{
			name: "POST is blocked",
			change: requests(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPost {
					pageHandler(403, html, forbidden)(w, r)
				}
				return r.Method == http.MethodPost
			}),
			en:  []string{"signature self-test: a gateway answered, not WeChat Pay (403, 403 Forbidden)"},
			zh:  []string{"签名自检：应答来自网关，而非微信支付（403, 403 Forbidden）"},
			fix: direct,
		},
		inCalls("another API", page(401, "Content-Type: application/json", `{"message":"Unauthorized"}`),
			"a gateway answered, not WeChat Pay (401, Unauthorized)", "应答来自网关，而非微信支付（401, Unauthorized）", direct),
		inCalls("Authorization removed", requests(func(_ http.ResponseWriter, r *http.Request) bool {
			r.Header.Del("Authorization")
			return false
		}), "a proxy or gateway removed or changed the Authorization header: make it forward the header unchanged",
			"代理或网关删除或修改了 Authorization 头：请让其原样转发", direct),
		inCalls("Authorization replaced", requests(func(_ http.ResponseWriter, r *http.Request) bool {
			r.Header.Set("Authorization", "Basic dXNlcjpodW50ZXIy")
			return false
		}), "a proxy or gateway removed or changed the Authorization header",
			"代理或网关删除或修改了 Authorization 头", direct),
		{
			name: "body of requests changed",
			change: requests(func(_ http.ResponseWriter, r *http.Request) bool {
				body, _ := io.ReadAll(r.Body)
				if len(body) > 0 {
					body = append(body, '\n')
				}
				r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
				return false
			}),
			en:  []string{"signature self-test: the signature does not match, but private key and certificate do: a proxy or gateway changed"},
			zh:  []string{"签名自检：请求签名不匹配，但商户私钥与证书匹配：代理或网关修改了请求"},
			fix: direct,
		},
		{
			name: "query removed",
			change: requests(func(_ http.ResponseWriter, r *http.Request) bool {
				r.RequestURI, _, _ = strings.Cut(r.RequestURI, "?")
				r.URL.RawQuery = ""
				return false
			}),
			en:  []string{"list of complaints: the signature does not match, but private key and certificate do: a proxy or gateway changed path"},
			zh:  []string{"查询投诉单列表：请求签名不匹配，但商户私钥与证书匹配：代理或网关修改了请求的路径"},
			fix: direct,
		},
		{
			name: "requests repeated",
			change: front(func(server *wechatpaytest.Server) http.HandlerFunc {
				return func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					var last *httptest.ResponseRecorder
					for range 2 {
						r.Body = io.NopCloser(bytes.NewReader(body))
						last = httptest.NewRecorder()
						server.ServeHTTP(last, r)
					}
					copyResponse(w, last)
				}
			}),
			en:  []string{"signature self-test: the request arrived twice: check that proxy and gateway do not repeat requests"},
			zh:  []string{"签名自检：同一请求到达了两次：请检查代理和网关是否会重发请求"},
			fix: direct,
		},
		inCalls("signature headers removed", responses(func(h http.Header, body []byte) []byte {
			for name := range h {
				if strings.HasPrefix(name, "Wechatpay-") {
					h.Del(name)
				}
			}
			return body
		}), "the response has no valid signature headers: a gateway answered or removed them",
			"应答没有有效的签名头：应答来自网关，或网关删除了签名头", direct),
		inCalls("one signature header removed", responses(func(h http.Header, body []byte) []byte {
			h.Del("Wechatpay-Nonce")
			return body
		}), "the response has no valid signature headers", "应答没有有效的签名头", direct),
		inCalls("body of responses changed", responses(func(_ http.Header, body []byte) []byte {
			var indented bytes.Buffer
			if json.Indent(&indented, body, "", " ") != nil {
				return body
			}
			return indented.Bytes()
		}), "a proxy or gateway changed the body of the response: make it forward bodies unchanged",
			"应答正文被代理或网关修改：请让其原样转发", direct),
		inCalls("compressed with brotli", responses(func(h http.Header, body []byte) []byte {
			h.Set("Content-Encoding", "br")
			return append([]byte{0x8b, 0x03, 0x80}, body...)
		}), "a proxy compresses responses in a way that the SDK cannot undo: turn it off (only gzip is supported)",
			"代理压缩了应答，SDK 无法解压：请关闭代理的压缩（仅支持 gzip）", direct),
		{
			name: "compressed with gzip",
			change: responses(func(h http.Header, body []byte) []byte {
				h.Set("Content-Encoding", "gzip")
				var compressed bytes.Buffer
				w := gzip.NewWriter(&compressed)
				_, _ = w.Write(body)
				w.Close()
				return compressed.Bytes()
			}),
			note: "compression: a proxy compresses responses (gzip); the SDK decompresses them, no action is needed",
		},
		{
			name: "responses cached",
			change: func() func(*testing.T, setup) {
				cache := map[string]*httptest.ResponseRecorder{}
				return front(func(server *wechatpaytest.Server) http.HandlerFunc {
					return func(w http.ResponseWriter, r *http.Request) {
						key := r.Method + r.URL.Path
						if r.Method != http.MethodPost {
							server.ServeHTTP(w, r)
							return
						}
						if cache[key] == nil {
							cache[key] = httptest.NewRecorder()
							server.ServeHTTP(cache[key], r)
						}
						copyResponse(w, cache[key])
					}
				})
			}(),
			en: []string{"encryption self-test: the response does not match the request: a proxy or gateway caches or mixes up responses"},
			zh: []string{"加密自检：应答与请求不符：代理或网关缓存或混淆了应答"},
		},
		inCalls("old responses", func(_ *testing.T, s setup) {
			s.server.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultOld, Probability: 1})
		}, "the response was signed 15m0s ago: a proxy or gateway caches responses", "应答是 15m0s 之前签名的：代理或网关缓存了应答", clearFaults),
		inCalls("connections dropped", func(_ *testing.T, s setup) {
			s.server.AddFault(wechatpaytest.Fault{Path: "complaints-v2", Kind: wechatpaytest.FaultDrop, Probability: 1})
			s.server.AddFault(wechatpaytest.Fault{Path: "echo", Kind: wechatpaytest.FaultDrop, Probability: 1})
		}, "the connection was closed: check firewall, proxy and gateway", "连接被断开：请检查防火墙、代理和网关", clearFaults),
		{
			name: "test of WeChat Pay",
			change: func(_ *testing.T, s setup) {
				s.server.AddFault(wechatpaytest.Fault{Path: "echo", Kind: wechatpaytest.FaultProbe, Times: 2})
			},
			note: "signature self-test: WeChat Pay sent a wrong signature as a test",
		},
	})
}

func clearFaults(_ *testing.T, s setup) { s.server.ClearFaults() }

func copyResponse(w http.ResponseWriter, recorder *httptest.ResponseRecorder) {
	for name, values := range recorder.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(recorder.Code)
	_, _ = w.Write(recorder.Body.Bytes())
}
