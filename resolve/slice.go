package resolve

import (
	"slices"
	"strings"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/backend"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/object"
)

// stray says why nothing uses a slice, as far as that depends on its Service.
func (r *Resolver) stray(s *backend.Slice) *finding.Finding {
	svc := r.services[s.Service]
	switch {
	case s.Service.Name == "" || len(s.Ports) == 0:
		return nil
	case svc == nil:
		return finding.New(finding.NoService, "Service %s does not exist", s.Service)
	}
	return s.Unmatched(svc.Ports)
}

// updateEndpoints merges the slices of the marked services, and emits the
// endpoints of the ports where that gives something new.
func (u *round) updateEndpoints() {
	for n := range u.endpoints {
		s := u.services[n]
		if s == nil {
			continue
		}
		parts := u.slicesByName(n)
		for _, p := range s.Ports {
			k := p.Backend(n)
			merged := backend.Merge(parts, p)
			if was := u.made.Endpoints[k]; was == nil || !slices.Equal(was.Endpoints, merged) {
				u.delta.Endpoints[k] = &model.Endpoints{Key: k, Endpoints: merged}
			}
		}
	}
}

func (r *Resolver) slicesByName(service object.Name) []*backend.Slice {
	parts := make([]*backend.Slice, 0, len(r.slicesOf[service]))
	for n := range r.slicesOf[service] {
		parts = append(parts, r.slices[n])
	}
	slices.SortFunc(parts, func(a, b *backend.Slice) int { return strings.Compare(a.Name.Name, b.Name.Name) })
	return parts
}
