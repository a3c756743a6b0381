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

// FaultKind is a kind of fault.
type FaultKind string

const (
	FaultDrop FaultKind = "drop" // closes the connection; the request has no effect

	// With these the request takes effect.

	FaultLostResponse FaultKind = "lost_response" // closes the connection without a response
	FaultCut          FaultKind = "cut"           // closes the connection in the middle of the response
	FaultSlow         FaultKind = "slow"          // responds after Delay

	// These return an unsigned error response, as a gateway does. The request
	// has no effect unless TakesEffect is set.

	FaultBusy429  FaultKind = "busy_429"  // 429 FREQUENCY_LIMITED, with Retry-After
	FaultError500 FaultKind = "error_500" // 500 SYSTEM_ERROR
	FaultError502 FaultKind = "error_502" // 502 SERVICE_UNAVAILABLE
	FaultError503 FaultKind = "error_503" // 503 SERVICE_UNAVAILABLE
	FaultHTML502  FaultKind = "html_502"  // 502 with an HTML page

	// With these the request takes effect, and the response fails signature
	// verification. They do not apply to image downloads, which are unsigned.

	FaultForged   FaultKind = "forged"   // signed with another key
	FaultUnsigned FaultKind = "unsigned" // without the signature headers
	FaultProbe    FaultKind = "probe"    // with an invalid signature as WeChat Pay sends to test its clients
	FaultOld      FaultKind = "old"      // a valid signature with a timestamp 15 minutes ago

	// These apply to the whole server. They ignore Path, Times, Probability and
	// Seed.

	FaultRefuse    FaultKind = "refuse"     // refuses new connections for Delay, or until ClearFaults
	FaultCloseIdle FaultKind = "close_idle" // closes idle connections once, and the others after their current response
)

// Fault makes requests fail.
//
// It applies to the next Times requests that match Path, and after that to each
// further one with Probability. If both are zero, it applies once. At most one
// fault applies to a request: first those with Times left, then those with a
// Probability, each in the order in which they were added. Requests that the
// server would reject count too.
//
// Whether a fault applies by probability depends on Seed, Kind, the endpoint,
// the complaint (or other path parameter), and the number of requests for these
// two so far. So it does not depend on the order of concurrent callers.
type Fault struct {
	// Path selects requests. "" matches all. An endpoint's path as documented,
	// with or without its method, matches that endpoint ("GET
	// /v3/merchant-service/complaints-v2/{complaint_id}"). Anything else matches
	// as a substring of method and path ("update-refund-progress", "POST ").
	Path        string
	Kind        FaultKind
	Times       int
	Probability float64 // 0 to 1
	Seed        uint64
	// Delay is the delay of FaultSlow (0: 1 s), the Retry-After of FaultBusy429,
	// rounded down to seconds (0: 1 s), and the duration of FaultRefuse (0: until
	// ClearFaults). It is real time. A slow response ends early when the client
	// gives up or the server closes.
	Delay time.Duration
	// TakesEffect lets the request take effect before the response of
	// FaultBusy429, FaultError500, FaultError502, FaultError503 or FaultHTML502.
	TakesEffect bool
}

// gatewayFaults are the kinds that replace the response by a gateway's.
var gatewayFaults = []FaultKind{FaultBusy429, FaultError500, FaultError502, FaultError503, FaultHTML502}

var faultKinds = append([]FaultKind{
	FaultDrop, FaultLostResponse, FaultCut, FaultSlow,
	FaultForged, FaultUnsigned, FaultProbe, FaultOld,
	FaultRefuse, FaultCloseIdle,
}, gatewayFaults...)

// Check reports an invalid fault: an unknown kind, a number out of range, or a
// Path with {braces} that is not an endpoint's.
func (f Fault) Check() error {
	switch {
	case !slices.Contains(faultKinds, f.Kind):
		names := make([]string, len(faultKinds))
		for i, k := range faultKinds {
			names[i] = string(k)
		}
		return fmt.Errorf("wechatpaytest: Fault: unknown Kind %q, must be one of %s", f.Kind, strings.Join(names, ", "))
	case f.Times < 0:
		return fmt.Errorf("wechatpaytest: Fault: Times must not be negative, got %d", f.Times)
	case !(f.Probability >= 0 && f.Probability <= 1):
		return fmt.Errorf("wechatpaytest: Fault: Probability must be from 0 to 1, got %v", f.Probability)
	case strings.Contains(f.Path, "{") && !isEndpoint(f.Path):
		return fmt.Errorf("wechatpaytest: Fault: Path %q is not an endpoint", f.Path)
	case f.Delay < 0:
		return fmt.Errorf("wechatpaytest: Fault: Delay must not be negative, got %s", f.Delay)
	case f.TakesEffect && !slices.Contains(gatewayFaults, f.Kind):
		return fmt.Errorf("wechatpaytest: Fault: TakesEffect does not apply to %s", f.Kind)
	}
	return nil
}

// faultSet has the current faults. Server.mu guards it.
type faultSet struct {
	faults []*Fault // Times counts down
	counts map[faultKey]uint64
}

type faultKey struct{ endpoint, param string }

// AddFault adds a fault. It panics if [Fault.Check] returns an error.
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

// Faults returns the faults that can still apply, in the order in which they
// were added. Times is the number left. FaultRefuse and FaultCloseIdle are not
// included.
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

// ClearFaults removes all faults, and makes the server accept connections again.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	s.faults.faults = nil
	s.mu.Unlock()
	s.listener.accept()
}

// pickFault returns a copy of the fault that applies to the call, or nil.
func (s *Server) pickFault(c *call) *Fault {
	key := faultKey{endpoint: c.r.Method + " " + c.path}
	if c.endpoint != nil {
		key = faultKey{c.endpoint.method + " " + c.endpoint.pattern, c.id}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	set := &s.faults
	if set.counts == nil {
		set.counts = map[faultKey]uint64{}
	}
	count := set.counts[key]
	set.counts[key]++
	for _, f := range set.faults {
		if f.Times > 0 && f.matches(c) {
			f.Times--
			picked := *f
			return &picked
		}
	}
	for _, f := range set.faults {
		if f.Probability > 0 && f.matches(c) && f.draw(key, count) < f.Probability {
			picked := *f
			return &picked
		}
	}
	return nil
}

func (f *Fault) matches(c *call) bool {
	if isEndpoint(f.Path) { // possibly of several methods
		return c.endpoint != nil && c.endpoint.is(f.Path)
	}
	return strings.Contains(c.r.Method+" "+c.path, f.Path)
}

// isEndpoint reports whether path is an endpoint's path as documented, with or
// without its method.
func isEndpoint(path string) bool {
	return slices.ContainsFunc(endpoints, func(e *endpoint) bool { return e.is(path) })
}

func (e *endpoint) is(path string) bool {
	return path == e.pattern || path == e.method+" "+e.pattern
}

// draw returns a number from 0 to 1, always the same for the same arguments.
func (f *Fault) draw(key faultKey, count uint64) float64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d\x00%s\x00%s\x00%s\x00%d", f.Seed, f.Kind, key.param, key.endpoint, count)
	// FNV leaves the high bits of similar inputs similar. The finalizer of
	// SplitMix64 mixes them.
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

const htmlPage = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n" +
	"<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"

// gatewayResponse returns the response that replaces WeChat Pay's, or nil. That
// of FaultDrop is never sent.
func (f *Fault) gatewayResponse() *response {
	resp := &response{header: http.Header{}, unsigned: true}
	switch f.kind() {
	case FaultDrop:
		return resp
	case FaultBusy429:
		resp.status, resp.code, resp.internal = http.StatusTooManyRequests, "FREQUENCY_LIMITED", internalFrequency
		resp.header.Set("Retry-After", strconv.FormatInt(int64(f.delay()/time.Second), 10))
	case FaultError500:
		resp.status, resp.code = http.StatusInternalServerError, "SYSTEM_ERROR"
	case FaultError502:
		resp.status, resp.code = http.StatusBadGateway, "SERVICE_UNAVAILABLE"
	case FaultError503:
		resp.status, resp.code = http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE"
	case FaultHTML502:
		resp.status = http.StatusBadGateway
		resp.header.Set("Content-Type", "text/html")
		resp.body = []byte(htmlPage)
		return resp
	default:
		return nil
	}
	resp.header.Set("Content-Type", jsonType)
	resp.body = encode(map[string]string{"code": resp.code, "message": "injected fault " + string(f.Kind)})
	return resp
}

// delay returns Delay, or its default.
func (f *Fault) delay() time.Duration {
	if f.Delay == 0 {
		return time.Second
	}
	return f.Delay
}

// wait delays a slow response.
func (c *call) wait(delay time.Duration) {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.r.Context().Done():
	case <-c.s.ctx.Done():
	}
}

// sendHalf writes the first half of the body, or of the headers if the body is
// empty. Over HTTP/2, which has no way to cut headers, it writes nothing then.
func sendHalf(w http.ResponseWriter, resp *response) {
	if len(resp.body) > 1 {
		for name, values := range resp.header {
			w.Header()[name] = values
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(resp.body)))
		w.WriteHeader(resp.status)
		_, _ = w.Write(resp.body[:len(resp.body)/2])
		_ = http.NewResponseController(w).Flush()
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	var text bytes.Buffer
	fmt.Fprintf(&text, "HTTP/1.1 %d %s\r\n", resp.status, http.StatusText(resp.status))
	_ = resp.header.Write(&text)
	_, _ = io.CopyN(conn, &text, int64(text.Len()/2))
}
