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

// writeSeed writes a file for -seed.
func writeSeed(t *testing.T, content string) string {
	file := filepath.Join(t.TempDir(), "seed.json")
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	return file
}

func TestRun_seed(t *testing.T) {
	file := writeSeed(t, `[
		{"complaint_id": "1", "complaint_detail": "没有收到", "complaint_order_info": [{"transaction_id": "4200", "out_trade_no": "shop-1", "amount": 2500}]},
		{"problem_type": "SERVICE_NOT_WORK"},
		{"complaint_id": "2", "need_immediate_service": true}
	]`)
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

// With -lenient, captured complaints can be loaded, also after a reset.
func TestRun_lenient(t *testing.T) {
	const captured = `{"complaint_id":"1","payer_phone":null,"new_flag":true,"complaint_order_info":[{"amount":100,"currency":null}]}`
	dir := t.TempDir()
	m := start(t, "-dir", dir, "-lenient", "-seed", writeSeed(t, "["+captured+"]"))
	ok[any](t, m, 204, "POST", "/_mock/reset", "")
	ok[any](t, m, 201, "POST", "/_mock/complaints", strings.Replace(captured, `"1"`, `"2"`, 1))
	for _, id := range []string{"1", "2"} {
		var complaint map[string]any
		require.NoError(t, newClient(t, dir).Do(t.Context(), "GET", "/v3/merchant-service/complaints-v2/"+id, nil, &complaint))
		require.Equal(t, true, complaint["new_flag"])
		require.NotContains(t, complaint, "payer_phone")
	}
}

// If the server cannot start, run prints one line to standard error, leaves no
// env file and returns 1.
func TestRun_startFails(t *testing.T) {
	seed := func(content string) func(*testing.T) []string {
		return func(t *testing.T) []string { return []string{"-seed", writeSeed(t, content)} }
	}
	tests := []struct {
		name string
		args func(*testing.T) []string
		want string
	}{
		{"seed does not exist", func(*testing.T) []string { return []string{"-seed", "/no/such/file"} }, "no such file"},
		{"seed is an object", seed(`{"complaint_id":"1"}`), "not a JSON list of complaints"},
		{"seed is truncated", seed(`[{"complaint_id":"1"}`), "not a JSON list of complaints"},
		{"seed contains a number", seed(`[{"complaint_id":"1"},7]`), "complaint 2 is invalid: body: must be a JSON object"},
		{"seed has an unknown field", seed(`[{"complaint":"1"}]`), "complaint 1 is invalid: /complaint: is not a parameter"},
		{"seed has a long text", seed(`[{"complaint_detail":"` + strings.Repeat("长", 301) + `"}]`), "/complaint_detail: must have at most 300 characters, got 301"},
		{"seed has a duplicate id", seed(`[{"complaint_id":"1"},{"complaint_id":"2"},{"complaint_id":"1"}]`), `complaints 1 and 3 have the same complaint_id "1"`},
		{"the port is in use", func(t *testing.T) []string {
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

func TestRun_flags(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"help", []string{"-h"}, 0, "PATCH /_mock/behavior"},
		{"unknown flag", []string{"-port", "1"}, 2, "flag provided but not defined: -port"},
		{"unexpected argument", []string{"dir"}, 2, `unexpected argument "dir"`},
		{"unknown log format", []string{"-log", "xml"}, 2, `-log must be text or json, got "xml"`},
		{"address without a port", []string{"-addr", "127.0.0.1"}, 2, "missing port in address"},
		{"all addresses", []string{"-addr", ":8080"}, 2, "use 127.0.0.1:8080, or set -allow-remote"},
		{"unspecified IPv4 address", []string{"-addr", "0.0.0.0:0"}, 2, "can be reached from other machines"},
		{"remote address", []string{"-addr", "192.0.2.1:80"}, 2, "can be reached from other machines"},
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

func TestRun_logText(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir)
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1001"}`)
	ok[any](t, m, 201, "POST", "/_mock/faults", `{"kind":"probe","path":"update-refund-progress"}`)
	client := newClient(t, dir)
	require.NoError(t, client.ComplaintsV2.UpdateRefundProgress(context.Background(), "1001", wechatpay.ApproveRefund(0)), "found in the history")
	status, _ := m.do(t, "GET", "/v3/certificates", "")
	require.Equal(t, 400, status, "no Accept header")

	lines := strings.Split(strings.TrimSpace(m.stderr.String()), "\n")
	require.Regexp(t, `^\d\d:\d\d:\d\d\.\d{3} POST /v3/merchant-service/complaints-v2/1001/update-refund-progress → 204 \(fault probe\)$`, lines[0])
	require.Regexp(t, `GET /v3/certificates → 400 INVALID_REQUEST: .*Accept: is required$`, lines[len(lines)-1])
	require.NotContains(t, m.stderr.String(), "_mock")
	require.NotContains(t, m.stderr.String(), "WECHATPAY2-SHA256-RSA2048")
}

func TestRun_logJSON(t *testing.T) {
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
	require.Contains(t, decisions[1]["problem"], "already decided")
	require.Equal(t, false, decisions[1]["took_effect"])
	require.NotEmpty(t, decisions[1]["request_id"])
	_, err := time.Parse(time.RFC3339, decisions[1]["time"].(string))
	require.NoError(t, err)
}

// No line break or escape sequence reaches a terminal.
func TestPrintable(t *testing.T) {
	require.Equal(t, "a�b�[31m 中文", printable("a\nb\x1b[31m 中文"))
}

// Both signals stop the process, with an idle connection open and a slow response
// in progress.
func TestRun_signals(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			var stderr output
			cmd := exec.Command(os.Args[0], "-dir", t.TempDir())
			cmd.Env = append(os.Environ(), runMain+"=1")
			cmd.Stderr = &stderr
			pipe, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			stdout := bufio.NewReader(pipe)
			m := &mock{url: readURL(t, stdout, &stderr)}
			ok[any](t, m, 201, "POST", "/_mock/complaints", `{}`)
			ok[any](t, m, 201, "POST", "/_mock/faults", `{"kind":"slow","delay_ms":3600000}`)
			slow := make(chan error, 1)
			go func() {
				resp, err := http.Get(m.url + "/v3/certificates")
				if err == nil {
					resp.Body.Close()
				}
				slow <- err
			}()
			for len(data[summary](t, m, "/_mock/requests")) == 0 {
				// A request is logged before its response is delayed.
			}
			began := time.Now()
			require.NoError(t, cmd.Process.Signal(signal))
			rest, err := io.ReadAll(stdout)
			require.NoError(t, err)
			require.Empty(t, rest)
			require.NoError(t, cmd.Wait(), stderr.String())
			require.NoError(t, <-slow, "the response is sent at once")
			require.Less(t, time.Since(began), stopTimeout)
		})
	}
}
