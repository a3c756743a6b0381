package main

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"time"

	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func (c *control) clock(*http.Request) (int, any, error) {
	return http.StatusOK, map[string]time.Time{"now": c.server.Now()}, nil
}

// maxAdvance limits one step of the clock to 100 years.
const maxAdvance = 100 * 365 * 24 * time.Hour

func (c *control) advance(r *http.Request) (int, any, error) {
	var body struct {
		AdvanceMS int64 `json:"advance_ms"`
	}
	if err := decode(r, &body); err != nil {
		return 0, nil, err
	}
	if body.AdvanceMS <= 0 || body.AdvanceMS > maxAdvance.Milliseconds() {
		return 0, nil, fmt.Errorf("advance_ms must be from 1 to %d, got %d", maxAdvance.Milliseconds(), body.AdvanceMS)
	}
	c.server.Advance(time.Duration(body.AdvanceMS) * time.Millisecond)
	return c.clock(r)
}

// certificate changes the platform certificates and returns a serial number.
func certificate(change func(*wechatpaytest.Server) *x509.Certificate) operation {
	return func(c *control, r *http.Request) (int, any, error) {
		if err := requireEmptyBody(r); err != nil {
			return 0, nil, err
		}
		return http.StatusOK, map[string]string{"serial_no": fmt.Sprintf("%X", change(c.server).SerialNumber)}, nil
	}
}

// reset restores the initial state, except the clock, keys and certificates.
func (c *control) reset(r *http.Request) (int, any, error) {
	if err := requireEmptyBody(r); err != nil {
		return 0, nil, err
	}
	c.server.Reset()
	c.images.Clear()
	if err := c.setUp(); err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, nil
}
