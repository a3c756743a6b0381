package wechatpay

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// ParsePrivateKey reads the private key of the merchant API certificate from
// PEM, the content of apiclient_key.pem. It takes PKCS #8 ("PRIVATE KEY") and
// PKCS #1 ("RSA PRIVATE KEY"), and a key whose line ends became the two
// characters \n on the way through an environment variable.
//
// The error says what was found instead, and never shows a part of the key.
func ParsePrivateKey(pemBytes []byte) (*rsa.PrivateKey, error) {
	key, err := parsePEM(pemBytes, func(block *pem.Block) (*rsa.PrivateKey, error) {
		_, encrypted := block.Headers["DEK-Info"] // the way before PKCS #8
		if encrypted || block.Type == "ENCRYPTED PRIVATE KEY" {
			return nil, errors.New("the private key is encrypted: decrypt it first with openssl pkey -in FILE -out apiclient_key.pem")
		}
		switch block.Type {
		case "PRIVATE KEY", "RSA PRIVATE KEY":
			return parsePrivateDER(block.Bytes)
		case "PUBLIC KEY", "RSA PUBLIC KEY":
			return nil, errors.New("this is a public key: the private key is in apiclient_key.pem")
		case "CERTIFICATE":
			return nil, errors.New("this is a certificate: the private key is in apiclient_key.pem, beside apiclient_cert.pem")
		}
		return nil, unexpectedBlock(block)
	}, "a PRIVATE KEY block, the content of apiclient_key.pem")
	if err != nil {
		return nil, fmt.Errorf("wechatpay: ParsePrivateKey: %w", err)
	}
	return key, nil
}

// ParsePublicKey reads the WeChat Pay public key from PEM, the content of
// pub_key.pem: "PUBLIC KEY" (SPKI), or "RSA PUBLIC KEY" (PKCS #1).
func ParsePublicKey(pemBytes []byte) (*rsa.PublicKey, error) {
	key, err := parsePEM(pemBytes, func(block *pem.Block) (*rsa.PublicKey, error) {
		switch block.Type {
		case "PUBLIC KEY":
			parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("the public key is damaged: %w", err)
			}
			key, ok := parsed.(*rsa.PublicKey)
			if !ok {
				return nil, fmt.Errorf("the public key is %T: WeChat Pay's is RSA", parsed)
			}
			return key, nil
		case "RSA PUBLIC KEY":
			key, err := x509.ParsePKCS1PublicKey(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("the public key is damaged: %w", err)
			}
			return key, nil
		case "PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("this is a private key: the WeChat Pay public key is in pub_key.pem, downloaded from the merchant platform")
		case "CERTIFICATE":
			return nil, errors.New("this is a certificate: the WeChat Pay public key is in pub_key.pem, downloaded from the merchant platform")
		}
		return nil, unexpectedBlock(block)
	}, "a PUBLIC KEY block, the content of pub_key.pem")
	if err != nil {
		return nil, fmt.Errorf("wechatpay: ParsePublicKey: %w", err)
	}
	return key, nil
}

// ParseCertificate reads an X.509 certificate from PEM: the merchant API
// certificate (apiclient_cert.pem) or a platform certificate. Of several it
// takes the first.
func ParseCertificate(pemBytes []byte) (*x509.Certificate, error) {
	certificate, err := parsePEM(pemBytes, func(block *pem.Block) (*x509.Certificate, error) {
		switch block.Type {
		case "CERTIFICATE":
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("the certificate is damaged: %w", err)
			}
			return certificate, nil
		case "PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("this is a private key: the certificate is in apiclient_cert.pem")
		case "PUBLIC KEY", "RSA PUBLIC KEY":
			return nil, errors.New("this is a public key, not a certificate")
		}
		return nil, unexpectedBlock(block)
	}, "a CERTIFICATE block")
	if err != nil {
		return nil, fmt.Errorf("wechatpay: ParseCertificate: %w", err)
	}
	return certificate, nil
}

// parsePEM gives the first block that parse accepts, or else what parse said
// of the first block: a file may hold a certificate before its key.
func parsePEM[T any](pemBytes []byte, parse func(*pem.Block) (*T, error), want string) (*T, error) {
	pemBytes = bytes.TrimPrefix(pemBytes, []byte("\ufeff")) // as Windows' editors add it
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

// parsePrivateDER tries both encodings whatever the heading said, because
// keys pass through tools that change one and not the other.
func parsePrivateDER(der []byte) (*rsa.PrivateKey, error) {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("the private key is damaged: %w", err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the private key is %T: a merchant API certificate's is RSA", parsed)
	}
	return key, nil
}

func unexpectedBlock(block *pem.Block) error {
	return fmt.Errorf("unexpected PEM block %.40q", block.Type)
}
