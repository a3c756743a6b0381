package wechatpaytest

import (
	"crypto/rsa"
	"crypto/x509"
	"strings"
	"sync"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
)

const defaultMchID = "1900000001"

// merchant is an API certificate of the merchant.
type merchant struct {
	serial string
	key    *rsa.PrivateKey
	cert   *x509.Certificate
}

var merchantCache sync.Map // of func() *merchant by number

// merchantCertificate returns the API certificate number n of this process.
func merchantCertificate(n int) *merchant {
	m, _ := merchantCache.LoadOrStore(n, sync.OnceValue(func() *merchant {
		key := processKey(merchantRole(n))
		from := time.Date(2020, 1, 1, n, 0, 0, 0, time.UTC)
		cert := newCertificate(key, defaultMchID, from, from.AddDate(80, 0, 0))
		return &merchant{serialNo(cert), key, cert}
	}))
	return m.(func() *merchant)()
}

// RenewMerchantCertificate adds an API certificate with a new key, as a merchant
// does before the old one expires, and returns the client configuration for it.
// The earlier certificates stay valid. Config returns the newest.
func (s *Server) RenewMerchantCertificate() wechatpay.Config {
	s.mu.Lock()
	n := s.number("merchant certificate")
	s.mu.Unlock()
	m := merchantCertificate(n)
	s.mu.Lock()
	s.merchants[m.serial] = m
	s.merchant = m
	s.mu.Unlock()
	return s.configOf(m)
}

// RevokeMerchantCertificate revokes an API certificate. The server responds with
// 401 SIGN_ERROR to requests signed with its key.
func (s *Server) RevokeMerchantCertificate(serialNo string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.merchants, strings.ToUpper(serialNo))
}

func (s *Server) merchantList() []*merchant {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*merchant
	for _, m := range s.merchants {
		all = append(all, m)
	}
	return all
}
