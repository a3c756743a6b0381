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

// What is usually wrong when a message does not verify, as far as can be told.
// Nothing here decides whether it does.

// whyUnknown says what a serial number for which there is no key points to.
func (v *Verifier) whyUnknown(serial string) string {
	configured := v.serial()
	switch {
	case strings.HasPrefix(serial, publicKeyIDPrefix) && strings.HasPrefix(configured, publicKeyIDPrefix):
		return fmt.Sprintf("PublicKeyID is %q: compare both with the merchant platform under API安全 → 微信支付公钥", configured)
	case strings.HasPrefix(serial, publicKeyIDPrefix):
		return "the message is signed with the WeChat Pay public key, and none is set: set PublicKeyID and PublicKey, beside the certificates while the merchant switches over"
	case isSerialNumber(serial) && v.certificates == nil && (configured == "" || strings.HasPrefix(configured, publicKeyIDPrefix)):
		return "the message is signed with a platform certificate, as for a merchant that has no public key or switches over: set APIv3Key, so that certificates are downloaded, or PlatformCertificates"
	case isSerialNumber(serial):
		return "compare it with the serial numbers of the certificates that are set"
	}
	return "it is neither a public key id nor the serial number of a certificate"
}

// whyMismatch says why a signature does not hold with the key that the message
// names. A PKCS #1 v1.5 signature tells the digest that was signed to whoever
// has the right key, and nothing to others: so a wrong key and a changed body can
// be told apart.
func (v *Verifier) whyMismatch(serial string, key *rsa.PublicKey, timestamp, nonce string, body, signature []byte) string {
	if digest, ok := signedDigest(key, signature); ok {
		if len(body) == 0 {
			return "the key is right, and the body is empty: something read it before, such as a framework or a middleware; verify the bytes as they came"
		}
		for _, variant := range variants(body) {
			if messageDigest(timestamp, nonce, variant.body) == digest {
				return "the key is right, and the signature holds for the body " + variant.name + ": a proxy or a framework changed it; verify the bytes as they came"
			}
		}
		return "the key is right, and the signature is over something else: a proxy or a framework changed the body, such as by decoding and encoding it, or the message is forged; verify the bytes as they came"
	}
	for other, candidate := range v.allKeys() {
		if _, ok := signedDigest(candidate, signature); ok {
			return fmt.Sprintf("it was made with the key that is set for %q: the keys are mixed up", other)
		}
	}
	if strings.HasPrefix(serial, publicKeyIDPrefix) {
		return "it was not made with that key: either PublicKey is not the one of PublicKeyID (take pub_key.pem from the merchant platform under API安全 → 微信支付公钥, not the merchant's own key), or the message is forged"
	}
	return "it was not made with that key: either the certificate is not WeChat Pay's, or the message is forged"
}

// allKeys gives every key that is known, by serial number or public key id.
func (v *Verifier) allKeys() map[string]*rsa.PublicKey {
	all := make(map[string]*rsa.PublicKey)
	for serial, key := range v.Keys {
		if key != nil && key.N != nil {
			all[serial] = key
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

// variants are the forms that proxies and frameworks give a body, undone.
func variants(body []byte) []variant {
	all := []variant{
		{"without the blanks around it", bytes.TrimSpace(body)},
		{"with a line end after it", append(bytes.Clone(body), '\n')},
		{"without the byte order mark before it", bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))},
	}
	var compact bytes.Buffer
	if json.Compact(&compact, body) == nil {
		all = append(all, variant{"without the blanks in it", compact.Bytes()})
	}
	return all
}

// digestInfo precedes a SHA-256 digest in a PKCS #1 v1.5 signature.
var digestInfo = []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}

// signedDigest gives the digest that a signature was made over, if it was made
// with the key.
func signedDigest(key *rsa.PublicKey, signature []byte) (digest [sha256.Size]byte, ok bool) {
	size := key.Size()
	pad := size - 3 - len(digestInfo) - sha256.Size
	s := new(big.Int).SetBytes(signature)
	if len(signature) != size || pad < 8 || s.Cmp(key.N) >= 0 {
		return digest, false
	}
	em := s.Exp(s, big.NewInt(int64(key.E)), key.N).FillBytes(make([]byte, size))
	prefix := append(append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, pad)...), 0)
	if !bytes.HasPrefix(em, append(prefix, digestInfo...)) {
		return digest, false
	}
	return [sha256.Size]byte(em[size-sha256.Size:]), true
}
