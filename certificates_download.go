package wechatpay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// GET /v3/certificates lists the platform certificates, encrypted with
// AES-256-GCM under the APIv3 key. They are trusted because only the merchant and
// WeChat Pay know that key. The response is also signed, by a certificate known
// before or by one from the list: this proves that the list is complete and
// less than 300 s old.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012551764
const certificatesPath = "/v3/certificates"

// A downloadError reports that the certificates could not be downloaded. It hides
// the *APIError of the download from errors.As: a 404, for example, would be
// mistaken for a missing complaint.
type downloadError struct{ *otherError }

func (e *downloadError) Error() string {
	text := e.err.Error()
	var apiErr *APIError
	if errors.As(e.err, &apiErr) && apiErr.StatusCode == http.StatusNotFound {
		text += " (no platform certificates: set PublicKey and PublicKeyID)"
	}
	return text
}

// maxCertificateList bounds the response. A certificate takes about 3 KiB.
const maxCertificateList = 1 << 20

// downloadCertificates downloads the certificates. It retries and fails over
// like any other GET.
func (c *Client) downloadCertificates(ctx context.Context) ([]*platformCertificate, error) {
	known := c.verifier.certificates.known()
	// The first request of a Client without any key has no Wechatpay-Serial.
	serialNo := c.verifier.serial()
	if best := newestValid(known, now(c.time)); best != nil && serialNo == "" {
		serialNo = best.serialNo
	}
	var listed []*platformCertificate
	read := func(x *exchange, resp *http.Response, body []byte) *failure {
		opened, openErr := openCertificates(*c.apiv3Key, body)
		verifier := Verifier{
			Keys:         c.verifier.Keys,
			Time:         c.verifier.Time,
			certificates: &certificates{configured: opened, listed: known},
		}
		unverified := verifier.check(resp.Header, body)
		if unverified != nil && (openErr == nil || !mayNeedCertificate(unverified.Reason)) {
			unverified.StatusCode = http.StatusOK
			// During a switch to the public key WeChat Pay signs with it, unless
			// the request names a certificate. The retry does.
			best := newestValid(opened, now(c.time))
			if best != nil && unverified.Reason == VerificationReasonUnknownSerial {
				x.serial = best.serialNo
			}
			return &failure{class: inDoubt, err: unverified}
		}
		if unverified == nil && !c.replays.accept(resp.Header) {
			return &failure{class: inDoubt, err: replayed(resp)}
		}
		if openErr != nil {
			return &failure{class: inDoubt, final: true, err: openErr}
		}
		listed = opened
		return nil
	}
	err := c.exchange(ctx, &call{
		op:      "certificates",
		method:  http.MethodGet,
		path:    certificatesPath,
		success: http.StatusOK,
		out:     responseReader(read),
		serial:  serialNo,
	})
	return listed, err
}

// mayNeedCertificate reports whether a verification may have failed only because
// the certificates of the response could not be opened.
func mayNeedCertificate(reason VerificationReason) bool {
	return reason == VerificationReasonUnknownSerial || reason == VerificationReasonSignatureMismatch
}

// certificateList is the response of GET /v3/certificates. effective_time and
// expire_time are left out, because the certificate has both.
type certificateList struct {
	Data []certificateEntry `json:"data" wire:"strict"`
}

type certificateEntry struct {
	SerialNo           string `json:"serial_no" wire:"strict"`
	EncryptCertificate struct {
		Algorithm      string `json:"algorithm" wire:"strict"`
		Nonce          string `json:"nonce" wire:"strict"`
		AssociatedData string `json:"associated_data" wire:"strict"`
		Ciphertext     string `json:"ciphertext" wire:"strict"`
	} `json:"encrypt_certificate" wire:"strict"`
}

// openCertificates decrypts the certificates of a response that is not verified
// yet. It skips entries of an unknown kind.
func openCertificates(apiv3Key string, body []byte) ([]*platformCertificate, error) {
	var list certificateList
	if err := unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("GET %s: decoding the response: %w", certificatesPath, err)
	}
	var opened []*platformCertificate
	skipped := "the list is empty"
	for _, entry := range list.Data {
		p, problem, err := entry.open(apiv3Key)
		name := oneLine(entry.SerialNo)
		switch {
		case err != nil:
			return nil, fmt.Errorf("GET %s: platform certificate %q: %w", certificatesPath, name, err)
		case p == nil:
			skipped = fmt.Sprintf("%q: %s", name, problem)
		default:
			opened = append(opened, p)
		}
	}
	if len(opened) == 0 {
		return nil, fmt.Errorf("GET %s: no usable certificate: %s", certificatesPath, skipped)
	}
	return opened, nil
}

// open decrypts one certificate. It returns a problem for an entry of an unknown
// kind. It returns an error for one that cannot be decrypted or has another
// serial number, which makes the whole response invalid.
func (entry *certificateEntry) open(apiv3Key string) (p *platformCertificate, problem string, err error) {
	text := &entry.EncryptCertificate
	if text.Algorithm != aeadAlgorithm {
		return nil, fmt.Sprintf("algorithm %q is not supported", oneLine(text.Algorithm)), nil
	}
	plain, err := decryptAEAD(apiv3Key, text.Nonce, text.AssociatedData, text.Ciphertext)
	if err != nil {
		return nil, "", err
	}
	// Notifications are encrypted under the same key. A certificate inside their
	// text does not count.
	if !bytes.HasPrefix(bytes.TrimSpace(plain), []byte("-----BEGIN")) {
		return nil, "not a certificate", nil
	}
	certificate, err := ParseCertificate(plain)
	if err != nil {
		return nil, oneLine(strings.TrimPrefix(err.Error(), "wechatpay: ")), nil
	}
	if serialNo := serialNumber(certificate); !sameSerial(entry.SerialNo, serialNo) {
		return nil, "", fmt.Errorf("its serial number is %s", serialNo)
	}
	key, problem := usableKey(certificate.PublicKey)
	if problem != "" {
		return nil, "its key is " + problem, nil
	}
	return newPlatformCertificate(entry.SerialNo, certificate, key), "", nil
}
