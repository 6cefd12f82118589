#include "gateway/places.h"

#include <assert.h>
#include <errno.h>

/* ---- places ---- */

bool places_take(struct server_state *s)
{
    uint64_t most = atomic_load_explicit(&s->set->places, memory_order_relaxed);
    uint64_t n = atomic_load(&s->connections);

    do {
        if (most != 0 && n >= most)
            return false;
    } while (!atomic_compare_exchange_weak(&s->connections, &n, n + 1));
    return true;
}

bool places_left(const struct server_state *s)
{
    uint64_t most = atomic_load_explicit(&s->set->places, memory_order_relaxed);

    return most == 0 || atomic_load(&s->connections) < most;
}

/* ---- handing over; the set is locked ---- */

/* What may be done with a place at a server: some want exactly this one, as long as it is up; others take it if it is
 * one of the best there are. */
struct offer {
    const struct server_state *server;
    uint64_t now_ms;
    bool to_any;
};

static bool is_member(const struct server_set *set, const struct server_state *s)
{
    for (size_t i = 0; i < set->members_n; i++)
        if (set->members[i] == s)
            return true;
    return false;
}

static struct offer offer_of(const struct server_state *s, uint64_t now_ms)
{
    const struct server_set *set = s->set;
    enum server_tier tier = server_state_tier(s, now_ms);

    return (struct offer){
        .server = s,
        .now_ms = now_ms,
        .to_any = tier != SERVER_OUT && is_member(set, s) && tier == server_set_tier(set->members, set->members_n, now_ms),
    };
}

/* Whether it still waits for that one alone: a server that has left the set, or was ejected, is not waited for. */
static bool insists(const struct place_wait *w, const struct offer *o)
{
    return w->wanted != NULL && (w->wanted == o->server || (is_member(o->server->set, w->wanted) &&
                                                            server_state_tier_bound(w->wanted, o->now_ms) <= SERVER_IN_RESERVE));
}

static bool accepts(const struct place_wait *w, const struct offer *o)
{
    if (insists(w, o))
        return w->wanted == o->server;
    return o->to_any && (o->server->slot >= PLACES_TRIED_MAX || (w->tried >> o->server->slot & 1) == 0);
}

static struct place_wait *first_for(const struct server_state *s, uint64_t now_ms)
{
    struct offer o = offer_of(s, now_ms);

    for (struct list *l = s->set->waiting.next; l != &s->set->waiting; l = l->next) {
        struct place_wait *w = LIST_OWNER(l, struct place_wait, link);
        if (accepts(w, &o))
            return w;
    }
    return NULL;
}

static void leave_queue(struct place_wait *w)
{
    list_remove(&w->link);
    atomic_fetch_sub(&w->port->set->waiting_n, 1);
    atomic_fetch_sub(w->wanted != NULL ? &w->wanted->waiting : &w->port->set->waiting_any, 1);
    server_state_release(&w->wanted);
}

static void grant(struct place_wait *w, struct server_state *s, bool warm)
{
    leave_queue(w);
    w->standing = PLACE_GRANTED;
    w->server = server_state_hold(s);    /* it may leave the set before this is told */
    w->warm = warm;
    list_append(&w->port->granted, &w->link);
    mailbox_post(w->port->mailbox, &w->port->letter);
}

static void serve(struct server_state *s, uint64_t now_ms)
{
    struct place_wait *w;

    while (!list_empty(&s->set->waiting) && places_left(s) && (w = first_for(s, now_ms)) != NULL) {
        if (!places_take(s))
            return;
        grant(w, s, false);
    }
}

static void serve_all(struct server_set *set, uint64_t now_ms)
{
    for (size_t i = 0; i < set->members_n; i++)
        serve(set->members[i], now_ms);
}

/* ---- who has what others wait for ---- */

void places_give(struct server_state *s, uint64_t now_ms)
{
    struct server_set *set = s->set;

    atomic_fetch_sub(&s->connections, 1);
    if (atomic_load(&set->waiting_n) == 0)
        return;
    pthread_mutex_lock(&set->lock);
    serve(s, now_ms);
    pthread_mutex_unlock(&set->lock);
}

bool places_wanted(struct server_state *s, uint64_t now_ms)
{
    bool wanted;

    if (atomic_load(&s->set->waiting_n) == 0)
        return false;
    pthread_mutex_lock(&s->set->lock);
    wanted = first_for(s, now_ms) != NULL;
    pthread_mutex_unlock(&s->set->lock);
    return wanted;
}

void places_review(struct server_set *set, uint64_t now_ms)
{
    pthread_mutex_lock(&set->lock);
    serve_all(set, now_ms);
    pthread_mutex_unlock(&set->lock);
}

bool places_offer_warm(struct place_port *p, struct server_state *s, uint64_t now_ms)
{
    struct place_wait *w;
    bool ours;

    if (atomic_load(&s->set->waiting_n) == 0)
        return false;
    pthread_mutex_lock(&s->set->lock);
    w = first_for(s, now_ms);
    ours = w != NULL && w->port == p && !w->fresh;
    if (ours)
        grant(w, s, true);
    pthread_mutex_unlock(&s->set->lock);
    return ours;
}

/* Others that keep idle connections are asked for one; for any server one of them will do. */
static void ask_for_idle(struct place_wait *w)
{
    struct list *ports = &w->port->set->ports;

    for (struct list *l = ports->next; l != ports; l = l->next) {
        struct place_port *p = LIST_OWNER(l, struct place_port, link);
        if (p == w->port || atomic_load(&p->idle) == 0)
            continue;
        p->asked++;
        mailbox_post(p->mailbox, &p->letter);
        if (w->wanted == NULL && w->tried == 0)
            return;
    }
}

/* ---- a port ---- */

static struct place_wait *take_granted(struct place_port *p)
{
    struct place_wait *w = NULL;

    pthread_mutex_lock(&p->set->lock);
    if (!list_empty(&p->granted)) {
        w = LIST_OWNER(p->granted.next, struct place_wait, link);
        list_remove(&w->link);
        w->port = NULL;
    }
    pthread_mutex_unlock(&p->set->lock);
    return w;
}

static unsigned take_asked(struct place_port *p)
{
    unsigned asked;

    pthread_mutex_lock(&p->set->lock);
    asked = p->asked;
    p->asked = 0;
    pthread_mutex_unlock(&p->set->lock);
    return asked;
}

/* One grant at a time, for what it begins may end this port; what is left comes with the next letter. */
static void deliver(struct letter *l)
{
    struct place_port *p = LIST_OWNER(l, struct place_port, letter);
    struct server_state *server;
    struct place_wait *w;

    for (unsigned asked = take_asked(p); asked > 0; asked--)
        p->close_idle(p);
    w = take_granted(p);
    if (w == NULL)
        return;
    mailbox_post(p->mailbox, l);
    server = w->server;
    w->granted(w, server, w->warm);
    server_state_release(&server);
}

void places_open(struct place_port *p, struct server_set *set, struct mailbox *mailbox, void (*close_idle)(struct place_port *p))
{
    *p = (struct place_port){ .set = set, .mailbox = mailbox, .close_idle = close_idle };
    letter_init(&p->letter, deliver);
    list_init(&p->granted);
    pthread_mutex_lock(&set->lock);
    list_append(&set->ports, &p->link);
    pthread_mutex_unlock(&set->lock);
}

void places_close(struct place_port *p)
{
    if (p->set == NULL)
        return;
    pthread_mutex_lock(&p->set->lock);
    assert(list_empty(&p->granted));
    list_remove(&p->link);
    pthread_mutex_unlock(&p->set->lock);
    mailbox_withdraw(p->mailbox, &p->letter);
    p->set = NULL;
}

/* ---- waiting ---- */

static void join_queue(struct place_port *p, struct place_wait *w, bool first)
{
    w->port = p;
    w->standing = PLACE_WAITED_FOR;
    list_append(first ? p->set->waiting.next : &p->set->waiting, &w->link);
    if (w->wanted != NULL)
        server_state_hold(w->wanted);
    atomic_fetch_add(w->wanted != NULL ? &w->wanted->waiting : &p->set->waiting_any, 1);
    atomic_fetch_add(&p->set->waiting_n, 1);
}

int places_wait(struct place_port *p, struct place_wait *w, size_t most, bool first, uint64_t now_ms)
{
    struct server_set *set = p->set;

    assert(w->port == NULL);
    pthread_mutex_lock(&set->lock);
    if (!first && set->waiting_n >= most) {
        pthread_mutex_unlock(&set->lock);
        return -EAGAIN;
    }
    join_queue(p, w, first);
    serve_all(set, now_ms);
    if (w->standing == PLACE_WAITED_FOR)
        ask_for_idle(w);
    pthread_mutex_unlock(&set->lock);
    if (p->idle > 0)
        p->close_idle(p);
    return 0;
}

void places_wait_end(struct place_wait *w, uint64_t now_ms)
{
    struct place_port *p = w->port;
    bool granted;

    if (p == NULL)
        return;
    pthread_mutex_lock(&p->set->lock);
    granted = w->standing == PLACE_GRANTED;
    if (granted)
        list_remove(&w->link);
    else
        leave_queue(w);
    w->port = NULL;
    pthread_mutex_unlock(&p->set->lock);
    if (!granted)
        return;
    if (w->warm)
        p->close_idle(p);
    else
        places_give(w->server, now_ms);
    server_state_release(&w->server);
}
