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

// RetryPolicy sets how often and how long a call is retried. A zero field has
// its default. Retries stay within the deadline of the call's context.
//
// Without a deadline, a decision takes at most 334 s with the defaults. The first
// call that needs a platform certificate downloads it first, under the same
// policy. Give a call at least 30 s where you can: a context that ends early
// leaves no time to look up a lost response.
type RetryPolicy struct {
	// MaxAttempts is how often a request is sent, the first time included. 0
	// means 4. With 1 nothing is retried, and nothing is looked up.
	MaxAttempts int
	// MinDelay and MaxDelay bound the pause before a retry. 0 means 100 ms and
	// 5 s. The pause is random, from zero to MinDelay, which doubles each time
	// up to MaxDelay ("full jitter"). A longer Retry-After replaces it. The call
	// fails at once if that exceeds the deadline or, without a deadline, 30 s.
	MinDelay, MaxDelay time.Duration
	// AttemptTimeout bounds one attempt, including the response body. For an image
	// download it bounds the wait for the response, and each read. 0 means 20 s.
	AttemptTimeout time.Duration
	// HistoryLag is how long after a decision the negotiation history may not
	// show it yet; the same for refunds and completions. 0 means 1 s. A decision
	// that the history does not show by then is retried, unless the complaint is
	// PROCESSED or the user may have filed it again.
	HistoryLag time.Duration
}

// maxPolicyTime bounds each duration of a policy, so that sums do not overflow.
const maxPolicyTime = 24 * time.Hour

// maxRetryAfter is the longest Retry-After that is honored without a deadline.
const maxRetryAfter = 30 * time.Second

// complete sets the defaults and adds what is wrong to f.
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
		if *field.value < 0 || *field.value > maxPolicyTime {
			f.add("Retry."+field.name, "must be 0 to %v, got %v", maxPolicyTime, *field.value)
		}
		if *field.value == 0 {
			*field.value = field.standard
		}
	}
}

// delay returns the jittered pause before the next attempt.
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
	class      failureClass
	final      bool // a retry would fail the same way
	err        error
	retryAfter time.Duration // how long the service asked to wait; 0: not said
}

// A failureClass is what a failure means for the request. The terms are
// explained in call.go.
type failureClass int

const (
	inDoubt failureClass = iota
	notSent
	busy
	rejected
)

// classify returns the class of an attempt without a response, and
// classifyStatus that of a response other than the documented success:
//
//	failure                                               class
//	refused by this package, or could not be signed       notSent, final
//	not signed before the attempt timed out               notSent
//	no connection: DNS, dial, TLS                         notSent
//	TLS certificate of the server does not verify         notSent, final
//	connection lost after it was established, timeout     inDoubt
//	response that is not verified or does not match       inDoubt
//	4xx with an error code                                rejected; 429: busy
//	3xx or 4xx without one: a gateway                     inDoubt
//	5xx, 2xx that is not the documented one               inDoubt
//	any of the last three after net/http sent twice       inDoubt
//
// A write in doubt may have been applied. A read in doubt is retried, unless the
// failure is final.
func classify(err error, conn *connection) *failure {
	var (
		invalid     *ArgumentError
		unsigned    *signingError
		certificate *tls.CertificateVerificationError
		unresolved  *net.DNSError
		network     *net.OpError
	)
	switch {
	case conn.connections.Load() > 0:
		return &failure{class: inDoubt}
	case errors.As(err, &unsigned) && errors.Is(err, context.DeadlineExceeded):
		return &failure{class: notSent} // if the caller's time is up too, the pause ends the call
	case errors.As(err, &invalid), errors.As(err, &unsigned), errors.As(err, &certificate):
		return &failure{class: notSent, final: true}
	// A RoundTripper that does not report to httptrace may have sent the
	// request, unless its error says that it could not connect.
	case conn.asked.Load(), errors.As(err, &unresolved), errors.As(err, &network) && network.Op == "dial":
		return &failure{class: notSent}
	}
	return &failure{class: inDoubt}
}

func classifyStatus(err *APIError) *failure {
	switch status := err.StatusCode; {
	case status < 300 || status >= 500:
		return &failure{class: inDoubt}
	case !err.fromWeChatPay():
		return &failure{class: inDoubt}
	case status == http.StatusTooManyRequests:
		return &failure{class: busy}
	}
	return &failure{class: rejected}
}

// mayRetry says after which failures a request may be sent again.
type mayRetry int

const (
	retryIfRejectedBusy mayRetry = iota // after notSent and busy
	retryIfUnsent                       // after notSent
	retryAlways                         // after notSent, busy and inDoubt: a second time does no harm
)

// mayRetry reports whether the request may be retried without a lookup. A read
// may, unless the failure is final. After a lookup, the call loop decides.
func (cl *call) mayRetry(failed *failure) bool {
	if failed.final {
		return false
	}
	read := cl.method == http.MethodGet
	switch failed.class {
	case notSent:
		return true
	case busy:
		return read || cl.retry != retryIfUnsent
	case inDoubt:
		return read || cl.retry == retryAlways
	}
	return false
}

// mayBeApplied reports whether a request may have been applied despite the
// failure. So may one that got a 429, if it is a decision, a completion, a refund
// or a call of Do.
func (cl *call) mayBeApplied(failed failureClass) bool {
	if cl.method == http.MethodGet {
		return false
	}
	return failed == inDoubt || failed == busy && (cl.recovery != nil || cl.retry == retryIfUnsent)
}

// retryAfter returns the Retry-After of an error response: seconds, or a date.
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

// pause waits before the next attempt. It returns false at once if the context
// would end first, or if the service asks for too long a pause.
func (c *Client) pause(ctx context.Context, attempts int, failed *failure, failover bool) bool {
	delay := c.retry.delay(attempts)
	if failover {
		delay = 0 // the other host has not failed yet
	} else if delay = max(delay, failed.retryAfter); failed.retryAfter > maxRetryAfter {
		if _, ok := ctx.Deadline(); !ok {
			return false
		}
	}
	return sleep(ctx, delay)
}

// sleep waits for d. It returns false if the context ends, or would end, first.
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
