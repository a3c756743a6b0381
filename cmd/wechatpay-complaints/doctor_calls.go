package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
)

// The doctor's checks that call the API, and what their errors mean.

const echoMessage = "wechatpay-complaints doctor"

// checkEcho calls the self-test, without encryption first, so that a problem with
// signatures and one with encryption are distinguished. It reports whether a
// response was verified.
func (d *examination) checkEcho(ctx context.Context) (verified bool) {
	name := words{"签名自检", "signature self-test"}
	resp, err := d.client.Echo(ctx, &wechatpay.EchoRequest{EchoMessage: echoMessage})
	switch {
	case selfTestUnavailable(err):
		d.note(name, words{
			"该商户可能未开通自检接口，不代表密钥有问题，以下方的查询结果为准",
			"this merchant may not have the self-test; the next check shows whether the keys are right"})
		d.details(err)
		return false
	case err != nil:
		d.wrongCall(name, err)
		return false
	case resp.EchoMessage != echoMessage:
		d.wrong(name, words{"应答验签通过，但内容与发送的不一致", "the response is signed but does not repeat the message"})
		return true
	}
	d.ok(name, words{
		"请求签名被接受，应答验签通过：商户号、序列号、商户私钥和验签密钥均正确",
		"request accepted, response verified: merchant number, serial number and keys are right"})

	name = words{"加密自检", "encryption self-test"}
	resp, err = d.client.Echo(ctx, &wechatpay.EchoRequest{EchoMessage: echoMessage, EncryptedEchoMessage: "doctor"})
	switch {
	case err != nil:
		d.wrongCall(name, err)
	case resp.EncryptedEchoMessage == "":
		d.note(name, words{
			"微信支付解密成功，但应答中没有密文，未验证本机解密",
			"WeChat Pay decrypted the message; its response is not encrypted, so decryption was not checked"})
	case resp.EncryptedEchoMessage != "doctor":
		d.wrong(name, words{"解密后的内容与发送的不一致", "the decrypted response does not repeat the message"})
	default:
		d.ok(name, words{"加密和解密成功", "encryption and decryption succeeded"})
	}
	return true
}

// selfTestUnavailable reports whether err means that the merchant does not have
// the self-test.
func selfTestUnavailable(err error) bool {
	var apiError *wechatpay.APIError
	return errors.As(err, &apiError) && !isGateway(apiError) &&
		(apiError.StatusCode == http.StatusForbidden || apiError.StatusCode == http.StatusNotFound)
}

// checkRead lists the complaints of today. It reports whether that succeeded.
func (d *examination) checkRead(ctx context.Context) bool {
	name := words{"查询投诉单列表", "list of complaints"}
	today := d.now()
	page, err := d.client.ComplaintsV2.List(ctx, &wechatpay.ListComplaintsRequest{BeginDate: today, EndDate: today, Limit: 1})
	if err != nil {
		d.wrongCall(name, err)
		return false
	}
	d.ok(name, words{"今天有 %d 笔投诉单", "%d filed today"}, page.TotalCount)
	return true
}

// certificateState is the result of checkCertificates.
type certificateState int

const (
	certificatesUnknown   certificateState = iota
	certificatesNone                       // the merchant has none
	certificatesDecrypted                  // with the APIv3 key
)

// checkCertificates checks that the APIv3 key decrypts the platform certificates.
func (d *examination) checkCertificates(ctx context.Context) certificateState {
	name := words{"APIv3密钥解密验证", "APIv3 key decryption"}
	list, err := d.downloadCertificates(ctx)
	var apiError *wechatpay.APIError
	none := errors.As(err, &apiError) && !isGateway(apiError) && apiError.StatusCode == http.StatusNotFound ||
		err == nil && len(list) == 0
	switch {
	case none && d.cfg.PublicKey == nil:
		d.wrongBecause(name, found(words{
			"该商户没有平台证书：请设置 WECHATPAY_PUBLIC_KEY_FILE 和 WECHATPAY_PUBLIC_KEY_ID，见 API安全 → 微信支付公钥",
			"this merchant has no platform certificates: set WECHATPAY_PUBLIC_KEY_FILE and WECHATPAY_PUBLIC_KEY_ID (API安全 → 微信支付公钥)"}), err)
		return certificatesNone
	case none:
		d.note(name, words{
			"未检查：该商户没有平台证书，以能否解密第一条回调通知为准",
			"not checked: this merchant has no platform certificate; the first notification will show"})
		return certificatesNone
	case err != nil:
		d.wrongCall(name, err)
		return certificatesUnknown
	case list[0].EncryptCertificate.decrypt(d.cfg.APIv3Key) != nil:
		d.wrong(name, words{
			"平台证书解密失败：%s 不是当前的 APIv3密钥，见 " + whereSecurity + " → APIv3密钥；如已遗忘，请重新设置",
			"platform certificates cannot be decrypted: %s is not the key under API安全 → APIv3密钥; if it is lost, set a new one"},
			variable("WECHATPAY_APIV3_KEY"))
		return certificatesUnknown
	}
	d.ok(name, words{"平台证书解密成功，APIv3密钥正确", "decrypted the platform certificates: the APIv3 key is right"})
	return certificatesDecrypted
}

type certificateEntry struct {
	EncryptCertificate encrypted `json:"encrypt_certificate"`
}

// downloadCertificates lists the platform certificates. It does not verify the
// signature of the response, which may need one of them.
func (d *examination) downloadCertificates(ctx context.Context) ([]certificateEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	serialNo := d.cfg.SerialNo
	if serialNo == "" {
		serialNo = serialOf(d.cfg)
	}
	signer, err := wechatpay.NewSigner(d.cfg.MchID, serialNo, d.cfg.PrivateKey)
	if err != nil {
		return nil, err
	}
	host, err := url.Parse(d.host)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.host+probePath, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "wechatpay-complaints/"+wechatpay.Version)
	transport := wechatpay.SigningTransport{Signer: signer, Hosts: []string{host.Host}, Base: d.transport}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := readBody(resp)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, apiErrorOf(resp, body)
	}
	var wire struct{ Data []certificateEntry }
	if err := json.Unmarshal(body, &wire); err != nil {
		return nil, fmt.Errorf("GET %s: %w", probePath, err)
	}
	return wire.Data, nil
}

// readBody reads a body of up to 1 MiB, which a proxy may have compressed.
func readBody(resp *http.Response) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if !bytes.HasPrefix(body, []byte("\x1f\x8b")) {
		return body, err
	}
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, 1<<20))
}

// apiErrorOf returns a response as an error.
func apiErrorOf(resp *http.Response, body []byte) *wechatpay.APIError {
	e := &wechatpay.APIError{
		StatusCode: resp.StatusCode,
		Method:     resp.Request.Method,
		Host:       resp.Request.URL.Host,
		Path:       resp.Request.URL.Path,
	}
	var wire struct {
		Code    wechatpay.ErrorCode
		Message string
		Detail  json.RawMessage
	}
	// Some gateways repeat the request in their errors, with Authorization.
	if id := resp.Header.Get("Request-Id"); len(id) <= 100 && !repeatsSignature(resp.Request, id) {
		e.RequestID = id
	}
	if !repeatsSignature(resp.Request, string(body)) && json.Unmarshal(body, &wire) == nil {
		e.Code, e.Message, e.Detail = wire.Code, wire.Message, wire.Detail
	}
	return e
}

// repeatsSignature reports whether a text contains a part of the signature of a
// request. Parts without + / = are the same in JSON, in HTML and in a URL.
func repeatsSignature(req *http.Request, text string) bool {
	if strings.Contains(text, "WECHATPAY2-") || strings.Contains(text, "signature=") {
		return true
	}
	_, signature, _ := strings.Cut(req.Header.Get("Authorization"), `signature="`)
	parts := strings.FieldsFunc(signature, func(r rune) bool { return strings.ContainsRune(`+/="`, r) })
	return slices.ContainsFunc(parts, func(part string) bool { return len(part) >= 12 && strings.Contains(text, part) })
}

// encrypted is AES-256-GCM ciphertext in the form of WeChat Pay.
type encrypted struct {
	Nonce          string
	AssociatedData string `json:"associated_data"`
	Ciphertext     []byte
}

func (e *encrypted) decrypt(key string) error {
	block, err := aes.NewCipher([]byte(key))
	if err != nil {
		return err
	}
	// It takes the nonce from the start of the ciphertext.
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return err
	}
	_, err = aead.Open(nil, nil, append([]byte(e.Nonce), e.Ciphertext...), []byte(e.AssociatedData))
	return err
}

// wrongCall reports the error of a call, with its meaning and the remedy.
func (d *examination) wrongCall(name words, err error) {
	why, probe := d.whyFailed(err)
	if probe {
		d.note(name, why.words, why.args...)
		return
	}
	text := d.of(why.words, why.args...)
	if text == d.last {
		why = found(words{"原因同上", "the same problem"})
	}
	d.last = text
	d.wrongBecause(name, why, err)
}

// whyFailed returns what the error of a call means. probe reports whether WeChat
// Pay sent a wrong signature as a test, so that nothing is wrong.
func (d *examination) whyFailed(err error) (why finding, probe bool) {
	var apiError *wechatpay.APIError
	var unverified *wechatpay.VerificationError
	switch {
	case errors.As(err, &unverified) && unverified.Reason == wechatpay.VerificationReasonProbe:
		return found(words{
			"微信支付以错误的签名测试验签，SDK 已正确拒绝：请再次运行 doctor",
			"WeChat Pay sent a wrong signature as a test, and it was rejected as it should be: run doctor again"}), true
	case errors.As(err, &unverified):
		return d.whyNotVerified(unverified), false
	case errors.As(err, &apiError):
		return d.whyRejected(apiError), false
	case strings.Contains(err.Error(), "FIPS 140-only"):
		return found(words{
			"FIPS 140-only 模式不允许 SHA-1，无法加解密敏感字段：请勿设置 GODEBUG=fips140=only",
			"FIPS 140-only mode does not allow SHA-1, which phone numbers need: do not set GODEBUG=fips140=only"}), false
	}
	return d.whyUnreachable(err, strings.TrimPrefix(d.host, "https://")), false
}

// isGateway reports whether a response is from a gateway, not from WeChat Pay.
func isGateway(err *wechatpay.APIError) bool {
	return !weChatPayCode.MatchString(string(err.Code))
}

// gatewayMessage removes what the SDK says about a message of a gateway.
var gatewayMessage = strings.NewReplacer(
	"not a WeChat Pay response: ", "", "not a WeChat Pay response", "", "HTML page: ", "", "redirect to ", "→ ")

var weChatPayCode = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)

func (d *examination) whyRejected(err *wechatpay.APIError) finding {
	switch {
	case isGateway(err):
		text := gatewayMessage.Replace(err.Message)
		if text != "" {
			text = ", " + brief(errors.New(text))
		}
		return d.whoAnswered(err.StatusCode, text)
	case err.StatusCode == http.StatusUnauthorized:
		return d.whyNotAuthorized(err)
	case err.StatusCode == http.StatusForbidden:
		return found(words{"没有权限（%s）：请在商户平台确认已开通", "no permission (%s): check in the merchant platform that it is granted"}, err.Code)
	case err.StatusCode == http.StatusTooManyRequests:
		return found(words{"请求过于频繁（%s）：请一分钟后重试", "too many requests (%s): try again in a minute"}, err.Code)
	case err.StatusCode >= 500:
		return found(words{"服务异常（%d %s）：请稍后重试", "the service failed (%d %s): try again later"}, err.StatusCode, err.Code)
	case strings.Contains(string(err.Detail), "Wechatpay-Serial"):
		return found(words{
			"微信支付无法识别该公钥ID：请按 " + wherePublic + " 填写 WECHATPAY_PUBLIC_KEY_ID",
			"WeChat Pay does not know the public key id: set WECHATPAY_PUBLIC_KEY_ID as under API安全 → 微信支付公钥"})
	case strings.Contains(string(err.Detail), "encrypted_echo_message"):
		return found(words{
			"微信支付解密失败：%s 与公钥ID不匹配，请到 " + wherePublic + " 重新下载 pub_key.pem",
			"WeChat Pay cannot decrypt the message: %s does not match its id; download pub_key.pem again"}, variable("WECHATPAY_PUBLIC_KEY"))
	}
	return found(words{"请求被拒绝：%d %s", "rejected: %d %s"}, err.StatusCode, brief(errors.New(string(err.Code)+" "+err.Message)))
}

// detailOf returns the field and the issue of the detail, which may have any form.
// The detail also quotes the string to sign, which may contain any word.
func detailOf(err *wechatpay.APIError) (field, issue string) {
	var detail struct {
		Field, Issue any
		Detail       struct{ Issue any }
	}
	_ = json.Unmarshal(err.Detail, &detail)
	field, _ = detail.Field.(string)
	return strings.ToLower(field), strings.ToLower(fmt.Sprint(detail.Issue, detail.Detail.Issue))
}

// whyNotAuthorized returns why a request signature was rejected. WeChat Pay may
// name the field, or not.
func (d *examination) whyNotAuthorized(err *wechatpay.APIError) finding {
	field, issue := detailOf(err)
	matches := d.cfg.Certificate != nil // NewClient checked that the key matches
	switch {
	case d.clockWrong && (field == "" || field == "timestamp"):
		return found(words{"请求签名被拒绝：请先校正本机时钟", "the request signature was rejected: set the clock first"})
	case field == "timestamp" || strings.Contains(issue, "timestamp") || strings.Contains(issue, "时间"):
		return found(words{
			"请求签名因时间被拒绝：请用 NTP 校正本机时钟",
			"the request signature was rejected because of its time: set this machine's clock with NTP"})
	case field == "authorization":
		return found(words{
			"代理或网关删除或修改了 Authorization 头：请让其原样转发",
			"a proxy or gateway removed or changed the Authorization header: make it forward the header unchanged"})
	case field == "mchid":
		return found(words{
			"商户号 %s 不存在或与证书不符：请按 账户中心 → 商户信息 核对 WECHATPAY_MCHID",
			"merchant number %s is unknown, or not that of the certificate: compare WECHATPAY_MCHID with 账户中心 → 商户信息"}, d.cfg.MchID)
	case field == "serial_no":
		return found(words{
			"序列号不是该商户的证书，或证书已作废：请按 API安全 → 商户API证书 核对 %s",
			"the serial number is not a certificate of this merchant, or revoked: compare %s with API安全 → 商户API证书"}, d.serialVariable())
	case field == "nonce_str":
		return found(words{
			"同一请求到达了两次：请检查代理和网关是否会重发请求",
			"the request arrived twice: check that proxy and gateway do not repeat requests"})
	case field == "signature" && matches:
		return found(words{
			"请求签名不匹配，但商户私钥与证书匹配：代理或网关修改了请求的路径、参数或正文",
			"the signature does not match, but private key and certificate do: a proxy or gateway changed path, query or body"})
	case field == "signature":
		return found(words{
			"商户私钥（%s）与序列号（%s）不匹配：两者应取自同一证书包",
			"the private key (%s) does not belong to the serial number (%s): take both from one package"},
			variable("WECHATPAY_PRIVATE_KEY"), d.serialVariable())
	case !d.clockKnown:
		return found(words{
			"请求签名被拒绝：商户号、序列号与私钥不匹配，或证书已作废，或本机时钟（未检查）偏差超过 5 分钟",
			"the request signature was rejected: merchant number, serial number and private key, or the clock (not checked)"})
	}
	return found(words{
		"请求签名被拒绝：商户号、序列号与私钥不匹配，或证书已作废；见 API安全 → 商户API证书",
		"the request signature was rejected: merchant number, serial number, private key, or a revoked certificate (API安全)"})
}

// serialVariable returns the variable that the serial number is from.
func (d *examination) serialVariable() string {
	if os.Getenv("WECHATPAY_SERIAL_NO") == "" && d.cfg.Certificate != nil {
		return variable("WECHATPAY_CERTIFICATE")
	}
	return "WECHATPAY_SERIAL_NO"
}

func (d *examination) whyNotVerified(err *wechatpay.VerificationError) finding {
	isPublicKey := strings.HasPrefix(err.SerialNo, "PUB_KEY_ID_")
	switch err.Reason {
	case wechatpay.VerificationReasonTimestamp:
		if d.clockKnown && !d.clockWrong && err.Skew > 0 {
			return found(words{
				"应答是 %v 之前签名的：代理或网关缓存了应答",
				"the response was signed %v ago: a proxy or gateway caches responses"}, err.Skew.Round(time.Minute))
		}
		return found(words{
			"应答时间与本机时钟相差 5 分钟以上：请用 NTP 校时",
			"the response's time differs from this machine's clock by more than 5 minutes: set the clock with NTP"})
	case wechatpay.VerificationReasonUnknownSerial:
		return d.whyUnknownSerial(err, isPublicKey)
	case wechatpay.VerificationReasonCertificateNotValid:
		return found(words{
			"按本机时钟，平台证书不在有效期内：请核对本机日期并用 NTP 校时",
			"the platform certificate is not valid by this machine's clock: check the date, and set the clock with NTP"})
	case wechatpay.VerificationReasonSignatureMismatch:
		return d.whyMismatch(err, isPublicKey)
	case wechatpay.VerificationReasonUnsigned, wechatpay.VerificationReasonMalformedHeader:
		return found(words{
			"应答没有有效的签名头：应答来自网关，或网关删除了签名头；请检查代理和 WECHATPAY_BASE_URL",
			"the response has no valid signature headers: a gateway answered or removed them; check proxy and WECHATPAY_BASE_URL"})
	case wechatpay.VerificationReasonReplayed, wechatpay.VerificationReasonMismatch:
		return found(words{
			"应答与请求不符：代理或网关缓存或混淆了应答",
			"the response does not match the request: a proxy or gateway caches or mixes up responses"})
	}
	return found(words{"应答验签失败：%s", "signature verification failed: %s"}, brief(err))
}

// whyMismatch returns why a signature does not match. The SDK's error says whether
// the key or the body is wrong.
func (d *examination) whyMismatch(err *wechatpay.VerificationError, isPublicKey bool) finding {
	switch text := err.Error(); {
	case strings.Contains(text, "Content-Encoding"):
		return found(words{
			"代理压缩了应答，SDK 无法解压：请关闭代理的压缩（仅支持 gzip）",
			"a proxy compresses responses in a way that the SDK cannot undo: turn it off (only gzip is supported)"})
	case strings.Contains(text, `": the body `):
		return found(words{
			"应答正文被代理或网关修改：请让其原样转发",
			"a proxy or gateway changed the body of the response: make it forward bodies unchanged"})
	case isPublicKey && d.cfg.PublicKey != nil:
		return found(words{
			"%s 与公钥ID不匹配：请到 " + wherePublic + " 重新下载 pub_key.pem",
			"%s does not match its id: download pub_key.pem again (API安全 → 微信支付公钥)"}, variable("WECHATPAY_PUBLIC_KEY"))
	}
	return found(words{
		"应答并非由微信支付签名：请检查代理和 WECHATPAY_BASE_URL",
		"the response is not signed by WeChat Pay: check proxy and WECHATPAY_BASE_URL"})
}

func (d *examination) whyUnknownSerial(err *wechatpay.VerificationError, isPublicKey bool) finding {
	switch {
	case isPublicKey && d.cfg.PublicKeyID == "":
		return found(words{
			"微信支付使用公钥签名：请设置 WECHATPAY_PUBLIC_KEY_FILE 和 WECHATPAY_PUBLIC_KEY_ID，见 API安全 → 微信支付公钥",
			"WeChat Pay signs with its public key: set WECHATPAY_PUBLIC_KEY_FILE and WECHATPAY_PUBLIC_KEY_ID (API安全 → 微信支付公钥)"})
	case isPublicKey:
		return found(words{
			"微信支付使用的公钥ID与 WECHATPAY_PUBLIC_KEY_ID 不一致：请按 API安全 → 微信支付公钥 核对",
			"WeChat Pay signs with another public key id than WECHATPAY_PUBLIC_KEY_ID: compare it with API安全 → 微信支付公钥"})
	case d.cfg.PublicKeyOnly:
		return found(words{
			"微信支付仍使用平台证书签名：切换完成前，请勿设置 WECHATPAY_PUBLIC_KEY_ONLY",
			"WeChat Pay still signs with a platform certificate: do not set WECHATPAY_PUBLIC_KEY_ONLY yet"})
	case d.cfg.APIv3Key == "":
		return found(words{
			"微信支付使用平台证书签名：请设置 WECHATPAY_APIV3_KEY，SDK 将下载平台证书",
			"WeChat Pay signs with a platform certificate: set WECHATPAY_APIV3_KEY, and the SDK downloads it"})
	case err.Err != nil:
		return found(words{
			"微信支付使用平台证书签名，但平台证书下载失败（加 -v 显示原因）；请核对 %s",
			"WeChat Pay signs with a platform certificate, and its download failed (-v shows why); check %s"}, variable("WECHATPAY_APIV3_KEY"))
	}
	return found(words{
		"已下载的平台证书中没有该序列号：请稍后重试；如仍失败，请检查代理和 WECHATPAY_BASE_URL",
		"no downloaded platform certificate has this serial number: try again later, then check proxy and WECHATPAY_BASE_URL"})
}
