package netns

import (
	"strings"
	"testing"
)

func TestCORS(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front")
	c := s.client("client")
	s.apply("route", httpRoute("cors", "front", `
  - filters:
    - type: CORS
      cors:
        allowOrigins: ["https://app.example", "https://*.wild.example"]
        allowMethods: [GET, PUT]
        allowHeaders: [x-one, x-two]
        exposeHeaders: [x-app]
        allowCredentials: true
        maxAge: 600
    backendRefs: [{name: front, port: 80}]
`))
	s.settle()
	families(t, func(t *testing.T, family int) { c.crossesOrigins(t, family) })
}

// crossesOrigins asks service front as a browser does.
func (c *client) crossesOrigins(t *testing.T, family int) {
	t.Helper()
	preflight := func(origin string) *answer {
		return c.get(t, family, request{To: "http://front/", Method: "OPTIONS", Header: []string{
			"Origin: " + origin, "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-one",
		}})
	}
	for _, origin := range []string{"https://app.example", "https://a.wild.example"} {
		a := preflight(origin)
		if a.Seen != nil {
			t.Errorf("the preflight from %s reached the server", origin)
		}
		for name, want := range map[string]string{
			"Access-Control-Allow-Origin":      origin,
			"Access-Control-Allow-Credentials": "true",
			"Access-Control-Max-Age":           "600",
			"Access-Control-Allow-Methods":     "GET,PUT",
			"Access-Control-Allow-Headers":     "x-one,x-two",
		} {
			if got := strings.ReplaceAll(a.Header.Get(name), " ", ""); got != want {
				t.Errorf("preflight from %s: %s: %q, want %q", origin, name, got, want)
			}
		}
		a = c.get(t, family, request{To: "http://front/", Header: []string{"Origin: " + origin}})
		if a.name() != "front" || a.Header.Get("Access-Control-Allow-Origin") != origin || a.Header.Get("Access-Control-Expose-Headers") != "x-app" {
			t.Errorf("request from %s: %s with %v", origin, a.name(), a.Header)
		}
	}
	for _, origin := range []string{"https://evil.example", "http://app.example", "https://wild.example"} {
		if got := preflight(origin).Header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("preflight from %s was allowed for %s", origin, got)
		}
	}
}
