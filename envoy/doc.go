// Package envoy runs the node's Envoy: it writes the bootstrap file, starts the
// process, keeps it running, takes a running one over after sluice itself was
// restarted, and replaces it without a lost request when the binary or the
// bootstrap changed.
//
// It owns the process and its folder, and nothing of what Envoy is told to do:
// that is package xds's. The process belongs to nobody's session: when sluice
// dies, Envoy goes on.
//
// Who the process is: never guessed by name. It was recorded when it was
// started (pid and the kernel's start time), or it is in the cgroup that is
// Envoy's alone and was started with the bootstrap file of this folder.
package envoy
