package wechatpaytest_test

import (
	"bufio"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

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

// certificatesOf downloads the platform certificates.
func certificatesOf(t testing.TB, s *wechatpaytest.Server) map[string]*x509.Certificate {
	r := call(t, s, 200, "GET", "/v3/certificates", "")
	var body struct {
		Data []struct {
			SerialNo           string    `json:"serial_no"`
			EffectiveTime      time.Time `json:"effective_time"`
			ExpireTime         time.Time `json:"expire_time"`
			EncryptCertificate sealed    `json:"encrypt_certificate"`
		}
	}
	require.NoError(t, json.Unmarshal(r.body, &body))
	all := map[string]*x509.Certificate{}
	for _, entry := range body.Data {
		require.Equal(t, "certificate", entry.EncryptCertificate.AssociatedData)
		block, _ := pem.Decode(entry.EncryptCertificate.open(t, s.Config().APIv3Key))
		cert, err := x509.ParseCertificate(block.Bytes)
		require.NoError(t, err)
		require.Equal(t, entry.SerialNo, fmt.Sprintf("%X", cert.SerialNumber))
		require.Regexp(t, `^[0-9A-F]{40}$`, entry.SerialNo)
		require.WithinDuration(t, cert.NotBefore, entry.EffectiveTime, 0)
		require.WithinDuration(t, cert.NotAfter, entry.ExpireTime, 0)
		all[entry.SerialNo] = cert
	}
	return all
}

func keyOf(cert *x509.Certificate) *rsa.PublicKey { return cert.PublicKey.(*rsa.PublicKey) }

func TestKeyModes(t *testing.T) {
	s := start(t)
	ask := func(serial string) reply {
		m := newMessage(s, "POST", "/v3/security/echo", `{}`)
		m.header.Set("Wechatpay-Serial", serial)
		return m.send(t, s)
	}
	public, publicID := s.Config().PublicKey, s.Config().PublicKeyID
	require.Regexp(t, `^PUB_KEY_ID_[0-9]+$`, publicID)
	for _, serial := range []string{"", publicID, "PUB_KEY_ID_1"} {
		r := ask(serial)
		require.True(t, r.signedBy(public), serial)
		require.Equal(t, publicID, r.Header.Get("Wechatpay-Serial"))
	}
	certificates := certificatesOf(t, s)
	require.Len(t, certificates, 1)
	for serial, cert := range certificates {
		r := ask(serial)
		require.True(t, r.signedBy(keyOf(cert)))
		require.Equal(t, serial, r.Header.Get("Wechatpay-Serial"))
		require.True(t, ask(strings.ToLower(serial)).signedBy(keyOf(cert)))
	}

	s.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModeCertificate })
	require.Nil(t, s.Config().PublicKey)
	require.Empty(t, s.Config().PublicKeyID)
	require.True(t, ask(publicID).signedBy(keyOf(s.PlatformCertificate())), "the public key id is ignored")

	s.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModePublicKey })
	require.True(t, ask(fmt.Sprintf("%X", s.PlatformCertificate().SerialNumber)).signedBy(public))
	require.Equal(t, "RESOURCE_NOT_EXISTS", call(t, s, 404, "GET", "/v3/certificates", "").json(t)["code"])
}

func TestCertificateRotation(t *testing.T) {
	s := start(t)
	s.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModeCertificate })
	first := s.PlatformCertificate()
	s.Advance(time.Hour)
	announced := s.AnnounceCertificate()
	require.Equal(t, first, s.PlatformCertificate())
	require.Len(t, certificatesOf(t, s), 2)
	require.True(t, call(t, s, 200, "GET", "/v3/certificates?algorithm_type=RSA", "").signedBy(keyOf(first)))
	require.Equal(t, announced, s.RotateCertificate())
	require.True(t, call(t, s, 200, "GET", "/v3/certificates", "").signedBy(keyOf(announced)))
	require.Len(t, certificatesOf(t, s), 2)
	third := s.RotateCertificate()
	require.NotEqual(t, announced.SerialNumber, third.SerialNumber)
	require.Len(t, certificatesOf(t, s), 3)
	s.Advance(first.NotAfter.Sub(s.Now()) + time.Second)
	require.Len(t, certificatesOf(t, s), 2, "the first has expired")
	require.Empty(t, call(t, s, 200, "GET", "/v3/certificates?algorithm_type=SM2", "").json(t)["data"])
}

func TestImages(t *testing.T) {
	s := start(t)
	jpeg := append([]byte("\xff\xd8\xff\xe0"), make([]byte, 100)...)
	prefix := "/v3/merchant-service/images/"
	made := s.AddImage("", jpeg)
	require.Contains(t, made, s.URL+prefix)
	for _, escape := range []string{"%2B", "%2F", "%3D"} {
		require.Contains(t, made, escape)
	}
	bare, err := url.PathUnescape(strings.TrimPrefix(made, s.URL+prefix))
	require.NoError(t, err)
	for _, element := range []string{
		strings.TrimPrefix(made, s.URL+prefix),
		bare,
		strings.ReplaceAll(bare, "=", "%3D"),
		strings.ReplaceAll(bare, "/", "%2f"),
	} {
		m := newMessage(s, "GET", prefix+element, "")
		m.header.Set("Accept", "*/*")
		r := m.sendRaw(t, s)
		require.Equal(t, 200, r.StatusCode, "%s: %s", element, r.body)
		require.Equal(t, jpeg, r.body)
		require.Equal(t, "image/jpeg", r.Header.Get("Content-Type"))
		require.EqualValues(t, len(jpeg), r.ContentLength)
		require.Empty(t, r.Header.Get("Wechatpay-Signature"), "images are not signed")
	}
	twice := strings.ReplaceAll(strings.TrimPrefix(made, s.URL+prefix), "%", "%25")
	require.Equal(t, 400, newMessage(s, "GET", prefix+twice, "").send(t, s).StatusCode)

	media := uploadImage(t, s)
	require.Contains(t, call(t, s, 400, "GET", prefix+media, "").json(t)["message"], "upload")

	named := s.AddImage("plain", png(1))
	require.Equal(t, s.URL+prefix+"plain", named)
	require.Equal(t, "image/png", call(t, s, 200, "GET", prefix+"plain", "").Header.Get("Content-Type"))
}

// sendRaw sends the target byte for byte: net/url would escape some of it.
// The links of image_list work wherever the server listens, and are made anew
// for each answer.
func TestStorageLinks(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "127.0.0.2:0", "0.0.0.0:0", "[::1]:0"} {
		t.Run(addr, func(t *testing.T) {
			s, err := wechatpaytest.Listen(addr)
			if err != nil {
				t.Skip(err)
			}
			defer s.Close()
			file(s)
			media := uploadImage(t, s)
			call(t, s, 204, "POST", decide, `{"action":"REJECT","reject_media_list":["`+media+`"]}`)
			s.Advance(2 * time.Hour)
			links := []string{s.History(id)[1].ImageList[0]}
			var history struct {
				Data []struct {
					ImageList []string `json:"image_list"`
				}
			}
			require.NoError(t, json.Unmarshal(call(t, s, 200, "GET", path+"/negotiation-historys", "").body, &history))
			links = append(links, history.Data[0].ImageList...)
			require.Len(t, links, 2)
			for _, link := range links {
				resp, err := httpClient.Get(link)
				require.NoError(t, err)
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				resp.Body.Close()
				require.Equal(t, png(10), body, link)
				require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
			}
		})
	}
}

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

func TestUploads(t *testing.T) {
	s := start(t)
	for name, file := range map[string][]byte{
		"a.png": png(2<<20 - 8), "B.JPG": []byte("\xff\xd8\xff\xe0rest"), "c.bmp": []byte("BM rest"),
	} {
		m := newMessage(s, "POST", "/v3/merchant-service/images/upload", "")
		m.upload = &upload{meta: metaOf(name, file), file: file}
		r := m.send(t, s)
		require.Equal(t, 200, r.StatusCode, "%s", r.body)
		require.True(t, r.signedBy(s.Config().PublicKey))
		require.LessOrEqual(t, len(r.json(t)["media_id"].(string)), 512)
		m = newMessage(s, "POST", "/v3/merchant-service/images/upload", "")
		m.upload = &upload{meta: metaOf(name, file), file: file, parts: []string{"file", "meta"}}
		require.Equal(t, 200, m.send(t, s).StatusCode, "the order of the parts does not matter")
	}
}

func TestEcho(t *testing.T) {
	s := start(t)
	cfg := s.Config()
	ciphertext, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, cfg.PublicKey, []byte("秘密"), nil)
	require.NoError(t, err)
	m := newMessage(s, "POST", "/v3/security/echo", `{"echo_message":"你好","encrypted_echo_message":"`+base64.StdEncoding.EncodeToString(ciphertext)+`"}`)
	m.header.Set("Wechatpay-Serial", cfg.PublicKeyID)
	r := m.send(t, s)
	require.Equal(t, 200, r.StatusCode, "%s", r.body)
	require.Equal(t, "你好", r.json(t)["echo_message"])
	require.Equal(t, "秘密", decryptWith(t, cfg, r.json(t)["encrypted_echo_message"].(string)))
}

func TestHandle(t *testing.T) {
	s := start(t)
	file(s)
	s.Handle("POST /v3/pay/transactions/{id}/close", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Own", r.PathValue("id"))
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(body)
		_, _ = w.Write([]byte("!"))
	}))
	r := call(t, s, 201, "POST", "/v3/pay/transactions/7/close", `{"a":1}`)
	require.Equal(t, `{"a":1}!`, string(r.body))
	require.Equal(t, "7", r.Header.Get("X-Own"))
	require.True(t, r.signedBy(s.Config().PublicKey))
	call(t, s, 404, "GET", "/v3/pay/transactions/7/close", "")

	m := newMessage(s, "POST", "/v3/pay/transactions/7/close", `{"a":1}`)
	wrong := "wrong"
	m.signed = &wrong
	require.Equal(t, 401, m.send(t, s).StatusCode, "the request is verified first")

	s.Handle("/v3/merchant-service/complaints-v2/{id}/update-refund-progress", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	require.True(t, call(t, s, 204, "POST", decide, `{}`).signedBy(s.Config().PublicKey))
	require.Len(t, s.History(id), 1)
	s.Handle("/v3/merchant-service/complaints-v2/{id}/update-refund-progress", nil)
	call(t, s, 400, "POST", decide, `{}`)
	require.Panics(t, func() { s.Handle("no pattern {", http.NotFoundHandler()) })
}

func TestFaults(t *testing.T) {
	type outcome struct {
		status int // 0: no answer
		effect bool
		signed bool
		code   string
		errIs  error
	}
	tests := map[wechatpaytest.FaultKind]outcome{
		wechatpaytest.FaultDrop:         {errIs: io.EOF},
		wechatpaytest.FaultLostResponse: {effect: true, errIs: io.EOF},
		wechatpaytest.FaultCut:          {effect: true, errIs: io.ErrUnexpectedEOF},
		wechatpaytest.FaultSlow:         {status: 200, effect: true, signed: true},
		wechatpaytest.FaultBusy429:      {status: 429, code: "FREQUENCY_LIMITED"},
		wechatpaytest.FaultError500:     {status: 500, code: "SYSTEM_ERROR"},
		wechatpaytest.FaultError502:     {status: 502, code: "SERVICE_UNAVAILABLE"},
		wechatpaytest.FaultError503:     {status: 503, code: "SERVICE_UNAVAILABLE"},
		wechatpaytest.FaultHTML502:      {status: 502},
		wechatpaytest.FaultForged:       {status: 200, effect: true},
		wechatpaytest.FaultUnsigned:     {status: 200, effect: true},
		wechatpaytest.FaultProbe:        {status: 200, effect: true},
		wechatpaytest.FaultOld:          {status: 200, effect: true, signed: true},
	}
	const callback = "/v3/merchant-service/complaint-notifications"
	for kind, want := range tests {
		for _, takesEffect := range []bool{false, true} {
			f := wechatpaytest.Fault{Path: "complaint-notifications", Kind: kind, Delay: time.Millisecond, TakesEffect: takesEffect}
			if takesEffect && f.Check() != nil {
				continue
			}
			t.Run(fmt.Sprint(kind, takesEffect), func(t *testing.T) {
				s := start(t)
				s.AddFault(f)
				r, err := newMessage(s, "POST", callback, `{"url":"https://example.com/n"}`).try(t, s)
				log := s.Requests()
				require.Len(t, log, 1)
				require.Equal(t, kind, log[0].Fault)
				require.Equal(t, want.effect || takesEffect, log[0].TookEffect)
				if want.errIs != nil {
					require.ErrorIs(t, err, want.errIs)
				} else {
					require.NoError(t, err)
					require.Equal(t, want.status, r.StatusCode)
					require.Equal(t, want.signed, r.signedBy(s.Config().PublicKey))
				}
				if want.code != "" {
					require.Equal(t, want.code, r.json(t)["code"])
				}
				switch kind {
				case wechatpaytest.FaultBusy429:
					require.Equal(t, "0", r.Header.Get("Retry-After"))
				case wechatpaytest.FaultHTML502:
					require.Contains(t, string(r.body), "<html>")
				case wechatpaytest.FaultProbe:
					require.True(t, strings.HasPrefix(r.Header.Get("Wechatpay-Signature"), "WECHATPAY/SIGNTEST/"))
				case wechatpaytest.FaultUnsigned:
					for name := range r.Header {
						require.False(t, strings.HasPrefix(name, "Wechatpay-"), name)
					}
				case wechatpaytest.FaultOld:
					require.Equal(t, fmt.Sprint(noon.Add(-15*time.Minute).Unix()), r.Header.Get("Wechatpay-Timestamp"))
				case wechatpaytest.FaultForged:
					require.Equal(t, s.Config().PublicKeyID, r.Header.Get("Wechatpay-Serial"))
				}
				// It struck once, and what took effect can be seen.
				if want.effect || takesEffect {
					call(t, s, 200, "GET", callback, "")
				} else {
					call(t, s, 400, "GET", callback, "")
				}
			})
		}
	}
}

func TestCutOfAnEmptyAnswer(t *testing.T) {
	s := start(t)
	file(s)
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultCut})
	_, err := newMessage(s, "POST", decide, approve).try(t, s)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.Len(t, s.History(id), 2)
}

func TestFaultPathsAndTimes(t *testing.T) {
	const callback = "/v3/merchant-service/complaint-notifications"
	status := func(t *testing.T, s *wechatpaytest.Server, method, target string) int {
		return newMessage(s, method, target, "").send(t, s).StatusCode
	}
	list := complaints + "?begin_date=2026-03-04&end_date=2026-03-04"
	for path, hit := range map[string][4]bool{ // list, detail, history, callback
		"":                             {true, true, true, true},
		complaints:                     {true, false, false, false},
		"GET " + complaints:            {true, false, false, false},
		complaints + "/{complaint_id}": {false, true, false, false},
		"negotiation-historys":         {false, false, true, false},
		"complaints-v2/":               {false, true, true, false},
		"GET ":                         {true, true, true, true},
		"POST ":                        {false, false, false, false},
		callback:                       {false, false, false, true},
		"POST " + callback:             {false, false, false, false},
		"/" + id:                       {false, true, true, false},
	} {
		s := start(t)
		file(s)
		s.AddFault(wechatpaytest.Fault{Path: path, Kind: wechatpaytest.FaultError503, Probability: 1})
		s.SetNotificationURL("https://example.com/")
		for i, target := range []string{list, complaints + "/" + id, complaints + "/" + id + "/negotiation-historys", callback} {
			require.Equal(t, hit[i], status(t, s, "GET", target) == 503, "%q %s", path, target)
		}
	}

	s := start(t)
	s.SetNotificationURL("https://example.com/")
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultError500, Probability: 1})
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultError502, Times: 2})
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultError503})
	var got []int
	for range 5 {
		got = append(got, status(t, s, "GET", callback))
	}
	require.Equal(t, []int{502, 502, 503, 500, 500}, got, "scripted first")
	s.ClearFaults()
	require.Equal(t, 200, status(t, s, "GET", callback))
}

// By probability, what strikes depends on the complaint and on how many
// requests it had, not on the order of callers.
func TestFaultsByProbability(t *testing.T) {
	run := func(order []int) map[string][]int {
		s := start(t)
		got := map[string][]int{}
		for i := range 20 {
			s.AddComplaint(wechatpay.Complaint{ComplaintID: fmt.Sprint(i)})
		}
		s.AddFault(wechatpaytest.Fault{Path: "complaints-v2", Kind: wechatpaytest.FaultError500, Probability: 0.2, Seed: 7})
		s.AddFault(wechatpaytest.Fault{Path: "complaints-v2", Kind: wechatpaytest.FaultError502, Probability: 0.2, Seed: 7})
		for _, i := range order {
			target := complaints + "/" + fmt.Sprint(i)
			got[target] = append(got[target], newMessage(s, "GET", target, "").send(t, s).StatusCode)
		}
		return got
	}
	var forth, back []int
	for i := range 200 {
		forth = append(forth, i%20)
		back = append(back, 19-i%20)
	}
	first := run(forth)
	require.Equal(t, first, run(back))
	counts := map[int]int{}
	mixed := false
	for _, all := range first {
		mixed = mixed || len(slices.Compact(slices.Clone(all))) > 1
		for _, status := range all {
			counts[status]++
		}
	}
	require.True(t, mixed, "each request of a complaint is drawn for itself")
	require.InDelta(t, 40, counts[500], 20)
	require.InDelta(t, 32, counts[502], 18)
	require.InDelta(t, 128, counts[200], 30)
}

// Those that are still to strike are there, with the times that are left.
func TestListOfFaults(t *testing.T) {
	s := start(t)
	require.Empty(t, s.Faults())
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultError503})
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultError502, Times: 2})
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultSlow, Path: "other", Probability: 0.5})
	call(t, s, 503, "GET", path, "")
	call(t, s, 502, "GET", path, "")
	require.Equal(t, []wechatpaytest.Fault{
		{Kind: wechatpaytest.FaultError502, Times: 1}, {Kind: wechatpaytest.FaultSlow, Path: "other", Probability: 0.5},
	}, s.Faults())
	s.ClearFaults()
	require.Empty(t, s.Faults())
}

func TestBadFaults(t *testing.T) {
	for _, f := range []wechatpaytest.Fault{
		{Kind: "explode"}, {Kind: "drop", Times: -1}, {Kind: "drop", Probability: 1.1}, {Kind: "drop", Probability: -1},
		{Kind: "slow", Delay: -1}, {Kind: "drop", TakesEffect: true},
		{Kind: "drop", Path: "/v3/merchant-service/complaints-v2/{id}/complete"},
	} {
		require.Error(t, f.Check())
		require.Panics(t, func() { start(t).AddFault(f) })
	}
}

func TestRefuse(t *testing.T) {
	s := start(t)
	file(s)
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultRefuse})
	_, err := newMessage(s, "GET", path, "").try(t, s)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	s.ClearFaults()
	call(t, s, 200, "GET", path, "")
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultRefuse})
	s.Close()
	s.Close()
}

// The port may be taken by another while connections are refused. Then the
// server takes it when it is free, and nothing panics meanwhile.
func TestRefuseWhilePortIsTaken(t *testing.T) {
	s := start(t)
	file(s)
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultRefuse})
	other, err := net.Listen("tcp", strings.TrimPrefix(s.URL, "http://"))
	require.NoError(t, err)
	require.Panics(t, s.ClearFaults, "the test is told where it can be")
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultRefuse, Delay: time.Nanosecond})
	for range 100 { // time enough to try; the test is right without it
		conn, err := net.Dial("tcp", other.Addr().String())
		require.NoError(t, err)
		conn.Close()
	}
	require.NoError(t, other.Close())
	require.Eventually(t, func() bool {
		_, err := newMessage(s, "GET", path, "").try(t, s)
		return err == nil
	}, 10*time.Second, time.Millisecond)
}

func TestCloseIdle(t *testing.T) {
	s := start(t)
	file(s)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	answers := bufio.NewReader(conn)
	get := func() error {
		if err := newMessage(s, "GET", path, "").request(t, s).Write(conn); err != nil {
			return err
		}
		resp, err := http.ReadResponse(answers, nil)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
		}
		return err
	}
	require.NoError(t, get())
	require.NoError(t, get())
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultCloseIdle})
	require.Error(t, get())
	call(t, s, 200, "GET", path, "")
	call(t, s, 200, "GET", path, "")
}

func TestListen(t *testing.T) {
	s, err := wechatpaytest.Listen("127.0.0.1:0")
	require.NoError(t, err)
	defer s.Close()
	file(s)
	s.HandlePlain("/_own/", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	resp, err := httpClient.Get(s.URL + "/_own/x")
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusTeapot, resp.StatusCode)
	require.Empty(t, resp.Header.Get("Wechatpay-Signature"))
	require.Empty(t, s.Requests())
	call(t, s, 200, "GET", path, "")
	_, err = wechatpaytest.Listen(strings.TrimPrefix(s.URL, "http://"))
	require.Error(t, err, "the port is taken")
}

func TestSetFillsIn(t *testing.T) {
	s := start(t)
	s.Configure(func(b *wechatpaytest.Behavior) { *b = wechatpaytest.Behavior{} })
	require.Equal(t, "RESOURCE_NOT_EXISTS", call(t, s, 404, "GET", complaints+"/1", "").json(t)["code"])
	require.Panics(t, func() { s.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = "none" }) })
	require.NotPanics(t, func() { s.Now() })
}

// After Close there is no goroutine of the package.
func TestNothingIsLeftAfterClose(t *testing.T) {
	s := wechatpaytest.NewServer()
	s.Configure(func(b *wechatpaytest.Behavior) { b.AutoNotify = true })
	s.SetNotificationURL("http://127.0.0.1:1/")
	file(s)
	url := s.URL
	call(t, s, 200, "GET", path, "")
	s.Close()
	_, err := http.Get(url)
	require.Error(t, err)
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	require.NotContains(t, string(stacks), "wechatpaytest.(*Server)")
	require.NotContains(t, string(stacks), "wechatpaytest.(*listener)")
}

func TestCloseCutsSlowAnswersShort(t *testing.T) {
	s := start(t)
	file(s)
	s.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultSlow, Delay: time.Hour})
	took := make(chan struct{})
	s.Configure(func(b *wechatpaytest.Behavior) { b.Log = func(wechatpaytest.Request) { close(took) } })
	finished := make(chan error, 1)
	go func() {
		_, err := newMessage(s, "POST", decide, approve).try(t, s)
		finished <- err
	}()
	<-took
	s.Close()
	require.NoError(t, <-finished, "an answer under way is finished")
	require.Len(t, s.History(id), 2)
}

func TestCloseDoesNotHang(t *testing.T) {
	closes := func(t *testing.T, s *wechatpaytest.Server) {
		closed := make(chan struct{})
		go func() { s.Close(); close(closed) }()
		select {
		case <-closed:
		case <-time.After(30 * time.Second):
			t.Fatal("Close hangs")
		}
	}
	for _, target := range []string{decide, "/_own/"} {
		t.Run("for the rest of a body to "+target, func(t *testing.T) {
			s := start(t)
			s.HandlePlain("/_own/", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) }))
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
			require.NoError(t, err)
			defer conn.Close()
			_, err = io.WriteString(conn, "POST "+target+" HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n")
			require.NoError(t, err)
			line, err := bufio.NewReader(conn).ReadString('\n')
			require.NoError(t, err)
			require.Contains(t, line, "100 Continue", "the body is being read")
			closes(t, s)
		})
	}
	t.Run("for a handler that waits for its request", func(t *testing.T) {
		s := start(t)
		began := make(chan struct{})
		s.HandlePlain("/_own/", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(began) // and the body is not read
			<-r.Context().Done()
		}))
		finished := make(chan struct{})
		go func() {
			defer close(finished)
			_, _ = newMessage(s, "POST", "/_own/x", "{}").try(t, s)
		}()
		<-began
		closes(t, s)
		<-finished
	})
}

// A request need not have come over a connection.
func TestServeHTTP(t *testing.T) {
	s := start(t)
	file(s)
	for _, method := range []string{"GET", "POST"} {
		req, err := http.NewRequest(method, path, nil)
		require.NoError(t, err)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, req)
		require.Equal(t, 400, w.Code)
	}
	require.Equal(t, path, s.Requests()[0].Path)
	req := newMessage(s, "GET", path, "").request(t, s)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, req)
	require.Equal(t, 200, w.Code, w.Body)
	require.NotEmpty(t, w.Header().Get("Date"))

	w = httptest.NewRecorder()
	w.Header()["Date"] = nil // as net/http has it: none at all
	s.ServeHTTP(w, newMessage(s, "GET", path, "").request(t, s))
	require.Equal(t, 200, w.Code, w.Body)
	require.Empty(t, w.Header().Get("Date"))
}

// Each call makes another certificate, also of several at once.
func TestMerchantCertificates(t *testing.T) {
	s := start(t)
	file(s)
	const calls = 3
	serials := make(chan string, calls)
	for range calls {
		go func() { serials <- s.RenewMerchantCertificate().SerialNo }()
	}
	seen := map[string]bool{}
	for range calls {
		seen[<-serials] = true
	}
	require.Len(t, seen, calls)
	call(t, s, 200, "GET", path, "")
	s.RevokeMerchantCertificate(strings.ToLower(s.Config().SerialNo))
	call(t, s, 401, "GET", path, "")
}

func TestServerBehindTLS(t *testing.T) {
	s := start(t)
	file(s)
	server := httptest.NewUnstartedServer(s)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	do := func(m *message) (*http.Response, error) {
		req := m.request(t, s)
		u, err := url.Parse(server.URL + m.target)
		require.NoError(t, err)
		req.URL, req.Host = u, u.Host
		return server.Client().Do(req)
	}
	resp, err := do(newMessage(s, "POST", decide, approve))
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, 204, resp.StatusCode)
	require.Equal(t, 2, resp.ProtoMajor)
	for _, kind := range []wechatpaytest.FaultKind{wechatpaytest.FaultDrop, wechatpaytest.FaultCut} {
		s.AddFault(wechatpaytest.Fault{Kind: kind})
		_, err = do(newMessage(s, "POST", path+"/response", reply4))
		require.Error(t, err, kind)
	}
	require.Len(t, s.History(id), 3, "the cut answer was to a reply that took effect")
}

func TestNotify(t *testing.T) {
	s := start(t)
	var got *http.Request
	var body []byte
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write([]byte(`{"code":"FAIL"}`))
	}))
	defer receiver.Close()
	resp, err := s.Notify(context.Background(), receiver.URL+"/n", wechatpaytest.Notification{
		ID: "e-1", EventType: "COMPLAINT.CREATE", ComplaintID: id, ActionType: "CREATE_COMPLAINT"})
	require.NoError(t, err)
	require.Equal(t, http.StatusTeapot, resp.StatusCode)
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.JSONEq(t, `{"code":"FAIL"}`, string(answer))

	require.Equal(t, "POST", got.Method)
	require.True(t, verify(s.Config().PublicKey, got.Header, body))
	require.Equal(t, s.Config().PublicKeyID, got.Header.Get("Wechatpay-Serial"))
	require.Equal(t, fmt.Sprint(noon.Unix()), got.Header.Get("Wechatpay-Timestamp"))
	var envelope struct {
		ID           string
		CreateTime   time.Time `json:"create_time"`
		EventType    string    `json:"event_type"`
		ResourceType string    `json:"resource_type"`
		Resource     sealed
	}
	require.NoError(t, json.Unmarshal(body, &envelope))
	require.Equal(t, "e-1", envelope.ID)
	require.Equal(t, "COMPLAINT.CREATE", envelope.EventType)
	require.Equal(t, "encrypt-resource", envelope.ResourceType)
	require.WithinDuration(t, noon, envelope.CreateTime, time.Second)
	require.JSONEq(t, `{"complaint_id":"`+id+`","action_type":"CREATE_COMPLAINT"}`, string(envelope.Resource.open(t, s.Config().APIv3Key)))

	_, err = s.Notify(context.Background(), receiver.URL, wechatpaytest.Notification{})
	require.ErrorContains(t, err, "EventType")
	_, err = s.Notify(context.Background(), receiver.URL, wechatpaytest.Notification{EventType: "X", Fault: wechatpaytest.FaultDrop})
	require.ErrorContains(t, err, "drop")
	_, err = s.Notify(context.Background(), receiver.URL, wechatpaytest.Notification{EventType: "X", Serial: "ABC"})
	require.ErrorContains(t, err, "ABC")
	_, err = s.Notify(context.Background(), receiver.URL, wechatpaytest.Notification{EventType: "REFUND.SUCCESS", OutRefundNo: "r"})
	require.ErrorContains(t, err, "no refund")
}

func TestNotificationKeysAndFaults(t *testing.T) {
	s := start(t)
	public := s.Config().PublicKey
	build := func(n wechatpaytest.Notification) (http.Header, []byte) {
		n.EventType = "COMPLAINT.CREATE"
		req, err := s.NewNotification(context.Background(), "http://127.0.0.1/n", n)
		require.NoError(t, err)
		body, err := io.ReadAll(req.Body)
		require.NoError(t, err)
		return req.Header, body
	}
	h, body := build(wechatpaytest.Notification{})
	require.True(t, verify(public, h, body))
	certificate := s.PlatformCertificate()
	h, body = build(wechatpaytest.Notification{Serial: fmt.Sprintf("%X", certificate.SerialNumber)})
	require.True(t, verify(keyOf(certificate), h, body))
	h, body = build(wechatpaytest.Notification{Fault: wechatpaytest.FaultForged})
	require.False(t, verify(public, h, body))
	h, body = build(wechatpaytest.Notification{Fault: wechatpaytest.FaultProbe})
	require.False(t, verify(public, h, body))
	require.True(t, strings.HasPrefix(h.Get("Wechatpay-Signature"), "WECHATPAY/SIGNTEST/"))
	h, body = build(wechatpaytest.Notification{Fault: wechatpaytest.FaultOld})
	require.True(t, verify(public, h, body))
	require.Equal(t, fmt.Sprint(noon.Add(-15*time.Minute).Unix()), h.Get("Wechatpay-Timestamp"))
	h, _ = build(wechatpaytest.Notification{Fault: wechatpaytest.FaultUnsigned})
	require.Empty(t, h.Get("Wechatpay-Signature"))
	s.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModeCertificate })
	h, body = build(wechatpaytest.Notification{})
	require.True(t, verify(keyOf(certificate), h, body))
}

func TestNotificationsThatAreDue(t *testing.T) {
	s := start(t)
	status := http.StatusInternalServerError
	receiver := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	defer receiver.Close()
	deliver := func() []wechatpaytest.Delivery { return s.DeliverDue(context.Background()) }

	file(s)
	require.Empty(t, s.PendingNotifications(), "there was no URL")
	call(t, s, 200, "POST", "/v3/merchant-service/complaint-notifications", `{"url":"`+receiver.URL+`"}`)
	require.NoError(t, s.UserReplies(id, "请尽快"))
	call(t, s, 204, "POST", decide, approve) // the merchant's own action
	pending := s.PendingNotifications()
	require.Len(t, pending, 1)
	require.Equal(t, "USER_RESPONSE", pending[0].Notification.ActionType)
	require.Regexp(t, `^[0-9a-f-]{36}$`, pending[0].Notification.ID)

	// Ten times after 60 s, then every 300 s, until two hours.
	var attempts int
	var times []time.Duration
	for at := time.Duration(0); at <= 3*time.Hour; at += 30 * time.Second {
		for _, d := range deliver() {
			attempts++
			require.Equal(t, attempts, d.Attempt)
			require.Equal(t, 500, d.StatusCode)
			require.Equal(t, pending[0].Notification.ID, d.Notification.ID, "a duplicate keeps its id")
			times = append(times, at)
		}
		s.Advance(30 * time.Second)
	}
	require.Len(t, times, 1+10+22)
	require.Equal(t, time.Minute, times[1])
	require.Equal(t, 10*time.Minute, times[10])
	require.Equal(t, 15*time.Minute, times[11])
	require.Equal(t, 2*time.Hour, times[len(times)-1])
	require.Empty(t, s.PendingNotifications())

	s.Configure(func(b *wechatpaytest.Behavior) { b.NotifyOwnActions = true })
	call(t, s, 204, "POST", path+"/response", reply4)
	status = http.StatusNoContent
	require.Equal(t, "MERCHANT_RESPONSE", deliver()[0].Notification.ActionType)
	require.Empty(t, deliver())

	s.SetNotificationURL("https://example.com/n")
	require.NoError(t, s.UserReplies(id, "请尽快"))
	require.ErrorContains(t, deliver()[0].Err, "loopback", "a test does not leave its machine")
}

func TestNotificationsOfEveryEvent(t *testing.T) {
	s := start(t)
	s.SetNotificationURL("http://127.0.0.1:1/n")
	s.Configure(func(b *wechatpaytest.Behavior) { b.NotifyOwnActions = true })
	file(s)
	call(t, s, 204, "POST", path+"/response", reply4)
	call(t, s, 204, "POST", decide, reject)
	require.NoError(t, s.UserContinues(id))
	call(t, s, 204, "POST", decide, approve)
	call(t, s, 200, "POST", refunds, strings.Replace(refundOf("r-1", 100), "{", `{"notify_url":"http://127.0.0.1:1/refund",`, 1))
	require.NoError(t, s.SettleRefund("r-1", "SUCCESS"))
	require.NoError(t, s.UserContinues(id))
	call(t, s, 204, "POST", path+"/complete", done)
	var got []string
	for _, p := range s.PendingNotifications() {
		got = append(got, p.Notification.EventType+" "+p.Notification.ActionType)
	}
	require.Equal(t, []string{
		"COMPLAINT.CREATE CREATE_COMPLAINT",
		"COMPLAINT.STATE_CHANGE MERCHANT_RESPONSE",
		"COMPLAINT.STATE_CHANGE MERCHANT_REJECT_REFUND",
		"COMPLAINT.STATE_CHANGE CONTINUE_COMPLAINT",
		"COMPLAINT.STATE_CHANGE MERCHANT_APPROVE_REFUND",
		"COMPLAINT.STATE_CHANGE SELLER_REFUND",
		"COMPLAINT.STATE_CHANGE REFUND_SUCCESS",
		"REFUND.SUCCESS ",
		"COMPLAINT.STATE_CHANGE CONTINUE_COMPLAINT",
		"COMPLAINT.STATE_CHANGE MERCHANT_CONFIRM_COMPLETE",
	}, got)

	req, err := s.NewNotification(context.Background(), "http://127.0.0.1:1/refund", wechatpaytest.Notification{EventType: "REFUND.SUCCESS", OutRefundNo: "r-1"})
	require.NoError(t, err)
	var envelope struct{ Resource sealed }
	require.NoError(t, json.NewDecoder(req.Body).Decode(&envelope))
	require.JSONEq(t, fmt.Sprintf(`{"mchid":"1900000001","transaction_id":"4200001","out_trade_no":"trade-1","refund_id":%q,"out_refund_no":"r-1",
		"refund_status":"SUCCESS","success_time":"2026-03-04T12:00:00+08:00","user_received_account":"支付用户零钱",
		"amount":{"total":100,"refund":100,"payer_total":100,"payer_refund":100}}`, s.Refunds()[0].RefundID), string(envelope.Resource.open(t, s.Config().APIv3Key)))
}

func TestAutoNotify(t *testing.T) {
	s := start(t)
	var calls atomic.Int64
	got := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var envelope struct{ ID string }
		_ = json.NewDecoder(r.Body).Decode(&envelope)
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusBadGateway)
		}
		got <- envelope.ID
	}))
	defer receiver.Close()
	s.SetNotificationURL(receiver.URL)
	s.Configure(func(b *wechatpaytest.Behavior) { b.AutoNotify = true })
	file(s)
	first := <-got
	require.Eventually(t, func() bool { return s.PendingNotifications()[0].Attempts == 1 }, 5*time.Second, time.Millisecond)
	s.Advance(time.Minute)
	require.Equal(t, first, <-got)
	require.Eventually(t, func() bool { return len(s.PendingNotifications()) == 0 }, 5*time.Second, time.Millisecond)
	s.Close()
}

func TestCloseEndsADelivery(t *testing.T) {
	s := start(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(arrived); <-release }))
	defer receiver.Close()
	defer close(release)
	s.SetNotificationURL(receiver.URL)
	s.Configure(func(b *wechatpaytest.Behavior) { b.AutoNotify = true })
	file(s)
	<-arrived
	require.Len(t, s.PendingNotifications(), 1, "who waits for the last one waits for its answer too")
	require.Empty(t, s.DeliverDue(context.Background()), "it is on its way already")
	s.Close()
}

func TestConfigFitsNewClient(t *testing.T) {
	s := start(t)
	file(s)
	client, err := wechatpay.NewClient(s.Config())
	require.NoError(t, err)
	require.NoError(t, client.ComplaintsV2.UpdateRefundProgress(context.Background(), id, wechatpay.ApproveRefund(0)))
	err = client.ComplaintsV2.UpdateRefundProgress(context.Background(), id, wechatpay.ApproveRefund(0))
	var apiError *wechatpay.APIError
	require.True(t, errors.As(err, &apiError))
	require.EqualValues(t, "INVALID_REQUEST", apiError.Code)
}

func BenchmarkNewServer(b *testing.B) {
	wechatpaytest.NewServer().Close() // makes the keys of the process
	b.ResetTimer()
	for range b.N {
		wechatpaytest.NewServer().Close()
	}
}

// BenchmarkGenerateKey is what the first server of a process does twice.
func BenchmarkGenerateKey(b *testing.B) {
	for range b.N {
		if _, err := rsa.GenerateKey(rand.Reader, 2048); err != nil {
			b.Fatal(err)
		}
	}
}
