package xds_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice.io/sluice/model"
	"sluice.io/sluice/xds"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	one, two = "shop/one:80/TCP", "shop/two:80/TCP"
	web      = "shop/web:80/TCP"
	vip      = "vip/10.96.0.1:80"
	mirror1  = "sluice:mirror/http1"
	mirror2  = "sluice:mirror/http2"
	mirror   = "sluice:mirror"
)

// small is a mesh of one service that routes to one backend.
func small() *model.Delta {
	d := model.NewDelta()
	service(d, "one", model.AppAuto, netip.MustParseAddrPort("10.0.0.1:80"))
	service(d, "two", model.AppAuto, netip.MustParseAddrPort("10.0.0.2:80"))
	frontend(d, "web", "", []string{"10.96.0.1"}, to("/", weighted("one", 1)))
	return d
}

// retire removes all that is to leave, however long ago that was noted.
func retire(s *xds.Server) func(context.Context, *model.Delta) error {
	return func(ctx context.Context, _ *model.Delta) error {
		return errors.Join(s.Retire(ctx), s.Retire(ctx))
	}
}

// going runs a step of the server, which waits for the client, beside it.
func going(t *testing.T, step func(context.Context, *model.Delta) error, d *model.Delta) (wait func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	done := make(chan error, 1)
	go func() { done <- step(ctx, d) }()
	return func() {
		t.Helper()
		defer cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// settle brings a client up to date with the mesh.
func settle(t *testing.T, s *xds.Server, d *model.Delta) {
	t.Helper()
	going(t, s.Prepare, d)()
	going(t, retire(s), d)()
}

// synced connects a client to a server with the small mesh, and brings it up to date.
func synced(t *testing.T) (*xds.Server, *client) {
	t.Helper()
	s, socket := server(t)
	settle(t, s, small())
	c := connect(t, socket)
	c.subscribe(cds, nil)
	c.expect(cds, []string{one, mirror1, mirror2}, nil)
	c.subscribe(eds, nil, one)
	c.expect(eds, []string{one}, nil)
	c.subscribe(lds, nil)
	c.expect(lds, []string{mirror, vip}, nil)
	c.subscribe(rds, nil, web)
	c.expect(rds, []string{web}, nil)
	eventually(t, "in sync", func() bool { return s.Status().Synced })
	return s, c
}

// TestOrder: what is new is sent before what refers to it, each phase waits for
// the acknowledgement of the one before, and removals come last, in Retire.
func TestOrder(t *testing.T) {
	s, c := synced(t)
	d := model.NewDelta()
	frontend(d, "web", "", []string{"10.96.0.1", "10.96.0.2"}, to("/", weighted("two", 1)))
	wait := going(t, s.Prepare, d)
	r := c.next()
	c.is(r, cds, []string{two}, nil)
	c.quiet()
	c.subscribe(eds, nil, two)
	c.ack(r)
	r = c.next()
	c.is(r, eds, []string{two}, nil)
	c.quiet() // no route before the endpoints are there
	c.ack(r)
	a, b := c.next(), c.next()
	c.is(a, lds, []string{"vip/10.96.0.2:80"}, nil)
	c.is(b, rds, []string{web}, nil)
	c.ack(a)
	c.quiet()
	c.ack(b)
	wait()
	c.quiet() // the old cluster stays until Retire
	wait = going(t, retire(s), d)
	c.expect(cds, nil, []string{one})
	wait()

	d = model.NewDelta()
	k := frontend(d, "web", "", nil).Key
	d.Frontends[k] = nil
	going(t, s.Prepare, d)()
	c.quiet() // what is to go is served until Retire
	wait = going(t, retire(s), d)
	r = c.next()
	c.is(r, lds, nil, []string{vip, "vip/10.96.0.2:80"})
	c.quiet() // no cluster goes before the listeners are gone
	c.ack(r)
	c.expect(cds, nil, []string{two})
	wait()
}

// TestFamilies: a service with addresses of both families has resources for each;
// they come and go with its addresses, and an endpoint is news to its own family.
func TestFamilies(t *testing.T) {
	s, c := synced(t)
	d := model.NewDelta()
	frontend(d, "web", "", []string{"10.96.0.1", "fd00:96::1"}, to("/", weighted("one", 1)))
	wait := going(t, s.Prepare, d)
	r := c.next()
	c.is(r, cds, []string{one + "/IPv6"}, nil)
	c.subscribe(eds, nil, one+"/IPv6")
	c.ack(r)
	c.expect(eds, []string{one + "/IPv6"}, nil)
	r = c.next()
	c.is(r, lds, []string{"vip/[fd00:96::1]:80"}, nil)
	c.subscribe(rds, nil, web+"/IPv6")
	c.ack(r)
	c.expect(rds, []string{web + "/IPv6"}, nil)
	wait()
	settle(t, s, d)
	c.quiet()

	have := []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:80")}
	for _, e := range []struct{ addr, news string }{{"10.0.0.9:80", one}, {"[fd00::9]:80", one + "/IPv6"}} {
		have = append(have, netip.MustParseAddrPort(e.addr))
		d := model.NewDelta()
		service(d, "one", model.AppAuto, have...)
		wait := going(t, s.Prepare, d)
		c.expect(eds, []string{e.news}, nil)
		wait()
		c.quiet()
	}

	d = model.NewDelta()
	frontend(d, "web", "", []string{"fd00:96::1"}, to("/", weighted("one", 1)))
	going(t, s.Prepare, d)()
	wait = going(t, retire(s), d)
	r = c.next()
	c.is(r, lds, nil, []string{vip})
	c.send(discoveryUnsubscribe(rds, web))
	c.ack(r)
	c.expect(cds, nil, []string{one})
	wait()
	if n := s.Status().Resources; n["routes"] != 1 || n["endpoints"] != 1 || n["listeners"] != 2 {
		t.Errorf("left: %v", n)
	}
}

// TestSharedPlace: of the workloads in one network namespace the first by name is
// the one that the listener is made from, whoever came first; the next is there
// before it goes.
func TestSharedPlace(t *testing.T) {
	s, c := synced(t)
	at := func(name string, cookie uint64) *model.Delta {
		d, k := model.NewDelta(), model.WorkloadKey{Namespace: "blue", Name: name}
		d.Workloads[k] = nil
		if cookie != 0 {
			d.Workloads[k] = &model.Workload{Key: k, Place: &model.Place{Cookie: cookie, Mount: fmt.Sprintf("/%s-%d", name, cookie)}}
		}
		return d
	}
	for _, step := range []struct {
		name      string
		cookie    uint64
		set, gone string
	}{
		{"b", 7, "/b-7", ""}, {"c", 7, "", ""}, {"a", 7, "/a-7", "/b-7"},
		{"a", 8, "/a-8 /b-7", "/a-7"}, {"b", 0, "/c-7", "/b-7"}, {"a", 7, "/a-7", "/a-8 /c-7"},
		{"a", 0, "/c-7", "/a-7"}, {"c", 0, "", "/c-7"},
	} {
		d := at(step.name, step.cookie)
		wait := going(t, s.Prepare, d)
		if step.set != "" {
			c.expect(lds, strings.Fields(step.set), nil)
		}
		wait()
		c.quiet()
		wait = going(t, retire(s), d)
		if step.gone != "" {
			c.expect(lds, nil, strings.Fields(step.gone))
		}
		wait()
		c.quiet()
	}
}

// TestOneChange: what crosses the stream is what changed, and nothing if nothing did.
func TestOneChange(t *testing.T) {
	s, c := synced(t)
	settle(t, s, small())
	c.quiet()
	d := model.NewDelta()
	frontend(d, "web", "", []string{"10.96.0.1"}, to("/x", weighted("one", 1)))
	wait := going(t, s.Prepare, d)
	c.expect(rds, []string{web}, nil)
	wait()
	settle(t, s, d)
	c.quiet()
	d = model.NewDelta()
	service(d, "one", model.AppAuto, netip.MustParseAddrPort("10.0.0.9:80"))
	wait = going(t, s.Prepare, d)
	c.expect(eds, []string{one}, nil)
	wait()
	// A changed cluster takes its endpoints along, for Envoy to warm it by.
	d = model.NewDelta()
	service(d, "one", model.AppH2C, netip.MustParseAddrPort("10.0.0.9:80"))
	wait = going(t, s.Prepare, d)
	c.expect(cds, []string{one}, nil)
	c.expect(eds, []string{one}, nil)
	wait()
	// What nobody refers to isn't sent.
	d = model.NewDelta()
	service(d, "two", model.AppH2C, netip.MustParseAddrPort("10.0.0.7:80"))
	settle(t, s, d)
	c.quiet()
}

// TestReconnect: an Envoy that comes back is sent what differs from what it has,
// by another server too; before that one knows the mesh, it is sent nothing.
func TestReconnect(t *testing.T) {
	s, socket := server(t)
	settle(t, s, small())
	c := connect(t, socket)
	has := map[string]map[string]string{}
	take := func(typeURL string, names ...string) {
		c.subscribe(typeURL, nil, names...)
		r := c.next()
		has[typeURL] = versions(r)
		c.ack(r)
	}
	take(cds)
	take(eds, one)
	take(lds)
	take(rds, web)

	s, socket = server(t)
	c = connect(t, socket)
	back := func() {
		c.subscribe(cds, has[cds])
		c.subscribe(eds, has[eds], one)
		c.subscribe(lds, has[lds])
		c.subscribe(rds, has[rds], web)
	}
	has[cds]["stale"], has[lds]["stale"] = "1", "1"
	back()
	c.quiet()
	eventually(t, "connected", func() bool { return s.Status().Connected })
	wait := going(t, s.Prepare, small())
	c.expect(cds, nil, nil)
	c.expect(lds, nil, nil)
	wait()
	c.quiet() // what is stale stays until Retire
	wait = going(t, retire(s), small())
	c.expect(lds, nil, []string{"stale"})
	c.expect(cds, nil, []string{"stale"})
	wait()

	c = connect(t, socket)
	delete(has[cds], one)
	back()
	c.expect(cds, []string{one}, nil)
	c.expect(eds, []string{one}, nil)
	c.expect(lds, nil, []string{"stale"})
	c.expect(cds, nil, []string{"stale"})
}

// TestResubscribe: a name that Envoy asks for again is sent again.
func TestResubscribe(t *testing.T) {
	_, c := synced(t)
	c.send(discoveryUnsubscribe(rds, web))
	c.quiet()
	c.subscribe(rds, nil, web)
	c.expect(rds, []string{web}, nil)
	c.subscribe(rds, nil, web)
	c.expect(rds, []string{web}, nil)
	c.subscribe(rds, nil, "shop/unknown:80/TCP")
	c.quiet()
}

// TestReject: a rejected resource is found, reported with its origin, and holds
// up neither Prepare nor the others; it is sent again when it changed.
func TestReject(t *testing.T) {
	s, c := synced(t)
	d := model.NewDelta()
	for i := range 10 {
		name := fmt.Sprintf("s%d", i)
		service(d, name, model.AppAuto, netip.MustParseAddrPort("10.0.0.3:80"))
		frontend(d, name, "", []string{fmt.Sprintf("10.96.1.%d", i)}, to("/", weighted("one", 1)))
	}
	wait := going(t, s.Prepare, d)
	const bad = "vip/10.96.1.7:80"
	done := func() bool {
		st := s.Status()
		return st.Rejected != nil && st.Synced && st.Sent["routes"] >= 10
	}
	for sends := 0; !done(); sends++ {
		if sends > 64 {
			t.Fatalf("no end: %+v", s.Status())
		}
		r := c.next()
		v := versions(r)
		if _, ok := v[bad]; ok {
			c.nack(r, "no such thing")
		} else {
			c.ack(r)
			for name := range v {
				if r.GetTypeUrl() == lds {
					c.subscribe(rds, nil, strings.NewReplacer("vip/10.96.1.", "shop/s", ":80", ":80/TCP").Replace(name))
				}
			}
		}
		eventually(t, "progress", func() bool { return done() || len(c.in) > 0 })
	}
	wait()
	st := s.Status()
	if len(st.Rejected) != 1 || st.Rejected[0].Name != bad || st.Rejected[0].Message != "no such thing" ||
		st.Rejected[0].Origin.Object.Name != "r" {
		t.Errorf("rejected: %+v", st.Rejected)
	}
}

// TestRejectedListenerIsSentAgain: when its workload is told once more, without
// waiting for the time of the next attempt; what was taken is not sent again.
func TestRejectedListenerIsSentAgain(t *testing.T) {
	s, c := synced(t)
	d := model.NewDelta()
	for i, name := range []string{"good", "bad"} {
		k := model.WorkloadKey{Namespace: "shop", Name: name}
		d.Workloads[k] = &model.Workload{Key: k, Place: &model.Place{Cookie: uint64(i + 1), Mount: "/" + name}}
	}
	wait := going(t, s.Prepare, d)
	for got := 0; got < 2; { // refused whole, and then by themselves
		r := c.next()
		_, bad := versions(r)["/bad"]
		if bad {
			c.nack(r, "cannot bind")
		} else {
			c.ack(r)
		}
		if len(r.GetResources()) == 1 {
			got++
		}
	}
	wait()
	if st := s.Status(); len(st.Rejected) != 1 || st.Rejected[0].Name != "/bad" || st.Rejected[0].LastGood {
		t.Fatalf("rejected: %+v", st.Rejected)
	}
	wait = going(t, s.Prepare, d)
	c.expect(lds, []string{"/bad"}, nil)
	wait()
	eventually(t, "nothing is rejected", func() bool { return len(s.Status().Rejected) == 0 })
	c.quiet()
}

// TestNobodyConnected: without an Envoy nothing waits.
func TestNobodyConnected(t *testing.T) {
	s, _ := server(t)
	settle(t, s, small())
	if st := s.Status(); st.Connected || st.Synced || st.Resources["routes"] != 1 {
		t.Errorf("status: %+v", st)
	}
}

// TestGone: an Envoy that goes away without a word holds nothing up.
func TestGone(t *testing.T) {
	s, socket := server(t)
	settle(t, s, small())
	c := connect(t, socket)
	c.subscribe(cds, nil)
	c.next()
	d := model.NewDelta()
	frontend(d, "web", "", []string{"10.96.0.1"}, to("/", weighted("two", 1)))
	wait := going(t, s.Prepare, d)
	if err := c.stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	wait()
}

// TestPatienceWithEnvoy: a hung Envoy holds Prepare up until its context ends,
// and what was prepared is sent when it wakes.
func TestPatienceWithEnvoy(t *testing.T) {
	s, c := synced(t)
	d := model.NewDelta()
	frontend(d, "web", "", []string{"10.96.0.1"}, to("/", weighted("two", 1)))
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := s.Prepare(ctx, d); err == nil || !strings.Contains(err.Error(), "wait for Envoy") {
		t.Fatalf("Prepare: %v", err)
	}
	got := []string{}
	for len(got) < 2 {
		r := c.next()
		if r.GetTypeUrl() == cds {
			c.subscribe(eds, nil, two)
		}
		c.ack(r)
		for name := range versions(r) {
			got = append(got, r.GetTypeUrl()[len("type.googleapis.com/envoy.config."):]+" "+name)
		}
	}
	slices.Sort(got)
	if want := []string{"cluster.v3.Cluster " + two, "route.v3.RouteConfiguration " + web}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
