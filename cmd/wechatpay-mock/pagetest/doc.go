// Package pagetest tries the page of wechatpay-mock in a headless Chromium: it presses every button and looks at what changes. run.sh does
// what that needs.
package pagetest
