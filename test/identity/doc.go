// Package identity tests identities in a cluster: agents' tokens, Sluice's
// approver and trust bundle, and the real cert-manager.
//
// It owns tests and nothing else.
package identity
