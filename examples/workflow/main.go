// Command workflow resolves complaints: it saves the user's images, and approves and
// pays the refund with ComplaintsV2.Resolve. It is stateless, so it may be killed at
// any point and restarted, also on another machine. Here it is killed while it pays.
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
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
)

// A desk resolves the complaints that request a refund of at most limit fen.
type desk struct {
	client *wechatpay.Client
	images string // the directory for the users' images
	limit  int64
	out    io.Writer
}

// work handles the complaints of the last 30 days as far as possible. Call it for
// each notification, and every few minutes, because notifications can be lost.
func (d *desk) work(ctx context.Context) error {
	now := time.Now()
	lately := &wechatpay.ListComplaintsRequest{BeginDate: now.AddDate(0, 0, -29), EndDate: now}
	var ids []string // listed first, because handling one may change the list
	for complaint, err := range d.client.ComplaintsV2.All(ctx, lately) {
		if err != nil {
			return err
		}
		ids = append(ids, complaint.ComplaintID)
	}
	var problems []error
	for _, id := range ids { // a problem with one must not stop the others
		if err := d.handle(ctx, id); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// handle does the next steps of one complaint.
func (d *desk) handle(ctx context.Context, id string) error {
	complaint, err := d.client.ComplaintsV2.Get(ctx, id) // the list may be out of date
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "complaint %s is %s: %s\n", id, complaint.ComplaintState, complaint.ComplaintDetail)
	amount := complaint.ApplyRefundAmount
	switch {
	case complaint.ComplaintState == wechatpay.ComplaintStateProcessed:
		return nil
	case complaint.ProblemType != wechatpay.ProblemTypeRefund, amount < 1, amount > d.limit:
		fmt.Fprintln(d.out, "  needs manual handling")
		return nil
	}
	if err := d.saveImages(ctx, complaint); err != nil {
		return err
	}
	resolution, err := d.client.ComplaintsV2.Resolve(ctx, id, &wechatpay.ResolveRequest{
		Decision: wechatpay.ApproveRefund(0),
		Reply:    "您好，退款已发起，请留意到账通知。",
		// Resolve what was decided on, even if the complaint changes meanwhile.
		Round:  complaint.UserComplaintTimes,
		Refund: &wechatpay.RefundComplaintRequest{Amount: amount},
	})
	if err != nil {
		return err
	}
	refund := resolution.Refund
	fmt.Fprintf(d.out, "  did %v; refund of %d fen is %s\n", resolution.Steps, refund.Amount.Refund, refund.Status)
	if refund.Status == wechatpay.RefundStatusAbnormal {
		return fmt.Errorf("refund %s was rejected by the bank: resolve it in the merchant platform", refund.OutRefundNo)
	}
	return nil
}

// saveImages saves the user's images. It overwrites existing files.
func (d *desk) saveImages(ctx context.Context, complaint *wechatpay.Complaint) error {
	n := 0
	for _, media := range complaint.ComplaintMediaList {
		for _, mediaURL := range media.MediaURL {
			n++
			// An id from outside must not lead out of the directory.
			name := fmt.Sprintf("%s-%d", url.PathEscape(complaint.ComplaintID), n)
			if err := d.saveImage(ctx, mediaURL, filepath.Join(d.images, name)); err != nil {
				return err
			}
			fmt.Fprintf(d.out, "  saved image %s\n", name)
		}
	}
	return nil
}

func (d *desk) saveImage(ctx context.Context, mediaURL, name string) error {
	image, err := d.client.ComplaintsV2.DownloadImage(ctx, mediaURL)
	if err != nil {
		return err
	}
	defer image.Close()
	file, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, image)
	return errors.Join(err, file.Close())
}

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}
