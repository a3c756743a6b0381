package wechatpay_test

import (
	"context"
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

// The tests in this file are about responses that WeChat Pay signed for another
// request.

const (
	foreignComplaint = `{"complaint_id":"200201820200101080076619999","problem_type":"REFUND","apply_refund_amount":1}`
	errorBody        = `{"code":"RESOURCE_NOT_EXISTS","message":"数据不存在"}`
	refundBody       = `{"refund_id":"5","out_refund_no":"shop-refund-1","transaction_id":"` + paidOrder +
		`","status":"PROCESSING","create_time":"2023-11-14T22:13:20+08:00","amount":{"refund":600,"total":1000}}`
)

// mismatchTests are responses that are signed by WeChat Pay and do not answer the
// request. Those with errorBody are rejections whose status a gateway changed:
// the signature covers the body only.
var mismatchTests = []struct {
	call, name, body string
}{
	{"Get", "another complaint", foreignComplaint},
	{"Get", "no complaint_id", `{"problem_type":"REFUND"}`},
	{"Get", "a refund", refundBody},
	{"Get", "error", errorBody},
	{"List", "error", errorBody},
	{"List", "empty object", `{}`},
	{"List", "a complaint", foreignComplaint},
	{"List", "another page", `{"data":[],"limit":50,"offset":50}`},
	{"NegotiationHistory", "error", errorBody},
	{"NegotiationHistory", "empty object", `{}`},
	{"NegotiationHistory", "a complaint", foreignComplaint},
	{"NegotiationHistory", "another page", `{"data":[],"limit":100,"offset":100}`},
	{"NotificationURL", "error", errorBody},
	{"NotificationURL", "no url", `{"mchid":"1900000001"}`},
	{"Refunds.Get", "another refund", strings.ReplaceAll(refundBody, "shop-refund-1", "shop-refund-2")},
	{"Refunds.Get", "no out_refund_no", strings.ReplaceAll(refundBody, `"out_refund_no":"shop-refund-1",`, "")},
	{"Refunds.Get", "no status", strings.ReplaceAll(refundBody, `"status":"PROCESSING",`, "")},
	{"Refunds.Get", "a complaint", foreignComplaint},
	{"Refunds.Get", "error", errorBody},
	{"Do GET", "error", errorBody},

	{"RespondImmediateService", "no log_id", `{}`},
	{"RespondImmediateService", "error", errorBody},
	{"CreateNotificationURL", "another url", `{"mchid":"1900000001","url":"https://evil.example.com/"}`},
	{"CreateNotificationURL", "no url", `{"mchid":"1900000001"}`},
	{"CreateNotificationURL", "error", errorBody},
	{"UpdateNotificationURL", "the old url", `{"mchid":"1900000001","url":"` + merchantURL + `"}`},
	{"UpdateNotificationURL", "no url", `{"mchid":"1900000001"}`},
	{"UpdateNotificationURL", "error", errorBody},
	{"UploadImage", "no media_id", `{}`},
	{"UploadImage", "error", errorBody},
	{"Refunds.Create", "another refund", strings.ReplaceAll(refundBody, "shop-refund-1", "shop-refund-2")},
	{"Refunds.Create", "no out_refund_no", strings.ReplaceAll(refundBody, `"out_refund_no":"shop-refund-1",`, "")},
	{"Refunds.Create", "no status", strings.ReplaceAll(refundBody, `"status":"PROCESSING",`, "")},
	{"Refunds.Create", "another order", strings.ReplaceAll(refundBody, paidOrder, "4200000000000000000000000098")},
	{"Refunds.Create", "another amount", strings.ReplaceAll(refundBody, `"refund":600`, `"refund":1000`)},
	{"Refunds.Create", "a complaint", foreignComplaint},
	{"Refunds.Create", "error", errorBody},
	{"Echo", "another message", `{"echo_message":"goodbye"}`},
	{"Echo", "no message", `{}`},
	{"Echo", "error", errorBody},
	{"Do POST", "error", errorBody},
	{"Do PUT", "error", errorBody},
	{"Do PATCH", "error", errorBody},
	{"Do DELETE", "error", errorBody},
}

func TestClient_responseMismatch(t *testing.T) {
	t.Parallel()
	for _, tt := range mismatchTests {
		t.Run(tt.call+"/"+tt.name, func(t *testing.T) {
			call := callsNamed(tt.call)[0]
			client := signingClient(t, func(w http.ResponseWriter, r *http.Request) {
				if call.request != "" && !call.matches(r) { // a lookup
					w.WriteHeader(http.StatusBadGateway)
					return
				}
				signResponse(t, w, 200, tt.body)
			})
			err := call.do(context.Background(), client)
			requireReason(t, err, wechatpay.VerificationReasonMismatch)
			if call.request == "" {
				require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			} else {
				require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			}
		})
	}
}

// Pages that are what was asked for, although a field is missing.
func TestClient_responseMismatch_accepted(t *testing.T) {
	for _, body := range []string{`{"total_count":0}`, `{"data":[]}`, `{"data":[],"limit":10,"offset":0}`} {
		client := signingClient(t, func(w http.ResponseWriter, _ *http.Request) { signResponse(t, w, 200, body) })
		for _, call := range callsNamed("List", "NegotiationHistory") {
			require.NoError(t, call.do(context.Background(), client), "%s %s", call.name, body)
		}
	}
	// WeChat Pay may send any other success to Do.
	for _, body := range []string{`{"code":0,"message":"ok"}`, `{"code":"x"}`, `{"message":"RESOURCE_NOT_EXISTS"}`} {
		client := signingClient(t, func(w http.ResponseWriter, _ *http.Request) { signResponse(t, w, 200, body) })
		require.NoError(t, client.Do(context.Background(), http.MethodPost, "/v3/other", nil, nil), body)
	}
}

// A rejection turned into 200 is no success of an endpoint whose success is 204.
func TestClient_responseMismatch_noContent(t *testing.T) {
	for _, call := range callsNamed("approve", "reject", "Respond", "Complete", "DeleteNotificationURL") {
		t.Run(call.name, func(t *testing.T) {
			client := signingClient(t, func(w http.ResponseWriter, _ *http.Request) {
				signResponse(t, w, 200, errorBody)
			})
			require.ErrorIs(t, call.do(context.Background(), client), wechatpay.ErrOutcomeUnknown)
		})
	}
}

// statusOK turns the error responses to some requests into 200, with body and
// signature untouched.
func statusOK(changed func(*http.Request) bool) gateway {
	return func(req *http.Request, pay http.RoundTripper) (*http.Response, error) {
		resp, err := pay.RoundTrip(req)
		if err == nil && changed(req) && resp.StatusCode >= 400 {
			resp.StatusCode, resp.Status = 200, "200 OK"
		}
		return resp, err
	}
}

// fetchFor returns a gateway that answers some requests with the genuine and
// fresh response of another path.
func fetchFor(t *testing.T, server *wechatpaytest.Server, replaced func(*http.Request) bool, path string) gateway {
	genuine := gatewayClient(t, server).HTTPClient()
	return func(req *http.Request, pay http.RoundTripper) (*http.Response, error) {
		if !replaced(req) {
			return pay.RoundTrip(req)
		}
		fetch, err := http.NewRequest(http.MethodGet, server.URL+path, nil)
		require.NoError(t, err)
		fetch.Header.Set("Accept", "application/json")
		fetch.Header.Set("User-Agent", "test")
		resp, err := genuine.Do(fetch)
		if err == nil {
			resp.Request = req
		}
		return resp, err
	}
}

const (
	complaintURLPath = "/v3/merchant-service/complaints-v2/"
	otherComplaintID = "200201820200101080076610001"
)

func isRefundQuery(req *http.Request) bool {
	return req.Method == http.MethodGet && strings.HasPrefix(req.URL.Path, "/v3/refund/domestic/refunds/")
}

func isHistory(req *http.Request) bool {
	return strings.HasSuffix(req.URL.Path, "/negotiation-historys")
}

// refundByWeChatPay adds the record of a refund on the merchant's behalf.
func refundByWeChatPay(t *testing.T, s *wechatpaytest.Server) {
	t.Helper()
	require.NoError(t, s.AddRecord(testComplaintID, wechatpay.NegotiationRecord{
		OperateType: wechatpay.OperateTypeComplaintEntrustedRefundSystemMessage,
		OperateTime: s.Now(),
	}))
}

// A gateway confuses responses while a refund is paid: nothing is paid by
// mistake, and success is not reported.
func TestComplaintsV2_Refund_responseMismatch(t *testing.T) {
	isDetail := func(req *http.Request) bool { return req.URL.Path == complaintURLPath+testComplaintID }
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, s *wechatpaytest.Server)
		gateway func(t *testing.T, s *wechatpaytest.Server) gateway
	}{
		{"unknown number turned into success", nil, func(*testing.T, *wechatpaytest.Server) gateway {
			return statusOK(isRefundQuery)
		}},
		{"another complaint", nil, func(t *testing.T, s *wechatpaytest.Server) gateway {
			return fetchFor(t, s, isDetail, complaintURLPath+otherComplaintID)
		}},
		{"a complaint for a refund", nil, func(t *testing.T, s *wechatpaytest.Server) gateway {
			return fetchFor(t, s, isRefundQuery, complaintURLPath+testComplaintID)
		}},
		{"rejected history turned into success", func(t *testing.T, s *wechatpaytest.Server) {
			refundByWeChatPay(t, s)
			s.Handle("GET "+complaintURLPath+testComplaintID+"/negotiation-historys",
				http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(403)
					io.WriteString(w, `{"code":"NO_AUTH","message":"no"}`)
				}))
		}, func(*testing.T, *wechatpaytest.Server) gateway { return statusOK(isHistory) }},
		{"a complaint for the history", refundByWeChatPay, func(t *testing.T, s *wechatpaytest.Server) gateway {
			return fetchFor(t, s, isHistory, complaintURLPath+testComplaintID)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := startFake(t)
			server.AddComplaint(wechatpay.Complaint{
				ComplaintID:       otherComplaintID,
				ProblemType:       wechatpay.ProblemTypeRefund,
				ApplyRefundAmount: 5000,
			})
			if tt.prepare != nil {
				tt.prepare(t, server)
			}
			client := gatewayClient(t, server, behind(tt.gateway(t, server)))
			refund, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, nil)
			requireReason(t, err, wechatpay.VerificationReasonMismatch)
			require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			require.Nil(t, refund)
			require.Empty(t, server.Refunds())
		})
	}
}

// The refund is not created, and the lookup gets another refund of the same
// order and amount.
func TestRefunds_Create_lookupMismatch(t *testing.T) {
	server := startFake(t)
	another := refundRequest()
	another.OutRefundNo, another.Amount.Refund = "shop-refund-2", 400
	_, err := gatewayClient(t, server).Refunds.Create(context.Background(), another)
	require.NoError(t, err)
	server.Advance(time.Minute)
	server.AddFault(wechatpaytest.Fault{Path: "POST /v3/refund", Kind: wechatpaytest.FaultDrop, Times: 99})
	relay := fetchFor(t, server, isRefundQuery, "/v3/refund/domestic/refunds/shop-refund-2")
	client := gatewayClient(t, server, behind(relay))
	wanted := refundRequest()
	wanted.Amount.Refund = 400
	_, err = client.Refunds.Create(context.Background(), wanted)
	require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
	require.Len(t, server.Refunds(), 1)
}

// A decision is in doubt, and the lookup gets a complaint for the history: that
// does not show what happened.
func TestComplaintsV2_UpdateRefundProgress_lookupMismatch(t *testing.T) {
	server, call := startFake(t), callsNamed("approve")[0]
	server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultLostResponse})
	client := gatewayClient(t, server, behind(fetchFor(t, server, isHistory, complaintURLPath+testComplaintID)))
	require.ErrorIs(t, call.do(context.Background(), client), wechatpay.ErrOutcomeUnknown)
	require.Equal(t, 1, call.applied(server))
}

// A cache by path answers every page with the first.
func TestComplaintsV2_pagesDoNotAdvance(t *testing.T) {
	t.Parallel()
	const entries = `{"complaint_id":"a","log_id":"a"},{"complaint_id":"b","log_id":"b"},` +
		`{"complaint_id":"c","log_id":"c"}`
	walks := map[string]func(context.Context, *wechatpay.Client) ([]string, error){
		"All, past days": func(ctx context.Context, c *wechatpay.Client) ([]string, error) {
			return walkComplaints(ctx, c, testTime.AddDate(0, 0, -7))
		},
		"All, today": func(ctx context.Context, c *wechatpay.Client) ([]string, error) {
			return walkComplaints(ctx, c, testTime)
		},
		"AllNegotiationHistory": func(ctx context.Context, c *wechatpay.Client) (ids []string, err error) {
			for record, err := range c.ComplaintsV2.AllNegotiationHistory(ctx, testComplaintID) {
				if err != nil {
					return ids, err
				}
				ids = append(ids, record.LogID)
			}
			return ids, nil
		},
		"Refund": func(ctx context.Context, c *wechatpay.Client) ([]string, error) {
			_, err := c.ComplaintsV2.Refund(ctx, testComplaintID, nil)
			return []string{"a", "b", "c"}, err
		},
	}
	for name, walk := range walks {
		for fields, other := range map[string]string{
			"total and offset":    `"limit":3,"offset":0,"total_count":3`,
			"offset":              `"limit":3,"offset":0`,
			"limit only":          `"limit":3`,
			"larger total":        `"limit":50,"offset":0,"total_count":1000`,
			"larger total only":   `"total_count":1000`,
			"total without limit": `"offset":0,"total_count":1000`,
		} {
			t.Run(name+"/"+fields, func(t *testing.T) {
				var pages atomic.Int32
				client := signingClient(t, samePage(t, `{"data":[`+entries+`],`+other+`}`, &pages))
				ids, err := walk(context.Background(), client)
				require.Error(t, err)
				require.LessOrEqual(t, pages.Load(), int32(8))
				require.Equal(t, []string{"a", "b", "c"}, ids)
			})
		}
	}
}

// samePage answers every page of a list or history with one page, at most 50
// times.
func samePage(t *testing.T, page string, pages *atomic.Int32) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			t.Error("paid")
		case isRefundQuery(r):
			signResponse(t, w, 404, errorBody)
		case strings.HasSuffix(r.URL.Path, testComplaintID):
			signResponse(t, w, 200, `{"complaint_id":"`+testComplaintID+`","problem_type":"REFUND",`+
				`"apply_refund_amount":600,"user_complaint_times":1,"complaint_order_info":[`+
				`{"transaction_id":"`+paidOrder+`","amount":1000}]}`)
		case pages.Add(1) > 50:
			signResponse(t, w, 403, `{"code":"NO_AUTH","message":"the test ends the list"}`)
		default:
			signResponse(t, w, 200, page)
		}
	}
}

// The cache sends the stored response itself.
func TestComplaintsV2_pagesDoNotAdvance_cachedResponse(t *testing.T) {
	server := startFake(t)
	for i := range 5 {
		server.AddComplaint(wechatpay.Complaint{ComplaintID: fmt.Sprintf("%s%d", testComplaintID, i)})
	}
	r := &replayer{t: t, record: apiCall{request: "GET /complaints-v2"}}
	r.replaying = func(req *http.Request) bool { return r.response != nil && r.replays < 50 }
	client := gatewayClient(t, server, behind(r.handle))
	today := server.Now()
	ids := make(map[string]int)
	var failed error
	for complaint, err := range client.ComplaintsV2.All(context.Background(), &wechatpay.ListComplaintsRequest{
		BeginDate: today,
		EndDate:   today,
		Limit:     2,
	}) {
		if failed = err; err == nil {
			ids[complaint.ComplaintID]++
		}
	}
	require.Error(t, failed)
	require.Len(t, ids, 2)
	require.LessOrEqual(t, r.replays, 8)
}

// Two machines of a cache send different pages in turn.
func TestComplaintsV2_pagesDoNotAdvance_inTurn(t *testing.T) {
	server, client := newFakeRefund(t)
	pages := 0
	server.Handle(historyPattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pages++
		fmt.Fprintf(w, `{"limit":1,"offset":%s,"data":[{"log_id":"%d","operate_type":"USER_RESPONSE"}]}`,
			r.URL.Query().Get("offset"), pages%2)
	}))
	_, err := client.ComplaintsV2.Refund(context.Background(), testComplaintID, nil)
	require.ErrorContains(t, err, "the page repeats earlier ones")
	require.Equal(t, 3, pages)
}

// Records without a log_id are not the same record.
func TestComplaintsV2_AllNegotiationHistory_pagesWithoutLogID(t *testing.T) {
	server, client := newFakeRefund(t)
	server.Handle(historyPattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"limit":1,"offset":%s,"data":[%s]}`, r.URL.Query().Get("offset"), map[string]string{
			"0": `{"operate_type":"USER_RESPONSE"}`,
			"1": `{"operate_type":"USER_CREATE_COMPLAINT"}`,
		}[r.URL.Query().Get("offset")])
	}))
	var types []wechatpay.OperateType
	for record, err := range client.ComplaintsV2.AllNegotiationHistory(context.Background(), testComplaintID) {
		require.NoError(t, err)
		types = append(types, record.OperateType)
	}
	require.Equal(t, []wechatpay.OperateType{
		wechatpay.OperateTypeUserResponse, wechatpay.OperateTypeUserCreateComplaint,
	}, types)
}

func walkComplaints(ctx context.Context, c *wechatpay.Client, day time.Time) (ids []string, err error) {
	req := &wechatpay.ListComplaintsRequest{BeginDate: day, EndDate: day}
	for complaint, err := range c.ComplaintsV2.All(ctx, req) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, complaint.ComplaintID)
	}
	return ids, nil
}
