package wechatpaytest

// POST /v3/security/echo, the self-test

type echoBody struct {
	EchoMessage          string  `json:"echo_message" check:"required"`
	EncryptedEchoMessage *string `json:"encrypted_echo_message"`
	NotifyURL            *string `json:"notify_url" check:"form=callback"`

	plain string // of EncryptedEchoMessage
}

func (b *echoBody) check(c *call) *apiError {
	serial := c.r.Header.Get("Wechatpay-Serial")
	key := c.s.privateKeyOf(serial)
	if key == nil {
		issue := "is required"
		if serial != "" {
			issue = "is not a key of this server"
		}
		return paramError(inHeader, &invalidParam{field: "Wechatpay-Serial", value: serial, issue: issue})
	}
	if b.EncryptedEchoMessage != nil {
		var err error
		if b.plain, err = decrypt(key, *b.EncryptedEchoMessage); err != nil {
			return bodyError("/encrypted_echo_message", *b.EncryptedEchoMessage,
				"cannot be decrypted with the private key of %s: %v", serial, err)
		}
	}
	return nil
}

func (c *call) echo(b *echoBody) (any, *apiError) {
	c.noEffect = true
	out := struct {
		EchoMessage          string `json:"echo_message"`
		EncryptedEchoMessage string `json:"encrypted_echo_message,omitempty"`
	}{EchoMessage: b.EchoMessage}
	if b.EncryptedEchoMessage != nil {
		ciphertext, err := encrypt(&c.cert.key.PublicKey, b.plain)
		if err != nil {
			return nil, bodyError("/encrypted_echo_message", nil, "is too long to encrypt: %v", err)
		}
		out.EncryptedEchoMessage = ciphertext
	}
	return out, nil
}
