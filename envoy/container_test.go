package envoy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/envoy"
	"sluice.io/sluice/envoy/envoytest"
	"sluice.io/sluice/model"
	"sluice.io/sluice/xds"
)

// container is a supervisor in a mount namespace of its own, as in a container.
type container struct {
	cfg  envoy.Config
	cmd  *exec.Cmd
	done chan error
}

func startContainer(t *testing.T, cfg envoy.Config) *container {
	t.Helper()
	cfg.Container = true
	told, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c := &container{cfg: cfg, cmd: exec.Command(os.Args[0]), done: make(chan error, 1)}
	c.cmd.Env = append(os.Environ(), "SLT_SUPERVISE="+string(told))
	c.cmd.Stderr = os.Stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.done <- c.cmd.Wait() }()
	t.Cleanup(func() {
		c.cmd.Process.Kill()
		<-c.done
	})
	return c
}

// end sends a signal and waits for the supervisor to end, for its exit status.
func (c *container) end(t *testing.T, sig syscall.Signal) error {
	t.Helper()
	if err := c.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-c.done:
		c.done <- err // for the cleanup
		return err
	case <-time.After(40 * time.Second):
		t.Fatalf("a supervisor does not end by %v", sig)
		return nil
	}
}

// holds tells that a process is in the container.
func (c *container) holds(pid int) bool {
	own, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", c.cmd.Process.Pid))
	its, err2 := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	return err == nil && err2 == nil && own == its
}

// envoys are the processes in Envoy's cgroup.
func envoys(cfg envoy.Config) []int {
	b, err := os.ReadFile(filepath.Join(cfg.Cgroup, "cgroup.procs"))
	if err != nil {
		return nil
	}
	var pids []int
	for f := range strings.FieldsSeq(string(b)) {
		pid, _ := strconv.Atoi(f)
		pids = append(pids, pid)
	}
	return pids
}

// epochOf is the epoch that Envoy's admin interface tells, -1 if it tells none.
func epochOf(cfg envoy.Config) int {
	said, err := ask(cfg, "/server_info")
	var info struct {
		State   string
		Options struct {
			RestartEpoch int `json:"restart_epoch"`
		} `json:"command_line_options"`
	}
	if err != nil || json.Unmarshal([]byte(said), &info) != nil || info.State != "LIVE" {
		return -1
	}
	return info.Options.RestartEpoch
}

// serves waits until an epoch serves, and is of the container.
func (c *container) serves(t *testing.T, epoch int) {
	t.Helper()
	eventually(t, fmt.Sprintf("epoch %d to serve, in its container", epoch), func() bool {
		return epochOf(c.cfg) == epoch && slices.ContainsFunc(envoys(c.cfg), func(pid int) bool {
			args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			return c.holds(pid) && strings.Contains(string(args), fmt.Sprintf("--restart-epoch\x00%d\x00", epoch))
		})
	})
}

// TestContainers: an Envoy goes from container to container by hot restart: to one
// that is new, back to one that stands by when that is killed or told to end; and
// it ends with the last one.
func TestContainers(t *testing.T) {
	t.Parallel()
	cfg := node(t)
	cfg.DrainTime, cfg.DrainDelay = time.Second, time.Second
	first := startContainer(t, cfg)
	first.serves(t, 0)
	second := startContainer(t, cfg)
	second.serves(t, 1)
	if err := envoy.Serves(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "another container") {
		t.Errorf("an Envoy of another container serves here: %v", err)
	}
	second.end(t, syscall.SIGKILL)
	first.serves(t, 2)
	third := startContainer(t, cfg)
	third.serves(t, 3)
	if err := third.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("the third supervisor: %v", err)
	}
	first.serves(t, 4)
	fourth := startContainer(t, cfg)
	fourth.serves(t, 5)
	if err := first.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("the first supervisor, which stood by: %v", err)
	}
	// One that is just ending is listed, and has no namespaces any more.
	eventually(t, "none but the fourth container's to run", func() bool {
		return !slices.ContainsFunc(envoys(cfg), func(pid int) bool { return !fourth.holds(pid) })
	})
	fourth.serves(t, 5)
	if err := fourth.end(t, syscall.SIGTERM); err != nil {
		t.Errorf("the fourth supervisor: %v", err)
	}
	if left := envoys(cfg); len(left) > 0 {
		t.Errorf("the last supervisor has ended, processes %v have not", left)
	}
	for _, path := range []string{cfg.Dir, cfg.Dir + ".lock"} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", path, err)
		}
	}
}

// TestStoppingServesOn: an Envoy that is told to end, with nobody to take it over,
// is not ready at first, but serves; one that then comes gets it while it drains.
func TestStoppingServesOn(t *testing.T) {
	t.Parallel()
	cfg := node(t)
	cfg.DrainDelay, cfg.Container = time.Hour, true
	s := envoy.New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	first := live(t, s)
	if !first.Own || envoy.Serves(t.Context(), cfg) != nil {
		t.Errorf("status %+v, %v: want it to be ours", first, envoy.Serves(t.Context(), cfg))
	}
	cancel()
	eventually(t, "it to say so", func() bool { return s.Status().Stopping })
	select {
	case err := <-ended:
		t.Fatalf("the supervisor ended within the delay: %v", err)
	default:
	}
	if n := epochOf(cfg); n != 0 {
		t.Errorf("epoch %d serves, want 0", n)
	}
	next := startContainer(t, cfg)
	next.serves(t, 1)
	if err := <-ended; err != nil {
		t.Errorf("the supervisor that was told to end: %v", err)
	}
}

// TestDiesAsItStarts: when the next Envoy ends before it serves, by accident, it
// has taken its parent's admin socket by then and says that one is starting: the
// parent serves on, and is replaced all the same.
func TestDiesAsItStarts(t *testing.T) {
	t.Parallel()
	dir := envoytest.Dir(t)
	cfg := envoytest.Config(t, dir)
	server := func() func() {
		x := xds.NewServer(xds.Config{Socket: cfg.XDSSocket, Owner: envoy.Nobody})
		if err := x.Prepare(t.Context(), model.NewDelta()); err != nil {
			t.Fatal(err)
		}
		return background(t, x.Run)
	}
	away := server()
	s, stop := start(t, cfg)
	first := live(t, s)
	stop()
	away()
	cfg.NodeID = "another"
	s, stop = start(t, cfg)
	killNext := func() {
		t.Helper()
		next := 0
		eventually(t, "the next Envoy to start", func() bool {
			said, _ := ask(cfg, "/ready")
			i := slices.IndexFunc(envoys(cfg), func(pid int) bool { return pid != first.PID })
			if i >= 0 {
				next = envoys(cfg)[i]
			}
			return i >= 0 && strings.Contains(said, "INITIALIZING")
		})
		if err := unix.Kill(next, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	killNext()
	eventually(t, "the failure to be told", func() bool { return strings.HasPrefix(s.Status().Problem, "hot restart failed") })
	if st := s.Status(); st.PID != first.PID || !st.Live || st.Restarts != 0 {
		t.Errorf("status: %+v, want the Envoy of %+v", st, first)
	}
	// The same under a supervisor that is killed, too: the next one finds an Envoy
	// that it cannot ask.
	stop()
	s, _ = start(t, cfg)
	killNext()
	eventually(t, "the failure to be told", func() bool { return strings.HasPrefix(s.Status().Problem, "hot restart failed") })
	server()
	eventually(t, "the next epoch", func() bool { st := s.Status(); return st.Live && st.Epoch == 1 && epochOf(cfg) == 1 })
	if st := s.Status(); st.Restarts != 0 || st.Problem != "" {
		t.Errorf("status: %+v", st)
	}
}
