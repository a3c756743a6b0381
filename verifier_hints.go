package wechatpay

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strconv"
	"strings"
)

// The hints of a VerificationError name the likely cause of a failed
// verification. They do not affect the result.

// headerHint names what is wrong with the signature headers. It returns "" if
// there are none.
func headerHint(h http.Header) string {
	required := []string{headerTimestamp, headerNonce, headerSignature, headerSerial}
	if key := nonCanonicalKey(h, required); key != "" {
		return fmt.Sprintf("header key %q is not canonical: set it with http.Header.Set", key)
	}
	var missing []string
	for _, name := range append(required, headerSignatureType) {
		switch values := h[name]; {
		case len(values) == 2:
			return "two " + name + " headers"
		case len(values) > 2:
			return fmt.Sprintf("%d %s headers", len(values), name)
		case len(values) == 0 && name != headerSignatureType:
			missing = append(missing, name)
		}
	}
	switch kind := h.Get(headerSignatureType); {
	case len(missing) == len(required):
		return ""
	case len(missing) > 0:
		return "missing " + strings.Join(missing, ", ")
	case strings.Contains(kind, "SM2"):
		return fmt.Sprintf("signed with SM2 (%s %s), which is not supported",
			headerSignatureType, cmp.Or(boundedHeader(h, headerSignatureType), "not shown"))
	case len(h[headerSignatureType]) == 1 && kind != algorithm && boundedHeader(h, headerSignatureType) == "":
		return fmt.Sprintf("%s must be %s", headerSignatureType, algorithm)
	case len(h[headerSignatureType]) == 1 && kind != algorithm:
		return fmt.Sprintf("%s must be %s, got %.40q", headerSignatureType, algorithm, kind)
	}
	if _, err := strconv.ParseInt(h.Get(headerTimestamp), 10, 64); err != nil {
		return headerTimestamp + " is not a number"
	}
	return headerSignature + " is not base64"
}

// nonCanonicalKey returns a key of h that is one of the names in another case,
// such as the lower case of Lambda events. http.Header.Get does not find it.
func nonCanonicalKey(h http.Header, names []string) string {
	var found string
	for key := range h {
		for _, name := range names {
			if key != name && strings.EqualFold(key, name) && (found == "" || key < found) {
				found = key
			}
		}
	}
	return found
}

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
func (v *Verifier) mismatchHint(key *rsa.PublicKey, s *messageSignature, h http.Header, body []byte) string {
	if digest, ok := signedDigest(key, s.signature); ok {
		if len(body) == 0 {
			return "the body is empty: something read it before the verification"
		}
		for _, variant := range variants(body) {
			if s.digest(variant.body) == digest {
				return "the body was modified: the signature matches it " + variant.name
			}
		}
		if encoding := h.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
			return fmt.Sprintf("the body was modified: its Content-Encoding is %.20q", encoding)
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

// variants returns the body without the changes that proxies, API gateways and
// frameworks commonly make.
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
	plain := body
	if decoded, err := base64.StdEncoding.DecodeString(strings.Trim(string(body), "\" \r\n")); err == nil {
		all, plain = append(all, variant{"after base64 decoding", decoded}), decoded
	}
	if decompressed, err := gunzip(plain); err == nil {
		all = append(all, variant{"after gzip decompression", decompressed})
	}
	return all
}

// gunzip decompresses up to maxNotification bytes.
func gunzip(body []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, maxNotification))
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
