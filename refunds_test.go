package wechatpay_test

import (
	"context"
	"encoding/json"
	"errors"
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

const refundJSON = `{"refund_id":"50000000382019052709732678859","out_refund_no":"1217752501201407033233368018","transaction_id":"1217752501201407033233368018","out_trade_no":"20150806125346",` +
	`"channel":"ORIGINAL","user_received_account":"招商银行信用卡0403","success_time":"2026-01-02T03:04:05+08:00","create_time":"2026-01-02T03:00:00.5+08:00","status":"SUCCESS","funds_account":"UNSETTLED",` +
	`"amount":{"total":100,"refund":90,"from":[{"account":"AVAILABLE","amount":90}],"payer_total":80,"payer_refund":70,"settlement_refund":60,"settlement_total":50,"discount_refund":10,"currency":"CNY","refund_fee":1},` +
	`"promotion_detail":[{"promotion_id":"109519","scope":"SINGLE","type":"DISCOUNT","amount":5,"refund_amount":4,"goods_detail":[{"merchant_goods_id":"1","wechatpay_goods_id":"2","goods_name":"手机","unit_price":3,"refund_amount":2,"refund_quantity":1}]}]}`

func wantRefund() *wechatpay.Refund {
	zone := time.FixedZone("", 8*3600)
	return &wechatpay.Refund{
		RefundID: "50000000382019052709732678859", OutRefundNo: "1217752501201407033233368018", TransactionID: "1217752501201407033233368018", OutTradeNo: "20150806125346",
		Channel: wechatpay.RefundChannelOriginal, UserReceivedAccount: "招商银行信用卡0403", SuccessTime: time.Date(2026, 1, 2, 3, 4, 5, 0, zone), CreateTime: time.Date(2026, 1, 2, 3, 0, 0, 5e8, zone),
		Status: wechatpay.RefundStatusSuccess, FundsAccount: wechatpay.FundsAccountUnsettled,
		Amount: wechatpay.RefundAmount{Total: 100, Refund: 90, From: []wechatpay.RefundFrom{{Account: wechatpay.FundsAccountAvailable, Amount: 90}}, PayerTotal: 80, PayerRefund: 70,
			SettlementRefund: 60, SettlementTotal: 50, DiscountRefund: 10, Currency: "CNY", RefundFee: 1},
		PromotionDetail: []wechatpay.RefundPromotionDetail{{PromotionID: "109519", Scope: "SINGLE", Type: "DISCOUNT", Amount: 5, RefundAmount: 4,
			GoodsDetail: []wechatpay.RefundGoodsDetail{{MerchantGoodsID: "1", WechatpayGoodsID: "2", GoodsName: "手机", UnitPrice: 3, RefundAmount: 2, RefundQuantity: 1}}}},
	}
}

// moneyEndpoints are those beside the complaint API.
var moneyEndpoints = []struct {
	name              string
	call              func(context.Context, *wechatpay.Client) (any, error)
	method, uri, body string
	answer            string
	want              any
	errors            []wechatpay.APIError
}{
	{
		name: "Refunds.Create",
		call: func(ctx context.Context, c *wechatpay.Client) (any, error) {
			return c.Refunds.Create(ctx, &wechatpay.CreateRefundRequest{TransactionID: "1217752501201407033233368018", OutRefundNo: "1217752501201407033233368018", Amount: wechatpay.CreateRefundAmount{Refund: 90, Total: 100}})
		},
		method: http.MethodPost, uri: "/v3/refund/domestic/refunds",
		body:   `{"transaction_id":"1217752501201407033233368018","out_refund_no":"1217752501201407033233368018","amount":{"refund":90,"total":100,"currency":"CNY"}}`,
		answer: refundJSON, want: wantRefund(),
		errors: []wechatpay.APIError{{StatusCode: 400, Code: wechatpay.ErrorCodeInvalidRequest}, {StatusCode: 403, Code: wechatpay.ErrorCodeNotEnough}, {StatusCode: 403, Code: wechatpay.ErrorCodeUserAccountAbnormal},
			{StatusCode: 404, Code: wechatpay.ErrorCodeMchNotExists}, {StatusCode: 404, Code: wechatpay.ErrorCodeResourceNotExists}},
	},
	{
		name: "Refunds.Create with everything",
		call: func(ctx context.Context, c *wechatpay.Client) (any, error) {
			return c.Refunds.Create(ctx, &wechatpay.CreateRefundRequest{
				SubMchID: "1900000109", OutTradeNo: "20150806125346", OutRefundNo: "Aa0_-|*@", Reason: "商品已售完", NotifyURL: "https://www.example.com/refund", FundsAccount: wechatpay.FundsAccountAvailable,
				Amount:      wechatpay.CreateRefundAmount{Refund: 90, Total: 100, Currency: "CNY", From: []wechatpay.RefundFrom{{Account: wechatpay.FundsAccountAvailable, Amount: 40}, {Account: wechatpay.FundsAccountUnavailable, Amount: 50}}},
				GoodsDetail: []wechatpay.RefundGoodsDetail{{MerchantGoodsID: "1", WechatpayGoodsID: "2", GoodsName: "手机", UnitPrice: 3, RefundAmount: 2, RefundQuantity: 1}},
			})
		},
		method: http.MethodPost, uri: "/v3/refund/domestic/refunds",
		body: `{"sub_mchid":"1900000109","out_trade_no":"20150806125346","out_refund_no":"Aa0_-|*@","reason":"商品已售完","notify_url":"https://www.example.com/refund","funds_account":"AVAILABLE",` +
			`"amount":{"refund":90,"total":100,"currency":"CNY","from":[{"account":"AVAILABLE","amount":40},{"account":"UNAVAILABLE","amount":50}]},` +
			`"goods_detail":[{"merchant_goods_id":"1","wechatpay_goods_id":"2","goods_name":"手机","unit_price":3,"refund_amount":2,"refund_quantity":1}]}`,
		answer: refundJSON, want: wantRefund(),
	},
	{
		name: "Refunds.Get",
		call: func(ctx context.Context, c *wechatpay.Client) (any, error) {
			return c.Refunds.Get(ctx, &wechatpay.GetRefundRequest{OutRefundNo: "Aa0_-|*@", SubMchID: "1900000109"})
		},
		method: http.MethodGet, uri: "/v3/refund/domestic/refunds/Aa0_-%7C%2A%40?sub_mchid=1900000109", answer: refundJSON, want: wantRefund(),
		errors: []wechatpay.APIError{{StatusCode: 404, Code: wechatpay.ErrorCodeResourceNotExists}},
	},
	{
		name: "Echo",
		call: func(ctx context.Context, c *wechatpay.Client) (any, error) {
			return c.Echo(ctx, &wechatpay.EchoRequest{EchoMessage: "你好", NotifyURL: "https://www.example.com/echo"})
		},
		method: http.MethodPost, uri: "/v3/security/echo", body: `{"echo_message":"你好","notify_url":"https://www.example.com/echo"}`,
		answer: `{"echo_message":"你好"}`, want: &wechatpay.EchoResponse{EchoMessage: "你好"},
		errors: []wechatpay.APIError{{StatusCode: 404, Code: wechatpay.ErrorCodeResourceNotExists}},
	},
}

func TestMoneyEndpoints(t *testing.T) {
	for _, tt := range moneyEndpoints {
		t.Run(tt.name, func(t *testing.T) {
			calls := 0
			client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
				calls++
				requireRequest(t, r, tt.method, tt.uri, tt.body)
				reply(t, 200, tt.answer)(w, r)
			})
			got, err := tt.call(context.Background(), client)
			require.NoError(t, err)
			require.Equal(t, 1, calls)
			requireSameJSON(t, tt.want, got)
		})
	}
	// Every documented field of the answer comes back when it is encoded.
	var refund wechatpay.Refund
	require.NoError(t, json.Unmarshal([]byte(refundJSON), &refund))
	encoded, err := json.Marshal(refund)
	require.NoError(t, err)
	require.JSONEq(t, refundJSON, string(encoded))
	require.NoError(t, json.Unmarshal([]byte(`{"success_time":"","create_time":null,"status":"NEW","amount":null}`), &refund))
	require.Equal(t, wechatpay.RefundStatus("NEW"), refund.Status)
}

func TestMoneyEndpointErrors(t *testing.T) {
	common := []wechatpay.APIError{
		{StatusCode: 400, Code: wechatpay.ErrorCodeParamError}, {StatusCode: 401, Code: wechatpay.ErrorCodeSignError}, {StatusCode: 403, Code: wechatpay.ErrorCodeNoAuth},
		{StatusCode: 429, Code: wechatpay.ErrorCodeFrequencyLimited}, {StatusCode: 500, Code: wechatpay.ErrorCodeSystemError},
	}
	for _, tt := range moneyEndpoints {
		for _, want := range append(common, tt.errors...) {
			t.Run(tt.name+" "+string(want.Code), func(t *testing.T) {
				client, _ := newMock(t, reply(t, want.StatusCode, `{"code":"`+string(want.Code)+`"}`))
				_, err := tt.call(context.Background(), client)
				var refusal *wechatpay.APIError
				require.ErrorAs(t, err, &refusal)
				want.Method, want.RequestID = tt.method, "08F7A1B2C30610-0"
				want.Path, _, _ = strings.Cut(tt.uri, "?")
				require.True(t, strings.HasPrefix(refusal.Host, "127.0.0.1:"), refusal.Host)
				want.Host = refusal.Host
				require.Equal(t, want, *refusal)
				unknown := tt.method == http.MethodPost && (want.StatusCode == 500 || want.StatusCode == 429 && strings.HasPrefix(tt.name, "Refunds"))
				require.Equal(t, unknown, errors.Is(err, wechatpay.ErrOutcomeUnknown))
				var open *wechatpay.OutcomeUnknownError
				if unknown && strings.HasPrefix(tt.name, "Refunds") {
					require.ErrorAs(t, err, &open)
					require.NotEmpty(t, open.IdempotencyKey)
				}
				if tt.name == "Echo" && (want.StatusCode == 403 || want.StatusCode == 404) {
					require.ErrorContains(t, err, "says nothing about the keys")
				}
			})
		}
	}
}

func TestMoneyEndpointsRefuseArguments(t *testing.T) {
	client, _ := newMock(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
	create := func(req *wechatpay.CreateRefundRequest) func() error {
		return func() error { _, err := client.Refunds.Create(context.Background(), req); return err }
	}
	refund := func(id string, req *wechatpay.RefundComplaintRequest) func() error {
		return func() error { _, err := client.ComplaintsV2.Refund(context.Background(), id, req); return err }
	}
	echo := func(req *wechatpay.EchoRequest) func() error {
		return func() error { _, err := client.Echo(context.Background(), req); return err }
	}
	for _, tt := range []struct {
		name   string
		call   func() error
		faults []string
	}{
		{"Create, nil", create(nil), []string{
			"TransactionID: empty, and so is OutTradeNo: one of them names the order",
			"OutRefundNo: 0 bytes, 1 to 64 are required",
			"Amount.Refund: 0 fen, and 1 is the least",
		}},
		{"Create, empty", create(&wechatpay.CreateRefundRequest{}), []string{"TransactionID: empty, and so is OutTradeNo: one of them names the order", "OutRefundNo: 0 bytes, 1 to 64 are required",
			"Amount.Refund: 0 fen, and 1 is the least"}},
		{"Create, everything wrong", create(&wechatpay.CreateRefundRequest{
			SubMchID: strings.Repeat("1", 33), TransactionID: strings.Repeat("1", 33), OutTradeNo: "12345", OutRefundNo: strings.Repeat("1", 64) + "退", Reason: strings.Repeat("退", 27) + "🙂",
			NotifyURL: "ftp://x", FundsAccount: wechatpay.FundsAccountBasic,
			Amount: wechatpay.CreateRefundAmount{Refund: 101, Total: 100, Currency: strings.Repeat("C", 17),
				From: []wechatpay.RefundFrom{{Account: wechatpay.FundsAccountBasic}, {Account: wechatpay.FundsAccountAvailable, Amount: 1}, {Account: wechatpay.FundsAccountAvailable, Amount: 1}}},
			GoodsDetail: []wechatpay.RefundGoodsDetail{{GoodsName: "🙂", UnitPrice: -1}},
		}), []string{
			"SubMchID: 33 characters, at most 32 are allowed", "OutTradeNo: set together with TransactionID: what WeChat Pay makes of both is not documented",
			"TransactionID: 33 characters, at most 32 are allowed", "OutTradeNo: 5 characters, at least 6 are required",
			"OutRefundNo: 67 bytes, 1 to 64 are required", "OutRefundNo: holds '退': only 0-9 A-Z a-z _ - | * @ are allowed",
			"Reason: 85 bytes, at most 80 are allowed (a Chinese character takes 3)", "Reason: holds '🙂' (U+1F642), and WeChat Pay takes no character beyond U+FFFF (emoji)",
			`NotifyURL: "ftp://x" is not a URL without a query`, "NotifyURL: 7 characters, 8 to 256 are allowed",
			`FundsAccount: "BASIC" is neither AVAILABLE nor UNSETTLED`,
			"Amount.Refund: 101 fen, more than the order's 100 (Amount.Total)", "Amount.Currency: 17 characters, at most 16 are allowed",
			`Amount.From[0].Account: "BASIC" is neither AVAILABLE nor UNAVAILABLE`, "Amount.From[0].Amount: 0 fen, and 1 is the least", "Amount.From[2].Account: AVAILABLE comes twice",
			"Amount.From: 2 fen in sum, and Amount.Refund is 101",
			"GoodsDetail[0].MerchantGoodsID: empty: it is required", "GoodsDetail[0].GoodsName: holds '🙂' (U+1F642), and WeChat Pay takes no character beyond U+FFFF (emoji)",
			"GoodsDetail[0]: UnitPrice, RefundAmount and RefundQuantity may not be negative",
		}},
		{"Get, nil", func() error { _, err := client.Refunds.Get(context.Background(), nil); return err }, []string{"OutRefundNo: 0 bytes, 1 to 64 are required"}},
		{"Get", func() error {
			_, err := client.Refunds.Get(context.Background(), &wechatpay.GetRefundRequest{OutRefundNo: "a/b", SubMchID: strings.Repeat("1", 33)})
			return err
		}, []string{"OutRefundNo: holds '/': only 0-9 A-Z a-z _ - | * @ are allowed", "SubMchID: 33 characters, at most 32 are allowed"}},
		{"ComplaintsV2.Refund", refund("", &wechatpay.RefundComplaintRequest{TransactionID: strings.Repeat("1", 33), Amount: -1, Reason: strings.Repeat("r", 81), NotifyURL: "https://www.example.com/?a", SubMchID: strings.Repeat("1", 33),
			OutRefundNo: "a b", Attempt: 51}), []string{"complaintID: empty, 1 to 64 characters are required", "TransactionID: 33 characters, at most 32 are allowed",
			"Amount: -1 fen, and 0 (what was applied for) is the least", "Reason: 81 bytes, at most 80 are allowed (a Chinese character takes 3)", `NotifyURL: "https://www.example.com/?a" is not a URL without a query`,
			"SubMchID: 33 characters, at most 32 are allowed", "OutRefundNo: holds ' ': only 0-9 A-Z a-z _ - | * @ are allowed",
			"Attempt: 51, and OutRefundNo is set: attempts are counted in derived numbers alone; make a further one with Refunds.Create", "Attempt: 51, and 0 to 50 are allowed"}},
		{"Echo, nil", echo(nil), []string{"req: nil"}},
		{"Echo", echo(&wechatpay.EchoRequest{NotifyURL: "http://www.example.com/?a", EncryptedEchoMessage: strings.Repeat("a", 215)}), []string{"EchoMessage: empty: it is required",
			`NotifyURL: "http://www.example.com/?a" is not an https URL`, "NotifyURL: it may have no query and no fragment", "EncryptedEchoMessage: 215 bytes, at most 214 are allowed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.call()
			var refused *wechatpay.ArgumentError
			require.ErrorAs(t, err, &refused)
			var got []string
			for _, fault := range refused.Faults {
				got = append(got, fault.Field+": "+fault.Problem)
			}
			require.Equal(t, tt.faults, got)
		})
	}
}

func TestEchoBothWays(t *testing.T) {
	_, client := newFake(t)
	resp, err := client.Echo(context.Background(), &wechatpay.EchoRequest{EchoMessage: "你好", EncryptedEchoMessage: "秘密"})
	require.NoError(t, err)
	require.Equal(t, &wechatpay.EchoResponse{EchoMessage: "你好", EncryptedEchoMessage: "秘密"}, resp)

	// Without WeChat Pay's key nothing can be encrypted for it.
	cfg := testConfig(t, "http://127.0.0.1:1")
	cfg.InsecureSkipVerify, cfg.PublicKey, cfg.PublicKeyID = true, nil, ""
	client, err = wechatpay.NewClient(cfg)
	require.NoError(t, err)
	_, err = client.Echo(context.Background(), &wechatpay.EchoRequest{EchoMessage: "a", EncryptedEchoMessage: "b"})
	require.ErrorContains(t, err, "cannot be encrypted without WeChat Pay's key")

	// An answer that was encrypted for somebody else.
	mocked, _ := newMock(t, reply(t, 200, `{"echo_message":"a","encrypted_echo_message":"AAAA"}`))
	_, err = mocked.Echo(context.Background(), &wechatpay.EchoRequest{EchoMessage: "a"})
	require.ErrorContains(t, err, "the key does not fit")
}

// A refund is looked up by its number before it is sent again.
func TestCreateRefundLooksUpItsNumber(t *testing.T) {
	const create = "POST /v3/refund/domestic/refunds"
	request := func(server *wechatpaytest.Server) *wechatpay.CreateRefundRequest {
		complaint, _ := server.Complaint(testComplaintID)
		order := complaint.ComplaintOrderInfo[0]
		return &wechatpay.CreateRefundRequest{TransactionID: order.TransactionID, OutRefundNo: "refund-1", Amount: wechatpay.CreateRefundAmount{Refund: 1, Total: order.Amount}}
	}
	for _, tt := range []struct {
		fault         wechatpaytest.Fault
		creates, gets int
	}{
		{wechatpaytest.Fault{Kind: wechatpaytest.FaultLostResponse}, 1, 1},
		{wechatpaytest.Fault{Kind: wechatpaytest.FaultForged}, 1, 1},
		{wechatpaytest.Fault{Kind: wechatpaytest.FaultError500, TakesEffect: true}, 1, 1},
		{wechatpaytest.Fault{Kind: wechatpaytest.FaultBusy429, TakesEffect: true}, 1, 1},
		{wechatpaytest.Fault{Kind: wechatpaytest.FaultDrop}, 2, 2},
		{wechatpaytest.Fault{Kind: wechatpaytest.FaultError500}, 2, 2},
		{wechatpaytest.Fault{Kind: wechatpaytest.FaultBusy429, Delay: time.Millisecond}, 2, 2},
	} {
		t.Run(string(tt.fault.Kind), func(t *testing.T) {
			server, client := newFake(t)
			tt.fault.Path = "POST /v3/refund"
			server.AddFault(tt.fault)
			refund, err := client.Refunds.Create(context.Background(), request(server))
			require.NoError(t, err)
			require.Equal(t, "refund-1", refund.OutRefundNo)
			require.Equal(t, wechatpay.RefundStatusProcessing, refund.Status)
			require.Len(t, server.Refunds(), 1)
			require.Equal(t, tt.creates, count(server, create))
			require.Equal(t, tt.gets, count(server, "GET /v3/refund"))
		})
	}
	t.Run("it cannot be looked up", func(t *testing.T) {
		server, client := newFake(t)
		server.AddFault(wechatpaytest.Fault{Path: "/v3/refund", Kind: wechatpaytest.FaultError500, Times: 9})
		_, err := client.Refunds.Create(context.Background(), request(server))
		var unknown *wechatpay.OutcomeUnknownError
		require.ErrorAs(t, err, &unknown)
		require.Equal(t, "refund-1", unknown.IdempotencyKey)
		require.Equal(t, 1, count(server, create))
	})
	t.Run("a refusal after a doubt", func(t *testing.T) {
		var posts atomic.Int32
		_, mock := newMock(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method == http.MethodPost && posts.Add(1) == 1:
				answer(500, `{}`)(w, r)
			case r.Method == http.MethodPost:
				reply(t, 400, `{"code":"INVALID_REQUEST"}`)(w, r)
			default:
				reply(t, 404, `{"code":"RESOURCE_NOT_EXISTS"}`)(w, r)
			}
		})
		_, err := retryClient(t, mock.URL).Refunds.Create(context.Background(), &wechatpay.CreateRefundRequest{TransactionID: "1", OutRefundNo: "1", Amount: wechatpay.CreateRefundAmount{Refund: 1, Total: 1}})
		var refusal *wechatpay.APIError
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, wechatpay.ErrorCodeInvalidRequest, refusal.Code)
		require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown, "looked up once more, and not there")
	})
}

// A refund under the number that is not the one asked for is no success.
func TestCreateRefundUnderAUsedNumber(t *testing.T) {
	for _, kind := range []wechatpaytest.FaultKind{"", wechatpaytest.FaultError500, wechatpaytest.FaultBusy429, wechatpaytest.FaultDrop} {
		t.Run(string(kind), func(t *testing.T) {
			server, client := newFakeRefund(t)
			server.AddComplaint(wechatpay.Complaint{ComplaintID: "other", ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{{TransactionID: "4200000000000000000000000009", OutTradeNo: "20150806125399", Amount: 50}}})
			_, err := client.Refunds.Create(context.Background(), &wechatpay.CreateRefundRequest{TransactionID: "4200000000000000000000000009", OutRefundNo: "R-77", Amount: wechatpay.CreateRefundAmount{Refund: 50, Total: 50}})
			require.NoError(t, err)
			if kind != "" {
				server.AddFault(wechatpaytest.Fault{Path: "POST /v3/refund", Kind: kind, Delay: time.Millisecond})
			}
			_, err = client.Refunds.Create(context.Background(), &wechatpay.CreateRefundRequest{TransactionID: testOrder, OutRefundNo: "R-77", Amount: wechatpay.CreateRefundAmount{Refund: 600, Total: 1000}})
			require.Error(t, err)
			require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			if kind != "" {
				require.ErrorContains(t, err, "the number was used before, for 50 fen of order 4200000000000000000000000009")
			}
			require.Len(t, server.Refunds(), 1)
		})
	}
}

// The order may be named by the merchant's own number.
func TestCreateRefundUnderANumberUsedForAnotherOutTradeNo(t *testing.T) {
	server, client := newFakeRefund(t)
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "other", ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{{TransactionID: "4200000000000000000000000009", OutTradeNo: "20150806125399", Amount: 1000}}})
	for i, order := range []string{"20150806125399", "20150806125346"} {
		if i == 1 {
			server.AddFault(wechatpaytest.Fault{Path: "POST /v3/refund", Kind: wechatpaytest.FaultDrop})
		}
		_, err := client.Refunds.Create(context.Background(), &wechatpay.CreateRefundRequest{OutTradeNo: order, OutRefundNo: "R-77", Amount: wechatpay.CreateRefundAmount{Refund: 600, Total: 1000}})
		if i == 0 {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, "the number was used before")
	}
}

// A refund that shows late is waited for, and a refusal meanwhile is not its end.
func TestCreateRefundThatShowsLate(t *testing.T) {
	var posts, looks int
	client := retryClient(t, "http://127.0.0.1:1", func(cfg *wechatpay.Config) {
		cfg.InsecureSkipVerify = true
		cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
			status, body := 404, `{"code":"RESOURCE_NOT_EXISTS"}`
			if req.Method == http.MethodPost {
				if posts++; posts == 1 {
					return nil, errors.New("broke off") // it took effect
				}
				status, body = 400, `{"code":"INVALID_REQUEST"}`
			} else if looks++; looks > 3 {
				status, body = 200, `{"out_refund_no":"refund-1","status":"PROCESSING"}`
			}
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: req}, nil
		})
	})
	refund, err := client.Refunds.Create(context.Background(), &wechatpay.CreateRefundRequest{TransactionID: testOrder, OutRefundNo: "refund-1", Amount: wechatpay.CreateRefundAmount{Refund: 1, Total: 1}})
	require.NoError(t, err)
	require.Equal(t, wechatpay.RefundStatusProcessing, refund.Status)
	require.Equal(t, 2, posts)
	require.Equal(t, 4, looks)
}

// A success that says nothing of a refund is looked up.
func TestCreateRefundWithoutAStatus(t *testing.T) {
	for _, body := range []string{`{}`, `null`} {
		client, _ := newMock(t, reply(t, 200, body))
		_, err := client.Refunds.Create(context.Background(), &wechatpay.CreateRefundRequest{TransactionID: testOrder, OutRefundNo: "refund-1", Amount: wechatpay.CreateRefundAmount{Refund: 1, Total: 1}})
		require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
		require.ErrorContains(t, err, "is incomplete")
	}
}
