//go:build ignore

/* For tests only, never attached: BPF_PROG_TEST_RUN refuses the cgroup hooks,
 * so this runs the decision that they share from a program type that it takes.
 * The packet holds a struct request and room for the answer behind it. */
#include <linux/pkt_cls.h>

#include "decide.h"

char _license[] SEC("license") = "GPL";

struct answer {
	__u32 verdict;
	struct endpoint to;
};

SEC("tc")
int sl_selftest(struct __sk_buff *skb)
{
	struct request rq = {};
	struct answer a = {};

	if (bpf_skb_load_bytes(skb, 0, &rq, sizeof(rq)))
		return TC_ACT_SHOT;
	a.verdict = decide(&rq, &a.to);
	if (a.verdict == VERDICT_KERNEL && rq.datagram) {
		struct peer_key flow = {.socket = rq.socket, .ip = rq.dst, .port = rq.port};

		bpf_map_update_elem(&sl_udp_flows, &flow, &a.to, BPF_ANY);
	}
	if (bpf_skb_store_bytes(skb, sizeof(rq), &a, sizeof(a), 0))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}
