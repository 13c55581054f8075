package envoy

import (
	"context"
	"hash/fnv"
	"log/slog"
	"path/filepath"
	"time"
)

// Nobody is the uid and gid that Envoy runs as when none are configured.
const Nobody = 65534

// Config says what Envoy to run, and where.
type Config struct {
	// Binary is the path of the Envoy binary.
	Binary string
	// Dir is Envoy's folder, <run-dir>/envoy: bootstrap file, admin socket, record
	// of the process, log.
	Dir string
	// Cgroup is the cgroup2 folder that Envoy runs in, alone. It is made when it
	// is not there; empty means that Envoy stays in the caller's.
	Cgroup string
	// XDSSocket is the path of the unix socket that configuration comes from. Its
	// folder must be one that UID can enter.
	XDSSocket string
	// UID and GID are whom Envoy runs as; zero means Nobody. It keeps two
	// capabilities: CAP_SYS_ADMIN, to enter the workloads' network namespaces; and
	// CAP_NET_BIND_SERVICE, where sluice has it, for gateways' UDP ports below 1024.
	UID, GID int
	// Concurrency is the number of worker threads; zero means one for each core.
	Concurrency int
	// NodeID names this Envoy to the xDS server; empty means "sluice".
	NodeID string
	// MaxHeap is the size of the heap, in bytes, from which Envoy sheds load; zero
	// means never.
	MaxHeap uint64
	// MaxFiles is the limit of open files; zero means 1,048,576.
	MaxFiles uint64
	// DrainDelay is how long an Envoy that is to be stopped takes connections as
	// before, except that Status says so: until nobody sends it any more.
	DrainDelay time.Duration
	// DrainTime is how long connections then have to end, and also when Envoy is
	// replaced; zero means 30 seconds.
	DrainTime time.Duration
	// Container tells that Envoy is in a container, and ends with it: an Envoy of
	// another one is replaced by hot restart, and Run stops Envoy when it is told to
	// end itself, unless a supervisor in another container has taken over.
	Container bool
	// OnDuty is run as long as this is the supervisor that minds Envoy; nil for
	// nothing. An error ends Run.
	OnDuty func(ctx context.Context) error `json:"-"`
	// LogLevel is Envoy's own; empty means "warning".
	LogLevel string
	// MaxLog is the size, in bytes, at which the log is rotated; one old log is
	// kept. Zero means 16 MiB.
	MaxLog int64
	Log    *slog.Logger `json:"-"`
}

func (c Config) withDefaults() Config {
	set(&c.UID, Nobody)
	set(&c.GID, Nobody)
	set(&c.NodeID, "sluice")
	set(&c.MaxFiles, 1<<20)
	set(&c.DrainTime, 30*time.Second)
	set(&c.LogLevel, "warning")
	set(&c.MaxLog, 16<<20)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

func set[T comparable](v *T, to T) {
	var none T
	if *v == none {
		*v = to
	}
}

func (c Config) bootstrapFile() string { return filepath.Join(c.Dir, "bootstrap.json") }
func (c Config) adminSocket() string   { return filepath.Join(c.Dir, "admin.sock") }

// lockFile is beside the folder, which is Envoy's user's.
func (c Config) lockFile() string   { return c.Dir + ".lock" }
func (c Config) recordFile() string { return filepath.Join(c.Dir, "process.json") }

// hotSocket begins the names of the sockets by which an Envoy and its successor
// talk: in a folder that is theirs alone, where Envoy's default is names that
// every process of the machine could take.
func (c Config) hotSocket() string { return filepath.Join(c.Dir, "hot") }

func (c Config) logFile() string { return filepath.Join(c.Dir, "envoy.log") }

// baseID keeps the shared memory and sockets by which an Envoy and its successor
// find each other apart from those of other Envoys on the machine.
func (c Config) baseID() uint32 {
	h := fnv.New32a()
	h.Write([]byte(c.Dir))
	return h.Sum32()%400_000_000 + 1 // Envoy multiplies it by ten
}
