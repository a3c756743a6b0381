package wechatpay_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

func TestParsePrivateKey(t *testing.T) {
	want := privateKey(t, "merchant_key.pem")
	pem := string(testdata(t, "merchant_key.pem"))
	for name, text := range map[string]string{
		"PKCS #8":                         pem,
		"PKCS #1":                         string(testdata(t, "merchant_key_pkcs1.pem")),
		"line ends became \\n":            strings.ReplaceAll(pem, "\n", `\n`),
		"line ends became \\r\\n":         strings.ReplaceAll(pem, "\n", `\r\n`),
		"with a byte order mark":          "\ufeff" + pem,
		"CRLF":                            strings.ReplaceAll(pem, "\n", "\r\n"),
		"after a certificate":             string(testdata(t, "merchant_cert.pem")) + pem,
		"PKCS #8 under the other heading": strings.ReplaceAll(pem, "PRIVATE KEY", "RSA PRIVATE KEY"),
	} {
		t.Run(name, func(t *testing.T) {
			key, err := wechatpay.ParsePrivateKey([]byte(text))
			require.NoError(t, err)
			require.True(t, want.Equal(key))
		})
	}
	for _, tt := range []struct{ name, text, problem string }{
		{"nothing", "", "no PEM block found in 0 bytes"},
		{"no PEM", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ", "expected a PRIVATE KEY block"},
		{"public key", string(testdata(t, "merchant_pub.pem")), "this is a public key"},
		{"certificate", string(testdata(t, "merchant_cert.pem")), "this is a certificate"},
		{"elliptic curve", string(testdata(t, "ec_key.pem")), "*ecdsa.PrivateKey"},
		{"encrypted", string(testdata(t, "encrypted_key.pem")), "encrypted: decrypt it first"},
		{"encrypted as it was before", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n", "encrypted: decrypt it first"},
		{"damaged", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "damaged"},
		{"something else", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", `unexpected PEM block "OPENSSH PRIVATE KEY"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := wechatpay.ParsePrivateKey([]byte(tt.text))
			require.ErrorContains(t, err, "wechatpay: ParsePrivateKey: ")
			require.ErrorContains(t, err, tt.problem)
			require.NotContains(t, err.Error(), "MIIEvQ", "a part of a key is shown")
		})
	}
}

func TestParsePublicKey(t *testing.T) {
	want := privateKey(t, "platform_key.pem").Public()
	for _, name := range []string{"platform_pub.pem", "platform_pub_pkcs1.pem"} {
		key, err := wechatpay.ParsePublicKey(testdata(t, name))
		require.NoError(t, err)
		require.True(t, key.Equal(want))
	}
	for _, tt := range []struct{ name, text, problem string }{
		{"private key", string(testdata(t, "platform_key.pem")), "this is a private key"},
		{"certificate", string(testdata(t, "merchant_cert.pem")), "this is a certificate"},
		{"elliptic curve", string(testdata(t, "ec_pub.pem")), "*ecdsa.PublicKey"},
		{"damaged", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "damaged"},
		{"damaged PKCS #1", "-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\n", "damaged"},
		{"something else", "-----BEGIN X-----\nAAAA\n-----END X-----\n", "unexpected PEM block"},
		{"nothing", "", "expected a PUBLIC KEY block"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := wechatpay.ParsePublicKey([]byte(tt.text))
			require.ErrorContains(t, err, "wechatpay: ParsePublicKey: ")
			require.ErrorContains(t, err, tt.problem)
		})
	}
}

func TestParseCertificate(t *testing.T) {
	certificate, err := wechatpay.ParseCertificate(testdata(t, "merchant_cert.pem"))
	require.NoError(t, err)
	require.Equal(t, "1900000001", certificate.Subject.CommonName)
	for _, tt := range []struct{ name, text, problem string }{
		{"private key", string(testdata(t, "platform_key.pem")), "this is a private key"},
		{"public key", string(testdata(t, "platform_pub.pem")), "this is a public key"},
		{"damaged", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "damaged"},
		{"something else", "-----BEGIN X-----\nAAAA\n-----END X-----\n", "unexpected PEM block"},
		{"nothing", "", "expected a CERTIFICATE block"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := wechatpay.ParseCertificate([]byte(tt.text))
			require.ErrorContains(t, err, "wechatpay: ParseCertificate: ")
			require.ErrorContains(t, err, tt.problem)
		})
	}
}

func FuzzParsePEM(f *testing.F) {
	for _, name := range []string{"merchant_key.pem", "merchant_key_pkcs1.pem", "merchant_pub.pem", "platform_pub_pkcs1.pem", "merchant_cert.pem", "ec_key.pem", "encrypted_key.pem"} {
		f.Add(testdata(f, name))
	}
	f.Add([]byte(`-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----`))
	f.Fuzz(func(t *testing.T, pem []byte) {
		if key, err := wechatpay.ParsePrivateKey(pem); err == nil {
			require.NoError(t, key.Validate())
		} else {
			require.Nil(t, key)
		}
		if key, err := wechatpay.ParsePublicKey(pem); err == nil {
			require.Positive(t, key.N.Sign())
		} else {
			require.Nil(t, key)
		}
		if certificate, err := wechatpay.ParseCertificate(pem); err == nil {
			require.NotEmpty(t, certificate.Raw)
		} else {
			require.Nil(t, certificate)
		}
	})
}
