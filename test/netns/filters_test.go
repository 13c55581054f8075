package netns

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// httpRoute is an HTTPRoute on port 80 of a service, with the given rules.
func httpRoute(name, service, rules string) string {
	return `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: ` + name + `, namespace: $NS}
spec:
  parentRefs: [{group: "", kind: Service, name: ` + service + `, port: 80}]
  rules:
` + rules
}

func TestHeaderModifiers(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front")
	c := s.client("client")
	s.apply("route", httpRoute("headers", "front", `
  - filters:
    - type: RequestHeaderModifier
      requestHeaderModifier:
        set: [{name: X-Set, value: new}]
        add: [{name: X-Add, value: more}]
        remove: [X-Remove]
    - type: ResponseHeaderModifier
      responseHeaderModifier:
        set: [{name: X-Set, value: new}]
        add: [{name: X-Add, value: more}]
        remove: [X-Remove]
    backendRefs: [{name: front, port: 80}]
`))
	s.settle()
	families(t, func(t *testing.T, family int) {
		a := c.get(t, family, request{To: "http://front/", Header: []string{
			"X-Set: old", "X-Add: one", "X-Remove: gone", "X-Keep: kept",
			"Test-Reply: X-Set=old", "Test-Reply: X-Add=one", "Test-Reply: X-Remove=gone", "Test-Reply: X-Keep=kept",
		}})
		for where, h := range map[string]http.Header{"request": a.Seen.Headers, "response": a.Header} {
			for name, want := range map[string]string{"X-Set": "new", "X-Add": "one,more", "X-Remove": "", "X-Keep": "kept"} {
				if got := strings.Join(h.Values(name), ","); got != want {
					t.Errorf("%s header %s: %q, want %q", where, name, got, want)
				}
			}
		}
	})
}

// TestNothingIsAdded proves that a request that no filter touches arrives as it
// was sent: the mesh adds no headers of its own, and hides none. The one
// exception is X-Forwarded-Proto, which Envoy adds where there is none.
func TestNothingIsAdded(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("plain", "routed")
	c := s.client("client")
	s.apply("route", plainRoute("routed"))
	s.settle()
	families(t, func(t *testing.T, family int) {
		for _, sent := range [][]string{nil, {"X-Forwarded-For: 192.0.2.1", "X-Request-Id: mine", "X-Forwarded-Proto: https", "User-Agent: a/1"}} {
			plain := c.get(t, family, request{To: "http://plain/", Header: sent})
			routed := c.get(t, family, request{To: "http://routed/", Header: sent})
			for name := range routed.Seen.Headers {
				if plain.Seen.Headers[name] == nil && name != "X-Forwarded-Proto" {
					t.Errorf("the mesh added %s: %s", name, routed.Seen.Header(name))
				}
			}
			for name := range plain.Seen.Headers {
				if plain.Seen.Header(name) != routed.Seen.Header(name) {
					t.Errorf("header %s arrived as %q, want %q", name, routed.Seen.Header(name), plain.Seen.Header(name))
				}
			}
			for name := range routed.Header {
				if plain.Header[name] == nil {
					t.Errorf("the mesh added %s: %s to the response", name, routed.Header.Get(name))
				}
			}
		}
	})
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front")
	c := s.client("client")
	s.apply("route", httpRoute("redirects", "front", `
  - matches: [{path: {value: /host}}]
    filters: [{type: RequestRedirect, requestRedirect: {hostname: example.org}}]
  - matches: [{path: {value: /scheme}}]
    filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}]
  - matches: [{path: {value: /port}}]
    filters: [{type: RequestRedirect, requestRedirect: {port: 8443}}]
  - matches: [{path: {value: /full}}]
    filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: /new}, statusCode: 302}}]
  - matches: [{path: {value: /prefix}}]
    filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /other}, statusCode: 308}}]
  - matches: [{path: {value: /all}}]
    filters: [{type: RequestRedirect, requestRedirect: {scheme: https, hostname: example.org, port: 444, path: {type: ReplacePrefixMatch, replacePrefixMatch: /}, statusCode: 307}}]
`))
	s.settle()
	cases := []struct {
		path, location string
		code           int
	}{
		{"/host/x?a=b", "http://example.org/host/x?a=b", 302},
		{"/scheme/x", "https://front/scheme/x", 301},
		{"/port", "http://front:8443/port", 302},
		{"/full/x/y", "http://front/new", 302},
		{"/prefix/x/y?a=b", "http://front/other/x/y?a=b", 308},
		{"/prefix", "http://front/other", 308},
		{"/all/x", "https://example.org:444/x", 307},
		{"/all", "https://example.org:444/", 307},
	}
	families(t, func(t *testing.T, family int) {
		for _, tc := range cases {
			a := c.get(t, family, request{To: "http://front" + tc.path})
			if got := a.Header.Get("Location"); a.Code != tc.code || got != tc.location {
				t.Errorf("%s: %d to %q, want %d to %q", tc.path, a.Code, got, tc.code, tc.location)
			}
		}
	})
}

func TestRewrites(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front")
	c := s.client("client")
	s.apply("route", httpRoute("rewrites", "front", `
  - matches: [{path: {value: /host}}]
    filters: [{type: URLRewrite, urlRewrite: {hostname: inside.example}}]
    backendRefs: [{name: front, port: 80}]
  - matches: [{path: {value: /full}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /new}}}]
    backendRefs: [{name: front, port: 80}]
  - matches: [{path: {value: /prefix}}]
    filters: [{type: URLRewrite, urlRewrite: {hostname: both.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /other}}}]
    backendRefs: [{name: front, port: 80}]
  - matches: [{path: {value: /strip}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
    backendRefs: [{name: front, port: 80}]
  - matches: [{path: {value: /slash/}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /to/}}}]
    backendRefs: [{name: front, port: 80}]
`))
	s.settle()
	families(t, func(t *testing.T, family int) {
		for _, tc := range []struct{ path, wantHost, wantPath string }{
			{"/host/x", "inside.example", "/host/x"},
			{"/full/x?a=b", "front", "/new?a=b"},
			{"/prefix/x/y?a=b", "both.example", "/other/x/y?a=b"},
			{"/prefix", "both.example", "/other"},
			{"/strip/x", "front", "/x"},
			{"/strip", "front", "/"},
			{"/strip/", "front", "/"},
			{"/slash/x", "front", "/to/x"},
			{"/slash", "front", "/to"},
		} {
			a := c.get(t, family, request{To: "http://front" + tc.path})
			if a.Seen == nil || a.Seen.Host != tc.wantHost || a.Seen.Path != tc.wantPath {
				t.Errorf("%s arrived as %+v, want host %s path %s", tc.path, a.Seen, tc.wantHost, tc.wantPath)
			}
		}
	})
}

// TestBackendFilters proves that filters of a backendRef apply to requests that
// were sent to that backend only, on top of the rule's.
func TestBackendFilters(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "v1", "v2")
	c := s.client("client")
	s.apply("route", httpRoute("each", "front", `
  - filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Rule, value: "yes"}]}}]
    backendRefs:
    - name: v1
      port: 80
      filters:
      - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Backend, value: one}]}}
      - {type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: X-From, value: one}]}}
    - name: v2
      port: 80
      filters:
      - {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Backend, value: two}]}}
`))
	s.settle()
	want := map[string][3]string{"v1": {"yes", "one", "one"}, "v2": {"yes", "two", ""}}
	families(t, func(t *testing.T, family int) {
		seen := map[string]bool{}
		for range 60 {
			a := c.get(t, family, request{To: "http://front/"})
			got := [3]string{a.Seen.Header("X-Rule"), a.Seen.Header("X-Backend"), a.Header.Get("X-From")}
			if got != want[a.name()] {
				t.Fatalf("%s saw %q, want %q", a.name(), got, want[a.name()])
			}
			seen[a.name()] = true
		}
		if len(seen) != 2 {
			t.Errorf("only %v answered 60 requests", seen)
		}
	})
}

// TestBackendFilterKinds proves that a backendRef may rewrite, mirror and redirect
// as a rule may, for its own share only.
func TestBackendFilterKinds(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "v1", "v2", "copy")
	c := s.client("client")
	s.apply("route", httpRoute("kinds", "front", `
  - matches: [{path: {value: /a}}]
    backendRefs:
    - name: v1
      port: 80
      filters:
      - {type: URLRewrite, urlRewrite: {hostname: inside.example, path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}
      - {type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 80}}}
    - {name: v2, port: 80}
    - name: v2
      port: 80
      filters: [{type: RequestRedirect, requestRedirect: {hostname: example.org, statusCode: 303}}]
`))
	s.settle()
	families(t, func(t *testing.T, family int) {
		key := fmt.Sprintf("kinds-%d", family)
		seen := map[string]int{}
		for range 90 {
			a := c.get(t, family, request{To: "http://front/a/x", Header: []string{"X-Key: " + key}})
			got := a.name()
			if a.Seen != nil {
				got += " " + a.Seen.Host + a.Seen.Path
			} else {
				got += " " + a.Header.Get("Location")
			}
			seen[got]++
		}
		for _, want := range []string{"v1 inside.example/b/x", "v2 front/a/x", "303 http://example.org/a/x"} {
			if seen[want] == 0 {
				t.Errorf("none of 90 requests was %q: %s", want, counts(seen))
			}
		}
		if len(seen) != 3 {
			t.Errorf("more than the three ways: %s", counts(seen))
		}
		s.eventually("the mirror's copies", func() error {
			if got, want := c.mirrored(t, "copy", key), seen["v1 inside.example/b/x"]; got != want {
				return fmt.Errorf("the mirror saw %d, want those of v1, %d", got, want)
			}
			return nil
		})
	})
}
