package xds

import (
	"log/slog"
	"sync"

	"sluice.io/sluice/model"
)

// store holds the resources as they are to be, and the streams of the Envoys
// that are connected. All of it is guarded by one lock, held for short work in
// proportion to a change.
type store struct {
	log *slog.Logger

	mu      sync.Mutex
	held    [kinds]map[string]*resource
	open    [kinds]bool // kinds that may be sent: the first Prepare opens them
	retired bool        // the first Retire is done: what Envoy has beyond this is stale
	sent    [kinds]uint64
	streams map[int64]*stream
	// unfit are the resources that could not be encoded; Envoy goes on with what
	// held has of them.
	unfit map[key]Rejection
	// changed is closed and replaced whenever a wait may have come to its end.
	changed chan struct{}
}

func newStore(log *slog.Logger) *store {
	s := &store{log: log, streams: map[int64]*stream{}, unfit: map[key]Rejection{}, changed: make(chan struct{})}
	for k := range kinds {
		s.held[k] = map[string]*resource{}
	}
	return s
}

// publish sets resources of some kinds and sends them to whom they concern. It
// returns those that are news to the store.
func (s *store) publish(c *change, which ...kind) []*resource {
	s.mu.Lock()
	defer s.mu.Unlock()
	var news []*resource
	for _, k := range which {
		s.open[k] = true
		s.note(c, k)
		for name, r := range c.set[k] {
			delete(s.unfit, key{k, name})
			if old := s.held[k][name]; old != nil && old.version() == r.version() {
				s.held[k][name] = r // the origin may have moved
				if k == listeners {
					s.retry(name)
				}
				continue
			}
			s.held[k][name] = r
			news = append(news, r)
			s.mark(k, name)
		}
	}
	s.pumpAll()
	return news
}

// note keeps which resources of a kind could not be encoded.
func (s *store) note(c *change, k kind) {
	for at, r := range c.unfit {
		if at.kind == k {
			s.unfit[at] = r
			s.log.Error("encode for Envoy", "kind", r.Kind, "name", r.Name, "object", r.Origin.String(), "err", r.Message)
		}
	}
}

// remove takes resources of some kinds away.
func (s *store) remove(c *change, which ...kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range which {
		for name := range c.del[k] {
			delete(s.held[k], name)
			delete(s.unfit, key{k, name})
			s.mark(k, name)
		}
	}
	s.pumpAll()
}

// mark makes all streams look at a resource again.
func (s *store) mark(k kind, name string) {
	for _, st := range s.streams {
		st.types[k].mark(name, false)
	}
}

// finish allows the removal of what Envoy has and this store does not.
func (s *store) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retired = true
	s.pumpAll()
}

func (s *store) pumpAll() {
	for _, st := range s.streams {
		s.pump(st)
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// wait returns a channel that is closed at the next change, and whether the
// condition holds on all streams now.
func (s *store) wait(cond func(*stream) bool) (<-chan struct{}, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.streams {
		if !cond(st) {
			return s.changed, false
		}
	}
	return s.changed, true
}

// origin is the provenance of a resource, for messages.
func (s *store) origin(k kind, name string) model.Origin {
	if r := s.held[k][name]; r != nil {
		return r.origin
	}
	return model.Origin{Rule: -1}
}
