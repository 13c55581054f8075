//go:build ignore

/* The original destination travels from the client's socket to Envoy's: at
 * connect() the source port does not exist yet, so the session waits in the
 * client's socket; when the SYN is about to leave it is filed under the
 * connection's addresses, and Envoy's new socket picks it up there. The
 * addresses repeat between network namespaces (it is all loopback), so the
 * namespace's cookie is part of the key.
 *
 * Fails closed: without a tuple Envoy's socket has no original destination,
 * and Envoy refuses the connection. */
#include "addr.h"
#include "count.h"
#include "config.h"
#include "session.h"
#include "workload.h"

char _license[] SEC("license") = "GPL";

#define TCP_CLOSE 7

enum end { LOCAL, REMOTE };

/* mapped4 tells whether the IPv4 fields hold the socket's addresses. An IPv6
 * socket with a v4-mapped peer has its own address in the IPv4 field only, at
 * the time of its SYN. */
static __always_inline bool mapped4(struct bpf_sock_ops *ops)
{
	return ops->family == AF_INET ||
	       (ops->remote_ip6[0] == 0 && ops->remote_ip6[1] == 0 && ops->remote_ip6[2] == bpf_htonl(0xffff));
}

static __always_inline void ends(struct bpf_sock_ops *ops, struct addr *local, struct addr *remote)
{
	if (mapped4(ops)) {
		*local = map4(ops->local_ip4);
		*remote = map4(ops->remote_ip4);
		/* Keeps the compiler from merging the loads of both branches into
		 * one at a computed offset, which the verifier refuses. */
		asm volatile("" ::: "memory");
		return;
	}
	local->w[0] = ops->local_ip6[0];
	local->w[1] = ops->local_ip6[1];
	local->w[2] = ops->local_ip6[2];
	local->w[3] = ops->local_ip6[3];
	remote->w[0] = ops->remote_ip6[0];
	remote->w[1] = ops->remote_ip6[1];
	remote->w[2] = ops->remote_ip6[2];
	remote->w[3] = ops->remote_ip6[3];
}

/* local_port is in host order, remote_port in network order in the upper or the
 * lower half, by kernel and architecture: bpf_ntohl() gives the port for both. */
static __always_inline struct tuple tuple_of(struct bpf_sock_ops *ops, enum end client)
{
	struct tuple t = {.netns = bpf_get_netns_cookie(ops)};
	__be16 local = bpf_htons((__u16)ops->local_port);
	__be16 remote = bpf_htons((__u16)bpf_ntohl(ops->remote_port));

	if (client == LOCAL) {
		ends(ops, &t.from, &t.to);
		t.from_port = local;
		t.to_port = remote;
	} else {
		ends(ops, &t.to, &t.from);
		t.to_port = local;
		t.from_port = remote;
	}
	return t;
}

/* place_of: the kernel gives ports to clients in steps of two. Connections whose
 * ports are far apart share a place; the later one has it. */
static __always_inline struct handoff_key place_of(const struct tuple *t)
{
	return (struct handoff_key){
		.netns = t->netns,
		.family = family_of(&t->to),
		.place = (bpf_ntohs(t->from_port) >> 1) % HANDOFF_PLACES,
	};
}

static __always_inline struct handoff *find_handoff(const struct handoff_key *place, const struct tuple *t)
{
	struct handoff *h = bpf_map_lookup_elem(&sl_handoffs, place);

	if (!h || h->way.netns != t->netns || h->way.from_port != t->from_port || h->way.to_port != t->to_port ||
	    !same_addr(&h->way.from, &t->from) || !same_addr(&h->way.to, &t->to))
		return NULL;
	return h;
}

static __always_inline void announce(struct bpf_sock_ops *ops)
{
	struct session *s = session_of(ops->sk);
	struct handoff_key place;
	struct handoff h = {};

	if (!s || s->kind != SESSION_ENVOY)
		return;
	h.way = tuple_of(ops, LOCAL);
	if (h.way.to_port != s->actual.port || !same_addr(&h.way.to, &s->actual.ip))
		return;
	h.dialled = s->dialled;
	place = place_of(&h.way);
	bpf_map_update_elem(&sl_handoffs, &place, &h, BPF_ANY);
	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG | BPF_SOCK_OPS_RTO_CB_FLAG);
}

/* withdraw: a client's socket has closed. Whatever Envoy did not pick up by now
 * was a connection that failed. */
static __always_inline void withdraw(struct bpf_sock_ops *ops)
{
	struct session *s = session_of(ops->sk);
	struct handoff_key place;
	struct tuple t;

	if (!s || s->kind != SESSION_ENVOY)
		return;
	t = tuple_of(ops, LOCAL);
	place = place_of(&t);
	if (!find_handoff(&place, &t))
		return;
	bpf_map_delete_elem(&sl_handoffs, &place);
	count(COUNT_HANDOFF_FAILED);
}

static __always_inline void hand_over(struct bpf_sock_ops *ops)
{
	struct session s = {.kind = SESSION_ACCEPTED};
	struct handoff_key place;
	struct handoff *h;
	struct tuple t;

	if (ops->local_port != outbound_port)
		return;
	t = tuple_of(ops, REMOTE);
	place = place_of(&t);
	h = find_handoff(&place, &t);
	if (!h) {
		if (find_workload(t.netns, KIND_NETNS))
			count(COUNT_HANDOFF_NONE);
		return;
	}
	s.dialled = h->dialled;
	remember(ops->sk, &s);
	bpf_map_delete_elem(&sl_handoffs, &place);
	count(COUNT_HANDOFF);
}

SEC("sockops")
int sl_sockops(struct bpf_sock_ops *ops)
{
	switch (ops->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		announce(ops);
		break;
	case BPF_SOCK_OPS_RTO_CB:
		/* The SYN is sent again: others may have taken the place. */
		if (ops->state == BPF_TCP_SYN_SENT)
			announce(ops);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		hand_over(ops);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (ops->args[1] == TCP_CLOSE)
			withdraw(ops);
		break;
	}
	return 1;
}
