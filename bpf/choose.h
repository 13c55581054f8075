/* Choosing an endpoint of a frontend. */
#pragma once

#include "addr.h"
#include "maps.h"

/* User space changes tables in an order that never leaves a reader without a
 * usable entry, but a reader that was interrupted may still find that its
 * first step is out of date. Then it starts again. */
#define TRIES 4

enum chosen {
	CHOSEN,
	CHOSEN_NONE, /* refuse */
	CHOSEN_RACE, /* try again */
};

/* scaled is a random number below n. */
static __always_inline __u32 scaled(__u32 n)
{
	return ((__u64)bpf_get_prandom_u32() * n) >> 32;
}

static __always_inline struct split *split_of(const struct frontend *f, __u32 family)
{
	struct split_key key = {.frontend = f->id, .family = family};

	return bpf_map_lookup_elem(&sl_splits, &key);
}

/* weighted draws a part's group: 64 random bits make the shares exact. */
static __always_inline int weighted(const struct split *s, __u32 frontend, __u32 *group)
{
	__u64 random = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32();
	__u32 total = s->total;
	__u32 x;

	if (!total)
		return CHOSEN_NONE;
	x = random % total;
	for (int i = 0; i < MAX_PARTS; i++) {
		if (x < s->part[i].upto) {
			*group = s->part[i].group;
			return s->frontend == frontend ? CHOSEN : CHOSEN_RACE;
		}
	}
	return CHOSEN_RACE;
}

static __always_inline int choose_group(const struct frontend *f, __u32 family, __u32 *group)
{
	struct split *s;

	*group = f->group;
	if (f->parts == 0)
		return CHOSEN_NONE;
	if (f->parts == 1)
		return CHOSEN;
	s = split_of(f, family);
	return s ? weighted(s, f->id, group) : CHOSEN_RACE;
}

static __always_inline int choose_slot(__u32 group, struct endpoint *to)
{
	struct slot_key key = {.group = group};
	struct endpoint *e;
	struct group *g;

	g = bpf_map_lookup_elem(&sl_groups, &group);
	if (!g || !g->n)
		return CHOSEN_NONE;
	key.index = scaled(g->n);
	e = bpf_map_lookup_elem(&sl_slots, &key);
	if (!e)
		return CHOSEN_RACE;
	*to = *e;
	return to->group == group ? CHOSEN : CHOSEN_RACE;
}

/* in_split tells whether the frontend sends a share of its traffic to a group. */
static __always_inline bool in_split(const struct frontend *f, __u32 family, __u32 group)
{
	struct split *s = split_of(f, family);
	__u32 before = 0;

	if (!s)
		return false;
	for (int i = 0; i < MAX_PARTS; i++) {
		if (s->part[i].group == group && s->part[i].upto > before)
			return true;
		before = s->part[i].upto;
	}
	return false;
}

/* still_serves tells whether an endpoint chosen earlier could be chosen now. */
static __always_inline bool still_serves(const struct frontend *f, __u32 family, const struct endpoint *e)
{
	if (!bpf_map_lookup_elem(&sl_members, e))
		return false;
	if (f->parts == 1)
		return f->group == e->group;
	return f->parts > 1 && in_split(f, family, e->group);
}
