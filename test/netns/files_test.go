package netns

import (
	"fmt"
	"os"
	"testing"
)

// TestFilesWrittenInPieces proves that a file that is written in place, slowly,
// in many pieces, disturbs nothing, and takes effect once it is whole.
func TestFilesWrittenInPieces(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "v1", "v2")
	c := s.client("client")
	s.apply("route", httpRoute("moving", "front", "  - backendRefs: [{name: v1, port: 80}]\n"))
	s.settle()
	requests := startLoad(t, "requests", 1, wantName(func() string { return c.getName(4, request{To: "http://front/"}) }, "v1", "v2"))
	progressAll(t, 10, requests)
	whole := s.fill(httpRoute("moving", "front", "  - backendRefs: [{name: v2, port: 80}]\n"))
	f, err := os.OpenFile(s.Folder.Path(s.file("route")), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for len(whole) > 0 {
		n := min(40, len(whole))
		if _, err := f.WriteString(whole[:n]); err != nil {
			t.Fatal(err)
		}
		whole = whole[n:]
		progressAll(t, 5, requests)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	s.eventually("the whole file is in force", wantName(func() string { return c.getName(4, request{To: "http://front/"}) }, "v2"))
	stopClean(t, requests)
}

// TestUnreadableFiles proves that files that can't be read are said, and stop nothing.
func TestUnreadableFiles(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.frontToV2()
	c := s.client("client")
	s.settle()
	for name, make := range map[string]func(path string) error{
		"loop":     func(path string) error { return os.Symlink(path, path) },
		"dangling": func(path string) error { return os.Symlink("/nowhere/at/all.yaml", path) },
		"binary":   func(path string) error { return os.WriteFile(path, []byte{0, 1, 2, 0xff, 0xfe}, 0o644) },
	} {
		file := s.file(name)
		if err := make(s.Folder.Path(file)); err != nil {
			t.Fatal(err)
		}
		s.files[file] = true
		s.eventually(name, func() error {
			if p := s.problem(file); p == nil {
				return fmt.Errorf("status says nothing of %s", file)
			}
			return nil
		})
	}
	s.settle()
	c.served(t)
}
