// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Listeners at localhost, whose port the kernel chose, and sockets that the other programs do not
// see.

#pragma once

#include "names.bpf.h"

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

// A customer's listener on the wildcard has a port that the kernel chose: bind(2) with port 0, or
// listen(2) without bind(2), which no program of ours sees. Neighbours would reach it at localhost.
static __always_inline bool is_neighbours(const struct caller *caller, struct bpf_sock *server)
{
	const struct sock *sk = (const struct sock *)bpf_skc_to_tcp_sock(server);
	struct home *home = sk ? home_of_socket(sk) : NULL;
	return home && home->v4 && home->v4 != caller->home->v4 && !(home->flags & SHARED);
}

static __always_inline bool meets_neighbour4(struct bpf_sock_addr *ctx, const struct caller *caller,
					     __be32 address)
{
	if (!is_customer(caller) || !in_loopback4(address))
		return false;
	struct bpf_sock *server = server4(ctx, address);
	if (!server)
		return false;
	bool meets = is_neighbours(caller, server);
	bpf_sk_release(server);
	return meets;
}

static __always_inline bool meets_neighbour6(struct bpf_sock_addr *ctx, const struct caller *caller)
{
	if (!is_customer(caller))
		return false;
	struct bpf_sock *server = server6(ctx, &LOOPBACK6);
	if (!server)
		return false;
	bool meets = is_neighbours(caller, server);
	bpf_sk_release(server);
	return meets;
}

static __always_inline bool meets_neighbour(struct bpf_sock_addr *ctx, const struct caller *caller,
					    const struct address6 *address)
{
	if (is_mapped(address))
		return meets_neighbour4(ctx, caller,
					address->word[3] == ANY4 ? LOOPBACK4 : address->word[3]);
	if (same6(address, &ANY6)) // of a socket that is bound to a mapped address, the kernel
				   // makes it 127.0.0.1
		return meets_neighbour6(ctx, caller) || meets_neighbour4(ctx, caller, LOOPBACK4);
	return same6(address, &LOOPBACK6) && meets_neighbour6(ctx, caller);
}

// Whether this is a neighbour's first packet for a customer's listener at localhost. The connect
// hook answers at once, but does not find a listener that is bound to the device lo, nor one that
// began to listen after connect(2).
static __always_inline bool from_neighbour(struct __sk_buff *skb)
{
	struct bpf_sock_tuple tuple = {};
	struct tcphdr *tcp;
	struct bpf_sock *own = skb->sk, *other;
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	bool v4 = skb->protocol == bpf_htons(ETH_P_IP);
	if (skb->ifindex != LOOPBACK_IFINDEX || !own)
		return false;
	if (v4) {
		struct iphdr *ip = data;
		if ((void *)(ip + 1) > end || ip->protocol != IPPROTO_TCP ||
		    !in_loopback4(ip->daddr))
			return false;
		tuple.ipv4.saddr = ip->daddr; // the listener is the remote end of the socket that
					      // is looked for
		tuple.ipv4.daddr = ip->saddr;
		tcp = data + ip->ihl * 4;
	} else {
		struct ipv6hdr *ip = data;
		if ((void *)(ip + 1) > end || ip->nexthdr != IPPROTO_TCP)
			return false;
		__builtin_memcpy(tuple.ipv6.saddr, &ip->daddr, sizeof(ip->daddr));
		__builtin_memcpy(tuple.ipv6.daddr, &ip->saddr, sizeof(ip->saddr));
		if (tuple.ipv6.saddr[0] || tuple.ipv6.saddr[1] || tuple.ipv6.saddr[2] ||
		    tuple.ipv6.saddr[3] != bpf_htonl(1))
			return false;
		tcp = (void *)(ip + 1);
	}
	if ((void *)(tcp + 1) > end || !tcp->syn || tcp->ack)
		return false;
	const struct sock *server = (const struct sock *)bpf_skc_to_tcp_sock(own);
	struct home *to = server ? home_of_socket(server) : NULL;
	if (!to || !to->v4 || to->flags & SHARED)
		return false;
	if (v4) {
		tuple.ipv4.sport = tcp->dest;
		tuple.ipv4.dport = tcp->source;
		other = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	} else {
		tuple.ipv6.sport = tcp->dest;
		tuple.ipv6.dport = tcp->source;
		other = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	if (!other)
		return false;
	const struct sock *client = (const struct sock *)bpf_skc_to_tcp_sock(other);
	struct home *from = client ? home_of_socket(client) : NULL;
	bool refused = from && from->v4 && from->v4 != to->v4;
	bpf_sk_release(other);
	return refused;
}

// Sockets of protocols whose bind(2) and sending the programs above do not see, such as SCTP, are
// refused.

SEC("cgroup/sock_create")
int create(struct bpf_sock *ctx)
{
	struct caller caller = caller_in(bpf_get_netns_cookie(ctx));
	if (!caller.governed || !is_customer(&caller))
		return PASS;
	switch (ctx->protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_MPTCP:
		return PASS;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6: // ping sockets; the ruleset knows a customer's own uid alone
		return caller.uid == (__u32)bpf_get_current_uid_gid() ? PASS : REFUSE;
	}
	// ping(8) of Debian and others with capabilities; without them the kernel refuses raw
	// sockets itself.
	return ctx->type == SOCK_RAW ? PASS : REFUSE;
}

// A customer's listener on the wildcard gets a mark, by which the ruleset keeps it from other
// machines.

SEC("sockops")
int listens(struct bpf_sock_ops *ctx)
{
	if (ctx->op != BPF_SOCK_OPS_TCP_LISTEN_CB || bpf_get_netns_cookie(ctx) != constants.netns)
		return PASS;
	if (ctx->family == AF_INET ? ctx->local_ip4
				   : ctx->local_ip6[0] | ctx->local_ip6[1] | ctx->local_ip6[3] |
					     (ctx->local_ip6[2] & ~MAPPED)) // :: and ::ffff:0.0.0.0
		return PASS;
	struct bpf_sock *listener = ctx->sk;
	const struct sock *sk =
		listener ? (const struct sock *)bpf_skc_to_tcp_sock(listener) : NULL;
	struct home *home = sk ? home_of_socket(sk) : NULL;
	__u32 mark = LISTENER_MARK;
	if (home && home->v4)
		bpf_setsockopt(ctx, SOL_SOCKET, SO_MARK, &mark, sizeof(mark));
	return PASS;
}
