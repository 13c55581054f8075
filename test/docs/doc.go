// Package docs runs what the documentation tells people to type, and looks
// whether it does what the text says. It owns the ground on which that happens:
// namespaces of its own, so that a page's own names and default folders meet
// nothing else on the machine. It must not know what the commands do.
package docs
