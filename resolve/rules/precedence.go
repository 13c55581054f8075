package rules

import (
	"cmp"
	"slices"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/hostname"
	"sluice.io/sluice/resolve/object"
)

// precedence is what the Gateway API counts to order matches, the most important
// first. The greater one takes a request.
type precedence [5]int

// Paths in order of precedence. Where regular expressions stand is left to us:
// between exact paths and prefixes.
const (
	pathAny = iota
	pathPrefix
	pathRegex
	pathExact
)

// httpRank counts as HTTPRouteRule.matches says: exact path, longest prefix,
// method, number of headers, number of query parameters.
func httpRank(m model.HTTPMatch) precedence {
	var r precedence
	if m.Path != nil {
		switch m.Path.Kind {
		case model.MatchExact:
			r[0] = pathExact
		case model.MatchRegex:
			r[0], r[1] = pathRegex, len(m.Path.Value)
		case model.MatchPrefix:
			r[0], r[1] = pathPrefix, len(m.Path.Value)
		}
	}
	if m.Method != "" {
		r[2] = 1
	}
	r[3], r[4] = len(m.Headers), len(m.Query)
	return r
}

// grpcRank counts as GRPCRouteRule.matches says: characters of the service,
// characters of the method, number of headers. Regular expressions come after
// all exact names.
func grpcRank(service, method string, regex bool, headers int) precedence {
	const exact = 1 << 16 // longer than any name may be
	r := precedence{len(service), len(method), headers}
	if !regex && service != "" {
		r[0] += exact
	}
	if !regex && method != "" {
		r[1] += exact
	}
	return r
}

// entry is one match of one rule with all that orders it among others.
type entry struct {
	model.HTTPEntry
	host        string // the route's own host name, see [Share]
	rank        precedence
	route       object.Seniority
	rule, match int
	redirects   bool // somewhere in the rule, or its backends
}

// compare puts the entry that takes precedence first: by host name, by rank, then
// the older route, then the first by namespace/name, then the order within the
// route.
func (e *entry) compare(o *entry) int {
	return cmp.Or(
		hostname.Compare(e.host, o.host),
		slices.Compare(o.rank[:], e.rank[:]),
		e.route.Compare(o.route),
		cmp.Compare(e.rule, o.rule),
		cmp.Compare(e.match, o.match),
	)
}

func sortEntries(es []entry) {
	slices.SortFunc(es, func(a, b entry) int { return a.compare(&b) })
}

// Share is what a route has of the requests to a port or to a domain of it: Host
// is the route's own host name by which it has it, where host names tell requests
// apart.
type Share struct {
	*Compiled
	Host string
}

// Merge returns the entries of several routes in order of precedence, for the
// port that clients dialled.
func Merge(shares []Share, port Dialled) []model.HTTPEntry {
	if len(shares) == 1 {
		return onPort(shares[0].entries, port)
	}
	n := 0
	for _, s := range shares {
		n += len(s.entries)
	}
	all := make([]entry, 0, n)
	for _, s := range shares {
		for _, e := range s.entries {
			e.host = s.Host
			all = append(all, e)
		}
	}
	sortEntries(all)
	return onPort(all, port)
}
