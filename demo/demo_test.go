package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"sluice.io/sluice/test/netns/lab"
)

// TestDemo plays the whole demo, as `make demo` does, with a sluice and folders
// of its own: all proofs hold.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("needs root and Envoy")
	}
	repo, err := lab.RepoRoot()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(repo)
	dir := t.TempDir()
	p := lab.Programs{Sluice: filepath.Join(dir, "sluice"), Testapp: filepath.Join(dir, "testapp")}
	for pkg, file := range map[string]string{"./cmd/sluice": p.Sluice, "./test/apps/testapp": p.Testapp} {
		if err := lab.Build(t.Context(), repo, pkg, file); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := run(t.Context(), &out, p, "demo/mesh"); err != nil {
		t.Errorf("the demo fails: %v", err)
	}
	if held := strings.Count(out.String(), "\n   ✓ "); held != 13 || strings.Contains(out.String(), "✗") {
		t.Errorf("%d proofs held, want 13", held)
	}
	if t.Failed() {
		t.Logf("it printed:\n%s", &out)
	}
}

// TestBrokenProof: a claim that does not hold gets a cross, and the demo ends
// with an error.
func TestBrokenProof(t *testing.T) {
	var out bytes.Buffer
	show := newTerminal(&out)
	show.proof(true, "one %d", 1)
	if err := show.verdict(); err != nil {
		t.Error(err)
	}
	show.proof(false, "two")
	if err := show.verdict(); err == nil || err.Error() != "1 of 2 proofs did not hold" {
		t.Errorf("the verdict is %v", err)
	}
	if want := "   ✓ one 1\n   ✗ two\n"; out.String() != want {
		t.Errorf("printed %q, want %q", &out, want)
	}
}

func TestTally(t *testing.T) {
	for _, c := range []struct {
		by         map[string]int
		split, all bool
	}{
		{map[string]int{"a": 270, "b": 30}, true, false},
		{map[string]int{"a": 295, "b": 5}, true, false},
		{map[string]int{"a": 300}, false, true},
		{map[string]int{"a": 150, "b": 150}, false, false},
		{map[string]int{"a": 30, "b": 270}, false, false},
		{map[string]int{"a": 269, "b": 30, "c": 1}, false, false},
		{map[string]int{"a": 200, "b": 30}, false, false},
		{map[string]int{"b": 300}, false, false},
		{map[string]int{"a": 299}, false, false},
		{map[string]int{}, false, false},
	} {
		got := &tally{by: c.by}
		if got.split(300, "a", "b", 0.1) != c.split || got.all(300, "a") != c.all {
			t.Errorf("%v is not told right: want split %v, all %v", c.by, c.split, c.all)
		}
	}
}
