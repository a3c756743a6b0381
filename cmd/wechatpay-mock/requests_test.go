package main

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

func TestControl_requests(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir)
	require.Equal(t, `{"data":[]}`, m.raw(t, "GET", "/_mock/requests", ""))
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1"}`)
	require.NoError(t, newClient(t, dir).ComplaintsV2.UpdateRefundProgress(context.Background(), "1", wechatpay.RejectRefund("已发货")))
	response := m.raw(t, "GET", "/_mock/requests", "")
	var requests list[request]
	require.NoError(t, json.Unmarshal([]byte(response), &requests))
	last := requests.Data[len(requests.Data)-1]
	require.Equal(t, "POST", last.Method)
	require.Equal(t, 204, last.Status)
	require.True(t, last.TookEffect)
	require.JSONEq(t, `{"action":"REJECT","reject_reason":"已发货"}`, last.Body)
	require.Equal(t, "application/json", last.Header.Get("Accept"))
	require.NotContains(t, response, "WECHATPAY2-SHA256-RSA2048 ", "signatures are secret")
}

// Nothing that may be secret is shown, not even if it is in the wrong place.
func TestControl_requests_secrets(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	const (
		secret  = "c2VjcmV0LXNpZ25hdHVyZQ=="
		valid   = `mchid="1900000001",nonce_str="n",timestamp="1772596800",serial_no="AB",signature="` + secret + `"`
		prefix  = "WECHATPAY2-SHA256-RSA2048 "
		longest = secret + secret + secret
	)
	for _, header := range []http.Header{
		{"Authorization": {prefix + valid}},
		{"Authorization": {"Bearer " + secret}},
		{"Authorization": {secret}},
		{"Authorization": {prefix + `mchid="1900000001",signature=` + secret}},
		{"Authorization": {prefix + `mchid="1900000001"; signature="` + secret + `"`}},
		{"Authorization": {prefix + `mchid="` + longest + `",nonce_str="n",timestamp="1772596800",serial_no="AB",signature="YQ=="`}},
		{"Authorization": {prefix + `mchid="1900000001",nonce_str="n",timestamp="` + secret + `",serial_no="AB",signature="YQ=="`}},
		{"Authorization": {prefix + `mchid="1900000001",nonce_str="n",timestamp="1772596800",serial_no="` + secret + `",signature="YQ=="`}},
		{"Authorization": {prefix + secret + `="1"`}},
		{"Authorization": {prefix + valid, secret}},
		{"Cookie": {"session=" + secret}},
		{"Proxy-Authorization": {"Basic " + secret}},
		{"X-Api-Key": {secret}},
	} {
		req, err := http.NewRequest("GET", m.url+"/v3/certificates", nil)
		require.NoError(t, err)
		header.Set("Accept", "application/json")
		req.Header = header
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.Equal(t, 401, resp.StatusCode)
		require.NotContains(t, string(readBody(t, resp)), secret, header)
	}
	for _, shown := range []string{m.raw(t, "GET", "/_mock/requests", ""), m.raw(t, "GET", "/_mock/page", ""), m.stderr.String()} {
		require.NotContains(t, shown, secret)
	}
	requests := data[request](t, m, "/_mock/requests")
	require.Equal(t, map[string]string{"mchid": "1900000001", "nonce_str": "n", "timestamp": "1772596800", "serial_no": "AB"},
		requests[0].Authorization)
	require.Empty(t, requests[3].Authorization, "malformed")
	require.Equal(t, []string{"(hidden)"}, requests[10].Header["Cookie"])
	require.Equal(t, []string{"application/json"}, requests[10].Header["Accept"])
}

// For a wrong signature, the log has the string that was signed and the string
// that the server verifies.
func TestControl_requests_wrongSignature(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir)
	loadEnv(t, filepath.Join(dir, envFile))
	cfg, err := wechatpay.ConfigFromEnv()
	require.NoError(t, err)
	send := func(change func(*http.Request)) request {
		cfg.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			change(r)
			return http.DefaultTransport.RoundTrip(r)
		})
		client, err := wechatpay.NewClient(cfg)
		require.NoError(t, err)
		_, err = client.ComplaintsV2.Get(t.Context(), `1"2`)
		require.Error(t, err)
		requests := data[request](t, m, "/_mock/requests")
		return requests[len(requests)-1]
	}

	r := send(func(r *http.Request) { r.URL.RawQuery = "a=b" })
	require.Equal(t, "SIGN_ERROR", r.Code)
	attributes := r.Authorization
	tail := attributes["timestamp"] + "\n" + attributes["nonce_str"] + "\n\n"
	require.Equal(t, "GET\n/v3/merchant-service/complaints-v2/1%222\n"+tail, r.Signed)
	require.Equal(t, "GET\n/v3/merchant-service/complaints-v2/1%222?a=b\n"+tail, r.Verified)
	require.Equal(t, cfg.MchID, attributes["mchid"])
	require.Len(t, attributes, 4)
	require.NotContains(t, attributes, "signature")

	r = send(func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/v3/merchant-service/complaints-v2/3", "" })
	require.Equal(t, "SIGN_ERROR", r.Code)
	require.Empty(t, r.Signed, "not recognized")
	require.Contains(t, r.Verified, "GET\n/v3/merchant-service/complaints-v2/3\n")

	r = send(func(r *http.Request) { r.Header.Del("Authorization") })
	require.Equal(t, 401, r.Status)
	require.Empty(t, r.Verified)
	require.Empty(t, r.Authorization)

	// Values of the header are not mistaken for strings to sign.
	r = send(func(r *http.Request) {
		r.Header.Set("Authorization", `WECHATPAY2-SHA256-RSA2048 mchid="signed `+"`a`"+`, verified `+"`b`"+`",nonce_str="a",timestamp="1700000000",serial_no="AB",signature="YQ=="`)
	})
	require.Equal(t, "SIGN_ERROR", r.Code)
	require.Empty(t, r.Signed+r.Verified)
}
