package main

import (
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
)

// The doctor's checks of the settings, before anything is sent.

const (
	whereSecurity = "商户平台 → 账户中心 → API安全"
	wherePublic   = "API安全 → 微信支付公钥"
)

// faultsByField returns the problems of an *wechatpay.ArgumentError.
func faultsByField(err error) map[string]string {
	faults := map[string]string{}
	var argument *wechatpay.ArgumentError
	if errors.As(err, &argument) {
		for _, fault := range argument.Faults {
			faults[fault.Field] = fault.Problem
		}
	}
	return faults
}

// checkSettings checks each setting. It returns the Client, or nil if the
// settings are invalid. unreadable has the faults of ConfigFromEnv.
func (d *examination) checkSettings(cfg wechatpay.Config, unreadable map[string]string) *wechatpay.Client {
	d.secret = cfg.APIv3Key
	client, err := wechatpay.NewClient(cfg)
	faults := faultsByField(err)

	d.checkMchID(cfg, faults)
	merchant := d.checkPrivateKey(cfg, faults, unreadable)
	d.checkCertificate(cfg, merchant, faults, unreadable)
	d.checkSerialNo(cfg, faults)
	d.checkAPIv3Key(cfg, unreadable)
	d.checkPublicKey(cfg, merchant, faults, unreadable)
	d.checkPublicKeyOnly(cfg, faults, unreadable)
	d.checkURL("BaseURL", "WECHATPAY_BASE_URL", faults)
	d.checkURL("BackupURL", "WECHATPAY_BACKUP_URL", faults)
	if maybeSwapped(cfg) {
		return nil // a call would send the key as the serial number
	}
	if len(unreadable) > 0 || err != nil {
		if !d.failed { // no line above reports it
			d.wrong(words{"配置", "settings"}, words{"不完整：%s", "incomplete: %s"}, brief(err))
			d.details(err)
		}
		return nil
	}
	return client
}

func (d *examination) checkURL(field, variable string, faults map[string]string) {
	if problem, ok := faults[field]; ok {
		d.invalidURLs[field] = true
		name := words{"服务地址", "URL"}
		switch {
		case strings.Contains(problem, "path"), strings.Contains(problem, "loopback"):
			d.wrong(name, words{
				"%s 无效：应为 https 协议和域名，不含路径；内部网关请设置 " + relayVariable,
				"%s is invalid: use https and a host, without a path; for an internal gateway, set " + relayVariable}, variable)
		default:
			d.wrong(name, words{
				"%s 无效：应只包含协议和域名，正式环境无需设置",
				"%s is invalid: set only scheme and host, or leave it out"}, variable)
		}
		d.details(errors.New(problem))
	}
}

// variable returns the variable that a setting is read from: the name, or the one
// with the suffix _FILE.
func variable(name string) string {
	if os.Getenv(name) == "" {
		return name + "_FILE"
	}
	return name
}

func (d *examination) checkMchID(cfg wechatpay.Config, faults map[string]string) {
	name := words{"商户号", "merchant number"}
	switch {
	case cfg.MchID == "":
		d.wrong(name, words{
			"未设置 WECHATPAY_MCHID：见 商户平台 → 账户中心 → 商户信息",
			"WECHATPAY_MCHID is not set: see 账户中心 → 商户信息 in the merchant platform"})
	case cfg.MchID == cfg.APIv3Key:
		d.wrong(name, words{"WECHATPAY_MCHID 误填为 APIv3密钥", "WECHATPAY_MCHID contains the APIv3 key"})
	case faults["MchID"] != "":
		d.wrong(name, words{
			"WECHATPAY_MCHID 不是有效的商户号：通常为 10 位数字，不含空格和引号",
			"WECHATPAY_MCHID is not a merchant number: usually 10 digits, without spaces or quotes"})
	default:
		d.note(name, words{"%s，尚未验证", "%s, not verified yet"}, cfg.MchID)
	}
}

func (d *examination) checkPrivateKey(cfg wechatpay.Config, faults, unreadable map[string]string) *rsa.PublicKey {
	name := words{"商户私钥", "private key"}
	if d.printUnreadable(name, "WECHATPAY_PRIVATE_KEY", unreadable) {
		return nil
	}
	if cfg.PrivateKey == nil {
		d.wrong(name, words{
			"未设置：请将 WECHATPAY_PRIVATE_KEY_FILE 设为 apiclient_key.pem 的路径，该文件在申请商户API证书时生成",
			"not set: set WECHATPAY_PRIVATE_KEY_FILE to the path of apiclient_key.pem, created with the merchant API certificate"})
		return nil
	}
	if problem, ok := faults["PrivateKey"]; ok {
		d.wrong(name, words{
			"%s 无法使用：请换成申请商户API证书时生成的 apiclient_key.pem（%.60s）",
			"%s is unusable: use the apiclient_key.pem created with the merchant API certificate (%.60s)"},
			variable("WECHATPAY_PRIVATE_KEY"), problem)
		return nil
	}
	public, ok := cfg.PrivateKey.Public().(*rsa.PublicKey)
	if !ok {
		return nil
	}
	if cfg.Certificate != nil && public.Equal(cfg.Certificate.PublicKey) {
		d.ok(name, words{"RSA %d 位，与商户API证书匹配", "RSA, %d bits, matches the merchant certificate"}, public.N.BitLen())
	} else {
		d.note(name, words{"RSA %d 位，尚未验证", "RSA, %d bits, not verified yet"}, public.N.BitLen())
	}
	return public
}

func (d *examination) checkCertificate(cfg wechatpay.Config, merchant *rsa.PublicKey, faults, unreadable map[string]string) {
	name := words{"商户API证书", "merchant certificate"}
	if d.printUnreadable(name, "WECHATPAY_CERTIFICATE", unreadable) {
		return
	}
	if cfg.Certificate == nil {
		d.note(name, words{
			"未设置（可选）：设置 WECHATPAY_CERTIFICATE_FILE 后可核对私钥和序列号",
			"not set (optional): with WECHATPAY_CERTIFICATE_FILE, doctor checks the private key and the serial number"})
		return
	}
	public, _ := cfg.Certificate.PublicKey.(*rsa.PublicKey)
	until := cfg.Certificate.NotAfter.In(beijing).Format(time.DateOnly)
	switch left := cfg.Certificate.NotAfter.Sub(d.now()); {
	case merchant != nil && (public == nil || !public.Equal(merchant)):
		d.wrong(name, words{
			"与商户私钥不匹配：apiclient_cert.pem 和 apiclient_key.pem 应取自同一证书包",
			"does not match the private key: use apiclient_cert.pem and apiclient_key.pem of one package"})
	case faults["Certificate"] != "":
		d.wrong(name, words{"%s 无法使用：%.90s", "%s is unusable: %.90s"}, variable("WECHATPAY_CERTIFICATE"), faults["Certificate"])
	case left < 0:
		d.wrong(name, words{
			"已于 %s 过期：请到 " + whereSecurity + " 更换商户API证书",
			"expired on %s: renew it in the merchant platform under 账户中心 → API安全"}, until)
	case left < 30*24*time.Hour:
		d.note(name, words{
			"将于 %s 过期：请尽快到 " + whereSecurity + " 更换商户API证书",
			"expires on %s: renew it soon in the merchant platform under 账户中心 → API安全"}, until)
	case merchant == nil:
		d.note(name, words{"有效期至 %s，尚未验证", "valid until %s, not verified yet"}, until)
	default:
		d.ok(name, words{"与商户私钥匹配，有效期至 %s", "matches the private key, valid until %s"}, until)
	}
}

// maybeSwapped reports whether WECHATPAY_SERIAL_NO is as long as an APIv3 key and
// WECHATPAY_APIV3_KEY is not.
func maybeSwapped(cfg wechatpay.Config) bool {
	if cfg.Certificate != nil && strings.EqualFold(cfg.SerialNo, serialOf(cfg)) {
		return false
	}
	return len(cfg.SerialNo) == 32 && len(cfg.APIv3Key) != 32
}

// serialOf returns the serial number of the merchant certificate, or "".
func serialOf(cfg wechatpay.Config) string {
	if cfg.Certificate == nil || cfg.Certificate.SerialNumber == nil {
		return ""
	}
	return strings.ToUpper(hex.EncodeToString(cfg.Certificate.SerialNumber.Bytes()))
}

func (d *examination) checkSerialNo(cfg wechatpay.Config, faults map[string]string) {
	name := words{"证书序列号", "serial number"}
	of := serialOf(cfg)
	hexForm, decimal := strings.CutPrefix(faults["SerialNo"], "must be hexadecimal, got the decimal form of ")
	switch {
	case cfg.APIv3Key != "" && cfg.SerialNo == cfg.APIv3Key:
		d.wrong(name, words{
			"WECHATPAY_SERIAL_NO 误填为 APIv3密钥",
			"WECHATPAY_SERIAL_NO contains the APIv3 key"})
	case maybeSwapped(cfg): // do not print it
		d.wrong(name, words{
			"WECHATPAY_SERIAL_NO 疑似为 APIv3密钥：可能与 WECHATPAY_APIV3_KEY 填反",
			"WECHATPAY_SERIAL_NO looks like the APIv3 key: it may be swapped with WECHATPAY_APIV3_KEY"})
	case cfg.SerialNo == "" && of != "":
		d.ok(name, words{"%s，取自商户API证书", "%s, from the merchant certificate"}, of)
	case cfg.SerialNo == "":
		d.wrong(name, words{
			"未设置 WECHATPAY_SERIAL_NO 或 WECHATPAY_CERTIFICATE_FILE：可运行 openssl x509 -in apiclient_cert.pem -noout -serial 查看",
			"set WECHATPAY_CERTIFICATE_FILE, or WECHATPAY_SERIAL_NO (openssl x509 -in apiclient_cert.pem -noout -serial prints it)"})
	case decimal:
		d.wrong(name, words{
			"WECHATPAY_SERIAL_NO 为十进制形式：请改为十六进制形式 %s",
			"WECHATPAY_SERIAL_NO is in decimal: use the hexadecimal form %s"}, hexForm)
	case of != "" && faults["SerialNo"] != "":
		d.wrong(name, words{
			"WECHATPAY_SERIAL_NO 与商户API证书的序列号 %s 不一致：请改为该值，或不设置",
			"WECHATPAY_SERIAL_NO is not the serial number of the merchant certificate (%s): correct it or leave it out"}, of)
	case strings.HasPrefix(cfg.SerialNo, "PUB_KEY_ID_"):
		d.wrong(name, words{
			"WECHATPAY_SERIAL_NO 误填为微信支付公钥ID（应填入 WECHATPAY_PUBLIC_KEY_ID）：请改为商户API证书的序列号",
			"WECHATPAY_SERIAL_NO contains a public key id (WECHATPAY_PUBLIC_KEY_ID): set the serial number of the certificate"})
	case faults["SerialNo"] != "" || strings.Trim(cfg.SerialNo, "0123456789abcdefABCDEF") != "":
		d.wrong(name, words{
			"WECHATPAY_SERIAL_NO 不是有效的序列号：应为十六进制数字，不含空格、冒号和 serial=",
			"WECHATPAY_SERIAL_NO is not a serial number: use hexadecimal digits, without spaces, colons or serial="})
	case of != "":
		d.ok(name, words{"%s，与商户API证书一致", "%s, as in the merchant certificate"}, cfg.SerialNo)
	default:
		d.note(name, words{"%s，尚未验证", "%s, not verified yet"}, cfg.SerialNo)
	}
}

func (d *examination) checkAPIv3Key(cfg wechatpay.Config, unreadable map[string]string) {
	name := words{"APIv3密钥", "APIv3 key"}
	if d.printUnreadable(name, "WECHATPAY_APIV3_KEY", unreadable) {
		return
	}
	switch n := len(cfg.APIv3Key); {
	case n == 0:
		d.note(name, words{
			"未设置 WECHATPAY_APIV3_KEY：无法解密回调通知，也无法下载平台证书",
			"WECHATPAY_APIV3_KEY is not set: notifications cannot be decrypted, nor platform certificates downloaded"})
	case n != 32:
		d.wrong(name, words{
			"长度为 %d 字节，应为 32 字节：请填写在 " + whereSecurity + " → APIv3密钥 中设置的原值，不要编码；如已遗忘，请重新设置",
			"%d bytes, must be 32: use it as set under API安全 → APIv3密钥, not encoded; if it is lost, set a new one"}, n)
	default:
		d.note(name, words{"32 字节，尚未验证", "32 bytes, not verified yet"})
	}
}

func (d *examination) checkPublicKey(cfg wechatpay.Config, merchant *rsa.PublicKey, faults, unreadable map[string]string) {
	name := words{"微信支付公钥", "WeChat Pay public key"}
	switch {
	case d.printUnreadable(name, "WECHATPAY_PUBLIC_KEY", unreadable):
	case cfg.PublicKey == nil && cfg.PublicKeyID == "" && cfg.APIv3Key == "":
		d.wrong(name, words{
			"未设置：请按 " + wherePublic + " 设置 WECHATPAY_PUBLIC_KEY_FILE 和 WECHATPAY_PUBLIC_KEY_ID；使用平台证书的请设置 WECHATPAY_APIV3_KEY",
			"not set: set WECHATPAY_PUBLIC_KEY_FILE and WECHATPAY_PUBLIC_KEY_ID (" + wherePublic + "), or WECHATPAY_APIV3_KEY for certificates"})
		return
	case cfg.PublicKey == nil && cfg.PublicKeyID == "":
		d.note(name, words{
			"未设置，使用平台证书验签：仅适用于平台证书模式的商户",
			"not set, platform certificates are used: only some merchants have them"})
		return
	case cfg.PublicKey == nil:
		d.wrong(name, words{
			"已设置公钥ID，但未设置公钥：请到 " + wherePublic + " 下载 pub_key.pem，并设置 WECHATPAY_PUBLIC_KEY_FILE",
			"not set, but its id is: download pub_key.pem (API安全 → 微信支付公钥) and set WECHATPAY_PUBLIC_KEY_FILE"})
	case merchant != nil && cfg.PublicKey.Equal(merchant):
		d.wrong(name, words{
			"%s 是商户自己的公钥，不是微信支付公钥：请到 " + wherePublic + " 下载 pub_key.pem",
			"%s is the merchant's own public key: download pub_key.pem (API安全 → 微信支付公钥)"}, variable("WECHATPAY_PUBLIC_KEY"))
	case faults["PublicKey"] != "":
		d.wrong(name, words{
			"%s 无法使用：请到 " + wherePublic + " 重新下载 pub_key.pem（%.60s）",
			"%s is unusable: download pub_key.pem again (%.60s)"}, variable("WECHATPAY_PUBLIC_KEY"), faults["PublicKey"])
	default:
		d.note(name, words{"RSA %d 位，尚未验证", "RSA, %d bits, not verified yet"}, cfg.PublicKey.N.BitLen())
	}
	d.checkPublicKeyID(cfg, faults)
}

func (d *examination) checkPublicKeyID(cfg wechatpay.Config, faults map[string]string) {
	name := words{"微信支付公钥ID", "WeChat Pay public key id"}
	switch {
	case cfg.PublicKeyID == "":
		d.wrong(name, words{
			"未设置 WECHATPAY_PUBLIC_KEY_ID：见 " + wherePublic + "，以 PUB_KEY_ID_ 开头",
			"WECHATPAY_PUBLIC_KEY_ID is not set: see API安全 → 微信支付公钥; it begins with PUB_KEY_ID_"})
	case faults["PublicKeyID"] != "":
		d.wrong(name, words{
			"WECHATPAY_PUBLIC_KEY_ID 无效：应为 PUB_KEY_ID_ 加数字，见 " + wherePublic,
			"WECHATPAY_PUBLIC_KEY_ID is invalid: must be PUB_KEY_ID_ followed by digits, see API安全 → 微信支付公钥"})
	default:
		d.note(name, words{"%s，尚未验证", "%s, not verified yet"}, cfg.PublicKeyID)
	}
}

func (d *examination) checkPublicKeyOnly(cfg wechatpay.Config, faults, unreadable map[string]string) {
	name := words{"仅使用公钥", "public key only"}
	if d.printUnreadable(name, "WECHATPAY_PUBLIC_KEY_ONLY", unreadable) {
		return
	}
	if faults["PublicKeyOnly"] != "" && os.Getenv(variable("WECHATPAY_PUBLIC_KEY")) == "" && cfg.PublicKeyID == "" {
		d.wrong(name, words{
			"WECHATPAY_PUBLIC_KEY_ONLY=true 需同时设置 WECHATPAY_PUBLIC_KEY_FILE 和 WECHATPAY_PUBLIC_KEY_ID",
			"WECHATPAY_PUBLIC_KEY_ONLY=true requires WECHATPAY_PUBLIC_KEY_FILE and WECHATPAY_PUBLIC_KEY_ID"})
	}
}

// printUnreadable prints why ConfigFromEnv could not read a key or certificate. It
// reports whether it printed anything.
func (d *examination) printUnreadable(name words, variable string, unreadable map[string]string) bool {
	for _, v := range []string{variable, variable + "_FILE"} {
		if problem, ok := unreadable[v]; ok {
			d.wrong(name, words{"%s 无效：%s", "%s: %s"}, v, d.translate(settingProblems, problem))
			return true
		}
	}
	return false
}
