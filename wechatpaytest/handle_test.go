package wechatpaytest_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHandle(t *testing.T) {
	s := start(t)
	file(s)
	s.Handle("POST /v3/pay/transactions/{id}/close", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Own", r.PathValue("id"))
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(body)
		_, _ = w.Write([]byte("!"))
	}))
	r := call(t, s, 201, "POST", "/v3/pay/transactions/7/close", `{"a":1}`)
	require.Equal(t, `{"a":1}!`, string(r.body))
	require.Equal(t, "7", r.Header.Get("X-Own"))
	require.True(t, r.signedBy(s.Config().PublicKey))
	call(t, s, 404, "GET", "/v3/pay/transactions/7/close", "")

	m := newMessage(s, "POST", "/v3/pay/transactions/7/close", `{"a":1}`)
	wrong := "wrong"
	m.signed = &wrong
	require.Equal(t, 401, m.send(t, s).StatusCode, "the request is verified first")

	s.Handle("/v3/merchant-service/complaints-v2/{id}/update-refund-progress", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	require.True(t, call(t, s, 204, "POST", decide, `{}`).signedBy(s.Config().PublicKey))
	require.Len(t, s.History(id), 1)
	s.Handle("/v3/merchant-service/complaints-v2/{id}/update-refund-progress", nil)
	call(t, s, 400, "POST", decide, `{}`)
	require.Panics(t, func() { s.Handle("no pattern {", http.NotFoundHandler()) })
}
