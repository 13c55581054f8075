package xds_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice.io/sluice/model"
)

// lab is a world with one client and echoing backends of namespace shop: one,
// two, three. Each case has a frontend, so an address, of its own.
type lab struct {
	*world
	client, server *pod
	cases          []*labCase
}

type labCase struct {
	vip   string
	check func(t *testing.T, url string)
	name  string
}

func newLab(t *testing.T) *lab {
	w := newWorld(t)
	l := &lab{world: w, client: w.pod("blue", "client"), server: w.pod("shop", "server")}
	for i, name := range []string{"one", "two", "three"} {
		l.server.handle(8081+i, echo(name))
	}
	return l
}

// echo answers with what it was asked, each header on a line of its own.
func echo(name string) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Backend", name)
		rw.Header().Set("Server", "echo")
		fmt.Fprintf(rw, "%s %s %s %s\n", name, r.Method, r.Host, r.RequestURI)
		for _, k := range slices.Sorted(maps.Keys(r.Header)) {
			fmt.Fprintf(rw, "%s: %s\n", k, strings.Join(r.Header[k], "|"))
		}
	})
}

// run brings all cases to Envoy at once, and then runs each.
func (l *lab) run(t *testing.T, d *model.Delta) {
	for i, name := range []string{"one", "two", "three"} {
		service(d, name, model.AppAuto, at(l.server.v4, uint16(8081+i)))
	}
	d.Workloads[l.client.key] = l.client.workload()
	l.apply(d)
	l.ready()
	if r := l.rejected(); len(r) > 0 {
		t.Fatalf("Envoy rejects %+v", r)
	}
	for _, c := range l.cases {
		t.Run(c.name, func(t *testing.T) { c.check(t, "http://"+c.vip) })
	}
}

func (l *lab) rejected() []string {
	var out []string
	for _, r := range l.world.server.Status().Rejected {
		out = append(out, r.Name+": "+r.Message)
	}
	return out
}

// add makes a case of a frontend with entries.
func (l *lab) add(d *model.Delta, name string, check func(t *testing.T, url string), entries ...model.HTTPEntry) *model.Frontend {
	vip := netip.AddrFrom4([4]byte{10, 96, 1, byte(len(l.cases) + 1)}).String()
	l.cases = append(l.cases, &labCase{vip: vip, name: name, check: check})
	return frontend(d, fmt.Sprintf("case%d", len(l.cases)), "", []string{vip}, entries...)
}

// expect wants the first line that the backend saw.
func (l *lab) expect(url, want string) func(*testing.T, string) {
	return func(t *testing.T, base string) {
		t.Helper()
		_, body := l.client.get(base + url)
		first, _, _ := strings.Cut(body, "\n")
		if got := first[strings.LastIndex(first, " ")+1:]; got != want {
			t.Errorf("%s reached the backend as %q, want %q", url, got, want)
		}
	}
}

func filter(e model.HTTPEntry, fs ...model.HTTPFilter) model.HTTPEntry {
	rule := *e.Rule
	rule.Filters = append(rule.Filters, fs...)
	e.Rule = &rule
	return e
}

func rewritePath(prefix bool, value string) model.HTTPFilter {
	return model.HTTPFilter{Rewrite: &model.Rewrite{Path: &model.PathModifier{Prefix: prefix, Value: value}}}
}

// TestPathRewrites holds the table of the Gateway API's ReplacePrefixMatch, and
// what string prefixes would get wrong.
func TestPathRewrites(t *testing.T) {
	l, d := newLab(t), model.NewDelta()
	for _, c := range []struct{ match, value, path, want string }{
		{"/foo", "/xyz", "/foo/bar", "/xyz/bar"},
		{"/foo", "/xyz/", "/foo/bar", "/xyz/bar"},
		{"/foo/", "/xyz", "/foo/bar", "/xyz/bar"},
		{"/foo/", "/xyz/", "/foo/bar", "/xyz/bar"},
		{"/foo", "/xyz", "/foo", "/xyz"},
		{"/foo", "/xyz", "/foo/", "/xyz/"},
		{"/foo", "", "/foo/bar", "/bar"},
		{"/foo", "", "/foo/", "/"},
		{"/foo", "", "/foo", "/"},
		{"/foo", "/", "/foo/", "/"},
		{"/foo", "/", "/foo", "/"},
		{"/foo", "/", "/foo/bar?q=/foo", "/bar?q=/foo"},
		{"/foo", "/", "/foo/foo/bar", "/foo/bar"},
		{"/foo", "/", "/foo?q=1", "/?q=1"},
		{"/", "/xyz", "/bar", "/xyz/bar"},
		{"/", "/xyz", "/", "/xyz/"},
		{"/", "/", "/bar", "/bar"},
		{"/a.b", "/", "/a.b/c", "/c"},
		{"/foo", `/100%25`, "/foo/bar", `/100%25/bar`},
	} {
		name := fmt.Sprintf("%s->%s:%s", c.match, c.value, c.path)
		l.add(d, name, l.expect(c.path, c.want), filter(to(c.match, weighted("one", 1)), rewritePath(true, c.value)))
	}
	l.add(d, "full", l.expect("/any/thing?q=1", "/all?q=1"), filter(to("/", weighted("one", 1)), rewritePath(false, "/all")))
	l.add(d, "full with percent", l.expect("/any?q=1", "/50%25?q=1"), filter(to("/", weighted("one", 1)), rewritePath(false, "/50%25")))
	l.add(d, "split", l.expect("/foo/bar", "/xyz/bar"), to("/foo", weighted("one", 1, rewritePath(true, "/xyz")), weighted("two", 1, rewritePath(true, "/xyz/"))))
	l.run(t, d)
}

// TestTransparency: what the application sends is what the server gets.
func TestTransparency(t *testing.T) {
	l, d := newLab(t), model.NewDelta()
	l.add(d, "nothing added", func(t *testing.T, url string) {
		resp, body := l.client.get(url+"//a/b//c?x=%2F", func(r *http.Request) { r.Host = "shop.example:8443" })
		t.Log(resp.Header, body)
		if !strings.HasPrefix(body, "one GET shop.example:8443 //a/b//c?x=%2F\n") {
			t.Errorf("got %s", body)
		}
		// X-Forwarded-Proto is what docs/decisions/0021 tells of; the others are Go's.
		var added []string
		for line := range strings.Lines(body) {
			if name, _, is := strings.Cut(line, ": "); is && name != "Accept-Encoding" && name != "User-Agent" && name != "Connection" {
				added = append(added, strings.TrimSpace(line))
			}
		}
		if want := []string{"X-Forwarded-Proto: http"}; !slices.Equal(added, want) {
			t.Errorf("added were %q, want %q", added, want)
		}
		for h := range resp.Header {
			if strings.HasPrefix(h, "X-") {
				t.Errorf("response header %s was added", h)
			}
		}
		if resp.Header.Get("Server") != "echo" {
			t.Errorf("Server is %q", resp.Header.Get("Server"))
		}
	}, to("/", weighted("one", 1)))
	l.add(d, "forwarded as it was", func(t *testing.T, url string) {
		for _, want := range []string{"https", "http", "wss", "https,http", "HTTPS"} {
			_, body := l.client.get(url, func(r *http.Request) {
				r.Header.Set("X-Forwarded-Proto", want)
				r.Header.Set("X-Forwarded-For", "10.0.0.1, fd00::1")
			})
			for _, line := range []string{"X-Forwarded-Proto: " + want + "\n", "X-Forwarded-For: 10.0.0.1, fd00::1\n"} {
				if !strings.Contains(body, line) || strings.Contains(body, "X-Envoy") {
					t.Errorf("%q is lost, or more was added, in\n%s", line, body)
				}
			}
		}
	}, to("/", weighted("one", 1)))
	l.add(d, "kept", func(t *testing.T, url string) {
		want := map[string]string{
			"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https", "X-Request-Id": "mine",
			"X-Envoy-External-Address": "1.2.3.4", "Te": "trailers",
		}
		_, body := l.client.get(url, func(r *http.Request) {
			for k, v := range want {
				r.Header.Set(k, v)
			}
		})
		for k, v := range want {
			if !strings.Contains(body, k+": "+v+"\n") {
				t.Errorf("%s: %s is lost in\n%s", k, v, body)
			}
		}
	}, to("/", weighted("one", 1)))
	l.run(t, d)
}

// TestWeights: shares are as the weights say, with filters that need routes of
// their own too.
func TestWeights(t *testing.T) {
	l, d := newLab(t), model.NewDelta()
	shares := func(want map[string]float64) func(*testing.T, string) {
		return func(t *testing.T, url string) {
			c, n, got := l.client.client(true), 2000, map[string]int{}
			for range n {
				resp, _, err := l.client.try(c, url)
				if err != nil {
					t.Fatal(err)
				}
				name := resp.Header.Get("Backend")
				if name == "" {
					name = resp.Status
				}
				got[name]++
			}
			for name, share := range want {
				if f := float64(got[name]) / float64(n); f < share-0.05 || f > share+0.05 {
					t.Errorf("%s got %.3f of the requests, want %.2f; all: %v", name, f, share, got)
				}
			}
			if len(got) != len(want) {
				t.Errorf("got %v, want %v", got, want)
			}
		}
	}
	gone := weighted("gone", 5)
	gone.Invalid = "BackendNotFound"
	path := rewritePath(true, "/x")
	l.add(d, "weights", shares(map[string]float64{"one": .2, "two": .3, "three": .5}),
		to("/", weighted("one", 2), weighted("two", 3), weighted("three", 5)))
	l.add(d, "split", shares(map[string]float64{"one": .2, "two": .3, "three": .5}),
		to("/", weighted("one", 2, path), weighted("two", 3), weighted("three", 5)))
	l.add(d, "invalid", shares(map[string]float64{"one": .5, "500 Internal Server Error": .5}), to("/", weighted("one", 5), gone))
	l.add(d, "split invalid", shares(map[string]float64{"one": .5, "500 Internal Server Error": .5}), to("/", weighted("one", 5, path), gone))
	l.add(d, "zero", shares(map[string]float64{"one": 1}), to("/", weighted("one", 1), weighted("two", 0)))
	l.add(d, "none", shares(map[string]float64{"500 Internal Server Error": 1}), to("/", weighted("one", 0)))
	l.add(d, "no backend", shares(map[string]float64{"500 Internal Server Error": 1}), to("/"))
	l.add(d, "no endpoint", shares(map[string]float64{"503 Service Unavailable": 1}), to("/", weighted("empty", 1)))
	l.add(d, "no match", shares(map[string]float64{"404 Not Found": 1}), to("/elsewhere", weighted("one", 1)))
	service(d, "empty", model.AppAuto)
	l.run(t, d)
}

// TestSessions: a client that has a session keeps its endpoint, whatever the
// weights; also when another backend's share is invalid.
func TestSessions(t *testing.T) {
	l, d := newLab(t), model.NewDelta()
	gone := weighted("gone", 50)
	gone.Invalid = "BackendNotFound"
	cookie := &model.SessionPersistence{Name: "sid", Path: "/", TTL: time.Hour}
	header := &model.SessionPersistence{Name: "x-session", Header: true}
	with := func(e model.HTTPEntry, s *model.SessionPersistence) model.HTTPEntry {
		e.Rule.Session = s
		return e
	}
	byCookie, byHeader := l.sessionsStay(carryCookies), l.sessionsStay(carryHeader)
	l.add(d, "cookie", byCookie, with(to("/", weighted("one", 1), weighted("two", 1)), cookie))
	l.add(d, "header", byHeader, with(to("/", weighted("one", 1), weighted("two", 1)), header))
	l.add(d, "cookie, invalid share", byCookie, with(to("/", weighted("one", 25), weighted("two", 25), gone), cookie))
	l.add(d, "header, invalid share", byHeader, with(to("/", weighted("one", 25), weighted("two", 25), gone), header))
	l.add(d, "cookie attributes", func(t *testing.T, url string) {
		resp, _ := l.client.get(url + "/shop/x")
		if len(resp.Cookies()) != 1 {
			t.Fatalf("cookies: %v", resp.Header["Set-Cookie"])
		}
		c := resp.Cookies()[0]
		if c.Name != "sid" || c.Path != "/shop" || c.MaxAge != 3600 || !c.HttpOnly {
			t.Errorf("cookie: %s", c.Raw)
		}
	}, with(to("/shop", weighted("one", 1)), &model.SessionPersistence{Name: "sid", Path: "/shop", TTL: time.Hour}))
	l.add(d, "session cookie", func(t *testing.T, url string) {
		resp, _ := l.client.get(url)
		if c := resp.Cookies(); len(c) != 1 || c[0].MaxAge != 0 || !c[0].Expires.IsZero() {
			t.Errorf("cookies: %v", resp.Header["Set-Cookie"])
		}
	}, with(to("/", weighted("one", 1)), &model.SessionPersistence{Name: "sid", Path: "/"}))
	f := l.add(d, "weight lowered to zero", func(*testing.T, string) {}, with(to("/", weighted("one", 1), weighted("two", 1)), cookie))
	l.run(t, d)
	l.sessionOutlivesWeight(t, f, with(to("/", weighted("one", 1), weighted("two", 0)), cookie))
}

// carryCookies makes a request go on with the session that a response has begun.
func carryCookies(resp *http.Response) func(*http.Request) {
	return func(r *http.Request) {
		for _, c := range resp.Cookies() {
			r.AddCookie(c)
		}
	}
}

// carryHeader is carryCookies for a session in a header.
func carryHeader(resp *http.Response) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("x-session", resp.Header.Get("x-session")) }
}

// sessionsStay asks as new clients until both backends have begun a session, and
// expects each session to stay where it began.
func (l *lab) sessionsStay(carry func(*http.Response) func(*http.Request)) func(*testing.T, string) {
	return func(t *testing.T, url string) {
		begun := map[string]bool{}
		for range 60 {
			resp, _ := l.client.get(url)
			if resp.StatusCode == 500 {
				continue
			}
			home := resp.Header.Get("Backend")
			begun[home] = true
			for range 5 {
				again, _ := l.client.get(url, carry(resp))
				if again.Header.Get("Backend") != home {
					t.Fatalf("a session with %s was answered by %q (%s)", home, again.Header.Get("Backend"), again.Status)
				}
			}
		}
		if len(begun) != 2 {
			t.Errorf("new sessions all go to %v", begun)
		}
	}
}

// sessionOutlivesWeight begins a session with backend two, gives the frontend an
// entry in which two has no weight, and expects the session to stay there and
// new ones to begin with one.
func (l *lab) sessionOutlivesWeight(t *testing.T, f *model.Frontend, zero model.HTTPEntry) {
	t.Helper()
	url := "http://" + f.VIPs[0].String()
	var resp *http.Response
	eventually(t, "a session with two", func() bool {
		resp, _ = l.client.get(url)
		return resp.Header.Get("Backend") == "two"
	})
	d := model.NewDelta()
	frontend(d, f.Key.Name, "", []string{f.VIPs[0].String()}, zero)
	l.apply(d)
	for range 10 {
		if fresh, _ := l.client.get(url); fresh.Header.Get("Backend") != "one" {
			t.Errorf("a new session went to %s", fresh.Header.Get("Backend"))
		}
		if again, _ := l.client.get(url, carryCookies(resp)); again.Header.Get("Backend") != "two" {
			t.Errorf("the session went on with %s", again.Header.Get("Backend"))
		}
	}
}
