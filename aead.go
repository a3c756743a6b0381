package wechatpay

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
)

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
