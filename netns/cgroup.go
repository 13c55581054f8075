package netns

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroupDir resolves a declared cgroup: absolute, or relative to where the
// cgroup2 hierarchy is mounted, as /proc/PID/cgroup shows it.
func cgroupDir(declared string) (string, error) {
	if filepath.IsAbs(declared) {
		var fs unix.Statfs_t
		is := unix.Statfs(declared, &fs) == nil
		if is && fs.Type == unix.CGROUP2_SUPER_MAGIC {
			return filepath.Clean(declared), nil
		}
		if is {
			return "", fmt.Errorf("%s is not in the cgroup2 hierarchy", declared)
		}
	}
	root, err := cgroupRoot()
	if err != nil {
		return "", err
	}
	if declared == root || strings.HasPrefix(declared, root+"/") {
		return filepath.Clean(declared), nil
	}
	return filepath.Join(root, declared), nil
}

func cgroupRoot() (string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("find the cgroup2 hierarchy: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if len(fields) > 4 && strings.HasPrefix(after, "cgroup2 ") {
			return fields[4], nil
		}
	}
	return "", errors.Join(errors.New("no cgroup2 hierarchy is mounted"), lines.Err())
}

// cgroupNetns finds the network namespace of a cgroup's processes. They must
// all be in the same: else it would not be known whose connections are meant.
// But once it is known (was), it stays as long as one process is in it: a
// process that makes another network namespace must not end its own steering.
func cgroupNetns(dir string, was identity) (path string, cgroup uint64, err error) {
	own, err := stat(dir)
	if err != nil {
		return "", 0, err
	}
	pids, err := cgroupPIDs(dir)
	if err != nil {
		return "", 0, err
	}
	var first identity
	ambiguous := false
	for _, pid := range pids {
		id, err := stat(procNetns(pid))
		if err != nil {
			continue // the process has ended
		}
		switch {
		case id.sameNetns(was):
			return procNetns(pid), own.ino, nil
		case path == "":
			path, first = procNetns(pid), id
		case id != first:
			ambiguous = true
		}
	}
	switch {
	case path == "":
		return "", 0, fmt.Errorf("the first process of cgroup %s is %w", dir, ErrAbsent)
	case ambiguous:
		return "", 0, fmt.Errorf("the processes of cgroup %s are in different network namespaces: declare one cgroup for each", dir)
	}
	return path, own.ino, nil
}

// cgroupPIDs lists the processes of a cgroup and those below it.
func cgroupPIDs(dir string) ([]string, error) {
	var pids []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed while we walk
		}
		if err != nil || !entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.EOPNOTSUPP) {
			return err
		}
		pids = append(pids, strings.Fields(string(text))...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the processes of cgroup %s: %w", dir, err)
	}
	return pids, nil
}

// below tells whether a cgroup is another one, or below it; by what they are, as
// a hierarchy may be mounted in several places.
func below(dir, top string) bool {
	want, err := stat(top)
	if err != nil {
		return false
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if is, err := stat(dir); err == nil && is == want {
			return true
		}
	}
	return false
}
