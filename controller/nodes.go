package controller

import (
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// nodes are those that serve gateways: where an Envoy is ready. Its pod uses the
// node's network, so its addresses are the node's, and it stops being ready when
// the node does: of Nodes, only the labels are asked.
//
// A node works when its agent is ready, too. Where it is not, Envoy and the kernel go
// on with what they have, and take up nothing new.
type nodes struct {
	envoys map[model.ObjectRef]envoyPod
	// ready are the nodes with a ready Envoy.
	ready map[string][]netip.Addr
	// agents are the pods of ready agents, to their nodes, and tended those nodes.
	agents map[model.ObjectRef]string
	tended map[string]bool
	// labels are those of all nodes.
	labels map[string]labels.Set
}

type envoyPod struct {
	node  string
	addrs []netip.Addr
}

func newNodes() *nodes {
	return &nodes{
		envoys: map[model.ObjectRef]envoyPod{}, ready: map[string][]netip.Addr{}, agents: map[model.ObjectRef]string{}, tended: map[string]bool{},
		labels: map[string]labels.Set{},
	}
}

// change takes in an Envoy's pod, and tells whether the nodes changed.
func (n *nodes) change(ref model.ObjectRef, pod *corev1.Pod) bool {
	delete(n.envoys, ref)
	if podServes(pod) {
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

// agent takes in an agent's pod, and tells whether the nodes that have a ready one
// changed.
func (n *nodes) agent(ref model.ObjectRef, pod *corev1.Pod) bool {
	delete(n.agents, ref)
	if podServes(pod) {
		n.agents[ref] = pod.Spec.NodeName
	}
	now := map[string]bool{}
	for _, node := range n.agents {
		now[node] = true
	}
	changed := !maps.Equal(now, n.tended)
	n.tended = now
	return changed
}

// label takes in a node's labels, nil for one that is gone, and tells whether the
// ready nodes changed.
func (n *nodes) label(node string, now labels.Set) bool {
	was := n.labels[node]
	if now == nil {
		delete(n.labels, node)
	} else {
		n.labels[node] = now
	}
	_, ready := n.ready[node]
	return ready && !maps.Equal(was, now)
}

// labelsOf are the labels of a Node; nil for one that is gone.
func labelsOf(obj *source.Object) labels.Set {
	if obj == nil {
		return nil
	}
	set := labels.Set{}
	maps.Copy(set, obj.GetLabels())
	return set
}

// podServes tells that a pod is on a node, ready, and to stay.
func podServes(pod *corev1.Pod) bool {
	return pod != nil && pod.Spec.NodeName != "" && pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// names are the ready nodes that are selected, sorted.
func (n *nodes) names(where labels.Selector) []string {
	var all []string
	for node := range n.ready {
		if where.Matches(n.labels[node]) {
			all = append(all, node)
		}
	}
	slices.Sort(all)
	return all
}

// working are the nodes that are selected and take up what is new, sorted.
func (n *nodes) working(where labels.Selector) []string {
	return slices.DeleteFunc(n.names(where), func(node string) bool { return !n.tended[node] })
}

// choose returns the node that answers for an address, of those selected; empty when
// there is none. It is the one that comes first for it and works. As long as that one
// does not, the address stays where it is now, if Envoy is ready there: the kernel
// answers on without an agent. One that is nowhere comes to the first that works.
func (n *nodes) choose(a netip.Addr, where labels.Selector, now string) string {
	first := n.first(a, func(node string) bool { return where.Matches(n.labels[node]) })
	if n.tended[first] {
		return first
	}
	if _, ready := n.ready[now]; ready && where.Matches(n.labels[now]) {
		return now
	}
	if works := n.first(a, func(node string) bool { return n.tended[node] && where.Matches(n.labels[node]) }); works != "" {
		return works
	}
	return first
}

// first returns the ready node that comes first for an address, of those that may. It
// is of the same ones always the same. When a node goes, only its own addresses move
// (rendezvous hashing).
func (n *nodes) first(a netip.Addr, may func(node string) bool) string {
	best, most := "", uint64(0)
	for node := range n.ready {
		if !may(node) {
			continue
		}
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
