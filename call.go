package wechatpay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// A call is one request as its endpoint describes it.
type call struct {
	op      string // the method's name, for errors
	method  string
	path    string // escaped, with the query: sent as it is
	body    any    // encoded as JSON, or an *encoded; nil: no body
	accept  string // the Accept header; empty: application/json
	success int    // the documented status; 0: 200 or 204
	out     any    // what the answer is decoded into, or a *stream; nil: nothing is expected
	// complete tells whether out has what every success of this write has; nil:
	// there is nothing of that kind.
	complete func() bool
	serial   string // the Wechatpay-Serial header; empty: as the Client's keys say
	// prove verifies an answer that the transport does not; nil: there is nothing
	// left to verify.
	prove func(h http.Header, body []byte) *failure

	repeat repetition
	// mayRepeat is asked before the request is sent again: it is if it is absent.
	// nil: it may be sent.
	mayRepeat func(ctx context.Context) (verdict, error)
	key       string // what makes a repeated call the same to the service; empty: nothing
	remedy    string // what to look at when the outcome is unknown
	// lookUp finds out what became of a write of unknown outcome; nil: nothing
	// can. started is when the call began, ended when its last attempt did.
	lookUp func(ctx context.Context, started, ended time.Time) (verdict, error)

	signedAt time.Time // set to the Wechatpay-Timestamp of the success
}

// call encodes, sends and decodes, and repeats within the policy. Every error of
// a write that may stand wraps ErrOutcomeUnknown here, and nowhere else.
func (c *Client) call(ctx context.Context, cl *call) error {
	var body *encoded
	switch content := cl.body.(type) {
	case nil:
	case *encoded:
		body = content
	default:
		text, err := json.Marshal(content)
		if err != nil {
			return fmt.Errorf("wechatpay: %s: encoding the body: %w", cl.op, err)
		}
		body = &encoded{"application/json", text}
	}
	// The download of certificates cannot wait for itself.
	if c.certificates != nil && cl.serial == "" && cl.prove == nil {
		newest, err := c.certificates.newest(ctx)
		if err != nil {
			return fmt.Errorf("wechatpay: %s: %w", cl.op, err)
		}
		cl.serial = newest.serialNo
	}
	var (
		started = time.Now()
		before  error // the last failure that left a doubt, or that was another host's
		doubt   bool  // whether an attempt may have taken effect
	)
	for n := 1; ; n++ {
		h := c.pickHost()
		failed := c.attempt(ctx, cl, body, h, n)
		if failed == nil {
			return nil
		}
		ended := time.Now()
		doubt = doubt || cl.mayStand(failed.class)

		// look ends the call unless the request is absent.
		look := func() (settled bool, err error) {
			c.warn(ctx, cl, "looking whether it stands", n, failed.err)
			found, err := cl.lookUp(ctx, started, ended)
			switch found {
			case stands:
				return true, nil
			case absent:
				return false, nil
			case overruled:
				return true, fmt.Errorf("wechatpay: %s: %w: %w", cl.op, err, failed.err)
			}
			return true, cl.fail(n, doubt, failed.err, asOther(err), before)
		}
		again, last := cl.again(failed.class), n >= c.retry.MaxAttempts
		if doubt && cl.lookUp != nil && (!again || last) && c.retry.MaxAttempts > 1 && ctx.Err() == nil {
			if settled, err := look(); settled {
				return err
			}
			if failed.class == definite {
				return cl.fail(n, !refused(failed.err), failed.err, before)
			}
			again = true
		}
		elsewhere := ctx.Err() == nil && c.failedOver(h, failed)
		if last || !again {
			return cl.fail(n, doubt, failed.err, before)
		}
		if !c.pause(ctx, n, failed, elsewhere) {
			if err := ctx.Err(); err != nil && !errors.Is(failed.err, err) {
				before = err
			}
			return cl.fail(n, doubt, failed.err, before)
		}
		// While the service made us wait, the request may have taken effect after
		// all, and what it was about may have changed since.
		if doubt && cl.lookUp != nil && cl.repeat != always && !elsewhere && failed.retryAfter > c.retry.MaxDelay {
			if settled, err := look(); settled {
				return err
			}
		}
		if cl.mayRepeat != nil {
			switch found, err := cl.mayRepeat(ctx); found {
			case stands:
				return nil
			case absent:
			default:
				return cl.fail(n, doubt, err, failed.err, before)
			}
		}
		c.warn(ctx, cl, "sending it again", n, failed.err)
		if cl.mayStand(failed.class) || c.pickHost() != h {
			before = failed.err
		}
	}
}

// refused tells whether the service itself said that it did nothing: not this
// machine, and not a gateway, which do not know what became of an earlier
// attempt.
func refused(err error) bool {
	var api *APIError
	return errors.As(err, &api) && api.Code != "" && api.StatusCode >= 400 && api.StatusCode < 500
}

// fail makes the error of a call, with what is worth telling beside the last
// failure.
func (cl *call) fail(attempts int, doubt bool, err error, besides ...error) error {
	for _, beside := range besides {
		if beside != nil {
			err = fmt.Errorf("%w; besides: %w", err, beside)
		}
	}
	if attempts > 1 {
		err = fmt.Errorf("%d attempts: %w", attempts, err)
	}
	if !doubt {
		return fmt.Errorf("wechatpay: %s: %w", cl.op, err)
	}
	remedy := cl.remedy
	if remedy == "" {
		remedy = "look at what became of it before repeating the call"
	}
	return &OutcomeUnknownError{Op: cl.op, IdempotencyKey: cl.key, Remedy: remedy, Err: err}
}
