// Package lab makes, on one machine, what a node of a mesh has: a network
// namespace of the node's own that routes between its pods, pods as network
// namespaces with cgroups and real processes in them, and a running sluice with
// its Envoy. Tests and the demo build on it.
//
// Everything it makes carries the [Lab]'s prefix and lives in places of its own
// (network namespaces, a cgroup, a bpffs folder, a folder for files), so that
// nothing else on the machine is touched, and that a later run can sweep what a
// killed one left behind. It knows Sluice by its command line only.
package lab
