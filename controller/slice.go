package controller

import (
	"fmt"
	"slices"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/controller/object"
	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
)

// sliceManager tells Kubernetes' own controllers that the slices are ours.
const sliceManager = "gateway-controller.sluice.io"

// perSlice is how many endpoints an EndpointSlice may have.
const perSlice = 1000

// kubernetesManager is whose slices are those of Services with selectors.
const kubernetesManager = "endpointslice-controller.k8s.io"

// takeStray notes slices that Kubernetes makes for a Service that has, or had, a
// selector. It does not remove them when that goes.
func (t *term) takeStray(ref model.ObjectRef, s *discoveryv1.EndpointSlice) {
	if was, ok := t.strays[ref]; ok {
		delete(t.strays, ref)
		t.straysOf.remove(was, ref)
	}
	if s == nil || s.Labels[discoveryv1.LabelManagedBy] != kubernetesManager {
		return
	}
	service := model.ObjectRef{Kind: kindService, Namespace: ref.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}
	t.strays[ref] = service
	t.straysOf.add(service, ref)
	t.orphans[service] = true
}

func (t *term) takeSlice(ref model.ObjectRef, s *discoveryv1.EndpointSlice) {
	t.takeStray(ref, s)
	if was, ok := t.slices[ref]; ok {
		delete(t.slices, ref)
		t.slicesOf.remove(was, ref)
		t.orphans[was] = true
	}
	delete(t.leads, ref)
	if s == nil || s.Labels[discoveryv1.LabelManagedBy] != sliceManager {
		t.objects.See(ref, nil)
		return
	}
	t.leads[ref] = leadsTo(s)
	service := model.ObjectRef{Kind: kindService, Namespace: ref.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}
	t.slices[ref] = service
	t.slicesOf.add(service, ref)
	t.orphans[service] = true
	t.objects.See(ref, &object.State{Digest: s.Annotations[object.Applied], Content: object.ContentOf(s)})
}

// nodePort is a port of the nodes.
type nodePort struct {
	number   uint16
	protocol model.Protocol
}

// leadsTo are the ports of nodes that are a slice's.
func leadsTo(s *discoveryv1.EndpointSlice) map[nodePort]bool {
	all := map[nodePort]bool{}
	for _, p := range s.Ports {
		if p.Port != nil && p.Protocol != nil {
			all[nodePort{uint16(*p.Port), model.Protocol(*p.Protocol)}] = true
		}
	}
	return all
}

// adopt has slices looked at whose Service changed or is not there.
func (t *term) adopt() {
	for service := range t.orphans {
		if svc := t.services[service]; svc != nil && svc.Labels[object.ManagedBy] == object.Manager {
			t.dirty[gatewayOf(svc)] = true
			continue
		}
		if t.objects.Wants(service) != nil {
			continue // it is about to be made
		}
		for ref := range t.slicesOf[service] {
			t.objects.Remove(ref)
		}
	}
	clear(t.orphans)
}

// provisionSlices makes the endpoints of a Gateway's Service: the ready nodes.
func (t *term) provisionSlices(g *gatewayv1.Gateway, params *v1alpha1.GatewayParameters, service string, ports []servicePort) map[model.ObjectRef]*object.Object {
	all := map[model.ObjectRef]*object.Object{}
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

func (t *term) slice(g *gatewayv1.Gateway, name, service string, family discoveryv1.AddressType, ports []servicePort, endpoints []any) *object.Object {
	meta := t.infrastructure(g, name)
	labels, _ := meta["labels"].(map[string]any)
	labels[discoveryv1.LabelServiceName] = service
	labels[discoveryv1.LabelManagedBy] = sliceManager
	var list []any
	for _, p := range ports {
		list = append(list, map[string]any{"name": p.name(), "port": int64(p.target), "protocol": string(p.key.Protocol)})
	}
	return object.New(resources[kindEndpointSlice], "EndpointSlice", meta, map[string]any{
		"addressType": string(family), "endpoints": endpoints, "ports": list,
	})
}
