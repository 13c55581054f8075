package pool

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
)

func object(name string, age time.Duration, ranges ...v1alpha1.AddressRange) *v1alpha1.AddressPool {
	return &v1alpha1.AddressPool{
		ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(time.Unix(1e9, 0).Add(-age))},
		Spec:       v1alpha1.AddressPoolSpec{Addresses: ranges},
	}
}

func gw(name string) model.GatewayKey { return model.GatewayKey{Namespace: "shop", Name: name} }

func addrs(text string) []netip.Addr {
	var all []netip.Addr
	for _, f := range strings.Fields(text) {
		all = append(all, netip.MustParseAddr(f))
	}
	return all
}

func got(t *testing.T, p *Pools, name, asked, want string) {
	t.Helper()
	if now := p.Get(gw(name), addrs(asked)); !slices.Equal(now, addrs(want)) {
		t.Errorf("%s, asking for %q, gets %v, want %s", name, asked, now, want)
	}
	counted(t, p)
}

// counted wants what is kept of assignments to agree.
func counted(t *testing.T, p *Pools) {
	t.Helper()
	by, all := map[*pool]int{}, 0
	for a, h := range p.user {
		by[h.pool]++
		if !slices.Contains(p.of[h.gateway], a) || !slices.Contains(p.order, h.pool) {
			t.Errorf("%s is of %s, which does not have it, or of a pool that has gone", a, h.gateway)
		}
	}
	for _, list := range p.of {
		all += len(list)
	}
	for _, q := range p.order {
		if q.assigned != by[q] {
			t.Errorf("pool %s counts %d addresses, and has %d", q.obj.Name, q.assigned, by[q])
		}
	}
	if all != len(p.user) {
		t.Errorf("gateways have %d addresses, and %d are in use", all, len(p.user))
	}
}

// says is what is to be told of a pool: addresses and the reason of Available.
func says(t *testing.T, p *Pools, name, want string) {
	t.Helper()
	for _, s := range p.States() {
		if s.Pool.Name != name {
			continue
		}
		var all []string
		for _, a := range s.Assigned {
			all = append(all, a.Addr.String()+"="+a.Gateway.Name)
		}
		if text := strings.Join(append(all, s.Conditions[1].Reason), " "); text != want {
			t.Errorf("pool %s says %s, want %s", name, text, want)
		}
		return
	}
	t.Errorf("nothing is said of pool %s", name)
}

func newPools() *Pools { return New(slog.New(slog.DiscardHandler)) }

func TestAssign(t *testing.T) {
	p := newPools()
	got(t, p, "a", "", "")
	p.Change("six", object("six", time.Hour, "2001:db8::/127"))
	p.Change("four", object("four", 0, "192.0.2.1-192.0.2.3"))
	got(t, p, "a", "", "192.0.2.1 2001:db8::")
	got(t, p, "b", "192.0.2.2", "192.0.2.2")
	got(t, p, "c", "192.0.2.2 192.0.2.3", "192.0.2.3")
	got(t, p, "d", "", "2001:db8::1")
	p.Release(gw("c"))
	got(t, p, "d", "", "192.0.2.3 2001:db8::1")
	got(t, p, "a", "", "192.0.2.1 2001:db8::")
	says(t, p, "six", "2001:db8::=a 2001:db8::1=d Exhausted")
	p.Retain(func(k model.GatewayKey) bool { return k.Name != "d" })
	says(t, p, "six", "2001:db8::=a Available")
	says(t, p, "four", "192.0.2.1=a 192.0.2.2=b Available")
	p.Change("six", nil)
	got(t, p, "a", "", "192.0.2.1")
}

// TestWhatIsTakenOutServesUntilThereIsAnother: an address is assigned before the
// one that went from the pool is given up.
func TestWhatIsTakenOutServesUntilThereIsAnother(t *testing.T) {
	p := newPools()
	p.Change("four", object("four", 0, "192.0.2.1-192.0.2.2"))
	p.Change("six", object("six", time.Hour, "2001:db8::1"))
	got(t, p, "a", "", "192.0.2.1 2001:db8::1")
	got(t, p, "b", "192.0.2.2", "192.0.2.2")
	p.Change("four", object("four", 0, "192.0.2.2"))
	got(t, p, "a", "", "192.0.2.1 2001:db8::1")
	says(t, p, "four", "192.0.2.1=a 192.0.2.2=b Exhausted")
	got(t, p, "c", "192.0.2.1", "") // it is not to be had
	p.Change("four", object("four", 0, "192.0.2.2", "192.0.2.7"))
	got(t, p, "a", "", "192.0.2.7 2001:db8::1")
	says(t, p, "four", "192.0.2.2=b 192.0.2.7=a Exhausted")

	// Of a family that no pool has any more, an address goes when another is there.
	p.Change("six", object("six", time.Hour, "198.51.100.1"))
	got(t, p, "a", "", "192.0.2.7")
	p.Change("six", nil)
	p.Change("four", object("four", 0, "2001:db8::/127"))
	got(t, p, "a", "", "2001:db8::")

	// One that was asked for has no other, but those that are asked for as well.
	says(t, p, "four", "192.0.2.2=b 2001:db8::=a Available")
	got(t, p, "b", "192.0.2.2", "192.0.2.2")
	got(t, p, "b", "192.0.2.2 2001:db8::1", "2001:db8::1")
	got(t, p, "b", "192.0.2.2", "")
	p.Change("four", nil)
	got(t, p, "a", "", "")
	if len(p.user)+len(p.of) != 0 {
		t.Errorf("of no pools there are %v", p.user)
	}
}

// TestAPoolHasRoomForSoMany: its status has no more.
func TestAPoolHasRoomForSoMany(t *testing.T) {
	p := newPools()
	p.Change("large", object("large", time.Hour, "10.0.0.0/8"))
	for i := range Most {
		if len(p.Get(gw(fmt.Sprint(i)), nil)) != 1 {
			t.Fatalf("number %d gets none", i)
		}
	}
	got(t, p, "one more", "", "")
	got(t, p, "one more", "10.200.0.1", "")
	last := p.States()[0].Conditions[1]
	if last.Reason != "Exhausted" || !strings.Contains(last.Message, "4096") {
		t.Errorf("the pool says %+v", last)
	}
	p.Change("next", object("next", 0, "10.0.0.0/8", "192.0.2.1"))
	got(t, p, "one more", "", "192.0.2.1")
	p.Release(gw("17"))
	got(t, p, "and more", "", "10.0.0.17")
	// Nor does it take over from a newer one what does not fit.
	p.Change("large", object("large", time.Hour, "10.0.0.0/8", "192.0.2.0/24"))
	says(t, p, "next", "192.0.2.1=one more Exhausted")
	counted(t, p)
}

func TestOverlap(t *testing.T) {
	p := newPools()
	p.Change("new", object("new", 0, "192.0.2.1-192.0.2.9"))
	got(t, p, "a", "192.0.2.2", "192.0.2.2")
	got(t, p, "b", "192.0.2.3", "192.0.2.3")
	p.Change("old", object("old", time.Hour, "192.0.2.1-192.0.2.2"))
	says(t, p, "old", "192.0.2.2=a Available")
	says(t, p, "new", "192.0.2.3=b Available")
	states := p.States()
	if o, n := states[0].Conditions[0], states[1].Conditions[0]; !o.Status || n.Status || !strings.Contains(n.Message, "old") {
		t.Errorf("old says %+v, new %+v", o, n)
	}
	p.Change("old", nil)
	says(t, p, "new", "192.0.2.2=a 192.0.2.3=b Available")
	counted(t, p)
}

// TestWhatWasAssignedIsRemembered, from a status, once; and only what a pool has
// means something for Gateways.
func TestWhatWasAssignedIsRemembered(t *testing.T) {
	p := newPools()
	obj := object("a", 0, "192.0.2.1-192.0.2.9")
	for _, a := range []string{"192.0.2.5", "192.0.2.77", "nonsense"} { // 77 was taken out
		obj.Status.Assignments = append(obj.Status.Assignments, v1alpha1.AddressAssignment{
			Address: v1alpha1.IPAddress(a), Gateway: v1alpha1.GatewayReference{Namespace: "shop", Name: "x" + a[len(a)-1:]},
		})
	}
	if !p.Change("a", obj) || !p.News() || p.News() {
		t.Error("a new pool is no news, or news twice")
	}
	got(t, p, "x5", "", "192.0.2.5")
	says(t, p, "a", "192.0.2.5=x5 192.0.2.77=x7 Available")
	got(t, p, "x7", "", "192.0.2.1")
	p.Release(gw("x5"))
	if p.Change("a", obj) { // an event of before
		t.Error("a status is taken for a change of the pool")
	}
	if !p.News() {
		t.Error("an event of a pool's status is no news")
	}
	got(t, p, "y", "192.0.2.5", "192.0.2.5") // what was released stays so
	if p.Change("gone", nil) {
		t.Error("a pool that was not there is missed")
	}
}
