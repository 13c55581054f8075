package xds

import (
	"net/netip"
	"testing"

	"sluice.io/sluice/model"
	"sluice.io/sluice/xds/translate"
)

// TestEnvoyIsNotToldOfWhereItCannotListen: a thread of Envoy's that fails to bind in
// another network namespace stays there, and gateways' listeners after it.
func TestEnvoyIsNotToldOfWhereItCannotListen(t *testing.T) {
	p := newPlan(translate.Options{})
	key := model.WorkloadKey{Namespace: "shop", Name: "web"}
	tell := func(unready bool) *change {
		d := model.NewDelta()
		d.Workloads[key] = &model.Workload{Key: key, Place: &model.Place{Cookie: 7, Mount: "/run/web-7", Unready: unready}}
		return p.grow(d)
	}
	if c := tell(true); c.set[listeners]["/run/web-7"] != nil {
		t.Error("it is told")
	}
	if c := tell(false); c.set[listeners]["/run/web-7"] == nil {
		t.Error("it is not told when it can listen")
	}
}

// TestEachRemovalHasAnIntervalOfItsOwn: a service that loses its route, gains it
// and loses it again is served for a whole interval after the last loss, however
// soon the next Retire comes.
func TestEachRemovalHasAnIntervalOfItsOwn(t *testing.T) {
	p := newPlan(translate.Options{})
	vip := netip.MustParseAddr("10.96.0.1")
	key := model.FrontendKey{Namespace: "shop", Name: "cart", Port: 80, Protocol: model.TCP}
	with, without := model.NewDelta(), model.NewDelta()
	with.Frontends[key] = &model.Frontend{Key: key, VIPs: []netip.Addr{vip}, HTTP: &model.HTTPRouting{}}
	without.Frontends[key] = &model.Frontend{Key: key, VIPs: []netip.Addr{vip}, L4: &model.L4Routing{}}
	listener := translate.VIPName(netip.AddrPortFrom(vip, 80))

	p.grow(with)
	p.grow(without)
	p.shrink()
	p.grow(with)
	if c := p.shrink(); c.del[listeners][listener] {
		t.Fatal("what came back is removed")
	}
	p.grow(without)
	if c := p.shrink(); c.del[listeners][listener] {
		t.Fatal("what left only now is removed, for having left before")
	}
	p.grow(without) // told twice
	if c := p.shrink(); !c.del[listeners][listener] {
		t.Fatal("what has left is not removed")
	}
	p.shrink()
	if c := p.shrink(); len(c.del[listeners]) > 0 || !p.idle() {
		t.Fatal("it is not over")
	}
}

// TestHostsInUpperCaseGoWithTheLastPort: what puts them into lower case is there as
// long as there is a port that has need of it.
func TestHostsInUpperCaseGoWithTheLastPort(t *testing.T) {
	p, upper := newPlan(translate.Options{}), translate.FoldScope().GetName()
	port := func(n uint16) model.PortKey {
		return model.PortKey{Gateway: model.GatewayKey{Namespace: "infra", Name: "edge"}, Port: n, Protocol: model.TCP}
	}
	both := model.NewDelta()
	for _, n := range []uint16{80, 81} {
		both.Ports[port(n)] = &model.GatewayPort{Key: port(n), Target: 20000 + n, Chains: []model.Chain{{Name: "web", HTTP: true}}}
	}
	if c := p.grow(both); c.set[scopes][upper] == nil || c.set[routes][upper] == nil {
		t.Fatal("it is not there")
	}
	for i, n := range []uint16{81, 80} {
		gone := model.NewDelta()
		gone.Ports[port(n)] = nil
		p.grow(gone)
		p.shrink()
		c, last := p.shrink(), i == 1
		if c.del[scopes][upper] != last || c.del[routes][upper] != last {
			t.Errorf("after %d ports have gone: scope removed %v, routes removed %v", i+1, c.del[scopes][upper], c.del[routes][upper])
		}
	}
	if c := p.grow(both); c.set[scopes][upper] == nil || c.set[routes][upper] == nil {
		t.Error("it does not come back")
	}
}
