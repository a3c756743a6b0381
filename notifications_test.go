package wechatpay_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

const notificationID = "EV-2018022511223320873"

// testClient returns a Client for tests that send no requests.
func testClient(t testing.TB, change ...func(*wechatpay.Config)) *wechatpay.Client {
	t.Helper()
	cfg := testConfig(t, "http://127.0.0.1:1")
	for _, f := range change {
		f(&cfg)
	}
	client, err := wechatpay.NewClient(cfg)
	require.NoError(t, err)
	return client
}

// recorded returns a notification from testdata/notification, which was created
// with Node.js and OpenSSL.
func recorded(t testing.TB, name string) *http.Request {
	t.Helper()
	body := testdata(t, "notification/"+name+".body")
	req := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Wechatpay-Timestamp", "1700000000")
	req.Header.Set("Wechatpay-Nonce", "EqYtEtmd8XJ1Q2ZFVkAAM3pNSDWg5KYF")
	req.Header.Set("Wechatpay-Serial", testPublicKeyID)
	req.Header.Set("Wechatpay-Signature", string(testdata(t, "notification/"+name+".sig")))
	req.Header.Set("Wechatpay-Signature-Type", "WECHATPAY2-SHA256-RSA2048")
	req.Header.Set("Request-ID", "08F7A1B2C30610-0")
	return req
}

func notification(t testing.TB) *http.Request { return recorded(t, "complaint") }

// signedNotification returns a correctly signed notification with any body.
func signedNotification(t testing.TB, body string) *http.Request {
	req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	signed(t, body).set(t, req.Header)
	return req
}

// encrypted returns a body with an encrypted resource.
func encrypted(t testing.TB, eventType, resource string) string {
	block, err := aes.NewCipher([]byte(testAPIv3Key))
	require.NoError(t, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(t, err)
	const nonce, associatedData = "fdasflkja484", "complaint"
	ciphertext := aead.Seal(nil, []byte(nonce), []byte(resource), []byte(associatedData))
	return fmt.Sprintf(`{"id":%q,"create_time":"2023-11-15T06:13:20+08:00","event_type":%q,`+
		`"resource":{"algorithm":"AEAD_AES_256_GCM","ciphertext":%q,"nonce":%q,"associated_data":%q}}`,
		notificationID, eventType, base64.StdEncoding.EncodeToString(ciphertext), nonce, associatedData)
}

// The recorded notifications come from testdata/notification/make.sh.
func TestClient_ParseNotification_recorded(t *testing.T) {
	const (
		create       = wechatpay.EventComplaintCreate
		stateChange  = wechatpay.EventComplaintStateChange
		applyService = wechatpay.NotificationActionTypeUserApplyPlatformService
	)
	tests := []struct {
		name        string
		eventType   wechatpay.EventType
		complaintID string
		actionType  wechatpay.NotificationActionType
	}{
		{"complaint", create, testComplaintID, wechatpay.NotificationActionTypeCreateComplaint},
		{"empty_data", stateChange, testComplaintID, applyService}, // sent as USER_APPLY_PLATFORM_SERIVCE
		{"no_data", stateChange, testComplaintID, applyService},
		{"refund", wechatpay.EventRefundSuccess, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, err := testClient(t).ParseNotification(recorded(t, tt.name))
			require.NoError(t, err)
			require.True(t, n.CreateTime.Equal(testTime))
			n.CreateTime = time.Time{}
			require.Equal(t, &wechatpay.Notification{
				ID:          notificationID,
				EventType:   tt.eventType,
				Summary:     "投诉通知",
				ComplaintID: tt.complaintID,
				ActionType:  tt.actionType,
				Resource:    testdata(t, "notification/"+tt.name+".plain"),
			}, n)
		})
	}
}

// Unknown values pass through, and optional fields may be missing.
func TestClient_ParseNotification_unknownValues(t *testing.T) {
	tests := []struct {
		name, eventType, resource string
		complaintID               string
		actionType                wechatpay.NotificationActionType
	}{
		{"action", "COMPLAINT.STATE_CHANGE", `{"complaint_id":"1","action_type":"NEW"}`, "1", "NEW"},
		{"field", "COMPLAINT.STATE_CHANGE", `{"complaint_id":"1","more":{"a":[1]}}`, "1", ""},
		{"complaint event", "COMPLAINT.NEW", `{"complaint_id":"1"}`, "1", ""},
		{"event", "NEW.EVENT", `{"complaint_id":1,"action_type":{}}`, "", ""},
		{"no event", "", `{}`, "", ""},
		{"white space", "COMPLAINT.CREATE", "\n {\"complaint_id\":\"1\"} \n", "1", ""},
		{"number as id", "COMPLAINT.CREATE", `{"complaint_id":200201820200101080076610000}`, testComplaintID, ""},
		{"object as action", "COMPLAINT.CREATE", `{"complaint_id":"1","action_type":{}}`, "1", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, err := testClient(t).ParseNotification(signedNotification(t, encrypted(t, tt.eventType, tt.resource)))
			require.NoError(t, err)
			require.Equal(t, wechatpay.EventType(tt.eventType), n.EventType)
			require.Equal(t, tt.complaintID, n.ComplaintID)
			require.Equal(t, tt.actionType, n.ActionType)
			require.Equal(t, tt.resource, string(n.Resource))
		})
	}
}

// An event is not lost because of an odd field.
func TestClient_ParseNotification_oddFields(t *testing.T) {
	want := time.Date(2018, 2, 25, 3, 22, 33, 0, time.UTC)
	for value, want := range map[string]time.Time{
		`"20180225112233"`:      want,
		`20180225112233`:        want,
		`"2018-02-25 11:22:33"`: want,
		`1519528953`:            want,
		`"1519528953000"`:       want,
		`"yesterday"`:           {},
		`{}`:                    {},
		`null`:                  {},
	} {
		body := encrypted(t, "COMPLAINT.CREATE", `{"complaint_id":"1"}`)
		const createTime = `"create_time":"2023-11-15T06:13:20+08:00"`
		require.Contains(t, body, createTime)
		body = strings.Replace(body, createTime, `"create_time":`+value+`,"summary":{"text":1}`, 1)
		n, err := testClient(t).ParseNotification(signedNotification(t, body))
		require.NoError(t, err, value)
		require.True(t, n.CreateTime.Equal(want), "%s: %s", value, n.CreateTime)
		require.Equal(t, "1", n.ComplaintID)
		require.Empty(t, n.Summary)
	}
}

// A mutation changes one thing in a valid notification.
type mutation func(t *testing.T, r *http.Request) *http.Request

func setMethod(method string) mutation {
	return func(_ *testing.T, r *http.Request) *http.Request { r.Method = method; return r }
}

func setHeader(name, value string) mutation {
	return func(_ *testing.T, r *http.Request) *http.Request { r.Header.Set(name, value); return r }
}

// signWith signs the recorded body differently.
func signWith(change func(t *testing.T, s *signature)) mutation {
	return func(t *testing.T, r *http.Request) *http.Request {
		s := signed(t, string(testdata(t, "notification/complaint.body")))
		change(t, &s)
		s.set(t, r.Header)
		return r
	}
}

// setBody replaces the body and keeps the signature.
func setBody(body string) mutation {
	return func(_ *testing.T, r *http.Request) *http.Request {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		return r
	}
}

// setSignedBody replaces the body and signs it correctly.
func setSignedBody(body string) mutation {
	return func(t *testing.T, _ *http.Request) *http.Request { return signedNotification(t, body) }
}

// setResource replaces the resource, correctly encrypted and signed.
func setResource(resource string) mutation {
	return func(t *testing.T, _ *http.Request) *http.Request {
		return signedNotification(t, encrypted(t, "COMPLAINT.CREATE", resource))
	}
}

// flip returns s with one bit of byte i flipped.
func flip(s string, i int) string {
	b := []byte(s)
	b[i] ^= 1
	return string(b)
}

// resourceField returns a field of the recorded resource, encrypted.
func resourceField(t *testing.T, name string) string {
	var envelope struct{ Resource map[string]string }
	require.NoError(t, json.Unmarshal(testdata(t, "notification/complaint.body"), &envelope))
	return envelope.Resource[name]
}

// setField returns the recorded body with one field changed, or removed if value
// is nil.
func setField(t *testing.T, name string, value any) string {
	var envelope map[string]any
	require.NoError(t, json.Unmarshal(testdata(t, "notification/complaint.body"), &envelope))
	object := envelope
	if field, ok := strings.CutPrefix(name, "resource."); ok {
		object, name = envelope["resource"].(map[string]any), field
	}
	require.Contains(t, object, name)
	object[name] = value
	if value == nil {
		delete(object, name)
	}
	body, err := json.Marshal(envelope)
	require.NoError(t, err)
	return string(body)
}

// An invalidNotification is a mutation and its expected results.
type invalidNotification struct {
	name   string
	mutate mutation
	status int                          // response of NotificationHandler
	reason wechatpay.VerificationReason // if the status is 401
	text   string                       // part of the error
	level  string                       // of the log record; empty if there is none
}

// testInvalid checks the error, the response and the log record for each
// mutation, with and without Config.InsecureSkipVerify.
func testInvalid(t *testing.T, tests []invalidNotification) {
	for _, tt := range tests {
		for _, insecure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, InsecureSkipVerify %v", tt.name, insecure), func(t *testing.T) {
				testInvalidOne(t, tt, insecure)
			})
		}
	}
}

func testInvalidOne(t *testing.T, tt invalidNotification, insecure bool) {
	var log bytes.Buffer
	client := testClient(t, func(cfg *wechatpay.Config) {
		cfg.InsecureSkipVerify = insecure
		cfg.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	n, err := client.ParseNotification(tt.mutate(t, notification(t)))
	require.Nil(t, n)
	require.ErrorContains(t, err, tt.text)
	require.True(t, strings.HasPrefix(err.Error(), "wechatpay: ParseNotification: "), err)
	var unverified *wechatpay.VerificationError
	if errors.As(err, &unverified) {
		require.Equal(t, tt.reason, unverified.Reason)
		require.Equal(t, 401, tt.status)
	} else {
		var malformed *wechatpay.NotificationError
		require.ErrorAs(t, err, &malformed)
		require.NotEqual(t, 401, tt.status)
	}

	log.Reset()
	recorder := httptest.NewRecorder()
	client.NotificationHandler(func(context.Context, *wechatpay.Notification) error {
		t.Error("handle was called")
		return nil
	}).ServeHTTP(recorder, tt.mutate(t, notification(t)))
	require.Equal(t, tt.status, recorder.Code)
	requireFail(t, recorder)
	if tt.status == 405 {
		require.Equal(t, "POST", recorder.Header().Get("Allow"))
	}
	if tt.level == "" {
		require.Empty(t, log.String())
	} else {
		want := fmt.Sprintf(`"level":%q,"msg":"wechatpay: notification","status":%d`, tt.level, tt.status)
		require.Contains(t, log.String(), want)
	}
	signature := notification(t).Header.Get("Wechatpay-Signature")
	for _, text := range []string{err.Error(), log.String()} {
		require.NotContains(t, strings.TrimSuffix(text, "\n"), "\n")
		for _, secret := range []string{testAPIv3Key, testComplaintID, resourceField(t, "ciphertext"), signature} {
			require.NotContains(t, text, secret)
		}
	}
}

// requireFail checks that a response depends on its status alone.
func requireFail(t *testing.T, recorder *httptest.ResponseRecorder) {
	t.Helper()
	require.Equal(t, "application/json", recorder.Header().Get("Content-Type"))
	want := fmt.Sprintf(`{"code":"FAIL","message":%q}`, http.StatusText(recorder.Code))
	require.Equal(t, want, recorder.Body.String())
}

func TestClient_ParseNotification_method(t *testing.T) {
	var tests []invalidNotification
	for _, method := range []string{"GET", "HEAD", "PUT"} {
		text := fmt.Sprintf("method must be POST, got %q", method)
		tests = append(tests, invalidNotification{method, setMethod(method), 405, "", text, ""})
	}
	testInvalid(t, tests)
}

func TestClient_ParseNotification_signature(t *testing.T) {
	const mismatch = wechatpay.VerificationReasonSignatureMismatch
	const malformed = wechatpay.VerificationReasonMalformedHeader
	probe := "WECHATPAY/SIGNTEST/" + string(testdata(t, "notification/complaint.sig"))
	at := func(offset time.Duration) mutation {
		return signWith(func(_ *testing.T, s *signature) { s.at = testTime.Add(offset) })
	}
	serial := func(serial string) mutation {
		return signWith(func(_ *testing.T, s *signature) { s.serial = serial })
	}
	merchantKey := signWith(func(t *testing.T, s *signature) { s.key = privateKey(t, "merchant_key.pem") })
	otherSignature := setHeader("Wechatpay-Signature", string(testdata(t, "notification/refund.sig")))
	tests := []struct {
		name   string
		mutate mutation
		reason wechatpay.VerificationReason
	}{
		{"merchant key", merchantKey, mismatch},
		{"unknown public key", serial("PUB_KEY_ID_1"), wechatpay.VerificationReasonUnknownSerial},
		// No certificates can be downloaded here.
		{"unknown certificate", serial("1234567890ABCDEF"), wechatpay.VerificationReasonUnknownSerial},
		{"300 s old", at(-300 * time.Second), wechatpay.VerificationReasonTimestamp},
		{"300 s ahead", at(300 * time.Second), wechatpay.VerificationReasonTimestamp},
		{"probe", setHeader("Wechatpay-Signature", probe), wechatpay.VerificationReasonProbe},
		{"other timestamp", setHeader("Wechatpay-Timestamp", "1700000001"), mismatch},
		{"other nonce", setHeader("Wechatpay-Nonce", "EqYtEtmd8XJ1Q2ZFVkAAM3pNSDWg5KYG"), mismatch},
		{"signature of another notification", otherSignature, mismatch},
		{"other signature type", setHeader("Wechatpay-Signature-Type", "WECHATPAY2-SM2-WITH-SM3"), malformed},
		{"unsigned", func(_ *testing.T, r *http.Request) *http.Request {
			r.Header = http.Header{"Content-Type": {"application/json"}}
			return r
		}, wechatpay.VerificationReasonUnsigned},
		{"no timestamp", func(_ *testing.T, r *http.Request) *http.Request {
			r.Header.Del("Wechatpay-Timestamp")
			return r
		}, malformed},
		{"two signatures", func(_ *testing.T, r *http.Request) *http.Request {
			r.Header.Add("Wechatpay-Signature", "AAAA")
			return r
		}, malformed},
	}
	var invalid []invalidNotification
	for _, tt := range tests {
		invalid = append(invalid, invalidNotification{tt.name, tt.mutate, 401, tt.reason, "", "WARN"})
	}
	testInvalid(t, invalid)
}

func TestClient_ParseNotification_changedBody(t *testing.T) {
	const mismatch = wechatpay.VerificationReasonSignatureMismatch
	const tooLarge = wechatpay.VerificationReasonBodyTooLarge
	body := string(testdata(t, "notification/complaint.body"))
	large := func(announced int64) mutation {
		return func(_ *testing.T, r *http.Request) *http.Request {
			r.Body, r.ContentLength = io.NopCloser(io.LimitReader(zeros{}, 64<<20)), announced
			return r
		}
	}
	noBody := func(_ *testing.T, r *http.Request) *http.Request { r.Body = nil; return r }
	truncated := func(_ *testing.T, r *http.Request) *http.Request {
		reset := errorReader{errors.New("connection reset")}
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader(body[:10]), reset))
		return r
	}
	padded := body + strings.Repeat(" ", 1<<20+1-len(body))
	testInvalid(t, []invalidNotification{
		{"first byte flipped", setBody(flip(body, 0)), 401, mismatch, "", "WARN"},
		{"middle byte flipped", setBody(flip(body, len(body)/2)), 401, mismatch, "", "WARN"},
		{"last byte flipped", setBody(flip(body, len(body)-1)), 401, mismatch, "", "WARN"},
		{"last byte removed", setBody(body[:len(body)-1]), 401, mismatch, "", "WARN"},
		{"newline added", setBody(body + "\n"), 401, mismatch, "", "WARN"},
		{"re-encoded", setBody(setField(t, "summary", "投诉通知")), 401, mismatch, "", "WARN"},
		{"empty", setBody(""), 401, mismatch, emptyBodyHint, "WARN"},
		{"no body", noBody, 401, mismatch, emptyBodyHint, "WARN"},
		{"64 MiB", large(64 << 20), 401, tooLarge, "", "WARN"},
		{"64 MiB of unknown length", large(-1), 401, tooLarge, "", "WARN"},
		{"1 MiB + 1 byte, signed", setSignedBody(padded), 401, tooLarge, "", "WARN"},
		{"connection reset", truncated, 400, "", "reading the body: connection reset", "WARN"},
	})
}

// emptyBodyHint is part of the error for a body that was already read.
const emptyBodyHint = "the body is empty: something read it before"

// malformed returns the expected results for a correctly signed notification.
func malformed(name string, mutate mutation, text string) invalidNotification {
	return invalidNotification{name, mutate, 400, "", text, "ERROR"}
}

func TestClient_ParseNotification_malformedBody(t *testing.T) {
	body := string(testdata(t, "notification/complaint.body"))
	field := func(name string, value any) mutation { return setSignedBody(setField(t, name, value)) }
	testInvalid(t, []invalidNotification{
		malformed("empty", setSignedBody(""), "decoding the body"),
		malformed("last byte removed", setSignedBody(body[:len(body)-1]), "decoding the body"),
		malformed("text after the object", setSignedBody(body+"{}"), "decoding the body"),
		malformed("null", setSignedBody(`null`), "missing id"),
		malformed("list", setSignedBody(`[`+body+`]`), "decoding the body"),
		malformed("API response", setSignedBody(`{"data":[],"limit":1,"offset":0}`), "missing id"),
		malformed("no id", field("id", nil), "missing id"),
		malformed("invalid id", field("id", []string{}), "decoding the body: id: cannot read [] as a string"),
		malformed("no resource", field("resource", nil), notificationID+": missing resource"),
		malformed("null resource", setSignedBody(`{"id":"1","resource":null}`), "missing resource"),
		malformed("string resource", field("resource", "text"), "decoding the body"),
		malformed("other algorithm", field("resource.algorithm", "AEAD_SM4_GCM"),
			`resource.algorithm must be AEAD_AES_256_GCM, got "AEAD_SM4_GCM"`),
		malformed("no algorithm", field("resource.algorithm", nil),
			`resource.algorithm must be AEAD_AES_256_GCM, got ""`),
	})
}

func TestClient_ParseNotification_undecryptable(t *testing.T) {
	field := func(name string, value any) mutation { return setSignedBody(setField(t, "resource."+name, value)) }
	nonce, associatedData := resourceField(t, "nonce"), resourceField(t, "associated_data")
	raw, err := base64.StdEncoding.DecodeString(resourceField(t, "ciphertext"))
	require.NoError(t, err)
	ciphertext := func(raw string) mutation {
		return field("ciphertext", base64.StdEncoding.EncodeToString([]byte(raw)))
	}
	text := string(raw)
	testInvalid(t, []invalidNotification{
		malformed("nonce changed", field("nonce", flip(nonce, 5)), "APIv3"),
		malformed("nonce too short", field("nonce", nonce[1:]), "nonce"),
		malformed("nonce too long", field("nonce", nonce+"0"), "nonce"),
		malformed("no nonce", field("nonce", nil), "nonce"),
		malformed("associated data changed", field("associated_data", flip(associatedData, 0)), "APIv3"),
		malformed("no associated data", field("associated_data", nil), "APIv3"),
		malformed("ciphertext changed", ciphertext(flip(text, 0)), "APIv3"),
		malformed("tag changed", ciphertext(flip(text, len(text)-1)), "APIv3"),
		malformed("tag truncated", ciphertext(text[:len(text)-1]), "APIv3"),
		malformed("shorter than a tag", field("ciphertext", "AAAA"), "APIv3"),
		malformed("no ciphertext", field("ciphertext", nil), "APIv3"),
		malformed("invalid base64", field("ciphertext", "!"), "base64"),
	})
}

func TestClient_ParseNotification_malformedResource(t *testing.T) {
	const notObject, undecodable = "the decrypted resource is not a JSON object", "decoding the decrypted resource"
	unknownEvent := setSignedBody(encrypted(t, "NEW.EVENT", `{"complaint_id":"1"`))
	testInvalid(t, []invalidNotification{
		malformed("empty", setResource(""), notObject),
		malformed("null", setResource("null"), notObject),
		malformed("list", setResource("[]"), notObject),
		malformed("truncated", setResource(`{"complaint_id":"1"`), undecodable),
		malformed("unknown event, truncated", unknownEvent, notObject),
		malformed("wrong type", setResource(`{"complaint_id":{"id":"`+testComplaintID+`"}}`),
			undecodable+": complaint_id: cannot read it as a string"),
	})
}

// At most 1 MiB is read, regardless of Content-Length.
func TestClient_ParseNotification_bodyLimit(t *testing.T) {
	for _, announced := range []int64{-1, 10, 64 << 20} {
		t.Run(fmt.Sprint(announced), func(t *testing.T) {
			var read int
			req := notification(t)
			req.ContentLength = announced
			req.Body = io.NopCloser(readerFunc(func(p []byte) (int, error) {
				read += len(p)
				return len(p), nil
			}))
			_, err := testClient(t).ParseNotification(req)
			var unverified *wechatpay.VerificationError
			require.ErrorAs(t, err, &unverified)
			require.Equal(t, wechatpay.VerificationReasonBodyTooLarge, unverified.Reason)
			if announced > 1<<20 {
				require.Zero(t, read)
			}
			require.LessOrEqual(t, read, 1<<20+1)
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestClient_ParseNotification_nil(t *testing.T) {
	n, err := testClient(t).ParseNotification(nil)
	require.Nil(t, n)
	var invalid *wechatpay.ArgumentError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, "ParseNotification", invalid.Op)
	require.Equal(t, []wechatpay.ArgumentFault{{Field: "r", Problem: "must not be nil"}}, invalid.Faults)
}

// A body that a framework has read can be verified once it is restored.
func TestClient_ParseNotification_bodyAlreadyRead(t *testing.T) {
	client, req := testClient(t), notification(t)
	body, err := io.ReadAll(req.Body)
	require.NoError(t, err)
	_, err = client.ParseNotification(req)
	require.ErrorContains(t, err, emptyBodyHint)
	req.Body = io.NopCloser(bytes.NewReader(body))
	_, err = client.ParseNotification(req)
	require.NoError(t, err)
}

// The deadline of the request's context applies.
func TestClient_ParseNotification_deadline(t *testing.T) {
	pay, client := newCertificateMode(t, func(cfg *wechatpay.Config) {
		cfg.Transport = roundTripper(func(*http.Request) (*http.Response, error) {
			t.Error("certificates were downloaded")
			return nil, errors.New("no network")
		})
	})
	ctx, cancel := context.WithDeadline(context.Background(), time.Now().Add(-1))
	defer cancel()
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader("{}"))
	req.Header = forged(pay.Now(), "AB")
	_, err := client.ParseNotification(req)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestNotification_Refund(t *testing.T) {
	n, err := testClient(t).ParseNotification(recorded(t, "refund"))
	require.NoError(t, err)
	refund, err := n.Refund()
	require.NoError(t, err)
	require.True(t, refund.SuccessTime.Equal(testTime.Add(-2*time.Second)))
	out, err := json.Marshal(refund)
	require.NoError(t, err)
	require.JSONEq(t, string(n.Resource), string(out))
	refund.SuccessTime = time.Time{}
	require.Equal(t, &wechatpay.RefundNotification{
		MchID:               testMchID,
		TransactionID:       "1008450740201411110005820873",
		OutTradeNo:          "20150806125346",
		RefundID:            "50200207182018070300011301001",
		OutRefundNo:         "7752501201407033233368018",
		RefundStatus:        wechatpay.RefundStatusSuccess,
		UserReceivedAccount: "招商银行信用卡0403",
		Amount: wechatpay.RefundNotificationAmount{
			Total:       999,
			Refund:      998,
			PayerTotal:  997,
			PayerRefund: 996,
		},
	}, refund)

	n.Resource = json.RawMessage(`{"refund_status":"ABNORMAL","success_time":""}`)
	refund, err = n.Refund()
	require.NoError(t, err)
	require.Equal(t, &wechatpay.RefundNotification{RefundStatus: wechatpay.RefundStatusAbnormal}, refund)

	n.Resource = json.RawMessage(`{"sp_mchid":"1900000001","sub_mchid":"1900000109"}`)
	refund, err = n.Refund()
	require.NoError(t, err)
	require.Equal(t, &wechatpay.RefundNotification{SpMchID: "1900000001", SubMchID: "1900000109"}, refund)

	n.Resource = json.RawMessage(`{"sp_mchid":"1900000100","sub_mchid":1900000109,"out_refund_no":"r",
		"refund_status":"ABNORMAL","success_time":"2018-02-25 11:22:33","user_received_account":{},
		"amount":{"total":"999","refund":998}}`)
	refund, err = n.Refund()
	require.NoError(t, err)
	require.True(t, refund.SuccessTime.Equal(time.Date(2018, 2, 25, 3, 22, 33, 0, time.UTC)))
	refund.SuccessTime = time.Time{}
	require.Equal(t, &wechatpay.RefundNotification{
		SpMchID:      "1900000100",
		SubMchID:     "1900000109",
		OutRefundNo:  "r",
		RefundStatus: wechatpay.RefundStatusAbnormal,
		Amount:       wechatpay.RefundNotificationAmount{Total: 999, Refund: 998},
	}, refund)

	n.Resource = json.RawMessage(`{"out_refund_no":"r","amount":{"refund":"9.98"}}`)
	_, err = n.Refund()
	require.EqualError(t, err, "wechatpay: Notification.Refund: notification "+notificationID+
		`: decoding the resource: refund r: amount.refund: cannot read "9.98" as fen`)
	n.Resource = json.RawMessage(`{"amount":[]}`)
	_, err = n.Refund()
	require.ErrorContains(t, err,
		"wechatpay: Notification.Refund: notification "+notificationID+": decoding the resource: ")
	n.EventType = wechatpay.EventComplaintCreate
	_, err = n.Refund()
	require.EqualError(t, err,
		`wechatpay: Notification.Refund: event type must start with REFUND., got "COMPLAINT.CREATE"`)
}

// A notification survives encoding to JSON and decoding.
func TestNotification_JSON_roundTrip(t *testing.T) {
	for _, name := range []string{"complaint", "refund"} {
		t.Run(name, func(t *testing.T) {
			want, err := testClient(t).ParseNotification(recorded(t, name))
			require.NoError(t, err)
			out, err := json.Marshal(want)
			require.NoError(t, err)
			got := new(wechatpay.Notification)
			require.NoError(t, json.Unmarshal(out, got))
			require.True(t, want.CreateTime.Equal(got.CreateTime))
			got.CreateTime = want.CreateTime
			require.JSONEq(t, string(want.Resource), string(got.Resource))
			got.Resource = want.Resource // json.Marshal compacts it
			require.Equal(t, want, got)
		})
	}
}

func TestNotification_JSON_fields(t *testing.T) {
	n, err := testClient(t).ParseNotification(notification(t))
	require.NoError(t, err)
	out, err := json.Marshal(n)
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"EV-2018022511223320873","create_time":"2023-11-15T06:13:20+08:00",
		"event_type":"COMPLAINT.CREATE","summary":"投诉通知",
		"complaint_id":"200201820200101080076610000","action_type":"CREATE_COMPLAINT",
		"resource":{"complaint_id":"200201820200101080076610000","action_type":"CREATE_COMPLAINT"}}`, string(out))
	out, err = json.Marshal(wechatpay.Notification{})
	require.NoError(t, err)
	require.JSONEq(t, `{}`, string(out))
	out, err = json.Marshal(wechatpay.RefundNotification{})
	require.NoError(t, err)
	require.JSONEq(t, `{"amount":{"total":0,"refund":0,"payer_total":0,"payer_refund":0}}`, string(out))
}

// The expected values are copied from the official pages.
func TestNotification_enumerations(t *testing.T) {
	require.Equal(t, []wechatpay.EventType{
		"COMPLAINT.CREATE", "COMPLAINT.STATE_CHANGE",
		"REFUND.SUCCESS", "REFUND.ABNORMAL", "REFUND.CLOSED",
	}, []wechatpay.EventType{
		wechatpay.EventComplaintCreate, wechatpay.EventComplaintStateChange,
		wechatpay.EventRefundSuccess, wechatpay.EventRefundAbnormal, wechatpay.EventRefundClosed,
	})
	require.Equal(t, []wechatpay.NotificationActionType{
		"CREATE_COMPLAINT", "CONTINUE_COMPLAINT",
		"USER_RESPONSE", "RESPONSE_BY_PLATFORM",
		"SELLER_REFUND", "MERCHANT_RESPONSE",
		"MERCHANT_CONFIRM_COMPLETE", "MERCHANT_APPROVE_REFUND",
		"MERCHANT_REJECT_REFUND", "REFUND_SUCCESS",
		"USER_APPLY_PLATFORM_SERVICE", "USER_CANCEL_PLATFORM_SERVICE",
		"PLATFORM_SERVICE_FINISHED",
	}, []wechatpay.NotificationActionType{
		wechatpay.NotificationActionTypeCreateComplaint, wechatpay.NotificationActionTypeContinueComplaint,
		wechatpay.NotificationActionTypeUserResponse, wechatpay.NotificationActionTypeResponseByPlatform,
		wechatpay.NotificationActionTypeSellerRefund, wechatpay.NotificationActionTypeMerchantResponse,
		wechatpay.NotificationActionTypeMerchantConfirmComplete, wechatpay.NotificationActionTypeMerchantApproveRefund,
		wechatpay.NotificationActionTypeMerchantRejectRefund, wechatpay.NotificationActionTypeRefundSuccess,
		wechatpay.NotificationActionTypeUserApplyPlatformService,
		wechatpay.NotificationActionTypeUserCancelPlatformService,
		wechatpay.NotificationActionTypePlatformServiceFinished,
	})
}

// Formatting a Client does not print its APIv3 key.
func TestClient_Format_hidesAPIv3Key(t *testing.T) {
	client := testClient(t)
	holder := struct {
		pointer *wechatpay.Client
		value   wechatpay.Client
	}{client, *client}
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		require.NotContains(t, fmt.Sprintf(verb, client), testAPIv3Key)
		require.NotContains(t, fmt.Sprintf(verb, holder), testAPIv3Key)
	}
}

// Only the recorded notification is accepted.
func FuzzClient_ParseNotification(f *testing.F) {
	client := testClient(f)
	body, header := testdata(f, "notification/complaint.body"), notification(f).Header
	names := []string{"Timestamp", "Nonce", "Serial", "Signature", "Signature-Type"}
	add := func(body []byte, change func(http.Header)) {
		h := header.Clone()
		change(h)
		value := func(i int) string { return h.Get("Wechatpay-" + names[i]) }
		f.Add(body, value(0), value(1), value(2), value(3), value(4))
	}
	add(body, func(http.Header) {})
	add(body[1:], func(http.Header) {})
	add(nil, func(http.Header) {})
	for _, name := range names {
		add(body, func(h http.Header) { h.Set("Wechatpay-"+name, "") })
		add(body, func(h http.Header) { h.Set("Wechatpay-"+name, "WECHATPAY/SIGNTEST/") })
	}
	f.Fuzz(func(t *testing.T, content []byte, timestamp, nonce, serial, signature, signatureType string) {
		req := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(content))
		for i, value := range []string{timestamp, nonce, serial, signature, signatureType} {
			req.Header.Set("Wechatpay-"+names[i], value)
		}
		n, err := client.ParseNotification(req)
		require.NotEqual(t, n == nil, err == nil)
		if err == nil {
			require.Equal(t, string(body), string(content))
			require.Equal(t, header.Get("Wechatpay-Nonce"), nonce)
			return
		}
		require.NotContains(t, err.Error(), "\n")
	})
}

// Correctly signed notifications are parsed or fail with a NotificationError,
// and what was parsed survives encoding to JSON.
func FuzzClient_ParseNotification_signed(f *testing.F) {
	client := testClient(f)
	for _, name := range []string{"complaint", "empty_data", "no_data", "refund"} {
		f.Add(testdata(f, "notification/"+name+".body"), "", "")
		f.Add([]byte{}, "COMPLAINT.CREATE", string(testdata(f, "notification/"+name+".plain")))
		f.Add([]byte{}, "REFUND.SUCCESS", string(testdata(f, "notification/"+name+".plain")))
	}
	const emptyTime = `{"id":"1","create_time":"","resource":{"algorithm":"AEAD_AES_256_GCM","nonce":"fdasflkja484"}}`
	f.Add([]byte(emptyTime), "", "")
	f.Add([]byte(`{"id":1,"resource":[]}`), "", "")
	f.Add([]byte{}, "", "null")
	f.Add([]byte{}, "COMPLAINT.", `{"complaint_id":[]}`)
	f.Fuzz(func(t *testing.T, body []byte, eventType, resource string) {
		if len(body) == 0 {
			body = []byte(encrypted(t, eventType, resource))
		}
		n, err := client.ParseNotification(signedNotification(t, string(body)))
		require.NotEqual(t, n == nil, err == nil)
		if err != nil {
			var malformed *wechatpay.NotificationError
			require.ErrorAs(t, err, &malformed)
			require.NotContains(t, err.Error(), "\n")
			return
		}
		require.NotEmpty(t, n.ID)
		require.True(t, json.Valid(n.Resource))
		_, _ = n.Refund()
		out, err := json.Marshal(n)
		if err != nil {
			// For example, a time whose year has five digits.
			require.ErrorContains(t, err, "Time.MarshalJSON")
			return
		}
		decoded := new(wechatpay.Notification)
		require.NoError(t, json.Unmarshal(out, decoded))
		require.Equal(t, n.ComplaintID, decoded.ComplaintID)
		require.True(t, n.CreateTime.Equal(decoded.CreateTime))
	})
}

// BenchmarkNotification compares with a hand-written floor: read the body, verify
// one signature, decrypt once, decode JSON.
//
//	go test -run '^$' -bench Notification -benchmem -count 10
func BenchmarkNotification(b *testing.B) {
	body, header := testdata(b, "notification/complaint.body"), notification(b).Header
	request := func() *http.Request {
		req, err := http.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		req.Header = header
		return req
	}
	b.Run("floor", func(b *testing.B) {
		platform := &privateKey(b, "platform_key.pem").PublicKey
		b.ReportAllocs()
		for b.Loop() {
			if complaintID, err := parseByHand(request(), platform); err != nil || complaintID != testComplaintID {
				b.Fatal(complaintID, err)
			}
		}
	})
	b.Run("ParseNotification", func(b *testing.B) {
		client := testClient(b)
		b.ReportAllocs()
		for b.Loop() {
			if n, err := client.ParseNotification(request()); err != nil || n.ComplaintID != testComplaintID {
				b.Fatal(err)
			}
		}
	})
	b.Run("NotificationHandler", func(b *testing.B) {
		handler := testClient(b).NotificationHandler(acceptNotification)
		b.ReportAllocs()
		for b.Loop() {
			w := &discardingWriter{header: http.Header{}}
			if handler.ServeHTTP(w, request()); w.status != 200 {
				b.Fatal(w.status)
			}
		}
	})
}

type discardingWriter struct {
	header http.Header
	status int
}

func (w *discardingWriter) Header() http.Header         { return w.header }
func (w *discardingWriter) WriteHeader(status int)      { w.status = status }
func (w *discardingWriter) Write(p []byte) (int, error) { return len(p), nil }

// parseByHand parses a notification without the SDK.
func parseByHand(r *http.Request, platform *rsa.PublicKey) (complaintID string, err error) {
	body, err := verifyByHand(r, platform)
	if err != nil {
		return "", err
	}
	var envelope struct {
		ID         string    `json:"id"`
		CreateTime time.Time `json:"create_time"`
		EventType  string    `json:"event_type"`
		Summary    string    `json:"summary"`
		Resource   struct {
			Ciphertext     string `json:"ciphertext"`
			Nonce          string `json:"nonce"`
			AssociatedData string `json:"associated_data"`
		} `json:"resource"`
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		return "", err
	}
	block, err := aes.NewCipher([]byte(testAPIv3Key))
	if err != nil {
		return "", err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return "", err
	}
	ciphertext, err := base64.StdEncoding.DecodeString(envelope.Resource.Ciphertext)
	if err != nil {
		return "", err
	}
	plain, err := aead.Open(nil, []byte(envelope.Resource.Nonce), ciphertext, []byte(envelope.Resource.AssociatedData))
	if err != nil {
		return "", err
	}
	var resource struct {
		ComplaintID string `json:"complaint_id"`
		ActionType  string `json:"action_type"`
	}
	if err := json.Unmarshal(plain, &resource); err != nil {
		return "", err
	}
	return resource.ComplaintID, nil
}

// verifyByHand returns the body if its signature is valid.
func verifyByHand(r *http.Request, platform *rsa.PublicKey) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	timestamp := r.Header.Get("Wechatpay-Timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return nil, err
	}
	age := testClock().Sub(time.Unix(seconds, 0)).Abs()
	if age >= 300*time.Second || r.Header.Get("Wechatpay-Serial") != testPublicKeyID {
		return nil, errors.New("expired, or signed with another key")
	}
	signature, err := base64.StdEncoding.DecodeString(r.Header.Get("Wechatpay-Signature"))
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256([]byte(timestamp + "\n" + r.Header.Get("Wechatpay-Nonce") + "\n" + string(body) + "\n"))
	if err := rsa.VerifyPKCS1v15(platform, crypto.SHA256, digest[:], signature); err != nil {
		return nil, err
	}
	return body, nil
}
