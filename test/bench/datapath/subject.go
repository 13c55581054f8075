// Package datapath measures what a connection and a request cost on the ways
// from a client pod to a server pod: directly, through Sluice, and through what
// it is compared with.
//
// It owns the subjects and the measurement. It must not know how figures are
// shown.
package datapath

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sluice.io/sluice/test/bench/load"
	"sluice.io/sluice/test/bench/product"
	"sluice.io/sluice/test/bench/rig"
)

// serverPort is where the application listens in every server pod.
const serverPort = 8080

// Subject is one way from the client to the server.
type Subject struct {
	// Name is short; Label says it in words.
	Name, Label string
	// L7 tells that an Envoy handles the requests.
	L7 bool

	setUp func(context.Context, *Lab) (*target, error)
}

// target is what the client of a subject dials.
type target struct {
	cell *rig.Cell
	ip   string
	port int
}

// Subjects are all subjects, in the order in which they are shown. The first
// one is what the others are compared with.
var Subjects = []Subject{
	{Name: "direct", Label: "direct pod to pod", setUp: direct},
	{Name: "sluice-bypass", Label: "pod address, client in the mesh", setUp: sluiceBypass},
	{Name: "sluice-l4-1", Label: "Sluice L4, 1 service", setUp: sluiceL4(1)},
	{Name: "sluice-l4-10000", Label: "Sluice L4, 10,000 services", setUp: sluiceL4(10000)},
	{Name: "iptables-1", Label: "iptables, 1 service", setUp: kubeProxy("iptables-1", "iptables-nft-restore", iptablesRules, 1)},
	{Name: "iptables-10000", Label: "iptables, 10,000 services", setUp: kubeProxy("iptables-10k", "iptables-nft-restore", iptablesRules, 10000)},
	{Name: "nftables-1", Label: "nftables, 1 service", setUp: kubeProxy("nftables-1", "nft", nftablesRules, 1)},
	{Name: "nftables-10000", Label: "nftables, 10,000 services", setUp: kubeProxy("nftables-10k", "nft", nftablesRules, 10000)},
	{Name: "sluice-l7", Label: "Sluice L7 (HTTPRoute)", L7: true, setUp: sluiceL7},
	{Name: "envoy-plain", Label: "Envoy by hand, no redirect", L7: true, setUp: envoyPlain},
	{Name: "envoy-bare", Label: "Envoy by hand, its defaults", L7: true, setUp: envoyBare},
	{Name: "envoy-redirect", Label: "iptables REDIRECT, shared Envoy", L7: true, setUp: envoyRedirect},
	{Name: "sidecars", Label: "two sidecar Envoys", L7: true, setUp: sidecars},
}

// Select returns the subjects whose names start with one of the prefixes, in
// order; all of them when no prefix is given.
func Select(prefixes []string) []Subject {
	return slices.DeleteFunc(slices.Clone(Subjects), func(s Subject) bool {
		return len(prefixes) > 0 && !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s.Name, p) })
	})
}

// Lab is where the subjects are set up.
type Lab struct {
	Rig      *rig.Rig
	Binaries *product.Binaries
	Programs *load.Programs

	sluices map[int]*rig.Cell
}

// cell makes a cell with a running server.
func (l *Lab) cell(name string) (*rig.Cell, error) {
	c, err := l.Rig.Cell(name)
	if err != nil {
		return nil, err
	}
	return c, l.Programs.Serve(c, serverPort)
}

func direct(_ context.Context, l *Lab) (*target, error) {
	c, err := l.cell("direct")
	if err != nil {
		return nil, err
	}
	return &target{c, rig.ServerIP, serverPort}, nil
}

// kubeProxy sets up a subject that has rules in the node's network namespace,
// as kube-proxy writes them. The service dialled is the middle one: the rules
// of a list are passed one after the other.
func kubeProxy(cell, program string, rules func(services int) []string, services int) func(context.Context, *Lab) (*target, error) {
	return func(_ context.Context, l *Lab) (*target, error) {
		c, err := l.cell(cell)
		if err != nil {
			return nil, err
		}
		args := []string{}
		if program == "nft" {
			args = []string{"-f", "-"}
		}
		for _, text := range rules(services) {
			if err := c.Run(c.Node, text, program, args...); err != nil {
				return nil, fmt.Errorf("load rules: %w", err)
			}
		}
		return &target{c, product.VIP(services / 2), 80}, nil
	}
}
