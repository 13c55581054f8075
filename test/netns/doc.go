// Package netns holds the end-to-end tests: pods as network namespaces with real
// processes in them, the real sluice and the real Envoy. The tests know Sluice
// by its command line, its YAML and what it does to traffic; package lab makes
// the ground that they stand on.
package netns
