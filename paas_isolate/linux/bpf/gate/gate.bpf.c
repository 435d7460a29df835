// SPDX-License-Identifier: MIT OR GPL-2.0-only
//
// The gate: what a customer's process may bind, connect to and send to, and what it is told of its
// sockets.
//
// An account has an address of its own in each family, its "home". A bind to the wildcard or to
// localhost becomes a bind to the home, so every account has a localhost of its own. A connect to
// localhost goes to the account's own server, where there is one. Addresses of the pool are reached
// by a grant only. What the process asked for is kept beside the socket, so getsockname(2),
// getpeername(2) and recvfrom(2) answer that.
//
// The programs are attached to a cgroup (struct bpf_sock_addr, linux/bpf.h). Addresses are in
// network byte order.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define AF_INET 2
#define AF_INET6 10
#define SOCK_RAW 3
#define LOOPBACK_IFINDEX 1
#define SOL_SOCKET 1
#define SO_MARK 36
#define MAX_ENTRIES 131072

enum verdict {
	REFUSE = 0,
	PASS = 1,
	PASS_LOW = 3, // bind takes a port below 1024 too: BPF_RET_BIND_NO_CAP_NET_BIND_SERVICE,
		      // Linux 5.12
};

// The mark of a customer's listener on the wildcard (SO_MARK), which the ruleset's input chain
// refuses to connect to from outside; LISTENER_MARK of changes/ruleset.py.
#define LISTENER_MARK 0x50000000

// What is read of the kernel's own structures; libbpf puts in the offsets of the running kernel.
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct kernfs_node {
	__u64 id;
};
struct cgroup {
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
#pragma clang attribute pop

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

// Addresses

static __always_inline bool in_loopback4(__be32 address)
{
	return (address & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
}

static __always_inline bool in_pool4(__be32 address)
{
	return (address & constants.mask4) == constants.pool4;
}

static __always_inline bool in_pool6(const struct address6 *address)
{
	__be32 difference = 0;
	for (int i = 0; i < 4; i++)
		difference |=
			(address->word[i] & constants.mask6.word[i]) ^ constants.pool6.word[i];
	return difference == 0;
}

static __always_inline bool same6(const struct address6 *one, const struct address6 *other)
{
	return one->word[0] == other->word[0] && one->word[1] == other->word[1] &&
	       one->word[2] == other->word[2] && one->word[3] == other->word[3];
}

static __always_inline struct address6 mapped(__be32 v4)
{
	return (struct address6){{0, 0, MAPPED, v4}};
}

static __always_inline bool is_mapped(const struct address6 *address)
{
	return !address->word[0] && !address->word[1] && address->word[2] == MAPPED;
}

// The context takes loads and stores of single words only.
static __always_inline struct address6 address6_of(struct bpf_sock_addr *ctx)
{
	struct address6 address;
	address.word[0] = ctx->user_ip6[0];
	address.word[1] = ctx->user_ip6[1];
	address.word[2] = ctx->user_ip6[2];
	address.word[3] = ctx->user_ip6[3];
	return address;
}

static __always_inline void set_address6(struct bpf_sock_addr *ctx, const struct address6 *address)
{
	ctx->user_ip6[0] = address->word[0];
	ctx->user_ip6[1] = address->word[1];
	ctx->user_ip6[2] = address->word[2];
	ctx->user_ip6[3] = address->word[3];
}

// The caller
//
// A customer's process is known by its uid, wherever it is. One with a subordinate uid is known by
// the cgroup of the account, which it cannot leave. All other uids are no customers', in an
// account's cgroup too: root, sshd's monitor, an administrator who became the customer and somebody
// else again.

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

// The home of the account that made a socket; NULL where no account did.
static __always_inline struct home *home_of_socket(const struct sock *sk)
{
	__u32 uid = sk->sk_uid.val;
	if (!uid)
		return NULL;
	struct home *home = bpf_map_lookup_elem(&homes, &uid);
	if (home || !bpf_core_field_exists(struct cgroup, ancestors))
		return home;
	struct cgroup *account = NULL;
	struct cgroup *own = sk->sk_cgrp_data.cgroup;
	__u64 offset =
		bpf_core_field_offset(struct cgroup, ancestors) + constants.level * sizeof(account);
	bpf_probe_read_kernel(&account, sizeof(account), (const char *)own + offset);
	uid = account_uid(uid, BPF_CORE_READ(account, kn, id));
	return bpf_map_lookup_elem(&homes, &uid);
}

static __always_inline bool is_customer(const struct caller *caller)
{
	return caller->home && caller->home->v4;
}

static __always_inline bool is_granted(const struct caller *caller, const struct address6 *address)
{
	if (caller->home && caller->home->flags & FRONTEND)
		return true;
	struct grant grant = {.uid = caller->uid, .address = *address};
	return bpf_map_lookup_elem(&peers, &grant) != NULL;
}

// Names: what a socket was asked for

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

// bind
//
// The wildcard with port 0 stays: clients of the world bind so, and what is sent from there must
// carry the machine's address. With a port it becomes the home for UDP as for TCP: two customers
// may both hold 0.0.0.0:5353.

static __always_inline int plain(struct bpf_sock_addr *ctx)
{
	forget_bound(ctx);
	return PASS;
}

static __always_inline int owned(struct bpf_sock_addr *ctx)
{
	forget_bound(ctx);
	return PASS_LOW;
}

// A bind to an IPv4 address, in `to` the address that it becomes.
static __always_inline int claim4(struct bpf_sock_addr *ctx, const struct caller *caller,
				  __be32 address, __be32 *to)
{
	*to = address;
	if (in_pool4(address))
		return is_customer(caller) && caller->home->v4 == address ? owned(ctx) : REFUSE;
	if (!is_customer(caller))
		return PASS;
	if (address == ANY4) {
		if (!ctx->user_port)
			return plain(ctx);
	} else if (in_loopback4(address)) {
		if (caller->home->flags & SHARED)
			return plain(ctx);
	} else {
		return REFUSE;
	}
	struct address6 asked = mapped(address);
	remember_bound(ctx, &asked);
	*to = caller->home->v4;
	return PASS_LOW;
}

// Whether a socket is of IPv6 only. No helper answers that, so the byte behind family and state is
// read, where struct sock_common has had skc_ipv6only since Linux 4.4 (include/net/sock.h).
static __always_inline bool is_ipv6_only(struct bpf_sock_addr *ctx)
{
	const int offset = 19;
	const __u8 bit = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 1 << 5 : 1 << 2;
	struct bpf_sock *sk = ctx->sk;
	if (!sk)
		return false;
	const __u8 *bytes = (const __u8 *)bpf_skc_to_tcp6_sock(sk);
	if (bytes && bytes[offset] & bit)
		return true;
	bytes = (const __u8 *)bpf_skc_to_udp6_sock(sk);
	return bytes && bytes[offset] & bit;
}

static __always_inline int bind_to_home6(struct bpf_sock_addr *ctx, const struct caller *caller)
{
	struct address6 home = caller->home->v6;
	set_address6(ctx, &home);
	return PASS_LOW;
}

SEC("cgroup/bind4")
int bind4(struct bpf_sock_addr *ctx)
{
	struct caller caller = caller_of(ctx);
	if (!caller.governed)
		return PASS;
	__be32 address = ctx->user_ip4, to;
	int verdict = claim4(ctx, &caller, address, &to);
	if (to != address)
		ctx->user_ip4 = to;
	return verdict;
}

SEC("cgroup/bind6")
int bind6(struct bpf_sock_addr *ctx)
{
	struct caller caller = caller_of(ctx);
	if (!caller.governed)
		return PASS;
	struct address6 address = address6_of(ctx);
	if (is_mapped(&address)) {
		__be32 to;
		int verdict = claim4(ctx, &caller, address.word[3], &to);
		if (to != address.word[3])
			ctx->user_ip6[3] = to;
		return verdict;
	}
	if (in_pool6(&address))
		return is_customer(&caller) && same6(&address, &caller.home->v6) ? owned(ctx)
										 : REFUSE;
	if (!is_customer(&caller))
		return PASS;
	if (same6(&address, &LOOPBACK6)) {
		if (caller.home->flags & SHARED)
			return plain(ctx);
		remember_bound(ctx, &LOOPBACK6);
		return bind_to_home6(ctx, &caller);
	}
	if (!same6(&address, &ANY6))
		return REFUSE;
	if (!ctx->user_port)
		return plain(ctx);
	remember_bound(ctx, &ANY6);
	if (is_ipv6_only(ctx))
		return bind_to_home6(ctx, &caller);
	// IPv4 clients reach a socket on ::, so it becomes the mapped IPv4 address.
	struct address6 home = mapped(caller.home->v4);
	set_address6(ctx, &home);
	return PASS_LOW;
}

// connect and sendto
//
// The "own server" is a socket bound to exactly the home: the kernel's look-up also finds the
// machine's wildcard listeners, and `user@localhost` of its database must stay what it is. Such a
// connection comes from 127.0.0.1, so the server can tell its own localhost from a front end, which
// comes from the address itself.

static __always_inline bool serves4(struct bpf_sock_addr *ctx, const struct caller *caller)
{
	struct bpf_sock_tuple tuple = {
		.ipv4 = {
			.saddr = LOOPBACK4,
			.daddr = caller->home->v4,
			.dport = (__u16)ctx->user_port, // the remote port 0 fits no connection
		}};
	struct bpf_sock *server = NULL;
	if (ctx->protocol == IPPROTO_TCP)
		server = bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	else if (ctx->protocol == IPPROTO_UDP)
		server = bpf_sk_lookup_udp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (!server)
		return false;
	__be32 address = server->src_ip4;
	bpf_sk_release(server);
	return address == caller->home->v4;
}

static __always_inline bool serves6(struct bpf_sock_addr *ctx, const struct caller *caller)
{
	struct bpf_sock_tuple tuple = {};
	struct address6 home = caller->home->v6, address;
	tuple.ipv6.saddr[3] = bpf_htonl(1);
	__builtin_memcpy(tuple.ipv6.daddr, &home, sizeof(home));
	tuple.ipv6.dport = (__u16)ctx->user_port;
	struct bpf_sock *server = NULL;
	if (ctx->protocol == IPPROTO_TCP)
		server = bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	else if (ctx->protocol == IPPROTO_UDP)
		server = bpf_sk_lookup_udp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	if (!server)
		return false;
	address.word[0] = server->src_ip6[0];
	address.word[1] = server->src_ip6[1];
	address.word[2] = server->src_ip6[2];
	address.word[3] = server->src_ip6[3];
	bpf_sk_release(server);
	return same6(&address, &home);
}

enum route {
	ROUTE_REFUSED,
	ROUTE_AS_ASKED,
	ROUTE_HOME4,
	ROUTE_HOME6,
};

// Where a connect to an IPv4 address leads. 0.0.0.0 is localhost for connect(2); `asked` says which
// was meant.
static __always_inline enum route route4(struct bpf_sock_addr *ctx, const struct caller *caller,
					 __be32 *asked)
{
	__be32 address = *asked;
	if (in_pool4(address)) {
		struct address6 there = mapped(address);
		if (caller->home && caller->home->v4 == address)
			return ROUTE_AS_ASKED;
		return is_granted(caller, &there) ? ROUTE_AS_ASKED : ROUTE_REFUSED;
	}
	if (!is_customer(caller) || caller->home->flags & SHARED)
		return ROUTE_AS_ASKED;
	if (address == ANY4)
		*asked = LOOPBACK4;
	else if (!in_loopback4(address))
		return ROUTE_AS_ASKED;
	return serves4(ctx, caller) ? ROUTE_HOME4 : ROUTE_AS_ASKED;
}

// Where a connect to an IPv6 address that maps no IPv4 address leads: ROUTE_HOME6 for the own
// localhost, unasked whether there is a server.
static __always_inline enum route route6(const struct caller *caller,
					 const struct address6 *address)
{
	if (in_pool6(address)) {
		if (caller->home && same6(address, &caller->home->v6))
			return ROUTE_AS_ASKED;
		return is_granted(caller, address) ? ROUTE_AS_ASKED : ROUTE_REFUSED;
	}
	if (!same6(address, &ANY6) && !same6(address, &LOOPBACK6))
		return ROUTE_AS_ASKED;
	return is_customer(caller) && !(caller->home->flags & SHARED) ? ROUTE_HOME6
								      : ROUTE_AS_ASKED;
}

// A socket that is bound already keeps its source: the error does not matter.
static __always_inline void come_from4(struct bpf_sock_addr *ctx)
{
	struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = LOOPBACK4};
	bpf_bind(ctx, (struct sockaddr *)&source, sizeof(source));
}

static __always_inline void come_from6(struct bpf_sock_addr *ctx, const struct address6 *address)
{
	struct sockaddr_in6 source = {.sin6_family = AF_INET6};
	__builtin_memcpy(&source.sin6_addr, address, sizeof(*address));
	bpf_bind(ctx, (struct sockaddr *)&source, sizeof(source));
}

// A customer's listener on the wildcard has a port that the kernel chose: bind(2) with port 0, or
// listen(2) without bind(2), which no program of ours sees. Neighbours would reach it at localhost.
static __always_inline bool is_neighbours(const struct caller *caller, struct bpf_sock *server)
{
	const struct sock *sk = (const struct sock *)bpf_skc_to_tcp_sock(server);
	struct home *home = sk ? home_of_socket(sk) : NULL;
	return home && home->v4 && home->v4 != caller->home->v4 && !(home->flags & SHARED);
}

static __always_inline bool meets_neighbour4(struct bpf_sock_addr *ctx, const struct caller *caller,
					     __be32 address)
{
	struct bpf_sock_tuple tuple = {.ipv4 = {
					       .saddr = LOOPBACK4,
					       .daddr = address,
					       .dport = (__u16)ctx->user_port,
				       }};
	if (!is_customer(caller) || !in_loopback4(address) || ctx->protocol != IPPROTO_TCP)
		return false;
	struct bpf_sock *server =
		bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (!server)
		return false;
	bool meets = is_neighbours(caller, server);
	bpf_sk_release(server);
	return meets;
}

static __always_inline bool meets_neighbour6(struct bpf_sock_addr *ctx, const struct caller *caller)
{
	struct bpf_sock_tuple tuple = {};
	tuple.ipv6.saddr[3] = tuple.ipv6.daddr[3] = bpf_htonl(1);
	tuple.ipv6.dport = (__u16)ctx->user_port;
	if (!is_customer(caller) || ctx->protocol != IPPROTO_TCP)
		return false;
	struct bpf_sock *server =
		bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	if (!server)
		return false;
	bool meets = is_neighbours(caller, server);
	bpf_sk_release(server);
	return meets;
}

static __always_inline bool meets_neighbour(struct bpf_sock_addr *ctx, const struct caller *caller,
					    const struct address6 *address)
{
	if (is_mapped(address))
		return meets_neighbour4(ctx, caller,
					address->word[3] == ANY4 ? LOOPBACK4 : address->word[3]);
	if (same6(address, &ANY6)) // of a socket that is bound to a mapped address, the kernel
				   // makes it 127.0.0.1
		return meets_neighbour6(ctx, caller) || meets_neighbour4(ctx, caller, LOOPBACK4);
	return same6(address, &LOOPBACK6) && meets_neighbour6(ctx, caller);
}

// A TCP socket without a file is the kernel's own, such as the one inside a socket of AF_SMC. Its
// packets have no uid, so the ruleset would not match them.
static __always_inline bool is_kernels(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	if (!sk || ctx->protocol != IPPROTO_TCP)
		return false;
	const struct sock *tcp = (const struct sock *)bpf_skc_to_tcp_sock(sk);
	return tcp && !tcp->sk_socket->file;
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	struct caller caller = caller_of(ctx);
	if (!caller.governed)
		return PASS;
	if (is_customer(&caller) && is_kernels(ctx))
		return REFUSE;
	__be32 address = ctx->user_ip4;
	enum route route = route4(ctx, &caller, &address);
	if (route == ROUTE_AS_ASKED &&
	    meets_neighbour4(ctx, &caller, address == ANY4 ? LOOPBACK4 : address))
		return REFUSE;
	if (route != ROUTE_HOME4)
		return route == ROUTE_REFUSED ? REFUSE : PASS;
	struct address6 asked = mapped(address), home = mapped(caller.home->v4);
	remember_connected(ctx, &asked, &home);
	come_from4(ctx);
	ctx->user_ip4 = caller.home->v4;
	return PASS;
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	struct caller caller = caller_of(ctx);
	if (!caller.governed)
		return PASS;
	if (is_customer(&caller) && is_kernels(ctx))
		return REFUSE;
	struct address6 address = address6_of(ctx), asked = address;
	enum route route;
	if (is_mapped(&address)) {
		route = route4(ctx, &caller, &address.word[3]);
		asked = address;
	} else {
		route = route6(&caller, &address);
		asked = LOOPBACK6;
		if (route == ROUTE_HOME6 &&
		    !serves6(ctx, &caller)) // a server on :: has the mapped IPv4 address
			route = serves4(ctx, &caller) ? ROUTE_HOME4 : ROUTE_AS_ASKED;
	}
	if (route == ROUTE_REFUSED)
		return REFUSE;
	if (route == ROUTE_AS_ASKED)
		return meets_neighbour(ctx, &caller, &address) ? REFUSE : PASS;
	struct address6 source = route == ROUTE_HOME6 ? LOOPBACK6 : mapped(LOOPBACK4);
	struct address6 home = route == ROUTE_HOME6 ? caller.home->v6 : mapped(caller.home->v4);
	remember_connected(ctx, &asked, &home);
	come_from6(ctx, &source);
	set_address6(ctx, &home);
	return PASS;
}

SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr *ctx)
{
	struct caller caller = caller_of(ctx);
	if (!caller.governed)
		return PASS;
	// IP_PKTINFO lets a sender name any address of the machine as the source (ip(7)).
	__be32 source = ctx->msg_src_ip4;
	if (in_pool4(source) && !(is_customer(&caller) && caller.home->v4 == source))
		return REFUSE;
	__be32 address = ctx->user_ip4;
	enum route route = route4(ctx, &caller, &address);
	if (route != ROUTE_HOME4)
		return route == ROUTE_REFUSED ? REFUSE : PASS;
	struct address6 asked = mapped(address), home = mapped(caller.home->v4);
	remember_connected(ctx, &asked, &home);
	if (!source)
		ctx->msg_src_ip4 = LOOPBACK4;
	ctx->user_ip4 = caller.home->v4;
	return PASS;
}

// Mapped addresses never come here: the kernel gives them to sendmsg4.
SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr *ctx)
{
	struct caller caller = caller_of(ctx);
	if (!caller.governed)
		return PASS;
	struct address6 source, address = address6_of(ctx);
	source.word[0] = ctx->msg_src_ip6[0];
	source.word[1] = ctx->msg_src_ip6[1];
	source.word[2] = ctx->msg_src_ip6[2];
	source.word[3] = ctx->msg_src_ip6[3];
	if (in_pool6(&source) && !(is_customer(&caller) && same6(&source, &caller.home->v6)))
		return REFUSE;
	enum route route = is_mapped(&address) ? ROUTE_AS_ASKED : route6(&caller, &address);
	if (route != ROUTE_HOME6)
		return route == ROUTE_REFUSED ? REFUSE : PASS;
	if (!serves6(ctx, &caller))
		return PASS;
	struct address6 home = caller.home->v6;
	remember_connected(ctx, &LOOPBACK6, &home);
	set_address6(ctx, &home);
	return PASS;
}

// getsockname, getpeername and recvfrom
//
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

// Sockets of protocols whose bind(2) and sending the programs above do not see, such as SCTP, are
// refused.

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

// A customer's listener on the wildcard gets a mark, by which the ruleset keeps it from other
// machines.

SEC("sockops")
int listens(struct bpf_sock_ops *ctx)
{
	if (ctx->op != BPF_SOCK_OPS_TCP_LISTEN_CB || bpf_get_netns_cookie(ctx) != constants.netns)
		return PASS;
	if (ctx->family == AF_INET ? ctx->local_ip4
				   : ctx->local_ip6[0] | ctx->local_ip6[1] | ctx->local_ip6[3] |
					     (ctx->local_ip6[2] & ~MAPPED)) // :: and ::ffff:0.0.0.0
		return PASS;
	struct bpf_sock *listener = ctx->sk;
	const struct sock *sk =
		listener ? (const struct sock *)bpf_skc_to_tcp_sock(listener) : NULL;
	struct home *home = sk ? home_of_socket(sk) : NULL;
	__u32 mark = LISTENER_MARK;
	if (home && home->v4)
		bpf_setsockopt(ctx, SOL_SOCKET, SO_MARK, &mark, sizeof(mark));
	return PASS;
}

// Bytes and packets of each account's cgroup, as the IP layer sees them: headers count, the link
// layer does not. A packet that the stack carries whole and cuts later (GSO) is one packet here;
// its bytes are what it carried.

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

// Whether this is a neighbour's first packet for a customer's listener at localhost. The connect
// hook answers at once, but does not find a listener that is bound to the device lo, nor one that
// began to listen after connect(2).
static __always_inline bool from_neighbour(struct __sk_buff *skb)
{
	struct bpf_sock_tuple tuple = {};
	struct tcphdr *tcp;
	struct bpf_sock *own = skb->sk, *other;
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	bool v4 = skb->protocol == bpf_htons(ETH_P_IP);
	if (skb->ifindex != LOOPBACK_IFINDEX || !own)
		return false;
	if (v4) {
		struct iphdr *ip = data;
		if ((void *)(ip + 1) > end || ip->protocol != IPPROTO_TCP ||
		    !in_loopback4(ip->daddr))
			return false;
		tuple.ipv4.saddr = ip->daddr; // the listener is the remote end of the socket that
					      // is looked for
		tuple.ipv4.daddr = ip->saddr;
		tcp = data + ip->ihl * 4;
	} else {
		struct ipv6hdr *ip = data;
		if ((void *)(ip + 1) > end || ip->nexthdr != IPPROTO_TCP)
			return false;
		__builtin_memcpy(tuple.ipv6.saddr, &ip->daddr, sizeof(ip->daddr));
		__builtin_memcpy(tuple.ipv6.daddr, &ip->saddr, sizeof(ip->saddr));
		if (tuple.ipv6.saddr[0] || tuple.ipv6.saddr[1] || tuple.ipv6.saddr[2] ||
		    tuple.ipv6.saddr[3] != bpf_htonl(1))
			return false;
		tcp = (void *)(ip + 1);
	}
	if ((void *)(tcp + 1) > end || !tcp->syn || tcp->ack)
		return false;
	const struct sock *server = (const struct sock *)bpf_skc_to_tcp_sock(own);
	struct home *to = server ? home_of_socket(server) : NULL;
	if (!to || !to->v4 || to->flags & SHARED)
		return false;
	if (v4) {
		tuple.ipv4.sport = tcp->dest;
		tuple.ipv4.dport = tcp->source;
		other = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	} else {
		tuple.ipv6.sport = tcp->dest;
		tuple.ipv6.dport = tcp->source;
		other = bpf_skc_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	if (!other)
		return false;
	const struct sock *client = (const struct sock *)bpf_skc_to_tcp_sock(other);
	struct home *from = client ? home_of_socket(client) : NULL;
	bool refused = from && from->v4 && from->v4 != to->v4;
	bpf_sk_release(other);
	return refused;
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

char LICENSE[] SEC("license") = "Dual MIT/GPL";
