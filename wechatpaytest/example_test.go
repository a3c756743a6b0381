package wechatpaytest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func Example() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})

	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	for range 2 {
		err = client.ComplaintsV2.UpdateRefundProgress(ctx, "200201820200101080076610000", wechatpay.ApproveRefund(0))
		var apiErr *wechatpay.APIError
		if errors.As(err, &apiErr) {
			fmt.Println(apiErr.StatusCode, apiErr.Code)
		}
	}
	for _, record := range server.History("200201820200101080076610000") {
		fmt.Println(record.OperateType)
	}
	for _, request := range server.Requests() {
		if request.Problem != "" {
			fmt.Println(request.Problem)
		}
	}
	// Output:
	// 400 INVALID_REQUEST
	// USER_CREATE_COMPLAINT
	// MERCHANT_APPROVE_REFUND
	// complaint 200201820200101080076610000 cannot be decided: the refund request is already decided
}

// A fixed clock, which clients from Config follow.
func ExampleServer_Configure() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.Configure(func(b *wechatpaytest.Behavior) {
		b.Time = func() time.Time { return time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC) }
		b.Seed = 1
	})
	server.Advance(90 * time.Minute)
	fmt.Println(server.Config().Time().Format(time.DateTime))
	// Output: 2026-03-04 13:30:00
}

func ExampleServer_Notify() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.Header.Get("Wechatpay-Signature-Type"))
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()
	resp, err := server.Notify(context.Background(), receiver.URL, wechatpaytest.Notification{
		EventType:   "COMPLAINT.CREATE",
		ComplaintID: "200201820200101080076610000",
		ActionType:  "CREATE_COMPLAINT",
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(resp.StatusCode)
	// Output:
	// POST WECHATPAY2-SHA256-RSA2048
	// 204
}
