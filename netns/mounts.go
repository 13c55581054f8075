package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/model"
)

// mounts is the folder of bind mounts by which Envoy enters network namespaces:
// <dir>/<namespace>/<service account>/<name>-<cookie>. The path carries the
// workload's identity; the cookie in it keeps it from being used again for
// another network namespace.
type mounts struct{ dir string }

func (m mounts) path(w *model.Workload, cookie uint64) string {
	return filepath.Join(m.dir, w.Key.Namespace, w.ServiceAccount, w.Key.Name+"-"+strconv.FormatUint(cookie, 10))
}

// earlier is the network namespace that an earlier run mounted for a workload,
// if it is still there.
func (m mounts) earlier(w *model.Workload) identity {
	dir := filepath.Join(m.dir, w.Key.Namespace, w.ServiceAccount)
	entries, _ := os.ReadDir(dir) // none on a first run
	for _, e := range entries {
		cookie, ok := strings.CutPrefix(e.Name(), w.Key.Name+"-")
		if _, err := strconv.ParseUint(cookie, 10, 64); !ok || err != nil {
			continue
		}
		if id, err := stat(filepath.Join(dir, e.Name())); err == nil {
			return id
		}
	}
	return identity{}
}

// add mounts an open network namespace, unless an earlier run has.
func (m mounts) add(netns *os.File, path string) error {
	if same(netns, path) {
		return nil
	}
	if err := m.remove(path); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("mount a network namespace for Envoy: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return fmt.Errorf("mount a network namespace for Envoy: %w", err)
	}
	file.Close()
	// The open file, not the declared path: that may be another by now.
	from := fmt.Sprintf("/proc/self/fd/%d", netns.Fd())
	if err := unix.Mount(from, path, "", unix.MS_BIND, ""); err != nil {
		return errors.Join(fmt.Errorf("mount the network namespace %s at %s: %w", netns.Name(), path, err), m.remove(path))
	}
	return nil
}

// link makes a path lead to a mount of the container runtime's.
func (m mounts) link(to, path string) error {
	if now, err := os.Readlink(path); err == nil && now == to {
		return nil
	}
	if err := m.remove(path); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("link a network namespace for Envoy: %w", err)
	}
	if err := os.Symlink(to, path); err != nil {
		return fmt.Errorf("link a network namespace for Envoy: %w", err)
	}
	return nil
}

func same(netns *os.File, path string) bool {
	var a, b unix.Stat_t
	return unix.Fstat(int(netns.Fd()), &a) == nil && unix.Stat(path, &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino
}

// remove unmounts lazily: sockets in the network namespace go on.
func (m mounts) remove(path string) error {
	for {
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break // nothing (more) is mounted there
		}
		if err != nil {
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	// The folders go with their last mount; one that is in use stays.
	for dir := filepath.Dir(path); dir != m.dir && len(dir) > len(m.dir); dir = filepath.Dir(dir) {
		if os.Remove(dir) != nil {
			break
		}
	}
	return nil
}

// sweep removes all mounts but those to keep.
func (m mounts) sweep(keep map[string]bool) error {
	var errs []error
	err := filepath.WalkDir(m.dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && !entry.IsDir() && !keep[path] {
			errs = append(errs, m.remove(path))
		}
		return err
	})
	return errors.Join(append(errs, err)...)
}

// Uninstall removes the folder of mounts with all that is mounted in it.
func Uninstall(dir string) error {
	if err := (mounts{dir: dir}).sweep(nil); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	return nil
}
