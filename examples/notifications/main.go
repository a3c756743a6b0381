// Command notifications is a server that receives notifications from WeChat Pay
// and prints each event once, even if it is delivered several times.
//
// If WECHATPAY_MCHID is not set, it receives a few valid and invalid notifications
// from an embedded mock server, and exits. Otherwise it reads the settings from
// the environment (see wechatpay.ConfigFromEnv), which must include
// WECHATPAY_APIV3_KEY, and serves until SIGINT or SIGTERM. WeChat Pay only
// notifies https URLs: run it behind a proxy that terminates TLS and leaves
// headers and body unchanged, and set the URL with
// ComplaintsV2.EnsureNotificationURL.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func main() {
	// systemd, Docker and Kubernetes stop a program with SIGTERM.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// path is the path of the notification URL.
const path = "/wechatpay/notifications"

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("notifications", flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", "127.0.0.1:8080", "the address to listen on; ignored with the embedded mock server")
	mock := flags.Bool("mock", os.Getenv("WECHATPAY_MCHID") == "", "use an embedded mock server, whatever the environment says")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "unexpected argument %q\n", flags.Arg(0))
		return 2
	}

	if *mock {
		fmt.Fprintln(stdout, "Using an embedded mock server: -mock, or WECHATPAY_MCHID is not set.")
		if err := demonstrate(ctx, stdout, stderr); err != nil {
			fmt.Fprintln(stderr, err)
			return 1
		}
		return 0
	}
	cfg, err := wechatpay.ConfigFromEnv()
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	if cfg.APIv3Key == "" {
		fmt.Fprintln(stderr, "WECHATPAY_APIV3_KEY is not set: it is required to decrypt notifications")
		return 2
	}
	handler, err := newHandler(cfg, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	fmt.Fprintf(stdout, "Listening on http://%s%s\n", listener.Addr(), path)
	if err := serve(ctx, listener, handler); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// newHandler returns the handler of the notification URL. A MemoryStore recognizes
// redeliveries to this process; for several machines, use redisstore or sqlstore
// instead.
func newHandler(cfg wechatpay.Config, stdout, stderr io.Writer) (http.Handler, error) {
	cfg.Logger = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		return nil, err
	}
	events := &printer{w: stdout}
	mux := http.NewServeMux()
	mux.Handle(path, client.NotificationHandler(wechatpay.Once(wechatpay.NewMemoryStore(), events.handle)))
	return mux, nil
}

// serve returns when ctx ends, after requests in progress.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	// More than the time that a notification takes.
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return server.Shutdown(shutdown)
}

// printer prints events.
type printer struct {
	mu sync.Mutex
	w  io.Writer
}

// handle handles one event within 5 s. After an error or a panic, WeChat Pay
// delivers the event again. An event only names what changed: a merchant's handler
// would now read the complaint, or queue its id.
func (p *printer) handle(_ context.Context, n *wechatpay.Notification) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := n.CreateTime.Format(time.DateTime)
	switch n.EventType {
	case wechatpay.EventComplaintCreate, wechatpay.EventComplaintStateChange:
		fmt.Fprintf(p.w, "  %s  %s  %s  complaint %s\n", at, n.EventType, n.ActionType, n.ComplaintID)
	case wechatpay.EventRefundSuccess, wechatpay.EventRefundAbnormal, wechatpay.EventRefundClosed:
		refund, err := n.Refund()
		if err != nil {
			return err
		}
		fmt.Fprintf(p.w, "  %s  %s  refund %s, %d fen of %d\n", at, n.EventType, refund.OutRefundNo, refund.Amount.Refund, refund.Amount.Total)
	default: // WeChat Pay may add event types
		fmt.Fprintf(p.w, "  %s  %s  unknown event type\n", at, n.EventType)
	}
	return nil
}

const complaintID, outRefundNo = "200201820200101080076610000", "demonstration"

// demonstrate starts the receiver and an embedded mock server that notifies it.
func demonstrate(ctx context.Context, stdout, stderr io.Writer) (err error) {
	server := wechatpaytest.NewServer()
	defer server.Close()
	cfg := server.Config()
	handler, err := newHandler(cfg, stdout, stderr)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- serve(serving, listener, handler) }()
	defer func() {
		stop()
		err = errors.Join(err, <-served)
	}()

	server.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID, ApplyRefundAmount: 1000})
	if err := createRefund(ctx, cfg); err != nil {
		return err
	}
	return notify(ctx, server, "http://"+listener.Addr().String()+path, stdout)
}

// notify sends valid and invalid notifications. It returns an error if a response
// has an unexpected status.
func notify(ctx context.Context, server *wechatpaytest.Server, url string, stdout io.Writer) error {
	created := wechatpaytest.Notification{ID: "first", EventType: "COMPLAINT.CREATE", ComplaintID: complaintID, ActionType: "CREATE_COMPLAINT"}
	reply := wechatpaytest.Notification{EventType: "COMPLAINT.STATE_CHANGE", ComplaintID: complaintID, ActionType: "USER_RESPONSE"}
	refunded := wechatpaytest.Notification{EventType: "REFUND.SUCCESS", OutRefundNo: outRefundNo}
	forged, probe := created, created
	forged.Fault, probe.Fault = wechatpaytest.FaultForged, wechatpaytest.FaultProbe
	for _, step := range []struct {
		what         string
		notification wechatpaytest.Notification
		want         int
	}{
		{"The user files a complaint", created, http.StatusOK},
		{"The same notification is redelivered: it is not printed again", created, http.StatusOK},
		{"The user writes a message", reply, http.StatusOK},
		{"A refund arrives", refunded, http.StatusOK},
		{"Someone else signs a notification", forged, http.StatusUnauthorized},
		{"WeChat Pay tests the receiver with a wrong signature", probe, http.StatusUnauthorized},
	} {
		fmt.Fprintf(stdout, "\n%s\n", step.what)
		resp, err := server.Notify(ctx, url, step.notification)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "  response: %d %s\n", resp.StatusCode, body)
		if resp.StatusCode != step.want {
			return fmt.Errorf("expected status %d", step.want)
		}
	}
	return nil
}

// createRefund creates the refund that a notification is about.
func createRefund(ctx context.Context, cfg wechatpay.Config) error {
	transport := wechatpay.NewTransport()
	defer transport.CloseIdleConnections()
	cfg.Transport = transport
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		return err
	}
	complaint, err := client.ComplaintsV2.Get(ctx, complaintID)
	if err != nil {
		return err
	}
	order := complaint.ComplaintOrderInfo[0]
	_, err = client.Refunds.Create(ctx, &wechatpay.CreateRefundRequest{
		TransactionID: order.TransactionID,
		OutRefundNo:   outRefundNo,
		Amount:        wechatpay.CreateRefundAmount{Refund: order.Amount, Total: order.Amount},
	})
	return err
}
