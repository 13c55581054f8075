package agent

import (
	"os"
	"path/filepath"
	"testing"
)

// TestSystemAuthorities: the first file that there is, whatever the distribution
// calls it.
func TestSystemAuthorities(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	files := []string{at("debian"), at("folder"), at("fedora"), at("other")}
	if got := systemAuthorities(files); got != files[0] {
		t.Errorf("with none: %s", got)
	}
	if err := os.Mkdir(at("folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"fedora", "other"} {
		if err := os.WriteFile(at(name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := systemAuthorities(files); got != at("fedora") {
		t.Errorf("with two, and a folder: %s", got)
	}
}
