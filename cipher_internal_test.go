package wechatpay

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The ciphertexts are made by Python's cryptography package: testdata/certificates/make.py.
func TestDecryptAEAD(t *testing.T) {
	const key, nonce = "0123456789abcdef0123456789ABCDEF", "fdasflkja484"
	read := func(name string) string {
		content, err := os.ReadFile("testdata/certificates/" + name)
		require.NoError(t, err)
		return string(content)
	}
	text, bare := read("text.aead"), read("bare.aead")
	for name, tt := range map[string]struct{ associatedData, ciphertext string }{
		"associated data":    {"complaint", text},
		"no associated data": {"", bare},
	} {
		plain, err := decryptAEAD(key, nonce, tt.associatedData, tt.ciphertext)
		require.NoError(t, err, name)
		require.Equal(t, "投诉 complaint", string(plain), name)
	}

	flip := func(i int) string {
		other := []byte(text)
		other[i]++
		return string(other)
	}
	const failed = "decryption failed: wrong APIv3Key (API安全 → APIv3密钥), or modified ciphertext"
	for _, tt := range []struct{ name, key, nonce, associatedData, ciphertext, want string }{
		{"short key", key[:31], nonce, "complaint", text, "APIv3Key must be 32 bytes, got 31"},
		{"other key", strings.ToUpper(key), nonce, "complaint", text, failed},
		{"short nonce", key, nonce[:11], "complaint", text, "nonce must be 12 bytes, got 11"},
		{"no nonce", key, "", "complaint", text, "nonce must be 12 bytes, got 0"},
		{"other nonce", key, "fdasflkja485", "complaint", text, failed},
		{"other associated data", key, nonce, "complain", text, failed},
		{"missing associated data", key, nonce, "", text, failed},
		{"unexpected associated data", key, nonce, "complaint", bare, failed},
		{"modified ciphertext", key, nonce, "complaint", flip(2), failed},
		{"modified tag", key, nonce, "complaint", flip(40), failed},
		{"cut", key, nonce, "complaint", text[:40], failed},
		{"shorter than a tag", key, nonce, "complaint", "AAAA", failed},
		{"empty", key, nonce, "complaint", "", failed},
		{"not base64", key, nonce, "complaint", "*", "ciphertext is not base64"},
	} {
		plain, err := decryptAEAD(tt.key, tt.nonce, tt.associatedData, tt.ciphertext)
		require.EqualError(t, err, tt.want, tt.name)
		require.Nil(t, plain, tt.name)
	}
}
