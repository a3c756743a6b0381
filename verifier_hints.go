package wechatpay

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
)

// The hints of a VerificationError name the likely cause of a failed
// verification. They do not affect the result.

// unknownSerialHint returns a hint for a serial number or public key ID without
// a key.
func (v *Verifier) unknownSerialHint(serialNo string) string {
	configured := v.serial()
	switch {
	case strings.HasPrefix(serialNo, publicKeyIDPrefix) && strings.HasPrefix(configured, publicKeyIDPrefix):
		return fmt.Sprintf("PublicKeyID is %q: compare it with API安全 → 微信支付公钥", configured)
	case strings.HasPrefix(serialNo, publicKeyIDPrefix):
		return "set PublicKeyID and PublicKey"
	case !isSerialNumber(serialNo):
		return "it is neither a public key ID nor a certificate serial number"
	case v.certificates == nil && (configured == "" || strings.HasPrefix(configured, publicKeyIDPrefix)):
		return "it is a platform certificate: set APIv3Key to download it"
	}
	return "it is not among the configured platform certificates"
}

// mismatchHint returns a hint for a signature that does not match the key. A
// PKCS #1 v1.5 signature reveals the signed digest to everyone who has the right
// public key. This distinguishes a wrong key from a modified body.
func (v *Verifier) mismatchHint(key *rsa.PublicKey, s *messageSignature, body []byte) string {
	if digest, ok := signedDigest(key, s.signature); ok {
		if len(body) == 0 {
			return "the body is empty: something read it before the verification"
		}
		for _, variant := range variants(body) {
			if s.digest(variant.body) == digest {
				return "the body was modified: the signature matches it " + variant.name
			}
		}
		return "the body is not the signed one: it was modified, or the message is forged"
	}
	for serialNo, other := range v.allKeys() {
		if _, ok := signedDigest(other, s.signature); ok {
			return fmt.Sprintf("it matches the key of %q: the keys are swapped", serialNo)
		}
	}
	if strings.HasPrefix(s.serialNo, publicKeyIDPrefix) {
		return "PublicKey is not the key of PublicKeyID, or the message is forged"
	}
	return "the certificate is not WeChat Pay's, or the message is forged"
}

// allKeys returns all known keys by serial number or public key ID.
func (v *Verifier) allKeys() map[string]*rsa.PublicKey {
	all := make(map[string]*rsa.PublicKey)
	for serialNo, key := range v.Keys {
		if key != nil && key.N != nil {
			all[serialNo] = key
		}
	}
	if v.certificates != nil {
		for _, p := range v.certificates.known() {
			all[p.serialNo] = p.key
		}
	}
	return all
}

type variant struct {
	name string
	body []byte
}

// variants returns the body without the changes that proxies and frameworks
// commonly make.
func variants(body []byte) []variant {
	all := []variant{
		{"without surrounding white space", bytes.TrimSpace(body)},
		{"with a trailing newline", append(bytes.Clone(body), '\n')},
		{"without the byte order mark", bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))},
	}
	var compact bytes.Buffer
	if json.Compact(&compact, body) == nil {
		all = append(all, variant{"as compact JSON", compact.Bytes()})
	}
	return all
}

// digestInfo is the DER prefix of a SHA-256 digest in a PKCS #1 v1.5 signature.
var digestInfo = []byte{
	0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20,
}

// signedDigest returns the digest in a signature. ok is false if the signature
// is not by the private key of key.
func signedDigest(key *rsa.PublicKey, signature []byte) (digest [sha256.Size]byte, ok bool) {
	size := key.Size()
	pad := size - 3 - len(digestInfo) - sha256.Size
	s := new(big.Int).SetBytes(signature)
	if len(signature) != size || pad < 8 {
		return digest, false
	}
	em := s.Exp(s, big.NewInt(int64(key.E)), key.N).FillBytes(make([]byte, size))
	prefix := append(append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, pad)...), 0)
	if !bytes.HasPrefix(em, append(prefix, digestInfo...)) {
		return digest, false
	}
	return [sha256.Size]byte(em[size-sha256.Size:]), true
}
