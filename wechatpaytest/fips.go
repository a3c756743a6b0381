//go:build go1.26

package wechatpaytest

import "crypto/fips140"

// withoutFIPS runs f with the algorithms that FIPS 140-only mode does not allow.
// WeChat Pay requires SHA-1 and AES-GCM with given nonces.
func withoutFIPS(f func()) { fips140.WithoutEnforcement(f) }
