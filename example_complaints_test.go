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

// The examples call wechatpaytest, a fake of WeChat Pay in the same process. For
// the real service, get the Config from ConfigFromEnv, or fill it in as in the
// example of NewClient.

// This example reads a complaint, approves its refund, and replies to the user.
func Example() {
	const complaintID = "200201820200101080076610000"
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID, ApplyRefundAmount: 1000})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()

	complaint, err := client.ComplaintsV2.Get(ctx, complaintID)
	if err != nil {
		log.Fatal(err)
	}
	if complaint.ProblemType != wechatpay.ProblemTypeRefund {
		return
	}
	err = client.ComplaintsV2.UpdateRefundProgress(ctx, complaint.ComplaintID, wechatpay.ApproveRefund(0))
	if err != nil {
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

// This example approves a refund for today. It moves no money: Refund does.
func ExampleComplaintsV2Service_UpdateRefundProgress() {
	const complaintID = "200201820200101080076610000"
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	err = client.ComplaintsV2.UpdateRefundProgress(context.Background(), complaintID, wechatpay.ApproveRefund(0))
	if err != nil {
		log.Fatal(err)
	}

	for _, record := range server.History(complaintID) {
		fmt.Println(record.OperateType)
	}
	// Output:
	// USER_CREATE_COMPLAINT
	// MERCHANT_APPROVE_REFUND
}

// This example rejects a refund, with an image as evidence. A rejection closes
// the complaint.
func ExampleComplaintsV2Service_UpdateRefundProgress_reject() {
	const complaintID = "200201820200101080076610000"
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()

	photo := strings.NewReader("\xff\xd8\xff…") // usually an *os.File
	mediaID, err := client.ComplaintsV2.UploadImage(ctx, "signed-receipt.jpg", photo)
	if err != nil {
		log.Fatal(err)
	}
	err = client.ComplaintsV2.UpdateRefundProgress(ctx, complaintID,
		wechatpay.RejectRefund("商品已使用，不符合退款条件", mediaID))
	if err != nil {
		log.Fatal(err)
	}

	complaint, _ := server.Complaint(complaintID)
	fmt.Println(complaint.ComplaintState)
	// Output: PROCESSED
}

// In this example, the response to a decision is lost. The Client finds the
// decision in the negotiation history, and does not retry.
func ExampleComplaintsV2Service_UpdateRefundProgress_lostResponse() {
	const complaintID = "200201820200101080076610000"
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID})
	server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultLostResponse})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	// Allow half a minute or more, so that there is time for the lookup.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err = client.ComplaintsV2.UpdateRefundProgress(ctx, complaintID, wechatpay.ApproveRefund(0))
	fmt.Println(err)
	for _, request := range server.Requests() {
		fmt.Println(request.Method, request.Path)
	}
	// Output:
	// <nil>
	// POST /v3/merchant-service/complaints-v2/200201820200101080076610000/update-refund-progress
	// GET /v3/merchant-service/complaints-v2/200201820200101080076610000/negotiation-historys?limit=100&offset=0
}

// This example resolves a complaint: it approves and pays the refund, and replies.
// When the refund has arrived, the complaint is resolved. Call it for each
// notification, and again after an error.
func ExampleComplaintsV2Service_Resolve() {
	const complaintID = "200201820200101080076610000"
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID, ApplyRefundAmount: 1000})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	for range 2 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		resolution, err := client.ComplaintsV2.Resolve(ctx, complaintID, &wechatpay.ResolveRequest{
			Decision: wechatpay.ApproveRefund(0),
			Reply:    "您好，退款已发起，请留意到账通知。",
			Round:    1, // Complaint.UserComplaintTimes, as decided on
		})
		cancel()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(resolution.Steps, resolution.Refund.Status, resolution.Next, resolution.Done)

		if err := server.SettleRefund(resolution.Refund.OutRefundNo, "SUCCESS"); err != nil {
			break // it has arrived
		}
	}
	// Output:
	// [DECIDE REFUND REPLY] PROCESSING REFUND_ARRIVAL false
	// [] SUCCESS  true
}

// This example lists one page of the complaints of two days, Beijing time.
func ExampleComplaintsV2Service_List() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	beijing := time.FixedZone("UTC+8", 8*60*60)
	server.AddComplaint(wechatpay.Complaint{
		ComplaintID:       "A",
		ComplaintTime:     time.Date(2026, 3, 4, 0, 30, 0, 0, beijing),
		ApplyRefundAmount: 1000,
	})
	server.AddComplaint(wechatpay.Complaint{
		ComplaintID:       "B",
		ComplaintTime:     time.Date(2026, 3, 5, 23, 30, 0, 0, beijing),
		ApplyRefundAmount: 250,
	})
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

// This example iterates over the complaints of a quarter, and prints those that
// are pending.
func ExampleComplaintsV2Service_All() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	beijing := time.FixedZone("UTC+8", 8*60*60)
	for month := time.January; month <= time.March; month++ {
		server.AddComplaint(wechatpay.Complaint{
			ComplaintID:   month.String(),
			ComplaintTime: time.Date(2026, month, 15, 9, 0, 0, 0, beijing),
		})
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
	const complaintID = "200201820200101080076610000"
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{
		ComplaintID:       complaintID,
		ComplaintDetail:   "商品与描述不符，要求退款",
		ApplyRefundAmount: 1000,
		UserTagList:       []wechatpay.UserTag{wechatpay.UserTagTrusted},
	})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	complaint, err := client.ComplaintsV2.Get(context.Background(), complaintID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(complaint.ProblemType, complaint.ApplyRefundAmount, "fen", complaint.UserTagList)
	fmt.Println(complaint.ComplaintDetail)
	// Output:
	// REFUND 1000 fen [TRUSTED]
	// 商品与描述不符，要求退款
}

// This example reads the first page of a negotiation history.
func ExampleComplaintsV2Service_NegotiationHistory() {
	const complaintID = "200201820200101080076610000"
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID, ComplaintDetail: "商品未收到"})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	history, err := client.ComplaintsV2.NegotiationHistory(context.Background(), complaintID, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, record := range history.Data {
		fmt.Println(record.OperateType, record.OperateDetails)
	}
	// Output: USER_CREATE_COMPLAINT 商品未收到
}

// This example counts the user's messages in a negotiation history of any
// length.
func ExampleComplaintsV2Service_AllNegotiationHistory() {
	const complaintID = "200201820200101080076610000"
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID})
	if err := server.UserReplies(complaintID, "什么时候退款？"); err != nil {
		log.Fatal(err)
	}
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	messages := 0
	for record, err := range client.ComplaintsV2.AllNegotiationHistory(context.Background(), complaintID) {
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
	const complaintID = "200201820200101080076610000"
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	err = client.ComplaintsV2.Respond(context.Background(), complaintID, &wechatpay.RespondRequest{
		ResponseContent: "您好，请提供订单照片，我们会尽快处理。",
	})
	if err != nil {
		log.Fatal(err)
	}

	complaint, _ := server.Complaint(complaintID)
	fmt.Println(complaint.ComplaintState)
	// Output: PROCESSING
}

// This example replies with text and buttons to a complaint that needs
// immediate service.
func ExampleComplaintsV2Service_RespondImmediateService() {
	const complaintID = "200201820200101080076610000"
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID, NeedImmediateService: true})
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
	resp, err := client.ComplaintsV2.RespondImmediateService(context.Background(), complaintID,
		&wechatpay.ImmediateServiceRequest{Message: message})
	if err != nil {
		log.Fatal(err)
	}

	records := server.History(complaintID)
	fmt.Println(records[len(records)-1].LogID == resp.LogID)
	// Output: true
}

// This example closes a complaint once the user's problem is solved.
func ExampleComplaintsV2Service_Complete() {
	const complaintID = "200201820200101080076610000"
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID, ProblemType: wechatpay.ProblemTypeOthers})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	// nil completes it for Config.MchID. A service provider sets
	// CompleteRequest.ComplaintedMchID.
	if err := client.ComplaintsV2.Complete(context.Background(), complaintID, nil); err != nil {
		log.Fatal(err)
	}

	complaint, _ := server.Complaint(complaintID)
	fmt.Println(complaint.ComplaintState)
	// Output: PROCESSED
}

func ExampleComplaintsV2Service_UploadImage() {
	const complaintID = "200201820200101080076610000"
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()

	photo := strings.NewReader("\xff\xd8\xff…") // usually an *os.File
	mediaID, err := client.ComplaintsV2.UploadImage(ctx, "parcel.jpg", photo)
	if err != nil {
		log.Fatal(err)
	}
	err = client.ComplaintsV2.Respond(ctx, complaintID, &wechatpay.RespondRequest{
		ResponseContent: "包裹已送达，请查看照片。",
		ResponseImages:  []string{mediaID},
	})
	fmt.Println(err)
	// Output: <nil>
}

// This example downloads the images that the user attached.
func ExampleComplaintsV2Service_DownloadImage() {
	const complaintID = "200201820200101080076610000"
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{
		ComplaintID: complaintID,
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

	complaint, err := client.ComplaintsV2.Get(ctx, complaintID)
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
