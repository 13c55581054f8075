package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf/link"
)

// traces lists all that a sluice of this world may leave on the machine: folders
// (state, pins and cgroups among them), mounts, processes, unix sockets, listening
// ports of pods, and links of BPF programs.
func traces(t *testing.T, w *world) []string {
	t.Helper()
	found := there(w.RunDir, w.StateDir, w.BPFFS, filepath.Dir(w.EnvoyCgroup()))
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, w.RunDir) {
			found = append(found, "mount "+strings.TrimSpace(line))
		}
	}
	for _, process := range w.Processes() {
		found = append(found, "process "+process)
	}
	found = append(found, unixSockets(t, w)...)
	found = append(found, listening(t, w)...)
	return append(found, attachments(t, w)...)
}

// wantAllTraces proves that the check can fail: a running sluice leaves each kind.
func wantAllTraces(t *testing.T, found []string) {
	t.Helper()
	all := strings.Join(found, "\n")
	for _, kind := range []string{"path /", "mount ", "process ", "unix socket ", "listens ", "link ", "/dev/shm/"} {
		if !strings.Contains(all, kind) {
			t.Errorf("a running Sluice leaves no %q, so the check can't find it:\n%s", kind, all)
		}
	}
}

// there lists those of the paths that are there.
func there(paths ...string) []string {
	var found []string
	for _, path := range paths {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			found = append(found, fmt.Sprintf("path %s (%v)", path, err))
		}
	}
	return found
}

// unixSockets lists those of the node's network namespace, where nobody but
// Sluice and its Envoy has any; abstract ones, which no folder shows, too.
func unixSockets(t *testing.T, w *world) []string {
	t.Helper()
	table, err := w.Run(t.Context(), "cat", "/proc/net/unix")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for i, line := range strings.Split(strings.TrimSpace(table), "\n") {
		if i > 0 {
			found = append(found, "unix socket "+line)
		}
	}
	return found
}

// listening lists Envoy's port in the client's network namespace.
func listening(t *testing.T, w *world) []string {
	t.Helper()
	table, err := w.probePod.Run(t.Context(), "cat", "/proc/net/tcp", "/proc/net/tcp6")
	if err != nil {
		t.Fatal(err)
	}
	const port, listen = ":3A99", "0A" // 15001, TCP_LISTEN
	var found []string
	for line := range strings.Lines(table) {
		if f := strings.Fields(line); len(f) > 3 && strings.HasSuffix(f[1], port) && f[3] == listen {
			found = append(found, "listens "+strings.TrimSpace(line))
		}
	}
	return found
}

// attachments lists the BPF links on the world's cgroups.
func attachments(t *testing.T, w *world) []string {
	t.Helper()
	ids := map[uint64]string{}
	err := filepath.WalkDir(w.CgroupRoot, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			ids[inode(info)] = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return links(t, ids)
}

// inode is a folder's number; that of a cgroup is its id.
func inode(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}

// links lists the BPF links on cgroups, which are given by their ids.
func links(t *testing.T, cgroups map[uint64]string) []string {
	t.Helper()
	return linksOn(t, func(info *link.Info) string {
		if cg := info.Cgroup(); cg != nil {
			return cgroups[cg.CgroupId]
		}
		return ""
	})
}

// netnsLinks lists the BPF links on a network namespace.
func netnsLinks(t *testing.T, path string) []string {
	t.Helper()
	at, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return linksOn(t, func(info *link.Info) string {
		if ns := info.NetNs(); ns != nil && uint64(ns.NetnsInode) == inode(at) {
			return path
		}
		return ""
	})
}

// linksOn lists the BPF links of which where knows the place.
func linksOn(t *testing.T, where func(*link.Info) string) []string {
	t.Helper()
	var found []string
	it := new(link.Iterator)
	defer it.Close()
	for it.Next() {
		info, err := it.Link.Info()
		if err != nil {
			continue // It is gone.
		}
		if place := where(info); place != "" {
			found = append(found, fmt.Sprintf("link %d on %s", info.ID, place))
		}
	}
	if err := it.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}
