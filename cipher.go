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

// encrypt encrypts a field for WeChat Pay: RSA-OAEP with SHA-1, in base64. key is
// the key named in the Wechatpay-Serial header of the request.
func encrypt(f *faults, field, text string, key *rsa.PublicKey) string {
	if key == nil {
		f.add(field, "needs a key to encrypt it: set PublicKey and PublicKeyID")
		return ""
	}
	if limit := key.Size() - 2*sha1.Size - 2; len(text) > limit {
		f.add(field, "has %d bytes, at most %d allowed", len(text), limit)
		return ""
	}
	raw, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, key, []byte(text), nil)
	if err != nil {
		f.add(field, "cannot be encrypted: %v", err)
		return ""
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// aeadAlgorithm is the encryption of notifications and platform certificates:
// AES-256-GCM under the APIv3 key.
const aeadAlgorithm = "AEAD_AES_256_GCM"

const aeadNonceSize = 12 // bytes

// decryptAEAD decrypts AEAD_AES_256_GCM. The ciphertext is in base64, and ends in
// the 16-byte tag. The error contains neither the key nor the text.
func decryptAEAD(apiv3Key string, nonce, associatedData, ciphertextBase64 string) ([]byte, error) {
	if len(apiv3Key) != 32 {
		return nil, fmt.Errorf("APIv3Key must be 32 bytes, got %d", len(apiv3Key))
	}
	if len(nonce) != aeadNonceSize {
		return nil, fmt.Errorf("nonce must be %d bytes, got %d", aeadNonceSize, len(nonce))
	}
	sealed, err := base64.StdEncoding.AppendDecode([]byte(nonce), []byte(ciphertextBase64))
	if err != nil {
		return nil, errors.New("ciphertext is not base64")
	}
	// Neither call fails for a key of 32 bytes. NewGCM would fail in FIPS
	// 140-only mode. This AEAD takes the nonce from the start of the ciphertext.
	block, _ := aes.NewCipher([]byte(apiv3Key))
	aead, _ := cipher.NewGCMWithRandomNonce(block)
	plain, err := aead.Open(nil, nil, sealed, []byte(associatedData))
	if err != nil {
		return nil, errors.New("decryption failed: wrong APIv3Key (API安全 → APIv3密钥), or modified ciphertext")
	}
	return plain, nil
}

// Decrypt decrypts a field that WeChat Pay encrypted for the merchant, such as
// PayerPhone of a complaint: RSA-OAEP with SHA-1 under the public key of the
// merchant API certificate, in base64. The result is personal data. It is empty
// if the ciphertext is: the user left no phone number.
//
// Config.PrivateKey must be a crypto.Decrypter, as *rsa.PrivateKey is. A field
// that was encrypted for an earlier merchant API certificate needs a Client with
// the private key of that certificate. With GODEBUG=fips140=only, which does not
// allow SHA-1, Decrypt fails.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012533436
func (c *Client) Decrypt(ciphertext string) (string, error) {
	const op = "Decrypt"
	if ciphertext == "" {
		return "", nil
	}
	var f faults
	key, ok := c.signer.key.(crypto.Decrypter)
	if !ok {
		f.add("PrivateKey", "must be a crypto.Decrypter, got %T", c.signer.key)
		return "", f.err(op)
	}
	raw, err := base64.StdEncoding.DecodeString(ciphertext)
	if err != nil {
		f.add("ciphertext", "is not base64: %v", err)
		return "", f.err(op)
	}
	plain, err := key.Decrypt(rand.Reader, raw, &rsa.OAEPOptions{Hash: crypto.SHA1, MGFHash: crypto.SHA1})
	if errors.Is(err, rsa.ErrDecryption) {
		return "", fmt.Errorf("wechatpay: %s: not encrypted for merchant certificate %s, or modified: %w",
			op, c.signer.serialNo, err)
	}
	if err != nil { // of an HSM, or in FIPS 140-only mode
		return "", fmt.Errorf("wechatpay: %s: PrivateKey: %w", op, &boundedError{err})
	}
	return string(plain), nil
}
