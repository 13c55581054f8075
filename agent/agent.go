// Package agent wires one node: source, resolve, netns, xds, redirect and
// announce, in an order in which nothing drops. It owns the loop that carries each change from
// the input to Envoy and the kernel, what is known of the mesh at this moment,
// and the socket on which the command line asks for it.
//
// It must not know what routes mean (resolve), how Envoy or the kernel are
// told (xds, redirect), or Kubernetes types.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice.io/sluice/announce"
	"sluice.io/sluice/envoy"
	"sluice.io/sluice/model"
	"sluice.io/sluice/netns"
	"sluice.io/sluice/observe/health"
	"sluice.io/sluice/redirect"
	"sluice.io/sluice/resolve"
	"sluice.io/sluice/source"
	"sluice.io/sluice/xds"
)

// warmTimeout bounds the wait for Envoy to take a change before the kernel is
// told. A healthy Envoy answers within milliseconds; when it does not, waiting
// longer would only hold up L4 changes.
const warmTimeout = 5 * time.Second

// connectTimeout bounds the wait for Envoy's first connection.
const connectTimeout = 10 * time.Second

// beatInterval is how often the loop goes round while it waits for the input.
const beatInterval = time.Second

// retryInterval is the time after which a failed kernel update is tried again.
const retryInterval = 2 * time.Second

// quietInterval is how long the input must not have changed before the new lines
// of objects that only moved are told to the rest.
const quietInterval = 200 * time.Millisecond

// graceInterval is how long at least Envoy goes on serving what the kernel no
// longer sends it: connections that were redirected just before may not have
// been accepted and handed to their listener yet.
const graceInterval = time.Second

// Config tells the agent where things are.
type Config struct {
	Paths
	// Source is where the objects that describe the mesh come from.
	Source Source
	// Node is this node's name, by which it knows what it is to answer for; empty
	// when there are no others.
	Node string
	// StateDir keeps what must survive a restart: last good objects.
	StateDir string
	// EnvoyBinary is the path of the stock Envoy. When it is empty, somebody else
	// runs Envoy, from the same run directory.
	EnvoyBinary string
	// RuntimeNetns are the folders where a container runtime mounts the network
	// namespaces of pods. Workloads are then looked for there only, and Envoy enters
	// by those mounts. When there are none, network namespaces are mounted.
	RuntimeNetns []string
	// EnvoyConcurrency is the number of Envoy's worker threads.
	EnvoyConcurrency int
	// EnvoyMaxHeap is the size of Envoy's heap, in bytes, from which it sheds load;
	// zero means never.
	EnvoyMaxHeap uint64
	// EnvoyUID is the user and group that Envoy runs as.
	EnvoyUID int
	// Version is Sluice's own version, for status.
	Version string
	Log     *slog.Logger
}

// Source is where objects come from: a folder, or a cluster.
type Source interface {
	// Name says where that is, for people.
	Name() string
	// Progress says how far the first reading has come; empty before and after it.
	Progress() string
	// Run calls out, one call after the other: first with all that there is, then
	// with each change, until ctx is done. It then returns nil.
	Run(ctx context.Context, out func(source.Batch)) error
}

// proxy is what the loop needs of xds: additions before the kernel is told,
// removals after.
type proxy interface {
	Prepare(ctx context.Context, d *model.Delta) error
	Retire(ctx context.Context) error
	Status() xds.Status
}

// kernel is what the loop needs of redirect.
type kernel interface {
	Sync(m *model.Mesh) error
	Apply(d *model.Delta) error
	Dump() (*redirect.Dump, error)
}

// addresses is what the loop needs of announce.
type addresses interface {
	Sync(m *model.Mesh) error
	Apply(d *model.Delta) error
}

// Agent is one node's control loop.
type Agent struct {
	cfg      Config
	log      *slog.Logger
	source   Source
	resolver *resolve.Resolver
	registry *netns.Registry
	server   *xds.Server
	envoy    *envoy.Supervisor
	proxy    proxy
	kernel   kernel
	// addresses are gateways' addresses that this node answers for.
	addresses addresses
	state     *state
	batches   chan source.Batch
	refresh   chan struct{}
	// moved are objects of which only file and line changed; see settle.
	moved map[model.ObjectRef]*source.Object
	// pulse is the loop's.
	pulse health.Pulse
	// hung tells that Envoy did not answer when it was last waited for.
	hung bool
	// began tells that Run has got as far as the data path.
	began atomic.Bool
}

// New checks the configuration and allocates; it touches neither kernel nor
// Envoy.
func New(cfg Config) (*Agent, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Source == nil {
		return nil, errors.New("an agent needs a source")
	}
	server := xds.NewServer(xds.Config{
		Socket: cfg.XDSSocket(), Owner: cfg.EnvoyUID, NetnsDir: cfg.NetnsDir(),
		Authorities: systemAuthorities(authorityFiles), Log: cfg.Log.With("part", "xds"),
	})
	a := &Agent{
		cfg:      cfg,
		log:      cfg.Log.With("part", "agent"),
		source:   cfg.Source,
		resolver: resolve.New(),
		registry: netns.New(netns.Config{
			Dir: cfg.NetnsDir(), Top: cfg.CgroupRoot, Runtime: cfg.RuntimeNetns,
			Port: redirect.EnvoyPort, Listener: cfg.EnvoyCgroup(), Log: cfg.Log.With("part", "netns"),
		}),
		server:  server,
		proxy:   server,
		state:   newState(),
		batches: make(chan source.Batch),
		refresh: make(chan struct{}, 1),
		moved:   map[model.ObjectRef]*source.Object{},
	}
	if cfg.EnvoyBinary != "" {
		a.envoy = envoy.New(cfg.Envoy())
	}
	return a, nil
}

// Envoy is the configuration of the Envoy that belongs to an agent.
func (c Config) Envoy() envoy.Config {
	return envoy.Config{
		Binary: c.EnvoyBinary, Dir: c.EnvoyDir(), Cgroup: c.EnvoyCgroup(), XDSSocket: c.XDSSocket(),
		Concurrency: c.EnvoyConcurrency, MaxHeap: c.EnvoyMaxHeap, UID: c.EnvoyUID, GID: c.EnvoyUID, Log: c.Log.With("part", "envoy"),
	}
}

// Run serves until ctx is done, and then leaves the data path as it is: pinned
// programs and the running Envoy go on with the last state, and the next Run
// takes them over. Whoever calls has the lock of the run directory meanwhile.
func (a *Agent) Run(ctx context.Context) error {
	a.pulse.Beat()
	if err := a.preflight(ctx); err != nil {
		return err
	}
	claim, err := a.claim(ctx)
	if err != nil {
		return err
	}
	defer claim.Drop()
	datapath, err := redirect.Open(a.redirectConfig())
	if err != nil {
		return fmt.Errorf("open the data path: %w", err)
	}
	defer func() {
		if err := datapath.Close(); err != nil {
			a.log.Warn("close the data path", "err", err)
		}
	}()
	a.kernel = datapath
	a.began.Store(true)
	announcer, err := announce.New(announce.Config{Node: a.cfg.Node, Log: a.cfg.Log.With("part", "announce")})
	if err != nil {
		return err
	}
	defer func() {
		if err := announcer.Close(); err != nil {
			a.log.Warn("close the addresses", "err", err)
		}
	}()
	a.addresses = announcer

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.server.Run(ctx) })
	if a.envoy != nil {
		group.Go(func() error { return a.envoy.Run(ctx) })
	}
	group.Go(func() error { return announcer.Run(ctx) })
	group.Go(func() error { return a.registry.Run(ctx, a.notifyRefresh) })
	group.Go(func() error { return a.serveAPI(ctx) })
	group.Go(func() error { return a.loop(ctx) })
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	a.log.Info("stopped; the data path stays as it is", "remove", "sluice uninstall")
	return nil
}

// Began tells whether Run has taken the data path over: before, what is there is
// of others.
func (a *Agent) Began() bool { return a.began.Load() }

// preflight says at the start what would otherwise fail obscurely later.
func (a *Agent) preflight(ctx context.Context) error {
	for _, f := range redirect.Check(a.redirectConfig()) {
		if !f.OK && f.Required {
			return fmt.Errorf("this machine cannot run Sluice: %s: %s; %s", f.Name, f.Detail, f.Fix)
		}
	}
	version := "run by another"
	if a.envoy != nil {
		var err error
		if version, err = envoy.CheckVersion(ctx, a.cfg.EnvoyBinary); err != nil {
			return err
		}
	}
	a.log.Info("starting", "version", a.cfg.Version, "envoy", version, "source", a.source.Name(), "run-dir", a.cfg.RunDir)
	for dir, mode := range map[string]os.FileMode{
		a.cfg.RunDir: 0o755, a.cfg.EnvoyDir(): 0o755, a.cfg.NetnsDir(): 0o755, a.cfg.StateDir: 0o700, a.cfg.EnvoyCgroup(): 0o755,
	} {
		if err := os.MkdirAll(dir, mode); err != nil {
			return fmt.Errorf("create %s: %w", dir, err)
		}
	}
	return nil
}

// claim locks the data path, before anything of it is touched.
func (a *Agent) claim(ctx context.Context) (*Claim, error) {
	if err := redirect.MakePinFolder(a.cfg.BPFFS); err != nil {
		return nil, err
	}
	// Whoever can open the folder could lock it.
	if err := os.Chmod(a.cfg.ownCgroup(), 0o700); err != nil {
		return nil, fmt.Errorf("close the cgroup to everybody but root: %w", err)
	}
	return a.cfg.Claim(ctx, a.cfg.StateDir)
}

func (a *Agent) redirectConfig() redirect.Config {
	return redirect.Config{
		BPFFS: a.cfg.BPFFS, CgroupRoot: a.cfg.CgroupRoot, EnvoyCgroup: a.cfg.EnvoyCgroup(),
		Log: a.cfg.Log.With("part", "redirect"),
	}
}

func (a *Agent) notifyRefresh() {
	select {
	case a.refresh <- struct{}{}:
	default: // one is waiting already, and covers this one
	}
}

// Paths are the places that the agent shares with the command line.
type Paths struct {
	// RunDir holds sockets, network namespace mounts and Envoy's files.
	RunDir string
	// BPFFS is the folder on a bpf filesystem for pins.
	BPFFS string
	// CgroupRoot is the cgroup2 directory under which clients are steered: the
	// root of the hierarchy, unless only a part of the machine is to be meshed.
	CgroupRoot string
}

// NetnsDir is where workloads' network namespaces are mounted for Envoy.
func (p Paths) NetnsDir() string { return filepath.Join(p.RunDir, "netns") }

// EnvoyDir holds Envoy's bootstrap, log and admin socket.
func (p Paths) EnvoyDir() string { return filepath.Join(p.RunDir, "envoy") }

// XDSSocket is where Envoy fetches its configuration.
func (p Paths) XDSSocket() string { return filepath.Join(p.RunDir, "xds.sock") }

// APISocket is where the command line asks its questions.
func (p Paths) APISocket() string { return filepath.Join(p.RunDir, "sluice.sock") }

// EnvoyCgroup is the cgroup that proves to the kernel that a socket is Envoy's.
func (p Paths) EnvoyCgroup() string { return filepath.Join(p.CgroupRoot, "sluice", "envoy") }
