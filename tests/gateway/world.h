/* world: everything that a worker gives its clients and tunnels, without a loop and without a clock.
 *
 * Time stands still until the test moves it. Clients are accepted by the test; the servers are peers that a scripted dialer
 * hands out, or refuses. The log and the access log are caught. world_run() turns the ready queue until it is quiet, and then
 * looks whether everybody who lives has a deadline; world_end() ends the world and looks whether anything is left: streams,
 * timers, memory. Include it first. */
#ifndef UPGATE_TESTS_GATEWAY_WORLD_H
#define UPGATE_TESTS_GATEWAY_WORLD_H

#include "tests/gateway/scripted.h"

#include "conf/conf.h"
#include "gateway/access_log.h"
#include "gateway/client.h"
#include "gateway/entry.h"
#include "gateway/log.h"
#include "gateway/passthrough.h"
#include "gateway/services.h"
#include "gateway/tunnel.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <unistd.h>

#define WORLD_PEERS_MAX 64
#define WORLD_ROUNDS_MAX 200000          /* of the ready queue, until it has to be quiet */
#define WORLD_BEGINS_MS 1000000

enum dial_plan { DIAL_GIVES, DIAL_REFUSED, DIAL_UNRESOLVED, DIAL_HANGS };

struct world {
    struct services services;
    uint64_t now_ms;
    struct timers timers;
    struct ready_queue ready;
    struct mailbox mailbox;
    bool woken;
    struct metrics metrics;
    struct generation generation;        /* the test's conf; held from outside */
    struct dialer dialer;
    enum dial_plan plan[WORLD_PEERS_MAX];        /* of the nth dial */
    size_t dials;
    const struct conf_address *dialed[WORLD_PEERS_MAX];
    size_t dialing;                      /* dials that are not answered yet */
    struct peer *peers[WORLD_PEERS_MAX]; /* all of them */
    size_t peers_n;
    struct peer *servers[WORLD_PEERS_MAX];       /* one per dial that gave one */
    size_t servers_n;
    void (*on_server)(struct world *w, struct peer *server);
    void *ctx;
    /* how the peers that are made are limited */
    size_t piece, grain;
    size_t accepted, ended;              /* connections */
    struct log_writer *writer;
    int access_fd;
    struct bytes access;                 /* what world_access() read */
    struct bytes log;
    size_t blocks_before;
};

/* ---- the parts ---- */

static inline uint64_t world_clock(void *ctx)
{
    return ((struct world *)ctx)->now_ms;
}

static inline void world_log_line(void *ctx, const char *line, size_t n)
{
    bytes_add(&((struct world *)ctx)->log, line, n);
}

static inline void world_connection_ended(void *ctx)
{
    ((struct world *)ctx)->ended++;
}

static inline struct peer *world_peer(struct world *w)
{
    struct peer *p = malloc(sizeof(*p));

    assert_non_null(p);
    assert_true(w->peers_n < WORLD_PEERS_MAX);
    peer_init(p);
    p->piece = w->piece;
    p->grain = w->grain;
    p->ctx = w;
    w->peers[w->peers_n++] = p;
    return p;
}

/* ---- the dialer ---- */

struct dial {
    struct world *world;
    enum dial_plan plan;
    struct ready ready;
    struct timer timer;
    dial_answered *answered;
    void *ctx;
};

static inline void world_dial_over(struct dial *d)
{
    timer_clear(&d->world->timers, &d->timer);
    ready_cancel(&d->ready);
    d->world->dialing--;
    mem_free(d);
}

static inline void world_dial_answer(struct dial *d, struct dial_answer a)
{
    dial_answered *answered = d->answered;
    void *ctx = d->ctx;

    world_dial_over(d);
    answered(ctx, &a);
}

static inline struct dial_answer world_dial_stream(struct world *w)
{
    struct peer *p = world_peer(w);
    struct dial_answer a = { .stream = scripted_new(&w->ready, p), .why = END_NONE };

    if (a.stream == NULL) {
        a.why = END_NO_MEMORY;
        p->closed = true;
        return a;
    }
    w->servers[w->servers_n++] = p;
    if (w->on_server != NULL)
        w->on_server(w, p);
    return a;
}

static inline void world_dial_ready(struct ready *r)
{
    struct dial *d = LIST_OWNER(r, struct dial, ready);

    switch (d->plan) {
    case DIAL_GIVES:
        world_dial_answer(d, world_dial_stream(d->world));
        break;
    case DIAL_REFUSED:
        world_dial_answer(d, (struct dial_answer){ .why = END_CONNECT_FAILED, .detail = "connection refused" });
        break;
    case DIAL_UNRESOLVED:
        world_dial_answer(d, (struct dial_answer){ .why = END_RESOLVE_FAILED, .detail = "no such name" });
        break;
    case DIAL_HANGS:
        break;
    }
}

static inline void world_dial_late(struct timer *t, uint64_t now_ms)
{
    (void)now_ms;
    world_dial_answer(LIST_OWNER(t, struct dial, timer), (struct dial_answer){ .why = END_CONNECT_TIMEOUT });
}

static inline struct dial *world_dial(struct dialer *dialer, const struct conf_address *to, uint64_t timeout_ms,
                                      dial_answered *answered, void *ctx)
{
    struct world *w = LIST_OWNER(dialer, struct world, dialer);
    struct dial *d = mem_zalloc(sizeof(*d));

    if (d == NULL)
        return NULL;
    assert_true(w->dials < WORLD_PEERS_MAX);
    d->world = w;
    d->plan = w->plan[w->dials];
    w->dialed[w->dials++] = to;
    w->dialing++;
    d->answered = answered;
    d->ctx = ctx;
    ready_init(&d->ready, world_dial_ready);
    timer_init(&d->timer, world_dial_late);
    timer_start(&w->timers, &d->timer, timeout_ms);
    ready_add(&w->ready, &d->ready);
    return d;
}

static inline void world_dial_cancel(struct dialer *dialer, struct dial *d)
{
    (void)dialer;
    world_dial_over(d);
}

/* ---- the beginning ---- */


/* A conf for many worlds; the test frees it. */
static inline struct conf *world_conf(const char *text)
{
    struct conf *c = conf_load_text("test.yaml", span_of_text(text), stderr);

    if (c == NULL)
        fail_msg("the configuration does not load:\n%s", text);
    return c;
}

static inline void world_open_access_log(struct world *w)
{
    char path[64];
    int error;

    w->access_fd = memfd_create("access", MFD_CLOEXEC);
    assert_true(w->access_fd >= 0);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", w->access_fd);
    w->writer = log_writer_open(path, 1, &error);
    assert_non_null(w->writer);
    w->services.access_log = access_log_new(w->writer, 0, w->services.snapshot->conf->log.access.format, &w->metrics);
    assert_non_null(w->services.access_log);
}

static inline void world_wake(void *ctx)
{
    ((struct world *)ctx)->woken = true;
}

static inline struct upstream_worker world_worker(struct world *w)
{
    return (struct upstream_worker){ .timers = &w->timers, .metrics = &w->metrics, .mailbox = &w->mailbox };
}

static inline void world_refresh(struct world *w)
{
    for (size_t i = 0; i < w->services.snapshot->conf->upstreams_n; i++)
        upstream_refresh(&w->services.snapshot->upstreams[i]);
}

static inline void world_make_services(struct world *w, const struct conf *conf)
{
    struct services *s = &w->services;
    struct upstream_worker own = world_worker(w);

    w->generation = (struct generation){ .holders = 1, .conf = (struct conf *)(uintptr_t)conf, .number = 1,
                                         .workers = 1 };
    assert_true(generation_open_parts(&w->generation, NULL));
    mailbox_init(&w->mailbox, world_wake, w);
    s->snapshot = snapshot_new(&w->generation, &own);
    assert_non_null(s->snapshot);
    world_refresh(w);
    s->timers = &w->timers;
    s->ready = &w->ready;
    s->metrics = &w->metrics;
    s->dialer = &w->dialer;
    s->quota = quota_new();
    assert_non_null(s->quota);
    list_init(&s->entries);
    list_init(&s->clients);
    list_init(&s->tunnels);
    list_init(&s->passthroughs);
    s->connection_ended = world_connection_ended;
    s->connection_ended_ctx = w;
}

static inline void world_begin(struct world *w, const struct conf *conf)
{
    *w = (struct world){ .now_ms = WORLD_BEGINS_MS, .piece = SIZE_MAX, .grain = SIZE_MAX, .blocks_before = mem_live_blocks() };
    w->dialer = (struct dialer){ .start = world_dial, .cancel = world_dial_cancel };
    timers_init(&w->timers, world_clock, w);
    ready_queue_init(&w->ready);
    log_set_sink(world_log_line, w);
    log_set_level(CONF_LOG_DEBUG);
    world_make_services(w, conf);
    world_open_access_log(w);
}

/* Another configuration comes into force, as worker.c does it. */
static inline void world_reload(struct world *w, const char *text)
{
    struct generation *g = generation_new(world_conf(text), w->services.snapshot->generation, 1);
    struct upstream_worker own = world_worker(w);
    struct snapshot *before = w->services.snapshot, *now = snapshot_new(g, &own);

    assert_non_null(now);
    generation_enforce(g, NULL, w->now_ms);
    snapshot_follow(now, before);
    w->services.snapshot = now;
    snapshot_release(&before);
    generation_release(&g);
    world_refresh(w);
    client_renew_all(&w->services);
}

/* ---- turning ---- */

static inline size_t world_count(const struct list *l)
{
    size_t n = 0;

    for (const struct list *at = l->next; at != l; at = at->next)
        n++;
    return n;
}

static inline size_t world_pooled(const struct world *w)
{
    size_t n = 0;

    for (size_t u = 0; u < w->services.snapshot->conf->upstreams_n; u++)
        for (size_t i = 0; i < w->services.snapshot->upstreams[u].servers_n; i++)
            n += w->services.snapshot->upstreams[u].servers[i]->pool.n;
    return n;
}

static inline size_t world_living(const struct world *w)
{
    return world_count(&w->services.entries) + world_count(&w->services.clients) + world_count(&w->services.tunnels) +
           world_count(&w->services.passthroughs) + world_pooled(w) + w->dialing;
}

/* Lets the peers act that have something to act upon. */
static inline void world_react(struct world *w)
{
    for (size_t i = 0; i < w->peers_n; i++) {
        struct peer *p = w->peers[i];
        size_t news = 1 + 8 * p->got.n + 4 * (size_t)p->fin + 2 * (size_t)p->closed;
        news += p->stream != NULL && p->stream->base.output_error != 0;
        if (p->react == NULL || p->noticed == news)
            continue;
        p->noticed = news;
        p->react(p);
    }
}

/* Until nothing is left to do at this moment. Then nobody waits without a deadline (house rule 7: no silent stall). */
static inline void world_run(struct world *w)
{
    int rounds = 0;

    world_react(w);
    while (!ready_queue_empty(&w->ready) || w->woken) {
        w->woken = false;
        mailbox_deliver(&w->mailbox);
        ready_queue_run(&w->ready);
        world_react(w);
        if (++rounds == WORLD_ROUNDS_MAX)
            fail_msg("the ready queue never gets quiet");
    }
    assert_true(w->timers.n >= world_living(w));
}

static inline void world_sleep(struct world *w, uint64_t ms)
{
    uint64_t until = w->now_ms + ms;

    world_run(w);
    while (w->now_ms < until) {
        uint64_t step = timers_next_ms(&w->timers, w->now_ms);
        if (step > until - w->now_ms)
            step = until - w->now_ms;
        w->now_ms += step > 0 ? step : 1;
        timers_run(&w->timers, w->now_ms);
        world_run(w);
    }
}

/* ---- clients, servers ---- */

static inline struct peer *world_client_at(struct world *w, size_t listener, const char *address)
{
    struct peer *p = world_peer(w);
    struct stream *s = scripted_new(&w->ready, p);
    struct sockaddr_in from = { .sin_family = AF_INET, .sin_port = htons(40000) };
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) }, .sin_port = htons(1) };
    struct inbound inbound;

    inet_pton(AF_INET, address, &from.sin_addr);
    if (s == NULL) {                     /* as the listener does when there is no memory for a stream */
        p->closed = true;
        return p;
    }
    w->accepted++;
    inbound_init(&inbound, w->services.snapshot, &w->services.snapshot->conf->listeners[listener],
                 (const struct sockaddr *)(const void *)&from, (const struct sockaddr *)(const void *)&to);
    entry_new(&w->services, s, &inbound);
    return p;
}

static inline struct peer *world_client(struct world *w)
{
    return world_client_at(w, 0, "192.0.2.7");
}

/* The nth server that was given to the gateway. */
static inline struct peer *world_server(struct world *w, size_t n)
{
    if (n >= w->servers_n)
        fail_msg("there is no server %zu", n);
    return w->servers[n];
}

static inline void world_drain(struct world *w)      /* as worker.c does it */
{
    w->services.draining = true;
    snapshot_close_idle(w->services.snapshot);
    entry_drain_all(&w->services);
    client_drain_all(&w->services);
    tunnel_drain_all(&w->services, w->services.snapshot->conf->timeouts.drain_spread_ms);
}

static inline void world_kill(struct world *w)
{
    entry_kill_all(&w->services);
    client_kill_all(&w->services);
    tunnel_kill_all(&w->services);
    passthrough_kill_all(&w->services);
}

/* ---- the access log ---- */

/* All lines so far. */
static inline const char *world_access(struct world *w)
{
    char part[4096];
    ssize_t n;

    world_run(w);
    assert_true(log_writer_flush(w->writer, 10000));
    w->access.n = 0;
    bytes_add(&w->access, "", 0);
    lseek(w->access_fd, 0, SEEK_SET);
    while ((n = read(w->access_fd, part, sizeof(part))) > 0)
        bytes_add(&w->access, part, (size_t)n);
    return bytes_text(&w->access);
}

static inline size_t count_text(const char *text, const char *what)
{
    size_t n = 0;

    for (const char *at = strstr(text, what); at != NULL; at = strstr(at + 1, what))
        n++;
    return n;
}

static inline size_t world_lines(struct world *w, const char *kind)
{
    char text[64];

    snprintf(text, sizeof(text), "\"kind\":\"%s\"", kind);
    return count_text(world_access(w), text);
}

/* The value of a name in the nth line of a kind, as it is written; static memory, several at a time. */
static inline const char *world_said(struct world *w, const char *kind, size_t nth, const char *name)
{
    static char values[8][256];
    static size_t next;
    char *value = values[next++ % COUNT_OF(values)];
    char text[64];
    const char *at = world_access(w), *end;

    snprintf(text, sizeof(text), "\"kind\":\"%s\"", kind);
    for (at = strstr(at, text); at != NULL && nth > 0; nth--)
        at = strstr(at + 1, text);
    if (at == NULL)
        fail_msg("no such line of kind %s in:\n%s", kind, bytes_text(&w->access));
    snprintf(text, sizeof(text), "\"%s\":", name);
    end = strchr(at, '\n');
    at = strstr(at, text);
    if (at == NULL || at > end)
        return "";
    at += strlen(text);
    if (*at == '"')
        snprintf(value, sizeof(values[0]), "%.*s", (int)strcspn(at + 1, "\""), at + 1);
    else
        snprintf(value, sizeof(values[0]), "%.*s", (int)strcspn(at, ",}\n"), at);
    return value;
}

/* ---- the end ---- */

static inline void world_let_go(struct world *w)
{
    access_log_free(w->services.access_log);
    quota_free(w->services.quota);
    log_writer_close(w->writer);
    close(w->access_fd);
    assert_int_equal(w->services.snapshot->holders, 1);
    snapshot_release(&w->services.snapshot);
    assert_int_equal(w->generation.holders, 1);
    generation_close_parts(&w->generation);
    mailbox_free(&w->mailbox);
    for (size_t i = 0; i < w->peers_n; i++) {
        peer_free(w->peers[i]);
        free(w->peers[i]);
    }
    bytes_free(&w->access);
    bytes_free(&w->log);
    log_set_sink(NULL, NULL);
}

static inline void world_expect_unused(const struct server *s)
{
    assert_int_equal(s->busy, 0);
    assert_int_equal(server_state_busy(s->state), 0);
    assert_int_equal(s->state->connections, 0);
    assert_int_equal(s->state->set->waiting_n, 0);
}

/* Everybody is gone by now, or is an idle connection to a server. What is left anywhere is a fault. */
static inline void world_end(struct world *w)
{
    world_run(w);
    snapshot_close_idle(w->services.snapshot);
    world_run(w);
    assert_int_equal(world_living(w), 0);
    assert_int_equal(w->accepted, w->ended);
    assert_int_equal(w->metrics.connections_open, 0);
    assert_int_equal(w->metrics.exchanges_open, 0);
    assert_int_equal(w->metrics.tunnels_open, 0);
    assert_int_equal(w->metrics.passthroughs_open, 0);
    for (size_t i = 0; i < w->peers_n; i++)
        assert_true(w->peers[i]->closed);
    for (size_t u = 0; u < w->services.snapshot->conf->upstreams_n; u++)
        for (size_t i = 0; i < w->services.snapshot->upstreams[u].servers_n; i++)
            world_expect_unused(w->services.snapshot->upstreams[u].servers[i]);
    assert_int_equal(w->timers.n, 0);
    world_let_go(w);
    assert_int_equal(mem_live_blocks(), w->blocks_before);
}

/* Whoever is still there, goes at once. */
static inline void world_kill_and_end(struct world *w)
{
    world_kill(w);
    world_end(w);
}

#endif
