package wechatpay_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// This example refunds an order without a complaint.
func ExampleRefundsService_Create() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{
		ComplaintID: "200201820200101080076610000",
		ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{{
			TransactionID: "4200000404201909069117582536",
			OutTradeNo:    "20190906154617947762231",
			Amount:        1000,
		}},
	})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	// Store OutRefundNo first: a retry with the same number cannot pay twice.
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

// This example queries a refund. Wait a minute after creating it.
func ExampleRefundsService_Get() {
	const complaintID = "200201820200101080076610000"
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	created, err := client.ComplaintsV2.Refund(ctx, complaintID, nil)
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
		fmt.Println("processing: query again in a minute")
	case wechatpay.RefundStatusAbnormal:
		fmt.Println("the bank rejected it: handle it in the merchant platform")
	case wechatpay.RefundStatusClosed:
		fmt.Println("failed permanently: create a refund with a new number")
	}
	// Output: arrived: true
}

// This example approves a refund and pays it. The second call to Refund returns
// the refund of the first.
func ExampleComplaintsV2Service_Refund() {
	const complaintID = "200201820200101080076610000"
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{
		ComplaintID:       complaintID,
		ApplyRefundAmount: 1000,
		ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{{
			TransactionID: "4200000404201909069117582536",
			OutTradeNo:    "20190906154617947762231",
			Amount:        1500,
		}},
	})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()

	if err := client.ComplaintsV2.UpdateRefundProgress(ctx, complaintID, wechatpay.ApproveRefund(0)); err != nil {
		log.Fatal(err)
	}
	for range 2 {
		refund, err := client.ComplaintsV2.Refund(ctx, complaintID, nil) // nil: the amount applied for
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

// In this example, WeChat Pay has refunded an overdue complaint by itself, so
// Refund sends nothing.
func ExampleRefundRefusedError() {
	const complaintID = "200201820200101080076610000"
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID})
	if err := server.PlatformRefunds(complaintID); err != nil {
		log.Fatal(err)
	}
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	_, err = client.ComplaintsV2.Refund(context.Background(), complaintID, nil)
	var refusedErr *wechatpay.RefundRefusedError
	if errors.As(err, &refusedErr) {
		fmt.Println(refusedErr.Reason)
	}
	fmt.Println(len(server.Refunds()), "refunds by the merchant")
	// Output:
	// FULLY_REFUNDED
	// 0 refunds by the merchant
}
