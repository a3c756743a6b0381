package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/term"

	"github.com/wechatpay-complaints/wechatpay"
)

// The commands that change something. Each asks before it acts.

func approve(a *app, flags *flag.FlagSet) func(context.Context) error {
	a.yesFlag(flags)
	day := flags.Int("launch-refund-day", 0, a.of(words{
		"几个`工作日`内发起退款，0 表示当天；不写就不说明",
		"in how many working `days` the refund is launched, 0 being today; left out, none is named"}))
	remark := a.remarkFlag(flags)
	return func(ctx context.Context) error {
		req := &wechatpay.UpdateRefundProgressRequest{Action: wechatpay.RefundApprove, Remark: *remark}
		promise := a.of(words{"不说明何时发起", "no day is named"})
		flags.Visit(func(f *flag.Flag) {
			if f.Name != "launch-refund-day" {
				return
			}
			req.LaunchRefundDay = day
			promise = a.of(words{"%d 个工作日内发起", "it is launched in %d working day(s)"}, *day)
			if *day > 30 {
				promise = a.of(words{"%d 个工作日内发起（超过 30 天，请核对）", "it is launched in %d working days (more than 30: please check)"}, *day)
			}
		})
		if err := a.askAbout(ctx, asking(a.of(words{"同意这笔退款：%s", "Approve this refund: %s"}, promise))); err != nil {
			return err
		}
		if err := a.client.ComplaintsV2.UpdateRefundProgress(ctx, a.args[0], req); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout, a.of(words{"已同意，资金尚未变动：请用 refund 发起退款。", "Approved. No money has moved: refund pays it."}))
		return nil
	}
}

func reject(a *app, flags *flag.FlagSet) func(context.Context) error {
	a.yesFlag(flags)
	reason := flags.String("reason", "", a.of(words{
		"拒绝的`理由`，用户看得到，最多 200 字（必填）",
		"the `reason`, which the user sees, at most 200 characters (required)"}))
	remark := a.remarkFlag(flags)
	pictures := a.pictureFlag(flags)
	return func(ctx context.Context) error {
		if err := a.mustBeSet("reason", *reason); err != nil {
			return err
		}
		if err := a.check(*pictures); err != nil {
			return err
		}
		question := a.of(words{
			"拒绝退款并关闭投诉单，理由是 %q，附 %d 张图片",
			"Reject this refund and close the complaint, because %q, with %d picture(s)"}, *reason, len(*pictures))
		if err := a.askAbout(ctx, asking(question)); err != nil {
			return err
		}
		mediaIDs, err := a.upload(ctx, *pictures)
		if err != nil {
			return err
		}
		req := wechatpay.RejectRefund(*reason, mediaIDs...)
		req.Remark = *remark
		if err := a.client.ComplaintsV2.UpdateRefundProgress(ctx, a.args[0], req); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout, a.of(words{
			"已拒绝。投诉单已关闭，用户可以再次投诉。",
			"Rejected. The complaint is closed; the user may file it again."}))
		return nil
	}
}

var replyHelp = words{`show 显示“需要即时服务”的投诉单用 -immediate 回复。结果未知时，用给出的
-idempotent-id 原样再执行一次，只会发一次；普通回复没有这个保证。
`, `A complaint of which show says that a fast answer is due is answered with
-immediate. If the outcome is unknown, repeat the command with the -idempotent-id
that it prints, and it is sent once; an ordinary reply has no such promise.
`}

func reply(a *app, flags *flag.FlagSet) func(context.Context) error {
	a.yesFlag(flags)
	content := flags.String("content", "", a.of(words{
		"回复的`内容`，最多 500 字（必填）", "the `text`, at most 500 characters (required)"}))
	immediate := flags.Bool("immediate", false, a.of(words{
		"即时服务回复：用于需要即时服务的投诉单", "as the fast answer that is due to a complaint of immediate service"}))
	idempotentID := flags.String("idempotent-id", "", a.of(words{
		"和 -immediate 一起用：上次结果未知时给出的`幂等ID`，不会重复发送",
		"with -immediate: the `id` that was printed with an unknown outcome, so that it is sent once"}))
	mchID := a.mchIDFlag(flags)
	pictures := a.pictureFlag(flags)
	return func(ctx context.Context) error {
		if err := a.mustBeSet("content", *content); err != nil {
			return err
		}
		if *idempotentID != "" && !*immediate {
			return a.usagef(words{"-idempotent-id 要和 -immediate 一起用", "-idempotent-id goes with -immediate"})
		}
		if err := a.check(*pictures); err != nil {
			return err
		}
		question := words{"给用户发送 %q，附 %d 张图片", "Send the user %q, with %d picture(s)"}
		if *immediate {
			question = words{"给用户发送即时服务回复 %q，附 %d 张图片", "Send the user the immediate answer %q, with %d picture(s)"}
		}
		if err := a.askAbout(ctx, asking(a.of(question, *content, len(*pictures)))); err != nil {
			return err
		}
		mediaIDs, err := a.upload(ctx, *pictures)
		if err != nil {
			return err
		}
		if *immediate {
			err = a.replyImmediately(ctx, *content, mediaIDs, *idempotentID, *mchID)
		} else {
			req := &wechatpay.RespondRequest{ComplaintedMchID: *mchID, ResponseContent: *content, ResponseImages: mediaIDs}
			err = a.client.ComplaintsV2.Respond(ctx, a.args[0], req)
		}
		if err != nil {
			return err
		}
		fmt.Fprintln(a.stdout, a.of(words{"已发送。", "Sent."}))
		return nil
	}
}

func (a *app) replyImmediately(ctx context.Context, content string, mediaIDs []string, idempotentID, mchID string) error {
	blocks := []wechatpay.MessageBlock{wechatpay.TextBlock(content)}
	for _, mediaID := range mediaIDs {
		blocks = append(blocks, wechatpay.ImageBlock(mediaID))
	}
	_, err := a.client.ComplaintsV2.RespondImmediateService(ctx, a.args[0], &wechatpay.ImmediateServiceRequest{
		ComplaintedMchID: mchID, Message: wechatpay.NewMessage(blocks...), IdempotentID: idempotentID,
	})
	var unknown *wechatpay.OutcomeUnknownError
	if errors.As(err, &unknown) && unknown.IdempotencyKey != "" {
		a.again = "-idempotent-id " + unknown.IdempotencyKey
	}
	return err
}

func complete(a *app, flags *flag.FlagSet) func(context.Context) error {
	a.yesFlag(flags)
	mchID := a.mchIDFlag(flags)
	return func(ctx context.Context) error {
		question := a.of(words{"反馈处理完成（用户会收到评价邀请）", "Declare this complaint solved (the user is asked for a rating)"})
		if err := a.askAbout(ctx, asking(question)); err != nil {
			return err
		}
		if err := a.client.ComplaintsV2.Complete(ctx, a.args[0], &wechatpay.CompleteRequest{ComplaintedMchID: *mchID}); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout, a.of(words{"已反馈处理完成。", "Complete."}))
		return nil
	}
}

var refundHelp = words{`同一笔退款无论执行多少次、在多少台机器上执行，最多退一次。结果未知时，加上
它给出的参数再执行一次；不加的话，用户若再次投诉，会再退一笔。投诉单已经退过款
（不论由谁退）会被拒绝。退款单状态为 CLOSED 后，用 -attempt 2 再退。
`, `The refund is paid at most once, however often and from however many machines
the command runs. If its outcome is unknown, repeat it with the flags that it
prints: without, a new filing would be paid too. It is refused if the complaint
is refunded already, by whomever. After a refund that was CLOSED use -attempt 2.
`}

func refund(a *app, flags *flag.FlagSet) func(context.Context) error {
	var req wechatpay.RefundComplaintRequest
	a.yesFlag(flags)
	flags.Func("amount", a.of(words{
		"退款`金额`：以元为单位写两位小数，如 10.00；或者以分为单位，如 1000fen（默认：用户申请的金额）",
		"the `amount`: yuan with two decimals, such as 10.00, or fen, such as 1000fen (default: what the user asks for)"}), func(s string) (err error) {
		req.Amount, err = a.parseAmount(s)
		return err
	})
	flags.BoolVar(&req.AllowMoreThanApplied, "more-than-applied", false, a.of(words{"允许超过用户申请的金额", "allow more than the user asks for"}))
	flags.StringVar(&req.TransactionID, "order", "", a.of(words{
		"微信支付`订单号`（默认：投诉单里唯一的订单）",
		"WeChat Pay's `number` of the order (default: the only one of the complaint)"}))
	flags.StringVar(&req.Reason, "reason", "", a.of(words{
		"退款`原因`，用户看得到，最多 80 字节", "the `reason`, which the user sees, at most 80 bytes"}))
	flags.IntVar(&req.Attempt, "attempt", 1, a.of(words{
		"第`几次`尝试：第一笔退款 CLOSED 后写 2，第二笔也 CLOSED 后写 3，以此类推（默认：1）",
		"`number`: 2 after the first refund was CLOSED, 3 after the second, and so on (default: 1)"}))
	flags.IntVar(&req.Round, "round", 0, a.of(words{
		"针对用户的第`几次`投诉；隔了一段时间重试时要写，以防用户又投诉一次（默认：确认时看到的那次，加 -yes 时是当前这次）",
		"`number`: for which of the user's filings; name it when you repeat the command later, since the user may file again (default: the one that was shown, with -yes the present one)"}))
	flags.StringVar(&req.OutRefundNo, "out-refund-no", "", a.of(words{
		"自定的商户`退款单号`；重试时要写同一个（默认：由投诉单号、订单等算出）",
		"a refund `number` of your own, the same whenever it is repeated (default: derived from complaint and order)"}))
	flags.StringVar(&req.NotifyURL, "notify-url", "", a.of(words{"接收这笔退款结果通知的 `URL`", "`URL` for the notifications about this refund"}))
	flags.StringVar(&req.SubMchID, "sub-mchid", "", a.of(words{
		"服务商：订单所属的子`商户号`（默认：被诉商户号）",
		"service providers: the `number` of the merchant whose order it is (default: the one complained of)"}))
	return func(ctx context.Context) error {
		if req.Attempt < 1 {
			return a.usagef(words{"-attempt 是 %d：从 1 数起", "-attempt is %d: they count from 1"}, req.Attempt)
		}
		if err := a.askAbout(ctx, func(c *wechatpay.Complaint) (string, error) { return a.refundQuestion(c, &req) }); err != nil {
			return err
		}
		r, err := a.client.ComplaintsV2.Refund(ctx, a.args[0], &req)
		if err != nil {
			a.again = refundAgain(&req, err)
			return err
		}
		fmt.Fprintln(a.stdout, a.of(words{"退款单 %s，金额 %s，状态 %s。", "Refund %s of %s is %s."}, clean(r.OutRefundNo), a.yuan(r.Amount.Refund), clean(string(r.Status))))
		if r.Status == wechatpay.RefundStatusClosed {
			return a.errorf(words{
				"这笔退款已彻底失败：-attempt 写下一个数再退",
				"that refund failed for good: -attempt with the next number tries another one"})
		}
		return nil
	}
}

// refundQuestion asks for the amount that is paid. What was shown goes into the
// request: the user may change it before the complaint is read again.
func (a *app) refundQuestion(c *wechatpay.Complaint, req *wechatpay.RefundComplaintRequest) (string, error) {
	// What a user applied for means something only where a refund is asked for.
	if kind := c.ProblemType; req.Amount == 0 && (kind == wechatpay.ProblemTypeRefund || kind == "") {
		req.Amount = c.ApplyRefundAmount
	}
	if req.Amount == 0 {
		return "", a.errorf(words{
			"没有动钱：投诉单没有写用户申请退多少，用 -amount 写明金额",
			"no money was moved: the complaint does not say how much the user asks for: say -amount"})
	}
	question := a.of(words{"退款 %s", "PAY BACK %s"}, a.yuan(req.Amount))
	if req.TransactionID != "" {
		question += a.of(words{"，订单 %s", " of order %s"}, req.TransactionID)
	}
	if req.Round == 0 {
		req.Round = c.UserComplaintTimes
	} else {
		question += a.of(words{"，针对第 %d 次投诉", " for filing %d"}, req.Round)
	}
	return question, nil
}

// refundAgain is what the command is repeated with if its outcome is unknown,
// beside its own flags: what was decided on, and not what the complaint may say
// by then.
func refundAgain(req *wechatpay.RefundComplaintRequest, err error) string {
	var unknown *wechatpay.OutcomeUnknownError
	if !errors.As(err, &unknown) {
		return ""
	}
	var flags []string
	round := req.Round
	if parts := strings.Split(unknown.IdempotencyKey, "-"); round == 0 && req.OutRefundNo == "" && len(parts) == 3 {
		round, _ = strconv.Atoi(parts[1]) // of a derived number: see ComplaintsV2.Refund
	}
	if round > 0 {
		flags = append(flags, fmt.Sprintf("-round %d", round))
	}
	if req.Amount > 0 {
		flags = append(flags, fmt.Sprintf("-amount %dfen", req.Amount))
	}
	return strings.Join(flags, " ")
}

func notificationURL(a *app, flags *flag.FlagSet) func(context.Context) error {
	a.yesFlag(flags)
	return func(ctx context.Context) error {
		service := a.client.ComplaintsV2
		what, url := a.args[0], ""
		if len(a.args) > 1 {
			url = a.args[1]
		}
		takesURL := what == "set" || what == "update"
		switch {
		case !takesURL && what != "get" && what != "delete":
			return a.usagef(words{
				"notification-url：没有 %q，只有 get、set、update、delete",
				"notification-url: there is no %q: it is get, set, update or delete"}, what)
		case takesURL && url == "":
			return a.usagef(words{"notification-url：%s 后面要写 URL", "notification-url: %s takes the URL"}, what)
		case !takesURL && url != "":
			return a.usagef(words{"notification-url：%s 后面不写 URL", "notification-url: %s takes no URL"}, what)
		}
		var set *wechatpay.NotificationURL
		var err error
		switch what {
		case "get":
			set, err = service.NotificationURL(ctx)
			var refusal *wechatpay.APIError
			if errors.As(err, &refusal) && refusal.Code == wechatpay.ErrorCodeResourceNotExists {
				return a.errorf(words{"还没有设置投诉通知回调地址：%w", "none is set: %w"}, err)
			}
		case "set":
			if err = a.ask(ctx, a.of(words{"把投诉通知回调地址设为 %s", "Send notifications about complaints to %s"}, url)); err == nil {
				set, err = service.CreateNotificationURL(ctx, url)
			}
		case "update":
			if err = a.ask(ctx, a.of(words{"把投诉通知回调地址改为 %s", "From now on send notifications about complaints to %s"}, url)); err == nil {
				set, err = service.UpdateNotificationURL(ctx, url)
			}
		case "delete":
			if err = a.ask(ctx, a.of(words{"删除投诉通知回调地址，不再接收投诉通知", "Send no notifications about complaints any more"})); err == nil {
				err = service.DeleteNotificationURL(ctx)
			}
		}
		switch {
		case err != nil:
			return err
		case what == "get":
			_, err = fmt.Fprintln(a.stdout, clean(set.URL))
			return err
		case set == nil:
			fmt.Fprintln(a.stdout, a.of(words{"已删除。", "Deleted."}))
		default:
			fmt.Fprintln(a.stdout, clean(set.URL))
		}
		return nil
	}
}

func (a *app) yesFlag(flags *flag.FlagSet) {
	flags.BoolVar(&a.yes, "yes", false, a.of(words{"不询问，直接执行", "do not ask"}))
}

func (l language) remarkFlag(flags *flag.FlagSet) *string {
	return flags.String("remark", "", l.of(words{
		"给微信支付客服看的`备注`，最多 200 字", "a `note` for WeChat Pay's staff, at most 200 characters"}))
}

func (l language) mchIDFlag(flags *flag.FlagSet) *string {
	return flags.String("mchid", "", l.of(words{
		"服务商：被诉`商户号`（默认：WECHATPAY_MCHID）",
		"service providers: the `number` of the merchant complained of (default: WECHATPAY_MCHID)"}))
}

// files are the pictures of a rejection or a reply.
type files []string

func (l language) pictureFlag(flags *flag.FlagSet) *files {
	pictures := new(files)
	flags.Func("image", l.of(words{
		"图片`文件`（jpg、png 或 bmp，不超过 2 MiB）；可以写多次，最多 4 张",
		"a picture `file` (jpg, png or bmp, 2 MiB at most); repeat it for up to 4"}), func(name string) error {
		*pictures = append(*pictures, name)
		return nil
	})
	return pictures
}

// check finds what cannot be uploaded, as far as name and size tell, before
// anybody is asked.
func (l language) check(pictures files) error {
	if len(pictures) > 4 {
		return l.usagef(words{"写了 %d 次 -image，最多 4 次", "%d times -image, and 4 are allowed"}, len(pictures))
	}
	for _, name := range pictures {
		info, err := os.Stat(name)
		switch {
		case err != nil:
			return l.usagef(words{"-image：%v", "-image: %v"}, err)
		case !info.Mode().IsRegular():
			return l.usagef(words{"-image：%s 不是文件", "-image: %s is no file"}, name)
		case info.Size() == 0 || info.Size() > 2<<20:
			return l.usagef(words{"-image：%s 有 %d 字节，应在 1 字节到 2 MiB 之间", "-image: %s has %d bytes, and 1 byte to 2 MiB are allowed"}, name, info.Size())
		}
		switch strings.ToLower(filepath.Ext(name)) {
		case ".jpg", ".jpeg", ".png", ".bmp":
		default:
			return l.usagef(words{"-image：%s 不是 jpg、png 或 bmp 文件", "-image: %s is no jpg, png or bmp file"}, name)
		}
	}
	return nil
}

// upload uploads the pictures, and gives their media ids.
func (a *app) upload(ctx context.Context, names files) (mediaIDs []string, err error) {
	for _, name := range names {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		mediaID, err := a.client.ComplaintsV2.UploadImage(ctx, name, file)
		file.Close()
		if errors.Is(err, wechatpay.ErrOutcomeUnknown) { // of a picture that nobody sees: nothing is at stake
			err = errors.New(err.Error())
		}
		if err != nil {
			return nil, a.errorf(words{
				"投诉单没有变化：图片 %s 没有上传成功：%w",
				"the complaint is unchanged: the picture %s is not uploaded: %w"}, name, err)
		}
		mediaIDs = append(mediaIDs, mediaID)
	}
	return mediaIDs, nil
}

// asking is the question of a command that is the same for every complaint.
func asking(question string) func(*wechatpay.Complaint) (string, error) {
	return func(*wechatpay.Complaint) (string, error) { return question, nil }
}

// askAbout shows the complaint that the command names, and asks what question
// makes of it.
func (a *app) askAbout(ctx context.Context, question func(*wechatpay.Complaint) (string, error)) error {
	if a.yes {
		return nil
	}
	if err := a.canAsk(); err != nil {
		return err
	}
	c, err := a.client.ComplaintsV2.Get(ctx, a.args[0])
	if err != nil {
		return err
	}
	c.PayerPhone = a.phoneOf(c)
	if err := a.printComplaint(a.stderr, c); err != nil {
		return err
	}
	what, err := question(c)
	if err != nil {
		return err
	}
	return a.ask(ctx, what)
}

func (a *app) canAsk() error {
	if term.IsTerminal(int(a.stdin.Fd())) {
		return nil
	}
	return a.usagef(words{
		"没有终端可以询问，什么也没有做：加 -yes 可以不询问直接执行",
		"there is no terminal to ask on: nothing was done; -yes does it without asking"})
}

// ask gives nil if the answer is yes.
func (a *app) ask(ctx context.Context, what string) error {
	if a.yes {
		return nil
	}
	if err := a.canAsk(); err != nil {
		return err
	}
	fmt.Fprint(a.stderr, a.of(words{"%s？[y/N] ", "%s? [y/N] "}, clean(what)))
	answer := make(chan string, 1)
	go func() { // which a terminal may keep for ever, and the program ends all the same
		line, _ := bufio.NewReader(a.stdin).ReadString('\n')
		answer <- line
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(a.stderr)
		return a.errorf(words{"没有确认，什么也没有做：%w", "not confirmed: nothing was done: %w"}, ctx.Err())
	case line := <-answer:
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes", "是":
			return nil
		}
		return a.errorf(words{"没有确认，什么也没有做", "not confirmed: nothing was done"})
	}
}
