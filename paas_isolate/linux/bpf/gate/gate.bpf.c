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

#include "arrive.bpf.h"
#include "bind.bpf.h"
#include "connect.bpf.h"
#include "connection.bpf.h"
#include "create.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";
