package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/wechatpay-complaints/wechatpay"
)

var resolveHelp = words{`approve：同意退款、退款、回复用户；退款到账后投诉单自动变为已处理完成。reject：拒绝退款、
回复用户。微信支付不接受审批时，改为退款（仅 approve）、回复用户、反馈处理完成。
已完成的步骤不会重复执行，因此可以重复运行，也可以在中断后或结果未知时再次运行。
`, `approve: approve the refund request, pay the refund, reply; the complaint becomes
PROCESSED when the refund arrives. reject: reject the refund request, reply. If WeChat
Pay does not take the decision for this complaint, it is refunded (approve only),
replied to and completed instead. Steps that are done are not repeated, so the command
may be run again, also after it was interrupted or the outcome was unknown.
`}

func resolve(a *app, flags *flag.FlagSet) func(context.Context) error {
	var req wechatpay.ResolveRequest
	refund := new(wechatpay.RefundComplaintRequest)
	a.yesFlag(flags)
	flags.StringVar(&req.Reply, "reply", "", a.of(words{
		"回复用户的`内容`，最多 500 字（默认：不回复，反馈处理完成所必需时除外）",
		"`text` of the reply, at most 500 characters (default: none, unless completing requires one)"}))
	reason := flags.String("reason", "", a.of(words{
		"拒绝`理由`，用户可见，最多 200 字（reject 必填）",
		"`reason` of a rejection, shown to the user, at most 200 characters (required with reject)"}))
	a.refundFlags(flags, refund)
	flags.IntVar(&req.Round, "round", 0, a.of(words{
		"针对第几次投诉（`次数`）；日后再次运行时应指定（默认：当前次数）",
		"`number` of the round to resolve; set it for later runs (default: the current one)"}))
	return func(ctx context.Context) error {
		switch action := a.args[1]; {
		case action == "approve" && *reason != "":
			return a.usagef(words{"--reason 需与 reject 一起使用", "--reason requires reject"})
		case action == "approve":
			req.Decision, req.Refund = wechatpay.ApproveRefund(0), refund
		case action != "reject":
			return a.usagef(words{"resolve：未知操作 %q，应为 approve 或 reject", "resolve: unknown action %q: use approve or reject"}, action)
		case *refund != wechatpay.RefundComplaintRequest{Attempt: 1}:
			return a.usagef(words{
				"--amount、--order、--attempt 需与 approve 一起使用",
				"--amount, --order and --attempt require approve"})
		default:
			if err := a.requireFlag("reason", *reason); err != nil {
				return err
			}
			req.Decision = wechatpay.RejectRefund(*reason)
		}
		if err := a.confirmResolve(ctx, &req); err != nil {
			return err
		}
		return a.resolve(ctx, &req)
	}
}

// confirmResolve asks for confirmation. It sets the round and the amount of the
// request as shown, also with --yes: a complaint may change, and a second run must
// mean the same.
func (a *app) confirmResolve(ctx context.Context, req *wechatpay.ResolveRequest) error {
	question := func(c *wechatpay.Complaint) (string, error) { return a.resolveQuestion(c, req) }
	if !a.yes {
		return a.confirmFor(ctx, question)
	}
	c, err := a.client.ComplaintsV2.Get(ctx, a.args[0])
	if err != nil {
		return err
	}
	_, err = question(c)
	return err
}

func (a *app) resolveQuestion(c *wechatpay.Complaint, req *wechatpay.ResolveRequest) (question string, err error) {
	if refund := req.Refund; refund != nil {
		refund.Round = req.Round
		if question, err = a.refundQuestion(c, refund); err != nil {
			return "", err
		}
		question = a.of(words{"同意退款。%s", "Approve the refund request. %s"}, question)
	} else {
		question = a.of(words{"拒绝退款：%s", "Reject the refund request: %s"}, req.Decision.RejectReason)
	}
	if req.Round == 0 {
		req.Round = c.UserComplaintTimes
	}
	if req.Reply != "" {
		question += a.of(words{"。回复用户 %q", ". Reply to the user %q"}, req.Reply)
	}
	return question, nil
}

// resolve calls Resolve and prints what it did.
func (a *app) resolve(ctx context.Context, req *wechatpay.ResolveRequest) error {
	done, err := a.client.ComplaintsV2.Resolve(ctx, a.args[0], req)
	if errors.Is(err, wechatpay.ErrOutcomeUnknown) {
		a.retryFlags = fmt.Sprintf("--round %d", req.Round)
		if req.Refund != nil {
			a.retryFlags += fmt.Sprintf(" --amount %dfen", req.Refund.Amount)
		}
	}
	if err != nil {
		return a.explainClosed(err)
	}
	for _, step := range done.Steps {
		fmt.Fprintln(a.stdout, a.stepDone(step, req.Decision.Action))
	}
	if r := done.Refund; r != nil {
		a.printRefund(r)
	}
	switch {
	case done.Done:
		fmt.Fprintln(a.stdout, a.of(words{"投诉单已处理完成。", "The complaint is resolved."}))
	case done.Refund != nil && done.Refund.Status == wechatpay.RefundStatusAbnormal:
		fmt.Fprintln(a.stdout, a.of(words{
			"退款异常，请在商户平台处理。",
			"The bank rejected the refund: resolve it in the merchant platform."}))
	default:
		fmt.Fprintln(a.stdout, a.of(words{
			"等待退款到账，到账后投诉单自动变为已处理完成。",
			"Waiting for the refund to arrive: the complaint then becomes PROCESSED."}))
	}
	return nil
}

func (l language) stepDone(step wechatpay.ResolveStep, action wechatpay.RefundAction) string {
	switch step {
	case wechatpay.ResolveStepDecide:
		if action == wechatpay.RefundReject {
			return l.of(words{"已拒绝退款。", "The refund request was rejected."})
		}
		return l.of(words{"已同意退款。", "The refund request was approved."})
	case wechatpay.ResolveStepRefund:
		return l.of(words{"已发起退款。", "The refund was created."})
	case wechatpay.ResolveStepReply:
		return l.of(words{"已回复用户。", "The reply was sent."})
	case wechatpay.ResolveStepComplete:
		return l.of(words{"已反馈处理完成。", "The complaint was completed."})
	}
	return string(step)
}
