package wechatpay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// A downloadError is why certificates could not be downloaded. A 404 in it would
// pass for a missing complaint.
type downloadError struct{ *otherError }

func (e *downloadError) Error() string {
	text := e.err.Error()
	var refusal *APIError
	if errors.As(e.err, &refusal) && refusal.StatusCode == http.StatusNotFound {
		text += " (a merchant that has only the WeChat Pay public key has no platform certificates: set PublicKey and PublicKeyID, which are in the merchant platform under API安全 → 微信支付公钥)"
	}
	return text
}

const downloadOp = "certificates"

// downloadCertificates is a read like any other, repeated within the policy and
// on the backup host, but for how its answer is verified.
func (c *Client) downloadCertificates(ctx context.Context) ([]*platformCertificate, error) {
	known, serialNo := c.verifier.certificates.known(), c.verifier.serial()
	if best := newestOf(known, now(c.time)); best != nil && serialNo == "" {
		serialNo = best.serialNo
	}
	var listed []*platformCertificate
	// The first request names no key: none is known yet.
	request := &call{
		op:      downloadOp,
		method:  http.MethodGet,
		path:    certificatesPath,
		success: http.StatusOK,
		serial:  serialNo,
	}
	request.out = responseReader(func(x *exchange, h http.Header, body []byte) *failure {
		opened, openErr := openCertificates(*c.apiv3Key, body)
		verifier := Verifier{Keys: c.verifier.Keys, Time: c.verifier.Time, certificates: &certificates{byHand: opened, listed: known}}
		unproved := verifier.check(h, body)
		if unproved != nil {
			unproved.StatusCode = http.StatusOK
			// A merchant that switches over may be answered under the public
			// key, until the request asks for a certificate.
			if best := newestOf(opened, now(c.time)); best != nil && unproved.Reason == VerificationReasonUnknownSerial {
				x.serial = best.serialNo
			}
			// Without the certificates their signature cannot be judged.
			if openErr == nil || unproved.Reason != VerificationReasonUnknownSerial && unproved.Reason != VerificationReasonSignatureMismatch {
				return &failure{class: inDoubt, err: unproved}
			}
		}
		if openErr != nil {
			return &failure{class: inDoubt, final: true, err: openErr}
		}
		listed = opened
		return nil
	})
	err := c.exchange(context.WithValue(ctx, unsignedAnswerKey{}, true), request)
	return listed, err
}

// certificateList is the answer of GET /v3/certificates. Its effective_time and
// expire_time are not read: the certificate has both.
type certificateList struct {
	Data []struct {
		SerialNo           string `json:"serial_no"`
		EncryptCertificate struct {
			Algorithm      string `json:"algorithm"`
			Nonce          string `json:"nonce"`
			AssociatedData string `json:"associated_data"`
			Ciphertext     string `json:"ciphertext"`
		} `json:"encrypt_certificate"`
	} `json:"data"`
}

// openCertificates decrypts the certificates of an answer that is not verified
// yet. One of a kind that this package does not know is left out; one that
// cannot be decrypted, or is not the one that it is called, spoils the answer.
func openCertificates(apiv3Key string, body []byte) ([]*platformCertificate, error) {
	var list certificateList
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("the answer of GET %s cannot be decoded: %w", certificatesPath, err)
	}
	var opened []*platformCertificate
	leftOut := "it lists none"
	for _, entry := range list.Data {
		name, text := oneLine(entry.SerialNo), entry.EncryptCertificate
		if text.Algorithm != aeadAlgorithm {
			leftOut = fmt.Sprintf("%q is encrypted with %q", name, oneLine(text.Algorithm))
			continue
		}
		plain, err := decryptAEAD(apiv3Key, text.Nonce, text.AssociatedData, text.Ciphertext)
		if err != nil {
			return nil, fmt.Errorf("the platform certificate %q: %w", name, err)
		}
		// The key encrypts notifications too: nothing is looked for within
		// another text.
		if !bytes.HasPrefix(bytes.TrimSpace(plain), []byte("-----BEGIN")) {
			leftOut = fmt.Sprintf("%q is no certificate", name)
			continue
		}
		certificate, err := ParseCertificate(plain)
		if err != nil {
			leftOut = fmt.Sprintf("%q: %s", name, oneLine(err.Error()))
			continue
		}
		if !sameSerial(entry.SerialNo, serialNumber(certificate)) {
			return nil, fmt.Errorf("the platform certificate that is called %q has the serial number %s", name, serialNumber(certificate))
		}
		key, problem := usableKey(certificate.PublicKey)
		if problem != "" {
			leftOut = fmt.Sprintf("the key of %q is %s", name, problem)
			continue
		}
		opened = append(opened, newPlatformCertificate(entry.SerialNo, certificate, key))
	}
	if len(opened) == 0 {
		return nil, fmt.Errorf("the answer of GET %s has no certificate that can be used: %s", certificatesPath, leftOut)
	}
	return opened, nil
}
