package wechatpay

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
)

// ParsePrivateKey parses the private key of the merchant API certificate from
// PEM (apiclient_key.pem): PKCS #8 ("PRIVATE KEY") or PKCS #1 ("RSA PRIVATE
// KEY"). Line ends may be the two characters \n, as in environment variables.
// Errors contain no part of the key.
func ParsePrivateKey(pemBytes []byte) (*rsa.PrivateKey, error) {
	key, err := parsePrivateKey(pemBytes)
	if err != nil {
		return nil, fmt.Errorf("wechatpay: ParsePrivateKey: %w", err)
	}
	return key, nil
}

// ParsePublicKey parses the WeChat Pay public key from PEM (pub_key.pem): SPKI
// ("PUBLIC KEY") or PKCS #1 ("RSA PUBLIC KEY").
func ParsePublicKey(pemBytes []byte) (*rsa.PublicKey, error) {
	key, err := parsePublicKey(pemBytes)
	if err != nil {
		return nil, fmt.Errorf("wechatpay: ParsePublicKey: %w", err)
	}
	return key, nil
}

// ParseCertificate parses an X.509 certificate from PEM: the merchant API
// certificate (apiclient_cert.pem) or a platform certificate. If there are
// several, it returns the first.
func ParseCertificate(pemBytes []byte) (*x509.Certificate, error) {
	certificate, err := parseCertificate(pemBytes)
	if err != nil {
		return nil, fmt.Errorf("wechatpay: ParseCertificate: %w", err)
	}
	return certificate, nil
}

func parsePrivateKey(pemBytes []byte) (*rsa.PrivateKey, error) {
	const want = "a PRIVATE KEY block (apiclient_key.pem)"
	return parsePEM(pemBytes, want, func(block *pem.Block) (*rsa.PrivateKey, error) {
		_, encrypted := block.Headers["DEK-Info"] // the traditional format
		if encrypted || block.Type == "ENCRYPTED PRIVATE KEY" {
			return nil, errors.New("the private key is encrypted: use openssl pkey -in FILE -out apiclient_key.pem")
		}
		switch block.Type {
		case "PRIVATE KEY", "RSA PRIVATE KEY":
			return parsePrivateDER(block.Bytes)
		case "PUBLIC KEY", "RSA PUBLIC KEY":
			return nil, errors.New("this is a public key: use apiclient_key.pem")
		case "CERTIFICATE":
			return nil, errors.New("this is a certificate: use apiclient_key.pem")
		}
		return nil, unexpectedBlock(block)
	})
}

func parsePublicKey(pemBytes []byte) (*rsa.PublicKey, error) {
	const want = "a PUBLIC KEY block (pub_key.pem)"
	return parsePEM(pemBytes, want, func(block *pem.Block) (*rsa.PublicKey, error) {
		switch block.Type {
		case "PUBLIC KEY":
			parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
			if err != nil {
				return nil, &damagedError{"public key", err}
			}
			key, ok := parsed.(*rsa.PublicKey)
			if !ok {
				return nil, fmt.Errorf("must be an RSA key, got %T", parsed)
			}
			return key, nil
		case "RSA PUBLIC KEY":
			key, err := x509.ParsePKCS1PublicKey(block.Bytes)
			if err != nil {
				return nil, &damagedError{"public key", err}
			}
			return key, nil
		case "PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("this is a private key: use pub_key.pem")
		case "CERTIFICATE":
			return nil, errors.New("this is a certificate: use pub_key.pem")
		}
		return nil, unexpectedBlock(block)
	})
}

func parseCertificate(pemBytes []byte) (*x509.Certificate, error) {
	return parsePEM(pemBytes, "a CERTIFICATE block", func(block *pem.Block) (*x509.Certificate, error) {
		switch block.Type {
		case "CERTIFICATE":
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, &damagedError{"certificate", err}
			}
			return certificate, nil
		case "PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("this is a private key, not a certificate")
		case "PUBLIC KEY", "RSA PUBLIC KEY":
			return nil, errors.New("this is a public key, not a certificate")
		}
		return nil, unexpectedBlock(block)
	})
}

// parsePEM returns the first block that parse accepts, because a file may
// contain a certificate before its key. If there is none, it returns the error
// for the first block.
func parsePEM[T any](pemBytes []byte, want string, parse func(*pem.Block) (*T, error)) (*T, error) {
	pemBytes = bytes.TrimPrefix(pemBytes, []byte("\ufeff")) // added by Windows editors
	block, rest := pem.Decode(pemBytes)
	if block == nil {
		rest = bytes.ReplaceAll(pemBytes, []byte(`\r`), nil)
		rest = bytes.ReplaceAll(rest, []byte(`\n`), []byte("\n"))
		block, rest = pem.Decode(rest)
	}
	var first error
	for ; block != nil; block, rest = pem.Decode(rest) {
		parsed, err := parse(block)
		if err == nil {
			return parsed, nil
		}
		if first == nil {
			first = err
		}
	}
	if first != nil {
		return nil, first
	}
	return nil, fmt.Errorf("no PEM block found in %d bytes: expected %s", len(pemBytes), want)
}

// parsePrivateDER tries both encodings, because some tools change the PEM
// heading without the content, or the reverse.
func parsePrivateDER(der []byte) (*rsa.PrivateKey, error) {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, &damagedError{"private key", err}
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("must be an RSA key, got %T", parsed)
	}
	return key, nil
}

// A damagedError is a PEM block whose content cannot be parsed. Its text is
// bounded, unlike that of errors from crypto/x509 and encoding/asn1.
type damagedError struct {
	what string
	err  error
}

func (e *damagedError) Error() string {
	return fmt.Sprintf("the %s is damaged: %.60s", e.what, oneLine(e.err.Error()))
}

func (e *damagedError) Unwrap() error { return e.err }

func unexpectedBlock(block *pem.Block) error {
	kind := strconv.QuoteToASCII(block.Type)
	return fmt.Errorf("unexpected PEM block %.60s", kind)
}
