package wechatpay

import (
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// maxReplays bounds how many responses a Client remembers.
const maxReplays = 100_000

// replayGuard accepts each signed response once. A signature does not say which
// request it belongs to. Without the guard, an earlier response could be replayed
// for another request for 300 s.
type replayGuard struct {
	time func() time.Time

	mu    sync.Mutex
	known map[signedOnce]struct{}
	queue []signedOnce // in the order of arrival
}

// signedOnce identifies a signed response.
type signedOnce struct {
	timestamp int64
	nonce     string
}

// accept reports whether a verified response is new, and remembers it.
func (g *replayGuard) accept(h http.Header) bool {
	response := signedOnce{nonce: h.Get(headerNonce)}
	var err error
	if response.timestamp, err = strconv.ParseInt(h.Get(headerTimestamp), 10, 64); err != nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forget(now(g.time))
	if _, seen := g.known[response]; seen {
		return false
	}
	if g.known == nil {
		g.known = make(map[signedOnce]struct{})
	}
	g.known[response] = struct{}{}
	g.queue = append(g.queue, response)
	return true
}

// forget drops the oldest responses that are no longer valid, or too many. The
// caller holds mu.
func (g *replayGuard) forget(at time.Time) {
	for len(g.queue) > 0 {
		oldest := g.queue[0]
		expired := at.Sub(time.Unix(oldest.timestamp, 0)) >= maxSkew
		if !expired && len(g.queue) < maxReplays {
			return
		}
		delete(g.known, oldest)
		g.queue = g.queue[1:]
	}
}

// errSwitchingProtocols is the error of a 101 response. Its body would be the
// connection itself, which no deadline ends.
var errSwitchingProtocols = errors.New(notWeChatPay + ": 101 Switching Protocols")

func replayed(resp *http.Response) *VerificationError {
	return &VerificationError{
		Reason:     VerificationReasonReplayed,
		SerialNo:   shownHeader(resp, headerSerial),
		StatusCode: resp.StatusCode,
		RequestID:  shownHeader(resp, headerRequestID),
	}
}
