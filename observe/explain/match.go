package explain

import (
	"fmt"
	"regexp"
	"slices"
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
		check(namedMismatch("header", h, r.values(h.Name)))
	}
	for _, p := range m.Query {
		check(namedMismatch("query parameter", p, r.param(p.Name)))
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

// fullMatch reports whether an RE2 expression matches a whole string. Envoy
// matches bytes, so each is made a character here.
func fullMatch(pattern, s string) bool {
	re, err := regexp.Compile(`\A(?:` + latin1(pattern) + `)\z`)
	return err == nil && re.MatchString(latin1(s))
}

func latin1(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

// namedMismatch compares values, of which any may match.
func namedMismatch(what string, m model.NamedMatch, got []string) string {
	if len(got) == 0 {
		return fmt.Sprintf("there is no %s %s", what, m.Name)
	}
	verb, want := "is not", fmt.Sprintf("%q", m.Value)
	matches := func(v string) bool { return v == m.Value }
	if m.Kind == model.MatchRegex {
		verb, want = "does not match", m.Value
		matches = func(v string) bool { return fullMatch(m.Value, v) }
	}
	if slices.ContainsFunc(got, matches) {
		return ""
	}
	return fmt.Sprintf("%s %s is %s, which %s %s", what, m.Name, quoted(got), verb, want)
}

func quoted(values []string) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = fmt.Sprintf("%q", v)
	}
	return strings.Join(out, " and ")
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
