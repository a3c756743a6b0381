package wechatpay

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers of a signed answer or notification.
const (
	headerTimestamp     = "Wechatpay-Timestamp"
	headerNonce         = "Wechatpay-Nonce"
	headerSignature     = "Wechatpay-Signature"
	headerSerial        = "Wechatpay-Serial"
	headerSignatureType = "Wechatpay-Signature-Type"
	headerRequestID     = "Request-Id"
)

const (
	// maxSkew is how far a timestamp may be from this machine's clock.
	maxSkew = 300 * time.Second

	// probePrefix begins a signature that is wrong on purpose.
	probePrefix = "WECHATPAY/SIGNTEST/"

	publicKeyIDPrefix = "PUB_KEY_ID_"

	// maxBody bounds an answer that is held in memory to be verified. The
	// largest are pages of 50 complaints and of 300 negotiation records.
	maxBody = 16 << 20
)

// Verifier verifies what WeChat Pay signed: answers and notifications. It is
// safe for concurrent use; its fields must not be changed after the first.
type Verifier struct {
	// Keys are WeChat Pay's, by serial number of the platform certificate or
	// by public key id. The key is chosen by the Wechatpay-Serial header of
	// each message, so that both kinds can be held while a merchant switches
	// from certificates to the public key.
	Keys map[string]*rsa.PublicKey
	Time func() time.Time // nil: time.Now

	// certificates are those of a Client; nil: there are no keys but Keys.
	certificates *certificates
}

// Verify checks the signature headers of an answer or a notification against
// its raw body. A 204 has an empty body, and is signed all the same. The
// timestamp must be less than 300 s away from this machine's clock.
//
// The context is for the Verifier of a Client, which downloads platform
// certificates if the message names one that it does not know.
//
// The error is a *VerificationError, and says which of the usual causes it is,
// as far as can be told.
func (v *Verifier) Verify(ctx context.Context, h http.Header, body []byte) error {
	failed := v.check(h, body)
	if failed != nil && failed.Reason == VerificationReasonUnknownSerial && v.certificates != nil && isSerialNumber(failed.SerialNo) {
		if failed.hint, failed.Err = v.certificates.find(ctx, failed.SerialNo); failed.hint == "" {
			failed = v.check(h, body)
		}
	}
	if failed == nil {
		return nil
	}
	return failed
}

// check verifies with the keys that are known; nil means that the message is
// WeChat Pay's.
func (v *Verifier) check(h http.Header, body []byte) *VerificationError {
	serial := h.Get(headerSerial)
	fail := func(reason VerificationReason, skew time.Duration, hint string) *VerificationError {
		return &VerificationError{Reason: reason, SerialNo: serial, Skew: skew, RequestID: h.Get(headerRequestID), hint: hint}
	}
	timestamps, nonces, signatures, serials := h[headerTimestamp], h[headerNonce], h[headerSignature], h[headerSerial]
	if len(timestamps)+len(nonces)+len(signatures)+len(serials) == 0 {
		return fail(VerificationReasonUnsigned, 0, "")
	}
	// Before all else, as a probe need not be well-formed otherwise.
	if len(signatures) > 0 && strings.HasPrefix(signatures[0], probePrefix) {
		return fail(VerificationReasonProbe, 0, "")
	}
	if len(timestamps) != 1 || len(nonces) != 1 || len(signatures) != 1 || len(serials) != 1 {
		return fail(VerificationReasonMalformedHeader, 0, "")
	}
	if kind, ok := h[headerSignatureType]; ok && (len(kind) != 1 || kind[0] != algorithm) {
		return fail(VerificationReasonMalformedHeader, 0, "")
	}
	timestamp, nonce := timestamps[0], nonces[0]
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return fail(VerificationReasonMalformedHeader, 0, "")
	}
	signature, err := base64.StdEncoding.DecodeString(signatures[0])
	if err != nil {
		return fail(VerificationReasonMalformedHeader, 0, "")
	}

	at := now(v.Time)
	skew := at.Sub(time.Unix(seconds, 0))
	if skew <= -maxSkew || skew >= maxSkew {
		return fail(VerificationReasonTimestamp, skew, "")
	}
	key := v.Keys[serial]
	if key == nil && v.certificates != nil {
		if p := v.certificates.lookUp(serial); p != nil && !p.validAt(at) {
			return fail(VerificationReasonCertificateNotValid, skew, "it "+p.validity())
		} else if p != nil {
			key = p.key
		}
	}
	if key == nil || key.N == nil {
		return fail(VerificationReasonUnknownSerial, skew, v.whyUnknown(serial))
	}
	digest := messageDigest(timestamp, nonce, body)
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) != nil {
		return fail(VerificationReasonSignatureMismatch, skew, v.whyMismatch(serial, key, timestamp, nonce, body, signature))
	}
	return nil
}

// messageDigest is what is signed: timestamp, nonce and raw body, each ended by
// \n.
func messageDigest(timestamp, nonce string, body []byte) [sha256.Size]byte {
	var room [512]byte // on the stack, for the usual answer
	message := append(append(append(append(room[:0], timestamp...), '\n'), nonce...), '\n')
	message = append(append(message, body...), '\n')
	return sha256.Sum256(message)
}

// asks gives what a request says in its Wechatpay-Serial header: by which key
// the answer is to be signed. It is one of Keys, or else the newest certificate.
func (v *Verifier) asks(ctx context.Context) (string, error) {
	if serial := v.serial(); serial != "" || v.certificates == nil {
		return serial, nil
	}
	newest, err := v.certificates.newest(ctx)
	if err != nil {
		return "", err
	}
	return newest.serialNo, nil
}

// serial gives the name of the best of Keys, or nothing. The public key comes
// before certificates.
func (v *Verifier) serial() string {
	var best string
	for serial := range v.Keys {
		isPublic, bestIsPublic := strings.HasPrefix(serial, publicKeyIDPrefix), strings.HasPrefix(best, publicKeyIDPrefix)
		if best == "" || isPublic && !bestIsPublic || isPublic == bestIsPublic && serial < best {
			best = serial
		}
	}
	return best
}

// VerifyingTransport is a RoundTripper that verifies every 2xx answer, the
// empty 204 too, before anybody sees it: an answer that does not prove to be
// WeChat Pay's becomes a *VerificationError. Other answers pass through; they
// need no signature, and are errors whoever sent them.
//
// It reads a 2xx answer into memory, 16 MiB at most. It adds the
// Wechatpay-Serial header, which names the key that the answer is to be signed
// with, where the request has none.
//
// It never changes the caller's request. It is safe for concurrent use; its
// fields must not be changed after the first request.
type VerifyingTransport struct {
	Verifier *Verifier
	Base     http.RoundTripper // nil: http.DefaultTransport
}

// RoundTrip hands the request to Base and verifies the answer.
func (t *VerifyingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.Verifier == nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, faults{{"Verifier", "nil"}}.err("VerifyingTransport")
	}
	unsigned := req.Context().Value(unsignedAnswerKey{}) != nil
	if req.Header.Get(headerSerial) == "" && !unsigned {
		serial, err := t.Verifier.asks(req.Context())
		if err != nil {
			if req.Body != nil {
				req.Body.Close()
			}
			return nil, err
		}
		if serial != "" {
			header := req.Header.Clone()
			if header == nil {
				header = make(http.Header, 1)
			}
			header.Set(headerSerial, serial)
			req = req.WithContext(req.Context()) // a shallow copy
			req.Header = header
		}
	}
	resp, err := base(t.Base).RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp == nil {
		return nil, errors.New("the base RoundTripper gave neither an answer nor an error")
	}
	if resp.Body == nil { // as a mock may leave it
		resp.Body = http.NoBody
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 || unsigned {
		return resp, nil
	}
	defer resp.Body.Close()
	body, err := readBody(resp, maxBody)
	if err != nil {
		return nil, err
	}
	if err := t.Verifier.Verify(req.Context(), resp.Header, body); err != nil {
		if v, ok := err.(*VerificationError); ok {
			v.StatusCode = resp.StatusCode
		}
		return nil, err
	}
	resp.Body, resp.ContentLength = http.NoBody, int64(len(body))
	if len(body) > 0 {
		resp.Body = &verifiedBody{Reader: bytes.NewReader(body), content: body}
	}
	return resp, nil
}

// verifiedBody is an answer that is in memory already. readBody takes it out in
// one piece.
type verifiedBody struct {
	*bytes.Reader
	content []byte
}

func (*verifiedBody) Close() error { return nil }

// unsignedAnswerKey marks, in a context, the two calls whose answers the
// transport does not verify: the download of an image, which WeChat Pay does not
// sign, and that of certificates, whose answer is verified by what is in it.
type unsignedAnswerKey struct{}

// CloseIdleConnections closes those of Base.
func (t *VerifyingTransport) CloseIdleConnections() { closeIdleConnections(t.Base) }

// readBounded reads up to a limit in bytes, and nothing of what says beforehand
// that it is longer.
func readBounded(r io.Reader, length, limit int64) (body []byte, tooLarge bool, err error) {
	if length > limit {
		return nil, true, nil
	}
	body, err = io.ReadAll(io.LimitReader(r, limit+1))
	return body, int64(len(body)) > limit, err
}

// readBody reads an answer up to a limit in bytes. A longer one is a
// *VerificationError, since what was not read cannot be verified.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	if verified, ok := resp.Body.(*verifiedBody); ok {
		return verified.content, nil
	}
	if resp.Body == http.NoBody {
		return nil, nil
	}
	body, tooLarge, err := readBounded(resp.Body, resp.ContentLength, limit)
	if tooLarge {
		return nil, &VerificationError{
			Reason:     VerificationReasonBodyTooLarge,
			SerialNo:   resp.Header.Get(headerSerial),
			StatusCode: resp.StatusCode,
			RequestID:  resp.Header.Get(headerRequestID),
		}
	}
	if err != nil {
		return nil, fmt.Errorf("reading the %d answer: %w", resp.StatusCode, err)
	}
	return body, nil
}
