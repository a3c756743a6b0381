package main

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// Tests run the program as a process: the test binary, so that -race and -cover
// apply to it.
func TestMain(m *testing.M) {
	if os.Getenv("RUN_AS_COMMAND") == "1" {
		main()
	}
	coverage = os.Getenv("GOCOVERDIR")
	if coverage != "" {
		os.Exit(m.Run())
	}
	var err error
	if coverage, err = os.MkdirTemp("", "wechatpay-complaints-"); err != nil {
		panic(err)
	}
	status := m.Run()
	os.RemoveAll(coverage)
	os.Exit(status)
}

// coverage is the GOCOVERDIR of the processes. With -cover they print a warning
// without it.
var coverage string

const id = "200201820200101080076610000"

// newServer starts a mock server with one refund request.
func newServer(t *testing.T) *wechatpaytest.Server {
	t.Helper()
	server := wechatpaytest.NewServer()
	t.Cleanup(server.Close)
	server.AddComplaint(wechatpay.Complaint{
		ComplaintID:       id,
		ComplaintTime:     time.Date(2026, 3, 1, 23, 30, 0, 0, time.UTC), // March 2 in Beijing
		ComplaintDetail:   "要求退款",
		ApplyRefundAmount: 1000,
		PayerPhone:        "13800138000",
	})
	return server
}

type environ map[string]string

func (e environ) list() []string {
	// By default a process waits a second at exit with -race.
	all := []string{"RUN_AS_COMMAND=1", "GORACE=atexit_sleep_ms=0", "GOCOVERDIR=" + coverage}
	for name, value := range e {
		all = append(all, name+"="+value)
	}
	return all
}

// settings returns the environment variables of cfg.
func settings(t *testing.T, cfg wechatpay.Config) environ {
	t.Helper()
	return environ{
		"WECHATPAY_MCHID":            cfg.MchID,
		"WECHATPAY_SERIAL_NO":        cfg.SerialNo,
		"WECHATPAY_PRIVATE_KEY_FILE": privateKeyFile(t, cfg),
		"WECHATPAY_CERTIFICATE_FILE": pemFile(t, "CERTIFICATE", cfg.Certificate.Raw),
		"WECHATPAY_APIV3_KEY":        cfg.APIv3Key,
		"WECHATPAY_PUBLIC_KEY_ID":    cfg.PublicKeyID,
		"WECHATPAY_PUBLIC_KEY_FILE":  publicKeyFile(t, cfg.PublicKey),
		"WECHATPAY_BASE_URL":         cfg.BaseURL,
	}
}

func privateKeyFile(t *testing.T, cfg wechatpay.Config) string {
	der, err := x509.MarshalPKCS8PrivateKey(cfg.PrivateKey)
	require.NoError(t, err)
	return pemFile(t, "PRIVATE KEY", der)
}

func publicKeyFile(t *testing.T, key *rsa.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	require.NoError(t, err)
	return pemFile(t, "PUBLIC KEY", der)
}

func pemFile(t *testing.T, kind string, der []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return name
}

type result struct {
	status         int
	stdout, stderr string
}

func start(t *testing.T, env environ, args ...string) (cmd *exec.Cmd, wait func() result) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd = process(t, env, args)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Start())
	return cmd, func() result {
		status := exitStatus(t, cmd.Wait())
		return result{status, stdout.String(), stderr.String()}
	}
}

func process(t *testing.T, env environ, args []string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = env.list()
	return cmd
}

func exitStatus(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	require.NoError(t, err)
	return 0
}

func run(t *testing.T, env environ, args ...string) result {
	t.Helper()
	_, wait := start(t, env, args...)
	return wait()
}

func TestApp_main_usage(t *testing.T) {
	server := newServer(t)
	env := settings(t, server.Config())
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no command":             {nil, "missing command"},
		"unknown command":        {[]string{"lst"}, `unknown command "lst"`},
		"unknown flag":           {[]string{"list", "-x"}, "-x"},
		"no complaint":           {[]string{"show"}, "show: missing argument COMPLAINT_ID"},
		"two complaints":         {[]string{"show", "1", "2"}, `unexpected argument "2"`},
		"invalid date":           {[]string{"list", "-begin", "2026-02-30"}, `invalid --begin "2026-02-30": use YYYY-MM-DD`},
		"begin after end":        {[]string{"list", "-begin", "2026-02-02", "-end", "2026-02-01"}, "--begin is after --end"},
		"begin in the future":    {[]string{"list", "-begin", "2999-01-01"}, "--begin is in the future: 2999-01-01"},
		"no reason":              {[]string{"reject", id}, "missing required flag --reason"},
		"empty reason":           {[]string{"reject", id, "-yes", "-reason", ""}, "missing required flag --reason"},
		"blank reason":           {[]string{"reject", id, "-yes", "-reason", " \t"}, "missing required flag --reason"},
		"launch day 999":         {[]string{"approve", id, "-yes", "-launch-refund-day", "999"}, "--launch-refund-day 999 is more than 30 working days: if it is right, confirm it at a terminal"},
		"launch day 31":          {[]string{"approve", id, "-yes", "-launch-refund-day", "31"}, "is more than 30 working days"},
		"no content":             {[]string{"reply", id}, "missing required flag --content"},
		"missing image":          {[]string{"reply", id, "-content", "a", "-image", "/none.png"}, "/none.png"},
		"amount without unit":    {[]string{"refund", id, "-amount", "10"}, "yuan with two decimals"},
		"unknown language":       {[]string{"doctor", "-lang", "fr"}, "must be zh or en"},
		"phone without JSON":     {[]string{"list", "-phone"}, "--phone requires --json"},
		"attempt 0":              {[]string{"refund", id, "-yes", "-attempt", "0"}, "--attempt must be 1 or more, got 0"},
		"unused idempotent id":   {[]string{"reply", id, "-yes", "-content", "a", "-idempotent-id", "b"}, "--idempotent-id requires --immediate"},
		"unknown action":         {[]string{"notification-url", "put"}, `unknown action "put"`},
		"unknown action and URL": {[]string{"notification-url", "frob", "https://example.com/"}, `unknown action "frob"`},
		"missing URL":            {[]string{"notification-url", "set"}, "set requires a URL"},
		"unexpected URL":         {[]string{"notification-url", "get", "https://example.com/"}, "get takes no URL"},
		"limit of the SDK":       {[]string{"approve", id, "-yes", "-launch-refund-day", "-1"}, "LaunchRefundDay"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run(t, env, test.args...)
			require.Equal(t, exitUsage, got.status, got.stderr)
			require.Contains(t, got.stderr, test.want)
			require.Empty(t, got.stdout)
			require.Empty(t, server.Requests())
		})
	}
	got := run(t, nil, "list")
	require.Equal(t, exitUsage, got.status)
	require.Contains(t, got.stderr, "WECHATPAY_MCHID: is not set")
	require.Contains(t, got.stderr, "(run doctor for details)")
}

func TestApp_run_help(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-h"}, {"--help"}, {"help"}} {
		got := run(t, nil, args...)
		require.Equal(t, exitDone, got.status)
		require.Empty(t, got.stderr)
		for _, c := range commands {
			require.Contains(t, got.stdout, "  "+c.name+" ")
		}
		require.Contains(t, got.stdout, "3    unknown")
		require.Contains(t, got.stdout, "WECHATPAY_MCHID")
	}
	for _, args := range [][]string{{"refund", "-h"}, {"help", "refund"}, {"-h", "refund"}} {
		got := run(t, nil, args...)
		require.Equal(t, exitDone, got.status)
		require.Contains(t, got.stdout, "Usage: wechatpay-complaints refund COMPLAINT_ID [FLAGS]")
		require.Contains(t, got.stdout, "--attempt")
		require.Contains(t, got.stdout, "3    unknown")
	}
	for _, arg := range []string{"-version", "version"} {
		require.Equal(t, "wechatpay-complaints "+wechatpay.Version+"\n", run(t, nil, arg).stdout)
	}
}

func TestApp_connect_mock(t *testing.T) {
	t.Parallel()
	got := run(t, nil, "-mock", "list", "-state", "pending")
	require.Equal(t, exitDone, got.status, got.stderr)
	require.Contains(t, got.stdout, id)
	require.NotContains(t, got.stdout, "PROCESSING")

	dir := t.TempDir()
	got = run(t, nil, "images", id, "-mock", "-dir", dir)
	require.Equal(t, exitDone, got.status, got.stderr)
	files := strings.Fields(got.stdout)
	require.Len(t, files, 2)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, sampleImage(), content)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	env := settings(t, server.Config())
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "2", ComplaintTime: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), ComplaintState: wechatpay.ComplaintStateProcessed, ComplaintDetail: "别的"})

	days := []string{"-begin", "2026-03-01", "-end", "2026-03-02"}
	got := run(t, env, append([]string{"list"}, days...)...)
	require.Equal(t, exitDone, got.status, got.stderr)
	require.Regexp(t, `(?m)^`+id+`  2026-03-02 07:30:00  PENDING +REFUND  10\.00 yuan  1 +no +要求退款$`, got.stdout)
	require.Contains(t, got.stdout, "PROCESSED")
	require.Equal(t, "2 of 2 complaints filed 2026-03-01 to 2026-03-02 (Beijing time)\n", got.stderr)
	got = run(t, env, append([]string{"list", "-state", "processed"}, days...)...)
	require.Equal(t, "1 of 2 complaints filed 2026-03-01 to 2026-03-02 (Beijing time)\n", got.stderr)
	got = run(t, env, append([]string{"list", "-state", "PENDNG"}, days...)...)
	require.Equal(t, exitDone, got.status)
	require.Equal(t, "unknown --state \"PENDNG\" (known: PENDING, PROCESSING, PROCESSED)\n0 of 2 complaints filed 2026-03-01 to 2026-03-02 (Beijing time)\n", got.stderr)
	got = run(t, env, "list", "-end", "2026-03-30")
	require.Equal(t, "2 of 2 complaints filed 2026-03-01 to 2026-03-30 (Beijing time)\n", got.stderr, "30 days")

	got = run(t, env, "list", "-begin", "2026-03-02", "-end", "2026-03-02", "-json")
	require.Equal(t, exitDone, got.status, got.stderr)
	require.NotContains(t, got.stdout, "13800138000")
	var complaints []wechatpay.Complaint
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &complaints))
	require.Len(t, complaints, 1)
	require.Equal(t, id, complaints[0].ComplaintID)
	require.Equal(t, "138****8000", complaints[0].PayerPhone)

	got = run(t, env, append([]string{"list", "-json", "-state", "PROCESSING"}, days...)...)
	require.Equal(t, "[]\n", got.stdout)
}

func TestShow(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	env := settings(t, server.Config())
	got := run(t, env, "show", id)
	require.Equal(t, exitDone, got.status, got.stderr)
	require.Contains(t, got.stdout, "138****8000")
	require.NotContains(t, got.stdout, "13800138000")
	require.Contains(t, got.stdout, "10.00 yuan")

	got = run(t, env, "show", "-phone", id)
	require.Contains(t, got.stdout, "13800138000")

	got = run(t, env, "show", "unknown")
	require.Equal(t, exitFailed, got.status)
	require.Empty(t, got.stdout)
	require.Regexp(t, `^wechatpay-complaints: .* 404 RESOURCE_NOT_EXISTS: .* \[request id 08F7[0-9A-F]+-1\]\n$`, got.stderr)
}

func TestClean_userText(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	env := settings(t, server.Config())
	const text = "退\x1b]0;x\x07款\u009b2J\r快\u202e点\nok"
	require.NoError(t, server.ChangeComplaint(id, func(c *wechatpay.Complaint) { c.ComplaintDetail = text }))
	require.NoError(t, server.UserReplies(id, text))
	for _, args := range [][]string{{"show", id}, {"history", id}, {"list", "-begin", "2026-03-02", "-end", "2026-03-02"}, {"show", "-json", id}, {"history", "-json", id}} {
		got := run(t, env, args...)
		require.Equal(t, exitDone, got.status, got.stderr)
		require.Regexp(t, `退.*款.*快.*点.*ok`, got.stdout)
		require.NotRegexp(t, `[\x00-\x09\x0b-\x1f\x7f-\x{9f}\x{202a}-\x{202e}]`, got.stdout)
	}
	var complaint wechatpay.Complaint
	require.NoError(t, json.Unmarshal([]byte(run(t, env, "show", "-json", id).stdout), &complaint))
	require.Equal(t, text, complaint.ComplaintDetail, "JSON keeps all characters")
}

func TestHistory(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	env := settings(t, server.Config())
	require.NoError(t, server.UserReplies(id, "请尽快", server.AddImage("", sampleImage())))
	got := run(t, env, "history", id)
	require.Equal(t, exitDone, got.status, got.stderr)
	require.Regexp(t, `(?m)^.* USER_RESPONSE  .*请尽快 / \[1 image\(s\)\]$`, got.stdout)
	require.Contains(t, got.stdout, "USER_CREATE_COMPLAINT")

	dir := filepath.Join(t.TempDir(), "new")
	got = run(t, env, "images", id, "-dir", dir)
	require.Equal(t, exitDone, got.status, got.stderr)
	file := strings.TrimSpace(got.stdout)
	require.Regexp(t, regexp.QuoteMeta(dir)+`/`+id+`-[0-9a-f]{12}\.png$`, file)
	require.NoError(t, os.WriteFile(file, []byte("mine"), 0o600))
	again := run(t, env, "images", id, "-dir", dir)
	require.Equal(t, got.stdout, again.stdout)
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "mine", string(content), "an existing file is kept")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

// applied returns the operations on the complaint after it was filed.
func applied(server *wechatpaytest.Server) []wechatpay.OperateType {
	var all []wechatpay.OperateType
	for _, r := range server.History(id)[1:] {
		all = append(all, r.OperateType)
	}
	return all
}

func TestCommands_changes(t *testing.T) {
	picture := filepath.Join(t.TempDir(), "a.png")
	require.NoError(t, os.WriteFile(picture, sampleImage(), 0o600))
	for name, test := range map[string]struct {
		args []string
		want wechatpay.OperateType
		out  string
		body string
	}{
		"approve":             {[]string{"approve", id}, wechatpay.OperateTypeMerchantApproveRefund, "No money was moved", `{"action":"APPROVE"}`},
		"approve, with a day": {[]string{"approve", id, "-launch-refund-day", "0", "-remark", "加急"}, wechatpay.OperateTypeMerchantApproveRefund, "Approved", `{"action":"APPROVE","launch_refund_day":0,"remark":"加急"}`},
		"reject":              {[]string{"reject", "-reason", "已使用", id}, wechatpay.OperateTypeMerchantRefuseRefund, "Rejected", `{"action":"REJECT","reject_reason":"已使用"}`},
		"reject, with images": {[]string{"reject", id, "-reason", "已使用", "-image", picture, "-image", picture}, wechatpay.OperateTypeMerchantRefuseRefund, "Rejected", ""},
		"reply":               {[]string{"reply", id, "-content", "您好", "-image", picture}, wechatpay.OperateTypeMerchantResponse, "Sent", ""},
		"complete":            {[]string{"complete", id}, wechatpay.OperateTypeMerchantConfirmComplete, "Completed", `{"complainted_mchid":"1900000001"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newServer(t)
			env := settings(t, server.Config())

			got := run(t, env, test.args...)
			require.Equal(t, exitUsage, got.status)
			require.Contains(t, got.stderr, "cannot prompt: stdin is not a terminal (use --yes)")
			require.Empty(t, server.Requests())

			got = run(t, env, append(test.args, "-yes")...)
			require.Equal(t, exitDone, got.status, got.stderr)
			require.Contains(t, got.stdout, test.out)
			require.Equal(t, []wechatpay.OperateType{test.want}, applied(server))
			requests := server.Requests()
			if test.body != "" {
				require.JSONEq(t, test.body, string(requests[len(requests)-1].Body))
			} else {
				require.NotEmpty(t, server.History(id)[1].ImageList)
			}
		})
	}
}

func TestReject_afterApprove(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	env := settings(t, server.Config())
	require.Equal(t, exitDone, run(t, env, "approve", id, "-yes").status)
	got := run(t, env, "reject", id, "-yes", "-reason", "已使用")
	require.Equal(t, exitFailed, got.status)
	require.Contains(t, got.stderr, "400 INVALID_REQUEST")
	require.Equal(t, 1, strings.Count(got.stderr, "request id"))
	require.Equal(t, []wechatpay.OperateType{wechatpay.OperateTypeMerchantApproveRefund}, applied(server))
}

func TestRefund(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	env := settings(t, server.Config())
	got := run(t, env, "refund", id, "-yes", "-amount", "99.00")
	require.Equal(t, exitFailed, got.status)
	require.Contains(t, got.stderr, "no money was moved")
	require.Empty(t, server.Refunds())
	for range 2 {
		got = run(t, env, "refund", id, "-yes", "-amount", "5.50", "-reason", "部分退款")
		require.Equal(t, exitDone, got.status, got.stderr)
		require.Regexp(t, `^Refund cr[0-9a-f]{40}-1-1 of 5\.50 yuan is PROCESSING\.\n$`, got.stdout)
	}
	require.Len(t, server.Refunds(), 1)
	require.EqualValues(t, 550, server.Refunds()[0].Amount)

	require.NoError(t, server.SettleRefund(server.Refunds()[0].OutRefundNo, "CLOSED"))
	got = run(t, env, "refund", id, "-yes", "-amount", "5.50", "-reason", "部分退款")
	require.Equal(t, exitFailed, got.status)
	require.Contains(t, got.stderr, "CLOSED")
	require.Contains(t, got.stderr, "--attempt")
}

// The refund is that shown at confirmation, even if the complaint changes before
// the answer.
func TestRefund_confirmed(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile func(*testing.T, *wechatpaytest.Server)
		args      []string
		status    int
		question  string
		paid      int64
	}{
		"unchanged": {nil, nil, exitDone, "Refund 10.00 yuan? [y/N]", 1000},
		"amount increased": {func(t *testing.T, s *wechatpaytest.Server) {
			require.NoError(t, s.ChangeComplaint(id, func(c *wechatpay.Complaint) { c.ApplyRefundAmount = 2000 }))
		}, nil, exitDone, "Refund 10.00 yuan? [y/N]", 1000},
		"amount reduced": {func(t *testing.T, s *wechatpaytest.Server) {
			require.NoError(t, s.ChangeComplaint(id, func(c *wechatpay.Complaint) { c.ApplyRefundAmount = 500 }))
		}, nil, exitFailed, "Refund 10.00 yuan? [y/N]", 0},
		"filed again": {func(t *testing.T, s *wechatpaytest.Server) {
			require.NoError(t, s.ChangeComplaint(id, func(c *wechatpay.Complaint) { c.ComplaintState = wechatpay.ComplaintStateProcessed }))
			require.NoError(t, s.UserContinues(id))
		}, nil, exitFailed, "Refund 10.00 yuan? [y/N]", 0},
		"partial":                     {nil, []string{"-amount", "5.00"}, exitDone, "Refund 5.00 yuan? [y/N]", 500},
		"own round and refund number": {nil, []string{"-round", "1", "-out-refund-no", "own-1"}, exitDone, "Refund 10.00 yuan for round 1? [y/N]", 1000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := wechatpaytest.NewServer()
			t.Cleanup(server.Close)
			server.AddComplaint(wechatpay.Complaint{ComplaintID: id, ApplyRefundAmount: 1000, ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{{TransactionID: "4200000000", OutTradeNo: "1", Amount: 5000}}})
			status, shown := onTerminal(t, settings(t, server.Config()), func(_ *exec.Cmd, terminal *os.File) {
				if test.meanwhile != nil {
					test.meanwhile(t, server)
				}
				_, _ = terminal.WriteString("y\n")
			}, append([]string{"refund", id}, test.args...)...)
			require.Equal(t, test.status, status, shown)
			require.Contains(t, shown, test.question)
			if test.paid == 0 {
				require.Empty(t, server.Refunds())
				return
			}
			require.Len(t, server.Refunds(), 1)
			require.Equal(t, test.paid, server.Refunds()[0].Amount)
			if len(test.args) == 4 {
				require.Equal(t, "own-1", server.Refunds()[0].OutRefundNo)
			}
		})
	}
}

func TestRefund_noAmount(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	require.NoError(t, server.ChangeComplaint(id, func(c *wechatpay.Complaint) {
		c.ProblemType, c.ApplyRefundAmount = wechatpay.ProblemTypeOthers, 0
	}))
	status, shown := onTerminal(t, settings(t, server.Config()), func(*exec.Cmd, *os.File) {}, "refund", id)
	require.Equal(t, exitFailed, status, shown)
	require.Contains(t, shown, "set --amount")
	require.NotContains(t, shown, "[y/N]")
	require.Empty(t, server.Refunds())
}

func TestReply_immediate(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	env := settings(t, server.Config())
	require.NoError(t, server.ChangeComplaint(id, func(c *wechatpay.Complaint) { c.NeedImmediateService = true }))
	require.Contains(t, run(t, env, "show", id).stdout, "reply --immediate")

	server.AddFault(wechatpaytest.Fault{Path: "/response-immediate-service", Kind: wechatpaytest.FaultLostResponse, Times: 20})
	got := run(t, env, "reply", id, "-immediate", "-content", "您好", "-yes")
	require.Equal(t, exitUnknown, got.status, got.stderr)
	again := regexp.MustCompile(`run the same command again with --idempotent-id (\S+) to send it at most once`).FindStringSubmatch(got.stderr)
	require.NotNil(t, again, got.stderr)
	require.Len(t, applied(server), 1)

	server.ClearFaults()
	got = run(t, env, "reply", id, "-immediate", "-content", "您好", "-yes", "-idempotent-id", again[1])
	require.Equal(t, exitDone, got.status, got.stderr)
	require.Equal(t, "Sent.\n", got.stdout)
	require.Equal(t, []wechatpay.OperateType{wechatpay.OperateTypeMerchantResponse}, applied(server), "sent once")
	require.Equal(t, "您好", server.History(id)[1].NormalMessage.Blocks[0].Text.Text)

	picture := filepath.Join(t.TempDir(), "a.png")
	require.NoError(t, os.WriteFile(picture, sampleImage(), 0o600))
	got = run(t, env, "reply", id, "-immediate", "-content", "请看", "-image", picture, "-yes")
	require.Equal(t, exitDone, got.status, got.stderr)
	require.Len(t, server.History(id)[2].NormalMessage.Blocks, 2)
}

func TestApprove_lateLaunch(t *testing.T) {
	t.Parallel()
	for days, question := range map[string]string{
		"30":   "launched within 30 working day(s)? [y/N]",
		"5000": "launched within 5000 working days (more than 30, please check)? [y/N]",
	} {
		server := newServer(t)
		status, shown := onTerminal(t, settings(t, server.Config()), func(_ *exec.Cmd, terminal *os.File) {
			_, _ = terminal.WriteString("n\n")
		}, "approve", id, "-launch-refund-day", days)
		require.Equal(t, exitFailed, status, shown)
		require.Contains(t, shown, question)
	}
}

func TestNotificationURL(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	env := settings(t, server.Config())
	got := run(t, env, "notification-url", "get")
	require.Equal(t, exitFailed, got.status)
	require.Contains(t, got.stderr, "no notification URL is set")
	require.Equal(t, exitUsage, run(t, env, "notification-url", "set", "https://example.com/a").status)
	for _, step := range []struct{ args, want string }{
		{"set https://example.com/a -yes", "https://example.com/a"},
		{"update https://example.com/b -yes", "https://example.com/b"},
		{"get", "https://example.com/b"},
		{"delete -yes", "Deleted."},
	} {
		got := run(t, env, append([]string{"notification-url"}, strings.Fields(step.args)...)...)
		require.Equal(t, exitDone, got.status, got.stderr)
		require.Equal(t, step.want+"\n", got.stdout)
	}
	require.Equal(t, exitFailed, run(t, env, "notification-url", "get").status)
}

// onTerminal runs the program on a terminal, calls answer once it asks a question,
// and returns the output.
func onTerminal(t *testing.T, env environ, answer func(cmd *exec.Cmd, terminal *os.File), args ...string) (status int, shown string) {
	t.Helper()
	cmd := process(t, env, args)
	terminal, err := pty.Start(cmd)
	require.NoError(t, err)
	defer terminal.Close()
	var seen bytes.Buffer
	asked := false
	buffer := make([]byte, 4096)
	for {
		n, err := terminal.Read(buffer)
		seen.Write(buffer[:n])
		if !asked && strings.Contains(seen.String(), "[y/N]") {
			asked = true
			answer(cmd, terminal)
		}
		if err != nil { // EIO once the process has ended
			return exitStatus(t, cmd.Wait()), seen.String()
		}
	}
}

func TestApp_confirm(t *testing.T) {
	typing := func(s string) func(*exec.Cmd, *os.File) {
		return func(_ *exec.Cmd, terminal *os.File) { _, _ = terminal.WriteString(s) }
	}
	for name, test := range map[string]struct {
		answer func(*exec.Cmd, *os.File)
		status int
		shows  string
		done   bool
	}{
		"yes":       {typing("y\n"), exitDone, "Approved", true},
		"yes, long": {typing("YES\n"), exitDone, "Approved", true},
		"是":         {typing("是\n"), exitDone, "Approved", true},
		"no":        {typing("n\n"), exitFailed, "not confirmed, nothing was done", false},
		"return":    {typing("\n"), exitFailed, "not confirmed, nothing was done", false},
		"end":       {typing("\x04"), exitFailed, "not confirmed, nothing was done", false},
		"ctrl-c":    {typing("\x03"), exitInterrupted, "not confirmed, nothing was done", false},
		"SIGTERM":   {func(cmd *exec.Cmd, _ *os.File) { _ = cmd.Process.Signal(syscall.SIGTERM) }, exitInterrupted, "not confirmed, nothing was done", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newServer(t)
			status, shown := onTerminal(t, settings(t, server.Config()), test.answer, "approve", id, "-launch-refund-day", "2")
			require.Equal(t, test.status, status, shown)
			require.Contains(t, shown, test.shows)
			require.Contains(t, shown, "10.00 yuan")
			require.Contains(t, shown, "launched within 2 working day(s)? [y/N]")
			require.Contains(t, shown, "138****8000")
			require.Equal(t, test.done, len(applied(server)) == 1)
		})
	}
}

func TestApp_logger_hidesSecrets(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	env := settings(t, server.Config())
	got := run(t, env, "show", id, "-v")
	require.Equal(t, exitDone, got.status)
	require.Contains(t, got.stderr, "status=200")
	for _, secret := range secrets(t, server.Config(), env) {
		require.NotContains(t, got.stderr, secret)
	}
}

func TestRefund_unknownOutcome(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	env := settings(t, server.Config())
	var lost atomic.Bool // no responses from the refund on
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && lost.CompareAndSwap(false, true) {
			server.ServeHTTP(httptest.NewRecorder(), r)
		}
		if lost.Load() {
			panic(http.ErrAbortHandler)
		}
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	env["WECHATPAY_BASE_URL"] = front.URL
	got := run(t, env, "refund", id, "-yes")
	require.Equal(t, exitUnknown, got.status, got.stderr)
	require.Contains(t, got.stderr, "run the command again with --round 1 to refund at most once")
	require.Len(t, server.Refunds(), 1)

	env["WECHATPAY_BASE_URL"] = server.URL
	got = run(t, env, "refund", id, "-yes")
	require.Equal(t, exitDone, got.status, got.stderr)
	require.Len(t, server.Refunds(), 1)
}

func TestReply_unknownOutcome(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	env := settings(t, server.Config())
	server.AddFault(wechatpaytest.Fault{Path: "/response", Kind: wechatpaytest.FaultLostResponse, Times: 1})
	got := run(t, env, "reply", id, "-content", "您好", "-yes")
	require.Equal(t, exitUnknown, got.status, got.stderr)
	require.Empty(t, got.stdout)
	require.Contains(t, got.stderr, "the change may or may not have been applied")
	require.Contains(t, got.stderr, "wechatpay-complaints history "+id)
	require.Equal(t, []wechatpay.OperateType{wechatpay.OperateTypeMerchantResponse}, applied(server))
}

// hangingServer starts a server that never responds.
func hangingServer(t *testing.T) (url string, requests <-chan struct{}) {
	t.Helper()
	received := make(chan struct{}, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		received <- struct{}{}
		buffer := make([]byte, 512)
		for err := error(nil); err == nil; { // the server detects a closed connection only after the body was read
			_, err = r.Body.Read(buffer)
		}
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	return server.URL, received
}

func TestApp_main_interrupt(t *testing.T) {
	for name, test := range map[string]struct {
		args   []string
		status int
		stderr string
	}{
		"show":    {[]string{"show", id}, exitInterrupted, "interrupted"},
		"list":    {[]string{"list"}, exitInterrupted, "interrupted"},
		"doctor":  {[]string{"doctor"}, exitInterrupted, "interrupted"},
		"approve": {[]string{"approve", id, "-yes"}, exitUnknown, "may or may not have been applied"},
		"reply":   {[]string{"reply", id, "-yes", "-content", "您好"}, exitUnknown, "may or may not have been applied"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, requests := hangingServer(t)
			env := settings(t, newServer(t).Config())
			env["WECHATPAY_BASE_URL"] = url
			cmd, wait := start(t, env, test.args...)
			<-requests
			require.NoError(t, cmd.Process.Signal(os.Interrupt))
			got := wait()
			require.Equal(t, test.status, got.status, got.stderr)
			require.Contains(t, got.stderr, test.stderr)
		})
	}
}

func TestDoctor_interruptReportsNoProblem(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	arrived := make(chan struct{}, 10)
	server.Handle("POST /v3/security/echo", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	}))
	cmd, wait := start(t, settings(t, server.Config()), "doctor")
	<-arrived
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	got := wait()
	require.Equal(t, exitInterrupted, got.status, got.stdout)
	require.NotContains(t, got.stdout, "✗")
}

func TestParseAmount(t *testing.T) {
	for text, want := range map[string]int64{"10.00": 1000, "0.01": 1, "1000fen": 1000, "1fen": 1} {
		got, err := english.parseAmount(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "10", "10.0", "10.000", "-1.00", "0.00", "0fen", "1e3", "10.00fen", "9999999999999999999fen", "１0.00"} {
		_, err := english.parseAmount(text)
		require.Error(t, err, text)
	}
}

func TestMaskPhone(t *testing.T) {
	for phone, want := range map[string]string{"13800138000": "138****8000", "+8613800138000": "+86*******8000", "1380013800": "**********", "1": "*", "": ""} {
		require.Equal(t, want, maskPhone(phone))
	}
}
