package translate

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"sluice.io/sluice/model"
)

// redirect answers a request with a redirection.
func (b *builder) redirect(e model.HTTPEntry, s steps) *routev3.Route {
	r := b.route(e, s)
	a := &routev3.RedirectAction{
		HostRedirect: s.redirect.Host,
		PortRedirect: uint32(s.redirect.Port),
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
