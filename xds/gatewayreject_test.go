package xds_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"sluice.io/sluice/model"
)

// TestRejectedOfGateways: what Envoy does not take is known by the Gateway's port, and
// by its address or host; it is not any more when Envoy has taken it. Here another
// program has a port, and the routes of one host are such as resolve never makes.
func TestRejectedOfGateways(t *testing.T) {
	e, d := newEdge(t), model.NewDelta()
	e.start(t, model.NewDelta())
	var taken net.PacketConn
	if err := e.node.in(func() (err error) {
		taken, err = net.ListenPacket("udp4", "0.0.0.0:53")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	k := udpBackend("first")
	d.Backends[k] = &model.Backend{Key: k}
	d.Endpoints[k] = &model.Endpoints{Key: k, Endpoints: []model.Endpoint{{Addr: e.server.datagrams(8090, "first")}}}
	udp := portKey(53, model.UDP)
	d.Ports[udp] = &model.GatewayPort{
		Key: udp, Origin: gatewayOrigin, Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.1")},
		Datagrams: &model.L4Routing{Backends: []model.WeightedBackend{{Backend: k, Weight: 1}}},
	}
	gateway(d, 80, []string{"203.0.113.1"}, model.Chain{Name: "infra/set/web", HTTP: true, Origin: gatewayOrigin})
	domain(d, 80, "infra/set/web", "good.example", to("/", weighted("one", 1)))
	bad := to("/", weighted("one", 1))
	bad.Match.Path = &model.StringMatch{Kind: model.MatchRegex, Value: "("}
	domain(d, 80, "infra/set/web", "bad.example", bad)
	domain(d, 80, "infra/set/web", "*.wide.example", bad)
	e.apply(d)

	rejected := func() map[model.Rejected]string {
		all := map[model.Rejected]string{}
		for _, r := range e.world.server.Status().Rejected {
			if g, ok := r.Gateway(); ok {
				message := g.Message
				g.Message = ""
				all[g] = message
			} else {
				t.Errorf("of no Gateway: %+v", r)
			}
		}
		return all
	}
	web := portKey(80, model.TCP)
	for want, why := range map[model.Rejected]string{
		{Port: udp, At: netip.MustParseAddrPort("203.0.113.1:53")}: "in use",
		{Port: web, Host: "bad.example"}:                           "missing )",
		{Port: web, Host: "*"}:                                     "missing )",
	} {
		var got map[model.Rejected]string
		eventually(t, why, func() bool { got = rejected(); return strings.Contains(strings.ToLower(got[want]), why) })
		if len(got) > 3 {
			t.Errorf("rejected are %v", got)
		}
	}
	if resp, _, err := (visitor{from: e.client, to: "203.0.113.1:80"}).ask("http://good.example/"); err != nil || resp.StatusCode != 200 {
		t.Errorf("the other host: %v %v", resp, err)
	}

	taken.Close()
	d = model.NewDelta()
	domain(d, 80, "infra/set/web", "bad.example", to("/", weighted("one", 1)))
	domain(d, 80, "infra/set/web", "*.wide.example", to("/", weighted("one", 1)))
	e.apply(d)
	eventually(t, "nothing is rejected", func() bool { return len(rejected()) == 0 })
	if got := e.client.askUDP(t, "203.0.113.1:53"); got != "first!" {
		t.Errorf("the port that is free again answers %q", got)
	}
}
