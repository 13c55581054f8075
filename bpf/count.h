/* Counters. The additions are atomic because a program can be preempted by
 * another one on the same CPU. */
#pragma once

#include "maps.h"

static __always_inline void count(__u32 what)
{
	__u64 *n = bpf_map_lookup_elem(&sl_counters, &what);

	if (n)
		__sync_fetch_and_add(n, 1);
}

/* tally_of makes the frontend's entry on its first connection. It is NULL when
 * the map is full: then only the counters above know of the connection. */
static __always_inline struct tally *tally_of(__u32 frontend)
{
	struct tally *t = bpf_map_lookup_elem(&sl_tallies, &frontend);
	struct tally zero = {};

	if (t)
		return t;
	bpf_map_update_elem(&sl_tallies, &frontend, &zero, BPF_NOEXIST);
	return bpf_map_lookup_elem(&sl_tallies, &frontend);
}
