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
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

const notificationID = "EV-2018022511223320873"

// testClient makes a client that sends nothing.
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

// recorded is a notification of testdata/notification, made by Node and OpenSSL.
func recorded(t testing.TB, name string) *http.Request {
	t.Helper()
	req := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(testdata(t, "notification/"+name+".body")))
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

// signedNotification is a notification whose signature holds, whatever the body.
func signedNotification(t testing.TB, body string) *http.Request {
	req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	signed(t, body).set(t, req.Header)
	return req
}

// encrypted is a body with the resource, which has associated data "complaint".
func encrypted(t testing.TB, eventType, resource string) string {
	block, err := aes.NewCipher([]byte(testAPIv3Key))
	require.NoError(t, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(t, err)
	const nonce = "fdasflkja484"
	return fmt.Sprintf(`{"id":%q,"create_time":"2023-11-15T06:13:20+08:00","event_type":%q,"resource":{"algorithm":"AEAD_AES_256_GCM","ciphertext":%q,"nonce":%q,"associated_data":"complaint"}}`,
		notificationID, eventType, base64.StdEncoding.EncodeToString(aead.Seal(nil, []byte(nonce), []byte(resource), []byte("complaint"))), nonce)
}

// Made by another implementation: see testdata/notification/make.sh.
func TestParseRecordedNotifications(t *testing.T) {
	tests := []struct {
		name  string
		event wechatpay.EventType
		id    string
		act   wechatpay.NotificationActionType
	}{
		{"complaint", wechatpay.EventComplaintCreate, testComplaintID, wechatpay.NotificationActionTypeCreateComplaint},
		{"empty_data", wechatpay.EventComplaintStateChange, testComplaintID, wechatpay.NotificationActionTypeUserApplyPlatformService}, // sent as …_SERIVCE
		{"no_data", wechatpay.EventComplaintStateChange, testComplaintID, wechatpay.NotificationActionTypeUserApplyPlatformService},
		{"refund", wechatpay.EventRefundSuccess, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, err := testClient(t).ParseNotification(recorded(t, tt.name))
			require.NoError(t, err)
			require.True(t, n.CreateTime.Equal(testTime))
			n.CreateTime = time.Time{}
			require.Equal(t, &wechatpay.Notification{
				ID: notificationID, EventType: tt.event, Summary: "投诉通知", ComplaintID: tt.id, ActionType: tt.act,
				Resource: testdata(t, "notification/"+tt.name+".plain"),
			}, n)
		})
	}
}

func TestNotificationRefund(t *testing.T) {
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
		MchID: testMchID, TransactionID: "1008450740201411110005820873", OutTradeNo: "20150806125346", RefundID: "50200207182018070300011301001",
		OutRefundNo: "7752501201407033233368018", RefundStatus: wechatpay.RefundStatusSuccess, UserReceivedAccount: "招商银行信用卡0403",
		Amount: wechatpay.RefundNotificationAmount{Total: 999, Refund: 998, PayerTotal: 997, PayerRefund: 996},
	}, refund)

	n.Resource = json.RawMessage(`{"refund_status":"ABNORMAL","success_time":""}`)
	refund, err = n.Refund()
	require.NoError(t, err)
	require.Equal(t, &wechatpay.RefundNotification{RefundStatus: wechatpay.RefundStatusAbnormal}, refund)

	n.Resource = json.RawMessage(`{"amount":[]}`)
	_, err = n.Refund()
	require.ErrorContains(t, err, "wechatpay: Notification.Refund: notification "+notificationID)
	n.EventType = wechatpay.EventComplaintCreate
	_, err = n.Refund()
	require.EqualError(t, err, `wechatpay: Notification.Refund: a "COMPLAINT.CREATE" event is not about a refund, only REFUND.… events are`)
}

// What this version does not know passes through; what is not needed may be
// missing.
func TestParseUnknownNotifications(t *testing.T) {
	tests := []struct {
		name, event, resource string
		id                    string
		act                   wechatpay.NotificationActionType
	}{
		{"unknown action", "COMPLAINT.STATE_CHANGE", `{"complaint_id":"1","action_type":"NEW"}`, "1", "NEW"},
		{"unknown field", "COMPLAINT.STATE_CHANGE", `{"complaint_id":"1","more":{"a":[1]}}`, "1", ""},
		{"unknown complaint event", "COMPLAINT.NEW", `{"complaint_id":"1"}`, "1", ""},
		{"unknown event", "NEW.EVENT", `{"complaint_id":1,"action_type":{}}`, "", ""},
		{"no event", "", `{}`, "", ""},
		{"blanks around", "COMPLAINT.CREATE", "\n {\"complaint_id\":\"1\"} \n", "1", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, err := testClient(t).ParseNotification(signedNotification(t, encrypted(t, tt.event, tt.resource)))
			require.NoError(t, err)
			require.Equal(t, wechatpay.EventType(tt.event), n.EventType)
			require.Equal(t, tt.id, n.ComplaintID)
			require.Equal(t, tt.act, n.ActionType)
			require.Equal(t, tt.resource, string(n.Resource))
		})
	}
}

// flip changes one bit of a byte.
func flip(s string, i int) string {
	b := []byte(s)
	b[i] ^= 1
	return string(b)
}

// Each of these differs from a good notification in one thing.
func TestRefusedNotifications(t *testing.T) {
	body := string(testdata(t, "notification/complaint.body"))
	with := func(name string, value any) string {
		var envelope map[string]any
		require.NoError(t, json.Unmarshal([]byte(body), &envelope))
		in := envelope
		if field, ok := strings.CutPrefix(name, "resource."); ok {
			in, name = envelope["resource"].(map[string]any), field
		}
		require.Contains(t, in, name)
		in[name] = value
		if value == nil {
			delete(in, name)
		}
		out, err := json.Marshal(envelope)
		require.NoError(t, err)
		return string(out)
	}
	field := func(name string) string {
		var envelope struct{ Resource map[string]string }
		require.NoError(t, json.Unmarshal([]byte(body), &envelope))
		return envelope.Resource[name]
	}
	ciphertext, err := base64.StdEncoding.DecodeString(field("ciphertext"))
	require.NoError(t, err)
	tampered := func(i int) string { return base64.StdEncoding.EncodeToString([]byte(flip(string(ciphertext), i))) }
	type request = http.Request
	header := func(name, value string) func(*request) *request {
		return func(r *request) *request { r.Header.Set(name, value); return r }
	}
	sign := func(change func(*signature)) func(*request) *request {
		return func(r *request) *request {
			s := signed(t, body)
			change(&s)
			s.set(t, r.Header)
			return r
		}
	}
	content := func(text string) func(*request) *request {
		return func(*request) *request { return signedNotification(t, text) }
	}
	raw := func(text string) func(*request) *request {
		return func(r *request) *request {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
			return r
		}
	}
	resource := func(text string) func(*request) *request {
		return content(encrypted(t, "COMPLAINT.CREATE", text))
	}
	method := func(name string) func(*request) *request {
		return func(r *request) *request { r.Method = name; return r }
	}

	tests := []struct {
		name   string
		change func(*request) *request
		status int
		reason wechatpay.VerificationReason // of a 401
		text   string
	}{
		{"GET", method("GET"), 405, "", "a notification is a POST"},
		{"HEAD", method("HEAD"), 405, "", "a notification is a POST"},
		{"PUT", method("PUT"), 405, "", "a notification is a POST"},

		{"the merchant's key", sign(func(s *signature) { s.key = privateKey(t, "merchant_key.pem") }), 401, wechatpay.VerificationReasonSignatureMismatch, ""},
		{"unknown public key", sign(func(s *signature) { s.serial = "PUB_KEY_ID_1" }), 401, wechatpay.VerificationReasonUnknownSerial, ""},
		{"unknown certificate", sign(func(s *signature) { s.serial = "1234567890ABCDEF" }), 401, wechatpay.VerificationReasonUnknownSerial, ""}, // no certificates can be downloaded
		{"300 s old", sign(func(s *signature) { s.at = testTime.Add(-300 * time.Second) }), 401, wechatpay.VerificationReasonTimestamp, ""},
		{"300 s ahead", sign(func(s *signature) { s.at = testTime.Add(300 * time.Second) }), 401, wechatpay.VerificationReasonTimestamp, ""},
		{"probe", header("Wechatpay-Signature", "WECHATPAY/SIGNTEST/"+string(testdata(t, "notification/complaint.sig"))), 401, wechatpay.VerificationReasonProbe, ""},
		{"other timestamp", header("Wechatpay-Timestamp", "1700000001"), 401, wechatpay.VerificationReasonSignatureMismatch, ""},
		{"other nonce", header("Wechatpay-Nonce", "EqYtEtmd8XJ1Q2ZFVkAAM3pNSDWg5KYG"), 401, wechatpay.VerificationReasonSignatureMismatch, ""},
		{"signature of another", header("Wechatpay-Signature", string(testdata(t, "notification/refund.sig"))), 401, wechatpay.VerificationReasonSignatureMismatch, ""},
		{"other signature type", header("Wechatpay-Signature-Type", "WECHATPAY2-SM2-WITH-SM3"), 401, wechatpay.VerificationReasonMalformedHeader, ""},
		{"unsigned", func(r *request) *request {
			r.Header = http.Header{"Content-Type": {"application/json"}}
			return r
		}, 401, wechatpay.VerificationReasonUnsigned, ""},
		{"no timestamp", func(r *request) *request { r.Header.Del("Wechatpay-Timestamp"); return r }, 401, wechatpay.VerificationReasonMalformedHeader, ""},
		{"two signatures", func(r *request) *request {
			r.Header.Add("Wechatpay-Signature", "AAAA")
			return r
		}, 401, wechatpay.VerificationReasonMalformedHeader, ""},

		{"first byte flipped", raw(flip(body, 0)), 401, wechatpay.VerificationReasonSignatureMismatch, ""},
		{"a byte flipped", raw(flip(body, len(body)/2)), 401, wechatpay.VerificationReasonSignatureMismatch, ""},
		{"last byte flipped", raw(flip(body, len(body)-1)), 401, wechatpay.VerificationReasonSignatureMismatch, ""},
		{"truncated", raw(body[:len(body)-1]), 401, wechatpay.VerificationReasonSignatureMismatch, ""},
		{"a line end added", raw(body + "\n"), 401, wechatpay.VerificationReasonSignatureMismatch, ""},
		{"written anew", raw(with("summary", "投诉通知")), 401, wechatpay.VerificationReasonSignatureMismatch, ""},
		{"empty", raw(""), 401, wechatpay.VerificationReasonSignatureMismatch, "something read it before"},
		{"no body", func(r *request) *request { r.Body = nil; return r }, 401, wechatpay.VerificationReasonSignatureMismatch, "something read it before"},
		{"64 MiB", func(r *request) *request {
			r.Body, r.ContentLength = io.NopCloser(io.LimitReader(zeros{}, 64<<20)), 64<<20
			return r
		}, 401, wechatpay.VerificationReasonBodyTooLarge, ""},
		{"64 MiB of unknown length", func(r *request) *request {
			r.Body, r.ContentLength = io.NopCloser(io.LimitReader(zeros{}, 64<<20)), -1
			return r
		}, 401, wechatpay.VerificationReasonBodyTooLarge, ""},
		{"1 MiB and a byte, rightly signed", content(body + strings.Repeat(" ", 1<<20+1-len(body))), 401, wechatpay.VerificationReasonBodyTooLarge, ""},
		{"broken off", func(r *request) *request {
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(body[:10]), errorReader{errors.New("connection reset")}))
			return r
		}, 400, "", "the body broke off: connection reset"},

		// Rightly signed, so that only the content is at fault.
		{"empty, rightly signed", content(""), 400, "", "the body cannot be decoded"},
		{"truncated, rightly signed", content(body[:len(body)-1]), 400, "", "the body cannot be decoded"},
		{"text after the object", content(body + "{}"), 400, "", "the body cannot be decoded"},
		{"null", content(`null`), 400, "", "it has no id"},
		{"a list", content(`[` + body + `]`), 400, "", "the body cannot be decoded"},
		{"an answer of the API", content(`{"data":[],"limit":1,"offset":0}`), 400, "", "it has no id"},
		{"no id", content(with("id", nil)), 400, "", "it has no id"},
		{"a time that is none", content(with("create_time", "yesterday")), 400, "", "the body cannot be decoded"},
		{"no resource", content(with("resource", nil)), 400, "", notificationID + ": it has no resource"},
		{"null resource", content(`{"id":"1","resource":null}`), 400, "", "it has no resource"},
		{"a resource that is none", content(with("resource", "text")), 400, "", "the body cannot be decoded"},
		{"other algorithm", content(with("resource.algorithm", "AEAD_SM4_GCM")), 400, "", `encrypted with "AEAD_SM4_GCM"`},
		{"no algorithm", content(with("resource.algorithm", nil)), 400, "", `encrypted with ""`},
		{"nonce changed", content(with("resource.nonce", flip(field("nonce"), 5))), 400, "", "APIv3"},
		{"short nonce", content(with("resource.nonce", field("nonce")[1:])), 400, "", "nonce"},
		{"long nonce", content(with("resource.nonce", field("nonce")+"0")), 400, "", "nonce"},
		{"no nonce", content(with("resource.nonce", nil)), 400, "", "nonce"},
		{"associated data changed", content(with("resource.associated_data", flip(field("associated_data"), 0))), 400, "", "APIv3"},
		{"no associated data", content(with("resource.associated_data", nil)), 400, "", "APIv3"},
		{"ciphertext changed", content(with("resource.ciphertext", tampered(0))), 400, "", "APIv3"},
		{"tag changed", content(with("resource.ciphertext", tampered(len(ciphertext)-1))), 400, "", "APIv3"},
		{"tag cut", content(with("resource.ciphertext", base64.StdEncoding.EncodeToString(ciphertext[:len(ciphertext)-1]))), 400, "", "APIv3"},
		{"less than a tag", content(with("resource.ciphertext", "AAAA")), 400, "", "APIv3"},
		{"no ciphertext", content(with("resource.ciphertext", nil)), 400, "", "APIv3"},
		{"not base64", content(with("resource.ciphertext", "!")), 400, "", "base64"},
		{"resource empty inside", resource(""), 400, "", "not a JSON object"},
		{"resource null inside", resource("null"), 400, "", "not a JSON object"},
		{"resource a list inside", resource("[]"), 400, "", "not a JSON object"},
		{"resource cut inside", resource(`{"complaint_id":"1"`), 400, "", "cannot be decoded"},
		{"resource of an unknown event cut inside", content(encrypted(t, "NEW.EVENT", `{"complaint_id":"1"`)), 400, "", "not a JSON object"},
		{"resource of other types inside", resource(`{"complaint_id":1}`), 400, "", "cannot be decoded"},
	}
	for _, insecure := range []bool{false, true} {
		var log bytes.Buffer
		client := testClient(t, func(cfg *wechatpay.Config) {
			cfg.InsecureSkipVerify = insecure // of answers; notifications are verified always
			cfg.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		handler := client.NotificationHandler(func(context.Context, *wechatpay.Notification) error {
			t.Error("the merchant's code ran")
			return nil
		})
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%s, InsecureSkipVerify %v", tt.name, insecure), func(t *testing.T) {
				n, err := client.ParseNotification(tt.change(notification(t)))
				require.Nil(t, n)
				require.ErrorContains(t, err, tt.text)
				require.True(t, strings.HasPrefix(err.Error(), "wechatpay: ParseNotification: "), err)
				var unverified *wechatpay.VerificationError
				if errors.As(err, &unverified) {
					require.Equal(t, tt.reason, unverified.Reason)
					require.Equal(t, 401, tt.status)
				} else {
					var unreadable *wechatpay.NotificationError
					require.ErrorAs(t, err, &unreadable)
					require.NotEqual(t, 401, tt.status)
				}

				log.Reset()
				answer := httptest.NewRecorder()
				handler.ServeHTTP(answer, tt.change(notification(t)))
				require.Equal(t, tt.status, answer.Code)
				requireFail(t, answer)
				if tt.status == 405 {
					require.Equal(t, "POST", answer.Header().Get("Allow"))
					require.Empty(t, log.String())
					return
				}
				level := "WARN"
				if tt.status == 400 && tt.name != "broken off" { // its signature holds
					level = "ERROR"
				}
				require.Contains(t, log.String(), fmt.Sprintf(`"level":%q,"msg":"wechatpay: notification","status":%d`, level, tt.status))

				for _, text := range []string{err.Error(), log.String()} {
					require.NotContains(t, strings.TrimSuffix(text, "\n"), "\n")
					for _, secret := range []string{testAPIv3Key, testComplaintID, field("ciphertext"), notification(t).Header.Get("Wechatpay-Signature")} {
						require.NotContains(t, text, secret)
					}
				}
			})
		}
	}
}

// requireFail checks an answer that is no success, and tells nothing but that.
func requireFail(t *testing.T, answer *httptest.ResponseRecorder) {
	t.Helper()
	require.Equal(t, "application/json", answer.Header().Get("Content-Type"))
	require.Equal(t, fmt.Sprintf(`{"code":"FAIL","message":%q}`, http.StatusText(answer.Code)), answer.Body.String())
}

// Over the limit nothing more is read, whatever was announced.
func TestNotificationBodyIsBounded(t *testing.T) {
	for _, announced := range []int64{-1, 10, 64 << 20} {
		var read int
		req := notification(t)
		req.ContentLength = announced
		req.Body = io.NopCloser(readerFunc(func(p []byte) (int, error) {
			read += len(p)
			return len(p), nil
		}))
		_, err := testClient(t).ParseNotification(req)
		var refused *wechatpay.VerificationError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, wechatpay.VerificationReasonBodyTooLarge, refused.Reason)
		if announced > 1<<20 {
			require.Zero(t, read)
		}
		require.LessOrEqual(t, read, 1<<20+1)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestNotificationWithoutAPIv3Key(t *testing.T) {
	var log bytes.Buffer
	client := testClient(t, func(cfg *wechatpay.Config) {
		cfg.APIv3Key = ""
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	_, err := client.ParseNotification(notification(t))
	var missing *wechatpay.ArgumentError
	require.ErrorAs(t, err, &missing)
	require.Equal(t, "APIv3Key", missing.Faults[0].Field)

	handler := client.NotificationHandler(nil)
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, notification(t))
	require.Equal(t, 500, answer.Code)
	requireFail(t, answer)
	require.Contains(t, log.String(), "level=ERROR")
	require.Contains(t, log.String(), "APIv3Key")

	// Who cannot prove to be WeChat Pay does not learn of it.
	forged := notification(t)
	forged.Header.Set("Wechatpay-Nonce", "0")
	answer = httptest.NewRecorder()
	handler.ServeHTTP(answer, forged)
	require.Equal(t, 401, answer.Code)
}

func TestNotificationHandler(t *testing.T) {
	type key struct{}
	tests := []struct {
		name   string
		handle func(context.Context, *wechatpay.Notification) error
		status int
		log    []string
	}{
		{"success", func(ctx context.Context, n *wechatpay.Notification) error {
			if n.ID != notificationID || n.ComplaintID != testComplaintID || ctx.Value(key{}) != "value" {
				return errors.New("something is missing")
			}
			return nil
		}, 200, []string{"level=DEBUG", "id=" + notificationID, "event_type=COMPLAINT.CREATE", "action_type=CREATE_COMPLAINT", "status=200"}},
		{"error", func(context.Context, *wechatpay.Notification) error { return errors.New("database gone") }, 500,
			[]string{"level=ERROR", "database gone", "id=" + notificationID}},
		{"in work", func(context.Context, *wechatpay.Notification) error {
			return fmt.Errorf("not now: %w", wechatpay.ErrNotificationInProgress)
		}, 503, []string{"level=DEBUG", "not now"}},
		{"not recorded", func(context.Context, *wechatpay.Notification) error {
			return fmt.Errorf("%w: store gone", wechatpay.ErrNotificationNotRecorded)
		}, 200, []string{"level=ERROR", "store gone"}},
		{"panic", func(context.Context, *wechatpay.Notification) error { panic("merchant's bug") }, 500,
			[]string{"level=ERROR", "panic: merchant's bug", "notifications_test.go"}},
		{"panic with http.ErrAbortHandler", func(context.Context, *wechatpay.Notification) error { panic(http.ErrAbortHandler) }, 500,
			[]string{"level=ERROR", "panic: net/http: abort Handler"}},
		{"no code", nil, 500, []string{"level=ERROR", "nil pointer"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			client := testClient(t, func(cfg *wechatpay.Config) {
				cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			answer := httptest.NewRecorder()
			req := notification(t)
			client.NotificationHandler(tt.handle).ServeHTTP(answer, req.WithContext(context.WithValue(req.Context(), key{}, "value")))
			require.Equal(t, tt.status, answer.Code)
			if tt.status == 200 {
				require.Equal(t, "application/json", answer.Header().Get("Content-Type"))
				require.Equal(t, `{"code":"SUCCESS"}`, answer.Body.String())
			} else {
				requireFail(t, answer)
			}
			for _, text := range tt.log {
				require.Contains(t, log.String(), text)
			}

			// The same without a logger.
			answer = httptest.NewRecorder()
			testClient(t).NotificationHandler(tt.handle).ServeHTTP(answer, req)
		})
	}
}

// An APIv3 key that was mistyped stops every notification: the merchant must
// learn of it.
func TestNotificationUnderAnotherAPIv3Key(t *testing.T) {
	var log bytes.Buffer
	client := testClient(t, func(cfg *wechatpay.Config) {
		cfg.APIv3Key = strings.Repeat("x", 32)
		cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
	})
	answer := httptest.NewRecorder()
	client.NotificationHandler(nil).ServeHTTP(answer, notification(t))
	require.Equal(t, 400, answer.Code)
	require.Contains(t, log.String(), "that is not the merchant's APIv3 key")
}

// The merchant's code may change the notification, and give it to a goroutine
// that goes on when it has returned.
func TestNotificationIsTheHandles(t *testing.T) {
	var log bytes.Buffer
	client := testClient(t, func(cfg *wechatpay.Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	store := wechatpay.NewMemoryStore()
	var changed sync.WaitGroup
	changed.Add(1)
	handler := client.NotificationHandler(wechatpay.Once(store, func(_ context.Context, n *wechatpay.Notification) error {
		go func() { // the race detector sees who reads n meanwhile
			defer changed.Done()
			*n = wechatpay.Notification{ID: "mine"}
		}()
		return nil
	}))
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, notification(t))
	changed.Wait()
	require.Equal(t, 200, answer.Code)
	require.Contains(t, log.String(), "id="+notificationID)
	requireState(t, store, notificationID, "a", wechatpay.NotificationStateHandled)
}

// A forger names a certificate that is none, and hangs up: the download goes on,
// and is not held against the genuine notification that comes next.
func TestForgerHangsUp(t *testing.T) {
	ctx, hangUp := context.WithCancel(context.Background())
	asked := false
	base := wechatpay.NewTransport()
	t.Cleanup(base.CloseIdleConnections)
	pay, client := newCertificateMode(t, func(cfg *wechatpay.Config) {
		cfg.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/v3/certificates" && asked {
				hangUp()
				resp, err := base.RoundTrip(r)
				if r.Context().Err() != nil {
					return nil, r.Context().Err()
				}
				return resp, err
			}
			return base.RoundTrip(r)
		})
	})
	require.NoError(t, get(context.Background(), client))
	pay.RotateCertificate()
	asked = true
	handler := client.NotificationHandler(func(context.Context, *wechatpay.Notification) error { return nil })

	forgery := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader("{}"))
	forgery.Header = forged(pay.Now(), "AB")
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, forgery)
	require.Equal(t, 401, answer.Code)
	require.Error(t, ctx.Err(), "nothing was downloaded")

	genuine, err := pay.NewNotification(context.Background(), "/", wechatpaytest.Notification{EventType: "COMPLAINT.CREATE", ComplaintID: testComplaintID, ActionType: "CREATE_COMPLAINT"})
	require.NoError(t, err)
	answer = httptest.NewRecorder()
	handler.ServeHTTP(answer, genuine)
	require.Equal(t, 200, answer.Code)
}

// The deadline of the request's own context stands.
func TestParseNotificationKeepsTheDeadline(t *testing.T) {
	pay, client := newCertificateMode(t, func(cfg *wechatpay.Config) {
		cfg.Transport = roundTripper(func(*http.Request) (*http.Response, error) {
			t.Error("something was downloaded")
			return nil, errors.New("no network")
		})
	})
	ctx, cancel := context.WithDeadline(context.Background(), time.Now().Add(-1))
	defer cancel()
	forgery := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader("{}"))
	forgery.Header = forged(pay.Now(), "AB")
	_, err := client.ParseNotification(forgery)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// The merchant's code has the 5 s that WeChat Pay waits, and less if the request
// ends before.
func TestNotificationHandlerContext(t *testing.T) {
	began := time.Now()
	handler := testClient(t).NotificationHandler(func(ctx context.Context, _ *wechatpay.Notification) error {
		deadline, ok := ctx.Deadline()
		require.True(t, ok)
		require.False(t, deadline.Before(began.Add(5*time.Second)))
		require.False(t, deadline.After(time.Now().Add(5*time.Second)))
		return nil
	})
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, notification(t))
	require.Equal(t, 200, answer.Code)

	ctx, cancel := context.WithCancel(context.Background())
	handler = testClient(t).NotificationHandler(func(ctx context.Context, _ *wechatpay.Notification) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	})
	answer = httptest.NewRecorder()
	handler.ServeHTTP(answer, notification(t).WithContext(ctx))
	require.Equal(t, 500, answer.Code)
}

// A framework that reads the body first, and what to do about it.
func TestNotificationWhoseBodyWasRead(t *testing.T) {
	var client *wechatpay.Client
	req := notification(t)
	body, err := io.ReadAll(req.Body)
	require.NoError(t, err)
	client = testClient(t)
	_, err = client.ParseNotification(req)
	require.ErrorContains(t, err, "the body is empty: something read it before")
	req.Body = io.NopCloser(bytes.NewReader(body))
	_, err = client.ParseNotification(req)
	require.NoError(t, err)
}

// The double encrypts and signs with code of its own.
func TestNotificationsOfTheDouble(t *testing.T) {
	pay := wechatpaytest.NewServer()
	t.Cleanup(pay.Close)
	client := payClient(t, pay)
	got := make(chan *wechatpay.Notification, 1)
	server := httptest.NewServer(client.NotificationHandler(func(_ context.Context, n *wechatpay.Notification) error {
		got <- n
		return nil
	}))
	t.Cleanup(server.Close)
	tests := []struct {
		fault  wechatpaytest.FaultKind
		status int
	}{
		{"", 200}, {wechatpaytest.FaultForged, 401}, {wechatpaytest.FaultUnsigned, 401}, {wechatpaytest.FaultProbe, 401}, {wechatpaytest.FaultOld, 401},
	}
	for _, tt := range tests {
		t.Run(string(tt.fault), func(t *testing.T) {
			resp, err := pay.Notify(context.Background(), server.URL, wechatpaytest.Notification{
				EventType: "COMPLAINT.CREATE", ComplaintID: testComplaintID, ActionType: "CREATE_COMPLAINT", Fault: tt.fault,
			})
			require.NoError(t, err)
			require.Equal(t, tt.status, resp.StatusCode)
			if tt.status == 200 {
				require.Equal(t, testComplaintID, (<-got).ComplaintID)
			}
		})
	}
}

// 300 notifications at once: each is handled, none twice.
func TestManyNotificationsAtOnce(t *testing.T) {
	const many = 300
	pay := wechatpaytest.NewServer()
	t.Cleanup(pay.Close)
	client := payClient(t, pay)
	var mu sync.Mutex
	handled := map[string]int{}
	server := httptest.NewServer(client.NotificationHandler(wechatpay.Once(wechatpay.NewMemoryStore(), func(_ context.Context, n *wechatpay.Notification) error {
		mu.Lock()
		defer mu.Unlock()
		handled[n.ComplaintID]++
		return nil
	})))
	t.Cleanup(server.Close)
	var answered atomic.Int32
	var wg sync.WaitGroup
	began := time.Now()
	for i := range many {
		wg.Add(1)
		go func() {
			defer wg.Done()
			resp, err := pay.Notify(context.Background(), server.URL, wechatpaytest.Notification{
				EventType: "COMPLAINT.STATE_CHANGE", ComplaintID: fmt.Sprint(i), ActionType: "USER_RESPONSE",
			})
			if err != nil {
				t.Error(err)
			} else if resp.StatusCode == 200 {
				answered.Add(1)
			}
		}()
	}
	wg.Wait()
	t.Logf("%d notifications at once in %v", many, time.Since(began))
	require.EqualValues(t, many, answered.Load())
	require.Len(t, handled, many)
	for id, n := range handled {
		require.Equal(t, 1, n, id)
	}
}

// A notification can be put into a queue and taken out again.
func TestNotificationAsJSON(t *testing.T) {
	for _, name := range []string{"complaint", "refund"} {
		n, err := testClient(t).ParseNotification(recorded(t, name))
		require.NoError(t, err)
		out, err := json.Marshal(n)
		require.NoError(t, err)
		again := new(wechatpay.Notification)
		require.NoError(t, json.Unmarshal(out, again))
		require.True(t, n.CreateTime.Equal(again.CreateTime))
		again.CreateTime = n.CreateTime
		require.JSONEq(t, string(n.Resource), string(again.Resource))
		again.Resource = n.Resource // written on one line
		require.Equal(t, n, again)
	}
	n, err := testClient(t).ParseNotification(notification(t))
	require.NoError(t, err)
	out, err := json.Marshal(n)
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"EV-2018022511223320873","create_time":"2023-11-15T06:13:20+08:00","event_type":"COMPLAINT.CREATE","summary":"投诉通知",
		"complaint_id":"200201820200101080076610000","action_type":"CREATE_COMPLAINT",
		"resource":{"complaint_id":"200201820200101080076610000","action_type":"CREATE_COMPLAINT"}}`, string(out))
	out, err = json.Marshal(wechatpay.Notification{})
	require.NoError(t, err)
	require.JSONEq(t, `{}`, string(out))
	out, err = json.Marshal(wechatpay.RefundNotification{})
	require.NoError(t, err)
	require.JSONEq(t, `{"amount":{"total":0,"refund":0,"payer_total":0,"payer_refund":0}}`, string(out))
}

// The documented values, copied by hand from the official pages.
func TestNotificationEnumerations(t *testing.T) {
	require.Equal(t, strings.Fields("COMPLAINT.CREATE COMPLAINT.STATE_CHANGE REFUND.SUCCESS REFUND.ABNORMAL REFUND.CLOSED"), []string{
		string(wechatpay.EventComplaintCreate), string(wechatpay.EventComplaintStateChange),
		string(wechatpay.EventRefundSuccess), string(wechatpay.EventRefundAbnormal), string(wechatpay.EventRefundClosed),
	})
	require.Equal(t, strings.Fields(`CREATE_COMPLAINT CONTINUE_COMPLAINT USER_RESPONSE RESPONSE_BY_PLATFORM SELLER_REFUND MERCHANT_RESPONSE
		MERCHANT_CONFIRM_COMPLETE MERCHANT_APPROVE_REFUND MERCHANT_REJECT_REFUND REFUND_SUCCESS
		USER_APPLY_PLATFORM_SERVICE USER_CANCEL_PLATFORM_SERVICE PLATFORM_SERVICE_FINISHED`), []string{
		string(wechatpay.NotificationActionTypeCreateComplaint), string(wechatpay.NotificationActionTypeContinueComplaint),
		string(wechatpay.NotificationActionTypeUserResponse), string(wechatpay.NotificationActionTypeResponseByPlatform),
		string(wechatpay.NotificationActionTypeSellerRefund), string(wechatpay.NotificationActionTypeMerchantResponse),
		string(wechatpay.NotificationActionTypeMerchantConfirmComplete), string(wechatpay.NotificationActionTypeMerchantApproveRefund),
		string(wechatpay.NotificationActionTypeMerchantRejectRefund), string(wechatpay.NotificationActionTypeRefundSuccess),
		string(wechatpay.NotificationActionTypeUserApplyPlatformService), string(wechatpay.NotificationActionTypeUserCancelPlatformService),
		string(wechatpay.NotificationActionTypePlatformServiceFinished),
	})
}

// Printing a client that is held in another type shows no APIv3 key.
func TestAPIv3KeyIsNotPrinted(t *testing.T) {
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

// Headers and body of anything that may come to a public URL: only what was
// recorded passes.
func FuzzNotification(f *testing.F) {
	client := testClient(f)
	body, header := testdata(f, "notification/complaint.body"), notification(f).Header
	add := func(body []byte, change func(http.Header)) {
		h := header.Clone()
		change(h)
		f.Add(body, h.Get("Wechatpay-Timestamp"), h.Get("Wechatpay-Nonce"), h.Get("Wechatpay-Serial"), h.Get("Wechatpay-Signature"), h.Get("Wechatpay-Signature-Type"))
	}
	add(body, func(http.Header) {})
	add(body[1:], func(http.Header) {})
	add(nil, func(http.Header) {})
	for _, name := range []string{"Timestamp", "Nonce", "Serial", "Signature", "Signature-Type"} {
		add(body, func(h http.Header) { h.Set("Wechatpay-"+name, "") })
		add(body, func(h http.Header) { h.Set("Wechatpay-"+name, "WECHATPAY/SIGNTEST/") })
	}
	f.Fuzz(func(t *testing.T, content []byte, timestamp, nonce, serial, signature, kind string) {
		req := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(content))
		for name, value := range map[string]string{
			"Wechatpay-Timestamp": timestamp, "Wechatpay-Nonce": nonce, "Wechatpay-Serial": serial, "Wechatpay-Signature": signature, "Wechatpay-Signature-Type": kind,
		} {
			req.Header.Set(name, value)
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

// Anything that WeChat Pay may sign and encrypt: it is read or refused, and what
// is read survives a queue.
func FuzzNotificationContent(f *testing.F) {
	client := testClient(f)
	for _, name := range []string{"complaint", "empty_data", "no_data", "refund"} {
		f.Add(testdata(f, "notification/"+name+".body"), "", "")
		f.Add([]byte{}, "COMPLAINT.CREATE", string(testdata(f, "notification/"+name+".plain")))
		f.Add([]byte{}, "REFUND.SUCCESS", string(testdata(f, "notification/"+name+".plain")))
	}
	f.Add([]byte(`{"id":"1","create_time":"","resource":{"algorithm":"AEAD_AES_256_GCM","nonce":"fdasflkja484"}}`), "", "")
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
			var unreadable *wechatpay.NotificationError
			require.ErrorAs(t, err, &unreadable)
			require.NotContains(t, err.Error(), "\n")
			return
		}
		require.NotEmpty(t, n.ID)
		require.True(t, json.Valid(n.Resource))
		_, _ = n.Refund()
		out, err := json.Marshal(n)
		if err != nil {
			// A time whose year has five digits, say.
			require.ErrorContains(t, err, "Time.MarshalJSON")
			return
		}
		again := new(wechatpay.Notification)
		require.NoError(t, json.Unmarshal(out, again))
		require.Equal(t, n.ComplaintID, again.ComplaintID)
		require.True(t, n.CreateTime.Equal(again.CreateTime))
	})
}

// BenchmarkNotification compares a notification with what it cannot do without,
// written by hand: read the body, one verification, one decryption, JSON.
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
			if complaintID, err := handReceived(request(), platform); err != nil || complaintID != testComplaintID {
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
		handler := testClient(b).NotificationHandler(func(context.Context, *wechatpay.Notification) error { return nil })
		b.ReportAllocs()
		for b.Loop() {
			w := &discardAnswer{header: http.Header{}}
			if handler.ServeHTTP(w, request()); w.status != 200 {
				b.Fatal(w.status)
			}
		}
	})
}

type discardAnswer struct {
	header http.Header
	status int
}

func (w *discardAnswer) Header() http.Header         { return w.header }
func (w *discardAnswer) WriteHeader(status int)      { w.status = status }
func (w *discardAnswer) Write(p []byte) (int, error) { return len(p), nil }

// handReceived is what a merchant would write without an SDK.
func handReceived(r *http.Request, platform *rsa.PublicKey) (complaintID string, err error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return "", err
	}
	timestamp := r.Header.Get("Wechatpay-Timestamp")
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return "", err
	}
	if age := testClock().Sub(time.Unix(seconds, 0)).Abs(); age >= 300*time.Second || r.Header.Get("Wechatpay-Serial") != testPublicKeyID {
		return "", errors.New("old, or signed by another key")
	}
	signature, err := base64.StdEncoding.DecodeString(r.Header.Get("Wechatpay-Signature"))
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256([]byte(timestamp + "\n" + r.Header.Get("Wechatpay-Nonce") + "\n" + string(body) + "\n"))
	if err := rsa.VerifyPKCS1v15(platform, crypto.SHA256, digest[:], signature); err != nil {
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
