package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

type fault struct {
	Path        string                  `json:"path"`
	Kind        wechatpaytest.FaultKind `json:"kind"`
	Times       int                     `json:"times"`
	Probability float64                 `json:"probability"`
	Seed        uint64                  `json:"seed"`
	DelayMS     int64                   `json:"delay_ms"`
	TakesEffect bool                    `json:"takes_effect"`
	Status      int                     `json:"status"`
}

// maxDelay catches delays in the wrong unit, which would block a test for years.
const maxDelay = time.Hour

func (c *control) addFault(r *http.Request) (int, any, error) {
	var body fault
	if err := decode(r, &body); err != nil {
		return 0, nil, err
	}
	if body.DelayMS < 0 || body.DelayMS > maxDelay.Milliseconds() {
		return 0, nil, fmt.Errorf("delay_ms must be from 0 to %d, got %d", maxDelay.Milliseconds(), body.DelayMS)
	}
	f := wechatpaytest.Fault{
		Path:        body.Path,
		Kind:        body.Kind,
		Times:       body.Times,
		Probability: body.Probability,
		Seed:        body.Seed,
		Delay:       time.Duration(body.DelayMS) * time.Millisecond,
		TakesEffect: body.TakesEffect,
		Status:      body.Status,
	}
	if err := f.Check(); err != nil {
		return 0, nil, err
	}
	if f.Kind == wechatpaytest.FaultRefuse && f.Delay == 0 {
		return 0, nil, fmt.Errorf("the fault %s requires delay_ms: the server cannot be reached to end it", f.Kind)
	}
	c.server.AddFault(f)
	return http.StatusCreated, body, nil
}

func faultOf(f wechatpaytest.Fault) fault {
	return fault{
		Path:        f.Path,
		Kind:        f.Kind,
		Times:       f.Times,
		Probability: f.Probability,
		Seed:        f.Seed,
		DelayMS:     f.Delay.Milliseconds(),
		TakesEffect: f.TakesEffect,
		Status:      f.Status,
	}
}

func (c *control) faults(*http.Request) (int, any, error) {
	return http.StatusOK, listOf(c.server.Faults(), faultOf), nil
}

func (c *control) clearFaults(r *http.Request) (int, any, error) {
	if err := requireEmptyBody(r); err != nil {
		return 0, nil, err
	}
	c.server.ClearFaults()
	return http.StatusNoContent, nil, nil
}
