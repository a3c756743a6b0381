package wechatpay

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	_ "crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
)

// encrypt makes a field that only WeChat Pay can read: base64 of RSA-OAEP with
// SHA-1, under the key that the Wechatpay-Serial header names.
func encrypt(f *faults, field, text string, key *rsa.PublicKey) string {
	if key == nil {
		f.add(field, "cannot be encrypted without WeChat Pay's key: set PublicKey and PublicKeyID")
		return ""
	}
	if most := key.Size() - 2*sha1.Size - 2; len(text) > most {
		f.add(field, "%d bytes, at most %d are allowed", len(text), most)
		return ""
	}
	raw, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, key, []byte(text), nil)
	if err != nil {
		f.add(field, "cannot be encrypted: %v", err)
		return ""
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// aeadAlgorithm is what notifications and platform certificates are encrypted
// with: AES-256-GCM under the APIv3 key.
const aeadAlgorithm = "AEAD_AES_256_GCM"

// aeadNonceSize is in bytes; an AES-GCM nonce of another length is another
// algorithm.
const aeadNonceSize = 12

// decryptAEAD opens an AEAD_AES_256_GCM text in base64, which ends in the
// 16-byte tag. The key is the 32 bytes of the APIv3 key as they stand.
// associatedData may be empty. The error shows no key and no text.
func decryptAEAD(apiv3Key string, nonce, associatedData, ciphertextBase64 string) ([]byte, error) {
	if len(apiv3Key) != 32 {
		return nil, fmt.Errorf("APIv3Key has %d bytes, and 32 are required", len(apiv3Key))
	}
	if len(nonce) != aeadNonceSize {
		return nil, fmt.Errorf("a nonce of %d bytes, and %s has %d", len(nonce), aeadAlgorithm, aeadNonceSize)
	}
	ciphertext, err := base64.StdEncoding.DecodeString(ciphertextBase64)
	if err != nil {
		return nil, errors.New("the ciphertext is not base64")
	}
	// Neither fails for a key of 32 bytes.
	block, _ := aes.NewCipher([]byte(apiv3Key))
	aead, _ := cipher.NewGCM(block)
	plain, err := aead.Open(nil, []byte(nonce), ciphertext, []byte(associatedData))
	if err != nil {
		return nil, errors.New("cannot be decrypted with APIv3Key: that is not the merchant's APIv3 key, or the text was changed; compare it with the merchant platform under API安全 → APIv3密钥")
	}
	return plain, nil
}

// Decrypt reads a field that WeChat Pay encrypted for the merchant, such as a
// complaint's PayerPhone: base64 of RSA-OAEP with SHA-1, under the public key of
// the merchant API certificate. The plain text is personal data.
//
// Config.PrivateKey must be able to decrypt: an *rsa.PrivateKey is, another
// signer if it is a crypto.Decrypter. A field that was encrypted before the
// merchant API certificate changed needs a Client with the key of that time.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012533436
func (c *Client) Decrypt(ciphertext string) (string, error) {
	key, ok := c.signer.key.(crypto.Decrypter)
	if !ok {
		return "", faults{{"PrivateKey", fmt.Sprintf("%T can sign, but is no crypto.Decrypter", c.signer.key)}}.err("Decrypt")
	}
	raw, err := base64.StdEncoding.DecodeString(ciphertext)
	if err != nil {
		return "", faults{{"ciphertext", "not base64: " + err.Error()}}.err("Decrypt")
	}
	plain, err := key.Decrypt(rand.Reader, raw, &rsa.OAEPOptions{Hash: crypto.SHA1, MGFHash: crypto.SHA1})
	if err != nil {
		return "", fmt.Errorf("wechatpay: Decrypt: the key does not fit, or the text is damaged: it was encrypted for a merchant API certificate, and serial number %s is used here: %w", c.signer.serial, err)
	}
	return string(plain), nil
}
