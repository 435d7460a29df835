// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Bytes and packets of each account's cgroup, as the IP layer sees them: headers count, the link
// layer does not. A packet that the stack carries whole and cuts later (GSO) is one packet here;
// its bytes are what it carried.

#pragma once

#include "listeners.bpf.h"

static __always_inline struct traffic *traffic_of(struct __sk_buff *skb)
{
	__u64 cgroup = bpf_skb_ancestor_cgroup_id(skb, constants.level);
	if (!cgroup)
		return NULL;
	struct traffic *counted = bpf_map_lookup_elem(&traffic, &cgroup);
	if (counted)
		return counted;
	struct traffic none = {};
	bpf_map_update_elem(&traffic, &cgroup, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&traffic, &cgroup);
}

SEC("cgroup_skb/ingress")
int ingress(struct __sk_buff *skb)
{
	if (from_neighbour(skb))
		return REFUSE;
	struct traffic *counted = traffic_of(skb);
	if (counted) {
		__sync_fetch_and_add(&counted->bytes_in, skb->len);
		__sync_fetch_and_add(&counted->packets_in, 1);
	}
	return PASS;
}

SEC("cgroup_skb/egress")
int egress(struct __sk_buff *skb)
{
	struct traffic *counted = traffic_of(skb);
	if (counted) {
		__sync_fetch_and_add(&counted->bytes_out, skb->len);
		__sync_fetch_and_add(&counted->packets_out, 1);
	}
	return PASS;
}
