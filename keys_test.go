package wechatpay_test

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"iter"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

// keyForms returns the forms in which users have a key or certificate, given as
// PEM by OpenSSL. It is readable in each of them.
func keyForms(t *testing.T, file string) map[string]string {
	t.Helper()
	text := string(testdata(t, file))
	block, rest := pem.Decode([]byte(text))
	require.NotNil(t, block)
	require.Empty(t, rest)
	bare := strings.Join(strings.Split(text, "\n")[1:strings.Count(text, "\n")-1], "\n")
	oneLine := strings.ReplaceAll(strings.TrimSpace(text), "\n", " ")
	escaped := strings.ReplaceAll(text, "\n", `\n`)
	encoded := base64.StdEncoding.EncodeToString([]byte(text))
	der := string(block.Bytes)
	utf16Of := func(order binary.AppendByteOrder, text string) string {
		content := order.AppendUint16(nil, 0xFEFF)
		for _, unit := range utf16.Encode([]rune(text)) {
			content = order.AppendUint16(content, unit)
		}
		return string(content)
	}
	return map[string]string{
		"PEM":                        text,
		"spaces for line ends":       oneLine,
		"escaped line ends":          escaped,
		"escaped CRLF":               strings.ReplaceAll(text, "\n", `\r\n`),
		"line ends escaped twice":    strings.ReplaceAll(text, "\n", `\\n`),
		"CRLF":                       strings.ReplaceAll(text, "\n", "\r\n"),
		"CR":                         strings.ReplaceAll(text, "\n", "\r"),
		"no white space":             strings.NewReplacer("\n", "", " ", "").Replace(text),
		"indented":                   "    " + strings.ReplaceAll(text, "\n", "\n    "),
		"indented with tabs":         "\t" + strings.ReplaceAll(text, "\n", "\n\t"),
		"YAML":                       "key: |\n  " + strings.ReplaceAll(text, "\n", "\n  "),
		"JSON":                       `{"key":"` + strings.ReplaceAll(escaped, "/", `\/`) + `"}`,
		"line continuations":         strings.ReplaceAll(text, "\n", "\\\n"),
		"double quotes":              `"` + text + `"`,
		"single quotes":              "'" + oneLine + "'",
		"quotes and escapes":         `"` + escaped + `"`,
		"no-break spaces":            strings.ReplaceAll(text, "\n", "\u00a0\n\u200b"),
		"a dash is missing":          strings.TrimPrefix(text, "-"),
		"no END line":                text[:strings.Index(text, "-----END")],
		"text around":                "Bag Attributes\n    localKeyID: 54 DF\n" + text + "\n00: trailing\n",
		"headers":                    strings.Replace(text, "-----\n", "-----\nComment: test\n\n", 1),
		"UTF-8 byte order mark":      "\ufeff" + text,
		"UTF-16, little endian":      utf16Of(binary.LittleEndian, strings.ReplaceAll(text, "\n", "\r\n")),
		"UTF-16, big endian":         utf16Of(binary.BigEndian, text),
		"base64 of PEM":              encoded,
		"base64 of UTF-16":           base64.StdEncoding.EncodeToString([]byte(utf16Of(binary.LittleEndian, text))),
		"base64 of base64 of PEM":    base64.StdEncoding.EncodeToString([]byte(encoded + "\n")),
		"base64 of PEM, lines of 76": strings.Join(slices.Collect(chunks(encoded, 76)), "\r\n") + "\r\n",
		"base64 of PEM, URL-safe":    base64.RawURLEncoding.EncodeToString([]byte(text)),
		"base64, lines":              bare,
		"base64, one line":           strings.ReplaceAll(bare, "\n", ""),
		"base64, escaped line ends":  strings.ReplaceAll(bare, "\n", `\n`),
		"base64, quoted":             `"` + strings.ReplaceAll(bare, "\n", " ") + `"`,
		"base64, URL-safe":           base64.RawURLEncoding.EncodeToString(block.Bytes),
		"DER":                        der,
		"DER and a line end":         der + "\r\n",
	}
}

// chunks returns the parts of s of at most n bytes.
func chunks(s string, n int) iter.Seq[string] {
	return func(yield func(string) bool) {
		for ; len(s) > n; s = s[n:] {
			if !yield(s[:n]) {
				return
			}
		}
		yield(s)
	}
}

func TestParsePrivateKey(t *testing.T) {
	want := privateKey(t, "merchant_key.pem")
	parses := func(name, content string) {
		t.Run(name, func(t *testing.T) {
			key, err := wechatpay.ParsePrivateKey([]byte(content))
			require.NoError(t, err)
			require.True(t, want.Equal(key))
		})
	}
	for name, content := range keyForms(t, "merchant_key.pem") {
		parses("pkcs8/"+name, content)
	}
	for name, content := range keyForms(t, "merchant_key_pkcs1.pem") {
		parses("pkcs1/"+name, content)
	}
	text := string(testdata(t, "merchant_key.pem"))
	parses("after a certificate", string(testdata(t, "merchant_cert.pem"))+text)
	parses("after an EC key", string(testdata(t, "ec_key.pem"))+text)
	parses("pkcs8 with a pkcs1 heading", strings.ReplaceAll(text, "PRIVATE KEY", "RSA PRIVATE KEY"))
	parses("pkcs1 with a pkcs8 heading",
		strings.ReplaceAll(string(testdata(t, "merchant_key_pkcs1.pem")), "RSA PRIVATE KEY", "PRIVATE KEY"))
}

func TestParsePublicKey(t *testing.T) {
	want := privateKey(t, "platform_key.pem").Public()
	for _, file := range []string{"platform_pub.pem", "platform_pub_pkcs1.pem"} {
		for name, content := range keyForms(t, file) {
			t.Run(file+"/"+name, func(t *testing.T) {
				key, err := wechatpay.ParsePublicKey([]byte(content))
				require.NoError(t, err)
				require.True(t, key.Equal(want))
			})
		}
	}
	t.Run("spki with a pkcs1 heading", func(t *testing.T) {
		text := strings.ReplaceAll(string(testdata(t, "platform_pub.pem")), "PUBLIC KEY", "RSA PUBLIC KEY")
		key, err := wechatpay.ParsePublicKey([]byte(text))
		require.NoError(t, err)
		require.True(t, key.Equal(want))
	})
}

func TestParseCertificate(t *testing.T) {
	parses := func(name, content string) {
		t.Run(name, func(t *testing.T) {
			certificate, err := wechatpay.ParseCertificate([]byte(content))
			require.NoError(t, err)
			require.Equal(t, "1900000001", certificate.Subject.CommonName)
			require.Equal(t, testSerialNo, fmt.Sprintf("%X", certificate.SerialNumber))
		})
	}
	for name, content := range keyForms(t, "merchant_cert.pem") {
		parses(name, content)
	}
	text, other := string(testdata(t, "merchant_cert.pem")), otherCertificate(t)
	parses("chain", text+other)
	parses("chain without white space", strings.Join(strings.Fields(text+other), ""))
	parses("after its key", string(testdata(t, "merchant_key.pem"))+text)
	parses("trusted certificate", strings.ReplaceAll(text, "CERTIFICATE", "TRUSTED CERTIFICATE"))
	first, _ := pem.Decode([]byte(text))
	second, _ := pem.Decode([]byte(other))
	parses("chain in DER", string(first.Bytes)+string(second.Bytes))
}

// otherCertificate returns a certificate of another key than the merchant's.
func otherCertificate(t *testing.T) string {
	t.Helper()
	key := privateKey(t, "platform_key.pem")
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "other"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// pemBlock returns a PEM block with any content.
func pemBlock(kind, content string) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte(content)}))
}

// damagedPEM returns a PEM block with damaged content.
func damagedPEM(kind string) string { return pemBlock(kind, "\x00\x00\x00") }

// testParseErrors checks the errors of parse. A test is its name, the input, and
// the error after op.
func testParseErrors[T any](t *testing.T, op string, parse func([]byte) (*T, error), tests [][3]string) {
	t.Helper()
	for _, tt := range tests {
		name, input, problem := tt[0], tt[1], tt[2]
		t.Run(name, func(t *testing.T) {
			parsed, err := parse([]byte(input))
			require.Nil(t, parsed)
			require.EqualError(t, err, "wechatpay: "+op+": "+problem)
			requireNoPart(t, err, input)
			requireBounded(t, err)
			// With the name of a variable it must be within the limit too.
			require.LessOrEqual(t, utf8.RuneCountInString(problem), 88)
		})
	}
}

// requireBounded checks the length of an error in characters.
func requireBounded(t *testing.T, err error) {
	t.Helper()
	require.LessOrEqual(t, utf8.RuneCountInString(err.Error()), 160, err.Error())
}

// publicText matches what an error and the input of a parser may have in common:
// PEM headings, and the names of the files.
var publicText = regexp.MustCompile(`-+ ?(BEGIN|END)[^-\n]*-*|(apiclient_key|apiclient_cert|pub_key)\.pem`)

// requireNoPart checks that an error contains no 12 consecutive bytes of input.
func requireNoPart(t *testing.T, err error, input string) {
	t.Helper()
	const length = 12
	input = publicText.ReplaceAllString(input, "\n")
	text := err.Error()
	for i := 0; i+length <= len(text); i++ {
		require.NotContains(t, input, text[i:i+length], text)
	}
}

func TestParsePrivateKey_errors(t *testing.T) {
	const (
		encrypted = "the private key is encrypted: use openssl pkey -in FILE -out apiclient_key.pem"
		fileName  = "this is a file name, not the content of the file"
		p12       = "this is PKCS #12: use openssl pkcs12 -in FILE -nocerts -nodes -out apiclient_key.pem"
	)
	read := func(name string) string { return string(testdata(t, name)) }
	text := read("merchant_key.pem")
	testParseErrors(t, "ParsePrivateKey", wechatpay.ParsePrivateKey, [][3]string{
		{"empty", "", "no private key found in 0 bytes: expected apiclient_key.pem"},
		{"byte order mark", "\xff\xfe", "no private key found in 2 bytes: expected apiclient_key.pem"},
		{"other text", "hello, world", "no private key found in 12 bytes: expected apiclient_key.pem"},
		{"other DER", "\x30\x03\x02\x01\x01", "no private key found in 5 bytes: expected apiclient_key.pem"},
		{"too large", strings.Repeat(" ", 1<<20) + text, "is larger than 1048576 bytes"},

		{"public key", read("merchant_pub.pem"), "this is a public key: use apiclient_key.pem"},
		{"public key in pkcs1", read("platform_pub_pkcs1.pem"), "this is a public key: use apiclient_key.pem"},
		{"public key in DER", keyForms(t, "merchant_pub.pem")["DER"], "this is a public key: use apiclient_key.pem"},
		{"certificate", read("merchant_cert.pem"), "this is a certificate: use apiclient_key.pem"},
		{"certificate request", read("merchant_csr.pem"), "this is a certificate request: use apiclient_key.pem"},
		{"elliptic curve", read("ec_key.pem"), "must be an RSA key, got an EC key: use apiclient_key.pem"},
		{"elliptic curve in SEC 1", sec1Key(t), "must be an RSA key, got an EC key: use apiclient_key.pem"},
		{"ed25519", read("ed25519_key.pem"), "must be an RSA key, got an Ed25519 key: use apiclient_key.pem"},
		{"sm2", read("sm2_key.pem"), "must be an RSA key, got an SM2 key: use apiclient_key.pem"},
		{"rsa-pss", strings.Replace(keyForms(t, "merchant_key.pem")["DER"], "\x01\x01\x01", "\x01\x01\x0a", 1),
			"must be an RSA key, got an RSA-PSS key: use apiclient_key.pem"},
		{"dsa", pemBlock("DSA PRIVATE KEY", "\x30\x12"+strings.Repeat("\x02\x01\x07", 6)),
			"must be an RSA key, got a DSA key: use apiclient_key.pem"},
		{"x25519", x25519Key(t), "must be an RSA key, got a key of another type: use apiclient_key.pem"},

		{"encrypted pkcs8", read("encrypted_key.pem"), encrypted},
		{"encrypted pkcs8 in DER", keyForms(t, "encrypted_key.pem")["DER"], encrypted},
		{"encrypted pkcs8 in base64", keyForms(t, "encrypted_key.pem")["base64, one line"], encrypted},
		{"encrypted traditional", read("encrypted_key_pkcs1.pem"), encrypted},
		{"encrypted traditional on one line", strings.ReplaceAll(read("encrypted_key_pkcs1.pem"), "\n", " "), encrypted},
		{"encrypted after a certificate", read("merchant_cert.pem") + read("encrypted_key.pem"), encrypted},

		{"pkcs12", read("merchant_cert.p12"), p12},
		{"pkcs12 in base64", base64.StdEncoding.EncodeToString(testdata(t, "merchant_cert.p12")), p12},
		{"pkcs12 of indefinite length", "\x30\x80\x02\x01\x03\x30\x80", p12},
		{"openssh", read("merchant_key.openssh"), `this is an OpenSSH key: use ssh-keygen -p -m PEM -N "" -f FILE`},
		{"openssh ed25519", pemBlock("OPENSSH PRIVATE KEY", "openssh-key-v1\x00 ssh-ed25519"),
			"must be an RSA key, got an OpenSSH key of another type: use apiclient_key.pem"},
		{"openssh public key", "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDhzz user@host",
			"this is an OpenSSH public key: use apiclient_key.pem"},
		{"zip archive", "PK\x03\x04\x14\x00", "this is a ZIP archive: use apiclient_key.pem"},

		{"path", "/etc/wechatpay/apiclient_key.pem", fileName},
		{"path with a line end", "/etc/wechatpay/apiclient_key.pem\n", fileName},
		{"path without an extension", "/run/secrets/wechatpay", fileName},
		{"path below the home folder", "~/keys/merchant", fileName},
		{"relative path", "../keys/merchant", fileName},
		{"name", "apiclient_key.pem", fileName},
		{"quoted name", `"apiclient_cert.p12"`, fileName},
		{"Windows path", `C:\new\rsa\merchant`, fileName},
		{"Windows path with slashes", `d:/keys/merchant`, fileName},
		{"UNC path", `\\server\keys\merchant`, fileName},
		{"file URL", "file:///etc/wechatpay/merchant", fileName},
		{"path in UTF-16", "\xff\xfe/\x00a\x00", fileName},

		{"damaged", damagedPEM("PRIVATE KEY"), "the private key is damaged: its content cannot be parsed"},
		{"damaged base64", "-----BEGIN PRIVATE KEY-----\nA?\n-----END PRIVATE KEY-----",
			"the private key is damaged: not base64"},
		{"BEGIN line only", "-----BEGIN PRIVATE KEY-----",
			`the private key is damaged: cut off after BEGIN, write line ends as \n`},
		{"cut off", text[:1000], "the private key is damaged: cut off, the END line is missing"},
		{"cut off in the END line", text[:len(text)-30], "the private key is damaged: cut off, the END line is missing"},
		{"cut off base64", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ",
			"the private key is damaged: cut off, the end is missing"},
		{"cut off DER", keyForms(t, "merchant_key.pem")["DER"][:1000],
			"the private key is damaged: cut off, the end is missing"},
		{"other block", damagedPEM("X"), "this is not a private key: use apiclient_key.pem"},
		{"parameters", damagedPEM("EC PARAMETERS"), "no private key found in 63 bytes: expected apiclient_key.pem"},
		{"other block with a long name", damagedPEM(strings.Repeat("\x00退", 30)),
			"this is not a private key: use apiclient_key.pem"},
	})
}

func TestParsePrivateKey_damagedNumber(t *testing.T) {
	text := string(testdata(t, "merchant_key.pem"))
	for name, content := range map[string]string{
		"pkcs8": strings.Replace(text, "\nUnnh", "\nUnng", 1),
		"pkcs1": strings.Replace(string(testdata(t, "merchant_key_pkcs1.pem")), "\nsQ+k", "\nsQ+l", 1),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := wechatpay.ParsePrivateKey([]byte(content))
			require.ErrorContains(t, err, "wechatpay: ParsePrivateKey: the private key is damaged: crypto/rsa: ")
			requireBounded(t, err)
			requireNoPart(t, err, content)
		})
	}
}

// sec1Key returns an EC key as openssl ecparam -genkey writes it.
func sec1Key(t *testing.T) string {
	t.Helper()
	block, _ := pem.Decode(testdata(t, "ec_key.pem"))
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(t, err)
	der, err := x509.MarshalECPrivateKey(parsed.(*ecdsa.PrivateKey))
	require.NoError(t, err)
	return pemBlock("EC PARAMETERS", "\x06\x08*\x86H\xce=\x03\x01\x07") + pemBlock("EC PRIVATE KEY", string(der))
}

func x25519Key(t *testing.T) string {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return pemBlock("PRIVATE KEY", string(der))
}

func TestParsePublicKey_errors(t *testing.T) {
	testParseErrors(t, "ParsePublicKey", wechatpay.ParsePublicKey, [][3]string{
		{"empty", "", "no public key found in 0 bytes: expected pub_key.pem"},
		{"private key", string(testdata(t, "platform_key.pem")), "this is a private key: use pub_key.pem"},
		{"encrypted private key", string(testdata(t, "encrypted_key.pem")), "this is a private key: use pub_key.pem"},
		{"openssh private key", string(testdata(t, "merchant_key.openssh")), "this is an OpenSSH key: use pub_key.pem"},
		{"certificate", string(testdata(t, "merchant_cert.pem")), "this is a certificate: use pub_key.pem"},
		{"certificate request", string(testdata(t, "merchant_csr.pem")), "this is a certificate request: use pub_key.pem"},
		{"pkcs12", string(testdata(t, "merchant_cert.p12")), "this is PKCS #12: use pub_key.pem"},
		{"elliptic curve", string(testdata(t, "ec_pub.pem")), "must be an RSA key, got an EC key: use pub_key.pem"},
		{"file name", "/etc/pub_key.pem", "this is a file name, not the content of the file"},
		{"damaged spki", damagedPEM("PUBLIC KEY"), "the public key is damaged: its content cannot be parsed"},
		{"damaged pkcs1", damagedPEM("RSA PUBLIC KEY"), "the public key is damaged: its content cannot be parsed"},
		{"other block", damagedPEM("X"), "this is not a public key: use pub_key.pem"},
	})
}

func TestParseCertificate_errors(t *testing.T) {
	const p12 = "this is PKCS #12: use openssl pkcs12 -in FILE -nokeys -clcerts -out apiclient_cert.pem"
	testParseErrors(t, "ParseCertificate", wechatpay.ParseCertificate, [][3]string{
		{"empty", "", "no certificate found in 0 bytes: expected apiclient_cert.pem or a platform certificate"},
		{"private key", string(testdata(t, "platform_key.pem")), "this is a private key, not a certificate"},
		{"encrypted private key", string(testdata(t, "encrypted_key.pem")), "this is a private key, not a certificate"},
		{"public key", string(testdata(t, "platform_pub.pem")), "this is a public key, not a certificate"},
		{"certificate request", string(testdata(t, "merchant_csr.pem")), "this is a certificate request, not a certificate"},
		{"pkcs12", string(testdata(t, "merchant_cert.p12")), p12},
		{"sm2", string(testdata(t, "sm2_cert.pem")), "must be an RSA key, got an SM2 key"},
		{"file name", "apiclient_cert.pem", "this is a file name, not the content of the file"},
		{"damaged", damagedPEM("CERTIFICATE"), "the certificate is damaged: its content cannot be parsed"},
		{"cut off", string(testdata(t, "merchant_cert.pem"))[:500],
			"the certificate is damaged: cut off, the END line is missing"},
		{"other block", damagedPEM("X"), "this is not a certificate"},
	})
}

// The commands in the errors convert what they are given for.
func TestParsePrivateKey_commands(t *testing.T) {
	want := privateKey(t, "merchant_key.pem")
	for _, tt := range []struct {
		file     string
		password []string // more arguments, which a person types
	}{
		{"encrypted_key.pem", []string{"-passin", "pass:secret"}},
		{"encrypted_key_pkcs1.pem", []string{"-passin", "pass:secret"}},
		{"merchant_cert.p12", []string{"-passin", "pass:secret"}},
		{"merchant_key.openssh", nil},
	} {
		t.Run(tt.file, func(t *testing.T) {
			_, err := wechatpay.ParsePrivateKey(testdata(t, tt.file))
			converted := runCommand(t, err, tt.file, tt.password)
			key, err := wechatpay.ParsePrivateKey(converted)
			require.NoError(t, err)
			require.True(t, want.Equal(key))
		})
	}
}

func TestParseCertificate_command(t *testing.T) {
	_, err := wechatpay.ParseCertificate(testdata(t, "merchant_cert.p12"))
	converted := runCommand(t, err, "merchant_cert.p12", []string{"-passin", "pass:secret"})
	certificate, err := wechatpay.ParseCertificate(converted)
	require.NoError(t, err)
	require.Equal(t, testSerialNo, fmt.Sprintf("%X", certificate.SerialNumber))
}

// runCommand runs the command that an error names, on a copy of a file of
// testdata, and returns the content of the file that it writes.
func runCommand(t *testing.T, err error, file string, more []string) []byte {
	t.Helper()
	_, command, found := strings.Cut(err.Error(), ": use ")
	require.True(t, found, err)
	args := append(strings.Fields(command), more...)
	if _, err := exec.LookPath(args[0]); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, file), testdata(t, file), 0o600))
	written := file
	for i, arg := range args {
		switch arg {
		case "FILE":
			args[i] = file
		case `""`:
			args[i] = ""
		case "-out":
			written = args[i+1]
		}
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", command, output)
	content, err := os.ReadFile(filepath.Join(dir, written))
	require.NoError(t, err)
	return content
}

func FuzzParseKeys(f *testing.F) {
	for _, name := range []string{
		"merchant_key.pem", "merchant_key_pkcs1.pem", "merchant_pub.pem", "platform_pub_pkcs1.pem",
		"merchant_cert.pem", "merchant_csr.pem", "merchant_cert.p12", "merchant_key.openssh",
		"ec_key.pem", "sm2_key.pem", "encrypted_key.pem", "encrypted_key_pkcs1.pem",
	} {
		content := testdata(f, name)
		f.Add(content)
		f.Add([]byte(base64.StdEncoding.EncodeToString(content)))
		if block, _ := pem.Decode(content); block != nil {
			f.Add(block.Bytes)
		}
	}
	f.Add([]byte(`-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----`))
	f.Add([]byte("\xff\xfe-\x00-\x00"))
	f.Add([]byte(`"C:\keys\merchant.p12"`))
	f.Fuzz(func(t *testing.T, content []byte) {
		if key, err := wechatpay.ParsePrivateKey(content); err == nil {
			require.NoError(t, key.Validate())
		} else {
			require.Nil(t, key)
			requireBounded(t, err)
			requireNoPart(t, err, string(content))
		}
		if key, err := wechatpay.ParsePublicKey(content); err == nil {
			require.Positive(t, key.N.Sign())
		} else {
			require.Nil(t, key)
			requireBounded(t, err)
			requireNoPart(t, err, string(content))
		}
		if certificate, err := wechatpay.ParseCertificate(content); err == nil {
			require.NotEmpty(t, certificate.Raw)
		} else {
			require.Nil(t, certificate)
			requireBounded(t, err)
			requireNoPart(t, err, string(content))
		}
	})
}
