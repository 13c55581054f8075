// Package trust brings the trust bundle to the nodes of a cluster.
//
// It owns two ConfigMaps. The operator writes [SourceName], which says whom to
// trust; the controller checks it, and publishes [BundleName], which agents read.
// In between, [Next] keeps authorities that were taken out for as long as
// certificates of theirs may live: so whoever replaces one by another, in one
// edit, breaks no connection. It must not know who signs.
package trust
