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

var follow = flag.Bool("follow", false, "let TestREADMEFollowed run the blocks of the README, which takes minutes")

// A readmeStep is what is done with a block of the README.
type readmeStep struct {
	language string
	has      string // what this block alone of its language has
	run      func(*testing.T, *reader, codeBlock)
}

// readmeSteps are the blocks of the README, from top to bottom.
var readmeSteps = []readmeStep{
	{"sh", "go test ./...", inRepository("PROCESSED", "ok")},
	{"sh", "wechatpay=../wechatpay\n", useAsModule},
	{"sh", "redisstore", useStores},
	{"go", "package main", approveInAModule},
	{"go", "UploadImage(", compiledElsewhere},
	{"mermaid", "flowchart", compiledElsewhere}, // by cmd/wechatpay-mock/pagetest, in a browser
	{"go", "ComplaintsV2.Refund(", compiledElsewhere},
	{"go", ".All(", compiledElsewhere},
	{"go", "NewMemoryStore", compiledElsewhere},
	{"go gin", "", compiledElsewhere}, // and run, in recipes
	{"go echo", "", compiledElsewhere},
	{"sh", "go install .", fromTheTerminal},
	{"go", "TestApproveOnAPlainMock", testInAModule},
	{"go", "TestApproveThoughTheAnswerIsLost", testInAModule},
	{"sh", "./cmd/wechatpay-mock", fromAnyLanguage},
	{"sh", "openssl dgst", onTheMock(wechatpay.OperateTypeMerchantApproveRefund, "204 No Content", "bash", "-euc")},
	{"js", "wechatpay-axios-plugin", onTheMock(wechatpay.OperateTypeMerchantApproveRefund, "204\n", "node", "--input-type=module", "-e")},
	{"python", "openssl", onTheMock(wechatpay.OperateTypeMerchantRefuseRefund, "PROCESSED\n", "python3", "-c")},
	{"sh", "-decisions 2000", inRepository("--- PASS: TestDecisionsThroughFaults")},
	{"sh", "-posts 1000", inRepository("--- PASS: TestHandshakes", "--- PASS: TestPostsAroundTheIdleClose")},
	{"sh", "-bench", inRepository("Sign/Signer", "Call/Client", "Notification/ParseNotification", "Upload/stream", "PASS")},
}

// reader is one who follows the README from top to bottom.
type reader struct {
	test       *testing.T // the whole of it
	repository string
	dir        string   // of their own, with the repository beside it
	environ    []string // as it has become by then
}

// Every block of the README is compiled or run, and none is forgotten here.
func TestREADMEStepsAreItsBlocks(t *testing.T) {
	all := fences.FindAllString(readFile(t, "README.md"), -1)
	require.Len(t, all, len(readmeSteps))
	for i, block := range all {
		language, code, _ := strings.Cut(strings.TrimPrefix(block, "```"), "\n")
		require.Equal(t, readmeSteps[i].language, language, block)
		require.Contains(t, code, readmeSteps[i].has)
	}
}

// TestREADMEFollowed does what the README says, block by block.
func TestREADMEFollowed(t *testing.T) {
	if !*follow {
		t.Skip("-follow is not set")
	}
	repository, err := os.Getwd()
	require.NoError(t, err)
	r := &reader{test: t, repository: repository, dir: filepath.Join(t.TempDir(), "shop"), environ: append(os.Environ(), "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")}
	require.NoError(t, os.Mkdir(r.dir, 0o755))
	require.NoError(t, os.Symlink(repository, filepath.Join(r.dir, "..", "wechatpay")))
	used := map[string]int{} // blocks, by language
	for _, step := range readmeSteps {
		block := codeBlocks(readFile(t, "README.md"), step.language)[used[step.language]]
		used[step.language]++
		t.Run(fmt.Sprintf("line %d", block.line), func(t *testing.T) { step.run(t, r, block) })
	}
}

// run runs a command, shows what it prints, and gives it.
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

// compiledElsewhere is of blocks that other tests compile.
func compiledElsewhere(*testing.T, *reader, codeBlock) {}

// inRepository runs a block where it lies.
func inRepository(want ...string) func(*testing.T, *reader, codeBlock) {
	return func(t *testing.T, r *reader, block codeBlock) {
		var environ []string
		if strings.Contains(block.code, "-bench ") { // they shall run here; to measure takes longer
			environ = append(environ, "GOFLAGS="+os.Getenv("GOFLAGS")+" -benchtime=20x")
		}
		output := r.run(t, r.repository, environ, "bash", "-euc", block.code)
		for _, line := range want {
			require.Contains(t, output, line)
		}
	}
}

// useAsModule adds the SDK to a module that uses it.
func useAsModule(t *testing.T, r *reader, block codeBlock) {
	program := codeBlocks(readFile(t, "README.md"), "go")[0]
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "main.go"), []byte(program.code), 0o644))
	r.run(t, r.dir, nil, "go", "mod", "init", "example.com/shop")
	r.run(t, r.dir, nil, "bash", "-euc", block.code)
	r.run(t, r.dir, nil, "go", "build", "-o", "shop", ".")
}

// useStores adds redisstore to that module, and sqlstore likewise.
func useStores(t *testing.T, r *reader, block codeBlock) {
	require.NoError(t, os.Mkdir(filepath.Join(r.dir, "stores"), 0o755))
	for store, code := range map[string]string{"redisstore": block.code, "sqlstore": strings.ReplaceAll(block.code, "redisstore", "sqlstore")} {
		const module = "github.com/wechatpay-complaints/wechatpay"
		file := fmt.Sprintf("package stores\n\nimport (\n\t%q\n\t%q\n)\n\nvar _ wechatpay.NotificationStore = (*%s.Store)(nil)\n", module, module+"/"+store, store)
		require.NoError(t, os.WriteFile(filepath.Join(r.dir, "stores", store+".go"), []byte(file), 0o644))
		r.run(t, r.dir, nil, "bash", "-euc", code)
		r.run(t, r.dir, nil, "go", "build", "./...")
	}
}

// approveInAModule runs the program that useAsModule has built.
func approveInAModule(t *testing.T, r *reader, _ codeBlock) {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "4711"})
	require.Contains(t, r.run(t, r.dir, nil, "bash", "-c", "! ./shop"), "usage: go run . COMPLAINT_ID")
	output := r.run(t, r.dir, mockEnv(t, server), filepath.Join(r.dir, "shop"), "4711")
	require.Equal(t, "approved; no money has moved yet\n", output)
	require.Equal(t, wechatpay.OperateTypeMerchantApproveRefund, lastOperation(server.History("4711")))
}

// testInAModule runs a test of a module that uses the SDK.
func testInAModule(t *testing.T, r *reader, block codeBlock) {
	dir := filepath.Join(r.dir, fmt.Sprintf("block%d", block.line))
	require.NoError(t, os.Mkdir(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "shop_test.go"), []byte(block.code), 0o644))
	output := r.run(t, dir, nil, "go", "test", "-v", ".")
	require.Contains(t, output, "--- PASS: TestApprove")
}

// fromTheTerminal types the commands, and confirms.
func fromTheTerminal(t *testing.T, r *reader, block codeBlock) {
	const complaintID = "200201820200101080076610000"
	require.Contains(t, block.code, "approve "+complaintID)
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID, ProblemType: wechatpay.ProblemTypeRefund, ApplyRefundAmount: 1000})
	bin := t.TempDir()
	file := filepath.Join(bin, "block.sh")
	require.NoError(t, os.WriteFile(file, []byte(block.code), 0o644))
	environ := append(mockEnv(t, server), "GOBIN="+bin, "PATH="+bin+":"+os.Getenv("PATH"), "LC_ALL=C.UTF-8")
	if _, err := exec.LookPath("script"); err != nil {
		t.Skip(err)
	}
	output := r.run(t, r.repository, environ, "bash", "-euc", `echo y | script -qec "bash -eu '`+file+`'" /dev/null`)
	for _, want := range []string{"PENDING", "Approve this refund: it is launched in 0 working day(s)? [y/N]", "Approved.", "Exit status:"} {
		require.Contains(t, output, want)
	}
	require.Equal(t, wechatpay.OperateTypeMerchantApproveRefund, lastOperation(server.History(complaintID)))
}

// fromAnyLanguage starts wechatpay-mock, which goes on for the blocks below, and
// with it the session of the shell.
func fromAnyLanguage(t *testing.T, r *reader, block codeBlock) {
	require.NoDirExists(t, "mock", "the block makes it: move it out of the way")
	// An earlier run has left its settings.
	require.NoError(t, os.Mkdir("mock", 0o700))
	require.NoError(t, os.WriteFile(filepath.Join("mock", "env"), []byte("export WECHATPAY_BASE_URL=http://127.0.0.1:1\n"), 0o600))
	const stop = "kill %1"
	require.Contains(t, readFile(t, "README.md"), "`"+stop+"` in the same shell stops it")
	session := exec.Command("bash", "-euc", "exec 3>&1 1>&2; set -m; trap '"+stop+"; wait' EXIT\n"+block.code+"\nenv -0 >&3; printf 'END\\0' >&3; read || true")
	session.Dir, session.Env = r.repository, r.environ
	printed, err := os.Create(filepath.Join(r.dir, "mock.txt"))
	require.NoError(t, err)
	session.Stderr = printed
	stdout, err := session.StdoutPipe()
	require.NoError(t, err)
	stdin, err := session.StdinPipe() // the session ends when it is closed
	require.NoError(t, err)
	require.NoError(t, session.Start())
	r.test.Cleanup(func() {
		require.NoError(r.test, stdin.Close())
		err := session.Wait()
		require.NoError(r.test, os.RemoveAll("mock"))
		require.NoError(r.test, err)
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
			break
		}
		environ = append(environ, strings.TrimSuffix(record, "\x00"))
	}
	r.environ = environ
}

// onTheMock gives a block to an interpreter, once complaint 4711 is filed again.
func onTheMock(decision wechatpay.OperateType, want, interpreter string, args ...string) func(*testing.T, *reader, codeBlock) {
	return func(t *testing.T, r *reader, block codeBlock) {
		r.run(t, r.dir, nil, "bash", "-euc", `curl -sX POST "$WECHATPAY_BASE_URL/_mock/complaints" -d '{"complaint_id":"4711"}'`)
		if interpreter == "node" {
			r.run(t, r.dir, nil, "npm", "install", "--no-package-lock", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "wechatpay-axios-plugin")
		}
		output := r.run(t, r.dir, nil, interpreter, append(args, block.code)...)
		require.Contains(t, output, want)
		ledger := r.run(t, r.dir, nil, "bash", "-euc", `curl -s "$WECHATPAY_BASE_URL/_mock/complaints/4711/history"`)
		last := ledger[strings.LastIndex(ledger, `"operate_type"`):]
		require.Contains(t, last, string(decision))
	}
}

func lastOperation(history []wechatpay.NegotiationRecord) wechatpay.OperateType {
	return history[len(history)-1].OperateType
}
