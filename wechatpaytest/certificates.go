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

// certificates returns the platform certificates, at least one. The caller
// holds mu.
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
	p := &platformCertificate{serialNo(cert), key, cert}
	s.platform = append(s.platform, p)
	return p
}

// PlatformCertificate returns the platform certificate that currently signs.
func (s *Server) PlatformCertificate() *x509.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.certificates()[s.current].cert
}

// AnnounceCertificate adds a platform certificate that can be downloaded but
// does not sign yet. WeChat Pay does so about 24 hours before it rotates. The
// certificate is valid for 5 years from now, on the clock of
// [Behavior.WireTime].
func (s *Server) AnnounceCertificate() *x509.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.certificates()
	return s.addCertificate().cert
}

// RotateCertificate makes the next platform certificate sign: the announced one,
// or else a new one. The previous one can be downloaded until it expires.
func (s *Server) RotateCertificate() *x509.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == len(s.certificates())-1 {
		s.addCertificate()
	}
	s.current++
	return s.platform[s.current].cert
}

// signingKey returns the key that signs, and its id, for a client that sends
// this Wechatpay-Serial.
func (s *Server) signingKey(mode KeyMode, requestSerial string) (string, *rsa.PrivateKey) {
	if mode == KeyModePublicKey || mode != KeyModeCertificate && !isSerialNo(requestSerial) {
		return publicKeyID(), processKey(publicKeyRole)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.certificates()[s.current]
	return p.serial, p.key
}

// privateKeyOf returns the private key of a public key id or of the serial
// number of a platform certificate, or nil.
func (s *Server) privateKeyOf(id string) *rsa.PrivateKey {
	if id == publicKeyID() {
		return processKey(publicKeyRole)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.platform {
		if strings.EqualFold(p.serial, id) {
			return p.key
		}
	}
	return nil
}

func isSerialNo(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// signHeaders sets the signature headers for a body, with the fault FaultForged,
// FaultOld or FaultProbe, if any.
func (s *Server) signHeaders(h http.Header, serial string, key *rsa.PrivateKey, body []byte, fault FaultKind) {
	at := s.wireNow()
	prefix := ""
	switch fault {
	case FaultForged:
		key = processKey(forgerRole)
	case FaultOld:
		at = at.Add(-15 * time.Minute)
	case FaultProbe:
		prefix = "WECHATPAY/SIGNTEST/"
	}
	timestamp, nonce := strconv.FormatInt(at.Unix(), 10), randomText(32)
	h.Set("Wechatpay-Timestamp", timestamp)
	h.Set("Wechatpay-Nonce", nonce)
	h.Set("Wechatpay-Signature", prefix+sign(key, timestamp+"\n"+nonce+"\n"+string(body)+"\n"))
	h.Set("Wechatpay-Serial", serial)
	h.Set("Wechatpay-Signature-Type", scheme)
}

// GET /v3/certificates

type certificatesQuery struct {
	AlgorithmType string `json:"algorithm_type" check:"enum=RSA|SM2|ALL"`
}

type certificateEntry struct {
	SerialNo           string         `json:"serial_no"`
	EffectiveTime      string         `json:"effective_time"`
	ExpireTime         string         `json:"expire_time"`
	EncryptCertificate sealedResource `json:"encrypt_certificate"`
}

// A sealedResource is encrypted with the APIv3 key.
type sealedResource struct {
	OriginalType   string `json:"original_type,omitempty"`
	Algorithm      string `json:"algorithm"`
	Nonce          string `json:"nonce"`
	AssociatedData string `json:"associated_data"`
	Ciphertext     string `json:"ciphertext"`
}

// seal encrypts a resource for the merchant.
func (m *Merchant) seal(associatedData string, plain []byte) sealedResource {
	nonce := randomText(12)
	return sealedResource{
		Algorithm:      "AEAD_AES_256_GCM",
		Nonce:          nonce,
		AssociatedData: associatedData,
		Ciphertext:     seal(m.apiV3Key, nonce, associatedData, plain),
	}
}

func (c *call) listCertificates(q *certificatesQuery) (any, *apiError) {
	if c.b.KeyMode == KeyModePublicKey {
		return nil, notExists.errorf("merchant %s has a public key and no platform certificates", c.merchant.mchid)
	}
	entries := []certificateEntry{}
	for _, p := range c.s.certificates() {
		if q.AlgorithmType == "SM2" || c.s.wireNow().After(p.cert.NotAfter) {
			continue
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw})
		entries = append(entries, certificateEntry{
			SerialNo:           p.serial,
			EffectiveTime:      wholeSeconds(p.cert.NotBefore),
			ExpireTime:         wholeSeconds(p.cert.NotAfter),
			EncryptCertificate: c.merchant.seal("certificate", text),
		})
	}
	return struct {
		Data []certificateEntry `json:"data"`
	}{entries}, nil
}
