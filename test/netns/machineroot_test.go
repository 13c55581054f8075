package netns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"

	"sluice.io/sluice/test/netns/lab"
)

// TestMachineRoot runs sluice as a user does who gives no --cgroup-root: attached
// to the machine's own top cgroup, above every process there is. Those that are
// not in the mesh must not notice: a pod outside the mesh, with a connection that
// is older than sluice, and this process. It runs alone, and leaves nothing behind.
func TestMachineRoot(t *testing.T) {
	w := idleWorld(t)
	root, err := w.UseMachineRoot()
	if err != nil {
		t.Fatal(err)
	}
	before := attachedTo(t, root)
	s := w.space(t)
	outside := s.unmeshed("outside")
	s.frontToV2()
	old, err := outside.tcp(4, netip.AddrPortFrom(s.services["front"].Endpoints[0].V4, 7000).String())
	if err != nil {
		t.Fatal(err)
	}
	untouched := func() []string {
		return append(lookAround(t, s, outside), fmt.Sprint("the old connection: ", old.Say("still here"), old.RemoteAddr()))
	}
	want := untouched()

	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := s.client("client")
	s.settle()
	c.served(t)
	if now := attachedTo(t, root); len(now) <= len(before) {
		t.Fatalf("nothing is attached to %s: %v, before %v", root, now, before)
	}
	counted := s.kernelCounts()
	if got := untouched(); !slices.Equal(got, want) {
		t.Errorf("outside the mesh, with sluice at %s:\n%q\nwithout:\n%q", root, got, want)
	}
	for frontend, count := range s.kernelCounts() {
		if count != counted[frontend] {
			t.Errorf("the kernel counted connections from outside the mesh to %s: %+v, before %+v", frontend, count, counted[frontend])
		}
	}
	if pids, err := w.EnvoyPIDs(); err != nil || len(pids) != 1 {
		t.Errorf("in %s run %v (%v), want one Envoy", w.EnvoyCgroup(), pids, err)
	}

	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	c.served(t)
	if out, err := w.Uninstall(t.Context()); err != nil {
		t.Fatalf("uninstall: %v\n%s", err, out)
	}
	if left := traces(t, w); len(left) > 0 {
		t.Errorf("uninstall left %q", left)
	}
	if now := attachedTo(t, root); !slices.Equal(now, before) {
		t.Errorf("attached to %s are %v, before %v", root, now, before)
	}
	if got := untouched(); !slices.Equal(got, want) {
		t.Errorf("after uninstall:\n%q\nbefore:\n%q", got, want)
	}
}

// lookAround does, from a pod outside the mesh and from this process, what
// Sluice's programs look at, and tells what came of it.
func lookAround(t *testing.T, s *space, outside *client) []string {
	t.Helper()
	var found []string
	front := s.services["front"]
	pod := front.Endpoints[0]
	for _, family := range []int{4, 6} {
		for _, port := range []int{70, 80} {
			_, err := outside.tcp(family, front.On(family, port).String())
			found = append(found, fmt.Sprintf("the pod to the service: %v", lastWords(err)))
		}
		found = append(found,
			"the pod to a pod: "+outside.tcpName(family, netip.AddrPortFrom(pod.Addr(family), 7000).String()),
			"the pod by UDP to a pod: "+outside.udpName(family, netip.AddrPortFrom(pod.Addr(family), 5353).String()))
		// Envoy's port is anybody's where there is no workload.
		mine := netip.AddrPortFrom(outside.Addr(family), 15001).String()
		r := outside.sock(t, "tcp", "-bind", mine, netip.AddrPortFrom(pod.Addr(family), 7000).String())[0]
		found = append(found, fmt.Sprintf("the pod from port 15001: %s %s %s", r.Name, r.Sockname, r.Err))
	}
	return append(found, fromHere(t, front)...)
}

// fromHere does the same from this process, in the machine's own namespaces.
func fromHere(t *testing.T, front *lab.Service) []string {
	t.Helper()
	var found []string
	for _, host := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := net.Listen("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, fmt.Sprintf("this process to itself: %t", conn.RemoteAddr().String() == l.Addr().String()))
		_ = conn.Close()
		_ = l.Close()
	}
	// A datagram socket's connect sends nothing.
	conn, err := (&net.Dialer{}).DialContext(context.Background(), "udp", front.On(4, 53).String())
	if err != nil {
		return append(found, "this process to the service: "+lastWords(err))
	}
	defer func() { _ = conn.Close() }()
	return append(found, "this process to the service: "+conn.RemoteAddr().String())
}

// attachedTo lists the BPF links on one cgroup.
func attachedTo(t *testing.T, cgroup string) []string {
	t.Helper()
	info, err := os.Stat(cgroup)
	if err != nil {
		t.Fatal(err)
	}
	return links(t, map[uint64]string{inode(info): cgroup})
}
