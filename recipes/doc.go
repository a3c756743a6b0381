// Package recipes holds examples that join the SDK to other libraries. It is a
// module of its own, so that their dependencies stay out of the SDK's; it
// exports nothing, and is there to be read, copied and run:
//
//	go test ./...
//
// OpenTelemetry: a span for each attempt, through Config.Transport.
//
// RateLimit: the calls of each endpoint held below a ceiling, through
// Config.Transport.
//
// KeyRotation: a new merchant API certificate or APIv3 key while calls are under
// way and notifications come.
//
// Routers: notifications in gin and in echo.
//
// HSM: a private key that never leaves an HSM or a KMS.
//
// All run on wechatpaytest, a WeChat Pay in the same process. For the real one
// take the Config from wechatpay.ConfigFromEnv.
package recipes
