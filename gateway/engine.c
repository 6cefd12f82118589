#include "gateway/engine.h"
#include "gateway/resolver.h"

#include <errno.h>

static uint64_t clock_ms(void *ctx)
{
    return uv_now(ctx);
}

static void on_beat(uv_timer_t *timer)
{
    (void)timer;                         /* the turn does what is due */
}

static void on_helped(uv_async_t *async)
{
    tls_home_collect(&((struct engine *)async->data)->tls.home);
}

static void wake_for_helped(void *ctx)   /* from any thread */
{
    uv_async_send(&((struct engine *)ctx)->helped);
}

static bool make_parts(struct engine *e, struct tls_helpers *helpers)
{
    struct tls_loop_start tls = {
        .ready = &e->ready, .timers = &e->timers, .metrics = e->services.metrics, .helpers = helpers, .places = 1,
        .wake = wake_for_helped, .ctx = e,
    };

    if (stream_uv_loop_init(&e->streams, e->uv, &e->ready) != 0)
        return false;
    e->tls_made = tls_loop_init(&e->tls, &tls) == 0;
    e->resolver = resolver_new(e->uv, &e->ready, 0);
    e->services.dialer = e->resolver != NULL ? dialer_uv_new(&e->streams, &e->timers, e->resolver) : NULL;
    return e->tls_made && e->services.dialer != NULL;
}

int engine_open(struct engine *e, uv_loop_t *uv, struct metrics *metrics, struct tls_helpers *helpers)
{
    *e = (struct engine){ .uv = uv };
    uv_timer_init(uv, &e->beat);
    uv_async_init(uv, &e->helped, on_helped);
    e->helped.data = e;
    timers_init(&e->timers, clock_ms, uv);
    ready_queue_init(&e->ready);
    e->services.timers = &e->timers;
    e->services.ready = &e->ready;
    e->services.metrics = metrics;
    e->services.tls = &e->tls;
    return make_parts(e, helpers) ? 0 : -ENOMEM;
}

/* What came of the last turn is done before the wait; and where something was done there is none, so that whoever turns can look. */
void engine_turn(struct engine *e)
{
    bool busy = !ready_queue_empty(&e->ready);
    uint64_t rest_ms;

    ready_queue_run(&e->ready);
    rest_ms = timers_next_ms(&e->timers, uv_now(e->uv));
    if (!e->closed && rest_ms != UINT64_MAX)
        uv_timer_start(&e->beat, on_beat, rest_ms, 0);
    uv_run(e->uv, busy || !ready_queue_empty(&e->ready) ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    timers_run(&e->timers, uv_now(e->uv));
    ready_queue_run(&e->ready);
}

bool engine_is_quiet(const struct engine *e)
{
    return e->streams.open == 0 && ready_queue_empty(&e->ready) && (!e->tls_made || e->tls.home.away == 0);
}

void engine_close(struct engine *e)
{
    if (e->closed)
        return;
    e->closed = true;
    uv_close((uv_handle_t *)&e->beat, NULL);
    uv_close((uv_handle_t *)&e->helped, NULL);
    stream_uv_loop_close(&e->streams);
}

void engine_free(struct engine *e)
{
    dialer_uv_free(e->services.dialer);
    resolver_free(e->resolver);
    if (e->tls_made)
        tls_loop_free(&e->tls);
}
