package wechatpaytest

import (
	"crypto/rsa"
	"crypto/x509"
	"strings"
	"sync"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
)

// merchant is an API certificate of the merchant.
type merchant struct {
	serial string
	key    *rsa.PrivateKey
	cert   *x509.Certificate
}

var merchantCache sync.Map // of func() *merchant by number

// merchantNumber returns the n-th API certificate of this process.
func merchantCertificate(n int) *merchant {
	made, _ := merchantCache.LoadOrStore(n, sync.OnceValue(func() *merchant {
		key := processKey(merchantRole(n))
		from := time.Date(2020, 1, 1, n, 0, 0, 0, time.UTC)
		cert := newCertificate(key, defaultMchID, from, from.AddDate(80, 0, 0))
		return &merchant{serialOf(cert), key, cert}
	}))
	return made.(func() *merchant)()
}

const defaultMchID = "1900000001"

// RenewMerchantCertificate gives the merchant a further API certificate with a
// key of its own, as a merchant does before the old one expires, and returns
// the configuration for it. The earlier ones stay valid. Config gives the
// newest.
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

// RevokeMerchantCertificate makes a merchant API certificate invalid: requests
// signed by it are 401 SIGN_ERROR.
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
