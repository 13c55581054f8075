package controller

import (
	"fmt"
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
		before[a] = n.choose(a, labels.Everything(), "")
		count[before[a]]++
	}
	for node, c := range count {
		if c < 60 || c > 140 {
			t.Errorf("%s has %d of 400 addresses", node, c)
		}
	}
	n.change(model.ObjectRef{Name: "node2"}, nil)
	for a, node := range before {
		if now := n.choose(a, labels.Everything(), node); node != "node2" && now != node || now == "node2" || now == "" {
			t.Errorf("%s was answered by %s, now by %q", a, node, now)
		}
	}
}

// TestAddressesStayWithoutAgents: the kernel of a node answers on without an agent,
// and what is new comes to nodes that have one.
func TestAddressesStayWithoutAgents(t *testing.T) {
	n, where := newNodes(), labels.Everything()
	for _, name := range []string{"a", "b", "c"} {
		n.change(model.ObjectRef{Name: name}, envoyOn(name, corev1.ConditionTrue))
		if !n.agent(model.ObjectRef{Name: name}, envoyOn(name, corev1.ConditionTrue)) {
			t.Error("a new agent is no change")
		}
	}
	addr := netip.MustParseAddr("192.0.2.1")
	first := n.choose(addr, where, "")
	if now := n.choose(addr, where, map[string]string{"a": "b", "b": "c", "c": "a"}[first]); now != first {
		t.Errorf("%s answers, and %s comes first and works", now, first)
	}
	if !n.agent(model.ObjectRef{Name: first}, envoyOn(first, corev1.ConditionFalse)) || n.agent(model.ObjectRef{Name: first}, nil) {
		t.Error("an agent that is not ready is no change, or its end is one")
	}
	if now := n.choose(addr, where, first); now != first {
		t.Errorf("the address went from %s to %s with the agent", first, now)
	}
	second := n.choose(addr, where, "")
	if second == first || second == "" || second != n.choose(addr, where, second) {
		t.Errorf("what is new comes to %q", second)
	}
	if names := n.working(where); len(n.names(where)) != 3 || len(names) != 2 || slices.Contains(names, first) {
		t.Errorf("%q work", names)
	}
	n.agent(model.ObjectRef{Name: second}, nil)
	if now := n.choose(addr, where, second); now != second {
		t.Errorf("the address went from %s to %s with its agent, too", second, now)
	}
	n.change(model.ObjectRef{Name: second}, nil)
	if now := n.choose(addr, where, second); now == second || now == first {
		t.Errorf("%s answers, without an Envoy or an agent", now)
	}
	n.agent(model.ObjectRef{Name: first}, envoyOn(first, corev1.ConditionTrue))
	if now := n.choose(addr, where, second); now != first {
		t.Errorf("%s answers, and %s works again", now, first)
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
