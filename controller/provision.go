package controller

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/controller/object"
	"sluice.io/sluice/model"
)

// provision has made what Gateways need.
func (t *term) provision() {
	t.adopt()
	moved := t.all || t.agents
	if moved { // which of them serve, and answer for addresses
		for k := range t.fronts {
			t.due[k] = true
		}
		t.agents = false
	}
	if t.all {
		for k := range t.gateways {
			t.dirty[k] = true
		}
		// What Gateways had that went while nobody led.
		t.pools.Retain(func(k model.GatewayKey) bool { return t.ours(t.gateways[k]) || t.stays(t.gateways[k]) })
		t.all = false
	}
	for len(t.dirty) > 0 { // one may make another so
		for k := range t.dirty {
			delete(t.dirty, k)
			moved = t.provisionGateway(k) || moved
		}
	}
	t.c.metrics.gateways.Set(float64(len(t.fronts)))
	if t.pools.News() || moved {
		t.reportPools()
	}
}

func gatewayRef(k model.GatewayKey) model.ObjectRef {
	return model.ObjectRef{Kind: kindGateway, Namespace: k.Namespace, Name: k.Name}
}

// ours tells whether a Gateway is of a class of ours.
func (t *term) ours(g *gatewayv1.Gateway) bool {
	if g == nil {
		return false
	}
	class := t.classes[string(g.Spec.GatewayClassName)]
	return class != nil && class.Spec.ControllerName == Name
}

// stays tells whether what was made for a Gateway stays, which is not served: only
// its class has gone, and may come back.
func (t *term) stays(g *gatewayv1.Gateway) bool {
	return g != nil && t.classes[string(g.Spec.GatewayClassName)] == nil
}

// provisionGateway has made what a Gateway needs. It tells whether the Gateway went over
// to another class of ours: other nodes may answer for its addresses then.
func (t *term) provisionGateway(k model.GatewayKey) (moved bool) {
	g, was := t.gateways[k], t.fronts[k]
	if !t.ours(g) {
		t.parting(k, g, was)
		if t.stays(g) {
			return false
		}
		delete(t.fronts, k)
		t.rename(k, was, nil)
		t.settle(k, nil)
		t.ports.release(k, nil)
		t.pools.Release(k)
		return false
	}
	now := &front{service: model.ObjectRef{Kind: kindService, Namespace: k.Namespace, Name: serviceName(g)}, addresses: g.Status.Addresses}
	t.rename(k, was, now)
	t.provide(k, g, was, now)
	t.fronts[k] = now
	if was == nil || !reflect.DeepEqual(*was, *now) {
		t.due[k] = true
	}
	if why := now.lack.log; why != "" && (was == nil || was.lack.log != why) {
		t.c.log.Warn("a Gateway is not served", "gateway", k.String(), "why", why)
	}
	return was != nil && was.service != now.service // its name has the class in it
}

// rename notes which Service a Gateway needs. Others that need the same one are
// looked at again.
func (t *term) rename(k model.GatewayKey, was, now *front) {
	if was != nil && now != nil && was.service == now.service {
		return
	}
	if was != nil {
		t.namesakes.remove(was.service, k)
		maps.Copy(t.dirty, t.namesakes[was.service])
	}
	if now != nil {
		maps.Copy(t.dirty, t.namesakes[now.service])
		t.namesakes.add(now.service, k)
	}
}

// nameTaken says who has the name that a Gateway's Service needs; empty when the
// Gateway has it. Of several Gateways the oldest has it, then the first by name.
func (t *term) nameTaken(k model.GatewayKey, service model.ObjectRef) string {
	if _, ours := t.owners[service]; !ours && t.services[service] != nil {
		return fmt.Sprintf("%s is not Sluice's, and has the name that this Gateway's Service needs: remove or rename one of the two", service)
	}
	first := k
	for other := range t.namesakes[service] {
		a, b := t.gateways[other], t.gateways[first]
		if a != nil && b != nil && cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(other.Name, first.Name)) < 0 {
			first = other
		}
	}
	if first == k {
		return ""
	}
	return fmt.Sprintf("%s, whose name this Gateway's Service needs, is that of Gateway %s: rename one of the two", service, first)
}

// provide has made what a Gateway needs, and notes what it lacks.
func (t *term) provide(k model.GatewayKey, g *gatewayv1.Gateway, was, f *front) {
	if was != nil {
		f.addresses = was.addresses
	}
	if why := t.nameTaken(k, f.service); why != "" {
		t.settle(k, nil)
		t.pools.Release(k)
		f.addresses, f.lack = nil, lack{all: why, log: why}
		return
	}
	live := t.services[f.service]
	if live == nil && len(t.made[k]) == 0 && !accepted(t.said[gatewayRef(k)]) {
		return // a load balancer costs: none for what is not served
	}
	params, ok := t.parametersOf(g)
	if !ok {
		return // what there is stays; resolve says that it is not served
	}
	ports := t.portsOf(k, g, &f.lack)
	if len(ports) == 0 {
		return // a Service must have one; what there is stays
	}
	want := t.reachable(k, g, params, f, ports, live)
	objects := t.provisionSlices(g, params, f.service.Name, ports)
	f.lack.ofService(f.service, ports, live)
	f.lack.ofSlices(objects, ports, t.leads)
	objects[f.service] = want
	for _, o := range objects {
		o.Of = t.told(k)
	}
	t.settle(k, objects)
	f.made = true
}

// settle has a Gateway's objects made, and removes all others: those that were
// made for it before, by this leader or an earlier one.
func (t *term) settle(k model.GatewayKey, want map[model.ObjectRef]*object.Object) {
	gone := func(ref model.ObjectRef) {
		if by, ok := t.maker[ref]; want[ref] != nil || ok && by != k {
			return // whatever its labels say now
		}
		delete(t.maker, ref)
		t.objects.Remove(ref)
	}
	for ref := range t.made[k] {
		gone(ref)
	}
	for ref := range t.servicesOf[k] {
		gone(ref)
		for slice := range t.slicesOf[ref] {
			gone(slice)
		}
	}
	delete(t.made, k)
	for ref, o := range want {
		t.made.add(k, ref)
		t.maker[ref] = k
		t.objects.Set(ref, o)
		for stray := range t.straysOf[ref] { // of a selector that it must not have
			t.objects.See(stray, &object.State{UID: t.strays[stray].uid})
			t.objects.Remove(stray)
		}
	}
}

// servicePort is a port of a Gateway's Service.
type servicePort struct {
	key    model.PortKey
	target uint16
}

func (p servicePort) name() string {
	return strings.ToLower(string(p.key.Protocol)) + "-" + strconv.Itoa(int(p.key.Port))
}

// portsOf are the ports of a Gateway and of the ListenerSets that it accepted. It
// notes those that get no port of the nodes.
func (t *term) portsOf(k model.GatewayKey, g *gatewayv1.Gateway, l *lack) []servicePort {
	keys := map[model.PortKey]bool{}
	add := func(port gatewayv1.PortNumber, protocol gatewayv1.ProtocolType) {
		key := model.PortKey{Gateway: k, Port: uint16(port), Protocol: model.TCP}
		if protocol == gatewayv1.UDPProtocolType {
			key.Protocol = model.UDP
		}
		keys[key] = true
	}
	for _, l := range g.Spec.Listeners {
		add(l.Port, l.Protocol)
	}
	for ref := range t.setsOf[k] {
		if !t.accepted[ref] {
			continue
		}
		for _, l := range t.listenerSets[ref].Spec.Listeners {
			add(l.Port, l.Protocol)
		}
	}
	t.ports.release(k, keys)
	var all []servicePort
	for key := range keys {
		target, err := t.ports.get(key)
		if err != nil {
			l.log = err.Error()
			l.port(key, l.log)
			continue
		}
		all = append(all, servicePort{key, target})
	}
	slices.SortFunc(all, func(a, b servicePort) int { return model.ComparePorts(a.key, b.key) })
	return all
}
