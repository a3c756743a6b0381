package wechatpaytest_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

type faultTest struct {
	status int // 0: no response
	effect bool
	signed bool
	code   string
	errIs  error
	check  func(t *testing.T, s *wechatpaytest.Server, r response)
}

func signaturePrefix(prefix string) func(*testing.T, *wechatpaytest.Server, response) {
	return func(t *testing.T, _ *wechatpaytest.Server, r response) {
		require.True(t, strings.HasPrefix(r.Header.Get("Wechatpay-Signature"), prefix))
	}
}

var faultTests = map[wechatpaytest.FaultKind]faultTest{
	wechatpaytest.FaultDrop:         {errIs: io.EOF},
	wechatpaytest.FaultLostResponse: {effect: true, errIs: io.EOF},
	wechatpaytest.FaultReset:        {effect: true, errIs: io.EOF},
	wechatpaytest.FaultCut:          {effect: true, errIs: io.ErrUnexpectedEOF},
	wechatpaytest.FaultSlow:         {status: 200, effect: true, signed: true},
	wechatpaytest.FaultBusy429: {status: 429, code: "FREQUENCY_LIMITED",
		check: func(t *testing.T, _ *wechatpaytest.Server, r response) {
			require.Equal(t, "0", r.Header.Get("Retry-After"))
		}},
	wechatpaytest.FaultError500: {status: 500, code: "SYSTEM_ERROR"},
	wechatpaytest.FaultError502: {status: 502, code: "SERVICE_UNAVAILABLE"},
	wechatpaytest.FaultError503: {status: 503, code: "SERVICE_UNAVAILABLE"},
	wechatpaytest.FaultHTML502: {status: 502,
		check: func(t *testing.T, _ *wechatpaytest.Server, r response) {
			require.Contains(t, string(r.body), "<html>")
		}},
	wechatpaytest.FaultGatewayPage: {status: 403,
		check: func(t *testing.T, _ *wechatpaytest.Server, r response) {
			require.Contains(t, string(r.body), "403 Forbidden")
		}},
	wechatpaytest.FaultMixedUp: {status: 200, effect: true, signed: true,
		check: func(t *testing.T, _ *wechatpaytest.Server, r response) {
			require.NotEqual(t, "https://example.com/n", r.json(t)["url"])
		}},
	wechatpaytest.FaultForged: {status: 200, effect: true,
		check: func(t *testing.T, s *wechatpaytest.Server, r response) {
			require.Equal(t, s.Config().PublicKeyID, r.Header.Get("Wechatpay-Serial"))
		}},
	wechatpaytest.FaultUnsigned: {status: 200, effect: true,
		check: func(t *testing.T, _ *wechatpaytest.Server, r response) {
			for name := range r.Header {
				require.False(t, strings.HasPrefix(name, "Wechatpay-"), name)
			}
		}},
	wechatpaytest.FaultProbe: {status: 200, effect: true, check: signaturePrefix("WECHATPAY/SIGNTEST/")},
	wechatpaytest.FaultOld: {status: 200, effect: true, signed: true,
		check: func(t *testing.T, _ *wechatpaytest.Server, r response) {
			require.Equal(t, fmt.Sprint(noon.Add(-15*time.Minute).Unix()), r.Header.Get("Wechatpay-Timestamp"))
		}},
}

func TestServer_AddFault(t *testing.T) {
	for kind, tt := range faultTests {
		for _, takesEffect := range []bool{false, true} {
			f := wechatpaytest.Fault{
				Path:        "complaint-notifications",
				Kind:        kind,
				Delay:       time.Millisecond,
				TakesEffect: takesEffect,
			}
			if takesEffect && f.Check() != nil {
				continue
			}
			tt.effect = tt.effect || takesEffect
			t.Run(fmt.Sprint(kind, " ", takesEffect), func(t *testing.T) { testFault(t, f, tt) })
		}
	}
}

func testFault(t *testing.T, f wechatpaytest.Fault, tt faultTest) {
	s := newServer(t)
	s.AddFault(f)
	r, err := newRequest(s, "POST", notificationURL, `{"url":"https://example.com/n"}`).try(t, s)
	log := s.Requests()
	require.Len(t, log, 1)
	require.Equal(t, f.Kind, log[0].Fault)
	require.Equal(t, tt.effect, log[0].TookEffect)
	if tt.errIs != nil {
		require.ErrorIs(t, err, tt.errIs)
	} else {
		require.NoError(t, err)
		require.Equal(t, tt.status, r.StatusCode)
		require.Equal(t, tt.signed, r.signedBy(s.Config().PublicKey))
	}
	if tt.code != "" {
		require.Equal(t, tt.code, r.code(t))
	}
	if tt.check != nil {
		tt.check(t, s, r)
	}
	// The fault applies once, and the URL exists if the request took effect.
	if tt.effect {
		do(t, s, 200, "GET", notificationURL, "")
	} else {
		do(t, s, 400, "GET", notificationURL, "")
	}
}

func TestFaultCut_emptyBody(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultCut})
	_, err := newRequest(s, "POST", decide, approve).try(t, s)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Len(t, s.History(id), 2)
}

func TestFault_path(t *testing.T) {
	targets := []string{
		complaints + "?begin_date=2026-03-04&end_date=2026-03-04",
		path,
		path + "/negotiation-historys",
		notificationURL,
	}
	for faultPath, want := range map[string][4]bool{ // for each target
		"":                             {true, true, true, true},
		complaints:                     {true, false, false, false},
		"GET " + complaints:            {true, false, false, false},
		complaints + "/{complaint_id}": {false, true, false, false},
		"negotiation-historys":         {false, false, true, false},
		"complaints-v2/":               {false, true, true, false},
		"GET ":                         {true, true, true, true},
		"POST ":                        {false, false, false, false},
		notificationURL:                {false, false, false, true},
		"POST " + notificationURL:      {false, false, false, false},
		"/" + id:                       {false, true, true, false},
	} {
		s := newServer(t)
		addComplaint(s)
		s.AddFault(wechatpaytest.Fault{Path: faultPath, Kind: wechatpaytest.FaultError503, Probability: 1})
		s.SetNotificationURL("https://example.com/")
		for i, target := range targets {
			status := newRequest(s, "GET", target, "").send(t, s).StatusCode
			require.Equal(t, want[i], status == 503, "%q %s", faultPath, target)
		}
	}
}

func TestFault_times(t *testing.T) {
	s := newServer(t)
	s.SetNotificationURL("https://example.com/")
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultError500, Probability: 1})
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultError502, Times: 2})
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultError503})
	var got []int
	for range 5 {
		got = append(got, newRequest(s, "GET", notificationURL, "").send(t, s).StatusCode)
	}
	require.Equal(t, []int{502, 502, 503, 500, 500}, got, "Times before Probability")
	s.ClearFaults()
	do(t, s, 200, "GET", notificationURL, "")
}

// The result for a complaint does not depend on requests for others.
func TestFault_probability(t *testing.T) {
	run := func(order []int) map[string][]int {
		s := newServer(t)
		got := map[string][]int{}
		for i := range 20 {
			s.AddComplaint(wechatpay.Complaint{ComplaintID: fmt.Sprint(i)})
		}
		for _, kind := range []wechatpaytest.FaultKind{wechatpaytest.FaultError500, wechatpaytest.FaultError502} {
			s.AddFault(wechatpaytest.Fault{Path: "complaints-v2", Kind: kind, Probability: 0.2, Seed: 7})
		}
		for _, i := range order {
			target := complaints + "/" + fmt.Sprint(i)
			got[target] = append(got[target], unsigned(s, "GET", target, ""))
		}
		return got
	}
	var forward, backward []int
	for i := range 200 {
		forward = append(forward, i%20)
		backward = append(backward, 19-i%20)
	}
	first := run(forward)
	require.Equal(t, first, run(backward))
	counts := map[int]int{}
	mixed := false
	for _, all := range first {
		mixed = mixed || len(slices.Compact(slices.Clone(all))) > 1
		for _, status := range all {
			counts[status]++
		}
	}
	require.True(t, mixed, "each request of a complaint is drawn separately")
	require.InDelta(t, 40, counts[500], 20)
	require.InDelta(t, 32, counts[502], 18)
	require.InDelta(t, 128, counts[401], 30)
}

func TestServer_Faults(t *testing.T) {
	s := newServer(t)
	require.Empty(t, s.Faults())
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultError503})
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultError502, Times: 2})
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultSlow, Path: "other", Probability: 0.5})
	do(t, s, 503, "GET", path, "")
	do(t, s, 502, "GET", path, "")
	require.Equal(t, []wechatpaytest.Fault{
		{Kind: wechatpaytest.FaultError502, Times: 1},
		{Kind: wechatpaytest.FaultSlow, Path: "other", Probability: 0.5},
	}, s.Faults())
	s.ClearFaults()
	require.Empty(t, s.Faults())
}

func TestFault_Check(t *testing.T) {
	s := newServer(t)
	for _, f := range []wechatpaytest.Fault{
		{Kind: "explode"},
		{Kind: "drop", Times: -1},
		{Kind: "drop", Probability: 1.1},
		{Kind: "drop", Probability: -1},
		{Kind: "slow", Delay: -1},
		{Kind: "drop", TakesEffect: true},
		{Kind: "mixed_up", TakesEffect: true},
		{Kind: "drop", Status: 403},
		{Kind: "html_502", Status: 503},
		{Kind: "gateway_page", Status: 200},
		{Kind: "gateway_page", Status: 304},
		{Kind: "gateway_page", Status: 600},
		{Kind: "drop", Path: "/v3/merchant-service/complaints-v2/{id}/complete"},
	} {
		require.Error(t, f.Check())
		require.Panics(t, func() { s.AddFault(f) })
	}
}

func TestFaultRefuse(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultRefuse})
	_, err := newRequest(s, "GET", path, "").try(t, s)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	s.ClearFaults()
	do(t, s, 200, "GET", path, "")
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultRefuse})
	s.Close()
	s.Close()
}

func TestFaultRefuse_delay(t *testing.T) {
	s := newServer(t)
	refused := func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	}
	refuse := func(delay time.Duration) {
		s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultRefuse, Delay: delay})
	}

	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultError503})
	refuse(time.Hour)
	require.True(t, refused())
	refuse(time.Millisecond)
	accepts := func() bool { return !refused() }
	require.Eventually(t, accepts, 10*time.Second, time.Millisecond, "the second Delay replaces the first")
	do(t, s, 503, "GET", "/v3/certificates", "") // the other fault still applies

	refuse(time.Hour)
	require.True(t, refused())
	s.ClearFaults()
	require.False(t, refused())

	refuse(time.Hour)
	s.Close()
	require.True(t, refused())
}

// Another program may take the port while connections are refused. The server
// listens on it again when it is free.
func TestFaultRefuse_portTaken(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultRefuse})
	other, err := net.Listen("tcp", strings.TrimPrefix(s.URL, "http://"))
	require.NoError(t, err)
	require.Panics(t, s.ClearFaults)
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultRefuse, Delay: time.Nanosecond})
	for range 100 { // gives the server time to try
		conn, err := net.Dial("tcp", other.Addr().String())
		require.NoError(t, err)
		conn.Close()
	}
	require.NoError(t, other.Close())
	require.Eventually(t, func() bool {
		_, err := newRequest(s, "GET", path, "").try(t, s)
		return err == nil
	}, 10*time.Second, time.Millisecond)
}

func TestFaultCloseIdle(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	responses := bufio.NewReader(conn)
	get := func() error {
		if err := newRequest(s, "GET", path, "").build(t, s).Write(conn); err != nil {
			return err
		}
		resp, err := http.ReadResponse(responses, nil)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
		}
		return err
	}
	require.NoError(t, get())
	require.NoError(t, get())
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultCloseIdle})
	require.Error(t, get())
	do(t, s, 200, "GET", path, "")
	do(t, s, 200, "GET", path, "")
}
