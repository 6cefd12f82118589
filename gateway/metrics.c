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
    for (int side = 0; side < METRICS_SIDE_COUNT; side++)
        for (int f = 0; f < FAULT_COUNT; f++)
            metrics_add(&into->faults[side][f], value_of(&from->faults[side][f]));
}

static void print_one(FILE *out, const char *name, const char *help, uint64_t value)
{
    if (value > 0)
        fprintf(out, "# HELP upgate_%s %s\nupgate_%s %" PRIu64 "\n", name, help, name, value);
}

void metrics_print(const struct metrics *m, FILE *out)
{
    static const char *const what_words[] = { "connection", "exchange", "tunnel", "pooled" };
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
}
