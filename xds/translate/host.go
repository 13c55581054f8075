package translate

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sluice.io/sluice/model"
)

// Host is what becomes of requests for one domain, and the destinations that it
// refers to. The certificate is what its gateway shows to backends.
func Host(h *model.Host, certificate model.ObjectRef) (*routev3.VirtualHost, []Destination) {
	v := &routev3.VirtualHost{Name: h.Key.Domain}
	switch {
	case h.Misdirected:
		v.Routes = []*routev3.Route{answer("misdirected", 421)}
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
func answer(name string, status uint32) *routev3.Route {
	return &routev3.Route{
		Name:   name,
		Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: status}},
	}
}

// ownHeaders are what is said of requests inside Envoy, or by Envoy beyond what
// backends are used to.
var ownHeaders = []string{scopeHeader, "x-envoy-external-address", "x-envoy-internal"}
