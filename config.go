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

// DefaultBaseURL and DefaultBackupURL are WeChat Pay's main host and its backup
// at a remote site. Paths, keys and signatures are the same on both.
const (
	DefaultBaseURL   = "https://api.mch.weixin.qq.com"
	DefaultBackupURL = "https://api2.mch.weixin.qq.com"
)

// Config holds the settings of a Client. NewClient copies it, so later changes
// have no effect. To use other keys, create another Client with the same
// Transport.
//
// Responses and notifications are verified with the key that they name. At
// least one of PublicKey, PlatformCertificates and APIv3Key is required. A
// merchant that has platform certificates sets APIv3Key: they are downloaded
// when first needed, before the newest one expires, and when a response or
// notification names an unknown one (at most once a minute, 10 s after a
// failure). While a merchant switches to the public key, it sets both.
//
// Printing, logging or encoding a Config shows no secret, except where fmt does
// not call its methods: in an unexported field (keep the Client there instead),
// and with the verbs %p and, outside Errorf, %w.
type Config struct {
	// MchID is the merchant number of the caller; for a service provider, its
	// own. Required. Merchant platform: 账户中心 → 商户信息.
	MchID string

	// SerialNo is the serial number of the merchant API certificate, in
	// hexadecimal. Empty means that of Certificate. Merchant platform:
	// 账户中心 → API安全 → 商户API证书 → 管理证书.
	SerialNo string

	// PrivateKey is the private key of the merchant API certificate: an
	// *rsa.PrivateKey (apiclient_key.pem, see ParsePrivateKey), or a
	// crypto.Signer such as an HSM or a KMS. Required, at least 2048 bits.
	// It signs every attempt, so it must be safe for concurrent use. It receives
	// no context and must limit its own time.
	PrivateKey crypto.Signer

	// Certificate is the merchant API certificate (apiclient_cert.pem, see
	// ParseCertificate). Optional: it supplies SerialNo, and NewClient checks
	// that PrivateKey matches it.
	Certificate *x509.Certificate

	// APIv3Key is the 32-byte key that decrypts notifications and platform
	// certificates. It is a trust anchor: a downloaded certificate is trusted
	// because this key decrypts it. Empty means that notifications cannot be
	// read and nothing is downloaded. Merchant platform: 账户中心 → API安全 →
	// APIv3密钥, where it can be set but not read back.
	APIv3Key string

	// PublicKeyID ("PUB_KEY_ID_…") and PublicKey (pub_key.pem, see
	// ParsePublicKey) are the WeChat Pay public key. Set both or neither. If
	// set, every request asks for a response signed with this key. Merchant
	// platform: 账户中心 → API安全 → 微信支付公钥.
	PublicKeyID string
	PublicKey   *rsa.PublicKey

	// PlatformCertificates are platform certificates that you supply. Each is
	// used during its period of validity, by the clock in Time. Empty means
	// none; with APIv3Key, missing certificates are downloaded.
	PlatformCertificates []*x509.Certificate

	// PublicKeyOnly turns platform certificates off: none is downloaded, and a
	// response or notification signed with one is rejected. Set it once the
	// merchant has finished switching to the public key. Then APIv3Key decrypts
	// notifications, and whoever knows it cannot supply a certificate. It
	// requires PublicKey and excludes PlatformCertificates.
	PublicKeyOnly bool

	// BaseURL is the scheme and host of the service. Empty means
	// DefaultBaseURL. NewClient rejects http unless the host is loopback.
	BaseURL string

	// BackupURL is the host to use while BaseURL cannot be reached. Empty means
	// DefaultBackupURL if BaseURL is DefaultBaseURL, and no backup otherwise.
	BackupURL string

	// Transport sends the signed requests; nil means NewTransport(). It must
	// use the request's context and must not retry. After an error a write may
	// have been applied, unless the error is an *ArgumentError (the call ends),
	// a *net.DNSError or a *net.OpError with Op "dial" (the call is retried, on
	// BackupURL too), or net/http's transport got no connection (httptrace).
	Transport http.RoundTripper

	// Retry sets how often and how long a call is retried. The zero value is
	// the default policy.
	Retry RetryPolicy

	// Logger receives a debug record for each attempt, a warning for each retry,
	// lookup and rejected notification, and an error for each notification that
	// fails because of the settings or the handler. Nil disables logging.
	// Records contain no headers, bodies or secrets.
	Logger *slog.Logger

	// Time returns the current time, for signing and verifying. Nil means
	// time.Now.
	Time func() time.Time

	// InsecureSkipVerify turns off the verification of responses, so that any
	// server can answer. It is for tests against a plain mock: NewClient rejects
	// it unless BaseURL and BackupURL are loopback. PublicKey is then optional,
	// and calls download no certificates. Notifications are still verified.
	InsecureSkipVerify bool
}

// complete sets the defaults. Its error lists every fault.
func (cfg *Config) complete() error {
	var f faults
	checkMchID(&f, cfg.MchID)
	merchantKey := cfg.completeKey(&f)
	checkAPIv3Key(&f, cfg.APIv3Key)
	for _, sent := range []struct{ field, value string }{
		{"MchID", cfg.MchID},
		{"SerialNo", cfg.SerialNo},
		{"PublicKeyID", cfg.PublicKeyID},
	} {
		if cfg.APIv3Key != "" && sent.value == cfg.APIv3Key {
			f.add(sent.field, "equals APIv3Key, a secret that must not be sent")
		}
	}
	onLoopback := cfg.completeURLs(&f)
	cfg.checkPublicKey(&f, merchantKey, onLoopback)
	cfg.checkPublicKeyOnly(&f)
	cfg.checkPlatformCertificates(&f, merchantKey, onLoopback)
	cfg.Retry.complete(&f)
	if cfg.Transport == nil {
		transport := NewTransport()
		transport.ResponseHeaderTimeout = 0 // Retry.AttemptTimeout covers it
		cfg.Transport = transport
	} else if isNil(cfg.Transport) {
		f.add("Transport", "is a nil %T: leave the field nil for the default", cfg.Transport)
	}
	return f.err("NewClient")
}

// completeURLs checks the hosts and sets their defaults. It reports whether
// they are all loopback.
func (cfg *Config) completeURLs(f *faults) (onLoopback bool) {
	if cfg.BaseURL == "" {
		cfg.BaseURL = DefaultBaseURL
	}
	baseURL := checkURL(f, "BaseURL", &cfg.BaseURL)
	if cfg.BaseURL == DefaultBaseURL && cfg.BackupURL == "" {
		cfg.BackupURL = DefaultBackupURL
	}
	var backupURL *url.URL
	if cfg.BackupURL != "" {
		backupURL = checkURL(f, "BackupURL", &cfg.BackupURL)
		if cfg.BackupURL == cfg.BaseURL {
			f.add("BackupURL", "must differ from BaseURL")
		}
	}
	onLoopback = baseURL != nil && isLoopback(baseURL.Hostname()) &&
		(backupURL == nil || isLoopback(backupURL.Hostname()))
	if cfg.InsecureSkipVerify && !onLoopback {
		f.add("InsecureSkipVerify", "requires that BaseURL and BackupURL are loopback")
	}
	return onLoopback
}

// completeKey checks the signing key, and sets SerialNo from Certificate if it is
// empty. It returns the merchant's public key, or nil if PrivateKey is invalid.
func (cfg *Config) completeKey(f *faults) *rsa.PublicKey {
	merchantKey := checkPrivateKey(f, cfg.PrivateKey)
	if cfg.Certificate != nil {
		cfg.checkCertificate(f, merchantKey)
	}
	checkSerialNo(f, cfg.SerialNo)
	return merchantKey
}

func (cfg *Config) checkCertificate(f *faults, merchantKey *rsa.PublicKey) {
	if cfg.Certificate.SerialNumber == nil {
		f.add("Certificate", "is empty: use ParseCertificate to read apiclient_cert.pem")
		return
	}
	serialNo := serialNumber(cfg.Certificate)
	if cfg.SerialNo == "" || sameSerial(cfg.SerialNo, serialNo) {
		cfg.SerialNo = serialNo // in WeChat Pay's notation
	} else if hexSerial(cfg.SerialNo) == "" { // else checkSerialNo reports it
		f.add("SerialNo", "must be empty or that of Certificate (%s), got %s", serialNo, quoteStart(cfg.SerialNo))
	}
	key, problem := usableKey(cfg.Certificate.PublicKey)
	if problem != "" {
		f.add("Certificate", "its key is %s", problem)
	} else if merchantKey != nil && !key.Equal(merchantKey) {
		f.add("Certificate", "does not match PrivateKey: use apiclient_cert.pem and apiclient_key.pem of one package")
	}
}

// checkPublicKey checks the WeChat Pay public key.
func (cfg *Config) checkPublicKey(f *faults, merchantKey *rsa.PublicKey, onLoopback bool) {
	switch {
	case cfg.PublicKey == nil && cfg.PublicKeyID == "":
		if len(cfg.PlatformCertificates) == 0 && len(cfg.APIv3Key) != 32 && !cfg.InsecureSkipVerify {
			f.add("PublicKey", "is required, with PublicKeyID "+
				"(WECHATPAY_PUBLIC_KEY_FILE, WECHATPAY_PUBLIC_KEY_ID), or APIv3Key (WECHATPAY_APIV3_KEY)")
		}
	case cfg.PublicKey == nil:
		f.add("PublicKey", "is required with PublicKeyID: use pub_key.pem (WECHATPAY_PUBLIC_KEY_FILE)")
	case cfg.PublicKeyID == "":
		f.add("PublicKeyID", "is required with PublicKey: see API安全 → 微信支付公钥 (WECHATPAY_PUBLIC_KEY_ID)")
	}
	if cfg.PublicKey != nil {
		if _, problem := usableKey(cfg.PublicKey); problem != "" {
			f.add("PublicKey", "is %s", problem)
		}
	}
	if cfg.PublicKeyID != "" && (!strings.HasPrefix(cfg.PublicKeyID, publicKeyIDPrefix) || !isToken(cfg.PublicKeyID)) {
		f.add("PublicKeyID", "must be %s followed by digits, got %s", publicKeyIDPrefix, quoteStart(cfg.PublicKeyID))
	}
	// A test may use one key for both sides.
	hasBoth := cfg.PublicKey != nil && cfg.PublicKey.N != nil && merchantKey != nil
	if hasBoth && !onLoopback && cfg.PublicKey.Equal(merchantKey) {
		f.add("PublicKey", "is the merchant's own key: use WeChat Pay's (pub_key.pem)")
	}
}

func (cfg *Config) checkPublicKeyOnly(f *faults) {
	if cfg.PublicKeyOnly && cfg.PublicKey == nil {
		f.add("PublicKeyOnly", "requires PublicKey (WECHATPAY_PUBLIC_KEY_FILE)")
	}
	if cfg.PublicKeyOnly && len(cfg.PlatformCertificates) > 0 {
		f.add("PublicKeyOnly", "excludes PlatformCertificates")
	}
}

func (cfg *Config) checkPlatformCertificates(f *faults, merchantKey *rsa.PublicKey, onLoopback bool) {
	for i, certificate := range cfg.PlatformCertificates {
		field := fmt.Sprintf("PlatformCertificates[%d]", i)
		if certificate == nil || certificate.SerialNumber == nil {
			f.add(field, "is empty")
			continue
		}
		if key, problem := usableKey(certificate.PublicKey); problem != "" {
			f.add(field, "its key is %s", problem)
		} else if merchantKey != nil && !onLoopback && key.Equal(merchantKey) {
			f.add(field, "is the merchant's own certificate: use those of GET %s", certificatesPath)
		}
	}
}

// signedHosts returns the hosts that the Client signs requests for.
func (cfg *Config) signedHosts() []string {
	hosts := []string{} // not nil, which means WeChat Pay's hosts
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

// verifier returns a Verifier with the configured keys.
func (cfg *Config) verifier() *Verifier {
	v := &Verifier{Keys: make(map[string]*rsa.PublicKey), Time: cfg.Time, keysOnly: cfg.InsecureSkipVerify}
	if !cfg.PublicKeyOnly && (len(cfg.PlatformCertificates) > 0 || cfg.APIv3Key != "") {
		v.certificates = &certificates{time: cfg.Time}
	}
	for _, certificate := range cfg.PlatformCertificates {
		key := certificate.PublicKey.(*rsa.PublicKey)
		added := newPlatformCertificate(serialNumber(certificate), certificate, key)
		v.certificates.configured = append(v.certificates.configured, added)
	}
	if cfg.PublicKey != nil {
		v.Keys[cfg.PublicKeyID] = cfg.PublicKey
	}
	return v
}

// redacted is a Config without its secrets.
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
	// A URL may contain a password: only NewClient rejects it.
	host := func(raw string) string {
		if u, err := url.Parse(raw); err == nil && raw != "" && !strings.Contains(raw, "@") {
			return u.Scheme + "://" + u.Host
		}
		return ""
	}
	return redacted{
		MchID:              cfg.MchID,
		SerialNo:           cfg.SerialNo,
		PrivateKey:         set(!isNil(cfg.PrivateKey)),
		APIv3Key:           set(cfg.APIv3Key != ""),
		PublicKeyID:        cfg.PublicKeyID,
		BaseURL:            host(cfg.BaseURL),
		BackupURL:          host(cfg.BackupURL),
		InsecureSkipVerify: cfg.InsecureSkipVerify,
	}
}

// Format prints the settings without the secrets, for every verb.
func (cfg Config) Format(w fmt.State, _ rune) {
	io.WriteString(w, "wechatpay.Config"+fmt.Sprintf("%+v", cfg.redacted()))
}

// MarshalJSON encodes the settings without the secrets.
func (cfg Config) MarshalJSON() ([]byte, error) { return json.Marshal(cfg.redacted()) }
