/* timers: intrusive deadlines on a wheel of wheels; setting and clearing are O(1), and *now* is always an argument.
 *
 * The worker drives one set with one uv_timer; tests drive it with invented time. A deadline fires at the first timers_run whose now
 * is not before it, at most TIMERS_TICK_MS late by the wheel's grain, never early. Times are milliseconds of a monotonic clock. */
#ifndef UPGATE_GATEWAY_TIMERS_H
#define UPGATE_GATEWAY_TIMERS_H

#include "gateway/list.h"

#include <stdint.h>

#define TIMERS_TICK_MS 4
#define TIMERS_LEVELS 5                  /* 64 ticks, 64^2, … 64^5 ticks = 49 days; longer ones are cut to that */
#define TIMERS_SLOTS 64

struct timer {
    struct list link;
    uint64_t deadline_ms;
    void (*expired)(struct timer *t, uint64_t now_ms);
};

struct timers {
    uint64_t tick;                       /* everything before this tick has fired */
    uint64_t used[TIMERS_LEVELS];        /* bit per slot: may hold timers */
    struct list slots[TIMERS_LEVELS][TIMERS_SLOTS];
    size_t n;
    uint64_t (*clock_ms)(void *ctx);
    void *clock_ctx;
};

/* clock_ms tells now, whenever somebody asks: uv_now of the worker's loop, or a test's invention. */
void timers_init(struct timers *w, uint64_t (*clock_ms)(void *ctx), void *clock_ctx);
uint64_t timers_now_ms(const struct timers *w);
void timer_init(struct timer *t, void (*expired)(struct timer *t, uint64_t now_ms));
void timer_set(struct timers *w, struct timer *t, uint64_t deadline_ms);     /* set again: moves it */
void timer_start(struct timers *w, struct timer *t, uint64_t delay_ms);      /* timer_set at now + delay */
void timer_clear(struct timers *w, struct timer *t);                         /* idempotent */
bool timer_is_set(const struct timer *t);
/* Calls what is due. A timer set from inside a call fires in a later run at the earliest. */
void timers_run(struct timers *w, uint64_t now_ms);
/* How long nothing can be due, from now; UINT64_MAX when no timer is set. May be too short (a far timer moves a wheel down: once for each), never too long. */
uint64_t timers_next_ms(const struct timers *w, uint64_t now_ms);

#endif
