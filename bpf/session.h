/* What a socket remembers of the destination that it was given. */
#pragma once

#include "addr.h"
#include "config.h"
#include "maps.h"

/* Only the pointer is used: the kernel knows what it points to. */
struct mptcp_sock;

static __always_inline void write_session(struct session *s, const struct session *from)
{
	if (s)
		*s = *from;
}

/* An MPTCP connection has two sockets: the hooks see the first subflow at
 * connect() and the connection itself at getpeername(). */
static __always_inline void remember_mptcp(struct bpf_sock *sk, const struct session *from)
{
	struct mptcp_sock *msk;

	if (!has_mptcp)
		return;
	msk = bpf_skc_to_mptcp_sock(sk);
	if (msk)
		write_session(bpf_sk_storage_get(&sl_sessions, msk, 0, BPF_SK_STORAGE_GET_F_CREATE), from);
}

/* remember tells whether the session could be stored. */
static __always_inline bool remember(struct bpf_sock *sk, const struct session *from)
{
	struct session *s;

	if (!sk)
		return false;
	s = bpf_sk_storage_get(&sl_sessions, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!s)
		return false;
	write_session(s, from);
	remember_mptcp(sk, from);
	return true;
}

/* forget: the socket was connected anew, to something that is not ours. */
static __always_inline void forget(struct bpf_sock *sk)
{
	if (sk)
		bpf_sk_storage_delete(&sl_sessions, sk);
}

static __always_inline struct session *session_of(struct bpf_sock *sk)
{
	return sk ? bpf_sk_storage_get(&sl_sessions, sk, 0, 0) : NULL;
}

/* dialled_by is what the application dialled when the socket's peer is ip:port,
 * or NULL when that was not changed. */
static __always_inline struct peer *dialled_by(struct session *s, const struct addr *ip, __be16 port)
{
	if (s->kind != SESSION_KERNEL && s->kind != SESSION_ENVOY)
		return NULL;
	if (s->actual.port != port || !same_addr(&s->actual.ip, ip))
		return NULL;
	return &s->dialled;
}
