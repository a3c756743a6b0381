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

func resolve(client *wechatpay.Client, req wechatpay.ResolveRequest) (*wechatpay.Resolution, error) {
	return client.ComplaintsV2.Resolve(context.Background(), testComplaintID, &req)
}

func requireConflict(t *testing.T, err error, reason wechatpay.ResolveConflictReason) {
	t.Helper()
	var conflict *wechatpay.ResolveConflictError
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, reason, conflict.Reason, "%v", err)
	require.Equal(t, "wechatpay: ComplaintsV2.Resolve: complaint "+testComplaintID+": "+conflict.Detail, err.Error())
}

// writes returns the number of requests that may change something.
func writes(server *wechatpaytest.Server) int { return count(server, "POST /") }

func TestComplaintsV2_Resolve_approve(t *testing.T) {
	server, client := newFakeRefund(t)
	got, err := resolve(client, approveAll)
	require.NoError(t, err)
	require.False(t, got.Done)
	require.Equal(t, wechatpay.ResolveStepRefundArrival, got.Next)
	require.Equal(t, []wechatpay.ResolveStep{"DECIDE", "REFUND", "REPLY"}, got.Steps)
	require.Equal(t, refundNo(1, 1), got.Refund.OutRefundNo)
	require.Equal(t, testComplaintID, got.Complaint.ComplaintID)

	got, err = resolve(client, approveAll)
	require.NoError(t, err)
	require.False(t, got.Done)
	require.Empty(t, got.Steps)

	require.NoError(t, server.SettleRefund(refundNo(1, 1), "SUCCESS"))
	got, err = resolve(client, approveAll)
	require.NoError(t, err)
	require.True(t, got.Done)
	require.Empty(t, got.Next)
	require.Empty(t, got.Steps)
	require.Equal(t, wechatpay.RefundStatusSuccess, got.Refund.Status)
	require.Equal(t, effects{approved: 1, replies: 1, refunds: 1, fen: 600}, effectsOf(server))
}

func TestComplaintsV2_Resolve_reject(t *testing.T) {
	server, client := newFakeRefund(t)
	for _, steps := range [][]wechatpay.ResolveStep{{"DECIDE", "REPLY"}, nil} {
		got, err := resolve(client, rejectIt)
		require.NoError(t, err)
		require.True(t, got.Done)
		require.Equal(t, steps, got.Steps)
	}
	require.Equal(t, effects{rejected: 1, replies: 1}, effectsOf(server))
}

// The numbers of requests that the comment of Resolve promises.
func TestComplaintsV2_Resolve_requests(t *testing.T) {
	decided := func(action wechatpay.RefundAction) func(*testing.T, *wechatpaytest.Server) {
		return func(t *testing.T, server *wechatpaytest.Server) {
			require.NoError(t, server.MerchantDecides(testComplaintID, action, ""))
		}
	}
	tests := []struct {
		name     string
		of       int // resolveCases
		prepare  func(*testing.T, *wechatpaytest.Server)
		requests []int // of each call
		steps    string
		settle   bool
	}{
		{"approve", 0, nil, []int{8, 3}, "DECIDE REFUND REPLY", false},
		{"approve, arrived", 0, nil, []int{8, 3}, "DECIDE REFUND REPLY", true},
		{"approved", 0, decided(wechatpay.RefundApprove), []int{7, 3}, "REFUND REPLY", false},
		{"reject", 2, nil, []int{4, 2}, "DECIDE REPLY", false},
		{"rejected", 2, decided(wechatpay.RefundReject), []int{4, 2}, "REPLY", false},
		{"approve, not trusted", 3, nil, []int{11, 3}, "REFUND REPLY COMPLETE", false},
		{"reject, not trusted", 4, nil, []int{8, 2}, "REPLY COMPLETE", false},
		{"approve, not a refund request", 5, nil, []int{10, 3}, "REFUND REPLY COMPLETE", false},
		{"reject, not a refund request", 6, nil, []int{6, 2}, "REPLY COMPLETE", false},
		{"approve, immediate service", 8, nil, []int{8, 3}, "DECIDE REFUND REPLY", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := resolveCases[tt.of]
			server := c.start(t)
			if tt.prepare != nil {
				tt.prepare(t, server)
			}
			m := c.machine(t, server)
			for i, requests := range tt.requests {
				got, err := m.resolve()
				require.NoError(t, err)
				require.Equal(t, requests, m.n, "call %d", i)
				steps := strings.Trim(fmt.Sprint(got.Steps), "[]")
				if i == 0 {
					require.Equal(t, tt.steps, steps)
				} else {
					require.Empty(t, steps)
				}
				if tt.settle && i == 0 {
					require.NoError(t, server.SettleRefund(got.Refund.OutRefundNo, "SUCCESS"))
				}
			}
		})
	}
}

// Facts that contradict the request change nothing.
func TestComplaintsV2_Resolve_conflicts(t *testing.T) {
	approve, reject := approveAll, rejectIt
	record := func(operations ...wechatpay.OperateType) func(*testing.T, *wechatpaytest.Server) {
		return func(t *testing.T, server *wechatpaytest.Server) { addRecords(t, server, operations...) }
	}
	processed := func(t *testing.T, server *wechatpaytest.Server) {
		require.NoError(t, server.ChangeComplaint(testComplaintID, func(c *wechatpay.Complaint) {
			c.ComplaintState = wechatpay.ComplaintStateProcessed
		}))
	}
	platformRefunds := func(t *testing.T, server *wechatpaytest.Server) {
		require.NoError(t, server.PlatformRefunds(testComplaintID))
	}
	tests := []struct {
		name    string
		req     wechatpay.ResolveRequest
		prepare func(*testing.T, *wechatpaytest.Server)
		want    wechatpay.ResolveConflictReason
	}{
		{"rejected", approve, func(t *testing.T, server *wechatpaytest.Server) {
			require.NoError(t, server.MerchantDecides(testComplaintID, wechatpay.RefundReject, "不退"))
		}, "OPPOSITE_DECISION"},
		{"approved", reject, func(t *testing.T, server *wechatpaytest.Server) {
			require.NoError(t, server.MerchantDecides(testComplaintID, wechatpay.RefundApprove, ""))
		}, "OPPOSITE_DECISION"},
		{"withdrawn", approve, record(wechatpay.OperateTypeUserRevokeComplaint), "WITHDRAWN"},
		{"completed by a colleague", approve, processed, "PROCESSED"},
		{"completed by a colleague", reject, processed, "PROCESSED"},
		{"completed with another reply", reject, func(t *testing.T, server *wechatpaytest.Server) {
			processed(t, server)
			addRecords(t, server, wechatpay.OperateTypeMerchantResponse, wechatpay.OperateTypeMerchantConfirmComplete)
		}, "PROCESSED"},
		{"refunded by WeChat Pay", approve, platformRefunds, "REFUNDED"},
		{"refunded by WeChat Pay", reject, platformRefunds, "REFUNDED"},
		{"refund launched", reject, record(wechatpay.OperateTypeComplaintPartialRefundedSystemMessage), "REFUNDED"},
		{"filed again", wechatpay.ResolveRequest{Decision: wechatpay.ApproveRefund(0), Round: 1}, fileAgain, "NEWER_ROUND"},
		{"not filed yet", wechatpay.ResolveRequest{Decision: wechatpay.ApproveRefund(0), Round: 2},
			func(*testing.T, *wechatpaytest.Server) {}, "HISTORY_LAGS"},
		{"the history lags", approve, func(t *testing.T, server *wechatpaytest.Server) {
			fileAgain(t, server)
			server.Configure(func(b *wechatpaytest.Behavior) { b.HistoryLag = time.Hour })
		}, "HISTORY_LAGS"},
		{"the complaint lags", approve, record(wechatpay.OperateTypeUserContinueComplaint), "HISTORY_LAGS"},
	}
	for _, tt := range tests {
		t.Run(tt.name+", "+string(tt.req.Decision.Action), func(t *testing.T) {
			server, client := newFakeRefund(t)
			tt.prepare(t, server)
			before := effectsOf(server)
			got, err := resolve(client, tt.req)
			requireConflict(t, err, tt.want)
			require.Nil(t, got)
			require.Zero(t, writes(server))
			require.Equal(t, before, effectsOf(server))
		})
	}
}

// A refund that someone else launched is found before the decision.
func TestComplaintsV2_Resolve_refundedOtherwise(t *testing.T) {
	server, client := newFakeRefund(t)
	addRecords(t, server, wechatpay.OperateTypeComplaintPartialRefundedSystemMessage)
	_, err := resolve(client, approveAll)
	requireRefused(t, err, wechatpay.RefundRefusedReasonElsewhere)
	require.ErrorContains(t, err, "wechatpay: ComplaintsV2.Resolve: complaint "+testComplaintID+": refund refused: ")
	require.Zero(t, writes(server))
}

// What the refund rules refuse is not approved.
func TestComplaintsV2_Resolve_refundRefused(t *testing.T) {
	server, client := newFakeRefund(t, withSecondOrder)
	for reason, refund := range map[wechatpay.RefundRefusedReason]*wechatpay.RefundComplaintRequest{
		wechatpay.RefundRefusedReasonNoSuchOrder:     nil,
		wechatpay.RefundRefusedReasonMoreThanOrder:   {TransactionID: testOrder, Amount: 1001},
		wechatpay.RefundRefusedReasonMoreThanApplied: {TransactionID: testOrder, Amount: 601},
		wechatpay.RefundRefusedReasonEarlierAttempt:  {TransactionID: testOrder, Amount: 600, Attempt: 2},
	} {
		req := approveAll
		req.Refund = refund
		_, err := resolve(client, req)
		requireRefused(t, err, reason)
	}
	require.Zero(t, writes(server))
}

// Of several orders, Refund pays all but one first.
func TestComplaintsV2_Resolve_twoOrders(t *testing.T) {
	for _, change := range []func(*wechatpay.Complaint){func(*wechatpay.Complaint) {}, setOthers} {
		server, client := newFakeRefund(t, withSecondOrder, change)
		_, err := refundComplaint(client, &wechatpay.RefundComplaintRequest{TransactionID: testSecondOrder, Amount: 200})
		require.NoError(t, err)
		server.Advance(time.Minute)
		req := approveAll
		req.Refund = &wechatpay.RefundComplaintRequest{TransactionID: testOrder, Amount: 400}
		for range 2 {
			got, err := resolve(client, req)
			require.NoError(t, err)
			require.EqualValues(t, 400, got.Refund.Amount.Refund)
		}
		e := effectsOf(server)
		require.Equal(t, 2, e.refunds)
		require.EqualValues(t, 600, e.fen)
		require.Equal(t, 1, e.replies)
		require.Equal(t, 1, e.approved+e.completed)
	}
}

// A decision that is rejected for its own fields is an error: nothing is replied
// or completed.
func TestComplaintsV2_Resolve_invalidDecision(t *testing.T) {
	tests := map[string]string{ // the detail of the error
		"pointer":            `{"field":"/reject_reason","issue":"长度超过限制","location":"body"}`,
		"name":               `{"field":"reject_reason"}`,
		"pointer to an item": `{"field":"/reject_media_list/0"}`,
		"list of pointers":   `{"location":null,"value":["/body/remark"]}`,
	}
	c := resolveCases[4] // not trusted
	for name, detail := range tests {
		t.Run(name, func(t *testing.T) {
			server := c.start(t)
			m := c.machine(t, server)
			rejected := 0
			m.rejects = func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/update-refund-progress") }
			m.rejection = `{"code":"PARAM_ERROR","message":"参数错误","detail":` + detail + `}`
			_, err := m.resolve()
			var apiErr *wechatpay.APIError
			require.ErrorAs(t, err, &apiErr)
			require.ErrorContains(t, err, "wechatpay: ComplaintsV2.Resolve: DECIDE: complaint "+testComplaintID)
			require.Zero(t, rejected)
			require.Zero(t, writes(server))
		})
	}
	t.Run("unknown image", func(t *testing.T) {
		server := c.start(t)
		m := c.machine(t, server)
		m.req.Decision = wechatpay.RejectRefund("商品已使用", "not-uploaded")
		_, err := m.resolve()
		require.ErrorContains(t, err, "/reject_media_list/0")
		require.Equal(t, effects{}, effectsOf(server))
	})
}

// A rejection that is not explained by the complaint is returned as it is.
func TestComplaintsV2_Resolve_rejectedDecision(t *testing.T) {
	for status, kind := range map[int]string{400: "PARAM_ERROR", 403: "NO_AUTH"} {
		c := resolveCases[7] // trusted
		server := c.start(t)
		m := c.machine(t, server)
		m.rejects = func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/update-refund-progress") }
		m.status, m.rejection = status, `{"code":"`+kind+`","message":"不支持"}`
		_, err := m.resolve()
		var apiErr *wechatpay.APIError
		require.ErrorAs(t, err, &apiErr)
		require.Equal(t, wechatpay.ErrorCode(kind), apiErr.Code)
		require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
		require.Zero(t, writes(server))
	}
}

// If the complaint cannot be read again, nothing is concluded from a rejection.
func TestComplaintsV2_Resolve_rejectedAndNotReadAgain(t *testing.T) {
	c := resolveCases[3] // not trusted
	server := c.start(t)
	m := c.machine(t, server, func(cfg *wechatpay.Config) { cfg.Retry.HistoryLag = time.Hour })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := m.client.ComplaintsV2.Resolve(ctx, testComplaintID, &m.req)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	var apiErr *wechatpay.APIError
	require.ErrorAs(t, err, &apiErr)
	require.ErrorContains(t, err, "reading it again: not visible yet, and no time")
	require.Equal(t, effects{}, effectsOf(server))
}

// Completing needs a reply.
func TestComplaintsV2_Resolve_replyRequired(t *testing.T) {
	server, client := newFakeRefund(t, setOthers)
	req := approvePart
	req.Reply = ""
	_, err := resolve(client, req)
	require.EqualError(t, err, "wechatpay: ComplaintsV2.Resolve: invalid argument: Reply: is required: "+
		"WeChat Pay does not take the decision, and completing needs a reply")
	require.Equal(t, effects{}, effectsOf(server))

	// A reply of a colleague is enough.
	require.NoError(t, client.ComplaintsV2.Respond(context.Background(), testComplaintID,
		&wechatpay.RespondRequest{ResponseContent: "您好"}))
	for range 2 {
		got, err := resolve(client, req)
		require.NoError(t, err)
		require.True(t, got.Done)
	}
	require.Equal(t, effects{replies: 1, completed: 1, refunds: 1, fen: 300}, effectsOf(server))
}

// The history may take longer than usual to show what an earlier call did. An
// approved complaint is not completed then: its refund makes it PROCESSED.
func TestComplaintsV2_Resolve_approvedNotVisible(t *testing.T) {
	c := resolveCases[0]
	server := c.start(t)
	m := c.machine(t, server, func(cfg *wechatpay.Config) { cfg.Retry.HistoryLag = 100 * time.Millisecond })
	got, err := m.resolve()
	require.NoError(t, err)
	require.Equal(t, wechatpay.ResolveStepRefundArrival, got.Next)
	server.Configure(func(b *wechatpaytest.Behavior) { b.HistoryLag = 50 * time.Millisecond })
	got, err = m.resolve()
	require.NoError(t, err)
	require.False(t, got.Done)
	require.Zero(t, effectsOf(server).completed)
}

// A decision in the second in which the user filed again may be of the round
// before. It is not taken for one of this round.
func TestComplaintsV2_Resolve_decidedInTheSameSecond(t *testing.T) {
	for _, req := range []wechatpay.ResolveRequest{approveAll, rejectIt} {
		now := time.Now().Truncate(time.Second)
		server, client := newFakeRefund(t)
		server.Configure(func(b *wechatpaytest.Behavior) { b.Time = func() time.Time { return now } })
		_, err := resolve(client, rejectIt)
		require.NoError(t, err)
		require.NoError(t, server.UserContinues(testComplaintID))

		req.Refund = nil
		if req.Decision.Action == wechatpay.RefundApprove {
			req.Refund = &wechatpay.RefundComplaintRequest{AllowRejected: true}
		}
		got, err := resolve(client, req)
		require.NoError(t, err)
		require.Contains(t, got.Steps, wechatpay.ResolveStepDecide)
		after := effectsOf(server)
		require.Equal(t, 2, after.approved+after.rejected)

		got, err = resolve(client, req)
		if req.Decision.Action == wechatpay.RefundReject {
			require.NoError(t, err)
			require.Empty(t, got.Steps)
		} else { // it could be either
			var apiErr *wechatpay.APIError
			require.ErrorAs(t, err, &apiErr)
		}
		require.Equal(t, after, effectsOf(server))
	}
}

// WeChat Pay may change the white space of a reply and escape characters, and may
// send fields that cannot be read.
func TestComplaintsV2_Resolve_oddHistory(t *testing.T) {
	server, client := newFakeRefund(t)
	now := server.Now()
	history := historyJSON(
		recordJSON("1", wechatpay.OperateTypeUserCreateComplaint, now),
		`{"log_id":"2","operate_type":"MERCHANT_APPROVE_REFUND","operate_time":"2019-03-05 09:46:01"}`,
		`{"log_id":"3","operate_type":"MERCHANT_RESPONSE","operate_details":7,"normal_message":""}`,
		`{"log_id":"4","operate_type":"MERCHANT_RESPONSE","operate_details":" 您好，\r\n退款已发起 &lt;3 &amp; &#34;ok&#34;\n"}`,
		`{"log_id":"5","operate_type":"USER_RESPONSE","operate_details":"谢谢","image_list":7}`,
	)
	server.Handle(historyPattern, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, history)
	}))
	got, err := resolve(client, wechatpay.ResolveRequest{Decision: wechatpay.ApproveRefund(0), Reply: "您好，\n退款已发起 <3 & \"ok\""})
	require.NoError(t, err)
	require.Equal(t, []wechatpay.ResolveStep{"REFUND"}, got.Steps)
}

// What a resolution depends on must be readable.
func TestComplaintsV2_Resolve_unreadableComplaint(t *testing.T) {
	for _, odd := range []string{
		`"complaint_state":7`, `"complaint_state":""`, `"complaint_state":"PENDING","user_tag_list":{"a":"TRUSTED"}`,
		`"complaint_state":"PENDING","problem_type":{}`, `"complaint_state":"PENDING","complaint_full_refunded":"?"`,
	} {
		server, client := newFakeRefund(t)
		server.Handle(complaintPattern, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"complaint_id":%q,"user_complaint_times":1,%s}`, testComplaintID, odd)
		}))
		_, err := resolve(client, approveAll)
		require.ErrorContains(t, err, "wechatpay: ComplaintsV2.Resolve: ", odd)
		require.Zero(t, writes(server), odd)
	}
}

// A service provider replies, completes and refunds for the merchant of the
// complaint.
func TestComplaintsV2_Resolve_serviceProvider(t *testing.T) {
	const subMchID = "1900000109"
	server, client := newFakeRefund(t)
	server.Configure(func(b *wechatpaytest.Behavior) { b.SubMchIDs = []string{subMchID} })
	server.AddComplaint(wechatpay.Complaint{
		ComplaintID:       testComplaintID,
		ComplaintedMchID:  subMchID,
		ProblemType:       wechatpay.ProblemTypeOthers,
		ApplyRefundAmount: 600,
	})
	got, err := resolve(client, approvePart)
	require.NoError(t, err)
	require.True(t, got.Done)
	require.Equal(t, subMchID, server.Refunds()[0].SubMchID)
}

// The amount that was approved is the amount that is paid.
func TestComplaintsV2_Resolve_amountChangedDuringCall(t *testing.T) {
	server, _ := newFakeRefund(t)
	client := afterFirst(t, server, http.MethodPost, "/update-refund-progress", func() {
		require.NoError(t, server.ChangeComplaint(testComplaintID, func(c *wechatpay.Complaint) {
			c.ApplyRefundAmount = 900
		}))
	})
	_, err := resolve(client, approveAll)
	requireRefused(t, err, wechatpay.RefundRefusedReasonOtherRefund)
	require.ErrorContains(t, err, "the amount changed from 600 to 900 fen during the call; call again")
	require.Empty(t, server.Refunds())
}

func TestComplaintsV2_Resolve_refundFails(t *testing.T) {
	t.Run("not enough money", func(t *testing.T) {
		server, client := newFakeRefund(t)
		server.Configure(func(b *wechatpaytest.Behavior) {
			b.RefundRefusal = wechatpaytest.Refusal{StatusCode: 403, Code: "NOT_ENOUGH"}
		})
		_, err := resolve(client, approveAll)
		require.ErrorContains(t, err, "wechatpay: ComplaintsV2.Resolve: REFUND: ")
		require.Equal(t, effects{approved: 1}, effectsOf(server))
		server.Configure(func(b *wechatpaytest.Behavior) { b.RefundRefusal = wechatpaytest.Refusal{} })
		_, err = resolve(client, approveAll)
		require.NoError(t, err)
		require.Equal(t, effects{approved: 1, replies: 1, refunds: 1, fen: 600}, effectsOf(server))
	})
	t.Run("closed", func(t *testing.T) {
		server, client := newFakeRefund(t)
		_, err := resolve(client, approveAll)
		require.NoError(t, err)
		require.NoError(t, server.SettleRefund(refundNo(1, 1), "CLOSED"))
		_, err = resolve(client, approveAll)
		requireRefused(t, err, wechatpay.RefundRefusedReasonClosed)
		server.Advance(time.Minute)
		req := approveAll
		req.Refund = &wechatpay.RefundComplaintRequest{Attempt: 2}
		got, err := resolve(client, req)
		require.NoError(t, err)
		require.Equal(t, []wechatpay.ResolveStep{"REFUND"}, got.Steps)
	})
}

// Refund was called before Resolve, and the money arrived: no decision is possible
// any more, even on a complaint that could have been decided.
func TestComplaintsV2_Resolve_refundedBeforeDecision(t *testing.T) {
	full := func(c *wechatpay.Complaint) { c.ApplyRefundAmount = 1000 }
	server, client := newFakeRefund(t, full, setTrusted)
	refund, err := refundComplaint(client, nil)
	require.NoError(t, err)
	require.NoError(t, server.SettleRefund(refund.OutRefundNo, "SUCCESS"))
	got, err := resolve(client, approveAll)
	require.NoError(t, err)
	require.True(t, got.Done)
	require.Equal(t, []wechatpay.ResolveStep{"REPLY", "COMPLETE"}, got.Steps)
	require.Len(t, server.Refunds(), 1)
}

// Another machine completes the complaint in the moment before this one does.
func TestComplaintsV2_Resolve_completedMeanwhile(t *testing.T) {
	c := resolveCases[5]
	server := c.start(t)
	m := c.machine(t, server)
	m.before = func(_ int, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/complete") {
			m.before = nil
			other := c.machine(t, server)
			require.NoError(t, other.client.ComplaintsV2.Complete(context.Background(), testComplaintID, nil))
		}
	}
	got, err := m.resolve()
	require.NoError(t, err)
	require.True(t, got.Done)
	require.Equal(t, []wechatpay.ResolveStep{"REFUND", "REPLY"}, got.Steps)
	require.NoError(t, c.check(server, 1))
}

// WeChat Pay does not complete the complaint for another reason.
func TestComplaintsV2_Resolve_completionRejected(t *testing.T) {
	c := resolveCases[5]
	server := c.start(t)
	m := c.machine(t, server)
	m.rejects = func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/complete") }
	_, err := m.resolve()
	require.ErrorContains(t, err, "wechatpay: ComplaintsV2.Resolve: COMPLETE: complaint "+testComplaintID)
	require.Zero(t, effectsOf(server).completed)
	m.rejects = nil
	got, err := m.resolve()
	require.NoError(t, err)
	require.Equal(t, []wechatpay.ResolveStep{"COMPLETE"}, got.Steps)
}

// The error names the step and says how to go on.
func TestComplaintsV2_Resolve_outcomeUnknown(t *testing.T) {
	for step, path := range map[string]string{
		"DECIDE": "update-refund-progress", "REFUND": "POST /v3/refund", "REPLY": "/response",
	} {
		t.Run(step, func(t *testing.T) {
			server, _ := newFakeRefund(t)
			server.AddFault(wechatpaytest.Fault{Path: path, Kind: wechatpaytest.FaultLostResponse})
			client := fakeClient(t, server, func(cfg *wechatpay.Config) { cfg.Retry.MaxAttempts = 1 })
			_, err := resolve(client, approveAll)
			require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			var unknown *wechatpay.OutcomeUnknownError
			require.ErrorAs(t, err, &unknown)
			require.Equal(t, "ComplaintsV2.Resolve: "+step, unknown.Op)
			require.Equal(t, "call Resolve again with Round 1", unknown.Remedy)
			require.Equal(t, step == "REFUND", unknown.IdempotencyKey != "")
			require.Equal(t, 1, strings.Count(err.Error(), "wechatpay:"), err.Error())
			require.Equal(t, 1, strings.Count(err.Error(), "ComplaintsV2.Resolve"), err.Error())
			_, err = resolve(client, approveAll)
			require.NoError(t, err)
			require.Equal(t, effects{approved: 1, replies: 1, refunds: 1, fen: 600}, effectsOf(server))
		})
	}
}

func TestComplaintsV2_Resolve_unreadable(t *testing.T) {
	server, client := newFakeRefund(t)
	server.AddFault(wechatpaytest.Fault{Path: "negotiation-historys", Kind: wechatpaytest.FaultError500, Times: 100})
	_, err := resolve(client, approveAll)
	require.ErrorContains(t, err, "wechatpay: ComplaintsV2.Resolve: ")
	server.ClearFaults()
	server.AddFault(wechatpaytest.Fault{
		Path: "GET /v3/merchant-service/complaints-v2/{complaint_id}", Kind: wechatpaytest.FaultError500, Times: 100,
	})
	_, err = resolve(client, approveAll)
	require.ErrorContains(t, err, "wechatpay: ComplaintsV2.Resolve: ")
	require.Zero(t, writes(server))
}

// A conflict that may be due to the lag of the history is returned only after a
// second read. Without time for it, the result is another error.
func TestComplaintsV2_Resolve_noTimeForSecondRead(t *testing.T) {
	server, _ := newFakeRefund(t, func(c *wechatpay.Complaint) { c.ComplaintState = "PROCESSED" })
	client := fakeClient(t, server, func(cfg *wechatpay.Config) { cfg.Retry.HistoryLag = time.Hour })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := client.ComplaintsV2.Resolve(ctx, testComplaintID, &rejectIt)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	var conflict *wechatpay.ResolveConflictError
	require.NotErrorAs(t, err, &conflict)
}

func TestComplaintsV2_Resolve_invalidArguments(t *testing.T) {
	server, client := newFakeRefund(t)
	for _, req := range []*wechatpay.ResolveRequest{
		nil,
		{Decision: wechatpay.RejectRefund("不退"), Refund: &wechatpay.RefundComplaintRequest{}},
		{Decision: wechatpay.ApproveRefund(-1)},
		{Decision: wechatpay.ApproveRefund(0), Reply: strings.Repeat("好", 501)},
		{Decision: wechatpay.ApproveRefund(0), Round: -1},
		{Decision: wechatpay.ApproveRefund(0), Refund: &wechatpay.RefundComplaintRequest{Amount: -1}},
		{Decision: wechatpay.ApproveRefund(0), Round: 1, Refund: &wechatpay.RefundComplaintRequest{Round: 2}},
	} {
		_, err := client.ComplaintsV2.Resolve(context.Background(), testComplaintID, req)
		var invalid *wechatpay.ArgumentError
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, "ComplaintsV2.Resolve", invalid.Op)
		require.Len(t, invalid.Faults, 1)
	}
	require.Empty(t, server.Requests())
}
