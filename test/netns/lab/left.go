package lab

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sluice.io/sluice/test/namespaces"
)

// sharedMemoryFiles are what Envoys share with their successors; an Envoy that is
// killed leaves its own behind.
const sharedMemoryFiles = "/dev/shm/envoy_shared_memory_"

// Prefix is what all names of the lab on the machine begin with.
func (l *Lab) Prefix() string { return l.prefix }

// Left lists what is on the machine of the lab with that prefix: nothing, after
// the lab was closed or swept.
func Left(prefix string) ([]string, error) {
	root, err := cgroup2Root()
	if err != nil {
		return nil, err
	}
	var left []string
	for _, dir := range []string{os.TempDir(), namespaces.Dir, bpffsDir, root} {
		paths, err := filepath.Glob(filepath.Join(dir, prefix+"*"))
		if err != nil {
			return nil, err
		}
		left = append(left, paths...)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, "/"+prefix) {
			left = append(left, "mount "+strings.TrimSpace(line))
		}
	}
	for _, p := range processes("/" + prefix) {
		left = append(left, "process "+p)
	}
	return left, nil
}

// processes lists those whose command line has the text, but for this one.
func processes(text string) []string {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // The pattern is right.
	var found []string
	for _, f := range files {
		pid := filepath.Base(filepath.Dir(f))
		b, err := os.ReadFile(f)
		if err != nil || pid == fmt.Sprint(os.Getpid()) {
			continue // It has ended, or is this one.
		}
		if bytes.Contains(b, []byte(text)) {
			found = append(found, fmt.Sprintf("%s: %s", pid, bytes.ReplaceAll(b, []byte{0}, []byte{' '})))
		}
	}
	return found
}

// Processes lists those whose command line names the node's run folder.
func (n *Node) Processes() []string { return processes(n.RunDir) }

// SharedMemory lists the files that the node's Envoys share with their successors.
func (n *Node) SharedMemory() []string { return sharedMemory(n.EnvoyCgroup()) }

// sharedMemory lists the shared memory of the Envoys below a cgroup.
func sharedMemory(cgroup string) []string {
	var found []string
	_ = filepath.WalkDir(cgroup, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "cgroup.procs" {
			return nil // What has gone has nothing.
		}
		b, _ := os.ReadFile(path)
		for pid := range bytes.FieldsSeq(b) {
			found = append(found, mapped(string(pid))...)
		}
		return nil
	})
	slices.Sort(found)
	return slices.Compact(found)
}

// mapped lists the shared memory of one process.
func mapped(pid string) []string {
	b, _ := os.ReadFile(filepath.Join("/proc", pid, "maps")) // It may have ended.
	var found []string
	for line := range strings.Lines(string(b)) {
		if i := strings.Index(line, sharedMemoryFiles); i >= 0 {
			found = append(found, strings.Fields(line[i:])[0])
		}
	}
	return found
}
