package netns

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf/link"
)

// TestUninstall proves that nothing of Sluice is left after `sluice uninstall`,
// that connections which the kernel had balanced live on, and that traffic then
// goes as it does without a mesh.
func TestUninstall(t *testing.T) {
	t.Parallel()
	w := idleWorld(t)
	before := traces(t, w)
	if len(before) > 0 {
		t.Fatalf("there are traces of Sluice before it was started: %s", before)
	}
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := w.space(t)
	s.frontToV2()
	c, outside := s.client("client"), s.unmeshed("outside")
	s.settle()
	c.served(t)
	long, err := c.tcp(4, "front:70")
	if err != nil {
		t.Fatal(err)
	}
	if len(traces(t, w)) == 0 {
		t.Fatal("a running Sluice leaves no traces: the check can't fail")
	}

	if out, err := w.Uninstall(t.Context()); err == nil {
		t.Errorf("uninstall worked while sluice runs: %s", out)
	}
	c.served(t)
	if err := w.Sluice().Kill(); err != nil {
		t.Fatal(err)
	}
	c.served(t)
	for range 2 { // It is safe to repeat.
		if out, err := w.Uninstall(t.Context()); err != nil {
			t.Fatalf("uninstall: %v\n%s", err, out)
		}
		if left := traces(t, w); len(left) > 0 {
			t.Errorf("uninstall left:\n%s", strings.Join(left, "\n"))
		}
	}

	if err := long.Say("still here"); err != nil {
		t.Errorf("a connection that the kernel had balanced: %v", err)
	}
	for _, family := range []int{4, 6} {
		for _, port := range []int{70, 80} {
			_, got := c.tcp(family, s.services["front"].On(family, port).String())
			_, want := outside.tcp(family, s.services["front"].On(family, port).String())
			if got == nil || want == nil || lastWords(got) != lastWords(want) {
				t.Errorf("port %d over IPv%d: %v, want what a client meets that never was in the mesh: %v", port, family, got, want)
			}
		}
		direct := fmt.Sprintf("http://%s/", netipPort(s.services["front"].Endpoints[0].Addr(family).String(), 8080))
		if got := c.getName(family, request{To: direct}); got != "front" {
			t.Errorf("the pod itself over IPv%d: %s", family, got)
		}
	}

	if err := w.Start(t.Context()); err != nil {
		t.Fatalf("start after uninstall: %v", err)
	}
	s.settle()
	c.served(t)
}

func netipPort(addr string, port int) string {
	if strings.Contains(addr, ":") {
		addr = "[" + addr + "]"
	}
	return fmt.Sprintf("%s:%d", addr, port)
}

// traces lists all that a sluice of this world may leave on the machine.
func traces(t *testing.T, w *world) []string {
	t.Helper()
	var found []string
	for _, path := range []string{w.RunDir, w.StateDir, w.BPFFS, filepath.Dir(w.EnvoyCgroup())} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			found = append(found, fmt.Sprintf("path %s (%v)", path, err))
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, w.RunDir) {
			found = append(found, "mount "+strings.TrimSpace(line))
		}
	}
	return append(append(found, processes(t, w)...), attachments(t, w)...)
}

// processes lists those whose command line names the world's run folder, but for
// `sluice run` itself.
func processes(t *testing.T, w *world) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // It has ended.
		}
		if bytes.Contains(b, []byte(w.RunDir)) {
			found = append(found, fmt.Sprintf("process %s: %s", filepath.Base(filepath.Dir(f)), bytes.ReplaceAll(b, []byte{0}, []byte{' '})))
		}
	}
	return found
}

// attachments lists the BPF links on the world's cgroups.
func attachments(t *testing.T, w *world) []string {
	t.Helper()
	ids := map[uint64]string{}
	err := filepath.WalkDir(w.CgroupRoot, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Stat(path, &st); err != nil {
			return err
		}
		ids[st.Ino] = path
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	it := new(link.Iterator)
	defer it.Close()
	for it.Next() {
		info, err := it.Link.Info()
		if err != nil {
			continue // It is gone.
		}
		if cg := info.Cgroup(); cg != nil && ids[cg.CgroupId] != "" {
			found = append(found, fmt.Sprintf("link %d on %s", info.ID, ids[cg.CgroupId]))
		}
	}
	if err := it.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}
