package agent

import (
	"maps"
	"sync"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// state is what the agent knows now. The loop writes it; the API reads
// snapshots, which share the immutable objects.
type state struct {
	mu        sync.Mutex
	current   *model.Mesh
	declared  map[model.WorkloadKey]*model.Workload
	statuses  map[model.ObjectRef]*model.Status
	problems  []source.Problem
	lost      map[model.WorkloadKey]error
	kernelErr error
	synced    bool
}

func newState() *state {
	return &state{
		current:  model.NewMesh(),
		declared: map[model.WorkloadKey]*model.Workload{},
		statuses: map[model.ObjectRef]*model.Status{},
	}
}

func (s *state) apply(d *model.Delta) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current.Apply(d)
}

// mesh returns a copy whose maps are the caller's.
func (s *state) mesh() *model.Mesh {
	s.mu.Lock()
	defer s.mu.Unlock()
	return (*model.Mesh)(s.current.All())
}

// workloads returns all declared workloads, placed or not.
func (s *state) workloads() map[model.WorkloadKey]*model.Workload {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := maps.Clone(s.declared)
	maps.Copy(all, s.current.Workloads)
	return all
}

// said returns all statuses.
func (s *state) said() map[model.ObjectRef]*model.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.statuses)
}

func (s *state) declare(w map[model.WorkloadKey]*model.Workload) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keep(s.declared, w)
}

// setStatuses takes changed statuses in, and returns what they were.
func (s *state) setStatuses(changed map[model.ObjectRef]*model.Status) (was map[model.ObjectRef]*model.Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was = make(map[model.ObjectRef]*model.Status, len(changed))
	for ref := range changed {
		was[ref] = s.statuses[ref]
	}
	keep(s.statuses, changed)
	return was
}

// setProblems takes the input's problems in, and returns the former ones.
func (s *state) setProblems(p []source.Problem) (was []source.Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, s.problems = s.problems, p
	return was
}

func (s *state) setLost(lost map[model.WorkloadKey]error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = lost
}

func (s *state) setKernelError(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kernelErr = err
}

func (s *state) kernelFailed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kernelErr != nil
}

func (s *state) setSynced() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.synced = true
}

// starting tells that the input is not in force yet.
func (s *state) starting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.synced
}
