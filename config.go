package wechatpay

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// DefaultBaseURL is WeChat Pay's main host, and DefaultBackupURL its backup at
// a remote site. Paths, keys and signatures are the same on both.
const (
	DefaultBaseURL   = "https://api.mch.weixin.qq.com"
	DefaultBackupURL = "https://api2.mch.weixin.qq.com"
)

// Config is what a Client is made from. NewClient copies it, so changing it
// later has no effect; other keys are another Client, on the same Transport.
//
// Printing, logging or encoding a Config shows no secret. That does not hold
// for a Config in an unexported field of your own type, where fmt cannot call
// its methods: keep the Client, not the Config.
type Config struct {
	// MchID is the merchant number of the caller; for a service provider, its
	// own. Merchant platform: 账户中心 → 商户信息.
	MchID string

	// SerialNo is the serial number of the merchant API certificate, in
	// hexadecimal. It may be left out when Certificate is set. Merchant
	// platform: 账户中心 → API安全 → 商户API证书 → 管理证书.
	SerialNo string

	// PrivateKey belongs to the merchant API certificate: an *rsa.PrivateKey
	// (apiclient_key.pem, see ParsePrivateKey), or a crypto.Signer of an HSM or
	// a KMS. At least 2048 bits. It signs once for each attempt, must be safe for
	// concurrent use, and bounds its own time: no context reaches it.
	PrivateKey crypto.Signer

	// Certificate is the merchant API certificate (apiclient_cert.pem).
	// Optional: it gives SerialNo, and proves that PrivateKey fits.
	Certificate *x509.Certificate

	// APIv3Key is the 32 bytes that notifications and platform certificates are
	// encrypted with, set in the merchant platform under API安全 → APIv3密钥.
	// Calls do not need it where PublicKey or PlatformCertificates is set.
	APIv3Key string

	// WeChat Pay's answers and notifications are verified by the key that they
	// name. At least one of PublicKey, PlatformCertificates and APIv3Key is
	// required.
	//
	// PublicKeyID ("PUB_KEY_ID_…") and PublicKey (pub_key.pem, see
	// ParsePublicKey) are the WeChat Pay public key. With it, every request asks
	// to be answered under it. Merchant platform: API安全 → 微信支付公钥.
	//
	// A merchant that has platform certificates sets APIv3Key: they are
	// downloaded when they are first needed, which is before the first call
	// without a public key, and again when an unknown one is named, once a minute
	// at most (10 s after a failure), and when the newest is about to expire.
	// While a merchant switches from certificates to the public key, it sets both.
	PublicKeyID string
	PublicKey   *rsa.PublicKey

	// PlatformCertificates are kept by hand: nothing is downloaded as long as
	// they will do, and nothing ever without APIv3Key. They are valid for as long
	// as they say, on Config.Time's clock.
	PlatformCertificates []*x509.Certificate

	// BaseURL is scheme and host of the service; empty means DefaultBaseURL.
	// http is refused, except on loopback.
	BaseURL string

	// BackupURL is the host to turn to when BaseURL cannot be reached. Empty
	// means DefaultBackupURL where BaseURL is the default, else none.
	BackupURL string

	// Transport sends the signed requests; nil means NewTransport(). A
	// RoundTripper of your own decides what is known when it gives an error: an
	// *ArgumentError says that nothing was sent, and the call ends; a *net.OpError
	// with Op "dial", or a *net.DNSError, says that the host could not be reached,
	// and the request may be sent again, to the backup too. After any other error
	// a write may have taken effect, unless net/http's own transport is behind it,
	// and reports to httptrace that it never got a connection. It must pass the
	// request's context on, and must not repeat a request by itself.
	Transport http.RoundTripper

	// Retry says how often and how patiently a call is repeated; the zero value
	// is the default policy.
	Retry RetryPolicy

	// Logger gets one debug record for each attempt, and a warning when the
	// Client repeats a request or looks what became of it; of notifications, a
	// warning for each that is refused, and an error for what is the merchant's
	// to mend. nil means silence. No record holds a header, a body, or a secret.
	Logger *slog.Logger

	// Time is the clock for signatures and their verification; nil means
	// time.Now.
	Time func() time.Time

	// InsecureSkipVerify takes every answer for WeChat Pay's, whoever sent it.
	// It is for tests against a plain httptest mock, and NewClient refuses it
	// unless BaseURL, and BackupURL if set, is loopback. PublicKey may then be
	// left out, and no certificates are downloaded for a call. Notifications are
	// verified all the same.
	InsecureSkipVerify bool
}

// complete fills in the defaults and finds every fault.
func (cfg *Config) complete() error {
	var f faults
	checkMchID(&f, cfg.MchID)
	public := cfg.completeKey(&f)
	if n := len(cfg.APIv3Key); n != 0 && n != 32 {
		f.add("APIv3Key", "%d bytes, and it has 32: copy the key set in the merchant platform under API安全 → APIv3密钥 as it is, not encoded (WECHATPAY_APIV3_KEY)", n)
	}
	for _, other := range []struct{ field, value string }{{"MchID", cfg.MchID}, {"SerialNo", cfg.SerialNo}, {"PublicKeyID", cfg.PublicKeyID}} {
		if cfg.APIv3Key != "" && other.value == cfg.APIv3Key {
			f.add(other.field, "the same as APIv3Key, which would be sent with each request")
		}
	}

	if cfg.BaseURL == "" {
		cfg.BaseURL = DefaultBaseURL
	}
	baseURL := checkURL(&f, "BaseURL", &cfg.BaseURL)
	if cfg.BaseURL == DefaultBaseURL && cfg.BackupURL == "" {
		cfg.BackupURL = DefaultBackupURL
	}
	var backupURL *url.URL
	if cfg.BackupURL != "" {
		backupURL = checkURL(&f, "BackupURL", &cfg.BackupURL)
		if cfg.BackupURL == cfg.BaseURL {
			f.add("BackupURL", "the same as BaseURL: name another host, or none")
		}
	}
	onLoopback := baseURL != nil && isLoopback(baseURL.Hostname()) && (backupURL == nil || isLoopback(backupURL.Hostname()))
	if cfg.InsecureSkipVerify && !onLoopback {
		f.add("InsecureSkipVerify", "set, and BaseURL or BackupURL is not loopback: anybody on the way could answer for WeChat Pay")
	}
	cfg.checkPublicKey(&f, public, onLoopback)
	cfg.Retry.complete(&f)
	if cfg.Transport == nil {
		transport := NewTransport()
		transport.ResponseHeaderTimeout = 0 // Retry.AttemptTimeout bounds the header too
		cfg.Transport = transport
	} else if isNil(cfg.Transport) {
		f.add("Transport", "a nil %T: leave the field nil for the default", cfg.Transport)
	}
	return f.err("NewClient")
}

// completeKey checks what the Client signs with, and takes SerialNo from the
// certificate where it is not given. It gives the merchant's public key, or nil
// if the private key is wrong.
func (cfg *Config) completeKey(f *faults) *rsa.PublicKey {
	merchant := checkPrivateKey(f, cfg.PrivateKey)
	if cfg.Certificate != nil && cfg.Certificate.SerialNumber == nil {
		f.add("Certificate", "empty: ParseCertificate reads apiclient_cert.pem")
	} else if cfg.Certificate != nil {
		serialNo := serialNumber(cfg.Certificate)
		if cfg.SerialNo == "" || strings.EqualFold(strings.TrimLeft(cfg.SerialNo, "0"), strings.TrimLeft(serialNo, "0")) {
			cfg.SerialNo = serialNo // as WeChat Pay writes it
		} else {
			f.add("SerialNo", "%s is not the Certificate's, which is %s: leave it out, or give the certificate that it belongs to", glimpse(cfg.SerialNo), serialNo)
		}
		public, problem := usableKey(cfg.Certificate.PublicKey)
		if problem != "" {
			f.add("Certificate", "its key is %s", problem)
		} else if merchant != nil && !public.Equal(merchant) {
			f.add("Certificate", "does not fit PrivateKey: take apiclient_cert.pem and apiclient_key.pem of the same package")
		}
	}
	checkSerialNo(f, cfg.SerialNo)
	return merchant
}

// checkPublicKey checks what the Client verifies with.
func (cfg *Config) checkPublicKey(f *faults, merchant *rsa.PublicKey, onLoopback bool) {
	const where = "in the merchant platform under API安全 → 微信支付公钥"
	switch {
	case cfg.PublicKey == nil && cfg.PublicKeyID == "":
		if len(cfg.PlatformCertificates) == 0 && len(cfg.APIv3Key) != 32 && !cfg.InsecureSkipVerify {
			f.add("PublicKey", "missing: without it no answer can be verified; download pub_key.pem %s and give its id as PublicKeyID (WECHATPAY_PUBLIC_KEY_FILE, WECHATPAY_PUBLIC_KEY_ID), or, for a merchant that has platform certificates, set APIv3Key (WECHATPAY_APIV3_KEY)", where)
		}
	case cfg.PublicKey == nil:
		f.add("PublicKey", "missing, and PublicKeyID is set: download pub_key.pem %s (WECHATPAY_PUBLIC_KEY_FILE)", where)
	case cfg.PublicKeyID == "":
		f.add("PublicKeyID", "empty, and PublicKey is set: it is PUB_KEY_ID_ and digits, %s (WECHATPAY_PUBLIC_KEY_ID)", where)
	}
	if cfg.PublicKey != nil {
		if _, problem := usableKey(cfg.PublicKey); problem != "" {
			f.add("PublicKey", "it is %s", problem)
		}
	}
	if cfg.PublicKeyID != "" && (!strings.HasPrefix(cfg.PublicKeyID, publicKeyIDPrefix) || !isToken(cfg.PublicKeyID)) {
		f.add("PublicKeyID", "%s is not the id of a WeChat Pay public key: it is PUB_KEY_ID_ and digits, %s", glimpse(cfg.PublicKeyID), where)
	}
	// A test may use one key for both sides; WeChat Pay never has the merchant's.
	if cfg.PublicKey != nil && cfg.PublicKey.N != nil && merchant != nil && !onLoopback && cfg.PublicKey.Equal(merchant) {
		f.add("PublicKey", "it is the merchant's own key: WeChat Pay's is in pub_key.pem, downloaded %s", where)
	}
	for i, certificate := range cfg.PlatformCertificates {
		field := fmt.Sprintf("PlatformCertificates[%d]", i)
		if certificate == nil || certificate.SerialNumber == nil {
			f.add(field, "empty")
			continue
		}
		if key, problem := usableKey(certificate.PublicKey); problem != "" {
			f.add(field, "its key is %s", problem)
		} else if merchant != nil && !onLoopback && key.Equal(merchant) {
			f.add(field, "it is the merchant API certificate, which is the merchant's own: WeChat Pay's are listed by GET %s", certificatesPath)
		}
	}
}

// signsFor are the hosts that the private key signs for.
func (cfg *Config) signsFor() []string {
	hosts := []string{} // nil would stand for WeChat Pay's
	for _, raw := range []string{cfg.BaseURL, cfg.BackupURL} {
		if u, err := url.Parse(raw); err == nil && u.Host != "" {
			hosts = append(hosts, u.Host)
		}
	}
	for _, host := range weChatPayHosts {
		if cfg.BaseURL == "https://"+host {
			return append(hosts, weChatPayHosts...)
		}
	}
	return hosts
}

func (cfg *Config) verifier() *Verifier {
	v := &Verifier{Keys: make(map[string]*rsa.PublicKey), Time: cfg.Time}
	if len(cfg.PlatformCertificates) > 0 || cfg.APIv3Key != "" {
		v.certificates = &certificates{time: cfg.Time}
	}
	for _, certificate := range cfg.PlatformCertificates {
		v.certificates.byHand = append(v.certificates.byHand, newPlatformCertificate(serialNumber(certificate), certificate, certificate.PublicKey.(*rsa.PublicKey)))
	}
	if cfg.PublicKey != nil {
		v.Keys[cfg.PublicKeyID] = cfg.PublicKey
	}
	return v
}

// redacted is what may be seen of a Config.
type redacted struct {
	MchID, SerialNo, PrivateKey, APIv3Key, PublicKeyID, BaseURL, BackupURL string
	InsecureSkipVerify                                                     bool
}

func (cfg Config) redacted() redacted {
	set := func(isSet bool) string {
		if isSet {
			return "set, not shown"
		}
		return "not set"
	}
	// A URL may hold a password until NewClient has refused it.
	bare := func(raw string) string {
		if u, err := url.Parse(raw); err == nil && raw != "" && !strings.Contains(raw, "@") {
			return u.Scheme + "://" + u.Host
		}
		return ""
	}
	return redacted{
		MchID: cfg.MchID, SerialNo: cfg.SerialNo,
		PrivateKey: set(!isNil(cfg.PrivateKey)), APIv3Key: set(cfg.APIv3Key != ""),
		PublicKeyID: cfg.PublicKeyID,
		BaseURL:     bare(cfg.BaseURL), BackupURL: bare(cfg.BackupURL),
		InsecureSkipVerify: cfg.InsecureSkipVerify,
	}
}

// Format prints the settings that are no secrets, whatever the verb.
func (cfg Config) Format(w fmt.State, _ rune) {
	io.WriteString(w, "wechatpay.Config"+fmt.Sprintf("%+v", cfg.redacted()))
}

// MarshalJSON encodes the settings that are no secrets.
func (cfg Config) MarshalJSON() ([]byte, error) { return json.Marshal(cfg.redacted()) }
