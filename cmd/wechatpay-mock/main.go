// Command wechatpay-mock is package wechatpaytest for tests in any language: a
// strict, stateful WeChat Pay for one merchant, with the complaint API,
// platform certificates, refunds and the self-test.
//
//	rm -f /tmp/mock/env # of an earlier run
//	wechatpay-mock -dir /tmp/mock -seed complaints.json &
//	until [ -e /tmp/mock/env ]; do sleep 0.1; done # or wait for the line on standard output
//	. /tmp/mock/env
//	kill %1 # stops it
//
// # Settings
//
// When it listens it prints "listening on http://127.0.0.1:PORT" on standard
// output. Before that it has written into DIR
//
//	apiclient_key.pem   the merchant's private key
//	apiclient_cert.pem  the merchant API certificate
//	pub_key.pem         the WeChat Pay public key
//	env                 export WECHATPAY_…=… for each setting that wechatpay.ConfigFromEnv reads
//
// env comes last: once it is there, the rest is, and the server listens.
// Settings that this server does not use are set to nothing in it, so that
// those of another WeChat Pay do not shine through. Files are readable by their
// owner only (0600), and so is DIR (0700) unless it was there before. The keys
// are new at each start, and replace those that are in DIR; they are worth
// nothing elsewhere. They stay when the command stops, and env does not: it is
// there while the server of that start is. Without -dir they are in a temporary
// directory, named on standard error, that goes with the command.
//
// # Requests
//
// Each request to the API is a line on standard error, with what was wrong if
// it was refused. With -log json that line is an object with time, method,
// path, status, code, problem, request_id, fault, took_effect and duration_ms.
// Authorization headers are never shown: somebody may have sent those of the
// real WeChat Pay.
//
// # The page
//
// A browser finds at / what goes on: complaints with their pictures and their
// history, refunds, notifications, and the requests, each with what was wrong
// with it; of a wrong signature also the message that was signed beside the one
// that the server verifies. Its buttons are the user's and WeChat Pay's side:
// they file a complaint, write as the user, let a refund arrive, send a
// notification. It is in Chinese or English by the browser's language; ?lang=zh
// and ?lang=en choose. It loads nothing from elsewhere.
//
// # The control plane
//
// What a test does to the server goes to paths that begin with /_mock/. They
// need no signature, no fault strikes them, and they are not logged. Bodies and
// answers are JSON; a member that is not known is refused, and so is null. What
// is refused is answered with {"error":"…"}, a sentence. "data" is a list.
//
//	POST   /_mock/complaints                       a complaint in wire form, missing fields filled in → 201, the complaint
//	GET    /_mock/complaints                       → {"data":[…]}, in the order of filing
//	GET    /_mock/complaints/{id}                  → the complaint
//	PATCH  /_mock/complaints/{id}                  some fields in wire form, changed without a record → the complaint
//	GET    /_mock/complaints/{id}/history          → {"data":[…]}: what took effect, in order
//	POST   /_mock/complaints/{id}/records          a record of the history in wire form, as if something else had happened → 201, the complaint
//	POST   /_mock/complaints/{id}/user-reply       {"text","media_urls"}: the user writes → the complaint
//	POST   /_mock/complaints/{id}/user-click       {"message_content","action_id","clicked_log_id"}: the user taps → the complaint
//	POST   /_mock/complaints/{id}/user-continue    the user files again what is PROCESSED → the complaint
//	POST   /_mock/complaints/{id}/user-ask-platform {"reason","description"}: the user asks WeChat Pay's staff for help → the complaint
//	POST   /_mock/complaints/{id}/user-cancel-platform he gives it up → the complaint
//	POST   /_mock/complaints/{id}/platform-reply   {"text","media_urls"}: the staff write → the complaint
//	POST   /_mock/complaints/{id}/platform-finish  the staff end their help → the complaint
//	POST   /_mock/complaints/{id}/platform-refund  WeChat Pay refunds by itself → the complaint
//	POST   /_mock/complaints/{id}/merchant-decision {"action","reason"}: APPROVE or REJECT, on the merchant's website → the complaint
//	GET    /_mock/refunds                          → {"data":[…]}
//	POST   /_mock/refunds/{out_refund_no}/arrive   it reaches the user: SUCCESS → the refund
//	POST   /_mock/refunds/{out_refund_no}/close    it fails: CLOSED → the refund
//	POST   /_mock/refunds/{out_refund_no}/abnormal the bank refuses it: ABNORMAL → the refund
//	POST   /_mock/images                           the bytes of an image of the user → 201, {"media_url"}
//	GET    /_mock/images/{media_id}                → the bytes of such an image; the id stands as it does in media_url, and is escaped again
//	POST   /_mock/faults                           {"path","kind","times","probability","seed","delay_ms","takes_effect"} → 201, the fault
//	GET    /_mock/faults                           → {"data":[…]}: those that are still to strike
//	DELETE /_mock/faults                           no faults any more → 204
//	POST   /_mock/notify                           {"url","event_type","complaint_id","action_type","out_refund_no","id","create_time",
//	                                               "serial","fault"}: sent now, once → {"status","body"} of the receiver's answer
//	PUT    /_mock/notification-url                 {"url"}: as endpoint 8, but http on loopback will do; "" for none → {"url"}
//	GET    /_mock/notifications                    → {"data":[…]}: those that are still to be delivered
//	POST   /_mock/notifications/deliver            those that are due are sent → {"data":[…]}: how it went
//	GET    /_mock/requests                         → {"data":[…]}: what came to the API, and what became of it
//	GET    /_mock/clock                            → {"now"}
//	POST   /_mock/clock                            {"advance_ms"}: the server's clock moves on, that of signatures does not → {"now"}
//	POST   /_mock/certificates/announce            a further platform certificate can be downloaded → {"serial_no"}
//	POST   /_mock/certificates/rotate              the next platform certificate signs → {"serial_no"}
//	GET    /_mock/behavior                        → what the server does where the documents leave a choice
//	PATCH  /_mock/behavior                        some of these fields, changed → all of them
//	POST   /_mock/reset                            all as at the start, with the complaints of -seed; clock, keys and certificates stay → 204
//	GET    /_mock/page                             → what the page shows: the clock, the latest 100 complaints with their history, refunds
//	                                               and requests, the 100 notifications that are due first
//	GET    /_mock/page/{file}                      → the page's style and script
//
// Kinds of faults are those of wechatpaytest.FaultKind. The fault refuse needs
// delay_ms, after which the server accepts connections again: while it lasts
// nobody could come to end it. The fields of the behavior are those of
// wechatpaytest.Behavior, in lower case with underscores. One begins otherwise
// than there: path_in_body is true, since the documents of some clients put
// complaint_id into the body too; turn it off to see whether yours does.
//
// # Addresses
//
// Anybody who reaches the control plane rules the server, and lets it send
// notifications to where he likes. So it listens on loopback alone unless
// -allow-remote is set, and the control plane and the page take no request that
// a web page of another origin sends, or that names another host than loopback.
//
// The exit status is 0 after SIGINT or SIGTERM, 1 if it could not start, and 2
// if the flags are wrong.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

type options struct {
	addr        string
	allowRemote bool
	dir         string
	seed        string
	log         string
}

// run serves until ctx ends, and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if err := serve(ctx, o, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "wechatpay-mock:", err)
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("wechatpay-mock", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.addr, "addr", "127.0.0.1:0", "`host:port` to listen on; port 0 takes a free one")
	flags.BoolVar(&o.allowRemote, "allow-remote", false, "listen on an address that is not loopback: whoever reaches it rules the server")
	flags.StringVar(&o.dir, "dir", "", "`directory` for the keys and the file env (default: a temporary one)")
	flags.StringVar(&o.seed, "seed", "", "JSON `file` with a list of complaints in wire form, missing fields filled in")
	flags.StringVar(&o.log, "log", "text", "how requests are logged on standard error: `text|json`")
	flags.Usage = func() {
		fmt.Fprint(stderr, "wechatpay-mock is a WeChat Pay for tests. It listens until it is interrupted.\n\n")
		flags.PrintDefaults()
		fmt.Fprint(stderr, "\nA browser shows at / what goes on. The control plane, which needs no signature:\n\n")
		for _, r := range routes {
			fmt.Fprintf(stderr, "  %s\n", r.pattern)
		}
	}
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	problem := ""
	switch {
	case flags.NArg() > 0:
		problem = fmt.Sprintf("unexpected argument %q", flags.Arg(0))
	case o.log != "text" && o.log != "json":
		problem = fmt.Sprintf("-log is %q: it is text or json", o.log)
	default:
		problem = addressProblem(o)
	}
	if problem != "" {
		fmt.Fprintf(stderr, "wechatpay-mock: %s\n", problem)
		return o, errors.New(problem)
	}
	return o, nil
}

func addressProblem(o options) string {
	addr, err := net.ResolveTCPAddr("tcp", o.addr)
	switch {
	case err != nil:
		return fmt.Sprintf("-addr is %q, which is no host:port: %v", o.addr, err)
	case !addr.IP.IsLoopback() && !o.allowRemote:
		return fmt.Sprintf("-addr is %q, which others can reach, and they could rule the server: take 127.0.0.1:%d, or set -allow-remote", o.addr, addr.Port)
	}
	return ""
}

// stopWithin is how long answers under way may take once the command is to stop.
const stopWithin = 5 * time.Second

func serve(ctx context.Context, o options, stdout, stderr io.Writer) error {
	if o.dir != "" {
		if err := removeEnv(o.dir); err != nil {
			return err
		}
	}
	complaints, err := readSeed(o.seed)
	if err != nil {
		return err
	}
	server, err := wechatpaytest.Listen(o.addr)
	if err != nil {
		return err
	}
	defer closeWithin(server, stopWithin, stderr)
	server.URL = reachable(server.URL)
	begin := func() error {
		server.Configure(func(b *wechatpaytest.Behavior) {
			*b = wechatpaytest.Behavior{
				Seed:       b.Seed,
				Log:        requestLog(o.log, stderr),
				WireTime:   time.Now, // clients have no other clock
				PathInBody: true,     // some clients' own documents send complaint_id twice
			}
		})
		for i, complaint := range complaints {
			if _, err := server.AddComplaintJSON(complaint); err != nil {
				return fmt.Errorf("%s: complaint %d of the list is none that WeChat Pay could send: %s", o.seed, i+1, sentence(err))
			}
		}
		return nil
	}
	if err := begin(); err != nil {
		return err
	}
	plane := newControl(server, o.allowRemote, begin)
	server.HandlePlain(controlPath, plane)
	server.HandlePlain(pagePath, plane)

	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "wechatpay-mock-"); err != nil {
			return err
		}
		defer os.RemoveAll(o.dir)
		fmt.Fprintf(stderr, "settings are in %s: load them with . %[1]s\n", filepath.Join(o.dir, envFile))
	}
	env, err := writeSettings(o.dir, server.Config())
	if err != nil {
		return err
	}
	defer removeOwnEnv(o.dir, env)
	fmt.Fprintln(stdout, "listening on", server.URL)
	<-ctx.Done()
	return nil
}

// closeWithin does not wait for a client that never ends its request.
func closeWithin(server *wechatpaytest.Server, limit time.Duration, stderr io.Writer) {
	closed := make(chan struct{})
	go func() {
		server.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(limit):
		fmt.Fprintf(stderr, "a request is still under way %s after the end, and is given up\n", limit)
	}
}

// reachable replaces an address that means all of this machine's by one that a
// client can be given.
func reachable(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil && ip.IsUnspecified() {
		u.Host = net.JoinHostPort("127.0.0.1", u.Port())
	}
	return u.String()
}

// readSeed reads a list of complaints. Two with the same id are a mistake, of
// which only one would be left.
func readSeed(file string) ([]json.RawMessage, error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var complaints []json.RawMessage
	if err := json.Unmarshal(data, &complaints); err != nil {
		return nil, fmt.Errorf("%s is no JSON list of complaints: %w", file, err)
	}
	seen := map[string]int{}
	for i, complaint := range complaints {
		var c struct {
			ID string `json:"complaint_id"`
		}
		_ = json.Unmarshal(complaint, &c) // AddComplaintJSON says what is wrong
		if earlier := seen[c.ID]; c.ID != "" && earlier > 0 {
			return nil, fmt.Errorf("%s: complaints %d and %d of the list both have the complaint_id %s", file, earlier, i+1, c.ID)
		}
		seen[c.ID] = i + 1
	}
	return complaints, nil
}

// requestLog returns what writes one line about each request.
func requestLog(format string, w io.Writer) func(wechatpaytest.Request) {
	lines := log.New(w, "", 0) // one write a line, whoever calls
	if format == "json" {
		return func(r wechatpaytest.Request) { lines.Print(string(encode(summaryOf(r)))) }
	}
	return func(r wechatpaytest.Request) {
		lines.Print(r.Time.Format("15:04:05.000 ") + printable(r.String()))
	}
}
