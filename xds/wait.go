package xds

import (
	"context"
	"fmt"
)

// await waits until all connected Envoys have answered for the resources.
func (s *Server) await(ctx context.Context, rs []*resource) error {
	return s.until(ctx, func(st *stream) bool {
		for _, r := range rs {
			if !s.store.answeredFor(st, r) {
				return false
			}
		}
		return true
	})
}

// awaitIdle waits until all connected Envoys have been sent, and have answered
// for, everything of some kinds that they ask for.
func (s *Server) awaitIdle(ctx context.Context, which ...kind) error {
	return s.until(ctx, func(st *stream) bool {
		for _, k := range which {
			if !settled(&st.types[k]) {
				return false
			}
		}
		return true
	})
}

func (s *Server) until(ctx context.Context, cond func(*stream) bool) error {
	for {
		changed, ok := s.store.wait(cond)
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for Envoy to take the configuration in: %w", ctx.Err())
		}
	}
}

// answeredFor tells whether an Envoy has acknowledged or rejected a resource, or
// will not be asked to: because it changed again, or because Envoy rejected what
// would have made it ask.
func (s *store) answeredFor(st *stream, r *resource) bool {
	t := &st.types[r.kind]
	if s.held[r.kind][r.name()] != r && !sameVersion(s.held[r.kind][r.name()], r) {
		return true
	}
	if t.has[r.name()] == r.version() || t.rejected[r.name()].version == r.version() {
		return true
	}
	return len(r.parents) > 0 && s.orphan(st, r)
}

func sameVersion(a, b *resource) bool { return a != nil && a.version() == b.version() }

// orphan tells that Envoy has rejected all the parents of a resource, and does
// not ask for it on account of an earlier version of theirs.
func (s *store) orphan(st *stream, r *resource) bool {
	if st.types[r.kind].wants(r.name()) {
		return false
	}
	for _, p := range r.parents {
		if _, rejected := st.types[p.kind].rejected[p.name]; !rejected {
			return false
		}
	}
	return true
}
