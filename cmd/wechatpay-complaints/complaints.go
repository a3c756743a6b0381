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
		"投诉起始`日期`，格式为 YYYY-MM-DD，北京时间（默认：--end 之前 29 天）",
		"first `day` of filing, YYYY-MM-DD in Beijing time (default: 29 days before --end)"}))
	end := flags.String("end", "", a.of(words{"投诉截止`日期`（默认：今天）", "last `day` of filing (default: today)"}))
	state := flags.String("state", "", a.of(words{
		"只列出该`状态`的投诉单：PENDING（待处理）、PROCESSING（处理中）或 PROCESSED（已处理完成）",
		"only complaints in this `state`: PENDING, PROCESSING or PROCESSED"}))
	mchID := flags.String("mchid", "", a.of(words{
		"服务商：只列出针对该被诉`商户号`的投诉单",
		"service providers: only complaints against this merchant `number`"}))
	a.jsonFlag(flags)
	flags.BoolVar(&a.phone, "phone", false, a.of(words{
		"与 --json 一起使用：显示完整手机号（个人信息）",
		"with --json: show full phone numbers (personal data)"}))
	return func(ctx context.Context) error {
		if a.phone && !a.json {
			return a.usagef(words{"--phone 需与 --json 一起使用：表格中不含手机号", "--phone requires --json: the table has no phone numbers"})
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
			return a.usagef(words{"--begin 晚于今天：%s", "--begin is in the future: %s"}, *begin)
		default:
			return a.usagef(words{"--begin 晚于 --end", "--begin is after --end"})
		}
		a.warnUnknownState(*state)
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
			"列出 %[1]d 笔，共 %[2]d 笔投诉单，投诉时间 %[3]s 至 %[4]s（北京时间）",
			"%[1]d of %[2]d complaints filed %[3]s to %[4]s (Beijing time)"},
			len(found), all, dateOf(req.BeginDate), dateOf(req.EndDate)))
		return nil
	}
}

func dateOf(t time.Time) string { return t.In(beijing).Format(time.DateOnly) }

// warnUnknownState warns about an unknown state. It is not an error, because
// WeChat Pay may add states.
func (a *app) warnUnknownState(state string) {
	known := []wechatpay.ComplaintState{"", wechatpay.ComplaintStatePending, wechatpay.ComplaintStateProcessing, wechatpay.ComplaintStateProcessed}
	if !slices.Contains(known, wechatpay.ComplaintState(strings.ToUpper(state))) {
		fmt.Fprintln(a.stderr, a.of(words{
			"--state %q 不是已知状态（PENDING、PROCESSING、PROCESSED）",
			"unknown --state %q (known: PENDING, PROCESSING, PROCESSED)"}, state))
	}
}

func (a *app) printList(found []wechatpay.Complaint) error {
	if a.json {
		for i := range found {
			found[i].PayerPhone = a.phoneOf(&found[i])
		}
		return printJSON(a.stdout, found)
	}
	// The user's text comes last, because its width on a terminal is unknown.
	var t table
	t.row(strings.Fields(a.of(words{
		"投诉单号 投诉时间 状态 类型 申请退款 次数 待回复 内容",
		"COMPLAINT FILED STATE TYPE AMOUNT ROUND UNANSWERED DETAIL"}))...)
	for _, c := range found {
		amount := "-"
		if c.ProblemType == wechatpay.ProblemTypeRefund {
			amount = a.yuan(c.ApplyRefundAmount)
		}
		t.row(clean(c.ComplaintID), when(c.ComplaintTime), clean(a.value(string(c.ComplaintState))), clean(a.value(string(c.ProblemType))),
			amount, strconv.Itoa(c.UserComplaintTimes), a.yesNo(c.IncomingUserResponse), clean(c.ComplaintDetail))
	}
	return t.print(a.stdout)
}

func (a *app) jsonFlag(flags *flag.FlagSet) {
	flags.BoolVar(&a.json, "json", false, a.of(words{
		"输出 JSON，字段名与微信支付接口一致", "print JSON with the field names of WeChat Pay's API"}))
}

// day parses the value of a flag as a day in Beijing, unless it is empty.
func (l language) day(name, value string, into *time.Time) error {
	if value == "" {
		return nil
	}
	parsed, err := time.ParseInLocation(time.DateOnly, value, beijing)
	if err != nil {
		return l.usagef(words{"--%s 的值 %q 无效：日期格式应为 YYYY-MM-DD", "invalid --%s %q: use YYYY-MM-DD"}, name, value)
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

// phoneOf returns the user's phone number, masked unless --phone is given.
func (a *app) phoneOf(c *wechatpay.Complaint) string {
	if c.PayerPhone == "" {
		return ""
	}
	phone, err := a.client.Decrypt(c.PayerPhone)
	switch {
	case err != nil:
		return a.of(words{"解密失败：%v", "decryption failed: %v"}, err)
	case a.phone:
		return phone
	}
	return maskPhone(phone)
}

func show(a *app, flags *flag.FlagSet) func(context.Context) error {
	a.jsonFlag(flags)
	flags.BoolVar(&a.phone, "phone", false, a.of(words{"显示完整手机号（个人信息）", "show the full phone number (personal data)"}))
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

// printComplaint prints the fields of a complaint that are set. PayerPhone is
// printed as it is: see phoneOf.
func (l language) printComplaint(w io.Writer, c *wechatpay.Complaint) error {
	var t table
	line := func(name, text words, args ...any) {
		if text := clean(l.of(text, args...)); text != "" {
			t.row(l.of(name), text)
		}
	}
	plain := words{"%s", "%s"}
	line(words{"投诉单号", "complaint"}, plain, c.ComplaintID)
	line(words{"状态", "state"}, plain, l.value(string(c.ComplaintState)))
	line(words{"投诉时间", "filed"}, words{"%s，当前为第 %d 次投诉", "%s, now in round %d"}, when(c.ComplaintTime), c.UserComplaintTimes)
	line(words{"被诉商户号", "merchant"}, plain, c.ComplaintedMchID)
	line(words{"类型", "type"}, plain, l.value(string(c.ProblemType)))
	if c.ProblemType == wechatpay.ProblemTypeRefund {
		line(words{"申请退款", "amount"}, plain, l.yuan(c.ApplyRefundAmount))
	}
	line(words{"问题", "problem"}, plain, c.ProblemDescription)
	line(words{"内容", "detail"}, plain, c.ComplaintDetail)
	line(words{"手机号", "phone"}, plain, c.PayerPhone)
	line(words{"OpenID", "openid"}, plain, c.PayerOpenID)
	for _, o := range c.ComplaintOrderInfo {
		line(words{"订单", "order"}, words{"%s，商户订单号 %s，%s", "%s, merchant's number %s, %s"}, o.TransactionID, o.OutTradeNo, l.yuan(o.Amount))
	}
	for _, o := range c.ServiceOrderInfo {
		line(words{"服务单", "service order"}, words{"%s，商户服务单号 %s，%s", "%s, merchant's number %s, %s"}, o.OrderID, o.OutOrderNo, l.value(string(o.State)))
	}
	for _, tag := range c.UserTagList {
		line(words{"用户标签", "tag"}, plain, l.value(string(tag)))
	}
	for _, media := range c.ComplaintMediaList {
		line(words{"图片", "images"}, words{"%d 张，%s", "%d, %s"}, len(media.MediaURL), l.value(string(media.MediaType)))
	}
	line(words{"已全额退款", "fully refunded"}, plain, l.yesNo(c.ComplaintFullRefunded))
	line(words{"待回复", "unanswered"}, plain, l.yesNo(c.IncomingUserResponse))
	if c.NeedImmediateService {
		line(words{"即时服务", "immediate service"}, words{"需要（请用 reply --immediate 回复）", "required (use reply --immediate)"})
	}
	if c.InPlatformService {
		line(words{"平台协助", "platform"}, words{"微信支付客服协助中", "WeChat Pay staff are assisting"})
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
		t.row(a.of(words{"时间", "TIME"}), a.of(words{"操作", "OPERATION"}), a.of(words{"操作人和内容", "OPERATOR AND CONTENT"}))
		for _, r := range records {
			t.row(when(r.OperateTime), clean(a.operation(r.OperateType)), clean(strings.TrimSuffix(r.Operator+": "+a.content(r), ": ")))
		}
		return t.print(a.stdout)
	}
}

// history returns the whole history of the complaint named on the command line.
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

// content returns the text of a record, from all its fields.
func (l language) content(r wechatpay.NegotiationRecord) string {
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
	images := len(r.ImageList)
	for _, media := range r.ComplaintMediaList {
		images += len(media.MediaURL)
	}
	if images > 0 {
		parts = append(parts, l.of(words{"[%d 张图片]", "[%d image(s)]"}, images))
	}
	return strings.Join(strings.FieldsFunc(strings.Join(parts, "\n"), func(r rune) bool { return r == '\n' }), " / ")
}

func images(a *app, flags *flag.FlagSet) func(context.Context) error {
	dir := flags.String("dir", ".", a.of(words{
		"保存图片的`目录`，不存在时新建（默认：当前目录）",
		"`directory` for the images, created if missing (default: current directory)"}))
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
		seen, failed := map[string]bool{}, 0
		for _, m := range media {
			for _, url := range m.MediaURL {
				if seen[url] {
					continue
				}
				seen[url] = true
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
			return a.errorf(words{"%d 张图片保存失败，共 %d 张", "%d of %d image(s) could not be saved"}, failed, len(seen))
		}
		fmt.Fprintln(a.stderr, a.of(words{"共 %d 张图片。", "%d image(s)."}, len(seen)))
		if links > 0 {
			fmt.Fprintln(a.stderr, a.of(words{
				"协商历史中另有 %d 张图片位于其他域名，未下载；可用 history --json 查看链接。",
				"%d more image(s) in the history are on other hosts and were not downloaded: history --json lists the links."}, links))
		}
		return nil
	}
}

var extensions = map[string]string{"image/jpeg": ".jpg", "image/png": ".png", "image/bmp": ".bmp", "image/gif": ".gif", "image/webp": ".webp"}

// saveImage saves an image and prints the file name, which depends only on the
// complaint and the URL. It does not overwrite an existing file.
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
	// The file is renamed once it is complete.
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

// imageName returns a name of the complaint id and the beginning of a hash of url.
func imageName(complaintID, url, extension string) string {
	sum := sha256.Sum256([]byte(url))
	return fmt.Sprintf("%s-%x%s", fileName(complaintID), sum[:6], extension)
}

// fileName replaces the characters that are not safe in a file name.
func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, s)
}
