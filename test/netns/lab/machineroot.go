package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// machineMark is a file of a node's folder that names the cgroup which sluice
// makes outside of the lab's own, so that the next run finds it.
const machineMark = "machine-cgroup"

// UseMachineRoot makes sluice attach where it does without --cgroup-root: to the
// machine's top cgroup2 folder, which it returns. There must be no sluice yet.
func (n *Node) UseMachineRoot() (string, error) {
	root, err := cgroup2Root()
	if err != nil {
		return "", err
	}
	own := filepath.Join(root, "sluice")
	if _, err := os.Stat(own); !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is there: a sluice runs on this machine, or was not uninstalled", own)
	}
	if err := os.WriteFile(filepath.Join(n.dir, machineMark), []byte(own), 0o600); err != nil {
		return "", err
	}
	n.machine = root
	return root, nil
}

// machineCgroups lists the cgroups outside of a lab's own which the nodes in a
// folder, or the node whose folder it is, have made.
func machineCgroups(dir string) []string {
	var found []string
	for _, pattern := range []string{machineMark, filepath.Join("*", machineMark)} {
		marks, _ := filepath.Glob(filepath.Join(dir, pattern)) // The patterns are right.
		for _, m := range marks {
			if b, err := os.ReadFile(m); err == nil {
				found = append(found, string(b))
			}
		}
	}
	return found
}
