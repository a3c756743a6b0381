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
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

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

func mode(t *testing.T, elem ...string) os.FileMode {
	info, err := os.Stat(filepath.Join(elem...))
	require.NoError(t, err)
	return info.Mode().Perm()
}

// The settings work as they are, whatever the shell had before and whatever the
// directory is called.
func TestSettings(t *testing.T) {
	t.Setenv("WECHATPAY_PRIVATE_KEY", "of the shop")
	t.Setenv("WECHATPAY_CERTIFICATE", "of the shop")
	t.Setenv("WECHATPAY_PUBLIC_KEY", "of the shop")
	t.Setenv("WECHATPAY_BACKUP_URL", "https://api2.mch.weixin.qq.com")
	dir := filepath.Join(t.TempDir(), "a $HOME 'quoted' dir", "keys")
	m := start(t, "-dir", dir)

	require.Equal(t, os.FileMode(0o700), mode(t, dir))
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, file := range files {
		names = append(names, file.Name())
		require.Equal(t, os.FileMode(0o600), mode(t, dir, file.Name()), file.Name())
	}
	require.Equal(t, []string{certificateFile, privateKeyFile, envFile, publicKeyFile}, names)
	env, err := os.ReadFile(filepath.Join(dir, envFile))
	require.NoError(t, err)
	for _, line := range strings.Split(strings.TrimSpace(string(env)), "\n") {
		require.Regexp(t, `^export WECHATPAY_[A-Z0-9_]+=`, line)
	}

	client := newClient(t, dir)
	require.Equal(t, m.url, os.Getenv("WECHATPAY_BASE_URL"))
	require.True(t, filepath.IsAbs(os.Getenv("WECHATPAY_PRIVATE_KEY_FILE")))
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1001","payer_phone":"13800138000"}`)

	ctx := context.Background()
	complaint, err := client.ComplaintsV2.Get(ctx, "1001")
	require.NoError(t, err)
	phone, err := client.Decrypt(complaint.PayerPhone)
	require.NoError(t, err)
	require.Equal(t, "13800138000", phone)
	require.NoError(t, client.ComplaintsV2.UpdateRefundProgress(ctx, "1001", wechatpay.ApproveRefund(0)))
	require.Equal(t, 0, m.stop())
}

// A relative directory gives absolute paths. A second start replaces keys and
// env, and leaves the mode of a directory that is there.
func TestSettingsAgain(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.Mkdir("keys", 0o755))
	first := start(t, "-dir", "keys")
	key, err := os.ReadFile("keys/" + envFile)
	require.NoError(t, err)
	require.Equal(t, 0, first.stop())
	require.NoFileExists(t, "keys/"+envFile, "it leads to no server any more")
	require.FileExists(t, "keys/"+privateKeyFile)

	second := start(t, "-dir", "./keys")
	again, err := os.ReadFile("keys/" + envFile)
	require.NoError(t, err)
	require.NotEqual(t, key, again)
	require.Equal(t, os.FileMode(0o755), mode(t, "keys"))
	client := newClient(t, "keys")
	require.True(t, filepath.IsAbs(os.Getenv("WECHATPAY_PUBLIC_KEY_FILE")))
	require.Equal(t, second.url, os.Getenv("WECHATPAY_BASE_URL"))
	_, err = client.ComplaintsV2.List(context.Background(), &wechatpay.ListComplaintsRequest{BeginDate: time.Now(), EndDate: time.Now()})
	require.NoError(t, err)
}

// A start that took the directory over keeps its env.
func TestSettingsOfAnother(t *testing.T) {
	dir := t.TempDir()
	first := start(t, "-dir", dir)
	second := start(t, "-dir", dir)
	require.Equal(t, 0, first.stop())
	newClient(t, dir)
	require.Equal(t, second.url, os.Getenv("WECHATPAY_BASE_URL"))
}

// What env led to is replaced, not written through.
func TestSettingsReplaceALink(t *testing.T) {
	dir, victim := t.TempDir(), filepath.Join(t.TempDir(), "victim")
	require.NoError(t, os.WriteFile(victim, []byte("precious"), 0o644))
	require.NoError(t, os.Symlink(victim, filepath.Join(dir, envFile)))
	require.NoError(t, os.Symlink(victim, filepath.Join(dir, privateKeyFile)))
	start(t, "-dir", dir)
	left, err := os.ReadFile(victim)
	require.NoError(t, err)
	require.Equal(t, "precious", string(left))
	newClient(t, dir)
}

func TestTemporaryDirectory(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	m := start(t)
	_, file, found := strings.Cut(strings.TrimSpace(m.stderr.String()), "load them with . ")
	require.True(t, found, m.stderr)
	newClient(t, filepath.Dir(file))
	require.Equal(t, 0, m.stop())
	require.NoDirExists(t, filepath.Dir(file))
}

func TestSeed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "seed.json")
	require.NoError(t, os.WriteFile(file, []byte(`[
		{"complaint_id": "1", "complaint_detail": "没有收到", "complaint_order_info": [{"transaction_id": "4200", "out_trade_no": "shop-1", "amount": 2500}]},
		{"problem_type": "SERVICE_NOT_WORK"},
		{"complaint_id": "2", "need_immediate_service": true}
	]`), 0o600))
	dir := t.TempDir()
	m := start(t, "-seed", file, "-dir", dir)
	complaint := ok[wechatpay.Complaint](t, m, 200, "GET", "/_mock/complaints/1", "")
	require.Equal(t, "没有收到", complaint.ComplaintDetail)
	require.EqualValues(t, 2500, complaint.ApplyRefundAmount)
	require.Equal(t, wechatpay.ComplaintStatePending, complaint.ComplaintState)

	page, err := newClient(t, dir).ComplaintsV2.List(context.Background(), &wechatpay.ListComplaintsRequest{BeginDate: time.Now().AddDate(0, 0, -1), EndDate: time.Now()})
	require.NoError(t, err)
	require.Len(t, page.Data, 3)
}

// What cannot start says why, leaves no env, prints nothing on standard output
// and returns 1.
func TestDoesNotStart(t *testing.T) {
	seed := func(content string) func(*testing.T) []string {
		return func(t *testing.T) []string {
			file := filepath.Join(t.TempDir(), "seed.json")
			require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
			return []string{"-seed", file}
		}
	}
	tests := []struct {
		name string
		args func(*testing.T) []string
		want string
	}{
		{"seed is not there", func(*testing.T) []string { return []string{"-seed", "/no/such/file"} }, "no such file"},
		{"seed is an object", seed(`{"complaint_id":"1"}`), "is no JSON list of complaints"},
		{"seed ends early", seed(`[{"complaint_id":"1"}`), "is no JSON list of complaints"},
		{"seed has a number", seed(`[{"complaint_id":"1"},7]`), "complaint 2 of the list is none that WeChat Pay could send: the body: the body must be a JSON object"},
		{"seed has an unknown field", seed(`[{"complaint":"1"}]`), "complaint 1 of the list is none that WeChat Pay could send: /complaint: no parameter"},
		{"seed has a text too long", seed(`[{"complaint_detail":"` + strings.Repeat("长", 301) + `"}]`), "/complaint_detail: has 301 characters, and may have 300"},
		{"seed has an id twice", seed(`[{"complaint_id":"1"},{"complaint_id":"2"},{"complaint_id":"1"}]`), "complaints 1 and 3 of the list both have the complaint_id 1"},
		{"the port is taken", func(t *testing.T) []string {
			return []string{"-addr", strings.TrimPrefix(start(t, "-dir", t.TempDir()).url, "http://")}
		}, "address already in use"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, envFile), []byte("of an earlier start"), 0o600))
			var stdout, stderr output
			require.Equal(t, 1, run(context.Background(), append(test.args(t), "-dir", dir), &stdout, &stderr))
			require.Empty(t, stdout.String())
			require.Contains(t, stderr.String(), test.want)
			require.Equal(t, 1, strings.Count(stderr.String(), "\n"), "%s", stderr.String())
			require.NoFileExists(t, filepath.Join(dir, envFile))
		})
	}
	t.Run("dir is a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		var stdout, stderr output
		require.Equal(t, 1, run(context.Background(), []string{"-dir", file}, &stdout, &stderr))
		require.Empty(t, stdout.String())
		require.Contains(t, stderr.String(), "not a directory")
	})
}

func TestFlags(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"help", []string{"-h"}, 0, "PATCH /_mock/behavior"},
		{"unknown flag", []string{"-port", "1"}, 2, "flag provided but not defined: -port"},
		{"argument", []string{"dir"}, 2, `unexpected argument "dir"`},
		{"log", []string{"-log", "xml"}, 2, `-log is "xml": it is text or json`},
		{"no port", []string{"-addr", "127.0.0.1"}, 2, "missing port in address"},
		{"all addresses", []string{"-addr", ":8080"}, 2, "take 127.0.0.1:8080, or set -allow-remote"},
		{"all addresses by number", []string{"-addr", "0.0.0.0:0"}, 2, "others can reach"},
		{"another address", []string{"-addr", "192.0.2.1:80"}, 2, "others can reach"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr output
			require.Equal(t, test.status, run(context.Background(), test.args, &stdout, &stderr))
			require.Contains(t, stderr.String(), test.want)
			require.Empty(t, stdout.String())
		})
	}
}

func TestReachable(t *testing.T) {
	for raw, want := range map[string]string{
		"http://127.0.0.1:80": "http://127.0.0.1:80",
		"http://[::1]:80":     "http://[::1]:80",
		"http://[::]:80":      "http://127.0.0.1:80",
		"http://0.0.0.0:80":   "http://127.0.0.1:80",
		"http://192.0.2.1:80": "http://192.0.2.1:80",
	} {
		require.Equal(t, want, reachable(raw))
	}
}

func TestShellQuote(t *testing.T) {
	for _, value := range []string{"", "plain-1_2.3/x:y", "two words", "it's", `"$HOME" \ ` + "`id`", "密钥", "a\nb"} {
		out, err := exec.Command("sh", "-c", "printf %s "+shellQuote(value)).Output()
		require.NoError(t, err)
		require.Equal(t, value, string(out))
	}
	require.Equal(t, "/tmp/mock/env", shellQuote("/tmp/mock/env"), "plain values stay plain")
}

func TestLogText(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir)
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1001"}`)
	ok[any](t, m, 201, "POST", "/_mock/faults", `{"kind":"probe","path":"update-refund-progress"}`)
	client := newClient(t, dir)
	require.NoError(t, client.ComplaintsV2.UpdateRefundProgress(context.Background(), "1001", wechatpay.ApproveRefund(0)), "the history tells")
	status, _ := m.do(t, "GET", "/v3/certificates", "")
	require.Equal(t, 400, status, "no Accept")

	lines := strings.Split(strings.TrimSpace(m.stderr.String()), "\n")
	require.Regexp(t, `^\d\d:\d\d:\d\d\.\d{3} POST /v3/merchant-service/complaints-v2/1001/update-refund-progress → 204 \(fault probe\)$`, lines[0])
	require.Regexp(t, `GET /v3/certificates → 400 INVALID_REQUEST: .*Accept is missing$`, lines[len(lines)-1])
	require.NotContains(t, m.stderr.String(), "_mock")
	require.NotContains(t, m.stderr.String(), "WECHATPAY2-SHA256-RSA2048")
}

func TestLogJSON(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir, "-log", "json")
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1001"}`)
	client := newClient(t, dir)
	require.NoError(t, client.ComplaintsV2.UpdateRefundProgress(context.Background(), "1001", wechatpay.ApproveRefund(0)))
	require.Error(t, client.ComplaintsV2.UpdateRefundProgress(context.Background(), "1001", wechatpay.ApproveRefund(0)))

	var decisions []map[string]any
	for _, line := range strings.Split(strings.TrimSpace(m.stderr.String()), "\n") {
		var entry map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &entry), line)
		require.NotContains(t, line, "WECHATPAY2-SHA256-RSA2048")
		if entry["method"] == "POST" {
			decisions = append(decisions, entry)
		}
	}
	require.Len(t, decisions, 2)
	require.Equal(t, "/v3/merchant-service/complaints-v2/1001/update-refund-progress", decisions[0]["path"])
	require.EqualValues(t, 204, decisions[0]["status"])
	require.Equal(t, true, decisions[0]["took_effect"])
	require.NotContains(t, decisions[0], "problem")
	require.EqualValues(t, 400, decisions[1]["status"])
	require.Equal(t, "INVALID_REQUEST", decisions[1]["code"])
	require.Contains(t, decisions[1]["problem"], "decided already")
	require.Equal(t, false, decisions[1]["took_effect"])
	require.NotEmpty(t, decisions[1]["request_id"])
	_, err := time.Parse(time.RFC3339, decisions[1]["time"].(string))
	require.NoError(t, err)
}

// A line stays a line, and no escape sequence reaches a terminal.
func TestPrintable(t *testing.T) {
	require.Equal(t, "a�b�[31m 中文", printable("a\nb\x1b[31m 中文"))
}

// The binary stops on both signals, with an idle connection open, within the
// time that a test would wait.
func TestSignals(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "wechatpay-mock")
	out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			var stderr output
			cmd := exec.Command(binary, "-dir", t.TempDir())
			cmd.Stderr = &stderr
			stdout, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			lines := bufio.NewReader(stdout)
			line, err := lines.ReadString('\n')
			require.NoError(t, err, stderr.String())
			m := &mock{url: strings.TrimPrefix(strings.TrimSpace(line), "listening on ")}
			ok[any](t, m, 201, "POST", "/_mock/complaints", `{}`)
			// A slow answer is cut short.
			ok[any](t, m, 201, "POST", "/_mock/faults", `{"kind":"slow","delay_ms":3600000}`)
			under := make(chan error, 1)
			go func() {
				resp, err := http.Get(m.url + "/v3/certificates")
				if err == nil {
					resp.Body.Close()
				}
				under <- err
			}()
			for len(ok[list[any]](t, m, 200, "GET", "/_mock/requests", "").Data) == 0 {
				// The request has been recorded once it waits.
			}
			began := time.Now()
			require.NoError(t, cmd.Process.Signal(signal))
			rest, err := io.ReadAll(lines)
			require.NoError(t, err)
			require.Empty(t, rest)
			require.NoError(t, cmd.Wait(), stderr.String())
			require.NoError(t, <-under)
			require.Less(t, time.Since(began), 5*time.Second)
		})
	}
}
