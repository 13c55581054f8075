package xds

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
	"google.golang.org/grpc"

	"sluice.io/sluice/model"
	"sluice.io/sluice/xds/translate"
)

// DefaultNetnsDir is the folder of the workloads' mounts when none is configured.
const DefaultNetnsDir = "/run/sluice/netns"

// retryEvery is the time between attempts at listeners that Envoy rejected.
const retryEvery = 10 * time.Second

// retireWait bounds how long Retire waits for Envoy.
const retireWait = 10 * time.Second

// Config is what a server needs.
type Config struct {
	// Socket is the path of the unix socket to serve on. A socket that is there is
	// replaced.
	Socket string
	// Owner is the uid that may connect, besides root: Envoy's.
	Owner int
	// NetnsDir is the folder of the workloads' mounts, <run-dir>/netns.
	NetnsDir string
	// Authorities is the file with the certificate authorities of the system that
	// Envoy runs on, for backends that are verified by those; empty means Debian's.
	Authorities string
	Log         *slog.Logger
}

// Server keeps Envoy up to date with the mesh. Its methods may be called
// concurrently.
type Server struct {
	cfg   Config
	store *store

	planning sync.Mutex
	plan     *plan
	finished bool // the first Retire has been
}

// NewServer returns a server that holds no mesh yet. It sends nothing, and so
// leaves a running Envoy with what it has, until the first Prepare.
func NewServer(cfg Config) *Server {
	if cfg.NetnsDir == "" {
		cfg.NetnsDir = DefaultNetnsDir
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &Server{
		cfg:   cfg,
		store: newStore(cfg.Log),
		plan:  newPlan(translate.Options{NetnsDir: cfg.NetnsDir, Authorities: cfg.Authorities}),
	}
}

// Run serves until ctx is done.
func (s *Server) Run(ctx context.Context) error {
	l, err := listen(s.cfg.Socket, s.cfg.Owner)
	if err != nil {
		return err
	}
	b := &bridge{store: s.store, pending: map[*discoveryv3.DeltaDiscoveryRequest]int64{}}
	g := grpc.NewServer(grpc.MaxRecvMsgSize(256 << 20)) // an Envoy that comes back names all it has
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, ads{handler: delta.NewServer(ctx, b, b)})
	failed := make(chan error, 1)
	var serving sync.WaitGroup
	defer serving.Wait()
	serving.Go(func() { failed <- g.Serve(l) })
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			g.Stop()
			return nil
		case err := <-failed:
			return fmt.Errorf("serve xDS on %s: %w", s.cfg.Socket, err)
		case <-tick.C:
			s.store.retryListeners()
		}
	}
}

// listen makes the socket in a folder that nobody else can enter, so that there
// is no moment in which another user could connect, and then moves it.
func listen(path string, owner int) (net.Listener, error) {
	private, err := os.MkdirTemp(filepath.Dir(path), ".xds-")
	if err != nil {
		return nil, fmt.Errorf("make the xDS socket: %w", err)
	}
	defer os.RemoveAll(private)
	made := filepath.Join(private, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("make the xDS socket: %w", err)
	}
	l.SetUnlinkOnClose(false)
	err = errors.Join(os.Chmod(made, 0o600), os.Chown(made, owner, -1), os.Rename(made, path))
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("give the xDS socket to uid %d: %w", owner, err)
	}
	return l, nil
}

// Prepare makes Envoy able to serve what a delta adds or changes: endpoints and
// clusters first, then routes and listeners. It returns when all connected
// Envoys have acknowledged, or rejected, what was sent; at once when none is
// connected. What the delta removes goes on being served until the second Retire from now.
//
// The first Prepare brings the whole mesh: whatever Envoy holds beyond it is
// removed by the first Retire.
func (s *Server) Prepare(ctx context.Context, d *model.Delta) error {
	s.planning.Lock()
	defer s.planning.Unlock()
	c := s.plan.grow(d)
	now, later := split(s.store.publish(c, clusters, endpoints, secrets))
	first := s.await(ctx, now)
	// Also when Envoy did not answer in time: what is published is sent whenever it
	// comes back, and nothing is lost.
	news := append(s.store.publish(c, listeners, scopes, routes), later...)
	s.store.remove(c, scopes, routes)
	then := s.await(ctx, news)
	return cmp.Or(first, then)
}

// split takes apart what Envoy asks for on account of clusters, and what it asks
// for only when it knows of listeners: the secrets of those.
func split(news []*resource) (now, later []*resource) {
	for _, r := range news {
		if len(r.parents) > 0 && !slices.ContainsFunc(r.parents, func(p key) bool { return p.kind == clusters }) {
			later = append(later, r)
		} else {
			now = append(now, r)
		}
	}
	return now, later
}

// Retire removes what deltas removed or replaced before the Retire before this
// one, and has not come back: first listeners, and when Envoy has let go of them,
// clusters. So whatever is removed was served for one interval at least, when
// Retire is called at intervals: connections that were on their way to Envoy find
// what they were sent to.
//
// An Envoy that does not answer cannot hold it up for longer than retireWait;
// what is removed is then removed out of order.
func (s *Server) Retire(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, retireWait)
	defer cancel()
	s.planning.Lock()
	defer s.planning.Unlock()
	if s.finished && s.plan.idle() {
		return nil
	}
	s.finished = true
	c := s.plan.shrink()
	news := s.store.publish(c, endpoints, listeners, scopes, routes)
	s.store.remove(c, listeners, scopes, routes)
	s.store.finish()
	first := cmp.Or(s.await(ctx, news), s.awaitIdle(ctx, listeners, scopes, routes))
	s.store.remove(c, clusters, endpoints, secrets)
	return cmp.Or(first, s.awaitIdle(ctx, clusters))
}
