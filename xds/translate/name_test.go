package translate

import (
	"net/netip"
	"testing"

	"sluice.io/sluice/model"
)

// TestNamesAreRead: what names say is what they were made of, and what is no such
// name is not taken for one.
func TestNamesAreRead(t *testing.T) {
	port := model.PortKey{Gateway: model.GatewayKey{Namespace: "infra", Name: "edge.example"}, Port: 443, Protocol: model.TCP}
	for _, chain := range []string{"web", "shop/set/web", "web a.example"} {
		for _, domain := range []string{"a.example", "*", "*.example"} {
			want := ChainKey{port, chain}
			got, host, ok := ParseScope(want.ScopeName(domain))
			if !ok || got != want || host != domain && (host != wide || Exact(domain)) {
				t.Errorf("%s: %+v, %q, %v", want.ScopeName(domain), got, host, ok)
			}
		}
	}
	for _, addr := range []string{"192.0.2.1:53", "[2001:db8::1]:53", "0.0.0.0:20053", "[::]:20053"} {
		want := Door{netip.MustParseAddrPort(addr), model.UDP}
		if got, ok := ParseDoor(want.Name()); !ok || got != want {
			t.Errorf("%s: %+v, %v", want.Name(), got, ok)
		}
	}
	for _, name := range []string{
		"", "gateway/", "vip/10.0.0.1:80", "gateway/infra/edge:80/TCP/web", "gateway/infra/edge:080/TCP/web *", "gateway/infra/edge:65616/TCP/web *",
		"gateway/infra/edge:80/TCP/web *.example", "gateway/infra:80/TCP/web *", "shop/web:80/TCP", "gateway/192.0.2.1:053/UDP",
	} {
		if k, host, ok := ParseScope(name); ok {
			t.Errorf("%q is read as the scope %+v of %q", name, k, host)
		}
		if d, ok := ParseDoor(name); ok {
			t.Errorf("%q is read as the door %+v", name, d)
		}
	}
}
