#include "gateway/balance.h"

static bool was_tried(size_t i, uint64_t tried)
{
    return i < UPSTREAM_TRIED_MAX && (tried >> i & 1) != 0;
}

/* By what is asked of a server for its weight. */
static bool is_busier(const struct server *a, const struct server *b)
{
    return a->busy * b->weight > b->busy * a->weight;
}

/* Smooth weighted round robin: each turn everybody gains its weight, the richest serves and pays the sum of all. With `least` only those
 * that are no busier than it take part. */
static struct server *round_robin(struct upstream *u, uint64_t tried, const struct server *least)
{
    struct server *best = NULL;
    long sum = 0;

    for (size_t i = 0; i < u->servers_n; i++) {
        struct server *s = u->servers[i];
        if (was_tried(i, tried) || (least != NULL && is_busier(s, least)))
            continue;
        s->turn += (long)s->weight;
        sum += (long)s->weight;
        if (best == NULL || s->turn > best->turn)
            best = s;
    }
    if (best != NULL)
        best->turn -= sum;
    return best;
}

/* The least busy for its weight; among equals, round robin. */
static struct server *least_busy(struct upstream *u, uint64_t tried)
{
    struct server *least = NULL;

    for (size_t i = 0; i < u->servers_n; i++)
        if (!was_tried(i, tried) && (least == NULL || is_busier(least, u->servers[i])))
            least = u->servers[i];
    return least != NULL ? round_robin(u, tried, least) : NULL;
}

struct server *balance_choose(struct upstream *u, uint64_t tried)
{
    struct server *s = u->conf->balance == CONF_BALANCE_LEAST_BUSY ? least_busy(u, tried) : round_robin(u, tried, NULL);

    return s != NULL ? s : round_robin(u, 0, NULL);
}
