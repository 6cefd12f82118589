/* snapshot: one worker's view of one generation: the conf, its upstreams with everything that changes in them, and what is derived.
 *
 * services->snapshot is the one in force. A client takes it for each new request and the exchange goes on under it to its end; so does a
 * tunnel that comes of it, for life. It is counted within the worker and freed, with the conf if it was the last to hold that, when the
 * last of them ends. Servers move from each snapshot to the next. tests/gateway/test_snapshot.c */
#ifndef UPGATE_GATEWAY_SNAPSHOT_H
#define UPGATE_GATEWAY_SNAPSHOT_H

#include "gateway/generation.h"
#include "gateway/upstream.h"
#include "protocol/http1_parse.h"

struct snapshot {
    size_t holders;
    struct generation *generation;       /* held */
    const struct conf *conf;             /* the generation's */
    struct upstream *upstreams;          /* in the order of conf->upstreams */
    struct span *strip_also;             /* conf->forwarded.strip as spans */
    struct http1_limits request_limits, response_limits;
};

/* Without servers yet, so that it can be made in any thread, before the worker sees it. It holds the generation, the caller holds it. NULL: no
 * memory. */
struct snapshot *snapshot_new(struct generation *g, const struct upstream_worker *worker);
struct snapshot *snapshot_hold(struct snapshot *s);
void snapshot_release(struct snapshot **s);              /* NULL-safe, *s becomes NULL */

/* In the worker, once: `now` follows `before`. Its servers are from here on those of before, where they are the same; the others of
 * before keep no connection any more, and end with their last exchange or tunnel. Cannot fail. */
void snapshot_follow(struct snapshot *now, struct snapshot *before);
/* What this worker counts for a route, for an upstream of the snapshot. */
struct tally_counts *snapshot_route_counts(const struct snapshot *s, const struct conf_route *route, unsigned worker);
struct tally_counts *snapshot_upstream_counts(const struct snapshot *s, size_t upstream, unsigned worker);
void snapshot_close_idle(struct snapshot *s);            /* no connection is kept any longer */

#endif
