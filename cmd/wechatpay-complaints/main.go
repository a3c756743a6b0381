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
// set. Users' texts are printed without control characters. It speaks Chinese or
// English, as the terminal does (LC_ALL, LC_MESSAGES, LANG) or -lang says; the
// errors of the SDK are English.
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
	language
	stdin          *os.File
	stdout, stderr io.Writer

	mock, verbose    bool
	yes, phone, json bool // only of the commands that have the flag

	client  *wechatpay.Client
	command string
	args    []string // of the command, without its flags
	again   string   // the flags to repeat it with, if its outcome is unknown
}

// command is one of the things that the program does.
type command struct {
	name     string
	args     string // as the usage line shows them, separated by blanks
	about    words
	more     words // further paragraphs of its help
	noClient bool  // it needs no settings, or judges them itself
	// setup declares the flags of the command, and gives what runs once they
	// are read.
	setup func(a *app, flags *flag.FlagSet) func(context.Context) error
}

var commands = []command{
	{name: "list", about: words{"列出某段日期内的投诉单", "list the complaints that were filed on some days"}, setup: list},
	{name: "show", args: "COMPLAINT_ID", about: words{"查看一张投诉单", "show one complaint"}, setup: show},
	{name: "history", args: "COMPLAINT_ID", about: words{"查看协商历史：用户、商户和微信支付做过什么", "show what the user, the merchant and WeChat Pay did about it"}, setup: history},
	{name: "images", args: "COMPLAINT_ID", about: words{"保存用户上传的和协商历史里的图片", "save the pictures of the user and of the negotiation"}, setup: images},
	{name: "approve", args: "COMPLAINT_ID", about: words{"同意退款（不会动钱，退款用 refund）", "approve the refund that a user asks for (moves no money: see refund)"}, setup: approve},
	{name: "reject", args: "COMPLAINT_ID", about: words{"拒绝退款，投诉单随即关闭", "reject it, which closes the complaint"}, setup: reject},
	{name: "reply", args: "COMPLAINT_ID", about: words{"回复用户", "send a message to the user"}, more: replyHelp, setup: reply},
	{name: "complete", args: "COMPLAINT_ID", about: words{"反馈处理完成", "declare a complaint solved"}, setup: complete},
	{name: "refund", args: "COMPLAINT_ID", about: words{"给投诉单退款，重复执行也只退一次", "pay the refund of a complaint, once however often it is called"}, more: refundHelp, setup: refund},
	{name: "notification-url", args: "get|set|update|delete [URL]", about: words{"查询或设置投诉通知回调地址", "where WeChat Pay sends notifications about complaints"}, setup: notificationURL},
	{name: "doctor", about: words{"检查设置、本机时钟、域名和密钥", "check the settings, the clock, the hosts and the keys"}, more: doctorHelp, noClient: true, setup: doctor},
	{name: "version", about: words{"显示版本号", "print the version"}, noClient: true, setup: version},
}

var exitHelp = words{`退出码：
  0    已完成
  1    被拒绝、失败，或没有确认；doctor：发现问题
  2    用法不对，或设置不对
  3    结果未知：可能已生效，也可能没有；先查清楚再重试
  130  被中断，什么也没有改动
`, `Exit status:
  0    done
  1    refused, failed, or not confirmed; of doctor: something is wrong
  2    wrong usage, or wrong settings
  3    unknown: it may or may not have taken effect; look before you repeat it
  130  interrupted, and nothing was changed
`}

var settingsHelp = words{`设置取自环境变量：
  WECHATPAY_MCHID              商户号
  WECHATPAY_PRIVATE_KEY_FILE   apiclient_key.pem 的路径（或把 PEM 内容放在 WECHATPAY_PRIVATE_KEY）
  WECHATPAY_SERIAL_NO          商户API证书序列号，
  WECHATPAY_CERTIFICATE_FILE   或 apiclient_cert.pem 的路径（或 WECHATPAY_CERTIFICATE）
  WECHATPAY_PUBLIC_KEY_ID      微信支付公钥ID，PUB_KEY_ID_ 开头
  WECHATPAY_PUBLIC_KEY_FILE    pub_key.pem 的路径（或 WECHATPAY_PUBLIC_KEY）
  WECHATPAY_APIV3_KEY          APIv3密钥，32 字节：接收通知、下载平台证书时用
  WECHATPAY_BASE_URL, WECHATPAY_BACKUP_URL   只在不用微信支付的域名时设置
`, `Settings come from the environment:
  WECHATPAY_MCHID              merchant number
  WECHATPAY_PRIVATE_KEY_FILE   apiclient_key.pem (or the PEM in WECHATPAY_PRIVATE_KEY)
  WECHATPAY_SERIAL_NO          serial number of the merchant API certificate,
  WECHATPAY_CERTIFICATE_FILE   or apiclient_cert.pem (or WECHATPAY_CERTIFICATE)
  WECHATPAY_PUBLIC_KEY_ID      PUB_KEY_ID_…
  WECHATPAY_PUBLIC_KEY_FILE    pub_key.pem (or WECHATPAY_PUBLIC_KEY)
  WECHATPAY_APIV3_KEY          32 bytes: notifications, platform certificates
  WECHATPAY_BASE_URL, WECHATPAY_BACKUP_URL   only for other hosts than WeChat Pay's
`}

func (a *app) printHelp() {
	fmt.Fprint(a.stdout, a.of(words{
		"wechatpay-complaints 在终端里处理微信支付的用户投诉。\n\n用法：wechatpay-complaints 命令 [参数] [选项]\n\n",
		"wechatpay-complaints works with the complaints of WeChat Pay users.\n\nUsage: wechatpay-complaints COMMAND [ARGUMENTS] [FLAGS]\n\n"}))
	for _, c := range commands {
		fmt.Fprintf(a.stdout, "  %-17s %s\n", c.name, a.of(c.about))
	}
	fmt.Fprint(a.stdout, a.of(words{
		"\nwechatpay-complaints 命令 -h 列出该命令的选项。加上 -mock 就在内置的模拟微信支付上运行，\n自带几张示例投诉单，不需要任何设置。-lang zh 或 en 选择显示语言。\n\n",
		"\nwechatpay-complaints COMMAND -h tells the flags of a command. With -mock it runs on an\nembedded WeChat Pay with sample complaints, and needs no settings. -lang zh or en\nchooses the language.\n\n"}))
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

// usageError is a command line that makes no sense.
type usageError string

func (e usageError) Error() string { return string(e) }

// errFound is of a doctor who has said what is wrong, line by line.
var errFound = errors.New("something is wrong")

// main runs a command line, and gives the exit status. It alone reports errors.
func (a *app) main(ctx context.Context, args []string) int {
	a.language = languageOf(args)
	err := a.run(ctx, args)
	var usage usageError
	var wrong *wechatpay.ArgumentError
	var refused *wechatpay.RefundRefusedError
	say := func(text words, args ...any) {
		fmt.Fprintln(a.stderr, "wechatpay-complaints: "+a.of(text, args...))
	}
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errFound):
		return exitFailed
	case errors.As(err, &usage):
		say(words{
			"%s\nwechatpay-complaints -h 列出所有命令，“命令 -h”列出一个命令的选项。",
			"%s\nwechatpay-complaints -h tells the commands, and COMMAND -h the flags of one."}, clean(err.Error()))
		return exitUsage
	case errors.Is(err, wechatpay.ErrOutcomeUnknown):
		say(words{"%s。", "%s."}, strings.TrimSuffix(clean(err.Error()), "."))
		say(words{"还不知道有没有生效：%s。", "nobody knows yet whether this took effect; %s."}, a.lookAt())
		return exitUnknown
	case errors.As(err, &refused):
		say(words{"没有动钱：%s", "no money was moved: %s"}, clean(err.Error()))
		return exitFailed
	case errors.As(err, &wrong):
		say(words{"%s", "%s"}, clean(err.Error()))
		return exitUsage
	case ctx.Err() != nil:
		say(words{"被中断：%s", "interrupted: %s"}, clean(err.Error()))
		return exitInterrupted
	}
	say(words{"%s", "%s"}, clean(err.Error()))
	return exitFailed
}

// lookAt says what to do about an unknown outcome.
func (a *app) lookAt() string {
	switch {
	case a.command == "refund" && a.again != "":
		return a.of(words{
			"加上 %s 再执行一次，只会退一次；不加的话，用户若再次投诉，会再退一笔",
			"repeat the command with %s: it pays once; without, a new filing would be paid too"}, a.again)
	case a.command == "refund":
		return a.of(words{"原样再执行一次，只会退一次", "repeat the same command: it pays once"})
	case a.again != "":
		return a.of(words{"加上 %s 再执行一次，只会发一次", "repeat the same command with %s: it is sent once"}, clean(a.again))
	case a.command == "notification-url":
		return a.of(words{"重试前先用 notification-url get 看看现在是什么", "notification-url get shows what stands, before you repeat it"})
	}
	return a.of(words{
		"重试前先用 wechatpay-complaints history %s 或在商户平台查看现状",
		"look before you repeat it: wechatpay-complaints history %s, or the merchant platform, shows what stands"}, clean(a.args[0]))
}

func (a *app) run(ctx context.Context, args []string) error {
	// -mock and its like may stand before the command.
	var leading []string
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		n := 1
		if name := strings.TrimLeft(args[0], "-"); name == "lang" && len(args) > 1 {
			n = 2 // its value
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
	flags.SetOutput(io.Discard) // what Parse would print is its error
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

// declare declares the flags of a command, and those of them all.
func (a *app) declare(c *command, flags *flag.FlagSet) func(context.Context) error {
	a.langFlag(flags)
	flags.BoolVar(&a.mock, "mock", false, a.of(words{
		"在内置的模拟微信支付上运行：自带示例投诉单，结束后什么也不留，不需要设置",
		"run on an embedded WeChat Pay with sample complaints, of which nothing is kept; no settings are needed"}))
	flags.BoolVar(&a.verbose, "v", false, a.of(words{
		"在标准错误输出里记录每个请求：方法、路径、状态码、耗时、请求ID",
		"log each request on standard error: method, path, status, duration, request id"}))
	return c.setup(a, flags)
}

// help answers what names no command: -h, -version, help, and nothing at all.
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
		return a.usagef(words{"缺少命令", "a command is required"})
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
	return a.usagef(words{"除了 %s 还要有命令", "a command is required beside %s"}, leading[0])
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
	return nil, a.usagef(words{"没有 %q 这个命令", "there is no command %q"}, name)
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

func (a *app) checkArgs(c *command) error {
	wanted := strings.Fields(c.args)
	least := len(wanted)
	if least > 0 && strings.HasPrefix(wanted[least-1], "[") {
		least--
	}
	switch {
	case len(a.args) > len(wanted):
		return a.usagef(words{"%s：多出了参数 %q", "%s: unexpected argument %q"}, c.name, a.args[len(wanted)])
	case len(a.args) < least:
		return a.usagef(words{"%s：缺少 %s", "%s: %s is missing"}, c.name, wanted[len(a.args)])
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
		return nil, a.errorf(words{"%w（用 doctor 查看详情）", "%w (doctor tells more)"}, err)
	}
	cfg.Logger = a.logger()
	if a.client, err = wechatpay.NewClient(cfg); err != nil {
		closeMock()
		return nil, a.errorf(words{"%w（用 doctor 查看详情）", "%w (doctor tells more)"}, err)
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
func (l language) mustBeSet(name, value string) error {
	if value == "" {
		return l.usagef(words{"必须写 -%s", "-%s is required"}, name)
	}
	return nil
}
