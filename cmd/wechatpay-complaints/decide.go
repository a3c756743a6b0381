package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/wechatpay-complaints/wechatpay"
)

// The commands that change something. Each asks before it acts.

func approve(a *app, flags *flag.FlagSet) func(context.Context) error {
	a.yesFlag(flags)
	day := flags.Int("launch-refund-day", 0, "in how many working `days` the refund is launched, 0 being today; left out, none is named")
	remark := flags.String("remark", "", "a `note` for WeChat Pay's staff, at most 200 characters")
	return func(ctx context.Context) error {
		req := &wechatpay.UpdateRefundProgressRequest{Action: wechatpay.RefundApprove, Remark: *remark}
		promise := "no day is named"
		flags.Visit(func(f *flag.Flag) {
			if f.Name == "launch-refund-day" {
				req.LaunchRefundDay = day
				promise = fmt.Sprintf("it is launched in %d working day(s)", *day)
			}
		})
		if err := a.askAbout(ctx, "Approve this refund: "+promise); err != nil {
			return err
		}
		if err := a.client.ComplaintsV2.UpdateRefundProgress(ctx, a.args[0], req); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout, "Approved. No money has moved: refund pays it.")
		return nil
	}
}

func reject(a *app, flags *flag.FlagSet) func(context.Context) error {
	a.yesFlag(flags)
	reason := flags.String("reason", "", "the `reason`, which the user sees, at most 200 characters (required)")
	remark := flags.String("remark", "", "a `note` for WeChat Pay's staff, at most 200 characters")
	pictures := pictureFlag(flags)
	return func(ctx context.Context) error {
		if err := mustBeSet("reason", *reason); err != nil {
			return err
		}
		if err := pictures.check(); err != nil {
			return err
		}
		if err := a.askAbout(ctx, fmt.Sprintf("Reject this refund and close the complaint, because %q, with %d picture(s)", *reason, len(*pictures))); err != nil {
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
		fmt.Fprintln(a.stdout, "Rejected. The complaint is closed; the user may file it again.")
		return nil
	}
}

func reply(a *app, flags *flag.FlagSet) func(context.Context) error {
	a.yesFlag(flags)
	content := flags.String("content", "", "the `text`, at most 500 characters (required)")
	mchID := mchIDFlag(flags)
	pictures := pictureFlag(flags)
	return func(ctx context.Context) error {
		if err := mustBeSet("content", *content); err != nil {
			return err
		}
		if err := pictures.check(); err != nil {
			return err
		}
		if err := a.askAbout(ctx, fmt.Sprintf("Send the user %q, with %d picture(s)", *content, len(*pictures))); err != nil {
			return err
		}
		mediaIDs, err := a.upload(ctx, *pictures)
		if err != nil {
			return err
		}
		req := &wechatpay.RespondRequest{ComplaintedMchID: *mchID, ResponseContent: *content, ResponseImages: mediaIDs}
		if err := a.client.ComplaintsV2.Respond(ctx, a.args[0], req); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout, "Sent.")
		return nil
	}
}

func complete(a *app, flags *flag.FlagSet) func(context.Context) error {
	a.yesFlag(flags)
	mchID := mchIDFlag(flags)
	return func(ctx context.Context) error {
		if err := a.askAbout(ctx, "Declare this complaint solved (the user is asked for a rating)"); err != nil {
			return err
		}
		if err := a.client.ComplaintsV2.Complete(ctx, a.args[0], *mchID); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout, "Complete.")
		return nil
	}
}

const refundHelp = `The refund is paid at most once, however often and from however many machines
the command runs: repeat it as it is if its outcome is unknown. It is refused if
the complaint is refunded already, by whomever. After a refund that was CLOSED
use -attempt 2.
`

func refund(a *app, flags *flag.FlagSet) func(context.Context) error {
	var req wechatpay.RefundComplaintRequest
	a.yesFlag(flags)
	flags.Func("amount", "the `amount`: yuan with two decimals, such as 10.00, or fen, such as 1000fen (default: what the user asks for)", func(s string) (err error) {
		req.Amount, err = parseAmount(s)
		return err
	})
	flags.BoolVar(&req.MoreThanApplied, "more-than-applied", false, "allow more than the user asks for")
	flags.StringVar(&req.TransactionID, "order", "", "WeChat Pay's `number` of the order (default: the only one of the complaint)")
	flags.StringVar(&req.Reason, "reason", "", "the `reason`, which the user sees, at most 80 bytes")
	flags.IntVar(&req.Attempt, "attempt", 1, "2 after the first refund was CLOSED, 3 after the second, and so on")
	flags.StringVar(&req.NotifyURL, "notify-url", "", "`URL` for the notifications about this refund")
	flags.StringVar(&req.SubMchID, "sub-mchid", "", "service providers: the `number` of the merchant whose order it is (default: the one complained of)")
	return func(ctx context.Context) error {
		amount := "what the user asks for"
		if req.Amount > 0 {
			amount = yuan(req.Amount)
		}
		order := ""
		if req.TransactionID != "" {
			order = " of order " + req.TransactionID
		}
		if err := a.askAbout(ctx, fmt.Sprintf("PAY BACK %s%s", amount, order)); err != nil {
			return err
		}
		r, err := a.client.RefundComplaint(ctx, a.args[0], &req)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.stdout, "Refund %s of %s is %s.\n", clean(r.OutRefundNo), yuan(r.Amount.Refund), clean(string(r.Status)))
		if r.Status == wechatpay.RefundStatusClosed {
			return errors.New("that refund failed for good: -attempt with the next number tries another one")
		}
		return nil
	}
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
		case takesURL && url == "":
			return usagef("notification-url: %s takes the URL", what)
		case !takesURL && url != "":
			return usagef("notification-url: %s takes no URL", what)
		}
		var set *wechatpay.NotificationURL
		var err error
		switch what {
		case "get":
			set, err = service.NotificationURL(ctx)
			var refusal *wechatpay.APIError
			if errors.As(err, &refusal) && refusal.Code == wechatpay.ErrorCodeResourceNotExists {
				return fmt.Errorf("none is set: %w", err)
			}
		case "set":
			if err = a.ask(ctx, "Send notifications about complaints to "+url); err == nil {
				set, err = service.CreateNotificationURL(ctx, url)
			}
		case "update":
			if err = a.ask(ctx, "From now on send notifications about complaints to "+url); err == nil {
				set, err = service.UpdateNotificationURL(ctx, url)
			}
		case "delete":
			if err = a.ask(ctx, "Send no notifications about complaints any more"); err == nil {
				err = service.DeleteNotificationURL(ctx)
			}
		default:
			return usagef("notification-url: there is no %q: it is get, set, update or delete", what)
		}
		switch {
		case err != nil:
			return err
		case set == nil:
			fmt.Fprintln(a.stdout, "Deleted.")
		default:
			fmt.Fprintln(a.stdout, clean(set.URL))
		}
		return nil
	}
}

func (a *app) yesFlag(flags *flag.FlagSet) {
	flags.BoolVar(&a.yes, "yes", false, "do not ask")
}

func mchIDFlag(flags *flag.FlagSet) *string {
	return flags.String("mchid", "", "service providers: the `number` of the merchant complained of (default: WECHATPAY_MCHID)")
}

// files are the pictures of a rejection or a reply.
type files []string

func pictureFlag(flags *flag.FlagSet) *files {
	pictures := new(files)
	flags.Func("image", "a picture `file` (jpg, png or bmp, 2 MiB at most); repeat it for up to 4", func(name string) error {
		*pictures = append(*pictures, name)
		return nil
	})
	return pictures
}

// check finds what cannot be uploaded, before anybody is asked.
func (f files) check() error {
	if len(f) > 4 {
		return usagef("%d times -image, and 4 are allowed", len(f))
	}
	for _, name := range f {
		info, err := os.Stat(name)
		switch {
		case err != nil:
			return usagef("-image: %v", err)
		case !info.Mode().IsRegular():
			return usagef("-image: %s is no file", name)
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
			return nil, fmt.Errorf("nothing was done: the picture %s is not uploaded: %w", name, err)
		}
		mediaIDs = append(mediaIDs, mediaID)
	}
	return mediaIDs, nil
}

var errNotConfirmed = errors.New("not confirmed: nothing was done")

// askAbout shows the complaint that the command names before it asks.
func (a *app) askAbout(ctx context.Context, what string) error {
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
	printComplaint(a.stderr, c)
	return a.ask(ctx, what)
}

func (a *app) canAsk() error {
	if term.IsTerminal(int(a.stdin.Fd())) {
		return nil
	}
	return usagef("there is no terminal to ask on: nothing was done; -yes does it without asking")
}

// ask gives nil if the answer is yes.
func (a *app) ask(ctx context.Context, what string) error {
	if a.yes {
		return nil
	}
	if err := a.canAsk(); err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "%s? [y/N] ", clean(what))
	answer := make(chan string, 1)
	go func() { // which a terminal may keep for ever, and the program ends all the same
		line, _ := bufio.NewReader(a.stdin).ReadString('\n')
		answer <- line
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(a.stderr)
		return fmt.Errorf("%w: %w", errNotConfirmed, ctx.Err())
	case line := <-answer:
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes", "是":
			return nil
		}
		return errNotConfirmed
	}
}
