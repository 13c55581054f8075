package resolve

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/backend"
	"sluice.io/sluice/resolve/rules"
)

// updateFrontends makes the frontends of the marked groups.
func (u *round) updateFrontends() {
	for g := range u.groups {
		s := u.services[g.service]
		byPort := u.routesByPort(g)
		var keys []model.FrontendKey
		if s != nil && len(s.vips) > 0 {
			for _, p := range s.Ports {
				f := makeFrontend(g, s, p, byPort[p.PortKey])
				if f == nil {
					continue
				}
				keys = append(keys, f.Key)
				emit(u.delta.Frontends, u.made.Frontends, f.Key, f)
			}
		}
		for _, k := range u.frontends[g] {
			if !slices.Contains(keys, k) {
				u.delta.Frontends[k] = nil
			}
		}
		if len(keys) > 0 {
			u.frontends[g] = keys
		} else {
			delete(u.frontends, g)
		}
		u.settleLosses(g, byPort)
	}
}

// frontend is the key of a port's frontend.
func (g group) frontend(p backend.PortKey) model.FrontendKey {
	return model.FrontendKey{
		Namespace: g.service.Namespace, Name: g.service.Name,
		Port: p.Port, Protocol: p.Protocol, ClientNamespace: g.scope,
	}
}

// routesByPort lists the usable routes of a group for each port, the one that
// takes precedence as a whole first: by kind, then by seniority.
func (u *round) routesByPort(g group) map[backend.PortKey][]*route {
	bound := u.boundTo[g]
	if len(bound) == 0 {
		return nil
	}
	byPort := map[backend.PortKey][]*route{}
	for rt := range bound {
		if rt.compiled.Rejected != nil {
			continue
		}
		for i, p := range rt.parents {
			if p.group != g {
				continue
			}
			for _, k := range rt.attached[i].ports {
				// Two parentRefs of one route may lead to the same port.
				if rts := byPort[k]; len(rts) == 0 || rts[len(rts)-1] != rt {
					byPort[k] = append(rts, rt)
				}
			}
		}
	}
	for _, rts := range byPort {
		slices.SortFunc(rts, func(a, b *route) int {
			if a.Rank != b.Rank {
				return int(b.Rank - a.Rank)
			}
			return a.Compare(b.Seniority)
		})
	}
	return byPort
}

// winners returns the routes that shape a port: all HTTPRoutes or GRPCRoutes of
// the most specific kind, or the first TCPRoute or UDPRoute.
func winners(rts []*route) []*route {
	if len(rts) == 0 {
		return nil
	}
	if !rts[0].HTTP() {
		return rts[:1]
	}
	n := slices.IndexFunc(rts, func(rt *route) bool { return rt.Rank != rts[0].Rank })
	if n < 0 {
		return rts
	}
	return rts[:n]
}

// makeFrontend makes one frontend, or nil where a scope has nothing to say.
func makeFrontend(g group, s *service, p backend.Port, rts []*route) *model.Frontend {
	rts = winners(rts)
	if len(rts) == 0 && g.scope != "" {
		return nil
	}
	f := &model.Frontend{
		Key: g.frontend(p.PortKey), PortName: p.Name, VIPs: s.vips, AppProtocol: p.App,
		Affinity: s.Affinity, Why: why(g, p, rts), Origin: s.Origin,
	}
	switch {
	case len(rts) == 0:
		f.L4 = &model.L4Routing{
			Backends: []model.WeightedBackend{{Backend: p.Backend(g.service), Weight: 1}},
			Origin:   s.Origin,
		}
	case rts[0].HTTP():
		shares := make([]rules.Share, len(rts))
		for i, rt := range rts {
			shares[i].Compiled = rt.compiled
		}
		f.HTTP = &model.HTTPRouting{GRPC: rts[0].Rank == rules.GRPC, Entries: rules.Merge(shares, rules.Dialled{Port: p.Port})}
	default:
		f.L4 = rts[0].compiled.L4
	}
	return f
}

// why says in one sentence who handles a frontend, for explain.
func why(g group, p backend.Port, rts []*route) string {
	if len(rts) == 0 {
		return fmt.Sprintf("no route attaches to port %d, so the kernel balances connections over the Service's own endpoints", p.Port)
	}
	names := make([]string, 0, 3)
	for _, rt := range rts[:min(3, len(rts))] {
		names = append(names, rt.Ref.String())
	}
	if more := len(rts) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	verb := "attaches"
	if len(names) > 1 {
		verb = "attach"
	}
	s := fmt.Sprintf("%s %s to port %d", strings.Join(names, ", "), verb, p.Port)
	if g.scope != "" {
		s += fmt.Sprintf(" for clients in namespace %s", g.scope)
	}
	if rts[0].HTTP() {
		return s + ", so requests go through Envoy"
	}
	return s + ", and the kernel honours its weights"
}

// settleLosses notes which routes of a group lost which ports to others, and
// has their statuses written when that changed.
func (u *round) settleLosses(g group, byPort map[backend.PortKey][]*route) {
	lost := map[*route]map[backend.PortKey]loss{}
	for k, rts := range byPort {
		won := winners(rts)
		for _, rt := range rts[len(won):] {
			if lost[rt] == nil {
				lost[rt] = map[backend.PortKey]loss{}
			}
			lost[rt][k] = loss{to: won[0].Object.Origin, older: rt.Rank == won[0].Rank}
		}
	}
	for rt := range u.boundTo[g] {
		now := lost[rt]
		if maps.Equal(rt.losses[g], now) {
			continue
		}
		if rt.losses == nil {
			rt.losses = map[group]map[backend.PortKey]loss{}
		}
		rt.losses[g] = now
		u.report.Add(rt.Ref)
	}
}
