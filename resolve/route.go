package resolve

import (
	"fmt"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
)

// route is a route of any kind. Its Service parents make it a route of the mesh,
// its gates one of gateways; each reads it in its own way.
type route struct {
	*routeRules
	parents []parent   // its Service parents, in order; others are not ours
	gates   []gate     // its Gateway and ListenerSet parents, ours or not
	strays  []*finding // parentRefs that are nobody's, as it stands

	compiled *compiled    // for the mesh
	attached []attachment // one for each parent
	losses   map[group]map[portKey]loss

	served     *compiled // for gateways
	admissions []admission
	domains    map[listenerKey]domains
	ancestors  set[name] // the gateways that send for it
}

// parent is one parentRef that names a Service.
type parent struct {
	ref     int // its index among the parentRefs
	group   group
	port    uint16 // zero: all
	section string // the port's name; empty: all
}

// attachment is what a parentRef came to: the ports, or why there are none.
type attachment struct {
	ports   []portKey
	refused *finding
}

// loss says that another route has a port.
type loss struct {
	to model.Origin
	// older tells that a route of the same kind won because it came first;
	// otherwise a route of a more specific kind did.
	older bool
}

// finding is a reason, as conditions have them, and a message; where says in
// which rule, if in one.
type finding struct {
	where, reason, message string
}

// newRoute sorts a route's parentRefs.
func newRoute(rules *routeRules) *route {
	rt := &route{routeRules: rules}
	for i, p := range rules.parentRefs {
		if g, ok := rt.gate(i, p); ok {
			rt.gates = append(rt.gates, g)
			continue
		}
		if deref(p.Group, gatewayv1.GroupName) != "" || deref(p.Kind, kindGateway) != kindService || rt.rank == rankTLS {
			rt.stray(i, p)
			continue
		}
		g := group{service: name{string(deref(p.Namespace, gatewayv1.Namespace(rt.ref.Namespace))), string(p.Name)}}
		if g.service.namespace != rt.ref.Namespace {
			g.scope = rt.ref.Namespace
		}
		rt.parents = append(rt.parents, parent{
			ref: i, group: g, port: uint16(deref(p.Port, 0)), section: string(deref(p.SectionName, "")),
		})
	}
	return rt
}

// gate reads a parentRef that names a Gateway or a ListenerSet.
func (rt *route) gate(i int, p gatewayv1.ParentReference) (gate, bool) {
	kind := string(deref(p.Kind, kindGateway))
	if deref(p.Group, gatewayv1.GroupName) != gatewayv1.GroupName || kind != kindGateway && kind != kindListenerSet {
		return gate{}, false
	}
	n := name{string(deref(p.Namespace, gatewayv1.Namespace(rt.ref.Namespace))), string(p.Name)}
	return gate{ref: i, parent: n.ref(kind), port: uint16(deref(p.Port, 0)), section: string(deref(p.SectionName, ""))}, true
}

// stray notes a parentRef that nobody here serves. One of kind Service in the
// Gateway API's group, which is the default, is always a mistake.
func (rt *route) stray(i int, p gatewayv1.ParentReference) {
	group, kind := deref(p.Group, gatewayv1.GroupName), deref(p.Kind, kindGateway)
	f := because(reasonNoMatchingParent, "parentRefs[%d] names the %s %s: Services, Gateways and ListenerSets are served here", i, kind, p.Name)
	if kind == kindService && group == "" {
		f.message = fmt.Sprintf("parentRefs[%d] names a Service: %ss attach to Gateways and ListenerSets", i, rt.ref.Kind)
	} else if kind == kindService {
		f.reason = reasonInvalidKind
		f.message = fmt.Sprintf("parentRefs[%d] names a Service of the group %q, where there is none: write `group: \"\"`", i, group)
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
			rt.served = rt.compile(u.follow(rt, true))
		}
		u.attach.add(rt)
	}
	for rt := range u.attach {
		if len(rt.gates) > 0 {
			u.enterGates(rt)
		}
		rt.attached = rt.attached[:0]
		for _, p := range rt.parents {
			rt.attached = append(rt.attached, u.attachTo(p, rt))
			u.groups.add(p.group)
		}
		u.report.add(rt.ref)
	}
}

const noteHostnames = "spec.hostnames is ignored with Service parents: match the Host header instead"

func (r *Resolver) compileForMesh(rt *route) *compiled {
	c := rt.compile(r.follow(rt, false))
	if len(rt.hostnames) > 0 {
		c.notes = slices.Insert(c.notes, 0, noteHostnames)
	}
	return c
}
