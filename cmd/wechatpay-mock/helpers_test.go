package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

func createRefund(t *testing.T, client *wechatpay.Client, transactionID, number string) {
	body := map[string]any{
		"transaction_id": transactionID,
		"out_refund_no":  number,
		"amount":         map[string]any{"refund": 100, "total": 100, "currency": "CNY"},
	}
	require.NoError(t, client.Do(context.Background(), "POST", "/v3/refund/domestic/refunds", body, &struct{}{}))
}

func second(_ int, answer string) string { return answer }

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// output is written by the command and read by the test.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// mock is a command that listens.
type mock struct {
	url    string
	stderr *output
	stop   func() int // as a signal does; returns the exit status
}

func start(t *testing.T, args ...string) *mock {
	ctx, cancel := context.WithCancel(context.Background())
	stdout, lines := io.Pipe()
	m := &mock{stderr: &output{}}
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, args, lines, m.stderr)
		lines.Close()
	}()
	var once sync.Once
	var code int
	m.stop = func() int {
		once.Do(func() {
			cancel()
			code = <-status
		})
		return code
	}
	t.Cleanup(func() { m.stop() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err, m.stderr)
	url, found := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	require.True(t, found, line)
	m.url = url
	return m
}

// do sends a request to the control plane and returns its answer.
func (m *mock) do(t *testing.T, method, path, body string) (int, string) {
	req, err := http.NewRequest(method, m.url+path, strings.NewReader(body))
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, strings.TrimSpace(string(answer))
}

// ok is do for a request that must succeed, and decodes the answer.
func ok[T any](t *testing.T, m *mock, want int, method, path, body string) T {
	status, answer := m.do(t, method, path, body)
	require.Equal(t, want, status, "%s %s: %s", method, path, answer)
	var out T
	if answer != "" {
		require.NoError(t, json.Unmarshal([]byte(answer), &out), answer)
	}
	return out
}

// loadEnv reads a file env with a shell, as users do, into the environment of the test.
func loadEnv(t *testing.T, file string) {
	out, err := exec.Command("sh", "-c", `. "$1" && env`, "sh", file).Output()
	require.NoError(t, err)
	for _, line := range strings.Split(string(out), "\n") {
		if name, value, found := strings.Cut(line, "="); found && strings.HasPrefix(name, "WECHATPAY_") {
			t.Setenv(name, value)
		}
	}
}

func newClient(t *testing.T, dir string) *wechatpay.Client {
	loadEnv(t, filepath.Join(dir, envFile))
	cfg, err := wechatpay.ConfigFromEnv()
	require.NoError(t, err)
	client, err := wechatpay.NewClient(cfg)
	require.NoError(t, err)
	return client
}
