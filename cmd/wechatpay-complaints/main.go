// Command wechatpay-complaints works with the complaints of WeChat Pay users
// from the terminal, and finds out what is wrong with the settings:
//
//	wechatpay-complaints doctor
//	wechatpay-complaints list -state PENDING
//	wechatpay-complaints approve 200201820200101080076610000 -launch-refund-day 0
//
// Settings come from the environment: see wechatpay.ConfigFromEnv. With -mock a
// command runs on an embedded WeChat Pay with a few sample complaints, and
// needs none.
//
// Whatever changes something asks before it acts, unless -yes is set; without a
// terminal to ask on it refuses. Users' phone numbers are masked unless -phone is
// set. Users' texts are printed without control characters.
//
// The exit status is
//
//	0    done
//	1    refused, failed, or not confirmed; of doctor: something is wrong
//	2    wrong usage, or wrong settings
//	3    unknown: it may or may not have taken effect; look before repeating it
//	130  interrupted, and nothing was changed
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/wechatpay-complaints/wechatpay"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(a.main(ctx, os.Args[1:]))
}

const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnknown     = 3
	exitInterrupted = 130
)

// app is one run of the program.
type app struct {
	stdin          *os.File
	stdout, stderr io.Writer

	mock, verbose    bool
	yes, phone, json bool // only of the commands that have the flag

	client  *wechatpay.Client
	command string
	args    []string // of the command, without its flags
}

// command is one of the things that the program does.
type command struct {
	name  string
	args  string // as the usage line shows them, separated by blanks
	about string
	more  string // further paragraphs of its help
	// setup declares the flags of the command, and gives what runs once they
	// are read.
	setup func(a *app, flags *flag.FlagSet) func(context.Context) error
}

var commands = []command{
	{name: "list", about: "list the complaints that were filed on some days", setup: list},
	{name: "show", args: "COMPLAINT_ID", about: "show one complaint", setup: show},
	{name: "history", args: "COMPLAINT_ID", about: "show what the user, the merchant and WeChat Pay did about it", setup: history},
	{name: "images", args: "COMPLAINT_ID", about: "save the pictures of the user and of the negotiation", setup: images},
	{name: "approve", args: "COMPLAINT_ID", about: "approve the refund that a user asks for (moves no money: see refund)", setup: approve},
	{name: "reject", args: "COMPLAINT_ID", about: "reject it, which closes the complaint", setup: reject},
	{name: "reply", args: "COMPLAINT_ID", about: "send a message to the user", setup: reply},
	{name: "complete", args: "COMPLAINT_ID", about: "declare a complaint solved", setup: complete},
	{name: "refund", args: "COMPLAINT_ID", about: "pay the refund of a complaint, once however often it is called", more: refundHelp, setup: refund},
	{name: "notification-url", args: "get|set|update|delete [URL]", about: "where WeChat Pay sends notifications about complaints", setup: notificationURL},
	{name: "doctor", about: "check the settings, the clock, the hosts and the keys", more: doctorHelp, setup: doctor},
}

const exitHelp = `Exit status:
  0    done
  1    refused, failed, or not confirmed; of doctor: something is wrong
  2    wrong usage, or wrong settings
  3    unknown: it may or may not have taken effect; look before you repeat it
  130  interrupted, and nothing was changed
`

const settingsHelp = `Settings come from the environment:
  WECHATPAY_MCHID              merchant number
  WECHATPAY_PRIVATE_KEY_FILE   apiclient_key.pem (or the PEM in WECHATPAY_PRIVATE_KEY)
  WECHATPAY_SERIAL_NO          serial number of the merchant API certificate,
  WECHATPAY_CERTIFICATE_FILE   or apiclient_cert.pem (or WECHATPAY_CERTIFICATE)
  WECHATPAY_PUBLIC_KEY_ID      PUB_KEY_ID_…
  WECHATPAY_PUBLIC_KEY_FILE    pub_key.pem (or WECHATPAY_PUBLIC_KEY)
  WECHATPAY_APIV3_KEY          32 bytes: notifications, platform certificates
  WECHATPAY_BASE_URL, WECHATPAY_BACKUP_URL   only for other hosts than WeChat Pay's
`

func printHelp(w io.Writer) {
	fmt.Fprint(w, "wechatpay-complaints works with the complaints of WeChat Pay users.\n\nUsage: wechatpay-complaints COMMAND [ARGUMENTS] [FLAGS]\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-17s %s\n", c.name, c.about)
	}
	fmt.Fprintf(w, "\nwechatpay-complaints COMMAND -h tells the flags of a command. With -mock it runs on an\nembedded WeChat Pay with sample complaints, and needs no settings.\n\n%s\n%s", settingsHelp, exitHelp)
}

func (c *command) printHelp(w io.Writer, flags *flag.FlagSet) {
	fmt.Fprintf(w, "Usage: wechatpay-complaints %s [FLAGS]\n\n%s\n", strings.TrimSpace(c.name+" "+c.args), c.about)
	if c.more != "" {
		fmt.Fprintf(w, "\n%s", c.more)
	}
	fmt.Fprint(w, "\nFlags:\n")
	flags.SetOutput(w)
	flags.PrintDefaults()
	flags.SetOutput(io.Discard)
	fmt.Fprintf(w, "\n%s", exitHelp)
}

// usageError is a command line that makes no sense.
type usageError string

func (e usageError) Error() string { return string(e) }

func usagef(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

// errFound is of a doctor who has said what is wrong, line by line.
var errFound = errors.New("something is wrong")

// main runs a command line, and gives the exit status. It alone reports errors.
func (a *app) main(ctx context.Context, args []string) int {
	err := a.run(ctx, args)
	var usage usageError
	var wrong *wechatpay.ArgumentError
	var refused *wechatpay.RefundRefusedError
	say := func(format string, args ...any) {
		fmt.Fprintf(a.stderr, "wechatpay-complaints: "+format+"\n", args...)
	}
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errFound):
		return exitFailed
	case errors.As(err, &usage):
		say("%s\nwechatpay-complaints -h tells the commands, and COMMAND -h the flags of one.", clean(err.Error()))
		return exitUsage
	case errors.Is(err, wechatpay.ErrOutcomeUnknown):
		say("%s.", strings.TrimSuffix(clean(err.Error()), "."))
		say("nobody knows yet whether this took effect; %s.", a.lookAt())
		return exitUnknown
	case errors.As(err, &refused):
		say("no money was moved: %s", clean(err.Error()))
		return exitFailed
	case errors.As(err, &wrong):
		say("%s", clean(err.Error()))
		return exitUsage
	case ctx.Err() != nil:
		say("interrupted: %s", clean(err.Error()))
		return exitInterrupted
	}
	say("%s", clean(err.Error()))
	return exitFailed
}

// lookAt says what to do about an unknown outcome.
func (a *app) lookAt() string {
	switch a.command {
	case "refund":
		return "repeat the same command: it pays once"
	case "notification-url":
		return "notification-url get shows what stands, before you repeat it"
	}
	return fmt.Sprintf("look before you repeat it: wechatpay-complaints history %s, or the merchant platform, shows what stands", clean(a.args[0]))
}

func (a *app) run(ctx context.Context, args []string) error {
	// -mock and its like may stand before the command.
	var leading []string
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		leading, args = append(leading, args[0]), args[1:]
	}
	if len(args) == 0 || args[0] == "help" {
		return a.help(leading, args)
	}
	c, err := find(args[0])
	if err != nil {
		return err
	}
	a.command = c.name
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // what Parse would print is its error
	flags.BoolVar(&a.mock, "mock", false, "run on an embedded WeChat Pay with sample complaints, of which nothing is kept; no settings are needed")
	flags.BoolVar(&a.verbose, "v", false, "log each request on standard error: method, path, status, duration, request id")
	act := c.setup(a, flags)
	switch err := a.parse(flags, append(leading, args[1:]...)); {
	case errors.Is(err, flag.ErrHelp):
		c.printHelp(a.stdout, flags)
		return nil
	case err != nil:
		return usagef("%s: %v", c.name, err)
	}
	if err := c.checkArgs(a.args); err != nil {
		return err
	}
	if c.name != "doctor" { // who judges the settings himself
		closeMock, err := a.connect()
		if err != nil {
			return err
		}
		defer closeMock()
	}
	return act(ctx)
}

// help answers what names no command: -h, -version, help, and nothing at all.
func (a *app) help(leading, args []string) error {
	switch {
	case len(args) == 2:
		c, err := find(args[1])
		if err != nil {
			return err
		}
		return a.run(context.Background(), []string{c.name, "-h"})
	case len(args) > 0:
		printHelp(a.stdout)
		return nil
	case len(leading) == 0:
		return usagef("a command is required")
	}
	switch strings.TrimLeft(leading[0], "-") {
	case "h", "help":
		printHelp(a.stdout)
		return nil
	case "version":
		fmt.Fprintln(a.stdout, "wechatpay-complaints", wechatpay.Version)
		return nil
	}
	return usagef("a command is required beside %s", leading[0])
}

func find(name string) (*command, error) {
	for i := range commands {
		if commands[i].name == name {
			return &commands[i], nil
		}
	}
	return nil, usagef("there is no command %q", name)
}

// parse reads flags before, between and after the arguments.
func (a *app) parse(flags *flag.FlagSet, args []string) error {
	for {
		if err := flags.Parse(args); err != nil {
			return err
		}
		if flags.NArg() == 0 {
			return nil
		}
		a.args, args = append(a.args, flags.Arg(0)), flags.Args()[1:]
	}
}

func (c *command) checkArgs(args []string) error {
	wanted := strings.Fields(c.args)
	least := len(wanted)
	if least > 0 && strings.HasPrefix(wanted[least-1], "[") {
		least--
	}
	switch {
	case len(args) > len(wanted):
		return usagef("%s: unexpected argument %q", c.name, args[len(wanted)])
	case len(args) < least:
		return usagef("%s: %s is missing", c.name, wanted[len(args)])
	}
	return nil
}

// connect makes the client from the environment, or for an embedded server.
func (a *app) connect() (closeMock func(), err error) {
	var cfg wechatpay.Config
	closeMock = func() {}
	if a.mock {
		server := newMock()
		closeMock = server.Close
		cfg = server.Config()
	} else if cfg, err = wechatpay.ConfigFromEnv(); err != nil {
		return nil, fmt.Errorf("%w (doctor tells more)", err)
	}
	cfg.Logger = a.logger()
	if a.client, err = wechatpay.NewClient(cfg); err != nil {
		closeMock()
		return nil, fmt.Errorf("%w (doctor tells more)", err)
	}
	return closeMock, nil
}

// logger is what the SDK logs to: nothing without -v, since what counts comes in
// the end as an error.
func (a *app) logger() *slog.Logger {
	if !a.verbose {
		return nil
	}
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// mustBeSet is what the required flags of a command are checked with.
func mustBeSet(name, value string) error {
	if value == "" {
		return usagef("-%s is required", name)
	}
	return nil
}
