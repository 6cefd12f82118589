/* balance: which server of an upstream takes the next request.
 *
 * Of the servers that are no worse than any other (enum server_tier) and were not tried yet, one with room for a connection: in turn, or the
 * least busy, by weight. */
#ifndef UPGATE_GATEWAY_BALANCE_H
#define UPGATE_GATEWAY_BALANCE_H

#include "gateway/upstream.h"

struct balance_wish {
    uint64_t tried;                      /* bit per slot; when all were tried, any of them again */
    bool fresh;                          /* a kept connection is of no use */
};

enum balance_verdict {
    BALANCE_FOUND,
    BALANCE_FULL,                        /* none has room, or others have waited longer for it */
    BALANCE_NONE,                        /* none is up */
};

/* On BALANCE_FULL wish->tried becomes what may be waited for: no server that is not among the best. */
enum balance_verdict balance_choose(struct upstream *u, struct balance_wish *wish, struct server **out);

#endif
