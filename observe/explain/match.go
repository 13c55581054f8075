package explain

import (
	"fmt"
	"regexp"
	"strings"

	"sluice.io/sluice/model"
)

// mismatch says what of a match a request does not fulfil, and how many of its
// parts it does; the empty string means that it matches.
func mismatch(m model.HTTPMatch, r *request) (why string, fulfilled int) {
	var missing []string
	check := func(text string) {
		if text == "" {
			fulfilled++
		} else {
			missing = append(missing, text)
		}
	}
	if m.Path != nil {
		check(pathMismatch(m.Path, r.path))
	}
	if m.Method != "" {
		check(methodMismatch(m.Method, r.method))
	}
	for _, h := range m.Headers {
		got, ok := r.value(h.Name)
		check(namedMismatch("header", h, got, ok))
	}
	for _, p := range m.Query {
		got, ok := r.param(p.Name)
		check(namedMismatch("query parameter", p, got, ok))
	}
	return strings.Join(missing, "; "), fulfilled
}

func methodMismatch(want, got string) string {
	if got == want {
		return ""
	}
	return fmt.Sprintf("the method is %s", got)
}

func pathMismatch(m *model.StringMatch, path string) string {
	switch m.Kind {
	case model.MatchExact:
		if path != m.Value {
			return fmt.Sprintf("path %s is not %s", path, m.Value)
		}
	case model.MatchPrefix:
		if !underPrefix(path, m.Value) {
			return fmt.Sprintf("path %s is not under %s", path, m.Value)
		}
	default:
		if !fullMatch(m.Value, path) {
			return fmt.Sprintf("path %s does not match %s", path, m.Value)
		}
	}
	return ""
}

// underPrefix compares by whole path elements.
func underPrefix(path, prefix string) bool {
	prefix = strings.TrimRight(prefix, "/")
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" && prefix != "" || strings.HasPrefix(rest, "/"))
}

// fullMatch reports whether an RE2 expression matches a whole string.
func fullMatch(pattern, s string) bool {
	re, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
	return err == nil && re.MatchString(s)
}

func namedMismatch(what string, m model.NamedMatch, got string, present bool) string {
	if !present {
		return fmt.Sprintf("there is no %s %s", what, m.Name)
	}
	ok := got == m.Value
	verb := "is not"
	if m.Kind == model.MatchRegex {
		ok, verb = fullMatch(m.Value, got), "does not match"
	}
	if ok {
		return ""
	}
	return fmt.Sprintf("%s %s is %q, which %s %s", what, m.Name, got, verb, quoteUnlessRegex(m))
}

func quoteUnlessRegex(m model.NamedMatch) string {
	if m.Kind == model.MatchRegex {
		return m.Value
	}
	return fmt.Sprintf("%q", m.Value)
}

// describe writes a match in words.
func describe(m model.HTTPMatch) string {
	var parts []string
	if m.Method != "" {
		parts = append(parts, "method "+m.Method)
	}
	if m.Path != nil {
		parts = append(parts, map[model.MatchKind]string{
			model.MatchExact: "path ", model.MatchPrefix: "path prefix ", model.MatchRegex: "path matching ",
		}[m.Path.Kind]+m.Path.Value)
	}
	for _, h := range m.Headers {
		parts = append(parts, describeNamed("header", h))
	}
	for _, q := range m.Query {
		parts = append(parts, describeNamed("query", q))
	}
	if len(parts) == 0 {
		return "any request"
	}
	return strings.Join(parts, ", ")
}

func describeNamed(what string, m model.NamedMatch) string {
	if m.Kind == model.MatchRegex {
		return fmt.Sprintf("%s %s matching %s", what, m.Name, m.Value)
	}
	return fmt.Sprintf("%s %s = %s", what, m.Name, m.Value)
}
