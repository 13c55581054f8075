package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"sluice.io/sluice/agent"
	"sluice.io/sluice/announce"
	"sluice.io/sluice/netns"
	"sluice.io/sluice/redirect"
	"sluice.io/sluice/source/kube"
)

// lockPatience is how long an agent waits for the one before it to end: longer than
// a pod has to.
const lockPatience = 45 * time.Second

// leaveWithin bounds the question whether an agent is to leave for good. What is
// removed then takes a second or two, and all of it less than a pod has to end.
const leaveWithin = 15 * time.Second

// tenure is what an agent knows of its place on the node; nil for an agent that is
// no pod of a DaemonSet, which never leaves by itself.
type tenure interface {
	Ended(ctx context.Context) (bool, error)
}

// watchPlace watches an agent's place until it is told to stop.
func (o *agentFlags) watchPlace() (t tenure, stop func(), err error) {
	if o.daemonSet == "" {
		return nil, func() {}, nil
	}
	config, _, err := o.access.Connect()
	if err != nil {
		return nil, nil, err
	}
	place := kube.Place{Namespace: o.namespace, DaemonSet: o.daemonSet, Node: o.cfg.Node}
	watched, err := kube.NewTenure(config, place, o.cfg.Log.With("part", "place"))
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background()) // until after the agent has been stopped
	var watching sync.WaitGroup
	watching.Go(func() { watched.Run(ctx) })
	return watched, func() { cancel(); watching.Wait() }, nil
}

// leave removes what an agent has on its node when that is not for a next one to
// take over. Whoever calls has the lock; when it had not begun, all that there is is of
// others.
func leave(began bool, t tenure, remove func() error) error {
	if !began || t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
	defer cancel()
	ended, err := t.Ended(ctx)
	if err != nil {
		return fmt.Errorf("everything stays on this node; if Sluice is uninstalled, `sluice uninstall` removes it: %w", err)
	}
	if !ended {
		return nil
	}
	return remove()
}

// removeTraces is uninstall beside an Envoy that is minded by another: that one
// ends it, and the folder is its, too. The kernel comes first: from then on
// nothing is sent to Envoy.
func (o *agentFlags) removeTraces(lock *agent.Lock) error {
	paths := o.cfg.Paths
	claim, err := paths.Claim(context.Background(), o.cfg.StateDir)
	if err != nil {
		return err
	}
	defer claim.Drop()
	o.cfg.Log.Info("this node has lost its place for an agent; the traces of Sluice are removed from it", "daemonset", o.daemonSet)
	err = errors.Join(
		redirect.Uninstall(redirect.Config{BPFFS: paths.BPFFS, CgroupRoot: paths.CgroupRoot, EnvoyCgroup: paths.EnvoyCgroup()}),
		announce.Uninstall(announce.Config{}),
		netns.Uninstall(paths.NetnsDir()),
	)
	for _, failed := range []error{
		removeFolder(o.cfg.StateDir, nil, "cluster-state", "cluster-state.*"),
		removeFolder(paths.RunDir, lock, "sluice.sock", "xds.sock", ".xds-*", "netns", "secrets", "shm"),
	} {
		if !errors.Is(failed, syscall.EBUSY) { // the folders are mounted in a container, and then can't be removed
			err = errors.Join(err, failed)
		}
	}
	return err
}
