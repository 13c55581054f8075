package main

import (
	"context"
	"flag"
	"fmt"

	"sluice.io/sluice/test/apps/dialer"
)

// agentRole makes connections for a test; see package dialer.
func agentRole(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("agent", flag.ContinueOnError)
	socket := fs.String("socket", "", "path of the unix socket to serve")
	if err := fs.Parse(args); err != nil {
		return err
	}
	return dialer.Serve(ctx, *socket, func() { fmt.Println("ready") })
}
