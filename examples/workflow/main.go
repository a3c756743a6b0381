// Command workflow handles a complaint from its arrival to its end: pictures,
// phone number, answer, approval, refund. It dies in the middle of the refund,
// is started anew, and finishes without paying twice.
//
// It runs on an embedded WeChat Pay, and needs no settings. A desk works
// unchanged on the real one, with a Client made from wechatpay.ConfigFromEnv.
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

// A desk handles the complaints that ask for a refund. It keeps no record of
// its own: what was done is asked of WeChat Pay. So it may stop at any point,
// and be started anew, on another machine too.
type desk struct {
	client   *wechatpay.Client
	pictures string    // the directory for the users' pictures
	limit    int64     // fen; a person decides on what is more
	out      io.Writer // what it does, step by step
}

// work does what can be done now for the complaints of the last 30 days. Call
// it every few minutes, and when a notification comes: notifications may be
// lost.
func (d *desk) work(ctx context.Context) error {
	now := time.Now()
	lately := &wechatpay.ListComplaintsRequest{BeginDate: now.AddDate(0, 0, -29), EndDate: now}
	// All are listed before the first is handled, which might change their order.
	var ids []string
	for complaint, err := range d.client.ComplaintsV2.All(ctx, lately) {
		if err != nil {
			return err
		}
		ids = append(ids, complaint.ComplaintID)
	}
	var problems []error
	for _, id := range ids {
		// One complaint that cannot be handled does not keep the others waiting.
		if err := d.handle(ctx, id); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// handle takes one complaint as far as it goes.
func (d *desk) handle(ctx context.Context, id string) error {
	complaint, err := d.client.ComplaintsV2.Get(ctx, id) // as it is now
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "complaint %s is %s: %s\n", id, complaint.ComplaintState, complaint.ComplaintDetail)
	amount := complaint.ApplyRefundAmount
	switch {
	case complaint.ComplaintState == wechatpay.ComplaintStateProcessed:
		d.say("nothing is left to do")
		return nil
	case complaint.ProblemType != wechatpay.ProblemTypeRefund, amount < 1, amount > d.limit:
		d.say("left to a person")
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
		d.say("a colleague rejected it")
		return nil
	}
	if done[wechatpay.OperateTypeMerchantResponse] {
		d.say("answered before")
	} else {
		err := d.client.ComplaintsV2.Respond(ctx, id, &wechatpay.RespondRequest{ResponseContent: "您好，退款将于今天发起。", ComplaintedMchID: complaint.ComplaintedMchID})
		if err != nil {
			return err
		}
		d.say("answered")
	}
	if done[wechatpay.OperateTypeMerchantApproveRefund] {
		d.say("approved before")
	} else {
		if err := d.client.ComplaintsV2.UpdateRefundProgress(ctx, id, wechatpay.ApproveRefund(0)); err != nil {
			return err
		}
		d.say("approved, to be refunded today")
	}
	return d.refund(ctx, complaint)
}

// refund pays, unless it was paid before: ComplaintsV2.Refund finds out. It pays what
// was decided on, though the user may ask for more, or file again, meanwhile.
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
		return fmt.Errorf("refund %s failed for good: a person must look why, and ask for attempt 2", refund.OutRefundNo)
	case wechatpay.RefundStatusAbnormal:
		return fmt.Errorf("refund %s was refused by the user's bank: a person must act in the merchant platform", refund.OutRefundNo)
	}
	return nil
}

// savePictures saves what the user attached. Saving it again does no harm.
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
			d.say("picture %s saved: %s, %d bytes", name, contentType, size)
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

// thisRound tells what was done since the user filed the complaint the last
// time. The order of the history is not documented, and its times may be whole
// seconds.
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

// mask keeps of a phone number what a person needs to recognize it.
func mask(phone string) string {
	if len(phone) < 11 {
		return "****"
	}
	return phone[:3] + "****" + phone[len(phone)-4:]
}

// From here on it is theatre: WeChat Pay, and how the process dies.

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

	fmt.Fprintln(out, "== First run. It dies when the refund has been sent, before the answer is there.")
	err = process(ctx, server, pictures, out, func(_ int, req *http.Request) death {
		if req.Method == http.MethodPost && req.URL.Path == "/v3/refund/domestic/refunds" {
			return afterSending
		}
		return alive
	})
	var unknown *wechatpay.OutcomeUnknownError
	if !errors.As(err, &unknown) {
		return fmt.Errorf("the first run should have died in the refund: %w", err)
	}
	fmt.Fprintf(out, "  dead. Refund %s: nobody here knows whether it was accepted.\n", unknown.IdempotencyKey)

	fmt.Fprintln(out, "\n== Second run. It knows nothing of the first.")
	if err := process(ctx, server, pictures, out, neverDies); err != nil {
		return err
	}

	fmt.Fprintln(out, "\n== The money arrives. Third run.")
	for _, refund := range server.Refunds() {
		if err := server.SettleRefund(refund.OutRefundNo, string(wechatpay.RefundStatusSuccess)); err != nil {
			return err
		}
	}
	if err := process(ctx, server, pictures, out, neverDies); err != nil {
		return err
	}

	fmt.Fprintln(out, "\n== What WeChat Pay has on record")
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

// newServer starts a WeChat Pay where a user has filed a complaint.
func newServer() *wechatpaytest.Server {
	server := wechatpaytest.NewServer()
	server.AddComplaint(wechatpay.Complaint{
		ComplaintID:        complaintID,
		ComplaintDetail:    "商品与描述不符，要求退款",
		ProblemType:        wechatpay.ProblemTypeRefund,
		ApplyRefundAmount:  1000,
		PayerPhone:         "13900000000",
		ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{{TransactionID: "4200000404201909069117582536", OutTradeNo: "20190906154617947762231", Amount: 1500}},
		ComplaintMediaList: []wechatpay.ComplaintMedia{{
			MediaType: wechatpay.MediaTypeUserComplaintImage,
			MediaURL:  []string{server.AddImage("", []byte("\x89PNG\r\n\x1a\n"))},
		}},
	})
	return server
}

// process is one run of the merchant's program: a Client, a desk, and the death
// that it may die.
func process(ctx context.Context, server *wechatpaytest.Server, pictures string, out io.Writer, dies func(n int, req *http.Request) death) error {
	ctx, kill := context.WithCancel(ctx)
	defer kill()
	base := wechatpay.NewTransport()
	defer base.CloseIdleConnections()
	cfg := server.Config()
	cfg.Transport = &mortal{base: base, dies: dies, kill: kill}
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		return err
	}
	clerk := &desk{client: client, pictures: pictures, limit: 5000, out: out}
	return clerk.work(ctx)
}

type death int

const (
	alive death = iota
	beforeSending
	afterSending // the answer is lost
)

func neverDies(int, *http.Request) death { return alive }

// mortal is a RoundTripper with which the process dies.
type mortal struct {
	base http.RoundTripper
	dies func(n int, req *http.Request) death // n counts the requests, from 1
	n    int
	kill context.CancelFunc // ends everything else that the process does
}

func (m *mortal) RoundTrip(req *http.Request) (*http.Response, error) {
	m.n++
	death := m.dies(m.n, req)
	if death == beforeSending {
		m.kill()
	}
	resp, err := m.base.RoundTrip(req)
	if death == afterSending && err == nil {
		m.kill()
		resp.Body.Close()
		return nil, context.Canceled
	}
	return resp, err
}
