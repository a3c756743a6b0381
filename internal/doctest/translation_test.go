package doctest

import (
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

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
