package netns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/model"
)

// The reasons for which a workload is not placed.
var (
	// ErrAbsent: what was declared is not there (yet).
	ErrAbsent = errors.New("not there yet")
	// ErrNotNetns: the declared path is something else than a network namespace.
	ErrNotNetns = errors.New("not a network namespace")
	// ErrNodeNetns: the declared path is the node's own network namespace.
	ErrNodeNetns = errors.New("the node's own network namespace")
	// ErrOutside: the declared cgroup is not below the one that is steered.
	ErrOutside = errors.New("outside of")
	// ErrLoopbackDown: the workload is placed, but Envoy cannot listen in it.
	ErrLoopbackDown = errors.New("its loopback is down, or has neither 127.0.0.1 nor ::1")
	// ErrPortTaken: the workload is placed, but another program has the port on its
	// loopback at which Envoy is to listen.
	ErrPortTaken = errors.New("another program has what is Envoy's on its loopback")
	// ErrTaken: another workload has this place.
	ErrTaken = errors.New("declared twice")
)

// identity tells whether a workload is still where it was found. While we hold
// a mount of the network namespace, the kernel does not reuse its inode.
type identity struct {
	dev, ino uint64 // of the network namespace
	cgroup   uint64 // the cgroup's id; zero for a workload declared by netns
}

func (i identity) sameNetns(j identity) bool { return i.dev == j.dev && i.ino == j.ino }

// found is a workload's place with its network namespace open.
type found struct {
	netns     *os.File
	identity  identity
	place     model.Place
	condition condition
	runtime   string // the runtime's mount of it; empty where there is none
}

func (f *found) Close() { f.netns.Close() }

func (f *found) what(w *model.Workload) string {
	if f.place.CgroupID != 0 {
		return "cgroup " + w.Cgroup
	}
	return "the network namespace"
}

// find opens the network namespace of a workload; was is the one in which it has
// been found before, if any.
func find(w *model.Workload, was identity, d door) (*found, error) {
	path, cgroup, err := netnsPath(w, was)
	if err != nil {
		return nil, err
	}
	file, id, err := openNetns(path)
	if err != nil {
		return nil, err
	}
	f := &found{netns: file, identity: id}
	f.identity.cgroup = cgroup
	if err := f.locate(w, d); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// locate fills in the place of an open network namespace.
func (f *found) locate(w *model.Workload, d door) error {
	node, err := stat(ownNetns)
	if err != nil {
		return err
	}
	own := node.sameNetns(f.identity)
	if own && f.identity.cgroup == 0 {
		return fmt.Errorf("%s is %w: declare the workload by its cgroup", w.Netns, ErrNodeNetns)
	}
	if own {
		f.place.CgroupID = f.identity.cgroup
	}
	return f.inspect(d)
}

// inspect looks at an open network namespace.
func (f *found) inspect(d door) error {
	facts, err := inspect(f.netns, d)
	f.place.Cookie, f.condition = facts.cookie, facts.condition(d)
	f.condition.set(&f.place)
	return err
}

// identify is find without opening anything.
func identify(w *model.Workload, was identity) (identity, error) {
	path, cgroup, err := netnsPath(w, was)
	if err != nil {
		return identity{}, err
	}
	id, err := stat(path)
	id.cgroup = cgroup
	return id, err
}

// netnsPath returns the path of a workload's network namespace, and the id of
// its cgroup if it is declared by one.
func netnsPath(w *model.Workload, was identity) (path string, cgroup uint64, err error) {
	if w.Netns != "" {
		return w.Netns, 0, nil
	}
	if w.Cgroup == "" {
		return "", 0, fmt.Errorf("workload %s declares neither netns nor cgroup", w.Key)
	}
	dir, err := cgroupDir(w.Cgroup)
	if err != nil {
		return "", 0, err
	}
	return cgroupNetns(dir, was)
}

const ownNetns = "/proc/self/ns/net"

func stat(path string) (identity, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return identity{}, absent(path, err)
	}
	return identity{dev: st.Dev, ino: st.Ino}, nil
}

func absent(path string, err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("%s is %w", path, ErrAbsent)
	}
	return fmt.Errorf("open %s: %w", path, err)
}

// openNetns opens a network namespace, and makes sure that it is one: while
// `ip netns add` runs, the path is an empty file for a moment.
func openNetns(path string) (*os.File, identity, error) {
	// Not blocking: the path may be a pipe.
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, identity{}, absent(path, err)
	}
	file := os.NewFile(uintptr(fd), path)
	var st unix.Stat_t
	if kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE); err != nil || kind != unix.CLONE_NEWNET {
		file.Close()
		return nil, identity{}, fmt.Errorf("%s is %w", path, ErrNotNetns)
	}
	if err := unix.Fstat(fd, &st); err != nil {
		file.Close()
		return nil, identity{}, fmt.Errorf("stat %s: %w", path, err)
	}
	return file, identity{dev: st.Dev, ino: st.Ino}, nil
}

// procNetns is the path of a process's network namespace.
func procNetns(pid string) string { return filepath.Join("/proc", pid, "ns/net") }
