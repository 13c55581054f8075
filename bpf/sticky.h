/* What was chosen before and is kept: ClientIP affinity, and the flows of
 * unconnected UDP sockets. Both hold only as long as the endpoint could still
 * be chosen.
 *
 * Connections that a client makes at the same time agree: of those that choose
 * anew, one changes the entry, and the others start again and find it. */
#pragma once

#include "choose.h"

#define NSEC_PER_SEC 1000000000ULL
#define EEXIST 17

static __always_inline struct affinity_key affinity_key_of(const struct frontend *f, __u64 netns, __u32 family)
{
	return (struct affinity_key){.netns = netns, .frontend = f->id, .family = family};
}

/* expired: another CPU may have seen the client later than our now. */
static __always_inline bool expired(const struct frontend *f, const struct kept *k, __u64 now)
{
	return (__s64)(now - k->seen) > (__s64)(f->affinity * NSEC_PER_SEC);
}

/* the_gate never fails: the array has one element. */
static __always_inline struct gate *the_gate(void)
{
	__u32 only = 0;

	return bpf_map_lookup_elem(&sl_gate, &only);
}

/* recall_affinity leaves what it read in was, which has no group when there is
 * no entry. It reads behind the gate: half of an old choice with the time of a
 * new one would count as fresh. */
static __always_inline bool recall_affinity(const struct frontend *f, const struct affinity_key *key, struct kept *was)
{
	__u64 now = bpf_ktime_get_ns();
	struct kept *k = bpf_map_lookup_elem(&sl_affinity, key);
	struct gate *g = the_gate();

	if (!k || !g)
		return false;
	bpf_spin_lock(&g->lock);
	*was = *k;
	bpf_spin_unlock(&g->lock);
	if (expired(f, was, now) || !still_serves(f, key->family, &was->to))
		return false;
	k->seen = now;
	return true;
}

static __always_inline bool recall_flow(const struct frontend *f, const struct peer_key *key, struct kept *was)
{
	struct kept *k = bpf_map_lookup_elem(&sl_udp_flows, key);

	if (!k)
		return false;
	*was = *k;
	return still_serves(f, family_of(&key->ip), &was->to);
}

static __always_inline bool same_choice(const struct kept *a, const struct kept *b)
{
	return same_addr(&a->to.ip, &b->to.ip) && a->to.port == b->to.port && a->to.group == b->to.group &&
	       a->seen == b->seen;
}

/* replace changes an entry that still is what it was. LRU maps cannot hold a
 * lock for each entry. */
static __always_inline bool replace(struct kept *entry, const struct kept *was, const struct kept *now)
{
	struct gate *g = the_gate();
	bool same;

	if (!g)
		return true;
	bpf_spin_lock(&g->lock);
	same = same_choice(entry, was);
	if (same)
		*entry = *now;
	bpf_spin_unlock(&g->lock);
	return same;
}

/* keep tells whether the new choice is the one that counts; false says that
 * another one was faster. When there is no memory for it, it is not kept. */
static __always_inline bool keep(void *map, const void *key, const struct kept *was, const struct kept *now)
{
	struct kept *entry;

	if (!was->to.group)
		return bpf_map_update_elem(map, key, now, BPF_NOEXIST) != -EEXIST;
	entry = bpf_map_lookup_elem(map, key);
	return entry && replace(entry, was, now);
}
