package netns

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
)

// assertShares makes n requests, four at a time, and wants the names that they
// return spread by weight, within five standard deviations: a right spread fails
// once in a million runs. A name with weight zero must not appear, nor one that
// has no weight.
func assertShares(t *testing.T, n int, weights map[string]int, one func() string) {
	t.Helper()
	got := tally(n, one)
	if err := checkShares(n, weights, got); err != nil {
		t.Error(err)
	}
}

func tally(n int, one func() string) map[string]int {
	const workers = 4
	got := map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				name := one()
				mu.Lock()
				got[name]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return got
}

func checkShares(n int, weights, got map[string]int) error {
	total := 0
	for _, w := range weights {
		total += w
	}
	for name := range got {
		if weights[name] == 0 {
			return fmt.Errorf("%q took %d of %d, want none; all: %s", name, got[name], n, counts(got))
		}
	}
	for name, w := range weights {
		p := float64(w) / float64(total)
		want, slack := float64(n)*p, 5*math.Sqrt(float64(n)*p*(1-p))
		if math.Abs(float64(got[name])-want) > slack {
			return fmt.Errorf("%q took %d of %d, want %.0f±%.0f; all: %s", name, got[name], n, want, slack, counts(got))
		}
	}
	return nil
}

func counts(got map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(got)) {
		parts = append(parts, fmt.Sprintf("%q: %d", name, got[name]))
	}
	return strings.Join(parts, ", ")
}

// TestSharesCheckCanFail proves the check itself.
func TestSharesCheckCanFail(t *testing.T) {
	weights := map[string]int{"a": 9, "b": 1}
	for _, wrong := range []map[string]int{
		{"a": 1000}, {"a": 500, "b": 500}, {"a": 899, "b": 100, "c": 1}, {"a": 840, "b": 160},
	} {
		if checkShares(1000, weights, wrong) == nil {
			t.Errorf("accepted %s", counts(wrong))
		}
	}
	if err := checkShares(1000, weights, map[string]int{"a": 910, "b": 90}); err != nil {
		t.Error(err)
	}
}
