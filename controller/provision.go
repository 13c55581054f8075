package controller

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
)

// poolClass is the load balancer class of Services with addresses of a pool.
const poolClass = "sluice.io/address-pool"

// sliceManager tells Kubernetes' own controllers that the slices are ours.
const sliceManager = "gateway-controller.sluice.io"

// perSlice is how many endpoints an EndpointSlice may have.
const perSlice = 1000

// takeService notes a Service of ours, and whose name is taken by others.
func (t *term) takeService(ref model.ObjectRef, svc *corev1.Service) {
	was := t.services[ref]
	keep(t.services, ref, svc)
	if was != nil && was.Labels[managedBy] == manager {
		t.dirty[gatewayOf(was)] = true
		t.servicesOf.remove(gatewayOf(was), ref)
	}
	if svc != nil && svc.Labels[managedBy] == manager {
		t.dirty[gatewayOf(svc)] = true
		t.servicesOf.add(gatewayOf(svc), ref)
	}
	t.learnTargets(was, svc)
	switch {
	case svc != nil && svc.Labels[managedBy] == manager:
		t.objects.see(ref, &state{digest: t.digestOf(svc), status: string(statusOf(svc))})
	case was != nil && was.Labels[managedBy] == manager:
		t.objects.see(ref, nil)
	}
}

func gatewayOf(svc *corev1.Service) model.GatewayKey {
	return model.GatewayKey{Namespace: svc.Namespace, Name: svc.Labels[gatewayv1.GatewayNameLabelKey]}
}

// digestOf tells what was applied to a Service, unless somebody has changed its
// ports since.
func (t *term) digestOf(svc *corev1.Service) string {
	gw := gatewayOf(svc)
	for _, p := range svc.Spec.Ports {
		k := model.PortKey{Gateway: gw, Port: uint16(p.Port), Protocol: model.Protocol(p.Protocol)}
		if has, ok := t.ports.of[gw][k]; !ok || has != uint16(p.TargetPort.IntVal) {
			return "changed"
		}
	}
	return svc.Annotations[applied]
}

func (t *term) takeSlice(ref model.ObjectRef, s *discoveryv1.EndpointSlice) {
	if was, ok := t.slices[ref]; ok {
		delete(t.slices, ref)
		t.slicesOf.remove(was, ref)
		t.orphans[was] = true
	}
	if s == nil || s.Labels[discoveryv1.LabelManagedBy] != sliceManager {
		t.objects.see(ref, nil)
		return
	}
	service := model.ObjectRef{Kind: kindService, Namespace: ref.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}
	t.slices[ref] = service
	t.slicesOf.add(service, ref)
	t.orphans[service] = true
	t.objects.see(ref, &state{digest: s.Annotations[applied]})
}

// adopt has slices looked at whose Service changed or is not there.
func (t *term) adopt() {
	for service := range t.orphans {
		if svc := t.services[service]; svc != nil && svc.Labels[managedBy] == manager {
			t.dirty[gatewayOf(svc)] = true
			continue
		}
		if t.objects.wants(service) != nil {
			continue // it is about to be made
		}
		for ref := range t.slicesOf[service] {
			t.objects.set(ref, nil)
		}
	}
	clear(t.orphans)
}

func (t *term) takePool(ref model.ObjectRef, obj *v1alpha1.AddressPool) {
	t.pools.change(ref.Name, obj)
	t.all = true
	if obj == nil {
		t.objects.set(ref, nil)
		t.objects.see(ref, nil)
		return
	}
	t.objects.see(ref, &state{status: string(poolStatus(obj.Status))})
}

// provision has made what Gateways need.
func (t *term) provision() {
	t.adopt()
	if t.all {
		for k := range t.gateways {
			t.dirty[k] = true
		}
	}
	if len(t.dirty) == 0 {
		return
	}
	for k := range t.dirty {
		t.provisionGateway(k)
	}
	clear(t.dirty)
	t.all = false
	t.c.metrics.gateways.Set(float64(len(t.served)))
	now := metav1.Now()
	for _, q := range t.pools.order {
		st := t.pools.status(q, t.answerer, now)
		t.objects.set(model.ObjectRef{Kind: kindAddressPool, Name: q.obj.Name}, &object{resource: resources[kindAddressPool], status: poolStatus(st)})
		t.c.metrics.pool.WithLabelValues(q.obj.Name).Set(float64(st.Assigned))
	}
}

// ours tells whether a Gateway is of a class of ours.
func (t *term) ours(g *gatewayv1.Gateway) bool {
	if g == nil {
		return false
	}
	class := t.classes[string(g.Spec.GatewayClassName)]
	return class != nil && class.Spec.ControllerName == Name
}

func (t *term) provisionGateway(k model.GatewayKey) {
	g := t.gateways[k]
	if !t.ours(g) {
		delete(t.served, k)
		t.settle(k, nil)
		t.ports.release(k, nil)
		t.pools.release(k, nil)
		return
	}
	t.served[k] = true
	ref := model.ObjectRef{Kind: kindService, Namespace: k.Namespace, Name: serviceName(g)}
	live := t.services[ref]
	if live != nil && live.Labels[managedBy] != manager {
		t.c.log.Warn("a Service has the name that a Gateway's needs; it is left alone", "service", ref.String(), "gateway", k.String())
		t.settle(k, nil)
		return
	}
	params, ok := t.parametersOf(g)
	if !ok {
		return // what there is stays; it is not served
	}
	ports := t.portsOf(k, g)
	if len(ports) == 0 {
		return // a Service must have one; what there is stays
	}
	want, addresses := t.reachable(k, g, params, ref.Name, ports, live)
	objects := t.provisionSlices(g, params, ref.Name, ports)
	objects[ref] = want
	t.settle(k, objects)
	t.statuses.want(model.ObjectRef{Kind: kindGateway, Namespace: k.Namespace, Name: k.Name}, func(w *wish) {
		w.addresses = addresses
	}, false)
}

// reachable makes a Gateway's Service, with its addresses.
func (t *term) reachable(k model.GatewayKey, g *gatewayv1.Gateway, params *v1alpha1.GatewayParameters, name string, ports []servicePort, live *corev1.Service) (*object, []gatewayv1.GatewayStatusAddress) {
	internal := params != nil && params.Spec.Service.Type == v1alpha1.GatewayServiceClusterIP
	pooled := t.pools.any() && !internal
	if !internal && live != nil && live.Spec.Type == corev1.ServiceTypeLoadBalancer {
		pooled = live.Spec.LoadBalancerClass != nil && *live.Spec.LoadBalancerClass == poolClass // it cannot change
	}
	asked := askedFor(g)
	want := t.service(g, params, name, ports, live, pooled, asked)
	var ingress []corev1.LoadBalancerIngress // a load balancer's to write
	var addresses []gatewayv1.GatewayStatusAddress
	switch {
	case pooled:
		assigned := t.pools.get(k, asked)
		ingress = ingressOf(assigned)
		for _, a := range assigned {
			addresses = append(addresses, address(gatewayv1.IPAddressType, a.String()))
		}
	case internal && live != nil:
		t.pools.release(k, nil)
		for _, ip := range live.Spec.ClusterIPs {
			addresses = append(addresses, address(gatewayv1.IPAddressType, ip))
		}
	case live != nil:
		t.pools.release(k, nil)
		addresses = addressesOf(live)
	}
	if live != nil {
		want.status = serviceStatus(ingress, targetsSaid(g.Name, ports, live))
	}
	return want, addresses
}

// settle has a Gateway's objects made, and removes all others: those that were
// made for it before, by this leader or an earlier one.
func (t *term) settle(k model.GatewayKey, want map[model.ObjectRef]*object) {
	gone := func(ref model.ObjectRef) {
		if want[ref] == nil {
			t.objects.set(ref, nil)
		}
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
		t.objects.set(ref, o)
	}
}

// askedFor are the addresses that a Gateway asks for.
func askedFor(g *gatewayv1.Gateway) []netip.Addr {
	var asked []netip.Addr
	for _, a := range g.Spec.Addresses {
		if a.Type != nil && *a.Type != gatewayv1.IPAddressType {
			continue
		}
		if ip, err := netip.ParseAddr(a.Value); err == nil {
			asked = append(asked, ip.Unmap())
		}
	}
	return asked
}

// addressesOf are those that a load balancer gave to a Service.
func addressesOf(svc *corev1.Service) []gatewayv1.GatewayStatusAddress {
	var all []gatewayv1.GatewayStatusAddress
	for _, i := range svc.Status.LoadBalancer.Ingress {
		switch {
		case i.IP != "":
			all = append(all, address(gatewayv1.IPAddressType, i.IP))
		case i.Hostname != "":
			all = append(all, address(gatewayv1.HostnameAddressType, i.Hostname))
		}
	}
	return all
}

func address(kind gatewayv1.AddressType, value string) gatewayv1.GatewayStatusAddress {
	return gatewayv1.GatewayStatusAddress{Type: &kind, Value: value}
}

// ingressOf words addresses of a pool. In mode Proxy, kube-proxy leaves them
// alone: connections reach the node that answers, with the client's address.
func ingressOf(addrs []netip.Addr) []corev1.LoadBalancerIngress {
	mode := corev1.LoadBalancerIPModeProxy
	all := []corev1.LoadBalancerIngress{}
	for _, a := range addrs {
		all = append(all, corev1.LoadBalancerIngress{IP: a.String(), IPMode: &mode})
	}
	return all
}

// servicePort is a port of a Gateway's Service.
type servicePort struct {
	key    model.PortKey
	target uint16
}

func (p servicePort) name() string {
	return strings.ToLower(string(p.key.Protocol)) + "-" + strconv.Itoa(int(p.key.Port))
}

// portsOf are the ports of a Gateway and of the ListenerSets that it accepted.
func (t *term) portsOf(k model.GatewayKey, g *gatewayv1.Gateway) []servicePort {
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
			t.c.log.Error("a port of a Gateway gets no target port", "port", key.String(), "err", err)
			continue
		}
		all = append(all, servicePort{key, target})
	}
	slices.SortFunc(all, func(a, b servicePort) int { return model.ComparePorts(a.key, b.key) })
	return all
}

// service is what a Gateway's Service should be.
func (t *term) service(g *gatewayv1.Gateway, params *v1alpha1.GatewayParameters, name string, ports []servicePort, live *corev1.Service, pooled bool, asked []netip.Addr) *object {
	meta := t.infrastructure(g, name)
	annotate(meta, params)
	// The client's address stays, and no connection takes another hop: every node
	// that gets one serves it. Who wants it otherwise may change it.
	policy := string(corev1.ServiceExternalTrafficPolicyLocal)
	if live != nil && live.Spec.ExternalTrafficPolicy != "" {
		policy = string(live.Spec.ExternalTrafficPolicy)
	}
	if params != nil && params.Spec.Service.ExternalTrafficPolicy != "" {
		policy = string(params.Spec.Service.ExternalTrafficPolicy)
	}
	spec := map[string]any{"type": string(corev1.ServiceTypeLoadBalancer), "ipFamilyPolicy": string(corev1.IPFamilyPolicyPreferDualStack)}
	internal := params != nil && params.Spec.Service.Type == v1alpha1.GatewayServiceClusterIP
	if internal {
		spec["type"] = string(corev1.ServiceTypeClusterIP)
	} else {
		spec["externalTrafficPolicy"] = policy
	}
	var list []any
	for _, p := range ports {
		list = append(list, map[string]any{
			"name": p.name(), "port": int64(p.key.Port), "protocol": string(p.key.Protocol), "targetPort": int64(p.target),
		})
	}
	spec["ports"] = list
	switch {
	case pooled:
		spec["loadBalancerClass"], spec["allocateLoadBalancerNodePorts"] = poolClass, false
	case len(asked) > 0 && !internal:
		spec["loadBalancerIP"] = asked[0].String()
	}
	return newObject(resources[kindService], "Service", meta, map[string]any{"spec": spec})
}

// infrastructure is the metadata of what is made for a Gateway.
func (t *term) infrastructure(g *gatewayv1.Gateway, name string) map[string]any {
	labels, annotations := map[string]any{}, map[string]any{}
	if in := g.Spec.Infrastructure; in != nil {
		for k, v := range in.Labels {
			labels[string(k)] = string(v)
		}
		for k, v := range in.Annotations {
			annotations[string(k)] = string(v)
		}
	}
	labels[gatewayv1.GatewayNameLabelKey] = g.Name
	labels[gatewayv1.GatewayClassNameLabelKey] = string(g.Spec.GatewayClassName)
	labels[managedBy] = manager
	return map[string]any{
		"namespace": g.Namespace, "name": name, "labels": labels, "annotations": annotations,
		"ownerReferences": []any{map[string]any{
			"apiVersion": gatewayv1.GroupVersion.String(), "kind": kindGateway, "name": g.Name, "uid": string(g.UID), "controller": true,
		}},
	}
}

// provisionSlices makes the endpoints of a Gateway's Service: the ready nodes.
func (t *term) provisionSlices(g *gatewayv1.Gateway, params *v1alpha1.GatewayParameters, service string, ports []servicePort) map[model.ObjectRef]*object {
	all := map[model.ObjectRef]*object{}
	for _, family := range []struct {
		kind discoveryv1.AddressType
		is4  bool
	}{{discoveryv1.AddressTypeIPv4, true}, {discoveryv1.AddressTypeIPv6, false}} {
		for i, chunk := range t.endpoints(family.is4, params) {
			name := fmt.Sprintf("%s-%s-%d", service, strings.ToLower(string(family.kind)), i)
			ref := model.ObjectRef{Kind: kindEndpointSlice, Namespace: g.Namespace, Name: name}
			all[ref] = t.slice(g, name, service, family.kind, ports, chunk)
		}
	}
	return all
}

// endpoints are the nodes that serve, with an address of a family, in chunks.
func (t *term) endpoints(is4 bool, params *v1alpha1.GatewayParameters) (chunks [][]any) {
	var all []any
	for _, node := range t.nodes.names(params.Selector().AsSelector()) {
		for _, a := range t.nodes.ready[node] {
			if a.Is4() == is4 {
				all = append(all, map[string]any{
					"addresses": []any{a.String()}, "nodeName": node,
					"conditions": map[string]any{"ready": true, "serving": true, "terminating": false},
				})
				break
			}
		}
	}
	return slices.Collect(slices.Chunk(all, perSlice))
}

func (t *term) slice(g *gatewayv1.Gateway, name, service string, family discoveryv1.AddressType, ports []servicePort, endpoints []any) *object {
	meta := t.infrastructure(g, name)
	labels, _ := meta["labels"].(map[string]any)
	labels[discoveryv1.LabelServiceName] = service
	labels[discoveryv1.LabelManagedBy] = sliceManager
	var list []any
	for _, p := range ports {
		list = append(list, map[string]any{"name": p.name(), "port": int64(p.target), "protocol": string(p.key.Protocol)})
	}
	return newObject(resources[kindEndpointSlice], "EndpointSlice", meta, map[string]any{
		"addressType": string(family), "endpoints": endpoints, "ports": list,
	})
}

var dnsLabel = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)

// serviceName is <gateway>-<class>, or where that is no name for a Service, as
// much of it as can be, and a hash.
func serviceName(g *gatewayv1.Gateway) string {
	name := g.Name + "-" + string(g.Spec.GatewayClassName)
	const room = 63 - len("-ipv4-00")
	if len(name) <= room && dnsLabel.MatchString(name) {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	plain := strings.Trim(strings.ReplaceAll(name, ".", "-"), "-")
	if plain == "" || plain[0] >= '0' && plain[0] <= '9' {
		plain = "gw-" + plain
	}
	return strings.TrimRight(plain[:min(len(plain), room-9)], "-") + "-" + hex.EncodeToString(sum[:4])
}
