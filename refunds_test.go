package wechatpay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

const refundJSON = `{"refund_id":"50000000382019052709732678859",` +
	`"out_refund_no":"1217752501201407033233368018","transaction_id":"1217752501201407033233368018",` +
	`"out_trade_no":"20150806125346","channel":"ORIGINAL","user_received_account":"招商银行信用卡0403",` +
	`"success_time":"2026-01-02T03:04:05+08:00","create_time":"2026-01-02T03:00:00.5+08:00",` +
	`"status":"SUCCESS","funds_account":"UNSETTLED",` +
	`"amount":{"total":100,"refund":90,"from":[{"account":"AVAILABLE","amount":90}],` +
	`"payer_total":80,"payer_refund":70,"settlement_refund":60,"settlement_total":50,"discount_refund":10,` +
	`"currency":"CNY","refund_fee":1},` +
	`"promotion_detail":[{"promotion_id":"109519","scope":"SINGLE","type":"DISCOUNT","amount":5,"refund_amount":4,` +
	`"goods_detail":[{"merchant_goods_id":"1","wechatpay_goods_id":"2","goods_name":"手机","unit_price":3,` +
	`"refund_amount":2,"refund_quantity":1}]}]}`

// withNumber returns refundJSON with another refund number.
func withNumber(outRefundNo string) string {
	return strings.Replace(refundJSON, `"out_refund_no":"1217752501201407033233368018"`, `"out_refund_no":"`+outRefundNo+`"`, 1)
}

func wantNumber(outRefundNo string) *wechatpay.Refund {
	refund := wantRefund()
	refund.OutRefundNo = outRefundNo
	return refund
}

func wantRefund() *wechatpay.Refund {
	zone := time.FixedZone("", 8*3600)
	return &wechatpay.Refund{
		RefundID:            "50000000382019052709732678859",
		OutRefundNo:         "1217752501201407033233368018",
		TransactionID:       "1217752501201407033233368018",
		OutTradeNo:          "20150806125346",
		Channel:             wechatpay.RefundChannelOriginal,
		UserReceivedAccount: "招商银行信用卡0403",
		SuccessTime:         time.Date(2026, 1, 2, 3, 4, 5, 0, zone),
		CreateTime:          time.Date(2026, 1, 2, 3, 0, 0, 5e8, zone),
		Status:              wechatpay.RefundStatusSuccess,
		FundsAccount:        wechatpay.FundsAccountUnsettled,
		Amount: wechatpay.RefundAmount{
			Total:            100,
			Refund:           90,
			From:             []wechatpay.RefundFrom{{Account: wechatpay.FundsAccountAvailable, Amount: 90}},
			PayerTotal:       80,
			PayerRefund:      70,
			SettlementRefund: 60,
			SettlementTotal:  50,
			DiscountRefund:   10,
			Currency:         "CNY",
			RefundFee:        1,
		},
		PromotionDetail: []wechatpay.RefundPromotionDetail{{
			PromotionID:  "109519",
			Scope:        "SINGLE",
			Type:         "DISCOUNT",
			Amount:       5,
			RefundAmount: 4,
			GoodsDetail: []wechatpay.RefundGoodsDetail{{
				MerchantGoodsID:  "1",
				WechatpayGoodsID: "2",
				GoodsName:        "手机",
				UnitPrice:        3,
				RefundAmount:     2,
				RefundQuantity:   1,
			}},
		}},
	}
}

// otherEndpoints are the endpoints outside of the complaint API.
var otherEndpoints = []struct {
	name              string
	call              func(context.Context, *wechatpay.Client) (any, error)
	method, uri, body string // of the request
	response          string
	want              any
	errors            []wechatpay.APIError // in addition to the common ones
}{
	{
		name: "Refunds.Create",
		call: func(ctx context.Context, c *wechatpay.Client) (any, error) {
			return c.Refunds.Create(ctx, &wechatpay.CreateRefundRequest{
				TransactionID: "1217752501201407033233368018",
				OutRefundNo:   "1217752501201407033233368018",
				Amount:        wechatpay.CreateRefundAmount{Refund: 90, Total: 100},
			})
		},
		method: http.MethodPost,
		uri:    "/v3/refund/domestic/refunds",
		body: `{"transaction_id":"1217752501201407033233368018","out_refund_no":"1217752501201407033233368018",` +
			`"amount":{"refund":90,"total":100,"currency":"CNY"}}`,
		response: refundJSON,
		want:     wantRefund(),
		errors: []wechatpay.APIError{
			{StatusCode: 400, Code: wechatpay.ErrorCodeInvalidRequest},
			{StatusCode: 403, Code: wechatpay.ErrorCodeNotEnough},
			{StatusCode: 403, Code: wechatpay.ErrorCodeUserAccountAbnormal},
			{StatusCode: 404, Code: wechatpay.ErrorCodeMchNotExists},
			{StatusCode: 404, Code: wechatpay.ErrorCodeResourceNotExists},
		},
	},
	{
		name: "Refunds.Create with all fields",
		call: func(ctx context.Context, c *wechatpay.Client) (any, error) {
			return c.Refunds.Create(ctx, &wechatpay.CreateRefundRequest{
				SubMchID:     "1900000109",
				OutTradeNo:   "20150806125346",
				OutRefundNo:  "Aa0_-|*@",
				Reason:       "商品已售完",
				NotifyURL:    "https://www.example.com/refund",
				FundsAccount: wechatpay.FundsAccountAvailable,
				Amount: wechatpay.CreateRefundAmount{
					Refund:   90,
					Total:    100,
					Currency: "CNY",
					From: []wechatpay.RefundFrom{
						{Account: wechatpay.FundsAccountAvailable, Amount: 40},
						{Account: wechatpay.FundsAccountUnavailable, Amount: 50},
					},
				},
				GoodsDetail: []wechatpay.RefundGoodsDetail{{
					MerchantGoodsID:  "1",
					WechatpayGoodsID: "2",
					GoodsName:        "手机",
					UnitPrice:        3,
					RefundAmount:     2,
					RefundQuantity:   1,
				}},
			})
		},
		method: http.MethodPost,
		uri:    "/v3/refund/domestic/refunds",
		body: `{"sub_mchid":"1900000109","out_trade_no":"20150806125346","out_refund_no":"Aa0_-|*@",` +
			`"reason":"商品已售完","notify_url":"https://www.example.com/refund","funds_account":"AVAILABLE",` +
			`"amount":{"refund":90,"total":100,"currency":"CNY",` +
			`"from":[{"account":"AVAILABLE","amount":40},{"account":"UNAVAILABLE","amount":50}]},` +
			`"goods_detail":[{"merchant_goods_id":"1","wechatpay_goods_id":"2","goods_name":"手机","unit_price":3,` +
			`"refund_amount":2,"refund_quantity":1}]}`,
		response: withNumber("Aa0_-|*@"),
		want:     wantNumber("Aa0_-|*@"),
	},
	{
		name: "Refunds.Get",
		call: func(ctx context.Context, c *wechatpay.Client) (any, error) {
			return c.Refunds.Get(ctx, &wechatpay.GetRefundRequest{OutRefundNo: "Aa0_-|*@", SubMchID: "1900000109"})
		},
		method:   http.MethodGet,
		uri:      "/v3/refund/domestic/refunds/Aa0_-%7C%2A%40?sub_mchid=1900000109",
		response: withNumber("Aa0_-|*@"),
		want:     wantNumber("Aa0_-|*@"),
		errors:   []wechatpay.APIError{{StatusCode: 404, Code: wechatpay.ErrorCodeResourceNotExists}},
	},
	{
		name: "Echo",
		call: func(ctx context.Context, c *wechatpay.Client) (any, error) {
			return c.Echo(ctx, &wechatpay.EchoRequest{
				EchoMessage: "你好",
				NotifyURL:   "https://www.example.com/echo",
			})
		},
		method:   http.MethodPost,
		uri:      "/v3/security/echo",
		body:     `{"echo_message":"你好","notify_url":"https://www.example.com/echo"}`,
		response: `{"echo_message":"你好"}`,
		want:     &wechatpay.EchoResponse{EchoMessage: "你好"},
		errors:   []wechatpay.APIError{{StatusCode: 404, Code: wechatpay.ErrorCodeResourceNotExists}},
	},
}

func TestClient_otherEndpoints_requests(t *testing.T) {
	for _, tt := range otherEndpoints {
		t.Run(tt.name, func(t *testing.T) {
			calls := 0
			client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
				calls++
				requireRequest(t, r, tt.method, tt.uri, tt.body)
				reply(t, 200, tt.response)(w, r)
			})
			got, err := tt.call(context.Background(), client)
			require.NoError(t, err)
			require.Equal(t, 1, calls)
			requireSameJSON(t, tt.want, got)
		})
	}
}

func TestRefund_JSON(t *testing.T) {
	var refund wechatpay.Refund
	require.NoError(t, json.Unmarshal([]byte(refundJSON), &refund))
	encoded, err := json.Marshal(refund)
	require.NoError(t, err)
	require.JSONEq(t, refundJSON, string(encoded))

	for _, odd := range []string{
		`{"success_time":"","create_time":null,"status":"NEW","amount":null}`,
		`{"success_time":null,"create_time":"","status":"NEW"}`,
	} {
		var refund wechatpay.Refund
		require.NoError(t, json.Unmarshal([]byte(odd), &refund))
		require.Equal(t, wechatpay.Refund{Status: "NEW"}, refund)
	}
}

func TestClient_otherEndpoints_errorResponses(t *testing.T) {
	common := []wechatpay.APIError{
		{StatusCode: 400, Code: wechatpay.ErrorCodeParamError},
		{StatusCode: 401, Code: wechatpay.ErrorCodeSignError},
		{StatusCode: 403, Code: wechatpay.ErrorCodeNoAuth},
		{StatusCode: 429, Code: wechatpay.ErrorCodeFrequencyLimited},
		{StatusCode: 500, Code: wechatpay.ErrorCodeSystemError},
	}
	for _, tt := range otherEndpoints {
		for _, want := range append(common, tt.errors...) {
			t.Run(tt.name+" "+string(want.Code), func(t *testing.T) {
				client, _ := newMock(t, reply(t, want.StatusCode, `{"code":"`+string(want.Code)+`"}`))
				_, err := tt.call(context.Background(), client)
				var got *wechatpay.APIError
				require.ErrorAs(t, err, &got)
				require.True(t, strings.HasPrefix(got.Host, "127.0.0.1:"), got.Host)
				want.Method, want.Host, want.RequestID = tt.method, got.Host, "08F7A1B2C30610-0"
				want.Path, _, _ = strings.Cut(tt.uri, "?")
				require.Equal(t, want, *got)

				creates := strings.HasPrefix(tt.name, "Refunds.Create")
				unknown := want.StatusCode == 500 && tt.method == http.MethodPost || want.StatusCode == 429 && creates
				require.Equal(t, unknown, errors.Is(err, wechatpay.ErrOutcomeUnknown))
				if unknown && creates {
					var unknownOutcome *wechatpay.OutcomeUnknownError
					require.ErrorAs(t, err, &unknownOutcome)
					require.NotEmpty(t, unknownOutcome.IdempotencyKey)
				}
				if tt.name == "Echo" && (want.StatusCode == 403 || want.StatusCode == 404) {
					require.ErrorContains(t, err, "says nothing about the keys")
				}
			})
		}
	}
}

// requireFaults checks the faults of an *ArgumentError: "field: problem".
func requireFaults(t *testing.T, err error, faults ...string) {
	t.Helper()
	var invalid *wechatpay.ArgumentError
	require.ErrorAs(t, err, &invalid)
	var got []string
	for _, fault := range invalid.Faults {
		got = append(got, fault.Field+": "+fault.Problem)
	}
	require.Equal(t, faults, got)
}

func TestRefunds_Create_invalidArguments(t *testing.T) {
	client, _ := newMock(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
	for _, req := range []*wechatpay.CreateRefundRequest{nil, {}} {
		_, err := client.Refunds.Create(context.Background(), req)
		requireFaults(t, err,
			"TransactionID: is required, or OutTradeNo",
			"OutRefundNo: is required",
			"Amount.Refund: must be 1 fen or more, got 0",
		)
	}
	_, err := client.Refunds.Create(context.Background(), &wechatpay.CreateRefundRequest{
		SubMchID:      strings.Repeat("1", 33),
		TransactionID: strings.Repeat("1", 33),
		OutTradeNo:    "12345",
		OutRefundNo:   strings.Repeat("1", 64) + "退",
		Reason:        strings.Repeat("退", 27) + "🙂",
		NotifyURL:     "ftp://x",
		FundsAccount:  wechatpay.FundsAccountBasic,
		Amount: wechatpay.CreateRefundAmount{
			Refund:   101,
			Total:    100,
			Currency: strings.Repeat("C", 17),
			From: []wechatpay.RefundFrom{
				{Account: wechatpay.FundsAccountBasic},
				{Account: wechatpay.FundsAccountAvailable, Amount: 1},
				{Account: wechatpay.FundsAccountAvailable, Amount: 1},
			},
		},
		GoodsDetail: []wechatpay.RefundGoodsDetail{{GoodsName: "🙂", UnitPrice: -1}},
	})
	requireFaults(t, err,
		"SubMchID: has 33 characters, at most 32 allowed",
		"OutTradeNo: is not allowed with TransactionID",
		"TransactionID: has 33 characters, at most 32 allowed",
		"OutTradeNo: has 5 characters, at least 6 required",
		"OutRefundNo: has 67 bytes, at most 64 allowed",
		"OutRefundNo: contains '退', only 0-9 A-Z a-z _ - | * @ allowed",
		"Reason: has 85 bytes, at most 80 allowed (a Chinese character takes 3)",
		"Reason: contains an emoji (U+1F642), which WeChat Pay does not accept",
		`NotifyURL: must be a URL, got "ftp://x"`,
		"NotifyURL: must have 8 to 256 characters, got 7",
		`FundsAccount: must be AVAILABLE or UNSETTLED, got "BASIC"`,
		"Amount.Refund: must be at most Amount.Total (100 fen), got 101",
		"Amount.Currency: has 17 characters, at most 16 allowed",
		`Amount.From[0].Account: must be AVAILABLE or UNAVAILABLE, got "BASIC"`,
		"Amount.From[0].Amount: must be 1 fen or more, got 0",
		`Amount.From[2].Account: repeats "AVAILABLE"`,
		"Amount.From: must add up to Amount.Refund (101 fen), got 2",
		"GoodsDetail[0].MerchantGoodsID: is required",
		"GoodsDetail[0].GoodsName: contains an emoji (U+1F642), which WeChat Pay does not accept",
		"GoodsDetail[0].UnitPrice: must be 0 fen or more, got -1",
	)
}

func TestRefunds_Get_invalidArguments(t *testing.T) {
	client, _ := newMock(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
	_, err := client.Refunds.Get(context.Background(), nil)
	requireFaults(t, err, "OutRefundNo: is required")
	_, err = client.Refunds.Get(context.Background(), &wechatpay.GetRefundRequest{
		OutRefundNo: "a/b",
		SubMchID:    strings.Repeat("1", 33),
	})
	requireFaults(t, err,
		"OutRefundNo: contains '/', only 0-9 A-Z a-z _ - | * @ allowed",
		"SubMchID: has 33 characters, at most 32 allowed",
	)
}

func TestComplaintsV2_Refund_invalidArguments(t *testing.T) {
	client, _ := newMock(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
	_, err := client.ComplaintsV2.Refund(context.Background(), "", &wechatpay.RefundComplaintRequest{
		TransactionID: strings.Repeat("1", 33),
		Amount:        -1,
		Reason:        strings.Repeat("r", 81),
		NotifyURL:     "https://www.example.com/?a",
		SubMchID:      strings.Repeat("1", 33),
		OutRefundNo:   "a b",
		Attempt:       51,
	})
	requireFaults(t, err,
		"complaintID: is required",
		"TransactionID: has 33 characters, at most 32 allowed",
		"Amount: must be 0 fen or more, got -1",
		"Reason: has 81 bytes, at most 80 allowed (a Chinese character takes 3)",
		"NotifyURL: must have no query and no fragment",
		"SubMchID: has 33 characters, at most 32 allowed",
		"OutRefundNo: contains ' ', only 0-9 A-Z a-z _ - | * @ allowed",
		"Attempt: is not allowed with OutRefundNo, got 51",
		"Attempt: must be 0 to 50, got 51",
	)
}

func TestClient_Echo_invalidArguments(t *testing.T) {
	client, _ := newMock(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
	_, err := client.Echo(context.Background(), nil)
	requireFaults(t, err, "EchoMessage: is required")
	_, err = client.Echo(context.Background(), &wechatpay.EchoRequest{
		NotifyURL:            "http://www.example.com/?a",
		EncryptedEchoMessage: strings.Repeat("a", 215),
	})
	requireFaults(t, err,
		"EchoMessage: is required",
		`NotifyURL: must be an https URL, got "http://www.example.com/?a"`,
		"NotifyURL: must have no query and no fragment",
		"EncryptedEchoMessage: has 215 bytes, at most 214 allowed",
	)
}

func TestClient_Echo_encrypted(t *testing.T) {
	req := &wechatpay.EchoRequest{EchoMessage: "你好", EncryptedEchoMessage: "秘密"}
	t.Run("both ways", func(t *testing.T) {
		_, client := newFake(t)
		resp, err := client.Echo(context.Background(), req)
		require.NoError(t, err)
		require.Equal(t, &wechatpay.EchoResponse{EchoMessage: "你好", EncryptedEchoMessage: "秘密"}, resp)
	})
	t.Run("without WeChat Pay's key", func(t *testing.T) {
		cfg := testConfig(t, "http://127.0.0.1:1")
		cfg.InsecureSkipVerify, cfg.PublicKey, cfg.PublicKeyID = true, nil, ""
		client, err := wechatpay.NewClient(cfg)
		require.NoError(t, err)
		_, err = client.Echo(context.Background(), req)
		require.ErrorContains(t, err, "needs a key to encrypt it: set PublicKey and PublicKeyID")
	})
	t.Run("response for another key", func(t *testing.T) {
		client, _ := newMock(t, reply(t, 200, `{"echo_message":"a","encrypted_echo_message":"AAAA"}`))
		_, err := client.Echo(context.Background(), &wechatpay.EchoRequest{EchoMessage: "a"})
		require.ErrorContains(t, err, "not encrypted for merchant certificate ")
	})
}

// createRefund creates a refund of an order.
func createRefund(
	client *wechatpay.Client, order, outRefundNo string, refund, total int64,
) (*wechatpay.Refund, error) {
	return client.Refunds.Create(context.Background(), &wechatpay.CreateRefundRequest{
		TransactionID: order,
		OutRefundNo:   outRefundNo,
		Amount:        wechatpay.CreateRefundAmount{Refund: refund, Total: total},
	})
}

// A refund in doubt is looked up by its number before it is sent again.
func TestRefunds_Create_lookup(t *testing.T) {
	for _, tt := range []struct {
		fault       wechatpaytest.Fault
		posts, gets int
	}{
		{wechatpaytest.Fault{Kind: wechatpaytest.FaultLostResponse}, 1, 1},
		{wechatpaytest.Fault{Kind: wechatpaytest.FaultForged}, 1, 1},
		{wechatpaytest.Fault{Kind: wechatpaytest.FaultError500, TakesEffect: true}, 1, 1},
		{wechatpaytest.Fault{Kind: wechatpaytest.FaultBusy429, TakesEffect: true}, 1, 1},
		{wechatpaytest.Fault{Kind: wechatpaytest.FaultDrop}, 2, 2},
		{wechatpaytest.Fault{Kind: wechatpaytest.FaultError500}, 2, 2},
		{wechatpaytest.Fault{Kind: wechatpaytest.FaultBusy429, Delay: time.Millisecond}, 2, 2},
	} {
		t.Run(fmt.Sprintf("%s, applied: %v", tt.fault.Kind, tt.posts == 1), func(t *testing.T) {
			server, client := newFakeRefund(t)
			tt.fault.Path = postRefund
			server.AddFault(tt.fault)
			refund, err := createRefund(client, testOrder, "refund-1", 1, 1000)
			require.NoError(t, err)
			require.Equal(t, "refund-1", refund.OutRefundNo)
			require.Equal(t, wechatpay.RefundStatusProcessing, refund.Status)
			require.Len(t, server.Refunds(), 1)
			require.Equal(t, tt.posts, count(server, postRefund))
			require.Equal(t, tt.gets, count(server, getRefund))
		})
	}
}

func TestRefunds_Create_failedLookup(t *testing.T) {
	server, client := newFakeRefund(t)
	server.AddFault(wechatpaytest.Fault{Path: "/v3/refund", Kind: wechatpaytest.FaultError500, Times: 9})
	_, err := createRefund(client, testOrder, "refund-1", 1, 1000)
	var unknown *wechatpay.OutcomeUnknownError
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, "refund-1", unknown.IdempotencyKey)
	require.Equal(t, 1, count(server, postRefund))
}

// A 503 does not say that there is no refund, whatever its code: a gateway may have
// sent it.
func TestRefunds_Create_lookupUnavailable(t *testing.T) {
	server, client := newFakeRefund(t)
	server.AddFault(wechatpaytest.Fault{Path: postRefund, Kind: wechatpaytest.FaultLostResponse, Times: 1})
	server.Handle(refundPattern, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		server.Handle("POST /v3/refund/domestic/refunds", reply(t, 403, `{"code":"NOT_ENOUGH","message":"m"}`))
		reply(t, 503, `{"code":"RESOURCE_NOT_EXISTS","message":"no such route"}`)(w, nil)
	}))
	_, err := client.Refunds.Create(context.Background(), &wechatpay.CreateRefundRequest{
		TransactionID: testOrder,
		OutRefundNo:   "A1",
		Amount:        wechatpay.CreateRefundAmount{Refund: 1, Total: 1000},
	})
	require.Len(t, server.Refunds(), 1)
	require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
}

// A retry that is rejected is a definite error if the number is still unknown.
func TestRefunds_Create_rejectedRetry(t *testing.T) {
	var posts atomic.Int32
	_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost && posts.Add(1) == 1:
			respondUnsigned(500, `{}`)(w, r)
		case r.Method == http.MethodPost:
			reply(t, 400, `{"code":"INVALID_REQUEST"}`)(w, r)
		default:
			reply(t, 404, `{"code":"RESOURCE_NOT_EXISTS"}`)(w, r)
		}
	})
	_, err := createRefund(retryClient(t, server.URL), testOrder, "refund-1", 1, 1)
	var rejected *wechatpay.APIError
	require.ErrorAs(t, err, &rejected)
	require.Equal(t, wechatpay.ErrorCodeInvalidRequest, rejected.Code)
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
}

func TestRefunds_Create_signingOfRetryFails(t *testing.T) {
	server, client := newFake(t, failRetrySignature)
	server.AddFault(wechatpaytest.Fault{Path: postRefund, Kind: wechatpaytest.FaultDrop})
	_, err := createRefund(client, testOrder, "refund-1", 1, 1)
	var unknown *wechatpay.OutcomeUnknownError
	require.ErrorAs(t, err, &unknown)
	require.Equal(t, "refund-1", unknown.IdempotencyKey)
	require.ErrorContains(t, err, "the HSM is busy")
}

// The number belongs to a refund of another order.
func TestRefunds_Create_usedNumber(t *testing.T) {
	for _, kind := range []wechatpaytest.FaultKind{
		"",
		wechatpaytest.FaultError500,
		wechatpaytest.FaultBusy429,
		wechatpaytest.FaultDrop,
	} {
		t.Run("TransactionID "+string(kind), func(t *testing.T) {
			server, client := newFakeRefund(t)
			addOtherComplaint(server, 80)
			_, err := createRefund(client, testOtherOrder, "R-77", 50, 80)
			require.NoError(t, err)
			if kind != "" {
				server.AddFault(wechatpaytest.Fault{Path: postRefund, Kind: kind, Delay: time.Millisecond})
			}
			_, err = createRefund(client, testOrder, "R-77", 600, 1000)
			require.Error(t, err)
			require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			if kind != "" {
				require.ErrorContains(t, err,
					"the number was used before, for 50 fen of order "+testOtherOrder+": use another")
			}
			require.Len(t, server.Refunds(), 1)
		})
	}
	t.Run("OutTradeNo", func(t *testing.T) {
		server, client := newFakeRefund(t)
		addOtherComplaint(server, 1000)
		req := &wechatpay.CreateRefundRequest{
			OutTradeNo:  "20150806125399",
			OutRefundNo: "R-77",
			Amount:      wechatpay.CreateRefundAmount{Refund: 600, Total: 1000},
		}
		_, err := client.Refunds.Create(context.Background(), req)
		require.NoError(t, err)
		server.AddFault(wechatpaytest.Fault{Path: postRefund, Kind: wechatpaytest.FaultDrop})
		req.OutTradeNo = "20150806125346"
		_, err = client.Refunds.Create(context.Background(), req)
		require.ErrorContains(t, err, "the number was used before")
	})
}

// The refund is visible at the fourth lookup only. A rejection before that does
// not end the call.
func TestRefunds_Create_visibleLate(t *testing.T) {
	var posts, lookups int
	client := retryClient(t, "http://127.0.0.1:1", func(cfg *wechatpay.Config) {
		cfg.InsecureSkipVerify = true
		cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
			if req.Method == http.MethodPost {
				if posts++; posts == 1 {
					return nil, errLostConnection // it was applied
				}
				return fakeResponse(req, 400, `{"code":"INVALID_REQUEST"}`), nil
			}
			if lookups++; lookups > 3 {
				return fakeResponse(req, 200, `{"out_refund_no":"refund-1","status":"PROCESSING"}`), nil
			}
			return fakeResponse(req, 404, `{"code":"RESOURCE_NOT_EXISTS"}`), nil
		})
	})
	refund, err := createRefund(client, testOrder, "refund-1", 1, 1)
	require.NoError(t, err)
	require.Equal(t, wechatpay.RefundStatusProcessing, refund.Status)
	require.Equal(t, 2, posts)
	require.Equal(t, 4, lookups)
}

// A success without a refund is in doubt.
func TestRefunds_Create_incompleteResponse(t *testing.T) {
	for _, body := range []string{`{}`, `null`} {
		client, _ := newMock(t, reply(t, 200, body))
		_, err := createRefund(client, testOrder, "refund-1", 1, 1)
		require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
		requireMismatch(t, err, `out_refund_no is "", not "refund-1"`)
	}
}
