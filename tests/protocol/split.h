/* split: runs a case with its bytes arriving whole, cut at every place, at every pair of places (up to 400 bytes) and one by one.
 *
 * What is run writes down what it saw; every way of arriving has to give the same text. */
#ifndef UPGATE_TESTS_PROTOCOL_SPLIT_H
#define UPGATE_TESTS_PROTOCOL_SPLIT_H

#include "protocol/span.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPLIT_PAIRS_BYTES 400
#ifndef SPLIT_LOG_BYTES
#define SPLIT_LOG_BYTES 8192
#endif

struct split_log {
    size_t n;
    char text[SPLIT_LOG_BYTES];
};

static inline void split_write(struct split_log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline void split_write(struct split_log *log, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(log->text + log->n, sizeof(log->text) - log->n, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(log->text) - log->n) {
        fprintf(stderr, "split: the log is full\n");
        abort();
    }
    log->n += (size_t)n;
}

/* Where a stream's bytes are cut: the reader sees all bytes up to a stop before any byte behind it. step 0: only at the stops. */
struct split_arrival {
    size_t stops[2];
    size_t n;                            /* of stops */
    size_t step;
};

/* How many bytes there are when `seen` of `total` were not enough. */
static inline size_t split_next(const struct split_arrival *a, size_t seen, size_t total)
{
    if (a->step > 0)
        return seen + a->step < total ? seen + a->step : total;
    for (size_t i = 0; i < a->n; i++)
        if (seen < a->stops[i])
            return a->stops[i];
    return total;
}

typedef void split_run(void *ctx, struct span bytes, const struct split_arrival *arrival, struct split_log *log);

static inline void split_compare(const char *name, const struct split_log *due, const struct split_log *got,
                                 const struct split_arrival *a)
{
    if (due->n == got->n && memcmp(due->text, got->text, due->n) == 0)
        return;
    fprintf(stderr, "%s: cut at %zu and %zu, step %zu:\n  whole: %s\n  cut:   %s\n", name, a->n > 0 ? a->stops[0] : 0,
            a->n > 1 ? a->stops[1] : 0, a->step, due->text, got->text);
    abort();
}

static inline void split_once(const char *name, split_run *run, void *ctx, struct span bytes, struct split_arrival arrival,
                              const struct split_log *due)
{
    static struct split_log got;

    got.n = 0;
    got.text[0] = '\0';
    run(ctx, bytes, &arrival, &got);
    split_compare(name, due, &got, &arrival);
}

/* The log of the whole case, after every other way gave the same. */
static inline void split_all(const char *name, split_run *run, void *ctx, struct span bytes, struct split_log *whole)
{
    const struct split_arrival all_at_once = { .n = 0 };

    whole->n = 0;
    whole->text[0] = '\0';
    run(ctx, bytes, &all_at_once, whole);
    split_once(name, run, ctx, bytes, (struct split_arrival){ .step = 1 }, whole);
    split_once(name, run, ctx, bytes, (struct split_arrival){ .step = 7 }, whole);
    for (size_t i = 1; i < bytes.n; i++) {
        split_once(name, run, ctx, bytes, (struct split_arrival){ .stops = { i }, .n = 1 }, whole);
        for (size_t j = i + 1; j < bytes.n && bytes.n <= SPLIT_PAIRS_BYTES; j++)
            split_once(name, run, ctx, bytes, (struct split_arrival){ .stops = { i, j }, .n = 2 }, whole);
    }
}

#endif
