package xds_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sluice.io/sluice/model"
)

// TestHandoff sends requests of two clients through one Envoy: each reaches the
// server from the client's own address, and never on a connection of the other's.
// What was dialled by one family goes to an endpoint of that family; and nowhere,
// when the backend has none.
func TestHandoff(t *testing.T) {
	w := newWorld(t)
	a, b, s := w.pod("blue", "a"), w.pod("red", "b"), w.pod("shop", "s")
	s.handle(8080, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(rw, "%s %s %s", r.RemoteAddr, r.Host, r.URL)
	}))
	d := model.NewDelta()
	service(d, "both", model.AppAuto, at(s.v4, 8080), at(s.v6, 8080))
	service(d, "v4", model.AppAuto, at(s.v4, 8080))
	service(d, "v6", model.AppAuto, at(s.v6, 8080))
	frontend(d, "web", "", []string{"10.96.0.1", "fd00:96::1"},
		to("/4", weighted("v4", 1)), to("/6", weighted("v6", 1)), to("/", weighted("both", 1)))
	for _, p := range []*pod{a, b, s} {
		d.Workloads[p.key] = p.workload()
	}
	w.apply(d)
	w.ready()
	const none = "no healthy upstream"
	for i := range 20 {
		for _, p := range []*pod{a, b} {
			v4, v6 := p.v4.String()+":", "["+p.v6.String()+"]:"
			for _, c := range []struct{ url, want string }{
				{"http://10.96.0.1/x?y=1", v4}, {"http://10.96.0.1/4", v4}, {"http://10.96.0.1/6", none},
				{"http://[fd00:96::1]/x?y=1", v6}, {"http://[fd00:96::1]/6", v6}, {"http://[fd00:96::1]/4", none},
			} {
				resp, body := p.get(c.url)
				if status := map[bool]int{true: 503, false: 200}[c.want == none]; resp.StatusCode != status || !strings.HasPrefix(body, c.want) {
					t.Fatalf("request %d of %s to %s: %d %s, want %d %s", i, p.key, c.url, resp.StatusCode, body, status, c.want)
				}
			}
		}
	}
	// What a pod dials itself is refused.
	if resp, body, err := a.try(a.client(false), "http://127.0.0.1:15001/"); err == nil {
		t.Errorf("a connection to the redirect port was answered: %d %s", resp.StatusCode, body)
	}
}

// TestSharedNamespace: workloads of one network namespace share a listener, which
// is there before the one that it was made from has left.
func TestSharedNamespace(t *testing.T) {
	l, d := newLab(t), model.NewDelta()
	frontend(d, "web", "", []string{"10.96.9.1"}, to("/", weighted("one", 1)))
	other := *l.client
	other.key.Name, other.mount = "later", filepath.Join(l.dir, "netns/blue/default/later-1")
	l.mount("/var/run/netns/"+l.client.netns, other.mount)
	d.Workloads[other.key] = other.workload()
	l.run(t, d)
	mounts := func() (out []string) {
		for _, m := range []string{l.client.mount, other.mount} {
			if strings.Contains(l.admin("/listeners"), m+"::") {
				out = append(out, m)
			}
		}
		return out
	}
	asked := func(when string) {
		for range 20 {
			if resp, body := l.client.get("http://10.96.9.1/"); resp.StatusCode != 200 {
				t.Fatalf("%s: %s %s", when, resp.Status, body)
			}
		}
	}
	asked("with both")
	if got := mounts(); !slices.Equal(got, []string{l.client.mount}) {
		t.Errorf("listeners: %v", got)
	}
	d = model.NewDelta()
	d.Workloads[l.client.key] = nil
	l.apply(d)
	l.unmount(l.client.mount)
	asked("with the later one")
	if got := mounts(); !slices.Equal(got, []string{other.mount}) {
		t.Errorf("listeners: %v", got)
	}
	d = model.NewDelta()
	d.Workloads[other.key] = nil
	l.apply(d)
	if got := mounts(); len(got) > 0 {
		t.Errorf("listeners: %v", got)
	}
	if r := l.rejected(); len(r) > 0 {
		t.Errorf("rejected: %v", r)
	}
}
