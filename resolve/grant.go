package resolve

import (
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/source"
)

// crossing is a direction in which references cross namespaces: from objects of
// one kind in one namespace into another.
type crossing struct{ kind, from, to string }

// grant is a ReferenceGrant.
type grant struct {
	crossings []crossing
	targets   []gatewayv1.ReferenceGrantTo
}

func parseGrant(o *gatewayv1.ReferenceGrant) *grant {
	g := &grant{targets: o.Spec.To}
	for _, f := range o.Spec.From {
		if f.Group == gatewayv1.GroupName {
			g.crossings = append(g.crossings, crossing{string(f.Kind), string(f.Namespace), o.Namespace})
		}
	}
	return g
}

// ingestGrant marks those who refer in the directions of the grant, as it was
// and as it is.
func (u *round) ingestGrant(n object.Name, obj *source.Object) {
	if old := u.grants[n]; old != nil {
		for _, c := range old.crossings {
			u.grantsOf.Remove(c, n)
			u.touchCrossing(c)
		}
		delete(u.grants, n)
	}
	o, ok := object.As[*gatewayv1.ReferenceGrant](obj)
	if !ok {
		return
	}
	g := parseGrant(o)
	u.grants[n] = g
	for _, c := range g.crossings {
		u.grantsOf.Add(c, n)
		u.touchCrossing(c)
	}
}

func (u *round) touchCrossing(c crossing) {
	for rt := range u.crossRoutes[c] {
		u.compile.Add(rt)
	}
	for gw := range u.crossGateways[c] {
		u.gatewaysTouched.Add(gw)
	}
}

// granted reports whether an object may refer to one of the core group's kinds
// ("Service", "Secret", "ConfigMap").
func (r *Resolver) granted(from model.ObjectRef, kind string, to object.Name) bool {
	if from.Namespace == to.Namespace {
		return true
	}
	for n := range r.grantsOf[crossing{from.Kind, from.Namespace, to.Namespace}] {
		for _, t := range r.grants[n].targets {
			if t.Group == "" && string(t.Kind) == kind && (t.Name == nil || string(*t.Name) == "" || string(*t.Name) == to.Name) {
				return true
			}
		}
	}
	return false
}
