package translate

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"sluice.io/sluice/model"
)

// million is the resolution of fractions.
const million = 1_000_000

// split shares the requests of an entry among routes. Envoy draws one random
// number for each request and tries the routes in order, so the thresholds add
// up: 20 %, 50 %, 100 % for weights 2, 3, 5.
func (b *builder) split(e model.HTTPEntry, s steps) []*routev3.Route {
	parts := shares(e.Rule.Backends)
	var sum, total uint64
	for _, w := range parts {
		total += uint64(w.Weight)
	}
	var out []*routev3.Route
	for i, w := range parts {
		sum += uint64(w.Weight)
		for _, r := range b.share(e, s, w) {
			if i < len(parts)-1 {
				r.Match.RuntimeFraction = fraction(sum, total)
			}
			out = append(out, r)
		}
	}
	return out
}

// fraction is n of d, to the nearest millionth.
func fraction(n, d uint64) *corev3.RuntimeFractionalPercent {
	if d == 0 || n >= d {
		n, d = 1, 1
	}
	return &corev3.RuntimeFractionalPercent{DefaultValue: &typev3.FractionalPercent{
		Numerator:   uint32((n*million + d/2) / d),
		Denominator: typev3.FractionalPercent_MILLION,
	}}
}
