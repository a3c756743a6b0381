package wechatpaytest_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestServer_Handle(t *testing.T) {
	s := newServer(t)
	const target = "/v3/pay/transactions/7/close"
	s.Handle("POST /v3/pay/transactions/{id}/close", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Own", r.PathValue("id"))
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(body)
		_, _ = w.Write([]byte("!"))
	}))
	r := do(t, s, 201, "POST", target, `{"a":1}`)
	require.Equal(t, `{"a":1}!`, string(r.body))
	require.Equal(t, "7", r.Header.Get("X-Own"))
	require.True(t, r.signedBy(s.Config().PublicKey))
	do(t, s, 404, "GET", target, "")

	req := newRequest(s, "POST", target, `{"a":1}`)
	req.toSign = ptr("wrong")
	require.Equal(t, 401, req.send(t, s).StatusCode)
	require.Panics(t, func() { s.Handle("no pattern {", http.NotFoundHandler()) })
}

func TestServer_Handle_replacesEndpoint(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	const pattern = "/v3/merchant-service/complaints-v2/{id}/update-refund-progress"
	s.Handle(pattern, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	require.True(t, do(t, s, 204, "POST", decide, `{}`).signedBy(s.Config().PublicKey))
	require.Len(t, s.History(id), 1)
	s.Handle(pattern, nil)
	do(t, s, 400, "POST", decide, `{}`)
}
