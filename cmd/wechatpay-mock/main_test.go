package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

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
