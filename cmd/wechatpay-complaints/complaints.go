package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
)

func list(a *app, flags *flag.FlagSet) func(context.Context) error {
	begin := flags.String("begin", "", "first `day` of filing, as 2006-01-02 in Beijing (default: 6 days before -end)")
	end := flags.String("end", "", "last `day` of filing (default: today)")
	state := flags.String("state", "", "only complaints in this `state`: PENDING, PROCESSING or PROCESSED")
	mchID := flags.String("mchid", "", "service providers: only complaints against this merchant `number`")
	flags.BoolVar(&a.json, "json", false, "print JSON, with the field names of WeChat Pay")
	flags.BoolVar(&a.phone, "phone", false, "with -json: show phone numbers in full, which are personal data")
	return func(ctx context.Context) error {
		req := wechatpay.ListComplaintsRequest{EndDate: time.Now(), ComplaintedMchID: *mchID}
		if err := day("end", *end, &req.EndDate); err != nil {
			return err
		}
		req.BeginDate = req.EndDate.AddDate(0, 0, -6)
		if err := day("begin", *begin, &req.BeginDate); err != nil {
			return err
		}
		if req.BeginDate.After(req.EndDate) {
			return usagef("-begin is after -end")
		}
		found := []wechatpay.Complaint{} // [] as JSON, not null
		for c, err := range a.client.ComplaintsV2.All(ctx, &req) {
			if err != nil {
				return err
			}
			if *state == "" || strings.EqualFold(*state, string(c.ComplaintState)) {
				found = append(found, *c)
			}
		}
		if a.json {
			for i := range found {
				found[i].PayerPhone = a.phoneOf(&found[i])
			}
			return printJSON(a.stdout, found)
		}
		// The user's words come last: their width in a terminal is not known.
		table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "COMPLAINT\tFILED\tSTATE\tTYPE\tASKED\tTIMES\tUNREAD\tDETAIL")
		for _, c := range found {
			asked := "-"
			if c.ProblemType == wechatpay.ProblemTypeRefund {
				asked = yuan(c.ApplyRefundAmount)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", clean(c.ComplaintID), when(c.ComplaintTime),
				clean(string(c.ComplaintState)), clean(string(c.ProblemType)), asked, c.UserComplaintTimes, yesNo(c.IncomingUserResponse), clean(c.ComplaintDetail))
		}
		return table.Flush()
	}
}

// day reads the value of a flag that is a day, if it was given.
func day(name, value string, into *time.Time) error {
	if value == "" {
		return nil
	}
	parsed, err := time.ParseInLocation(time.DateOnly, value, beijing)
	if err != nil {
		return usagef("-%s is %q: write a day as 2006-01-02", name, value)
	}
	*into = parsed
	return nil
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// phoneOf gives the user's number as it may be shown.
func (a *app) phoneOf(c *wechatpay.Complaint) string {
	if c.PayerPhone == "" {
		return ""
	}
	phone, err := a.client.Decrypt(c.PayerPhone)
	switch {
	case err != nil:
		return "cannot be decrypted: " + err.Error()
	case a.phone:
		return phone
	}
	return maskPhone(phone)
}

func show(a *app, flags *flag.FlagSet) func(context.Context) error {
	flags.BoolVar(&a.json, "json", false, "print JSON, with the field names of WeChat Pay")
	flags.BoolVar(&a.phone, "phone", false, "show the phone number in full: it is personal data")
	return func(ctx context.Context) error {
		c, err := a.client.ComplaintsV2.Get(ctx, a.args[0])
		if err != nil {
			return err
		}
		c.PayerPhone = a.phoneOf(c)
		if a.json {
			return printJSON(a.stdout, c)
		}
		printComplaint(a.stdout, c)
		return nil
	}
}

// printComplaint prints what is there of a complaint, line by line. PayerPhone
// is as it may be shown.
func printComplaint(w io.Writer, c *wechatpay.Complaint) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer table.Flush()
	line := func(name, format string, args ...any) {
		if text := clean(fmt.Sprintf(format, args...)); text != "" {
			fmt.Fprintf(table, "%s\t%s\n", name, text)
		}
	}
	line("complaint", "%s", c.ComplaintID)
	line("state", "%s", c.ComplaintState)
	line("filed", "%s, %d time(s)", when(c.ComplaintTime), c.UserComplaintTimes)
	line("merchant", "%s", c.ComplaintedMchID)
	line("type", "%s", c.ProblemType)
	if c.ProblemType == wechatpay.ProblemTypeRefund {
		line("asks for", "%s", yuan(c.ApplyRefundAmount))
	}
	line("problem", "%s", c.ProblemDescription)
	line("detail", "%s", c.ComplaintDetail)
	line("phone", "%s", c.PayerPhone)
	line("openid", "%s", c.PayerOpenID)
	for _, o := range c.ComplaintOrderInfo {
		line("order", "%s, the merchant's %s, %s", o.TransactionID, o.OutTradeNo, yuan(o.Amount))
	}
	for _, o := range c.ServiceOrderInfo {
		line("service order", "%s, the merchant's %s, %s", o.OrderID, o.OutOrderNo, o.State)
	}
	for _, tag := range c.UserTagList {
		line("tag", "%s", tag)
	}
	for _, media := range c.ComplaintMediaList {
		line("pictures", "%d, %s", len(media.MediaURL), media.MediaType)
	}
	line("refunded", "%s", yesNo(c.ComplaintFullRefunded))
	line("unread message", "%s", yesNo(c.IncomingUserResponse))
	if c.NeedImmediateService {
		line("urgent", "a fast answer is due")
	}
	if c.InPlatformService {
		line("platform", "WeChat Pay's staff assist")
	}
}

func history(a *app, flags *flag.FlagSet) func(context.Context) error {
	flags.BoolVar(&a.json, "json", false, "print JSON, with the field names of WeChat Pay")
	return func(ctx context.Context) error {
		records, err := a.history(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return printJSON(a.stdout, records)
		}
		table := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "TIME\tWHAT\tWHO AND DETAILS")
		for _, r := range records {
			fmt.Fprintf(table, "%s\t%s\t%s\n", when(r.OperateTime), clean(string(r.OperateType)), clean(strings.TrimSuffix(r.Operator+": "+said(r), ": ")))
		}
		return table.Flush()
	}
}

// history reads the whole history of the complaint that the command names.
func (a *app) history(ctx context.Context) ([]wechatpay.NegotiationRecord, error) {
	records := []wechatpay.NegotiationRecord{} // [] as JSON, not null
	for r, err := range a.client.ComplaintsV2.AllNegotiationHistory(ctx, a.args[0]) {
		if err != nil {
			return nil, err
		}
		records = append(records, *r)
	}
	return records, nil
}

// said is what was said in a record, in any of its fields.
func said(r wechatpay.NegotiationRecord) string {
	parts := []string{r.OperateDetails, r.UserApplyPlatformServiceReason, r.UserApplyPlatformServiceReasonDescription, r.ClickMessage.MessageContent}
	for _, block := range r.NormalMessage.Blocks {
		switch {
		case block.Text != nil:
			parts = append(parts, block.Text.Text)
		case block.Link != nil:
			parts = append(parts, block.Link.Text)
		case block.Button != nil:
			parts = append(parts, block.Button.Text)
		default:
			parts = append(parts, "["+string(block.Type)+"]")
		}
	}
	pictures := len(r.ImageList)
	for _, media := range r.ComplaintMediaList {
		pictures += len(media.MediaURL)
	}
	if pictures > 0 {
		parts = append(parts, fmt.Sprintf("[%d picture(s)]", pictures))
	}
	return strings.Join(strings.FieldsFunc(strings.Join(parts, "\n"), func(r rune) bool { return r == '\n' }), " / ")
}

func images(a *app, flags *flag.FlagSet) func(context.Context) error {
	dir := flags.String("dir", ".", "the `directory` to save them in; it is made if it is not there")
	return func(ctx context.Context) error {
		c, err := a.client.ComplaintsV2.Get(ctx, a.args[0])
		if err != nil {
			return err
		}
		records, err := a.history(ctx)
		if err != nil {
			return err
		}
		media, links := c.ComplaintMediaList, 0
		for _, r := range records {
			media = append(media, r.ComplaintMediaList...)
			links += len(r.ImageList)
		}
		if err := os.MkdirAll(*dir, 0o700); err != nil {
			return err
		}
		done := map[string]bool{}
		for _, m := range media {
			for _, url := range m.MediaURL {
				if done[url] {
					continue
				}
				done[url] = true
				if err := a.saveImage(ctx, url, *dir); err != nil {
					return err
				}
			}
		}
		fmt.Fprintf(a.stderr, "%d picture(s).\n", len(done))
		if links > 0 {
			fmt.Fprintf(a.stderr, "%d further picture(s) of the negotiation are plain links to other hosts, and not fetched: history -json shows them.\n", links)
		}
		return nil
	}
}

var extensions = map[string]string{"image/jpeg": ".jpg", "image/png": ".png", "image/bmp": ".bmp", "image/gif": ".gif", "image/webp": ".webp"}

// saveImage saves one picture under a name that is the same each time, and
// prints it. A file that is there already is left alone.
func (a *app) saveImage(ctx context.Context, url, dir string) error {
	image, err := a.client.ComplaintsV2.DownloadImage(ctx, url)
	if err != nil {
		return err
	}
	defer image.Close()
	kind, _, _ := strings.Cut(image.ContentType, ";")
	extension, ok := extensions[strings.ToLower(strings.TrimSpace(kind))]
	if !ok {
		extension = ".bin"
	}
	name := filepath.Join(dir, imageName(a.args[0], url, extension))
	if _, err := os.Lstat(name); err == nil {
		fmt.Fprintln(a.stdout, name)
		return nil
	}
	// Nobody sees a half of it: it gets its name once it is complete.
	file, err := os.CreateTemp(dir, ".wechatpay-")
	if err != nil {
		return err
	}
	_, err = io.Copy(file, image)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), name)
	}
	if err != nil {
		os.Remove(file.Name())
		return err
	}
	fmt.Fprintln(a.stdout, name)
	return nil
}

// imageName is the complaint, and the beginning of a hash of the address.
func imageName(complaintID, url, extension string) string {
	sum := sha256.Sum256([]byte(url))
	return fmt.Sprintf("%s-%x%s", fileName(complaintID), sum[:6], extension)
}

// fileName keeps of a text what is harmless in a file name.
func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, s)
}
