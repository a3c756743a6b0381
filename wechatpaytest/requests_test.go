package wechatpaytest_test

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func TestRequest_tookEffect(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	require.NoError(t, s.ChangeComplaint(id, func(c *wechatpay.Complaint) { c.NeedImmediateService = true }))
	const immediate = `{"complainted_mchid":"1900000001","idempotent_id":"i-1","message":{}}`
	for _, tt := range []struct {
		target, body string
		want         bool
	}{
		{refunds, refundOf("r-1", 100), true},
		{refunds, refundOf("r-1", 100), false},
		{path + "/response-immediate-service", immediate, true},
		{path + "/response-immediate-service", immediate, false},
	} {
		do(t, s, 200, "POST", tt.target, tt.body)
		require.Equal(t, tt.want, lastRequest(s).TookEffect, tt.target)
	}
	req := newRequest(s, "POST", echo, `{"echo_message":"x"}`)
	req.header.Set("Wechatpay-Serial", s.Config().PublicKeyID)
	require.Equal(t, 200, req.send(t, s).StatusCode)
	require.False(t, lastRequest(s).TookEffect, "the self-test")
}

// Changes to a Request reach neither the log nor a response that is not yet sent.
func TestServer_Requests_copies(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	overwrite := func(r wechatpaytest.Request) {
		r.Header.Del("Authorization")
		r.Header.Del("Wechatpay-Serial")
		clear(r.Body)
		clear(r.Response)
		if r.Signature != nil {
			r.Signature.Verified = ""
		}
	}
	s.Configure(func(b *wechatpaytest.Behavior) { b.Log = overwrite })
	serial := serialNo(s.PlatformCertificate())
	req := newRequest(s, "POST", decide, `{}`)
	req.header.Set("Wechatpay-Serial", serial)
	r := req.send(t, s)
	require.True(t, json.Valid(r.body), "%s", r.body)
	require.Equal(t, serial, r.Header.Get("Wechatpay-Serial"))
	req.toSign = ptr("wrong")
	require.Equal(t, 401, req.send(t, s).StatusCode)
	for range 2 {
		all := s.Requests()
		require.NotEmpty(t, all[0].Header.Get("Authorization"))
		require.Equal(t, `{}`, string(all[0].Body))
		require.Equal(t, string(r.body), string(all[0].Response))
		require.NotEmpty(t, all[1].Signature.Verified)
		overwrite(all[0])
		overwrite(all[1])
	}
}

func TestServer_Requests_bounded(t *testing.T) {
	s := newServer(t)
	body := strings.Repeat("x", 1<<16)
	const sent = 1100
	for range sent {
		unsigned(s, "POST", "/v3/x", body)
	}
	all := s.Requests()
	require.Less(t, len(all), 1024)
	require.Greater(t, len(all), 900)
	require.Len(t, all[0].Body, len(body))
}

// buffer is a strings.Builder that is safe for concurrent use.
type buffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// As with any http.Server, panics of the test's own functions are logged.
func TestServer_ServeHTTP_panics(t *testing.T) {
	var logged buffer
	log.SetOutput(&logged)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	s := newServer(t)
	s.Handle("GET /v3/pay/x", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("in the handler") }))
	_, err := newRequest(s, "GET", "/v3/pay/x", "").try(t, s)
	require.Error(t, err)
	require.Contains(t, logged.String(), "in the handler")
	s.Configure(func(b *wechatpaytest.Behavior) { b.Log = func(wechatpaytest.Request) { panic("in the log") } })
	_, err = newRequest(s, "GET", path, "").try(t, s)
	require.Error(t, err)
	require.Contains(t, logged.String(), "in the log")
	s.Configure(func(b *wechatpaytest.Behavior) { b.Log = nil })
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultDrop})
	before := logged.String()
	_, err = newRequest(s, "GET", path, "").try(t, s)
	require.Error(t, err)
	require.Equal(t, before, logged.String(), "a fault is not logged")
}
