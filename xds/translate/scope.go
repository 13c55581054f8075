package translate

import (
	"slices"
	"strconv"
	"strings"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	headersv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	setstatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"sluice.io/sluice/model"
)

// Each exact host of a chain is a scope of its own, with a route configuration of
// its own, so that a changed host is a small resource. Envoy compares scopes
// letter by letter: a request whose host has none is looked for once more, among
// the domains that stand for many hosts.
const (
	// scopeHeader says, inside Envoy, which chain a request came by and which host
	// it asks for: by that Envoy finds the scope. It never leaves.
	scopeHeader = "x-sluice-scope"
	// wide is the scope of all domains of a chain that are not exact.
	wide = "*"
	// fold is the scope of all hosts in upper case, of whatever chain, and the name
	// of its resources. No chain's scope is like it.
	fold = "gateways/upper-case"
	// The HTTP filters that look once more, in order.
	widenFilter     = "sluice.scope.widen"
	againFilter     = "sluice.scope.again"
	foldFilter      = "sluice.scope.fold"
	foldAgainFilter = "sluice.scope.fold-again"
	lowerFilter     = "sluice.scope.lower"
)

// ChainKey identifies a chain of a gateway's port.
type ChainKey struct {
	Port  model.PortKey
	Chain string
}

// ScopeName is the name of the scope and of the route configuration of an exact
// host; that of all other domains of the chain, if the domain is not exact.
func (k ChainKey) ScopeName(domain string) string {
	if !Exact(domain) {
		domain = wide
	}
	return "gateway/" + k.Port.String() + "/" + k.Chain + " " + domain
}

// ParseScope reads what [ChainKey.ScopeName] makes, and nothing else.
func ParseScope(name string) (k ChainKey, domain string, ok bool) {
	// A chain's name may have spaces and slashes in it, and its end is the last one; a
	// gateway's has one slash, and no colon.
	rest, ok1 := strings.CutPrefix(name, "gateway/")
	gateway, rest, ok2 := strings.Cut(rest, ":")
	namespace, gwName, ok3 := strings.Cut(gateway, "/")
	port, rest, ok4 := strings.Cut(rest, "/")
	protocol, rest, ok5 := strings.Cut(rest, "/")
	number, err := strconv.ParseUint(port, 10, 16)
	space := strings.LastIndexByte(rest, ' ')
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || err != nil || space < 0 {
		return ChainKey{}, "", false
	}
	k.Port = model.PortKey{Gateway: model.GatewayKey{Namespace: namespace, Name: gwName}, Port: uint16(number), Protocol: model.Protocol(protocol)}
	k.Chain, domain = rest[:space], rest[space+1:]
	return k, domain, k.ScopeName(domain) == name
}

// Exact tells whether a domain is one host name.
func Exact(domain string) bool { return !strings.HasPrefix(domain, "*") }

// scope is what the scope header says of requests for a host. It has no colon: that
// is where a host's port begins.
func (k ChainKey) scope(host string) string {
	return k.Port.Gateway.String() + "/" + strconv.Itoa(int(k.Port.Port)) + "/" + k.Chain + " " + host
}

// Scope tells which requests go by the route configuration of the same name.
func Scope(k ChainKey, domain string) *routev3.ScopedRouteConfiguration {
	name := k.ScopeName(domain)
	if !Exact(domain) {
		domain = wide
	}
	return &routev3.ScopedRouteConfiguration{
		Name: name, RouteConfigurationName: name,
		Key: &routev3.ScopedRouteConfiguration_Key{Fragments: []*routev3.ScopedRouteConfiguration_Key_Fragment{{
			Type: &routev3.ScopedRouteConfiguration_Key_Fragment_StringKey{StringKey: k.scope(domain)},
		}}},
	}
}

// byScope makes a connection manager find the routes of requests by their scope.
func byScope(h *hcmv3.HttpConnectionManager, k ChainKey) {
	h.EarlyHeaderMutationExtensions = append(h.EarlyHeaderMutationExtensions,
		extension("envoy.http.early_header_mutation.header_mutation", &earlyv3.HeaderMutation{
			Mutations: []*mutationv3.HeaderMutation{overwrite(scopeHeader, literal(k.scope(""))+"%REQ(:AUTHORITY)%")},
		}))
	h.HttpFilters = []*hcmv3.HttpFilter{
		inPlace(widenFilter, typed(&headersv3.HeaderMutation{Mutations: &headersv3.Mutations{
			RequestMutations: []*mutationv3.HeaderMutation{overwrite(scopeHeader, literal(k.scope(wide)))},
		}})),
		inPlace(againFilter, clearRoute),
		// These change nothing but where a route says so.
		inPlace(foldFilter, typed(&headersv3.HeaderMutation{})),
		inPlace(foldAgainFilter, clearRoute),
		inPlace(lowerFilter, typed(&luav3.Lua{ClearRouteCache: no})),
		// Routes that are found late can't wake filters any more.
		inPlace(corsFilter, corsSettings),
		inPlace(sessionFilter, sessionSettings),
		router,
	}
	h.RouteSpecifier = &hcmv3.HttpConnectionManager_ScopedRoutes{ScopedRoutes: &hcmv3.ScopedRoutes{
		Name:            "gateways",
		ScopeKeyBuilder: &hcmv3.ScopedRoutes_ScopeKeyBuilder{Fragments: []*hcmv3.ScopedRoutes_ScopeKeyBuilder_FragmentBuilder{beforePort}},
		RdsConfigSource: ads(),
		ConfigSpecifier: &hcmv3.ScopedRoutes_ScopedRds{ScopedRds: &hcmv3.ScopedRds{ScopedRdsConfigSource: ads()}},
	}}
}

var clearRoute = typed(&setstatev3.Config{ClearRouteCache: true})

// beforePort is the scope header up to the host's port.
var beforePort = &hcmv3.ScopedRoutes_ScopeKeyBuilder_FragmentBuilder{
	Type: &hcmv3.ScopedRoutes_ScopeKeyBuilder_FragmentBuilder_HeaderValueExtractor_{
		HeaderValueExtractor: &hcmv3.ScopedRoutes_ScopeKeyBuilder_FragmentBuilder_HeaderValueExtractor{
			Name: scopeHeader, ElementSeparator: ":",
			ExtractType: &hcmv3.ScopedRoutes_ScopeKeyBuilder_FragmentBuilder_HeaderValueExtractor_Index{Index: 0},
		},
	},
}

func inPlace(name string, config *anypb.Any) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: config}}
}

// ExactHost is the route configuration of one exact host. What it has no route
// for is answered here: no other domain has a say.
func ExactHost(k ChainKey, v *routev3.VirtualHost) *routev3.RouteConfiguration {
	off := typed(&routev3.FilterConfig{Disabled: true})
	return &routev3.RouteConfiguration{
		Name: k.ScopeName(v.GetName()),
		VirtualHosts: []*routev3.VirtualHost{{
			Name: v.GetName(), Domains: []string{"*"}, Routes: append(slices.Clip(v.GetRoutes()), answer("no route", 404)),
		}},
		RequestHeadersToRemove: ownHeaders,
		TypedPerFilterConfig: map[string]*anypb.Any{
			widenFilter: off, againFilter: off, foldFilter: off, foldAgainFilter: off, lowerFilter: off, corsFilter: off, sessionFilter: off,
		},
	}
}

// WideHosts is the route configuration of the domains of a chain that are not
// exact; the most specific takes a request. There are no others for hosts in
// upper case, until they are in lower case.
func WideHosts(k ChainKey, hosts []*routev3.VirtualHost) *routev3.RouteConfiguration {
	rc := &routev3.RouteConfiguration{
		Name:                     k.ScopeName(wide),
		IgnorePortInHostMatching: true,
		RequestHeadersToRemove:   ownHeaders,
	}
	upper, all := toFold(k), false
	for _, v := range hosts {
		all = all || v.GetName() == wide
		rc.VirtualHosts = append(rc.VirtualHosts, &routev3.VirtualHost{
			Name: v.GetName(), Domains: []string{v.GetName()}, Routes: append([]*routev3.Route{upper}, v.GetRoutes()...),
		})
	}
	if !all {
		rc.VirtualHosts = append(rc.VirtualHosts, &routev3.VirtualHost{
			Name: wide, Domains: []string{wide}, Routes: []*routev3.Route{upper},
		})
	}
	slices.SortFunc(rc.VirtualHosts, func(a, b *routev3.VirtualHost) int { return strings.Compare(a.GetName(), b.GetName()) })
	return rc
}

// toFold sends hosts in upper case, which hardly any client leaves to others, to
// the scope that puts them into lower case. What follows the colon is for that one.
func toFold(k ChainKey) *routev3.Route {
	r := answer("upper case", 404)
	r.Match.Headers = append(r.Match.Headers, regexHeader(":authority", "[^:]*[A-Z].*"))
	r.TypedPerFilterConfig = map[string]*anypb.Any{
		foldFilter: typed(&headersv3.HeaderMutationPerRoute{Mutations: &headersv3.Mutations{
			RequestMutations: []*mutationv3.HeaderMutation{overwrite(scopeHeader, literal(fold+":"+k.scope("")))},
		}}),
	}
	return r
}

// FoldScope is the scope of hosts in upper case. There is one for all chains: its
// script costs Envoy a quarter of a megabyte wherever it stands.
func FoldScope() *routev3.ScopedRouteConfiguration {
	return &routev3.ScopedRouteConfiguration{
		Name: fold, RouteConfigurationName: fold,
		Key: &routev3.ScopedRouteConfiguration_Key{Fragments: []*routev3.ScopedRouteConfiguration_Key_Fragment{{
			Type: &routev3.ScopedRouteConfiguration_Key_Fragment_StringKey{StringKey: fold},
		}}},
	}
}

// Fold is the route configuration of hosts in upper case: it puts them into lower
// case, and looks for their routes from the beginning.
func Fold() *routev3.RouteConfiguration {
	r := answer("upper case", 404)
	r.TypedPerFilterConfig = map[string]*anypb.Any{lowerFilter: typed(&luav3.LuaPerRoute{Override: &luav3.LuaPerRoute_SourceCode{
		SourceCode: inlineString(`
function envoy_on_request(request)
  local headers = request:headers()
  local host = headers:get(":authority"):lower()
  local chain = headers:get("` + scopeHeader + `"):sub(` + strconv.Itoa(len(fold)+2) + `)
  headers:replace(":authority", host)
  headers:replace("` + scopeHeader + `", chain .. host)
  request:clearRouteCache()
  request:metadata() -- finds the route, if there is one
  if request:streamInfo():routeName() == "" then
    headers:replace("` + scopeHeader + `", chain .. "` + wide + `")
    request:clearRouteCache()
  end
end
`),
	}})}
	return &routev3.RouteConfiguration{
		Name:                   fold,
		VirtualHosts:           []*routev3.VirtualHost{{Name: fold, Domains: []string{"*"}, Routes: []*routev3.Route{r}}},
		RequestHeadersToRemove: ownHeaders,
	}
}
