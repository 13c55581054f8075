package resolve_test

import (
	"testing"

	"sluice.io/sluice/resolve"
	"sluice.io/sluice/source"
)

// TestWorkFollowsTheChange wants an edit to cost the same among 5,000 services as
// among 100. Allocations stand for the work: unlike time, they can be counted.
func TestWorkFollowsTheChange(t *testing.T) {
	for name, next := range map[string]func(i int) *source.Object{
		"route":     func(i int) *source.Object { return routeObject(7, int32(1+i%2)) },
		"endpoints": func(i int) *source.Object { return sliceObject(7, 100+i%2) },
		"service":   func(i int) *source.Object { return serviceObject(7, []string{"http", "grpc"}[i%2]) },
	} {
		t.Run(name, func(t *testing.T) {
			few, many := allocations(100, next), allocations(5_000, next)
			if many > few*1.1 {
				t.Errorf("an edit takes %.0f allocations among 5,000 services, and %.0f among 100", many, few)
			}
		})
	}
}

func allocations(n int, next func(i int) *source.Object) float64 {
	r := resolve.New()
	r.Update(large(n))
	i := 0
	return testing.AllocsPerRun(50, func() {
		r.Update(asUpdate(next(i)))
		i++
	})
}
