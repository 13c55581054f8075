package controller

import (
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"sluice.io/sluice/model"
)

// nodes are those that serve gateways: where an Envoy is ready. Its pod uses the
// node's network, so its addresses are the node's, and it stops being ready when
// the node does: nothing needs to be asked of Nodes.
type nodes struct {
	envoys map[model.ObjectRef]envoyPod
	// ready are the nodes with a ready Envoy.
	ready map[string][]netip.Addr
}

type envoyPod struct {
	node  string
	addrs []netip.Addr
}

func newNodes() *nodes {
	return &nodes{envoys: map[model.ObjectRef]envoyPod{}, ready: map[string][]netip.Addr{}}
}

// change takes in an Envoy's pod, and tells whether the nodes changed.
func (n *nodes) change(ref model.ObjectRef, pod *corev1.Pod) bool {
	delete(n.envoys, ref)
	if pod != nil && pod.Spec.NodeName != "" && pod.DeletionTimestamp == nil && podReady(pod) {
		e := envoyPod{node: pod.Spec.NodeName}
		for _, ip := range pod.Status.PodIPs {
			if a, err := netip.ParseAddr(ip.IP); err == nil {
				e.addrs = append(e.addrs, a.Unmap())
			}
		}
		n.envoys[ref] = e
	}
	now := map[string][]netip.Addr{}
	for _, e := range n.envoys {
		now[e.node] = e.addrs
	}
	changed := !maps.EqualFunc(now, n.ready, slices.Equal[[]netip.Addr])
	n.ready = now
	return changed
}

func podReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// names are the ready nodes, sorted.
func (n *nodes) names() []string { return slices.Sorted(maps.Keys(n.ready)) }

// choose returns the node that answers for an address, of the same ones always
// the same; empty when there is none. When a node goes, only its own addresses
// move (rendezvous hashing).
func (n *nodes) choose(a netip.Addr) string {
	best, most := "", uint64(0)
	for node := range n.ready {
		h := fnv.New64a()
		_, _ = h.Write([]byte(node))
		_, _ = h.Write([]byte{0})
		_, _ = h.Write(a.AsSlice())
		if w := mix(h.Sum64()); best == "" || w > most || w == most && node < best {
			best, most = node, w
		}
	}
	return best
}

// mix spreads a hash whose last bytes matter too little.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
