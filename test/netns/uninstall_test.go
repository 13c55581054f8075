package netns

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUninstall proves that nothing of Sluice is left after `sluice uninstall`,
// that connections which the kernel had balanced live on, and that traffic then
// goes as it does without a mesh.
func TestUninstall(t *testing.T) {
	t.Parallel()
	w := idleWorld(t)
	if before := traces(t, w); len(before) > 0 {
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
	shared := w.SharedMemory()
	wantAllTraces(t, append(traces(t, w), shared...))

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
		if left := append(traces(t, w), there(shared...)...); len(left) > 0 {
			t.Errorf("uninstall left:\n%s", strings.Join(left, "\n"))
		}
	}
	if err := long.Say("still here"); err != nil {
		t.Errorf("a connection that the kernel had balanced: %v", err)
	}
	c.asWithoutMesh(t, outside)

	if err := w.Start(t.Context()); err != nil {
		t.Fatalf("start after uninstall: %v", err)
	}
	s.settle()
	c.served(t)
}

// asWithoutMesh wants a client to meet what one meets that never was in the mesh.
func (c *client) asWithoutMesh(t *testing.T, outside *client) {
	t.Helper()
	front := c.s.services["front"]
	for _, family := range []int{4, 6} {
		for _, port := range []int{70, 80} {
			_, got := c.tcp(family, front.On(family, port).String())
			_, want := outside.tcp(family, front.On(family, port).String())
			if got == nil || want == nil || lastWords(got) != lastWords(want) {
				t.Errorf("port %d over IPv%d: %v, want what a client meets that never was in the mesh: %v", port, family, got, want)
			}
		}
		direct := fmt.Sprintf("http://%s/", netipPort(front.Endpoints[0].Addr(family).String(), 8080))
		if got := c.getName(family, request{To: direct}); got != "front" {
			t.Errorf("the pod itself over IPv%d: %s", family, got)
		}
	}
}

// TestUninstallLeavesOthersFiles proves that what somebody else keeps in the
// folders that Sluice is told to use stays.
func TestUninstallLeavesOthersFiles(t *testing.T) {
	t.Parallel()
	w := ownWorld(t)
	strangers := []string{filepath.Join(w.RunDir, "stranger"), filepath.Join(w.StateDir, "stranger")}
	for _, path := range strangers {
		if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	out, err := w.Uninstall(t.Context())
	if err != nil {
		t.Fatalf("uninstall: %v\n%s", err, out)
	}
	for _, want := range []string{
		"programs and maps: removed " + w.BPFFS, "sockets: removed ours, others keep theirs in " + w.RunDir,
		"last good states: removed ours, others keep theirs in " + w.StateDir,
	} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("uninstall does not say %q:\n%s", want, out)
		}
	}
	for _, path := range strangers {
		entries, err := os.ReadDir(filepath.Dir(path))
		if err != nil || len(entries) != 1 || entries[0].Name() != "stranger" {
			t.Errorf("in %s there are %v (%v), want the stranger's file alone", filepath.Dir(path), entries, err)
		}
	}
}

func netipPort(addr string, port int) string {
	if strings.Contains(addr, ":") {
		addr = "[" + addr + "]"
	}
	return fmt.Sprintf("%s:%d", addr, port)
}
