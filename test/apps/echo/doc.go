// Package echo is what the test programs say to each other: the report of what
// a server saw, the gRPC echo service, and clients for HTTP, gRPC, WebSocket,
// TCP and UDP that take the dial function from their caller.
//
// It must not know Sluice: the programs behave as applications do that have
// never heard of a mesh.
package echo

import (
	"context"
	"net"
)

// DialFunc makes a connection, as net.Dialer.DialContext does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)
