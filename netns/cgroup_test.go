package netns

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/model"
)

// newCgroup makes a cgroup and returns its directory and its path below the
// root of the hierarchy.
func newCgroup(t *testing.T) (dir, declared string) {
	t.Helper()
	root, err := cgroupRoot()
	if err != nil {
		t.Fatal(err)
	}
	declared = unique()
	dir = filepath.Join(root, declared)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { eventually(t, "the cgroup is empty", func() bool { return removed(dir) }) })
	return dir, declared
}

func removed(dir string) bool {
	err := os.Remove(dir)
	return err == nil || errors.Is(err, os.ErrNotExist)
}

// process runs something that does nothing, in a cgroup, until it is stopped.
func process(t *testing.T, cgroup string, ownNetns bool) (stop func()) {
	t.Helper()
	dir, err := os.Open(cgroup)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	cmd := exec.Command("cat")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	if ownNetns {
		cmd.SysProcAttr.Unshareflags = unix.CLONE_NEWNET
	}
	return runUntil(t, cmd)
}

// runUntil starts a program that ends with its input: when it is stopped.
func runUntil(t *testing.T, cmd *exec.Cmd) (stop func()) {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		in.Close()
		_ = cmd.Wait()
	})
	t.Cleanup(stop)
	return stop
}

func byCgroup(name, cgroup string) *model.Workload {
	w := workload(name, "")
	w.Cgroup = cgroup
	return w
}

func TestCgroupOfTheNode(t *testing.T) {
	needRoot(t)
	r, _ := newRegistry(t)
	dir, declared := newCgroup(t)
	inner := filepath.Join(dir, "inner")
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { eventually(t, "the cgroup is empty", func() bool { return removed(inner) }) })
	w := byCgroup("host", declared)
	if got := r.Update(declare(w)); len(got) != 0 || !errors.Is(r.Problems()[w.Key], ErrAbsent) {
		t.Fatalf("an empty cgroup: %v, %v", got, r.Problems())
	}
	process(t, inner, false)
	got := r.Refresh()[w.Key]
	if got == nil {
		t.Fatal(r.Problems())
	}
	id, err := stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.Place.CgroupID != id.ino || got.Place.Cookie != ownCookie(t) {
		t.Errorf("place %+v, want cgroup %d and netns %d", got.Place, id.ino, ownCookie(t))
	}
	// Another workload of the node's network namespace is another one.
	dir2, _ := newCgroup(t)
	process(t, dir2, false)
	other := byCgroup("other", dir2)
	if got := r.Update(declare(other))[other.Key]; got == nil || got.Place.CgroupID == id.ino || got.Place.Mount == r.placed[w.Key].workload.Place.Mount {
		t.Errorf("a second workload: %+v, %v", got, r.Problems())
	}
	// The same cgroup declared again is not.
	twice := byCgroup("twice", dir2)
	if got := r.Update(declare(twice)); len(got) != 0 || !errors.Is(r.Problems()[twice.Key], ErrTaken) {
		t.Errorf("declared twice: %v, %v", got, r.Problems())
	}
}

func ownCookie(t *testing.T) uint64 {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		t.Fatal(err)
	}
	return cookie
}

func TestCgroupWithItsOwnNetns(t *testing.T) {
	needRoot(t)
	r, _ := newRegistry(t)
	dir, declared := newCgroup(t)
	process(t, dir, true)
	w := byCgroup("pod", declared)
	got := r.Update(declare(w))[w.Key]
	if got == nil {
		t.Fatal(r.Problems())
	}
	if got.Place.CgroupID != 0 || got.Place.Cookie == ownCookie(t) {
		t.Errorf("place %+v: it is known by its network namespace", got.Place)
	}
}

func TestCgroupWithTwoNetns(t *testing.T) {
	needRoot(t)
	r, _ := newRegistry(t)
	dir, declared := newCgroup(t)
	process(t, dir, true)
	process(t, dir, false)
	w := byCgroup("pod", declared)
	if got := r.Update(declare(w))[w.Key]; got != nil {
		t.Errorf("two network namespaces in one cgroup: %+v", got.Place)
	}
	if err := r.Problems()[w.Key]; err == nil || !strings.Contains(err.Error(), "different network namespaces") {
		t.Errorf("problem: %v", err)
	}
}

// TestCgroupCannotLeave: a workload's process makes a network namespace of its
// own, which anybody may, to make it unclear which one is meant. The workload
// stays what it was, for the next run of sluice too.
func TestCgroupCannotLeave(t *testing.T) {
	needRoot(t)
	for _, nodes := range []bool{true, false} {
		r, mounts := newRegistry(t)
		dir, declared := newCgroup(t)
		w := byCgroup("pod", declared)
		honest := process(t, dir, !nodes)
		first := r.Update(declare(w))[w.Key]
		if first == nil {
			t.Fatal(r.Problems())
		}
		for range 20 { // some of them are listed before the first one
			process(t, dir, true)
		}
		if got := r.Refresh(); len(got) != 0 || r.stale() {
			t.Errorf("after processes in other network namespaces: %v, %v", got, r.Problems())
		}
		next := New(Config{Dir: mounts})
		if got := next.Update(declare(w))[w.Key]; got == nil || *got.Place != *first.Place {
			t.Errorf("the next run: %+v, want %+v; %v", got, first.Place, next.Problems())
		}
		honest()
		if got, ok := next.Refresh()[w.Key]; !ok || got != nil {
			t.Errorf("after the last process in the network namespace: %v", got)
		}
	}
}

// TestCgroupIsNoticed: the first process, the last one, and the cgroup itself.
func TestCgroupIsNoticed(t *testing.T) {
	needRoot(t)
	r, _ := newRegistry(t)
	root, err := cgroupRoot()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, unique(), "inner")
	w := byCgroup("late", dir)
	r.Update(declare(w))
	ctx, cancel := context.WithCancel(t.Context())
	notified, done := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		done <- r.Run(ctx, func() {
			select {
			case notified <- struct{}{}:
			default:
			}
		})
	}()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	change := func(want bool) func() bool {
		return func() bool {
			select {
			case <-notified:
				got, ok := r.Refresh()[w.Key]
				return ok && (got != nil) == want
			default:
				return false
			}
		}
	}
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { eventually(t, "the cgroup is empty", func() bool { return removed(d) }) })
	}
	stop := process(t, dir, false)
	eventually(t, "found", change(true))
	stop()
	eventually(t, "lost", change(false))
}

// TestCgroupOutsideIsNamed: the programs do not reach it, so it must not count
// as found.
func TestCgroupOutsideIsNamed(t *testing.T) {
	needRoot(t)
	inside, declared := newCgroup(t)
	outside, _ := newCgroup(t)
	process(t, inside, false)
	process(t, outside, false)
	_, mounts := newRegistry(t)
	r := New(Config{Dir: mounts, Top: inside})
	all := changes{}
	for name, cgroup := range map[string]string{
		"same": inside, "relative": declared, "outside": outside, "not-yet": inside + "/later", "elsewhere": "/proc",
	} {
		w := byCgroup(name, cgroup)
		all[w.Key] = w
	}
	placed := r.Update(all)
	for name, want := range map[string]string{
		"outside": "is outside of " + inside, "not-yet": "not there yet", "elsewhere": "/proc is not in the cgroup2 hierarchy",
	} {
		key := byCgroup(name, "").Key
		if err := r.Problems()[key]; err == nil || !strings.Contains(err.Error(), want) || placed[key] != nil {
			t.Errorf("%s: problem %v, want %q; placed %v", name, err, want, placed[key])
		}
	}
	// "same" and "relative" are one place: one of them has it.
	if len(placed) != 1 {
		t.Errorf("placed are %v, want one", placed)
	}
}
