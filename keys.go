package wechatpay

import (
	"cmp"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// ParsePrivateKey parses the private key of the merchant API certificate
// (apiclient_key.pem): an RSA key in PKCS #8 or PKCS #1.
//
// The input is PEM, DER, or base64 of either. Line ends of a PEM may be LF,
// CRLF, spaces or the two characters \n. Indentation, quotes, and the byte order
// mark of UTF-8 or UTF-16 are accepted.
//
// If the input is something else that is often used by mistake, such as
// apiclient_cert.p12 or an encrypted key, the error says so, with the command
// that converts it. OpenSSL 3 may require -legacy for a .p12 file. Errors
// contain no part of the input.
func ParsePrivateKey(content []byte) (*rsa.PrivateKey, error) {
	key, err := first(parsePrivateKeys(content))
	if err != nil {
		return nil, fmt.Errorf("wechatpay: ParsePrivateKey: %w", err)
	}
	return key, nil
}

// ParsePublicKey parses the WeChat Pay public key (pub_key.pem): an RSA key in
// SPKI or PKCS #1. It accepts the same forms as ParsePrivateKey.
func ParsePublicKey(content []byte) (*rsa.PublicKey, error) {
	key, err := first(parsePublicKeys(content))
	if err != nil {
		return nil, fmt.Errorf("wechatpay: ParsePublicKey: %w", err)
	}
	return key, nil
}

// ParseCertificate parses an X.509 certificate: the merchant API certificate
// (apiclient_cert.pem) or a platform certificate. If there are several, it
// returns the first. It accepts the same forms as ParsePrivateKey.
func ParseCertificate(content []byte) (*x509.Certificate, error) {
	certificate, err := first(parseCertificates(content))
	if err != nil {
		return nil, fmt.Errorf("wechatpay: ParseCertificate: %w", err)
	}
	return certificate, nil
}

func first[T any](values []T, err error) (value T, _ error) {
	if err != nil {
		return value, err
	}
	return values[0], nil
}

func parsePrivateKeys(content []byte) ([]*rsa.PrivateKey, error) {
	return parseKeys[*rsa.PrivateKey](content, keyUse{kindPrivateKey, "private key", "apiclient_key.pem"})
}

func parsePublicKeys(content []byte) ([]*rsa.PublicKey, error) {
	return parseKeys[*rsa.PublicKey](content, keyUse{kindPublicKey, "public key", "pub_key.pem"})
}

func parseCertificates(content []byte) ([]*x509.Certificate, error) {
	return parseKeys[*x509.Certificate](content, keyUse{kindCertificate, "certificate", ""})
}

// parseKeys returns all values of type T in content, because a file may contain
// a certificate before its key, or a chain of certificates. Without one, the
// error is about the item that comes closest to use.
func parseKeys[T any](content []byte, use keyUse) (values []T, err error) {
	if len(content) > maxKeyMaterial {
		return nil, fmt.Errorf("is larger than %d bytes", maxKeyMaterial)
	}
	closest := -1
	for _, item := range readKeyMaterial(content) {
		if value, ok := item.value.(T); ok {
			values = append(values, value)
		} else if closeness := use.closeness(item); closeness > closest {
			closest, err = closeness, use.problem(item)
		}
	}
	if len(values) > 0 {
		return values, nil
	}
	if err == nil {
		expected := cmp.Or(use.file, "apiclient_cert.pem or a platform certificate")
		err = fmt.Errorf("no %s found in %d bytes: expected %s", use.name, len(content), expected)
	}
	return nil, err
}

// A keyUse is the kind of key material that a caller needs.
type keyUse struct {
	kind keyKind
	name string
	file string // WeChat Pay's name for it, or empty if there are several
}

func (use keyUse) closeness(item keyItem) int {
	switch {
	case item.kind == use.kind, item.kind == kindEncryptedKey && use.kind == kindPrivateKey:
		return 2
	case item.kind == kindUnknown:
		return 0
	}
	return 1
}

// errFileName is the problem of a file name where a key is expected.
var errFileName = errors.New("this is a file name, not the content of the file")

// problem returns why item cannot be used. The text is at most 88 characters, so
// that it fits with the name of an environment variable into one error.
func (use keyUse) problem(item keyItem) error {
	remedy := ""
	if use.file != "" {
		remedy = ": use " + use.file
	}
	switch {
	case item.kind == use.kind && item.algorithm != "":
		return fmt.Errorf("must be an RSA key, got %s%s", item.algorithm, remedy)
	case item.err != nil && (item.kind == use.kind || item.kind == kindUnknown):
		return &damagedError{use.name, item.err}
	case item.kind == kindUnknown:
		return fmt.Errorf("this is not a %s%s", use.name, remedy)
	case item.kind == kindFileName:
		return errFileName
	case item.kind == kindEncryptedKey && use.kind != kindPrivateKey:
		item.kind = kindPrivateKey
	}
	if command := use.command(item.kind); command != "" {
		return fmt.Errorf("%s: use %s", item.kind, command)
	}
	if remedy == "" {
		return fmt.Errorf("%s, not a %s", item.kind, use.name)
	}
	return fmt.Errorf("%s%s", item.kind, remedy)
}

// command returns the command that converts key material of another kind, or "".
func (use keyUse) command(kind keyKind) string {
	switch {
	case use.kind == kindPrivateKey && kind == kindEncryptedKey:
		return "openssl pkey -in FILE -out apiclient_key.pem"
	case use.kind == kindPrivateKey && kind == kindPKCS12:
		return "openssl pkcs12 -in FILE -nocerts -nodes -out apiclient_key.pem"
	case use.kind == kindCertificate && kind == kindPKCS12:
		return "openssl pkcs12 -in FILE -nokeys -clcerts -out apiclient_cert.pem"
	case use.kind == kindPrivateKey && kind == kindOpenSSHKey:
		return `ssh-keygen -p -m PEM -N "" -f FILE`
	}
	return ""
}

// A damagedError is key material that cannot be parsed. Its text is bounded, and
// leaves out what errors from crypto/x509 quote, which is a part of the input.
type damagedError struct {
	what string
	err  error
}

func (e *damagedError) Error() string {
	cause := strings.TrimPrefix(oneLine(e.err.Error()), "x509: failed to parse RSA private key embedded in PKCS#8: ")
	cause, _, _ = strings.Cut(cause, `"`)
	return fmt.Sprintf("the %s is damaged: %.55s", e.what, strings.TrimSpace(cause))
}

func (e *damagedError) Unwrap() error { return e.err }
