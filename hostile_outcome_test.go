package wechatpay_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// The tests in this file are about writes whose first attempt is in doubt.

// rejections are responses of WeChat Pay that reject a write.
var rejections = []gatewayPage{
	jsonPage(400, `{"code":"INVALID_REQUEST","message":"请检查是否重复调用"}`),
	jsonPage(400, `{"code":"PARAM_ERROR","message":"参数错误"}`),
	jsonPage(401, `{"code":"SIGN_ERROR","message":"nonce used"}`),
	jsonPage(403, `{"code":"NO_AUTH","message":"no"}`),
	jsonPage(404, `{"code":"RESOURCE_NOT_EXISTS","message":"no"}`),
}

// The first attempt is applied, and its response is lost or a 429. The history
// does not show it yet, and the next attempt is rejected: the rejection does not
// mean that the decision was not applied.
func TestClient_rejectionAfterDoubt_historyLags(t *testing.T) {
	firsts := map[string]gatewayPage{
		"429": jsonPage(429, `{"code":"FREQUENCY_LIMITED"}`),
		"500": jsonPage(500, `{"code":"SYSTEM_ERROR"}`),
		"502": htmlPage(502),
	}
	for _, call := range callsNamed("approve", "reject", "Complete") {
		for name, first := range firsts {
			if call.name == "Complete" && name != "429" {
				continue // not sent again
			}
			for _, rejection := range sample(rejections, 1) {
				t.Run(call.name+"/"+name+"/"+rejection.name, func(t *testing.T) {
					server, written := startFake(t), 0
					server.Configure(func(b *wechatpaytest.Behavior) { b.HistoryLag = time.Hour })
					relay := func(req *http.Request, pay http.RoundTripper) (*http.Response, error) {
						if !call.matches(req) {
							return pay.RoundTrip(req)
						}
						if written++; written == 1 {
							discardResponse(t, req, pay)
							return first.response(req), nil
						}
						return rejection.response(req), nil
					}
					client := gatewayClient(t, server, behind(relay))
					require.ErrorIs(t, call.do(context.Background(), client), wechatpay.ErrOutcomeUnknown)
					require.Equal(t, 1, call.applied(server))
				})
			}
		}
	}
}

// The response is lost, and the history lags longer than RetryPolicy.HistoryLag.
func TestComplaintsV2_UpdateRefundProgress_historyLagsLonger(t *testing.T) {
	for _, kind := range []wechatpaytest.FaultKind{wechatpaytest.FaultLostResponse, wechatpaytest.FaultUnsigned} {
		for _, call := range callsNamed("approve", "reject") {
			t.Run(string(kind)+"/"+call.name, func(t *testing.T) {
				server := startFake(t)
				server.Configure(func(b *wechatpaytest.Behavior) { b.HistoryLag = 5 * time.Second })
				server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: kind})
				err := call.do(context.Background(), gatewayClient(t, server))
				require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
				require.Equal(t, 1, call.applied(server))
			})
		}
	}
}

// failDecision lets the next decision fail. A 429 has no Retry-After.
func failDecision(server *wechatpaytest.Server, kind wechatpaytest.FaultKind) {
	server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: kind, Delay: time.Millisecond})
}

// After an attempt in doubt, a lookup may explain the rejection: then the
// decision was not applied.
func TestComplaintsV2_UpdateRefundProgress_explainedRejection(t *testing.T) {
	notRefund := []func(*wechatpay.Complaint){func(c *wechatpay.Complaint) {
		c.ProblemType = wechatpay.ProblemTypeServiceNotWork
	}}
	for _, tt := range []struct {
		name     string
		fault    wechatpaytest.FaultKind
		change   []func(*wechatpay.Complaint)
		rejected bool // by a colleague, after the first attempt
	}{
		{"a colleague rejects it", wechatpaytest.FaultDrop, nil, true},
		{"not a refund request", wechatpaytest.FaultDrop, notRefund, false},
		{"not a refund request, after a 429", wechatpaytest.FaultBusy429, notRefund, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, call, sent := startFake(t, tt.change...), callsNamed("approve")[0], 0
			failDecision(server, tt.fault)
			relay := func(req *http.Request, pay http.RoundTripper) (*http.Response, error) {
				resp, err := pay.RoundTrip(req)
				if call.matches(req) {
					if sent++; sent == 1 && tt.rejected {
						require.NoError(t, server.MerchantDecides(testComplaintID, wechatpay.RefundReject, "已使用"))
					}
				}
				return resp, err
			}
			client := gatewayClient(t, server, behind(relay))
			err := call.do(context.Background(), client)
			require.Error(t, err)
			require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			require.Zero(t, call.applied(server))
		})
	}
}

// A lookup by number decides about a refund: unknown and then rejected is a
// definite rejection.
func TestRefunds_Create_rejectionAfterDoubt(t *testing.T) {
	t.Parallel()
	for _, call := range callsNamed("Refunds.Create", "ComplaintsV2.Refund") {
		for _, kind := range []wechatpaytest.FaultKind{
			wechatpaytest.FaultDrop, wechatpaytest.FaultError500, wechatpaytest.FaultBusy429,
		} {
			t.Run(call.name+"/"+string(kind), func(t *testing.T) {
				server := startFake(t)
				server.Configure(func(b *wechatpaytest.Behavior) {
					b.RefundRefusal = wechatpaytest.Refusal{StatusCode: 403, Code: "NOT_ENOUGH"}
				})
				server.AddFault(wechatpaytest.Fault{Path: "POST /v3/refund", Kind: kind, Delay: time.Millisecond})
				err := call.do(context.Background(), gatewayClient(t, server))
				var rejected *wechatpay.APIError
				require.ErrorAs(t, err, &rejected)
				require.Equal(t, wechatpay.ErrorCodeNotEnough, rejected.Code)
				require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
				require.Empty(t, server.Refunds())
			})
		}
	}
}

// requestLog returns the requests about the complaint in order.
func requestLog(server *wechatpaytest.Server) (requests []string) {
	for _, request := range server.Requests() {
		path, _, _ := strings.Cut(request.Path, "?")
		_, rest, _ := strings.Cut(path, testComplaintID)
		requests = append(requests, request.Method+" "+rest)
	}
	return requests
}

// A 429 may be the response to a decision that was applied.
func TestComplaintsV2_UpdateRefundProgress_busy(t *testing.T) {
	const post, read, history = "POST /update-refund-progress", "GET ", "GET /negotiation-historys"
	for _, tt := range []struct {
		name    string
		applied bool // despite the first 429
		times   int  // number of 429 responses
		unknown bool
		want    []string // requests; nil: not checked
	}{
		{"not applied, then accepted", false, 1, false, []string{post, read, post}},
		{"not applied twice, then accepted", false, 2, false, []string{post, read, post, read, post}},
		{"applied, then rejected", true, 1, false, []string{post, read, post, history}},
		{"applied, and always busy", true, 4, false, []string{post, read, post, read, post, read, post, history}},
		{"not applied, and always busy", false, 4, true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, call := startFake(t), callsNamed("approve")[0]
			server.AddFault(wechatpaytest.Fault{
				Path:        "update-refund-progress",
				Kind:        wechatpaytest.FaultBusy429,
				Delay:       time.Millisecond,
				TakesEffect: tt.applied,
			})
			for range tt.times - 1 {
				failDecision(server, wechatpaytest.FaultBusy429)
			}
			err := call.do(context.Background(), gatewayClient(t, server))
			if tt.unknown {
				require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
				require.Zero(t, call.applied(server))
				return
			}
			require.NoError(t, err)
			require.Len(t, server.History(testComplaintID), 2)
			require.Equal(t, tt.want, requestLog(server))
		})
	}
}

func TestComplaintsV2_Complete_busy(t *testing.T) {
	for _, applied := range []bool{true, false} {
		t.Run(fmt.Sprintf("applied %t", applied), func(t *testing.T) {
			server, call := startFake(t), callsNamed("Complete")[0]
			server.AddFault(wechatpaytest.Fault{
				Path:        "/complete",
				Kind:        wechatpaytest.FaultBusy429,
				Delay:       time.Millisecond,
				TakesEffect: applied,
			})
			require.NoError(t, call.do(context.Background(), gatewayClient(t, server)))
			require.Equal(t, 1, call.applied(server))
		})
	}
}

// Before a decision in doubt is sent again, the round is checked: one call never
// decides in two rounds. A call that must not send the decision again ends with
// ErrOutcomeUnknown.
func TestComplaintsV2_UpdateRefundProgress_round(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(t *testing.T, s *wechatpaytest.Server)
		during func(t *testing.T, s *wechatpaytest.Server) // after the first attempt
		retry  bool
	}{
		{"first round", nil, nil, true},
		{"second round", func(t *testing.T, s *wechatpaytest.Server) {
			continueComplaint(t, s)
			s.Advance(time.Minute)
		}, nil, true},
		{"filed again just before the call", continueComplaint, nil, false},
		{"filed again, not in the history yet", nil, func(t *testing.T, s *wechatpaytest.Server) {
			require.NoError(t, s.ChangeComplaint(testComplaintID, func(c *wechatpay.Complaint) {
				c.UserComplaintTimes = 2
			}))
		}, false},
		{"processed meanwhile", nil, func(t *testing.T, s *wechatpaytest.Server) {
			require.NoError(t, s.ChangeComplaint(testComplaintID, func(c *wechatpay.Complaint) {
				c.ComplaintState = wechatpay.ComplaintStateProcessed
			}))
		}, false},
		{"complaint cannot be read", func(_ *testing.T, s *wechatpaytest.Server) {
			s.AddFault(wechatpaytest.Fault{
				Path:  "GET " + complaintURLPath + "{complaint_id}",
				Kind:  wechatpaytest.FaultError500,
				Times: 4,
			})
		}, nil, false},
	} {
		for _, kind := range []wechatpaytest.FaultKind{wechatpaytest.FaultDrop, wechatpaytest.FaultBusy429} {
			t.Run(tt.name+"/"+string(kind), func(t *testing.T) {
				server, call, sent := startFake(t), callsNamed("approve")[0], 0
				if tt.before != nil {
					tt.before(t, server)
				}
				failDecision(server, kind)
				relay := func(req *http.Request, pay http.RoundTripper) (*http.Response, error) {
					resp, err := pay.RoundTrip(req)
					if call.matches(req) {
						if sent++; sent == 1 && tt.during != nil {
							tt.during(t, server)
						}
					}
					return resp, err
				}
				err := call.do(context.Background(), gatewayClient(t, server, behind(relay)))
				if tt.retry {
					require.NoError(t, err)
					require.Equal(t, 2, sent)
					require.Equal(t, 1, call.applied(server))
				} else {
					require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
					require.Equal(t, 1, sent)
				}
			})
		}
	}
}

// continueComplaint ends the current round, and the user files the complaint
// again.
func continueComplaint(t *testing.T, server *wechatpaytest.Server) {
	t.Helper()
	require.NoError(t, server.ChangeComplaint(testComplaintID, func(c *wechatpay.Complaint) {
		c.ComplaintState = wechatpay.ComplaintStateProcessed
	}))
	server.Advance(time.Minute)
	require.NoError(t, server.UserContinues(testComplaintID))
}

// The first attempt is applied and ends the round, but neither its response nor
// the history shows that. Then the user files the complaint again: that round is
// not decided by the same call.
func TestComplaintsV2_UpdateRefundProgress_filedAgainDuringCall(t *testing.T) {
	t.Parallel()
	const post, history = "POST /update-refund-progress", "GET /negotiation-historys"
	endRound := map[string]func(*testing.T, *wechatpaytest.Server){
		"reject": func(*testing.T, *wechatpaytest.Server) {}, // PROCESSED at once
		"approve": func(t *testing.T, s *wechatpaytest.Server) {
			require.NoError(t, s.ChangeComplaint(testComplaintID, func(c *wechatpay.Complaint) {
				c.ComplaintState = wechatpay.ComplaintStateProcessed
			}))
		},
	}
	for _, call := range callsNamed("approve", "reject") {
		for _, tt := range []struct {
			fault wechatpaytest.Fault
			after string // the user files the complaint again after this request
			n     int    // and this number of them
		}{
			{wechatpaytest.Fault{Kind: wechatpaytest.FaultLostResponse}, post, 1},
			{wechatpaytest.Fault{Kind: wechatpaytest.FaultLostResponse}, history, 1},
			{wechatpaytest.Fault{Kind: wechatpaytest.FaultLostResponse}, history, 2},
			{wechatpaytest.Fault{Kind: wechatpaytest.FaultError500, TakesEffect: true}, history, 2},
			{wechatpaytest.Fault{Kind: wechatpaytest.FaultHTML502, TakesEffect: true}, history, 2},
			{wechatpaytest.Fault{Kind: wechatpaytest.FaultBusy429, TakesEffect: true}, post, 1},
		} {
			t.Run(fmt.Sprintf("%s/%s/%s %d", call.name, tt.fault.Kind, tt.after, tt.n), func(t *testing.T) {
				server, n, sent := startFake(t), 0, 0
				server.Configure(func(b *wechatpaytest.Behavior) { b.HistoryLag = time.Hour })
				tt.fault.Path, tt.fault.Times, tt.fault.Delay = "update-refund-progress", 1, time.Millisecond
				server.AddFault(tt.fault)
				server.Advance(2 * time.Hour) // the history shows the first filing
				after := apiCall{request: tt.after}
				relay := func(req *http.Request, pay http.RoundTripper) (*http.Response, error) {
					resp, err := pay.RoundTrip(req)
					if call.matches(req) {
						sent++
					}
					if after.matches(req) {
						if n++; n == tt.n {
							endRound[call.name](t, server)
							require.NoError(t, server.UserContinues(testComplaintID))
						}
					}
					return resp, err
				}
				client := gatewayClient(t, server, behind(relay))
				err := call.do(context.Background(), client)
				require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
				require.Equal(t, 1, call.applied(server))
				require.Equal(t, 1, sent)
			})
		}
	}
}

// The first DELETE fails, and then a gateway says that there is no URL: only
// WeChat Pay can say that.
func TestComplaintsV2_DeleteNotificationURL_unsignedNotFound(t *testing.T) {
	call := callsNamed("DeleteNotificationURL")[0]
	firsts := []gatewayPage{htmlPage(502), jsonPage(500, `{"code":"SYSTEM_ERROR"}`), htmlPage(403)}
	for _, first := range firsts {
		for _, status := range []int{400, 404} {
			for _, deletes := range []int{1, 99} { // how many DELETEs get the first page
				t.Run(fmt.Sprintf("%s/%d/%d", first.name, status, deletes), func(t *testing.T) {
					server, sent := startFake(t), 0
					call.prepare(server)
					relay := func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
						if call.matches(req) {
							if sent++; sent <= deletes {
								return first.response(req), nil
							}
						}
						page := jsonPage(status, errorBody)
						return page.response(req), nil
					}
					client := gatewayClient(t, server, behind(relay))
					require.ErrorIs(t, call.do(context.Background(), client), wechatpay.ErrOutcomeUnknown)
				})
			}
		}
	}
}
