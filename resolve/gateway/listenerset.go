package gateway

import (
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/source"
)

// ListenerSet is a ListenerSet as it was given.
type ListenerSet struct {
	object.Seniority
	Gateway object.Name // its parent
	spec    *gatewayv1.ListenerSetSpec
	Object  *source.Object
}

// NewListenerSet is a ListenerSet as it was given; nil when its parent is no Gateway.
func NewListenerSet(n object.Name, o *gatewayv1.ListenerSet, obj *source.Object) *ListenerSet {
	p := o.Spec.ParentRef
	if ptr.Deref(p.Group, gatewayv1.GroupName) != gatewayv1.GroupName || ptr.Deref(p.Kind, object.KindGateway) != object.KindGateway {
		return nil
	}
	s := &ListenerSet{Seniority: object.SeniorityOf(o), spec: &o.Spec, Object: obj}
	s.Name = n
	s.Gateway = object.Referred(n.Namespace, p.Namespace, p.Name)
	return s
}

// letIn reads the ListenerSets that name a gateway.
func (g *Gateway) letIn(sets []*ListenerSet, labelsOf Labels) []*Parent {
	var in gatewayv1.ListenerNamespaces
	if a := g.Spec.AllowedListeners; a != nil {
		in = ptr.Deref(a.Namespaces, in)
	}
	door, wrong := newdoorway(in.From, gatewayv1.NamespacesFromNone, in.Selector)
	out := make([]*Parent, len(sets))
	for i, s := range sets {
		out[i] = &Parent{Ref: s.Name.Ref(object.KindListenerSet), Origin: s.Object.Origin}
		switch {
		case wrong != nil:
			out[i].Refused = finding.New(finding.NotAllowed, "%s lets nobody in: %s", g.Ref, wrong.Message)
		case !door.admits(g.Name.Namespace, s.Name.Namespace, labelsOf):
			out[i].Refused = finding.New(finding.NotAllowed,
				"%s does not let ListenerSets of namespace %s in: see its allowedListeners", g.Ref, s.Name.Namespace)
		default:
			out[i].Listeners = s.listeners(out[i].Ref)
		}
	}
	return out
}

func (s *ListenerSet) listeners(ref model.ObjectRef) []*Listener {
	ls := make([]*Listener, 0, len(s.spec.Listeners))
	for i := range s.spec.Listeners {
		e := &s.spec.Listeners[i]
		in := &gatewayv1.Listener{Name: e.Name, Hostname: e.Hostname, Port: e.Port, Protocol: e.Protocol, TLS: e.TLS, AllowedRoutes: e.AllowedRoutes}
		ls = appendListener(ls, newListener(ListenerKey{ref, string(e.Name)}, s.Gateway, in, s.Object.ListenerOrigin(i)))
	}
	return ls
}
