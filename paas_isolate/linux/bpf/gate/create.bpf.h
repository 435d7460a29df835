// SPDX-License-Identifier: MIT OR GPL-2.0-only
// socket(2). Sockets of protocols whose bind(2) and sending the other programs do not see, such as
// SCTP, are refused.

#pragma once

#include "caller.bpf.h"

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
