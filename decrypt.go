package wechatpay

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // OAEP's digest, by WeChat Pay's choice
	"encoding/base64"
	"fmt"
)

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
