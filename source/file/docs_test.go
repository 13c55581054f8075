package file

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocumentedMessages checks that each message shown in docs/input.md is one
// that a golden file has.
func TestDocumentedMessages(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("../scheme/testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, name := range append(files, more...) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			known[strings.TrimSpace(line)] = true
		}
	}
	text, err := os.ReadFile("../../docs/input.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for line := range strings.Lines(string(text)) {
		example, indented := strings.CutPrefix(line, "    ")
		example = strings.TrimSpace(example)
		if !indented || !strings.HasPrefix(example, "problem ") && !strings.HasPrefix(example, "warning ") {
			continue
		}
		if shown++; !known[example] {
			t.Errorf("docs/input.md shows what no test gives: %s", example)
		}
	}
	if shown < 10 {
		t.Errorf("only %d messages are shown", shown)
	}
}
