//go:build ignore

/* For tests only, never attached: BPF_PROG_TEST_RUN refuses the cgroup hooks,
 * so this runs the decision that they share from a program type that it takes.
 * The packet holds a struct request and room for the answer behind it. When it
 * is run repeatedly, each time is the next client's and the next socket's. */
#include <linux/pkt_cls.h>

#include "decide.h"

char _license[] SEC("license") = "GPL";

struct answer {
	__u32 verdict;
	struct endpoint to;
	__u32 digest; /* of all answers so far, their order included */
};

SEC("tc")
int sl_selftest(struct __sk_buff *skb)
{
	struct request rq = {};
	struct answer a = {};

	if (bpf_skb_load_bytes(skb, 0, &rq, sizeof(rq)) || bpf_skb_load_bytes(skb, sizeof(rq), &a, sizeof(a)))
		return TC_ACT_SHOT;
	a.verdict = decide(&rq, &a.to);
	a.digest = a.digest * 31 + bpf_ntohl(a.to.ip.w[3]);
	rq.netns++;
	rq.socket++;
	if (bpf_skb_store_bytes(skb, 0, &rq, sizeof(rq), 0) || bpf_skb_store_bytes(skb, sizeof(rq), &a, sizeof(a), 0))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}
