package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

// runMain makes the test binary run the command, for tests that need a process.
const runMain = "MOCK_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(runMain) != "" {
		main()
	}
	os.Exit(m.Run())
}

// output is a buffer that the command writes and the test reads.
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

// mock is a running command.
type mock struct {
	url    string
	stderr *output
	stop   func() int // stops it as a signal does and returns the exit status
}

func start(t *testing.T, args ...string) *mock {
	ctx, cancel := context.WithCancel(context.Background())
	stdout, writer := io.Pipe()
	m := &mock{stderr: &output{}}
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, args, writer, m.stderr)
		writer.Close()
	}()
	m.stop = sync.OnceValue(func() int {
		cancel()
		return <-status
	})
	t.Cleanup(func() { m.stop() })
	m.url = readURL(t, bufio.NewReader(stdout), m.stderr)
	return m
}

// readURL reads the URL that the command prints.
func readURL(t *testing.T, stdout *bufio.Reader, stderr *output) string {
	line, err := stdout.ReadString('\n')
	require.NoError(t, err, stderr)
	url, found := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	require.True(t, found, line)
	return url
}

// do sends a request to the control API and returns the response.
func (m *mock) do(t *testing.T, method, path, body string) (status int, response string) {
	req, err := http.NewRequest(method, m.url+path, strings.NewReader(body))
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	return resp.StatusCode, strings.TrimSpace(string(readBody(t, resp)))
}

func readBody(t *testing.T, resp *http.Response) []byte {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return body
}

// raw is do for a request that must return 200. It returns the body.
func (m *mock) raw(t *testing.T, method, path, body string) string {
	status, response := m.do(t, method, path, body)
	require.Equal(t, 200, status, "%s %s: %s", method, path, response)
	return response
}

// ok is do for a request that must return the given status. It decodes the body.
func ok[T any](t *testing.T, m *mock, want int, method, path, body string) T {
	status, response := m.do(t, method, path, body)
	require.Equal(t, want, status, "%s %s: %s", method, path, response)
	var out T
	if response != "" {
		require.NoError(t, json.Unmarshal([]byte(response), &out), response)
	}
	return out
}

// data is ok for a list.
func data[T any](t *testing.T, m *mock, path string) []T {
	return ok[list[T]](t, m, 200, "GET", path, "").Data
}

// loadEnv loads an env file into the test's environment, with a shell as users do.
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

func createRefund(t *testing.T, client *wechatpay.Client, transactionID, number string) {
	body := map[string]any{
		"transaction_id": transactionID,
		"out_refund_no":  number,
		"amount":         map[string]any{"refund": 100, "total": 100, "currency": "CNY"},
	}
	require.NoError(t, client.Do(context.Background(), "POST", "/v3/refund/domestic/refunds", body, &struct{}{}))
}

func operateTypes(records []wechatpay.NegotiationRecord) []string {
	var types []string
	for _, record := range records {
		types = append(types, string(record.OperateType))
	}
	return types
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
