package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

func TestControl_refunds(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir)
	require.Equal(t, `{"data":[]}`, m.raw(t, "GET", "/_mock/refunds", ""))
	client := newClient(t, dir)
	for _, test := range []struct{ number, step, status string }{
		{"refund-1", "arrive", "SUCCESS"},
		{"refund-2", "close", "CLOSED"},
		{"refund|*@3", "abnormal", "ABNORMAL"},
	} {
		complaint := ok[wechatpay.Complaint](t, m, 201, "POST", "/_mock/complaints", "{}")
		createRefund(t, client, complaint.ComplaintOrderInfo[0].TransactionID, test.number)
		changed := ok[refund](t, m, 200, "POST", "/_mock/refunds/"+strings.ReplaceAll(test.number, "|", "%7C")+"/"+test.step, "")
		require.Equal(t, test.number, changed.OutRefundNo)
		require.Equal(t, test.status, changed.Status)
		require.EqualValues(t, 100, changed.Amount)
	}
	require.Len(t, data[refund](t, m, "/_mock/refunds"), 3)
}
