package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"sluice.io/sluice/test/namespaces"
)

// Programs are the paths of the binaries that a node runs.
type Programs struct {
	// Sluice is what `sluice run` runs, CLI what all other verbs do: that one
	// need not be slowed down by the race detector.
	Sluice  string
	CLI     string
	Envoy   string
	Testapp string
}

// Node is a machine in miniature: a network namespace that routes between its
// pods, a top cgroup, and the folders that sluice is told to use.
type Node struct {
	Programs
	// Folder is what `sluice run` reads.
	Folder *Folder
	// Netns is the path of the node's own network namespace.
	Netns string
	// CgroupRoot is the node's top cgroup; all of its processes are below it.
	CgroupRoot string
	RunDir     string
	StateDir   string
	BPFFS      string
	// EnvoyWorkers is the number of Envoy's threads; 2 when zero. A change makes
	// the next `sluice run` restart Envoy, hot.
	EnvoyWorkers int
	// EnvoyApart has `sluice run` without an Envoy: see [Node.StartContainer].
	EnvoyApart bool

	prefix string
	dir    string
	// machine tells that sluice attaches to the machine's own top cgroup.
	machine string

	mu      sync.Mutex
	pods    int
	vips    int
	gates   int
	files   int
	podList map[string]*Pod
	sluice  *Process
	closed  bool
}

// Node makes a node. Its name is a short word, unique in the lab.
func (l *Lab) Node(name string, programs Programs) (*Node, error) {
	dir := filepath.Join(l.dir, name)
	n := &Node{
		Programs:   programs,
		Folder:     &Folder{Dir: filepath.Join(dir, "mesh")},
		CgroupRoot: filepath.Join(l.cgroup, name),
		RunDir:     filepath.Join(dir, "run"),
		StateDir:   filepath.Join(dir, "state"),
		BPFFS:      filepath.Join(bpffsDir, l.prefix, name),
		prefix:     l.prefix + "-" + name,
		dir:        dir,
		podList:    map[string]*Pod{},
	}
	for _, d := range []string{n.dir, n.Folder.Dir, n.CgroupRoot, filepath.Dir(n.BPFFS)} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	for _, cg := range []string{"pods", "system"} {
		if err := os.Mkdir(filepath.Join(n.CgroupRoot, cg), 0o755); err != nil {
			return nil, err
		}
	}
	var err error
	if n.Netns, err = namespaces.New(n.prefix); err != nil {
		return nil, err
	}
	if err := makeNode(n.Netns); err != nil {
		return nil, fmt.Errorf("make node %s: %w", name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.nodes = append(l.nodes, n)
	return n, nil
}

// Close kills all of the node's processes and removes the node.
func (n *Node) Close() error {
	n.forget()
	return errors.Join(remove(n.prefix, n.dir, n.CgroupRoot), os.RemoveAll(n.BPFFS), namespaces.Delete(n.Netns))
}

// forget ends the node's use: it makes no more pods, and whoever deletes one
// finds that it has gone.
func (n *Node) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed, n.podList = true, map[string]*Pod{}
}

// VIP returns service addresses that no other service of the node has.
func (n *Node) VIP() VIP {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.vips++
	return nthVIP(n.vips)
}

// GatewayPool are the addresses that the node's gateways have.
var GatewayPool = []string{"10.78.0.0/16", "fd78::/64"}

// GatewayAddrs returns addresses of the pool that no other gateway of the node has.
func (n *Node) GatewayAddrs() VIP {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gates++
	return VIP{
		V4: netip.AddrFrom4([4]byte{10, 78, byte(n.gates >> 8), byte(n.gates)}),
		V6: netip.MustParseAddr(fmt.Sprintf("fd78::%x", n.gates)),
	}
}

// VIP is a service's addresses, or a gateway's.
type VIP struct{ V4, V6 netip.Addr }

func nthVIP(i int) VIP {
	return VIP{
		V4: netip.AddrFrom4([4]byte{10, 96 + byte(i>>16), byte(i >> 8), byte(i)}),
		V6: netip.MustParseAddr(fmt.Sprintf("fd96::%x:%x", i>>16, i&0xffff)),
	}
}

// Addr is the address of a family, 4 or 6.
func (v VIP) Addr(family int) netip.Addr {
	if family == 6 {
		return v.V6
	}
	return v.V4
}

// system is where the node's own services run.
func (n *Node) system() place {
	return place{netns: n.Netns, cgroup: filepath.Join(n.CgroupRoot, "system")}
}
