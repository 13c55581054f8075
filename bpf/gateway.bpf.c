//go:build ignore

/* Gateways: connections to their addresses, wherever they come from, are given
 * to Envoy's listening sockets in the node's network namespace, whatever these
 * are bound to. No packet is changed, so Envoy sees both ends as they are.
 *
 * Fails closed: what is a gateway's goes to Envoy or is refused, never to
 * another socket that has the port. */
#include "addr.h"
#include "config.h"
#include "count.h"
#include "steering.h"

char _license[] SEC("license") = "GPL";

static __always_inline __u32 first_listener(__u32 family)
{
	return family == AF_INET ? 0 : LISTENERS;
}

/* The local address of an sk_lookup context. */
static __always_inline struct addr local_of(const struct bpf_sk_lookup *ctx)
{
	struct addr a;

	if (ctx->family == AF_INET) {
		a = map4(ctx->local_ip4);
		/* Keeps the compiler from merging the loads of both branches into
		 * one at a computed offset, which the verifier refuses. */
		asm volatile("" ::: "memory");
		return a;
	}
	a = (struct addr){{ctx->local_ip6[0], ctx->local_ip6[1], ctx->local_ip6[2], ctx->local_ip6[3]}};
	return a;
}

/* give tells whether Envoy has the connection. Any one of its sockets will do:
 * the kernel then chooses among all that share its address, which are those of
 * Envoy's workers. */
static __always_inline bool give(struct bpf_sk_lookup *ctx)
{
	__u32 first = first_listener(ctx->family);

	for (int i = 0; i < LISTENERS; i++) {
		__u32 slot = first + i;
		struct bpf_sock *sk = bpf_map_lookup_elem(&sl_listeners, &slot);
		long failed;

		if (!sk)
			continue;
		failed = bpf_sk_assign(ctx, sk, BPF_SK_LOOKUP_F_REPLACE);
		bpf_sk_release(sk);
		if (!failed)
			return true;
	}
	return false;
}

SEC("sk_lookup")
int sl_lookup(struct bpf_sk_lookup *ctx)
{
	struct addr local;

	if (ctx->protocol != IPPROTO_TCP)
		return SK_PASS;
	local = local_of(ctx);
	if (steering_of(&local, bpf_htons(ctx->local_port)) != STEERING_ENVOY)
		return SK_PASS;
	if (!give(ctx)) {
		count(COUNT_GATEWAY_NONE);
		return SK_DROP;
	}
	count(COUNT_GATEWAY);
	return SK_PASS;
}

/* Attached to Envoy's cgroup, which is the proof that the socket is Envoy's: a
 * socket is of the cgroup that it was made in. */
SEC("sockops")
int sl_listen(struct bpf_sock_ops *ops)
{
	__u32 first;

	if (ops->op != BPF_SOCK_OPS_TCP_LISTEN_CB || ops->local_port != inbound_port)
		return 1;
	if (bpf_get_netns_cookie(ops) != node_netns)
		return 1;
	first = first_listener(ops->family);
	for (int i = 0; i < LISTENERS; i++) {
		__u32 slot = first + i;

		if (!bpf_sock_map_update(ops, &sl_listeners, &slot, BPF_NOEXIST))
			break;
	}
	return 1;
}
