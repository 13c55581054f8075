package envoy

import (
	"slices"
	"strconv"
)

const concurrencyFlag = "--concurrency"

// workers is the number of threads that arguments ask for; zero when they leave
// it to Envoy.
func workers(args []string) int {
	i := slices.Index(args, concurrencyFlag)
	if i < 0 || i+1 >= len(args) {
		return 0
	}
	n, err := strconv.Atoi(args[i+1])
	if err != nil {
		return 0
	}
	return n
}

// atLeast keeps the number of workers from falling at a hot restart, and tells
// whether it would have. An Envoy finds the UDP sockets of the one before it by
// worker, and dies of those beyond its own. What is asked for stays the same, so
// the number falls when Envoy is started anew.
func (s spec) atLeast(n int) (spec, bool) {
	have := workers(s.args)
	if have == 0 || have >= n {
		return s, false
	}
	s.args = slices.Clone(s.args)
	s.args[slices.Index(s.args, concurrencyFlag)+1] = strconv.Itoa(n)
	return s, true
}
