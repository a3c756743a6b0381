package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/wechatpay-complaints/wechatpay"
)

// words is a text in both languages, which take the same arguments.
type words struct{ zh, en string }

type language string

const (
	chinese language = "zh"
	english language = "en"
)

func (l language) of(w words, args ...any) string {
	format := w.en
	if l == chinese {
		format = w.zh
	}
	if len(args) == 0 {
		return format
	}
	return fmt.Sprintf(format, args...)
}

// usagef returns a usageError.
func (l language) usagef(w words, args ...any) error { return usageError(l.of(w, args...)) }

func (l language) errorf(w words, args ...any) error {
	format := w.en
	if l == chinese {
		format = w.zh
	}
	return fmt.Errorf(format, args...)
}

// languageOf returns the language of --lang, or else that of the environment. It
// runs before the flags are parsed, because their usage texts need it.
func languageOf(args []string) language {
	for i, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		if name != "-lang" && name != "--lang" {
			continue
		}
		if value == "" && i+1 < len(args) {
			value = args[i+1]
		}
		if l := language(value); l == chinese || l == english {
			return l
		}
	}
	if strings.HasPrefix(cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_MESSAGES"), os.Getenv("LANG")), "zh") {
		return chinese
	}
	return english
}

// langFlag declares --lang and checks its value. languageOf reads it.
func (l language) langFlag(flags *flag.FlagSet) {
	flags.Func("lang", l.of(words{
		"显示`语言`：zh 或 en（默认：取自 LC_ALL、LC_MESSAGES、LANG）",
		"`language`: zh or en (default: from LC_ALL, LC_MESSAGES or LANG)"}), func(s string) error {
		if s := language(s); s != chinese && s != english {
			return errors.New(l.of(words{"应为 zh 或 en", "must be zh or en"}))
		}
		return nil
	})
}

// printFlags is flag.PrintDefaults without its English texts.
func printFlags(w io.Writer, flags *flag.FlagSet) {
	flags.VisitAll(func(f *flag.Flag) {
		name, usage := flag.UnquoteUsage(f)
		dashes := "--"
		if len(f.Name) == 1 {
			dashes = "-"
		}
		fmt.Fprintf(w, "  %s\n    \t%s\n", strings.TrimSpace(dashes+f.Name+" "+name), usage)
	})
}

// A translation replaces an English text from elsewhere.
type translation struct {
	english *regexp.Regexp
	chinese string
}

// flagErrors translates the errors of package flag.
var flagErrors = []translation{
	{regexp.MustCompile(`^flag provided but not defined: `), "未知选项："},
	{regexp.MustCompile(`^flag needs an argument: `), "选项缺少值："},
	{regexp.MustCompile(`^bad flag syntax: `), "选项格式错误："},
	{regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?(-\S+): (?:parse error|value out of range)$`), "选项 $2 的值 $1 无效"},
	{regexp.MustCompile(`^invalid (?:boolean )?value (".*") for (?:flag )?(-\S+): `), "选项 $2 的值 $1 无效："},
}

func (l language) flagError(command string, err error) error {
	return l.usagef(words{"%s：%s", "%s: %s"}, command, l.translate(flagErrors, err.Error()))
}

// settingProblems translates what ConfigFromEnv reports about keys and
// certificates.
var settingProblems = []translation{
	{regexp.MustCompile(`^is set together with (\S+): .*`), "不能与 $1 同时设置"},
	{regexp.MustCompile(`^is the content, not a file name: use (\S+)$`), "应填写文件路径，而不是文件内容（文件内容请填入 $1）"},
	{regexp.MustCompile(`^is a file name, not the content: use (\S+)$`), "应填写文件内容，而不是文件路径（文件路径请填入 $1）"},
	{regexp.MustCompile(`^this is a file name, .*`), "文件内容是一个文件路径，不是密钥或证书"},
	{regexp.MustCompile(`^the file cannot be read: ~ .*`), "无法读取文件：不支持以 ~ 开头的路径，请填写完整路径"},
	{regexp.MustCompile(`^the file cannot be read: (.*)$`), "无法读取文件，请检查路径和权限（$1）"},
	{regexp.MustCompile(`^the file is empty$`), "文件为空"},
	{regexp.MustCompile(`^must be true or false, got (.*)$`), "应为 true 或 false，实际为 $1"},
	{regexp.MustCompile(`^is larger than (\d+) bytes$`), "内容超过 $1 字节，不是密钥或证书"},
	{regexp.MustCompile(`^no private key found in (\d+) bytes: .*`), "内容中没有私钥（共 $1 字节），应为 apiclient_key.pem"},
	{regexp.MustCompile(`^no public key found in (\d+) bytes: .*`), "内容中没有公钥（共 $1 字节），应为 pub_key.pem"},
	{regexp.MustCompile(`^no certificate found in (\d+) bytes: .*`), "内容中没有证书（共 $1 字节），应为 apiclient_cert.pem"},
	{regexp.MustCompile(`^the private key is encrypted: use (.*)$`), "私钥已加密，请先解密：$1"},
	{regexp.MustCompile(`^this is a private key`), "内容是私钥"},
	{regexp.MustCompile(`^this is a public key`), "内容是公钥"},
	{regexp.MustCompile(`^this is a certificate request`), "内容是证书请求"},
	{regexp.MustCompile(`^this is a certificate`), "内容是证书"},
	{regexp.MustCompile(`^this is PKCS #12`), "内容是 PKCS #12（.p12）格式"},
	{regexp.MustCompile(`^this is an OpenSSH key`), "内容是 OpenSSH 私钥"},
	{regexp.MustCompile(`^this is an OpenSSH public key`), "内容是 OpenSSH 公钥"},
	{regexp.MustCompile(`^this is a ZIP archive`), "内容是 ZIP 压缩包"},
	{regexp.MustCompile(`^this is not a private key`), "内容不是私钥"},
	{regexp.MustCompile(`^this is not a public key`), "内容不是公钥"},
	{regexp.MustCompile(`^this is not a certificate`), "内容不是证书"},
	{regexp.MustCompile(`^the .* is damaged: cut off after BEGIN, .*`), "内容被截断，只有 BEGIN 一行：请写成一行，换行处写 \\n"},
	{regexp.MustCompile(`^the .* is damaged: cut off, .*`), "内容不完整，结尾被截断"},
	{regexp.MustCompile(`^the .* is damaged: .*`), "内容已损坏"},
	{regexp.MustCompile(`^must be an RSA key, got an OpenSSH key of another type`), "应为 RSA 密钥，实际为其他类型的 OpenSSH 密钥"},
	{regexp.MustCompile(`^must be an RSA key, got a key of another type`), "应为 RSA 密钥，实际为其他类型的密钥"},
	{regexp.MustCompile(`^must be an RSA key, got an? (\S+) key`), "应为 RSA 密钥，实际为 $1 密钥"},

	// The ends of the problems above.
	{regexp.MustCompile(`: use ((?:openssl|ssh-keygen) .*)$`), "，请先转换：$1"},
	{regexp.MustCompile(`: use (\S+)$`), "，应使用 $1"},
	{regexp.MustCompile(`, not a certificate$`), "，不是证书"},
}

// translate returns a text from elsewhere in the language, as far as it is known.
func (l language) translate(table []translation, text string) string {
	if l == chinese {
		for _, t := range table {
			text = t.english.ReplaceAllString(text, t.chinese)
		}
	}
	return text
}

// enumValues are the Chinese names of the values of complaints and refunds.
var enumValues = map[string]string{
	string(wechatpay.ComplaintStatePending):    "待处理",
	string(wechatpay.ComplaintStateProcessing): "处理中", // of a refund too
	string(wechatpay.ComplaintStateProcessed):  "已处理完成",

	string(wechatpay.ProblemTypeRefund):         "申请退款",
	string(wechatpay.ProblemTypeServiceNotWork): "服务权益未生效",
	string(wechatpay.ProblemTypeOthers):         "其他类型",

	string(wechatpay.UserTagTrusted):  "可信用户",
	string(wechatpay.UserTagHighRisk): "高风险，优先处理",

	string(wechatpay.MediaTypeUserComplaintImage): "用户投诉图片",
	string(wechatpay.MediaTypeOperationImage):     "协商图片",

	string(wechatpay.ServiceOrderStateDoing):   "进行中",
	string(wechatpay.ServiceOrderStateRevoked): "已取消",
	string(wechatpay.ServiceOrderStateWaitPay): "待支付",
	string(wechatpay.ServiceOrderStateDone):    "已完成",

	string(wechatpay.RefundStatusSuccess):  "退款成功",
	string(wechatpay.RefundStatusClosed):   "已关闭",
	string(wechatpay.RefundStatusAbnormal): "退款异常",
}

// operations are the Chinese names of the operations of the negotiation history.
var operations = map[wechatpay.OperateType]string{
	wechatpay.OperateTypeUserCreateComplaint:                   "用户提交投诉",
	wechatpay.OperateTypeUserContinueComplaint:                 "用户再次投诉",
	wechatpay.OperateTypeUserResponse:                          "用户留言",
	wechatpay.OperateTypePlatformResponse:                      "平台留言",
	wechatpay.OperateTypeMerchantResponse:                      "商户留言",
	wechatpay.OperateTypeUserClickResponse:                     "用户点击回复",
	wechatpay.OperateTypeMerchantConfirmComplete:               "商户反馈处理完成",
	wechatpay.OperateTypeMerchantApproveRefund:                 "商户同意退款",
	wechatpay.OperateTypeMerchantRefuseRefund:                  "商户拒绝退款",
	wechatpay.OperateTypeComplaintFullRefundedSystemMessage:    "已发起全额退款",
	wechatpay.OperateTypeComplaintPartialRefundedSystemMessage: "已发起部分退款",
	wechatpay.OperateTypeComplaintEntrustedRefundSystemMessage: "平台代为退款",
	wechatpay.OperateTypeComplaintRefundReceivedSystemMessage:  "退款已到账",
	wechatpay.OperateTypeUserCreateComplaintSystemMessage:      "用户提交投诉（系统消息）",
	wechatpay.OperateTypeUserContinueComplaintSystemMessage:    "用户再次投诉（系统消息）",
	wechatpay.OperateTypePlatformHelpApplication:               "平台催办",
	wechatpay.OperateTypeUserApplyPlatformHelp:                 "用户申请平台协助",
	wechatpay.OperateTypeUserApplyPlatformService:              "用户申请平台协助",
	wechatpay.OperateTypeUserCancelPlatformService:             "用户取消平台协助",
	wechatpay.OperateTypePlatformServiceFinished:               "平台协助结束",
	wechatpay.OperateTypeUserSubmitSatisfaction:                "用户提交满意度评价",
	wechatpay.OperateTypeServiceOrderCancel:                    "服务单已取消",
	wechatpay.OperateTypeServiceOrderComplete:                  "服务单已完成",
	wechatpay.OperateTypeUserRevokeComplaint:                   "用户撤销投诉",
	wechatpay.OperateTypeUserConfirmComplaint:                  "用户确认已解决",
	wechatpay.OperateTypeComplaintFullRefunded:                 "已全额退款",
	wechatpay.OperateTypeMerchantConfirmCompleteSystemMessage:  "商户反馈处理完成（系统消息）",
	wechatpay.OperateTypeServiceOrderWaitUserPay:               "服务单待支付",
}

// value returns a value of an enumeration, in Chinese with its name.
func (l language) value(value string) string {
	if name, ok := enumValues[value]; ok && l == chinese {
		return name + "（" + value + "）"
	}
	return value
}

func (l language) operation(operation wechatpay.OperateType) string {
	if name, ok := operations[operation]; ok && l == chinese {
		return name
	}
	return string(operation)
}
