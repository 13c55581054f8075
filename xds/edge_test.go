package xds_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"sluice.io/sluice/envoy"
	"sluice.io/sluice/model"
)

// edge is a node whose Envoy serves gateways, in a network namespace of its own,
// with a client and a server beside it. nftables stands for the kernel programs:
// what comes to 203.0.113.0/24 and 2001:db8::/64, and to the node's own address at
// ports 20000-29999, goes to the gateways' way in.
type edge struct {
	*world
	node, client, server *pod
}

func newEdge(t testing.TB, with ...func(*envoy.Config)) *edge {
	t.Helper()
	e := &edge{world: emptyWorld(t)}
	for _, f := range with {
		f(&e.cfg)
		e.super = envoy.New(e.cfg)
	}
	e.node, e.client, e.server = e.pod("node", "node"), e.pod("out", "client"), e.pod("shop", "server")
	in := func(args ...string) { e.run("ip", append([]string{"netns", "exec", e.node.netns}, args...)...) }
	in("ip", "route", "add", "local", "203.0.113.0/24", "dev", "lo")
	in("ip", "-6", "route", "add", "local", "2001:db8::/64", "dev", "lo")
	in("sysctl", "-q", "-w", "net.ipv4.conf.all.route_localnet=1")
	in("nft", `
		table inet edge {
			chain out {
				type nat hook output priority -100;
				ip daddr 203.0.113.0/24 meta l4proto tcp redirect to :15006
				ip6 daddr 2001:db8::/64 meta l4proto tcp redirect to :15006
				fib daddr type local tcp dport 20000-29999 redirect to :15006
			}
			chain in {
				type nat hook prerouting priority -100;
				ip daddr 203.0.113.0/24 meta l4proto tcp dnat ip to 127.0.0.1:15006
				ip daddr `+e.node.v4.String()+` tcp dport 20000-29999 dnat ip to 127.0.0.1:15006
			}
		}`)
	background(t, func(ctx context.Context) error { return e.node.in(func() error { return e.super.Run(ctx) }) })
	for i, name := range []string{"one", "two", "three"} {
		e.server.handle(8081+i, echo(name))
	}
	return e
}

// apply brings a delta and the backends one, two and three to Envoy.
func (e *edge) start(t testing.TB, d *model.Delta) {
	t.Helper()
	for i, name := range []string{"one", "two", "three"} {
		if d.Backends[backend(name)] == nil {
			service(d, name, model.AppAuto, at(e.server.v4, uint16(8081+i)))
		}
	}
	e.apply(d)
	e.ready()
	for _, r := range e.world.server.Status().Rejected {
		t.Fatalf("Envoy rejects %+v", r)
	}
}

// portKey is a port of the gateway edge.
func portKey(port uint16, p model.Protocol) model.PortKey {
	return model.PortKey{Gateway: model.GatewayKey{Namespace: "infra", Name: "edge"}, Port: port, Protocol: p}
}

// gateway adds a port of the gateway edge to a delta.
func gateway(d *model.Delta, port uint16, addrs []string, chains ...model.Chain) *model.GatewayPort {
	k := portKey(port, model.TCP)
	g := &model.GatewayPort{Key: k, Chains: chains, Origin: gatewayOrigin}
	for _, a := range addrs {
		g.Addresses = append(g.Addresses, netip.MustParseAddr(a))
	}
	d.Ports[k] = g
	return g
}

var gatewayOrigin = model.Origin{Object: model.ObjectRef{Kind: "Gateway", Namespace: "infra", Name: "edge"}, Rule: -1}

// webChain is a chain of HTTP in the clear.
func webChain() model.Chain { return model.Chain{Name: "web", HTTP: true, Origin: gatewayOrigin} }

// tlsChain is a chain of HTTPS.
func tlsChain(name string, names []string, certificates ...model.ObjectRef) model.Chain {
	return model.Chain{Name: name, ServerNames: names, HTTP: true, TLS: &model.TLS{Certificates: certificates}, Origin: gatewayOrigin}
}

// domain adds a host of a chain to a delta.
func domain(d *model.Delta, port uint16, chain, name string, entries ...model.HTTPEntry) *model.Host {
	k := model.HostKey{Port: portKey(port, model.TCP), Chain: chain, Domain: name}
	h := &model.Host{Key: k, HTTP: &model.HTTPRouting{Entries: entries}, Origin: route(-1)}
	d.Hosts[k] = h
	return h
}

// visitor is a client of gateways: whatever the URL, it dials one address.
type visitor struct {
	from *pod
	to   string
	tls  *tls.Config
	h2   bool
}

func (v visitor) client() *http.Client {
	tr := &http.Transport{
		TLSClientConfig: v.tls, ForceAttemptHTTP2: v.h2,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) { return v.from.dial(ctx, network, v.to) },
	}
	v.from.t.Cleanup(tr.CloseIdleConnections)
	c := v.from.client(false)
	c.Transport = tr
	return c
}

// ask asks once, on a connection of its own.
func (v visitor) ask(url string, change ...func(*http.Request)) (*http.Response, string, error) {
	c := v.client()
	defer c.CloseIdleConnections()
	return v.from.try(c, url, change...)
}

// dial connects for ten seconds.
func (v visitor) dial() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := v.from.dial(ctx, "tcp", v.to)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(10 * time.Second))
}

// chat upgrades to WebSocket, and wants back what it says.
func (v visitor) chat(host, path string) error {
	c, err := v.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, host)
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != 101 {
		return errors.New(resp.Status)
	}
	fmt.Fprint(c, "hello\n")
	if s, err := r.ReadString('\n'); s != "hello\n" {
		return fmt.Errorf("heard %q: %w", s, err)
	}
	return nil
}
