package datapath

import (
	"context"

	"sluice.io/sluice/test/bench/product"
	"sluice.io/sluice/test/bench/rig"
)

const (
	// proxyPort is where redirected connections arrive, inboundPort those that a
	// sidecar takes for its application.
	proxyPort   = 15001
	inboundPort = 15006
)

// envoyPlain is the limit of what one Envoy can do: in the client's own network
// namespace, dialled by its own address, with nothing in between.
func envoyPlain(_ context.Context, l *Lab) (*target, error) {
	c, err := l.cell("plain")
	if err != nil {
		return nil, err
	}
	config := proxy(listener("127.0.0.1", proxyPort, manager("backend")), cluster("backend", rig.ServerIP))
	if err := l.Binaries.RunEnvoy(c, c.Client, "plain", config); err != nil {
		return nil, err
	}
	return &target{c, "127.0.0.1", proxyPort}, nil
}

// envoyBare is the same with the fewest words of configuration that route HTTP.
func envoyBare(_ context.Context, l *Lab) (*target, error) {
	c, err := l.cell("bare")
	if err != nil {
		return nil, err
	}
	backend := cluster("backend", rig.ServerIP)
	delete(backend, "typed_extension_protocol_options")
	config := proxy(listener("127.0.0.1", proxyPort, bareManager("backend")), backend)
	if err := l.Binaries.RunEnvoy(c, c.Client, "bare", config); err != nil {
		return nil, err
	}
	return &target{c, "127.0.0.1", proxyPort}, nil
}

// envoyRedirect is one Envoy for the node in the node's network namespace, fed
// by iptables.
func envoyRedirect(_ context.Context, l *Lab) (*target, error) {
	c, err := l.cell("redirect")
	if err != nil {
		return nil, err
	}
	config := proxy(redirected(listener("0.0.0.0", proxyPort, manager("backend"))), cluster("backend", rig.ServerIP))
	if err := l.Binaries.RunEnvoy(c, c.Node, "shared", config); err != nil {
		return nil, err
	}
	return &target{c, product.VIP(0), 80}, redirect(c, c.Node, "PREROUTING", product.VIP(0), 80, proxyPort)
}

// sidecars are an Envoy in the client's pod and one in the server's, fed by
// iptables in the pods. The rules are leaner than those of known meshes: a
// match on the one address instead of a match on Envoy's user.
func sidecars(_ context.Context, l *Lab) (*target, error) {
	c, err := l.cell("sidecars")
	if err != nil {
		return nil, err
	}
	outbound := proxy(redirected(listener("0.0.0.0", proxyPort, manager("backend"))), cluster("backend", rig.ServerIP))
	if err := l.Binaries.RunEnvoy(c, c.Client, "outbound", outbound); err != nil {
		return nil, err
	}
	inbound := proxy(redirected(listener("0.0.0.0", inboundPort, manager("app"))), cluster("app", "127.0.0.1"))
	if err := l.Binaries.RunEnvoy(c, c.Server, "inbound", inbound); err != nil {
		return nil, err
	}
	if err := redirect(c, c.Client, "OUTPUT", product.VIP(0), 80, proxyPort); err != nil {
		return nil, err
	}
	return &target{c, product.VIP(0), 80}, redirect(c, c.Server, "PREROUTING", rig.ServerIP, serverPort, inboundPort)
}

func redirect(c *rig.Cell, ns, chain, ip string, port, to int) error {
	return c.Run(ns, "", "iptables-nft", "-t", "nat", "-A", chain, "-p", "tcp", "-d", ip,
		"--dport", itoa(port), "-j", "REDIRECT", "--to-ports", itoa(to))
}
