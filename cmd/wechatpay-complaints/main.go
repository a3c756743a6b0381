// Command wechatpay-complaints handles WeChat Pay complaints from the terminal
// and finds configuration problems:
//
//	wechatpay-complaints doctor
//	wechatpay-complaints list --state PENDING
//	wechatpay-complaints resolve 200201820200101080076610000 approve --reply 您好，退款已发起
//
// Settings come from environment variables: see wechatpay.ConfigFromEnv. If
// WeChat Pay can only be reached through an internal gateway, WECHATPAY_RELAY_URL
// is its URL, which may have a path: the gateway removes the path and forwards
// the request unchanged. With --mock a command runs on an embedded mock server
// with sample complaints and needs no settings.
//
// Commands that make changes ask for confirmation unless --yes is given; without
// a terminal they fail. Phone numbers are masked unless --phone is given. Control
// characters are removed from users' texts. The output is Chinese or English, as
// set by LC_ALL, LC_MESSAGES or LANG, or by --lang. Errors of the SDK are
// English.
//
// The exit status is
//
//	0    success
//	1    rejected, failed, or not confirmed; doctor: problems found
//	2    invalid usage or settings
//	3    unknown outcome: the change may or may not have been applied; check before you retry
//	130  interrupted, nothing was changed
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
	context.AfterFunc(ctx, stop) // a second signal terminates the process
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
	language
	stdin          *os.File
	stdout, stderr io.Writer

	mock, verbose    bool
	yes, phone, json bool // only set by commands that have the flag

	client     *wechatpay.Client
	command    string
	args       []string // without the flags
	retryFlags string   // flags to add to a retry after an unknown outcome
}

// command is a subcommand of the program.
type command struct {
	name     string
	args     string // as in the usage line, separated by spaces
	about    words
	more     words // further paragraphs of the help
	noClient bool  // it needs no valid settings
	// setup declares the flags of the command. It returns the function to run
	// after they are parsed.
	setup func(a *app, flags *flag.FlagSet) func(context.Context) error
}

var commands = []command{
	{name: "list", about: words{"列出指定日期范围内的投诉单", "list the complaints filed in a range of days"}, setup: list},
	{name: "show", args: "COMPLAINT_ID", about: words{"查看一笔投诉单", "show a complaint"}, setup: show},
	{name: "history", args: "COMPLAINT_ID", about: words{"查看一笔投诉单的协商历史", "show the negotiation history of a complaint"}, setup: history},
	{name: "images", args: "COMPLAINT_ID", about: words{"保存投诉单及其协商历史中的图片", "save the images of a complaint and of its history"}, setup: images},
	{name: "resolve", args: "COMPLAINT_ID approve|reject", about: words{"处理一笔投诉单直至完成：审批、退款、回复", "resolve a complaint: decision, refund, reply"}, more: resolveHelp, setup: resolve},
	{name: "approve", args: "COMPLAINT_ID", about: words{"同意退款（不涉及资金变动，退款请用 refund）", "approve the refund request (moves no money: see refund)"}, setup: approve},
	{name: "reject", args: "COMPLAINT_ID", about: words{"拒绝退款并关闭投诉单", "reject the refund request and close the complaint"}, setup: reject},
	{name: "reply", args: "COMPLAINT_ID", about: words{"回复用户", "reply to the user"}, more: replyHelp, setup: reply},
	{name: "complete", args: "COMPLAINT_ID", about: words{"反馈处理完成", "complete a complaint"}, setup: complete},
	{name: "refund", args: "COMPLAINT_ID", about: words{"退款，同一笔退款重复执行也只退一次", "refund a complaint, at most once"}, more: refundHelp, setup: refund},
	{name: "notification-url", args: "get|set|update|delete [URL]", about: words{"查询或设置投诉通知回调地址", "get or set the URL for complaint notifications"}, setup: notificationURL},
	{name: "survey", about: words{"统计账号数据中 SDK 尚不了解的内容（只读）", "report what the SDK does not know about the account's data (read-only)"}, more: surveyHelp, setup: survey},
	{name: "doctor", about: words{"检查配置、本机时钟、域名和密钥", "check the settings, the clock, the hosts and the keys"}, more: doctorHelp, noClient: true, setup: doctor},
	{name: "version", about: words{"显示版本号", "print the version"}, noClient: true, setup: version},
}

var exitHelp = words{`退出码：
  0    成功
  1    被拒绝、失败或未确认；doctor：发现问题
  2    用法错误或配置错误
  3    结果未知：操作可能已生效，也可能未生效；请先核实再重试
  130  已中断，未作任何改动
`, `Exit status:
  0    success
  1    rejected, failed, or not confirmed; doctor: problems found
  2    invalid usage or settings
  3    unknown outcome: the change may or may not have been applied; check before you retry
  130  interrupted, nothing was changed
`}

var settingsHelp = words{`环境变量：
  WECHATPAY_MCHID              商户号
  WECHATPAY_PRIVATE_KEY_FILE   apiclient_key.pem 的路径（或在 WECHATPAY_PRIVATE_KEY 中填写 PEM 内容）
  WECHATPAY_SERIAL_NO          商户API证书序列号，
  WECHATPAY_CERTIFICATE_FILE   或 apiclient_cert.pem 的路径（或 WECHATPAY_CERTIFICATE）
  WECHATPAY_PUBLIC_KEY_ID      微信支付公钥ID，以 PUB_KEY_ID_ 开头
  WECHATPAY_PUBLIC_KEY_FILE    pub_key.pem 的路径（或 WECHATPAY_PUBLIC_KEY）
  WECHATPAY_PUBLIC_KEY_ONLY    true：不使用平台证书
  WECHATPAY_APIV3_KEY          APIv3密钥，32 字节：用于接收回调通知、下载平台证书
                               （或在 WECHATPAY_APIV3_KEY_FILE 中填写其文件路径）
  WECHATPAY_BASE_URL, WECHATPAY_BACKUP_URL   仅在不使用微信支付域名时设置
  WECHATPAY_RELAY_URL          仅在须经内部网关访问微信支付时设置，可含路径
  HTTPS_PROXY, NO_PROXY        代理
`, `Environment variables:
  WECHATPAY_MCHID              merchant number
  WECHATPAY_PRIVATE_KEY_FILE   apiclient_key.pem (or the PEM in WECHATPAY_PRIVATE_KEY)
  WECHATPAY_SERIAL_NO          serial number of the merchant API certificate,
  WECHATPAY_CERTIFICATE_FILE   or apiclient_cert.pem (or WECHATPAY_CERTIFICATE)
  WECHATPAY_PUBLIC_KEY_ID      PUB_KEY_ID_…
  WECHATPAY_PUBLIC_KEY_FILE    pub_key.pem (or WECHATPAY_PUBLIC_KEY)
  WECHATPAY_PUBLIC_KEY_ONLY    true: use no platform certificates
  WECHATPAY_APIV3_KEY          32 bytes: for notifications and platform certificates
                               (or its file in WECHATPAY_APIV3_KEY_FILE)
  WECHATPAY_BASE_URL, WECHATPAY_BACKUP_URL   only for hosts other than WeChat Pay's
  WECHATPAY_RELAY_URL          only for an internal gateway to WeChat Pay; may have a path
  HTTPS_PROXY, NO_PROXY        proxy
`}

func (a *app) printHelp() {
	fmt.Fprint(a.stdout, a.of(words{
		"wechatpay-complaints 是处理微信支付用户投诉的命令行工具。\n\n用法：wechatpay-complaints 命令 [参数] [选项]\n\n",
		"wechatpay-complaints handles WeChat Pay complaints.\n\nUsage: wechatpay-complaints COMMAND [ARGUMENTS] [FLAGS]\n\n"}))
	for _, c := range commands {
		fmt.Fprintf(a.stdout, "  %-17s %s\n", c.name, a.of(c.about))
	}
	fmt.Fprint(a.stdout, a.of(words{
		"\n运行“wechatpay-complaints 命令 --help”查看该命令的选项。加 --mock 可在内置的模拟微信支付上运行，\n自带示例投诉单，无需配置。--lang zh 或 --lang en 选择显示语言。\n\n",
		"\nRun 'wechatpay-complaints COMMAND --help' for the flags of a command. With --mock it runs\non an embedded mock server with sample complaints and needs no settings. --lang zh or\n--lang en selects the language.\n\n"}))
	fmt.Fprintf(a.stdout, "%s\n%s", a.of(settingsHelp), a.of(exitHelp))
}

func (a *app) printCommandHelp(c *command, flags *flag.FlagSet) {
	fmt.Fprint(a.stdout, a.of(words{"用法：wechatpay-complaints %s [选项]\n\n%s\n", "Usage: wechatpay-complaints %s [FLAGS]\n\n%s\n"},
		strings.TrimSpace(c.name+" "+c.args), a.of(c.about)))
	if more := a.of(c.more); more != "" {
		fmt.Fprintf(a.stdout, "\n%s", more)
	}
	fmt.Fprint(a.stdout, a.of(words{"\n选项：\n", "\nFlags:\n"}))
	printFlags(a.stdout, flags)
	fmt.Fprintf(a.stdout, "\n%s", a.of(exitHelp))
}

// usageError is an invalid command line.
type usageError string

func (e usageError) Error() string { return string(e) }

// errProblemsFound is returned by doctor, which has already printed the problems.
var errProblemsFound = errors.New("problems found")

// main runs a command line and returns the exit status. No other function
// prints errors.
func (a *app) main(ctx context.Context, args []string) int {
	a.language = languageOf(args)
	err := a.run(ctx, args)
	var usage usageError
	var argument *wechatpay.ArgumentError
	var refused *wechatpay.RefundRefusedError
	report := func(text words, args ...any) {
		fmt.Fprintln(a.stderr, "wechatpay-complaints: "+a.of(text, args...))
	}
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errProblemsFound):
		return exitFailed
	case errors.As(err, &usage):
		report(words{
			"%s\n运行“wechatpay-complaints --help”查看所有命令，“wechatpay-complaints 命令 --help”查看该命令的选项。",
			"%s\nRun 'wechatpay-complaints --help' for the commands, 'wechatpay-complaints COMMAND --help' for usage."}, clean(err.Error()))
		return exitUsage
	case errors.Is(err, wechatpay.ErrOutcomeUnknown):
		report(words{"%s。", "%s."}, strings.TrimSuffix(clean(err.Error()), "."))
		report(words{"结果未知，尚不确定是否生效：%s。", "the change may or may not have been applied: %s."}, a.nextStep())
		return exitUnknown
	case errors.As(err, &refused):
		report(words{"未发生资金变动：%s", "no money was moved: %s"}, clean(err.Error()))
		return exitFailed
	case errors.As(err, &argument):
		report(words{"%s", "%s"}, clean(err.Error()))
		return exitUsage
	case ctx.Err() != nil:
		report(words{"已中断：%s", "interrupted: %s"}, clean(err.Error()))
		return exitInterrupted
	}
	report(words{"%s", "%s"}, clean(err.Error()))
	return exitFailed
}

// nextStep returns what to do after an unknown outcome.
func (a *app) nextStep() string {
	switch {
	case a.command == "refund" && a.retryFlags != "":
		return a.of(words{
			"请加上 %s 重新执行，最多只退一次；不加则用户再次投诉时会再退一笔",
			"run the command again with %s to refund at most once; without it, a new round would be refunded too"}, a.retryFlags)
	case a.command == "resolve" && a.retryFlags != "":
		return a.of(words{
			"请加上 %s 重新执行，已完成的步骤不会重复",
			"run the command again with %s: steps that are done are not repeated"}, a.retryFlags)
	case a.command == "refund":
		return a.of(words{"请原样重新执行，最多只退一次", "run the same command again to refund at most once"})
	case a.retryFlags != "":
		return a.of(words{"请加上 %s 重新执行，只会发送一次", "run the same command again with %s to send it at most once"}, clean(a.retryFlags))
	case a.command == "notification-url":
		return a.of(words{
			"重试前请运行 notification-url get 查看当前地址",
			"before you retry, run 'notification-url get' to see the current URL"})
	}
	return a.of(words{
		"重试前请运行 wechatpay-complaints history %s 或在商户平台核实",
		"before you retry, check 'wechatpay-complaints history %s' or the merchant platform"}, clean(a.args[0]))
}

func (a *app) run(ctx context.Context, args []string) error {
	// Flags may precede the command.
	var leading []string
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		n := 1
		if name := strings.TrimLeft(args[0], "-"); name == "lang" && len(args) > 1 {
			n = 2 // with its value
		}
		leading, args = append(leading, args[:n]...), args[n:]
	}
	if len(args) == 0 || args[0] == "help" {
		return a.help(leading, args)
	}
	c, err := a.find(args[0])
	if err != nil {
		return err
	}
	a.command = c.name
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard) // Parse prints its error and the usage
	act := a.declare(c, flags)
	switch err := a.parse(flags, append(leading, args[1:]...)); {
	case errors.Is(err, flag.ErrHelp):
		a.printCommandHelp(c, flags)
		return nil
	case err != nil:
		return a.flagError(c.name, err)
	}
	if err := a.checkArgs(c); err != nil {
		return err
	}
	if !c.noClient {
		closeMock, err := a.connect()
		if err != nil {
			return err
		}
		defer closeMock()
	}
	return act(ctx)
}

// declare declares the common flags and those of the command.
func (a *app) declare(c *command, flags *flag.FlagSet) func(context.Context) error {
	a.langFlag(flags)
	flags.BoolVar(&a.mock, "mock", false, a.of(words{
		"在内置的模拟微信支付上运行：自带示例投诉单，无需配置，结束后不保留任何数据",
		"run on an embedded mock server with sample complaints; needs no settings and keeps nothing"}))
	flags.BoolVar(&a.verbose, "v", false, a.of(words{
		"在标准错误输出中记录每个请求：方法、路径、状态码、耗时、请求ID",
		"log each request to standard error: method, path, status, duration, request id"}))
	return c.setup(a, flags)
}

// help handles a command line without a command: -h, -version, help, or nothing.
func (a *app) help(leading, args []string) error {
	switch {
	case len(args) == 2:
		c, err := a.find(args[1])
		if err != nil {
			return err
		}
		return a.run(context.Background(), []string{c.name, "-h"})
	case len(args) > 0:
		a.printHelp()
		return nil
	case len(leading) == 0:
		return a.usagef(words{"缺少命令", "missing command"})
	}
	for _, flag := range leading {
		switch strings.TrimLeft(flag, "-") {
		case "h", "help":
			a.printHelp()
			return nil
		case "version":
			return version(a, nil)(context.Background())
		}
	}
	return a.usagef(words{"%s 之后缺少命令", "missing command after %s"}, leading[0])
}

func version(a *app, _ *flag.FlagSet) func(context.Context) error {
	return func(context.Context) error {
		_, err := fmt.Fprintln(a.stdout, "wechatpay-complaints", wechatpay.Version)
		return err
	}
}

func (a *app) find(name string) (*command, error) {
	for i := range commands {
		if commands[i].name == name {
			return &commands[i], nil
		}
	}
	return nil, a.usagef(words{"未知命令 %q", "unknown command %q"}, name)
}

// parse accepts flags before, between and after the arguments.
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

func (a *app) checkArgs(c *command) error {
	wanted := strings.Fields(c.args)
	required := len(wanted)
	if required > 0 && strings.HasPrefix(wanted[required-1], "[") {
		required--
	}
	switch {
	case len(a.args) > len(wanted):
		return a.usagef(words{"%s：多余的参数 %q", "%s: unexpected argument %q"}, c.name, a.args[len(wanted)])
	case len(a.args) < required:
		return a.usagef(words{"%s：缺少参数 %s", "%s: missing argument %s"}, c.name, wanted[len(a.args)])
	}
	return nil
}

// connect creates the client, for the environment's settings or for an embedded
// mock server.
func (a *app) connect() (closeMock func(), err error) {
	var cfg wechatpay.Config
	closeMock = func() {}
	if a.mock {
		server := newMock()
		closeMock = server.Close
		cfg = server.Config()
	} else if cfg, err = a.configFromEnv(); err != nil {
		return nil, err
	}
	cfg.Logger = a.logger()
	if a.client, err = wechatpay.NewClient(cfg); err != nil {
		closeMock()
		return nil, a.errorf(words{"%w（请运行 doctor 查看详情）", "%w (run doctor for details)"}, err)
	}
	return closeMock, nil
}

// configFromEnv returns the settings of the environment, with the relay.
func (a *app) configFromEnv() (wechatpay.Config, error) {
	cfg, err := wechatpay.ConfigFromEnv()
	if err != nil {
		return cfg, a.errorf(words{"%w（请运行 doctor 查看详情）", "%w (run doctor for details)"}, err)
	}
	gateway, err := a.relayURL()
	if gateway != nil {
		cfg.Transport = &relay{wechatpay.NewTransport(), gateway}
	}
	return cfg, err
}

// logger returns the logger of the SDK, or nil without -v: failures are also
// returned as errors.
func (a *app) logger() *slog.Logger {
	if !a.verbose {
		return nil
	}
	return slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (l language) requireFlag(name, value string) error {
	if strings.TrimSpace(value) == "" {
		return l.usagef(words{"缺少必填选项 --%s", "missing required flag --%s"}, name)
	}
	return nil
}
