package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// receiver is the merchant's notification endpoint.
type receiver struct {
	*httptest.Server
	bodies []string
	status int // of its responses
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{status: 200}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.bodies = append(r.bodies, string(body))
		w.WriteHeader(r.status)
		_, _ = w.Write([]byte(`{"code":"SUCCESS"}`))
	}))
	t.Cleanup(r.Close)
	return r
}

func TestControl_notify(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	r := newReceiver(t)
	body := `{"url":"` + r.URL + `/notify","event_type":"COMPLAINT.CREATE","complaint_id":"1","action_type":"CREATE_COMPLAINT","id":"event-1","create_time":"2026-03-04T12:00:00+08:00"}`
	require.JSONEq(t, `{"status":200,"body":"{\"code\":\"SUCCESS\"}"}`, m.raw(t, "POST", "/_mock/notify", body))
	require.Contains(t, r.bodies[0], `"id":"event-1","create_time":"2026-03-04T12:00:00+08:00"`)
	r.status = 500
	require.JSONEq(t, `{"status":500,"body":"{\"code\":\"SUCCESS\"}"}`, m.raw(t, "POST", "/_mock/notify", body),
		"sent once; not a failure of the control API")
	require.Len(t, r.bodies, 2)
}

// Without a URL, notify uses the one that is set.
func TestControl_notify_setURL(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	r := newReceiver(t)
	ok[any](t, m, 200, "PUT", "/_mock/notification-url", `{"url":"`+r.URL+`"}`)
	const body = `{"event_type":"COMPLAINT.CREATE","complaint_id":"1","action_type":"CREATE_COMPLAINT"}`
	require.JSONEq(t, `{"status":200,"body":"{\"code\":\"SUCCESS\"}"}`, m.raw(t, "POST", "/_mock/notify", body))
	require.Len(t, r.bodies, 1)
}

func TestControl_deliver(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	require.Equal(t, `{"data":[]}`, m.raw(t, "GET", "/_mock/notifications", ""))
	r := newReceiver(t)
	r.status = 503
	require.JSONEq(t, `{"url":"`+r.URL+`"}`, m.raw(t, "PUT", "/_mock/notification-url", `{"url":"`+r.URL+`"}`))
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1"}`)
	ok[any](t, m, 200, "POST", "/_mock/complaints/1/user-reply", `{"text":"?"}`)
	deliver := func() []delivery {
		return ok[list[delivery]](t, m, 200, "POST", "/_mock/notifications/deliver", "").Data
	}
	pending := data[pendingNotification](t, m, "/_mock/notifications")
	require.Len(t, pending, 2)
	require.Equal(t, "COMPLAINT.CREATE", pending[0].EventType)
	require.Equal(t, "USER_RESPONSE", pending[1].ActionType)
	require.Equal(t, r.URL, pending[1].URL)

	done := deliver()
	require.Len(t, done, 2)
	require.Equal(t, 503, done[0].Status)
	require.Equal(t, pending[0].ID, done[0].ID)
	require.Equal(t, 1, data[pendingNotification](t, m, "/_mock/notifications")[0].Attempts)
	require.Empty(t, deliver(), "not due yet")

	before := ok[map[string]time.Time](t, m, 200, "GET", "/_mock/clock", "")["now"]
	after := ok[map[string]time.Time](t, m, 200, "POST", "/_mock/clock", `{"advance_ms":61000}`)["now"]
	require.GreaterOrEqual(t, after.Sub(before), 61*time.Second)
	r.Close()
	done = deliver()
	require.Len(t, done, 2)
	require.Equal(t, 2, done[0].Attempt)
	require.Contains(t, done[0].Error, "connection refused")
	require.Zero(t, done[0].Status)

	ok[any](t, m, 200, "PUT", "/_mock/notification-url", `{"url":""}`)
	ok[any](t, m, 200, "POST", "/_mock/complaints/1/user-reply", `{"text":"?"}`)
	require.Len(t, data[pendingNotification](t, m, "/_mock/notifications"), 2, "no URL, no further notification")
}
