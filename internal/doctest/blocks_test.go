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

// A codeBlock is a fenced block of a document.
type codeBlock struct {
	document string
	line     int // of its first line of code
	language string
	code     string
}

// codeBlocks returns the blocks of a text.
func codeBlocks(document, text string) []codeBlock {
	var blocks []codeBlock
	inside := false
	for i, line := range strings.SplitAfter(text, "\n") {
		switch {
		case strings.HasPrefix(line, "```") && !inside:
			language := strings.TrimSpace(strings.TrimPrefix(line, "```"))
			blocks = append(blocks, codeBlock{document: document, line: i + 2, language: language})
			inside = true
		case strings.HasPrefix(line, "```"):
			inside = false
		case inside:
			blocks[len(blocks)-1].code += line
		}
	}
	return blocks
}

// blocksIn returns the blocks of the English documents in one language.
func blocksIn(t *testing.T, language string) []codeBlock {
	t.Helper()
	var blocks []codeBlock
	for _, name := range englishDocuments(t) {
		for _, block := range codeBlocks(name, readFile(t, name)) {
			if block.language == language {
				blocks = append(blocks, block)
			}
		}
	}
	require.NotEmpty(t, blocks, language)
	return blocks
}

// fragmentImports are the packages that a fragment may use without an import.
var fragmentImports = map[string]string{
	"errors":    "errors",
	"fmt":       "fmt",
	"http":      "net/http",
	"log":       "log",
	"os":        "os",
	"slog":      "log/slog",
	"time":      "time",
	"wechatpay": "github.com/wechatpay-complaints/wechatpay",
}

// file returns a block of Go as a complete file. A block that begins with
// "package" is one already. Any other is a fragment: the body of a function
// with the parameters ctx, client and complaintID that returns an error.
func (b codeBlock) file() (string, error) {
	position := fmt.Sprintf("//line %s:%d\n", b.document, b.line)
	if strings.HasPrefix(b.code, "package ") {
		return position + b.code, nil
	}
	function := "func _(ctx context.Context, client *wechatpay.Client, complaintID string) error {\n" +
		"{\n" + position + b.code + "}\nreturn nil\n}\n"
	parsed, err := parser.ParseFile(token.NewFileSet(), "", "package fragment\n"+function, parser.SkipObjectResolution)
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
	file := "package fragment\n"
	for path := range imports {
		file += "import \"" + path + "\"\n"
	}
	return file + function, nil
}

// compile type-checks blocks of Go in a module that requires this one, and
// returns the output of the compiler.
func compile(t *testing.T, blocks []codeBlock) (output string, err error) {
	t.Helper()
	repository, err := filepath.Abs(root)
	require.NoError(t, err)
	dir := t.TempDir()
	write := func(name, content string) {
		name = filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(content), 0o644))
	}
	const module = "github.com/wechatpay-complaints/wechatpay"
	write("go.mod", "module blocks\n\ngo 1.24\n\nrequire "+module+" v0.0.0\n\nreplace "+module+" => "+repository+"\n")
	write("go.sum", readFile(t, "go.sum"))
	for i, block := range blocks {
		file, err := block.file()
		if err != nil {
			return err.Error(), err
		}
		name := "block.go"
		if strings.Contains(file, `"testing"`) {
			name = "block_test.go"
		}
		write(filepath.Join(fmt.Sprintf("block%d", i), name), file)
	}
	// go vet type-checks tests too, and links nothing. A fragment may end with
	// a return, which leaves the last line of its function unreachable.
	vet := exec.Command("go", "vet", "-unreachable=false", "./...")
	vet.Dir = dir
	vet.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	combined, err := vet.CombinedOutput()
	return string(combined), err
}

func TestBlocks_go_compile(t *testing.T) {
	output, err := compile(t, blocksIn(t, "go"))
	require.NoError(t, err, output)
}

// compile reports an error with its line in the document.
func TestBlocks_go_compileErrors(t *testing.T) {
	const text = "# title\n\n" +
		"```go\nreq := wechatpay.ApproveRefund(0)\nreq.NoSuchField = 1\n```\n\n" +
		"```go\npackage main\n\nfunc main() { undefined() }\n```\n"
	blocks := codeBlocks("README.md", text)
	require.Len(t, blocks, 2)
	output, err := compile(t, blocks)
	require.Error(t, err)
	require.Contains(t, output, "README.md:5")
	require.Contains(t, output, "NoSuchField")
	require.Contains(t, output, "README.md:11")

	output, err = compile(t, codeBlocks("README.md", "```go\nif {\n```\n"))
	require.Error(t, err)
	require.Contains(t, output, "README.md:2")
}

// The blocks for other routers need modules that the SDK does not require. A
// recipe contains them word for word, and is compiled and run.
func TestBlocks_go_otherRouters(t *testing.T) {
	recipe := readFile(t, filepath.Join("recipes", "routers_test.go"))
	for _, language := range []string{"go gin", "go echo"} {
		for _, block := range blocksIn(t, language) {
			require.Contains(t, recipe, "\n\t"+strings.TrimSpace(block.code)+"\n")
		}
	}
}

// specialInZsh matches an assignment that breaks a shell: zsh ties path to PATH,
// and status is read-only there. time is a reserved word of bash and zsh.
var specialInZsh = regexp.MustCompile(`(?m)(?:^|[\s;&|(])(path|status|argv|cdpath|time)=`)

// Readers paste blocks for the shell into zsh too.
func TestBlocks_sh_zsh(t *testing.T) {
	for _, block := range blocksIn(t, "sh") {
		require.NotRegexp(t, specialInZsh, block.code, "%s:%d", block.document, block.line)
	}
	for line, special := range map[string]bool{
		"path=/v3":                  true,
		"  status=$?":               true,
		"now=1 time=$(date)":        true,
		"export argv=a":             true,
		"a;cdpath=b":                true,
		"url_path=/v3":              false,
		`curl -d "serial=$path"`:    false,
		"now=$(date +%s)":           false,
		"curl example.com/?path=/a": false,
	} {
		require.Equal(t, special, specialInZsh.MatchString(line), line)
	}
}

// The Python client of the documents accepts a genuine response, and rejects
// one that is forged, old or unsigned.
func TestBlocks_python_verifies(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	for _, tool := range []string{"python3", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	block := blocksIn(t, "python")[0]
	for _, kind := range []wechatpaytest.FaultKind{
		"", wechatpaytest.FaultForged, wechatpaytest.FaultOld, wechatpaytest.FaultUnsigned,
	} {
		server := wechatpaytest.NewServer()
		defer server.Close()
		server.AddComplaint(wechatpay.Complaint{ComplaintID: "4711"})
		if kind != "" {
			server.AddFault(wechatpaytest.Fault{Kind: kind, Probability: 1})
		}
		command := exec.Command("python3", "-c", block.code)
		command.Env = append(os.Environ(), mockEnv(t, server)...)
		output, err := command.CombinedOutput()
		require.Equal(t, kind == "", err == nil, string(output))
		require.Equal(t, kind == "", string(output) == "PROCESSED\n", string(output))
	}
}
