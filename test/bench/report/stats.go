package report

import (
	"math"
	"slices"
)

// quantile returns the q-quantile of values, between the two nearest ones; NaN
// when there are none.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	low := int(at)
	if low+1 == len(sorted) {
		return sorted[low]
	}
	return sorted[low] + (at-float64(low))*(sorted[low+1]-sorted[low])
}

func median(values []float64) float64 { return quantile(values, .5) }

// ratio is a median of ratios with the range of its middle half.
type ratio struct{ Median, Low, High float64 }

// ratios compares two series pair by pair (each pair is from one round, so that
// what disturbed a round disturbed both) and sums the ratios up.
func ratios(values, to []float64) ratio {
	var all []float64
	for i := range min(len(values), len(to)) {
		if to[i] > 0 {
			all = append(all, values[i]/to[i])
		}
	}
	return ratio{median(all), quantile(all, .25), quantile(all, .75)}
}
