// SPDX-License-Identifier: MIT OR GPL-2.0-only
// The one program that the kernel calls while a TCP socket lives (BPF_PROG_TYPE_SOCK_OPS). A
// connection of an account has some ten calls, so what is nobody's concern ends at once.

#pragma once

#include "count.bpf.h"
#include "listeners.bpf.h"

SEC("sockops")
int connection(struct bpf_sock_ops *ctx)
{
	__u32 op = ctx->op;
	if (op == BPF_SOCK_OPS_STATE_CB) {
		if (ctx->args[1] != BPF_TCP_CLOSE)
			return PASS;
	} else if (op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB &&
		   op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB && op != BPF_SOCK_OPS_TCP_LISTEN_CB &&
		   op != BPF_SOCK_OPS_TCP_CONNECT_CB) {
		return PASS;
	}
	struct bpf_sock *sk = ctx->sk;
	struct tcp_sock *tcp = sk ? bpf_skc_to_tcp_sock(sk) : NULL;
	if (!tcp)
		return PASS;
	if (op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB || op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) {
		begin_counting(ctx, tcp);
		return PASS;
	}
	if (op == BPF_SOCK_OPS_STATE_CB && ctx->args[0] != BPF_TCP_LISTEN) {
		count_ended(sk, tcp);
		return PASS;
	}
	if (bpf_get_netns_cookie(ctx) != constants.netns)
		return PASS;
	if (op == BPF_SOCK_OPS_TCP_CONNECT_CB)
		note_client(ctx, tcp);
	else
		note_listener(ctx, sk, tcp, op == BPF_SOCK_OPS_TCP_LISTEN_CB);
	return PASS;
}
