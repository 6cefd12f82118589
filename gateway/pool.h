/* pool: idle connections to one server, kept for the next request, newest first.
 *
 * A kept connection is watched: when the server closes it, or says anything on it (a response nobody asked for), it is closed here and
 * never given to an exchange. A connection that ever saw an upgrade is never put in. Bounded in number and in time. */
#ifndef UPGATE_GATEWAY_POOL_H
#define UPGATE_GATEWAY_POOL_H

#include "gateway/metrics.h"
#include "gateway/stream.h"
#include "gateway/timers.h"

struct pool {
    struct list idle;                    /* newest last */
    size_t n;
    _Atomic size_t *counted;             /* where n is added up for others to read, or NULL */
    size_t limit;
    uint64_t timeout_ms;
    struct timers *timers;
    struct metrics *metrics;
};

void pool_init(struct pool *p, size_t limit, uint64_t timeout_ms, struct timers *timers, struct metrics *metrics);
/* Takes the stream: it is kept, or closed when there is no room or it is not quiet. */
void pool_put(struct pool *p, struct stream **s);
/* Another limit from now on: what is too much is closed, oldest first; what is kept already keeps its deadline. */
void pool_limit(struct pool *p, size_t limit, uint64_t timeout_ms);
struct stream *pool_get(struct pool *p);         /* NULL: none is there. stream_own follows */
void pool_close_oldest(struct pool *p);          /* one is there */
void pool_close_all(struct pool *p);

#endif
