package xds_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice.io/sluice/model"
)

// admin asks the world's Envoy.
func (w *world) admin(path string) string {
	w.t.Helper()
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(w.cfg.Dir, "admin.sock"))
	}}
	resp, err := (&http.Client{Transport: tr, Timeout: 10 * time.Second}).Get("http://envoy" + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// TestWarming: a changed cluster whose endpoints are the same is in use at once,
// and not after Envoy's 15 seconds of waiting for endpoints.
func TestWarming(t *testing.T) {
	l, d := newLab(t), model.NewDelta()
	frontend(d, "web", "", []string{"10.96.9.1"}, to("/", weighted("one", 1)))
	l.run(t, d)
	began := time.Now()
	for i, app := range []model.AppProtocol{model.AppH2C, model.AppHTTP, model.AppGRPC, model.AppAuto} {
		d := model.NewDelta()
		service(d, "one", app, at(l.server.v4, 8081))
		l.apply(d)
		eventually(t, "no cluster warming", func() bool {
			return !strings.Contains(l.admin("/config_dump?resource=dynamic_warming_clusters"), "shop/one")
		})
		if resp, _ := l.client.get("http://10.96.9.1/"); resp.StatusCode != 200 {
			t.Errorf("%q: %s", app, resp.Status)
		}
		if time.Since(began) > time.Duration(i+1)*10*time.Second {
			t.Errorf("after change %d: %s: Envoy waited for endpoints", i+1, time.Since(began))
		}
	}
}

// TestRejection: of many changes the real Envoy refuses one; it is named, and
// all others serve.
func TestRejection(t *testing.T) {
	l, d := newLab(t), model.NewDelta()
	for i := range 20 {
		frontend(d, fmt.Sprintf("web%d", i), "", []string{fmt.Sprintf("10.96.2.%d", i+1)}, to("/", weighted("one", 1)))
	}
	bad := d.Frontends[model.FrontendKey{Namespace: "shop", Name: "web7", Port: 80, Protocol: model.TCP}]
	bad.HTTP.Entries[0].Match.Path = &model.StringMatch{Kind: model.MatchRegex, Value: "("}
	lost := model.WorkloadKey{Namespace: "blue", Name: "lost"}
	d.Workloads[lost] = &model.Workload{Key: lost, Place: &model.Place{Mount: filepath.Join(l.dir, "netns/blue/default/lost-9")}}
	for i, name := range []string{"one", "two", "three"} {
		service(d, name, model.AppAuto, at(l.server.v4, uint16(8081+i)))
	}
	d.Workloads[l.client.key] = l.client.workload()
	l.apply(d)
	l.ready()
	names := map[string]bool{}
	for _, r := range l.world.server.Status().Rejected {
		names[r.Name] = true
		t.Logf("%s %s (%s): %s", r.Kind, r.Name, r.Origin, r.Message)
	}
	if len(names) != 2 || !names["shop/web7:80/TCP"] || !names[d.Workloads[lost].Place.Mount] {
		t.Errorf("rejected: %v", names)
	}
	for i := range 20 {
		resp, _, err := l.client.try(l.client.client(false), fmt.Sprintf("http://10.96.2.%d/", i+1))
		if i != 7 && (err != nil || resp.StatusCode != 200) {
			t.Errorf("service %d: %v %v", i, resp, err)
		}
	}
	d = model.NewDelta()
	frontend(d, "web7", "", []string{"10.96.2.8"}, to("/", weighted("two", 1)))
	d.Workloads[lost] = nil
	l.apply(d)
	l.ready()
	if resp, _ := l.client.get("http://10.96.2.8/"); resp.Header.Get("Backend") != "two" {
		t.Errorf("the mended route: %s", resp.Status)
	}
	if r := l.rejected(); len(r) > 0 {
		t.Errorf("still rejected: %v", r)
	}
}

// TestServerRestart: another server with the same mesh sends the running Envoy
// nothing, and one that does not know the mesh yet takes nothing away.
func TestServerRestart(t *testing.T) {
	w := newWorld(t)
	c, s := w.pod("blue", "client"), w.pod("shop", "server")
	s.handle(8081, echo("one"))
	d := model.NewDelta()
	service(d, "one", model.AppAuto, at(s.v4, 8081))
	for i := range 30 {
		frontend(d, fmt.Sprintf("web%d", i), "", []string{fmt.Sprintf("10.96.2.%d", i+1)}, to("/", weighted("one", 1)))
	}
	d.Workloads[c.key] = c.workload()
	w.apply(d)
	w.ready()
	w.stopServer()
	w.server = w.serve()
	eventually(t, "reconnected", func() bool { return w.server.Status().Connected })
	if resp, _ := c.get("http://10.96.2.1/"); resp.StatusCode != 200 {
		t.Errorf("without a mesh: %s", resp.Status)
	}
	w.apply(w.mesh.All())
	w.ready()
	if resp, _ := c.get("http://10.96.2.1/"); resp.StatusCode != 200 {
		t.Errorf("with the mesh again: %s", resp.Status)
	}
	for kind, n := range w.server.Status().Sent {
		if n != 0 {
			t.Errorf("%d %s were sent again", n, kind)
		}
	}
	d = model.NewDelta()
	frontend(d, "web3", "", []string{"10.96.2.4"}, to("/new", weighted("one", 1)))
	w.apply(d)
	if sent := w.server.Status().Sent; sent["routes"] != 1 || sent["clusters"]+sent["listeners"]+sent["endpoints"] != 0 {
		t.Errorf("one changed route sent %v", sent)
	}
}

// TestVIPMoves: an address that another service takes over changes hands without
// a gap, and outlives the service that had it.
func TestVIPMoves(t *testing.T) {
	l, d := newLab(t), model.NewDelta()
	frontend(d, "old", "", []string{"10.96.9.1", "10.96.9.2"}, to("/", weighted("one", 1)))
	l.run(t, d)
	d = model.NewDelta()
	k := frontend(d, "old", "", nil).Key
	d.Frontends[k] = nil
	frontend(d, "new", "", []string{"10.96.9.1"}, to("/", weighted("two", 1)))
	l.apply(d)
	if resp, _ := l.client.get("http://10.96.9.1/"); resp.Header.Get("Backend") != "two" {
		t.Errorf("moved address: %s", resp.Status)
	}
	if resp, _, err := l.client.try(l.client.client(false), "http://10.96.9.2/"); err == nil {
		t.Errorf("an address that is gone: %s", resp.Status)
	}
	if r := l.rejected(); len(r) > 0 {
		t.Errorf("rejected: %v", r)
	}
}
