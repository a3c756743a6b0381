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
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
)

func list(a *app, flags *flag.FlagSet) func(context.Context) error {
	begin := flags.String("begin", "", a.of(words{
		"投诉的起始`日期`，北京时间，如 2006-01-02（默认：-end 之前 29 天）",
		"first `day` of filing, as 2006-01-02 in Beijing (default: 29 days before -end)"}))
	end := flags.String("end", "", a.of(words{"投诉的截止`日期`（默认：今天）", "last `day` of filing (default: today)"}))
	state := flags.String("state", "", a.of(words{
		"只列出这个`状态`的投诉单：PENDING（待处理）、PROCESSING（处理中）或 PROCESSED（已处理完成）",
		"only complaints in this `state`: PENDING, PROCESSING or PROCESSED"}))
	mchID := flags.String("mchid", "", a.of(words{
		"服务商：只列出针对这个被诉`商户号`的投诉单",
		"service providers: only complaints against this merchant `number`"}))
	a.jsonFlag(flags)
	flags.BoolVar(&a.phone, "phone", false, a.of(words{
		"和 -json 一起用：显示完整的电话号码，这是个人信息",
		"with -json: show phone numbers in full, which are personal data"}))
	return func(ctx context.Context) error {
		if a.phone && !a.json {
			return a.usagef(words{"-phone 要和 -json 一起用：表格里没有电话号码", "-phone goes with -json: the table has no phone numbers"})
		}
		req := wechatpay.ListComplaintsRequest{EndDate: time.Now(), ComplaintedMchID: *mchID}
		if err := a.day("end", *end, &req.EndDate); err != nil {
			return err
		}
		req.BeginDate = req.EndDate.AddDate(0, 0, -29)
		if err := a.day("begin", *begin, &req.BeginDate); err != nil {
			return err
		}
		switch {
		case !req.BeginDate.After(req.EndDate):
		case *end == "":
			return a.usagef(words{"-begin 的日期 %s 还没有到", "-begin is in the future: %s"}, *begin)
		default:
			return a.usagef(words{"-begin 在 -end 之后", "-begin is after -end"})
		}
		a.warnOfState(*state)
		found, all := []wechatpay.Complaint{}, 0 // [] as JSON, not null
		for c, err := range a.client.ComplaintsV2.All(ctx, &req) {
			if err != nil {
				return err
			}
			all++
			if *state == "" || strings.EqualFold(*state, string(c.ComplaintState)) {
				found = append(found, *c)
			}
		}
		if err := a.printList(found); err != nil {
			return err
		}
		fmt.Fprintln(a.stderr, a.of(words{
			"列出 %[1]d 张，共 %[2]d 张投诉单，投诉时间 %[3]s 至 %[4]s（北京时间）",
			"%[1]d of %[2]d complaints filed %[3]s to %[4]s (Beijing)"},
			len(found), all, dateOf(req.BeginDate), dateOf(req.EndDate)))
		return nil
	}
}

func dateOf(t time.Time) string { return t.In(beijing).Format(time.DateOnly) }

// warnOfState warns of a state that no complaint may have: WeChat Pay may add
// one, so it is not refused.
func (a *app) warnOfState(state string) {
	known := []wechatpay.ComplaintState{"", wechatpay.ComplaintStatePending, wechatpay.ComplaintStateProcessing, wechatpay.ComplaintStateProcessed}
	if !slices.Contains(known, wechatpay.ComplaintState(strings.ToUpper(state))) {
		fmt.Fprintln(a.stderr, a.of(words{
			"-state %q 不是已知的状态：PENDING、PROCESSING、PROCESSED",
			"-state %q is none that is known here: PENDING, PROCESSING, PROCESSED"}, state))
	}
}

func (a *app) printList(found []wechatpay.Complaint) error {
	if a.json {
		for i := range found {
			found[i].PayerPhone = a.phoneOf(&found[i])
		}
		return printJSON(a.stdout, found)
	}
	// The user's words come last: their width in a terminal is not known.
	var t table
	t.row(strings.Fields(a.of(words{
		"投诉单号 投诉时间 状态 类型 申请退款 次数 未读 内容",
		"COMPLAINT FILED STATE TYPE ASKED TIMES UNREAD DETAIL"}))...)
	for _, c := range found {
		asked := "-"
		if c.ProblemType == wechatpay.ProblemTypeRefund {
			asked = a.yuan(c.ApplyRefundAmount)
		}
		t.row(clean(c.ComplaintID), when(c.ComplaintTime), clean(string(c.ComplaintState)), clean(string(c.ProblemType)),
			asked, strconv.Itoa(c.UserComplaintTimes), a.yesNo(c.IncomingUserResponse), clean(c.ComplaintDetail))
	}
	return t.print(a.stdout)
}

func (a *app) jsonFlag(flags *flag.FlagSet) {
	flags.BoolVar(&a.json, "json", false, a.of(words{
		"输出 JSON，字段名和微信支付的一致", "print JSON, with the field names of WeChat Pay"}))
}

// day reads the value of a flag that is a day, if it was given.
func (l language) day(name, value string, into *time.Time) error {
	if value == "" {
		return nil
	}
	parsed, err := time.ParseInLocation(time.DateOnly, value, beijing)
	if err != nil {
		return l.usagef(words{"-%s 是 %q：日期写成 2006-01-02 的样子", "-%s is %q: write a day as 2006-01-02"}, name, value)
	}
	*into = parsed
	return nil
}

func (l language) yesNo(b bool) string {
	if b {
		return l.of(words{"是", "yes"})
	}
	return l.of(words{"否", "no"})
}

// phoneOf gives the user's number as it may be shown.
func (a *app) phoneOf(c *wechatpay.Complaint) string {
	if c.PayerPhone == "" {
		return ""
	}
	phone, err := a.client.Decrypt(c.PayerPhone)
	switch {
	case err != nil:
		return a.of(words{"解密失败：%v", "cannot be decrypted: %v"}, err)
	case a.phone:
		return phone
	}
	return maskPhone(phone)
}

func show(a *app, flags *flag.FlagSet) func(context.Context) error {
	a.jsonFlag(flags)
	flags.BoolVar(&a.phone, "phone", false, a.of(words{"显示完整的电话号码：这是个人信息", "show the phone number in full: it is personal data"}))
	return func(ctx context.Context) error {
		c, err := a.client.ComplaintsV2.Get(ctx, a.args[0])
		if err != nil {
			return err
		}
		c.PayerPhone = a.phoneOf(c)
		if a.json {
			return printJSON(a.stdout, c)
		}
		return a.printComplaint(a.stdout, c)
	}
}

// printComplaint prints what is there of a complaint, line by line. PayerPhone
// is as it may be shown.
func (l language) printComplaint(w io.Writer, c *wechatpay.Complaint) error {
	var t table
	line := func(name, text words, args ...any) {
		if text := clean(l.of(text, args...)); text != "" {
			t.row(l.of(name), text)
		}
	}
	plain := words{"%s", "%s"}
	line(words{"投诉单号", "complaint"}, plain, c.ComplaintID)
	line(words{"状态", "state"}, plain, c.ComplaintState)
	line(words{"投诉时间", "filed"}, words{"%s，累计投诉 %d 次", "%s, %d time(s)"}, when(c.ComplaintTime), c.UserComplaintTimes)
	line(words{"被诉商户号", "merchant"}, plain, c.ComplaintedMchID)
	line(words{"类型", "type"}, plain, c.ProblemType)
	if c.ProblemType == wechatpay.ProblemTypeRefund {
		line(words{"申请退款", "asks for"}, plain, l.yuan(c.ApplyRefundAmount))
	}
	line(words{"问题", "problem"}, plain, c.ProblemDescription)
	line(words{"内容", "detail"}, plain, c.ComplaintDetail)
	line(words{"电话", "phone"}, plain, c.PayerPhone)
	line(words{"OpenID", "openid"}, plain, c.PayerOpenID)
	for _, o := range c.ComplaintOrderInfo {
		line(words{"订单", "order"}, words{"%s，商户订单号 %s，%s", "%s, the merchant's %s, %s"}, o.TransactionID, o.OutTradeNo, l.yuan(o.Amount))
	}
	for _, o := range c.ServiceOrderInfo {
		line(words{"服务单", "service order"}, words{"%s，商户服务单号 %s，%s", "%s, the merchant's %s, %s"}, o.OrderID, o.OutOrderNo, o.State)
	}
	for _, tag := range c.UserTagList {
		line(words{"用户标签", "tag"}, plain, tag)
	}
	for _, media := range c.ComplaintMediaList {
		line(words{"图片", "pictures"}, words{"%d 张，%s", "%d, %s"}, len(media.MediaURL), media.MediaType)
	}
	line(words{"已全额退款", "refunded"}, plain, l.yesNo(c.ComplaintFullRefunded))
	line(words{"有未读消息", "unread message"}, plain, l.yesNo(c.IncomingUserResponse))
	if c.NeedImmediateService {
		line(words{"紧急", "urgent"}, words{"需要即时服务：reply -immediate", "a fast answer is due: reply -immediate"})
	}
	if c.InPlatformService {
		line(words{"平台协助", "platform"}, words{"微信支付客服正在协助", "WeChat Pay's staff assist"})
	}
	return t.print(w)
}

func history(a *app, flags *flag.FlagSet) func(context.Context) error {
	a.jsonFlag(flags)
	return func(ctx context.Context) error {
		records, err := a.history(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return printJSON(a.stdout, records)
		}
		var t table
		t.row(a.of(words{"时间", "TIME"}), a.of(words{"操作", "WHAT"}), a.of(words{"操作人和内容", "WHO AND DETAILS"}))
		for _, r := range records {
			t.row(when(r.OperateTime), clean(string(r.OperateType)), clean(strings.TrimSuffix(r.Operator+": "+a.said(r), ": ")))
		}
		return t.print(a.stdout)
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
func (l language) said(r wechatpay.NegotiationRecord) string {
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
		parts = append(parts, l.of(words{"[%d 张图片]", "[%d picture(s)]"}, pictures))
	}
	return strings.Join(strings.FieldsFunc(strings.Join(parts, "\n"), func(r rune) bool { return r == '\n' }), " / ")
}

func images(a *app, flags *flag.FlagSet) func(context.Context) error {
	dir := flags.String("dir", ".", a.of(words{
		"保存到这个`目录`，没有就新建（默认：当前目录）",
		"the `directory` to save them in; it is made if it is not there (default: the present one)"}))
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
		done, failed := map[string]bool{}, 0
		for _, m := range media {
			for _, url := range m.MediaURL {
				if done[url] {
					continue
				}
				done[url] = true
				if err := a.saveImage(ctx, url, *dir); err != nil {
					if ctx.Err() != nil {
						return err
					}
					failed++
					fmt.Fprintf(a.stderr, "%s: %s\n", clean(url), clean(err.Error()))
				}
			}
		}
		if failed > 0 {
			return a.errorf(words{"%d 张图片没有保存，共 %d 张", "%d of %d picture(s) are not saved"}, failed, len(done))
		}
		fmt.Fprintln(a.stderr, a.of(words{"共 %d 张图片。", "%d picture(s)."}, len(done)))
		if links > 0 {
			fmt.Fprintln(a.stderr, a.of(words{
				"协商历史里另有 %d 张图片是指向其他域名的链接，没有下载：history -json 可以看到。",
				"%d further picture(s) of the negotiation are plain links to other hosts, and not fetched: history -json shows them."}, links))
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
		_, err = fmt.Fprintln(a.stdout, name)
		return err
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
	_, err = fmt.Fprintln(a.stdout, name)
	return err
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
