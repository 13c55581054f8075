package translate_test

import (
	"net/netip"
	"testing"

	valuev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/set_filter_state/v3"
	setstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/set_filter_state/v3"

	"sluice.io/sluice/model"
	"sluice.io/sluice/xds/translate"
)

// TestPoolsAreKeptApart guards what keeps one workload's requests off another's
// connections: with the factory envoy.string, or not shared with the upstream,
// requests leave with another client's address and identity.
func TestPoolsAreKeptApart(t *testing.T) {
	f := &model.Frontend{Key: model.FrontendKey{Namespace: "shop", Name: "web", Port: 80, Protocol: model.TCP}, HTTP: &model.HTTPRouting{}}
	l := translate.VIP(netip.MustParseAddrPort("10.96.0.1:80"), []*model.Frontend{f}, translate.Options{})
	for _, chain := range l.GetFilterChains() {
		var c setstatev3.Config
		if err := chain.GetFilters()[0].GetTypedConfig().UnmarshalTo(&c); err != nil {
			t.Fatal(err)
		}
		if len(c.GetOnNewConnection()) != 1 {
			t.Fatalf("filter state: %v", &c)
		}
		v := c.GetOnNewConnection()[0]
		if v.GetObjectKey() != "envoy.network.upstream_bind_override.network_namespace" ||
			v.GetFactoryKey() != "envoy.hashable_string" || v.GetSharedWithUpstream() != valuev3.FilterStateValue_ONCE {
			t.Errorf("filter state %v does not keep pools apart", v)
		}
	}
}
