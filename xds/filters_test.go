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
	var calls atomic.Int64
	l.server.handle(8090, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		calls.Add(1)
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
	service(d, "bad", model.AppAuto, at(l.server.v4, 8090))
	service(d, "half dead", model.AppAuto, at(l.server.v4, 8081), at(l.server.v4, 9))
	ms := func(n int) *time.Duration { v := time.Duration(n) * time.Millisecond; return &v }
	answers := func(path string, code int, want int64) func(*testing.T, string) {
		return func(t *testing.T, url string) {
			calls.Store(0)
			resp, _ := l.client.get(url + path)
			if resp.StatusCode != code || calls.Load() != want {
				t.Errorf("%s: %d after %d calls, want %d after %d", path, resp.StatusCode, calls.Load(), code, want)
			}
		}
	}
	rule := func(change func(*model.HTTPRule)) model.HTTPEntry {
		e := to("/", weighted("bad", 1))
		change(e.Rule)
		return e
	}
	retry := func(n uint32, codes ...uint32) *model.HTTPRetry {
		return &model.HTTPRetry{Attempts: n, Codes: codes, Backoff: time.Millisecond}
	}
	l.add(d, "request timeout", answers("/slow", 504, 1), rule(func(r *model.HTTPRule) { r.Timeouts.Request = ms(100) }))
	l.add(d, "attempt timeout", answers("/slow", 504, 1), rule(func(r *model.HTTPRule) { r.Timeouts.BackendRequest = ms(100) }))
	l.add(d, "shorter of both", answers("/slow", 504, 1), rule(func(r *model.HTTPRule) {
		r.Timeouts.Request, r.Timeouts.BackendRequest = ms(60000), ms(100)
	}))
	l.add(d, "no timeout", answers("/slow", 200, 1), rule(func(*model.HTTPRule) {}))
	l.add(d, "timeout off", answers("/slow", 200, 1), rule(func(r *model.HTTPRule) {
		r.Timeouts.Request, r.Timeouts.BackendRequest = ms(0), ms(0)
	}))
	l.add(d, "attempts time out", answers("/slow", 504, 3), rule(func(r *model.HTTPRule) {
		r.Timeouts.BackendRequest, r.Retry = ms(100), retry(2)
	}))
	l.add(d, "request timeout ends retries", answers("/slow", 504, 2), rule(func(r *model.HTTPRule) {
		r.Timeouts.Request, r.Timeouts.BackendRequest, r.Retry = ms(250), ms(150), retry(9)
	}))
	l.add(d, "retry codes", answers("/503", 503, 4), rule(func(r *model.HTTPRule) { r.Retry = retry(3, 503) }))
	l.add(d, "other codes", answers("/500", 500, 1), rule(func(r *model.HTTPRule) { r.Retry = retry(3, 503) }))
	l.add(d, "retry reset", answers("/reset", 503, 3), rule(func(r *model.HTTPRule) { r.Retry = retry(2) }))
	l.add(d, "no retry asked", answers("/503", 503, 1), rule(func(*model.HTTPRule) {}))
	l.add(d, "sent once", answers("/reset", 503, 1), rule(func(*model.HTTPRule) {}))
	l.add(d, "client's wish", func(t *testing.T, url string) {
		calls.Store(0)
		resp, _ := l.client.get(url+"/503", func(r *http.Request) {
			r.Header.Set("x-envoy-retry-on", "5xx")
			r.Header.Set("x-envoy-max-retries", "5")
		})
		if resp.StatusCode != 503 || calls.Load() != 1 {
			t.Errorf("%d after %d calls: a client steers Envoy's retries", resp.StatusCode, calls.Load())
		}
	}, rule(func(*model.HTTPRule) {}))
	halfDead := to("/", weighted("half dead", 1))
	halfDead.Rule.Retry = retry(2)
	l.add(d, "dead endpoint", func(t *testing.T, url string) {
		for range 30 {
			if resp, _ := l.client.get(url); resp.StatusCode != 200 {
				t.Fatalf("%s: an endpoint that refuses connections was not passed by", resp.Status)
			}
		}
	}, halfDead)
	// Without retries asked for the dead one may be tried again: one of eight fails.
	l.add(d, "dead endpoint, no retry asked", func(t *testing.T, url string) {
		var served int
		for range 60 {
			if resp, _ := l.client.get(url); resp.StatusCode == 200 {
				served++
			}
		}
		if served < 40 {
			t.Errorf("%d of 60 requests were served: what was not sent was not sent again", served)
		}
	}, to("/", weighted("half dead", 1)))
	l.run(t, d)
}
