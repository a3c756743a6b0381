package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay/examples/internal/exampletest"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func TestRun_embedded(t *testing.T) {
	exampletest.ClearEnv(t)
	var stdout, stderr bytes.Buffer
	require.Zero(t, run(context.Background(), nil, &stdout, &stderr), "%s", &stderr)
	output := regexp.MustCompile(`  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d`).ReplaceAllString(stdout.String(), "  TIME")
	require.Equal(t, `Using an embedded mock server: -mock, or WECHATPAY_MCHID is not set.

The user files a complaint
  TIME  COMPLAINT.CREATE  CREATE_COMPLAINT  complaint 200201820200101080076610000
  response: 200 {"code":"SUCCESS"}

The same notification is redelivered: it is not printed again
  response: 200 {"code":"SUCCESS"}

The user writes a message
  TIME  COMPLAINT.STATE_CHANGE  USER_RESPONSE  complaint 200201820200101080076610000
  response: 200 {"code":"SUCCESS"}

A refund arrives
  TIME  REFUND.SUCCESS  refund demonstration, 1000 fen of 1000
  response: 200 {"code":"SUCCESS"}

Someone else signs a notification
  response: 401 {"code":"FAIL","message":"Unauthorized"}

WeChat Pay tests the receiver with a wrong signature
  response: 401 {"code":"FAIL","message":"Unauthorized"}
`, output)
	require.Equal(t, 2, strings.Count(stderr.String(), "\n"), "one warning for each rejected notification: %s", &stderr)
}

func TestRun_invalidSettings(t *testing.T) {
	tests := []struct {
		name string
		args []string
		env  map[string]string
		want string
	}{
		{"unknown flag", []string{"-port", "1"}, nil, "flag provided but not defined: -port"},
		{"unexpected argument", []string{"now"}, nil, `unexpected argument "now"`},
		{"no APIv3 key", nil, map[string]string{"WECHATPAY_MCHID": "1900000001"}, "WECHATPAY_APIV3_KEY is not set"},
		{"no keys", nil, map[string]string{"WECHATPAY_MCHID": "1900000001", "WECHATPAY_APIV3_KEY": strings.Repeat("k", 32)}, "PrivateKey: is required"},
		{"missing file", nil, map[string]string{"WECHATPAY_MCHID": "1900000001", "WECHATPAY_PRIVATE_KEY_FILE": "missing.pem"}, "WECHATPAY_PRIVATE_KEY_FILE"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			exampletest.ClearEnv(t)
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			var stdout, stderr bytes.Buffer
			require.Equal(t, 2, run(context.Background(), tt.args, &stdout, &stderr))
			require.Contains(t, stderr.String(), tt.want)
		})
	}
	var stdout, stderr bytes.Buffer
	require.Zero(t, run(context.Background(), []string{"-h"}, &stdout, &stderr))
}

// With settings it serves until ctx ends.
func TestRun_live(t *testing.T) {
	server := exampletest.NewServer(t)
	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	reader, writer := io.Pipe()
	var stderr bytes.Buffer
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"-addr", "127.0.0.1:0"}, writer, &stderr)
		writer.Close()
	}()
	lines := bufio.NewScanner(reader)
	require.True(t, lines.Scan())
	url, found := strings.CutPrefix(lines.Text(), "Listening on ")
	require.True(t, found)
	statuses := make(chan int, 1)
	go func() {
		resp, err := server.Notify(context.Background(), url, wechatpaytest.Notification{EventType: "NEW.EVENT", ComplaintID: "1"})
		if err != nil {
			t.Error(err)
			statuses <- 0
			return
		}
		statuses <- resp.StatusCode
	}()
	require.True(t, lines.Scan())
	require.Contains(t, lines.Text(), "NEW.EVENT  unknown event type")
	require.Equal(t, 200, <-statuses)
	interrupt()
	require.Zero(t, <-status)
	require.Empty(t, stderr.String())
}

func TestRun_portInUse(t *testing.T) {
	exampletest.NewServer(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	var stderr bytes.Buffer
	require.Equal(t, 1, run(context.Background(), []string{"-addr", listener.Addr().String()}, io.Discard, &stderr))
	require.Contains(t, stderr.String(), "address already in use")
}
