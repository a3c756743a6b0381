package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// receiver is a merchant's endpoint.
type receiver struct {
	*httptest.Server
	bodies []string
	status int // that it answers with
}

func receive(t *testing.T) *receiver {
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

func TestNotify(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	r := receive(t)
	body := `{"url":"` + r.URL + `/notify","event_type":"COMPLAINT.CREATE","complaint_id":"1","action_type":"CREATE_COMPLAINT","id":"event-1","create_time":"2026-03-04T12:00:00+08:00"}`
	require.JSONEq(t, `{"status":200,"body":"{\"code\":\"SUCCESS\"}"}`, second(m.do(t, "POST", "/_mock/notify", body)))
	require.Contains(t, r.bodies[0], `"id":"event-1","create_time":"2026-03-04T12:00:00+08:00"`)
	r.status = 500
	require.JSONEq(t, `{"status":500,"body":"{\"code\":\"SUCCESS\"}"}`, second(m.do(t, "POST", "/_mock/notify", body)), "sent once, and not a failure of the control plane")
	require.Len(t, r.bodies, 2)
}

func TestNotifications(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	require.Equal(t, `{"data":[]}`, second(m.do(t, "GET", "/_mock/notifications", "")))
	r := receive(t)
	r.status = 503
	require.JSONEq(t, `{"url":"`+r.URL+`"}`, second(m.do(t, "PUT", "/_mock/notification-url", `{"url":"`+r.URL+`"}`)))
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1"}`)
	ok[any](t, m, 200, "POST", "/_mock/complaints/1/user-reply", `{"text":"?"}`)

	type entry struct {
		dueNotification
		Attempt  int
		Attempts int
		Status   int
		Body     string
		Error    string
		Due      time.Time
	}
	pending := ok[list[entry]](t, m, 200, "GET", "/_mock/notifications", "").Data
	require.Len(t, pending, 2)
	require.Equal(t, "COMPLAINT.CREATE", pending[0].EventType)
	require.Equal(t, "USER_RESPONSE", pending[1].ActionType)
	require.Equal(t, r.URL, pending[1].URL)

	done := ok[list[entry]](t, m, 200, "POST", "/_mock/notifications/deliver", "").Data
	require.Len(t, done, 2)
	require.Equal(t, 503, done[0].Status)
	require.Equal(t, pending[0].ID, done[0].ID)
	require.Equal(t, 1, ok[list[entry]](t, m, 200, "GET", "/_mock/notifications", "").Data[0].Attempts)
	require.Empty(t, ok[list[entry]](t, m, 200, "POST", "/_mock/notifications/deliver", "").Data, "not due yet")

	before := ok[map[string]time.Time](t, m, 200, "GET", "/_mock/clock", "")["now"]
	after := ok[map[string]time.Time](t, m, 200, "POST", "/_mock/clock", `{"advance_ms":61000}`)["now"]
	require.GreaterOrEqual(t, after.Sub(before), 61*time.Second)
	r.Close()
	done = ok[list[entry]](t, m, 200, "POST", "/_mock/notifications/deliver", "").Data
	require.Len(t, done, 2)
	require.Equal(t, 2, done[0].Attempt)
	require.Contains(t, done[0].Error, "connection refused")
	require.Zero(t, done[0].Status)

	ok[any](t, m, 200, "PUT", "/_mock/notification-url", `{"url":""}`)
	ok[any](t, m, 200, "POST", "/_mock/complaints/1/user-reply", `{"text":"?"}`)
	require.Len(t, ok[list[entry]](t, m, 200, "GET", "/_mock/notifications", "").Data, 2)
}
