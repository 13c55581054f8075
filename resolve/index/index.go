// Package index has sets, and indexes from what something depends on to all that
// depend on it.
//
// It must not know what is in them.
package index

// Set is a set of comparable values.
type Set[K comparable] map[K]struct{}

// Add adds a value.
func (s Set[K]) Add(k K) { s[k] = struct{}{} }

// Has reports whether a value is in the set.
func (s Set[K]) Has(k K) bool { _, ok := s[k]; return ok }

// Of maps a key to a set of dependents.
type Of[K, V comparable] map[K]Set[V]

// Add enters a dependent.
func (x Of[K, V]) Add(k K, v V) {
	s := x[k]
	if s == nil {
		s = Set[V]{}
		x[k] = s
	}
	s.Add(v)
}

// Remove takes a dependent out, and its key when that was the last.
func (x Of[K, V]) Remove(k K, v V) {
	s := x[k]
	delete(s, v)
	if len(s) == 0 {
		delete(x, k)
	}
}
