// Command refundprogress decides on one refund request: it approves the refund,
// or rejects it with a reason and optional images.
//
// With -mock, or if WECHATPAY_MCHID is not set, it runs on an embedded mock server
// that has a complaint. Otherwise it reads the settings from the environment (see
// wechatpay.ConfigFromEnv). It only uploads the images and sends the decision;
// if a response is lost, the SDK also reads the negotiation history.
//
// The exit status is 0 if the decision was applied, 1 if it was not or if the
// outcome is unknown, and 2 if flags or settings are wrong.
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

// sampleID is the complaint on the embedded server.
const sampleID = "200201820200101080076610000"

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	embedded := os.Getenv("WECHATPAY_MCHID") == ""
	complaintID, req, images, err := parse(args, &embedded, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}

	var cfg wechatpay.Config
	show := func(string) {}
	if embedded {
		server := startServer()
		defer server.Close()
		reason := "WECHATPAY_MCHID is not set"
		if os.Getenv("WECHATPAY_MCHID") != "" {
			reason = "-mock"
		}
		fmt.Fprintf(stdout, "%s: using an embedded mock server, %s\n", reason, server.URL)
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

	// Allow enough time for retries and for looking up an unknown outcome.
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()

	show("Before")
	if req.RejectMediaList, err = upload(ctx, client, images); err != nil {
		fmt.Fprintf(stderr, "\nNo decision was sent: an image could not be uploaded.\n%v\n", err)
		return 1
	}
	err = client.ComplaintsV2.UpdateRefundProgress(ctx, complaintID, req)
	report(err, req, stdout, stderr)
	show("After")
	var invalid *wechatpay.ArgumentError
	switch {
	case errors.As(err, &invalid):
		return 2
	case err != nil:
		return 1
	}
	return 0
}

// startServer starts the embedded mock server, with one complaint.
func startServer() *wechatpaytest.Server {
	server := wechatpaytest.NewServer()
	server.AddComplaint(wechatpay.Complaint{
		ComplaintID:       sampleID,
		ComplaintDetail:   "商品与描述不符，要求退款",
		ProblemType:       wechatpay.ProblemTypeRefund,
		ApplyRefundAmount: 1000,
	})
	return server
}

// upload uploads the images and returns their media ids.
func upload(ctx context.Context, client *wechatpay.Client, names []string) ([]string, error) {
	var mediaIDs []string
	for _, name := range names {
		mediaID, err := uploadFile(ctx, client, name)
		if err != nil {
			return nil, err
		}
		mediaIDs = append(mediaIDs, mediaID)
	}
	return mediaIDs, nil
}

func uploadFile(ctx context.Context, client *wechatpay.Client, name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	return client.ComplaintsV2.UploadImage(ctx, name, file)
}

// parse returns the request that the flags describe, and the image files. The SDK
// reports invalid combinations.
func parse(args []string, embedded *bool, stderr io.Writer) (id string, req *wechatpay.UpdateRefundProgressRequest, images []string, err error) {
	var action string
	req = new(wechatpay.UpdateRefundProgressRequest)
	flags := flag.NewFlagSet("refundprogress", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(embedded, "mock", *embedded, "use an embedded mock server, whatever the environment says")
	flags.StringVar(&id, "complaint-id", "", "the complaint to decide on (with the mock server: its complaint)")
	flags.StringVar(&action, "action", "", "APPROVE or REJECT (with the mock server: APPROVE)")
	day := flags.Int("launch-refund-day", 0, "with APPROVE: the number of working days until the refund is launched")
	flags.StringVar(&req.RejectReason, "reject-reason", "", "with REJECT: the reason, at most 200 characters")
	flags.StringVar(&req.Remark, "remark", "", "a note for WeChat Pay's staff, at most 200 characters")
	flags.Func("image", "with REJECT: an image file that supports the reason (jpg, png or bmp, at most 2 MiB); repeat the flag for up to 4",
		func(name string) error {
			images = append(images, name)
			return nil
		})
	if err := flags.Parse(args); err != nil {
		return "", nil, nil, err
	}
	isSet := make(map[string]bool)
	flags.Visit(func(f *flag.Flag) { isSet[f.Name] = true })
	if *embedded && !isSet["complaint-id"] {
		id = sampleID
	}
	if *embedded && !isSet["action"] {
		action = string(wechatpay.RefundApprove)
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
		problem = "-image requires -action REJECT"
	}
	if problem != "" {
		fmt.Fprintln(stderr, problem)
		flags.Usage()
		return "", nil, nil, errors.New(problem)
	}
	req.Action = wechatpay.RefundAction(strings.ToUpper(action))
	if isSet["launch-refund-day"] || req.Action == wechatpay.RefundApprove {
		req.LaunchRefundDay = day
	}
	return id, req, images, nil
}

// report prints the outcome of the decision.
func report(err error, req *wechatpay.UpdateRefundProgressRequest, stdout, stderr io.Writer) {
	var rejection *wechatpay.APIError
	switch {
	case err == nil && req.Action == wechatpay.RefundApprove:
		fmt.Fprintln(stdout, "\nApplied: the refund is approved. No money has moved yet: create the refund next.")
	case err == nil:
		fmt.Fprintln(stdout, "\nApplied: the refund is rejected, and the complaint is closed.")
	case errors.Is(err, wechatpay.ErrOutcomeUnknown):
		fmt.Fprintf(stderr, "\nUnknown outcome: the decision may have been applied. Check the complaint's negotiation history,\n"+
			"on the merchant platform or by API, before you decide again.\n%v\n", err)
	case errors.As(err, &rejection):
		fmt.Fprintf(stderr, "\nNot applied: WeChat Pay rejected the decision.\n%v\n", err)
	default:
		fmt.Fprintf(stderr, "\nNot applied.\n%v\n", err)
	}
}

// printComplaint prints the complaint as the embedded server has it.
func printComplaint(w io.Writer, server *wechatpaytest.Server, id, when string) {
	complaint, ok := server.Complaint(id)
	if !ok {
		fmt.Fprintf(w, "\n%s: complaint %s not found\n", when, id)
		return
	}
	fmt.Fprintf(w, "\n%s: complaint %s is %s\n", when, complaint.ComplaintID, complaint.ComplaintState)
	for _, record := range server.History(id) {
		details := strings.TrimSpace(string(record.OperateType) + "  " + record.OperateDetails)
		fmt.Fprintf(w, "  %s  %s\n", record.OperateTime.Format(time.RFC3339), details)
	}
}

// printer is an http.RoundTripper that prints requests, and successful
// responses. It hides the signature, which could be replayed.
type printer struct {
	w    io.Writer
	base http.RoundTripper
}

func (p *printer) RoundTrip(req *http.Request) (*http.Response, error) {
	authorization, _, _ := strings.Cut(req.Header.Get("Authorization"), ",nonce_str=")
	fmt.Fprintf(p.w, "\n> %s %s\n> Host: %s\n> Authorization: %s (nonce, timestamp and signature hidden)\n",
		req.Method, req.URL.RequestURI(), req.URL.Host, authorization)
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
