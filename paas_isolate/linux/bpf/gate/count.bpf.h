// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Bytes and segments of each account's TCP connections, as the kernel counts them for each: payload
// that arrived in order, payload that the other end has confirmed (RFC 4898). What a connection has
// carried is added when it ends, and when somebody reads the counters. A program at each packet
// would take 4 to 5 % of its time.

#pragma once

#include "caller.bpf.h"

static __always_inline void add(struct traffic *total, const struct tcp_sock *tcp,
				struct traffic *before)
{
	struct traffic now = {
		.bytes_in = tcp->bytes_received,
		.packets_in = tcp->segs_in,
		.bytes_out = tcp->bytes_acked,
		.packets_out = tcp->segs_out,
	};
	struct traffic old = {};
	if (before) {
		old = *before;
		*before = now;
	}
	__sync_fetch_and_add(&total->bytes_in, now.bytes_in - old.bytes_in);
	__sync_fetch_and_add(&total->packets_in, now.packets_in - old.packets_in);
	__sync_fetch_and_add(&total->bytes_out, now.bytes_out - old.bytes_out);
	__sync_fetch_and_add(&total->packets_out, now.packets_out - old.packets_out);
}

static __always_inline void count_ended(struct bpf_sock *sk, struct tcp_sock *tcp)
{
	__u64 account = account_of_socket((const struct sock *)tcp);
	struct traffic *total = account ? bpf_map_lookup_elem(&traffic, &account) : NULL;
	if (total)
		add(total, tcp, bpf_sk_storage_get(&counted, sk, NULL, 0));
	// A socket that connects again begins at 0 (tcp_disconnect, net/ipv4/tcp.c).
	bpf_sk_storage_delete(&counted, sk);
}

// Has the kernel tell when a connection of an account ends.
static __always_inline void begin_counting(struct bpf_sock_ops *ctx, struct tcp_sock *tcp)
{
	struct traffic none = {};
	__u64 account = account_of_socket((const struct sock *)tcp);
	if (!account)
		return;
	if (!bpf_map_lookup_elem(&traffic, &account))
		bpf_map_update_elem(&traffic, &account, &none, BPF_NOEXIST);
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

// Adds what the live connections of this network namespace have carried. The kernel holds the lock
// of each meanwhile, as it does where a connection ends.
SEC("iter/tcp")
int flush(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;
	if (!common)
		return 0;
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(common);
	if (!tcp)
		return 0;
	__u64 account = account_of_socket((const struct sock *)tcp);
	struct traffic *total = account ? bpf_map_lookup_elem(&traffic, &account) : NULL;
	if (!total)
		return 0;
	struct traffic *before =
		bpf_sk_storage_get(&counted, tcp, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (before)
		add(total, tcp, before);
	return 0;
}
