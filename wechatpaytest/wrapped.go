package wechatpaytest

import (
	"net"
	"net/http"
	"net/http/httptest"

	"github.com/wechatpay-complaints/wechatpay/internal/listen"
)

func init() { listen.Wrapped = listenWrapped }

// listenWrapped starts a server whose requests go to the handler that wrap
// returns.
func listenWrapped(addr string, wrap func(http.Handler) http.Handler) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	newServer(&httptest.Server{Listener: l, Config: &http.Server{}}, wrap)
	return nil
}
