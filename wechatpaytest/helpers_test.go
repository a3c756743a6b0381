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

// start starts a server on a clock that stands still.
func start(t testing.TB) *wechatpaytest.Server {
	s := wechatpaytest.NewServer()
	t.Cleanup(s.Close)
	s.Configure(func(b *wechatpaytest.Behavior) {
		b.Time = func() time.Time { return noon }
		b.Seed = 1
	})
	return s
}

var noon = time.Date(2026, 3, 4, 12, 0, 0, 500e6, time.FixedZone("CST", 8*3600))

// A message is a request made by hand, without the SDK. Each test changes what
// it is about.
type message struct {
	method, target string
	body           string
	header         http.Header // replaces headers; an empty list leaves one out
	signed         *string     // what is signed in place of the right message
	attributes     map[string]string
	authorization  *string // the whole header
	cfg            wechatpay.Config
	at             time.Time
	upload         *upload
}

type upload struct {
	meta  string
	file  []byte
	parts []string // names, "meta" and "file" if nil
}

var nonces atomic.Int64

func newMessage(s *wechatpaytest.Server, method, target, body string) *message {
	return &message{method: method, target: target, body: body, cfg: s.Config(), at: s.Now(), header: http.Header{}, attributes: map[string]string{}}
}

func (m *message) request(t testing.TB, s *wechatpaytest.Server) *http.Request {
	body, contentType, signedBody := m.body, "application/json", m.body
	if m.upload != nil {
		body, contentType = m.upload.encode(t)
		signedBody = m.upload.meta
	}
	if m.method == "GET" {
		signedBody = ""
	}
	req, err := http.NewRequest(m.method, s.URL+m.target, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "by-hand/1.0")
	if body != "" {
		req.Header.Set("Content-Type", contentType)
	}
	nonce := fmt.Sprintf("%032d", nonces.Add(1))
	if n, ok := m.attributes["nonce_str"]; ok {
		nonce = n
	}
	timestamp := strconv.FormatInt(m.at.Unix(), 10)
	if ts, ok := m.attributes["timestamp"]; ok {
		timestamp = ts
	}
	text := m.method + "\n" + m.target + "\n" + timestamp + "\n" + nonce + "\n" + signedBody + "\n"
	if m.signed != nil {
		text = strings.NewReplacer("TIMESTAMP", timestamp, "NONCE", nonce).Replace(*m.signed)
	}
	attributes := map[string]string{
		"mchid": m.cfg.MchID, "serial_no": m.cfg.SerialNo, "nonce_str": nonce, "timestamp": timestamp,
		"signature": signText(t, m.cfg.PrivateKey, text),
	}
	for name, value := range m.attributes {
		attributes[name] = value
	}
	var list []string
	for _, name := range []string{"signature", "mchid", "serial_no", "timestamp", "nonce_str"} {
		if attributes[name] != "OMIT" {
			list = append(list, name+`="`+attributes[name]+`"`)
		}
	}
	req.Header.Set("Authorization", "WECHATPAY2-SHA256-RSA2048 "+strings.Join(list, ","))
	if m.authorization != nil {
		req.Header.Set("Authorization", *m.authorization)
	}
	for name, values := range m.header {
		req.Header[name] = values
		if len(values) == 0 && name != "User-Agent" {
			delete(req.Header, name)
		}
	}
	if values, ok := m.header["User-Agent"]; ok && len(values) == 0 {
		req.Header["User-Agent"] = []string{""} // net/http leaves it out then
	}
	return req
}

func signText(t testing.TB, key crypto.Signer, text string) string {
	digest := sha256.Sum256([]byte(text))
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
		}
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {disposition}})
		require.NoError(t, err)
		_, err = part.Write(data)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.String(), w.FormDataContentType()
}

type reply struct {
	*http.Response
	body []byte
}

// httpClient keeps no connections, so that nothing is left of a test.
var httpClient = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (m *message) send(t testing.TB, s *wechatpaytest.Server) reply {
	resp, err := m.try(t, s)
	require.NoError(t, err)
	return resp
}

func (m *message) try(t testing.TB, s *wechatpaytest.Server) (reply, error) {
	resp, err := httpClient.Do(m.request(t, s))
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp, body}, err
}

// call sends a right request and wants the status.
func call(t testing.TB, s *wechatpaytest.Server, status int, method, target, body string) reply {
	t.Helper()
	r := newMessage(s, method, target, body).send(t, s)
	require.Equal(t, status, r.StatusCode, "%s %s: %s", method, target, r.body)
	return r
}

func (r reply) json(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	require.NoError(t, json.Unmarshal(r.body, &v), "%s", r.body)
	return v
}

// signed says whether the answer verifies with the key, with this file's own code.
func (r reply) signedBy(key *rsa.PublicKey) bool {
	return verify(key, r.Header, r.body)
}

func verify(key *rsa.PublicKey, h http.Header, body []byte) bool {
	text := h.Get("Wechatpay-Timestamp") + "\n" + h.Get("Wechatpay-Nonce") + "\n" + string(body) + "\n"
	digest := sha256.Sum256([]byte(text))
	signature, err := base64.StdEncoding.DecodeString(h.Get("Wechatpay-Signature"))
	return err == nil && rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature) == nil
}

const complaints = "/v3/merchant-service/complaints-v2"

// complaint files a complaint of this id and returns its path.
func complaint(s *wechatpaytest.Server, c wechatpay.Complaint) string {
	if c.ComplaintID == "" {
		c.ComplaintID = "200201820200101080076610000"
	}
	s.AddComplaint(c)
	return complaints + "/" + c.ComplaintID
}

func png(n int) []byte { return append([]byte("\x89PNG\r\n\x1a\n"), bytes.Repeat([]byte{7}, n)...) }

func metaOf(name string, file []byte) string {
	digest := sha256.Sum256(file)
	return `{"filename":"` + name + `","sha256":"` + hex.EncodeToString(digest[:]) + `"}`
}

func uploadImage(t testing.TB, s *wechatpaytest.Server) string {
	m := newMessage(s, "POST", "/v3/merchant-service/images/upload", "")
	m.upload = &upload{meta: metaOf("a.png", png(10)), file: png(10)}
	r := m.send(t, s)
	require.Equal(t, 200, r.StatusCode, "%s", r.body)
	return r.json(t)["media_id"].(string)
}

// wrote says whether any request took effect.
func wrote(s *wechatpaytest.Server) bool {
	for _, r := range s.Requests() {
		if r.TookEffect {
			return true
		}
	}
	return false
}

func operateTypes(s *wechatpaytest.Server, id string) []string {
	var all []string
	for _, r := range s.History(id) {
		all = append(all, string(r.OperateType))
	}
	return all
}

const (
	id      = "200201820200101080076610000"
	path    = complaints + "/" + id
	decide  = path + "/update-refund-progress"
	approve = `{"action":"APPROVE","launch_refund_day":0}`
	reject  = `{"action":"REJECT","reject_reason":"商品已使用，不符合退款条件"}`
	done    = `{"complainted_mchid":"1900000001"}`
	reply4  = `{"complainted_mchid":"1900000001","response_content":"您好"}`
	refunds = "/v3/refund/domestic/refunds"
)

func state(t testing.TB, s *wechatpaytest.Server) string {
	c, ok := s.Complaint(id)
	require.True(t, ok)
	return string(c.ComplaintState)
}

func refundOf(number string, fen int) string {
	return fmt.Sprintf(`{"transaction_id":"4200001","out_refund_no":%q,"amount":{"refund":%d,"total":100,"currency":"CNY"}}`, number, fen)
}

// file files the complaint that these tests are about, with an order of 100 fen.
func file(s *wechatpaytest.Server) {
	s.AddComplaint(wechatpay.Complaint{ComplaintID: id, ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{
		{TransactionID: "4200001", OutTradeNo: "trade-1", Amount: 100}}})
}

func decryptWith(t testing.TB, cfg wechatpay.Config, ciphertext string) string {
	raw, err := base64.StdEncoding.DecodeString(ciphertext)
	require.NoError(t, err)
	plain, err := rsa.DecryptOAEP(sha1.New(), nil, cfg.PrivateKey.(*rsa.PrivateKey), raw, nil)
	require.NoError(t, err)
	return string(plain)
}

// sealed is what certificates and notifications are encrypted in.
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

func keyOf(cert *x509.Certificate) *rsa.PublicKey { return cert.PublicKey.(*rsa.PublicKey) }

func (m *message) sendRaw(t testing.TB, s *wechatpaytest.Server) reply {
	req := m.request(t, s)
	req.URL.Opaque = m.target
	resp, err := httpClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return reply{resp, body}
}
