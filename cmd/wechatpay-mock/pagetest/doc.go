// Package pagetest tries in a headless Chromium what only a browser shows: the
// page of wechatpay-mock, on which it presses every button and looks at what
// changes, and the diagrams of the READMEs. run.sh does what that needs.
package pagetest
