package main

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

func TestControl_faults(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir)
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1"}`)
	client, ctx := newClient(t, dir), context.Background()

	added := ok[map[string]any](t, m, 201, "POST", "/_mock/faults", `{"path":"update-refund-progress","kind":"lost_response","times":2,"seed":7}`)
	require.Equal(t, map[string]any{"path": "update-refund-progress", "kind": "lost_response", "times": 2.0, "probability": 0.0,
		"seed": 7.0, "delay_ms": 0.0, "takes_effect": false, "status": 0.0}, added)
	require.NoError(t, client.ComplaintsV2.UpdateRefundProgress(ctx, "1", wechatpay.ApproveRefund(0)), "found in the history")
	records := data[wechatpay.NegotiationRecord](t, m, "/_mock/complaints/1/history")
	require.Equal(t, wechatpay.OperateTypeMerchantApproveRefund, records[len(records)-1].OperateType)

	ok[any](t, m, 201, "POST", "/_mock/faults", `{"kind":"error_503","probability":1}`)
	ok[any](t, m, 204, "DELETE", "/_mock/faults", "")
	_, err := client.ComplaintsV2.Get(ctx, "1")
	require.NoError(t, err)
	for _, r := range data[summary](t, m, "/_mock/requests") {
		require.NotEqual(t, "error_503", string(r.Fault))
	}

	ok[any](t, m, 201, "POST", "/_mock/faults", `{"kind":"close_idle"}`)
	_, err = client.ComplaintsV2.Get(ctx, "1")
	require.NoError(t, err)
}

func TestControl_faults_refuse(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	addr := strings.TrimPrefix(m.url, "http://")
	ok[any](t, m, 201, "POST", "/_mock/faults", `{"kind":"refuse","delay_ms":3600000}`)
	_, err := net.Dial("tcp", addr)
	require.ErrorContains(t, err, "connection refused")

	// The connection of the first request is still open. A new delay replaces the old one.
	ok[any](t, m, 201, "POST", "/_mock/faults", `{"kind":"refuse","delay_ms":1}`)
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
}
