package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

func TestControl_merchants(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir)
	require.Equal(t, `{"data":[]}`, m.raw(t, "GET", "/_mock/merchants", ""))
	added := ok[map[string]string](t, m, 201, "POST", "/_mock/merchants", `{"mchid":"1900000002","sub_mchids":["1900000109"]}`)
	env := filepath.Join(dir, "1900000002", envFile)
	require.Equal(t, map[string]string{"mchid": "1900000002", "env": env}, added)
	require.Equal(t, []merchant{{MchID: "1900000002", Env: env}}, data[merchant](t, m, "/_mock/merchants"))
	require.Equal(t, os.FileMode(0o700), mode(t, filepath.Dir(env)))
	status, response := m.do(t, "POST", "/_mock/merchants", `{"mchid":"1900000002"}`)
	require.Equal(t, 409, status, response)

	ok[any](t, m, 204, "POST", "/_mock/reset", "")
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1"}`)
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"2","complainted_mchid":"1900000109"}`)
	first, second := newClient(t, dir), newClient(t, filepath.Dir(env))
	_, err := first.ComplaintsV2.Get(t.Context(), "1")
	require.NoError(t, err)
	_, err = second.ComplaintsV2.Get(t.Context(), "2")
	require.NoError(t, err)
	for client, id := range map[*wechatpay.Client]string{first: "2", second: "1"} {
		var rejected *wechatpay.APIError
		_, err := client.ComplaintsV2.Get(t.Context(), id)
		require.ErrorAs(t, err, &rejected)
		require.Equal(t, 403, rejected.StatusCode)
	}

	r := newReceiver(t)
	ok[any](t, m, 200, "PUT", "/_mock/notification-url", `{"url":"`+r.URL+`","mchid":"1900000002"}`)
	ok[any](t, m, 200, "POST", "/_mock/complaints/1/user-reply", `{"text":"?"}`)
	ok[any](t, m, 200, "POST", "/_mock/complaints/2/user-reply", `{"text":"?"}`)
	pending := data[pendingNotification](t, m, "/_mock/notifications")
	require.Len(t, pending, 1)
	require.Equal(t, "1900000002", pending[0].MchID)
	require.Equal(t, "2", pending[0].ComplaintID)
	ok[any](t, m, 200, "POST", "/_mock/notify", `{"mchid":"1900000002","event_type":"COMPLAINT.CREATE","complaint_id":"2","action_type":"X"}`)
	require.Len(t, r.bodies, 1)

	require.Equal(t, 0, m.stop())
	require.NoFileExists(t, env)
}

// In certificate mode there is no public key to write.
func TestControl_merchants_certificateMode(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir)
	ok[any](t, m, 200, "PATCH", "/_mock/behavior", `{"key_mode":"certificate"}`)
	ok[any](t, m, 201, "POST", "/_mock/merchants", `{"mchid":"1900000002"}`)
	require.NoFileExists(t, filepath.Join(dir, "1900000002", publicKeyFile))
	loadEnv(t, filepath.Join(dir, "1900000002", envFile))
	require.Empty(t, os.Getenv("WECHATPAY_PUBLIC_KEY_FILE"))
}
