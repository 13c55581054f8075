package redirect

import (
	"fmt"
	"log/slog"

	"github.com/cilium/ebpf"
)

// Config says where the data path lives.
type Config struct {
	// BPFFS is the folder for pins, on a bpf filesystem; /sys/fs/bpf is mounted
	// if need be. It is ours alone: Uninstall removes it.
	BPFFS string
	// CgroupRoot is the cgroup2 directory whose processes are steered, normally
	// the root of the hierarchy; see [CgroupRoot].
	CgroupRoot string
	// EnvoyCgroup is an existing cgroup2 directory, the proof that a process is
	// Envoy: it must be closed to everybody else.
	EnvoyCgroup string
	// Sizes raises or lowers the capacity of maps, by name (see
	// docs/datapath-reference.md); others keep their default. What a change of
	// size costs: the maps are made anew and filled before they are switched to.
	Sizes map[string]uint32
	Log   *slog.Logger

	// pretend overrides constants of the programs, for tests of what older
	// kernels do.
	pretend map[string]any
}

func (c Config) log() *slog.Logger {
	if c.Log == nil {
		return slog.Default()
	}
	return c.Log
}

// resize sets the configured sizes in the specifications.
func (c Config) resize(specs map[string]*ebpf.MapSpec) error {
	for name, size := range c.Sizes {
		spec := specs[name]
		if spec == nil || spec.Type == ebpf.SkStorage || spec.Type == ebpf.SockMap || spec.Type == ebpf.PerCPUArray || spec.Type == ebpf.Array {
			return fmt.Errorf("size of the map %s: there is no such map of variable size", name)
		}
		spec.MaxEntries = size
	}
	return nil
}
