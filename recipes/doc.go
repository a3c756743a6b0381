// Package recipes shows how to combine the SDK with other libraries. It is a
// separate module, so that the SDK does not depend on them. It exports nothing:
// read, copy and run the examples.
//
//	go test ./...
//
// OpenTelemetry: a span for each attempt, through Config.Transport.
//
// RateLimit: a rate limit for each endpoint, through Config.Transport.
//
// KeyRotation: a new merchant API certificate or APIv3 key without a restart.
//
// Routers: the notification handler in gin and echo.
//
// HSM: a private key in an HSM or KMS.
//
// Relay: WeChat Pay through an internal gateway with a path or a private address.
//
// All examples use wechatpaytest, a mock server in the same process. For WeChat
// Pay, create the Config with wechatpay.ConfigFromEnv.
package recipes
