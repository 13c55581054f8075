//go:build ignore

/* getsockopt() in Envoy's cgroup: the original destination, in the way that
 * netfilter would answer it, so that Envoy's stock original_dst filter works.
 *
 * Fails closed: at Envoy's redirect port, a connection that was not redirected
 * by us gets an error even when netfilter would have an answer. Everything
 * else passes. */
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

/* elsewhere: the socket is not at Envoy's redirect port, so the question is not
 * for us. */
static __always_inline bool elsewhere(struct bpf_sock *sk)
{
	return sk && sk->src_port != outbound_port;
}

SEC("cgroup/getsockopt")
int sl_getsockopt(struct bpf_sockopt *ctx)
{
	struct session *s;
	bool ok;

	if (ctx->optname != SO_ORIGINAL_DST || (ctx->level != SOL_IP && ctx->level != SOL_IPV6))
		return ALLOW;
	s = session_of(ctx->sk);
	if (!s || s->kind != SESSION_ACCEPTED)
		return elsewhere(ctx->sk) ? ALLOW : DENY;
	ok = ctx->level == SOL_IP ? answer4(ctx, &s->dialled) : answer6(ctx, &s->dialled);
	if (!ok)
		return DENY;
	ctx->retval = 0;
	count(COUNT_ORIGDST);
	return ALLOW;
}
