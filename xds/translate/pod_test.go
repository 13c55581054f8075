package translate_test

import (
	"slices"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sluice.io/sluice/model"
	"sluice.io/sluice/xds/translate"
)

// TestPodsFamilies: Envoy listens at the loopback addresses that a workload has, in
// its network namespace; one that cannot be bound would cost it the other.
func TestPodsFamilies(t *testing.T) {
	for _, c := range []struct {
		place model.Place
		want  []string
	}{
		{model.Place{Mount: "/m"}, []string{"127.0.0.1", "::1"}},
		{model.Place{Mount: "/m", NoIPv6: true}, []string{"127.0.0.1"}},
		{model.Place{Mount: "/m", NoIPv4: true}, []string{"::1"}},
	} {
		l := translate.Pod(&c.place)
		all := []*corev3.Address{l.GetAddress()}
		for _, a := range l.GetAdditionalAddresses() {
			all = append(all, a.GetAddress())
		}
		var got []string
		for _, a := range all {
			s := a.GetSocketAddress()
			if s.GetNetworkNamespaceFilepath() != "/m" || s.GetPortValue() != translate.RedirectPort {
				t.Errorf("%+v: an address is %v", c.place, s)
			}
			got = append(got, s.GetAddress())
		}
		if !slices.Equal(got, c.want) || l.GetName() != "/m" {
			t.Errorf("%+v: %s listens at %v, want %v", c.place, l.GetName(), got, c.want)
		}
	}
}
