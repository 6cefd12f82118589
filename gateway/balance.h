/* balance: which server of an upstream takes the next request.
 *
 * Of the servers that are no worse than any other (enum server_tier) and were not tried yet, one with room for a connection: in turn, or the
 * least busy, or the one that a key belongs to; all by weight.
 *
 * A key belongs to a server by rendezvous hashing: each server draws a lot for the key, which only the two determine, and the best lot has it.
 * So every gateway comes to the same answer without asking; a further server takes from each other one what is its own, and nothing else
 * moves; the keys of one that is down, full or tried spread over all others. With a bound, one that is too
 * busy for its share is passed over in the same way; how busy it is, each gateway knows for itself.
 *
 * Who is bound to a server (a cookie names it) gets no other as long as it is up: also when it drains, is in reserve, or has to be waited for.
 * tests/gateway/test_balance.c */
#ifndef UPGATE_GATEWAY_BALANCE_H
#define UPGATE_GATEWAY_BALANCE_H

#include "gateway/upstream.h"

struct balance_wish {
    uint64_t tried;                      /* bit per slot; when all were tried, any of them again */
    bool fresh;                          /* a kept connection is of no use */
    bool keyed;                          /* with balance: hash: there is a key, whose hash this is; otherwise in turn */
    uint64_t key;
    bool bound;                          /* before all that: the server with this id, if it is up */
    uint64_t bound_to;
    struct server_state *wanted;         /* on BALANCE_FULL: only this one is waited for; NULL: any that was not tried */
};

enum balance_verdict {
    BALANCE_FOUND,
    BALANCE_FULL,                        /* none has room, or others have waited longer for it */
    BALANCE_NONE,                        /* none is up */
};

/* On BALANCE_FULL wish->tried becomes what may be waited for: no server that is not among the best. */
enum balance_verdict balance_choose(struct upstream *u, struct balance_wish *wish, struct server **out);

#endif
