package wechatpaytest

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"
)

// The fake has its own cryptography, on the standard library alone, so that an
// error in the SDK's cannot hide.

// processKeys has the RSA keys of this process by role. All servers share them,
// because generating a key is by far the slowest part of starting one.
var processKeys struct {
	sync.Mutex
	byRole map[string]func() *rsa.PrivateKey
}

// processKey returns the key of a role. The first call generates it.
func processKey(role string) *rsa.PrivateKey {
	processKeys.Lock()
	key, ok := processKeys.byRole[role]
	if !ok {
		key = sync.OnceValue(func() *rsa.PrivateKey {
			key, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				panic("wechatpaytest: generate RSA key: " + err.Error())
			}
			return key
		})
		if processKeys.byRole == nil {
			processKeys.byRole = map[string]func() *rsa.PrivateKey{}
		}
		processKeys.byRole[role] = key
	}
	processKeys.Unlock()
	return key()
}

const (
	publicKeyRole = "wechatpay"
	forgerRole    = "forger" // neither WeChat Pay nor the merchant
)

// Merchant and platform keys are numbered, because they are renewed.
func merchantRole(n int) string { return fmt.Sprint("merchant ", n) }
func platformRole(n int) string { return fmt.Sprint("platform ", n) }

func otherMerchantRole(mchID string) string { return "other merchant " + mchID }

// processAPIv3Key returns the APIv3 key of this process.
var processAPIv3Key = sync.OnceValue(func() string { return randomText(32) })

// newCertificate returns a self-signed certificate. As WeChat Pay's, its serial
// number has 40 hexadecimal digits.
func newCertificate(key *rsa.PrivateKey, name string, from, to time.Time) *x509.Certificate {
	digest := sha256.Sum256(append(key.N.Bytes(), binary.BigEndian.AppendUint64(nil, uint64(from.UnixNano()))...))
	digest[0] = digest[0]&0x3f | 0x40 // positive, without a leading zero
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(digest[:20]),
		Subject:      pkix.Name{Organization: []string{"wechatpaytest"}, CommonName: name},
		NotBefore:    from,
		NotAfter:     to,
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic("wechatpaytest: create certificate: " + err.Error())
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic("wechatpaytest: create certificate: " + err.Error())
	}
	return cert
}

func serialNo(cert *x509.Certificate) string { return fmt.Sprintf("%X", cert.SerialNumber) }

// publicKeyID returns the WeChat Pay public key id of this process.
var publicKeyID = sync.OnceValue(func() string {
	digest := sha256.Sum256(processKey(publicKeyRole).N.Bytes())
	return "PUB_KEY_ID_01" + decimal(digest[:], 26)
})

// sign returns the WECHATPAY2-SHA256-RSA2048 signature of a string to sign, in
// base64.
func sign(key *rsa.PrivateKey, toSign string) string {
	digest := sha256.Sum256([]byte(toSign))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		panic("wechatpaytest: sign: " + err.Error())
	}
	return base64.StdEncoding.EncodeToString(signature)
}

// verify reports whether the signature of a string to sign is valid.
func verify(key *rsa.PublicKey, toSign string, signature []byte) bool {
	digest := sha256.Sum256([]byte(toSign))
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
}

// encrypt encrypts with RSAES-OAEP and SHA-1, like payer_phone, to base64.
func encrypt(key *rsa.PublicKey, text string) (string, error) {
	var ciphertext []byte
	var err error
	withoutFIPS(func() {
		ciphertext, err = rsa.EncryptOAEP(sha1.New(), rand.Reader, key, []byte(text), nil)
	})
	return base64.StdEncoding.EncodeToString(ciphertext), err
}

// decrypt reverses encrypt.
func decrypt(key *rsa.PrivateKey, text string) (string, error) {
	ciphertext, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return "", err
	}
	var plain []byte
	withoutFIPS(func() {
		plain, err = rsa.DecryptOAEP(sha1.New(), nil, key, ciphertext, nil)
	})
	return string(plain), err
}

// seal encrypts with AEAD_AES_256_GCM, like notifications and certificates, to
// base64.
func seal(apiV3Key, nonce, associatedData string, plain []byte) string {
	block, err := aes.NewCipher([]byte(apiV3Key))
	if err != nil {
		panic("wechatpaytest: encrypt: " + err.Error())
	}
	var aead cipher.AEAD
	withoutFIPS(func() {
		aead, err = cipher.NewGCM(block)
	})
	if err != nil {
		panic("wechatpaytest: encrypt: " + err.Error())
	}
	var sealed []byte
	withoutFIPS(func() {
		sealed = aead.Seal(nil, []byte(nonce), plain, []byte(associatedData))
	})
	return base64.StdEncoding.EncodeToString(sealed)
}

// randomText returns n random letters and digits.
func randomText(n int) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(rand.Text())
	}
	return b.String()[:n]
}

// decimal returns the last n decimal digits of a big-endian number.
func decimal(b []byte, n int) string {
	digits := new(big.Int).SetBytes(b).String()
	for len(digits) < n {
		digits = "0" + digits
	}
	return digits[len(digits)-n:]
}
