package netns

import (
	"path/filepath"
	"strings"
	"testing"
)

// goodRoute sends the requests of a service "front" to a backend.
func goodRoute(backend string) string {
	return httpRoute("moving", "front", `
  - matches: [{path: {type: RegularExpression, value: "/.*"}}]
    backendRefs: [{name: `+backend+`, port: 80}]
`)
}

// breakages are edits that break goodRoute.
var breakages = []struct {
	name, old, broken string
	// object tells that the problem is with the route, not with the file alone.
	object bool
	// says is what the message must speak of.
	says string
}{
	{"bad regular expression", `"/.*"`, `"/(unclosed"`, true, "/(unclosed"},
	{"unknown field", "backendRefs", "backendsRefs", true, "backendsRefs"},
	{"bad value", "port: 80}]\n", "port: 99999}]\n", true, "99999"},
	{"no YAML", "  rules:", "\t:\n - {", false, ""},
	{"half of it", ", port: 80}]\n", "", false, ""},
}

// TestLastGoodStays proves that an object that becomes broken keeps serving in
// its last good state, also over a restart, until it is removed or mended.
func TestLastGoodStays(t *testing.T) {
	t.Parallel()
	w := ownWorld(t)
	s := w.space(t)
	s.each("front", "v1", "v2")
	c := s.client("client")
	good := goodRoute("v1")
	s.apply("route", good)
	s.settle()
	requests := startLoad(t, "requests", 1, wantName(func() string { return c.getName(4, request{To: "http://front/"}) }, "v1"))
	requests.progress(t, 10)
	for _, b := range breakages {
		i := strings.LastIndex(good, b.old)
		file := s.apply("route", good[:i]+b.broken+good[i+len(b.old):])
		s.settle()
		wantLastGood(t, s, file, strings.Count(good[:i], "\n")+1, b.object, b.says)
		requests.progress(t, 10)
	}
	if err := w.Sluice().Kill(); err != nil {
		t.Fatal(err)
	}
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.settle()
	requests.progress(t, 10)
	stopClean(t, requests)
	s.apply("route", goodRoute("v2"))
	s.settle()
	if got := c.getName(4, request{To: "http://front/"}); got != "v2" {
		t.Errorf("mended: %s, want v2", got)
	}
	s.apply("route", "broken: [")
	s.settle()
	s.remove("route")
	s.settle()
	if got := c.getName(4, request{To: "http://front/", Fresh: true}); got != "front" {
		t.Errorf("removed: %s, want front", got)
	}
}

// wantLastGood wants a problem with a file whose route serves in its last good state.
func wantLastGood(t *testing.T, s *space, file string, line int, object bool, says string) {
	t.Helper()
	p := s.problem(file)
	if p == nil || !p.LastGood || !strings.Contains(p.Message, says) {
		t.Errorf("problem %+v, want one of %q that says that the last good state serves", p, says)
		return
	}
	if want := (objectRef{"HTTPRoute", s.ns, "moving"}); object && (p.Object != want || p.Line != line) {
		t.Errorf("the problem is with %+v at line %d, want %+v at line %d: %s", p.Object, p.Line, want, line, p.Message)
	}
}

// TestBrokenWhileStopped proves that an object that breaks while sluice is
// stopped has its last good state at the next start, whatever Envoy and the
// kernel had; and that one that is removed meanwhile is gone.
func TestBrokenWhileStopped(t *testing.T) {
	t.Parallel()
	w := ownWorld(t)
	s := w.space(t)
	s.each("front", "v1", "v2", "plain", "removed")
	c := s.client("client")
	good := goodRoute("v1")
	s.apply("route", good)
	s.settle()
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	// Nothing of the run that was must answer for the one that comes.
	if out, err := w.Uninstall(t.Context(), "--state-dir", filepath.Join(t.TempDir(), "none")); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	file := s.apply("route", strings.Replace(good, "/.*", "/(unclosed", 1))
	service := s.apply("service-plain", strings.Replace(s.services["plain"].YAML(), "clusterIPs", "clusterIPz", 1))
	s.remove("service-removed")
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.settle()
	wantLastGood(t, s, file, 9, true, "/(unclosed")
	if p := s.problem(service); p == nil || !p.LastGood || p.Object.Name != "plain" {
		t.Errorf("problem %+v, want one that says that plain's last good state serves", p)
	}
	families(t, func(t *testing.T, family int) {
		if got := c.getName(family, request{To: "http://front/"}); got != "v1" {
			t.Errorf("through Envoy: %s, want v1", got)
		}
		if got := c.tcpName(family, "plain:70"); got != "plain" {
			t.Errorf("in the kernel: %s, want plain", got)
		}
		if got := c.tcpName(family, "removed:70"); !strings.HasPrefix(got, "error: ") {
			t.Errorf("a service that was removed while sluice was stopped: %s", got)
		}
	})
	s.apply("route", goodRoute("v2"))
	s.settle()
	if got := c.getName(4, request{To: "http://front/"}); got != "v2" {
		t.Errorf("mended: %s, want v2", got)
	}
	if p := s.problem(file); p != nil {
		t.Errorf("the problem outlives its cause: %+v", p)
	}
}
