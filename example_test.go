package wechatpay_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// These examples run on wechatpaytest, a WeChat Pay in the same process. For
// the real one take the Config from ConfigFromEnv, or fill it in as in the
// example of NewClient.

// Read a complaint, decide on it, and tell the user.
func Example() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000", ApplyRefundAmount: 1000})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()

	complaint, err := client.ComplaintsV2.Get(ctx, "200201820200101080076610000")
	if err != nil {
		log.Fatal(err)
	}
	if complaint.ProblemType != wechatpay.ProblemTypeRefund {
		return
	}
	if err := client.ComplaintsV2.UpdateRefundProgress(ctx, complaint.ComplaintID, wechatpay.ApproveRefund(0)); err != nil {
		log.Fatal(err)
	}
	err = client.ComplaintsV2.Respond(ctx, complaint.ComplaintID, &wechatpay.RespondRequest{
		ResponseContent: "您好，退款将于今天发起。",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("approved %d fen\n", complaint.ApplyRefundAmount)
	// Output: approved 1000 fen
}

// What each kind of error means, in the order in which to ask.
func Example_errors() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610001"})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	decide := func(complaintID string) {
		err := client.ComplaintsV2.UpdateRefundProgress(ctx, complaintID, wechatpay.ApproveRefund(0))
		var argument *wechatpay.ArgumentError
		var refusal *wechatpay.APIError
		switch {
		case err == nil:
			fmt.Println("decided")
		case errors.Is(err, wechatpay.ErrOutcomeUnknown):
			fmt.Println("unknown: read the negotiation history before deciding again")
		case errors.As(err, &argument):
			fmt.Println("not sent:", argument.Faults[0].Field, argument.Faults[0].Problem)
		case errors.As(err, &refusal):
			fmt.Println("refused:", refusal.StatusCode, refusal.Code)
		default:
			fmt.Println("not done:", err)
		}
	}

	decide("200201820200101080076610000")
	decide("200201820200101080076610000") // the same again
	decide("")

	// From here on somebody else answers.
	server.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultForged, Probability: 1})
	decide("200201820200101080076610001")

	cancel()
	decide("200201820200101080076610001")
	// Output:
	// decided
	// refused: 400 INVALID_REQUEST
	// not sent: complaintID empty, 1 to 64 characters are required
	// unknown: read the negotiation history before deciding again
	// not done: wechatpay: ComplaintsV2.UpdateRefundProgress: context canceled
}

// The settings of a merchant, with the keys read from files.
func ExampleNewClient() {
	privateKeyPEM, err := os.ReadFile("testdata/merchant_key.pem") // apiclient_key.pem
	if err != nil {
		log.Fatal(err)
	}
	privateKey, err := wechatpay.ParsePrivateKey(privateKeyPEM)
	if err != nil {
		log.Fatal(err)
	}
	publicKeyPEM, err := os.ReadFile("testdata/platform_pub.pem") // pub_key.pem
	if err != nil {
		log.Fatal(err)
	}
	publicKey, err := wechatpay.ParsePublicKey(publicKeyPEM)
	if err != nil {
		log.Fatal(err)
	}

	client, err := wechatpay.NewClient(wechatpay.Config{
		MchID:       "1900000001",
		SerialNo:    "3775B6A45ACD588826D15E583A95F5DD01234567",
		PrivateKey:  privateKey,
		PublicKeyID: "PUB_KEY_ID_0119000000012026112400000000000001",
		PublicKey:   publicKey,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(client)
	// Output: wechatpay.Client{MchID:"1900000001" BaseURL:"https://api.mch.weixin.qq.com"}
}

// Wrong settings come back in one error, each with its remedy.
func ExampleNewClient_settings() {
	_, err := wechatpay.NewClient(wechatpay.Config{MchID: "1900000001", APIv3Key: "too short"})
	var argument *wechatpay.ArgumentError
	if errors.As(err, &argument) {
		for _, fault := range argument.Faults {
			fmt.Println(fault.Field)
		}
	}
	// Output:
	// PrivateKey
	// SerialNo
	// APIv3Key
	// PublicKey
}

func ExampleConfigFromEnv() {
	// The deployment sets these.
	for name, value := range map[string]string{
		"WECHATPAY_MCHID":            "1900000001",
		"WECHATPAY_SERIAL_NO":        "3775B6A45ACD588826D15E583A95F5DD01234567",
		"WECHATPAY_PRIVATE_KEY_FILE": "testdata/merchant_key.pem",
		"WECHATPAY_PUBLIC_KEY_ID":    "PUB_KEY_ID_0119000000012026112400000000000001",
		"WECHATPAY_PUBLIC_KEY_FILE":  "testdata/platform_pub.pem",
	} {
		os.Setenv(name, value)
		defer os.Unsetenv(name)
	}

	cfg, err := wechatpay.ConfigFromEnv()
	if err != nil {
		log.Fatal(err)
	}
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(client)
	// Output: wechatpay.Client{MchID:"1900000001" BaseURL:"https://api.mch.weixin.qq.com"}
}

// A plain mock signs nothing, so the client must not ask for signatures.
// NewClient allows that on loopback only.
func ExampleConfig_insecureSkipVerify() {
	mock := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Println(r.Method, r.URL.Path)
		fmt.Println(string(body))
		w.WriteHeader(http.StatusNoContent)
	}))
	defer mock.Close()

	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		log.Fatal(err)
	}
	client, err := wechatpay.NewClient(wechatpay.Config{
		MchID:              "1900000001",
		SerialNo:           "3775B6A45ACD588826D15E583A95F5DD01234567",
		PrivateKey:         key,
		BaseURL:            mock.URL,
		InsecureSkipVerify: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	err = client.ComplaintsV2.UpdateRefundProgress(context.Background(), "200201820200101080076610000", wechatpay.ApproveRefund(3))
	fmt.Println(err)
	// Output:
	// POST /v3/merchant-service/complaints-v2/200201820200101080076610000/update-refund-progress
	// {"action":"APPROVE","launch_refund_day":3}
	// <nil>
}

// Approve: the refund is promised for today, and no money has moved yet.
func ExampleComplaintsV2Service_UpdateRefundProgress() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	err = client.ComplaintsV2.UpdateRefundProgress(context.Background(), "200201820200101080076610000", wechatpay.ApproveRefund(0))
	if err != nil {
		log.Fatal(err)
	}

	for _, record := range server.History("200201820200101080076610000") {
		fmt.Println(record.OperateType)
	}
	// Output:
	// USER_CREATE_COMPLAINT
	// MERCHANT_APPROVE_REFUND
}

// Reject, with a picture that shows why. The complaint is finished by it.
func ExampleComplaintsV2Service_UpdateRefundProgress_reject() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()

	photo := strings.NewReader("\xff\xd8\xff…") // an *os.File, as a rule
	mediaID, err := client.ComplaintsV2.UploadImage(ctx, "signed-receipt.jpg", photo)
	if err != nil {
		log.Fatal(err)
	}
	err = client.ComplaintsV2.UpdateRefundProgress(ctx, "200201820200101080076610000",
		wechatpay.RejectRefund("商品已使用，不符合退款条件", mediaID))
	if err != nil {
		log.Fatal(err)
	}

	complaint, _ := server.Complaint("200201820200101080076610000")
	fmt.Println(complaint.ComplaintState)
	// Output: PROCESSED
}

// The answer is lost on the way. The Client finds the decision in the
// negotiation history, and does not send it again.
func ExampleComplaintsV2Service_UpdateRefundProgress_lostAnswer() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
	server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultLostResponse})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	// Time to look: half a minute or more.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err = client.ComplaintsV2.UpdateRefundProgress(ctx, "200201820200101080076610000", wechatpay.ApproveRefund(0))
	fmt.Println(err)
	for _, request := range server.Requests() {
		fmt.Println(request.Method, request.Path)
	}
	// Output:
	// <nil>
	// POST /v3/merchant-service/complaints-v2/200201820200101080076610000/update-refund-progress
	// GET /v3/merchant-service/complaints-v2/200201820200101080076610000/negotiation-historys?limit=100&offset=0
}

// One page of the complaints of two days in Beijing.
func ExampleComplaintsV2Service_List() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	beijing := time.FixedZone("UTC+8", 8*60*60)
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "A", ComplaintTime: time.Date(2026, 3, 4, 0, 30, 0, 0, beijing), ApplyRefundAmount: 1000})
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "B", ComplaintTime: time.Date(2026, 3, 5, 23, 30, 0, 0, beijing), ApplyRefundAmount: 250})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	list, err := client.ComplaintsV2.List(context.Background(), &wechatpay.ListComplaintsRequest{
		BeginDate: time.Date(2026, 3, 4, 0, 0, 0, 0, beijing),
		EndDate:   time.Date(2026, 3, 5, 0, 0, 0, 0, beijing),
		Limit:     20,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(list.TotalCount, "complaints")
	for _, complaint := range list.Data {
		fmt.Println(complaint.ComplaintID, complaint.ComplaintState, complaint.ApplyRefundAmount)
	}
	// Output:
	// 2 complaints
	// B PENDING 250
	// A PENDING 1000
}

// All complaints of a quarter that wait for an answer, page by page.
func ExampleComplaintsV2Service_All() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	beijing := time.FixedZone("UTC+8", 8*60*60)
	for month := time.January; month <= time.March; month++ {
		server.AddComplaint(wechatpay.Complaint{ComplaintID: month.String(), ComplaintTime: time.Date(2026, month, 15, 9, 0, 0, 0, beijing)})
	}
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	quarter := &wechatpay.ListComplaintsRequest{
		BeginDate: time.Date(2026, 1, 1, 0, 0, 0, 0, beijing),
		EndDate:   time.Date(2026, 3, 31, 0, 0, 0, 0, beijing),
	}
	for complaint, err := range client.ComplaintsV2.All(context.Background(), quarter) {
		if err != nil {
			log.Fatal(err)
		}
		if complaint.ComplaintState == wechatpay.ComplaintStatePending {
			fmt.Println(complaint.ComplaintID)
		}
	}
	// Output:
	// January
	// February
	// March
}

func ExampleComplaintsV2Service_Get() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{
		ComplaintID:       "200201820200101080076610000",
		ComplaintDetail:   "商品与描述不符，要求退款",
		ApplyRefundAmount: 1000,
		UserTagList:       []wechatpay.UserTag{wechatpay.UserTagTrusted},
	})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	complaint, err := client.ComplaintsV2.Get(context.Background(), "200201820200101080076610000")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(complaint.ProblemType, complaint.ApplyRefundAmount, "fen", complaint.UserTagList)
	fmt.Println(complaint.ComplaintDetail)
	// Output:
	// REFUND 1000 fen [TRUSTED]
	// 商品与描述不符，要求退款
}

// The user's phone number comes encrypted for the merchant API certificate.
func ExampleClient_Decrypt() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000", PayerPhone: "13900000000"})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	complaint, err := client.ComplaintsV2.Get(context.Background(), "200201820200101080076610000")
	if err != nil {
		log.Fatal(err)
	}
	if complaint.PayerPhone == "" {
		return // the user gave none
	}
	phone, err := client.Decrypt(complaint.PayerPhone)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(phone)
	// Output: 13900000000
}

// One page of the negotiation history; nil asks for the first.
func ExampleComplaintsV2Service_NegotiationHistory() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000", ComplaintDetail: "商品未收到"})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	history, err := client.ComplaintsV2.NegotiationHistory(context.Background(), "200201820200101080076610000", nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, record := range history.Data {
		fmt.Println(record.OperateType, record.OperateDetails)
	}
	// Output: USER_CREATE_COMPLAINT 商品未收到
}

// Count what the user wrote, in a history of any length.
func ExampleComplaintsV2Service_AllNegotiationHistory() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
	if err := server.UserReplies("200201820200101080076610000", "什么时候退款？"); err != nil {
		log.Fatal(err)
	}
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	messages := 0
	for record, err := range client.ComplaintsV2.AllNegotiationHistory(context.Background(), "200201820200101080076610000") {
		if err != nil {
			log.Fatal(err)
		}
		if record.OperateType == wechatpay.OperateTypeUserResponse {
			messages++
		}
	}
	fmt.Println(messages)
	// Output: 1
}

func ExampleComplaintsV2Service_Respond() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	err = client.ComplaintsV2.Respond(context.Background(), "200201820200101080076610000", &wechatpay.RespondRequest{
		ResponseContent: "您好，请提供订单照片，我们会尽快处理。",
	})
	if err != nil {
		log.Fatal(err)
	}

	complaint, _ := server.Complaint("200201820200101080076610000")
	fmt.Println(complaint.ComplaintState)
	// Output: PROCESSING
}

// A reply with text and buttons, to a complaint that needs a fast answer.
func ExampleComplaintsV2Service_RespondImmediateService() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000", NeedImmediateService: true})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	message := wechatpay.NewMessage(
		wechatpay.TextBlock("请选择处理方式："),
		wechatpay.ButtonGroupBlock(
			wechatpay.MessageButton{Text: "退款", Action: wechatpay.SendMessageAction("我要退款")},
			wechatpay.MessageButton{Text: "联系客服", Action: wechatpay.JumpURLAction("https://www.example.com/service")},
		),
	)
	message.SenderIdentity = wechatpay.SenderIdentityMachine
	resp, err := client.ComplaintsV2.RespondImmediateService(context.Background(), "200201820200101080076610000",
		&wechatpay.ImmediateServiceRequest{Message: message})
	if err != nil {
		log.Fatal(err)
	}

	records := server.History("200201820200101080076610000")
	fmt.Println(records[len(records)-1].LogID == resp.LogID)
	// Output: true
}

// Nothing is left to do for the user.
func ExampleComplaintsV2Service_Complete() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000", ProblemType: wechatpay.ProblemTypeOthers})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	// "" is Config.MchID. A service provider names its merchant here.
	if err := client.ComplaintsV2.Complete(context.Background(), "200201820200101080076610000", nil); err != nil {
		log.Fatal(err)
	}

	complaint, _ := server.Complaint("200201820200101080076610000")
	fmt.Println(complaint.ComplaintState)
	// Output: PROCESSED
}

func ExampleComplaintsV2Service_UploadImage() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()

	photo := strings.NewReader("\xff\xd8\xff…") // an *os.File, as a rule
	mediaID, err := client.ComplaintsV2.UploadImage(ctx, "parcel.jpg", photo)
	if err != nil {
		log.Fatal(err)
	}
	err = client.ComplaintsV2.Respond(ctx, "200201820200101080076610000", &wechatpay.RespondRequest{
		ResponseContent: "包裹已送达，请查看照片。",
		ResponseImages:  []string{mediaID},
	})
	fmt.Println(err)
	// Output: <nil>
}

// Save the pictures that a user attached.
func ExampleComplaintsV2Service_DownloadImage() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{
		ComplaintID: "200201820200101080076610000",
		ComplaintMediaList: []wechatpay.ComplaintMedia{{
			MediaType: wechatpay.MediaTypeUserComplaintImage,
			MediaURL:  []string{server.AddImage("", []byte("\xff\xd8\xff…"))},
		}},
	})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()

	save := func(mediaURL string, to io.Writer) error {
		image, err := client.ComplaintsV2.DownloadImage(ctx, mediaURL)
		if err != nil {
			return err
		}
		defer image.Close()
		n, err := io.Copy(to, image)
		fmt.Println(image.ContentType, n, "bytes")
		return err
	}

	complaint, err := client.ComplaintsV2.Get(ctx, "200201820200101080076610000")
	if err != nil {
		log.Fatal(err)
	}
	for _, media := range complaint.ComplaintMediaList {
		for _, mediaURL := range media.MediaURL {
			if err := save(mediaURL, io.Discard); err != nil {
				log.Fatal(err)
			}
		}
	}
	// Output: image/jpeg 6 bytes
}

// Make sure, at the start of a program, that notifications come to this URL.
func ExampleComplaintsV2Service_CreateNotificationURL() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	const url = "https://www.example.com/wechatpay/complaints"

	current, err := client.ComplaintsV2.NotificationURL(ctx)
	var refusal *wechatpay.APIError
	switch {
	case errors.As(err, &refusal) && refusal.Code == wechatpay.ErrorCodeResourceNotExists:
		current, err = client.ComplaintsV2.CreateNotificationURL(ctx, url)
	case err == nil && current.URL != url:
		current, err = client.ComplaintsV2.UpdateNotificationURL(ctx, url)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(current.URL)
	// Output: https://www.example.com/wechatpay/complaints
}

func ExampleComplaintsV2Service_DeleteNotificationURL() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.SetNotificationURL("https://www.example.com/wechatpay/complaints")
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()

	if err := client.ComplaintsV2.DeleteNotificationURL(ctx); err != nil {
		log.Fatal(err)
	}
	_, err = client.ComplaintsV2.NotificationURL(ctx)
	var refusal *wechatpay.APIError
	fmt.Println(errors.As(err, &refusal) && refusal.Code == wechatpay.ErrorCodeResourceNotExists)
	// Output: true
}

// Any other endpoint of the v3 API, signed and verified.
func ExampleClient_Do() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	var answer struct {
		Data []struct {
			SerialNo   string    `json:"serial_no"`
			ExpireTime time.Time `json:"expire_time"`
		} `json:"data"`
	}
	err = client.Do(context.Background(), http.MethodGet, "/v3/certificates", nil, &answer)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(answer.Data), "platform certificate")
	// Output: 1 platform certificate
}

// An http.Client that signs and verifies, for code that builds its own requests.
func ExampleClient_HTTPClient() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.SetNotificationURL("https://www.example.com/wechatpay/complaints")
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	req, err := http.NewRequest(http.MethodGet, server.URL+"/v3/merchant-service/complaint-notifications", nil)
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "my-shop/1.0")
	resp, err := client.HTTPClient().Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.StatusCode, string(body))
	// Output: 200 {"mchid":"1900000001","url":"https://www.example.com/wechatpay/complaints"}
}

// A refund of an order that no complaint is about.
func ExampleRefundsService_Create() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{
		ComplaintID:        "200201820200101080076610000",
		ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{{TransactionID: "4200000404201909069117582536", OutTradeNo: "20190906154617947762231", Amount: 1000}},
	})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	// Keep the number before it is sent: under one number WeChat Pay pays once.
	refund, err := client.Refunds.Create(context.Background(), &wechatpay.CreateRefundRequest{
		TransactionID: "4200000404201909069117582536",
		OutRefundNo:   "20190906154617947762231-r1",
		Reason:        "商品已售完",
		Amount:        wechatpay.CreateRefundAmount{Refund: 400, Total: 1000},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(refund.Status, refund.Amount.Refund)
	// Output: PROCESSING 400
}

// Has the money arrived? Ask from a minute after creation on.
func ExampleRefundsService_Get() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	created, err := client.ComplaintsV2.Refund(ctx, "200201820200101080076610000", nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := server.SettleRefund(created.OutRefundNo, "SUCCESS"); err != nil {
		log.Fatal(err)
	}

	refund, err := client.Refunds.Get(ctx, &wechatpay.GetRefundRequest{OutRefundNo: created.OutRefundNo})
	if err != nil {
		log.Fatal(err)
	}
	switch refund.Status {
	case wechatpay.RefundStatusSuccess:
		fmt.Println("arrived:", !refund.SuccessTime.IsZero())
	case wechatpay.RefundStatusProcessing:
		fmt.Println("on its way: ask again in a minute")
	case wechatpay.RefundStatusAbnormal:
		fmt.Println("the bank refused it: act in the merchant platform")
	case wechatpay.RefundStatusClosed:
		fmt.Println("failed for good: a new attempt needs a new number")
	}
	// Output: arrived: true
}

// Approve, and pay. The second call finds the refund of the first.
func ExampleComplaintsV2Service_Refund() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{
		ComplaintID:        "200201820200101080076610000",
		ApplyRefundAmount:  1000,
		ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{{TransactionID: "4200000404201909069117582536", OutTradeNo: "20190906154617947762231", Amount: 1500}},
	})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()

	if err := client.ComplaintsV2.UpdateRefundProgress(ctx, "200201820200101080076610000", wechatpay.ApproveRefund(0)); err != nil {
		log.Fatal(err)
	}
	for range 2 {
		refund, err := client.ComplaintsV2.Refund(ctx, "200201820200101080076610000", nil) // nil: what the complaint says
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(refund.OutRefundNo, refund.Amount.Refund, refund.Status)
	}
	fmt.Println(len(server.Refunds()), "refund")
	// Output:
	// crfab9daebfbfda1c2705b0b0faa06cb3aca6d8da3-1-1 1000 PROCESSING
	// crfab9daebfbfda1c2705b0b0faa06cb3aca6d8da3-1-1 1000 PROCESSING
	// 1 refund
}

// WeChat Pay refunded the overdue complaint by itself: nothing is sent that
// moves money.
func ExampleRefundRefusedError() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
	if err := server.PlatformRefunds("200201820200101080076610000"); err != nil {
		log.Fatal(err)
	}
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	_, err = client.ComplaintsV2.Refund(context.Background(), "200201820200101080076610000", nil)
	var refused *wechatpay.RefundRefusedError
	if errors.As(err, &refused) {
		fmt.Println(refused.Reason)
	}
	fmt.Println(len(server.Refunds()), "refunds of the merchant")
	// Output:
	// FULLY_REFUNDED
	// 0 refunds of the merchant
}

// Do the keys fit, in both directions, encryption included? It touches nothing.
func ExampleClient_Echo() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	answer, err := client.Echo(context.Background(), &wechatpay.EchoRequest{EchoMessage: "hello", EncryptedEchoMessage: "secret"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.EchoMessage, answer.EncryptedEchoMessage)
	// Output: hello secret
}

// Receive notifications. Each event is handled once, however often it comes.
func ExampleClient_NotificationHandler() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000", ComplaintDetail: "商品未收到"})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	handle := func(ctx context.Context, n *wechatpay.Notification) error {
		if n.EventType != wechatpay.EventComplaintCreate {
			return nil // not ours: it need not come again
		}
		complaint, err := client.ComplaintsV2.Get(ctx, n.ComplaintID)
		if err != nil {
			return err // it comes again
		}
		fmt.Println(n.ActionType, complaint.ComplaintDetail)
		return nil
	}
	store := wechatpay.NewMemoryStore() // one process; several share a store of redisstore or sqlstore
	shop := httptest.NewServer(client.NotificationHandler(wechatpay.Once(store, handle)))
	defer shop.Close()

	for range 2 {
		resp, err := server.Notify(context.Background(), shop.URL, wechatpaytest.Notification{
			ID: "EV-2018022511223320873", EventType: "COMPLAINT.CREATE", ActionType: "CREATE_COMPLAINT", ComplaintID: "200201820200101080076610000",
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(resp.Status)
	}
	// Output:
	// CREATE_COMPLAINT 商品未收到
	// 200 OK
	// 200 OK
}

// Work that failed is done when the event comes again, and then no more.
func ExampleOnce() {
	failures := 1
	handle := wechatpay.Once(wechatpay.NewMemoryStore(), func(ctx context.Context, n *wechatpay.Notification) error {
		if failures > 0 {
			failures--
			return errors.New("the database is busy")
		}
		fmt.Println("handled", n.ID)
		return nil
	})

	for range 3 { // NotificationHandler calls it for each copy that comes
		fmt.Println(handle(context.Background(), &wechatpay.Notification{ID: "EV-2018022511223320873"}))
	}
	// Output:
	// the database is busy
	// handled EV-2018022511223320873
	// <nil>
	// <nil>
}

// Answer WeChat Pay yourself, such as in a framework.
func ExampleClient_ParseNotification() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := client.ParseNotification(r)
		if err != nil {
			status := http.StatusInternalServerError // Config.APIv3Key is missing: it comes again
			var unproved *wechatpay.VerificationError
			var unreadable *wechatpay.NotificationError
			switch {
			case errors.As(err, &unproved):
				status = http.StatusUnauthorized
			case errors.As(err, &unreadable):
				status = http.StatusBadRequest
			}
			w.WriteHeader(status)
			fmt.Fprint(w, `{"code":"FAIL","message":"refused"}`)
			return
		}
		fmt.Println(n.EventType, n.ActionType, n.ComplaintID)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer shop.Close()

	for _, fault := range []wechatpaytest.FaultKind{"", wechatpaytest.FaultForged} {
		resp, err := server.Notify(context.Background(), shop.URL, wechatpaytest.Notification{
			EventType: "COMPLAINT.STATE_CHANGE", ActionType: "USER_RESPONSE", ComplaintID: "200201820200101080076610000", Fault: fault,
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(resp.Status)
	}
	// Output:
	// COMPLAINT.STATE_CHANGE USER_RESPONSE 200201820200101080076610000
	// 204 No Content
	// 401 Unauthorized
}

// What became of a refund.
func ExampleNotification_Refund() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()

	shop := httptest.NewServer(client.NotificationHandler(func(ctx context.Context, n *wechatpay.Notification) error {
		refund, err := n.Refund()
		if err != nil {
			return err
		}
		fmt.Println(n.EventType, refund.RefundStatus, refund.Amount.Refund)
		return nil
	}))
	defer shop.Close()

	created, err := client.ComplaintsV2.Refund(ctx, "200201820200101080076610000", nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := server.SettleRefund(created.OutRefundNo, "SUCCESS"); err != nil {
		log.Fatal(err)
	}
	if _, err := server.Notify(ctx, shop.URL, wechatpaytest.Notification{EventType: "REFUND.SUCCESS", OutRefundNo: created.OutRefundNo}); err != nil {
		log.Fatal(err)
	}
	// Output: REFUND.SUCCESS SUCCESS 100
}

// A merchant without a WeChat Pay public key. With the APIv3 key the Client
// downloads the platform certificates when it first needs one.
func ExampleNewClient_platformCertificates() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModeCertificate })
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
	merchant := server.Config()

	client, err := wechatpay.NewClient(wechatpay.Config{
		MchID:      merchant.MchID,
		SerialNo:   merchant.SerialNo,
		PrivateKey: merchant.PrivateKey,
		APIv3Key:   merchant.APIv3Key,
		BaseURL:    server.URL,
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	for range 2 {
		if _, err := client.ComplaintsV2.Get(ctx, "200201820200101080076610000"); err != nil {
			log.Fatal(err)
		}
	}
	for _, request := range server.Requests() {
		fmt.Println(request.Method, request.Path)
	}
	// Output:
	// GET /v3/certificates
	// GET /v3/merchant-service/complaints-v2/200201820200101080076610000
	// GET /v3/merchant-service/complaints-v2/200201820200101080076610000
}

// More connections than the default, through a proxy.
func ExampleNewTransport() {
	server := wechatpaytest.NewServer()
	defer server.Close()

	transport := wechatpay.NewTransport()
	transport.MaxConnsPerHost = 400
	transport.MaxIdleConnsPerHost = 400
	transport.Proxy = nil // or http.ProxyURL(…)

	cfg := server.Config()
	cfg.Transport = transport
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		log.Fatal(err)
	}
	list, err := client.ComplaintsV2.List(context.Background(), &wechatpay.ListComplaintsRequest{BeginDate: time.Now(), EndDate: time.Now()})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(list.Data), "complaints")
	// Output: 0 complaints
}

func ExampleSigner_Sign() {
	pem, err := os.ReadFile("testdata/merchant_key.pem") // apiclient_key.pem
	if err != nil {
		log.Fatal(err)
	}
	key, err := wechatpay.ParsePrivateKey(pem)
	if err != nil {
		log.Fatal(err)
	}
	signer, err := wechatpay.NewSigner("1900000001", "3775B6A45ACD588826D15E583A95F5DD01234567", key)
	if err != nil {
		log.Fatal(err)
	}
	signature, err := signer.Sign("GET\n/v3/certificates\n1700000000\nEqYtEtmd8XJ1Q2ZFVkAAM3pNSDWg5KYF\n\n")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(signature), "characters of base64")
	// Output: 344 characters of base64
}

// Signing and verifying in an http.Client of your own, without the rest.
func ExampleSigningTransport() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
	cfg := server.Config()

	signer, err := wechatpay.NewSigner(cfg.MchID, cfg.SerialNo, cfg.PrivateKey)
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{
		Transport: &wechatpay.SigningTransport{
			Signer: signer,
			Hosts:  []string{strings.TrimPrefix(server.URL, "http://")}, // leave it out for the real WeChat Pay
			Base: &wechatpay.VerifyingTransport{
				Verifier: &wechatpay.Verifier{Keys: map[string]*rsa.PublicKey{cfg.PublicKeyID: cfg.PublicKey}},
				Base:     wechatpay.NewTransport(),
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}

	req, err := http.NewRequest(http.MethodPost, server.URL+"/v3/merchant-service/complaints-v2/200201820200101080076610000/update-refund-progress",
		strings.NewReader(`{"action":"APPROVE","launch_refund_day":0}`))
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "my-shop/1.0")
	resp, err := client.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 204 No Content
}

// Prove that a notification is WeChat Pay's.
func ExampleVerifier_Verify() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	cfg := server.Config()

	verifier := &wechatpay.Verifier{Keys: map[string]*rsa.PublicKey{cfg.PublicKeyID: cfg.PublicKey}}
	shop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil || verifier.Verify(r.Context(), r.Header, body) != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer shop.Close()

	for _, fault := range []wechatpaytest.FaultKind{"", wechatpaytest.FaultForged} {
		resp, err := server.Notify(context.Background(), shop.URL, wechatpaytest.Notification{
			EventType: "COMPLAINT.CREATE", ComplaintID: "200201820200101080076610000", ActionType: "CREATE_COMPLAINT", Fault: fault,
		})
		if err != nil {
			log.Fatal(err)
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
	}
	// Output:
	// 204 No Content
	// 401 Unauthorized
}

func ExampleArgumentError() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	err = client.ComplaintsV2.UpdateRefundProgress(context.Background(), "200201820200101080076610000",
		wechatpay.RejectRefund(strings.Repeat("不", 201)+"😀"))
	var argument *wechatpay.ArgumentError
	if errors.As(err, &argument) {
		for _, fault := range argument.Faults {
			fmt.Println(fault.Field+":", fault.Problem)
		}
	}
	// Output:
	// RejectReason: 202 characters, at most 200 are allowed
	// RejectReason: holds '😀' (U+1F600), and WeChat Pay takes no character beyond U+FFFF (emoji)
}

// A refusal of WeChat Pay's. Branch on the code, and log the error: it has the
// request id, which their support asks for.
func ExampleAPIError() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	_, err = client.ComplaintsV2.Get(context.Background(), "no-such-complaint")
	var refusal *wechatpay.APIError
	if errors.As(err, &refusal) {
		fmt.Println(refusal.StatusCode, refusal.Code)
		fmt.Println(refusal.Method, refusal.Path)
		fmt.Println(refusal.RequestID != "")
	}
	// Output:
	// 404 RESOURCE_NOT_EXISTS
	// GET /v3/merchant-service/complaints-v2/no-such-complaint
	// true
}

// An answer that is not WeChat Pay's is never taken for one.
func ExampleVerificationError() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
	server.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultForged})
	cfg := server.Config()
	cfg.Retry.MaxAttempts = 1 // the next answer would be genuine
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		log.Fatal(err)
	}

	_, err = client.ComplaintsV2.Get(context.Background(), "200201820200101080076610000")
	var unproved *wechatpay.VerificationError
	if errors.As(err, &unproved) {
		fmt.Println(unproved.Reason)
	}
	// Output: SIGNATURE_MISMATCH
}

// The answer to an immediate-service reply got lost. Repeated with the key that
// the error carries, it is done once.
func ExampleOutcomeUnknownError() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000", NeedImmediateService: true})
	server.AddFault(wechatpaytest.Fault{Path: "response-immediate-service", Kind: wechatpaytest.FaultLostResponse})
	cfg := server.Config()
	cfg.Retry.MaxAttempts = 1 // the Client would repeat it by itself
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()

	req := &wechatpay.ImmediateServiceRequest{Message: wechatpay.NewMessage(wechatpay.TextBlock("正在为您处理"))}
	_, err = client.ComplaintsV2.RespondImmediateService(ctx, "200201820200101080076610000", req)
	var unknown *wechatpay.OutcomeUnknownError
	if errors.As(err, &unknown) {
		fmt.Println("unknown, so once more")
		req.IdempotentID = unknown.IdempotencyKey
		_, err = client.ComplaintsV2.RespondImmediateService(ctx, "200201820200101080076610000", req)
	}
	if err != nil {
		log.Fatal(err)
	}

	for _, record := range server.History("200201820200101080076610000") {
		fmt.Println(record.OperateType)
	}
	// Output:
	// unknown, so once more
	// USER_CREATE_COMPLAINT
	// MERCHANT_RESPONSE
}

// A job that runs at night may be more patient than a web request.
func ExampleRetryPolicy() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
	server.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultError503, Times: 2})
	cfg := server.Config()
	cfg.Retry = wechatpay.RetryPolicy{MaxAttempts: 10, MinDelay: 10 * time.Millisecond, MaxDelay: time.Minute}
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		log.Fatal(err)
	}

	complaint, err := client.ComplaintsV2.Get(context.Background(), "200201820200101080076610000")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(complaint.ComplaintState)
	for _, request := range server.Requests() {
		fmt.Println(request.Method, request.StatusCode)
	}
	// Output:
	// PENDING
	// GET 503
	// GET 503
	// GET 200
}
