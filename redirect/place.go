package redirect

import (
	"fmt"
	"runtime"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"sluice.io/sluice/netns"
)

// place is what programs are attached to.
type place interface {
	attach(p *ebpf.Program, as ebpf.AttachType) (link.Link, error)
	// holds tells whether a link is attached here. The link of a place that was
	// removed is attached to none.
	holds(info *link.Info, as ebpf.AttachType) bool
	String() string
}

// cgroup is a directory of the cgroup2 hierarchy.
type cgroup string

func (c cgroup) String() string { return string(c) }

func (c cgroup) attach(p *ebpf.Program, as ebpf.AttachType) (link.Link, error) {
	return link.AttachCgroup(link.CgroupOptions{Path: string(c), Attach: as, Program: p})
}

func (c cgroup) holds(info *link.Info, as ebpf.AttachType) bool {
	at := info.Cgroup()
	if at == nil || uint32(at.AttachType) != uint32(as) {
		return false
	}
	id, err := cgroupID(string(c))
	return err == nil && at.CgroupId == id
}

// nodeNetns is the network namespace in which gateways are served.
type nodeNetns struct {
	*netns.Namespace
	cookie uint64
}

// openNodeNetns opens the network namespace of the calling thread.
func openNodeNetns() (*nodeNetns, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, err := netns.Here()
	if err != nil {
		return nil, err
	}
	cookie, err := netnsCookie()
	if err != nil {
		here.Close()
		return nil, fmt.Errorf("look at the node's network namespace: %w", err)
	}
	return &nodeNetns{Namespace: here, cookie: cookie}, nil
}

// netnsCookie is the kernel's cookie of the calling thread's network namespace.
func netnsCookie() (uint64, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	return unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
}

func (n *nodeNetns) String() string { return "the node's network namespace" }

func (n *nodeNetns) attach(p *ebpf.Program, _ ebpf.AttachType) (link.Link, error) {
	return link.AttachNetNs(int(n.Fd()), p)
}

func (n *nodeNetns) holds(info *link.Info, as ebpf.AttachType) bool {
	at := info.NetNs()
	return at != nil && uint32(at.AttachType) == uint32(as) && uint64(at.NetnsInode) == n.Inode
}
