// Package xds serves the mesh to Envoy: it translates the model ([translate]),
// keeps each resource marshalled once, and sends what changed over delta ADS
// on a unix socket.
//
// It owns the order in which Envoy learns of things: what is new before what
// refers to it, what is old after nothing refers to it any more; so that no
// request ever meets a route to a cluster that is not there. Work is in
// proportion to the change. It must not know Kubernetes types or eBPF, nor how
// the Envoy process is run (that is package envoy).
//
// The flow: [Server.Prepare] turns a delta into changed resources (plan.go),
// publishes them to the store (store.go) phase by phase, and waits until each
// connected Envoy has acknowledged them. What is sent on a stream and when is
// decided in one place (stream.go, pump). A resource that Envoy rejects is
// found by halving (reject.go), reported by [Server.Status], and holds up
// nothing else.
//
// What the plan holds: the mesh (plan.go, space.go), gateways' ports and hosts
// (gateway.go, host.go), and who asks for which secret (secret.go).
package xds
