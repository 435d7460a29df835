// SPDX-License-Identifier: MIT OR GPL-2.0-only
// The maps, and what is in them. model/network.py, struct Gate, and gate/content.py are the same in
// Python.

#pragma once

#include "kernel.bpf.h"

enum home_flag {
	SHARED = 1,   // uses the machine's localhost
	FRONTEND = 2, // may connect to every address of the pools
};

enum asked_flag {
	ASKED_BIND = 1,
	ASKED_CONNECT = 2,
};

struct address6 {
	__be32 word[4];
};

// One struct, alone in its section: separate constants are laid out as the compiler likes.
struct constants {
	__u64 netns; // the cookie of the network namespace that the gate is for
	__be32 pool4, mask4;
	struct address6 pool6, mask6;
	__u32 level; // depth of the accounts' cgroups below the root of the hierarchy
	__u32 unused;
	__u64 users; // id of the cgroup whose children they are; 0 while there is none
};

const volatile struct constants constants SEC(".rodata.gate") = {};

struct home {
	__be32 v4; // 0 for a front end that is no account
	__u32 flags;
	struct address6 v6;
};

// The subordinate uids of an account (subuid(5)): first and last of each range, 0 to 0 for none.
#define RANGES 2

struct account {
	__u32 uid; // whose home and grants are the account's
	__u32 first[RANGES], last[RANGES];
};

struct grant {
	__u32 uid;
	struct address6 address; // IPv4 as an IPv6 address that maps it
};

struct names {
	__u32 flags;
	struct address6 bound;     // what bind(2) was asked for
	struct address6 connected; // what connect(2) was asked for
	struct address6 peer;      // and what became of it
};

struct traffic {
	__u64 bytes_in, packets_in, bytes_out, packets_out;
};

// The port that customers' listeners on the wildcard have. An entry stays when they are closed.
struct port {
	__u32 family;
	__u32 number; // in the machine's byte order
};

struct sealed {
	__u32 uid; // of the account; 0 for several, which only listeners bound to devices can be
	__u32 listeners;
};

struct client {
	struct address6 address; // IPv4 as an IPv6 address that maps it
	__u32 port;              // in the machine's byte order
};

enum state {
	TRANSLATES, // the ruleset translates addresses: packets from outside may be for an address
		    // of the pools
	LEAVES,     // a socket bound to such an address has sent to another machine
	STATES,
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_ENTRIES);
	__type(key, __u32); // uid
	__type(value, struct home);
} homes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_ENTRIES);
	__type(key, __u64); // id of the account's cgroup
	__type(value, struct account);
} accounts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_ENTRIES);
	__type(key, struct grant);
	__type(value, __u8);
} peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC |
				  BPF_F_CLONE); // an accepted socket inherits what its listener has
	__type(key, int);
	__type(value, struct names);
} names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_ENTRIES);
	__type(key, __u64); // id of the account's cgroup
	__type(value, struct traffic);
} traffic SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct traffic); // what of this connection is in `traffic` already
} counted SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_ENTRIES); // each port in two families
	__type(key, struct port);
	__type(value, struct sealed);
} sealed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct client);
	__type(value, __u32); // uid of the account, or of no account
} clients SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STATES);
	__type(key, __u32);
	__type(value, __u32);
} states SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8[32]); // the fingerprint of the gate, when all of it is attached
} laid SEC(".maps");

#define ANY6 ((struct address6){})
#define LOOPBACK6 ((struct address6){{0, 0, 0, bpf_htonl(1)}})
#define ANY4 bpf_htonl(INADDR_ANY)
#define LOOPBACK4 bpf_htonl(INADDR_LOOPBACK)
#define MAPPED bpf_htonl(0xffff)
