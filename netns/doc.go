// Package netns finds workloads on this node: it turns a declared path of a
// network namespace, or of a cgroup, into a [model.Place], and mounts the
// namespaces where Envoy finds them.
//
// It owns the folder of mounts, and notices when what was declared appears,
// vanishes or is replaced. It must not know services, routes, Envoy or BPF.
package netns
