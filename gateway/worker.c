#include "gateway/client.h"
#include "gateway/credentials.h"
#include "gateway/entry.h"
#include "gateway/log.h"
#include "gateway/passthrough.h"
#include "gateway/resolver.h"
#include "gateway/tunnel.h"
#include "gateway/worker_parts.h"
#include "protocol/mem.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <unistd.h>

#define LAST_TURNS 1000                  /* after the last connection, until everything is freed: far fewer, or there is a bug */

static void worker_enter(struct worker *w, enum worker_state to)
{
    assert(to > w->state);
    w->state = to;
}

/* ---- one turn of the loop ---- */

static uint64_t clock_ms(void *ctx)
{
    return uv_now(ctx);
}

/* How long nothing is due. */
static int patience_ms(struct worker *w)
{
    uint64_t rest_ms = ready_queue_empty(&w->ready) ? timers_next_ms(&w->timers, uv_now(&w->loop)) : 0;

    return rest_ms == UINT64_MAX ? -1 : rest_ms > INT_MAX ? INT_MAX : (int)rest_ms;
}

/* What came of the last turn is done before the wait: most often nothing is left then, and the wait may be a long one. */
static void turn(struct worker *w)
{
    ready_queue_run(&w->ready);
    poller_turn(&w->streams.poller, patience_ms(w));
    timers_run(&w->timers, uv_now(&w->loop));
    ready_queue_run(&w->ready);
}

/* ---- the end ---- */

static void close_listeners(struct worker *w, bool empty)
{
    while (!list_empty(&w->listeners))
        listener_close(listener_of(w->listeners.next), empty);
}

static void close_own_handles(struct worker *w)
{
    mailbox_close(&w->mailbox);
    uv_close((uv_handle_t *)&w->mail, NULL);
    stream_uv_loop_close(&w->streams);
}

/* Handshakes that were given up come back all the same. */
static void close_helped(struct worker *w)
{
    if ((w->services.tls == NULL || w->tls.home.away == 0) && !uv_is_closing((uv_handle_t *)&w->helped))
        uv_close((uv_handle_t *)&w->helped, NULL);
}

static void on_helped(uv_async_t *async)
{
    struct worker *w = async->data;

    tls_home_collect(&w->tls.home);
    if (w->state == WORKER_ENDED)
        close_helped(w);
}

static void wake_for_helped(void *ctx)   /* from any thread */
{
    uv_async_send(&((struct worker *)ctx)->helped);
}

static void begin_ending(struct worker *w)
{
    worker_enter(w, WORKER_ENDING);
    mailbox_close(&w->mailbox);
    close_listeners(w, false);
    snapshot_close_idle(w->services.snapshot);
    if (w->services.tls != NULL)
        partings_end(&w->tls.partings);
    ready_add(&w->ready, &w->look);
}

/* What was closed is freed by the ready queue in the turns that follow. */
static void end_when_freed(struct worker *w)
{
    if ((w->streams.open > 0 || !ready_queue_empty(&w->ready)) && w->last_turns++ < LAST_TURNS) {
        ready_add(&w->ready, &w->look);
        return;
    }
    worker_enter(w, WORKER_ENDED);
    close_own_handles(w);
    close_helped(w);
}

static bool everybody_gone(const struct worker *w)
{
    return list_empty(&w->services.entries) && list_empty(&w->services.clients) && list_empty(&w->services.tunnels) &&
           list_empty(&w->services.passthroughs);
}

static void on_look(struct ready *r)
{
    struct worker *w = LIST_OWNER(r, struct worker, look);

    if (w->state == WORKER_DRAINING && everybody_gone(w))
        begin_ending(w);
    else if (w->state == WORKER_ENDING)
        end_when_freed(w);
}

static void on_connection_ended(void *ctx)
{
    struct worker *w = ctx;

    atomic_fetch_sub_explicit(&w->gate->open, 1, memory_order_relaxed);
    if (w->state == WORKER_DRAINING)
        ready_add(&w->ready, &w->look);
    for (struct list *l = w->listeners.next; l != &w->listeners; l = l->next)
        listener_resume(listener_of(l));
    mem_give_back(&w->peak, metrics_value(&w->metrics.connections_open) + metrics_value(&w->metrics.tunnels_open));
}

static void drain(struct worker *w)
{
    if (w->state != WORKER_RUNNING)
        return;
    worker_enter(w, WORKER_DRAINING);
    w->services.draining = true;
    snapshot_close_idle(w->services.snapshot);
    entry_drain_all(&w->services);
    client_drain_all(&w->services);
    close_listeners(w, true);            /* who came last of all is served, too */
    tunnel_drain_all(&w->services, w->services.snapshot->conf->timeouts.drain_spread_ms);
    ready_add(&w->ready, &w->look);
}

static void on_mail(uv_async_t *mail)
{
    struct worker *w = mail->data;
    int order = atomic_load(&w->order);

    if (w->state >= WORKER_ENDING)
        return;
    mailbox_deliver(&w->mailbox);
    if (order >= WORKER_DRAIN)
        drain(w);
    if (order == WORKER_STOP) {
        entry_kill_all(&w->services);
        client_kill_all(&w->services);
        tunnel_kill_all(&w->services);
        passthrough_kill_all(&w->services);
    }
}

static void wake(void *ctx)
{
    uv_async_send(&((struct worker *)ctx)->mail);
}

static void raise_order(struct worker *w, int order)
{
    int now = atomic_load(&w->order);

    while (now < order && !atomic_compare_exchange_weak(&w->order, &now, order))
        continue;
    uv_async_send(&w->mail);
}

void worker_drain(struct worker *w)
{
    raise_order(w, WORKER_DRAIN);
}

void worker_stop(struct worker *w)
{
    raise_order(w, WORKER_STOP);
}

bool worker_post(struct worker *w, struct letter *l)
{
    return mailbox_post(&w->mailbox, l);
}

void worker_withdraw(struct worker *w, struct letter *l)
{
    mailbox_withdraw(&w->mailbox, l);
}

/* ---- the beginning ---- */

static void run_thread(void *arg)
{
    struct worker *w = arg;

    while (w->state != WORKER_ENDED)
        turn(w);
    uv_run(&w->loop, UV_RUN_DEFAULT);    /* what was closed goes, and who is still away comes back */
    atomic_store(&w->gone, true);
    w->ended(w->ctx);
}

static void init_handles(struct worker *w)
{
    uv_async_init(&w->loop, &w->mail, on_mail);
    uv_async_init(&w->loop, &w->helped, on_helped);
    w->mail.data = w->helped.data = w;
}

static void init_services(struct worker *w)
{
    w->services.timers = &w->timers;
    w->services.ready = &w->ready;
    w->services.metrics = &w->metrics;
    services_random(w->services.trace_ids.key.bytes, sizeof(w->services.trace_ids.key.bytes));
    list_init(&w->services.entries);
    list_init(&w->services.clients);
    list_init(&w->services.tunnels);
    list_init(&w->services.passthroughs);
    list_init(&w->listeners);
    w->services.connection_ended = on_connection_ended;
    w->services.connection_ended_ctx = w;
    ready_init(&w->look, on_look);
}

static void free_parts(struct worker *w)
{
    snapshot_release(&w->services.snapshot);
    access_log_free(w->services.access_log);
    dialer_uv_free(w->services.dialer);
    resolver_free(w->resolver);
    mailbox_free(&w->mailbox);
    credentials_free(w->services.credentials);
    if (w->services.tls != NULL)
        tls_loop_free(w->services.tls);
}

static bool make_tls(struct worker *w, const struct worker_start *start)
{
    struct tls_loop_start tls = {
        .ready = &w->ready,
        .timers = &w->timers,
        .metrics = &w->metrics,
        .helpers = start->helpers,
        .places = start->handshakes,
        .wake = wake_for_helped,
        .ctx = w,
    };

    if (tls_loop_init(&w->tls, &tls) != 0)
        return false;
    w->services.tls = &w->tls;
    w->services.credentials = credentials_new(start->password_helpers, &w->tls.home, &w->timers);
    return w->services.credentials != NULL;
}

struct upstream_worker worker_own(struct worker *w)
{
    return (struct upstream_worker){ .timers = &w->timers, .metrics = &w->metrics, .mailbox = &w->mailbox, .number = w->number };
}

static bool make_parts(struct worker *w, const struct worker_start *start)
{
    enum conf_access_format format = start->generation->conf->log.access.format;
    struct upstream_worker own = worker_own(w);

    w->services.snapshot = snapshot_new(start->generation, &own);
    w->resolver = resolver_new(&w->loop, &w->ready, RESOLVER_FRESH_MS);
    w->services.dialer = dialer_uv_new(&w->streams, &w->timers, w->resolver);
    w->services.access_log = access_log_new(start->access_writer, w->number, format, &w->metrics);
    return stream_uv_loop_init(&w->streams, &w->loop, &w->ready) == 0 && poller_lead(&w->streams.poller) == 0 && make_tls(w, start) &&
           w->services.snapshot != NULL &&
           w->resolver != NULL && w->services.dialer != NULL && w->services.access_log != NULL;
}

struct worker *worker_new(const struct worker_start *start)
{
    struct worker *w = mem_zalloc(sizeof(*w));

    if (w == NULL || uv_loop_init(&w->loop) != 0) {
        mem_free(w);
        log_error("worker %u: no memory", start->number);
        return NULL;
    }
    w->number = w->services.number = start->number;
    w->gate = start->gate;
    w->services.quota = start->quota;
    w->ended = start->ended;
    w->changed = start->changed;
    w->answered = start->answered;
    w->ctx = start->ctx;
    mailbox_init(&w->mailbox, wake, w);
    init_handles(w);
    ready_queue_init(&w->ready);
    timers_init(&w->timers, clock_ms, &w->loop);
    init_services(w);
    if (!make_parts(w, start) || !worker_listen(w, start->sockets, start->sockets_n) || uv_thread_create(&w->thread, run_thread, w) != 0) {
        log_error("worker %u: no memory, or no thread", start->number);
        close_listeners(w, false);
        uv_run(&w->loop, UV_RUN_NOWAIT); /* the listeners are freed */
        close_own_handles(w);
        close_helped(w);
        uv_run(&w->loop, UV_RUN_DEFAULT);
        free_parts(w);
        uv_loop_close(&w->loop);
        mem_free(w);
        return NULL;
    }
    return w;
}

const struct metrics *worker_metrics(const struct worker *w)
{
    return &w->metrics;
}

size_t worker_join(struct worker *w, struct metrics *sum)
{
    size_t left;

    uv_thread_join(&w->thread);
    left = w->streams.open + w->tls.open + (uv_loop_close(&w->loop) != 0);
    metrics_sum(sum, &w->metrics);
    free_parts(w);
    mem_free(w);
    return left;
}
