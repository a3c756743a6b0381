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

// limited is an http.RoundTripper that delays requests as the limiters demand.
type limited struct {
	base     http.RoundTripper
	limiters map[string]*rate.Limiter // by the last segment of the path
}

// RoundTrip waits at most until the attempt times out. The limiter rejects a request
// at once if its turn would come later.
//
// The request is already signed, and WeChat Pay accepts a signature for 5 minutes:
// keep Retry.AttemptTimeout well below that.
func (l limited) RoundTrip(req *http.Request) (*http.Response, error) {
	if limiter := l.limiters[path.Base(req.URL.Path)]; limiter != nil {
		if err := limiter.Wait(req.Context()); err != nil {
			return nil, notSent(req, err)
		}
	}
	return l.base.RoundTrip(req)
}

// notSent returns the error for a request that was not sent. For an *ArgumentError
// the Client returns at once, and the write is not applied. For most other errors
// the outcome of the write is unknown, because net/http did not report a failure
// to connect. For a *net.OpError with Op "dial", the Client would retry and switch
// to the backup host.
func notSent(req *http.Request, err error) error {
	if req.Body != nil {
		req.Body.Close() // as the contract of http.RoundTripper requires
	}
	return fmt.Errorf("%w: %w", &wechatpay.ArgumentError{
		Op: "rate limit",
		Faults: []wechatpay.ArgumentFault{{
			Field:   "ctx",
			Problem: "the deadline is too short for the rate limit",
		}},
	}, err)
}

// perMinute returns a limiter that allows at most n requests in any minute: a burst
// of n/10 (at least 1), and n minus the burst at a steady rate.
func perMinute(n int) *rate.Limiter {
	burst := max(1, n/10)
	return rate.NewLimiter(rate.Limit(max(1, n-burst))/60, burst)
}

// limits returns the rate limits of WeChat Pay. They apply to the merchant: divide
// them if several processes send requests. They are from WeChat Pay's community
// FAQ and may be outdated. Other limits are unknown. The Client also handles 429.
func limits() map[string]*rate.Limiter {
	return map[string]*rate.Limiter{
		"response":             perMinute(60),   // Respond
		"upload":               perMinute(60),   // UploadImage
		"complaints-v2":        perMinute(200),  // List, and each page of All
		"negotiation-historys": perMinute(200),  // NegotiationHistory, each page of AllNegotiationHistory, and lookups
		"complete":             perMinute(1500), // Complete
	}
}

// Requests wait instead of being rejected with 429. Retries and pages count too.
func Example_rateLimit() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})

	cfg := server.Config()
	cfg.Transport = limited{base: wechatpay.NewTransport(), limiters: limits()}
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		log.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	read := 0
	for range 21 { // a burst of 20, then one that waits 1/3 s
		if _, err := client.ComplaintsV2.NegotiationHistory(ctx, "200201820200101080076610000", nil); err != nil {
			log.Fatal(err)
		}
		read++
	}
	fmt.Println(read, "read")
	// Output: 21 read
}
