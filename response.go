package wechatpay

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// A signature covers the body of a response, but neither its status nor the
// request. So each endpoint declares, as the out of its call, what the response
// must repeat of the request. A response that does not is a mix-up or an error
// with a changed status, and never a success.

// An out receives the body of a success, and checks that it answers the request.
type out interface {
	accept(x *exchange, resp *http.Response, body []byte) *failure
}

// decoded is an out that is decoded from JSON into the struct that v points to.
// match then reports why the response does not answer the request.
func decoded(v any, match func() error) out { return &jsonOut{v, match} }

type jsonOut struct {
	v     any
	match func() error
}

func (o *jsonOut) accept(x *exchange, resp *http.Response, body []byte) *failure {
	reflect.ValueOf(o.v).Elem().SetZero() // an earlier attempt may have set a part of it
	if out, ok := o.v.(timestamped); ok {
		out.setSignedAt(x.client.signedAt(resp.Header))
	}
	if err := unmarshal(body, o.v); err != nil {
		return x.undecodable(resp, err)
	}
	if err := o.match(); err != nil {
		return x.mismatch(resp, err)
	}
	return nil
}

// outs decode a response several times.
type outs []out

func (o outs) accept(x *exchange, resp *http.Response, body []byte) *failure {
	for _, out := range o {
		if failed := out.accept(x, resp, body); failed != nil {
			return failed
		}
	}
	return nil
}

// undecodable is the failure of a verified response that cannot be decoded.
func (x *exchange) undecodable(resp *http.Response, err error) *failure {
	requestID := requestIDSuffix(shownHeader(resp, headerRequestID))
	var unreadable *unreadableError
	if errors.As(err, &unreadable) {
		err = x.unreadable(unreadable, requestID)
	} else {
		err = fmt.Errorf("%s: the %d response cannot be decoded%s: %w", x.target(), resp.StatusCode, requestID, err)
	}
	// A read would get the same response again.
	return &failure{class: inDoubt, final: x.method == http.MethodGet, err: err}
}

// unreadable names the object, the field, and for a read the way out.
func (x *exchange) unreadable(err *unreadableError, requestID string) error {
	what, _, _ := strings.Cut(x.target(), " at ") // without the host
	if err.record != "" {
		what = ""
	}
	remedy := "; use Do with json.RawMessage"
	if x.method != http.MethodGet { // Do would repeat the write
		remedy = ""
	}
	return fmt.Errorf("%w%s%s", &unreadableError{
		record: joinTexts(what, err.record),
		path:   err.path,
		value:  err.value,
		as:     err.as,
	}, remedy, requestID)
}

// mismatch is the failure of a response that does not answer the request.
func (x *exchange) mismatch(resp *http.Response, err error) *failure {
	return &failure{class: inDoubt, err: fmt.Errorf("%s: %w", x.target(), &VerificationError{
		Reason:     VerificationReasonMismatch,
		SerialNo:   shownHeader(resp, headerSerial),
		StatusCode: resp.StatusCode,
		RequestID:  shownHeader(resp, headerRequestID),
		hint:       err.Error(),
	})}
}

// timestamped is implemented by a value that wants to know when WeChat Pay
// signed the response.
type timestamped interface{ setSignedAt(t time.Time) }

// signedAt returns the time at which WeChat Pay signed a response.
func (c *Client) signedAt(h http.Header) time.Time {
	if seconds, err := strconv.ParseInt(h.Get(headerTimestamp), 10, 64); err == nil {
		return time.Unix(seconds, 0)
	}
	return now(c.time)
}

// mustRepeat returns an error if a field of the response differs from the
// request.
func mustRepeat(field, got, want string) error {
	if got == want {
		return nil
	}
	return fmt.Errorf("%s is %.64q, not %.64q", field, got, want)
}

// mustHave returns an error if a field that every success has is missing.
func mustHave(field, got string) error {
	if got != "" {
		return nil
	}
	return errors.New("it has no " + field)
}

// anyOut is the out of Do: of an unknown endpoint nothing is known but that a
// success is not an error.
type anyOut struct{ v any }

func (o *anyOut) accept(x *exchange, resp *http.Response, body []byte) *failure {
	if len(body) == 0 {
		return nil
	}
	var failed struct{ Code, Message any }
	if json.Unmarshal(body, &failed) == nil {
		code, isCode := failed.Code.(string)
		if _, isText := failed.Message.(string); isCode && isText && errorCode.MatchString(code) {
			return x.mismatch(resp, fmt.Errorf("it is an error response: %.64s", code))
		}
	}
	if o.v == nil {
		return nil
	}
	if err := json.Unmarshal(body, o.v); err != nil {
		return x.undecodable(resp, err)
	}
	return nil
}
