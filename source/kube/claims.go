package kube

import (
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// claims tells whose references are followed: those of Gateways of one controller's
// classes, and of the ListenerSets that attach to them. What others refer to is theirs to
// read. What has no class, such as a policy, counts always.
type claims struct {
	controller gatewayv1.GatewayController // empty for all
	classes    map[string]bool             // the controller's
	gateways   map[model.ObjectRef]*gatewayv1.Gateway
	sets       map[model.ObjectRef]*gatewayv1.ListenerSet
	setsOf     map[model.ObjectRef]map[model.ObjectRef]bool // by the Gateway
	due        map[model.ObjectRef]source.KubeObject
}

func newClaims(controller string) *claims {
	return &claims{
		controller: gatewayv1.GatewayController(controller), classes: map[string]bool{}, gateways: map[model.ObjectRef]*gatewayv1.Gateway{},
		sets: map[model.ObjectRef]*gatewayv1.ListenerSet{}, setsOf: map[model.ObjectRef]map[model.ObjectRef]bool{}, due: map[model.ObjectRef]source.KubeObject{},
	}
}

// change takes in an object's new state; nil when it is gone.
func (c *claims) change(ref model.ObjectRef, obj source.KubeObject) {
	switch ref.Kind {
	case kindGatewayClass:
		class, _ := obj.(*gatewayv1.GatewayClass)
		c.class(ref.Name, class != nil && class.Spec.ControllerName == c.controller)
	case kindGateway:
		g, _ := obj.(*gatewayv1.Gateway)
		put(c.gateways, ref, g)
		c.gateway(ref)
	case kindListenerSet:
		if was := c.sets[ref]; was != nil {
			delete(c.setsOf[parentOf(was)], ref)
		}
		set, _ := obj.(*gatewayv1.ListenerSet)
		put(c.sets, ref, set)
		if set != nil {
			parent := parentOf(set)
			if c.setsOf[parent] == nil {
				c.setsOf[parent] = map[model.ObjectRef]bool{}
			}
			c.setsOf[parent][ref] = true
		}
		c.set(ref)
	default:
		c.due[ref] = obj
	}
}

// changes are the objects to look at for references; nil for those that have none that
// are followed.
func (c *claims) changes() map[model.ObjectRef]source.KubeObject {
	due := c.due
	c.due = map[model.ObjectRef]source.KubeObject{}
	return due
}

func (c *claims) class(name string, ours bool) {
	if c.classes[name] == ours {
		return
	}
	if ours {
		c.classes[name] = true
	} else {
		delete(c.classes, name)
	}
	for ref, g := range c.gateways {
		if string(g.Spec.GatewayClassName) == name {
			c.gateway(ref)
		}
	}
}

// gateway has a Gateway and its ListenerSets looked at.
func (c *claims) gateway(ref model.ObjectRef) {
	c.due[ref] = nil
	if g := c.gateways[ref]; g != nil && c.ours(ref) {
		c.due[ref] = g
	}
	for set := range c.setsOf[ref] {
		c.set(set)
	}
}

func (c *claims) set(ref model.ObjectRef) {
	c.due[ref] = nil
	if s := c.sets[ref]; s != nil && c.ours(parentOf(s)) {
		c.due[ref] = s
	}
}

func (c *claims) ours(gateway model.ObjectRef) bool {
	g := c.gateways[gateway]
	return c.controller == "" || g != nil && c.classes[string(g.Spec.GatewayClassName)]
}

// put sets a map's value, or deletes it when that is nil.
func put[T any](m map[model.ObjectRef]*T, ref model.ObjectRef, v *T) {
	if v == nil {
		delete(m, ref)
	} else {
		m[ref] = v
	}
}

// parentOf is the Gateway that a ListenerSet names.
func parentOf(s *gatewayv1.ListenerSet) model.ObjectRef {
	ref := model.ObjectRef{Kind: kindGateway, Namespace: s.Namespace, Name: string(s.Spec.ParentRef.Name)}
	if n := s.Spec.ParentRef.Namespace; n != nil {
		ref.Namespace = string(*n)
	}
	return ref
}
