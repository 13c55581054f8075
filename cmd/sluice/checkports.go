package main

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sluice.io/sluice/agent"
	"sluice.io/sluice/model"
	"sluice.io/sluice/redirect"
)

// bound is a socket of this network namespace that takes what comes.
type bound struct {
	at    netip.AddrPort
	udp   bool
	inode string
}

func (b bound) String() string {
	if b.udp {
		return b.at.String() + "/UDP"
	}
	return b.at.String() + "/TCP"
}

// checkTargets tells of programs that a Gateway may take the port of: load balancers
// dial Gateways at ports of the nodes, and which of them is the controller's choice.
// What Sluice's Envoy has itself is none.
func checkTargets(proc string, paths agent.Paths) redirect.Finding {
	f := redirect.Finding{Name: fmt.Sprintf("ports %d to %d", model.FirstTarget, model.LastTarget)}
	var all []bound
	for _, name := range []string{"tcp", "tcp6", "udp", "udp6"} {
		text, err := os.ReadFile(filepath.Join(proc, "self/net", name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // without IPv6
		}
		if err != nil {
			f.Unknown, f.Detail = true, fmt.Sprintf("cannot be looked at: %v", err)
			return f
		}
		all = append(all, readSockets(string(text), strings.HasPrefix(name, "udp"))...)
	}
	owners := ownersOf(proc, all)
	inside, _ := os.ReadFile(filepath.Join(paths.EnvoyCgroup(), "cgroup.procs")) // without an Envoy there is none
	envoys := strings.Fields(string(inside))
	var taken []string
	for _, b := range all {
		if o := owners[b.inode]; !slices.Contains(envoys, o.pid) {
			taken = append(taken, b.String()+o.text())
		}
	}
	if len(taken) == 0 {
		f.OK, f.Detail = true, "no program has one of the ports that load balancers dial Gateways at"
		return f
	}
	f.Detail = "in use are " + strings.Join(taken[:min(len(taken), 8)], ", ")
	if more := len(taken) - 8; more > 0 {
		f.Detail += fmt.Sprintf(" and %d more", more)
	}
	f.Fix = "in a cluster, a Gateway may get such a port of the node, and the program is not reached any more: have it listen elsewhere"
	return f
}

// readSockets reads a table of the kernel's: the sockets that listen, or that
// datagrams reach, at a target port.
func readSockets(table string, udp bool) []bound {
	state := "0A" // LISTEN
	if udp {
		state = "07" // without a peer
	}
	var all []bound
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != state {
			continue
		}
		at, err := readAddress(f[1])
		if err == nil && at.Port() >= model.FirstTarget && at.Port() <= model.LastTarget {
			all = append(all, bound{at, udp, f[9]})
		}
	}
	slices.SortFunc(all, func(a, b bound) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.inode, b.inode)) })
	return all
}

// readAddress reads an address as the kernel prints it: each four bytes of it as a
// number, in the machine's order, which is little-endian wherever Sluice runs.
func readAddress(text string) (netip.AddrPort, error) {
	host, port, ok := strings.Cut(text, ":")
	b, err := hex.DecodeString(host)
	if err != nil || !ok || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, fmt.Errorf("%q is no address of a socket", text)
	}
	for i := 0; i < len(b); i += 4 {
		slices.Reverse(b[i : i+4])
	}
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q is no address of a socket: %w", text, err)
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a, uint16(n)), nil
}

// owner is a process that has a socket; the zero value when that is not known.
type owner struct{ pid, name string }

func (o owner) text() string {
	if o.pid == "" {
		return ""
	}
	return fmt.Sprintf(" (%s, pid %s)", o.name, o.pid)
}

// ownersOf finds who has sockets, by their inodes: of those processes that may be
// looked at.
func ownersOf(proc string, sockets []bound) map[string]owner {
	owners := map[string]owner{}
	if len(sockets) == 0 {
		return owners
	}
	wanted := map[string]string{}
	for _, s := range sockets {
		wanted["socket:["+s.inode+"]"] = s.inode
	}
	files, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "fd", "*"))
	for _, file := range files {
		target, err := os.Readlink(file)
		inode, ok := wanted[target]
		if err != nil || !ok {
			continue
		}
		dir := filepath.Dir(filepath.Dir(file))
		name, _ := os.ReadFile(filepath.Join(dir, "comm"))
		owners[inode] = owner{pid: filepath.Base(dir), name: strings.TrimSpace(string(name))}
	}
	return owners
}
