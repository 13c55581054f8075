package xds_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"sluice.io/sluice/model"
)

// secure serves HTTP over TLS inside the pod; h2 too, if asked to.
func (p *pod) secure(port int, h2 bool, conf *tls.Config, h http.Handler) {
	p.t.Helper()
	s := &http.Server{Handler: h, Protocols: &http.Protocols{}, TLSConfig: conf.Clone()}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(h2)
	l := p.listen(port)
	go s.ServeTLS(l, "", "")
	p.t.Cleanup(func() { s.Close() })
}

// TestBackendTLS: backends with a policy are spoken to in TLS, by a name and with
// authorities that it gives, or not at all.
func TestBackendTLS(t *testing.T) {
	e, d := newEdge(t), model.NewDelta()
	ca, other, clients := newAuthority(t, "ca"), newAuthority(t, "other"), newAuthority(t, "clients")
	var plain atomic.Int64
	tell := tellsOfTLS(t, &plain)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(clients.pem)
	both := &tls.Config{Certificates: []tls.Certificate{ca.pair("a.shop.example", "spiffe://shop/a")}, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven}
	e.server.secure(8443, true, both, tell)
	e.server.secure(8444, false, both, tell)
	cabundle, otherBundle := bundle(d, "ca", ca), bundle(d, "other", other)
	add := func(name string, port uint16, app model.AppProtocol, p model.BackendTLS) {
		service(d, name, app, at(e.server.v4, port))
		d.Backends[backend(name)].TLS = &p
	}
	dns, uri := model.SubjectName{Value: "a.shop.example"}, model.SubjectName{URI: true, Value: "spiffe://shop/a"}
	wrong := model.SubjectName{Value: "b.shop.example"}
	refs := func(rs ...model.ObjectRef) []model.ObjectRef { return rs }
	add("plain", 8443, model.AppAuto, model.BackendTLS{ServerName: "a.shop.example", Bundles: refs(cabundle)})
	add("old", 8444, model.AppAuto, model.BackendTLS{ServerName: "a.shop.example", Bundles: refs(otherBundle, cabundle)})
	add("ws", 8443, model.AppWS, model.BackendTLS{ServerName: "a.shop.example", Bundles: refs(cabundle)})
	add("h2", 8443, model.AppH2C, model.BackendTLS{ServerName: "a.shop.example", Bundles: refs(cabundle)})
	add("uri", 8443, model.AppAuto, model.BackendTLS{ServerName: "other.org", Names: []model.SubjectName{wrong, uri}, Bundles: refs(cabundle)})
	add("name", 8443, model.AppAuto, model.BackendTLS{ServerName: "other.org", Names: []model.SubjectName{dns}, Bundles: refs(cabundle)})
	add("misnamed", 8443, model.AppAuto, model.BackendTLS{ServerName: "b.shop.example", Bundles: refs(cabundle)})
	add("wrong", 8443, model.AppAuto, model.BackendTLS{ServerName: "a.shop.example", Names: []model.SubjectName{wrong}, Bundles: refs(cabundle)})
	add("stranger", 8443, model.AppAuto, model.BackendTLS{ServerName: "a.shop.example", Bundles: refs(otherBundle)})
	add("system", 8443, model.AppAuto, model.BackendTLS{ServerName: "a.shop.example", System: true})
	add("nothing", 8443, model.AppAuto, model.BackendTLS{ServerName: "a.shop.example"})
	add("invalid", 8443, model.AppAuto, model.BackendTLS{ServerName: "a.shop.example", Bundles: refs(cabundle), Invalid: "InvalidCACertificateRef"})
	gateway(d, 80, []string{"203.0.113.1"}, webChain()).ClientCertificate = clients.keyPair(d, "edge", false, "edge.infra")
	var entries []model.HTTPEntry
	for k := range d.Backends {
		entries = append(entries, to("/"+k.Name, weighted(k.Name, 1)))
	}
	domain(d, 80, "web", "*", entries...)
	session := to("/", weighted("plain", 1), weighted("one", 1), weighted("invalid", 2))
	session.Rule.Session = &model.SessionPersistence{Name: "s", Header: true}
	domain(d, 80, "web", "session.org", session)
	e.start(t, d)
	client := visitor{from: e.client, to: "203.0.113.1:80"}
	const h1, h2 = "HTTP/1.1 ", "HTTP/2.0 "
	for path, want := range map[string]string{
		"plain": h1 + "a.shop.example by edge.infra", "old": h1 + "a.shop.example by edge.infra",
		"ws": h1 + "a.shop.example by edge.infra", "h2": h2 + "a.shop.example by edge.infra",
		"uri": h1 + "other.org by edge.infra", "name": h1 + "other.org by edge.infra",
		"misnamed": "", "wrong": "", "stranger": "", "system": "", "nothing": "", "invalid": "",
	} {
		resp, body, err := client.ask("http://any.org/" + path)
		if err != nil {
			t.Fatal(err)
		}
		if want == "" && resp.StatusCode != 503 || want != "" && body != want {
			t.Errorf("%s: %s %s, want %q", path, resp.Status, body, want)
		}
	}
	for _, name := range []string{"plain", "old", "ws"} {
		if err := client.chat("any.org", "/"+name); err != nil {
			t.Errorf("WebSocket to %s: %v", name, err)
		}
	}
	sharesSession(t, client)
	if plain.Load() > 0 {
		t.Errorf("%d requests reached the backend in plain text", plain.Load())
	}
}

// tellsOfTLS serves what was agreed on: the protocol, the server's name, and the
// client's by its certificate. It counts requests in plain text.
func tellsOfTLS(t *testing.T, plain *atomic.Int64) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.TLS == nil {
			plain.Add(1)
			return
		}
		if r.Header.Get("Upgrade") != "" {
			webSocket(t).ServeHTTP(rw, r)
			return
		}
		by := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			by = r.TLS.PeerCertificates[0].DNSNames[0]
		}
		fmt.Fprintf(rw, "%s %s by %s", r.Proto, r.TLS.ServerName, by)
	})
}

// sharesSession asks for session.org, whose backends share sessions: with TLS, without,
// and one that is not usable.
func sharesSession(t *testing.T, client visitor) {
	t.Helper()
	got := map[string]int{}
	for range 40 {
		resp, body, err := client.ask("http://session.org/")
		if err != nil {
			t.Fatal(err)
		}
		got[fmt.Sprint(resp.StatusCode, " ", strings.HasSuffix(body, "by edge.infra"))]++
	}
	// What the unusable one would have got is tried again with the others.
	if got["200 true"] == 0 || got["200 false"] == 0 || got["200 true"]+got["200 false"]+got["503 false"] != 40 {
		t.Errorf("a session of backends with and without TLS, and one that is not usable: %v", got)
	}
}

// TestPolicyComesAndGoes: a backend is spoken to as its policy says now, and no
// request fails meanwhile.
func TestPolicyComesAndGoes(t *testing.T) {
	e, d := newEdge(t), model.NewDelta()
	ca := newAuthority(t, "ca")
	conf := &tls.Config{Certificates: []tls.Certificate{ca.pair("a.shop.example")}}
	e.server.secure(8443, true, conf, echo("secure"))
	ref := bundle(d, "ca", ca)
	gateway(d, 80, []string{"203.0.113.1"}, webChain())
	domain(d, 80, "web", "*", to("/", weighted("one", 1)))
	e.start(t, d)
	client := visitor{from: e.client, to: "203.0.113.1:80"}
	for i, c := range []struct {
		tls  *model.BackendTLS
		port uint16
		want string
	}{
		{nil, 8081, "one"},
		{&model.BackendTLS{ServerName: "a.shop.example", Bundles: []model.ObjectRef{ref}}, 8443, "secure"},
		{&model.BackendTLS{ServerName: "a.shop.example", Invalid: "NoMatchingParent"}, 8443, ""},
		{&model.BackendTLS{ServerName: "a.shop.example", Bundles: []model.ObjectRef{ref}}, 8443, "secure"},
		{nil, 8081, "one"},
	} {
		d := model.NewDelta()
		service(d, "one", model.AppAuto, at(e.server.v4, c.port))
		d.Backends[backend("one")].TLS = c.tls
		e.apply(d)
		for range 5 {
			resp, body, err := client.ask("http://any.org/")
			if err != nil {
				t.Fatal(err)
			}
			if got := resp.Header.Get("Backend"); got != c.want || (c.want == "") != (resp.StatusCode == 503) {
				t.Errorf("step %d: %s %s", i, resp.Status, body)
			}
		}
	}
	if n := e.world.server.Status(); n.Resources["secrets"] != 0 || len(n.Rejected) > 0 {
		t.Errorf("left over: %+v", n)
	}
}
