package doctest

import (
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
