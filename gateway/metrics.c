#include "gateway/metrics.h"

#include <stddef.h>

const uint32_t metrics_bounds_ms[METRICS_BUCKETS - 1] = METRICS_BOUNDS_MS;

/* The owning worker is the only writer: a load and a store do, and cost no locked instruction. */
void metrics_add(_Atomic uint64_t *counter, uint64_t amount)
{
    atomic_store_explicit(counter, metrics_value(counter) + amount, memory_order_relaxed);
}

void metrics_sub(_Atomic uint64_t *gauge, uint64_t amount)
{
    atomic_store_explicit(gauge, metrics_value(gauge) - amount, memory_order_relaxed);
}

void metrics_ended(struct metrics *m, enum metrics_ended what, enum end_reason why)
{
    metrics_add(&m->ended[what][why], 1);
}

void metrics_fault(struct metrics *m, enum metrics_side side, enum fault f)
{
    metrics_add(&m->faults[side][f], 1);
}

void metrics_close(struct metrics *m, enum metrics_side side, unsigned code)
{
    size_t at = METRICS_CLOSES - 1;

    if (code >= 1000 && code <= 1015)
        at = code - 1000;
    else if (code >= 3000 && code <= 4999)
        at = code < 4000 ? METRICS_CLOSES - 3 : METRICS_CLOSES - 2;
    metrics_add(&m->flow[side].closes[at], 1);
}

void metrics_observe(struct metrics_histogram *h, uint64_t ms)
{
    size_t bucket = 0;

    while (bucket < METRICS_BUCKETS - 1 && ms > metrics_bounds_ms[bucket])
        bucket++;
    metrics_add(&h->buckets[bucket], 1);
    metrics_add(&h->sum_ms, ms);
}

void metrics_time(struct metrics *m, enum metrics_time what, uint64_t ms)
{
    metrics_observe(&m->times[what], ms);
}

/* A set is nothing but counters. */
static void sum_counters(void *into, const void *from, size_t bytes)
{
    _Atomic uint64_t *to = into;
    const _Atomic uint64_t *of = from;

    for (size_t i = 0; i < bytes / sizeof(*to); i++)
        metrics_add(&to[i], metrics_value(&of[i]));
}

void metrics_sum(struct metrics *into, const struct metrics *from)
{
    sum_counters(into, from, sizeof(*into));
}

void metrics_sum_histogram(struct metrics_histogram *into, const struct metrics_histogram *from)
{
    sum_counters(into, from, sizeof(*into));
}
