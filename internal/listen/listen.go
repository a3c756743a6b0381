// Package listen lets cmd/wechatpay-mock add paths of its own to the port of a
// wechatpaytest.Server. Faults that concern the port, such as refused
// connections, then apply to both. It is not part of the public API.
package listen

import "net/http"

// Wrapped is wechatpaytest.Listen, except that requests go to the handler that
// wrap returns. It calls wrap once, before the server accepts connections, with
// the *wechatpaytest.Server. Package wechatpaytest sets this variable.
var Wrapped func(addr string, wrap func(server http.Handler) http.Handler) error
