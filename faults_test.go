package wechatpay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// faultKinds are the kinds of faults of a request, with their variants.
var faultKinds = [][]wechatpaytest.Fault{
	{{Kind: wechatpaytest.FaultDrop}},
	{{Kind: wechatpaytest.FaultLostResponse}},
	{{Kind: wechatpaytest.FaultCut}},
	{{Kind: wechatpaytest.FaultSlow, Delay: 20 * time.Millisecond}},
	{{Kind: wechatpaytest.FaultReset}},
	eitherEffect(wechatpaytest.Fault{Kind: wechatpaytest.FaultBusy429, Delay: time.Millisecond}),
	eitherEffect(wechatpaytest.Fault{Kind: wechatpaytest.FaultError500}),
	eitherEffect(wechatpaytest.Fault{Kind: wechatpaytest.FaultError502}),
	eitherEffect(wechatpaytest.Fault{Kind: wechatpaytest.FaultError503}),
	eitherEffect(wechatpaytest.Fault{Kind: wechatpaytest.FaultHTML502}),
	gatewayFaults(302, 400, 401, 403, 404, 407, 408, 429, 499),
	eitherEffect(wechatpaytest.Fault{Kind: wechatpaytest.FaultSwitching}),
	{{Kind: wechatpaytest.FaultForged}},
	{{Kind: wechatpaytest.FaultUnsigned}},
	{{Kind: wechatpaytest.FaultProbe}},
	{{Kind: wechatpaytest.FaultOld}},
	{{Kind: wechatpaytest.FaultMixedUp}},
	eitherEffect(wechatpaytest.Fault{Kind: wechatpaytest.FaultReplay}),
	{{Kind: wechatpaytest.FaultStatus200}}, // last, as the server picks it last
}

// eitherEffect returns the fault without and with an effect of the request.
func eitherEffect(f wechatpaytest.Fault) []wechatpaytest.Fault {
	applied := f
	applied.TakesEffect = true
	return []wechatpaytest.Fault{f, applied}
}

func gatewayFaults(statuses ...int) (all []wechatpaytest.Fault) {
	for _, status := range statuses {
		page := wechatpaytest.Fault{Kind: wechatpaytest.FaultGatewayPage, Status: status}
		all = append(all, eitherEffect(page)...)
	}
	return all
}

// addFaults adds faults that together hit a share of the requests, each kind
// with the same probability, and each variant of a kind too.
func addFaults(server *wechatpaytest.Server, share float64, kinds ...[]wechatpaytest.Fault) {
	left := 1.0 // share of the requests that no earlier fault hits
	seed := uint64(0)
	for _, variants := range kinds {
		for _, fault := range variants {
			hits := share / float64(len(kinds)*len(variants))
			fault.Probability, fault.Seed = hits/left, seed
			server.AddFault(fault)
			left -= hits
			seed++
		}
	}
}

// isDecision reports whether a record of the history is a refund decision.
func isDecision(record wechatpay.NegotiationRecord) bool {
	return record.OperateType == wechatpay.OperateTypeMerchantApproveRefund ||
		record.OperateType == wechatpay.OperateTypeMerchantRefuseRefund
}

// A faultRun is one run of decisions through faults.
type faultRun struct {
	protocol   string // "HTTP/1.1" or "HTTP/2"
	name       string
	kinds      [][]wechatpaytest.Fault
	share      float64              // of the requests with a fault
	also       *wechatpaytest.Fault // another fault
	lag        time.Duration
	historyLag time.Duration // of the policy
	timeout    time.Duration // of an attempt
	decisions  int
	// The last other decisions cannot be applied: a colleague has made the
	// opposite one, or the complaint is no refund request.
	other int
	// refiled makes the user file a complaint again as soon as it is rejected.
	refiled bool
}

// Under faults of every kind, and with a history that lags, the error of each
// decision agrees with what the server recorded.
func TestComplaintsV2_UpdateRefundProgress_faults(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	lag, historyLag := 75*time.Millisecond, 250*time.Millisecond
	mostUnknown := *decisions*2/100 + 4 // with few decisions, the share varies
	if *decisions >= 1000 {
		lag, historyLag = 300*time.Millisecond, time.Second
		mostUnknown = *decisions * 2 / 100
	}
	table := outcomeHeader
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		all := faultRun{
			protocol:   protocol,
			kinds:      faultKinds,
			share:      0.33, // of those that a kind applies to
			lag:        lag,
			historyLag: historyLag,
			timeout:    2 * time.Second,
			decisions:  *decisions,
			other:      *decisions / 50,
		}
		within, above, refiled := all, all, all
		within.name = "lag within HistoryLag"
		above.name, above.lag, above.historyLag = "lag up to 10 × HistoryLag", 500*time.Millisecond, 50*time.Millisecond
		refiled.name, refiled.refiled = "filed again", true
		for _, run := range []faultRun{within, above, refiled} {
			t.Run(protocol+"/"+run.name, func(t *testing.T) {
				n := run.run(t)
				table += n.row(&run)
				require.Greater(t, n.faulty, n.requests/4, "requests with a fault")
				if run.name == within.name {
					require.LessOrEqual(t, n.unknown, mostUnknown, "decisions of unknown outcome")
				}
			})
		}
	}
	t.Log("\n" + table)
}

// Each kind of fault alone, on half of the requests.
func TestComplaintsV2_UpdateRefundProgress_eachFault(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	table := outcomeHeader
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		for _, variants := range faultKinds {
			run := faultRun{
				protocol:   protocol,
				name:       string(variants[0].Kind),
				kinds:      [][]wechatpaytest.Fault{variants},
				share:      0.5,
				lag:        15 * time.Millisecond,
				historyLag: 50 * time.Millisecond,
				timeout:    2 * time.Second,
				decisions:  min(50, *decisions/20),
			}
			run.other = run.decisions / 2
			switch variants[0].Kind {
			case wechatpaytest.FaultMixedUp: // hits lookups only
				run.also = &wechatpaytest.Fault{Path: "POST ", Kind: wechatpaytest.FaultError500, Probability: 0.5}
			case wechatpaytest.FaultSwitching:
				run.timeout = 200 * time.Millisecond // over HTTP/2, every fault takes this long
			}
			t.Run(protocol+"/"+run.name, func(t *testing.T) {
				n := run.run(t)
				table += n.row(&run)
				require.Positive(t, n.faulty, "requests with a fault")
			})
		}
	}
	t.Log("\n" + table)
}

const complaintPrefix = "2002018202001010800"

func (run *faultRun) complaintID(i int) string { return fmt.Sprintf("%s%08d", complaintPrefix, i) }

// request returns decision i, and the record that shows it.
func (run *faultRun) request(i int) (*wechatpay.UpdateRefundProgressRequest, wechatpay.OperateType) {
	if i%2 == 1 {
		return wechatpay.RejectRefund("已使用"), wechatpay.OperateTypeMerchantRefuseRefund
	}
	return wechatpay.ApproveRefund(i % 4), wechatpay.OperateTypeMerchantApproveRefund
}

// start starts a server with the complaints, and returns a client for it.
func (run *faultRun) start(t *testing.T) (*wechatpaytest.Server, *wechatpay.Client) {
	t.Helper()
	server := wechatpaytest.NewServer()
	t.Cleanup(server.Close)
	server.Configure(func(b *wechatpaytest.Behavior) {
		b.Seed, b.HistoryLag, b.VaryLag = 1, run.lag, true
		if run.refiled {
			b.Log = func(r wechatpaytest.Request) {
				if r.TookEffect && r.Method == http.MethodPost {
					_ = server.UserContinues(complaintOf(r)) // fails for an approved complaint
				}
			}
		}
	})
	for i := range run.decisions {
		complaint := wechatpay.Complaint{ComplaintID: run.complaintID(i), ProblemType: wechatpay.ProblemTypeRefund}
		other := i >= run.decisions-run.other
		if other && i%3 == 0 {
			complaint.ProblemType = wechatpay.ProblemTypeServiceNotWork
		}
		server.AddComplaint(complaint)
		if other && i%3 != 0 {
			opposite := wechatpay.RefundReject
			if i%2 == 1 {
				opposite = wechatpay.RefundApprove
			}
			require.NoError(t, server.MerchantDecides(complaint.ComplaintID, opposite, ""))
		}
	}
	client := protocolClient(t, server, run.protocol, func(cfg *wechatpay.Config) {
		cfg.Retry = wechatpay.RetryPolicy{
			MinDelay:       5 * time.Millisecond,
			MaxDelay:       50 * time.Millisecond,
			AttemptTimeout: run.timeout,
			HistoryLag:     run.historyLag,
		}
	})
	run.warmUp(t, server, client)
	addFaults(server, run.share, run.kinds...)
	if run.also != nil {
		server.AddFault(*run.also)
	}
	return server, client
}

// warmUp makes one request of each kind, so that the client has received what
// FaultReplay sends again.
func (run *faultRun) warmUp(t *testing.T, server *wechatpaytest.Server, client *wechatpay.Client) {
	t.Helper()
	ctx, complaintID := context.Background(), run.complaintID(run.decisions)
	server.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID})
	_, err := client.ComplaintsV2.Get(ctx, complaintID)
	require.NoError(t, err)
	_, err = client.ComplaintsV2.NegotiationHistory(ctx, complaintID, nil)
	require.NoError(t, err)
	require.NoError(t, client.ComplaintsV2.UpdateRefundProgress(ctx, complaintID, wechatpay.ApproveRefund(0)))
}

// protocolClient returns a Client that speaks "HTTP/1.1" or "HTTP/2".
func protocolClient(
	t *testing.T, server *wechatpaytest.Server, protocol string, change ...func(*wechatpay.Config),
) *wechatpay.Client {
	t.Helper()
	return fakeClient(t, server, append(change, func(cfg *wechatpay.Config) {
		if protocol == "HTTP/2" {
			protocols := new(http.Protocols)
			protocols.SetUnencryptedHTTP2(true)
			cfg.Transport.(*http.Transport).Protocols = protocols
		}
		base := cfg.Transport
		cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
			resp, err := base.RoundTrip(req)
			if err == nil && fmt.Sprint("HTTP/", resp.ProtoMajor) != protocol[:len("HTTP/1")] {
				t.Errorf("the client speaks %s, not %s", resp.Proto, protocol)
			}
			return resp, err
		})
	})...)
}

// complaintOf returns the complaint that a request is about.
func complaintOf(r wechatpaytest.Request) string { return strings.Split(r.Path, "/")[4] }

// run makes the decisions and compares the results with the server's records.
func (run *faultRun) run(t *testing.T) *outcomes {
	t.Helper()
	server, client := run.start(t)
	decided := make([]int, run.decisions) // before the call
	for i := range decided {
		decided[i] = countDecisions(server.History(run.complaintID(i)))
	}
	ctx := loadContext(t)
	results := make([]error, run.decisions)
	began := time.Now()
	concurrently(faultCallers, run.decisions, func(i int) {
		req, _ := run.request(i)
		results[i] = client.ComplaintsV2.UpdateRefundProgress(ctx, run.complaintID(i), req)
	})
	n := &outcomes{took: time.Since(began)}
	for i, err := range results {
		_, want := run.request(i)
		n.add(t, run.complaintID(i), err, want, server.History(run.complaintID(i)), decided[i])
	}
	n.inspect(t, server.Requests(), func(complaintID string) bool {
		i, err := strconv.Atoi(strings.TrimPrefix(complaintID, complaintPrefix))
		return err == nil && i < run.decisions && decided[i] == 0
	})
	require.Zero(t, n.falseSuccess, "nil, but the decision was not applied")
	require.Zero(t, n.falseFailure, "a definite error, but the decision was applied")
	require.Zero(t, n.twice, "one call made two decisions")
	require.Zero(t, n.resent, "resent although the history had shown the decision")
	return n
}

const faultCallers = 100

// outcomes counts what the client reported, and how often it was wrong.
type outcomes struct {
	applied, unknown, notApplied      int
	falseSuccess, falseFailure, twice int
	requests, faulty, resent          int
	took                              time.Duration
}

const outcomeHeader = "| run | decisions | callers | requests | with a fault | applied | unknown | not applied " +
	"| false successes | false failures | decided twice | resent although shown | seconds |\n" +
	"|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"

func (n *outcomes) row(run *faultRun) string {
	return fmt.Sprintf("| %s, %s | %d | %d | %d | %d (%.0f %%) | %d | %d | %d | %d | %d | %d | %d | %.1f |\n",
		run.protocol, run.name, run.decisions, faultCallers, n.requests, n.faulty,
		100*float64(n.faulty)/float64(n.requests), n.applied, n.unknown, n.notApplied,
		n.falseSuccess, n.falseFailure, n.twice, n.resent, n.took.Seconds())
}

func countDecisions(history []wechatpay.NegotiationRecord) (n int) {
	for _, record := range history {
		if isDecision(record) {
			n++
		}
	}
	return n
}

// add counts the result of one decision, given the history of its complaint and
// how many decisions that had before the call.
func (n *outcomes) add(
	t *testing.T, complaintID string, err error, want wechatpay.OperateType,
	history []wechatpay.NegotiationRecord, before int,
) {
	t.Helper()
	history = slices.DeleteFunc(history, func(r wechatpay.NegotiationRecord) bool { return !isDecision(r) })[before:]
	applied := len(history) > 0 && history[0].OperateType == want
	if len(history) > 1 {
		n.twice++
		t.Logf("%s: %d decisions", complaintID, len(history))
	}
	switch {
	case err == nil:
		n.applied++
		if !applied {
			n.falseSuccess++
			t.Logf("%s: nil, but not applied", complaintID)
		}
	case errors.Is(err, wechatpay.ErrOutcomeUnknown):
		n.unknown++
	default:
		n.notApplied++
		if applied {
			n.falseFailure++
			t.Logf("%s: applied, but %v", complaintID, err)
		}
	}
}

// inspect counts the requests with a fault, and the decisions that were sent
// after a history had shown the client that they were applied. undecided reports
// whether a complaint had no decision before the call.
func (n *outcomes) inspect(t *testing.T, requests []wechatpaytest.Request, undecided func(complaintID string) bool) {
	t.Helper()
	n.requests = len(requests)
	shown := map[string]bool{} // by complaint
	sent := map[string]bool{}  // by Authorization: net/http resends after a reset
	for _, request := range requests {
		if request.Fault != "" {
			n.faulty++
		}
		complaintID, authorization := complaintOf(request), request.Header.Get("Authorization")
		if request.Method == http.MethodPost && shown[complaintID] && !sent[authorization] {
			n.resent++
		}
		sent[authorization] = true
		intact := request.Fault == "" || request.Fault == wechatpaytest.FaultSlow
		if !intact || request.StatusCode != 200 || !strings.Contains(request.Path, "/negotiation-historys") {
			continue
		}
		var page wechatpay.NegotiationHistory
		require.NoError(t, json.Unmarshal(request.Response, &page))
		for _, record := range page.Data {
			if isDecision(record) && undecided(complaintID) {
				shown[complaintID] = true
			}
		}
	}
}

// Without faults, a write is one request.
func TestClient_requestCount(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
		server := startFake(t)
		client := protocolClient(t, server, protocol)
		var sent atomic.Int64
		server.Configure(func(b *wechatpaytest.Behavior) { b.Log = func(wechatpaytest.Request) { sent.Add(1) } })
		ctx := context.Background()
		refund := &wechatpay.CreateRefundRequest{
			TransactionID: paidOrder,
			OutRefundNo:   "R1",
			Amount:        wechatpay.CreateRefundAmount{Refund: 1000, Total: 1000},
		}
		for _, tt := range []struct {
			name string
			call func() error
		}{
			{"UpdateRefundProgress", func() error { return approve(ctx, client) }},
			{"Respond", func() error {
				req := &wechatpay.RespondRequest{ResponseContent: "您好"}
				return client.ComplaintsV2.Respond(ctx, testComplaintID, req)
			}},
			{"Create", func() error {
				_, err := client.Refunds.Create(ctx, refund)
				return err
			}},
			{"Complete", func() error { return client.ComplaintsV2.Complete(ctx, testComplaintID, nil) }},
		} {
			sent.Store(0)
			require.NoError(t, tt.call(), tt.name)
			require.EqualValues(t, 1, sent.Load(), "%s over %s", tt.name, protocol)
		}
	}
}
