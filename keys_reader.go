package wechatpay

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
)

// maxKeyMaterial is the size in bytes of the largest input that is read.
const maxKeyMaterial = 1 << 20

// A keyKind is a kind of key material, as an error names it.
type keyKind string

const (
	kindUnknown            keyKind = "unknown"
	kindPrivateKey         keyKind = "this is a private key"
	kindEncryptedKey       keyKind = "the private key is encrypted"
	kindPublicKey          keyKind = "this is a public key"
	kindCertificate        keyKind = "this is a certificate"
	kindCertificateRequest keyKind = "this is a certificate request"
	kindPKCS12             keyKind = "this is PKCS #12"
	kindOpenSSHKey         keyKind = "this is an OpenSSH key"
	kindOpenSSHPublicKey   keyKind = "this is an OpenSSH public key"
	kindZIP                keyKind = "this is a ZIP archive"
	kindFileName           keyKind = "this is a file name"
)

// A keyItem is one piece of key material.
type keyItem struct {
	kind      keyKind
	value     any    // *rsa.PrivateKey, *rsa.PublicKey, *x509.Certificate or nil
	algorithm string // of a key other than RSA, with its article
	err       error  // why it cannot be parsed
}

// readKeyMaterial returns the keys and certificates in content, which may be
// PEM, DER, or base64 of either, in the forms that ParsePrivateKey documents.
func readKeyMaterial(content []byte) []keyItem {
	if items := readEncoded(content, 3); len(items) > 0 {
		return items
	}
	text := strings.TrimSpace(string(decodeText(content)))
	switch {
	case strings.HasPrefix(text, "PK\x03\x04"):
		return []keyItem{{kind: kindZIP}}
	case strings.HasPrefix(text, "ssh-"), strings.HasPrefix(text, "ecdsa-sha2-"):
		return []keyItem{{kind: kindOpenSSHPublicKey}}
	case isFileName(text):
		return []keyItem{{kind: kindFileName}}
	}
	return nil
}

// readEncoded undoes at most levels layers of base64: secrets in Kubernetes are
// often encoded twice.
func readEncoded(content []byte, levels int) []keyItem {
	if items := readDER("", content); len(items) > 0 {
		return items
	}
	text := escapes.Replace(string(decodeText(content)))
	if items := readPEM(text); len(items) > 0 {
		return items
	}
	if decoded, err := decodeBase64(text); err == nil && len(decoded) > 0 && levels > 0 {
		return readEncoded(decoded, levels-1)
	}
	return nil
}

// escapes replaces the escape sequences of JSON and of environment files.
var escapes = strings.NewReplacer(`\r`, "\n", `\n`, "\n", `\t`, " ", `\/`, "/")

// decodeText returns text in UTF-8 without a byte order mark. Windows editors
// and PowerShell write UTF-16.
func decodeText(content []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(content, []byte("\xff\xfe")):
		order = binary.LittleEndian
	case bytes.HasPrefix(content, []byte("\xfe\xff")):
		order = binary.BigEndian
	default:
		return bytes.TrimPrefix(content, []byte("\ufeff"))
	}
	units := make([]uint16, 0, len(content)/2)
	for content = content[2:]; len(content) >= 2; content = content[2:] {
		units = append(units, order.Uint16(content))
	}
	return []byte(string(utf16.Decode(units)))
}

var (
	pemBegin = regexp.MustCompile(`-{2,} ?BEGIN([^-\n]{0,64}?)-{2,}`)
	pemEnd   = regexp.MustCompile(`-{2,} ?END`)
)

// readPEM returns the items of the PEM blocks in text. Unlike encoding/pem, it
// requires no line ends.
func readPEM(text string) (items []keyItem) {
	for {
		begin := pemBegin.FindStringSubmatchIndex(text)
		if begin == nil {
			return items
		}
		label := strings.ToUpper(strings.Join(strings.Fields(text[begin[2]:begin[3]]), ""))
		text = text[begin[1]:]
		body, complete := text, false
		if next := pemBegin.FindStringIndex(body); next != nil {
			body = body[:next[0]]
		}
		if end := pemEnd.FindStringIndex(body); end != nil {
			body, complete = body[:end[0]], true
		}
		text = text[len(body):]
		if !strings.HasSuffix(label, "PARAMETERS") { // written before an EC key
			items = append(items, readPEMBody(label, body, complete)...)
		}
	}
}

// readPEMBody returns the items between BEGIN and END, or in the rest of the text
// if the block is not complete.
func readPEMBody(label, body string, complete bool) []keyItem {
	if strings.Contains(body, "DEK-Info:") || strings.Contains(body, "Proc-Type:") {
		return []keyItem{{kind: kindEncryptedKey}} // in the traditional form
	}
	der, err := decodeBase64(pemHeader.ReplaceAllString(body, ""))
	if err == nil {
		if items := readDER(label, der); len(items) > 0 && (complete || items[0].err == nil) {
			return items
		}
	}
	problem := "its content cannot be parsed"
	switch {
	case !complete && strings.TrimSpace(body) == "":
		problem = `cut off after BEGIN, write line ends as \n`
	case !complete:
		problem = "cut off, the END line is missing"
	case err != nil:
		problem = "not base64"
	}
	return []keyItem{failedItem(label, errors.New(problem))}
}

// failedItem returns the item for a PEM block that cannot be parsed.
func failedItem(label string, err error) keyItem {
	kind := kindOfLabel(label)
	if kind == kindUnknown && label != "" {
		err = nil // the label is the problem
	}
	return keyItem{kind: kind, err: err}
}

var pemHeader = regexp.MustCompile(`(?m)^.*:.*$`)

// kindOfLabel returns the kind of a PEM block with the label, without spaces.
func kindOfLabel(label string) keyKind {
	for _, known := range []struct {
		suffix string
		kind   keyKind
	}{
		{"OPENSSHPRIVATEKEY", kindOpenSSHKey},
		{"ENCRYPTEDPRIVATEKEY", kindEncryptedKey},
		{"PRIVATEKEY", kindPrivateKey},
		{"PUBLICKEY", kindPublicKey},
		{"CERTIFICATE", kindCertificate},
		{"CERTIFICATEREQUEST", kindCertificateRequest},
		{"PKCS12", kindPKCS12},
	} {
		if strings.HasSuffix(label, known.suffix) {
			return known.kind
		}
	}
	return kindUnknown
}

// decodeBase64 decodes standard or URL-safe base64, with or without padding. It
// ignores spaces, line ends, quotes, backslashes and invisible characters.
func decodeBase64(text string) ([]byte, error) {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.Is(unicode.Cf, r), strings.ContainsRune("\"'`\\", r):
			return -1
		case r == '-':
			return '+'
		case r == '_':
			return '/'
		}
		return r
	}, text)
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
}

var (
	berPKCS12   = []byte{0x30, 0x80, 0x02, 0x01, 0x03} // of indefinite length
	openSSHHead = []byte("openssh-key-v1\x00")
	openSSHRSA  = []byte("\x00\x00\x00\x07ssh-rsa")
)

// readDER returns the items of the DER values in content, up to the first that
// it cannot identify. label is that of the PEM block, or empty.
func readDER(label string, content []byte) (items []keyItem) {
	switch {
	case bytes.HasPrefix(content, berPKCS12):
		return []keyItem{{kind: kindPKCS12}}
	case bytes.HasPrefix(content, openSSHHead) && bytes.Contains(content, openSSHRSA):
		return []keyItem{{kind: kindOpenSSHKey}}
	case bytes.HasPrefix(content, openSSHHead):
		return []keyItem{{kind: kindPrivateKey, algorithm: "an OpenSSH key of another type"}}
	case isCutOff(content):
		return []keyItem{failedItem(label, errors.New("cut off, the end is missing"))}
	}
	for len(content) > 0 {
		var value asn1.RawValue
		rest, err := asn1.Unmarshal(content, &value)
		if err != nil {
			break
		}
		item := identify(value)
		if item.kind == kindUnknown {
			break
		}
		items = append(items, item)
		content = rest
	}
	return items
}

// isCutOff reports whether content is the beginning of a DER sequence of 256 to
// 65535 bytes, as keys and certificates are.
func isCutOff(content []byte) bool {
	return len(content) >= 4 && content[0] == 0x30 && content[1] == 0x82 &&
		len(content) < 4+int(binary.BigEndian.Uint16(content[2:]))
}

// identify finds out by its structure what a DER value is: PEM headings are
// sometimes wrong.
func identify(value asn1.RawValue) keyItem {
	switch shape := shapeOf(value); {
	case strings.HasPrefix(shape, "IIIIIIIII"):
		key, err := x509.ParsePKCS1PrivateKey(value.FullBytes)
		return newKeyItem(kindPrivateKey, key, err, value)
	case shape == "IIIIII":
		return keyItem{kind: kindPrivateKey, algorithm: "a DSA key"}
	case strings.HasPrefix(shape, "ISO"):
		key, err := x509.ParsePKCS8PrivateKey(value.FullBytes)
		return newKeyItem(kindPrivateKey, key, err, value)
	case strings.HasPrefix(shape, "IO"):
		return keyItem{kind: kindPrivateKey, algorithm: "an EC key"}
	case shape == "SO":
		return keyItem{kind: kindEncryptedKey}
	case shape == "II":
		key, err := x509.ParsePKCS1PublicKey(value.FullBytes)
		return newKeyItem(kindPublicKey, key, err, value)
	case shape == "SB":
		key, err := x509.ParsePKIXPublicKey(value.FullBytes)
		return newKeyItem(kindPublicKey, key, err, value)
	case shape == "SSB":
		if _, err := x509.ParseCertificateRequest(value.FullBytes); err == nil {
			return keyItem{kind: kindCertificateRequest}
		}
		parsed, err := x509.ParseCertificate(value.FullBytes)
		return newKeyItem(kindCertificate, parsed, err, value)
	case shape == "IS", shape == "ISS":
		return keyItem{kind: kindPKCS12}
	}
	return keyItem{kind: kindUnknown}
}

// shapeOf returns the types of the elements of a sequence: I for INTEGER, S for
// SEQUENCE, O for OCTET STRING, B for BIT STRING and ? for others.
func shapeOf(value asn1.RawValue) string {
	if value.Class != asn1.ClassUniversal || value.Tag != asn1.TagSequence || !value.IsCompound {
		return ""
	}
	var shape strings.Builder
	for content := value.Bytes; len(content) > 0; {
		var element asn1.RawValue
		rest, err := asn1.Unmarshal(content, &element)
		if err != nil {
			return ""
		}
		letter := byte('?')
		if element.Class == asn1.ClassUniversal {
			switch element.Tag {
			case asn1.TagInteger:
				letter = 'I'
			case asn1.TagSequence:
				letter = 'S'
			case asn1.TagOctetString:
				letter = 'O'
			case asn1.TagBitString:
				letter = 'B'
			}
		}
		shape.WriteByte(letter)
		content = rest
	}
	return shape.String()
}

// newKeyItem returns the item for what a function of crypto/x509 returned.
func newKeyItem(kind keyKind, parsed any, err error, value asn1.RawValue) keyItem {
	item := keyItem{kind: kind, err: err}
	if err != nil {
		item.algorithm = unsupportedAlgorithm(kind, value.FullBytes)
		return item
	}
	switch parsed := parsed.(type) {
	case *rsa.PrivateKey, *rsa.PublicKey, *x509.Certificate:
		item.value = parsed
	case *ecdsa.PrivateKey, *ecdsa.PublicKey:
		item.algorithm = "an EC key"
	case ed25519.PrivateKey, ed25519.PublicKey:
		item.algorithm = "an Ed25519 key"
	default:
		item.algorithm = "a key of another type"
	}
	return item
}

// unsupportedAlgorithm names the algorithm of a key or certificate that
// crypto/x509 cannot parse, or returns "".
func unsupportedAlgorithm(kind keyKind, der []byte) string {
	switch {
	case bytes.Contains(der, oidSM2):
		return "an SM2 key"
	case kind != kindCertificate && bytes.Contains(der, oidRSAPSS): // which may also sign a certificate
		return "an RSA-PSS key"
	}
	return ""
}

var (
	// 1.2.156.10197.1.301
	oidSM2 = []byte{0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d}
	// 1.2.840.113549.1.1.10
	oidRSAPSS = []byte{0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a}
)

var (
	filePath      = regexp.MustCompile(`(?i)^(file:|[a-z]:[\\/]|[/~]|\\\\|\.{1,2}[\\/])`)
	fileExtension = regexp.MustCompile(`(?i)\.(pem|key|p12|pfx|crt|cer|cert|der|pub|txt)$`)
)

// isFileName reports whether text looks like the name of a file.
func isFileName(text string) bool {
	text = unquote(text)
	if len(text) > 1024 || strings.ContainsAny(text, "\r\n\x00+=") {
		return false
	}
	return filePath.MatchString(text) || fileExtension.MatchString(text)
}

// unquote removes spaces and one pair of quotes around s. docker --env-file does
// not remove the quotes.
func unquote(s string) string {
	s = strings.TrimSpace(s)
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		s = strings.TrimSpace(s[1 : len(s)-1])
	}
	return s
}
