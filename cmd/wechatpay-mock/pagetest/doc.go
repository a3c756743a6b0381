// Package pagetest tests the page of wechatpay-mock, and the diagrams of the
// READMEs, in a headless Chromium. run.sh installs what the tests need and runs
// them.
package pagetest
