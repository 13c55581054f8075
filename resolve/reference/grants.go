// Package reference keeps what objects refer to across namespaces, or for the sake
// of certificates: ReferenceGrants, Secrets and ConfigMaps.
//
// It owns who may refer to what, what can be used of it, and whom to ask again when
// that changes: whoever follows a reference is remembered as its user. It must not
// know what users are, or what they do with what they find.
package reference

import (
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/index"
	"sluice.io/sluice/resolve/object"
)

// Grants are the ReferenceGrants.
type Grants struct {
	grants map[object.Name]*grant
	on     index.Of[crossing, object.Name]     // direction -> ReferenceGrants
	users  index.Of[crossing, model.ObjectRef] // direction -> who refers so
	uses   index.Of[model.ObjectRef, crossing]
}

// crossing is a direction in which references cross namespaces: from objects of
// one kind in one namespace into another.
type crossing struct{ kind, from, to string }

type grant struct {
	crossings []crossing
	targets   []gatewayv1.ReferenceGrantTo
}

// NewGrants knows no ReferenceGrants.
func NewGrants() *Grants {
	return &Grants{
		grants: map[object.Name]*grant{},
		on:     index.Of[crossing, object.Name]{},
		users:  index.Of[crossing, model.ObjectRef]{},
		uses:   index.Of[model.ObjectRef, crossing]{},
	}
}

// Put takes the new state of a ReferenceGrant, nil when it is gone. It returns the
// users who refer in the grant's directions, as it was and as it is.
func (g *Grants) Put(n object.Name, o *gatewayv1.ReferenceGrant) index.Set[model.ObjectRef] {
	concerned := index.Set[model.ObjectRef]{}
	concern := func(c crossing) {
		for user := range g.users[c] {
			concerned.Add(user)
		}
	}
	if old := g.grants[n]; old != nil {
		for _, c := range old.crossings {
			g.on.Remove(c, n)
			concern(c)
		}
		delete(g.grants, n)
	}
	if o == nil {
		return concerned
	}
	now := &grant{targets: o.Spec.To}
	for _, f := range o.Spec.From {
		if f.Group == gatewayv1.GroupName {
			c := crossing{string(f.Kind), string(f.Namespace), o.Namespace}
			now.crossings = append(now.crossings, c)
			g.on.Add(c, n)
			concern(c)
		}
	}
	g.grants[n] = now
	return concerned
}

// Permit reports whether an object may refer to one of the core group's kinds
// ("Service", "Secret", "ConfigMap"). The user is whoever depends on the answer.
func (g *Grants) Permit(user, from model.ObjectRef, kind string, to object.Name) bool {
	if from.Namespace == to.Namespace {
		return true
	}
	c := crossing{from.Kind, from.Namespace, to.Namespace}
	g.users.Add(c, user)
	g.uses.Add(user, c)
	for n := range g.on[c] {
		if slices.ContainsFunc(g.grants[n].targets, func(t gatewayv1.ReferenceGrantTo) bool {
			return t.Group == "" && string(t.Kind) == kind && (t.Name == nil || string(*t.Name) == "" || string(*t.Name) == to.Name)
		}) {
			return true
		}
	}
	return false
}

// Release forgets what a user asked.
func (g *Grants) Release(user model.ObjectRef) {
	for c := range g.uses[user] {
		g.users.Remove(c, user)
	}
	delete(g.uses, user)
}
