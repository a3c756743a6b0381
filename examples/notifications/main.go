// Command notifications is a server that prints the events that WeChat Pay
// notifies: each once, however many copies come.
//
// With no WECHATPAY_MCHID set it sends itself some notifications from an embedded
// WeChat Pay, good and bad ones, and ends. Otherwise it takes the settings from
// the environment (see wechatpay.ConfigFromEnv), WECHATPAY_APIV3_KEY among them,
// and serves until SIGINT or SIGTERM. WeChat Pay sends to https alone, so put it
// behind a proxy with a certificate that leaves body and headers as they are, and
// set the URL with ComplaintsV2.CreateNotificationURL.
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
	// SIGTERM is how systemd, Docker and Kubernetes stop a program.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// path is where notifications are received.
const path = "/wechatpay/notifications"

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("notifications", flag.ContinueOnError)
	flags.SetOutput(stderr)
	addr := flags.String("addr", "127.0.0.1:8080", "where to listen; unused without settings")
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

	if os.Getenv("WECHATPAY_MCHID") == "" {
		fmt.Fprintln(stdout, "No WECHATPAY_MCHID is set: an embedded WeChat Pay sends the notifications.")
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
		fmt.Fprintln(stderr, "WECHATPAY_APIV3_KEY is not set: notifications are encrypted with it.")
		return 2
	}
	handler, err := receiver(cfg, stdout, stderr)
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

// receiver is the whole of it: a client, what to do with an event, and each event
// once. A MemoryStore knows the copies that come to this process; for several
// machines take redisstore or sqlstore in its place.
func receiver(cfg wechatpay.Config, stdout, stderr io.Writer) (http.Handler, error) {
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

// serve ends when the context does, after the requests that are under way.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	// Longer than a notification takes.
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return server.Shutdown(shutdown)
}

// printer prints one event at a time.
type printer struct {
	mu sync.Mutex
	w  io.Writer
}

// handle is what a merchant writes. It has 5 s, and an error or a panic lets
// WeChat Pay send the event again. An event says only that something happened: a
// merchant's would read the complaint now, or put its id into a queue.
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
	default: // there may be new ones
		fmt.Fprintf(p.w, "  %s  %s  unknown to this program\n", at, n.EventType)
	}
	return nil
}

// demonstrate receives what an embedded WeChat Pay sends. It fails if an answer
// is not the expected one.
func demonstrate(ctx context.Context, stdout, stderr io.Writer) (err error) {
	pay := wechatpaytest.NewServer()
	defer pay.Close()
	cfg := pay.Config()
	handler, err := receiver(cfg, stdout, stderr)
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

	const complaintID, outRefundNo = "200201820200101080076610000", "demonstration"
	pay.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID, ApplyRefundAmount: 1000})
	if err := refund(ctx, cfg, complaintID, outRefundNo); err != nil {
		return err
	}
	filed := wechatpaytest.Notification{ID: "first", EventType: "COMPLAINT.CREATE", ComplaintID: complaintID, ActionType: "CREATE_COMPLAINT"}
	forged, probe := filed, filed
	forged.Fault, probe.Fault = wechatpaytest.FaultForged, wechatpaytest.FaultProbe
	for _, step := range []struct {
		what         string
		notification wechatpaytest.Notification
		want         int
	}{
		{"a complaint is filed", filed, http.StatusOK},
		{"the same again, which is not printed", filed, http.StatusOK},
		{"the user writes", wechatpaytest.Notification{EventType: "COMPLAINT.STATE_CHANGE", ComplaintID: complaintID, ActionType: "USER_RESPONSE"}, http.StatusOK},
		{"a refund arrives", wechatpaytest.Notification{EventType: "REFUND.SUCCESS", OutRefundNo: outRefundNo}, http.StatusOK},
		{"somebody else signs", forged, http.StatusUnauthorized},
		{"WeChat Pay probes with a wrong signature", probe, http.StatusUnauthorized},
	} {
		fmt.Fprintf(stdout, "\n%s\n", step.what)
		resp, err := pay.Notify(ctx, "http://"+listener.Addr().String()+path, step.notification)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "  answered with %d %s\n", resp.StatusCode, body)
		if resp.StatusCode != step.want {
			return fmt.Errorf("the answer should have been %d", step.want)
		}
	}
	return nil
}

// refund makes the refund that a notification tells of.
func refund(ctx context.Context, cfg wechatpay.Config, complaintID, outRefundNo string) error {
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
		TransactionID: order.TransactionID, OutRefundNo: outRefundNo,
		Amount: wechatpay.CreateRefundAmount{Refund: order.Amount, Total: order.Amount},
	})
	return err
}
