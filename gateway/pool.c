#include "gateway/pool.h"
#include "protocol/mem.h"

struct pooled {
    struct list link;
    struct pool *pool;
    struct stream *stream;
    struct timer timer;
};

void pool_init(struct pool *p, size_t limit, uint64_t timeout_ms, struct timers *timers, struct metrics *metrics)
{
    *p = (struct pool){ .limit = limit, .timeout_ms = timeout_ms, .timers = timers, .metrics = metrics };
    list_init(&p->idle);
}

/* In sequential order, for those who look at the sum and for waiters: see places.h. */
static void count(struct pool *p, int change)
{
    p->n += (size_t)change;
    if (p->counted != NULL)
        atomic_fetch_add(p->counted, (size_t)change);
}

static struct stream *release(struct pooled *i)
{
    struct stream *s = stream_take(&i->stream);

    list_remove(&i->link);
    timer_clear(i->pool->timers, &i->timer);
    count(i->pool, -1);
    mem_free(i);
    return s;
}

static void drop(struct pooled *i, enum end_reason why)
{
    struct metrics *m = i->pool->metrics;
    struct stream *s = release(i);

    stream_close(&s);
    metrics_ended(m, METRICS_POOLED, why);
}

static void on_readable(void *ctx)
{
    struct pooled *i = ctx;
    const uint8_t *p;

    if (stream_peek(i->stream, &p) > 0)
        drop(i, END_POOL_UNASKED);
    else if (i->stream->input != STREAM_OPEN)
        drop(i, END_POOL_CLOSED);
}

static void on_writable(void *ctx)
{
    struct pooled *i = ctx;

    if (i->stream->output_error != 0)
        drop(i, END_POOL_CLOSED);
}

static void on_expired(struct timer *t, uint64_t now_ms)
{
    (void)now_ms;
    drop(LIST_OWNER(t, struct pooled, timer), END_POOL_EXPIRED);
}

static const struct stream_events pooled_events = { .readable = on_readable, .writable = on_writable };

static bool is_quiet(struct stream *s)
{
    const uint8_t *p;

    return s->input == STREAM_OPEN && s->output_error == 0 && stream_peek(s, &p) == 0 && stream_flushed(s);
}

void pool_put(struct pool *p, struct stream **s)
{
    struct pooled *i;

    if (p->n >= p->limit || !is_quiet(*s)) {
        metrics_ended(p->metrics, METRICS_POOLED, p->n >= p->limit ? END_POOL_FULL : END_POOL_UNASKED);
        stream_close(s);
        return;
    }
    i = mem_zalloc(sizeof(*i));
    if (i == NULL) {
        stream_close(s);
        return;
    }
    i->pool = p;
    i->stream = stream_take(s);
    timer_init(&i->timer, on_expired);
    list_append(&p->idle, &i->link);
    count(p, 1);
    stream_own(i->stream, &pooled_events, i);
    timer_start(p->timers, &i->timer, p->timeout_ms);
}

struct stream *pool_get(struct pool *p)
{
    while (!list_empty(&p->idle)) {
        struct pooled *i = LIST_OWNER(p->idle.prev, struct pooled, link);
        if (is_quiet(i->stream))
            return release(i);
        drop(i, END_POOL_CLOSED);
    }
    return NULL;
}

void pool_limit(struct pool *p, size_t limit, uint64_t timeout_ms)
{
    p->limit = limit;
    p->timeout_ms = timeout_ms;
    while (p->n > limit)
        drop(LIST_OWNER(p->idle.next, struct pooled, link), END_POOL_FULL);
}

void pool_close_oldest(struct pool *p)
{
    drop(LIST_OWNER(p->idle.next, struct pooled, link), END_POOL_WANTED);
}

void pool_close_all(struct pool *p)
{
    while (!list_empty(&p->idle))
        drop(LIST_OWNER(p->idle.next, struct pooled, link), END_POOL_EXPIRED);
}
