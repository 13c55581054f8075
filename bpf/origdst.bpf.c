//go:build ignore

/* getsockopt() in Envoy's cgroup: the original destination, in the way that
 * netfilter would answer it, so that Envoy's stock original_dst filter works.
 *
 * Connections to gateways were given to Envoy as they are: their destination is
 * their own local address.
 *
 * Fails closed: at Envoy's own ports, a connection that was not redirected by
 * us gets an error even when netfilter would have an answer. Everything else
 * passes. */
#include "addr.h"
#include "count.h"
#include "refuse.h"
#include "session.h"
#include "workload.h"

char _license[] SEC("license") = "GPL";

#define SOL_IP 0
#define SOL_IPV6 41
#define SO_ORIGINAL_DST 80 /* IP6T_SO_ORIGINAL_DST is the same */

struct sockaddr4 {
	__u16 family;
	__be16 port;
	__be32 addr;
	__u8 zero[8];
};

struct sockaddr6 {
	__u16 family;
	__be16 port;
	__u32 flowinfo;
	__be32 addr[4];
	__u32 scope;
};

static __always_inline bool answer4(struct bpf_sockopt *ctx, const struct peer *dst)
{
	struct sockaddr4 *out = ctx->optval;

	if ((void *)(out + 1) > ctx->optval_end || !is4(&dst->ip))
		return false;
	*out = (struct sockaddr4){.family = AF_INET, .port = dst->port, .addr = dst->ip.w[3]};
	ctx->optlen = sizeof(*out);
	return true;
}

static __always_inline bool answer6(struct bpf_sockopt *ctx, const struct peer *dst)
{
	struct sockaddr6 *out = ctx->optval;

	if ((void *)(out + 1) > ctx->optval_end)
		return false;
	*out = (struct sockaddr6){.family = AF_INET6, .port = dst->port};
	out->addr[0] = dst->ip.w[0];
	out->addr[1] = dst->ip.w[1];
	out->addr[2] = dst->ip.w[2];
	out->addr[3] = dst->ip.w[3];
	ctx->optlen = sizeof(*out);
	return true;
}

static __always_inline struct addr local_of(const struct bpf_sock *sk)
{
	struct addr a;

	if (sk->family == AF_INET) {
		a = map4(sk->src_ip4);
		/* Keeps the compiler from merging the loads of both branches into
		 * one at a computed offset, which the verifier refuses. */
		asm volatile("" ::: "memory");
		return a;
	}
	a = (struct addr){{sk->src_ip6[0], sk->src_ip6[1], sk->src_ip6[2], sk->src_ip6[3]}};
	return a;
}

/* gateway fills in the destination of a connection to a gateway. All that Envoy
 * accepts in the node's network namespace is one, unless it was dialled at one
 * of Envoy's own ports. */
static __always_inline bool gateway(struct bpf_sockopt *ctx, struct peer *dst)
{
	struct bpf_sock *sk = ctx->sk;
	struct addr own;

	if (!sk || bpf_get_netns_cookie(ctx) != node_netns)
		return false;
	dst->ip = local_of(sk);
	dst->port = bpf_htons((__u16)sk->src_port);
	own = loopback(&dst->ip);
	if (sk->src_port == outbound_port)
		return false;
	return sk->src_port != inbound_port || !same_addr(&dst->ip, &own);
}

/* elsewhere: the socket is not at one of Envoy's own ports, so the question is
 * not for us. */
static __always_inline bool elsewhere(struct bpf_sock *sk)
{
	return sk && sk->src_port != outbound_port && sk->src_port != inbound_port;
}

SEC("cgroup/getsockopt")
int sl_getsockopt(struct bpf_sockopt *ctx)
{
	struct peer dst = {};
	struct session *s;
	bool ok;

	if (ctx->optname != SO_ORIGINAL_DST || (ctx->level != SOL_IP && ctx->level != SOL_IPV6))
		return ALLOW;
	s = session_of(ctx->sk);
	if (s && s->kind == SESSION_ACCEPTED)
		dst = s->dialled;
	else if (!gateway(ctx, &dst))
		return elsewhere(ctx->sk) ? ALLOW : DENY;
	ok = ctx->level == SOL_IP ? answer4(ctx, &dst) : answer6(ctx, &dst);
	if (!ok)
		return DENY;
	ctx->retval = 0;
	count(COUNT_ORIGDST);
	return ALLOW;
}
