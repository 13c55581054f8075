package resolve_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"sluice.io/sluice/resolve/resolvetest"
)

// FuzzUpdate feeds objects that no schema has looked at. Whatever they say, the
// resolver does not panic, and taking them all away again leaves nothing.
func FuzzUpdate(f *testing.F) {
	for _, data := range inputs(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		objects, err := resolvetest.Parse("fuzz.yaml", text)
		if err != nil {
			return
		}
		w := newWorld()
		w.update(objects)
		for ref := range objects {
			objects[ref] = nil
		}
		w.update(objects)
		empty(t, 0, w)
	})
}

// inputs returns the YAML files of all archives.
func inputs(t testing.TB) [][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("find archives: %d found, %v", len(paths), err)
	}
	var out [][]byte
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range txtar.Parse(text).Files {
			if strings.HasSuffix(file.Name, ".yaml") {
				out = append(out, file.Data)
			}
		}
	}
	return out
}
