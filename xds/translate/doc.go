// Package translate turns the model into Envoy's resources: listeners, scopes, route
// configurations, clusters, endpoint assignments and secrets, one file per concept.
//
// It owns how Sluice speaks Envoy. All of it is pure: the same model gives the
// same messages, byte for byte, whatever the machine. It must not know how the
// resources reach Envoy (that is xds), nor anything of Kubernetes or eBPF.
//
// How a connection flows through what is made here: the kernel sends it to the
// [Pod] listener in the client's own network namespace; that listener has an
// address and nothing else, and hands the connection to the [VIP] listener of
// the address that the client dialled; there the client's network namespace
// picks the filter chain, the chain's route configuration ([Routes]) picks a
// cluster ([Cluster]), and the upstream connection is made inside the client's
// network namespace, so that it leaves with the client's address.
//
// What comes to gateways comes in by [Entries] and is handed on to the listener
// ([Gateway]) of the address that was dialled; there the server name picks the
// [model.Chain], the chain and the request's host pick the [Scope], and its route
// configuration ([ExactHost], [WideHosts]) picks a cluster.
package translate
