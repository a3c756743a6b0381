package wechatpaytest_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// Advance moves what happens, and not the clock of signatures where that is
// another.
func TestWireTime(t *testing.T) {
	s := start(t)
	s.Configure(func(b *wechatpaytest.Behavior) {
		b.WireTime = func() time.Time { return noon }
		b.KeyMode = wechatpaytest.KeyModeCertificate
	})
	s.Advance(6 * 365 * 24 * time.Hour)
	path := complaint(s, wechatpay.Complaint{})
	m := newMessage(s, "GET", path, "")
	m.at = noon
	r := m.send(t, s)
	require.Equal(t, 200, r.StatusCode)
	require.Equal(t, strconv.FormatInt(noon.Unix(), 10), r.Header.Get("Wechatpay-Timestamp"))
	require.Equal(t, "Wed, 04 Mar 2026 04:00:00 GMT", r.Header.Get("Date"))
	require.Equal(t, noon, s.Config().Time())
	require.WithinDuration(t, noon, s.PlatformCertificate().NotBefore, time.Second)
	c, _ := s.Complaint(id)
	require.WithinDuration(t, s.Now(), c.ComplaintTime, 0)
	n, err := s.NewNotification(context.Background(), s.URL, wechatpaytest.Notification{EventType: "COMPLAINT.CREATE", ComplaintID: id})
	require.NoError(t, err)
	require.Equal(t, strconv.FormatInt(noon.Unix(), 10), n.Header.Get("Wechatpay-Timestamp"))

	m = newMessage(s, "GET", path, "")
	m.at = s.Now()
	require.Equal(t, 401, m.send(t, s).StatusCode)

	s.Configure(func(b *wechatpaytest.Behavior) { b.WireTime = nil })
	require.Equal(t, "Tue, 02 Mar 2032 04:00:00 GMT", call(t, s, 200, "GET", path, "").Header.Get("Date"))
}

// What happened is forgotten, and what comes then is not taken for a duplicate.
func TestReset(t *testing.T) {
	s := start(t)
	seen := map[string]bool{}
	for range 2 {
		s.SetNotificationURL("http://127.0.0.1:1/n")
		file(s)
		call(t, s, 200, "POST", refunds, strings.Replace(refundOf("r-1", 100), "{", `{"notify_url":"http://127.0.0.1:1/refund",`, 1))
		require.NoError(t, s.SettleRefund("r-1", "SUCCESS"))
		media := uploadImage(t, s)
		for _, r := range s.History(id) {
			require.False(t, seen[r.LogID], r.OperateType)
			seen[r.LogID] = true
		}
		require.Len(t, s.PendingNotifications(), 3)
		for _, p := range s.PendingNotifications() {
			require.False(t, seen[p.Notification.ID], p.Notification.EventType)
			seen[p.Notification.ID] = true
		}
		s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultDrop, Times: 2})
		s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultRefuse})

		s.Reset()
		require.Empty(t, s.Requests())
		require.Empty(t, s.Complaints())
		require.Empty(t, s.Refunds())
		require.Empty(t, s.Faults())
		require.Empty(t, s.PendingNotifications())
		call(t, s, 404, "GET", path, "")
		call(t, s, 404, "GET", refunds+"/r-1", "")
		call(t, s, 400, "GET", "/v3/merchant-service/complaint-notifications", "")
		file(s)
		call(t, s, 400, "POST", decide, `{"action":"REJECT","reject_media_list":["`+media+`"]}`)
		require.Empty(t, s.PendingNotifications(), "there is no URL")
	}
}

// What a fault's chance comes to does not depend on what was before.
func TestResetBeginsFaultsAnew(t *testing.T) {
	s := start(t)
	draw := func() (struck []bool) {
		s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultError500, Probability: 0.3, Seed: 7})
		for range 20 {
			r := newMessage(s, "GET", path, "").send(t, s)
			struck = append(struck, r.StatusCode == 500)
		}
		s.Reset()
		return struck
	}
	first := draw()
	require.Contains(t, first, true)
	require.Equal(t, first, draw())
}

// Notifications that were due when it was reset are not delivered any more.
func TestResetStopsDeliveries(t *testing.T) {
	s := start(t)
	arrived := 0
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if arrived++; arrived == 1 {
			s.Reset()
		}
	}))
	defer receiver.Close()
	s.SetNotificationURL(receiver.URL)
	for i := range 3 {
		s.AddComplaint(wechatpay.Complaint{ComplaintID: strconv.Itoa(i)})
	}
	require.Len(t, s.DeliverDue(context.Background()), 1)
	require.Equal(t, 1, arrived)
	require.Empty(t, s.PendingNotifications())
}

func TestEqualSeedsGiveEqualIDs(t *testing.T) {
	run := func() any {
		s := start(t)
		c, err := s.AddComplaintJSON([]byte(`{}`))
		require.NoError(t, err)
		r := call(t, s, 204, "POST", complaints+"/"+c.ComplaintID+"/update-refund-progress", approve)
		return []any{c, s.History(c.ComplaintID), uploadImage(t, s), r.Header.Get("Request-ID")}
	}
	require.Equal(t, run(), run())
}

func TestManyCallersAtOnce(t *testing.T) {
	s := wechatpaytest.NewServer()
	defer s.Close()
	const callers = 200
	for i := range callers {
		s.AddComplaint(wechatpay.Complaint{ComplaintID: fmt.Sprint("own-", i)})
	}
	s.AddComplaint(wechatpay.Complaint{ComplaintID: id})
	var accepted atomic.Int64
	var wg sync.WaitGroup
	for i := range callers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for _, target := range []string{complaints + fmt.Sprint("/own-", i), path} {
				r, err := newMessage(s, "POST", target+"/update-refund-progress", approve).try(t, s)
				if err != nil {
					t.Error(err)
					return
				}
				if target == path && r.StatusCode == 204 {
					accepted.Add(1)
				} else if target != path && r.StatusCode != 204 {
					t.Error(r.StatusCode, string(r.body))
				}
			}
			_, _ = s.Complaint(id)
			_ = s.Requests()
			s.Configure(func(b *wechatpaytest.Behavior) { b.MaxPage = i })
		}()
	}
	wg.Wait()
	require.EqualValues(t, 1, accepted.Load(), "a decision is taken once")
	require.Len(t, s.History(id), 2)
	require.Len(t, s.Requests(), 2*callers)
}

func TestListen(t *testing.T) {
	s, err := wechatpaytest.Listen("127.0.0.1:0")
	require.NoError(t, err)
	defer s.Close()
	file(s)
	s.HandlePlain("/_own/", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	resp, err := httpClient.Get(s.URL + "/_own/x")
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusTeapot, resp.StatusCode)
	require.Empty(t, resp.Header.Get("Wechatpay-Signature"))
	require.Empty(t, s.Requests())
	call(t, s, 200, "GET", path, "")
	_, err = wechatpaytest.Listen(strings.TrimPrefix(s.URL, "http://"))
	require.Error(t, err, "the port is taken")
}

func TestSetFillsIn(t *testing.T) {
	s := start(t)
	s.Configure(func(b *wechatpaytest.Behavior) { *b = wechatpaytest.Behavior{} })
	require.Equal(t, "RESOURCE_NOT_EXISTS", call(t, s, 404, "GET", complaints+"/1", "").json(t)["code"])
	require.Panics(t, func() { s.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = "none" }) })
	require.NotPanics(t, func() { s.Now() })
}

// After Close there is no goroutine of the package.
func TestNothingIsLeftAfterClose(t *testing.T) {
	s := wechatpaytest.NewServer()
	s.Configure(func(b *wechatpaytest.Behavior) { b.AutoNotify = true })
	s.SetNotificationURL("http://127.0.0.1:1/")
	file(s)
	url := s.URL
	call(t, s, 200, "GET", path, "")
	s.Close()
	_, err := http.Get(url)
	require.Error(t, err)
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	require.NotContains(t, string(stacks), "wechatpaytest.(*Server)")
	require.NotContains(t, string(stacks), "wechatpaytest.(*listener)")
}

func TestCloseCutsSlowAnswersShort(t *testing.T) {
	s := start(t)
	file(s)
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultSlow, Delay: time.Hour})
	took := make(chan struct{})
	s.Configure(func(b *wechatpaytest.Behavior) { b.Log = func(wechatpaytest.Request) { close(took) } })
	finished := make(chan error, 1)
	go func() {
		_, err := newMessage(s, "POST", decide, approve).try(t, s)
		finished <- err
	}()
	<-took
	s.Close()
	require.NoError(t, <-finished, "an answer under way is finished")
	require.Len(t, s.History(id), 2)
}

func TestCloseDoesNotHang(t *testing.T) {
	closes := func(t *testing.T, s *wechatpaytest.Server) {
		closed := make(chan struct{})
		go func() { s.Close(); close(closed) }()
		select {
		case <-closed:
		case <-time.After(30 * time.Second):
			t.Fatal("Close hangs")
		}
	}
	for _, target := range []string{decide, "/_own/"} {
		t.Run("for the rest of a body to "+target, func(t *testing.T) {
			s := start(t)
			s.HandlePlain("/_own/", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) }))
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
			require.NoError(t, err)
			defer conn.Close()
			_, err = io.WriteString(conn, "POST "+target+" HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n")
			require.NoError(t, err)
			line, err := bufio.NewReader(conn).ReadString('\n')
			require.NoError(t, err)
			require.Contains(t, line, "100 Continue", "the body is being read")
			closes(t, s)
		})
	}
	t.Run("for a handler that waits for its request", func(t *testing.T) {
		s := start(t)
		began := make(chan struct{})
		s.HandlePlain("/_own/", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(began) // and the body is not read
			<-r.Context().Done()
		}))
		finished := make(chan struct{})
		go func() {
			defer close(finished)
			_, _ = newMessage(s, "POST", "/_own/x", "{}").try(t, s)
		}()
		<-began
		closes(t, s)
		<-finished
	})
}

// A request need not have come over a connection.
func TestServeHTTP(t *testing.T) {
	s := start(t)
	file(s)
	for _, method := range []string{"GET", "POST"} {
		req, err := http.NewRequest(method, path, nil)
		require.NoError(t, err)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, req)
		require.Equal(t, 400, w.Code)
	}
	require.Equal(t, path, s.Requests()[0].Path)
	req := newMessage(s, "GET", path, "").request(t, s)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, req)
	require.Equal(t, 200, w.Code, w.Body)
	require.NotEmpty(t, w.Header().Get("Date"))

	w = httptest.NewRecorder()
	w.Header()["Date"] = nil // as net/http has it: none at all
	s.ServeHTTP(w, newMessage(s, "GET", path, "").request(t, s))
	require.Equal(t, 200, w.Code, w.Body)
	require.Empty(t, w.Header().Get("Date"))
}

func TestServerBehindTLS(t *testing.T) {
	s := start(t)
	file(s)
	server := httptest.NewUnstartedServer(s)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	do := func(m *message) (*http.Response, error) {
		req := m.request(t, s)
		u, err := url.Parse(server.URL + m.target)
		require.NoError(t, err)
		req.URL, req.Host = u, u.Host
		return server.Client().Do(req)
	}
	resp, err := do(newMessage(s, "POST", decide, approve))
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, 204, resp.StatusCode)
	require.Equal(t, 2, resp.ProtoMajor)
	for _, kind := range []wechatpaytest.FaultKind{wechatpaytest.FaultDrop, wechatpaytest.FaultCut} {
		s.AddFault(wechatpaytest.Fault{Kind: kind})
		_, err = do(newMessage(s, "POST", path+"/response", reply4))
		require.Error(t, err, kind)
	}
	require.Len(t, s.History(id), 3, "the cut answer was to a reply that took effect")
}

func TestConfigFitsNewClient(t *testing.T) {
	s := start(t)
	file(s)
	client, err := wechatpay.NewClient(s.Config())
	require.NoError(t, err)
	require.NoError(t, client.ComplaintsV2.UpdateRefundProgress(context.Background(), id, wechatpay.ApproveRefund(0)))
	err = client.ComplaintsV2.UpdateRefundProgress(context.Background(), id, wechatpay.ApproveRefund(0))
	var apiError *wechatpay.APIError
	require.True(t, errors.As(err, &apiError))
	require.EqualValues(t, "INVALID_REQUEST", apiError.Code)
}

func BenchmarkNewServer(b *testing.B) {
	wechatpaytest.NewServer().Close() // makes the keys of the process
	b.ResetTimer()
	for range b.N {
		wechatpaytest.NewServer().Close()
	}
}

// BenchmarkGenerateKey is what the first server of a process does twice.
func BenchmarkGenerateKey(b *testing.B) {
	for range b.N {
		if _, err := rsa.GenerateKey(rand.Reader, 2048); err != nil {
			b.Fatal(err)
		}
	}
}
