package main

import (
	"fmt"
	"net/http"
	"time"
)

func (c *control) clock(*http.Request) (int, any, error) {
	return http.StatusOK, map[string]time.Time{"now": c.server.Now()}, nil
}

func (c *control) advance(r *http.Request) (int, any, error) {
	var body struct {
		AdvanceMS int64 `json:"advance_ms"`
	}
	if err := decode(r, &body); err != nil {
		return 0, nil, err
	}
	const most = 100 * 365 * 24 * time.Hour
	if body.AdvanceMS <= 0 || body.AdvanceMS > most.Milliseconds() {
		return 0, nil, fmt.Errorf("advance_ms is %d, and must be from 1 to %d: the clock only moves on", body.AdvanceMS, most.Milliseconds())
	}
	c.server.Advance(time.Duration(body.AdvanceMS) * time.Millisecond)
	return c.clock(r)
}

func (c *control) announceCertificate(r *http.Request) (int, any, error) {
	if err := decode(r, &struct{}{}); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]string{"serial_no": fmt.Sprintf("%X", c.server.AnnounceCertificate().SerialNumber)}, nil
}

func (c *control) rotateCertificate(r *http.Request) (int, any, error) {
	if err := decode(r, &struct{}{}); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]string{"serial_no": fmt.Sprintf("%X", c.server.RotateCertificate().SerialNumber)}, nil
}

// reset makes the server what it was when it began, apart from its clock and its
// certificates.
func (c *control) reset(r *http.Request) (int, any, error) {
	if err := decode(r, &struct{}{}); err != nil {
		return 0, nil, err
	}
	c.server.Reset()
	c.images.Clear()
	if err := c.begin(); err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, nil
}
