// Package redirect puts the mesh into the kernel: it plans the entries of the
// BPF maps, writes them, and loads, attaches and pins the programs of package
// bpf.
//
// It owns everything on the BPF filesystem and on the cgroups. It must not know
// Envoy's configuration (xds is the other sink) or where objects came from. The
// plan is pure: planner and tables know no kernel, so that a test can read what
// clients would see after each single step. maps.go, attach.go and pins.go are
// the effects.
//
//	model.Delta ─> planner ─> []op ─> tables (what we know is in the kernel)
//	                             └──> ebpf maps
package redirect
