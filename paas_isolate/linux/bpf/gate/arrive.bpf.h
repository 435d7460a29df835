// SPDX-License-Identifier: MIT OR GPL-2.0-only
// What arrives: for each first packet of a connection, and each datagram for a socket that is not
// connected, the kernel asks which socket takes it (BPF_PROG_TYPE_SK_LOOKUP). Who is refused gets
// the answer of a closed port.

#pragma once

#include "listeners.bpf.h"

SEC("sk_lookup")
int arrives(struct bpf_sk_lookup *ctx)
{
	struct address6 local = END_OF(ctx, local_ip4, local_ip6);
	struct client client = {
		.address = END_OF(ctx, remote_ip4, remote_ip6),
		.port = bpf_ntohs(ctx->remote_port),
	};
	// Our own look-ups (connect.bpf.h) have no interface.
	__u32 interface = ctx->ingress_ifindex;
	barrier_var(interface);
	bool from_outside = interface > LOOPBACK_IFINDEX;
	if (in_pools(&local)) {
		__u32 key = TRANSLATES, *translates = bpf_map_lookup_elem(&states, &key);
		return from_outside && !(translates && *translates) ? SK_DROP : SK_PASS;
	}
	if (ctx->protocol != IPPROTO_TCP)
		return SK_PASS;
	bool is_sealed;
	struct home *home = sealed_for(ctx->family, ctx->local_port, &is_sealed);
	if (!is_sealed)
		return SK_PASS;
	if (!home || from_outside || !is_localhost(&local))
		return SK_DROP;
	if (home->flags & SHARED || !interface)
		return SK_PASS;
	__u32 *uid = bpf_map_lookup_elem(&clients, &client);
	if (!uid)
		return SK_DROP;
	__u32 key = *uid;
	return are_neighbours(home, bpf_map_lookup_elem(&homes, &key)) ? SK_DROP : SK_PASS;
}
