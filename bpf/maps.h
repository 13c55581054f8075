/* The maps. User space sets other sizes than these before it creates them; it
 * creates each once, pins it, and gives it to every program.
 *
 * Tables that user space writes are not preallocated: they cost memory for
 * what they hold. Those that programs write are LRU, so that no client can
 * fill them up for the others for good. */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "types.h"

#define TABLE(NAME, KEY, VALUE, MAX)                    \
	struct {                                        \
		__uint(type, BPF_MAP_TYPE_HASH);        \
		__uint(map_flags, BPF_F_NO_PREALLOC);   \
		__uint(max_entries, MAX);               \
		__type(key, KEY);                       \
		__type(value, VALUE);                   \
	} NAME SEC(".maps")

#define LRU(NAME, KEY, VALUE, MAX)                      \
	struct {                                        \
		__uint(type, BPF_MAP_TYPE_LRU_HASH);    \
		__uint(max_entries, MAX);               \
		__type(key, KEY);                       \
		__type(value, VALUE);                   \
	} NAME SEC(".maps")

TABLE(sl_workloads, struct workload_key, struct workload, 16384);
TABLE(sl_frontends, struct frontend_key, struct frontend, 262144);
TABLE(sl_splits, struct split_key, struct split, 65536);
TABLE(sl_groups, __u32, struct group, 262144);
TABLE(sl_slots, struct slot_key, struct endpoint, 524288);
TABLE(sl_members, struct endpoint, __u32, 524288);
TABLE(sl_steering, struct steering_key, struct steering, 65536);
TABLE(sl_names, struct name_key, struct name, 524288);

LRU(sl_affinity, struct affinity_key, struct kept, 65536);
LRU(sl_udp_flows, struct peer_key, struct kept, 65536);
LRU(sl_udp_replies, struct peer_key, struct peer, 65536);
LRU(sl_handoffs, struct handoff_key, struct handoff, 65536);

/* Written by the LISTEN callback alone; the kernel takes a socket out when it
 * is closed. IPv4 has the first half, IPv6 the second. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 2 * LISTENERS);
	__type(key, __u32);
	__type(value, __u64);
} sl_listeners SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct session);
} sl_sessions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNT_MAX);
	__type(key, __u32);
	__type(value, __u64);
} sl_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 131072);
	__type(key, __u32);
	__type(value, struct tally);
} sl_tallies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct gate);
} sl_gate SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct meta);
} sl_meta SEC(".maps");
