package wechatpaytest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
)

// Server is a WeChat Pay for one merchant, on a loopback address. It is safe
// for concurrent use, and several may run side by side.
//
// It is an http.Handler too: a test that needs TLS or HTTP/2 mounts it in an
// httptest.Server of its own.
type Server struct {
	// URL is where the server listens, of the form http://127.0.0.1:port.
	URL string

	http     *httptest.Server
	listener *listener
	handlers *http.ServeMux // the user's own, by pattern
	plain    *http.ServeMux // those that are no part of the API
	behavior atomic.Pointer[Behavior]
	advanced atomic.Int64 // how far Advance moved the clock, in nanoseconds
	mchid    string
	nonces   nonces
	ctx      context.Context // of all requests; ended by Close
	end      context.CancelFunc
	closing  sync.Once

	mu          sync.Mutex // guards what follows
	merchants   map[string]*merchant
	merchant    *merchant // the newest certificate
	platform    []*platformCertificate
	current     int // the platform certificate that signs
	custom      map[string]http.Handler
	complaints  map[string]*complaint
	filed       []*complaint // in the order of their complaint_time
	orders      orderBook
	refunds     map[string]*refund
	refundOrder []*refund
	media       map[string]*media
	notifyURL   string
	numbered    map[string]int // how many ids of a kind there are
	log         requestLog
	faults      faultSet
	mail        deliveryQueue
}

// NewServer starts a server on a free port of loopback. The caller calls Close.
// It panics if it cannot listen, as httptest.NewServer does.
//
// The first server of a process generates the RSA keys, which takes some tenths
// of a second; the others share them.
func NewServer() *Server {
	return newServer(httptest.NewUnstartedServer(nil), nil)
}

// Listen is NewServer on an address of the caller's choice, such as
// "127.0.0.1:8080". Mind that the SDK sends plain http to loopback only.
func Listen(addr string) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("wechatpaytest: %w", err)
	}
	return newServer(&httptest.Server{Listener: l, Config: &http.Server{}}, nil), nil
}

// newServer starts a server. If wrap is not nil, requests go to the handler it
// returns.
func newServer(server *httptest.Server, wrap func(http.Handler) http.Handler) *Server {
	var keys sync.WaitGroup
	for _, role := range []string{merchantRole(0), publicKeyRole} {
		keys.Add(1)
		go func() {
			defer keys.Done()
			processKey(role)
		}()
	}
	keys.Wait()

	first := merchantCertificate(0)
	s := &Server{
		http:      server,
		listener:  newListener(server.Listener),
		handlers:  http.NewServeMux(),
		plain:     http.NewServeMux(),
		mchid:     defaultMchID,
		merchants: map[string]*merchant{first.serial: first},
		merchant:  first,
		custom:    map[string]http.Handler{},
		numbered:  map[string]int{},
	}
	s.forget()
	b := &Behavior{Seed: rand.Uint64()}
	b.setDefaults()
	s.behavior.Store(b)
	s.mail.wake = make(chan struct{}, 1)
	s.HandlePlain(storagePath, http.HandlerFunc(s.serveStorage))

	s.ctx, s.end = context.WithCancel(context.Background())
	s.http.Config.BaseContext = func(net.Listener) context.Context { return s.ctx }
	s.http.Listener = s.listener
	s.http.Config.Handler = s
	if wrap != nil {
		s.http.Config.Handler = wrap(s)
	}
	// WeChat Pay closes connections that are idle for 8 s.
	s.http.Config.IdleTimeout = 8 * time.Second
	s.http.Config.ConnState = s.listener.state
	s.http.Start()
	s.URL = s.http.URL
	return s
}

// Reset forgets complaints, refunds, images, notifications and their URL,
// requests and faults, as between two tests that share a server. Behavior,
// clock, certificates and handlers stay, and no id of a record or of an event
// comes again.
func (s *Server) Reset() {
	s.mu.Lock()
	s.forget()
	s.mu.Unlock()
	s.ClearFaults()
}

// forget makes what happened empty. The caller holds mu, or the server is new.
func (s *Server) forget() {
	s.complaints, s.filed = map[string]*complaint{}, nil
	s.orders = orderBook{map[string]*order{}, map[tradeNo]*order{}}
	s.refunds, s.refundOrder = map[string]*refund{}, nil
	s.media = map[string]*media{}
	s.notifyURL, s.mail.queue = "", nil
	s.faults = faultSet{}
	s.log = requestLog{}
}

// Close stops the server: answers under way are finished, faults that wait are
// cut short, and no goroutine is left. A body of which the rest never comes is
// not waited for; a handler of the user's is, and its request's context has
// ended. Close may be called again.
func (s *Server) Close() {
	s.closing.Do(func() {
		s.end()
		s.http.Close()
		s.mail.stop()
	})
}

// Config returns a client configuration that fits the server: its merchant's
// newest key and certificate, the keys that its [KeyMode] gives a merchant, its
// URL and the clock of its signatures.
func (s *Server) Config() wechatpay.Config {
	s.mu.Lock()
	m := s.merchant
	s.mu.Unlock()
	return s.configOf(m)
}

func (s *Server) configOf(m *merchant) wechatpay.Config {
	cfg := wechatpay.Config{
		MchID:       s.mchid,
		SerialNo:    m.serial,
		PrivateKey:  m.key,
		Certificate: m.cert,
		APIv3Key:    processAPIv3Key(),
		BaseURL:     s.URL,
		Time:        s.wireNow,
	}
	if s.behavior.Load().KeyMode != KeyModeCertificate {
		cfg.PublicKeyID = publicKeyID()
		cfg.PublicKey = &processKey(publicKeyRole).PublicKey
	}
	return cfg
}

// Set changes the behavior: change gets a copy of what holds, and what it
// leaves holds for the requests that come from then on. A field that it leaves
// zero, and that cannot be, has its first value again. It panics for a KeyMode
// that does not exist. change must not call the server's methods: it runs under
// their lock.
func (s *Server) Configure(change func(*Behavior)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := *s.behavior.Load()
	b.SubMchIDs = slices.Clone(b.SubMchIDs) // requests under way read the old one
	change(&b)
	b.setDefaults()
	b.SubMchIDs = slices.Clone(b.SubMchIDs) // change may have kept it
	s.behavior.Store(&b)
	s.wakeDelivery()
}

// Now is the server's clock.
func (s *Server) Now() time.Time {
	return s.behavior.Load().Time().Add(time.Duration(s.advanced.Load()))
}

// wireNow is the clock of [Behavior.WireTime].
func (s *Server) wireNow() time.Time {
	if at := s.behavior.Load().WireTime; at != nil {
		return at()
	}
	return s.Now()
}

// Advance moves the server's clock on, and with it that of clients made from
// Config, unless [Behavior.WireTime] is another. What becomes due by it happens
// as if the time had passed.
func (s *Server) Advance(d time.Duration) {
	s.advanced.Add(int64(d))
	s.wakeDelivery()
}

// digits makes an id of n digits from the seed and what it names.
func (s *Server) digits(n int, names ...any) string {
	sum := s.hash(names...)
	return decimal(sum[:], n)
}

func (s *Server) hash(names ...any) [sha256.Size]byte {
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64(nil, s.behavior.Load().Seed))
	for _, name := range names {
		fmt.Fprintf(h, "\x00%v", name)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// number counts ids of a kind. The caller holds mu.
func (s *Server) number(kind string) int {
	s.numbered[kind]++
	return s.numbered[kind]
}
