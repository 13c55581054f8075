// Package gateway makes of a Gateway and its ListenerSets the frame in which routes
// stand: listeners with their conflicts, certificates, host names and ports, and the
// addresses at which they are dialled.
//
// It owns all that can be said of listeners without routes: which of them can be
// told from the others, who may attach, and which of them requests for a domain
// belong to. It is a pure function of these objects; where references lead, and
// namespaces' labels, functions of the caller's say. It must not know routes, other
// gateways, nor who has a port that several claim.
package gateway

import (
	"slices"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/source"
)

// Gateway is a Gateway as it was given, whoever's it is.
type Gateway struct {
	object.Seniority
	Ref    model.ObjectRef
	Spec   *gatewayv1.GatewaySpec
	Object *source.Object
	// addresses are those of the status, where a controller writes it.
	addresses []gatewayv1.GatewayStatusAddress
}

// Standalone tells that there is no controller that would assign addresses.
func (g *Gateway) Standalone() bool { return g.Object.Origin.File != "" }

// NewGateway is a Gateway as it was given.
func NewGateway(n object.Name, o *gatewayv1.Gateway, obj *source.Object) *Gateway {
	g := &Gateway{Seniority: object.SeniorityOf(o), Ref: n.Ref(object.KindGateway), Spec: &o.Spec, Object: obj, addresses: o.Status.Addresses}
	g.Name = n
	return g
}

// Unchanged tells that nothing of the Gateway's next state matters that is new.
func (g *Gateway) Unchanged(o *gatewayv1.Gateway, obj *source.Object) bool {
	return object.SameSpec(g.Object, obj) && slices.EqualFunc(g.addresses, o.Status.Addresses, sameAddress)
}

func sameAddress(a, b gatewayv1.GatewayStatusAddress) bool {
	return a.Value == b.Value && ptr.Deref(a.Type, gatewayv1.IPAddressType) == ptr.Deref(b.Type, gatewayv1.IPAddressType)
}

func (g *Gateway) listeners() []*Listener {
	ls := make([]*Listener, 0, len(g.Spec.Listeners))
	for i := range g.Spec.Listeners {
		in := &g.Spec.Listeners[i]
		ls = appendListener(ls, newListener(ListenerKey{g.Ref, string(in.Name)}, g.Name, in, g.Object.ListenerOrigin(i)))
	}
	return ls
}

// appendListener adds a listener, unless one of the same name came before.
func appendListener(ls []*Listener, l *Listener) []*Listener {
	if slices.ContainsFunc(ls, func(o *Listener) bool { return o.Name == l.Name }) {
		return ls
	}
	return append(ls, l)
}
