package wechatpay

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// EchoRequest is the request of Echo.
type EchoRequest struct {
	EchoMessage string // required
	// EncryptedEchoMessage is plain text of at most 214 bytes, which Echo
	// encrypts for WeChat Pay. Empty means none.
	EncryptedEchoMessage string
	// NotifyURL is an https URL without a query that receives a notification.
	// Empty means none.
	NotifyURL string
}

// EchoResponse is the response of Echo.
type EchoResponse struct {
	EchoMessage string
	// EncryptedEchoMessage is plain text: Echo decrypts it.
	EncryptedEchoMessage string
}

// echoWire is the JSON of the request and of the response.
type echoWire struct {
	EchoMessage          string `json:"echo_message"`
	EncryptedEchoMessage string `json:"encrypted_echo_message,omitempty"`
	NotifyURL            string `json:"notify_url,omitempty"`
}

// Echo makes WeChat Pay return a message. It checks keys, signing and verifying
// without a side effect. With an EncryptedEchoMessage it also checks encryption
// in both directions.
//
// The official page is for service providers only. Other merchants may get a 403
// or a 404, which does not mean that the keys are wrong.
//
// https://pay.weixin.qq.com/doc/v3/partner/4015139289
func (c *Client) Echo(ctx context.Context, req *EchoRequest) (*EchoResponse, error) {
	const op = "Echo"
	if req == nil {
		req = new(EchoRequest)
	}
	var f faults
	if req.EchoMessage == "" {
		f.add("EchoMessage", "is required")
	}
	f.storable("EchoMessage", req.EchoMessage)
	if req.NotifyURL != "" {
		f.https("NotifyURL", req.NotifyURL)
		f.noQuery("NotifyURL", req.NotifyURL)
	}
	encrypted, serialNo, err := c.encryptEcho(ctx, &f, req.EncryptedEchoMessage)
	if err != nil {
		return nil, fmt.Errorf("wechatpay: %s: %w", op, err)
	}
	if err := f.err(op); err != nil {
		return nil, err
	}
	var echoed echoWire
	err = c.call(ctx, &call{
		op:      op,
		method:  http.MethodPost,
		path:    "/v3/security/echo",
		body:    &echoWire{EchoMessage: req.EchoMessage, EncryptedEchoMessage: encrypted, NotifyURL: req.NotifyURL},
		success: http.StatusOK,
		out: decoded(&echoed, func() error {
			return mustRepeat("echo_message", echoed.EchoMessage, req.EchoMessage)
		}),
		serial: serialNo,
		retry:  retryAlways,
		remedy: "retry it: it has no side effect",
	})
	var api *APIError
	if errors.As(err, &api) && (api.StatusCode == http.StatusForbidden || api.StatusCode == http.StatusNotFound) {
		return nil, fmt.Errorf("%w (the merchant may lack access to Echo: this says nothing about the keys)", err)
	}
	if err != nil {
		return nil, err
	}
	resp := &EchoResponse{EchoMessage: echoed.EchoMessage}
	if echoed.EncryptedEchoMessage != "" {
		if resp.EncryptedEchoMessage, err = c.Decrypt(echoed.EncryptedEchoMessage); err != nil {
			return nil, err
		}
	}
	return resp, nil
}

// encryptEcho encrypts a message for WeChat Pay. It returns the Wechatpay-Serial
// of the key. An invalid request does not download a platform certificate.
func (c *Client) encryptEcho(ctx context.Context, f *faults, message string) (ciphertext, serialNo string, err error) {
	if message == "" || len(*f) > 0 && len(c.verifier.Keys) == 0 {
		return "", "", nil
	}
	serialNo, key, err := c.verifier.requestKey(ctx)
	if err != nil {
		return "", "", err
	}
	return encrypt(f, "EncryptedEchoMessage", message, key), serialNo, nil
}
