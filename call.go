package wechatpay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// The terms of the call loop:
//
//	failure class   notSent        the request did not reach WeChat Pay
//	                rejected       WeChat Pay rejected it with an error code
//	                busy           WeChat Pay responded 429; decisions, completions,
//	                               refunds and Do treat it as in doubt
//	                inDoubt        the request may have been applied
//	may retry       retryIfUnsent        after notSent
//	                retryIfRejectedBusy  after notSent and busy
//	                retryAlways          after notSent, busy and inDoubt
//	lookup result   applied        the write took effect
//	                notApplied     it did not; it may be sent again, or, if WeChat
//	                               Pay rejected the last attempt, the call fails
//	                superseded     it did not: the opposite was applied
//	                undetermined   the lookup could not decide
//
// classify and classifyStatus in retry.go assign the class; a response that
// cannot be read or does not match is in doubt (attempt.go, response.go).
// complaints_outcome.go and refunds.go do the lookups. A call returns nil if applied, ErrOutcomeUnknown if it may
// have been applied, and any other error if it was not applied.

// A call describes one request to an endpoint.
type call struct {
	op      string // the exported method, for errors and logs
	method  string
	path    string // escaped, with the query; sent as it is
	body    any    // encoded as JSON; *payload: sent as it is; nil: no body
	success int    // the documented status; 0: 200 or 204
	out     out    // receives the response; nil: no body expected
	serial  string // Wechatpay-Serial; empty: chosen by the call loop

	retry    mayRetry // zero: retryIfRejectedBusy
	recovery recovery // of a write in doubt; nil: not possible

	key    string // the idempotency key, for OutcomeUnknownError
	remedy string // what to check if the outcome is unknown
}

// A recovery looks up whether a write was applied.
type recovery interface {
	// lookUp finds out whether it was applied.
	lookUp(ctx context.Context, sent *attempts) (lookupResult, error)
	// beforeRetry runs before the request is sent again. The call goes on only
	// after notApplied.
	beforeRetry(ctx context.Context, sent *attempts) (lookupResult, error)
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

	inDoubt  bool  // whether one of them may have been applied
	rejected bool  // whether WeChat Pay rejected the last one
	wasBusy  bool  // whether one of them got a 429
	earlier  error // a failure that the caller should know too
}

// exchange is a call in progress.
type exchange struct {
	call
	client *Client
	json   []byte // the encoded body; nil: none, or a payload
	attempts
	host   *host       // of the last attempt
	conn   *connection // of the last attempt
	failed *failure    // of the last attempt

	keepEarlier bool // earlier left the write in doubt
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
		invalid *ArgumentError
	)
	isNamed := errors.As(err, &unknown) || errors.As(err, &refused) || errors.As(err, &invalid) && invalid.Op == op
	if isNamed {
		return err
	}
	return fmt.Errorf("wechatpay: %s: %w", op, err)
}

// exchange runs the call loop. Its error does not name the operation; call adds
// that. Reads that are part of another operation use it directly.
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

// chooseKey names the key that the response is to be signed with. In certificate
// mode it downloads the certificates first if there is none. The download itself
// must not wait for one.
func (x *exchange) chooseKey(ctx context.Context) (err error) {
	if _, download := x.out.(responseReader); !download && x.serial == "" {
		x.serial, _, err = x.client.verifier.requestKey(ctx)
	}
	return err
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
	x.rejected = x.failed.class == rejected
	// A rejection after a 429 may mean that the first request was applied.
	x.inDoubt = x.inDoubt || x.mayBeApplied(x.failed.class) || x.rejected && x.wasBusy
	x.wasBusy = x.wasBusy || x.failed.class == busy && x.method != http.MethodGet
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
		// A rejection that the lookup explains is definite. After a final local
		// failure the earlier attempt stays in doubt.
		if x.failed.final || x.rejected {
			x.inDoubt = !x.rejected
			return true, x.fail(x.failed.err)
		}
		again = true
	}
	failover := ctx.Err() == nil && x.client.failOver(x.host, x.failed)
	if last || !again {
		return true, x.fail(x.failed.err)
	}
	if !x.client.pause(ctx, x.n, x.failed, failover) {
		if err := ctx.Err(); err != nil && !errors.Is(x.failed.err, err) {
			x.earlier = err
		}
		return true, x.fail(x.failed.err)
	}
	return x.beforeNext(ctx)
}

// canLookUp reports whether a write in doubt can be looked up now.
func (x *exchange) canLookUp(ctx context.Context) bool {
	return x.inDoubt && x.recovery != nil && x.client.retry.MaxAttempts > 1 && ctx.Err() == nil
}

// lookUpOutcome looks up a write in doubt. The call is done unless the write
// was not applied.
func (x *exchange) lookUpOutcome(ctx context.Context) (done bool, err error) {
	x.client.warn(ctx, x, "looking up the outcome")
	result, err := x.recovery.lookUp(ctx, &x.attempts)
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

// beforeNext checks, after the pause, that the request may still be sent again:
// the complaint may have changed.
func (x *exchange) beforeNext(ctx context.Context) (done bool, err error) {
	if x.recovery != nil {
		switch result, err := x.recovery.beforeRetry(ctx, &x.attempts); result {
		case applied:
			return true, nil
		case notApplied:
		default:
			return true, x.fail(err, fmt.Errorf("earlier: %w", x.failed.err))
		}
	}
	x.client.warn(ctx, x, "retrying")
	x.keepFailure()
	return false, nil
}

// keepFailure keeps the failure for the error of the call: the first that left
// the write in doubt, or else the last of another host.
func (x *exchange) keepFailure() {
	switch inDoubt := x.mayBeApplied(x.failed.class) || x.wasBusy; {
	case x.keepEarlier:
	case inDoubt, x.client.pickHost() != x.host:
		x.earlier, x.keepEarlier = x.failed.err, inDoubt
	}
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
