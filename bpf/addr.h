/* Addresses. */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>

#include "types.h"

#define AF_INET 2
#define AF_INET6 10

#define LOOPBACK4 bpf_htonl(0x7f000001)

/* map4 is an IPv4 address in the form that the maps use. */
static __always_inline struct addr map4(__be32 ip)
{
	struct addr a = {{0, 0, bpf_htonl(0xffff), ip}};

	return a;
}

static __always_inline bool is4(const struct addr *a)
{
	return a->w[0] == 0 && a->w[1] == 0 && a->w[2] == bpf_htonl(0xffff);
}

static __always_inline bool same_addr(const struct addr *a, const struct addr *b)
{
	return a->w[0] == b->w[0] && a->w[1] == b->w[1] && a->w[2] == b->w[2] && a->w[3] == b->w[3];
}

static __always_inline __u32 family_of(const struct addr *a)
{
	return is4(a) ? AF_INET : AF_INET6;
}

/* loopback is where Envoy listens for a socket that dials a: a v4-mapped
 * address stays v4-mapped. */
static __always_inline struct addr loopback(const struct addr *a)
{
	struct addr six = {{0, 0, 0, bpf_htonl(1)}};

	return is4(a) ? map4(LOOPBACK4) : six;
}

/* The destination of a sock_addr context, as the 4 and 6 hooks know it. */
static __always_inline struct addr dst4(const struct bpf_sock_addr *ctx)
{
	return map4(ctx->user_ip4);
}

static __always_inline struct addr dst6(const struct bpf_sock_addr *ctx)
{
	struct addr a = {{ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]}};

	return a;
}

static __always_inline void set_dst4(struct bpf_sock_addr *ctx, const struct addr *a, __be16 port)
{
	ctx->user_ip4 = a->w[3];
	ctx->user_port = port;
}

static __always_inline void set_dst6(struct bpf_sock_addr *ctx, const struct addr *a, __be16 port)
{
	ctx->user_ip6[0] = a->w[0];
	ctx->user_ip6[1] = a->w[1];
	ctx->user_ip6[2] = a->w[2];
	ctx->user_ip6[3] = a->w[3];
	ctx->user_port = port;
}
