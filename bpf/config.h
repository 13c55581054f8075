/* Constants that user space sets before it loads the programs; the verifier
 * drops the branches that they rule out. */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

/* Envoy's cgroup: its processes, and those of cgroups below it, are Envoy. */
volatile const __u64 envoy_cgroup;
/* The cgroup's depth below the cgroup root. */
volatile const __u32 envoy_level;
/* The network namespace in which gateways are served: the node's own. */
volatile const __u64 node_netns;
/* bpf_set_retval() in sock_addr programs: Linux 6.1. */
volatile const bool has_set_retval;
/* bpf_skc_to_mptcp_sock(): Linux 5.19. */
volatile const bool has_mptcp;
/* Ports on the loopback that are Envoy's: in meshed network namespaces the one
 * that clients are redirected to; in the node's own the one at which it waits
 * for what is steered to gateways. */
volatile const __u16 outbound_port = 15001;
volatile const __u16 inbound_port = 15006;
