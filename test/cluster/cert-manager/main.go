// Command cert-manager is cert-manager's controllers, webhook and CA injector in
// one process, without its auto-approver: approving is for whoever is tested.
//
// Upstream's own commands are modules that no proxy serves, so this one puts the
// same parts together. The webhook is an internal package, which is why this
// module's path is below cert-manager's. It must not know what is tested.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

// options are the flags.
type options struct {
	kubeconfig string
	namespace  string
	port       int
	names      []string
}

func main() {
	var o options
	var names string
	flags := flag.NewFlagSet("cert-manager", flag.ExitOnError)
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "how to reach the API server")
	flags.StringVar(&o.namespace, "namespace", "cert-manager", "where ClusterIssuers' Secrets are, and the webhook's authority")
	flags.IntVar(&o.port, "webhook-port", 10250, "where the webhook listens")
	flags.StringVar(&names, "webhook-names", "localhost", "host names by which the API server dials the webhook, separated by commas")
	klog.InitFlags(flags)
	_ = flags.Parse(os.Args[1:]) // ends the process itself
	o.names = strings.Split(names, ",")
	ctrl.SetLogger(klog.Background())

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, o); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "cert-manager:", err)
		os.Exit(1)
	}
}

// run runs the three parts until one fails or ctx is done.
func run(ctx context.Context, o options) error {
	group, ctx := errgroup.WithContext(ctx)
	for what, start := range map[string]func(context.Context, *errgroup.Group, options) error{
		"controllers": controllers, "webhook": serveWebhook, "CA injector": inject,
	} {
		if err := start(ctx, group, o); err != nil {
			return fmt.Errorf("start the %s: %w", what, err)
		}
	}
	return group.Wait()
}

// Back-off of Certificates that fail; upstream's defaults.
const (
	firstPause = time.Hour
	lastPause  = 32 * time.Hour
)
