package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Kubepods is the folder below which a kubelet keeps the cgroups of pods.
type Kubepods struct {
	// Dir is the folder, in the cgroup2 hierarchy.
	Dir string
	// Systemd tells that systemd's names are used.
	Systemd bool
}

// deepest is how far below the root the folder is looked for: kind has it two
// levels down.
const deepest = 3

// FindKubepods finds it below the root of the hierarchy, or of that part of it
// which is the node's.
func FindKubepods(root string) (Kubepods, error) {
	var found Kubepods
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return skipGone(err)
		}
		name := entry.Name()
		switch {
		case name == "kubepods":
			found = Kubepods{Dir: path}
			return fs.SkipAll
		case name == "kubepods.slice", strings.HasSuffix(name, "-kubepods.slice"):
			found = Kubepods{Dir: path, Systemd: true}
			return fs.SkipAll
		}
		if rel, err := filepath.Rel(root, path); err == nil && strings.Count(rel, "/") >= deepest {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return found, fmt.Errorf("look for the kubelet's cgroups below %s: %w", root, err)
	}
	if found.Dir == "" {
		return found, fmt.Errorf("the kubelet's cgroups (kubepods) are not below %s: is the node's cgroup2 hierarchy mounted there?", root)
	}
	return found, nil
}

func skipGone(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// Pod is the cgroup of a pod by its UID and its quality of service class, such as
// Burstable.
func (k Kubepods) Pod(uid, class string) string {
	class = strings.ToLower(class)
	if class == "guaranteed" || class == "" {
		class = ""
	}
	if !k.Systemd {
		return filepath.Join(k.Dir, class, "pod"+uid)
	}
	slice := strings.TrimSuffix(filepath.Base(k.Dir), ".slice")
	dir := k.Dir
	if class != "" {
		slice += "-" + class
		dir = filepath.Join(dir, slice+".slice")
	}
	return filepath.Join(dir, slice+"-pod"+strings.ReplaceAll(uid, "-", "_")+".slice")
}
