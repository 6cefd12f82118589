#include "gateway/tally.h"
#include "protocol/mem.h"

struct tally *tally_new(const char *name, unsigned workers)
{
    struct tally *t = mem_zalloc(sizeof(*t) + workers * sizeof(t->counts[0]));

    if (t == NULL)
        return NULL;
    atomic_init(&t->holders, 1);
    t->workers = workers;
    t->name = mem_strdup(name);
    if (t->name != NULL)
        return t;
    mem_free(t);
    return NULL;
}

struct tally *tally_hold(struct tally *t)
{
    atomic_fetch_add_explicit(&t->holders, 1, memory_order_relaxed);
    return t;
}

void tally_release(struct tally **t)
{
    struct tally *taken = *t;

    *t = NULL;
    if (taken == NULL || atomic_fetch_sub_explicit(&taken->holders, 1, memory_order_acq_rel) > 1)
        return;
    mem_free(taken->name);
    mem_free(taken);
}

struct tally_counts tally_sum(const struct tally *t)
{
    struct tally_counts sum = { 0 };

    for (unsigned w = 0; w < t->workers; w++) {
        const struct tally_counts *c = &t->counts[w];
        for (int i = 0; i < TALLY_CLASSES; i++)
            metrics_add(&sum.exchanges[i], metrics_value(&c->exchanges[i]));
        metrics_add(&sum.tunnels, metrics_value(&c->tunnels));
        metrics_add(&sum.tunnels_open, metrics_value(&c->tunnels_open));
        metrics_add(&sum.bytes_from_clients, metrics_value(&c->bytes_from_clients));
        metrics_add(&sum.bytes_to_clients, metrics_value(&c->bytes_to_clients));
        metrics_sum_histogram(&sum.response, &c->response);
    }
    return sum;
}

void tally_exchange(struct tally_counts *c, unsigned status, uint64_t bytes_from_client, uint64_t bytes_to_client)
{
    metrics_add(&c->exchanges[status < 600 ? status / 100 : 0], 1);
    metrics_add(&c->bytes_from_clients, bytes_from_client);
    metrics_add(&c->bytes_to_clients, bytes_to_client);
}

void tally_tunnel_begins(struct tally_counts *c)
{
    metrics_add(&c->tunnels, 1);
    metrics_add(&c->tunnels_open, 1);
}

void tally_tunnel_ends(struct tally_counts *c, uint64_t bytes_from_client, uint64_t bytes_to_client)
{
    metrics_sub(&c->tunnels_open, 1);
    metrics_add(&c->bytes_from_clients, bytes_from_client);
    metrics_add(&c->bytes_to_clients, bytes_to_client);
}
