package explain

import (
	"cmp"
	"slices"
	"strings"
)

// suggest proposes names that look like the given one.
func suggest(name string, known []string) string {
	type near struct {
		name     string
		distance int
	}
	slices.Sort(known)
	var all []near
	for _, k := range slices.Compact(known) {
		d := distance(name, k)
		if d <= max(2, len(name)/3) {
			all = append(all, near{k, d})
		}
	}
	slices.SortStableFunc(all, func(a, b near) int { return cmp.Compare(a.distance, b.distance) })
	names := make([]string, 0, 3)
	for _, n := range all[:min(len(all), 3)] {
		names = append(names, n.name)
	}
	if len(names) == 0 {
		return ""
	}
	return " Near names: " + strings.Join(names, ", ") + "."
}

// distance is the Levenshtein distance.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
