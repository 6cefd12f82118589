/* latency: how long things take that begin at a given rate. Each is timed from when it was due, not from when it was begun: what waits behind
 * one that is slow is slow as well. */
#include "tests/bench/load.h"

#include <stdlib.h>

#define REST_DEADLINE_NS ((uint64_t)20 * 1000000000)

static uint64_t *noted;
static size_t noted_n, noted_max;

void latency_note(uint64_t ns)
{
    if (noted_n < noted_max)
        noted[noted_n++] = ns;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static double part_us(double part)
{
    size_t at = (size_t)((double)noted_n * part);

    return noted_n == 0 ? 0 : (double)noted[at < noted_n ? at : noted_n - 1] / 1e3;
}

struct latency latency_found(void)
{
    qsort(noted, noted_n, sizeof(*noted), compare);
    return (struct latency){ .count = noted_n, .p50_us = part_us(0.5), .p99_us = part_us(0.99), .p999_us = part_us(0.999), .most_us = part_us(1) };
}

static void turn_until(uint64_t at_ns)
{
    uint64_t now;

    do {
        now = net_now_ns();
        net_turn_ns(now < at_ns ? at_ns - now : 0);
    } while (net_now_ns() < at_ns);
}

static void begin_note(size_t count)
{
    free(noted);
    noted = net_alloc(count * sizeof(*noted));
    noted_max = count;
    noted_n = 0;
}

static bool pace_one(uint64_t due_ns)
{
    uint64_t stop = due_ns + REST_DEADLINE_NS;

    turn_until(due_ns);
    while (!clients_pace(due_ns)) {
        if (net_now_ns() > stop)
            return false;
        net_turn(1);
    }
    return true;
}

const char *latency_pace(unsigned per_second, double seconds)
{
    uint64_t begin = net_now_ns(), stop, before = run_counts.done + run_counts.failed;
    size_t count = (size_t)(per_second * seconds);

    begin_note(count);
    for (size_t i = 0; i < count; i++)
        if (!pace_one(begin + i * 1000000000 / per_second))
            return "no tunnel is quiet";
    stop = net_now_ns() + REST_DEADLINE_NS;
    while (run_counts.done + run_counts.failed - before < count && net_now_ns() < stop)
        net_turn(10);
    return run_counts.done + run_counts.failed - before == count ? NULL : "not all that was begun came to an end";
}
