/* The keys and values of the maps, shared with user space: bpf2go turns them
 * into Go types, so no structure is ever written twice.
 *
 * Addresses are 16 bytes in network order, IPv4 as ::ffff:a.b.c.d, so that one
 * set of maps serves both families. Ports are in network order. */
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

/* A weighted frontend has at most this many parts (backendRefs of a rule). */
#define MAX_PARTS 16

struct addr {
	__be32 w[4];
};

enum workload_kind {
	KIND_NETNS = 0,	 /* id is a network namespace cookie */
	KIND_CGROUP = 1, /* id is a cgroup id; only for the node's own netns */
};

struct workload_key {
	__u64 id;
	__u32 kind;
	__u32 pad;
};

enum workload_flag {
	WORKLOAD_MESHED = 1, /* connections are steered */
	WORKLOAD_SHARED = 2, /* the netns holds workloads told apart by cgroup */
};

struct workload {
	__u32 scope;	   /* number of the workload's namespace, never 0 */
	__be16 envoy_port; /* where Envoy listens for it on the loopback; 0: nowhere yet */
	__u16 flags;
};

enum action {
	ACTION_PASS = 0,   /* untouched; holds FRONTEND_SCOPED only */
	ACTION_KERNEL = 1, /* balanced here */
	ACTION_ENVOY = 2,  /* redirected to Envoy */
};

enum frontend_flag {
	FRONTEND_SCOPED = 1, /* some client namespace has an entry of its own */
};

struct frontend_key {
	struct addr vip;
	__be16 port;
	__u8 proto;
	__u8 pad;
	__u32 scope; /* 0: all clients, else one namespace's */
};

struct frontend {
	__u32 id;
	__u32 group;	/* the only group when parts is 1; 0 refuses */
	__u32 affinity; /* seconds; 0: none */
	__u8 action;
	__u8 flags;
	__u16 parts; /* 0 refuses, 1: group, more: see splits */
	/* Part of the key again: the kernel may reuse an element for another key
	 * while a reader still looks at it, and this tells. */
	__be32 echo_ip;
	__be16 echo_port;
	__u8 echo_proto;
	__u8 pad;
};

struct split_key {
	__u32 frontend;
	__u32 family; /* AF_INET or AF_INET6 */
};

struct split_part {
	__u32 upto;  /* sum of the weights up to and with this part */
	__u32 group; /* 0 refuses */
};

struct split {
	__u32 frontend; /* echo of the key, as in struct frontend */
	__u32 total;
	struct split_part part[MAX_PARTS];
};

struct group {
	__u32 n;
};

struct slot_key {
	__u32 group;
	__u32 index;
};

struct endpoint {
	struct addr ip;
	__be16 port;
	__u16 pad;
	__u32 group; /* in slots an echo of the key; part of the key in members */
};

struct affinity_key {
	__u64 netns;
	__u32 frontend;
	__u32 family;
};

/* A choice that is kept: of a client by affinity, of a flow of datagrams. */
struct kept {
	struct endpoint to;
	__u64 seen; /* bpf_ktime_get_ns() of the latest connection; flows: 0 */
};

/* Held while a choice is read, or replaced when it does not hold any more. */
struct gate {
	struct bpf_spin_lock lock;
};

/* What an unconnected UDP socket talks to, seen from the socket: a VIP it sends
 * to (udp_flows) or an endpoint that answers it (udp_replies). */
struct peer_key {
	__u64 socket;
	struct addr ip;
	__be16 port;
	__u16 pad;
	__u32 pad2;
};

struct peer {
	struct addr ip;
	__be16 port;
	__u16 pad;
};

enum session_kind {
	SESSION_FLOWS = 0,    /* unconnected UDP: see udp_replies */
	SESSION_KERNEL = 1,   /* client of an endpoint */
	SESSION_ENVOY = 2,    /* client of Envoy */
	SESSION_ACCEPTED = 3, /* Envoy's end of such a connection */
};

/* Lives and dies with a socket. */
struct session {
	struct peer dialled; /* what the application dialled */
	struct peer actual;  /* where the connection went instead */
	__u32 kind;
};

/* Connections on their way to Envoy have this many places for each network
 * namespace and family, so that none can take all of the map. */
#define HANDOFF_PLACES 4096

struct handoff_key {
	__u64 netns;
	__u16 family;
	__u16 place; /* by the client's port */
	__u32 pad;
};

/* A connection, from the client's side. */
struct tuple {
	__u64 netns;
	struct addr from;
	struct addr to;
	__be16 from_port;
	__be16 to_port;
	__u32 pad;
};

struct handoff {
	struct tuple way;
	struct peer dialled;
	__u32 pad;
};

/* The addresses and ports of the node that are gateways'. */
struct steering_key {
	struct addr ip; /* all zero: any address of the node, of either family */
	__be16 port;
	__u8 proto;
	__u8 pad;
};

enum steering_kind {
	STEERING_ENVOY = 1,    /* connections go to Envoy, or are refused */
	STEERING_RESERVED = 2, /* Envoy's own port: nobody else may bind it */
};

struct steering {
	__u32 kind;
};

/* Envoy's listening sockets for gateways: each worker has one of each family,
 * and while Envoy makes them anew there are old and new ones. */
enum listener_room {
	LISTENERS = 512,
};

enum counter {
	COUNT_KERNEL_TCP,     /* TCP connects balanced in the kernel */
	COUNT_KERNEL_UDP,     /* UDP connects and new UDP flows balanced in the kernel */
	COUNT_ENVOY,	      /* TCP connects sent to Envoy */
	COUNT_REFUSED,	      /* connects and datagrams refused */
	COUNT_ENVOY_OWN,      /* Envoy's own connects, left alone */
	COUNT_HANDOFF,	      /* original destinations handed to Envoy's socket */
	COUNT_HANDOFF_NONE,   /* connections at Envoy's port that were never redirected */
	COUNT_HANDOFF_FAILED, /* redirected connects that failed before Envoy had them */
	COUNT_ORIGDST,	      /* original destinations answered to Envoy */
	COUNT_BIND_DENIED,    /* binds of Envoy's ports refused */
	COUNT_GATEWAY,	      /* connections to gateways given to Envoy */
	COUNT_GATEWAY_NONE,   /* connections to gateways refused: Envoy does not listen */
	COUNT_MAX,
};

/* Connections of one frontend. */
struct tally {
	__u64 kernel;
	__u64 envoy;
	__u64 refused;
};

/* Read and written by user space only: what the numbers above mean. */
enum name_kind {
	NAME_FRONTEND = 1,
	NAME_GROUP = 2,
	NAME_SCOPE = 3,
};

struct name_key {
	__u32 kind;
	__u32 id;
};

struct name {
	__u8 text[240];
};

struct meta {
	__u32 next_frontend;
	__u32 next_group;
	__u32 next_scope;
	__u32 pad;
};
