package build

import (
	"debug/elf"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sluice.io/sluice/test/cluster/oci"
)

// TestLibraries: what a program of this machine needs, the loader first, each once.
func TestLibraries(t *testing.T) {
	const program = "/usr/bin/env"
	got, err := libraries(program)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) < 2 || !strings.HasPrefix(filepath.Base(got[0]), "ld-") {
		t.Fatalf("%s needs %v: want the loader, and the C library", program, got)
	}
	if !slices.ContainsFunc(got, func(p string) bool { return strings.HasPrefix(filepath.Base(p), "libc.so") }) {
		t.Errorf("%s needs %v: no C library", program, got)
	}
	for _, p := range got {
		f, err := elf.Open(p)
		if err != nil {
			t.Error(err)
			continue
		}
		_ = f.Close()
	}
	if names := slices.Compact(slices.Sorted(slices.Values(got))); len(names) != len(got) {
		t.Errorf("some are there twice: %v", got)
	}
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("#!"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := libraries(text); err == nil {
		t.Error("a text has libraries")
	}
}

// TestDigest: other contents, names or modes are another image.
func TestDigest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a")
	digest := func(content string, f oci.File) string {
		t.Helper()
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		f.Source = file
		d, err := digestOf([]oci.File{f})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	all := []string{
		digest("one", oci.File{Path: "/a"}), digest("two", oci.File{Path: "/a"}),
		digest("one", oci.File{Path: "/b"}), digest("one", oci.File{Path: "/a", Mode: 0o644}),
	}
	if slices.Sort(all); len(slices.Compact(all)) != 4 {
		t.Errorf("digests %v: want four", all)
	}
	if again := digest("one", oci.File{Path: "/a"}); !slices.Contains(all, again) {
		t.Error("equal files have another digest")
	}
}
