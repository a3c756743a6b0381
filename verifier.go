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

// Headers of a signed response or notification.
const (
	headerTimestamp     = "Wechatpay-Timestamp"
	headerNonce         = "Wechatpay-Nonce"
	headerSignature     = "Wechatpay-Signature"
	headerSerial        = "Wechatpay-Serial"
	headerSignatureType = "Wechatpay-Signature-Type"
	headerRequestID     = "Request-Id"
)

const (
	// maxSkew is the limit for the difference between Wechatpay-Timestamp and
	// the local clock.
	maxSkew = 300 * time.Second

	// probePrefix is the prefix of the invalid signatures by which WeChat Pay
	// checks that clients verify.
	probePrefix = "WECHATPAY/SIGNTEST/"

	publicKeyIDPrefix = "PUB_KEY_ID_"

	// maxBody is the size limit of a response body, in bytes. The largest
	// responses are pages of 50 complaints and of 300 negotiation records.
	maxBody = 16 << 20
)

// Verifier verifies the signatures of responses and notifications. It is safe
// for concurrent use. Its fields must not be changed after the first use.
type Verifier struct {
	// Keys are WeChat Pay's public keys, by public key ID or by serial number of
	// the platform certificate. The Wechatpay-Serial header of each response or
	// notification selects the key. A merchant that switches from certificates
	// to the public key needs both kinds.
	Keys map[string]*rsa.PublicKey
	Time func() time.Time // nil means time.Now

	// certificates are the platform certificates of a Client. nil means that
	// there are no keys other than Keys.
	certificates *certificates

	// keysOnly makes requestKey ignore certificates. It is set for a Client that
	// does not verify responses, but does verify notifications.
	keysOnly bool
}

// Verify checks the signature headers of a response or a notification against
// its raw body. The body of a 204 response is empty, but signed. The timestamp
// must be less than 300 s away from the local clock.
//
// ctx is used by the Verifier of a Client only, which downloads the platform
// certificates if it does not know the serial number.
//
// The error is a *VerificationError.
func (v *Verifier) Verify(ctx context.Context, h http.Header, body []byte) error {
	failed := v.check(h, body)
	if failed != nil && failed.Reason == VerificationReasonUnknownSerial &&
		v.certificates != nil && isSerialNumber(failed.SerialNo) {
		failed.hint, failed.Err = v.certificates.find(ctx, failed.SerialNo)
		if failed.hint == "" {
			failed = v.check(h, body)
		}
	}
	if failed == nil {
		return nil // not a nil *VerificationError in a non-nil error
	}
	return failed
}

// check verifies the signature with the keys that are known already.
func (v *Verifier) check(h http.Header, body []byte) *VerificationError {
	s, reason := parseSignature(h)
	var skew time.Duration
	fail := func(reason VerificationReason, hint string) *VerificationError {
		return &VerificationError{
			Reason:    reason,
			SerialNo:  boundedHeader(h, headerSerial),
			Skew:      skew,
			RequestID: boundedHeader(h, headerRequestID),
			hint:      hint,
		}
	}
	if reason != "" {
		return fail(reason, headerHint(h))
	}
	at := now(v.Time)
	skew = at.Sub(time.Unix(s.seconds, 0))
	if skew <= -maxSkew || skew >= maxSkew {
		return fail(VerificationReasonTimestamp, "")
	}
	key := v.Keys[s.serialNo]
	if key == nil && v.certificates != nil {
		if p := v.certificates.lookup(s.serialNo); p != nil {
			if !p.validAt(at) {
				return fail(VerificationReasonCertificateNotValid, p.validity())
			}
			key = p.key
		}
	}
	if key == nil || key.N == nil {
		return fail(VerificationReasonUnknownSerial, v.unknownSerialHint(s.serialNo))
	}
	digest := s.digest(body)
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], s.signature) != nil {
		return fail(VerificationReasonSignatureMismatch, v.mismatchHint(key, &s, h, body))
	}
	return nil
}

// A messageSignature is the content of the signature headers.
type messageSignature struct {
	timestamp string // as received, because it is part of the string to sign
	seconds   int64  // timestamp as a Unix time
	nonce     string
	serialNo  string // or the public key ID
	signature []byte
}

// parseSignature reads the signature headers. The reason is empty on success.
func parseSignature(h http.Header) (s messageSignature, reason VerificationReason) {
	s.serialNo = h.Get(headerSerial)
	timestamps, nonces, signatures, serials := h[headerTimestamp], h[headerNonce], h[headerSignature], h[headerSerial]
	if len(timestamps)+len(nonces)+len(signatures)+len(serials) == 0 {
		return s, VerificationReasonUnsigned
	}
	// First, because the other headers of a probe may be malformed.
	if len(signatures) > 0 && strings.HasPrefix(signatures[0], probePrefix) {
		return s, VerificationReasonProbe
	}
	if len(timestamps) != 1 || len(nonces) != 1 || len(signatures) != 1 || len(serials) != 1 {
		return s, VerificationReasonMalformedHeader
	}
	if kind, ok := h[headerSignatureType]; ok && (len(kind) != 1 || kind[0] != algorithm) {
		return s, VerificationReasonMalformedHeader
	}
	s.timestamp, s.nonce = timestamps[0], nonces[0]
	var err error
	if s.seconds, err = strconv.ParseInt(s.timestamp, 10, 64); err != nil {
		return s, VerificationReasonMalformedHeader
	}
	if s.signature, err = base64.StdEncoding.DecodeString(signatures[0]); err != nil {
		return s, VerificationReasonMalformedHeader
	}
	return s, ""
}

// digest returns the SHA-256 digest of the string to sign: timestamp, nonce and
// raw body, each ending in \n.
func (s *messageSignature) digest(body []byte) [sha256.Size]byte {
	var buf [512]byte // avoids an allocation for small bodies
	text := append(append(append(append(buf[:0], s.timestamp...), '\n'), s.nonce...), '\n')
	text = append(append(text, body...), '\n')
	return sha256.Sum256(text)
}

// requestKey returns the key that a request names in its Wechatpay-Serial
// header, and the value of that header. WeChat Pay signs the response with that
// key. It is the preferred one of Keys, or else the newest valid platform
// certificate, which is downloaded if none is known. Without any key the serial
// number is empty, and no header must be sent.
func (v *Verifier) requestKey(ctx context.Context) (serialNo string, key *rsa.PublicKey, err error) {
	serialNo = v.serial()
	if serialNo != "" || v.certificates == nil || v.keysOnly {
		return serialNo, v.Keys[serialNo], nil
	}
	newest, err := v.certificates.newest(ctx)
	if err != nil {
		return "", nil, err
	}
	return newest.serialNo, newest.key, nil
}

// serial returns the name of the preferred key of Keys, or "" if there are none.
// Public keys are preferred to certificates.
func (v *Verifier) serial() string {
	var best string
	for name := range v.Keys {
		isPublic, bestIsPublic := strings.HasPrefix(name, publicKeyIDPrefix), strings.HasPrefix(best, publicKeyIDPrefix)
		if best == "" || isPublic && !bestIsPublic || isPublic == bestIsPublic && name < best {
			best = name
		}
	}
	return best
}

// VerifyingTransport is an http.RoundTripper that verifies the signature of
// every 2xx response, including a 204, before it returns the response. If the
// verification fails, it returns a *VerificationError. Other responses are not
// verified: they are errors, and need not be signed.
//
// A 2xx response is read into memory, up to 16 MiB. A response that a proxy
// compressed with gzip is decompressed first. If the request has no
// Wechatpay-Serial header, VerifyingTransport sets it to the public key ID or
// the certificate serial number that WeChat Pay is to sign the response with.
//
// The caller's request is not modified. A VerifyingTransport is safe for
// concurrent use. Its fields must not be changed after the first request.
type VerifyingTransport struct {
	Verifier *Verifier
	Base     http.RoundTripper // nil means http.DefaultTransport

	replays *replayGuard // of a Client; nil: replays are not detected
}

// RoundTrip sends the request through Base and verifies the response.
func (t *VerifyingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.Verifier == nil {
		closeBody(req)
		return nil, faults{{"Verifier", "is required"}}.err("VerifyingTransport")
	}
	named, err := t.nameKey(req)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	resp, err := base(t.Base).RoundTrip(named)
	if err != nil {
		return nil, err
	}
	if resp == nil {
		return nil, errors.New("the base RoundTripper returned no response and no error")
	}
	if resp.Body == nil { // some test transports leave it nil
		resp.Body = http.NoBody
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		resp.Body.Close()
		return nil, errSwitchingProtocols
	}
	decompress(resp)
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return resp, nil
	}
	return t.verify(req.Context(), resp)
}

// nameKey returns the request with a Wechatpay-Serial header. It does not modify
// req.
func (t *VerifyingTransport) nameKey(req *http.Request) (*http.Request, error) {
	if req.Header.Get(headerSerial) != "" {
		return req, nil
	}
	serialNo, _, err := t.Verifier.requestKey(req.Context())
	if err != nil || serialNo == "" {
		return req, err
	}
	named := req.WithContext(req.Context()) // a shallow copy
	named.Header = req.Header.Clone()
	if named.Header == nil {
		named.Header = make(http.Header, 1)
	}
	named.Header.Set(headerSerial, serialNo)
	return named, nil
}

// verify reads the body of a 2xx response and verifies its signature.
func (t *VerifyingTransport) verify(ctx context.Context, resp *http.Response) (*http.Response, error) {
	defer resp.Body.Close()
	body, err := readBody(resp, maxBody)
	if err != nil {
		return nil, err
	}
	if err := t.Verifier.Verify(ctx, resp.Header, body); err != nil {
		var failed *VerificationError
		if errors.As(err, &failed) {
			failed.StatusCode = resp.StatusCode
			failed.SerialNo = shownHeader(resp, headerSerial)
			failed.RequestID = shownHeader(resp, headerRequestID)
		}
		return nil, err
	}
	if t.replays != nil && !t.replays.accept(resp.Header) {
		return nil, replayed(resp)
	}
	resp.Body, resp.ContentLength = http.NoBody, int64(len(body))
	if len(body) > 0 {
		resp.Body = &verifiedBody{Reader: bytes.NewReader(body), content: body}
	}
	return resp, nil
}

// verifiedBody is a response body that is in memory already. readBody returns
// its content without a copy.
type verifiedBody struct {
	*bytes.Reader
	content []byte
}

func (*verifiedBody) Close() error { return nil }

// CloseIdleConnections closes the idle connections of Base.
func (t *VerifyingTransport) CloseIdleConnections() { closeIdleConnections(t.Base) }

// readBounded reads up to limit bytes. If length, the announced length, is over
// the limit, it reads nothing.
func readBounded(r io.Reader, length, limit int64) (body []byte, tooLarge bool, err error) {
	if length > limit {
		return nil, true, nil
	}
	body, err = io.ReadAll(io.LimitReader(r, limit+1))
	return body, int64(len(body)) > limit, err
}

// readBody reads a response of up to limit bytes. A larger one is a
// *VerificationError, because its signature cannot be verified.
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
			SerialNo:   shownHeader(resp, headerSerial),
			StatusCode: resp.StatusCode,
			RequestID:  shownHeader(resp, headerRequestID),
		}
	}
	if err != nil {
		return nil, fmt.Errorf("reading the %d response: %w", resp.StatusCode, err)
	}
	return body, nil
}
