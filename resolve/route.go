package resolve

import (
	"fmt"
	"slices"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/backend"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/gateway"
	"sluice.io/sluice/resolve/index"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/resolve/rules"
)

// route is a route of any kind. Its Service parents make it a route of the mesh,
// its gates one of gateways; each reads it in its own way.
type route struct {
	*rules.Route
	parents []parent           // its Service parents, in order; others are not ours
	gates   []gate             // its Gateway and ListenerSet parents, ours or not
	strays  []*finding.Finding // parentRefs that are nobody's, as it stands

	compiled *rules.Compiled // for the mesh
	attached []attachment    // one for each parent
	losses   map[group]map[backend.PortKey]loss

	served     *rules.Compiled // for gateways
	admissions []admission
	domains    map[gateway.ListenerKey]gateway.Domains
	ancestors  index.Set[object.Name] // the gateways that send for it
}

// senior puts the older route first, then the first by namespace/name.
func (rt *route) senior(o *route) int { return rt.Compare(o.Seniority) }

// parent is one parentRef that names a Service.
type parent struct {
	ref     int // its index among the parentRefs
	group   group
	port    uint16 // zero: all
	section string // the port's name; empty: all
}

// attachment is what a parentRef came to: the ports, or why there are none.
type attachment struct {
	ports   []backend.PortKey
	refused *finding.Finding
}

// loss says that another route has a port.
type loss struct {
	to model.Origin
	// older tells that a route of the same kind won because it came first;
	// otherwise a route of a more specific kind did.
	older bool
}

// newRoute sorts a route's parentRefs.
func newRoute(said *rules.Route) *route {
	rt := &route{Route: said}
	for i, p := range said.ParentRefs {
		if g, ok := rt.gate(i, p); ok {
			rt.gates = append(rt.gates, g)
			continue
		}
		if ptr.Deref(p.Group, gatewayv1.GroupName) != "" || ptr.Deref(p.Kind, object.KindGateway) != object.KindService || rt.Rank == rules.TLS {
			rt.stray(i, p)
			continue
		}
		g := group{service: object.Referred(rt.Ref.Namespace, p.Namespace, p.Name)}
		if g.service.Namespace != rt.Ref.Namespace {
			g.scope = rt.Ref.Namespace
		}
		rt.parents = append(rt.parents, parent{
			ref: i, group: g, port: uint16(ptr.Deref(p.Port, 0)), section: string(ptr.Deref(p.SectionName, "")),
		})
	}
	return rt
}

// gate reads a parentRef that names a Gateway or a ListenerSet.
func (rt *route) gate(i int, p gatewayv1.ParentReference) (gate, bool) {
	kind := string(ptr.Deref(p.Kind, object.KindGateway))
	if ptr.Deref(p.Group, gatewayv1.GroupName) != gatewayv1.GroupName || kind != object.KindGateway && kind != object.KindListenerSet {
		return gate{}, false
	}
	n := object.Referred(rt.Ref.Namespace, p.Namespace, p.Name)
	return gate{ref: i, parent: n.Ref(kind), port: uint16(ptr.Deref(p.Port, 0)), section: string(ptr.Deref(p.SectionName, ""))}, true
}

// stray notes a parentRef that nobody here serves. One of kind Service in the
// Gateway API's group, which is the default, is always a mistake.
func (rt *route) stray(i int, p gatewayv1.ParentReference) {
	group, kind := ptr.Deref(p.Group, gatewayv1.GroupName), ptr.Deref(p.Kind, object.KindGateway)
	f := finding.New(finding.NoMatchingParent, "parentRefs[%d] names the %s %s: Services, Gateways and ListenerSets are served here", i, kind, p.Name)
	if kind == object.KindService && group == "" {
		f.Message = fmt.Sprintf("parentRefs[%d] names a Service: %ss attach to Gateways and ListenerSets", i, rt.Ref.Kind)
	} else if kind == object.KindService {
		f.Reason = finding.InvalidKind
		f.Message = fmt.Sprintf("parentRefs[%d] names a Service of the group %q, where there is none: write `group: \"\"`", i, group)
	}
	rt.strays = append(rt.strays, f)
}

// updateRoutes compiles the marked routes, attaches them, and marks the
// frontends that they shape.
func (u *round) updateRoutes() {
	for rt := range u.compile {
		if len(rt.parents) > 0 {
			rt.compiled = u.compileForMesh(rt)
		}
		if len(rt.gates) > 0 {
			rt.served = rt.Compile(u.follow(rt, true))
		}
		u.attach.Add(rt)
	}
	for rt := range u.attach {
		if len(rt.gates) > 0 {
			u.enterGates(rt)
		}
		rt.attached = rt.attached[:0]
		for _, p := range rt.parents {
			rt.attached = append(rt.attached, u.attachTo(p, rt))
			u.groups.Add(p.group)
		}
		u.report.Add(rt.Ref)
	}
}

// noteHostnames tells of host names that mean nothing, as clients dial addresses.
const noteHostnames = "spec.hostnames is ignored with Service parents: match the Host header instead"

func (r *Resolver) compileForMesh(rt *route) *rules.Compiled {
	c := rt.Compile(r.follow(rt, false))
	if len(rt.Hostnames) > 0 {
		c.Notes = slices.Insert(c.Notes, 0, noteHostnames)
	}
	return c
}
