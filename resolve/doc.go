// Package resolve turns Kubernetes objects into the mesh and its gateways: it
// holds the whole meaning of Services, EndpointSlices, Gateways, ListenerSets,
// Gateway API routes and policies, and says in statuses what it made of them.
//
// It owns attachment, precedence, conflicts, references and conditions. It is
// pure: objects in, [model.Delta] and [model.Status] out, no clock, no I/O, no
// goroutine. It must not know files, watches, Envoy or eBPF.
//
// It is incremental. [Resolver.Update] takes the changed objects and passes
// through these stages, each of which touches only what those before it marked:
//
//	ingest       store each object, parsed; keep the reverse indexes
//	claims       who has a cluster address, or a workload's place, that several want
//	credentials  read again the Secrets and ConfigMaps that something refers to
//	gateways     frames: listeners with their conflicts, certificates, addresses
//	policies     how gateways speak to backends
//	services     backends, endpoints; mark routes and frontends that depend on them
//	routes       compile each marked route once for the mesh and once for gateways;
//	             attach it to ports of services and to domains of listeners
//	frontends    merge the routes of one service and one scope; settle conflicts
//	hosts        merge the routes of one domain of one listener
//	ports        what becomes of connections to gateways
//	statuses     write the conditions of what was touched
//
// A frontend's scope is empty for producer routes, or the namespace whose
// clients a consumer route binds. What is made is compared with what was made
// before, and only differences leave the package.
//
// What an object says by itself, other packages read: rules the routes, gateway the
// Gateways and ListenerSets, backend the Services, EndpointSlices and
// BackendTLSPolicies, workload the Workloads. They are pure, and none knows the
// resolver: where they refer to other objects, they ask a function that they are
// given. reference keeps ReferenceGrants and credentials, pool the AddressPools,
// release the installed kinds of the Gateway API, claim what only one can have. Here
// is what depends on what, and what became of each object.
package resolve
