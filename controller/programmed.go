package controller

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/controller/object"
	"sluice.io/sluice/controller/status"
	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
)

// front is what the controller knows of a Gateway of ours and resolve does not.
type front struct {
	service   model.ObjectRef
	addresses []gatewayv1.GatewayStatusAddress
	// pooled are those addresses that are of AddressPools.
	pooled []netip.Addr
	// made tells that its objects are wanted, so that it matters what nodes do.
	made bool
	// lack is what it lacks whatever nodes do.
	lack lack
}

// lack is what keeps a Gateway from being served though resolve finds nothing
// wrong with it. Texts are empty for nothing.
type lack struct {
	// all keeps all of it from being served.
	all string
	// fresh keeps from being served what is not served already.
	fresh string
	// address is why it has no address, if it has none.
	address string
	// away tells of addresses that lead to nodes which take up nothing new.
	away string
	// ports keep single ports from being served, and partly some nodes from serving
	// them.
	ports, partly map[model.PortKey]string
	// log is what the cluster's operator should know, too.
	log string
}

// port notes why a port is not served.
func (l *lack) port(k model.PortKey, why string) {
	if l.ports == nil {
		l.ports = map[model.PortKey]string{}
	}
	l.ports[k] = why
}

// ofService notes what is not yet as it should be of a Gateway's Service. Agents
// serve load balancers at the ports that its status says, and at no others.
func (l *lack) ofService(service model.ObjectRef, ports []servicePort, live *corev1.Service) {
	if live == nil {
		l.all = service.String() + " is not there yet"
		return
	}
	_, said, _ := allotted(live)
	for _, p := range ports {
		want := v1alpha1.TargetPort{Port: p.key.Port, Protocol: string(p.key.Protocol), Target: p.target}
		if !slices.Contains(said, want) {
			l.port(p.key, fmt.Sprintf("the status of %s does not lead to port %d/%s yet", service, p.key.Port, p.key.Protocol))
		}
	}
}

// ofSlices notes which ports no EndpointSlice that is to be there leads to yet: load
// balancers send nothing to them.
func (l *lack) ofSlices(want map[model.ObjectRef]*object.Object, ports []servicePort, leads map[model.ObjectRef]map[nodePort]bool) {
	for _, p := range ports {
		led := len(want) == 0 // no node is to be led to
		for ref := range want {
			led = led || leads[ref][nodePort{p.target, p.key.Protocol}]
		}
		if !led && l.ports[p.key] == "" {
			l.port(p.key, fmt.Sprintf("no EndpointSlice leads to port %d/%s yet", p.key.Port, p.key.Protocol))
		}
	}
}

// ofNodes notes that no node serves, or that none takes up what is new.
func (l *lack) ofNodes(n *nodes, params *v1alpha1.GatewayParameters) {
	selector := params.Selector()
	where := selector.AsSelector()
	switch {
	case len(n.working(where)) > 0:
	case len(n.names(where)) > 0:
		l.fresh = "of no node that serves the agent is ready: what is new waits for one"
	case len(selector) > 0 && len(n.ready) > 0:
		l.all = fmt.Sprintf("no node that GatewayParameters %s select has a ready Envoy", params.Name)
	default:
		l.all = "no node's Envoy is ready"
	}
}

// lackOf is what a Gateway lacks now, also of what nodes do.
func (t *term) lackOf(k model.GatewayKey, f *front) lack {
	l, g := f.lack, t.gateways[k]
	if g == nil || !f.made {
		return l
	}
	params, ok := t.parametersOf(g)
	if !ok {
		return l // resolve says that it is not served
	}
	l.ports, l.partly = maps.Clone(l.ports), maps.Clone(l.partly)
	l.ofNodes(t.nodes, params)
	l.ofReports(k, t.ports, t.reports, t.nodes.working(params.Selector().AsSelector()))
	if l.fresh == "" {
		l.away = t.awayFrom(k, f.pooled)
	}
	return l
}

// awayFrom tells of addresses of a Gateway that lead to nodes without a ready agent.
func (t *term) awayFrom(k model.GatewayKey, addrs []netip.Addr) string {
	var all []string
	for _, a := range addrs {
		if node := t.answerer(a, k); node != "" && !t.nodes.tended[node] {
			all = append(all, fmt.Sprintf("%s leads to node %s, whose agent is not ready: what is new waits for it there", a, node))
		}
	}
	return strings.Join(all, "; ")
}

// judged is what resolve said of a Gateway, or of a ListenerSet.
type judged struct {
	status *model.Status
	// served are its listeners, by name, of which it is written already that they are
	// served as they are.
	served map[string]bool
	// lacks are why single listeners, by name, are not served.
	lacks map[string]string
}

// of is why a listener is not served; empty when it is. Partly is why some nodes do
// not serve it.
func (l *lack) of(j judged, s *model.ListenerStatus) (why, partly string) {
	switch {
	case l.all != "":
		return l.all, ""
	case l.fresh != "" && !j.served[s.Name]:
		return l.fresh, ""
	}
	k := model.PortKey{Gateway: j.status.Gateway, Port: s.Port, Protocol: model.TCP}
	if s.Protocol == string(gatewayv1.UDPProtocolType) {
		k.Protocol = model.UDP
	}
	return or(l.ports[k], j.lacks[s.Name]), l.partly[k]
}

// parentNotProgrammed is a reason of a ListenerSet's, which has no name in the API.
const parentNotProgrammed = "ParentNotProgrammed"

// amend says of a Gateway and, after it, its ListenerSets, as resolve judged them,
// what is not status.Programmed for what they lack. What it is given is shared, and
// stays.
func (l *lack) amend(all []judged) []*model.Status {
	out := make([]*model.Status, 0, len(all))
	var served bool
	var why string
	for _, j := range all {
		now, some, first := l.amendListeners(j)
		out, served, why = append(out, now), served || some, or(why, first)
	}
	gw, sets := out[0], out[1:]
	parent := gw.Condition(status.Programmed)
	switch {
	case parent == nil:
		return out
	case parent.Status && !served:
		*parent = withheld(status.Pending, or(l.all, l.fresh, "no listener is served: "+why))
	case parent.Status:
		parent.Message += after(l.fresh) + after(l.away)
		if len(l.partly) > 0 {
			parent.Message += "; some nodes do not serve all of it: see the listeners"
		}
	case parent.Reason == status.AddressNotAssigned:
		parent.Message += after(l.address) + after(or(l.all, l.fresh))
	}
	for _, set := range sets {
		c := set.Condition(status.Programmed)
		switch {
		case c == nil || !c.Status:
		case !parent.Status:
			*c = withheld(parentNotProgrammed, fmt.Sprintf("Gateway %s: %s", gw.Gateway, parent.Message))
		case !slices.ContainsFunc(set.Listeners, isServed):
			*c = withheld(status.Pending, "no listener is served: see their conditions")
		}
	}
	return out
}

// amendListeners copies a status, with listeners that are not served marked so. It
// tells whether some are served, and why the first that is marked is not.
func (l *lack) amendListeners(j judged) (out *model.Status, served bool, why string) {
	st := j.status
	if st == nil {
		return nil, false, ""
	}
	now := *st
	now.Conditions, now.Listeners = slices.Clone(st.Conditions), slices.Clone(st.Listeners)
	for i := range now.Listeners {
		s := &now.Listeners[i]
		s.Conditions = slices.Clone(s.Conditions)
		at := slices.IndexFunc(s.Conditions, func(c model.Condition) bool { return c.Type == status.Programmed })
		if at < 0 {
			continue
		}
		c := &s.Conditions[at]
		switch w, partly := l.of(j, s); {
		case !c.Status:
		case w != "":
			*c, why = withheld(status.Pending, w), or(why, w)
		case partly != "":
			c.Message = strings.TrimPrefix(c.Message+after(partly), "; ")
		}
		served = served || c.Status
	}
	return &now, served, why
}

func isServed(s model.ListenerStatus) bool {
	return slices.ContainsFunc(s.Conditions, func(c model.Condition) bool { return c.Type == status.Programmed && c.Status })
}

// withheld is a condition Programmed that does not hold.
func withheld(reason, message string) model.Condition {
	return model.Condition{Type: status.Programmed, Reason: reason, Message: message}
}

// or is the first text that says something.
func or(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// after is how a text goes on.
func after(text string) string {
	if text == "" {
		return ""
	}
	return "; " + text
}

// judge has the statuses written of the Gateways whose state changed, and of their
// ListenerSets: what resolve said, and what they lack.
func (t *term) judge() {
	for k := range t.due {
		t.judgeGateway(k)
	}
	clear(t.due)
}

func (t *term) judgeGateway(k model.GatewayKey) {
	ref, parting := gatewayRef(k), t.partings[k]
	delete(t.partings, k)
	g, f := t.gateways[k], t.fronts[k]
	if f == nil {
		f = &front{}
	}
	refs, lack := t.told(k), t.lackOf(k, f)
	all, copies := make([]judged, len(refs)), make([]map[string][]model.ObjectRef, len(refs))
	for i, ref := range refs {
		all[i].status = t.said[ref]
		if g == nil || !f.made {
			continue
		}
		if lack.fresh != "" {
			all[i].served = t.statuses.Served(ref)
		}
		used := t.usesOf(k, ref)
		all[i].lacks, copies[i] = t.lacking(k, used), t.copiesOf(used)
	}
	for i, st := range lack.amend(all) {
		switch w := (status.Wish{Status: st, Copies: copies[i]}); {
		case i > 0:
			w.Generation = t.listenerSets[refs[i]].Generation
			t.say(refs[i], w, parting)
		case g != nil:
			w.Generation, w.Addresses = g.Generation, f.addresses
			t.say(ref, w, parting)
		}
	}
}

// say has a status written. Where there is nothing to say any more, what was said
// is taken back.
func (t *term) say(ref model.ObjectRef, w status.Wish, parting *status.Farewell) {
	if w.Status == nil {
		w.Farewell = &status.Farewell{Why: "it is no longer Sluice's to serve"}
		if parting != nil {
			*w.Farewell = *parting
		}
	}
	t.statuses.Want(ref, func(now *status.Wish) { *now = w })
}
