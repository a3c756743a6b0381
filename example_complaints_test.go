package wechatpay_test

import (
	"context"
	"fmt"
	"io"
	"log"
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
