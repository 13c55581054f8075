package main

import (
	"context"
	"errors"
	"syscall"
	"time"

	"sluice.io/sluice/agent"
	"sluice.io/sluice/announce"
	"sluice.io/sluice/netns"
	"sluice.io/sluice/redirect"
	"sluice.io/sluice/source/kube"
)

// leaveWithin bounds the question whether an agent is to leave for good, and is
// shorter than what a pod has to end.
const leaveWithin = 10 * time.Second

// leave removes what an agent has on its node when it is stopped for good: when
// its DaemonSet is gone. Otherwise everything stays for the next agent.
func (o *agentFlags) leave() error {
	if o.daemonSet == "" {
		return nil
	}
	config, _, err := o.access.Connect()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
	defer cancel()
	removed, err := kube.Removed(ctx, config, o.namespace, o.daemonSet)
	if err != nil || !removed {
		return err
	}
	o.cfg.Log.Info("Sluice is uninstalled; its traces are removed from this node", "daemonset", o.daemonSet)
	return removeTraces(o.cfg.Paths, o.cfg.StateDir)
}

// removeTraces is uninstall beside an Envoy that is minded by another: that one
// ends it, and the folder is its, too. The kernel comes first: from then on
// nothing is sent to Envoy.
func removeTraces(paths agent.Paths, stateDir string) error {
	errs := []error{
		redirect.Uninstall(redirect.Config{BPFFS: paths.BPFFS, CgroupRoot: paths.CgroupRoot, EnvoyCgroup: paths.EnvoyCgroup()}),
		announce.Uninstall(announce.Config{}),
		netns.Uninstall(paths.NetnsDir()),
	}
	for dir, entries := range map[string][]string{
		paths.RunDir: {"lock", "sluice.sock", "xds.sock", ".xds-*", "netns", "secrets"},
		stateDir:     {"cluster-state", "cluster-state.*"},
	} {
		// The folders are mounted in a container, and then can't be removed.
		if err := removeFolder(dir, entries...); err != nil && !errors.Is(err, syscall.EBUSY) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
