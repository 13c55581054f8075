// Package hostname compares the host names of listeners and routes.
//
// A domain is a host name in lower case, "*.example.com" for all names below
// example.com, however many labels deep, or "*" for every name. The package owns
// what the Gateway API says of them. It must not know listeners or routes.
package hostname

import (
	"cmp"
	"iter"
	"strings"
)

// Any is the domain of all names.
const Any = "*"

// Domain returns the domain that a hostname field stands for; empty means Any.
func Domain(field string) string {
	if field == "" {
		return Any
	}
	return strings.ToLower(field)
}

// Covers reports whether every name of one domain belongs to another.
func Covers(wide, narrow string) bool {
	if wide == Any || wide == narrow {
		return true
	}
	return wildcard(wide) && strings.HasSuffix(strings.TrimPrefix(narrow, "*"), wide[1:])
}

// Intersect returns the domain of the names that two domains share, and whether
// there are any.
func Intersect(a, b string) (string, bool) {
	switch {
	case Covers(a, b):
		return b, true
	case Covers(b, a):
		return a, true
	}
	return "", false
}

// Compare puts the domain that is more specific first: names before wildcards,
// then the longer first.
func Compare(a, b string) int {
	return cmp.Or(cmp.Compare(class(a), class(b)), cmp.Compare(len(b), len(a)), strings.Compare(a, b))
}

// Wider yields a domain and those that cover it, the most specific first.
func Wider(domain string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for d := domain; d != Any; d = above(d) {
			if !yield(d) {
				return
			}
		}
		yield(Any)
	}
}

// above is the next domain that covers another.
func above(domain string) string {
	_, parent, more := strings.Cut(strings.TrimPrefix(domain, "*."), ".")
	if !more {
		return Any
	}
	return "*." + parent
}

func class(domain string) int {
	switch {
	case domain == Any:
		return 2
	case wildcard(domain):
		return 1
	}
	return 0
}

func wildcard(domain string) bool { return strings.HasPrefix(domain, "*.") }
