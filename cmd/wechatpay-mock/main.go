// Command wechatpay-mock is a mock WeChat Pay server for tests in any language.
// It runs package wechatpaytest as a program: strict and stateful, for one
// merchant or several, with the complaint API, platform certificates, refunds and
// the echo self-test.
//
//	go build -o wechatpay-mock github.com/wechatpay-complaints/wechatpay/cmd/wechatpay-mock
//	dir=$(mktemp -d)
//	./wechatpay-mock -dir "$dir" -seed complaints.json & # go run would not pass the signal on
//	pid=$!
//	until [ -e "$dir/env" ]; do sleep 0.1; done # or wait for the line on standard output
//	. "$dir/env"
//	kill "$pid" # stops it
//
// # Settings
//
// Once it listens, it prints "listening on http://127.0.0.1:PORT" to standard
// output. Before that, it writes these files to the directory given by -dir:
//
//	apiclient_key.pem   the merchant's private key
//	apiclient_cert.pem  the merchant API certificate
//	pub_key.pem         the WeChat Pay public key
//	env                 export WECHATPAY_…=… for each setting that wechatpay.ConfigFromEnv reads
//
// env is written last: when it exists, so do the other files, and the server
// listens. Settings that the server does not use are set to an empty value, so
// that earlier values do not remain in the environment. The files are readable
// by their owner only (0600). So is the directory (0700), unless it existed. A
// directory that another user owns or can write to is refused.
//
// Each start generates new keys and replaces the files. The key files remain
// when the command stops; env is removed. Without -dir the files are in a
// temporary directory, which is printed to standard error and removed when the
// command stops.
//
// # Log
//
// Each API request is logged to standard error on one line, with the reason if
// it was rejected. With -log json the line is an object with time, method,
// path, status, code, problem, request_id, fault, took_effect and duration_ms.
// Headers are never logged.
//
// # The page
//
// Open the server's URL in a browser to see complaints with their images and
// history, refunds, notifications and requests. For a request with a wrong
// signature, the page compares the string that was signed with the string that
// the server verifies. It hides the values of headers that may be secret. Buttons perform what users and WeChat Pay do: file a
// complaint, write as the user, complete a refund, send a notification. The page
// is in Chinese or English, by the browser's language or ?lang=zh and ?lang=en.
// It loads nothing from other hosts.
//
// # The control API
//
// Tests control the server with requests to paths below /_mock/. They need no
// signature, are not logged, and are not affected by faults. Request and
// response bodies are JSON. Unknown fields and null are rejected. An error is
// returned as {"error":"…"}. Operations on a complaint or a refund return it,
// and lists are {"data":[…]}. Creating something returns 201. Complaints and
// records have the format of the WeChat Pay API.
//
// Complaints:
//
//	POST   /_mock/complaints                            file a complaint; missing fields are filled in (-lenient)
//	GET    /_mock/complaints                            list complaints in the order of filing
//	GET    /_mock/complaints/{id}                       get a complaint
//	PATCH  /_mock/complaints/{id}                       change the given fields; adds no record
//	GET    /_mock/complaints/{id}/history               list its records, ignoring history_lag_ms
//	POST   /_mock/complaints/{id}/records               add a record; changes nothing else
//	POST   /_mock/complaints/{id}/user-reply            the user writes a message
//	POST   /_mock/complaints/{id}/user-click            the user taps a button
//	POST   /_mock/complaints/{id}/user-continue         the user files a PROCESSED complaint again
//	POST   /_mock/complaints/{id}/user-ask-platform     the user asks WeChat Pay for help
//	POST   /_mock/complaints/{id}/user-cancel-platform  the user cancels that request
//	POST   /_mock/complaints/{id}/platform-reply        WeChat Pay's staff write a message
//	POST   /_mock/complaints/{id}/platform-finish       WeChat Pay's staff end their help
//	POST   /_mock/complaints/{id}/platform-refund       WeChat Pay refunds the user
//	POST   /_mock/complaints/{id}/merchant-decision     decide on the merchant platform
//
// user-reply and platform-reply take "text" and "media_urls", user-click takes
// "message_content", "action_id" and "clicked_log_id", user-ask-platform takes
// "reason" and "description", merchant-decision takes "action" (APPROVE or
// REJECT) and "reason". With -lenient, or lenient_complaints of the behavior, a
// captured complaint can be filed: null and unknown nested fields are ignored, and
// other unknown fields are returned with it. After PATCH, the complaint has all flags and
// apply_refund_amount, also those that it was filed without (false and 0).
//
// Refunds and images:
//
//	GET    /_mock/refunds                               list refunds
//	POST   /_mock/refunds/{out_refund_no}/arrive        set the status SUCCESS: the money arrived
//	POST   /_mock/refunds/{out_refund_no}/close         set the status CLOSED: the refund failed
//	POST   /_mock/refunds/{out_refund_no}/abnormal      set the status ABNORMAL: the bank rejected it
//	POST   /_mock/images                                add an image; returns {"media_url"}
//	GET    /_mock/images/{media_id}                     get the bytes of an image
//
// The body of an image is its bytes. To get an image, take its id as it is
// escaped in media_url, and escape it once more.
//
// Faults:
//
//	POST   /_mock/faults                                add a fault (see below)
//	GET    /_mock/faults                                list the faults that still apply
//	DELETE /_mock/faults                                remove all faults
//
// A fault has "path", "kind", "times", "probability", "seed", "delay_ms",
// "takes_effect" and "status"; wechatpaytest.Fault documents them, and
// wechatpaytest.FaultKind the kinds. The kind refuse requires delay_ms, because
// the control API cannot be reached while it lasts.
//
// Notifications:
//
//	POST   /_mock/notify                                send a notification now
//	PUT    /_mock/notification-url                      set the URL; "" removes it
//	GET    /_mock/notifications                         list the notifications to be delivered
//	POST   /_mock/notifications/deliver                 send those that are due
//
// notify takes "url" (default: the notification URL), "mchid" (default: the first
// merchant), "event_type", "complaint_id" and "action_type" (or "out_refund_no"),
// "id", "create_time", "serial" and "fault", and returns the "status" and "body"
// of the response. notification-url takes "url", which may be http, and "mchid".
//
// The server:
//
//	POST   /_mock/merchants                             add a merchant
//	GET    /_mock/merchants                             list the added merchants
//	GET    /_mock/requests                              list API requests and their responses
//	GET    /_mock/clock                                 get {"now"}
//	POST   /_mock/clock                                 advance the clock by {"advance_ms"}
//	POST   /_mock/certificates/announce                 add a platform certificate
//	POST   /_mock/certificates/rotate                   sign with the next platform certificate
//	GET    /_mock/behavior                              get the behavior
//	PATCH  /_mock/behavior                              change the given fields
//	POST   /_mock/reset                                 restore the initial state
//	GET    /_mock/page                                  get what the page shows: the latest 100 of each
//	GET    /_mock/page/{file}                           get a file of the page
//
// merchants takes "mchid" and, for a service provider, "sub_mchids". It writes the
// settings of the merchant to a directory of that name in -dir, and returns the
// path of its env file as "env". The clock does not affect signatures, which use
// the real time. The operations on certificates return {"serial_no"}. reset adds
// the complaints of -seed again, and keeps the clock, merchants, keys and
// certificates.
//
// The behavior has the fields of wechatpaytest.Behavior, in lower case with
// underscores: seed, key_mode, sub_mchids, wrong_state, unknown_complaint,
// trusted_only, complete_needs_reply, rate_limits (list, history, reply, upload,
// complete), no_empty_lists, response_content_max, jump_links, any_media_id,
// path_in_body, history_lag_ms, list_lag_ms, refund_lag_ms, vary_lag, max_page,
// result_too_large, list_oldest_first, history_oldest_first, list_by_change,
// list_by_last_filing, refiled_processing, lenient_complaints, refunds_arrive,
// refund_refusal, auto_notify, notify_own_actions and notification_loss. A
// refusal has "status" and "code".
//
// One default differs: path_in_body is true, because the
// documentation of some clients also puts complaint_id into the body. Turn it
// off to check whether your client does that.
//
// # Security
//
// Anyone who can reach the control API can control the server and make it send
// notifications to any URL. The server therefore listens on loopback only,
// unless -allow-remote is set. It rejects requests that a web page of another
// origin sends, and requests for a host name that is not loopback. The API also
// accepts WeChat Pay's host names.
//
// # Exit status
//
// 0 after SIGINT or SIGTERM, 1 if the server cannot start, 2 if the flags are
// wrong.
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
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills the process
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

type options struct {
	addr        string
	allowRemote bool
	dir         string
	seed        string
	lenient     bool
	log         string
}

// run serves until ctx ends and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if err := serve(ctx, o, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "wechatpay-mock:", errorText(err))
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("wechatpay-mock", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.addr, "addr", "127.0.0.1:0", "`host:port` to listen on; port 0 selects a free port")
	flags.BoolVar(&o.allowRemote, "allow-remote", false,
		"allow addresses that other machines can reach; anyone who reaches the server can control it")
	flags.StringVar(&o.dir, "dir", "", "`directory` for the keys and the env file (default: a temporary directory)")
	flags.StringVar(&o.seed, "seed", "", "JSON `file` with a list of complaints; missing fields are filled in")
	flags.BoolVar(&o.lenient, "lenient", false,
		"accept captured complaints, with null and unknown fields, in -seed and POST /_mock/complaints")
	flags.StringVar(&o.log, "log", "text", "log format on standard error: `text|json`")
	flags.Usage = func() {
		fmt.Fprint(stderr, "wechatpay-mock is a mock WeChat Pay server for tests. It runs until it is interrupted.\n\n")
		flags.PrintDefaults()
		fmt.Fprint(stderr, "\nOpen the server's URL in a browser to see what happens. The control API needs no signature:\n\n")
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
		problem = fmt.Sprintf("-log must be text or json, got %q", o.log)
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
		return fmt.Sprintf("-addr must be host:port, got %q: %v", o.addr, err)
	case !addr.IP.IsLoopback() && !o.allowRemote:
		return fmt.Sprintf("-addr %q can be reached from other machines: use 127.0.0.1:%d, or set -allow-remote", o.addr, addr.Port)
	}
	return ""
}

// stopTimeout limits how long requests in progress delay the exit.
const stopTimeout = 5 * time.Second

func serve(ctx context.Context, o options, stdout, stderr io.Writer) error {
	if o.dir != "" {
		if err := checkDir(o.dir); err != nil {
			return err
		}
		if err := removeEnv(o.dir); err != nil {
			return err
		}
	}
	complaints, err := readSeed(o.seed)
	if err != nil {
		return err
	}
	temporary := o.dir == ""
	if temporary {
		if o.dir, err = os.MkdirTemp("", "wechatpay-mock-"); err != nil {
			return err
		}
		defer os.RemoveAll(o.dir)
	}
	c := newControl(o.allowRemote)
	c.dir, c.lenient = o.dir, o.lenient
	c.seedFile, c.seed, c.log = o.seed, complaints, requestLog(o.log, stderr)
	defer c.merchants.removeEnv()
	defer closeServer(c.server, stderr)
	if err := c.setUp(); err != nil {
		return err
	}
	if err := c.server.Listen(o.addr); err != nil {
		return err
	}
	env, err := writeSettings(o.dir, c.server.Config())
	if err != nil {
		return err
	}
	defer removeOwnEnv(o.dir, env)
	if temporary {
		fmt.Fprintf(stderr, "settings are in %s; to load them, run: . %[1]s\n", filepath.Join(o.dir, envFile))
	}
	fmt.Fprintln(stdout, "listening on", c.server.URL)
	<-ctx.Done()
	return nil
}

// closeServer closes the server. It waits at most stopTimeout for requests in
// progress.
func closeServer(server *wechatpaytest.Server, stderr io.Writer) {
	closed := make(chan struct{})
	go func() {
		server.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(stopTimeout):
		fmt.Fprintf(stderr, "stopped while a request was still in progress after %s\n", stopTimeout)
	}
}

// readSeed reads a list of complaints. It rejects duplicate ids, because only
// one of the complaints would remain.
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
		return nil, fmt.Errorf("%s: not a JSON list of complaints: %w", file, err)
	}
	seen := map[string]int{}
	for i, complaint := range complaints {
		var c struct {
			ID string `json:"complaint_id"`
		}
		_ = json.Unmarshal(complaint, &c) // AddComplaintJSON reports errors
		if earlier := seen[c.ID]; c.ID != "" && earlier > 0 {
			return nil, fmt.Errorf("%s: complaints %d and %d have the same complaint_id %q", file, earlier, i+1, c.ID)
		}
		seen[c.ID] = i + 1
	}
	return complaints, nil
}

// requestLog returns a function that logs a request on one line of w.
func requestLog(format string, w io.Writer) func(wechatpaytest.Request) {
	lines := log.New(w, "", 0) // writes each line at once, for concurrent callers
	if format == "json" {
		return func(r wechatpaytest.Request) { lines.Print(string(encode(summaryOf(r)))) }
	}
	return func(r wechatpaytest.Request) {
		lines.Print(r.Time.Format("15:04:05.000 ") + printable(r.String()))
	}
}
