package netns

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

func TestTimeouts(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front")
	c := s.client("client")
	s.apply("route", httpRoute("timeouts", "front", `
  - matches: [{path: {value: /short}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
    timeouts: {request: 2s}
    backendRefs: [{name: front, port: 80}]
  - matches: [{path: {value: /backend}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
    timeouts: {request: 9s, backendRequest: 2s}
    backendRefs: [{name: front, port: 80}]
  - matches: [{path: {value: /none}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
    timeouts: {request: 0s}
    backendRefs: [{name: front, port: 80}]
  - matches: [{path: {value: /default}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
    backendRefs: [{name: front, port: 80}]
`))
	s.settle()
	wants := map[string]string{
		"/short/delay/60s":     "504",
		"/short/delay/1ms":     "front",
		"/backend/delay/60s":   "504",
		"/backend/delay/1ms":   "front",
		"/none/delay/700ms":    "front",
		"/default/delay/700ms": "front",
		// Envoy's own default of 15 seconds must not show: the specification has none.
		"/default/delay/16s": "front",
	}
	for _, family := range []int{4, 6} {
		for path, want := range wants {
			t.Run(fmt.Sprintf("IPv%d%s", family, path), func(t *testing.T) {
				t.Parallel()
				if got := c.getName(family, request{To: "http://front" + path, Within: 30 * time.Second}); got != want {
					t.Errorf("%s, want %s", got, want)
				}
			})
		}
	}
}

func TestRetries(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front")
	c := s.client("client")
	s.apply("route", httpRoute("retries", "front", `
  - matches: [{path: {value: /flaky}}]
    retry: {codes: [503, 500], attempts: 2, backoff: 10ms}
    backendRefs: [{name: front, port: 80}]
  - matches: [{path: {value: /reset}}]
    retry: {attempts: 1, backoff: 10ms}
    backendRefs: [{name: front, port: 80}]
  - matches: [{path: {value: /once}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
    backendRefs: [{name: front, port: 80}]
`))
	s.settle()
	cases := []struct {
		name, path string
		code       int
	}{
		{"fails as often as it may", "/flaky/a%d/2/503", http.StatusOK},
		{"the other code", "/flaky/b%d/1/500", http.StatusOK},
		{"fails too often", "/flaky/c%d/3/503", http.StatusServiceUnavailable},
		{"a code that is not listed", "/flaky/d%d/1/502", http.StatusBadGateway},
		{"a connection that is cut", "/reset/e%d/1", http.StatusOK},
		{"no retry, no second attempt", "/once/flaky/f%d/1/503", http.StatusServiceUnavailable},
		{"no retry, a connection that is cut", "/once/reset/g%d/1", http.StatusServiceUnavailable},
	}
	families(t, func(t *testing.T, family int) {
		for _, tc := range cases {
			// The server counts by the path's key, which is each family's own.
			path := fmt.Sprintf(tc.path, family)
			if a := c.get(t, family, request{To: "http://front" + path}); a.Code != tc.code {
				t.Errorf("%s: %s: %d, want %d", tc.name, path, a.Code, tc.code)
			}
		}
	})
}

// TestSessionPersistence proves that a client that returns the cookie or header
// stays with the endpoint that served it first, and that one that doesn't is
// balanced.
func TestSessionPersistence(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	pods := s.servers("a", "b", "c")
	s.service("front", pods["a"], pods["b"], pods["c"])
	c := s.client("client")
	s.apply("route", httpRoute("sessions", "front", `
  - matches: [{path: {value: /cookie}}]
    sessionPersistence: {sessionName: basket, type: Cookie}
    backendRefs: [{name: front, port: 80}]
  - matches: [{path: {value: /permanent}}]
    sessionPersistence: {sessionName: lasting, type: Cookie, absoluteTimeout: 1h, cookieConfig: {lifetimeType: Permanent}}
    backendRefs: [{name: front, port: 80}]
  - matches: [{path: {value: /header}}]
    sessionPersistence: {sessionName: X-Session, type: Header}
    backendRefs: [{name: front, port: 80}]
`))
	s.settle()
	families(t, func(t *testing.T, family int) { c.keepsSessions(t, family) })
}

// keepsSessions has sessions of all kinds with service front.
func (c *client) keepsSessions(t *testing.T, family int) {
	t.Helper()
	cookie := func(path, name string) (*http.Cookie, *answer) {
		a := c.get(t, family, request{To: "http://front" + path})
		for _, ck := range (&http.Response{Header: a.Header}).Cookies() {
			if ck.Name == name {
				return ck, a
			}
		}
		t.Fatalf("%s set no cookie %s: %v", path, name, a.Header)
		return nil, nil
	}
	stays := func(path, header string, first *answer) {
		t.Helper()
		for range 20 {
			if a := c.get(t, family, request{To: "http://front" + path, Header: []string{header}}); a.name() != first.name() {
				t.Errorf("%s with %s went to %s, first to %s", path, header, a.name(), first.name())
				return
			}
		}
	}
	ck, first := cookie("/cookie", "basket")
	if ck.MaxAge != 0 || !ck.Expires.IsZero() {
		t.Errorf("a session's cookie must end with the browser: %s", ck)
	}
	stays("/cookie", "Cookie: "+ck.Name+"="+ck.Value, first)
	ck, first = cookie("/permanent", "lasting")
	if ck.MaxAge != 3600 {
		t.Errorf("want the cookie to last an hour: %s", ck)
	}
	stays("/permanent", "Cookie: "+ck.Name+"="+ck.Value, first)
	first = c.get(t, family, request{To: "http://front/header"})
	value := first.Header.Get("X-Session")
	if value == "" {
		t.Fatalf("no session header: %v", first.Header)
	}
	stays("/header", "X-Session: "+value, first)
	got := tally(60, func() string { return c.getName(family, request{To: "http://front/cookie"}) })
	if len(got) != 3 {
		t.Errorf("clients without a cookie all went to %s", counts(got))
	}
}

// TestClientIPAffinity proves that a service with ClientIP affinity keeps a
// client with one endpoint, in the kernel and through Envoy, and that clients
// are spread.
func TestClientIPAffinity(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	pods := s.servers("a", "b", "c")
	for _, name := range []string{"kernel", "routed"} {
		svc := s.service(name, pods["a"], pods["b"], pods["c"])
		svc.AffinitySeconds = 600
		s.declare(svc)
	}
	s.apply("route", plainRoute("routed"))
	var clients []*client
	for i := range 12 {
		clients = append(clients, s.client(fmt.Sprintf("client-%d", i)))
	}
	s.settle()
	families(t, func(t *testing.T, family int) {
		ways := map[string]func(*client) string{
			"TCP": func(c *client) string { return c.tcpName(family, "kernel:70") },
			"UDP": func(c *client) string { return c.udpName(family, "kernel:53") },
			"HTTP through Envoy": func(c *client) string {
				return c.getName(family, request{To: "http://routed/", Fresh: true})
			},
		}
		for way, one := range ways {
			used := map[string]int{}
			for _, c := range clients {
				got := tally(20, func() string { return one(c) })
				if len(got) != 1 {
					t.Errorf("%s: %s was sent to %s", way, c.name, counts(got))
				}
				for name := range got {
					used[name]++
				}
			}
			if len(used) < 2 {
				t.Errorf("%s: all clients are with %s", way, counts(used))
			}
		}
	})
}
