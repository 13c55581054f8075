package controller

import (
	"reflect"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/controller/object"
	"sluice.io/sluice/model"
)

// finalizer keeps a GatewayClass that Gateways use from being deleted.
const finalizer = gatewayv1.GatewayClassFinalizerGatewaysExist

// Whether a GatewayClass has the finalizer.
const (
	held = "held"
	free = "free"
)

func (t *term) takeClass(name string, now *gatewayv1.GatewayClass) {
	was := t.classes[name]
	keep(t.classes, name, now)
	t.holds[name] = true
	if was == nil || now == nil || !reflect.DeepEqual(was.Spec, now.Spec) {
		t.all = true
	}
	ref := model.ObjectRef{Kind: kindGatewayClass, Name: name}
	switch {
	case now == nil || now.Spec.ControllerName != Name:
		t.objects.See(ref, nil)
	case slices.Contains(now.Finalizers, finalizer):
		t.objects.See(ref, &object.State{Digest: held})
	default:
		t.objects.See(ref, &object.State{Digest: free})
	}
}

// takeGateway notes a Gateway, and whose class it uses.
func (t *term) takeGateway(k model.GatewayKey, now *gatewayv1.Gateway) {
	if was := t.gateways[k]; was != nil {
		t.usersOf.remove(string(was.Spec.GatewayClassName), k)
		t.holds[string(was.Spec.GatewayClassName)] = true
	}
	if now != nil {
		t.usersOf.add(string(now.Spec.GatewayClassName), k)
		t.holds[string(now.Spec.GatewayClassName)] = true
	}
	keep(t.gateways, k, now)
	t.dirty[k] = true
}

// holdClasses keeps the classes of ours that Gateways use, as the Gateway API
// wants it, and lets the others go.
func (t *term) holdClasses() {
	for name := range t.holds {
		ref := model.ObjectRef{Kind: kindGatewayClass, Name: name}
		class, used := t.classes[name], len(t.usersOf[name]) > 0
		if class == nil || class.Spec.ControllerName != Name || used && class.DeletionTimestamp != nil { // it cannot get one any more
			t.objects.Leave(ref)
			continue
		}
		t.objects.Set(ref, holding(class, used))
	}
	clear(t.holds)
}

// holding is a class as we apply it. With the UID, one that is gone by then is not
// made anew.
func holding(class *gatewayv1.GatewayClass, used bool) *object.Object {
	meta := map[string]any{"name": class.Name, "uid": string(class.UID)}
	digest := free
	if used {
		meta["finalizers"], digest = []any{finalizer}, held
	}
	return &object.Object{Resource: resources[kindGatewayClass], Digest: digest, Body: map[string]any{
		"apiVersion": gatewayv1.GroupVersion.String(), "kind": kindGatewayClass, "metadata": meta,
	}}
}
