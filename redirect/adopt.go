package redirect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"sluice.io/sluice/bpf"
)

// adopt enters the sockets at which Envoy listens for gateways already, when none
// is known: somebody has removed the pins while it ran. Normally they enter
// themselves when they begin to listen.
func (d *Datapath) adopt() error {
	listeners := d.maps["sl_listeners"]
	var cookie uint64
	for slot := range listeners.MaxEntries() {
		if err := listeners.Lookup(slot, &cookie); !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
	pids, err := processesOf(d.cfg.EnvoyCgroup)
	if err != nil {
		return err
	}
	var errs []error
	for _, pid := range pids {
		errs = append(errs, d.adoptFrom(pid, listeners))
	}
	return errors.Join(errs...)
}

// processesOf returns the processes of a cgroup and of those below it.
func processesOf(cgroup string) (pids []int, err error) {
	err = filepath.WalkDir(cgroup, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		for text := range strings.FieldsSeq(string(b)) {
			if pid, err := strconv.Atoi(text); err == nil {
				pids = append(pids, pid)
			}
		}
		return err
	})
	return pids, err
}

func (d *Datapath) adoptFrom(pid int, listeners *ebpf.Map) error {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil // it has ended, or is not of our PID namespace
	}
	if err != nil {
		return err
	}
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("look at Envoy's sockets: %w", err)
	}
	defer unix.Close(process)
	for _, entry := range entries {
		to, err := os.Readlink(filepath.Join(dir, entry.Name()))
		if err != nil || !strings.HasPrefix(to, "socket:") {
			continue
		}
		number, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if err := d.adoptSocket(process, number, listeners); err != nil {
			return fmt.Errorf("take over Envoy's listening socket (CAP_SYS_PTRACE?): %w", err)
		}
	}
	return nil
}

func (d *Datapath) adoptSocket(process, number int, listeners *ebpf.Map) error {
	fd, err := unix.PidfdGetfd(process, number, 0)
	if errors.Is(err, unix.EBADF) || errors.Is(err, unix.ESRCH) {
		return nil // closed in between
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	family, ok := d.servesGateways(fd)
	if !ok {
		return nil
	}
	first := uint32(0)
	if family == ipv6 {
		first = bpf.Listeners
	}
	for slot := first; slot < first+bpf.Listeners; slot++ {
		err := listeners.Update(slot, uint64(fd), ebpf.UpdateNoExist)
		if !errors.Is(err, ebpf.ErrKeyExist) {
			return err
		}
	}
	return nil
}

// servesGateways tells whether a socket is what the LISTEN callback would enter.
func (d *Datapath) servesGateways(fd int) (family, bool) {
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil || listening == 0 {
		return 0, false
	}
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil || cookie != d.node.cookie {
		return 0, false
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		return 0, false
	}
	switch at := at.(type) {
	case *unix.SockaddrInet4:
		return ipv4, at.Port == InboundPort
	case *unix.SockaddrInet6:
		return ipv6, at.Port == InboundPort
	}
	return 0, false
}
