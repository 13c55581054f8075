package datapath

import (
	"sluice.io/sluice/test/bench/product"
	"sluice.io/sluice/test/bench/rig"
)

// object is a piece of Envoy's configuration.
type object = map[string]any

const (
	// proxyPort is where redirected connections arrive, inboundPort those that a
	// sidecar takes for its application.
	proxyPort   = 15001
	inboundPort = 15006
)

// envoyPlain is the limit of what one Envoy can do: in the client's own network
// namespace, dialled by its own address, with nothing in between.
func envoyPlain(l *Lab) (*target, error) {
	c, err := l.cell("plain")
	if err != nil {
		return nil, err
	}
	config := proxy(listener("127.0.0.1", proxyPort, false, "backend"), cluster("backend", rig.ServerIP))
	if err := l.Binaries.RunEnvoy(c, c.Client, "plain", config); err != nil {
		return nil, err
	}
	return &target{c, "127.0.0.1", proxyPort}, nil
}

// envoyRedirect is one Envoy for the node in the node's network namespace, fed
// by iptables.
func envoyRedirect(l *Lab) (*target, error) {
	c, err := l.cell("redirect")
	if err != nil {
		return nil, err
	}
	config := proxy(listener("0.0.0.0", proxyPort, true, "backend"), cluster("backend", rig.ServerIP))
	if err := l.Binaries.RunEnvoy(c, c.Node, "shared", config); err != nil {
		return nil, err
	}
	return &target{c, product.VIP(0), 80}, redirect(c, c.Node, "PREROUTING", product.VIP(0), 80, proxyPort)
}

// sidecars are an Envoy in the client's pod and one in the server's, fed by
// iptables in the pods. The rules are leaner than those of known meshes: a
// match on the one address instead of a match on Envoy's user.
func sidecars(l *Lab) (*target, error) {
	c, err := l.cell("sidecars")
	if err != nil {
		return nil, err
	}
	outbound := proxy(listener("0.0.0.0", proxyPort, true, "backend"), cluster("backend", rig.ServerIP))
	if err := l.Binaries.RunEnvoy(c, c.Client, "outbound", outbound); err != nil {
		return nil, err
	}
	inbound := proxy(listener("0.0.0.0", inboundPort, true, "app"), cluster("app", "127.0.0.1"))
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

func proxy(listener, cluster object) object {
	return object{"static_resources": object{"listeners": []any{listener}, "clusters": []any{cluster}}}
}

// listener routes all requests to one cluster; it has the features on that
// Sluice's listeners have, and no others.
func listener(ip string, port int, redirected bool, to string) object {
	l := object{
		"name": "listener", "address": address(ip, port), "stat_prefix": "listener",
		"filter_chains": []any{object{"filters": []any{extension("envoy.filters.network.http_connection_manager",
			"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", connectionManager(to))}}},
	}
	if redirected {
		l["listener_filters"] = []any{extension("envoy.filters.listener.original_dst", "envoy.extensions.filters.listener.original_dst.v3.OriginalDst", object{})}
	}
	return l
}

func connectionManager(to string) object {
	return object{
		"stat_prefix": "http",
		"route_config": object{"virtual_hosts": []any{object{
			"name": "all", "domains": []any{"*"},
			"routes": []any{object{"match": object{"prefix": "/"}, "route": object{"cluster": to, "timeout": "0s"}}},
		}}},
		"http_filters": []any{extension("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router", object{})},
	}
}

func cluster(name, ip string) object {
	return object{
		"name": name, "type": "STATIC", "connect_timeout": "5s",
		"circuit_breakers": object{"thresholds": []any{object{"max_connections": 100000, "max_pending_requests": 100000, "max_requests": 100000}}},
		"load_assignment": object{"cluster_name": name, "endpoints": []any{object{"lb_endpoints": []any{
			object{"endpoint": object{"address": address(ip, serverPort)}},
		}}}},
	}
}

func address(ip string, port int) object {
	return object{"socket_address": object{"address": ip, "port_value": port}}
}

func extension(name, kind string, config object) object {
	config["@type"] = "type.googleapis.com/" + kind
	return object{"name": name, "typed_config": config}
}
