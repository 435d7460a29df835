// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Who calls, and whose a socket is.
//
// A customer's process is known by its uid, wherever it is. One with a subordinate uid is known by
// the cgroup of the account, which it cannot leave. All other uids are no customers', in an
// account's cgroup too: root, sshd's monitor, an administrator who became the customer and somebody
// else again.

#pragma once

#include "addresses.bpf.h"

struct caller {
	bool governed; // false for root, and in a network namespace of one's own, where the pools'
		       // addresses are not
	__u32 uid;         // of the account, where it is a subordinate one
	struct home *home; // of an account or a front end, or NULL
};

// The account's uid that a uid in this cgroup stands for: itself, unless it is a subordinate one.
static __always_inline __u32 account_uid(__u32 uid, __u64 cgroup)
{
	struct account *account = bpf_map_lookup_elem(&accounts, &cgroup);
	for (int i = 0; account && i < RANGES; i++)
		if (account->last[i] && account->first[i] <= uid && uid <= account->last[i])
			return account->uid;
	return uid;
}

static __always_inline struct caller caller_in(__u64 netns)
{
	struct caller caller = {.uid = (__u32)bpf_get_current_uid_gid()};
	if (!caller.uid || netns != constants.netns)
		return caller;
	caller.governed = true;
	caller.home = bpf_map_lookup_elem(&homes, &caller.uid);
	if (caller.home)
		return caller;
	caller.uid = account_uid(caller.uid, bpf_get_current_ancestor_cgroup_id(constants.level));
	caller.home = bpf_map_lookup_elem(&homes, &caller.uid);
	return caller;
}

static __always_inline struct caller caller_of(struct bpf_sock_addr *ctx)
{
	return caller_in(bpf_get_netns_cookie(ctx));
}

// The id of the account's cgroup that a socket was made in; 0 where it was made elsewhere.
static __always_inline __u64 account_of_socket(const struct sock *sk)
{
	struct cgroup *above[2] = {}; // `users` and the account
	struct cgroup *own = sk->sk_cgrp_data.cgroup;
	__u64 offset = bpf_core_field_offset(struct cgroup, ancestors) +
		       (constants.level - 1) * sizeof(own);
	if (!constants.users || own->level < (int)constants.level)
		return 0;
	bpf_probe_read_kernel(above, sizeof(above), (const char *)own + offset);
	if (BPF_CORE_READ(above[0], kn, id) != constants.users)
		return 0;
	return BPF_CORE_READ(above[1], kn, id);
}

// The uid of the account that made a socket, or of no account.
static __always_inline __u32 uid_of_socket(const struct sock *sk)
{
	__u32 uid = sk->sk_uid.val;
	if (!uid || bpf_map_lookup_elem(&homes, &uid))
		return uid;
	return account_uid(uid, account_of_socket(sk));
}

static __always_inline bool is_customers(struct home *home)
{
	return home && home->v4;
}

static __always_inline bool is_customer(const struct caller *caller)
{
	return is_customers(caller->home);
}

static __always_inline bool is_granted(const struct caller *caller, const struct address6 *address)
{
	if (caller->home && caller->home->flags & FRONTEND)
		return true;
	struct grant grant = {.uid = caller->uid, .address = *address};
	return bpf_map_lookup_elem(&peers, &grant) != NULL;
}
