package cluster

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"sluice.io/sluice/test/cluster/machine"
)

// A machine that takes connections and says nothing is not taken for gone: what is
// taken for gone is removed by whoever brings up a cluster of that name.
func TestRunning(t *testing.T) {
	dir, err := os.MkdirTemp("", "slt") // A path that is short enough for sockets.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := state{Config: Config{Name: "slct", Nodes: 2, Dir: dir}}
	path := machine.Socket(filepath.Join(dir, controlName))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	silent, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.running(t.Context()); !slices.Equal(got, []string{controlName}) {
		t.Errorf("%v run, want the control plane, and no node, of which there is nothing", got)
	}
	if err := silent.Close(); err != nil {
		t.Fatal(err)
	}
	if got := s.running(t.Context()); len(got) > 0 {
		t.Errorf("%v run, where nobody listens", got)
	}
}
