/* The poller that leads, and libuv as its guest: news of sockets, and everything that libuv may have to do meanwhile. */
#define _GNU_SOURCE

#include "gateway/poller.h"
#include "protocol/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 5000
#define TURNS_MAX 1000

struct heard {
    struct watch watch;
    unsigned news;                       /* all of it so far */
    unsigned times;
};

static void on_news(struct watch *w, unsigned news)
{
    struct heard *h = (struct heard *)(void *)w;

    h->news |= news;
    h->times++;
}

/* What the test adds is a `heard` or a `killer`, each of which begins with a watch. */
static void on_socket_news(void *who, unsigned news)
{
    struct watch *w = who;

    w->news(w, news);
}

struct rig {
    uv_loop_t uv;
    struct poller poller;
    uv_async_t orders;                   /* as a worker has them: a loop without a handle would not wait at all */
    int fds[2];
    struct heard heard;
};

static void begin(struct rig *r)
{
    *r = (struct rig){ .heard = { .watch = { on_news } } };
    assert_int_equal(uv_loop_init(&r->uv), 0);
    assert_int_equal(uv_async_init(&r->uv, &r->orders, NULL), 0);
    assert_int_equal(poller_init(&r->poller, &r->uv, on_socket_news), 0);
    assert_int_equal(poller_lead(&r->poller), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, r->fds), 0);
    assert_int_equal(poller_add(&r->poller, &r->heard.watch, r->fds[0]), 0);
}

static void end(struct rig *r)
{
    poller_forget(&r->poller, r->fds[0]);
    close(r->fds[0]);
    if (r->fds[1] >= 0)
        close(r->fds[1]);
    poller_close(&r->poller);
    uv_close((uv_handle_t *)&r->orders, NULL);
    uv_run(&r->uv, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&r->uv), 0);
    assert_int_equal(mem_live_blocks(), 0);
}

#define TURN_UNTIL(rig, what)                                                 \
    do {                                                                      \
        int turns = 0;                                                        \
        while (!(what) && turns++ < TURNS_MAX)                                \
            poller_turn(&(rig)->poller, PATIENCE_MS);                         \
        if (!(what))                                                          \
            fail_msg("did not come: %s", #what);                              \
    } while (0)

static void news_of_a_socket(void **state)
{
    struct rig r;

    (void)state;
    begin(&r);
    TURN_UNTIL(&r, (r.heard.news & POLLER_OUT) != 0);
    assert_int_equal(r.heard.news & POLLER_IN, 0);
    assert_int_equal(write(r.fds[1], "x", 1), 1);
    TURN_UNTIL(&r, (r.heard.news & POLLER_IN) != 0);
    close(r.fds[1]);
    r.fds[1] = -1;
    TURN_UNTIL(&r, (r.heard.news & POLLER_END) != 0);
    end(&r);
}

/* Told once: nothing is said again of what is still there. */
static void an_edge_and_no_level(void **state)
{
    struct rig r;
    unsigned times;

    (void)state;
    begin(&r);
    assert_int_equal(write(r.fds[1], "x", 1), 1);
    TURN_UNTIL(&r, (r.heard.news & POLLER_IN) != 0);
    times = r.heard.times;
    poller_turn(&r.poller, 0);
    poller_turn(&r.poller, 1);
    assert_int_equal(r.heard.times, times);
    end(&r);
}

static void set_flag(uv_timer_t *t)
{
    *(bool *)t->data = true;
}

/* A guest's timer ends the wait, however long it was to be; so does a handle that is to be closed. */
static void timers_and_closing_of_the_guest(void **state)
{
    struct rig r;
    uv_timer_t timer;
    bool fired = false;
    uint64_t from;

    (void)state;
    begin(&r);
    uv_timer_init(&r.uv, &timer);
    timer.data = &fired;
    uv_update_time(&r.uv);
    from = uv_now(&r.uv);
    uv_timer_start(&timer, set_flag, 20, 0);
    TURN_UNTIL(&r, fired);
    assert_true(uv_now(&r.uv) - from >= 20);
    uv_close((uv_handle_t *)&timer, NULL);
    poller_turn(&r.poller, -1);          /* would wait for ever otherwise */
    assert_true(uv_is_closing((uv_handle_t *)&timer));
    end(&r);
}

static void on_async(uv_async_t *a)
{
    *(bool *)a->data = true;
}

static void wake(void *async)
{
    uv_async_send(async);
}

/* Another thread's order, and a descriptor of libuv's that becomes readable, both begun while the poller led. */
static void descriptors_of_the_guest(void **state)
{
    struct rig r;
    uv_async_t async;
    uv_thread_t thread;
    bool heard = false;

    (void)state;
    begin(&r);
    assert_int_equal(uv_async_init(&r.uv, &async, on_async), 0);
    async.data = &heard;
    assert_int_equal(uv_thread_create(&thread, wake, &async), 0);
    TURN_UNTIL(&r, heard);
    uv_thread_join(&thread);
    uv_close((uv_handle_t *)&async, NULL);
    poller_turn(&r.poller, -1);
    end(&r);
}

/* Whoever hears news may forget others whose news stands behind his own. */
struct killer {
    struct watch watch;
    struct rig *rig;
};

static void on_kill(struct watch *w, unsigned news)
{
    struct rig *r = ((struct killer *)(void *)w)->rig;

    (void)news;
    poller_forget(&r->poller, r->fds[0]);
}

static void forgotten_in_the_same_turn(void **state)
{
    struct rig r;
    struct killer killer = { .watch = { on_kill }, .rig = &r };
    unsigned times;
    int fds[2];

    (void)state;
    begin(&r);
    poller_turn(&r.poller, 0);
    times = r.heard.times;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(poller_add(&r.poller, &killer.watch, fds[0]), 0);       /* it can be written to: news at once */
    assert_int_equal(write(r.fds[1], "x", 1), 1);
    poller_turn(&r.poller, PATIENCE_MS);
    poller_turn(&r.poller, 0);
    assert_true(r.heard.times <= times + 1);
    poller_forget(&r.poller, fds[0]);
    close(fds[0]);
    close(fds[1]);
    end(&r);
}

/* ---- listening sockets ---- */

static int listening(struct sockaddr_un *at)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    *at = (struct sockaddr_un){ .sun_family = AF_UNIX };
    snprintf(at->sun_path + 1, sizeof(at->sun_path) - 1, "upgate-test-poller-%d", (int)getpid());    /* abstract: no file */
    assert_int_equal(bind(fd, (struct sockaddr *)(void *)at, sizeof(*at)), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static int connect_to(const struct sockaddr_un *at)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (const struct sockaddr *)(const void *)at, sizeof(*at)), 0);
    return fd;
}

/* Who waits is told of in every turn, until he is let in; not while the listener rests. */
static void who_waits_is_told_of_each_turn(void **state)
{
    struct rig r;
    struct heard door = { .watch = { on_news } };
    struct sockaddr_un at;
    int fd, visitor, guest;

    (void)state;
    begin(&r);
    poller_turn(&r.poller, 0);
    fd = listening(&at);
    assert_int_equal(poller_add_listening(&r.poller, &door.watch, fd), 0);
    poller_turn(&r.poller, 0);
    assert_int_equal(door.times, 0);
    visitor = connect_to(&at);
    for (unsigned turn = 1; turn <= 3; turn++) {
        poller_turn(&r.poller, PATIENCE_MS);
        assert_int_equal(door.times, turn);
    }
    poller_rest_listening(&r.poller, fd, true);
    poller_turn(&r.poller, 0);
    assert_int_equal(door.times, 3);
    poller_rest_listening(&r.poller, fd, false);
    poller_turn(&r.poller, PATIENCE_MS);
    assert_int_equal(door.times, 4);
    guest = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(guest >= 0);
    poller_turn(&r.poller, 0);
    assert_int_equal(door.times, 4);
    poller_forget_listening(&r.poller, fd);
    close(guest);
    close(visitor);
    close(fd);
    end(&r);
}

/* A copy of the descriptor lives on in another worker, and somebody waits: nothing is heard of it here, and no wait ends for it. */
static void a_forgotten_one_does_not_wake(void **state)
{
    struct rig r;
    struct heard door = { .watch = { on_news } };
    struct sockaddr_un at;
    uint64_t from, turns;
    int fd, copy, visitor;

    (void)state;
    begin(&r);
    poller_turn(&r.poller, 0);
    fd = listening(&at);
    copy = dup(fd);
    assert_int_equal(poller_add_listening(&r.poller, &door.watch, fd), 0);
    poller_forget_listening(&r.poller, fd);
    close(fd);
    visitor = connect_to(&at);
    uv_update_time(&r.uv);
    from = uv_now(&r.uv);
    turns = r.poller.turns;
    while (uv_now(&r.uv) - from < 30)
        poller_turn(&r.poller, 30);
    assert_int_equal(door.times, 0);
    assert_true(r.poller.turns - turns < 10);    /* one, or a signal came in between */
    close(visitor);
    close(copy);
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(news_of_a_socket),
        cmocka_unit_test(an_edge_and_no_level),
        cmocka_unit_test(timers_and_closing_of_the_guest),
        cmocka_unit_test(descriptors_of_the_guest),
        cmocka_unit_test(forgotten_in_the_same_turn),
        cmocka_unit_test(who_waits_is_told_of_each_turn),
        cmocka_unit_test(a_forgotten_one_does_not_wake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
