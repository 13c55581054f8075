package xds_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"sluice.io/sluice/model"
)

// newShop is an edge with one gateway at port 80, whose chain has the hosts
// exact.org, *.wild.org and upper.org.
func newShop(t *testing.T, entries ...model.HTTPEntry) (*edge, *model.Delta, visitor) {
	e, d := newEdge(t), model.NewDelta()
	gateway(d, 80, []string{"203.0.113.1"}, webChain())
	for _, name := range []string{"exact.org", "*.wild.org", "upper.org"} {
		domain(d, 80, "web", name, entries...)
	}
	return e, d, visitor{from: e.client, to: "203.0.113.1:80"}
}

// eachHost runs a check with a host that each of the three ways to find routes
// takes.
func eachHost(t *testing.T, check func(t *testing.T, host string)) {
	for _, host := range []string{"exact.org", "a.wild.org", "UPPER.org"} {
		t.Run(host, func(t *testing.T) { check(t, host) })
	}
}

// TestEdge: what backends learn of clients from outside is true, whatever the
// clients say, and paths have one spelling.
func TestEdge(t *testing.T) {
	e, d, client := newShop(t, to("/admin", weighted("two", 1)), to("/", weighted("one", 1)))
	e.start(t, d)
	eachHost(t, func(t *testing.T, host string) {
		ask := func(path string, change ...func(*http.Request)) (*http.Response, string) {
			t.Helper()
			decoded, err := url.PathUnescape(path)
			if err != nil {
				t.Fatal(err)
			}
			resp, body, err := client.ask("http://"+host, append(change, func(r *http.Request) { r.URL.Path, r.URL.RawPath = decoded, path })...)
			if err != nil {
				t.Fatal(err)
			}
			return resp, body
		}
		_, body := ask("/", func(r *http.Request) {
			for k, v := range map[string]string{
				"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https", "X-Sluice-Scope": "infra/edge/80/web other.org",
				"X-Envoy-External-Address": "1.2.3.4", "X-Envoy-Internal": "true", "X-Envoy-Max-Retries": "9",
				"X-Envoy-Original-Path": "/x", "X_Own": "kept", "X-Own": "kept",
			} {
				r.Header[k] = []string{v}
			}
		})
		for _, want := range []string{"X-Forwarded-For: 1.2.3.4,10.77.0.2\n", "X-Forwarded-Proto: http\n", "X-Own: kept\n", "X_own: kept\n"} {
			if !strings.Contains(body, want) {
				t.Errorf("%q is not in %s", want, body)
			}
		}
		for _, header := range []string{"X-Sluice", "X-Envoy", "X-Request-Id"} {
			if strings.Contains(body, header) {
				t.Errorf("%s reached the backend: %s", header, body)
			}
		}
		for path, want := range map[string]string{
			"/admin/x": "two", "/x/../admin": "two", "//admin": "two", "/./admin": "two", "/%61dmin": "two", "/administer": "one", "/a//b": "one",
		} {
			if resp, body := ask(path); resp.Header.Get("Backend") != want {
				t.Errorf("%s: %s %s, want %s", path, resp.Status, body, want)
			}
		}
		for path, want := range map[string]string{"/%2Fadmin": "/admin", "/admin%2Fx": "/admin/x", "/x%2F..%2Fadmin": "/admin"} {
			if resp, _ := ask(path); resp.StatusCode != 307 || resp.Header.Get("Location") != want {
				t.Errorf("%s: %s to %q, want it to be sent to %s", path, resp.Status, resp.Header.Get("Location"), want)
			}
		}
	})
}

// TestEdgeProtocols: HTTP/1.0, HTTP/2 with prior knowledge, and WebSocket.
func TestEdgeProtocols(t *testing.T) {
	e, d, client := newShop(t, to("/ws", weighted("ws", 1)), to("/", weighted("one", 1)))
	domain(d, 80, "web", "*", to("/", weighted("two", 1)))
	e.server.handle(8090, webSocket(t))
	service(d, "ws", model.AppAuto, at(e.server.v4, 8090))
	e.start(t, d)
	dial := func(t *testing.T) net.Conn {
		c, err := client.dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	eachHost(t, func(t *testing.T, host string) {
		if err := client.chat(host, "/ws"); err != nil {
			t.Errorf("WebSocket: %v", err)
		}
		c := dial(t)
		fmt.Fprintf(c, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", host)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != 200 || resp.Header.Get("Backend") != "one" {
			t.Errorf("HTTP/1.0: %v %v", resp, err)
		}
		tr := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return client.from.dial(ctx, network, client.to)
		}, Protocols: &http.Protocols{}}
		tr.Protocols.SetUnencryptedHTTP2(true)
		defer tr.CloseIdleConnections()
		resp, body, err := client.from.try(&http.Client{Transport: tr}, "http://"+host+"/")
		if err != nil || resp.ProtoMajor != 2 || resp.Header.Get("Backend") != "one" {
			t.Errorf("HTTP/2: %v %s %v", resp, body, err)
		}
	})
	c := dial(t)
	fmt.Fprint(c, "GET / HTTP/1.0\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.Header.Get("Backend") != "two" {
		t.Errorf("HTTP/1.0 without a host: %v %v", resp, err)
	}
}

// TestEdgeFilters: what rules ask for is done, whichever way routes are found:
// CORS, sessions, copies, affinity.
func TestEdgeFilters(t *testing.T) {
	cors := filter(to("/cors", weighted("one", 1)), model.HTTPFilter{CORS: &model.CORS{AllowOrigins: []string{"https://a.org"}, AllowMethods: []string{"GET"}}})
	session := to("/session", weighted("one", 1), weighted("two", 1), weighted("three", 1))
	session.Rule.Session = &model.SessionPersistence{Name: "who"}
	copied := filter(to("/copied", weighted("one", 1)), model.HTTPFilter{Mirror: &model.Mirror{Backend: backend("copies"), Numerator: 1, Denominator: 1}})
	e, d, client := newShop(t, cors, session, copied, to("/sticky", weighted("sticky", 1)))
	copies := make(chan string, 100)
	e.server.handle(8090, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		copies <- r.Proto + " " + r.Host + r.URL.Path + " from " + r.RemoteAddr
		io.Copy(httptest.NewRecorder(), r.Body)
	}))
	service(d, "copies", model.AppAuto, at(e.server.v4, 8090))
	service(d, "sticky", model.AppAuto, at(e.server.v4, 8081), at(e.server.v4, 8082), at(e.server.v4, 8083))
	d.Backends[backend("sticky")].Affinity = time.Hour
	clients := []*pod{e.client}
	for i := range 6 {
		clients = append(clients, e.pod("out", fmt.Sprintf("c%d", i)))
	}
	e.start(t, d)
	eachHost(t, func(t *testing.T, host string) {
		for _, origin := range []string{"https://a.org", "https://b.org"} {
			resp, _, err := client.ask("http://"+host+"/cors", func(r *http.Request) {
				r.Method = http.MethodOptions
				r.Header.Set("Origin", origin)
				r.Header.Set("Access-Control-Request-Method", "GET")
			})
			if err != nil || (resp.Header.Get("Access-Control-Allow-Origin") == origin) != (origin == "https://a.org") || resp.Header.Get("Backend") != "" {
				t.Errorf("CORS of %s: %v %v", origin, resp, err)
			}
		}
		first, _, err := client.ask("http://" + host + "/session")
		if err != nil || len(first.Cookies()) != 1 {
			t.Fatal(first, err)
		}
		for range 10 {
			resp, _, err := client.ask("http://"+host+"/session", func(r *http.Request) { r.AddCookie(first.Cookies()[0]) })
			if err != nil || resp.Header.Get("Backend") != first.Header.Get("Backend") {
				t.Errorf("session: %v %v, want %s", resp, err, first.Header.Get("Backend"))
			}
		}
		if _, _, err := client.ask("http://" + host + "/copied"); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-copies:
			if want := "HTTP/1.1 " + strings.ToLower(host) + "/copied from " + e.node.v4.String(); !strings.HasPrefix(got, want) {
				t.Errorf("copy %q, want %q", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Error("no copy")
		}
		seen := map[string]bool{}
		for _, c := range clients {
			v := visitor{from: c, to: client.to}
			first, _, err := v.ask("http://" + host + "/sticky")
			if err != nil {
				t.Fatal(err)
			}
			seen[first.Header.Get("Backend")] = true
			for range 5 {
				if resp, _, err := v.ask("http://" + host + "/sticky"); err != nil || resp.Header.Get("Backend") != first.Header.Get("Backend") {
					t.Errorf("affinity: %v %v", resp, err)
				}
			}
		}
		if len(seen) < 2 {
			t.Errorf("all %d clients keep %v", len(clients), seen)
		}
	})
}

// TestEdgeGRPC: calls reach backends that declare nothing by HTTP/2, and so do
// their copies; a host without routes says UNIMPLEMENTED.
func TestEdgeGRPC(t *testing.T) {
	call := filter(to("/", weighted("calls", 1)), model.HTTPFilter{Mirror: &model.Mirror{Backend: backend("copies"), Numerator: 1, Denominator: 1}})
	call.Rule.GRPC = true
	e, d, client := newShop(t, call)
	var mu sync.Mutex
	served := map[string]int{}
	for i, name := range []string{"calls", "copies"} {
		g := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
			mu.Lock()
			served[name]++
			mu.Unlock()
			return h(ctx, req)
		}))
		healthpb.RegisterHealthServer(g, health.NewServer())
		l := e.server.listen(8090 + i)
		go g.Serve(l)
		t.Cleanup(g.Stop)
		service(d, name, model.AppAuto, at(e.server.v4, uint16(8090+i)))
	}
	e.start(t, d)
	check := func(t *testing.T, host string) error {
		conn, err := grpc.NewClient("passthrough:"+host, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return client.from.dial(ctx, "tcp", client.to) }))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, err = healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
		return err
	}
	eachHost(t, func(t *testing.T, host string) {
		mu.Lock()
		clear(served)
		mu.Unlock()
		if err := check(t, host); err != nil {
			t.Error(err)
		}
		eventually(t, "the call and its copy", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return served["calls"] == 1 && served["copies"] == 1
		})
	})
	if err := check(t, "nobody.org"); err == nil || !strings.Contains(err.Error(), "Unimplemented") {
		t.Errorf("unknown host: %v", err)
	}
}
