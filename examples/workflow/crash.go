package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// This file simulates WeChat Pay and the killed process.

const complaintID = "200201820200101080076610000"

func run(ctx context.Context, out io.Writer) error {
	server := newServer(complaintID)
	defer server.Close()
	images, err := os.MkdirTemp("", "images")
	if err != nil {
		return err
	}
	defer os.RemoveAll(images)

	fmt.Fprintln(out, "== First run: killed after sending the refund, before the response arrives")
	err = process(ctx, server, images, out, func(_ int, req *http.Request) killPoint {
		if req.Method == http.MethodPost && req.URL.Path == "/v3/refund/domestic/refunds" {
			return afterSending
		}
		return notKilled
	})
	var unknown *wechatpay.OutcomeUnknownError
	if !errors.As(err, &unknown) {
		return fmt.Errorf("the first run should end with an unknown outcome of the refund: %w", err)
	}
	fmt.Fprintf(out, "  killed; %s: unknown outcome\n", unknown.Op)

	fmt.Fprintln(out, "\n== Second run: starts without any state")
	if err := process(ctx, server, images, out, neverKilled); err != nil {
		return err
	}

	fmt.Fprintln(out, "\n== Third run: the refund has arrived")
	for _, refund := range server.Refunds() {
		if err := server.SettleRefund(refund.OutRefundNo, string(wechatpay.RefundStatusSuccess)); err != nil {
			return err
		}
	}
	if err := process(ctx, server, images, out, neverKilled); err != nil {
		return err
	}

	fmt.Fprintln(out, "\n== Records of WeChat Pay")
	for _, record := range server.History(complaintID) {
		fmt.Fprintln(out, " ", record.OperateType)
	}
	fmt.Fprintf(out, "  refunds: %d\n", len(server.Refunds()))
	return nil
}

// newServer starts a mock server with one complaint.
func newServer(id string) *wechatpaytest.Server {
	server := wechatpaytest.NewServer()
	server.AddComplaint(wechatpay.Complaint{
		ComplaintID:       id,
		ComplaintDetail:   "商品与描述不符，要求退款",
		ProblemType:       wechatpay.ProblemTypeRefund,
		ApplyRefundAmount: 1000,
		ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{{
			TransactionID: "4200000404201909069117582536",
			OutTradeNo:    "20190906154617947762231",
			Amount:        1500,
		}},
		ComplaintMediaList: []wechatpay.ComplaintMedia{{
			MediaType: wechatpay.MediaTypeUserComplaintImage,
			MediaURL:  []string{server.AddImage("", []byte("\x89PNG\r\n\x1a\n"))},
		}},
	})
	return server
}

// process runs the merchant's program until it finishes or is killed.
func process(ctx context.Context, server *wechatpaytest.Server, images string, out io.Writer, when killRule) error {
	ctx, kill := context.WithCancel(ctx)
	defer kill()
	base := wechatpay.NewTransport()
	defer base.CloseIdleConnections()
	cfg := server.Config()
	cfg.Transport = &killTransport{base: base, when: when, kill: kill}
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		return err
	}
	d := &desk{client: client, images: images, limit: 5000, out: out}
	return d.work(ctx)
}

// killPoint says when a request kills the process.
type killPoint int

const (
	notKilled killPoint = iota
	beforeSending
	afterSending // the response is lost
)

// killRule decides on request n, counted from 1.
type killRule func(n int, req *http.Request) killPoint

func neverKilled(int, *http.Request) killPoint { return notKilled }

// killTransport is an http.RoundTripper that kills the process.
type killTransport struct {
	base http.RoundTripper
	when killRule
	n    int                // requests so far
	kill context.CancelFunc // cancels everything else that the process does
}

func (t *killTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	t.n++
	point := t.when(t.n, req)
	if point == beforeSending {
		t.kill()
	}
	resp, err := t.base.RoundTrip(req)
	if point == afterSending && err == nil {
		t.kill()
		resp.Body.Close()
		return nil, context.Canceled
	}
	return resp, err
}
