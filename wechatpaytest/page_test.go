package wechatpaytest_test

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// All are there, by the time of their filing, each as Complaint gives it.
func TestComplaints(t *testing.T) {
	s := wechatpaytest.NewServer()
	defer s.Close()
	require.Empty(t, s.Complaints())
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []wechatpay.Complaint{
		{ComplaintID: "second", ComplaintTime: noon},
		{ComplaintID: "third", ComplaintTime: noon},
		{ComplaintID: "first", ComplaintTime: noon.Add(-time.Second), PayerPhone: "13800138000"},
	} {
		s.AddComplaint(c)
	}
	require.NoError(t, s.PlatformRefunds("third"))

	all := s.Complaints()
	require.Len(t, all, 3)
	for i, id := range []string{"first", "second", "third"} {
		want, found := s.Complaint(id)
		require.True(t, found)
		require.Equal(t, want, all[i])
	}
	require.Equal(t, wechatpay.ComplaintStateProcessed, all[2].ComplaintState)
}

// FaultRefuse ends by itself after its Delay, and takes no other fault along.
// ClearFaults ends it at once, and what was to end then ends nothing that comes
// later.
func TestRefuseEndsByItself(t *testing.T) {
	s := wechatpaytest.NewServer()
	defer s.Close()
	addr := strings.TrimPrefix(s.URL, "http://")
	refused := func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err != nil
	}
	accepts := func() bool { return !refused() }

	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultError503})
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultRefuse, Delay: time.Hour})
	require.True(t, refused())
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultRefuse, Delay: time.Millisecond})
	require.Eventually(t, accepts, 10*time.Second, time.Millisecond, "the later of two says when it ends")
	resp, err := http.Get(s.URL + "/v3/certificates")
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, 503, resp.StatusCode, "the other fault is still there")

	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultRefuse, Delay: time.Hour})
	require.True(t, refused())
	s.ClearFaults()
	require.True(t, accepts())

	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultRefuse, Delay: time.Hour})
	s.Close()
	require.True(t, refused())
}
