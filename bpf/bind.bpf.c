//go:build ignore

/* bind(): in the network namespaces of workloads, Envoy's ports are Envoy's.
 *
 * Fails open where the namespace is not known as a workload's: then nothing is
 * redirected to the port either. */
#include <bpf/bpf_endian.h>

#include "count.h"
#include "proto.h"
#include "refuse.h"
#include "workload.h"

char _license[] SEC("license") = "GPL";

static __always_inline int check(struct bpf_sock_addr *ctx)
{
	__u16 port = bpf_ntohs(ctx->user_port);

	if (port != outbound_port && port != inbound_port)
		return ALLOW;
	if (proto_of(ctx->protocol) != IPPROTO_TCP)
		return ALLOW;
	if (!find_workload(bpf_get_netns_cookie(ctx), KIND_NETNS) || is_envoy())
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
