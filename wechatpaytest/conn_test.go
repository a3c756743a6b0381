package wechatpaytest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// newHTTP2Client returns a client that speaks HTTP/2 only.
func newHTTP2Client(t *testing.T) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// sendWith sends a request and returns the status.
func sendWith(client *http.Client, req *http.Request) (int, error) {
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

func TestServer_http2(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	client := newHTTP2Client(t)
	resp, err := client.Do(newRequest(s, "POST", decide, approve).build(t, s))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 2, resp.ProtoMajor)
	require.Equal(t, 204, resp.StatusCode)
	resp, err = http.DefaultClient.Do(newRequest(s, "GET", path, "").build(t, s))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 1, resp.ProtoMajor)
	http.DefaultClient.CloseIdleConnections()

	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultCloseIdle})
	_, _ = sendWith(client, newRequest(s, "GET", path, "").build(t, s)) // may meet the closed connection
	status, err := sendWith(client, newRequest(s, "GET", path, "").build(t, s))
	require.NoError(t, err, "over a new connection")
	require.Equal(t, 200, status)
}

// net/http sends the request again, with the same nonce. WeChat Pay rejects the
// nonce of a write, not that of a GET.
func TestFaultReset_http2(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	client := newHTTP2Client(t)
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultReset})
	status, err := sendWith(client, newRequest(s, "POST", decide, approve).build(t, s))
	require.NoError(t, err)
	require.Equal(t, 401, status)
	log := s.Requests()
	require.Len(t, log, 2)
	require.Equal(t, wechatpaytest.FaultReset, log[0].Fault)
	require.True(t, log[0].TookEffect)
	require.Contains(t, log[1].Problem, "nonce")
	require.Equal(t, log[0].Header["Authorization"], log[1].Header["Authorization"])

	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultReset})
	status, err = sendWith(client, newRequest(s, "GET", path, "").build(t, s))
	require.NoError(t, err)
	require.Equal(t, 200, status)
	require.Len(t, s.Requests(), 4)
}

// With other kinds that send no response, the stream is reset and the request
// not sent again.
func TestFault_http2(t *testing.T) {
	for _, kind := range []wechatpaytest.FaultKind{
		wechatpaytest.FaultDrop,
		wechatpaytest.FaultLostResponse,
		wechatpaytest.FaultCut,
	} {
		s := newServer(t)
		addComplaint(s)
		client := newHTTP2Client(t)
		s.AddFault(wechatpaytest.Fault{Kind: kind})
		_, err := sendWith(client, newRequest(s, "POST", decide, approve).build(t, s))
		require.ErrorContains(t, err, "INTERNAL_ERROR", kind)
		require.Len(t, s.Requests(), 1)
		require.Equal(t, kind != wechatpaytest.FaultDrop, lastRequest(s).TookEffect)
	}
}

func TestFaultSwitching_http2(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	client := newHTTP2Client(t)
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultSwitching})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := sendWith(client, newRequest(s, "POST", decide, approve).build(t, s).WithContext(ctx))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	status, err := sendWith(client, newRequest(s, "POST", decide, approve).build(t, s))
	require.NoError(t, err)
	require.Equal(t, 204, status, "the other streams of the connection go on")

	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultSwitching})
	logged := make(chan struct{})
	s.Configure(func(b *wechatpaytest.Behavior) { b.Log = func(wechatpaytest.Request) { close(logged) } })
	finished := make(chan error, 1)
	req := newRequest(s, "GET", path, "").build(t, s)
	go func() {
		_, err := sendWith(client, req)
		finished <- err
	}()
	<-logged
	closeInTime(t, s)
	require.Error(t, <-finished)
}

// Streams of one connection that are reset at the same time get the error code
// of their own fault.
func TestFaultReset_concurrent(t *testing.T) {
	const streams = 60
	s := newServer(t)
	client := newHTTP2Client(t)
	kinds := []wechatpaytest.FaultKind{
		wechatpaytest.FaultReset,
		wechatpaytest.FaultLostResponse,
		wechatpaytest.FaultDrop,
		wechatpaytest.FaultSlow,
	}
	number := func(i int) string { return fmt.Sprintf("number-%03d", i) }
	s.AddComplaint(wechatpay.Complaint{ComplaintID: number(streams)})
	var requests []*http.Request
	for i := range streams {
		s.AddComplaint(wechatpay.Complaint{ComplaintID: number(i)})
		s.AddFault(wechatpaytest.Fault{Path: number(i), Kind: kinds[i%4], Delay: 5 * time.Millisecond})
		requests = append(requests, newRequest(s, "GET", complaints+"/"+number(i), "").build(t, s))
	}
	_, err := sendWith(client, newRequest(s, "GET", complaints+"/"+number(streams), "").build(t, s))
	require.NoError(t, err, "opens the connection")
	var all sync.WaitGroup
	results := make([]error, streams)
	for i, req := range requests {
		all.Add(1)
		go func() {
			defer all.Done()
			_, results[i] = sendWith(client, req)
		}()
	}
	all.Wait()
	sent := map[string]int{}
	for _, r := range s.Requests() {
		sent[r.Path]++
	}
	for i, err := range results {
		want := 1
		switch kinds[i%4] {
		case wechatpaytest.FaultReset:
			want = 2
			require.NoError(t, err)
		case wechatpaytest.FaultSlow:
			require.NoError(t, err)
		default:
			require.ErrorContains(t, err, "INTERNAL_ERROR")
		}
		require.Equal(t, want, sent[complaints+"/"+number(i)], kinds[i%4])
	}
}
