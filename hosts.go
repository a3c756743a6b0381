package wechatpay

import (
	"errors"
	"net/http"
	"sync/atomic"
	"time"
)

// A host is a base URL that requests are sent to.
type host struct {
	url   string
	rests atomic.Int64 // until when it is avoided, in Unix nanoseconds
}

// hostRest is how long a host is avoided after it failed.
const hostRest = 30 * time.Second

// resting tells whether the host is avoided at a time. A clock that was put back
// does not prolong its rest.
func (h *host) resting(at time.Time) bool {
	left := time.Duration(h.rests.Load() - at.UnixNano())
	return left > 0 && left <= hostRest
}

// pickHost gives the first host that is not resting, or else the one whose rest
// ends first.
func (c *Client) pickHost() *host {
	if len(c.hosts) == 1 {
		return c.hosts[0]
	}
	at := now(c.time)
	best := c.hosts[0]
	for _, h := range c.hosts {
		if !h.resting(at) {
			return h
		}
		if h.rests.Load() < best.rests.Load() {
			best = h
		}
	}
	return best
}

// failedOver lets a host rest if the failure was its own: no connection, or a
// gateway's 502 or 503. It reports whether the next attempt goes to a host that
// has not failed.
func (c *Client) failedOver(h *host, failed *failure) bool {
	if len(c.hosts) == 1 {
		return false
	}
	var api *APIError
	var unsigned *signingError
	switch {
	case errors.As(failed.err, &unsigned):
		return false
	case failed.class == notSent:
	case errors.As(failed.err, &api) && (api.StatusCode == http.StatusBadGateway || api.StatusCode == http.StatusServiceUnavailable):
	default:
		return false
	}
	at := now(c.time)
	h.rests.Store(at.Add(hostRest).UnixNano())
	return !c.pickHost().resting(at)
}
