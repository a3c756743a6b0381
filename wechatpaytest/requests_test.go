package wechatpaytest_test

import (
	"bytes"
	"encoding/json"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// What was answered again, or changes nothing, did not take effect.
func TestTookEffect(t *testing.T) {
	s := start(t)
	file(s)
	require.NoError(t, s.ChangeComplaint(id, func(c *wechatpay.Complaint) { c.NeedImmediateService = true }))
	immediate := `{"complainted_mchid":"1900000001","idempotent_id":"i-1","message":{}}`
	for _, test := range []struct {
		target, body string
		tookEffect   bool
	}{
		{refunds, refundOf("r-1", 100), true},
		{refunds, refundOf("r-1", 100), false},
		{path + "/response-immediate-service", immediate, true},
		{path + "/response-immediate-service", immediate, false},
	} {
		call(t, s, 200, "POST", test.target, test.body)
		all := s.Requests()
		require.Equal(t, test.tookEffect, all[len(all)-1].TookEffect, test.target)
	}
	m := newMessage(s, "POST", "/v3/security/echo", `{"echo_message":"x"}`)
	m.header.Set("Wechatpay-Serial", s.Config().PublicKeyID)
	require.Equal(t, 200, m.send(t, s).StatusCode)
	all := s.Requests()
	require.False(t, all[len(all)-1].TookEffect, "the self-test touches nothing")
}

// Who gets a request gets a copy: nothing that he does to it reaches the log, or
// the answer that is about to be sent.
func TestRequestsAreCopies(t *testing.T) {
	s := start(t)
	file(s)
	spoil := func(r wechatpaytest.Request) {
		r.Header.Del("Authorization")
		r.Header.Del("Wechatpay-Serial")
		clear(r.Body)
		clear(r.Response)
		if r.Signature != nil {
			r.Signature.Verified = ""
		}
	}
	s.Configure(func(b *wechatpaytest.Behavior) { b.Log = spoil })
	serial := strings.ToUpper(s.PlatformCertificate().SerialNumber.Text(16))
	m := newMessage(s, "POST", path+"/update-refund-progress", `{}`)
	m.header.Set("Wechatpay-Serial", serial)
	r := m.send(t, s)
	require.True(t, json.Valid(r.body), "%s", r.body)
	require.Equal(t, serial, r.Header.Get("Wechatpay-Serial"))
	wrong := "wrong"
	m.signed = &wrong
	require.Equal(t, 401, m.send(t, s).StatusCode)
	for range 2 {
		all := s.Requests()
		require.NotEmpty(t, all[0].Header.Get("Authorization"))
		require.Equal(t, `{}`, string(all[0].Body))
		require.Equal(t, string(r.body), string(all[0].Response))
		require.NotEmpty(t, all[1].Signature.Verified)
		spoil(all[0])
		spoil(all[1])
	}
}

// The log forgets the oldest requests before it fills the memory.
func TestLogIsBounded(t *testing.T) {
	s := start(t)
	body := bytes.Repeat([]byte("x"), 1<<16)
	const sent = 1100
	for range sent {
		s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/v3/x", bytes.NewReader(body)))
	}
	all := s.Requests()
	require.Less(t, len(all), 1024)
	require.Greater(t, len(all), 900)
	require.Len(t, all[0].Body, len(body))
}

// buffer is what a log may write to while it is read.
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

// A panic of the test's own functions is shown, as net/http does it.
func TestPanicsAreShown(t *testing.T) {
	var shown buffer
	log.SetOutput(&shown)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	s := start(t)
	s.Handle("GET /v3/pay/x", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("of the handler") }))
	_, err := newMessage(s, "GET", "/v3/pay/x", "").try(t, s)
	require.Error(t, err)
	require.Contains(t, shown.String(), "of the handler")
	s.Configure(func(b *wechatpaytest.Behavior) { b.Log = func(wechatpaytest.Request) { panic("of the log") } })
	_, err = newMessage(s, "GET", path, "").try(t, s)
	require.Error(t, err)
	require.Contains(t, shown.String(), "of the log")
	s.Configure(func(b *wechatpaytest.Behavior) { b.Log = nil })
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultDrop})
	before := shown.String()
	_, err = newMessage(s, "GET", path, "").try(t, s)
	require.Error(t, err)
	require.Equal(t, before, shown.String(), "a fault is no panic")
}
