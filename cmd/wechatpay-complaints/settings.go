package main

import (
	"crypto/rsa"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
)

// What the doctor says of the settings, before anything is sent.

// readSettings reads the environment as far as it can be read, and says which
// variables cannot. ConfigFromEnv gives nothing if one of them is wrong: so that
// one is taken out of the environment of this process, and the rest is read.
func readSettings() (cfg wechatpay.Config, unreadable map[string]string, err error) {
	unreadable = map[string]string{}
	for {
		cfg, err = wechatpay.ConfigFromEnv()
		var wrong *wechatpay.ArgumentError
		if !errors.As(err, &wrong) {
			break
		}
		progress := false
		for _, fault := range wrong.Faults {
			if _, seen := unreadable[fault.Field]; seen {
				continue
			}
			progress = true
			unreadable[fault.Field] = fault.Problem
			os.Unsetenv(fault.Field)
			os.Unsetenv(fault.Field + "_FILE")
			if fault.Field == "WECHATPAY_MCHID" { // which alone is required there
				os.Setenv(fault.Field, missingMchID)
			}
		}
		if !progress {
			break
		}
	}
	if cfg.MchID == missingMchID {
		cfg.MchID = ""
	}
	return cfg, unreadable, err
}

const missingMchID = "missing"

const (
	whereSecurity = "商户平台 → 账户中心 → API安全"
	wherePublic   = "商户平台 → 账户中心 → API安全 → 微信支付公钥"
)

// checkSettings says of each setting what holds. It gives the Client, or nil if
// they make none.
func (d *examination) checkSettings(cfg wechatpay.Config, unreadable map[string]string) *wechatpay.Client {
	d.secret = cfg.APIv3Key
	client, err := wechatpay.NewClient(cfg)
	faults := map[string]string{}
	var wrong *wechatpay.ArgumentError
	if errors.As(err, &wrong) {
		for _, fault := range wrong.Faults {
			faults[fault.Field] = fault.Problem
		}
	}

	d.checkMchID(cfg, faults)
	merchant := d.checkPrivateKey(cfg, faults, unreadable)
	d.checkCertificate(cfg, merchant, faults, unreadable)
	d.checkSerialNo(cfg, faults)
	d.checkAPIv3Key(cfg)
	d.checkPublicKey(cfg, merchant, faults, unreadable)
	for _, field := range []string{"BaseURL", "BackupURL"} {
		if problem, ok := faults[field]; ok {
			d.addresses[field] = true
			d.wrong(words{"服务地址", "address"}, words{
				"%s 写得不对：只写协议和域名；不用测试地址就不要设它（%s）",
				"%s is wrong: scheme and host alone; leave it out unless you test (%s)"}, envOf(field), problem)
		}
	}
	if looksSwapped(cfg) {
		return nil // a call would send the key as the serial number
	}
	if len(unreadable) > 0 || err != nil {
		if !d.failed { // a fault that has no line of its own above
			d.wrong(words{"设置", "settings"}, words{"不完整：%v", "incomplete: %v"}, err)
		}
		return nil
	}
	return client
}

func envOf(field string) string {
	return map[string]string{"BaseURL": "WECHATPAY_BASE_URL", "BackupURL": "WECHATPAY_BACKUP_URL"}[field]
}

func (d *examination) checkMchID(cfg wechatpay.Config, faults map[string]string) {
	name := words{"商户号", "merchant number"}
	switch {
	case cfg.MchID == "":
		d.wrong(name, words{"没有设置 WECHATPAY_MCHID：在 商户平台 → 账户中心 → 商户信息", "WECHATPAY_MCHID is not set: it is in the merchant platform under 账户中心 → 商户信息"})
	case cfg.MchID == cfg.APIv3Key:
		d.wrong(name, words{"WECHATPAY_MCHID 填成了 APIv3密钥", "WECHATPAY_MCHID holds the APIv3 key"})
	case faults["MchID"] != "":
		d.wrong(name, words{"WECHATPAY_MCHID 不是商户号：一般是 10 位数字，不带空格和引号", "WECHATPAY_MCHID is no merchant number: 10 digits as a rule, without blanks or quotes"})
	default:
		d.ok(name, words{"%s", "%s"}, cfg.MchID)
	}
}

func (d *examination) checkPrivateKey(cfg wechatpay.Config, faults, unreadable map[string]string) *rsa.PublicKey {
	name := words{"商户私钥", "private key"}
	if d.reportUnreadable(name, "WECHATPAY_PRIVATE_KEY", "apiclient_key.pem", unreadable) {
		return nil
	}
	if cfg.PrivateKey == nil {
		d.wrong(name, words{
			"没有设置：WECHATPAY_PRIVATE_KEY_FILE 写 apiclient_key.pem 的路径，它是申请商户API证书时生成的",
			"not set: WECHATPAY_PRIVATE_KEY_FILE is the path of apiclient_key.pem, which was made with the merchant API certificate"})
		return nil
	}
	if problem, ok := faults["PrivateKey"]; ok {
		d.wrong(name, words{"不能用：换成申请商户API证书时生成的 apiclient_key.pem（%s）", "cannot be used: take apiclient_key.pem, made with the merchant API certificate (%s)"}, problem)
		return nil
	}
	public, ok := cfg.PrivateKey.Public().(*rsa.PublicKey)
	if !ok {
		return nil
	}
	d.ok(name, words{"RSA %d 位", "RSA, %d bits"}, public.N.BitLen())
	return public
}

func (d *examination) checkCertificate(cfg wechatpay.Config, merchant *rsa.PublicKey, faults, unreadable map[string]string) {
	name := words{"商户API证书", "merchant certificate"}
	if d.reportUnreadable(name, "WECHATPAY_CERTIFICATE", "apiclient_cert.pem", unreadable) {
		return
	}
	if cfg.Certificate == nil {
		d.note(name, words{
			"没有设置（可以不设）。设了 WECHATPAY_CERTIFICATE_FILE，才能在这里核对私钥和序列号",
			"not set, and it need not be. With WECHATPAY_CERTIFICATE_FILE the key and the serial number can be compared here"})
		return
	}
	public, _ := cfg.Certificate.PublicKey.(*rsa.PublicKey)
	until := cfg.Certificate.NotAfter.In(beijing).Format(time.DateOnly)
	switch left := cfg.Certificate.NotAfter.Sub(d.now()); {
	case merchant != nil && (public == nil || !public.Equal(merchant)):
		d.wrong(name, words{
			"和商户私钥不是一对：apiclient_cert.pem 和 apiclient_key.pem 要取自同一个压缩包",
			"it does not fit the private key: take apiclient_cert.pem and apiclient_key.pem of the same package"})
	case faults["Certificate"] != "":
		d.wrong(name, words{"不能用：%s", "cannot be used: %s"}, faults["Certificate"])
	case left < 0:
		d.wrong(name, words{
			"%s 已过期：到 " + whereSecurity + " 更换商户API证书",
			"it expired on %s: renew it in the merchant platform under 账户中心 → API安全"}, until)
	case left < 30*24*time.Hour:
		d.note(name, words{
			"%s 到期，请尽快到 " + whereSecurity + " 更换",
			"it expires on %s: renew it soon in the merchant platform under 账户中心 → API安全"}, until)
	case merchant == nil:
		d.ok(name, words{"%s 到期", "valid until %s"}, until)
	default:
		d.ok(name, words{"和商户私钥是一对，%s 到期", "it fits the private key, and is valid until %s"}, until)
	}
}

// looksSwapped holds if WECHATPAY_SERIAL_NO is as long as an APIv3 key, and
// WECHATPAY_APIV3_KEY is not.
func looksSwapped(cfg wechatpay.Config) bool {
	if cfg.Certificate != nil && strings.EqualFold(cfg.SerialNo, serialOf(cfg)) {
		return false
	}
	return len(cfg.SerialNo) == 32 && len(cfg.APIv3Key) != 32
}

// serialOf is the serial number of the merchant certificate, if one is set.
func serialOf(cfg wechatpay.Config) string {
	if cfg.Certificate == nil || cfg.Certificate.SerialNumber == nil {
		return ""
	}
	return strings.ToUpper(hex.EncodeToString(cfg.Certificate.SerialNumber.Bytes()))
}

func (d *examination) checkSerialNo(cfg wechatpay.Config, faults map[string]string) {
	name := words{"证书序列号", "serial number"}
	of := serialOf(cfg)
	switch {
	case cfg.APIv3Key != "" && cfg.SerialNo == cfg.APIv3Key:
		d.wrong(name, words{
			"WECHATPAY_SERIAL_NO 填成了 APIv3密钥",
			"WECHATPAY_SERIAL_NO holds the APIv3 key"})
	case looksSwapped(cfg): // and is not shown
		d.wrong(name, words{
			"WECHATPAY_SERIAL_NO 看起来是 APIv3密钥：它和 WECHATPAY_APIV3_KEY 可能填反了",
			"WECHATPAY_SERIAL_NO looks like the APIv3 key: the two may be swapped"})
	case cfg.SerialNo == "" && of != "":
		d.ok(name, words{"%s，取自商户API证书", "%s, of the merchant certificate"}, of)
	case cfg.SerialNo == "":
		d.wrong(name, words{
			"没有设置 WECHATPAY_SERIAL_NO，也没有证书：openssl x509 -in apiclient_cert.pem -noout -serial 可以看到",
			"neither WECHATPAY_SERIAL_NO nor the certificate is set: openssl x509 -in apiclient_cert.pem -noout -serial prints it"})
	case of != "" && faults["SerialNo"] != "":
		d.wrong(name, words{
			"WECHATPAY_SERIAL_NO 不是这张商户API证书的，证书的是 %s：改成它，或者不设",
			"WECHATPAY_SERIAL_NO is not that of the merchant certificate, which is %s: set that, or leave it out"}, of)
	case strings.HasPrefix(cfg.SerialNo, "PUB_KEY_ID_"):
		d.wrong(name, words{
			"WECHATPAY_SERIAL_NO 填成了微信支付公钥ID：它属于 WECHATPAY_PUBLIC_KEY_ID；这里要商户API证书的序列号",
			"WECHATPAY_SERIAL_NO holds the id of the WeChat Pay public key, which belongs into WECHATPAY_PUBLIC_KEY_ID: this is the merchant API certificate's"})
	case faults["SerialNo"] != "" || strings.Trim(cfg.SerialNo, "0123456789abcdefABCDEF") != "":
		d.wrong(name, words{
			"WECHATPAY_SERIAL_NO 不是序列号：只有十六进制数字，不带空格、冒号和 serial=",
			"WECHATPAY_SERIAL_NO is no serial number: hexadecimal digits, without blanks, colons or serial="})
	case of != "":
		d.ok(name, words{"%s，和商户API证书一致", "%s, that of the merchant certificate"}, cfg.SerialNo)
	default:
		d.ok(name, words{"%s（没有证书，是否对得上要看签名自检）", "%s (without the certificate only the self-test below can tell whether it fits)"}, cfg.SerialNo)
	}
}

func (d *examination) checkAPIv3Key(cfg wechatpay.Config) {
	name := words{"APIv3密钥", "APIv3 key"}
	switch n := len(cfg.APIv3Key); {
	case n == 0:
		d.note(name, words{
			"没有设置 WECHATPAY_APIV3_KEY：收不了通知，也下载不了平台证书",
			"WECHATPAY_APIV3_KEY is not set: no notification can be read, and no platform certificate downloaded"})
	case n != 32:
		d.wrong(name, words{
			"%d 字节，应为 32 字节：照 " + whereSecurity + " → APIv3密钥 里设置的原样填写，不要编码；忘了只能重设",
			"%d bytes, and it has 32: set it as it was set in the merchant platform under API安全 → APIv3密钥, not encoded; if it is lost, set a new one there"}, n)
	default:
		d.ok(name, words{"32 字节", "32 bytes"})
	}
}

func (d *examination) checkPublicKey(cfg wechatpay.Config, merchant *rsa.PublicKey, faults, unreadable map[string]string) {
	keyName, idName := words{"微信支付公钥", "WeChat Pay public key"}, words{"微信支付公钥ID", "WeChat Pay public key id"}
	keyUnreadable := d.reportUnreadable(keyName, "WECHATPAY_PUBLIC_KEY", "pub_key.pem", unreadable)
	switch {
	case keyUnreadable:
	case cfg.PublicKey == nil && cfg.PublicKeyID == "" && cfg.APIv3Key == "":
		d.wrong(keyName, words{
			"没有设置，应答无法验签：到 " + wherePublic + " 下载 pub_key.pem，填 WECHATPAY_PUBLIC_KEY_FILE 和 WECHATPAY_PUBLIC_KEY_ID；还在用平台证书的商户填 WECHATPAY_APIV3_KEY",
			"not set, and no answer can be verified: download pub_key.pem in the merchant platform under API安全 → 微信支付公钥, and set WECHATPAY_PUBLIC_KEY_FILE and WECHATPAY_PUBLIC_KEY_ID; a merchant with platform certificates sets WECHATPAY_APIV3_KEY"})
		return
	case cfg.PublicKey == nil && cfg.PublicKeyID == "":
		d.note(keyName, words{
			"没有设置，用平台证书验签：只有平台证书模式的商户可以这样",
			"not set: answers are verified by platform certificates, which only some merchants have"})
		return
	case cfg.PublicKey == nil:
		d.wrong(keyName, words{
			"设置了公钥ID，却没有公钥：到 " + wherePublic + " 下载 pub_key.pem，填 WECHATPAY_PUBLIC_KEY_FILE",
			"its id is set, and it is not: download pub_key.pem in the merchant platform under API安全 → 微信支付公钥, and set WECHATPAY_PUBLIC_KEY_FILE"})
	case merchant != nil && cfg.PublicKey.Equal(merchant):
		d.wrong(keyName, words{
			"这是商户自己的公钥，不是微信支付的：到 " + wherePublic + " 下载 pub_key.pem",
			"it is the merchant's own public key, not WeChat Pay's: download pub_key.pem in the merchant platform under API安全 → 微信支付公钥"})
	case faults["PublicKey"] != "":
		d.wrong(keyName, words{"不能用：到 " + wherePublic + " 重新下载 pub_key.pem（%s）", "cannot be used: download pub_key.pem again (%s)"}, faults["PublicKey"])
	default:
		d.ok(keyName, words{"RSA %d 位", "RSA, %d bits"}, cfg.PublicKey.N.BitLen())
	}
	switch {
	case cfg.PublicKeyID == "":
		d.wrong(idName, words{
			"没有设置 WECHATPAY_PUBLIC_KEY_ID：在 " + wherePublic + "，PUB_KEY_ID_ 开头",
			"WECHATPAY_PUBLIC_KEY_ID is not set: it is in the merchant platform under API安全 → 微信支付公钥, and begins with PUB_KEY_ID_"})
	case faults["PublicKeyID"] != "":
		d.wrong(idName, words{
			"WECHATPAY_PUBLIC_KEY_ID 不对：以 PUB_KEY_ID_ 开头，后面是数字，在 " + wherePublic,
			"WECHATPAY_PUBLIC_KEY_ID is wrong: it is PUB_KEY_ID_ and digits, in the merchant platform under API安全 → 微信支付公钥"})
	default:
		d.ok(idName, words{"%s", "%s"}, cfg.PublicKeyID)
	}
}

// reportUnreadable says why a key or certificate could not be read, and whether
// that was so.
func (d *examination) reportUnreadable(name words, variable, file string, unreadable map[string]string) bool {
	for _, v := range []string{variable, variable + "_FILE"} {
		if problem, ok := unreadable[v]; ok {
			what := whatIsIn(variable, d.environment[v], strings.HasSuffix(v, "_FILE"), strings.TrimPrefix(problem, parserOf[variable]))
			if v == variable && d.environment[variable+"_FILE"] != "" {
				what.zh = "和 " + variable + "_FILE 同时设置了，只能设一个"
			}
			d.wrong(name, words{"%s 读不出来：%s；应为 %s", "%s cannot be read: %s; it should be %s"}, v, d.of(what), file)
			return true
		}
	}
	return false
}

// parserOf is what the SDK's functions begin their errors with.
var parserOf = map[string]string{
	"WECHATPAY_PRIVATE_KEY": "wechatpay: ParsePrivateKey: ",
	"WECHATPAY_CERTIFICATE": "wechatpay: ParseCertificate: ",
	"WECHATPAY_PUBLIC_KEY":  "wechatpay: ParsePublicKey: ",
}

// whatIsIn says what a variable holds that could not be read. In English the SDK
// says it, in problem, but for a key with a password in the traditional form.
func whatIsIn(variable, value string, isFile bool, problem string) words {
	chinese := func(text string) words { return words{text, problem} }
	content := []byte(strings.ReplaceAll(value, `\n`, "\n"))
	if isFile {
		if strings.Contains(value, "-----BEGIN") {
			return chinese("这里要文件路径，不是 PEM 内容（内容放在不带 _FILE 的变量里）")
		}
		var err error
		if content, err = os.ReadFile(value); err != nil {
			return chinese("文件打不开，请核对路径和权限")
		}
	}
	block, _ := pem.Decode(content)
	switch {
	case block == nil:
		return chinese("里面没有完整的 PEM 内容（-----BEGIN … -----END）")
	case variable == "WECHATPAY_PRIVATE_KEY" && (block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED")):
		return words{
			"这是带密码的私钥，先解密：openssl pkcs8 -in 文件 -out apiclient_key.pem",
			"the private key is encrypted: decrypt it first with openssl pkcs8 -in FILE -out apiclient_key.pem"}
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return chinese("里面是私钥，或者内容已损坏")
	case strings.HasSuffix(block.Type, "PUBLIC KEY"):
		return chinese("里面是公钥，或者内容已损坏")
	case block.Type == "CERTIFICATE":
		return chinese("里面是证书，或者内容已损坏")
	}
	return chinese(fmt.Sprintf("里面是 %.20q", block.Type))
}
