package xds

import (
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/status"
)

// rejection is Envoy's refusal of one version of a resource.
type rejection struct {
	version string
	message string
}

// answered takes in Envoy's answer to what was sent: an acknowledgement, or a
// rejection.
func (s *store) answered(st *stream, k kind, nack *status.Status) {
	t := &st.types[k]
	fl := t.flight
	t.flight = nil
	if nack == nil {
		for name, version := range fl.sent {
			t.has[name] = version
			delete(t.rejected, name)
		}
		for _, name := range fl.removed {
			delete(t.has, name)
			delete(t.rejected, name)
		}
		return
	}
	s.suspect(st, k, fl, strings.TrimSpace(nack.GetMessage()))
}

// suspect narrows a rejection down. Envoy rejects an answer as a whole, and may
// have taken in none of it; so each half is sent by itself, until the resource
// that is bad stands alone. It is not sent again until it changes.
func (s *store) suspect(st *stream, k kind, fl *flight, message string) {
	t := &st.types[k]
	names := make([]string, 0, len(fl.sent))
	for name := range fl.sent {
		names = append(names, name)
	}
	slices.Sort(names)
	switch {
	case len(names) > 0 && len(fl.removed) > 0:
		t.suspects = append(t.suspects, fl.removed, names)
	case len(names) > 1:
		half := len(names) / 2
		t.suspects = append(t.suspects, names[:half], names[half:])
	case len(names) == 1:
		s.reject(st, k, names[0], rejection{fl.sent[names[0]], message})
	default:
		s.log.Error("Envoy refuses to remove resources", "kind", k.String(), "names", fl.removed, "error", message)
	}
}

func (s *store) reject(st *stream, k kind, name string, r rejection) {
	t := &st.types[k]
	if t.rejected[name].message != r.message {
		message := "Envoy rejects a resource"
		if t.has[name] != "" {
			message = "Envoy rejects a resource; it goes on with the last good one"
		}
		s.log.Error(message,
			"kind", k.String(), "name", name, "origin", s.origin(k, name).String(), "error", r.message)
	}
	t.rejected[name] = r
}

// retryListeners sends rejected listeners once more: why a listener cannot bind
// (its port is taken, its network namespace is not there yet) may have passed.
func (s *store) retryListeners() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.streams {
		for name := range st.types[listeners].rejected {
			st.types[listeners].retry(name)
		}
	}
	s.pumpAll()
}

// retry has a listener sent once more to whoever rejected it.
func (s *store) retry(name string) {
	for _, st := range s.streams {
		st.types[listeners].retry(name)
	}
}

func (t *subscription) retry(name string) {
	if r := t.rejected[name]; r.version != "" {
		t.rejected[name] = rejection{message: r.message} // of no version: to be tried
		t.mark(name, true)
	}
}
