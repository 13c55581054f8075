// Package controller does for a cluster what one has to do: it writes statuses,
// gives each Gateway a Service and addresses, and copies what Gateways refer to
// into the one namespace that agents may read.
//
// It owns all writes to the API server, and that only one replica makes them. It
// must not know what routes and Gateways mean (resolve), nor how traffic is
// served.
//
// The replica that leads reads the cluster through source/kube, in one
// goroutine: what it resolves becomes wishes, a status for this object, a
// Service with these fields. Workers fulfil them: each compares a wish with what
// the API server last told, and writes only where they differ. So whatever is
// lost, refused or changed by others is put right by looking again, and nothing
// is written that is there already.
package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"

	"sluice.io/sluice/controller/status"
	"sluice.io/sluice/observe/health"
)

// Name is how Sluice calls itself in GatewayClasses and in statuses.
const Name = status.Controller

// writeTimeout bounds a write, so that no worker stands still.
const writeTimeout = 30 * time.Second

// Options say how the controller works.
type Options struct {
	// Config reaches the API server.
	Config *rest.Config
	// Namespace is the controller's own: its Lease is there, and so are the pods of
	// the nodes' Envoys and agents.
	Namespace string
	// Identity tells replicas apart; the pod's name.
	Identity string
	// EnvoyPods and AgentPods select the pods of the nodes' Envoys and agents by their
	// labels.
	EnvoyPods, AgentPods string
	// Copies is the namespace of copies of Secrets and ConfigMaps.
	Copies string
	// Lease is the name of the Lease; empty means "sluice-controller".
	Lease string
	Log   *slog.Logger
}

// Controller is one replica.
type Controller struct {
	opts    Options
	log     *slog.Logger
	client  dynamic.Interface
	metrics *metrics
	leading leading
	term    atomic.Pointer[term] // of the leader
}

// New allocates a controller. It asks the API server nothing yet.
func New(o Options) (*Controller, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Lease == "" {
		o.Lease = "sluice-controller"
	}
	if o.Namespace == "" || o.Identity == "" || o.Copies == "" {
		return nil, errors.New("a controller needs its namespace, its name, and the namespace of copies")
	}
	config := rest.CopyConfig(o.Config)
	config.Timeout = writeTimeout
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("reach the API server: %w", err)
	}
	c := &Controller{opts: o, log: o.Log, client: client, metrics: newMetrics()}
	c.leading.watch = leaderelection.NewLeaderHealthzAdaptor(stale)
	return c, nil
}

// Run works until ctx is done, or until it has lost the lead: a process that has
// led must end then, and start anew.
func (c *Controller) Run(ctx context.Context) error {
	return c.elect(ctx, c.lead)
}

// lead is what the leader does.
func (c *Controller) lead(ctx context.Context) error {
	t, err := newTerm(c)
	if err != nil {
		return err
	}
	c.term.Store(t)
	defer c.term.Store(nil)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return t.source.Run(ctx, t.change) })
	group.Go(func() error { return t.statuses.Run(ctx) })
	group.Go(func() error { return t.objects.Run(ctx) })
	return group.Wait()
}

// Health answers probes, and Prometheus.
func (c *Controller) Health() health.Checks {
	return health.Checks{Live: c.live, Ready: c.ready, More: c.metrics.handler()}
}
