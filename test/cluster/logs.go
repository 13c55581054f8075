package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"sluice.io/sluice/test/cluster/machine"
)

// podLogs is where the kubelet keeps the output of containers, one folder a pod.
const podLogs = "/var/log/pods"

// SaveLogs copies into a folder what is gone once the cluster is down: the logs of
// its components and of all containers, and what the API server says of nodes,
// pods and events. It takes what it can get; the error says what it couldn't.
func (c *Cluster) SaveLogs(ctx context.Context, dir string) error {
	errs := []error{copyFiles(c.log(""), filepath.Join(dir, "components"))}
	for i := 1; i <= c.cfg.Nodes; i++ {
		// From the disk: so there are those of containers that have ended, and no
		// API server is needed.
		from := filepath.Join(machine.Root(c.dir(nodeName(i))), podLogs)
		errs = append(errs, copyFiles(from, filepath.Join(dir, "pods", nodeName(i))))
	}
	for file, args := range map[string][]string{
		"nodes.yaml": {"get", "nodes", "-o", "yaml"},
		"pods.txt":   {"get", "pods", "-A", "-o", "wide"},
		"pods.yaml":  {"get", "pods", "-A", "-o", "yaml"},
		"events.txt": {"get", "events", "-A", "--sort-by=.metadata.creationTimestamp"},
	} {
		errs = append(errs, c.SaveOutput(ctx, filepath.Join(dir, file), args...))
	}
	return errors.Join(errs...)
}

// SaveOutput writes what kubectl prints to a file.
func (c *Cluster) SaveOutput(ctx context.Context, file string, args ...string) error {
	out, err := c.Kubectl(ctx, args...)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(out), 0o644)
}

// copyFiles copies the regular files of a folder and of those below it. Files that
// go away meanwhile, or a folder that isn't there, are nothing to copy.
func copyFiles(from, to string) error {
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && !d.Type().IsRegular() {
			return nil
		}
		if err != nil {
			return err
		}
		rest, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return copyFile(path, filepath.Join(to, rest))
	})
	if err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
