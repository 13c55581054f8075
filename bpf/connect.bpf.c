//go:build ignore

/* connect(): the place where connections are steered.
 *
 * Without entries in the maps everything passes. A workload's connection that
 * belongs to a frontend fails closed: it goes where the frontend says or is
 * refused, also when Envoy does not run (nobody listens) and when memory for
 * the original destination is short. Only the address that getpeername shows
 * fails open. */
#include "decide.h"
#include "refuse.h"
#include "session.h"
#include "workload.h"

char _license[] SEC("license") = "GPL";

/* identify fills in the request; false when the socket is none of ours. */
static __always_inline struct workload *identify(struct bpf_sock_addr *ctx, struct request *rq)
{
	struct workload *w;

	rq->proto = proto_of(ctx->protocol);
	if (!rq->proto)
		return NULL;
	rq->netns = bpf_get_netns_cookie(ctx);
	w = workload_of(rq->netns);
	if (!w)
		return NULL;
	if (is_envoy()) {
		count(COUNT_ENVOY_OWN);
		return NULL;
	}
	rq->port = ctx->user_port;
	rq->scope = w->scope;
	return w;
}

/* steer decides, remembers, and fills in where the socket goes instead. It
 * returns VERDICT_PASS, VERDICT_REFUSE, or something else to go there. */
static __always_inline int steer(struct bpf_sock_addr *ctx, const struct workload *w, const struct request *rq,
				 struct endpoint *to)
{
	struct session s = {.dialled = {.ip = rq->dst, .port = rq->port}};
	int verdict = decide(rq, to);

	switch (verdict) {
	case VERDICT_PASS:
		forget(ctx->sk);
		return verdict;
	case VERDICT_REFUSE:
		return verdict;
	case VERDICT_ENVOY:
		if (!w->envoy_port) /* it cannot listen there: nobody else may be reached */
			return VERDICT_REFUSE;
		to->ip = loopback(&rq->dst);
		to->port = w->envoy_port;
		s.kind = SESSION_ENVOY;
		break;
	default:
		s.kind = SESSION_KERNEL;
	}
	s.actual.ip = to->ip;
	s.actual.port = to->port;
	if (!remember(ctx->sk, &s) && verdict == VERDICT_ENVOY)
		return VERDICT_REFUSE;
	return verdict;
}

SEC("cgroup/connect4")
int sl_connect4(struct bpf_sock_addr *ctx)
{
	struct request rq = {.dst = dst4(ctx)};
	struct endpoint to = {};
	struct workload *w = identify(ctx, &rq);

	if (!w)
		return ALLOW;
	switch (steer(ctx, w, &rq, &to)) {
	case VERDICT_PASS:
		return ALLOW;
	case VERDICT_REFUSE:
		return refuse();
	}
	set_dst4(ctx, &to.ip, to.port);
	return ALLOW;
}

SEC("cgroup/connect6")
int sl_connect6(struct bpf_sock_addr *ctx)
{
	struct request rq = {.dst = dst6(ctx)};
	struct endpoint to = {};
	struct workload *w = identify(ctx, &rq);

	if (!w)
		return ALLOW;
	switch (steer(ctx, w, &rq, &to)) {
	case VERDICT_PASS:
		return ALLOW;
	case VERDICT_REFUSE:
		return refuse();
	}
	set_dst6(ctx, &to.ip, to.port);
	return ALLOW;
}
