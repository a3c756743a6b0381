package wechatpay_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

func readFile(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(content)
}

// fragmentImports are what a fragment may use without saying so.
var fragmentImports = map[string]string{
	"errors": "errors", "fmt": "fmt", "http": "net/http", "log": "log", "os": "os", "slog": "log/slog", "time": "time",
	"wechatpay": "github.com/wechatpay-complaints/wechatpay",
}

// A goBlock is a ```go block of the README.
type goBlock struct {
	line int // of its first line
	code string
}

func goBlocks(readme string) []goBlock {
	var blocks []goBlock
	inside := false
	for i, line := range strings.SplitAfter(readme, "\n") {
		switch {
		case line == "```go\n":
			inside = true
			blocks = append(blocks, goBlock{line: i + 2})
		case strings.HasPrefix(line, "```"):
			inside = false
		case inside:
			blocks[len(blocks)-1].code += line
		}
	}
	return blocks
}

// file completes a block. One that begins with "package" is a file already.
// Any other is put into a function that has the names ctx, client and
// complaintID, and returns an error.
func (b goBlock) file() (string, error) {
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
func compile(t *testing.T, blocks []goBlock) (output string, err error) {
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
	blocks := goBlocks(readFile(t, "README.md"))
	require.NotEmpty(t, blocks)
	output, err := compile(t, blocks)
	require.NoError(t, err, output)
}

// The test above can fail, and says where.
func TestREADMEThatDoesNotCompile(t *testing.T) {
	blocks := goBlocks("# title\n\n```go\nreq := wechatpay.ApproveRefund(0)\nreq.NoSuchField = 1\n```\n\n```sh\nls\n```\n\n```go\npackage main\n\nfunc main() { undefined() }\n```\n")
	require.Len(t, blocks, 2)
	output, err := compile(t, blocks)
	require.Error(t, err)
	require.Contains(t, output, "README.md:5")
	require.Contains(t, output, "NoSuchField")
	require.Contains(t, output, "README.md:15")

	output, err = compile(t, goBlocks("```go\nif {\n```\n"))
	require.Error(t, err)
	require.Contains(t, output, "README.md:2")
}

// firstCells gives the code in the first cells of the table of a section.
func firstCells(t *testing.T, section string) []string {
	t.Helper()
	_, text, found := strings.Cut(readFile(t, "README.md"), "\n## "+section+"\n")
	require.True(t, found, section)
	text, _, _ = strings.Cut(text, "\n## ")
	var cells []string
	for _, row := range regexp.MustCompile(`(?m)^\| (`+"`"+`[^|]*) \|`).FindAllStringSubmatch(text, -1) {
		for _, code := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			cells = append(cells, code[1])
		}
	}
	sort.Strings(cells)
	return cells
}

func TestREADMEListsEveryEndpoint(t *testing.T) {
	service := reflect.TypeFor[*wechatpay.ComplaintsV2Service]()
	var methods []string
	for i := range service.NumMethod() {
		methods = append(methods, service.Method(i).Name)
	}
	require.Equal(t, methods, firstCells(t, "Endpoints"))
}

func TestREADMEListsEverySetting(t *testing.T) {
	config := reflect.TypeFor[wechatpay.Config]()
	var fields []string
	for i := range config.NumField() {
		fields = append(fields, config.Field(i).Name)
	}
	sort.Strings(fields)
	require.Equal(t, fields, firstCells(t, "Settings"))

	variables := func(text string) []string {
		found := regexp.MustCompile(`WECHATPAY_[A-Z0-9_]+`).FindAllString(text, -1)
		sort.Strings(found)
		return slices.Compact(found)
	}
	_, comment, found := strings.Cut(readFile(t, "config.go"), "// ConfigFromEnv reads")
	require.True(t, found)
	comment, _, _ = strings.Cut(comment, "\n// Blanks")
	require.Equal(t, variables(comment), variables(readFile(t, "README.md")))
}

// An endpoint's pages are those that its method's comment has.
func TestREADMELinksThePagesOfTheComments(t *testing.T) {
	page := regexp.MustCompile(`https://pay\.weixin\.qq\.com/doc/v3/(?:merchant|partner)/[0-9]+`)
	method := regexp.MustCompile(`((?:// ?[^\n]*\n)+)func \(s \*ComplaintsV2Service\) ([A-Z][A-Za-z]*)\(`)
	comments := map[string][]string{} // by method
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range files {
		for _, found := range method.FindAllStringSubmatch(readFile(t, name), -1) {
			comments[found[2]] = page.FindAllString(found[1], -1)
		}
	}
	rows := regexp.MustCompile("(?m)^\\| `([A-Za-z]+)`.* `/.*$").FindAllStringSubmatch(readFile(t, "README.md"), -1)
	require.Len(t, rows, 13)
	for _, row := range rows {
		require.Equal(t, comments[row[1]], page.FindAllString(row[0], -1), row[1])
	}
}
