package translate

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sluice.io/sluice/model"
)

// redirect answers requests with a redirection. Without a port of its own the
// location has the scheme's port, which needs no writing; but Envoy keeps the
// port of the request's host. Requests whose host has one get a route of their
// own, that puts the scheme's port in its place.
func (b *builder) redirect(e model.HTTPEntry, s steps) []*routev3.Route {
	to := s.redirect
	plain := b.redirection(e, s, to.Port)
	if to.Port != 0 || to.Host != "" || to.Scheme == "" {
		return []*routev3.Route{plain}
	}
	ported := b.redirection(e, s, schemePort(to.Scheme))
	ported.Match.Headers = append(ported.Match.Headers, regexHeader(":authority", `.*:[0-9]+`))
	return []*routev3.Route{ported, plain}
}

func (b *builder) redirection(e model.HTTPEntry, s steps, port uint16) *routev3.Route {
	r := b.route(e, s)
	a := &routev3.RedirectAction{
		HostRedirect: s.redirect.Host,
		PortRedirect: uint32(port),
		ResponseCode: redirectCode(s.redirect.Code),
	}
	if s.redirect.Scheme != "" {
		a.SchemeRewriteSpecifier = &routev3.RedirectAction_SchemeRedirect{SchemeRedirect: s.redirect.Scheme}
	}
	if s.redirect.Path != nil {
		changePath(s.redirect.Path, e.Match.Path).redirect(a)
	}
	r.Action = &routev3.Route_Redirect{Redirect: a}
	return r
}

func schemePort(scheme string) uint16 {
	if scheme == "https" {
		return 443
	}
	return 80
}

func redirectCode(code int) routev3.RedirectAction_RedirectResponseCode {
	switch code {
	case 301:
		return routev3.RedirectAction_MOVED_PERMANENTLY
	case 303:
		return routev3.RedirectAction_SEE_OTHER
	case 307:
		return routev3.RedirectAction_TEMPORARY_REDIRECT
	case 308:
		return routev3.RedirectAction_PERMANENT_REDIRECT
	default:
		return routev3.RedirectAction_FOUND
	}
}
