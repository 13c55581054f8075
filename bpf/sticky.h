/* What was chosen before and is kept: ClientIP affinity, and the flows of
 * unconnected UDP sockets. Both hold only as long as the endpoint could still
 * be chosen. */
#pragma once

#include "choose.h"

#define NSEC_PER_SEC 1000000000ULL

static __always_inline bool recall_affinity(const struct frontend *f, const struct affinity_key *key, struct endpoint *to)
{
	__u64 now = bpf_ktime_get_ns();
	struct affinity *a = bpf_map_lookup_elem(&sl_affinity, key);

	if (!a || now - a->seen > f->affinity * NSEC_PER_SEC)
		return false;
	*to = a->to;
	if (!still_serves(f, key->family, to))
		return false;
	a->seen = now;
	return true;
}

static __always_inline void keep_affinity(const struct affinity_key *key, const struct endpoint *to)
{
	struct affinity a = {.to = *to, .seen = bpf_ktime_get_ns()};

	bpf_map_update_elem(&sl_affinity, key, &a, BPF_ANY);
}

static __always_inline bool recall_flow(const struct frontend *f, const struct peer_key *flow, struct endpoint *to)
{
	struct endpoint *e = bpf_map_lookup_elem(&sl_udp_flows, flow);

	if (!e)
		return false;
	*to = *e;
	return still_serves(f, family_of(&flow->ip), to);
}
