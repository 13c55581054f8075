package model

import (
	"maps"
	"net/netip"
)

// Delta is what changed in the mesh, keyed; a nil value means that the object
// is gone. Sinks must do work in proportion to it.
type Delta struct {
	Frontends     map[FrontendKey]*Frontend    `json:"frontends,omitempty"`
	Backends      map[BackendKey]*Backend      `json:"backends,omitempty"`
	Endpoints     map[BackendKey]*Endpoints    `json:"endpoints,omitempty"`
	Workloads     map[WorkloadKey]*Workload    `json:"workloads,omitempty"`
	Ports         map[PortKey]*GatewayPort     `json:"ports,omitempty"`
	Hosts         map[HostKey]*Host            `json:"hosts,omitempty"`
	KeyPairs      map[ObjectRef]*KeyPair       `json:"keyPairs,omitempty"`
	Bundles       map[ObjectRef]*Bundle        `json:"bundles,omitempty"`
	Announcements map[netip.Addr]*Announcement `json:"announcements,omitempty"`
}

// NewDelta returns a delta without changes.
func NewDelta() *Delta {
	return &Delta{
		Frontends:     map[FrontendKey]*Frontend{},
		Backends:      map[BackendKey]*Backend{},
		Endpoints:     map[BackendKey]*Endpoints{},
		Workloads:     map[WorkloadKey]*Workload{},
		Ports:         map[PortKey]*GatewayPort{},
		Hosts:         map[HostKey]*Host{},
		KeyPairs:      map[ObjectRef]*KeyPair{},
		Bundles:       map[ObjectRef]*Bundle{},
		Announcements: map[netip.Addr]*Announcement{},
	}
}

// Empty reports whether nothing changed.
func (d *Delta) Empty() bool {
	return len(d.Frontends)+len(d.Backends)+len(d.Endpoints)+len(d.Workloads)+len(d.Ports)+len(d.Hosts)+len(d.KeyPairs)+len(d.Bundles)+len(d.Announcements) == 0
}

// Merge adds a later delta to this one.
func (d *Delta) Merge(later *Delta) {
	maps.Copy(d.Frontends, later.Frontends)
	maps.Copy(d.Backends, later.Backends)
	maps.Copy(d.Endpoints, later.Endpoints)
	maps.Copy(d.Workloads, later.Workloads)
	maps.Copy(d.Ports, later.Ports)
	maps.Copy(d.Hosts, later.Hosts)
	maps.Copy(d.KeyPairs, later.KeyPairs)
	maps.Copy(d.Bundles, later.Bundles)
	maps.Copy(d.Announcements, later.Announcements)
}

// Mesh is the whole model: what all deltas so far add up to. It is not safe for
// concurrent use.
type Mesh struct {
	Frontends     map[FrontendKey]*Frontend
	Backends      map[BackendKey]*Backend
	Endpoints     map[BackendKey]*Endpoints
	Workloads     map[WorkloadKey]*Workload
	Ports         map[PortKey]*GatewayPort
	Hosts         map[HostKey]*Host
	KeyPairs      map[ObjectRef]*KeyPair
	Bundles       map[ObjectRef]*Bundle
	Announcements map[netip.Addr]*Announcement
}

// NewMesh returns an empty mesh.
func NewMesh() *Mesh { return (*Mesh)(NewDelta()) }

// Apply brings the mesh up to date with a delta.
func (m *Mesh) Apply(d *Delta) {
	merge(m.Frontends, d.Frontends)
	merge(m.Backends, d.Backends)
	merge(m.Endpoints, d.Endpoints)
	merge(m.Workloads, d.Workloads)
	merge(m.Ports, d.Ports)
	merge(m.Hosts, d.Hosts)
	merge(m.KeyPairs, d.KeyPairs)
	merge(m.Bundles, d.Bundles)
	merge(m.Announcements, d.Announcements)
}

// All returns the mesh as one delta that makes it out of nothing.
func (m *Mesh) All() *Delta {
	d := NewDelta()
	(*Mesh)(d).Apply((*Delta)(m))
	return d
}

func merge[K comparable, V any](to, from map[K]*V) {
	for k, v := range from {
		if v == nil {
			delete(to, k)
		} else {
			to[k] = v
		}
	}
}
