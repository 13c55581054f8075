package hostname_test

import (
	"slices"
	"testing"

	"sluice.io/sluice/resolve/hostname"
)

func TestIntersect(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"*", "a.example.com", "a.example.com"},
		{"*", "*", "*"},
		{"*.example.com", "a.example.com", "a.example.com"},
		{"*.example.com", "b.a.example.com", "b.a.example.com"},
		{"*.example.com", "*.a.example.com", "*.a.example.com"},
		{"*.com", "*.example.com", "*.example.com"},
		{"a.example.com", "a.example.com", "a.example.com"},
		{"*.example.com", "example.com", ""},
		{"*.example.com", "badexample.com", ""},
		{"*.example.com", "*.example.org", ""},
		{"a.example.com", "b.example.com", ""},
	} {
		for _, pair := range [][2]string{{c.a, c.b}, {c.b, c.a}} {
			if got, ok := hostname.Intersect(pair[0], pair[1]); got != c.want || ok != (c.want != "") {
				t.Errorf("Intersect(%q, %q) = %q, %v; want %q", pair[0], pair[1], got, ok, c.want)
			}
		}
	}
}

func TestWider(t *testing.T) {
	for domain, want := range map[string][]string{
		"a.b.com": {"a.b.com", "*.b.com", "*.com", "*"},
		"*.b.com": {"*.b.com", "*.com", "*"},
		"com":     {"com", "*"},
		"*":       {"*"},
	} {
		if got := slices.Collect(hostname.Wider(domain)); !slices.Equal(got, want) {
			t.Errorf("Wider(%q) = %q, want %q", domain, got, want)
		}
	}
	for d := range hostname.Wider("a.b.com") {
		if d == "*.b.com" {
			break // an iterator that goes on after this panics
		}
	}
}

func TestCompare(t *testing.T) {
	want := []string{"long.example.com", "a.com", "*.example.com", "*.com", "*"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, hostname.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("sorted: %q, want %q", got, want)
	}
}

func TestDomain(t *testing.T) {
	if hostname.Domain("") != "*" || hostname.Domain("A.Example.COM") != "a.example.com" {
		t.Error("a field without a name stands for all, and case does not matter")
	}
}
