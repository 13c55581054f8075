// Package resolve turns Kubernetes objects into the mesh: it holds the whole
// meaning of Services, EndpointSlices and Gateway API routes with Service
// parents (GAMMA), and says in statuses what it made of them.
//
// It owns attachment, precedence, conflicts, references and conditions. It is
// pure: objects in, [model.Delta] and [model.Status] out, no clock, no I/O, no
// goroutine. It must not know files, watches, Envoy or eBPF.
//
// It is incremental. [Resolver.Update] takes the changed objects and passes
// through five stages, each of which touches only what the one before it
// marked:
//
//	ingest     store each object, parsed; keep the reverse indexes
//	claims     which service holds a cluster address that several want
//	services   backends, endpoints; mark routes and frontends that depend on them
//	routes     compile each marked route once, for all its frontends
//	frontends  merge the routes of one service and one scope; settle conflicts
//	statuses   write the conditions of the routes that were touched
//
// A frontend's scope is empty for producer routes, or the namespace whose
// clients a consumer route binds. What is made is compared with what was made
// before, and only differences leave the package.
package resolve
