package translate

import (
	"strings"

	"sluice.io/sluice/model"
)

// steps is what a chain of filters does to a request and its response.
type steps struct {
	request, response headers
	redirect          *model.Redirect
	host              string
	path              *model.PathModifier
	mirrors           []*model.Mirror
	cors              *model.CORS
}

// then is the steps followed by further filters.
func (s steps) then(filters []model.HTTPFilter) steps {
	s.mirrors = append([]*model.Mirror(nil), s.mirrors...)
	for _, f := range filters {
		switch {
		case f.RequestHeaders != nil:
			s.requestHeaders(f.RequestHeaders)
		case f.ResponseHeaders != nil:
			s.response = s.response.then(f.ResponseHeaders)
		case f.Redirect != nil:
			s.redirect = f.Redirect
		case f.Rewrite != nil:
			s.rewrite(f.Rewrite)
		case f.Mirror != nil && f.Mirror.Invalid == "":
			s.mirrors = append(s.mirrors, f.Mirror)
		case f.CORS != nil:
			s.cors = f.CORS
		}
	}
	return s
}

func (s *steps) rewrite(r *model.Rewrite) {
	if r.Host != "" {
		s.host = r.Host
	}
	if r.Path != nil {
		s.path = r.Path
	}
}

// requestHeaders modifies request headers. The Host header is none to Envoy but
// the authority: setting it is a rewrite of the host; a request cannot be
// without it or have two, so removing it or adding to it does nothing.
func (s *steps) requestHeaders(m *model.HeaderModifier) {
	for _, h := range m.Set {
		if isHost(h.Name) {
			s.host = h.Value
		}
	}
	s.request = s.request.then(m)
}

func isHost(name string) bool {
	return strings.EqualFold(name, "host") || strings.EqualFold(name, ":authority")
}

// weighable tells whether the filters of all backends can be settings of their
// share of a weighted cluster; else they need routes of their own.
func weighable(backends []model.WeightedBackend) bool {
	for _, w := range shares(backends) {
		if w.Invalid != "" {
			continue
		}
		s := steps{}.then(w.Filters)
		if s.redirect != nil || s.path != nil || s.cors != nil || len(s.mirrors) > 0 {
			return false
		}
	}
	return true
}
