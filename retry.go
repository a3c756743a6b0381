package wechatpay

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"
)

// A repetition says which class of failure lets a call be sent again.
type repetition int

const (
	unlessProcessed repetition = iota // notSent; busy too, as the service says that it did nothing
	onlyUnsent                        // notSent
	always                            // all but definite: it does no harm twice
)

// again decides whether a request is sent again after a failure of the class.
func (cl *call) again(failed class) bool {
	switch failed {
	case notSent:
		return true
	case busy:
		return cl.repeat != onlyUnsent || cl.method == http.MethodGet
	case unknown:
		return cl.repeat == always || cl.method == http.MethodGet
	}
	return false
}

// mayStand decides whether a request may have taken effect in spite of a failure
// of the class. Of an API that this package does not know, even a 429 may mean
// that the request is being accepted: so it is with refunds.
func (cl *call) mayStand(failed class) bool {
	return cl.method != http.MethodGet && (failed == unknown || failed == busy && cl.repeat == onlyUnsent)
}

// RetryPolicy says how often and how patiently a call is repeated. A zero field
// has its default. All of it stays within the deadline of the call's context.
//
// Without one, a decision takes at most MaxAttempts × (2 × AttemptTimeout +
// Settle) for sending and looking, and 30 s or MaxDelay, whichever is more,
// between two attempts: 254 s with the defaults. A decision that waited for longer
// than MaxDelay is looked for once more, and the first call that is to be verified
// by platform certificates downloads them before, with the same patience. Give a
// context of half a minute or more where you can: one that runs out early leaves
// no time to look whether the decision stands.
type RetryPolicy struct {
	// MaxAttempts is how often a request is sent, the first time included; 0
	// means 4. With 1 nothing is repeated, and nothing is looked up.
	MaxAttempts int
	// MinDelay and MaxDelay bound the pause before a repetition; 0 means 100 ms
	// and 5 s. The pause is random, from nothing up to MinDelay, which doubles
	// each time until it is MaxDelay ("full jitter"). Where the service asks for
	// more with Retry-After, that is waited for: as long as the context allows,
	// or 30 s if it has no deadline; if it is more, the call ends at once.
	MinDelay, MaxDelay time.Duration
	// AttemptTimeout bounds one attempt, its answer's body included, but not an
	// image that is streamed; 0 means 20 s.
	AttemptTimeout time.Duration
	// Settle is how long the negotiation history may lag behind a decision; 0
	// means 1 s. A decision that is not found in it this long after an attempt
	// is sent again.
	HistoryLag time.Duration
}

// maxPatience bounds every time of a policy, so that sums do not overflow.
const maxPatience = 24 * time.Hour

// maxRetryAfter is the longest Retry-After that is waited for without a
// deadline.
const maxRetryAfter = 30 * time.Second

// complete fills in the defaults and finds the faults.
func (p *RetryPolicy) complete(f *faults) {
	f.atLeast("Retry.MaxAttempts", p.MaxAttempts, 0)
	if p.MaxAttempts == 0 {
		p.MaxAttempts = 4
	}
	for _, field := range []struct {
		name     string
		value    *time.Duration
		standard time.Duration
	}{
		{"MinDelay", &p.MinDelay, 100 * time.Millisecond},
		{"MaxDelay", &p.MaxDelay, 5 * time.Second},
		{"AttemptTimeout", &p.AttemptTimeout, 20 * time.Second},
		{"HistoryLag", &p.HistoryLag, time.Second},
	} {
		if *field.value < 0 || *field.value > maxPatience {
			f.add("Retry."+field.name, "%v, and 0 to %v are allowed", *field.value, maxPatience)
		}
		if *field.value == 0 {
			*field.value = field.standard
		}
	}
}

// delay is the pause after so many attempts.
func (p *RetryPolicy) delay(attempts int) time.Duration {
	most := p.MinDelay
	for range attempts - 1 {
		if most *= 2; most >= p.MaxDelay {
			break
		}
	}
	return rand.N(min(most, p.MaxDelay) + 1)
}

// A failure is an attempt that did not succeed.
type failure struct {
	class      class
	err        error
	retryAfter time.Duration // of a busy service; 0: not said
}

// A class says what a failure means for the request, and so whether it may be
// sent again.
type class int

const (
	// definite: the request has no effect, and sending it again would not help.
	definite class = iota
	// notSent: the request certainly did not reach the service. Any request may
	// be sent again, to the other host too.
	notSent
	// busy: the service refused the request before it processed it. It may be
	// sent again, later; but of an API that this package does not know, it is
	// not known that a 429 means that.
	busy
	// unknown: the request may have taken effect. It may be sent again if it
	// does no harm twice, or once it is proved that it had none.
	unknown
)

// classify names the class of a failure. This is the only place that does:
//
//	failure                                                  class
//	refused by this package, or could not be signed          definite
//	not signed before the attempt's time had run out         notSent
//	no connection was got: resolve, dial, TLS                notSent
//	the server's certificate does not verify                 definite
//	429                                                      busy
//	other 4xx, 3xx                                           definite
//	5xx, 3xx whose Location is no URL                        unknown
//	2xx that is not the documented one, or not proved        unknown
//	a proved read that cannot be decoded                     definite
//	connection lost once got, timeout, cancellation          unknown
//
// conn is nil where there was an answer.
func classify(err error, conn *connection) class {
	var (
		api         *APIError
		refused     *ArgumentError
		unsigned    *signingError
		certificate *tls.CertificateVerificationError
		unresolved  *net.DNSError
		network     *net.OpError
	)
	switch {
	case errors.As(err, &api):
		switch {
		case api.StatusCode == http.StatusTooManyRequests:
			return busy
		case api.StatusCode >= 300 && api.StatusCode < 500:
			return definite
		}
		return unknown
	case conn == nil || conn.got.Load():
		return unknown
	case errors.As(err, &unsigned) && errors.Is(err, context.DeadlineExceeded):
		return notSent // if it was the caller's time too, the pause ends the call
	case errors.As(err, &refused), errors.As(err, &unsigned), errors.As(err, &certificate):
		return definite
	// A RoundTripper that does not report to httptrace leaves it open whether
	// it sent the request, unless its error says that it could not connect.
	case conn.asked.Load(), errors.As(err, &unresolved), errors.As(err, &network) && network.Op == "dial":
		return notSent
	}
	return unknown
}

// retryAfter reads the header of an answer that is an error: seconds, or a date.
func (c *Client) retryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now(c.time)))
	}
	return 0
}

// pause waits before the next attempt. It gives false at once if the context
// would end first, or the service asks for more patience than there is.
func (c *Client) pause(ctx context.Context, attempts int, failed *failure, elsewhere bool) bool {
	delay := c.retry.delay(attempts)
	if elsewhere {
		delay = 0 // the other host has not failed yet
	} else if delay = max(delay, failed.retryAfter); failed.retryAfter > maxRetryAfter {
		if _, ok := ctx.Deadline(); !ok {
			return false
		}
	}
	return sleep(ctx, delay)
}

// sleep waits, and gives false if the context ends, or would end, first.
func sleep(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		return false
	}
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
