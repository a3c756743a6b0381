package wechatpay_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

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
