package wechatpaytest_test

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

const (
	id              = "200201820200101080076610000"
	complaints      = "/v3/merchant-service/complaints-v2"
	path            = complaints + "/" + id
	decide          = path + "/update-refund-progress"
	refunds         = "/v3/refund/domestic/refunds"
	notificationURL = "/v3/merchant-service/complaint-notifications"

	approve    = `{"action":"APPROVE","launch_refund_day":0}`
	reject     = `{"action":"REJECT","reject_reason":"商品已使用，不符合退款条件"}`
	completion = `{"complainted_mchid":"1900000001"}`
	reply      = `{"complainted_mchid":"1900000001","response_content":"您好"}`
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 500e6, time.FixedZone("CST", 8*3600))

// newServer starts a server whose clock is fixed at noon.
func newServer(t testing.TB) *wechatpaytest.Server {
	s := wechatpaytest.NewServer()
	t.Cleanup(s.Close)
	s.Configure(func(b *wechatpaytest.Behavior) {
		b.Time = func() time.Time { return noon }
		b.Seed = 1
	})
	return s
}

// A request is sent without the SDK. Tests change what they are about.
type request struct {
	method, target string
	body           string
	header         http.Header // replaces headers; an empty list removes one
	toSign         *string     // the string to sign, with TIMESTAMP and NONCE as placeholders; nil: the right one
	attributes     map[string]string
	authorization  *string // the whole header
	cfg            wechatpay.Config
	at             time.Time
	upload         *upload
}

// An upload is a multipart body.
type upload struct {
	meta  string
	file  []byte
	parts []string // names; nil: "meta" and "file"
	named bool     // the meta part has a filename too
}

var nonces atomic.Int64

func newRequest(s *wechatpaytest.Server, method, target, body string) *request {
	return &request{
		method:     method,
		target:     target,
		body:       body,
		cfg:        s.Config(),
		at:         s.Now(),
		header:     http.Header{},
		attributes: map[string]string{},
	}
}

func (r *request) build(t testing.TB, s *wechatpaytest.Server) *http.Request {
	body, contentType, signedBody := r.body, "application/json", r.body
	if r.upload != nil {
		body, contentType = r.upload.encode(t)
		signedBody = r.upload.meta
	}
	if r.method == "GET" {
		signedBody = ""
	}
	req, err := http.NewRequest(r.method, s.URL+r.target, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "test/1.0")
	if body != "" {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("Authorization", r.authorize(t, signedBody))
	for name, values := range r.header {
		req.Header[name] = values
		if len(values) == 0 && name != "User-Agent" {
			delete(req.Header, name)
		}
	}
	if values, ok := r.header["User-Agent"]; ok && len(values) == 0 {
		req.Header["User-Agent"] = []string{""} // makes net/http omit it
	}
	return req
}

// authorize returns the Authorization header.
func (r *request) authorize(t testing.TB, signedBody string) string {
	if r.authorization != nil {
		return *r.authorization
	}
	nonce := fmt.Sprintf("%032d", nonces.Add(1))
	if n, ok := r.attributes["nonce_str"]; ok {
		nonce = n
	}
	timestamp := strconv.FormatInt(r.at.Unix(), 10)
	if ts, ok := r.attributes["timestamp"]; ok {
		timestamp = ts
	}
	toSign := r.method + "\n" + r.target + "\n" + timestamp + "\n" + nonce + "\n" + signedBody + "\n"
	if r.toSign != nil {
		toSign = strings.NewReplacer("TIMESTAMP", timestamp, "NONCE", nonce).Replace(*r.toSign)
	}
	attributes := map[string]string{
		"mchid":     r.cfg.MchID,
		"serial_no": r.cfg.SerialNo,
		"nonce_str": nonce,
		"timestamp": timestamp,
		"signature": sign(t, r.cfg.PrivateKey, toSign),
	}
	for name, value := range r.attributes {
		attributes[name] = value
	}
	var list []string
	for _, name := range []string{"signature", "mchid", "serial_no", "timestamp", "nonce_str"} {
		if attributes[name] != "OMIT" {
			list = append(list, name+`="`+attributes[name]+`"`)
		}
	}
	return "WECHATPAY2-SHA256-RSA2048 " + strings.Join(list, ",")
}

func sign(t testing.TB, key crypto.Signer, toSign string) string {
	digest := sha256.Sum256([]byte(toSign))
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	require.NoError(t, err)
	return base64.StdEncoding.EncodeToString(signature)
}

func (u *upload) encode(t testing.TB) (body, contentType string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	parts := u.parts
	if parts == nil {
		parts = []string{"meta", "file"}
	}
	for _, name := range parts {
		data, disposition := u.file, `form-data; name="`+name+`"; filename="x"`
		if name == "meta" {
			data, disposition = []byte(u.meta), `form-data; name="meta"`
			if u.named {
				disposition += `; filename="meta.json"`
			}
		}
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {disposition}})
		require.NoError(t, err)
		_, err = part.Write(data)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.String(), w.FormDataContentType()
}

type response struct {
	*http.Response
	body []byte
}

// httpClient keeps no connections, so that a test leaves none behind.
var httpClient = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (r *request) send(t testing.TB, s *wechatpaytest.Server) response {
	resp, err := r.try(t, s)
	require.NoError(t, err)
	return resp
}

func (r *request) try(t testing.TB, s *wechatpaytest.Server) (response, error) {
	return try(r.build(t, s))
}

// sendOpaque sends the target byte for byte. net/url would escape some of it.
func (r *request) sendOpaque(t testing.TB, s *wechatpaytest.Server) response {
	req := r.build(t, s)
	req.URL.Opaque = r.target
	resp, err := try(req)
	require.NoError(t, err)
	return resp
}

func try(req *http.Request) (response, error) {
	resp, err := httpClient.Do(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return response{resp, body}, err
}

// do sends a valid request and checks the status of the response.
func do(t testing.TB, s *wechatpaytest.Server, status int, method, target, body string) response {
	t.Helper()
	r := newRequest(s, method, target, body).send(t, s)
	require.Equal(t, status, r.StatusCode, "%s %s: %s", method, target, r.body)
	return r
}

// unsigned sends a request without Authorization, which is fast because nothing
// is signed, and returns the status of the response.
func unsigned(s *wechatpaytest.Server, method, target, body string) int {
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "test/1.0")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, req)
	return w.Code
}

func (r response) json(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	require.NoError(t, json.Unmarshal(r.body, &v), "%s", r.body)
	return v
}

// code returns the code of an error response.
func (r response) code(t testing.TB) string {
	t.Helper()
	code, _ := r.json(t)["code"].(string)
	return code
}

// signedBy reports whether the signature of the response is valid.
func (r response) signedBy(key *rsa.PublicKey) bool {
	return verify(key, r.Header, r.body)
}

func verify(key *rsa.PublicKey, h http.Header, body []byte) bool {
	toSign := h.Get("Wechatpay-Timestamp") + "\n" + h.Get("Wechatpay-Nonce") + "\n" + string(body) + "\n"
	digest := sha256.Sum256([]byte(toSign))
	signature, err := base64.StdEncoding.DecodeString(h.Get("Wechatpay-Signature"))
	return err == nil && rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
}

func keyOf(cert *x509.Certificate) *rsa.PublicKey { return cert.PublicKey.(*rsa.PublicKey) }

// decrypt decrypts a payer_phone.
func decrypt(t testing.TB, cfg wechatpay.Config, ciphertext string) string {
	raw, err := base64.StdEncoding.DecodeString(ciphertext)
	require.NoError(t, err)
	plain, err := rsa.DecryptOAEP(sha1.New(), nil, cfg.PrivateKey.(*rsa.PrivateKey), raw, nil)
	require.NoError(t, err)
	return string(plain)
}

// sealed is the encrypted resource of certificates and notifications.
type sealed struct {
	Algorithm      string `json:"algorithm"`
	Nonce          string `json:"nonce"`
	AssociatedData string `json:"associated_data"`
	Ciphertext     string `json:"ciphertext"`
}

func (e sealed) open(t testing.TB, key string) []byte {
	require.Equal(t, "AEAD_AES_256_GCM", e.Algorithm)
	require.Len(t, e.Nonce, 12)
	block, err := aes.NewCipher([]byte(key))
	require.NoError(t, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(t, err)
	raw, err := base64.StdEncoding.DecodeString(e.Ciphertext)
	require.NoError(t, err)
	plain, err := aead.Open(nil, []byte(e.Nonce), raw, []byte(e.AssociatedData))
	require.NoError(t, err)
	return plain
}

// addComplaint files the complaint that most tests use, with an order of 100 fen.
func addComplaint(s *wechatpaytest.Server) {
	s.AddComplaint(wechatpay.Complaint{ComplaintID: id, ComplaintOrderInfo: orderInfo("4200001", "trade-1", 100)})
}

func orderInfo(transactionID, outTradeNo string, fen int64) []wechatpay.ComplaintOrderInfo {
	return []wechatpay.ComplaintOrderInfo{{TransactionID: transactionID, OutTradeNo: outTradeNo, Amount: fen}}
}

// refundOf returns the body of a refund of the order of addComplaint.
func refundOf(number string, fen int) string {
	const format = `{"transaction_id":"4200001","out_refund_no":%q,"amount":{"refund":%d,"total":100,"currency":"CNY"}}`
	return fmt.Sprintf(format, number, fen)
}

func getComplaint(t testing.TB, s *wechatpaytest.Server) wechatpay.Complaint {
	c, ok := s.Complaint(id)
	require.True(t, ok)
	return c
}

func complaintState(t testing.TB, s *wechatpaytest.Server) string {
	return string(getComplaint(t, s).ComplaintState)
}

// operateTypes returns the operate_type of each record.
func operateTypes(s *wechatpaytest.Server, id string) []string {
	var all []string
	for _, r := range s.History(id) {
		all = append(all, string(r.OperateType))
	}
	return all
}

// tookEffect reports whether any request took effect.
func tookEffect(s *wechatpaytest.Server) bool {
	for _, r := range s.Requests() {
		if r.TookEffect {
			return true
		}
	}
	return false
}

func lastRequest(s *wechatpaytest.Server) wechatpaytest.Request {
	all := s.Requests()
	return all[len(all)-1]
}

func png(n int) []byte { return append([]byte("\x89PNG\r\n\x1a\n"), bytes.Repeat([]byte{7}, n)...) }

// uploadMeta returns the meta part of an upload.
func uploadMeta(name string, file []byte) string {
	digest := sha256.Sum256(file)
	return `{"filename":"` + name + `","sha256":"` + hex.EncodeToString(digest[:]) + `"}`
}

// uploadImage uploads an image and returns its media_id.
func uploadImage(t testing.TB, s *wechatpaytest.Server) string {
	req := newRequest(s, "POST", "/v3/merchant-service/images/upload", "")
	req.upload = &upload{meta: uploadMeta("a.png", png(10)), file: png(10)}
	r := req.send(t, s)
	require.Equal(t, 200, r.StatusCode, "%s", r.body)
	return r.json(t)["media_id"].(string)
}

func ptr[T any](v T) *T { return &v }
