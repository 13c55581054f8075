// Package conformance runs the Gateway API's own conformance suite against a
// cluster in which Sluice is installed.
//
// It is a module of its own, so that the suite's dependencies never meet the
// mesh's: another version of the suite is another version in go.mod. It owns what
// the suite is told (profiles, features, report) and must not know how a cluster
// or Sluice is brought up; see test/install for that.
package conformance
