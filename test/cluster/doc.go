// Package cluster brings up a real Kubernetes on one machine and takes it down
// again: a control plane and nodes, each in namespaces of its own, from programs
// that package build has built. Nothing is put into the host's network.
//
//	c, err := cluster.Up(ctx, cluster.Config{})
//	...
//	defer c.Down(context.WithoutCancel(ctx))
//
// It owns everything on the host that carries the cluster's name: processes,
// network namespaces, cgroups, files. It must not know what is tested on it.
package cluster
