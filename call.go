package wechatpay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// The terms of the call loop:
//
//	failure class   notSent        the request did not reach WeChat Pay
//	                rejected       WeChat Pay said no
//	                busy           WeChat Pay refused before processing (429)
//	                inDoubt        the request may have been applied
//	may retry       retryIfUnsent        after notSent
//	                retryIfRejectedBusy  after notSent and busy
//	                retryAlways          after notSent, busy and inDoubt
//	lookup result   applied        the write took effect
//	                notApplied     it did not, and may be sent again
//	                superseded     it did not: the opposite was applied
//	                undetermined   the lookup could not decide
//
// classify in retry.go assigns the class. complaints_outcome.go and refunds.go
// do the lookups. A call returns nil if applied, ErrOutcomeUnknown if it may
// have been applied, and any other error if it was not applied.

// A call describes one request to an endpoint.
type call struct {
	op      string // the exported method, for errors and logs
	method  string
	path    string // escaped, with the query; sent as it is
	body    any    // encoded as JSON; *payload: sent as it is; nil: no body
	success int    // the documented status; 0: 200 or 204
	out     any    // decoded from JSON; *stream or responseReader: unverified; nil: no body expected
	serial  string // Wechatpay-Serial; empty: chosen by the call loop
	// complete reports whether out has the fields that every success of this
	// write has; nil: nothing to check.
	complete func() bool

	retry mayRetry
	// beforeRetry runs before the request is sent again. The call goes on only
	// after notApplied; nil: always.
	beforeRetry func(ctx context.Context) (lookupResult, error)
	// lookUp finds out whether a write in doubt was applied; nil: not possible.
	lookUp func(ctx context.Context, sent *attempts) (lookupResult, error)

	key    string // the idempotency key, for OutcomeUnknownError
	remedy string // what to check if the outcome is unknown
}

// A lookupResult is the result of looking up a write whose outcome is unknown.
type lookupResult int

const (
	undetermined lookupResult = iota
	applied
	notApplied
	superseded
)

// attempts is what the call loop knows about the attempts made so far.
type attempts struct {
	op      string
	started time.Time // when the call began
	ended   time.Time // when the last attempt ended
	n       int       // how many were made
	inDoubt bool      // whether one of them may have been applied
	earlier error     // an earlier failure that the caller should know
}

// exchange is one call on its way.
type exchange struct {
	call
	client *Client
	json   []byte // the encoded body; nil: none, or a payload
	attempts
	host   *host    // of the last attempt
	failed *failure // of the last attempt
}

// call sends a request, retries it within the policy, and looks up writes in
// doubt. Its error names the operation.
func (c *Client) call(ctx context.Context, cl *call) error {
	err := c.exchange(ctx, cl)
	return opError(cl.op, err)
}

// opError adds the operation to an error that does not name it yet.
func opError(op string, err error) error {
	if err == nil {
		return nil
	}
	var (
		unknown *OutcomeUnknownError
		refused *RefundRefusedError
	)
	if errors.As(err, &unknown) || errors.As(err, &refused) {
		return err
	}
	return fmt.Errorf("wechatpay: %s: %w", op, err)
}

// exchange is call for reads that are a part of another operation: its error
// does not name one.
func (c *Client) exchange(ctx context.Context, cl *call) error {
	x := &exchange{call: *cl, client: c, attempts: attempts{op: cl.op}}
	if err := x.encode(); err != nil {
		return err
	}
	if err := x.chooseKey(ctx); err != nil {
		return err
	}
	x.started = time.Now()
	for {
		if x.attempt(ctx) {
			return nil
		}
		if done, err := x.next(ctx); done {
			return err
		}
	}
}

// encode encodes a body that is sent as JSON.
func (x *exchange) encode() (err error) {
	if _, isPayload := x.body.(*payload); x.body == nil || isPayload {
		return nil
	}
	if x.json, err = json.Marshal(x.body); err != nil {
		return fmt.Errorf("encoding the body: %w", err)
	}
	return nil
}

// chooseKey selects the platform certificate that the response is to be
// verified with, and downloads it first if there is none. The download itself
// must not wait for one.
func (x *exchange) chooseKey(ctx context.Context) error {
	if _, download := x.out.(responseReader); download || x.serial != "" || x.client.certificates == nil {
		return nil
	}
	newest, err := x.client.certificates.newest(ctx)
	if err != nil {
		return err
	}
	x.serial = newest.serialNo
	return nil
}

// attempt sends the request once, and reports whether it succeeded.
func (x *exchange) attempt(ctx context.Context) bool {
	x.n++
	x.host = x.client.pickHost()
	x.failed = x.client.attempt(ctx, x)
	x.ended = time.Now()
	if x.failed == nil {
		return true
	}
	x.inDoubt = x.inDoubt || x.mayBeApplied(x.failed.class)
	return false
}

// next decides what follows a failed attempt: a lookup, the end, or another
// attempt after a pause.
func (x *exchange) next(ctx context.Context) (done bool, err error) {
	again, last := x.mayRetry(x.failed), x.n >= x.client.retry.MaxAttempts
	if x.canLookUp(ctx) && (!again || last) {
		if done, err := x.lookUpOutcome(ctx); done {
			return true, err
		}
		if x.failed.final || x.failed.class == rejected {
			x.inDoubt = !rejectedByService(x.failed.err)
			return true, x.fail(x.failed.err)
		}
		again = true
	}
	failover := ctx.Err() == nil && x.client.failedOver(x.host, x.failed)
	if last || !again {
		return true, x.fail(x.failed.err)
	}
	if !x.client.pause(ctx, x.n, x.failed, failover) {
		if err := ctx.Err(); err != nil && !errors.Is(x.failed.err, err) {
			x.earlier = err
		}
		return true, x.fail(x.failed.err)
	}
	return x.beforeNext(ctx, failover)
}

// canLookUp reports whether a write in doubt can be looked up now.
func (x *exchange) canLookUp(ctx context.Context) bool {
	return x.inDoubt && x.call.lookUp != nil && x.client.retry.MaxAttempts > 1 && ctx.Err() == nil
}

// lookUpOutcome looks up a write in doubt. The call is done unless the write
// was not applied.
func (x *exchange) lookUpOutcome(ctx context.Context) (done bool, err error) {
	x.client.warn(ctx, x, "looking up the outcome")
	result, err := x.call.lookUp(ctx, &x.attempts)
	switch result {
	case applied:
		return true, nil
	case notApplied:
		return false, nil
	case superseded:
		return true, fmt.Errorf("%w: %w", err, x.failed.err)
	}
	return true, x.fail(x.failed.err, asOther(err))
}

// beforeNext checks, after the pause, that the request may still be sent again.
func (x *exchange) beforeNext(ctx context.Context, failover bool) (done bool, err error) {
	// After a long pause the write may have been applied, and what it is about
	// may have changed.
	waited := x.failed.retryAfter > x.client.retry.MaxDelay && !failover
	if waited && x.retry != retryAlways && x.canLookUp(ctx) {
		if done, err := x.lookUpOutcome(ctx); done {
			return true, err
		}
	}
	if x.beforeRetry != nil {
		switch result, err := x.beforeRetry(ctx); result {
		case applied:
			return true, nil
		case notApplied:
		default:
			return true, x.fail(err, fmt.Errorf("earlier: %w", x.failed.err))
		}
	}
	x.client.warn(ctx, x, "retrying")
	if x.mayBeApplied(x.failed.class) || x.client.pickHost() != x.host {
		x.earlier = x.failed.err
	}
	return false, nil
}

// fail returns the error of the call: err, what else is worth knowing, and
// whether the outcome is unknown.
func (x *exchange) fail(err error, more ...error) error {
	for _, other := range more {
		if other != nil {
			err = fmt.Errorf("%w; %w", err, other)
		}
	}
	if x.earlier != nil {
		err = fmt.Errorf("%w; earlier: %w", err, x.earlier)
	}
	if x.n > 1 {
		err = fmt.Errorf("%d attempts: %w", x.n, err)
	}
	if !x.inDoubt {
		return err
	}
	remedy := x.remedy
	if remedy == "" {
		remedy = "check whether it was applied before repeating the call"
	}
	return &OutcomeUnknownError{Op: x.call.op, IdempotencyKey: x.key, Remedy: remedy, Err: err}
}

// rejectedByService reports whether WeChat Pay itself rejected the request (a
// 4xx with an error code), as opposed to a gateway or a local failure.
func rejectedByService(err error) bool {
	var api *APIError
	return errors.As(err, &api) && api.Code != "" && api.StatusCode >= 400 && api.StatusCode < 500
}
