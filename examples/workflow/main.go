// Command workflow handles a complaint from its arrival to its end: images, phone
// number, reply, approval, refund. The process is killed in the middle of the
// refund, restarts, and finishes without refunding twice.
//
// It runs on an embedded mock server and needs no settings. The desk works the
// same with a Client created from wechatpay.ConfigFromEnv.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// A desk handles complaints that request a refund. It is stateless: it reads what
// was done from WeChat Pay. It is safe to kill it at any point and to restart it,
// also on another machine.
type desk struct {
	client   *wechatpay.Client
	pictures string    // the directory for the users' images
	limit    int64     // in fen; larger amounts need manual handling
	out      io.Writer // log of its steps
}

// work handles the complaints of the last 30 days as far as possible. Call it for
// each notification, and every few minutes, because notifications can be lost.
func (d *desk) work(ctx context.Context) error {
	now := time.Now()
	lately := &wechatpay.ListComplaintsRequest{BeginDate: now.AddDate(0, 0, -29), EndDate: now}
	// List all complaints first, because handling one may change their order.
	var ids []string
	for complaint, err := range d.client.ComplaintsV2.All(ctx, lately) {
		if err != nil {
			return err
		}
		ids = append(ids, complaint.ComplaintID)
	}
	var problems []error
	for _, id := range ids {
		// After an error, continue with the other complaints.
		if err := d.handle(ctx, id); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// handle does the next steps of one complaint.
func (d *desk) handle(ctx context.Context, id string) error {
	complaint, err := d.client.ComplaintsV2.Get(ctx, id) // the current state
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "complaint %s is %s: %s\n", id, complaint.ComplaintState, complaint.ComplaintDetail)
	amount := complaint.ApplyRefundAmount
	switch {
	case complaint.ComplaintState == wechatpay.ComplaintStateProcessed:
		d.say("already finished")
		return nil
	case complaint.ProblemType != wechatpay.ProblemTypeRefund, amount < 1, amount > d.limit:
		d.say("needs manual handling")
		return nil
	}

	if err := d.savePictures(ctx, complaint); err != nil {
		return err
	}
	if complaint.PayerPhone != "" {
		phone, err := d.client.Decrypt(complaint.PayerPhone)
		if err != nil {
			return err
		}
		d.say("phone %s", mask(phone))
	}

	done, err := d.thisRound(ctx, id)
	if err != nil {
		return err
	}
	if done[wechatpay.OperateTypeMerchantRefuseRefund] {
		d.say("already rejected on the merchant platform")
		return nil
	}
	if done[wechatpay.OperateTypeMerchantResponse] {
		d.say("already replied")
	} else {
		err := d.client.ComplaintsV2.Respond(ctx, id, &wechatpay.RespondRequest{
			ResponseContent:  "您好，退款将于今天发起。",
			ComplaintedMchID: complaint.ComplaintedMchID,
		})
		if err != nil {
			return err
		}
		d.say("replied")
	}
	if done[wechatpay.OperateTypeMerchantApproveRefund] {
		d.say("already approved")
	} else {
		if err := d.client.ComplaintsV2.UpdateRefundProgress(ctx, id, wechatpay.ApproveRefund(0)); err != nil {
			return err
		}
		d.say("approved, to be refunded today")
	}
	return d.refund(ctx, complaint)
}

// refund refunds the approved amount of this round once, even if the user has
// changed the amount or filed again meanwhile. ComplaintsV2.Refund finds earlier
// refunds.
func (d *desk) refund(ctx context.Context, complaint *wechatpay.Complaint) error {
	refund, err := d.client.ComplaintsV2.Refund(ctx, complaint.ComplaintID, &wechatpay.RefundComplaintRequest{
		Amount: complaint.ApplyRefundAmount,
		Round:  complaint.UserComplaintTimes,
	})
	if err != nil {
		return err
	}
	d.say("refund %s of %d fen is %s", refund.OutRefundNo, refund.Amount.Refund, refund.Status)
	switch refund.Status {
	case wechatpay.RefundStatusClosed:
		return fmt.Errorf("refund %s is closed: check the reason, then set Attempt: 2", refund.OutRefundNo)
	case wechatpay.RefundStatusAbnormal:
		return fmt.Errorf("refund %s was rejected by the bank: resolve it on the merchant platform", refund.OutRefundNo)
	}
	return nil
}

// savePictures saves the user's images. It overwrites existing files.
func (d *desk) savePictures(ctx context.Context, complaint *wechatpay.Complaint) error {
	n := 0
	for _, media := range complaint.ComplaintMediaList {
		for _, mediaURL := range media.MediaURL {
			n++
			name := fmt.Sprintf("%s-%d", complaint.ComplaintID, n)
			contentType, size, err := d.savePicture(ctx, mediaURL, filepath.Join(d.pictures, name))
			if err != nil {
				return err
			}
			d.say("image %s saved: %s, %d bytes", name, contentType, size)
		}
	}
	return nil
}

func (d *desk) savePicture(ctx context.Context, mediaURL, name string) (contentType string, size int64, err error) {
	image, err := d.client.ComplaintsV2.DownloadImage(ctx, mediaURL)
	if err != nil {
		return "", 0, err
	}
	defer image.Close()
	file, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", 0, err
	}
	size, err = io.Copy(file, image)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return image.ContentType, size, err
}

// thisRound returns the operations since the user last filed the complaint. The
// order of the history is undocumented, and its times may be whole seconds.
func (d *desk) thisRound(ctx context.Context, complaintID string) (map[wechatpay.OperateType]bool, error) {
	var records []*wechatpay.NegotiationRecord
	var filed time.Time
	for record, err := range d.client.ComplaintsV2.AllNegotiationHistory(ctx, complaintID) {
		if err != nil {
			return nil, err
		}
		records = append(records, record)
		if at := record.OperateTime.Truncate(time.Second); record.OperateType == wechatpay.OperateTypeUserContinueComplaint && at.After(filed) {
			filed = at
		}
	}
	done := make(map[wechatpay.OperateType]bool)
	for _, record := range records {
		if record.OperateTime.IsZero() || !record.OperateTime.Before(filed) {
			done[record.OperateType] = true
		}
	}
	return done, nil
}

func (d *desk) say(format string, args ...any) {
	fmt.Fprintf(d.out, "  "+format+"\n", args...)
}

// mask hides the middle of a phone number.
func mask(phone string) string {
	if len(phone) < 11 {
		return "****"
	}
	return phone[:3] + "****" + phone[len(phone)-4:]
}

// The rest simulates WeChat Pay and the killed process.

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

const complaintID = "200201820200101080076610000"

func run(ctx context.Context, out io.Writer) error {
	server := newServer()
	defer server.Close()
	pictures, err := os.MkdirTemp("", "pictures")
	if err != nil {
		return err
	}
	defer os.RemoveAll(pictures)

	fmt.Fprintln(out, "== First run: killed after sending the refund, before the response arrives")
	err = process(ctx, server, pictures, out, func(_ int, req *http.Request) killPoint {
		if req.Method == http.MethodPost && req.URL.Path == "/v3/refund/domestic/refunds" {
			return afterSending
		}
		return notKilled
	})
	var unknown *wechatpay.OutcomeUnknownError
	if !errors.As(err, &unknown) {
		return fmt.Errorf("the first run should end with an unknown outcome of the refund: %w", err)
	}
	fmt.Fprintf(out, "  killed; refund %s: unknown outcome\n", unknown.IdempotencyKey)

	fmt.Fprintln(out, "\n== Second run: starts without any state")
	if err := process(ctx, server, pictures, out, neverKilled); err != nil {
		return err
	}

	fmt.Fprintln(out, "\n== Third run: the refund has arrived")
	for _, refund := range server.Refunds() {
		if err := server.SettleRefund(refund.OutRefundNo, string(wechatpay.RefundStatusSuccess)); err != nil {
			return err
		}
	}
	if err := process(ctx, server, pictures, out, neverKilled); err != nil {
		return err
	}

	fmt.Fprintln(out, "\n== Records of WeChat Pay")
	for _, record := range server.History(complaintID) {
		fmt.Fprintln(out, " ", record.OperateType)
	}
	refunds := server.Refunds()
	fmt.Fprintf(out, "  refunds: %d\n", len(refunds))
	for _, refund := range refunds {
		fmt.Fprintf(out, "  %s  %d fen  %s\n", refund.OutRefundNo, refund.Amount, refund.Status)
	}
	return nil
}

// newServer starts a mock server with one complaint.
func newServer() *wechatpaytest.Server {
	server := wechatpaytest.NewServer()
	server.AddComplaint(wechatpay.Complaint{
		ComplaintID:       complaintID,
		ComplaintDetail:   "商品与描述不符，要求退款",
		ProblemType:       wechatpay.ProblemTypeRefund,
		ApplyRefundAmount: 1000,
		PayerPhone:        "13900000000",
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
func process(ctx context.Context, server *wechatpaytest.Server, pictures string, out io.Writer, when killRule) error {
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
	d := &desk{client: client, pictures: pictures, limit: 5000, out: out}
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
