package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sluice.io/sluice/agent"
	"sluice.io/sluice/announce"
	"sluice.io/sluice/envoy"
	"sluice.io/sluice/netns"
	"sluice.io/sluice/redirect"
)

func uninstallCommand() *cobra.Command {
	var (
		paths    agent.Paths
		stateDir string
	)
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove every trace of Sluice from this node (root)",
		Long: `Detaches the kernel programs, stops the Envoy that sluice started, and removes
pins, mounts, cgroups and files. Connections that the kernel had balanced go on;
those through Envoy have ten seconds to end. Safe to repeat.`,
		Example: "  sluice uninstall\n  sluice uninstall --run-dir /run/other --bpffs /sys/fs/bpf/other",
		Args:    noArguments(seeHelp),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if os.Geteuid() != 0 {
				return errors.New("`sluice uninstall` changes the kernel: run it as root")
			}
			if err := fillCgroupRoot(&paths); err != nil {
				return err
			}
			if _, err := agent.NewClient(paths).Status(cmd.Context()); !errors.Is(err, agent.ErrNotRunning) {
				return fmt.Errorf("a sluice runs with %s: stop it first, or it would install itself again", paths.RunDir)
			}
			found := traces(paths, stateDir)
			lock, err := paths.Lock()
			if err != nil {
				return err
			}
			defer lock.Unlock()
			claim, err := paths.Claim(cmd.Context(), stateDir)
			if err != nil {
				return err
			}
			defer claim.Drop()
			if err := uninstall(lock, paths, stateDir); err != nil {
				return err
			}
			printTraces(cmd.OutOrStdout(), found, paths)
			return nil
		},
	}
	cmd.Flags().StringVar(&stateDir, "state-dir", "/var/lib/sluice", "folder that keeps the last good state of broken objects over restarts")
	addPathFlags(cmd, &paths, true)
	return cmd
}

// trace is a place where Sluice leaves something.
type trace struct{ what, path string }

// traces are the places where something is.
func traces(paths agent.Paths, stateDir string) []trace {
	all := []trace{
		{"programs and maps", paths.BPFFS}, {"Envoy and its files", paths.EnvoyDir()}, {"Envoy's cgroup", paths.EnvoyCgroup()},
		{"mounts of network namespaces", paths.NetnsDir()}, {"sockets", paths.RunDir}, {"last good states", stateDir},
	}
	return slices.DeleteFunc(all, func(t trace) bool {
		_, err := os.Lstat(t.path)
		return errors.Is(err, os.ErrNotExist)
	})
}

func printTraces(w io.Writer, found []trace, paths agent.Paths) {
	if len(found) == 0 {
		fmt.Fprintf(w, "nothing of Sluice is at %s and %s: nothing to remove (another --run-dir, --bpffs, --cgroup-root or --state-dir?)\n", paths.RunDir, paths.BPFFS)
	}
	for _, t := range found {
		state := "removed"
		if _, err := os.Lstat(t.path); err == nil {
			state = "removed ours, others keep theirs in"
		}
		fmt.Fprintf(w, "%s: %s %s\n", t.what, state, t.path)
	}
}

// uninstallDrain is how long connections through Envoy have to end.
const uninstallDrain = 10 * time.Second

// uninstall goes on after a failure, so that as much as possible is gone. The
// kernel comes first: from then on nothing new is sent to Envoy.
func uninstall(lock *agent.Lock, paths agent.Paths, stateDir string) error {
	errs := []error{
		redirect.Uninstall(redirect.Config{BPFFS: paths.BPFFS, CgroupRoot: paths.CgroupRoot, EnvoyCgroup: paths.EnvoyCgroup()}),
		announce.Uninstall(announce.Config{}),
		envoy.Stop(envoy.Config{Dir: paths.EnvoyDir(), Cgroup: paths.EnvoyCgroup(), DrainTime: uninstallDrain}),
		netns.Uninstall(paths.NetnsDir()),
	}
	for _, dir := range []string{paths.EnvoyCgroup(), filepath.Dir(paths.EnvoyCgroup())} {
		if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove the cgroup: %w", err))
		}
	}
	errs = append(errs,
		removeFolder(stateDir, nil, "last-good", "good-states", "good-states.next", "cluster-state", "cluster-state.next"),
		removeFolder(paths.RunDir, lock, "sluice.sock", "xds.sock", ".xds-*", "netns", "envoy", "secrets", "shm"))
	return errors.Join(errs...)
}

// removeFolder removes what Sluice makes in a folder, the lock as the last of it,
// and then the folder unless somebody else keeps something there.
func removeFolder(dir string, lock *agent.Lock, entries ...string) error {
	for _, pattern := range entries {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return fmt.Errorf("look for %s: %w", pattern, err)
		}
		for _, path := range found {
			if err := os.RemoveAll(path); err != nil {
				return fmt.Errorf("remove %s: %w", path, err)
			}
		}
	}
	if lock != nil {
		if err := lock.Remove(); err != nil {
			return err
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	return nil
}
