package xds_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"sluice.io/sluice/envoy"
	"sluice.io/sluice/model"
	"sluice.io/sluice/xds"
)

const (
	sds      = resourcev3.SecretType
	srds     = resourcev3.ScopedRouteType
	edgeWide = "gateway/infra/edge:443/TCP/web *"
	edgeHost = "gateway/infra/edge:443/TCP/web a.org"
	// edgeUpper is all chains'.
	edgeUpper = "gateways/upper-case"
	viaEdge   = one + "/gateway"
	door      = "gateway/203.0.113.1:443/TCP"
)

// TestGatewayOrder: clusters are told before listeners, with the secrets that they
// wait for; listeners before the hosts; a host that is gone goes in Prepare, and
// its cluster in Retire.
func TestGatewayOrder(t *testing.T) {
	s, c := synced(t)
	d, ca := model.NewDelta(), newAuthority(t, "ca")
	service(d, "one", model.AppAuto, netip.MustParseAddrPort("10.0.0.1:80"))
	d.Backends[backend("one")].TLS = &model.BackendTLS{ServerName: "one", Bundles: []model.ObjectRef{bundle(d, "ca", ca)}}
	chain := tlsChain("web", nil, ca.keyPair(d, "edge", false, "a.org"))
	gateway(d, 443, []string{"203.0.113.1"}, chain)
	domain(d, 443, "web", "a.org", to("/", weighted("one", 1)))
	ca.keyPair(d, "unused", false, "b.org")
	wait := going(t, s.Prepare, d)
	r := c.next()
	c.is(r, cds, []string{viaEdge}, nil)
	c.subscribe(eds, nil, viaEdge)
	c.subscribe(sds, nil, "bundle/ConfigMap/infra/ca")
	c.ack(r)
	var secret *discoveryv3.DeltaDiscoveryResponse
	for range 2 {
		if r := c.next(); r.GetTypeUrl() == eds {
			c.ack(r)
		} else {
			c.is(r, sds, []string{"bundle/ConfigMap/infra/ca"}, nil)
			secret = r
		}
	}
	c.quiet() // no listener before the cluster is warm
	c.ack(secret)
	r = c.next()
	c.is(r, lds, []string{door, "gateways/IPv4", "gateways/IPv6"}, nil)
	c.subscribe(sds, nil, "keypair/infra/edge")
	c.subscribe(srds, nil)
	c.ack(r)
	c.expect(sds, []string{"keypair/infra/edge"}, nil)
	r = c.next()
	c.is(r, srds, []string{edgeWide, edgeHost, edgeUpper}, nil)
	c.subscribe(rds, nil, edgeWide, edgeHost, edgeUpper)
	c.ack(r)
	c.expect(rds, []string{edgeWide, edgeHost, edgeUpper}, nil)
	wait()
	settle(t, s, d)
	c.quiet()

	// A certificate alone is a certificate alone.
	d = model.NewDelta()
	ca.keyPair(d, "edge", false, "a.org")
	wait = going(t, s.Prepare, d)
	c.expect(sds, []string{"keypair/infra/edge"}, nil)
	wait()
	c.quiet()

	d = model.NewDelta()
	d.Hosts[model.HostKey{Port: portKey(443, model.TCP), Chain: "web", Domain: "a.org"}] = nil
	wait = going(t, s.Prepare, d)
	c.expect(srds, nil, []string{edgeHost})
	wait()
	c.quiet()
	wait = going(t, retire(s), d)
	c.expect(cds, nil, []string{viaEdge})
	wait()
	if n := s.Status().Resources; n["secrets"] != 1 || n["scopes"] != 2 {
		t.Errorf("left: %v", n)
	}
}

// TestOneHostAmongMany: one changed host among 5,000 is one resource on the
// stream, and a new one its own few.
func TestOneHostAmongMany(t *testing.T) {
	s, socket := server(t)
	d := model.NewDelta()
	gateway(d, 80, []string{"203.0.113.1"}, webChain())
	for i := range 5000 {
		service(d, fmt.Sprintf("s%d", i), model.AppAuto)
		versioned(d, i, 0)
	}
	settle(t, s, d)
	c := connect(t, socket)
	var names []string
	for _, typeURL := range []string{cds, eds, lds, srds, rds} {
		c.subscribe(typeURL, nil, names...)
		r := c.next()
		c.ack(r)
		names = nil
		if typeURL == cds || typeURL == srds {
			names = slices.DeleteFunc(slices.Collect(maps.Keys(versions(r))), func(n string) bool { return strings.HasPrefix(n, "sluice:") })
		}
	}
	eventually(t, "in sync", func() bool { return s.Status().Synced })
	before := s.Status().Sent
	for i, want := range []map[string]uint64{{"routes": 1}, {"routes": 1, "scopes": 1, "clusters": 1, "endpoints": 1}} {
		d := model.NewDelta()
		n := []int{4321, 5000}[i]
		service(d, fmt.Sprintf("s%d", n), model.AppAuto)
		versioned(d, n, 1)
		wait := going(t, s.Prepare, d)
		host, cluster := fmt.Sprintf("gateway/infra/edge:80/TCP/web h%d.example.com", n), fmt.Sprintf("shop/s%d:80/TCP/gateway", n)
		if i == 1 {
			r := c.next()
			c.is(r, cds, []string{cluster}, nil)
			c.subscribe(eds, nil, cluster)
			c.ack(r)
			c.expect(eds, []string{cluster}, nil)
			r = c.next()
			c.is(r, srds, []string{host}, nil)
			c.subscribe(rds, nil, host)
			c.ack(r)
		}
		c.expect(rds, []string{host}, nil)
		wait()
		settle(t, s, d)
		c.quiet()
		after := s.Status().Sent
		for kind := range after {
			if after[kind]-before[kind] != want[kind] {
				t.Errorf("change %d: %d %s were sent, want %d", i, after[kind]-before[kind], kind, want[kind])
			}
		}
		before = after
	}
	d = model.NewDelta()
	gateway(d, 80, []string{"203.0.113.1", "203.0.113.2"}, webChain())
	wait := going(t, s.Prepare, d)
	c.expect(lds, []string{"gateway/203.0.113.2:80/TCP"}, nil)
	wait()
	settle(t, s, d)
	c.quiet()
}

// TestGatewayRestart: another server with the same mesh sends the running Envoy
// nothing, and takes nothing away.
func TestGatewayRestart(t *testing.T) {
	e, d := newEdge(t), model.NewDelta()
	ca := newAuthority(t, "ca")
	gateway(d, 443, []string{"203.0.113.1"}, tlsChain("web", nil, ca.keyPair(d, "edge", false, "a.org")))
	domain(d, 443, "web", "a.org", to("/", weighted("one", 1)))
	domain(d, 443, "web", "*", to("/", weighted("two", 1)))
	e.start(t, d)
	e.stopServer()
	e.world.server = e.serve()
	eventually(t, "reconnected", func() bool { return e.world.server.Status().Connected })
	e.apply(e.mesh.All())
	e.ready()
	for kind, n := range e.world.server.Status().Sent {
		if n != 0 {
			t.Errorf("%d %s were sent again", n, kind)
		}
	}
}

// TestBadCertificate: a certificate that Envoy does not take is named, others serve,
// and the one that was there before goes on. What is secret is in no message.
func TestBadCertificate(t *testing.T) {
	e, d := newEdge(t), model.NewDelta()
	var logged bytes.Buffer
	e.stopServer()
	e.world.server = xds.NewServer(xds.Config{
		Socket: e.cfg.XDSSocket, Owner: envoy.Nobody, NetnsDir: filepath.Join(e.dir, "netns"),
		Log: slog.New(slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	stop := background(t, e.world.server.Run)
	ca := newAuthority(t, "ca")
	good, bad := ca.keyPair(d, "good", false, "good.org"), ca.keyPair(d, "bad", false, "bad.org")
	_, stranger := ca.issue(false, "bad.org")
	before := *d.KeyPairs[bad]
	gateway(d, 443, []string{"203.0.113.1"}, tlsChain("good", []string{"good.org"}, good), tlsChain("bad", []string{"bad.org"}, bad))
	for _, c := range []string{"good", "bad"} {
		domain(d, 443, c, "*", to("/", weighted("one", 1)))
	}
	e.start(t, d)
	d = model.NewDelta()
	d.KeyPairs[bad] = &model.KeyPair{Ref: bad, Certificates: before.Certificates, PrivateKey: stranger, Origin: before.Origin}
	e.apply(d)
	r := e.world.server.Status().Rejected
	if len(r) != 1 || r[0].Kind != "secrets" || r[0].Name != "keypair/infra/bad" || !r[0].LastGood || r[0].Origin.Object != bad {
		t.Fatalf("rejected: %+v", r)
	}
	for _, host := range []string{"good.org", "bad.org"} {
		if resp, _, err := (visitor{from: e.client, to: "203.0.113.1:443", tls: insecureTLS(host)}).ask("https://" + host + "/"); err != nil || resp.StatusCode != 200 {
			t.Errorf("%s: %v %v", host, resp, err)
		}
	}
	dump := e.admin("/config_dump?include_eds")
	stop()
	m := model.NewMesh()
	m.Apply(e.mesh.All())
	translated, err := json.Marshal(xds.Translate(m, xds.DefaultNetnsDir))
	if err != nil {
		t.Fatal(err)
	}
	said, err := json.Marshal(e.world.server.Status())
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{"log": logged.String(), "dump": dump, "translation": string(translated), "status": string(said)} {
		for _, key := range [][]byte{stranger, before.PrivateKey} {
			for _, form := range spellings(key) {
				if strings.Contains(text, form) {
					t.Errorf("a private key is in the %s", what)
				}
			}
		}
	}
	if !strings.Contains(string(translated), "keypair/infra/bad") || !strings.Contains(logged.String(), "keypair/infra/bad") {
		t.Error("translation or log do not speak of the secret at all")
	}
}
