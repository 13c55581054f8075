package netns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice.io/sluice/model"
)

// Registry keeps the workloads that were declared, and where they were found.
// Its methods are safe for concurrent use.
type Registry struct {
	mounts  mounts
	top     string // the cgroup whose processes can be steered; empty: all
	runtime runtimeMounts
	// Where somebody is to listen, and who: see Config.
	port     uint16
	listener string
	log      *slog.Logger
	changed  signal // wakes Run when there is something new to watch

	mu       sync.Mutex
	declared map[model.WorkloadKey]*model.Workload
	placed   map[model.WorkloadKey]*placement
	problems map[model.WorkloadKey]error
	swept    bool
}

// placement is a workload that was found.
type placement struct {
	workload  *model.Workload // with its Place
	found     identity
	condition condition
	looked    time.Time // at its condition
}

// Config says where workloads are looked for, and what for.
type Config struct {
	// Dir is the folder below which network namespaces are mounted.
	Dir string
	// Top is the cgroup to whose processes the rest is attached: those that are not
	// below it are refused; none when it is empty.
	Top string
	// Runtime are the folders in which a container runtime mounts the network
	// namespaces of pods. Where they are named, a workload is found only if its
	// network namespace is mounted in one of them, and Dir holds links to those
	// mounts: so nothing has to be mounted, nor mounts to be passed on to Envoy's
	// container.
	Runtime []string
	// Port is the one on the loopback of each workload where processes of the cgroup
	// Listener are to listen, and nobody else; zero for none.
	Port     uint16
	Listener string
	Log      *slog.Logger
}

// New returns a registry. It touches nothing yet.
func New(cfg Config) *Registry {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	return &Registry{
		mounts: mounts{dir: cfg.Dir}, top: cfg.Top, log: cfg.Log, runtime: runtimeMounts(cfg.Runtime),
		port: cfg.Port, listener: cfg.Listener,
		declared: map[model.WorkloadKey]*model.Workload{},
		placed:   map[model.WorkloadKey]*placement{},
		problems: map[model.WorkloadKey]error{},
	}
}

// door is where somebody is to listen, and who.
func (r *Registry) door() door {
	d := door{port: r.port}
	if id, err := stat(r.listener); err == nil { // it need not be there yet
		d.cgroup = id.ino
	}
	return d
}

// Update declares workloads (nil: no longer) and looks for them. It returns those
// whose place or description changed, with their Place; nil means gone. One that
// is not found is in Problems, and Refresh returns it when it is.
//
// The first Update also removes the mounts that an earlier run left behind and
// that no declared workload has any more.
func (r *Registry) Update(changed map[model.WorkloadKey]*model.Workload) map[model.WorkloadKey]*model.Workload {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, w := range changed {
		if w == nil {
			delete(r.declared, key)
		} else {
			r.declared[key] = w
		}
	}
	out := r.look(slices.SortedFunc(maps.Keys(changed), byName))
	if !r.swept {
		r.sweep()
	}
	r.changed.raise()
	return out
}

// Refresh looks for all declared workloads again, and returns what changed, like
// Update.
func (r *Registry) Refresh() map[model.WorkloadKey]*model.Workload {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.look(slices.SortedFunc(maps.Keys(r.declared), byName))
}

// Problems says why workloads are not placed, or of those that are, what they
// lack: [ErrLoopbackDown], [ErrPortTaken].
func (r *Registry) Problems() map[model.WorkloadKey]error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.problems)
}

// look finds the given workloads. The lost ones go first: another one may have
// taken their place.
func (r *Registry) look(keys []model.WorkloadKey) map[model.WorkloadKey]*model.Workload {
	out := map[model.WorkloadKey]*model.Workload{}
	var present []model.WorkloadKey
	for _, key := range keys {
		if r.stays(key, out) {
			continue
		}
		r.displace(key, out)
		if r.declared[key] != nil {
			present = append(present, key)
		}
	}
	for _, key := range present {
		r.problem(key, r.place(key, out))
	}
	for _, key := range keys {
		if p := r.placed[key]; p != nil {
			r.attend(key, p, out)
		}
	}
	return out
}

// stays tells whether a workload is where it was; its description may differ.
func (r *Registry) stays(key model.WorkloadKey, out map[model.WorkloadKey]*model.Workload) bool {
	w, p := r.declared[key], r.placed[key]
	if w == nil || p == nil || r.mounts.path(w, p.workload.Place.Cookie) != p.workload.Place.Mount {
		return false
	}
	now, err := r.identify(w, p)
	if err != nil || now != p.found {
		return false
	}
	if old := *p.workload; !sameDescription(&old, w) {
		placed := *w
		placed.Place = p.workload.Place
		p.workload = &placed
		out[key] = &placed
	}
	return true
}

// sameDescription: objects are immutable, and a changed one is a new one. What
// was placed is a copy with a Place, so the origin object's identity is kept in
// the parts that a copy shares.
func sameDescription(placed, declared *model.Workload) bool {
	return placed.ServiceAccount == declared.ServiceAccount && maps.Equal(placed.Labels, declared.Labels) &&
		slices.Equal(placed.Addresses, declared.Addresses) && placed.Origin == declared.Origin &&
		placed.Netns == declared.Netns && placed.Cgroup == declared.Cgroup
}

// displace forgets a workload's place.
func (r *Registry) displace(key model.WorkloadKey, out map[model.WorkloadKey]*model.Workload) {
	if r.declared[key] == nil {
		delete(r.problems, key)
	}
	p := r.placed[key]
	if p == nil {
		return
	}
	delete(r.placed, key)
	out[key] = nil
	r.log.Info("workload is gone", "workload", key, "netns", p.workload.Place.Cookie)
	if err := r.mounts.remove(p.workload.Place.Mount); err != nil {
		r.log.Warn("a mount stays behind", "workload", key, "err", err)
	}
}

// place finds a workload and mounts its network namespace.
func (r *Registry) place(key model.WorkloadKey, out map[model.WorkloadKey]*model.Workload) error {
	w := r.declared[key]
	if err := checkNames(w); err != nil {
		return err
	}
	f, err := r.find(w)
	if err != nil {
		return err
	}
	defer f.Close()
	if other, ok := r.holder(f.place); ok {
		return fmt.Errorf("%w: %s is that of workload %s already", ErrTaken, f.what(w), other)
	}
	f.place.Mount = r.mounts.path(w, f.place.Cookie)
	if err := r.enter(f); err != nil {
		return err
	}
	placed := *w
	placed.Place = &f.place
	r.placed[key] = &placement{workload: &placed, found: f.identity, condition: f.condition, looked: time.Now()}
	out[key] = &placed
	r.log.Info("workload found", "workload", key, "netns", f.place.Cookie, "cgroup", f.place.CgroupID)
	return nil
}

// identify tells where a placed workload is now.
func (r *Registry) identify(w *model.Workload, p *placement) (identity, error) {
	if r.asPod(w) {
		return p.linked()
	}
	return identify(w, p.found)
}

// asPod tells that a workload is found by the container runtime's mounts.
func (r *Registry) asPod(w *model.Workload) bool { return len(r.runtime) > 0 && w.Cgroup != "" }

// enter makes the path by which Envoy enters a network namespace.
func (r *Registry) enter(f *found) error {
	if f.runtime == "" {
		return r.mounts.add(f.netns, f.place.Mount)
	}
	return r.mounts.link(f.runtime, f.place.Mount)
}

// find finds a workload that can be steered.
func (r *Registry) find(w *model.Workload) (*found, error) {
	if err := r.withinTop(w); err != nil {
		return nil, err
	}
	if r.asPod(w) {
		return findPod(w, r.runtime, r.door())
	}
	return find(w, r.mounts.earlier(w), r.door())
}

// withinTop refuses a cgroup to whose processes the programs are not attached.
func (r *Registry) withinTop(w *model.Workload) error {
	if r.top == "" || w.Cgroup == "" {
		return nil
	}
	dir, err := cgroupDir(w.Cgroup)
	if err != nil {
		return err
	}
	if !below(dir, r.top) {
		return fmt.Errorf("%s is %w %s: its processes would never be steered; declare a cgroup below it, or start with another --cgroup-root", dir, ErrOutside, r.top)
	}
	return nil
}

// holder returns the workload that has a place.
func (r *Registry) holder(place model.Place) (model.WorkloadKey, bool) {
	for key, p := range r.placed {
		if p.workload.Place.Cookie == place.Cookie && p.workload.Place.CgroupID == place.CgroupID {
			return key, true
		}
	}
	return model.WorkloadKey{}, false
}

// problem notes why a workload is not placed; nil means that it is.
func (r *Registry) problem(key model.WorkloadKey, err error) {
	if err == nil {
		delete(r.problems, key)
		return
	}
	if old := r.problems[key]; old == nil || old.Error() != err.Error() {
		r.log.Log(context.Background(), r.gravity(key, err), "workload not found", "workload", key, "err", err)
	}
	r.problems[key] = err
}

// gravity is how serious it is that a workload is not found. A pod is told of
// before it runs.
func (r *Registry) gravity(key model.WorkloadKey, err error) slog.Level {
	if w := r.declared[key]; w != nil && r.asPod(w) && (errors.Is(err, ErrAbsent) || errors.Is(err, ErrNotMounted)) {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// sweep removes mounts that an earlier run left.
func (r *Registry) sweep() {
	keep := map[string]bool{}
	for _, p := range r.placed {
		keep[p.workload.Place.Mount] = true
	}
	if err := r.mounts.sweep(keep); err != nil {
		r.log.Warn("mounts of an earlier run stay behind", "err", err)
	}
	r.swept = true
}

// checkNames refuses names that would lead out of the folder of mounts.
func checkNames(w *model.Workload) error {
	for _, s := range []string{w.Key.Namespace, w.Key.Name, w.ServiceAccount} {
		if s == "" || s == "." || s == ".." || strings.ContainsAny(s, "/\x00") {
			return fmt.Errorf("workload %s: %q cannot be a part of a file name", w.Key, s)
		}
	}
	return nil
}

func byName(a, b model.WorkloadKey) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
