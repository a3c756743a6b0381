package wechatpaytest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// What the kinds of [Fault] send.

// gatewayResponse returns the response that replaces WeChat Pay's, or nil. Those
// of FaultDrop and FaultSwitching are never sent.
func (c *call) gatewayResponse() *response {
	f := c.fault
	resp := &response{header: http.Header{}, unsigned: true}
	switch f.kind() {
	case FaultDrop:
		return resp
	case FaultSwitching:
		resp.status = http.StatusSwitchingProtocols
		return resp
	case FaultReplay:
		return c.replayed.replay()
	case FaultBusy429:
		resp.status, resp.code, resp.internal = http.StatusTooManyRequests, "FREQUENCY_LIMITED", internalFrequency
		resp.header.Set("Retry-After", strconv.FormatInt(int64(f.delay()/time.Second), 10))
	case FaultError500:
		resp.status, resp.code = http.StatusInternalServerError, "SYSTEM_ERROR"
	case FaultError502:
		resp.status, resp.code = http.StatusBadGateway, "SERVICE_UNAVAILABLE"
	case FaultError503:
		resp.status, resp.code = http.StatusServiceUnavailable, "SERVICE_UNAVAILABLE"
	case FaultHTML502:
		resp.setPage(http.StatusBadGateway)
		return resp
	case FaultGatewayPage:
		resp.setPage(f.status())
		return resp
	default:
		return nil
	}
	resp.header.Set("Content-Type", jsonType)
	resp.body = encode(map[string]string{"code": resp.code, "message": "injected fault " + string(f.Kind)})
	return resp
}

// setPage makes the response a gateway's page.
func (resp *response) setPage(status int) {
	title := fmt.Sprint(status, " ", http.StatusText(status))
	if status == 499 { // nginx's
		title = "499 Client Closed Request"
	}
	resp.status = status
	resp.header.Set("Content-Type", "text/html")
	switch {
	case status < 400:
		resp.header.Set("Location", "https://gateway.invalid/login")
	case status == http.StatusProxyAuthRequired:
		resp.header.Set("Proxy-Authenticate", `Basic realm="gateway"`)
	}
	resp.body = []byte("<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n" +
		"<center><h1>" + title + "</h1></center>\r\n</body>\r\n</html>\r\n")
}

// status returns Status, or its default.
func (f *Fault) status() int {
	if f.Status == 0 {
		return http.StatusForbidden
	}
	return f.Status
}

// delay returns Delay, or its default.
func (f *Fault) delay() time.Duration {
	if f.Delay == 0 {
		return time.Second
	}
	return f.Delay
}

// wait delays a slow response.
func (c *call) wait(delay time.Duration) {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.r.Context().Done():
	case <-c.s.ctx.Done():
	}
}

// sendHalf writes the first half of the body, or of the headers if the body is
// empty. Over HTTP/2, which has no way to cut headers, it writes nothing then.
func sendHalf(w http.ResponseWriter, resp *response) {
	if len(resp.body) > 1 {
		for name, values := range resp.header {
			w.Header()[name] = values
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(resp.body)))
		w.WriteHeader(resp.status)
		_, _ = w.Write(resp.body[:len(resp.body)/2])
		_ = http.NewResponseController(w).Flush()
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	var text bytes.Buffer
	fmt.Fprintf(&text, "HTTP/1.1 %d %s\r\n", resp.status, http.StatusText(resp.status))
	_ = resp.header.Write(&text)
	_, _ = io.CopyN(conn, &text, int64(text.Len()/2))
}

// switchProtocols sends 101, and then nothing until the client gives up or the
// server closes.
func (c *call) switchProtocols(w http.ResponseWriter) {
	c.s.silent.Add(1)
	defer c.s.silent.Done()
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil { // HTTP/2
		w.WriteHeader(http.StatusSwitchingProtocols) // informational there
		select {
		case <-c.r.Context().Done():
		case <-c.s.ctx.Done():
		}
		panic(http.ErrAbortHandler)
	}
	defer conn.Close()
	defer context.AfterFunc(c.s.ctx, func() { conn.Close() })()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	_, _ = io.Copy(io.Discard, conn)
}

// keep remembers a signed success for FaultReplay.
func (c *call) keep(resp *response) {
	switch c.fault.kind() {
	case "", FaultSlow:
	default:
		return
	}
	if resp.unsigned || resp.status >= 300 || c.endpoint == nil || c.r.Context().Err() != nil {
		return
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	earlier := c.s.sent[c.endpoint]
	c.s.sent[c.endpoint] = successes{cmp.Or(earlier.first, resp), resp}
}

// successes are the first and the latest signed success of an endpoint.
type successes struct{ first, latest *response }

// replay returns a response once more.
func (resp *response) replay() *response {
	return &response{
		status:   resp.status,
		header:   resp.header,
		body:     resp.body,
		unsigned: true, // the header has the signature
		replayed: true,
	}
}
