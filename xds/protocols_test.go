package xds_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"sluice.io/sluice/model"
)

func TestCORS(t *testing.T) {
	l, d := newLab(t), model.NewDelta()
	ask := func(url, method, origin string, headers ...string) *http.Response {
		resp, _ := l.client.get(url, func(r *http.Request) {
			r.Method = method
			r.Header.Set("Origin", origin)
			if method == http.MethodOptions {
				r.Header.Set("Access-Control-Request-Method", "PUT")
			}
			for _, h := range headers {
				r.Header.Add("Access-Control-Request-Headers", h)
			}
		})
		return resp
	}
	expect := func(t *testing.T, resp *http.Response, code int, want ...string) {
		t.Helper()
		var got []string
		for _, h := range []string{"origin", "credentials", "methods", "headers"} {
			got = append(got, resp.Header.Get("access-control-allow-"+h))
		}
		got = append(got, resp.Header.Get("access-control-expose-headers"), resp.Header.Get("access-control-max-age"))
		if resp.StatusCode != code || strings.Join(got, ";") != strings.Join(want, ";") {
			t.Errorf("%d %q, want %d %q", resp.StatusCode, got, code, want)
		}
	}
	full := &model.CORS{
		AllowOrigins: []string{"https://www.foo.com", "https://*.bar.com"}, AllowMethods: []string{"GET", "PUT"},
		AllowHeaders: []string{"x-a", "x-b"}, ExposeHeaders: []string{"x-c"}, AllowCredentials: true, MaxAge: time.Hour,
	}
	l.add(d, "listed", func(t *testing.T, url string) {
		for _, o := range []string{"https://www.foo.com", "https://a.b.bar.com"} {
			expect(t, ask(url, "OPTIONS", o), 200, o, "true", "GET, PUT", "x-a, x-b", "x-c", "3600")
			expect(t, ask(url, "GET", o), 200, o, "true", "", "", "x-c", "")
		}
		for _, o := range []string{"https://foo.com", "https://bar.com", "https://www.foo.com.evil.org", "http://www.foo.com"} {
			if resp := ask(url, "OPTIONS", o); resp.Header.Get("Access-Control-Allow-Origin") != "" || resp.Header.Get("Backend") != "" {
				t.Errorf("%s may come in: %v", o, resp.Header)
			}
			expect(t, ask(url, "GET", o), 200, "", "", "", "", "", "")
		}
	}, filter(to("/", weighted("one", 1)), model.HTTPFilter{CORS: full}))
	l.add(d, "star", func(t *testing.T, url string) {
		expect(t, ask(url, "OPTIONS", "https://any.org:1", "x-1, x-2"), 200, "https://any.org:1", "", "PUT", "x-1, x-2", "", "")
		expect(t, ask(url, "GET", "https://any.org:1"), 200, "https://any.org:1", "", "", "", "", "")
	}, filter(to("/", weighted("one", 1)), model.HTTPFilter{CORS: &model.CORS{
		AllowOrigins: []string{"*"}, AllowMethods: []string{"*"}, AllowHeaders: []string{"*"}}}))
	l.add(d, "star with credentials", func(t *testing.T, url string) {
		expect(t, ask(url, "OPTIONS", "https://any.org", "x-1, x-2"), 200, "https://any.org", "true", "PUT", "x-1, x-2", "", "60")
		expect(t, ask(url, "OPTIONS", "https://any.org"), 200, "https://any.org", "true", "PUT", "", "", "60")
		expect(t, ask(url, "GET", "https://any.org"), 200, "https://any.org", "true", "", "", "", "")
	}, filter(to("/", weighted("one", 1)), model.HTTPFilter{CORS: &model.CORS{
		AllowOrigins: []string{"*"}, AllowMethods: []string{"*"}, AllowHeaders: []string{"*"}, AllowCredentials: true, MaxAge: time.Minute}}))
	l.run(t, d)
}

// TestGRPC: calls, streams, and failures as gRPC says them.
func TestGRPC(t *testing.T) {
	l, d := newLab(t), model.NewDelta()
	g := grpc.NewServer()
	healthpb.RegisterHealthServer(g, health.NewServer())
	lis := l.server.listen(8090)
	go g.Serve(lis)
	t.Cleanup(g.Stop)
	service(d, "grpc", model.AppGRPC, at(l.server.v4, 8090))
	service(d, "auto", model.AppAuto, at(l.server.v4, 8090))
	service(d, "empty", model.AppGRPC)
	rule := func(e model.HTTPEntry) model.HTTPEntry {
		e.Rule.GRPC = true
		return e
	}
	call := func(t *testing.T, url string, want codes.Code) {
		t.Helper()
		conn, err := grpc.NewClient("passthrough:"+strings.TrimPrefix(url, "http://")+":80",
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, a string) (net.Conn, error) { return l.client.dial(ctx, "tcp", a) }))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		c := healthpb.NewHealthClient(conn)
		if _, err := c.Check(ctx, &healthpb.HealthCheckRequest{}); status.Code(err) != want {
			t.Errorf("call: %v, want %s", err, want)
		}
		if want != codes.OK {
			return
		}
		w, err := c.Watch(ctx, &healthpb.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if m, err := w.Recv(); err != nil || m.GetStatus() != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("stream: %v %v", m, err)
		}
	}
	gone := weighted("gone", 1)
	gone.Invalid = "BackendNotFound"
	method := model.HTTPEntry{
		Match: model.HTTPMatch{Path: &model.StringMatch{Kind: model.MatchExact, Value: "/grpc.health.v1.Health/Check"}},
		Rule:  &model.HTTPRule{GRPC: true, Backends: []model.WeightedBackend{weighted("empty", 1)}},
	}
	for name, c := range map[string]struct {
		code    codes.Code
		entries []model.HTTPEntry
	}{
		"declared":      {codes.OK, []model.HTTPEntry{rule(to("/", weighted("grpc", 1)))}},
		"detected":      {codes.OK, []model.HTTPEntry{rule(to("/", weighted("auto", 1)))}},
		"no match":      {codes.Unimplemented, []model.HTTPEntry{rule(to("/other", weighted("grpc", 1)))}},
		"no rule":       {codes.Unimplemented, nil},
		"invalid":       {codes.Unavailable, []model.HTTPEntry{rule(to("/", gone))}},
		"invalid share": {codes.Unavailable, []model.HTTPEntry{rule(to("/", gone, gone))}},
		"no endpoint":   {codes.Unavailable, []model.HTTPEntry{rule(to("/", weighted("empty", 1)))}},
		"method match":  {codes.Unavailable, []model.HTTPEntry{method, rule(to("/", weighted("grpc", 1)))}},
	} {
		l.add(d, name, func(t *testing.T, url string) { call(t, url, c.code) }, c.entries...)
	}
	l.run(t, d)
}

// webSocket upgrades, and echoes, until the test ends.
func webSocket(t *testing.T) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "websocket" {
			http.Error(rw, "no upgrade", 400)
			return
		}
		c, buf, err := rw.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		// The end of the client's connection may be lost with the pods' namespaces.
		defer context.AfterFunc(t.Context(), func() { c.Close() })()
		fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		io.Copy(c, buf)
	})
}

// TestWebSocket upgrades, and speaks both ways, whatever the service declares.
func TestWebSocket(t *testing.T) {
	l, d := newLab(t), model.NewDelta()
	l.server.handle(8090, webSocket(t))
	service(d, "auto", model.AppAuto, at(l.server.v4, 8090))
	service(d, "ws", model.AppWS, at(l.server.v4, 8090))
	service(d, "http", model.AppHTTP, at(l.server.v4, 8090))
	check := func(t *testing.T, url string) {
		c, err := l.client.dial(context.Background(), "tcp", strings.TrimPrefix(url, "http://")+":80")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprint(c, "GET /chat HTTP/1.1\r\nHost: ws\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
		r := bufio.NewReader(c)
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != 101 {
			t.Fatal(resp, err)
		}
		for range 3 {
			fmt.Fprint(c, "hello\n")
			if s, err := r.ReadString('\n'); err != nil || s != "hello\n" {
				t.Fatal(s, err)
			}
		}
	}
	for _, name := range []string{"auto", "ws", "http"} {
		l.add(d, name, check, to("/", weighted(name, 1)))
	}
	l.run(t, d)
}

// TestNotHTTP: bytes that are no HTTP are refused on a port that routes HTTP.
func TestNotHTTP(t *testing.T) {
	l, d := newLab(t), model.NewDelta()
	l.add(d, "bytes", func(t *testing.T, url string) {
		c, err := l.client.dial(context.Background(), "tcp", strings.TrimPrefix(url, "http://")+":80")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprint(c, "\x16\x03\x01 this is no HTTP\r\n\r\n")
		b, err := io.ReadAll(c)
		if err != nil && errors.Is(err, context.DeadlineExceeded) || !strings.Contains(string(b), "400 Bad Request") {
			t.Errorf("%q %v", b, err)
		}
	}, to("/", weighted("one", 1)))
	l.run(t, d)
}

// TestAffinity: with ClientIP affinity each client keeps an endpoint.
func TestAffinity(t *testing.T) {
	l, d := newLab(t), model.NewDelta()
	service(d, "sticky", model.AppAuto, at(l.server.v4, 8081), at(l.server.v4, 8082), at(l.server.v4, 8083))
	d.Backends[backend("sticky")].Affinity = 3 * time.Hour
	seen := map[string]bool{}
	clients := []*pod{l.client}
	for i := range 8 {
		p := l.pod("blue", fmt.Sprintf("c%d", i))
		d.Workloads[p.key] = p.workload()
		clients = append(clients, p)
	}
	l.add(d, "keeps", func(t *testing.T, url string) {
		for _, c := range clients {
			first, _ := c.get(url)
			for range 10 {
				if again, _ := c.get(url); again.Header.Get("Backend") != first.Header.Get("Backend") {
					t.Fatalf("%s went to %s and to %s", c.key, first.Header.Get("Backend"), again.Header.Get("Backend"))
				}
			}
			seen[first.Header.Get("Backend")] = true
		}
		if len(seen) < 2 {
			t.Errorf("%d clients all keep %v", len(clients), seen)
		}
	}, to("/", weighted("sticky", 1)))
	l.run(t, d)
}

// TestConsumers: clients of a namespace see its own routes, the others the
// producer's, whose connections are untouched by the consumer's coming and going.
func TestConsumers(t *testing.T) {
	l, d := newLab(t), model.NewDelta()
	other := l.pod("red", "other")
	d.Workloads[other.key] = other.workload()
	l.cases = nil
	frontend(d, "web", "", []string{"10.96.9.1"}, to("/", weighted("one", 1)))
	l.run(t, d)
	kept := l.client.client(true)
	ask := func() (string, bool) {
		t.Helper()
		var reused bool
		ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
		resp, _, err := l.client.try(kept, "http://10.96.9.1/", func(r *http.Request) { *r = *r.WithContext(ctx) })
		if err != nil {
			t.Fatal(err)
		}
		return resp.Header.Get("Backend"), reused
	}
	expect := func(what, fromOther string) {
		t.Helper()
		if name, reused := ask(); name != "one" || !reused {
			t.Errorf("%s: the producer's client got %s; on its connection: %v", what, name, reused)
		}
		if resp, _ := other.get("http://10.96.9.1/"); resp.Header.Get("Backend") != fromOther {
			t.Errorf("%s: the other client got %q, want %s", what, resp.Header.Get("Backend"), fromOther)
		}
	}
	ask()
	step := func(f func(*model.Delta)) {
		d := model.NewDelta()
		f(d)
		l.apply(d)
	}
	expect("alone", "one")
	step(func(d *model.Delta) { frontend(d, "web", "red", []string{"10.96.9.1"}, to("/", weighted("two", 1))) })
	expect("consumer", "two")
	step(func(d *model.Delta) {
		frontend(d, "web", "green", []string{"10.96.9.1"}, to("/", weighted("one", 1)))
	})
	expect("another consumer", "two")
	step(func(d *model.Delta) { frontend(d, "web", "red", []string{"10.96.9.1"}, to("/", weighted("three", 1))) })
	expect("changed", "three")
	step(func(d *model.Delta) {
		for _, ns := range []string{"red", "green"} {
			k := frontend(d, "web", ns, nil).Key
			d.Frontends[k] = nil
		}
	})
	expect("gone", "one")
	if n := l.world.server.Status().Resources["clusters"]; n != 3 {
		t.Errorf("%d clusters are left, want those of one backend and two for mirrors", n)
	}
}
