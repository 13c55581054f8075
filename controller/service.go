package controller

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/controller/object"
	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
)

// poolClass is the load balancer class of Services with addresses of a pool.
const poolClass = "sluice.io/address-pool"

// takeService notes a Service of ours, and whose name is taken by others.
func (t *term) takeService(ref model.ObjectRef, svc *corev1.Service) {
	was := t.services[ref]
	keep(t.services, ref, svc)
	before, had := t.owners[ref]
	gw, ours := madeFor(svc)
	if had && !ours && svc != nil && svc.UID == was.UID {
		gw, ours = before, true // whatever became of its labels
	}
	if had {
		t.dirty[before] = true
		t.servicesOf.remove(before, ref)
		delete(t.owners, ref)
	}
	if ours {
		t.dirty[gw] = true
		t.servicesOf.add(gw, ref)
		t.owners[ref] = gw
	}
	maps.Copy(t.dirty, t.namesakes[ref])
	t.learnTargets(was, svc)
	switch {
	case ours:
		t.objects.See(ref, &object.State{Digest: svc.Annotations[object.Applied], Status: string(statusOf(svc)), Content: object.ContentOf(svc), UID: svc.UID})
	case had:
		t.objects.See(ref, nil)
	}
}

// madeFor is the Gateway that a Service was made for, as its status says, which nobody
// writes but the controller, or its labels before that. It is not ok for others' Services.
func madeFor(svc *corev1.Service) (gw model.GatewayKey, ok bool) {
	if gw, _, ok := allotted(svc); ok {
		return gw, true
	}
	if svc == nil || svc.Labels[object.ManagedBy] != object.Manager {
		return model.GatewayKey{}, false
	}
	return model.GatewayKey{Namespace: svc.Namespace, Name: svc.Labels[gatewayv1.GatewayNameLabelKey]}, true
}

// reachable makes a Gateway's Service, and notes its addresses, or why it has none.
func (t *term) reachable(k model.GatewayKey, g *gatewayv1.Gateway, params *v1alpha1.GatewayParameters, f *front, ports []servicePort, live *corev1.Service) *object.Object {
	kind := t.kindOf(params, live)
	asked := askedFor(g)
	want := t.service(g, params, f.service.Name, ports, live, kind, asked)
	var ingress []corev1.LoadBalancerIngress // a load balancer's to write
	f.addresses = nil
	if kind != pooled {
		t.pools.Release(k)
	}
	switch {
	case kind == pooled:
		assigned := t.pools.Get(k, asked)
		f.pooled, ingress = slices.Clone(assigned), ingressOf(assigned)
		for _, a := range assigned {
			f.addresses = append(f.addresses, address(gatewayv1.IPAddressType, a.String()))
		}
		f.lack.address = "no AddressPool has a free address"
	case kind == turning:
		f.lack.address = f.service.String() + " goes over to another load balancer"
	case kind == internal && live != nil:
		for _, ip := range live.Spec.ClusterIPs {
			f.addresses = append(f.addresses, address(gatewayv1.IPAddressType, ip))
		}
	case live != nil:
		f.addresses = addressesOf(live)
		f.lack.address = fmt.Sprintf("%s waits for the cluster's load balancer; a cluster without one needs an AddressPool", f.service)
	}
	if live != nil {
		want.Status = serviceStatus(ingress, targetsSaid(g.Name, ports, live))
	}
	return want
}

// serviceKind is where a Service's addresses come from.
type serviceKind int

const (
	balanced serviceKind = iota // the cluster's load balancer
	pooled                      // an AddressPool
	internal                    // the cluster only
	turning                     // nowhere for a moment, on the way from one load balancer to another
)

// kindOf tells where the addresses of a Gateway's Service are to come from. Which
// load balancer it is cannot change in a Service that has one, so the Service has
// none for a moment; and it does not change while there is an address.
func (t *term) kindOf(params *v1alpha1.GatewayParameters, live *corev1.Service) serviceKind {
	want := balanced
	switch {
	case params != nil && params.Spec.Service.Type == v1alpha1.GatewayServiceClusterIP:
		return internal
	case t.pools.Any():
		want = pooled
	}
	if live == nil || live.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return want
	}
	has := balanced
	if c := live.Spec.LoadBalancerClass; c != nil && *c == poolClass {
		has = pooled
	}
	if has != want && len(live.Status.LoadBalancer.Ingress) == 0 {
		return turning
	}
	return has
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

// service is what a Gateway's Service should be.
func (t *term) service(g *gatewayv1.Gateway, params *v1alpha1.GatewayParameters, name string, ports []servicePort, live *corev1.Service, kind serviceKind, asked []netip.Addr) *object.Object {
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
	spec := map[string]any{
		"type": string(corev1.ServiceTypeLoadBalancer), "ipFamilyPolicy": string(corev1.IPFamilyPolicyPreferDualStack),
		"selector": map[string]any{}, // none, or others would make endpoints
	}
	if kind == internal || kind == turning {
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
	case kind == pooled:
		spec["loadBalancerClass"], spec["allocateLoadBalancerNodePorts"] = poolClass, false
	case kind == balanced && len(asked) == 1:
		spec["loadBalancerIP"] = asked[0].String()
	case kind == balanced:
		askFor(meta, asked)
	}
	return object.New(resources[kindService], "Service", meta, map[string]any{"spec": spec})
}

// addressAnnotations are by which load balancers are asked for several addresses:
// the field of a Service has room for one. MetalLB refuses both at once.
var addressAnnotations = []string{"metallb.io/loadBalancerIPs", "lbipam.cilium.io/ips", "kube-vip.io/loadbalancerIPs"}

// askFor asks for several addresses, unless a Gateway does so itself.
func askFor(meta map[string]any, asked []netip.Addr) {
	if len(asked) == 0 {
		return
	}
	var all []string
	for _, a := range asked {
		all = append(all, a.String())
	}
	annotations, _ := meta["annotations"].(map[string]any)
	for _, key := range addressAnnotations {
		if _, own := annotations[key]; !own {
			annotations[key] = strings.Join(all, ",")
		}
	}
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
	labels[object.ManagedBy] = object.Manager
	return map[string]any{
		"namespace": g.Namespace, "name": name, "labels": labels, "annotations": annotations,
		"ownerReferences": []any{map[string]any{
			"apiVersion": gatewayv1.GroupVersion.String(), "kind": kindGateway, "name": g.Name, "uid": string(g.UID), "controller": true,
		}},
	}
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
