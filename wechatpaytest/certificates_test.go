package wechatpaytest_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// downloadCertificates returns the platform certificates by serial number.
func downloadCertificates(t testing.TB, s *wechatpaytest.Server) map[string]*x509.Certificate {
	r := do(t, s, 200, "GET", "/v3/certificates", "")
	var body struct {
		Data []struct {
			SerialNo           string    `json:"serial_no"`
			EffectiveTime      time.Time `json:"effective_time"`
			ExpireTime         time.Time `json:"expire_time"`
			EncryptCertificate sealed    `json:"encrypt_certificate"`
		}
	}
	require.NoError(t, json.Unmarshal(r.body, &body))
	all := map[string]*x509.Certificate{}
	for _, entry := range body.Data {
		require.Equal(t, "certificate", entry.EncryptCertificate.AssociatedData)
		block, _ := pem.Decode(entry.EncryptCertificate.open(t, s.Config().APIv3Key))
		cert, err := x509.ParseCertificate(block.Bytes)
		require.NoError(t, err)
		require.Equal(t, entry.SerialNo, serialNo(cert))
		require.Regexp(t, `^[0-9A-F]{40}$`, entry.SerialNo)
		require.WithinDuration(t, cert.NotBefore, entry.EffectiveTime, 0)
		require.WithinDuration(t, cert.NotAfter, entry.ExpireTime, 0)
		all[entry.SerialNo] = cert
	}
	return all
}

func serialNo(cert *x509.Certificate) string { return fmt.Sprintf("%X", cert.SerialNumber) }

func TestKeyMode(t *testing.T) {
	s := newServer(t)
	send := func(serial string) response {
		req := newRequest(s, "POST", echo, `{}`)
		req.header.Set("Wechatpay-Serial", serial)
		return req.send(t, s)
	}
	public, publicID := s.Config().PublicKey, s.Config().PublicKeyID
	require.Regexp(t, `^PUB_KEY_ID_[0-9]+$`, publicID)
	for _, serial := range []string{"", publicID, "PUB_KEY_ID_1"} {
		r := send(serial)
		require.True(t, r.signedBy(public), serial)
		require.Equal(t, publicID, r.Header.Get("Wechatpay-Serial"))
	}
	certificates := downloadCertificates(t, s)
	require.Len(t, certificates, 1)
	for serial, cert := range certificates {
		r := send(serial)
		require.True(t, r.signedBy(keyOf(cert)))
		require.Equal(t, serial, r.Header.Get("Wechatpay-Serial"))
		require.True(t, send(strings.ToLower(serial)).signedBy(keyOf(cert)))
	}

	s.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModeCertificate })
	require.Nil(t, s.Config().PublicKey)
	require.Empty(t, s.Config().PublicKeyID)
	require.True(t, send(publicID).signedBy(keyOf(s.PlatformCertificate())), "the public key id is ignored")

	s.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModePublicKey })
	require.True(t, send(serialNo(s.PlatformCertificate())).signedBy(public))
	require.Equal(t, "RESOURCE_NOT_EXISTS", do(t, s, 404, "GET", "/v3/certificates", "").code(t))
}

func TestServer_RotateCertificate(t *testing.T) {
	s := newServer(t)
	s.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModeCertificate })
	first := s.PlatformCertificate()
	s.Advance(time.Hour)
	announced := s.AnnounceCertificate()
	require.Equal(t, first, s.PlatformCertificate())
	require.Len(t, downloadCertificates(t, s), 2)
	require.True(t, do(t, s, 200, "GET", "/v3/certificates?algorithm_type=RSA", "").signedBy(keyOf(first)))
	require.Equal(t, announced, s.RotateCertificate())
	require.True(t, do(t, s, 200, "GET", "/v3/certificates", "").signedBy(keyOf(announced)))
	require.Len(t, downloadCertificates(t, s), 2)
	third := s.RotateCertificate()
	require.NotEqual(t, announced.SerialNumber, third.SerialNumber)
	require.Len(t, downloadCertificates(t, s), 3)
	s.Advance(first.NotAfter.Sub(s.Now()) + time.Second)
	require.Len(t, downloadCertificates(t, s), 2, "the first has expired")
	require.Empty(t, do(t, s, 200, "GET", "/v3/certificates?algorithm_type=SM2", "").json(t)["data"])
}

func TestServer_RenewMerchantCertificate_concurrent(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	const calls = 3
	serials := make(chan string, calls)
	for range calls {
		go func() { serials <- s.RenewMerchantCertificate().SerialNo }()
	}
	seen := map[string]bool{}
	for range calls {
		seen[<-serials] = true
	}
	require.Len(t, seen, calls)
	do(t, s, 200, "GET", path, "")
	s.RevokeMerchantCertificate(strings.ToLower(s.Config().SerialNo))
	do(t, s, 401, "GET", path, "")
}
