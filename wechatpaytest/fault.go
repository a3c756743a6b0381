package wechatpaytest

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// FaultKind is what goes wrong.
type FaultKind string

const (
	FaultDrop         FaultKind = "drop"          // the connection is closed without an answer; nothing took effect
	FaultLostResponse FaultKind = "lost_response" // the request takes effect, then the connection is closed without an answer
	FaultCut          FaultKind = "cut"           // the request takes effect, then the connection is closed in the middle of the answer's body, or of its headers where it has no body
	FaultSlow         FaultKind = "slow"          // the request takes effect, and the answer comes Delay later

	// An answer in place of WeChat Pay's own, unsigned, as from a gateway.
	// Nothing took effect, unless TakesEffect says otherwise.

	FaultBusy429  FaultKind = "busy_429"  // 429 FREQUENCY_LIMITED, with Retry-After
	FaultError500 FaultKind = "error_500" // 500 SYSTEM_ERROR
	FaultError502 FaultKind = "error_502" // 502 SERVICE_UNAVAILABLE
	FaultError503 FaultKind = "error_503" // 503 SERVICE_UNAVAILABLE
	FaultHTML502  FaultKind = "html_502"  // 502 with a page of HTML

	// The request takes effect, and the answer does not prove to be WeChat
	// Pay's. An image download, which is never signed, stays as it is.

	FaultForged   FaultKind = "forged"   // signed by a stranger's key
	FaultUnsigned FaultKind = "unsigned" // without the signature's headers
	FaultProbe    FaultKind = "probe"    // WeChat Pay's own test of its clients: a wrong signature that begins with WECHATPAY/SIGNTEST/
	FaultOld      FaultKind = "old"      // rightly signed, 15 minutes ago

	// Of the whole server. Path, Times, Probability and Seed do not matter.

	FaultRefuse    FaultKind = "refuse"     // new connections are refused, for Delay or until ClearFaults; those that are open go on
	FaultCloseIdle FaultKind = "close_idle" // once: the connections that no request is on are closed now, the others when theirs is answered
)

// Fault is something that goes wrong with requests.
//
// A fault first strikes the Times next requests that match Path, and then each
// further one with Probability. Faults that are still to strike a number of
// times come before those by probability, and each in the order in which they
// were added; at most one strikes a request. With neither Times nor Probability
// it strikes once. Requests that the server would refuse count like others.
//
// By probability, whether it strikes is drawn from Seed, Kind, the complaint
// (or whatever else the path names), the endpoint, and how many requests came
// for these two: so the order in which callers come does not matter.
type Fault struct {
	// Path says which requests: "" for all; the method and path of an endpoint,
	// or the path alone, as the documents write it ("GET
	// /v3/merchant-service/complaints-v2/{complaint_id}") for that endpoint;
	// anything else is looked for in the method and the path of the request
	// ("update-refund-progress", "POST ").
	Path        string
	Kind        FaultKind
	Times       int
	Probability float64 // 0 to 1
	Seed        uint64
	// Delay is how long the answer of FaultSlow waits, in real time (0: 1 s; it
	// ends early when the client gives up or the server closes), what the
	// Retry-After of FaultBusy429 asks for, rounded down to whole seconds (0: 1
	// s), and how long FaultRefuse lasts, in real time (0: until ClearFaults).
	Delay time.Duration
	// TakesEffect lets the request take effect before FaultBusy429,
	// FaultError500, FaultError502, FaultError503 or FaultHTML502 answers.
	TakesEffect bool
}

// gatewayFaults are the kinds that answer in place of WeChat Pay.
var gatewayFaults = []FaultKind{FaultBusy429, FaultError500, FaultError502, FaultError503, FaultHTML502}

var faultKinds = append([]FaultKind{FaultDrop, FaultLostResponse, FaultCut, FaultSlow, FaultForged, FaultUnsigned, FaultProbe, FaultOld,
	FaultRefuse, FaultCloseIdle}, gatewayFaults...)

// Check says what is wrong with a fault: an unknown kind, a number out of range,
// a Path with {name} that is no endpoint's.
func (f Fault) Check() error {
	switch {
	case !slices.Contains(faultKinds, f.Kind):
		names := make([]string, len(faultKinds))
		for i, k := range faultKinds {
			names[i] = string(k)
		}
		return fmt.Errorf("wechatpaytest: no fault of the kind %q: there are %s", f.Kind, strings.Join(names, ", "))
	case f.Times < 0:
		return fmt.Errorf("wechatpaytest: Times of a fault is %d, and must not be negative", f.Times)
	case !(f.Probability >= 0 && f.Probability <= 1):
		return fmt.Errorf("wechatpaytest: Probability of a fault is %v, and must be from 0 to 1", f.Probability)
	case strings.Contains(f.Path, "{") && !namesEndpoint(f.Path):
		return fmt.Errorf("wechatpaytest: Path of a fault is %q, which is no endpoint's: it would strike nothing", f.Path)
	case f.Delay < 0:
		return fmt.Errorf("wechatpaytest: Delay of a fault is %s, and must not be negative", f.Delay)
	case f.TakesEffect && !slices.Contains(gatewayFaults, f.Kind):
		return fmt.Errorf("wechatpaytest: TakesEffect is no choice of the fault %s", f.Kind)
	}
	return nil
}

// faultBoard holds the faults. Server.mu guards it.
type faultSet struct {
	faults []*Fault // Times is what is left
	counts map[faultKey]uint64
}

type faultKey struct{ endpoint, element string }

// Fault adds a fault. It panics if [Fault.Check] finds something wrong.
func (s *Server) AddFault(f Fault) {
	if err := f.Check(); err != nil {
		panic(err.Error())
	}
	switch f.Kind {
	case FaultRefuse:
		s.listener.refuse(f.Delay)
		return
	case FaultCloseIdle:
		s.listener.closeIdle()
		return
	}
	if f.Times == 0 && f.Probability == 0 {
		f.Times = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.faults = append(s.faults.faults, &f)
}

// Faults returns the faults that are still to strike, in the order in which they
// were added, with the Times that are left. FaultRefuse and FaultCloseIdle, which
// concern the whole server, are not among them.
func (s *Server) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	var left []Fault
	for _, f := range s.faults.faults {
		if f.Times > 0 || f.Probability > 0 {
			left = append(left, *f)
		}
	}
	return left
}

// ClearFaults takes all faults away, and lets the server accept connections again.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	s.faults.faults = nil
	s.mu.Unlock()
	s.listener.accept()
}

// drawFault returns a copy of the fault that strikes the request, or nil.
func (s *Server) pickFault(c *call) *Fault {
	key := faultKey{endpoint: c.r.Method + " " + c.path}
	if c.endpoint != nil {
		key = faultKey{c.endpoint.method + " " + c.endpoint.pattern, c.id}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	board := &s.faults
	if board.counts == nil {
		board.counts = map[faultKey]uint64{}
	}
	count := board.counts[key]
	board.counts[key]++
	for _, f := range board.faults {
		if f.Times > 0 && f.matches(c) {
			f.Times--
			strikes := *f
			return &strikes
		}
	}
	for _, f := range board.faults {
		if f.Probability > 0 && f.matches(c) && f.draw(key, count) < f.Probability {
			strikes := *f
			return &strikes
		}
	}
	return nil
}

func (f *Fault) matches(c *call) bool {
	if namesEndpoint(f.Path) {
		// A path that several methods have names them all.
		return c.endpoint != nil && c.endpoint.named(f.Path)
	}
	return strings.Contains(c.r.Method+" "+c.path, f.Path)
}

// namesEndpoint says whether a Path is that of an endpoint, as the documents
// write it.
func namesEndpoint(path string) bool {
	return slices.ContainsFunc(endpoints, func(e *endpoint) bool { return e.named(path) })
}

func (e *endpoint) named(path string) bool {
	return path == e.pattern || path == e.method+" "+e.pattern
}

// draw is a number from 0 to 1, always the same for the same request.
func (f *Fault) draw(key faultKey, count uint64) float64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d\x00%s\x00%s\x00%s\x00%d", f.Seed, f.Kind, key.element, key.endpoint, count)
	// FNV leaves the high bits of similar texts similar; this mixes them (the
	// finalizer of SplitMix64).
	x := h.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return float64(x>>11) / (1 << 53)
}

func (f *Fault) kind() FaultKind {
	if f == nil {
		return ""
	}
	return f.Kind
}

// gatewayAnswer is the answer that comes in place of WeChat Pay's, nil if the
// fault is of another kind. A dropped request has one too, which is never sent.
func (f *Fault) gatewayResponse() *response {
	a := &response{header: http.Header{}, unsigned: true, internal: internalOther}
	switch f.kind() {
	case FaultDrop:
		return a
	case FaultBusy429:
		a.status, a.code, a.internal = http.StatusTooManyRequests, "FREQUENCY_LIMITED", internalFrequency
		delay := f.Delay
		if delay == 0 {
			delay = time.Second
		}
		a.header.Set("Retry-After", strconv.FormatInt(int64(delay/time.Second), 10))
	case FaultError500:
		a.status, a.code = http.StatusInternalServerError, "SYSTEM_ERROR"
	case FaultError502:
		a.status, a.code = http.StatusBadGateway, "SERVICE_UNAVAILABLE"
	case FaultError503:
		a.status, a.code = http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE"
	case FaultHTML502:
		a.status = http.StatusBadGateway
		a.header.Set("Content-Type", "text/html")
		a.body = []byte("<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n")
		return a
	default:
		return nil
	}
	a.header.Set("Content-Type", jsonType)
	a.body = encode(map[string]string{"code": a.code, "message": "a fault of the test, not of the request"})
	return a
}

// wait waits for a slow answer.
func (c *call) wait(delay time.Duration) {
	if delay == 0 {
		delay = time.Second
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.r.Context().Done():
	case <-c.s.ctx.Done():
	}
}

// sendHalf writes the first half of an answer, and closes the connection where
// it can. An HTTP/2 stream, which cannot be cut in its headers, is cut in its
// body or not begun.
func sendHalf(w http.ResponseWriter, a *response) {
	if len(a.body) > 1 {
		for name, values := range a.header {
			w.Header()[name] = values
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body[:len(a.body)/2])
		_ = http.NewResponseController(w).Flush()
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	var text bytes.Buffer
	fmt.Fprintf(&text, "HTTP/1.1 %d %s\r\n", a.status, http.StatusText(a.status))
	_ = a.header.Write(&text)
	_, _ = io.CopyN(conn, &text, int64(text.Len()/2))
}
