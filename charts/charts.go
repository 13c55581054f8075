// Package charts holds the Helm chart, and tests that what users get of it is
// what we mean.
//
// It owns charts/sluice; what is generated of it must not be edited by hand.
package charts

//go:generate go run ./internal/generate sluice ../crds
