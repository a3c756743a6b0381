//go:build !go1.26

package wechatpaytest

// withoutFIPS runs f. Before Go 1.26, FIPS 140-only mode cannot be suspended.
func withoutFIPS(f func()) { f() }
