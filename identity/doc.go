// Package identity keeps the identities of the workloads that run on a node:
// X.509 SVIDs, one for each service account, by the SPIFFE standard.
//
// It owns SPIFFE names, the form of certificate requests and what is accepted of
// an issuer, trust bundles, and the [Keeper], which asks for certificates, renews
// them and lets them go. Private keys are made here and kept in memory only.
//
// It must not know who signs: an [Authority] does, the built-in one of package ca
// or cert-manager (package certmanager). Nor must it know Envoy, Kubernetes, or
// where it is learned which workloads run.
package identity
