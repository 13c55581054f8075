package rules

import (
	"strings"
	"time"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/index"
)

// httpFilters reads filters in order. One that is known but not supported sets
// c.failing; it must not be passed by.
func (c *compiler) httpFilters(in []gatewayv1.HTTPRouteFilter) ([]model.HTTPFilter, *finding.Finding) {
	if f := checkCombination(in); f != nil {
		return nil, f
	}
	var out []model.HTTPFilter
	for i := range in {
		if !c.supports(&in[i]) {
			continue
		}
		filter, f := c.httpFilter(&in[i])
		if f != nil {
			return nil, f
		}
		out = append(out, filter)
	}
	return out, nil
}

// checkCombination refuses filters that exclude each other, or themselves.
func checkCombination(in []gatewayv1.HTTPRouteFilter) *finding.Finding {
	seen := index.Set[gatewayv1.HTTPRouteFilterType]{}
	for _, f := range in {
		repeats := f.Type == gatewayv1.HTTPRouteFilterRequestMirror || f.Type == gatewayv1.HTTPRouteFilterExtensionRef
		if seen.Has(f.Type) && !repeats {
			return incompatible("filter %s may be given only once", f.Type)
		}
		seen.Add(f.Type)
	}
	if seen.Has(gatewayv1.HTTPRouteFilterRequestRedirect) && seen.Has(gatewayv1.HTTPRouteFilterURLRewrite) {
		return incompatible("filters RequestRedirect and URLRewrite exclude each other")
	}
	return nil
}

// supports reports whether Sluice has a filter, and says so when it has not.
func (c *compiler) supports(f *gatewayv1.HTTPRouteFilter) bool {
	const consequence = "requests that it would process are answered with an error"
	switch f.Type {
	case gatewayv1.HTTPRouteFilterExtensionRef:
		c.failing = true
		c.unresolved(finding.InvalidKind, "filter ExtensionRef %s is not supported: %s", extension(f.ExtensionRef), consequence)
		return false
	case gatewayv1.HTTPRouteFilterExternalAuth:
		c.failing = true
		c.unresolved(finding.UnsupportedFilter, "filter ExternalAuth is not supported: %s", consequence)
		return false
	}
	return true
}

func extension(ref *gatewayv1.LocalObjectReference) string {
	if ref == nil {
		return "without a reference"
	}
	return string(ref.Kind) + "." + string(ref.Group) + " " + string(ref.Name)
}

func (c *compiler) httpFilter(in *gatewayv1.HTTPRouteFilter) (out model.HTTPFilter, f *finding.Finding) {
	switch {
	case in.Type == gatewayv1.HTTPRouteFilterRequestHeaderModifier && in.RequestHeaderModifier != nil:
		out.RequestHeaders, f = headerModifier(in.Type, in.RequestHeaderModifier)
	case in.Type == gatewayv1.HTTPRouteFilterResponseHeaderModifier && in.ResponseHeaderModifier != nil:
		out.ResponseHeaders, f = headerModifier(in.Type, in.ResponseHeaderModifier)
	case in.Type == gatewayv1.HTTPRouteFilterRequestMirror && in.RequestMirror != nil:
		out.Mirror, f = c.mirror(in.RequestMirror)
	case in.Type == gatewayv1.HTTPRouteFilterRequestRedirect && in.RequestRedirect != nil:
		out.Redirect, f = redirect(in.RequestRedirect)
	case in.Type == gatewayv1.HTTPRouteFilterURLRewrite && in.URLRewrite != nil:
		out.Rewrite, f = rewrite(in.URLRewrite)
	case in.Type == gatewayv1.HTTPRouteFilterCORS && in.CORS != nil:
		out.CORS = cors(in.CORS)
	default:
		f = finding.Unsupported("filter type %q is not known, or its configuration is missing", in.Type)
	}
	return out, f
}

// headerModifier reads a header modifier. Of entries with equal names in one
// list the first counts; two different actions on one header are an error.
func headerModifier(kind gatewayv1.HTTPRouteFilterType, in *gatewayv1.HTTPHeaderFilter) (*model.HeaderModifier, *finding.Finding) {
	out := &model.HeaderModifier{}
	action := map[string]string{}
	// claim reports whether the action is the first on the header.
	claim := func(name, verb string) (bool, *finding.Finding) {
		lower := strings.ToLower(name)
		switch {
		case !validToken(name):
			return false, finding.Unsupported("%s: header name %q is not valid", kind, name)
		case lower == "host" && (verb != "set" || kind != gatewayv1.HTTPRouteFilterRequestHeaderModifier):
			return false, finding.Unsupported("%s: the Host header of requests can be set, and nothing else done to it", kind)
		case action[lower] == verb:
			return false, nil
		case action[lower] != "":
			return false, finding.Unsupported("%s: header %q is in both %s and %s", kind, name, action[lower], verb)
		}
		action[lower] = verb
		return true, nil
	}
	var f *finding.Finding
	if out.Set, f = headers(in.Set, "set", claim); f != nil {
		return nil, f
	}
	if out.Add, f = headers(in.Add, "add", claim); f != nil {
		return nil, f
	}
	for _, name := range in.Remove {
		first, f := claim(name, "remove")
		if f != nil {
			return nil, f
		}
		if first {
			out.Remove = append(out.Remove, name)
		}
	}
	return out, nil
}

func headers(in []gatewayv1.HTTPHeader, verb string, claim func(name, verb string) (bool, *finding.Finding)) ([]model.Header, *finding.Finding) {
	var out []model.Header
	for _, h := range in {
		first, f := claim(string(h.Name), verb)
		if f != nil {
			return nil, f
		}
		if strings.ContainsAny(h.Value, "\x00\r\n") {
			return nil, finding.Unsupported("the value of header %q has a line break or a zero byte in it", h.Name)
		}
		if first {
			out = append(out, model.Header{Name: string(h.Name), Value: h.Value})
		}
	}
	return out, nil
}

func (c *compiler) mirror(in *gatewayv1.HTTPRequestMirrorFilter) (*model.Mirror, *finding.Finding) {
	out := &model.Mirror{Numerator: 100, Denominator: 100}
	switch {
	case in.Percent != nil && in.Fraction != nil:
		return nil, finding.Unsupported("a RequestMirror filter has either percent or fraction, not both")
	case in.Percent != nil:
		if *in.Percent < 0 || *in.Percent > 100 {
			return nil, finding.Unsupported("RequestMirror percent %d is not between 0 and 100", *in.Percent)
		}
		out.Numerator = uint32(*in.Percent)
	case in.Fraction != nil:
		n, d := in.Fraction.Numerator, ptr.Deref(in.Fraction.Denominator, 100)
		if n < 0 || d < 1 || n > d {
			return nil, finding.Unsupported("RequestMirror fraction %d/%d is not between 0 and 1", n, d)
		}
		out.Numerator, out.Denominator = uint32(n), uint32(d)
	}
	out.Backend, out.Invalid = c.lookup("RequestMirror", in.BackendRef)
	return out, nil
}

// cors reads a CORS filter. MaxAge has a default in the schema.
func cors(in *gatewayv1.HTTPCORSFilter) *model.CORS {
	out := &model.CORS{AllowCredentials: ptr.Deref(in.AllowCredentials, false), MaxAge: 5 * time.Second}
	if in.MaxAge > 0 {
		out.MaxAge = time.Duration(in.MaxAge) * time.Second
	}
	for _, o := range in.AllowOrigins {
		out.AllowOrigins = append(out.AllowOrigins, string(o))
	}
	for _, m := range in.AllowMethods {
		out.AllowMethods = append(out.AllowMethods, string(m))
	}
	for _, h := range in.AllowHeaders {
		out.AllowHeaders = append(out.AllowHeaders, string(h))
	}
	for _, h := range in.ExposeHeaders {
		out.ExposeHeaders = append(out.ExposeHeaders, string(h))
	}
	return out
}
