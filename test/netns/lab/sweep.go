package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/test/namespaces"
)

const (
	bpffsDir = "/sys/fs/bpf"
	lockName = "lock"
)

// takeLock holds the lab's lock for as long as the process lives.
func takeLock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return f, nil
}

// sweep removes labs of that name whose process is gone, whatever is left of them.
func sweep(name, cgroupRoot string, log *slog.Logger) error {
	prefixes, err := labs(name, cgroupRoot)
	if err != nil {
		return err
	}
	for _, prefix := range prefixes {
		dir := filepath.Join(os.TempDir(), prefix)
		lock, err := takeLock(dir)
		if errors.Is(err, fs.ErrNotExist) && alive(prefix) || err != nil && !errors.Is(err, fs.ErrNotExist) {
			continue // Its process lives.
		}
		log.Info("sweep what a killed run left", "lab", prefix)
		err = remove(prefix, dir, filepath.Join(cgroupRoot, prefix))
		if lock != nil {
			_ = lock.Close()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// labs are the prefixes of all labs of that name of which something is there.
func labs(name, cgroupRoot string) ([]string, error) {
	prefix := regexp.MustCompile("^" + regexp.QuoteMeta(name) + "-[0-9]+")
	found := map[string]bool{}
	for _, dir := range []string{os.TempDir(), namespaces.Dir, bpffsDir, cgroupRoot} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			if p := prefix.FindString(e.Name()); p != "" {
				found[p] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// alive tells whether the process of a lab lives, for one whose lock is gone.
func alive(prefix string) bool {
	_, err := os.Stat(filepath.Join("/proc", prefix[strings.LastIndex(prefix, "-")+1:]))
	return err == nil
}

// remove kills and removes everything of one lab, or of one node.
func remove(prefix, dir, cgroup string) error {
	cgroups := append(machineCgroups(dir), cgroup)
	var shared []string
	var errs []error
	for _, cg := range cgroups {
		shared = append(shared, sharedMemory(cg)...)
	}
	for _, cg := range cgroups {
		errs = append(errs, removeCgroup(cg))
	}
	errs = append(errs,
		os.RemoveAll(filepath.Join(bpffsDir, prefix)),
		unmountBelow(dir),
		removeNetns(prefix),
		os.RemoveAll(dir))
	for _, path := range shared {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// removeNetns removes the named network namespaces that carry the prefix.
func removeNetns(prefix string) error {
	paths, err := filepath.Glob(filepath.Join(namespaces.Dir, prefix+"-*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range paths {
		errs = append(errs, namespaces.Delete(p))
	}
	return errors.Join(errs...)
}

// unmountBelow unmounts everything mounted below dir, the deepest first.
func unmountBelow(dir string) error {
	mounts, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	for i := len(mounts) - 1; i >= 0; i-- {
		if err := unix.Unmount(mounts[i], unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", mounts[i], err)
		}
	}
	return nil
}

// mountsBelow lists the mount points below dir in the order they were mounted.
func mountsBelow(dir string) ([]string, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var found []string
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			found = append(found, f[4])
		}
	}
	return found, nil
}

// removeCgroup kills all processes below a cgroup and removes it.
func removeCgroup(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := killCgroup(path); err != nil {
		return err
	}
	// A killed process leaves its cgroup a moment later.
	deadline := time.Now().Add(10 * time.Second)
	for {
		err := removeTree(path)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("remove cgroup: %w", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// killCgroup sends SIGKILL to all processes below a cgroup.
func killCgroup(path string) error {
	if err := os.WriteFile(filepath.Join(path, "cgroup.kill"), []byte("1"), 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("kill cgroup: %w", err)
	}
	return nil
}

// removeTree removes the folders of a cgroup, whose files are the kernel's.
func removeTree(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(path)
}
