package pagetest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// Mermaid, which GitHub uses, draws each label of the diagrams.
func TestREADME_diagrams(t *testing.T) {
	script := os.Getenv("PAGETEST_MERMAID")
	if script == "" {
		t.Skip("PAGETEST_MERMAID is not set; use run.sh")
	}
	mermaid, err := os.ReadFile(script)
	require.NoError(t, err)
	b := startBrowser(t, "en-US")
	b.run(chromedp.Navigate("about:blank"))
	eval[string](b, string(mermaid)+`; mermaid.initialize({ startOnLoad: false, htmlLabels: false, flowchart: { htmlLabels: false } }); "loaded"`)
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		readme, err := os.ReadFile(filepath.Join("..", "..", "..", name))
		require.NoError(t, err)
		diagrams := regexp.MustCompile("(?ms)^```mermaid\n(.*?)^```$").FindAllStringSubmatch(string(readme), -1)
		require.NotEmpty(t, diagrams, name)
		for i, diagram := range diagrams {
			eval[string](b, fmt.Sprintf(`document.title = ""; mermaid.render("diagram%d", %s).then(({ svg }) => { document.body.innerHTML = svg; document.title = "drawn" }, (e) => { document.title = String(e) }); ""`, i, quoted(diagram[1])))
			b.waits(`document.title !== ""`)
			require.Equal(t, "drawn", eval[string](b, `document.title`), name)
			for _, label := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(diagram[1], -1) {
				// Mermaid may break long labels anywhere.
				squeezed := regexp.MustCompile(`\s`).ReplaceAllString(label[1], "")
				require.Contains(t, eval[string](b, `document.querySelector("svg").textContent.replaceAll(/\s/g, "")`), squeezed, name)
			}
		}
	}
	require.Empty(t, b.errors())
}
