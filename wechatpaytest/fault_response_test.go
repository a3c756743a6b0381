package wechatpaytest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func TestFaultGatewayPage_status(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	for _, status := range []int{302, 400, 401, 403, 404, 407, 408, 429, 499, 502, 504} {
		s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultGatewayPage, Status: status})
		require.Equal(t, status, s.Faults()[0].Status)
		r := do(t, s, status, "POST", decide, approve)
		require.Equal(t, "text/html", r.Header.Get("Content-Type"))
		require.Contains(t, string(r.body), fmt.Sprintf("<title>%d ", status))
		require.NotContains(t, string(r.body), "code")
		require.Empty(t, r.Header.Get("Wechatpay-Signature"))
		require.Equal(t, status == 302, r.Header.Get("Location") != "")
		require.Equal(t, status == 407, r.Header.Get("Proxy-Authenticate") != "")
	}
	require.Len(t, s.History(id), 1, "no decision took effect")
}

// The gateway kinds can take effect on a decision, a 429 too.
func TestFault_takesEffect(t *testing.T) {
	for kind, status := range map[wechatpaytest.FaultKind]int{
		wechatpaytest.FaultBusy429:     429,
		wechatpaytest.FaultError500:    500,
		wechatpaytest.FaultHTML502:     502,
		wechatpaytest.FaultGatewayPage: 403,
	} {
		s := newServer(t)
		addComplaint(s)
		s.AddFault(wechatpaytest.Fault{Kind: kind, TakesEffect: true})
		do(t, s, status, "POST", decide, approve)
		require.True(t, lastRequest(s).TookEffect, kind)
		require.Equal(t, "MERCHANT_APPROVE_REFUND", operateTypes(s, id)[1], kind)
		do(t, s, 400, "POST", decide, approve)
	}
}

func TestFaultSwitching(t *testing.T) {
	for _, takesEffect := range []bool{false, true} {
		s := newServer(t)
		addComplaint(s)
		s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultSwitching, TakesEffect: takesEffect})
		resp, err := httpClient.Do(newRequest(s, "POST", decide, approve).build(t, s))
		require.NoError(t, err)
		require.Equal(t, 101, resp.StatusCode)
		require.Equal(t, takesEffect, lastRequest(s).TookEffect)
		read := make(chan error, 1)
		go func() {
			_, err := io.ReadAll(resp.Body)
			read <- err
		}()
		if takesEffect {
			closeInTime(t, s) // ends the connection
			require.NoError(t, <-read)
		} else {
			do(t, s, 204, "POST", decide, approve)
			require.Empty(t, read, "the connection stays open")
			require.NoError(t, resp.Body.Close())
			require.Error(t, <-read)
		}
	}
}

func TestFaultMixedUp(t *testing.T) {
	mixedUp := func(t *testing.T, s *wechatpaytest.Server, method, target, body string) map[string]any {
		s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultMixedUp})
		r := do(t, s, 200, method, target, body)
		require.True(t, r.signedBy(s.Config().PublicKey))
		require.Equal(t, wechatpaytest.FaultMixedUp, lastRequest(s).Fault)
		return r.json(t)
	}
	s := newServer(t)
	addComplaint(s)
	invented := mixedUp(t, s, "GET", path, "")
	require.NotEqual(t, id, invented["complaint_id"], "there is no other complaint")
	order := invented["complaint_order_info"].([]any)[0].(map[string]any)
	require.NotEqual(t, "4200001", order["transaction_id"])
	require.Equal(t, "4200001", getComplaint(t, s).ComplaintOrderInfo[0].TransactionID)

	s.AddComplaint(wechatpay.Complaint{ComplaintID: "foreign", ComplaintedMchID: "1900000009"})
	s.AddComplaint(wechatpay.Complaint{ComplaintID: "other"})
	require.Equal(t, "other", mixedUp(t, s, "GET", path, "")["complaint_id"])
	require.Equal(t, id, mixedUp(t, s, "GET", complaints+"/other", "")["complaint_id"])
	require.Equal(t, id, mixedUp(t, s, "GET", complaints+"/unknown", "")["complaint_id"])

	const today = complaints + "?begin_date=2026-03-04&end_date=2026-03-04"
	require.EqualValues(t, 10, mixedUp(t, s, "GET", today, "")["offset"])
	require.EqualValues(t, 5, mixedUp(t, s, "GET", today+"&limit=5&offset=0", "")["offset"])
	require.EqualValues(t, 0, mixedUp(t, s, "GET", today+"&limit=5&offset=5", "")["offset"])
	require.EqualValues(t, 100, mixedUp(t, s, "GET", path+"/negotiation-historys?limit=100", "")["offset"])

	first := mixedUp(t, s, "POST", refunds, refundOf("r1", 40))
	require.NotEqual(t, "r1", first["out_refund_no"])
	require.NotEqual(t, "4200001", first["transaction_id"])
	require.Len(t, s.Refunds(), 1, "the request takes effect")
	require.NotEqual(t, "r1", mixedUp(t, s, "GET", refunds+"/r1", "")["out_refund_no"])
	require.Equal(t, "r1", mixedUp(t, s, "GET", refunds+"/r2", "")["out_refund_no"], "r2 does not exist")
}

// It waits for a response that names what it is about.
func TestFaultMixedUp_notApplicable(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultMixedUp})
	do(t, s, 204, "POST", decide, approve)
	do(t, s, 200, "GET", "/v3/certificates", "")
	require.Empty(t, lastRequest(s).Fault)
	require.Len(t, s.Faults(), 1)
	// The response to a request that is not authorized stays as it is.
	require.Equal(t, 401, unsigned(s, "GET", path, ""))
}

func TestFaultReplay(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	s.AddComplaint(wechatpay.Complaint{ComplaintID: "other"})
	replay := func(takesEffect bool) {
		s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultReplay, TakesEffect: takesEffect})
	}
	replay(false)
	first := do(t, s, 204, "POST", decide, approve)
	require.Len(t, s.Faults(), 1, "it waits for a response to replay")

	second := do(t, s, 204, "POST", complaints+"/other/update-refund-progress", approve)
	require.Equal(t, first.Header, second.Header)
	require.Len(t, s.History("other"), 1, "it took no effect")
	require.Equal(t, wechatpaytest.FaultReplay, lastRequest(s).Fault)

	replay(true)
	third := do(t, s, 204, "POST", complaints+"/other/update-refund-progress", approve)
	require.Equal(t, first.Header, third.Header)
	require.Len(t, s.History("other"), 2)
	require.True(t, lastRequest(s).TookEffect)

	first = do(t, s, 200, "GET", path, "")
	own := do(t, s, 200, "GET", path, "")
	replay(false)
	mixed := do(t, s, 200, "GET", complaints+"/other", "")
	require.Equal(t, own.body, mixed.body, "the latest of this endpoint")
	require.Equal(t, own.Header, mixed.Header)

	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultReplay, Probability: 1})
	for range 2 {
		require.Equal(t, first.Header, do(t, s, 200, "GET", path, "").Header, "the first of this endpoint")
	}

	s.Reset()
	addComplaint(s)
	replay(false)
	do(t, s, 200, "GET", path, "")
	require.Len(t, s.Faults(), 1, "Reset forgets the responses")
}

// Rejections, unsigned responses and those with a fault are not replayed.
func TestFaultReplay_successesOnly(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	do(t, s, 404, "GET", complaints+"/unknown", "")
	for _, kind := range []wechatpaytest.FaultKind{
		wechatpaytest.FaultForged,
		wechatpaytest.FaultUnsigned,
		wechatpaytest.FaultOld,
		wechatpaytest.FaultMixedUp,
		wechatpaytest.FaultError500,
	} {
		s.AddFault(wechatpaytest.Fault{Kind: kind})
		newRequest(s, "GET", path, "").send(t, s)
	}
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultReplay})
	do(t, s, 200, "GET", path, "")
	require.Len(t, s.Faults(), 1)
}

func TestFaultStatus200(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultStatus200, Times: 2})
	do(t, s, 204, "POST", decide, approve)
	require.Empty(t, lastRequest(s).Fault, "it waits for an error response")

	r := do(t, s, 200, "POST", decide, approve)
	require.Equal(t, "INVALID_REQUEST", r.code(t))
	require.True(t, r.signedBy(s.Config().PublicKey))
	require.Equal(t, wechatpaytest.FaultStatus200, lastRequest(s).Fault)
	require.Equal(t, 400, lastRequest(s).StatusCode)

	r = do(t, s, 200, "GET", refunds+"/r1", "")
	require.Equal(t, "RESOURCE_NOT_EXISTS", r.code(t))
	do(t, s, 404, "GET", refunds+"/r1", "")
}

// The later draw of FaultStatus200 depends on the request alone.
func TestFaultStatus200_probability(t *testing.T) {
	run := func() (statuses []int) {
		s := newServer(t)
		s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultStatus200, Probability: 0.5, Seed: 3})
		for range 20 {
			statuses = append(statuses, newRequest(s, "GET", path, "").send(t, s).StatusCode)
		}
		return statuses
	}
	first := run()
	require.Contains(t, first, 200)
	require.Contains(t, first, 404)
	require.Equal(t, first, run())
}

// Each response and each notification has a nonce of its own.
func TestServer_ServeHTTP_nonces(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	seen := map[string]bool{}
	check := func(h http.Header) {
		nonce := h.Get("Wechatpay-Nonce")
		require.Len(t, nonce, 32)
		require.False(t, seen[nonce])
		seen[nonce] = true
	}
	for range 5 {
		check(do(t, s, 200, "GET", path, "").Header)
		check(do(t, s, 404, "GET", complaints+"/unknown", "").Header)
		check(do(t, s, 204, "POST", path+"/response", reply).Header)
		n := wechatpaytest.Notification{ID: "1", EventType: "COMPLAINT.CREATE", ComplaintID: id}
		req, err := s.NewNotification(context.Background(), "http://127.0.0.1/", n)
		require.NoError(t, err)
		check(req.Header)
	}
	require.Len(t, seen, 20)
	require.NotContains(t, strings.Join(operateTypes(s, id), " "), "MERCHANT_APPROVE_REFUND")
}
