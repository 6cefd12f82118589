#include "gateway/timers.h"

#include <assert.h>

#define SLOT_BITS 6
#define SLOT_MASK (TIMERS_SLOTS - 1)

static uint64_t tick_after(uint64_t ms)          /* the first tick that is not before ms */
{
    return (ms + TIMERS_TICK_MS - 1) / TIMERS_TICK_MS;
}

uint64_t timers_now_ms(const struct timers *w)
{
    return w->clock_ms(w->clock_ctx);
}

void timers_init(struct timers *w, uint64_t (*clock_ms)(void *ctx), void *clock_ctx)
{
    w->clock_ms = clock_ms;
    w->clock_ctx = clock_ctx;
    w->tick = timers_now_ms(w) / TIMERS_TICK_MS + 1;     /* as after a run now */
    w->n = 0;
    for (int level = 0; level < TIMERS_LEVELS; level++) {
        w->used[level] = 0;
        for (int slot = 0; slot < TIMERS_SLOTS; slot++)
            list_init(&w->slots[level][slot]);
    }
}

void timer_init(struct timer *t, void (*expired)(struct timer *t, uint64_t now_ms))
{
    list_init(&t->link);
    t->deadline_ms = 0;
    t->expired = expired;
}

bool timer_is_set(const struct timer *t)
{
    return !list_empty(&t->link);
}

/* Files the timer on the lowest level whose slots still tell its tick from now's. */
static void put(struct timers *w, struct timer *t)
{
    uint64_t due = tick_after(t->deadline_ms);
    uint64_t longest = ((uint64_t)1 << (SLOT_BITS * TIMERS_LEVELS)) - 1;
    unsigned level = 0, slot;

    if (due < w->tick)
        due = w->tick;
    if (due - w->tick > longest)
        due = w->tick + longest;
    while (level < TIMERS_LEVELS - 1 && (due >> (SLOT_BITS * (level + 1))) != (w->tick >> (SLOT_BITS * (level + 1))))
        level++;
    slot = (unsigned)(due >> (SLOT_BITS * level)) & SLOT_MASK;
    list_append(&w->slots[level][slot], &t->link);
    w->used[level] |= (uint64_t)1 << slot;
}

void timer_set(struct timers *w, struct timer *t, uint64_t deadline_ms)
{
    timer_clear(w, t);
    t->deadline_ms = deadline_ms;
    put(w, t);
    w->n++;
}

void timer_start(struct timers *w, struct timer *t, uint64_t delay_ms)
{
    timer_set(w, t, timers_now_ms(w) + delay_ms);
}

void timer_clear(struct timers *w, struct timer *t)
{
    if (!timer_is_set(t))
        return;
    list_remove(&t->link);
    w->n--;
}

static void take_slot(struct timers *w, unsigned level, unsigned slot, struct list *out)
{
    struct list *from = &w->slots[level][slot];

    w->used[level] &= ~((uint64_t)1 << slot);
    list_init(out);
    while (!list_empty(from)) {
        struct list *link = from->next;
        list_remove(link);
        list_append(out, link);
    }
}

/* At the start of a tick: what a higher wheel holds for this stretch comes down, highest level first. */
static void bring_down(struct timers *w)
{
    for (int level = TIMERS_LEVELS - 1; level > 0; level--) {
        struct list moved;

        if ((w->tick & (((uint64_t)1 << (SLOT_BITS * level)) - 1)) != 0)
            continue;
        take_slot(w, (unsigned)level, (unsigned)(w->tick >> (SLOT_BITS * level)) & SLOT_MASK, &moved);
        while (!list_empty(&moved)) {
            struct list *link = moved.next;
            list_remove(link);
            put(w, LIST_OWNER(link, struct timer, link));
        }
    }
}

static void fire(struct timers *w, struct list *due, uint64_t now_ms)
{
    while (!list_empty(due)) {
        struct timer *t = LIST_OWNER(due->next, struct timer, link);

        list_remove(&t->link);
        w->n--;
        t->expired(t, now_ms);
    }
}

/* The next tick at or after `tick` at which something may be due or come down; at most the last tick given. */
static uint64_t next_tick(const struct timers *w, uint64_t last)
{
    uint64_t tick = w->tick;

    while (tick < last) {
        uint64_t rest = w->used[0] >> (tick & SLOT_MASK);
        if (rest != 0)
            return tick + (uint64_t)__builtin_ctzll(rest) < last ? tick + (uint64_t)__builtin_ctzll(rest) : last;
        tick = (tick | SLOT_MASK) + 1;                   /* the next stretch: higher wheels may bring something down */
        if (tick < last)
            return tick;
    }
    return last;
}

void timers_run(struct timers *w, uint64_t now_ms)
{
    uint64_t last = now_ms / TIMERS_TICK_MS;
    struct list due;

    list_init(&due);
    while (w->tick <= last) {
        struct list slot;

        bring_down(w);
        take_slot(w, 0, (unsigned)w->tick & SLOT_MASK, &slot);
        w->tick++;
        while (!list_empty(&slot)) {
            struct list *link = slot.next;
            list_remove(link);
            list_append(&due, link);
        }
        if (w->n == 0)
            w->tick = last + 1;
        else if ((w->tick & SLOT_MASK) != 0)
            w->tick = next_tick(w, last + 1);
    }
    fire(w, &due, now_ms);
}

/* The next tick at which something of a level may be due, or come down from it; UINT64_MAX: never, as far as this level knows. A slot whose
 * stretch has begun has come down; on all levels but the highest nothing is filed beyond the wheel's end. */
static uint64_t next_of_level(const struct timers *w, unsigned level)
{
    unsigned shift = SLOT_BITS * level;
    uint64_t from = (w->tick + (((uint64_t)1 << shift) - 1)) >> shift;       /* the first slot that has not begun, or begins now */
    uint64_t rest = w->used[level] >> (from & SLOT_MASK);

    if (rest != 0)
        return (from + (uint64_t)__builtin_ctzll(rest)) << shift;
    if (level == TIMERS_LEVELS - 1 && w->used[level] != 0)
        return ((from | SLOT_MASK) + 1 + (uint64_t)__builtin_ctzll(w->used[level])) << shift;
    return UINT64_MAX;
}

uint64_t timers_next_ms(const struct timers *w, uint64_t now_ms)
{
    uint64_t tick = UINT64_MAX;

    if (w->n == 0)
        return UINT64_MAX;
    for (unsigned level = 0; level < TIMERS_LEVELS; level++) {
        uint64_t next = next_of_level(w, level);
        tick = next < tick ? next : tick;
    }
    assert(tick != UINT64_MAX);
    return tick * TIMERS_TICK_MS > now_ms ? tick * TIMERS_TICK_MS - now_ms : 0;
}
