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

// The cryptography of the double is its own, on the standard library alone:
// what it shared with the SDK, both could have wrong together.

// processKeys holds the RSA keys of this process by role. Generating one takes
// longer than everything else that a server does at its start, so all servers
// of a process share them.
var processKeys struct {
	sync.Mutex
	byRole map[string]func() *rsa.PrivateKey
}

// processKey returns the key of a role, generated at the first call.
func processKey(role string) *rsa.PrivateKey {
	processKeys.Lock()
	key, ok := processKeys.byRole[role]
	if !ok {
		key = sync.OnceValue(func() *rsa.PrivateKey {
			key, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				panic("wechatpaytest: no RSA key: " + err.Error())
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

// The roles. Merchant and platform keys are numbered, because they are renewed.
func merchantRole(n int) string { return fmt.Sprint("merchant ", n) }
func platformRole(n int) string { return fmt.Sprint("platform ", n) }

const (
	publicKeyRole = "wechatpay"
	forgerRole    = "stranger"
)

// processAPIv3Key is the APIv3 key of this process: 32 characters.
var processAPIv3Key = sync.OnceValue(func() string { return randomText(32) })

// certificateOf makes a self-signed certificate. The serial number is 40
// hexadecimal digits, as WeChat Pay's are.
func newCertificate(key *rsa.PrivateKey, name string, from, to time.Time) *x509.Certificate {
	digest := sha1.Sum(append(key.N.Bytes(), binary.BigEndian.AppendUint64(nil, uint64(from.UnixNano()))...))
	digest[0] = digest[0]&0x3f | 0x40 // positive, and no leading zero
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(digest[:]),
		Subject:      pkix.Name{Organization: []string{"wechatpaytest"}, CommonName: name},
		NotBefore:    from,
		NotAfter:     to,
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic("wechatpaytest: no certificate: " + err.Error())
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic("wechatpaytest: no certificate: " + err.Error())
	}
	return cert
}

func serialOf(cert *x509.Certificate) string { return fmt.Sprintf("%X", cert.SerialNumber) }

// publicKeyID names the WeChat Pay public key of this process: PUB_KEY_ID_ and digits.
var publicKeyID = sync.OnceValue(func() string {
	digest := sha256.Sum256(processKey(publicKeyRole).N.Bytes())
	return "PUB_KEY_ID_01" + decimal(digest[:], 26)
})

// sign makes a WECHATPAY2-SHA256-RSA2048 signature in base64.
func sign(key *rsa.PrivateKey, message string) string {
	digest := sha256.Sum256([]byte(message))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	if err != nil {
		panic("wechatpaytest: no signature: " + err.Error())
	}
	return base64.StdEncoding.EncodeToString(signature)
}

// verifies says whether the signature is the key's over the message.
func verify(key *rsa.PublicKey, message string, signature []byte) bool {
	digest := sha256.Sum256([]byte(message))
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
}

// encrypt is RSAES-OAEP with SHA-1, as payer_phone is encrypted.
func encrypt(key *rsa.PublicKey, text string) (string, error) {
	ciphertext, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, key, []byte(text), nil)
	return base64.StdEncoding.EncodeToString(ciphertext), err
}

func decrypt(key *rsa.PrivateKey, text string) (string, error) {
	ciphertext, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return "", err
	}
	plain, err := rsa.DecryptOAEP(sha1.New(), nil, key, ciphertext, nil)
	return string(plain), err
}

// seal is AEAD_AES_256_GCM in base64, as notifications and certificates are encrypted.
func seal(apiV3Key, nonce, associatedData string, plain []byte) string {
	block, err := aes.NewCipher([]byte(apiV3Key))
	if err != nil {
		panic("wechatpaytest: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("wechatpaytest: " + err.Error())
	}
	return base64.StdEncoding.EncodeToString(aead.Seal(nil, []byte(nonce), plain, []byte(associatedData)))
}

// randomText is n random letters and digits.
func randomText(n int) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(rand.Text())
	}
	return b.String()[:n]
}

// decimal writes bytes as exactly n decimal digits.
func decimal(b []byte, n int) string {
	digits := new(big.Int).SetBytes(b).String()
	for len(digits) < n {
		digits = "0" + digits
	}
	return digits[len(digits)-n:]
}
