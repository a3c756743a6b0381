package main

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func TestControl_reset(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir, "-seed", writeSeed(t, `[{"complaint_id":"1"}]`))
	before := m.raw(t, "GET", "/_mock/behavior", "")
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"2"}`)
	ok[any](t, m, 200, "POST", "/_mock/complaints/1/merchant-decision", `{"action":"REJECT"}`)
	ok[any](t, m, 200, "PATCH", "/_mock/behavior", `{"path_in_body":false,"max_page":1,"sub_mchids":["1900000109"]}`)
	ok[any](t, m, 201, "POST", "/_mock/faults", `{"kind":"drop","times":3}`)
	require.Equal(t, []fault{{Kind: wechatpaytest.FaultDrop, Times: 3}}, data[fault](t, m, "/_mock/faults"))

	status, _ := m.do(t, "POST", "/_mock/reset", "")
	require.Equal(t, 204, status)
	complaints := data[wechatpay.Complaint](t, m, "/_mock/complaints")
	require.Len(t, complaints, 1)
	require.Equal(t, wechatpay.ComplaintStatePending, complaints[0].ComplaintState)
	require.Empty(t, data[fault](t, m, "/_mock/faults"))
	require.Equal(t, before, m.raw(t, "GET", "/_mock/behavior", ""))
	_, err := newClient(t, dir).ComplaintsV2.Get(t.Context(), "1")
	require.NoError(t, err, "keys stay")
	require.Contains(t, m.stderr.String(), "GET /v3/merchant-service/complaints-v2/1", "requests are still logged")
}

// Clients and receivers use the real time. They keep working when the server's
// clock advances.
func TestControl_clock(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir)
	client := newClient(t, dir)
	receiver := httptest.NewServer(client.NotificationHandler(func(context.Context, *wechatpay.Notification) error { return nil }))
	defer receiver.Close()
	ok[any](t, m, 200, "PUT", "/_mock/notification-url", `{"url":"`+receiver.URL+`"}`)
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1"}`)
	before := ok[struct{ Now time.Time }](t, m, 200, "GET", "/_mock/clock", "").Now
	ok[any](t, m, 200, "POST", "/_mock/clock", `{"advance_ms":3600000}`)
	require.Greater(t, ok[struct{ Now time.Time }](t, m, 200, "GET", "/_mock/clock", "").Now.Sub(before), 59*time.Minute)
	_, err := client.ComplaintsV2.Get(context.Background(), "1")
	require.NoError(t, err)
	delivered := ok[list[delivery]](t, m, 200, "POST", "/_mock/notifications/deliver", "").Data
	require.Len(t, delivered, 1)
	require.Equal(t, 200, delivered[0].Status, delivered[0].Body)
}

func TestControl_certificates(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir)
	client, ctx := newClient(t, dir), context.Background()
	serials := func() []string {
		var response struct {
			Data []struct {
				SerialNo string `json:"serial_no"`
			}
		}
		require.NoError(t, client.Do(ctx, "GET", "/v3/certificates", nil, &response))
		var all []string
		for _, entry := range response.Data {
			all = append(all, entry.SerialNo)
		}
		return all
	}
	first := serials()
	require.Len(t, first, 1)
	announced := ok[map[string]string](t, m, 200, "POST", "/_mock/certificates/announce", "")["serial_no"]
	require.Equal(t, []string{first[0], announced}, serials())
	require.Equal(t, announced, ok[map[string]string](t, m, 200, "POST", "/_mock/certificates/rotate", "")["serial_no"])
	next := ok[map[string]string](t, m, 200, "POST", "/_mock/certificates/rotate", "{}")["serial_no"]
	require.Equal(t, []string{first[0], announced, next}, serials())
}
