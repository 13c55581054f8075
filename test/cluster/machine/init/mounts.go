package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/test/cluster/machine"
)

const cgroupDir = "/sys/fs/cgroup"

// mountAll gives the machine its own view: /proc, /sys, its part of the cgroups,
// BPF's files, /run and the private folders. What the machine mounts from then on
// spreads within it, as the mounts of pods do, and never to the host.
func mountAll(spec machine.Spec) error {
	if err := unix.Sethostname([]byte(spec.Hostname)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("part from the host's mounts: %w", err)
	}
	if err := mount("proc", "/proc", ""); err != nil {
		return err
	}
	if err := mountSys(); err != nil {
		return err
	}
	if err := mount("tmpfs", "/run", "mode=755"); err != nil {
		return err
	}
	for _, dir := range []string{"/run/netns", "/run/lock"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for _, dir := range spec.Layered {
		if err := layer(filepath.Join(machine.Root(spec.Dir)+"-layers", dir), dir); err != nil {
			return err
		}
	}
	for _, dir := range spec.Private {
		if err := bindDir(filepath.Join(machine.Root(spec.Dir), dir), dir); err != nil {
			return err
		}
	}
	for name, content := range spec.Shown {
		if err := show(filepath.Join(spec.Dir, "shown-"+filepath.Base(name)), filepath.Join("/proc/sys", name), content); err != nil {
			return err
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share mounts within: %w", err)
	}
	return nil
}

func mount(fstype, target, data string) error {
	if err := unix.Mount(fstype, target, fstype, 0, data); err != nil {
		return fmt.Errorf("mount %s (%s) at %s: %w", fstype, data, target, err)
	}
	return nil
}

// mountSys mounts /sys, which shows the devices of the machine's network
// namespace, and below it again what that hides.
func mountSys() error {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return err
	}
	pure := isCgroup2(cgroupDir)
	// Out of sight, the host's mounts below it would still be in the list of mounts.
	if err := unix.Unmount("/sys", unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("unmount the host's /sys: %w", err)
	}
	if err := mount("sysfs", "/sys", ""); err != nil {
		return err
	}
	if pure {
		err = mountPureCgroups()
	} else {
		err = mountHybridCgroups(string(groups))
	}
	if err != nil {
		return err
	}
	for fstype, dir := range map[string]string{"tracefs": "/sys/kernel/tracing", "debugfs": "/sys/kernel/debug"} {
		if err := mount(fstype, dir, ""); err != nil && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EPERM) {
			return err
		}
	}
	return mount("bpf", "/sys/fs/bpf", "")
}

// mountPureCgroups mounts the one hierarchy. The first process leaves its root:
// a group that has processes may not hand controllers on.
func mountPureCgroups() error {
	if err := mount("cgroup2", cgroupDir, ""); err != nil {
		return err
	}
	own := filepath.Join(cgroupDir, "init")
	if err := os.MkdirAll(own, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(own, "cgroup.procs"), []byte("0"), 0)
}

// mountHybridCgroups mounts each hierarchy that /proc/self/cgroup names; the one
// without controllers is version 2.
func mountHybridCgroups(groups string) error {
	if err := mount("tmpfs", cgroupDir, "mode=755"); err != nil {
		return err
	}
	for line := range strings.Lines(groups) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		controllers, fstype, options := f[1], "cgroup", f[1]
		name := strings.TrimPrefix(controllers, "name=")
		switch {
		case controllers == "":
			name, fstype, options = "unified", "cgroup2", ""
		case name != controllers:
			options = "none," + controllers
		}
		dir := filepath.Join(cgroupDir, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		if err := mount(fstype, dir, options); err != nil {
			return err
		}
		if err := linkEach(name); err != nil {
			return err
		}
	}
	return nil
}

// linkEach makes each controller of a shared hierarchy found by its own name.
func linkEach(name string) error {
	if !strings.Contains(name, ",") {
		return nil
	}
	for one := range strings.SplitSeq(name, ",") {
		if err := os.Symlink(name, filepath.Join(cgroupDir, one)); err != nil {
			return err
		}
	}
	return nil
}

func isCgroup2(dir string) bool {
	var s unix.Statfs_t
	return unix.Statfs(dir, &s) == nil && s.Type == unix.CGROUP2_SUPER_MAGIC
}

// layer makes writes to a folder land in another.
func layer(store, dir string) error {
	upper, work := filepath.Join(store, "upper"), filepath.Join(store, "work")
	if err := os.MkdirAll(upper, 0o755); err != nil {
		return err
	}
	if err := os.MkdirAll(work, 0o755); err != nil {
		return err
	}
	return mount("overlay", dir, "lowerdir="+dir+",upperdir="+upper+",workdir="+work)
}

func bindDir(from, to string) error {
	for _, dir := range []string{from, to} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", from, to, err)
	}
	return nil
}

// show puts a file of that content over another.
func show(file, over, content string) error {
	if err := os.WriteFile(file, []byte(content+"\n"), 0o644); err != nil {
		return err
	}
	if err := unix.Mount(file, over, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", file, over, err)
	}
	return nil
}
