/* Who is calling: a workload of the mesh, Envoy, or nobody that we know. */
#pragma once

#include "config.h"
#include "maps.h"

/* Workloads that share the node's network namespace are looked for this many
 * cgroup levels deep. */
#define MAX_CGROUP_DEPTH 16

static __always_inline struct workload *find_workload(__u64 id, __u32 kind)
{
	struct workload_key key = {.id = id, .kind = kind};

	return bpf_map_lookup_elem(&sl_workloads, &key);
}

/* by_cgroup is the workload of the innermost cgroup around the process. */
static __always_inline struct workload *by_cgroup(void)
{
	for (int level = MAX_CGROUP_DEPTH; level > 0; level--) {
		__u64 id = bpf_get_current_ancestor_cgroup_id(level);
		struct workload *w;

		if (!id)
			continue;
		w = find_workload(id, KIND_CGROUP);
		if (w)
			return w;
	}
	return NULL;
}

/* workload_of is the workload that the calling socket belongs to. It is the
 * socket's network namespace that counts, not the process's: a socket handed
 * to another process stays what it was. */
static __always_inline struct workload *workload_of(__u64 netns)
{
	struct workload *w = find_workload(netns, KIND_NETNS);
	struct workload *inner;

	if (!w)
		return NULL;
	if (w->flags & WORKLOAD_SHARED) {
		inner = by_cgroup();
		if (inner)
			return inner;
	}
	return w->flags & WORKLOAD_MESHED ? w : NULL;
}

/* is_envoy: the proof is the cgroup, which a process inside of a pod cannot
 * enter; marks and user ids can be forged there. */
static __always_inline bool is_envoy(void)
{
	return bpf_get_current_cgroup_id() == envoy_cgroup ||
	       bpf_get_current_ancestor_cgroup_id(envoy_level) == envoy_cgroup;
}
