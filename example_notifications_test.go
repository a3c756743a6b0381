package wechatpay_test

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// This example sets the notification URL when a program starts, if it is
// missing or different.
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
	var apiErr *wechatpay.APIError
	switch {
	case errors.As(err, &apiErr) && apiErr.Code == wechatpay.ErrorCodeResourceNotExists:
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
	var apiErr *wechatpay.APIError
	fmt.Println(errors.As(err, &apiErr) && apiErr.Code == wechatpay.ErrorCodeResourceNotExists)
	// Output: true
}

// This example handles notifications. An event is handled once, even if WeChat
// Pay delivers it again.
func ExampleClient_NotificationHandler() {
	const complaintID = "200201820200101080076610000"
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID, ComplaintDetail: "商品未收到"})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	handle := func(ctx context.Context, n *wechatpay.Notification) error {
		if n.EventType != wechatpay.EventComplaintCreate {
			return nil // of no interest: acknowledge it
		}
		complaint, err := client.ComplaintsV2.Get(ctx, n.ComplaintID)
		if err != nil {
			return err // WeChat Pay delivers it again
		}
		fmt.Println(n.ActionType, complaint.ComplaintDetail)
		return nil
	}
	store := wechatpay.NewMemoryStore() // for several processes, use redisstore or sqlstore
	shop := httptest.NewServer(client.NotificationHandler(wechatpay.Once(store, handle)))
	defer shop.Close()

	for range 2 {
		resp, err := server.Notify(context.Background(), shop.URL, wechatpaytest.Notification{
			ID:          "EV-2018022511223320873",
			EventType:   "COMPLAINT.CREATE",
			ActionType:  "CREATE_COMPLAINT",
			ComplaintID: complaintID,
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

// In this example, the handler fails once. It is called again for the next
// delivery of the event, and not after it has succeeded.
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

	for range 3 { // NotificationHandler calls it for each delivery
		fmt.Println(handle(context.Background(), &wechatpay.Notification{ID: "EV-2018022511223320873"}))
	}
	// Output:
	// the database is busy
	// handled EV-2018022511223320873
	// <nil>
	// <nil>
}

// This example responds to WeChat Pay itself, instead of using
// NotificationHandler.
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
			status := http.StatusInternalServerError // such as a missing Config.APIv3Key
			var verificationErr *wechatpay.VerificationError
			var notificationErr *wechatpay.NotificationError
			switch {
			case errors.As(err, &verificationErr):
				status = http.StatusUnauthorized
			case errors.As(err, &notificationErr):
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
			EventType:   "COMPLAINT.STATE_CHANGE",
			ActionType:  "USER_RESPONSE",
			ComplaintID: "200201820200101080076610000",
			Fault:       fault,
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

// This example handles the notification of a refund's result.
func ExampleNotification_Refund() {
	const complaintID = "200201820200101080076610000"
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID})
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

	created, err := client.ComplaintsV2.Refund(ctx, complaintID, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := server.SettleRefund(created.OutRefundNo, "SUCCESS"); err != nil {
		log.Fatal(err)
	}
	_, err = server.Notify(ctx, shop.URL, wechatpaytest.Notification{
		EventType:   "REFUND.SUCCESS",
		OutRefundNo: created.OutRefundNo,
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: REFUND.SUCCESS SUCCESS 100
}

// This example verifies the signature of a notification.
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
			EventType:   "COMPLAINT.CREATE",
			ActionType:  "CREATE_COMPLAINT",
			ComplaintID: "200201820200101080076610000",
			Fault:       fault,
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
