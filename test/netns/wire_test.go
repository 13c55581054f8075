package netns

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"sluice.io/sluice/test/apps/echo"
)

// TestWireTruth proves that on the wire a connection is what the application
// would have sent: the client pod's address to the server pod's, on the
// application's port, and nothing else. Firewalls in the client's pod, the
// server's pod and between them let pass only that.
func TestWireTruth(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("kernel", "routed")
	s.apply("route", plainRoute("routed"))
	c := s.client("client")
	s.settle()
	servers := []string{"kernel", "routed"}
	var allowed strings.Builder
	for _, name := range servers {
		p := s.services[name].Endpoints[0]
		guard(t, p.Firewall, "", onlyApp(c.V4.String(), p.V4.String(), "ip")+onlyApp(c.V6.String(), p.V6.String(), "ip6"))
		allowed.WriteString(onlyApp(c.V4.String(), p.V4.String(), "ip") + onlyApp(c.V6.String(), p.V6.String(), "ip6"))
	}
	guard(t, c.Firewall, "", allowed.String())
	guard(t, s.Firewall, c.Veth(), allowed.String())

	families(t, func(t *testing.T, family int) {
		for _, name := range servers {
			for _, h2c := range []bool{false, true} {
				a := c.get(t, family, request{To: "http://" + name + "/", H2C: h2c})
				if a.name() != name {
					t.Fatalf("%s: %s", name, a.name())
				}
				if a.Seen.RemoteIP() != c.Addr(family) {
					t.Errorf("%s saw %s, want the client's own address %s", name, a.Seen.Remote, c.Addr(family))
				}
			}
			// The firewall does work: another port of the same server is refused.
			if got := c.tcpName(family, name+":70"); !strings.HasPrefix(got, "error") {
				t.Errorf("%s:70 passed the firewall: %s", name, got)
			}
		}
	})
}

// onlyApp is nftables rules that let pass the application's own packets, in both directions.
func onlyApp(client, server, family string) string {
	return fmt.Sprintf(`
		%[3]s saddr %[1]s %[3]s daddr %[2]s tcp dport 8080 accept
		%[3]s saddr %[2]s %[3]s daddr %[1]s tcp sport 8080 accept`, client, server, family)
}

// guard loads rules after which all is rejected: for a pod on what it sends and
// receives, for the node (with a veth) on what it forwards for that pod.
func guard(t *testing.T, load func(context.Context, string) error, veth, rules string) {
	t.Helper()
	hooks, others := []string{"input", "output"}, `iifname "lo" accept; oifname "lo" accept; icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept`
	name := "guard"
	if veth != "" {
		hooks, others = []string{"forward"}, fmt.Sprintf("iifname != %[1]q oifname != %[1]q accept", veth)
		name += "_" + veth
	}
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s {\n", name)
	for _, h := range hooks {
		fmt.Fprintf(&b, "\tchain %[1]s {\n\t\ttype filter hook %[1]s priority 0; policy accept\n\t\t%[2]s%[3]s\n\t\treject with icmpx admin-prohibited\n\t}\n", h, others, rules)
	}
	b.WriteString("}\n")
	if err := load(t.Context(), b.String()); err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
}

// TestClientsShareNoUpstream proves that a connection to a server carries one
// client pod's requests only, with that client's address, over HTTP/1.1, HTTP/2
// and gRPC, however many clients are busy at once.
func TestClientsShareNoUpstream(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front")
	s.apply("route", plainRoute("front"))
	s.apply("grpc", `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: grpc, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: front, port: 90}]
  rules:
  - backendRefs: [{name: front, port: 90}]
`)
	clients := []*client{s.client("a"), s.client("b"), s.client("c")}
	s.settle()
	families(t, func(t *testing.T, family int) {
		for _, h2c := range []bool{false, true} {
			var mu sync.Mutex
			owners := map[int64]string{}
			var wg sync.WaitGroup
			for _, c := range clients {
				for range 4 {
					wg.Go(func() {
						for range 25 {
							a, err := c.try(family, request{To: "http://front/", H2C: h2c})
							if err != nil || a.Seen == nil {
								t.Errorf("%s: %v %v", c.name, a, err)
								return
							}
							mu.Lock()
							if owner, known := owners[a.Seen.Conn]; known && owner != c.name {
								t.Errorf("connection %d carried requests of %s and %s", a.Seen.Conn, owner, c.name)
							}
							owners[a.Seen.Conn] = c.name
							mu.Unlock()
							if a.Seen.RemoteIP() != c.Addr(family) {
								t.Errorf("%s's request came from %s, want %s", c.name, a.Seen.Remote, c.Addr(family))
							}
						}
					})
				}
			}
			wg.Wait()
		}
		for _, c := range clients {
			seen, err := c.grpc(t, family, "front:90").Call(t.Context(), echo.GRPCService+"/Get", "x")
			if err != nil || seen.RemoteIP() != c.Addr(family) {
				t.Errorf("%s's call: %+v %v, want it from %s", c.name, seen, err, c.Addr(family))
			}
		}
	})
}
