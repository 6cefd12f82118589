#include "gateway/balance.h"

static bool was_tried(size_t i, uint64_t tried)
{
    return i < UPSTREAM_TRIED_MAX && (tried >> i & 1) != 0;
}

/* Smooth weighted round robin: each turn everybody gains its weight, the richest serves and pays the sum of all. */
static struct server *round_robin(struct upstream *u, uint64_t tried)
{
    struct server *best = NULL;
    long sum = 0;

    for (size_t i = 0; i < u->servers_n; i++) {
        struct server *s = &u->servers[i];
        if (was_tried(i, tried))
            continue;
        s->turn += (long)s->conf->weight;
        sum += (long)s->conf->weight;
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
    struct server *best = NULL;

    for (size_t i = 0; i < u->servers_n; i++) {
        struct server *s = &u->servers[i];
        if (!was_tried(i, tried) && (best == NULL || s->busy * best->conf->weight < best->busy * s->conf->weight))
            best = s;
    }
    if (best == NULL)
        return NULL;
    for (size_t i = 0; i < u->servers_n; i++)
        if (u->servers[i].busy * best->conf->weight > best->busy * u->servers[i].conf->weight && i < UPSTREAM_TRIED_MAX)
            tried |= (uint64_t)1 << i;
    return round_robin(u, tried);
}

struct server *balance_choose(struct upstream *u, uint64_t tried)
{
    struct server *s = u->conf->balance == CONF_BALANCE_LEAST_BUSY ? least_busy(u, tried) : round_robin(u, tried);

    return s != NULL ? s : round_robin(u, 0);
}
