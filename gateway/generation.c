#include "gateway/generation.h"
#include "protocol/mem.h"

#include <string.h>

struct generation *generation_new(struct conf *conf, unsigned number)
{
    struct generation *g = mem_zalloc(sizeof(*g));

    if (g == NULL) {
        conf_free(conf);
        return NULL;
    }
    atomic_init(&g->holders, 1);
    g->conf = conf;
    g->number = number;
    return g;
}

bool generation_load_tls(struct generation *g, struct tls_tickets *tickets, FILE *messages)
{
    g->tls = tls_set_new(g->conf, tickets, messages);
    return g->tls != NULL;
}

struct generation *generation_hold(struct generation *g)
{
    atomic_fetch_add_explicit(&g->holders, 1, memory_order_relaxed);
    return g;
}

void generation_release(struct generation **g)
{
    struct generation *taken = *g;

    *g = NULL;
    if (taken == NULL || atomic_fetch_sub_explicit(&taken->holders, 1, memory_order_acq_rel) > 1)
        return;
    tls_set_free(taken->tls);
    conf_free(taken->conf);
    mem_free(taken);
}

static size_t place_among_equals(const struct conf *c, const struct conf_listener *listener)
{
    size_t n = 0;

    for (const struct conf_listener *l = c->listeners; l < listener; l++)
        n += strcmp(l->address.text, listener->address.text) == 0;
    return n;
}

const struct conf_listener *generation_same_listener(const struct conf *now, const struct conf *before, const struct conf_listener *listener)
{
    size_t place = place_among_equals(before, listener);

    for (const struct conf_listener *l = now->listeners; l < now->listeners + now->listeners_n; l++)
        if (strcmp(l->address.text, listener->address.text) == 0 && place-- == 0)
            return l;
    return NULL;
}
