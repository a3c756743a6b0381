package wechatpay

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// EchoRequest is what WeChat Pay is to repeat.
type EchoRequest struct {
	EchoMessage string // required
	// EncryptedEchoMessage, at most 214 bytes, is sent encrypted for WeChat
	// Pay: here it is plain text. Empty: none is sent.
	EncryptedEchoMessage string
	// NotifyURL receives a notification: https, no query. Empty: none is sent.
	NotifyURL string
}

// EchoResponse is what WeChat Pay repeated.
type EchoResponse struct {
	EchoMessage string
	// EncryptedEchoMessage came encrypted for the merchant: here it is plain
	// text.
	EncryptedEchoMessage string
}

// echoWire is the body of the request and of the answer.
type echoWire struct {
	EchoMessage          string `json:"echo_message"`
	EncryptedEchoMessage string `json:"encrypted_echo_message,omitempty"`
	NotifyURL            string `json:"notify_url,omitempty"`
}

// Echo asks WeChat Pay to repeat a message. It proves keys, signing and
// verifying, and touches nothing: there is no sandbox. With an
// EncryptedEchoMessage it also proves encryption, both ways.
//
// The page is for service providers, and by another source ordinary merchants
// have the call too: a 403 or a 404 says nothing about the keys.
//
// https://pay.weixin.qq.com/doc/v3/partner/4015139289
func (c *Client) Echo(ctx context.Context, req *EchoRequest) (*EchoResponse, error) {
	const op = "Echo"
	var f faults
	if req == nil {
		f.add("req", "nil")
		return nil, f.err(op)
	}
	if req.EchoMessage == "" {
		f.add("EchoMessage", "empty: it is required")
	}
	f.storable("EchoMessage", req.EchoMessage)
	if req.NotifyURL != "" {
		f.https("NotifyURL", req.NotifyURL)
		f.noQuery("NotifyURL", req.NotifyURL)
	}
	body := echoWire{EchoMessage: req.EchoMessage, NotifyURL: req.NotifyURL}
	serial := c.verifier.serial() // of the key that the message is encrypted with
	switch key := c.verifier.Keys[serial]; {
	case req.EncryptedEchoMessage == "":
	case c.certificates == nil:
		body.EncryptedEchoMessage = encrypt(&f, "EncryptedEchoMessage", req.EncryptedEchoMessage, key)
	case f == nil: // what is refused anyway downloads no certificate first
		newest, err := c.certificates.newest(ctx)
		if err != nil {
			return nil, fmt.Errorf("wechatpay: %s: %w", op, err)
		}
		serial = newest.serialNo
		body.EncryptedEchoMessage = encrypt(&f, "EncryptedEchoMessage", req.EncryptedEchoMessage, newest.key)
	}
	if err := f.err(op); err != nil {
		return nil, err
	}
	var answer echoWire
	err := c.call(ctx, &call{op: op, method: http.MethodPost, path: "/v3/security/echo", body: &body, success: http.StatusOK, out: &answer, serial: serial, retry: retryAlways, remedy: "repeat it: it touches nothing"})
	var refusal *APIError
	if errors.As(err, &refusal) && (refusal.StatusCode == http.StatusForbidden || refusal.StatusCode == http.StatusNotFound) {
		return nil, fmt.Errorf("%w (this call may not be open to this merchant, which says nothing about the keys: the request's signature was accepted, or was not looked at)", err)
	}
	if err != nil {
		return nil, err
	}
	resp := &EchoResponse{EchoMessage: answer.EchoMessage}
	if answer.EncryptedEchoMessage != "" {
		if resp.EncryptedEchoMessage, err = c.Decrypt(answer.EncryptedEchoMessage); err != nil {
			return nil, err
		}
	}
	return resp, nil
}
