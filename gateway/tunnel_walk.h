/* tunnel_walk: which tunnels of a worker, and what is to become of them: shown, closed, drained, or the longest and the busiest found.
 *
 * There may be very many tunnels: a walk takes slices of them, one per turn of the loop, and stands at a tunnel meanwhile that may end
 * (tunnel_walk_left). One walk per worker at a time. tests/gateway/test_tunnel_walk.c */
#ifndef UPGATE_GATEWAY_TUNNEL_WALK_H
#define UPGATE_GATEWAY_TUNNEL_WALK_H

#include "gateway/services.h"
#include "gateway/text.h"

#define TUNNEL_QUERY_WORD_BYTES 512
#define TUNNEL_QUERY_REASON_BYTES 123    /* RFC 6455 section 5.5: a Close has 125 bytes, two of them are the code */
#define TUNNEL_WALK_BUSIEST 10
#define TUNNEL_WALK_PARTS 1000000        /* of a whole, in `fraction` */

enum tunnel_deed { TUNNEL_SHOW, TUNNEL_RANK, TUNNEL_CLOSE, TUNNEL_DRAIN };

/* Shared by all workers' walks; nobody changes it meanwhile but `left`. */
struct tunnel_query {
    enum tunnel_deed deed;
    /* which: everything that is given has to agree; an empty word and a 0 agree with all */
    char upstream[TUNNEL_QUERY_WORD_BYTES], server[TUNNEL_QUERY_WORD_BYTES], route[TUNNEL_QUERY_WORD_BYTES];
    char client[TUNNEL_QUERY_WORD_BYTES];        /* an address, without a port */
    uint64_t older_ms;
    bool one;                            /* only this one: */
    unsigned worker;
    uint32_t number;
    /* what */
    _Atomic size_t left;                 /* SHOW: so many more; RANK: the same of the longest */
    uint32_t fraction;                   /* DRAIN: how many of TUNNEL_WALK_PARTS */
    uint64_t spread_ms;                  /* DRAIN */
    unsigned code;                       /* CLOSE */
    char reason[TUNNEL_QUERY_REASON_BYTES + 1];  /* CLOSE */
};

struct tunnel_rank {
    uint64_t rate;                       /* bytes per second, both ways */
    struct text text;
};

struct tunnel_walk {
    struct tunnel_query *query;
    struct list *at;                     /* the tunnel that is next */
    size_t matched, done;                /* tunnels that the query is about; that were shown, closed or drained */
    struct text text;                    /* SHOW, RANK (the longest): JSON objects with commas between them */
    struct tunnel_rank busiest[TUNNEL_WALK_BUSIEST];     /* RANK, the busiest first */
    uint64_t now_ms;
    uint64_t phase;                      /* DRAIN: see tunnel_spread_ms */
    uint64_t share;                      /* DRAIN: parts that no tunnel has yet */
};

void tunnel_walk_begin(struct tunnel_walk *w, struct services *services, struct tunnel_query *query);
/* The next tunnels, at most so many; true: those were the last ones. */
bool tunnel_walk_on(struct tunnel_walk *w, struct services *services, size_t most);
void tunnel_walk_left(struct tunnel_walk *w, const struct list *tunnel);        /* it ends: its link is about to go */
void tunnel_walk_free(struct tunnel_walk *w);

#endif
