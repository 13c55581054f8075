//go:build ignore

/* getpeername() of a client shows what it dialled.
 *
 * Fails open: without a session the true peer is shown. */
#include "refuse.h"
#include "session.h"

char _license[] SEC("license") = "GPL";

static __always_inline struct peer *shown(struct bpf_sock_addr *ctx, const struct addr *ip)
{
	struct session *s = session_of(ctx->sk);

	return s ? dialled_by(s, ip, ctx->user_port) : NULL;
}

SEC("cgroup/getpeername4")
int sl_getpeername4(struct bpf_sock_addr *ctx)
{
	struct addr peer = dst4(ctx);
	struct peer *vip = shown(ctx, &peer);

	if (vip && is4(&vip->ip))
		set_dst4(ctx, &vip->ip, vip->port);
	return ALLOW;
}

SEC("cgroup/getpeername6")
int sl_getpeername6(struct bpf_sock_addr *ctx)
{
	struct addr peer = dst6(ctx);
	struct peer *vip = shown(ctx, &peer);

	if (vip)
		set_dst6(ctx, &vip->ip, vip->port);
	return ALLOW;
}
