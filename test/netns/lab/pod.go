package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"sluice.io/sluice/test/apps/dialer"
	"sluice.io/sluice/test/namespaces"
)

// Pod is a network namespace with a cgroup, and processes in them. A pod made
// by [Node.HostPod] is a cgroup in the node's own network namespace.
type Pod struct {
	Name string
	// Netns is the path of the pod's network namespace.
	Netns string
	// Cgroup is the absolute path of the pod's cgroup.
	Cgroup string
	V4, V6 netip.Addr

	node *Node
	veth string
}

// Pod makes a pod; its name is unique among the node's pods.
func (n *Node) Pod(name string) (*Pod, error) {
	p, i, err := n.addPod(name)
	if err != nil {
		return nil, err
	}
	p.veth = fmt.Sprintf("pod%d", i)
	p.V4 = netip.AddrFrom4([4]byte{10, 77, byte(i >> 8), byte(i)})
	p.V6 = netip.MustParseAddr(fmt.Sprintf("fd77::%x", i))
	if p.Netns, err = namespaces.New(n.prefix + "-" + name); err != nil {
		return nil, err
	}
	if err := joinPod(n.Netns, p.Netns, p.veth, []netip.Addr{p.V4, p.V6}); err != nil {
		return nil, fmt.Errorf("connect pod %s: %w", name, err)
	}
	return p, nil
}

// NetnsPath is the path that a pod's network namespace has, or will have.
func (n *Node) NetnsPath(pod string) string { return filepath.Join(namespaces.Dir, n.prefix+"-"+pod) }

// HostPod makes a cgroup for processes that share the node's network namespace.
func (n *Node) HostPod(name string) (*Pod, error) {
	p, _, err := n.addPod(name)
	if err != nil {
		return nil, err
	}
	p.Netns, p.V4, p.V6 = n.Netns, nodeV4, nodeV6
	return p, nil
}

// addPod makes what all pods have: a cgroup, and a place in the list.
func (n *Node) addPod(name string) (*Pod, int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, 0, errors.New("the node is closed")
	}
	if n.podList[name] != nil {
		return nil, 0, fmt.Errorf("there is a pod %s already", name)
	}
	n.pods++
	p := &Pod{Name: name, Cgroup: filepath.Join(n.CgroupRoot, "pods", name), node: n}
	if err := os.Mkdir(p.Cgroup, 0o755); err != nil {
		return nil, 0, err
	}
	n.podList[name] = p
	return p, n.pods, nil
}

// Addr is the pod's address of a family, 4 or 6.
func (p *Pod) Addr(family int) netip.Addr {
	if family == 6 {
		return p.V6
	}
	return p.V4
}

// Delete kills the pod's processes and removes the pod.
func (p *Pod) Delete() error {
	n := p.node
	n.mu.Lock()
	if n.podList[p.Name] != p {
		n.mu.Unlock()
		return nil // Deleted before.
	}
	delete(n.podList, p.Name)
	n.mu.Unlock()
	errs := []error{removeCgroup(p.Cgroup)}
	if p.veth != "" {
		errs = append(errs, deleteLink(n.Netns, p.veth), namespaces.Delete(p.Netns))
	}
	return errors.Join(errs...)
}

func (p *Pod) place() place { return place{netns: p.Netns, cgroup: p.Cgroup} }

// file names a file of the pod in the lab's folder.
func (p *Pod) file(what string) string {
	p.node.mu.Lock()
	defer p.node.mu.Unlock()
	p.node.files++
	return filepath.Join(p.node.dir, fmt.Sprintf("%s.%d.%s", p.Name, p.node.files, what))
}

// Run runs a program in the pod to its end and returns its standard output.
func (p *Pod) Run(ctx context.Context, args ...string) (string, error) {
	return p.place().run(ctx, "", args)
}

// Testapp runs the test program in the pod to its end.
func (p *Pod) Testapp(ctx context.Context, args ...string) (string, error) {
	return p.Run(ctx, append([]string{p.node.Programs.Testapp}, args...)...)
}

// Serve starts a test server in the pod, which serves all protocols on their
// usual ports (HTTP 8080, gRPC 9090, TCP 7000, UDP 5353) and reports the pod's
// name, unless flags say otherwise. It waits until the server listens.
func (p *Pod) Serve(flags ...string) (*Process, error) {
	return p.start(append([]string{
		"serve", "--name", p.Name, "--http", ":8080", "--grpc", ":9090", "--tcp", ":7000", "--udp", ":5353",
	}, flags...))
}

// Dialer returns what makes connections from inside the pod.
func (p *Pod) Dialer() (*dialer.Client, error) {
	socket := p.file("sock")
	if _, err := p.start([]string{"agent", "--socket", socket}); err != nil {
		return nil, err
	}
	return &dialer.Client{Socket: socket}, nil
}

func (p *Pod) start(args []string) (*Process, error) {
	proc, err := p.place().spawn(nil, p.file("log"), append([]string{p.node.Programs.Testapp}, args...))
	if err != nil {
		return nil, err
	}
	return proc, proc.ready()
}

// Firewall loads an nftables ruleset into the pod's network namespace.
func (p *Pod) Firewall(ctx context.Context, ruleset string) error {
	return firewall(ctx, p.place(), ruleset)
}

// Firewall loads an nftables ruleset into the node's own network namespace,
// through which all traffic between pods goes.
func (n *Node) Firewall(ctx context.Context, ruleset string) error {
	return firewall(ctx, n.system(), ruleset)
}

func firewall(ctx context.Context, pl place, ruleset string) error {
	_, err := pl.run(ctx, ruleset, []string{"nft", "-f", "-"})
	return err
}

// Unreachable makes the pod refuse to connect to an address range.
func (p *Pod) Unreachable(prefix netip.Prefix) error { return unreachable(p.Netns, prefix) }

// Veth is the name of the node's end of the pod's link.
func (p *Pod) Veth() string { return p.veth }
