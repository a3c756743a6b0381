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

// Commands that make changes. Each asks for confirmation.

// maxUsualLaunchDay is the largest launch day that --yes accepts. WeChat Pay
// documents no limit. More is probably a mistake.
const maxUsualLaunchDay = 30

func approve(a *app, flags *flag.FlagSet) func(context.Context) error {
	a.yesFlag(flags)
	day := flags.Int("launch-refund-day", 0, a.of(words{
		"在几个`工作日`内发起退款，0 表示当天（默认：不说明）",
		"working `days` until the refund is launched, 0 for today (default: not stated)"}))
	remark := a.remarkFlag(flags)
	return func(ctx context.Context) error {
		req := &wechatpay.UpdateRefundProgressRequest{Action: wechatpay.RefundApprove, Remark: *remark}
		launch := a.of(words{"不说明发起时间", "launch day not stated"})
		flags.Visit(func(f *flag.Flag) {
			if f.Name != "launch-refund-day" {
				return
			}
			req.LaunchRefundDay = day
			launch = a.of(words{"%d 个工作日内发起", "launched within %d working day(s)"}, *day)
			if *day > maxUsualLaunchDay {
				launch = a.of(words{"%d 个工作日内发起（超过 30 天，请核对）", "launched within %d working days (more than 30, please check)"}, *day)
			}
		})
		if a.yes && *day > maxUsualLaunchDay {
			return a.usagef(words{
				"--launch-refund-day %d 超过 30 个工作日：请核对；如确认无误，请在终端中执行，不加 --yes",
				"--launch-refund-day %d is more than 30 working days: if it is right, confirm it at a terminal, without --yes"}, *day)
		}
		if err := a.confirmFor(ctx, always(a.of(words{"同意退款：%s", "Approve the refund request, %s"}, launch))); err != nil {
			return err
		}
		if err := a.client.ComplaintsV2.UpdateRefundProgress(ctx, a.args[0], req); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout, a.of(words{"已同意退款，未发生资金变动：请用 refund 发起退款。", "Approved. No money was moved: use refund to pay."}))
		return nil
	}
}

func reject(a *app, flags *flag.FlagSet) func(context.Context) error {
	a.yesFlag(flags)
	reason := flags.String("reason", "", a.of(words{
		"拒绝`理由`，用户可见，最多 200 字（必填）",
		"`reason`, shown to the user, at most 200 characters (required)"}))
	remark := a.remarkFlag(flags)
	images := a.imageFlag(flags)
	return func(ctx context.Context) error {
		if err := a.requireFlag("reason", *reason); err != nil {
			return err
		}
		if err := a.checkImages(*images); err != nil {
			return err
		}
		question := a.of(words{
			"拒绝退款并关闭投诉单，理由 %q，附 %d 张图片",
			"Reject the refund request and close the complaint, reason %q, with %d image(s)"}, *reason, len(*images))
		if err := a.confirmFor(ctx, always(question)); err != nil {
			return err
		}
		mediaIDs, err := a.upload(ctx, *images)
		if err != nil {
			return err
		}
		req := wechatpay.RejectRefund(*reason, mediaIDs...)
		req.Remark = *remark
		if err := a.client.ComplaintsV2.UpdateRefundProgress(ctx, a.args[0], req); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout, a.of(words{
			"已拒绝退款，投诉单已关闭；用户可以再次投诉。",
			"Rejected. The complaint is closed; the user can file it again."}))
		return nil
	}
}

var replyHelp = words{`对于 show 显示需要即时服务的投诉单，请加 --immediate 回复。结果未知时，请加上输出的
--idempotent-id 重新执行，只会发送一次；普通回复没有此保证。
`, `Use --immediate for a complaint that requires immediate service (see show). If the
outcome is unknown, run the command again with the printed --idempotent-id to send
the reply at most once. Ordinary replies have no such guarantee.
`}

func reply(a *app, flags *flag.FlagSet) func(context.Context) error {
	a.yesFlag(flags)
	content := flags.String("content", "", a.of(words{
		"回复`内容`，最多 500 字（必填）", "`text` of the reply, at most 500 characters (required)"}))
	immediate := flags.Bool("immediate", false, a.of(words{
		"即时服务回复：用于需要即时服务的投诉单", "immediate-service reply, for complaints that require one"}))
	idempotentID := flags.String("idempotent-id", "", a.of(words{
		"与 --immediate 一起使用：上次结果未知时输出的`幂等ID`，避免重复发送",
		"with --immediate: the `id` printed after an unknown outcome, to send at most once"}))
	mchID := a.mchIDFlag(flags)
	images := a.imageFlag(flags)
	return func(ctx context.Context) error {
		if err := a.requireFlag("content", *content); err != nil {
			return err
		}
		if *idempotentID != "" && !*immediate {
			return a.usagef(words{"--idempotent-id 需与 --immediate 一起使用", "--idempotent-id requires --immediate"})
		}
		if err := a.checkImages(*images); err != nil {
			return err
		}
		question := words{"回复用户 %q，附 %d 张图片", "Reply to the user %q, with %d image(s)"}
		if *immediate {
			question = words{"以即时服务回复用户 %q，附 %d 张图片", "Send the immediate-service reply %q, with %d image(s)"}
		}
		if err := a.confirmFor(ctx, always(a.of(question, *content, len(*images)))); err != nil {
			return err
		}
		mediaIDs, err := a.upload(ctx, *images)
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
		ComplaintedMchID: mchID,
		Message:          wechatpay.NewMessage(blocks...),
		IdempotentID:     idempotentID,
	})
	var unknown *wechatpay.OutcomeUnknownError
	if errors.As(err, &unknown) && unknown.IdempotencyKey != "" {
		a.retryFlags = "--idempotent-id " + unknown.IdempotencyKey
	}
	return err
}

func complete(a *app, flags *flag.FlagSet) func(context.Context) error {
	a.yesFlag(flags)
	mchID := a.mchIDFlag(flags)
	return func(ctx context.Context) error {
		question := a.of(words{"反馈处理完成（用户会收到评价邀请）", "Complete the complaint (the user is asked for a rating)"})
		if err := a.confirmFor(ctx, always(question)); err != nil {
			return err
		}
		if err := a.client.ComplaintsV2.Complete(ctx, a.args[0], &wechatpay.CompleteRequest{ComplaintedMchID: *mchID}); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout, a.of(words{"已反馈处理完成。", "Completed."}))
		return nil
	}
}

var refundHelp = words{`同一笔退款无论执行多少次、在多少台机器上执行，最多只退一次。结果未知时，请加上
输出的选项重新执行；不加则用户再次投诉时会再退一笔。投诉单已退款的（无论由谁发起）
不再退款。退款单状态为 CLOSED 时，请加 --attempt 2 重新退款。
`, `A refund is paid at most once, however often and on however many machines the
command runs. If the outcome is unknown, run the command again with the printed
flags; without them, a new round would be refunded too. A complaint that is already
refunded, by anyone, is not refunded again. After a CLOSED refund, use --attempt 2.
`}

func refund(a *app, flags *flag.FlagSet) func(context.Context) error {
	var req wechatpay.RefundComplaintRequest
	a.yesFlag(flags)
	a.refundFlags(flags, &req)
	flags.BoolVar(&req.AllowMoreThanApplied, "more-than-applied", false, a.of(words{"允许超过用户申请的金额", "allow more than the amount applied for"}))
	flags.StringVar(&req.Reason, "reason", "", a.of(words{
		"退款`原因`，用户可见，最多 80 字节", "`reason`, shown to the user, at most 80 bytes"}))
	flags.IntVar(&req.Round, "round", 0, a.of(words{
		"针对第几次投诉（`次数`）；日后重试时应指定，以防用户再次投诉（默认：确认时显示的次数；加 --yes 时为当前次数）",
		"`number` of the round to refund; set it for later retries, because the user may file again (default: the round shown at confirmation; with --yes, the current one)"}))
	flags.StringVar(&req.OutRefundNo, "out-refund-no", "", a.of(words{
		"自定义的商户`退款单号`，重试时须相同（默认：由投诉单号、订单号等生成）",
		"your own refund `number`, the same in all retries (default: derived from complaint and order)"}))
	flags.StringVar(&req.NotifyURL, "notify-url", "", a.of(words{"接收该笔退款结果通知的 `URL`", "`URL` for the notifications about this refund"}))
	flags.StringVar(&req.SubMchID, "sub-mchid", "", a.of(words{
		"服务商：订单所属的子`商户号`（默认：被诉商户号）",
		"service providers: `number` of the merchant that owns the order (default: the merchant complained about)"}))
	return func(ctx context.Context) error {
		if req.Attempt < 1 {
			return a.usagef(words{"--attempt 应为 1 或更大，实际为 %d", "--attempt must be 1 or more, got %d"}, req.Attempt)
		}
		if err := a.confirmFor(ctx, func(c *wechatpay.Complaint) (string, error) { return a.refundQuestion(c, &req) }); err != nil {
			return err
		}
		r, err := a.client.ComplaintsV2.Refund(ctx, a.args[0], &req)
		if req.OutRefundNo == "" {
			err = a.explainClosed(err)
		}
		if err != nil {
			a.retryFlags = refundRetryFlags(&req, err)
			return err
		}
		a.printRefund(r)
		return nil
	}
}

// refundFlags adds the flags that select what a refund pays.
func (a *app) refundFlags(flags *flag.FlagSet, req *wechatpay.RefundComplaintRequest) {
	flags.Func("amount", a.of(words{
		"退款`金额`：以元为单位并保留两位小数（如 10.00），或以分为单位（如 1000fen）（默认：用户申请的金额）",
		"`amount` in yuan with two decimals (10.00) or in fen (1000fen) (default: the amount applied for)"}), func(s string) (err error) {
		req.Amount, err = a.parseAmount(s)
		return err
	})
	flags.StringVar(&req.TransactionID, "order", "", a.of(words{
		"微信支付`订单号`（默认：投诉单中唯一的订单）",
		"WeChat Pay's order `number` (default: the only order of the complaint)"}))
	flags.IntVar(&req.Attempt, "attempt", 1, a.of(words{
		"退款的`序号`：第一笔退款 CLOSED 后为 2，第二笔也 CLOSED 后为 3，以此类推（默认：1）",
		"attempt `number`: 2 after the first refund was CLOSED, 3 after the second, and so on (default: 1)"}))
}

func (a *app) printRefund(r *wechatpay.Refund) {
	fmt.Fprintln(a.stdout, a.of(words{"退款单 %s，金额 %s，状态 %s。", "Refund %s of %s is %s."},
		clean(r.OutRefundNo), a.yuan(r.Amount.Refund), clean(a.value(string(r.Status)))))
}

// explainClosed replaces the error of a refund that is CLOSED by one that names
// the flag to set.
func (l language) explainClosed(err error) error {
	var refused *wechatpay.RefundRefusedError
	if !errors.As(err, &refused) || refused.Reason != wechatpay.RefundRefusedReasonClosed {
		return err
	}
	return l.errorf(words{
		"未发生资金变动：该笔退款已永久失败（CLOSED），如需重新退款，请将 --attempt 加 1",
		"no money was moved: this refund failed permanently (CLOSED): to try again, increase --attempt by 1"})
}

// refundQuestion returns the question for confirmation. It sets the amount and
// the round of the request as shown, because the complaint may change before it
// is read again.
func (a *app) refundQuestion(c *wechatpay.Complaint, req *wechatpay.RefundComplaintRequest) (string, error) {
	// ApplyRefundAmount is only meaningful for a refund request.
	if kind := c.ProblemType; req.Amount == 0 && (kind == wechatpay.ProblemTypeRefund || kind == "") {
		req.Amount = c.ApplyRefundAmount
	}
	if req.Amount == 0 {
		return "", a.errorf(words{
			"未发生资金变动：投诉单未注明申请退款的金额，请用 --amount 指定",
			"no money was moved: the complaint has no amount applied for: set --amount"})
	}
	question := a.of(words{"退款 %s", "Refund %s"}, a.yuan(req.Amount))
	if req.TransactionID != "" {
		question += a.of(words{"，订单 %s", " of order %s"}, req.TransactionID)
	}
	if req.Round == 0 {
		req.Round = c.UserComplaintTimes
	} else {
		question += a.of(words{"，针对第 %d 次投诉", " for round %d"}, req.Round)
	}
	return question, nil
}

// refundRetryFlags returns the flags to add when a refund with an unknown outcome
// is retried. They fix the round and the amount, which may change in the
// complaint.
func refundRetryFlags(req *wechatpay.RefundComplaintRequest, err error) string {
	var unknown *wechatpay.OutcomeUnknownError
	if !errors.As(err, &unknown) {
		return ""
	}
	var flags []string
	round := req.Round
	if parts := strings.Split(unknown.IdempotencyKey, "-"); round == 0 && req.OutRefundNo == "" && len(parts) == 3 {
		round, _ = strconv.Atoi(parts[1]) // derived number: see ComplaintsV2.Refund
	}
	if round > 0 {
		flags = append(flags, fmt.Sprintf("--round %d", round))
	}
	if req.Amount > 0 {
		flags = append(flags, fmt.Sprintf("--amount %dfen", req.Amount))
	}
	return strings.Join(flags, " ")
}

func notificationURL(a *app, flags *flag.FlagSet) func(context.Context) error {
	a.yesFlag(flags)
	return func(ctx context.Context) error {
		service := a.client.ComplaintsV2
		action, url := a.args[0], ""
		if len(a.args) > 1 {
			url = a.args[1]
		}
		takesURL := action == "set" || action == "update"
		switch {
		case !takesURL && action != "get" && action != "delete":
			return a.usagef(words{
				"notification-url：未知操作 %q，应为 get、set、update 或 delete",
				"notification-url: unknown action %q: use get, set, update or delete"}, action)
		case takesURL && url == "":
			return a.usagef(words{"notification-url：%s 缺少 URL", "notification-url: %s requires a URL"}, action)
		case !takesURL && url != "":
			return a.usagef(words{"notification-url：%s 不接受 URL", "notification-url: %s takes no URL"}, action)
		}
		var set *wechatpay.NotificationURL
		var err error
		switch action {
		case "get":
			set, err = service.NotificationURL(ctx)
			var refusal *wechatpay.APIError
			if errors.As(err, &refusal) && refusal.Code == wechatpay.ErrorCodeResourceNotExists {
				return a.errorf(words{"尚未设置投诉通知回调地址：%w", "no notification URL is set: %w"}, err)
			}
		case "set":
			if err = a.confirm(ctx, a.of(words{"将投诉通知回调地址设为 %s", "Set the notification URL to %s"}, url)); err == nil {
				set, err = service.CreateNotificationURL(ctx, url)
			}
		case "update":
			if err = a.confirm(ctx, a.of(words{"将投诉通知回调地址改为 %s", "Change the notification URL to %s"}, url)); err == nil {
				set, err = service.UpdateNotificationURL(ctx, url)
			}
		case "delete":
			if err = a.confirm(ctx, a.of(words{"删除投诉通知回调地址，不再接收投诉通知", "Delete the notification URL and stop receiving notifications"})); err == nil {
				err = service.DeleteNotificationURL(ctx)
			}
		}
		switch {
		case err != nil:
			return err
		case action == "get":
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
	flags.BoolVar(&a.yes, "yes", false, a.of(words{"跳过确认，直接执行", "do not ask for confirmation"}))
}

func (l language) remarkFlag(flags *flag.FlagSet) *string {
	return flags.String("remark", "", l.of(words{
		"给微信支付客服的`备注`，最多 200 字", "`note` for WeChat Pay staff, at most 200 characters"}))
}

func (l language) mchIDFlag(flags *flag.FlagSet) *string {
	return flags.String("mchid", "", l.of(words{
		"服务商：被诉`商户号`（默认：WECHATPAY_MCHID）",
		"service providers: `number` of the merchant complained about (default: WECHATPAY_MCHID)"}))
}

// files are the images of a rejection or a reply.
type files []string

func (l language) imageFlag(flags *flag.FlagSet) *files {
	images := new(files)
	flags.Func("image", l.of(words{
		"图片`文件`（jpg、png 或 bmp，不超过 2 MiB）；可重复指定，最多 4 张",
		"image `file` (jpg, png or bmp, at most 2 MiB); may be repeated, at most 4"}), func(name string) error {
		*images = append(*images, name)
		return nil
	})
	return images
}

// checkImages checks the number, names and sizes of the images, before the
// confirmation.
func (l language) checkImages(images files) error {
	if len(images) > 4 {
		return l.usagef(words{"--image 指定了 %d 次，最多 4 次", "--image is given %d times, at most 4 are allowed"}, len(images))
	}
	for _, name := range images {
		info, err := os.Stat(name)
		switch {
		case err != nil:
			return l.usagef(words{"--image：%v", "--image: %v"}, err)
		case !info.Mode().IsRegular():
			return l.usagef(words{"--image：%s 不是普通文件", "--image: %s is not a regular file"}, name)
		case info.Size() == 0 || info.Size() > 2<<20:
			return l.usagef(words{"--image：%s 的大小为 %d 字节，应为 1 字节至 2 MiB", "--image: %s has %d bytes, must be 1 byte to 2 MiB"}, name, info.Size())
		}
		switch strings.ToLower(filepath.Ext(name)) {
		case ".jpg", ".jpeg", ".png", ".bmp":
		default:
			return l.usagef(words{"--image：%s 不是 jpg、png 或 bmp 文件", "--image: %s is not a jpg, png or bmp file"}, name)
		}
	}
	return nil
}

// upload uploads the images and returns their media ids.
func (a *app) upload(ctx context.Context, names files) (mediaIDs []string, err error) {
	for _, name := range names {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		mediaID, err := a.client.ComplaintsV2.UploadImage(ctx, name, file)
		file.Close()
		if errors.Is(err, wechatpay.ErrOutcomeUnknown) { // an unused image has no effect
			err = errors.New(err.Error())
		}
		if err != nil {
			return nil, a.errorf(words{
				"图片 %s 上传失败，投诉单未变更：%w",
				"image %s could not be uploaded, the complaint is unchanged: %w"}, name, err)
		}
		mediaIDs = append(mediaIDs, mediaID)
	}
	return mediaIDs, nil
}

// always returns a function that returns the same question for every complaint.
func always(question string) func(*wechatpay.Complaint) (string, error) {
	return func(*wechatpay.Complaint) (string, error) { return question, nil }
}

// confirmFor shows the complaint named on the command line and asks the question
// about it.
func (a *app) confirmFor(ctx context.Context, question func(*wechatpay.Complaint) (string, error)) error {
	if a.yes {
		return nil
	}
	if err := a.requireTerminal(); err != nil {
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
	text, err := question(c)
	if err != nil {
		return err
	}
	return a.confirm(ctx, text)
}

func (a *app) requireTerminal() error {
	if term.IsTerminal(int(a.stdin.Fd())) {
		return nil
	}
	return a.usagef(words{
		"标准输入不是终端，无法确认，未执行任何操作（可用 --yes 跳过确认）",
		"cannot prompt: stdin is not a terminal (use --yes)"})
}

// confirm asks a question. It returns nil if the answer is yes, or with --yes.
func (a *app) confirm(ctx context.Context, question string) error {
	if a.yes {
		return nil
	}
	if err := a.requireTerminal(); err != nil {
		return err
	}
	fmt.Fprint(a.stderr, a.of(words{"%s？[y/N] ", "%s? [y/N] "}, clean(question)))
	answer := make(chan string, 1)
	go func() { // may block until the program exits
		line, _ := bufio.NewReader(a.stdin).ReadString('\n')
		answer <- line
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(a.stderr)
		return a.errorf(words{"未确认，未执行任何操作：%w", "not confirmed, nothing was done: %w"}, ctx.Err())
	case line := <-answer:
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes", "是":
			return nil
		}
		return a.errorf(words{"未确认，未执行任何操作", "not confirmed, nothing was done"})
	}
}
