// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Listeners on the wildcard whose port the kernel chose: bind(2) with port 0, or listen(2) without
// bind(2), which no program of ours sees. They are for the account's own localhost: neighbours
// would reach them there, and other machines at the machine's address.

#pragma once

#include "names.bpf.h"

// Whether a socket is of IPv6 only. No helper answers that, so the byte behind family and state is
// read, where struct sock_common has had skc_ipv6only since Linux 4.4 (include/net/sock.h).
static __always_inline bool is_ipv6_only(struct bpf_sock *sk)
{
	const int offset = 19;
	const __u8 bit = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 1 << 5 : 1 << 2;
	if (!sk)
		return false;
	const __u8 *bytes = (const __u8 *)bpf_skc_to_tcp6_sock(sk);
	if (bytes && bytes[offset] & bit)
		return true;
	bytes = (const __u8 *)bpf_skc_to_udp6_sock(sk);
	return bytes && bytes[offset] & bit;
}

// A listener of an account begins (1) or ends (-1) at a port, or one of nobody's begins (0).
static __always_inline void note(__u32 family, __u32 number, __u32 uid, int change)
{
	struct port port = {.family = family, .number = number};
	struct sealed *known = bpf_map_lookup_elem(&sealed, &port);
	if (!known && change > 0) {
		struct sealed none = {.uid = uid};
		bpf_map_update_elem(&sealed, &port, &none, BPF_NOEXIST);
		known = bpf_map_lookup_elem(&sealed, &port);
	}
	if (!known)
		return;
	if (!change) {
		known->listeners = 0;
		return;
	}
	if (change > 0)
		known->uid = known->listeners && known->uid != uid ? 0 : uid;
	if (change > 0 || known->listeners)
		__sync_fetch_and_add(&known->listeners, change);
}

static __always_inline void note_listener(struct bpf_sock_ops *ctx, struct bpf_sock *sk,
					  const struct tcp_sock *tcp, bool begins)
{
	__u32 uid = uid_of_socket((const struct sock *)tcp);
	struct address6 local = END_OF(ctx, local_ip4, local_ip6);
	bool customers = is_customers(bpf_map_lookup_elem(&homes, &uid));
	if (customers && !is_wildcard(&local))
		return;
	int change = !customers ? 0 : begins ? 1 : -1;
	bool v6 = ctx->family == AF_INET6 && !is_mapped(&local);
	if (v6)
		note(AF_INET6, ctx->local_port, uid, change);
	if (!v6 || !is_ipv6_only(sk))
		note(AF_INET, ctx->local_port, uid, change);
	if (begins && customers)
		bpf_sock_ops_cb_flags_set(ctx,
					  ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

// Who connects to localhost: the programs that see the packet arrive do not see its sender.
static __always_inline void note_client(struct bpf_sock_ops *ctx, const struct tcp_sock *tcp)
{
	struct address6 remote = END_OF(ctx, remote_ip4, remote_ip6);
	if (!is_localhost(&remote))
		return;
	__u32 uid = uid_of_socket((const struct sock *)tcp);
	struct client client = {.address = END_OF(ctx, local_ip4, local_ip6),
				.port = ctx->local_port};
	bpf_map_update_elem(&clients, &client, &uid, BPF_ANY);
}

static __always_inline bool are_neighbours(const struct home *one, const struct home *other)
{
	return one && one->v4 && other && other->v4 && one->v4 != other->v4;
}

// The home of the account whose listeners on the wildcard have this port; `is_sealed` says whether
// there are any.
static __always_inline struct home *sealed_for(__u32 family, __u32 number, bool *is_sealed)
{
	struct port port = {.family = family, .number = number};
	struct sealed *known = bpf_map_lookup_elem(&sealed, &port);
	*is_sealed = known && known->listeners;
	if (!*is_sealed)
		return NULL;
	__u32 uid = known->uid;
	return bpf_map_lookup_elem(&homes, &uid);
}

// Whether a connect would come to a neighbour's listener at localhost.
static __always_inline bool meets(struct bpf_sock_addr *ctx, const struct caller *caller,
				  __u32 family)
{
	bool is_sealed;
	struct home *home = sealed_for(family, bpf_ntohs((__u16)ctx->user_port), &is_sealed);
	return are_neighbours(caller->home, home) && !(home->flags & SHARED);
}

static __always_inline bool meets_neighbour(struct bpf_sock_addr *ctx, const struct caller *caller,
					    const struct address6 *address)
{
	if (!is_customer(caller) || ctx->protocol != IPPROTO_TCP)
		return false;
	if (same6(address, &ANY6)) // of a socket that is bound to a mapped address, the kernel
				   // makes it 127.0.0.1
		return meets(ctx, caller, AF_INET6) || meets(ctx, caller, AF_INET);
	if (is_wildcard(address) || is_localhost(address))
		return meets(ctx, caller, is_mapped(address) ? AF_INET : AF_INET6);
	return false;
}
