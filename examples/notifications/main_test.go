package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// clearEnv leaves no setting of the machine to the test.
func clearEnv(t *testing.T) {
	t.Helper()
	for _, setting := range os.Environ() {
		if name, _, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "WECHATPAY_") {
			t.Setenv(name, "")
		}
	}
}

func TestDemonstration(t *testing.T) {
	clearEnv(t)
	var stdout, stderr bytes.Buffer
	require.Zero(t, run(context.Background(), nil, &stdout, &stderr), "%s", &stderr)
	output := regexp.MustCompile(`  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d`).ReplaceAllString(stdout.String(), "  TIME")
	require.Equal(t, `No WECHATPAY_MCHID is set: an embedded WeChat Pay sends the notifications.

a complaint is filed
  TIME  COMPLAINT.CREATE  CREATE_COMPLAINT  complaint 200201820200101080076610000
  answered with 200 {"code":"SUCCESS"}

the same again, which is not printed
  answered with 200 {"code":"SUCCESS"}

the user writes
  TIME  COMPLAINT.STATE_CHANGE  USER_RESPONSE  complaint 200201820200101080076610000
  answered with 200 {"code":"SUCCESS"}

a refund arrives
  TIME  REFUND.SUCCESS  refund demonstration, 1000 fen of 1000
  answered with 200 {"code":"SUCCESS"}

somebody else signs
  answered with 401 {"code":"FAIL","message":"Unauthorized"}

WeChat Pay probes with a wrong signature
  answered with 401 {"code":"FAIL","message":"Unauthorized"}
`, output)
	require.Equal(t, 2, strings.Count(stderr.String(), "\n"), "a warning for each that was refused: %s", &stderr)
}

func TestWrongSettings(t *testing.T) {
	tests := []struct {
		name string
		args []string
		env  map[string]string
		want string
	}{
		{"unknown flag", []string{"-port", "1"}, nil, "flag provided but not defined: -port"},
		{"an argument", []string{"now"}, nil, `unexpected argument "now"`},
		{"no APIv3 key", nil, map[string]string{"WECHATPAY_MCHID": "1900000001"}, "WECHATPAY_APIV3_KEY is not set"},
		{"no keys", nil, map[string]string{"WECHATPAY_MCHID": "1900000001", "WECHATPAY_APIV3_KEY": strings.Repeat("k", 32)}, "PrivateKey: missing"},
		{"no such file", nil, map[string]string{"WECHATPAY_MCHID": "1900000001", "WECHATPAY_PRIVATE_KEY_FILE": "missing.pem"}, "WECHATPAY_PRIVATE_KEY_FILE"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clearEnv(t)
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

// live sets the environment for an embedded WeChat Pay.
func live(t *testing.T) *wechatpaytest.Server {
	t.Helper()
	pay := wechatpaytest.NewServer()
	t.Cleanup(pay.Close)
	cfg := pay.Config()
	privateKey, err := x509.MarshalPKCS8PrivateKey(cfg.PrivateKey)
	require.NoError(t, err)
	publicKey, err := x509.MarshalPKIXPublicKey(cfg.PublicKey)
	require.NoError(t, err)
	clearEnv(t)
	t.Setenv("WECHATPAY_MCHID", cfg.MchID)
	t.Setenv("WECHATPAY_SERIAL_NO", cfg.SerialNo)
	t.Setenv("WECHATPAY_PRIVATE_KEY_FILE", pemFile(t, "apiclient_key.pem", "PRIVATE KEY", privateKey))
	t.Setenv("WECHATPAY_APIV3_KEY", cfg.APIv3Key)
	t.Setenv("WECHATPAY_PUBLIC_KEY_ID", cfg.PublicKeyID)
	t.Setenv("WECHATPAY_PUBLIC_KEY_FILE", pemFile(t, "pub_key.pem", "PUBLIC KEY", publicKey))
	t.Setenv("WECHATPAY_BASE_URL", cfg.BaseURL)
	return pay
}

func pemFile(t *testing.T, name, blockType string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der}), 0o600))
	return file
}

// With settings it serves until it is interrupted.
func TestServes(t *testing.T) {
	pay := live(t)
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
	answers := make(chan int, 1)
	go func() {
		resp, err := pay.Notify(context.Background(), url, wechatpaytest.Notification{EventType: "NEW.EVENT", ComplaintID: "1"})
		if err != nil {
			t.Error(err)
			answers <- 0
			return
		}
		answers <- resp.StatusCode
	}()
	require.True(t, lines.Scan())
	require.Contains(t, lines.Text(), "NEW.EVENT  unknown to this program")
	require.Equal(t, 200, <-answers)
	interrupt()
	require.Zero(t, <-status)
	require.Empty(t, stderr.String())

	// A port that is taken.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	require.Equal(t, 1, run(context.Background(), []string{"-addr", taken.Addr().String()}, io.Discard, &stderr))
	require.Contains(t, stderr.String(), "address already in use")
}
