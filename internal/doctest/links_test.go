package doctest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	heading = regexp.MustCompile(`(?m)^##+ (.*)$`)
	link    = regexp.MustCompile(`\]\(([^)]+)\)`)
	// notInAnchor matches the characters of a heading that GitHub leaves out of
	// its anchor.
	notInAnchor = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// anchors returns the anchors of the headings of a document, as GitHub names
// them.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, match := range heading.FindAllStringSubmatch(text, -1) {
		name := notInAnchor.ReplaceAllString(strings.ToLower(match[1]), "")
		found[strings.ReplaceAll(name, " ", "-")] = true
	}
	return found
}

// Every link within the repository leads to a file or folder, and to a heading
// that exists.
func TestLinks_resolve(t *testing.T) {
	for _, name := range documents(t) {
		text := fences.ReplaceAllString(readFile(t, name), "")
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			target := match[1]
			if strings.HasPrefix(target, "https://") {
				continue
			}
			file, anchor, _ := strings.Cut(target, "#")
			linked := text
			if file != "" {
				file = filepath.Join(filepath.Dir(name), file)
				_, err := os.Stat(filepath.Join(root, file))
				require.NoError(t, err, "%s: %s", name, target)
			}
			if filepath.Ext(file) == ".md" {
				linked = fences.ReplaceAllString(readFile(t, file), "")
			}
			if anchor != "" && (file == "" || filepath.Ext(file) == ".md") {
				require.True(t, anchors(linked)[anchor], "%s: %s", name, target)
			}
		}
	}
}
