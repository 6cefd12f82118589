/* forwarded_walk: whose request it is, behind hops that each said from whom they had it.
 *
 * Every hop appends, so only the right end of the list is the word of somebody who is known: the walk begins at the socket's peer and goes
 * from the right through members that are trusted, to the first that is not. A member that names no IP address stops it at the last good
 * one; what stands further left is anybody's invention and is not looked at. tests/protocol/test_forwarded_walk.c */
#ifndef UPGATE_PROTOCOL_FORWARDED_WALK_H
#define UPGATE_PROTOCOL_FORWARDED_WALK_H

#include "protocol/headers.h"
#include "protocol/net_address.h"

/* One or the other: a hop that writes one of them may well pass the other one on as its client invented it. */
enum forwarded_field { FORWARDED_X_FORWARDED_FOR, FORWARDED_RFC7239 };

typedef bool forwarded_trusts(void *ctx, const struct net_address *a);

/* `hop` is trusted: what it said last is believed. */
struct net_address forwarded_walk(const struct headers *fields, enum forwarded_field which, const struct net_address *hop,
                                  forwarded_trusts *trusts, void *ctx);

#endif
