package wechatpaytest

import (
	"net"
	"net/http"
	"net/http/httptest"

	"github.com/wechatpay-complaints/wechatpay/internal/listen"
)

func init() {
	listen.Wrapped = func(addr string, wrap func(http.Handler) http.Handler) error {
		_, err := listenWrapped(addr, wrap)
		return err
	}
}

// listenWrapped starts a server on an address. If wrap is not nil, requests go to
// the handler it returns.
func listenWrapped(addr string, wrap func(http.Handler) http.Handler) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return newServer(&httptest.Server{Listener: l, Config: &http.Server{}}, wrap), nil
}
