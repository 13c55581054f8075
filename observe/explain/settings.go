package explain

import (
	"fmt"
	"strings"

	"sluice.io/sluice/model"
)

// settings writes all that a rule does to requests, in words.
func settings(r *model.HTTPRule) []string {
	out := filters(r.Filters)
	if t := r.Timeouts.Request; t != nil {
		out = append(out, fmt.Sprintf("timeout of the request: %s", orNone(t.String())))
	}
	if t := r.Timeouts.BackendRequest; t != nil {
		out = append(out, fmt.Sprintf("timeout of each attempt: %s", orNone(t.String())))
	}
	if r.Retry != nil {
		out = append(out, retry(r.Retry))
	}
	if s := r.Session; s != nil {
		out = append(out, session(s))
	}
	return out
}

func orNone(d string) string {
	if d == "0s" {
		return "none"
	}
	return d
}

func retry(r *model.HTTPRetry) string {
	s := fmt.Sprintf("up to %d retries on connection failures", r.Attempts)
	if len(r.Codes) > 0 {
		s += fmt.Sprintf(" and codes %s", strings.Trim(fmt.Sprint(r.Codes), "[]"))
	}
	if r.Backoff > 0 {
		s += fmt.Sprintf(", at least %s apart", r.Backoff)
	}
	return s
}

func session(s *model.SessionPersistence) string {
	if s.Header {
		return fmt.Sprintf("sessions are kept by header %s", s.Name)
	}
	out := fmt.Sprintf("sessions are kept by cookie %s for %s", s.Name, s.Path)
	if s.TTL > 0 {
		out += fmt.Sprintf(", for %s", s.TTL)
	}
	return out
}

// filters writes filters in words, in their order.
func filters(fs []model.HTTPFilter) []string {
	var out []string
	for _, f := range fs {
		switch {
		case f.RequestHeaders != nil:
			out = append(out, modifier("request headers", f.RequestHeaders))
		case f.ResponseHeaders != nil:
			out = append(out, modifier("response headers", f.ResponseHeaders))
		case f.Redirect != nil:
			out = append(out, fmt.Sprintf("redirect with %d", f.Redirect.Code))
		case f.Rewrite != nil:
			out = append(out, rewrite(f.Rewrite))
		case f.Mirror != nil:
			out = append(out, mirror(f.Mirror))
		case f.CORS != nil:
			out = append(out, "CORS for origins "+strings.Join(f.CORS.AllowOrigins, ", "))
		}
	}
	return out
}

func modifier(what string, m *model.HeaderModifier) string {
	var parts []string
	for _, h := range m.Set {
		parts = append(parts, fmt.Sprintf("set %s: %s", h.Name, h.Value))
	}
	for _, h := range m.Add {
		parts = append(parts, fmt.Sprintf("add %s: %s", h.Name, h.Value))
	}
	for _, n := range m.Remove {
		parts = append(parts, "remove "+n)
	}
	return what + ": " + strings.Join(parts, ", ")
}

func rewrite(r *model.Rewrite) string {
	var parts []string
	if r.Host != "" {
		parts = append(parts, "host to "+r.Host)
	}
	if p := r.Path; p != nil && p.Prefix {
		parts = append(parts, fmt.Sprintf("the matched prefix to %q", p.Value))
	} else if p != nil {
		parts = append(parts, "path to "+p.Value)
	}
	return "rewrite " + strings.Join(parts, ", ")
}

func mirror(m *model.Mirror) string {
	if m.Invalid != "" {
		return fmt.Sprintf("mirror to %s is left out: %s", m.Backend, m.Invalid)
	}
	if m.Numerator == m.Denominator {
		return fmt.Sprintf("mirror to %s", m.Backend)
	}
	return fmt.Sprintf("mirror %d of %d requests to %s", m.Numerator, m.Denominator, m.Backend)
}
