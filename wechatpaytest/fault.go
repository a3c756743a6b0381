package wechatpaytest

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
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
	// FaultReset resets the HTTP/2 stream with PROTOCOL_ERROR, without a
	// response. net/http then sends the request again by itself, with the same
	// nonce. Over HTTP/1.1 it is FaultLostResponse.
	FaultReset FaultKind = "reset"

	// These return an unsigned response, as a gateway does. The request has no
	// effect unless TakesEffect is set.

	FaultBusy429  FaultKind = "busy_429"  // 429 FREQUENCY_LIMITED, with Retry-After
	FaultError500 FaultKind = "error_500" // 500 SYSTEM_ERROR
	FaultError502 FaultKind = "error_502" // 502 SERVICE_UNAVAILABLE
	FaultError503 FaultKind = "error_503" // 503 SERVICE_UNAVAILABLE
	FaultHTML502  FaultKind = "html_502"  // 502 with an HTML page
	// FaultGatewayPage responds with Status and an HTML page, without an error
	// code. A redirect has a Location.
	FaultGatewayPage FaultKind = "gateway_page"
	// FaultSwitching responds with 101 and keeps the connection open and silent
	// until the client closes it. Over HTTP/2, where 101 does not exist, the
	// stream stays silent.
	FaultSwitching FaultKind = "switching_protocols"

	// With these the request takes effect, and the response fails signature
	// verification. They do not apply to image downloads, which are unsigned.

	FaultForged   FaultKind = "forged"   // signed with another key
	FaultUnsigned FaultKind = "unsigned" // without the signature headers
	FaultProbe    FaultKind = "probe"    // with an invalid signature as WeChat Pay sends to test its clients
	FaultOld      FaultKind = "old"      // a valid signature with a timestamp 15 minutes ago

	// With these the response has a valid signature and belongs to something
	// else. A signature covers neither the request nor the status.

	// FaultMixedUp sends the response of another complaint, another refund,
	// another page or another notification URL, freshly signed. The request
	// takes effect. If there is no other, one is invented. It applies only to
	// responses that name what they are about: not to an empty body, a log_id, a
	// media_id, certificates and the self-test. Of a history it sends another
	// page, because nothing in a history names its complaint.
	FaultMixedUp FaultKind = "mixed_up"
	// FaultReplay sends the latest success of this endpoint again, with the same
	// headers. If it applies by Probability, it sends the first success, because
	// concurrent callers may not have received the latest yet. The request has
	// no effect unless TakesEffect is set. It applies once there is a success.
	FaultReplay FaultKind = "replay"
	// FaultStatus200 changes the status of an error response to 200. The body
	// and the signature stay. It applies only to error responses.
	FaultStatus200 FaultKind = "status_200"

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
// Probability, each in the order in which they were added. FaultStatus200 comes
// after the others. Requests that the server would reject count too.
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
	// TakesEffect lets the request take effect before the response of a gateway
	// (FaultBusy429 to FaultSwitching) or FaultReplay.
	TakesEffect bool
	// Status is the status of FaultGatewayPage, from 300 to 599 and not 304. 0
	// means 403.
	Status int
}

// gatewayFaults are the kinds that replace the response by another.
var gatewayFaults = []FaultKind{
	FaultBusy429, FaultError500, FaultError502, FaultError503, FaultHTML502, FaultGatewayPage, FaultSwitching,
	FaultReplay,
}

var faultKinds = append([]FaultKind{
	FaultDrop, FaultLostResponse, FaultCut, FaultSlow, FaultReset,
	FaultForged, FaultUnsigned, FaultProbe, FaultOld, FaultMixedUp, FaultStatus200,
	FaultRefuse, FaultCloseIdle,
}, gatewayFaults...)

// Check reports an invalid fault: an unknown kind, a number out of range, a Path
// with {braces} that is not an endpoint's, or a field that does not apply to the
// kind.
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
	case f.Status != 0 && f.Kind != FaultGatewayPage:
		return fmt.Errorf("wechatpaytest: Fault: Status does not apply to %s", f.Kind)
	case f.Status != 0 && (f.Status < 300 || f.Status > 599 || f.Status == http.StatusNotModified):
		return fmt.Errorf("wechatpaytest: Fault: Status must be from 300 to 599 and not 304, got %d", f.Status)
	}
	return nil
}

// faultSet has the current faults. Server.mu guards it.
type faultSet struct {
	faults []*Fault // Times counts down
	counts counter
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

// pickFault returns a copy of the fault that applies to the call, or nil. It is
// called twice: before the call is served, and, if no fault applied, with its
// response.
func (s *Server) pickFault(c *call, resp *response) *Fault {
	key := faultKey{endpoint: c.r.Method + " " + c.path}
	if c.endpoint != nil {
		key = faultKey{c.endpoint.method + " " + c.endpoint.pattern, c.id}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	set := &s.faults
	if resp == nil {
		c.earlier = s.sent[c.endpoint]
		c.count = set.counts.next(key)
	}
	for _, f := range set.faults {
		if f.Times > 0 && f.matches(c, resp) {
			f.Times--
			picked := *f
			c.replayed = c.earlier.latest
			return &picked
		}
	}
	for _, f := range set.faults {
		if f.Probability > 0 && f.matches(c, resp) && f.draw(key, c.count) < f.Probability {
			picked := *f
			c.replayed = c.earlier.first
			return &picked
		}
	}
	return nil
}

// matches reports whether the fault may apply to the call. resp is nil before
// the call is served. The caller holds mu.
func (f *Fault) matches(c *call, resp *response) bool {
	if (resp != nil) != (f.Kind == FaultStatus200) {
		return false
	}
	switch f.Kind {
	case FaultStatus200:
		if resp.status < 400 {
			return false
		}
	case FaultMixedUp:
		if c.endpoint == nil || c.endpoint.other == nil {
			return false
		}
	case FaultReplay:
		if c.earlier.latest == nil {
			return false
		}
	}
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
