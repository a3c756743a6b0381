package doctest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// fragmentImports are what a fragment may use without saying so.
var fragmentImports = map[string]string{
	"errors": "errors", "fmt": "fmt", "http": "net/http", "log": "log", "os": "os", "slog": "log/slog", "time": "time",
	"wechatpay": "github.com/wechatpay-complaints/wechatpay",
}

// A codeBlock is a block of the README.
type codeBlock struct {
	line int // of its first line
	code string
}

// codeBlocks gives the blocks in one language.
func codeBlocks(readme, language string) []codeBlock {
	var blocks []codeBlock
	inside := false
	for i, line := range strings.SplitAfter(readme, "\n") {
		switch {
		case line == "```"+language+"\n":
			inside = true
			blocks = append(blocks, codeBlock{line: i + 2})
		case strings.HasPrefix(line, "```"):
			inside = false
		case inside:
			blocks[len(blocks)-1].code += line
		}
	}
	return blocks
}

// file completes a block of Go. One that begins with "package" is a file already.
// Any other is put into a function that has the names ctx, client and
// complaintID, and returns an error.
func (b codeBlock) file() (string, error) {
	position := fmt.Sprintf("//line README.md:%d\n", b.line)
	if strings.HasPrefix(b.code, "package ") {
		return position + b.code, nil
	}
	function := "func _(ctx context.Context, client *wechatpay.Client, complaintID string) error {\n{\n" + position + b.code + "}\nreturn nil\n}\n"
	parsed, err := parser.ParseFile(token.NewFileSet(), "", "package readme\n"+function, parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	imports := map[string]bool{"context": true, fragmentImports["wechatpay"]: true}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if name, ok := selector.X.(*ast.Ident); ok && fragmentImports[name.Name] != "" {
				imports[fragmentImports[name.Name]] = true
			}
		}
		return true
	})
	file := "package readme\n"
	for path := range imports {
		file += "import \"" + path + "\"\n"
	}
	return file + function, nil
}

// compile type-checks blocks in a module that uses this one as the README says
// to, and gives what the compiler says.
func compile(t *testing.T, blocks []codeBlock) (output string, err error) {
	t.Helper()
	root, err := os.Getwd()
	require.NoError(t, err)
	dir := t.TempDir()
	write := func(name, content string) {
		name = filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(content), 0o644))
	}
	const module = "github.com/wechatpay-complaints/wechatpay"
	write("go.mod", "module readme\n\ngo 1.24\n\nrequire "+module+" v0.0.0\n\nreplace "+module+" => "+root+"\n")
	write("go.sum", readFile(t, "go.sum"))
	for i, block := range blocks {
		file, err := block.file()
		if err != nil {
			return err.Error(), err
		}
		name := "readme.go"
		if strings.Contains(file, `"testing"`) {
			name = "readme_test.go"
		}
		write(filepath.Join(fmt.Sprintf("block%d", i), name), file)
	}
	// One vet type-checks all of them, tests too, and links nothing. A fragment
	// may end in a return.
	vet := exec.Command("go", "vet", "-unreachable=false", "./...")
	vet.Dir = dir
	vet.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	combined, err := vet.CombinedOutput()
	return string(combined), err
}

func TestREADMECompiles(t *testing.T) {
	blocks := codeBlocks(readFile(t, "README.md"), "go")
	require.NotEmpty(t, blocks)
	output, err := compile(t, blocks)
	require.NoError(t, err, output)
}

// The test above can fail, and says where.
func TestREADMEThatDoesNotCompile(t *testing.T) {
	blocks := codeBlocks("# title\n\n```go\nreq := wechatpay.ApproveRefund(0)\nreq.NoSuchField = 1\n```\n\n```sh\nls\n```\n\n```go\npackage main\n\nfunc main() { undefined() }\n```\n", "go")
	require.Len(t, blocks, 2)
	output, err := compile(t, blocks)
	require.Error(t, err)
	require.Contains(t, output, "README.md:5")
	require.Contains(t, output, "NoSuchField")
	require.Contains(t, output, "README.md:15")

	output, err = compile(t, codeBlocks("```go\nif {\n```\n", "go"))
	require.Error(t, err)
	require.Contains(t, output, "README.md:2")
}

// specialToZsh are assignments that break a shell: zsh ties path to PATH, and
// status is read-only there. time is a word of bash and zsh.
var specialToZsh = regexp.MustCompile(`(?m)(?:^|[\s;&|(])(path|status|argv|cdpath|time)=`)

// Blocks for the shell are pasted into zsh too.
func TestREADMEBlocksRunInZsh(t *testing.T) {
	for _, name := range []string{"README.md", "README.zh-CN.md", "CONTRIBUTING.md"} {
		for _, block := range codeBlocks(readFile(t, name), "sh") {
			require.NotRegexp(t, specialToZsh, block.code, "%s:%d", name, block.line)
		}
	}
	for line, refused := range map[string]bool{
		"path=/v3": true, "  status=$?": true, "now=1 time=$(date)": true, "export argv=a": true, "a;cdpath=b": true,
		"url_path=/v3": false, `curl -d "serial=$path"`: false, "now=$(date +%s)": false,
	} {
		require.Equal(t, refused, specialToZsh.MatchString(line), line)
	}
}

// The blocks for other routers need modules that the SDK has no part in: they
// stand, word for word, in a recipe that is compiled and run.
func TestREADMEForOtherRouters(t *testing.T) {
	recipe := readFile(t, filepath.Join("recipes", "routers_test.go"))
	for _, language := range []string{"go gin", "go echo"} {
		blocks := codeBlocks(readFile(t, "README.md"), language)
		require.Len(t, blocks, 1, language)
		require.Contains(t, recipe, "\n\t"+strings.TrimSpace(blocks[0].code)+"\n")
	}
}

// The block in Python verifies.
func TestREADMEPythonVerifies(t *testing.T) {
	for _, tool := range []string{"python3", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	for _, kind := range []wechatpaytest.FaultKind{"", wechatpaytest.FaultForged, wechatpaytest.FaultOld, wechatpaytest.FaultUnsigned} {
		server := wechatpaytest.NewServer()
		defer server.Close()
		server.AddComplaint(wechatpay.Complaint{ComplaintID: "4711"})
		if kind != "" {
			server.AddFault(wechatpaytest.Fault{Kind: kind, Probability: 1})
		}
		command := exec.Command("python3", "-c", codeBlocks(readFile(t, "README.md"), "python")[0].code)
		command.Env = append(os.Environ(), mockEnv(t, server)...)
		output, err := command.CombinedOutput()
		require.Equal(t, kind == "", err == nil, string(output))
		require.Equal(t, kind == "", string(output) == "PROCESSED\n", string(output))
	}
}
