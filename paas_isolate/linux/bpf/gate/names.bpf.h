// SPDX-License-Identifier: MIT OR GPL-2.0-only
// What a socket was asked for, kept beside it, and the hooks that answer it: getsockname(2),
// getpeername(2), recvfrom(2).

#pragma once

#include "caller.bpf.h"

static __always_inline struct names *names_of(struct bpf_sock_addr *ctx, bool create)
{
	struct bpf_sock *sk = ctx->sk;
	if (!sk)
		return NULL;
	return bpf_sk_storage_get(&names, sk, NULL, create ? BPF_SK_STORAGE_GET_F_CREATE : 0);
}

static __always_inline void remember_bound(struct bpf_sock_addr *ctx, const struct address6 *asked)
{
	struct names *kept = names_of(ctx, true);
	if (kept) {
		kept->flags |= ASKED_BIND;
		kept->bound = *asked;
	}
}

// What is bound as it was asked for needs no memory, but an attempt before may have left one.
static __always_inline void forget_bound(struct bpf_sock_addr *ctx)
{
	struct names *kept = names_of(ctx, false);
	if (kept)
		kept->flags &= ~ASKED_BIND;
}

static __always_inline void remember_connected(struct bpf_sock_addr *ctx,
					       const struct address6 *asked,
					       const struct address6 *peer)
{
	struct names *kept = names_of(ctx, true);
	if (kept) {
		kept->flags |= ASKED_CONNECT;
		kept->connected = *asked;
		kept->peer = *peer;
	}
}

// An accepted socket inherits the names of its listener. Where that asked for the wildcard, the
// peer says by which address it came: from 127.0.0.1 means by localhost. The kernel takes no
// verdict but PASS here.

static __always_inline bool is_connected(struct bpf_sock_addr *ctx)
{
	return ctx->sk && ctx->sk->dst_port;
}

SEC("cgroup/getsockname4")
int getsockname4(struct bpf_sock_addr *ctx)
{
	struct names *kept = names_of(ctx, false);
	if (!kept || !(kept->flags & ASKED_BIND))
		return PASS;
	__be32 asked = kept->bound.word[3];
	if (asked == ANY4 && is_connected(ctx)) {
		if (!in_loopback4(ctx->sk->dst_ip4))
			return PASS;
		asked = LOOPBACK4;
	}
	ctx->user_ip4 = asked;
	return PASS;
}

SEC("cgroup/getsockname6")
int getsockname6(struct bpf_sock_addr *ctx)
{
	struct names *kept = names_of(ctx, false);
	struct bpf_sock *sk = ctx->sk;
	if (!kept || !sk)
		return PASS;
	if (!(kept->flags & ASKED_BIND)) {
		// Who connected to ::1 and was led to the mapped address comes from ::1.
		if (kept->flags & ASKED_CONNECT && !kept->connected.word[2] &&
		    ctx->user_ip6[2] == MAPPED)
			set_address6(ctx, &LOOPBACK6);
		return PASS;
	}
	if (kept->bound.word[3] || !sk->dst_port) {
		struct address6 asked = kept->bound;
		set_address6(ctx, &asked);
	} else if (ctx->user_ip6[2] == MAPPED) {
		if (in_loopback4(sk->dst_ip4))
			ctx->user_ip6[3] = LOOPBACK4;
	} else {
		struct address6 peer;
		peer.word[0] = sk->dst_ip6[0];
		peer.word[1] = sk->dst_ip6[1];
		peer.word[2] = sk->dst_ip6[2];
		peer.word[3] = sk->dst_ip6[3];
		if (same6(&peer, &LOOPBACK6))
			set_address6(ctx, &LOOPBACK6);
	}
	return PASS;
}

static __always_inline int peer4(struct bpf_sock_addr *ctx)
{
	struct names *kept = names_of(ctx, false);
	if (kept && kept->flags & ASKED_CONNECT && ctx->user_ip4 == kept->peer.word[3])
		ctx->user_ip4 = kept->connected.word[3];
	return PASS;
}

static __always_inline int peer6(struct bpf_sock_addr *ctx)
{
	struct names *kept = names_of(ctx, false);
	struct address6 address = address6_of(ctx);
	if (kept && kept->flags & ASKED_CONNECT && same6(&address, &kept->peer)) {
		struct address6 asked = kept->connected;
		set_address6(ctx, &asked);
	}
	return PASS;
}

SEC("cgroup/getpeername4")
int getpeername4(struct bpf_sock_addr *ctx)
{
	return peer4(ctx);
}

SEC("cgroup/getpeername6")
int getpeername6(struct bpf_sock_addr *ctx)
{
	return peer6(ctx);
}

SEC("cgroup/recvmsg4")
int recvmsg4(struct bpf_sock_addr *ctx)
{
	return peer4(ctx);
}

SEC("cgroup/recvmsg6")
int recvmsg6(struct bpf_sock_addr *ctx)
{
	return peer6(ctx);
}
