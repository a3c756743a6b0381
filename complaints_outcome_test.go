package wechatpay_test

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// newFake starts a WeChat Pay with one refund request, and a Client for it.
func newFake(t testing.TB, change ...func(*wechatpay.Config)) (*wechatpaytest.Server, *wechatpay.Client) {
	t.Helper()
	server := wechatpaytest.NewServer()
	t.Cleanup(server.Close)
	server.AddComplaint(wechatpay.Complaint{ComplaintID: testComplaintID, ProblemType: wechatpay.ProblemTypeRefund})
	return server, fakeClient(t, server, change...)
}

func fakeClient(t testing.TB, server *wechatpaytest.Server, change ...func(*wechatpay.Config)) *wechatpay.Client {
	t.Helper()
	cfg := server.Config()
	cfg.Retry = fastRetry
	transport := wechatpay.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	cfg.Transport = transport
	for _, change := range change {
		change(&cfg)
	}
	client, err := wechatpay.NewClient(cfg)
	require.NoError(t, err)
	return client
}

// count tells how many requests of a kind came: "POST update-refund-progress".
func count(server *wechatpaytest.Server, kind string) (n int) {
	method, path, _ := strings.Cut(kind, " ")
	for _, request := range server.Requests() {
		if request.Method == method && strings.Contains(request.Path, path) {
			n++
		}
	}
	return n
}

// operations are the types of a complaint's records.
func operations(server *wechatpaytest.Server) (types []wechatpay.OperateType) {
	for _, record := range server.History(testComplaintID) {
		types = append(types, record.OperateType)
	}
	return types
}

const decision = "POST update-refund-progress"

// A decision that took effect is found, whatever became of its answer, and is
// not sent again.
func TestDecisionThatStandsIsFound(t *testing.T) {
	for _, fault := range []wechatpaytest.Fault{
		{Kind: wechatpaytest.FaultLostResponse}, {Kind: wechatpaytest.FaultCut}, {Kind: wechatpaytest.FaultForged}, {Kind: wechatpaytest.FaultUnsigned},
		{Kind: wechatpaytest.FaultProbe}, {Kind: wechatpaytest.FaultOld},
		{Kind: wechatpaytest.FaultError500, TakesEffect: true}, {Kind: wechatpaytest.FaultError502, TakesEffect: true}, {Kind: wechatpaytest.FaultHTML502, TakesEffect: true},
	} {
		for _, req := range []*wechatpay.UpdateRefundProgressRequest{wechatpay.ApproveRefund(0), wechatpay.RejectRefund("已使用")} {
			t.Run(string(fault.Kind)+" "+string(req.Action), func(t *testing.T) {
				server, client := newFake(t)
				fault.Path, fault.Times = "update-refund-progress", 1
				server.AddFault(fault)
				require.NoError(t, client.ComplaintsV2.UpdateRefundProgress(context.Background(), testComplaintID, req))
				require.Equal(t, 1, count(server, decision))
				require.Len(t, operations(server), 2)
			})
		}
	}
}

// One that did not is sent again, once the history has twice not shown it.
func TestDecisionThatDoesNotStandIsSentAgain(t *testing.T) {
	for _, kind := range []wechatpaytest.FaultKind{wechatpaytest.FaultDrop, wechatpaytest.FaultError500, wechatpaytest.FaultError502, wechatpaytest.FaultError503, wechatpaytest.FaultHTML502} {
		t.Run(string(kind), func(t *testing.T) {
			server, client := newFake(t)
			server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: kind, Times: 2})
			require.NoError(t, approve(context.Background(), client))
			require.Equal(t, 3, count(server, decision))
			require.Equal(t, 4, count(server, "GET negotiation-historys"))
			require.Equal(t, []wechatpay.OperateType{wechatpay.OperateTypeUserCreateComplaint, wechatpay.OperateTypeMerchantApproveRefund}, operations(server))
		})
	}
}

// The history lags behind: the decision shows by the second look.
func TestDecisionIsFoundInAHistoryThatLags(t *testing.T) {
	server, client := newFake(t, func(cfg *wechatpay.Config) { cfg.Retry.HistoryLag = 500 * time.Millisecond })
	server.Configure(func(b *wechatpaytest.Behavior) { b.HistoryLag = 100 * time.Millisecond })
	server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultLostResponse})
	require.NoError(t, approve(context.Background(), client))
	require.Equal(t, 1, count(server, decision))
	require.Equal(t, 2, count(server, "GET negotiation-historys"))
}

// A decision of an earlier round is not this one, nor is one of minutes ago.
func TestAnEarlierDecisionProvesNothing(t *testing.T) {
	server, client := newFake(t)
	reject := func() error {
		return client.ComplaintsV2.UpdateRefundProgress(context.Background(), testComplaintID, wechatpay.RejectRefund("已使用"))
	}
	require.NoError(t, reject())
	server.Advance(time.Minute)
	require.NoError(t, server.UserContinues(testComplaintID))
	server.Advance(time.Minute)

	server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultDrop})
	require.NoError(t, reject())
	require.Equal(t, 3, count(server, decision))
	require.Equal(t, []wechatpay.OperateType{wechatpay.OperateTypeUserCreateComplaint, wechatpay.OperateTypeMerchantRefuseRefund,
		wechatpay.OperateTypeUserContinueComplaint, wechatpay.OperateTypeMerchantRefuseRefund}, operations(server))
}

// onDecision runs f before the first decision is sent.
func onDecision(f func()) func(*wechatpay.Config) {
	return func(cfg *wechatpay.Config) {
		base, done := cfg.Transport, false
		cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodPost && !done {
				done = true
				f()
			}
			return base.RoundTrip(req)
		})
	}
}

// A colleague decides the opposite while the answer is lost.
func TestTheOppositeDecisionIsADefiniteError(t *testing.T) {
	server, colleague := newFake(t)
	client := fakeClient(t, server, onDecision(func() {
		require.NoError(t, colleague.ComplaintsV2.UpdateRefundProgress(context.Background(), testComplaintID, wechatpay.RejectRefund("已使用")))
		server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultError500})
	}))
	err := approve(context.Background(), client)
	require.ErrorContains(t, err, "the opposite decision was applied: the history shows MERCHANT_REFUSE_RERUND")
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	require.Equal(t, 2, count(server, decision))
}

// The user files again while the outcome is unknown: nothing is sent into the
// new round.
func TestNothingIsSentIntoANewRound(t *testing.T) {
	server, colleague := newFake(t)
	client := fakeClient(t, server, onDecision(func() {
		require.NoError(t, colleague.ComplaintsV2.Complete(context.Background(), testComplaintID, nil))
		require.NoError(t, server.UserContinues(testComplaintID))
		server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultError500})
	}))
	err := approve(context.Background(), client)
	require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	require.ErrorContains(t, err, "the user filed the complaint again during the call")
	require.Equal(t, 1, count(server, decision))
}

// A refusal after a doubt is looked up before it is called a failure: the lost
// first attempt is what the second is refused for.
func TestARefusalAfterADoubtIsLookedUp(t *testing.T) {
	server, _ := newFake(t)
	var posts atomic.Int32
	// The first attempt takes effect after two looks have not shown it.
	late := make(chan *http.Request, 1)
	client := fakeClient(t, server, func(cfg *wechatpay.Config) {
		base := cfg.Transport
		cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
			if req.Method != http.MethodPost {
				return base.RoundTrip(req)
			}
			if posts.Add(1) == 1 {
				late <- req.Clone(context.Background())
				return nil, errors.New("the line is dead")
			}
			first := <-late
			body, err := first.GetBody()
			require.NoError(t, err)
			first.Body = body
			resp, err := base.RoundTrip(first)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			return base.RoundTrip(req)
		})
	})
	require.NoError(t, approve(context.Background(), client))
	require.Equal(t, int32(2), posts.Load())
	require.Len(t, operations(server), 2)
}

// A refusal without a doubt is a failure at once, and one that the history does
// not explain is the failure that it says.
func TestRefusals(t *testing.T) {
	server, client := newFake(t)
	require.NoError(t, approve(context.Background(), client))
	err := approve(context.Background(), client)
	var refusal *wechatpay.APIError
	require.ErrorAs(t, err, &refusal)
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	require.Zero(t, count(server, "GET negotiation-historys"))

	// Decided long ago, and the first answer is a gateway's.
	server.Advance(time.Hour)
	server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultHTML502})
	err = approve(context.Background(), client)
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, 400, refusal.StatusCode)
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
}

func TestWhatLeavesADecisionUnknown(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(*wechatpaytest.Server)
		policy  wechatpay.RetryPolicy
		posts   int
		looks   int
		text    string
	}{
		{"the looks fail", func(s *wechatpaytest.Server) {
			s.AddFault(wechatpaytest.Fault{Path: "negotiation-historys", Kind: wechatpaytest.FaultError500, Times: 4})
		}, wechatpay.RetryPolicy{}, 1, 4, "lookup: "},
		{"one look fails", func(s *wechatpaytest.Server) {
			s.Handle("GET /v3/merchant-service/complaints-v2/{id}/negotiation-historys", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(403) }))
		}, wechatpay.RetryPolicy{}, 1, 1, "lookup: "},
		{"the attempts are used up", func(s *wechatpaytest.Server) {
			s.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultError500, Times: 3})
		}, wechatpay.RetryPolicy{MaxAttempts: 2}, 2, 4, "2 attempts"},
		{"looking takes too long", func(s *wechatpaytest.Server) {
			s.AddFault(wechatpaytest.Fault{Path: "negotiation-historys", Kind: wechatpaytest.FaultSlow, Delay: time.Minute, Times: 9})
		}, wechatpay.RetryPolicy{AttemptTimeout: 200 * time.Millisecond}, 1, -1, "lookup: "},
		{"nothing is to be repeated or looked up", func(*wechatpaytest.Server) {}, wechatpay.RetryPolicy{MaxAttempts: 1}, 1, 0, "outcome unknown"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, client := newFake(t, func(cfg *wechatpay.Config) {
				cfg.Retry.MaxAttempts = tt.policy.MaxAttempts
				if tt.policy.AttemptTimeout != 0 {
					cfg.Retry.AttemptTimeout = tt.policy.AttemptTimeout
				}
			})
			server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultError500})
			tt.prepare(server)
			err := approve(context.Background(), client)
			requireOutcome(t, err, true)
			require.ErrorContains(t, err, tt.text)
			require.Equal(t, tt.posts, count(server, decision))
			if tt.looks >= 0 {
				require.Equal(t, tt.looks, count(server, "GET negotiation-historys"))
			}
		})
	}

	t.Run("the context leaves no time to look again", func(t *testing.T) {
		server, client := newFake(t, func(cfg *wechatpay.Config) { cfg.Retry.HistoryLag = time.Hour })
		server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultDrop})
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err := approve(ctx, client)
		requireOutcome(t, err, true)
		require.ErrorContains(t, err, "no time to look it up again")
		require.NoError(t, ctx.Err(), "it waits for nothing")
		require.Equal(t, 1, count(server, decision))
	})
}

// The history's order is not documented, and the record may be on any page.
func TestDecisionIsFoundOnAnyPage(t *testing.T) {
	for _, oldestFirst := range []bool{true, false} {
		server, client := newFake(t)
		server.Configure(func(b *wechatpaytest.Behavior) { b.HistoryOldestFirst = oldestFirst })
		for range 250 {
			require.NoError(t, server.UserReplies(testComplaintID, "在吗"))
		}
		server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultLostResponse})
		require.NoError(t, approve(context.Background(), client))
		require.Equal(t, 3, count(server, "GET negotiation-historys"))
	}
}

// The service's clock counts, not this machine's.
func TestLookingUpWithAWrongClock(t *testing.T) {
	for _, off := range []time.Duration{-4 * time.Minute, 4 * time.Minute} {
		server := wechatpaytest.NewServer()
		t.Cleanup(server.Close)
		server.AddComplaint(wechatpay.Complaint{ComplaintID: testComplaintID, ProblemType: wechatpay.ProblemTypeRefund})
		client := fakeClient(t, server, func(cfg *wechatpay.Config) {
			cfg.Time = func() time.Time { return server.Now().Add(off) }
		})
		server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultLostResponse})
		require.NoError(t, approve(context.Background(), client))
		require.Equal(t, 1, count(server, decision))
	}
}

// A completion is never sent again; it is done if the history and the state say
// so.
func TestCompletion(t *testing.T) {
	server, client := newFake(t)
	server.AddFault(wechatpaytest.Fault{Path: "complete", Kind: wechatpaytest.FaultLostResponse})
	require.NoError(t, client.ComplaintsV2.Complete(context.Background(), testComplaintID, nil))
	require.Equal(t, 1, count(server, "POST complete"))
	require.Equal(t, 1, count(server, "GET negotiation-historys"))

	server, client = newFake(t)
	server.AddFault(wechatpaytest.Fault{Path: "complete", Kind: wechatpaytest.FaultDrop})
	err := client.ComplaintsV2.Complete(context.Background(), testComplaintID, nil)
	require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	require.Equal(t, 1, count(server, "POST complete"))
	require.Equal(t, 2, count(server, "GET negotiation-historys"))

	// Completed, and filed again before the look.
	server, _ = newFake(t)
	client = fakeClient(t, server, func(cfg *wechatpay.Config) {
		base := cfg.Transport
		cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
			resp, err := base.RoundTrip(req)
			if req.Method == http.MethodPost {
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				require.NoError(t, server.UserContinues(testComplaintID))
				return nil, errors.New("the line is dead")
			}
			return resp, err
		})
	})
	err = client.ComplaintsV2.Complete(context.Background(), testComplaintID, nil)
	require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
}

// A reply is never sent again once it may have been taken.
func TestRespondIsNotRepeated(t *testing.T) {
	for _, kind := range []wechatpaytest.FaultKind{wechatpaytest.FaultDrop, wechatpaytest.FaultLostResponse, wechatpaytest.FaultError500} {
		server, client := newFake(t)
		server.AddFault(wechatpaytest.Fault{Path: "response", Kind: kind})
		err := client.ComplaintsV2.Respond(context.Background(), testComplaintID, &wechatpay.RespondRequest{ResponseContent: "您好"})
		require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
		require.Len(t, server.Requests(), 1)
	}
}

// A record that cannot be read otherwise does not hide the decision.
func TestAnOddRecordDoesNotHideTheDecision(t *testing.T) {
	server, client := newFake(t)
	server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultLostResponse})
	server.Handle("GET /v3/merchant-service/complaints-v2/{id}/negotiation-historys", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"data":[{"log_id":"1","operate_type":"USER_RESPONSE","operate_time":"`+server.Now().Format(time.RFC3339)+`","normal_message":{"blocks":[{"text":"odd"}]}},`+
			`{"log_id":"2","operate_type":"MERCHANT_APPROVE_REFUND","operate_time":"`+server.Now().Format(time.RFC3339)+`"}],"limit":100,"offset":0,"total_count":2}`)
	}))
	require.NoError(t, approve(context.Background(), client))
	require.Equal(t, 1, count(server, decision))
}

// Records that are stamped by a clock behind the one that signs: the decision is
// seen, and it is not known whether it is this one. No other is sent.
func TestADecisionFromShortlyBefore(t *testing.T) {
	for behind, unknown := range map[time.Duration]bool{time.Second: false, 10 * time.Second: true, 4 * time.Minute: true} {
		server, client := newFake(t)
		server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultLostResponse})
		server.Handle("GET /v3/merchant-service/complaints-v2/{id}/negotiation-historys", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"data":[{"log_id":"2","operate_type":"MERCHANT_APPROVE_REFUND","operate_time":"`+server.Now().Add(-behind).Format(time.RFC3339)+`"}],"limit":100,"offset":0,"total_count":1}`)
		}))
		err := approve(context.Background(), client)
		require.Equal(t, 1, count(server, decision))
		if unknown {
			requireOutcome(t, err, true)
			require.ErrorContains(t, err, "the history shows the same decision shortly before the call")
		} else {
			require.NoError(t, err)
		}
	}
}

// A request that lands late was handed to a network that held it back.
type lateRequest struct {
	base http.RoundTripper
	held *http.Request
}

// hold keeps a request, to be delivered by lands.
func (l *lateRequest) hold(req *http.Request) { l.held = req.Clone(context.Background()) }

func (l *lateRequest) lands(t *testing.T) {
	t.Helper()
	l.held.Body, _ = l.held.GetBody()
	resp, err := l.base.RoundTrip(l.held)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
}

// What fails on this machine, or in a gateway, says nothing of an attempt before.
func TestALocalFailureAfterADoubtLeavesIt(t *testing.T) {
	for name, second := range map[string]func(*http.Request) (*http.Response, error){
		"a certificate that does not verify": func(*http.Request) (*http.Response, error) {
			return nil, &tls.CertificateVerificationError{Err: errors.New("unknown authority")}
		},
		"a login page of a network": func(req *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 302, Header: http.Header{"Location": {"https://portal.example.com/"}}, Body: http.NoBody, Request: req}, nil
		},
		"a gateway's refusal": func(req *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 403, Body: io.NopCloser(strings.NewReader("<html>blocked")), Request: req}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			server, _ := newFake(t)
			late, posts := &lateRequest{}, 0
			client := fakeClient(t, server, func(cfg *wechatpay.Config) {
				late.base = cfg.Transport
				cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
					if req.Method != http.MethodPost {
						return late.base.RoundTrip(req)
					}
					if posts++; posts > 1 {
						return second(req)
					}
					late.hold(req)
					return nil, errors.New("the line is dead")
				})
			})
			err := approve(context.Background(), client)
			require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			require.ErrorContains(t, err, "the line is dead", "what left the doubt is told")
			require.Equal(t, 2, posts)
			late.lands(t)
			require.Contains(t, operations(server), wechatpay.OperateTypeMerchantApproveRefund)
		})
	}
}

// A key that fails is such a failure too, of a decision and of a refund.
func TestAKeyThatFailsAfterADoubtLeavesIt(t *testing.T) {
	failing := func(cfg *wechatpay.Config) {
		key := &failingKey{Signer: cfg.PrivateKey}
		key.fails = func(n int) error {
			if n == 4 { // sent, looked for twice, sent again
				return errors.New("the HSM is busy")
			}
			return nil
		}
		cfg.PrivateKey = key
	}
	server, client := newFake(t, failing)
	server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultDrop})
	err := approve(context.Background(), client)
	require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	require.ErrorContains(t, err, "the HSM is busy")

	server, client = newFake(t, failing)
	server.AddFault(wechatpaytest.Fault{Path: "POST /v3/refund", Kind: wechatpaytest.FaultDrop})
	_, err = client.Refunds.Create(context.Background(), &wechatpay.CreateRefundRequest{TransactionID: testOrder, OutRefundNo: "refund-1", Amount: wechatpay.CreateRefundAmount{Refund: 1, Total: 1}})
	var unknown *wechatpay.OutcomeUnknownError
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, "refund-1", unknown.IdempotencyKey)
	require.ErrorContains(t, err, "the HSM is busy")
}

// failingKey is a key that is somewhere else.
type failingKey struct {
	crypto.Signer
	signed atomic.Int32
	fails  func(n int) error
}

func (k *failingKey) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := k.fails(int(k.signed.Add(1))); err != nil {
		return nil, err
	}
	return k.Signer.Sign(r, digest, opts)
}

// A key that takes all the time leaves nothing unknown: nothing was sent.
func TestAKeyThatTakesAllTheTime(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	server, client := newFake(t, func(cfg *wechatpay.Config) {
		cfg.PrivateKey = &failingKey{Signer: cfg.PrivateKey, fails: func(int) error { cancel(); return nil }}
	})
	err := approve(ctx, client)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	require.Empty(t, server.Requests())
}

// While the service makes us wait, the decision may take effect and the user file
// again: it is looked for once more.
func TestALongWaitAfterADoubtEndsInAnotherLook(t *testing.T) {
	for _, statuses := range [][]int{{503}, {500, 429}} {
		t.Run(fmt.Sprint(statuses), func(t *testing.T) {
			t.Parallel()
			server, _ := newFake(t)
			late, posts, looks := &lateRequest{}, 0, 0
			client := fakeClient(t, server, func(cfg *wechatpay.Config) {
				late.base = cfg.Transport
				cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
					if req.Method != http.MethodPost {
						if looks++; looks == 3 { // two found nothing; this one follows the wait
							late.lands(t)
							server.Advance(time.Second)
							require.NoError(t, server.UserContinues(testComplaintID))
						}
						return late.base.RoundTrip(req)
					}
					if posts++; posts > len(statuses) {
						return late.base.RoundTrip(req)
					}
					if posts == 1 {
						late.hold(req)
					}
					header := http.Header{}
					if posts == len(statuses) {
						header.Set("Retry-After", "1")
					}
					return &http.Response{StatusCode: statuses[posts-1], Header: header, Body: io.NopCloser(strings.NewReader(`{"code":"X"}`)), Request: req}, nil
				})
			})
			err := client.ComplaintsV2.UpdateRefundProgress(context.Background(), testComplaintID, wechatpay.RejectRefund("已使用"))
			require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			require.ErrorContains(t, err, "filed the complaint again")
			require.Equal(t, 3, looks)
			require.Equal(t, len(statuses), posts, "nothing is sent into the new round")
		})
	}
}

// The answer to a look is not the answer to the decision.
func TestTheErrorOfALookIsNotTheDecisions(t *testing.T) {
	server, client := newFake(t)
	server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultLostResponse})
	server.Handle("GET /v3/merchant-service/complaints-v2/{id}/negotiation-historys", answer(403, `{"code":"NO_AUTH"}`))
	err := approve(context.Background(), client)
	require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	require.ErrorContains(t, err, "NO_AUTH")
	var refusal *wechatpay.APIError
	require.False(t, errors.As(err, &refusal), "the decision was not refused: it stands")
	require.Contains(t, operations(server), wechatpay.OperateTypeMerchantApproveRefund)
}

// A decision at once after the user filed again is recognized by the same second.
func TestADecisionInTheSecondOfTheFiling(t *testing.T) {
	server, client := newFake(t)
	require.NoError(t, client.ComplaintsV2.Complete(context.Background(), testComplaintID, nil))
	server.Advance(time.Hour)
	require.NoError(t, server.UserContinues(testComplaintID))
	server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultLostResponse})
	require.NoError(t, approve(context.Background(), client))
	require.Equal(t, 1, count(server, "POST update-refund-progress"))
}
