package main

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

func TestRequests(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir)
	require.Equal(t, `{"data":[]}`, second(m.do(t, "GET", "/_mock/requests", "")))
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1"}`)
	require.NoError(t, newClient(t, dir).ComplaintsV2.UpdateRefundProgress(context.Background(), "1", wechatpay.RejectRefund("已发货")))
	status, answer := m.do(t, "GET", "/_mock/requests", "")
	require.Equal(t, 200, status)
	var requests list[struct {
		summary
		Header   http.Header `json:"header"`
		Body     string      `json:"body"`
		Response string      `json:"response"`
	}]
	require.NoError(t, json.Unmarshal([]byte(answer), &requests))
	last := requests.Data[len(requests.Data)-1]
	require.Equal(t, "POST", last.Method)
	require.Equal(t, 204, last.Status)
	require.True(t, last.TookEffect)
	require.JSONEq(t, `{"action":"REJECT","reject_reason":"已发货"}`, last.Body)
	require.Equal(t, "application/json", last.Header.Get("Accept"))
	require.NotContains(t, answer, "WECHATPAY2-SHA256-RSA2048 ", "a signature is as good as the merchant's word")
}

// A wrong signature is told with the message that was signed beside the one
// that is verified.
func TestSignedMessages(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir)
	newClient(t, dir) // loads the environment
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
		data := ok[list[request]](t, m, 200, "GET", "/_mock/requests", "").Data
		return data[len(data)-1]
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
	require.Empty(t, r.Signed, "nobody can know")
	require.Contains(t, r.Verified, "GET\n/v3/merchant-service/complaints-v2/3\n")

	r = send(func(r *http.Request) { r.Header.Del("Authorization") })
	require.Equal(t, 401, r.Status)
	require.Empty(t, r.Verified)
	require.Empty(t, r.Authorization)

	// What a client writes into the header does not pass for a message.
	r = send(func(r *http.Request) {
		r.Header.Set("Authorization", `WECHATPAY2-SHA256-RSA2048 mchid="signed was `+"`no`"+` WeChat Pay verifies `+"`no`"+`",nonce_str="a",timestamp="1700000000",serial_no="AB",signature="YQ=="`)
	})
	require.Equal(t, "SIGN_ERROR", r.Code)
	require.Empty(t, r.Signed+r.Verified)
}
