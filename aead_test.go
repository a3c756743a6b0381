package wechatpay

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The texts are made by Python's cryptography package: testdata/certificates/make.py.
func TestDecryptAEAD(t *testing.T) {
	const key, nonce = "0123456789abcdef0123456789ABCDEF", "fdasflkja484"
	read := func(name string) string {
		content, err := os.ReadFile("testdata/certificates/" + name)
		require.NoError(t, err)
		return string(content)
	}
	text, bare := read("text.aead"), read("bare.aead")
	for name, tt := range map[string]struct{ associatedData, ciphertext string }{
		"with associated data": {"complaint", text},
		"without":              {"", bare},
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
	for _, tt := range []struct{ name, key, nonce, associatedData, ciphertext, problem string }{
		{"short key", key[:31], nonce, "complaint", text, "APIv3Key has 31 bytes, and 32 are required"},
		{"other key", strings.ToUpper(key), nonce, "complaint", text, "cannot be decrypted with APIv3Key"},
		{"short nonce", key, nonce[:11], "complaint", text, "a nonce of 11 bytes"},
		{"no nonce", key, "", "complaint", text, "a nonce of 0 bytes"},
		{"other nonce", key, "fdasflkja485", "complaint", text, "cannot be decrypted"},
		{"other associated data", key, nonce, "complain", text, "cannot be decrypted"},
		{"no associated data", key, nonce, "", text, "cannot be decrypted"},
		{"associated data where there is none", key, nonce, "complaint", bare, "cannot be decrypted"},
		{"changed text", key, nonce, "complaint", flip(2), "cannot be decrypted"},
		{"changed tag", key, nonce, "complaint", flip(40), "cannot be decrypted"},
		{"cut", key, nonce, "complaint", text[:40], "cannot be decrypted"},
		{"shorter than a tag", key, nonce, "complaint", "AAAA", "cannot be decrypted"},
		{"empty", key, nonce, "complaint", "", "cannot be decrypted"},
		{"not base64", key, nonce, "complaint", "*", "the ciphertext is not base64"},
	} {
		plain, err := decryptAEAD(tt.key, tt.nonce, tt.associatedData, tt.ciphertext)
		require.ErrorContains(t, err, tt.problem, tt.name)
		require.Nil(t, plain, tt.name)
		require.NotContains(t, err.Error(), tt.key, tt.name)
	}
}
