package explain

import (
	"fmt"
	"slices"
	"strings"

	"sluice.io/sluice/model"
)

// gatewayFamily is that of the endpoints of a gateway: IPv4 where there are any.
const gatewayFamily = -1

// backend describes a share: 4 or 6 leaves only endpoints of that IP family.
func (e *explainer) backend(w model.WeightedBackend, family int) Backend {
	b := Backend{Backend: w.Backend, Weight: w.Weight, Invalid: w.Invalid, Filters: filters(w.Filters)}
	if w.Invalid != "" {
		return b
	}
	b.TLS = secured(e.policy(w.Backend))
	if eps := e.mesh.Endpoints[w.Backend]; eps != nil {
		if family == gatewayFamily {
			family = preferred(eps.Endpoints)
		}
		for _, ep := range eps.Endpoints {
			if family == 0 || (family == 4) == ep.Addr.Addr().Is4() {
				b.Endpoints = append(b.Endpoints, ep.Addr.String())
			}
		}
	}
	return b
}

// preferred is the family of the endpoints that a gateway sends to.
func preferred(all []model.Endpoint) int {
	if slices.ContainsFunc(all, func(ep model.Endpoint) bool { return ep.Addr.Addr().Is4() }) {
		return 4
	}
	return 6
}

// policy is how a gateway speaks TLS to a backend; nil for plain text, and for
// clients of the mesh.
func (e *explainer) policy(k model.BackendKey) *model.BackendTLS {
	if b := e.mesh.Backends[k]; e.outside && b != nil {
		return b.TLS
	}
	return nil
}

// secured says how a backend is spoken to.
func secured(t *model.BackendTLS) string {
	switch {
	case t == nil:
		return ""
	case t.Invalid != "":
		return fmt.Sprintf("by %s, which cannot be followed: %s", t.Origin, t.Invalid)
	}
	authority := "the system's authorities"
	if len(t.Bundles) > 0 {
		authority = objectNames(t.Bundles)
	}
	name := t.ServerName
	if len(t.Names) > 0 {
		var names []string
		for _, n := range t.Names {
			names = append(names, n.Value)
		}
		name = "one of " + strings.Join(names, ", ")
	}
	return fmt.Sprintf("over TLS to %s, whose certificate must be for %s by %s: %s", t.ServerName, name, authority, t.Origin)
}

func objectNames(refs []model.ObjectRef) string {
	names := make([]string, len(refs))
	for i, r := range refs {
		names[i] = r.String()
	}
	return strings.Join(names, ", ")
}

// family is the IP family of the endpoints that can be reached: that of the
// address that is dialled; 0 when the client can choose.
func (e *explainer) family(f *model.Frontend) int {
	family := 0
	of := func(is4 bool) int {
		if is4 {
			return 4
		}
		return 6
	}
	if e.to.addr.IsValid() {
		return of(e.to.addr.Is4())
	}
	for _, v := range f.VIPs {
		if n := of(v.Is4()); family == 0 {
			family = n
		} else if family != n {
			e.note("The service has addresses of both families: clients that dial the IPv4 one reach IPv4 endpoints, and IPv6 likewise.")
			return 0
		}
	}
	return family
}

func familyNote(family int) string {
	if family == 0 || family == gatewayFamily {
		return ""
	}
	return fmt.Sprintf(" with an IPv%d address", family)
}

func setPercents(bs []Backend) {
	var total uint64
	for _, b := range bs {
		total += uint64(b.Weight)
	}
	if total == 0 {
		return
	}
	for i := range bs {
		bs[i].Percent = 100 * float64(bs[i].Weight) / float64(total)
	}
}

// sumUp makes one outcome of the shares' outcomes. Without any share it is the
// one given.
func sumUp(bs []Backend, none Outcome) Outcome {
	var carrying []Backend
	for _, b := range bs {
		if b.Weight > 0 {
			carrying = append(carrying, b)
		}
	}
	switch {
	case len(carrying) == 0:
		return none
	case len(carrying) == 1:
		o := carrying[0].Outcome
		if o.Verdict == Forwarded {
			o.Text = fmt.Sprintf("goes to %s", endpoints(carrying[0]))
		}
		return o
	}
	var good float64
	var bad []string
	for _, b := range carrying {
		if b.Outcome.Verdict == Forwarded {
			good += b.Percent
		} else {
			bad = append(bad, fmt.Sprintf("%s: %s", percent(b.Percent), b.Outcome.Text))
		}
	}
	switch {
	case len(bad) == 0:
		return Outcome{Verdict: Forwarded, Text: fmt.Sprintf("goes to one of %d backends by weight", len(carrying))}
	case good == 0 && same(carrying):
		return carrying[0].Outcome
	case good == 0:
		return Outcome{Verdict: carrying[0].Outcome.Verdict, Text: strings.Join(bad, "; ")}
	}
	return Outcome{Verdict: Forwarded, Text: fmt.Sprintf("%s reaches an endpoint; %s", percent(good), strings.Join(bad, "; "))}
}

func same(bs []Backend) bool {
	for _, b := range bs {
		if b.Outcome != bs[0].Outcome {
			return false
		}
	}
	return true
}

func percent(p float64) string {
	s := strings.TrimRight(fmt.Sprintf("%.1f", p), "0")
	return strings.TrimSuffix(s, ".") + "%"
}

func endpoints(b Backend) string {
	const most = 4
	switch n := len(b.Endpoints); {
	case n == 1:
		return b.Endpoints[0]
	case n <= most:
		return "one of " + strings.Join(b.Endpoints, ", ")
	default:
		return fmt.Sprintf("one of %s and %d more", strings.Join(b.Endpoints[:most], ", "), n-most)
	}
}
