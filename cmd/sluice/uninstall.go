package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"sluice.io/sluice/agent"
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
those through Envoy end after its drain time. Safe to repeat.`,
		Args: cobra.NoArgs,
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
			return uninstall(paths, stateDir)
		},
	}
	cmd.Flags().StringVar(&stateDir, "state-dir", "/var/lib/sluice", "folder that keeps the last good state of broken objects over restarts")
	addPathFlags(cmd, &paths, true)
	return cmd
}

// uninstall goes on after a failure, so that as much as possible is gone. The
// kernel comes first: from then on nothing new is sent to Envoy.
func uninstall(paths agent.Paths, stateDir string) error {
	errs := []error{
		redirect.Uninstall(redirect.Config{BPFFS: paths.BPFFS, CgroupRoot: paths.CgroupRoot, EnvoyCgroup: paths.EnvoyCgroup()}),
		envoy.Stop(envoy.Config{Dir: paths.EnvoyDir(), Cgroup: paths.EnvoyCgroup()}),
		netns.Uninstall(paths.NetnsDir()),
	}
	for _, dir := range []string{paths.EnvoyCgroup(), filepath.Dir(paths.EnvoyCgroup())} {
		if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove the cgroup: %w", err))
		}
	}
	errs = append(errs,
		removeFolder(paths.RunDir, "lock", "sluice.sock", "xds.sock", ".xds-*", "netns", "envoy"),
		removeFolder(stateDir, "last-good", "good-states", "good-states.next"))
	return errors.Join(errs...)
}

// removeFolder removes what Sluice makes in a folder, and then the folder unless
// somebody else keeps something there.
func removeFolder(dir string, entries ...string) error {
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
	if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	return nil
}
