/* Places at a server and the queue in front of them: first come first, nobody woken in vain, nobody forgotten; at the end with real threads. */
#include "tests/gateway/scripted.h"
#include "tests/gateway/fleet.h"

#include "gateway/places.h"

#include <sched.h>
#include <stdlib.h>

#define NOW 5000
#define DESKS 3
#define WAITS 8

struct desk {                            /* a worker */
    struct mailbox box;
    struct place_port port;
    int woken;
    size_t kept[4];                      /* idle connections by server */
};

struct waiter {
    struct place_wait wait;
    int granted;
    struct server_state *server;
    bool warm;
    unsigned turn;                       /* when */
};

struct yard {
    struct fleet_conf conf;
    struct server_set *set;
    struct desk desks[DESKS];
    struct waiter waiters[WAITS];
    unsigned turns;
    size_t blocks_before;
};

static struct yard *yard;

static void wake(void *ctx)
{
    ((struct desk *)ctx)->woken++;
}

static void close_idle(struct place_port *p)
{
    struct desk *d = LIST_OWNER(p, struct desk, port);

    for (size_t i = 0; i < p->set->members_n; i++)
        if (d->kept[i] > 0 && places_wanted(p->set->members[i], NOW)) {
            d->kept[i]--;
            atomic_fetch_sub(&p->idle, 1);
            places_give(p->set->members[i], NOW);
            return;
        }
}

static void on_granted(struct place_wait *w, struct server_state *server, bool warm)
{
    struct waiter *x = LIST_OWNER(w, struct waiter, wait);

    x->granted++;
    x->server = server;
    x->warm = warm;
    x->turn = ++yard->turns;
}

static void begin(struct yard *y, size_t servers, uint64_t places)
{
    *y = (struct yard){ .blocks_before = mem_live_blocks() };
    yard = y;
    fleet_conf(&y->conf, servers, NULL);
    y->set = server_set_new("app");
    assert_non_null(y->set);
    assert_int_equal(server_set_update(y->set, y->conf.wishes, servers), 0);
    y->set->places = places;
    for (size_t i = 0; i < DESKS; i++) {
        mailbox_init(&y->desks[i].box, wake, &y->desks[i]);
        places_open(&y->desks[i].port, y->set, &y->desks[i].box, close_idle);
    }
    for (size_t i = 0; i < WAITS; i++)
        y->waiters[i].wait.granted = on_granted;
}

static struct server_state *server(struct yard *y, size_t i)
{
    return y->set->members[i];
}

static void deliver(struct yard *y, size_t desk)
{
    struct desk *d = &y->desks[desk];

    while (d->woken > 0) {
        d->woken = 0;
        mailbox_deliver(&d->box);
    }
}

static void deliver_all(struct yard *y)
{
    for (size_t i = 0; i < DESKS; i++)
        deliver(y, i);
}

static struct waiter *waits(struct yard *y, size_t desk, size_t i)
{
    assert_int_equal(places_wait(&y->desks[desk].port, &y->waiters[i].wait, 100, false, NOW), 0);
    return &y->waiters[i];
}

static void keep(struct yard *y, size_t desk, size_t i)      /* a connection becomes idle, and is kept */
{
    y->desks[desk].kept[i]++;
    atomic_fetch_add(&y->desks[desk].port.idle, 1);
}

static void end(struct yard *y)
{
    for (size_t i = 0; i < WAITS; i++)
        places_wait_end(&y->waiters[i].wait, NOW);
    assert_int_equal(y->set->waiting_n, 0);
    for (size_t i = 0; i < DESKS; i++) {
        places_close(&y->desks[i].port);
        mailbox_free(&y->desks[i].box);
    }
    for (size_t i = 0; i < y->set->members_n; i++)
        while (server(y, i)->connections > 0)
            places_give(server(y, i), NOW);
    server_set_release(&y->set);
    assert_int_equal(mem_live_blocks(), y->blocks_before);
}

static void as_many_as_there_are(void **state)
{
    struct yard y;

    (void)state;
    begin(&y, 2, 2);
    assert_true(places_take(server(&y, 0)) && places_take(server(&y, 0)));
    assert_false(places_take(server(&y, 0)) || places_left(server(&y, 0)));
    assert_true(places_left(server(&y, 1)) && places_take(server(&y, 1)));
    places_give(server(&y, 0), NOW);
    assert_true(places_take(server(&y, 0)));
    y.set->places = 0;                   /* off */
    for (int i = 0; i < 100; i++)
        assert_true(places_take(server(&y, 0)));
    end(&y);
}

static void first_come_first(void **state)
{
    struct yard y;

    (void)state;
    begin(&y, 1, 1);
    assert_true(places_take(server(&y, 0)));
    for (size_t i = 0; i < 6; i++)
        waits(&y, (i * 2) % DESKS, i);
    for (size_t i = 0; i < 6; i++) {
        places_give(server(&y, 0), NOW);
        assert_int_equal(server(&y, 0)->connections, 1);         /* it was handed over: nobody comes in between */
        assert_false(places_take(server(&y, 0)));
        deliver_all(&y);
        assert_int_equal(y.waiters[i].turn, i + 1);
        assert_ptr_equal(y.waiters[i].server, server(&y, 0));
        assert_false(y.waiters[i].warm);
    }
    places_give(server(&y, 0), NOW);
    assert_int_equal(server(&y, 0)->connections, 0);
    end(&y);
}

static void nobody_is_woken_in_vain(void **state)
{
    struct yard y;

    (void)state;
    begin(&y, 1, 1);
    assert_true(places_take(server(&y, 0)));
    waits(&y, 0, 0);
    waits(&y, 1, 1);
    assert_int_equal(y.desks[0].woken + y.desks[1].woken + y.desks[2].woken, 0);
    places_give(server(&y, 0), NOW);
    assert_true(y.desks[0].woken > 0);
    assert_int_equal(y.desks[1].woken + y.desks[2].woken, 0);
    end(&y);
}

static void the_queue_is_bounded(void **state)
{
    struct yard y;

    (void)state;
    begin(&y, 1, 1);
    assert_true(places_take(server(&y, 0)));
    assert_int_equal(places_wait(&y.desks[0].port, &y.waiters[0].wait, 2, false, NOW), 0);
    assert_int_equal(places_wait(&y.desks[1].port, &y.waiters[1].wait, 2, false, NOW), 0);
    assert_int_equal(places_wait(&y.desks[1].port, &y.waiters[2].wait, 2, false, NOW), -EAGAIN);
    places_wait_end(&y.waiters[2].wait, NOW);
    places_wait_end(&y.waiters[0].wait, NOW);
    assert_int_equal(places_wait(&y.desks[1].port, &y.waiters[2].wait, 2, false, NOW), 0);
    end(&y);
}

/* It was given back between the look that found none and the wait. */
static void a_place_that_is_free_already(void **state)
{
    struct yard y;
    struct waiter *x;

    (void)state;
    begin(&y, 2, 1);
    assert_true(places_take(server(&y, 0)));
    x = waits(&y, 0, 0);
    assert_int_equal(x->granted, 0);     /* never from inside */
    deliver_all(&y);
    assert_int_equal(x->granted, 1);
    assert_ptr_equal(x->server, server(&y, 1));
    end(&y);
}

static void who_wants_one_server_gets_that_one(void **state)
{
    struct yard y;
    struct waiter *own, *any;

    (void)state;
    begin(&y, 2, 1);
    assert_true(places_take(server(&y, 0)) && places_take(server(&y, 1)));
    y.waiters[0].wait.wanted = server(&y, 1);
    y.waiters[1].wait.tried = 1u << server(&y, 1)->slot;
    own = waits(&y, 0, 0);
    any = waits(&y, 0, 1);
    places_give(server(&y, 0), NOW);
    deliver_all(&y);
    assert_int_equal(own->granted, 0);
    assert_int_equal(any->granted, 1);
    waits(&y, 1, 1);                     /* again: it has tried 1 already, so only 0 will do */
    places_give(server(&y, 1), NOW);
    deliver_all(&y);
    assert_int_equal(own->granted, 1);
    assert_int_equal(any->granted, 1);
    end(&y);
}

static void a_grant_that_is_not_wanted_goes_on(void **state)
{
    struct yard y;
    struct waiter *a, *b;

    (void)state;
    begin(&y, 1, 1);
    assert_true(places_take(server(&y, 0)));
    a = waits(&y, 0, 0);
    b = waits(&y, 1, 1);
    places_give(server(&y, 0), NOW);
    places_wait_end(&a->wait, NOW);      /* granted, but not told yet */
    deliver_all(&y);
    assert_int_equal(a->granted, 0);
    assert_int_equal(b->granted, 1);
    end(&y);
}

static void idle_connections_of_others_make_room(void **state)
{
    struct yard y;
    struct waiter *a, *b;

    (void)state;
    begin(&y, 1, 2);
    assert_true(places_take(server(&y, 0)) && places_take(server(&y, 0)));
    keep(&y, 1, 0);
    keep(&y, 1, 0);
    a = waits(&y, 0, 0);
    assert_int_equal(y.desks[2].woken, 0);
    deliver_all(&y);
    deliver(&y, 0);
    assert_int_equal(a->granted, 1);
    assert_int_equal(y.desks[1].kept[0], 1);     /* no more than needed */
    b = waits(&y, 0, 1);
    deliver_all(&y);
    deliver(&y, 0);
    assert_int_equal(b->granted, 1);
    assert_int_equal(y.desks[1].kept[0], 0);
    end(&y);
}

/* A WebSocket needs a fresh connection: an idle one of its own worker makes room for it. */
static void own_idle_connections_make_room(void **state)
{
    struct yard y;
    struct waiter *a;

    (void)state;
    begin(&y, 1, 1);
    assert_true(places_take(server(&y, 0)));
    keep(&y, 0, 0);
    a = waits(&y, 0, 0);
    deliver_all(&y);
    assert_int_equal(a->granted, 1);
    assert_int_equal(y.desks[0].kept[0], 0);
    end(&y);
}

static void asked_for_one_that_is_busy_again(void **state)
{
    struct yard y;
    struct waiter *a;

    (void)state;
    begin(&y, 1, 1);
    assert_true(places_take(server(&y, 0)));
    keep(&y, 1, 0);
    a = waits(&y, 0, 0);
    y.desks[1].kept[0] = 0;              /* taken for a request before the letter came */
    atomic_store(&y.desks[1].port.idle, 0);
    deliver_all(&y);
    assert_int_equal(a->granted, 0);
    assert_true(places_wanted(server(&y, 0), NOW));              /* so it is closed instead of kept, afterwards */
    places_give(server(&y, 0), NOW);
    deliver_all(&y);
    assert_int_equal(a->granted, 1);
    assert_false(places_wanted(server(&y, 0), NOW));
    end(&y);
}

static void a_warm_connection_goes_to_the_first_if_it_is_here(void **state)
{
    struct yard y;
    struct waiter *a, *b;

    (void)state;
    begin(&y, 1, 1);
    assert_true(places_take(server(&y, 0)));
    assert_false(places_offer_warm(&y.desks[0].port, server(&y, 0), NOW));
    a = waits(&y, 0, 0);
    b = waits(&y, 1, 1);
    assert_false(places_offer_warm(&y.desks[1].port, server(&y, 0), NOW));       /* b is here, but a comes first */
    assert_true(places_offer_warm(&y.desks[0].port, server(&y, 0), NOW));
    deliver_all(&y);
    assert_true(a->granted == 1 && a->warm && b->granted == 0);
    assert_int_equal(places_wait(&y.desks[0].port, &a->wait, 0, true, NOW), 0);  /* it was gone: in front again, full or not */
    places_give(server(&y, 0), NOW);
    deliver_all(&y);
    assert_true(a->granted == 2 && !a->warm && b->granted == 0);
    end(&y);
}

static void a_warm_grant_that_is_not_wanted_makes_room(void **state)
{
    struct yard y;
    struct waiter *a, *b;

    (void)state;
    begin(&y, 1, 1);
    assert_true(places_take(server(&y, 0)));
    a = waits(&y, 0, 0);
    b = waits(&y, 1, 1);
    keep(&y, 0, 0);
    assert_true(places_offer_warm(&y.desks[0].port, server(&y, 0), NOW));
    places_wait_end(&a->wait, NOW);
    deliver_all(&y);
    assert_true(a->granted == 0 && b->granted == 1);
    assert_int_equal(y.desks[0].kept[0], 0);
    end(&y);
}

static void only_the_best_are_handed_out(void **state)
{
    struct yard y;
    struct waiter *a, *sticky;

    (void)state;
    begin(&y, 4, 1);
    for (size_t i = 0; i < 4; i++)
        assert_true(places_take(server(&y, i)));
    server(&y, 0)->draining = true;
    server(&y, 1)->draining = true;
    server(&y, 2)->backup = true;
    a = waits(&y, 0, 0);
    y.waiters[1].wait.wanted = server(&y, 1);
    sticky = waits(&y, 0, 1);
    places_give(server(&y, 0), NOW);
    places_give(server(&y, 2), NOW);
    deliver_all(&y);
    assert_int_equal(a->granted + sticky->granted, 0);
    places_give(server(&y, 1), NOW);     /* who belongs there still gets there while it drains */
    deliver_all(&y);
    assert_true(a->granted == 0 && sticky->granted == 1);
    server(&y, 3)->draining = true;
    places_review(y.set, NOW);           /* now the backup is the best there is */
    deliver_all(&y);
    assert_int_equal(a->granted, 1);
    assert_ptr_equal(a->server, server(&y, 2));
    end(&y);
}

static void other_places_than_before(void **state)
{
    struct yard y;

    (void)state;
    begin(&y, 1, 1);
    assert_true(places_take(server(&y, 0)));
    for (size_t i = 0; i < 4; i++)
        waits(&y, 0, i);
    y.set->places = 3;
    places_review(y.set, NOW);
    deliver_all(&y);
    assert_int_equal(y.waiters[0].granted + y.waiters[1].granted, 2);
    assert_int_equal(y.waiters[2].granted + y.waiters[3].granted, 0);
    y.set->places = 0;
    places_review(y.set, NOW);
    deliver_all(&y);
    assert_int_equal(y.waiters[2].granted + y.waiters[3].granted, 2);
    end(&y);
}

static void granted_at_a_server_that_leaves_the_set(void **state)
{
    struct yard y;
    struct waiter *a;
    struct server_state *gone;

    (void)state;
    begin(&y, 2, 1);
    assert_true(places_take(server(&y, 0)) && places_take(server(&y, 1)));
    a = waits(&y, 0, 0);
    gone = server(&y, 0);
    places_give(gone, NOW);
    server_state_hold(gone);
    assert_int_equal(server_set_update(y.set, &y.conf.wishes[1], 1), 0);
    deliver_all(&y);
    assert_ptr_equal(a->server, gone);
    waits(&y, 0, 0);
    places_give(gone, NOW);              /* nobody gets there any more */
    deliver_all(&y);
    assert_int_equal(a->granted, 1);
    assert_int_equal(gone->connections, 0);
    server_state_release(&gone);
    end(&y);
}

/* ---- threads ---- */

#define THREADS 4
#define JOBS 3000
#define CROWD 6                          /* waiters of one thread at once */

struct shift {
    pthread_t thread;
    struct mailbox box;
    struct place_port port;
    pthread_mutex_t bell_lock;
    pthread_cond_t bell;
    bool rung;
    unsigned seed;
    struct waiter crowd[CROWD];
    unsigned served;
    size_t idle;
};

static struct server_state *shared;
static _Atomic int inside, most_inside;

static void ring(void *ctx)
{
    struct shift *s = ctx;

    pthread_mutex_lock(&s->bell_lock);
    s->rung = true;
    pthread_cond_signal(&s->bell);
    pthread_mutex_unlock(&s->bell_lock);
}

static void wait_for_bell(struct shift *s)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;                  /* a wake-up was lost */
    pthread_mutex_lock(&s->bell_lock);
    while (!s->rung)
        if (pthread_cond_timedwait(&s->bell, &s->bell_lock, &until) != 0)
            abort();
    s->rung = false;
    pthread_mutex_unlock(&s->bell_lock);
}

static void close_idle_in_shift(struct place_port *p)
{
    struct shift *s = LIST_OWNER(p, struct shift, port);

    if (s->idle == 0 || !places_wanted(shared, NOW))
        return;
    s->idle--;
    atomic_fetch_sub(&p->idle, 1);
    places_give(shared, NOW);
}

/* A request on the connection; then it is kept, offered or closed, by dice. */
static void work(struct shift *s)
{
    int n = atomic_fetch_add(&inside, 1) + 1, most = atomic_load(&most_inside);

    while (n > most && !atomic_compare_exchange_weak(&most_inside, &most, n))
        continue;
    if (rand_r(&s->seed) % 4 == 0)
        sched_yield();
    atomic_fetch_sub(&inside, 1);
    s->served++;
    if (rand_r(&s->seed) % 2 == 0) {
        places_give(shared, NOW);
        return;
    }
    s->idle++;
    atomic_fetch_add(&s->port.idle, 1);
    if (!places_offer_warm(&s->port, shared, NOW))
        close_idle_in_shift(&s->port);
}

static bool use_idle(struct shift *s)
{
    if (s->idle == 0)
        return false;
    s->idle--;
    atomic_fetch_sub(&s->port.idle, 1);
    return true;
}

static void on_shift_granted(struct place_wait *w, struct server_state *server, bool warm)
{
    struct waiter *x = LIST_OWNER(w, struct waiter, wait);
    struct shift *s = LIST_OWNER(x - x->turn, struct shift, crowd[0]);

    (void)server;
    if (!warm || use_idle(s))
        work(s);
    else
        places_wait(&s->port, w, 0, true, NOW);
}

static bool anybody_waits(const struct shift *s)
{
    for (size_t i = 0; i < CROWD; i++)
        if (s->crowd[i].wait.port != NULL)
            return true;
    return false;
}

static void *run_shift(void *arg)
{
    struct shift *s = arg;

    for (unsigned job = 0; job < JOBS; job++) {
        struct waiter *x = NULL;
        for (size_t i = 0; i < CROWD; i++)
            x = s->crowd[i].wait.port == NULL ? &s->crowd[i] : x;
        if (x == NULL) {
            wait_for_bell(s);
            mailbox_deliver(&s->box);
            job--;
        } else if (atomic_load(&shared->set->waiting_n) == 0 && (use_idle(s) || places_take(shared))) {
            work(s);
        } else {
            x->wait.wanted = rand_r(&s->seed) % 2 == 0 ? shared : NULL;
            places_wait(&s->port, &x->wait, SIZE_MAX, false, NOW);
        }
    }
    while (anybody_waits(s)) {
        wait_for_bell(s);
        mailbox_deliver(&s->box);
    }
    return NULL;
}

static void begin_shift(struct shift *s, struct server_set *set, unsigned seed)
{
    *s = (struct shift){ .seed = seed };
    mailbox_init(&s->box, ring, s);
    pthread_mutex_init(&s->bell_lock, NULL);
    pthread_cond_init(&s->bell, NULL);
    places_open(&s->port, set, &s->box, close_idle_in_shift);
    for (unsigned i = 0; i < CROWD; i++) {
        s->crowd[i].wait.granted = on_shift_granted;
        s->crowd[i].turn = i;
    }
}

/* Idle connections that a thread keeps at its end are asked for by those that still wait. */
static void *answer_letters(void *arg)
{
    struct shift *s = arg;

    run_shift(s);
    while (atomic_load(&shared->set->waiting_n) > 0) {
        mailbox_deliver(&s->box);
        sched_yield();
    }
    return NULL;
}

static void many_threads_few_places(void **state)
{
    struct fleet_conf conf;
    struct server_set *set = server_set_new("app");
    static struct shift shifts[THREADS];
    size_t blocks_before = mem_live_blocks();

    (void)state;
    fleet_conf(&conf, 1, NULL);
    assert_int_equal(server_set_update(set, conf.wishes, 1), 0);
    set->places = 3;
    shared = set->members[0];
    for (unsigned i = 0; i < THREADS; i++)
        begin_shift(&shifts[i], set, i + 1);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&shifts[i].thread, NULL, answer_letters, &shifts[i]), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(shifts[i].thread, NULL);
    assert_true(most_inside <= 3);
    assert_int_equal(shared->waiting + set->waiting_any + set->waiting_n, 0);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(shifts[i].served, JOBS);
        for (; shifts[i].idle > 0; shifts[i].idle--)
            places_give(shared, NOW);
        places_close(&shifts[i].port);
        mailbox_free(&shifts[i].box);
    }
    assert_int_equal(shared->connections, 0);
    server_set_release(&set);
    assert_true(mem_live_blocks() < blocks_before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_as_there_are),
        cmocka_unit_test(first_come_first),
        cmocka_unit_test(nobody_is_woken_in_vain),
        cmocka_unit_test(the_queue_is_bounded),
        cmocka_unit_test(a_place_that_is_free_already),
        cmocka_unit_test(who_wants_one_server_gets_that_one),
        cmocka_unit_test(a_grant_that_is_not_wanted_goes_on),
        cmocka_unit_test(idle_connections_of_others_make_room),
        cmocka_unit_test(own_idle_connections_make_room),
        cmocka_unit_test(asked_for_one_that_is_busy_again),
        cmocka_unit_test(a_warm_connection_goes_to_the_first_if_it_is_here),
        cmocka_unit_test(a_warm_grant_that_is_not_wanted_makes_room),
        cmocka_unit_test(only_the_best_are_handed_out),
        cmocka_unit_test(other_places_than_before),
        cmocka_unit_test(granted_at_a_server_that_leaves_the_set),
        cmocka_unit_test(many_threads_few_places),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
