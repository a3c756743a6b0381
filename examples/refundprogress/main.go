// Command refundprogress makes one decision on one refund request: it approves
// the refund, or rejects it, with pictures if you like.
//
// With no WECHATPAY_MCHID set it runs on an embedded WeChat Pay, which has a
// complaint to decide on. Otherwise it takes the settings from the environment
// (see wechatpay.ConfigFromEnv), and calls nothing but the decision and the
// upload of its pictures. (If an answer is lost, the SDK reads the complaint's
// history to find out whether the decision stands.)
//
// Its exit status is 0 only if the decision was accepted: 1 if it was not, or
// if that is unknown, and 2 if flags or settings are wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// sampleID is the complaint that the embedded WeChat Pay has.
const sampleID = "200201820200101080076610000"

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	embedded := os.Getenv("WECHATPAY_MCHID") == ""
	complaintID, req, images, err := parse(args, embedded, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}

	var cfg wechatpay.Config
	show := func(string) {}
	if embedded {
		server := wechatpaytest.NewServer()
		defer server.Close()
		server.AddComplaint(wechatpay.Complaint{
			ComplaintID:       sampleID,
			ComplaintDetail:   "商品与描述不符，要求退款",
			ProblemType:       wechatpay.ProblemTypeRefund,
			ApplyRefundAmount: 1000,
		})
		fmt.Fprintf(stdout, "No WECHATPAY_MCHID is set: this runs on an embedded WeChat Pay, %s\n", server.URL)
		cfg = server.Config()
		show = func(when string) { printComplaint(stdout, server, complaintID, when) }
	} else if cfg, err = wechatpay.ConfigFromEnv(); err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	cfg.Transport = &printer{w: stdout, base: wechatpay.NewTransport()}
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}

	// A decision that is given up early leaves no time to find out whether it
	// stands.
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()

	show("Before")
	for _, name := range images {
		mediaID, err := upload(ctx, client, name)
		if err != nil {
			fmt.Fprintf(stderr, "\nNothing was decided: the picture is not uploaded.\n%v\n", err)
			return 1
		}
		req.RejectMediaList = append(req.RejectMediaList, mediaID)
	}
	err = client.ComplaintsV2.UpdateRefundProgress(ctx, complaintID, req)
	report(err, req, stdout, stderr)
	show("After")
	var wrong *wechatpay.ArgumentError
	switch {
	case errors.As(err, &wrong):
		return 2
	case err != nil:
		return 1
	}
	return 0
}

// upload uploads one picture and gives its media id.
func upload(ctx context.Context, client *wechatpay.Client, name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	return client.ComplaintsV2.UploadImage(ctx, name, file)
}

// parse makes the request from the flags, and lists the pictures. Wrong
// combinations are left for the SDK to refuse.
func parse(args []string, embedded bool, stderr io.Writer) (id string, req *wechatpay.UpdateRefundProgressRequest, images []string, err error) {
	var action string
	if embedded {
		id, action = sampleID, string(wechatpay.RefundApprove)
	}
	req = new(wechatpay.UpdateRefundProgressRequest)
	flags := flag.NewFlagSet("refundprogress", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&id, "complaint-id", id, "the complaint to decide on")
	flags.StringVar(&action, "action", action, "APPROVE or REJECT")
	day := flags.Int("launch-refund-day", 0, "with APPROVE: in how many working days the refund is launched")
	flags.StringVar(&req.RejectReason, "reject-reason", "", "with REJECT: the reason, at most 200 characters")
	flags.StringVar(&req.Remark, "remark", "", "a note for WeChat Pay's staff, at most 200 characters")
	flags.Func("image", "with REJECT: a picture (jpg, png or bmp, 2 MiB at most) that supports the reason; repeat it for up to 4", func(name string) error {
		images = append(images, name)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return "", nil, nil, err
	}
	problem := ""
	switch {
	case flags.NArg() > 0:
		problem = fmt.Sprintf("unexpected argument %q", flags.Arg(0))
	case id == "":
		problem = "-complaint-id is required"
	case action == "":
		problem = "-action is required"
	case len(images) > 0 && !strings.EqualFold(action, string(wechatpay.RefundReject)):
		problem = "-image only goes with -action REJECT"
	}
	if problem != "" {
		fmt.Fprintln(stderr, problem)
		flags.Usage()
		return "", nil, nil, errors.New(problem)
	}
	req.Action = wechatpay.RefundAction(strings.ToUpper(action))
	flags.Visit(func(f *flag.Flag) {
		if f.Name == "launch-refund-day" {
			req.LaunchRefundDay = day
		}
	})
	if req.Action == wechatpay.RefundApprove {
		req.LaunchRefundDay = day
	}
	return id, req, images, nil
}

// report says what became of the decision.
func report(err error, req *wechatpay.UpdateRefundProgressRequest, stdout, stderr io.Writer) {
	var refusal *wechatpay.APIError
	switch {
	case err == nil && req.Action == wechatpay.RefundApprove:
		fmt.Fprintln(stdout, "\nAccepted: the refund is approved. No money has moved: create the refund next.")
	case err == nil:
		fmt.Fprintln(stdout, "\nAccepted: the refund is rejected, and the complaint is closed.")
	case errors.Is(err, wechatpay.ErrOutcomeUnknown):
		fmt.Fprintf(stderr, "\nNobody knows yet whether the decision stands. Read the complaint's negotiation history,\n"+
			"in the merchant platform or by the API, before you decide again.\n%v\n", err)
	case errors.As(err, &refusal):
		fmt.Fprintf(stderr, "\nRefused, the decision does not stand.\n%v\n", err)
	default:
		fmt.Fprintf(stderr, "\nThe decision does not stand.\n%v\n", err)
	}
}

// printComplaint prints what the embedded WeChat Pay holds.
func printComplaint(w io.Writer, server *wechatpaytest.Server, id, when string) {
	complaint, ok := server.Complaint(id)
	if !ok {
		fmt.Fprintf(w, "\n%s: there is no complaint %s\n", when, id)
		return
	}
	fmt.Fprintf(w, "\n%s: complaint %s is %s\n", when, complaint.ComplaintID, complaint.ComplaintState)
	for _, record := range server.History(id) {
		fmt.Fprintf(w, "  %s  %s\n", record.OperateTime.Format(time.RFC3339), strings.TrimSpace(string(record.OperateType)+"  "+record.OperateDetails))
	}
}

// printer is a RoundTripper that prints what passes. A signature is as good as
// the merchant's word until its time has passed: it is not shown. Of an answer
// that is an error, report tells all.
type printer struct {
	w    io.Writer
	base http.RoundTripper
}

func (p *printer) RoundTrip(req *http.Request) (*http.Response, error) {
	authorization, _, _ := strings.Cut(req.Header.Get("Authorization"), ",nonce_str=")
	fmt.Fprintf(p.w, "\n> %s %s\n> Host: %s\n> Authorization: %s, nonce, time and signature not shown\n", req.Method, req.URL.RequestURI(), req.URL.Host, authorization)
	for _, name := range []string{"Accept", "Content-Type", "User-Agent", "Wechatpay-Serial"} {
		if value := req.Header.Get(name); value != "" {
			fmt.Fprintf(p.w, "> %s: %s\n", name, value)
		}
	}
	if err := p.printBody(req); err != nil {
		return nil, err
	}
	resp, err := p.base.RoundTrip(req)
	if err == nil && resp.StatusCode < 300 {
		fmt.Fprintf(p.w, "< %s\n< Request-Id: %s\n", resp.Status, resp.Header.Get("Request-Id"))
	}
	return resp, err
}

func (p *printer) printBody(req *http.Request) error {
	if req.GetBody == nil {
		return nil
	}
	if req.Header.Get("Content-Type") != "application/json" {
		fmt.Fprintf(p.w, "> (%d bytes)\n", req.ContentLength)
		return nil
	}
	reader, err := req.GetBody()
	if err != nil {
		return err
	}
	defer reader.Close()
	body, err := io.ReadAll(reader)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.w, "> %s\n", body)
	return nil
}
