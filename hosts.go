package wechatpay

import (
	"errors"
	"net/http"
	"sync/atomic"
	"time"
)

// A host is a base URL that requests are sent to.
type host struct {
	url          string
	skippedUntil atomic.Int64 // Unix nanoseconds
}

// skipTime is how long a host is skipped after it failed.
const skipTime = 30 * time.Second

// skipped reports whether the host is skipped at a time. Setting the clock back
// does not prolong it.
func (h *host) skipped(at time.Time) bool {
	left := time.Duration(h.skippedUntil.Load() - at.UnixNano())
	return left > 0 && left <= skipTime
}

// pickHost returns the first host that is not skipped, or else the one that is
// skipped for the shortest time.
func (c *Client) pickHost() *host {
	if len(c.hosts) == 1 {
		return c.hosts[0]
	}
	at := now(c.time)
	best := c.hosts[0]
	for _, h := range c.hosts {
		if !h.skipped(at) {
			return h
		}
		if h.skippedUntil.Load() < best.skippedUntil.Load() {
			best = h
		}
	}
	return best
}

// failOver skips a host for a while if the failure was its own: no connection,
// or a 502 or 503. It reports whether the next attempt goes to a host that has
// not failed.
func (c *Client) failOver(h *host, failed *failure) bool {
	if len(c.hosts) == 1 {
		return false
	}
	var api *APIError
	var unsigned *signingError
	switch {
	case errors.As(failed.err, &unsigned):
		return false
	case failed.class == notSent && !failed.final:
	case errors.As(failed.err, &api) && isGatewayStatus(api.StatusCode):
	default:
		return false
	}
	at := now(c.time)
	h.skippedUntil.Store(at.Add(skipTime).UnixNano())
	return !c.pickHost().skipped(at)
}

func isGatewayStatus(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable
}
