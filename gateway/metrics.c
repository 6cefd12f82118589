#include "gateway/metrics.h"

#include <inttypes.h>

/* The owning worker is the only writer: a load and a store do, and cost no locked instruction. */
void metrics_add(_Atomic uint64_t *counter, uint64_t amount)
{
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, value + amount, memory_order_relaxed);
}

void metrics_sub(_Atomic uint64_t *gauge, uint64_t amount)
{
    uint64_t value = atomic_load_explicit(gauge, memory_order_relaxed);

    atomic_store_explicit(gauge, value - amount, memory_order_relaxed);
}

void metrics_ended(struct metrics *m, enum metrics_ended what, enum end_reason why)
{
    metrics_add(&m->ended[what][why], 1);
}

void metrics_fault(struct metrics *m, enum metrics_side side, enum fault f)
{
    metrics_add(&m->faults[side][f], 1);
}

static const uint64_t rtt_bounds_ms[METRICS_RTT_BUCKETS - 1] = METRICS_RTT_BOUNDS;

void metrics_rtt(struct metrics *m, enum metrics_side side, uint64_t rtt_ms)
{
    size_t bucket = 0;

    while (bucket < METRICS_RTT_BUCKETS - 1 && rtt_ms > rtt_bounds_ms[bucket])
        bucket++;
    metrics_add(&m->rtt[side][bucket], 1);
    metrics_add(&m->rtt_sum_ms[side], rtt_ms);
}

static uint64_t value_of(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void metrics_sum(struct metrics *into, const struct metrics *from)
{
#define METRICS_SUM(name, help) metrics_add(&into->name, value_of(&from->name));
    METRICS_TABLE(METRICS_SUM)
#undef METRICS_SUM
    for (int what = 0; what < METRICS_ENDED_COUNT; what++)
        for (int why = 0; why < END_REASON_COUNT; why++)
            metrics_add(&into->ended[what][why], value_of(&from->ended[what][why]));
    for (int side = 0; side < METRICS_SIDE_COUNT; side++) {
        for (int f = 0; f < FAULT_COUNT; f++)
            metrics_add(&into->faults[side][f], value_of(&from->faults[side][f]));
        for (int bucket = 0; bucket < METRICS_RTT_BUCKETS; bucket++)
            metrics_add(&into->rtt[side][bucket], value_of(&from->rtt[side][bucket]));
        metrics_add(&into->rtt_sum_ms[side], value_of(&from->rtt_sum_ms[side]));
    }
}

static void print_rtt(const struct metrics *m, enum metrics_side side, const char *word, FILE *out)
{
    uint64_t sum = 0;

    for (size_t bucket = 0; bucket < METRICS_RTT_BUCKETS; bucket++) {
        sum += value_of(&m->rtt[side][bucket]);
        if (bucket < METRICS_RTT_BUCKETS - 1)
            fprintf(out, "upgate_ping_rtt_ms_bucket{side=\"%s\",le=\"%" PRIu64 "\"} %" PRIu64 "\n", word, rtt_bounds_ms[bucket], sum);
    }
    fprintf(out, "upgate_ping_rtt_ms_bucket{side=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", word, sum);
    fprintf(out, "upgate_ping_rtt_ms_sum{side=\"%s\"} %" PRIu64 "\n", word, value_of(&m->rtt_sum_ms[side]));
    fprintf(out, "upgate_ping_rtt_ms_count{side=\"%s\"} %" PRIu64 "\n", word, sum);
}

static void print_one(FILE *out, const char *name, const char *help, uint64_t value)
{
    if (value > 0)
        fprintf(out, "# HELP upgate_%s %s\nupgate_%s %" PRIu64 "\n", name, help, name, value);
}

void metrics_print(const struct metrics *m, FILE *out)
{
    static const char *const what_words[] = { "connection", "exchange", "tunnel", "pooled", "passthrough" };
    static const char *const side_words[] = { "client", "server" };

#define METRICS_PRINT(name, help) print_one(out, #name, help, value_of(&m->name));
    METRICS_TABLE(METRICS_PRINT)
#undef METRICS_PRINT
    for (int what = 0; what < METRICS_ENDED_COUNT; what++)
        for (int why = 0; why < END_REASON_COUNT; why++)
            if (value_of(&m->ended[what][why]) > 0)
                fprintf(out, "upgate_ended{what=\"%s\",reason=\"%s\"} %" PRIu64 "\n", what_words[what],
                        end_reason_word((enum end_reason)why), value_of(&m->ended[what][why]));
    for (int side = 0; side < METRICS_SIDE_COUNT; side++)
        for (int f = 0; f < FAULT_COUNT; f++)
            if (value_of(&m->faults[side][f]) > 0)
                fprintf(out, "upgate_faults{side=\"%s\",fault=\"%s\"} %" PRIu64 "\n", side_words[side],
                        fault_word((enum fault)f), value_of(&m->faults[side][f]));
    for (int side = 0; side < METRICS_SIDE_COUNT; side++)
        if (value_of(&m->rtt_sum_ms[side]) > 0 || value_of(&m->rtt[side][0]) > 0)
            print_rtt(m, (enum metrics_side)side, side_words[side], out);
}
