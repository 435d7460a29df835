// SPDX-License-Identifier: MIT OR GPL-2.0-only
// bind(2).
//
// The wildcard with port 0 stays: clients of the world bind so, and what is sent from there must
// carry the machine's address. With a port it becomes the home for UDP as for TCP: two customers
// may both hold 0.0.0.0:5353.

#pragma once

#include "names.bpf.h"

static __always_inline int plain(struct bpf_sock_addr *ctx)
{
	forget_bound(ctx);
	return PASS;
}

static __always_inline int owned(struct bpf_sock_addr *ctx)
{
	forget_bound(ctx);
	return PASS_LOW;
}

// A bind to an IPv4 address, in `to` the address that it becomes.
static __always_inline int claim4(struct bpf_sock_addr *ctx, const struct caller *caller,
				  __be32 address, __be32 *to)
{
	*to = address;
	if (in_pool4(address))
		return is_customer(caller) && caller->home->v4 == address ? owned(ctx) : REFUSE;
	if (!is_customer(caller))
		return PASS;
	if (address == ANY4) {
		if (!ctx->user_port)
			return plain(ctx);
	} else if (in_loopback4(address)) {
		if (caller->home->flags & SHARED)
			return plain(ctx);
	} else {
		return REFUSE;
	}
	struct address6 asked = mapped(address);
	remember_bound(ctx, &asked);
	*to = caller->home->v4;
	return PASS_LOW;
}

static __always_inline int bind_to_home6(struct bpf_sock_addr *ctx, const struct caller *caller)
{
	struct address6 home = caller->home->v6;
	set_address6(ctx, &home);
	return PASS_LOW;
}

SEC("cgroup/bind4")
int bind4(struct bpf_sock_addr *ctx)
{
	struct caller caller = caller_of(ctx);
	if (!caller.governed)
		return PASS;
	__be32 address = ctx->user_ip4, to;
	int verdict = claim4(ctx, &caller, address, &to);
	if (to != address)
		ctx->user_ip4 = to;
	return verdict;
}

SEC("cgroup/bind6")
int bind6(struct bpf_sock_addr *ctx)
{
	struct caller caller = caller_of(ctx);
	if (!caller.governed)
		return PASS;
	struct address6 address = address6_of(ctx);
	if (is_mapped(&address)) {
		__be32 to;
		int verdict = claim4(ctx, &caller, address.word[3], &to);
		if (to != address.word[3])
			ctx->user_ip6[3] = to;
		return verdict;
	}
	if (in_pool6(&address))
		return is_customer(&caller) && same6(&address, &caller.home->v6) ? owned(ctx)
										 : REFUSE;
	if (!is_customer(&caller))
		return PASS;
	if (same6(&address, &LOOPBACK6)) {
		if (caller.home->flags & SHARED)
			return plain(ctx);
		remember_bound(ctx, &LOOPBACK6);
		return bind_to_home6(ctx, &caller);
	}
	if (!same6(&address, &ANY6))
		return REFUSE;
	if (!ctx->user_port)
		return plain(ctx);
	remember_bound(ctx, &ANY6);
	if (is_ipv6_only(ctx->sk))
		return bind_to_home6(ctx, &caller);
	// IPv4 clients reach a socket on ::, so it becomes the mapped IPv4 address.
	struct address6 home = mapped(caller.home->v4);
	set_address6(ctx, &home);
	return PASS_LOW;
}
