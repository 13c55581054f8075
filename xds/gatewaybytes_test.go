package xds_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"sluice.io/sluice/model"
)

// greeter answers each connection with a word at once, and then echoes.
func (p *pod) greeter(port int, word string, conf *tls.Config) {
	l := p.listen(port)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if conf != nil {
					c = tls.Server(c, conf)
				}
				fmt.Fprintln(c, word)
				io.Copy(c, c)
			}()
		}
	}()
}

// hears dials and returns the first line; empty if the connection is closed.
func (v visitor) hears() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := v.from.dial(ctx, "tcp", v.to)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if v.tls != nil {
		c = tls.Client(c, v.tls)
	}
	var word string
	if _, err := fmt.Fscanln(c, &word); err != nil {
		return "", err
	}
	return word, nil
}

// udpBackend is a backend key of UDP.
func udpBackend(name string) model.BackendKey {
	return model.BackendKey{Namespace: "shop", Name: name, Port: 80, Protocol: model.UDP}
}

// TestGatewayTCP: connections are shared by weight, the share of what is not usable
// is closed; TLS passes through by its name, or ends here.
func TestGatewayTCP(t *testing.T) {
	e, d := newEdge(t), model.NewDelta()
	ca := newAuthority(t, "ca")
	passed := ca.pair("pass.example.com")
	for i, name := range []string{"first", "second"} {
		e.server.greeter(8090+i, name, nil)
		service(d, name, model.AppAuto, at(e.server.v4, uint16(8090+i)))
	}
	e.server.greeter(8095, "through", &tls.Config{Certificates: []tls.Certificate{passed}})
	service(d, "through", model.AppAuto, at(e.server.v4, 8095))
	// A policy on a backend does not wrap TLS that is the client's own.
	d.Backends[backend("through")].TLS = &model.BackendTLS{ServerName: "other.org", System: true}
	gone := weighted("gone", 1)
	gone.Invalid = "BackendNotFound"
	l4 := func(ws ...model.WeightedBackend) *model.L4Routing { return &model.L4Routing{Backends: ws} }
	gateway(d, 5432, []string{"203.0.113.1"}, model.Chain{Name: "db", L4: l4(weighted("first", 3), weighted("second", 1), weighted("one", 0))})
	gateway(d, 5433, []string{"203.0.113.1"}, model.Chain{Name: "half", L4: l4(weighted("first", 1), gone)})
	gateway(d, 5434, []string{"203.0.113.1"}, model.Chain{Name: "none", L4: l4(gone)})
	gateway(d, 5435, []string{"203.0.113.1"}, model.Chain{Name: "unattached"})
	gateway(d, 443, []string{"203.0.113.1"},
		model.Chain{Name: "pass", ServerNames: []string{"pass.example.com"}, TLS: &model.TLS{Passthrough: true}, L4: l4(weighted("through", 1))},
		model.Chain{Name: "end", ServerNames: []string{"*.end.example.com"}, L4: l4(weighted("first", 1)),
			TLS: &model.TLS{Certificates: []model.ObjectRef{ca.keyPair(d, "end", false, "*.end.example.com")}}})
	e.start(t, d)
	count := func(port string, n int) map[string]int {
		got := map[string]int{}
		for range n {
			word, _ := visitor{from: e.client, to: "203.0.113.1:" + port}.hears()
			got[word]++
		}
		return got
	}
	if got := count("5432", 200); got["first"]+got["second"] != 200 || got["second"] < 20 || got["second"] > 85 {
		t.Errorf("weights 3 and 1: %v", got)
	}
	if got := count("5433", 100); got["first"]+got[""] != 100 || got[""] < 25 || got[""] > 75 {
		t.Errorf("half of it lost: %v", got)
	}
	for _, port := range []string{"5434", "5435"} {
		if got := count(port, 5); got[""] != 5 {
			t.Errorf("port %s: %v", port, got)
		}
	}
	for name, want := range map[string]string{"pass.example.com": "through", "a.end.example.com": "first", "other.org": ""} {
		v := visitor{from: e.client, to: "203.0.113.1:443", tls: &tls.Config{ServerName: name, InsecureSkipVerify: true}}
		if got, err := v.hears(); got != want {
			t.Errorf("%s: %q %v, want %q", name, got, err, want)
		}
	}
}

// TestBytesUntouched: connections that are not HTTP stay, whatever becomes of the
// route that they came by.
func TestBytesUntouched(t *testing.T) {
	e, d := newEdge(t), model.NewDelta()
	for i, name := range []string{"first", "second"} {
		e.server.greeter(8090+i, name, nil)
		service(d, name, model.AppAuto, at(e.server.v4, uint16(8090+i)))
	}
	db := func(d *model.Delta, ws ...model.WeightedBackend) {
		gateway(d, 5432, []string{"203.0.113.1"}, model.Chain{Name: "db", L4: &model.L4Routing{Backends: ws}})
	}
	db(d, weighted("first", 1))
	e.start(t, d)
	v := visitor{from: e.client, to: "203.0.113.1:5432"}
	kept, err := v.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	in := bufio.NewReader(kept)
	if word, err := in.ReadString('\n'); word != "first\n" {
		t.Fatal(word, err)
	}
	for _, step := range []struct {
		what   string
		change func(*model.Delta)
		want   string
	}{
		{"shared", func(d *model.Delta) { db(d, weighted("first", 1), weighted("second", 1)) }, ""},
		{"moved", func(d *model.Delta) { db(d, weighted("second", 1)) }, "second"},
		{"policy", func(d *model.Delta) {
			service(d, "second", model.AppAuto, at(e.server.v4, 8091))
			d.Backends[backend("second")].TLS = &model.BackendTLS{ServerName: "a.org", Invalid: "InvalidKind"}
		}, "nobody"},
	} {
		d := model.NewDelta()
		step.change(d)
		e.apply(d)
		if word, _ := v.hears(); step.want == "nobody" && word != "" || step.want == "second" && word != "second" {
			t.Errorf("%s: a new connection hears %q", step.what, word)
		}
		time.Sleep(e.cfg.DrainTime + 500*time.Millisecond)
		kept.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintln(kept, "still")
		if word, err := in.ReadString('\n'); word != "still\n" {
			t.Fatalf("%s: the connection hears %q: %v", step.what, word, err)
		}
	}
}

// datagrams answers each datagram with a word and what it says.
func (p *pod) datagrams(port int, word string) netip.AddrPort {
	p.t.Helper()
	var c net.PacketConn
	if err := p.in(func() (err error) {
		c, err = net.ListenPacket("udp", fmt.Sprintf(":%d", port))
		return err
	}); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.Close() })
	go func() {
		for b := make([]byte, 100); ; {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			c.WriteTo([]byte(word+string(b[:n])), from)
		}
	}()
	return at(p.v4, uint16(port))
}

// askUDP is the answer to a datagram, empty if there is none: twice.
func (p *pod) askUDP(t *testing.T, addr string) string {
	t.Helper()
	var c *net.UDPConn // connected: answers from elsewhere are not heard
	if err := p.in(func() (err error) {
		c, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := make([]byte, 100)
	for _, patience := range []time.Duration{200, 400} {
		fmt.Fprint(c, "!")
		c.SetReadDeadline(time.Now().Add(patience * time.Millisecond))
		if n, err := c.Read(b); err == nil {
			return string(b[:n])
		}
	}
	return ""
}

// TestLayer4Affinity: with ClientIP affinity a client keeps its endpoint, by TCP and
// by UDP.
func TestLayer4Affinity(t *testing.T) {
	e, d := newEdge(t), model.NewDelta()
	tcp, udp := backend("sticky"), udpBackend("sticky")
	for _, k := range []model.BackendKey{tcp, udp} {
		d.Backends[k] = &model.Backend{Key: k, Affinity: time.Hour}
		d.Endpoints[k] = &model.Endpoints{Key: k}
	}
	for i := range 4 {
		word := fmt.Sprintf("e%d", i)
		e.server.greeter(8090+i, word, nil)
		d.Endpoints[tcp].Endpoints = append(d.Endpoints[tcp].Endpoints, model.Endpoint{Addr: at(e.server.v4, uint16(8090+i))})
		d.Endpoints[udp].Endpoints = append(d.Endpoints[udp].Endpoints, model.Endpoint{Addr: e.server.datagrams(8090+i, word)})
	}
	sticky := func(k model.BackendKey) *model.L4Routing {
		return &model.L4Routing{Backends: []model.WeightedBackend{{Backend: k, Weight: 1}}}
	}
	gateway(d, 5432, []string{"203.0.113.1"}, model.Chain{Name: "db", L4: sticky(tcp)})
	k := portKey(53, model.UDP)
	d.Ports[k] = &model.GatewayPort{Key: k, Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.1")}, Datagrams: sticky(udp)}
	clients := []*pod{e.client}
	for i := range 6 {
		clients = append(clients, e.pod("out", fmt.Sprintf("c%d", i)))
	}
	e.start(t, d)
	for name, ask := range map[string]func(*pod) string{
		"TCP": func(p *pod) string {
			word, _ := visitor{from: p, to: "203.0.113.1:5432"}.hears()
			return word
		},
		"UDP": func(p *pod) string { return p.askUDP(t, "203.0.113.1:53") },
	} {
		seen := map[string]bool{}
		for _, c := range clients {
			first := ask(c)
			seen[first] = true
			for range 8 {
				if again := ask(c); again != first || again == "" {
					t.Errorf("%s: %s was served by %q and by %q", name, c.key, first, again)
				}
			}
		}
		if len(seen) < 2 {
			t.Errorf("%s: all %d clients keep %v", name, len(clients), seen)
		}
	}
}

// TestGatewayUDP: datagrams are shared by weight of their senders, the share of
// what is not usable is lost, and answers come from where was asked.
func TestGatewayUDP(t *testing.T) {
	e, d := newEdge(t), model.NewDelta()
	for i, name := range []string{"first", "second"} {
		k := udpBackend(name)
		d.Backends[k] = &model.Backend{Key: k}
		d.Endpoints[k] = &model.Endpoints{Key: k, Endpoints: []model.Endpoint{{Addr: e.server.datagrams(8090+i, name)}}}
	}
	port := func(n uint16, addr string, ws ...model.WeightedBackend) *model.GatewayPort {
		g := &model.GatewayPort{Key: portKey(n, model.UDP), Origin: gatewayOrigin, Datagrams: &model.L4Routing{Backends: ws}}
		if addr != "" {
			g.Addresses = []netip.Addr{netip.MustParseAddr(addr)}
		}
		d.Ports[g.Key] = g
		return g
	}
	to := func(name string, weight uint32) model.WeightedBackend {
		return model.WeightedBackend{Backend: udpBackend(name), Weight: weight}
	}
	lost := to("gone", 1)
	lost.Invalid = "BackendNotFound"
	port(53, "203.0.113.1", to("first", 1))
	port(54, "203.0.113.1", to("first", 3), to("second", 1))
	port(55, "203.0.113.2", to("first", 1), lost)
	port(56, "203.0.113.2", lost)
	port(57, "", to("second", 1))
	port(58, "2001:db8::1", to("second", 1)).Target = 20058
	e.start(t, d)
	node := e.node.v4.String()
	for _, c := range []struct {
		from *pod
		addr string
		want string
	}{
		{e.client, "203.0.113.1:53", "first!"}, {e.client, "203.0.113.2:56", ""},
		{e.client, node + ":57", "second!"}, {e.client, "203.0.113.9:57", "second!"}, {e.node, "[2001:db8::9]:57", "second!"},
		{e.node, "[2001:db8::1]:58", "second!"}, {e.client, node + ":20058", "second!"}, {e.node, "[::1]:20058", "second!"},
	} {
		if got := c.from.askUDP(t, c.addr); got != c.want {
			t.Errorf("%s: %q, want %q", c.addr, got, c.want)
		}
	}
	got := map[string]int{}
	for range 100 {
		got[e.client.askUDP(t, "203.0.113.1:54")]++
	}
	if got["first!"]+got["second!"] != 100 || got["second!"] < 8 || got["second!"] > 45 {
		t.Errorf("weights 3 and 1: %v", got)
	}
	got = map[string]int{}
	for range 16 {
		got[e.client.askUDP(t, "203.0.113.2:55")]++
	}
	if got["first!"]+got[""] != 16 || got["first!"] == 0 || got[""] == 0 {
		t.Errorf("half of it lost: %v", got)
	}
}
