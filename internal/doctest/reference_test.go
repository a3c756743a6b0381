package doctest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

// rootPackage returns the declarations of the root package, without its tests.
func rootPackage(t *testing.T) []ast.Decl {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, "*.go"))
	require.NoError(t, err)
	var decls []ast.Decl
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		require.NoError(t, err)
		decls = append(decls, file.Decls...)
	}
	return decls
}

// constants returns the values of the string constants of a type.
func constants(t *testing.T, typeName string) []string {
	t.Helper()
	var values []string
	for _, decl := range rootPackage(t) {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.CONST {
			continue
		}
		for _, spec := range gen.Specs {
			spec := spec.(*ast.ValueSpec)
			if name, ok := spec.Type.(*ast.Ident); !ok || name.Name != typeName {
				continue
			}
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			values = append(values, value)
		}
	}
	require.NotEmpty(t, values, typeName)
	slices.Sort(values)
	return values
}

// comments returns the doc comments of the functions and methods of the root
// package, by "Name" or "Type.Name".
func comments(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, decl := range rootPackage(t) {
		function, ok := decl.(*ast.FuncDecl)
		if !ok || !function.Name.IsExported() {
			continue
		}
		name := function.Name.Name
		if function.Recv != nil {
			receiver := function.Recv.List[0].Type
			if pointer, ok := receiver.(*ast.StarExpr); ok {
				receiver = pointer.X
			}
			if receiver, ok := receiver.(*ast.Ident); ok {
				name = receiver.Name + "." + name
			}
		}
		found[name] = function.Doc.Text()
	}
	return found
}

// documentName returns how the documents write the method of a comment:
// methods of ComplaintsV2Service and Client without their type.
func documentName(method string) string {
	method = strings.TrimPrefix(method, "ComplaintsV2Service.")
	method = strings.TrimPrefix(method, "Client.")
	return strings.Replace(method, "RefundsService.", "Refunds.", 1)
}

// tables returns the tables of the English documents.
func tables(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, name := range englishDocuments(t) {
		found = append(found, table.FindAllString(fences.ReplaceAllString(readFile(t, name), ""), -1)...)
	}
	return found
}

// firstColumn returns the code in the first column of the table that has the
// entry there.
func firstColumn(t *testing.T, entry string) []string {
	t.Helper()
	cell := regexp.MustCompile("(?m)^\\| (`[^|]*) \\|")
	for _, table := range tables(t) {
		var entries []string
		_, rows, _ := strings.Cut(table, "\n") // without the header
		for _, row := range cell.FindAllStringSubmatch(rows, -1) {
			for _, code := range codeSpan.FindAllString(row[1], -1) {
				entries = append(entries, strings.Trim(code, "`"))
			}
		}
		if slices.Contains(entries, entry) {
			slices.Sort(entries)
			return entries
		}
	}
	require.Fail(t, "no table has the entry", entry)
	return nil
}

func methodNames(t reflect.Type, prefix string) []string {
	var names []string
	for i := range t.NumMethod() {
		names = append(names, prefix+t.Method(i).Name)
	}
	return names
}

func TestREADME_endpoints(t *testing.T) {
	methods := slices.Concat(
		methodNames(reflect.TypeFor[*wechatpay.ComplaintsV2Service](), ""),
		methodNames(reflect.TypeFor[*wechatpay.RefundsService](), "Refunds."),
		[]string{"Echo"},
	)
	require.ElementsMatch(t, methods, slices.Concat(firstColumn(t, "List"), firstColumn(t, "Refunds.Create")))
}

// The documents name every method of the Client, except for those that print it.
func TestREADME_clientMethods(t *testing.T) {
	var text string
	for _, name := range englishDocuments(t) {
		text += readFile(t, name)
	}
	for _, name := range methodNames(reflect.TypeFor[*wechatpay.Client](), "") {
		if slices.Contains([]string{"Format", "GoString", "LogValue", "MarshalJSON", "String"}, name) {
			continue
		}
		require.Regexp(t, "`(client\\.)?"+name+"`", text)
	}
}

func TestREADME_codes(t *testing.T) {
	require.Equal(t, constants(t, "RefundRefusedReason"), firstColumn(t, "FULLY_REFUNDED"))
	require.Equal(t, constants(t, "ErrorCode"), firstColumn(t, "PARAM_ERROR"))
	require.Equal(t, constants(t, "VerificationReason"), firstColumn(t, "UNSIGNED"))
}

func TestREADME_settings(t *testing.T) {
	var fields []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[wechatpay.Config]()) {
		fields = append(fields, field.Name)
	}
	require.ElementsMatch(t, fields, firstColumn(t, "MchID"))

	variables := func(text string) []string {
		found := regexp.MustCompile(`WECHATPAY_[A-Z0-9_]+`).FindAllString(text, -1)
		slices.Sort(found)
		return slices.Compact(found)
	}
	require.Equal(t, variables(comments(t)["ConfigFromEnv"]), variables(readFile(t, "README.md")))
}

// The official pages of an endpoint are the same in the table and in the doc
// comment of its method.
func TestREADME_officialPages(t *testing.T) {
	page := regexp.MustCompile(`https://pay\.weixin\.qq\.com/doc/v3/(?:merchant|partner)/[0-9]+`)
	documented := map[string][]string{} // by the method's name in the documents
	for method, comment := range comments(t) {
		documented[documentName(method)] = page.FindAllString(comment, -1)
	}
	rows := regexp.MustCompile("(?m)^\\| `([A-Za-z.]+)`.*$").FindAllStringSubmatch(strings.Join(tables(t), ""), -1)
	compared := 0
	for _, row := range rows {
		if pages := page.FindAllString(row[0], -1); len(pages) > 0 {
			require.Equal(t, documented[row[1]], pages, row[1])
			compared++
		}
	}
	require.GreaterOrEqual(t, compared, 16, "endpoints")
}
