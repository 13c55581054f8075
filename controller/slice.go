package controller

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
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

// sliceOf is which Service a slice is for, and which one of its name it is.
type sliceOf struct {
	service model.ObjectRef
	uid     types.UID
}

func sliceFor(ref model.ObjectRef, s *discoveryv1.EndpointSlice) sliceOf {
	return sliceOf{model.ObjectRef{Kind: kindService, Namespace: ref.Namespace, Name: s.Labels[discoveryv1.LabelServiceName]}, s.UID}
}

// takeSlice notes a slice of ours, one that is in the way of ours, or one whose name is
// taken.
func (t *term) takeSlice(ref model.ObjectRef, s *discoveryv1.EndpointSlice) {
	was, had := t.slices[ref]
	delete(t.leads, ref)
	if had {
		delete(t.slices, ref)
		t.slicesOf.remove(was.service, ref)
		t.orphans[was.service] = true
	}
	if s != nil && (madeByUs(s) || had && s.UID == was.uid && s.Labels[object.ManagedBy] == object.Manager) {
		t.takeStray(ref, nil)
		t.takeOther(ref, false)
		now := sliceFor(ref, s)
		t.slices[ref], t.leads[ref] = now, leadsTo(s)
		t.slicesOf.add(now.service, ref)
		t.orphans[now.service] = true
		t.objects.See(ref, &object.State{Digest: s.Annotations[object.Applied], Content: object.ContentOf(s), UID: s.UID})
		return
	}
	t.takeStray(ref, s)
	t.takeOther(ref, s != nil)
	t.objects.See(ref, nil)
}

// madeByUs tells a slice that the controller made by its labels, of which one is enough.
// One that has lost both is let go: another takes its place.
func madeByUs(s *discoveryv1.EndpointSlice) bool {
	manager := s.Labels[discoveryv1.LabelManagedBy]
	return manager == sliceManager || manager == "" && s.Labels[object.ManagedBy] == object.Manager
}

// takeStray notes slices that Kubernetes makes for a Service that has, or had, a
// selector. It does not remove them when that goes.
func (t *term) takeStray(ref model.ObjectRef, s *discoveryv1.EndpointSlice) {
	if was, ok := t.strays[ref]; ok {
		delete(t.strays, ref)
		t.straysOf.remove(was.service, ref)
	}
	if s == nil || s.Labels[discoveryv1.LabelManagedBy] != kubernetesManager {
		return
	}
	now := sliceFor(ref, s)
	t.strays[ref] = now
	t.straysOf.add(now.service, ref)
	t.orphans[now.service] = true
}

// sliceName is what our slices are called: after their Service.
var sliceName = regexp.MustCompile(`^(.+)-ipv[46]-[0-9]+$`)

// takeOther notes a slice of others, or that there is none, where it has a name that one
// of ours might have.
func (t *term) takeOther(ref model.ObjectRef, there bool) {
	name := sliceName.FindStringSubmatch(ref.Name)
	if name == nil {
		return
	}
	service := model.ObjectRef{Kind: kindService, Namespace: ref.Namespace, Name: name[1]}
	if !there {
		t.others.remove(service, ref)
		return
	}
	t.others.add(service, ref)
	if k, wanted := t.maker[ref]; wanted {
		t.dirty[k] = true
	}
}

// sliceRefs are the slices of a Gateway's Service with addresses of a family: those that
// there are first, so that no endpoint moves, then others whose names nobody has.
func (t *term) sliceRefs(g *gatewayv1.Gateway, service string, family discoveryv1.AddressType, count int) []model.ObjectRef {
	var have, free []model.ObjectRef
	of := model.ObjectRef{Kind: kindService, Namespace: g.Namespace, Name: service}
	made := t.made[model.GatewayKey{Namespace: g.Namespace, Name: g.Name}]
	for i := range count + len(made) + len(t.slicesOf[of]) + len(t.others[of]) {
		ref := model.ObjectRef{Kind: kindEndpointSlice, Namespace: g.Namespace, Name: fmt.Sprintf("%s-%s-%d", service, strings.ToLower(string(family)), i)}
		_, there := t.slices[ref]
		switch {
		case t.others[of][ref]:
		case there || made[ref]:
			have = append(have, ref)
		default:
			free = append(free, ref)
		}
	}
	return append(have, free...)[:count]
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
		if gw, ours := t.owners[service]; ours {
			t.dirty[gw] = true
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
		chunks := t.endpoints(family.is4, params)
		for i, ref := range t.sliceRefs(g, service, family.kind, len(chunks)) {
			all[ref] = t.slice(g, ref.Name, service, family.kind, ports, chunks[i])
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
