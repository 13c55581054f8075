/* Transport protocols. */
#pragma once

#include <linux/types.h>

#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_MPTCP 262

/* proto_of is the protocol in terms of the maps, or 0: MPTCP is TCP to those
 * who dial services. */
static __always_inline __u8 proto_of(__u32 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
	case IPPROTO_MPTCP:
		return IPPROTO_TCP;
	case IPPROTO_UDP:
		return IPPROTO_UDP;
	}
	return 0;
}
