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

func TestServer_Config(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	client, err := wechatpay.NewClient(s.Config())
	require.NoError(t, err)
	decide := func() error {
		return client.ComplaintsV2.UpdateRefundProgress(context.Background(), id, wechatpay.ApproveRefund(0))
	}
	require.NoError(t, decide())
	var apiErr *wechatpay.APIError
	require.True(t, errors.As(decide(), &apiErr))
	require.EqualValues(t, "INVALID_REQUEST", apiErr.Code)
}

// The Handler of a server serves its port, and what was added before Listen is
// there at the first request.
func TestServer_Listen_handler(t *testing.T) {
	s := wechatpaytest.NewUnstartedServer()
	t.Cleanup(s.Close)
	require.Empty(t, s.URL)
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/own" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		s.ServeHTTP(w, r)
	})
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultRefuse})
	addComplaint(s)
	require.NoError(t, s.Listen("0.0.0.0:0"))
	require.Regexp(t, `^http://127\.0\.0\.1:\d+$`, s.URL)
	do(t, s, 200, "GET", path, "")
	do(t, s, http.StatusTeapot, "GET", "/own", "")

	// Faults of the port apply to the handler too.
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultRefuse})
	_, err := newRequest(s, "GET", "/own", "").try(t, s)
	require.ErrorContains(t, err, "refused")
}

func TestServer_Listen_error(t *testing.T) {
	_, err := wechatpaytest.Listen("127.0.0.1:x")
	require.ErrorContains(t, err, "wechatpaytest: Listen: listen tcp: ")
	s := wechatpaytest.NewUnstartedServer()
	require.ErrorContains(t, s.Listen("127.0.0.1:x"), "wechatpaytest: Listen: listen tcp: ")
	s.Close()
}

func TestServer_Configure_defaults(t *testing.T) {
	s := newServer(t)
	s.Configure(func(b *wechatpaytest.Behavior) { *b = wechatpaytest.Behavior{} })
	require.Equal(t, "RESOURCE_NOT_EXISTS", do(t, s, 404, "GET", complaints+"/1", "").code(t))
	require.Panics(t, func() { s.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = "none" }) })
	require.NotPanics(t, func() { s.Now() })
}

func TestBehavior_wireTime(t *testing.T) {
	s := newServer(t)
	s.Configure(func(b *wechatpaytest.Behavior) {
		b.WireTime = func() time.Time { return noon }
		b.KeyMode = wechatpaytest.KeyModeCertificate
	})
	s.Advance(6 * 365 * 24 * time.Hour)
	addComplaint(s)
	get := func(at time.Time) response {
		req := newRequest(s, "GET", path, "")
		req.at = at
		return req.send(t, s)
	}
	r := get(noon)
	require.Equal(t, 200, r.StatusCode)
	require.Equal(t, strconv.FormatInt(noon.Unix(), 10), r.Header.Get("Wechatpay-Timestamp"))
	require.Equal(t, "Wed, 04 Mar 2026 04:00:00 GMT", r.Header.Get("Date"))
	require.Equal(t, noon, s.Config().Time())
	require.WithinDuration(t, noon, s.PlatformCertificate().NotBefore, time.Second)
	require.WithinDuration(t, s.Now(), getComplaint(t, s).ComplaintTime, 0)
	n := wechatpaytest.Notification{EventType: "COMPLAINT.CREATE", ComplaintID: id}
	req, err := s.NewNotification(context.Background(), s.URL, n)
	require.NoError(t, err)
	require.Equal(t, strconv.FormatInt(noon.Unix(), 10), req.Header.Get("Wechatpay-Timestamp"))
	require.Equal(t, 401, get(s.Now()).StatusCode)

	s.Configure(func(b *wechatpaytest.Behavior) { b.WireTime = nil })
	require.Equal(t, "Tue, 02 Mar 2032 04:00:00 GMT", do(t, s, 200, "GET", path, "").Header.Get("Date"))
}

func TestBehavior_seed(t *testing.T) {
	run := func() any {
		s := newServer(t)
		c, err := s.AddComplaintJSON([]byte(`{}`))
		require.NoError(t, err)
		r := do(t, s, 204, "POST", complaints+"/"+c.ComplaintID+"/update-refund-progress", approve)
		return []any{c, s.History(c.ComplaintID), uploadImage(t, s), r.Header.Get("Request-ID")}
	}
	require.Equal(t, run(), run())
}

func TestServer_Reset(t *testing.T) {
	s := newServer(t)
	refund := strings.Replace(refundOf("r-1", 100), "{", `{"notify_url":"http://127.0.0.1:1/refund",`, 1)
	seen := map[string]bool{}
	for range 2 {
		s.SetNotificationURL("http://127.0.0.1:1/n")
		addComplaint(s)
		do(t, s, 200, "POST", refunds, refund)
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
		do(t, s, 404, "GET", path, "")
		do(t, s, 404, "GET", refunds+"/r-1", "")
		do(t, s, 400, "GET", notificationURL, "")
		addComplaint(s)
		do(t, s, 400, "POST", decide, `{"action":"REJECT","reject_media_list":["`+media+`"]}`)
		require.Empty(t, s.PendingNotifications(), "no URL")
	}
}

// Reset also restarts the draws of faults by probability.
func TestServer_Reset_probability(t *testing.T) {
	s := newServer(t)
	draw := func() (failed []bool) {
		s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultError500, Probability: 0.3, Seed: 7})
		for range 20 {
			r := newRequest(s, "GET", path, "").send(t, s)
			failed = append(failed, r.StatusCode == 500)
		}
		s.Reset()
		return failed
	}
	first := draw()
	require.Contains(t, first, true)
	require.Equal(t, first, draw())
}

func TestServer_Reset_duringDelivery(t *testing.T) {
	s := newServer(t)
	received := 0
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if received++; received == 1 {
			s.Reset()
		}
	}))
	defer receiver.Close()
	s.SetNotificationURL(receiver.URL)
	for i := range 3 {
		s.AddComplaint(wechatpay.Complaint{ComplaintID: strconv.Itoa(i)})
	}
	require.Len(t, s.DeliverDue(context.Background()), 1)
	require.Equal(t, 1, received)
	require.Empty(t, s.PendingNotifications())
}

func TestServer_ServeHTTP_concurrent(t *testing.T) {
	callers := 100
	if testing.Short() {
		callers = 20
	}
	s := wechatpaytest.NewServer()
	defer s.Close()
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
				r, err := newRequest(s, "POST", target+"/update-refund-progress", approve).try(t, s)
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
	require.EqualValues(t, 1, accepted.Load(), "one decision is accepted")
	require.Len(t, s.History(id), 2)
	require.Len(t, s.Requests(), 2*callers)
}

func TestListen(t *testing.T) {
	s, err := wechatpaytest.Listen("127.0.0.1:0")
	require.NoError(t, err)
	defer s.Close()
	addComplaint(s)
	do(t, s, 200, "GET", path, "")
	_, err = wechatpaytest.Listen(strings.TrimPrefix(s.URL, "http://"))
	require.ErrorContains(t, err, "wechatpaytest: Listen: ", "the port is in use")
}

func TestServer_Close_goroutines(t *testing.T) {
	s := wechatpaytest.NewServer()
	s.Configure(func(b *wechatpaytest.Behavior) { b.AutoNotify = true })
	s.SetNotificationURL("http://127.0.0.1:1/")
	addComplaint(s)
	do(t, s, 200, "GET", path, "")
	s.Close()
	_, err := http.Get(s.URL)
	require.Error(t, err)
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	require.NotContains(t, string(stacks), "wechatpaytest.(*Server)")
	require.NotContains(t, string(stacks), "wechatpaytest.(*listener)")
}

func TestServer_Close_slowResponse(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultSlow, Delay: time.Hour})
	logged := make(chan struct{})
	s.Configure(func(b *wechatpaytest.Behavior) { b.Log = func(wechatpaytest.Request) { close(logged) } })
	finished := make(chan error, 1)
	go func() {
		_, err := newRequest(s, "POST", decide, approve).try(t, s)
		finished <- err
	}()
	<-logged
	s.Close()
	require.NoError(t, <-finished, "the response in progress is completed")
	require.Len(t, s.History(id), 2)
}

// closeInTime closes the server and fails the test if that hangs.
func closeInTime(t *testing.T, s *wechatpaytest.Server) {
	closed := make(chan struct{})
	go func() {
		s.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
		t.Fatal("Close hangs")
	}
}

func TestServer_Close_unfinishedBody(t *testing.T) {
	s := newServer(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	const headers = " HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n"
	_, err = io.WriteString(conn, "POST "+decide+headers)
	require.NoError(t, err)
	line, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "100 Continue", "the server reads the body")
	closeInTime(t, s)
}

func TestServer_Close_waitingHandler(t *testing.T) {
	s := newServer(t)
	started := make(chan struct{})
	s.Handle("POST /v3/wait", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
	}))
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		_, _ = newRequest(s, "POST", "/v3/wait", "{}").try(t, s)
	}()
	<-started
	closeInTime(t, s)
	<-finished
}

func TestServer_ServeHTTP_recorder(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	for _, method := range []string{"GET", "POST"} {
		req, err := http.NewRequest(method, path, nil)
		require.NoError(t, err)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, req)
		require.Equal(t, 400, w.Code)
	}
	require.Equal(t, path, s.Requests()[0].Path)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, newRequest(s, "GET", path, "").build(t, s))
	require.Equal(t, 200, w.Code, w.Body)
	require.NotEmpty(t, w.Header().Get("Date"))

	w = httptest.NewRecorder()
	w.Header()["Date"] = nil // suppresses it in net/http
	s.ServeHTTP(w, newRequest(s, "GET", path, "").build(t, s))
	require.Equal(t, 200, w.Code, w.Body)
	require.Empty(t, w.Header().Get("Date"))
}

func TestServer_ServeHTTP_http2(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	server := httptest.NewUnstartedServer(s)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	post := func(target, body string) (*http.Response, error) {
		req := newRequest(s, "POST", target, body).build(t, s)
		u, err := url.Parse(server.URL + target)
		require.NoError(t, err)
		req.URL, req.Host = u, u.Host
		return server.Client().Do(req)
	}
	resp, err := post(decide, approve)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, 204, resp.StatusCode)
	require.Equal(t, 2, resp.ProtoMajor)
	for _, kind := range []wechatpaytest.FaultKind{wechatpaytest.FaultDrop, wechatpaytest.FaultCut} {
		s.AddFault(wechatpaytest.Fault{Kind: kind})
		_, err = post(path+"/response", reply)
		require.Error(t, err, kind)
	}
	require.Len(t, s.History(id), 3, "the reply with FaultCut took effect")
}

func BenchmarkNewServer(b *testing.B) {
	wechatpaytest.NewServer().Close() // generates the keys of the process
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
