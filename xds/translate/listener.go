package translate

import (
	"cmp"
	"net/netip"
	"strings"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	networkinputsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sluice.io/sluice/model"
)

// Options are what the translation needs to know of the node.
type Options struct {
	// NetnsDir is the folder of the workloads' mounts: a workload's mount path is
	// <NetnsDir>/<namespace>/<service account>/<name>-<cookie>.
	NetnsDir string
	// Authorities is the file with the certificate authorities of the system that
	// Envoy runs on; empty means Debian's.
	Authorities string
}

func (o Options) authorities() string {
	return cmp.Or(o.Authorities, "/etc/ssl/certs/ca-certificates.crt")
}

// VIPName is the name of the listener for an address that clients dial. It is
// the address alone: when another service takes the address over, that is a
// change of the one listener, never two listeners with one address.
func VIPName(vip netip.AddrPort) string { return "vip/" + vip.String() }

// VIP is the listener for one address that clients dial. It binds nothing;
// connections reach it by hand-off from a [Pod] listener. The frontends are all
// of one service port, ordered by ClientNamespace: the clients of a namespace
// that has a frontend of its own get that, the others the one without. Each
// has a filter chain of its own, whose routes come by RDS; so the chains, and
// the connections on them, are untouched by changed routes, and by other
// chains that appear or go.
func VIP(vip netip.AddrPort, frontends []*model.Frontend, o Options) *listenerv3.Listener {
	l := &listenerv3.Listener{
		Name:       VIPName(vip),
		StatPrefix: "vip",
		Address:    address(socket(vip)),
		BindToPort: no,
	}
	byNamespace := map[string]*matcherv3.Matcher_OnMatch{}
	var others *matcherv3.Matcher_OnMatch
	for _, f := range frontends {
		name := chainName(f.Key)
		l.FilterChains = append(l.FilterChains, &listenerv3.FilterChain{
			Name:    name,
			Filters: []*listenerv3.Filter{carryNetns, httpFilter(f.Key, FamilyOf(vip.Addr()))},
		})
		if ns := f.Key.ClientNamespace; ns != "" {
			byNamespace[strings.TrimSuffix(o.NetnsDir, "/")+"/"+ns+"/"] = toChain(name)
		} else {
			others = toChain(name)
		}
	}
	if len(byNamespace) > 0 {
		l.FilterChainMatcher = byClient(byNamespace, others)
	}
	return l
}

func chainName(k model.FrontendKey) string {
	if k.ClientNamespace == "" {
		return "all"
	}
	return "from " + k.ClientNamespace
}

// byClient picks a filter chain by the prefix of the client's mount path. A
// client that nothing is meant for gets no chain: its connection is closed.
func byClient(prefixes map[string]*matcherv3.Matcher_OnMatch, others *matcherv3.Matcher_OnMatch) *matcherv3.Matcher {
	return &matcherv3.Matcher{
		MatcherType: &matcherv3.Matcher_MatcherTree_{MatcherTree: &matcherv3.Matcher_MatcherTree{
			Input: &xdscorev3.TypedExtensionConfig{
				Name:        "envoy.matching.inputs.filter_state",
				TypedConfig: typed(&networkinputsv3.FilterStateInput{Key: clientNetns}),
			},
			TreeType: &matcherv3.Matcher_MatcherTree_PrefixMatchMap{
				PrefixMatchMap: &matcherv3.Matcher_MatcherTree_MatchMap{Map: prefixes},
			},
		}},
		OnNoMatch: others,
	}
}

func toChain(name string) *matcherv3.Matcher_OnMatch {
	return &matcherv3.Matcher_OnMatch{OnMatch: &matcherv3.Matcher_OnMatch_Action{
		Action: &xdscorev3.TypedExtensionConfig{Name: name, TypedConfig: typed(wrapperspb.String(name))},
	}}
}
