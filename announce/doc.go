// Package announce makes gateways' addresses the node's own: those of a pool
// that this node is to answer for become local addresses, and the neighbours on
// the link are told where they are.
//
// It owns one link, a dummy one, and what it adds to the interface through which
// neighbours ask. It must not know Kubernetes, who gave the addresses out, or
// what is served at them: package redirect steers the connections.
//
// The kernel answers for the addresses by itself, so they go on when sluice is
// killed. The link is also the record of what is ours: the next run finds there
// what an earlier one has added.
package announce
