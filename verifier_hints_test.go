package wechatpay_test

import (
	"compress/gzip"
	"context"
	"crypto/rsa"
	"encoding/base64"
	"io"
	"math/big"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

func TestVerificationError_Error_hints(t *testing.T) {
	const (
		certificateSerial = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"
		otherSerial       = "00000000000000000000000000000000000000AB"
		body              = `{"a": 1}`

		unknown   = wechatpay.VerificationReasonUnknownSerial
		mismatch  = wechatpay.VerificationReasonSignatureMismatch
		timestamp = wechatpay.VerificationReasonTimestamp

		noKey      = `signature verification failed: no key for serial number "`
		noMatch    = `signature verification failed: the signature does not match key "`
		notSigned  = `": the body is not the signed one: it was modified, or the message is forged`
		wrongKey   = `": PublicKey is not the key of PublicKeyID, or the message is forged`
		wrongCert  = `": the certificate is not WeChat Pay's, or the message is forged`
		modifiedTo = `": the body was modified: the signature matches it `
	)
	platform, merchant := &privateKey(t, "platform_key.pem").PublicKey, &privateKey(t, "merchant_key.pem").PublicKey
	publicKey := map[string]*rsa.PublicKey{testPublicKeyID: platform}
	certificate := map[string]*rsa.PublicKey{certificateSerial: platform}
	swapped := map[string]*rsa.PublicKey{testPublicKeyID: merchant, certificateSerial: platform, "nil": nil}
	unchanged := func(*signature) {}
	serial := func(serial string) func(*signature) { return func(s *signature) { s.serial = serial } }
	signedBody := func(body string) func(*signature) { return func(s *signature) { s.body = []byte(body) } }
	at := func(d time.Duration) func(*signature) { return func(s *signature) { s.at = testTime.Add(d) } }
	for _, tt := range []struct {
		name   string
		keys   map[string]*rsa.PublicKey
		change func(*signature)
		body   string
		reason wechatpay.VerificationReason
		want   string
	}{
		{"other public key ID", publicKey, serial("PUB_KEY_ID_2"), body, unknown,
			noKey + `PUB_KEY_ID_2": PublicKeyID is "` + testPublicKeyID + `": compare it with API安全 → 微信支付公钥`},
		{"public key ID, no public key", certificate, serial("PUB_KEY_ID_2"), body, unknown,
			noKey + `PUB_KEY_ID_2": set PublicKeyID and PublicKey`},
		{"certificate, only a public key", publicKey, serial(certificateSerial), body, unknown,
			noKey + certificateSerial + `": it is a platform certificate: set APIv3Key to download it`},
		{"certificate, no keys", nil, serial(certificateSerial), body, unknown,
			noKey + certificateSerial + `": it is a platform certificate: set APIv3Key to download it`},
		{"other certificate", certificate, serial(otherSerial), body, unknown,
			noKey + otherSerial + `": it is not among the configured platform certificates`},
		{"neither", publicKey, serial("WECHATPAY"), body, unknown,
			noKey + `WECHATPAY": it is neither a public key ID nor a certificate serial number`},
		{"merchant key as PublicKey", map[string]*rsa.PublicKey{testPublicKeyID: merchant}, unchanged, body, mismatch,
			noMatch + testPublicKeyID + wrongKey},
		{"merchant key as certificate", map[string]*rsa.PublicKey{certificateSerial: merchant},
			serial(certificateSerial), body, mismatch, noMatch + certificateSerial + wrongCert},
		{"swapped keys", swapped, unchanged, body, mismatch,
			noMatch + testPublicKeyID + `": it matches the key of "` + certificateSerial + `": the keys are swapped`},
		{"empty body", publicKey, unchanged, "", mismatch,
			noMatch + testPublicKeyID + `": the body is empty: something read it before the verification`},
		{"newline added", publicKey, unchanged, body + "\r\n", mismatch,
			noMatch + testPublicKeyID + modifiedTo + "without surrounding white space"},
		{"newline removed", publicKey, signedBody(body + "\n"), body, mismatch,
			noMatch + testPublicKeyID + modifiedTo + "with a trailing newline"},
		{"byte order mark added", publicKey, unchanged, "\ufeff" + body, mismatch,
			noMatch + testPublicKeyID + modifiedTo + "without the byte order mark"},
		{"indented", publicKey, signedBody(`{"a":1}`), "{\n  \"a\": 1\n}", mismatch,
			noMatch + testPublicKeyID + modifiedTo + "as compact JSON"},
		{"encoded again", publicKey, unchanged, `{"a":1}`, mismatch, noMatch + testPublicKeyID + notSigned},
		{"not JSON", publicKey, unchanged, `<html>`, mismatch, noMatch + testPublicKeyID + notSigned},
		{"clock ahead", publicKey, at(-10 * time.Minute), body, timestamp, "signature verification failed: " +
			"the timestamp is 10m0s in the past (limit 300s): the local clock is ahead, or the message was replayed"},
		{"clock behind", publicKey, at(600 * time.Second), body, timestamp, "signature verification failed: " +
			"the timestamp is 10m0s in the future (limit 300s): the local clock is behind"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			s := signed(t, body)
			tt.change(&s)
			s.set(t, h)
			h.Del("Request-ID")
			verifier := wechatpay.Verifier{Keys: tt.keys, Time: testClock}
			err := verifier.Verify(context.Background(), h, []byte(tt.body))
			requireVerificationError(t, err, tt.reason)
			require.EqualError(t, err, tt.want)
			ids := strings.NewReplacer(testPublicKeyID, "", certificateSerial, "", otherSerial, "")
			require.LessOrEqual(t, len(ids.Replace(err.Error())), 160)
		})
	}
}

// The error names the header and its problem.
func TestVerifier_Verify_headerHints(t *testing.T) {
	const (
		timestamp     = "Wechatpay-Timestamp"
		nonce         = "Wechatpay-Nonce"
		signature     = "Wechatpay-Signature"
		serial        = "Wechatpay-Serial"
		signatureType = "Wechatpay-Signature-Type"
		notSigned     = "not signed: not from WeChat Pay, or a gateway removed the headers"
	)
	remove := func(names ...string) func(http.Header) {
		return func(h http.Header) {
			for _, name := range names {
				h.Del(name)
			}
		}
	}
	set := func(name string, values ...string) func(http.Header) {
		return func(h http.Header) { h[name] = values }
	}
	// as copies the headers to a map with other keys, as events of functions have.
	as := func(convert func(string) string) func(http.Header) {
		return func(h http.Header) {
			for _, name := range []string{timestamp, nonce, signature, serial, signatureType} {
				h[convert(name)] = h[name]
				delete(h, name)
			}
		}
	}
	for _, tt := range []struct {
		name   string
		change func(http.Header)
		want   string
	}{
		{"no headers", func(h http.Header) { clear(h) }, notSigned},
		{"other headers only", remove(timestamp, nonce, signature, serial, signatureType), notSigned},
		{"type only", remove(timestamp, nonce, signature, serial), notSigned},
		{"lower case", as(strings.ToLower), `header key "wechatpay-nonce" is not canonical: set it with http.Header.Set`},
		{"upper case", as(strings.ToUpper), `header key "WECHATPAY-NONCE" is not canonical: set it with http.Header.Set`},
		{"no timestamp", remove(timestamp), "missing Wechatpay-Timestamp"},
		{"no nonce", remove(nonce), "missing Wechatpay-Nonce"},
		{"no signature", remove(signature), "missing Wechatpay-Signature"},
		{"no serial number", remove(serial), "missing Wechatpay-Serial"},
		{"signature only", remove(timestamp, nonce, serial),
			"missing Wechatpay-Timestamp, Wechatpay-Nonce, Wechatpay-Serial"},
		{"two timestamps", set(timestamp, "1", "2"), "two Wechatpay-Timestamp headers"},
		{"two nonces", set(nonce, "1", "2"), "two Wechatpay-Nonce headers"},
		{"two signatures", set(signature, "1", "2"), "two Wechatpay-Signature headers"},
		{"three serial numbers", set(serial, "1", "2", "3"), "3 Wechatpay-Serial headers"},
		{"two types", set(signatureType, "WECHATPAY2-SHA256-RSA2048", "WECHATPAY2-SHA256-RSA2048"),
			"two Wechatpay-Signature-Type headers"},
		{"timestamp not a number", set(timestamp, "2023-11-15"), "Wechatpay-Timestamp is not a number"},
		{"timestamp empty", set(timestamp, ""), "Wechatpay-Timestamp is not a number"},
		{"signature not base64", set(signature, "*"), "Wechatpay-Signature is not base64"},
		{"SM2", set(signatureType, "WECHATPAY2-SM2-WITH-SM3"),
			"signed with SM2 (Wechatpay-Signature-Type WECHATPAY2-SM2-WITH-SM3), which is not supported"},
		{"other type", set(signatureType, "X\nY"),
			`Wechatpay-Signature-Type must be WECHATPAY2-SHA256-RSA2048, got "X\nY"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{"Content-Type": {"application/json"}}
			signed(t, "body").set(t, h)
			h.Del("Request-Id")
			tt.change(h)
			err := newVerifier(t).Verify(context.Background(), h, []byte("body"))
			require.EqualError(t, err, "signature verification failed: "+tt.want)
			require.LessOrEqual(t, len(err.Error()), 160)
		})
	}
}

// API gateways encode or compress bodies.
func TestVerifier_Verify_encodedBodies(t *testing.T) {
	const body = `{"id":"EV-2018022511223320873"}`
	base64Of := base64.StdEncoding.EncodeToString
	for _, tt := range []struct {
		name, body, encoding, want string
	}{
		{"base64", base64Of([]byte(body)), "", "the signature matches it after base64 decoding"},
		{"base64 in quotes", `"` + base64Of([]byte(body)) + `"`, "", "the signature matches it after base64 decoding"},
		{"gzip", gzipped(t, body), "gzip", "the signature matches it after gzip decompression"},
		{"gzip without a header", gzipped(t, body), "", "the signature matches it after gzip decompression"},
		{"gzip in base64", base64Of([]byte(gzipped(t, body))), "", "the signature matches it after gzip decompression"},
		{"brotli", "\x8b\x0f\x80", "br", `its Content-Encoding is "br"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := signedNotification(t, body)
			req.Body = io.NopCloser(strings.NewReader(tt.body))
			if tt.encoding != "" {
				req.Header.Set("Content-Encoding", tt.encoding)
			}
			_, err := testClient(t).ParseNotification(req)
			requireVerificationError(t, err, wechatpay.VerificationReasonSignatureMismatch)
			require.ErrorContains(t, err, `": the body was modified: `+tt.want)
		})
	}
}

// A small body that decompresses to much more is not decompressed in full.
func TestVerifier_Verify_compressionBomb(t *testing.T) {
	bomb := gzipped(t, strings.Repeat("0", 64<<20))
	req := signedNotification(t, "{}")
	req.Body = io.NopCloser(strings.NewReader(bomb))
	client := testClient(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := client.ParseNotification(req)
	runtime.ReadMemStats(&after)
	requireVerificationError(t, err, wechatpay.VerificationReasonSignatureMismatch)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16<<20))
}

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var b strings.Builder
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

func TestVerifier_Verify_malformedSignatures(t *testing.T) {
	for _, raw := range [][]byte{nil, {1}, make([]byte, 256), []byte(strings.Repeat("\xff", 256))} {
		h := http.Header{}
		signed(t, "body").set(t, h)
		h.Set("Wechatpay-Signature", base64.StdEncoding.EncodeToString(raw))
		err := newVerifier(t).Verify(context.Background(), h, []byte("body"))
		requireVerificationError(t, err, wechatpay.VerificationReasonSignatureMismatch)
		require.ErrorContains(t, err, "PublicKey is not the key of PublicKeyID")
	}
}

func TestVerifier_Verify_tinyKey(t *testing.T) {
	h := http.Header{}
	signed(t, "body").set(t, h)
	h.Set("Wechatpay-Signature", "AQ==")
	tiny := &rsa.PublicKey{N: big.NewInt(15), E: 3}
	verifier := wechatpay.Verifier{Keys: map[string]*rsa.PublicKey{testPublicKeyID: tiny}, Time: testClock}
	err := verifier.Verify(context.Background(), h, []byte("body"))
	requireVerificationError(t, err, wechatpay.VerificationReasonSignatureMismatch)
}

func TestVerificationError_Error(t *testing.T) {
	for _, tt := range []struct {
		err  wechatpay.VerificationError
		want string
	}{
		{wechatpay.VerificationError{Reason: wechatpay.VerificationReasonUnsigned, StatusCode: 200},
			"not signed: sent by a gateway, or by a test server (use wechatpaytest or InsecureSkipVerify)" +
				" [status 200]"},
		{wechatpay.VerificationError{Reason: wechatpay.VerificationReasonUnsigned},
			"not signed: not from WeChat Pay, or a gateway removed the headers"},
		{wechatpay.VerificationError{Reason: wechatpay.VerificationReasonMalformedHeader},
			"a signature header is missing, repeated or malformed"},
		{wechatpay.VerificationError{Reason: wechatpay.VerificationReasonProbe},
			"WeChat Pay sent an invalid signature (WECHATPAY/SIGNTEST/) as a check; no action is needed"},
		{wechatpay.VerificationError{Reason: wechatpay.VerificationReasonUnknownSerial, SerialNo: "12\nAB"},
			`no key for serial number "12 AB": compare it with PublicKeyID`},
		{wechatpay.VerificationError{Reason: wechatpay.VerificationReasonCertificateNotValid, SerialNo: "AB"},
			`certificate "AB" is not valid now: expired, or the clock is wrong`},
		{wechatpay.VerificationError{Reason: wechatpay.VerificationReasonSignatureMismatch, SerialNo: "AB"},
			`the signature does not match key "AB": the key is wrong, or the body was modified`},
		{wechatpay.VerificationError{Reason: wechatpay.VerificationReasonBodyTooLarge, RequestID: "1"},
			"the body exceeds the size limit [request id 1]"},
		{wechatpay.VerificationError{Reason: "NEW"}, "NEW"},
		{wechatpay.VerificationError{Reason: "NEW", StatusCode: 204, RequestID: "1\n2", Err: io.EOF},
			"NEW: EOF [status 204] [request id 1 2]"},
	} {
		require.EqualError(t, &tt.err, "signature verification failed: "+tt.want)
	}
	require.ErrorIs(t, &wechatpay.VerificationError{Err: io.EOF}, io.EOF)
}
