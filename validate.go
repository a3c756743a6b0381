package wechatpay

import (
	"cmp"
	"crypto"
	"crypto/rsa"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// faults collects the faults in the arguments of one call.
type faults []ArgumentFault

func (f *faults) add(field, format string, args ...any) {
	*f = append(*f, ArgumentFault{Field: field, Problem: fmt.Sprintf(format, args...)})
}

// err returns an *ArgumentError, or nil if there are no faults.
func (f faults) err(op string) error {
	if len(f) == 0 {
		return nil
	}
	return &ArgumentError{Op: op, Faults: f}
}

// required checks that value is set and has at most limit characters.
func (f *faults) required(field, value string, limit int) {
	if value == "" {
		f.add(field, "is required")
		return
	}
	f.text(field, value, limit)
}

// text checks that value has at most limit characters, and only those that
// WeChat Pay accepts.
func (f *faults) text(field, value string, limit int) {
	if n := utf8.RuneCountInString(value); n > limit {
		f.add(field, "has %d characters, at most %d allowed", n, limit)
	}
	f.storable(field, value)
}

// storable checks that value has only characters that WeChat Pay accepts: none
// above U+FFFF.
func (f *faults) storable(field, value string) {
	if !utf8.ValidString(value) {
		f.add(field, "is not valid UTF-8")
		return
	}
	for _, r := range value {
		if r <= 0xFFFF {
			continue
		}
		kind := "an emoji"
		if unicode.IsLetter(r) {
			kind = "a rare character"
		}
		f.add(field, "contains %s (%U), which WeChat Pay does not accept", kind, r)
		return
	}
}

// list checks a list of at most most required strings.
func (f *faults) list(field string, values []string, most, limit int) {
	if len(values) > most {
		f.add(field, "has %d entries, at most %d allowed", len(values), most)
	}
	for i, value := range values {
		f.required(fmt.Sprintf("%s[%d]", field, i), value, limit)
	}
}

// oneOf checks that value is one of two values.
func (f *faults) oneOf(field, value, a, b string) {
	switch value {
	case a, b:
	case "":
		f.add(field, "is required")
	default:
		f.add(field, "must be %s or %s, got %.40q", a, b, value)
	}
}

func (f *faults) atLeast(field string, value, least int) {
	if value < least {
		f.add(field, "must be %d or more, got %d", least, value)
	}
}

func (f *faults) between(field string, value, least, most int) {
	if value < least || value > most {
		f.add(field, "must be %d to %d, got %d", least, most, value)
	}
}

// fen checks an amount of money.
func (f *faults) fen(field string, value, least int64) {
	if value < least {
		f.add(field, "must be %d fen or more, got %d", least, value)
	}
}

// date checks that t is set and its year has at most four digits.
func (f *faults) date(field string, t time.Time) {
	if t.IsZero() {
		f.add(field, "is required")
	} else if year := beijingDay(t).Year(); year < 1 || year > 9999 {
		f.add(field, "must be in the years 1 to 9999, got %d", year)
	}
}

// https checks that value is an https URL.
func (f *faults) https(field, value string) {
	if u, err := url.Parse(value); err != nil || u.Scheme != "https" || u.Hostname() == "" {
		f.add(field, "must be an https URL, got %.100q", value)
	}
}

// noQuery checks that the URL value has no query and no fragment.
func (f *faults) noQuery(field, value string) {
	if strings.ContainsAny(value, "?#") {
		f.add(field, "must have no query and no fragment")
	}
}

// checkComplaintID starts the checks of a call for one complaint.
func checkComplaintID(id string) faults {
	var f faults
	f.required("complaintID", id, 64)
	if id == "." || id == ".." { // as a path element it would select another endpoint
		f.add("complaintID", "must not be %q", id)
	}
	return f
}

func (req *ListComplaintsRequest) check(f *faults) {
	f.date("BeginDate", req.BeginDate)
	f.date("EndDate", req.EndDate)
	if begin, end := beijingDay(req.BeginDate), beijingDay(req.EndDate); len(*f) == 0 && end.Before(begin) {
		f.add("EndDate", "must not be before BeginDate (%s), got %s",
			begin.Format(time.DateOnly), end.Format(time.DateOnly))
	}
	f.text("ComplaintedMchID", req.ComplaintedMchID, 64)
	if req.Limit != 0 {
		f.between("Limit", req.Limit, 1, maxListLimit)
	}
	f.atLeast("Offset", req.Offset, 0)
}

// checkRange checks the range of days of a valid request.
func (req *ListComplaintsRequest) checkRange(f *faults) {
	if len(*f) > 0 {
		return
	}
	days := int(beijingDay(req.EndDate).Sub(beijingDay(req.BeginDate)) / (24 * time.Hour))
	if days > windowDays {
		f.add("EndDate", "must be at most %d days after BeginDate, got %d (All accepts any range)", windowDays, days)
	}
}

func (req *NegotiationHistoryRequest) check(f *faults) {
	if req.Limit != 0 {
		f.between("Limit", req.Limit, 1, 300)
	}
	f.atLeast("Offset", req.Offset, 0)
}

func (req *UpdateRefundProgressRequest) check(f *faults) {
	f.oneOf("Action", string(req.Action), string(RefundApprove), string(RefundReject))
	switch req.Action {
	case RefundApprove:
		if req.RejectReason != "" {
			f.add("RejectReason", "is only allowed with %s", RefundReject)
		}
		if len(req.RejectMediaList) > 0 {
			f.add("RejectMediaList", "is only allowed with %s", RefundReject)
		}
	case RefundReject:
		if req.LaunchRefundDay != nil {
			f.add("LaunchRefundDay", "is only allowed with %s", RefundApprove)
		}
		if strings.TrimSpace(req.RejectReason) == "" {
			f.add("RejectReason", "is required with %s: the user sees it", RefundReject)
		}
	}
	if req.LaunchRefundDay != nil && *req.LaunchRefundDay < 0 {
		f.add("LaunchRefundDay", "must be 0 (today) or more, got %d", *req.LaunchRefundDay)
	}
	f.text("RejectReason", req.RejectReason, 200)
	f.list("RejectMediaList", req.RejectMediaList, 4, 512)
	f.text("Remark", req.Remark, 200)
}

func (req *RespondRequest) check(f *faults) {
	f.required("ComplaintedMchID", req.ComplaintedMchID, 64)
	f.required("ResponseContent", req.ResponseContent, 500)
	f.list("ResponseImages", req.ResponseImages, 4, 512)
	f.text("JumpURL", req.JumpURL, 512)
	f.text("JumpURLText", req.JumpURLText, 10)
	switch {
	case req.JumpURL == "" && req.JumpURLText != "":
		f.add("JumpURL", "is required with JumpURLText")
	case req.JumpURL != "" && req.JumpURLText == "":
		f.add("JumpURLText", "is required with JumpURL")
	}
	if req.JumpURL != "" {
		f.https("JumpURL", req.JumpURL)
	}
	if jump := &req.MiniProgramJumpInfo; *jump != (MiniProgramJumpInfo{}) {
		if jump.AppID == "" {
			f.add("MiniProgramJumpInfo.AppID", "is required")
		}
		if jump.Path == "" {
			f.add("MiniProgramJumpInfo.Path", "is required")
		}
		if jump.Text == "" {
			f.add("MiniProgramJumpInfo.Text", "is required")
		}
		jump.check(f, "MiniProgramJumpInfo")
	}
}

func (req *ImmediateServiceRequest) check(f *faults) {
	f.required("ComplaintedMchID", req.ComplaintedMchID, 64)
	f.required("IdempotentID", req.IdempotentID, 128)
	req.Message.check(f, "Message")
}

func (req *CompleteRequest) check(f *faults) {
	f.required("ComplaintedMchID", req.ComplaintedMchID, 64)
}

// check reports only what WeChat Pay documents. It documents no limits for the
// number of blocks or the length of their texts.
func (m *Message) check(f *faults, field string) {
	if len(m.Blocks) == 0 {
		f.add(field+".Blocks", "is required")
	}
	for i := range m.Blocks {
		m.Blocks[i].check(f, fmt.Sprintf("%s.Blocks[%d]", field, i))
	}
	f.text(field+".CustomData", m.CustomData, 4096)
}

func (b *MessageBlock) check(f *faults, field string) {
	b.checkType(f, field)
	if b.Text != nil {
		f.storable(field+".Text.Text", b.Text.Text)
		f.storable(field+".Text.Color", string(b.Text.Color))
	}
	if b.Image != nil {
		f.storable(field+".Image.MediaID", b.Image.MediaID)
		f.storable(field+".Image.ImageStyleType", string(b.Image.ImageStyleType))
	}
	if b.Link != nil {
		f.storable(field+".Link.Text", b.Link.Text)
		b.Link.Action.check(f, field+".Link.Action")
	}
	if b.FAQList != nil {
		for i := range b.FAQList.FAQs {
			b.FAQList.FAQs[i].check(f, fmt.Sprintf("%s.FAQList.FAQs[%d]", field, i))
		}
	}
	if b.Button != nil {
		b.Button.check(f, field+".Button")
	}
	if b.ButtonGroup != nil {
		for i := range b.ButtonGroup.Buttons {
			b.ButtonGroup.Buttons[i].check(f, fmt.Sprintf("%s.ButtonGroup.Buttons[%d]", field, i))
		}
		f.storable(field+".ButtonGroup.ButtonLayout", string(b.ButtonGroup.ButtonLayout))
	}
}

// checkType checks that exactly the payload of the block's type is set.
func (b *MessageBlock) checkType(f *faults, field string) {
	payloads := []struct {
		name string
		of   MessageBlockType
		set  bool
	}{
		{"Text", MessageBlockTypeText, b.Text != nil},
		{"Image", MessageBlockTypeImage, b.Image != nil},
		{"Link", MessageBlockTypeLink, b.Link != nil},
		{"FAQList", MessageBlockTypeFAQList, b.FAQList != nil},
		{"Button", MessageBlockTypeButton, b.Button != nil},
		{"ButtonGroup", MessageBlockTypeButtonGroup, b.ButtonGroup != nil},
	}
	known := false
	for _, payload := range payloads {
		switch {
		case payload.of == b.Type:
			known = true
			if !payload.set {
				f.add(field+"."+payload.name, "is required with type %s", payload.of)
			}
		case payload.set:
			f.add(field+"."+payload.name, "is only allowed with type %s", payload.of)
		}
	}
	if b.Type == "" {
		f.add(field+".Type", "is required")
	} else if !known {
		f.add(field+".Type", "must be TEXT, IMAGE, LINK, FAQ_LIST, BUTTON or BUTTON_GROUP, got %.40q", string(b.Type))
	}
}

func (q *MessageFAQ) check(f *faults, field string) {
	f.storable(field+".FAQID", q.FAQID)
	f.storable(field+".FAQTitle", q.FAQTitle)
	q.Action.check(f, field+".Action")
}

func (b *MessageButton) check(f *faults, field string) {
	f.storable(field+".Text", b.Text)
	b.Action.check(f, field+".Action")
}

func (a *MessageAction) check(f *faults, field string) {
	f.storable(field+".ActionType", string(a.ActionType))
	f.storable(field+".JumpURL", a.JumpURL)
	a.MiniProgramJumpInfo.check(f, field+".MiniProgramJumpInfo")
	f.storable(field+".MessageInfo.Content", a.MessageInfo.Content)
	f.storable(field+".MessageInfo.CustomData", a.MessageInfo.CustomData)
	f.storable(field+".ActionID", a.ActionID)
}

func (i *MiniProgramJumpInfo) check(f *faults, field string) {
	f.storable(field+".AppID", i.AppID)
	f.storable(field+".Path", i.Path)
	f.storable(field+".Text", i.Text)
}

// checkImageName returns the name to upload an image under, and the content type
// of its extension.
func checkImageName(f *faults, filename string) (name, contentType string) {
	name = path.Base(strings.ReplaceAll(filename, `\`, "/"))
	extension := path.Ext(name)
	name = strings.TrimSuffix(name, extension)
	switch extension = strings.ToLower(extension); extension {
	case ".jpg", ".jpeg":
		extension, contentType = ".jpg", "image/jpeg"
	case ".png":
		contentType = "image/png"
	case ".bmp":
		contentType = "image/bmp"
	default:
		f.add("filename", "must end in .jpg, .jpeg, .png or .bmp, got %.140q", filename)
	}
	name += extension
	f.text("filename", name, 128)
	return name, contentType
}

// checkImage checks the size and the content of an image to upload.
func checkImage(f *faults, image *imageContent, contentType string) {
	switch {
	case image.size == 0:
		f.add("r", "is empty")
	case image.size > maxUpload:
		f.add("r", "must have at most %d bytes", maxUpload)
	default:
		if found := http.DetectContentType(image.chunks[0]); found != contentType {
			f.add("r", "is %s, but the filename says %s", found, contentType)
		}
	}
}

// checkMedia returns the path and query to download media from, escaped as in
// media. It drops the host of a URL, which must be one that c signs for or
// WeChat Pay's.
func (c *Client) checkMedia(f *faults, media string) string {
	if host, id, ok := strings.Cut(media, imagesPath[1:]); ok && !strings.Contains(host, "://") {
		// A media_url that lost its scheme, or its scheme and host.
		host = cmp.Or(strings.Trim(host, "/"), weChatPayHosts[0])
		media = "https://" + host + imagesPath + id
	}
	_, rest, isURL := strings.Cut(media, "://")
	switch {
	case media == "":
		f.add("media", "is required")
		return ""
	case strings.ContainsFunc(media, func(r rune) bool { return r <= ' ' || r > '~' }):
		f.add("media", "must be printable ASCII, got %.100q", media)
		return ""
	case !isURL:
		f.text("media", media, 256)
		if hasDotSegment(media) || strings.ContainsAny(media, "?#") {
			f.add("media", "is not a media id: %.100q", media)
		}
		return imagesPath + strings.ReplaceAll(media, "/", "%2F")
	}
	f.text("media", media, 512)
	u, err := url.Parse(media)
	if err != nil {
		f.add("media", "is not a URL: %.100q", media)
		return ""
	}
	guard := SigningTransport{Hosts: slices.Concat(c.signedHosts, weChatPayHosts)}
	if u.Scheme != "https" && u.Scheme != "http" || !guard.allowed(u.Host, u.Scheme) || u.User != nil {
		f.add("media", "is not a WeChat Pay API URL: %.100q (use an ordinary http.Client for image_list)", media)
		return ""
	}
	path := u.EscapedPath()
	if strings.Contains(media, "#") || !strings.HasPrefix(path, imagesPath) || hasDotSegment(path) {
		f.add("media", "is not a media_url: %.100q", media)
	}
	return rest[len(u.Host):]
}

// hasDotSegment reports whether an escaped path has a segment . or .., which
// would lead to another path, or is not a path.
func hasDotSegment(escaped string) bool {
	path, err := url.PathUnescape(escaped)
	isDots := func(segment string) bool { return segment == "." || segment == ".." }
	return err != nil || slices.ContainsFunc(strings.Split(path, "/"), isDots)
}

func checkNotificationURL(rawURL string) faults {
	var f faults
	f.required("url", rawURL, 255)
	if rawURL != "" {
		f.https("url", rawURL)
	}
	f.noQuery("url", rawURL)
	return f
}

func (req *RefundComplaintRequest) check(f *faults) {
	f.text("TransactionID", req.TransactionID, 32)
	f.text("OutTradeNo", req.OutTradeNo, 64)
	f.fen("Amount", req.Amount, 0)
	f.reason(req.Reason)
	f.refundNotifyURL(req.NotifyURL)
	f.text("SubMchID", req.SubMchID, 32)
	if req.OutRefundNo != "" {
		f.refundNo("OutRefundNo", req.OutRefundNo)
		if req.Attempt > 1 {
			f.add("Attempt", "is not allowed with OutRefundNo, got %d", req.Attempt)
		}
	}
	f.between("Attempt", req.Attempt, 0, maxRefundAttempts)
	f.atLeast("Round", req.Round, 0)
}

func (req *CreateRefundRequest) check(f *faults) {
	f.text("SubMchID", req.SubMchID, 32)
	switch {
	case req.TransactionID == "" && req.OutTradeNo == "":
		f.add("TransactionID", "is required, or OutTradeNo")
	case req.TransactionID != "" && req.OutTradeNo != "":
		f.add("OutTradeNo", "is not allowed with TransactionID")
	}
	f.text("TransactionID", req.TransactionID, 32)
	f.text("OutTradeNo", req.OutTradeNo, 32)
	if n := utf8.RuneCountInString(req.OutTradeNo); n > 0 && n < 6 {
		f.add("OutTradeNo", "has %d characters, at least 6 required", n)
	}
	f.refundNo("OutRefundNo", req.OutRefundNo)
	f.reason(req.Reason)
	f.refundNotifyURL(req.NotifyURL)
	if req.FundsAccount != "" {
		f.oneOf("FundsAccount", string(req.FundsAccount), string(FundsAccountAvailable), string(FundsAccountUnsettled))
	}
	req.Amount.check(f)
	for i := range req.GoodsDetail {
		req.GoodsDetail[i].check(f, fmt.Sprintf("GoodsDetail[%d]", i))
	}
}

func (a *CreateRefundAmount) check(f *faults) {
	f.fen("Amount.Refund", a.Refund, 1)
	if a.Refund > a.Total {
		f.add("Amount.Refund", "must be at most Amount.Total (%d fen), got %d", a.Total, a.Refund)
	}
	f.text("Amount.Currency", a.Currency, 16)
	if len(a.From) == 0 {
		return
	}
	var sum int64
	seen := make(map[FundsAccount]bool)
	for i, from := range a.From {
		field := fmt.Sprintf("Amount.From[%d]", i)
		f.oneOf(field+".Account", string(from.Account), string(FundsAccountAvailable), string(FundsAccountUnavailable))
		if seen[from.Account] && from.Account != "" {
			f.add(field+".Account", "repeats %.40q", string(from.Account))
		}
		seen[from.Account] = true
		f.fen(field+".Amount", from.Amount, 1)
		sum += from.Amount
	}
	if sum != a.Refund {
		f.add("Amount.From", "must add up to Amount.Refund (%d fen), got %d", a.Refund, sum)
	}
}

func (g *RefundGoodsDetail) check(f *faults, field string) {
	if g.MerchantGoodsID == "" {
		f.add(field+".MerchantGoodsID", "is required")
	}
	f.storable(field+".MerchantGoodsID", g.MerchantGoodsID)
	f.storable(field+".WechatpayGoodsID", g.WechatpayGoodsID)
	f.storable(field+".GoodsName", g.GoodsName)
	f.fen(field+".UnitPrice", g.UnitPrice, 0)
	f.fen(field+".RefundAmount", g.RefundAmount, 0)
	if g.RefundQuantity < 0 {
		f.add(field+".RefundQuantity", "must be 0 or more, got %d", g.RefundQuantity)
	}
}

// refundNo checks an out_refund_no.
func (f *faults) refundNo(field, value string) {
	if value == "" {
		f.add(field, "is required")
	}
	if len(value) > 64 {
		f.add(field, "has %d bytes, at most 64 allowed", len(value))
	}
	for _, c := range value {
		if !isToken(string(c)) && !strings.ContainsRune("|*@", c) {
			f.add(field, "contains %q, only 0-9 A-Z a-z _ - | * @ allowed", c)
			return
		}
	}
}

func (f *faults) reason(value string) {
	if len(value) > 80 {
		f.add("Reason", "has %d bytes, at most 80 allowed (a Chinese character takes 3)", len(value))
	}
	f.storable("Reason", value)
}

func (f *faults) refundNotifyURL(value string) {
	if value == "" {
		return
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" {
		f.add("NotifyURL", "must be a URL, got %.100q", value)
	}
	f.noQuery("NotifyURL", value)
	if n := utf8.RuneCountInString(value); n < 8 || n > 256 {
		f.add("NotifyURL", "must have 8 to 256 characters, got %d", n)
	}
}

// usableKey returns public as a key that can verify signatures, or what is wrong
// with it, to follow "its key is".
func usableKey(public any) (_ *rsa.PublicKey, problem string) {
	key, ok := public.(*rsa.PublicKey)
	switch {
	case !ok:
		return nil, fmt.Sprintf("of type %T, but RSA is required", public)
	case key == nil || key.N == nil || key.N.Sign() <= 0 || key.N.Bit(0) == 0 || key.E < 3:
		return nil, "an empty or damaged RSA key"
	case key.N.BitLen() < 2048:
		return nil, fmt.Sprintf("an RSA key of %d bits, at least 2048 required", key.N.BitLen())
	}
	return key, ""
}

// checkURL checks a base URL and normalizes it to scheme and host.
func checkURL(f *faults, field string, value *string) *url.URL {
	u, err := url.Parse(*value)
	if err != nil {
		f.add(field, "is not a URL") // not quoted: it may contain a password
		return nil
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || strings.HasSuffix(u.Host, ":"):
		f.add(field, "scheme and host are required, such as %s", DefaultBaseURL)
	case u.User != nil || u.Opaque != "" || strings.ContainsAny(*value, "?#%"):
		f.add(field, "only scheme and host are allowed, such as %s", DefaultBaseURL)
	case u.Path != "" && u.Path != "/":
		f.add(field, "only scheme and host are allowed: for a relay with a path, see recipes/relay_test.go")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		f.add(field, "http is only allowed on loopback, use https for %q, or a relay (recipes/relay_test.go)", u.Host)
	default:
		u.Host = strings.ToLower(u.Host)
		if u.Scheme == "https" {
			u.Host = strings.TrimSuffix(u.Host, ":443")
		}
		*value = u.Scheme + "://" + u.Host
		return u
	}
	return nil
}

func checkMchID(f *faults, mchID string) {
	switch {
	case mchID == "":
		f.add("MchID", "is required: the merchant number, usually 10 digits (WECHATPAY_MCHID)")
	case len(mchID) > 64 || !isToken(mchID):
		f.add("MchID", "is not a merchant number (usually 10 digits), got %s", quoteStart(mchID))
	}
}

func checkSerialNo(f *faults, serialNo string) {
	switch {
	case serialNo == "":
		f.add("SerialNo", "is required, or Certificate (WECHATPAY_SERIAL_NO): "+
			"openssl x509 -in apiclient_cert.pem -noout -serial prints it")
	case strings.HasPrefix(serialNo, publicKeyIDPrefix):
		f.add("SerialNo", "must not be the id of a WeChat Pay public key (PublicKeyID), got %.70q", serialNo)
	case hexSerial(serialNo) != "":
		f.add("SerialNo", "must be hexadecimal, got the decimal form of %s", hexSerial(serialNo))
	case len(serialNo) > 64 || !isToken(serialNo):
		f.add("SerialNo", "must be hexadecimal digits without colons or \"serial=\", got %s", quoteStart(serialNo))
	}
}

// hexSerial returns the hexadecimal form of a serial number in decimal, or "" if
// serialNo is not decimal. In hexadecimal, serial numbers have at most 40 digits.
func hexSerial(serialNo string) string {
	if len(serialNo) <= 40 || len(serialNo) > 49 || strings.Trim(serialNo, "0123456789") != "" {
		return ""
	}
	n, _ := new(big.Int).SetString(serialNo, 10)
	return strings.ToUpper(hex.EncodeToString(n.Bytes()))
}

func checkAPIv3Key(f *faults, key string) {
	const field = "APIv3Key"
	switch {
	case key == "":
	case strings.TrimRight(key, "\r\n") != key:
		f.add(field, "ends with a line break: use strings.TrimSpace")
	case strings.TrimSpace(key) != key:
		f.add(field, "begins or ends with a space: use strings.TrimSpace")
	case len(key) != 32:
		f.add(field, "must be 32 bytes, got %d: use it as set under API安全 → APIv3密钥 (WECHATPAY_APIV3_KEY)", len(key))
	}
}

// quoteStart quotes at most the first 8 characters of a wrong setting, which may be
// a secret in the wrong place.
func quoteStart(s string) string {
	if len(s) <= 8 {
		return strconv.Quote(s)
	}
	return fmt.Sprintf("%.8q… (%d characters)", s, utf8.RuneCountInString(s))
}

// isToken reports whether s has only characters that need no escaping in a quoted
// attribute of a header.
func isToken(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// checkPrivateKey returns the public half of key, or nil if key cannot be used.
func checkPrivateKey(f *faults, key crypto.Signer) *rsa.PublicKey {
	const field = "PrivateKey"
	if isNil(key) {
		f.add(field, "is required: the key in apiclient_key.pem or a crypto.Signer (WECHATPAY_PRIVATE_KEY_FILE)")
		return nil
	}
	if k, ok := key.(*rsa.PrivateKey); ok {
		if k.N == nil || k.D == nil {
			f.add(field, "is an empty key")
			return nil
		}
		if err := k.Validate(); err != nil {
			f.add(field, "is not a valid RSA key: %v", err)
			return nil
		}
	}
	public, problem := usableKey(key.Public())
	if problem != "" {
		f.add(field, "its public key is %s", problem)
		return nil
	}
	return public
}

// isNil reports whether v is nil or contains a nil pointer, map, func or slice.
// Only reflection can tell for any type: callers pass a nil *os.File as a reader
// and a nil *rsa.PrivateKey as a signer.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch value := reflect.ValueOf(v); value.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Func, reflect.Slice:
		return value.IsNil()
	}
	return false
}
