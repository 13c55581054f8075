package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice.io/sluice/model"
)

func TestMain(m *testing.M) {
	if told := os.Getenv("SLT_HOLD"); told != "" {
		if err := runHolder(told); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

var serial atomic.Int32

// unique returns a name for something on this machine that is this test's own.
func unique() string { return fmt.Sprintf("slt-%d-%d", os.Getpid(), serial.Add(1)) }

func needRoot(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs root and a kernel")
	}
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// netnsAdd makes a named network namespace and returns its path.
func netnsAdd(t *testing.T, name string) string {
	t.Helper()
	ip(t, "netns", "add", name)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", name).Run() })
	return "/run/netns/" + name
}

func newRegistry(t *testing.T) (*Registry, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "netns")
	t.Cleanup(func() {
		if err := Uninstall(dir); err != nil {
			t.Error(err)
		}
	})
	return New(Config{Dir: dir}), dir
}

func workload(name, path string) *model.Workload {
	return &model.Workload{Key: model.WorkloadKey{Namespace: "shop", Name: name}, ServiceAccount: "sa", Netns: path}
}

type changes = map[model.WorkloadKey]*model.Workload

func declare(w *model.Workload) changes { return changes{w.Key: w} }

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// mounted lists what is in a folder of mounts, relative to it.
func mounted(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	_ = filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			out = append(out, rel)
		}
		return nil
	})
	return out
}

func TestFoundLostAndReplaced(t *testing.T) {
	needRoot(t)
	r, dir := newRegistry(t)
	name := unique()
	w := workload("cart", "/run/netns/"+name)
	if got := r.Update(declare(w)); len(got) != 0 {
		t.Fatalf("placed before it is there: %v", got)
	}
	if err := r.Problems()[w.Key]; !errors.Is(err, ErrAbsent) {
		t.Fatalf("problem: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	notified := make(chan struct{}, 1)
	done := make(chan error, 1)
	go func() {
		done <- r.Run(ctx, func() {
			select {
			case notified <- struct{}{}:
			default:
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	var last changes
	refresh := func() bool {
		select {
		case <-notified:
			last = r.Refresh()
			return len(last) > 0
		default:
			return false
		}
	}

	netnsAdd(t, name)
	eventually(t, "found", refresh)
	first := last[w.Key].Place
	if want := fmt.Sprintf("%s/shop/sa/cart-%d", dir, first.Cookie); first.Mount != want || first.CgroupID != 0 {
		t.Errorf("placed at %+v, want mount %s", first, want)
	}
	if err := r.Problems()[w.Key]; !errors.Is(err, ErrLoopbackDown) {
		t.Errorf("problem of a placed workload: %v", err)
	}

	ip(t, "netns", "del", name)
	eventually(t, "lost", refresh)
	if got, ok := last[w.Key]; !ok || got != nil {
		t.Errorf("lost: %v", last)
	}
	if left := mounted(t, dir); len(left) != 0 {
		t.Errorf("mounts left: %v", left)
	}

	netnsAdd(t, name)
	eventually(t, "found again", refresh)
	second := last[w.Key].Place
	if second.Cookie == first.Cookie || second.Mount == first.Mount {
		t.Errorf("another network namespace has the old place: %+v, %+v", first, second)
	}
	if left := mounted(t, dir); len(left) != 1 {
		t.Errorf("mounts: %v", left)
	}
}
