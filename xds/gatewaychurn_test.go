package xds_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice.io/sluice/model"
)

// TestOthersUntouched: a connection lives on, whatever happens to its own chain's
// certificate and hosts, and to all of other chains and addresses.
func TestOthersUntouched(t *testing.T) {
	e, d := newEdge(t), model.NewDelta()
	ca := newAuthority(t, "ca")
	cert, other := ca.keyPair(d, "a", false, "a.example.com"), ca.keyPair(d, "b", false, "b.example.com")
	a, b := tlsChain("a", []string{"a.example.com"}, cert), tlsChain("b", []string{"b.example.com"}, other)
	gateway(d, 443, []string{"203.0.113.1"}, a, b)
	domain(d, 443, "a", "a.example.com", to("/", weighted("one", 1)))
	domain(d, 443, "b", "b.example.com", to("/", weighted("one", 1)))
	e.start(t, d)
	type kept struct {
		*http.Client
		host string
	}
	var last string
	dial := func(host string) *kept {
		v := visitor{from: e.client, to: "203.0.113.1:443", tls: &tls.Config{ServerName: host, InsecureSkipVerify: true,
			VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
				c, err := x509.ParseCertificate(raw[0])
				last = c.SerialNumber.String()
				return err
			}}}
		return &kept{Client: v.client(), host: host}
	}
	ask := func(k *kept, want string) (reused bool) {
		t.Helper()
		ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
		resp, _, err := e.client.try(k.Client, "https://"+k.host+"/", func(r *http.Request) { *r = *r.WithContext(ctx) })
		if err != nil || resp.Header.Get("Backend") != want {
			t.Errorf("%s: %v %v, want %s", k.host, resp, err, want)
		}
		return reused
	}
	onA, onB := dial("a.example.com"), dial("b.example.com")
	ask(onA, "one")
	was := last
	ask(onB, "one")
	// Longer than a drained connection has: what was touched is closed by then.
	patience := e.cfg.DrainTime + time.Second
	want := "one"
	for name, change := range map[string]func(d *model.Delta){
		"certificate": func(d *model.Delta) { ca.keyPair(d, "a", false, "a.example.com") },
		"routes":      func(d *model.Delta) { domain(d, 443, "a", "a.example.com", to("/", weighted("two", 1))); want = "two" },
		"other chain": func(d *model.Delta) {
			b.ServerNames = append(b.ServerNames, "c.example.com")
			gateway(d, 443, []string{"203.0.113.1"}, a, b, tlsChain("rest", nil, other))
		},
		"address": func(d *model.Delta) { gateway(d, 443, []string{"203.0.113.1", "203.0.113.2"}, a, b) },
		"port":    func(d *model.Delta) { gateway(d, 80, []string{"203.0.113.1"}, webChain()) },
	} {
		d := model.NewDelta()
		change(d)
		e.apply(d)
		if !ask(onA, want) {
			t.Errorf("%s: the connection was closed", name)
		}
	}
	time.Sleep(patience)
	if !ask(onA, "two") {
		t.Error("the connection was drained")
	}
	if ask(dial("a.example.com"), "two"); last == was {
		t.Error("a new connection is shown the old certificate")
	}
	// The last port takes the way in with it.
	gone := model.NewDelta()
	for k := range e.mesh.Ports {
		gone.Ports[k] = nil
	}
	e.apply(gone)
	if n := e.world.server.Status().Resources; n["listeners"] != 1 || n["scopes"]+n["routes"]+n["secrets"] != 0 {
		t.Errorf("left over: %v", n)
	}
}

// TestSteadyClient: while routes and backends come, change and go, nobody sees a
// failure; and each route answers as soon as it was prepared.
func TestSteadyClient(t *testing.T) {
	e, d := newEdge(t), model.NewDelta()
	ca := newAuthority(t, "ca")
	e.server.secure(8443, true, &tls.Config{Certificates: []tls.Certificate{ca.pair("a.shop.example")}}, echo("secure"))
	gateway(d, 80, []string{"203.0.113.1"}, webChain())
	domain(d, 80, "web", "steady.org", to("/", weighted("one", 1)))
	domain(d, 80, "web", "*", to("/", weighted("one", 1)))
	e.start(t, d)
	client := visitor{from: e.client, to: "203.0.113.1:80"}
	ctx, stop := context.WithCancel(context.Background())
	var asked, failed atomic.Int64
	var steady sync.WaitGroup
	for _, host := range []string{"steady.org", "any.wild.org"} {
		c := client.client()
		steady.Go(func() {
			for ctx.Err() == nil {
				resp, body, err := client.from.try(c, "http://"+host+"/")
				asked.Add(1)
				if err != nil || resp.StatusCode != 200 {
					failed.Add(1)
					t.Errorf("%s: %v %v %s", host, resp, err, body)
				}
			}
		})
	}
	for i := range 20 {
		d, name := model.NewDelta(), fmt.Sprintf("s%d", i)
		service(d, name, model.AppAuto, at(e.server.v4, []uint16{8081, 8443}[i%2]))
		if i%2 == 1 { // a cluster that waits for a secret of its own
			ref := bundle(d, name, ca)
			d.Backends[backend(name)].TLS = &model.BackendTLS{ServerName: "a.shop.example", Bundles: []model.ObjectRef{ref}}
		}
		for _, host := range []string{"steady.org", "*", name + ".new.org"} {
			domain(d, 80, "web", host, to("/", weighted(name, 1)))
		}
		if old := fmt.Sprintf("s%d", i-1); i > 0 {
			d.Backends[backend(old)], d.Endpoints[backend(old)] = nil, nil
			d.Hosts[model.HostKey{Port: portKey(80, model.TCP), Chain: "web", Domain: old + ".new.org"}] = nil
		}
		prepared, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		if err := e.world.server.Prepare(prepared, d); err != nil {
			t.Fatal(err)
		}
		resp, body, err := client.ask("http://" + name + ".new.org/")
		if want := []string{"one", "secure"}[i%2]; err != nil || resp.Header.Get("Backend") != want {
			t.Errorf("new host %d: %v %v %s, want %s", i, resp, err, body, want)
		}
		if err := retire(e.world.server)(prepared, d); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	stop()
	steady.Wait()
	t.Logf("%d requests, %d failed", asked.Load(), failed.Load())
	if n := e.world.server.Status().Resources; n["clusters"] != 3 || n["secrets"] != 1 || n["scopes"] != 4 {
		t.Errorf("left over: %v", n)
	}
}

// TestRemovedPortDrains: a request in flight on a port that is removed finishes, and
// new connections are refused.
func TestRemovedPortDrains(t *testing.T) {
	e, d := newEdge(t), model.NewDelta()
	release := make(chan struct{})
	e.server.handle(8090, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		io.WriteString(rw, "begun ")
		rw.(http.Flusher).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
		}
		io.WriteString(rw, "done")
	}))
	service(d, "slow", model.AppAuto, at(e.server.v4, 8090))
	g := gateway(d, 80, []string{"203.0.113.1"}, webChain())
	h := domain(d, 80, "web", "*", to("/", weighted("slow", 1)))
	gateway(d, 81, []string{"203.0.113.1"}, webChain())
	e.start(t, d)
	client := visitor{from: e.client, to: "203.0.113.1:80"}
	c := client.client()
	resp, err := c.Get("http://any.org/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	gone := model.NewDelta()
	gone.Ports[g.Key], gone.Hosts[h.Key] = nil, nil
	e.apply(gone)
	if resp, _, err := client.ask("http://any.org/"); err == nil {
		t.Errorf("a new connection: %s", resp.Status)
	}
	close(release)
	if b, err := io.ReadAll(resp.Body); err != nil || !strings.HasSuffix(string(b), "done") {
		t.Errorf("the request in flight: %q %v", b, err)
	}
}
