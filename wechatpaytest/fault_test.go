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

func TestFaults(t *testing.T) {
	type outcome struct {
		status int // 0: no answer
		effect bool
		signed bool
		code   string
		errIs  error
	}
	tests := map[wechatpaytest.FaultKind]outcome{
		wechatpaytest.FaultDrop:         {errIs: io.EOF},
		wechatpaytest.FaultLostResponse: {effect: true, errIs: io.EOF},
		wechatpaytest.FaultCut:          {effect: true, errIs: io.ErrUnexpectedEOF},
		wechatpaytest.FaultSlow:         {status: 200, effect: true, signed: true},
		wechatpaytest.FaultBusy429:      {status: 429, code: "FREQUENCY_LIMITED"},
		wechatpaytest.FaultError500:     {status: 500, code: "SYSTEM_ERROR"},
		wechatpaytest.FaultError502:     {status: 502, code: "SERVICE_UNAVAILABLE"},
		wechatpaytest.FaultError503:     {status: 503, code: "SERVICE_UNAVAILABLE"},
		wechatpaytest.FaultHTML502:      {status: 502},
		wechatpaytest.FaultForged:       {status: 200, effect: true},
		wechatpaytest.FaultUnsigned:     {status: 200, effect: true},
		wechatpaytest.FaultProbe:        {status: 200, effect: true},
		wechatpaytest.FaultOld:          {status: 200, effect: true, signed: true},
	}
	const callback = "/v3/merchant-service/complaint-notifications"
	for kind, want := range tests {
		for _, takesEffect := range []bool{false, true} {
			f := wechatpaytest.Fault{Path: "complaint-notifications", Kind: kind, Delay: time.Millisecond, TakesEffect: takesEffect}
			if takesEffect && f.Check() != nil {
				continue
			}
			t.Run(fmt.Sprint(kind, takesEffect), func(t *testing.T) {
				s := start(t)
				s.AddFault(f)
				r, err := newMessage(s, "POST", callback, `{"url":"https://example.com/n"}`).try(t, s)
				log := s.Requests()
				require.Len(t, log, 1)
				require.Equal(t, kind, log[0].Fault)
				require.Equal(t, want.effect || takesEffect, log[0].TookEffect)
				if want.errIs != nil {
					require.ErrorIs(t, err, want.errIs)
				} else {
					require.NoError(t, err)
					require.Equal(t, want.status, r.StatusCode)
					require.Equal(t, want.signed, r.signedBy(s.Config().PublicKey))
				}
				if want.code != "" {
					require.Equal(t, want.code, r.json(t)["code"])
				}
				switch kind {
				case wechatpaytest.FaultBusy429:
					require.Equal(t, "0", r.Header.Get("Retry-After"))
				case wechatpaytest.FaultHTML502:
					require.Contains(t, string(r.body), "<html>")
				case wechatpaytest.FaultProbe:
					require.True(t, strings.HasPrefix(r.Header.Get("Wechatpay-Signature"), "WECHATPAY/SIGNTEST/"))
				case wechatpaytest.FaultUnsigned:
					for name := range r.Header {
						require.False(t, strings.HasPrefix(name, "Wechatpay-"), name)
					}
				case wechatpaytest.FaultOld:
					require.Equal(t, fmt.Sprint(noon.Add(-15*time.Minute).Unix()), r.Header.Get("Wechatpay-Timestamp"))
				case wechatpaytest.FaultForged:
					require.Equal(t, s.Config().PublicKeyID, r.Header.Get("Wechatpay-Serial"))
				}
				// It struck once, and what took effect can be seen.
				if want.effect || takesEffect {
					call(t, s, 200, "GET", callback, "")
				} else {
					call(t, s, 400, "GET", callback, "")
				}
			})
		}
	}
}

func TestCutOfAnEmptyAnswer(t *testing.T) {
	s := start(t)
	file(s)
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultCut})
	_, err := newMessage(s, "POST", decide, approve).try(t, s)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Len(t, s.History(id), 2)
}

func TestFaultPathsAndTimes(t *testing.T) {
	const callback = "/v3/merchant-service/complaint-notifications"
	status := func(t *testing.T, s *wechatpaytest.Server, method, target string) int {
		return newMessage(s, method, target, "").send(t, s).StatusCode
	}
	list := complaints + "?begin_date=2026-03-04&end_date=2026-03-04"
	for path, hit := range map[string][4]bool{ // list, detail, history, callback
		"":                             {true, true, true, true},
		complaints:                     {true, false, false, false},
		"GET " + complaints:            {true, false, false, false},
		complaints + "/{complaint_id}": {false, true, false, false},
		"negotiation-historys":         {false, false, true, false},
		"complaints-v2/":               {false, true, true, false},
		"GET ":                         {true, true, true, true},
		"POST ":                        {false, false, false, false},
		callback:                       {false, false, false, true},
		"POST " + callback:             {false, false, false, false},
		"/" + id:                       {false, true, true, false},
	} {
		s := start(t)
		file(s)
		s.AddFault(wechatpaytest.Fault{Path: path, Kind: wechatpaytest.FaultError503, Probability: 1})
		s.SetNotificationURL("https://example.com/")
		for i, target := range []string{list, complaints + "/" + id, complaints + "/" + id + "/negotiation-historys", callback} {
			require.Equal(t, hit[i], status(t, s, "GET", target) == 503, "%q %s", path, target)
		}
	}

	s := start(t)
	s.SetNotificationURL("https://example.com/")
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultError500, Probability: 1})
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultError502, Times: 2})
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultError503})
	var got []int
	for range 5 {
		got = append(got, status(t, s, "GET", callback))
	}
	require.Equal(t, []int{502, 502, 503, 500, 500}, got, "scripted first")
	s.ClearFaults()
	require.Equal(t, 200, status(t, s, "GET", callback))
}

// By probability, what strikes depends on the complaint and on how many
// requests it had, not on the order of callers.
func TestFaultsByProbability(t *testing.T) {
	run := func(order []int) map[string][]int {
		s := start(t)
		got := map[string][]int{}
		for i := range 20 {
			s.AddComplaint(wechatpay.Complaint{ComplaintID: fmt.Sprint(i)})
		}
		s.AddFault(wechatpaytest.Fault{Path: "complaints-v2", Kind: wechatpaytest.FaultError500, Probability: 0.2, Seed: 7})
		s.AddFault(wechatpaytest.Fault{Path: "complaints-v2", Kind: wechatpaytest.FaultError502, Probability: 0.2, Seed: 7})
		for _, i := range order {
			target := complaints + "/" + fmt.Sprint(i)
			got[target] = append(got[target], newMessage(s, "GET", target, "").send(t, s).StatusCode)
		}
		return got
	}
	var forth, back []int
	for i := range 200 {
		forth = append(forth, i%20)
		back = append(back, 19-i%20)
	}
	first := run(forth)
	require.Equal(t, first, run(back))
	counts := map[int]int{}
	mixed := false
	for _, all := range first {
		mixed = mixed || len(slices.Compact(slices.Clone(all))) > 1
		for _, status := range all {
			counts[status]++
		}
	}
	require.True(t, mixed, "each request of a complaint is drawn for itself")
	require.InDelta(t, 40, counts[500], 20)
	require.InDelta(t, 32, counts[502], 18)
	require.InDelta(t, 128, counts[200], 30)
}

// Those that are still to strike are there, with the times that are left.
func TestListOfFaults(t *testing.T) {
	s := start(t)
	require.Empty(t, s.Faults())
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultError503})
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultError502, Times: 2})
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultSlow, Path: "other", Probability: 0.5})
	call(t, s, 503, "GET", path, "")
	call(t, s, 502, "GET", path, "")
	require.Equal(t, []wechatpaytest.Fault{
		{Kind: wechatpaytest.FaultError502, Times: 1}, {Kind: wechatpaytest.FaultSlow, Path: "other", Probability: 0.5},
	}, s.Faults())
	s.ClearFaults()
	require.Empty(t, s.Faults())
}

func TestBadFaults(t *testing.T) {
	for _, f := range []wechatpaytest.Fault{
		{Kind: "explode"}, {Kind: "drop", Times: -1}, {Kind: "drop", Probability: 1.1}, {Kind: "drop", Probability: -1},
		{Kind: "slow", Delay: -1}, {Kind: "drop", TakesEffect: true},
		{Kind: "drop", Path: "/v3/merchant-service/complaints-v2/{id}/complete"},
	} {
		require.Error(t, f.Check())
		require.Panics(t, func() { start(t).AddFault(f) })
	}
}

func TestRefuse(t *testing.T) {
	s := start(t)
	file(s)
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultRefuse})
	_, err := newMessage(s, "GET", path, "").try(t, s)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	s.ClearFaults()
	call(t, s, 200, "GET", path, "")
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultRefuse})
	s.Close()
	s.Close()
}

// The port may be taken by another while connections are refused. Then the
// server takes it when it is free, and nothing panics meanwhile.
func TestRefuseWhilePortIsTaken(t *testing.T) {
	s := start(t)
	file(s)
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultRefuse})
	other, err := net.Listen("tcp", strings.TrimPrefix(s.URL, "http://"))
	require.NoError(t, err)
	require.Panics(t, s.ClearFaults, "the test is told where it can be")
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultRefuse, Delay: time.Nanosecond})
	for range 100 { // time enough to try; the test is right without it
		conn, err := net.Dial("tcp", other.Addr().String())
		require.NoError(t, err)
		conn.Close()
	}
	require.NoError(t, other.Close())
	require.Eventually(t, func() bool {
		_, err := newMessage(s, "GET", path, "").try(t, s)
		return err == nil
	}, 10*time.Second, time.Millisecond)
}

func TestCloseIdle(t *testing.T) {
	s := start(t)
	file(s)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	answers := bufio.NewReader(conn)
	get := func() error {
		if err := newMessage(s, "GET", path, "").request(t, s).Write(conn); err != nil {
			return err
		}
		resp, err := http.ReadResponse(answers, nil)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
		}
		return err
	}
	require.NoError(t, get())
	require.NoError(t, get())
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultCloseIdle})
	require.Error(t, get())
	call(t, s, 200, "GET", path, "")
	call(t, s, 200, "GET", path, "")
}
