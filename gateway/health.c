#include "gateway/health.h"
#include "gateway/health_check.h"
#include "gateway/log.h"
#include "protocol/mem.h"

#include <string.h>

/* One server that is checked. It waits for its time (timer), for its turn among others (turn), or for a result (check). */
struct task {
    struct list link;                    /* health->tasks */
    struct list turn;                    /* health->waiting */
    struct health *health;
    struct server_state *state;          /* held */
    struct server_set *set;              /* held */
    const struct conf_upstream *conf;    /* of health->generation */
    struct tls_ctx *tls;                 /* the same's, or NULL */
    struct timer timer;
    struct health_check *check;
    uint64_t begun_ms;                   /* the last check */
    unsigned good, bad;                  /* results in a row */
    bool judged;                         /* there was a result at all */
    bool wanted;                         /* while health_follow looks */
};

struct health {
    struct services *services;
    struct generation *generation;       /* held, or NULL */
    struct list tasks, waiting;
    size_t running;
};

/* ---- what comes of a check ---- */

static bool is_down(const struct task *t)
{
    return atomic_load_explicit(&t->state->down, memory_order_relaxed);
}

static uint64_t now_ms(const struct health *h)
{
    return timers_now_ms(h->services->timers);
}

static void go_down(struct task *t, const char *words)
{
    struct server_set *set = t->set;

    atomic_store_explicit(&t->state->down, true, memory_order_relaxed);
    metrics_add(&t->health->services->metrics->servers_fell, 1);
    log_warn("upstream %s server %s: down, by its check: %s", t->conf->name, t->state->name, words);
    if (server_set_tier(set->members, set->members_n, now_ms(t->health)) == SERVER_OUT)
        log_error("upstream %s: no server is left: requests are answered 503", t->conf->name);
}

/* What was held against it before is forgotten: it has proved itself since. */
static void go_up(struct task *t)
{
    uint64_t now = now_ms(t->health);

    atomic_store_explicit(&t->state->failures, 0, memory_order_relaxed);
    atomic_store_explicit(&t->state->ejections, 0, memory_order_relaxed);
    atomic_store_explicit(&t->state->ejected_until_ms, 0, memory_order_relaxed);
    atomic_store_explicit(&t->state->returned_ms, now, memory_order_relaxed);
    atomic_store_explicit(&t->state->down, false, memory_order_relaxed);
    metrics_add(&t->health->services->metrics->servers_rose, 1);
    log_warn("upstream %s server %s: up again, by its check", t->conf->name, t->state->name);
    places_review(t->set, now);
}

static void note_good(struct task *t)
{
    t->bad = 0;
    t->good++;
    if (is_down(t) && t->good >= t->conf->health.rise)
        go_up(t);
    else if (!t->judged)
        log_info("upstream %s server %s: up, by its first check", t->conf->name, t->state->name);
}

static void note_bad(struct task *t, const char *words)
{
    t->good = 0;
    t->bad++;
    metrics_add(&t->health->services->metrics->health_checks_failed, 1);
    if (is_down(t))
        log_debug("upstream %s server %s: still down, by its check: %s", t->conf->name, t->state->name, words);
    else if (!t->judged || t->bad >= t->conf->health.fall)
        go_down(t, words);
    else
        log_info("upstream %s server %s: a bad check, %u of %u: %s", t->conf->name, t->state->name, t->bad, t->conf->health.fall, words);
}

/* ---- when ---- */

static void start_waiting(struct health *h);

/* Between nine and eleven tenths, so that checks of many servers, and of many gateways, do not fall together. */
static uint64_t jittered(uint64_t interval_ms)
{
    uint32_t dice;

    services_random(&dice, sizeof(dice));
    return interval_ms - interval_ms / 10 + dice % (interval_ms / 5 + 1);
}

static void schedule(struct task *t)
{
    uint64_t due_ms = t->begun_ms + jittered(t->conf->health.interval_ms), now = now_ms(t->health);

    timer_start(t->health->services->timers, &t->timer, due_ms > now ? due_ms - now : 1);
}

static void on_judged(void *ctx, const char *words)
{
    struct task *t = ctx;
    struct health *h = t->health;

    t->check = NULL;
    h->running--;
    metrics_add(&h->services->metrics->health_checks, 1);
    if (words == NULL)
        note_good(t);
    else
        note_bad(t, words);
    t->judged = true;
    schedule(t);
    start_waiting(h);
}

static void start(struct task *t)
{
    struct health_wanted wanted = { .upstream = t->conf, .server = t->state, .tls = t->tls };

    list_remove(&t->turn);
    t->begun_ms = now_ms(t->health);
    t->check = health_check_start(t->health->services, &wanted, on_judged, t);
    if (t->check == NULL)
        schedule(t);                     /* no memory now, which says nothing of the server */
    else
        t->health->running++;
}

static void start_waiting(struct health *h)
{
    while (h->running < HEALTH_AT_ONCE && !list_empty(&h->waiting))
        start(LIST_OWNER(h->waiting.next, struct task, turn));
}

static void ask_for_turn(struct task *t)
{
    timer_clear(t->health->services->timers, &t->timer);
    list_remove(&t->turn);
    list_append(&t->health->waiting, &t->turn);
}

static void on_due(struct timer *timer, uint64_t now)
{
    struct task *t = LIST_OWNER(timer, struct task, timer);

    (void)now;
    ask_for_turn(t);
    start_waiting(t->health);
}

/* ---- who ---- */

static void stop_check(struct task *t)
{
    t->health->running -= t->check != NULL;
    health_check_cancel(&t->check);
}

static void task_free(struct task *t)
{
    stop_check(t);
    timer_clear(t->health->services->timers, &t->timer);
    list_remove(&t->turn);
    list_remove(&t->link);
    server_state_release(&t->state);
    server_set_release(&t->set);
    mem_free(t);
}

static struct task *task_new(struct health *h, struct server_set *set, struct server_state *state)
{
    struct task *t = mem_zalloc(sizeof(*t));

    if (t == NULL)
        return NULL;
    t->health = h;
    t->set = server_set_hold(set);
    t->state = server_state_hold(state);
    timer_init(&t->timer, on_due);
    list_init(&t->turn);
    list_append(&h->tasks, &t->link);
    return t;
}

static struct task *find(const struct health *h, const struct server_state *state)
{
    for (struct list *l = h->tasks.next; l != &h->tasks; l = l->next)
        if (LIST_OWNER(l, struct task, link)->state == state)
            return LIST_OWNER(l, struct task, link);
    return NULL;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_check(const struct conf_health *a, const struct conf_health *b)
{
    return a->tcp == b->tcp && same_text(a->http, b->http) && same_text(a->websocket, b->websocket) && same_text(a->fastcgi, b->fastcgi) &&
           a->interval_ms == b->interval_ms && a->timeout_ms == b->timeout_ms && a->rise == b->rise && a->fall == b->fall &&
           a->status == b->status && same_text(a->body, b->body) && same_text(a->host, b->host);
}

/* A check that is under way belongs to the configuration before: it begins again. */
static void want(struct task *t, const struct conf_upstream *conf, struct tls_ctx *tls)
{
    bool again = t->conf == NULL || !same_check(&t->conf->health, &conf->health) || (t->conf != conf && t->check != NULL);

    if (t->conf != conf)
        stop_check(t);
    t->wanted = true;
    t->conf = conf;
    t->tls = tls;
    if (again)
        ask_for_turn(t);
}

static void follow_upstream(struct health *h, const struct generation *g, size_t i)
{
    struct server_set *set = g->sets[i];
    struct tls_ctx *tls = g->tls != NULL ? g->tls->upstreams[i] : NULL;

    for (size_t m = 0; m < set->members_n; m++) {
        struct task *t = find(h, set->members[m]);
        if (t == NULL)
            t = task_new(h, set, set->members[m]);
        if (t == NULL) {
            log_error("upstream %s server %s: not checked: no memory", set->name, set->members[m]->name);
            continue;
        }
        atomic_store_explicit(&t->state->checked, true, memory_order_relaxed);
        want(t, &g->conf->upstreams[i], tls);
    }
}

/* Who is not checked any more is up. */
static void leave(struct task *t)
{
    atomic_store_explicit(&t->state->checked, false, memory_order_relaxed);
    atomic_store_explicit(&t->state->down, false, memory_order_relaxed);
    task_free(t);
}

static void leave_unwanted(struct health *h)
{
    struct list *next;

    for (struct list *l = h->tasks.next; l != &h->tasks; l = next) {
        struct task *t = LIST_OWNER(l, struct task, link);
        next = l->next;
        if (!t->wanted)
            leave(t);
        else
            t->wanted = false;
    }
}

void health_follow(struct health *h, struct generation *g)
{
    struct generation *before = h->generation;

    h->generation = generation_hold(g);
    for (size_t i = 0; i < g->conf->upstreams_n; i++)
        if (g->conf->upstreams[i].health_on)
            follow_upstream(h, g, i);
    leave_unwanted(h);
    generation_release(&before);
    start_waiting(h);
}

struct health *health_new(struct services *services)
{
    struct health *h = mem_zalloc(sizeof(*h));

    if (h == NULL)
        return NULL;
    h->services = services;
    list_init(&h->tasks);
    list_init(&h->waiting);
    return h;
}

void health_free(struct health *h)
{
    if (h == NULL)
        return;
    while (!list_empty(&h->tasks))
        task_free(LIST_OWNER(h->tasks.next, struct task, link));
    generation_release(&h->generation);
    mem_free(h);
}
