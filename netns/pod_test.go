package netns

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// mountAt mounts a network namespace as a container runtime does.
func mountAt(t *testing.T, from, path string) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(from, path, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Unmount(path, unix.MNT_DETACH)
		_ = os.Remove(path)
	})
}

// inside runs something that does nothing in a named network namespace and a
// cgroup, until it is stopped.
func inside(t *testing.T, cgroup, netns string) (stop func()) {
	t.Helper()
	cmd := exec.Command("ip", "netns", "exec", filepath.Base(netns), "cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open(cgroup)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			in.Close()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(stop)
	return stop
}

func podRegistry(t *testing.T) (r *Registry, runtime string) {
	t.Helper()
	runtime = t.TempDir()
	dir := filepath.Join(t.TempDir(), "netns")
	t.Cleanup(func() {
		if err := Uninstall(dir); err != nil {
			t.Error(err)
		}
	})
	return New(Config{Dir: dir, Runtime: []string{runtime}}), runtime
}

// TestPodIsFoundByTheRuntimesMount: with processes beside it that are in the
// node's own network namespace, or in one that they have made themselves.
func TestPodIsFoundByTheRuntimesMount(t *testing.T) {
	needRoot(t)
	r, runtime := podRegistry(t)
	dir, declared := newCgroup(t)
	w := byCgroup("web", declared)
	process(t, dir, false) // about to enter
	process(t, dir, true)  // has left for its own
	if got := r.Update(declare(w)); len(got) != 0 || !errors.Is(r.Problems()[w.Key], ErrNotMounted) {
		t.Fatalf("before the pod's first process is in place: %v, %v", got, r.Problems())
	}
	if r.pause() != recheckSoon {
		t.Error("what is about to come is not looked for soon")
	}
	ns := netnsAdd(t, unique())
	mount := filepath.Join(runtime, "cni-1")
	mountAt(t, ns, mount)
	stop := inside(t, dir, ns)
	eventually(t, "the pod is found", func() bool { return r.Refresh()[w.Key] != nil })
	place := r.placed[w.Key].workload.Place
	if to, err := os.Readlink(place.Mount); err != nil || to != mount {
		t.Errorf("the link leads to %q: %v", to, err)
	}
	if place.CgroupID != 0 || place.Cookie == ownCookie(t) {
		t.Errorf("place %+v", place)
	}
	if r.stale() || len(r.Refresh()) != 0 {
		t.Error("what stays is not seen to stay")
	}

	// The next run finds it where it was.
	again := New(Config{Dir: r.mounts.dir, Runtime: []string{runtime}})
	if got := again.Update(declare(w))[w.Key]; got == nil || *got.Place != *place {
		t.Errorf("the next run: %+v", got)
	}

	// The runtime makes the sandbox anew: another network namespace, same cgroup.
	stop()
	if err := unix.Unmount(mount, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(mount); err != nil {
		t.Fatal(err)
	}
	if !again.stale() {
		t.Error("the loss of the sandbox is not noticed")
	}
	if got, ok := again.Refresh()[w.Key]; !ok || got != nil {
		t.Errorf("without a sandbox: %+v", got)
	}
	second := netnsAdd(t, unique())
	mountAt(t, second, filepath.Join(runtime, "cni-2"))
	inside(t, dir, second)
	eventually(t, "the new sandbox is found", func() bool {
		got := again.Refresh()[w.Key]
		return got != nil && got.Place.Cookie != place.Cookie
	})
}

// TestTheNodesNamespaceIsNoPods: not even when the runtime's folder has it.
func TestTheNodesNamespaceIsNoPods(t *testing.T) {
	needRoot(t)
	r, runtime := podRegistry(t)
	mountAt(t, ownNetns, filepath.Join(runtime, "host"))
	dir, declared := newCgroup(t)
	process(t, dir, false)
	w := byCgroup("host", declared)
	if got := r.Update(declare(w)); len(got) != 0 || !errors.Is(r.Problems()[w.Key], ErrNotMounted) {
		t.Errorf("%v, %v", got, r.Problems())
	}
}

func TestTwoSandboxesInOneCgroup(t *testing.T) {
	needRoot(t)
	r, runtime := podRegistry(t)
	dir, declared := newCgroup(t)
	for _, name := range []string{"cni-1", "cni-2"} {
		ns := netnsAdd(t, unique())
		mountAt(t, ns, filepath.Join(runtime, name))
		inside(t, dir, ns)
	}
	eventually(t, "both are in place", func() bool {
		_, err := podNetns(dir, r.runtime)
		return err != nil && !errors.Is(err, ErrNotMounted)
	})
	w := byCgroup("two", declared)
	if got := r.Update(declare(w)); len(got) != 0 || r.Problems()[w.Key] == nil {
		t.Errorf("it is not known which is meant, and yet: %v, %v", got, r.Problems())
	}
}

func TestKubepods(t *testing.T) {
	for _, c := range []struct {
		name, dir, class, want string
	}{
		{"cgroupfs", "kubepods", "Burstable", "kubepods/burstable/pod1-2"},
		{"guaranteed", "kubepods", "Guaranteed", "kubepods/pod1-2"},
		{"systemd", "kubepods.slice", "BestEffort", "kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1_2.slice"},
		{"systemd guaranteed", "kubepods.slice", "Guaranteed", "kubepods.slice/kubepods-pod1_2.slice"},
		{"kind", "kubelet.slice/kubelet-kubepods.slice", "Burstable", "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod1_2.slice"},
	} {
		root := t.TempDir()
		if err := os.MkdirAll(filepath.Join(root, c.dir, "deep/down"), 0o755); err != nil {
			t.Fatal(err)
		}
		k, err := FindKubepods(root)
		if err != nil {
			t.Fatal(err)
		}
		if got := k.Pod("1-2", c.class); got != filepath.Join(root, c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if _, err := FindKubepods(t.TempDir()); err == nil {
		t.Error("kubepods is found where it is not")
	}
}
