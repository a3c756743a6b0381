package wechatpaytest

import "time"

// RateLimits are maximum numbers of requests in any 60 s on the server's clock,
// per merchant. 0 means no limit. WeChat Pay's staff named 200, 200, 60, 60 and
// 1500; the limits of the other endpoints are not known.
type RateLimits struct {
	List     int
	History  int
	Reply    int // both endpoints together
	Upload   int
	Complete int
}

// A rateKind is what a limit applies to.
type rateKind int

const (
	rateNone rateKind = iota
	rateList
	rateHistory
	rateReply
	rateUpload
	rateComplete
)

// of returns the limit and its name.
func (r RateLimits) of(kind rateKind) (limit int, name string) {
	switch kind {
	case rateList:
		return r.List, "the list"
	case rateHistory:
		return r.History, "the history"
	case rateReply:
		return r.Reply, "replies"
	case rateUpload:
		return r.Upload, "uploads"
	case rateComplete:
		return r.Complete, "completions"
	}
	return 0, ""
}

// rateKey identifies the requests that share a limit.
type rateKey struct {
	mchid string
	kind  rateKind
}

// checkRate counts the request. It returns an error if the limit is exceeded.
func (c *call) checkRate() *apiError {
	if c.endpoint == nil {
		return nil
	}
	limit, name := c.b.RateLimits.of(c.endpoint.rate)
	if limit <= 0 {
		return nil
	}
	key := rateKey{c.merchant.mchid, c.endpoint.rate}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	times := c.s.rates[key]
	for len(times) > 0 && c.now.Sub(times[0]) >= time.Minute {
		times = times[1:]
	}
	if len(times) >= limit {
		apiErr := rateLimited.errorf("more than %d requests per minute for %s", limit, name)
		apiErr.internal = internalFrequency
		return apiErr
	}
	c.s.rates[key] = append(times, c.now)
	return nil
}
