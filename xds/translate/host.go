package translate

import (
	"cmp"
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sluice.io/sluice/model"
)

// ChainKey identifies a chain of a gateway's port.
type ChainKey struct {
	Port  model.PortKey
	Chain string
}

// Name is the name of the chain's route configuration.
func (k ChainKey) Name() string { return "gateway/" + k.Port.String() + "/" + k.Chain }

// Host is what becomes of requests for one host name, and the destinations that
// it refers to. The certificate is what its gateway shows to backends.
func Host(h *model.Host, certificate model.ObjectRef) (*routev3.VirtualHost, []Destination) {
	v := &routev3.VirtualHost{Name: h.Key.Domain, Domains: []string{h.Key.Domain}}
	switch {
	case h.Misdirected:
		v.Routes = []*routev3.Route{answer(421)}
	case h.HTTP != nil:
		b := &builder{family: AnyFamily, outlet: Outlet{Gateway: true, Certificate: certificate}, seen: map[string]bool{}}
		for _, e := range h.HTTP.Entries {
			v.Routes = append(v.Routes, b.entry(e)...)
		}
		return v, b.destinations
	}
	return v, nil
}

// answer answers every request with a status and no more.
func answer(status uint32) *routev3.Route {
	return &routev3.Route{
		Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: status}},
	}
}

// Hosts is the route configuration of a chain: a request's host, without its port,
// picks the most specific of the hosts, and gets 404 when there is none.
func Hosts(k ChainKey, hosts []*routev3.VirtualHost) *routev3.RouteConfiguration {
	slices.SortFunc(hosts, func(a, b *routev3.VirtualHost) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return &routev3.RouteConfiguration{
		Name:                            k.Name(),
		VirtualHosts:                    hosts,
		IgnorePortInHostMatching:        true,
		RequestHeadersToRemove:          ownHeaders,
		MostSpecificHeaderMutationsWins: false,
	}
}

// ownHeaders are what Envoy tells of clients beyond what backends are used to.
var ownHeaders = []string{"x-envoy-external-address", "x-envoy-internal"}
