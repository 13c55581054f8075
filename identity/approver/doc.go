// Package approver decides which agent may have which identity.
//
// It owns the rule: an agent may have the identities of the pods that run on its
// own node, and nothing else. It approves or denies the CertificateRequests that
// name Sluice's issuer, in the one namespace where agents make them, and removes
// those that are over. It must not know how certificates are signed or used.
//
// [Policy.Decide] is a pure function of a request and of facts. What it does not
// know for good, it denies: a right that was given is valid as long as the
// certificate, and nobody can take it back.
package approver
