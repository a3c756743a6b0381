package wechatpaytest

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// certificateYears is how long a platform certificate is valid.
const certificateYears = 5

// platformCertificate is a certificate of WeChat Pay.
type platformCertificate struct {
	serial string
	key    *rsa.PrivateKey
	cert   *x509.Certificate
}

// certificates returns the platform certificates, of which there is always one.
// The caller holds mu.
func (s *Server) certificates() []*platformCertificate {
	if len(s.platform) == 0 {
		s.addCertificate()
	}
	return s.platform
}

func (s *Server) addCertificate() *platformCertificate {
	key := processKey(platformRole(len(s.platform)))
	from := s.wireNow().Truncate(time.Second)
	cert := newCertificate(key, "wechatpaytest platform", from, from.AddDate(certificateYears, 0, 0))
	p := &platformCertificate{serialOf(cert), key, cert}
	s.platform = append(s.platform, p)
	return p
}

// PlatformCertificate returns the platform certificate that signs at present.
func (s *Server) PlatformCertificate() *x509.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.certificates()[s.current].cert
}

// AnnounceCertificate adds a platform certificate to those that can be
// downloaded, which does not sign yet: WeChat Pay does this about 24 hours
// before it is used. It is valid for 5 years from now, on the clock of
// [Behavior.WireTime].
func (s *Server) AnnounceCertificate() *x509.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.certificates()
	return s.addCertificate().cert
}

// RotateCertificate lets the next platform certificate sign from now on: the
// one that was announced, or else a new one. The one before it can be
// downloaded until it expires.
func (s *Server) RotateCertificate() *x509.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == len(s.certificates())-1 {
		s.addCertificate()
	}
	s.current++
	return s.platform[s.current].cert
}

// signingKey returns the key that signs for a client that asks with this
// Wechatpay-Serial.
func (s *Server) signingKey(mode KeyMode, requestSerial string) (string, *rsa.PrivateKey) {
	if mode == KeyModePublicKey || mode != KeyModeCertificate && !isSerialNo(requestSerial) {
		return publicKeyID(), processKey(publicKeyRole)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.certificates()[s.current]
	return p.serial, p.key
}

// keyNamed returns the private key behind a public key id or a serial number of
// a platform certificate.
func (s *Server) privateKeyOf(name string) *rsa.PrivateKey {
	if name == publicKeyID() {
		return processKey(publicKeyRole)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.platform { // one that was never made is known to nobody
		if strings.EqualFold(p.serial, name) {
			return p.key
		}
	}
	return nil
}

func isSerialNo(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// signHeaders puts the headers of a signature over the body.
func signHeaders(h http.Header, serial string, key *rsa.PrivateKey, at time.Time, body []byte) {
	timestamp, nonce := strconv.FormatInt(at.Unix(), 10), randomText(32)
	h.Set("Wechatpay-Timestamp", timestamp)
	h.Set("Wechatpay-Nonce", nonce)
	h.Set("Wechatpay-Signature", sign(key, timestamp+"\n"+nonce+"\n"+string(body)+"\n"))
	h.Set("Wechatpay-Serial", serial)
	h.Set("Wechatpay-Signature-Type", scheme)
}

// probe makes a signature the wrong one that WeChat Pay tests its clients with.
func probe(h http.Header) {
	h.Set("Wechatpay-Signature", "WECHATPAY/SIGNTEST/"+h.Get("Wechatpay-Signature"))
}

// Endpoint 14: certificates.

type certificatesQuery struct {
	AlgorithmType string `json:"algorithm_type" check:"enum=RSA|SM2|ALL"`
}

type certificateEntry struct {
	SerialNo           string             `json:"serial_no"`
	EffectiveTime      string             `json:"effective_time"`
	ExpireTime         string             `json:"expire_time"`
	EncryptCertificate encryptedForAPIKey `json:"encrypt_certificate"`
}

// encryptedForAPIKey is what certificates and notifications are encrypted in.
type encryptedForAPIKey struct {
	OriginalType   string `json:"original_type,omitempty"`
	Algorithm      string `json:"algorithm"`
	Nonce          string `json:"nonce"`
	AssociatedData string `json:"associated_data"`
	Ciphertext     string `json:"ciphertext"`
}

func encryptForAPIKey(associatedData string, plain []byte) encryptedForAPIKey {
	nonce := randomText(12)
	return encryptedForAPIKey{
		Algorithm:      "AEAD_AES_256_GCM",
		Nonce:          nonce,
		AssociatedData: associatedData,
		Ciphertext:     seal(processAPIv3Key(), nonce, associatedData, plain),
	}
}

func (c *call) listCertificates(q *certificatesQuery) (any, *apiError) {
	if c.b.KeyMode == KeyModePublicKey {
		return nil, notExists.errorf("merchant %s has no platform certificates: it has the WeChat Pay public key", c.s.mchid)
	}
	entries := []certificateEntry{}
	for _, p := range c.s.certificates() {
		if q.AlgorithmType == "SM2" || c.s.wireNow().After(p.cert.NotAfter) {
			continue
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw})
		entries = append(entries, certificateEntry{p.serial, wholeSeconds(p.cert.NotBefore), wholeSeconds(p.cert.NotAfter), encryptForAPIKey("certificate", text)})
	}
	return struct {
		Data []certificateEntry `json:"data"`
	}{entries}, nil
}
