// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Addresses. They are in network byte order.

#pragma once

#include "maps.bpf.h"

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

static __always_inline bool is_localhost(const struct address6 *address)
{
	return is_mapped(address) ? in_loopback4(address->word[3]) : same6(address, &LOOPBACK6);
}

static __always_inline bool is_wildcard(const struct address6 *address)
{
	return !address->word[3] && (same6(address, &ANY6) || is_mapped(address));
}

static __always_inline bool in_pools(const struct address6 *address)
{
	return is_mapped(address) ? in_pool4(address->word[3]) : in_pool6(address);
}

// The context takes loads and stores of single words only, at offsets that are constants.
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

// An end of a connection, in the context of programs that see both families. The barriers keep the
// compiler from making one load of two.
#define END_OF(ctx, v4, v6)                         \
	({                                          \
		struct address6 end;                \
		if ((ctx)->family == AF_INET) {     \
			__be32 single = (ctx)->v4;  \
			barrier_var(single);        \
			end = mapped(single);       \
		} else {                            \
			end.word[0] = (ctx)->v6[0]; \
			end.word[1] = (ctx)->v6[1]; \
			end.word[2] = (ctx)->v6[2]; \
			end.word[3] = (ctx)->v6[3]; \
			barrier_var(end.word[3]);   \
		}                                   \
		end;                                \
	})
