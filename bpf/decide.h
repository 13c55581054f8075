/* The decision: what becomes of a workload's connection or datagram. It knows
 * no program type, so that a test program can run it. */
#pragma once

#include "count.h"
#include "proto.h"
#include "sticky.h"

enum verdict {
	VERDICT_PASS = 0,   /* none of our business */
	VERDICT_KERNEL = 1, /* go to the endpoint */
	VERDICT_ENVOY = 2,  /* go to Envoy */
	VERDICT_REFUSE = 3, /* nothing serves this now */
	VERDICT_KEPT = 4,   /* go to the endpoint; an old flow, not a new one */
};

struct request {
	struct addr dst;
	__be16 port;
	__u8 proto;
	__u8 datagram; /* of an unconnected socket */
	__u32 scope;   /* of the client's namespace */
	__u64 netns;
	__u64 socket;
};

static __always_inline int lookup_frontend(const struct frontend_key *key, struct frontend *f)
{
	struct frontend *found = bpf_map_lookup_elem(&sl_frontends, key);
	bool same;

	if (!found)
		return CHOSEN_NONE;
	*f = *found;
	same = f->echo_ip == key->vip.w[3] && f->echo_port == key->port && f->echo_proto == key->proto;
	return same ? CHOSEN : CHOSEN_RACE;
}

/* find_frontend prefers the entry of the client's own namespace. */
static __always_inline int find_frontend(const struct request *rq, struct frontend *f)
{
	struct frontend_key key = {.vip = rq->dst, .port = rq->port, .proto = rq->proto};
	struct frontend scoped;
	int r = lookup_frontend(&key, f);

	if (r != CHOSEN || !(f->flags & FRONTEND_SCOPED))
		return r;
	key.scope = rq->scope;
	r = lookup_frontend(&key, &scoped);
	if (r == CHOSEN)
		*f = scoped;
	return r == CHOSEN_RACE ? r : CHOSEN;
}

/* outdated tells whether the frontend has changed since it was read so that it
 * does not send to the group any more. User space empties a group only after
 * that, so an empty group says "refuse" only when this says no. */
static __always_inline bool outdated(const struct request *rq, const struct frontend *f, __u32 group)
{
	struct frontend now = {};

	if (find_frontend(rq, &now) != CHOSEN)
		return true;
	if (now.id != f->id || now.action != f->action || now.parts != f->parts || now.group != f->group)
		return true;
	return f->parts > 1 && !in_split(f, family_of(&rq->dst), group);
}

static __always_inline int choose(const struct request *rq, const struct frontend *f, struct endpoint *to)
{
	__u32 group;
	int r = choose_group(f, family_of(&rq->dst), &group);

	if (r != CHOSEN || !group)
		return r == CHOSEN ? CHOSEN_NONE : r;
	r = choose_slot(group, to);
	if (r == CHOSEN_NONE && outdated(rq, f, group))
		return CHOSEN_RACE;
	return r;
}

static __always_inline int settle_client(const struct request *rq, const struct frontend *f, struct endpoint *to)
{
	struct affinity_key who = affinity_key_of(f, rq->netns, family_of(&rq->dst));
	struct kept was = {}, now = {};
	int r;

	if (f->affinity && recall_affinity(f, &who, &was)) {
		*to = was.to;
		return CHOSEN;
	}
	r = choose(rq, f, to);
	if (r != CHOSEN || !f->affinity)
		return r;
	now.to = *to;
	now.seen = bpf_ktime_get_ns();
	return keep(&sl_affinity, &who, &was, &now) ? CHOSEN : CHOSEN_RACE;
}

static __always_inline int balance(const struct request *rq, const struct frontend *f, struct endpoint *to)
{
	struct peer_key flow = {.socket = rq->socket, .ip = rq->dst, .port = rq->port};
	struct kept was = {}, now = {};
	int r;

	if (rq->datagram && recall_flow(f, &flow, &was)) {
		*to = was.to;
		return VERDICT_KEPT;
	}
	r = settle_client(rq, f, to);
	if (r != CHOSEN)
		return r == CHOSEN_NONE ? VERDICT_REFUSE : -1;
	now.to = *to;
	if (rq->datagram && !keep(&sl_udp_flows, &flow, &was, &now))
		return -1;
	return VERDICT_KERNEL;
}

static __always_inline void tally(const struct frontend *f, const struct request *rq, int verdict)
{
	bool udp = rq->proto == IPPROTO_UDP;
	struct tally *t = tally_of(f->id);

	switch (verdict) {
	case VERDICT_KERNEL:
		count(udp ? COUNT_KERNEL_UDP : COUNT_KERNEL_TCP);
		if (t)
			__sync_fetch_and_add(&t->kernel, 1);
		break;
	case VERDICT_ENVOY:
		count(COUNT_ENVOY);
		if (t)
			__sync_fetch_and_add(&t->envoy, 1);
		break;
	case VERDICT_REFUSE:
		count(COUNT_REFUSED);
		if (t)
			__sync_fetch_and_add(&t->refused, 1);
	}
}

/* once is one try at a decision; -1 when the tables changed under our eyes. */
static __always_inline int once(const struct request *rq, struct frontend *f, struct endpoint *to)
{
	int r = find_frontend(rq, f);

	if (r != CHOSEN)
		return r == CHOSEN_NONE ? VERDICT_PASS : -1;
	switch (f->action) {
	case ACTION_KERNEL:
		return balance(rq, f, to);
	case ACTION_ENVOY:
		return rq->proto == IPPROTO_TCP ? VERDICT_ENVOY : VERDICT_PASS;
	}
	return VERDICT_PASS;
}

/* decide fills in the endpoint for VERDICT_KERNEL and VERDICT_KEPT. What keeps
 * changing through all tries is refused, never guessed. */
static __always_inline int decide(const struct request *rq, struct endpoint *to)
{
	struct frontend f = {};
	int verdict = -1;

	for (int i = 0; i < TRIES && verdict < 0; i++)
		verdict = once(rq, &f, to);
	if (verdict < 0)
		verdict = VERDICT_REFUSE;
	if (verdict != VERDICT_KEPT && verdict != VERDICT_PASS)
		tally(&f, rq, verdict);
	return verdict;
}
