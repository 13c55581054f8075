//go:build ignore

/* sendto() and recvfrom() of unconnected UDP sockets: each datagram to a VIP
 * goes to the flow's endpoint, and the answer seems to come from the VIP.
 *
 * Fails closed like connect() for what belongs to a frontend; the source
 * address of answers fails open (an answer then shows the endpoint's own). */
#include "decide.h"
#include "refuse.h"
#include "session.h"
#include "workload.h"

char _license[] SEC("license") = "GPL";

/* keep_reply stores the way back. */
static __always_inline void keep_reply(struct bpf_sock *sk, const struct request *rq, const struct endpoint *to)
{
	struct peer_key back = {.socket = rq->socket, .ip = to->ip, .port = to->port};
	struct peer vip = {.ip = rq->dst, .port = rq->port};

	if (!sk)
		return;
	bpf_map_update_elem(&sl_udp_replies, &back, &vip, BPF_ANY);
	/* Marks the socket, so that others need no look-up on receipt. */
	bpf_sk_storage_get(&sl_sessions, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
}

/* disconnected: what the socket was connected to says nothing any more of who
 * answers it. No hook tells of connect(AF_UNSPEC). */
static __always_inline void disconnected(struct bpf_sock *sk)
{
	struct session *s = session_of(sk);

	if (s && s->kind == SESSION_KERNEL && sk->state != BPF_TCP_ESTABLISHED)
		s->kind = SESSION_FLOWS;
}

/* dial_directly: from now on answers of this address are its own. */
static __always_inline void dial_directly(struct bpf_sock *sk, const struct request *rq)
{
	struct peer_key back = {.socket = rq->socket, .ip = rq->dst, .port = rq->port};

	if (session_of(sk))
		bpf_map_delete_elem(&sl_udp_replies, &back);
}

/* An old flow's way back may have been overwritten or evicted: write it again
 * when it is not there. */
static __always_inline void refresh_reply(struct bpf_sock *sk, const struct request *rq, const struct endpoint *to)
{
	struct peer_key back = {.socket = rq->socket, .ip = to->ip, .port = to->port};
	struct peer *p = bpf_map_lookup_elem(&sl_udp_replies, &back);

	if (!p || p->port != rq->port || !same_addr(&p->ip, &rq->dst))
		keep_reply(sk, rq, to);
}

static __always_inline int steer(struct bpf_sock_addr *ctx, struct request *rq, struct endpoint *to)
{
	struct workload *w;
	int verdict;

	rq->proto = proto_of(ctx->protocol);
	if (rq->proto != IPPROTO_UDP)
		return VERDICT_PASS;
	rq->netns = bpf_get_netns_cookie(ctx);
	w = workload_of(rq->netns);
	if (!w || is_envoy())
		return VERDICT_PASS;
	rq->port = ctx->user_port;
	rq->scope = w->scope;
	rq->datagram = 1;
	rq->socket = bpf_get_socket_cookie(ctx);
	disconnected(ctx->sk);
	verdict = decide(rq, to);
	if (verdict == VERDICT_KERNEL)
		keep_reply(ctx->sk, rq, to);
	else if (verdict == VERDICT_KEPT)
		refresh_reply(ctx->sk, rq, to);
	else if (verdict == VERDICT_PASS)
		dial_directly(ctx->sk, rq);
	return verdict;
}

SEC("cgroup/sendmsg4")
int sl_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct request rq = {.dst = dst4(ctx)};
	struct endpoint to = {};

	switch (steer(ctx, &rq, &to)) {
	case VERDICT_PASS:
		return ALLOW;
	case VERDICT_REFUSE:
		return refuse();
	}
	set_dst4(ctx, &to.ip, to.port);
	return ALLOW;
}

SEC("cgroup/sendmsg6")
int sl_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct request rq = {.dst = dst6(ctx)};
	struct endpoint to = {};

	switch (steer(ctx, &rq, &to)) {
	case VERDICT_PASS:
		return ALLOW;
	case VERDICT_REFUSE:
		return refuse();
	}
	set_dst6(ctx, &to.ip, to.port);
	return ALLOW;
}

/* answered_by is the VIP behind an answer's source, or NULL. Sockets that never
 * dialled a VIP have no session and leave at once. */
static __always_inline struct peer *answered_by(struct bpf_sock_addr *ctx, const struct addr *ip)
{
	struct session *s = session_of(ctx->sk);
	struct peer_key back = {.ip = *ip, .port = ctx->user_port};
	struct peer *vip;

	if (!s)
		return NULL;
	vip = dialled_by(s, ip, ctx->user_port);
	if (vip)
		return vip;
	back.socket = bpf_get_socket_cookie(ctx);
	return bpf_map_lookup_elem(&sl_udp_replies, &back);
}

SEC("cgroup/recvmsg4")
int sl_recvmsg4(struct bpf_sock_addr *ctx)
{
	struct addr from = dst4(ctx);
	struct peer *vip = answered_by(ctx, &from);

	if (vip && is4(&vip->ip))
		set_dst4(ctx, &vip->ip, vip->port);
	return ALLOW;
}

SEC("cgroup/recvmsg6")
int sl_recvmsg6(struct bpf_sock_addr *ctx)
{
	struct addr from = dst6(ctx);
	struct peer *vip = answered_by(ctx, &from);

	if (vip)
		set_dst6(ctx, &vip->ip, vip->port);
	return ALLOW;
}
