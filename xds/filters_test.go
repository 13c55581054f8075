package xds_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice.io/sluice/model"
)

func redirect(r model.Redirect) model.HTTPFilter { return model.HTTPFilter{Redirect: &r} }

// location expects a redirection.
func (l *lab) location(path, host string, code int, want string) func(*testing.T, string) {
	return func(t *testing.T, url string) {
		t.Helper()
		resp, _ := l.client.get(url+path, func(r *http.Request) { r.Host = host })
		if resp.StatusCode != code || resp.Header.Get("Location") != want {
			t.Errorf("%s%s: %d %q, want %d %q", host, path, resp.StatusCode, resp.Header.Get("Location"), code, want)
		}
	}
}

func TestRedirects(t *testing.T) {
	l, d := newLab(t), model.NewDelta()
	prefix := func(v string) *model.PathModifier { return &model.PathModifier{Prefix: true, Value: v} }
	full := func(v string) *model.PathModifier { return &model.PathModifier{Value: v} }
	for _, c := range []struct {
		name, match, path, host string
		r                       model.Redirect
		code                    int
		want                    string
	}{
		{"host", "/", "/a?q=1", "shop", model.Redirect{Host: "example.org", Code: 302}, 302, "http://example.org/a?q=1"},
		{"default code", "/", "/", "shop", model.Redirect{Host: "example.org"}, 302, "http://example.org/"},
		{"301", "/", "/", "shop", model.Redirect{Host: "example.org", Code: 301}, 301, "http://example.org/"},
		{"303", "/", "/", "shop", model.Redirect{Host: "example.org", Code: 303}, 303, "http://example.org/"},
		{"307", "/", "/", "shop", model.Redirect{Host: "example.org", Code: 307}, 307, "http://example.org/"},
		{"308", "/", "/", "shop", model.Redirect{Host: "example.org", Code: 308}, 308, "http://example.org/"},
		{"scheme", "/", "/a", "shop", model.Redirect{Scheme: "https", Code: 301}, 301, "https://shop/a"},
		{"scheme and port", "/", "/a", "shop", model.Redirect{Scheme: "https", Port: 8443, Code: 301}, 301, "https://shop:8443/a"},
		{"port", "/", "/a", "shop", model.Redirect{Port: 8080, Code: 302}, 302, "http://shop:8080/a"},
		{"port replaces port", "/", "/a", "shop:81", model.Redirect{Port: 8080, Code: 302}, 302, "http://shop:8080/a"},
		{"scheme replaces the port of the host", "/", "/a", "shop:8080", model.Redirect{Scheme: "https", Code: 301}, 301, "https://shop:443/a"},
		{"path keeps the port of the host", "/", "/a", "shop:80", model.Redirect{Path: full("/b"), Code: 302}, 302, "http://shop:80/b"},
		{"v6 host", "/", "/a", "[fd00::1]:8080", model.Redirect{Scheme: "https", Code: 301}, 301, "https://[fd00::1]:443/a"},
		{"full path", "/", "/a/b?q=1", "shop", model.Redirect{Path: full("/c"), Code: 302}, 302, "http://shop/c?q=1"},
		{"prefix", "/foo", "/foo/bar?q=1", "shop", model.Redirect{Path: prefix("/xyz"), Code: 302}, 302, "http://shop/xyz/bar?q=1"},
		{"prefix, slash", "/foo", "/foo/bar", "shop", model.Redirect{Path: prefix("/xyz/"), Code: 302}, 302, "http://shop/xyz/bar"},
		{"prefix to root", "/foo", "/foo/bar", "shop", model.Redirect{Path: prefix("/"), Code: 302}, 302, "http://shop/bar"},
		{"whole prefix to root", "/foo", "/foo", "shop", model.Redirect{Path: prefix("/"), Code: 302}, 302, "http://shop/"},
		{"root to prefix", "/", "/bar", "shop", model.Redirect{Path: prefix("/xyz"), Code: 302}, 302, "http://shop/xyz/bar"},
		{"nothing", "/", "/a", "shop", model.Redirect{Code: 302, Host: "shop", Scheme: "https"}, 302, "https://shop/a"},
	} {
		l.add(d, c.name, l.location(c.path, c.host, c.code, c.want), filter(to(c.match), redirect(c.r)))
	}
	l.run(t, d)
}

// TestHeaders: modifiers do what the Gateway API says, values are literal.
func TestHeaders(t *testing.T) {
	l, d := newLab(t), model.NewDelta()
	mod := &model.HeaderModifier{
		Set:    []model.Header{{Name: "x-set", Value: "100% %REQ(host)%"}, {Name: "x-empty"}, {Name: "Host", Value: "other.example"}},
		Add:    []model.Header{{Name: "x-add", Value: "b"}, {Name: "x-gone", Value: "never"}},
		Remove: []string{"x-gone", "x-del", "host"},
	}
	body := func(want ...string) func(*testing.T, string) {
		return func(t *testing.T, url string) {
			_, body := l.client.get(url, func(r *http.Request) {
				for _, h := range []string{"x-set", "x-add", "x-gone", "x-del"} {
					r.Header.Set(h, "a")
				}
			})
			for _, w := range want {
				if !strings.Contains(body, w) {
					t.Errorf("no %q in\n%s", w, body)
				}
			}
			if strings.Contains(body, "X-Gone") || strings.Contains(body, "X-Del") {
				t.Errorf("a removed header is there:\n%s", body)
			}
		}
	}
	all := []string{" other.example ", "X-Set: 100% %REQ(host)%\n", "X-Empty: \n", "X-Add: a|b\n"}
	l.add(d, "rule", body(all...), filter(to("/", weighted("one", 1)), model.HTTPFilter{RequestHeaders: mod}))
	l.add(d, "backend", body(all...), to("/", weighted("one", 1, model.HTTPFilter{RequestHeaders: mod})))
	l.add(d, "weighted", body(all...), to("/", weighted("one", 1, model.HTTPFilter{RequestHeaders: mod}),
		weighted("two", 1, model.HTTPFilter{RequestHeaders: mod})))
	l.add(d, "backend after rule", body("X-Set: two\n", "X-Add: a|b\n"), filter(to("/", weighted("one", 1, model.HTTPFilter{
		RequestHeaders: &model.HeaderModifier{Set: []model.Header{{Name: "X-Set", Value: "two"}}}}), weighted("two", 1, model.HTTPFilter{
		RequestHeaders: &model.HeaderModifier{Set: []model.Header{{Name: "X-Set", Value: "two"}}}})), model.HTTPFilter{RequestHeaders: mod}))
	l.add(d, "response", func(t *testing.T, url string) {
		resp, _ := l.client.get(url)
		if resp.Header.Get("X-New") != "50%" || resp.Header.Get("Server") != "" || resp.Header.Get("Backend") != "set" {
			t.Errorf("response headers: %v", resp.Header)
		}
	}, filter(to("/", weighted("one", 1)), model.HTTPFilter{ResponseHeaders: &model.HeaderModifier{
		Set: []model.Header{{Name: "backend", Value: "set"}}, Add: []model.Header{{Name: "x-new", Value: "50%"}}, Remove: []string{"server"},
	}}))
	l.add(d, "host rewrite", l.expectHost("new.example"), filter(to("/", weighted("one", 1)), model.HTTPFilter{Rewrite: &model.Rewrite{Host: "new.example"}}))
	l.add(d, "host rewrite of one backend", l.expectHost("new.example"), to("/", weighted("one", 1, model.HTTPFilter{Rewrite: &model.Rewrite{Host: "new.example"}}),
		weighted("two", 1, model.HTTPFilter{Rewrite: &model.Rewrite{Host: "new.example"}})))
	l.run(t, d)
}

func (l *lab) expectHost(want string) func(*testing.T, string) {
	return func(t *testing.T, url string) {
		for range 5 {
			if _, body := l.client.get(url); strings.Fields(body)[2] != want {
				t.Errorf("host: %s", body)
			}
		}
	}
}

// TestMirrors counts the copies that each mirror gets.
func TestMirrors(t *testing.T) {
	l, d := newLab(t), model.NewDelta()
	var all, half, host atomic.Int64
	l.server.handle(8090, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		all.Add(1)
		if r.Host == "shop.example" && strings.HasPrefix(r.RemoteAddr, l.client.v4.String()+":") {
			host.Add(1)
		}
	}))
	l.server.handle(8091, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { half.Add(1) }))
	mirror := func(name string, n, of uint32) model.HTTPFilter {
		return model.HTTPFilter{Mirror: &model.Mirror{Backend: backend(name), Numerator: n, Denominator: of}}
	}
	check := func(t *testing.T, url string) {
		all.Store(0)
		half.Store(0)
		host.Store(0)
		c := l.client.client(true)
		for range 400 {
			if resp, _, err := l.client.try(c, url, func(r *http.Request) { r.Host = "shop.example" }); err != nil || resp.StatusCode != 200 {
				t.Fatal(resp, err)
			}
		}
		eventually(t, "all copies", func() bool { return all.Load() == 400 })
		if n := half.Load(); n < 140 || n > 260 || host.Load() != 400 {
			t.Errorf("half got %d of 400 copies; %d with the host and address as they were", n, host.Load())
		}
	}
	invalid := mirror("gone", 1, 1)
	invalid.Mirror.Invalid = "BackendNotFound"
	fs := []model.HTTPFilter{mirror("all", 1, 1), mirror("half", 1, 2), mirror("half", 0, 1), invalid}
	l.add(d, "rule", check, filter(to("/", weighted("one", 1)), fs...))
	l.add(d, "backend", check, to("/", weighted("one", 1, fs...), weighted("two", 1, fs...)))
	service(d, "all", model.AppAuto, at(l.server.v4, 8090))
	service(d, "half", model.AppAuto, at(l.server.v4, 8091))
	l.run(t, d)
}

// TestPatience: timeouts and retries.
func TestPatience(t *testing.T) {
	l, d := newLab(t), model.NewDelta()
	b := l.badServer(8090)
	service(d, "bad", model.AppAuto, at(l.server.v4, 8090))
	service(d, "half dead", model.AppAuto, at(l.server.v4, 8081), at(l.server.v4, 9))
	ms := func(n int) *time.Duration { v := time.Duration(n) * time.Millisecond; return &v }
	retry := func(n uint32, codes ...uint32) *model.HTTPRetry {
		return &model.HTTPRetry{Attempts: n, Codes: codes, Backoff: time.Millisecond}
	}
	for _, c := range []struct {
		name, path string
		code       int
		calls      int64
		change     func(*model.HTTPRule)
	}{
		{"request timeout", "/slow", 504, 1, func(r *model.HTTPRule) { r.Timeouts.Request = ms(100) }},
		{"attempt timeout", "/slow", 504, 1, func(r *model.HTTPRule) { r.Timeouts.BackendRequest = ms(100) }},
		{"shorter of both", "/slow", 504, 1, func(r *model.HTTPRule) {
			r.Timeouts.Request, r.Timeouts.BackendRequest = ms(60000), ms(100)
		}},
		{"no timeout", "/slow", 200, 1, func(*model.HTTPRule) {}},
		{"timeout off", "/slow", 200, 1, func(r *model.HTTPRule) {
			r.Timeouts.Request, r.Timeouts.BackendRequest = ms(0), ms(0)
		}},
		{"attempts time out", "/slow", 504, 3, func(r *model.HTTPRule) {
			r.Timeouts.BackendRequest, r.Retry = ms(100), retry(2)
		}},
		{"request timeout ends retries", "/slow", 504, 2, func(r *model.HTTPRule) {
			r.Timeouts.Request, r.Timeouts.BackendRequest, r.Retry = ms(250), ms(150), retry(9)
		}},
		{"retry codes", "/503", 503, 4, func(r *model.HTTPRule) { r.Retry = retry(3, 503) }},
		{"other codes", "/500", 500, 1, func(r *model.HTTPRule) { r.Retry = retry(3, 503) }},
		{"retry reset", "/reset", 503, 3, func(r *model.HTTPRule) { r.Retry = retry(2) }},
		{"no retry asked", "/503", 503, 1, func(*model.HTTPRule) {}},
		{"sent once", "/reset", 503, 1, func(*model.HTTPRule) {}},
	} {
		e := to("/", weighted("bad", 1))
		c.change(e.Rule)
		l.add(d, c.name, b.wantAnswer(c.path, c.code, c.calls), e)
	}
	// A client does not steer Envoy's retries.
	l.add(d, "client's wish", b.wantAnswer("/503", 503, 1, func(r *http.Request) {
		r.Header.Set("x-envoy-retry-on", "5xx")
		r.Header.Set("x-envoy-max-retries", "5")
	}), to("/", weighted("bad", 1)))
	halfDead := to("/", weighted("half dead", 1))
	halfDead.Rule.Retry = retry(2)
	l.add(d, "dead endpoint is passed by", l.wantServed(30, 30), halfDead)
	// Without retries asked for the dead one may be tried again: one of eight fails.
	l.add(d, "dead endpoint, no retry asked", l.wantServed(60, 40), to("/", weighted("half dead", 1)))
	l.run(t, d)
}

// badServer is slow, fails or resets, as the path says, and counts its calls.
type badServer struct {
	l     *lab
	calls atomic.Int64
}

func (l *lab) badServer(port int) *badServer {
	b := &badServer{l: l}
	l.server.handle(port, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		b.calls.Add(1)
		switch r.URL.Path {
		case "/slow":
			select {
			case <-r.Context().Done():
			case <-time.After(3 * time.Second):
			}
		case "/503":
			rw.WriteHeader(503)
		case "/500":
			rw.WriteHeader(500)
		case "/reset":
			panic(http.ErrAbortHandler)
		}
	}))
	return b
}

// wantAnswer expects a request to be answered with a code after some calls.
func (b *badServer) wantAnswer(path string, code int, calls int64, change ...func(*http.Request)) func(*testing.T, string) {
	return func(t *testing.T, url string) {
		b.calls.Store(0)
		resp, _ := b.l.client.get(url+path, change...)
		if resp.StatusCode != code || b.calls.Load() != calls {
			t.Errorf("%s: %d after %d calls, want %d after %d", path, resp.StatusCode, b.calls.Load(), code, calls)
		}
	}
}

// wantServed expects at least some of n requests to succeed.
func (l *lab) wantServed(n, atLeast int) func(*testing.T, string) {
	return func(t *testing.T, url string) {
		var served int
		for range n {
			if resp, _ := l.client.get(url); resp.StatusCode == 200 {
				served++
			}
		}
		if served < atLeast {
			t.Errorf("%d of %d requests were served, want %d: what was not sent was not sent again", served, n, atLeast)
		}
	}
}
