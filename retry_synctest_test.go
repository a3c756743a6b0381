//go:build go1.25

package wechatpay_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

// bubbleClient returns a Client with the default RetryPolicy for a fake
// http.RoundTripper, in a synctest bubble.
func bubbleClient(t *testing.T, transport roundTripper) *wechatpay.Client {
	t.Helper()
	return retryClient(t, "http://127.0.0.1:1", func(cfg *wechatpay.Config) {
		cfg.InsecureSkipVerify = true
		cfg.Retry = wechatpay.RetryPolicy{}
		cfg.Time = nil
		cfg.Transport = transport
	})
}

func TestRetryPolicy_defaultTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var starts, ends []time.Time
		client := bubbleClient(t, func(req *http.Request) (*http.Response, error) {
			starts = append(starts, time.Now())
			<-req.Context().Done()
			ends = append(ends, time.Now())
			return nil, req.Context().Err()
		})
		err := getComplaint(client)
		require.ErrorContains(t, err, "no response within 20s")
		require.Len(t, starts, 4)
		for i := range starts {
			require.Equal(t, 20*time.Second, ends[i].Sub(starts[i]))
			if i > 0 {
				require.LessOrEqual(t, starts[i].Sub(ends[i-1]), 100*time.Millisecond<<(i-1))
			}
		}
	})
}

// A Retry-After is waited for if the deadline allows, or for up to 30 s if there
// is no deadline. Otherwise the call fails at once.
func TestRetryPolicy_retryAfterSeconds(t *testing.T) {
	for _, tt := range []struct {
		timeout    time.Duration // 0: no deadline
		retryAfter int           // seconds
		waits      bool
	}{
		{0, 1, true},
		{0, 30, true},
		{0, 31, false},
		{time.Hour, 31, true},
		{time.Hour, 3599, true},
		{time.Hour, 3600, false},
	} {
		t.Run(fmt.Sprintf("%d s, timeout %v", tt.retryAfter, tt.timeout), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := context.Background()
				if tt.timeout != 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.timeout)
					defer cancel()
				}
				requests := 0
				client := bubbleClient(t, func(req *http.Request) (*http.Response, error) {
					if requests++; requests > 1 {
						return fakeResponse(req, 200, `{"url":"https://www.example.com/"}`), nil
					}
					resp := fakeResponse(req, 429, `{"code":"FREQUENCY_LIMITED"}`)
					resp.Header.Set("Retry-After", fmt.Sprint(tt.retryAfter))
					return resp, nil
				})
				start := time.Now()
				_, err := client.ComplaintsV2.NotificationURL(ctx)
				if tt.waits {
					require.NoError(t, err)
					require.Equal(t, 2, requests)
					require.Equal(t, time.Duration(tt.retryAfter)*time.Second, time.Since(start))
					return
				}
				require.ErrorContains(t, err, "429 FREQUENCY_LIMITED")
				require.Equal(t, 1, requests)
				require.Zero(t, time.Since(start))
			})
		})
	}
}

// An image that starts after AttemptTimeout is closed.
func TestComplaintsV2_DownloadImage_closesLateBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bodies []*closeCounter
		client := bubbleClient(t, func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			body := &closeCounter{Reader: strings.NewReader("\x89PNG\r\n\x1a\n")}
			bodies = append(bodies, body)
			resp := fakeResponse(req, 200, "")
			resp.Header.Set("Content-Type", "image/png")
			resp.Body = body
			return resp, nil
		})
		require.ErrorIs(t, downloadImage(client), context.DeadlineExceeded)
		require.Len(t, bodies, 4)
		for _, body := range bodies {
			require.Equal(t, 1, body.closed)
		}
	})
}

func TestComplaintsV2_UpdateRefundProgress_contextEndsInPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		client := bubbleClient(t, func(req *http.Request) (*http.Response, error) {
			time.AfterFunc(5*time.Second, cancel)
			resp := fakeResponse(req, 429, `{"code":"FREQUENCY_LIMITED"}`)
			resp.Header.Set("Retry-After", "20")
			return resp, nil
		})
		start := time.Now()
		err := approve(ctx, client)
		require.Equal(t, 5*time.Second, time.Since(start))
		require.ErrorContains(t, err, "429 FREQUENCY_LIMITED")
		require.ErrorIs(t, err, context.Canceled)
		requireOutcome(t, err, true)
	})
}
