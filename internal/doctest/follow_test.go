package doctest

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

var follow = flag.Bool("follow", false, "run the code blocks of the README in TestREADME_follow (takes minutes)")

// A step runs a code block of the README.
type step struct {
	language string
	contains string // text that only this block of its language contains
	run      func(*testing.T, *reader, codeBlock)
}

// steps has an entry for each code block of the README, in order.
var steps = []step{
	{"sh", "go test ./...", runInRepository("PROCESSED", "ok")},
	{"sh", "wechatpay=../wechatpay\n", requireModule},
	{"sh", "redisstore", requireStores},
	{"go", "package main", approveInModule},
	{"go", "UploadImage(", testedElsewhere},
	{"go", "ComplaintsV2.Resolve(", testedElsewhere},
	{"mermaid", "flowchart", testedElsewhere}, // by cmd/wechatpay-mock/pagetest, in a browser
	{"go", "ComplaintsV2.Refund(", testedElsewhere},
	{"go", ".All(", testedElsewhere},
	{"go", "NewMemoryStore", testedElsewhere},
	{"go gin", "", testedElsewhere}, // in recipes
	{"go echo", "", testedElsewhere},
	{"sh", "go install .", useTerminal},
	{"go", "TestApprove_plainMock", testInModule},
	{"go", "TestApprove_lostResponse", testInModule},
	{"sh", "./cmd/wechatpay-mock", startMock},
	{
		"sh", "openssl dgst",
		runOnMock(wechatpay.OperateTypeMerchantApproveRefund, "204 No Content", "bash", "-euc"),
	},
	{
		"js", "wechatpay-axios-plugin",
		runOnMock(wechatpay.OperateTypeMerchantApproveRefund, "204\n", "node", "--input-type=module", "-e"),
	},
	{
		"python", "openssl",
		runOnMock(wechatpay.OperateTypeMerchantRefuseRefund, "PROCESSED\n", "python3", "-c"),
	},
	{"sh", "-decisions 2000", runInRepository("--- PASS: TestComplaintsV2_UpdateRefundProgress_faults")},
	{
		"sh", "-posts 1000",
		runInRepository("--- PASS: TestNewTransport_handshakes", "--- PASS: TestNewTransport_idleClose"),
	},
	{
		"sh", "-bench",
		runInRepository("Sign/Signer", "Call/Client", "Notification/ParseNotification", "Upload/stream", "PASS"),
	},
}

// A reader follows the README from top to bottom.
type reader struct {
	test       *testing.T // ends when all blocks have run
	repository string
	dir        string   // of the reader's own module, next to the repository
	environ    []string // which earlier blocks have changed
}

func TestREADME_steps(t *testing.T) {
	blocks := codeBlocks("README.md", readFile(t, "README.md"))
	require.Len(t, blocks, len(steps))
	for i, block := range blocks {
		require.Equal(t, steps[i].language, block.language, block.code)
		require.Contains(t, block.code, steps[i].contains)
	}
}

// TestREADME_follow does what the README says, block by block.
func TestREADME_follow(t *testing.T) {
	if !*follow {
		t.Skip("-follow is not set")
	}
	repository, err := filepath.Abs(root)
	require.NoError(t, err)
	r := &reader{
		test:       t,
		repository: repository,
		dir:        filepath.Join(t.TempDir(), "shop"),
		environ:    append(os.Environ(), "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1"),
	}
	require.NoError(t, os.Mkdir(r.dir, 0o755))
	require.NoError(t, os.Symlink(repository, filepath.Join(r.dir, "..", "wechatpay")))
	for i, block := range codeBlocks("README.md", readFile(t, "README.md")) {
		t.Run(fmt.Sprintf("line %d", block.line), func(t *testing.T) { steps[i].run(t, r, block) })
	}
}

// run runs a command, logs its output, and returns it.
func (r *reader) run(t *testing.T, dir string, environ []string, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skip(err)
	}
	command := exec.Command(name, args...)
	command.Dir, command.Env = dir, slices.Concat(r.environ, environ)
	output, err := command.CombinedOutput()
	t.Logf("%s", output)
	require.NoError(t, err)
	return string(output)
}

// testedElsewhere is the step of a block that another test compiles or runs.
func testedElsewhere(*testing.T, *reader, codeBlock) {}

// runInRepository runs a block in the root of the repository, and checks that
// its output contains want.
func runInRepository(want ...string) func(*testing.T, *reader, codeBlock) {
	return func(t *testing.T, r *reader, block codeBlock) {
		var environ []string
		if strings.Contains(block.code, "-bench ") { // enough to run them; measuring takes longer
			environ = append(environ, "GOFLAGS="+os.Getenv("GOFLAGS")+" -benchtime=20x")
		}
		output := r.run(t, r.repository, environ, "bash", "-euc", block.code)
		for _, line := range want {
			require.Contains(t, output, line)
		}
	}
}

// requireModule creates the reader's module, adds the SDK to it, and builds the
// first Go program of the README.
func requireModule(t *testing.T, r *reader, block codeBlock) {
	blocks := codeBlocks("README.md", readFile(t, "README.md"))
	program := blocks[slices.IndexFunc(blocks, func(b codeBlock) bool { return b.language == "go" })]
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "main.go"), []byte(program.code), 0o644))
	r.run(t, r.dir, nil, "go", "mod", "init", "example.com/shop")
	r.run(t, r.dir, nil, "bash", "-euc", block.code)
	r.run(t, r.dir, nil, "go", "build", "-o", "shop", ".")
}

// requireStores adds redisstore to the reader's module, and sqlstore likewise.
func requireStores(t *testing.T, r *reader, block codeBlock) {
	const module = "github.com/wechatpay-complaints/wechatpay"
	require.NoError(t, os.Mkdir(filepath.Join(r.dir, "stores"), 0o755))
	for store, code := range map[string]string{
		"redisstore": block.code,
		"sqlstore":   strings.ReplaceAll(block.code, "redisstore", "sqlstore"),
	} {
		file := fmt.Sprintf("package stores\n\nimport (\n\t%q\n\t%q\n)\n\n"+
			"var _ wechatpay.NotificationStore = (*%s.Store)(nil)\n", module, module+"/"+store, store)
		require.NoError(t, os.WriteFile(filepath.Join(r.dir, "stores", store+".go"), []byte(file), 0o644))
		r.run(t, r.dir, nil, "bash", "-euc", code)
		r.run(t, r.dir, nil, "go", "build", "./...")
	}
}

// approveInModule runs the program that requireModule built.
func approveInModule(t *testing.T, r *reader, _ codeBlock) {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "4711"})
	require.Contains(t, r.run(t, r.dir, nil, "bash", "-c", "! ./shop"), "usage: go run . COMPLAINT_ID")
	output := r.run(t, r.dir, mockEnv(t, server), filepath.Join(r.dir, "shop"), "4711")
	require.Equal(t, "approved; no money was moved\n", output)
	require.Equal(t, wechatpay.OperateTypeMerchantApproveRefund, lastOperation(server.History("4711")))
}

// testInModule runs a block that is a test file, in a folder of the reader's
// module.
func testInModule(t *testing.T, r *reader, block codeBlock) {
	dir := filepath.Join(r.dir, fmt.Sprintf("block%d", block.line))
	require.NoError(t, os.Mkdir(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "shop_test.go"), []byte(block.code), 0o644))
	output := r.run(t, dir, nil, "go", "test", "-v", ".")
	require.Contains(t, output, "--- PASS: TestApprove")
}

// useTerminal runs the commands of wechatpay-complaints in a terminal, and
// confirms with y.
func useTerminal(t *testing.T, r *reader, block codeBlock) {
	const complaintID = "200201820200101080076610000"
	require.Contains(t, block.code, "resolve "+complaintID+" approve")
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{
		ComplaintID:       complaintID,
		ProblemType:       wechatpay.ProblemTypeRefund,
		ApplyRefundAmount: 1000,
	})
	bin := t.TempDir()
	file := filepath.Join(bin, "block.sh")
	require.NoError(t, os.WriteFile(file, []byte(block.code), 0o644))
	environ := append(mockEnv(t, server), "GOBIN="+bin, "PATH="+bin+":"+os.Getenv("PATH"), "LC_ALL=C.UTF-8")
	if _, err := exec.LookPath("script"); err != nil {
		t.Skip(err)
	}
	output := r.run(t, r.repository, environ, "bash", "-euc", `echo y | script -qec "bash -eu '`+file+`'" /dev/null`)
	for _, want := range []string{
		"PENDING",
		`Approve the refund request. Refund 10.00 yuan. Reply to the user "您好，退款已发起"? [y/N]`,
		"The reply was sent.",
		"Read 1 complaint(s)",
		"Exit status:",
	} {
		require.Contains(t, output, want)
	}
	require.Equal(t, wechatpay.OperateTypeMerchantResponse, lastOperation(server.History(complaintID)))
	require.Len(t, server.Refunds(), 1)
}

// startMock starts wechatpay-mock in a shell. Both run until the last block has
// run, and later blocks get the shell's environment.
func startMock(t *testing.T, r *reader, block codeBlock) {
	const stop = "kill %1"
	require.Contains(t, readFile(t, "README.md"), "`"+stop+"` in the same shell stops it")
	session := exec.Command("bash", "-euc", "exec 3>&1 1>&2; set -m; trap '"+stop+"; wait' EXIT\n"+
		block.code+"\nenv -0 >&3; printf 'END\\0' >&3; read || true")
	session.Dir, session.Env = r.repository, append(r.environ, "TMPDIR="+filepath.Dir(r.dir))
	printed, err := os.Create(filepath.Join(r.dir, "mock.txt"))
	require.NoError(t, err)
	session.Stderr = printed
	stdout, err := session.StdoutPipe()
	require.NoError(t, err)
	stdin, err := session.StdinPipe() // closing it ends the shell
	require.NoError(t, err)
	require.NoError(t, session.Start())
	r.test.Cleanup(func() {
		require.NoError(r.test, stdin.Close())
		require.NoError(r.test, session.Wait())
	})
	var environ []string
	for records := bufio.NewReader(stdout); ; {
		record, err := records.ReadString(0)
		output, _ := os.ReadFile(printed.Name())
		require.NoError(t, err, "%s", output)
		if record == "END\x00" {
			t.Logf("%s", output)
			require.Contains(t, string(output), `"operate_type":"MERCHANT_REFUSE_RERUND"`)
			require.Contains(t, string(output), `"fault":"lost_response"`)
			r.environ = environ
			return
		}
		environ = append(environ, strings.TrimSuffix(record, "\x00"))
	}
}

// runOnMock files complaint 4711 again, runs a block with an interpreter, and
// checks its output and the decision in the mock's history.
func runOnMock(decision wechatpay.OperateType, want, interpreter string, args ...string,
) func(*testing.T, *reader, codeBlock) {
	return func(t *testing.T, r *reader, block codeBlock) {
		r.run(t, r.dir, nil, "bash", "-euc",
			`curl -sX POST "$WECHATPAY_BASE_URL/_mock/complaints" -d '{"complaint_id":"4711"}'`)
		if interpreter == "node" {
			r.run(t, r.dir, nil, "npm", "install", "--no-package-lock", "--no-save", "--no-audit", "--no-fund",
				"--ignore-scripts", "wechatpay-axios-plugin")
		}
		output := r.run(t, r.dir, nil, interpreter, append(args, block.code)...)
		require.Contains(t, output, want)
		history := r.run(t, r.dir, nil, "bash", "-euc", `curl -s "$WECHATPAY_BASE_URL/_mock/complaints/4711/history"`)
		last := history[strings.LastIndex(history, `"operate_type"`):]
		require.Contains(t, last, string(decision))
	}
}

func lastOperation(history []wechatpay.NegotiationRecord) wechatpay.OperateType {
	return history[len(history)-1].OperateType
}
