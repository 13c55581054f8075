package lab

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroup2Root finds where the machine has cgroup2 mounted.
func cgroup2Root() (string, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		before, after, _ := strings.Cut(line, " - ")
		f := strings.Fields(before)
		if len(f) > 4 && strings.HasPrefix(after, "cgroup2 ") {
			return f[4], nil
		}
	}
	return "", errors.New("cgroup2 is not mounted: mount -t cgroup2 none /sys/fs/cgroup")
}

// mountBPFFS mounts bpffs where it belongs, unless it is there already. It
// stays: others on the machine may have come to use it.
func mountBPFFS() error {
	var st unix.Statfs_t
	if err := unix.Statfs(bpffsDir, &st); err != nil {
		return fmt.Errorf("look at %s: %w", bpffsDir, err)
	}
	if st.Type == unix.BPF_FS_MAGIC {
		return nil
	}
	if err := unix.Mount("bpf", bpffsDir, "bpf", 0, ""); err != nil {
		return fmt.Errorf("mount bpffs at %s: %w", bpffsDir, err)
	}
	return nil
}
