// Package certmanager has certificates issued by cert-manager: by whatever
// issuer an operator has named, through CertificateRequests.
//
// It owns what a CertificateRequest looks like, as far as Sluice writes and reads
// them, and waiting for one. It must not know who approves a request (package
// approver), nor what is done with the certificate.
//
// The types are our own, a part of cert-manager's API version v1: its module
// would bring the dependencies of all its issuers.
package certmanager
