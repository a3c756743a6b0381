package recipes_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"path"
	"time"

	"golang.org/x/time/rate"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// limited holds requests back until their limiter lets them go. The limiters are
// found by the last segment of the path; other requests are not held.
type limited struct {
	base     http.RoundTripper
	limiters map[string]*rate.Limiter
}

// RoundTrip waits as long as the attempt may take: Retry.AttemptTimeout, or what
// the call's context has left. The limiter refuses at once what cannot have its
// turn in that time, so that it takes nobody else's.
//
// The request was signed before it waits here, and WeChat Pay takes a signature
// for 5 minutes: keep Retry.AttemptTimeout well below that.
func (l limited) RoundTrip(req *http.Request) (*http.Response, error) {
	if limiter := l.limiters[path.Base(req.URL.Path)]; limiter != nil {
		if err := limiter.Wait(req.Context()); err != nil {
			return nil, refused(req, err)
		}
	}
	return l.base.RoundTrip(req)
}

// refused is the error of a request that was not sent. It says so with an
// *ArgumentError, as the SDK's own transports do when they refuse: the call ends
// at once, and its outcome is not in doubt.
//
// An error of any other type would not do. The Client knows that a request was
// not sent if net/http asked for a connection and got none, which httptrace
// tells. Here net/http was not asked yet, so that a bare context.Canceled leaves
// it open what this RoundTripper did, and a write ends in ErrOutcomeUnknown. A
// *net.OpError of a "dial" would tell that nothing was sent, but it blames the
// network: the Client would repeat the request, and avoid a sound host for a
// while.
func refused(req *http.Request, err error) error {
	if req.Body != nil {
		req.Body.Close() // as every RoundTripper must
	}
	return fmt.Errorf("%w: %w", &wechatpay.ArgumentError{
		Op: "rate limit",
		Faults: []wechatpay.ArgumentFault{{
			Field:   "ctx",
			Problem: "ends before the request has its turn: give it more time, or call again later",
		}},
	}, err)
}

// perMinute lets at most n requests go in any minute, a tenth of them in a
// burst: a bucket gives what it holds, and what flows in meanwhile. It holds one
// at least, as nothing ever goes through an empty one, and one a minute flows
// in.
func perMinute(n int) *rate.Limiter {
	burst := max(1, n/10)
	return rate.NewLimiter(rate.Limit(max(1, n-burst))/60, burst)
}

// WeChat Pay's ceilings are the merchant's: share them out if several processes
// call. They are from its community FAQ, and old; those of other endpoints are
// not known. A 429 can come all the same, and the Client handles it.
func ceilings() map[string]*rate.Limiter {
	return map[string]*rate.Limiter{
		"response":             perMinute(60),   // Respond
		"upload":               perMinute(60),   // UploadImage
		"complaints-v2":        perMinute(200),  // List, each page of All
		"negotiation-historys": perMinute(200),  // NegotiationHistory, each page of All…, each look for a decision
		"complete":             perMinute(1500), // Complete
	}
}

// Calls wait for their turn instead of being refused with 429. What is repeated
// waits again, and each page of All counts.
func Example_rateLimit() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})

	cfg := server.Config()
	cfg.Transport = limited{base: wechatpay.NewTransport(), limiters: ceilings()}
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		log.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	read := 0
	for range 21 { // a burst of 20, and one that waits a third of a second
		if _, err := client.ComplaintsV2.NegotiationHistory(ctx, "200201820200101080076610000", nil); err != nil {
			log.Fatal(err)
		}
		read++
	}
	fmt.Println(read, "read")
	// Output: 21 read
}
