package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/model"
)

func TestDescriptionAndIdentity(t *testing.T) {
	needRoot(t)
	r, dir := newRegistry(t)
	w := workload("cart", netnsAdd(t, unique()))
	first := r.Update(declare(w))[w.Key]
	if first == nil {
		t.Fatal(r.Problems())
	}
	if w.Place != nil {
		t.Error("the declared object was changed")
	}
	if got := r.Update(declare(w)); len(got) != 0 {
		t.Errorf("the same again: %v", got)
	}
	labelled := *w
	labelled.Labels = map[string]string{"app": "cart"}
	if got := r.Update(declare(&labelled))[w.Key]; got == nil || *got.Place != *first.Place || got.Labels["app"] != "cart" {
		t.Errorf("with another label: %+v", got)
	}
	// Another service account is another identity, so another path.
	other := labelled
	other.ServiceAccount = "admin"
	got := r.Update(declare(&other))[w.Key]
	if want := fmt.Sprintf("%s/shop/admin/cart-%d", dir, first.Place.Cookie); got == nil || got.Place.Mount != want {
		t.Errorf("with another service account: %+v, want mount %s", got, want)
	}
	if left := mounted(t, dir); len(left) != 1 {
		t.Errorf("mounts: %v", left)
	}
	if got, ok := r.Update(changes{w.Key: nil})[w.Key]; !ok || got != nil {
		t.Errorf("no longer declared: %v", got)
	}
	if left := mounted(t, dir); len(left) != 0 {
		t.Errorf("mounts left: %v", left)
	}
	if got := r.Update(changes{w.Key: nil}); len(got) != 0 || len(r.Problems()) != 0 {
		t.Errorf("not declared at all: %v, %v", got, r.Problems())
	}
}

func TestMountIsTheNetns(t *testing.T) {
	needRoot(t)
	r, _ := newRegistry(t)
	name := unique()
	path := netnsAdd(t, name)
	w := workload("cart", path)
	placed := r.Update(declare(w))[w.Key]
	if placed == nil {
		t.Fatal(r.Problems())
	}
	declared, err := stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mount, err := stat(placed.Place.Mount); err != nil || mount != declared {
		t.Errorf("the mount is %+v, want %+v: %v", mount, declared, err)
	}
	// The cookie is the one that the kernel tells of a socket in there.
	file, _, err := openNetns(placed.Place.Mount)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	facts, err := inspect(file, door{})
	if err != nil || facts.cookie != placed.Place.Cookie || facts.cookie == ownCookie(t) {
		t.Errorf("cookie %d (%v), placed with %d, our own is %d", facts.cookie, err, placed.Place.Cookie, ownCookie(t))
	}
	if facts.condition(door{}).lacks == nil {
		t.Error("the loopback of a new network namespace is down")
	}
	ip(t, "-n", name, "link", "set", "lo", "up")
	if facts, err := inspect(file, door{}); err != nil || facts.condition(door{}).lacks != nil {
		t.Errorf("the loopback is up: %+v, %v", facts, err)
	}
}

func TestWhyNotPlaced(t *testing.T) {
	needRoot(t)
	r, dir := newRegistry(t)
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	path := netnsAdd(t, unique())
	outside := workload("..", path)
	escape := workload("a/../../../b", path)
	all := changes{}
	for _, w := range []*model.Workload{
		workload("absent", "/run/netns/slt-not-there"), workload("file", plain), workload("folder", "/tmp"), workload("other-ns", "/proc/self/ns/mnt"),
		workload("node", "/proc/self/ns/net"), workload("nothing", ""), byCgroup("no-cgroup", "slt-not-there"),
		workload("first", path), workload("second", path), outside, escape,
	} {
		all[w.Key] = w
	}
	placed := r.Update(all)
	for name, want := range map[string]error{
		"absent": ErrAbsent, "file": ErrNotNetns, "folder": ErrNotNetns, "other-ns": ErrNotNetns, "node": ErrNodeNetns,
		"no-cgroup": ErrAbsent, "second": ErrTaken,
	} {
		if err := r.Problems()[model.WorkloadKey{Namespace: "shop", Name: name}]; !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	for name, want := range map[string]string{"nothing": "neither netns nor cgroup", "..": "file name", "a/../../../b": "file name"} {
		if err := r.Problems()[model.WorkloadKey{Namespace: "shop", Name: name}]; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
	if len(placed) != 1 || placed[model.WorkloadKey{Namespace: "shop", Name: "first"}] == nil {
		t.Errorf("placed: %v", placed)
	}
	if left := mounted(t, dir); len(left) != 1 {
		t.Errorf("mounts: %v", left)
	}
	// The place becomes free: the other one has it.
	r.Update(changes{{Namespace: "shop", Name: "first"}: nil})
	if got := r.Refresh()[model.WorkloadKey{Namespace: "shop", Name: "second"}]; got == nil {
		t.Errorf("the second claimant: %v", r.Problems())
	}
}

// TestNextRunTakesOver: mounts outlive the process. The next one keeps those
// that are right (Envoy uses them), and removes the others.
func TestNextRunTakesOver(t *testing.T) {
	needRoot(t)
	first, dir := newRegistry(t)
	nameA, nameB := unique(), unique()
	a, b := workload("a", netnsAdd(t, nameA)), workload("b", netnsAdd(t, nameB))
	placed := first.Update(changes{a.Key: a, b.Key: b})
	if len(placed) != 2 {
		t.Fatal(first.Problems())
	}
	id := mountID(t, placed[a.Key].Place.Mount)
	ip(t, "netns", "del", nameB) // while nobody looks
	next := New(Config{Dir: dir})
	again := next.Update(changes{a.Key: a, b.Key: b})
	if got := again[a.Key]; got == nil || *got.Place != *placed[a.Key].Place {
		t.Errorf("placed again: %+v, was %+v", got, placed[a.Key])
	}
	if now := mountID(t, placed[a.Key].Place.Mount); now != id {
		t.Errorf("it was mounted anew: mount %d, was %d", now, id)
	}
	if left := mounted(t, dir); len(left) != 1 {
		t.Errorf("mounts: %v", left)
	}
}

func mountID(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_MNT_ID, &st); err != nil {
		t.Fatal(err)
	}
	return st.Mnt_id
}

func TestReplacedInOneStep(t *testing.T) {
	needRoot(t)
	r, dir := newRegistry(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(netnsAdd(t, unique()), link); err != nil {
		t.Fatal(err)
	}
	w := workload("cart", link)
	first := r.Update(declare(w))[w.Key]
	if err := os.Symlink(netnsAdd(t, unique()), link+"2"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+"2", link); err != nil {
		t.Fatal(err)
	}
	second := r.Refresh()[w.Key]
	if first == nil || second == nil || first.Place.Cookie == second.Place.Cookie {
		t.Errorf("first %+v, then %+v", first, second)
	}
	if left := mounted(t, dir); len(left) != 1 {
		t.Errorf("mounts: %v", left)
	}
}

func TestUninstall(t *testing.T) {
	needRoot(t)
	r, dir := newRegistry(t)
	name := unique()
	w := workload("cart", netnsAdd(t, name))
	mount := r.Update(declare(w))[w.Key].Place.Mount
	// Mounted twice over: both go.
	if err := unix.Mount(mount, mount, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Uninstall(dir); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder: %v", err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), dir) {
		t.Errorf("mounts are left: %v", err)
	}
	if _, err := os.Stat("/run/netns/" + name); err != nil {
		t.Errorf("the declared network namespace: %v", err)
	}
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	needRoot(t)
	r, _ := newRegistry(t)
	w := workload("cart", netnsAdd(t, unique()))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				r.Update(declare(w))
				r.Refresh()
				r.Problems()
				r.stale()
				r.Update(changes{w.Key: nil})
			}
		})
	}
	wg.Wait()
}

// TestLoopback: as long as it is down there is a problem; when it comes up, Run
// notifies, and the workload is told once more.
func TestLoopback(t *testing.T) {
	needRoot(t)
	r, _ := newRegistry(t)
	name := unique()
	w := workload("cart", netnsAdd(t, name))
	placed := r.Update(declare(w))[w.Key]
	if err := r.Problems()[w.Key]; placed == nil || !placed.Place.Unready || !errors.Is(err, ErrLoopbackDown) {
		t.Fatalf("placed %v, problem %v", placed, err)
	}
	want := *placed.Place
	want.Unready = false
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	again := make(chan changes, 1)
	done := make(chan error, 1)
	go func() {
		done <- r.Run(ctx, func() {
			if got := r.Refresh(); len(got) > 0 {
				again <- got
			}
		})
	}()
	ip(t, "-n", name, "link", "set", "lo", "up")
	if got := (<-again)[w.Key]; got == nil || *got.Place != want {
		t.Errorf("told again is %+v, want a place %+v", got, want)
	}
	if !placed.Place.Unready {
		t.Error("what was told before was changed")
	}
	if len(r.Problems()) != 0 {
		t.Errorf("problems stay: %v", r.Problems())
	}
	if got := r.Refresh(); len(got) != 0 {
		t.Errorf("told a third time: %v", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
