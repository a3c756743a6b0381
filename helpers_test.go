package wechatpay_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

const (
	testMchID       = "1900000001"
	testSerialNo    = "3775B6A45ACD588826D15E583A95F5DD01234567"
	testPublicKeyID = "PUB_KEY_ID_0119000000012026112400000000000001"
	testComplaintID = "200201820200101080076610000"
	testAPIv3Key    = "0123456789abcdef0123456789ABCDEF"
)

// testTime is the time of the tests, so that none depends on the current date.
var testTime = time.Unix(1700000000, 0)

func testClock() time.Time { return testTime }

func testdata(t testing.TB, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return content
}

func privateKey(t testing.TB, name string) *rsa.PrivateKey {
	t.Helper()
	key, err := wechatpay.ParsePrivateKey(testdata(t, name))
	require.NoError(t, err)
	return key
}

// testConfig returns a complete Config for a server at baseURL, without retries.
func testConfig(t testing.TB, baseURL string) wechatpay.Config {
	t.Helper()
	transport := wechatpay.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	return wechatpay.Config{
		MchID:       testMchID,
		SerialNo:    testSerialNo,
		PrivateKey:  privateKey(t, "merchant_key.pem"),
		APIv3Key:    testAPIv3Key,
		PublicKeyID: testPublicKeyID,
		PublicKey:   &privateKey(t, "platform_key.pem").PublicKey,
		BaseURL:     baseURL,
		Transport:   transport,
		Time:        testClock,
		Retry:       wechatpay.RetryPolicy{MaxAttempts: 1},
	}
}

// newMock starts a server and returns a Client for it.
func newMock(t testing.TB, handler http.HandlerFunc) (*wechatpay.Client, *httptest.Server) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	client, err := wechatpay.NewClient(testConfig(t, server.URL))
	require.NoError(t, err)
	return client, server
}

// signature signs a response. Tests change one field to get an invalid one.
type signature struct {
	key    *rsa.PrivateKey
	serial string
	at     time.Time
	body   []byte
}

func (s signature) set(t testing.TB, h http.Header) {
	nonce := rand.Text() // a Client accepts each signed response once
	timestamp := strconv.FormatInt(s.at.Unix(), 10)
	digest := sha256.Sum256([]byte(timestamp + "\n" + nonce + "\n" + string(s.body) + "\n"))
	signed, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, digest[:])
	require.NoError(t, err)
	h.Set("Wechatpay-Timestamp", timestamp)
	h.Set("Wechatpay-Nonce", nonce)
	h.Set("Wechatpay-Serial", s.serial)
	h.Set("Wechatpay-Signature", base64.StdEncoding.EncodeToString(signed))
	h.Set("Wechatpay-Signature-Type", "WECHATPAY2-SHA256-RSA2048")
	h.Set("Request-ID", "08F7A1B2C30610-0")
}

// signed returns a valid signature for a response body.
func signed(t testing.TB, body string) signature {
	return signature{key: privateKey(t, "platform_key.pem"), serial: testPublicKeyID, at: testTime, body: []byte(body)}
}

// reply returns a handler that sends the same signed response every time.
func reply(t testing.TB, status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		signed(t, body).set(t, w.Header())
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// requireMismatch requires the error of a response that does not match its
// request.
func requireMismatch(t testing.TB, err error, problem string) {
	t.Helper()
	var failed *wechatpay.VerificationError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, wechatpay.VerificationReasonMismatch, failed.Reason)
	require.ErrorContains(t, err, "the response does not match the request: "+problem+" [")
}

// requireShort requires an error text of at most 160 characters without the
// texts given, such as ids.
func requireShort(t *testing.T, err error, without ...string) {
	t.Helper()
	text := err.Error()
	for _, s := range without {
		text = strings.ReplaceAll(text, s, "")
	}
	require.LessOrEqual(t, utf8.RuneCountInString(text), 160, text)
}

// requestID returns the request id in an error text.
func requestID(err error) string {
	_, id, _ := strings.Cut(err.Error(), "[request id ")
	return " [request id " + id
}
