package xds_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"sluice.io/sluice/model"
	"sluice.io/sluice/xds"
)

// many is a mesh of n services, each with a route to itself.
func many(n int) *model.Delta {
	d := model.NewDelta()
	for i := range n {
		name := fmt.Sprintf("s%d", i)
		service(d, name, model.AppAuto, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 80))
		edit(d, i, "/")
	}
	return d
}

// edit is a route of one service among many.
func edit(d *model.Delta, i int, prefix string) {
	name := fmt.Sprintf("s%d", i)
	vip := netip.AddrFrom4([4]byte{10, 96, byte(i >> 8), byte(i)}).String()
	frontend(d, name, "", []string{vip}, to(prefix, weighted(name, 1)))
}

// connected is a server with many services, and an Envoy that has them all.
func connected(t testing.TB, n int) (*xds.Server, *client) {
	t.Helper()
	s, socket := server(t)
	if err := s.Prepare(context.Background(), many(n)); err != nil {
		t.Fatal(err)
	}
	if err := retire(s)(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	c := connect(t, socket)
	var names []string
	for _, typeURL := range []string{cds, eds, lds, rds} {
		c.subscribe(typeURL, nil, names...)
		r := c.next()
		c.ack(r)
		names = nil
		if typeURL == cds || typeURL == lds {
			names = slices.Collect(maps.Keys(versions(r)))
		}
		if typeURL == lds { // routes are named after their services
			for i := range names {
				names[i] = fmt.Sprintf("shop/s%d:80/TCP", i)
			}
		}
		if len(r.GetResources()) < n {
			t.Fatalf("%d resources of %s", len(r.GetResources()), typeURL)
		}
	}
	eventually(t, "in sync", func() bool { return s.Status().Synced })
	return s, c
}

// TestOneAmongMany: one changed route among 5,000 is one resource on the stream.
func TestOneAmongMany(t *testing.T) {
	s, c := connected(t, 5000)
	before := s.Status().Sent
	d := model.NewDelta()
	edit(d, 4321, "/new")
	wait := going(t, s.Prepare, d)
	c.expect(rds, []string{"shop/s4321:80/TCP"}, nil)
	wait()
	settle(t, s, d)
	c.quiet()
	for kind, n := range s.Status().Sent {
		if want := map[string]uint64{"routes": 1}[kind]; n-before[kind] != want {
			t.Errorf("%d %s were sent, want %d", n-before[kind], kind, want)
		}
	}
}

// BenchmarkEdit is the cost of one changed route among many, from the model to
// the acknowledgement.
func BenchmarkEdit(b *testing.B) {
	for _, n := range []int{100, 1000, 5000, 20000} {
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			s, c := connected(b, n)
			deltas := make([]*model.Delta, b.N)
			for i := range deltas {
				deltas[i] = model.NewDelta()
				edit(deltas[i], i%n, fmt.Sprintf("/v%d", i))
			}
			acked := make(chan struct{})
			b.ReportAllocs()
			b.ResetTimer()
			go func() {
				defer close(acked)
				for range deltas {
					c.ack(c.next())
				}
			}()
			for _, d := range deltas {
				if err := s.Prepare(context.Background(), d); err != nil {
					b.Fatal(err)
				}
				if err := retire(s)(context.Background(), d); err != nil {
					b.Fatal(err)
				}
			}
			<-acked
		})
	}
}
