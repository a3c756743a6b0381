package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// gateway starts an internal gateway to the server, below /wechatpay.
func gateway(t *testing.T, s setup) (url string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/wechatpay/", func(w http.ResponseWriter, r *http.Request) {
		r.RequestURI = strings.TrimPrefix(r.RequestURI, "/wechatpay")
		http.StripPrefix("/wechatpay", s.server).ServeHTTP(w, r)
	})
	relay := httptest.NewServer(mux)
	t.Cleanup(relay.Close)
	return relay.URL + "/wechatpay"
}

func TestDoctor_relay(t *testing.T) {
	use := func(t *testing.T, s setup) {
		delete(s.env, "WECHATPAY_BASE_URL")
		s.env["WECHATPAY_RELAY_URL"] = gateway(t, s)
	}
	baseURL := func(value string) brokenSetup {
		return brokenSetup{
			name:   "base URL " + value,
			change: set("BASE_URL", value),
			en:     []string{"URL: WECHATPAY_BASE_URL is invalid: use https and a host, without a path; for an internal gateway, set WECHATPAY_RELAY_URL"},
			zh:     []string{"服务地址：WECHATPAY_BASE_URL 无效：应为 https 协议和域名，不含路径；内部网关请设置 WECHATPAY_RELAY_URL"},
			fix:    use,
		}
	}
	setups := []brokenSetup{
		{name: "works", change: use},
		{
			name: "not running",
			change: func(t *testing.T, s setup) {
				use(t, s)
				s.env["WECHATPAY_RELAY_URL"] = closedAddress(t)
			},
			en:  []string{"relay: http://127.0.0.1:*: connection refused: check address, port and firewall"},
			zh:  []string{"内部网关：http://127.0.0.1:*：连接被拒绝：请检查地址、端口和防火墙"},
			fix: use,
		},
		inCalls("wrong path", func(t *testing.T, s setup) {
			use(t, s)
			s.env["WECHATPAY_RELAY_URL"] += "2"
		}, "a gateway answered, not WeChat Pay (404, 404 page not found): check proxy, gateway and WECHATPAY_RELAY_URL",
			"应答来自网关，而非微信支付（404, 404 page not found）：请检查代理、网关和 WECHATPAY_RELAY_URL", use),
		baseURL("https://gateway.corp/wechatpay"),
		baseURL("http://10.0.0.5:8080"),
	}
	for _, value := range []string{"gateway/wechatpay", "ftp://gateway", "https://user:hunter2@gateway", "https://gateway?a=b", "https://"} {
		setups = append(setups, brokenSetup{
			name:   value,
			change: set("RELAY_URL", value),
			en:     []string{"relay: WECHATPAY_RELAY_URL is invalid: use a URL without a password or query"},
			zh:     []string{"内部网关：WECHATPAY_RELAY_URL 无效：应为不含密码和参数的 URL"},
			fix:    use,
		})
	}
	testBrokenSetups(t, setups)
}

// Commands use the relay too.
func TestApp_connect_relay(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	s := setup{server, server.Config(), settings(t, server.Config())}
	delete(s.env, "WECHATPAY_BASE_URL")
	s.env["WECHATPAY_RELAY_URL"] = gateway(t, s)
	got := run(t, s.env, "show", id)
	require.Equal(t, exitDone, got.status, got.stderr)
	require.Contains(t, got.stdout, id)
	got = run(t, s.env, "approve", id, "-yes")
	require.Equal(t, exitDone, got.status, got.stderr)
	require.Len(t, applied(server), 1)

	s.env["WECHATPAY_RELAY_URL"] = "https://user:hunter2@gateway"
	got = run(t, s.env, "list")
	require.Equal(t, exitUsage, got.status)
	require.Contains(t, got.stderr, "WECHATPAY_RELAY_URL is invalid")
	require.NotContains(t, got.stderr, "hunter2")
	require.Equal(t, exitDone, run(t, s.env, "list", "-mock").status)
}
