package xds

import (
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
)

// stream is one Envoy's connection, and what is known of that Envoy.
type stream struct {
	id    int64
	node  string
	build string
	types [kinds]subscription
	// warm is set once the Envoy has the clusters that were there when it came:
	// before that it is told of nothing that refers to them.
	warm bool
	// early are the clusters that were sent before Envoy asked for endpoints.
	early map[string]bool
}

// subscription is what one Envoy wants of one kind, and has.
type subscription struct {
	begun bool
	// watch is the open request that an answer may go to, nil when there is none.
	watch *cache.DeltaRequest
	out   chan cache.DeltaResponse
	// all is set for wildcard subscriptions; else names holds what is asked for.
	all   bool
	names map[string]bool
	// greet is set until the first answer: Envoy waits for one, even if empty.
	greet bool
	// has are the versions that Envoy has acknowledged, or came with.
	has map[string]string
	// dirty are the names to look at; true to send even if Envoy has the version.
	dirty map[string]bool
	// flight is what was sent and not yet answered, nil when there is nothing.
	flight *flight
	// suspects are resources of a rejected answer, to be sent in smaller parts.
	suspects [][]string
	rejected map[string]rejection
}

// flight is an answer on its way.
type flight struct {
	nonce   string
	sent    map[string]string
	removed []string
}

func (t *subscription) wants(name string) bool { return t.all || t.names[name] }

func (t *subscription) mark(name string, force bool) {
	if t.begun && t.wants(name) {
		t.dirty[name] = t.dirty[name] || force
	}
}

// begin takes in the first request of a kind: what Envoy wants and has.
func (t *subscription) begin(req *cache.DeltaRequest, wildcard bool, held map[string]*resource) {
	*t = subscription{
		begun: true, all: wildcard, greet: wildcard,
		names: map[string]bool{}, has: map[string]string{}, dirty: map[string]bool{},
		rejected: map[string]rejection{},
	}
	for name, version := range req.GetInitialResourceVersions() {
		t.has[name] = version
		if t.all {
			t.dirty[name] = false
		}
	}
	for _, name := range req.GetResourceNamesSubscribe() {
		if name != "*" {
			t.names[name] = true
			t.dirty[name] = false
		}
	}
	if t.all {
		for name := range held {
			t.dirty[name] = false
		}
	}
}

// resubscribe takes in the names of a later request. A name that is asked for
// again has been forgotten by Envoy meanwhile.
func (t *subscription) resubscribe(req *cache.DeltaRequest) {
	for _, name := range req.GetResourceNamesUnsubscribe() {
		t.forget(name)
		delete(t.names, name)
	}
	for _, name := range req.GetResourceNamesSubscribe() {
		if name != "*" {
			t.forget(name)
			t.names[name] = true
			t.dirty[name] = true
		}
	}
}

func (t *subscription) forget(name string) {
	delete(t.has, name)
	delete(t.dirty, name)
	delete(t.rejected, name)
}

// idle tells that Envoy has been sent all it is to have now, and has answered.
func (t *subscription) idle() bool {
	return t.flight == nil && len(t.dirty) == 0 && len(t.suspects) == 0
}

// pump sends what may be sent now. It is the one place that decides on order.
func (s *store) pump(st *stream) {
	for k := range kinds {
		s.send(st, k)
		if k == secrets && !st.warm {
			st.warm = st.types[clusters].begun && s.equipped(st, clusters) &&
				(!st.types[endpoints].begun || s.equipped(st, endpoints)) &&
				(!st.types[secrets].begun || s.equipped(st, secrets))
		}
	}
}

// equipped tells that Envoy has what there is of a kind. It may have more.
func (s *store) equipped(st *stream, k kind) bool {
	t := &st.types[k]
	if t.greet || t.flight != nil || len(t.suspects) > 0 {
		return false
	}
	for name := range t.dirty {
		if s.held[k][name] != nil {
			return false
		}
	}
	return true
}

func (s *store) send(st *stream, k kind) {
	t := &st.types[k]
	if t.watch == nil || t.flight != nil || !s.open[k] || (k >= listeners && !st.warm) {
		return
	}
	fl, resp := s.compose(st, k)
	if len(fl.sent)+len(fl.removed) == 0 && !t.greet {
		return
	}
	resp.TypeUrl = typeURLs[k]
	t.flight, t.greet = fl, false
	s.sent[k] += uint64(len(fl.sent) + len(fl.removed))
	if k == clusters {
		// Envoy warms a changed cluster by its endpoints, and does not ask for those
		// that it has: it would wait 15 seconds before it uses them.
		for name := range fl.sent {
			st.types[endpoints].mark(name, true)
			if !st.types[endpoints].begun {
				st.early[name] = true
			}
		}
	}
	watch := t.watch
	t.watch = nil
	t.out <- &cache.DeltaPassthroughResponse{
		DeltaRequest:           watch,
		DeltaDiscoveryResponse: resp,
		NextVersionMap:         map[string]string{}, // what Envoy has is kept here, not there
	}
}

// compose takes the next answer together: suspects first, by themselves.
func (s *store) compose(st *stream, k kind) (*flight, *discoveryv3.DeltaDiscoveryResponse) {
	t := &st.types[k]
	fl, resp := &flight{sent: map[string]string{}}, &discoveryv3.DeltaDiscoveryResponse{}
	add := func(name string, force bool) {
		r := s.held[k][name]
		if r == nil {
			delete(t.rejected, name)
		}
		version, has := t.has[name]
		switch {
		case r != nil && (force || version != r.version()) && t.rejected[name].version != r.version():
			fl.sent[name] = r.version()
			resp.Resources = append(resp.Resources, r.wire)
		case r == nil && has && k.wildcard():
			fl.removed = append(fl.removed, name)
			resp.RemovedResources = append(resp.RemovedResources, name)
		}
	}
	for len(t.suspects) > 0 && len(fl.sent)+len(fl.removed) == 0 {
		batch := t.suspects[0]
		t.suspects = t.suspects[1:]
		for _, name := range batch {
			add(name, true)
		}
	}
	if len(fl.sent)+len(fl.removed) > 0 {
		return fl, resp
	}
	for name, force := range t.dirty {
		if s.held[k][name] == nil && !s.mayRemove(st, k) {
			continue
		}
		delete(t.dirty, name)
		add(name, force)
	}
	return fl, resp
}

// mayRemove tells whether what is not in the store may be taken from Envoy: not
// before the mesh is known, and clusters not before nothing refers to them.
func (s *store) mayRemove(st *stream, k kind) bool {
	if !s.retired {
		return !k.wildcard()
	}
	l, c, r := &st.types[listeners], &st.types[scopes], &st.types[routes]
	return k != clusters || (l.begun && l.idle() && settled(c) && settled(r))
}

func settled(t *subscription) bool { return !t.begun || t.idle() }
