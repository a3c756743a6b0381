package doctest

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	// fences matches the code blocks of a document.
	fences = regexp.MustCompile("(?ms)^```.*?^```$")
	// diagramLabels and codeComments match what a translation changes of a
	// block. The space before // excludes URLs.
	diagramLabels = regexp.MustCompile(`"[^"]*"`)
	codeComments  = regexp.MustCompile(`(?m)(^|[ \t])(//|#) .*$`)
)

// untranslatedBlocks returns the code blocks of a document without labels and
// comments.
func untranslatedBlocks(text string) []string {
	blocks := fences.FindAllString(text, -1)
	for i, block := range blocks {
		if strings.HasPrefix(block, "```mermaid\n") {
			blocks[i] = diagramLabels.ReplaceAllString(block, `""`)
		} else {
			blocks[i] = codeComments.ReplaceAllString(block, "$1$2")
		}
	}
	return blocks
}

// A section is what a document and its translation have in common under a
// heading of the first or second level. Links, code and numbers are sorted,
// because languages order words differently.
type section struct {
	links, code, numbers []string // code and numbers without duplicates
	tables               [][]tableRow
}

type tableRow struct {
	columns       int
	code, numbers []string
}

var (
	pageLink   = regexp.MustCompile(`\]\(([^)#]+)\)`)
	anchorLink = regexp.MustCompile(`\]\(#[^)]*\)`) // its text is a heading, which is translated
	codeSpan   = regexp.MustCompile("`[^`\n]+`")
	number     = regexp.MustCompile(`[0-9]+(?:[.,-][0-9]+)*`)
	table      = regexp.MustCompile(`(?m)(?:^\|.*\n)+`)
	cellBorder = regexp.MustCompile("`[^`\n]*`|\\|") // a | in code separates no cells
)

// sections returns the sections of a document, without its code blocks. A
// translation links to translations: they count as links to the originals.
func sections(text string) []section {
	var found []section
	for _, text := range strings.Split(fences.ReplaceAllString(text, ""), "\n## ") {
		var s section
		for _, link := range pageLink.FindAllStringSubmatch(text, -1) {
			s.links = append(s.links, strings.Replace(link[1], chinese, ".md", 1))
		}
		slices.Sort(s.links)
		text = pageLink.ReplaceAllString(anchorLink.ReplaceAllString(text, "]"), "]")
		for _, rows := range table.FindAllString(text, -1) {
			var t []tableRow
			for row := range strings.Lines(rows) {
				t = append(t, newTableRow(row))
			}
			s.tables = append(s.tables, t)
		}
		s.code, s.numbers = codeAndNumbers(text)
		s.code, s.numbers = slices.Compact(s.code), slices.Compact(s.numbers)
		found = append(found, s)
	}
	return found
}

func newTableRow(row string) tableRow {
	var r tableRow
	r.code, r.numbers = codeAndNumbers(row)
	for _, found := range cellBorder.FindAllString(row, -1) {
		if found == "|" {
			r.columns++
		}
	}
	return r
}

// codeAndNumbers returns the code spans of a text and the numbers outside them.
func codeAndNumbers(text string) (code, numbers []string) {
	code = codeSpan.FindAllString(text, -1)
	numbers = number.FindAllString(codeSpan.ReplaceAllString(text, ""), -1)
	slices.Sort(code)
	slices.Sort(numbers)
	return code, numbers
}

func TestTranslations_match(t *testing.T) {
	names := slices.DeleteFunc(documents(t), func(name string) bool { return !strings.HasSuffix(name, chinese) })
	require.Contains(t, names, "README.zh-CN.md")
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			original := strings.TrimSuffix(name, chinese) + ".md"
			translation, text := readFile(t, name), readFile(t, original)
			// Each links to the other near the top.
			require.Contains(t, top(translation), "]("+path.Base(original)+")")
			require.Contains(t, top(text), "]("+path.Base(name)+")")

			require.Equal(t, untranslatedBlocks(text), untranslatedBlocks(translation))
			want, got := sections(text), sections(translation)
			require.Len(t, got, len(want))
			for i := range want {
				title, _, _ := strings.Cut(strings.Split(fences.ReplaceAllString(text, ""), "\n## ")[i], "\n")
				require.Equal(t, want[i], got[i], title)
			}
		})
	}
}

// top returns the first lines of a document.
func top(text string) string {
	lines := strings.SplitAfterN(text, "\n", 6)
	return strings.Join(lines[:min(5, len(lines))], "")
}

// TestTranslations_differences makes one change at a time, and expects each to
// be found.
func TestTranslations_differences(t *testing.T) {
	const text = "# a\n\nb `c` 1 [d](e.md)\n\n## f\n\n| g | `h` |\n|---|---|\n| 2.5 | i |\n"
	replace := func(text string, oldnew ...string) string { return strings.NewReplacer(oldnew...).Replace(text) }
	require.Equal(t, sections(text), sections(replace(text, "b", "乙", "[d]", "[丁]", "e.md", "e.zh-CN.md", "i", "壬")))
	for _, changed := range []string{
		replace(text, "`c`", "c"),
		replace(text, "1", "3"),
		replace(text, "e.md", "k.md"),
		replace(text, "## f", "f"),
		replace(text, "`h`", "`k`"),
		replace(text, "2.5", "2.6"),
		replace(text, "| 2.5 | i |\n", ""),
		replace(text, "| g ", "| g | k "),
	} {
		require.NotEqual(t, sections(text), sections(changed), changed)
	}

	const block = "```go\n// a\nb(\"https://c\") // d\n```\n"
	require.Equal(t, untranslatedBlocks(block), untranslatedBlocks(replace(block, "// a", "// 甲", "// d", "// 丁")))
	for _, changed := range []string{
		replace(block, "b(", "e("),
		replace(block, "https://c", "https://e"),
		replace(block, " // d", ""),
		replace(block, "// a\n", ""),
	} {
		require.NotEqual(t, untranslatedBlocks(block), untranslatedBlocks(changed), changed)
	}
}

// The Chinese README has the terms that readers search for.
func TestTranslations_searchTerms(t *testing.T) {
	text := readFile(t, "README.zh-CN.md")
	for _, term := range []string{"签名错误", "验签失败", "微信支付公钥ID", "商户API证书序列号", "投诉通知回调地址", "幂等"} {
		require.Contains(t, text, term)
	}
}
