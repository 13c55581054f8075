package explain

import (
	"strings"
	"testing"

	"sluice.io/sluice/model"
)

func TestUnderPrefix(t *testing.T) {
	for _, c := range []struct {
		path, prefix string
		want         bool
	}{
		{"/", "/", true},
		{"/a", "/", true},
		{"/a", "/a", true},
		{"/a/", "/a", true},
		{"/a/b", "/a", true},
		{"/ab", "/a", false},
		{"/a", "/a/", true},
		{"/A", "/a", false},
		{"/", "/a", false},
		{"/a/b", "/a/b/c", false},
		{"*", "/", false},
	} {
		if got := underPrefix(c.path, c.prefix); got != c.want {
			t.Errorf("underPrefix(%q, %q) = %v", c.path, c.prefix, got)
		}
	}
}

func TestNormalize(t *testing.T) {
	for path, want := range map[string]string{
		"/":           "/",
		"/a/b":        "/a/b",
		"/a/./b":      "/a/b",
		"/a/../b":     "/b",
		"/a/..":       "/",
		"/a/.":        "/a/",
		"/../a":       "/a",
		"/a//b":       "/a//b",
		`/a\b`:        "/a/b",
		"/%61%2e%7E":  "/a.~",
		"/a%2fb":      "/a%2fb",
		"/a/%2e%2e/b": "/b",
		"/%zz%4":      "/%zz%4",
		"*":           "*",
	} {
		if got := normalize(path); got != want {
			t.Errorf("normalize(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestMismatch(t *testing.T) {
	r := &request{method: "GET", path: "/a/b", query: "q=1&q=2&e=%20", header: []model.Header{
		{Name: "Host", Value: "cart"}, {Name: "X-A", Value: "1"}, {Name: "x-a", Value: "2"}, {Name: "empty"},
	}}
	header := func(name string, kind model.MatchKind, value string) model.HTTPMatch {
		return model.HTTPMatch{Headers: []model.NamedMatch{{Name: name, Kind: kind, Value: value}}}
	}
	query := func(name string, kind model.MatchKind, value string) model.HTTPMatch {
		return model.HTTPMatch{Query: []model.NamedMatch{{Name: name, Kind: kind, Value: value}}}
	}
	path := func(kind model.MatchKind, value string) model.HTTPMatch {
		return model.HTTPMatch{Path: &model.StringMatch{Kind: kind, Value: value}}
	}
	for _, c := range []struct {
		name  string
		match model.HTTPMatch
		want  bool
	}{
		{"anything", model.HTTPMatch{}, true},
		{"method", model.HTTPMatch{Method: "GET"}, true},
		{"method's case counts", model.HTTPMatch{Method: "get"}, false},
		{"exact path", path(model.MatchExact, "/a/b"), true},
		{"exact path with a slash more", path(model.MatchExact, "/a/b/"), false},
		{"regex matches the whole path", path(model.MatchRegex, "/a"), false},
		{"regex", path(model.MatchRegex, "/a/.|nothing"), true},
		{"regex alternatives are anchored as a whole", path(model.MatchRegex, "/a|/a/b/c"), false},
		{"header lines are not joined", header("x-a", model.MatchExact, "1,2"), false},
		{"first header line", header("x-a", model.MatchExact, "1"), true},
		{"second header line", header("x-a", model.MatchRegex, "[2-9]"), true},
		{"empty header", header("empty", model.MatchRegex, ".*"), true},
		{"absent header", header("absent", model.MatchRegex, ".*"), false},
		{"host", header("host", model.MatchExact, "cart"), true},
		{"first parameter counts", query("q", model.MatchExact, "1"), true},
		{"second parameter does not", query("q", model.MatchExact, "2"), false},
		{"parameters are not decoded", query("e", model.MatchExact, "%20"), true},
		{"parameter names have case", query("Q", model.MatchExact, "1"), false},
	} {
		if why, _ := mismatch(c.match, r); (why == "") != c.want {
			t.Errorf("%s: %q", c.name, why)
		}
	}
}

func TestChanged(t *testing.T) {
	// The table of HTTPPathModifier.replacePrefixMatch.
	for _, c := range [][4]string{
		{"/foo/bar", "/foo", "/xyz", "/xyz/bar"},
		{"/foo/bar", "/foo", "/xyz/", "/xyz/bar"},
		{"/foo/bar", "/foo/", "/xyz", "/xyz/bar"},
		{"/foo/bar", "/foo/", "/xyz/", "/xyz/bar"},
		{"/foo", "/foo", "/xyz", "/xyz"},
		{"/foo/", "/foo", "/xyz", "/xyz/"},
		{"/foo/bar", "/foo", "", "/bar"},
		{"/foo/", "/foo", "", "/"},
		{"/foo", "/foo", "", "/"},
		{"/foo/", "/foo", "/", "/"},
		{"/foo", "/foo", "/", "/"},
		{"/foo", "/", "/xyz", "/xyz/foo"},
	} {
		m := &model.StringMatch{Kind: model.MatchPrefix, Value: c[1]}
		if got := changed(&model.PathModifier{Prefix: true, Value: c[2]}, m, c[0]); got != c[3] {
			t.Errorf("%s with %s replaced by %q: %s, want %s", c[0], c[1], c[2], got, c[3])
		}
	}
}

// FuzzMatch compares the matchers with slow and simple ones.
func FuzzMatch(f *testing.F) {
	f.Add("/a/b", "/a", "x")
	f.Add("/a%2e/../b", "/b/", "q=1&q=2")
	f.Fuzz(func(t *testing.T, path, prefix, query string) {
		clean := normalize(path)
		if again := normalize(clean); again != clean && !strings.ContainsAny(path, `%`) {
			t.Errorf("normalize(%q) = %q, and once more %q", path, clean, again)
		}
		if strings.HasPrefix(prefix, "/") && strings.HasPrefix(path, "/") {
			if got, want := underPrefix(path, prefix), elementwise(path, prefix); got != want {
				t.Errorf("underPrefix(%q, %q) = %v", path, prefix, got)
			}
		}
		r := &request{path: path, query: query}
		for _, kind := range []model.MatchKind{model.MatchExact, model.MatchPrefix, model.MatchRegex} {
			m := model.HTTPMatch{
				Path:  &model.StringMatch{Kind: kind, Value: prefix},
				Query: []model.NamedMatch{{Name: prefix, Kind: kind, Value: query}},
			}
			if why, fulfilled := mismatch(m, r); (why == "") != (fulfilled == 2) {
				t.Errorf("%d of 2 parts are fulfilled, but %q", fulfilled, why)
			}
			describe(m)
		}
	})
}

// elementwise compares paths element by element.
func elementwise(path, prefix string) bool {
	prefix = strings.TrimRight(prefix, "/")
	if prefix == "" {
		return true
	}
	p, q := strings.Split(path, "/"), strings.Split(prefix, "/")
	if len(p) < len(q) {
		return false
	}
	for i := range q {
		if p[i] != q[i] {
			return false
		}
	}
	return true
}
