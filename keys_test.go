package wechatpay_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

func TestParsePrivateKey(t *testing.T) {
	want := privateKey(t, "merchant_key.pem")
	pem := string(testdata(t, "merchant_key.pem"))
	for name, text := range map[string]string{
		"pkcs8":                      pem,
		"pkcs1":                      string(testdata(t, "merchant_key_pkcs1.pem")),
		"escaped line ends":          strings.ReplaceAll(pem, "\n", `\n`),
		"escaped CRLF":               strings.ReplaceAll(pem, "\n", `\r\n`),
		"byte order mark":            "\ufeff" + pem,
		"CRLF":                       strings.ReplaceAll(pem, "\n", "\r\n"),
		"after a certificate":        string(testdata(t, "merchant_cert.pem")) + pem,
		"pkcs8 with a pkcs1 heading": strings.ReplaceAll(pem, "PRIVATE KEY", "RSA PRIVATE KEY"),
	} {
		t.Run(name, func(t *testing.T) {
			key, err := wechatpay.ParsePrivateKey([]byte(text))
			require.NoError(t, err)
			require.True(t, want.Equal(key))
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
}

func TestParseCertificate(t *testing.T) {
	certificate, err := wechatpay.ParseCertificate(testdata(t, "merchant_cert.pem"))
	require.NoError(t, err)
	require.Equal(t, "1900000001", certificate.Subject.CommonName)
}

// damagedPEM returns a PEM block with damaged content.
func damagedPEM(kind string) string {
	return "-----BEGIN " + kind + "-----\nAAAA\n-----END " + kind + "-----\n"
}

// testParseErrors checks the errors of parse. A test is its name, the input, and
// the beginning of the error after op.
func testParseErrors[T any](t *testing.T, op string, parse func([]byte) (*T, error), tests [][3]string) {
	t.Helper()
	for _, tt := range tests {
		name, input, problem := tt[0], tt[1], tt[2]
		t.Run(name, func(t *testing.T) {
			parsed, err := parse([]byte(input))
			require.Nil(t, parsed)
			require.ErrorContains(t, err, "wechatpay: "+op+": "+problem)
			require.NotContains(t, err.Error(), "MIIEvQ", "key material")
			requireBounded(t, err)
		})
	}
}

// requireBounded checks the length of an error in characters.
func requireBounded(t *testing.T, err error) {
	t.Helper()
	require.LessOrEqual(t, utf8.RuneCountInString(err.Error()), 160, err.Error())
}

func TestParsePrivateKey_errors(t *testing.T) {
	const traditional = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n" +
		"AAAA\n-----END RSA PRIVATE KEY-----\n"
	const encrypted = "the private key is encrypted: use openssl pkey -in FILE -out apiclient_key.pem"
	testParseErrors(t, "ParsePrivateKey", wechatpay.ParsePrivateKey, [][3]string{
		{"empty", "", "no PEM block found in 0 bytes: expected a PRIVATE KEY block (apiclient_key.pem)"},
		{"not PEM", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ",
			"no PEM block found in 50 bytes: expected a PRIVATE KEY block (apiclient_key.pem)"},
		{"public key", string(testdata(t, "merchant_pub.pem")), "this is a public key: use apiclient_key.pem"},
		{"certificate", string(testdata(t, "merchant_cert.pem")), "this is a certificate: use apiclient_key.pem"},
		{"elliptic curve", string(testdata(t, "ec_key.pem")), "must be an RSA key, got *ecdsa.PrivateKey"},
		{"encrypted pkcs8", string(testdata(t, "encrypted_key.pem")), encrypted},
		{"encrypted traditional", traditional, encrypted},
		{"damaged", damagedPEM("PRIVATE KEY"), "the private key is damaged: asn1: "},
		{"other block", damagedPEM("OPENSSH PRIVATE KEY"), `unexpected PEM block "OPENSSH PRIVATE KEY"`},
		{"other block with a long name", damagedPEM(strings.Repeat("\x00退", 100)), `unexpected PEM block "\x00\u9000`},
	})
}

func TestParsePublicKey_errors(t *testing.T) {
	testParseErrors(t, "ParsePublicKey", wechatpay.ParsePublicKey, [][3]string{
		{"empty", "", "no PEM block found in 0 bytes: expected a PUBLIC KEY block (pub_key.pem)"},
		{"private key", string(testdata(t, "platform_key.pem")), "this is a private key: use pub_key.pem"},
		{"certificate", string(testdata(t, "merchant_cert.pem")), "this is a certificate: use pub_key.pem"},
		{"elliptic curve", string(testdata(t, "ec_pub.pem")), "must be an RSA key, got *ecdsa.PublicKey"},
		{"damaged spki", damagedPEM("PUBLIC KEY"), "the public key is damaged: asn1: "},
		{"damaged pkcs1", damagedPEM("RSA PUBLIC KEY"), "the public key is damaged: asn1: "},
		{"other block", damagedPEM("X"), `unexpected PEM block "X"`},
	})
}

func TestParseCertificate_errors(t *testing.T) {
	testParseErrors(t, "ParseCertificate", wechatpay.ParseCertificate, [][3]string{
		{"empty", "", "no PEM block found in 0 bytes: expected a CERTIFICATE block"},
		{"private key", string(testdata(t, "platform_key.pem")), "this is a private key, not a certificate"},
		{"public key", string(testdata(t, "platform_pub.pem")), "this is a public key, not a certificate"},
		{"damaged", damagedPEM("CERTIFICATE"), "the certificate is damaged: x509: "},
		{"other block", damagedPEM("X"), `unexpected PEM block "X"`},
	})
}

func FuzzParsePEM(f *testing.F) {
	for _, name := range []string{
		"merchant_key.pem", "merchant_key_pkcs1.pem", "merchant_pub.pem", "platform_pub_pkcs1.pem",
		"merchant_cert.pem", "ec_key.pem", "encrypted_key.pem",
	} {
		f.Add(testdata(f, name))
	}
	f.Add([]byte(`-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----`))
	f.Fuzz(func(t *testing.T, pem []byte) {
		if key, err := wechatpay.ParsePrivateKey(pem); err == nil {
			require.NoError(t, key.Validate())
		} else {
			require.Nil(t, key)
			requireBounded(t, err)
		}
		if key, err := wechatpay.ParsePublicKey(pem); err == nil {
			require.Positive(t, key.N.Sign())
		} else {
			require.Nil(t, key)
			requireBounded(t, err)
		}
		if certificate, err := wechatpay.ParseCertificate(pem); err == nil {
			require.NotEmpty(t, certificate.Raw)
		} else {
			require.Nil(t, certificate)
			requireBounded(t, err)
		}
	})
}
