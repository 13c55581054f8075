package resolve

import (
	"reflect"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/gateway"
	"sluice.io/sluice/resolve/index"
	"sluice.io/sluice/resolve/object"
)

// round is one update under way: what has been marked as touched, and what
// came of it.
type round struct {
	*Resolver
	delta    *model.Delta
	reported map[model.ObjectRef]*model.Status

	touched   map[object.Name]*service   // services touched, as they were before the round
	endpoints index.Set[object.Name]     // services whose endpoints may have changed
	compile   index.Set[*route]          // routes to compile
	attach    index.Set[*route]          // routes to attach anew
	groups    index.Set[group]           // frontends to make
	report    index.Set[model.ObjectRef] // objects whose status may have changed

	gatewaysTouched index.Set[object.Name]         // gateways to read anew
	portsTouched    index.Set[object.Name]         // gateways whose ports to make
	claimsTouched   index.Set[object.Name]         // gateways whose claims to read anew
	hostsTouched    index.Set[model.HostKey]       // hosts to make
	settle          index.Set[gateway.ListenerKey] // listeners whose routes changed
	policiesTouched index.Set[object.Name]         // policies to read anew
}

func newRound(r *Resolver) *round {
	return &round{
		Resolver:  r,
		delta:     model.NewDelta(),
		reported:  map[model.ObjectRef]*model.Status{},
		touched:   map[object.Name]*service{},
		endpoints: index.Set[object.Name]{},
		compile:   index.Set[*route]{},
		attach:    index.Set[*route]{},
		groups:    index.Set[group]{},
		report:    index.Set[model.ObjectRef]{},

		gatewaysTouched: index.Set[object.Name]{},
		portsTouched:    index.Set[object.Name]{},
		claimsTouched:   index.Set[object.Name]{},
		hostsTouched:    index.Set[model.HostKey]{},
		settle:          index.Set[gateway.ListenerKey]{},
		policiesTouched: index.Set[object.Name]{},
	}
}

// emit notes in a delta what became of something, given all that was emitted before;
// nil when it has gone. What did not change is no news.
func emit[K comparable, V any](delta, made map[K]*V, k K, now *V) {
	switch was := made[k]; {
	case now == nil && was != nil:
		delta[k] = nil
	case now != nil && (was == nil || !reflect.DeepEqual(was, now)):
		delta[k] = now
	}
}

// touch marks a service, and remembers what it was before this round.
func (u *round) touch(n object.Name) {
	if _, ok := u.touched[n]; ok {
		return
	}
	var before *service
	if s := u.services[n]; s != nil {
		c := *s
		before = &c
	}
	u.touched[n] = before
}
