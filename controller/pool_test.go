package controller

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
)

func poolObject(name string, age time.Duration, ranges ...v1alpha1.AddressRange) *v1alpha1.AddressPool {
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

func got(t *testing.T, p *pools, name, asked, want string) {
	t.Helper()
	if now := p.get(gw(name), addrs(asked)); !slices.Equal(now, addrs(want)) {
		t.Errorf("%s, asking for %q, gets %v, want %s", name, asked, now, want)
	}
}

func TestPoolsAssign(t *testing.T) {
	p := newPools(slog.New(slog.DiscardHandler))
	got(t, p, "a", "", "")
	p.change("six", poolObject("six", time.Hour, "2001:db8::/127"))
	p.change("four", poolObject("four", 0, "192.0.2.1-192.0.2.3"))
	got(t, p, "a", "", "192.0.2.1 2001:db8::")
	got(t, p, "b", "192.0.2.2", "192.0.2.2")
	got(t, p, "c", "192.0.2.2 192.0.2.3", "192.0.2.3")
	got(t, p, "d", "", "2001:db8::1")
	p.release(gw("c"), nil)
	got(t, p, "d", "", "192.0.2.3 2001:db8::1")
	got(t, p, "a", "", "192.0.2.1 2001:db8::")
	// Out of the pool, an address is given up; the next free one is assigned.
	p.change("four", poolObject("four", 0, "192.0.2.2-192.0.2.4"))
	got(t, p, "a", "", "192.0.2.4 2001:db8::")
	st := p.status(p.order[0], func(netip.Addr, model.GatewayKey) string { return "" }, metav1.Now())
	if st.Assigned != 2 || st.Conditions[1].Status != metav1.ConditionFalse || st.Assignments[0].Node != "" {
		t.Errorf("status %+v", st)
	}
	p.change("six", nil)
	got(t, p, "a", "", "192.0.2.4")
}

func TestPoolsThatOverlap(t *testing.T) {
	p := newPools(slog.New(slog.DiscardHandler))
	p.change("new", poolObject("new", 0, "192.0.2.1-192.0.2.9"))
	p.change("old", poolObject("old", time.Hour, "192.0.2.1-192.0.2.2"))
	for _, c := range []struct{ addr, pool string }{{"192.0.2.2", "old"}, {"192.0.2.3", "new"}} {
		if q := p.owner(netip.MustParseAddr(c.addr)); q == nil || q.obj.Name != c.pool {
			t.Errorf("%s is of %+v", c.addr, q)
		}
	}
	if p.order[0].overlaps != "" || p.order[1].overlaps != "old" {
		t.Errorf("overlaps %q, %q", p.order[0].overlaps, p.order[1].overlaps)
	}
}

func TestPoolsRemember(t *testing.T) {
	p := newPools(slog.New(slog.DiscardHandler))
	obj := poolObject("a", 0, "192.0.2.1-192.0.2.9")
	obj.Status.Assignments = []v1alpha1.AddressAssignment{{Address: "192.0.2.5", Gateway: v1alpha1.GatewayReference{Namespace: "shop", Name: "x"}}}
	p.change("a", obj)
	got(t, p, "x", "", "192.0.2.5")
	p.release(gw("x"), nil)
	p.change("a", obj) // an event of before: what was released stays so
	got(t, p, "y", "192.0.2.5", "192.0.2.5")
}

func envoyOn(node string, ready corev1.ConditionStatus) *corev1.Pod {
	return &corev1.Pod{
		Spec:   corev1.PodSpec{NodeName: node},
		Status: corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}}, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
	}
}

// TestNodesChoose: addresses spread, and only those of a node that goes move.
func TestNodesChoose(t *testing.T) {
	n := newNodes()
	for i := range 4 {
		name := fmt.Sprintf("node%d", i)
		if !n.change(model.ObjectRef{Name: name}, envoyOn(name, corev1.ConditionTrue)) {
			t.Error("a new node is no change")
		}
	}
	if n.change(model.ObjectRef{Name: "other"}, envoyOn("node9", corev1.ConditionFalse)) {
		t.Error("an Envoy that is not ready is a change")
	}
	before, count := map[netip.Addr]string{}, map[string]int{}
	for i := range 400 {
		a := netip.AddrFrom4([4]byte{192, 0, byte(i / 256), byte(i)})
		before[a] = n.choose(a, labels.Everything())
		count[before[a]]++
	}
	for node, c := range count {
		if c < 60 || c > 140 {
			t.Errorf("%s has %d of 400 addresses", node, c)
		}
	}
	n.change(model.ObjectRef{Name: "node2"}, nil)
	for a, node := range before {
		if now := n.choose(a, labels.Everything()); node != "node2" && now != node || now == "node2" || now == "" {
			t.Errorf("%s was answered by %s, now by %q", a, node, now)
		}
	}
}

func TestPortsAreUniqueAndStay(t *testing.T) {
	p := newPorts()
	key := func(i int) model.PortKey {
		return model.PortKey{Gateway: gw(fmt.Sprint(i)), Port: 80, Protocol: model.TCP}
	}
	seen := map[uint16]bool{}
	for i := range 10000 {
		target, err := p.get(key(i))
		if err != nil || seen[target] || target < firstTarget || target > lastTarget {
			t.Fatalf("port %d is %d: %v", i, target, err)
		}
		seen[target] = true
	}
	if _, err := p.get(key(10000)); err == nil {
		t.Error("there is one port too many")
	}
	was, _ := p.get(key(7))
	p.release(gw("7"), nil)
	if now, err := p.get(key(7)); err != nil || now != was {
		t.Errorf("the port was %d, is %d: %v", was, now, err)
	}
	q := newPorts()
	for range 2 { // also when it is told again
		if !q.learn(key(1), 20001) {
			t.Error("what a Service has is not learned")
		}
	}
	if q.learn(key(1), 20002) || q.learn(key(2), 20001) || q.learn(key(3), 80) {
		t.Error("what Services have is not learned right")
	}
	if now, _ := q.get(key(1)); now != 20001 {
		t.Errorf("the learned port is %d", now)
	}
}
