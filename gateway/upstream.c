#include "gateway/upstream.h"
#include "gateway/log.h"
#include "protocol/mem.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define COMPLAIN_EVERY_MS 10000

/* ---- a server ---- */

static struct server *server_hold(struct server *s)
{
    s->holders++;
    return s;
}

static void close_lingerers(struct server *s)
{
    while (!list_empty(&s->lingerers)) {
        struct lingerer *l = LIST_OWNER(s->lingerers.next, struct lingerer, link);
        l->close(l);
    }
}

static void server_release(struct server *s)
{
    if (--s->holders > 0)
        return;
    assert(s->busy == 0 && s->pool.n == 0 && list_empty(&s->lingerers) && !s->place_in_hand);
    server_state_release(&s->state);
    server_set_release(&s->set);
    mem_free(s);
}

static uint64_t now_ms(const struct server *s)
{
    return timers_now_ms(s->pool.timers);
}

static void on_stream_closed(struct stream_watch *watch)
{
    struct server *s = LIST_OWNER(watch, struct server, watch);

    places_give(s->state, now_ms(s));
    server_release(s);
}

static void live_at(struct server *s, struct upstream *home)
{
    if (s->home != NULL)
        atomic_fetch_sub(&s->home->port.idle, s->pool.n);
    s->home = home;
    s->pool.counted = home != NULL ? &home->port.idle : NULL;
    if (home != NULL)
        atomic_fetch_add(&home->port.idle, s->pool.n);
}

/* A connection that began with a PROXY header speaks for one client, and is never given to another. */
static void limit_pool(struct server *s)
{
    if (s->home == NULL || s->home->retired || s->home->conf->send_proxy != CONF_SEND_PROXY_OFF)
        pool_limit(&s->pool, 0, 0);
    else
        pool_limit(&s->pool, s->home->conf->keepalive, s->home->conf->keepalive_timeout_ms);
}

static struct server *server_new(struct upstream *home, struct server_state *state)
{
    struct server *s = mem_zalloc(sizeof(*s));

    if (s == NULL)
        return NULL;
    s->holders = 1;
    s->set = server_set_hold(state->set);
    s->state = server_state_hold(state);
    s->address = &state->address;
    s->watch.closed = on_stream_closed;
    list_init(&s->lingerers);
    list_init(&s->fcgi.shared);
    pool_init(&s->pool, 0, 0, home->worker.timers, home->worker.metrics);
    live_at(s, home);
    limit_pool(s);
    return s;
}

void server_begin(struct server *s, enum server_use use)
{
    server_hold(s);
    s->busy++;
    atomic_fetch_add_explicit(use == SERVER_TUNNEL ? &s->state->tunnels : &s->state->exchanges, 1, memory_order_relaxed);
}

void server_end(struct server *s, enum server_use use)
{
    s->busy--;
    atomic_fetch_sub_explicit(use == SERVER_TUNNEL ? &s->state->tunnels : &s->state->exchanges, 1, memory_order_relaxed);
    server_release(s);
}

/* ---- how it does ---- */

#define EJECT_DOUBLES_MAX 3
#define FAILED_WORDS_BYTES 80

/* By whoever comes first when a window is over. Others may count into the one or the other meanwhile: so exact it need not be. */
static void renew_window(struct server_state *state, uint64_t window_ms, uint64_t now)
{
    uint64_t begun_ms = atomic_load_explicit(&state->window_begun_ms, memory_order_relaxed);

    if (now - begun_ms < window_ms || now < begun_ms ||
        !atomic_compare_exchange_strong_explicit(&state->window_begun_ms, &begun_ms, now, memory_order_relaxed, memory_order_relaxed))
        return;
    atomic_store_explicit(&state->attempts, 0, memory_order_relaxed);
    atomic_store_explicit(&state->errors, 0, memory_order_relaxed);
}

static void note_attempt(struct server *s, const struct upstream *u, bool error)
{
    if (u->conf->eject.error_rate == 0)
        return;
    renew_window(s->state, u->conf->eject.window_ms, now_ms(s));
    atomic_fetch_add_explicit(&s->state->attempts, 1, memory_order_relaxed);
    if (error)
        atomic_fetch_add_explicit(&s->state->errors, 1, memory_order_relaxed);
}

/* One good answer does not prove much of a server that answers every other request. */
static bool has_proved_itself(const struct server *s, const struct upstream *u)
{
    uint64_t until_ms = atomic_load_explicit(&s->state->ejected_until_ms, memory_order_relaxed);

    return u->conf->eject.error_rate == 0 || now_ms(s) >= until_ms + u->conf->eject.window_ms;
}

void server_did_well(struct server *s, const struct upstream *u)
{
    note_attempt(s, u, false);
    if (atomic_load_explicit(&s->state->failures, memory_order_relaxed) != 0)
        atomic_store_explicit(&s->state->failures, 0, memory_order_relaxed);
    if (atomic_load_explicit(&s->state->ejections, memory_order_relaxed) != 0 && has_proved_itself(s, u) &&
        atomic_exchange_explicit(&s->state->ejections, 0, memory_order_relaxed) != 0)
        log_warn("upstream %s server %s: does well again", u->conf->name, s->state->name);
}

static bool others_are_left(const struct server *s, const struct upstream *u)
{
    for (size_t i = 0; i < u->servers_n; i++)
        if (u->servers[i] != s && server_state_tier(u->servers[i]->state, now_ms(s)) < SERVER_EJECTED)
            return true;
    return false;
}

/* One more failure after it is back is enough to be ejected again, for longer; where it is the rate that counts, a window full of them. */
static void eject(struct server *s, const struct upstream *u, const char *after)
{
    unsigned before = atomic_fetch_add_explicit(&s->state->ejections, 1, memory_order_relaxed);
    uint64_t for_ms = u->conf->eject.for_ms << (before < EJECT_DOUBLES_MAX ? before : EJECT_DOUBLES_MAX);

    atomic_store_explicit(&s->state->failures, u->conf->eject.failures > 0 ? u->conf->eject.failures - 1 : 0, memory_order_relaxed);
    atomic_store_explicit(&s->state->ejected_until_ms, now_ms(s) + for_ms, memory_order_relaxed);
    atomic_store_explicit(&s->state->attempts, 0, memory_order_relaxed);
    atomic_store_explicit(&s->state->errors, 0, memory_order_relaxed);
    metrics_add(&u->worker.metrics->ejections, 1);
    log_warn("upstream %s server %s: left out for %llums, after %s", u->conf->name, s->state->name, (unsigned long long)for_ms, after);
}

/* Whether it has failed too often, and how, in words. */
static bool has_failed(const struct server *s, const struct upstream *u, unsigned failures, char words[FAILED_WORDS_BYTES])
{
    const struct conf_eject *conf = &u->conf->eject;
    uint64_t attempts = atomic_load_explicit(&s->state->attempts, memory_order_relaxed);
    uint64_t errors = atomic_load_explicit(&s->state->errors, memory_order_relaxed);

    if (conf->failures != 0 && failures >= conf->failures) {
        snprintf(words, FAILED_WORDS_BYTES, "%u failure%s in a row", failures, failures == 1 ? "" : "s");
        return true;
    }
    snprintf(words, FAILED_WORDS_BYTES, "%llu failures in %llu requests", (unsigned long long)errors, (unsigned long long)attempts);
    return conf->error_rate != 0 && attempts >= conf->requests && errors * 100 >= attempts * conf->error_rate;
}

/* Attempts that were under way when it was ejected do not make it worse. */
void server_did_badly(struct server *s, const struct upstream *u)
{
    unsigned failures = atomic_fetch_add_explicit(&s->state->failures, 1, memory_order_relaxed) + 1;
    char words[FAILED_WORDS_BYTES];

    note_attempt(s, u, true);
    if (has_failed(s, u, failures, words) && atomic_load_explicit(&s->state->ejected_until_ms, memory_order_relaxed) <= now_ms(s) &&
        others_are_left(s, u))
        eject(s, u, words);
}

void server_answered(struct server *s, const struct upstream *u, unsigned status)
{
    if (u->conf->eject.statuses && (status == 500 || status == 502 || status == 503 || status == 504))
        server_did_badly(s, u);
    else
        server_did_well(s, u);
}

/* ---- its places ---- */

bool server_connect(struct server *s)
{
    if (s->place_in_hand)
        s->place_in_hand = false;
    else if (places_take(s->state))
        server_hold(s);
    else
        return false;
    return true;
}

void server_connect_failed(struct server *s)
{
    on_stream_closed(&s->watch);
}

void server_connected(struct server *s, struct stream *stream)
{
    stream_watch(stream, &s->watch);
}

void server_granted(struct server *s)
{
    assert(!s->place_in_hand);
    s->place_in_hand = true;
    server_hold(s);
}

void server_give_back(struct server *s)
{
    if (!s->place_in_hand)
        return;
    s->place_in_hand = false;
    on_stream_closed(&s->watch);
}

/* One that is kept while somebody waits goes to that one if it is in this worker, and otherwise makes room for it. */
void server_keep(struct server *s, struct stream **stream)
{
    size_t before = s->pool.n;

    pool_put(&s->pool, stream);
    if (s->pool.n > before && s->home != NULL && !places_offer_warm(&s->home->port, s->state, now_ms(s)))
        s->home->port.close_idle(&s->home->port);
}

void server_is_joinable(struct server *s)
{
    if (s->home != NULL)
        places_offer_warm(&s->home->port, s->state, now_ms(s));
}

bool server_has_room(const struct server *s, bool fresh)
{
    return (!fresh && (s->pool.n > 0 || !list_empty(&s->fcgi.shared))) || places_left(s->state);
}

/* ---- an upstream ---- */

static void close_idle(struct place_port *p)
{
    struct upstream *u = LIST_OWNER(p, struct upstream, port);

    for (size_t i = 0; i < u->servers_n; i++) {
        struct server *s = u->servers[i];
        if (s->home == u && s->pool.n > 0 && places_wanted(s->state, now_ms(s))) {
            pool_close_oldest(&s->pool);
            return;
        }
    }
}

void upstream_init(struct upstream *u, const struct conf_upstream *conf, struct server_set *set, const struct upstream_worker *worker)
{
    *u = (struct upstream){ .conf = conf, .worker = *worker, .set = server_set_hold(set) };
    places_open(&u->port, set, worker->mailbox, close_idle);
}

/* This upstream lists it no more. */
static void let_go(struct upstream *u, struct server *s)
{
    if (s->home == u) {
        pool_close_all(&s->pool);
        close_lingerers(s);
        live_at(s, NULL);
        limit_pool(s);
    }
    server_release(s);
}

void upstream_free(struct upstream *u)
{
    for (size_t i = 0; i < u->servers_n; i++)
        let_go(u, u->servers[i]);
    mem_free(u->servers);
    places_close(&u->port);
    server_set_release(&u->set);
    *u = (struct upstream){ 0 };
}

void upstream_close_idle(struct upstream *u)
{
    for (size_t i = 0; i < u->servers_n; i++) {
        pool_close_all(&u->servers[i]->pool);
        close_lingerers(u->servers[i]);
    }
}

void upstream_complain(struct upstream *u)
{
    uint64_t now = timers_now_ms(u->worker.timers);

    if (u->complained_ms != 0 && now - u->complained_ms < COMPLAIN_EVERY_MS)
        return;
    u->complained_ms = now;
    log_warn("upstream %s: requests are refused: %zu wait for its servers, which have %llu connections each and may have no more", u->conf->name,
             atomic_load(&u->set->waiting_n), (unsigned long long)atomic_load(&u->set->places));
}

struct server *upstream_server(const struct upstream *u, const struct server_state *state)
{
    for (size_t i = 0; i < u->servers_n; i++)
        if (u->servers[i]->state == state)
            return u->servers[i];
    return NULL;
}

/* ---- other servers than before ---- */

/* Those that stay are held once more, for the new list; NULL: no memory. */
static struct server **list_servers(struct upstream *u, struct server_state *const *states, size_t n)
{
    struct server **servers = mem_alloc(n * sizeof(struct server *));

    for (size_t i = 0; servers != NULL && i < n; i++) {
        struct server *s = upstream_server(u, states[i]);
        servers[i] = s != NULL ? server_hold(s) : server_new(u, states[i]);
        if (servers[i] != NULL)
            continue;
        while (i > 0)
            server_release(servers[--i]);
        mem_free(servers);
        return NULL;
    }
    return servers;
}

static bool is_listed(struct server *const *servers, size_t n, const struct server *s)
{
    for (size_t i = 0; i < n; i++)
        if (servers[i] == s)
            return true;
    return false;
}

static void take_list(struct upstream *u, struct server **servers, size_t n)
{
    for (size_t i = 0; i < u->servers_n; i++)
        if (is_listed(servers, n, u->servers[i]))
            server_release(u->servers[i]);
        else
            let_go(u, u->servers[i]);
    mem_free(u->servers);
    u->servers = servers;
    u->servers_n = n;
}

void upstream_refresh(struct upstream *u)
{
    struct server_state **states;
    struct server **servers;
    size_t n;
    unsigned version;

    if (u->version == atomic_load_explicit(&u->set->version, memory_order_acquire))
        return;
    states = server_set_copy(u->set, &n, &version);
    if (states == NULL)
        return;
    servers = list_servers(u, states, n);
    for (size_t i = 0; i < n; i++)
        server_state_release(&states[i]);
    mem_free(states);
    if (servers == NULL)
        return;
    take_list(u, servers, n);
    u->version = version;
}

/* ---- the next configuration ---- */

static bool may_move(const struct upstream *before, const struct server *s)
{
    return s->home == before;
}

void upstream_adopt(struct upstream *u, struct upstream *before)
{
    if (u->set != before->set || u->conf->tls_on || before->servers_n == 0)
        return;                          /* what was verified then may not be trusted now */
    u->servers = mem_alloc(before->servers_n * sizeof(struct server *));
    for (size_t i = 0; u->servers != NULL && i < before->servers_n; i++) {
        struct server *s = before->servers[i];
        if (!may_move(before, s))
            continue;
        live_at(s, u);
        limit_pool(s);
        u->servers[u->servers_n++] = server_hold(s);
    }
    upstream_refresh(u);
    /* Somebody may have asked `before` for an idle connection and be forgotten there. */
    close_idle(&u->port);
}

void upstream_retire(struct upstream *before)
{
    before->retired = true;
    for (size_t i = 0; i < before->servers_n; i++)
        if (may_move(before, before->servers[i]))
            limit_pool(before->servers[i]);
}
