package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

func TestRefunds(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir)
	require.Equal(t, `{"data":[]}`, second(m.do(t, "GET", "/_mock/refunds", "")))
	client := newClient(t, dir)
	for _, test := range []struct{ number, step, status string }{
		{"refund-1", "arrive", "SUCCESS"},
		{"refund-2", "close", "CLOSED"},
		{"refund|*@3", "abnormal", "ABNORMAL"},
	} {
		complaint := ok[wechatpay.Complaint](t, m, 201, "POST", "/_mock/complaints", "{}")
		createRefund(t, client, complaint.ComplaintOrderInfo[0].TransactionID, test.number)
		settled := ok[refund](t, m, 200, "POST", "/_mock/refunds/"+strings.ReplaceAll(test.number, "|", "%7C")+"/"+test.step, "")
		require.Equal(t, test.number, settled.OutRefundNo)
		require.Equal(t, test.status, settled.Status)
		require.EqualValues(t, 100, settled.Amount)
	}
	require.Len(t, ok[list[refund]](t, m, 200, "GET", "/_mock/refunds", "").Data, 3)
}
