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

// Server is a fake WeChat Pay for one merchant, or for several ([Server.AddMerchant]).
// It listens on a loopback address. It is safe for concurrent use, and a test may
// start several.
//
// It is also an http.Handler: a test that needs TLS can pass one from
// [NewUnstartedServer] to httptest.NewTLSServer.
type Server struct {
	// URL is the base URL of the server, of the form http://127.0.0.1:port. It is
	// empty until the server listens.
	URL string
	// Handler, if not nil, serves the requests in place of the server, for example
	// to add paths of its own. It can pass requests to [Server.ServeHTTP]. Set it
	// before Listen.
	Handler http.Handler

	http     *httptest.Server // nil until the server listens
	listener *listener
	handlers *http.ServeMux // of Handle
	behavior atomic.Pointer[Behavior]
	advanced atomic.Int64 // the sum of Advance, in nanoseconds
	first    *Merchant
	nonces   nonces
	ctx      context.Context // of all requests; canceled by Close
	cancel   context.CancelFunc
	closing  sync.Once
	silent   sync.WaitGroup // connections of FaultSwitching

	mu          sync.Mutex // guards the following
	merchants   []*Merchant
	certs       map[string]*merchantCert // by serial number
	platform    []*platformCertificate
	current     int // the platform certificate that signs
	custom      map[string]http.Handler
	complaints  map[string]*complaint
	filed       []*complaint // sorted by complaint_time
	orders      orderBook
	refunds     map[refundKey]*refund
	refundOrder []*refund
	media       map[string]*media
	uploads     uploadLog
	numbers     map[string]int // the last number of each kind
	resets      int
	log         requestLog
	faults      faultSet
	sent        map[*endpoint]successes // for FaultReplay
	rates       map[rateKey][]time.Time // of the accepted requests in the last minute
	deliveries  deliveryQueue
}

// NewServer starts a server on a free loopback port. The caller must call Close.
// Like httptest.NewServer, it panics if it cannot listen.
//
// The first server of a process generates the RSA keys, which takes a few tenths
// of a second. All servers of a process share them.
func NewServer() *Server {
	s := NewUnstartedServer()
	s.start(httptest.NewUnstartedServer(nil))
	return s
}

// Listen is NewServer for an address such as "127.0.0.1:8080". The SDK sends
// plain http to loopback only.
func Listen(addr string) (*Server, error) {
	s := NewUnstartedServer()
	if err := s.Listen(addr); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// NewUnstartedServer returns a server that does not listen yet. Change what must
// be set before the first request, and call Listen. The caller must call Close.
func NewUnstartedServer() *Server {
	var keys sync.WaitGroup
	for _, role := range []string{merchantRole(0), publicKeyRole} {
		keys.Add(1)
		go func() {
			defer keys.Done()
			processKey(role)
		}()
	}
	keys.Wait()

	s := &Server{
		listener: newListener(),
		handlers: http.NewServeMux(),
		certs:    map[string]*merchantCert{},
		custom:   map[string]http.Handler{},
		numbers:  map[string]int{},
	}
	s.first = &Merchant{server: s, mchid: defaultMchID, apiV3Key: processAPIv3Key()}
	s.merchants = []*Merchant{s.first}
	s.addMerchantCert(s.first, merchantRole(0), 0)
	s.clear()
	b := &Behavior{Seed: rand.Uint64()}
	b.setDefaults()
	s.behavior.Store(b)
	s.deliveries.wake = make(chan struct{}, 1)

	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.ctx.Done() // creates the channel here: Close could not close one of a synctest bubble
	return s
}

// Listen starts the server on an address such as "127.0.0.1:8080", and sets URL.
// It may be called once.
func (s *Server) Listen(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("wechatpaytest: Listen: %w", err)
	}
	s.start(&httptest.Server{Listener: l, Config: &http.Server{}})
	return nil
}

// start serves requests on the listener of an unstarted server.
func (s *Server) start(server *httptest.Server) {
	s.http = server
	s.listener.start(server.Listener)
	s.http.Listener = s.listener
	s.http.Config.Handler = s.Handler
	if s.Handler == nil {
		s.http.Config.Handler = s
	}
	s.http.Config.BaseContext = func(net.Listener) context.Context { return s.ctx }
	s.http.Config.ConnContext = connContext
	s.http.Config.Protocols = new(http.Protocols)
	s.http.Config.Protocols.SetHTTP1(true)
	s.http.Config.Protocols.SetUnencryptedHTTP2(true)
	s.http.Config.IdleTimeout = 8 * time.Second // as WeChat Pay's
	s.http.Config.ConnState = s.listener.connState
	s.URL = baseURL(s.listener.addr)
	s.http.Start()
}

// baseURL returns a URL under which clients of this machine reach an address.
func baseURL(addr net.Addr) string {
	host, port, _ := net.SplitHostPort(addr.String())
	if net.ParseIP(host).IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// Reset removes complaints, refunds, images, notifications, notification URLs,
// requests and faults, for tests that share a server. Behavior, clock, merchants,
// certificates and handlers stay. Ids of records and events are not reused.
func (s *Server) Reset() {
	s.mu.Lock()
	s.clear()
	s.mu.Unlock()
	s.ClearFaults()
}

// clear removes the state. The caller holds mu, or the server is new.
func (s *Server) clear() {
	s.resets++
	s.complaints, s.filed = map[string]*complaint{}, nil
	s.orders = orderBook{map[string]*order{}, map[tradeNo]*order{}}
	s.refunds, s.refundOrder = map[refundKey]*refund{}, nil
	s.media, s.uploads = map[string]*media{}, uploadLog{}
	s.deliveries.queue = nil
	for _, m := range s.merchants {
		m.notifyURL = ""
	}
	s.faults = faultSet{}
	s.sent = map[*endpoint]successes{}
	s.rates = map[rateKey][]time.Time{}
	s.log = requestLog{}
}

// Close stops the server and all its goroutines. It completes the responses in
// progress, ends the delays of faults, and does not wait for the rest of a
// request body. It cancels the context of requests in a user's handler and waits
// for the handler. Close may be called more than once.
func (s *Server) Close() {
	s.closing.Do(func() {
		s.cancel()
		if s.http != nil {
			s.http.Close()
		}
		s.silent.Wait()
		s.deliveries.stop()
	})
}

// Config returns a client configuration for the server and its first merchant,
// with its URL, the newest key and certificate of the merchant, the keys that the
// [KeyMode] allows, and the clock of signatures.
func (s *Server) Config() wechatpay.Config { return s.first.Config() }

// Configure changes the behavior for later requests. change edits a copy of the
// current behavior. Zero fields that need a value get their default. change runs
// under the server's lock and must not call its methods. Configure panics if
// KeyMode or NotificationLoss is invalid.
func (s *Server) Configure(change func(*Behavior)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := *s.behavior.Load()
	b.SubMchIDs = slices.Clone(b.SubMchIDs) // requests in progress use the old one
	change(&b)
	b.setDefaults()
	b.SubMchIDs = slices.Clone(b.SubMchIDs) // change may keep it
	s.behavior.Store(&b)
	s.wakeDelivery()
}

// Now returns the time on the server's clock.
func (s *Server) Now() time.Time {
	return s.behavior.Load().Time().Add(time.Duration(s.advanced.Load()))
}

// wireNow returns the time on the clock of signatures.
func (s *Server) wireNow() time.Time {
	if wireTime := s.behavior.Load().WireTime; wireTime != nil {
		return wireTime()
	}
	return s.Now()
}

// Advance moves the server's clock forward. Clients from Config follow it, unless
// [Behavior.WireTime] is set. Anything that becomes due happens as if the time
// had passed.
func (s *Server) Advance(d time.Duration) {
	s.advanced.Add(int64(d))
	s.wakeDelivery()
}

// digits returns an id of n digits, determined by the seed and names.
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

// number returns the next number of a kind, starting at 1. The caller holds mu.
func (s *Server) number(kind string) int {
	s.numbers[kind]++
	return s.numbers[kind]
}
