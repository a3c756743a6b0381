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

// A lookup counts records since 2 s before the call as its own, and those of the
// 5 minutes before as unclear.
func TestComplaintsV2_UpdateRefundProgress_timeOfRecord(t *testing.T) {
	const unclear = "the history shows the same decision shortly before the call"
	for _, tt := range []struct {
		at    time.Duration // of the record, since the call began
		text  string        // of the error; empty: nil
		posts int
	}{
		{10 * time.Second, "", 1},
		{-2 * time.Second, "", 1},
		{-2*time.Second - 1, unclear, 1},
		{-2*time.Second - 5*time.Minute, unclear, 1},
		{-2*time.Second - 5*time.Minute - 1, "", 2},
	} {
		t.Run(fmt.Sprint(tt.at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start, posts := time.Now(), 0
				client := bubbleClient(t, func(req *http.Request) (*http.Response, error) {
					if req.Method == http.MethodPost {
						if posts++; posts > 1 {
							return fakeResponse(req, 204, ""), nil
						}
						time.Sleep(10 * time.Second)
						return nil, errLostConnection
					}
					if !strings.Contains(req.URL.Path, "negotiation") {
						return fakeResponse(req, 200, `{"complaint_id":"`+testComplaintID+`","user_complaint_times":1}`), nil
					}
					record := recordJSON("1", wechatpay.OperateTypeMerchantApproveRefund, start.Add(tt.at))
					resp := fakeResponse(req, 200, historyJSON(record))
					resp.Header.Set("Wechatpay-Timestamp", fmt.Sprint(time.Now().Unix()))
					return resp, nil
				})
				err := approve(context.Background(), client)
				require.Equal(t, tt.posts, posts)
				if tt.text == "" {
					require.NoError(t, err)
					return
				}
				requireOutcome(t, err, true)
				require.ErrorContains(t, err, tt.text)
			})
		})
	}
}

// The second lookup is HistoryLag after the attempt ended, however long the first
// one takes.
func TestComplaintsV2_UpdateRefundProgress_secondLookup(t *testing.T) {
	for first, second := range map[time.Duration]time.Duration{
		300 * time.Millisecond:  time.Second,
		1500 * time.Millisecond: 1500 * time.Millisecond,
	} {
		synctest.Test(t, func(t *testing.T) {
			var ended time.Time
			var lookups []time.Duration // since the attempt ended
			client := bubbleClient(t, func(req *http.Request) (*http.Response, error) {
				if req.Method == http.MethodPost {
					time.Sleep(10 * time.Second)
					ended = time.Now()
					return nil, errLostConnection
				}
				lookups = append(lookups, time.Since(ended))
				if len(lookups) == 1 {
					time.Sleep(first)
					return fakeResponse(req, 200, historyJSON()), nil
				}
				return fakeResponse(req, 403, `{"code":"NO_AUTH"}`), nil
			})
			requireOutcome(t, approve(context.Background(), client), true)
			require.Equal(t, []time.Duration{0, second}, lookups)
		})
	}
}

func TestComplaintsV2_UpdateRefundProgress_contextEndsInLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		lookups := 0
		client := bubbleClient(t, func(req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodPost {
				return nil, errLostConnection
			}
			lookups++
			time.Sleep(2 * time.Second) // longer than HistoryLag
			resp := fakeResponse(req, 200, historyJSON())
			resp.Body = onClose{resp.Body, cancel}
			return resp, nil
		})
		err := approve(ctx, client)
		requireOutcome(t, err, true)
		require.ErrorContains(t, err, "no time to look it up again: context canceled")
		require.Equal(t, 1, lookups)
	})
}

// An unknown number is looked up again HistoryLag after the attempt ended.
func TestRefunds_Create_secondLookup(t *testing.T) {
	for first, second := range map[time.Duration]time.Duration{
		300 * time.Millisecond:  time.Second,
		1500 * time.Millisecond: 1500 * time.Millisecond,
	} {
		synctest.Test(t, func(t *testing.T) {
			var ended time.Time
			var lookups []time.Duration // since the attempt ended
			client := bubbleClient(t, func(req *http.Request) (*http.Response, error) {
				if req.Method == http.MethodPost {
					time.Sleep(10 * time.Second)
					ended = time.Now()
					return nil, errLostConnection
				}
				lookups = append(lookups, time.Since(ended))
				if len(lookups) == 1 {
					time.Sleep(first)
					return fakeResponse(req, 404, `{"code":"RESOURCE_NOT_EXISTS"}`), nil
				}
				return fakeResponse(req, 200, `{"out_refund_no":"refund-1","status":"PROCESSING"}`), nil
			})
			_, err := createRefund(client, testOrder, "refund-1", 1, 1)
			require.NoError(t, err)
			require.Equal(t, []time.Duration{0, second}, lookups)
		})
	}
}

// If the context leaves no time for the second lookup, the outcome is unknown.
func TestRefunds_Create_noTimeForSecondLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		posts := 0
		client := bubbleClient(t, func(req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodPost {
				posts++
				return nil, errLostConnection
			}
			return fakeResponse(req, 404, `{"code":"RESOURCE_NOT_EXISTS"}`), nil
		})
		start := time.Now()
		_, err := client.Refunds.Create(ctx, &wechatpay.CreateRefundRequest{
			TransactionID: testOrder,
			OutRefundNo:   "refund-1",
			Amount:        wechatpay.CreateRefundAmount{Refund: 1, Total: 1},
		})
		require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
		require.ErrorContains(t, err, "no time to look it up again")
		require.Equal(t, 1, posts)
		require.Zero(t, time.Since(start))
	})
}
