package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// brokenSetup is a setup with a problem. doctor must name its cause, and blame
// nothing that is right.
type brokenSetup struct {
	name   string
	change func(*testing.T, setup)
	en, zh []string // the beginnings of all ✗ lines; none: no problem
	note   string   // part of a – line; optional
	// fix does what doctor says. After it, doctor finds no problem.
	fix  func(*testing.T, setup)
	slow bool
}

func testBrokenSetups(t *testing.T, setups []brokenSetup) {
	for _, test := range setups {
		t.Run(test.name, func(t *testing.T) {
			if test.slow && testing.Short() {
				t.Skip("slow")
			}
			t.Parallel()
			server := newServer(t)
			s := setup{server, server.Config(), settings(t, server.Config())}
			test.change(t, s)
			en, zh := runDoctor(t, s.env)
			status := exitFailed
			if len(test.en) == 0 {
				status = exitDone
			}
			require.Equal(t, status, en.status, en.stdout)
			requireProblems(t, test.en, en, s)
			requireProblems(t, test.zh, zh, s)
			require.Contains(t, strings.Join(lines(en.stdout, "–"), "\n"), test.note, en.stdout)
			if test.fix != nil {
				test.fix(t, s)
				fixed, _ := runDoctor(t, s.env)
				require.Equal(t, exitDone, fixed.status, fixed.stdout)
			}
		})
	}
}

// front makes requests go through a gateway.
func front(wrap func(*wechatpaytest.Server) http.HandlerFunc) func(*testing.T, setup) {
	return func(t *testing.T, s setup) {
		gateway := httptest.NewServer(wrap(s.server))
		t.Cleanup(gateway.Close)
		s.env["WECHATPAY_BASE_URL"] = gateway.URL
	}
}

// direct undoes front.
func direct(_ *testing.T, s setup) { s.env["WECHATPAY_BASE_URL"] = s.server.URL }

// page returns a gateway that answers by itself.
func page(status int, header, body string) func(*testing.T, setup) {
	return front(func(*wechatpaytest.Server) http.HandlerFunc { return pageHandler(status, header, body) })
}

func pageHandler(status int, header, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		name, value, _ := strings.Cut(header, ": ")
		w.Header().Set(name, value)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

const html = "Content-Type: text/html"

// requests returns a gateway that changes requests. change reports whether it
// wrote the response.
func requests(change func(http.ResponseWriter, *http.Request) bool) func(*testing.T, setup) {
	return front(func(server *wechatpaytest.Server) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if !change(w, r) {
				server.ServeHTTP(w, r)
			}
		}
	})
}

// responses returns a gateway that changes responses.
func responses(change func(h http.Header, body []byte) []byte) func(*testing.T, setup) {
	return front(func(server *wechatpaytest.Server) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			recorder := httptest.NewRecorder()
			server.ServeHTTP(recorder, r)
			body := change(recorder.Header(), recorder.Body.Bytes())
			for name, values := range recorder.Header() {
				w.Header()[name] = values
			}
			w.Header().Del("Content-Length")
			w.WriteHeader(recorder.Code)
			_, _ = w.Write(body)
		}
	})
}

// live makes a setup use https://api.mch.weixin.qq.com through a proxy that
// connects to the server instead.
type live struct {
	proxy   *httptest.Server
	service *httptest.Server
	caFile  string
	connect http.HandlerFunc // refuses CONNECT; nil: the proxy connects
	tunnel  func(client, service net.Conn)
}

// start starts the service and the proxy, and sets HTTPS_PROXY and SSL_CERT_FILE.
// change changes the certificate of the service.
func (l *live) start(t *testing.T, s setup, change ...func(*x509.Certificate)) {
	t.Helper()
	ca, caKey := authority(t)
	l.caFile = filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(l.caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw}), 0o600))
	l.service = httptest.NewUnstartedServer(s.server)
	l.service.TLS = &tls.Config{Certificates: []tls.Certificate{issue(t, ca, caKey, change...)}}
	l.service.Config.ErrorLog = log.New(io.Discard, "", 0)
	l.service.StartTLS()
	t.Cleanup(l.service.Close)
	l.proxy = httptest.NewUnstartedServer(l)
	l.proxy.TLS = &tls.Config{Certificates: []tls.Certificate{issue(t, ca, caKey)}}
	l.proxy.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(func() { l.proxy.Close() })
	delete(s.env, "WECHATPAY_BASE_URL")
	s.env["SSL_CERT_FILE"] = l.caFile
	s.env["SSL_CERT_DIR"] = t.TempDir()
}

func (l *live) startPlain(t *testing.T, s setup, change ...func(*x509.Certificate)) {
	l.start(t, s, change...)
	l.startProxy(s)
}

func (l *live) startProxy(s setup) {
	l.proxy.Start()
	s.env["HTTPS_PROXY"] = l.proxy.URL
}

// ServeHTTP is the proxy.
func (l *live) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect || !strings.HasSuffix(r.Host, ".mch.weixin.qq.com:443") {
		http.Error(w, "unexpected "+r.Method+" "+r.Host, http.StatusTeapot)
		return
	}
	if l.connect != nil {
		recorder := httptest.NewRecorder()
		l.connect(recorder, r)
		if recorder.Code != http.StatusOK {
			w.WriteHeader(recorder.Code)
			return
		}
	}
	service, err := net.Dial("tcp", l.service.Listener.Addr().String())
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		service.Close()
		return
	}
	_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		_, _ = io.Copy(client, service)
		client.Close()
	}()
	if l.tunnel != nil {
		l.tunnel(client, service)
	} else {
		_, _ = io.Copy(service, client)
	}
	service.Close()
}

// dropLarge forwards packets to the service unless they are larger than an
// Ethernet frame, as some firewalls do. It keeps the connection open.
func dropLarge(client, service net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if n <= 1400 {
			_, _ = service.Write(buffer[:n])
		}
	}
}

// authority returns a certificate authority.
func authority(t *testing.T) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "Corp Inspection CA"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return certificate, key
}

// issue returns a certificate for WeChat Pay's hosts and 127.0.0.1.
func issue(t *testing.T, ca *x509.Certificate, caKey *ecdsa.PrivateKey, change ...func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		DNSNames:     []string{"api.mch.weixin.qq.com", "api2.mch.weixin.qq.com"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, f := range change {
		f(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// both returns the beginnings of the lines about both hosts.
func both(en, zh string) (enLines, zhLines []string) {
	const main, backup = "https://api.mch.weixin.qq.com", "https://api2.mch.weixin.qq.com"
	return []string{"main host: " + main + ": " + en, "backup host: " + backup + ": " + en},
		[]string{"主域名：" + main + "：" + zh, "备用域名：" + backup + "：" + zh}
}

// onBoth returns a setup whose problem is in the lines about both hosts.
func onBoth(name string, change func(*testing.T, setup), en, zh string, fix func(*testing.T, setup)) brokenSetup {
	enLines, zhLines := both(en, zh)
	return brokenSetup{name: name, change: change, en: enLines, zh: zhLines, fix: fix}
}

// inCalls returns a setup whose problem is in the lines about the calls.
func inCalls(name string, change func(*testing.T, setup), en, zh string, fix func(*testing.T, setup)) brokenSetup {
	return brokenSetup{
		name: name, change: change,
		en:  []string{"signature self-test: " + en, "list of complaints: the same problem"},
		zh:  []string{"签名自检：" + zh, "查询投诉单列表：原因同上"},
		fix: fix,
	}
}

// none is a fix for a problem that is not in the settings.
var none func(*testing.T, setup)

func unset(names ...string) func(*testing.T, setup) {
	return func(_ *testing.T, s setup) {
		for _, name := range names {
			delete(s.env, name)
		}
	}
}
