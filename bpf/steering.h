/* Which addresses and ports of the node are gateways'. */
#pragma once

#include "addr.h"
#include "maps.h"
#include "proto.h"

static __always_inline __u32 steering_at(const struct steering_key *key)
{
	struct steering *s = bpf_map_lookup_elem(&sl_steering, key);

	return s ? s->kind : 0;
}

/* steering_of prefers the entry of the address to that of all addresses. */
static __always_inline __u32 steering_of(const struct addr *ip, __be16 port)
{
	struct steering_key key = {.ip = *ip, .port = port, .proto = IPPROTO_TCP};
	__u32 kind = steering_at(&key);

	if (kind)
		return kind;
	__builtin_memset(&key.ip, 0, sizeof(key.ip));
	return steering_at(&key);
}
