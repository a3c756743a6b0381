package wechatpaytest

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
)

const defaultMchID = "1900000001"

// A Merchant is a merchant of a [Server], in addition to the first.
type Merchant struct {
	server    *Server
	mchid     string
	apiV3Key  string
	subMchIDs []string // of a service provider; of the first merchant: Behavior.SubMchIDs

	cert      *merchantCert // the newest; Server.mu guards it
	notifyURL string        // Server.mu guards it
}

// merchantCert is an API certificate of a merchant.
type merchantCert struct {
	merchant *Merchant
	serial   string
	key      *rsa.PrivateKey
	cert     *x509.Certificate
}

// AddMerchant adds another merchant, with its own keys, notification URL and
// refunds. subMchIDs make it a service provider of these sub-merchants. The
// merchant stays until the server is closed. AddMerchant panics if the id is
// empty or known.
//
// The merchants share the orders and complaints of the server, and may access
// those of their own id and of their sub-merchants.
func (s *Server) AddMerchant(mchID string, subMchIDs ...string) *Merchant {
	role := otherMerchantRole(mchID)
	processKey(role) // takes some time
	s.mu.Lock()
	defer s.mu.Unlock()
	if mchID == "" || s.findMerchant(mchID) != nil {
		panic(fmt.Sprintf("wechatpaytest: AddMerchant: mchID must be new and not empty, got %q", mchID))
	}
	m := &Merchant{server: s, mchid: mchID, apiV3Key: randomText(32), subMchIDs: slices.Clone(subMchIDs)}
	s.merchants = append(s.merchants, m)
	s.addMerchantCert(m, role, 0)
	return m
}

// findMerchant returns the merchant with an id, or nil. The caller holds mu.
func (s *Server) findMerchant(mchID string) *Merchant {
	i := slices.IndexFunc(s.merchants, func(m *Merchant) bool { return m.mchid == mchID })
	if i < 0 {
		return nil
	}
	return s.merchants[i]
}

// Config returns the merchant's client configuration. See [Server.Config].
func (m *Merchant) Config() wechatpay.Config {
	m.server.mu.Lock()
	cert := m.cert
	m.server.mu.Unlock()
	return m.configOf(cert)
}

func (m *Merchant) configOf(cert *merchantCert) wechatpay.Config {
	cfg := wechatpay.Config{
		MchID:       m.mchid,
		SerialNo:    cert.serial,
		PrivateKey:  cert.key,
		Certificate: cert.cert,
		APIv3Key:    m.apiV3Key,
		BaseURL:     m.server.URL,
		Time:        m.server.wireNow,
	}
	if m.server.behavior.Load().KeyMode != KeyModeCertificate {
		cfg.PublicKeyID = publicKeyID()
		cfg.PublicKey = &processKey(publicKeyRole).PublicKey
	}
	return cfg
}

// owns reports whether complaints against a merchant belong to m.
func (m *Merchant) owns(b *Behavior, mchID string) bool {
	return mchID == m.mchid || slices.Contains(m.subMerchants(b), mchID)
}

// subMerchants returns the sub-merchants of a service provider.
func (m *Merchant) subMerchants(b *Behavior) []string {
	if m == m.server.first {
		return b.SubMchIDs
	}
	return m.subMchIDs
}

type certKey struct {
	role, mchid string
	n           int
}

var certCache sync.Map // of func() *x509.Certificate by certKey

// addMerchantCert adds an API certificate with the key of a role. n numbers the
// certificates of a merchant. The caller holds mu, or the server is new.
func (s *Server) addMerchantCert(m *Merchant, role string, n int) *merchantCert {
	key := processKey(role)
	cached, _ := certCache.LoadOrStore(certKey{role, m.mchid, n}, sync.OnceValue(func() *x509.Certificate {
		from := time.Date(2020, 1, 1, n, 0, 0, 0, time.UTC)
		return newCertificate(key, m.mchid, from, from.AddDate(80, 0, 0))
	}))
	cert := cached.(func() *x509.Certificate)()
	m.cert = &merchantCert{m, serialNo(cert), key, cert}
	s.certs[m.cert.serial] = m.cert
	return m.cert
}

// RenewMerchantCertificate adds an API certificate with a new key to the first
// merchant, as a merchant does before the old one expires, and returns the client
// configuration for it. The earlier certificates stay valid. Config returns the
// newest.
func (s *Server) RenewMerchantCertificate() wechatpay.Config {
	s.mu.Lock()
	n := s.number("merchant certificate")
	s.mu.Unlock()
	processKey(merchantRole(n)) // takes some time
	s.mu.Lock()
	cert := s.addMerchantCert(s.first, merchantRole(n), n)
	s.mu.Unlock()
	return s.first.configOf(cert)
}

// RevokeMerchantCertificate revokes an API certificate. The server responds with
// 401 SIGN_ERROR to requests signed with its key.
func (s *Server) RevokeMerchantCertificate(serialNo string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.certs, strings.ToUpper(serialNo))
}

func (s *Server) certList() []*merchantCert {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*merchantCert
	for _, cert := range s.certs {
		all = append(all, cert)
	}
	return all
}
