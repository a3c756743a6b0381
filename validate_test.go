package wechatpay_test

import (
	"context"
	"crypto/rsa"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

type serviceCall = func(context.Context, *wechatpay.ComplaintsV2Service) error

// An invalidCall is a call that must return an *ArgumentError and send nothing.
type invalidCall struct {
	name   string
	op     string
	call   serviceCall
	faults []string // field: problem
}

func (tt invalidCall) test(t *testing.T) {
	client, _ := newMock(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
	err := tt.call(context.Background(), client.ComplaintsV2)
	var invalid *wechatpay.ArgumentError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, "ComplaintsV2."+tt.op, invalid.Op)
	var got []string
	for _, fault := range invalid.Faults {
		got = append(got, fault.Field+": "+fault.Problem)
	}
	require.Equal(t, tt.faults, got)
	want := "wechatpay: ComplaintsV2." + tt.op + ": invalid argument: " + strings.Join(tt.faults, "; ")
	require.EqualError(t, err, want)
}

func TestComplaintsV2_List_invalidArguments(t *testing.T) {
	list := func(req *wechatpay.ListComplaintsRequest) serviceCall {
		return func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			_, err := s.List(ctx, req)
			return err
		}
	}
	required := []string{"BeginDate: is required", "EndDate: is required"}
	for _, tt := range []invalidCall{
		{"nil request", "List", list(nil), required},
		{"empty request", "List", list(&wechatpay.ListComplaintsRequest{}), required},
		{"every field", "List", list(&wechatpay.ListComplaintsRequest{
			Limit:            51,
			Offset:           -1,
			ComplaintedMchID: strings.Repeat("1", 65),
		}), []string{
			"BeginDate: is required",
			"EndDate: is required",
			"ComplaintedMchID: has 65 characters, at most 64 allowed",
			"Limit: must be 1 to 50, got 51",
			"Offset: must be 0 or more, got -1",
		}},
		{"negative limit", "List", list(&wechatpay.ListComplaintsRequest{
			BeginDate: day(2026, 1, 1), EndDate: day(2026, 1, 1), Limit: -1,
		}), []string{"Limit: must be 1 to 50, got -1"}},
		{"EndDate before BeginDate", "List", list(&wechatpay.ListComplaintsRequest{
			BeginDate: day(2026, 1, 2), EndDate: day(2026, 1, 1),
		}), []string{"EndDate: must not be before BeginDate (2026-01-02), got 2026-01-01"}},
		{"year with five digits", "List", list(&wechatpay.ListComplaintsRequest{
			BeginDate: day(10000, 1, 1), EndDate: day(10000, 1, 2),
		}), []string{
			"BeginDate: must be in the years 1 to 9999, got 10000",
			"EndDate: must be in the years 1 to 9999, got 10000",
		}},
		{"range too long", "List", list(&wechatpay.ListComplaintsRequest{
			BeginDate: day(2026, 1, 1), EndDate: day(2026, 2, 1),
		}), []string{"EndDate: must be at most 30 days after BeginDate, got 31 (All accepts any range)"}},
	} {
		t.Run(tt.name, tt.test)
	}
}

func TestComplaintsV2_Respond_invalidArguments(t *testing.T) {
	respond := func(req *wechatpay.RespondRequest) serviceCall {
		return func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error { return s.Respond(ctx, "1", req) }
	}
	for _, tt := range []invalidCall{
		{"nil request", "Respond", respond(nil), []string{"ResponseContent: is required"}},
		{"every field", "Respond", respond(&wechatpay.RespondRequest{
			ComplaintedMchID:    strings.Repeat("1", 65),
			ResponseContent:     strings.Repeat("长", 501),
			ResponseImages:      []string{"1", "2", strings.Repeat("3", 513), "4", ""},
			JumpURL:             "http://www.example.com/",
			JumpURLText:         strings.Repeat("长", 11),
			MiniProgramJumpInfo: wechatpay.MiniProgramJumpInfo{AppID: "🙂"},
		}), []string{
			"ComplaintedMchID: has 65 characters, at most 64 allowed",
			"ResponseContent: has 501 characters, at most 500 allowed",
			"ResponseImages: has 5 entries, at most 4 allowed",
			"ResponseImages[2]: has 513 characters, at most 512 allowed",
			"ResponseImages[4]: is required",
			"JumpURLText: has 11 characters, at most 10 allowed",
			`JumpURL: must be an https URL, got "http://www.example.com/"`,
			"MiniProgramJumpInfo.Path: is required",
			"MiniProgramJumpInfo.Text: is required",
			"MiniProgramJumpInfo.AppID: contains an emoji (U+1F642), which WeChat Pay does not accept",
		}},
		{"JumpURL without JumpURLText", "Respond", respond(&wechatpay.RespondRequest{
			ResponseContent: "a", JumpURL: "https://" + strings.Repeat("a", 505),
		}), []string{
			"JumpURL: has 513 characters, at most 512 allowed",
			"JumpURLText: is required with JumpURL",
		}},
		{"JumpURLText without JumpURL", "Respond", respond(&wechatpay.RespondRequest{
			ResponseContent: "a", JumpURLText: "a",
		}), []string{"JumpURL: is required with JumpURLText"}},
		{"JumpURL without a host", "Respond", respond(&wechatpay.RespondRequest{
			ResponseContent: "a", JumpURL: "https://:443/a", JumpURLText: "a",
		}), []string{`JumpURL: must be an https URL, got "https://:443/a"`}},
		{"MiniProgramJumpInfo without AppID", "Respond", respond(&wechatpay.RespondRequest{
			ResponseContent:     "a",
			MiniProgramJumpInfo: wechatpay.MiniProgramJumpInfo{Path: "𠮷", Text: "\xff"},
		}), []string{
			"MiniProgramJumpInfo.AppID: is required",
			"MiniProgramJumpInfo.Path: contains a rare character (U+20BB7), which WeChat Pay does not accept",
			"MiniProgramJumpInfo.Text: is not valid UTF-8",
		}},
	} {
		t.Run(tt.name, tt.test)
	}
}

// Text that reaches the documented limits is sent.
func TestComplaintsV2_Respond_atTheLimits(t *testing.T) {
	client, _ := newMock(t, reply(t, 204, ""))
	id := strings.Repeat("1", 64)
	require.NoError(t, client.ComplaintsV2.Respond(context.Background(), id, &wechatpay.RespondRequest{
		ComplaintedMchID: id,
		ResponseContent:  strings.Repeat("长", 499) + "\uffff",
		ResponseImages:   []string{"1", "2", "3", strings.Repeat("4", 512)},
		JumpURL:          "https://" + strings.Repeat("a", 504),
		JumpURLText:      strings.Repeat("长", 10),
	}))
}

func TestComplaintsV2_RespondImmediateService_invalidArguments(t *testing.T) {
	respond := func(req *wechatpay.ImmediateServiceRequest) serviceCall {
		return func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			_, err := s.RespondImmediateService(ctx, "1", req)
			return err
		}
	}
	twoPayloads := wechatpay.TextBlock("a")
	twoPayloads.Image = &wechatpay.MessageImage{MediaID: "1"}
	for _, tt := range []invalidCall{
		{"nil request", "RespondImmediateService", respond(nil), []string{"Message.Blocks: is required"}},
		{"texts too long", "RespondImmediateService", respond(&wechatpay.ImmediateServiceRequest{
			IdempotentID: strings.Repeat("1", 129),
			Message:      wechatpay.Message{CustomData: strings.Repeat("1", 4097)},
		}), []string{
			"IdempotentID: has 129 characters, at most 128 allowed",
			"Message.Blocks: is required",
			"Message.CustomData: has 4097 characters, at most 4096 allowed",
		}},
		{"block types", "RespondImmediateService", respond(&wechatpay.ImmediateServiceRequest{
			Message: wechatpay.NewMessage(
				twoPayloads,
				wechatpay.MessageBlock{Type: wechatpay.MessageBlockTypeLink},
				wechatpay.MessageBlock{Type: "VIDEO"},
				wechatpay.MessageBlock{},
			),
		}), []string{
			"Message.Blocks[0].Image: is only allowed with type IMAGE",
			"Message.Blocks[1].Link: is required with type LINK",
			`Message.Blocks[2].Type: must be TEXT, IMAGE, LINK, FAQ_LIST, BUTTON or BUTTON_GROUP, got "VIDEO"`,
			"Message.Blocks[3].Type: is required",
		}},
	} {
		t.Run(tt.name, tt.test)
	}
}

// WeChat Pay does not accept an emoji in any text of a message.
func TestComplaintsV2_RespondImmediateService_emoji(t *testing.T) {
	message := wechatpay.NewMessage(
		wechatpay.TextBlock("a"),
		wechatpay.ImageBlock("1"),
		wechatpay.LinkBlock("a", "https://www.example.com/"),
		wechatpay.FAQListBlock(wechatpay.MessageFAQ{FAQID: "1", FAQTitle: "a"}),
		wechatpay.ButtonBlock("a", wechatpay.MessageAction{}),
		wechatpay.ButtonGroupBlock(wechatpay.MessageButton{Text: "a"}),
	)
	client, _ := newMock(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
	count := 0
	eachString("Message", reflect.ValueOf(&message).Elem(), func(field string, text reflect.Value) {
		if field == "Message.SenderIdentity" || strings.HasSuffix(field, "].Type") {
			return // not free text
		}
		count++
		old := text.String()
		text.SetString("🙂")
		defer text.SetString(old)
		_, err := client.ComplaintsV2.RespondImmediateService(context.Background(), "1",
			&wechatpay.ImmediateServiceRequest{Message: message})
		var invalid *wechatpay.ArgumentError
		require.ErrorAs(t, err, &invalid, field)
		require.Equal(t, []wechatpay.ArgumentFault{
			{Field: field, Problem: "contains an emoji (U+1F642), which WeChat Pay does not accept"},
		}, invalid.Faults)
	})
	require.Equal(t, 43, count)
}

// eachString calls f for every string in v.
func eachString(field string, v reflect.Value, f func(field string, text reflect.Value)) {
	switch v.Kind() {
	case reflect.String:
		f(field, v)
	case reflect.Pointer:
		if !v.IsNil() {
			eachString(field, v.Elem(), f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			eachString(fmt.Sprintf("%s[%d]", field, i), v.Index(i), f)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				eachString(field+"."+v.Type().Field(i).Name, v.Field(i), f)
			}
		}
	}
}

func TestComplaintsV2_invalidArguments(t *testing.T) {
	for _, tt := range []invalidCall{
		{"Get, empty id", "Get", func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			_, err := s.Get(ctx, "")
			return err
		}, []string{"complaintID: is required"}},
		{"NegotiationHistory", "NegotiationHistory", func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			req := &wechatpay.NegotiationHistoryRequest{Limit: 301, Offset: -1}
			_, err := s.NegotiationHistory(ctx, strings.Repeat("1", 65), req)
			return err
		}, []string{
			"complaintID: has 65 characters, at most 64 allowed",
			"Limit: must be 1 to 300, got 301",
			"Offset: must be 0 or more, got -1",
		}},
		{"Complete", "Complete", func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			return s.Complete(ctx, "..", &wechatpay.CompleteRequest{ComplaintedMchID: strings.Repeat("长", 65)})
		}, []string{
			`complaintID: must not be ".."`,
			"ComplaintedMchID: has 65 characters, at most 64 allowed",
		}},
		{"Get, dot", "Get", func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
			_, err := s.Get(ctx, ".")
			return err
		}, []string{`complaintID: must not be "."`}},
		{"CreateNotificationURL, empty", "CreateNotificationURL",
			func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
				_, err := s.CreateNotificationURL(ctx, "")
				return err
			}, []string{"url: is required"}},
		{"UpdateNotificationURL", "UpdateNotificationURL",
			func(ctx context.Context, s *wechatpay.ComplaintsV2Service) error {
				_, err := s.UpdateNotificationURL(ctx, "http://www.example.com/"+strings.Repeat("a", 231)+"?b")
				return err
			}, []string{
				"url: has 256 characters, at most 255 allowed",
				`url: must be an https URL, got "http://www.example.com/` + strings.Repeat("a", 77) + `"`,
				"url: must have no query and no fragment",
			}},
	} {
		t.Run(tt.name, tt.test)
	}
}

func TestComplaintsV2_NotificationURL_atTheLimit(t *testing.T) {
	longest := "https://" + strings.Repeat("a", 247)
	client, _ := newMock(t, reply(t, 200, `{"url":"`+longest+`"}`))
	_, err := client.ComplaintsV2.CreateNotificationURL(context.Background(), longest)
	require.NoError(t, err)
}

func TestComplaintsV2_List_lastYear(t *testing.T) {
	client, _ := newMock(t, reply(t, 200, `{"data":[],"limit":50,"offset":0}`))
	req := &wechatpay.ListComplaintsRequest{BeginDate: day(9999, 12, 31), EndDate: day(9999, 12, 31)}
	_, err := client.ComplaintsV2.List(context.Background(), req)
	require.NoError(t, err)
}

func TestComplaintsV2_UpdateRefundProgress_longestMediaID(t *testing.T) {
	client, _ := newMock(t, reply(t, 204, ""))
	req := wechatpay.RejectRefund("a", strings.Repeat("1", 512))
	require.NoError(t, client.ComplaintsV2.UpdateRefundProgress(context.Background(), "1", req))
}

func TestComplaintsV2_RespondImmediateService_atTheLimits(t *testing.T) {
	client, _ := newMock(t, reply(t, 200, `{"log_id":"1"}`))
	_, err := client.ComplaintsV2.RespondImmediateService(context.Background(), "1", &wechatpay.ImmediateServiceRequest{
		IdempotentID: strings.Repeat("1", 128),
		Message: wechatpay.Message{
			Blocks:     []wechatpay.MessageBlock{wechatpay.TextBlock("a")},
			CustomData: strings.Repeat("1", 4096),
		},
	})
	require.NoError(t, err)
}

func TestRefunds_Create_atTheLimits(t *testing.T) {
	base := wechatpay.CreateRefundRequest{
		TransactionID: "1",
		OutRefundNo:   "1",
		Amount:        wechatpay.CreateRefundAmount{Refund: 1, Total: 1},
	}
	type request = wechatpay.CreateRefundRequest
	for name, change := range map[string]func(*request){
		"SubMchID":             func(req *request) { req.SubMchID = strings.Repeat("1", 32) },
		"TransactionID":        func(req *request) { req.TransactionID = strings.Repeat("1", 32) },
		"longest OutTradeNo":   func(req *request) { req.TransactionID, req.OutTradeNo = "", strings.Repeat("1", 32) },
		"shortest OutTradeNo":  func(req *request) { req.TransactionID, req.OutTradeNo = "", "123456" },
		"longest OutRefundNo":  func(req *request) { req.OutRefundNo = strings.Repeat("1", 64) },
		"OutRefundNo alphabet": func(req *request) { req.OutRefundNo = "09azAZ_-|*@" },
		"Reason":               func(req *request) { req.Reason = strings.Repeat("退", 26) + "ab" },
		"longest NotifyURL":    func(req *request) { req.NotifyURL = "https://" + strings.Repeat("a", 248) },
		"shortest NotifyURL":   func(req *request) { req.NotifyURL = "http://a" },
		"Currency":             func(req *request) { req.Amount.Currency = strings.Repeat("C", 16) },
		"GoodsDetail": func(req *request) {
			req.GoodsDetail = []wechatpay.RefundGoodsDetail{{MerchantGoodsID: "1"}}
		},
		"From": func(req *request) {
			req.Amount.From = []wechatpay.RefundFrom{{Account: wechatpay.FundsAccountUnavailable, Amount: 1}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			req := base
			change(&req)
			client, _ := newMock(t, reply(t, 200, `{"out_refund_no":"`+req.OutRefundNo+`","status":"PROCESSING"}`))
			_, err := client.Refunds.Create(context.Background(), &req)
			require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			require.NoError(t, err)
		})
	}
}

func TestRefunds_Create_overTheLimits(t *testing.T) {
	base := wechatpay.CreateRefundRequest{
		TransactionID: "1",
		OutRefundNo:   "1",
		Amount:        wechatpay.CreateRefundAmount{Refund: 1, Total: 1},
	}
	goods := wechatpay.RefundGoodsDetail{MerchantGoodsID: "1"}
	type request = wechatpay.CreateRefundRequest
	for fault, change := range map[string]func(*request){
		"OutTradeNo: has 33 characters, at most 32 allowed": func(req *request) {
			req.TransactionID, req.OutTradeNo = "", strings.Repeat("1", 33)
		},
		"OutRefundNo: has 65 bytes, at most 64 allowed": func(req *request) {
			req.OutRefundNo = strings.Repeat("1", 65)
		},
		"Reason: has 81 bytes, at most 80 allowed (a Chinese character takes 3)": func(req *request) {
			req.Reason = strings.Repeat("退", 27)
		},
		"NotifyURL: must have 8 to 256 characters, got 257": func(req *request) {
			req.NotifyURL = "https://" + strings.Repeat("a", 249)
		},
		"NotifyURL: must have no query and no fragment": func(req *request) {
			req.NotifyURL = "https://www.example.com/?"
		},
		"GoodsDetail[0].UnitPrice: must be 0 fen or more, got -1": func(req *request) {
			goods := goods
			goods.UnitPrice = -1
			req.GoodsDetail = []wechatpay.RefundGoodsDetail{goods}
		},
		"GoodsDetail[0].RefundAmount: must be 0 fen or more, got -1": func(req *request) {
			goods := goods
			goods.RefundAmount = -1
			req.GoodsDetail = []wechatpay.RefundGoodsDetail{goods}
		},
		"GoodsDetail[0].RefundQuantity: must be 0 or more, got -1": func(req *request) {
			goods := goods
			goods.RefundQuantity = -1
			req.GoodsDetail = []wechatpay.RefundGoodsDetail{goods}
		},
	} {
		t.Run(fault, func(t *testing.T) {
			req := base
			change(&req)
			client, _ := newMock(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
			_, err := client.Refunds.Create(context.Background(), &req)
			require.EqualError(t, err, "wechatpay: Refunds.Create: invalid argument: "+fault)
		})
	}
}

func TestComplaintsV2_Refund_negativeNumbers(t *testing.T) {
	client, _ := newMock(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
	req := &wechatpay.RefundComplaintRequest{Attempt: -1, Round: -1}
	_, err := client.ComplaintsV2.Refund(context.Background(), "1", req)
	require.EqualError(t, err, "wechatpay: ComplaintsV2.Refund: invalid argument: "+
		"Attempt: must be 0 to 50, got -1; Round: must be 0 or more, got -1")
}

func TestNewSigner_limits(t *testing.T) {
	key := privateKey(t, "merchant_key.pem")
	long := strings.Repeat("1", 64)
	_, err := wechatpay.NewSigner(long, long, key)
	require.NoError(t, err)
	_, err = wechatpay.NewSigner(long+"1", long+"1", key)
	require.EqualError(t, err, "wechatpay: NewSigner: invalid argument: "+
		`MchID: is not a merchant number (usually 10 digits), got "11111111"… (65 characters); `+
		`SerialNo: must be hexadecimal digits without colons or "serial=", got "11111111"… (65 characters)`)
}

// An error shows at most 8 characters of a wrong setting, which may be a secret.
func TestNewSigner_quotesStart(t *testing.T) {
	for mchID, quoted := range map[string]string{
		"12 45678":  `"12 45678"`,
		"12 456789": `"12 45678"… (9 characters)`,
	} {
		_, err := wechatpay.NewSigner(mchID, testSerialNo, privateKey(t, "merchant_key.pem"))
		require.EqualError(t, err, "wechatpay: NewSigner: invalid argument: "+
			"MchID: is not a merchant number (usually 10 digits), got "+quoted)
	}
}

func TestNewClient_publicKeyExponent(t *testing.T) {
	cfg := testConfig(t, "http://127.0.0.1:1")
	cfg.PublicKey = &rsa.PublicKey{N: cfg.PublicKey.N, E: 2}
	_, err := wechatpay.NewClient(cfg)
	require.EqualError(t, err, "wechatpay: NewClient: invalid argument: PublicKey: is an empty or damaged RSA key")
	cfg.PublicKey = &rsa.PublicKey{N: cfg.PublicKey.N, E: 3}
	_, err = wechatpay.NewClient(cfg)
	require.NoError(t, err)
}

func TestRefunds_Create_accounts(t *testing.T) {
	client, _ := newMock(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
	_, err := client.Refunds.Create(context.Background(), &wechatpay.CreateRefundRequest{
		TransactionID: "1",
		OutRefundNo:   "1",
		Amount: wechatpay.CreateRefundAmount{
			Refund: 2,
			Total:  2,
			From:   []wechatpay.RefundFrom{{Amount: 1}, {Amount: 1}},
		},
	})
	require.EqualError(t, err, "wechatpay: Refunds.Create: invalid argument: "+
		"Amount.From[0].Account: is required; Amount.From[1].Account: is required")
}

func TestNewClient_normalizedBaseURL(t *testing.T) {
	for baseURL, want := range map[string]string{
		"https://API.mch.weixin.qq.com:443/": "https://api.mch.weixin.qq.com",
		"http://LOCALHOST:443":               "http://localhost:443",
	} {
		client, err := wechatpay.NewClient(testConfig(t, baseURL))
		require.NoError(t, err)
		require.Contains(t, fmt.Sprint(client), fmt.Sprintf("BaseURL:%q", want))
	}
}
