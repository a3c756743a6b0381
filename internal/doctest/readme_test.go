package doctest

import (
	"crypto/x509"
	"encoding/pem"
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
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
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

// fences are the blocks of a README in any language, each with its opening line.
var fences = regexp.MustCompile("(?ms)^```.*?^```$")

// mermaidWords are what a translation changes of a diagram.
var mermaidWords = regexp.MustCompile(`"[^"]*"`)

// codeComments are what a translation changes of the other blocks. The blank
// keeps the // of a URL out.
var codeComments = regexp.MustCompile(`(?m)(^|[ \t])(//|#) .*$`)

// readmeBlocks gives the blocks, without what a translation changes of them.
func readmeBlocks(readme string) []string {
	blocks := fences.FindAllString(readme, -1)
	for i, block := range blocks {
		if strings.HasPrefix(block, "```mermaid\n") {
			blocks[i] = mermaidWords.ReplaceAllString(block, `""`)
		} else {
			blocks[i] = codeComments.ReplaceAllString(block, "$1$2")
		}
	}
	return blocks
}

// A readmeSection is what both READMEs have to say alike.
type readmeSection struct {
	links, code, figures []string // sorted; code and figures each once
	tables               [][]readmeRow
}

type readmeRow struct {
	columns       int
	code, figures []string // sorted: languages order words differently
}

// readmeSections gives the sections under the headings of the first and second
// rank, without the blocks of code.
func readmeSections(readme string) []readmeSection {
	var (
		link   = regexp.MustCompile(`\]\(([^)#]+)\)`) // one inside the page is a heading's, in its language
		anchor = regexp.MustCompile(`\]\(#[^)]*\)`)
		span   = regexp.MustCompile("`[^`\n]+`")
		figure = regexp.MustCompile(`[0-9]+(?:[.,-][0-9]+)*`)
		table  = regexp.MustCompile(`(?m)(?:^\|.*\n)+`)
		cell   = regexp.MustCompile("`[^`\n]*`|\\|")
	)
	sorted := func(found []string) []string {
		sort.Strings(found)
		return found
	}
	var sections []readmeSection
	for _, text := range strings.Split(fences.ReplaceAllString(readme, ""), "\n## ") {
		var s readmeSection
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			if !strings.HasPrefix(found[1], "README") {
				s.links = append(s.links, found[1])
			}
		}
		sort.Strings(s.links)
		text = link.ReplaceAllString(anchor.ReplaceAllString(text, "]"), "]")
		for _, rows := range table.FindAllString(text, -1) {
			var t []readmeRow
			for row := range strings.Lines(rows) {
				r := readmeRow{code: sorted(span.FindAllString(row, -1)), figures: sorted(figure.FindAllString(span.ReplaceAllString(row, ""), -1))}
				for _, found := range cell.FindAllString(row, -1) {
					if found == "|" {
						r.columns++
					}
				}
				t = append(t, r)
			}
			s.tables = append(s.tables, t)
		}
		s.code = slices.Compact(sorted(span.FindAllString(text, -1)))
		s.figures = slices.Compact(sorted(figure.FindAllString(span.ReplaceAllString(text, ""), -1)))
		sections = append(sections, s)
	}
	return sections
}

func TestREADMEsAgree(t *testing.T) {
	english, chinese := readFile(t, "README.md"), readFile(t, "README.zh-CN.md")
	for name, text := range map[string]string{"README.zh-CN.md": english, "README.md": chinese} {
		top, _, _ := strings.Cut(strings.TrimPrefix(text, "# wechatpay\n\n"), "\n")
		require.Contains(t, top, "]("+name+")")
	}

	require.Equal(t, readmeBlocks(english), readmeBlocks(chinese))

	want, got := readmeSections(english), readmeSections(chinese)
	require.Len(t, got, len(want))
	for i := range want {
		title, _, _ := strings.Cut(strings.Split(fences.ReplaceAllString(english, ""), "\n## ")[i], "\n")
		require.Equal(t, want[i], got[i], title)
	}
}

// Each of these is one difference, and is seen.
func TestREADMEsThatDisagree(t *testing.T) {
	const readme = "# a\n\nb `c` 1 [d](e.md)\n\n## f\n\n| g | `h` |\n|---|---|\n| 2.5 | i |\n"
	require.Equal(t, readmeSections(readme), readmeSections(strings.NewReplacer("b", "乙", "[d]", "[丁]", "i", "壬").Replace(readme)))
	for _, other := range []string{
		strings.Replace(readme, "`c`", "c", 1), strings.Replace(readme, "1", "3", 1), strings.Replace(readme, "e.md", "k.md", 1),
		strings.Replace(readme, "## f", "f", 1), strings.Replace(readme, "`h`", "`k`", 1), strings.Replace(readme, "2.5", "2.6", 1),
		strings.Replace(readme, "| 2.5 | i |\n", "", 1), strings.Replace(readme, "| g ", "| g | k ", 1),
	} {
		require.NotEqual(t, readmeSections(readme), readmeSections(other), other)
	}

	const block = "```go\n// a\nb(\"https://c\") // d\n```\n"
	require.Equal(t, readmeBlocks(block), readmeBlocks(strings.NewReplacer("// a", "// 甲", "// d", "// 丁").Replace(block)))
	for _, other := range []string{
		strings.Replace(block, "b(", "e(", 1), strings.Replace(block, "https://c", "https://e", 1), strings.Replace(block, " // d", "", 1),
		strings.Replace(block, "// a\n", "", 1),
	} {
		require.NotEqual(t, readmeBlocks(block), readmeBlocks(other), other)
	}
}

// What users search for stands in the README of their language.
func TestREADMEHasTheSearchedTerms(t *testing.T) {
	for _, term := range []string{"签名错误", "验签失败", "微信支付公钥ID", "商户API证书序列号", "投诉通知回调地址", "幂等"} {
		require.Contains(t, readFile(t, "README.zh-CN.md"), term)
	}
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

// What a README links to in this repository is there, and so is each heading.
func TestREADMELinksLeadSomewhere(t *testing.T) {
	for _, name := range []string{"README.md", "README.zh-CN.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"} {
		text := fences.ReplaceAllString(readFile(t, name), "")
		headings := map[string]bool{}
		for _, heading := range regexp.MustCompile(`(?m)^##+ (.*)$`).FindAllStringSubmatch(text, -1) {
			kept := regexp.MustCompile(`[^\p{L}\p{N} -]`).ReplaceAllString(strings.ToLower(heading[1]), "")
			headings["#"+strings.ReplaceAll(kept, " ", "-")] = true
		}
		for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(text, -1) {
			switch {
			case strings.HasPrefix(link[1], "#"):
				require.True(t, headings[link[1]], "%s: %s", name, link[1])
			case !strings.HasPrefix(link[1], "https://"):
				file, _, _ := strings.Cut(link[1], "#")
				require.FileExists(t, file, name)
			}
		}
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
	refunds := reflect.TypeFor[*wechatpay.RefundsService]()
	for i := range refunds.NumMethod() {
		methods = append(methods, "Refunds."+refunds.Method(i).Name)
	}
	methods = append(methods, "Echo")
	sort.Strings(methods)
	require.Equal(t, methods, firstCells(t, "Endpoints"))

	// Of the Client's own methods some are no endpoint; all are named.
	readme := readFile(t, "README.md")
	client := reflect.TypeFor[*wechatpay.Client]()
	for i := range client.NumMethod() {
		name := client.Method(i).Name
		if slices.Contains([]string{"Format", "GoString", "LogValue", "MarshalJSON", "String"}, name) {
			continue // how it prints
		}
		require.True(t, regexp.MustCompile("`(client\\.)?"+name+"`").MatchString(readme), name)
	}
}

// constants gives the values of the constants of a type of this package.
func constants(t *testing.T, typeName string) []string {
	t.Helper()
	var values []string
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range files {
		for _, found := range regexp.MustCompile(`(?m)^\t\w+ +`+typeName+` += "([^"]+)"`).FindAllStringSubmatch(readFile(t, name), -1) {
			values = append(values, found[1])
		}
	}
	require.NotEmpty(t, values, typeName)
	sort.Strings(values)
	return values
}

func TestREADMEListsEveryCode(t *testing.T) {
	require.Equal(t, constants(t, "RefundRefusedReason"), firstCells(t, "Refund, once"))
	var codes []string
	for _, cell := range firstCells(t, "What nil and each error mean") {
		if regexp.MustCompile(`^[A-Z_]+$`).MatchString(cell) {
			codes = append(codes, cell)
		}
	}
	require.Equal(t, constants(t, "ErrorCode"), codes)
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
	_, comment, found := strings.Cut(readFile(t, "config_env.go"), "// ConfigFromEnv reads")
	require.True(t, found)
	comment, _, _ = strings.Cut(comment, "\n// Blanks")
	require.Equal(t, variables(comment), variables(readFile(t, "README.md")))
}

// An endpoint's pages are those that its method's comment has.
func TestREADMELinksThePagesOfTheComments(t *testing.T) {
	page := regexp.MustCompile(`https://pay\.weixin\.qq\.com/doc/v3/(?:merchant|partner)/[0-9]+`)
	method := regexp.MustCompile(`((?:// ?[^\n]*\n)+)func \(\w \*(ComplaintsV2Service|RefundsService|Client)\) ([A-Z][A-Za-z]*)\(`)
	comments := map[string][]string{} // by method
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range files {
		for _, found := range method.FindAllStringSubmatch(readFile(t, name), -1) {
			name := found[3]
			if found[2] == "RefundsService" {
				name = "Refunds." + name
			}
			comments[name] = page.FindAllString(found[1], -1)
		}
	}
	rows := regexp.MustCompile("(?m)^\\| `([A-Za-z.]+)`.* `/.*$").FindAllStringSubmatch(readFile(t, "README.md"), -1)
	require.Len(t, rows, 16)
	for _, row := range rows {
		require.Equal(t, comments[row[1]], page.FindAllString(row[0], -1), row[1])
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

// mockEnv is the environment that wechatpay-mock writes.
func mockEnv(t *testing.T, server *wechatpaytest.Server) []string {
	t.Helper()
	cfg := server.Config()
	privateKey, err := x509.MarshalPKCS8PrivateKey(cfg.PrivateKey)
	require.NoError(t, err)
	publicKey, err := x509.MarshalPKIXPublicKey(cfg.PublicKey)
	require.NoError(t, err)
	dir := t.TempDir()
	file := func(name, blockType string, der []byte) string {
		name = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der}), 0o600))
		return name
	}
	return []string{
		"WECHATPAY_MCHID=" + cfg.MchID,
		"WECHATPAY_SERIAL_NO=" + cfg.SerialNo,
		"WECHATPAY_PRIVATE_KEY_FILE=" + file("apiclient_key.pem", "PRIVATE KEY", privateKey),
		"WECHATPAY_PUBLIC_KEY_ID=" + cfg.PublicKeyID,
		"WECHATPAY_PUBLIC_KEY_FILE=" + file("pub_key.pem", "PUBLIC KEY", publicKey),
		"WECHATPAY_BASE_URL=" + server.URL,
		"NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1",
	}
}
