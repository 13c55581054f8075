package rig

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const netnsDir = "/run/netns"

// ServerIP is the server's address in every cell: cells don't see each other, so
// they can share.
const ServerIP = "10.77.2.2"

// Cell is one small node of its own: a network namespace for the node, one for
// a client pod and one for a server pod, joined by veth pairs and routes, and a
// cgroup for all that runs in it. Each subject of a benchmark has its own, so
// that nothing needs to be set up between measurements and no subject's rules
// slow another down.
type Cell struct {
	// Node, Client and Server are names of network namespaces.
	Node, Client, Server string
	// Cgroup is the cell's cgroup2 directory.
	Cgroup string
	// Dir is the cell's directory for files.
	Dir string
}

// Cell makes a cell; name must be short and unique in the rig.
func (r *Rig) Cell(name string) (*Cell, error) {
	id := r.name + "-" + name
	c := &Cell{
		Node: id + "-n", Client: id + "-c", Server: id + "-s",
		Cgroup: filepath.Join(r.Cgroup, name),
		Dir:    filepath.Join(r.Dir, name),
	}
	r.mu.Lock()
	r.cells = append(r.cells, c)
	r.mu.Unlock()
	for _, dir := range []string{c.Cgroup, c.Dir} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, fmt.Errorf("make cell %s: %w", name, err)
		}
	}
	if err := c.wire(); err != nil {
		return nil, fmt.Errorf("make cell %s: %w", name, err)
	}
	return c, nil
}

// NetnsPath is the file of a network namespace of the cell.
func NetnsPath(name string) string { return filepath.Join(netnsDir, name) }

func (c *Cell) wire() error {
	for _, ns := range []string{c.Node, c.Client, c.Server} {
		if err := run("ip", "netns", "add", ns); err != nil {
			return err
		}
		if err := run("ip", "-n", ns, "link", "set", "lo", "up"); err != nil {
			return err
		}
	}
	if err := c.sysctls(c.Node, "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0"); err != nil {
		return err
	}
	for pod, subnet := range map[string]string{c.Client: "10.77.1", c.Server: "10.77.2"} {
		if err := c.join(pod, "v"+pod[len(pod)-1:], subnet); err != nil {
			return err
		}
	}
	return nil
}

// join connects a pod to the node by a veth pair.
func (c *Cell) join(pod, link, subnet string) error {
	for _, args := range [][]string{
		{"-n", c.Node, "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", pod},
		{"-n", c.Node, "addr", "add", subnet + ".1/24", "dev", link},
		{"-n", c.Node, "link", "set", link, "up"},
		{"-n", pod, "addr", "add", subnet + ".2/24", "dev", "eth0"},
		{"-n", pod, "link", "set", "eth0", "up"},
		{"-n", pod, "route", "add", "default", "via", subnet + ".1"},
	} {
		if err := run("ip", args...); err != nil {
			return err
		}
	}
	return c.sysctls(pod, "net.ipv4.ip_local_port_range=10240 65000", "net.core.somaxconn=8192")
}

func (c *Cell) sysctls(ns string, settings ...string) error {
	return run("ip", append([]string{"netns", "exec", ns, "sysctl", "-qw"}, settings...)...)
}

func (c *Cell) remove() error {
	var errs []error
	for _, ns := range []string{c.Client, c.Server, c.Node} {
		if _, err := os.Stat(NetnsPath(ns)); err == nil {
			errs = append(errs, run("ip", "netns", "del", ns))
		}
	}
	return errors.Join(errs...)
}

// Remove ends all that runs in the cell and removes it, ahead of Close.
func (r *Rig) Remove(c *Cell) error {
	return errors.Join(removeCgroup(c.Cgroup), c.remove(), unmountBelow(c.Dir), os.RemoveAll(c.Dir))
}

// Run runs a program in one of the cell's network namespaces, with input on its
// stdin, and waits for it.
func (c *Cell) Run(ns, input, program string, args ...string) error {
	cmd := exec.Command("ip", append([]string{"netns", "exec", ns, program}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	return explain(cmd.CombinedOutput())(cmd)
}

func run(program string, args ...string) error {
	cmd := exec.Command(program, args...)
	return explain(cmd.CombinedOutput())(cmd)
}

// explain turns a failed command into an error that shows what it said.
func explain(out []byte, err error) func(*exec.Cmd) error {
	return func(cmd *exec.Cmd) error {
		if err == nil {
			return nil
		}
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(out)))
	}
}
