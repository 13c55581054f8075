package redirect

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"

	"sluice.io/sluice/model"
)

// Datapath is the open data path. Its methods are safe for concurrent use.
type Datapath struct {
	cfg  Config
	node *nodeNetns
	maps map[string]*ebpf.Map
	dir  string // of the maps' pins

	mu      sync.Mutex
	planner *planner
	hooks   []hook // loaded, until they are attached
}

// Open loads the programs, and opens the pinned maps or makes them. What an
// earlier run attached goes on unchanged: the first Sync replaces it once the
// maps are right. Only what watches Envoy listen is attached at once, so Open
// has to come before Envoy is given its listeners.
//
// Gateways are served in the network namespace of the thread that calls Open.
func Open(cfg Config) (*Datapath, error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("raise the limit of locked memory (run as root?): %w", err)
	}
	if err := MakePinFolder(cfg.BPFFS); err != nil {
		return nil, err
	}
	node, err := openNodeNetns()
	if err != nil {
		return nil, err
	}
	d := &Datapath{cfg: cfg, node: node}
	if err := d.load(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Datapath) load() error {
	var err error
	if d.maps, d.dir, err = openMaps(d.cfg); err != nil {
		return err
	}
	have := newTables()
	for _, t := range have.all() {
		if err := t.load(d.maps[t.mapName()]); err != nil {
			return err
		}
	}
	d.planner = newPlanner(have)
	hooks, err := loadHooks(d.cfg, d.node, d.maps)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(hooks, func(h hook) bool { return h.name == watcher })
	watch := hooks[i : i+1 : i+1]
	defer closeHooks(watch)
	d.hooks = slices.Concat(hooks[:i], hooks[i+1:])
	if err := attachAll(d.cfg, watch); err != nil {
		return err
	}
	if err := d.adopt(); err != nil {
		d.cfg.log().Warn("Envoy listens for gateways already, and its sockets cannot be taken over: gateways are refused until Envoy is restarted", "err", err)
	}
	return nil
}

// Sync makes the maps hold exactly this mesh, disturbing nothing that stays the
// same, and then attaches the programs if this Datapath has not yet: so no
// connection ever meets half-filled maps.
func (d *Datapath) Sync(m *model.Mesh) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.planner.markAll()
	problems := d.change(d.planner.replacement(m))
	if errors.Is(problems, errNotDone) {
		return problems
	}
	if err := d.attach(); err != nil {
		return errors.Join(problems, err)
	}
	// What is swept may serve the programs of an earlier run: not before they
	// were replaced.
	return errors.Join(problems, carryOut(d.maps, d.planner.sweep()), d.sweepTallies())
}

// Apply carries out a change, with work in proportion to it. It is carried out
// as far as it can be planned: a frontend that cannot stays as it was, and is
// told of in the error. When the maps have no room for it (ErrFull), nothing of
// it is done, and it is forgotten. When the kernel fails in between, the next
// Apply or Sync goes on where this one stopped.
func (d *Datapath) Apply(delta *model.Delta) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.change(delta)
}

// errNotDone tells that a change was not carried out to its end.
var errNotDone = errors.New("the kernel does not have all of this change")

func (d *Datapath) change(delta *model.Delta) error {
	back := d.planner.inverse(delta)
	problems := d.planner.merge(delta)
	ops := d.planner.plan()
	if err := fits(d.maps, ops); err != nil {
		return errors.Join(problems, errNotDone, err, d.planner.merge(back))
	}
	if err := carryOut(d.maps, ops); err != nil {
		return errors.Join(problems, errNotDone, err)
	}
	d.dropTallies(d.planner.settle())
	return problems
}

// dropTallies removes the counters of frontends that are no more. One that a
// program writes in the same moment is left to the next Sync.
func (d *Datapath) dropTallies(frontends []uint32) {
	for _, id := range frontends {
		_ = d.maps["sl_tallies"].Delete(id) // mostly not there: nobody dialled it
	}
}

func (d *Datapath) sweepTallies() error {
	tallies, err := readTallies(d.maps["sl_tallies"])
	if err != nil {
		return err
	}
	held := d.planner.frontendIDs.held()
	for id := range tallies {
		if !held[id] {
			d.dropTallies([]uint32{id})
		}
	}
	return nil
}

func (d *Datapath) attach() error {
	if d.hooks == nil {
		return nil
	}
	if err := attachAll(d.cfg, d.hooks); err != nil {
		return err
	}
	d.cfg.log().Info("kernel programs attached", "hooks", len(d.hooks), "cgroup", d.cfg.CgroupRoot, "netns", d.node.cookie)
	closeHooks(d.hooks)
	d.hooks = nil
	return removeOldLayouts(d.cfg, d.dir)
}

// Close gives up the handles. Pins, and with them the data path, stay.
func (d *Datapath) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	closeHooks(d.hooks)
	d.hooks = nil
	closeMaps(d.maps)
	return d.node.File.Close()
}

// Uninstall detaches everything and removes all pins. It does not mind what is
// gone already. A bpf filesystem that was mounted stays mounted.
func Uninstall(cfg Config) error {
	if cfg.BPFFS == "" {
		return errors.New("uninstall: no pin folder given")
	}
	return removePins(cfg.BPFFS)
}
