package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroupDirs returns the folder that a cluster of that name has in each cgroup
// hierarchy, the one of version 2 first. In version 2 it is at the top, where its
// path is the same for all; in version 1 below our own, whose limits hold on.
func cgroupDirs(name string) ([]string, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	own := map[string]string{} // By controller, or name=NAME.
	for line := range strings.Lines(string(groups)) {
		if f := strings.SplitN(strings.TrimSpace(line), ":", 3); len(f) == 3 {
			own[f[1]] = f[2]
		}
	}
	var v2 string
	var dirs []string
	for line := range strings.Lines(string(mounts)) {
		left, right, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(left), strings.Fields(right)
		if !ok || len(f) < 5 || len(g) < 3 {
			continue
		}
		root, at := f[3], f[4]
		switch g[0] {
		case "cgroup2":
			v2 = filepath.Join(at, name)
		case "cgroup":
			path, ok := ownOf(own, g[2])
			if !ok {
				continue
			}
			if rel, err := filepath.Rel(root, path); err == nil && !strings.HasPrefix(rel, "..") {
				path = rel
			}
			dirs = append(dirs, filepath.Join(at, path, name))
		}
	}
	if v2 == "" {
		return nil, errors.New("no cgroup version 2 hierarchy is mounted: mount one at /sys/fs/cgroup/unified, or at /sys/fs/cgroup")
	}
	return append([]string{v2}, dirs...), nil
}

// ownOf finds our group in the hierarchy with those mount options, once.
func ownOf(own map[string]string, options string) (string, bool) {
	for controllers, path := range own {
		all := controllers != ""
		for one := range strings.SplitSeq(controllers, ",") {
			all = all && strings.Contains(","+options+",", ","+one+",")
		}
		if all {
			delete(own, controllers) // Mounted at another place, too.
			return path, true
		}
	}
	return "", false
}

// makeCgroups makes the cluster's folders and those of its machines.
func (c *Cluster) makeCgroups(machines []string) error {
	for _, dir := range c.state.Cgroups {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make cgroup: %w", err)
		}
		if err := inheritCPUs(dir); err != nil {
			return err
		}
		if len(c.state.Cgroups) == 1 { // Version 2 has the controllers.
			if err := handOnControllers(dir); err != nil {
				return err
			}
		}
		for _, m := range machines {
			if err := os.MkdirAll(filepath.Join(dir, m), 0o755); err != nil {
				return fmt.Errorf("make cgroup: %w", err)
			}
		}
	}
	return nil
}

// handOnControllers makes all controllers of a group its children's, too.
func handOnControllers(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(string(b)) {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+name), 0); err != nil {
			return fmt.Errorf("hand on cgroup controller %s: %w", name, err)
		}
	}
	return nil
}

// inheritCPUs lets a group of the old cpuset controller, and those below it, run
// on its parent's processors: it starts with none, and nothing may enter it.
func inheritCPUs(dir string) error {
	clone := filepath.Join(dir, "cgroup.clone_children")
	if _, err := os.Stat(filepath.Join(dir, "cpuset.cpus")); err != nil {
		return nil
	}
	if _, err := os.Stat(clone); err != nil {
		return nil
	}
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, file), b, 0); err != nil {
			return fmt.Errorf("cpuset: %w", err)
		}
	}
	return os.WriteFile(clone, []byte("1"), 0)
}

// killCgroup kills all processes in a group of version 2 and below it.
func killCgroup(dir string) error {
	err := os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("kill what is in the cgroup: %w", err)
	}
	return nil
}

// removeCgroups kills what is in the first folder, of version 2, and removes all.
func removeCgroups(dirs []string) error {
	if len(dirs) == 0 {
		return nil
	}
	if err := killCgroup(dirs[0]); err != nil {
		return err
	}
	// A killed process leaves its groups a moment later.
	deadline := time.Now().Add(30 * time.Second)
	for _, dir := range dirs {
		for {
			err := removeTree(dir)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("remove cgroup %s: %w; it holds processes %s", dir, err, processesIn(dir))
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return nil
}

// removeTree removes a cgroup and those below it; their files are the kernel's.
func removeTree(dir string) error {
	if err := removeBelow(dir); err != nil {
		return err
	}
	if err := unix.Rmdir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// removeBelow removes the cgroups below one.
func removeBelow(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
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
	return nil
}

// processesIn lists the processes in a cgroup and below it.
func processesIn(dir string) []string {
	var pids []string
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "cgroup.procs" {
			b, _ := os.ReadFile(path)
			pids = append(pids, strings.Fields(string(b))...)
		}
		return nil
	})
	return pids
}
