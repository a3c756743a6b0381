package wechatpay

import (
	"crypto"
	"crypto/rsa"
	"fmt"
	"net/url"
	"path"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

func (req *UpdateRefundProgressRequest) check(f *faults) {
	if req == nil {
		f.add("req", "nil: ApproveRefund and RejectRefund make one")
		return
	}
	switch req.Action {
	case RefundApprove:
		if req.RejectReason != "" {
			f.add("RejectReason", "only goes with %s", RefundReject)
		}
		if len(req.RejectMediaList) > 0 {
			f.add("RejectMediaList", "only goes with %s", RefundReject)
		}
	case RefundReject:
		if req.LaunchRefundDay != nil {
			f.add("LaunchRefundDay", "only goes with %s: leave it nil", RefundApprove)
		}
	default:
		f.add("Action", "%.20q is neither %s nor %s", string(req.Action), RefundApprove, RefundReject)
	}
	if req.LaunchRefundDay != nil && *req.LaunchRefundDay < 0 {
		f.add("LaunchRefundDay", "%d working days, and 0 (today) is the least", *req.LaunchRefundDay)
	}
	f.text("RejectReason", req.RejectReason, 200)
	f.list("RejectMediaList", req.RejectMediaList, 4, 512)
	f.text("Remark", req.Remark, 200)
}

// checkComplaintID begins the check of a call on one complaint.
func checkComplaintID(id string) faults {
	var f faults
	f.required("complaintID", id, 64)
	if id == "." || id == ".." {
		f.add("complaintID", "%q would be another path", id)
	}
	return f
}

func (req *ListComplaintsRequest) check() faults {
	var f faults
	if req == nil {
		f.add("req", "nil: BeginDate and EndDate are required")
		return f
	}
	if req.BeginDate.IsZero() {
		f.add("BeginDate", "zero: it is required")
	}
	if req.EndDate.IsZero() {
		f.add("EndDate", "zero: it is required")
	}
	f.between("BeginDate.Year()", beijingDay(req.BeginDate).Year(), 1, 9999)
	f.between("EndDate.Year()", beijingDay(req.EndDate).Year(), 1, 9999)
	if len(f) == 0 && beijingDay(req.EndDate).Before(beijingDay(req.BeginDate)) {
		f.add("EndDate", "%s, before BeginDate %s (days in Beijing)", beijingDay(req.EndDate).Format(time.DateOnly), beijingDay(req.BeginDate).Format(time.DateOnly))
	}
	f.text("ComplaintedMchID", req.ComplaintedMchID, 64)
	if req.Limit != 0 {
		f.between("Limit", req.Limit, 1, maxListLimit)
	}
	f.atLeast("Offset", req.Offset, 0)
	return f
}

// check refuses what WeChat Pay documents: how many blocks there may be, and how
// long their texts, it does not.
func (m *Message) check(f *faults) {
	if len(m.Blocks) == 0 {
		f.add("Message.Blocks", "empty: at least one block is required")
	}
	for i, block := range m.Blocks {
		field := fmt.Sprintf("Message.Blocks[%d]", i)
		payloads := []struct {
			of  MessageBlockType
			set bool
		}{
			{MessageBlockTypeText, block.Text != nil},
			{MessageBlockTypeImage, block.Image != nil},
			{MessageBlockTypeLink, block.Link != nil},
			{MessageBlockTypeFAQList, block.FAQList != nil},
			{MessageBlockTypeButton, block.Button != nil},
			{MessageBlockTypeButtonGroup, block.ButtonGroup != nil},
		}
		known := false
		for _, payload := range payloads {
			known = known || payload.of == block.Type
			if payload.set != (payload.of == block.Type) {
				f.add(field, "its type is %q: it has the payload of that type, and no other", string(block.Type))
				known = true
				break
			}
		}
		if !known {
			f.add(field, "its type %.40q is none that can be sent", string(block.Type))
		}
	}
	f.text("Message.CustomData", m.CustomData, 4096)
	f.allStorable("Message.Blocks", reflect.ValueOf(m.Blocks))
}

// https refuses a URL that is not https.
func (f *faults) https(field, value string) {
	if u, err := url.Parse(value); err != nil || u.Scheme != "https" || u.Hostname() == "" {
		f.add(field, "%.100q is not an https URL", value)
	}
}

// storable refuses what WeChat Pay refuses in any text: characters beyond U+FFFF
// (emoji).
func (f *faults) storable(field, value string) {
	f.text(field, value, utf8.RuneCountInString(value))
}

// allStorable looks at every string within v.
func (f *faults) allStorable(field string, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		f.storable(field, v.String())
	case reflect.Pointer:
		if !v.IsNil() {
			f.allStorable(field, v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			f.allStorable(fmt.Sprintf("%s[%d]", field, i), v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				f.allStorable(field+"."+v.Type().Field(i).Name, v.Field(i))
			}
		}
	}
}

// imageName gives the name that is sent, and the content type that belongs to
// its extension.
func imageName(f *faults, filename string) (name, contentType string) {
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
		f.add("filename", "%.140q does not end in .jpg, .png or .bmp", filename)
	}
	name += extension
	f.text("filename", name, 128)
	return name, contentType
}

// noQuery refuses a URL with a query or a fragment.
func (f *faults) noQuery(field, value string) {
	if strings.ContainsAny(value, "?#") {
		f.add(field, "it may have no query and no fragment")
	}
}

func (req *RefundComplaintRequest) check(f *faults) {
	f.text("TransactionID", req.TransactionID, 32)
	if req.Amount < 0 {
		f.add("Amount", "%d fen, and 0 (what was applied for) is the least", req.Amount)
	}
	f.reason(req.Reason)
	f.refundNotifyURL(req.NotifyURL)
	f.text("SubMchID", req.SubMchID, 32)
	if req.OutRefundNo != "" {
		f.refundNo("OutRefundNo", req.OutRefundNo)
		if req.Attempt > 1 {
			f.add("Attempt", "%d, and OutRefundNo is set: attempts are counted in derived numbers alone; make a further one with Refunds.Create", req.Attempt)
		}
	}
	f.between("Attempt", req.Attempt, 0, maxAttempts)
	f.atLeast("Round", req.Round, 0)
}

func (req *CreateRefundRequest) check(f *faults) {
	f.text("SubMchID", req.SubMchID, 32)
	switch {
	case req.TransactionID == "" && req.OutTradeNo == "":
		f.add("TransactionID", "empty, and so is OutTradeNo: one of them names the order")
	case req.TransactionID != "" && req.OutTradeNo != "":
		f.add("OutTradeNo", "set together with TransactionID: what WeChat Pay makes of both is not documented")
	}
	f.text("TransactionID", req.TransactionID, 32)
	f.text("OutTradeNo", req.OutTradeNo, 32)
	if n := len(req.OutTradeNo); n > 0 && n < 6 {
		f.add("OutTradeNo", "%d characters, at least 6 are required", n)
	}
	f.refundNo("OutRefundNo", req.OutRefundNo)
	f.reason(req.Reason)
	f.refundNotifyURL(req.NotifyURL)
	switch req.FundsAccount {
	case "", FundsAccountAvailable, FundsAccountUnsettled:
	default:
		f.add("FundsAccount", "%.40q is neither %s nor %s", string(req.FundsAccount), FundsAccountAvailable, FundsAccountUnsettled)
	}
	amount := &req.Amount
	if amount.Refund < 1 {
		f.add("Amount.Refund", "%d fen, and 1 is the least", amount.Refund)
	}
	if amount.Refund > amount.Total {
		f.add("Amount.Refund", "%d fen, more than the order's %d (Amount.Total)", amount.Refund, amount.Total)
	}
	f.text("Amount.Currency", amount.Currency, 16)
	amount.checkFrom(f)
	for i, goods := range req.GoodsDetail {
		field := fmt.Sprintf("GoodsDetail[%d]", i)
		if goods.MerchantGoodsID == "" {
			f.add(field+".MerchantGoodsID", "empty: it is required")
		}
		f.storable(field+".MerchantGoodsID", goods.MerchantGoodsID)
		f.storable(field+".WechatpayGoodsID", goods.WechatpayGoodsID)
		f.storable(field+".GoodsName", goods.GoodsName)
		if goods.UnitPrice < 0 || goods.RefundAmount < 0 || goods.RefundQuantity < 0 {
			f.add(field, "UnitPrice, RefundAmount and RefundQuantity may not be negative")
		}
	}
}

func (a *CreateRefundAmount) checkFrom(f *faults) {
	if len(a.From) == 0 {
		return
	}
	var sum int64
	seen := make(map[FundsAccount]bool)
	for i, from := range a.From {
		field := fmt.Sprintf("Amount.From[%d]", i)
		if from.Account != FundsAccountAvailable && from.Account != FundsAccountUnavailable {
			f.add(field+".Account", "%.40q is neither %s nor %s", string(from.Account), FundsAccountAvailable, FundsAccountUnavailable)
		} else if seen[from.Account] {
			f.add(field+".Account", "%s comes twice", from.Account)
		}
		seen[from.Account] = true
		if from.Amount < 1 {
			f.add(field+".Amount", "%d fen, and 1 is the least", from.Amount)
		}
		sum += from.Amount
	}
	if sum != a.Refund {
		f.add("Amount.From", "%d fen in sum, and Amount.Refund is %d", sum, a.Refund)
	}
}

// refundNo checks a refund number by its alphabet.
func (f *faults) refundNo(field, value string) {
	if value == "" || len(value) > 64 {
		f.add(field, "%d bytes, 1 to 64 are required", len(value))
	}
	for _, c := range value {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '_' && c != '-' && c != '|' && c != '*' && c != '@' {
			f.add(field, "holds %q: only 0-9 A-Z a-z _ - | * @ are allowed", c)
			return
		}
	}
}

func (f *faults) reason(value string) {
	if len(value) > 80 {
		f.add("Reason", "%d bytes, at most 80 are allowed (a Chinese character takes 3)", len(value))
	}
	f.storable("Reason", value)
}

func (f *faults) refundNotifyURL(value string) {
	if value == "" {
		return
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		f.add("NotifyURL", "%.100q is not a URL without a query", value)
	}
	if n := len(value); n < 8 || n > 256 {
		f.add("NotifyURL", "%d characters, 8 to 256 are allowed", n)
	}
}

// faults collects what is wrong with the arguments of one call.
type faults []ArgumentFault

func (f *faults) add(field, format string, args ...any) {
	*f = append(*f, ArgumentFault{Field: field, Problem: fmt.Sprintf(format, args...)})
}

func (f faults) err(op string) error {
	if len(f) == 0 {
		return nil
	}
	return &ArgumentError{Op: op, Faults: f}
}

// text checks a string that WeChat Pay limits in characters. It refuses what
// WeChat Pay refuses: characters beyond U+FFFF (emoji).
func (f *faults) text(field, value string, limit int) {
	if !utf8.ValidString(value) {
		f.add(field, "not valid UTF-8")
		return
	}
	if n := utf8.RuneCountInString(value); n > limit {
		f.add(field, "%d characters, at most %d are allowed", n, limit)
	}
	for _, r := range value {
		if r > 0xFFFF {
			f.add(field, "holds %q (%U), and WeChat Pay takes no character beyond U+FFFF (emoji)", r, r)
			return
		}
	}
}

// required is text that may not be empty.
func (f *faults) required(field, value string, limit int) {
	if value == "" {
		f.add(field, "empty, 1 to %d characters are required", limit)
		return
	}
	f.text(field, value, limit)
}

func (f *faults) atLeast(field string, value, least int) {
	if value < least {
		f.add(field, "%d, and %d is the least", value, least)
	}
}

func (f *faults) between(field string, value, least, most int) {
	if value < least || value > most {
		f.add(field, "%d, and %d to %d are allowed", value, least, most)
	}
}

// list checks a list of required strings.
func (f *faults) list(field string, values []string, most, limit int) {
	if len(values) > most {
		f.add(field, "%d entries, at most %d are allowed", len(values), most)
	}
	for i, value := range values {
		f.required(fmt.Sprintf("%s[%d]", field, i), value, limit)
	}
}

// usableKey takes a public key that can verify, or says what it is.
func usableKey(public any) (_ *rsa.PublicKey, problem string) {
	key, ok := public.(*rsa.PublicKey)
	switch {
	case !ok:
		return nil, fmt.Sprintf("%T, and RSA is required", public)
	case key == nil || key.N == nil || key.N.Sign() <= 0 || key.N.Bit(0) == 0 || key.E < 3:
		return nil, "an empty or damaged RSA key"
	case key.N.BitLen() < 2048:
		return nil, fmt.Sprintf("an RSA key of %d bits, and %s needs 2048", key.N.BitLen(), algorithm)
	}
	return key, ""
}

// checkURL checks a base URL and drops the slash at its end.
func checkURL(f *faults, field string, value *string) *url.URL {
	u, err := url.Parse(*value)
	if err != nil {
		f.add(field, "not a URL") // and not which: it may hold a password
		return nil
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || strings.HasSuffix(u.Host, ":"):
		f.add(field, "scheme and host are required, such as %s", DefaultBaseURL)
	case u.Path != "" && u.Path != "/" || u.User != nil || u.Opaque != "" || strings.ContainsAny(*value, "?#%"):
		f.add(field, "only scheme and host are allowed, such as %s", DefaultBaseURL)
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		f.add(field, "http is refused for %q, which is not loopback: use https", u.Host)
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
		f.add("MchID", "empty: it is the merchant number, 10 digits as a rule (WECHATPAY_MCHID)")
	case len(mchID) > 64 || !isToken(mchID):
		f.add("MchID", "%s is not a merchant number: 10 digits as a rule, no blanks or quotes", glimpse(mchID))
	}
}

func checkSerialNo(f *faults, serialNo string) {
	const remedy = "openssl x509 -in apiclient_cert.pem -noout -serial prints it"
	switch {
	case serialNo == "":
		f.add("SerialNo", "empty: it is the serial number of the merchant API certificate; %s (WECHATPAY_SERIAL_NO, or give the certificate itself)", remedy)
	case strings.HasPrefix(serialNo, publicKeyIDPrefix):
		f.add("SerialNo", "%.70q is the id of the WeChat Pay public key and belongs into PublicKeyID; SerialNo is the merchant API certificate's: %s", serialNo, remedy)
	case len(serialNo) > 64 || !isToken(serialNo):
		f.add("SerialNo", "%s is not a serial number: hexadecimal digits without blanks, colons or \"serial=\"; %s", glimpse(serialNo), remedy)
	}
}

// glimpse shows the beginning of a setting that is wrong, and no more: it may be
// a secret in the wrong place.
func glimpse(s string) string {
	if len(s) <= 8 {
		return strconv.Quote(s)
	}
	return fmt.Sprintf("%.8q… (%d characters)", s, utf8.RuneCountInString(s))
}

// isToken reports whether s can stand in a quoted attribute of the header.
func isToken(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// checkPrivateKey gives the key's public half, or nil if the key is wrong.
func checkPrivateKey(f *faults, key crypto.Signer) *rsa.PublicKey {
	const field = "PrivateKey"
	if isNil(key) {
		f.add(field, "missing: it is the key in apiclient_key.pem (ParsePrivateKey, WECHATPAY_PRIVATE_KEY_FILE), or an HSM's signer")
		return nil
	}
	if k, ok := key.(*rsa.PrivateKey); ok {
		if k.N == nil || k.D == nil {
			f.add(field, "an empty key")
			return nil
		}
		if err := k.Validate(); err != nil {
			f.add(field, "not a consistent RSA key: %v", err)
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

// isNil reports whether v is nil or holds a nil pointer, map, function or slice.
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
