package wechatpay_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func TestComplaintsV2_EnsureNotificationURL(t *testing.T) {
	const other = "https://www.example.com/other"
	for _, tt := range []struct{ name, now, requests string }{
		{"none", "", "GET POST"},
		{"same", notificationURL, "GET"},
		{"other", other, "GET PUT"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, client := newFake(t)
			server.SetNotificationURL(tt.now)
			result, err := client.ComplaintsV2.EnsureNotificationURL(context.Background(), notificationURL)
			require.NoError(t, err)
			require.Equal(t, notificationURL, result.URL)
			var requests []string
			for _, request := range server.Requests() {
				requests = append(requests, request.Method)
			}
			require.Equal(t, tt.requests, strings.Join(requests, " "))
		})
	}
	_, client := newFake(t)
	_, err := client.ComplaintsV2.EnsureNotificationURL(context.Background(), "http://www.example.com/")
	require.EqualError(t, err, "wechatpay: ComplaintsV2.EnsureNotificationURL: invalid argument: "+
		`url: must be an https URL, got "http://www.example.com/"`)
}

// Three replicas read the URL before any of them writes it. All succeed.
func TestComplaintsV2_EnsureNotificationURL_replicas(t *testing.T) {
	const replicas = 3
	for _, before := range []string{"", "https://www.example.com/other"} {
		server, _ := newFake(t)
		server.SetNotificationURL(before)
		var barrier, done sync.WaitGroup
		barrier.Add(replicas)
		errs := make([]error, replicas)
		for i := range replicas {
			var once sync.Once
			client := gatewayClient(t, server, behind(func(
				req *http.Request, pay http.RoundTripper,
			) (*http.Response, error) {
				resp, err := pay.RoundTrip(req)
				once.Do(func() { // after the first GET
					barrier.Done()
					barrier.Wait()
				})
				return resp, err
			}))
			done.Add(1)
			go func() {
				defer done.Done()
				_, errs[i] = client.ComplaintsV2.EnsureNotificationURL(context.Background(), notificationURL)
			}()
		}
		done.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
	}
}

// Failures of the writes of EnsureNotificationURL.
func TestComplaintsV2_EnsureNotificationURL_failures(t *testing.T) {
	const path = "complaint-notifications"
	t.Run("response to the creation lost", func(t *testing.T) {
		server, client := newFake(t)
		server.AddFault(wechatpaytest.Fault{Path: "POST " + notificationURI, Kind: wechatpaytest.FaultLostResponse})
		_, err := client.ComplaintsV2.EnsureNotificationURL(context.Background(), notificationURL)
		require.NoError(t, err)
		require.Equal(t, 1, count(server, "POST "+path))
	})
	t.Run("deleted before the update", func(t *testing.T) {
		server, _ := newFake(t)
		server.SetNotificationURL("https://www.example.com/other")
		client := gatewayClient(t, server, behind(func(req *http.Request, pay http.RoundTripper) (*http.Response, error) {
			if req.Method == http.MethodPut {
				server.SetNotificationURL("")
			}
			return pay.RoundTrip(req)
		}))
		_, err := client.ComplaintsV2.EnsureNotificationURL(context.Background(), notificationURL)
		require.NoError(t, err)
		require.Equal(t, 1, count(server, "PUT "+path))
		require.Equal(t, 1, count(server, "POST "+path))
	})
	for status, writes := range map[int]int{400: 5, 403: 1} {
		t.Run(fmt.Sprint("always ", status), func(t *testing.T) {
			server, client := newFake(t)
			server.Handle("POST "+notificationURI, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				io.WriteString(w, `{"code":"NO","message":"m"}`)
			}))
			_, err := client.ComplaintsV2.EnsureNotificationURL(context.Background(), notificationURL)
			var rejection *wechatpay.APIError
			require.ErrorAs(t, err, &rejection)
			require.Equal(t, status, rejection.StatusCode)
			require.True(t, strings.HasPrefix(err.Error(), "wechatpay: ComplaintsV2.EnsureNotificationURL: POST "), err)
			require.Equal(t, writes, count(server, "POST "+path))
		})
	}
	t.Run("read fails after a write of unknown outcome", func(t *testing.T) {
		server, _ := newFake(t)
		server.AddFault(wechatpaytest.Fault{Path: "POST " + notificationURI, Kind: wechatpaytest.FaultLostResponse})
		client := gatewayClient(t, server, behind(func(req *http.Request, pay http.RoundTripper) (*http.Response, error) {
			if req.Method == http.MethodPost {
				server.AddFault(wechatpaytest.Fault{
					Path:  "GET " + notificationURI,
					Kind:  wechatpaytest.FaultError500,
					Times: 9,
				})
			}
			return pay.RoundTrip(req)
		}))
		_, err := client.ComplaintsV2.EnsureNotificationURL(context.Background(), notificationURL)
		require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
		require.Equal(t, 1, count(server, "POST "+path))
	})
	t.Run("read fails", func(t *testing.T) {
		server, client := newFake(t)
		server.AddFault(wechatpaytest.Fault{Path: "GET " + notificationURI, Kind: wechatpaytest.FaultError500, Times: 9})
		_, err := client.ComplaintsV2.EnsureNotificationURL(context.Background(), notificationURL)
		require.ErrorContains(t, err, "wechatpay: ComplaintsV2.EnsureNotificationURL: 4 attempts: GET ")
		require.Zero(t, count(server, "POST "+path))
	})
}

// A result has nothing of the response to an earlier attempt.
func TestComplaintsV2_UpdateNotificationURL_mismatchFirst(t *testing.T) {
	calls := 0
	_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		body := `{"url":"` + notificationURL + `"}`
		if calls++; calls == 1 {
			body = `{"mchid":"1900000999","url":"https://www.example.com/other"}`
		}
		reply(t, 200, body)(w, r)
	})
	got, err := retryClient(t, server.URL).ComplaintsV2.UpdateNotificationURL(context.Background(), notificationURL)
	require.NoError(t, err)
	require.Equal(t, 2, calls)
	require.Equal(t, &wechatpay.NotificationURL{URL: notificationURL}, got)
}
