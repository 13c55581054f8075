// Testapp is the program that runs in the pods of Sluice's tests and demo: a
// server that reports what it sees, clients, and an agent that makes
// connections for a test. It knows nothing of Sluice.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sort"
	"strings"
	"syscall"
)

// roles are the program's subcommands. Each parses its own arguments, and
// prints its result as JSON.
var roles = map[string]func(ctx context.Context, args []string) error{
	"serve": serve,
	"agent": agentRole,
	"http":  httpRole,
	"grpc":  grpcRole,
	"ws":    wsRole,
	"tcp":   tcpRole,
	"udp":   udpRole,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "testapp:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		if role, ok := roles[args[0]]; ok {
			return role(ctx, args[1:])
		}
	}
	names := make([]string, 0, len(roles))
	for n := range roles {
		names = append(names, n)
	}
	sort.Strings(names)
	return fmt.Errorf("usage: testapp %s [flags]", strings.Join(names, "|"))
}
