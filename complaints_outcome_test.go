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

// newFake starts a fake with one refund complaint, and returns a Client for it.
func newFake(t testing.TB, change ...func(*wechatpay.Config)) (*wechatpaytest.Server, *wechatpay.Client) {
	t.Helper()
	server := wechatpaytest.NewServer()
	t.Cleanup(server.Close)
	server.AddComplaint(wechatpay.Complaint{ComplaintID: testComplaintID, ProblemType: wechatpay.ProblemTypeRefund})
	return server, fakeClient(t, server, change...)
}

// fakeClient returns a Client for a fake that retries with short pauses.
func fakeClient(
	t testing.TB, server *wechatpaytest.Server, change ...func(*wechatpay.Config),
) *wechatpay.Client {
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

// Kinds of requests for count.
const (
	postDecision = "POST update-refund-progress"
	postComplete = "POST complete"
	getHistory   = "GET negotiation-historys"
	postRefund   = "POST /v3/refund"
	getRefund    = "GET /v3/refund"
)

// historyPattern is the pattern of the negotiation history for Server.Handle.
const historyPattern = "GET /v3/merchant-service/complaints-v2/{complaint_id}/negotiation-historys"

// count returns the number of requests of a kind: a method and a part of the path.
func count(server *wechatpaytest.Server, kind string) (n int) {
	method, path, _ := strings.Cut(kind, " ")
	for _, request := range server.Requests() {
		if request.Method == method && strings.Contains(request.Path, path) {
			n++
		}
	}
	return n
}

// operations returns the types of the records in the complaint's history.
func operations(server *wechatpaytest.Server) (types []wechatpay.OperateType) {
	for _, record := range server.History(testComplaintID) {
		types = append(types, record.OperateType)
	}
	return types
}

// historyJSON returns a page of the negotiation history.
func historyJSON(records ...string) string {
	return fmt.Sprintf(`{"data":[%s],"limit":100,"offset":0,"total_count":%d}`,
		strings.Join(records, ","), len(records))
}

func recordJSON(logID string, operation wechatpay.OperateType, at time.Time) string {
	return fmt.Sprintf(`{"log_id":%q,"operate_type":%q,"operate_time":%q}`,
		logID, operation, at.Format(time.RFC3339Nano))
}

func reject(client *wechatpay.Client) error {
	return client.ComplaintsV2.UpdateRefundProgress(context.Background(), testComplaintID,
		wechatpay.RejectRefund("已使用"))
}

// A decision that was applied is found and not sent again.
func TestComplaintsV2_UpdateRefundProgress_applied(t *testing.T) {
	for _, fault := range []wechatpaytest.Fault{
		{Kind: wechatpaytest.FaultLostResponse},
		{Kind: wechatpaytest.FaultCut},
		{Kind: wechatpaytest.FaultForged},
		{Kind: wechatpaytest.FaultUnsigned},
		{Kind: wechatpaytest.FaultProbe},
		{Kind: wechatpaytest.FaultOld},
		{Kind: wechatpaytest.FaultError500, TakesEffect: true},
		{Kind: wechatpaytest.FaultError502, TakesEffect: true},
		{Kind: wechatpaytest.FaultHTML502, TakesEffect: true},
	} {
		for _, req := range []*wechatpay.UpdateRefundProgressRequest{
			wechatpay.ApproveRefund(0),
			wechatpay.RejectRefund("已使用"),
		} {
			t.Run(string(fault.Kind)+" "+string(req.Action), func(t *testing.T) {
				server, client := newFake(t)
				fault.Path, fault.Times = "update-refund-progress", 1
				server.AddFault(fault)
				err := client.ComplaintsV2.UpdateRefundProgress(context.Background(), testComplaintID, req)
				require.NoError(t, err)
				require.Equal(t, 1, count(server, postDecision))
				require.Len(t, operations(server), 2)
			})
		}
	}
}

// A decision that was not applied is sent again after two lookups.
func TestComplaintsV2_UpdateRefundProgress_notApplied(t *testing.T) {
	for _, kind := range []wechatpaytest.FaultKind{
		wechatpaytest.FaultDrop,
		wechatpaytest.FaultError500,
		wechatpaytest.FaultError502,
		wechatpaytest.FaultError503,
		wechatpaytest.FaultHTML502,
	} {
		t.Run(string(kind), func(t *testing.T) {
			server, client := newFake(t)
			server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: kind, Times: 2})
			require.NoError(t, approve(context.Background(), client))
			require.Equal(t, 3, count(server, postDecision))
			require.Equal(t, 4, count(server, getHistory))
			require.Equal(t, []wechatpay.OperateType{
				wechatpay.OperateTypeUserCreateComplaint,
				wechatpay.OperateTypeMerchantApproveRefund,
			}, operations(server))
		})
	}
}

// The second lookup finds a decision that the history shows late.
func TestComplaintsV2_UpdateRefundProgress_historyLag(t *testing.T) {
	server, _ := newFake(t)
	start := server.Now()
	server.Configure(func(b *wechatpaytest.Behavior) {
		b.HistoryLag = 10 * time.Second
		b.WireTime = func() time.Time { return start } // Advance must not make the decision older
	})
	server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultLostResponse})
	lookups := 0
	client := fakeClient(t, server, func(cfg *wechatpay.Config) {
		base := cfg.Transport
		cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodGet {
				if lookups++; lookups == 2 {
					server.Advance(10 * time.Second)
				}
			}
			return base.RoundTrip(req)
		})
	})
	require.NoError(t, approve(context.Background(), client))
	require.Equal(t, 1, count(server, postDecision))
	require.Equal(t, 2, lookups)
}

// A decision of an earlier round, and from minutes ago, is not this one.
func TestComplaintsV2_UpdateRefundProgress_decisionOfEarlierRound(t *testing.T) {
	server, client := newFake(t)
	require.NoError(t, reject(client))
	server.Advance(time.Minute)
	require.NoError(t, server.UserContinues(testComplaintID))
	server.Advance(time.Minute)

	server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultDrop})
	require.NoError(t, reject(client))
	require.Equal(t, 3, count(server, postDecision))
	require.Equal(t, []wechatpay.OperateType{
		wechatpay.OperateTypeUserCreateComplaint,
		wechatpay.OperateTypeMerchantRefuseRefund,
		wechatpay.OperateTypeUserContinueComplaint,
		wechatpay.OperateTypeMerchantRefuseRefund,
	}, operations(server))
}

// beforeFirstPost calls f before the first POST is sent.
func beforeFirstPost(f func()) func(*wechatpay.Config) {
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

// A colleague makes the opposite decision while the response is lost.
func TestComplaintsV2_UpdateRefundProgress_oppositeDecision(t *testing.T) {
	server, colleague := newFake(t)
	client := fakeClient(t, server, beforeFirstPost(func() {
		require.NoError(t, reject(colleague))
		server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultError500})
	}))
	err := approve(context.Background(), client)
	require.ErrorContains(t, err, "the opposite decision was applied: the history shows MERCHANT_REFUSE_RERUND")
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	require.Equal(t, 2, count(server, postDecision))
}

// If the user files the complaint again, no decision is sent in the new round.
func TestComplaintsV2_UpdateRefundProgress_filedAgain(t *testing.T) {
	server, colleague := newFake(t)
	client := fakeClient(t, server, beforeFirstPost(func() {
		require.NoError(t, colleague.ComplaintsV2.Complete(context.Background(), testComplaintID, nil))
		require.NoError(t, server.UserContinues(testComplaintID))
		server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultError500})
	}))
	err := approve(context.Background(), client)
	require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	require.ErrorContains(t, err, "the user filed the complaint again during the call")
	require.Equal(t, 1, count(server, postDecision))
}

// delayedRequest holds a request back in the network.
type delayedRequest struct {
	base    http.RoundTripper
	request *http.Request
}

func (d *delayedRequest) hold(req *http.Request) { d.request = req.Clone(context.Background()) }

// deliver sends the request, which the server accepts.
func (d *delayedRequest) deliver(t *testing.T) {
	t.Helper()
	d.request.Body, _ = d.request.GetBody()
	resp, err := d.base.RoundTrip(d.request)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
}

var errLostConnection = errors.New("connection lost")

// The second attempt is rejected because the first was applied late, after two
// lookups.
func TestComplaintsV2_UpdateRefundProgress_rejectedRetry(t *testing.T) {
	server, _ := newFake(t)
	first, posts := &delayedRequest{}, 0
	client := fakeClient(t, server, func(cfg *wechatpay.Config) {
		first.base = cfg.Transport
		cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
			if req.Method != http.MethodPost {
				return first.base.RoundTrip(req)
			}
			if posts++; posts == 1 {
				first.hold(req)
				return nil, errLostConnection
			}
			first.deliver(t)
			return first.base.RoundTrip(req)
		})
	})
	require.NoError(t, approve(context.Background(), client))
	require.Equal(t, 2, posts)
	require.Len(t, operations(server), 2)
}

func TestComplaintsV2_UpdateRefundProgress_rejected(t *testing.T) {
	server, client := newFake(t)
	require.NoError(t, approve(context.Background(), client))
	var rejected *wechatpay.APIError
	t.Run("first attempt", func(t *testing.T) {
		err := approve(context.Background(), client)
		require.ErrorAs(t, err, &rejected)
		require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
		require.Zero(t, count(server, getHistory))
	})
	t.Run("after a gateway error", func(t *testing.T) {
		server.Advance(time.Hour)
		server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultHTML502})
		err := approve(context.Background(), client)
		require.ErrorAs(t, err, &rejected)
		require.Equal(t, 400, rejected.StatusCode)
		requireOutcome(t, err, true) // the first attempt may be what was decided
	})
}

func TestComplaintsV2_UpdateRefundProgress_unknownOutcome(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		fault   wechatpaytest.Fault // after the first; optional
		policy  wechatpay.RetryPolicy
		posts   int
		lookups int // -1: any number
		text    string
	}{
		{
			name:    "lookups fail",
			fault:   wechatpaytest.Fault{Path: "negotiation-historys", Kind: wechatpaytest.FaultError500, Times: 4},
			posts:   1,
			lookups: 4,
			text:    "lookup: ",
		},
		{
			name:    "no attempts left",
			fault:   wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultError500, Times: 3},
			policy:  wechatpay.RetryPolicy{MaxAttempts: 2},
			posts:   2,
			lookups: 4,
			text:    "2 attempts",
		},
		{
			name: "lookup takes too long",
			fault: wechatpaytest.Fault{
				Path: "negotiation-historys", Kind: wechatpaytest.FaultSlow, Delay: time.Minute, Times: 9,
			},
			policy:  wechatpay.RetryPolicy{AttemptTimeout: 200 * time.Millisecond},
			posts:   1,
			lookups: -1,
			text:    "lookup: ",
		},
		{
			name:   "MaxAttempts is 1",
			policy: wechatpay.RetryPolicy{MaxAttempts: 1},
			posts:  1,
			text:   "outcome unknown",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server, client := newFake(t, func(cfg *wechatpay.Config) {
				cfg.Retry.MaxAttempts = tt.policy.MaxAttempts
				if tt.policy.AttemptTimeout != 0 {
					cfg.Retry.AttemptTimeout = tt.policy.AttemptTimeout
				}
			})
			server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultError500})
			if tt.fault.Kind != "" {
				server.AddFault(tt.fault)
			}
			err := approve(context.Background(), client)
			requireOutcome(t, err, true)
			require.ErrorContains(t, err, tt.text)
			require.Equal(t, tt.posts, count(server, postDecision))
			if tt.lookups >= 0 {
				require.Equal(t, tt.lookups, count(server, getHistory))
			}
		})
	}
}

// A second lookup that the context leaves no time for is not waited for.
func TestComplaintsV2_UpdateRefundProgress_noTimeForLookup(t *testing.T) {
	server, client := newFake(t, func(cfg *wechatpay.Config) { cfg.Retry.HistoryLag = time.Hour })
	server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultDrop})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := approve(ctx, client)
	requireOutcome(t, err, true)
	require.ErrorContains(t, err, "no time to look it up again")
	require.NoError(t, ctx.Err())
	require.Equal(t, 1, count(server, postDecision))
}

// The order of the history is not documented, so a lookup reads all its pages.
func TestComplaintsV2_UpdateRefundProgress_historyPages(t *testing.T) {
	for _, oldestFirst := range []bool{true, false} {
		server, client := newFake(t)
		server.Configure(func(b *wechatpaytest.Behavior) { b.HistoryOldestFirst = oldestFirst })
		for range 250 {
			require.NoError(t, server.UserReplies(testComplaintID, "在吗"))
		}
		server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultLostResponse})
		require.NoError(t, approve(context.Background(), client))
		require.Equal(t, 3, count(server, getHistory))
	}
}

// Lookups use WeChat Pay's clock, not this machine's.
func TestComplaintsV2_UpdateRefundProgress_wrongClock(t *testing.T) {
	for _, offset := range []time.Duration{-4 * time.Minute, 4 * time.Minute} {
		server, _ := newFake(t)
		client := fakeClient(t, server, func(cfg *wechatpay.Config) {
			cfg.Time = func() time.Time { return server.Now().Add(offset) }
		})
		server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultLostResponse})
		require.NoError(t, approve(context.Background(), client))
		require.Equal(t, 1, count(server, postDecision))
	}
}

// A decision in the same second as a filing may be of the round before: the
// order of the history is not documented.
func TestComplaintsV2_UpdateRefundProgress_sameSecondAsFiling(t *testing.T) {
	server, client := newFake(t)
	require.NoError(t, client.ComplaintsV2.Complete(context.Background(), testComplaintID, nil))
	server.Advance(time.Hour)
	require.NoError(t, server.UserContinues(testComplaintID))
	server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultLostResponse})
	require.ErrorIs(t, approve(context.Background(), client), wechatpay.ErrOutcomeUnknown)
	require.Equal(t, 1, count(server, postDecision))
}

// A record with an unexpected field does not hide the decision.
func TestComplaintsV2_UpdateRefundProgress_oddRecord(t *testing.T) {
	server, client := newFake(t)
	server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultLostResponse})
	server.Handle(historyPattern, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		odd := recordJSON("1", wechatpay.OperateTypeUserResponse, server.Now())
		odd = strings.TrimSuffix(odd, "}") + `,"normal_message":{"blocks":[{"text":"odd"}]}}`
		decision := recordJSON("2", wechatpay.OperateTypeMerchantApproveRefund, server.Now())
		io.WriteString(w, historyJSON(odd, decision))
	}))
	require.NoError(t, approve(context.Background(), client))
	require.Equal(t, 1, count(server, postDecision))
}

// If the clock of the records is behind, the same decision shortly before the
// call may be this one. The limits are tested in complaints_outcome_synctest_test.go.
func TestComplaintsV2_UpdateRefundProgress_sameDecisionShortlyBefore(t *testing.T) {
	for age, unknown := range map[time.Duration]bool{
		time.Second:      false,
		10 * time.Second: true,
		4 * time.Minute:  true,
	} {
		t.Run(age.String(), func(t *testing.T) {
			server, client := newFake(t)
			server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultLostResponse})
			server.Handle(historyPattern, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				at := server.Now().Add(-age).Truncate(time.Second)
				io.WriteString(w, historyJSON(recordJSON("2", wechatpay.OperateTypeMerchantApproveRefund, at)))
			}))
			err := approve(context.Background(), client)
			require.Equal(t, 1, count(server, postDecision))
			if !unknown {
				require.NoError(t, err)
				return
			}
			requireOutcome(t, err, true)
			require.ErrorContains(t, err, "the history shows the same decision shortly before the call")
		})
	}
}

// A failure of this machine or of a gateway does not show that an earlier
// attempt was not applied.
func TestComplaintsV2_UpdateRefundProgress_localFailureOfRetry(t *testing.T) {
	for name, tt := range map[string]struct {
		second roundTripper
		posts  int
	}{
		"certificate error": {func(*http.Request) (*http.Response, error) {
			return nil, &tls.CertificateVerificationError{Err: errors.New("unknown authority")}
		}, 2},
		"login page of a network": {func(req *http.Request) (*http.Response, error) {
			resp := fakeResponse(req, 302, "")
			resp.Header.Set("Location", "https://portal.example.com/")
			return resp, nil
		}, 4},
		"blocked by a gateway": {func(req *http.Request) (*http.Response, error) {
			return fakeResponse(req, 403, "<html>blocked"), nil
		}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			server, _ := newFake(t)
			first, posts := &delayedRequest{}, 0
			client := fakeClient(t, server, func(cfg *wechatpay.Config) {
				first.base = cfg.Transport
				cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
					if req.Method != http.MethodPost {
						return first.base.RoundTrip(req)
					}
					if posts++; posts > 1 {
						return tt.second(req)
					}
					first.hold(req)
					return nil, errLostConnection
				})
			})
			err := approve(context.Background(), client)
			require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			require.ErrorIs(t, err, errLostConnection)
			require.ErrorContains(t, err, "; earlier: complaint "+testComplaintID+" at ")
			require.ErrorContains(t, err, ": connection lost")
			require.Equal(t, tt.posts, posts)
			first.deliver(t)
			require.Contains(t, operations(server), wechatpay.OperateTypeMerchantApproveRefund)
		})
	}
}

// failingKey is a private key whose n-th signature fails with fail(n).
type failingKey struct {
	crypto.Signer
	signatures atomic.Int32
	fail       func(n int) error
}

func (k *failingKey) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := k.fail(int(k.signatures.Add(1))); err != nil {
		return nil, err
	}
	return k.Signer.Sign(r, digest, opts)
}

// failRetrySignature makes the second attempt of a call fail to be signed.
func failRetrySignature(cfg *wechatpay.Config) {
	cfg.PrivateKey = &failingKey{Signer: cfg.PrivateKey, fail: func(n int) error {
		if n == 4 { // after the first attempt and two lookups
			return errors.New("the HSM is busy")
		}
		return nil
	}}
}

func TestComplaintsV2_UpdateRefundProgress_signingOfRetryFails(t *testing.T) {
	server, client := newFake(t, failRetrySignature)
	server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultDrop})
	err := approve(context.Background(), client)
	require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	require.ErrorContains(t, err, "the HSM is busy")
}

// If the context ends while the request is signed, nothing is sent.
func TestComplaintsV2_UpdateRefundProgress_contextEndsInSigning(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	server, client := newFake(t, func(cfg *wechatpay.Config) {
		cfg.PrivateKey = &failingKey{Signer: cfg.PrivateKey, fail: func(int) error { cancel(); return nil }}
	})
	err := approve(ctx, client)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	require.Empty(t, server.Requests())
}

// Without a deadline, a Retry-After of more than 30 s ends the call.
func TestComplaintsV2_UpdateRefundProgress_longRetryAfter(t *testing.T) {
	server, client := newFake(t)
	server.Handle("POST /v3/merchant-service/complaints-v2/{complaint_id}/update-refund-progress",
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "31")
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
	err := approve(context.Background(), client)
	requireOutcome(t, err, true)
	require.Equal(t, 1, count(server, postDecision))
}

// After a long pause, a decision in doubt is looked up again: meanwhile it may
// have been applied and the user may have filed the complaint again.
func TestComplaintsV2_UpdateRefundProgress_lookupAfterLongPause(t *testing.T) {
	for _, statuses := range [][]int{{503}, {500, 429}} {
		t.Run(fmt.Sprint(statuses), func(t *testing.T) {
			server, _ := newFake(t)
			clock := server.Now().Truncate(time.Second).Add(970 * time.Millisecond)
			first, posts, lookups := &delayedRequest{}, 0, 0
			client := fakeClient(t, server, func(cfg *wechatpay.Config) {
				cfg.Time = func() time.Time { return clock }
				first.base = cfg.Transport
				cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
					if req.Method != http.MethodPost {
						if lookups++; lookups == 2+len(statuses) { // after the last pause
							first.deliver(t)
							server.Advance(time.Second)
							require.NoError(t, server.UserContinues(testComplaintID))
						}
						return first.base.RoundTrip(req)
					}
					if posts++; posts > len(statuses) {
						return first.base.RoundTrip(req)
					}
					if posts == 1 {
						first.hold(req)
					}
					resp := fakeResponse(req, statuses[posts-1], `{"code":"X"}`)
					if posts == len(statuses) {
						retryAt := clock.Add(30 * time.Millisecond) // the next second
						resp.Header.Set("Retry-After", retryAt.UTC().Format(http.TimeFormat))
					}
					return resp, nil
				})
			})
			err := reject(client)
			require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			require.ErrorContains(t, err, "filed the complaint again")
			require.Equal(t, 3+len(statuses), lookups, "two of the history, the complaint before each retry, and the filings")
			require.Equal(t, len(statuses), posts, "a decision is sent in the new round")
		})
	}
}

// An error response to a lookup is not the response to the decision.
func TestComplaintsV2_UpdateRefundProgress_rejectedLookup(t *testing.T) {
	server, client := newFake(t)
	server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultLostResponse})
	server.Handle(historyPattern, respondUnsigned(403, `{"code":"NO_AUTH"}`))
	err := approve(context.Background(), client)
	requireOutcome(t, err, true)
	require.ErrorContains(t, err, "lookup: ")
	require.ErrorContains(t, err, "NO_AUTH")
	var rejected *wechatpay.APIError
	require.False(t, errors.As(err, &rejected))
	require.Equal(t, 1, count(server, postDecision))
	require.Equal(t, 1, count(server, getHistory))
	require.Contains(t, operations(server), wechatpay.OperateTypeMerchantApproveRefund)
}

// A completion is never sent again.
func TestComplaintsV2_Complete_lookup(t *testing.T) {
	t.Run("applied", func(t *testing.T) {
		server, client := newFake(t)
		server.AddFault(wechatpaytest.Fault{Path: "complete", Kind: wechatpaytest.FaultLostResponse})
		require.NoError(t, client.ComplaintsV2.Complete(context.Background(), testComplaintID, nil))
		require.Equal(t, 1, count(server, postComplete))
		require.Equal(t, 1, count(server, getHistory))
	})
	t.Run("not applied", func(t *testing.T) {
		server, client := newFake(t)
		server.AddFault(wechatpaytest.Fault{Path: "complete", Kind: wechatpaytest.FaultDrop})
		err := client.ComplaintsV2.Complete(context.Background(), testComplaintID, nil)
		require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
		require.Equal(t, 1, count(server, postComplete))
		require.Equal(t, 2, count(server, getHistory))
	})
	t.Run("applied and filed again", func(t *testing.T) {
		server, _ := newFake(t)
		client := fakeClient(t, server, func(cfg *wechatpay.Config) {
			base := cfg.Transport
			cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
				resp, err := base.RoundTrip(req)
				if req.Method == http.MethodPost {
					require.NoError(t, err)
					require.NoError(t, resp.Body.Close())
					require.NoError(t, server.UserContinues(testComplaintID))
					return nil, errLostConnection
				}
				return resp, err
			})
		})
		err := client.ComplaintsV2.Complete(context.Background(), testComplaintID, nil)
		require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	})
}
