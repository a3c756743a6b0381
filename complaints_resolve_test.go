package wechatpay_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func resolve(client *wechatpay.Client, req *wechatpay.ResolveRequest) (*wechatpay.Resolution, error) {
	return client.ComplaintsV2.Resolve(context.Background(), testComplaintID, req)
}

func TestComplaintsV2_Resolve_approve(t *testing.T) {
	server, client := newFakeRefund(t)
	req := &wechatpay.ResolveRequest{Decision: wechatpay.ApproveRefund(0), Reply: "您好，退款已发起"}
	got, err := resolve(client, req)
	require.NoError(t, err)
	require.False(t, got.Done)
	require.Equal(t, wechatpay.ResolveStepRefundArrival, got.Next)
	require.Equal(t, []wechatpay.ResolveStep{"DECIDE", "REFUND", "REPLY"}, got.Steps)
	require.Len(t, server.Refunds(), 1)

	got, err = resolve(client, req)
	require.NoError(t, err)
	require.False(t, got.Done)
	require.Empty(t, got.Steps)

	require.NoError(t, server.SettleRefund(refundNo(1, 1), "SUCCESS"))
	got, err = resolve(client, req)
	require.NoError(t, err)
	require.True(t, got.Done)
	require.Empty(t, got.Steps)
	require.Equal(t, wechatpay.RefundStatusSuccess, got.Refund.Status)
}

func TestComplaintsV2_Resolve_reject(t *testing.T) {
	_, client := newFakeRefund(t)
	req := &wechatpay.ResolveRequest{Decision: wechatpay.RejectRefund("商品已使用"), Reply: "您好"}
	for _, steps := range [][]wechatpay.ResolveStep{{"DECIDE", "REPLY"}, nil} {
		got, err := resolve(client, req)
		require.NoError(t, err)
		require.True(t, got.Done)
		require.Equal(t, steps, got.Steps)
	}
}

func TestComplaintsV2_Resolve_decisionNotTaken(t *testing.T) {
	for name, tt := range map[string]struct {
		req   wechatpay.ResolveRequest
		steps []wechatpay.ResolveStep
	}{
		"approve": {wechatpay.ResolveRequest{Decision: wechatpay.ApproveRefund(0), Reply: "已退款"}, []wechatpay.ResolveStep{"REFUND", "REPLY", "COMPLETE"}},
		"reject":  {wechatpay.ResolveRequest{Decision: wechatpay.RejectRefund("已使用")}, []wechatpay.ResolveStep{"REPLY", "COMPLETE"}},
	} {
		t.Run(name, func(t *testing.T) {
			server, client := newFakeRefund(t)
			server.Configure(func(b *wechatpaytest.Behavior) { b.TrustedOnly = true })
			for _, steps := range [][]wechatpay.ResolveStep{tt.steps, nil} {
				got, err := resolve(client, &tt.req)
				require.NoError(t, err)
				require.True(t, got.Done)
				require.Equal(t, steps, got.Steps)
			}
		})
	}
}
