package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice.io/sluice/agent"
)

// told is a tenure of which an API server has said something.
type told struct {
	ended bool
	err   error
}

func (t told) Ended(context.Context) (bool, error) { return t.ended, t.err }

// TestLeave: traces are removed by an agent that had begun and has lost its place for good,
// and by no other.
func TestLeave(t *testing.T) {
	unknown := errors.New("nobody says")
	for name, c := range map[string]struct {
		began   bool
		place   tenure
		removes bool
		err     error
	}{
		"lost for good":                  {true, told{ended: true}, true, nil},
		"another agent comes":            {true, told{}, false, nil},
		"nobody says why":                {true, told{err: unknown}, false, unknown},
		"nobody says, whatever was seen": {true, told{true, unknown}, false, unknown},
		"it has not begun":               {false, told{ended: true}, false, nil},
		"it is no pod of a DaemonSet":    {true, nil, false, nil},
	} {
		removed := false
		err := leave(c.began, c.place, func() error { removed = true; return nil })
		if removed != c.removes || !errors.Is(err, c.err) {
			t.Errorf("%s: removed %v, %v", name, removed, err)
		}
	}
}

// TestAnAgentThatHasNotBegun: one whose successor has the lock, and one that cannot work on
// this machine, leave the node as it is, and the first does not even ask.
func TestAnAgentThatHasNotBegun(t *testing.T) {
	if testing.Short() {
		t.Skip("needs root")
	}
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	paths := agent.Paths{RunDir: filepath.Join(dir, "run"), BPFFS: filepath.Join(dir, "bpf"), CgroupRoot: filepath.Join(dir, "cgroup")}
	state := filepath.Join(dir, "state")
	kubeconfig := filepath.Join(dir, "kubeconfig")
	theirs := []string{filepath.Join(paths.RunDir, "sluice.sock"), filepath.Join(paths.RunDir, "secrets"), filepath.Join(paths.BPFFS, "links"), filepath.Join(state, "cluster-state")}
	for _, path := range append(theirs, filepath.Join(paths.CgroupRoot, "kubepods")) {
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(kubeconfig, []byte(`{clusters: [{name: c, cluster: {server: "`+server.URL+`"}}], contexts: [{name: c, context: {cluster: c}}], current-context: c}`), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func() error {
		cmd := agentCommand()
		cmd.SetArgs([]string{
			"--node", "n", "--daemonset", "agent", "--namespace", "system", "--run-dir", paths.RunDir, "--state-dir", state, "--bpffs", paths.BPFFS,
			"--cgroup-root", paths.CgroupRoot, "--kubeconfig", kubeconfig, "--health-address", "", "--log-level", "error",
		})
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // as if it was told to stop
		defer cancel()
		return cmd.ExecuteContext(ctx)
	}
	lock, err := paths.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if err := run(); !errors.Is(err, agent.ErrLocked) || asked.Load() > 0 {
		t.Errorf("beside its successor it ends with %v, and asked %d times", err, asked.Load())
	}
	lock.Unlock()
	if err := run(); err == nil || !strings.Contains(err.Error(), "cannot run Sluice") {
		t.Errorf("on a machine that lacks something it ends with %v", err)
	}
	for _, path := range theirs {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}
