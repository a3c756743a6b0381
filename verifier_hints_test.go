package wechatpay_test

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

// A message that does not verify says which of the usual causes it is.
func TestVerificationErrorNamesTheCause(t *testing.T) {
	const hexSerial, otherSerial = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1", "00000000000000000000000000000000000000AB"
	platform, merchant := privateKey(t, "platform_key.pem"), privateKey(t, "merchant_key.pem")
	publicKey := map[string]*rsa.PublicKey{testPublicKeyID: &platform.PublicKey}
	certificate := map[string]*rsa.PublicKey{hexSerial: &platform.PublicKey}
	mixedUp := map[string]*rsa.PublicKey{testPublicKeyID: &merchant.PublicKey, hexSerial: &platform.PublicKey, "empty": nil}
	const signedBody = `{"a": 1}`
	sign := func(h http.Header, change func(*signature)) {
		s := signed(t, signedBody)
		change(&s)
		s.set(t, h)
	}
	as := func(serial string) func(*signature) { return func(s *signature) { s.serial = serial } }
	nothing := func(*signature) {}
	for _, tt := range []struct {
		name   string
		keys   map[string]*rsa.PublicKey
		sign   func(*signature)
		body   string
		reason wechatpay.VerificationReason
		cause  string
	}{
		{"another public key id", publicKey, as("PUB_KEY_ID_2"), signedBody, wechatpay.VerificationReasonUnknownSerial, `PublicKeyID is "` + testPublicKeyID + `": compare both`},
		{"certificate mode, and the merchant has the public key", certificate, as("PUB_KEY_ID_2"), signedBody, wechatpay.VerificationReasonUnknownSerial, "signed with the WeChat Pay public key, and none is set: set PublicKeyID and PublicKey"},
		{"public-key mode, and the merchant has certificates", publicKey, as(hexSerial), signedBody, wechatpay.VerificationReasonUnknownSerial, "signed with a platform certificate, as for a merchant that has no public key or switches over: set APIv3Key"},
		{"another certificate", certificate, as(otherSerial), signedBody, wechatpay.VerificationReasonUnknownSerial, "compare it with the serial numbers of the certificates"},
		{"no name at all", publicKey, as("WECHATPAY"), signedBody, wechatpay.VerificationReasonUnknownSerial, "neither a public key id nor the serial number of a certificate"},
		{"the merchant's own key for WeChat Pay's", map[string]*rsa.PublicKey{testPublicKeyID: &merchant.PublicKey}, nothing, signedBody, wechatpay.VerificationReasonSignatureMismatch, "it was not made with that key: either PublicKey is not the one of PublicKeyID (take pub_key.pem from the merchant platform under API安全 → 微信支付公钥, not the merchant's own key)"},
		{"the merchant's certificate for WeChat Pay's", map[string]*rsa.PublicKey{hexSerial: &merchant.PublicKey}, as(hexSerial), signedBody, wechatpay.VerificationReasonSignatureMismatch, "it was not made with that key: either the certificate is not WeChat Pay's"},
		{"keys mixed up", mixedUp, nothing, signedBody, wechatpay.VerificationReasonSignatureMismatch, `it was made with the key that is set for "` + hexSerial + `": the keys are mixed up`},
		{"body read before", publicKey, nothing, "", wechatpay.VerificationReasonSignatureMismatch, "the key is right, and the body is empty: something read it before"},
		{"a line end added", publicKey, nothing, signedBody + "\r\n", wechatpay.VerificationReasonSignatureMismatch, "the signature holds for the body without the blanks around it"},
		{"a line end taken away", publicKey, func(s *signature) { s.body = []byte(signedBody + "\n") }, signedBody, wechatpay.VerificationReasonSignatureMismatch, "holds for the body with a line end after it"},
		{"a byte order mark added", publicKey, nothing, "\ufeff" + signedBody, wechatpay.VerificationReasonSignatureMismatch, "holds for the body without the byte order mark before it"},
		{"indented", publicKey, func(s *signature) { s.body = []byte(`{"a":1}`) }, "{\n  \"a\": 1\n}", wechatpay.VerificationReasonSignatureMismatch, "holds for the body without the blanks in it"},
		{"encoded again", publicKey, nothing, `{"a":1}`, wechatpay.VerificationReasonSignatureMismatch, "the key is right, and the signature is over something else: a proxy or a framework changed the body"},
		{"not JSON any more", publicKey, nothing, `<html>`, wechatpay.VerificationReasonSignatureMismatch, "over something else"},
		{"clock ahead", publicKey, func(s *signature) { s.at = testTime.Add(-10 * time.Minute) }, signedBody, wechatpay.VerificationReasonTimestamp, "10m0s away from this machine's clock, and 300 s is too much; if the clock is ahead, set it by NTP"},
		{"clock behind", publicKey, func(s *signature) { s.at = testTime.Add(600 * time.Second) }, signedBody, wechatpay.VerificationReasonTimestamp, "if the clock is behind, set it by NTP"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			sign(h, tt.sign)
			verifier := wechatpay.Verifier{Keys: tt.keys, Time: testClock}
			err := verifier.Verify(context.Background(), h, []byte(tt.body))
			require.ErrorContains(t, err, tt.cause)
			requireUnproved(t, err, tt.reason)
			require.NotContains(t, err.Error(), `"a"`, "the body is shown")
			require.NotContains(t, err.Error(), h.Get("Wechatpay-Signature"))
		})
	}

	// What is no signature at all.
	for _, raw := range [][]byte{nil, {1}, make([]byte, 256), []byte(strings.Repeat("\xff", 256))} {
		h := http.Header{}
		sign(h, nothing)
		h.Set("Wechatpay-Signature", base64.StdEncoding.EncodeToString(raw))
		err := (&wechatpay.Verifier{Keys: publicKey, Time: testClock}).Verify(context.Background(), h, []byte(signedBody))
		requireUnproved(t, err, wechatpay.VerificationReasonSignatureMismatch)
		require.ErrorContains(t, err, "it was not made with that key")
	}

	// One that was made by hand has a text too.
	for reason, text := range map[wechatpay.VerificationReason]string{
		wechatpay.VerificationReasonUnknownSerial:       `there is no key for serial number "AB"; compare it with PublicKeyID`,
		wechatpay.VerificationReasonSignatureMismatch:   `the signature does not hold with the key "AB"; either that is not its key, or the body was changed on the way`,
		wechatpay.VerificationReasonCertificateNotValid: `the certificate "AB" is not valid by this machine's clock; give the newest: EOF`,
	} {
		err := &wechatpay.VerificationError{Reason: reason, SerialNo: "AB"}
		if reason == wechatpay.VerificationReasonCertificateNotValid {
			err.Err = http.ErrBodyNotAllowed
			require.ErrorIs(t, err, http.ErrBodyNotAllowed)
			text = strings.Replace(text, "EOF", http.ErrBodyNotAllowed.Error(), 1)
		}
		require.ErrorContains(t, err, text)
	}
}
