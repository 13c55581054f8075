// Package model is the mesh in Sluice's own words: what clients dial
// ([Frontend]), what traffic is sent to ([Backend], [Endpoints]), who dials
// ([Workload]), and how requests are routed ([HTTPRouting], [L4Routing]).
//
// It owns the vocabulary that resolve writes and that the sinks (xds,
// redirect) and explain read. It imports only the standard library: it must
// not know Kubernetes, Envoy or eBPF types. A test enforces that.
//
// Every object knows its [Origin], so that any decision made from it can be
// traced to a rule of a resource in a file. Objects are immutable once they
// have left resolve: a change is a new object in a [Delta].
package model
