package model

import "net/netip"

// WorkloadKey identifies a workload of this node.
type WorkloadKey struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// String returns namespace/name.
func (k WorkloadKey) String() string { return k.Namespace + "/" + k.Name }

// Workload is a client of the mesh on this node: a pod, or a service of a plain
// host. Its identity is the network namespace (or, for processes that share the
// node's own network namespace, the cgroup) in which its sockets are made;
// never an address.
type Workload struct {
	Key            WorkloadKey       `json:"key"`
	ServiceAccount string            `json:"serviceAccount"`
	Labels         map[string]string `json:"labels,omitempty"`
	Addresses      []netip.Addr      `json:"addresses,omitempty"`
	// Netns is the declared path of the network namespace; or
	Netns string `json:"netns,omitempty"`
	// Cgroup is the declared path of the cgroup, relative to the cgroup2 root
	// (or absolute), whose processes are the workload.
	Cgroup string `json:"cgroup,omitempty"`
	Origin Origin `json:"origin"`

	// Place is where the workload was found on this node. It is nil as long as
	// it has not been found; package netns fills it in, before the sinks see it.
	Place *Place `json:"place,omitempty"`
}

// Place is a workload found on this node.
type Place struct {
	// Cookie is the kernel's cookie of the network namespace: unique until
	// reboot, never reused.
	Cookie uint64 `json:"cookie"`
	// Mount is the path by which Envoy enters the network namespace:
	// <run dir>/netns/<namespace>/<service account>/<name>-<cookie>. It carries
	// the identity, so it is never reused for another workload.
	Mount string `json:"mount"`
	// CgroupID is the cgroup's id when the workload shares the node's own
	// network namespace and is told apart by its cgroup; otherwise zero.
	CgroupID uint64 `json:"cgroupID,omitempty"`
	// Unready tells that Envoy cannot listen on the loopback of the network namespace
	// yet. What needs it is refused there until it can.
	Unready bool `json:"unready,omitempty"`
	// NoIPv4 and NoIPv6 tell that the loopback has no address of a family, as where
	// IPv6 is switched off.
	NoIPv4 bool `json:"noIPv4,omitempty"`
	NoIPv6 bool `json:"noIPv6,omitempty"`
}
