// SPDX-License-Identifier: MIT OR GPL-2.0-only
// What the programs take from the kernel: headers, numbers, and structures of its own.

#pragma once

#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define AF_INET 2
#define AF_INET6 10
#define SOCK_RAW 3
#define LOOPBACK_IFINDEX 1
#define MAX_ENTRIES 131072

enum verdict {
	REFUSE = 0,
	PASS = 1,
	PASS_LOW = 3, // bind takes a port below 1024 too: BPF_RET_BIND_NO_CAP_NET_BIND_SERVICE,
		      // Linux 5.12
};

// What is read of the kernel's own structures; libbpf puts in the offsets of the running kernel.
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct kernfs_node {
	__u64 id;
};
struct cgroup {
	int level;
	struct kernfs_node *kn;
	struct cgroup *ancestors[1]; // Linux 6.1
};
struct sock_cgroup_data {
	struct cgroup *cgroup;
};
struct file;
struct socket {
	struct file *file;
};
typedef struct {
	__u32 val;
} kuid_t;
struct sock {
	struct socket *sk_socket;
	kuid_t sk_uid;
	struct sock_cgroup_data sk_cgrp_data;
};
struct tcp_sock {
	__u64 bytes_received, bytes_acked;
	__u32 segs_in, segs_out;
};
struct sock_common;
struct bpf_iter__tcp {
	struct sock_common *sk_common;
};
#pragma clang attribute pop
