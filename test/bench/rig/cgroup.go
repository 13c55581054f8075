package rig

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroupRoot finds where cgroup2 is mounted.
func cgroupRoot() (string, error) {
	mounts, err := mountPoints()
	if err != nil {
		return "", err
	}
	for _, m := range mounts {
		if m.fsType == "cgroup2" {
			return m.path, nil
		}
	}
	return "", errors.New("no cgroup2 is mounted: mount it with `mount -t cgroup2 none /sys/fs/cgroup/unified`")
}

type mountPoint struct{ path, fsType string }

// mountPoints lists the mounts of this process, in order of mounting.
func mountPoints() ([]mountPoint, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	defer func() { _ = f.Close() }()
	var found []mountPoint
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if len(fields) > 4 && len(kind) > 0 {
			found = append(found, mountPoint{path: fields[4], fsType: kind[0]})
		}
	}
	return found, lines.Err()
}

// unmountBelow unmounts everything mounted on or below a directory.
func unmountBelow(dir string) error {
	mounts, err := mountPoints()
	if err != nil {
		return err
	}
	var errs []error
	for i := len(mounts) - 1; i >= 0; i-- {
		if p := mounts[i].path; p == dir || strings.HasPrefix(p, dir+"/") {
			if err := unix.Unmount(p, unix.MNT_DETACH); err != nil {
				errs = append(errs, fmt.Errorf("unmount %s: %w", p, err))
			}
		}
	}
	return errors.Join(errs...)
}

// removeCgroup ends all processes in a cgroup and removes it with all below.
func removeCgroup(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0o200); err != nil {
		return fmt.Errorf("end processes: %w", err)
	}
	var err error
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = removeTree(dir); err == nil {
			return nil
		}
	}
	return fmt.Errorf("remove cgroup: %w", err)
}

// removeTree removes a cgroup's directories, deepest first.
func removeTree(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(dir)
}

// CgroupCPU is the CPU time that a cgroup and all below it have used.
func CgroupCPU(dir string) (time.Duration, error) {
	stat, err := os.ReadFile(filepath.Join(dir, "cpu.stat"))
	if err != nil {
		return 0, fmt.Errorf("read CPU time: %w", err)
	}
	for line := range strings.Lines(string(stat)) {
		if value, ok := strings.CutPrefix(line, "usage_usec "); ok {
			usec, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			return time.Duration(usec) * time.Microsecond, err
		}
	}
	return 0, fmt.Errorf("no usage_usec in %s/cpu.stat", dir)
}
