// SPDX-License-Identifier: MIT OR GPL-2.0-only
// connect(2) and sendto(2).
//
// The "own server" is a socket bound to exactly the home: the kernel's look-up also finds the
// machine's wildcard listeners, and `user@localhost` of its database must stay what it is. Such a
// connection comes from 127.0.0.1, so the server can tell its own localhost from a front end, which
// comes from the address itself.

#pragma once

#include "listeners.bpf.h"

// The socket that a connection from localhost to this address and the port of `ctx` would reach;
// released by the caller.
static __always_inline struct bpf_sock *server4(struct bpf_sock_addr *ctx, __be32 address)
{
	struct bpf_sock_tuple tuple = {
		.ipv4 = {
			.saddr = LOOPBACK4,
			.daddr = address,
			.dport = (__u16)ctx->user_port, // the remote port 0 fits no connection
		}};
	if (ctx->protocol == IPPROTO_TCP)
		return bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (ctx->protocol == IPPROTO_UDP)
		return bpf_sk_lookup_udp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	return NULL;
}

static __always_inline struct bpf_sock *server6(struct bpf_sock_addr *ctx,
						const struct address6 *address)
{
	struct bpf_sock_tuple tuple = {};
	tuple.ipv6.saddr[3] = bpf_htonl(1);
	__builtin_memcpy(tuple.ipv6.daddr, address, sizeof(*address));
	tuple.ipv6.dport = (__u16)ctx->user_port;
	if (ctx->protocol == IPPROTO_TCP)
		return bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	if (ctx->protocol == IPPROTO_UDP)
		return bpf_sk_lookup_udp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	return NULL;
}

static __always_inline bool serves4(struct bpf_sock_addr *ctx, const struct caller *caller)
{
	struct bpf_sock *server = server4(ctx, caller->home->v4);
	if (!server)
		return false;
	__be32 address = server->src_ip4;
	bpf_sk_release(server);
	return address == caller->home->v4;
}

static __always_inline bool serves6(struct bpf_sock_addr *ctx, const struct caller *caller)
{
	struct address6 home = caller->home->v6, address;
	struct bpf_sock *server = server6(ctx, &home);
	if (!server)
		return false;
	address.word[0] = server->src_ip6[0];
	address.word[1] = server->src_ip6[1];
	address.word[2] = server->src_ip6[2];
	address.word[3] = server->src_ip6[3];
	bpf_sk_release(server);
	return same6(&address, &home);
}

enum route {
	ROUTE_REFUSED,
	ROUTE_AS_ASKED,
	ROUTE_HOME4,
	ROUTE_HOME6,
};

// Where a connect to an IPv4 address leads. 0.0.0.0 is localhost for connect(2); `asked` says which
// was meant.
static __always_inline enum route route4(struct bpf_sock_addr *ctx, const struct caller *caller,
					 __be32 *asked)
{
	__be32 address = *asked;
	if (in_pool4(address)) {
		struct address6 there = mapped(address);
		if (caller->home && caller->home->v4 == address)
			return ROUTE_AS_ASKED;
		return is_granted(caller, &there) ? ROUTE_AS_ASKED : ROUTE_REFUSED;
	}
	if (!is_customer(caller) || caller->home->flags & SHARED)
		return ROUTE_AS_ASKED;
	if (address == ANY4)
		*asked = LOOPBACK4;
	else if (!in_loopback4(address))
		return ROUTE_AS_ASKED;
	return serves4(ctx, caller) ? ROUTE_HOME4 : ROUTE_AS_ASKED;
}

// Where a connect to an IPv6 address that maps no IPv4 address leads: ROUTE_HOME6 for the own
// localhost, unasked whether there is a server.
static __always_inline enum route route6(const struct caller *caller,
					 const struct address6 *address)
{
	if (in_pool6(address)) {
		if (caller->home && same6(address, &caller->home->v6))
			return ROUTE_AS_ASKED;
		return is_granted(caller, address) ? ROUTE_AS_ASKED : ROUTE_REFUSED;
	}
	if (!same6(address, &ANY6) && !same6(address, &LOOPBACK6))
		return ROUTE_AS_ASKED;
	return is_customer(caller) && !(caller->home->flags & SHARED) ? ROUTE_HOME6
								      : ROUTE_AS_ASKED;
}

// A socket that is bound already keeps its source: the error does not matter.
static __always_inline void come_from4(struct bpf_sock_addr *ctx)
{
	struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = LOOPBACK4};
	bpf_bind(ctx, (struct sockaddr *)&source, sizeof(source));
}

static __always_inline void come_from6(struct bpf_sock_addr *ctx, const struct address6 *address)
{
	struct sockaddr_in6 source = {.sin6_family = AF_INET6};
	__builtin_memcpy(&source.sin6_addr, address, sizeof(*address));
	bpf_bind(ctx, (struct sockaddr *)&source, sizeof(source));
}

// A TCP socket without a file is the kernel's own, such as the one inside a socket of AF_SMC. Its
// packets have no uid, so the ruleset would not match them.
static __always_inline bool is_kernels(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	if (!sk || ctx->protocol != IPPROTO_TCP)
		return false;
	const struct sock *tcp = (const struct sock *)bpf_skc_to_tcp_sock(sk);
	return tcp && !tcp->sk_socket->file;
}

// A socket that is bound to an address of the pools sends to another machine: this needs
// masquerading, which the ruleset begins when it is needed first (changes/network.py).
static __always_inline void note_leaving(const struct address6 *source,
					 const struct address6 *destination)
{
	if (!in_pools(source) || in_pools(destination) || is_localhost(destination))
		return;
	__u32 key = LEAVES, *leaves = bpf_map_lookup_elem(&states, &key);
	if (leaves && !*leaves)
		*leaves = 1;
}

static __always_inline struct address6 bound_of(struct bpf_sock_addr *ctx)
{
	struct address6 address = {};
	struct bpf_sock *sk = ctx->sk;
	if (!sk)
		return address;
	address.word[0] = sk->src_ip6[0];
	address.word[1] = sk->src_ip6[1];
	address.word[2] = sk->src_ip6[2];
	address.word[3] = sk->src_ip6[3];
	return address;
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	struct caller caller = caller_of(ctx);
	if (!caller.governed)
		return PASS;
	if (is_customer(&caller) && is_kernels(ctx))
		return REFUSE;
	__be32 address = ctx->user_ip4;
	enum route route = route4(ctx, &caller, &address);
	if (route == ROUTE_REFUSED)
		return REFUSE;
	struct address6 asked = mapped(address);
	if (route == ROUTE_AS_ASKED) {
		struct address6 source = mapped(ctx->sk ? ctx->sk->src_ip4 : ANY4);
		note_leaving(&source, &asked);
		return meets_neighbour(ctx, &caller, &asked) ? REFUSE : PASS;
	}
	struct address6 home = mapped(caller.home->v4);
	remember_connected(ctx, &asked, &home);
	come_from4(ctx);
	ctx->user_ip4 = caller.home->v4;
	return PASS;
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	struct caller caller = caller_of(ctx);
	if (!caller.governed)
		return PASS;
	if (is_customer(&caller) && is_kernels(ctx))
		return REFUSE;
	struct address6 address = address6_of(ctx), asked = address;
	enum route route;
	if (is_mapped(&address)) {
		route = route4(ctx, &caller, &address.word[3]);
		asked = address;
	} else {
		route = route6(&caller, &address);
		asked = LOOPBACK6;
		if (route == ROUTE_HOME6 &&
		    !serves6(ctx, &caller)) // a server on :: has the mapped IPv4 address
			route = serves4(ctx, &caller) ? ROUTE_HOME4 : ROUTE_AS_ASKED;
	}
	if (route == ROUTE_REFUSED)
		return REFUSE;
	if (route == ROUTE_AS_ASKED) {
		struct address6 source = bound_of(ctx);
		note_leaving(&source, &address);
		return meets_neighbour(ctx, &caller, &address) ? REFUSE : PASS;
	}
	struct address6 source = route == ROUTE_HOME6 ? LOOPBACK6 : mapped(LOOPBACK4);
	struct address6 home = route == ROUTE_HOME6 ? caller.home->v6 : mapped(caller.home->v4);
	remember_connected(ctx, &asked, &home);
	come_from6(ctx, &source);
	set_address6(ctx, &home);
	return PASS;
}

SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr *ctx)
{
	struct caller caller = caller_of(ctx);
	if (!caller.governed)
		return PASS;
	// IP_PKTINFO lets a sender name any address of the machine as the source (ip(7)).
	__be32 source = ctx->msg_src_ip4;
	if (in_pool4(source) && !(is_customer(&caller) && caller.home->v4 == source))
		return REFUSE;
	__be32 address = ctx->user_ip4;
	enum route route = route4(ctx, &caller, &address);
	struct address6 asked = mapped(address), from = mapped(source);
	if (route != ROUTE_HOME4) {
		note_leaving(&from, &asked);
		return route == ROUTE_REFUSED ? REFUSE : PASS;
	}
	struct address6 home = mapped(caller.home->v4);
	remember_connected(ctx, &asked, &home);
	if (!source)
		ctx->msg_src_ip4 = LOOPBACK4;
	ctx->user_ip4 = caller.home->v4;
	return PASS;
}

// Mapped addresses never come here: the kernel gives them to sendmsg4.
SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr *ctx)
{
	struct caller caller = caller_of(ctx);
	if (!caller.governed)
		return PASS;
	struct address6 source, address = address6_of(ctx);
	source.word[0] = ctx->msg_src_ip6[0];
	source.word[1] = ctx->msg_src_ip6[1];
	source.word[2] = ctx->msg_src_ip6[2];
	source.word[3] = ctx->msg_src_ip6[3];
	if (in_pool6(&source) && !(is_customer(&caller) && same6(&source, &caller.home->v6)))
		return REFUSE;
	enum route route = is_mapped(&address) ? ROUTE_AS_ASKED : route6(&caller, &address);
	if (route != ROUTE_HOME6) {
		note_leaving(&source, &address);
		return route == ROUTE_REFUSED ? REFUSE : PASS;
	}
	if (!serves6(ctx, &caller))
		return PASS;
	struct address6 home = caller.home->v6;
	remember_connected(ctx, &LOOPBACK6, &home);
	set_address6(ctx, &home);
	return PASS;
}
