//go:build ignore

/* bind(): in the network namespaces of workloads, Envoy's ports are Envoy's; in
 * the node's own, the one for gateways while there are any.
 *
 * Fails open where the namespace is not known as a workload's: then nothing is
 * redirected to the port either. */
#include <bpf/bpf_endian.h>

#include "count.h"
#include "proto.h"
#include "refuse.h"
#include "steering.h"
#include "workload.h"

char _license[] SEC("license") = "GPL";

/* is_kept tells whether a port of Envoy's is kept for it in a network namespace. */
static __always_inline bool is_kept(__u64 netns, __be16 port)
{
	struct steering_key own = {.port = port, .proto = IPPROTO_TCP};

	if (find_workload(netns, KIND_NETNS))
		return true;
	return netns == node_netns && port == bpf_htons(inbound_port) && steering_at(&own);
}

static __always_inline int check(struct bpf_sock_addr *ctx)
{
	__u16 port = bpf_ntohs(ctx->user_port);

	if (port != outbound_port && port != inbound_port)
		return ALLOW;
	if (proto_of(ctx->protocol) != IPPROTO_TCP)
		return ALLOW;
	if (!is_kept(bpf_get_netns_cookie(ctx), ctx->user_port) || is_envoy())
		return ALLOW;
	count(COUNT_BIND_DENIED);
	return DENY;
}

SEC("cgroup/bind4")
int sl_bind4(struct bpf_sock_addr *ctx)
{
	return check(ctx);
}

SEC("cgroup/bind6")
int sl_bind6(struct bpf_sock_addr *ctx)
{
	return check(ctx);
}
