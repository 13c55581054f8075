package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sluice.io/sluice/model"
)

// ErrNotMounted says that the container runtime has not mounted the network
// namespace of a pod's processes where we look.
var ErrNotMounted = errors.New("not among the container runtime's network namespaces")

// runtimeMounts are folders where a container runtime mounts the network
// namespaces of pods, such as /run/netns.
type runtimeMounts []string

// all lists the mounts by the network namespace.
func (r runtimeMounts) all() (map[identity]string, error) {
	all := map[identity]string{}
	for _, dir := range r {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("look for the container runtime's network namespaces: %w", err)
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if id, err := stat(path); err == nil {
				all[id] = path
			}
		}
	}
	return all, nil
}

// findPod finds the network namespace of a pod by its cgroup: the one of its
// processes that the runtime has mounted. Others are passed over: a process that
// is being started is in the node's own for a moment, and one that has made
// itself a network namespace does not leave its pod by that.
func findPod(w *model.Workload, runtime runtimeMounts, d door) (*found, error) {
	dir, err := cgroupDir(w.Cgroup)
	if err != nil {
		return nil, err
	}
	own, err := stat(dir)
	if err != nil {
		return nil, err
	}
	path, err := podNetns(dir, runtime)
	if err != nil {
		return nil, err
	}
	file, id, err := openNetns(path)
	if err != nil {
		return nil, err
	}
	f := &found{netns: file, identity: id, runtime: path}
	f.identity.cgroup = own.ino
	if err := f.inspect(d); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// podNetns returns the runtime's mount of the network namespace that a pod's
// processes are in.
func podNetns(dir string, runtime runtimeMounts) (string, error) {
	mounted, err := runtime.all()
	if err != nil {
		return "", err
	}
	node, err := stat(ownNetns)
	if err != nil {
		return "", err
	}
	delete(mounted, node) // hostNetwork has no place here, whatever is mounted
	pids, err := cgroupPIDs(dir)
	if err != nil {
		return "", err
	}
	found := ""
	for _, pid := range pids {
		id, err := stat(procNetns(pid))
		if err != nil {
			continue // the process has ended
		}
		path := mounted[id]
		switch {
		case path == "" || path == found:
		case found != "":
			return "", fmt.Errorf("the processes of cgroup %s are in different network namespaces of the container runtime: %s and %s", dir, found, path)
		default:
			found = path
		}
	}
	switch {
	case found != "":
		return found, nil
	case len(pids) == 0:
		return "", fmt.Errorf("the first process of cgroup %s is %w", dir, ErrAbsent)
	}
	return "", fmt.Errorf("the network namespace of cgroup %s is %w, in %s", dir, ErrNotMounted, strings.Join(runtime, ", "))
}

// linked tells where a placement's link leads now. A pod whose sandbox is made
// anew keeps its cgroup, but the runtime's mount is gone.
func (p *placement) linked() (identity, error) {
	id, err := stat(p.workload.Place.Mount)
	if err != nil {
		return identity{}, err
	}
	dir, err := cgroupDir(p.workload.Cgroup)
	if err != nil {
		return identity{}, err
	}
	cgroup, err := stat(dir)
	id.cgroup = cgroup.ino
	return id, err
}
