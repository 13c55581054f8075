package redirect

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// CgroupRoot finds where the cgroup2 hierarchy is mounted: not always at
// /sys/fs/cgroup, since a machine may have cgroup v1 controllers there.
func CgroupRoot() (string, error) {
	mounts, err := cgroupMounts()
	if err != nil {
		return "", err
	}
	for _, m := range mounts {
		if m.root == "/" {
			return m.path, nil
		}
	}
	if len(mounts) > 0 {
		return mounts[0].path, nil
	}
	return "", errors.New("no cgroup2 hierarchy is mounted: boot with cgroup2, or `mount -t cgroup2 none /sys/fs/cgroup/unified`")
}

type cgroupMount struct{ root, path string }

// cgroupMounts reads the mounts of type cgroup2; see proc_pid_mountinfo(5).
func cgroupMounts() ([]cgroupMount, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("find the cgroup2 hierarchy: %w", err)
	}
	defer f.Close()
	var out []cgroupMount
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if len(fields) > 4 && strings.HasPrefix(after, "cgroup2 ") {
			out = append(out, cgroupMount{root: fields[3], path: fields[4]})
		}
	}
	return out, lines.Err()
}

// cgroupID is the id by which programs know a cgroup: its inode number.
func cgroupID(dir string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return 0, fmt.Errorf("cgroup %s: %w", dir, err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, fmt.Errorf("cgroup %s: %w", dir, err)
	}
	if fs.Type != unix.CGROUP2_SUPER_MAGIC {
		return 0, fmt.Errorf("%s is not a directory of the cgroup2 hierarchy", dir)
	}
	return st.Ino, nil
}

// cgroupLevel is a cgroup's depth below the root of the hierarchy.
func cgroupLevel(dir string) (uint32, error) {
	mounts, err := cgroupMounts()
	if err != nil {
		return 0, err
	}
	for _, m := range mounts {
		rel, err := filepath.Rel(m.path, dir)
		if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
			continue
		}
		path := filepath.Join(m.root, rel)
		return uint32(strings.Count(strings.TrimRight(path, "/"), "/")), nil
	}
	return 0, fmt.Errorf("%s is under no cgroup2 mount", dir)
}
