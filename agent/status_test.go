package agent

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice.io/sluice/source"
)

// still is a source that tells nothing.
type still struct{}

func (still) Name() string     { return "mesh" }
func (still) Progress() string { return "" }

func (still) Run(ctx context.Context, _ func(source.Batch)) error {
	<-ctx.Done()
	return nil
}

// TestKernelErrorIsInTheStatus: a kernel that does not take a change makes
// Sluice unready, with the reason, until it takes the mesh.
func TestKernelErrorIsInTheStatus(t *testing.T) {
	a, j := newTestAgent(t)
	a.source = still{}
	a.start(t.Context(), source.Batch{}, time.Now())
	if st := a.status(); !st.Ready || !st.Attached || st.KernelError != "" {
		t.Fatalf("before: %+v", st)
	}
	j.failing = errors.New("map is full")
	a.change(t.Context(), changing(frontend("cart", false)))
	st := a.status()
	if st.Ready || st.Attached || st.KernelError != "map is full" || !slices.Equal(st.NotReady, []string{"the kernel could not be programmed"}) {
		t.Errorf("status: %+v", st)
	}
	j.failing = nil
	a.retry()
	if st := a.status(); !st.Ready || !st.Attached || st.KernelError != "" {
		t.Errorf("after: %+v", st)
	}
}

// TestNobodyAnswers: a socket that is not there, and one that a killed sluice has
// left behind, are told apart, with what to do.
func TestNobodyAnswers(t *testing.T) {
	paths := Paths{RunDir: t.TempDir()}
	want := func(text string) {
		t.Helper()
		_, err := NewClient(paths).Status(t.Context())
		if !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, want %q", err, text)
		}
	}
	want("no sluice runs here: nothing answers at " + filepath.Join(paths.RunDir, "sluice.sock") + "; start `sluice run -f FOLDER`, or name its --run-dir")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: paths.APISocket(), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	want("no sluice runs here any more: it has left " + paths.APISocket() + " behind; what it set up stays in force until `sluice run -f FOLDER` takes it over or `sluice uninstall` removes it")
}
